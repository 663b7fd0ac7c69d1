"""Episodes from files in habitat-lab's form: the same starts, goals, success and SPL."""

import copy
import gzip
import json
import math

import gymnasium as gym
import numpy as np
import pytest
from buildings import furnished_room

from agents.navigation.evaluation import begin
from spatial_envs.navigation import ExploreEnv, ImageNavEnv, ObjectNavEnv, PointNavEnv
from spatial_envs.navigation.episode_files import EpisodeFile, Listed, write_episodes
from spatial_envs.simulators.simulator import FORWARD, LEFT, STOP

AHEAD, BACK = [0, 0, 0, 1], [0, 1, 0, 0]  # quaternions (x, y, z, w): along -Z, and turned by 180 degrees
POINTS = {  # as in habitat-lab's val.json.gz of its test scenes: 2 m straight on, and 2 m behind
    "episodes": [
        {
            "episode_id": name, "scene_id": "data/scene_datasets/habitat-test-scenes/room.glb",
            "start_position": [1.0, 0.1, 1.5], "start_rotation": turned, "shortest_paths": None,
            "info": {"geodesic_distance": 2.0, "difficulty": "easy"}, "start_room": None,
            "goals": [{"position": [1.0, 0.1, -0.5], "radius": None}],
        }
        for name, turned in (("7", AHEAD), ("8", BACK))
    ]
}  # fmt: skip
THINGS = {  # as its ObjectNav files
    "episodes": [
        {
            "episode_id": "0", "scene_id": "hm3d/val/00800-room/room.basis.glb", "object_category": "sofa",
            "start_position": [1.0, 0.0, 1.5], "start_rotation": AHEAD, "goals": [], "info": {},
        }
    ],
    "category_to_task_category_id": {"sofa": 5},
    "goals_by_category": {
        "room.basis.glb_sofa": [
            {
                "object_category": "sofa", "position": [1.3, 0.4, -1.5], "object_id": 3,
                "view_points": [
                    {"agent_state": {"position": [1.0, 0.05, -0.5], "rotation": AHEAD}, "iou": 0.1},
                    {"agent_state": {"position": [1.3, 0.0, -1.5], "rotation": AHEAD}, "iou": 0.1},
                ],
            }
        ]
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def rooms(tmp_path_factory):
    """Two folders with a building each, of the same file name."""
    folder = tmp_path_factory.mktemp("rooms")
    for name in ("one", "two"):
        (folder / name).mkdir()
        furnished_room().export(folder / name / "room.glb")
    return folder


@pytest.fixture
def common(rooms, tmp_path):
    return {
        "scenes": str(rooms / "one" / "room.glb"), "image_size": 32, "backbone": None,
        "cache_dir": str(tmp_path), "weights": {"chamfer": 0.0}, "reconstruction": "none",
    }  # fmt: skip


def written(path, content):
    data = json.dumps(content).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def walk(env, actions):
    for action in actions:
        *_, info = env.step(action)
    return info


@pytest.mark.parametrize("name", ["val.json", "val.json.gz"])
def test_a_file_of_pointnav_plays_as_it_is(common, tmp_path, name):
    env = PointNavEnv(**common, episodes=written(tmp_path / name, POINTS))
    observation, info = env.reset(seed=0, options={"episode": "7"})
    np.testing.assert_allclose(info["position"], (1.0, 0.0, 1.5), atol=1e-6)
    np.testing.assert_allclose(observation["pointgoal"], (2.0, 0.0), atol=1e-5)
    assert (info["episode_id"], info["snapped"]) == ("7", pytest.approx(0, abs=1e-6))
    info = walk(env, [FORWARD] * 8 + [STOP])
    assert info["success"]
    assert info["spl"] == pytest.approx(1.0)
    _, info = env.reset(seed=0, options={"building": 0, "episode": 1})
    assert (info["episode_id"], abs(info["yaw"])) == ("8", pytest.approx(math.pi))
    info = walk(env, [FORWARD] + [LEFT] * 18 + [FORWARD] * 9 + [STOP])
    assert info["success"]
    assert info["spl"] == pytest.approx(2.0 / 2.5)  # a quarter of a metre there, and back
    _, info = env.reset(seed=0, options={"episode": "7"})
    info = walk(env, [FORWARD] * 7 + [STOP])
    assert (info["success"], info["spl"]) == (False, 0.0)
    assert info["soft_spl"] == pytest.approx(1.75 / 2)


def test_episodes_are_drawn_and_a_table_plays_them_in_turn(common, tmp_path):
    env = PointNavEnv(**common, episodes=written(tmp_path / "val.json", POINTS))
    drawn = [env.reset(seed=seed)[1]["episode_id"] for seed in range(12)]
    assert {*drawn} == {"7", "8"}
    assert drawn == [env.reset(seed=seed)[1]["episode_id"] for seed in range(12)]
    assert [begin(env, start)[1]["episode_id"] for start in range(4)] == ["7", "8", "7", "8"]
    env.step(FORWARD)
    state, info = env.get_state(), env.task.info(0)
    env.reset(seed=1)
    env.set_state(state)
    assert str(env.task.info(0)) == str(info)
    wrapped = gym.wrappers.RecordEpisodeStatistics(env)  # which calls its own figures "episode"
    wrapped.reset(options={"episode": "8"})
    *_, info = wrapped.step(STOP)
    assert (info["episode_id"], info["episode"]["l"]) == ("8", 1)


def test_a_file_of_objectnav_plays_as_it_is(common, tmp_path):
    env = ObjectNavEnv(**common, episodes=written(tmp_path / "val.json.gz", THINGS))
    _, info = env.reset(seed=0)
    episode = env.task.episode(0)
    np.testing.assert_allclose(episode.goal, [(1.0, 0.0, -0.5)], atol=1e-6)  # the other is in the sofa
    assert (episode.category, info["distance_to_goal"]) == ("sofa", pytest.approx(2.0))
    info = walk(env, [FORWARD] * 8 + [STOP])
    assert (info["success"], info["spl"]) == (True, pytest.approx(1.0))
    inline = copy.deepcopy(THINGS)
    inline["episodes"][0]["goals"] = inline.pop("goals_by_category")["room.basis.glb_sofa"]
    env = ObjectNavEnv(**common, episodes=written(tmp_path / "inline.json", inline))
    assert env.reset(seed=0)[1]["distance_to_goal"] == pytest.approx(2.0)
    with pytest.raises(ValueError, match=r"categories: got chair; expected 'sofa' as well, for ep"):
        ObjectNavEnv(**common, episodes=tmp_path / "inline.json", categories=["chair"]).reset(seed=0)


def test_pictures_and_exploration_begin_where_a_file_says(common, tmp_path):
    turned = copy.deepcopy(POINTS)
    turned["episodes"][0]["goals"][0]["rotation"] = [0, math.sin(0.25), 0, math.cos(0.25)]
    path = written(tmp_path / "val.json", turned)
    env = ImageNavEnv(**common, episodes=path)
    env.reset(seed=0, options={"episode": "7"})
    assert env.get_state()["task"]["goal_yaw"] == pytest.approx(0.5)
    headings = []
    for seed in (0, 1):  # drawn from the name, not from the seed
        env.reset(seed=seed, options={"episode": "8"})
        headings.append(env.get_state()["task"]["goal_yaw"])
    assert headings[0] == headings[1]
    _, info = ExploreEnv(
        **{**common, "reconstruction": "depth", "weights": None}, episodes=path
    ).reset(seed=0, options={"episode": "8"})  # fmt: skip
    np.testing.assert_allclose(info["position"], (1.0, 0.0, 1.5), atol=1e-6)


def test_a_folder_of_content_is_read_scene_by_scene(common, rooms, tmp_path):
    written(tmp_path / "val.json.gz", {"episodes": []})
    (tmp_path / "content").mkdir()
    written(tmp_path / "content" / "room.json.gz", POINTS)
    (tmp_path / "content" / "elsewhere.json.gz").write_bytes(b"never read")
    env = PointNavEnv(**common, episodes=tmp_path / "val.json.gz")
    assert env.reset(seed=0, options={"episode": "8"})[1]["episode_id"] == "8"


def test_of_files_with_one_name_the_folders_decide(common, rooms, tmp_path):
    there = copy.deepcopy(POINTS)
    there["episodes"][1]["scene_id"] = "data/two/room.glb"
    there["episodes"].pop(0)
    env = PointNavEnv(**{**common, "scenes": str(rooms)}, episodes=written(tmp_path / "val.json", there))
    assert len(env.task.buildings) == 1
    assert "two" in env.reset(seed=0)[1]["building"]


def test_what_cannot_be_played_is_named(common, tmp_path):
    def made(change, env=PointNavEnv, content=POINTS):
        changed = copy.deepcopy(content)
        change(changed)
        return env(**common, episodes=written(tmp_path / "bad.json", changed))

    for change, env, message in (
        (lambda c: c.pop("episodes"), PointNavEnv, "bad.json: no list under 'episodes'"),
        (lambda c: c["episodes"][1].pop("goals"), PointNavEnv, r"episodes\[1\]: KeyError: 'goals'; expected"),
        (lambda c: c["episodes"][0].update(start_rotation=[0] * 4), PointNavEnv, "expected a quaternion"),
        (lambda c: c["episodes"][0].update(start_position=[0, None, 0]), PointNavEnv, r"episodes\[0\]:"),
        (lambda c: [e.update(scene_id="x.glb") for e in c["episodes"]], PointNavEnv, "has episodes in x.glb"),
        (lambda c: None, ObjectNavEnv, r"KeyError: 'object_category'; expected.*view points"),
    ):
        with pytest.raises(ValueError, match=message):
            made(change, env)
    for data in (b"", b"{", gzip.compress(b"{}")[:-4], b"\xff\xfe", b"[" * 100_000):
        (tmp_path / "bad.json.gz").write_bytes(data)
        with pytest.raises(ValueError, match=r"bad\.json\.gz: .*expected habitat-lab's"):
            PointNavEnv(**common, episodes=tmp_path / "bad.json.gz")
    with pytest.raises(ValueError, match="does not exist; expected a file"):
        PointNavEnv(**common, episodes=tmp_path / "none.json")
    with pytest.raises(ValueError, match="episodes: got 3; expected a path"):
        PointNavEnv(**common, episodes=3)
    env = made(lambda c: c["episodes"][0].update(episode_id="8"))
    for options, message in (
        ({"episode": "8"}, "got '8', which bad.json has 2 times"),
        ({"episode": "x"}, "got 'x', which bad.json has 0 times"),
        ({"episode": 0}, "got 0, and no building"),
        ({"building": 0, "episode": 2}, r"options\['episode'\]: got 2"),
        ({"start": (0, 0, 0)}, "options: got 'start'; expected one of 'building', 'episode'"),
    ):
        with pytest.raises(ValueError, match=message):
            env.reset(seed=0, options=options)


def test_an_episode_outside_of_free_space_is_passed_over_unless_asked_for(common, tmp_path):
    outside = copy.deepcopy(POINTS)
    outside["episodes"][0]["start_position"] = [9.0, 0.0, 9.0]
    env = PointNavEnv(**common, episodes=written(tmp_path / "val.json", outside))
    assert {env.reset(seed=seed)[1]["episode_id"] for seed in range(8)} == {"8"}
    with pytest.raises(ValueError, match=r"episodes: '7' in room: start: got \(9"):
        env.reset(seed=0, options={"episode": "7"})


def test_what_is_written_is_read_again(common, rooms, tmp_path):
    listed = [
        Listed("a", "room", np.array([1.0, 0, 1.5]), 2.5, np.array([1.0, 0, -0.5]), -1.0, ""),
        Listed("b", "room", np.array([1.0, 0, 1.5]), -2.5, np.array([[1.0, 0, -0.5]]), 0.0, "sofa"),
    ]
    for kind, each in (("point", listed[0]), ("image", listed[0]), ("object", listed[1])):
        path = tmp_path / f"{kind}.json.gz"
        write_episodes(path, kind, [each])
        before = path.read_bytes()
        write_episodes(path, kind, [each])
        assert path.read_bytes() == before
        (found,) = EpisodeFile(path, kind, {"room": "room"}).of("room")
        np.testing.assert_allclose(found.start, each.start)
        np.testing.assert_allclose(found.goal, each.goal)
        assert (found.name, found.category) == (each.name, each.category)
        assert found.yaw == pytest.approx(each.yaw)
        if kind == "image":
            assert found.goal_yaw == pytest.approx(-1.0)
