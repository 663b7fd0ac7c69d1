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
        nearest_on(
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
def nearest_on(points, vertices, faces, ring, order, starts, squared, face_ids, weights):
    """`nearest` of one surface with vertices (V, 3): fills squared (N,), face_ids (N,) and weights (N, 3)."""
    groups = starts.shape[0] - 1
    count = vertices.shape[0]
    sorted_x, sorted_y, sorted_z = (
        np.empty(count, np.float32),
        np.empty(count, np.float32),
        np.empty(count, np.float32),
    )
    for k in range(count):
        vertex = order[k]
        sorted_x[k], sorted_y[k], sorted_z[k] = vertices[vertex, 0], vertices[vertex, 1], vertices[vertex, 2]
    spheres = np.empty((4, groups), np.float32)  # centre and radius of each patch
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
        spheres[0, g], spheres[1, g], spheres[2, g], spheres[3, g] = cx, cy, cz, np.sqrt(far)
    away = np.empty(groups, np.float32)
    last = 0  # neighbouring points are near the same patch
    for row in range(points.shape[0]):
        px, py, pz = points[row, 0], points[row, 1], points[row, 2]
        for g in range(groups):
            dx, dy, dz = px - spheres[0, g], py - spheres[1, g], pz - spheres[2, g]
            away[g] = dx * dx + dy * dy + dz * dz
        best = root = np.float32(np.inf)
        best_vertex, near = np.uint64(0), 0
        for turn in range(-1, groups):
            g = last if turn < 0 else turn
            if turn >= 0:
                reach = root + spheres[3, g]
                if away[g] >= reach * reach or g == last:
                    continue
            # unsigned, as numba would look for indices from the end otherwise
            for k in range(np.uint64(starts[g]), np.uint64(starts[g + 1])):
                dx, dy, dz = px - sorted_x[k], py - sorted_y[k], pz - sorted_z[k]
                distance = dx * dx + dy * dy + dz * dz
                if distance < best:
                    best = distance
                    best_vertex = np.uint64(order[k])
                    near = g
            root = np.sqrt(best)
        last = near
        least = np.inf
        for k in range(6):
            if ring[best_vertex, k] < 0:
                continue
            face = np.uint64(ring[best_vertex, k])
            a, b, c = np.uint64(faces[face, 0]), np.uint64(faces[face, 1]), np.uint64(faces[face, 2])
            distance, v, w = _to_triangle(
                px, py, pz,
                vertices[a, 0], vertices[a, 1], vertices[a, 2],
                vertices[b, 0], vertices[b, 1], vertices[b, 2],
                vertices[c, 0], vertices[c, 1], vertices[c, 2],
            )  # fmt: skip
            if distance < least:
                least = distance
                face_ids[row] = face
                weights[row, 0], weights[row, 1], weights[row, 2] = 1.0 - v - w, v, w
        squared[row] = least


@njit(inline="always")
def _to_triangle(px, py, pz, ax, ay, az, bx, by, bz, cx, cy, cz):
    """Squared distance from p to the triangle a, b, c, and the weights of b and c where it is nearest
    (Ericson 2005, 5.1.5). By the number: an array of a corner would be counted as a reference each time."""
    abx, aby, abz = bx - ax, by - ay, bz - az
    acx, acy, acz = cx - ax, cy - ay, cz - az
    apx, apy, apz = px - ax, py - ay, pz - az
    d1 = abx * apx + aby * apy + abz * apz
    d2 = acx * apx + acy * apy + acz * apz
    bpx, bpy, bpz = px - bx, py - by, pz - bz
    d3 = abx * bpx + aby * bpy + abz * bpz
    d4 = acx * bpx + acy * bpy + acz * bpz
    cpx, cpy, cpz = px - cx, py - cy, pz - cz
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
    dx = apx - v * abx - w * acx
    dy = apy - v * aby - w * acy
    dz = apz - v * abz - w * acz
    return dx * dx + dy * dy + dz * dz, v, w
