"""What an agent can do in a captured building: room to walk, episodes, what the camera's own way proves."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from scenes.capture.building import NAME
from scenes.capture.pose_files import read_transforms
from scenes.capture.poses import FILE
from scenes.capture.stages import Gate
from spatial_envs.foundation.errors import MeshError
from spatial_envs.geometry.building import Building
from spatial_envs.navigation.goals import NoEpisode, draw_other_end, draw_start_and_goal, view_points
from spatial_envs.rendering.builtin import BuiltinRenderer
from spatial_envs.scenes.building_files import read_building
from spatial_envs.simulators.agent import horizontal_intrinsics
from spatial_envs.simulators.builtin import BuiltinSimulator

ROOM = 2.0  # square metres to walk on
EPISODES = 20  # that differ: starts or goals in other cells of 0.25 m
TRIED, CELL = 40, 0.25
LOOK = 48  # pixels of the picture by which a thing counts as seen
BEFORE = 0.4  # metres that the camera is held before the body that carries it


def make(folder: Path, before: Mapping[str, Path], options: Mapping[str, Any]) -> list[Gate]:
    """The stage: fills ``folder`` with certificate.json."""
    height, radius = (float(n) for n in options["body"])
    building = read_building(before["building"] / f"{NAME}.glb", "y", lit=None)
    camera_height = min(height, 1.5)
    wanted = f"at least {ROOM:g} square metres for a body {height:g} m high and {2 * radius:g} m wide"
    advice = "There is no room to walk: film more floor, or pass --body with a smaller height and radius"
    try:
        simulator = BuiltinSimulator(
            building.mesh, height, radius, camera_height, image_size=LOOK, floors=building.floors
        )
    except MeshError as error:
        return [Gate("room to walk", False, str(error).partition(": got")[0], wanted, f"{advice}.")]
    area = float(simulator.islands[0])
    _plan(folder / "plan.png", simulator, before)
    if area < ROOM:
        got = f"{area:.2f} square metres; {simulator.space.fitting}"
        return [Gate("room to walk", False, got, wanted, f"{advice}: {simulator.space.fitting}.", "plan.png")]
    walked = way_proved(simulator, before)
    points = point_episodes(simulator)
    things = {category: object_episodes(building, simulator, category) for category in building.categories}
    followed = follower_success(simulator)
    best = max(things.values(), default=0)
    fit = [task for task, count in (("PointNav", points), ("ObjectNav", best)) if count >= EPISODES]
    facts = {
        "body": [height, radius],
        "walkable": area,
        "way_proved": walked,
        "follower": followed,
        "point_episodes": points,
        "object_episodes": things,
        "fit_for": fit,
    }
    (folder / "certificate.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")
    told = ", ".join(f"{category} {count}" for category, count in things.items()) or "nothing has a name"
    return [
        Gate("room to walk", True, f"{area:.2f} square metres", wanted, picture="plan.png"),
        Gate(
            name="camera's way",
            passed=walked >= 0.5,
            got=f"{walked:.0%} of it is within {BEFORE:g} m of free space",
            wanted="at least 50 %",
            advice="Where the camera went counts as blocked: the reconstruction has walls in the air.",
            picture="plan.png",
            required=False,
        ),
        Gate(
            name="follower",
            passed=followed >= 0.95,
            got=f"{followed:.0%} of shortest ways are walked to their end",
            wanted="at least 95 %",
            advice="The floor is too rough to walk on.",
            required=False,
        ),
        Gate(
            name="PointNav",
            passed=points >= EPISODES,
            got=f"{points} of {TRIED} distinct episodes",
            wanted=f"at least {EPISODES}",
            advice="The floor is too small or too bare for ways of 1 m and more: film the next room, too.",
            required=False,
        ),
        Gate(
            name="ObjectNav",
            passed=best >= EPISODES,
            got=f"distinct episodes of {TRIED}: {told}",
            wanted=f"at least {EPISODES} of one thing",
            advice="Name things that one can walk up to, by their numbers in pieces.png: --labels chair=5,6.",
            required=False,
        ),
        Gate(
            name="fit for",
            passed=bool(fit),
            got=" and ".join(fit) or "neither",
            wanted="PointNav or ObjectNav",
            advice="Film a larger part of the room, and name its things.",
        ),
    ]


def point_episodes(simulator: BuiltinSimulator) -> int:
    """How many of 40 PointNav episodes differ."""
    rng, found = np.random.default_rng(0), set()
    for _ in range(TRIED):
        try:
            ends = draw_start_and_goal(simulator, rng)
        except NoEpisode:
            break
        found.add(tuple(int(n) for end in ends for n in np.floor(end[[0, 2]] / CELL)))
    return len(found)


def object_episodes(building: Building, simulator: BuiltinSimulator, category: str) -> int:
    """How many of 40 ObjectNav episodes differ: their starts."""
    lens, renderer = horizontal_intrinsics(60.0, (LOOK, LOOK)), BuiltinRenderer(building.lit)

    def camera(pose: np.ndarray) -> np.ndarray:
        segment = renderer.render(building.mesh, pose, lens, (LOOK, LOOK)).segment
        assert segment is not None
        return segment

    goals = view_points(building, simulator, category, camera)
    rng, found = np.random.default_rng(0), set()
    for _ in range(TRIED if len(goals) else 0):
        if (start := draw_other_end(simulator, rng, goals)) is None:
            break
        found.add(tuple(int(n) for n in np.floor(start[[0, 2]] / CELL)))
    return len(found)


def follower_success(simulator: BuiltinSimulator, count: int = 20, steps: int = 300) -> float:
    """The share of drawn episodes in which a greedy follower of the shortest way comes within 0.2 m of the
    goal; 0 where there are none."""
    rng, reached, done = np.random.default_rng(1), 0, 0
    for _ in range(count):
        try:
            start, goal = draw_start_and_goal(simulator, rng)
        except NoEpisode:
            break
        simulator.reset(start, float(rng.uniform(-np.pi, np.pi)))
        for _ in range(steps):
            if not (action := simulator.next_action(goal, 0.2)):
                break
            simulator.step(action)
        reached += float(simulator.distance(simulator.state.position, goal)) < 0.2
        done += 1
    return reached / done if done else 0.0


def way_proved(simulator: BuiltinSimulator, before: Mapping[str, Path]) -> float:
    """The share of places where the camera was that are within 0.4 m of where the agent can stand."""
    near = 0
    centres = _centres(before)
    for x, z in centres:
        try:
            simulator.snap(np.array([x, 0.0, z]), BEFORE)
            near += 1
        except ValueError:
            pass
    return near / len(centres)


def _centres(before: Mapping[str, Path]) -> np.ndarray:
    cameras = read_transforms(before["upright"] / FILE)
    return np.stack([camera.pose[[0, 2], 3] for camera in cameras])


def _plan(path: Path, simulator: BuiltinSimulator, before: Mapping[str, Path], scale: int = 8) -> None:
    """Where the agent can stand, and the way of the camera."""
    low, free = simulator.floor_map(0.0)
    picture = Image.fromarray(np.where(free, 235, 90).astype(np.uint8)).convert("RGB")
    picture = picture.resize(
        (free.shape[1] * scale // 2, free.shape[0] * scale // 2), Image.Resampling.NEAREST
    )
    draw = ImageDraw.Draw(picture)
    for x, z in (_centres(before) - low) / 0.05 * scale / 2:
        draw.ellipse([x - 2, z - 2, x + 2, z + 2], fill=(200, 60, 40))
    picture.save(path)
