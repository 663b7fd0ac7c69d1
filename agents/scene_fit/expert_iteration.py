"""Expert iteration (Anthony, Tian, Barber 2017) for scene fitting: search improves on the policy, and the
policy learns what the search found. As an algorithm of Stable-Baselines3's kind, so that all else is as with
the others."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from torch import nn

from agents.scene_fit.proposals import ProposingPolicy
from agents.scene_fit.trials import Player, Players, Turn
from spatial_envs.foundation.arguments import check_range


class ExpertIteration(BaseAlgorithm):
    """In each round ``n_steps`` turns are played, in ``workers`` processes, while ``gradient_steps`` batches
    are learned of those before (``trials.Player`` says how, by ``tries``, ``uniform``, ``measured`` and
    ``most_objects``). In every second episode the step that gains most is taken, in the others the one that
    the policy judges best, so that it learns where it leads itself.

    The Gaussian learns the steps that gained, each as likely as its share of the turn's gains; the critics
    learn the gains of all. Kept are the latest ``buffer_size`` turns.
    """

    policy: ProposingPolicy

    def __init__(
        self,
        policy: type[ProposingPolicy],
        env: Any,
        learning_rate: float | Callable[[float], float] = 1e-3,
        n_steps: int = 480,
        gradient_steps: int = 120,
        batch_size: int = 96,
        buffer_size: int = 50_000,
        tries: int = 12,
        uniform: float = 0.25,
        measured: float = 0.3,
        most_objects: int = 12,
        workers: int = 1,
        max_grad_norm: float = 1.0,
        policy_kwargs: dict[str, Any] | None = None,
        tensorboard_log: str | None = None,
        verbose: int = 0,
        seed: int | None = None,
        device: str = "auto",
        _init_setup_model: bool = True,
    ) -> None:
        check_range("uniform", uniform, 0, 1)
        check_range("tries", tries, 2, 64, int)
        check_range("most_objects", most_objects, 1, 12, int)
        check_range("workers", workers, 1, 256, int)
        super().__init__(
            policy, env, learning_rate, policy_kwargs, tensorboard_log=tensorboard_log, verbose=verbose,
            seed=seed, device=device, support_multi_env=True, supported_action_spaces=(spaces.Box,),
        )  # fmt: skip
        self.n_steps, self.gradient_steps, self.batch_size = n_steps, gradient_steps, batch_size
        self.buffer_size, self.tries, self.uniform = buffer_size, tries, uniform
        self.measured, self.most_objects, self.max_grad_norm = measured, most_objects, max_grad_norm
        self.workers = workers
        if _init_setup_model:
            self._setup_model()

    def _setup_model(self) -> None:
        self._setup_lr_schedule()
        self.set_random_seed(self.seed)
        policy = self.policy_class(
            self.observation_space, self.action_space, self.lr_schedule, **self.policy_kwargs
        )
        if not isinstance(policy, ProposingPolicy):
            got = type(policy).__name__
            raise ValueError(f"policy: got {got}; expected agents.scene_fit.proposals.ProposingPolicy")
        self.policy = policy.to(self.device)

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "turns", "generator"]

    def _get_torch_save_params(self) -> tuple[list[str], list[str]]:
        return ["policy", "policy.optimizer"], []

    def learn(
        self, total_timesteps, callback=None, log_interval=1, tb_log_name="run", reset_num_timesteps=True,
        progress_bar=False,
    ):  # fmt: skip
        """Train for ``total_timesteps`` turns; the arguments are those of every Stable-Baselines3 algorithm.
        A training that is resumed has first to try steps anew, as those tried before are not kept."""
        total_timesteps, callback = self._setup_learn(
            total_timesteps, callback, reset_num_timesteps, tb_log_name, progress_bar
        )
        self.generator = np.random.default_rng([self.seed or 0, self.num_timesteps])
        self.turns = deque[Turn](maxlen=self.buffer_size)
        envs: Any = self.env
        settings = envs.get_attr("task")[0].settings
        player = Player(settings, self.policy, self.tries, self.uniform, self.measured, self.most_objects)
        callback.on_training_start(locals(), globals())
        players = Players(player, self.workers)
        try:
            going = True
            while going and self.num_timesteps < total_timesteps:
                players.begin(self.n_steps, self.policy, self.generator)
                if self.turns:
                    self._learn_batches()
                    self.logger.dump(self.num_timesteps)
                for turn in players.played():
                    self.turns.append(turn)
                    self.num_timesteps += 1
                    self.logger.record_mean("train/best_gain", float(turn.gains.max().clip(0)))
                    if not (going := callback.on_step()) or self.num_timesteps >= total_timesteps:
                        break
                self._update_current_progress_remaining(self.num_timesteps, total_timesteps)
        finally:
            players.close()
        callback.on_training_end()
        return self

    def _learn_batches(self) -> None:
        """Batches of turns with one number of slots each, as many of each as there are turns of it."""
        self._update_learning_rate(self.policy.optimizer)
        self.policy.set_training_mode(True)
        by_count: dict[int, list[Turn]] = {}
        for turn in self.turns:
            by_count.setdefault(len(turn.observation["slots"]), []).append(turn)
        counts = [*by_count]
        shares = np.array([len(by_count[count]) for count in counts]) / len(self.turns)
        for _ in range(self.gradient_steps):
            alike = by_count[counts[self.generator.choice(len(counts), p=shares)]]
            batch = [alike[k] for k in self.generator.integers(len(alike), size=self.batch_size)]
            terms = losses(self.policy, batch)
            loss = torch.stack([*terms.values()]).sum()
            self.policy.optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.policy.parameters(), self.max_grad_norm)
            self.policy.optimizer.step()
            for name, term in terms.items():
                self.logger.record_mean(f"train/{name}", float(term.detach()))
        self.policy.set_training_mode(False)


def losses(policy: ProposingPolicy, turns: list[Turn]) -> dict[str, torch.Tensor]:
    """Scalars, of turns with equally many slots and tries: of the Gaussian the negative log-likelihood, per
    number of an action, of the steps that gained, and of each critic the distance to the gains."""
    observation = {
        key: torch.as_tensor(np.stack([turn.observation[key] for turn in turns])).float()
        for key in turns[0].observation
    }
    actions, gains, measured = (
        torch.as_tensor(np.stack([getattr(turn, name) for turn in turns]))
        for name in ("actions", "gains", "measured")
    )
    latent = policy.latent(observation)
    shares = gains.clamp_min(0) / gains.clamp_min(0).sum(dim=1, keepdim=True).clamp_min(0.1)
    likelihood = policy.gaussian(latent).log_prob(actions.transpose(0, 1)).mean(dim=-1).T
    return {
        "cloning": -(shares * likelihood).sum(dim=1).mean(),
        "expected": nn.functional.smooth_l1_loss(policy.expected(latent, actions), gains),
        "judged": nn.functional.smooth_l1_loss(policy.judged(latent, actions, measured), gains),
    }
