"""The navigation family: habitat-lab's definitions, the map's gain, exact episodes, replays, bad input."""

import importlib.util
import math
import pickle

import gymnasium as gym
import numpy as np
import pytest
import trimesh
from buildings import furnished_room

from agents.comparison.scores import evaluate
from agents.navigation.baselines import Random
from agents.navigation.family import GOALS
from spatial_envs.backbones.unproject import Unproject
from spatial_envs.foundation.errors import MeshError
from spatial_envs.geometry.building import Building
from spatial_envs.geometry.camera import unproject
from spatial_envs.geometry.mesh import Mesh
from spatial_envs.geometry.view import View, stack_views
from spatial_envs.navigation import (
    ExploreEnv,
    ImageNavEnv,
    ObjectNavEnv,
    PointNavEnv,
    PointNavVectorEnv,
)
from spatial_envs.navigation.episode import agent_frame, in_frame, polar
from spatial_envs.navigation.goals import LEAST_SHARE, LOOK, STAND_OFF, NoEpisode
from spatial_envs.navigation.occupancy import FREE, OCCUPIED, UNKNOWN, OccupancyMap
from spatial_envs.navigation.reference import building_reference
from spatial_envs.scenes.buildings import open_buildings
from spatial_envs.simulators.agent import horizontal_intrinsics
from spatial_envs.simulators.builtin import BuiltinSimulator
from spatial_envs.simulators.simulator import FORWARD, LEFT, RIGHT, STOP, AgentState

BALL = (
    r"one\.glb: mesh: no floor for an agent 1\.5 m high .* got 1,280 triangles of 0\.6 x 0\.6 x 0\.6 m "
    r".* 2\d% of which face up; expected some that do"
)
START, YAW, GOAL = (-1.0, 0.0, 1.5), 0.0, (1.0, 0.0, 1.5)  # either side of the wall's end


@pytest.fixture(scope="module")
def building(tmp_path_factory):
    path = tmp_path_factory.mktemp("building") / "room.glb"
    furnished_room().export(path)
    return str(path)


@pytest.fixture(scope="module")
def arguments(building, tmp_path_factory):
    cache = str(tmp_path_factory.mktemp("cache"))
    return {"scenes": building, "image_size": 64, "backbone": None, "cache_dir": cache}


def begin(env, **options):
    return env.reset(seed=0, options={"start": START, "yaw": YAW, "goal": GOAL, **options})


def follow(env, most=100):
    """Follow the greedy follower to its stop: rewards and infos."""
    rewards, infos = [], []
    for _ in range(most):
        _, reward, terminated, truncated, info = env.step(env.next_action())
        rewards.append(reward)
        infos.append(info)
        if terminated or truncated:
            return rewards, infos
    raise AssertionError("the greedy follower never stopped")


# ---- habitat-lab's definitions


def test_the_goal_sensor_is_polar_and_to_the_left(arguments):
    env = PointNavEnv(**arguments)
    observation, _ = begin(env)
    np.testing.assert_allclose(observation["pointgoal"], [2, -math.pi / 2], atol=1e-6)  # to the right
    observation, *_ = env.step(RIGHT)
    np.testing.assert_allclose(observation["pointgoal"], [2, -math.pi / 2 + math.radians(10)], atol=1e-6)
    observation, *_ = env.step(FORWARD)
    np.testing.assert_allclose(observation["compass"], [-math.radians(10)], atol=1e-6)
    forward, right = 0.25 * math.cos(math.radians(10)), 0.25 * math.sin(math.radians(10))
    np.testing.assert_allclose(observation["gps"], [forward, right], atol=1e-6)
    assert observation["remaining"] == pytest.approx(1 - 2 / 500)
    np.testing.assert_allclose(observation["odometry"], [0.25, 0, 0], atol=1e-6)
    observation, *_ = env.step(LEFT)
    np.testing.assert_allclose(observation["odometry"], [0, math.radians(10), 0], atol=1e-6)


def test_frames_agree_with_matrices():
    rng = np.random.default_rng(0)
    for _ in range(20):
        state = AgentState(rng.normal(size=3), rng.uniform(-3, 3))
        point = rng.normal(size=3)
        local = np.linalg.inv(agent_frame(state)) @ [*point, 1]
        np.testing.assert_allclose(in_frame(state, point), [-local[2], local[0]], atol=1e-12)
        distance, angle = polar(in_frame(state, point))
        back = distance * np.array([math.cos(angle), -math.sin(angle)])
        np.testing.assert_allclose(back, [-local[2], local[0]], atol=1e-6)


def test_a_greedy_episode_by_hand(arguments):
    env = PointNavEnv(**arguments)
    _, first = begin(env)
    shortest = first["distance_to_goal"]
    assert shortest == pytest.approx(2)  # straight: the opening begins at z = 0.8
    rewards, infos = follow(env)
    last = infos[-1]
    assert last["success"]
    assert last["is_success"]
    assert last["distance_to_goal"] < 0.2
    walked = np.array([first["position"], *(info["position"] for info in infos)])
    length = np.linalg.norm(np.diff(walked, axis=0), axis=1).sum()
    assert last["path_length"] == pytest.approx(length)
    assert last["spl"] == pytest.approx(shortest / max(shortest, length))
    progress = 1 - last["distance_to_goal"] / shortest
    assert last["soft_spl"] == pytest.approx(progress * shortest / max(shortest, length))
    assert last["steps"] == len(infos)
    gains = sum(info["gain"] for info in infos)
    assert gains == pytest.approx(math.log(first["chamfer"] / last["chamfer"]))
    whole = shortest - last["distance_to_goal"] + 2.5 + 0.1 * gains - 0.01 * len(infos)
    assert sum(rewards) == pytest.approx(whole - 0.02 * last["collisions"])


