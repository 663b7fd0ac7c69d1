"""Planners with a learned part, as folders that hold no code: planner.yaml, weights.safetensors, README.md.

``python -m agents.navigation.planner_training`` writes them, ``python evaluate_agent.py --run`` plays them.
Nothing in them is run or imported: what planner.yaml names is looked up in ``PARTS``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from agents.navigation.baselines import NavigationBaseline
from agents.navigation.completion import Completed, Completion
from agents.navigation.frontier_scores import FrontierScores, ScoredFrontiers
from agents.navigation.place_matching import PlaceMatch, PlaceSeeker
from spatial_envs.foundation import yaml_files
from spatial_envs.foundation.arguments import check_choice, check_range
from spatial_envs.foundation.files import replacing

FORMAT = 1
DESCRIPTION, WEIGHTS, CARD = "planner.yaml", "weights.safetensors", "README.md"


@dataclass(frozen=True)
class Part:
    """A kind of learned part: its network, the planner that uses it, and the settings of both, with the
    largest value of each."""

    says: str  # what it does
    envs: tuple[str, ...]  # what it is trained for, and where else it can be played
    network: Callable[..., nn.Module]
    planner: Callable[..., NavigationBaseline]
    sizes: dict[str, int]  # of the network
    settings: dict[str, float]  # of the planner


PARTS = {
    "completion": Part(
        "Completes the map beyond what was seen, for the planner through unknown cells.",
        ("PointNav-Habitat-v0",), Completion, Completed, {"width": 256}, {"weight": 1e3},
    ),
    "frontier-scores": Part(
        "Scores frontiers by what they will show for each step.",
        ("Explore-Habitat-v0", "ObjectNav-Habitat-v0"), FrontierScores, ScoredFrontiers,
        {"hidden_dim": 4096}, {},
    ),
    "place-match": Part(
        "Tells where the goal's picture was taken, from what the agent sees, and goes there.",
        ("ImageNav-Habitat-v0",), PlaceMatch, PlaceSeeker, {"width": 256}, {},
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Planner:
    """A trained planner: what planner.yaml says, and the network."""

    description: dict[str, Any]
    network: nn.Module

    def plays(self, env_id: str) -> bool:
        """Whether it means anything in the environment of this short id."""
        return env_id in PARTS[self.description["part"]].envs

    def policy_in(self, env) -> NavigationBaseline:
        """The planner in an environment, with Stable-Baselines3's ``predict``."""
        return PARTS[self.description["part"]].planner(env, self.network, **self.description["settings"])


def is_planner(folder: Path) -> bool:
    """Whether it is meant to be a planner's folder."""
    return (folder / DESCRIPTION).is_file()


def write_planner(folder: Path, planner: Planner) -> None:
    """The description and the weights, each whole."""
    with replacing(folder / WEIGHTS) as path:
        path.write_bytes(
            save({name: value.contiguous() for name, value in planner.network.state_dict().items()})
        )
    with replacing(folder / DESCRIPTION) as path:
        path.write_text(yaml_files.text(planner.description), encoding="utf-8")


def load_planner(folder: Path) -> Planner:
    """What ``write_planner`` wrote. ValueError, which names the file, for what is no such folder."""
    path = folder / DESCRIPTION
    said = yaml_files.read(path, "run")
    try:
        if not isinstance(said, dict) or said.get("format") != FORMAT:
            raise ValueError(f"expected format: {FORMAT}, which this version reads")
        for key, kind in {"part": str, "sizes": dict, "settings": dict, "training": dict}.items():
            if not isinstance(said.get(key), kind):
                raise ValueError(f"{key}: got {said.get(key)!r}; expected a {kind.__name__}")
        check_choice("part", said["part"], tuple(PARTS))
        part = PARTS[said["part"]]
        check_values("sizes", said["sizes"], part.sizes, int)
        check_values("settings", said["settings"], part.settings)
        check_range("training: seed", said["training"].get("seed"), 0, 2**32 - 1, int)
        network = part.network(**said["sizes"])
    except (RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"run: {path}: {error}") from error
    try:
        network.load_state_dict(load_file(folder / WEIGHTS))
    except (OSError, RuntimeError, SafetensorError) as error:
        fault = " ".join(str(error).split())[:300]
        raise ValueError(
            f"run: {folder / WEIGHTS}: expected the weights of {said['part']}: {fault}"
        ) from error
    if not all(value.isfinite().all() for value in network.state_dict().values()):
        raise ValueError(f"run: {folder / WEIGHTS}: got NaN or infinity; expected finite weights")
    return Planner(said, network.eval())


def check_values(where: str, given: dict[str, Any], most: dict[str, Any], kind: type = float) -> None:
    """ValueError for other keys than those of ``most``, or values out of range."""
    if given.keys() != most.keys():
        raise ValueError(f"{where}: got {[*given]}; expected {[*most]}")
    for key, value in given.items():
        check_range(f"{where}: {key}", value, 1 if kind is int else 0, most[key], kind)


def as_run(folder: Path) -> tuple[dict[str, Any], Planner]:
    """What ``agents.run_folder.load`` gives of a run, for playing."""
    planner = load_planner(folder)
    said = planner.description
    run = {
        "algo": said["part"], "env": PARTS[said["part"]].envs[0], "scenes": "procedural",
        "seed": said["training"]["seed"], "resolved_backbone": "none", "env_kwargs": {"backbone": None},
        "hyperparameters": {**said["sizes"], **said["settings"]},
    }  # fmt: skip
    return run, planner


def parameters(network: nn.Module) -> int:
    """How many numbers are learned."""
    return sum(torch.numel(value) for value in network.parameters())
