"""From points to the surfaces of deformed spheres, compiled by numba, and the same with gradients for torch.

For each point the nearest vertex is found exactly, patch by patch, and then the nearest point of the
triangles round that vertex: exact wherever the surface is not folded more tightly than its triangles are
small, and never below the true distance.
"""

from __future__ import annotations

import numpy as np
import torch

from spatial_envs.foundation.compilation import njit
from spatial_envs.prototypes.sphere import Sphere


def nearest(
    points: np.ndarray, vertices: np.ndarray, topology: Sphere
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """From points (N, 3) to each of K surfaces with vertices (K, V, 3), metres, of one topology.

    Squared distances (K, N) float32, m^2; faces (K, N) int32; where on the face, as barycentric coordinates
    (K, N, 3) float32.
    """
    points = np.ascontiguousarray(points, np.float32)
    vertices = np.ascontiguousarray(vertices, np.float32)
    count = (len(vertices), len(points))
    squared, faces = np.empty(count, np.float32), np.empty(count, np.int32)
    weights = np.empty((*count, 3), np.float32)
    for k in range(len(vertices)):
        _nearest(
            points, vertices[k], topology.faces, topology.ring, topology.order, topology.starts,
            squared[k], faces[k], weights[k],
        )  # fmt: skip
    return squared, faces, weights


def squared_distances(points: torch.Tensor, vertices: torch.Tensor, topology: Sphere) -> torch.Tensor:
    """(B, K, N): squared distance, m^2, from points (B, N, 3) to surfaces with vertices (B, K, V, 3), metres.
    Differentiable in both; the search itself runs on the CPU."""
    faces, weights = nearest_faces(points, vertices, topology)
    return ((points[:, None] - on_faces(vertices, faces, weights, topology)) ** 2).sum(-1)


def nearest_faces(
    points: torch.Tensor, vertices: torch.Tensor, topology: Sphere
) -> tuple[torch.Tensor, torch.Tensor]:
    """Faces (B, K, N) int64 and barycentric coordinates (B, K, N, 3), without gradients; the squared distance
    between a point and the point they stand for has the right gradient all the same, as the nearest point is
    where it is least."""
    p, v = (value.detach().float().cpu().numpy() for value in (points, vertices))
    found = [nearest(own, surfaces, topology)[1:] for own, surfaces in zip(p, v, strict=True)]
    faces = torch.as_tensor(np.stack([face for face, _ in found]).astype(np.int64), device=points.device)
    weights = torch.as_tensor(np.stack([weight for _, weight in found]), device=points.device)
    return faces, weights


def on_faces(
    values: torch.Tensor, faces: torch.Tensor, weights: torch.Tensor, topology: Sphere
) -> torch.Tensor:
    """(B, K, N, C): values at the vertices (B, K, V, C) interpolated at the places on faces (B, K, N),
    (B, K, N, 3)."""
    corners = torch.as_tensor(topology.faces.astype(np.int64), device=faces.device)[faces]  # (B, K, N, 3)
    index = corners.flatten(2)[..., None].expand(-1, -1, -1, values.shape[-1])
    gathered = values.gather(2, index).unflatten(2, corners.shape[2:])
    return (weights[..., None] * gathered).sum(-2)


@njit
def _nearest(points, vertices, faces, ring, order, starts, squared, face_ids, weights):
    groups = starts.shape[0] - 1
    count = vertices.shape[0]
    sorted_x, sorted_y, sorted_z = (
        np.empty(count, np.float32),
        np.empty(count, np.float32),
        np.empty(count, np.float32),
    )
    for k in range(count):
        sorted_x[k], sorted_y[k], sorted_z[k] = vertices[order[k]]
    spheres = np.empty((groups, 4), np.float32)  # centre and radius of each patch
    for g in range(groups):
        low, high = starts[g], starts[g + 1]
        cx, cy, cz = np.float32(0.0), np.float32(0.0), np.float32(0.0)
        for k in range(low, high):
            cx += sorted_x[k]
            cy += sorted_y[k]
            cz += sorted_z[k]
        share = np.float32(1.0) / np.float32(high - low)
        cx, cy, cz = cx * share, cy * share, cz * share
        far = np.float32(0.0)
        for k in range(low, high):
            dx, dy, dz = sorted_x[k] - cx, sorted_y[k] - cy, sorted_z[k] - cz
            far = max(far, dx * dx + dy * dy + dz * dz)
        spheres[g, 0], spheres[g, 1], spheres[g, 2], spheres[g, 3] = cx, cy, cz, np.sqrt(far)
    last = 0  # neighbouring points are near the same patch
    bary = np.empty(3)
    best_bary = np.empty(3)
    for row in range(points.shape[0]):
        px, py, pz = points[row, 0], points[row, 1], points[row, 2]
        best = np.float32(np.inf)
        best_vertex = 0
        for turn in range(-1, groups):
            g = last if turn < 0 else turn
            if turn >= 0:
                if g == last:
                    continue
                dx, dy, dz = px - spheres[g, 0], py - spheres[g, 1], pz - spheres[g, 2]
                reach = np.sqrt(best) + spheres[g, 3]
                if dx * dx + dy * dy + dz * dz >= reach * reach:
                    continue
            for k in range(starts[g], starts[g + 1]):
                dx, dy, dz = px - sorted_x[k], py - sorted_y[k], pz - sorted_z[k]
                distance = dx * dx + dy * dy + dz * dz
                if distance < best:
                    best = distance
                    best_vertex = order[k]
                    near = g
        last = near
        least = np.inf
        for k in range(6):
            face = ring[best_vertex, k]
            if face < 0:
                continue
            distance = _to_triangle(
                px, py, pz, vertices[faces[face, 0]], vertices[faces[face, 1]], vertices[faces[face, 2]], bary
            )
            if distance < least:
                least = distance
                face_ids[row] = face
                best_bary[:] = bary
        squared[row] = least
        weights[row, 0], weights[row, 1], weights[row, 2] = best_bary[0], best_bary[1], best_bary[2]


@njit(inline="always")
def _to_triangle(px, py, pz, a, b, c, bary):
    """Squared distance from a point to a triangle, and where it is nearest (Ericson 2005, 5.1.5)."""
    abx, aby, abz = b[0] - a[0], b[1] - a[1], b[2] - a[2]
    acx, acy, acz = c[0] - a[0], c[1] - a[1], c[2] - a[2]
    apx, apy, apz = px - a[0], py - a[1], pz - a[2]
    d1 = abx * apx + aby * apy + abz * apz
    d2 = acx * apx + acy * apy + acz * apz
    bpx, bpy, bpz = px - b[0], py - b[1], pz - b[2]
    d3 = abx * bpx + aby * bpy + abz * bpz
    d4 = acx * bpx + acy * bpy + acz * bpz
    cpx, cpy, cpz = px - c[0], py - c[1], pz - c[2]
    d5 = abx * cpx + aby * cpy + abz * cpz
    d6 = acx * cpx + acy * cpy + acz * cpz
    vc, vb, va = d1 * d4 - d3 * d2, d5 * d2 - d1 * d6, d3 * d6 - d5 * d4
    total = va + vb + vc
    if d1 <= 0 and d2 <= 0:
        v, w = 0.0, 0.0
    elif d3 >= 0 and d4 <= d3:
        v, w = 1.0, 0.0
    elif d6 >= 0 and d5 <= d6:
        v, w = 0.0, 1.0
    elif vc <= 0 and d1 >= 0 and d3 <= 0:
        v, w = d1 / max(d1 - d3, 1e-30), 0.0
    elif vb <= 0 and d2 >= 0 and d6 <= 0:
        v, w = 0.0, d2 / max(d2 - d6, 1e-30)
    elif va <= 0 and d4 - d3 >= 0 and d5 - d6 >= 0:
        w = (d4 - d3) / max((d4 - d3) + (d5 - d6), 1e-30)
        v = 1.0 - w
    elif total > 1e-30:
        v, w = vb / total, vc / total
    else:
        v, w = 1 / 3, 1 / 3  # a triangle without area
    bary[0], bary[1], bary[2] = 1.0 - v - w, v, w
    dx = apx - v * abx - w * acx
    dy = apy - v * aby - w * acy
    dz = apz - v * abz - w * acz
    return dx * dx + dy * dy + dz * dz
