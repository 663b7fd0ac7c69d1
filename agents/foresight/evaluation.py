"""What foresight is scored by."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from agents.comparison.scores import Scores
from agents.families import Column
from agents.play import begin_in
from agents.play import walk as play

FAN = "analytic-fan"  # what skill is measured against
COLUMNS = {  # of info at the end of an episode
    "credit": Column("soft credit", interval=True, spread=True),
    "first_credit": Column("credit of the first"),
    "right": Column("right", "{:.1%}"),
    "first_right": Column("right of the first", "{:.1%}"),
    "error": Column("minFDE (m)"),
    "first_error": Column("FDE of the first (m)"),
    "energy": Column("energy (m)"),
    "brier_error": Column("brier-minFDE (m)"),
    "guesses": Column("guesses", "{:.1f}"),
    "thoughts": Column("thoughts", "{:.1f}"),
}
FORMULAS = (
    "Joint guesses of all judged things (those that move by more than 10 cm; all, where none does). d is the "
    "root mean square distance between where two poses put a body's points, under its best symmetry; with "
    "rotations=False that of its centres. Soft credit: mean over things of exp(-d / (10 cm + 15 % of its "
    "path)), of the best guess; right: share of things with d <= max(10 cm, 15 % of the path), of the best "
    "guess; minFDE: the least mean of d of a guess; energy: the fair energy score; brier-minFDE: minFDE + "
    "(1 - p)^2 with p the best guess's share of the confidence. Skill: (credit - fan's) / (1 - fan's), the "
    "fan being analytic-fan. Means are over recordings; intervals are 95 % bootstrap intervals over seeds, "
    "recordings, then episodes, and differences are paired."
)

begin_scene = begin_in("scene", "recordings")
walk = partial(play, begin=begin_scene)


def score(env: Any, policy: Any, episode: int) -> dict[str, Any]:
    """The figures of an episode."""
    *_, last = walk(env, policy, episode)
    scene = env.unwrapped.task.recordings.index(last["object"])
    figures = {key: float(last[key]) for key in COLUMNS}
    return {**figures, "scene": scene, "start": [float(last["question"]), float(last["query"])]}


def skill(results: Mapping[str, Scores]) -> dict[str, dict[str, str]]:
    """The column of skill over the fan; none where the fan was not played."""
    if FAN not in results:
        return {}
    fan = results[FAN].mean("credit")
    cells = {name: (scores.mean("credit") - fan) / max(1 - fan, 1e-9) for name, scores in results.items()}
    return {"skill": {name: f"{value:+.3f}" for name, value in cells.items()}}