def test_success_is_a_stop_strictly_nearer_than_the_distance(arguments):
    env = PointNavEnv(**arguments)
    for distance, expected in ((0.15, True), (0.25, False)):
        begin(env, start=(1 - distance, 0, 1.5))
        _, _, terminated, truncated, info = env.step(STOP)
        assert (terminated, truncated, info["success"]) == (True, False, expected)
        assert info["spl"] == float(expected)
    begin(env, start=(0.9, 0, 1.5))
    *_, info = env.step(LEFT)
    assert not info["success"]  # near, but not stopped


def test_a_start_at_the_goal_divides_by_nothing(arguments):
    env = PointNavEnv(**arguments)
    begin(env, start=GOAL)
    *_, info = env.step(STOP)
    assert (info["spl"], info["soft_spl"], info["success"]) == (1.0, 1.0, True)


def test_the_step_limit_truncates(arguments):
    env = PointNavEnv(**arguments, max_steps=3)
    begin(env)
    ends = [env.step(LEFT)[2:4] for _ in range(3)]
    assert ends == [(False, False), (False, False), (False, True)]
    with pytest.raises(gym.error.ResetNeeded):
        env.step(LEFT)
    begin(env)
    env.step(LEFT), env.step(LEFT)
    assert env.step(STOP)[2:4] == (True, False)  # a stop with the last step terminates


@pytest.mark.parametrize(
    ("env_type", "limit", "distance", "turn", "actions"),
    [(PointNavEnv, 500, 0.2, 10, 4), (ImageNavEnv, 1000, 0.2, 10, 4), (ObjectNavEnv, 500, 0.1, 30, 6)],
)
def test_habitats_settings(arguments, env_type, limit, distance, turn, actions):
    task = env_type(**arguments).task
    assert (task.max_steps, task.success_distance, task.turn_step) == (limit, distance, turn)
    assert task.action_space.n == actions


def test_velocities(arguments):
    env = PointNavEnv(**arguments, action="velocity")
    begin(env)
    *_, info = env.step(np.array([1, 0.5], np.float32))
    np.testing.assert_allclose(info["position"], [-1, 0, 1.25], atol=1e-6)
    assert info["yaw"] == pytest.approx(math.radians(5))
    _, _, terminated, _, after = env.step(np.array([-1, 0.5], np.float32))
    np.testing.assert_array_equal(after["position"], info["position"])
    assert not terminated
    assert env.step(np.array([-0.9, 0.05], np.float32))[2]  # 0.0125 m and half a degree: a stop
    begin(env)
    _, infos = follow(env)
    assert infos[-1]["success"]


# ---- goals


def test_a_goal_image_is_what_is_seen_at_the_goal(arguments):
    env = ImageNavEnv(**arguments)
    observation, _ = begin(env, goal_yaw=1.0)
    pose = env.task.episode(0).simulator.camera_pose(AgentState(np.array(GOAL), 1.0))
    np.testing.assert_array_equal(observation["imagegoal"], env.render_view(pose).rgb)
    there, _ = begin(env, start=GOAL, yaw=1.0, goal_yaw=1.0)
    np.testing.assert_array_equal(there["imagegoal"], there["rgb"])


def test_view_points_see_their_object_and_are_near(arguments):
    env = ObjectNavEnv(**arguments)
    observation, _ = env.reset(seed=0, options={"category": "sofa"})
    episode = env.task.episode(0)
    building, simulator = episode.place.building, episode.simulator
    (number,) = building.of_category("sofa")
    thing = building.objects[number]
    assert len(episode.goal) > 100
    intrinsics = horizontal_intrinsics(60.0, (LOOK, LOOK))
    for place in episode.goal[::10]:
        aside = np.maximum(0, np.maximum(thing.low - place, place - thing.high))[[0, 2]]
        assert np.hypot(*aside) <= STAND_OFF
        dx, dy, dz = thing.centre - place - (0, 1.5, 0)
        state = AgentState(place, math.atan2(-dx, -dz), math.atan2(dy, math.hypot(dx, dz)))
        pose = simulator.camera_pose(state)
        seen = simulator.renderer.render(building.mesh, pose, intrinsics, (LOOK, LOOK)).segment == number
        assert seen.mean() >= LEAST_SHARE
    assert (episode.goal[:, 0] > 0).all()  # the wall hides it from the other room
    assert observation["objectgoal"] == env.task.semantic_ids["sofa"]
    _, infos = follow(env)
    assert infos[-1]["success"]
    seen = env.task.observe(0)
    assert set(np.unique(seen["semantic"])) <= {0, *env.task.semantic_ids.values()}


def test_semantic_ids_are_those_of_the_goal(arguments):
    env = ObjectNavEnv(**arguments)
    observation, _ = env.reset(seed=0, options={"category": "sofa", "start": (1.4, 0, 1.0), "yaw": 0.0})
    segment = env.task.episode(0).views[0].segment
    (number,) = env.task.episode(0).place.building.of_category("sofa")
    assert (segment == number).sum() > 50
    sofa = observation["semantic"][..., 0] == observation["objectgoal"]
    np.testing.assert_array_equal(sofa, segment == number)


