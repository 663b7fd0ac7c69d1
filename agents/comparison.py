"""Several runs, one's own agent and the baselines on the same starts, in one table."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import gymnasium as gym
from rich.console import Console
from rich.markdown import Markdown

from agents.baselines import BASELINES
from agents.evaluation import FORMULAS, ForeignFeatures, Scores, evaluate, table
from agents.training import load, parse_settings, single_env, untrained

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
    played = {
        name: [evaluate(env, policy, flags.episodes, name) for policy in policies]
        for name, policies in rows.items()
    }
    if "features" in env.observation_space.spaces and len(env.task.objects) > 1:
        for algo in dict.fromkeys(own["algo"] for own, _ in runs):
            pairs = zip(rows[algo], played[algo], strict=True)
            played[f"{algo}, another object's features"] = [
                evaluate(env, ForeignFeatures(model, scores), flags.episodes, "foreign features")
                for model, scores in pairs
            ]
    results = {name: reduce(add, scores) for name, scores in played.items()}
    against = [name for name in results if name in ("zero-action", "farthest", "farthest-inner")]
    against += [name for name in results if name.endswith("untrained")]
    counts = ", ".join(f"{len(scores)} of {name}" for name, scores in played.items() if len(scores) > 1)
    seen = "the training objects: these scenes have no splits" if env.task.objects.leaky else "unseen objects"
    text = (
        f"**{env.task.objects.label}, {seen}**, {flags.episodes} paired starts, budget {env.task.views}, "
        f"backbone {env.task.backbone.name if env.task.backbone else 'none'}"
        f"{'; seeds: ' + counts if counts else ''}\n\n{table(results, against)}\n\n{FORMULAS}\n"
    )
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
