"""Where navigation episodes begin and end: points, pictures, objects of a class; habitat-lab's rules."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from spatial_envs.foundation.arguments import check_choice, check_range, floats
from spatial_envs.foundation.errors import SceneError
from spatial_envs.geometry.building import Building, SceneObject
from spatial_envs.navigation.episode_files import Listed
from spatial_envs.navigation.places import Place
from spatial_envs.simulators.agent import horizontal_intrinsics, wrapped
from spatial_envs.simulators.floors import MIN_AREA
from spatial_envs.simulators.simulator import AgentState, Simulator

NEAREST, FARTHEST = 1.0, 30.0  # metres, along the shortest way
REACH = 0.05  # metres: an end that was chosen may be so far off, as where simulators differ about borders
FILED = 0.3  # the same of a file's ends, which were found on the navigation mesh of another simulator
LEVEL = 0.5  # metres: start and goal are on one floor
STRAIGHT = 1.1  # shortest way over straight line; episodes below are mostly drawn again
TRIES = 500
STAND_OFF = 1.0  # metres from an object's box within which view points lie
GRID = 0.1  # metres between them
LEAST_SHARE = 0.003  # of the picture that an object fills where it counts as seen
LOOK = 48  # pixels of that picture


class NoEpisode(SceneError):
    """A building in which no episode of the task can begin; the message says why."""


@dataclass(frozen=True, eq=False)
class Mission:
    """What an episode sets out from."""

    start: AgentState
    goal: np.ndarray | None  # (3,), or (G, 3) the view points of a category; None for Explore
    goal_yaw: float  # radians, of the picture that ImageNav seeks
    category: str  # "" where no object is sought
    seed: int  # of what is randomised
    shortest: float  # metres from the start to the goal; 0 without one
    snapped: float  # metres by which a start or goal that was chosen was moved, the larger
    name: str = ""  # of a file's episode


def draw_mission(
    place: Place, rng: np.random.Generator, kind: str, categories: Sequence[str], given: Mapping[str, Any]
) -> Mission:
    """What is given of a mission, and the rest drawn.

    kind: of goal, "point", "image", "object" or "none"; categories: what may be sought; given: the options
    "start", "yaw", "goal", "goal_yaw", "category". ValueError that names the option where one is not usable,
    NoEpisode where the building has no episode.
    """
    simulator = place.simulator
    category, snapped = "", 0.0
    ends: dict[str, np.ndarray] = {}
    for end in ("start", "goal"):
        if end in given:
            name = f"options['{end}']"
            asked = _point(name, given[end])
            ends[end] = simulator.snap(asked, REACH, name)
            snapped = max(snapped, float(np.hypot(*(ends[end] - asked)[[0, 2]])))
    start, goal = ends.get("start"), ends.get("goal")
    if kind == "object":
        category, goal = _category(place, rng, categories, given.get("category"))
    if kind == "none":
        start = simulator.sample(rng) if start is None else start
    else:
        start, goal = _ends(place, rng, start, goal, category, "category" in given)
    yaw = _angle("options['yaw']", given["yaw"]) if "yaw" in given else rng.uniform(-math.pi, math.pi)
    goal_yaw = rng.uniform(-math.pi, math.pi) if kind == "image" else 0.0
    goal_yaw = _angle("options['goal_yaw']", given["goal_yaw"]) if "goal_yaw" in given else goal_yaw
    return _mission(place, rng, AgentState(start, wrapped(yaw)), goal, goal_yaw, category, snapped)


def certain_mission(place: Place, rng: np.random.Generator, kind: str, categories: Sequence[str]) -> Mission:
    """As ``draw_mission`` with nothing given, but what fails fails at the first call in a place.

    For a building from a file a first mission is drawn by a seed of the building's own, and kept: it stands
    in where a later draw finds none. NoEpisode where there is no first one."""
    if place.building.path and not place.proven:
        place.proven.append(draw_mission(place, np.random.default_rng(0), kind, categories, {}))
    try:
        return draw_mission(place, rng, kind, categories, {})
    except NoEpisode:
        if not place.proven:
            raise
        return replace(place.proven[0], seed=int(rng.integers(2**31)))


def first_mission(
    place: Place, rng: np.random.Generator, categories: Sequence[str], some: Sequence[Listed]
) -> Mission:
    """The mission of the first of a file's episodes that can begin here; NoEpisode where none can, which says
    why the first cannot."""
    fault: NoEpisode | None = None
    for listed in some:
        try:
            return listed_mission(place, rng, categories, listed)
        except NoEpisode as error:
            fault = fault or error
    raise fault or NoEpisode(f"episodes: none in {place.building.name}")


def listed_mission(
    place: Place, rng: np.random.Generator, categories: Sequence[str], listed: Listed
) -> Mission:
    """The mission of a file's episode; its ends are moved by at most 0.3 m, and view points farther off are
    left out. NoEpisode where there is no such start or goal here, ValueError for a category that is none of
    the ``categories``."""
    subject = f"episodes: {listed.name!r} in {place.building.name}"
    if listed.category and listed.category not in categories:
        raise ValueError(
            f"categories: got {', '.join(categories)}; expected {listed.category!r} as well, for {subject}"
        )
    simulator, moved = place.simulator, [0.0]

    def near(point: np.ndarray, word: str) -> np.ndarray:
        try:
            found = simulator.snap(point, FILED, word)
        except ValueError as error:
            raise NoEpisode(f"{subject}: {error}") from None
        moved.append(float(np.hypot(*(found - point)[[0, 2]])))
        return found

    start, goal = near(listed.start, "start"), listed.goal
    if goal is not None and goal.ndim == 1:
        goal = near(goal, "goal")
    elif goal is not None:
        found = []
        for point in goal:
            with suppress(ValueError):
                found.append(simulator.snap(point, FILED))
        if not found:
            raise NoEpisode(f"{subject}: none of its {len(goal)} view points is within {FILED} m of a floor")
        goal = np.stack(found)
    try:
        mission = _mission(
            place, rng, AgentState(start, listed.yaw), goal, listed.goal_yaw, listed.category, max(moved)
        )
    except ValueError as error:
        raise NoEpisode(f"{subject}: {error}") from None
    return replace(mission, name=listed.name)


def _mission(
    place: Place,
    rng: np.random.Generator,
    start: AgentState,
    goal: np.ndarray | None,
    goal_yaw: float,
    category: str,
    snapped: float,
) -> Mission:
    """The mission of these ends. ValueError where there is no way between them."""
    simulator, origin = place.simulator, start.position
    shortest = 0.0 if goal is None else float(simulator.distance(origin, goal))
    if goal is not None and not math.isfinite(shortest):
        if category:
            raise ValueError(
                f"options['start']: got {np.round(origin, 3).tolist()}, from which no view point of a "
                f"{category} can be reached; expected a start on the largest island"
            )
        raise ValueError(
            f"options['goal']: got {np.round(goal, 3).tolist()}, which cannot be reached from "
            f"{np.round(origin, 3).tolist()}; expected a goal on the same island"
        )
    return Mission(start, goal, goal_yaw, category, int(rng.integers(2**31)), shortest, snapped)


def checked_mission(
    place: Place, kind: str, categories: Sequence[str], start: AgentState, state: Mapping[str, Any]
) -> Mission:
    """The mission of a state (``Navigation.get_state``) that begins at ``start``; its goal is a copy. kind
    and categories: as for ``draw_mission``. ValueError where it is none of this kind in this building."""
    check_range("state['task']['seed']", state["seed"], 0, 2**31 - 1, int)
    for key in ("shortest", "goal_yaw", "snapped"):
        check_range(f"state['task'][{key!r}]", state[key], -1e9, 1e9)
    if not isinstance(name := state["episode_id"], str):
        raise ValueError(f"state['task']['episode_id']: got {name!r}; expected a name, or ''")
    if kind == "object":
        check_choice("state['task']['category']", state["category"], categories)
    goal = _checked_goal(place, kind, state["goal"])
    return Mission(
        start, goal, state["goal_yaw"], state["category"], state["seed"], state["shortest"],
        state["snapped"], name,
    )  # fmt: skip


def _checked_goal(place: Place, kind: str, goal: Any) -> np.ndarray | None:
    """A goal of this kind, a copy; ValueError for another."""
    expected = {"none": "None", "object": "(G, 3)"}.get(kind, "(3,)")
    fits = {"none": goal is None, "object": np.ndim(goal) == 2 and len(goal) > 0}
    if not fits.get(kind, np.shape(goal) == (3,)):
        raise ValueError(f"state['task']['goal']: got {reprlib.repr(goal)}; expected {expected}")
    if goal is None:
        return None
    points = floats("state['task']['goal']", goal, expected).copy()
    for point in points.reshape(len(points) if points.ndim == 2 else 1, -1):
        place.simulator.snap(point, name="state['task']['goal']")
    return points


def _point(name: str, value: Any) -> np.ndarray:
    point = floats(name, value, "(x, y, z), metres")
    if point.shape != (3,) or not np.isfinite(point).all():
        raise ValueError(f"{name}: got {value!r}; expected (x, y, z), finite, metres")
    return point


def _angle(name: str, value: Any) -> float:
    angle = floats(name, value, "radians")
    if angle.shape != () or not np.isfinite(angle):
        raise ValueError(f"{name}: got {value!r}; expected finite radians")
    return float(angle)


# ---- start and goal


def _ends(
    place: Place,
    rng: np.random.Generator,
    start: np.ndarray | None,
    goal: np.ndarray | None,
    category: str,
    chosen: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Start and goal, whichever is None drawn; chosen: the category was given."""
    simulator = place.simulator
    if start is not None and goal is not None:
        return start, goal
    if start is not None:
        goal = draw_other_end(simulator, rng, start[None])
        if goal is None:
            raise _no_other_end(simulator, "start", "goal", start)
        return start, goal
    if goal is None:
        try:
            return draw_start_and_goal(simulator, rng)
        except NoEpisode as error:
            space = getattr(simulator, "space", None)
            body = f"; {space.fitting}" if space is not None and simulator.islands[0] < MIN_AREA else ""
            raise NoEpisode(f"{place.building.path or place.building.name}: {error}{body}") from None
    start = draw_other_end(simulator, rng, goal.reshape(-1, 3))
    if start is not None:
        return start, goal
    if not category:
        raise _no_other_end(simulator, "goal", "start", goal)
    subject = f"options['category']: got {category!r}" if chosen else "scenes: ObjectNav cannot run"
    raise NoEpisode(
        f"{subject} in {place.building.name}: no start {NEAREST:g} to {FARTHEST:g} m from where a {category} "
        f"is seen was found in {TRIES} draws"
    )


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
    raise NoEpisode(
        f"no start and goal {NEAREST:g} to {FARTHEST:g} m apart in {TRIES} draws from the largest island, "
        f"{simulator.islands[0]:.1f} square metres"
    )


