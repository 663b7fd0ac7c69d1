"""What a fit is measured against: one depth map's points in a frame of its own, and the truth where known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from spatial_envs.foundation.errors import SceneError
from spatial_envs.geometry.camera import inverse_pose, unproject

if TYPE_CHECKING:
    from spatial_envs.scenes.depth_frames import DepthFrame

LEAST_UNIT = 0.1  # metres
LEAST_PIXELS = 8  # to explain, of a frame


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


class Placement(NamedTuple):
    """A fitting frame: its pose in the world (4, 4) float64, and its unit, metres."""

    frame_to_world: np.ndarray
    unit: float


def make_target(frame: DepthFrame, held_out: float = 0.0, seed: int = 0) -> Target:
    """The target of a frame; the share ``held_out`` of its pixels, drawn by the seed, is kept from fitters.
    Raises SceneError for a frame with fewer than 8 pixels to explain."""
    view = frame.view
    pixels = np.flatnonzero(frame.target)
    if len(pixels) < LEAST_PIXELS:
        got = f"got {len(pixels)} pixels to explain"
        raise SceneError(f"{frame.name}: {got}; expected at least {LEAST_PIXELS}")
    kept = np.random.default_rng(seed).random(len(pixels)) >= held_out
    return placed_target(frame, placement(view.cam_to_world, frame.points), kept)


def placement(cam_to_world: np.ndarray, points: np.ndarray) -> Placement:
    """The fitting frame of points (N, 3), world frame: world's +Y up, -Z along the camera's view in plan, the
    origin at their mean; its unit is their root mean square distance from there."""
    frame = _frame(cam_to_world, points.mean(axis=0, dtype=np.float64))
    away = _moved(inverse_pose(frame), points).astype(np.float64)
    return Placement(frame, max(LEAST_UNIT, float(np.sqrt((away**2).sum(axis=1).mean()))))


def placed_target(
    frame: DepthFrame, place: Placement, kept: np.ndarray, cam_to_world: np.ndarray | None = None
) -> Target:
    """The target of a frame in a fitting frame that is given, its pixels to explain but for those that are
    not ``kept`` (N,) bool; with the camera at ``cam_to_world`` (4, 4) instead of its own pose. The truth
    stays where it is."""
    view, pixels = frame.view, np.flatnonzero(frame.target)
    own = np.asarray(view.cam_to_world, np.float64) if cam_to_world is None else cam_to_world
    world = unproject(view.depth, view.intrinsics, own.astype(np.float32)).reshape(-1, 3)
    to_frame = inverse_pose(place.frame_to_world)
    points = _moved(to_frame, world[pixels])
    objects = None if view.segment is None else view.segment.reshape(-1)[pixels[kept]]
    truth = frame.truth
    return Target(
        points[kept], pixels[kept], objects, points[~kept], view.depth, view.intrinsics,
        to_frame @ own, place.frame_to_world, place.unit,
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
