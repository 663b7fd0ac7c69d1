"""Which way is up, by what was measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from scenes.capture.pose_files import Camera
from spatial_envs.geometry.camera import measured_points
from spatial_envs.geometry.normals import normals_from_depth

STRIDE = 6  # pixels between those that are looked at
CONE = 40.0  # degrees from the cameras' mean up within which up is searched
ALIKE = 6.0  # degrees: normals of one direction
MODES = 10  # directions that are compared
LEVEL = 15.0  # degrees from up: what a floor's normals are within


class Surfels(NamedTuple):
    """points (N, 3) and the unit normals there (N, 3), world frame."""

    points: np.ndarray
    normals: np.ndarray


def surfels(views: Iterable[tuple[Camera, np.ndarray]]) -> Surfels:
    """What cameras' depth maps (H, W) measure, every few pixels, in the cameras' unit."""
    points, normals = [], []
    for camera, depth in views:
        depth = np.ascontiguousarray(depth[::STRIDE, ::STRIDE])
        lens = camera.strided(STRIDE)
        points.append(measured_points(depth, lens, camera.pose))
        normals.append(normals_from_depth(depth, lens)[depth > 0] @ camera.pose[:3, :3].T)
    return Surfels(np.concatenate(points).astype(np.float64), np.concatenate(normals).astype(np.float64))


def mean_up(cameras: Sequence[Camera]) -> np.ndarray:
    """(3,): the cameras' own up, in the mean."""
    return -np.mean([camera.pose[:3, 1] for camera in cameras], axis=0)


def find_up(seen: Surfels, guess: np.ndarray) -> tuple[np.ndarray, float]:
    """The unit direction, within 40 degrees of the guess, along which what faces it lies on fewest levels,
    of the directions in which most normals lie; and the share of all normals within 6 degrees of it."""
    guess = guess / np.linalg.norm(guess)
    cone = seen.normals[seen.normals @ guess > np.cos(np.radians(CONE))]
    if len(cone) < 100:
        return guess, 0.0
    rng = np.random.default_rng(0)
    tried = cone[rng.choice(len(cone), min(400, len(cone)), replace=False)]
    sample = cone[rng.choice(len(cone), min(20_000, len(cone)), replace=False)]
    counts = (tried @ sample.T > np.cos(np.radians(ALIKE))).sum(axis=1)
    found: list[np.ndarray] = []
    for direction in tried[np.argsort(-counts)]:
        if len(found) < MODES and all(direction @ other < np.cos(np.radians(ALIKE / 2)) for other in found):
            found.append(direction)
    ups = []
    for up in found:
        for _ in range(5):
            near = cone[cone @ up > np.cos(np.radians(ALIKE))]
            up = near.mean(axis=0) / np.linalg.norm(near.mean(axis=0))
        ups.append(up)
    up = max(ups, key=lambda up: levelness(seen, up))
    return up, alike(seen, up)


def levelness(seen: Surfels, up: np.ndarray) -> float:
    """How much of what faces up lies on few levels: the sum of squares of the points in 150 layers."""
    heights = seen.points[seen.normals @ up > np.cos(np.radians(LEVEL))] @ up
    low, high = np.percentile(heights, (1, 99))
    layers = np.histogram(heights, 150, (low, max(high, low + 1e-6)))[0]
    return float((layers.astype(np.float64) ** 2).sum())


def alike(seen: Surfels, up: np.ndarray) -> float:
    """The share of normals that lie within 6 degrees of a direction."""
    return float((seen.normals @ up > np.cos(np.radians(ALIKE))).mean())
