"""Renderers: from a mesh and a camera pose to a View.

A renderer is any object with ``name`` and ``render``; the two that come with the package are

    "builtin"    a rasteriser for CPUs, compiled by numba
    "pytorch3d"  PyTorch3D's rasteriser, for GPUs and for gradients that reach the camera pose
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np

from spatial_envs.mesh import Mesh
from spatial_envs.view import View

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


def make_renderer(renderer: str | Renderer, device: str = "auto") -> Renderer:
    """A renderer by name ("builtin", "pytorch3d"), or the object itself.

    Raises ValueError for an unknown name, ImportError where PyTorch3D is asked for and absent.
    """
    if renderer == "builtin":
        from spatial_envs.rendering.builtin import BuiltinRenderer

        return BuiltinRenderer()
    if renderer == "pytorch3d":
        from spatial_envs.rendering.pytorch3d import PyTorch3DRenderer

        return PyTorch3DRenderer(device)
    if not isinstance(renderer, str) and isinstance(renderer, Renderer):
        return renderer
    raise ValueError(
        f"renderer: got {renderer!r}; expected 'builtin', 'pytorch3d', or an object with name and render(...)"
    )
