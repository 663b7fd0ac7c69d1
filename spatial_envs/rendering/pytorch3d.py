"""The renderer that runs on PyTorch3D: many views at once on a GPU, and gradients that reach the camera pose.

PyTorch3D says which triangle each pixel sees, how far away it is and where on the triangle; the shading, the
same formula as the built-in renderer's, is done here. Slow on a CPU: about 5 ns x pixels x triangles a view.
"""

from __future__ import annotations

import importlib.util
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import torch

from spatial_envs.foundation.arguments import resolve_device
from spatial_envs.geometry.mesh import Mesh
from spatial_envs.geometry.view import View
from spatial_envs.rendering.renderer import SUN_DIRECTION, light

INSTALL = "https://github.com/facebookresearch/pytorch3d/blob/main/INSTALL.md"
NEAR = 0.01  # metres: what is closer to the camera is cut away
# Squared NDC distance (an 18,000th of a pixel at 112 x 112) at which a pixel still belongs to a triangle: at
# 0 a pixel centre on the edge between two triangles belongs to neither, a hole; at 1e-9 silhouettes grow.
# What stays is float32: about one pixel in 400,000 is a hole where walls are cut at NEAR.
EDGE = 1e-12
BATCH = 4_000_000  # pixels, and triangles, that ``render`` gives to PyTorch3D at once


class _Tensors(NamedTuple):
    """A mesh on the device; ``corner`` fields hold one value for each corner of each face."""

    vertices: torch.Tensor  # (V, 3) float32
    faces: torch.Tensor  # (F, 3) int64
    corners: torch.Tensor  # (F, 3, 3) float32, positions
    corner_normals: torch.Tensor  # (F, 3, 3) float32
    corner_colors: torch.Tensor  # (F, 3, 3) float32 in [0, 1]
    corner_uv: torch.Tensor  # (F, 3, 2) float32
    segments: torch.Tensor  # (F,) int32
    face_texture: torch.Tensor  # (F,) int64; this and the next three as in Mesh.texture_lookup
    texel_density: torch.Tensor  # (F,) float32
    levels: torch.Tensor  # (textures, levels, 3) int64
    texels: torch.Tensor  # (T, 3) uint8


class _Pixels(NamedTuple):
    """What the rasteriser says about the M pixels that see a triangle."""

    hit: torch.Tensor  # (N, H, W) bool
    face: torch.Tensor  # (M,) int64
    barycentric: torch.Tensor  # (M, 3), perspective-correct
    depth: torch.Tensor  # (M,) metres along the optical axis


