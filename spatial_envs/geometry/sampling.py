"""Points sampled evenly from a mesh's surface."""

from __future__ import annotations

import numpy as np

from spatial_envs.foundation.compilation import njit
from spatial_envs.geometry.mesh import Mesh


def surface_samples(mesh: Mesh, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """``count`` points (count, 3) float32, uniform over the area, stratified, in random order, and
    the faces (count,) that they lie on."""
    cumulative = np.cumsum(mesh.areas)
    strata = (np.arange(count) + rng.random(count)) / count * cumulative[-1]
    faces = np.minimum(np.searchsorted(cumulative, strata), len(cumulative) - 1)
    faces = faces[rng.permutation(count)]
    a, b = rng.random((2, count))
    return _on_faces(mesh.vertices, mesh.faces, faces, np.sqrt(a), b), faces


@njit
def _on_faces(vertices, faces, chosen, root, share):
    """(N, 3) float32: a point of each chosen face by two numbers in [0, 1], the root of the first given
    (Turk 1990)."""
    points = np.empty((len(chosen), 3), np.float32)
    for k in range(len(chosen)):
        face = chosen[k]
        p, q, r = faces[face, 0], faces[face, 1], faces[face, 2]
        for axis in range(3):
            points[k, axis] = (
                (1 - root[k]) * vertices[p, axis]
                + root[k] * (1 - share[k]) * vertices[q, axis]
                + root[k] * share[k] * vertices[r, axis]
            )
    return points


def blue_noise(points: np.ndarray, count: int) -> np.ndarray:
    """``count`` of the points (N, 3), evenly spread: dart throwing with a decreasing radius (McCool and
    Fiume 1992). The points must be in random order. Raises ValueError where N < count."""
    if len(points) < count:
        raise ValueError(f"points: got {len(points)}; expected at least {count}")
    low = points.min(axis=0)
    extent = float((points.max(axis=0) - low).max())
    radius = extent * np.sqrt(8.0 / count)  # no set of this many on a surface of this extent is sparser
    chosen = np.zeros(len(points), np.bool_)
    return points[_throw_darts(points, low, extent, radius, count, chosen)]


@njit
def _throw_darts(points, low, extent, radius, count, chosen):
    accepted = np.empty(count, np.int64)
    following = np.empty(points.shape[0], np.int32)
    nearest = np.full(points.shape[0], np.float32(np.inf))  # squared, of the accepted points met so far
    found = 0
    while True:
        # a grid of cells as wide as the radius; each a linked list of the points accepted so far
        side = min(int(extent / radius) + 1, 256)
        cell = max(radius, extent / 255.0)
        heads = np.full((side + 2, side + 2, side + 2), -1, np.int32)
        for k in range(found):
            _link(points, accepted[k], low, cell, heads, following)
        for row in range(points.shape[0]):
            if nearest[row] < radius * radius:
                continue  # an accepted point that stood in its way does so still; itself, where it is one
            if not _is_free(points, row, low, cell, radius * radius, heads, following, nearest):
                continue
            _link(points, row, low, cell, heads, following)
            chosen[row] = True
            nearest[row] = 0.0
            accepted[found] = row
            found += 1
            if found == count:
                return accepted
        radius *= 0.85


@njit(inline="always")
def _link(points, row, low, cell, heads, following):
    i = int((points[row, 0] - low[0]) / cell) + 1
    j = int((points[row, 1] - low[1]) / cell) + 1
    k = int((points[row, 2] - low[2]) / cell) + 1
    following[row] = heads[i, j, k]
    heads[i, j, k] = row


@njit
def _is_free(points, row, low, cell, squared_radius, heads, following, nearest):
    i = int((points[row, 0] - low[0]) / cell) + 1
    j = int((points[row, 1] - low[1]) / cell) + 1
    k = int((points[row, 2] - low[2]) / cell) + 1
    for a in range(i - 1, i + 2):
        for b in range(j - 1, j + 2):
            for c in range(k - 1, k + 2):
                other = heads[a, b, c]
                while other >= 0:
                    dx = points[other, 0] - points[row, 0]
                    dy = points[other, 1] - points[row, 1]
                    dz = points[other, 2] - points[row, 2]
                    squared = dx * dx + dy * dy + dz * dz
                    if squared < squared_radius:
                        nearest[row] = squared
                        return False
                    other = following[other]
    return True
