"""All policies that need no training, by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from agents.nbv.heuristics import (
    Baseline,
    Coverage,
    Farthest,
    FarthestInner,
    FarthestOuter,
    InformationGain,
    InformationGainInner,
    InformationGainOuter,
    Random,
    Uniform,
    UniformInner,
    Zero,
)
from agents.nbv.information_gain import METRICS
from agents.nbv.lookup import Lookup
from agents.nbv.planners import Beam, Oracle, SetCover

INFORMATION = {f"ig-{metric.replace('_', '-')}": metric for metric in METRICS}
ELSEWHERE: dict[str, Callable[..., Baseline]] = {  # the same from another radius
    "uniform-inner": UniformInner,
    "farthest-outer": FarthestOuter,
    **{f"{name}-inner": partial(InformationGainInner, metric=each) for name, each in INFORMATION.items()},
    **{f"{name}-outer": partial(InformationGainOuter, metric=each) for name, each in INFORMATION.items()},
}
BASELINES: dict[str, Callable[..., Baseline]] = {
    "random": Random,
    "zero-action": Zero,
    "uniform": Uniform,
    "farthest": Farthest,
    "farthest-inner": FarthestInner,
    "coverage": Coverage,
    **{name: partial(InformationGain, metric=metric) for name, metric in INFORMATION.items()},
    **ELSEWHERE,
    "lookup": Lookup,
    "oracle": Oracle,
    "beam": Beam,
    "set-cover": SetCover,
}


def senseless(env) -> tuple[str, ...]:
    """Those that mean nothing for the environment's actions: zero is no candidate in particular, and of
    candidates the radius is not chosen."""
    return ("zero-action", *ELSEWHERE) if env.unwrapped.task.action == "candidates" else ()
