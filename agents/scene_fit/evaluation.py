"""Paired evaluation of prototype fitting: all fitters and agents explain the same depth maps.

Scene k is frame k of the split, and the seed of whatever draws. A policy plays an episode in its environment,
by its mean action; what its slots are at the end is its fit. Fitters, learned or not, are functions of a
target, the number of slots and a seed (``agents.scene_fit.baselines``).
"""

from __future__ import annotations

import json
import reprlib
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from agents.play import UNTRAINED, choose
from agents.scene_fit.baselines import FITTERS
from spatial_envs.foundation.errors import SceneError
from spatial_envs.prototypes.scores import Fit, score, score_fit
from spatial_envs.prototypes.target import Target
from spatial_envs.scene_fit import SceneFitEnv

COLUMNS = {  # name among the figures: title, factor
    "score": ("score, %", 100), "one_directional": ("one-directional, cm", 100),
    "held_out": ("held out, cm", 100), "occlusion_aware": ("occlusion-aware, cm", 100),
    "full": ("full, %", 100), "fsv": ("FSV, %", 100), "ari": ("ARI, %", 100), "reverse": ("reverse, cm", 100),
    "depth_agreement": ("depth agreement, %", 100), "slots": ("slots", 1),
}  # fmt: skip
RESAMPLES = 2000
KNOWING = ("oracle",)  # fitters that have to know the truth
AGAINST = ("kmeans-superquadrics", "pieces-superquadrics")  # rows that all are compared with
FORMULAS = (
    "With T the depth map's points without the ground, M the fitted surfaces, S the true surface, d the "
    "distance to the nearest point: one-directional: mean over t in T of d(t, M), held out: the same of "
    "pixels that no fitter was shown. Occlusion-aware: mean over t of max(d(t, M), how far the frontmost "
    "fitted surface on the ray to t lies before t). Full: share of S, seen or not, with d(s, M) <= 5 cm. "
    "FSV: share of M's area more than 10 cm before the measured depth. ARI: adjusted Rand index of "
    "nearest slot against object over T. Reverse: mean over M's area of d(m, S). Depth agreement: share "
    "of T's pixels where the fit, rendered, is within 5 cm. Score: clip(g, 0, 1) (1 - FSV) max(ARI, 0) "
    "full in each scene, without ARI for one object, with g = (d_random - d) / (d_random - d_oracle), d "
    "occlusion-aware, of random-spheres and of oracle, which is least squares on ground-truth masks. "
    "Where the truth is not known, there is no score. Intervals are 95 % bootstrap intervals over scenes, "
    "not over trainings; differences are paired. Policies act by their mean."
)


@dataclass(frozen=True)
class Scores:
    """What a fitter or a policy scored: figures by name, (seeds, scenes)."""

    figures: dict[str, np.ndarray]


def evaluate(env: SceneFitEnv, policy: Any, scenes: int) -> Scores:
    """Of a policy (with SB3's ``predict``) or a fitter on the first scenes of a single environment."""
    return joined([[figures(env, policy, index) for index in usable(env, scenes)]])


def usable(env: SceneFitEnv, scenes: int) -> list[int]:
    """The first so many frames in which there is something to explain; the others are passed over, with a
    warning."""
    found: list[int] = []
    for index in range(len(env.task.frames)):
        if len(found) == scenes:
            break
        try:
            env.task.load(index)
        except SceneError as error:
            warnings.warn(f"evaluation passes over a frame: {error}", stacklevel=2)
        else:
            found.append(index)
    if not found:
        raise ValueError(f"scenes: in no frame of {env.task.frames.label} is there anything to explain")
    return found


def joined(seeds: Sequence[Sequence[dict[str, float]]]) -> Scores:
    """Of the figures of each seed and scene."""
    return Scores({key: np.array([[row[key] for row in each] for each in seeds]) for key in seeds[0][0]})


def figures(env: SceneFitEnv, policy: Any, index: int) -> dict[str, float]:
    """Of one scene, the score among them where the truth is known."""
    target = env.task.load(index)[1]
    acts = hasattr(policy, "predict")
    fit = played(env, policy, index) if acts else policy(target, env.task.slots, index)
    found = score_fit(target, fit)
    if target.num_objects is not None:
        found["score"] = score(found, *references(target, env.task.slots, index), target.num_objects)
    if not len(target.held_out):
        del found["held_out"]
    return {key: float(found[key]) for key in COLUMNS if key in found}


def played(env: SceneFitEnv, policy: Any, index: int) -> Fit:
    """What the slots are at the end of the policy's episode."""
    for _ in episode(env, policy, index):
        pass
    return env.task.episode(0).state.fit()


