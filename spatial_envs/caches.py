"""What caches on disk share: files are written whole, and a fault of theirs is one warning, never an end."""

from __future__ import annotations

import contextlib
import logging
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

logger = logging.getLogger(__name__)
_WARNED: set[str] = set()


def write_whole(path: Path, write: Callable[[BinaryIO], Any]) -> None:
    """Have ``write`` fill a file, which has the umask's ordinary mode and its name only when it is complete.

    Raises what ``write`` raises, and OSError, as of a full disk; then nothing is left behind.
    """
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
    try:
        with part.open("xb") as file:
            write(file)
        part.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise


def warn_once(cache: str, error: object, instead: str) -> None:
    """Log that a cache cannot be used and what is done instead, once in a process for each cache."""
    if cache not in _WARNED:
        _WARNED.add(cache)
        logger.warning("%s cannot be used: %s; %s", cache, error, instead)
