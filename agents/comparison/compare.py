"""Several runs, one's own agent and the baselines in the same episodes, in tables and one report."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from agents.comparison.report import Shown, filmed, report
from agents.comparison.scores import Rows, Scores, plain, play
from agents.comparison.table import page, show
from agents.comparison.workers import Made, play_apart
from agents.families import Family, family, short_id
from agents.flags import UserPath
from agents.progress import phase
from agents.run_folder import check_out, heading, load
from agents.runs import names, own_rows, parse_settings, place, single_env
from agents.watch import watch
from spatial_envs.foundation import yaml_files
from spatial_envs.foundation.arguments import check_range
from spatial_envs.foundation.files import replacing
from spatial_envs.foundation.threads import cores, set_threads

WORKERS, MANY = 2, 64  # processes that play a training's last table, from so many episodes of baselines on
Named = tuple[str, tuple[dict[str, Any], Any]]  # a row's name, and a run: its configuration and its model


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
    """Rows to compare with, of those in agents/<family>/baselines.py, or all; of next-best-view's oracle,
    beam and set-cover are slow, and the default is random, farthest, zero-action and farthest-inner."""
    env: str | None = None
    """Environment id, or module:id; by default the first run's, or NBV-MapAnything-v0. Runs that were trained
    in another of next-best-view act in it by the poses they choose."""
    scenes: str | None = None
    """Other scenes than the run's."""
    split: str = "test"
    """train, validation, test or test_category."""
    episodes: int | None = None
    """Starts; start k is in scene k modulo their number, with its own seed. By default 100, for
    next-best-view 64."""
    budgets: tuple[int, ...] = ()
    """Smaller budgets, in views, to have a table for: the same episodes, stopped there."""
    set: tuple[str, ...] = ()
    """Any other argument of the environment, as name=value."""
    threads: int | None = None
    """Threads of torch and BLAS; by default 1, or what OMP_NUM_THREADS says, and all for MapAnything."""
    workers: int = 1
    """Processes that play the rows of a table, each row by one of them; the figures are the same. Each has
    networks and scenes of its own in memory."""
    watch: bool = False
    """Instead of tables: watch the first episodes in a window, the rows side by side, or without a display
    have them filmed, into watch.mp4 in --out or here. Without --baselines, the agent beside one of them."""
    out: UserPath | None = None
    """A folder for the report (tables, report.html, curves, films, every score), or a file .md for the
    tables. For fitting and navigation a folder resumes a comparison that was interrupted."""


