"""Learning to rank the candidate views by their true gains, on the states that the policy visits."""

from __future__ import annotations

import numpy as np
import torch
from stable_baselines3 import DQN
from torch import nn


class Ranking(DQN):
    """DQN's exploration, replay and policy; but what the scores learn is not the reward of the candidate
    taken: it is the counterfactual gains of all that are left, which the training environments show.

    Gains are taken relative to their mean and in units of their standard deviation over the candidates left:
    a late view, whose gains are small, counts as much as an early one. The arguments are DQN's; gamma and the
    target network play no part.
    """

    TEACHER = ("gains",)  # what only the training environments show

    def train(self, gradient_steps: int, batch_size: int = 100) -> None:
        """Steps of least squares on batches from the replay buffer."""
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        losses = []
        for _ in range(gradient_steps):
            observations = self.replay_buffer.sample(batch_size).observations  # type: ignore[union-attr]
            assert isinstance(observations, dict)
            left = observations["candidates"][..., 3] > 0.5
            error = self.q_net(observations) - standardised(observations["gains"], left)
            loss = (error[left] ** 2).mean()
            losses.append(loss.item())
            self.policy.optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.policy.parameters(), self.max_grad_norm)
            self.policy.optimizer.step()
        self._n_updates += gradient_steps
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        self.logger.record("train/loss", np.mean(losses))


def standardised(gains: torch.Tensor, left: torch.Tensor) -> torch.Tensor:
    """Gains (B, K) with mean 0 and variance 1 over the candidates that are left, left (B, K) bool."""
    count = left.sum(dim=1, keepdim=True).clamp_min(1)
    centred = torch.where(left, gains, 0.0)
    centred = torch.where(left, gains - centred.sum(dim=1, keepdim=True) / count, 0.0)
    return centred / ((centred**2).sum(dim=1, keepdim=True) / count).sqrt().clamp_min(1e-6)
