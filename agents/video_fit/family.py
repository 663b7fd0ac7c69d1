"""The family of video fitting: what training and comparison ask of it."""

from __future__ import annotations

from functools import partial
from typing import Any

from agents.comparison.scores import Scores
from agents.families import Family
from agents.play import UNTRAINED
from agents.runs import before_training, single_env
from agents.statistics import interval
from agents.video_fit import evaluation
from agents.video_fit.baselines import FITTERS, KNOWING
from agents.video_fit.policy import TrackFitFeatures
from spatial_envs.scenes.depth_frames import checked_count
from spatial_envs.scenes.depth_videos import open_videos

FILES = ("intrinsics", "max_depth", "depth_scale", "invalid", "fps")  # how files of depth are read
COUNTS = (3, 6)  # objects, and slots, of the tables


def _open(kwargs: dict[str, Any], split: str):
    said = {key: kwargs[key] for key in (*FILES, "frames") if key in kwargs}
    return open_videos(kwargs["scenes"], split, **said)


def _fitter(name: str, env):
    return FITTERS[name]


def _senseless(env) -> tuple[str, ...]:
    return () if env.unwrapped.task.videos.has_truth else KNOWING


def _arguments(own: dict[str, Any] | None, changes: dict[str, Any], agent: bool) -> dict[str, Any]:
    """The run's arguments that say what the videos are; fitters need no features."""
    data = (*FILES, "image_size", "scenes", "frames", "duration", "camera_motion", "camera", "noise")
    known = {key: own[key] for key in data if key in own} if own else {}
    return {**known, **({} if agent else {"backbone": None}), **changes}


def _tables(common: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Procedural videos have a table for each number of objects, with as many slots, unless the arguments say
    which."""
    if common.get("scenes", "procedural") != "procedural":
        return {"": {"reward": "full"}}
    counts = [common["num_objects"]] if "num_objects" in common else [*COUNTS]
    slots = [common.get("slots", checked_count(count)[1]) for count in counts]
    return {
        f"{count} objects": {"num_objects": count, "slots": own}
        for count, own in zip(counts, slots, strict=True)
    }


def _rows(own: dict[str, Any], model, env, played: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """The run before and after training; a policy of slots that take turns serves any number of them."""
    home = single_env(own, **changes)
    first = before_training(own, home)
    model.policy.observation_space = model.observation_space = home.observation_space
    return {UNTRAINED: (home, first), "": (home, model)}


def _figures(scores: Scores, rival: Scores) -> dict[str, float]:
    """The merit is the score; where there is no truth, the depth agreement."""
    headline = next(key for key in evaluation.HEADLINE if key in scores.figures)
    mean, low, high = interval(scores.figures[headline].mean(axis=0, keepdims=True), scores.scenes)
    return {"merit": mean, "low": low, "high": high, **{key: scores.mean(key) for key in scores.figures}}


VIDEO_FITTING = Family(
    extractor=TrackFitFeatures,
    scenes="videos",
    few={"num_videos": 1024},
    some={"num_videos": None},
    open_scenes=_open,
    eval_every=20_000,
    validation_starts=24,
    final_starts=32,
    walk=evaluation.walk,
    score=evaluation.score,
    columns=evaluation.COLUMNS,
    headline=evaluation.HEADLINE,
    over_seeds=False,
    formulas=lambda env, scores: evaluation.FORMULAS,
    details=lambda task: f"{task.slots} slots, {task.frames} frames",
    baselines={name: partial(_fitter, name) for name in FITTERS},
    senseless=_senseless,
    quick=("kmeans", "still", "linked", "tracks", "bounces", "bounces-refined"),
    final=("kmeans", "still", "linked", "tracks"),
    against=("tracks",),
    arguments=_arguments,
    tables=_tables,
    rows=_rows,
    resumes=True,
    rival="tracks",
    noted=("kmeans", "still", "tracks"),
    curve="merit",
    label="video score (same validation videos); depth agreement\nwhere the truth is not known",
    figures=_figures,
)
