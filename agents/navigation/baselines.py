"""Baselines of navigation: policies that need no training, by name.

All but the greedy follower know what an agent with a depth camera, a compass and a position knows, and, where
there is one, the goal's sensor; their maps are their own. They walk on one floor.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image
from scipy import ndimage, signal

from agents.navigation.grid_paths import in_sight, trace, ways
from spatial_envs.geometry.rotations import wrapped
from spatial_envs.navigation.occupancy import CELL, FREE, OCCUPIED, UNKNOWN, OccupancyMap
from spatial_envs.navigation.task import Navigation
from spatial_envs.simulators.simulator import FORWARD, LEFT, RIGHT, STOP

CLOSE = 4.0  # what a cell beside an obstacle costs, in cells: walked only where there is no other way
UNSEEN = 1.5  # what an unknown cell costs whoever plans through it, in cells
AROUND = 1.5  # metres round a frontier within which unknown cells count as what it shows
LEAST_FRONTIER = 3  # cells
LOOK_AHEAD = 10  # cells of a way that may be cut short where nothing is between
PATIENCE = 80  # steps towards one target, after which it is given up
ASIDE = 5  # cells round a target given up that are no targets either
EXPLORED = 400  # steps that MostAlike explores
BESIDE = 0.8  # metres from what ObjectNav seeks at which to stop


class NavigationBaseline(ABC):
    """A policy for one row of an environment, single or batched; ``env`` may be wrapped."""

    def __init__(self, env, seed: int = 0, row: int = 0) -> None:
        self.env, self.seed, self.row = env.unwrapped, seed, row
        self.task: Navigation = self.env.task
        self._known: Any = None

    def predict(self, observation, state=None, episode_start=None, deterministic: bool = True):
        """The action for the environment as it stands, and no state."""
        return self.action(), None

    def action(self) -> Any:
        """The action, of the environment's space."""
        self.episode = self.task.episode(self.row)
        if self.episode is not self._known:
            self._known = self.episode
            self.generator = np.random.default_rng([self.seed, self.episode.mission.seed])
            self.begin()
        return self.task.as_action(self.act())

    def begin(self) -> None:  # noqa: B027 (most have nothing to forget)
        """A new episode; ``self.episode`` is there."""

    @abstractmethod
    def act(self) -> int:
        """A discrete action."""

    @property
    def heading(self) -> float:
        """Radians."""
        return float(self.episode.state.yaw)

    def offset(self) -> np.ndarray | None:
        """(2,): where the goal's sensor says that the goal is, (x, z) from here; None without such a one."""
        if self.task.goal_kind != "point":
            return None
        assert self.episode.goal is not None
        return (self.episode.goal - self.episode.state.position)[[0, 2]]

    def arrived(self) -> bool:
        """Whether the sensor has the goal within the success distance."""
        offset = self.offset()
        return offset is not None and float(np.hypot(*offset)) < self.task.success_distance

    def towards(self, dx: float, dz: float) -> int:
        """Turn towards (x, z) from here, or walk where that is nearly ahead."""
        angle = wrapped(math.atan2(-dx, -dz) - self.heading)
        if abs(angle) > math.radians(self.task.turn_step) * 0.55:
            return LEFT if angle > 0 else RIGHT
        return FORWARD


class Random(NavigationBaseline):
    """Forward, left or right, each as often; PointNav's stops at the goal (habitat-lab's RandomAgent)."""

    def act(self) -> int:
        """A discrete action, by the rule of the class."""
        return STOP if self.arrived() else int(self.generator.choice([FORWARD, LEFT, RIGHT]))


class Forward(NavigationBaseline):
    """Forward; after a collision to one side by a random angle. PointNav's stops at the goal."""

    def begin(self) -> None:
        """No turns are left over."""
        self._turns, self._side = 0, LEFT

    def act(self) -> int:
        """A discrete action, by the rule of the class."""
        if self.arrived():
            return STOP
        if self._turns == 0 and self.episode.state.collided:
            half = round(180 / self.task.turn_step)
            self._turns = int(self.generator.integers(1, max(half, 2)))
            self._side = int(self.generator.choice([LEFT, RIGHT]))
        if self._turns:
            self._turns -= 1
            return self._side
        return FORWARD