def test_episodes_are_drawn_as_habitat_lab_draws_them(arguments):
    env = PointNavEnv(**arguments)
    for seed in range(20):
        _, info = env.reset(seed=seed)
        episode = env.task.episode(0)
        assert 1 <= info["distance_to_goal"] <= 30
        assert abs(episode.start.position[1] - episode.goal[1]) <= 0.5
        assert episode.simulator.island(episode.goal) == 0


# ---- the map


def test_the_map_gains_what_the_potential_says(arguments):
    env = ExploreEnv(**arguments)
    _, first = env.reset(seed=0, options={"start": START, "yaw": 0.0})
    total, coverage = 0.0, [first["coverage"]]
    for action in [LEFT] * 35 + [FORWARD] * 3:
        _, reward, _, _, info = env.step(action)
        total += reward
        assert reward == pytest.approx(info["gain"])
        coverage.append(info["coverage"])
    assert total == pytest.approx(math.log(first["chamfer"] / info["chamfer"]))
    assert (np.diff(coverage) >= 0).all()
    assert coverage[-1] > 0.4 > coverage[0]


def test_all_that_can_be_seen_is_covered_by_seeing_it(arguments):
    env = ExploreEnv(**arguments)
    env.reset(seed=0)
    cloud, rng = env.task.episode(0).cloud, np.random.default_rng(1)
    simulator = env.task.episode(0).simulator
    for _ in range(150):
        pose = simulator.camera_pose(AgentState(simulator.sample(rng), rng.uniform(-3, 3)))
        view = env.render_view(pose)
        cloud.add(unproject(view.depth, view.intrinsics, view.cam_to_world)[view.depth > 0])
    figures = cloud.metrics()
    assert figures["coverage"] > 0.97
    assert figures["accuracy"] < 0.02


def test_the_map_stays_bounded(arguments):
    env = ExploreEnv(**arguments)
    env.reset(seed=0)
    sizes = []
    for step in range(400):
        env.step([LEFT, FORWARD, LEFT, FORWARD, FORWARD][step % 5])
        sizes.append(env.task.episode(0).cloud.tracker.count)
    surface = env.task.episode(0).place.building.mesh.areas.sum()
    assert sizes[-1] < 2 * surface / 0.05**2  # a plane has at most two layers of voxels at an odd angle
    assert sizes[-1] - sizes[200] < 0.1 * sizes[-1]


def test_no_map_where_none_is_wanted(arguments):
    env = PointNavEnv(**arguments, reconstruction="none", weights={"chamfer": 0})
    _, info = begin(env)
    assert not {"chamfer", "coverage", "gain"} & set(info)
    assert env.task.episode(0).cloud is None


def test_what_the_occupancy_map_says_is_so():
    vertices = furnished_room()
    mesh = trimesh.util.concatenate(vertices.dump())
    made = Mesh(
        np.asarray(mesh.vertices, np.float32), np.asarray(mesh.faces, np.int32),
        np.full((len(mesh.vertices), 3), 200, np.uint8),
    )  # fmt: skip
    simulator = BuiltinSimulator(made, image_size=128)
    plan = OccupancyMap(np.array([-2.2, -2.2]), np.array([2.2, 2.2]), 1.5, 0.1)
    rng = np.random.default_rng(0)
    for _ in range(60):
        state = simulator.reset(simulator.sample(rng), rng.uniform(-3, 3))
        plan.add(simulator.view(), state)
    rows, columns = np.indices(plan.grid.shape)
    x, z = plan.low[0] + (columns + 0.5) * 0.1, plan.low[1] + (rows + 0.5) * 0.1
    inside = (np.abs(x) < 1.9) & (np.abs(z) < 1.9)
    solid = (np.abs(x) < 0.1) & (z < 0.8) | (x > 0.8) & (x < 1.9) & (z > -1.9) & (z < -1.2)
    solid |= (x > -1.8) & (x < -1.3) & (z > -1.8) & (z < -1.3)
    border = np.zeros_like(solid)  # a cell beside a surface may be either
    for shift in (-1, 0, 1):
        for axis in (0, 1):
            border |= np.roll(solid, shift, axis) != solid
    free = inside & ~solid & ~border
    assert (plan.grid[free] == FREE).mean() > 0.95
    assert (plan.grid[inside & border] == OCCUPIED).mean() > 0.3
    assert (plan.grid[solid & ~border] != FREE).mean() > 0.9
    far = (np.abs(x) > 2.4) | (np.abs(z) > 2.4)
    assert (plan.grid[far] == UNKNOWN).all()


def test_the_crop_looks_along_the_heading():
    plan = OccupancyMap(np.array([-3.0, -3.0]), np.array([3.0, 3.0]), 1.5, 0.1)
    plan.grid[plan.cell(0.0, -2.0)] = OCCUPIED  # 2 m along -Z
    for yaw, row, column in ((0.0, 16, 32), (math.pi / 2, 32, 48), (-math.pi / 2, 32, 16), (math.pi, 48, 32)):
        picture = plan.crop(AgentState(np.zeros(3), yaw), np.array([0.0, -2.0]))
        rows, columns = np.nonzero(picture[..., 0])
        assert abs(rows.mean() - row) < 1.5
        assert abs(columns.mean() - column) < 1.5
        rows, columns = np.nonzero(picture[..., 3])
        assert abs(rows.mean() - row) < 1.5
        assert abs(columns.mean() - column) < 1.5
    beyond = plan.crop(AgentState(np.zeros(3), 0.0), np.array([20.0, -40.0]))[..., 3]
    rows, columns = np.nonzero(beyond)
    assert rows.min() == 0
    assert 32 < columns.mean() < 60


