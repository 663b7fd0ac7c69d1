"""Thoughts that simulate: what they show is true to the frames; the rule that uses them gains by a few more,
and stops where there is nothing left to think about."""

import gymnasium as gym
import numpy as np
import pytest

import spatial_envs  # noqa: F401
from agents.foresight.baselines import BASELINES, FAN
from agents.foresight.evaluation import walk
from agents.foresight.simulating import Simulating
from spatial_envs.foresight.simulation import begin, first_start, simulated, used_frames
from spatial_envs.foresight.task import START_STEP

ID = "Foresight-Prototype-v0"
LATER = {"ahead": (1.0, 1.0), "backwards": 0.0, "rotations": False}


@pytest.fixture
def env():
    return gym.make(ID, split="validation", num_objects=4, think="simulate", **LATER)


def thought(env, change=0.0):
    action = np.zeros(env.action_space.shape, np.float32)
    action[0], action[2:] = -1, change
    return action


def test_only_this_kind_of_thought_has_a_start_and_residuals(env):
    assert env.observation_space["start"].shape == (6, 6)
    assert env.observation_space["residuals"].shape == (6, 10, 3)
    assert env.action_space.shape == (38,)
    assert {"start", "residuals"}.isdisjoint(gym.make(ID).observation_space.spaces)
    with pytest.raises(ValueError, match="think: got 'dream'"):
        gym.make(ID, think="dream")


def test_a_thought_changes_the_start_and_shows_what_follows(env):
    before, _ = env.reset(seed=0)
    question = env.unwrapped.task.rows[0].question
    count = len(question.kind)
    np.testing.assert_allclose(before["start"][:count], first_start(question), atol=1e-5)
    assert not before["residuals"].any()
    np.testing.assert_array_equal(before["draft"], before["reference"])
    after, *_ = env.step(thought(env, 0.5))
    start = first_start(question) + 0.5 * START_STEP
    np.testing.assert_allclose(after["start"][:count], start, atol=1e-5)
    ends, left = simulated(question, start)
    np.testing.assert_allclose(after["draft"][:count], ends, atol=1e-5)
    np.testing.assert_allclose(after["residuals"][:count], left, atol=1e-5)
    assert not after["residuals"][:, ~used_frames(question)].any()
    assert not after["residuals"][count:].any()
    handed = thought(env)
    handed[0] = 1
    last, *_ = env.step(handed)
    np.testing.assert_array_equal(last["guesses"][0], after["draft"])
    np.testing.assert_array_equal(last["start"], after["start"])  # it stays in mind


def test_a_start_at_rest_on_the_ground_stays(env):
    env.reset(seed=1)
    question = env.unwrapped.task.rows[0].question
    start = first_start(question)
    start[:, 1], start[:, 3:] = 0.0, 0.0
    ends, _ = simulated(question, start)
    np.testing.assert_allclose(ends[:, [0, 2]], start[:, [0, 2]], atol=1e-6)
    assert (ends[:, 1] >= question.extents.min(axis=1) - 1e-9).all()
    assert begin(question) == question.times[used_frames(question)].min()


def test_an_episode_goes_on_from_its_state(env):
    env.reset(seed=2)
    env.step(thought(env, 0.3))
    task = env.unwrapped.task
    state, seen = task.get_state(0), task.observe(0)
    env.step(thought(env, -0.4))
    task.set_state(0, state)
    again = task.observe(0)
    assert all(np.array_equal(seen[key], again[key]) for key in seen)
    for start in (3, np.zeros((2, 6)), np.full((4, 6), np.nan)):
        with pytest.raises(ValueError, match="start"):
            task.set_state(0, {**state, "start": start})


def test_the_rule_gains_by_thinking_and_thinks_no_longer_than_it_may(env):
    gained = []
    for episode in range(24):
        few, many = ([*walk(env, Simulating(env, count, FAN), episode)][-1] for count in (1, 8))
        assert few["thoughts"] == 1
        assert many["thoughts"] <= 8
        assert many["guesses"] == few["guesses"] == 6
        gained.append(many["first_credit"] - few["first_credit"])
    assert np.mean(gained) > 0.03


def test_where_nothing_is_left_but_noise_it_thinks_once(env):
    observation, _ = env.reset(seed=0)
    rule = Simulating(env, 8, FAN)
    first, _ = rule.predict(observation)
    assert first[0] < 0
    observation, *_ = env.step(first)
    observation["residuals"] = np.sign(observation["residuals"]).astype(np.float32) * 0.01
    second, _ = rule.predict(observation)
    assert second[0] > 0


def test_other_rules_answer_there_too(env):
    *_, last = walk(env, BASELINES["analytic-fan"](env), 3)
    assert (last["guesses"], last["thoughts"]) == (6, 0)
    with pytest.raises(ValueError, match="think"):
        BASELINES["simulation"](gym.make(ID))
