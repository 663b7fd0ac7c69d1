"""Group-relative training of foresight: its advantages have the right expectation, what is drawn is what is
handed in, and a run learns, is resumed and leaves no other episodes behind."""

from itertools import combinations

import gymnasium as gym
import numpy as np
import pytest
import torch

import spatial_envs  # noqa: F401
from agents.foresight.group import advantages
from agents.foresight.guessing import GuessingPolicy, told_of_tensors
from agents.foresight.network import GUESSES, EndNetwork, told_of
from agents.foresight.shown import shown
from agents.run_folder import load
from agents.studies.groups import best_of
from agents.training import config
from agents.training.train import train

ID = "Foresight-Prototype-v0"


@pytest.fixture(scope="module")
def env():
    return gym.make(ID, split="validation", rotations=False, num_objects=3, observations="all")


@pytest.fixture(scope="module")
def policy(env):
    torch.manual_seed(0)
    made = GuessingPolicy(env.observation_space, env.action_space, lambda _: 1e-3)
    with torch.no_grad():
        made.share.weight.normal_()
    return made


@pytest.mark.parametrize("k", [1, 2, 3])
def test_advantages_have_the_gradient_of_the_expected_best_of_k(k):
    """Of four answers with credits: the expectation over all groups of five, by hand."""
    credits = torch.tensor([0.1, 0.9, 0.4, 0.5], dtype=torch.float64)
    logits = torch.tensor([0.3, -0.6, 0.2, 0.0], dtype=torch.float64, requires_grad=True)
    groups = torch.cartesian_prod(*[torch.arange(4)] * 5)
    likely = logits.log_softmax(0)[groups]
    advantage = advantages(credits[groups], k)
    chance = likely.sum(dim=1).detach().exp()
    (estimate,) = torch.autograd.grad(
        (chance * (advantage * likely).sum(dim=1)).sum(), logits, retain_graph=True
    )
    subsets = torch.cartesian_prod(*[torch.arange(4)] * k).reshape(-1, k)
    expected = (logits.log_softmax(0)[subsets].sum(dim=1).exp() * credits[subsets].amax(dim=1)).sum()
    (exact,) = torch.autograd.grad(expected, logits)
    torch.testing.assert_close(estimate, exact)
    assert abs((chance * advantage.sum(dim=1)).sum()) < 1e-12  # centred


def test_equal_credits_teach_nothing():
    for k in (1, 6):
        torch.testing.assert_close(advantages(torch.full((2, 16), 0.3), k), torch.zeros(2, 16))


def test_the_best_of_some_is_the_mean_over_all_choices():
    credits = np.random.default_rng(0).random(7)
    assert best_of(credits, 3) == pytest.approx(np.mean([max(each) for each in combinations(credits, 3)]))


def test_observations_say_the_network_what_the_baseline_tells_it(env):
    observation, _ = env.reset(seed=3)
    ours = told_of_tensors({key: torch.as_tensor(value)[None] for key, value in observation.items()})
    for mine, other in zip(ours, told_of([shown(observation)]), strict=True):
        torch.testing.assert_close(mine, other)


def test_what_is_drawn_has_its_density(policy, env):
    observation, _ = env.reset(seed=4)
    found = policy.guesses(policy.obs_to_tensor(observation)[0])
    with torch.no_grad():
        shifts = found.drawn(8)
        parts = [
            (found.shares[0, c] + torch.distributions.Normal(
                found.means[0, c], found.spreads[0, c, :, None]
            ).log_prob(shifts[0])[:, :3].sum(dim=(1, 2)))
            for c in range(GUESSES)
        ]  # fmt: skip
        torch.testing.assert_close(found.log_prob(shifts)[0], torch.logsumexp(torch.stack(parts), 0))


def test_without_drawing_the_likeliest_is_handed_in_first(policy, env):
    observation, _ = env.reset(seed=5)
    with torch.no_grad():
        found = policy.guesses(policy.obs_to_tensor(observation)[0])
    order = found.shares[0].argsort(descending=True)
    task, over = env.unwrapped.task, False
    reach = task.rows[0].question.reach
    while not over:
        action, _ = policy.predict(observation, deterministic=True)
        observation, _, over, *_ = env.step(action)
    question, guesses = task.rows[0].question, task.rows[0].guesses
    assert len(guesses) == GUESSES
    for number, guess in zip(order, guesses, strict=True):
        expected = found.means[0, number, :3].clamp(-1, 1).numpy() * reach[:, None]
        np.testing.assert_allclose(guess.poses.centres - question.reference.centres, expected, atol=1e-5)
        assert guess.confidence == pytest.approx(found.shares[0, number].exp().item(), abs=1e-6)


@pytest.mark.parametrize("rotations", [True, False])
def test_credits_are_what_handing_in_gives_and_change_nothing(rotations):
    env = gym.make(ID, split="validation", rotations=rotations, num_objects=3, think_cost=0)
    observation, _ = env.reset(seed=1)
    task = env.unwrapped.task
    env.action_space.seed(0)
    actions = np.array([env.action_space.sample() for _ in range(5)])
    actions[:, 0] = 1
    credits = task.credits(0, actions)
    again = task.observe(0)
    assert all(np.array_equal(observation[key], again[key]) for key in observation)
    for action, credit in zip(actions, credits, strict=True):
        env.step(action)
        assert task.rows[0].guesses[-1].credit == pytest.approx(credit)


def test_a_run_learns_and_goes_on(tmp_path):
    flags = {
        "algo": "group",
        "env": ID,
        "backbone": "none",
        "num_envs": 4,
        "final_starts": 0,
        "track": "none",
    }
    flags |= {"eval_every": 64, "validation_starts": 1, "hyper": ("group_size=8", "n_epochs=1")}
    folder = train(config.Flags(**flags, timesteps=64, out=tmp_path / "run"))
    _, first = load(folder)
    assert not torch.equal(first.policy.network.end.weight, EndNetwork.load().end.weight)
    train(config.Flags(resume=folder, timesteps=128))
    assert (folder / "checkpoints/128.zip").is_file()


@pytest.mark.parametrize(("hyper", "fault"), [
    ("k=16", "k: got 16"), ("policy=MultiInputPolicy", "policy"),
    ("policy_kwargs={pretrained: 3}", "pretrained"),
])  # fmt: skip
def test_what_cannot_be_is_refused(hyper, fault, tmp_path):
    flags = {"algo": "group", "env": ID, "backbone": "none", "num_envs": 2, "track": "none"}
    with pytest.raises(ValueError, match=fault):
        train(config.Flags(**flags, hyper=(hyper,), out=tmp_path / "run"))
