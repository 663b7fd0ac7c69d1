"""The video-fitting environment: what its page says, rewards, cameras, and bad input."""

import gymnasium as gym
import numpy as np
import pytest

import spatial_envs  # noqa: F401
from agents.video_fit.baselines import FITTERS
from agents.video_fit.evaluation import score
from agents.video_fit.search import BlindSearch
from spatial_envs.prototypes.tracks import SPEED
from spatial_envs.video_fit import VideoFitEnv

ID = "VideoFit-Prototype-v0"
SMALL = {
    "split": "validation", "num_objects": 2, "slots": 3, "frames": 5, "steps": 6, "points": 64,
    "backbone": None,
}  # fmt: skip


def played(env, actions):
    rewards = []
    for action in actions:
        _, reward, *_, info = env.step(action)
        rewards.append(reward)
    return rewards, info


def test_spaces_are_as_the_page_says():
    env = gym.make(ID, backbone=None)
    shapes = {key: space.shape for key, space in env.observation_space.spaces.items()}
    assert shapes == {
        "motion": (6, 29), "slots": (6, 10, 7), "residuals": (6, 10, 22), "times": (10,), "camera": (10, 6),
        "turn": (6,), "remaining": (1,),
    }  # fmt: skip
    assert env.action_space.shape == (30,)
    assert gym.make(ID, backbone=None, segments=2).action_space.shape == (40,)
    assert gym.make(ID, backbone=None, camera="estimated").action_space.shape == (36,)
    frames = gym.make(ID, backbone=None, action="frame", observations="all")
    assert frames.action_space.shape == (21,)
    assert {"logits", "frame_turn", "rgb", "fit_depth"} <= set(frames.observation_space.spaces)
    features = gym.make(ID, backbone="unproject", frames=4).observation_space["features"]
    assert features.shape == (4, 32)


@pytest.mark.parametrize("arguments", [{}, {"action": "frame"}, {"camera": "estimated", "segments": 2}])
def test_rewards_add_up_to_the_gain_of_the_potential(arguments):
    env = VideoFitEnv(**SMALL, **arguments)
    env.reset(seed=3)
    before = env.task.episode(0).figures["full"]
    rng = np.random.default_rng(0)
    actions = [np.r_[-0.3, rng.uniform(-1, 1, env.action_space.shape[0] - 1)] for _ in range(6)]
    rewards, info = played(env, actions)
    state = env.task.episode(0).state
    assert sum(rewards) == pytest.approx(state.figures()["full"] - before)
    assert info["steps"] == 6
    assert np.isfinite(info["motion"])


def test_tracks_take_turns_and_a_step_moves_one():
    env = VideoFitEnv(**SMALL)
    observation, _ = env.reset(seed=1)
    assert observation["turn"].tolist() == [1, 0, 0]
    action = np.zeros(30)
    action[0], action[1 + SPEED.start] = 1.0, 1.0
    after, *_ = env.step(action)
    assert after["turn"].tolist() == [0, 1, 0]
    change = after["motion"] - observation["motion"]
    assert change[0, SPEED.start] == pytest.approx(0.5)
    assert np.count_nonzero(np.abs(change) > 1e-6) == 1
    way = after["slots"][0, :, 1] - observation["slots"][0, :, 1]
    clock = env.task.episode(0).state.target.clock
    np.testing.assert_allclose(way, 0.5 * clock, atol=1e-5)


def test_an_estimated_camera_begins_still_and_the_true_ones_have_no_error():
    env = VideoFitEnv(**SMALL, camera="estimated", camera_motion="orbit")
    observation, info = env.reset(seed=2)
    np.testing.assert_allclose(observation["camera"], 0, atol=1e-12)
    state = env.task.episode(0).state
    true = state.target.true_poses
    apart = np.linalg.norm(true[:, :3, 3] - true[0, :3, 3], axis=1)
    assert info["trajectory_error"] == pytest.approx(np.sqrt((apart**2).mean()))
    assert info["trajectory_error"] > 0.02
    for frame in range(1, 5):
        state.put_camera(frame, true[frame])
    assert state.trajectory_error() == pytest.approx(0, abs=1e-9)
    given, _ = VideoFitEnv(**SMALL, camera_motion="orbit").reset(seed=2)
    np.testing.assert_allclose(env.task.observe(0)["camera"][:, 3:], given["camera"][:, 3:], atol=1e-5)


