"""Ring surfaces: rings of points joined to their neighbours, coloured or textured."""

from __future__ import annotations

import numpy as np

from spatial_envs.geometry.mesh import Mesh
from spatial_envs.procedural.objects.paint import paint, texture


def lattice(
    rng: np.random.Generator, rings: np.ndarray, loop: bool = False, inner: int | None = None
) -> Mesh:
    """The closed surface through rings (M, N, 3) of points: a sphere, its ends closed by fans,
    or with loop=True a torus. From ring `inner` on it is another part (the inside of a vessel)."""
    ends = [rings, rings[:1]] if loop else [_pole(rings[0]), rings, _pole(rings[-1])]
    grid = np.concatenate(ends)
    grid = np.concatenate([grid, grid[:, :1]], axis=1)
    m, n = grid.shape[0] - 1, grid.shape[1] - 1
    index = np.arange((m + 1) * (n + 1)).reshape(m + 1, n + 1)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]
    first, second = np.stack([a, b, c], axis=-1), np.stack([a, c, d], axis=-1)
    if not loop:  # beside a pole half of the triangles have no area
        first, second = first[1:], second[:-1]
    faces = np.concatenate([first.reshape(-1, 3), second.reshape(-1, 3)])
    vertices = grid.reshape(-1, 3).astype(np.float32)
    corners = vertices[faces].astype(np.float64)
    if np.einsum("fi,fi", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) < 0:
        faces = faces[:, ::-1]

    parts = np.repeat(np.arange(m + 1) >= (m + 1 if inner is None else inner), n + 1).astype(int)
    if rng.uniform() < 0.5:
        colors = paint(rng, vertices, parts)
        place = np.arange((m + 1) * n).reshape(m + 1, n)  # one vertex per place: no seam, one pole
        place = np.concatenate([place, place[:, :1]], axis=1)
        if loop:
            place[-1] = place[0]
        else:
            place[0], place[-1] = place[0, 0], place[-1, 0]
        _, where, rank = np.unique(place, return_index=True, return_inverse=True)
        return Mesh(vertices[where], rank.reshape(-1)[faces].astype(np.int32), colors[where])
    repeats = rng.integers(1, 5, 2)
    v, u = np.meshgrid(np.linspace(0, repeats[1], m + 1), np.linspace(0, repeats[0], n + 1), indexing="ij")
    uv = np.stack([u, v], axis=-1).reshape(-1, 2).astype(np.float32)
    colors = paint(rng, vertices, parts, pale=0.75)
    which = np.zeros(len(faces), np.int32)
    return Mesh(vertices, faces.astype(np.int32), colors, uv, (texture(rng),), which)


def _pole(ring: np.ndarray) -> np.ndarray:
    return np.broadcast_to(ring.mean(axis=0), (1, *ring.shape))


def deformed(rng: np.random.Generator, points: np.ndarray, strength: float = 1.0) -> np.ndarray:
    """Tapered, twisted and bent along Y (Barr 1984, Global and local deformations of solid primitives)."""
    x, y, z = np.moveaxis(points, -1, 0)
    taper, twist, bend = rng.uniform(-1, 1, 3) * strength * [0.5, 1.6, 1.1]
    x, z = x * (1 + taper * y), z * (1 + 0.6 * taper * y)
    x, z = x * np.cos(twist * y) + z * np.sin(twist * y), z * np.cos(twist * y) - x * np.sin(twist * y)
    radius = 1 / (bend if abs(bend) > 1e-3 else 1e-3)
    return np.stack(
        [radius - (radius - x) * np.cos(y / radius), (radius - x) * np.sin(y / radius), z], axis=-1
    )