def test_the_wide_crop_has_all_that_is_in_its_cells():
    """A wall of one cell of the plan, which the wide map's cells are too wide to meet by their middles."""
    plan = OccupancyMap(np.array([-9.0, -9.0]), np.array([9.0, 9.0]), 1.5, 0.1)
    row, _ = plan.cell(0.0, -5.85)
    plan.grid[row] = OCCUPIED
    plan.grid[row - 1] = FREE
    narrow, wide = (plan.crop(AgentState(np.zeros(3), 0.0), width=width) for width in (0.125, 0.25))
    assert not narrow.any()  # it ends 4 m ahead
    assert wide[8, 1:-1, :2].all()  # 6 m ahead, both in one cell
    assert np.unique(np.nonzero(wide)[0]).tolist() == [8]
    rng = np.random.default_rng(0)
    for x, z, yaw in rng.uniform(-3, 3, (20, 3)):  # a single cell is seen from anywhere
        plan.grid[:] = 0
        plan.grid[plan.cell(*rng.uniform(-1, 1, 2))] = OCCUPIED
        assert 1 <= (plan.crop(AgentState(np.array([x, 0, z]), yaw), width=0.25)[..., 0] > 0).sum() <= 4
    goal = plan.crop(AgentState(np.zeros(3), 0.0), np.array([4.0, -6.0]), 0.25)[..., 3]
    assert np.argwhere(goal).mean(axis=0).round().tolist() == [8, 48]


def test_what_lies_beyond_the_low_side_of_the_occupancy_map_is_not_in_it():
    plan = OccupancyMap(np.zeros(2), np.full(2, 2.0), 1.5, 0.1)  # from -0.5 to 2.5 m
    intrinsics = np.array([[4.0, 0, 4], [0, 4, 4], [0, 0, 1]])
    corner = AgentState(np.array([-0.45, 0, -0.45]), 0.0)
    for right, forward in (((1, 0, 0), (0, 0, -1)), ((0, 0, -1), (-1, 0, 0))):
        pose = np.eye(4)
        pose[:3] = np.stack([right, (0, -1, 0), forward, (-0.45, 1.0, -0.45)], axis=1)
        for depth in (0.08, 1.0):  # 0.03 m beyond the border, and far
            view = View(np.zeros((8, 8, 3), np.uint8), np.full((8, 8), depth, np.float32), intrinsics, pose)
            plan.add(view, corner, np.ones((8, 8), bool))
    assert not (plan.grid == OCCUPIED).any()
    assert not plan.target.any()
    assert not plan.grid[:, 3:].any()
    assert not plan.grid[3:].any()
    crop = plan.crop(corner, np.array([-20.0, -20.0]))
    assert not crop[:30, :, :3].any()
    assert not crop[:, :30, :3].any()
    assert crop[:3, :3, 3].all()
    assert crop[..., 3].sum() == 9 * 255


# ---- features


def test_features_are_in_the_agents_frame(arguments):
    env = PointNavEnv(**{**arguments, "backbone": "unproject", "image_size": 56})
    begin(env)
    observation, *_ = env.step(FORWARD)
    assert observation["view_mask"].tolist() == [1, 1, 0, 0]
    assert not observation["features"][2:].any()
    episode = env.task.episode(0)
    frame = np.linalg.inv(agent_frame(episode.state))
    newest = episode.views[0]
    local = (frame @ newest.cam_to_world).astype(np.float64)
    np.testing.assert_allclose(local[:3, 3], [0, 1.5, 0], atol=1e-6)
    np.testing.assert_allclose(local[:3, 2], [0, 0, -1], atol=1e-6)
    older = frame @ episode.views[1].cam_to_world
    np.testing.assert_allclose(older[:3, 3], [0, 1.5, 0.25], atol=1e-6)
    window = stack_views([stack_views([view.moved(frame) for view in episode.views])])
    tokens = Unproject().encode(window, np.ones((1, 2), bool)).tokens.mean(dim=2)[0].numpy()
    mean, std = Unproject().statistics("agent", "mean")
    expected = np.clip((tokens - mean) / std, -10, 10)
    np.testing.assert_allclose(observation["features"][:2], expected, rtol=1e-5, atol=1e-5)


def test_batched_features_equal_single_ones(arguments):
    given = {**arguments, "backbone": "unproject", "image_size": 56}
    envs, env = PointNavVectorEnv(3, **given), PointNavEnv(**given)
    observations, _ = envs.reset(seed=5)
    rng = np.random.default_rng(0)
    seen = []
    plan = rng.integers(1, 4, (6, 3))
    for actions in plan:
        seen.append(envs.step(actions)[0]["features"])
    single, _ = env.reset(seed=6)
    np.testing.assert_array_equal(single["features"], observations["features"][1])
    for k, actions in enumerate(plan):
        np.testing.assert_array_equal(env.step(actions[1])[0]["features"], seen[k][1])


