"""The picture round a slot."""

from __future__ import annotations

import numpy as np
import pytest

from spatial_envs.scene_fit.close_up import SIDE, CloseUp
from spatial_envs.scene_fit.settings import SceneFitSettings
from spatial_envs.scene_fit.task import SceneFit


@pytest.fixture(scope="module")
def state():
    task = SceneFit(SceneFitSettings(num_objects=3, slots=3, backbone=None, start="encoder"))
    task.reset([0], [np.random.default_rng(0)], {}, [True])
    return task.episode(0).state


def test_cells_show_what_the_pixels_under_them_do(state):
    """Every cell against the pixel that its place says."""
    target, (height, width) = state.target, state.target.depth.shape
    depth, slot = state.rendered()
    (fx, _, cx), (_, fy, cy), _ = target.intrinsics
    to_camera = np.linalg.inv(target.cam_to_frame)
    for k in np.flatnonzero(state.present):
        picture, where = CloseUp(state, k).picture(), CloseUp(state, k).place().astype(np.float64)
        x, y, z = to_camera[:3, :3] @ state.slots[k, 1:4] + to_camera[:3, 3]
        right, down, half = where[:3] * target.unit
        assert where[3] * target.unit == pytest.approx(z, rel=1e-5)
        centre = np.array([(y + down) / z * fy + cy, (x + right) / z * fx + cx])
        radius = half / z * fx
        for i, j in np.ndindex(SIDE, SIDE):
            row, column = centre + radius * (2 * (np.array([i, j]) + 0.5) / SIDE - 1)
            if min(row % 1, column % 1, 1 - row % 1, 1 - column % 1) < 1e-3:
                continue  # which pixel that is, rounding decides
            row, column = int(np.floor(row)), int(np.floor(column))
            if not (0 <= row < height and 0 <= column < width):
                assert not picture[:5, i, j].any()
                continue
            measured, inverse = target.depth[row, column], state.inverse_depth[k, row, column]
            assert picture[1, i, j] == (measured > 0)
            assert picture[3, i, j] == (inverse > 0)
            if measured > 0:
                assert picture[0, i, j] == pytest.approx(
                    np.clip((measured - z) / target.unit, -1, 1), abs=1e-5
                )
            if inverse > 0:
                assert picture[2, i, j] == pytest.approx(
                    np.clip((1 / inverse - z) / target.unit, -1, 1), abs=1e-5
                )
            if slot[row, column] >= 0 and measured > 0:
                apart = np.clip((depth[row, column] - measured) / target.unit, -1, 1)
                assert picture[4, i, j] == pytest.approx(apart, abs=1e-5)


def test_shares_are_of_the_points_in_a_cell(state):
    """All of a slot's points lie within its picture, and where all are its own the share is 1."""
    for k in np.flatnonzero(state.present):
        shares = CloseUp(state, k).picture()[5]
        assert shares.max() == 1
        assert shares.min() >= 0
    alone = int(state.present.sum()) == 1
    assert alone or any((CloseUp(state, k).picture()[5] == 0).any() for k in np.flatnonzero(state.present))


def test_an_absent_slot_shows_the_whole_picture(state):
    k = int(np.flatnonzero(state.present)[0])
    slot = state.slots[k].copy()
    state.remove(k)
    height, width = state.target.depth.shape
    picture = CloseUp(state, k).picture()
    assert not picture[[2, 3, 5]].any()
    assert picture[1].any()
    half = CloseUp(state, k).place()[2] * state.target.unit / CloseUp(state, k).place()[3] / state.target.unit
    assert half * state.target.intrinsics[0, 0] == pytest.approx(1.25 * max(height, width) / 2, rel=1e-4)
    state.put(k, slot)
