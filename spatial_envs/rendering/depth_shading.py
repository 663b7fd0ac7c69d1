"""A picture for depth that came without one: the surface as its normals shade it."""

from __future__ import annotations

import numpy as np

from spatial_envs.geometry.normals import normals_from_depth
from spatial_envs.rendering.renderer import SUN_DIRECTION, light

ALBEDO = 200.0  # of 255
UPRIGHT = np.diag([1.0, -1.0, -1.0, 1.0])  # cam_to_world of a level camera at the origin that looks along -Z


def shaded(depth: np.ndarray, intrinsics: np.ndarray, cam_to_world: np.ndarray = UPRIGHT) -> np.ndarray:
    """(H, W, 3) uint8: depth (H, W), metres, as the renderers would show it were it grey; black where it is
    0. intrinsics (3, 3), pixels; cam_to_world (4, 4), OpenCV, which says where the sky is."""
    normals = normals_from_depth(depth, intrinsics) @ np.asarray(cam_to_world, np.float64)[:3, :3].T
    brightness = light(normals[..., 1], np.maximum(normals @ SUN_DIRECTION, 0))
    grey = np.where(depth > 0, np.minimum(ALBEDO * brightness + 0.5, 255), 0).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1)