# ---- replays


def test_a_state_is_a_trajectory(arguments):
    env = PointNavEnv(**arguments, observations=["rgb", "map", "pointgoal"])
    begin(env)
    for _ in range(6):
        env.step(FORWARD)
    state, expected, info = env.get_state(), env.task.observe(0), env.task.info(0)
    assert len(pickle.dumps(state)) < 5_000  # no pictures in it
    other = PointNavEnv(**arguments, observations=["rgb", "map", "pointgoal"])
    other.set_state(state)
    for key, value in expected.items():
        np.testing.assert_array_equal(other.task.observe(0)[key], value)
    assert {k: str(v) for k, v in other.task.info(0).items()} == {k: str(v) for k, v in info.items()}


def test_rows_in_one_building_do_not_disturb_each_other(arguments):
    envs = PointNavVectorEnv(2, **arguments)
    envs.reset(seed=1)
    env = PointNavEnv(**arguments)
    env.reset(seed=2)
    for action in (FORWARD, LEFT, FORWARD, FORWARD, RIGHT, FORWARD):
        *_, infos = envs.step(np.array([RIGHT, action]))
        *_, info = env.step(action)
        np.testing.assert_array_equal(infos["position"][1], info["position"])
        assert infos["yaw"][1] == info["yaw"]
        assert infos["chamfer"][1] == info["chamfer"]


def test_a_simulator_of_ones_own(building, arguments):
    made = []

    def mine(building: Building, **settings):
        made.append(building.name)
        renderer = settings.pop("renderer")
        assert renderer == "builtin"
        return BuiltinSimulator(building.mesh, **settings)

    env = PointNavEnv(**arguments, simulator=mine)
    begin(env)
    assert made == ["room"]
    _, infos = follow(env)
    assert infos[-1]["success"]


# ---- bad input


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scenes": 3}, "scenes: got 3"),
        ({"scenes": "/no/such/place"}, "scenes: .* does not exist"),
        ({"split": "tset"}, "split: got 'tset'"),
        ({"simulator": "gazebo"}, "simulator: got 'gazebo'"),
        ({"renderer": "opengl"}, "renderer: got 'opengl'"),
        ({"action": "jump"}, "action: got 'jump'"),
        ({"hfov": 200}, "hfov: got 200"),
        ({"camera_height": -1}, "camera_height: got -1"),
        ({"agent_radius": 0}, "agent_radius: got 0"),
        ({"agent_height": math.nan}, "agent_height: got nan"),
        ({"max_steps": 0}, "max_steps: got 0"),
        ({"max_depth": 0}, "max_depth: got 0"),
        ({"window": 0}, "window: got 0"),
        ({"num_buildings": 0}, "num_buildings: got 0"),
        ({"weights": {"speed": 1}}, "weights: got 'speed'; expected one of 'chamfer'"),
        ({"weights": {"slack": -1}}, r"weights\['slack'\]: got -1"),
        ({"weights": 3}, "weights: got 3"),
        ({"reward": "speed"}, "reward: got 'speed'"),
        ({"reconstruction": "none"}, "reconstruction: got 'none', but the reward"),
        ({"reconstruction": "backbone"}, "reconstruction: got 'backbone' with backbone=None"),
        ({"observations": ["lidar"]}, "observations: got 'lidar'"),
        ({"observations": []}, "observations: got none"),
        ({"observations": ["imagegoal"]}, "observations: got 'imagegoal'"),
        ({"categories": "sofa"}, "categories: got 'sofa'"),
        ({"image_size": 8}, "image_size: got 8"),
        ({"cache_dir": 5}, "cache_dir: got 5"),
        ({"action": "velocity", "turn_step": 0.5}, "action: got 'velocity' with forward_step=0.25"),
    ],
)
def test_bad_arguments(arguments, changes, message):
    with pytest.raises(ValueError, match=message):
        PointNavEnv(**{**arguments, **changes})


def test_an_unknown_argument_is_named(arguments):
    with pytest.raises(TypeError, match=r"unexpected argument 'turn_stp' \(did you mean 'turn_step'\?\)"):
        PointNavEnv(**arguments, turn_stp=3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"start": (9, 0, 9)},
            r"options\['start'\]: got \(9.000, 0.000, 9.000\); expected a navigable point",
        ),
        ({"goal": (0, 0, 0)}, r"options\['goal'\]: got .*the nearest is"),  # in the wall
        ({"goal": (1, 2.5, 1)}, r"options\['goal'\]: got .*no floor at this height"),
        ({"start": "here"}, r"options\['start'\]: got 'here'"),
        ({"start": (0, 0)}, r"options\['start'\]: got \(0, 0\)"),
        ({"start": (math.nan, 0, 0)}, r"options\['start'\]: got .*finite"),
        ({"yaw": "north"}, r"options\['yaw'\]: got 'north'"),
        ({"yaw": math.inf}, r"options\['yaw'\]: got inf"),
        ({"category": "sofa"}, "options: got 'category'; expected one of 'building'"),
        ({"building": "castle"}, "building: got 'castle', not in"),
        ({"building": 7}, "building: got 7, expected 0 to 0"),
    ],
)
def test_bad_options_change_nothing(arguments, options, message):
    env = PointNavEnv(**arguments)
    begin(env)
    env.step(FORWARD)
    before = env.task.info(0)
    with pytest.raises(ValueError, match=message):
        env.reset(options=options)
    assert str(env.task.info(0)) == str(before)
    env.step(FORWARD)


