"""All policies that need no training, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
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


def baselines(env, names: Iterable[str] = BASELINES) -> dict[str, Baseline]:
    """One of each name that means something for the environment's actions: zero is no candidate in
    particular, and information is measured at the candidates' own radius."""
    senseless = {"zero-action", *FROM_CLOSE_BY} if env.unwrapped.task.action == "candidates" else ()
    return {name: BASELINES[name](env) for name in names if name not in senseless}
