"""What a layout of depth files is: how a data set lays out its files, and what of each frame they tell."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

# From the axes of data sets to OpenCV's, in a world with Y up
Y_DOWN_TO_UP = np.diag([1.0, -1.0, -1.0, 1.0])
Z_UP_TO_Y_UP = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
NED_TO_Y_UP = np.array([[0, 1.0, 0, 0], [0, 0, -1, 0], [-1, 0, 0, 0], [0, 0, 0, 1]])  # right, up, backwards
CAMERA_TO_NED = np.array([[0, 0, 1.0, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]])  # forward, right, down
OUTDOORS = 80.0  # metres: what is farther is scenery


@dataclass(frozen=True)
class DepthFile:
    """One depth file: where it is, what it belongs to, which of its sequence it is, and when it was taken,
    seconds, where its name is a time."""

    path: str
    sequence: str
    number: int
    layout: Layout
    stamp: float | None = None

    @property
    def folder(self) -> Path:
        """The folder that the layout's table is relative to."""
        up = self.layout.depth_below
        return Path(self.path).parents[up]


@dataclass(frozen=True)
class Intrinsics:
    """Focal length and principal point, pixels, of a picture of this size (W, H); (0, 0) = of any size."""

    fx: float
    fy: float
    cx: float
    cy: float
    size: tuple[int, int] = (0, 0)

    def matrix(self, width: int, height: int) -> np.ndarray:
        """(3, 3) float64 for a picture of that size."""
        x, y = (width / self.size[0], height / self.size[1]) if self.size[0] else (1.0, 1.0)
        return np.array([[self.fx * x, 0, self.cx * x], [0, self.fy * y, self.cy * y], [0, 0, 1.0]])


@dataclass(frozen=True)
class Layout:
    """How a data set lays out its files.

    pattern      of the end of a depth file's path; group ``n`` is the number of the frame
    depth_below  how many folders the file is below the sequence's folder
    up_known     whether poses tell which way is up
    farthest     metres, None = no limit
    told         of a file that the pattern fits: whether what lies beside it says that it is this data set's;
                 None where the pattern says it
    """

    title: str
    pattern: re.Pattern[str]
    depth_below: int
    decode: Callable[[Path], np.ndarray]
    picture: Callable[[DepthFile], Path | None]
    intrinsics: Callable[[DepthFile], Intrinsics]
    pose: Callable[[DepthFile], np.ndarray | None]
    up_known: bool = True
    farthest: float | None = None
    told: Callable[[Path], bool] | None = None


def fixed(intrinsics: Intrinsics, file: DepthFile) -> Intrinsics:
    return intrinsics


def no_pose(file: DepthFile) -> None:
    return None