class Greedy(NavigationBaseline):
    """The oracle: follows the shortest way on the true map."""

    def act(self) -> int:
        """What the task's follower says."""
        return self.task.follow(self.row)


class Frontier(NavigationBaseline):
    """Walks to where the known floor ends nearest to it, by the way over known floor and the turn towards it
    (Yamauchi 1997); where no such place is left, to known places at random. Never stops."""

    def begin(self) -> None:
        """An empty map."""
        low, high = self.episode.place.bounds
        self.map = OccupancyMap(low, high, self.task.agent_height, self.task.agent_radius)
        self._given_up = np.zeros(self.map.grid.shape, np.bool_)
        self._target: tuple[int, int] | None = None
        self._left = PATIENCE
        self._seen = -1

    def act(self) -> int:
        """A discrete action, by the rule of the class."""
        self.look()
        return self.explore()

    def explore(self) -> int:
        """The next step to where ``choose`` says."""
        return self.walk(self.choose())

    def look(self) -> None:
        """Take in the latest view, and plan from here."""
        state = self.episode.state
        if self._seen != self.episode.steps:
            self.map.add(self.episode.views[0], state, self.sought())
            self._seen = self.episode.steps
        occupied = self.map.grid == OCCUPIED
        around = max(math.ceil(self.task.agent_radius / CELL), 1)
        close = ndimage.binary_dilation(occupied, np.ones((3, 3), np.bool_), iterations=around)
        free, unknown = np.where(close, CLOSE, 1.0), self.unknown_cost()
        unknown = np.where(close, np.maximum(unknown, CLOSE), unknown)
        self.cost = np.select([self.map.grid == FREE, occupied], [free, np.inf], unknown).astype(np.float32)
        self.here = self.map.cell(float(state.position[0]), float(state.position[2]))
        self.ways, self.before = ways(self.cost, self.here)

    def unknown_cost(self) -> float | np.ndarray:
        """What an unknown cell costs, or (rows, columns) each."""
        return math.inf

    def sought(self) -> np.ndarray | None:
        """(H, W) bool: what of the view is to be marked as the target in the map."""
        return None

    def choose(self) -> tuple[int, int] | None:
        """The cell to walk to, None where there is none."""
        frontier = self.frontier()
        if self._target is not None and (self._left <= 0 or self._target == self.here):
            row, column = self._target
            rows, columns = np.ogrid[: frontier.shape[0], : frontier.shape[1]]
            if self._left <= 0:
                self._given_up |= (abs(rows - row) <= ASIDE) & (abs(columns - column) <= ASIDE)
            self._target = None
        frontier &= ~self._given_up
        keep = self._target
        if keep is not None and frontier.any() and not self._near(frontier, keep):
            keep = None
        if keep is None:
            keep = self.nearest(frontier) if frontier.any() else self.anywhere()
            self._left = PATIENCE
        self._target, self._left = keep, self._left - 1
        return keep

    def frontier(self) -> np.ndarray:
        """(rows, columns) bool: reachable cells beside unknown ones, of frontiers that are long enough."""
        unknown = self.map.grid == UNKNOWN
        beside = ndimage.binary_dilation(unknown) & np.isfinite(self.ways) & (self.cost == 1.0)
        labels, count = ndimage.label(beside, np.ones((3, 3)))
        sizes = np.bincount(labels.ravel(), minlength=count + 1)
        sizes[0] = 0
        return sizes[labels] >= LEAST_FRONTIER

    def nearest(self, frontier: np.ndarray) -> tuple[int, int]:
        """The cell of the frontier that takes the fewest steps."""
        return self.least(frontier, self.steps())

    def steps(self) -> np.ndarray:
        """(rows, columns): steps to each cell, turns included."""
        return self.ways * CELL / self.task.forward_step + self.turns()

    def least(self, cells: np.ndarray, price: np.ndarray) -> tuple[int, int]:
        """The cell with the least price."""
        flat = int(np.where(cells, price, np.inf).argmin())
        row, column = divmod(flat, cells.shape[1])
        return row, column

    def reachable_near(self, cell: tuple[int, int]) -> tuple[int, int]:
        """Of the cells that can be reached the one nearest to this one."""
        rows, columns = np.ogrid[: self.ways.shape[0], : self.ways.shape[1]]
        return self.least(np.isfinite(self.ways), np.hypot(rows - cell[0], columns - cell[1]))

    def turns(self) -> np.ndarray:
        """(rows, columns): steps that it takes to turn towards each cell."""
        rows, columns = np.ogrid[: self.cost.shape[0], : self.cost.shape[1]]
        angles = np.arctan2(-(columns - self.here[1]), -(rows - self.here[0])) - self.heading
        return np.abs(wrapped(angles)) / math.radians(self.task.turn_step)

    def anywhere(self) -> tuple[int, int] | None:
        """A known place that can be reached, at random."""
        cells = np.argwhere(np.isfinite(self.ways) & (self.cost == 1.0))
        if not len(cells):
            return None
        row, column = cells[self.generator.integers(len(cells))]
        return int(row), int(column)

    def walk(self, target: tuple[int, int] | None) -> int:
        """The next step on the way to a cell; a turn where there is none."""
        if target is None or not np.isfinite(self.ways[target]) or target == self.here:
            return LEFT
        way = trace(self.before, target)
        position = self.episode.state.position[[2, 0]]  # row, column
        place = (position - self.map.low[::-1]) / CELL
        ahead = way[1]
        for cell in way[1 : LOOK_AHEAD + 1]:
            if not in_sight(self.cost, place, cell + 0.5):
                break
            ahead = cell
        dz, dx = (ahead + 0.5 - place) * CELL
        return self.towards(dx, dz)

    def _near(self, frontier: np.ndarray, cell: tuple[int, int]) -> bool:
        row, column = cell
        return bool(frontier[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2].any())


