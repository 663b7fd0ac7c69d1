"""Search in the environment's own moves, and the policy that learns from it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from agents.runs import training_envs, untrained
from agents.scene_fit.evidence import FULL, Evidence, after_each, squashed
from agents.scene_fit.expert_iteration import losses
from agents.scene_fit.proposals import ProposingPolicy
from agents.scene_fit.search import LEAVING, OWN, Searched, best_step, blind_search, climb, full, near
from agents.scene_fit.trials import Turn
from agents.training.config import Flags, resolve
from spatial_envs.prototypes.slots import SlotState, moved
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
    worth = after_each(state, 1, actions, full) - full(state)
    assert state.figures() == before
    np.testing.assert_array_equal(state.slots, slots)
    values = []
    for action in actions:
        state.put(1, moved(slots[1], action, state.target.unit))
        values.append(state.figures()["full"])
    state.put(1, slots[1])
    assert max(values) > before["full"]  # so that there is something to find
    np.testing.assert_allclose(worth, np.array(values) - before["full"])
    np.testing.assert_array_equal(best_step(actions, worth), actions[np.argmax(values)])
    assert (worth < 0).any()
    np.testing.assert_array_equal(
        best_step(actions[worth < 0], worth[worth < 0]), [-1, *[0] * slots.shape[1]]
    )


def test_blind_search_only_gains_and_may_stay_near(env):
    state = env.task.episode(0).state
    before, slots = state.figures()["full"], state.slots.copy()
    blind_search(state)
    away = Evidence(state)
    for k, slot in enumerate(slots):
        state.put(k, slot)
    cost = LEAVING @ away(state)[6:] / 2
    assert away.rows.shape == slots.shape
    value = near(state)
    begun = Evidence(state)
    at_first = before - OWN * begun(state)[FULL + 1]
    assert value(state) == pytest.approx(at_first)  # nothing is to pay for what has not moved
    blind_search(state, value=value)
    assert value(state) > at_first + 0.01
    assert 0 < LEAVING @ begun(state)[6:] / 2 < cost


def test_a_climb_keeps_what_gains_and_nothing_else(env):
    state = env.task.episode(0).state
    began, found = full(state), []

    def value(state):
        found.append(full(state))
        return found[-1]

    climb(state, 3, value, changes=40)
    assert len(found) == 1 + 40 * 2
    assert full(state) == max(found) > began + 0.05
    afresh = SlotState(state.target, state.shapes, state.slots, len(state.points))
    assert full(afresh) == pytest.approx(full(state), abs=1e-6)  # what was put back left no trace
    reached = state.slots.copy()
    env.reset(seed=0)
    climb(env.task.episode(0).state, 3, changes=40)
    np.testing.assert_array_equal(env.task.episode(0).state.slots, reached)


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


def test_evidence_remembers_where_the_search_began(env):
    state = env.task.episode(0).state
    evidence, figures, unit = Evidence(state), state.figures(), state.target.unit
    begun = evidence(state)
    own = np.sqrt(state.squared.min(axis=0)).mean() / unit  # at first each point's own slot is the nearest
    np.testing.assert_allclose(begun, [
        figures["one_directional"] / unit, figures["occlusion_aware"] / unit, figures["fsv"],
        figures["depth_agreement"], figures["full"], own, 0, 0, 0, 0,
    ], atol=1e-6)  # fmt: skip
    slot = state.slots[1].copy()
    slot[0] *= np.exp(0.2)
    slot[1] += 0.3 * unit
    slot[5] = slot[5] + 0.1 - 2 * np.pi  # the long way round
    state.put(1, slot)
    np.testing.assert_allclose(evidence(state)[6:], [0.04, 0.09, 0.01, 0], atol=1e-5)
    assert evidence(state)[5] >= evidence(state)[0] - 1e-6
    np.testing.assert_allclose(squashed(np.array([1e-4, 0.06]), 1), [0.005, np.arcsinh(3)], rtol=1e-4)


def test_a_judge_that_goes_by_full_alone_searches_as_one_without(env, policy):
    with torch.no_grad():
        for value in policy.after.parameters():
            value.zero_()
        policy.after.plain.weight[0, 2 * env.action_space.shape[0] + FULL] = 1.0

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
    worth = after_each(state, 0, tried, full) - full(state)
    np.testing.assert_array_equal(action, best_step(tried, worth).astype(np.float32))


def test_the_policy_learns_what_gained(env, policy):
    """Where up is better the further, up is proposed, expected and judged; what is measured is noise."""
    observation, _ = env.reset(seed=0)
    rng, turns = np.random.default_rng(0), []
    for _ in range(48):
        actions = rng.uniform(-1, 1, (12, *env.action_space.shape)).astype(np.float32)
        noise = rng.normal(size=(12, 10)).astype(np.float32)
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
