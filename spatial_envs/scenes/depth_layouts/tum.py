"""TUM RGB-D, and Bonn and ICL-NUIM in its form: depth/1305031102.160407.png, depth/0.png."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

import numpy as np

from spatial_envs.foundation.errors import SceneError
from spatial_envs.scenes import depth_decoding as decoding
from spatial_envs.scenes.depth_layouts.layout import (
    Z_UP_TO_Y_UP,
    DepthFile,
    Intrinsics,
    Layout,
)
from spatial_envs.scenes.depth_layouts.texts import lines, numbers, posed

SPAN = 0.02  # seconds that a picture or a pose may be off
LENSES = (  # pixel centres at integers, so + 0.5
    ("freiburg1", Intrinsics(517.3, 516.5, 319.1, 255.8, (640, 480))),
    ("freiburg2", Intrinsics(520.9, 521.0, 325.6, 250.2, (640, 480))),
    ("freiburg3", Intrinsics(535.4, 539.2, 320.6, 248.1, (640, 480))),
    ("bonn", Intrinsics(542.822841, 542.576870, 316.093520, 238.256098, (640, 480))),
    ("traj", Intrinsics(481.2, 480.0, 320.0, 240.0, (640, 480))),
)


def _told(path: Path) -> bool:
    names = ("groundtruth.txt", "associations.txt", "associate.txt", "depth.txt")
    beside = any((path.parent.parent / name).is_file() for name in names)
    return beside or re.fullmatch(r"\d{9,}\.\d+", path.stem) is not None


@lru_cache(maxsize=16)
def _stamped(folder: Path) -> tuple[np.ndarray, tuple[Path, ...]]:
    """The pictures of a folder and the times that are their names, in order."""
    named = [(float(f.stem), f) for f in folder.glob("*.png") if re.fullmatch(r"\d+(\.\d+)?", f.stem)]
    return np.array([time for time, _ in sorted(named)]), tuple(path for _, path in sorted(named))


def _picture(file: DepthFile) -> Path | None:
    times, paths = _stamped(file.folder / "rgb")
    here = _time(file)
    if here is None or not len(times):
        return None
    nearest = int(np.abs(times - here).argmin())
    return paths[nearest] if abs(times[nearest] - here) <= SPAN else None


def _time(file: DepthFile) -> float | None:
    stem = Path(file.path).stem
    return float(stem) if re.fullmatch(r"\d+(\.\d+)?", stem) else None


def _intrinsics(file: DepthFile) -> Intrinsics:
    words = file.path.lower()
    for word, intrinsics in LENSES:
        if word in words:
            return intrinsics
    raise SceneError(
        f"{file.path}: which camera it is of is not known: no folder is named after freiburg1, 2, 3, bonn or "
        "traj; expected intrinsics="
    )


def _pose(file: DepthFile) -> np.ndarray | None:
    path, here = file.folder / "groundtruth.txt", _time(file)
    if not path.is_file() or here is None or not len(rows := _rows(path)):
        return None
    nearest = rows[np.abs(rows[:, 0] - here).argmin()]
    if abs(nearest[0] - here) > SPAN:
        return None
    return Z_UP_TO_Y_UP @ posed(path, f"at {nearest[0]:f}", nearest[1:])


@lru_cache(maxsize=16)
def _rows(path: Path) -> np.ndarray:
    """(N, 8): times, translations and quaternions."""
    rows = [numbers(path, line, 8) for line in lines(path) if not line.startswith("#")]
    return np.array(rows).reshape(-1, 8)


LAYOUT = Layout(
    "TUM RGB-D", re.compile(r"(?:^|/)depth/(?P<n>\d+(?:\.\d+)?)\.png$"), 1,
    decoding.tum, _picture, _intrinsics, _pose, told=_told,
)  # fmt: skip
