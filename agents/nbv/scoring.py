"""A policy that scores 64 directions of next-best-view, all by one network, and looks into one of them.

Of discrete actions the scores are the logits. Of continuous ones they are the weights of a mixture of
Gaussians, whose means are the actions that lead into the 64 directions; its density is a log-sum-exp, so that
Stable-Baselines3's on-policy algorithms train it as they are.
"""

from __future__ import annotations

import math

import gymnasium as gym
import torch
from gymnasium import spaces
from stable_baselines3.common.distributions import Distribution
from stable_baselines3.common.policies import BasePolicy, MultiInputActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.dqn.policies import DQNPolicy
from torch import nn

from agents.nbv.candidates import CandidateScores
from agents.nbv.policy import ViewFeatures
from spatial_envs.nbv.actions import tangents
from spatial_envs.nbv.candidates import CANDIDATES
from spatial_envs.nbv.task import NBV

SPENT = -1e3  # the score of a direction that was looked into
ASIDE, ALONG = -3.2, -0.7  # log standard deviations: of a direction's two components, and of all others


class ScoresAndViews(BaseFeaturesExtractor):
    """The scores (B, 64), the first two components (B, 64, 2) of the actions that lead into the directions,
    and what the critic reads, in one vector."""

    KEYS = tuple(dict.fromkeys((*CandidateScores.KEYS, *ViewFeatures.KEYS, "glimpses")))

    def __init__(
        self,
        observation_space: gym.spaces.Dict,
        hidden_dim: int = 32,
        num_layers: int = 1,
        measured: float | None = 0.0,
    ) -> None:
        scores = CandidateScores(observation_space, hidden_dim, measured=measured)
        views = ViewFeatures(observation_space, num_layers=num_layers)
        super().__init__(observation_space, 3 * CANDIDATES + views.features_dim)
        self.scores, self.views = scores, views

    def forward(self, observations: dict[str, torch.Tensor]) -> torch.Tensor:
        """The observation's tensors, batched -> (B, 192 + D)."""
        directions, left = observations["candidates"].split([3, 1], dim=-1)
        scores = self.scores(observations).masked_fill(left[..., 0] < 0.5, SPENT)
        headings = action_headings(observations["anchor"], directions)
        return torch.cat([scores, headings.flatten(1), self.views(observations)], dim=-1)


def action_headings(anchor: torch.Tensor, directions: torch.Tensor) -> torch.Tensor:
    """(B, K, 2): the first two components of the actions "shell", "sphere" and "pose" that lead into unit
    directions (B, K, 3) from anchors (B, 3), all in the frame's axes."""
    east, north = (torch.einsum("bkc,bc->bk", directions, axis) for axis in tangents(anchor))
    ahead = torch.einsum("bkc,bc->bk", directions, anchor)
    angle = torch.atan2(torch.hypot(east, north), ahead)
    largest = torch.maximum(east.abs(), north.abs()).clamp_min(1e-6)
    return (angle / math.pi / largest)[..., None] * torch.stack([east, north], dim=-1)


class Mixture(Distribution):
    """Of K Gaussians (B, K, A) with weights softmax(logits (B, K)) and standard deviations (A,) for all."""

    def proba_distribution_net(self, *args, **kwargs) -> nn.Module:
        """What comes between the actor's vector and the parameters: nothing."""
        return nn.Identity()

    def proba_distribution(self, logits: torch.Tensor, means: torch.Tensor, log_std: torch.Tensor) -> Mixture:
        """Set the parameters."""
        weights = torch.distributions.Categorical(logits=logits)
        each = torch.distributions.Independent(torch.distributions.Normal(means, log_std.exp()), 1)
        self.mixture = torch.distributions.MixtureSameFamily(weights, each)
        return self

    def log_prob(self, actions: torch.Tensor) -> torch.Tensor:
        """Log density (B,) of actions (B, A)."""
        return self.mixture.log_prob(actions)

    def entropy(self) -> torch.Tensor:
        """(B,): of the weights and of one Gaussian, which is the mixture's where these do not overlap."""
        weights, each = self.mixture.mixture_distribution, self.mixture.component_distribution
        return weights.entropy() + each.entropy().mean(dim=-1)

    def sample(self) -> torch.Tensor:
        """Draw actions (B, A)."""
        return self.mixture.sample()

    def mode(self) -> torch.Tensor:
        """(B, A): the mean of the heaviest."""
        heaviest = self.mixture.mixture_distribution.logits.argmax(dim=-1)
        means = self.mixture.component_distribution.mean
        return means[torch.arange(len(means), device=means.device), heaviest]

    def actions_from_params(self, logits, means, log_std, deterministic: bool = False) -> torch.Tensor:
        """Actions (B, A) of these parameters."""
        return self.proba_distribution(logits, means, log_std).get_actions(deterministic)

    def log_prob_from_params(self, logits, means, log_std) -> tuple[torch.Tensor, torch.Tensor]:
        """Drawn actions (B, A) and their log densities (B,)."""
        actions = self.actions_from_params(logits, means, log_std)
        return actions, self.log_prob(actions)


