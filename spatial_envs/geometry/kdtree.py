"""Exact nearest neighbours in 3D: a bucketed k-d tree, compiled by numba.

Bentley 1975, with the incremental box distances of Arya and Mount 1993. It answers about twice as fast as
scipy's tree for what the Chamfer distance asks: queries in spatial order, each with an upper bound known.
"""

from __future__ import annotations

import numpy as np

from spatial_envs.foundation.compilation import njit

BUCKET = 8  # points in a leaf, at most


def checked_points(points: np.ndarray, name: str) -> np.ndarray:
    """The points as (N, 3) float32; ValueError, with ``name``, unless N >= 1 and all are finite."""
    points = np.ascontiguousarray(points, np.float32)
    if points.ndim != 2 or points.shape[1] != 3 or len(points) == 0:
        raise ValueError(f"{name}: got shape {points.shape}; expected (N, 3) with N >= 1")
    if not np.isfinite(points).all():
        raise ValueError(f"{name}: got values that are not finite; expected finite coordinates in metres")
    return points


class KDTree:
    """A balanced tree over points (N, 3), metres, stored as float32 in tree order."""

    def __init__(self, points: np.ndarray) -> None:
        points = checked_points(points, "points")
        depth = max(0, int(np.ceil(np.log2(len(points) / BUCKET))))
        self.points = points.copy()
        self.split_axis = np.zeros(2**depth, np.int8)
        self.split_value = np.zeros(2**depth, np.float32)
        _build(self.points, self.split_axis, self.split_value, depth)

    def squared_distances(self, queries: np.ndarray, bounds: np.ndarray | None = None) -> np.ndarray:
        """(M,) float64: squared distance, m^2, from each query (M, 3) to its nearest point, or its bound
        (M,) float64 where that is smaller. Fastest where neighbouring queries are near each other."""
        queries = np.ascontiguousarray(queries, np.float32)
        if queries.ndim != 2 or queries.shape[1] != 3:
            raise ValueError(f"queries: got shape {queries.shape}; expected (M, 3)")
        result = np.full(len(queries), np.inf) if bounds is None else bounds.astype(np.float64)
        if result.shape != (len(queries),):
            raise ValueError(
                f"bounds: got shape {result.shape}; expected ({len(queries)},), one for each query"
            )
        _search(self.points, self.split_axis, self.split_value, queries, result)
        return result


@njit
def _build(points, split_axis, split_value, depth):
    """Put the points in tree order: split [0, N) at its middle along its widest axis, level by level; node k
    has children 2k and 2k + 1."""
    for level in range(depth):
        for node in range(2**level, 2 ** (level + 1)):
            low, high = _node_range(node, level, points.shape[0])
            axis = _widest_axis(points, low, high)
            middle = (low + high) // 2
            _select(points, low, high - 1, middle, axis)
            split_axis[node] = axis
            split_value[node] = points[middle, axis]


@njit(inline="always")
def _widest_axis(points, low, high):
    """The first of those along which the points [low, high) spread most."""
    x0, y0, z0 = points[low, 0], points[low, 1], points[low, 2]
    x1, y1, z1 = x0, y0, z0
    for k in range(low + 1, high):
        x, y, z = points[k, 0], points[k, 1], points[k, 2]
        x0, y0, z0 = min(x0, x), min(y0, y), min(z0, z)
        x1, y1, z1 = max(x1, x), max(y1, y), max(z1, z)
    dx, dy, dz = x1 - x0, y1 - y0, z1 - z0
    if dx >= dy and dx >= dz:
        return 0
    return 1 if dy >= dz else 2


@njit(inline="always")
def _node_range(node, level, count):
    low, high = 0, count
    for bit in range(level - 1, -1, -1):
        middle = (low + high) // 2
        if (node >> bit) & 1:
            low = middle
        else:
            high = middle
    return low, high


