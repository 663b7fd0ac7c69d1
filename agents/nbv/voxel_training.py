"""Teach the scores of ``VoxelPolicy`` from recorded states, by configs/voxel_scores.yml.

    python -m agents.nbv.states runs/nbv-states/train
    python -m agents.nbv.states runs/nbv-states/validation --split validation --objects 64
    python -m agents.nbv.voxel_training --seed 0 --out runs/voxels-0
    python evaluate_agent.py --run runs/voxels-0 --baselines lookup

The folder is a run of configs/voxels.yml before its first step, which ``train_agent.py --start-from`` goes on
from. One that was interrupted goes on by the same command.
"""

from __future__ import annotations

import csv
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from agents.flags import UserPath, parse_flags
from agents.hyperparameters import check_numbers
from agents.nbv.ranking import listwise_loss
from agents.nbv.states import EPISODES, VIEWS, States, read_states
from agents.nbv.surface_gains import REGION
from agents.nbv.voxel_policy import VoxelsAndViews
from agents.nbv.voxel_scores import VoxelScores
from agents.run_folder import check_out, holds_a_run, save, write_config
from agents.runs import parse_settings, training_envs, untrained
from agents.statistics import interval
from agents.teaching import teach
from agents.training.config import Flags as RunFlags
from agents.training.config import resolve
from spatial_envs.foundation import yaml_files
from spatial_envs.foundation.arguments import check_range
from spatial_envs.foundation.threads import set_threads
from spatial_envs.geometry.camera import fibonacci_directions
from spatial_envs.nbv.candidates import CANDIDATES
from spatial_envs.nbv.occupancy import VOXELS

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
SAVE_EVERY = 100  # steps


@dataclass(frozen=True)
class Flags:
    """What the command line says."""

    out: UserPath
    """The folder to write, or to go on with."""
    records: UserPath = Path("runs/nbv-states/train")
    """States to learn from."""
    validation: UserPath = Path("runs/nbv-states/validation")
    """Those of other objects, to measure on in the end."""
    seed: int = 0
    """Of the weights and the batches."""
    hyper: tuple[str, ...] = ()
    """Hyperparameters other than the config's, as name=value."""


