"""Slots made better on one depth map, by gradient: what a user without truth can do."""

from __future__ import annotations

import numpy as np
import torch

from spatial_envs.fitting_target import Target
from spatial_envs.prototypes.bank import PrototypeBank
from spatial_envs.prototypes.losses import (
    Sight,
    distances,
    expected_minimum,
    free_space,
    occlusion,
    overlap,
)

MOST_POINTS = 400  # of the target, drawn anew at every step


def refined(
    bank: PrototypeBank,
    target: Target,
    slots: torch.Tensor,
    steps: int = 60,
    rate: float = 0.02,
    seed: int = 0,
) -> torch.Tensor:
    """Slots (K, 7 + P + 1) after some steps of Adam (rate: of units, radians and logits / 5 at first, falling
    to nothing) on the expected-minimum distance, occlusion, free space and overlap; the bank stays as it
    is."""
    rng = np.random.default_rng([seed, 4])
    sight = Sight(
        torch.as_tensor(target.depth)[None],
        torch.tensor(target.intrinsics).float()[None],
        torch.as_tensor(target.cam_to_frame).float()[None],
    )
    with torch.no_grad():
        shapes = bank.shapes()
    start = slots.detach()
    log_scale = start[:, :1].clamp_min(1e-3).log().clone().requires_grad_(True)
    place = (start[:, 1:4] / target.unit).clone().requires_grad_(True)
    angles = start[:, 4:7].clone().requires_grad_(True)
    logits = (start[:, 7:] / 5).clone().requires_grad_(True)
    parameters = [log_scale, place, angles, logits]
    optimiser = torch.optim.Adam(parameters, rate)

    def joined() -> torch.Tensor:
        return torch.cat([log_scale.exp(), target.unit * place, angles, 5 * logits], dim=1)

    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = rate * (1 - step / steps)
        chosen = rng.integers(len(target.points), size=min(MOST_POINTS, len(target.points)))
        points = torch.as_tensor(target.points[chosen])[None]
        pixels = torch.as_tensor(target.pixels[chosen])[None]
        now = joined()[None]
        vertices, presence = bank(now, shapes=shapes), bank.presence(now)
        apart, _, _ = distances(points, vertices, bank.topology)
        near = expected_minimum(apart, presence, target.unit)
        gap = occlusion(points, pixels, vertices, bank.topology, sight).mean(dim=1)
        free = (presence * free_space(vertices, sight)).mean(dim=1)
        inside = overlap(vertices, presence, bank.topology)
        # as weak as it can be: what no pixel speaks of stays where it was
        stay = ((now[0, :, :7] - start[:, :7]) ** 2).mean() + 0.01 * (
            (now[0, :, 7:] - start[:, 7:]) ** 2
        ).mean()
        loss = (near + 0.5 * gap + 2 * free) / target.unit + 0.05 * inside + 0.05 * stay
        optimiser.zero_grad(set_to_none=True)
        loss.sum().backward()
        optimiser.step()
    return joined().detach()
