"""Free space does not depend on how a building is cut into triangles, where it stands, or what is outside of
it; and noise, as scans have it, neither stops nor changes it by more than a rim."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import shapely
from buildings import boxes, joined, room
from scipy.ndimage import gaussian_filter

from spatial_envs.geometry.mesh import Mesh
from spatial_envs.procedural.apartments.assembly import apartment
from spatial_envs.simulators import floors
from spatial_envs.simulators.floors import FIELD_CELL, find_floors

MANY = floors.MANY


def free(mesh: Mesh, radius: float = 0.1) -> shapely.Geometry:
    """What is free of all floors, in plan."""
    return shapely.union_all([p for floor in find_floors(mesh, 1.5, radius, 0.2) for p in floor.polygons])


def assert_same(found: shapely.Geometry, expected: shapely.Geometry) -> None:
    """To a rim of a cell."""
    assert expected.area > 5
    assert shapely.symmetric_difference(found, expected).area < expected.length * FIELD_CELL


def moved(mesh: Mesh, x: float, y: float, z: float) -> Mesh:
    return replace(mesh, vertices=(mesh.vertices + np.array([x, y, z])).astype(np.float32))


def turned(mesh: Mesh, angle: float) -> Mesh:
    """About the upright axis, radians."""
    c, s = np.cos(angle), np.sin(angle)
    return replace(mesh, vertices=(mesh.vertices @ [[c, 0, -s], [0, 1, 0], [s, 0, c]]).astype(np.float32))


def subdivided(mesh: Mesh, times: int) -> Mesh:
    """Every triangle as four, so many times."""
    corners = mesh.vertices[mesh.faces].astype(np.float64)
    for _ in range(times):
        a, b, c = corners.swapaxes(0, 1)
        ab, bc, ca = (a + b) / 2, (b + c) / 2, (c + a) / 2
        parts = ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))
        corners = np.concatenate([np.stack(part, axis=1) for part in parts])
    faces = np.arange(3 * len(corners), dtype=np.int32).reshape(-1, 3)
    return Mesh(corners.reshape(-1, 3).astype(np.float32), faces, np.full((faces.size, 3), 150, np.uint8))


def furnished(seed: int) -> Mesh:
    """Two rooms with a doorway of 0.8 m, a platform to step on and eight boxes, at an odd angle."""
    rng = np.random.default_rng(seed)
    things = [(-0.05, 0.05, -0.01, 2.5, -2.6, -0.4), (-0.05, 0.05, -0.01, 2.5, 0.4, 2.6)]
    things.append((0.5, 2.5, 0.001, 0.15, -1.5, 0.5))
    for x, z, width, depth, top in rng.uniform([-2.8, -2.3, 0.2, 0.2, 0.1], [2.2, 1.7, 0.9, 0.9, 2], (8, 5)):
        things.append((x, x + width, 0.001, top, z, z + depth))
    return turned(room(-3, 3, -2.5, 2.5, *things), rng.uniform(0, 2 * np.pi))


def sheet(height, noise: float, seed: int) -> Mesh:
    """A surface seen from above, its height by (x, z), its corners 0.3 m apart and off by ``noise``."""
    columns, rows = 14, 10
    x, z = np.meshgrid(np.arange(columns) * 0.3, np.arange(rows) * 0.3)
    vertices = np.stack([x, height(x, z), z], axis=-1).reshape(-1, 3)
    vertices += np.random.default_rng(seed).normal(0, noise, vertices.shape) * [1, 0.1, 1]
    a = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    b, c, d = a + 1, a + columns, a + columns + 1
    faces = np.concatenate([np.stack([a, c, b], axis=1), np.stack([b, c, d], axis=1)]).astype(np.int32)
    return Mesh(vertices.astype(np.float32), faces, np.full((len(vertices), 3), 150, np.uint8))


@pytest.mark.parametrize(
    ("seed", "many"), [(2, MANY), (3, MANY), (4, MANY), (0, 0)]
)  # 0: what more than so many triangles are is drawn on a grid
def test_free_space_is_the_same_however_it_is_cut_and_placed(seed, many, monkeypatch):
    mesh, rng = furnished(seed), np.random.default_rng(seed)
    expected = free(mesh)
    monkeypatch.setattr(floors, "MANY", many)
    assert_same(free(subdivided(mesh, 2)), expected)
    for x, y, z in rng.uniform(0, FIELD_CELL, (2, 3)):
        assert_same(shapely.affinity.translate(free(moved(mesh, x, y, z)), -x, -z), expected)
    outside = [(x, x + 0.2, -3, 3, z, z + 3.0) for x, z in rng.uniform([4.5, -9], [9, 6], (6, 2))]
    assert_same(free(joined(mesh, turned(boxes(*outside), 0.4))), expected)


def test_more_triangles_on_a_level_than_are_united_exactly():
    mesh = furnished(5)
    fine = subdivided(mesh, 5)
    heights = fine.vertices[fine.faces][..., 1]
    assert ((heights.min(axis=1) < 1.5) & (heights.max(axis=1) > 0.25)).sum() > MANY
    assert_same(free(fine), free(mesh))


def test_an_apartment_of_many_triangles_is_not_cut_into_bands():
    """There was 6.8 square metres of the largest piece. The beds are no floor."""
    found = free(apartment(10).mesh)
    assert sorted(piece.area for piece in found.geoms) == pytest.approx([0.4, 46.9], abs=0.1)


@pytest.mark.parametrize("seed", [2, 4, 7, 8, 11])
@pytest.mark.parametrize(
    "height",
    [
        lambda x, z: 0.5 * x,
        lambda x, z: 0.5 * x + 0.2 * z,
        lambda x, z: 0.18 * np.floor(np.round(x / 0.3) / 2),
        lambda x, z: 0.3 * np.sin(x) * np.cos(1.3 * z),
    ],
    ids=["slope", "aslant", "steps", "terrain"],
)
@pytest.mark.filterwarnings("ignore:.*encountered in .*:RuntimeWarning")
def test_noise_does_not_matter(height, seed):
    """Where edges nearly meet, GEOS makes outlines that cross themselves."""
    assert_same(free(sheet(height, 0.01, seed)), free(sheet(height, 0.0, seed)))


def test_terrain_of_many_levels_is_one_floor():
    """Random hills over 20 m: all but a rim of the radius is free. (Cut into storeys, and each of its levels
    compared with every other, 40 m took minutes and 4 GB.)"""
    rng, count = np.random.default_rng(0), 15
    height = gaussian_filter(rng.normal(size=(count, count)), 1.5)
    x, z = np.meshgrid(np.linspace(0, 20, count), np.linspace(0, 20, count))
    vertices = np.stack([x, 1.5 * height / np.abs(height).max(), z], axis=-1).reshape(-1, 3)
    a = (np.arange(count - 1)[:, None] * count + np.arange(count - 1)).ravel()
    b, c, d = a + 1, a + count, a + count + 1
    faces = np.concatenate([np.stack([a, c, b], axis=1), np.stack([b, c, d], axis=1)]).astype(np.int32)
    mesh = Mesh(vertices.astype(np.float32), faces, np.full((len(vertices), 3), 150, np.uint8))
    tracemalloc.start()
    (floor,) = find_floors(mesh, 1.5, 0.1, 0.2)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 2e8
    assert sum(polygon.area for polygon in floor.polygons) == pytest.approx(19.8**2, rel=0.002)
    assert len(floor.polygons) == 1
