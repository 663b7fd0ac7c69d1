"""Train the compact backbone: ``python -m agents.backbone.training --out runs/compact``; ``--resume``
goes on.

First the library of views is rendered, then the network is trained on it: errors of the log depth, with a
Laplace likelihood that makes confidence mean something, and auxiliary heads that must tell from the tokens
alone how much each of the 64 candidate views of the gravity frame would add, from their mean, and by asking
them one by one: so that they know what is still unseen, and where.
"""

from __future__ import annotations

import csv
import math
import reprlib
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save
from torch import nn
from torch.utils.data import DataLoader, IterableDataset
from tqdm import tqdm

from agents.backbone.data import MAX_VIEWS, Sampler, collate
from agents.backbone.library import Library, Plan, open_library
from agents.flags import UserPath, parse_flags
from agents.hyperparameters import check_numbers
from agents.run_folder import begun, check_out, write_config
from spatial_envs.backbones.compact import (
    EDITION,
    PATCH,
    CompactNet,
    Inputs,
    Looked,
    Seen,
    Sizes,
    with_aligned_poses,
)
from spatial_envs.foundation import yaml_files
from spatial_envs.foundation.arguments import check_device, resolve_device
from spatial_envs.foundation.files import replacing
from spatial_envs.foundation.threads import cores, set_threads
from spatial_envs.nbv.task import CANDIDATES


@dataclass(frozen=True)
class Flags:
    """What the command line says."""

    config: UserPath = Path(__file__).resolve().parents[2] / "configs" / "compact.yml"
    """YAML with every number of the training."""
    out: UserPath = Path("runs/compact")
    """The run folder."""
    library: UserPath | None = None
    """The folder of the rendered views, 62 kB each; by default one in the run folder."""
    resume: bool = False
    """Go on with the run in the folder."""
    steps: int | None = None
    """Optimiser steps in all; by default what the config says."""
    threads: int | None = None
    """Of torch, where it runs on the CPU; by default all."""
    device: str = "auto"
    """Torch device."""


VIEWS = (0.08, 0.26, 0.18, 0.24, 0.24)  # how often a batch has sets of 1, 2, ... 5 of them


class Batches(IterableDataset):
    """Collated samples, one number of views each, from step ``first`` on."""

    def __init__(self, folder: Path, plan: Plan, config: dict[str, Any], first: int) -> None:
        self.folder, self.plan, self.config, self.first = folder, plan, config, first

    def __iter__(self) -> Iterator[tuple[Inputs, Inputs, torch.Tensor]]:
        config = self.config
        rng = np.random.default_rng([config["seed"], self.first])
        sampler = Sampler(Library(self.folder, self.plan), rng)
        while True:
            count = 1 + int(rng.choice(MAX_VIEWS, p=VIEWS))
            sets = max(1, round(config["batch_views"] / count))
            yield collate([sampler.sample(count) for _ in range(sets)])


