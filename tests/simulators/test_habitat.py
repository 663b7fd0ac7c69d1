"""The real habitat-sim against what it answered before, against the built-in simulator, and its traps."""

import contextlib
import importlib.util
import json
import math
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import trimesh
from buildings import boxes, furnished_room, room, two_storeys

import spatial_envs
from spatial_envs.foundation.errors import MeshError
from spatial_envs.geometry.building import Building, SceneObject
from spatial_envs.geometry.mesh import Mesh
from spatial_envs.navigation import PointNavEnv
from spatial_envs.navigation.goals import draw_start_and_goal
from spatial_envs.procedural.apartments.assembly import apartment
from spatial_envs.rendering.builtin import BuiltinRenderer
from spatial_envs.scenes.building_files import read_building
from spatial_envs.simulators import make_simulator
from spatial_envs.simulators.agent import wrapped
from spatial_envs.simulators.builtin import BuiltinSimulator
from spatial_envs.simulators.habitat import HabitatSimulator
from spatial_envs.simulators.habitat_process import _fault_of, probe
from spatial_envs.simulators.simulator import DOWN, FORWARD, LEFT, RIGHT, STOP, AgentState, Simulator
from spatial_envs.simulators.stage import is_read_directly, write_glb, write_stage
from spatial_envs.tools.parity import parity
from spatial_envs.tools.recording import record

gym.register_envs(spatial_envs)

ABSENT = importlib.util.find_spec("habitat_sim") is None
needs_habitat = pytest.mark.skipif(ABSENT, reason="the package habitat_sim is not installed")
LIFT = np.array([0.0, 0.1, 0.0])  # the navigation mesh of the reference lies so much above the floor
EAST, WEST, NORTH = -math.pi / 2, math.pi / 2, 0.0  # +X, -X, -Z


@pytest.fixture(scope="module")
def recorded(reference):
    """The apartment of the reference data: its folder, habitat-sim and the built-in simulator."""
    building = read_building(reference / "apartment_A.glb")
    return reference, HabitatSimulator(building), make_simulator("builtin", building)


@pytest.fixture(scope="module")
def furnished():
    """A procedural apartment: the building, habitat-sim and the built-in simulator."""
    building = apartment(3)
    return building, HabitatSimulator(building), make_simulator("builtin", building)


@pytest.fixture(scope="module")
def square():
    return HabitatSimulator(Building("square", room(-2, 2, -2, 2)))


def views_of(simulator, count, seed=0):
    """(count, 4, 4) poses of an agent about the building."""
    rng = np.random.default_rng(seed)
    return np.array(
        [
            simulator.camera_pose(
                AgentState(simulator.sample(rng), rng.uniform(-3, 3), rng.uniform(-0.5, 0.5))
            )
            for _ in range(count)
        ]
    )


def alike(ours, theirs, level):
    """Shares of the pixels with depth within 5 mm, colour within ``level``, and the same segment."""
    depth = np.abs(ours.depth - theirs.depth) <= 0.005
    colour = (np.abs(ours.rgb.astype(int) - theirs.rgb) <= level).all(axis=-1)
    return depth.mean(), colour.mean(), np.mean(ours.segment == theirs.segment)


@needs_habitat
def test_views_of_the_reference(recorded):
    folder, habitat, builtin = recorded
    data = np.load(folder / "views.npz")
    seen = habitat.render_view(data["cam_to_world"])
    assert np.abs(seen.depth - data["depth"]).max() < 1e-3
    assert (seen.rgb == data["rgb"]).all()
    assert min(alike(seen, builtin.render_view(data["cam_to_world"]), 1)) > 0.9998


