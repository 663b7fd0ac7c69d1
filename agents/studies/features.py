"""Which features are worth training on? ``python -m agents.studies.features --run runs/a runs/b ...``: runs
that differ in their seeds and in what the agent is told, on the same starts, by the measured depth's Chamfer
distance."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from typing import Any

from agents.comparison.compare import rows_of
from agents.comparison.scores import Scores, play
from agents.comparison.table import table
from agents.flags import UserPath, parse_flags
from agents.nbv.evaluation import FORMULAS
from agents.nbv.family import NEXT_BEST_VIEW as KIND
from agents.play import UNTRAINED
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
        changes = {"split": flags.split, "num_objects": None}
        played = {**members[0][0], "env_kwargs": {**members[0][0]["env_kwargs"], **changes}}
        baselines = () if results else BASELINE_ROWS
        named = [(name, each) for each in members]
        rows = rows_of(KIND, single_env(played), baselines, named, played, changes)
        del rows[name + UNTRAINED]
        results |= play(KIND, rows, flags.episodes)
    run = next(iter(groups.values()))[0][0]
    seeds = {name: len(members) for name, members in groups.items()}
    text = (
        f"{run['env']}, {run['algo']}, {run['timesteps']:,} steps, seeds {seeds}; {flags.episodes} paired "
        f"starts of {run['scenes']}/{flags.split}; reward and score by the measured depth\n\n"
        f"{table(KIND, results, list(groups))}\n\n{FORMULAS}\n"
    )
    if flags.out is not None:
        flags.out.write_text(f"`{shlex.join(['python', *sys.argv])}`\n\n{text}", encoding="utf-8")
    return text


if __name__ == "__main__":
    set_threads()
    print(study(parse_flags(Flags, __doc__, "python -m agents.studies.features")))
