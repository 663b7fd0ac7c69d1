"""Rotation matrices (3, 3), and the angles of a slot."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation


def rotation(x: float = 0.0, y: float = 0.0, z: float = 0.0) -> np.ndarray:
    """Rotation matrix about Z, then X, then Y; radians."""
    return Rotation.from_euler("YXZ", [y, x, z]).as_matrix()


def rotation_to(axis: np.ndarray) -> np.ndarray:
    """(3, 3) rotation that takes +Y to the direction of `axis`."""
    y = axis / np.linalg.norm(axis)
    x = np.cross(y, np.eye(3)[np.abs(y).argmin()])
    x /= np.linalg.norm(x)
    return np.stack([x, y, np.cross(x, y)], axis=1)


def wrapped(angles):
    """Angles, a number or an array, radians, in [-pi, pi)."""
    return (angles + np.pi) % (2 * np.pi) - np.pi


SIDEWAYS, ALONG_X = rotation(x=np.pi / 2), rotation(z=-np.pi / 2)  # a cone's axis along Z; along X


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
