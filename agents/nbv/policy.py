"""The research plan's attention over views, as a module and as Stable-Baselines3's features extractor."""

from __future__ import annotations

import gymnasium as gym
import torch
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor

from agents.networks import LatestImage, ViewAttention, view_vectors
from spatial_envs.nbv.actions import tangents


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
        vectors = view_vectors(observation_space, self.KEYS[1:], hidden_dim)
        rgb = observation_space.spaces.get("rgb")
        super().__init__(observation_space, hidden_dim + 4 + (0 if rgb is None else hidden_dim))
        self.vectors = vectors
        width = observation_space["poses"].shape[1] * 2  # type: ignore[index]
        width += 0 if vectors is None else vectors.width
        self.attention = ViewAttention(width, hidden_dim, num_heads, num_layers)
        self.image = LatestImage(rgb, hidden_dim) if isinstance(rgb, gym.spaces.Box) else None

    def forward(self, observations: dict[str, torch.Tensor]) -> torch.Tensor:
        """The observation's tensors, batched -> (B, hidden_dim + 4), or (B, 2 hidden_dim + 4) with
        an image."""
        poses, anchor = observations["poses"], observations["anchor"]
        axes = torch.stack([anchor, *tangents(anchor)], dim=-1)  # (B, 3, 3), columns anchor, east, north
        vectors = poses.unflatten(-1, (3, 3))  # position, camera X, camera Y
        tokens = [poses, (vectors @ axes.unsqueeze(1)).flatten(-2)]
        if self.vectors is not None:
            tokens.append(self.vectors(observations["features"]))
        pooled = self.attention(torch.cat(tokens, dim=-1), observations["view_mask"])
        seen = [] if self.image is None else [self.image(observations["rgb"])]
        return torch.cat([pooled, anchor, observations["remaining"], *seen], dim=-1)
