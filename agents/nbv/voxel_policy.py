"""The policy of directions that looks at the voxels, which ``agents.nbv.voxel_training`` teaches."""

from __future__ import annotations

import gymnasium as gym
import torch
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor

from agents.nbv.candidates import measures
from agents.nbv.policy import ViewFeatures
from agents.nbv.scoring import SPENT, ScoringPolicy, action_headings
from agents.nbv.voxel_scores import VoxelScores, told
from spatial_envs.nbv.candidates import CANDIDATES


class VoxelsAndViews(BaseFeaturesExtractor):
    """As ``ScoresAndViews``, with the scores of ``VoxelScores``: (B, 64), the first two components (B, 64, 2)
    of the actions that lead into the directions, and what the critic reads, in one vector."""

    KEYS = ("voxels", "glimpses", "candidates", "poses", "view_mask", "anchor", "remaining")

    def __init__(
        self, observation_space: gym.spaces.Dict, width: int = 16, hidden_dim: int = 48, num_layers: int = 1
    ) -> None:
        views = ViewFeatures(observation_space, num_layers=num_layers)
        super().__init__(observation_space, 3 * CANDIDATES + views.features_dim)
        self.scores, self.views = VoxelScores(width, hidden_dim), views

    def forward(self, observations: dict[str, torch.Tensor]) -> torch.Tensor:
        """The observation's tensors, batched -> (B, 192 + D)."""
        directions, left = observations["candidates"].split([3, 1], dim=-1)
        measured = measures(observations["glimpses"], left[..., 0])
        scores = self.scores(told(observations["voxels"]), directions, measured)
        scores = scores.masked_fill(left[..., 0] < 0.5, SPENT)
        headings = action_headings(observations["anchor"], directions)
        return torch.cat([scores, headings.flatten(1), self.views(observations)], dim=-1)


class VoxelPolicy(ScoringPolicy):
    """``ScoringPolicy`` that scores the directions by the voxels."""

    EXTRACTOR = VoxelsAndViews
    KEYS = VoxelsAndViews.KEYS
