"""Virtual KITTI 2: frames/depth/Camera_0/depth_00000.png; its pixel centres are at integers, so + 0.5."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np

from spatial_envs.foundation.errors import SceneError
from spatial_envs.scenes import depth_decoding as decoding
from spatial_envs.scenes.depth_layouts.layout import (
    OUTDOORS,
    Y_DOWN_TO_UP,
    DepthFile,
    Intrinsics,
    Layout,
)
from spatial_envs.scenes.depth_layouts.texts import existing, lines, numbers, rigid

INTRINSICS = Intrinsics(725.0087, 725.0087, 621.0, 187.5, (1242, 375))


def _picture(file: DepthFile) -> Path | None:
    return existing(file.folder / f"frames/rgb/{Path(file.path).parent.name}/rgb_{file.number:05d}.jpg")


def _row(file: DepthFile, name: str, count: int) -> np.ndarray | None:
    """The numbers of this frame and camera in a table; None where the table is not there."""
    path = file.folder / name
    if not path.is_file():
        return None
    camera = Path(file.path).parent.name.removeprefix("Camera_")
    row = _table(path).get((str(file.number), camera))
    if row is None:
        raise SceneError(f"{path}: has no line for frame {file.number}, camera {camera}")
    return numbers(path, row, count)


@lru_cache(maxsize=16)
def _table(path: Path) -> Mapping[tuple[str, str], str]:
    table = {}
    for line in lines(path)[1:]:
        words = line.split(maxsplit=2)
        if len(words) == 3:
            table[words[0], words[1]] = words[2]
    return table


def _intrinsics(file: DepthFile) -> Intrinsics:
    row = _row(file, "intrinsic.txt", 4)
    if row is None:
        return INTRINSICS
    return Intrinsics(row[0], row[1], row[2] + 0.5, row[3] + 0.5, INTRINSICS.size)


def _pose(file: DepthFile) -> np.ndarray | None:
    row = _row(file, "extrinsic.txt", 16)
    if row is None:
        return None
    return Y_DOWN_TO_UP @ np.linalg.inv(rigid(file.folder / "extrinsic.txt", row.reshape(4, 4)))


LAYOUT = Layout(
    "Virtual KITTI 2", re.compile(r"(?:^|/)frames/depth/Camera_\d/depth_(?P<n>\d{5})\.png$"), 3,
    decoding.centimetres_grey, _picture, _intrinsics, _pose, True, OUTDOORS,
)  # fmt: skip
