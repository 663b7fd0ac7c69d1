"""Renderers: from a mesh and a camera pose to a View.

A renderer is any object with ``name`` and ``render``; the two that come with the package are

    "builtin"    a rasteriser for CPUs, compiled by numba
    "pytorch3d"  PyTorch3D's rasteriser, for GPUs and for gradients that reach the camera pose
"""

from __future__ import annotations

__all__ = ["Renderer", "make_renderer"]


from spatial_envs.geometry.mesh import Mesh as Mesh
from spatial_envs.geometry.view import View as View
from spatial_envs.rendering.renderer import Renderer


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