def episode(env: SceneFitEnv, policy: Any, index: int) -> Iterator[None]:
    """Play a scene; yields when it has begun, and after every step."""
    observation, _ = env.reset(seed=index, options={"frame": index})
    yield
    over, memory = False, None
    while not over:
        action, memory = choose(policy, env, observation, memory)
        observation, _, over, _, _ = env.step(action)
        yield


@lru_cache(maxsize=256)
def references(target: Target, slots: int, seed: int) -> tuple[float, float]:
    """d_random and d_oracle of the score, metres."""
    random, oracle = (
        score_fit(target, FITTERS[name](target, slots, seed))["occlusion_aware"]
        for name in ("random-spheres", "oracle")
    )
    return random, oracle


class Kept:
    """Figures in a file, a line for each scene, written as they are found: a killed comparison goes on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
        whole = text[: text.rfind("\n") + 1]
        if whole != text:  # a kill cut the last line short
            path.write_text(whole, encoding="utf-8")
        self.rows: dict[int, dict[str, float]] = {}
        for number, line in enumerate(whole.split("\n")[:-1], 1):
            try:
                row = json.loads(line)
            except (RecursionError, ValueError):
                row = None
            good = isinstance(row, dict) and {type(value) for value in row.values()} <= {int, float}
            if not good or type(row.get("scene")) is not int:
                got = reprlib.repr(line)
                raise ValueError(f"out: {path}: line {number}: got {got}; expected figures of a scene")
            self.rows[row.pop("scene")] = row
        if len({frozenset(row) for row in self.rows.values()}) > 1:
            raise ValueError(f"out: {path}: expected the same figures of every scene")

    def add(self, scene: int, row: dict[str, float]) -> None:
        """Of a scene that was not there yet."""
        self.rows[scene] = row
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"scene": scene, **row}) + "\n")


def interval(values: np.ndarray) -> tuple[float, float, float]:
    """The mean of values (seeds, scenes), and its 95 % bootstrap interval over scenes."""
    each = values.mean(axis=0)
    drawn = np.random.default_rng(0).integers(len(each), size=(RESAMPLES, len(each)))
    low, high = np.percentile(each[drawn].mean(axis=1), [2.5, 97.5])
    return float(each.mean()), float(low), float(high)


def curve_figures(scores: Scores) -> dict[str, float]:
    """Columns of evaluations.csv: ``merit`` and its interval, then the means of all figures. The merit is the
    score; where there is no truth, the depth agreement."""
    mean, low, high = interval(scores.figures["score" if "score" in scores.figures else "depth_agreement"])
    others = {key: float(value.mean()) for key, value in scores.figures.items()}
    return {"merit": mean, "low": low, "high": high, **others}


def table(results: dict[str, Scores], against: Sequence[str]) -> str:
    """Markdown; the last columns are paired differences of the score, in percentage points, to the rows
    ``against``, and of a learned row to its untrained twin. Without a score, of the depth agreement."""
    shown = [key for key in COLUMNS if key in next(iter(results.values())).figures]
    first = "score" if "score" in shown else "depth_agreement"
    twins = any(row.endswith(UNTRAINED) for row in results)
    title = COLUMNS[first][0].removesuffix(", %")
    head = ["fit", *(COLUMNS[key][0] for key in shown)]
    head += [f"{title} minus {name}" for name in against] + [f"{title} minus untrained"] * twins
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for name, scores in results.items():
        cells = [name]
        for key in shown:
            mean, low, high = (COLUMNS[key][1] * value for value in interval(scores.figures[key]))
            cells.append(f"{mean:.1f} [{low:.1f}, {high:.1f}]" if key == first else f"{mean:.1f}")
        for other in [*against, *([name + UNTRAINED] if twins else [])]:
            if other == name or other not in results:
                cells.append("")
                continue
            ours, theirs = scores.figures[first], results[other].figures[first].mean(axis=0, keepdims=True)
            mean, low, high = (100 * value for value in interval(ours - theirs))
            cells.append(f"{mean:+.1f} [{low:+.1f}, {high:+.1f}]")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def page(
    env: SceneFitEnv, results: dict[str, Scores], against: Sequence[str], seen_by: Sequence[str] = ()
) -> str:
    """The table with what it takes to read it, markdown, but for the formulas. ``seen_by`` are the rows that
    were trained on these scenes."""
    task, scores = env.task, next(iter(results.values()))
    scenes = next(iter(scores.figures.values())).shape[1]
    seeds = max(len(next(iter(each.figures.values()))) for each in results.values())
    novelty = f"seen in training by {', '.join(seen_by)}" if seen_by else "unseen in training"
    spread = f", means over up to {seeds} seeds" if seeds > 1 else ""
    return (
        f"**{task.frames.label}, {novelty}**: {scenes} scenes, {task.slots} slots{spread}\n\n"
        f"{table(results, against)}\n"
    )
