"""Rewards in a unit of their own at each step of an episode."""

from __future__ import annotations

import numpy as np
from stable_baselines3.common.vec_env import VecNormalize

GUESS = 0.1  # a squared reward, before the first was seen


class NormalizeByStep(VecNormalize):
    """``VecNormalize`` of rewards, but each is divided by the root mean square of those at the same step of
    their episodes: where no reward to come counts (gamma 0), small late ones then teach as much as large
    early ones. For on-policy algorithms, which normalise a reward when it comes."""

    def __init__(self, *args, **keywords) -> None:
        super().__init__(*args, **keywords)
        self.squares: dict[int, float] = {}
        self.counts: dict[int, int] = {}
        self.at = np.zeros(self.num_envs, np.int64)

    def reset(self):
        """See ``VecNormalize``."""
        self.at[:] = 0
        return super().reset()

    def step_wait(self):
        """See ``VecNormalize``."""
        observations, rewards, dones, infos = super().step_wait()
        self.at = np.where(dones, 0, self.at + 1)
        return observations, rewards, dones, infos

    def _update_reward(self, reward: np.ndarray) -> None:
        for step, value in zip(self.at.tolist(), reward.tolist(), strict=True):
            self.squares[step] = self.squares.get(step, GUESS) + value**2
            self.counts[step] = self.counts.get(step, 1) + 1

    def normalize_reward(self, reward: np.ndarray) -> np.ndarray:
        """Rewards (N,) of the rows' present steps, in their units."""
        units = [self.squares.get(s, GUESS) / self.counts.get(s, 1) for s in self.at.tolist()]
        return np.clip(reward / np.sqrt(units), -self.clip_reward, self.clip_reward).astype(np.float32)
