"""What trains a network from records, step by step: interrupted, it goes on where it last saved."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler
from tqdm import tqdm

from spatial_envs.foundation.files import replacing


def teach(
    network: nn.Module,
    schedule: LRScheduler,
    loss: Callable[[np.random.Generator], torch.Tensor],
    config: dict[str, Any],
    seed: int,
    state: Path,
    every: int,
) -> float:
    """Change the network's weights, in place; the seconds of processor time that it took in all.

    schedule  of the optimiser's rate, a step of each after each loss
    loss      of a batch that the step's generator draws
    config    "steps", and whatever else makes a training another one
    state     where all is saved after so many steps, ``every``; losses.csv beside it has the mean loss since
              the last time, and the seconds so far
    ValueError for a state that cannot be read, or is another training's.
    """
    first, spent, adam = 0, 0.0, schedule.optimizer
    parts: dict[str, Any] = {"network": network, "adam": adam, "falling": schedule}
    if state.exists():
        try:
            kept = torch.load(state, weights_only=True)
        except Exception as error:
            raise ValueError(f"out: {state}: expected what a training saved ({error})") from error
        if kept["config"] != config or kept["seed"] != seed:
            raise ValueError(f"out: {state.parent} holds another training; choose another folder")
        for name, part in parts.items():
            part.load_state_dict(kept[name])
        first, spent = kept["step"], kept["spent"]
    losses, began, steps = [], time.process_time(), config["steps"]
    for step in tqdm(range(first, steps), "training", steps, initial=first, leave=False):
        cost = loss(np.random.default_rng([seed, step]))
        adam.zero_grad()
        cost.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        adam.step()
        schedule.step()
        losses.append(float(cost.detach()))
        if (step + 1) % every == 0 or step + 1 == steps:
            now = spent + time.process_time() - began
            _log(state.with_name("losses.csv"), step + 1, float(np.mean(losses)), now)
            losses = []
            saved = {name: part.state_dict() for name, part in parts.items()}
            with replacing(state) as path:
                torch.save({**saved, "step": step + 1, "spent": now, "config": config, "seed": seed}, path)
    return spent + time.process_time() - began


def _log(path: Path, step: int, loss: float, seconds: float) -> None:
    new = not path.exists()
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(("step", "loss", "seconds"))
        writer.writerow((step, f"{loss:.5g}", f"{seconds:.0f}"))
