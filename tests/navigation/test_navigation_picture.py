"""The picture of an episode: its form, that the plan is to scale, and that it tells what happened."""

from __future__ import annotations

import numpy as np
import pytest
from buildings import joined, ramp, room, two_storeys

from spatial_envs.core.drawing import BACKGROUND, INK, MAIN, PATH_INK
from spatial_envs.geometry.building import Building, boxes
from spatial_envs.navigation.picture import (
    CUT,
    GOAL_INK,
    PLAN_HEIGHT,
    PLAN_WIDTH,
    WALL_INK,
    Plan,
    Seen,
    _wind,
    draw_goal_image,
    draw_navigation,
    draw_plan,
    footprint,
)
from spatial_envs.rendering.builtin import BuiltinRenderer
from spatial_envs.rendering.renderer import AMBIENT, SKY, SUN, SUN_DIRECTION
from spatial_envs.scenes.buildings import open_buildings
from spatial_envs.simulators.builtin import BuiltinSimulator
from spatial_envs.simulators.simulator import AgentState

RENDERER = BuiltinRenderer()
# 8 x 5 m; a wall at x = 4 with a door at z in [2, 3], a lintel over it, a block, a lamp over it, a cupboard
DOOR = room(
    0, 8, 0, 5, (3.9, 4.1, 0, 2.5, 0, 2), (3.9, 4.1, 0, 2.5, 3, 5), (3.9, 4.1, 2.1, 2.5, 2.002, 2.998),
    (6, 7, 0, 1, 1, 2), (6.2, 6.8, 2.0, 2.1, 1.2, 1.8), (5, 6, 0, 2.2, 4, 5),
)  # fmt: skip
NAMED = {1: "floor", **dict.fromkeys(range(2, 9), "wall"), 9: "chest", 10: "lamp", 11: "cupboard"}
BUILDING = Building("room", DOOR, boxes(DOOR, {k: (f"{name}_{k}", name) for k, name in NAMED.items()}))
INFO = {"steps": 3, "path_length": 2.0, "distance_to_goal": 4.2, "coverage": 0.5, "chamfer": 0.1}


@pytest.fixture(scope="module")
def plan() -> Plan:
    return draw_plan(RENDERER, BUILDING)


def at(plan: Plan, picture: np.ndarray, x: float, z: float) -> np.ndarray:
    """The pixel of the plan (in its own picture, or in the whole one) that shows a place."""
    column, row = np.floor(plan.pixels(np.array([[x, z]]))[0]).astype(int)
    return picture[row, column + picture.shape[1] - PLAN_WIDTH]


def states(*places) -> list[AgentState]:
    return [AgentState(np.array([x, y, z], np.float64), yaw) for x, y, z, yaw in places]


def view_from(state: AgentState, size=(64, 64)):
    return BuiltinSimulator(DOOR, image_size=size, renderer=RENDERER).render_view(
        np.array([[1, 0, 0, state.position[0]], [0, -1, 0, 1.5], [0, 0, -1, state.position[2]], [0, 0, 0, 1]])
    )


WALK = states((1, 0, 4, 0.0), (1, 0, 2.5, 0.0), (5, 0, 2.5, -1.57))


def drawn(plan: Plan, trajectory=WALK, info=INFO, **more) -> np.ndarray:
    return draw_navigation(plan, view_from(trajectory[-1]), trajectory, info, **more)


def close(pixel, ink, within=12) -> bool:
    return bool(np.abs(np.asarray(pixel, float) - np.array(ink)).max() <= within)


def test_form_and_determinism(plan):
    picture = drawn(plan, title="go to the point", goal=np.array([7, 0, 4.0]))
    assert picture.shape == (480, 1100, 3) == (MAIN, MAIN + PLAN_WIDTH, 3)
    assert picture.dtype == np.uint8
    again = drawn(draw_plan(RENDERER, BUILDING), title="go to the point", goal=np.array([7, 0, 4.0]))
    np.testing.assert_array_equal(picture, again)


