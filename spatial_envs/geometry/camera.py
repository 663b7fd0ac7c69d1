"""Cameras: intrinsics, poses that look at things, directions on the sphere. OpenCV axes, Y up, metres."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numba.extending import register_jitable

from spatial_envs.foundation.compilation import njit


@register_jitable
def slope(pixel, intrinsics, axis):
    """Metres to the right (axis 0, of columns) or down (axis 1, of rows) for a metre along the optical axis,
    on the ray through the pixel's centre; intrinsics (3, 3)."""
    return (pixel + 0.5 - intrinsics[axis, 2]) / intrinsics[axis, axis]


def pinhole(fov: float, image_size: tuple[int, int]) -> np.ndarray:
    """(3, 3) float32, pixels: square pixels, the field of view ``fov`` (degrees) across the shorter side."""
    height, width = image_size
    focal = min(height, width) / (2 * np.tan(np.radians(fov) / 2))
    return np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]], np.float32)


def fibonacci_directions(count: int, max_elevation: float = 90.0) -> np.ndarray:
    """(count, 3) float64 unit vectors, evenly spread over elevations within +-max_elevation degrees.

    The golden-angle spiral with equal areas (Gonzalez 2010), from below to above; azimuth 0 is +Z.
    """
    k = np.arange(count) + 0.5
    elevation = np.arcsin((2 * k / count - 1) * np.sin(np.radians(max_elevation)))
    azimuth = np.pi * (1 + np.sqrt(5)) * k
    return direction(azimuth, elevation)


def direction(azimuth, elevation) -> np.ndarray:
    """(..., 3) unit vectors; radians, azimuth 0 along +Z and growing towards +X, elevation towards +Y."""
    across = np.cos(elevation)
    return np.stack([across * np.sin(azimuth), np.sin(elevation), across * np.cos(azimuth)], axis=-1)


def turn_about_y(azimuth: float) -> np.ndarray:
    """(4, 4) float64: the rotation about +Y that takes azimuth 0 to ``azimuth``, radians."""
    turn = np.eye(4)
    turn[0, 0] = turn[2, 2] = np.cos(azimuth)
    turn[0, 2], turn[2, 0] = np.sin(azimuth), -np.sin(azimuth)
    return turn


def look_at(position: torch.Tensor) -> torch.Tensor:
    """Cameras at ``position`` (..., 3) that look at the origin, +Y upwards in the picture: (..., 4, 4)
    cam_to_world. Differentiable; straight above or below the origin the picture's right is +X."""
    forward = -position / position.norm(dim=-1, keepdim=True).clamp_min(1e-12)
    x, z = forward[..., 0], forward[..., 2]
    across = x * x + z * z  # squared sine of the angle to the vertical
    pole = across < 1e-12
    scale = torch.where(pole, torch.ones_like(across), across).rsqrt()
    zero = torch.zeros_like(x)
    right = torch.stack(
        [torch.where(pole, torch.ones_like(x), -z * scale), zero, torch.where(pole, zero, x * scale)], dim=-1
    )
    down = torch.cross(forward, right, dim=-1)
    rotation = torch.stack([right, down, forward], dim=-1)
    pose = torch.cat([rotation, position.unsqueeze(-1)], dim=-1)
    bottom = torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=pose.dtype, device=pose.device)
    return torch.cat([pose, bottom.expand(*pose.shape[:-2], 1, 4)], dim=-2)


def facing_origin(position: np.ndarray) -> np.ndarray:
    """``look_at`` for arrays: (..., 3), metres -> (..., 4, 4) float64 cam_to_world."""
    return look_at(torch.as_tensor(position, dtype=torch.float64)).numpy()


