"""Surface normals of depth maps."""

from __future__ import annotations

import numpy as np

from spatial_envs.foundation.compilation import njit


def normals_from_depth(depth: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
    """Unit normals (H, W, 3) float32, camera frame (OpenCV), towards the camera, of depth (H, W), metres.

    The cross product of the steps to a neighbour in the row and in the column, on that side where depth
    changes less, so that an edge does not bend what lies beside it. Straight at the camera where no
    neighbour was measured, or both lie on its ray; 0 where depth is 0.
    """
    intrinsics = np.asarray(intrinsics, np.float64)
    return _normals(
        np.ascontiguousarray(depth, np.float32),
        intrinsics[0, 0],
        intrinsics[1, 1],
        intrinsics[0, 2],
        intrinsics[1, 2],
    )


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
            x, y, w = 0.0, 0.0, 0.0
            for axis in range(2):
                least = np.inf
                for side in (1, -1):
                    i = row + (side if axis == 1 else 0)
                    j = column + (side if axis == 0 else 0)
                    if 0 <= i < height and 0 <= j < width and depth[i, j] > 0.0:
                        near = float(depth[i, j])
                        if abs(near - z) < least:
                            least = abs(near - z)
                            step[axis, 0] = ((j + 0.5 - cx) / fx * near - here[0]) * side
                            step[axis, 1] = ((i + 0.5 - cy) / fy * near - here[1]) * side
                            step[axis, 2] = (near - z) * side
                found += least < np.inf
            if found == 2:
                x = step[1, 1] * step[0, 2] - step[1, 2] * step[0, 1]
                y = step[1, 2] * step[0, 0] - step[1, 0] * step[0, 2]
                w = step[1, 0] * step[0, 1] - step[1, 1] * step[0, 0]
            if found < 2 or x * x + y * y + w * w == 0.0:
                x, y, w = -here[0], -here[1], -here[2]
            scale = 1.0 / np.sqrt(x * x + y * y + w * w)
            if x * here[0] + y * here[1] + w * here[2] > 0.0:
                scale = -scale
            normals[row, column, 0] = x * scale
            normals[row, column, 1] = y * scale
            normals[row, column, 2] = w * scale
    return normals
