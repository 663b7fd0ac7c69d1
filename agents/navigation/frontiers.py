"""Frontiers as candidates to choose from: what is known of each, and what each would truly show."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass

import numpy as np

from agents.navigation.baselines import UnknownArea
from spatial_envs.navigation.occupancy import CELL, FREE, OCCUPIED, UNKNOWN
from spatial_envs.navigation.task import Navigation
from spatial_envs.simulators.simulator import AgentState

MOST = 16  # candidates, those with the largest unknown area for each step
BLOCK = 15  # cells: a long frontier is cut at the lines of a grid of this width, a candidate for each part
CROP, CROP_CELLS = 32, 2  # cells of a candidate's crop, and their width in cells of the map
FEATURES = ("steps", "area", "size", "straight")  # of a candidate, in this order


@dataclass(frozen=True)
class Candidates:
    """Places to explore, K of them.

    cells     (K, 2) rows and columns in the map, each of its part of a frontier the cell with the largest
              unknown area for each step
    features  (K, 4) float32 by FEATURES: steps to the place, turns included; unknown cells within 1.5 m;
              cells of its part of the frontier; metres in a straight line
    crops     (K, 3, 32, 32) uint8, 0 or 255: occupied, free and unknown, each the largest of its 2 x 2 cells,
              6.4 m round the place along the map's axes; beyond the map's border all is unknown
    """

    cells: np.ndarray
    features: np.ndarray
    crops: np.ndarray


class Chooser(UnknownArea):
    """Explores where ``worth`` says."""

    def nearest(self, frontier: np.ndarray) -> tuple[int, int]:
        """The candidate that is worth most."""
        found = self.candidates(frontier)
        row, column = found.cells[int(np.argmax(self.worth(found)))]
        return int(row), int(column)

    @abstractmethod
    def worth(self, found: Candidates) -> np.ndarray:
        """(K,): of two candidates the one with more is chosen."""

    def candidates(self, frontier: np.ndarray) -> Candidates:
        """Those of a frontier (rows, columns) bool, at least one cell of which is set."""
        cells = np.argwhere(frontier)
        steps, area = self.steps()[frontier], self.area()[frontier]
        blocks = cells // BLOCK
        parts, part, sizes = np.unique(
            blocks[:, 0] * frontier.shape[1] + blocks[:, 1], return_inverse=True, return_counts=True
        )
        rate = area / (steps + 1)
        order = np.lexsort((-rate, part))  # the first of each part is its best
        best = order[np.searchsorted(part[order], np.arange(len(parts)))]
        best = best[np.argsort(-rate[best], kind="stable")[:MOST]]
        straight = np.hypot(*(cells[best] - self.here).T) * CELL
        features = np.stack([steps[best], area[best], sizes[part[best]], straight], axis=1)
        return Candidates(cells[best], features.astype(np.float32), crops(self.map.grid, cells[best]))


class NewPoints(Chooser):
    """The ceiling of a greedy choice, which looks at the true building: of the candidates the one from which
    most reference points would be seen for the first time, for each step to it."""

    def worth(self, found: Candidates) -> np.ndarray:
        """By new points for each step."""
        return new_points(self.task, self.row, self.places(found)) / (found.features[:, 0] + 1)

    def places(self, found: Candidates) -> np.ndarray:
        """(K, 3): where the candidates are, at the height of the floor that the agent stands on."""
        x, z = (found.cells[:, ::-1] + 0.5).T * CELL + self.map.low[:, None]
        return np.stack([x, np.full(len(x), self.episode.state.position[1]), z], axis=1)


def crops(grid: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """``Candidates.crops`` of a map's grid (rows, columns) round cells (K, 2)."""
    side = CROP * CROP_CELLS
    padded = np.pad(grid, side // 2, constant_values=UNKNOWN)
    windows = np.stack([padded[row : row + side, column : column + side] for row, column in cells])
    small = windows.reshape(-1, CROP, CROP_CELLS, CROP, CROP_CELLS)
    planes = [(small == kind).any(axis=(2, 4)) for kind in (OCCUPIED, FREE, UNKNOWN)]
    return np.stack(planes, axis=1).astype(np.uint8) * 255


def new_points(task: Navigation, row: int, places: np.ndarray) -> np.ndarray:
    """(K,) int: how many points of the reference that the map does not cover yet a look all round from each
    of the places (K, 3), on the floor, would show, within the reach of the depth camera. ValueError where the
    environment has no map to compare with the reference."""
    episode = task.episode(row)
    if episode.cloud is None:
        raise ValueError("reconstruction: got 'none', which has no reference; expected 'depth' or 'backbone'")
    tracker, simulator = episode.cloud.tracker, episode.simulator
    reach = tracker.coverage_distance
    missing = tracker.reference[tracker.squared_to_cloud > reach**2].astype(np.float64)
    turns = max(math.ceil(360 / task.settings.hfov - 1e-6), 1)
    counts = np.zeros(len(places), np.int64)
    for k, place in enumerate(places):
        shown = np.zeros(len(missing), np.bool_)
        for turn in range(turns):
            pose = simulator.camera_pose(AgentState(place, 2 * math.pi * turn / turns))
            view = simulator.render_view(pose)
            shown |= in_view(missing, view.depth, view.intrinsics, pose, task.max_depth, reach)
        counts[k] = shown.sum()
    return counts


def in_view(points, depth, intrinsics, pose, max_depth: float, tolerance: float) -> np.ndarray:
    """(N,) bool: which points (N, 3) lie on the surface that a depth picture shows, to the tolerance."""
    x, y, z = ((points - pose[:3, 3]) @ pose[:3, :3]).T
    rows, columns = depth.shape
    with np.errstate(divide="ignore", invalid="ignore"):
        u = intrinsics[0, 0] * x / z + intrinsics[0, 2]
        v = intrinsics[1, 1] * y / z + intrinsics[1, 2]
    inside = (z > 0) & (z <= max_depth) & (u >= 0) & (u < columns) & (v >= 0) & (v < rows)
    found = np.zeros(len(points), np.bool_)
    found[inside] = np.abs(depth[v[inside].astype(int), u[inside].astype(int)] - z[inside]) <= tolerance
    return found
