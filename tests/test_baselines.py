"""Heuristics, volumetric information and planners, each against its definition worked out another way."""

import itertools
import math

import numpy as np
import pytest

from agents.baselines import BASELINES, baselines
from agents.evaluation import evaluate
from agents.heuristics import Coverage, InformationGain
from agents.information_gain import HIT, METRICS, MISS, NEAR, VoxelGrid, candidate_lens
from agents.planners import Beam, SetCover, maximum_cover
from spatial_envs.camera import facing_origin, unproject
from spatial_envs.nbv import NBVDiscreteEnv, NBVEnv
from spatial_envs.view import View

SMALL = {"backbone": None, "image_size": 56, "num_objects": 2, "observations": ["poses"]}


@pytest.fixture(scope="module")
def env():
    return NBVEnv(views=4, **SMALL)


@pytest.fixture(scope="module")
def discrete():
    return NBVDiscreteEnv(views=4, **SMALL)


# ---- volumetric information


def voxels_on(origin, ray, side, n):
    """By all crossings with the grid's planes, sorted; the voxel of each middle between two."""
    planes = np.linspace(-side / 2, side / 2, n + 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        crossings = ((planes[None] - origin[:, None]) / ray[:, None]).ravel()
    crossings = np.sort(crossings[np.isfinite(crossings) & (crossings > 0)])
    middles = (crossings[1:] + crossings[:-1]) / 2
    cells = np.floor((origin + middles[:, None] * ray + side / 2) / (side / n)).astype(int)
    return [tuple(cell) for cell in cells if (cell >= 0).all() and (cell < n).all()]


def told(metric, log_odds, voxels, as_published):
    """One ray's worth: (sum, voxels passed)."""
    p = {v: 1 / (1 + math.exp(-log_odds[v])) for v in voxels}
    seen = []
    for v in voxels:
        seen.append(v)
        if log_odds[v] > 0:
            break
    entropy = {v: -p[v] * math.log(p[v]) - (1 - p[v]) * math.log(1 - p[v]) for v in seen}
    factor = {v: p[v] if as_published else 1 - p[v] for v in seen}
    visible = {v: math.prod(factor[u] for u in seen[:i]) for i, v in enumerate(seen)}
    unknown = [log_odds[v] == 0 for v in seen]
    run = []  # the unknown voxels just before the surface, from it towards the camera
    if seen and log_odds[seen[-1]] > 0:
        for v, u in zip(seen[-2::-1], unknown[-2::-1], strict=True):
            if not u:
                break
            run.append(v)
    worth = {
        "occlusion_aware": sum(visible[v] * entropy[v] for v in seen),
        "unobserved_voxel": sum(visible[v] * entropy[v] for v, u in zip(seen, unknown, strict=True) if u),
        "rear_side_voxel": float(bool(run)),
        "rear_side_entropy": sum(visible[v] * entropy[v] for v in run),
        "proximity_count": sum(max(NEAR - i, 0) for i in range(len(run))),
        "average_entropy": sum(entropy.values()),
    }
    return worth[metric], len(seen)


@pytest.mark.parametrize("as_published", [False, True])
@pytest.mark.parametrize("metric", METRICS)
def test_information_gain_is_as_defined(metric, as_published):
    rng = np.random.default_rng(0)
    grid = VoxelGrid(1.0, 7)
    grid.log_odds = rng.choice([0, 0, 0, HIT, MISS, 2 * MISS], grid.log_odds.shape).astype(np.float32)
    pose = facing_origin(np.array([0.9, 0.7, 1.1]))
    lens = candidate_lens(50)
    lens = lens * np.array([[9 / 28], [9 / 28], [1]])  # 9 x 9 pixels
    found = grid.gain(metric, lens, pose, 9, as_published)
    totals = []
    for i, j in itertools.product(range(9), repeat=2):
        pixel = np.array([(j + 0.5 - lens[0, 2]) / lens[0, 0], (i + 0.5 - lens[1, 2]) / lens[1, 1], 1])
        voxels = voxels_on(pose[:3, 3], pose[:3, :3] @ pixel, 1.0, 7)
        totals.append(told(metric, grid.log_odds, voxels, as_published))
    worth, passed = np.sum(totals, axis=0)
    assert worth > 0
    assert found == pytest.approx(worth / passed if metric == "average_entropy" else worth, rel=1e-6)


def test_a_view_frees_what_is_before_the_surface_and_says_nothing_of_what_is_behind():
    """A camera on +Z that sees a wall at z = 0.1 in the left half of its image, and nothing in the right."""
    depth = np.full((1, 60, 60), 1.5 - 0.1, np.float32)
    depth[:, :, 30:] = 0
    pose = facing_origin(np.array([[0.0, 0.0, 1.5]])).astype(np.float32)
    lens = np.array([[[60, 0, 30], [0, 60, 30], [0, 0, 1]]], np.float32)
    view = View(np.zeros((1, 60, 60, 3), np.uint8), depth, lens, pose)
    grid = VoxelGrid(1.0, 10)
    grid.add(view)
    left = pose[0, :3, 0] * -0.2  # the image's left half
    column = tuple(np.floor((left[:2] + 0.5) * 10).astype(int))
    found = grid.log_odds[column]
    wall = int((0.1 + 0.5) * 10)
    np.testing.assert_allclose(found[wall + 1 :], MISS, rtol=1e-6)
    assert found[wall] == pytest.approx(HIT)
    np.testing.assert_array_equal(found[:wall], 0)
    other = tuple(np.floor((-left[:2] + 0.5) * 10).astype(int))
    np.testing.assert_allclose(grid.log_odds[other], MISS, rtol=1e-6)
    for _ in range(20):
        grid.add(view)
    assert grid.log_odds.min() == pytest.approx(-2, abs=1e-3)
    assert grid.log_odds.max() == pytest.approx(3.5, abs=0.02)


def test_information_gain_takes_the_best_direction(env):
    env.reset(seed=0)
    policy = InformationGain(env, metric="unobserved_voxel")
    grid = VoxelGrid(1.1 * env.task.episode(0).reference.diameter)
    grid.add(env.get_state()["task"]["views"])
    poses = env.task.region.fibonacci_poses(64)
    gains = [grid.gain("unobserved_voxel", candidate_lens(env.task.fov), pose) for pose in poses]
    np.testing.assert_allclose(policy.act(), env.action_from_pose(poses[np.argmax(gains)]))
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
            u, v, _ = env.task.lens @ [x / z, y / z, 1]
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
    beam = evaluate(discrete, Beam(discrete), 2, progress=False)
    greedy = evaluate(discrete, BASELINES["oracle"](discrete), 2, progress=False)
    np.testing.assert_allclose(beam.gain, greedy.gain, rtol=1e-6)


def test_the_maximum_cover_is_exact():
    rng = np.random.default_rng(0)
    for _ in range(10):
        sees = rng.random((9, 40)) < 0.2
        best = max(sees[list(rows)].any(axis=0).sum() for rows in itertools.combinations(range(9), 3))
        chosen = maximum_cover(sees, 3)
        assert len(set(chosen)) == 3
        assert sees[chosen].any(axis=0).sum() == best


def test_a_set_cover_covers_more_than_the_farthest_views(env):
    cover = evaluate(env, SetCover(env), 4, progress=False)
    farthest = evaluate(env, BASELINES["farthest"](env), 4, progress=False)
    assert cover.coverage.mean() > farthest.coverage.mean()


def test_every_baseline_plays_every_action_space(env, discrete):
    for unwrapped in (env, discrete):
        for name, policy in baselines(unwrapped).items():
            observation, _ = unwrapped.reset(seed=5)
            for _ in range(2):
                action, _ = policy.predict(observation)
                observation, _, _, _, info = unwrapped.step(action)
                assert not info["invalid"], name
    assert "zero-action" in baselines(env)
    assert "zero-action" not in baselines(discrete)
