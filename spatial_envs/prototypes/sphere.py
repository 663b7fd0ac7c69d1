"""The one true object: a sphere that is never trained. Everything that is fitted is a deformation of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import trimesh
from scipy.special import gammaln, lpmv

GROUPS = 42  # patches of neighbouring vertices, which searches skip as a whole


@dataclass(frozen=True, eq=False)
class Sphere:
    """``copies`` unit icospheres side by side in one set of arrays; V vertices and F faces in all.

    vertices  (V, 3) float32, unit length
    faces     (F, 3) int32, seen from outside anticlockwise
    ring      (V, 6) int32: the faces round each vertex, -1 where there are only five
    order     (V,) int32: the vertices, patch by patch
    starts    (G + 1,) int32: where in ``order`` each patch begins
    """

    vertices: np.ndarray
    faces: np.ndarray
    ring: np.ndarray
    order: np.ndarray
    starts: np.ndarray


@lru_cache
def sphere(subdivisions: int = 3, copies: int = 1) -> Sphere:
    """The icosphere of 10 * 4^subdivisions + 2 vertices, ``copies`` times. Its arrays are read-only."""
    if not 1 <= subdivisions <= 6:
        raise ValueError(f"subdivisions: got {subdivisions}; expected 1 to 6")
    mesh = trimesh.creation.icosphere(subdivisions)
    vertices = (mesh.vertices / np.linalg.norm(mesh.vertices, axis=1, keepdims=True)).astype(np.float32)
    faces, count = mesh.faces.astype(np.int32), len(vertices)
    ring = np.full((count, 6), -1, np.int32)
    filled = np.zeros(count, np.int64)
    for face, corners in enumerate(faces):
        for vertex in corners:
            ring[vertex, filled[vertex]] = face
            filled[vertex] += 1
    centres = trimesh.creation.icosphere(1).vertices
    patch = (vertices @ centres.T).argmax(axis=1)
    order = np.argsort(patch, kind="stable").astype(np.int32)
    starts = np.searchsorted(patch[order], np.arange(GROUPS)).astype(np.int32)
    arrays = (
        np.tile(vertices, (copies, 1)),
        np.concatenate([faces + k * count for k in range(copies)]),
        np.concatenate([np.where(ring < 0, -1, ring + k * len(faces)) for k in range(copies)]),
        np.concatenate([order + k * count for k in range(copies)]),
        np.concatenate([*[starts + k * count for k in range(copies)], [copies * count]]).astype(np.int32),
    )
    for array in arrays:
        array.flags.writeable = False
    return Sphere(*arrays)


def harmonics(directions: np.ndarray, degree: int) -> np.ndarray:
    """(N, (degree + 1)^2) float64: the real spherical harmonics at unit vectors (N, 3), orthonormal over the
    sphere; degree l, order m at column l^2 + l + m, the polar axis is Y."""
    x, y, z = np.asarray(directions, np.float64).T
    azimuth = np.arctan2(x, z)
    columns = []
    for l in range(degree + 1):  # noqa: E741
        for m in range(-l, l + 1):
            k = abs(m)
            norm = np.sqrt((2 * l + 1) / (4 * np.pi) * np.exp(gammaln(l - k + 1) - gammaln(l + k + 1)))
            wave = np.ones_like(x) if m == 0 else np.sqrt(2) * (np.cos if m > 0 else np.sin)(k * azimuth)
            columns.append(norm * wave * lpmv(k, l, y.clip(-1, 1)))
    return np.stack(columns, axis=1)
