"""Parts of networks that several policies share."""

from __future__ import annotations

import math
from collections.abc import Sequence

import gymnasium as gym
import numpy as np
import torch
from stable_baselines3.common.torch_layers import NatureCNN
from torch import nn

MAX_VIEWS = 100
LEAST_IMAGE = 36  # pixels that the convolutional network needs


class ViewAttention(nn.Module):
    """A set of views becomes one vector: a linear projection, learned positions, a transformer encoder,
    and pooling by the attention of one learned global token."""

    def __init__(
        self,
        input_dim: int,
        hidden_dim: int = 64,
        num_heads: int = 4,
        num_layers: int = 2,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.feature_projection = nn.Linear(input_dim, hidden_dim)
        self.pos_embedding = nn.Parameter(0.02 * torch.randn(1, MAX_VIEWS, hidden_dim))
        layer = nn.TransformerEncoderLayer(hidden_dim, num_heads, 4 * hidden_dim, dropout, batch_first=True)
        self.transformer = nn.TransformerEncoder(layer, num_layers, enable_nested_tensor=False)
        self.global_token = nn.Parameter(0.02 * torch.randn(1, 1, hidden_dim))
        self.global_pool = nn.MultiheadAttention(hidden_dim, num_heads, batch_first=True)

    def forward(self, views: torch.Tensor, view_mask: torch.Tensor | None = None) -> torch.Tensor:
        """views (B, N, D), view_mask (B, N), True or 1 for the views that are there -> (B, hidden_dim)."""
        padding = None if view_mask is None else view_mask < 0.5
        tokens = self.feature_projection(views) + self.pos_embedding[:, : views.shape[1]]
        tokens = self.transformer(tokens, src_key_padding_mask=padding)
        query = self.global_token.expand(len(views), -1, -1)
        pooled, _ = self.global_pool(query, tokens, tokens, key_padding_mask=padding, need_weights=False)
        return pooled.squeeze(1)


class LatestImage(nn.Module):
    """What a small convolutional network (Mnih et al. 2015) makes of an image, at half its size from 72
    pixels on."""

    def __init__(self, space: gym.spaces.Box, hidden_dim: int) -> None:
        super().__init__()
        channels, height, width = space.shape
        pool = 2 if min(height, width) >= 2 * LEAST_IMAGE else 1
        smaller = gym.spaces.Box(0.0, 1.0, (channels, height // pool, width // pool), np.float32)
        image = NatureCNN(smaller, hidden_dim, normalized_image=True)
        self.image = nn.Sequential(nn.AvgPool2d(pool), image)

    def forward(self, rgb: torch.Tensor) -> torch.Tensor:
        """rgb (B, 3, H, W) in [0, 1] -> (B, hidden_dim)."""
        return self.image(rgb)


GRID = 32  # channels of the convolutions over a grid of tokens


class ViewVectors(nn.Module):
    """One vector a view, of ``width``, from what its features are: a vector already (pooling "mean"), or a
    square grid of tokens ("grid", "none"), which a small convolutional network reads, so that it is not lost
    where in the image something is."""

    def __init__(self, space: gym.spaces.Box, hidden_dim: int) -> None:
        super().__init__()
        *_, dim = space.shape
        side = 0 if len(space.shape) == 2 else math.isqrt(space.shape[1])
        if side and side * side != space.shape[1]:
            raise ValueError(
                f"features: got {space.shape[1]} tokens a view; expected a square number of them"
            )
        self.side, self.width = side, hidden_dim if side else dim
        if side:
            after = -(-side // 2)
            self.tokens = nn.Linear(dim, GRID)
            self.grid = nn.Sequential(
                nn.GELU(), nn.Conv2d(GRID, GRID, 3, padding=1), nn.GELU(),
                nn.Conv2d(GRID, GRID, 3, stride=2, padding=1), nn.GELU(),
                nn.Flatten(), nn.Linear(GRID * after**2, hidden_dim),
            )  # fmt: skip

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """features (B, N, D) or (B, N, P, D) -> (B, N, width)."""
        if not self.side:
            return features
        views = self.tokens(features.flatten(0, 1)).transpose(1, 2)
        return self.grid(views.unflatten(2, (self.side, self.side))).unflatten(0, features.shape[:2])


def view_vectors(
    observation_space: gym.spaces.Dict, needed: Sequence[str], hidden_dim: int
) -> ViewVectors | None:
    """What makes one vector of a view's features, None where the environment has none; ValueError where a key
    that is needed is not there."""
    for key in needed:
        if key not in observation_space.spaces:
            raise ValueError(
                f"observations: got {sorted(observation_space.spaces)}; this extractor also needs {key!r}"
            )
    space = observation_space.spaces.get("features")
    return ViewVectors(space, hidden_dim) if isinstance(space, gym.spaces.Box) else None
