"""What fits are trained with, in torch. B scenes, K slots, N points, V vertices; metres throughout.

The plain formulation is `chamfer` alone; a depth map is star-shaped about its camera, so one free shape can
drive that to zero. `free_space`, `occlusion` and `overlap` say what it leaves out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from spatial_envs.prototypes.distance import nearest_faces, on_faces
from spatial_envs.prototypes.sphere import Sphere
from spatial_envs.rendering.builtin import rasterise_once

TINY = 1e-6  # square metres, under a square root
OCCUPIED = 1.95  # this many shapes at one place overlap


@dataclass(frozen=True, eq=False)
class Sight:
    """What the cameras of B scenes measured.

    depth         (B, H, W), metres along the optical axis; 0 = nothing measured
    intrinsics    (B, 3, 3), pixels
    cam_to_frame  (B, 4, 4), OpenCV axes
    """

    depth: torch.Tensor
    intrinsics: torch.Tensor
    cam_to_frame: torch.Tensor


def chamfer(distances: torch.Tensor) -> torch.Tensor:
    """(B,): mean over the points of the distance to the nearest slot, one-directional, metres; distances
    (B, K, N). The plain loss of the task's author."""
    return distances.min(dim=1).values.mean(dim=-1)


def expected_minimum(distances: torch.Tensor, presence: torch.Tensor, missing: float) -> torch.Tensor:
    """(B,): mean over the points of the expected distance to the nearest slot, where slot k is there with
    the probability ``presence`` (B, K): with the distances (B, K, N) sorted, sum_i d_i p_i prod_{j<i} (1 -
    p_j), and ``missing`` metres where none is there (Loiseau et al. 2023)."""
    ordered, order = distances.sort(dim=1)
    there = presence[..., None].expand_as(distances).gather(1, order)
    none_before = torch.cat([torch.ones_like(there[:, :1]), (1 - there).cumprod(dim=1)], dim=1)
    expected = (ordered * there * none_before[:, :-1]).sum(dim=1) + missing * none_before[:, -1]
    return expected.mean(dim=-1)


