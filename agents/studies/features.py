"""Which features are worth training on? ``python -m agents.studies.features --run runs/a runs/b ...``: runs
that differ in their seeds and in what the agent is told, on the same starts, by the measured depth's Chamfer
distance."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from typing import Any

import tyro

from agents.flags import UserPath
from agents.nbv.baselines import BASELINES
from agents.nbv.evaluation import FORMULAS, Scores, play, table
from agents.run_folder import load
from agents.runs import single_env
from spatial_envs.foundation.threads import set_threads

BASELINE_ROWS = ("random", "farthest")


@dataclass(frozen=True)
class Flags:
    """What the command line says."""

    run: tuple[UserPath, ...]
    """Run folders; those told the same, its seeds, become one row."""
    trust: bool = False
    """Read runs that no training of yours on this computer wrote, too: see evaluate_agent.py --help."""
    split: str = "test"
    """train, validation, test or test_category."""
    episodes: int = 64
    """Paired starts."""
    out: UserPath | None = None
    """A file for the table, markdown."""


def told(run: dict[str, Any]) -> str:
    """What a run's agent is told beside the poses."""
    shown = run["env_kwargs"]["observations"]
    images = ["raw RGB"] if "rgb" in shown else []
    features = [f"{run['resolved_backbone']} features"] if "features" in shown else []
    return " and ".join(features + images) or "no features"


def study(flags: Flags) -> str:
    """Markdown: a row for each kind of features, compared with every other kind."""
    groups: dict[str, list[tuple[dict[str, Any], Any]]] = {}
    for folder in flags.run:
        run, model = load(folder, trust=flags.trust)
        if run["env_kwargs"].get("reconstruction") != "depth":
            raise ValueError(
                f"run: {folder} was not trained with reconstruction=depth; the rewards must be the same"
            )
        groups.setdefault(told(run), []).append((run, model))
    results: dict[str, Scores] = {}
    for name, members in groups.items():
        env = single_env(members[0][0], split=flags.split, num_objects=None)
        if not results:
            baselines = {row: [BASELINES[row](env)] for row in BASELINE_ROWS}
            results |= play(env, baselines, [], flags.episodes)
        results |= play(env, {name: [model for _, model in members]}, [name], flags.episodes)
    run = next(iter(groups.values()))[0][0]
    seeds = {name: len(members) for name, members in groups.items()}
    text = (
        f"{run['env']}, {run['algo']}, {run['timesteps']:,} steps, seeds {seeds}; {flags.episodes} paired "
        f"starts of {run['scenes']}/{flags.split}; reward and score by the measured depth\n\n"
        f"{table(results, list(groups))}\n\n{FORMULAS}\n"
    )
    if flags.out is not None:
        flags.out.write_text(f"`{shlex.join(['python', *sys.argv])}`\n\n{text}", encoding="utf-8")
    return text


if __name__ == "__main__":
    set_threads()
    print(study(tyro.cli(Flags)))
