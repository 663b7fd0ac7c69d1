"""``--algo encoder``: the network from depth maps to slots, and the bank of prototypes, by supervision.

The scenes are made on disk by a process of their own, beside the training
(``agents.scene_fit.encoder_data``). The losses are those of ``spatial_envs.prototypes.losses``, in units of
each scene. Procedural scenes have a truth, so each object is given the slot that is nearest to it
(Hungarian), which is then to explain all of the object's surface, seen or not, and nothing else; weights of 0
for surface, own, reverse, centre and presence train without. The numbers of objects grow (curriculum),
queries start at pieces of the depth map or k-means, the temperature of the softmax falls, and a prototype
that hardly any slot uses is seeded again from the one used most. With ``teacher: depth`` nothing is told but
the depth map: the groups that queries start at stand for objects, and what was seen of them for their
surface; so it learns from any data set of depth (``--scenes``). ``weigh: losses`` weighs the distances of
unblended prototypes instead of blending vertices.
"""

from __future__ import annotations

import csv
import math
import reprlib
import time
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import nn
from tqdm import tqdm

from agents.hyperparameters import check_numbers
from agents.scene_fit.baselines import Encoded
from agents.scene_fit.colors import color_prototypes
from agents.scene_fit.encoder_data import Flags, Pool, by_groups, prepare, prepare_files
from spatial_envs.foundation.arguments import check_choice, user_path
from spatial_envs.foundation.files import replacing
from spatial_envs.prototypes.bank import BankSizes, PrototypeBank
from spatial_envs.prototypes.encoder import EncoderSizes, SlotEncoder, picture_of
from spatial_envs.prototypes.losses import (
    Sight,
    distances,
    expected_minimum,
    free_space,
    occlusion,
    overlap,
    parsimony,
    weighed,
)
from spatial_envs.prototypes.target import Target
from spatial_envs.scenes.depth_frames import open_depth

POINTS = 256  # of the target and, again, of the true surface, that one step looks at
MISSING = 1.0  # units: what a point costs where no slot is present
SHOWN = 6  # objects in the scenes that colours are taken from
OPTIONS = ("max_depth", "intrinsics", "depth_scale", "invalid", "image_size")  # of files
DEAD = 0.15  # of a fair share: a prototype used less is seeded again


def train_encoder(folder: Path, run: dict[str, Any]) -> Encoded:
    """Train to the end, or go on with the run in the folder. ``run`` is what config.yaml holds, its
    hyperparameters those of configs/encoder.yml. ``minutes`` are of processor time, so that a busy machine
    does not shorten it; the learning rate falls to nothing by then."""
    config, made = run["hyperparameters"], run["scenes"] == "procedural"
    data = user_path("data", config["data"]) if made else folder / "data"
    slots = SHOWN if made else run["env_kwargs"]["slots"]
    options = {name: run["env_kwargs"][name] for name in OPTIONS if name in run["env_kwargs"]}
    options |= {"scenes": run["scenes"], "num_objects": slots}
    frames = open_depth(**options)
    make = (
        partial(prepare, Flags(data, scenes=config["scenes"]))
        if made
        else partial(prepare_files, data, options, slots, config["scenes"])
    )
    maker = get_context("spawn").Process(target=make, daemon=True)
    maker.start()
    try:
        while not any(Pool(data).paths.values()):
            if not maker.is_alive():
                raise RuntimeError(f"data: no scene could be made in {data}; the output above says why")
            time.sleep(0.5)
        model = _train(folder, run["seed"], config, Pool(data))
    finally:
        maker.terminate()
    color_prototypes(model.eval(), frames, min(config["colored"], len(frames)), slots)
    return Encoded(_save_weights(folder, model))


def check_hyperparameters(given: dict[str, Any], published: dict[str, Any]) -> None:
    """ValueError where a number is not of the kind of the published one, or sizes make no network."""
    for key in published:
        if key not in given or isinstance(given[key], dict) != isinstance(published[key], dict):
            shown = reprlib.repr(given.get(key))
            raise ValueError(f"{key}: got {shown}; expected one such as {published[key]}")
    check_choice("weigh", given["weigh"], ("vertices", "losses"))
    check_choice("teacher", given["teacher"], ("truth", "depth"))
    flat = {key: value for key, value in published.items() if not isinstance(value, (str, dict))}
    check_numbers("", {key: given[key] for key in flat}, flat, real=("minutes",))
    check_numbers("weights: ", given["weights"], published["weights"])
    if not isinstance(given["data"], str):
        raise ValueError(f"data: got {reprlib.repr(given['data'])}; expected a folder")
    try:
        SlotEncoder(EncoderSizes(**given["encoder"]), PrototypeBank(BankSizes(**given["bank"])))
    except (AssertionError, IndexError, OverflowError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"encoder, bank: got {given['encoder']}, {given['bank']}: {error}") from None


