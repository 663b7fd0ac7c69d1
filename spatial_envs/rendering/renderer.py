"""What every renderer promises, and the light that all of them share."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np

from spatial_envs.geometry.mesh import Mesh
from spatial_envs.geometry.view import View

# Both renderers shade alike: Lambert with a fixed sun, and a sky that is brighter above,
# colour = albedo * (AMBIENT + SKY * (1 + n_y) / 2 + SUN * max(0, n . SUN_DIRECTION)), n turned to the camera.
AMBIENT, SKY, SUN = 0.35, 0.30, 0.35
SUN_DIRECTION = np.array([0.48, 0.80, 0.36])


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
