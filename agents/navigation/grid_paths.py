"""Shortest ways over a plan of cells."""

from __future__ import annotations

import numpy as np

from spatial_envs.foundation.compilation import njit


def ways(cost: np.ndarray, start: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Dijkstra's algorithm over cells and their eight neighbours, no corner cut.

    cost   (rows, columns) float32, what a cell's width costs there; inf where no way leads. A step costs the
           mean of its two cells times its length in cells. The start is passable whatever its cost.
    Returns the cheapest ways' costs (rows, columns) float32, inf where there is none, and the flat index
    (rows, columns) int32 of the cell before on each way, -1 at the start and where there is none.
    """
    cost = np.ascontiguousarray(cost, np.float32)
    if not np.isfinite(cost[start]):
        cost = cost.copy()
        cost[start] = 1.0
    return _ways(cost, start[0], start[1])


def trace(before: np.ndarray, end: tuple[int, int]) -> np.ndarray:
    """(K, 2) rows and columns of the way that ``ways`` found, from its start to ``end``."""
    columns = before.shape[1]
    cells = [end]
    while (index := int(before[cells[-1]])) >= 0:
        cells.append(divmod(index, columns))
    return np.array(cells[::-1])


@njit
def _ways(cost, row, column):
    rows, columns = cost.shape
    total = np.full((rows, columns), np.inf, np.float32)
    before = np.full((rows, columns), -1, np.int32)
    done = np.zeros((rows, columns), np.bool_)
    keys = np.empty(8 * rows * columns + 8, np.float32)  # a binary heap; a cell may be in it several times
    cells = np.empty(8 * rows * columns + 8, np.int32)
    keys[0], cells[0], size = 0.0, row * columns + column, 1
    total[row, column] = 0.0
    while size:
        cell = cells[0]
        size -= 1
        key, moved = keys[size], cells[size]
        k = 0
        while 2 * k + 1 < size:
            child = 2 * k + 1
            if child + 1 < size and keys[child + 1] < keys[child]:
                child += 1
            if keys[child] >= key:
                break
            keys[k], cells[k] = keys[child], cells[child]
            k = child
        keys[k], cells[k] = key, moved
        i, j = cell // columns, cell % columns
        if done[i, j]:
            continue
        done[i, j] = True
        for di in range(-1, 2):
            for dj in range(-1, 2):
                r, c = i + di, j + dj
                if (di == 0 and dj == 0) or r < 0 or c < 0 or r >= rows or c >= columns:
                    continue
                if done[r, c] or not np.isfinite(cost[r, c]):
                    continue
                length = 1.0
                if di != 0 and dj != 0:
                    if not (np.isfinite(cost[i, c]) and np.isfinite(cost[r, j])):
                        continue
                    length = 1.4142135
                way = total[i, j] + length * 0.5 * (cost[i, j] + cost[r, c])
                if way < total[r, c]:
                    total[r, c] = way
                    before[r, c] = cell
                    k = size
                    size += 1
                    while k > 0 and keys[(k - 1) // 2] > way:
                        keys[k], cells[k] = keys[(k - 1) // 2], cells[(k - 1) // 2]
                        k = (k - 1) // 2
                    keys[k], cells[k] = way, r * columns + c
    return total, before


def in_sight(cost: np.ndarray, start: np.ndarray, end: np.ndarray) -> bool:
    """Whether the straight line between two places (2,), in cells (row, column), crosses passable cells of no
    more than the start's cost alone."""
    count = max(int(np.abs(np.asarray(end) - start).max() * 4), 1)
    along = np.asarray(start) + np.linspace(0, 1, count + 1)[:, None] * (np.asarray(end) - start)
    passed = cost[along[1:, 0].astype(int), along[1:, 1].astype(int)]
    return bool(passed.max() <= max(1.0, float(cost[int(start[0]), int(start[1])])))
