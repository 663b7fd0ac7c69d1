"""Which samples of a surface a set of cameras sees."""

from __future__ import annotations

import numpy as np

from spatial_envs.foundation.compilation import njit
from spatial_envs.foundation.errors import MeshError
from spatial_envs.geometry.camera import slope
from spatial_envs.geometry.mesh import Mesh
from spatial_envs.geometry.sampling import surface_samples
from spatial_envs.reconstruction.reference import DENSE_POINTS
from spatial_envs.rendering.builtin import rasterise

SLANT = 0.01  # metres by which depth may change from a sample to its pixel's centre for the view to count
TOLERANCE = 0.0015  # metres behind the picture's surface at which a sample still counts as seen


def visible_samples(
    mesh: Mesh,
    poses: np.ndarray,
    intrinsics: np.ndarray,
    image_size: tuple[int, int],
    rng: np.random.Generator,
) -> np.ndarray:
    """(100_000, 3) float32: uniform over the surface that at least one of the cameras (K, 4, 4) sees.
    MeshError where none sees anything."""
    pictures = [rasterise(mesh, pose, intrinsics, image_size)[0].astype(np.float32) for pose in poses]
    found: list[np.ndarray] = []
    while sum(len(points) for points in found) < DENSE_POINTS:
        points, faces = surface_samples(mesh, DENSE_POINTS + DENSE_POINTS // 5, rng)
        normals = mesh.face_normals[faces]
        seen = np.zeros(len(points), np.bool_)
        for picture, pose in zip(pictures, poses, strict=True):
            _mark_seen(points, normals, picture, intrinsics, pose, seen)
        if seen.mean() < 0.001:
            raise MeshError("mesh: got a surface that no camera of the region sees")
        found.append(points[seen])
    return np.concatenate(found)[:DENSE_POINTS]


@njit
def _mark_seen(points, normals, inverse_depth, intrinsics, pose, seen):
    """Mark the points that this picture shows: where the plane through the point, at the centre of the
    pixel that the point falls into, has the depth that the picture shows, or else the point is before it."""
    height, width = inverse_depth.shape
    for row in range(points.shape[0]):
        if seen[row]:
            continue
        dx = points[row, 0] - pose[0, 3]
        dy = points[row, 1] - pose[1, 3]
        dz = points[row, 2] - pose[2, 3]
        z = pose[0, 2] * dx + pose[1, 2] * dy + pose[2, 2] * dz
        if z <= 0.0:
            continue
        u = intrinsics[0, 0] * (pose[0, 0] * dx + pose[1, 0] * dy + pose[2, 0] * dz) / z + intrinsics[0, 2]
        v = intrinsics[1, 1] * (pose[0, 1] * dx + pose[1, 1] * dy + pose[2, 1] * dz) / z + intrinsics[1, 2]
        if u < 0.0 or v < 0.0 or u >= width or v >= height:
            continue
        shown = inverse_depth[int(v), int(u)]
        if shown == 0.0:
            continue
        x = slope(int(u), intrinsics, 0)
        y = slope(int(v), intrinsics, 1)
        along, across = 0.0, 0.0
        delta = (dx, dy, dz)
        for axis in range(3):
            along += normals[row, axis] * delta[axis]
            across += normals[row, axis] * (pose[axis, 0] * x + pose[axis, 1] * y + pose[axis, 2])
        if abs(along - z * across) > SLANT * abs(across):
            continue  # seen almost edge-on the plane's depth says nothing; another camera looks from above
        behind = along / across - 1.0 / shown
        seen[row] = behind <= TOLERANCE and (behind >= -TOLERANCE or z <= 1.0 / shown + TOLERANCE)
