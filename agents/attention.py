"""The research plan's attention over views, as a module and as Stable-Baselines3's features extractor."""

from __future__ import annotations

import math
from collections.abc import Sequence

import gymnasium as gym
import numpy as np
import torch
import torch.nn.functional as F
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor, NatureCNN
from torch import nn

from spatial_envs.actions import tangents
from spatial_envs.arguments import check_choice

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


OUTPUTS = {"cartesian": 7, "spherical": 7, "euler": 6, "position_only": 3}
TOKEN_POOLINGS = ("mean", "max", "camera")


class AttentionNBVPolicy(ViewAttention):
    """The research plan's policy: from the tokens of the views taken to the pose of the next one.

    Names and shapes of its parameters are those of zeya-labs/VGGT-NBV (2025), whose state_dict loads; so are
    the initial values' distributions and the meaning of

    output_mode          "cartesian": position (m), quaternion (x, y, z, w), unit; "spherical": azimuth in
                         [0, 2 pi], polar angle in [0, pi], radius in [1, 3] m, quaternion; "euler": position,
                         roll, pitch, yaw (rad); "position_only": position. Unbounded where nothing is said.
    token_pooling_mode   of the tokens of a view: "mean", "max", or "camera", the first of them
    """

    def __init__(
        self,
        scene_feature_dim: int = 768,
        hidden_dim: int = 512,
        num_heads: int = 8,
        num_layers: int = 4,
        output_mode: str = "cartesian",
        token_pooling_mode: str = "mean",
        dropout: float = 0.1,
    ) -> None:
        check_choice("output_mode", output_mode, tuple(OUTPUTS))
        check_choice("token_pooling_mode", token_pooling_mode, TOKEN_POOLINGS)
        super().__init__(scene_feature_dim, hidden_dim, num_heads, num_layers, dropout)
        self.output_mode, self.token_pooling_mode = output_mode, token_pooling_mode
        half = hidden_dim // 2
        self.output_head = nn.Sequential(
            nn.LayerNorm(hidden_dim), nn.Linear(hidden_dim, half), nn.ReLU(), nn.Dropout(dropout),
            nn.Linear(half, OUTPUTS[output_mode]),
        )  # fmt: skip
        nn.init.normal_(self.pos_embedding)
        nn.init.normal_(self.global_token)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, scene_features: torch.Tensor, view_mask: torch.Tensor | None = None) -> torch.Tensor:
        """scene_features (B, N, D) or (B, N, P, D), view_mask (B, N) -> (B, 7, 6 or 3), see the class."""
        if scene_features.ndim == 4:
            pool = self.token_pooling_mode
            scene_features = (
                scene_features[:, :, 0]
                if pool == "camera"
                else scene_features.mean(dim=2)
                if pool == "mean"
                else scene_features.amax(dim=2)
            )
        if scene_features.ndim != 3:
            raise ValueError(
                f"scene_features: got shape {tuple(scene_features.shape)}; expected (B, N, D) or (B, N, P, D)"
            )
        raw = self.output_head(super().forward(scene_features, view_mask))
        position, turn = raw[:, :3], raw[:, 3:]
        if self.output_mode == "position_only":
            return position
        if self.output_mode == "euler":
            return torch.cat([position, turn.tanh() * turn.new_tensor([1, 0.5, 1]) * math.pi], dim=1)
        if self.output_mode == "spherical":
            scale = position.new_tensor([2 * math.pi, math.pi, 2])
            position = position.sigmoid() * scale + position.new_tensor([0, 0, 1])
        return torch.cat([position, F.normalize(turn, dim=1)], dim=1)


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


def pooled_width(observation_space: gym.spaces.Dict, needed: Sequence[str]) -> int:
    """How many features a view has, 0 where the environment has none; ValueError where a key is not there or
    features are not pooled."""
    for key in needed:
        if key not in observation_space.spaces:
            raise ValueError(
                f"observations: got {sorted(observation_space.spaces)}; this extractor also needs {key!r}"
            )
    if "features" not in observation_space.spaces:
        return 0
    shape = observation_space["features"].shape
    if shape is None or len(shape) != 2:
        raise ValueError(f"pooling: got features of shape {shape}; this extractor needs pooling='mean'")
    return shape[1]


class ViewFeatures(BaseFeaturesExtractor):
    """``ViewAttention`` for next-best-view observations; dropout 0, as exploration is noise enough.

    A view's token is its features (where the environment has them), its pose in the frame, and its pose in
    the anchor's axes (anchor, east, north), in which actions are meant. The pooled vector, the anchor and
    the share of the budget left go on to the policy, and so does, where the environment shows it, the latest
    image's vector.
    """

    KEYS = ("features", "poses", "view_mask", "anchor", "remaining")

    def __init__(
        self,
        observation_space: gym.spaces.Dict,
        hidden_dim: int = 64,
        num_heads: int = 4,
        num_layers: int = 2,
    ) -> None:
        features = pooled_width(observation_space, self.KEYS[1:])
        rgb = observation_space.spaces.get("rgb")
        super().__init__(observation_space, hidden_dim + 4 + (0 if rgb is None else hidden_dim))
        self.has_features = features > 0
        width = observation_space["poses"].shape[1] * 2 + features  # type: ignore[index]
        self.attention = ViewAttention(width, hidden_dim, num_heads, num_layers)
        self.image = LatestImage(rgb, hidden_dim) if isinstance(rgb, gym.spaces.Box) else None

    def forward(self, observations: dict[str, torch.Tensor]) -> torch.Tensor:
        """The observation's tensors, batched -> (B, hidden_dim + 4), or (B, 2 hidden_dim + 4) with
        an image."""
        poses, anchor = observations["poses"], observations["anchor"]
        axes = torch.stack([anchor, *tangents(anchor)], dim=-1)  # (B, 3, 3), columns anchor, east, north
        vectors = poses.unflatten(-1, (3, 3))  # position, camera X, camera Y
        tokens = [poses, (vectors @ axes.unsqueeze(1)).flatten(-2)]
        if self.has_features:
            tokens.append(observations["features"])
        pooled = self.attention(torch.cat(tokens, dim=-1), observations["view_mask"])
        seen = [] if self.image is None else [self.image(observations["rgb"])]
        return torch.cat([pooled, anchor, observations["remaining"], *seen], dim=-1)