def draw_other_end(simulator: Simulator, rng: np.random.Generator, ends: np.ndarray) -> np.ndarray | None:
    """A place (3,) on the largest island, 1 to 30 m from the nearest of the ends (G, 3) and on its floor: a
    start for goals, or a goal for a start, as ways have no direction. None where 500 draws find none."""
    for _ in range(TRIES):
        place = simulator.sample(rng)
        way = float(simulator.distance(place, ends))
        if NEAREST <= way <= FARTHEST and np.abs(ends[:, 1] - place[1]).min() <= LEVEL:
            return place
    return None


def _no_other_end(simulator: Simulator, name: str, wanted: str, end: np.ndarray) -> NoEpisode:
    """What to say where only one end is given and no other is found."""
    if simulator.island(end) != 0:
        fault = f"which is not on the largest island, where a {wanted} is drawn; expected one on it"
    else:
        fault = (
            f"but no {wanted} {NEAREST:g} to {FARTHEST:g} m from it and on its floor was found in {TRIES} "
            "draws; expected one with more room"
        )
    return NoEpisode(
        f"options['{name}']: got {np.round(end, 3).tolist()}, {fault}, or options['{wanted}'] as well"
    )


# ---- objects of a class


def _category(
    place: Place, rng: np.random.Generator, categories: Sequence[str], category: str | None
) -> tuple[str, np.ndarray]:
    """The category sought, drawn from those that the building has and shows, and its view points."""
    if category is not None:
        check_choice("options['category']", category, categories)
        points = _view_points(place, category)
        if not len(points):
            raise ValueError(
                f"options['category']: got {category!r}, but none in {place.building.name} can be seen "
                "from less than 1 m away"
            )
        return category, points
    has = [name for name in categories if name in place.building.categories]
    for name in rng.permutation(has).tolist():
        if len(points := _view_points(place, name)):
            return name, points
    raise NoEpisode(
        f"scenes: ObjectNav cannot run in {place.building.name}: none of its {', '.join(has)} can be "
        "seen from less than 1 m away"
    )


def _view_points(place: Place, category: str) -> np.ndarray:
    """``view_points`` of a place, kept with it; seen by its own renderer where it has one."""
    if category not in place.sought:
        intrinsics = horizontal_intrinsics(60.0, (LOOK, LOOK))
        renderer = getattr(place.simulator, "renderer", None)

        def camera(pose: np.ndarray) -> np.ndarray:
            if renderer is None:
                segment = place.simulator.render_view(pose).segment
            else:
                segment = renderer.render(place.building.mesh, pose, intrinsics, (LOOK, LOOK)).segment
            return np.zeros((1, 1)) if segment is None else segment

        place.sought[category] = view_points(place.building, place.simulator, category, camera)
    return place.sought[category]


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
