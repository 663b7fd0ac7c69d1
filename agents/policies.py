"""Stable-Baselines3's policies with our features extractors, under names that a configuration can give: what
``train_agent.py`` and rl-baselines3-zoo both read."""

from __future__ import annotations

import gymnasium as gym
import torch
from sb3_contrib.common.recurrent.policies import RecurrentMultiInputActorCriticPolicy
from sb3_contrib.tqc.policies import MultiInputPolicy as MultiInputTQCPolicy
from stable_baselines3.common.policies import MultiInputActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.sac.policies import MultiInputPolicy as MultiInputSACPolicy
from stable_baselines3.td3.policies import MultiInputPolicy as MultiInputTD3Policy

from agents.navigation.policy import NavigationFeatures
from agents.nbv.policy import ViewFeatures
from agents.scene_fit.policy import SlotFeatures


def by_dimension(spread: float | list[float] | torch.Tensor, action_space: gym.Space) -> float | torch.Tensor:
    """``log_std_init`` as a policy takes it; the last of a list serves for all dimensions that follow."""
    if not isinstance(spread, list):
        return spread
    assert isinstance(action_space, gym.spaces.Box)
    dims = action_space.shape[0]
    return torch.tensor((spread + dims * spread[-1:])[:dims])


class Extracting:
    """In front of a policy of Stable-Baselines3's: EXTRACTOR makes its features of the observation's KEYS."""

    EXTRACTOR: type[BaseFeaturesExtractor]
    KEYS: tuple[str, ...]

    def __init__(self, *arguments, features_extractor_class=None, **keywords) -> None:
        keywords["features_extractor_class"] = features_extractor_class or self.EXTRACTOR
        super().__init__(*arguments, **keywords)


class Attentive(Extracting):
    """For next-best-view."""

    EXTRACTOR, KEYS = ViewFeatures, ViewFeatures.KEYS


class Exploring(Attentive):
    """And ``log_std_init`` may be a list."""

    def __init__(self, observation_space, action_space, *arguments, log_std_init=0.0, **keywords) -> None:
        log_std_init = by_dimension(log_std_init, action_space)
        super().__init__(observation_space, action_space, *arguments, log_std_init=log_std_init, **keywords)


class ActorCriticPolicy(Exploring, MultiInputActorCriticPolicy):
    """The actor-critic policy of PPO and A2C."""


class RecurrentPolicy(Exploring, RecurrentMultiInputActorCriticPolicy):
    """The recurrent actor-critic policy of PPO with a memory."""


class SACPolicy(Attentive, MultiInputSACPolicy):
    """The policy of SAC."""


class TD3Policy(Attentive, MultiInputTD3Policy):
    """The policy of TD3."""


class TQCPolicy(Attentive, MultiInputTQCPolicy):
    """The policy of TQC."""


class Walking(Extracting):
    """For navigation."""

    EXTRACTOR, KEYS = NavigationFeatures, NavigationFeatures.KEYS


class WalkingPolicy(Walking, MultiInputActorCriticPolicy):
    """The actor-critic policy of PPO and A2C for navigation."""


class WalkingRecurrentPolicy(Walking, RecurrentMultiInputActorCriticPolicy):
    """The recurrent policy of PPO with a memory for navigation."""


class WalkingSACPolicy(Walking, MultiInputSACPolicy):
    """The policy of SAC for navigation."""


class Fitting(Extracting):
    """For prototype fitting."""

    EXTRACTOR, KEYS = SlotFeatures, SlotFeatures.KEYS


class FittingPolicy(Fitting, MultiInputActorCriticPolicy):
    """The actor-critic policy of PPO and A2C for scene fitting."""


class FittingSACPolicy(Fitting, MultiInputSACPolicy):
    """The policy of SAC for scene fitting."""
