"""Heuristics and planners, each against its definition worked out another way."""

import itertools

import numpy as np
import pytest

from agents.comparison.scores import evaluate
from agents.nbv import lookup
from agents.nbv.baselines import BASELINES
from agents.nbv.family import NEXT_BEST_VIEW as KIND
from agents.nbv.heuristics import Coverage, InformationGain
from agents.nbv.information_gain import candidate_intrinsics, information
from agents.nbv.planners import Beam, SetCover, maximum_cover
from spatial_envs.geometry.camera import facing_origin, fibonacci_directions, unproject
from spatial_envs.geometry.voxels import VoxelGrid
from spatial_envs.nbv import NBVDiscreteEnv, NBVEnv
from spatial_envs.nbv.candidates import GRID_SIDE

SMALL = {"backbone": None, "image_size": 56, "num_objects": 2, "observations": ["poses"]}


@pytest.fixture(scope="module")
def env():
    return NBVEnv(views=4, **SMALL)


@pytest.fixture(scope="module")
def discrete():
    return NBVDiscreteEnv(views=4, **SMALL)


@pytest.mark.parametrize(
    ("name", "radius"), [("ig-unobserved-voxel", 1.6), ("ig-unobserved-voxel-inner", 1.2)]
)
def test_information_gain_takes_the_best_direction(env, name, radius):
    env.reset(seed=0)
    policy = BASELINES[name](env)
    grid = VoxelGrid(GRID_SIDE)
    grid.add(env.task.episode(0).views[0])
    poses = facing_origin(radius * fibonacci_directions(64, env.task.region.max_elevation))
    gains = [
        information(grid, "unobserved_voxel", candidate_intrinsics(env.task.fov), pose) for pose in poses
    ]
    np.testing.assert_allclose(policy.act(), env.action_from_pose(poses[np.argmax(gains)]))


def test_information_gain_knows_its_metrics(env):
    with pytest.raises(ValueError, match="metric: got 'volume'; expected one of 'occlusion_aware'"):
        InformationGain(env, metric="volume")


# ---- heuristics


def test_uniform_goes_round_the_fibonacci_sphere(env):
    env.reset(seed=0)
    policy = BASELINES["uniform"](env)
    for k in range(3):
        action = policy.act()
        np.testing.assert_allclose(action, env.action_from_pose(env.task.region.fibonacci_poses(3)[k]))
        env.step(action)


def test_coverage_goes_where_the_points_fill_least(env):
    env.reset(seed=1)
    env.step(np.array([0.3, 0.1, 0.0], np.float32))
    points = []
    views = env.get_state()["task"]["views"]
    for k in range(2):
        measured = unproject(views.depth[k], views.intrinsics[k], views.cam_to_world[k])
        points.extend(measured[views.depth[k] > 0])
    filled = []
    poses = env.task.region.fibonacci_poses(64)
    for pose in poses:
        pixels = set()
        for point in points:
            x, y, z = pose[:3, :3].T @ (point - pose[:3, 3])
            u, v, _ = env.task.intrinsics @ [x / z, y / z, 1]
            if 0 <= u < 56 and 0 <= v < 56:
                pixels.add((int(u) // 2, int(v) // 2))
        filled.append(len(pixels))
    found = Coverage(env)
    some = [found._filled(np.array(points), pose) for pose in poses]
    assert np.abs(np.subtract(some, filled)).max() <= 1  # a point on a pixel's edge
    np.testing.assert_allclose(found.act(), env.action_from_pose(poses[np.argmin(some)]))


# ---- planners


def test_a_wide_beam_is_exhaustive(discrete, monkeypatch):
    discrete.reset(seed=3)
    task, episode = discrete.task, discrete.task.episode(0)
    poses = Beam(discrete).reachable()[::13]
    monkeypatch.setattr(Beam, "WIDTH", 10)
    monkeypatch.setattr(Beam, "reachable", lambda self: poses)
    planned = Beam(discrete).plan(episode, 3)
    totals = {}
    for chosen in itertools.combinations(range(len(poses)), 3):
        extended = episode
        for k in chosen:
            extended = task.extended(extended, poses[[k]])[0]
        totals[chosen] = extended.metrics["chamfer"]
    indices = tuple(sorted(int(np.flatnonzero((poses == pose).all(axis=(1, 2)))[0]) for pose in planned))
    assert totals[indices] == pytest.approx(min(totals.values()), rel=1e-6)


def test_a_beam_of_one_is_greedy(discrete, monkeypatch):
    monkeypatch.setattr(Beam, "WIDTH", 1)
    beam = evaluate(KIND, discrete, Beam(discrete), 2)
    greedy = evaluate(KIND, discrete, BASELINES["oracle"](discrete), 2)
    np.testing.assert_allclose(beam.at_end("gains"), greedy.at_end("gains"), rtol=1e-6)


def test_the_maximum_cover_is_exact():
    rng = np.random.default_rng(0)
    for _ in range(10):
        sees = rng.random((9, 40)) < 0.2
        best = max(sees[list(rows)].any(axis=0).sum() for rows in itertools.combinations(range(9), 3))
        chosen = maximum_cover(sees, 3)
        assert len(set(chosen)) == 3
        assert sees[chosen].any(axis=0).sum() == best


def test_a_set_cover_covers_more_than_the_farthest_views(env):
    cover = evaluate(KIND, env, SetCover(env), 4)
    farthest = evaluate(KIND, env, BASELINES["farthest"](env), 4)
    assert cover.mean("coverage") > farthest.mean("coverage")


def test_every_baseline_plays_every_action_space(env, discrete, monkeypatch):
    monkeypatch.setattr(lookup, "OBJECTS", 4)
    monkeypatch.setattr(lookup, "SHORTLIST", 8)
    for unwrapped in (env, discrete):
        for name, policy in KIND.policies(unwrapped).items():
            observation, _ = unwrapped.reset(seed=5)
            for _ in range(2):
                action, _ = policy.predict(observation)
                observation, _, _, _, info = unwrapped.step(action)
                assert not info["invalid"], name
    other = {"zero-action"} | {
        name for name in BASELINES if name.endswith(("-inner", "-outer")) and name != "farthest-inner"
    }
    assert len(other) == 15
    assert set(KIND.policies(env)) - set(KIND.policies(discrete)) == other
