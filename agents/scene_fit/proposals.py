"""A policy that proposes steps of the slot whose turn it is, and says what they are worth: before they are
tried, and after, by what can be measured without ground truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import nn

from agents.scene_fit.evidence import MEASURES
from agents.scene_fit.policy import SlotFeatures
from spatial_envs.prototypes.slots import SMALLEST_STEP

SPREADS = (-3.0, 0.0)  # least and largest logarithm of the standard deviation of a number of an action
CANDIDATES = 128  # half drawn evenly, half from the Gaussian: what the most promising are chosen of


class ProposingPolicy(BasePolicy):
    """A Gaussian over actions, and two critics of them, on the features of the slot whose turn it is: what an
    action would gain, and what it is worth once its changes are measured.

    A critic is shown an action as it is and as the change that it makes, its numbers times its size; what it
    makes of that is scaled by features, as a direction that helps one slot harms another. Gains are times the
    number of slots, and squashed (``evidence.squashed``)."""

    KEYS = SlotFeatures.KEYS

    def __init__(
        self,
        observation_space: spaces.Dict,
        action_space: spaces.Box,
        lr_schedule: Callable[[float], float],
        net_arch: Sequence[int] = (256, 128),
        features_extractor_class: type[BaseFeaturesExtractor] = SlotFeatures,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            observation_space, action_space, features_extractor_class=features_extractor_class, **kwargs
        )
        self.features_extractor = self.make_features_extractor()
        (size,), width = action_space.shape, net_arch[-1]
        widths = [self.features_extractor.features_dim, *net_arch]
        layers = [
            layer for before, after in pairwise(widths) for layer in (nn.Linear(before, after), nn.ReLU())
        ]
        self.trunk = nn.Sequential(*layers)
        self.actor = nn.Linear(width, 2 * size)
        nn.init.zeros_(self.actor.weight)
        nn.init.zeros_(self.actor.bias)
        self.before, self.after = Critic(width, 2 * size), Critic(width, 2 * size + MEASURES)
        self.optimizer = self.optimizer_class(
            self.parameters(),
            lr=lr_schedule(1),
            **self.optimizer_kwargs,  # type: ignore[call-arg]
        )

    def latent(self, observations: dict[str, torch.Tensor]) -> torch.Tensor:
        """(B, width), of which all else is made."""
        return self.trunk(self.extract_features(observations, self.features_extractor))

    def gaussian(self, latent: torch.Tensor) -> torch.distributions.Normal:
        """Over actions (B, A)."""
        mean, spread = self.actor(latent).chunk(2, dim=-1)
        low, high = SPREADS
        return torch.distributions.Normal(mean, (low + (high - low) * torch.sigmoid(spread + 1)).exp())

    def expected(self, latent: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
        """(B, n): what actions (B, n, A) would gain."""
        return self.before(latent, _changes(actions))

    def judged(self, latent: torch.Tensor, actions: torch.Tensor, measured: torch.Tensor) -> torch.Tensor:
        """(B, n): what actions (B, n, A) with measured changes (B, n, 10) are worth."""
        return self.after(latent, torch.cat([_changes(actions), measured], dim=-1))

    def forward(self, observations: dict[str, torch.Tensor], deterministic: bool = True) -> torch.Tensor:
        """Actions (B, A) in [-1, 1]: the mean, or drawn."""
        found = self.gaussian(self.latent(observations))
        return (found.mean if deterministic else found.sample()).clamp(-1, 1)

    def _predict(self, observation, deterministic: bool = False) -> torch.Tensor:
        return self(observation, deterministic)

    # ---- for a search, in one observation

    @torch.no_grad()
    def seen(self, observation: dict[str, np.ndarray]) -> torch.Tensor:
        """``latent`` (1, width) of one observation, of any number of slots."""
        return self.latent({key: torch.as_tensor(value)[None] for key, value in observation.items()})

    @torch.no_grad()
    def promising(self, latent: torch.Tensor, count: int) -> np.ndarray:
        """The actions (count, A) that most is expected of, of the Gaussian's mean and many more."""
        found, half = self.gaussian(latent), CANDIDATES // 2
        drawn = [found.mean, found.sample((half - 1,))[:, 0], 2 * torch.rand(half, found.mean.shape[1]) - 1]
        actions = torch.cat(drawn).clamp(-1, 1)
        best = self.expected(latent, actions[None])[0].topk(count).indices
        return actions[best].numpy()

    @torch.no_grad()
    def worth(self, latent: torch.Tensor, actions: np.ndarray, measured: np.ndarray) -> np.ndarray:
        """(n,): what actions (n, A) with measured changes (n, 10), squashed, are worth."""
        return self.judged(latent, torch.as_tensor(actions)[None], torch.as_tensor(measured)[None])[0].numpy()


class Critic(nn.Module):
    """What changes (B, n, C) are worth (B, n) in states (B, width)."""

    def __init__(self, width: int, size: int) -> None:
        super().__init__()
        self.state, self.change = nn.Linear(width, 2 * width), nn.Linear(size, 2 * width)
        self.hidden, self.worth = nn.Linear(width, width), nn.Linear(width, 1)
        self.plain = nn.Linear(size, 1)

    def forward(self, latent: torch.Tensor, changes: torch.Tensor) -> torch.Tensor:
        """Scale and shift by the state what is made of the change, then two layers."""
        shift, scale = self.state(latent)[:, None].chunk(2, dim=-1)
        own, scaled = self.change(changes).chunk(2, dim=-1)
        hidden = torch.relu(self.hidden(torch.relu(own + shift + scale * scaled)))
        return (self.worth(hidden) + self.plain(changes))[..., 0]


def _changes(actions: torch.Tensor) -> torch.Tensor:
    """(..., 2 A): actions (..., A), their size, and the numbers that follow it times the size."""
    size = SMALLEST_STEP ** ((1 - actions[..., :1]) / 2)
    return torch.cat([actions, size, size * actions[..., 1:]], dim=-1)
