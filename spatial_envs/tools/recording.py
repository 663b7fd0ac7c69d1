"""What habitat-sim does in a building: asked of it here, or read from a folder of what it answered before."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spatial_envs.geometry.building import Building
from spatial_envs.geometry.view import View
from spatial_envs.navigation.goals import draw_start_and_goal
from spatial_envs.scenes.building_files import read_building, up_axis
from spatial_envs.simulators.habitat import HabitatSimulator
from spatial_envs.simulators.simulator import FORWARD, LEFT, RIGHT, STOP, AgentState, Simulator

FILES = ("views.npz", "geodesic.json", "rollouts.json", "greedy.json")  # of a folder, beside one .glb
LIFT = np.array([0.0, 0.1, 0.0])  # in such a folder points are on habitat's mesh, so much above the floor
ACTIONS = {"F": FORWARD, "L": LEFT, "R": RIGHT}
VIEWS, PAIRS, WALKS, LENGTH, EPISODES = 24, 100, 20, 100, 20  # how much is asked here
RADIUS, LONGEST = 0.2, 500  # metres from the goal, steps: of the greedy follower


@dataclass(frozen=True, eq=False)
class Walk:
    """Discrete actions from a start, and the state after each."""

    sliding: bool
    start: AgentState
    actions: list[int]
    states: list[AgentState]


@dataclass(frozen=True, eq=False)
class Followed:
    """What the greedy follower did from a start to a goal (3,); spl is 0 where it did not arrive."""

    start: AgentState
    goal: np.ndarray
    steps: int
    spl: float


@dataclass(frozen=True, eq=False)
class Recording:
    """habitat-sim's answers in a building; an agent of 1.5 x 0.1 m, steps of 0.25 m and 10 degrees.

    source         whose answers they are, for titles
    camera_height  metres
    standing, views  (N,) where the agent stood, and what it saw: 128 x 128, 90 degrees wide
    ends           (P, 2, 3) starts and goals, on the floor
    distances      (P,) metres, habitat's shortest ways between them
    exact          (P,) metres, the truly shortest ways, or None where nobody knows
    """

    building: Building
    source: str
    camera_height: float
    standing: list[AgentState]
    views: View
    ends: np.ndarray
    distances: np.ndarray
    exact: np.ndarray | None
    walks: list[Walk]
    followed: list[Followed]


def is_recording(folder: str | Path) -> bool:
    """Whether a folder is one of ``read_recording``."""
    return all(Path(folder, name).is_file() for name in FILES)


def read_recording(folder: str | Path) -> Recording:
    """The answers in a folder: FILES, and the building as its only .glb. ValueError where one is missing."""
    folder = Path(folder)
    glb = sorted(folder.glob("*.glb"))
    if not is_recording(folder) or len(glb) != 1:
        raise ValueError(f"folder: got {folder}; expected one with {', '.join(FILES)} and one .glb")
    seen = np.load(folder / "views.npz")
    pairs = json.loads((folder / "geodesic.json").read_bytes())["pairs"]
    intrinsics = np.broadcast_to(seen["intrinsics"], (len(seen["rgb"]), 3, 3))
    walks = []
    for told in json.loads((folder / "rollouts.json").read_bytes())["sequences"]:
        states = [
            AgentState(position - LIFT, yaw, collided=bool(collided))
            for position, yaw, collided in zip(
                np.array(told["positions"]), told["yaws"], told["collided"], strict=True
            )
        ]
        start = AgentState(np.subtract(told["start_position"], LIFT), told["start_yaw"])
        walks.append(Walk(told["sliding"], start, [ACTIONS[letter] for letter in told["actions"]], states))
    return Recording(
        read_building(glb[0], up_axis(glb[0])),
        "recorded",
        1.5 + LIFT[1],
        [
            AgentState(pose[:3, 3] - LIFT - [0, 1.5, 0], *angles)
            for pose, angles in zip(seen["cam_to_world"], seen["yaw_pitch"], strict=True)
        ],
        View(seen["rgb"], seen["depth"], intrinsics, seen["cam_to_world"]),
        np.array([[pair["start"], pair["goal"]] for pair in pairs]) - LIFT,
        np.array([pair["geodesic_distance"] for pair in pairs]),
        np.array([pair["shortest_exact"] for pair in pairs]),
        walks,
        [
            Followed(
                AgentState(np.subtract(told["start"], LIFT), told["start_yaw"]),
                np.subtract(told["goal"], LIFT),
                told["steps"],
                told["spl"],
            )
            for told in json.loads((folder / "greedy.json").read_bytes())["episodes"]
        ],
    )


def record(building: Building, seed: int = 0) -> Recording:
    """Ask habitat-sim: views and places drawn on its largest island, random walks, PointNav's episodes.

    Raises ImportError where habitat_sim is absent, MeshError where it cannot use the building.
    """
    sliding, stiff = (HabitatSimulator(building, sliding=slides) for slides in (True, False))
    import habitat_sim

    rng = np.random.default_rng(seed)

    def somewhere(pitch: float = 0.0) -> AgentState:
        return AgentState(sliding.sample(rng), rng.uniform(-math.pi, math.pi), rng.uniform(-pitch, pitch))

    standing = [somewhere(0.4) for _ in range(VIEWS)]
    ends = np.array([[sliding.sample(rng), sliding.sample(rng)] for _ in range(PAIRS)])
    walks = []
    for number in range(WALKS):
        walker = stiff if number % 4 == 3 else sliding
        walks.append(_wander(walker, somewhere(), rng))
    followed = []
    for _ in range(EPISODES):
        place, goal = draw_start_and_goal(sliding, rng)
        start = AgentState(place, rng.uniform(-math.pi, math.pi))
        followed.append(Followed(start, goal, *follow(sliding, start, goal)))
    return Recording(
        building,
        f"habitat-sim {habitat_sim.__version__}",
        1.5,
        standing,
        sliding.render_view(np.stack([sliding.camera_pose(state) for state in standing])),
        ends,
        np.array([float(sliding.distance(start, goal)) for start, goal in ends]),
        None,
        walks,
        followed,
    )


def _wander(walker: HabitatSimulator, start: AgentState, rng: np.random.Generator) -> Walk:
    """Mostly forward; after a collision it turns, so that one place at a wall does not count many times."""
    walker.reset(start.position, start.yaw)
    actions: list[int] = []
    states: list[AgentState] = []
    while len(actions) < LENGTH:
        if states and states[-1].collided:
            ahead = [int(rng.choice([LEFT, RIGHT]))] * int(rng.integers(1, 10))
        else:
            ahead = [int(rng.choice([FORWARD, LEFT, RIGHT], p=[0.8, 0.1, 0.1]))]
        actions += ahead
        states += [walker.step(action) for action in ahead]
    return Walk(walker.sliding, start, actions, states)


def follow(simulator: Simulator, start: AgentState, goal: np.ndarray) -> tuple[int, float]:
    """Let the greedy follower walk: its steps, 500 at most, and its SPL."""
    state = simulator.reset(start.position, start.yaw)
    shortest, walked, steps = float(simulator.distance(state.position, goal)), 0.0, 0
    while steps < LONGEST and (action := simulator.next_action(goal, RADIUS)) != STOP:
        before, state = state, simulator.step(action)
        walked += float(np.hypot(*(state.position - before.position)[[0, 2]]))
        steps += 1
    arrived = float(simulator.distance(state.position, goal)) < RADIUS
    return steps, arrived * shortest / max(shortest, walked, 1e-9)
