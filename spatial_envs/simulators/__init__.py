"""Simulators: an agent with a camera that walks through a building.

A simulator is any object with the members of `Simulator`; the one that comes with the package is
`spatial_envs.simulators.builtin.BuiltinSimulator`. World: metres, Y up. Yaw 0 looks along -Z and grows to the
left, pitch grows upwards, both radians: forward in plan = (-sin yaw, 0, -cos yaw).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from spatial_envs.building import Building
from spatial_envs.view import View

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
    islands: np.ndarray  # (I,) square metres of each connected part, the largest first

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
        """What the agent's lens would see from poses (..., 4, 4), OpenCV axes."""
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


def check_simulator(simulator: str | Callable[..., Simulator]) -> None:
    """ValueError for what is neither a name nor a callable; ImportError where habitat-sim is asked for and
    absent."""
    if simulator == "habitat":
        from spatial_envs.simulators.habitat_process import require

        require()
    elif simulator != "builtin" and not callable(simulator):
        raise ValueError(
            f"simulator: got {simulator!r}; expected 'builtin', 'habitat', or a callable that makes one"
        )


def make_simulator(
    simulator: str | Callable[..., Simulator], building: Building, **arguments: Any
) -> Simulator:
    """A simulator of a building, by name ("builtin", "habitat"), or made by a callable of your own; it is
    called with the building, and the arguments of ``BuiltinSimulator`` by name.

    Raises ValueError for an unknown name, ImportError where habitat-sim is asked for and absent.
    """
    if simulator == "builtin":
        from spatial_envs.rendering.builtin import BuiltinRenderer
        from spatial_envs.simulators.builtin import BuiltinSimulator

        if arguments.get("renderer", "builtin") == "builtin":
            arguments["renderer"] = BuiltinRenderer(lit=building.lit)
        return BuiltinSimulator(building.mesh, **arguments)
    if simulator == "habitat":
        from spatial_envs.simulators.habitat import HabitatSimulator

        if (renderer := arguments.pop("renderer", "builtin")) != "builtin":
            raise ValueError(f"renderer: got {renderer!r}; simulator='habitat' has its own: leave it out")
        return HabitatSimulator(building, **arguments)
    check_simulator(simulator)
    assert callable(simulator)
    return simulator(building, **arguments)
