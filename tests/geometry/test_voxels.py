"""Voxel grids, what cameras would see of them, and volumetric information, each worked out another way."""

import itertools
import math

import numpy as np
import pytest

from agents.nbv.information_gain import METRICS, NEAR, candidate_intrinsics, information
from spatial_envs.geometry.camera import facing_origin, pinhole
from spatial_envs.geometry.view import View
from spatial_envs.geometry.voxels import HIT, MISS, MOST, VoxelGrid
from spatial_envs.nbv import NBVDiscreteEnv
from spatial_envs.nbv.candidates import GLIMPSE, GLIMPSE_FOV, GRID_SIDE


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
    intrinsics = candidate_intrinsics(50)
    intrinsics = intrinsics * np.array([[9 / 28], [9 / 28], [1]])  # 9 x 9 pixels
    found = information(grid, metric, intrinsics, pose, 9, as_published)
    totals = []
    for i, j in itertools.product(range(9), repeat=2):
        pixel = np.array(
            [
                (j + 0.5 - intrinsics[0, 2]) / intrinsics[0, 0],
                (i + 0.5 - intrinsics[1, 2]) / intrinsics[1, 1],
                1,
            ]
        )
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
    intrinsics = np.array([[[60, 0, 30], [0, 60, 30], [0, 0, 1]]], np.float32)
    view = View(np.zeros((1, 60, 60, 3), np.uint8), depth, intrinsics, pose)
    grid = VoxelGrid(1.0, 10)
    grid.add(view[0])
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
        grid.add(view[0])
    assert grid.log_odds.min() == pytest.approx(-2, abs=1e-3)
    assert grid.log_odds.max() == pytest.approx(3.5, abs=0.02)


def test_glimpses_are_as_defined():
    rng = np.random.default_rng(1)
    grid = VoxelGrid(1.0, 7)
    grid.log_odds = rng.choice([0, 0, 0, 0, HIT, MISS, MISS], grid.log_odds.shape).astype(np.float32)
    centre = np.array([0.9, -0.4, 1.1])
    pose, intrinsics = facing_origin(centre), pinhole(45, (6, 6))
    (found,) = grid.glimpses(intrinsics, pose[None], 6)
    nearest = np.linalg.norm(centre) - 0.5
    assert 0 < (found[0] > 0).mean() < 1
    for i, j in itertools.product(range(6), repeat=2):
        pixel = np.array(
            [
                (j + 0.5 - intrinsics[0, 2]) / intrinsics[0, 0],
                (i + 0.5 - intrinsics[1, 2]) / intrinsics[1, 1],
                1,
            ]
        )
        voxels = voxels_on(centre, pose[:3, :3] @ pixel, 1.0, 7)
        odds = [float(grid.log_odds[voxel]) for voxel in voxels]
        end = next((n for n, value in enumerate(odds) if value > 0), None)
        before = odds[:end]
        run = len(list(itertools.takewhile(lambda value: value == 0, before[::-1])))
        expected = [0, 255, 0, 255 * min(before.count(0) / 7, 1), 0]
        if end is not None:
            far = np.linalg.norm((np.array(voxels[end]) + 0.5) / 7 - 0.5 - centre) - nearest
            share = 255 * odds[end] / MOST
            expected = [255, 255 * np.clip(far, 0, 1), share, expected[3], 255 * min(run / 7, 1)]
        np.testing.assert_allclose(found[:, i, j], np.floor(expected), atol=1)  # rounding


def test_an_episode_shows_glimpses_of_all_its_views_where_asked():
    env = NBVDiscreteEnv(backbone=None, image_size=56, num_objects=1, views=4, observations=["glimpses"])
    assert "glimpses" not in NBVDiscreteEnv(backbone=None, num_objects=1).observation_space.spaces
    env.reset(seed=0)
    for action in (5, 40):
        observation, *_ = env.step(action)
    episode = env.task.episode(0)
    grid = VoxelGrid(GRID_SIDE)
    for view in episode.views:
        grid.add(view)
    intrinsics = pinhole(GLIMPSE_FOV, (GLIMPSE, GLIMPSE))
    expected = grid.glimpses(intrinsics, env.task.candidate_poses(episode), GLIMPSE)
    np.testing.assert_array_equal(observation["glimpses"], expected)
    assert env.observation_space.contains(observation)
    state = env.get_state()
    env.evaluate(env.task.candidate_poses(episode)[:3])  # looks ahead without a trace
    twin = NBVDiscreteEnv(backbone=None, image_size=56, num_objects=1, views=4, observations=["glimpses"])
    twin.set_state(state)
    for other in (env, twin):
        np.testing.assert_array_equal(other.task.observe(0)["glimpses"], expected)


def test_candidates_lie_at_their_radius():
    env = NBVDiscreteEnv(backbone=None, image_size=56, num_objects=1, candidate_radius=1.3)
    observation, _ = env.reset(seed=0)
    np.testing.assert_allclose(np.linalg.norm(observation["candidates"][:, :3], axis=1), 1, atol=1e-6)
    env.step(7)
    assert np.linalg.norm(env.task.episode(0).views[-1].cam_to_world[:3, 3]) == pytest.approx(1.3)
    with pytest.raises(ValueError, match="candidate_radius: got 3"):
        NBVDiscreteEnv(backbone=None, num_objects=1, candidate_radius=3)
