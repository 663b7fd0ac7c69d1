"""Record views in buildings of the train or validation split, for a network that tells places apart.

    python -m agents.navigation.place_views runs/views/train --buildings 100
    python -m agents.navigation.place_views runs/views/validation --split validation --buildings 8

A file for each building: 24 places, and round each of them three more within a metre or so that look nearly
the same way, with what share of each picture is seen in each other one. What is there already is not made
again.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from tqdm import tqdm
from tyro.conf import Positional, arg

from agents.flags import UserPath, parse_flags
from agents.navigation.frontiers import in_view
from agents.records import read_records, write_record
from agents.run_folder import check_out
from spatial_envs.foundation.arguments import check_range
from spatial_envs.foundation.errors import SceneError
from spatial_envs.foundation.threads import set_threads
from spatial_envs.geometry.camera import measured_points
from spatial_envs.geometry.view import View
from spatial_envs.navigation import ImageNavEnv
from spatial_envs.simulators.simulator import AgentState, Simulator

PLACES, BESIDE = 24, 3  # in a building, and further views near each
ASIDE, TURNED = (0.15, 0.5, 1.2), 25.0  # standard deviations: metres, one of them for each place, and degrees
SNAP = 0.5  # metres
PIXELS, EVERY = 64, 4  # of a picture, and between the pixels that are looked for in other pictures
SAME = 0.1  # metres: a point so near to the surface that another picture shows is seen there


@dataclass(frozen=True)
class Flags:
    """What the command line says."""

    out: Positional[Annotated[UserPath, arg(metavar="OUT")]]
    """The folder for the files, which may hold some already."""
    scenes: str = "procedural"
    """Buildings, as the environments take them."""
    split: Literal["train", "validation"] = "train"
    """Of which split."""
    buildings: int = 100
    """The first so many of the split."""


@dataclass
class PlaceViews:
    """N views in a building.

    rgb (N, 64, 64, 3) uint8; depth (N, 64, 64) float16, metres, 0 = none; position (N, 3), metres, and yaw
    (N,), radians, of the agent; share (N, N) float16: of the first one's pixels how many the second sees.
    """

    rgb: np.ndarray
    depth: np.ndarray
    position: np.ndarray
    yaw: np.ndarray
    share: np.ndarray


def record(flags: Flags) -> Path:
    """Look and write; returns the folder. ValueError for buildings that are not there."""
    check_out(flags.out)
    check_range("buildings", flags.buildings, 1, 100_000, int)
    flags.out.mkdir(parents=True, exist_ok=True)
    env = ImageNavEnv(
        scenes=flags.scenes, split=flags.split, num_buildings=flags.buildings, backbone=None,
        image_size=PIXELS, reconstruction="none", weights={"chamfer": 0}, cache_size=1,
    )  # fmt: skip
    for building in tqdm(range(len(env.task.buildings)), desc="views", leave=False):
        path = flags.out / f"{building:05d}.npz"
        if path.exists():
            continue
        try:
            env.reset(seed=building, options={"building": building})
        except SceneError as error:
            tqdm.write(f"passed over: {error}")
            continue
        found = views_in(env.task.episode(0).simulator, env.task.max_depth, np.random.default_rng(building))
        write_record(path, found)
    return flags.out


def views_in(simulator: Simulator, max_depth: float, rng: np.random.Generator) -> PlaceViews:
    """Views in a simulator's building, whatever is farther than ``max_depth`` without depth."""
    states = []
    for _ in range(PLACES):
        place, yaw, aside = simulator.sample(rng), rng.uniform(-np.pi, np.pi), rng.choice(ASIDE)
        states.append(AgentState(place, yaw))
        for _ in range(BESIDE):
            x, z = rng.normal(0, aside, 2)
            turned = yaw + np.radians(rng.normal(0, TURNED))
            try:
                states.append(AgentState(simulator.snap(place + np.array([x, 0, z]), SNAP), turned))
            except ValueError:  # in a wall
                states.append(AgentState(place, turned))
    views = [simulator.render_view(simulator.camera_pose(state)) for state in states]
    for view in views:
        view.depth[view.depth > max_depth] = 0
    return PlaceViews(
        np.stack([view.rgb for view in views]),
        np.stack([view.depth for view in views]).astype(np.float16),
        np.stack([state.position for state in states]),
        np.array([state.yaw for state in states]),
        np.stack([shares(view, views) for view in views]).astype(np.float16),
    )


def shares(view: View, others: list[View]) -> np.ndarray:
    """(N,): of a view's measured pixels how many each of the others sees; 0 where it has none."""
    chosen = np.zeros_like(view.depth)
    middle = slice(EVERY // 2, None, EVERY)
    chosen[middle, middle] = view.depth[middle, middle]
    points = measured_points(chosen, view.intrinsics, view.cam_to_world).astype(np.float64)
    if not len(points):
        return np.zeros(len(others))
    seen = [
        in_view(points, each.depth, each.intrinsics, each.cam_to_world, np.inf, SAME).mean()
        for each in others
    ]
    return np.array(seen)


def read_views(folder: Path) -> list[PlaceViews]:
    """The buildings of a folder, in the order of their names. ValueError where there are none, or one is not
    whole."""
    return read_records(folder, PlaceViews, "views", "agents.navigation.place_views")


if __name__ == "__main__":
    set_threads(None)
    try:
        record(parse_flags(Flags, __doc__, "python -m agents.navigation.place_views"))
    except (ValueError, TypeError, OSError, ImportError) as error:
        sys.exit(f"agents.navigation.place_views: {error}")
    except KeyboardInterrupt:
        sys.exit("agents.navigation.place_views: interrupted")