def compare(flags: Flags) -> dict[str, dict[str, Scores]]:
    """Play, print the tables, and return the scores by table and row."""
    if not flags.run and flags.agent is None and flags.baselines is None:
        raise ValueError(
            "run: got none, and no agent; expected --run <folder>, --agent module:Class or --baselines"
        )
    if len({folder.resolve() for folder in flags.run}) < len(flags.run):
        raise ValueError("run: got a folder twice; expected different runs")
    if flags.episodes is not None:
        check_range("episodes", flags.episodes, 1, 1_000_000, int)
    check_range("workers", flags.workers, 1, 1024, int)
    if flags.out is not None:
        if flags.watch and flags.out.suffix == ".md":
            raise ValueError(f"out: got {flags.out} with --watch; expected a folder, for watch.mp4")
        check_out(flags.out, file=flags.out.suffix == ".md")
    runs = [load(folder, trust=flags.trust) for folder in flags.run]
    set_threads(flags.threads, large=any(own["resolved_backbone"] == "mapanything" for own, _ in runs))
    env_id = flags.env or (runs[0][0]["env"] if runs else "NBV-MapAnything-v0")
    kind = family(env_id)
    for own, model in runs:
        plays = getattr(model, "plays", None)  # a planner may know of other kinds of tasks
        if not (plays(short_id(env_id)) if plays else family(own["env"]) is kind):
            raise ValueError(f"run: got one in {own['env']} for {env_id}; expected runs of one kind of task")
    trained_on = {own["scenes"] for own, _ in runs}
    if flags.scenes is None and len(trained_on) > 1:
        raise ValueError(f"scenes: got none, and runs on {sorted(trained_on)}; expected --scenes")
    if flags.budgets and kind.budgets is None:
        raise ValueError(f"budgets: got {list(flags.budgets)} for {env_id}; expected none, but for views")
    asked = kind.quick if flags.baselines is None else flags.baselines
    chosen = tuple(kind.baselines) if asked is None or asked == ("all",) else asked
    for name in chosen:
        if name not in kind.baselines:
            known = ", ".join(kind.baselines)
            raise ValueError(f"baselines: got {name!r}; expected some of {known}, or all")
    agent = None if flags.agent is None else _agent(flags.agent)

    changes = {**kind.all_scenes, "split": flags.split}
    if flags.scenes is not None:
        changes["scenes"] = flags.scenes
    changes |= parse_settings("set", flags.set)
    own_kwargs = dict(runs[0][0]["env_kwargs"]) if runs else None
    if own_kwargs is not None and runs[0][0]["env"] != env_id:  # what is shown there means nothing here
        own_kwargs = {k: v for k, v in own_kwargs.items() if k not in ("observations", "action")}
    common = kind.arguments(own_kwargs, changes, agent is not None)
    called = names([own for own, _ in runs], flags.run)
    called = [f"{name}, trained here" if name in kind.baselines else name for name in called]
    entries = [*zip(called, runs, strict=True)]
    folder = flags.out if flags.out is not None and flags.out.suffix != ".md" else None
    if folder is not None and kind.resumes and not flags.watch:
        _open(folder, kind, common, called, flags.run)

    episodes = kind.starts if flags.episodes is None else flags.episodes
    agents = {} if agent is None or flags.agent is None else {flags.agent: agent}
    shown = []
    for title, change in kind.tables(common).items():
        played = {"env": env_id, "env_kwargs": {**common, **change}}
        if flags.watch:
            beside = kind.against[:1] if flags.baselines is None else chosen
            rows = rows_of(kind, env := single_env(played), beside, entries, played, {**changes, **change})
            watch(kind, filmed(kind, rows | _of_agents(env, agents)), (folder or Path()) / "watch.mp4")
            return {}
        kept = None
        if folder is not None and kind.resumes:
            kept = os.path.join(folder, f"{plain(title)}-" if title else "")
        here = {**changes, **change}
        make = partial(_made, flags, called, played, here, chosen)
        shown.append(
            _shown(
                kind, title, played, here, chosen, entries, episodes, kept, agents, flags.budgets,
                flags.workers, make,
            )
        )  # fmt: skip
    text = joined_pages(kind, shown)
    show(text)
    if flags.out is not None:
        text = heading(flags.run, runs) + text
        if folder is None:
            flags.out.parent.mkdir(parents=True, exist_ok=True)
            flags.out.write_text(text, encoding="utf-8")
        else:
            report(kind, folder, text, shown)
    return {each.title: each.results for each in shown}


def final_tables(run: dict[str, Any], model, folder: Path) -> str:
    """Every policy in the same episodes of the test split, markdown; where the scenes have no splits, on
    those and, where the family says so, on the procedural test split, which is unseen. The folder is the
    run's, from which processes that play many episodes read the model."""
    kind = family(run["env"])
    name = "trained here" if run["algo"] in kind.algorithms else "agent"
    shown: list[Shown] = []
    for unseen in ({}, kind.unseen):
        if unseen is None or (shown and not kind.is_leaky(shown[0].env)):
            break
        changes = {**kind.all_scenes, "split": "test", **unseen}
        played = {**run, "env_kwargs": {**run["env_kwargs"], **changes}}
        chosen = kind.final or tuple(kind.baselines)
        workers = min(cores(), WORKERS) if run["final_starts"] * len(chosen) >= MANY else 1
        shown.append(
            _shown(
                kind, "", played, changes, chosen, [(name, (run, model))], run["final_starts"],
                workers=workers, make=partial(_made, Flags(run=(folder,)), [name], played, changes, chosen),
            )
        )  # fmt: skip
    return joined_pages(kind, shown)


