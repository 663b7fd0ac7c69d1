"""An episode of navigation: what one row remembers, and how it tells where things are."""

from __future__ import annotations

import math
import reprlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spatial_envs.core.stays import Stay
from spatial_envs.foundation.arguments import check_flag
from spatial_envs.geometry.camera import turn_about_y
from spatial_envs.geometry.view import View
from spatial_envs.navigation.goals import Mission
from spatial_envs.navigation.occupancy import OccupancyMap
from spatial_envs.navigation.places import Place
from spatial_envs.reconstruction.chamfer import Cloud, Metrics
from spatial_envs.simulators.agent import checked_angles, wrapped
from spatial_envs.simulators.simulator import AgentState, Simulator

FAR = 100.0  # metres: the bound of goal and position sensors


@dataclass(eq=False)
class Episode:
    """One row: where the agent is and was, what it saw, and what was made of it."""

    index: int  # of the building in its set
    place: Place
    simulator: Simulator
    mission: Mission
    trajectory: list[AgentState]
    distance: float  # metres from here to the goal
    cloud: Cloud | None
    occupancy: OccupancyMap | None
    metrics: Metrics = field(default_factory=dict)  # the figures of the map now
    first: Metrics = field(default_factory=dict)  # and those of the first view
    views: list[View] = field(default_factory=list)  # the newest first, as many as the window holds
    per_view: list[Any] = field(default_factory=list)  # what the backbone keeps of each
    features: np.ndarray | None = None  # (n, ...) float32, not yet standardised
    picture: np.ndarray | None = None  # (H, W, 3) uint8, what the goal looks like
    path_length: float = 0.0
    collisions: int = 0
    gain: float = 0.0  # of the last step
    stopped: bool = False
    stay: Stay = field(default_factory=Stay)  # in the building

    @property
    def state(self) -> AgentState:
        """Where the agent is."""
        return self.trajectory[-1]

    @property
    def steps(self) -> int:
        """How many actions were taken."""
        return len(self.trajectory) - 1

    @property
    def start(self) -> AgentState:
        """Where it began."""
        return self.mission.start

    @property
    def goal(self) -> np.ndarray | None:
        """(3,), or (G, 3) the view points of a category; None without a goal."""
        return self.mission.goal

    @property
    def category(self) -> str:
        """What is sought, "" where that is no object."""
        return self.mission.category

    def odometry(self) -> np.ndarray:
        """(3,) float32: metres walked by the last action, radians turned to the left, 1 if it fell short."""
        before, now = self.trajectory[-2:] if self.steps else (self.state, self.state)
        turned = wrapped(now.yaw - before.yaw)
        return np.array([min(in_plan(before, now), FAR), turned, now.collided], np.float32)

    @property
    def efficiency(self) -> float:
        """Shortest way over the longer of it and the path walked; 1 where both are nothing."""
        longer = max(self.mission.shortest, self.path_length)
        return self.mission.shortest / longer if longer > 0 else 1.0

    @property
    def progress(self) -> float:
        """Share of the way to the goal that is done, at least 0."""
        if self.mission.shortest <= 0:
            return float(self.distance <= 0)
        return max(0.0, 1 - self.distance / self.mission.shortest)


def agent_frame(state: AgentState) -> np.ndarray:
    """(4, 4) float64, frame to world: the agent's place on the floor, Y up, -Z where it is heading."""
    frame = turn_about_y(state.yaw)
    frame[:3, 3] = state.position
    return frame


def in_frame(state: AgentState, point: np.ndarray) -> np.ndarray:
    """(2,) metres: how far forward and to the right of an agent a point (3,) is."""
    dx, _, dz = point - state.position
    sin, cos = math.sin(state.yaw), math.cos(state.yaw)
    return np.array([-sin * dx - cos * dz, cos * dx - sin * dz])


def polar(offset: np.ndarray) -> np.ndarray:
    """(2,) float32: distance, metres, and angle to the left, radians, of (forward, right)."""
    return np.array([min(math.hypot(*offset), FAR), math.atan2(-offset[1], offset[0])], np.float32)


def in_plan(before: AgentState, after: AgentState) -> float:
    """Metres from one place to another in plan, as the simulators' ways are measured."""
    return float(np.hypot(*(after.position - before.position)[[0, 2]]))


def checked_trajectory(trajectory: Any, simulator: Simulator, least: int) -> list[AgentState]:
    """The states of a trajectory, (position, yaw, pitch, collided) each, as ``get_state`` gives it.
    ValueError for fewer than ``least``, and for one in which the simulator lets no agent be."""
    name, walked = "state['task']['trajectory']", []
    try:
        for position, yaw, pitch, collided in trajectory:
            simulator.snap(position)
            angles = checked_angles(yaw, pitch)
            walked.append(AgentState(np.array(position), *angles, check_flag("collided", collided)))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: got {reprlib.repr(trajectory)}: {error}") from None
    if len(walked) < least:
        raise ValueError(f"{name}: got {len(walked)} states; expected at least one")
    return walked
