"""TartanAir, depth_left/000000_left_depth.npy, and its second edition, depth_lcam_front/*_depth.png."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import numpy as np

from spatial_envs.scenes import depth_decoding as decoding
from spatial_envs.scenes.depth_layouts.layout import (
    CAMERA_TO_NED,
    NED_TO_Y_UP,
    OUTDOORS,
    DepthFile,
    Intrinsics,
    Layout,
    fixed,
)
from spatial_envs.scenes.depth_layouts.texts import existing, line_of, numbers, posed


def _picture(file: DepthFile) -> Path | None:
    path = Path(file.path)
    side = path.parent.name.removeprefix("depth_")
    return existing(file.folder / f"image_{side}" / f"{path.stem.removesuffix('_depth')}.png")


def _pose(file: DepthFile) -> np.ndarray | None:
    path = file.folder / f"pose_{Path(file.path).parent.name.removeprefix('depth_')}.txt"
    if not path.is_file():
        return None
    values = numbers(path, line_of(path, file.number), 7)
    return NED_TO_Y_UP @ posed(path, f"line {file.number + 1}", values) @ CAMERA_TO_NED


LAYOUTS = (
    Layout(
        "TartanAir", re.compile(r"(?:^|/)depth_(left|right)/(?P<n>\d+)_\1_depth\.npy$"), 1,
        decoding.array, _picture,
        partial(fixed, Intrinsics(320.0, 320.0, 320.0, 240.0, (640, 480))),
        _pose, True, OUTDOORS,
    ),
    Layout(
        "TartanAir v2",
        re.compile(r"(?:^|/)depth_([lr]cam_(?:front|back|left|right|top|bottom))/(?P<n>\d+)_\1_depth\.png$"),
        1, decoding.float_bits, _picture,
        partial(fixed, Intrinsics(320.0, 320.0, 320.0, 320.0, (640, 640))),
        _pose, True, OUTDOORS,
    ),
)  # fmt: skip
