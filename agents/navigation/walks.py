"""Record walks in buildings of the train or validation split, for what planners learn from.

    python -m agents.navigation.walks runs/walks/train --buildings 14
    python -m agents.navigation.walks runs/walks/validation --split validation --buildings 4 --episodes 1

A file for each episode of Explore, of 200 steps: the map every 10 steps with the true free space, and at each
choice of a frontier the candidates with the reference points that each would show. The choices are those of
the unknown-area rule, of the true new points and of chance, each as often. What is there already is not
walked again.
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
from agents.navigation.frontiers import CROP, FEATURES, Candidates, NewPoints
from agents.records import read_records, write_record
from agents.run_folder import check_out
from spatial_envs.foundation.arguments import check_range
from spatial_envs.foundation.errors import SceneError
from spatial_envs.foundation.threads import set_threads
from spatial_envs.navigation import ExploreEnv
from spatial_envs.navigation.occupancy import CELL, OccupancyMap
from spatial_envs.simulators.simulator import Simulator

STEPS, EVERY = 200, 10  # of an episode, and between two maps of it that are kept


@dataclass(frozen=True)
class Flags:
    """What the command line says."""

    out: Positional[Annotated[UserPath, arg(metavar="OUT")]]
    """The folder for the files, which may hold some already."""
    scenes: str = "procedural"
    """Buildings, as the environments take them."""
    split: Literal["train", "validation"] = "train"
    """Of which split."""
    buildings: int = 14
    """The first so many of the split."""
    episodes: int = 2
    """In each building."""


class Recorder(NewPoints):
    """Explores, and keeps what it chose from."""

    def begin(self) -> None:
        """Nothing is kept of the episode before."""
        super().begin()
        self.choices: list[tuple[Candidates, np.ndarray]] = []
        self.maps: list[np.ndarray] = []

    def act(self) -> int:
        """A discrete action; every tenth time the map is kept."""
        action = super().act()
        if self.episode.steps % EVERY == 0:
            self.maps.append(self.map.grid.copy())
        return action

    def worth(self, found: Candidates) -> np.ndarray:
        """By one of three rules, drawn anew."""
        by_truth = super().worth(found)
        steps, area = found.features[:, 0], found.features[:, 1]
        self.choices.append((found, (by_truth * (steps + 1)).round()))
        rules = [by_truth, area / (steps + 1), self.generator.random(len(by_truth))]
        return rules[self.generator.integers(3)]


@dataclass
class Walk:
    """An episode.

    maps (S, rows, columns) uint8, as ``OccupancyMap.grid``; free (rows, columns) bool, whether the agent can
    stand at the cell's centre. Of all N candidates of C choices: features (N, 4), crops (N, 3, 32, 32) and
    gains (N,) reference points; counts (C,) says how many each choice has.
    """

    maps: np.ndarray
    free: np.ndarray
    features: np.ndarray
    crops: np.ndarray
    gains: np.ndarray
    counts: np.ndarray


def record(flags: Flags) -> Path:
    """Walk and write; returns the folder. ValueError for buildings that are not there."""
    check_out(flags.out)
    for name, most in (("buildings", 100_000), ("episodes", 1000)):
        check_range(name, getattr(flags, name), 1, most, int)
    flags.out.mkdir(parents=True, exist_ok=True)
    env = ExploreEnv(
        scenes=flags.scenes, split=flags.split, num_buildings=flags.buildings, backbone=None,
        observations=["gps"], max_steps=STEPS, cache_size=1,
    )  # fmt: skip
    policy = Recorder(env)
    numbers = [(k, turn) for k in range(len(env.task.buildings)) for turn in range(flags.episodes)]
    for building, turn in tqdm(numbers, desc="walks", leave=False):
        path = flags.out / f"{building:05d}-{turn:03d}.npz"
        if path.exists():
            continue
        try:
            walk = _walked(env, policy, building, turn)
        except SceneError as error:
            tqdm.write(f"passed over: {error}")
            continue
        write_record(path, walk)
    return flags.out


def _walked(env: ExploreEnv, policy: Recorder, building: int, turn: int) -> Walk:
    observation, _ = env.reset(seed=1000 * building + turn, options={"building": building})
    over = False
    while not over:
        action, _ = policy.predict(observation)
        observation, _, terminated, truncated, _ = env.step(action)
        over = terminated or truncated
    found, gains = [found for found, _ in policy.choices], [gains for _, gains in policy.choices]
    none = np.zeros((0, 3, CROP, CROP), np.uint8)
    return Walk(
        np.stack(policy.maps),
        true_free(policy.map, policy.episode.simulator, float(policy.episode.state.position[1])),
        np.concatenate([np.zeros((0, len(FEATURES)), np.float32), *(each.features for each in found)]),
        np.concatenate([none, *(each.crops for each in found)]),
        np.concatenate([np.zeros(0), *gains]),
        np.array([len(each) for each in gains], np.int64),
    )


def true_free(plan: OccupancyMap, simulator: Simulator, y: float) -> np.ndarray:
    """(rows, columns) bool: at which centres of the map's cells an agent can stand, on floors of height y."""
    low, free = simulator.floor_map(y, CELL)
    row, column = (
        np.floor((start + (np.arange(count) + 0.5) * CELL - corner) / CELL).astype(int)
        for start, corner, count in zip(plan.low[::-1], low[::-1], plan.grid.shape, strict=True)
    )
    inside = [(k >= 0) & (k < count) for k, count in zip((row, column), free.shape, strict=True)]
    out = np.zeros(plan.grid.shape, np.bool_)
    out[np.ix_(*inside)] = free[np.ix_(row[inside[0]], column[inside[1]])]
    return out


def read_walks(folder: Path) -> list[Walk]:
    """The walks of a folder, in the order of their names. ValueError where there are none, or one is not
    whole."""
    return read_records(folder, Walk, "a walk", "agents.navigation.walks")


if __name__ == "__main__":
    set_threads(None)
    try:
        record(parse_flags(Flags, __doc__, "python -m agents.navigation.walks"))
    except (ValueError, TypeError, OSError, ImportError) as error:
        sys.exit(f"agents.navigation.walks: {error}")
    except KeyboardInterrupt:
        sys.exit("agents.navigation.walks: interrupted")
