"""Several runs, one's own agent and the baselines on the same starts, in one table."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
from rich.console import Console
from rich.markdown import Markdown

from agents.baselines import BASELINES
from agents.evaluation import Scores, page, play
from agents.runs import load, parse_settings, single_env, untrained

console = Console()


@dataclass(frozen=True)
class Flags:
    """What the command line says."""

    run: tuple[Path, ...] = ()
    """Run folders; those of one algorithm that differ by their seed alone become one row."""
    agent: str | None = None
    """An agent of your own, module:Class."""
    baselines: tuple[str, ...] = ("random", "zero-action", "farthest", "farthest-inner")
    """Rows to compare with: random, zero-action, farthest, farthest-inner, oracle (slow), or all."""
    env: str = "NBV-MapAnything-v0"
    """Environment id, where no run says it."""
    scenes: str | None = None
    """Other scenes than the run's."""
    split: str = "test"
    """train, validation, test or test_category."""
    episodes: int = 64
    """Starts; start k is object k modulo the number of objects, with its own seed."""
    set: tuple[str, ...] = ()
    """Any other argument of the environment, as name=value."""
    out: Path | None = None
    """A file for the table, markdown."""


def compare(flags: Flags) -> dict[str, Scores]:
    """Play, print the table, and return the scores by policy."""
    if not flags.run and flags.agent is None:
        raise ValueError("run: got none, and no agent; expected --run <folder> or --agent module:Class")
    runs = [load(folder) for folder in flags.run]
    changes: dict[str, Any] = {"num_objects": None, "split": flags.split, **parse_settings(flags.set)}
    if flags.scenes is not None:
        changes["scenes"] = flags.scenes
    run = runs[0][0] if runs else {"env": flags.env, "env_kwargs": {}}
    for other, _ in runs:
        if (other["env"], other["env_kwargs"]) != (run["env"], run["env_kwargs"]):
            raise ValueError("run: the runs differ in their environments; compare them one at a time")
    env = single_env(run, **changes)

    rows: dict[str, list[Any]] = {}
    for name in BASELINES if flags.baselines == ("all",) else flags.baselines:
        if name not in BASELINES:
            raise ValueError(f"baselines: got {name!r}; expected some of {', '.join(BASELINES)}, or all")
        rows[name] = [BASELINES[name](env)]
    for own, model in runs:
        rows.setdefault(f"{own['algo']}, untrained", []).append(untrained(own, _spaces(env)))
        rows.setdefault(own["algo"], []).append(model)
    if flags.agent is not None:
        rows[flags.agent] = [_agent(flags.agent)(env)]
    learned = list(dict.fromkeys(own["algo"] for own, _ in runs))
    results = play(env, rows, learned, flags.episodes)
    named = ("zero-action", "farthest-inner", *(f"{algo}, untrained" for algo in learned))
    text = page(env, results, flags.episodes, [name for name in named if name in results])
    console.print(Markdown(text))
    if flags.out is not None:
        flags.out.parent.mkdir(parents=True, exist_ok=True)
        flags.out.write_text(text)
    return results


def _agent(name: str) -> type:
    module, colon, attribute = name.partition(":")
    if not colon:
        raise ValueError(f"agent: got {name!r}; expected module:Class")
    return getattr(importlib.import_module(module), attribute)


def _spaces(env: gym.Env):
    """The environment as Stable-Baselines3 wants it, for constructing a model."""
    from stable_baselines3.common.vec_env import DummyVecEnv

    return DummyVecEnv([lambda: env])