class NearestFrontier(Frontier):
    """Walks to the goal once its way is known, until then to where the known floor ends with the least way
    there and straight line on to the goal. PointNav's goal is where the sensor says, ObjectNav's where a
    pixel has the category by the building's true labels; ImageNav's is not recognised: it explores, and never
    stops."""

    def sought(self) -> np.ndarray | None:
        """Pixels of ObjectNav's category."""
        if self.task.goal_kind != "object":
            return None
        segment = self.episode.views[0].segment
        assert segment is not None
        return np.isin(segment, self.episode.place.building.of_category(self.episode.category))

    def act(self) -> int:
        """A discrete action, by the rule of the class."""
        self.look()
        if self.task.goal_kind == "point":
            offset = self.offset()
            assert offset is not None
            if self.arrived():
                return STOP
            x, z = offset + self.episode.state.position[[0, 2]]
            self.goal = self.map.cell(x, z)
            place = (self.episode.state.position[[2, 0]] - self.map.low[::-1]) / CELL
            if in_sight(self.cost, place, (np.array([z, x]) - self.map.low[::-1]) / CELL):
                return self.towards(*offset)
            if np.isfinite(self.ways[self.goal]):
                return self.walk(self.goal)
        elif self.task.goal_kind == "object" and self.map.target.any():
            away = ndimage.distance_transform_edt(~self.map.target) * CELL
            if away[self.here] < BESIDE:
                return STOP
            beside = np.isfinite(self.ways) & (away < BESIDE - CELL)
            if beside.any():
                return self.walk(self.least(beside, self.ways))
        return self.explore()

    def nearest(self, frontier: np.ndarray) -> tuple[int, int]:
        """By the way to it and on to the goal, where that is known."""
        if self.task.goal_kind != "point":
            return super().nearest(frontier)
        rows, columns = np.ogrid[: frontier.shape[0], : frontier.shape[1]]
        return self.least(frontier, self.ways + np.hypot(rows - self.goal[0], columns - self.goal[1]))


