"""Navigable space: floors and outlines against known answers, compiled code against shapely."""

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import shapely
from buildings import boxes, joined, ramp, room, two_storeys
from scipy.sparse.csgraph import dijkstra

from spatial_envs.simulators import floors
from spatial_envs.simulators.navigable import NavigableSpace
from spatial_envs.simulators.outline import first_contact, nearest_border, outline, part_at, sees, walk

L_SHAPED = (-2, 2, -2, 2, (0.0, 2.5, -0.01, 2.5, 0.0, 2.5))  # the quarter x > 0, z > 0 is filled


@pytest.fixture(scope="module")
def furnished():
    """A room of 6 x 6 m with eight boxes at odd angles to one another."""
    rng = np.random.default_rng(5)
    low = rng.uniform(-2.7, 2.0, (8, 2))
    size = rng.uniform(0.2, 0.9, (8, 2))
    return NavigableSpace(
        room(
            -3,
            3,
            -3,
            3,
            *[(x, x + w, 0.001, 1.0, z, z + d) for (x, z), (w, d) in zip(low, size, strict=True)],
        )
    )


def test_square_room():
    space = NavigableSpace(room(-2, 2, -2, 2))
    assert space.islands == pytest.approx([3.8**2], abs=2e-3)
    assert space.distance([-1.5, 0, -1.5], [1.5, 0, 1.5]) == pytest.approx(math.hypot(3, 3), abs=1e-9)
    assert space.is_navigable([1.8999, 0, 0])
    assert not space.is_navigable([1.9005, 0, 0])
    assert not space.is_navigable([5, 0, 0])


def test_shortest_way_round_a_corner():
    """Two tangents and an arc of the agent's radius about the corner (0, 0)."""
    space = NavigableSpace(room(*L_SHAPED))
    start, goal = np.array([-1.0, 0, 1.5]), np.array([1.5, 0, -1.0])
    away = math.hypot(1.0, 1.5)
    tangent = math.sqrt(away**2 - 0.1**2)
    angle = 2 * math.pi - math.acos(np.dot(start, goal) / away**2)  # about the corner, on the free side
    arc = 0.1 * (angle - 2 * math.acos(0.1 / away))
    assert space.distance(start, goal) == pytest.approx(2 * tangent + arc, abs=2e-3)
    path = space.path(start, goal)
    assert path[0] == pytest.approx(start)
    assert path[-1] == pytest.approx(goal)
    length = np.linalg.norm(np.diff(path, axis=0), axis=1).sum()
    assert length == pytest.approx(float(space.distance(start, goal)), abs=1e-9)
    assert np.hypot(*path[1:-1, [0, 2]].T) == pytest.approx(0.1, abs=2e-3)


def test_islands():
    wall = (-0.1, 0.1, -0.01, 2.5, -2.1, 2.1)
    space = NavigableSpace(room(-1, 3, -2, 2, wall))
    assert space.islands == pytest.approx([2.7 * 3.8, 0.7 * 3.8], abs=2e-3)
    here, there = [2, 0, 0], [-0.5, 0, 0]
    assert (space.island(here), space.island(there)) == (0, 1)
    assert space.distance(here, there) == math.inf
    assert space.path(here, there).shape == (0, 3)
    rng = np.random.default_rng(0)
    for island in (0, 1):
        points = np.array([space.sample(rng, island) for _ in range(40)])
        assert all(space.island(p) == island for p in points)
    with pytest.raises(ValueError, match="island: got 2; expected int from 0 to 1"):
        space.sample(rng, 2)


def test_several_goals_give_the_nearest(furnished):
    rng = np.random.default_rng(1)
    start, goals = furnished.sample(rng), np.array([furnished.sample(rng) for _ in range(5)])
    each = [float(furnished.distance(start, goal)) for goal in goals]
    assert furnished.distance(start, goals) == pytest.approx(min(each), abs=1e-9)
    path = furnished.path(start, goals)
    assert path[-1] == pytest.approx(goals[int(np.argmin(each))])


