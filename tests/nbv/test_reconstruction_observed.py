"""What an agent is shown of the reconstruction: its points, and the voxels that depth has filled."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest

import spatial_envs
from spatial_envs.geometry.camera import inverse_pose, measured_points, transform_points
from spatial_envs.nbv.candidates import GRID_SIDE
from spatial_envs.nbv.task import POINTS

gym.register_envs(spatial_envs)
KEYS = ["points", "points_mask", "voxels"]


def shown(**arguments):
    """The task after two views, what it shows, and the points of its depth in the frame."""
    env = gym.make(
        "NBV-MapAnything-v0",
        backbone=None,
        num_objects=1,
        observations=KEYS,
        **{"image_size": 56, **arguments},
    ).unwrapped
    first, _ = env.reset(seed=4)
    after, *_ = env.step(np.array([0.3, -0.4, 0.1], np.float32))
    task = env.task
    episode = task.episode(0)
    measured = [measured_points(v.depth, v.intrinsics, v.cam_to_world) for v in episode.views]
    in_frame = transform_points(inverse_pose(episode.frame_to_world), np.concatenate(measured))
    return episode, first, after, in_frame


@pytest.mark.parametrize("frame", ["gravity", "first_view", "world"])
def test_points_are_the_reconstruction_in_the_frame(frame):
    episode, first, after, in_frame = shown(frame=frame)
    for observation in (first, after):
        count = int(observation["points_mask"].sum())
        assert 0 < count < POINTS
        assert observation["points_mask"][:count].all(), "those that there are come first"
        assert not observation["points"][count:].any()
    points = after["points"][after["points_mask"] == 1]
    assert len(points) == len(episode.cloud.points) > first["points_mask"].sum()
    gaps = np.linalg.norm(points[:, None] - in_frame[None], axis=-1).min(axis=1)
    assert gaps.max() < 1e-5, "each is a measured point"


def test_many_points_are_thinned_evenly():
    episode, _, after, _ = shown(image_size=224)
    assert len(episode.cloud.points) > POINTS
    assert after["points_mask"].all()
    assert len(np.unique(after["points"], axis=0)) == POINTS
    last = transform_points(inverse_pose(episode.frame_to_world), episode.cloud.points[-1:])
    np.testing.assert_allclose(after["points"][-1:], last, atol=1e-6)


@pytest.mark.parametrize("frame", ["gravity", "first_view", "world"])
def test_voxels_are_filled_where_points_are(frame):
    episode, first, after, in_frame = shown(frame=frame)
    if frame == "first_view":  # whose origin is the camera: the cube is round the object's centre
        in_frame = in_frame - inverse_pose(episode.frame_to_world)[:3, 3]
    voxels = after["voxels"][0]
    assert after["voxels"].shape == (1, 32, 32, 32)
    cells = np.floor((in_frame / GRID_SIDE + 0.5) * len(voxels)).astype(int)
    assert (voxels[tuple(cells.T)] > 128).mean() > 0.97
    filled = np.zeros(voxels.shape, bool)
    filled[tuple(cells.T)] = True
    assert (voxels[~filled] <= 128).mean() > 0.999, "nothing else is"
    assert (voxels < 128).any(), "what rays pass is free"
    assert (voxels == 128).any(), "what is hidden is unknown"
    assert (voxels != first["voxels"][0]).any()


def test_presets():
    for name, expected in {
        "state": {"poses", "view_mask", "anchor", "remaining"},
        "image": {"rgb"},
        "points": {"points", "points_mask", "poses", "view_mask", "anchor", "remaining"},
    }.items():
        env = gym.make("NBV-MapAnything-v0", backbone=None, observations=name)
        assert set(env.observation_space.spaces) == expected
    everything = gym.make("NBV-MapAnything-v0", backbone=None, observations="all").observation_space.spaces
    assert {"voxels", "glimpses", "points"} <= set(everything)
    assert "gains" not in everything, "the answer"
    discrete = gym.make("NBV-MapAnything-Discrete-v0", backbone=None, observations="state")
    assert "candidates" in discrete.observation_space.spaces