@pytest.mark.parametrize("depth", [5, 12])
def test_the_plan_is_to_scale(depth):
    """Whichever side is the longer: a small block is found where it stands."""
    building = Building("block", room(0, 8, 0, depth, (1.5, 1.6, 0, 0.5, 3.0, 3.1)))
    plan = draw_plan(RENDERER, building)
    without = draw_plan(RENDERER, Building("room", room(0, 8, 0, depth)))
    differs = (plan.picture.astype(int) - without.picture != 0).any(axis=2)
    rows, columns = np.nonzero(differs)
    found = np.array([columns.mean() + 0.5, rows.mean() + 0.5])
    assert np.linalg.norm(plan.pixels(np.array([[1.55, 3.05]]))[0] - found) < 1
    corners = plan.pixels(np.array([[x, 0, z] for x in (-0.2, 8.2) for z in (-0.2, depth + 0.2)]))
    assert (corners > 10).all()
    assert (corners < [PLAN_WIDTH - 10, PLAN_HEIGHT - 10]).all()
    assert np.ptp(corners[:, 0]) > np.ptp(corners[:, 1])
    assert np.linalg.norm(corners[1] - corners[0]) == pytest.approx(plan.scale * (depth + 0.4))
    turn = np.linalg.det(plan.affine[:, :2])
    assert turn == pytest.approx(plan.scale**2)  # turned, never mirrored


def test_walls_are_cut_doors_are_open_and_furniture_is_whole(plan):
    for x, z in ((4, 1), (4, 4), (-0.1, 2), (8.1, 2)):
        assert at(plan, plan.walls, x, z)
        assert close(at(plan, plan.picture, x, z), WALL_INK)
    for x, z in ((4, 2.5), (2, 2), (6.5, 1.5), (5.5, 4.5)):
        assert not at(plan, plan.walls, x, z)
    bare = draw_plan(RENDERER, Building("bare", DOOR))  # where nothing says what a cupboard is, it is cut
    assert bare.walls.sum() - plan.walls.sum() == pytest.approx(plan.scale**2, rel=0.03)
    assert at(plan, bare.walls, 5.5, 4.5)
    light = AMBIENT + SKY + SUN * SUN_DIRECTION[1] / np.linalg.norm(SUN_DIRECTION)  # from above
    for (x, z), shade in (((6.5, 1.5), 200), ((5.5, 4.5), 100)):  # the chest, not the lamp over it
        assert close(at(plan, plan.picture, x, z), (light * shade,) * 3, 1)


def test_solid_is_by_the_winding_number():
    """As slowly and plainly: signed triangles over a point. The roof of the house reaches into its walls."""
    mesh = two_storeys()
    plan = draw_plan(RENDERER, Building("house", mesh))
    triangles = mesh.vertices[mesh.faces].astype(np.float64)
    triangles = triangles[triangles[:, :, 1].min(axis=1) > CUT][:, :, [0, 2]]
    rng = np.random.default_rng(0)
    inside = []
    for x, z in rng.uniform([-3.3, -3.8], [3.3, 3.8], (400, 2)):
        corners = triangles - [x, z]
        following = np.roll(corners, -1, axis=1)
        crosses = corners[..., 0] * following[..., 1] - corners[..., 1] * following[..., 0]
        covers = (crosses > 0).all(axis=1) | (crosses < 0).all(axis=1)
        inside.append(-np.sign(crosses[covers, 0]).sum() > 0)
        near = at(plan, plan.walls, x + 0.02, z + 0.02) != at(plan, plan.walls, x - 0.02, z - 0.02)
        assert near or at(plan, plan.walls, x, z) == inside[-1], (x, z)
    assert 0.05 < np.mean(inside) < 0.3


