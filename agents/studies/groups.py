"""What a training for the best of six guesses has over one for a single guess, and the reverse.

    python train_agent.py --algo group --env Foresight-Prototype-v0 --hyper k=6 --seed 0 --out runs/max-0
    python train_agent.py --algo group --env Foresight-Prototype-v0 --hyper k=1 --seed 0 --out runs/mean-0
    python -m agents.studies.groups runs/max-* runs/mean-* --episodes 256

Each question, a second ahead, is asked every agent, and of its policy so many guesses are drawn that the
expected credit of one and of the best of six can be told without luck: the mean, and the mean over all
choices of six. Rows of one k are trainings of one kind, by seed; intervals are over seeds and recordings,
differences are paired.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm
from tyro.conf import Positional

from agents.flags import parse_flags
from agents.foresight.baselines import BASELINES
from agents.foresight.evaluation import begin_scene
from agents.play import FIRST_SEED, walk
from agents.run_folder import load_model, read_config
from agents.runs import single_env
from agents.statistics import interval
from spatial_envs.foundation.threads import set_threads

DRAWN = 48  # guesses for each question
RIVALS = ("network", "analytic-fan")
FIGURES = ("soft, one", "soft, six", "right, one", "right, six")
CREDITS = {"soft": ("first_credit", "credit"), "right": ("first_right", "right")}


@dataclass(frozen=True)
class Flags:
    """What the command line says."""

    runs: Positional[tuple[Path, ...]]
    """Folders of trainings by --algo group, in the order of their seeds."""
    episodes: int = 256
    """Recordings, a question each."""
    split: str = "test"
    """Of the recordings."""
    scenes: str = "procedural"
    """Recordings, see ``spatial_envs.scenes.recordings``."""


def best_of(credits: np.ndarray, count: int) -> float:
    """The mean of the best of ``count`` credits over all such choices of those given (n,)."""
    ranked = np.sort(credits)
    shares = [comb(j, count - 1) / comb(len(ranked), count) for j in range(len(ranked))]
    return float(np.dot(shares, ranked))


def drawn(model: Any, envs: dict[str, Any], episode: int) -> list[float]:
    """FIGURES of an agent by what is drawn of its policy, of a question; envs: by the kind of credit."""
    figures = []
    for env in envs.values():
        observation, _ = begin_scene(env, episode)
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(FIRST_SEED + episode)
            shifts = model.policy.guesses(model.policy.obs_to_tensor(observation)[0]).drawn(DRAWN)[0]
            actions = model.policy.actions(shifts, torch.ones(DRAWN)).numpy()
        credits = env.unwrapped.task.credits(0, actions)
        figures += [float(credits.mean()), best_of(credits, 6)]
    return figures


def handed_in(policy: Any, env: Any, episode: int) -> list[float]:
    """FIGURES of the first guess and of the best, as an episode is played."""
    *_, last = walk(env, policy, episode, begin_scene)
    return [float(last[key]) for keys in CREDITS.values() for key in keys]


def main(flags: Flags) -> str:
    """A table in Markdown."""
    set_threads()
    figures: dict[str, dict[int, np.ndarray]] = {}
    changes: dict[str, Any] = {
        "split": flags.split,
        "scenes": flags.scenes,
        "ahead": (1.0, 1.0),
        "backwards": 0.0,
    }
    for folder in flags.runs:
        run = read_config(folder, "runs")
        model = load_model(run, folder / "model.zip", "runs")
        envs = {kind: single_env(run, reward=kind, **changes) for kind in CREDITS}
        name, seed = f"k = {run['hyperparameters']['k']}", run["seed"]
        asked = tqdm(range(flags.episodes), folder.name, leave=False)
        both = [(drawn(model, envs, each), handed_in(model, envs["soft"], each)) for each in asked]
        figures.setdefault(f"{name}, drawn", {})[seed] = np.array([one for one, _ in both])
        figures.setdefault(f"{name}, likeliest", {})[seed] = np.array([two for _, two in both])
    env = single_env(run, **changes)
    for name in RIVALS:
        policy, asked = BASELINES[name](env), tqdm(range(flags.episodes), name, leave=False)
        figures[name] = {0: np.array([handed_in(policy, env, each) for each in asked])}
    return _table(figures)


def _table(figures: dict[str, dict[int, np.ndarray]]) -> str:
    rows = [["guesses", *FIGURES]]
    for name, mine in figures.items():
        rows.append([name, *_cells([mine[seed] for seed in sorted(mine)])])
    for kind in ("drawn", "likeliest"):
        ours = [name for name in figures if name.endswith(kind)]
        pairs = [(ours[0], other) for other in (*ours[1:], *RIVALS)] + [
            (b, r) for b in ours[1:] for r in RIVALS
        ]
        for name, other in pairs:
            mine, theirs = figures[name], figures[other]
            both = sorted({*mine} & {*theirs}) if len(theirs) > 1 else sorted(mine)
            parts = [mine[seed] - theirs.get(seed, theirs[min(theirs)]) for seed in both]
            rows.append([f"{name} minus {other}", *_cells(parts, "+")])
    rows.insert(1, ["---"] * len(rows[0]))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cells(seeds: Sequence[np.ndarray], sign: str = "") -> list[str]:
    values = np.stack(seeds)  # (seeds, episodes, figures)
    scenes = np.arange(values.shape[1])
    found = [interval(values[:, :, k], scenes) for k in range(values.shape[2])]
    return [f"{mean:{sign}.3f} [{low:{sign}.3f}, {high:{sign}.3f}]" for mean, low, high in found]


if __name__ == "__main__":
    print(main(parse_flags(Flags, __doc__, "python -m agents.studies.groups")))