def weighed(distances: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """(B, K, N): each slot's distance as the mean over unblended prototypes (``PrototypeBank.each``),
    distances (B, K, P, N), by the slot's softmax (B, K, P): losses weighed instead of vertices blended."""
    return (weights[..., None] * distances).sum(dim=2)


def occlusion(
    points: torch.Tensor, pixels: torch.Tensor, vertices: torch.Tensor, topology: Sphere, sight: Sight
) -> torch.Tensor:
    """(B, N): how far the nearest fitted surface on each point's ray lies in front of it, metres along the
    ray; 0 where it does not. points (B, N, 3), pixels (B, N) int64 into the raveled depth, vertices
    (B, K, V, 3). The larger of this and the distance is the occlusion-aware distance. The gradient reaches
    the surface that the ray hits, not its silhouette."""
    height, width = sight.depth.shape[-2:]
    gaps = []
    for b in range(len(points)):
        pose, intrinsics = sight.cam_to_frame[b].double().cpu().numpy(), sight.intrinsics[b].cpu().numpy()
        flat = vertices[b].flatten(0, 1)
        faces = _tiled(topology, vertices.shape[1])
        _, face_ids = rasterise_once(flat.detach().cpu().numpy(), faces, pose, intrinsics, (height, width))
        hit = torch.as_tensor(face_ids.ravel().astype(np.int64), device=points.device)[pixels[b]]
        corners = flat[torch.as_tensor(faces.astype(np.int64), device=points.device)[hit.clamp_min(0)]]
        normal = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        centre = sight.cam_to_frame[b, :3, 3]
        ray = points[b] - centre
        facing = (normal * ray).sum(-1)
        share = (normal * (corners[:, 0] - centre)).sum(-1) / torch.where(
            facing.abs() < 1e-12, torch.ones_like(facing), facing
        )
        gap = (1 - share).clamp(0, 1) * ray.norm(dim=-1)
        gaps.append(torch.where((hit >= 0) & (facing.abs() >= 1e-12), gap, torch.zeros_like(gap)))
    return torch.stack(gaps)


def _tiled(topology: Sphere, count: int) -> np.ndarray:
    offsets = np.arange(count, dtype=np.int32)[:, None, None] * len(topology.vertices)
    return (topology.faces[None] + offsets).reshape(-1, 3)


def free_space(vertices: torch.Tensor, sight: Sight, margin: float = 0.02, most: float = 0.5) -> torch.Tensor:
    """(B, K): mean over the vertices (B, K, V, 3) of how far each lies in front of the measured depth, beyond
    the margin, metres along the optical axis, at most ``most``; 0 where nothing was measured."""
    rotation, centre = sight.cam_to_frame[:, :3, :3], sight.cam_to_frame[:, :3, 3]
    x, y, z = ((vertices - centre[:, None, None]) @ rotation[:, None]).unbind(-1)
    ahead = z > 1e-3
    safe = torch.where(ahead, z, torch.ones_like(z))
    intrinsics = sight.intrinsics[:, None, None]
    u = (intrinsics[..., 0, 0] * x / safe + intrinsics[..., 0, 2]).floor()
    v = (intrinsics[..., 1, 1] * y / safe + intrinsics[..., 1, 2]).floor()
    height, width = sight.depth.shape[-2:]
    inside = ahead & (u >= 0) & (u < width) & (v >= 0) & (v < height)
    pixel = (v.clamp(0, height - 1) * width + u.clamp(0, width - 1)).long().flatten(1)
    measured = sight.depth.flatten(1).gather(1, pixel).unflatten(1, z.shape[1:])
    depth = (measured - margin - z).clamp(0, most)
    return torch.where(inside & (measured > 0), depth, torch.zeros_like(depth)).mean(dim=-1)


def overlap(
    vertices: torch.Tensor, presence: torch.Tensor, topology: Sphere, softness: float = 0.01
) -> torch.Tensor:
    """(B,): mean over places inside the shapes of max(0, occupancy - 1.95), where a slot's occupancy is its
    presence (B, K) times a sigmoid of the depth below its surface over ``softness``, metres, and the places
    lie half way from each shape's centre to every fortieth vertex (Monnier et al. 2023)."""
    centre = vertices.mean(dim=2, keepdim=True)
    places = ((vertices[:, :, ::40] + centre) / 2).detach().flatten(1, 2)
    faces, weights = nearest_faces(places, vertices, topology)
    surface = on_faces(vertices, faces, weights, topology)
    corners = torch.as_tensor(topology.faces.astype(np.int64), device=vertices.device)[faces]
    index = corners.flatten(2)[..., None].expand(-1, -1, -1, 3)
    a, b, c = vertices.gather(2, index).unflatten(2, corners.shape[2:]).unbind(-2)
    normal = torch.nn.functional.normalize(torch.linalg.cross(b - a, c - a), dim=-1)
    below = ((surface - places[:, None]) * normal).sum(-1)
    occupancy = (presence[..., None] * torch.sigmoid(below / softness)).sum(dim=1)
    return (occupancy - OCCUPIED).clamp_min(0).mean(dim=-1)


def parsimony(presence: torch.Tensor) -> torch.Tensor:
    """(B,): mean over the slots of sqrt(presence) (B, K), which prefers few sure slots to many vague ones."""
    return (presence + 1e-4).sqrt().mean(dim=-1)


def distances(
    points: torch.Tensor, vertices: torch.Tensor, topology: Sphere
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Distances (B, K, N), metres, from points (B, N, 3) to surfaces (B, K, V, 3), and where they are
    nearest: faces (B, K, N) and barycentric coordinates (B, K, N, 3)."""
    faces, weights = nearest_faces(points, vertices, topology)
    squared = ((points[:, None] - on_faces(vertices, faces, weights, topology)) ** 2).sum(-1)
    return (squared + TINY).sqrt(), faces, weights