@needs_habitat
def test_views_of_a_procedural_apartment(furnished):
    """Depth and segments to the pixel; textures are filtered otherwise."""
    _, habitat, builtin = furnished
    poses = views_of(habitat, 24)
    seen, ours = habitat.render_view(poses), builtin.render_view(poses)
    depth, colour, segment = alike(seen, ours, 8)
    assert depth > 0.9995
    assert segment > 0.9985
    assert colour > 0.98
    difference = seen.rgb.astype(int) - ours.rgb
    assert np.abs(difference).mean() < 1
    assert np.abs(difference.mean(axis=(0, 1, 2))).max() < 0.3


@needs_habitat
def test_light_is_in_the_colours():
    mesh = room(-2, 2, -2, 2, (-0.5, 0.1, 0, 0.7, -0.9, -0.4))
    habitat = HabitatSimulator(Building("lit", mesh, lit=True))
    builtin = BuiltinSimulator(mesh, renderer=BuiltinRenderer(lit=True))
    poses = views_of(habitat, 8)
    seen, ours = habitat.render_view(poses), builtin.render_view(poses)
    assert seen.segment is None  # the building has no objects
    same = np.abs(seen.rgb.astype(int) - ours.rgb).max(axis=-1) <= 1
    assert same.mean() > 0.999
    unlit = HabitatSimulator(Building("unlit", mesh)).render_view(poses)
    assert np.mean(np.abs(unlit.rgb.astype(int) - ours.rgb).max(axis=-1) > 5) > 0.5


@needs_habitat
def test_a_sheet_is_seen_from_both_sides():
    sheet = Mesh(
        np.array([[-1, 0, -1], [1, 0, -1], [0, 2, -1]], np.float32),
        np.array([[0, 1, 2]], np.int32),
        np.full((3, 3), 77, np.uint8),
    )
    floor = room(-2, 2, -2, 2)
    both = Mesh(
        np.concatenate([floor.vertices, sheet.vertices]),
        np.concatenate([floor.faces, sheet.faces + len(floor.vertices)]),
        np.concatenate([floor.colors, sheet.colors]),
    )
    habitat = HabitatSimulator(Building("sheet", both), camera_height=1.0)
    for z, yaw in [(0, NORTH), (-1.7, NORTH + math.pi)]:
        habitat.reset([0, 0, z], yaw)
        assert (habitat.view().rgb[64, 64] == 77).all()


@needs_habitat
def test_any_lens_and_any_poses(recorded):
    """Rolled, tilted and in batches, with pixels that are not square."""
    folder, habitat, _ = recorded
    building = read_building(folder / "apartment_A.glb")
    options = {"hfov": 79.0, "image_size": (48, 64), "camera_height": 0.88}
    theirs, ours = HabitatSimulator(building, **options), make_simulator("builtin", building, **options)
    poses = views_of(habitat, 6)
    roll = np.eye(4)
    roll[:2, :2] = [[0.6, -0.8], [0.8, 0.6]]
    poses = (poses @ roll).reshape(2, 3, 4, 4)
    seen = theirs.render_view(poses)
    assert seen.rgb.shape == (2, 3, 48, 64, 3)
    assert seen.depth.shape == seen.segment.shape == (2, 3, 48, 64)
    assert seen.intrinsics.shape == (2, 3, 3, 3)
    assert min(alike(seen, ours.render_view(poses), 1)) > 0.999
    ours.reset(theirs.state.position, 0.3)
    theirs.reset(theirs.state.position, 0.3)
    assert min(alike(theirs.step(DOWN) and theirs.view(), ours.step(DOWN) and ours.view(), 1)) > 0.998


@needs_habitat
def test_z_up(recorded, tmp_path):
    folder, habitat, _ = recorded
    scene = trimesh.load_scene(folder / "apartment_A.glb")
    scene.apply_transform(trimesh.transformations.rotation_matrix(math.pi / 2, [1, 0, 0]))
    scene.export(tmp_path / "turned.glb")
    (tmp_path / "turned.scn").write_text("not what habitat-sim would look for")
    turned = HabitatSimulator(read_building(tmp_path / "turned.glb", up="z"))
    assert turned.islands == pytest.approx(habitat.islands)
    poses = views_of(habitat, 4)
    seen, expected = turned.render_view(poses), habitat.render_view(poses)
    assert np.mean(np.abs(seen.depth - expected.depth) < 1e-3) > 0.9995
    assert np.mean((seen.rgb == expected.rgb).all(axis=-1)) > 0.9995


