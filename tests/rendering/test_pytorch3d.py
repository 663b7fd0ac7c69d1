"""The PyTorch3D renderer against recorded depth, finite differences and the built-in renderer."""

from __future__ import annotations

import gc
import importlib.util
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from scipy.ndimage import binary_erosion, grey_dilation, grey_erosion

from spatial_envs.geometry.mesh import Mesh
from spatial_envs.rendering import make_renderer
from spatial_envs.rendering.builtin import BuiltinRenderer
from spatial_envs.rendering.pytorch3d import PyTorch3DRenderer, cameras_from_poses
from spatial_envs.scenes.mesh_files import read_mesh

SHARED = Path(__file__).parents[3] / "shared"
needs_pytorch3d = pytest.mark.skipif(
    importlib.util.find_spec("pytorch3d") is None, reason="the package pytorch3d is not installed"
)
needs_shared = pytest.mark.skipif(not SHARED.exists(), reason=f"the reference data is not in {SHARED}")
SIZE = (40, 48)
INTRINSICS = np.array([[50, 0, 25], [0, 48, 19], [0, 0, 1]], np.float32)


def look_at(position, target=(0.0, 0.0, 0.0)) -> np.ndarray:
    """(4, 4) cam_to_world, OpenCV axes, the image's top upwards."""
    forward = np.subtract(target, position)
    forward = forward / np.linalg.norm(forward)
    right = np.cross(forward, [0.0, 1.0, 0.0])
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
    pose[:3, 3] = position
    return pose


def ball() -> Mesh:
    """A smooth ball of radius 0.5 m, coloured by position; its right half is object 2."""
    sphere = trimesh.creation.icosphere(subdivisions=3, radius=0.5)
    vertices = np.asarray(sphere.vertices, np.float32)
    faces = np.asarray(sphere.faces, np.int32)
    segment = np.where(vertices[faces, 0].mean(axis=1) > 0, 2, 1).astype(np.int32)
    return Mesh(vertices, faces, (150 + 200 * vertices).clip(0, 255).astype(np.uint8), segment=segment)


def square(z: float = 1.0) -> Mesh:
    """Two triangles, 2 m x 2 m, in the plane z; each with a texture of its own that repeats twice."""
    vertices = np.array([[-1, -1, z], [1, -1, z], [1, 1, z], [-1, -1, z], [1, 1, z], [-1, 1, z]], np.float32)
    random = np.random.default_rng(0)
    textures = tuple(random.integers(0, 256, size, dtype=np.uint8) for size in [(8, 16, 3), (5, 4, 3)])
    faces = np.arange(6, dtype=np.int32).reshape(2, 3)
    colors = np.full((6, 3), [255, 200, 150], np.uint8)
    return Mesh(vertices, faces, colors, vertices[:, :2] - 0.3, textures, np.array([0, 1], np.int32))


def room() -> Mesh:
    """A box of 5 x 3 x 4 m seen from within: triangles reach behind the camera."""
    box = trimesh.creation.box(extents=[5, 3, 4])
    colors = np.random.default_rng(0).integers(60, 256, (8, 3), dtype=np.uint8)
    return Mesh(np.asarray(box.vertices, np.float32), np.asarray(box.faces, np.int32), colors)


def spot() -> Mesh:
    return read_mesh(SHARED / "meshes/spot/spot.obj").normalised()


def interior(depth: np.ndarray) -> np.ndarray:
    """(N, H, W) bool: pixels all of whose neighbours were hit, with no jump of depth beside them."""
    around = (1, 3, 3)
    jump = grey_dilation(depth, around) - grey_erosion(depth, around)
    return binary_erosion(depth > 0, np.ones(around)) & (jump < 0.05 * depth)


@needs_pytorch3d
@needs_shared
def test_depth_equals_the_recorded_views():
    recorded = np.load(SHARED / "reference/object_views.npz")
    intrinsics, depth = recorded["intrinsics"].reshape(-1, 3, 3)[0], recorded["depth"][::3]
    view = PyTorch3DRenderer("cpu").render(spot(), recorded["cam_to_world"][::3], intrinsics, (112, 112))
    np.testing.assert_array_equal(view.depth > 0, depth > 0)
    np.testing.assert_allclose(view.depth, depth, atol=1e-4)