class _Parted(nn.Module):
    """What ``ScoresAndViews`` made goes to the actor as it is, and what is for the critic to its layers."""

    def __init__(self, width: int, layers: list[int]) -> None:
        super().__init__()
        self.latent_dim_pi, self.latent_dim_vf = width, layers[-1]
        inputs = [width - 3 * CANDIDATES, *layers[:-1]]
        parts = [nn.Sequential(nn.Linear(*sizes), nn.Tanh()) for sizes in zip(inputs, layers, strict=True)]
        self.value_net = nn.Sequential(*parts)

    def forward(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.forward_actor(features), self.forward_critic(features)

    def forward_actor(self, features: torch.Tensor) -> torch.Tensor:
        return features

    def forward_critic(self, features: torch.Tensor) -> torch.Tensor:
        return self.value_net(features[:, 3 * CANDIDATES :])


class ScoringPolicy(MultiInputActorCriticPolicy):
    """The actor-critic policy of PPO and A2C that scores directions, by its EXTRACTOR; ``net_arch`` is the
    critic's.

    Of continuous actions the components beyond the direction have one learned mean and spread for all states,
    0 and exp(-0.7) at first. A stop of discrete actions is one more choice beside the directions, whose score
    is a linear function of what the critic reads."""

    EXTRACTOR: type[BaseFeaturesExtractor] = ScoresAndViews
    KEYS = ScoresAndViews.KEYS

    @staticmethod
    def check_task(task: NBV) -> None:
        """ValueError for a task whose actions name no direction, or stop by a component of their own."""
        if task.action == "position" or (task.stops and task.action != "candidates"):
            said = f"{task.action!r}{' with view_cost' if task.stops else ''}"
            raise ValueError(
                f"set: action: got {said} for a policy of directions; expected shell, sphere or pose "
                "without view_cost, or candidates; or --hyper policy=agents.policies.ActorCriticPolicy"
            )

    def __init__(self, *args, **keywords) -> None:
        keywords["features_extractor_class"] = self.EXTRACTOR
        keywords["ortho_init"] = False
        super().__init__(*args, **keywords)

    def begin_with(self, policy: BasePolicy) -> None:
        """Take all the weights of such a policy, or, for the scores, those of one that values candidates."""
        if isinstance(policy, DQNPolicy):
            extractor = self.features_extractor
            assert isinstance(extractor, ScoresAndViews)
            extractor.scores.load_state_dict(policy.q_net.features_extractor.state_dict())
        else:
            self.load_state_dict(policy.state_dict())

    def _build_mlp_extractor(self) -> None:
        layers = self.net_arch["vf"] if isinstance(self.net_arch, dict) else self.net_arch
        self.mlp_extractor = _Parted(self.features_dim, layers)  # type: ignore[assignment]

    def _build(self, lr_schedule) -> None:
        super()._build(lr_schedule)
        self.action_net = Mixture().proba_distribution_net()
        if isinstance(self.action_space, spaces.Box):
            rest = self.action_space.shape[0] - 2
            self.rest = nn.Parameter(torch.zeros(rest))
            self.log_std = nn.Parameter(torch.tensor([ASIDE] * 2 + [ALONG] * rest))
        elif self.action_space.n > CANDIDATES:  # type: ignore[attr-defined]
            self.stop = nn.Linear(self.features_dim - 3 * CANDIDATES, 1)
        self.optimizer = self.optimizer_class(self.parameters(), lr=lr_schedule(1), **self.optimizer_kwargs)  # type: ignore[call-arg]

    def _get_action_dist_from_latent(self, latent_pi: torch.Tensor) -> Distribution:
        scores, headings, read = latent_pi.tensor_split([CANDIDATES, 3 * CANDIDATES], dim=-1)
        if hasattr(self, "stop"):
            scores = torch.cat([scores, self.stop(read)], dim=-1)
        if isinstance(self.action_space, spaces.Discrete):
            return self.action_dist.proba_distribution(scores)
        headings = headings.unflatten(-1, (CANDIDATES, 2))
        rest = self.rest.expand(*headings.shape[:2], -1)
        return Mixture().proba_distribution(scores, torch.cat([headings, rest], -1), self.log_std)
