"""Files that are written whole: what has a file's name is complete, whatever ends the writing."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from pathlib import Path

UNFINISHED = "unfinished_"


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a new path in the same folder, with the same suffix, whose file takes the place of ``path`` when
    the block ends; after an error, as of a full disk, ``path`` is as it was and nothing is left beside it."""
    unfinished = path.with_name(f"{UNFINISHED}{uuid.uuid4().hex[:12]}_{path.name}")
    try:
        yield unfinished
        unfinished.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            unfinished.unlink()
        raise
