"""What a fitting agent's network makes of its observation, as Stable-Baselines3's features extractor."""

from __future__ import annotations

import math

import gymnasium as gym
import torch
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import nn


def shape_of(space: gym.Space) -> tuple[int, ...]:
    """Return the shape of a space of arrays, which all of these observations are."""
    assert space.shape is not None
    return space.shape


class SlotFeatures(BaseFeaturesExtractor):
    """One vector for the slot whose turn it is: its rows, the mean over all slots of what a small network
    makes of theirs beside it, its close-up by three convolutions, the share of the steps left, and the
    backbone's features where there are some. One policy so serves every slot, and any number of them. Without
    ``turn`` (all slots at once, or the agent's choice) all rows, one after the other."""

    KEYS = ("slots", "residuals", "turn", "close_up", "close_up_place", "remaining", "features")

    def __init__(self, observation_space: gym.spaces.Dict, hidden_dim: int = 64) -> None:
        super().__init__(observation_space, 1)
        given = observation_space.spaces
        slots, *_ = shape_of(given["slots"])
        width = sum(shape_of(given[key])[1] for key in ("slots", "residuals"))
        self.by_turn = "turn" in given
        size = 1
        if self.by_turn:
            self.others = nn.Sequential(
                nn.Linear(2 * width, hidden_dim), nn.ReLU(), nn.Linear(hidden_dim, hidden_dim), nn.ReLU()
            )
            size += width + hidden_dim
        else:
            size += slots * width
        self.looks = "close_up" in given
        if self.looks:
            channels, side, _ = shape_of(given["close_up"])
            self.close_up = nn.Sequential(
                nn.Conv2d(channels, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU(),
                nn.Conv2d(32, 32, 3, 2, 1), nn.ReLU(), nn.Flatten(),
                nn.Linear(32 * math.ceil(side / 8) ** 2, 2 * hidden_dim), nn.ReLU(),
            )  # fmt: skip
            size += 2 * hidden_dim + shape_of(given["close_up_place"])[0]
        self.has_features = "features" in given
        if self.has_features:
            self.view = nn.Sequential(nn.Linear(shape_of(given["features"])[-1], hidden_dim), nn.ReLU())
            size += hidden_dim
        self._features_dim = size

    def forward(self, observations: dict[str, torch.Tensor]) -> torch.Tensor:
        """(B, features_dim); of features (B, P, D) the mean."""
        rows = torch.cat([observations["slots"], observations["residuals"]], dim=-1)
        parts = [observations["remaining"]]
        if self.by_turn:
            turn = observations["turn"].to(rows.dtype)[..., None]
            own = (turn * rows).sum(dim=1)
            beside = torch.cat([rows, own[:, None].expand_as(rows)], dim=-1)
            parts += [own, self.others(beside).mean(dim=1)]
        else:
            parts.append(rows.flatten(1))
        if self.looks:
            parts += [self.close_up(observations["close_up"]), observations["close_up_place"]]
        if self.has_features:
            features = observations["features"]
            parts.append(self.view(features if features.ndim == 2 else features.mean(dim=1)))
        return torch.cat(parts, dim=-1)
