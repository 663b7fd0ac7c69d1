"""What ``--help`` of the two commands says of environments, algorithms and baselines."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from agents.families import family
from agents.runs import ALGORITHMS
from spatial_envs.foundation import yaml_files

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
DECIDES = {  # by id: what the agent decides, its actions, what it is rewarded for
    "NBV-MapAnything-v0": (
        "where to take the next picture",
        "`Box(3)`: a direction about the anchor, and the distance",
        "the fall of log-Chamfer",
    ),
    "NBV-MapAnything-Discrete-v0": (
        "which of 64 views to take next",
        "`Discrete(64)` with masks",
        "the same",
    ),
    "PointNav-Habitat-v0": (
        "how to walk to a point",
        "`Discrete(4)`: stop, forward, left, right; or velocities",
        "progress, arriving, and the map that it builds",
    ),
    "ImageNav-Habitat-v0": ("how to walk to where a picture was taken", "the same", "the same"),
    "ObjectNav-Habitat-v0": (
        "how to find an object of a class",
        "`Discrete(6)`: also look up, down",
        "the same",
    ),
    "Explore-Habitat-v0": (
        "how to see the whole building",
        "as PointNav",
        "the fall of the map's log-Chamfer",
    ),
    "SceneFit-Prototype-v0": (
        "how K shapes explain a depth map",
        "`Box(21)`: a step in one shape's scale, pose and prototype logits; or all shapes at once",
        "the fall of the occlusion-aware distance, free-space violation and number of shapes",
    ),
    "VideoFit-Prototype-v0": (
        "how K moving shapes explain a depth video",
        "`Box(30)`: a step in one shape's scale, way through the video and prototype logits",
        "as SceneFit, over all frames, and natural motion",
    ),
    "Foresight-Prototype-v0": (
        "where moving things will be, or were",
        "`Box(38)`: a thought changes the answer in mind, a guess hands it in; six guesses",
        "the rise of the best guess's credit, less a cost of thinking",
    ),
}


def fitting(env_id: str) -> list[str]:
    """The algorithms of train_agent.py that have hyperparameters for an environment."""
    names = [*ALGORITHMS, *family(env_id).algorithms]
    return [name for name in names if env_id in _configured(name)]


@cache
def _configured(algorithm: str) -> frozenset[str]:
    return frozenset(yaml_files.read(CONFIGS / f"{algorithm}.yml", "config"))


def environments() -> str:
    """The ids, what is decided in each, and the algorithms that fit."""
    lines = ["Environments, and the algorithms that fit:", ""]
    for env_id, (decides, *_) in DECIDES.items():
        lines += [f"    {env_id:<28} {decides}", *_wrapped(fitting(env_id), 33)]
    return "\n".join(lines)


def baselines() -> str:
    """The ids and the baselines of each family."""
    by_family: dict[tuple[str, ...], list[str]] = {}
    for env_id in DECIDES:
        by_family.setdefault((*family(env_id).baselines,), []).append(env_id)
    lines = ["Baselines:", ""]
    for names, ids in by_family.items():
        lines += [*_wrapped(ids, 4), *_wrapped(short(names), 8)]
    return "\n".join(lines)


def short(names: Sequence[str]) -> list[str]:
    """The names, those that only end differently as one: name[-ending|-ending]."""
    endings: dict[str, list[str]] = {}
    for name in names:
        root = next((each for each in endings if name.startswith(f"{each}-")), name)
        endings.setdefault(root, []).append(name.removeprefix(root))
    return [
        root + (f"[{'|'.join(more)}]" if (more := [each for each in ends if each]) else "")
        for root, ends in endings.items()
    ]


def _wrapped(words: Sequence[str], indent: int) -> list[str]:
    """The words with commas, in lines of at most 78 letters that begin so far in."""
    margin = " " * indent
    return textwrap.wrap(
        ", ".join(words), 78, initial_indent=margin, subsequent_indent=margin, break_on_hyphens=False
    )
