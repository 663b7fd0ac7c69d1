"""Checks of what comes from outside. ValueErrors say which argument, what was got and expected."""

from __future__ import annotations

import difflib
import math
import os
import reprlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch


def check_choice(name: str, value: Any, valid: Sequence[str]) -> None:
    """One of the valid words."""
    if not isinstance(value, str) or value not in valid:
        raise ValueError(f"{name}: got {value!r}; expected one of {', '.join(map(repr, valid))}")


def similar(name: Any, valid: Sequence[str]) -> str:
    """ " (did you mean 'views'?)", or nothing where no valid name is like it."""
    near = difflib.get_close_matches(str(name), valid, 1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def check_range(name: str, value: Any, low: float, high: float, kind: type = float) -> None:
    """A number, or with ``kind=int`` an integer, from low to high."""
    number = isinstance(value, (int, np.integer) if kind is int else (int, float, np.number))
    if isinstance(value, bool) or not number or not low <= value <= high:
        raise ValueError(f"{name}: got {value!r}; expected {kind.__name__} from {low} to {high}")


def check_flag(name: str, value: Any) -> bool:
    """True or False, nothing that only counts as one of them."""
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(f"{name}: got {value!r}; expected True or False")
    return bool(value)


def check_device(device: Any) -> None:
    """ "auto", or what torch takes for a device."""
    try:
        if device != "auto":
            torch.device(device)
    except (RuntimeError, TypeError):
        raise ValueError(f"device: got {device!r}; expected 'auto', 'cpu', 'cuda' or 'cuda:1'") from None


def resolve_device(device: str) -> torch.device:
    """ "auto" is the GPU where torch sees one, else the CPU."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(device)


def floats(name: str, value: Any, expected: str) -> np.ndarray:
    """The value as float64, whatever its shape; ``expected`` completes the error."""
    try:
        return np.asarray(value, np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name}: got {reprlib.repr(value)}; expected {expected}") from None


def checked_poses(cam_to_world: Any) -> np.ndarray:
    """(..., 4, 4) float64, finite."""
    poses = floats("cam_to_world", cam_to_world, "finite (..., 4, 4)")
    if poses.shape[-2:] != (4, 4) or not np.isfinite(poses).all():
        raise ValueError(f"cam_to_world: got {poses.shape} {poses.tolist()}; expected finite (..., 4, 4)")
    return poses


def user_path(name: str, value: Any) -> Path:
    """The path that a user typed, ``~`` being the home folder; whether anything is there is not asked."""
    if not isinstance(value, (str, os.PathLike)) or "\0" in str(value):
        raise ValueError(f"{name}: got {reprlib.repr(value)}; expected a path")
    path = os.path.expanduser(value)
    if str(path).startswith("~"):  # as it is left where there is no such home
        raise ValueError(f"{name}: got {str(value)!r}; expected a path, but there is no such home")
    return Path(path)


def absolute(name: str, value: Any) -> Path:
    """``user_path``, independent of the working directory."""
    return Path(os.path.abspath(user_path(name, value)))


def legible(name: str) -> str:
    """A file's name as it can be written to any table: bytes that are no UTF-8 as ``\\xd6``."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def checked_folder(name: str, value: Any) -> Path | str | None:
    """None, "auto", or a folder, which need not be there yet."""
    if value is None or (isinstance(value, str) and value == "auto"):
        return value
    folder = user_path(name, value)
    if os.path.isfile(folder):
        raise ValueError(f"{name}: got {value!r}; expected 'auto', None or a folder")
    return folder


def checked_image_size(value: Any, patch: int) -> tuple[int, int]:
    """(H, W) from an integer or a pair, 16 to 4096 pixels and multiples of the patch."""
    size = tuple(value) if isinstance(value, (tuple, list, np.ndarray)) else (value, value)
    if len(size) != 2 or not all(isinstance(n, (int, np.integer)) and 16 <= n <= 4096 for n in size):
        raise ValueError(f"image_size: got {value!r}; expected an integer or (H, W), 16 to 4096 pixels")
    for n in size:
        if n % patch:
            below = min(max(n // patch, math.ceil(16 / patch)), 4096 // patch - 1) * patch
            raise ValueError(
                f"image_size: got {value!r}; expected multiples of the backbone's patch, {patch}: "
                f"{below} or {below + patch}"
            )
    return int(size[0]), int(size[1])
