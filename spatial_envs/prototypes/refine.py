"""Slots made better on one depth map, by gradient: what a user without truth can do."""

from __future__ import annotations

import numpy as np
import torch

from spatial_envs.prototypes.bank import POSE, PrototypeBank
from spatial_envs.prototypes.losses import Sight, distances, expected_minimum, free_space, occlusion
from spatial_envs.prototypes.target import Target

MOST_POINTS = 400  # of the target, drawn anew at every step
MARGIN = 0.05  # units: by so much a point's own slot is to be nearer than all others
STAY = (2.0, 6.0, 0.6, 0.05)  # how dear it is to leave the log scale, place, angles and logits / 5 at first
ELSEWHERE = 1e3  # metres


def refined(
    bank: PrototypeBank,
    target: Target,
    slots: torch.Tensor,
    steps: int = 60,
    rate: float = 0.02,
    seed: int = 0,
) -> torch.Tensor:
    """Slots (K, 7 + P + 1) after some steps of Adam (rate: of log scale, units, radians and logits / 5 at
    first, falling to nothing); the bank stays as it is, and so do the presences, and slots that are absent.

    A point's own slot is the one that was nearest to it at first. With d the distances in units, the loss is
    the mean of d(own) + 0.5 expected minimum + max(0, d(own) - d(nearest other) + 0.05) + occlusion + free
    space, and what keeps slots near their start where no pixel speaks. Without own slots, shapes would take
    over each other's points, and the grouping be lost."""
    rng = np.random.default_rng([seed, 4])
    sight = Sight(
        torch.as_tensor(target.depth)[None],
        torch.tensor(target.intrinsics).float()[None],
        torch.as_tensor(target.cam_to_frame).float()[None],
    )
    there = bank.presence(slots.detach()) > 0.5
    if not there.any():
        return slots.detach()
    start, unit = slots.detach()[there], target.unit
    presence = bank.presence(start)[None]
    with torch.no_grad():
        shapes = bank.shapes()
        first = distances(
            torch.as_tensor(target.points)[None], bank(start[None], shapes=shapes), bank.topology
        )
        owner = first[0][0].argmin(dim=0)
    start_at = [
        start[:, :1].clamp_min(1e-3).log(), start[:, 1:4] / unit, start[:, 4:POSE], start[:, POSE:-1] / 5
    ]  # fmt: skip
    parameters = [each.clone().requires_grad_(True) for each in start_at]
    optimiser = torch.optim.Adam(parameters, rate)
    absence = start[:, -1:] - start[:, POSE:-1].logsumexp(dim=1, keepdim=True)  # which the presence follows

    def joined() -> torch.Tensor:
        log_scale, place, angles, logits = parameters
        none = absence + (5 * logits).logsumexp(dim=1, keepdim=True)
        return torch.cat([log_scale.exp(), unit * place, angles, 5 * logits, none], dim=1)

    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = rate * (1 - step / steps)
        chosen = rng.integers(len(target.points), size=min(MOST_POINTS, len(target.points)))
        points = torch.as_tensor(target.points[chosen])[None]
        pixels = torch.as_tensor(target.pixels[chosen])[None]
        vertices = bank(joined()[None], shapes=shapes)
        apart = distances(points, vertices, bank.topology)[0]
        minimum = expected_minimum(apart, presence, unit)
        own_slot = owner[chosen][None, None]
        own = apart.gather(1, own_slot)
        other = apart.scatter(1, own_slot, ELSEWHERE).amin(dim=1, keepdim=True)
        strayed = (own - other + MARGIN * unit).clamp_min(0)
        gap = occlusion(points, pixels, vertices, bank.topology, sight)
        free = (presence * free_space(vertices, sight)).mean()
        away = [((now - then) ** 2).mean() for now, then in zip(parameters, start_at, strict=True)]
        stay = torch.stack(away).dot(torch.tensor(STAY))
        loss = (own.mean() + strayed.mean() + gap.mean() + 0.5 * minimum.mean() + free) / unit + stay
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
    out = slots.detach().clone()
    out[there] = joined().detach()
    return out