@pytest.mark.parametrize(("height", "climbs"), [(0.15, True), (0.2, True), (0.22, False), (0.3, False)])
def test_steps(height, climbs):
    """A platform over half of the room."""
    space = NavigableSpace(room(-2, 2, -2, 2, (0.0, 2.01, -0.01, height, -2.01, 2.01)))
    low, high = [-1, 0, 0], [1, height, 0]
    assert space.snap(high) == pytest.approx(high, abs=1e-6)
    assert space.island(low) == (0 if climbs else space.island(low))
    assert (space.island(low) == space.island(high)) == climbs
    assert space.distance(low, high) == pytest.approx(2.0 if climbs else math.inf)
    assert space.is_navigable([0.05, height, 0]) == climbs
    assert space.is_navigable([-0.05, 0, 0]) == climbs


@pytest.mark.parametrize(("rise", "climbs"), [(1.0, True), (1.9, True), (2.4, False)])
def test_slopes(rise, climbs):
    """A ramp of 2 m from the floor to a platform."""
    building = room(-2, 2, -4, 4, (-2.01, 2.01, -0.01, rise, 1.0, 4.01), height=5.0)
    space = NavigableSpace(joined(building, ramp(-2, 2, 0, rise, -1, 1)))
    low, high = [0, 0, -3], [0, rise, 2]
    assert (space.island(low) == space.island(high)) == climbs
    assert space.distance(low, high) == pytest.approx(5.0 if climbs else math.inf, abs=2e-3)
    if climbs:
        heights = space.path(low, high)[:, 1]
        assert heights[0] == pytest.approx(0)
        assert heights[-1] == pytest.approx(rise)
        assert space.snap([0, rise / 2, 0])[1] == pytest.approx(rise / 2, abs=0.06)


@pytest.mark.parametrize(("bottom", "blocks"), [(0.3, True), (1.45, True), (1.51, False), (2.1, False)])
def test_headroom(bottom, blocks):
    space = NavigableSpace(room(-2, 2, -2, 2, (-0.5, 0.5, bottom, bottom + 0.1, -0.5, 0.5)))
    assert space.is_navigable([0, 0, 0]) != blocks
    assert space.is_navigable([0.595, 0, 0]) != blocks
    assert space.is_navigable([0.605, 0, 0])


def test_insides_and_roofs_are_no_floors():
    """A closed cupboard higher than the agent, and a ceiling with its upper side to the sky."""
    cupboard, ceiling = (-1.0, 1.0, 0.001, 1.9, -1.0, 1.0), (-2.2, 2.2, 2.5, 2.6, -2.2, 2.2)
    space = NavigableSpace(room(-2, 2, -2, 2, cupboard, ceiling))
    around = shapely.box(-1.9, -1.9, 1.9, 1.9) - shapely.box(-1, -1, 1, 1).buffer(0.1)
    assert space.islands == pytest.approx([around.area], abs=5e-3)


def test_rugs_sills_and_cracks_are_walked_over():
    """Two rooms whose slabs end 5 mm from a sill of 0.03 m, under a lintel; a rug; the foot of a lamp."""
    space = NavigableSpace(
        boxes(
            (-3, -0.105, -0.1, 0, -2, 2), (-0.1, 0.1, -0.1, 0.03, -0.5, 0.5), (0.105, 3, -0.1, 0, -2, 2),
            (-0.1, 0.1, 0.001, 2.5, -2.0, -0.45), (-0.1, 0.1, 0.001, 2.5, 0.45, 2.0),
            (-0.1, 0.1, 2.1, 2.5, -0.45, 0.45),
            (-3.2, -3, -0.1, 2.5, -2.2, 2.2), (3, 3.2, -0.1, 2.5, -2.2, 2.2),
            (-3, 3, -0.1, 2.5, -2.2, -2), (-3, 3, -0.1, 2.5, 2, 2.2),
            (1, 2, 0.001, 0.012, -1, 1),
            (1.4, 1.6, 0.013, 0.03, 0.5, 0.7), (1.49, 1.51, 0.03, 1.6, 0.59, 0.61),
        )
    )  # fmt: skip
    lamp = shapely.box(1.49, 0.59, 1.51, 0.61).buffer(0.1).area
    door = 0.41 * 0.7 + 4 * (0.1**2 - math.pi * 0.05**2)
    assert space.islands == pytest.approx([2 * 2.695 * 3.8 + door - lamp], abs=5e-3)
    assert space.distance([-2, 0, 0], [2, 0, 0]) == pytest.approx(4.0, abs=1e-9)
    assert space.snap([0, 0, 0]) == pytest.approx([0, 0.03, 0])
    assert space.snap([1.5, 0, 0]) == pytest.approx([1.5, 0.012, 0])


