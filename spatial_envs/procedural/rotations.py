"""Rotation matrices (3, 3)."""

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


SIDEWAYS, ALONG_X = rotation(x=np.pi / 2), rotation(z=-np.pi / 2)  # a cone's axis along Z; along X