@njit
def _select(points, left, right, k, axis):
    """Quickselect (Hoare 1961): points[k] gets its place by coordinate, smaller ones before it."""
    while left < right:
        pivot = points[(left + right) // 2, axis]
        i, j = left, right
        while i <= j:
            while points[i, axis] < pivot:
                i += 1
            while points[j, axis] > pivot:
                j -= 1
            if i <= j:
                for c in range(3):
                    points[i, c], points[j, c] = points[j, c], points[i, c]
                i += 1
                j -= 1
        if k <= j:
            right = j
        elif k >= i:
            left = i
        else:
            return


@njit
def _search(points, split_axis, split_value, queries, result):
    """Lower ``result`` to the squared distances. The search compares in float32; what it found is then
    measured in float64."""
    count = points.shape[0]
    inner = split_axis.shape[0]
    # a stack of nodes still to visit: node, [low, high), squared box distance and its part along each axis
    nodes = np.empty((64, 3), np.int64)
    boxes = np.empty((64, 4), np.float32)
    least, most = points[0].copy(), points[0].copy()
    for k in range(1, count):
        for axis in range(3):
            least[axis] = min(least[axis], points[k, axis])
            most[axis] = max(most[axis], points[k, axis])
    zero = np.float32(0.0)
    last = -1
    for row in range(queries.shape[0]):
        qx, qy, qz = queries[row, 0], queries[row, 1], queries[row, 2]
        best = np.float32(result[row])
        # how far outside of the box round all points: where that is too far already, none is nearer
        ax = max(least[0] - qx, qx - most[0], zero)
        ay = max(least[1] - qy, qy - most[1], zero)
        az = max(least[2] - qz, qz - most[2], zero)
        outside = ax * ax + ay * ay + az * az
        if outside >= best:
            continue
        nearest = -1
        if last >= 0:  # the neighbour of the query before is a good first guess
            dx, dy, dz = qx - points[last, 0], qy - points[last, 1], qz - points[last, 2]
            distance = dx * dx + dy * dy + dz * dz
            if distance < best:
                best = distance
                nearest = last
        nodes[0, 0], nodes[0, 1], nodes[0, 2] = 1, 0, count
        boxes[0, 0], boxes[0, 1], boxes[0, 2], boxes[0, 3] = outside, ax, ay, az
        top = 1
        while top > 0:
            top -= 1
            distance = boxes[top, 0]
            if distance >= best:
                continue
            node, low, high = nodes[top, 0], nodes[top, 1], nodes[top, 2]
            ox, oy, oz = boxes[top, 1], boxes[top, 2], boxes[top, 3]
            while node < inner:
                axis = split_axis[node]
                if axis == 0:
                    gap, old = qx - split_value[node], ox
                elif axis == 1:
                    gap, old = qy - split_value[node], oy
                else:
                    gap, old = qz - split_value[node], oz
                middle = (low + high) >> 1
                far_distance = distance - old * old + gap * gap
                right = gap >= 0.0
                if far_distance < best:
                    nodes[top, 0] = 2 * node + (not right)
                    nodes[top, 1] = low if right else middle
                    nodes[top, 2] = middle if right else high
                    boxes[top, 0] = far_distance
                    boxes[top, 1] = gap if axis == 0 else ox
                    boxes[top, 2] = gap if axis == 1 else oy
                    boxes[top, 3] = gap if axis == 2 else oz
                    top += 1
                node = 2 * node + right
                if right:
                    low = middle
                else:
                    high = middle
            for k in range(low, high):
                dx, dy, dz = qx - points[k, 0], qy - points[k, 1], qz - points[k, 2]
                candidate = dx * dx + dy * dy + dz * dz
                if candidate < best:
                    best = candidate
                    nearest = k
        if nearest >= 0:
            last = nearest
            squared = 0.0
            for axis in range(3):
                squared += (float(queries[row, axis]) - float(points[nearest, axis])) ** 2
            result[row] = min(result[row], squared)