def test_a_ceiling_the_wrong_way_round_is_no_wall():
    mesh = joined(room(0, 8, 0, 5), ramp(-0.2, 8.2, 2.4, 2.41, -0.2, 5.2))  # a sheet that faces up
    assert not draw_plan(RENDERER, Building("room", mesh)).walls.any()
    assert draw_plan(RENDERER, Building("room", room(0, 8, 0, 5))).walls.any()


def test_storeys():
    building = Building("house", two_storeys())
    lower, upper = draw_plan(RENDERER, building, 0.0), draw_plan(RENDERER, building, 2.72)
    assert (lower.picture != upper.picture).any(axis=2).mean() > 0.01
    with pytest.raises(ValueError, match="floor: got -30; house has nothing at this height"):
        draw_plan(RENDERER, building, -30)
    down, up = states((1, 0, 1, 0), (2, 0, 1, 0)), states((1, 2.72, 1, 0), (2, 2.72, 1, 0))
    picture = draw_navigation(upper, view_from(up[-1]), [*down, *up], {})
    only = draw_navigation(upper, view_from(up[-1]), up, {})
    assert close(at(upper, picture, 1.5, 1), PATH_INK)
    assert not close(at(upper, only, 1, 1), at(upper, picture, 1, 1))  # the start was downstairs
    with_down = draw_navigation(upper, view_from(up[-1]), [*states((4, 0, 3, 0), (5, 0, 3, 0)), *up], {})
    np.testing.assert_array_equal(with_down, picture)


def test_path_start_goal_and_way_are_where_they_are(plan):
    bare, goal = drawn(plan), np.array([7, 0, 4.0])
    assert close(at(plan, bare, 1, 4), INK)  # the start
    for x, z in ((1, 3.2), (2, 2.5), (3, 2.5)):
        assert close(at(plan, bare, x, z), PATH_INK)
        assert not close(at(plan, bare, x + 0.3, z + 0.3), PATH_INK, 60)
    assert not close(at(plan, bare, 7, 4), GOAL_INK)
    assert close(at(plan, drawn(plan, goal=goal), 7, 4), GOAL_INK)
    assert close(at(plan, drawn(plan, goal=np.stack([goal, [2, 0, 1]])), 2, 1), GOAL_INK)
    way = np.array([[1, 0, 4], [3, 0, 1], [7, 0, 4.0]])
    changed = (drawn(plan, way=way) != bare).any(axis=2)
    assert changed[:, :MAIN].sum() == 0
    assert at(plan, changed, 6, 3.25)
    outline = footprint(BUILDING, 9)
    np.testing.assert_allclose(np.sort(np.unique(outline)), [1, 2, 6, 7])
    covered = at(plan, drawn(plan, footprints=[outline], goal=goal), 6.5, 1.5).astype(int)
    assert covered[1] > max(covered[0], covered[2])
    assert not close(at(plan, drawn(plan, footprints=[outline], goal=goal), 7, 4), GOAL_INK)


def test_the_rest_is_dimmed_and_walls_beside_are_not(plan):
    known = np.zeros((60, 90), bool)
    known[:, :45] = True  # of cells of 0.1 m from (-0.5, -0.5): up to the wall at x = 4
    bright, dim = drawn(plan), drawn(plan, seen=Seen(known, np.array([-0.5, -0.5]), 0.1))
    np.testing.assert_array_equal(at(plan, dim, 2, 1), at(plan, bright, 2, 1))
    assert close(at(plan, dim, 3.97, 1), WALL_INK, 20)
    assert at(plan, dim, 7.5, 4.5).sum() < 0.6 * at(plan, bright, 7.5, 4.5).sum()
    np.testing.assert_array_equal(dim[2, -4:], np.tile(np.uint8(BACKGROUND), (4, 1)))


