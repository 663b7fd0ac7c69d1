"""The faces of a mesh in blocks of neighbours, each in a box, so that a renderer can leave whole ones out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

SIZE = 128  # faces in a block at most
MARGIN = 1e-6  # of the greatest coordinate: boxes are wider by it, for the rounding of whoever tests them


class Blocks(NamedTuple):
    """B blocks; every block has vertices of its own, so that it can be transformed alone.

    vertices       (N, 3) float32, metres, by block
    faces          (F, 3) int32, indices from the block's first vertex, by block
    face_numbers   (F,) int32: where the face stands in the mesh; ascending in a block
    vertex_starts  (B + 1,) int64, of the blocks in vertices
    face_starts    (B + 1,) int64, of the blocks in faces
    middles        (B, 3) float64, of the boxes
    halves         (B, 3) float64, half the lengths of their sides
    """

    vertices: np.ndarray
    faces: np.ndarray
    face_numbers: np.ndarray
    vertex_starts: np.ndarray
    face_starts: np.ndarray
    middles: np.ndarray
    halves: np.ndarray


def in_blocks(vertices: np.ndarray, faces: np.ndarray) -> Blocks:
    """Halve the faces (F, 3) of vertices (V, 3), F > 0, at the median of their longest spread until each part
    fits into a block; faces of unlike size apart, as a wall would stretch the box of what hangs on it."""
    corners = vertices[faces].astype(np.float64)
    low, high = corners.min(axis=1), corners.max(axis=1)
    centres = (low + high) / 2
    size = np.round(np.log2(np.maximum((high - low).max(axis=1), 1e-9)) / 2)  # a class is four times the last
    parts = [np.flatnonzero(size == each) for each in np.unique(size)]
    groups = []
    while parts:
        part = parts.pop()
        if len(part) <= SIZE:
            groups.append(np.sort(part))
            continue
        places = centres[part]
        axis = np.argmax(places.max(axis=0) - places.min(axis=0))
        order = np.argpartition(places[:, axis], len(part) // 2)
        parts += [part[order[: len(part) // 2]], part[order[len(part) // 2 :]]]
    numbers = np.concatenate(groups)
    sizes = np.array([len(group) for group in groups])
    face_starts = np.concatenate([[0], np.cumsum(sizes)])
    block = np.repeat(np.arange(len(groups)), 3 * sizes)
    used, corner = np.unique(block * len(vertices) + faces[numbers].reshape(-1), return_inverse=True)
    vertex_starts = np.searchsorted(used, np.arange(len(groups) + 1) * len(vertices))
    low = np.minimum.reduceat(low[numbers], face_starts[:-1])
    high = np.maximum.reduceat(high[numbers], face_starts[:-1])
    return Blocks(
        vertices[used % len(vertices)], (corner - vertex_starts[block]).reshape(-1, 3).astype(np.int32),
        numbers.astype(np.int32), vertex_starts, face_starts,
        *_boxes(low, high),
    )  # fmt: skip


def _boxes(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Middles and halves (B, 3) of boxes, a little wider than given."""
    middles, halves = (low + high) / 2, (high - low) / 2
    return middles, halves + MARGIN * (np.abs(middles) + halves).max(axis=1, keepdims=True)
