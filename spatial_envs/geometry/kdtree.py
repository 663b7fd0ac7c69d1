"""Exact nearest neighbours in 3D: a bucketed k-d tree, compiled by numba.

Bentley 1975. Few queries among many points go down the tree one by one, with the incremental box distances of
Arya and Mount 1993. Many queries among few points go down together, in packets of neighbours, as rays do
(Wald et al. 2001): a node is passed over where its box is too far from the packet's, and a leaf's points are
measured against all of the packet by vector instructions. Both are fastest where queries come in spatial
order and an upper bound of each is known.
"""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np

from spatial_envs.foundation.compilation import njit
from spatial_envs.geometry.quickselect import select

BUCKET = 8  # points in a leaf, at most
PACKET = 32  # queries that go down the tree together
CELL, CROWD = 1.25, 256  # side of a grid's cells over a leaf's mean diagonal, and most points in one
GRID = 10_000  # points from which on a grid is worth its making, for queries without bounds


def checked_points(points: np.ndarray, name: str) -> np.ndarray:
    """The points as (N, 3) float32; ValueError, with ``name``, unless N >= 1 and all are finite."""
    points = np.ascontiguousarray(points, np.float32)
    if points.ndim != 2 or points.shape[1] != 3 or len(points) == 0:
        raise ValueError(f"{name}: got shape {points.shape}; expected (N, 3) with N >= 1")
    if not np.isfinite(points).all():
        raise ValueError(f"{name}: got values that are not finite; expected finite coordinates in metres")
    return points


