"""The network of foresight: what does not matter does not, what is learned pays, and a training goes on."""

import gymnasium as gym
import numpy as np
import pytest
import torch

import spatial_envs  # noqa: F401
from agents.foresight.baselines import BASELINES, NetworkExpert
from agents.foresight.evaluation import score
from agents.foresight.network import GUESSES, EndNetwork, Told
from agents.foresight.network_training import Flags, costs, credits, lessons, loss, train
from spatial_envs.foresight.settings import ForesightSettings


@pytest.fixture(scope="module")
def asked():
    return lessons(12, "validation", 6, ForesightSettings())


@pytest.fixture(scope="module")
def network():
    return EndNetwork.load()


def test_at_first_every_answer_is_the_rules(asked):
    guesses = EndNetwork()(asked.told)
    assert guesses.shape == (12, GUESSES, 6, 3)
    torch.testing.assert_close(guesses, asked.told.reference[:, None].expand_as(guesses))


def test_the_truth_has_all_the_credit_and_no_cost(asked):
    truth = asked.answer[:, None].expand(-1, GUESSES, -1, -1)
    torch.testing.assert_close(credits(truth, asked), torch.ones(12, GUESSES))
    assert loss(truth, asked) == 0
    off = truth.clone()
    off[..., 0] += 0.1 + 0.15 * asked.path[:, None]
    torch.testing.assert_close(costs(off, asked), torch.full((12, GUESSES), np.log(2.0)))


def test_the_order_of_things_and_frames_and_the_place_of_a_scene_do_not_matter(asked, network):
    told, rng = asked.told, torch.Generator().manual_seed(0)
    answers = network(told)
    things, frames = torch.randperm(6, generator=rng), torch.randperm(10, generator=rng)
    shift = torch.tensor([3.0, 0.0, -2.0])
    other = Told(
        told.centres[:, things][:, :, frames] + shift, told.seen[:, things][:, :, frames],
        told.times[:, frames], told.query, told.reference[:, things] + shift,
        told.nearest[:, things] + shift, told.shapes[:, things],
    )  # fmt: skip
    there = asked.told.shapes[:, things, 0] > 0
    moved = network(other) - shift
    for guess in range(GUESSES):
        torch.testing.assert_close(
            moved[:, guess][there], answers[:, guess][:, things][there], atol=1e-4, rtol=1e-4
        )


def test_a_turned_question_is_the_same_question(asked):
    quarter = asked.turned(torch.full((12,), np.pi / 2))
    x, _, z = asked.answer.unbind(-1)
    torch.testing.assert_close(quarter.answer[..., 0], z, atol=1e-6, rtol=0)
    torch.testing.assert_close(quarter.answer[..., 2], -x, atol=1e-6, rtol=0)
    torch.testing.assert_close(
        costs(quarter.told.reference[:, None], quarter), costs(asked.told.reference[:, None], asked)
    )


def test_the_shipped_one_is_above_the_rule_on_scenes_that_it_never_saw(network):
    asked = lessons(96, "test", 32, ForesightSettings())
    ours = credits(network(asked.told), asked)
    rule = credits(asked.told.reference[:, None], asked)
    assert ours[:, 0].mean() > rule.mean() + 0.05
    assert ours.amax(dim=1).mean() > ours[:, 0].mean()


def test_the_environment_gives_it_the_same_credit():
    env = gym.make("Foresight-Prototype-v0", split="test", rotations=False, num_objects=3)
    figures = score(env, BASELINES["network"](env), 1)
    assert figures["guesses"] == 6
    assert 0 < figures["first_credit"] <= figures["credit"] <= 1


def test_as_an_expert_it_does_what_it_does_as_a_policy():
    env = gym.make("Foresight-Prototype-v0", split="test", num_objects=2)
    observation, _ = env.reset(seed=4)
    expert, policy = NetworkExpert(env), BASELINES["network"](env)
    for _ in range(4):
        action, _ = policy.predict(observation)
        np.testing.assert_array_equal(expert.action(), action)
        observation, *_ = env.step(action)


def test_a_training_goes_on_and_refuses_another(tmp_path, monkeypatch):
    monkeypatch.setattr("agents.foresight.network_training.RECORDINGS", 3)
    monkeypatch.setattr("agents.foresight.network_training.SAVE_EVERY", 2)
    monkeypatch.setattr("agents.foresight.network_training._report", lambda *_: None)
    whole = train(Flags(tmp_path / "whole", questions=8, steps=4, batch_size=4))
    calls = []

    def killed(*arguments):
        calls.append(arguments)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return loss(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr("agents.foresight.network_training.loss", killed)
        with pytest.raises(KeyboardInterrupt):
            train(Flags(tmp_path / "parts", questions=8, steps=4, batch_size=4))
    parts = train(Flags(tmp_path / "parts", questions=8, steps=4, batch_size=4))
    for one, other in zip(
        EndNetwork.load(whole).parameters(), EndNetwork.load(parts).parameters(), strict=True
    ):
        torch.testing.assert_close(one, other)
    with pytest.raises(ValueError, match="holds another training"):
        train(Flags(tmp_path / "parts", questions=8, steps=5, batch_size=4))