@needs_habitat
def test_recorded_steps(recorded):
    """What habitat-sim did before, from every recorded state. Without sliding, up to the first contact: an
    agent at a wall is on the very border, where the last bit decides whether it sticks."""
    folder, habitat, _ = recorded
    stiff = HabitatSimulator(read_building(folder / "apartment_A.glb"), sliding=False)
    actions = {"F": FORWARD, "L": LEFT, "R": RIGHT}
    far, flags = [], []
    for sequence in json.loads((folder / "rollouts.json").read_text())["sequences"]:
        agent = habitat if sequence["sliding"] else stiff
        position, yaw = sequence["start_position"], sequence["start_yaw"]
        for action, *after in zip(
            sequence["actions"], sequence["positions"], sequence["yaws"], sequence["collided"], strict=True
        ):
            agent.reset(np.subtract(position, LIFT), yaw)
            state = agent.step(actions[action])
            position, yaw = after[:2]
            far.append(np.abs(state.position - np.subtract(position, LIFT)).max())
            flags.append(state.collided == after[2])
            assert abs(wrapped(state.yaw - yaw)) < 1e-4
            if after[2] and not sequence["sliding"]:
                break
    assert len(far) > 6000
    assert np.mean(np.array(far) < 1e-3) > 0.995
    assert np.mean(flags) > 0.999


@needs_habitat
def test_recorded_distances(recorded):
    folder, habitat, _ = recorded
    for pair in json.loads((folder / "geodesic.json").read_text())["pairs"]:
        start, goal = np.subtract(pair["start"], LIFT), np.subtract(pair["goal"], LIFT)
        assert float(habitat.distance(start, goal)) == pytest.approx(pair["geodesic_distance"], abs=1e-3)
        way = habitat.path(start, goal)
        assert np.linalg.norm(np.diff(way, axis=0), axis=1).sum() == pytest.approx(
            pair["geodesic_distance"], abs=1e-3
        )


@needs_habitat
def test_recorded_greedy_episodes(recorded):
    folder, habitat, _ = recorded
    data = json.loads((folder / "greedy.json").read_text())
    spl, steps = [], []
    for episode in data["episodes"]:
        goal = np.subtract(episode["goal"], LIFT)
        state = habitat.reset(np.subtract(episode["start"], LIFT), episode["start_yaw"])
        shortest, walked, count = float(habitat.distance(state.position, goal)), 0.0, 0
        while (action := habitat.next_action(goal, data["goal_radius"])) != STOP and count < 500:
            before, state = state, habitat.step(action)
            walked += float(np.linalg.norm(state.position - before.position))
            count += 1
        assert habitat.distance(state.position, goal) < data["goal_radius"]
        spl.append(shortest / max(shortest, walked))
        steps.append(count / episode["steps"])
    assert np.mean(spl) == pytest.approx(data["mean_spl"], abs=0.002)
    assert np.mean(steps) == pytest.approx(1, abs=0.02)


@needs_habitat
def test_agrees_with_the_builtin_simulator(furnished):
    """Free steps exactly, distances closely, and places of one are places of the other."""
    _, habitat, builtin = furnished
    rng = np.random.default_rng(1)
    far, near, apart = [], 0, []
    goals = [habitat.sample(rng) for _ in range(4)]
    for _ in range(200):
        start, yaw = habitat.sample(rng), rng.uniform(-3, 3)
        try:
            builtin.reset(builtin.snap(start, reach=0.1), yaw)
        except ValueError:
            continue
        near += 1
        habitat.reset(start, yaw)
        theirs, ours = habitat.step(FORWARD), builtin.step(FORWARD)
        if not theirs.collided and not ours.collided and np.allclose(start, builtin.snap(start, reach=0.1)):
            far.append(np.abs(theirs.position - ours.position).max())
        goal = goals[near % 4]
        apart.append(
            float(
                habitat.distance(start, goal)
                - builtin.distance(*(builtin.snap(p, 0.1) for p in (start, goal)))
            )
        )
    assert near >= 190
    assert len(far) > 80
    assert max(far) < 1e-4
    assert np.median(np.abs(apart)) < 0.1
    assert min(apart) > -0.3


