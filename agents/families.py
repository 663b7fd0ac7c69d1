"""What training and comparison ask of a family of tasks: how it is scored, and against what."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agents.films import film, fitting_film, walk_through
from agents.navigation import evaluation as navigation_evaluation
from agents.navigation.baselines import navigation_baselines
from agents.nbv.baselines import BASELINES, baselines
from agents.nbv.evaluation import evaluate, page, play
from agents.play import UNTRAINED
from agents.runs import env_type, single_env, untrained
from agents.scene_fit import evaluation as fitting_evaluation
from agents.scene_fit.baselines import FITTERS
from agents.statistics import interval
from spatial_envs.scenes.buildings import open_buildings
from spatial_envs.scenes.depth_frames import open_depth
from spatial_envs.scenes.objects import open_objects


@dataclass(frozen=True)
class Family:
    """Of the tasks of one kind.

    curve        the column of evaluations.csv that curves.png shows, with the interval low to high
    label        of that axis
    against      the baseline that agents are compared with during the training
    noted        baselines that evaluations.csv has a line for
    few, some    arguments for the procedural scenes that are trained on, and for those, of any kind, that are
                 evaluated on during the training
    eval_every, validation_starts, final_starts  flags of ``train_agent.py`` where they are not given
    open_scenes  (arguments of the environment, split) -> the set; errors for what is not there
    baselines    (env, names) -> those of them that make sense in the environment
    evaluate     (env, policy, starts) -> scores
    figures      (scores, those of ``against``) -> columns of evaluations.csv
    tables       (run, model) -> the final tables, markdown
    pictures     (env, policy, folder): films and pictures of the trained agent; env in "rgb_array" mode
    experts      that a warm start can clone
    levels       drawn beside the curve of each baseline noted
    """

    curve: str
    label: str
    against: str
    noted: tuple[str, ...]
    few: dict[str, Any]
    some: dict[str, Any]
    eval_every: int
    validation_starts: int
    final_starts: int
    open_scenes: Callable[[dict[str, Any], str], Any]
    baselines: Callable[[Any, Sequence[str]], dict[str, Any]]
    evaluate: Callable[[Any, Any, int], Any]
    figures: Callable[[Any, Any], dict[str, float]]
    tables: Callable[[dict[str, Any], Any], str]
    pictures: Callable[[Any, Any, Path], None]
    experts: tuple[str, ...] = ()
    levels: dict[str, float] = field(default_factory=dict)


def family(env_id: str) -> Family:
    """The family of an environment; ValueError for an id that is none of ours."""
    played = env_type(env_id)
    if played.__module__.startswith("spatial_envs.navigation."):
        return EXPLORATION if played.__name__.startswith("Explore") else GOALS
    return FITTING if played.__module__.startswith("spatial_envs.scene_fit.") else NEXT_BEST_VIEW


# ---- next-best-view


def _gains(scores, farthest) -> dict[str, float]:
    over, low, high = interval(scores.gain - farthest.gain, scores.objects)
    coverage = float(scores.coverage[..., -1].mean())
    return {
        "gain": float(scores.gain.mean()), "over_farthest": over, "low": low, "high": high,
        "coverage": coverage,
    }  # fmt: skip


def _view_tables(run: dict[str, Any], model) -> str:
    """Every policy on the same starts of the test split; where the scenes have no splits, on those and on the
    procedural test split, which is unseen."""
    envs = [single_env(run, split="test", num_objects=None)]
    if envs[0].task.objects.leaky:
        envs.append(single_env(run, scenes="procedural", up="auto", split="test", num_objects=None))
    names = ("random", "zero-action", "farthest", "farthest-inner", "oracle")
    pages = []
    for env in envs:
        rows: dict[str, list] = {name: [baseline] for name, baseline in baselines(env, names).items()}
        rows |= {"agent" + UNTRAINED: [untrained(run, model.get_env())], "agent": [model]}
        results = play(env, rows, ["agent"], run["final_starts"])
        against = [name for name in ("zero-action", "farthest-inner") if name in rows]
        pages.append(page(env, results, against, ["agent"] if env.task.objects.leaky else []))
    return "\n".join(pages)


NEXT_BEST_VIEW = Family(
    curve="over_farthest",
    label="log-Chamfer gain over the farthest baseline\n(same validation starts)",
    against="farthest",
    noted=("random",),
    few={"num_objects": 128},  # each is built once, in about half a second
    some={"num_objects": None},
    eval_every=5000,
    validation_starts=32,
    final_starts=24,
    open_scenes=lambda kwargs, split: open_objects(kwargs["scenes"], split, kwargs.get("up", "auto")),
    baselines=lambda env, names: {name: BASELINES[name](env) for name in names},
    evaluate=lambda env, policy, starts: evaluate(env, policy, starts, progress=False),
    figures=_gains,
    tables=_view_tables,
    pictures=lambda env, policy, folder: film(env, policy, folder / "episode.mp4"),
    levels={"farthest": 0.0},
)


# ---- navigation


def _building_tables(run: dict[str, Any], model) -> str:
    """Every policy on the same episodes of the test split; where the scenes have no splits, on those and on
    the procedural test split, which is unseen."""
    envs = [single_env(run, split="test", num_buildings=None)]
    if envs[0].task.buildings.leaky:
        envs.append(single_env(run, scenes="procedural", up="auto", split="test", num_buildings=None))
    pages = []
    for env in envs:
        policies: dict[str, Any] = dict(navigation_baselines(env))
        policies |= {"agent" + UNTRAINED: untrained(run, model.get_env()), "agent": model}
        rows = {name: [(env, policy)] for name, policy in policies.items()}
        results = navigation_evaluation.play(rows, run["final_starts"])
        against = [name for name in ("random", "greedy", "frontier") if name in rows]
        pages.append(navigation_evaluation.page(env, results, against, ["agent"] * env.task.buildings.leaky))
    return "\n".join(pages)


def _navigation(curve: str, label: str, against: str, experts: tuple[str, ...]) -> Family:
    return Family(
        curve=curve,
        label=label,
        against=against,
        noted=("random", against),
        few={"num_buildings": 32},
        some={"num_buildings": 8},
        eval_every=50_000,
        validation_starts=32,
        final_starts=100,
        open_scenes=lambda kwargs, split: open_buildings(kwargs["scenes"], split, kwargs.get("up", "auto")),
        baselines=navigation_baselines,
        evaluate=navigation_evaluation.evaluate,
        figures=lambda scores, _: navigation_evaluation.figures(scores, curve),
        tables=_building_tables,
        pictures=walk_through,
        experts=experts,
    )


GOALS = _navigation(
    "spl", "SPL (same validation episodes)", "greedy", ("greedy", "frontier", "nearest-frontier")
)
EXPLORATION = _navigation(
    "coverage_200", "coverage after 200 steps (same validation episodes)", "frontier", ("frontier",)
)


# ---- prototype fitting


def _fitting_tables(run: dict[str, Any], model) -> str:
    """Every fitter and the agent on the same scenes of the test split, of the kind it was trained on."""
    env = single_env(run, split="test", num_frames=None)
    rows: dict[str, Any] = dict(FITTERS)
    if env.task.load(fitting_evaluation.usable(env, 1)[0])[1].num_objects is None:
        rows = {name: row for name, row in rows.items() if name not in fitting_evaluation.KNOWING}
    if run["algo"] == "encoder":
        rows |= {"trained here": model, "trained here, refined": model.then_refined()}
    else:
        rows |= {"agent" + UNTRAINED: untrained(run, model.get_env()), "agent": model}
    results = {name: fitting_evaluation.evaluate(env, row, run["final_starts"]) for name, row in rows.items()}
    seen_by = ["agent"] * env.task.frames.leaky
    text = fitting_evaluation.page(env, results, fitting_evaluation.AGAINST, seen_by)
    return f"{text}\n{fitting_evaluation.FORMULAS}\n"


FITTING = Family(
    curve="merit",
    label="score (same validation scenes); depth agreement\nwhere the truth is not known",
    against="kmeans-superquadrics",
    noted=("kmeans-spheres", "kmeans-superquadrics"),
    few={"num_frames": 512},  # each is built once, in a fifth of a second
    some={"num_frames": None},
    eval_every=20_000,
    validation_starts=32,
    final_starts=32,
    open_scenes=lambda kwargs, split: open_depth(
        kwargs["scenes"], split, **{key: kwargs[key] for key in ("intrinsics", "max_depth") if key in kwargs}
    ),
    baselines=lambda env, names: {name: FITTERS[name] for name in names},
    evaluate=fitting_evaluation.evaluate,
    figures=lambda scores, _: fitting_evaluation.curve_figures(scores),
    tables=_fitting_tables,
    pictures=fitting_film,
    experts=("least-squares", "refinement"),
)
