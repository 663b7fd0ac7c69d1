"""The family of next-best-view: what training and comparison ask of it."""

from __future__ import annotations

from typing import Any

from agents.comparison.scores import Scores
from agents.families import Family
from agents.nbv import evaluation
from agents.nbv.baselines import BASELINES, senseless
from agents.nbv.policy import ViewFeatures
from agents.nbv.transfer import Bridge, ForeignFeatures
from agents.play import FOREIGN, UNTRAINED
from agents.runs import before_training, single_env
from agents.statistics import interval
from spatial_envs.scenes.objects import open_objects

ELSEWHERE = ("reconstruction", "audit", "reward", "invalid_penalty", "stop_at")  # no policy sees these
SHOWS = (
    "scenes", "split", "up", "num_objects", "placement", "scene_steps", "cache_size", "cache_dir", "prefetch"
)  # fmt: skip

FINAL = ("random", "farthest", "farthest-inner")  # with the default anchor, the zero action is the farthest
QUICK = ("random", "farthest", "zero-action", "farthest-inner")  # baselines that take no time


def _gains(scores: Scores, farthest: Scores) -> dict[str, float]:
    gain = scores.at_end("gains")
    over, low, high = interval(gain - farthest.at_end("gains"), scores.scenes)
    coverage = float(scores.at_end("coverage").mean())
    return {"gain": float(gain.mean()), "over_farthest": over, "low": low, "high": high, "coverage": coverage}


def _arguments(own: dict[str, Any] | None, changes: dict[str, Any], agent: bool) -> dict[str, Any]:
    """Those of the run; gains are judged by the measured depth, too, where the reconstruction is another."""
    kwargs = {**(own or {}), **changes}
    measured = kwargs.get("reconstruction") == "depth"
    measured |= kwargs.get("backbone", "auto") in (None, "unproject")
    return {"audit": not measured, **kwargs}


def _rows(own: dict[str, Any], model, env, played: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """The run before and after training, and with another object's features in place of its own. Where the
    environment is another than its own, it acts there by the poses that it chooses."""
    home = _home(own, played)
    rows = {UNTRAINED: before_training(own, home or env), "": model}
    features = "features" in (home or env).observation_space.spaces
    if features and len(env.unwrapped.task.objects) > 1:
        rows[FOREIGN] = ForeignFeatures(model, home or env)
    return {
        name: (env, policy if home is None else Bridge(policy, home, env)) for name, policy in rows.items()
    }


def _home(own: dict[str, Any], played: dict[str, Any]):
    """The run's own environment on the objects played, or None where that is the one played."""
    theirs, ours = own["env_kwargs"], played["env_kwargs"]
    seen = {name for name in (*theirs, *ours) if name not in (*ELSEWHERE, *SHOWS)}
    if own["env"] == played["env"] and all(theirs.get(name) == ours.get(name) for name in seen):
        return None
    shown = {name: ours.get(name, theirs.get(name)) for name in SHOWS if name in ours or name in theirs}
    return single_env(own, **shown)


def _details(task) -> str:
    return f"budget {task.views}, backbone {task.backbone_name}, reconstruction by {task.reconstruction}"


NEXT_BEST_VIEW = Family(
    extractor=ViewFeatures,
    scenes="objects",
    few={"num_objects": 128},  # each is built once, in about half a second
    some={"num_objects": None},
    open_scenes=lambda kwargs, split: open_objects(kwargs["scenes"], split, kwargs.get("up", "auto")),
    eval_every=2048,
    final_starts=24,
    walk=evaluation.play,
    score=evaluation.score,
    columns=evaluation.COLUMNS,
    headline=("gains",),
    extra=evaluation.extra,
    formulas=evaluation.formulas,
    details=_details,
    budgets=lambda task: range(task.initial_views + 1, task.views),
    stopped=evaluation.stopped,
    baselines=BASELINES,
    senseless=senseless,
    quick=QUICK,
    final=FINAL,
    alike=("farthest", "zero-action"),
    against=("farthest", "farthest-inner"),
    starts=64,
    arguments=_arguments,
    rows=_rows,
    unseen={"scenes": "procedural", "up": "auto"},
    rival="farthest",
    noted=("random",),
    curve="over_farthest",
    label="log-Chamfer gain over the farthest baseline\n(same validation starts)",
    levels={"farthest": 0.0},
    figures=_gains,
    hold=9,
    first_step=lambda task: task.initial_views,
)
