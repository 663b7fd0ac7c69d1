"""Learning to rank the candidate views by their true gains, on states that several policies visit."""

from __future__ import annotations

import numpy as np
import torch
from stable_baselines3 import DQN
from torch import nn

from agents.nbv.candidates import measures

TEMPERATURE = 0.4  # of the gains, in their standard deviations over the candidates left


class Ranking(DQN):
    """DQN's replay and policy; but what the scores learn is not the reward of the candidate taken: it is the
    counterfactual gains of all that are left, which the training environments show.

    Where DQN explores at random, one of three rules takes the step, drawn anew for every row: a random
    candidate, the farthest from the views, and the one with most information where there are glimpses.

    The loss is listwise (ListNet, Cao et al. 2007): the cross-entropy of the softmax of the scores to that of
    the gains in units of their standard deviation, so that a late view, whose gains are small, counts as much
    as an early one. The arguments are DQN's; gamma and the target network play no part.
    """

    TEACHER = ("gains",)  # what only the training environments show

    def _sample_action(self, learning_starts, action_noise=None, n_envs=1):
        """Actions (n_envs,), twice, as the base class gives them."""
        assert isinstance(self._last_obs, dict)
        taken, _ = self.predict(self._last_obs, deterministic=True)
        generator = self.action_space.np_random
        early = self.num_timesteps < learning_starts
        for row in np.flatnonzero(early | (generator.random(n_envs) < self.exploration_rate)):
            taken[row] = explored({key: value[row] for key, value in self._last_obs.items()}, generator)
        return taken, taken

    def train(self, gradient_steps: int, batch_size: int = 100) -> None:
        """Gradient steps on batches from the replay buffer."""
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        losses = []
        for _ in range(gradient_steps):
            observations = self.replay_buffer.sample(batch_size).observations  # type: ignore[union-attr]
            assert isinstance(observations, dict)
            left = observations["candidates"][..., 3] > 0.5
            loss = listwise_loss(self.q_net(observations), observations["gains"], left)
            losses.append(loss.item())
            self.policy.optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.policy.parameters(), self.max_grad_norm)
            self.policy.optimizer.step()
        self._n_updates += gradient_steps
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        self.logger.record("train/loss", np.mean(losses))


def explored(observation: dict[str, np.ndarray], generator: np.random.Generator) -> int:
    """The candidate that a rule, drawn from those of ``Ranking``, takes in one observation."""
    candidates, seen = observation["candidates"], observation["view_mask"] > 0
    left = candidates[:, 3] > 0.5
    if not left.any():
        return 0
    rule = generator.integers(3 if "glimpses" in observation else 2)
    if rule == 0:
        return int(generator.choice(np.flatnonzero(left)))
    if rule == 1:
        centres = observation["poses"][seen, :3]
        centres = centres / np.linalg.norm(centres, axis=1, keepdims=True)
        value = -(candidates[:, :3] @ centres.T).max(axis=1)
    else:
        glimpses = torch.as_tensor(observation["glimpses"])[None]
        value = measures(glimpses, torch.as_tensor(left)[None].float())[0].sum(dim=-1).numpy()
    return int(np.argmax(np.where(left, value, -np.inf)))


def listwise_loss(scores: torch.Tensor, gains: torch.Tensor, left: torch.Tensor) -> torch.Tensor:
    """The scalar loss of scores (B, K) for gains (B, K), over the candidates that are left (B, K) bool; their
    mean score is drawn to 0, which is what the spent ones score."""
    count = left.sum(dim=1, keepdim=True).clamp_min(1)
    mean_gain, mean_score = (torch.where(left, x, 0.0).sum(1, True) / count for x in (gains, scores))
    centred = torch.where(left, gains - mean_gain, 0.0)
    spread = (centred.square().sum(1, True) / count).sqrt().clamp_min(1e-6)
    target = torch.softmax((centred / spread / TEMPERATURE).masked_fill(~left, -torch.inf), dim=1)
    guess = torch.log_softmax(scores.masked_fill(~left, -torch.inf), dim=1).masked_fill(~left, 0.0)
    return -(target * guess).sum(dim=1).mean() + mean_score.square().mean()
