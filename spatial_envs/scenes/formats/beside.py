"""Files that a mesh file names: its material libraries, textures and buffers, found as people have them."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

import numpy as np

POINTERS = {
    b"version https://git-lfs": "a Git LFS pointer, not the file itself; fetch it by 'git lfs pull'",
    b"/annex/objects": "a git-annex pointer, not the file itself; fetch it by 'git annex get'",
}


class Missing(Exception):
    """Why a file that a mesh names has nothing in it for us."""


class Beside:
    """The folder of a mesh file, and what its reader has to say and keep.

    warnings  each completing "<path>: "
    laid      textures by how they were laid out, each with the one that it was made from
    """

    def __init__(self, path: Path):
        self.folder = path.parent
        self.stem = path.stem
        self.warnings: list[str] = []
        self.laid: dict[tuple, tuple[np.ndarray, np.ndarray]] = {}

    def warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)

    def __getitem__(self, name: str) -> bytes:
        """The bytes of a file, named as it is on disk, percent-encoded, in other case or composition, by a
        path of another computer, or where GSO keeps it. Missing where there is none."""
        for form in _forms(name.strip().strip("\"'")):
            last = form.rsplit("/", 1)[-1]
            for place in (form, last, f"../materials/textures/{last}"):
                if (found := _on_disk(self.folder, place)) is not None:
                    data = found.read_bytes()
                    if (pointer := pointer_to(data)) is not None:
                        raise Missing(f"it is {pointer}")
                    return data
        raise Missing("no such file")


def pointer_to(data: bytes) -> str | None:
    """What a file is that holds only the place of another."""
    return next((what for head, what in POINTERS.items() if data.startswith(head)), None)


def pointer_at(path: Path) -> str | None:
    """``pointer_to`` the beginning of a file; None where it cannot be read."""
    try:
        with path.open("rb") as file:
            return pointer_to(file.read(64))
    except OSError:
        return None


def _forms(name: str) -> Iterator[str]:
    name = name.replace("\\", "/")
    yield name
    if "%" in name:
        yield unquote(name)
    if any("\x7f" < letter < "\u0100" for letter in name):  # read as latin-1 for want of knowing better
        for encoding in ("gb18030", "shift_jis"):
            try:
                yield name.encode("latin-1").decode(encoding)
            except UnicodeError:
                continue


def _on_disk(folder: Path, name: str) -> Path | None:
    """The file of this name, or the first by name that differs in case or composition only."""
    if os.path.isfile(folder / name):
        return folder / name
    for part in PurePosixPath(name).parts:
        try:
            names = sorted(os.listdir(folder))
        except (OSError, ValueError):
            return None
        folder /= next((n for n in names if part != ".." and _alike(n) == _alike(part)), part)
    return folder if os.path.isfile(folder) else None


def _alike(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
