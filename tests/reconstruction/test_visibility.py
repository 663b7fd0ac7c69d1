"""What cameras see of a surface: as by drawing every picture whole and asking it about every sample."""

from __future__ import annotations

import numpy as np
import pytest

from spatial_envs.geometry.camera import Region, pinhole
from spatial_envs.geometry.kdtree import KDTree
from spatial_envs.geometry.mesh import Mesh
from spatial_envs.geometry.sampling import surface_samples
from spatial_envs.procedural.objects.families import procedural_object
from spatial_envs.reconstruction.chamfer import ChamferTracker
from spatial_envs.reconstruction.coverage import Coverage
from spatial_envs.reconstruction.reference import DENSE_POINTS
from spatial_envs.reconstruction.visibility import SLANT, TOLERANCE, visible_samples
from spatial_envs.rendering.builtin import rasterise

SIZE = (60, 80)
INTRINSICS = pinhole(50.0, SIZE)


def seen(points: np.ndarray, normals: np.ndarray, picture: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """(N,) bool: the slow and obvious twin of one camera."""
    k = INTRINSICS.astype(np.float64)
    local = (points - pose[:3, 3]) @ pose[:3, :3]
    z = np.where(local[:, 2] > 0, local[:, 2], np.nan)
    with np.errstate(invalid="ignore"):
        u, v = k[0, 0] * local[:, 0] / z + k[0, 2], k[1, 1] * local[:, 1] / z + k[1, 2]
        told = (u >= 0) & (v >= 0) & (u < SIZE[1]) & (v < SIZE[0])
    column, row = np.where(told, u, 0).astype(int), np.where(told, v, 0).astype(int)
    shown = picture[row, column]
    told &= shown > 0
    ray = np.stack(
        [(column + 0.5 - k[0, 2]) / k[0, 0], (row + 0.5 - k[1, 2]) / k[1, 1], np.ones(len(z))], axis=1
    )
    along = ((points - pose[:3, 3]) * normals).sum(axis=1)
    across = ((ray @ pose[:3, :3].T) * normals).sum(axis=1)
    told &= np.abs(along - z * across) <= SLANT * np.abs(across)
    surface = 1 / np.where(told, shown, 1)
    behind = along / np.where(told, across, 1) - surface
    return told & (behind <= TOLERANCE) & ((behind >= -TOLERANCE) | (z <= surface + TOLERANCE))


@pytest.fixture(scope="module")
def half_hidden() -> Mesh:
    """An object with a smaller one inside of it, which no camera sees: more than one round of samples."""
    outer, inner = procedural_object(4), procedural_object(2)
    vertices = np.concatenate([outer.vertices, inner.vertices * np.float32(0.05)])
    copies = [outer.faces, *[inner.faces + len(outer.vertices)] * 60]
    return Mesh(vertices, np.concatenate(copies), np.zeros(vertices.shape, np.uint8))


@pytest.mark.parametrize("count", [1, 12])
def test_each_sample_is_seen_or_not_as_by_whole_pictures(half_hidden, count):
    poses = Region((1.2, 2.0)).fibonacci_poses(count)
    found, owners = visible_samples(half_hidden, poses, INTRINSICS, SIZE, np.random.default_rng(3))
    pictures = [rasterise(half_hidden, pose, INTRINSICS, SIZE)[0].astype(np.float32) for pose in poses]
    rng, expected, rounds = np.random.default_rng(3), np.zeros((0, 3), np.float32), 0
    while len(expected) < DENSE_POINTS:
        points, faces = surface_samples(half_hidden, DENSE_POINTS + DENSE_POINTS // 5, rng)
        normals = half_hidden.face_normals[faces].astype(np.float64)
        each = [seen(points.astype(np.float64), normals, *view) for view in zip(pictures, poses, strict=True)]
        expected = np.concatenate([expected, points[np.any(each, axis=0)]])
        rounds += 1
    assert rounds > 1
    assert found.shape == (DENSE_POINTS, 3)
    corners = half_hidden.vertices[half_hidden.faces[owners]].astype(np.float64)
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    height = np.einsum("nk,nk->n", found - corners[:, 0], normal) / np.linalg.norm(normal, axis=1)
    assert np.abs(height).max() < 1e-5
    there = {row.tobytes() for row in expected[:DENSE_POINTS]}
    assert sum(row.tobytes() not in there for row in found) < 5  # which rounding decides otherwise


@pytest.mark.parametrize("spread", [0.02, 0.3])
def test_coverage_is_the_trackers(spread):
    rng = np.random.default_rng(0)
    reference = rng.normal(size=(3000, 3)).astype(np.float32) * np.float32(0.2)
    coverage, tracker = Coverage(reference, 1.0), ChamferTracker(reference, KDTree(reference), 1.0)
    shares = []
    for _ in range(6):
        points = (rng.normal(0, spread, (400, 3)) + rng.normal(0, 0.1, 3)).astype(np.float32)
        points[0] = rng.normal(0, 5, 3)  # one far outside of the reference's box
        coverage.add(points)
        tracker.add(points)
        shares.append(coverage.share)
        assert shares[-1] == tracker.metrics()["coverage"]
    assert 0 < shares[0] < shares[-1] < 1
    coverage.add(reference)
    assert coverage.share == 1.0
