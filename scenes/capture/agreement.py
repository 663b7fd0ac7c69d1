"""Whether depth maps, poses, intrinsics and pictures fit each other: each frame's points in the next one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from PIL import Image

from scenes.capture.frames import Frame
from scenes.capture.pose_files import Camera
from scenes.capture.stages import CaptureError, Gate
from spatial_envs.geometry.camera import inverse_pose, measured_points
from spatial_envs.scenes.depth_layouts.layout import Y_DOWN_TO_UP, Z_UP_TO_Y_UP

AGREES = 0.03  # of the depth, by which two views of one place may differ: of a real sensor's 0.004 to 0.012
LOST = 0.1  # of it, by which a frame differs from both neighbours where its pose was lost
ALIKE = 0.3  # correlation of the grey levels of two views of one place: of real ones 0.94
BEHIND, MOVED = 0.1, 0.08  # of the depth, and of the places that are seen that far behind where something was
STRIDE = 4  # pixels between those that are compared
FEWEST = 100  # places that two frames have to share
WORLDS = (np.eye(4), Y_DOWN_TO_UP, Z_UP_TO_Y_UP)  # by which data sets' poses are turned


class Compared(NamedTuple):
    """Two frames where both see a place; NaN where they share too little.

    differ   the middle difference of its depth, as a share
    alike    the correlation of its grey levels
    through  the share of places that are seen through in the other frame
    """

    differ: float = np.nan
    alike: float = np.nan
    through: float = np.nan


def agreement(cameras: Sequence[Camera], frames: Sequence[Frame]) -> tuple[list[Camera], list[Gate]]:
    """The cameras, in order, without those whose pose contradicts both neighbours' while these agree; and the
    gates. CaptureError where depth maps agree under the inverse poses only."""
    by_name = {frame.name: frame for frame in frames}
    pairs = [compared(by_name, a, b) for a, b in pairwise(cameras)]
    here = _middle([pair.differ for pair in pairs])
    inverse = np.inf
    if here > AGREES:
        some = list(pairwise(cameras))[:: max(len(pairs) // 12, 1)]
        inverse = min(_middle([compared(by_name, a, b, world).differ for a, b in some]) for world in WORLDS)
    if inverse < AGREES:
        raise CaptureError(
            f"poses: depth maps differ by {here:.0%} under them and by {inverse:.0%} under their inverses: "
            "they look like world-to-camera; expected camera-to-world"
        )
    lost = [
        k
        for k in range(1, len(cameras) - 1)
        if min(pairs[k - 1].differ, pairs[k].differ) > LOST
        and compared(by_name, cameras[k - 1], cameras[k + 1]).differ < AGREES
    ]
    kept = [pair for k, pair in enumerate(pairs) if k not in lost and k + 1 not in lost]
    alike = _middle([pair.alike for pair in kept])
    shares = [pair.through for pair in kept if np.isfinite(pair.through)]
    through = float(np.mean(shares)) if shares else 0.0
    told = f"; {len(lost)} left out, whose pose contradicts both neighbours'" if lost else ""
    gates = [
        Gate(
            "poses fit depth", here <= AGREES, f"depth differs by {here:.1%} between neighbours{told}",
            f"at most {AGREES:.0%}",
            "Poses, intrinsics and depth do not fit each other: check their units, order and axes.",
        ),
        Gate(
            "pictures fit depth", not alike < ALIKE, f"a place's grey levels correlate by {alike:.2f}",
            f"at least {ALIKE:g}", "Pictures and depth are not of the same moments: check their order.",
            required=False,
        ),
        Gate(
            "nothing moved", through <= MOVED, f"{through:.1%} of places are seen through a moment later",
            f"at most {MOVED:.0%}",
            "Something moved, or poses jump: film while nobody is in the room, and move slowly.",
            required=False,
        ),
    ]  # fmt: skip
    return [camera for k, camera in enumerate(cameras) if k not in lost], gates


def compared(frames: Mapping[str, Frame], a: Camera, b: Camera, world: np.ndarray | None = None) -> Compared:
    """What the first camera's frame measures against what the second's does. world (4, 4): what the poses
    were turned by when they were read, if their inverses are meant."""
    poses = [a.pose, b.pose]
    pose, there = poses if world is None else [inverse_pose(inverse_pose(world) @ pose) for pose in poses]
    near, far = frames[a.name].read_depth()[::STRIDE, ::STRIDE], frames[b.name].read_depth()
    points = measured_points(np.ascontiguousarray(near), a.strided(STRIDE), pose)
    across, down, away = replace(b, cam_to_world=there).project(points)
    inside = (away > 0.1) & (across >= 0) & (down >= 0) & (across < far.shape[1]) & (down < far.shape[0])
    row, column = down[inside].astype(int), across[inside].astype(int)
    measured, told = far[row, column], away[inside]
    known = measured > 0
    if known.sum() <= FEWEST:
        return Compared()
    off = (measured - told)[known] / told[known]
    same = np.abs(off) < AGREES
    one = _grey(frames[a.name])[::STRIDE, ::STRIDE][near > 0][inside][known][same]
    other = _grey(frames[b.name])[row, column][known][same]
    flat = len(one) <= FEWEST or one.std() < 1 or other.std() < 1
    alike = np.nan if flat else float(np.corrcoef(one, other)[0, 1])
    return Compared(float(np.median(np.abs(off))), alike, float((off > BEHIND).mean()))


def _middle(values: Sequence[float]) -> float:
    """The median of those that are known; infinite where none is."""
    return float(np.nanmedian(values)) if np.isfinite(values).any() else np.inf


def _grey(frame: Frame) -> np.ndarray:
    with Image.open(frame.picture) as image:
        return np.asarray(image.convert("L"), np.float64)
