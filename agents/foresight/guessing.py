"""A policy of foresight that is a distribution of joint guesses, about those of ``network.EndNetwork``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.policies import BasePolicy
from torch import nn

from agents.foresight.network import GUESSES, EndNetwork, Told
from agents.foresight.policy import TrackFeatures
from spatial_envs.foundation.arguments import check_flag

FIRST_SPREAD = 0.05  # of a guess at first, in what a step can reach
SPREADS = (-4.0, 0.0)  # least and largest logarithm of a spread: without a floor it falls to nothing


class Guesses(NamedTuple):
    """Of B questions a mixture of six Gaussians over joint guesses of K things: shifts of the reference, in
    what a step can reach.

    shares (B, 6), logarithms; means (B, 6, K, 3); spreads (B, 6, K), standard deviations, each axis
    there (B, K), 1 for slots that hold a thing, else 0
    """

    shares: torch.Tensor
    means: torch.Tensor
    spreads: torch.Tensor
    there: torch.Tensor

    def drawn(self, count: int) -> torch.Tensor:
        """(B, count, K, 3), independent of one another."""
        which = torch.multinomial(self.shares.exp(), count, replacement=True)
        row = torch.arange(len(which))[:, None]
        means, spreads = self.means[row, which], self.spreads[row, which]
        return means + spreads[..., None] * torch.randn_like(means)

    def log_prob(self, shifts: torch.Tensor) -> torch.Tensor:
        """(B, n): logarithms of the density of shifts (B, n, K, 3), of the things that are there."""
        each = torch.distributions.Normal(self.means[:, None], self.spreads[:, None, ..., None])
        likely = each.log_prob(shifts[:, :, None]).sum(dim=-1) * self.there[:, None, None]
        return torch.logsumexp(self.shares[:, None] + likely.sum(dim=-1), dim=-1)

    def likeliest(self, number: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, K, 3): of each question the mean of the Gaussian that has the share of this number (B,), 0 the
        largest; and that share (B,)."""
        order = self.shares.argsort(dim=1, descending=True, stable=True)
        row = torch.arange(len(order))
        which = order[row, number.clamp_max(GUESSES - 1)]
        return self.means[row, which], self.shares[row, which].exp()


class GuessingPolicy(BasePolicy):
    """Every step hands in a guess: drawn from the mixture, or else the means of its Gaussians, the likeliest
    first. Rotations stay what the reference says.

    pretrained  whether it begins with the network in pretrained/foresight-network
    """

    KEYS = TrackFeatures.KEYS  # which the baselines that are played beside it see, too

    def __init__(
        self,
        observation_space: spaces.Dict,
        action_space: spaces.Box,
        lr_schedule: Callable[[float], float],
        pretrained: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(observation_space, action_space, **kwargs)
        self.network = EndNetwork()
        exported = torch.get_default_device().type == "meta"  # which brings its own
        if check_flag("pretrained", pretrained) and not exported:
            self.network.load_state_dict(EndNetwork.load().state_dict())
        width = self.network.end.in_features
        self.share, self.spread = nn.Linear(width, GUESSES), nn.Linear(width, GUESSES)
        for layer in (self.share, self.spread):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        nn.init.constant_(self.spread.bias, float(np.log(FIRST_SPREAD)))
        self.optimizer = self.optimizer_class(
            self.parameters(),
            lr=lr_schedule(1),
            **self.optimizer_kwargs,  # type: ignore[call-arg]
        )

    def guesses(self, observations: dict[str, torch.Tensor]) -> Guesses:
        """What the observations' tensors, batched, let expect."""
        told = told_of_tensors(observations)
        tokens = self.network.tokens(told)
        there = (told.shapes[..., 0] > 0).to(tokens.dtype)
        pooled = (tokens * there[..., None]).sum(dim=1) / there.sum(dim=1, keepdim=True).clamp_min(1)
        spreads = self.spread(tokens).transpose(1, 2).clamp(*SPREADS).exp()
        return Guesses(self.share(pooled).log_softmax(dim=1), self.network.offsets(tokens), spreads, there)

    def actions(self, shifts: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
        """(..., A) in [-1, 1]: guesses (..., K, 3) handed in, with these shares (...) as confidence."""
        gates = torch.stack([torch.ones_like(shares), 2 * shares - 1], dim=-1)
        (size,) = self.action_space.shape or ()
        rest = (size - 2) // shifts.shape[-2] - 3
        return torch.cat([gates, nn.functional.pad(shifts, (0, rest)).flatten(-2)], dim=-1).clamp(-1, 1)

    def forward(self, observations: dict[str, torch.Tensor], deterministic: bool = True) -> torch.Tensor:
        """Actions (B, A)."""
        found = self.guesses(observations)
        if deterministic:
            return self.actions(*found.likeliest(observations["guessed"].long().sum(dim=1)))
        shifts = found.drawn(1)[:, 0]
        return self.actions(shifts, torch.full_like(shifts[:, 0, 0], 1 / GUESSES))

    def _predict(self, observation, deterministic: bool = False) -> torch.Tensor:
        return self(observation, deterministic)


def told_of_tensors(observations: dict[str, torch.Tensor]) -> Told:
    """What observations, batched, say; as ``network.told_of`` of each."""
    tracks, times, query = observations["tracks"], observations["times"], observations["query"][:, 0]
    centres, seen = tracks[..., :3], (tracks[..., -1] > 0.5).to(tracks.dtype)
    apart = (times - query[:, None]).abs()[:, None].masked_fill(seen == 0, torch.inf)
    frame = apart.argmin(dim=2)[..., None, None].expand(-1, -1, 1, 3)
    nearest = centres.gather(2, frame)[:, :, 0]
    reference = observations["reference"][..., :3]
    return Told(centres, seen, times, query, reference, nearest, observations["shapes"])
