"""Single pictures of rooms, without poses: NYUv2 and SUN RGB-D."""

from __future__ import annotations

import re
from functools import partial
from itertools import islice
from pathlib import Path

from spatial_envs.scenes import depth_decoding as decoding
from spatial_envs.scenes.depth_layouts.layout import (
    DepthFile,
    Intrinsics,
    Layout,
    fixed,
    no_pose,
)
from spatial_envs.scenes.depth_layouts.texts import numbers, text

# NYUv2, exported as PNG


def _nyu_picture(file: DepthFile) -> Path | None:
    path = Path(file.path)
    names = (path.name.replace("sync_depth_", "rgb_"), path.name.replace("_depth", "_colors"))
    places = [path.with_name(name).with_suffix(end) for name in names for end in (".jpg", ".png")]
    return next((place for place in places if place != path and place.is_file()), None)


# SUN RGB-D: <frame>/depth/<name>.png, <frame>/image/<name>.jpg, <frame>/intrinsics.txt; Matlab's pixel
# centres begin at 1, so - 0.5


def _sun(path: Path) -> bool:
    known = (path.parent.parent / "intrinsics.txt").is_file() and (path.parent.parent / "image").is_dir()
    return known and len(list(islice(path.parent.glob("*.png"), 2))) == 1


def _sun_picture(file: DepthFile) -> Path | None:
    return next(iter(sorted((file.folder / "image").glob("*.jpg"))), None)


def _sun_intrinsics(file: DepthFile) -> Intrinsics:
    path = file.folder / "intrinsics.txt"
    matrix = numbers(path, text(path), 9).reshape(3, 3)
    return Intrinsics(matrix[0, 0], matrix[1, 1], matrix[0, 2] - 0.5, matrix[1, 2] - 0.5)


LAYOUTS = (
    Layout(
        "NYUv2", re.compile(r"(?:^|/)(?:sync_depth_|nyu2_test/)(?P<n>\d+)(?:_depth)?\.png$"), 0,
        decoding.millimetres, _nyu_picture,
        partial(fixed, Intrinsics(518.857901, 519.469611, 325.082449, 253.236166, (640, 480))),
        no_pose, False,
    ),
    Layout(
        "SUN RGB-D", re.compile(r"(?:^|/)depth(?:_bfx)?/(?P<n>[^/]+)\.png$"), 1,
        decoding.sun, _sun_picture, _sun_intrinsics, no_pose, False, told=_sun,
    ),
)  # fmt: skip
