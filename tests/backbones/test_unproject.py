"""The backbone without a network: its 32 statistics by the definition, and how they are standardised."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import trimesh

from spatial_envs.backbones import make_backbone
from spatial_envs.backbones.backbone import Backbone
from spatial_envs.backbones.unproject import DIM, EDGE, PATCH
from spatial_envs.geometry.camera import direction, look_at, pinhole
from spatial_envs.geometry.mesh import Mesh
from spatial_envs.geometry.view import View, stack_views
from spatial_envs.nbv import NBVEnv
from spatial_envs.rendering import make_renderer

BACKBONE = make_backbone("unproject")


def thing() -> Mesh:
    """A ball in front of a tilted box, many-coloured."""
    box = trimesh.creation.box(extents=(0.7, 0.5, 0.1)).apply_translation((0, -0.1, -0.25))
    shape = trimesh.util.concatenate([trimesh.creation.icosphere(subdivisions=2, radius=0.25), box])
    colors = np.random.default_rng(0).integers(0, 256, (len(shape.vertices), 3), dtype=np.uint8)
    return Mesh(np.asarray(shape.vertices, np.float32), np.asarray(shape.faces, np.int32), colors)


def views_of(mesh: Mesh, count: int, size=(42, 56)) -> View:
    """(count,)"""
    places = [(1.1 + 0.1 * k) * direction(0.3 + 0.9 * k, 0.5 - 0.3 * k) for k in range(count)]
    poses = look_at(torch.tensor(np.array(places))).numpy()
    return make_renderer("builtin").render(mesh, poses, pinhole(45, size), size)


def batch(views: View) -> View:
    return stack_views([views])


def twin(view: View) -> tuple[np.ndarray, np.ndarray]:
    """(H, W, 32): what each pixel adds to its patch, and points (H, W, 3); float64."""
    height, width = view.image_size
    depth, pose = view.depth.astype(float), view.cam_to_world.astype(float)
    rows, columns = np.mgrid[:height, :width] + 0.5
    inverse = np.linalg.inv(view.intrinsics.astype(float))
    camera = depth[..., None] * (np.stack([columns, rows, np.ones_like(rows)], -1) @ inverse.T)
    points = camera @ pose[:3, :3].T + pose[:3, 3]
    entries = np.zeros((height, width, 32))
    for row in range(height):
        for column in range(width):
            z = depth[row, column]
            if z == 0:
                continue
            p = points[row, column]
            ray = (p - pose[:3, 3]) / np.linalg.norm(p - pose[:3, 3])
            edge, sides = 0.0, []
            for dr, dc in ((1, 0), (0, 1)):
                side = np.zeros(3)
                for sign in (1, -1):
                    r, c = row + sign * dr, column + sign * dc
                    if not (0 <= r < height and 0 <= c < width):
                        continue
                    if depth[r, c] == 0 or abs(depth[r, c] - z) > EDGE:
                        edge = 1.0
                    else:
                        side += sign * (points[r, c] - p)
                sides.append(side)
            normal = np.cross(*sides)
            # without a neighbour on both axes there is no plane; the normal then faces the camera
            normal = normal / np.linalg.norm(normal) if np.linalg.norm(normal) > 1e-10 else -ray
            normal *= -np.sign(normal @ ray)
            color = view.rgb[row, column] / 255
            moments = [*(p**2), p[0] * p[1], p[1] * p[2], p[2] * p[0]]
            turns = [*(normal**2), normal[0] * normal[1], normal[1] * normal[2], normal[2] * normal[0]]
            cosine = -(normal @ ray)
            entries[row, column] = [
                1,
                *p,
                *moments,
                *normal,
                *turns,
                *color,
                *color**2,
                *ray,
                cosine,
                z,
                z * z,
                edge,
            ]
    return entries, points


@pytest.fixture(scope="module")
def encoded():
    views = views_of(thing(), 3)
    return views, BACKBONE.encode(batch(views), np.ones((1, 3), bool))


def test_the_contract():
    assert isinstance(BACKBONE, Backbone)
    assert (BACKBONE.name, BACKBONE.dim, BACKBONE.patch, BACKBONE.independent) == ("unproject", 32, 14, True)
    assert (DIM, PATCH) == (32, 14)


@pytest.mark.parametrize("entry", range(32))
def test_every_entry_is_the_mean_over_its_patch(encoded, entry):
    views, encoding = encoded
    assert encoding.tokens.shape == (1, 3, 3 * 4, 32)
    assert encoding.tokens.dtype == torch.float32
    for k in range(3):
        pixels = twins(views)[k][0][..., entry]
        patches = pixels.reshape(3, 14, 4, 14).mean(axis=(1, 3)).reshape(-1)  # row by row
        assert np.ptp(patches) > 1e-3  # not trivially right
        np.testing.assert_allclose(
            encoding.tokens[0, k, :, entry], patches, atol=2e-3 if 10 <= entry < 29 else 2e-5
        )


_twins: list = []


def twins(views: View) -> list:
    """The slow twin, run once."""
    if not _twins:
        _twins.extend(twin(views[k]) for k in range(3))
    return _twins


def test_the_mean_over_patches_is_the_statistic_of_the_image(encoded):
    views, encoding = encoded
    depth = views.depth
    whole = encoding.tokens[0].mean(dim=1).numpy()
    np.testing.assert_allclose(whole[:, 0], (depth > 0).mean(axis=(1, 2)), atol=1e-5)
    np.testing.assert_allclose(whole[:, 29], depth.mean(axis=(1, 2)), atol=1e-5)
    for k in range(3):
        np.testing.assert_allclose(whole[k], twins(views)[k][0].mean(axis=(0, 1)), atol=1e-3)


def test_patches_are_row_major():
    mesh = thing()
    views = views_of(mesh, 1)
    depth = np.zeros_like(views.depth)
    depth[0, 14:28, 42:56] = 1.0  # the second row, the last column
    hidden = View(views.rgb, depth, views.intrinsics, views.cam_to_world)
    tokens = BACKBONE.encode(batch(hidden), np.ones((1, 1), bool)).tokens[0, 0]
    assert tokens[7, 0] == pytest.approx(1, abs=1e-5)
    assert (tokens[[0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11]] == 0).all()


def test_normals_and_positions_of_a_wall():
    """By hand: a wall at z = 0, seen along -Z, in the frame of the poses."""
    wall = Mesh(
        np.array([[-5, -5, 0], [5, -5, 0], [5, 5, 0], [-5, 5, 0]], np.float32),
        np.array([[0, 1, 2], [0, 2, 3]], np.int32), np.full((4, 3), 255, np.uint8),
    )  # fmt: skip
    pose = look_at(torch.tensor([0.0, 0.0, 2.0], dtype=torch.float64)).numpy()
    view = make_renderer("builtin").render(wall, pose, pinhole(60, (28, 28)), (28, 28))
    moved = np.eye(4)
    moved[:3, :3] = [[0, 0, 1], [0, 1, 0], [-1, 0, 0]]  # a turn that takes +Z to +X
    moved[0, 3] = 10
    for transform, normal, along in [(np.eye(4), [0, 0, 1], 2), (moved, [1, 0, 0], 0)]:
        token = BACKBONE.encode(batch(stack_views([view.moved(transform)])), np.ones((1, 1), bool)).tokens
        token = token[0, 0].mean(dim=0).numpy()
        np.testing.assert_allclose(token[10:13], normal, atol=2e-3)
        np.testing.assert_allclose(token[1:4], transform[:3, 3], atol=1e-4)
        assert token[13 + along] == pytest.approx(1, abs=2e-3)
        assert token[29] == pytest.approx(2, abs=1e-4)
        assert token[31] == 0  # no edge anywhere, the border of the picture included


def test_points_confidence_and_mask(encoded):
    views, encoding = encoded
    assert encoding.points.shape == (1, 3, 42, 56, 3)
    assert encoding.points.dtype == torch.float32
    assert encoding.mask.dtype == torch.bool
    np.testing.assert_array_equal(encoding.mask[0], views.depth > 0)
    np.testing.assert_array_equal(encoding.confidence[0], (views.depth > 0).astype(np.float32))
    for k in range(3):
        hit = views.depth[k] > 0
        np.testing.assert_allclose(encoding.points[0, k].numpy()[hit], twins(views)[k][1][hit], atol=2e-6)


def test_padding_is_empty_and_touches_nothing(encoded):
    views, encoding = encoded
    view_mask = np.array([[True, False, True]])
    padded = BACKBONE.encode(batch(views), view_mask)
    assert not padded.mask[0, 1].any()
    assert not padded.tokens[0, 1].any()
    assert not padded.confidence[0, 1].any()
    for k in (0, 2):
        assert torch.equal(padded.tokens[0, k], encoding.tokens[0, k])
        assert torch.equal(padded.points[0, k], encoding.points[0, k])
        assert torch.equal(padded.mask[0, k], encoding.mask[0, k])


def test_views_and_sets_are_independent(encoded):
    views, encoding = encoded
    two_sets = stack_views([stack_views([views[0], views[1]]), stack_views([views[2], views[0]])])
    both = BACKBONE.encode(two_sets, np.ones((2, 2), bool))
    for place, k in [((0, 0), 0), ((0, 1), 1), ((1, 0), 2), ((1, 1), 0)]:
        assert torch.equal(both.tokens[place], encoding.tokens[0, k])
        assert torch.equal(both.points[place], encoding.points[0, k])


def test_an_empty_picture_has_zero_tokens():
    empty = np.zeros((1, 28, 28), np.float32)
    intrinsics, pose = np.eye(3, dtype=np.float32)[None], np.eye(4, dtype=np.float32)[None]
    views = View(np.full((1, 28, 28, 3), 9, np.uint8), empty, intrinsics, pose)
    encoding = BACKBONE.encode(batch(views), np.ones((1, 1), bool))
    assert not encoding.tokens.any()
    assert not encoding.mask.any()


def test_images_that_are_not_whole_patches_are_refused():
    views = views_of(thing(), 1, (42, 50))
    with pytest.raises(ValueError, match="42 x 50 pixels; expected multiples of 14"):
        BACKBONE.encode(batch(views), np.ones((1, 1), bool))


# ---- shipped statistics ----


@pytest.mark.parametrize("frame", ["gravity", "first_view", "world"])
@pytest.mark.parametrize("pooling", ["mean", "grid", "none"])
def test_statistics_are_shipped_for_every_frame_and_pooling(frame, pooling):
    mean, std = BACKBONE.statistics(frame, pooling)
    assert mean.shape == std.shape == (32,)
    assert mean.dtype == std.dtype == np.float32
    assert np.isfinite(mean).all()
    assert (std > 0).all()


def test_features_of_the_train_split_are_standardised():
    env = NBVEnv(backbone="unproject", frame="gravity", num_objects=8, observations=["features", "view_mask"])
    env.action_space.seed(1)
    rows = []
    for episode in range(24):
        env.reset(seed=10_000 + episode)
        done = False
        while not done:
            observation, _, done, _, _ = env.step(env.action_space.sample())
        assert observation["view_mask"].all()
        rows.append(observation["features"])
    features = np.concatenate(rows)
    assert features.shape == (24 * 5, 32)
    # eight objects are few: where shape and colour vary from object to object the bounds are met with room
    mean, std = features.mean(axis=0), features.std(axis=0)
    assert (np.abs(mean) < 0.5).all(), mean.round(2)
    assert ((std > 0.3) & (std < 3)).all(), std.round(2)
