"""The research plan's training: the gradient of a Chamfer loss goes through the backbone to the pose that the
policy proposes. As an algorithm of Stable-Baselines3's kind, so that all else is as with the others."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import nn

from agents.nbv.policy import ViewFeatures
from agents.nbv.pose_gradient import LOSSES, chamfer_loss, episode_loss, poses_of, reconstruct
from agents.nbv.research_plan import AttentionNBVPolicy
from spatial_envs.foundation.arguments import check_choice, check_flag, check_range
from spatial_envs.nbv.task import NBV

ESTIMATORS = ("pathwise", "score")


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
    """``AttentionNBVPolicy``, which sees the features alone (and, where they are observed, the poses beside
    them) and puts out the camera's place in the frame, for action="position"; ``unit`` is what a position of
    1 m is as an action."""

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
        tokens = [key for key in ("features", "poses") if key in observation_space.spaces]
        width = sum(observation_space[key].shape[-1] for key in tokens)  # type: ignore[index,misc]
        self.network = AttentionNBVPolicy(width, output_mode="position_only", **(attention or {}))
        self.tokens, self.unit = tokens, unit
        self.optimizer = self.optimizer_class(
            self.parameters(),
            lr=lr_schedule(1),
            **self.optimizer_kwargs,  # type: ignore[call-arg]
        )

    def forward(self, observations: dict[str, torch.Tensor]) -> torch.Tensor:
        """The observation's tensors, batched -> actions (B, 3), unbounded, differentiable."""
        views = torch.cat([observations[key].float() for key in self.tokens], dim=-1)
        return self.unit * self.network(views, observations["view_mask"])

    def _predict(self, observation, deterministic: bool = False) -> torch.Tensor:
        return self(observation)


