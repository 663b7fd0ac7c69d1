"""What next-best-view policies are scored by.

An episode begins with an object and a seed. Its score is the gain of log-Chamfer from the first view(s) to
the budget, whatever the reward.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from scipy.stats import trim_mean

from agents.comparison.scores import Scores
from agents.families import Column
from agents.play import begin_in, walk
from agents.statistics import RESAMPLES, by_scene
from spatial_envs.nbv.task import NBV

LEAST_ROOM = 0.05  # between the oracle's gain and the random one's, for a normalised score
FORMULAS = (
    "Gain: log C0 - log C1 from the first view to the budget, C = accuracy + completeness (m, sum of mean "
    "distances) of the points; where a table has two, the first is by the measured depth of the views (what "
    "their choice is worth), its own by the backbone's reconstruction. "
    "Coverage: share of the reference within 2 % of the diameter; AUC: its mean over the views. "
    "Normalised: (policy - random) / (oracle - random) of the gains of each object, interquartile mean over "
    "objects. Differences are paired, with 95 % bootstrap intervals over seeds, objects, then starts; those "
    "of a row with one seed do not hold the chance of a training."
)
# "gains" are of the measured depth where the environment audits, and "whole" of the reconstruction itself
COLUMNS = {
    "gains": Column("log-Chamfer gain", spread=True, short="gain", drawn=True),
    "whole": Column("its own gain"),
    "coverage": Column("coverage", "{:.1%}", drawn=True),
    "auc": Column("coverage AUC", "{:.1%}"),
    "chamfer": Column("Chamfer (cm)", "{:.2f}", 100),
    "views": Column("views", "{:.1f}"),
}
CURVES = ("gains", "whole", "coverage", "chamfer")  # of the last initial view, and every view from there
ENOUGH = 0.95  # of the oracle's coverage at the end
play = partial(walk, begin=begin_in("object", "objects"))


def score(env, policy, start: int) -> dict[str, Any]:
    """The figures of an episode."""
    task: NBV = env.unwrapped.task
    path = list(play(env, policy, start))
    views, judged = int(path[-1]["views"]), "unproject_" if task.audit else ""
    path += path[-1:] * (task.views - views)  # an episode that stopped early
    own, chamfer, coverage = (
        np.array([seen[key] for seen in path]) for key in ("chamfer", judged + "chamfer", judged + "coverage")
    )
    gains, whole = (np.log(figures[0] / figures) for figures in (chamfer, own))
    curves = {"gains": gains, **({"whole": whole} if task.audit else {}), "coverage": coverage}
    rest = {"auc": coverage.mean(), "chamfer": chamfer, "views": views}
    return {**curves, **rest, "scene": task.objects.index(path[0]["object"])}


def stopped(task: NBV, scores: Scores, budget: int) -> Scores:
    """The same episodes, stopped at a smaller budget."""
    figures = dict(scores.figures)
    for name in CURVES:
        if name in figures:
            figures[name] = figures[name][..., : budget + 1 - task.initial_views]
    figures["auc"] = figures["coverage"].mean(axis=-1)
    figures["views"] = np.minimum(figures["views"], budget)
    return replace(scores, figures=figures)


def needed(scores: Scores, coverage: np.ndarray, initial: int) -> np.ndarray:
    """(seeds, starts): after how many views, ``initial`` at first, a coverage (starts,) was reached; one more
    than the budget where it was not."""
    reached = scores.figures["coverage"] >= coverage[:, None]
    return initial + np.where(reached.any(axis=-1), reached.argmax(axis=-1), reached.shape[-1])


def normalised(
    scores: Scores, random: Scores, oracle: Scores, seed: int = 0
) -> tuple[float, float, float, int]:
    """Where a policy stands between the random one, 0, and the oracle, 1: of each object the mean gain over
    the random one's, in units of the oracle's over it; interquartile mean over objects (Agarwal et al. 2021),
    its 95 % bootstrap interval over seeds, objects, then starts, and how many objects are left out because
    the oracle gains less than ``LEAST_ROOM`` there. NaN where all are."""
    own, least, most = (each.at_end("gains") for each in (scores, random, oracle))
    groups = [np.flatnonzero(scores.scenes == index) for index in np.unique(scores.scenes)]
    room = np.array([(most - least)[:, group].mean() for group in groups])
    kept = [group for group, enough in zip(groups, room >= LEAST_ROOM, strict=True) if enough]
    left_out = len(groups) - len(kept)
    if not kept:
        return math.nan, math.nan, math.nan, left_out
    over, whole = own - least, (most - least).mean(axis=0)
    ratios = [over[:, group].mean() / whole[group].mean() for group in kept]
    generator = np.random.default_rng(seed)
    seeds = generator.integers(len(over), size=(RESAMPLES, len(over)))
    drawn = np.empty((RESAMPLES, len(kept)))
    for column, group in enumerate(kept):
        starts = group[generator.integers(len(group), size=(RESAMPLES, len(group)))]
        above = over[seeds[:, :, None], starts[:, None]].mean(axis=(1, 2))
        drawn[:, column] = above / whole[starts].mean(axis=1).clip(min=LEAST_ROOM)
    objects = generator.integers(len(kept), size=(RESAMPLES, len(kept)))
    means = trim_mean(np.take_along_axis(drawn, objects, axis=1), 0.25, axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(trim_mean(ratios, 0.25)), float(low), float(high), left_out


def extra(results: dict[str, Scores]) -> dict[str, dict[str, str]]:
    """The columns that take the oracle's row: the normalised score, and how many views a policy needs to see
    nearly what the oracle sees."""
    random, oracle = results.get("random"), results.get("oracle")
    if oracle is None:
        return {}
    columns: dict[str, dict[str, str]] = {}
    if random is not None:
        columns["normalised"] = column = {}
        for name, scores in results.items():
            mean, low, high, left_out = normalised(scores, random, oracle)
            without = f", {left_out} left out" if left_out else ""
            column[name] = f"{mean:.2f} [{low:.2f}, {high:.2f}]{without}"
    if "coverage" not in oracle.figures:
        return columns
    longest = max(int(scores.figures["views"].max()) for scores in results.values())
    enough = ENOUGH * oracle.at_end("coverage").mean(axis=0)
    initial = longest + 1 - oracle.figures["coverage"].shape[-1]
    columns[f"views to {ENOUGH:.0%} of the oracle's coverage"] = {
        name: f"{by_scene(needed(scores, enough, initial), scores.scenes):.1f}"
        for name, scores in results.items()
    }
    return columns


def formulas(env, scores: Scores) -> str:
    """What the columns mean, and the floor."""
    floor = np.mean([env.unwrapped.task.floor(int(index)) for index in np.unique(scores.scenes)])
    return f"{FORMULAS} The floor, what perfect and complete points score: {100 * floor:.2f} cm."
