"""The rotation of a slot's angles, in plain arrays."""

from __future__ import annotations

import numpy as np


def turn_matrix(angles: np.ndarray) -> np.ndarray:
    """(3, 3): Ry Rx Rz, as `spatial_envs.prototypes.rotation`."""
    (cy, cx, cz), (sy, sx, sz) = np.cos(angles), np.sin(angles)
    return np.array(
        [
            [cy * cz + sy * sx * sz, sy * sx * cz - cy * sz, sy * cx],
            [cx * sz, cx * cz, -sx],
            [cy * sx * sz - sy * cz, sy * sz + cy * sx * cz, cy * cx],
        ]
    )


def turn_angles(turn: np.ndarray) -> np.ndarray:
    """(3,): yaw, pitch, roll, radians, of a rotation (3, 3); the inverse of `turn_matrix`. Looking straight
    up or down the roll is 0."""
    pitch = np.arcsin(np.clip(-turn[1, 2], -1, 1))
    if abs(turn[1, 2]) > 1 - 1e-9:
        return np.array([np.arctan2(-turn[2, 0], turn[0, 0]), pitch, 0.0])
    return np.array([np.arctan2(turn[0, 2], turn[2, 2]), pitch, np.arctan2(turn[1, 0], turn[1, 1])])
