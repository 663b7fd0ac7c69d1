"""The built-in simulator: motion and camera against known answers, and against what habitat-sim answered."""

import json
import math
import pickle
from dataclasses import replace

import numpy as np
import pytest
from buildings import room, two_storeys

from spatial_envs.geometry.building import Building
from spatial_envs.rendering.builtin import BuiltinRenderer
from spatial_envs.simulators import make_simulator
from spatial_envs.simulators.builtin import BuiltinSimulator
from spatial_envs.simulators.navigable import NavigableSpace
from spatial_envs.simulators.simulator import DOWN, FORWARD, LEFT, RIGHT, STOP, UP, AgentState, Simulator
from spatial_envs.simulators.stage import write_glb
from spatial_envs.tools.parity import main, parity
from spatial_envs.tools.recording import LIFT, follow, read_recording

EAST, WEST, NORTH = -math.pi / 2, math.pi / 2, 0.0  # +X, -X, -Z


@pytest.fixture(scope="module")
def square():
    return BuiltinSimulator(room(-2, 2, -2, 2))


def test_free_steps_and_turns(square):
    assert isinstance(square, Simulator)
    square.reset([0, 0, 0], NORTH)
    state = square.step(FORWARD)
    assert state.position == pytest.approx([0, 0, -0.25])
    assert not state.collided
    assert square.step(LEFT).yaw == pytest.approx(math.radians(10))
    for _ in range(10):
        state = square.step(LEFT)
    assert square.step(FORWARD).position[0] < 0  # left of north is west
    for _ in range(30):
        state = square.step(LEFT)
    assert -math.pi <= state.yaw < math.pi
    assert square.step(RIGHT).yaw == pytest.approx(math.radians(400 - 360))
    before = square.state
    assert square.step(STOP).position is before.position
    with pytest.raises(ValueError, match="action: got 7; expected an integer from 0 to 5"):
        square.step(7)


def test_tilting(square):
    square.reset([0, 0, 0], NORTH)
    assert square.step(UP).pitch == pytest.approx(math.radians(30))
    for _ in range(5):
        state = square.step(DOWN)
    assert state.pitch == pytest.approx(-math.pi / 2)


def test_sliding_along_a_wall(square):
    """45 degrees into the wall x = 1.9: the way along it is left."""
    square.reset([1.85, 0, 0], EAST + math.radians(45))
    state = square.step(FORWARD)
    along = 0.25 * math.sqrt(0.5)
    assert state.position == pytest.approx([1.9, 0, -along], abs=2e-6)
    assert state.collided
    state = square.step(FORWARD)
    assert state.position == pytest.approx([1.9, 0, -2 * along], abs=2e-6)
    straight = square.reset([1.85, 0, 0], EAST)
    assert not straight.collided
    assert square.step(FORWARD).position == pytest.approx([1.9, 0, 0], abs=2e-6)


def test_into_a_corner(square):
    square.reset([1.8, 0, -1.8], EAST + math.radians(45))
    for _ in range(3):
        state = square.step(FORWARD)
    assert state.position == pytest.approx([1.9, 0, -1.9], abs=2e-6)
    assert state.collided


def test_without_sliding_one_does_not_stick():
    simulator = BuiltinSimulator(room(-2, 2, -2, 2), sliding=False)
    simulator.reset([1.85, 0, 0], EAST + math.radians(45))
    state = simulator.step(FORWARD)
    assert state.position == pytest.approx([1.9, 0, -0.05], abs=2e-6)
    assert state.collided
    assert simulator.step(FORWARD).position == pytest.approx([1.9, 0, -0.05], abs=2e-6)
    simulator.reset(simulator.state.position, NORTH)  # along the wall
    state = simulator.step(FORWARD)
    assert state.position == pytest.approx([1.9, 0, -0.3], abs=2e-6)
    assert not state.collided
    simulator.reset(state.position, WEST)
    assert simulator.step(FORWARD).position == pytest.approx([1.65, 0, -0.3], abs=2e-6)


def test_round_a_corner():
    """A post that the way only grazes turns the agent aside, not back."""
    simulator = BuiltinSimulator(room(-2, 2, -2, 2, (-0.1, 0.1, 0.0, 2.0, -0.1, 0.1)))
    simulator.reset([0.19, 0, 0.2], NORTH)
    for _ in range(2):
        state = simulator.step(FORWARD)
    assert state.position == pytest.approx([0.2, 0, -0.3], abs=0.03)