def _train(folder: Path, seed: int, config: dict[str, Any], pool: Pool) -> SlotEncoder:
    torch.manual_seed(seed)
    bank = PrototypeBank(BankSizes(**config["bank"]), seed)
    model = SlotEncoder(EncoderSizes(**config["encoder"]), bank)
    shapes = list(bank.parameters())
    network = [p for name, p in model.named_parameters() if not name.startswith("bank.")]
    optimiser = torch.optim.AdamW(
        [{"params": network, "factor": 1.0}, {"params": shapes, "factor": config["bank_factor"]}],
        config["learning_rate"],
        weight_decay=config["weight_decay"],
    )
    step, spent = 0, 0.0
    usage = torch.full((bank.sizes.prototypes,), 1 / bank.sizes.prototypes)
    if (folder / "state.pt").exists():
        kept = torch.load(folder / "state.pt", weights_only=True)
        model.load_state_dict(kept["model"])
        optimiser.load_state_dict(kept["optimiser"])
        step, spent, usage = kept["step"], kept["spent"], kept["usage"]
    rng = np.random.default_rng([seed, step])
    running: dict[str, float] = {}
    total, before = 60 * config["minutes"], time.process_time()
    bar = tqdm(total=round(total), initial=round(spent), unit="s", desc="encoder", leave=False)
    while spent < total:
        done = spent / total
        for group in optimiser.param_groups:
            warm = min(1.0, (step + 1) / config["warmup"])
            group["lr"] = (
                config["learning_rate"] * group["factor"] * warm * 0.5 * (1 + math.cos(math.pi * done))
            )
        counts = [k for k in pool if k <= most_objects(done, config)] or [min(pool)]
        count = int(rng.choice(counts))
        slots = count + int(rng.integers(0, config["spare_slots"] + 1))
        batch = max(2, config["batch_objects"] // max(count, 3))
        targets, labels = pool.draw(count, batch, rng, slots, config["kmeans"])
        if config["teacher"] == "depth":
            targets = [by_groups(*each) for each in zip(targets, labels, strict=True)]
        model.train()
        warmth = temperature(done, config)
        terms, weights = losses(model, targets, labels, slots, warmth, rng, config["weigh"])
        loss = torch.stack([config["weights"][name] * term for name, term in terms.items()]).sum()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        if not nn.utils.clip_grad_norm_(model.parameters(), 1.0).isfinite():
            raise FloatingPointError(f"step {step}: the gradient is not finite; the last good state is kept")
        optimiser.step()
        step += 1
        usage = 0.99 * usage + 0.01 * weights
        for name, term in terms.items():
            value = float(term.detach())
            running[name] = 0.98 * running.get(name, value) + 0.02 * value
        now = time.process_time()
        bar.update(round(spent + now - before) - round(spent))
        spent, before = spent + now - before, now
        if step % config["log_every"] == 0:
            _log(folder / "losses.csv", {"step": step, "minutes": spent / 60, "objects": count, **running})
            pool.refresh()
        if step % config["reseed_every"] == 0 and done < 0.7:
            usage = reseed(bank, usage, rng)
        if step % config["save_every"] == 0 or spent >= total:
            _save(folder, model, optimiser, {"step": step, "spent": spent, "usage": usage})
    bar.close()
    return model


def most_objects(done: float, config: dict[str, Any]) -> int:
    """The curriculum: how many objects a scene may have after this share of the training."""
    return int(3 + (12 - 3) * min(1.0, done / config["curriculum"]))


def temperature(done: float, config: dict[str, Any]) -> float:
    """Return the temperature of the softmax over prototypes, which falls to 1 half way through the
    training."""
    first = config["temperature"]
    return float(first + (1 - first) * min(1.0, 2 * done))


def losses(
    model: SlotEncoder,
    targets: list[Target],
    labels: list[np.ndarray],
    slots: int,
    temperature: float,
    rng: np.random.Generator,
    weigh: str = "vertices",
) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """The terms of the loss, scalars, in units of the scenes, whose points are in groups ``labels``, and the
    mean use (P,) of the prototypes."""
    bank, topology = model.bank, model.bank.topology
    picture, units = picture_of(targets, labels, slots)
    given = model(picture, units)
    there = picture.groups[..., -1]
    vertices = bank(given, temperature)
    presence = bank.presence(given) * there
    drawn = [_draw(target, rng) for target in targets]
    points, pixels, ids, surface, surface_ids = (
        torch.as_tensor(np.stack(each)) for each in zip(*drawn, strict=True)
    )
    sight = Sight(
        torch.as_tensor(np.stack([t.depth for t in targets])),
        torch.as_tensor(np.stack([t.intrinsics for t in targets])).float(),
        torch.as_tensor(np.stack([t.cam_to_frame for t in targets])).float(),
    )
    both = torch.cat([points, surface], dim=1)
    if weigh == "losses":
        each = distances(both, bank.each(given).flatten(1, 2), topology)[0]
        apart = weighed(each.unflatten(1, (slots, -1)), bank.weights(given, temperature))
    else:
        apart = distances(both, vertices, topology)[0]
    apart = apart / units[:, None, None]
    seen, hidden = apart[..., :POINTS], apart[..., POINTS:]
    gap = occlusion(points, pixels, vertices, topology, sight) / units[:, None]
    violated = free_space(vertices, sight) / units[:, None]
    share = presence / presence.sum(dim=1, keepdim=True).clamp_min(1e-3)
    own, reverse, centre, wanted = matched(apart, ids, surface, surface_ids, vertices, there, units)
    terms = {
        "distance": expected_minimum(seen, presence, MISSING).mean(),
        "occlusion": gap.clamp_max(1.0).mean(),
        "free_space": (share * violated).sum(dim=1).mean(),
        "overlap": overlap(vertices, presence, topology).mean(),
        "parsimony": parsimony(presence).mean(),
        "surface": expected_minimum(hidden, presence, MISSING).mean(),
        "own": own,
        "reverse": reverse,
        "centre": centre,
        "presence": F.binary_cross_entropy(presence.clamp(1e-4, 1 - 1e-4), wanted, weight=there),
    }
    return terms, bank.weights(given, temperature).mean(dim=(0, 1)).detach()


def _draw(target: Target, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    assert target.objects is not None
    assert target.surface is not None
    assert target.surface_objects is not None
    near = rng.choice(np.flatnonzero(target.objects > 0), POINTS)  # what the ground left behind has id 0
    all_round = rng.integers(len(target.surface), size=POINTS)
    return (
        target.points[near], target.pixels[near], target.objects[near].astype(np.int64),
        target.surface[all_round], target.surface_objects[all_round].astype(np.int64),
    )  # fmt: skip


def matched(
    apart: torch.Tensor,
    ids: torch.Tensor,
    surface: torch.Tensor,
    surface_ids: torch.Tensor,
    vertices: torch.Tensor,
    there: torch.Tensor,
    units: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """With every object given the slot that is nearest to all of its points: mean distance, in units, of each
    object's points to its own slot, of that slot's vertices to the object, and between the centres of both;
    and which slots (B, K) are used.

    apart (B, K, 2 POINTS), units; ids and surface_ids (B, POINTS), objects; vertices (B, K, V, 3), metres;
    there (B, K): 0 for slots that cannot be used
    """
    both = torch.cat([ids, surface_ids], dim=1)
    own, reverse, centre, wanted = [], [], [], torch.zeros_like(there)
    for b in range(len(apart)):
        objects = torch.unique(ids[b])  # those seen
        member = (both[b][None] == objects[:, None]).to(apart.dtype)
        cost = apart[b] @ member.T / member.sum(dim=1)
        blocked = cost.detach() + 1e3 * (1 - there[b])[:, None]
        slots, columns = linear_sum_assignment(blocked.numpy())
        slots, columns = torch.as_tensor(slots), torch.as_tensor(columns)
        own.append(cost[slots, columns].mean())
        wanted[b, slots] = 1.0
        for slot, column in zip(slots, columns, strict=True):
            mine = surface[b][surface_ids[b] == objects[column]]
            if len(mine):
                away = torch.cdist(vertices[b, slot, ::5], mine).min(dim=1).values.mean()
                reverse.append(away / units[b])
                centre.append((vertices[b, slot].mean(dim=0) - mine.mean(dim=0)).norm() / units[b])
    return torch.stack(own).mean(), torch.stack(reverse).mean(), torch.stack(centre).mean(), wanted


def reseed(bank: PrototypeBank, usage: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Let the prototypes that are hardly used start again beside the one used most; the usage (P,) after."""
    dead = torch.nonzero(usage < DEAD / len(usage)).flatten().tolist()
    if bank.sizes.shared_parts or not dead:
        return usage
    busiest, usage = int(usage.argmax()), usage.clone()
    with torch.no_grad():
        for parameter in (p for name, p in bank.named_parameters() if name != "color_logits"):
            noise = torch.as_tensor(rng.normal(size=(len(dead), *parameter.shape[1:]))).float()
            parameter[dead] = parameter[busiest] + 0.5 * noise * parameter.std()
    usage[dead] = 1 / len(usage)
    return usage


def _log(path: Path, row: dict[str, float]) -> None:
    new = not path.exists()
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(row)
        writer.writerow([f"{value:.5g}" for value in row.values()])


def _save(folder: Path, model: SlotEncoder, optimiser: torch.optim.Optimizer, rest: dict[str, Any]) -> None:
    """The state to resume from and the weights to ship; a kill between leaves the last ones whole."""
    state = {"model": model.state_dict(), "optimiser": optimiser.state_dict(), **rest}
    with replacing(folder / "state.pt") as path:
        torch.save(state, path)
    _save_weights(folder, model)


def _save_weights(folder: Path, model: SlotEncoder) -> Path:
    with replacing(folder / "encoder.safetensors") as path:
        model.save(path)
    return folder / "encoder.safetensors"
