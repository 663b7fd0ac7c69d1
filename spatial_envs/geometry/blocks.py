"""The faces of a mesh in blocks of neighbours, each in a box, so that a renderer can leave whole ones out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from spatial_envs.foundation.compilation import njit
from spatial_envs.geometry.quickselect import select

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
    low, high = _face_boxes(vertices, faces)
    extent = np.maximum((high - low).max(axis=1), 1e-9)
    size = np.round(np.log2(extent) / 2).astype(np.int64)  # a class is four times the last
    numbers, face_starts = _halved((low + high) / 2, np.argsort(size, kind="stable").astype(np.int32), size)
    own, places, vertex_starts = _own_vertices(faces[numbers], face_starts, len(vertices))
    low = np.minimum.reduceat(low[numbers], face_starts[:-1])
    high = np.maximum.reduceat(high[numbers], face_starts[:-1])
    return Blocks(vertices[own], places, numbers, vertex_starts, face_starts, *_boxes(low, high))


@njit
def _face_boxes(vertices, faces):
    """The least and greatest coordinates (F, 3) float64 of every face."""
    low = np.empty((len(faces), 3))
    high = np.empty((len(faces), 3))
    for face in range(len(faces)):
        for axis in range(3):
            a = np.float64(vertices[faces[face, 0], axis])
            b = np.float64(vertices[faces[face, 1], axis])
            c = np.float64(vertices[faces[face, 2], axis])
            low[face, axis], high[face, axis] = min(a, b, c), max(a, b, c)
    return low, high


@njit
def _halved(centres, order, size):
    """Faces by class of ``size``, in blocks of one class, ascending in each; and where each block starts."""
    starts = np.empty(len(order) + 1, np.int64)
    keys = np.empty(len(order))
    blocks = 0
    stack = np.empty((64, 2), np.int64)
    first = 0
    while first < len(order):
        last = first
        while last < len(order) and size[order[last]] == size[order[first]]:
            last += 1
        stack[0, 0], stack[0, 1] = first, last
        top = 1
        while top > 0:
            top -= 1
            left, right = stack[top, 0], stack[top, 1]
            if right - left <= SIZE:
                starts[blocks] = left
                blocks += 1
                continue
            best, widest = 0, -1.0
            for axis in range(3):
                low = high = centres[order[left], axis]
                for k in range(left + 1, right):
                    low = min(low, centres[order[k], axis])
                    high = max(high, centres[order[k], axis])
                if high - low > widest:
                    best, widest = axis, high - low
            middle = (left + right) // 2
            for k in range(left, right):
                keys[k] = centres[order[k], best]
            select(keys, order, left, right - 1, middle)
            stack[top, 0], stack[top, 1] = middle, right
            stack[top + 1, 0], stack[top + 1, 1] = left, middle
            top += 2
        first = last
    starts[blocks] = len(order)
    block = np.empty(len(order), np.int32)
    for k in range(blocks):
        for there in range(starts[k], starts[k + 1]):
            block[order[there]] = k
    place = starts[:blocks].copy()
    for face in range(len(order)):
        order[place[block[face]]] = face
        place[block[face]] += 1
    return order, starts[: blocks + 1].copy()


@njit
def _own_vertices(faces, face_starts, count):
    """Vertices of their own for blocks of faces (F, 3): which of the ``count`` they are, the faces by their
    places from the block's first on (F, 3) int32, and where each block's start."""
    own = np.empty(3 * len(faces), np.int32)
    places = np.empty(faces.shape, np.int32)
    starts = np.zeros(len(face_starts), np.int64)
    seen = np.full(count, -1, np.int64)  # where in ``own`` a vertex stands
    found = 0
    for block in range(len(face_starts) - 1):
        for face in range(face_starts[block], face_starts[block + 1]):
            for corner in range(3):
                vertex = faces[face, corner]
                if seen[vertex] < starts[block]:
                    seen[vertex] = found
                    own[found] = vertex
                    found += 1
                places[face, corner] = seen[vertex] - starts[block]
        starts[block + 1] = found
    return own[:found].copy(), places, starts


def _boxes(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Middles and halves (B, 3) of boxes, a little wider than given."""
    middles, halves = (low + high) / 2, (high - low) / 2
    return middles, halves + MARGIN * (np.abs(middles) + halves).max(axis=1, keepdims=True)
