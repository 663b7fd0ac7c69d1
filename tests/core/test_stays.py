"""Rows stay in their scenes; which comes next follows from the generator alone."""

import pickle
import re
import warnings
from dataclasses import dataclass, field

import gymnasium as gym
import numpy as np
import pytest

from spatial_envs.core.stays import Stay, Stays
from spatial_envs.foundation.errors import SceneError
from spatial_envs.scenes.sets import SceneSet

SMALL = {
    "num_frames": 40, "num_objects": 1, "slots": 2, "steps": 3, "image_size": 16, "points": 16,
    "backbone": None, "prefetch": False,
}  # fmt: skip


@dataclass
class Scene:
    name: str
    broken: bool = False

    def load(self):
        if self.broken:
            raise SceneError(f"{self.name} is broken")
        return self.name


@dataclass
class Episode:
    stay: Stay = field(default_factory=Stay)
    steps: int = 0


def scenes(count=8, broken=()):
    names = tuple(str(k) for k in range(count))
    return SceneSet(names, "eight", False, tuple(Scene(name, int(name) in broken) for name in names))


def begin(stays, generator, last, named=None, steps=0):
    """The next episode of a row, of so many steps; it draws something itself."""
    index, built, stay = stays.enter(last, generator, stays.scenes.load, named)
    assert built == str(index)
    generator.random()
    return index, Episode(stays.ahead(stay, generator), steps)


def played(stays, seed, lengths):
    """The scenes of episodes of so many steps."""
    generator, last, seen = np.random.default_rng(seed), None, []
    for steps in lengths:
        index, last = begin(stays, generator, last, steps=steps)
        seen.append(index)
    return seen


def changes(seen):
    return [k for k in range(1, len(seen)) if seen[k] != seen[k - 1]]


def test_a_row_stays_for_so_many_steps_at_least():
    assert changes(played(Stays(scenes(1000), 10), 0, [4] * 10)) == [3, 6, 9]  # 12 steps each
    assert changes(played(Stays(scenes(1000), 12), 0, [4] * 10)) == [3, 6, 9]
    assert changes(played(Stays(scenes(1000), 13), 0, [4] * 10)) == [4, 8]
    assert changes(played(Stays(scenes(1000), 10), 0, [1, 8, 1, 30, 0, 0, 10, 1])) == [3, 4, 7]


