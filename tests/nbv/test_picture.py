"""The picture of an episode: its form, and that it tells what happened."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import trimesh

from spatial_envs.core.drawing import BACKGROUND, PATH_INK, RAMP, START_INK, depth_picture, ramp
from spatial_envs.geometry.camera import Region, direction, facing_origin, look_at, pinhole, unproject
from spatial_envs.geometry.kdtree import KDTree
from spatial_envs.geometry.mesh import Mesh
from spatial_envs.nbv.error_picture import GREY, LEAST, MOST, draw_errors, error_share
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


def empty() -> Cloud:
    reference = KDTree(trimesh.creation.icosphere(subdivisions=5, radius=0.5).vertices)
    return Cloud(ChamferTracker(reference.points, reference, 1.0))


def episode(mesh: Mesh, positions):
    """The views from the positions, and the cloud of their depth."""
    cloud, intrinsics, views = empty(), pinhole(50, (112, 112)), []
    for position in positions:
        pose = look_at(torch.tensor(position, dtype=torch.float64)).numpy()
        view = RENDERER.render(mesh, pose, intrinsics, (112, 112))
        cloud.add(unproject(view.depth, intrinsics, pose)[view.depth > 0])
        views.append(view)
    return views, cloud


def drawn(mesh: Mesh, positions) -> np.ndarray:
    return draw_next_best_view(RENDERER, mesh, *episode(mesh, positions), "unproject")


def share(picture: np.ndarray, ink) -> float:
    """Of the first panel's pixels without the captions, those in the ink."""
    return float((np.abs(picture[40:450, :480] - np.float64(ink)).max(axis=-1) < 12).mean())


def grey(picture: np.ndarray) -> float:
    """The share of the second panel's pixels, without the captions, that are grey and no background."""
    panel = picture[50:420, 480:960].astype(int)
    return float(((np.ptp(panel, axis=-1) < 3) & (panel.min(axis=-1) > 33)).mean())


FRONT, BACK, SIDE = 1.5 * direction(0.0, 0.3), 1.6 * direction(3.0, -0.2), 1.4 * direction(1.5, 0.9)


def test_form_and_determinism(mesh):
    picture = drawn(mesh, [FRONT])
    assert picture.shape == (480, 1200, 3)
    assert picture.dtype == np.uint8
    np.testing.assert_array_equal(picture, drawn(mesh, [FRONT]))
    assert picture.std() > 10


def test_a_view_more_is_seen_everywhere(mesh):
    before, after = drawn(mesh, [FRONT]), drawn(mesh, [FRONT, SIDE])
    differs = (before != after).any(axis=-1)
    assert differs[:40, :960].any()  # the captions
    assert differs[40:, :480].mean() > 0.003  # the cameras
    assert differs[40:, 480:960].mean() > 0.05  # the points
    assert differs[240:, 960:].mean() > 0.03  # the depth of the latest view


def test_what_is_missing_is_grey_until_it_is_seen(mesh):
    none, one = drawn(mesh, [BACK, BACK]), drawn(mesh, [BACK])
    np.testing.assert_array_equal(none[40:440, 480:960], one[40:440, 480:960])  # nothing new was seen
    all_round = drawn(mesh, [1.6 * direction(1.05 * k, 0.2) for k in range(6)])
    assert 0.05 < grey(all_round) < 0.6 * grey(one)


def test_points_are_coloured_by_their_error_and_hidden_behind_the_surface(mesh):
    pose, intrinsics = facing_origin(np.array([0.0, 0.0, 2.5])), pinhole(28, (240, 240))

    def colour(radius: float) -> np.ndarray:
        cloud = empty()
        cloud.add(np.array([[0, 0, radius]], np.float32))
        return draw_errors(RENDERER, mesh, cloud, pose, intrinsics, 240)[120, 120].astype(float)

    for error in (0.003, 0.02, 0.1):
        expected = ramp(error_share(np.array(error))).astype(float)
        found = colour(0.5 + error)
        np.testing.assert_allclose(found / found.max(), expected / expected.max(), atol=0.06)
    assert np.ptp(colour(0.3)) == 0, "inside of the ball"
    assert 0 < colour(0.3)[0] <= GREY


def test_the_scale_does_not_saturate():
    errors = np.geomspace(LEAST, MOST, 9)
    shares = error_share(errors)
    assert (shares[0], shares[-1]) == pytest.approx((0, 1))
    np.testing.assert_allclose(np.diff(shares), 1 / 8)
    assert error_share(np.array(0.0)) == 0


def test_every_camera_of_the_region_is_in_the_picture(mesh):
    """The latest camera is in the ink of the path wherever it stands; also on the outermost shell. The first
    is in one of its own."""
    for position in 2.0 / 1.6 * Region((1.2, 2.0)).fibonacci_poses(12)[:, :3, 3]:
        assert share(drawn(mesh, [position]), START_INK) > 5e-4, position
        both = drawn(mesh, [FRONT, position])
        assert share(both, PATH_INK) > 5e-4, position
        assert share(both, START_INK) > 5e-4, position
        assert share(drawn(mesh, [4 * position]), START_INK) > 1e-4, position  # wherever a region may end


@pytest.mark.parametrize("size", [(112, 112), (56, 84), (518, 518)])
def test_views_are_drawn_at_the_size_shown(mesh, size):
    """Whatever the size of the agent's images, a picture is as sharp."""
    views, cloud = episode(mesh, [FRONT])
    pose = views[0].cam_to_world.astype(np.float64)
    view = RENDERER.render(mesh, pose, pinhole(50, size), size)
    picture = draw_next_best_view(RENDERER, mesh, [view], cloud, "unproject")
    assert picture.shape == (480, 1200, 3)
    depth = picture[250:470, 970:1190].astype(int).sum(axis=-1)
    inside = depth > 2 * sum(BACKGROUND)
    assert (np.diff(depth, axis=1)[inside[:, 1:]] != 0).mean() > 0.2, "no blocks of one colour"


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
