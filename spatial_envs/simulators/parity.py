"""How well the built-in simulator agrees with what habitat-sim answered, figure by figure beside its target:

python -m spatial_envs.simulators.parity <reference folder>
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spatial_envs.mesh_files import read_mesh
from spatial_envs.rendering.builtin import BuiltinRenderer
from spatial_envs.simulators import FORWARD, LEFT, RIGHT, STOP, AgentState
from spatial_envs.simulators.builtin import BuiltinSimulator

LIFT = np.array([0.0, 0.1, 0.0])  # habitat's navigation mesh lies so much above the floor
ACTIONS = {"F": FORWARD, "L": LEFT, "R": RIGHT}


@dataclass(frozen=True)
class Figure:
    """One line of the table; ``low`` and ``high`` bound the value."""

    name: str
    value: float
    target: str
    low: float = -np.inf
    high: float = np.inf

    @property
    def met(self) -> bool:
        """Whether the value lies within its bounds."""
        return bool(self.low <= self.value <= self.high)


def parity(folder: str | Path) -> list[Figure]:
    """The figures for the reference data in ``folder`` (its README says what is in it)."""
    folder = Path(folder)
    mesh = read_mesh(folder / "apartment_A.glb")
    simulator = BuiltinSimulator(mesh, camera_height=1.6, renderer=BuiltinRenderer(lit=False))
    return [
        *_views(simulator, np.load(folder / "views.npz")),
        *_distances(simulator, json.loads((folder / "geodesic.json").read_bytes())["pairs"]),
        *_steps(mesh, simulator, json.loads((folder / "rollouts.json").read_bytes())["sequences"]),
        *_greedy(simulator, json.loads((folder / "greedy.json").read_bytes())),
    ]


def _views(simulator, data) -> list[Figure]:
    depth, rgb = [], []
    pose = 0.0
    for k, (cam_to_world, (yaw, pitch)) in enumerate(
        zip(data["cam_to_world"], data["yaw_pitch"], strict=True)
    ):
        view = simulator.render_view(cam_to_world)
        depth.append(np.abs(view.depth - data["depth"][k]) <= 0.005)
        rgb.append((np.abs(view.rgb.astype(int) - data["rgb"][k]) <= 1).all(axis=-1))
        own = simulator.camera_pose(AgentState(cam_to_world[:3, 3] - [0, 1.6, 0], yaw, pitch))
        pose = max(pose, float(np.abs(own - cam_to_world).max()))
    return [
        Figure("pixels with depth within 5 mm", float(np.mean(depth)), ">= 99.5 %", low=0.995),
        Figure("pixels with colour within 1 level", float(np.mean(rgb)), ">= 99.5 %", low=0.995),
        Figure("camera pose from yaw and pitch, largest difference", pose, "<= 1e-5", high=1e-5),
    ]


def _distances(simulator, pairs) -> list[Figure]:
    ours = np.array(
        [simulator.distance(np.subtract(p["start"], LIFT), np.subtract(p["goal"], LIFT)) for p in pairs]
    )
    exact = np.array([p["shortest_exact"] for p in pairs])
    theirs = np.array([p["geodesic_distance"] for p in pairs])
    close = np.abs(ours - exact) <= 0.02 + 0.01 * exact
    above = float((ours - theirs).max())
    return [
        Figure("distances within 0.02 m + 1 % of the exact", float(close.mean()), ">= 95 %", low=0.95),
        Figure("most above habitat's distance, m", above, "<= 0.2", high=0.2),
    ]


def _steps(mesh, simulator, sequences) -> list[Figure]:
    """One step from every recorded state; without sliding, up to the first collision."""
    stiff = BuiltinSimulator(
        mesh, camera_height=1.6, sliding=False, renderer=simulator.renderer, space=simulator.space
    )
    free, blocked, flags, turns, first, differ = [], [], [], [], [], []
    for sequence in sequences:
        agent = simulator if sequence["sliding"] else stiff
        position, yaw = np.array(sequence["start_position"]), sequence["start_yaw"]
        for action, *after in zip(
            sequence["actions"], sequence["positions"], sequence["yaws"], sequence["collided"], strict=True
        ):
            asked = position - 0.25 * np.array([np.sin(yaw), 0.0, np.cos(yaw)])
            start = simulator.snap(position - LIFT, reach=0.1)
            agent.reset(start, yaw)
            state = agent.step(ACTIONS[action])
            error = float(np.linalg.norm((state.position - after[0])[[0, 2]]))
            if action != "F":
                turns.append(abs((state.yaw - after[1] + np.pi) % (2 * np.pi) - np.pi))
            elif not sequence["sliding"] and after[2]:
                first.append(error)
                break
            elif np.linalg.norm((after[0] - asked)[[0, 2]]) < 1e-4:
                stiff.reset(start, yaw)
                clear = np.allclose(start, position - LIFT, atol=1e-6) and not stiff.step(FORWARD).collided
                differ.append(not clear)
                if clear:
                    free.append(error)
            else:
                blocked.append(error)
            if action == "F" and sequence["sliding"]:
                flags.append(state.collided == after[2])
            position, yaw = np.array(after[0]), after[1]
    return [
        Figure("free steps (clear here too), largest error, m", float(np.max(free)), "<= 1e-5", high=1e-5),
        Figure("steps free on habitat's coarser border alone", float(np.mean(differ)), "<= 5 %", high=0.05),
        Figure("blocked steps within 0.06 m", float(np.mean(np.array(blocked) <= 0.06)), ">= 95 %", low=0.95),
        Figure("collided flag right", float(np.mean(flags)), ">= 97 %", low=0.97),
        Figure("turns, largest error, rad", float(np.max(turns)), "<= 1e-5", high=1e-5),
        Figure("first contact without sliding, most apart, m", float(np.max(first)), "<= 0.1", high=0.1),
    ]


def _greedy(simulator, data) -> list[Figure]:
    spl, steps, success = [], [], []
    for episode in data["episodes"]:
        goal = np.subtract(episode["goal"], LIFT)
        state = simulator.reset(np.subtract(episode["start"], LIFT), episode["start_yaw"])
        shortest = float(simulator.distance(state.position, goal))
        walked, count = 0.0, 0
        while count < 500 and (action := simulator.next_action(goal, data["goal_radius"])) != STOP:
            before = state.position
            state = simulator.step(action)
            walked += float(np.linalg.norm(state.position - before))
            count += 1
        done = float(simulator.distance(state.position, goal)) < data["goal_radius"]
        success.append(done)
        steps.append(count / episode["steps"])
        spl.append(done * shortest / max(shortest, walked))
    return [
        Figure("greedy follower: success", float(np.mean(success)), "= habitat's 100 %", low=1.0),
        Figure(
            "greedy follower: SPL minus habitat's",
            float(np.mean(spl)) - data["mean_spl"],
            "within 0.02",
            -0.02,
            0.02,
        ),
        Figure("greedy follower: steps / habitat's", float(np.mean(steps)), "within 10 %", 0.9, 1.1),
    ]


def main() -> None:
    """Print the table."""
    for figure in parity(sys.argv[1]):
        print(
            f"{figure.name:52} {figure.value:12.6f}   {figure.target:18} {'met' if figure.met else 'NOT MET'}"
        )


if __name__ == "__main__":
    main()
