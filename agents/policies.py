"""Stable-Baselines3's policies with our features extractors, under names that a configuration can give: what
``train_agent.py`` and rl-baselines3-zoo both read."""

from __future__ import annotations

import gymnasium as gym
import torch
from sb3_contrib.common.recurrent.policies import RecurrentMultiInputActorCriticPolicy
from sb3_contrib.tqc.policies import MultiInputPolicy as MultiInputTQCPolicy
from stable_baselines3.common.policies import MultiInputActorCriticPolicy
from stable_baselines3.sac.policies import MultiInputPolicy as MultiInputSACPolicy
from stable_baselines3.td3.policies import MultiInputPolicy as MultiInputTD3Policy

from agents.attention import ViewFeatures
from agents.navigation_policy import NavigationFeatures
from agents.slot_features import SlotFeatures


def by_dimension(spread: float | list[float] | torch.Tensor, action_space: gym.Space) -> float | torch.Tensor:
    """``log_std_init`` as a policy takes it; the last of a list serves for all dimensions that follow."""
    if not isinstance(spread, list):
        return spread
    assert isinstance(action_space, gym.spaces.Box)
    dims = action_space.shape[0]
    return torch.tensor((spread + dims * spread[-1:])[:dims])


class Attentive:
    """In front of a policy of Stable-Baselines3's: its features are ``ViewFeatures``."""

    KEYS = ViewFeatures.KEYS

    def __init__(self, *arguments, features_extractor_class=ViewFeatures, **keywords) -> None:
        keywords["features_extractor_class"] = features_extractor_class
        super().__init__(*arguments, **keywords)


class Exploring(Attentive):
    """And ``log_std_init`` may be a list."""

    def __init__(self, observation_space, action_space, *arguments, log_std_init=0.0, **keywords) -> None:
        log_std_init = by_dimension(log_std_init, action_space)
        super().__init__(observation_space, action_space, *arguments, log_std_init=log_std_init, **keywords)


class ActorCriticPolicy(Exploring, MultiInputActorCriticPolicy):
    """Of PPO and A2C."""


class RecurrentPolicy(Exploring, RecurrentMultiInputActorCriticPolicy):
    """Of PPO with a memory."""


class SACPolicy(Attentive, MultiInputSACPolicy):
    """Of SAC."""


class TD3Policy(Attentive, MultiInputTD3Policy):
    """Of TD3."""


class TQCPolicy(Attentive, MultiInputTQCPolicy):
    """Of TQC."""


class Walking:
    """In front of a policy of Stable-Baselines3's: its features are ``NavigationFeatures``."""

    KEYS = NavigationFeatures.KEYS

    def __init__(self, *arguments, features_extractor_class=NavigationFeatures, **keywords) -> None:
        keywords["features_extractor_class"] = features_extractor_class
        super().__init__(*arguments, **keywords)


class WalkingPolicy(Walking, MultiInputActorCriticPolicy):
    """Of PPO and A2C, for navigation."""


class WalkingRecurrentPolicy(Walking, RecurrentMultiInputActorCriticPolicy):
    """Of PPO with a memory, for navigation."""


class WalkingSACPolicy(Walking, MultiInputSACPolicy):
    """Of SAC, for navigation."""


class Fitting:
    """In front of a policy of Stable-Baselines3's: its features are ``SlotFeatures``."""

    KEYS = SlotFeatures.KEYS

    def __init__(self, *arguments, features_extractor_class=SlotFeatures, **keywords) -> None:
        keywords["features_extractor_class"] = features_extractor_class
        super().__init__(*arguments, **keywords)


class FittingPolicy(Fitting, MultiInputActorCriticPolicy):
    """Of PPO and A2C, for prototype fitting."""


class FittingSACPolicy(Fitting, MultiInputSACPolicy):
    """Of SAC, for prototype fitting."""
