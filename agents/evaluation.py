"""Paired evaluation: every policy plays the same starts, and differences come with intervals.

A start is an object and a seed: of n objects, start k is object k mod n with the seed FIRST_SEED + k.
The score of an episode is the gain of log-Chamfer from the first view(s) to the budget, whatever the reward.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np
from tqdm import tqdm

from spatial_envs.nbv import NBVEnv

FIRST_SEED = 7_000_000
RESAMPLES = 2000
UNTRAINED, FOREIGN = ", untrained", ", another object's features"  # rows beside a learned one
FORMULAS = (
    "Gain: log C0 - log C1 from the first view to the budget, C = accuracy + completeness (m, sum of mean "
    "distances). Coverage: share of the reference within 2 % of the diameter. Differences are paired, with "
    "95 % bootstrap intervals over objects, then starts."
)


@dataclass(frozen=True)
class Scores:
    """What a policy scored on starts (S,): log-Chamfer gain, final coverage, final Chamfer (m), object."""

    gain: np.ndarray
    coverage: np.ndarray
    chamfer: np.ndarray
    objects: np.ndarray  # (S,) int64, index of the start's object
    features: list[list[np.ndarray]]  # of each start, step by step, for ``ForeignFeatures``

    def __add__(self, other: Scores) -> Scores:
        """Both, one after the other: the same starts again, by a policy trained with another seed."""
        return Scores(
            np.concatenate([self.gain, other.gain]), np.concatenate([self.coverage, other.coverage]),
            np.concatenate([self.chamfer, other.chamfer]), np.concatenate([self.objects, other.objects]),
            self.features + other.features,
        )  # fmt: skip


def evaluate(env: NBVEnv, policy, starts: int, name: str = "", progress: bool = True) -> Scores:
    """Let ``policy`` (with SB3's ``predict``) play the starts in a single environment."""
    rows, features = [], []
    for start in tqdm(range(starts), desc=name, leave=False, disable=not progress):
        index = start % len(env.task.objects)
        observation, info = env.reset(seed=FIRST_SEED + start, options={"object": index})
        if hasattr(policy, "begin"):
            policy.begin(start)
        first, seen, over = info["chamfer"], [], False
        while not over:
            seen.append(observation.get("features", np.zeros(0)))
            action, _ = policy.predict(observation, deterministic=True)
            observation, _, terminated, truncated, info = env.step(action)
            over = terminated or truncated
        rows.append((math.log(first / info["chamfer"]), info["coverage"], info["chamfer"], index))
        features.append(seen)
    gain, coverage, chamfer, objects = np.array(rows).T
    return Scores(gain, coverage, chamfer, objects.astype(np.int64), features)


class ForeignFeatures:
    """A policy that is shown, in place of its own features, those of another object at the same view."""

    def __init__(self, policy, scores: Scores) -> None:
        self.policy = policy
        self.scores = scores

    def begin(self, start: int) -> None:
        """Take the features of the next start that has another object."""
        objects = self.scores.objects
        others = [k for k in (*range(start + 1, len(objects)), *range(start)) if objects[k] != objects[start]]
        if not others:
            raise ValueError("scenes: got a single object; another object's features need a second one")
        self.foreign = iter(self.scores.features[others[0]])

    def predict(self, observation, state=None, episode_start=None, deterministic: bool = True):
        """The policy's action on the changed observation."""
        return self.policy.predict(
            {**observation, "features": next(self.foreign)}, deterministic=deterministic
        )


def interval(values: np.ndarray, objects: np.ndarray, seed: int = 0) -> tuple[float, float, float]:
    """Mean, and a 95 % bootstrap interval: objects are drawn first, then starts within them."""
    generator = np.random.default_rng(seed)
    groups = [values[objects == index] for index in np.unique(objects)]
    means = np.empty(RESAMPLES)
    for k in range(RESAMPLES):
        drawn = [groups[g] for g in generator.integers(len(groups), size=len(groups))]
        means[k] = np.mean([group[generator.integers(len(group), size=len(group))].mean() for group in drawn])
    mean = float(np.mean([group.mean() for group in groups]))
    low, high = np.percentile(means, [2.5, 97.5])
    return mean, float(low), float(high)


def table(results: dict[str, Scores], against: Sequence[str]) -> str:
    """A markdown table of the policies. The last columns are paired differences of the gain: to each of the
    baselines ``against``, of a learned row to its untrained twin, of one with another object's features to
    itself."""
    twins = [name for name in (UNTRAINED, FOREIGN) if any(row.endswith(name) for row in results)]
    titles = {UNTRAINED: "minus untrained", FOREIGN: "minus own features"}
    head = ["policy", "log-Chamfer gain", "coverage", "Chamfer (cm)"]
    head += [*(f"minus {name}" for name in against), *(titles[name] for name in twins)]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for name, scores in results.items():
        others = [*against]
        others += [name + twin if twin == UNTRAINED else name.removesuffix(twin) for twin in twins]
        gain, coverage, chamfer = scores.gain.mean(), scores.coverage.mean(), scores.chamfer.mean()
        cells = [name, f"{gain:.3f}", f"{coverage:.1%}", f"{100 * chamfer:.2f}"]
        cells += ["" if other == name else _difference(scores, results.get(other)) for other in others]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _difference(scores: Scores, other: Scores | None) -> str:
    if other is None:
        return ""
    repeats = len(scores.gain) // len(other.gain)  # of a baseline, which has no seeds
    mean, low, high = interval(scores.gain - np.tile(other.gain, repeats), scores.objects)
    return f"{mean:+.3f} [{low:+.3f}, {high:+.3f}]"


def play(env: NBVEnv, rows: dict[str, list], learned: Sequence[str], starts: int) -> dict[str, Scores]:
    """Every row's policies on the same starts, scores by row; a row may hold one policy for each seed.

    The rows ``learned`` are played once more with another object's features in place of their own, where
    the observation has features and the set a second object.
    """
    played = {
        name: [evaluate(env, policy, starts, name) for policy in policies] for name, policies in rows.items()
    }
    if "features" in env.observation_space.spaces and len(env.task.objects) > 1:  # type: ignore[attr-defined]
        for name in learned:
            played[name + FOREIGN] = [
                evaluate(env, ForeignFeatures(policy, scores), starts, f"{name}, foreign")
                for policy, scores in zip(rows[name], played[name], strict=True)
            ]
    return {name: reduce(add, scores) for name, scores in played.items()}


def page(env: NBVEnv, results: dict[str, Scores], starts: int, against: Sequence[str]) -> str:
    """The table with all that it takes to read it, markdown."""
    objects, backbone = env.task.objects, env.task.backbone
    seen = "the training objects, as these scenes have no splits" if objects.leaky else "unseen objects"
    seeds = [f"{len(s.gain) // starts} of {name}" for name, s in results.items() if len(s.gain) > starts]
    return (
        f"**{objects.label}, {seen}**: {starts} paired starts, budget {env.task.views}, backbone "
        f"{backbone.name if backbone else 'none'}{'; seeds: ' if seeds else ''}{', '.join(seeds)}\n\n"
        f"{table(results, against)}\n\n{FORMULAS}\n"
    )
