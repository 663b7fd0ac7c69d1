"""Simulators: an agent with a camera that walks through a building.

A simulator is any object with the members of `Simulator`; the one that comes with the package is
`spatial_envs.simulators.builtin.BuiltinSimulator`. World: metres, Y up. Yaw 0 looks along -Z and grows to the
left, pitch grows upwards, both radians: forward in plan = (-sin yaw, 0, -cos yaw).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["AgentState", "Simulator", "check_simulator", "make_simulator"]


from spatial_envs.geometry.building import Building
from spatial_envs.geometry.view import View as View
from spatial_envs.simulators.simulator import AgentState, Simulator


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
        return BuiltinSimulator(building.mesh, solid=building.solid, floors=building.floors, **arguments)
    if simulator == "habitat":
        from spatial_envs.simulators.habitat import HabitatSimulator

        if (renderer := arguments.pop("renderer", "builtin")) != "builtin":
            raise ValueError(f"renderer: got {renderer!r}; simulator='habitat' has its own: leave it out")
        return HabitatSimulator(building, **arguments)
    check_simulator(simulator)
    assert callable(simulator)
    return simulator(building, **arguments)
