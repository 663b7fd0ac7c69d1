"""The research plan's training: the gradient of a Chamfer loss goes through the backbone to the pose that the
policy proposes. As an algorithm of Stable-Baselines3's kind, so that all else is as with the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import nn

from agents.attention import AttentionNBVPolicy, ViewFeatures
from agents.pose_gradient import LOSSES, chamfer_loss, pose_of, reconstruct
from spatial_envs.arguments import check_choice


class PosePolicy(BasePolicy):
    """An action straight from the features extractor's vector; the zero action before training."""

    KEYS = ViewFeatures.KEYS

    def __init__(
        self,
        observation_space: spaces.Dict,
        action_space: spaces.Box,
        lr_schedule: Callable[[float], float],
        features_extractor_class: type[BaseFeaturesExtractor] = ViewFeatures,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            observation_space, action_space, features_extractor_class=features_extractor_class, **kwargs
        )
        self.features_extractor = self.make_features_extractor()
        self.head = nn.Linear(self.features_extractor.features_dim, action_space.shape[0])
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.optimizer = self.optimizer_class(
            self.parameters(),
            lr=lr_schedule(1),
            **self.optimizer_kwargs,  # type: ignore[call-arg]
        )

    def forward(self, observations: dict[str, torch.Tensor]) -> torch.Tensor:
        """The observation's tensors, batched -> actions (B, A) in [-1, 1], differentiable."""
        features = self.extract_features(observations, self.features_extractor)
        return torch.tanh(self.head(features))

    def _predict(self, observation, deterministic: bool = False) -> torch.Tensor:
        return self(observation)


class ResearchPlanPolicy(BasePolicy):
    """``AttentionNBVPolicy``, which sees the features alone and puts out the camera's place in the frame, for
    action="position"; ``unit`` is what a position of 1 m is as an action."""

    KEYS = ("features", "view_mask")

    def __init__(
        self,
        observation_space: spaces.Dict,
        action_space: spaces.Box,
        lr_schedule: Callable[[float], float],
        unit: float = 0.5,
        attention: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(observation_space, action_space, **kwargs)
        width = observation_space["features"].shape[-1]  # type: ignore[index]
        self.network = AttentionNBVPolicy(width, output_mode="position_only", **(attention or {}))
        self.unit = unit
        self.optimizer = self.optimizer_class(
            self.parameters(),
            lr=lr_schedule(1),
            **self.optimizer_kwargs,  # type: ignore[call-arg]
        )

    def forward(self, observations: dict[str, torch.Tensor]) -> torch.Tensor:
        """The observation's tensors, batched -> actions (B, 3), unbounded, differentiable."""
        return self.unit * self.network(observations["features"].float(), observations["view_mask"])

    def _predict(self, observation, deterministic: bool = False) -> torch.Tensor:
        return self(observation)


class Differentiable(BaseAlgorithm):
    """Each step of the environments is a step of the optimiser: the loss of the reconstruction with the view
    that the policy proposes, whose image is rendered there and cut off, flows back through the backbone's
    geometry to the pose, and through the environment's own map to the action. Then the view is taken.

    loss           one of ``pose_gradient.LOSSES``
    max_grad_norm  the gradient is clipped to it; None leaves it as it is
    """

    def __init__(
        self,
        policy: type[BasePolicy],
        env: Any,
        learning_rate: float | Callable[[float], float] = 1e-4,
        loss: str = "log",
        max_grad_norm: float | None = 1.0,
        policy_kwargs: dict[str, Any] | None = None,
        tensorboard_log: str | None = None,
        verbose: int = 0,
        seed: int | None = None,
        device: str = "auto",
        _init_setup_model: bool = True,
    ) -> None:
        check_choice("loss", loss, LOSSES)
        super().__init__(
            policy, env, learning_rate, policy_kwargs, tensorboard_log=tensorboard_log, verbose=verbose,
            seed=seed, device=device, support_multi_env=True, supported_action_spaces=(spaces.Box,),
        )  # fmt: skip
        self.loss, self.max_grad_norm = loss, max_grad_norm
        if _init_setup_model:
            self._setup_model()

    def _setup_model(self) -> None:
        self._setup_lr_schedule()
        self.set_random_seed(self.seed)
        self.policy = self.policy_class(
            self.observation_space, self.action_space, self.lr_schedule, **self.policy_kwargs
        ).to(self.device)

    def learn(
        self, total_timesteps, callback=None, log_interval=1, tb_log_name="run", reset_num_timesteps=True,
        progress_bar=False,
    ):  # fmt: skip
        """See the parent."""
        total_timesteps, callback = self._setup_learn(
            total_timesteps, callback, reset_num_timesteps, tb_log_name, progress_bar
        )
        callback.on_training_start(locals(), globals())
        envs: Any = self.env
        task = envs.get_attr("task")[0]
        while self.num_timesteps < total_timesteps:
            actions = self._step(task)
            self._last_obs, _, dones, infos = envs.step(actions)
            self.num_timesteps += envs.num_envs
            self._update_info_buffer(infos, dones)
            self._update_current_progress_remaining(self.num_timesteps, total_timesteps)
            if not callback.on_step():
                break
            if (self.num_timesteps // envs.num_envs) % 50 == 0:
                self.logger.dump(self.num_timesteps)
        callback.on_training_end()
        return self

    def _step(self, task) -> np.ndarray:
        """One step of the optimiser; the actions (B, A) that were proposed."""
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        assert self._last_obs is not None
        actions = self.policy(self.policy.obs_to_tensor(self._last_obs)[0])
        losses, rows = [], actions.cpu().double()
        for row, action in enumerate(rows):
            episode = task.episode(row)
            points = reconstruct(task, episode, pose_of(task, episode, action.clamp(-1, 1)))
            if len(points):  # a view beside the object leaves those before it, at least
                losses.append(chamfer_loss(points, episode.reference.points, self.loss))
        loss = torch.stack(losses).mean()
        self.policy.optimizer.zero_grad()
        loss.backward()
        limit = float("inf") if self.max_grad_norm is None else self.max_grad_norm
        norm = nn.utils.clip_grad_norm_(self.policy.parameters(), limit)
        if norm.isfinite():
            self.policy.optimizer.step()
        self.logger.record_mean("train/loss", loss.item())
        self.logger.record_mean("train/gradient_norm", float(norm))
        self.policy.set_training_mode(False)
        return actions.detach().cpu().numpy().clip(-1, 1)
