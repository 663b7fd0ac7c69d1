"""PPO in one file, in the manner of CleanRL: python -m agents.examples.cleanrl_ppo

With anchor="first_view" a zero action takes the first view again: the untrained agent gains little; it learns
to go round the object.
"""

import gymnasium as gym
import numpy as np
import torch
from torch import nn
from torch.distributions import Normal

NUM_ENVS, NUM_STEPS, EPOCHS, MINIBATCH = 8, 32, 8, 64
GAMMA, GAE_LAMBDA, CLIP, LEARNING_RATE, LOG_STD = 0.5, 0.9, 0.2, 2e-3, -0.7


def flat(observation: dict[str, np.ndarray]) -> torch.Tensor:
    """(N, D): the arrays (N, ...) of a batched observation side by side."""
    return torch.cat([torch.as_tensor(array).flatten(1) for array in observation.values()], dim=1)


@torch.no_grad()
def evaluate(envs: gym.vector.VectorEnv, actor: nn.Module, episodes: int = 32) -> float:
    """Mean return without exploration, from the same starts at each call."""
    (observation, _), total, ended = envs.reset(seed=10_000), 0.0, 0
    while ended < episodes:
        observation, reward, over, _, _ = envs.step(actor(flat(observation)).numpy())
        total, ended = total + reward.sum(), ended + over.sum()
    return float(total / ended)


def main(steps: int = 8192, seed: int = 0) -> tuple[float, float]:
    """Train, and return the mean return before and after."""
    torch.manual_seed(seed)
    envs = gym.make_vec(
        "spatial_envs:NBV-MapAnything-v0", NUM_ENVS, autoreset_mode="SameStep", backbone="unproject",
        observations=["features", "poses"], anchor="first_view", num_objects=2, views=3, image_size=56,
    )  # fmt: skip
    inputs = gym.spaces.flatdim(envs.single_observation_space)
    actor = nn.Sequential(nn.Linear(inputs, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 3))
    critic = nn.Sequential(nn.Linear(inputs, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 1))
    log_std = nn.Parameter(torch.full((3,), LOG_STD))
    optimizer = torch.optim.Adam([*actor.parameters(), *critic.parameters(), log_std], LEARNING_RATE)
    before = evaluate(envs, actor)
    now = flat(envs.reset(seed=seed)[0])
    for update in range(1, steps // (NUM_ENVS * NUM_STEPS) + 1):
        rollout = []
        for _ in range(NUM_STEPS):
            with torch.no_grad():
                policy, value = Normal(actor(now), log_std.exp()), critic(now)[:, 0]
            action = policy.sample()
            following, reward, over, _, _ = envs.step(action.numpy())
            outcome = torch.as_tensor(reward).float(), torch.as_tensor(over)
            rollout.append([now, action, policy.log_prob(action).sum(1), value, *outcome])
            now = flat(following)  # SameStep: where an episode ended, the next one's first observation
        seen, actions, log_probs, values, rewards, overs = map(torch.stack, zip(*rollout, strict=True))
        advantages, advantage, next_value = torch.zeros_like(values), 0, critic(now)[:, 0].detach()
        for t in reversed(range(NUM_STEPS)):
            discount = GAMMA * ~overs[t]  # nothing of the next episode counts for this one
            advantage = rewards[t] + discount * (next_value + GAE_LAMBDA * advantage) - values[t]
            advantages[t], next_value = advantage, values[t]
        parts = [part.flatten(0, 1) for part in (seen, actions, log_probs, advantages, advantages + values)]
        for rows in [rows for _ in range(EPOCHS) for rows in torch.randperm(len(parts[0])).split(MINIBATCH)]:
            observed, taken, old, gain, target = (part[rows] for part in parts)
            gain = (gain - gain.mean()) / gain.std()
            ratio = (Normal(actor(observed), log_std.exp()).log_prob(taken).sum(1) - old).exp()
            policy_loss = -torch.min(ratio * gain, ratio.clamp(1 - CLIP, 1 + CLIP) * gain).mean()
            loss = policy_loss + (critic(observed)[:, 0] - target).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"{update * NUM_ENVS * NUM_STEPS:6,} steps, return {rewards.sum() / overs.sum():.3f}")
    after = evaluate(envs, actor)
    print(f"mean return {before:.3f} before, {after:.3f} after")
    return before, after


if __name__ == "__main__":
    main()
