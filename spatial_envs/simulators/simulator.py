"""What every simulator of a walking agent promises, and the actions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from spatial_envs.geometry.view import View

STOP, FORWARD, LEFT, RIGHT, UP, DOWN = range(6)  # the discrete actions; UP and DOWN tilt the camera


@dataclass(frozen=True, eq=False)
class AgentState:
    """position (3,) float64, metres; yaw and pitch, radians; collided: the last walk fell short."""

    position: np.ndarray
    yaw: float
    pitch: float = 0.0
    collided: bool = False


@runtime_checkable
class Simulator(Protocol):
    """What the navigation tasks ask of a simulator. Points are (x, y, z) with y on the floor; a point that is
    not navigable, beyond 0.02 m, is a ValueError, and a distance without a way is inf."""

    name: str
    state: AgentState
    islands: np.ndarray  # (I,) square metres of each connected part, the one to play in first

    def reset(self, position: np.ndarray, yaw: float, pitch: float = 0.0) -> AgentState:
        """Put the agent somewhere, snapped to the floor."""
        ...

    def step(self, action: int) -> AgentState:
        """Carry out a discrete action."""
        ...

    def move(self, forward: float, turn: float) -> AgentState:
        """Walk ``forward`` metres along the present heading (backwards if negative), then turn left by
        ``turn`` radians: velocities over a time step."""
        ...

    def view(self) -> View:
        """What the agent's camera sees, segments included."""
        ...

    def render_view(self, cam_to_world: np.ndarray) -> View:
        """What the agent's intrinsics would see from poses (..., 4, 4), OpenCV axes."""
        ...

    def camera_pose(self, state: AgentState) -> np.ndarray:
        """(4, 4) float64 cam_to_world of the agent's camera in a state."""
        ...

    def snap(self, point: np.ndarray, reach: float = 0.02, name: str = "point") -> np.ndarray:
        """(3,): the nearest navigable point within ``reach`` metres."""
        ...

    def island(self, point: np.ndarray) -> int:
        """The index into ``islands`` of a navigable point."""
        ...

    def sample(self, rng: np.random.Generator, island: int = 0) -> np.ndarray:
        """(3,): a point drawn evenly from an island."""
        ...

    def distance(self, points: np.ndarray, goal: np.ndarray) -> np.ndarray:
        """(...,) metres: the shortest ways from points (..., 3) to a goal (3,) or the nearest of (G, 3)."""
        ...

    def path(self, start: np.ndarray, goal: np.ndarray) -> np.ndarray:
        """(K, 3): corners of the shortest way; (0, 3) where there is none."""
        ...

    def floor_map(self, y: float, cell: float = 0.05) -> tuple[np.ndarray, np.ndarray]:
        """Where the floors at height y are free: the map's corner (x, z) and (rows, columns) bool, rows along
        z, cells of this width in metres."""
        ...

    def next_action(self, goal: np.ndarray, radius: float) -> int:
        """What a greedy follower of the shortest way does next; STOP within ``radius`` metres of the goal."""
        ...
