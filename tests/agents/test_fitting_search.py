"""Search in the environment's own moves, and the policy that learns from it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from agents.runs import training_envs, untrained
from agents.scene_fit.expert_iteration import Turn, losses
from agents.scene_fit.proposals import ProposingPolicy, measured_changes, squashed
from agents.scene_fit.search import Searched, best_step, blind_search, figures_after, gained
from agents.training.config import Flags, resolve
from spatial_envs.prototypes.slots import moved
from spatial_envs.scene_fit import SceneFitEnv


@pytest.fixture
def env():
    env = SceneFitEnv(
        num_objects=2, slots=2, backbone=None, start="kmeans", observations=[*ProposingPolicy.KEYS[:-1]]
    )
    env.reset(seed=0)
    return env


@pytest.fixture
def policy(env):
    torch.manual_seed(0)
    return ProposingPolicy(env.observation_space, env.action_space, lambda _: 2e-3, net_arch=(64, 32))


def test_the_best_step_is_the_one_after_which_the_potential_is_highest(env):
    state, rng = env.task.episode(0).state, np.random.default_rng(0)
    before, slots = state.figures(), state.slots.copy()
    actions = rng.uniform(-1, 1, (60, 1 + slots.shape[1]))
    after = figures_after(state, 1, actions)
    assert state.figures() == before
    np.testing.assert_array_equal(state.slots, slots)
    values = []
    for action in actions:
        state.put(1, moved(slots[1], action, state.target.unit))
        values.append(state.figures()["full"])
    state.put(1, slots[1])
    assert max(values) > before["full"]  # so that there is something to find
    worth = gained(before, after)
    np.testing.assert_allclose(worth, np.array(values) - before["full"])
    np.testing.assert_array_equal(best_step(actions, worth), actions[np.argmax(values)])
    assert (worth < 0).any()
    np.testing.assert_array_equal(
        best_step(actions[worth < 0], worth[worth < 0]), [-1, *[0] * slots.shape[1]]
    )


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


def test_changes_are_measured_for_each_slot_in_the_target_s_unit(env):
    state = env.task.episode(0).state
    names = ("one_directional", "occlusion_aware", "fsv", "depth_agreement", "full")
    before = dict.fromkeys(names, 0.5)
    after = [{**before, "one_directional": 0.5 + 0.03 * state.target.unit, "full": 0.4}]
    found = measured_changes(before, after, state)  # 0.03 of each of 2 slots: 3 times what is small
    np.testing.assert_allclose(found, [[np.arcsinh(3), 0, 0, 0, np.arcsinh(-10)]], rtol=1e-5)
    np.testing.assert_allclose(
        squashed(np.array([1e-4]), 1), [0.005], rtol=1e-4
    )  # small ones are as they are


def test_a_judge_that_goes_by_full_alone_searches_as_one_without(env, policy):
    with torch.no_grad():
        for value in policy.after.parameters():
            value.zero_()
        policy.after.plain.weight[0, -1] = 1.0  # of the measured changes the last is that of full

    class Known:
        """As a model of Stable-Baselines3's has its policy."""

    model = Known()
    model.policy = policy
    torch.manual_seed(1)
    observation, _ = env.reset(seed=0)
    state = env.task.episode(0).state
    action, _ = Searched(model, env, tries=20).predict(observation)
    torch.manual_seed(1)
    tried = policy.promising(policy.seen(observation), 20)
    assert len(np.unique(tried, axis=0)) == 20
    worth = gained(state.figures(), figures_after(state, 0, tried))
    np.testing.assert_array_equal(action, best_step(tried, worth).astype(np.float32))


def test_the_policy_learns_what_gained(env, policy):
    """Where up is better the further, up is proposed, expected and judged; what is measured is noise."""
    observation, _ = env.reset(seed=0)
    rng, turns = np.random.default_rng(0), []
    for _ in range(48):
        actions = rng.uniform(-1, 1, (12, *env.action_space.shape)).astype(np.float32)
        noise = rng.normal(size=(12, 5)).astype(np.float32)
        turns.append(Turn(observation, actions, actions[:, 3], noise))
    first = {name: float(term.detach()) for name, term in losses(policy, turns).items()}
    for _ in range(120):
        terms = losses(policy, turns)
        policy.optimizer.zero_grad()
        sum(terms.values()).backward()
        policy.optimizer.step()
    assert all(float(term.detach()) < first[name] for name, term in terms.items())
    latent = policy.seen(observation)
    assert policy.gaussian(latent).mean[0, 3] > 0.3  # 2/3 is the mean of even draws, by their gains
    assert policy.promising(latent, 8)[:, 3].min() > 0.5
    fresh = torch.rand(1, 200, env.action_space.shape[0]) * 2 - 1
    expected = policy.expected(latent, fresh)[0].detach().numpy()
    assert np.corrcoef(expected, fresh[0, :, 3])[0, 1] > 0.8


def test_expert_iteration_sees_scenes_of_many_sizes():
    flags = Flags(
        algo="expert_iteration", env="SceneFit-Prototype-v0", backbone="none", final_starts=0,
        set=("num_frames=3",),
        hyper=("n_steps=30", "gradient_steps=3", "batch_size=8", "tries=4", "most_objects=2"),
    )  # fmt: skip
    run = resolve(flags)
    model = untrained(run, training_envs(run))
    before = [value.clone() for value in model.policy.parameters()]
    model.learn(60)
    assert model.num_timesteps == len(model.turns) == 60
    assert {len(turn.observation["slots"]) for turn in model.turns} == {1, 2}
    assert all(turn.actions.shape == (4, 21) for turn in model.turns)
    assert any(not torch.equal(a, b) for a, b in zip(before, model.policy.parameters(), strict=True))
