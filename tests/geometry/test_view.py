"""Views whose colours are worked out when they are read."""

import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from buildings import boxes

from spatial_envs.geometry.camera import look_at, pinhole
from spatial_envs.geometry.view import View, stack_views
from spatial_envs.rendering.builtin import BuiltinRenderer


def later(calls, count=3):
    def paint():
        calls.append(0)
        return np.arange(count * 12, dtype=np.uint8).reshape(count, 2, 2, 3)

    return View.painted_later(
        paint,
        depth=np.ones((count, 2, 2), np.float32),
        intrinsics=np.broadcast_to(np.eye(3, dtype=np.float32), (count, 3, 3)),
        cam_to_world=np.broadcast_to(np.eye(4, dtype=np.float32), (count, 4, 4)),
        segment=np.zeros((count, 2, 2), np.int32),
    )


def test_colours_are_painted_once_when_they_are_read():
    calls = []
    view = later(calls)
    assert view.image_size == (2, 2)
    one = view[1]
    assert not calls
    np.testing.assert_array_equal(one.rgb.ravel(), np.arange(12, 24))
    assert view.rgb is view.painted().rgb
    assert len(calls) == 1
    with pytest.raises(AttributeError, match="no attribute 'color'"):
        view.color  # noqa: B018


def test_colours_are_of_the_pose_that_was_asked_for():
    """Whatever becomes of the arrays it was asked with."""
    pose = look_at(torch.tensor([0.0, 0.5, 2.0])).numpy()
    lens, mesh = pinhole(50, (32, 32)), boxes((-0.5, 0.5, -0.5, 0.5, -0.5, 0.5))
    view = BuiltinRenderer().render(mesh, pose, lens, (32, 32))
    expected = BuiltinRenderer().render(mesh, pose.copy(), lens.copy(), (32, 32)).painted().rgb
    pose[:3, 3] += 1
    lens[0, 0] *= 2
    np.testing.assert_array_equal(view.rgb, expected)


@pytest.mark.parametrize(
    "made",
    [
        lambda view: pickle.loads(pickle.dumps(view)),
        copy.deepcopy,
        copy.copy,
        lambda view: view.moved(np.eye(4)),
        lambda view: replace(view, depth=view.depth),
        lambda view: stack_views([view[k] for k in range(3)]),
    ],
)
def test_what_is_made_of_a_view_has_its_colours(made):
    found = made(later([]))
    np.testing.assert_array_equal(found.rgb, later([]).rgb)
    assert found.segment.shape == (3, 2, 2)
