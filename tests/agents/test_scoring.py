"""The policy that scores directions, and the rivals that know as much."""

import math

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import PPO

from agents.nbv import lookup
from agents.nbv.candidates import measures
from agents.nbv.information_gain import information
from agents.nbv.ranking import explored
from agents.nbv.scoring import Mixture, ScoringPolicy, action_headings
from agents.networks import ViewVectors
from agents.run_folder import load, load_model, read_config
from agents.runs import single_env, training_envs, untrained
from agents.training.config import Flags, resolve
from agents.training.train import train
from spatial_envs.foundation import yaml_files
from spatial_envs.geometry.camera import facing_origin, fibonacci_directions, pinhole
from spatial_envs.nbv import NBVDiscreteEnv, NBVEnv
from spatial_envs.nbv.candidates import GLIMPSE, GLIMPSE_FOV

SMALL = {"backbone": "unproject", "num_objects": 2, "image_size": 56, "views": 4}


def shown(env_type=NBVEnv, steps=1, **arguments):
    """An environment that shows what the policy needs, and an observation of it."""
    env = env_type(observations=ScoringPolicy.KEYS, **SMALL, **arguments)
    env.action_space.seed(3)
    observation, _ = env.reset(seed=3)
    for _ in range(steps):
        observation, *_ = env.step(env.action_space.sample())
    return env, observation


def batch(observation):
    return {key: torch.as_tensor(value)[None].float() for key, value in observation.items()}


@pytest.mark.parametrize("action", ["shell", "sphere", "pose"])
def test_headings_lead_into_the_candidates(action):
    env, observation = shown(action=action)
    tensors = batch(observation)
    headings = action_headings(tensors["anchor"], tensors["candidates"][..., :3])[0].numpy()
    actions = np.zeros((64, env.action_space.shape[0]), np.float32)
    actions[:, :2] = headings
    expected = env.task.candidate_poses(env.task.episode(0))
    np.testing.assert_allclose(env.poses_from_actions(actions), expected, atol=1e-5)


def test_candidates_of_continuous_actions_are_those_of_discrete_ones():
    _, observation = shown(steps=0)
    _, other = shown(NBVDiscreteEnv, steps=0)
    for key in ("candidates", "glimpses"):
        np.testing.assert_array_equal(observation[key], other[key])
    assert not {"candidates", "glimpses", "gains"} & {*NBVEnv(**SMALL).observation_space.spaces}


def test_a_mixture_is_a_density_and_its_mode_the_heaviest():
    logits = torch.tensor([[0.0, 1.0, -1.0]])
    means = torch.tensor([[[-0.4, 0.2], [0.3, -0.1], [0.1, 0.6]]])
    mixture = Mixture().proba_distribution(logits, means, torch.log(torch.tensor([0.1, 0.15])))
    side = torch.linspace(-2, 2, 201)
    grid = torch.cartesian_prod(side, side)
    density = mixture.log_prob(grid[:, None]).exp()[:, 0]
    assert float(density.sum() * (side[1] - side[0]) ** 2) == pytest.approx(1, abs=1e-3)
    torch.testing.assert_close(mixture.mode(), means[:, 1])
    far = Mixture().proba_distribution(logits, 50 * means, torch.log(torch.tensor([0.1, 0.15])))
    drawn = torch.cat([far.sample() for _ in range(4000)])
    surprise = -far.log_prob(drawn[:, None]).mean()
    assert float(far.entropy()) == pytest.approx(float(surprise), abs=0.1)


