"""Rooms filmed for reconstruction, frame by frame with poses."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import numpy as np

from spatial_envs.foundation.errors import SceneError
from spatial_envs.scenes import depth_decoding as decoding
from spatial_envs.scenes.depth_layouts.layout import (
    Y_DOWN_TO_UP,
    Z_UP_TO_Y_UP,
    DepthFile,
    Intrinsics,
    Layout,
    fixed,
    no_pose,
)
from spatial_envs.scenes.depth_layouts.texts import existing, line_of, numbers, rigid, text

# ScanNet, as its exporter writes it: depth/0.png; pixel centres at integers, so + 0.5


def _scannet(path: Path) -> bool:
    return any((path.parent.parent / name).is_dir() for name in ("intrinsic", "pose", "color"))


def _scannet_picture(file: DepthFile) -> Path | None:
    return existing(file.folder / f"color/{file.number}.jpg") or existing(
        file.folder / f"color/{file.number}.png"
    )


def _scannet_intrinsics(file: DepthFile) -> Intrinsics:
    path = file.folder / "intrinsic" / "intrinsic_depth.txt"
    if not path.is_file():
        raise SceneError(f"{path}: is missing; expected the depth camera's matrix (4, 4), or intrinsics=")
    matrix = numbers(path, text(path), 16).reshape(4, 4)
    return Intrinsics(matrix[0, 0], matrix[1, 1], matrix[0, 2] + 0.5, matrix[1, 2] + 0.5)


def _scannet_pose(file: DepthFile) -> np.ndarray | None:
    folder = file.folder / "pose"
    if not folder.is_dir():
        return None
    path = folder / f"{file.number}.txt"
    return Z_UP_TO_Y_UP @ rigid(path, numbers(path, text(path), 16).reshape(4, 4))


# Replica: results/depth000000.png; pixel centres at integers, so + 0.5


def _replica_picture(file: DepthFile) -> Path | None:
    name = Path(file.path).stem.replace("depth", "frame")
    return existing(Path(file.path).with_name(f"{name}.jpg"))


def _replica_pose(file: DepthFile) -> np.ndarray | None:
    path = file.folder / "traj.txt"
    if not path.is_file():
        return None
    matrix = numbers(path, line_of(path, file.number), 16).reshape(4, 4)
    return Z_UP_TO_Y_UP @ rigid(path, matrix)


# 7-Scenes: frame-000000.depth.png; the world is the first camera's, so that it does not tell up


def _seven_picture(file: DepthFile) -> Path | None:
    stem = file.folder / f"frame-{file.number:06d}"
    return existing(Path(f"{stem}.color.png")) or existing(Path(f"{stem}.color.jpg"))


def _seven_pose(file: DepthFile) -> np.ndarray | None:
    path = file.folder / f"frame-{file.number:06d}.pose.txt"
    if not path.is_file():
        return None
    return Y_DOWN_TO_UP @ rigid(path, numbers(path, text(path), 16).reshape(4, 4))


def _seven(path: Path) -> bool:
    return not (path.parent / "info.txt").is_file()  # BundleFusion's, of another camera


# Redwood: depth/00000.png, or depth/0000001-000000000000.png of its scans of objects


def _redwood(path: Path) -> bool:
    folder = path.parent.parent
    pictures = any((folder / name).is_dir() for name in ("rgb", "color", "image"))
    return pictures and not (folder / "intrinsic").is_dir() and not (folder / "pose").is_dir()


def _redwood_picture(file: DepthFile) -> Path | None:
    stem = Path(file.path).stem
    places = [
        file.folder / name / f"{stem}{end}" for name in ("rgb", "color", "image") for end in (".jpg", ".png")
    ]
    return next((place for place in places if place.is_file()), None)


LAYOUTS = (
    Layout(
        "Replica", re.compile(r"(?:^|/)results/depth(?P<n>\d+)\.png$"), 1,
        decoding.replica, _replica_picture,
        partial(fixed, Intrinsics(600.0, 600.0, 600.0, 340.0, (1200, 680))),
        _replica_pose,
    ),
    Layout(
        "7-Scenes", re.compile(r"(?:^|/)frame-(?P<n>\d{6})\.depth(?:\.proj)?\.png$"), 0,
        decoding.millimetres, _seven_picture,
        partial(fixed, Intrinsics(585.0, 585.0, 320.0, 240.0, (640, 480))), _seven_pose, False, told=_seven,
    ),
    Layout(
        "Redwood", re.compile(r"(?:^|/)depth/(?P<n>\d{5,})(?:-\d+)?\.png$"), 1,
        decoding.millimetres, _redwood_picture,
        partial(fixed, Intrinsics(525.0, 525.0, 320.0, 240.0, (640, 480))), no_pose, False, told=_redwood,
    ),
    Layout(
        "ScanNet", re.compile(r"(?:^|/)depth/(?P<n>\d+)\.png$"), 1,
        decoding.millimetres, _scannet_picture, _scannet_intrinsics, _scannet_pose, told=_scannet,
    ),
)  # fmt: skip
