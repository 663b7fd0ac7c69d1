"""A backbone's window of features: batches, boxes, pooling, standardising."""

import numpy as np
import pytest
import torch

from spatial_envs.core.features import LIMIT, Features, batched, pool
from spatial_envs.core.settings import Settings
from spatial_envs.geometry.camera import inverse_pose, pinhole, turn_about_y
from spatial_envs.geometry.view import View, stack_views

SIZE = (28, 42)


def view(seed):
    rng = np.random.default_rng(seed)
    rgb, depth = rng.integers(0, 256, (*SIZE, 3)), rng.uniform(1, 2, SIZE)
    pose = turn_about_y(seed).astype(np.float32)
    return View(rgb.astype(np.uint8), depth.astype(np.float32), pinhole(50, SIZE), pose)


def test_sets_are_padded_with_their_last_view():
    a, b, c = (view(seed) for seed in range(3))
    batch, mask, known = batched([[a], [b, c]], [None, ["kept"]])
    assert batch.depth.shape == (2, 2, *SIZE)
    assert mask.tolist() == [[True, False], [True, True]]
    assert known == [[None, None], ["kept", None]]
    for row, views in enumerate(([a, a], [b, c])):
        for k, each in enumerate(views):
            np.testing.assert_array_equal(batch.depth[row, k], each.depth)


@pytest.mark.parametrize(("pooling", "token"), [("mean", (32,)), ("grid", (6, 32)), ("none", (6, 32))])
def test_one_call_for_all_is_each_alone_and_fits_its_box(pooling, token):
    features = Features(Settings(backbone="unproject", pooling=pooling), "gravity")
    assert features.box(SIZE, 4).shape == (4, *token)
    assert features.box(SIZE).shape == token
    sets, frames = [[view(0)], [view(1), view(2)]], [np.eye(4), turn_about_y(0.7)]
    together = features.pooled(features.encode(sets, frames, [None, None]), [1, 2], SIZE)
    for views, frame, rows in zip(sets, frames, together, strict=True):
        assert rows.shape == (len(views), *token)
        moved = stack_views([stack_views(views)]).moved(inverse_pose(frame))
        assert features.backbone is not None
        alone = features.backbone.encode(moved, np.ones((1, len(views)), np.bool_)).tokens[0].numpy()
        expected = alone.mean(axis=1) if pooling == "mean" else alone
        np.testing.assert_allclose(rows, expected, rtol=1e-5, atol=1e-6)
        shown = features.standard(rows)
        assert shown.dtype == np.float32
        assert features.box(SIZE, len(views)).contains(shown)
        mean, deviation = features.statistics
        np.testing.assert_allclose(shown, ((rows - mean) / deviation).clip(-LIMIT, LIMIT), rtol=1e-6)


@pytest.mark.parametrize(
    ("patches", "cells"), [((8, 8), (4, 4)), ((8, 12), (4, 4)), ((2, 3), (2, 3)), ((5, 2), (4, 2))]
)
def test_a_grid_keeps_where_something_is(patches, cells):
    """Each of at most 4 x 4 cells is the mean of the tokens of its patches, and no other's."""
    rng = np.random.default_rng(0)
    tokens = torch.from_numpy(rng.normal(size=(2, 3, patches[0] * patches[1], 5)))
    pooled = pool(tokens, "grid", patches)
    assert pooled.shape == (2, 3, cells[0] * cells[1], 5)
    maps = tokens.unflatten(2, patches)
    for row in range(cells[0]):
        for column in range(cells[1]):
            inside = [
                slice(k * n // c, -(-(k + 1) * n // c))
                for k, n, c in zip((row, column), patches, cells, strict=True)
            ]
            mean = maps[:, :, inside[0], inside[1]].mean(dim=(2, 3))
            torch.testing.assert_close(pooled[:, :, row * cells[1] + column], mean)
    if patches == (8, 8):
        torch.testing.assert_close(pooled.mean(dim=2), pool(tokens, "mean", patches))


def test_without_a_backbone_depth_is_what_there_is():
    features = Features(Settings(backbone=None), "gravity")
    assert (features.name, features.reconstruction(None), features.image_size(None)) == (
        "none",
        "depth",
        (112, 112),
    )
    assert features.image_size(17) == (17, 17)
    with pytest.raises(ValueError, match="got 'backbone' with backbone=None; expected 'depth' or 'none'"):
        features.reconstruction("backbone", "none")


def test_with_one_sizes_are_whole_patches():
    features = Features(Settings(backbone="unproject"), "gravity")
    assert (features.reconstruction(None), features.image_size(None)) == ("backbone", (112, 112))
    with pytest.raises(ValueError, match=r"image_size: got 100; .*98 or 112"):
        features.image_size(100)