def test_a_search_in_the_moves_gains_in_every_step():
    env = VideoFitEnv(**SMALL, start="encoder")
    env.reset(seed=5)
    policy = BlindSearch(env)
    for _ in range(6):
        _, reward, *_ = env.step(policy.predict(None)[0])
        assert reward >= -1e-4  # the least size is not none
    assert env.task.episode(0).figures["full"] > -1
    with pytest.raises(ValueError, match="BlindSearch: got action='frame'"):
        BlindSearch(VideoFitEnv(**SMALL, action="frame"))


@pytest.mark.parametrize(
    "arguments", [{"segments": 2, "camera": "estimated"}, {"action": "frame"}, {"start": "encoder"}]
)
def test_an_episode_goes_on_just_as_it_was(arguments):
    env, other = (VideoFitEnv(**{**SMALL, "steps": 40}, **arguments) for _ in range(2))
    env.reset(seed=7)
    rng = np.random.default_rng(1)
    for _ in range(16):  # so large that bounds are reached
        env.step(np.r_[1.0, rng.choice([-1, 1], env.action_space.shape[0] - 1)])
    other.reset(seed=0)
    other.set_state(env.get_state())
    action = np.full(env.action_space.shape, 0.3)
    (one, gain, *_), (same, again, *_) = env.step(action), other.step(action)
    assert gain == pytest.approx(again, abs=1e-9)
    for key, value in one.items():
        np.testing.assert_allclose(same[key], value, atol=1e-6, err_msg=key)


def test_fitters_are_scored_as_agents_are_where_cameras_are_estimated():
    env = gym.make(ID, **SMALL, camera="estimated", camera_motion="orbit")
    found = score(env, FITTERS["kmeans"], 2)
    _, info = env.reset(options={"video": 2})
    assert found["trajectory_error"] == pytest.approx(info["trajectory_error"])
    assert score(env, FITTERS["oracle"], 2)["score"] == pytest.approx(1, abs=1e-3)
    assert score(env, FITTERS["oracle"], 2)["trajectory_error"] == pytest.approx(0, abs=1e-6)


def test_held_out_frames_are_seen_from_where_they_were():
    env = VideoFitEnv(**SMALL, camera_motion="hand-held")
    env.reset(seed=3)
    state = env.task.episode(0).state
    assert state.held_out_targets() is state.target.held_out


def test_what_cannot_be_is_refused():
    for arguments, said in (
        ({"segments": 2, "action": "frame"}, "segments: got 2 with action='frame'"),
        ({"frames": 2}, "frames: got 2"),
        ({"weights": {"gravity": 1}}, "weights: got 'gravity'.* 'motion', 'prototypes', 'camera'"),
        ({"weights": {"motion": -1}}, r"weights\['motion'\]: got -1"),
        ({"camera_motion": "drone"}, "camera_motion: got 'drone'"),
        ({"num_videos": 0}, "num_videos: got 0"),
    ):
        with pytest.raises(ValueError, match=said):
            VideoFitEnv(**{**SMALL, **arguments})
    env = VideoFitEnv(**SMALL)
    env.reset(seed=0)
    state = env.get_state()
    with pytest.raises(ValueError, match=r"options\['motion'\]: got \(2, 29\)"):
        env.reset(options={"motion": np.zeros((2, 29))})
    with pytest.raises(ValueError, match="options: got 'frame'"):
        env.reset(options={"frame": 0})
    bad = {**state, "task": {**state["task"], "cameras": np.full((5, 4, 4), np.nan)}}
    with pytest.raises(ValueError, match=r"cameras'\]: got \(5, 4, 4\); expected finite"):
        env.set_state(bad)
