"""What every renderer promises, and the light that all of them share."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from numba.extending import register_jitable

from spatial_envs.geometry.mesh import Mesh
from spatial_envs.geometry.view import View

AMBIENT, SKY, SUN = 0.35, 0.30, 0.35
SUN_DIRECTION = np.array([0.48, 0.80, 0.36])


@register_jitable
def light(up, sun):
    """What a surface's albedo is multiplied by: Lambert with a fixed sun, and a sky that is brighter above.

    up: n_y, sun: max(0, n . SUN_DIRECTION), with n the unit normal, turned to the camera. Numbers, arrays or
    tensors; all renderers shade alike.
    """
    return AMBIENT + SKY * (1 + up) / 2 + SUN * sun


@runtime_checkable
class Renderer(Protocol):
    """What a renderer must offer; an object of your own needs no registration."""

    name: str

    def render(
        self, mesh: Mesh, cam_to_world: np.ndarray, intrinsics: np.ndarray, image_size: tuple[int, int]
    ) -> View:
        """Render ``mesh`` from every pose.

        cam_to_world  (..., 4, 4), OpenCV axes; intrinsics (3, 3), pixels; image_size (H, W)
        Returns a View with the same leading axes, segment included.
        """
        ...
