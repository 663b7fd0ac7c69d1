"""Several runs, one's own agent and the baselines on the same starts, in one table."""

from __future__ import annotations

import importlib
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
from rich.markdown import Markdown

from agents.baselines import BASELINES, baselines
from agents.evaluation import UNTRAINED, Scores, page, play
from agents.runs import console, load, parse_settings, single_env, untrained


@dataclass(frozen=True)
class Flags:
    """What the command line says."""

    run: tuple[Path, ...] = ()
    """Run folders; those of one algorithm and one set of scenes, its seeds, become one row."""
    agent: str | None = None
    """An agent of your own, module:Class."""
    baselines: tuple[str, ...] = ("random", "zero-action", "farthest", "farthest-inner")
    """Rows to compare with, of those in agents/baselines.py, or all; oracle, beam and set-cover are slow."""
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
    if len({folder.resolve() for folder in flags.run}) < len(flags.run):
        raise ValueError("run: got a folder twice; expected different runs")
    runs = [load(folder) for folder in flags.run]
    nothing: dict[str, Any] = {"env": flags.env, "scenes": "procedural", "env_kwargs": {}}
    run = runs[0][0] if runs else nothing
    trained_on = {own["scenes"] for own, _ in runs}
    if flags.scenes is None and len(trained_on) > 1:
        raise ValueError(f"scenes: got none, and runs on {sorted(trained_on)}; expected --scenes")
    alike: dict[tuple, dict[str, Any]] = {}
    for own, _ in runs:
        first = alike.setdefault((own["algo"], own["scenes"]), own)
        if any(own[key] != first[key] for key in ("hyperparameters", "timesteps", "num_envs")):
            raise ValueError(
                "run: runs of one row must differ in their seed alone; compare them one at a time"
            )
        if own["env"] != run["env"] or _task(own) != _task(run):
            raise ValueError("run: the runs differ in more than their scenes; compare them one at a time")
    changes: dict[str, Any] = {"num_objects": None, "split": flags.split}
    changes["scenes"] = run["scenes"] if flags.scenes is None else flags.scenes
    env = single_env(run, **{**changes, **parse_settings("set", flags.set)})

    rows: dict[str, list[Any]] = {}
    offered = baselines(env)
    for name in offered if flags.baselines == ("all",) else flags.baselines:
        if name not in BASELINES:
            raise ValueError(f"baselines: got {name!r}; expected some of {', '.join(BASELINES)}, or all")
        if name in offered:
            rows[name] = [offered[name]]
    learned = []
    for own, model in runs:
        name = _name(own, trained_on)
        learned.append(name)
        rows.setdefault(name + UNTRAINED, []).append(untrained(own, _spaces(env)))
        rows.setdefault(name, []).append(model)
    if flags.agent is not None:
        rows[flags.agent] = [_agent(flags.agent)(env)]
    learned = list(dict.fromkeys(learned))
    results = play(env, rows, learned, flags.episodes)
    seen_by: list[str] = []
    if env.task.objects.leaky or flags.split == "train":
        shown = _place(changes["scenes"])
        seen_by = list(
            dict.fromkeys(_name(own, trained_on) for own, _ in runs if _place(own["scenes"]) == shown)
        )
    text = page(env, results, [n for n in ("zero-action", "farthest-inner") if n in rows], seen_by)
    console.print(Markdown(text))
    if flags.out is not None:
        flags.out.parent.mkdir(parents=True, exist_ok=True)
        command = shlex.join(["python", *sys.argv])
        flags.out.write_text(f"`{command}`\n\n{text}")
    return results


def _name(run: dict[str, Any], trained_on: set[str]) -> str:
    return run["algo"] if len(trained_on) == 1 else f"{run['algo']} trained on {Path(run['scenes']).name}"


def _place(scenes: str) -> str:
    """Scenes as comparable, however their path was written."""
    return scenes if scenes == "procedural" else str(Path(scenes).resolve())


def _task(run: dict[str, Any]) -> dict[str, Any]:
    """The environment's arguments, but for those that say which objects it shows."""
    which = ("scenes", "split", "up", "num_objects", "cache_size", "cache_dir")
    return {name: value for name, value in run["env_kwargs"].items() if name not in which}


def _agent(name: str) -> type:
    module, colon, attribute = name.partition(":")
    if not colon:
        raise ValueError(f"agent: got {name!r}; expected module:Class")
    return getattr(importlib.import_module(module), attribute)


def _spaces(env: gym.Env):
    """The environment as Stable-Baselines3 wants it, for constructing a model."""
    from stable_baselines3.common.vec_env import DummyVecEnv

    return DummyVecEnv([lambda: env])