def test_an_end_just_outside_is_snapped_and_said_to_be(arguments):
    """In the radius round the wall z = 2: by 4.5 cm, as simulators differ about borders, but not by 5.5."""
    env = PointNavEnv(**arguments)
    _, info = begin(env, start=(-1.0, 0.0, 1.945))
    np.testing.assert_allclose(info["position"], [-1, 0, 1.9], atol=1e-6)
    assert info["snapped"] == pytest.approx(0.045, abs=1e-5)
    env.set_state(env.get_state())
    assert env.step(FORWARD)[4]["snapped"] == info["snapped"]
    assert begin(env, start=(-1, 0.1, 1.92), goal=(1, 0, 1.93))[1]["snapped"] == pytest.approx(0.03, abs=1e-5)
    assert begin(env)[1]["snapped"] == 0
    assert env.reset()[1]["snapped"] == 0
    for end, other in (("start", 1.0), ("goal", -1.0)):
        with pytest.raises(ValueError, match=rf"options\['{end}'\]: got .* the nearest is 0.055 m away"):
            begin(env, **{end: (other, 0, 1.955)})


def test_unreachable_goals_are_refused(tmp_path):
    scene = furnished_room()
    wall = trimesh.creation.box(bounds=[(-0.1, -0.05, -2), (0.1, 2.5, 2)])
    scene.add_geometry(wall, node_name="wall_6", geom_name="wall_6")
    scene.export(tmp_path / "shut.glb")
    env = PointNavEnv(scenes=str(tmp_path / "shut.glb"), image_size=32, backbone=None)
    with pytest.raises(ValueError, match=r"options\['goal'\]: got .*cannot be reached from"):
        begin(env)
    for end, other in (("start", "goal"), ("goal", "start")):  # the room with the sofa is the smaller one
        message = (
            rf"options\['{end}'\]: got \[1.0, 0.0, 1.5\], which is not on the largest island, where a {other}"
        )
        with pytest.raises(NoEpisode, match=message):
            env.reset(options={end: GOAL})


def test_what_has_no_other_end_is_named(arguments, monkeypatch):
    monkeypatch.setattr("spatial_envs.navigation.goals.NEAREST", 20.0)  # metres: more than the building has
    given = {**arguments, "reconstruction": "none", "weights": {"chamfer": 0}}
    env = PointNavEnv(**given)
    for end, other in (("start", "goal"), ("goal", "start")):
        message = rf"options\['{end}'\]: got \[1.0, 0.0, 1.5\], but no {other} 20 to 30 m from it"
        with pytest.raises(NoEpisode, match=message):
            env.reset(options={end: GOAL})
    env = ObjectNavEnv(**given)
    message = r"options\['category'\]: got 'sofa' in room: no start 20 to 30 m from where a sofa is seen"
    with pytest.raises(NoEpisode, match=message):
        env.reset(options={"category": "sofa"})
    with pytest.raises(NoEpisode, match="scenes: ObjectNav cannot run in room: no start 20 to 30 m"):
        env.reset(seed=0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (trimesh.creation.icosphere(radius=0.3).export(file_type="glb"), BALL),
        (b"glTF and then nothing", r"one.glb"),
    ],
)
def test_one_file_that_cannot_be_walked_is_an_error_at_once(tmp_path, content, message):
    """Also where it is all that is left of a folder."""
    (tmp_path / "one.glb").write_bytes(content)
    (tmp_path / "two.glb").write_bytes(b"")
    for scenes, most in ((tmp_path / "one.glb", None), (tmp_path, 1)):
        with pytest.raises(MeshError, match=message):
            gym.make(
                "spatial_envs:PointNav-Habitat-v0", scenes=str(scenes), num_buildings=most, backbone=None
            )


def test_objects_without_semantics_and_unknown_categories(arguments, tmp_path):
    mesh = trimesh.util.concatenate(furnished_room().dump())
    mesh.export(tmp_path / "plain.glb")
    with pytest.raises(ValueError, match=r"ObjectNav cannot run in plain: .*semantics"):
        ObjectNavEnv(scenes=str(tmp_path / "plain.glb"), image_size=32, backbone=None)
    env = ObjectNavEnv(**arguments)
    with pytest.raises(ValueError, match=r"options\['category'\]: got 'unicorn'; expected one of 'chair'"):
        env.reset(seed=0, options={"category": "unicorn"})
    with pytest.raises(ValueError, match="category: got 'bed', not in room; its categories: chair, sofa"):
        env.reset(seed=0, options={"category": "bed"})
    with pytest.raises(ValueError, match=r"ObjectNav cannot run in room: its categories: chair, sofa"):
        ObjectNavEnv(**arguments, categories=["bed", "toilet"])


def test_a_set_passes_over_buildings_that_cannot_be_used(tmp_path):
    furnished_room().export(tmp_path / "good.glb")
    trimesh.creation.icosphere(radius=0.3).export(tmp_path / "ball.glb")
    trimesh.util.concatenate(furnished_room().dump()).export(tmp_path / "plain.glb")
    given = {"scenes": str(tmp_path), "image_size": 32, "backbone": None, "cache_dir": str(tmp_path / "kept")}
    for env_type, names in ((PointNavEnv, {"good", "plain"}), (ObjectNavEnv, {"good"})):
        env = env_type(**given)
        with pytest.warns(UserWarning, match=r"ball|plain"):
            found = {env.reset(seed=seed)[1]["building"] for seed in range(12)}
        assert found == names


