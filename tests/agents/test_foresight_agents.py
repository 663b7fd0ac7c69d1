"""Foresight's baselines, what they score on recorded scenes, and training on the environment."""

import csv

import gymnasium as gym
import numpy as np
import pytest
import torch

import spatial_envs  # noqa: F401
from agents.families import family
from agents.foresight.baselines import BASELINES, FAN
from agents.foresight.evaluation import walk
from agents.foresight.family import FORESIGHT
from agents.foresight.policy import TrackFeatures
from agents.play import FIRST_SEED
from agents.training import config, train

ID = "Foresight-Prototype-v0"
SMALL = {"split": "validation", "num_objects": (3, 4), "slots": 4}
LATER = {"ahead": (1.0, 1.0), "backwards": 0.0}


def played(name, env, episode):
    *_, last = walk(env, BASELINES[name](env), episode)
    return last


def test_the_family_of_the_id():
    assert family(f"spatial_envs:{ID}") is FORESIGHT
    assert list(FORESIGHT.tables({})) == ["1 s later", "1 s before", "0.1 to 2 s, a quarter in the past"]
    assert FORESIGHT.tables({"ahead": (1, 2)}) == {"": {}}
    assert list(FORESIGHT.tables({"scenes": "folder"})) == ["1 s later"]


@pytest.mark.parametrize("rotations", [True, False])
@pytest.mark.parametrize("name", BASELINES)
def test_every_baseline_hands_in_what_it_says(name, rotations):
    think = "simulate" if name.startswith("simulation") else "draft"
    env = gym.make(ID, **SMALL, rotations=rotations, think=think)
    last = played(name, env, 2)
    question = env.unwrapped.task.rows[0].question
    guesses = [guess.poses.centres for guess in env.unwrapped.task.rows[0].guesses]
    assert last["guesses"] == 6 or name in ("mean", "line", "line-fan", "oracle")  # which may be far off
    if name == "still":
        np.testing.assert_allclose(guesses[0], question.nearest, atol=1e-5)
    if name == "analytic":
        np.testing.assert_allclose(guesses[0], question.reference.centres, atol=1e-6)
        assert last["energy"] == pytest.approx(last["first_error"])
    if name == "analytic-fan":
        for share, guess in zip(FAN, guesses, strict=True):
            expected = question.nearest + share * (question.reference.centres - question.nearest)
            np.testing.assert_allclose(guess, expected, atol=1e-5)
    if name == "oracle":
        assert last["credit"] == pytest.approx(1, abs=1e-5)
        assert last["right"] == 1
    if name == "cem":
        again = played(name, env, 2)
        assert again["credit"] == last["credit"]  # what it draws is its own


def test_rows_are_in_the_order_that_they_should_be():
    env = gym.make(ID, **SMALL, **LATER, rotations=False)
    credit = {
        name: np.array([played(name, env, k)["credit"] for k in range(24)])
        for name in ("still", "still-noise", "line", "analytic", "analytic-fan", "oracle")
    }
    means = {name: values.mean() for name, values in credit.items()}
    assert means["still"] < means["line"] < means["analytic-fan"] < means["oracle"]
    assert means["still-noise"] < means["analytic"] <= means["analytic-fan"]
    assert (credit["analytic-fan"] >= credit["analytic"] - 1e-9).all()


FACTS = {  # soft credit and error (m) of the first guess, soft credit and least error of six
    "still": (0.116, 0.948, 0.116, 0.948),
    "line-fan": (0.253, 0.674, 0.297, 0.505),
    "analytic-fan": (0.350, 0.490, 0.385, 0.394),
}


@pytest.mark.parametrize("name", FACTS)
def test_recorded_scenes_give_the_figures_known_of_them(name, reference):
    """Means over the scenes in which something moves."""
    env = gym.make(ID, scenes=str(reference / "motion"), split="test", rotations=False, **LATER, cache_size=1)
    policy, rows = BASELINES[name](env), []
    with torch.random.fork_rng(devices=[]):
        for scene in range(len(env.unwrapped.task.recordings)):
            observation, _ = env.reset(seed=FIRST_SEED, options={"scene": scene})
            moves = env.unwrapped.task.rows[0].question.path.max() > 0.1
            over = not moves
            while not over:
                action, _ = policy.predict(observation)
                observation, _, over, _, info = env.step(action)
            if moves:
                rows.append([info[key] for key in ("first_credit", "first_error", "credit", "error")])
    assert len(rows) > 290
    np.testing.assert_allclose(np.mean(rows, axis=0), FACTS[name], rtol=0.1)


def test_the_extractor_sees_no_place_and_takes_every_setting():
    for arguments in ({}, {"rotations": False, "frames": 3, "guesses": 1}):
        env = gym.make(ID, **SMALL, **arguments)
        network = TrackFeatures(env.observation_space)
        observation, _ = env.reset(seed=0)
        env.step(env.action_space.sample())
        batch = {key: torch.as_tensor(value)[None].float() for key, value in observation.items()}
        made = network(batch)
        assert made.shape == (1, network.features_dim)
        moved = {key: value.clone() for key, value in batch.items()}
        shift = torch.tensor([3.0, 0.0, -2.0])
        for key in ("tracks", "reference", "draft"):
            moved[key][..., :3] += shift
        moved["guesses"][..., :3] += shift * moved["guessed"][:, :, None, None]
        torch.testing.assert_close(network(moved), made)


def test_it_trains_and_is_evaluated(tmp_path):
    folder = train.train(
        config.Flags(
            env=ID, out=tmp_path / "run", timesteps=128, num_envs=2, eval_every=128, validation_starts=2,
            final_starts=2, track="none", hyper=("n_steps=32", "batch_size=32"),
            set=("num_objects=2", "slots=2", "steps=4", "guesses=2"),
        )
    )  # fmt: skip
    rows = list(csv.DictReader((folder / "evaluations.csv").open(encoding="utf-8")))
    assert [row["policy"] for row in rows] == ["still", "analytic", "analytic-fan", "agent", "agent"]
    table = (folder / "table.md").read_text(encoding="utf-8")
    assert "| analytic-fan |" in table
    assert "| skill |" in table