class Trained(nn.Module):
    """The network and the auxiliary heads; only the network ships."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.net = CompactNet(sizes)
        width = sizes.width
        self.gain_head = nn.Linear(width, CANDIDATES)
        self.rank_head = nn.Linear(width, CANDIDATES)
        self.candidates = nn.Parameter(0.1 * torch.randn(CANDIDATES, width))
        self.keys, self.values = nn.Linear(width, width), nn.Linear(width, width)
        self.asked_head = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, 1))

    def forward(self, measured: Inputs, truth: Inputs, gains: torch.Tensor) -> dict[str, torch.Tensor]:
        """The terms of the loss, scalars."""
        net, count = self.net, measured.view_mask.numel()
        with torch.autocast(gains.device.type, torch.bfloat16):
            seen = net.see(measured, torch.arange(count, device=gains.device))
            measured = with_aligned_poses(measured, seen.smooth)
            looked = net.look(measured, seen)
            tokens = net.fuse(measured, seen, looked)
            depth, hit, error = net.decode(measured, seen, looked, tokens)
        terms = _pixels(measured, truth, depth, hit, error) | _firsts(truth, seen, looked)

        gravity = ~gains.isnan().any(dim=1)
        of_sets = tokens.float().unflatten(0, measured.view_mask.shape).flatten(1, 2)[gravity]
        pooled, target = of_sets.mean(dim=1), gains[gravity]
        spread = target.std(dim=1, keepdim=True).clamp_min(0.02)
        order = (target - target.mean(1, keepdim=True)) / spread
        terms["gain"] = _mean((self.gain_head(pooled) - target) ** 2) / 0.04
        terms["rank"] = _mean((self.rank_head(pooled) - order) ** 2)
        terms["asked"] = _mean((self._asked(of_sets) - order) ** 2)
        return terms

    def _asked(self, tokens: torch.Tensor) -> torch.Tensor:
        """(B, 64): each candidate asks the tokens (B, T, D), of which it may choose."""

        def heads(x: torch.Tensor) -> torch.Tensor:
            return x.unflatten(-1, (4, -1)).transpose(-3, -2)

        queries = self.candidates.expand(len(tokens), -1, -1)
        found = F.scaled_dot_product_attention(
            heads(queries), heads(self.keys(tokens)), heads(self.values(tokens))
        )
        return self.asked_head(queries + found.transpose(1, 2).flatten(2))[..., 0]


def _pixels(measured, truth, depth, hit, error) -> dict[str, torch.Tensor]:
    mask = measured.view_mask
    real = truth.depth[mask]
    there = real > 0
    residual = (depth.clamp_min(1e-6).log() - real.clamp_min(1e-6).log()).abs()
    known = (measured.depth[mask] > 0) & measured.has_depth[mask][:, None, None]
    likelihood = residual.detach() / error.exp() + error
    return {
        "depth": _mean_by_view(residual, there & ~known),
        "kept": _mean_by_view(residual, there & known),
        "likelihood": _mean(likelihood[there]),
        "hit": F.binary_cross_entropy_with_logits(hit, there.float()),
    }


def _firsts(truth: Inputs, seen: Seen, looked: Looked) -> dict[str, torch.Tensor]:
    """Of what is said on the way: the surfaces by each view alone, and the first depth."""
    real = truth.depth[truth.view_mask]
    height, width = looked.depth.shape[-2:]
    rows, columns = (
        ((torch.arange(n, device=real.device) + 0.5) * size / n).long()
        for n, size in zip((height, width), real.shape[1:], strict=True)
    )
    at_cells = real[:, rows[:, None], columns]
    there = at_cells > 0
    logs = at_cells.clamp_min(1e-6).log() - looked.middle.log()[:, None, None]
    share = F.avg_pool2d((real > 0).float()[:, None], 2)[:, 0]
    return {
        "first": _mean_by_view((looked.depth - logs).abs(), there),
        "first surface": F.binary_cross_entropy_with_logits(looked.surface, there.float()),
        "surface": F.binary_cross_entropy_with_logits(seen.surface, share),
    }


WEIGHTS = {
    "depth": 10.0, "kept": 80.0, "likelihood": 0.05, "hit": 0.5, "first": 4.0, "first surface": 0.25,
    "surface": 1.5,
}  # fmt: skip


def _mean_by_view(values: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
    """Over views of the means over the pixels (M, H, W) that count; a room is worth no more than a cup."""
    count = where.flatten(1).sum(dim=1)
    means = (values * where).flatten(1).sum(dim=1) / count.clamp_min(1)
    return means.sum() / (count > 0).sum().clamp_min(1)


def _mean(values: torch.Tensor) -> torch.Tensor:
    """0 for none, so that a batch without them trains the rest."""
    return values.mean() if values.numel() else values.sum()


def train(flags: Flags) -> Path:
    """Train to the end and return the run folder."""
    if not flags.resume:
        check_out(flags.out)
        if (flags.out / "config.yaml").exists():
            raise ValueError(f"out: {flags.out} already holds a run; choose another, or add --resume")
    check_device(flags.device)
    config = _config(flags)
    with nullcontext() if flags.resume else begun(flags.out):
        write_config(flags.out, config)
        _train(flags, config)
    return flags.out


def _config(flags: Flags) -> dict[str, Any]:
    """What the file says, checked; ValueError that begins with the flag and the path."""
    path, flag = (flags.out / "config.yaml", "out") if flags.resume else (flags.config, "config")
    config, published = yaml_files.read(path, flag), yaml_files.read(Flags.config)
    where = f"{flag}: {path}: "
    if not isinstance(config, dict) or not isinstance(config.get("sizes"), dict):
        raise ValueError(f"{where}got {reprlib.repr(config)}; expected a mapping such as in {Flags.config}")
    if flags.steps is not None:
        config["steps"] = flags.steps
    flat, published_flat = ({k: v for k, v in each.items() if k != "sizes"} for each in (config, published))
    check_numbers(where, flat, published_flat)
    check_numbers(f"{where}sizes: ", config["sizes"], published["sizes"])
    if config["image_size"] % PATCH:
        raise ValueError(f"{where}image_size: got {config['image_size']}; expected a multiple of {PATCH}")
    return config


def _train(flags: Flags, config: dict[str, Any]) -> None:
    """Train on the folder that ``train`` has begun."""
    folder, device = flags.out, resolve_device(flags.device)
    set_threads(flags.threads, large=True)
    torch.manual_seed(config["seed"])
    plan = Plan(config["seed"], *(config[name] for name in ("objects", "sets", "rooms", "image_size")))
    library = folder / "library" if flags.library is None else flags.library
    model = Trained(Sizes(**config["sizes"])).to(device)  # or it says what is wrong before all is rendered
    open_library(library, plan, cores())
    optimiser = torch.optim.AdamW(
        model.parameters(),
        config["learning_rate"],
        betas=(0.9, 0.98),
        weight_decay=config["weight_decay"],
        fused=True,
    )
    first = 0
    if flags.resume:
        kept = torch.load(folder / "state.pt", map_location=device, weights_only=True)
        model.load_state_dict(kept["model"])
        optimiser.load_state_dict(kept["optimiser"])
        first = kept["step"]
    batches = iter(
        DataLoader(Batches(library, plan, config, first), batch_size=None, num_workers=1, prefetch_factor=4)
    )
    weights = WEIGHTS | dict.fromkeys(("gain", "rank", "asked"), config["gain_weight"])
    running: dict[str, float] = {}
    bar = tqdm(range(first, config["steps"]), initial=first, total=config["steps"], smoothing=0.01)
    for step in bar:
        for group in optimiser.param_groups:
            group["lr"] = config["learning_rate"] * _schedule(step, config)
        measured, truth, gains = next(batches)
        measured, truth = (_to(twin, device) for twin in (measured, truth))
        terms = model(measured, truth, gains.to(device))
        loss = torch.stack([weights[name] * term.float() for name, term in terms.items()]).sum()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        if not norm.isfinite():
            raise FloatingPointError(f"step {step}: the gradient is not finite; the last good state is kept")
        optimiser.step()
        for name, term in terms.items():
            value = float(term.detach())
            running[name] = 0.99 * running.get(name, value) + 0.01 * value
        if (step + 1) % config["log_every"] == 0:
            _log(folder / "losses.csv", step + 1, running)
            bar.set_postfix({name: f"{value:.3f}" for name, value in running.items()})
        if (step + 1) % config["save_every"] == 0 or step + 1 == config["steps"]:
            _save(folder, model, optimiser, step + 1)


def _schedule(step: int, config: dict[str, Any]) -> float:
    """Linear warm-up, then half a cosine to a hundredth."""
    if step < config["warmup"]:
        return (step + 1) / config["warmup"]
    done = (step - config["warmup"]) / max(config["steps"] - config["warmup"], 1)
    return 0.003 + 0.997 * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


def _to(twin: Inputs, device: torch.device) -> Inputs:
    return Inputs(**{name: value.to(device) for name, value in vars(twin).items()})


def _log(path: Path, step: int, running: dict[str, float]) -> None:
    new = not path.exists()
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(["step", *running])
        writer.writerow([step, *(f"{value:.5f}" for value in running.values())])


def _save(folder: Path, model: Trained, optimiser: torch.optim.Optimizer, step: int) -> None:
    """The state to resume from and the weights to ship; a kill between leaves the last ones whole."""
    state = {"model": model.state_dict(), "optimiser": optimiser.state_dict(), "step": step}
    with replacing(folder / "state.pt") as path:
        torch.save(state, path)
    half = {name: value.half().contiguous().cpu() for name, value in model.net.state_dict().items()}
    metadata = {name: str(value) for name, value in asdict(model.net.sizes).items()} | {
        "step": str(step),
        "edition": EDITION,
    }
    with replacing(folder / "compact.safetensors") as path:
        path.write_bytes(save(half, metadata))


if __name__ == "__main__":
    print(train(parse_flags(Flags, __doc__, "python -m agents.backbone.training")))
