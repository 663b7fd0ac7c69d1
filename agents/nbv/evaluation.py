"""Paired evaluation: every policy plays the same starts, and differences come with intervals.

A start is an object and a seed: of n objects, start k is object k mod n with the seed FIRST_SEED + k.
The score of an episode is the gain of log-Chamfer from the first view(s) to the budget, whatever the reward.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import reduce
from operator import add

import numpy as np
from scipy.stats import trim_mean
from tqdm import tqdm

from agents.nbv.transfer import Bridge, ForeignFeatures
from agents.play import FIRST_SEED, FOREIGN, UNTRAINED, choose
from agents.statistics import RESAMPLES, by_object, interval
from spatial_envs.foundation.errors import MeshError
from spatial_envs.nbv import NBVEnv

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
CURVES = ("gains", "whole", "coverage", "chamfer")
LATE = 10  # views: from this budget on, a table says how many were needed
ENOUGH = 0.95  # of the oracle's coverage at the end


@dataclass(frozen=True)
class Scores:
    """What a policy scored, a row for each seed that it was trained with.

    Curves (seeds, starts, views) have a value after each view, from the last initial one to the budget:

    gains     log-Chamfer gain over the initial view(s); of the measured depth, where the environment audits
    whole     the same of the environment's own reconstruction
    coverage  share of the reference
    chamfer   Chamfer distance, metres

    and views (seeds, starts) is how many were taken, objects (starts,) are the indices of the objects.
    """

    gains: np.ndarray
    whole: np.ndarray
    coverage: np.ndarray
    chamfer: np.ndarray
    views: np.ndarray
    objects: np.ndarray

    def __add__(self, other: Scores) -> Scores:
        """Both, as seeds of one policy on the same starts."""
        names = [field.name for field in fields(self) if field.name != "objects"]
        both = {name: np.concatenate([getattr(self, name), getattr(other, name)]) for name in names}
        return replace(self, **both)

    @property
    def gain(self) -> np.ndarray:
        """(seeds, starts): at the budget."""
        return self.gains[..., -1]

    @property
    def auc(self) -> np.ndarray:
        """(seeds, starts): mean of the coverage over the views, the area under its curve."""
        return self.coverage.mean(axis=-1)

    def needed(self, coverage: np.ndarray, initial: int) -> np.ndarray:
        """(seeds, starts): after how many views, ``initial`` at first, a coverage (starts,) was reached; one
        more than the budget where it was not."""
        reached = self.coverage >= coverage[:, None]
        return initial + np.where(reached.any(axis=-1), reached.argmax(axis=-1), reached.shape[-1])

    def until(self, budget: int, initial: int = 1) -> Scores:
        """The same episodes, stopped at a smaller budget."""
        stopped = {name: getattr(self, name)[..., : budget + 1 - initial] for name in CURVES}
        return replace(self, **stopped, views=np.minimum(self.views, budget))


def evaluate(env: NBVEnv, policy, starts: int, name: str = "", progress: bool = True) -> Scores:
    """Let ``policy`` (with SB3's ``predict``) play the starts in a single environment."""
    rows = []
    judged = "unproject_" if env.task.audit else ""
    for start in tqdm(range(starts), desc=name, leave=False, disable=not progress):
        observation, info = begin(env, start)
        path, over, memory = [info], False, None
        while not over:
            action, memory = choose(policy, env, observation, memory)
            observation, _, terminated, truncated, info = env.step(action)
            path.append(info)
            over = terminated or truncated
        path += path[-1:] * (env.task.views - int(info["views"]))  # an episode that stopped early
        own, chamfer, covered = (
            np.array([seen[key] for seen in path])
            for key in ("chamfer", judged + "chamfer", judged + "coverage")
        )
        gains, whole = (np.log(figures[0] / figures) for figures in (chamfer, own))
        rows.append((gains, whole, covered, chamfer, info["views"], env.task.objects.index(info["object"])))
    gains, whole, covered, chamfer, views, objects = (np.array(each) for each in zip(*rows, strict=True))
    return Scores(gains[None], whole[None], covered[None], chamfer[None], views[None], objects)


def begin(env: NBVEnv, start: int):
    """Reset to a start; a broken mesh is passed over, with a warning, for the next one that is whole."""
    count = len(env.task.objects)
    for shift in range(count):
        try:
            return env.reset(seed=FIRST_SEED + start, options={"object": (start + shift) % count})
        except MeshError as error:
            warnings.warn(f"evaluation passes over a broken mesh: {error}", stacklevel=2)
    raise ValueError(f"scenes: all {count} files of {env.task.objects.label} are broken")


def normalised(
    scores: Scores, random: Scores, oracle: Scores, seed: int = 0
) -> tuple[float, float, float, int]:
    """Where a policy stands between the random one, 0, and the oracle, 1: of each object the mean gain over
    the random one's, in units of the oracle's over it; interquartile mean over objects (Agarwal et al. 2021),
    its 95 % bootstrap interval over seeds, objects, then starts, and how many objects are left out because
    the oracle gains less than ``LEAST_ROOM`` there. NaN where all are."""
    groups = [np.flatnonzero(scores.objects == index) for index in np.unique(scores.objects)]
    room = np.array([(oracle.gain - random.gain)[:, group].mean() for group in groups])
    kept = [group for group, enough in zip(groups, room >= LEAST_ROOM, strict=True) if enough]
    left_out = len(groups) - len(kept)
    if not kept:
        return math.nan, math.nan, math.nan, left_out
    over, whole = scores.gain - random.gain, (oracle.gain - random.gain).mean(axis=0)
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


def table(results: dict[str, Scores], against: Sequence[str]) -> str:
    """A markdown table of the policies. The last columns are paired differences of the gain: to each of the
    baselines ``against``, of a learned row to its untrained twin, of one with another object's features to
    itself."""
    twins = [name for name in (UNTRAINED, FOREIGN) if any(row.endswith(name) for row in results)]
    titles = {UNTRAINED: "minus untrained", FOREIGN: "minus own features"}
    audited = not all(np.array_equal(scores.whole, scores.gains) for scores in results.values())
    head = ["policy", "log-Chamfer gain", *(["its own gain"] if audited else [])]
    head += ["coverage", "coverage AUC", "Chamfer (cm)", "views"]
    random, oracle = results.get("random"), results.get("oracle")
    if random is not None and oracle is not None:
        head.append("normalised")
    longest = max(int(scores.views.max()) for scores in results.values())
    late = oracle is not None and longest >= LATE
    if late:
        head.append(f"views to {ENOUGH:.0%} of the oracle's coverage")
    head += [*(f"minus {name}" for name in against), *(titles[name] for name in twins)]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for name, scores in results.items():
        others = [*against]
        others += [name + twin if twin == UNTRAINED else name.removesuffix(twin) for twin in twins]
        columns = (*(getattr(scores, name)[..., -1] for name in CURVES), scores.auc, scores.views)
        gain, whole, coverage, chamfer, auc, views = (by_object(x, scores.objects) for x in columns)
        seeds = [by_object(row[None], scores.objects) for row in scores.gain]
        spread = f" ({min(seeds):.3f} to {max(seeds):.3f})" if len(seeds) > 1 else ""
        cells = [
            name,
            f"{gain:.3f}{spread}",
            *([f"{whole:.3f}"] if audited else []),
            f"{coverage:.1%}",
            f"{auc:.1%}",
            f"{100 * chamfer:.2f}",
            f"{views:.1f}",
        ]
        if random is not None and oracle is not None:
            mean, low, high, left_out = normalised(scores, random, oracle)
            without = f", {left_out} left out" if left_out else ""
            cells.append(f"{mean:.2f} [{low:.2f}, {high:.2f}]{without}")
        if late and oracle is not None:
            enough = ENOUGH * oracle.coverage[..., -1].mean(axis=0)
            needed = scores.needed(enough, longest + 1 - scores.coverage.shape[-1])
            cells.append(f"{by_object(needed, scores.objects):.1f}")
        cells += ["" if other == name else _difference(scores, results.get(other)) for other in others]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _difference(scores: Scores, other: Scores | None) -> str:
    """Paired by seed and start; by start alone where there are not as many seeds."""
    if other is None:
        return ""
    theirs = other.gain if len(other.gain) == len(scores.gain) else other.gain.mean(axis=0, keepdims=True)
    mean, low, high = interval(scores.gain - theirs, scores.objects)
    return f"{mean:+.3f} [{low:+.3f}, {high:+.3f}]"


def play(env: NBVEnv, rows: dict[str, list], learned: Sequence[str], starts: int) -> dict[str, Scores]:
    """Every row's policies on the same starts, scores by row; a row may hold one policy for each seed.

    The rows ``learned`` are played once more with another object's features in place of their own, where
    the observation has features and the set a second object.
    """
    if len(env.task.objects) > 1:
        foreign = {name: [_with_foreign_features(policy, env) for policy in rows[name]] for name in learned}
        rows = rows | {name + FOREIGN: found for name, found in foreign.items() if None not in found}
    return {
        name: reduce(add, (evaluate(env, policy, starts, name) for policy in policies))
        for name, policies in rows.items()
    }


def _with_foreign_features(policy, env: NBVEnv):
    """The policy as it would play with those, or None where it has no features."""
    own = policy.own if isinstance(policy, Bridge) else env
    if "features" not in own.observation_space.spaces:  # type: ignore[attr-defined]
        return None
    if isinstance(policy, Bridge):
        return Bridge(ForeignFeatures(policy.policy, own), own, env)
    return ForeignFeatures(policy, env)


def page(
    env: NBVEnv,
    results: dict[str, Scores],
    against: Sequence[str],
    seen_by: Sequence[str] = (),
    budgets: Sequence[int] = (),
) -> str:
    """The tables with all that it takes to read them, markdown. ``seen_by`` are the rows whose training
    objects these are; ``budgets`` are smaller than the environment's: where the episodes are stopped, for a
    table each."""
    task, any_scores = env.task, next(iter(results.values()))
    objects = np.unique(any_scores.objects)
    floor = np.mean([task.floor(int(index)) for index in objects])
    novelty = (
        f"training objects of {', '.join(seen_by)}, unseen by the others" if seen_by else "unseen objects"
    )
    seeds = max(len(scores.gain) for scores in results.values())
    spread = f"; {seeds} seeds, their least and largest mean in parentheses" if seeds > 1 else ""
    text = (
        f"**{task.objects.label}, {novelty}**: {any_scores.gain.shape[1]} paired starts on {len(objects)} "
        f"objects, budget {task.views}, backbone {task.backbone_name}, reconstruction by "
        f"{task.reconstruction}{spread}\n\n{table(results, against)}\n\n"
    )
    for budget in budgets:
        stopped = {name: scores.until(budget, task.initial_views) for name, scores in results.items()}
        text += f"The same episodes, stopped at {budget} views:\n\n{table(stopped, against)}\n\n"
    return f"{text}{FORMULAS} The floor, what perfect and complete points score: {100 * floor:.2f} cm.\n"