def train(flags: Flags) -> dict[str, tuple[float, float, float]]:
    """Train to the end and write the run; what was measured in the end, with 95 % intervals over objects.
    ValueError for flags that mean nothing."""
    check_out(flags.out)
    if holds_a_run(flags.out):
        raise ValueError(f"out: {flags.out} already holds a run; choose another folder")
    check_range("seed", flags.seed, 0, 2**32 - 1, int)
    published = yaml_files.read(CONFIGS / "voxel_scores.yml", "config")
    config = {**published, **parse_settings("hyper", flags.hyper)}
    check_numbers("hyper: ", config, published)
    records, unseen = read_states(flags.records), read_states(flags.validation)
    run = resolve(
        RunFlags(
            env="NBV-MapAnything-Discrete-v0", backbone="none", config=CONFIGS / "voxels.yml", out=flags.out,
            seed=flags.seed, track="none", final_starts=0,
        )
    )  # fmt: skip
    model = untrained(run, training_envs(run))
    extractor = model.policy.features_extractor
    assert isinstance(extractor, VoxelsAndViews)
    flags.out.mkdir(parents=True, exist_ok=True)
    _learn(flags, config, extractor.scores, records)
    found = figures(extractor.scores, unseen)
    with (flags.out / "validation.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("figure", "mean", "low", "high"))
        writer.writerows((name, *(f"{value:.4f}" for value in each)) for name, each in found.items())
    write_config(flags.out, run)
    save(model, flags.out)
    return found


def _learn(flags: Flags, config: dict[str, Any], network: VoxelScores, records: States) -> None:
    """Change the network's weights, in place."""
    torch.manual_seed(flags.seed)
    adam = torch.optim.AdamW(
        network.parameters(), config["learning_rate"], weight_decay=config["weight_decay"]
    )
    falling = torch.optim.lr_scheduler.OneCycleLR(adam, config["learning_rate"], total_steps=config["steps"])

    def loss(generator: np.random.Generator) -> torch.Tensor:
        return _loss(network, records, config["batch_size"], generator)

    network.train()
    teach(network, falling, loss, config, flags.seed, flags.out / "lesson.pt", SAVE_EVERY)
    network.eval()


def _loss(network: VoxelScores, records: States, count: int, generator: np.random.Generator) -> torch.Tensor:
    rows = generator.integers(len(records.gains), size=count)
    known, directions = unpacked(records.seen[rows]), directions_of_records()
    if generator.random() < 0.5:  # in the mirror
        known, directions = known.flip(2), directions * torch.tensor([-1.0, 1.0, 1.0])
    scores = network(known, directions[None], torch.as_tensor(records.measured[rows]))
    return listwise_loss(scores, torch.as_tensor(records.gains[rows]), torch.as_tensor(records.left[rows]))


def unpacked(seen: np.ndarray) -> torch.Tensor:
    """Bits (B, 2, n^3 / 8) of ``States`` -> (B, 2, n, n, n) float32."""
    bits = np.unpackbits(seen, axis=-1).reshape(len(seen), 2, *[VOXELS] * 3)
    return torch.as_tensor(bits).float()


def directions_of_records() -> torch.Tensor:
    """(64, 3) float32: the directions of all recorded states, in the frame's axes."""
    return torch.as_tensor(fibonacci_directions(CANDIDATES, REGION.max_elevation), dtype=torch.float32)


def scored(network: VoxelScores, seen: np.ndarray, measured: np.ndarray) -> np.ndarray:
    """(S, 64): the network's scores of states."""
    rows = np.array_split(np.arange(len(seen)), -(-len(seen) // 64))
    directions = directions_of_records()[None]
    with torch.no_grad():
        parts = [network(unpacked(seen[k]), directions, torch.as_tensor(measured[k])) for k in rows]
    return torch.cat(parts).numpy()


def figures(network: VoxelScores, states: States) -> dict[str, tuple[float, float, float]]:
    """Means with 95 % intervals over objects: the ``regret`` of the measures' sum, of the network, and of the
    network that is shown another object from the same poses in place of its own, in all and by the number of
    views; and the correlation with the gains."""
    own = scored(network, states.seen, states.measured)
    foreign = scored(network, states.foreign, states.measured)
    regrets = {
        "measures": regret(states.measured.sum(axis=2), states),
        "network": regret(own, states),
        "another object's voxels": regret(foreign, states),
    }
    objects = np.arange(len(own)) // (EPISODES * VIEWS)
    columns = {f"regret, {name}": values for name, values in regrets.items()}
    columns["measures minus network"] = regrets["measures"] - regrets["network"]
    columns["another object's voxels minus own"] = regrets["another object's voxels"] - regrets["network"]
    columns["correlation, measures"] = _correlation(states.measured.sum(axis=2), states)
    columns["correlation, network"] = _correlation(own, states)
    found = {name: interval(values[None], objects) for name, values in columns.items()}
    for views in range(1, VIEWS + 1):
        some = states.views == views
        for name in ("regret, measures", "regret, network", "measures minus network"):
            found[f"{name}, {views} views"] = interval(columns[name][None, some], objects[some])
    return found


def regret(scores: np.ndarray, states: States) -> np.ndarray:
    """(S,): what the best of the directions left gains, less what the one with the highest score does."""
    best = np.where(states.left, states.gains, -np.inf).max(axis=1)
    chosen = np.where(states.left, scores, -np.inf).argmax(axis=1)
    return best - states.gains[np.arange(len(chosen)), chosen]


def _correlation(scores: np.ndarray, states: States) -> np.ndarray:
    """(S,): Pearson's, over the directions left."""
    pairs = zip(scores, states.gains, states.left, strict=True)
    return np.array([np.corrcoef(each[left], gains[left])[0, 1] for each, gains, left in pairs])


if __name__ == "__main__":
    set_threads(None)
    try:
        for name, (mean, low, high) in train(
            parse_flags(Flags, __doc__, "python -m agents.nbv.voxel_training")
        ).items():
            print(f"{name}: {mean:.3f} [{low:.3f}, {high:.3f}]")
    except (ValueError, TypeError, OSError, ImportError) as error:
        sys.exit(f"agents.nbv.voxel_training: {error}")
    except KeyboardInterrupt:
        sys.exit("agents.nbv.voxel_training: interrupted")