class KDTree:
    """A balanced tree over points (N, 3), metres, stored as float32 in tree order; ``order`` (N,) has the row
    that each one had."""

    def __init__(self, points: np.ndarray) -> None:
        points = checked_points(points, "points")
        self.depth = max(0, int(np.ceil(np.log2(len(points) / BUCKET))))
        self.order = order = np.arange(len(points), dtype=np.int32)
        self.split_axis = np.zeros(2**self.depth, np.int8)
        self.split_value = np.zeros(2**self.depth, np.float32)
        _build(points, order, self.split_axis, self.split_value, self.depth)
        self.points = points[order]
        self.box = _boxes(self.points, 0)[1]  # round all points

    @cached_property
    def boxes(self) -> np.ndarray:
        """(2 L, 6) float32: the least and the greatest coordinates of each node's points down to the L nodes
        above the leaves. Node k has children 2k and 2k + 1; the root is node 1."""
        return _boxes(self.points, max(self.depth - 1, 0))

    @cached_property
    def cells(self) -> tuple[float, np.ndarray, np.ndarray, np.ndarray] | None:
        """A grid over the box, with some twenty points in a cell of a sampled surface: the cells' side,
        metres, how many there are (3,), where each one's points begin, and the points by cell. None where a
        cell holds so many that the tree is faster."""
        leaves = _boxes(self.points, self.depth)[2**self.depth :]
        extent = (self.box[3:] - self.box[:3]).astype(np.float64)
        side = CELL * float(np.linalg.norm(leaves[:, 3:] - leaves[:, :3], axis=1).mean())
        side = max(side, float(np.cbrt(extent.prod() / len(self.points))), float(extent.max()) / 1000, 1e-30)
        shape = (extent // side).astype(np.int64) + 1
        starts, order = _sorted_into_cells(self.points, self.box, side, shape)
        return None if np.diff(starts).max() > CROWD else (side, shape, starts, self.points[order])

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
        if 2 * len(queries) < len(self.points):
            far = np.ones(len(queries), np.bool_)
            if bounds is None and len(self.points) >= GRID and self.cells is not None:
                _search_cells(self.box, *self.cells, queries, result, far)
            if far.any():
                result[far] = self._from_afar(queries[far], result[far])
        else:
            _search_in_packets(self.points, self.boxes, queries, result)
        return result

    def _from_afar(self, queries: np.ndarray, result: np.ndarray) -> np.ndarray:
        _search(self.points, self.box, self.split_axis, self.split_value, queries, result)
        return result


@njit
def _build(points, order, split_axis, split_value, depth):
    """Split [0, N) at its middle along its widest axis, level by level; node k has children 2k and 2k + 1."""
    keys = np.empty(order.shape[0], np.float32)
    for level in range(depth):
        for node in range(2**level, 2 ** (level + 1)):
            low, high = _node_range(node, level, order.shape[0])
            axis = _widest(points, order, low, high)
            for k in range(low, high):
                keys[k] = points[order[k], axis]
            middle = (low + high) // 2
            select(keys, order, low, high - 1, middle)
            split_axis[node] = axis
            split_value[node] = keys[middle]


@njit(inline="always")
def _widest(points, order, low, high):
    """The axis along which the points of order[low:high] reach farthest, the first of equal ones."""
    x0 = x1 = points[order[low], 0]
    y0 = y1 = points[order[low], 1]
    z0 = z1 = points[order[low], 2]
    for k in range(low + 1, high):
        x, y, z = points[order[k], 0], points[order[k], 1], points[order[k], 2]
        x0, x1 = min(x0, x), max(x1, x)
        y0, y1 = min(y0, y), max(y1, y)
        z0, z1 = min(z0, z), max(z1, z)
    axis, width = 0, x1 - x0
    if y1 - y0 > width:
        axis, width = 1, y1 - y0
    return 2 if z1 - z0 > width else axis


@njit
def _boxes(points, depth):
    """The boxes (2^(depth + 1), 6) of all nodes down to those of ``depth``."""
    boxes = np.empty((2 ** (depth + 1), 6), np.float32)
    for node in range(2**depth, 2 ** (depth + 1)):
        low, high = _node_range(node, depth, points.shape[0])
        for axis in range(3):
            least = most = points[low, axis]
            for k in range(low + 1, high):
                least = min(least, points[k, axis])
                most = max(most, points[k, axis])
            boxes[node, axis], boxes[node, 3 + axis] = least, most
    for node in range(2**depth - 1, 0, -1):
        for axis in range(3):
            boxes[node, axis] = min(boxes[2 * node, axis], boxes[2 * node + 1, axis])
            boxes[node, 3 + axis] = max(boxes[2 * node, 3 + axis], boxes[2 * node + 1, 3 + axis])
    return boxes


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
def _search(points, box, split_axis, split_value, queries, result):
    """Lower ``result`` to the squared distances. The search compares in float32; of what it found the squares
    are then summed in float64."""
    count = points.shape[0]
    inner = split_axis.shape[0]
    # a stack of nodes still to visit: node, [low, high), squared box distance and its part along each axis
    nodes = np.empty((64, 3), np.int64)
    boxes = np.empty((64, 4), np.float32)
    zero = np.float32(0.0)
    last = -1
    for row in range(queries.shape[0]):
        qx, qy, qz = queries[row, 0], queries[row, 1], queries[row, 2]
        best = np.float32(result[row])
        # how far outside of the box round all points: where that is too far already, none is nearer
        ax = max(box[0] - qx, qx - box[3], zero)
        ay = max(box[1] - qy, qy - box[4], zero)
        az = max(box[2] - qz, qz - box[5], zero)
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


@njit(inline="always")
def _apart(boxes, node, low, high):
    """A lower bound, in float32, of the squared distance between a point in a node's box and one in the box
    from ``low`` to ``high``: no sum rounds to less than it, as each of its terms is rounded from less."""
    zero = np.float32(0.0)
    x = max(boxes[node, 0] - high[0], low[0] - boxes[node, 3], zero)
    y = max(boxes[node, 1] - high[1], low[1] - boxes[node, 4], zero)
    z = max(boxes[node, 2] - high[2], low[2] - boxes[node, 5], zero)
    return x * x + y * y + z * z


@njit(inline="always")
def _between_middles(boxes, node, low, high):
    """Four times the squared distance between the middles of two such boxes."""
    x = boxes[node, 0] + boxes[node, 3] - low[0] - high[0]
    y = boxes[node, 1] + boxes[node, 4] - low[1] - high[1]
    z = boxes[node, 2] + boxes[node, 5] - low[2] - high[2]
    return x * x + y * y + z * z


@njit
def _search_in_packets(points, boxes, queries, result):
    """As ``_search``, for ``PACKET`` queries at a time; none has a branch of its own where points are
    measured, so that this is compiled to vector instructions."""
    inner = boxes.shape[0] // 2
    qx, qy, qz = np.empty(PACKET, np.float32), np.empty(PACKET, np.float32), np.empty(PACKET, np.float32)
    best, nearest = np.empty(PACKET, np.float32), np.empty(PACKET, np.int32)
    nodes, ranges, bounds = np.empty(64, np.int64), np.empty((64, 2), np.int64), np.empty(64, np.float32)
    low, high = np.empty(3, np.float32), np.empty(3, np.float32)  # the box of the packet
    last = -1
    for start in range(0, queries.shape[0], PACKET):
        count = min(PACKET, queries.shape[0] - start)
        low[:], high[:] = np.inf, -np.inf
        for k in range(PACKET):
            query = queries[start + min(k, count - 1)]
            qx[k], qy[k], qz[k] = query[0], query[1], query[2]
            best[k], nearest[k] = np.float32(result[start + min(k, count - 1)]), -1
            if _apart(boxes, 1, query, query) >= best[k]:
                best[k] = -1.0  # nothing can be nearer
                continue
            for axis in range(3):
                low[axis], high[axis] = min(low[axis], query[axis]), max(high[axis], query[axis])
        if low[0] > high[0]:
            continue
        if last >= 0:  # a neighbour of the packet before is a good first guess
            _measure(points, last, last + 1, qx, qy, qz, best, nearest)
        worst = _greatest(best)
        nodes[0], ranges[0, 0], ranges[0, 1] = 1, 0, points.shape[0]
        bounds[0] = _apart(boxes, 1, low, high)
        top = 1
        while top > 0:
            top -= 1
            node, first, end, apart = nodes[top], ranges[top, 0], ranges[top, 1], bounds[top]
            while apart < worst and node < inner:
                one, other = _apart(boxes, 2 * node, low, high), _apart(boxes, 2 * node + 1, low, high)
                right = other < one
                if one == other:
                    right = _between_middles(boxes, 2 * node + 1, low, high) < _between_middles(
                        boxes, 2 * node, low, high
                    )
                apart, far = (other, one) if right else (one, other)
                middle = (first + end) >> 1
                if far < worst:
                    nodes[top], bounds[top] = 2 * node + (not right), far
                    ranges[top, 0], ranges[top, 1] = (first, middle) if right else (middle, end)
                    top += 1
                node = 2 * node + right
                if right:
                    first = middle
                else:
                    end = middle
            if apart < worst and _reached(boxes[node], qx, qy, qz, best):
                _measure(points, first, end, qx, qy, qz, best, nearest)
                worst = _greatest(best)
        for k in range(count):
            if nearest[k] >= 0:
                last = nearest[k]
                squared = 0.0
                for axis in range(3):
                    squared += (float(queries[start + k, axis]) - float(points[last, axis])) ** 2
                result[start + k] = min(result[start + k], squared)


@njit(inline="always")
def _reached(box, qx, qy, qz, best):
    """Whether any of the queries is nearer to a box than its best is."""
    zero = np.float32(0.0)
    count = 0
    for k in range(PACKET):
        x = max(box[0] - qx[k], qx[k] - box[3], zero)
        y = max(box[1] - qy[k], qy[k] - box[4], zero)
        z = max(box[2] - qz[k], qz[k] - box[5], zero)
        count += x * x + y * y + z * z < best[k]
    return count > 0


@njit(inline="always")
def _measure(points, first, end, qx, qy, qz, best, nearest):
    for n in range(first, end):
        x, y, z = points[n, 0], points[n, 1], points[n, 2]
        for k in range(PACKET):
            dx, dy, dz = qx[k] - x, qy[k] - y, qz[k] - z
            distance = dx * dx + dy * dy + dz * dz
            nearer = distance < best[k]
            best[k] = distance if nearer else best[k]
            nearest[k] = n if nearer else nearest[k]


@njit(inline="always")
def _greatest(values):
    greatest = values[0]
    for k in range(1, PACKET):
        greatest = max(greatest, values[k])
    return greatest


@njit
def _sorted_into_cells(points, box, side, shape):
    """Where the points of each cell begin, (cells + 1), and the points' numbers, cell by cell."""
    cell = np.empty(points.shape[0], np.int64)
    starts = np.zeros(shape[0] * shape[1] * shape[2] + 1, np.int32)
    for k in range(points.shape[0]):
        x, y, z = points[k, 0], points[k, 1], points[k, 2]
        cell[k] = (_cell(x, box[0], side, shape[0]) * shape[1] + _cell(y, box[1], side, shape[1])) * shape[
            2
        ] + _cell(z, box[2], side, shape[2])
        starts[cell[k] + 1] += 1
    for k in range(1, starts.shape[0]):
        starts[k] += starts[k - 1]
    order, following = np.empty(points.shape[0], np.int32), starts.copy()
    for k in range(points.shape[0]):
        order[following[cell[k]]] = k
        following[cell[k]] += 1
    return starts, order


@njit(inline="always")
def _cell(coordinate, least, side, count):
    """The cell along one axis; it never falls where the coordinate rises."""
    return int(min(max((float(coordinate) - float(least)) / side, 0.0), count - 1.0))


@njit
def _search_cells(box, side, shape, starts, points, queries, result, far):
    """As ``_search``, for the queries that have a point within a cell's side; they are no longer ``far``. Of
    points equally near in float32 the nearest in float64 counts, whatever was searched before."""
    last = -1
    for row in range(queries.shape[0]):
        qx, qy, qz = queries[row, 0], queries[row, 1], queries[row, 2]
        best, exact = np.float32(side * side), result[row]
        nearest = -1
        if last >= 0:  # the neighbour of the query before is a good first guess
            best, exact, nearest = _nearer(points, last, last + 1, qx, qy, qz, best, exact, nearest)
        x, y, z = (
            _cell(qx, box[0], side, shape[0]), _cell(qy, box[1], side, shape[1]),
            _cell(qz, box[2], side, shape[2]),
        )  # fmt: skip
        own = (x * shape[1] + y) * shape[2] + z
        best, exact, nearest = _nearer(points, starts[own], starts[own + 1], qx, qy, qz, best, exact, nearest)
        reach = math.sqrt(float(best)) * (1 + 1e-6)  # what is as near by float32 is not left out
        x0, x1 = _cell(qx - reach, box[0], side, shape[0]), _cell(qx + reach, box[0], side, shape[0])
        y0, y1 = _cell(qy - reach, box[1], side, shape[1]), _cell(qy + reach, box[1], side, shape[1])
        z0, z1 = _cell(qz - reach, box[2], side, shape[2]), _cell(qz + reach, box[2], side, shape[2])
        for x in range(x0, x1 + 1):
            for y in range(y0, y1 + 1):
                for z in range(z0, z1 + 1):
                    cell = (x * shape[1] + y) * shape[2] + z
                    if cell != own:
                        best, exact, nearest = _nearer(
                            points, starts[cell], starts[cell + 1], qx, qy, qz, best, exact, nearest
                        )
        if nearest >= 0:
            far[row] = False
            last = nearest
            result[row] = min(result[row], exact)


@njit(inline="always")
def _nearer(points, first, end, qx, qy, qz, best, exact, nearest):
    """The least squared distance in float32, in float64, and whose it is, with points [first, end)."""
    for k in range(first, end):
        dx, dy, dz = qx - points[k, 0], qy - points[k, 1], qz - points[k, 2]
        distance = dx * dx + dy * dy + dz * dz
        if distance <= best:
            squared = np.float64(dx * dx) + np.float64(dy * dy) + np.float64(dz * dz)
            if distance < best or nearest < 0 or squared < exact:
                best, exact, nearest = distance, squared, k
    return best, exact, nearest
