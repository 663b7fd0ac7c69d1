"""Cameras: intrinsics, directions on the sphere, poses that look at the origin, and points from depth."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from spatial_envs.geometry.camera import (
    Region,
    direction,
    fibonacci_directions,
    inverse_pose,
    look_at,
    pinhole,
    slope,
    transform_points,
    turn_about_y,
    unproject,
)

REGION = Region((1.2, 2.0), 80.0)


@pytest.mark.parametrize(("size", "half"), [((100, 100), 50), ((60, 90), 30), ((90, 60), 30)])
def test_the_field_of_view_is_across_the_shorter_side(size, half):
    intrinsics = pinhole(50, size)
    assert intrinsics.dtype == np.float32
    focal = half / np.tan(np.radians(25))
    np.testing.assert_allclose(
        intrinsics, [[focal, 0, size[1] / 2], [0, focal, size[0] / 2], [0, 0, 1]], rtol=1e-6
    )
    border = np.array(
        [0, half * np.tan(np.radians(25)) / np.tan(np.radians(25))]
    )  # the shorter side's middle
    assert np.degrees(2 * np.arctan(border[1] / intrinsics[0, 0])) == pytest.approx(50, abs=1e-4)


def test_slopes_are_those_of_the_rays_through_pixel_centres():
    intrinsics = np.array([[80.0, 0, 30], [0, 90, 20], [0, 0, 1]])
    assert [slope(30, intrinsics, 0), slope(19, intrinsics, 1)] == [0.5 / 80, -0.5 / 90]
    columns = np.arange(60)
    np.testing.assert_array_equal(80 * slope(columns, intrinsics, 0) + 30, columns + 0.5)
    points = unproject(np.full((40, 60), 2.0, np.float32), intrinsics, np.eye(4))
    np.testing.assert_array_equal(points[3, :, 0], (2 * slope(columns, intrinsics, 0)).astype(np.float32))


def test_directions_by_azimuth_and_elevation():
    quarter = np.pi / 2
    np.testing.assert_allclose(direction(0.0, 0.0), [0, 0, 1], atol=1e-15)
    np.testing.assert_allclose(direction(quarter, 0.0), [1, 0, 0], atol=1e-15)
    np.testing.assert_allclose(direction(1.0, quarter), [0, 1, 0], atol=1e-15)
    azimuth, elevation = np.random.default_rng(0).uniform(-1.5, 1.5, (2, 4, 5))
    found = direction(azimuth, elevation)
    assert found.shape == (4, 5, 3)
    np.testing.assert_allclose(np.arctan2(found[..., 0], found[..., 2]), azimuth)
    np.testing.assert_allclose(np.arcsin(found[..., 1]), elevation)


def test_turn_about_y_adds_to_the_azimuth():
    turn = turn_about_y(0.7)
    np.testing.assert_allclose(turn[:3, :3] @ direction(0.4, 0.3), direction(1.1, 0.3))
    np.testing.assert_allclose(turn[3], [0, 0, 0, 1])
    assert np.linalg.det(turn[:3, :3]) == pytest.approx(1)


@pytest.mark.parametrize("count", [64, 256, 1000])
@pytest.mark.parametrize("limit", [90.0, 80.0, 30.0])
def test_fibonacci_directions_are_even_and_within_the_elevation(count, limit):
    found = fibonacci_directions(count, limit)
    assert found.shape == (count, 3)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1)
    elevation = np.degrees(np.arcsin(found[:, 1]))
    assert (np.diff(elevation) > 0).all()  # from below to above
    assert np.abs(elevation).max() < limit
    # equal areas: the sine of the elevation is uniform, and so is the azimuth
    share = np.sin(np.radians(elevation)) / np.sin(np.radians(limit))
    np.testing.assert_allclose(share, (2 * np.arange(count) + 1) / count - 1)
    azimuth = np.sort(np.arctan2(found[:, 0], found[:, 2]))
    assert np.diff(azimuth).max() < 3 * 2 * np.pi / count
    # even: nearest neighbours are nearly as far as in a hexagonal lattice of that density; random ones
    # come down to a hundredth of it
    area = 4 * np.pi * np.sin(np.radians(limit)) / count
    nearest = cKDTree(found).query(found, k=2)[0][:, 1]
    assert nearest.min() > 0.65 * np.sqrt(2 / np.sqrt(3) * area)
    assert nearest.max() < 1.05 * np.sqrt(2 / np.sqrt(3) * area)


def test_look_at_has_opencv_axes():
    positions = np.random.default_rng(1).normal(size=(5, 7, 3))
    poses = look_at(torch.from_numpy(positions)).numpy()
    assert poses.shape == (5, 7, 4, 4)
    right, down, forward = np.moveaxis(poses[..., :3, :3], -1, 0)
    np.testing.assert_allclose(poses[..., :3, 3], positions)
    np.testing.assert_allclose(poses[..., 3, :], np.broadcast_to([0, 0, 0, 1], (5, 7, 4)))
    np.testing.assert_allclose(forward, -positions / np.linalg.norm(positions, axis=-1, keepdims=True))
    np.testing.assert_allclose(np.cross(right, down), forward, atol=1e-12)
    np.testing.assert_allclose(right[..., 1], 0, atol=1e-12)  # the horizon is level
    assert (down[..., 1] < 0).all()  # and the picture is not upside down
    np.testing.assert_allclose(np.linalg.norm(right, axis=-1), 1)
    # by hand: from +Z the world's +X is on the right
    np.testing.assert_allclose(look_at(torch.tensor([0.0, 0.0, 2.0])).numpy()[:3, 0], [1, 0, 0], atol=1e-7)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("height", [1.0, -1.0, 1e-3])
def test_look_at_is_finite_at_the_poles(height, dtype):
    position = torch.tensor([[0.0, height, 0.0]], dtype=dtype, requires_grad=True)
    pose = look_at(position)
    assert torch.isfinite(pose).all()
    rotation = pose[0, :3, :3].detach().double().numpy()
    np.testing.assert_allclose(rotation.T @ rotation, np.eye(3), atol=1e-6)
    np.testing.assert_allclose(rotation[:, 0], [1, 0, 0], atol=1e-7)
    assert np.linalg.det(rotation) == pytest.approx(1)
    pose.sum().backward()
    assert torch.isfinite(position.grad).all()


def test_the_gradient_of_look_at_is_right():
    positions = torch.randn((6, 3), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.autograd.gradcheck(look_at, (positions.requires_grad_(),))


def test_inverse_pose():
    rng = np.random.default_rng(2)
    poses = np.tile(np.eye(4), (2, 3, 1, 1))
    poses[..., :3, :3] = Rotation.random(6, random_state=rng).as_matrix().reshape(2, 3, 3, 3)
    poses[..., :3, 3] = rng.normal(size=(2, 3, 3))
    np.testing.assert_allclose(inverse_pose(poses), np.linalg.inv(poses), atol=1e-12)
    assert inverse_pose(poses[0, 0].astype(np.float32)).dtype == np.float32


def test_transform_points():
    rng = np.random.default_rng(3)
    points = rng.normal(size=(50, 3)).astype(np.float32)
    pose = np.eye(4)
    pose[:3, :3] = Rotation.random(random_state=rng).as_matrix()
    pose[:3, 3] = 1, 2, 3
    moved = transform_points(pose, points)
    assert moved.dtype == np.float32
    np.testing.assert_allclose(moved, points @ pose[:3, :3].T + pose[:3, 3], atol=1e-6)
    assert transform_points(pose, points[:0]).shape == (0, 3)


def unproject_twin(depth, intrinsics, pose) -> np.ndarray:
    points = np.zeros((*depth.shape, 3))
    for row in range(depth.shape[0]):
        for column in range(depth.shape[1]):
            pixel = np.array([column + 0.5, row + 0.5, 1.0])
            points[row, column] = (
                pose[:3, :3] @ (depth[row, column] * np.linalg.inv(intrinsics) @ pixel) + pose[:3, 3]
            )
    return points


def test_unproject():
    rng = np.random.default_rng(4)
    depth = rng.uniform(0.5, 3, (9, 14)).astype(np.float32)
    depth[2, 3:7] = 0
    intrinsics = np.array([[20, 0, 6.3], [0, 17, 5.1], [0, 0, 1]], np.float32)
    pose = look_at(torch.tensor([0.7, 1.1, -1.4])).numpy()
    points = unproject(depth, intrinsics, pose)
    assert points.dtype == np.float32
    np.testing.assert_allclose(points, unproject_twin(depth, intrinsics.astype(float), pose), atol=2e-6)
    np.testing.assert_allclose(points[2, 3:7], np.tile(pose[:3, 3], (4, 1)))
    # and projecting the points again gives the pixels they came from
    camera = (points - pose[:3, 3]) @ pose[:3, :3]
    column = intrinsics[0, 0] * camera[0, :, 0] / camera[0, :, 2] + intrinsics[0, 2]
    np.testing.assert_allclose(column, np.arange(14) + 0.5, atol=1e-4)


@settings(max_examples=100, deadline=None)
@given(st.floats(0.5, 3), st.floats(-180, 180), st.floats(-90, 90))
def test_region_contains(radius, azimuth, elevation):
    position = radius * direction(np.radians(azimuth), np.radians(elevation))
    near_border = min(abs(radius - 1.2), abs(radius - 2.0), np.radians(abs(abs(elevation) - 80))) < 1e-3
    if not near_border:
        assert REGION.contains(position) == (1.2 < radius < 2.0 and abs(elevation) < 80)


def test_the_border_belongs_to_the_region():
    corners = [r * direction(0.3, np.radians(e)) for r in (1.2, 2.0) for e in (-80, 0, 80)]
    assert REGION.contains(np.array(corners)).all()
    assert REGION.contains(np.array(corners, np.float32)).all()  # what single precision leaves of them
    outside = [1.19 * corners[1] / 1.2, 2.01 * corners[4] / 2, 1.5 * direction(0.3, np.radians(80.1))]
    assert not REGION.contains(np.array(outside)).any()
    assert REGION.contains(np.array(outside).reshape(3, 1, 3)).shape == (3, 1)


def test_fibonacci_poses_look_at_the_centre_from_within_the_region():
    poses = REGION.fibonacci_poses(64)
    assert REGION.middle == 1.6
    assert poses.shape == (64, 4, 4)
    assert REGION.contains(poses[:, :3, 3]).all()
    np.testing.assert_allclose(poses[:, :3, 3], 1.6 * fibonacci_directions(64, 80.0))
    np.testing.assert_allclose(poses[:, :3, 3] + 1.6 * poses[:, :3, 2], 0, atol=1e-12)
