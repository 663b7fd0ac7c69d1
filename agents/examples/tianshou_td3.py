"""TD3 of Tianshou 2 on a single environment: python -m agents.examples.tianshou_td3

With anchor="first_view" a zero action takes the first view again: the untrained agent gains little; it learns
to go round the object. Needs pip install tianshou.
"""

import gymnasium as gym
import numpy as np
import torch
from gymnasium.wrappers import FlattenObservation
from tianshou.algorithm import TD3
from tianshou.algorithm.algorithm_base import Policy
from tianshou.algorithm.modelfree.ddpg import ContinuousDeterministicPolicy
from tianshou.algorithm.optim import AdamOptimizerFactory
from tianshou.data import Collector, ReplayBuffer
from tianshou.exploration import GaussianNoise
from tianshou.trainer import OffPolicyTrainerParams
from tianshou.utils.net.common import Net
from tianshou.utils.net.continuous import ContinuousActorDeterministic, ContinuousCritic

RANDOM_STEPS = 256


def evaluate(env: gym.Env, policy: Policy) -> float:
    """Mean return without exploration, from the same starts at each call."""
    collector = Collector(policy, env)
    collector.reset(gym_reset_kwargs={"seed": 10_000})
    return float(collector.collect(n_episode=32).returns.mean())


def main(steps: int = 2048, seed: int = 0) -> tuple[float, float]:
    """Train, and return the mean return before and after."""
    np.random.seed(seed)  # noqa: NPY002 (Tianshou draws from it)
    torch.manual_seed(seed)
    env = FlattenObservation(
        gym.make(
            "spatial_envs:NBV-MapAnything-v0", backbone="unproject", observations=["features", "poses"],
            anchor="first_view", num_objects=2, views=3, image_size=56,
        )
    )  # fmt: skip
    env.action_space.seed(seed)
    inputs, actions, sizes = env.observation_space.shape, env.action_space.shape, [64, 64]
    actor = Net(state_shape=inputs, hidden_sizes=sizes)
    critic = Net(state_shape=inputs, action_shape=actions, hidden_sizes=sizes, concat=True)
    policy = ContinuousDeterministicPolicy(
        actor=ContinuousActorDeterministic(preprocess_net=actor, action_shape=actions),
        exploration_noise=GaussianNoise(sigma=0.3),
        action_space=env.action_space,
    )
    algorithm = TD3(
        policy=policy,
        policy_optim=AdamOptimizerFactory(lr=1e-3),
        critic=ContinuousCritic(preprocess_net=critic),
        critic_optim=AdamOptimizerFactory(lr=1e-3),
        gamma=0.5,
        tau=0.01,
    )
    before = evaluate(env, policy)
    collector = Collector(policy, env, ReplayBuffer(steps), exploration_noise=True)
    collector.reset(gym_reset_kwargs={"seed": seed})
    collector.collect(n_step=RANDOM_STEPS, random=True)
    algorithm.run_training(
        OffPolicyTrainerParams(
            training_collector=collector, max_epochs=1, epoch_num_steps=steps - RANDOM_STEPS, batch_size=128,
            collection_step_num_env_steps=8, update_step_num_gradient_steps_per_sample=1.0,
        )
    )  # fmt: skip
    after = evaluate(env, policy)
    print(f"mean return {before:.3f} before, {after:.3f} after")
    return before, after


if __name__ == "__main__":
    main()