def test_a_set_passes_over_buildings_without_room_for_an_episode(tmp_path):
    """Named and counted once; what is drawn then does not depend on when that was noticed."""
    furnished_room().export(tmp_path / "good.glb")
    trimesh.creation.box((1.6, 0.1, 1.6)).export(tmp_path / "slab.glb")  # no two places are 1 m apart
    given = {"scenes": str(tmp_path), "image_size": 32, "backbone": None, "agent_radius": 0.5}
    env = PointNavEnv(**given, reconstruction="none", weights={"chamfer": 0})
    said = r"skipped 1 of 2 files: .*slab\.glb: no start and goal 1 to 30 m apart .* square metres"
    with pytest.warns(UserWarning, match=said) as warned:
        infos = [env.reset(seed=seed)[1] for seed in range(8)]
    assert len(warned) == 1
    assert {info["building"] for info in infos} == {"good"}
    for seed, info in enumerate(infos):
        np.testing.assert_array_equal(env.reset(seed=seed)[1]["position"], info["position"])
    with pytest.warns(UserWarning, match=r"passes over a building: .*slab\.glb"):
        scores = evaluate(GOALS, env, Random(env), 2)
    assert scores.scenes.tolist() == [0, 0]


def test_no_reset_fails_in_a_building_where_the_first_did_not(tmp_path):
    """In a small bare room one pair of places in hundreds will do: a draw that finds none falls back on one
    that did. Where there are none at all the first reset says so, and which body would have room."""
    given = {"image_size": 32, "backbone": None, "reconstruction": "none", "weights": {"chamfer": 0}}
    trimesh.creation.box((2.5, 0.1, 2.5)).export(tmp_path / "bare.glb")
    trimesh.creation.box((1.5, 0.1, 1.5)).export(tmp_path / "tiny.glb")
    env = PointNavEnv(scenes=str(tmp_path / "bare.glb"), agent_radius=0.4, **given)
    infos = [env.reset(seed=seed)[1] for seed in range(12)]
    assert len({tuple(info["position"]) for info in infos}) < 12  # a few have fallen back
    assert all(info["distance_to_goal"] >= 1 for info in infos)
    env = PointNavEnv(scenes=str(tmp_path / "tiny.glb"), agent_radius=0.5, **given)
    said = r"tiny\.glb: no start and goal .*, 0\.2 square metres; no body has 2"
    with pytest.raises(NoEpisode, match=said):
        env.reset(seed=0)


def test_what_was_completed_is_bumped_into_and_never_covered(tmp_path):
    scene = furnished_room()
    box = trimesh.creation.box(bounds=[(-1, 0.001, 0.8), (-0.6, 1, 1.3)])
    scene.add_geometry(box, node_name="wall_unseen_1", geom_name="wall_unseen_1")
    scene.export(tmp_path / "room.glb")
    (tmp_path / "room.floors.json").write_text('{"floors": [0]}')
    building = open_buildings(str(tmp_path / "room.glb")).load(0)
    assert building.floors == (0.0,)
    assert building.categories == ("chair", "sofa")
    simulator = BuiltinSimulator(building.mesh, floors=building.floors)
    with pytest.raises(ValueError, match="expected a navigable point"):
        simulator.snap(np.array([-0.8, 0, 1.0]))
    reference = building_reference(building, simulator, horizontal_intrinsics(90, (64, 64)), (64, 64), (0.0,))
    low, high = np.array([-1.01, 0.01, 0.79]), np.array([-0.59, 1.01, 1.31])
    scored, dense = (
        ((low < points) & (points < high)).all(axis=1).mean()
        for points in (reference.points, reference.dense.points)
    )
    assert scored == 0
    assert dense > 0.01
    for content in ("[0]", '{"floors": []}', '{"floors": ["low"]}', '{"floors": [NaN]}', "{"):
        (tmp_path / "room.floors.json").write_text(content)
        with pytest.raises(MeshError, match=r"room\.floors\.json"):
            open_buildings(str(tmp_path / "room.glb")).load(0)


def test_a_refused_reset_draws_nothing(arguments):
    env = PointNavEnv(**arguments)
    env.reset(seed=3)
    expected = env.np_random.bit_generator.state
    with pytest.raises(ValueError, match=r"options\['start'\]"):
        env.reset(options={"start": (50, 0, 0)})
    assert env.np_random.bit_generator.state == expected


def test_a_stop_after_a_collision_collides_no_more(arguments):
    env = PointNavEnv(**arguments, action="velocity")
    begin(env, start=(-1, 0, 1.85), yaw=math.pi)
    *_, info = env.step(np.array([1, 0], np.float32))
    assert (info["collided"], info["collisions"]) == (True, 1)
    *_, info = env.step(np.array([-1, 0], np.float32))
    assert (info["collided"], info["collisions"]) == (False, 1)