@needs_pytorch3d
def test_cameras_project_as_opencv_does():
    random = np.random.default_rng(0)
    poses = np.stack([look_at(position) for position in random.normal([0, 0, 4], size=(5, 3))])
    points = random.normal(size=(20, 3))
    in_camera = (points - poses[:, None, :3, 3]) @ poses[:, :3, :3]
    expected = in_camera @ INTRINSICS.T
    cameras = cameras_from_poses(
        torch.tensor(poses, dtype=torch.float32), torch.tensor(INTRINSICS), image_size=SIZE
    )
    batch = torch.tensor(points, dtype=torch.float32).expand(5, -1, -1)
    pixels = cameras.transform_points_screen(batch)[..., :2]
    np.testing.assert_allclose(pixels, expected[..., :2] / expected[..., 2:], atol=1e-3)
    in_view = cameras.get_world_to_view_transform().transform_points(batch)
    np.testing.assert_allclose(in_view, in_camera * [-1, -1, 1], atol=1e-5)


@needs_pytorch3d
@pytest.mark.parametrize("output", ["depth", "rgb"])
def test_gradients_equal_finite_differences(output):
    mesh, renderer = ball(), PyTorch3DRenderer("cpu")
    stretch = np.array([1.0, 0.6, 0.8], np.float32)  # a ball would hide what rotations do
    mesh = replace(mesh, vertices=mesh.vertices * stretch)
    base = torch.tensor(look_at([0.6, 0.5, 1.2], target=(0.2, 0.1, 0)), dtype=torch.float32)
    depth = renderer.render_differentiable(mesh, base, INTRINSICS, SIZE)[1]
    inside = torch.tensor(binary_erosion(depth.numpy() > 0, np.ones((7, 7))))

    def value(twist: torch.Tensor) -> torch.Tensor:
        """The mean over the inner pixels when the camera moves by a twist (6,) in its own frame."""
        x, y, z, a, b, c = twist
        zero = torch.zeros(())
        rows = [[zero, -c, b, x], [c, zero, -a, y], [-b, a, zero, z], [zero] * 4]
        pose = base @ torch.linalg.matrix_exp(torch.stack([torch.stack(row) for row in rows]))
        rgb, depth = renderer.render_differentiable(mesh, pose, INTRINSICS, SIZE)
        return (depth if output == "depth" else rgb)[inside].double().mean()

    twist = torch.zeros(6, requires_grad=True)
    (gradient,) = torch.autograd.grad(value(twist), twist)
    with torch.no_grad():
        step = 2e-3
        differences = [(value(row) - value(-row)) / (2 * step) for row in step * torch.eye(6)]
    assert gradient.abs().max() > 0.1
    np.testing.assert_allclose(gradient, differences, atol=0.01 * float(gradient.abs().max()))


@needs_pytorch3d
def test_both_paths_agree_with_any_leading_axes():
    mesh, renderer = ball(), PyTorch3DRenderer("cpu")
    poses = np.stack([look_at(p) for p in [[0, 0, 1.5], [1, 1, 0.5], [-1, 0.2, 1]]]).reshape(3, 1, 4, 4)
    view = renderer.render(mesh, poses, INTRINSICS, SIZE)
    assert view.rgb.shape == (3, 1, *SIZE, 3)
    assert view.segment is not None
    assert (view.rgb.dtype, view.depth.dtype, view.segment.dtype) == (np.uint8, np.float32, np.int32)
    assert view.intrinsics.shape == (3, 1, 3, 3)
    assert view.cam_to_world.shape == (3, 1, 4, 4)
    rgb, depth = renderer.render_differentiable(mesh, torch.tensor(poses), INTRINSICS, SIZE)
    np.testing.assert_allclose(rgb * 255, view.rgb, atol=0.51)
    np.testing.assert_array_equal(depth, view.depth)
    single = renderer.render(mesh, poses[1, 0], INTRINSICS, SIZE)
    for field in ("rgb", "depth", "segment", "intrinsics", "cam_to_world"):
        np.testing.assert_array_equal(getattr(single, field), getattr(view[1, 0], field))
    assert set(np.unique(view.segment)) == {0, 1, 2}
    np.testing.assert_array_equal(view.segment > 0, view.depth > 0)


