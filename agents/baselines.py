"""All policies that need no training, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from agents.heuristics import (
    Baseline,
    Coverage,
    Farthest,
    FarthestInner,
    InformationGain,
    Random,
    Uniform,
    Zero,
)
from agents.information_gain import METRICS
from agents.planners import Beam, Oracle, SetCover

BASELINES: dict[str, Callable[..., Baseline]] = {
    "random": Random,
    "zero-action": Zero,
    "uniform": Uniform,
    "farthest": Farthest,
    "farthest-inner": FarthestInner,
    "coverage": Coverage,
    **{f"ig-{metric.replace('_', '-')}": partial(InformationGain, metric=metric) for metric in METRICS},
    "oracle": Oracle,
    "beam": Beam,
    "set-cover": SetCover,
}


def baselines(env, names: Iterable[str] = BASELINES) -> dict[str, Baseline]:
    """One of each name that means something for the environment's actions: zero is no candidate in
    particular."""
    discrete = env.unwrapped.task.action == "candidates"
    return {name: BASELINES[name](env) for name in names if not (discrete and name == "zero-action")}
