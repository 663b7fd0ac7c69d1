"""All policies that need no training, by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from agents.nbv.heuristics import (
    Baseline,
    Coverage,
    Farthest,
    FarthestInner,
    InformationGain,
    InformationGainInner,
    Random,
    Uniform,
    Zero,
)
from agents.nbv.information_gain import METRICS
from agents.nbv.planners import Beam, Oracle, SetCover

INFORMATION = {f"ig-{metric.replace('_', '-')}": metric for metric in METRICS}
FROM_CLOSE_BY = {
    f"{name}-inner": partial(InformationGainInner, metric=metric) for name, metric in INFORMATION.items()
}
BASELINES: dict[str, Callable[..., Baseline]] = {
    "random": Random,
    "zero-action": Zero,
    "uniform": Uniform,
    "farthest": Farthest,
    "farthest-inner": FarthestInner,
    "coverage": Coverage,
    **{name: partial(InformationGain, metric=metric) for name, metric in INFORMATION.items()},
    **FROM_CLOSE_BY,
    "oracle": Oracle,
    "beam": Beam,
    "set-cover": SetCover,
}


def senseless(env) -> tuple[str, ...]:
    """Those that mean nothing for the environment's actions: zero is no candidate in particular, and
    information is measured at the candidates' own radius."""
    return ("zero-action", *FROM_CLOSE_BY) if env.unwrapped.task.action == "candidates" else ()