def test_turning_at_a_wall_is_no_collision_though_it_slips(arguments):
    env = PointNavEnv(**arguments, randomise={"actuation_noise": 1})
    begin(env, start=(-1, 0, 1.9), yaw=math.pi)
    for _ in range(6):
        *_, info = env.step(LEFT)
    assert info["collisions"] == 0


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("goal", None, r"state\['task'\]\['goal'\]: got None"),
        ("goal", np.zeros((2, 3)), r"state\['task'\]\['goal'\]: got array"),
        ("goal", np.array([9.0, 0, 9]), r"state\['task'\]\['goal'\]: got \(9"),
        ("shortest", None, r"state\['task'\]\['shortest'\]: got None"),
        ("gain", "x", r"state\['task'\]\['gain'\]: got 'x'"),
        ("goal_yaw", None, r"state\['task'\]\['goal_yaw'\]: got None"),
        ("seed", -1, r"state\['task'\]\['seed'\]: got -1"),
        ("stopped", "no", r"state\['task'\]\['stopped'\]: got 'no'"),
        ("trajectory", [], r"state\['task'\]\['trajectory'\]: got 0 states"),
        ("trajectory", [(START, "n", 0.0, False)], r"state\['task'\]\['trajectory'\]: got .*yaw"),
        ("building", "castle", "building: got 'castle'"),
    ],
)
def test_bad_states_change_nothing(arguments, key, value, message):
    env = PointNavEnv(**arguments)
    begin(env)
    env.step(FORWARD)
    before, state = str(env.task.info(0)), env.get_state()
    with pytest.raises(ValueError, match=message):
        env.set_state({**state, "task": {**state["task"], key: value}})
    assert str(env.task.info(0)) == before
    env.step(FORWARD)


@pytest.mark.parametrize("action", [4, -1, 1.0, [1], None, "forward"])
def test_bad_actions_change_nothing(arguments, action):
    env = PointNavEnv(**arguments)
    begin(env)
    before = str(env.task.info(0))
    with pytest.raises(ValueError, match="action: got"):
        env.step(action)
    assert str(env.task.info(0)) == before


# ---- what differs from a robot


EVERYTHING = {
    "textures": True, "light": True, "camera_height": 0.2, "hfov": 10, "depth_noise": 1, "actuation_noise": 1,
}  # fmt: skip


def test_randomised_episodes_differ_and_can_be_played_again(arguments):
    env, plain = PointNavEnv(**arguments, randomise=EVERYTHING), PointNavEnv(**arguments)
    seen = [begin(env)[0], env.reset(options={"start": START, "yaw": YAW, "goal": GOAL})[0], begin(plain)[0]]
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert (seen[a]["rgb"] != seen[b]["rgb"]).mean() > 0.5
        assert (seen[a]["depth"] != seen[b]["depth"]).mean() > 0.5
    begin(env)
    for _ in range(4):
        *_, info = env.step(FORWARD)
    assert abs(info["position"][2] - 0.5) > 1e-3  # it walked too far
    state, expected = env.get_state(), env.task.observe(0)
    begin(plain)
    env.set_state(state)
    for key, value in expected.items():
        np.testing.assert_array_equal(env.task.observe(0)[key], value)


def test_randomise_is_checked(arguments):
    with pytest.raises(ValueError, match="randomise: got the key 'fog'"):
        PointNavEnv(**arguments, randomise={"fog": 1})
    with pytest.raises(ValueError, match=r"randomise\['depth_noise'\]: got 3"):
        PointNavEnv(**arguments, randomise={"depth_noise": 3})

    class NotBuiltin:
        name = "other"

        def __init__(self, building, renderer, **settings):
            self.inner = BuiltinSimulator(building.mesh, **settings)

        def __getattr__(self, key):
            return getattr(self.inner, key)

    env = PointNavEnv(**arguments, simulator=NotBuiltin, randomise={"hfov": 5})
    with pytest.raises(ValueError, match=r"randomise: textures, .* need simulator='builtin', got 'other'"):
        env.reset(seed=0)


def test_habitat_is_asked_for_when_the_environment_is_made(arguments):
    if importlib.util.find_spec("habitat_sim") is not None:
        pytest.skip("habitat_sim is installed here; tests/simulators/test_habitat.py uses it")
    with pytest.raises(ImportError, match=r"needs the package habitat_sim, .* see https://github.com"):
        PointNavEnv(**arguments, simulator="habitat")


def test_the_goal_is_marked_over_the_agents_head_too():
    """A television on the wall, above an agent of half a metre: no obstacle, but what it seeks."""
    plan = OccupancyMap(np.full(2, -3.0), np.full(2, 3.0), 0.5, 0.1)
    pose = np.array([[1.0, 0, 0, 0], [0, -1, 0, 1.0], [0, 0, -1, 0], [0, 0, 0, 1]])
    intrinsics = np.array([[4.0, 0, 4], [0, 4, 4], [0, 0, 1]])
    view = View(np.zeros((8, 8, 3), np.uint8), np.full((8, 8), 2.05, np.float32), intrinsics, pose)
    marked = np.zeros((8, 8), bool)
    marked[1] = True  # about 2.2 m up
    plan.add(view, AgentState(np.zeros(3), 0.0), marked)
    assert np.unique(np.nonzero(plan.target)[0]).tolist() == [plan.cell(0.0, -2.05)[0]]
    plan.grid[:] = UNKNOWN
    view.depth[2:] = 0  # what is lower was not measured
    plan.add(view, AgentState(np.zeros(3), 0.0), marked)
    assert not (plan.grid == OCCUPIED).any()
