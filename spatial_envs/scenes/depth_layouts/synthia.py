"""SYNTHIA: SEQS, with a pose for every frame, RAND-CITYSCAPES and SF."""

from __future__ import annotations

import logging
import re
from functools import lru_cache, partial
from itertools import pairwise
from pathlib import Path

import numpy as np

from spatial_envs.foundation.errors import SceneError
from spatial_envs.geometry.camera import slope
from spatial_envs.scenes import depth_decoding as decoding
from spatial_envs.scenes.depth_layouts.layout import (
    OUTDOORS,
    Y_DOWN_TO_UP,
    DepthFile,
    Intrinsics,
    Layout,
    fixed,
    no_pose,
)
from spatial_envs.scenes.depth_layouts.texts import existing, numbers, rigid, text

logger = logging.getLogger(__name__)


INTRINSICS = Intrinsics(532.740352, 532.740352, 640.0, 380.0, (1280, 760))


def _seqs_picture(file: DepthFile) -> Path | None:
    path = Path(file.path)
    return existing(file.folder / "RGB" / path.parent.parent.name / path.parent.name / path.name)


def _intrinsics(file: DepthFile) -> Intrinsics:
    path = file.folder / "CameraParams" / "intrinsics.txt"
    if not path.is_file():
        return INTRINSICS
    lines = text(path).splitlines()
    if len(lines) < 5:
        raise SceneError(f"{path}: got {len(lines)} lines; expected focal length, cx, cy in lines 1, 3, 5")
    focal, cx, cy = (numbers(path, lines[k], 1)[0] for k in (0, 2, 4))
    return Intrinsics(focal, focal, cx, cy, INTRINSICS.size)


def _params(file: DepthFile) -> Path:
    path = Path(file.path)
    return file.folder / "CameraParams" / path.parent.parent.name / path.parent.name


def _matrix(params: Path, number: int) -> np.ndarray:
    """The pose as it is written, column by column, so that the translation is in places 12 to 14."""
    path = params / f"{number:06d}.txt"
    return rigid(path, numbers(path, text(path), 16).reshape(4, 4).T)


def _pose(file: DepthFile) -> np.ndarray | None:
    params = _params(file)
    if not params.is_dir():
        return None
    matrix = _matrix(params, file.number)
    if not _cam_to_world(Path(file.path).parent, params, _intrinsics(file)):
        matrix = np.linalg.inv(matrix)
    return Y_DOWN_TO_UP @ matrix


@lru_cache(maxsize=256)
def _cam_to_world(depths: Path, params: Path, intrinsics: Intrinsics) -> bool:
    """Whether the poses take the camera to the world or the other way, on which public loaders disagree:
    the way in which the points of a frame come nearer to the next one's depth, over up to three pairs."""
    numbers = sorted(int(file.stem) for file in depths.glob("*.png") if file.stem.isdigit())
    pairs = [(a, b) for a, b in pairwise(numbers) if b == a + 1]
    residuals = np.zeros(2)
    for a, b in [pairs[k] for k in sorted({0, len(pairs) // 2, len(pairs) - 1})] if pairs else ():
        try:
            before, after = (decoding.centimetres(depths / f"{n:06d}.png") for n in (a, b))
            here, there = (_matrix(params, n) for n in (a, b))
        except SceneError:  # it is told when that frame is asked for
            continue
        matrix = intrinsics.matrix(before.shape[1], before.shape[0])
        residuals[0] += depth_residual(before, after, np.linalg.inv(there) @ here, matrix)
        residuals[1] += depth_residual(before, after, there @ np.linalg.inv(here), matrix)
    logger.info(
        "%s: depth residual %.4f with poses camera to world, %.4f with world to camera", params, *residuals
    )
    return bool(residuals[0] <= residuals[1])


def depth_residual(
    before: np.ndarray, after: np.ndarray, motion: np.ndarray, intrinsics: np.ndarray
) -> float:
    """The mean share by which the points of one depth map (H, W), moved by ``motion`` (4, 4) into the camera
    of another, differ from its depth, 0.3 at most each; infinite where they meet nowhere. Metres, pixels.

    A mean, as the ground, which is most of the picture, hardly changes with a step forwards.
    """
    rows, columns = np.mgrid[: before.shape[0], : before.shape[1]][:, ::4, ::4].reshape(2, -1)
    z = before[rows, columns].astype(np.float64)
    keep = (z > 0) & (z < OUTDOORS)
    rays = np.stack([slope(columns, intrinsics, 0), slope(rows, intrinsics, 1), np.ones(len(z))])
    points = motion[:3, :3] @ (rays * z)[:, keep] + motion[:3, 3:]
    points = points[:, points[2] > 0.1]
    column = np.floor(intrinsics[0, 0] * points[0] / points[2] + intrinsics[0, 2])
    row = np.floor(intrinsics[1, 1] * points[1] / points[2] + intrinsics[1, 2])
    inside = (row >= 0) & (row < after.shape[0]) & (column >= 0) & (column < after.shape[1])
    measured = after[row[inside].astype(int), column[inside].astype(int)]
    met = measured > 0
    if not met.any():
        return np.inf
    return float(np.minimum(np.abs(points[2, inside][met] / measured[met] - 1), 0.3).mean())


def _rand_picture(file: DepthFile) -> Path | None:
    path = Path(file.path)
    top = path.parent.parent.parent if path.parent.parent.name == "Depth" else path.parent.parent
    return existing(top / "RGB" / path.name) or existing(top / "RGB" / "RGB" / path.name)


def _sf_picture(file: DepthFile) -> Path | None:
    path = Path(file.path)
    return existing(file.folder / path.parent.name.replace("Depth", "RGB") / path.name)


LAYOUTS = (
    Layout(
        "SYNTHIA-SEQS", re.compile(r"(?:^|/)Depth/Stereo_(?:Left|Right)/Omni_[FBLR]/(?P<n>\d{6})\.png$"), 3,
        decoding.centimetres, _seqs_picture, _intrinsics, _pose, False, OUTDOORS,
    ),
    Layout(
        "SYNTHIA-RAND-CITYSCAPES", re.compile(r"(?:^|/)Depth/(?P<n>\d{7})\.png$"), 1,
        decoding.centimetres, _rand_picture, partial(fixed, INTRINSICS), no_pose, False, OUTDOORS,
    ),
    Layout(
        "SYNTHIA-SF", re.compile(r"(?:^|/)SEQ[^/]*/Depth(?:Left|Right)/(?P<n>\d+)\.png$"), 1,
        decoding.packed_rgb, _sf_picture,
        partial(fixed, Intrinsics(847.630211643, 847.630211643, 960.0, 540.0, (1920, 1080))),
        no_pose, False, OUTDOORS,
    ),
)  # fmt: skip