@needs_pytorch3d
def test_large_meshes_are_rendered_in_parts(monkeypatch):
    mesh, renderer = square(), PyTorch3DRenderer("cpu")
    poses = np.tile(np.eye(4), (5, 1, 1))
    poses[:, 2, 3] = [0, -1, -2, -3, -4]
    whole = renderer.render(mesh, poses, INTRINSICS, SIZE)
    monkeypatch.setattr("spatial_envs.rendering.pytorch3d.BATCH", 2 * SIZE[0] * SIZE[1])
    np.testing.assert_array_equal(renderer.render(mesh, poses, INTRINSICS, SIZE).rgb, whole.rgb)


@needs_pytorch3d
def test_no_hole_where_an_edge_meets_pixel_centres():
    intrinsics = np.array([[8, 0, 8], [0, 8, 8], [0, 0, 1]], np.float32)
    view = PyTorch3DRenderer("cpu").render(square(0.5), np.eye(4), intrinsics, (16, 16))
    np.testing.assert_allclose(view.depth, 0.5, rtol=1e-6)


@needs_pytorch3d
@pytest.mark.parametrize(
    ("make_mesh", "size", "positions"),
    [
        (ball, SIZE, [[0.3, 0.9, 1.0], [-1, -0.8, 0.4]]),
        (square, SIZE, [[0.1, 0.2, -0.5], [0.8, 0.3, 2.0]]),
        (room, SIZE, [[1.5, 0.4, -1.3], [-2.4, -1.2, 1.7]]),
        pytest.param(spot, (112, 112), [[0.5, 0.6, -0.9], [0.9, 0.1, 0.8]], marks=needs_shared),
    ],
)
def test_equals_the_builtin_renderer(make_mesh, size, positions):
    mesh = make_mesh()
    poses = np.stack([look_at(position, target=(0, 0, 0.1)) for position in positions])
    intrinsics = INTRINSICS * np.array([[size[1] / SIZE[1]], [size[0] / SIZE[0]], [1]], np.float32)
    ours = PyTorch3DRenderer("cpu").render(mesh, poses, intrinsics, size)
    theirs = BuiltinRenderer().render(mesh, poses, intrinsics, size)
    assert ours.segment is not None
    assert theirs.segment is not None
    assert np.mean((ours.depth > 0) != (theirs.depth > 0)) < 1e-3
    inner = interior(ours.depth) & interior(theirs.depth)
    assert inner.mean() > 0.1
    error = np.abs(ours.rgb[inner].astype(int) - theirs.rgb[inner])
    np.testing.assert_allclose(ours.depth[inner], theirs.depth[inner], atol=1e-3)
    assert np.mean(error.max(axis=-1) <= 2) > 0.99
    assert np.mean(ours.segment[inner] == theirs.segment[inner]) > 0.99


@needs_pytorch3d
def test_pickles_and_forgets_meshes():
    mesh, renderer = square(), PyTorch3DRenderer("cpu")
    view = renderer.render(mesh, np.eye(4), INTRINSICS, SIZE)
    copy = pickle.loads(pickle.dumps(renderer))
    assert len(copy._tensors) == 0
    np.testing.assert_array_equal(copy.render(mesh, np.eye(4), INTRINSICS, SIZE).rgb, view.rgb)
    assert len(renderer._tensors) == 1
    del mesh
    gc.collect()
    assert len(renderer._tensors) == 0


def test_without_the_package_the_error_says_where_to_get_it(monkeypatch):
    find_spec = importlib.util.find_spec
    absent = {"pytorch3d"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in absent else find_spec(name))
    with pytest.raises(ImportError, match=r"facebookresearch/pytorch3d.*INSTALL.*renderer='builtin'"):
        make_renderer("pytorch3d")
