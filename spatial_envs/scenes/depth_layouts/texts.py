"""Reading the text files of a data set: numbers, matrices and poses, each checked for being one."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from spatial_envs.foundation.errors import SceneError


def text(path: Path) -> str:
    """The content of a text file, or SceneError where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise SceneError(f"{path}: cannot be read: {error.strerror}") from None


def numbers(path: Path, line: str, count: int) -> np.ndarray:
    """The ``count`` finite numbers of a line."""
    try:
        values = np.array([float(word) for word in line.split()])
    except ValueError:
        values = np.zeros(0)
    if len(values) != count or not np.isfinite(values).all():
        raise SceneError(f"{path}: got {line.strip()[:60]!r}; expected {count} finite numbers")
    return values


def rigid(path: Path, matrix: np.ndarray) -> np.ndarray:
    """(4, 4), checked to be a rotation and a shift."""
    turn = matrix[:3, :3]
    off = np.abs(turn @ turn.T - np.eye(3)).max()
    if off > 1e-2 or np.linalg.det(turn) < 0 or np.abs(matrix[3] - [0, 0, 0, 1]).max() > 1e-3:
        raise SceneError(f"{path}: got {np.round(matrix, 3).tolist()}; expected a rotation and a translation")
    return matrix


@lru_cache(maxsize=8)
def lines(path: Path) -> tuple[str, ...]:
    """The lines of a text file with something on them; kept, as every frame of a sequence asks for them."""
    return tuple(line for line in text(path).splitlines() if line.strip())


def existing(path: Path) -> Path | None:
    return path if path.is_file() else None


def posed(path: Path, where: str, values: np.ndarray) -> np.ndarray:
    """(4, 4) of a translation and a quaternion x, y, z, w, (7,)."""
    pose = np.eye(4)
    if abs(np.linalg.norm(values[3:]) - 1) > 1e-2:
        raise SceneError(f"{path}: {where}: got {values[3:].tolist()}; expected a unit quaternion")
    pose[:3, :3], pose[:3, 3] = Rotation.from_quat(values[3:]).as_matrix(), values[:3]
    return pose


def line_of(path: Path, number: int) -> str:
    """The line of a frame's pose in a file that has one for each."""
    written = lines(path)
    if number >= len(written):
        raise SceneError(f"{path}: got {len(written)} lines; expected a pose for frame {number}")
    return written[number]