def test_measures_are_those_of_the_same_rays():
    env, observation = shown(steps=2)
    episode = env.task.episode(0)
    left = observation["candidates"][:, 3] > 0.5
    found = measures(torch.as_tensor(observation["glimpses"])[None], torch.as_tensor(left)[None].float())[0]
    intrinsics = pinhole(GLIMPSE_FOV, (GLIMPSE, GLIMPSE))
    for k, metric in enumerate(("rear_side_voxel", "proximity_count")):
        rays = np.array(
            [
                information(episode.grid, metric, intrinsics, pose, GLIMPSE)
                for pose in env.task.candidate_poses(episode)
            ]
        )
        expected = (rays - rays[left].mean()) / rays[left].std()
        np.testing.assert_allclose(found[:, k], expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("env_type", [NBVEnv, NBVDiscreteEnv])
def test_it_looks_into_the_direction_with_the_highest_score(env_type):
    env, observation = shown(env_type, steps=0)
    model = PPO(ScoringPolicy, env, n_steps=8, batch_size=8, seed=0, device="cpu")
    scores = model.policy.features_extractor.scores(batch(observation))[0]
    best = int(scores[observation["candidates"][:, 3] > 0.5].argmax())
    best = int(np.flatnonzero(observation["candidates"][:, 3] > 0.5)[best])
    action, _ = model.predict(observation, deterministic=True)
    chosen = env.poses_from_actions(np.asarray(action)[None])[0]
    np.testing.assert_allclose(chosen, env.task.candidate_poses(env.task.episode(0))[best], atol=1e-5)
    before = {name: value.clone() for name, value in model.policy.named_parameters()}
    model.learn(16)
    moved = {name for name, value in model.policy.named_parameters() if not torch.equal(value, before[name])}
    assert any("scores" in name for name in moved)
    assert any("value_net" in name for name in moved)
    if isinstance(env.action_space, spaces.Box):
        assert {"rest", "log_std"} <= moved


def test_positions_name_no_direction():
    scoring = "policy=agents.nbv.scoring.ScoringPolicy"
    with pytest.raises(ValueError, match=r"action: got 'position' for.*expected shell"):
        resolve(Flags(backbone="none", set=("action=position",), hyper=(scoring,)))
    with pytest.raises(ValueError, match=r"action: got 'shell' with view_cost"):
        resolve(Flags(backbone="none", set=("view_cost=0.1",), hyper=(scoring,)))


def test_a_stop_is_a_choice_that_is_learned():
    """Where a view costs more than it brings, it comes to stop."""
    env, _ = shown(NBVDiscreteEnv, steps=0, view_cost=5.0)
    model = PPO(ScoringPolicy, env, n_steps=64, learning_rate=0.003, ent_coef=0.01, gamma=0.5, seed=0)
    observation, _ = env.reset(seed=9)
    before = model.policy.get_distribution(batch(observation)).distribution.probs[0, 64].item()
    model.learn(768)
    after = model.policy.get_distribution(batch(observation)).distribution.probs[0, 64].item()
    assert before < 0.1 < 0.5 < after


def test_a_grid_of_tokens_keeps_where_something_is():
    torch.manual_seed(0)
    box = spaces.Box(-1, 1, (3, 16, 6), np.float32)
    vectors, tokens = ViewVectors(box, 8), torch.randn(2, 3, 16, 6)
    assert vectors(tokens).shape == (2, 3, vectors.width)
    assert not torch.allclose(vectors(tokens), vectors(tokens.flip(2)), atol=1e-3)
    pooled = ViewVectors(spaces.Box(-1, 1, (3, 6), np.float32), 8)
    assert pooled.width == 6
    assert torch.equal(pooled(tokens[:, :, 0]), tokens[:, :, 0])
    with pytest.raises(ValueError, match="15 tokens"):
        ViewVectors(spaces.Box(-1, 1, (3, 15, 6), np.float32), 8)


def test_exploration_takes_the_candidates_that_its_rules_name():
    env, observation = shown(NBVDiscreteEnv, steps=1)
    rng = np.random.default_rng(0)
    taken = [explored(observation, rng) for _ in range(200)]
    left = observation["candidates"][:, 3] > 0.5
    assert left[taken].all()
    centres = np.stack([view.cam_to_world[:3, 3] for view in env.task.episode(0).views])
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    directions = env.task.candidate_poses(env.task.episode(0))[:, :3, 3] / env.task.candidates.radius
    farthest = int(np.argmin(np.where(left, (directions @ centres.T).max(axis=1), np.inf)))
    measured = measures(torch.as_tensor(observation["glimpses"])[None], torch.as_tensor(left)[None].float())
    informed = int(np.argmax(np.where(left, measured[0].sum(dim=-1).numpy(), -np.inf)))
    for named in (farthest, informed):
        assert taken.count(named) > 40
    assert len({*taken}) > 20


def test_a_lookup_knows_the_object_that_it_has_seen_before(monkeypatch):
    monkeypatch.setattr(lookup, "OBJECTS", 6)
    monkeypatch.setattr(lookup, "SHORTLIST", 12)
    monkeypatch.setattr(lookup, "NEAREST", 1)
    env = NBVEnv(backbone=None, num_objects=6, image_size=56, views=3)
    policy = lookup.Lookup(env)
    for k in (1, 4):
        env.reset(seed=k, options={"object": k})
        env.step(policy.act())
        policy.act()
        unlike = policy._memory.unlike
        assert np.unravel_index(np.argmin(unlike), unlike.shape) == (k, 0)
        poses = facing_origin(fibonacci_directions(64, env.task.region.max_elevation) * 1.2)
        true = env.evaluate(poses)
        assert np.corrcoef(policy._expected(0.0), true)[0, 1] > 0.75
    turned = lookup._turned(np.eye(4), 1)
    assert math.degrees(math.acos(turned[0, 0])) == pytest.approx(60)


def test_a_policy_begins_with_the_scores_of_a_ranking(tmp_path):
    """What ranking learned is what PPO plays before its first step, and a whole run goes on in another."""
    ranked, small = tmp_path / "ranked", ("num_objects=1", "image_size=56", "views=3")
    common = {"backbone": "unproject", "set": small, "num_envs": 2, "final_starts": 0, "track": "none"}
    common |= {"validation_starts": 1, "eval_every": 1000}
    extractor = "policy_kwargs={features_extractor_kwargs: {hidden_dim: 32, measured: 0.0}}"
    hyper = ("buffer_size=64", "learning_starts=4", "batch_size=8", "gradient_steps=1", extractor)
    discrete = "NBV-MapAnything-Discrete-v0"
    train(Flags(algo="ranking", env=discrete, timesteps=12, hyper=hyper, out=ranked, **common))
    config = tmp_path / "scoring.yml"
    entry = {"policy": "agents.nbv.scoring.ScoringPolicy", "n_steps": 4, "batch_size": 8}
    config.write_text(yaml_files.text(dict.fromkeys((discrete, "NBV-MapAnything-v0"), entry)))
    common |= {"config": config, "timesteps": 8}
    cloned = train(Flags(start_from=ranked, out=tmp_path / "cloned", **common))
    beginning = load_model(read_config(cloned, "run"), cloned / "checkpoints" / "8.zip", "run")
    assert beginning.num_timesteps == 8
    run, ranking = load(ranked)
    model = untrained(read_config(cloned, "run"), training_envs(read_config(cloned, "run")))
    model.policy.begin_with(ranking.policy)
    env = single_env(run)
    observation, _ = env.reset(seed=1)
    tensors = batch(observation)
    scores = model.policy.features_extractor.scores(tensors)
    torch.testing.assert_close(scores, ranking.q_net(tensors))
    model.policy.begin_with(beginning.policy)
    for name, value in beginning.policy.state_dict().items():
        torch.testing.assert_close(model.policy.state_dict()[name], value)
    common["backbone"] = "none"
    with pytest.raises(ValueError, match=r"start_from: got .*ranked; expected a policy like this one"):
        train(Flags(start_from=ranked, out=tmp_path / "other", **common))
    assert not (tmp_path / "other").exists()