def test_nobody_leaves_the_free_space(square):
    space = NavigableSpace(room(-2, 2, -2, 2, (-0.6, -0.2, 0, 1, -0.7, 0.1), (0.3, 0.9, 0, 1, 0.1, 0.5)))
    simulator = BuiltinSimulator(square.mesh, space=space)
    rng = np.random.default_rng(0)
    simulator.reset(space.sample(rng), 0.0)
    for _ in range(3000):
        state = simulator.move(rng.uniform(-0.2, 0.5), rng.normal(0, 0.6))
        assert space.is_navigable(state.position)


def test_velocity(square):
    square.reset([0, 0, 0], EAST)
    state = square.move(0.1, 0.2)
    assert state.position == pytest.approx([0.1, 0, 0])
    assert state.yaw == pytest.approx(EAST + 0.2)
    square.reset([0, 0, 0], EAST)
    assert square.move(-0.3, 0).position == pytest.approx([-0.3, 0, 0])
    square.reset([1.9, 0, 0], EAST)
    assert square.move(0.001, 0).collided
    assert not square.move(0.0, 1.0).collided


def test_camera(square):
    """A wall 2 m ahead; the floor below; the segment is the wall's box."""
    square.reset([0, 0, 0], NORTH)
    view = square.view()
    assert view.depth[64, 64] == pytest.approx(2, abs=1e-4)
    assert view.segment[64, 64] == 4
    assert view.segment[-1, 64] == 1
    assert view.depth[-1, 64] == pytest.approx(1.5 * 64 / 63.5, abs=1e-3)
    assert square.camera_pose(square.state)[:3, 3] == pytest.approx([0, 1.5, 0])
    square.reset([1, 0, 0], EAST)
    assert square.view().depth[64, 64] == pytest.approx(1, abs=1e-4)
    square.reset([0, 0, 0], EAST, pitch=-math.pi / 2)
    assert square.view().depth[64, 64] == pytest.approx(1.5, abs=1e-4)
    square.reset([0, 0, 0], WEST, pitch=math.radians(20))
    down_axis = square.camera_pose(square.state)[:3, 1]
    assert down_axis[1] < 0
    assert np.linalg.det(square.camera_pose(square.state)[:3, :3]) == pytest.approx(1)


def test_field_of_view_is_horizontal():
    simulator = BuiltinSimulator(room(-2, 2, -2, 2), hfov=79, image_size=(48, 64))
    assert simulator.intrinsics[0, 0] == pytest.approx(32 / math.tan(math.radians(79 / 2)))
    assert simulator.intrinsics[1, 1] == simulator.intrinsics[0, 0]


def test_unlit_colours_are_the_albedo():
    mesh = room(-2, 2, -2, 2)
    simulator = BuiltinSimulator(mesh, renderer=BuiltinRenderer(lit=False))
    simulator.reset([0, 0, 0], NORTH)
    assert (simulator.view().rgb[64, 64] == mesh.colors[3 * 8]).all()


def test_one_seed_one_way():
    def positions():
        simulator = BuiltinSimulator(room(-2, 2, -2, 2, (-0.3, 0.4, 0, 1, -0.2, 0.6)))
        rng = np.random.default_rng(1)
        simulator.reset(simulator.sample(rng), 0.3)
        return [simulator.step(int(a)).position for a in rng.integers(1, 4, 200)]

    assert np.array_equal(positions(), positions())


def test_a_state_is_restored_to_the_bit(square):
    """On a wall, and through pickle."""
    square.reset([1.85, 0, 0], EAST + 0.7)
    before = square.step(FORWARD)
    ahead = square.step(FORWARD).position
    twin = pickle.loads(pickle.dumps(square))
    assert np.array_equal(twin.reset(before.position, before.yaw).position, before.position)
    assert np.array_equal(twin.step(FORWARD).position, ahead)


def test_greedy_follower_climbs_the_stairs():
    simulator = BuiltinSimulator(two_storeys())
    goal = np.array([-2, 2.72, 1])
    state = simulator.reset([-2, 0, 0], 0.0)
    shortest, walked = float(simulator.distance(state.position, goal)), 0.0
    for _ in range(200):
        if (action := simulator.next_action(goal, 0.2)) == STOP:
            break
        before, state = state, simulator.step(action)
        walked += float(np.linalg.norm((state.position - before.position)[[0, 2]]))
    assert simulator.distance(state.position, goal) < 0.2
    assert state.position[1] == pytest.approx(2.72)
    assert walked < 1.05 * shortest


def test_greedy_follower_stops_where_there_is_no_way():
    simulator = BuiltinSimulator(room(-1, 3, -2, 2, (-0.1, 0.1, -0.01, 2.5, -2.1, 2.1)))
    simulator.reset([2, 0, 0], 0.0)
    assert simulator.next_action([-0.5, 0, 0], 0.2) == STOP


