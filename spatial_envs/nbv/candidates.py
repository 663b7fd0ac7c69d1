"""The candidate views of ``action="candidates"``: where they are, which are left, what each would see."""

from __future__ import annotations

import math

import numpy as np

from spatial_envs.geometry.camera import (
    Region,
    facing_origin,
    fibonacci_directions,
    pinhole,
    turn_about_y,
)
from spatial_envs.geometry.voxels import VoxelGrid
from spatial_envs.nbv.episode import Episode

CANDIDATES = 64
NEAR_CANDIDATE = 5.0  # degrees: a candidate this near to a view counts as taken
GRID_SIDE = 1.1  # metres, of the cube of voxels that glimpses look into
GLIMPSE, GLIMPSE_FOV = 14, 40.0  # pixels, and degrees: the cube from the middle radius


class Candidates:
    """Fibonacci directions of the region at one radius, metres, counted from the first camera's azimuth, or
    with frame "world" from +Z."""

    def __init__(self, region: Region, radius: float, frame: str) -> None:
        self.region, self.radius, self.frame = region, radius, frame

    def turn(self, episode: Episode) -> float:
        """Radians: the azimuth that the directions count from."""
        return 0.0 if self.frame == "world" else azimuth(episode.views[0].cam_to_world)

    def poses(self, episode: Episode) -> np.ndarray:
        """(64, 4, 4) float32 cam_to_world, world frame."""
        turn = turn_about_y(self.turn(episode))
        directions = fibonacci_directions(CANDIDATES, self.region.max_elevation)
        return (turn @ facing_origin(directions * self.radius)).astype(np.float32)

    def left(self, episode: Episode) -> np.ndarray:
        """(64,) bool: those farther than 5 degrees from every view taken."""
        candidates = self.poses(episode)[:, :3, 3] / self.radius
        taken = episode.directions() @ episode.frame_to_world[:3, :3].T
        return (candidates @ taken.T).max(axis=1) < math.cos(math.radians(NEAR_CANDIDATE))

    def rows(self, episode: Episode) -> np.ndarray:
        """(64, 4) float32: direction from the object's centre, in the frame's axes; 1 for those left."""
        directions = self.poses(episode)[:, :3, 3] / self.radius
        in_frame = (directions @ episode.frame_to_world[:3, :3]).clip(-1, 1)
        return np.column_stack([in_frame, self.left(episode)]).astype(np.float32)

    def glimpses(self, episode: Episode) -> np.ndarray:
        """What each would see of the voxels that the views so far have filled, see ``VoxelGrid.glimpses``."""
        if episode.grid is None:
            episode.grid = VoxelGrid(GRID_SIDE)
        for view in episode.views[episode.grid.count :]:
            episode.grid.add(view)
        intrinsics = pinhole(GLIMPSE_FOV, (GLIMPSE, GLIMPSE))
        return episode.grid.glimpses(intrinsics, self.poses(episode), GLIMPSE)


def azimuth(cam_to_world: np.ndarray) -> float:
    """Return the azimuth of a camera's centre about +Y, radians, 0 along +Z."""
    return math.atan2(cam_to_world[0, 3], cam_to_world[2, 3])
