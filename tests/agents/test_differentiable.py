"""Gradients of Chamfer losses through the backbone to the pose, and the policies that follow them."""

import importlib.util
from dataclasses import replace

import numpy as np
import pytest
import torch
import trimesh

from agents.nbv.differentiable import PosePolicy, ResearchPlanPolicy
from agents.nbv.policy import ViewFeatures
from agents.nbv.pose_gradient import LOSSES, chamfer_loss, finite_difference, poses_of, reconstruct
from agents.run_folder import load
from agents.runs import training_envs, untrained
from agents.training import train as training
from agents.training.config import CONFIGS, resolve
from spatial_envs.nbv import NBVEnv
from spatial_envs.reconstruction.chamfer import chamfer

pytestmark = pytest.mark.usefixtures("no_film")

needs_pytorch3d = pytest.mark.skipif(
    importlib.util.find_spec("pytorch3d") is None, reason="the package pytorch3d is not installed"
)


def clouds(seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(40, 3)), rng.normal(size=(60, 3)).astype(np.float32)


@pytest.mark.parametrize("kind", LOSSES)
def test_losses_are_the_figures_of_the_environment(kind):
    points, reference = clouds()
    figures = chamfer(points.astype(np.float32), reference)
    expected = np.log(figures["chamfer"]) if kind == "log" else figures[kind]
    assert float(chamfer_loss(torch.as_tensor(points), reference, kind)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kind", LOSSES)
def test_losses_have_the_gradient_of_finite_differences(kind):
    points, reference = clouds(1)
    free = torch.as_tensor(points).requires_grad_()
    chamfer_loss(free, reference, kind).backward()
    for row in (0, 7):
        for axis in range(3):
            ends = []
            for side in (1e-6, -1e-6):
                moved = points.copy()
                moved[row, axis] += side
                ends.append(float(chamfer_loss(torch.as_tensor(moved), reference, kind)))
            assert float(free.grad[row, axis]) == pytest.approx(
                (ends[0] - ends[1]) / 2e-6, rel=1e-3, abs=1e-5
            )


def test_a_loss_says_what_it_wants():
    with pytest.raises(ValueError, match="kind: got 'l1'; expected one of 'chamfer_sum'"):
        chamfer_loss(torch.zeros(1, 3), np.zeros((1, 3)), "l1")
    with pytest.raises(ValueError, match="points: got none; expected at least one"):
        chamfer_loss(torch.zeros(0, 3), np.zeros((1, 3)), "log")


def test_the_gradient_reaches_the_action_and_is_that_of_the_image_held_fixed():
    env = NBVEnv(backbone="compact", image_size=56, num_objects=1, observations=["poses"])
    env.reset(seed=0)
    task, episode, action = env.task, env.task.episode(0), np.array([0.4, -0.2, 0.1])
    pose = poses_of(task, [episode], torch.as_tensor(action)[None])[0]
    np.testing.assert_allclose(
        pose.numpy(), env.poses_from_actions(action[None].astype(np.float32))[0], atol=1e-5
    )
    image = env.render_view(pose.numpy().astype(np.float32)[None])[0]
    held = finite_difference(task, episode, action, 1e-3, image, LOSSES)
    anew = finite_difference(task, episode, action, 0.04, None, LOSSES)
    for k, kind in enumerate(LOSSES):
        free = torch.as_tensor(action).requires_grad_()
        (points,) = reconstruct(task, [episode], poses_of(task, [episode], free[None]))
        chamfer_loss(points, episode.reference.points, kind).backward()
        gradient = free.grad.numpy()
        cosine = gradient @ held[k] / np.linalg.norm(gradient) / np.linalg.norm(held[k])
        assert cosine > 0.98
        other = gradient @ anew[k] / np.linalg.norm(gradient) / np.linalg.norm(anew[k])
        assert other < cosine


def test_a_proposed_view_counts_as_the_environment_would_count_it():
    env = NBVEnv(backbone="compact", image_size=56, num_objects=1, observations=["poses"])
    env.reset(seed=1)
    task, episode, action = env.task, env.task.episode(0), np.array([-0.3, 0.2, 0.0], np.float32)
    with torch.no_grad():
        (points,) = reconstruct(
            task, [episode], poses_of(task, [episode], torch.as_tensor(action)[None].double())
        )
    env.step(action)
    here = chamfer(points.numpy(), episode.reference.points)
    assert here["completeness"] == pytest.approx(env.task.episode(0).metrics["completeness"], rel=0.02)


def run_of(policy, **env_kwargs):
    return {
        "algo": "differentiable", "env": "NBV-MapAnything-v0", "num_envs": 2, "seed": 0, "device": "cpu",
        "hyperparameters": {"policy": f"agents.nbv.differentiable.{policy}"},
        "env_kwargs": {"backbone": "compact", "image_size": 28, "num_objects": 1, "views": 2, **env_kwargs},
    }  # fmt: skip


def test_policies_begin_as_they_should():
    run = run_of("PosePolicy", observations=ViewFeatures.KEYS)
    envs = training_envs(run)
    model = untrained(run, envs)
    assert isinstance(model.policy, PosePolicy)
    assert not model.predict(envs.reset())[0].any()
    run = run_of("ResearchPlanPolicy", observations=ResearchPlanPolicy.KEYS, action="position")
    run["hyperparameters"]["policy_kwargs"] = {"attention": {"hidden_dim": 16, "num_heads": 2}, "unit": 0.25}
    envs = training_envs(run)
    model = untrained(run, envs)
    observation = envs.reset()
    tensors, _ = model.policy.obs_to_tensor(observation)
    model.policy.set_training_mode(False)
    place = model.policy.network(tensors["features"], tensors["view_mask"]).detach().numpy()
    np.testing.assert_allclose(model.predict(observation)[0], (place / 4).clip(-1, 1), atol=1e-6)


def test_the_research_plan_trains_and_says_where_it_cannot(tmp_path):
    flags = training.Flags(
        algo="differentiable", config=CONFIGS / "research_plan.yml", backbone="compact",
        timesteps=32, num_envs=4, track="none", out=tmp_path / "run",
        eval_every=32, validation_starts=1, final_starts=0,
        set=("num_objects=1", "image_size=28"),
    )  # fmt: skip
    folder = training.train(flags)
    run, model = load(folder)
    assert run["env_kwargs"]["frame"] == "first_view"
    assert run["env_kwargs"]["observations"] == ["features", "view_mask"]
    new = untrained(run, training_envs(run))
    pairs = zip(model.policy.parameters(), new.policy.parameters(), strict=True)
    assert any(not torch.equal(a, b) for a, b in pairs)
    for backbone in ("unproject", "none"):
        with pytest.raises(ValueError, match=f"backbone: got {backbone}; differentiable needs"):
            resolve(training.Flags(algo="differentiable", backbone=backbone))


def test_the_rows_of_a_batch_are_those_of_one_by_one():
    env = NBVEnv(backbone="compact", image_size=28, num_objects=1, views=4, observations=["poses"])
    episodes = []
    for seed in range(2):  # the second has a view more
        env.reset(seed=seed)
        for _ in range(seed):
            env.step(env.action_space.sample())
        episodes.append(env.task.episode(0))
    poses = poses_of(env.task, episodes, torch.tensor([[0.3, 0.1, 0.0], [-0.2, 0.4, 0.5]]))
    with torch.no_grad():
        both = reconstruct(env.task, episodes, poses)
        for row, episode in enumerate(episodes):
            fresh = replace(episode, per_view=None)  # nothing is kept of its views
            (alone,) = reconstruct(env.task, [fresh], poses[row : row + 1])
            assert len(alone) == pytest.approx(len(both[row]), rel=0.01)
            np.testing.assert_allclose(alone.mean(dim=0), both[row].mean(dim=0), atol=1e-3)


@needs_pytorch3d
def test_with_the_rendered_view_the_gradient_is_that_of_what_is_rendered_anew(tmp_path):
    """Where the camera comes nearer: a held picture's points are dragged along, the surface's stay."""
    ball = trimesh.creation.icosphere(subdivisions=2)
    ball.apply_scale([1.0, 0.6, 0.8]).export(tmp_path / "ball.obj")
    env = NBVEnv(
        backbone="compact", renderer="pytorch3d", image_size=28, scenes=str(tmp_path / "ball.obj"), views=2,
        observations=["poses"], device="cpu",
    )  # fmt: skip
    env.reset(seed=0)
    task, episode = env.task, env.task.episode(0)

    def nearness(radius, detach):
        """The mean distance of the points from the object's centre."""
        action = torch.cat([torch.zeros(1, 2), radius.reshape(1, 1)], dim=1)
        (points,) = reconstruct(task, [episode], poses_of(task, [episode], action), detach=detach)
        return points.norm(dim=1).mean()

    gradients = []
    for detach in (True, False):
        free = torch.tensor(0.3, requires_grad=True)
        gradients.append(float(torch.autograd.grad(nearness(free, detach), free)[0]))
    with torch.no_grad():
        ends = [float(nearness(torch.tensor(0.3 + step), True)) for step in (0.01, -0.01)]
    anew = (ends[0] - ends[1]) / 0.02
    assert abs(gradients[1] - anew) < 0.2 * abs(gradients[0] - anew)


def test_scores_of_opposite_draws_are_the_gradient_of_the_blurred_loss():
    run = run_of("PosePolicy", observations=ViewFeatures.KEYS, backbone="unproject")
    run["hyperparameters"] |= {"estimator": "score", "pairs": 400, "sigma": 0.1}
    envs = training_envs(run)
    model = untrained(run, envs)
    envs.reset()
    task = envs.get_attr("task")[0]
    actions = torch.tensor([[0.4, 0.3, 0.0], [-0.5, 0.2, 0.0]], requires_grad=True)
    model._score(task, actions)[0].backward()
    for row, action in enumerate(actions.detach().numpy()):
        noise = np.random.default_rng(0).normal(size=(400, 3))
        twins = task.extended(task.episode(row), task.poses_from_actions(row, action + 0.1 * noise))
        losses = np.log([twin.metrics["chamfer"] for twin in twins])
        plain = ((losses - losses.mean())[:, None] * noise).mean(axis=0) / 0.1
        found = len(actions) * actions.grad[row].numpy()
        assert found @ plain / np.linalg.norm(found) / np.linalg.norm(plain) > 0.9
        assert np.linalg.norm(found) == pytest.approx(np.linalg.norm(plain), rel=0.3)


@pytest.mark.parametrize(
    ("hyper", "message"),
    [
        ("estimator=reinforce", "estimator: got 'reinforce'; expected one of 'pathwise', 'score'"),
        ("detach=no_way", "detach: got 'no_way'; expected True or False"),
        ("detach=False", "detach: got False with the renderer 'builtin'"),
        ("sigma=0", "sigma: got 0"),
        ("pairs=1.5", "pairs: got 1.5"),
        ("weight=-1", "weight: got -1"),
        ("speed=1", "hyper: unknown key 'speed'"),
        ("speed", "hyper: got 'speed'; expected name=value"),
    ],
)
def test_hyperparameters_are_checked(hyper, message, tmp_path):
    flags = training.Flags(
        algo="differentiable", backbone="compact", final_starts=0, out=tmp_path / "run", hyper=(hyper,),
        set=("num_objects=1", "image_size=28"),
    )  # fmt: skip
    with pytest.raises(ValueError, match=message):
        training.train(flags)
    assert not (tmp_path / "run").exists()


def test_a_score_has_neither_weight_nor_gradient_through_the_picture():
    run = run_of("PosePolicy", observations=ViewFeatures.KEYS)
    for extra in ({"weight": 2.0}, {"detach": False}):
        run["hyperparameters"] |= {"estimator": "score", **extra}
        with pytest.raises(ValueError, match="estimator: got 'score', which takes no"):
            untrained(run, training_envs(run))