class FreeSpace(NearestFrontier):
    """Plans to PointNav's goal as if all that is unknown were free, at 1.5 times the price, and plans anew at
    every step; where no way is left, to the place nearest to the goal that can be reached."""

    def unknown_cost(self) -> float | np.ndarray:
        """The same for all."""
        return UNSEEN

    def choose(self) -> tuple[int, int]:
        """The cell to walk to where no way leads to the goal."""
        return self.reachable_near(self.goal)


class UnknownArea(NearestFrontier):
    """As ``NearestFrontier``, but explores where most is unknown for its price: the frontier with the largest
    unknown area within 1.5 m, for each step to it. There it looks all round, once, as a step can lead past
    the place."""

    def explore(self) -> int:
        """The next step to where ``choose`` says; a turn where it is nearer than a step can tell."""
        target = self.choose()
        if target is None or math.dist(target, self.here) * CELL > self.task.forward_step / 2 + CELL:
            return self.walk(target)
        self._left = min(self._left, math.ceil(360 / self.task.turn_step))
        return LEFT

    def nearest(self, frontier: np.ndarray) -> tuple[int, int]:
        """By area for each step."""
        return self.least(frontier, -self.area() / (self.steps() + 1))

    def area(self) -> np.ndarray:
        """(rows, columns): unknown cells within 1.5 m of each cell."""
        reach = round(AROUND / CELL)
        rows, columns = np.ogrid[-reach : reach + 1, -reach : reach + 1]
        disc = (rows**2 + columns**2 <= reach**2).astype(np.float64)
        unknown = (self.map.grid == UNKNOWN).astype(np.float64)
        return signal.fftconvolve(unknown, disc, mode="same").round()


class MostAlike(UnknownArea):
    """For ImageNav without learning: explores for a while, goes back to where what it saw was most like the
    goal's picture, by 8 x 8 pixels, and stops there."""

    def begin(self) -> None:
        """Nothing was seen."""
        super().begin()
        assert self.episode.picture is not None
        self._goal = _small(self.episode.picture)
        self._least, self._best = math.inf, np.zeros(2)

    def act(self) -> int:
        """A discrete action, by the rule of the class."""
        self.look()
        position = self.episode.state.position[[0, 2]]
        if self.episode.steps < EXPLORED:
            unlike = float(np.abs(_small(self.episode.views[0].rgb) - self._goal).mean())
            if unlike < self._least:
                self._least, self._best = unlike, position.copy()
            return self.explore()
        if math.dist(position, self._best) < self.task.success_distance / 2:
            return STOP
        target = self.map.cell(*self._best)
        return STOP if target == self.here or not np.isfinite(self.ways[target]) else self.walk(target)


def _small(rgb: np.ndarray) -> np.ndarray:
    """(8, 8, 3) of a picture (H, W, 3)."""
    picture = Image.fromarray(rgb).resize((8, 8), Image.Resampling.BOX)
    return np.asarray(picture, np.float64)


NAVIGATION_BASELINES: dict[str, Callable[..., NavigationBaseline]] = {
    "random": Random,
    "forward": Forward,
    "frontier": Frontier,
    "nearest-frontier": NearestFrontier,
    "free-space": FreeSpace,
    "unknown-area": UnknownArea,
    "most-alike": MostAlike,
    "greedy": Greedy,
}


def senseless(env) -> tuple[str, ...]:
    """Those that mean nothing in the environment: without a goal there is no way to it, to be told that or to
    see it, whoever is told where it is need not look for it, and without a map nothing is new to it."""
    task: Navigation = env.unwrapped.task
    ceiling = () if task.reconstruction != "none" and task.goal_kind == "none" else ("new-points",)
    others = {
        "none": ("nearest-frontier", "free-space", "most-alike", "greedy"),
        "point": ("unknown-area", "most-alike"),
        "object": ("free-space", "most-alike"),
        "image": ("free-space",),
    }[task.goal_kind]
    return (*others, *ceiling)
