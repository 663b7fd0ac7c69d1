"""What each direction would add to the views of an object, by few points of its surface."""

from __future__ import annotations

import numpy as np

from spatial_envs.foundation.compilation import njit
from spatial_envs.geometry.camera import Region, fibonacci_directions, pinhole, turn_about_y
from spatial_envs.geometry.mesh import Mesh
from spatial_envs.geometry.sampling import surface_samples
from spatial_envs.nbv.candidates import CANDIDATES
from spatial_envs.rendering.builtin import rasterise

REGION = Region((1.2, 2.0))
SURFACE, LOOKOUTS = 384, 256  # points and directions of which it is known beforehand what sees what
GAIN_FLOOR = 0.012  # metres: what a complete cloud of 384 points would score, about


class SurfaceGains:
    """An object, with what is needed to say how much each direction would add: 384 points of its surface,
    their distances from each other, and from what each of 256 directions sees."""

    def __init__(self, mesh: Mesh, rng: np.random.Generator) -> None:
        self.mesh = mesh
        points, faces = surface_samples(mesh, 3 * SURFACE, rng)
        self.normals = mesh.face_normals[faces]
        intrinsics = pinhole(50, (64, 64))
        poses = REGION.fibonacci_poses(LOOKOUTS)
        sees = np.stack([visible(points, self.normals, mesh, pose, intrinsics, 64) for pose in poses])
        kept = np.flatnonzero(sees.any(axis=0))[:SURFACE]
        self.points, self.normals = points[kept], self.normals[kept]
        self.apart = np.linalg.norm(self.points[:, None] - self.points[None], axis=2).astype(np.float32)
        self.from_lookouts = np.stack([nearest_seen(self.apart, seen) for seen in sees[:, kept]])
        self.lookouts = fibonacci_directions(LOOKOUTS, REGION.max_elevation)

    def gains(self, seen: np.ndarray, azimuth: float) -> np.ndarray:
        """(64,) float32: log gain of the candidates of the frame whose azimuth 0 is ``azimuth``, radians."""
        candidates = fibonacci_directions(CANDIDATES, REGION.max_elevation) @ turn_about_y(azimuth)[:3, :3].T
        rows = np.argmax(candidates @ self.lookouts.T, axis=1)
        now = nearest_seen(self.apart, seen)
        after = np.minimum(self.from_lookouts[rows], now).mean(axis=1)
        return (np.log(now.mean() + GAIN_FLOOR) - np.log(after + GAIN_FLOOR)).astype(np.float32)


def visible(points, normals, mesh: Mesh, pose: np.ndarray, intrinsics: np.ndarray, size: int) -> np.ndarray:
    """(n,) bool: which points (n, 3) the camera sees, by a picture of size x size pixels."""
    inverse_depth, _ = rasterise(mesh, pose, intrinsics, (size, size))
    return _visible(
        points, normals, inverse_depth, np.asarray(pose, np.float64), np.asarray(intrinsics, np.float64)
    )


@njit
def _visible(points, normals, inverse_depth, pose, intrinsics):
    height, width = inverse_depth.shape
    seen = np.zeros(points.shape[0], np.bool_)
    for row in range(points.shape[0]):
        dx, dy, dz = points[row, 0] - pose[0, 3], points[row, 1] - pose[1, 3], points[row, 2] - pose[2, 3]
        x = pose[0, 0] * dx + pose[1, 0] * dy + pose[2, 0] * dz
        y = pose[0, 1] * dx + pose[1, 1] * dy + pose[2, 1] * dz
        z = pose[0, 2] * dx + pose[1, 2] * dy + pose[2, 2] * dz
        if z <= 0.0:
            continue
        u, v = intrinsics[0, 0] * x / z + intrinsics[0, 2], intrinsics[1, 1] * y / z + intrinsics[1, 2]
        if u < 0.0 or v < 0.0 or u >= width or v >= height:
            continue
        facing = abs(normals[row, 0] * dx + normals[row, 1] * dy + normals[row, 2] * dz)
        if facing < 0.05 * np.sqrt(dx * dx + dy * dy + dz * dz):
            continue
        shown = inverse_depth[int(v), int(u)]
        seen[row] = shown > 0.0 and z < 1.0 / shown + 0.02
    return seen


@njit
def nearest_seen(apart, seen):
    """(n,) float32: distance of each point to the nearest that is seen; 1 m where none is."""
    out = np.ones(apart.shape[0], np.float32)
    for row in range(apart.shape[0]):
        for other in range(apart.shape[0]):
            if seen[other] and apart[row, other] < out[row]:
                out[row] = apart[row, other]
    return out
