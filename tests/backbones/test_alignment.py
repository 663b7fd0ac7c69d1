"""Noisy poses, corrected by measured depth."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spatial_envs.backbones.alignment import _normals, aligned, moved
from spatial_envs.backbones.compact import Compact
from spatial_envs.geometry.camera import facing_origin, pinhole, unproject
from spatial_envs.geometry.view import View
from spatial_envs.rendering.builtin import BuiltinRenderer
from spatial_envs.scenes.objects import open_objects

SIZE = (112, 112)


def neighbours(index: int, count: int = 4, apart: float = 35) -> View:
    """Views (count,) of a validation object from cameras round it, so many degrees apart."""
    angles = np.radians(apart * np.arange(count))
    centres = 1.5 * np.stack([np.sin(angles), 0.3 + 0 * angles, np.cos(angles)], axis=1)
    mesh = open_objects("procedural", "validation").load(index)
    return BuiltinRenderer().render(mesh, facing_origin(centres), pinhole(50, SIZE), SIZE)


def off(poses: np.ndarray, rng: np.random.Generator, degrees: float, metres: float) -> np.ndarray:
    """Poses (n, 4, 4), all but the first turned and shifted."""
    out = poses.astype(np.float64)
    for pose in out[1:]:
        moved(pose, np.concatenate([np.radians(degrees) * rng.normal(size=3), metres * rng.normal(size=3)]))
    return out.astype(np.float32)


def errors(views: View, poses: np.ndarray) -> float:
    """Mean distance of where the pixels are put from where they are, metres."""
    apart = []
    for k in range(1, len(poses)):
        true, put = (
            unproject(views.depth[k], views.intrinsics[k], np.ascontiguousarray(each[k]))
            for each in (views.cam_to_world, poses)
        )
        apart.append(np.linalg.norm(true - put, axis=-1)[views.depth[k] > 0].mean())
    return float(np.mean(apart))


def whole(count: int) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros(count, np.int64), np.full(count, count)


def test_poses_come_nearer_to_the_truth():
    rng = np.random.default_rng(0)
    before, after = [], []
    for index in range(6):
        views = neighbours(index)
        noisy = off(views.cam_to_world, rng, 0.6, 0.01)
        found = aligned(views.depth, views.intrinsics, noisy, *whole(4))
        np.testing.assert_array_equal(found[0], noisy[0])  # the first defines the frame
        turned = found[:, :3, :3]
        np.testing.assert_allclose(turned @ turned.swapaxes(1, 2), [np.eye(3)] * 4, atol=1e-5)
        before.append(errors(views, noisy))
        after.append(errors(views, found))
    assert np.mean(after) < 0.6 * np.mean(before)


def test_poses_that_agree_are_left_alone():
    for index in range(3):
        views = neighbours(index)
        found = aligned(views.depth, views.intrinsics, views.cam_to_world, *whole(4))
        np.testing.assert_array_equal(found, views.cam_to_world)


def test_sets_are_aligned_each_for_itself():
    rng = np.random.default_rng(1)
    a, b = neighbours(0, 3), neighbours(1, 2)
    poses = [off(views.cam_to_world, rng, 0.6, 0.01) for views in (a, b)]
    together = aligned(
        np.concatenate([a.depth, b.depth]), np.concatenate([a.intrinsics, b.intrinsics]),
        np.concatenate(poses), np.array([0, 0, 0, 3, 3]), np.array([3, 3, 3, 2, 2]),
    )  # fmt: skip
    alone = [aligned(v.depth, v.intrinsics, p, *whole(len(p))) for v, p in zip((a, b), poses, strict=True)]
    np.testing.assert_array_equal(together, np.concatenate(alone))
    assert (together[1:3] != np.concatenate(poses)[1:3]).any()


def test_what_cannot_be_compared_stays():
    views = neighbours(0, 2, apart=180)
    noisy = off(views.cam_to_world, np.random.default_rng(0), 0.6, 0.01)
    nothing = np.zeros_like(views.depth)
    np.testing.assert_array_equal(aligned(nothing, views.intrinsics, noisy, *whole(2)), noisy)
    no_normals = views.depth * (np.indices(SIZE).sum(axis=0) % 2)  # no pixel has its neighbours
    np.testing.assert_array_equal(aligned(no_normals, views.intrinsics, noisy, *whole(2)), noisy)


def test_normals_are_a_plane_s():
    """Of the plane n . x = 1.5 in the camera's axes."""
    normal = np.array([0.3, -0.2, -0.93])
    normal /= np.linalg.norm(normal)
    k = pinhole(50, SIZE)
    v, u = np.indices(SIZE) + 0.5
    rays = np.stack([(u - k[0, 2]) / k[0, 0], (v - k[1, 2]) / k[1, 1], np.ones(SIZE)], axis=-1)
    depth = (-1.5 / (rays @ normal)).astype(np.float32)[None]
    found = np.zeros((1, *SIZE, 3), np.float32)
    _normals(depth, np.array([[k[0, 0], k[1, 1], k[0, 2], k[1, 2]]]), found)
    inside = found[0, 2:-2, 2:-2]
    np.testing.assert_allclose(inside, np.broadcast_to(normal, inside.shape), atol=1e-4)
    assert not found[0, :2].any()


@pytest.mark.parametrize("tensor", [False, True])
def test_compact_corrects_poses_that_depths_contradict(tensor):
    backbone = Compact(device="cpu")
    views = neighbours(0)
    noisy = off(views.cam_to_world, np.random.default_rng(0), 0.6, 0.01)
    every = np.ones((1, 4), np.bool_)
    moved = View(views.rgb, views.depth, views.intrinsics, torch.from_numpy(noisy) if tensor else noisy)[None]
    poses = backbone.encode(moved, every).cam_to_world
    assert poses is not None
    if tensor:  # then points move with the poses that are given
        torch.testing.assert_close(poses[0], torch.from_numpy(noisy))
        return
    assert errors(views, poses[0].numpy()) < 0.8 * errors(views, noisy)
    exact = backbone.encode(views[None], every).cam_to_world
    torch.testing.assert_close(exact, torch.from_numpy(views.cam_to_world)[None], rtol=0, atol=0)
    without = backbone.encode(moved, every, given={"depth": ~every}).cam_to_world
    torch.testing.assert_close(without, torch.from_numpy(noisy)[None], rtol=0, atol=0)