@needs_habitat
def test_islands_and_samples(furnished):
    _, habitat, builtin = furnished
    assert isinstance(habitat, Simulator)
    assert (np.diff(habitat.islands) <= 0).all()
    assert habitat.islands[0] == pytest.approx(builtin.islands[0], rel=0.1)
    rng, again = np.random.default_rng(5), np.random.default_rng(5)
    for number in range(len(habitat.islands)):
        points = np.array([habitat.sample(rng, number) for _ in range(30)])
        assert np.array_equal(points, [habitat.sample(again, number) for _ in range(30)])
        assert {habitat.island(point) for point in points} == {number}
        assert np.abs(points - [habitat.snap(point) for point in points]).max() < 1e-5
    with pytest.raises(ValueError, match="island: got 9"):
        habitat.sample(rng, 9)


@needs_habitat
def test_samples_are_even(square):
    points = np.array([square.sample(rng) for rng in [np.random.default_rng(3)] for _ in range(4000)])
    share = np.histogram2d(points[:, 0], points[:, 2], bins=3, range=[[-1.8, 1.8]] * 2)[0] / 4000
    assert share == pytest.approx(np.full((3, 3), 1 / 9), abs=0.02)


@needs_habitat
def test_a_roof_is_no_floor():
    """To habitat-sim it is an island like others, and the largest."""
    covered = HabitatSimulator(Building("covered", room(-2, 2, -2, 2, (-2.2, 2.2, 2.5, 2.7, -2.2, 2.2))))
    finder = covered._habitat.pathfinder
    assert finder.num_islands == 2
    assert len(covered.islands) == 1
    assert covered.islands[0] < max(finder.island_area(number) for number in range(2))
    assert covered.sample(np.random.default_rng(0))[1] == pytest.approx(0)
    assert not covered.floor_map(2.7)[1].any()
    with pytest.raises(ValueError, match=r"roof: got .*this is a roof"):
        covered.snap([0, 2.7, 0], name="roof")