class PyTorch3DRenderer:
    """Renders with PyTorch3D. ``device`` is a torch device, or "auto": CUDA where there is one, else the CPU.

    Nothing is put on the device before the first render. Pickles without its tensors.
    Raises ImportError where the package pytorch3d is absent.
    """

    name = "pytorch3d"

    def __init__(self, device: str = "auto"):
        if importlib.util.find_spec("pytorch3d") is None:
            raise ImportError(
                f"renderer='pytorch3d' needs the package pytorch3d, which is not installed: see {INSTALL} "
                "(it is not on PyPI), or use renderer='builtin', which needs nothing more"
            )
        self.device = device
        self._tensors: WeakKeyDictionary[Mesh, _Tensors] = WeakKeyDictionary()

    def __getstate__(self) -> dict[str, Any]:
        return {"device": self.device}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.device = state["device"]
        self._tensors = WeakKeyDictionary()

    def render(
        self, mesh: Mesh, cam_to_world: np.ndarray, intrinsics: np.ndarray, image_size: tuple[int, int]
    ) -> View:
        """Render ``mesh`` from every pose.

        cam_to_world  (..., 4, 4), OpenCV axes; intrinsics (3, 3), pixels; image_size (H, W)
        Returns a View with the same leading axes, segment included.
        """
        poses = np.asarray(cam_to_world, np.float32)
        matrix = np.asarray(intrinsics, np.float32)
        leading, size = poses.shape[:-2], tuple(image_size)
        at_once = max(1, BATCH // max(len(mesh.faces), size[0] * size[1]))
        rgb = np.zeros((*leading, *size, 3), np.uint8)
        depth, segment = np.zeros((*leading, *size), np.float32), np.zeros((*leading, *size), np.int32)
        flat = rgb.reshape(-1, *size, 3), depth.reshape(-1, *size), segment.reshape(-1, *size)
        with torch.no_grad():
            for start in range(0, len(flat[0]), at_once):
                part = slice(start, start + at_once)
                views = self._render(mesh, torch.tensor(poses.reshape(-1, 4, 4)[part]), matrix, size)
                flat[0][part] = (views[0] * 255).round().to(torch.uint8).cpu().numpy()
                flat[1][part], flat[2][part] = views[1].cpu().numpy(), views[2].cpu().numpy()
        return View(rgb, depth, np.broadcast_to(matrix, (*leading, 3, 3)).copy(), poses.copy(), segment)

    def render_differentiable(
        self,
        mesh: Mesh,
        cam_to_world: torch.Tensor,
        intrinsics: torch.Tensor | np.ndarray,
        image_size: tuple[int, int],
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Render ``mesh`` from every pose, with gradients to ``cam_to_world`` (and ``intrinsics``).

        cam_to_world  (..., 4, 4), OpenCV axes; intrinsics (3, 3), pixels; image_size (H, W)
        Returns rgb (..., H, W, 3) float32 in [0, 1] and depth (..., H, W) float32 metres, both 0 where there
        is nothing, on the renderer's device. Gradients are those of what each pixel sees on its triangle;
        that a silhouette moves across a pixel is not in them.
        """
        size, leading = tuple(image_size), cam_to_world.shape[:-2]
        rgb, depth, _ = self._render(mesh, cam_to_world.reshape(-1, 4, 4), intrinsics, size)
        return rgb.reshape(*leading, *size, 3), depth.reshape(*leading, *size)

    def _render(
        self, mesh: Mesh, cam_to_world: torch.Tensor, intrinsics: torch.Tensor | np.ndarray, size: tuple
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """rgb (N, H, W, 3) in [0, 1], depth and segment (N, H, W) for poses (N, 4, 4)."""
        device = resolve_device(self.device)
        poses = cam_to_world.to(device, torch.float32)
        tensors = self._tensors.get(mesh)
        if tensors is None:
            tensors = self._tensors[mesh] = _to_device(mesh, device)
        matrix = torch.as_tensor(intrinsics, dtype=torch.float32, device=device)
        pixels = _rasterise(tensors, poses, matrix, size)
        blank = poses.new_zeros((len(poses), *size))
        colors = _shade(tensors, poses, matrix[0, 0].item(), pixels)
        rgb = blank[..., None].expand(-1, -1, -1, 3).index_put((pixels.hit,), colors)
        depth = blank.index_put((pixels.hit,), pixels.depth)
        segment = torch.zeros_like(blank, dtype=torch.int32)
        segment[pixels.hit] = tensors.segments[pixels.face]
        return rgb, depth, segment


def cameras_from_poses(cam_to_world: torch.Tensor, intrinsics: torch.Tensor, image_size: tuple[int, int]):
    """PyTorch3D's cameras (its axes: +X left, +Y up, +Z forward) for ours; the one place that converts.

    cam_to_world  (N, 4, 4), OpenCV axes, rigid; intrinsics (3, 3), pixels, no skew; image_size (H, W)
    Returns N PerspectiveCameras, in NDC; differentiable.
    """
    from pytorch3d.utils import cameras_from_opencv_projection

    count = len(cam_to_world)
    rotation = cam_to_world[:, :3, :3].transpose(1, 2)
    translation = -(rotation @ cam_to_world[:, :3, 3:])[..., 0]
    size = torch.tensor(image_size, device=cam_to_world.device).expand(count, 2)
    return cameras_from_opencv_projection(rotation, translation, intrinsics.expand(count, 3, 3), size)


def _to_device(mesh: Mesh, device: torch.device) -> _Tensors:
    def put(array: np.ndarray, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        return torch.tensor(array, dtype=dtype, device=device)

    uv, face_texture, texel_density, levels, texels = mesh.texture_lookup
    return _Tensors(
        vertices=put(mesh.vertices),
        faces=put(mesh.faces, torch.int64),
        corners=put(mesh.vertices[mesh.faces]),
        corner_normals=put(mesh.corner_normals),
        corner_colors=put(mesh.colors[mesh.faces]) / 255,
        corner_uv=put(uv[mesh.faces]),
        segments=put(mesh.face_segments, torch.int32),
        face_texture=put(face_texture, torch.int64),
        texel_density=put(texel_density),
        levels=put(levels, torch.int64),
        texels=put(texels, torch.uint8),
    )


def _rasterise(tensors: _Tensors, poses: torch.Tensor, intrinsics: torch.Tensor, size: tuple) -> _Pixels:
    from pytorch3d.renderer import MeshRasterizer, RasterizationSettings
    from pytorch3d.structures import Meshes

    count, faces = len(poses), len(tensors.faces)
    settings = RasterizationSettings(
        image_size=size,
        blur_radius=EDGE,
        faces_per_pixel=1,
        bin_size=None,  # 0 on a CPU, by the image's size on a GPU
        max_faces_per_bin=max(10_000, faces),  # a full bin would drop triangles, with a warning at most
        perspective_correct=True,
        clip_barycentric_coords=True,  # those within EDGE outside of a triangle are moved onto it
        cull_backfaces=False,
        z_clip_value=NEAR,
    )
    meshes = Meshes(tensors.vertices.expand(count, -1, -1), tensors.faces.expand(count, -1, -1))
    rasterizer = MeshRasterizer(cameras_from_poses(poses, intrinsics, size), settings)
    seen = rasterizer(meshes, eps=1e-8)  # eps: a vertex in the camera's plane must not become infinite
    hit = seen.pix_to_face[..., 0] >= 0
    face = seen.pix_to_face[..., 0][hit] % faces  # PyTorch3D numbers the faces of all views in one row
    return _Pixels(hit, face, seen.bary_coords[..., 0, :][hit], seen.zbuf[..., 0][hit])


def _shade(tensors: _Tensors, poses: torch.Tensor, focal: float, pixels: _Pixels) -> torch.Tensor:
    """(M, 3) in [0, 1]: the colour of each pixel that sees a triangle; ``focal`` in pixels."""

    def interpolate(corner_values: torch.Tensor) -> torch.Tensor:
        return (pixels.barycentric[..., None] * corner_values[pixels.face]).sum(1)

    normalize = torch.nn.functional.normalize
    centre = poses[pixels.hit.nonzero()[:, 0], :3, 3]
    normal = normalize(interpolate(tensors.corner_normals), dim=1)
    facing = (normal * normalize(interpolate(tensors.corners) - centre, dim=1)).sum(1)
    normal = torch.where(facing[:, None] > 0, -normal, normal)
    sun = normal @ torch.tensor(SUN_DIRECTION, dtype=normal.dtype, device=normal.device)
    brightness = light(normal[:, 1], sun.clamp(min=0))
    albedo = interpolate(tensors.corner_colors)
    (use,) = (tensors.face_texture[pixels.face] >= 0).nonzero(as_tuple=True)
    if len(use):
        face = pixels.face[use]
        pixel = pixels.depth[use].detach() / (focal * facing[use].detach().abs().clamp(min=0.05).sqrt())
        footprint = tensors.texel_density[face] * pixel
        texture = _texture(tensors, face, interpolate(tensors.corner_uv)[use], footprint)
        albedo = albedo.index_put((use,), albedo[use] * texture)
    return (albedo * brightness[:, None]).clamp(0, 1)


def _texture(
    tensors: _Tensors, face: torch.Tensor, uv: torch.Tensor, footprint: torch.Tensor
) -> torch.Tensor:
    """(M, 3) in [0, 1]: bilinear, in the mip level nearest to the pixel's footprint, like the built-in one.

    face (M,); uv (M, 2); footprint (M,), the side of the pixel in texels of the full texture
    """
    levels = tensors.levels[tensors.face_texture[face]]
    halvings = (footprint / 1.414).clamp(min=1).log2().ceil().long()
    level = torch.minimum(halvings, (levels[..., 1] > 0).sum(1) - 1)
    offset, height, width = levels[torch.arange(len(face), device=face.device), level].unbind(1)
    x, y = uv[:, 0] * width - 0.5, (1 - uv[:, 1]) * height - 0.5
    column, row = x.detach().floor().long(), y.detach().floor().long()

    def line(row: torch.Tensor) -> torch.Tensor:
        start, right = offset + row % height * width, (x - column)[:, None]
        near, far = tensors.texels[start + column % width], tensors.texels[start + (column + 1) % width]
        return (1 - right) * near + right * far

    down = (y - row)[:, None]
    return ((1 - down) * line(row) + down * line(row + 1)) / 255
