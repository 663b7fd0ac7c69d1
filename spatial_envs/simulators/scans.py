"""Scans as they are walked: a sensor's noise makes of a floor hills and cracks that no foot meets.

A building is taken for a noisy scan where its floors are of small triangles that do not lie smoothly. All
others are walked as they are.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix, diags
from scipy.sparse.csgraph import connected_components

from spatial_envs.geometry.mesh import Mesh

FINE = 0.01  # square metres: half of a scan's floor is of triangles smaller than this
ROUGH = 0.003  # metres: how far its points are off the middle of their neighbours, in the median
STEPS, PASS, BACK = 12, 0.5, -0.53  # of Taubin's smoothing, which keeps the volume
CRUMB = 0.3  # metres: pieces that are smaller hang in the air
HOLE = 0.6  # metres: holes that are smaller are closed


def as_walked(mesh: Mesh) -> Mesh:
    """The mesh, or for a noisy scan one without crumbs and small holes and with its noise smoothed away, to
    walk on: metres, Y up, no colours. Smoothing is Taubin's (1995)."""
    floor = mesh.face_normals[:, 1] > 0.5
    if not floor.any() or _middle(mesh.areas[floor]) > FINE:
        return mesh
    places, where = np.unique(mesh.vertices, axis=0, return_inverse=True)
    vertices, faces = places.astype(np.float64), where.reshape(-1)[mesh.faces]
    around = _neighbours(faces, len(vertices))
    level = np.zeros(len(vertices), np.bool_)
    level[faces[floor]] = True
    off = np.abs((around @ vertices - vertices)[level, 1])
    if np.median(off) < ROUGH:
        return mesh
    faces = _closed(vertices, _without_crumbs(vertices, faces))
    around = _neighbours(faces[(faces < len(vertices)).all(axis=1)], len(vertices))
    used = np.asarray(around.sum(axis=1)).ravel() > 0
    for _ in range(STEPS):
        for share in (PASS, BACK):
            vertices = np.where(used[:, None], vertices + share * (around @ vertices - vertices), vertices)
    return replace(
        mesh,
        vertices=vertices.astype(np.float32),
        faces=faces.astype(np.int32),
        colors=np.zeros((len(vertices), 3), np.uint8),
        uv=None,
        textures=(),
        face_texture=None,
        segment=None,
    )


def _middle(areas: np.ndarray) -> float:
    """The size of triangle that half of the area is in smaller ones than."""
    ordered = np.sort(areas)
    return float(ordered[np.searchsorted(ordered.cumsum(), 0.5 * ordered.sum())])


def _neighbours(faces: np.ndarray, count: int) -> csr_matrix:
    """(count, count): a row gives the mean over the vertices that share an edge with one."""
    ends = np.concatenate([faces[:, [a, b]] for a, b in ((0, 1), (1, 2), (2, 0), (1, 0), (2, 1), (0, 2))])
    graph = coo_matrix((np.ones(len(ends)), ends.T), (count, count)).tocsr()
    graph.data[:] = 1.0
    return diags(1.0 / np.maximum(np.asarray(graph.sum(axis=1)).ravel(), 1.0)) @ graph


def _without_crumbs(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    ends = faces[:, [0, 1, 1, 2]].reshape(-1, 2)
    graph = coo_matrix((np.ones(len(ends)), ends.T), (len(vertices), len(vertices)))
    count, piece = connected_components(graph, directed=False)
    low, high = np.full((count, 3), np.inf), np.full((count, 3), -np.inf)
    np.minimum.at(low, piece, vertices)
    np.maximum.at(high, piece, vertices)
    return faces[((high - low).max(axis=1) >= CRUMB)[piece[faces[:, 0]]]]


def _closed(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """The faces and those that close small holes: fans over the loops of edges with a face on one side."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    code, back = edges @ [len(vertices), 1], edges @ [1, len(vertices)]
    onwards: dict[int, list[int]] = {}
    for start, end in edges[~np.isin(code, back)][:, ::-1].tolist():  # round the hole, not the face
        onwards.setdefault(start, []).append(end)
    fans = []
    for first in list(onwards):
        while onwards.get(first):
            loop = [first]
            while onwards.get(loop[-1]):
                following = onwards[loop[-1]].pop()
                if following in loop:  # where two holes meet in a point, each is a loop of its own
                    at = loop.index(following)
                    fans += _fan(vertices, loop[at:])
                    del loop[at + 1 :]
                else:
                    loop.append(following)
    return np.concatenate([faces, np.array(fans, faces.dtype).reshape(-1, 3)])


def _fan(vertices: np.ndarray, loop: list[int]) -> list[tuple[int, int, int]]:
    if len(loop) < 3 or np.ptp(vertices[loop], axis=0).max() > HOLE:
        return []
    return [(loop[0], loop[k], loop[k + 1]) for k in range(1, len(loop) - 1)]