@needs_habitat
def test_floor_map(furnished):
    _, habitat, builtin = furnished
    corner, free = habitat.floor_map(0.0)
    assert free.sum() * 0.05**2 == pytest.approx(habitat.islands[0], rel=0.1)
    rows, columns = np.nonzero(free)
    for row, column in list(zip(rows, columns, strict=True))[::97]:
        x, z = corner + (np.array([column, row]) + 0.5) * 0.05
        assert habitat.snap([x, 0.0, z])[[0, 2]] == pytest.approx([x, z], abs=0.011)
    own_corner, own = builtin.floor_map(0.0)
    x, z = corner[0] + (columns + 0.5) * 0.05, corner[1] + (rows + 0.5) * 0.05
    row, column = ((z - own_corner[1]) // 0.05).astype(int), ((x - own_corner[0]) // 0.05).astype(int)
    assert own[row.clip(0, len(own) - 1), column.clip(0, own.shape[1] - 1)].mean() > 0.95
    assert not habitat.floor_map(8.0)[1].any()


@needs_habitat
def test_heights_are_those_of_the_floor():
    """Two floors and the stair between, whose steps the navigation mesh only approximates."""
    mesh = two_storeys()
    habitat, builtin = HabitatSimulator(Building("storeys", mesh)), BuiltinSimulator(mesh)
    assert habitat.snap([-2, 0, 1])[1] == pytest.approx(0, abs=1e-6)
    assert habitat.snap([-2, 2.72, 1])[1] == pytest.approx(2.72, abs=1e-6)
    start, goal = np.array([-2.0, 0, 0]), np.array([-2.0, 2.72, 1])
    assert float(habitat.distance(start, goal)) == pytest.approx(
        float(builtin.distance(start, goal)), rel=0.12
    )
    state, rises = habitat.reset(start, 0.0), []
    for _ in range(250):
        if (action := habitat.next_action(goal, 0.2)) == STOP:
            break
        state = habitat.step(action)
        own = builtin.snap(state.position, reach=0.1)
        rises.append(abs(state.position[1] - own[1]))
        pose = habitat.camera_pose(state)
        assert pose[1, 3] == pytest.approx(state.position[1] + 1.5)
    assert habitat.distance(state.position, goal) < 0.2
    assert state.position[1] == pytest.approx(2.72)
    assert np.mean(np.array(rises) < 1e-6) > 0.9


@needs_habitat
def test_nearest_of_several_goals(square):
    square.reset([0, 0, 0], NORTH)
    goals = np.array([[1.5, 0, 0], [0, 0, -1], [-1.5, 0, 1.5]])
    assert float(square.distance([0, 0, 0], goals)) == pytest.approx(1, abs=1e-4)
    assert square.distance(goals, np.zeros(3)).shape == (3,)
    assert square.next_action(goals, 0.2) == FORWARD
    assert square.path([0, 0, 0], goals)[-1] == pytest.approx([0, 0, -1], abs=1e-4)


@needs_habitat
def test_unreachable():
    parted = HabitatSimulator(Building("parted", room(-1, 3, -2, 2, (-0.1, 0.1, -0.01, 2.5, -2.1, 2.1))))
    here, there = np.array([2.0, 0, 0]), np.array([-0.5, 0, 0])
    assert parted.distance(here, there) == math.inf
    assert parted.path(here, there).shape == (0, 3)
    parted.reset(here, 0.0)
    assert parted.next_action(there, 0.2) == STOP
    assert parted.island(here) != parted.island(there)


@needs_habitat
def test_velocity(square):
    square.reset([0, 0, 0], EAST)
    state = square.move(0.1, 0.2)
    assert state.position == pytest.approx([0.1, 0, 0], abs=1e-5)
    assert state.yaw == pytest.approx(EAST + 0.2)
    assert not state.collided
    square.reset([0, 0, 0], EAST)
    assert square.move(-0.3, 0).position == pytest.approx([-0.3, 0, 0], abs=1e-5)
    for _ in range(20):
        state = square.move(0.25, 0)
    assert state.collided
    assert 1.8 < state.position[0] < 1.95
    assert square.move(0.01, 0).collided
    assert not square.move(0.0, 1.0).collided


@needs_habitat
def test_a_state_is_restored(square):
    """On a wall, too."""
    rng = np.random.default_rng(0)
    square.reset([1.7, 0, 0], EAST + 0.7)
    for _ in range(30):
        before = square.step(int(rng.choice([FORWARD, FORWARD, LEFT])))
        after = square.step(FORWARD)
        again = square.reset(before.position, before.yaw)
        assert np.abs(again.position - before.position).max() < 1e-6
        assert np.abs(square.step(FORWARD).position - after.position).max() < 1e-4


@needs_habitat
def test_several_at_once_in_one_process(recorded, square):
    """They share a GL context; one that goes leaves the others alone."""
    _, habitat, _ = recorded
    square.reset([0, 0, 0], NORTH)
    pose = habitat.camera_pose(habitat.state)
    first, second = square.view(), habitat.render_view(pose)
    third = HabitatSimulator(Building("third", room(-1, 1, -3, 3)))
    third.view()
    third.close()
    third.close()
    with pytest.raises(RuntimeError, match="closed"):
        third.view()
    assert np.array_equal(square.view().rgb, first.rgb)
    assert np.array_equal(habitat.render_view(pose).rgb, second.rgb)


@needs_habitat
def test_from_another_thread(square):
    said = []

    def use():
        for call in (square.view, lambda: square.step(FORWARD), lambda: square.snap([0, 0, 0])):
            with pytest.raises(RuntimeError, match="another thread"):
                call()
            said.append(1)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert len(said) == 3


PLAY = """
import hashlib, os, sys, threading
import numpy as np
from buildings import room
from spatial_envs.geometry.building import Building
from spatial_envs.simulators.habitat import HabitatSimulator
square = Building("square", room(-2, 2, -2, 2, (-0.3, 0.4, 0, 1, -0.2, 0.6)))
def play():
    before = os.getcwd()
    simulator = HabitatSimulator(square, image_size=32)
    assert os.getcwd() == before
    rng, seen = np.random.default_rng(2), hashlib.sha256()
    simulator.reset(simulator.sample(rng), 0.4)
    for action in rng.integers(1, 4, 200):
        state = simulator.step(int(action))
        seen.update(state.position.tobytes() + simulator.view().rgb.tobytes())
    return simulator, seen.hexdigest()
"""


def run(code):
    """What Python says in a process of its own, which must end well."""
    tests = Path(__file__).parent
    environment = {**os.environ, "PYTHONPATH": f"{tests.parent}{os.pathsep}{tests}"}
    done = subprocess.run(
        [sys.executable, "-c", PLAY + code], capture_output=True, text=True, env=environment, timeout=240
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


@needs_habitat
def test_two_processes_do_the_same():
    (first, errors), (second, _) = run("print(play()[1])"), run("print(play()[1])")
    assert len(first.strip()) == 64
    assert first == second
    assert errors == ""  # nothing of habitat-sim's on the terminal


@needs_habitat
def test_after_a_fork():
    """The child is told, by the old simulator and by a new one, and ends well; the parent goes on."""
    out, _ = run(
        "simulator, _ = play()\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    for call in (simulator.view, lambda: HabitatSimulator(square)):\n"
        "        try: call()\n"
        "        except RuntimeError as error: print('fork' in str(error), flush=True)\n"
        "    simulator.close()\n"
        "    del simulator\n"
        "    os._exit(0)\n"
        "print(os.waitpid(child, 0)[1], simulator.view().depth.max() > 0)\n"
    )
    assert out.split() == ["True", "True", "0", "True"]


@needs_habitat
def test_fork_first_and_threads_of_their_own():
    """A forked process makes its own simulators; so does a thread, and one let go elsewhere does no harm."""
    out, _ = run(
        "child = os.fork()\n"
        "if child == 0:\n"
        "    print(len(play()[1]), flush=True)\n"
        "    sys.stdout.flush(); os._exit(0)\n"
        "print(os.waitpid(child, 0)[1])\n"
        "kept = [play()[0]]\n"
        "thread = threading.Thread(target=lambda: print(len(play()[1])))\n"
        "thread.start(); thread.join()\n"
        "thread = threading.Thread(target=kept.clear)\n"
        "thread.start(); thread.join()\n"
        "print(len(play()[1]))\n"
    )
    assert out.split() == ["64", "0", "64", "64"]


@needs_habitat
def test_no_such_gpu():
    """habitat-sim would end the process."""
    assert probe(-1) is None
    assert "CUDA device 63" in probe(63)
    out, _ = run(
        "try: HabitatSimulator(square, gpu=63)\n"
        "except RuntimeError as error: print('gpu: got 63' in str(error))\n"
    )
    assert out.split() == ["True"]


@needs_habitat
def test_bad_arguments(square):
    with pytest.raises(ValueError, match=r"position: got .* expected a point on habitat's navigation mesh"):
        square.reset([1.99, 0, 0], 0)
    with pytest.raises(ValueError, match=r"goal: got .* none within 2 m"):
        square.distance([0, 0, 0], [90, 0, 0])
    with pytest.raises(ValueError, match=r"goal: got .* 1.000 m below"):
        square.distance([0, 0, 0], [0, 1, 0])
    with pytest.raises(ValueError, match=r"points: got .* finite"):
        square.distance([math.nan, 0, 0], [0, 0, 0])
    with pytest.raises(ValueError, match="yaw: got nan"):
        square.reset([0, 0, 0], math.nan)
    with pytest.raises(ValueError, match="action: got 7"):
        square.step(7)
    with pytest.raises(MeshError, match="mesh: no floor"):
        HabitatSimulator(Building("post", boxes((-0.1, 0.1, 0, 3, -0.1, 0.1))))
    with pytest.raises(ValueError, match="renderer: got 'pytorch3d'; simulator='habitat' has its own"):
        make_simulator("habitat", Building("square", room(-2, 2, -2, 2)), renderer="pytorch3d")


@needs_habitat
@pytest.mark.parametrize("task", ["PointNav", "ObjectNav"])
def test_in_an_environment(task):
    env = gym.make(f"{task}-Habitat-v0", simulator="habitat", backbone=None, num_buildings=1, image_size=64)
    observation, _ = env.reset(seed=0)
    assert observation["rgb"].shape == (64, 64, 3)
    for _ in range(300):
        _, _, terminated, truncated, info = env.step(env.unwrapped.next_action())
        if terminated or truncated:
            break
    assert info["success"]
    env.close()


@needs_habitat
def test_episodes_of_the_builtin_simulator_start_here(furnished):
    """Where habitat's borders are up to 0.05 m from ours; the nearest corners of its cells may be farther."""
    _, _, builtin = furnished
    env = PointNavEnv(
        simulator="habitat", backbone=None, reconstruction="none", weights={"chamfer": 0}, image_size=32
    )
    rng, snapped = np.random.default_rng(0), []
    for _ in range(60):
        start, goal = draw_start_and_goal(builtin, rng)
        with contextlib.suppress(ValueError):
            snapped.append(env.reset(options={"building": 3, "start": start, "goal": goal})[1]["snapped"])
    assert len(snapped) >= 58
    assert 0.02 < max(snapped) <= 0.05 + 1e-6


@needs_habitat
def test_parity_asked_of_habitat_here(recorded):
    folder, _, _ = recorded
    figures = parity(record(read_building(folder / "apartment_A.glb")))
    assert len(figures) == 15  # the exact distances are not known
    assert [figure.name for figure in figures if not figure.met] == []


def test_a_relative_path_is_kept_absolute(tmp_path, monkeypatch):
    """habitat-sim reads the file again: from the folder of the stage configuration, and later."""
    write_glb(Building("room", room(-2, 2, -2, 2)), tmp_path / "room.glb")
    monkeypatch.chdir(tmp_path)
    read = read_building("room.glb")
    made = Building("room", read.mesh, path="room.glb")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    for building in (read, made):
        stage = json.loads(write_stage(building, tmp_path / "elsewhere").read_bytes())
        assert stage["render_asset"] == str(tmp_path / "room.glb")


@needs_habitat
def test_files_by_a_relative_path_and_without_materials(tmp_path, monkeypatch):
    """What has no material habitat-sim would show black: it is handed over as a temporary file."""
    monkeypatch.chdir(tmp_path)
    write_glb(Building("room", room(-2, 2, -2, 2)), "painted.glb")
    furnished_room().export("plain.glb")
    for name, direct in (("painted.glb", True), ("plain.glb", False)):
        building = read_building(name)
        assert is_read_directly(building) == direct
        habitat, builtin = (make_simulator(simulator, building) for simulator in ("habitat", "builtin"))
        poses = views_of(habitat, 4)
        assert min(alike(habitat.render_view(poses), builtin.render_view(poses), 1)[:2]) > 0.999


def with_broken_texture(path):
    """A room, and for a floor's texture what is no picture; its walls have one, or it would be one in plain
    colours, which habitat-sim is given as we light it, without what is broken."""
    mesh = room(-2, 2, -2, 2)
    textured = replace(
        mesh,
        uv=mesh.vertices[:, [0, 2]],
        textures=tuple(np.full((8, 8, 3), shade, np.uint8) for shade in (99, 150)),
        face_texture=np.where(mesh.face_segments == 1, 0, 1).astype(np.int32),
    )
    write_glb(Building("broken", textured), path)
    path.write_bytes(path.read_bytes().replace(b"\x89PNG", b"\0PNG", 1))


@needs_habitat
@pytest.mark.filterwarnings("ignore:.*texture number 0 is missing or broken")
def test_a_file_that_kills_habitat(tmp_path):
    """It ends another process, not this one; a set passes over it."""
    with_broken_texture(tmp_path / "broken.glb")
    with pytest.warns(UserWarning, match="broken.glb"):
        building = read_building(tmp_path / "broken.glb")
    for _ in range(2):
        with pytest.raises(
            MeshError, match=r"broken\.glb: habitat-sim would end the process that shows it: "
        ):
            HabitatSimulator(building)
    furnished_room().export(tmp_path / "good.glb")
    env = gym.make(
        "PointNav-Habitat-v0", scenes=str(tmp_path), simulator="habitat", backbone=None, image_size=32
    )
    with pytest.warns(UserWarning, match=r"skipped 1 of 2 files: .*broken\.glb"):
        assert {env.reset(seed=seed)[1]["building"] for seed in range(6)} == {"good"}
    env.close()


def test_what_ends_another_process_is_said():
    assert "(Segmentation fault)" in _fault_of("ctypes.string_at(0)")
    assert _fault_of("sys.exit('no such device')") == "no such device (exit status 1)"


def test_written_buildings_are_read_again(tmp_path):
    """Shape, colours, textures and objects; the light of a lit one is in its colours."""
    building = apartment(3)
    write_glb(building, tmp_path / "apartment.glb")
    copy = read_building(tmp_path / "apartment.glb")
    mesh, other = building.mesh, copy.mesh
    assert len(other.faces) == len(mesh.faces)
    assert sorted(o.name for o in copy.objects.values()) == sorted(o.name for o in building.objects.values())
    rng = np.random.default_rng(0)
    pose = views_of(BuiltinSimulator(mesh), 3, seed=int(rng.integers(9)))
    intrinsics = np.array([[32, 0, 32], [0, 32, 32], [0, 0, 1]], np.float32)
    ours, theirs = (BuiltinRenderer(lit=False).render(m, pose, intrinsics, (64, 64)) for m in (mesh, other))
    assert np.abs(ours.depth - theirs.depth).max() < 1e-6
    assert np.abs(ours.rgb.astype(int) - theirs.rgb).max() <= 1
    lit = Building(
        "lit", room(-1, 1, -1, 1), {1: SceneObject("floor_1", "floor", np.zeros(3), np.ones(3))}, lit=True
    )
    write_glb(lit, tmp_path / "lit.glb")
    floor = read_building(tmp_path / "lit.glb").mesh
    upward = floor.colors[floor.faces[floor.face_normals[:, 1] > 0.9]]
    assert upward.min() == round(60 * (0.65 + 0.35 * 0.8))  # the floor's grey, ambient light, sky and sun


def test_without_the_package_the_error_says_where_to_get_it(monkeypatch):
    find_spec = importlib.util.find_spec
    absent = {"habitat_sim"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in absent else find_spec(name))
    with pytest.raises(ImportError, match=r"facebookresearch/habitat-sim.*simulator='builtin'"):
        make_simulator("habitat", Building("square", room(-2, 2, -2, 2)))
