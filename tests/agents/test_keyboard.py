"""Playing by hand: keys are actions, in a window, in every family."""

import gymnasium as gym
import numpy as np
import pytest
from buildings import furnished_room

import spatial_envs
from agents.keyboard import Looker, Walker, hand, play
from spatial_envs.geometry.camera import direction
from spatial_envs.simulators.simulator import DOWN, FORWARD, LEFT, STOP, UP

pygame = pytest.importorskip("pygame", reason="needs the [train] extra")
gym.register_envs(spatial_envs)
VIEWS = {"num_objects": 1, "image_size": 32, "views": 3, "backbone": None}


@pytest.fixture
def rooms(tmp_path):
    furnished_room().export(tmp_path / "room.glb")
    return {
        "scenes": str(tmp_path / "room.glb"), "image_size": 32, "backbone": None, "reconstruction": "none",
        "weights": {"chamfer": 0.0},
    }  # fmt: skip


def made(env_id, **arguments):
    return gym.make(env_id, render_mode="rgb_array", **arguments).unwrapped


def pressing(monkeypatch, *keys):
    """Somebody who presses these keys, one a frame, and then closes the window."""
    codes = {"up": pygame.K_UP, "down": pygame.K_DOWN, "left": pygame.K_LEFT, "right": pygame.K_RIGHT}
    codes |= {"return": pygame.K_RETURN, "r": pygame.K_r, "w": pygame.K_w}
    events = [[pygame.event.Event(pygame.KEYDOWN, key=codes[key])] for key in keys]
    frames = iter([*events, [], [pygame.event.Event(pygame.QUIT)]])
    monkeypatch.setattr(pygame.event, "get", lambda: next(frames))


def test_walking(rooms, monkeypatch):
    env = made("PointNav-Habitat-v0", **rooms)
    pressing(monkeypatch, "left", "up", "up", "return", "up", "r", "right")
    rewards = play(env, seed=0)
    assert len(rewards) == 5  # none after the stop, until the next episode
    assert env.task.info(0)["steps"] == 1
    assert [hand(env).press(key) for key in ("up", "left", "return")] == [FORWARD, LEFT, STOP]
    assert hand(env).press("page up") is None  # it cannot tilt
    tilting = Walker(made("ObjectNav-Habitat-v0", **rooms))
    assert [tilting.press(key) for key in ("page up", "page down")] == [UP, DOWN]
    driving = Walker(made("PointNav-Habitat-v0", action="velocity", **rooms))
    np.testing.assert_array_equal(driving.press("up"), [1, 0])


@pytest.mark.parametrize("env_id", ["NBV-MapAnything-v0", "NBV-MapAnything-Discrete-v0"])
def test_looking(env_id, monkeypatch):
    env = made(env_id, **VIEWS)
    pressing(monkeypatch, "right", "right", "up", "w", "return")
    assert len(play(env, seed=0)) == 1
    centre = env.task.episode(0).views[-1].cam_to_world[:3, 3]
    asked = direction(np.radians(20), 0.3 + np.radians(10))
    assert asked @ centre / np.linalg.norm(centre) > np.cos(np.radians(15))
    looker = Looker(env)
    for key in ["up"] * 20 + ["w"] * 20:
        assert looker.press(key) is None
    assert (looker.elevation, looker.radius) == (
        pytest.approx(np.radians(env.task.region.max_elevation), abs=2e-3), env.task.region.radius[0],
    )  # fmt: skip


def test_setting(monkeypatch):
    env = made("SceneFit-Prototype-v0", num_frames=1, backbone=None)
    done = []
    monkeypatch.setattr(
        type(env), "step", lambda self, action: done.append(action) or (0, 1.0, True, False, {})
    )
    pressing(monkeypatch, "down", "right", "right", "up", "left", "return", "return")
    assert play(env, seed=0) == [1.0]
    np.testing.assert_allclose(done[0][:3], [-0.1, 0.2, 0.0], atol=1e-6)


def test_what_has_no_keys_is_named():
    class Other(gym.Env):
        task, action_space = None, gym.spaces.MultiBinary(2)

    with pytest.raises(ValueError, match="got one with actions MultiBinary"):
        hand(Other())
