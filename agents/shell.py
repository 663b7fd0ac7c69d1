"""The surface that cheats a one-directional loss: a sphere wrapped on a depth map."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from spatial_envs.prototypes.sphere import Sphere
from spatial_envs.prototypes.target import Target


def wrapped(target: Target, ball: Sphere) -> np.ndarray:
    """(V, 3) metres: the sphere wrapped on the depth map. One half of it takes the place of the target's
    pixels, the other half hides a thousandth of the way behind them."""
    height, width = target.depth.shape
    # the half sphere as a disc of equal areas, the disc as a square, and that as the picture
    x, y, z = ball.vertices.T.astype(np.float64)
    radius = np.sqrt(1 - np.abs(z)) / np.maximum(np.maximum(np.abs(x), np.abs(y)), 1e-9)
    place = np.column_stack([(y * radius + 1) / 2 * height, (x * radius + 1) / 2 * width])
    taken = np.column_stack(np.divmod(target.pixels, width)) + 0.5
    points = target.points[cKDTree(taken).query(place)[1]].astype(np.float64)
    return points + np.where(z < 0, 1e-3, 0.0)[:, None] * (points - target.cam_to_frame[:3, 3])
