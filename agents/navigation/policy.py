"""What a walking agent's network makes of its observation, as Stable-Baselines3's features extractor."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import torch
from stable_baselines3.common.preprocessing import is_image_space_channels_first
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import nn

from agents.networks import LatestImage, ViewAttention, view_vectors

NUMBERS = ("pointgoal", "objectgoal", "gps", "compass", "odometry", "remaining")
STEPS = (4.0, 5.7, 1.0)  # by which odometry is multiplied: 0.25 m, 10 degrees, a collision
REACH = 10.0  # metres that a position is divided by
NEAR, EDGE = 0.2, 0.05  # metres from the goal at which PointNav is a success, and how sharply that is told


class PlanEncoder(nn.Module):
    """A small convolutional network for the agent's map."""

    def __init__(self, channels: int, side: int, hidden_dim: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, 32, 6, 4, 1), nn.ReLU(),
            nn.Conv2d(32, 32, 3, 1, 1), nn.ReLU(),
            nn.Conv2d(32, 32, 4, 2, 1), nn.ReLU(),
            nn.Flatten(), nn.Linear(32 * (side // 8) ** 2, hidden_dim), nn.ReLU(),
        )  # fmt: skip

    def forward(self, plan: torch.Tensor) -> torch.Tensor:
        """plan (B, channels, side, side) in [0, 1] -> (B, hidden_dim)."""
        return self.layers(plan.contiguous(memory_format=torch.channels_last))  # a third faster


class NavigationFeatures(BaseFeaturesExtractor):
    """One vector of whatever of these the observation has: the map, and the wide one; the views' features, by
    ``ViewAttention``; numbers (goal, place, heading, share of the steps left); depth; the goal's picture
    beside the present one, both by one network, with their difference and product. ``rgb`` without
    ``imagegoal`` is one picture."""

    KEYS = (
        "map", "wide_map", "pointgoal", "objectgoal", "imagegoal", "gps", "compass", "odometry", "features",
        "view_mask", "remaining",
    )  # fmt: skip

    def __init__(
        self,
        observation_space: gym.spaces.Dict,
        hidden_dim: int = 128,
        view_dim: int = 64,
        num_heads: int = 4,
        num_layers: int = 1,
    ) -> None:
        super().__init__(observation_space, 1)
        given = observation_space.spaces
        width = 0
        self.has = frozenset(given)
        if "map" in given:
            channels, side = _channels(given["map"])
            self.plan = PlanEncoder(channels, side, hidden_dim)
            width += hidden_dim
        if "wide_map" in given:
            channels, side = _channels(given["wide_map"])
            self.wide_plan = PlanEncoder(channels, side, hidden_dim)
            width += hidden_dim
        if "features" in given:
            vectors = view_vectors(observation_space, ("view_mask",), view_dim)
            assert vectors is not None
            self.vectors = vectors
            self.views = ViewAttention(vectors.width, view_dim, num_heads, num_layers)
            width += view_dim
        if numbers := sum(_numbers(given[key], key) for key in NUMBERS if key in given):
            self.numbers = nn.Sequential(nn.Linear(numbers, view_dim), nn.ReLU())
            width += view_dim
        if "depth" in given:
            self.depth = LatestImage(_channels_first(given["depth"]), view_dim)
            self.farthest = float(np.max(given["depth"].high))  # type: ignore[attr-defined]
            width += view_dim
        if "rgb" in given:
            self.picture = LatestImage(_channels_first(given["rgb"]), view_dim)
            width += 4 * view_dim if "imagegoal" in given else view_dim
        elif "imagegoal" in given:
            raise ValueError("observations: got imagegoal without rgb; expected both, to compare them")
        if not width:
            raise ValueError(
                f"observations: got {sorted(given)}; this extractor needs some of {', '.join(self.KEYS)}"
            )
        self._features_dim = width

    def forward(self, observations: dict[str, torch.Tensor]) -> torch.Tensor:
        """The observation's tensors, batched, images in [0, 1] with channels first -> (B, features_dim)."""
        parts = []
        if "map" in self.has:
            parts.append(self.plan(observations["map"]))
        if "wide_map" in self.has:
            parts.append(self.wide_plan(observations["wide_map"]))
        if "features" in self.has:
            parts.append(self.views(self.vectors(observations["features"]), observations["view_mask"]))
        if any(key in self.has for key in NUMBERS):
            parts.append(self.numbers(torch.cat(self._read(observations), dim=-1)))
        if "depth" in self.has:
            parts.append(self.depth(observations["depth"].movedim(-1, 1) / self.farthest))
        if "rgb" in self.has:
            seen = self.picture(observations["rgb"])
            parts.append(seen)
            if "imagegoal" in self.has:
                goal = self.picture(observations["imagegoal"])
                parts += [goal, seen - goal, seen * goal]
        return torch.cat(parts, dim=-1)

    def _read(self, observations: dict[str, torch.Tensor]) -> list[torch.Tensor]:
        """The numbers, of a size near 1."""
        read = []
        for key in NUMBERS:
            if key not in self.has:
                continue
            value = observations[key]
            if key == "pointgoal":
                rho, angle = value[:, :1], value[:, 1:]
                near = torch.tanh((NEAR - rho) / EDGE)  # or it would stop a centimetre too early
                value = torch.cat([near, 1 / (1 + rho), rho.log1p(), angle.sin(), angle.cos()], dim=-1)
            elif key == "compass":
                value = torch.cat([value.sin(), value.cos()], dim=-1)
            elif key == "gps":
                value = value / REACH
            elif key == "odometry":  # which way it was turning, so that it goes on
                value = value * value.new_tensor(STEPS)
            read.append(value.flatten(1).float())
        return read


def _numbers(space: gym.Space, key: str) -> int:
    """How many numbers are made of a key."""
    if isinstance(space, gym.spaces.Discrete):
        return int(space.n)  # one-hot
    return {"pointgoal": 5, "compass": 2, "gps": 2, "odometry": 3, "remaining": 1}[key]


def _channels(space: gym.Space) -> tuple[int, int]:
    """Channels and side of a square image, whichever way round Stable-Baselines3 holds it."""
    assert isinstance(space, gym.spaces.Box)
    first = is_image_space_channels_first(space)
    return (space.shape[0], space.shape[1]) if first else (space.shape[2], space.shape[0])


def _channels_first(space: gym.Space) -> gym.spaces.Box:
    assert isinstance(space, gym.spaces.Box)
    shape = space.shape if is_image_space_channels_first(space) else (space.shape[2], *space.shape[:2])
    return gym.spaces.Box(0.0, 1.0, shape, np.float32)
