"""Where navigation episodes begin and end: points, pictures, objects of a class; habitat-lab's rules."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from spatial_envs.building import Building, SceneObject
from spatial_envs.simulators import AgentState, Simulator

NEAREST, FARTHEST = 1.0, 30.0  # metres, along the shortest way
LEVEL = 0.5  # metres: start and goal are on one floor
STRAIGHT = 1.1  # shortest way over straight line; episodes below are mostly drawn again
TRIES = 500
STAND_OFF = 1.0  # metres from an object's box within which view points lie
GRID = 0.1  # metres between them
LEAST_SHARE = 0.003  # of the picture that an object fills where it counts as seen
LOOK = 48  # pixels of that picture


class NoEpisode(ValueError):
    """A building in which no episode of the task can begin; the message says why."""


def draw_start_and_goal(simulator: Simulator, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Start and goal (3,) on the largest island, as habitat-lab's PointNav episodes: the shortest way is 1 to
    30 m, heights differ by 0.5 m at most, and where the way is less than 1.1 times the straight line the pair
    is kept with probability 20 (ratio - 0.98)^2. NoEpisode where 500 draws find none."""
    for _ in range(TRIES):
        start, goal = simulator.sample(rng), simulator.sample(rng)
        keep = rng.random()
        if abs(start[1] - goal[1]) > LEVEL:
            continue
        way = float(simulator.distance(start, goal))
        straight = float(np.linalg.norm(start - goal))
        if not NEAREST <= way <= FARTHEST:
            continue
        ratio = way / straight
        if ratio >= STRAIGHT or keep < 20 * (ratio - 0.98) ** 2:
            return start, goal
    raise NoEpisode(f"no start and goal {NEAREST:g} to {FARTHEST:g} m apart in {TRIES} draws")


def draw_start(simulator: Simulator, rng: np.random.Generator, goals: np.ndarray) -> np.ndarray:
    """A start (3,) on the largest island, 1 to 30 m from the nearest of the goals (G, 3) and on its floor."""
    for _ in range(TRIES):
        start = simulator.sample(rng)
        way = float(simulator.distance(start, goals))
        if NEAREST <= way <= FARTHEST and np.abs(goals[:, 1] - start[1]).min() <= LEVEL:
            return start
    raise NoEpisode(f"no start {NEAREST:g} to {FARTHEST:g} m from the goal in {TRIES} draws")


def view_points(
    building: Building, simulator: Simulator, category: str, camera: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """(G, 3): places on the largest island, 0.1 m apart and within 1 m of an object of the category, from
    where the agent sees it: it fills at least 0.3 % of a picture taken towards its middle.

    camera: poses (..., 4, 4) -> object ids (..., 48, 48)
    """
    found = []
    for number in building.of_category(category):
        thing = building.objects[number]
        for place in _beside(simulator, thing):
            if (camera(_towards(simulator, place, thing.centre)) == number).mean() >= LEAST_SHARE:
                found.append(place)
    return np.array(found).reshape(-1, 3)


def _beside(simulator: Simulator, thing: SceneObject) -> list[np.ndarray]:
    """Places (3,) of a grid on the largest island within 1 m of an object's box, on the floor below it."""
    for drop in (0.0, 0.4, 0.8, 1.2, 1.6):  # what hangs on a wall is above its floor
        y = float(thing.low[1]) - drop
        corner, free = simulator.floor_map(y, GRID)
        rows, columns = np.nonzero(free)
        xz = corner + (np.stack([columns, rows], axis=1) + 0.5) * GRID
        aside = np.maximum(0, np.maximum(thing.low[[0, 2]] - xz, xz - thing.high[[0, 2]]))
        near = xz[np.hypot(*aside.T) <= STAND_OFF]
        places = [simulator.snap(np.array([x, y, z])) for x, z in near]
        if places := [place for place in places if simulator.island(place) == 0]:
            return places
    return []


def _towards(simulator: Simulator, place: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(4, 4): the agent's camera at a place, turned and tilted towards a point."""
    eye = simulator.camera_pose(AgentState(place, 0.0))[:3, 3]
    dx, dy, dz = target - eye
    return simulator.camera_pose(AgentState(place, math.atan2(-dx, -dz), math.atan2(dy, math.hypot(dx, dz))))
