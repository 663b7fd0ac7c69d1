"""The picture of an episode: its form, and that it tells what happened."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import trimesh

from spatial_envs.core.drawing import BACKGROUND, PATH_INK, RAMP, depth_picture, ramp
from spatial_envs.geometry.camera import Region, direction, look_at, pinhole, unproject
from spatial_envs.geometry.kdtree import KDTree
from spatial_envs.geometry.mesh import Mesh
from spatial_envs.nbv.picture import draw_next_best_view
from spatial_envs.reconstruction.chamfer import ChamferTracker, Cloud
from spatial_envs.rendering import make_renderer

RENDERER = make_renderer("builtin")


@pytest.fixture(scope="module")
def mesh() -> Mesh:
    ball = trimesh.creation.icosphere(subdivisions=3, radius=0.5)
    return Mesh(
        np.asarray(ball.vertices, np.float32), np.asarray(ball.faces, np.int32),
        np.full((len(ball.vertices), 3), 180, np.uint8),
    )  # fmt: skip


def episode(mesh: Mesh, positions):
    """views, reference, distances and metrics after looking from the positions."""
    reference = KDTree(trimesh.creation.icosphere(subdivisions=4, radius=0.5).vertices).points
    cloud = Cloud(ChamferTracker(reference, KDTree(reference), 1.0))
    intrinsics, views = pinhole(50, (112, 112)), []
    for position in positions:
        pose = look_at(torch.tensor(position, dtype=torch.float64)).numpy()
        view = RENDERER.render(mesh, pose, intrinsics, (112, 112))
        cloud.add(unproject(view.depth, intrinsics, pose)[view.depth > 0])
        views.append(view)
    return views, reference, np.sqrt(cloud.tracker.squared_to_cloud), cloud.metrics()


def drawn(mesh: Mesh, positions) -> np.ndarray:
    return draw_next_best_view(RENDERER, mesh, *episode(mesh, positions), "unproject")


def shares(picture: np.ndarray) -> dict[str, float]:
    """Of the main panel's pixels without the captions: missing, covered, and in the ink of the path."""
    red, green, blue = np.moveaxis(picture[40:430, :480].astype(float), -1, 0)
    return {
        "red": float(((red > 1.8 * green) & (red > 1.8 * blue) & (red > 60)).mean()),
        "teal": float(((green > 1.8 * red) & (blue > 1.8 * red)).mean()),
        "path": float((np.abs(picture[40:430, :480] - np.float64(PATH_INK)).max(axis=-1) < 12).mean()),
    }


FRONT, BACK, SIDE = 1.5 * direction(0.0, 0.3), 1.6 * direction(3.0, -0.2), 1.4 * direction(1.5, 0.9)


def test_form_and_determinism(mesh):
    picture = drawn(mesh, [FRONT])
    assert picture.shape == (480, 720, 3)
    assert picture.dtype == np.uint8
    np.testing.assert_array_equal(picture, drawn(mesh, [FRONT]))
    assert picture.std() > 10


def test_a_view_more_is_seen_everywhere(mesh):
    before, after = drawn(mesh, [FRONT]), drawn(mesh, [FRONT, SIDE])
    differs = (before != after).any(axis=-1)
    assert differs[:40, :480].any()  # the captions
    assert differs[40:, :480].mean() > 0.01  # the surface and the cameras
    assert differs[240:, 480:].mean() > 0.05  # the depth of the latest view


def test_what_is_missing_is_red_and_becomes_teal(mesh):
    one = shares(drawn(mesh, [BACK]))
    all_round = shares(drawn(mesh, [1.6 * direction(1.05 * k, 0.2) for k in range(6)]))
    print(one, all_round)
    assert one["red"] > 0.01
    assert all_round["red"] < 0.3 * one["red"]
    assert all_round["teal"] > 1.5 * one["teal"] > 0


def test_every_camera_of_the_region_is_in_the_picture(mesh):
    """The latest camera is in the ink of the path wherever it stands; also on the outermost shell."""
    for position in 2.0 / 1.6 * Region((1.2, 2.0)).fibonacci_poses(32)[:, :3, 3]:
        alone = shares(drawn(mesh, [position]))["path"]
        assert alone > 5e-4, position  # to the left of the spectator: never behind the object
        assert shares(drawn(mesh, [FRONT, position]))["path"] > 2e-4, position
        assert shares(drawn(mesh, [4 * position]))["path"] > 1e-4, position  # wherever a region may end


@pytest.mark.parametrize("size", [(112, 112), (56, 84), (518, 518)])
def test_pictures_of_any_size_fit(mesh, size):
    views, *rest = episode(mesh, [FRONT])
    pose = views[0].cam_to_world.astype(np.float64)
    view = RENDERER.render(mesh, pose, pinhole(50, size), size)
    assert draw_next_best_view(RENDERER, mesh, [view], *rest, "unproject").shape == (480, 720, 3)


def test_ramp():
    np.testing.assert_array_equal(ramp(np.array(0.0)), RAMP[0])
    np.testing.assert_array_equal(ramp(np.array(1.0)), RAMP[-1])
    np.testing.assert_array_equal(ramp(np.array([-3.0, 7.0])), RAMP[[0, -1]])
    np.testing.assert_array_equal(ramp(np.linspace(0, 1, len(RAMP))), RAMP)
    np.testing.assert_array_equal(
        ramp(np.array([[0.125]])), ((RAMP[0] + RAMP[1]) / 2).astype(np.uint8)[None, None]
    )


def test_depth_picture():
    depth = np.array([[0, 1.0, 1.5, 2.0]], np.float32)
    picture = depth_picture(depth)
    assert picture.shape == (1, 4, 3)
    assert picture.dtype == np.uint8
    np.testing.assert_array_equal(picture[0, 0], BACKGROUND)
    brightness = picture[0].astype(int).sum(axis=-1)
    assert brightness[1] > brightness[2] > brightness[3] > 0
    np.testing.assert_array_equal(depth_picture(np.zeros((5, 7))), np.tile(np.uint8(BACKGROUND), (5, 7, 1)))
    flat = depth_picture(np.full((2, 2), 1.5))
    np.testing.assert_array_equal(flat, np.tile(np.uint8([190, 220, 255]), (2, 2, 1)))
