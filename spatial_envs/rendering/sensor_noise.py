"""What a real depth camera makes of true depth."""

from __future__ import annotations

import math

import numpy as np

from spatial_envs.foundation.arguments import check_range
from spatial_envs.foundation.compilation import njit
from spatial_envs.geometry.camera import slope

QUANTUM = 1 / 8 / (580 * 0.075)  # per metre: a Kinect's 1/8 pixel of disparity; focal length px, baseline m
NEAREST, FARTHEST = 0.4, 8.0  # metres: it returns nothing outside
STEEP, GRAZING = math.radians(60), math.radians(80)


def noisy_depth(
    depth: np.ndarray, intrinsics: np.ndarray, level: float, rng: np.random.Generator
) -> np.ndarray:
    """Depth as a Kinect would have measured it; a new array (..., H, W) float32, metres, 0 = nothing.

    depth (..., H, W), metres along the optical axis, 0 = nothing; intrinsics (..., 3, 3), pixels;
    level: 0 (as it was) to 1 (as measured on the real sensor), ValueError outside.

    - Axial noise by depth z, metres, and angle of incidence a, radians: standard deviation
      0.0012 + 0.0019 (z - 0.4)^2, beyond 60 degrees plus 0.0001 a^2 / (sqrt(z) (pi/2 - a)^2), times level
      (Nguyen, Izadi and Lovell, Modeling Kinect Sensor Noise for Improved 3D Reconstruction and Tracking,
      3DIMPVT 2012, equations 2 and 3).
    - Then 1/z is rounded to the steps of the disparity, 1/8 pixel times level, which are 0.0029 z^2 metres
      (Khoshelham and Elberink, Sensors 12, 2012).
    - With probability level nothing returns from a surface met at more than 80 degrees, from the shadow
      behind an edge, and from outside of 0.4 to 8 m.
    The angle is that of the plane through a pixel and those of its neighbours that are nearer to the camera,
    so that the pixels behind an edge seem grazed and those in front of it do not.
    """
    check_range("level", level, 0.0, 1.0)
    depth = np.asarray(depth, np.float32)
    if level == 0:
        return depth.copy()
    matrices = np.broadcast_to(np.asarray(intrinsics, np.float64), (*depth.shape[:-2], 3, 3)).reshape(
        -1, 3, 3
    )
    views = depth.reshape(-1, *depth.shape[-2:])
    normal = rng.standard_normal(views.shape, np.float32)
    uniform = rng.random(views.shape, np.float32)
    out = np.zeros_like(views)
    for row, matrix in enumerate(matrices):
        _measure(views[row], np.ascontiguousarray(matrix), float(level), normal[row], uniform[row], out[row])
    return out.reshape(depth.shape)


@njit
def _measure(depth, intrinsics, level, normal, uniform, out):
    height, width = depth.shape
    for row in range(height):
        for column in range(width):
            z = float(depth[row, column])
            if z <= 0.0:
                continue
            # 1/z is linear in pixels over a plane, and its slopes give the plane's normal
            across = intrinsics[0, 0] * _slope(depth, row, column, 0, 1)
            down = intrinsics[1, 1] * _slope(depth, row, column, 1, 0)
            x = slope(column, intrinsics, 0)
            y = slope(row, intrinsics, 1)
            ahead = 1.0 / z - x * across - y * down
            length = math.sqrt((across**2 + down**2 + ahead**2) * (x * x + y * y + 1.0))
            angle = math.acos(min(1.0 / (z * length), 1.0))
            lost = angle > GRAZING or z < NEAREST or z > FARTHEST
            if lost and uniform[row, column] < level:
                continue
            sigma = 0.0012 + 0.0019 * (z - 0.4) ** 2
            if angle > STEEP:
                angle = min(angle, GRAZING)
                sigma += 0.0001 * angle**2 / (math.sqrt(z) * (0.5 * math.pi - angle) ** 2)
            measured = max(z + level * sigma * normal[row, column], 0.5 * z)
            step = level * QUANTUM
            out[row, column] = 1.0 / (max(math.floor(1.0 / (measured * step) + 0.5), 1.0) * step)


@njit(inline="always")
def _slope(depth, row, column, down, right):
    """Change of 1/z per pixel towards the nearer of two neighbours; 0 where neither is nearer."""
    here = nearest = 1.0 / depth[row, column]
    slope = 0.0
    for side in (-1, 1):
        r, c = row + side * down, column + side * right
        if 0 <= r < depth.shape[0] and 0 <= c < depth.shape[1] and depth[r, c] > 0.0:
            there = 1.0 / depth[r, c]
            if there > nearest:
                nearest = there
                slope = side * (there - here)
    return slope
