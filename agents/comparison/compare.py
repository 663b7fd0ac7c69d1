"""Several runs, one's own agent and the baselines on the same starts, in one table and one report."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.markdown import Markdown

from agents.comparison.fits import compare_fits
from agents.comparison.report import report
from agents.comparison.walks import compare_walks
from agents.families import FITTING, NEXT_BEST_VIEW, family
from agents.flags import UserPath
from agents.nbv.baselines import BASELINES, baselines
from agents.nbv.evaluation import Scores, page, play
from agents.nbv.transfer import Bridge
from agents.play import UNTRAINED
from agents.run_folder import check_out, heading, load
from agents.runs import adapted, by_features, console, parse_settings, single_env, untrained
from spatial_envs.foundation.arguments import check_range
from spatial_envs.foundation.threads import set_threads

ELSEWHERE = ("reconstruction", "audit", "reward", "invalid_penalty", "stop_at")  # no policy sees these
QUICK = ("random", "zero-action", "farthest", "farthest-inner")  # baselines
SHOWS = ("scenes", "split", "up", "num_objects", "placement", "cache_size", "cache_dir")


@dataclass(frozen=True)
class Flags:
    """What the command line says."""

    run: tuple[UserPath, ...] = ()
    """Run folders, or what agents.export made of them; those of one algorithm, one backbone and one set of
    scenes, its seeds, become one row."""
    trust: bool = False
    """Read runs that no training of yours on this computer wrote, too. Their models are pickles, and to read
    one runs whatever code its author put in; what agents.export made holds none, and needs no trust."""
    agent: str | None = None
    """An agent of your own, module:Class."""
    baselines: tuple[str, ...] | None = None
    """Rows to compare with, of those in agents/nbv/baselines.py, or all; oracle, beam and set-cover are slow.
    By default random, zero-action, farthest and farthest-inner; for navigation all those in
    agents/navigation/baselines.py, for fitting all those in agents/scene_fit/baselines.py."""
    env: str | None = None
    """Environment id; by default the first run's, or NBV-MapAnything-v0. Runs that were trained in another
    act in it by the poses they choose."""
    scenes: str | None = None
    """Other scenes than the run's."""
    split: str = "test"
    """train, validation, test or test_category."""
    episodes: int | None = None
    """Starts; start k is object (or building) k modulo their number, with its own seed; for fitting scene k.
    By default 64, for navigation and fitting 100."""
    budgets: tuple[int, ...] = ()
    """Smaller budgets, in views, to have a table for: the same episodes, stopped there."""
    set: tuple[str, ...] = ()
    """Any other argument of the environment, as name=value."""
    threads: int | None = None
    """Threads of torch and BLAS; by default 1, or what OMP_NUM_THREADS says, and all for MapAnything."""
    out: UserPath | None = None
    """A folder for the report (tables, report.html, curves, every score), or a file .md for the tables. For
    fitting a folder is gone on with where a comparison was ended."""


def compare(flags: Flags) -> dict[str, Any]:
    """Play, print the tables, and return the scores by policy."""
    if not flags.run and flags.agent is None and flags.baselines is None:
        raise ValueError(
            "run: got none, and no agent; expected --run <folder>, --agent module:Class or --baselines"
        )
    if len({folder.resolve() for folder in flags.run}) < len(flags.run):
        raise ValueError("run: got a folder twice; expected different runs")
    if flags.episodes is not None:
        check_range("episodes", flags.episodes, 1, 1_000_000, int)
    if flags.out is not None:
        check_out(flags.out, file=flags.out.suffix == ".md")
    runs = [load(folder, trust=flags.trust) for folder in flags.run]
    set_threads(flags.threads, large=any(own["resolved_backbone"] == "mapanything" for own, _ in runs))
    first = flags.env or (runs[0][0]["env"] if runs else "NBV-MapAnything-v0")
    for own, _ in runs:
        if family(own["env"]) is not family(first):
            raise ValueError(f"run: got one in {own['env']} for {first}; expected runs of one kind of task")
    trained_on = {own["scenes"] for own, _ in runs}
    if flags.scenes is None and len(trained_on) > 1:
        raise ValueError(f"scenes: got none, and runs on {sorted(trained_on)}; expected --scenes")
    if family(first) is not NEXT_BEST_VIEW:
        if flags.budgets:
            raise ValueError(f"budgets: got {list(flags.budgets)} for {first}; expected none, but for views")
        compare_others = compare_fits if family(first) is FITTING else compare_walks
        return compare_others(
            runs, flags.run, first, agent=None if flags.agent is None else _agent(flags.agent),
            baselines=flags.baselines, scenes=flags.scenes, split=flags.split, settings=flags.set,
            episodes=100 if flags.episodes is None else flags.episodes, out=flags.out,
        )  # fmt: skip
    return _compare_views(flags, runs)


