"""Blocks of faces: nothing is lost, boxes hold what is theirs, and faces of unlike size are kept apart."""

from __future__ import annotations

import numpy as np
import pytest

from spatial_envs.geometry.blocks import SIZE, in_blocks
from spatial_envs.procedural.apartments.assembly import apartment
from spatial_envs.procedural.objects.families import procedural_object


@pytest.fixture(scope="module", params=["object", "apartment"])
def mesh(request):
    return procedural_object(3) if request.param == "object" else apartment(0).mesh


def test_every_face_is_in_one_block_with_its_corners(mesh):
    blocks = in_blocks(mesh.vertices, mesh.faces)
    np.testing.assert_array_equal(np.sort(blocks.face_numbers), np.arange(len(mesh.faces)))
    counts = np.diff(blocks.face_starts)
    assert blocks.face_starts[-1] == len(mesh.faces)
    assert counts.min() > 0
    assert counts.max() <= SIZE
    assert counts.mean() > SIZE / 3  # few and well filled
    first = np.repeat(blocks.vertex_starts[:-1], counts)
    corners = blocks.vertices[blocks.faces + first[:, None]]
    np.testing.assert_array_equal(corners, mesh.vertices[mesh.faces[blocks.face_numbers]])
    beyond = np.repeat(blocks.vertex_starts[1:], counts)
    assert ((blocks.faces >= 0).all(1) & (blocks.faces.max(axis=1) + first < beyond)).all()
    for begin, end in zip(blocks.face_starts[:-1], blocks.face_starts[1:], strict=True):
        assert (np.diff(blocks.face_numbers[begin:end]) > 0).all()


def test_boxes_hold_their_faces_and_are_small(mesh):
    blocks = in_blocks(mesh.vertices, mesh.faces)
    block = np.repeat(np.arange(len(blocks.middles)), np.diff(blocks.face_starts))
    corners = mesh.vertices[mesh.faces[blocks.face_numbers]].astype(np.float64)
    assert (np.abs(corners - blocks.middles[block, None]) < blocks.halves[block, None]).all()
    whole = np.ptp(mesh.vertices, axis=0).max()
    assert np.median(2 * blocks.halves.max(axis=1)) < 0.2 * whole


def test_a_wall_does_not_stretch_the_box_of_what_hangs_on_it():
    rng = np.random.default_rng(0)
    small = rng.uniform(0, 10, (1000, 1, 3)) + rng.uniform(0, 0.01, (1000, 3, 3))
    large = rng.uniform(0, 10, (20, 3, 3))
    corners = np.concatenate([small, large])[rng.permutation(1020)].reshape(-1, 3).astype(np.float32)
    blocks = in_blocks(corners, np.arange(3060).reshape(-1, 3))
    size = np.ptp(corners.reshape(-1, 3, 3), axis=1).max(axis=1)
    for begin, end in zip(blocks.face_starts[:-1], blocks.face_starts[1:], strict=True):
        assert len(np.unique(size[blocks.face_numbers[begin:end]] > 0.1)) == 1


@pytest.mark.parametrize("count", [1, SIZE, SIZE + 1, 5 * SIZE])
def test_faces_at_one_place_are_halved_too(count):
    corners = np.zeros((3, 3), np.float32)
    blocks = in_blocks(corners, np.tile(np.arange(3), (count, 1)))
    np.testing.assert_array_equal(np.sort(blocks.face_numbers), np.arange(count))
    assert np.diff(blocks.face_starts).max() <= SIZE
