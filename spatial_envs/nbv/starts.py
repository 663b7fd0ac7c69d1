"""Where an episode of next-best-view begins: the first cameras, drawn or given."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from spatial_envs.foundation.arguments import floats
from spatial_envs.geometry.camera import Region, direction, facing_origin
from spatial_envs.nbv.actions import farthest_direction

FIXED_ELEVATION = 20.0  # degrees, of the fixed start


def initial_poses(
    generator: np.random.Generator, region: Region, start: str | float, count: int
) -> np.ndarray:
    """(count, 4, 4) float32 cam_to_world: the first view by ``start``, each further one farthest from those
    before, at the middle radius."""
    centres = [_first(generator, region, start)]
    while len(centres) < count:
        taken = np.array(centres) / np.linalg.norm(centres, axis=1, keepdims=True)
        centres.append(region.middle * farthest_direction(taken, np.eye(3), region))
    return facing_origin(np.array(centres)).astype(np.float32)


def _first(generator: np.random.Generator, region: Region, start: str | float) -> np.ndarray:
    """(3,): the first camera's centre. A cone of 0 degrees is "fixed", one of 180 is "random"."""
    degrees = {"fixed": 0.0, "random": 180.0}.get(start, start)  # type: ignore[arg-type]
    fixed = direction(0.0, math.radians(FIXED_ELEVATION))
    while True:
        drawn = generator.normal(size=3)
        offset = generator.uniform(-1, 1) * degrees / 180 * (region.radius[1] - region.middle)
        if degrees == 0:
            return region.middle * fixed
        cosine = generator.uniform(math.cos(math.radians(degrees)), 1)
        aside = drawn - drawn @ fixed * fixed
        aside /= np.linalg.norm(aside)
        centre = (region.middle + offset) * (cosine * fixed + math.sqrt(1 - cosine**2) * aside)
        if region.contains(centre, slack=0):
            return centre


def checked_views(views: Any, count: int, region: Region) -> np.ndarray:
    """(count, 4, 4) float32 cam_to_world of ``options["views"]``; ValueError for what is no rigid pose in the
    region."""
    poses = floats("options['views']", views, f"({count}, 4, 4)")
    if poses.shape != (count, 4, 4):
        raise ValueError(
            f"options['views']: got shape {poses.shape}; expected ({count}, 4, 4), one cam_to_world for each "
            "of initial_views"
        )
    rotation = poses[:, :3, :3]
    rigid = np.isfinite(poses).all() and np.allclose(poses[:, 3], [0, 0, 0, 1])
    if not rigid or not np.allclose(rotation @ rotation.transpose(0, 2, 1), np.eye(3), atol=1e-3):
        raise ValueError("options['views']: got matrices that are no rigid cam_to_world poses")
    if np.linalg.det(rotation).min() < 0:
        raise ValueError("options['views']: got a reflection; expected right-handed OpenCV axes")
    outside = ~region.contains(poses[:, :3, 3], slack=1e-3)
    if outside.any():
        raise ValueError(
            f"options['views']: got a camera at {poses[outside][0, :3, 3].tolist()}; expected a radius "
            f"in {region.radius} m and an elevation within {region.max_elevation} degrees"
        )
    return poses.astype(np.float32)
