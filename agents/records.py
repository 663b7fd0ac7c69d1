"""Folders of records, dataclasses of arrays that networks learn from: a .npz file for each."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from spatial_envs.foundation.files import replacing

R = TypeVar("R")


def write_record(path: Path, record: Any) -> None:
    """The file of a record, whole."""
    with replacing(path) as unfinished, unfinished.open("wb") as file:
        np.savez_compressed(file, **vars(record))


def read_records(folder: Path, kind: type[R], what: str, writer: str) -> list[R]:
    """The records of a folder, in the order of their names. ValueError, which says ``what`` a record is and
    which module is their ``writer``, where there are none, or one is not whole."""
    paths = sorted(folder.glob("*.npz"))
    if not paths:
        raise ValueError(f"records: got {folder}; expected a folder that python -m {writer} wrote")
    found = []
    for path in paths:
        try:
            with np.load(path, allow_pickle=False) as file:
                found.append(kind(**{field.name: file[field.name] for field in fields(kind)}))  # type: ignore[arg-type]
        except Exception as error:
            fault = f"{type(error).__name__}: {error}"
            raise ValueError(f"records: {path}: expected {what} ({fault})") from error
    return found
