"""Group-relative policy optimisation for foresight: many answers to one question are compared with each
other, so that no critic is needed. As an algorithm of Stable-Baselines3's kind, so that all else is as with
the others."""

from __future__ import annotations

from collections.abc import Callable
from math import comb
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.utils import obs_as_tensor
from torch import nn

from agents.foresight.guessing import Guesses, GuessingPolicy
from spatial_envs.foresight.task import Foresight
from spatial_envs.foundation.arguments import check_range


class GroupRelative(BaseAlgorithm):
    """In each round every row of the environments asks one question, to which ``group_size`` answers are
    drawn, and ``n_epochs`` steps are made on PPO's clipped loss, with an answer's advantage over its group
    (``advantages``). A step of the training is an answer.

    k       what is to become large: the expected credit of one answer (1), or of the best of k
    rounds  at the same recordings, of which each asks a new question
    """

    policy: GuessingPolicy

    def __init__(
        self,
        policy: type[GuessingPolicy],
        env: Any,
        learning_rate: float | Callable[[float], float] = 3e-4,
        group_size: int = 16,
        k: int = 6,
        n_epochs: int = 3,
        rounds: int = 8,
        clip_range: float = 0.2,
        max_grad_norm: float = 1.0,
        policy_kwargs: dict[str, Any] | None = None,
        tensorboard_log: str | None = None,
        verbose: int = 0,
        seed: int | None = None,
        device: str = "auto",
        _init_setup_model: bool = True,
    ) -> None:
        check_range("group_size", group_size, 2, 1000, int)
        check_range("k", k, 1, group_size - 1, int)
        check_range("clip_range", clip_range, 1e-3, 1)
        super().__init__(
            policy, env, learning_rate, policy_kwargs, tensorboard_log=tensorboard_log, verbose=verbose,
            seed=seed, device=device, support_multi_env=True, supported_action_spaces=(spaces.Box,),
        )  # fmt: skip
        self.group_size, self.k, self.n_epochs, self.rounds = group_size, k, n_epochs, rounds
        self.clip_range, self.max_grad_norm = clip_range, max_grad_norm
        if _init_setup_model:
            self._setup_model()

    def _setup_model(self) -> None:
        self._setup_lr_schedule()
        self.set_random_seed(self.seed)
        policy = self.policy_class(
            self.observation_space, self.action_space, self.lr_schedule, **self.policy_kwargs
        )
        if not isinstance(policy, GuessingPolicy):
            got = type(policy).__name__
            raise ValueError(f"policy: got {got}; expected agents.foresight.guessing.GuessingPolicy")
        self.policy = policy.to(self.device)

    def _get_torch_save_params(self) -> tuple[list[str], list[str]]:
        return ["policy", "policy.optimizer"], []

    def learn(
        self, total_timesteps, callback=None, log_interval=1, tb_log_name="run", reset_num_timesteps=True,
        progress_bar=False,
    ):  # fmt: skip
        """Train for ``total_timesteps`` answers; the arguments are those of every Stable-Baselines3
        algorithm."""
        total_timesteps, callback = self._setup_learn(
            total_timesteps, callback, reset_num_timesteps, tb_log_name, progress_bar
        )
        generator = np.random.default_rng([self.seed or 0, self.num_timesteps])
        callback.on_training_start(locals(), globals())
        envs: Any = self.env
        played, going = 0, True
        while going and self.num_timesteps < total_timesteps:
            if played % self.rounds == 0:
                envs.seed(int(generator.integers(2**31)))  # other recordings, at the next reset
            observations = obs_as_tensor(envs.reset(), self.device)
            assert isinstance(observations, dict)
            self._learn_round(envs.get_attr("task")[0], observations)
            played += 1
            self.num_timesteps += envs.num_envs * self.group_size
            self._update_current_progress_remaining(self.num_timesteps, total_timesteps)
            self.logger.dump(self.num_timesteps)
            going = callback.on_step()
        callback.on_training_end()
        return self

    def _learn_round(self, task: Foresight, observations: dict[str, torch.Tensor]) -> None:
        """Draw answers to the questions that the rows of the task ask, and learn how they are judged."""
        self._update_learning_rate(self.policy.optimizer)
        with torch.no_grad():
            found = self.policy.guesses(observations)
            shifts = found.drawn(self.group_size)
            before = found.log_prob(shifts)
            actions = self.policy.actions(shifts, torch.ones_like(before)).cpu().numpy()
        judged = np.stack([task.credits(row, each) for row, each in enumerate(actions)])
        credits = torch.as_tensor(judged, dtype=before.dtype, device=self.device)
        advantage = advantages(credits, self.k)
        for _ in range(self.n_epochs):
            loss = self._loss(self.policy.guesses(observations), shifts, before, advantage)
            self.policy.optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.policy.parameters(), self.max_grad_norm)
            self.policy.optimizer.step()
        self.logger.record("train/credit", float(credits.mean()))
        self.logger.record("train/best_of_group", float(credits.amax(dim=1).mean()))
        self.logger.record("train/spread", float(found.spreads.mean()))
        likeliest = float(found.shares.exp().amax(dim=1).mean())
        self.logger.record("train/likeliest_share", likeliest)

    def _loss(
        self, found: Guesses, shifts: torch.Tensor, before: torch.Tensor, advantage: torch.Tensor
    ) -> torch.Tensor:
        """PPO's clipped loss, a sum over the answers of each question."""
        ratio = (found.log_prob(shifts) - before).exp()
        clipped = ratio.clamp(1 - self.clip_range, 1 + self.clip_range)
        return -torch.minimum(ratio * advantage, clipped * advantage).sum(dim=1).mean()


def advantages(credits: torch.Tensor, k: int) -> torch.Tensor:
    """(B, n): what each answer is worth beside the others of its group, of their credits (B, n), k < n.

    The sum over a group of advantage times gradient of the log-likelihood has the gradient of the expected
    best credit of k answers as its expectation. With k = 1 that is the distance from the group's mean, over
    n - 1 (not over the standard deviation, which would weigh easy and impossible questions more). Else it is
    what an answer adds to the best of k, over all choices of k (PKPO, Walder and Karkhanis 2025), minus the
    mean of that in a group without this answer, which centres it (MaxPO 2026).
    """
    count = credits.shape[1]
    if k == 1:
        return (credits - credits.mean(dim=1, keepdim=True)) / (count - 1)
    order = credits.argsort(dim=1, stable=True)
    ranked = credits.gather(1, order)
    others = torch.stack(
        [_added(torch.cat([ranked[:, :i], ranked[:, i + 1 :]], dim=1), k).sum(dim=1) for i in range(count)],
        dim=1,
    )
    return torch.empty_like(credits).scatter_(1, order, _added(ranked, k) - others / count)


def _added(ranked: torch.Tensor, k: int) -> torch.Tensor:
    """(B, n): how much each of n credits, in rising order, adds to the best of k, mean over the C(n, k)
    choices: sum over j < i of (r_i - r_j) C(j - 1, k - 2) / C(n, k), counted from 1."""
    count = ranked.shape[1]
    weight = torch.tensor([comb(j, k - 2) / comb(count, k) for j in range(count)], dtype=ranked.dtype)
    weight = weight.to(ranked.device)
    below = weight.cumsum(0) - weight
    return ranked * below - ((ranked * weight).cumsum(dim=1) - ranked * weight)