def test_with_no_steps_what_is_drawn_is_what_a_set_alone_draws():
    for broken in ((), (1, 4, 6)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            there, generator = scenes(broken=broken), np.random.default_rng(5)
            expected = []
            for _ in range(20):
                expected.append(there.draw(generator, there.load)[0])
                generator.random()
            assert played(Stays(scenes(broken=broken), 0), 5, [3] * 20) == expected


def test_the_next_is_known_early_and_comes_from_the_generator_alone():
    generator, stays = np.random.default_rng(2), Stays(scenes(), 5)
    index, episode = begin(stays, generator, None, steps=5)
    same = np.random.default_rng(2)
    assert (int(same.integers(8)), same.random(), int(same.integers(8)))[::2] == (index, episode.stay.next)
    generator.integers(1 << 40, size=9)  # whatever else is drawn meanwhile
    assert begin(stays, generator, episode)[0] == episode.stay.next


@pytest.mark.parametrize("noticed", [False, True])
def test_broken_files_are_passed_over_whenever_they_are_noticed(noticed):
    there = scenes(broken=(0, 2, 3, 5))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if noticed:
            played(Stays(there, 0), 99, [1] * 40)
            assert there._broken == {0, 2, 3, 5}
        seen = played(Stays(there, 2), 7, [1] * 24)
    assert set(seen) <= {1, 4, 6, 7}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert seen == played(Stays(scenes(broken=(0, 2, 3, 5)), 2), 7, [1] * 24)


def test_a_scene_that_breaks_while_a_row_stays_is_left():
    there = scenes()
    stays, generator = Stays(there, 100), np.random.default_rng(2)
    index, episode = begin(stays, generator, None, steps=1)
    there.sources[index].broken = True
    with pytest.warns(UserWarning, match=f"skipped 1 of 8 files: {index} is broken"):
        following, other = begin(stays, generator, episode)
    assert following == episode.stay.next
    assert other.stay == Stay(following, 0, other.stay.next)


def test_a_scene_that_is_asked_for_is_no_stay():
    stays, generator = Stays(scenes(), 100), np.random.default_rng(0)
    _, first = begin(stays, generator, None, steps=1)
    before = generator.bit_generator.state
    generator.random()
    after = generator.bit_generator.state
    generator.bit_generator.state = before
    index, asked = begin(stays, generator, first, named=6, steps=1)
    assert (index, asked.stay) == (6, Stay(None, 0, first.stay.next))
    assert generator.bit_generator.state == after  # no scene was drawn
    assert begin(stays, generator, asked)[0] == first.stay.next


# ---- in environments


def frames(env, seeds):
    """The frames of episodes, each played to its end."""
    seen = []
    for seed in seeds:
        _, info = env.reset(seed=seed)
        seen.append(info["object"])
        over = False
        while not over:
            _, _, over, _, _ = env.step(np.zeros(env.action_space.shape, np.float32))
    return seen


def test_a_seed_draws_afresh_whatever_came_before():
    env = gym.make("SceneFit-Prototype-v0", scene_steps=100, **SMALL)
    first, again, second, *repeated = frames(env, [1, 1, 2, None, None])
    assert first == again
    assert first != second
    assert repeated == [second, second]
    expected = env.reset(seed=4)[0]
    env.reset(options={"frame": 3})
    env.reset()
    for key, value in env.reset(seed=4)[0].items():
        np.testing.assert_array_equal(value, expected[key])
    assert env.reset(options={"frame": 3})[1]["object"] == env.unwrapped.task.frames.names[3]


def test_the_default_is_some_episodes_a_scene():
    env = gym.make("SceneFit-Prototype-v0", **SMALL)
    seen = frames(env, [0, *[None] * 40])
    assert changes(seen) == [20, 40]  # 60 steps, three an episode


def test_rows_stay_as_a_single_environment_does():
    arguments = {**SMALL, "scene_steps": 5}
    envs = gym.make_vec("SceneFit-Prototype-v0", num_envs=3, **arguments)
    _, infos = envs.reset(seed=10)
    rows = [list(infos["object"])]
    for step in range(1, 40):
        _, _, _, _, infos = envs.step(np.zeros(envs.action_space.shape, np.float32))
        if step % 4 == 0:  # the step of the reset
            rows.append(list(infos["object"]))
    for k, seen in enumerate(zip(*rows, strict=True)):
        single = gym.make("SceneFit-Prototype-v0", **arguments)
        assert list(seen) == frames(single, [10 + k, *[None] * (len(rows) - 1)])
        assert len(set(seen)) > 2


def test_a_state_has_the_stay():
    env = gym.make("SceneFit-Prototype-v0", scene_steps=7, **SMALL).unwrapped
    frames(env, [0, None])
    state = pickle.loads(pickle.dumps(env.get_state()))
    expected = frames(env, [None] * 6)
    assert len(set(expected)) > 1
    other = gym.make("SceneFit-Prototype-v0", scene_steps=7, **SMALL).unwrapped
    for each in (env, other):
        each.set_state(state)
        assert frames(each, [None] * 6) == expected
    for key, value in (("scene", 40), ("next", -1), ("steps", 1.5)):
        broken = {**state, "task": {**state["task"], "stay": {**state["task"]["stay"], key: value}}}
        with pytest.raises(
            ValueError, match=re.escape(f"state['task']['stay'][{key!r}]: got {value}; expected")
        ):
            env.set_state(broken)


@pytest.mark.parametrize(("value", "got"), [(-1, "-1"), (1.5, "1.5"), (None, "None")])
def test_scene_steps_is_an_integer(value, got):
    with pytest.raises(ValueError, match=f"scene_steps: got {got}; expected int from 0"):
        gym.make("SceneFit-Prototype-v0", scene_steps=value)
