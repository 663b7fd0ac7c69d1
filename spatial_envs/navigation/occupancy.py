"""The floor plan that an agent has seen so far: free, occupied, unknown."""

from __future__ import annotations

import math

import numpy as np

from spatial_envs.foundation.compilation import njit
from spatial_envs.geometry.camera import slope
from spatial_envs.geometry.view import View
from spatial_envs.simulators.simulator import AgentState

UNKNOWN, FREE, OCCUPIED = 0, 1, 2
CELL = 0.1  # metres
CLIMB = 0.2  # metres: what is lower is floor
REACH = 5.0  # metres: beyond, an obstacle's cell is not worth noting
CROP = 64  # cells of the agent's own maps
CROP_CELL, WIDE_CELL = 0.125, 0.25  # their width in metres
CHANNELS = ("occupied", "free", "visited", "goal")


class OccupancyMap:
    """What depth images tell about a plan, (rows along z, columns along x), cells of 0.1 m.

    low      (2,) the (x, z) of the map's corner, metres
    grid     uint8: UNKNOWN, FREE or OCCUPIED; what was once occupied stays so
    visited  bool: where the agent stood
    target   bool: where pixels of the goal's category were seen, at any height
    """

    def __init__(self, low: np.ndarray, high: np.ndarray, agent_height: float, agent_radius: float) -> None:
        self.low = np.asarray(low, np.float64) - 0.5
        columns, rows = (int(n) for n in np.ceil((np.asarray(high) + 0.5 - self.low) / CELL))
        self.grid = np.zeros((rows, columns), np.uint8)
        self.visited = np.zeros((rows, columns), np.bool_)
        self.target = np.zeros((rows, columns), np.bool_)
        self.agent_height, self.agent_radius = agent_height, agent_radius

    def add(self, view: View, state: AgentState, target: np.ndarray | None = None) -> None:
        """A view (H, W) by an agent in this state; target (H, W) bool marks pixels of the goal's category.

        Measured points between CLIMB and the agent's height above its floor occupy their cells; rays free
        the cells before them, and so does the agent where it stands. A collision occupies what lies ahead.
        """
        x, y, z = (float(c) for c in state.position)
        marked = np.zeros((0, 0), np.bool_) if target is None else target
        _add(
            view.depth, view.intrinsics.astype(np.float64), view.cam_to_world.astype(np.float64), marked,
            self.low, y, self.agent_height, self.grid, self.target,
        )  # fmt: skip
        self._stand(x, z)
        if state.collided:
            ahead = self.agent_radius + CELL
            row, column = self.cell(x - ahead * math.sin(state.yaw), z - ahead * math.cos(state.yaw))
            if self.grid[row, column] != OCCUPIED and not self.visited[row, column]:
                self.grid[row, column] = OCCUPIED

    def cell(self, x: float, z: float) -> tuple[int, int]:
        """The row and column of a place, at the border for one outside."""
        rows, columns = self.grid.shape
        row, column = int((z - self.low[1]) // CELL), int((x - self.low[0]) // CELL)
        return min(max(row, 0), rows - 1), min(max(column, 0), columns - 1)

    def crop(self, state: AgentState, goal: np.ndarray | None = None, width: float = CROP_CELL) -> np.ndarray:
        """(64, 64, 4) uint8, 0 or 255, by CHANNELS: the map round the agent, which is in the middle and
        looks towards row 0, cells of this width, metres; wider ones have all that is anywhere in them.
        ``goal`` (x, z) is marked too, at the border if beyond."""
        out = np.zeros((CROP, CROP, len(CHANNELS)), np.uint8)
        sin, cos = math.sin(state.yaw), math.cos(state.yaw)
        x, z = float(state.position[0]), float(state.position[2])
        parts = 1 if width == CROP_CELL else math.ceil(2**0.5 * width / CELL)  # of which each cell holds one
        _crop(self.grid, self.visited, self.target, self.low, x, z, sin, cos, width / parts, parts, out)
        if goal is not None:
            dx, dz = float(goal[0]) - x, float(goal[1]) - z
            right, forward = cos * dx - sin * dz, -sin * dx - cos * dz
            scale = max(abs(right), abs(forward)) / (width * (CROP / 2 - 1.5))
            shrink = width * max(scale, 1.0)
            row, column = int(CROP / 2 - forward / shrink), int(CROP / 2 + right / shrink)
            out[row - 1 : row + 2, column - 1 : column + 2, 3] = 255
        return out

    def _stand(self, x: float, z: float) -> None:
        row, column = self.cell(x, z)
        self.visited[row, column] = True
        around = math.ceil(self.agent_radius / CELL)
        for r in range(max(row - around, 0), row + around + 1):
            for c in range(max(column - around, 0), column + around + 1):
                if r < self.grid.shape[0] and c < self.grid.shape[1] and self.grid[r, c] == UNKNOWN:
                    self.grid[r, c] = FREE
        self.grid[row, column] = FREE


@njit
def _add(depth, intrinsics, pose, marked, low, floor, agent_height, grid, target):
    height, width = depth.shape
    step = max(width // 64, 1)
    rows, columns = grid.shape
    start_x, start_z = (pose[0, 3] - low[0]) / CELL, (pose[2, 3] - low[1]) / CELL
    for column in range(0, width, step):
        reach, end_x, end_z = 0.0, 0.0, 0.0  # the ray of this column that passes over the most floor
        first_hit = REACH
        for row in range(0, height, step):
            z = depth[row, column]
            if z <= 0.0:
                continue
            cx, cy = slope(column, intrinsics, 0) * z, slope(row, intrinsics, 1) * z
            dx = pose[0, 0] * cx + pose[0, 1] * cy + pose[0, 2] * z
            dy = pose[1, 0] * cx + pose[1, 1] * cy + pose[1, 2] * z
            dz = pose[2, 0] * cx + pose[2, 1] * cy + pose[2, 2] * z
            rise = pose[1, 3] + dy - floor
            away = math.sqrt(dx * dx + dz * dz)
            i, j = math.floor(start_z + dz / CELL), math.floor(start_x + dx / CELL)
            near = away < REACH and 0 <= i < rows and 0 <= j < columns
            if near and marked.shape[0] > 0 and marked[row, column]:
                target[i, j] = True
            if rise >= agent_height and away > 0.0:  # over the agent's head: no obstacle
                continue
            if near:
                if rise > CLIMB:
                    grid[i, j] = OCCUPIED
                    first_hit = min(first_hit, away)
                elif rise > -CLIMB and grid[i, j] == UNKNOWN:
                    grid[i, j] = FREE
            if away > reach:
                reach, end_x, end_z = away, dx, dz
        if reach > 0.0:
            clear = min(first_hit, reach)
            steps = int(clear / (0.5 * CELL))
            for k in range(steps):
                part = 0.5 * CELL * k / reach
                i = math.floor(start_z + part * end_z / CELL)
                j = math.floor(start_x + part * end_x / CELL)
                if 0 <= i < rows and 0 <= j < columns and grid[i, j] == UNKNOWN:
                    grid[i, j] = FREE


@njit
def _crop(grid, visited, target, low, x, z, sin, cos, width, parts, out):
    """Mark in each cell of ``out`` what the grid has at parts x parts places in it, ``width`` apart."""
    rows, columns = grid.shape
    side = CROP * parts
    for row in range(side):
        forward = (side / 2 - row - 0.5) * width
        for column in range(side):
            right = (column + 0.5 - side / 2) * width
            i = math.floor((z - cos * forward - sin * right - low[1]) / CELL)
            j = math.floor((x - sin * forward + cos * right - low[0]) / CELL)
            if 0 <= i < rows and 0 <= j < columns:
                cell = out[row // parts, column // parts]
                if grid[i, j] == OCCUPIED:
                    cell[0] = 255
                elif grid[i, j] == FREE:
                    cell[1] = 255
                if visited[i, j]:
                    cell[2] = 255
                if target[i, j]:
                    cell[3] = 255
