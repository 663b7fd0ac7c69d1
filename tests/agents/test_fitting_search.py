"""Search in the environment's own moves."""

from __future__ import annotations

import numpy as np
import pytest

from agents.scene_fit.search import Searched, best_step, blind_search
from spatial_envs.prototypes.slots import moved
from spatial_envs.scene_fit import SceneFitEnv


@pytest.fixture
def env():
    env = SceneFitEnv(num_objects=2, slots=2, backbone=None, start="kmeans")
    env.reset(seed=0)
    return env


def test_the_best_step_is_the_one_after_which_the_potential_is_highest(env):
    state, rng = env.task.episode(0).state, np.random.default_rng(0)
    before, slots = state.figures(), state.slots.copy()
    actions = rng.uniform(-1, 1, (60, 1 + slots.shape[1]))
    found = best_step(state, 1, actions)
    assert state.figures() == before
    np.testing.assert_array_equal(state.slots, slots)
    values = []
    for action in actions:
        state.put(1, moved(slots[1], action, state.target.unit))
        values.append(state.figures()["full"])
    state.put(1, slots[1])
    assert max(values) > before["full"]  # so that there is something to find
    np.testing.assert_array_equal(found, actions[np.argmax(values)])
    worse = actions[[k for k, value in enumerate(values) if value < before["full"]]]
    assert len(worse) > 0
    np.testing.assert_array_equal(best_step(state, 1, worse), [-1, *[0] * slots.shape[1]])


def test_blind_search_only_gains(env):
    state = env.task.episode(0).state
    before = state.figures()["full"]
    blind_search(state)
    assert state.figures()["full"] > before + 0.01


class Anything:
    """A policy that draws evenly, and whose mean leaves the slot as it is."""

    def __init__(self, space):
        self.space = space

    def predict(self, observation, deterministic):
        if deterministic:
            return np.zeros(self.space.shape, np.float32), None
        return np.stack([self.space.sample() for _ in observation["turn"]]), None


def test_a_policy_s_samples_are_tried_and_no_turn_loses(env):
    env.action_space.seed(0)
    searched = Searched(Anything(env.action_space), env)
    observation, _ = env.reset(seed=0)
    gains, ended = [], False
    while not ended:
        action, _ = searched.predict(observation)
        assert env.action_space.contains(action)
        observation, reward, ended, _, _ = env.step(action)
        gains.append(reward)
    assert min(gains) > -1e-3  # the least step that there is moves nothing by much
    assert sum(gains) > 0.01