def test_many_triangles_are_drawn_on_a_grid(monkeypatch):
    """What scans get: the same, to the grid's centimetre."""
    exact = NavigableSpace(two_storeys())
    monkeypatch.setattr(floors, "MANY", 0)
    drawn = NavigableSpace(two_storeys())
    assert drawn.islands == pytest.approx(exact.islands, rel=0.02)
    below, above = [0, 0, 0], [0, 2.72, 0]
    assert drawn.distance(below, above) == pytest.approx(float(exact.distance(below, above)), abs=0.1)


def test_floor_map(furnished):
    low, free = furnished.floor_map(0.0, cell=0.1)
    rows, columns = free.shape
    for row, column in ((r, c) for r in range(0, rows, 3) for c in range(0, columns, 3)):
        x, z = low + (np.array([column, row]) + 0.5) * 0.1
        assert free[row, column] == furnished.is_navigable([x, 0, z])
    assert not furnished.floor_map(1.5)[1].any()


def test_a_floor_map_of_wide_cells_ends_where_the_floor_does():
    low, free = NavigableSpace(room(-2, 2, -2, 2)).floor_map(0.0, cell=3.7)  # the last centre is at 3.65 m
    assert low == pytest.approx([-1.9, -1.9])
    assert free.tolist() == [[True, False], [False, False]]


def test_two_storeys():
    space = NavigableSpace(two_storeys())
    assert len(space.islands) == 1
    below, above = np.array([0, 0, 0.0]), np.array([0, 2.72, 0])
    path = space.path(below, above)
    assert (np.diff(path[:, 1]) >= -1e-6).all()
    assert path[-1] == pytest.approx(above, abs=1e-6)
    # to the foot of the stairs and from their head, about 5 m of stairs between
    assert 8.5 < space.distance(below, above) < 10.5
    assert space.snap([0, 2.6, 0])[1] == pytest.approx(2.72)
    rng = np.random.default_rng(0)
    heights = np.array([space.sample(rng)[1] for _ in range(300)])
    assert 0.35 < np.mean(heights < 0.1) < 0.6
    assert np.mean(heights > 2.6) > 0.3


def test_snapping():
    space = NavigableSpace(room(-2, 2, -2, 2))
    assert space.snap([1.915, 0.1, 0.3]) == pytest.approx([1.9, 0, 0.3], abs=2e-6)
    assert space.snap([1.2, 0, 0.3]) == pytest.approx([1.2, 0, 0.3])
    assert space.snap([1.98, 0, 0.3], reach=0.1) == pytest.approx([1.9, 0, 0.3], abs=2e-6)
    with pytest.raises(ValueError, match=r"goal: got \(1.950, 0.000, 0.300\); expected .* 0.050 m away"):
        space.distance([0, 0, 0], [1.95, 0, 0.3])
    with pytest.raises(ValueError, match=r"point: .* no floor at this height"):
        space.snap([0, 1.2, 0])
    with pytest.raises(ValueError, match="expected \\(x, y, z\\), finite"):
        space.snap([0, math.nan, 0])


def test_sampling_is_even_and_seeded(furnished):
    points = np.array([furnished.sample(np.random.default_rng(k)) for k in range(3)])
    again = np.array([furnished.sample(np.random.default_rng(k)) for k in range(3)])
    assert (points == again).all()
    rng = np.random.default_rng(0)
    points = np.array([furnished.sample(rng) for _ in range(2000)])
    area = furnished.floors[0].polygons[0]
    for x, z in ((-1, -1), (-1, 1), (1, -1), (1, 1)):
        share = (
            area & shapely.box(min(0, 3 * x), min(0, 3 * z), max(0, 3 * x), max(0, 3 * z))
        ).area / area.area
        inside = (np.sign(points[:, [0, 2]]) == (x, z)).all(axis=1).mean()
        assert inside == pytest.approx(share, abs=0.045)