class Differentiable(BaseAlgorithm):
    """Each step of the environments is a step of the optimiser, on the loss of the reconstruction with the
    view that the policy proposes; then the view is taken.

    loss           one of ``pose_gradient.LOSSES``
    estimator      "pathwise": the loss flows back through the backbone's geometry to the pose, and through
                   the environment's own map to the action. "score": the actions are blurred with a Gaussian,
                   and the losses of opposite draws, each rendered anew, are compared: the gradient of the
                   blurred loss, without bias, which asks neither backbone nor renderer for gradients
    detach         pathwise: whether the view's image, rendered at the pose, is cut off; False needs PyTorch3D
    through        pathwise: whether the gradient passes the bounds of the actions as if they did not clip
    weight         pathwise: how many times the distances from the reconstructed points count
    sigma, pairs   score: the Gaussian's standard deviation, in units of the action, and how many pairs
    max_grad_norm  the gradient is clipped to it; None leaves it as it is
    """

    def __init__(
        self,
        policy: type[BasePolicy],
        env: Any,
        learning_rate: float | Callable[[float], float] = 1e-4,
        loss: str = "log",
        weight: float = 1.0,
        estimator: str = "pathwise",
        detach: bool = True,
        through: bool = False,
        sigma: float = 0.15,
        pairs: int = 4,
        max_grad_norm: float | None = 1.0,
        policy_kwargs: dict[str, Any] | None = None,
        tensorboard_log: str | None = None,
        verbose: int = 0,
        seed: int | None = None,
        device: str = "auto",
        _init_setup_model: bool = True,
    ) -> None:
        check_choice("loss", loss, LOSSES)
        check_choice("estimator", estimator, ESTIMATORS)
        check_range("weight", weight, 0, math.inf)
        check_range("sigma", sigma, 1e-3, 1)
        check_range("pairs", pairs, 1, 1000, int)
        plain = check_flag("detach", detach) and not check_flag("through", through) and weight == 1
        if estimator == "score" and not plain:
            raise ValueError("estimator: got 'score', which takes no weight, detach=False or through=True")
        super().__init__(
            policy, env, learning_rate, policy_kwargs, tensorboard_log=tensorboard_log, verbose=verbose,
            seed=seed, device=device, support_multi_env=True, supported_action_spaces=(spaces.Box,),
        )  # fmt: skip
        self.loss, self.weight, self.max_grad_norm = loss, weight, max_grad_norm
        self.estimator, self.detach, self.through = estimator, detach, through
        self.sigma, self.pairs = sigma, pairs
        if _init_setup_model:
            self._setup_model()

    def _setup_model(self) -> None:
        if not self.detach and self.env is not None:
            renderer = self.env.get_attr("task")[0].renderer
            if not hasattr(renderer, "render_differentiable"):
                raise ValueError(
                    f"detach: got False with the renderer {renderer.name!r}, which passes no gradients on; "
                    "expected renderer='pytorch3d' (--set renderer=pytorch3d)"
                )
        self._setup_lr_schedule()
        self.set_random_seed(self.seed)
        self.policy = self.policy_class(
            self.observation_space, self.action_space, self.lr_schedule, **self.policy_kwargs
        ).to(self.device)

    def learn(
        self, total_timesteps, callback=None, log_interval=1, tb_log_name="run", reset_num_timesteps=True,
        progress_bar=False,
    ):  # fmt: skip
        """Train for ``total_timesteps`` steps; the arguments are those of every Stable-Baselines3
        algorithm."""
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
            if (self.num_timesteps // envs.num_envs) % 10 == 0:
                self.logger.dump(self.num_timesteps)
        callback.on_training_end()
        return self

    def _step(self, task: NBV) -> np.ndarray:
        """One step of the optimiser; the actions (B, A) that were proposed."""
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        assert self._last_obs is not None
        actions = self.policy(self.policy.obs_to_tensor(self._last_obs)[0])
        follow = self._pathwise if self.estimator == "pathwise" else self._score
        loss, value = follow(task, actions)
        self.policy.optimizer.zero_grad()
        loss.backward()
        limit = float("inf") if self.max_grad_norm is None else self.max_grad_norm
        norm = nn.utils.clip_grad_norm_(self.policy.parameters(), limit)
        if norm.isfinite():
            self.policy.optimizer.step()
        self.logger.record_mean("train/loss", value)
        self.logger.record_mean("train/gradient_norm", float(norm))
        self.logger.record_mean("train/beyond_bounds", float((actions.abs() > 1).float().mean()))
        self.policy.set_training_mode(False)
        return actions.detach().cpu().numpy().clip(-1, 1)

    def _pathwise(self, task: NBV, actions: torch.Tensor) -> tuple[torch.Tensor, float]:
        """The mean loss, with its gradient to the actions (B, A), and its value."""
        episodes = [task.episode(row) for row in range(len(actions))]
        meant = actions.cpu().double()
        taken = meant.clamp(-1, 1)
        poses = poses_of(task, episodes, meant + (taken - meant).detach() if self.through else taken)
        clouds = reconstruct(task, episodes, poses, detach=self.detach)
        losses = [
            chamfer_loss(points, episode.reference.points, self.loss, self.weight)
            for points, episode in zip(clouds, episodes, strict=True)
            if len(points)  # a view beside the object leaves those before it, at least
        ]
        loss = torch.stack(losses).mean()
        return loss, loss.item()

    def _score(self, task: NBV, actions: torch.Tensor) -> tuple[torch.Tensor, float]:
        """A scalar whose gradient to the actions (B, A) is the estimate, and the mean loss of the draws."""
        noise = torch.randn(len(actions), self.pairs, actions.shape[1]).double().numpy()
        centres = actions.detach().cpu().double().numpy()[:, None]
        moved = np.concatenate([centres + self.sigma * noise, centres - self.sigma * noise], axis=1)
        losses = np.empty(moved.shape[:2])
        for row, tries in enumerate(moved):
            twins = task.extended(task.episode(row), task.poses_from_actions(row, tries))
            losses[row] = [episode_loss(twin.metrics, self.loss) for twin in twins]
        ahead, behind = np.split(losses, 2, axis=1)
        gradient = ((ahead - behind)[..., None] * noise).mean(axis=1) / (2 * self.sigma)
        return (torch.as_tensor(gradient).to(actions) * actions).sum(dim=1).mean(), float(losses.mean())
