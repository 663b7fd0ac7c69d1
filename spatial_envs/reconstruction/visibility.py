"""Which samples of a surface a set of cameras sees."""

from __future__ import annotations

import numpy as np

from spatial_envs.foundation.compilation import njit
from spatial_envs.foundation.errors import MeshError
from spatial_envs.geometry.camera import slope
from spatial_envs.geometry.mesh import Mesh
from spatial_envs.geometry.sampling import surface_samples
from spatial_envs.reconstruction.reference import DENSE_POINTS
from spatial_envs.rendering.builtin import rasterise_where

SLANT = 0.01  # metres by which depth may change from a sample to its pixel's centre for the view to count
TOLERANCE = 0.0015  # metres behind the picture's surface at which a sample still counts as seen


def visible_samples(
    mesh: Mesh,
    poses: np.ndarray,
    intrinsics: np.ndarray,
    image_size: tuple[int, int],
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Points (100_000, 3) float32, uniform over the surface that at least one of the cameras (K, 4, 4) sees,
    and the face of each. MeshError where none sees anything."""
    found: list[tuple[np.ndarray, np.ndarray]] = []
    missing = DENSE_POINTS
    while missing > 0:
        points, faces = surface_samples(mesh, DENSE_POINTS + DENSE_POINTS // 5, rng)
        seen = _seen(mesh, points, mesh.face_normals[faces], poses, intrinsics, image_size, missing)
        if seen.mean() < 0.001:
            raise MeshError("mesh: got a surface that no camera of the region sees")
        found.append((points[seen], faces[seen]))
        missing -= int(seen.sum())
    places, owners = (np.concatenate(parts)[:DENSE_POINTS] for parts in zip(*found, strict=True))
    return places, owners


def _seen(
    mesh: Mesh,
    points: np.ndarray,
    normals: np.ndarray,
    poses: np.ndarray,
    intrinsics: np.ndarray,
    image_size: tuple[int, int],
    enough: int,
) -> np.ndarray:
    """(N,) bool: which points (N, 3) with these normals any of the cameras sees; exact up to the point with
    which ``enough`` are seen, as nothing after it is looked for.

    The cameras come shuffled, so that the first few look from everywhere already. Most points are seen after
    a few of them, and those that come later draw only the pixels that tell of a point still unseen.
    """
    seen = np.zeros(len(points), np.bool_)
    unseen = np.arange(len(points))
    pixels = np.empty(len(points), np.int64)
    depths = np.empty((len(points), 2))
    for k in np.random.default_rng(0).permutation(len(poses)):
        wanted = np.zeros(image_size, np.bool_)
        _look(points, normals, unseen, intrinsics, poses[k], wanted, pixels, depths)
        inverse_depth = rasterise_where(mesh, poses[k], intrinsics, wanted)
        left = _mark_seen(unseen, inverse_depth, pixels, depths, seen, enough)
        unseen = unseen[:left]
        if left == 0:
            break
    return seen


@njit
def _look(points, normals, rows, intrinsics, pose, wanted, pixels, depths):
    """For each of the rows: the pixel that its point falls into, -1 where the picture says nothing about it;
    at that pixel's centre the depth of the plane through the point, and the point's own. Such pixels are
    ``wanted``."""
    height, width = wanted.shape
    for k in range(rows.shape[0]):
        row = rows[k]
        pixels[k] = -1
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
        x = slope(int(u), intrinsics, 0)
        y = slope(int(v), intrinsics, 1)
        along, across = 0.0, 0.0
        delta = (dx, dy, dz)
        for axis in range(3):
            along += normals[row, axis] * delta[axis]
            across += normals[row, axis] * (pose[axis, 0] * x + pose[axis, 1] * y + pose[axis, 2])
        if abs(along - z * across) > SLANT * abs(across):
            continue  # seen almost edge-on the plane's depth says nothing; another camera looks from above
        pixels[k] = int(v) * width + int(u)
        depths[k, 0], depths[k, 1] = along / across, z
        wanted[int(v), int(u)] = True


@njit
def _mark_seen(rows, inverse_depth, pixels, depths, seen, enough):
    """Mark the points that this picture shows: where the plane through the point has the depth that the
    picture shows, or else the point is before it. The rows still unseen are moved to the front, less those
    after the point with which ``enough`` are seen; returns how many there are."""
    shown = inverse_depth.ravel()
    left = 0
    for k in range(rows.shape[0]):
        row = rows[k]
        if row - left >= enough:
            break
        if pixels[k] >= 0 and shown[pixels[k]] > 0.0:
            surface = 1.0 / np.float32(shown[pixels[k]])
            behind = depths[k, 0] - surface
            seen[row] = behind <= TOLERANCE and (behind >= -TOLERANCE or depths[k, 1] <= surface + TOLERANCE)
        if not seen[row]:
            rows[left] = row
            left += 1
    return left