@dataclass(frozen=True)
class Region:
    """Where a camera may be: radius (inner, outer), metres, and elevation within +-max_elevation degrees,
    about the object's centre, which is the origin."""

    radius: tuple[float, float]
    max_elevation: float = 80.0

    @property
    def middle(self) -> float:
        """The middle radius, metres."""
        return (self.radius[0] + self.radius[1]) / 2

    def contains(self, position: np.ndarray, slack: float = 1e-5) -> np.ndarray:
        """(...,) bool for camera centres (..., 3), metres."""
        radius = np.linalg.norm(position, axis=-1)
        height = np.abs(position[..., 1])
        return (
            (radius >= self.radius[0] - slack)
            & (radius <= self.radius[1] + slack)
            & (height <= radius * np.sin(np.radians(self.max_elevation)) + slack)
        )

    def fibonacci_poses(self, count: int) -> np.ndarray:
        """(count, 4, 4) float64 cam_to_world, spread over the region at the middle radius."""
        return facing_origin(fibonacci_directions(count, self.max_elevation) * self.middle)


def inverse_pose(pose: np.ndarray) -> np.ndarray:
    """(..., 4, 4): the inverse of rigid transforms."""
    inverse = np.zeros_like(pose)
    inverse[..., :3, :3] = np.swapaxes(pose[..., :3, :3], -1, -2)
    inverse[..., :3, 3] = -np.einsum("...ji,...j->...i", pose[..., :3, :3], pose[..., :3, 3])
    inverse[..., 3, 3] = 1
    return inverse


def projected(points: np.ndarray, cam_to_world: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
    """(N, 3): column and row, pixels, and depth along the optical axis, metres, of points (N, 3) in the world
    frame; of what lies behind the camera only the depth means anything."""
    inverse = inverse_pose(cam_to_world)
    camera = points @ inverse[:3, :3].T + inverse[:3, 3]
    z = np.where(np.abs(camera[:, 2]) < 1e-6, 1e-6, camera[:, 2])
    x, y = (intrinsics[k, k] * camera[:, k] / z + intrinsics[k, 2] for k in (0, 1))
    return np.stack([x, y, camera[:, 2]], axis=1)


@njit
def transform_points(pose, points):
    """Points (N, 3) float32 moved by a rigid transform (4, 4); in a loop, as BLAS threads stall
    on so little."""
    moved = np.empty_like(points)
    for row in range(points.shape[0]):
        x, y, z = points[row, 0], points[row, 1], points[row, 2]
        for axis in range(3):
            moved[row, axis] = pose[axis, 0] * x + pose[axis, 1] * y + pose[axis, 2] * z + pose[axis, 3]
    return moved


@njit
def unproject(depth, intrinsics, cam_to_world):
    """Points (H, W, 3) float32, metres, world frame, from depth (H, W) along the optical axis, metres;
    the camera's centre where depth is 0. intrinsics (3, 3), cam_to_world (4, 4)."""
    height, width = depth.shape
    points = np.empty((height, width, 3), np.float32)
    for row in range(height):
        y = slope(row, intrinsics, 1)
        for column in range(width):
            x = slope(column, intrinsics, 0)
            z = depth[row, column]
            for axis in range(3):
                ray = cam_to_world[axis, 0] * x + cam_to_world[axis, 1] * y + cam_to_world[axis, 2]
                points[row, column, axis] = z * ray + cam_to_world[axis, 3]
    return points


@njit
def measured_points(depth, intrinsics, cam_to_world):
    """The points (N, 3) of ``unproject`` at the pixels whose depth is positive, row by row."""
    height, width = depth.shape
    points = np.empty((height * width, 3), np.float32)
    count = 0
    for row in range(height):
        y = slope(row, intrinsics, 1)
        for column in range(width):
            z = depth[row, column]
            if z > 0:
                x = slope(column, intrinsics, 0)
                for axis in range(3):
                    ray = cam_to_world[axis, 0] * x + cam_to_world[axis, 1] * y + cam_to_world[axis, 2]
                    points[count, axis] = z * ray + cam_to_world[axis, 3]
                count += 1
    return points[:count]
