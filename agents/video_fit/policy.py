"""What a video-fitting agent's network makes of its observation: Stable-Baselines3's features extractor."""

from __future__ import annotations

import gymnasium as gym
import torch
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import nn


class TrackFitFeatures(BaseFeaturesExtractor):
    """One vector for the slot whose turn it is: its motion, or its logits in the frame whose turn it is; what
    two convolutions over time make of its places and residuals in the frames with their stamps and cameras,
    by the mean, and whole, over the frames; the mean over all slots of what a small network makes of theirs
    beside it; the share of the steps left; and the backbone's features where there are some. One policy so
    serves every slot, and any number of them."""

    KEYS = (
        "motion", "slots", "logits", "residuals", "times", "camera", "turn", "frame_turn", "remaining",
        "features",
    )  # fmt: skip

    def __init__(self, observation_space: gym.spaces.Dict, hidden_dim: int = 64) -> None:
        super().__init__(observation_space, 1)
        shapes = {key: space.shape or () for key, space in observation_space.spaces.items()}
        _, self.frames, places = shapes["slots"]
        self.by_track, self.by_frame = "motion" in shapes, "frame_turn" in shapes
        channels = places + shapes["residuals"][-1] + 1 + shapes["camera"][-1] + self.by_frame
        self.frame = nn.Sequential(
            nn.Conv1d(channels, hidden_dim, 3, padding=1), nn.ReLU(),
            nn.Conv1d(hidden_dim, 32, 3, padding=1), nn.ReLU(),
        )  # fmt: skip
        own = shapes["motion"][-1] if self.by_track else shapes["logits"][-1]
        width = own + 32
        self.others = nn.Sequential(nn.Linear(2 * width, hidden_dim), nn.ReLU())
        size = own + 32 * self.frames + 32 + hidden_dim + 1 + self.frames * self.by_frame
        self.has_features = "features" in shapes
        if self.has_features:
            self.view = nn.Sequential(nn.Linear(shapes["features"][-1], hidden_dim), nn.ReLU())
            size += hidden_dim
        self._features_dim = size

    def forward(self, observations: dict[str, torch.Tensor]) -> torch.Tensor:
        """(B, features_dim)."""
        slots, turn = observations["slots"], observations["turn"].to(observations["slots"].dtype)
        batch, count = turn.shape
        every = [observations["times"][..., None], observations["camera"]]
        if self.by_frame:
            frame = observations["frame_turn"].to(slots.dtype)
            every.append(frame[..., None])
        shared = torch.cat(every, dim=-1)[:, None].expand(-1, count, -1, -1)
        rows = torch.cat([slots, observations["residuals"], shared], dim=-1)
        made = self.frame(rows.flatten(0, 1).transpose(1, 2)).unflatten(0, (batch, count))  # (B, K, 32, T)
        if self.by_track:
            numbers = observations["motion"]
        else:
            numbers = (observations["logits"] * frame[:, None, :, None]).sum(dim=2)
        whole = torch.cat([numbers, made.mean(dim=-1)], dim=-1)
        own = (turn[..., None] * whole).sum(dim=1)
        in_frames = (turn[..., None, None] * made).sum(dim=1).flatten(1)
        beside = self.others(torch.cat([whole, own[:, None].expand_as(whole)], dim=-1)).mean(dim=1)
        parts = [own, in_frames, beside, observations["remaining"]]
        if self.by_frame:
            parts.append(frame)
        if self.has_features:
            features = observations["features"].flatten(1, -2)
            parts.append(self.view(features).mean(dim=1))
        return torch.cat(parts, dim=-1)
