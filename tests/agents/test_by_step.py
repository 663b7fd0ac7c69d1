"""Rewards in a unit of their own at each step of an episode."""

import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv

from agents.sb3.by_step import GUESS, NormalizeByStep


class Rows(VecEnv):
    """Two rows, whose episodes have 2 and 3 steps; rewards 1, 10, 100 at the steps, of either sign."""

    def __init__(self):
        super().__init__(2, spaces.Box(-1, 1, (1,)), spaces.Discrete(2))
        self.rng, self.at = np.random.default_rng(0), np.zeros(2, int)

    def reset(self):
        self.at[:] = 0
        return np.zeros((2, 1), np.float32)

    def step_async(self, actions):
        pass

    def step_wait(self):
        rewards = 10.0**self.at * self.rng.choice([-1, 1], 2)
        self.at += 1
        done = self.at >= (2, 3)
        self.at[done] = 0
        infos = [{"terminal_observation": np.zeros(1)} for _ in done]
        return np.zeros((2, 1), np.float32), rewards.astype(np.float32), done, infos

    def close(self):
        pass

    def get_attr(self, *_, **__):
        return [None, None]

    set_attr = env_method = get_attr

    def env_is_wrapped(self, *_, **__):
        return [False] * 2


def test_every_step_has_a_unit_of_its_own(tmp_path):
    envs = NormalizeByStep(Rows(), norm_obs=False, gamma=0.0)
    envs.reset()
    steps, last = [[0, 1] * 60, [0, 1, 2] * 40], []
    for k in range(120):
        _, rewards, _, _ = envs.step([0, 0])
        if k > 100:
            last += [(steps[row][k], abs(value)) for row, value in enumerate(rewards.tolist())]
    assert {step for step, _ in last} == {0, 1, 2}
    for step, value in last:
        assert value == pytest.approx(1, abs=0.02), step
    assert envs.squares[2] / envs.counts[2] == pytest.approx((GUESS + 40 * 1e4) / 41)
    envs.save(str(tmp_path / "kept.pkl"))
    again = NormalizeByStep.load(str(tmp_path / "kept.pkl"), Rows())
    assert again.squares == envs.squares
    again.training = False
    again.reset()
    again.step([0, 0])
    assert again.counts == envs.counts
