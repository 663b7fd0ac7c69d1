"""Train the compact backbone: ``python -m agents.backbone.training --out runs/compact``; ``--resume``
goes on.

Factored supervision as MapAnything's, with a Laplace likelihood of the log depth that makes confidence mean
something, and an auxiliary pair of heads that must tell from the pooled tokens alone how much each of the 64
candidate views of the gravity frame would add: so that the tokens know what is still unseen.
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
import tyro
from safetensors.torch import save_file
from torch import nn
from torch.utils.data import DataLoader, IterableDataset
from tqdm import tqdm

from agents.backbone.data import Studio, collate
from agents.flags import UserPath
from agents.hyperparameters import check_numbers
from agents.run_folder import begun, check_out, write_config
from spatial_envs.backbones.compact import PATCH, CompactNet, Inputs, Sizes, by_view, pixel_rays, points_at
from spatial_envs.foundation import yaml_files
from spatial_envs.foundation.arguments import check_device, resolve_device
from spatial_envs.foundation.files import replacing
from spatial_envs.foundation.threads import set_threads
from spatial_envs.nbv.task import CANDIDATES
from spatial_envs.scenes.objects import open_objects


@dataclass(frozen=True)
class Flags:
    """What the command line says."""

    config: UserPath = Path(__file__).resolve().parents[2] / "configs" / "compact.yml"
    """YAML with every number of the training."""
    out: UserPath = Path("runs/compact")
    """The run folder."""
    resume: bool = False
    """Go on with the run in the folder."""
    steps: int | None = None
    """Optimiser steps in all; by default what the config says."""
    threads: int | None = None
    """Of torch, where it runs on the CPU; by default all."""
    device: str = "auto"
    """Torch device."""


class Batches(IterableDataset):
    """Collated samples, one number of views each, from step ``first`` on."""

    def __init__(self, config: dict[str, Any], first: int) -> None:
        self.config, self.first = config, first

    def __iter__(self) -> Iterator[tuple[Inputs, Inputs, torch.Tensor]]:
        config = self.config
        rng = np.random.default_rng([config["seed"], self.first])
        studio = Studio(open_objects("procedural", "train"), rng, config["image_size"], config["pool"])
        while True:
            count = int(rng.integers(1, config["max_views"] + 1))
            yield collate([studio.sample(count) for _ in range(max(1, round(config["batch_views"] / count)))])


class Trained(nn.Module):
    """The network and the auxiliary heads; only the network ships."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.net = CompactNet(sizes)
        self.gain_head = nn.Linear(sizes.width, CANDIDATES)
        self.rank_head = nn.Linear(sizes.width, CANDIDATES)

    def forward(self, measured: Inputs, truth: Inputs, gains: torch.Tensor) -> dict[str, torch.Tensor]:
        """The terms of the loss, scalars."""
        net, count = self.net, measured.view_mask.numel()
        with torch.autocast(gains.device.type, torch.bfloat16):  # the geometry below needs more bits
            seen = net.see(measured, torch.arange(count, device=gains.device))
            tokens, scale, unit = net.fuse(measured, seen)
        pose, intrinsics, metres = net.poses_and_intrinsics(measured, tokens.float(), scale.float(), unit)
        with torch.autocast(gains.device.type, torch.bfloat16):
            depth, hit, error = net.decode(measured, seen, tokens, metres)
        terms = _factors(measured, truth, pose, intrinsics, depth, hit, error)

        gravity = ~gains.isnan().any(dim=1) & measured.has_pose.all(dim=1)
        pooled = tokens.mean(dim=1).unflatten(0, measured.view_mask.shape).mean(dim=1).float()[gravity]
        target = gains[gravity]
        spread = target.std(dim=1, keepdim=True).clamp_min(0.02)
        terms["gain"] = _mean((self.gain_head(pooled) - target) ** 2) / 0.04
        terms["rank"] = _mean(
            (self.rank_head(pooled) - (target - target.mean(1, keepdim=True)) / spread) ** 2
        )
        return terms


def _factors(measured, truth, pose, intrinsics, depth, hit, error) -> dict[str, torch.Tensor]:
    mask = measured.view_mask
    real = truth.depth[mask]
    there = real > 0
    residual = (depth.clamp_min(1e-6).log() - real.clamp_min(1e-6).log()).abs()
    image_only = ~(measured.has_depth | measured.has_pose).any(dim=1)
    weight = by_view(torch.where(image_only, 0.3, 1.0), mask)[:, None, None]
    known = (measured.depth[mask] > 0) & measured.has_depth[mask][:, None, None]
    likelihood = residual.detach() / error.exp() + error
    # everything in units of the set's true mean depth
    sizes = (truth.depth.flatten(1).sum(1) / (truth.depth > 0).flatten(1).sum(1).clamp_min(1)).clamp_min(0.1)
    size = by_view(sizes, mask)
    image = (real.shape[1], real.shape[2])
    points = points_at(pixel_rays(intrinsics, image), depth, pose)
    real_points = points_at(pixel_rays(truth.intrinsics[mask], image), real, truth.cam_to_world[mask])
    apart = (points - real_points).norm(dim=-1) / size[:, None, None]
    fov = (intrinsics[:, 0, 0].log() - truth.intrinsics[mask][:, 0, 0].log()).abs()
    correcting = torch.where(measured.has_pose[mask], 10.0, 1.0)  # small errors, and what the env asks for
    turn = correcting * (pose[:, :3, :3] - truth.cam_to_world[mask][:, :3, :3]).abs().mean(dim=(1, 2))
    shift = correcting * (pose[:, :3, 3] - truth.cam_to_world[mask][:, :3, 3]).norm(dim=1) / size
    return {
        "depth": _mean_by_view(weight * residual, there & ~known),
        "kept": _mean_by_view(residual, there & known),
        "likelihood": _mean(likelihood[there]),
        "hit": F.binary_cross_entropy_with_logits(hit, there.float()),
        "points": _mean_by_view(weight * apart.clamp_max(3), there),
        "intrinsics": fov.mean(),
        "turn": turn.mean(),
        "shift": shift.clamp_max(5).mean(),
    }


WEIGHTS = {
    "depth": 10.0, "kept": 20.0, "likelihood": 0.05, "hit": 0.5, "points": 3.0,
    "intrinsics": 0.2, "turn": 1.0, "shift": 0.5,
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
    model = Trained(Sizes(**config["sizes"])).to(device)
    optimiser = torch.optim.AdamW(
        model.parameters(), config["learning_rate"], betas=(0.9, 0.98), weight_decay=config["weight_decay"]
    )
    first = 0
    if flags.resume:
        kept = torch.load(folder / "state.pt", map_location=device, weights_only=True)
        model.load_state_dict(kept["model"])
        optimiser.load_state_dict(kept["optimiser"])
        first = kept["step"]
    batches = iter(DataLoader(Batches(config, first), batch_size=None, num_workers=1, prefetch_factor=4))
    weights = WEIGHTS | {"gain": config["gain_weight"], "rank": config["gain_weight"]}
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
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


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
    metadata = {name: str(value) for name, value in asdict(model.net.sizes).items()} | {"step": str(step)}
    with replacing(folder / "compact.safetensors") as path:
        save_file(half, path, metadata)


if __name__ == "__main__":
    print(train(tyro.cli(Flags)))
