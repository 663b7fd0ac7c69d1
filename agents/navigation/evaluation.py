"""Paired evaluation of navigation: every policy walks the same episodes, and differences come with intervals.

Of n buildings, episode k is in building k mod n with the seed FIRST_SEED + k. A learned policy acts by
drawing from its distribution, as in its training and in habitat-lab's evaluation, each episode with its own
seed: the most likely action alone can turn left and right for ever.
"""

from __future__ import annotations

import csv
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from agents.play import FIRST_SEED, UNTRAINED, choose
from agents.statistics import by_object, interval
from spatial_envs.foundation.errors import SceneError

EARLY = 200  # steps after which Explore's coverage is compared
FIGURES = {  # of info at the end of an episode, what it is called in tables, and how it is written there
    "success": ("success", "{:.1%}"),
    "spl": ("SPL", "{:.3f}"),
    "soft_spl": ("SoftSPL", "{:.3f}"),
    "distance_to_goal": ("distance to goal (m)", "{:.2f}"),
    "coverage_200": (f"coverage after {EARLY} steps", "{:.1%}"),
    "coverage": ("coverage", "{:.1%}"),
    "chamfer": ("Chamfer (cm)", "{:.1f}"),
    "path_length": ("path (m)", "{:.1f}"),
    "collisions": ("collisions", "{:.1f}"),
    "steps": ("steps", "{:.0f}"),
}
UNITS = {"chamfer": 100}  # centimetres in a metre
HEADLINE = ("success", "spl", "coverage_200", "coverage")  # written with intervals
FORMULAS = (
    "Success: a stop nearer to the goal than the success distance, along the shortest way. SPL: success l "
    "/ max(l, p), SoftSPL: max(0, 1 - d / l) l / max(l, p), with l the shortest way from the start, p the "
    "path walked, d the distance left. Coverage: share of what can be seen of the building that is within "
    "5 cm of the map; Chamfer: accuracy + completeness of the map, sum of mean distances. Means are over "
    "buildings of their episodes' means; intervals are 95 % bootstrap intervals over seeds, buildings, "
    "then episodes (of a row with one seed they do not hold the chance of a training), and differences are "
    "paired. Learned policies act by drawing from their distributions. greedy follows the shortest way on "
    "the true map; all else knows only what it saw. ObjectNav's category is marked in the maps, the agents' "
    "and nearest-frontier's, by the building's true labels."
)


@dataclass(frozen=True)
class Scores:
    """What a policy scored, a row for each seed that it was trained with.

    figures    by name, (seeds, episodes)
    buildings  (episodes,) indices
    starts     (episodes, 4): position and yaw that they begin with
    """

    figures: dict[str, np.ndarray]
    buildings: np.ndarray
    starts: np.ndarray


def evaluate(env, policy, episodes: int) -> Scores:
    """Let a policy (with SB3's ``predict``) walk the episodes in a single environment."""
    return play({"policy": [(env, policy)]}, episodes, progress=False)["policy"]


def play(rows: dict[str, list[tuple[Any, Any]]], episodes: int, progress: bool = True) -> dict[str, Scores]:
    """Scores by row; of each row the environment and the policy of each seed. All walk an episode before the
    next begins, so that an environment has its building at hand."""
    ends: dict[str, list[list[dict[str, float]]]] = {name: [[] for _ in each] for name, each in rows.items()}
    starts = {name: np.empty((episodes, 4)) for name in rows}
    buildings = np.empty(episodes, np.int64)
    for k in tqdm(range(episodes), desc="episodes", leave=False, disable=not progress):
        for name, each in rows.items():
            for seed, (env, policy) in enumerate(each):
                path = list(walk(env, policy, k))
                starts[name][k] = [*path[0]["position"], path[0]["yaw"]]
                buildings[k] = env.unwrapped.task.buildings.index(path[0]["building"])
                end = {key: float(path[-1][key]) for key in FIGURES if key in path[-1]}
                if "coverage" in end:
                    end["coverage_200"] = float(path[min(EARLY, len(path) - 1)]["coverage"])
                ends[name][seed].append(end)
    scores = {}
    for name in rows:
        names = [key for key in FIGURES if key in ends[name][0][0]]
        table = {key: np.array([[end[key] for end in seed] for seed in ends[name]]) for key in names}
        scores[name] = Scores(table, buildings, starts[name])
    return scores


def walk(env, policy, episode: int) -> Iterator[dict[str, Any]]:
    """The infos of an episode, that of its reset first."""
    observation, info = begin(env, episode)
    yield info
    over, memory = False, None
    with torch.random.fork_rng(devices=[]):  # a training that goes on draws what it would have drawn
        torch.manual_seed(FIRST_SEED + episode)
        while not over:
            action, memory = choose(policy, env, observation, memory, deterministic=False)
            observation, _, terminated, truncated, info = env.step(action)
            over = terminated or truncated
            yield info


