"""The family of prototype scene fitting: what training and comparison ask of it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from agents.comparison.scores import Scores
from agents.families import Family
from agents.play import UNTRAINED
from agents.runs import before_training, single_env
from agents.scene_fit import evaluation
from agents.scene_fit.baselines import FITTERS, Encoded, by_climb, by_gradient
from agents.scene_fit.policy import SlotFeatures
from agents.scene_fit.search import Searched
from agents.scene_fit.teacher import LeastSquares, Refinement
from agents.statistics import interval
from spatial_envs.prototypes.encoder import encoded
from spatial_envs.scenes.depth_frames import checked_count, open_depth

COUNTS = (3, 6, 12)  # objects, and slots, of the tables
TRACKS = {"clean": 0.0, "noisy": 1.0}  # noise of the sensor, 1 = a Kinect's
HELD_OUT = 0.1  # of the pixels of files, which have no other truth
FILES = ("intrinsics", "max_depth", "depth_scale", "invalid")  # how files of depth are read
DATA = (*FILES, "image_size")  # arguments that say what the depth maps are
KNOWING = ("oracle",)  # fitters that have to know the truth
HEADLINE = ("score", "depth_agreement")  # the second where the truth is not known


def _open(kwargs: dict[str, Any], split: str):
    said = {key: kwargs[key] for key in FILES if key in kwargs}
    return open_depth(kwargs["scenes"], split, **said)


def _fitter(name: str, env):
    return FITTERS[name]


def _senseless(env) -> tuple[str, ...]:
    """Where the truth is not known, those that have to know it."""
    (first,) = evaluation.usable(env, 1)
    return KNOWING if env.unwrapped.task.load(first)[1].num_objects is None else ()


def _arguments(own: dict[str, Any] | None, changes: dict[str, Any], agent: bool) -> dict[str, Any]:
    """The run's arguments that say what the depth maps are; fitters need no features."""
    known = {key: own[key] for key in (*DATA, "scenes") if key in own} if own else {}
    return {**known, **({} if agent else {"backbone": None}), **changes}


def _tables(common: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Procedural scenes have a table for each number of objects, with as many slots, and each noise of the
    sensor, unless the arguments say which."""
    if common.get("scenes", "procedural") != "procedural":
        unlike = {"held_out": common.get("held_out", HELD_OUT), "noise": 0.0, "reward": "full"}
        return {Path(common["scenes"]).name: unlike}
    counts = [common["num_objects"]] if "num_objects" in common else [*COUNTS]
    wanted = [common["noise"]] if "noise" in common else TRACKS.values()
    named = {noise: track for track, noise in TRACKS.items()}
    tables = {}
    for noise in wanted:
        track = named.get(noise, f"noise {noise}")
        for count in counts:
            slots = common.get("slots", checked_count(count)[1])
            tables[f"{count} objects, {track}"] = {"num_objects": count, "noise": noise, "slots": slots}
    return tables


def _rows(own: dict[str, Any], model, env, played: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """The run before and after training, and the best of its own samples in each turn; an encoder, and what
    refinement and a climb make of its fits. A policy of slots that take turns serves any number of them."""
    if own["algo"] == "encoder":
        improved = {", refined": by_gradient, ", climbed": by_climb}
        return {"": (env, model), **{name: (env, model.then(how)) for name, how in improved.items()}}
    home = single_env(own, **changes)
    trained = model.observation_space.spaces["slots"].shape[0]
    by_turn = "turn" in home.observation_space.spaces
    if home.task.slots != trained and not by_turn:
        raise ValueError(
            f"slots: got {home.task.slots} for a run with {trained} that do not take turns; expected --set "
            f"slots={trained} and as many objects"
        )
    first = before_training(own, home)
    model.policy.observation_space = model.observation_space = home.observation_space
    rows = {UNTRAINED: (home, first), "": (home, model)}
    return rows | {", searching": (home, Searched(model, home))} if by_turn else rows


def _figures(scores: Scores, rival: Scores) -> dict[str, float]:
    """The merit is the score; where there is no truth, the depth agreement."""
    headline = next(key for key in HEADLINE if key in scores.figures)
    mean, low, high = interval(scores.figures[headline].mean(axis=0, keepdims=True), scores.scenes)
    return {"merit": mean, "low": low, "high": high, **{key: scores.mean(key) for key in scores.figures}}


def _reel(env, policy, index: int) -> Iterator[np.ndarray]:
    """An episode, or the one picture of an encoder's fit; the others' are no slots, which pictures are of."""
    if hasattr(policy, "predict"):
        for _ in evaluation.walk(env, policy, index):
            yield env.render()
    else:
        target = env.unwrapped.task.load(index)[1]
        slots = encoded(policy.model, [target], env.unwrapped.task.slots)[0].double().numpy()
        env.reset(options={"frame": index, "slots": slots})
        yield env.render()


FITTING = Family(
    extractor=SlotFeatures,
    scenes="frames",
    few={"num_frames": 512},  # each is built once, in a fifth of a second
    some={"num_frames": None},
    open_scenes=_open,
    experts={"least-squares": LeastSquares, "refinement": Refinement},
    algorithms=("encoder",),
    eval_every=20_000,
    episodes=evaluation.usable,
    walk=evaluation.walk,
    score=evaluation.score,
    columns=evaluation.COLUMNS,
    headline=HEADLINE,
    over_seeds=False,
    formulas=lambda env, scores: evaluation.FORMULAS,
    details=lambda task: f"{task.slots} slots",
    baselines={name: partial(_fitter, name) for name in FITTERS},
    senseless=_senseless,
    against=("kmeans-superquadrics", "pieces-superquadrics"),
    arguments=_arguments,
    tables=_tables,
    rows=_rows,
    resumes=True,
    rival="kmeans-superquadrics",
    noted=("kmeans-spheres", "kmeans-superquadrics"),
    curve="merit",
    label="score (same validation scenes); depth agreement\nwhere the truth is not known",
    figures=_figures,
    reel=_reel,
    is_filmed=lambda policy: hasattr(policy, "predict") or isinstance(policy, Encoded),
)
