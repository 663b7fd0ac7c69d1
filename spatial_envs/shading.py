"""A picture for depth that came without one: the surface as its normals shade it."""

from __future__ import annotations

import numpy as np

from spatial_envs.compilation import njit
from spatial_envs.rendering import AMBIENT, SKY, SUN, SUN_DIRECTION

ALBEDO = 200.0  # of 255
UPRIGHT = np.diag([1.0, -1.0, -1.0, 1.0])  # cam_to_world of a level camera at the origin that looks along -Z


def shaded(depth: np.ndarray, intrinsics: np.ndarray, cam_to_world: np.ndarray = UPRIGHT) -> np.ndarray:
    """(H, W, 3) uint8: depth (H, W), metres, as the renderers would show it were it grey; black where it is
    0. intrinsics (3, 3), pixels; cam_to_world (4, 4), OpenCV, which says where the sky is."""
    normals = normals_from_depth(depth, intrinsics) @ np.asarray(cam_to_world, np.float64)[:3, :3].T
    light = AMBIENT + SKY * (1 + normals[..., 1]) / 2 + SUN * np.maximum(normals @ SUN_DIRECTION, 0)
    grey = np.where(depth > 0, np.minimum(ALBEDO * light + 0.5, 255), 0).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1)


def normals_from_depth(depth: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
    """Unit normals (H, W, 3) float32, camera frame (OpenCV), towards the camera, of depth (H, W), metres.

    The cross product of the steps to a neighbour in the row and in the column, on that side where depth
    changes less, so that an edge does not bend what lies beside it. Straight at the camera where no
    neighbour was measured; 0 where depth is 0.
    """
    lens = np.asarray(intrinsics, np.float64)
    return _normals(np.ascontiguousarray(depth, np.float32), lens[0, 0], lens[1, 1], lens[0, 2], lens[1, 2])


@njit
def _normals(depth, fx, fy, cx, cy):
    height, width = depth.shape
    normals = np.zeros((height, width, 3), np.float32)
    here = np.empty(3)
    step = np.empty((2, 3))
    for row in range(height):
        for column in range(width):
            z = float(depth[row, column])
            if z <= 0.0:
                continue
            here[0] = (column + 0.5 - cx) / fx * z
            here[1] = (row + 0.5 - cy) / fy * z
            here[2] = z
            found = 0
            for axis in range(2):
                least = np.inf
                for side in (1, -1):
                    i = row + (side if axis == 1 else 0)
                    j = column + (side if axis == 0 else 0)
                    if 0 <= i < height and 0 <= j < width and depth[i, j] > 0.0:
                        w = float(depth[i, j])
                        if abs(w - z) < least:
                            least = abs(w - z)
                            step[axis, 0] = ((j + 0.5 - cx) / fx * w - here[0]) * side
                            step[axis, 1] = ((i + 0.5 - cy) / fy * w - here[1]) * side
                            step[axis, 2] = (w - z) * side
                found += least < np.inf
            if found == 2:
                x = step[1, 1] * step[0, 2] - step[1, 2] * step[0, 1]
                y = step[1, 2] * step[0, 0] - step[1, 0] * step[0, 2]
                w = step[1, 0] * step[0, 1] - step[1, 1] * step[0, 0]
            else:
                x, y, w = -here[0], -here[1], -here[2]
            scale = 1.0 / np.sqrt(x * x + y * y + w * w)
            if x * here[0] + y * here[1] + w * here[2] > 0.0:
                scale = -scale
            normals[row, column, 0] = x * scale
            normals[row, column, 1] = y * scale
            normals[row, column, 2] = w * scale
    return normals
