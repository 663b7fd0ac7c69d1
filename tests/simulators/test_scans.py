"""What noise, holes, crumbs and tilt leave of where one can walk; clean buildings stay as they were."""

import numpy as np
import pytest
from buildings import boxes, joined, room

from spatial_envs.foundation.errors import MeshError
from spatial_envs.geometry.mesh import Mesh
from spatial_envs.simulators.builtin import BuiltinSimulator
from spatial_envs.simulators.navigable import NavigableSpace
from spatial_envs.simulators.scans import as_walked


def scanned(cell=0.06):
    """The inside of a room of 3 x 3 m with a cupboard of 1 x 0.6 m, in triangles of ``cell`` metres that
    share their corners: vertices (V, 3), faces (F, 3)."""
    x, y, z = np.eye(3)
    sheets = [
        ((0, 0, 0), 3 * z, 3 * x), ((0, 2.4, 0), 3 * x, 3 * z),
        ((0, 0, 0), 3 * x, 2.4 * y), ((0, 0, 3), 2.4 * y, 3 * x),
        ((0, 0, 0), 2.4 * y, 3 * z), ((3, 0, 0), 3 * z, 2.4 * y),
        ((1, 1.2, 1), 0.6 * z, x), ((1, 0, 1), 1.2 * y, x), ((1, 0, 1.6), x, 1.2 * y),
        ((1, 0, 1), 0.6 * z, 1.2 * y), ((2, 0, 1), 1.2 * y, 0.6 * z),
    ]  # fmt: skip
    vertices, faces, count = [], [], 0
    for start, u, v in sheets:
        a, b = (round(np.linalg.norm(side) / cell) for side in (u, v))
        i, j = np.mgrid[: a + 1, : b + 1][..., None]
        vertices.append((np.array(start) + i * u / a + j * v / b).reshape(-1, 3))
        number = count + np.arange((a + 1) * (b + 1)).reshape(a + 1, b + 1)
        quads = np.stack([number[:-1, :-1], number[1:, :-1], number[1:, 1:], number[:-1, 1:]], -1).reshape(
            -1, 4
        )
        faces += [quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]
        count += (a + 1) * (b + 1)
    places, where = np.unique(np.concatenate(vertices).round(6), axis=0, return_inverse=True)
    return places, where.reshape(-1)[np.concatenate(faces)]


def spoilt(vertices, faces, rng):
    """2 cm of noise, 12 % of holes, 60 crumbs and 2 degrees of tilt."""
    middles, kept = vertices[faces].mean(axis=1), np.ones(len(faces), bool)
    while kept.mean() > 0.88:
        kept &= np.linalg.norm(middles - rng.choice(middles), axis=1) > rng.uniform(0.05, 0.2)
    crumbs = rng.uniform((0, 0.05, 0), (3, 2.2, 3), (60, 1, 3)) + rng.normal(0, 0.03, (60, 3, 3))
    faces = np.concatenate([faces[kept], len(vertices) + np.arange(180).reshape(60, 3)])
    vertices = np.concatenate([vertices + rng.normal(0, 0.02, vertices.shape), crumbs.reshape(-1, 3)])
    sin, cos = np.sin(np.radians(2)), np.cos(np.radians(2))
    return vertices @ np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]]), faces


def as_mesh(vertices, faces):
    return Mesh(vertices.astype(np.float32), faces.astype(np.int32), np.full((len(vertices), 3), 9, np.uint8))


def test_a_noisy_scan_with_holes_and_crumbs_on_a_slope_stays_walkable():
    vertices, faces = scanned()
    clean = as_mesh(vertices, faces)
    assert as_walked(clean) is clean
    spoilt_mesh = as_mesh(*spoilt(vertices, faces, np.random.default_rng(0)))
    islands = NavigableSpace(spoilt_mesh).islands
    true = NavigableSpace(clean).islands[0]
    assert 0.8 * true < islands[0] < 1.05 * true


def test_what_is_coarse_or_smooth_is_walked_as_it_is():
    for mesh in (room(0, 4, 0, 4), joined(room(0, 4, 0, 4), boxes((1, 1.02, 0, 0.01, 1, 1.02)))):
        assert as_walked(mesh) is mesh


def test_a_small_floor_is_refused_for_being_small():
    with pytest.raises(MeshError, match=r"has 1\.\d square metres, less than the 2 that a floor needs"):
        NavigableSpace(room(0, 0.9, 0, 0.9))


def test_a_closed_house_on_a_lawn_is_played_inside():
    house = room(0, 4, 0, 4, (-9, 13, -0.3, -0.2, -9, 13), (-0.2, 4.2, 2.5, 2.6, -0.2, 4.2))
    space = NavigableSpace(house)
    assert space.islands[0] == pytest.approx(3.8**2, abs=0.2)
    assert space.islands[1] > 300
    assert space.island(space.sample(np.random.default_rng(0))) == 0
    unroofed = room(0, 4, 0, 4, (-9, 13, -0.3, -0.2, -9, 13))
    assert NavigableSpace(unroofed).islands[0] > 300
    rim = NavigableSpace(room(0, 4, 0, 4, (-1.6, 5.6, -0.3, -0.2, -1.6, 5.6)))  # a scan without ceilings
    assert rim.islands[0] == pytest.approx(3.8**2, abs=0.2)
    assert rim.islands[1] > rim.islands[0]


def test_how_high_a_step_may_be_is_an_argument():
    steps = room(0, 4, 0, 4, (2, 4, 0, 0.3, 0, 4))
    assert len(BuiltinSimulator(steps).islands) == 2
    assert len(BuiltinSimulator(steps, agent_climb=0.35).islands) == 1


def test_the_size_of_a_refused_floor_is_that_of_the_smoothed_scan():
    vertices, faces = scanned()
    rng = np.random.default_rng(0)
    near = (vertices[faces][..., [0, 2]] < 1.3).all(axis=(1, 2))
    noisy = as_mesh(vertices + rng.normal(0, 0.02, vertices.shape), faces[near])
    with pytest.raises(MeshError, match=r"has 1\.4 square metres"):  # of the noisy one 1.3
        NavigableSpace(noisy)