def test_bad_arguments(square):
    with pytest.raises(ValueError, match=r"position: got .* expected a navigable point"):
        square.reset([5, 0, 0], 0)
    with pytest.raises(ValueError, match="yaw: got nan"):
        square.reset([0, 0, 0], math.nan)
    with pytest.raises(ValueError, match="hfov: got 190"):
        BuiltinSimulator(square.mesh, hfov=190, space=square.space)


def missed(figures):
    return [
        f"{figure.name}: {figure.value:.6f}, expected {figure.target}" for figure in figures if not figure.met
    ]


def test_parity_with_habitat(reference):
    figures = parity(read_recording(reference))
    assert len(figures) == 16
    assert not missed(figures)


@pytest.fixture
def answers(tmp_path):
    """A folder of answers as habitat-sim's, of another building than the reference; the built-in simulator
    gives them. One end is 0.035 m into the radius round a wall, as habitat's coarser borders have it."""
    building = Building("square", room(-2, 2, -2, 2))
    agent = make_simulator("builtin", building, camera_height=1.6)
    write_glb(building, tmp_path / "square.glb")
    start, yaw, goal = np.array([-1.0, 0, 0.5]), -0.4, np.array([1.9, 0, -1.0])
    pose = agent.camera_pose(AgentState(start, yaw, 0.2))[None]
    seen = agent.render_view(pose)
    np.savez(
        tmp_path / "views.npz", cam_to_world=pose, yaw_pitch=[[yaw, 0.2]], depth=seen.depth, rgb=seen.rgb,
        intrinsics=agent.intrinsics,
    )  # fmt: skip
    way = float(agent.distance(start, goal))
    pair = {"start": start + LIFT, "goal": goal + LIFT + [0.035, 0, 0], "geodesic_distance": way}
    agent.reset(start, yaw)
    states = [agent.step({"F": FORWARD, "L": LEFT, "R": RIGHT}[letter]) for letter in "FFLFRFFFFFFF"]
    walk = {
        "sliding": True, "start_position": start + LIFT, "start_yaw": yaw, "actions": "FFLFRFFFFFFF",
        "positions": [state.position + LIFT for state in states], "yaws": [state.yaw for state in states],
        "collided": [int(state.collided) for state in states],
    }  # fmt: skip
    steps, spl = follow(agent, AgentState(start, yaw), goal)
    episode = {**pair, "start_yaw": yaw, "steps": steps, "spl": spl}
    for name, content in (
        ("geodesic", {"pairs": [{**pair, "shortest_exact": way}]}),
        ("rollouts", {"sequences": [walk]}),
        ("greedy", {"episodes": [episode]}),
    ):
        text = json.dumps(content, default=lambda array: array.tolist())
        (tmp_path / f"{name}.json").write_text(text, encoding="utf-8")
    return tmp_path


def test_parity_in_another_building(answers):
    figures = {figure.name: figure for figure in parity(read_recording(answers))}
    assert not missed(figures.values())
    assert "first contact without sliding, most apart, m" not in figures  # there is no such walk
    assert figures["apart from habitat's distance, median, m"].value == pytest.approx(0, abs=1e-6)
    recording = read_recording(answers)
    outside = np.concatenate([recording.ends, recording.ends + np.array([0.2, 0, 0])])
    twice = replace(recording, ends=outside, distances=np.tile(recording.distances, 2), exact=None)
    assert missed(parity(twice)) == [
        "pairs of places that are places here, to 0.1 m: 0.500000, expected >= 95 %"
    ]


def test_parity_on_the_command_line(answers, capsys, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)  # as if habitat-sim were not installed

    def refused(*words):
        monkeypatch.setattr("sys.argv", ["parity", *map(str, words)])
        with pytest.raises(SystemExit):
            main()
        return "".join(capsys.readouterr())

    monkeypatch.setattr("sys.argv", ["parity", str(answers)])
    main()
    said = capsys.readouterr().out
    assert "square: the built-in simulator against recorded" in said
    assert said.count(" met\n") == 14
    assert "usage: " in refused("--help")
    assert "needs the package habitat_sim" in refused("procedural")
    said = refused(answers / "square.glb", "first.glb", "procedural", "second.glb")
    assert "scenes: 'first.glb', 'second.glb' do not exist; expected 'procedural'" in said
    assert "scenes: 'first.glb' does not exist" in refused("first.glb")
    assert "--buildings: got 0; expected int from 1" in refused("procedural", "--buildings", 0)
    (answers / "second.glb").write_bytes((answers / "square.glb").read_bytes())
    assert f"folder: got {answers}; expected one with views.npz" in refused(answers)