def _shown(
    kind: Family, title: str, played: dict[str, Any], changes: dict[str, Any], baselines: Iterable[str],
    runs: Sequence[Named], episodes: int, kept: str | None = None, agents: Mapping[str, type] | None = None,
    budgets: Sequence[int] = (), workers: int = 1, make: Made | None = None,
) -> Shown:  # fmt: skip
    """Play what a table compares, by so many workers, which ``make`` its rows for themselves, and write its
    page."""
    env = single_env(played)
    allowed = kind.budgets(env.task) if budgets and kind.budgets is not None else ()
    if not all(budget in allowed for budget in budgets):
        least, most = min(allowed), max(allowed)
        raise ValueError(f"budgets: got {list(budgets)}; expected some of {least} to {most}")
    rows = rows_of(kind, env, baselines, runs, played, changes)
    rows |= _of_agents(env, agents or {})
    if not rows:
        raise ValueError(f"baselines: got {list(baselines)}, none of which can play here; expected others")
    if workers == 1 or make is None:
        results = play(kind, rows, episodes, kept)
    else:
        results = play_apart(kind, rows, make, workers, episodes, kept)
    leaky = kind.is_leaky(env) or played["env_kwargs"].get("split", "train") == "train"
    seen_by = dict.fromkeys(name for name, (own, _) in runs if leaky and place(own) == place(played))
    text = f"### {title}\n\n" if title else ""
    with phase("intervals"):
        text += page(kind, env, results, [*seen_by], budgets)
    return Shown(title, env, rows, results, text)


def _made(
    flags: Flags,
    called: Sequence[str],
    played: dict[str, Any],
    changes: dict[str, Any],
    chosen: Sequence[str],
) -> tuple[Family, Rows]:
    """The rows of a table, in a process of its own."""
    kind, runs = family(played["env"]), [load(folder, trust=flags.trust) for folder in flags.run]
    set_threads(flags.threads, large=any(own["resolved_backbone"] == "mapanything" for own, _ in runs))
    env = single_env(played)
    rows = rows_of(kind, env, chosen, zip(called, runs, strict=True), played, changes)
    return kind, rows | _of_agents(env, {} if flags.agent is None else {flags.agent: _agent(flags.agent)})


def _of_agents(env, agents: Mapping[str, type]) -> Rows:
    return {name: [(env, agent(env))] for name, agent in agents.items()}


def rows_of(
    kind: Family, env, baselines: Iterable[str], runs: Iterable[Named], played: dict[str, Any], changes: dict
) -> Rows:
    """The environments and policies of the baselines and of the runs; ``played`` is what all others play in,
    as a run, and ``changes`` are those of the runs' arguments."""
    rows: Rows = {name: [(env, policy)] for name, policy in kind.policies(env, baselines).items()}
    for name, (own, model) in runs:
        for added, each in (kind.rows or own_rows)(own, model, env, played, changes).items():
            rows.setdefault(name + added, []).append(each)
    return rows


def joined_pages(kind: Family, shown: Iterable[Shown]) -> str:
    """Pages of tables, one after another, each kind of formulas once."""
    text, said = "", ""
    with phase("scales"):  # what perfect points score takes a look at every scene
        for each in shown:
            formulas = kind.formulas(each.env, next(iter(each.results.values())))
            if said and formulas != said:
                text += f"{said}\n\n"
            text, said = text + each.text, formulas
    return f"{text}{said}\n"


def _open(
    folder: Path, kind: Family, common: dict[str, Any], called: Sequence[str], folders: Sequence[Path]
) -> None:
    """Begin a folder of figures, or see that it belongs to the same comparison; ValueError where not."""
    tables = {key for change in kind.tables(common).values() for key in change}  # in the files' names
    played = {key: value for key, value in common.items() if key not in tables}
    runs: dict[str, list[str]] = {}
    for name, each in zip(called, folders, strict=True):
        runs.setdefault(name, []).append(str(each.resolve()))
    path = folder / "settings.yaml"
    kept = yaml_files.read(path, "out") if path.is_file() else {"played": played, "runs": {}}
    whole = isinstance(kept, dict) and {"played", "runs"} <= kept.keys() and isinstance(kept["runs"], dict)
    if not whole:
        raise ValueError(f"out: {path}: expected what a comparison wrote; choose another folder")
    both = {name for name in runs if name in kept["runs"]}
    if kept["played"] != played or any(kept["runs"][name] != runs[name] for name in both):
        raise ValueError(f"out: {folder} holds another comparison ({path.name} there); choose another folder")
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(path) as unfinished:
        unfinished.write_text(yaml_files.text({"played": played, "runs": kept["runs"] | runs}), "utf-8")


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
