"""What a foresight agent's network makes of its observation, as Stable-Baselines3's features extractor."""

from __future__ import annotations

import gymnasium as gym
import torch
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import nn

FAR = 5.0  # metres, beyond which differences of places are cut off
WAVES = (1.0, 2.0, 4.0)  # rad/s, of the asked time's Fourier features


class TrackFeatures(BaseFeaturesExtractor):
    """A vector for each thing, by one small network for all of them, and what is left of the episode.

    Places are relative to the reference's, so that nothing depends on where a scene is; the asked time is a
    polynomial and Fourier features of it, and the stamps are seconds. Each thing's network also sees the mean
    of what a first one makes of all.
    """

    KEYS = (
        "tracks", "shapes", "times", "query", "reference", "guesses", "guessed", "draft", "remaining"
    )  # fmt: skip

    def __init__(self, observation_space: gym.spaces.Dict, hidden_dim: int = 64, thing_dim: int = 32) -> None:
        super().__init__(observation_space, 1)
        shapes = {key: space.shape or () for key, space in observation_space.spaces.items()}
        things, frames, channels = shapes["tracks"]
        guesses, pose = shapes["guesses"][0], shapes["draft"][1]
        width = frames * (channels + 1) + shapes["shapes"][1] + 2 * pose - 2 + guesses * (3 + 1)
        width += 3 + 2 * len(WAVES)
        self.first = nn.Sequential(nn.Linear(width, hidden_dim), nn.GELU())
        self.second = nn.Sequential(nn.Linear(2 * hidden_dim, thing_dim), nn.GELU())
        self._features_dim = things * thing_dim + 2

    def forward(self, observations: dict[str, torch.Tensor]) -> torch.Tensor:
        """(B, features_dim)."""
        tracks, reference = observations["tracks"], observations["reference"]
        place = reference[..., :3]
        seen, batch, things = tracks[..., -1:], len(tracks), tracks.shape[1]
        relative = (tracks[..., :3] - place[:, :, None]).clamp(-FAR, FAR) * seen
        guessed = observations["guessed"].to(tracks.dtype)[:, None, :, None]
        made = (observations["guesses"][..., :3].transpose(1, 2) - place[:, :, None]).clamp(-FAR, FAR)
        height = reference[..., 1:2].clamp(-FAR, FAR)
        draft = (observations["draft"][..., :3] - place).clamp(-FAR, FAR)
        query = observations["query"]
        waves = [each(rate * query) for rate in WAVES for each in (torch.sin, torch.cos)]
        clock = torch.cat([query, query**2 / 2, query.sign(), *waves, observations["times"]], dim=1)
        rows = torch.cat(
            [
                torch.cat([relative, tracks[..., 3:]], dim=-1).flatten(2),
                observations["shapes"],
                height,
                reference[..., 3:],
                draft,
                observations["draft"][..., 3:],
                torch.cat([made * guessed, guessed.expand(-1, things, -1, -1)], dim=-1).flatten(2),
                clock[:, None].expand(-1, things, -1),
            ],
            dim=-1,
        )
        first = self.first(rows)
        beside = first.mean(dim=1, keepdim=True).expand_as(first)
        second = self.second(torch.cat([first, beside], dim=-1))
        return torch.cat([second.reshape(batch, -1), observations["remaining"]], dim=1)