def test_what_lies_beyond_the_low_sides_is_not_drawn_on_the_high_ones(plan):
    bare = drawn(plan)
    np.testing.assert_array_equal(drawn(plan, goal=np.array([-30, 0, -30.0])), bare)
    np.testing.assert_array_equal(drawn(plan, way=np.array([[-30, 0, -30.0], [-30, 0, -3]])), bare)
    right = drawn(plan, seen=Seen(np.ones((60, 45), bool), np.array([4.0, -0.5]), 0.1))
    none = drawn(plan, seen=Seen(np.zeros((60, 90), bool), np.array([-0.5, -0.5]), 0.1))
    np.testing.assert_array_equal(at(plan, right, 7.5, 4.5), at(plan, bare, 7.5, 4.5))
    for x, z in ((1, 1), (2, 4.5), (0.1, 0.1)):
        np.testing.assert_array_equal(at(plan, right, x, z), at(plan, none, x, z))
    corners = np.array([[-9.0, 1], [-1, 1], [-1, 5], [1, -9], [6, -9], [6, -1]])  # to the left, and above
    winding = np.zeros((8, 9), np.int64)
    _wind(corners, np.array([[0, 1, 2], [3, 4, 5]]), winding)
    assert not winding.any()


def test_what_is_in_sight_ends_at_walls(plan):
    start = states((2, 0, 4.8, 0.0))  # looks along -z; the wall at x = 4 is to its right
    bare = plan.picture.astype(int)
    picture = drawn(plan, start)
    for x, z, lit in ((2, 3, True), (3.5, 3, True), (4.5, 2.4, False), (2, 1.5, False), (1, 4.9, False)):
        assert (np.abs(at(plan, picture, x, z) - at(plan, bare, x, z)).max() > 4) == lit, (x, z)


def test_captions_goal_image_and_highlight(plan):
    bare = drawn(plan)
    strip = np.s_[PLAN_HEIGHT:, MAIN:]
    assert (drawn(plan, info={**INFO, "steps": 4})[strip] != bare[strip]).any()
    ended = {**INFO, "success": True, "spl": 0.8}
    np.testing.assert_array_equal(drawn(plan, info=ended), bare)
    assert (drawn(plan, info=ended, over=True)[strip] != bare[strip]).any()
    assert (drawn(plan, info={})[strip] != bare[strip]).any()
    photo = np.zeros((32, 32, 3), np.uint8) + np.uint8([200, 30, 40])
    with_goal = drawn(plan, goal_image=photo)
    assert close(with_goal[MAIN - 60, MAIN - 60], (200, 30, 40))
    np.testing.assert_array_equal(np.asarray(draw_goal_image(photo))[0, 0], GOAL_INK)
    sought = np.zeros((64, 64), bool)
    sought[16:32, 16:32] = True
    marked = drawn(plan, sought=sought)
    assert close(marked[121, 180], GOAL_INK)  # the rim
    changed = (marked != bare).any(axis=2)
    assert changed[120:240, 120:240].mean() > 0.9
    assert changed.sum() < 1.05 * 120 * 120


@pytest.mark.parametrize("size", [(112, 112), (48, 96), (96, 48), (518, 518)])
def test_views_of_any_size_fit(plan, size):
    view = view_from(WALK[-1], size)
    sought = np.ones(size, bool)
    assert draw_navigation(plan, view, WALK, INFO, sought=sought, goal_image=view.rgb).shape == (480, 1100, 3)


def test_an_apartment(plan):
    """Nothing of a ceiling is left, and every room's floor is to be seen."""
    building = open_buildings("procedural").load(1)
    plan = draw_plan(BuiltinRenderer(lit=building.lit), building)
    assert 0.03 < plan.walls.mean() < 0.25
    for each in building.rooms:
        low, high = plan.pixels(np.stack([each.low, each.high]))
        (left, top), (right, bottom) = np.minimum(low, high).astype(int), np.maximum(low, high).astype(int)
        inside = plan.walls[top + 4 : bottom - 4, left + 4 : right - 4]
        assert inside.mean() < 0.05, each.name
