"""What a fit is measured against: one depth map's points in a frame of its own, and the truth where known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spatial_envs.foundation.errors import SceneError
from spatial_envs.geometry.camera import inverse_pose, unproject

if TYPE_CHECKING:
    from spatial_envs.scenes.depth_frames import DepthFrame

LEAST_UNIT = 0.1  # metres


@dataclass(frozen=True, eq=False)
class Target:
    """A depth map to explain. Everything is in the fitting frame: metres, +Y up, the camera looking along -Z
    (but for its pitch), the origin at the mean of the target's points.

    points          (N, 3) float32: the pixels to explain, the ground not among them
    pixels          (N,) int64: where they are in the raveled depth map
    objects         (N,) int32 object ids from 1, or None where nobody knows
    held_out        (M, 3) float32: pixels that no fitter is shown, for scoring fits of real depth
    depth           (H, W) float32, metres along the optical axis, the ground included; 0 = nothing measured
    intrinsics      (3, 3), pixels
    cam_to_frame    (4, 4) float64, OpenCV axes
    frame_to_world  (4, 4) float64
    unit            metres: root mean square distance of the points from the origin
    surface         (S, 3) float32: all of the objects' true surface, seen or not, or None
    surface_objects (S,) int32 object ids of those, or None
    """

    points: np.ndarray
    pixels: np.ndarray
    objects: np.ndarray | None
    held_out: np.ndarray
    depth: np.ndarray
    intrinsics: np.ndarray
    cam_to_frame: np.ndarray
    frame_to_world: np.ndarray
    unit: float
    surface: np.ndarray | None
    surface_objects: np.ndarray | None

    @property
    def num_objects(self) -> int | None:
        """K, how many objects there are, or None where nobody knows."""
        return None if self.surface_objects is None else len(np.unique(self.surface_objects))


def make_target(frame: DepthFrame, held_out: float = 0.0, seed: int = 0) -> Target:
    """The target of a frame; the share ``held_out`` of its pixels, drawn by the seed, is kept from fitters.
    Raises SceneError for a frame with fewer than 8 pixels to explain."""
    view = frame.view
    pixels = np.flatnonzero(frame.target)
    if len(pixels) < 8:
        raise SceneError(f"{frame.name}: got {len(pixels)} pixels to explain; expected at least 8")
    world = unproject(view.depth, view.intrinsics, view.cam_to_world).reshape(-1, 3)
    kept = np.random.default_rng(seed).random(len(pixels)) >= held_out
    frame_to_world = _frame(view.cam_to_world, world[pixels].mean(axis=0, dtype=np.float64))
    to_frame = inverse_pose(frame_to_world)
    points = _moved(to_frame, world[pixels])
    objects = None if view.segment is None else view.segment.reshape(-1)[pixels[kept]]
    truth = frame.truth
    return Target(
        points[kept], pixels[kept], objects, points[~kept], view.depth, view.intrinsics,
        to_frame @ view.cam_to_world, frame_to_world,
        max(LEAST_UNIT, float(np.sqrt((points.astype(np.float64) ** 2).sum(axis=1).mean()))),
        None if truth is None else _moved(to_frame, truth.surface),
        None if truth is None else truth.ids,
    )  # fmt: skip


def _frame(cam_to_world: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """(4, 4) float64: world's +Y up, -Z along the camera's view in plan."""
    back = -np.asarray(cam_to_world, np.float64)[:3, 2]
    if np.hypot(back[0], back[2]) < 1e-6:  # straight down: what is below in the picture is near
        back = np.asarray(cam_to_world, np.float64)[:3, 1]
    back = np.array([back[0], 0, back[2]]) / np.hypot(back[0], back[2])
    up = np.array([0.0, 1.0, 0.0])
    frame = np.eye(4)
    frame[:3, :3] = np.column_stack([np.cross(up, back), up, back])
    frame[:3, 3] = origin
    return frame


def _moved(transform: np.ndarray, points: np.ndarray) -> np.ndarray:
    return (points @ transform[:3, :3].T + transform[:3, 3]).astype(np.float32)
