"""Depth maps fused into a signed distance field, and the surface of that (Curless and Levoy 1996)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from scenes.capture.stages import CaptureError
from spatial_envs.foundation.compilation import njit
from spatial_envs.geometry.camera import inverse_pose
from spatial_envs.geometry.mesh import Mesh

TRUNCATION = 4  # voxels on either side of a surface that a depth map tells of
LEAST = 0.3  # views at 1 m, or one at 1.8 m, that a voxel needs for a surface to pass through it
MOST = 60_000_000  # voxels


class Field:
    """A signed distance field on a grid.

    low, high  (3,) metres, what it has to hold
    voxel      metres
    Raises CaptureError for a grid of more than 60 million voxels.
    """

    def __init__(self, low: np.ndarray, high: np.ndarray, voxel: float) -> None:
        shape = tuple(int(n) for n in np.ceil((high - low) / voxel) + 1)
        if np.prod(shape) > MOST:
            size = " x ".join(f"{side:.1f}" for side in high - low)
            raise CaptureError(
                f"surface: voxel: got {voxel} m for a space of {size} m; expected at most {MOST:,} voxels"
            )
        self.low, self.voxel = np.asarray(low, np.float64), voxel
        self.distance = np.ones(shape, np.float32)  # in truncations, positive in front of a surface
        self.weight = np.zeros(shape, np.float32)
        self.color = np.zeros((*shape, 4), np.float32)  # of surfaces, and the weight of that

    def add(
        self, depth: np.ndarray, rgb: np.ndarray, intrinsics: np.ndarray, cam_to_world: np.ndarray
    ) -> None:
        """Take in a depth map (H, W), metres, 0 = not measured, with its picture (H, W, 3) uint8, intrinsics
        (3, 3), pixels, and pose (4, 4), OpenCV axes. It counts by the inverse square of the depth."""
        world_to_cam = inverse_pose(np.asarray(cam_to_world, np.float64))
        reach = self.voxel * TRUNCATION
        first, last = self._near(depth, np.asarray(intrinsics, np.float64), np.asarray(cam_to_world), reach)
        _integrate(
            self.distance, self.weight, self.color, self.low, self.voxel, reach, first, last,
            np.ascontiguousarray(depth, np.float32), np.ascontiguousarray(rgb),
            np.asarray(intrinsics, np.float64), world_to_cam,
        )  # fmt: skip

    def _near(
        self, depth: np.ndarray, intrinsics: np.ndarray, pose: np.ndarray, reach: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """The first and last voxel of a box round what a camera sees, itself included."""
        height, width = depth.shape
        far = float(depth.max()) + reach
        u, v = np.array([0, width, 0, width, 0.5]), np.array([0, 0, height, height, 0.5])
        z = np.array([far, far, far, far, 0.0])
        x, y = (u - intrinsics[0, 2]) / intrinsics[0, 0] * z, (v - intrinsics[1, 2]) / intrinsics[1, 1] * z
        corners = np.stack([x, y, z], axis=1) @ pose[:3, :3].T + pose[:3, 3]
        first = np.floor((corners.min(axis=0) - self.low) / self.voxel).astype(np.int64)
        last = np.ceil((corners.max(axis=0) - self.low) / self.voxel).astype(np.int64) + 1
        return np.maximum(first, 0), np.minimum(last, self.distance.shape)

    def surface(self) -> Mesh:
        """The mesh where the distance is 0, counter-clockwise from the side that was seen, with colours.
        CaptureError where there is none."""
        from skimage.measure import marching_cubes

        known = _whole_cubes(self.weight >= LEAST)
        try:
            vertices, faces, _, _ = marching_cubes(
                self.distance, 0.0, mask=known, gradient_direction="descent", allow_degenerate=False
            )
        except (RuntimeError, ValueError):  # it has no word for a field that is nowhere 0
            raise CaptureError(
                "surface: no surface: the depth maps agree on none; expected metres, and poses that fit"
            ) from None
        places = self.low + vertices * self.voxel
        return Mesh(places.astype(np.float32), faces.astype(np.int32), self.colors(places))

    def colors(self, points: np.ndarray) -> np.ndarray:
        """(N, 3) uint8: the colours nearest to points (N, 3)."""
        nearest = np.clip(
            np.rint((points - self.low) / self.voxel).astype(int), 0, np.array(self.weight.shape) - 1
        )
        return np.clip(np.rint(self.color[tuple(nearest.T)][:, :3]), 0, 255).astype(np.uint8)


def _whole_cubes(known: np.ndarray) -> np.ndarray:
    """(X, Y, Z) bool: the last corners of those cubes of which all eight corners are known. marching_cubes
    asks its mask for a cube's last corner only."""
    whole = known.copy()
    for axis in range(3):
        first = np.roll(whole, 1, axis)
        first[(slice(None),) * axis + (0,)] = False
        whole &= first
    return whole


def bounds(points: Iterable[np.ndarray], margin: float) -> tuple[np.ndarray, np.ndarray]:
    """The box, (3,) lowest and highest, that holds 99.8 % along each axis of points (N, 3) and ``margin``."""
    every = np.concatenate(list(points))
    low, high = np.percentile(every, (0.1, 99.9), axis=0)
    return low - margin, high + margin


@njit
def _integrate(distance, weight, color, low, voxel, reach, first, last, depth, rgb, intrinsics, world_to_cam):
    height, width = depth.shape
    for i in range(first[0], last[0]):
        x = low[0] + i * voxel
        for j in range(first[1], last[1]):
            y = low[1] + j * voxel
            ax = world_to_cam[0, 0] * x + world_to_cam[0, 1] * y + world_to_cam[0, 3]
            ay = world_to_cam[1, 0] * x + world_to_cam[1, 1] * y + world_to_cam[1, 3]
            az = world_to_cam[2, 0] * x + world_to_cam[2, 1] * y + world_to_cam[2, 3]
            for k in range(first[2], last[2]):
                z = low[2] + k * voxel
                pz = az + world_to_cam[2, 2] * z
                if pz <= 0.05:
                    continue
                u = intrinsics[0, 0] * (ax + world_to_cam[0, 2] * z) / pz + intrinsics[0, 2]
                v = intrinsics[1, 1] * (ay + world_to_cam[1, 2] * z) / pz + intrinsics[1, 2]
                if u < 0.0 or v < 0.0 or u >= width or v >= height:
                    continue
                measured = depth[int(v), int(u)]
                if measured <= 0.0 or measured - pz < -reach:
                    continue
                told = min((measured - pz) / reach, 1.0)
                gained = 1.0 / (pz * pz)
                total = weight[i, j, k] + gained
                distance[i, j, k] = (distance[i, j, k] * weight[i, j, k] + told * gained) / total
                if told < 1.0:
                    color[i, j, k, 3] += gained
                    for c in range(3):
                        old = color[i, j, k, c]
                        color[i, j, k, c] = old + (rgb[int(v), int(u), c] - old) * gained / color[i, j, k, 3]
                weight[i, j, k] = total