def test_bad_buildings_and_arguments():
    with pytest.raises(ValueError, match=r"mesh: no floor for an agent 1\.5 m high"):
        NavigableSpace(boxes((0, 0.1, 0, 2, 0, 0.1)))
    with pytest.raises(ValueError, match="agent_radius: got 0; expected float from"):
        NavigableSpace(room(-2, 2, -2, 2), agent_radius=0)
    space = NavigableSpace(room(-2, 2, -2, 2))
    with pytest.raises(ValueError, match="goal: got shape"):
        space.distance([0, 0, 0], [1, 2])


def test_distances_against_a_plain_visibility_graph(furnished):
    """All corners, sight by shapely: slow and obvious."""
    polygon = furnished.floors[0].polygons[0]
    sight = polygon.buffer(1e-4, join_style="mitre")
    shapely.prepare(sight)
    rng = np.random.default_rng(2)
    points = np.array([furnished.sample(rng) for _ in range(6)])
    nodes = np.concatenate([points[:, [0, 2]], shapely.get_coordinates(polygon)])
    a, b = np.triu_indices(len(nodes), 1)
    seen = shapely.covers(sight, shapely.linestrings(np.stack([nodes[a], nodes[b]], axis=1)))
    lengths = np.zeros((len(nodes), len(nodes)))
    lengths[a[seen], b[seen]] = np.maximum(np.linalg.norm(nodes[a] - nodes[b], axis=1)[seen], 1e-12)
    plain = dijkstra(lengths, directed=False, indices=np.arange(6))[:, :6]
    ours = np.array([furnished.distance(points, goal) for goal in points])
    assert ours == pytest.approx(plain, abs=1e-6)


def test_compiled_geometry_against_shapely(furnished):
    polygons = furnished.floors[0].polygons
    border = outline(polygons)
    space = shapely.MultiPolygon(polygons)
    rng = np.random.default_rng(3)
    points = rng.uniform(-3.3, 3.3, (400, 2))
    for x, z in points:
        part = part_at(x, z, border)
        assert (part >= 0) == space.contains(shapely.Point(x, z))
        assert part < 0 or polygons[part].contains(shapely.Point(x, z))
        assert nearest_border(x, z, border)[2] == pytest.approx(space.boundary.distance(shapely.Point(x, z)))
    for a, b in zip(points[::2], points[1::2], strict=True):
        assert sees(*a, *b, border) == (not space.boundary.intersects(shapely.LineString([a, b])))


def test_walks_against_their_definition(furnished):
    """The point nearest to the target in the connected part of the circle that holds the start."""
    polygon = furnished.floors[0].polygons[0]
    border = outline([polygon])
    rng = np.random.default_rng(4)
    blocked = off = 0
    for _ in range(1500):
        a = furnished.sample(rng)[[0, 2]]
        yaw = rng.uniform(0, 2 * math.pi)
        b = a + 0.25 * np.array([math.sin(yaw), math.cos(yaw)])
        end = np.array(walk(*a, *b, True, border))
        share, edge = first_contact(*a, *b, border)
        stop = walk(*a, *b, False, border)
        assert polygon.distance(shapely.Point(end)) < 1e-9
        assert stop == pytest.approx(a + share * (b - a))
        if edge < 0:
            assert (end == b).all()
            continue
        blocked += 1
        circle = shapely.Point((a + b) / 2).buffer(0.126, quad_segs=64)
        parts = shapely.get_parts(polygon.intersection(circle))
        mine = min(parts, key=lambda part: part.distance(shapely.Point(a)))
        off += abs(mine.distance(shapely.Point(b)) - np.linalg.norm(end - b)) > 1e-3
    assert blocked > 60
    assert off == 0


CALLS = """
import shapely
from spatial_envs.simulators.outline import outline, sees, walk
border = outline([shapely.box(0, 0, 4, 4)])
print({})
"""


def test_kernels_compiled_in_different_processes(tmp_path):
    """One process leaves some of them in numba's cache, the next one needs others that call the same."""
    said = []
    for call in ("sees(1.0, 1.0, 3.0, 3.0, border)", "walk(1.0, 1.0, 1.0, 3.0, True, border)"):
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
        environment["PYTHONPATH"] = str(Path(__file__).parents[2])
        done = subprocess.run(
            [sys.executable, "-c", CALLS.format(call)], capture_output=True, text=True, env=environment
        )
        assert done.returncode == 0, done.stderr
        said.append(done.stdout.strip())
    assert said == ["True", "(1.0, 3.0)"]