def _compare_views(flags: Flags, runs: list[tuple[dict[str, Any], Any]]) -> dict[str, Scores]:
    episodes = 64 if flags.episodes is None else flags.episodes
    played = _played(flags, [own for own, _ in runs])
    env = single_env(played)
    least, most = env.task.initial_views + 1, env.task.views - 1
    if not all(least <= budget <= most for budget in flags.budgets):
        raise ValueError(f"budgets: got {list(flags.budgets)}; expected some of {least} to {most}")

    rows: dict[str, list[Any]] = {}
    offered = baselines(env)
    for name in offered if flags.baselines == ("all",) else flags.baselines or QUICK:
        if name not in BASELINES:
            raise ValueError(f"baselines: got {name!r}; expected some of {', '.join(BASELINES)}, or all")
        if name in offered:
            rows[name] = [offered[name]]
    names = _names([own for own, _ in runs])
    for name, (own, model) in zip(names, runs, strict=True):
        home = _home(own, played)
        for row, policy in ((name + UNTRAINED, untrained(own, adapted(home or env))), (name, model)):
            rows.setdefault(row, []).append(policy if home is None else Bridge(policy, home, env))
    if flags.agent is not None:
        rows[flags.agent] = [_agent(flags.agent)(env)]
    results = play(env, rows, list(dict.fromkeys(names)), episodes)
    shown = [name for name, (own, _) in zip(names, runs, strict=True) if _place(own) == _place(played)]
    seen_by = dict.fromkeys(shown) if env.task.objects.leaky or flags.split == "train" else []
    against = [name for name in ("farthest", "farthest-inner") if name in rows]
    text = page(env, results, against, list(seen_by), flags.budgets)
    console.print(Markdown(text))
    if flags.out is not None:
        text = heading(flags.run, runs) + text
        if flags.out.suffix == ".md":
            flags.out.parent.mkdir(parents=True, exist_ok=True)
            flags.out.write_text(text, encoding="utf-8")
        else:
            report(flags.out, text, env, rows, results)
    return results


def _played(flags: Flags, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """The environment that all play: id and arguments."""
    nothing: dict[str, Any] = {"env": flags.env or "NBV-MapAnything-v0", "env_kwargs": {}}
    first = runs[0] if runs else nothing
    env_id = flags.env or first["env"]
    kwargs = dict(first["env_kwargs"])
    if env_id != first["env"]:  # what the run is shown there means nothing here
        kwargs = {name: value for name, value in kwargs.items() if name not in ("observations", "action")}
    kwargs |= {"num_objects": None, "split": flags.split}
    if flags.scenes is not None or not runs:
        kwargs["scenes"] = flags.scenes or "procedural"
    kwargs |= parse_settings("set", flags.set)
    measured = kwargs.get("reconstruction") == "depth" or kwargs.get("backbone", "auto") in (
        None,
        "unproject",
    )
    kwargs.setdefault("audit", not measured)
    return {"env": env_id, "env_kwargs": kwargs}


def _home(own: dict[str, Any], played: dict[str, Any]):
    """The run's own environment on the objects played, or None where that is the one played."""
    theirs, ours = own["env_kwargs"], played["env_kwargs"]
    seen = {name for name in (*theirs, *ours) if name not in (*ELSEWHERE, *SHOWS)}
    if own["env"] == played["env"] and all(theirs.get(name) == ours.get(name) for name in seen):
        return None
    shown = {name: ours.get(name, theirs.get(name)) for name in SHOWS if name in ours or name in theirs}
    return single_env(own, **shown)


def _names(runs: list[dict[str, Any]]) -> list[str]:
    """A row for each run: its algorithm, and what else tells it from the others but for its seed."""
    names = []
    for run in runs:
        alike = [other for other in runs if other["algo"] == run["algo"]]
        name = run["algo"]
        if len({other["resolved_backbone"] for other in runs}) > 1:  # whatever their algorithms are
            name += by_features(run)
        if len({other["env"] for other in alike}) > 1:
            name += f" in {run['env']}"
        if len({other["scenes"] for other in alike}) > 1:
            name += f" trained on {Path(run['scenes']).name}"
        names.append(name)
    for name in names:
        first, *others = [run for run, other in zip(runs, names, strict=True) if other == name]
        same = ("hyperparameters", "timesteps", "num_envs")
        if any(other.get(key) != first.get(key) for other in others for key in same):
            raise ValueError(
                "run: runs of one row must differ in their seed alone; compare them one at a time"
            )
        if any(_task(other) != _task(first) for other in others):
            raise ValueError("run: the runs differ in more than their scenes; compare them one at a time")
    return names


def _place(run: dict[str, Any]) -> str:
    """A run's scenes as comparable, however their path was written."""
    scenes = run["env_kwargs"].get("scenes", "procedural")
    return scenes if scenes == "procedural" else str(Path(scenes).expanduser().resolve())


def _task(run: dict[str, Any]) -> dict[str, Any]:
    """The environment's arguments, but for those that say which objects it shows."""
    return {name: value for name, value in run["env_kwargs"].items() if name not in SHOWS}


def _agent(name: str) -> type:
    module, _, attribute = name.partition(":")
    if not (module and attribute):
        raise ValueError(f"agent: got {name!r}; expected module:Class")
    try:
        found = getattr(importlib.import_module(module), attribute, None)
    except ModuleNotFoundError as error:
        raise ImportError(f"agent: got {name!r}; there is no module {error.name} to import") from error
    if not (isinstance(found, type) and hasattr(found, "predict")):
        raise ValueError(f"agent: got {name!r}; expected module:Class, a class with predict")
    return found