def begin(env, episode: int):
    """Reset to an episode; a building without one is passed over, with a warning, for the next that has."""
    buildings = env.unwrapped.task.buildings
    for shift in range(len(buildings)):
        options = {"building": (episode + shift) % len(buildings)}
        try:
            return env.reset(seed=FIRST_SEED + episode, options=options)
        except SceneError as error:
            warnings.warn(f"evaluation passes over a building: {error}", stacklevel=2)
    raise ValueError(f"scenes: none of the {len(buildings)} buildings of {buildings.label} has an episode")


def figures(scores: Scores, first: str) -> dict[str, float]:
    """Columns of evaluations.csv: a figure with its interval, then the means of all others."""
    mean, low, high = interval(scores.figures[first], scores.buildings)
    others = {
        key: by_object(value, scores.buildings) for key, value in scores.figures.items() if key != first
    }
    return {first: mean, "low": low, "high": high, **others}


def table(results: dict[str, Scores], score: str, against: Sequence[str]) -> str:
    """A markdown table of the policies; the last columns are paired differences of the figure ``score`` to
    each of the baselines ``against``, and of a learned row to its untrained twin."""
    early = () if score == "coverage_200" else ("coverage_200",)  # of where there is a goal, not of interest
    shown = [key for key in next(iter(results.values())).figures if key not in early]
    twins = any(row.endswith(UNTRAINED) for row in results)
    title = FIGURES[score][0]
    head = ["policy", *(FIGURES[key][0] for key in shown)]
    head += [f"{title} minus {name}" for name in against] + [f"{title} minus untrained"] * twins
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for name, scores in results.items():
        cells = [name, *(_cell(scores, key) for key in shown)]
        for other in [*against, *([name + UNTRAINED] if twins else [])]:
            cells.append("" if other == name else _difference(scores, results.get(other), score))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(scores: Scores, key: str) -> str:
    form = FIGURES[key][1]
    values = scores.figures[key] * UNITS.get(key, 1)
    if key not in HEADLINE:
        return form.format(by_object(values, scores.buildings))
    mean, low, high = (form.format(value) for value in interval(values, scores.buildings))
    seeds = [by_object(row[None], scores.buildings) for row in values]
    spread = f" ({form.format(min(seeds))} to {form.format(max(seeds))})" if len(seeds) > 1 else ""
    return f"{mean} [{low}, {high}]{spread}"


def _difference(scores: Scores, other: Scores | None, key: str) -> str:
    """Paired by seed and episode; by episode alone where there are not as many seeds."""
    if other is None:
        return ""
    if not np.allclose(scores.starts, other.starts, atol=1e-6):
        return "other episodes"
    ours, theirs = scores.figures[key], other.figures[key]
    theirs = theirs if len(theirs) == len(ours) else theirs.mean(axis=0, keepdims=True)
    mean, low, high = interval(ours - theirs, scores.buildings)
    return f"{mean:+.3f} [{low:+.3f}, {high:+.3f}]"


def page(env, results: dict[str, Scores], against: Sequence[str], seen_by: Sequence[str] = ()) -> str:
    """The table with all that it takes to read it, markdown. ``seen_by`` are the rows that were trained in
    these buildings."""
    task, any_scores = env.unwrapped.task, next(iter(results.values()))
    novelty = (
        f"training buildings of {', '.join(seen_by)}, unseen by the others" if seen_by else "unseen buildings"
    )
    seeds = max(len(next(iter(scores.figures.values()))) for scores in results.values())
    spread = f"; {seeds} seeds, their least and largest mean in parentheses" if seeds > 1 else ""
    score = "coverage_200" if task.goal_kind == "none" else "spl"
    return (
        f"**{task.buildings.label}, {novelty}**: {len(any_scores.buildings)} episodes in "
        f"{len(np.unique(any_scores.buildings))} buildings, at most {task.max_steps} steps, backbone "
        f"{task.backbone_name}, reconstruction by {task.reconstruction}{spread}\n\n"
        f"{table(results, score, against)}\n\n{FORMULAS}\n"
    )


def write_scores(results: dict[str, Scores], buildings: Sequence[str], path: Path) -> None:
    """A line for each policy, seed and episode."""
    names = list(next(iter(results.values())).figures)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["policy", "seed", "episode", "building", *names])
        for policy, scores in results.items():
            for seed, k in np.ndindex(scores.figures[names[0]].shape):
                figures = [f"{scores.figures[name][seed, k]:.6g}" for name in names]
                writer.writerow([policy, seed, k, buildings[int(scores.buildings[k])], *figures])
