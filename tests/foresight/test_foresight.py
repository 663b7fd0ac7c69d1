"""The foresight environment: what its page says, the same question again, and bad input."""

import re

import gymnasium as gym
import numpy as np
import pytest

import spatial_envs  # noqa: F401
from spatial_envs.foresight import ForesightEnv, ForesightVectorEnv
from spatial_envs.foresight.credit import brier_error, fair_energy, right_share, soft_credit
from spatial_envs.foresight.question import Poses
from spatial_envs.scenes.recordings import LEAST_GAP

ID = "Foresight-Prototype-v0"
SMALL = {"num_objects": (2, 3), "slots": 3, "split": "validation"}
CENTRES = {**SMALL, "rotations": False}


def action(env, gate=1.0, shifts=0.0):
    made = np.zeros(env.action_space.shape, np.float32)
    made[0], made[2:] = gate, shifts
    return made


def same(a, b):
    assert list(a) == list(b)
    for key in a:
        np.testing.assert_array_equal(a[key], b[key], err_msg=key)


def test_spaces_are_as_the_page_says():
    env = gym.make(ID)
    shapes = {key: space.shape for key, space in env.observation_space.spaces.items()}
    assert shapes == {
        "tracks": (6, 10, 10), "shapes": (6, 8), "times": (10,), "query": (1,), "reference": (6, 9),
        "guesses": (6, 6, 9), "guessed": (6,), "draft": (6, 9), "remaining": (2,),
    }  # fmt: skip
    assert env.action_space.shape == (38,)
    centres = gym.make(ID, rotations=False, slots=6, guesses=2)
    assert centres.action_space.shape == (20,)
    assert centres.observation_space["guesses"].shape == (2, 6, 3)
    assert centres.observation_space["tracks"].shape == (6, 10, 4)


def test_zeros_with_an_open_gate_hand_in_the_reference():
    env = gym.make(ID, **SMALL)
    before, _ = env.reset(seed=0)
    np.testing.assert_array_equal(before["draft"], before["reference"])
    observation, reward, over, _, info = env.step(action(env))
    np.testing.assert_array_equal(observation["guesses"][0], before["reference"])
    assert observation["guessed"].tolist() == [1, 0, 0, 0, 0, 0]
    assert reward == info["credit"] == info["first_credit"]
    assert not over
    assert (info["guesses"], info["thoughts"]) == (1, 0)


def test_a_thought_moves_the_draft_by_the_reach_and_a_guess_puts_it_back():
    env = gym.make(ID, **CENTRES)
    before, _ = env.reset(seed=2)
    question = env.unwrapped.task.rows[0].question
    way = np.linalg.norm(question.reference.centres - question.nearest, axis=1)
    after, reward, *_ = env.step(action(env, -1, 0.5))
    assert reward == 0  # the first step costs nothing
    moved = (after["draft"] - before["draft"])[: len(way)]
    np.testing.assert_allclose(moved, np.tile(0.5 * (0.25 + 0.5 * way), (3, 1)).T, atol=1e-5)
    again, reward, *_ = env.step(action(env, -1, 0.5))
    assert reward == -0.005
    np.testing.assert_allclose(again["draft"][: len(way)] - before["draft"][: len(way)], 2 * moved, atol=1e-5)
    handed, *_ = env.step(action(env))
    np.testing.assert_array_equal(handed["guesses"][0], again["draft"])
    np.testing.assert_array_equal(handed["draft"], before["reference"])


def test_the_truth_is_worth_one_and_rewards_add_up_to_the_best_credit():
    env = gym.make(ID, **SMALL, guesses=3).unwrapped
    env.reset(seed=4)
    episode, rng, rewards = env.task.rows[0], np.random.default_rng(0), []
    for _ in range(2):
        rewards.append(env.step(action(env, 1, rng.uniform(-1, 1, 18)))[1])
    assert episode.best < 1
    env.task.rows[0].draft = episode.question.truth
    _, reward, over, _, info = env.step(action(env))
    assert over
    assert info["credit"] == pytest.approx(1)
    assert info["right"] == 1
    assert info["is_success"]
    assert info["error"] == pytest.approx(0, abs=1e-6)
    assert sum(rewards) + reward == pytest.approx(1 - 2 * 0.005)
    assert max(guess.credit for guess in episode.guesses) == info["credit"]


def test_credits_by_hand():
    distances, paths = np.array([0.1, 0.4]), np.array([0.0, 2.0])
    assert soft_credit(distances, paths) == pytest.approx((np.exp(-1) + np.exp(-1)) / 2)
    assert right_share(distances, paths) == 0.5
    assert fair_energy([0.3], 0.0) == 0.3
    assert fair_energy([1.0, 1.0, 1.0], 0.0) == 1.0  # a guess repeated is worth one
    points = np.random.default_rng(0).normal(size=(200, 4, 3))  # fair: any number has the same expectation
    errors = np.linalg.norm(points, axis=-1)
    pairs = np.triu(np.linalg.norm(points[:, :, None] - points[:, None], axis=-1)).sum(axis=(1, 2))
    four = np.mean([fair_energy(e, s) for e, s in zip(errors, pairs, strict=True)])
    two = np.mean(
        [fair_energy(e[:2], np.linalg.norm(p[0] - p[1])) for e, p in zip(errors, points, strict=True)]
    )
    assert four == pytest.approx(two, abs=0.1)
    assert brier_error([0.5, 0.2], [0.25, 0.75]) == pytest.approx(0.2 + 0.25**2)
    assert brier_error([0.5, 0.2], [0.0, 0.0]) == pytest.approx(0.2 + 0.5**2)


@pytest.mark.parametrize("reward", ["right", "all", lambda distances, paths: float(len(distances))])
def test_other_rewards(reward):
    env = gym.make(ID, **SMALL, reward=reward).unwrapped
    env.reset(seed=4)
    env.task.rows[0].draft = env.task.rows[0].question.truth
    _, given, *_ = env.step(action(env))
    assert given == (env.task.rows[0].question.judged.sum() if callable(reward) else 1)


def test_stamps_are_irregular_and_questions_lie_outside_of_them():
    env = gym.make(ID, **SMALL)
    past = 0
    for seed in range(40):
        observation, info = env.reset(seed=seed)
        gaps, query = np.diff(observation["times"]), observation["query"][0]
        assert observation["times"][-1] == 0
        assert observation["times"][0] == pytest.approx(-1)
        assert gaps.min() >= LEAST_GAP - 1e-6
        assert np.ptp(gaps) > 0.01
        ahead = query if query > 0 else observation["times"][0] - query
        assert 0.1 - 1e-6 <= ahead <= 2 + 1e-6
        past += query < 0
        assert info["query"] == pytest.approx(query)
    assert 2 <= past <= 20


def test_permuted_frames_are_the_same_question():
    env = gym.make(ID, **SMALL)
    times = np.array([0.0, 0.1, 0.15, 0.3, 0.35, 0.5, 0.6, 0.75, 0.9, 1.0])
    order = np.random.default_rng(0).permutation(10)
    options = {"scene": 3, "question": 7, "start": 0.4, "times": times, "query": 0.8}
    first, _ = env.reset(seed=0, options=options)
    np.testing.assert_allclose(first["times"], times - 1, atol=1e-6)
    for given in (times[order], list(times[::-1])):
        again, _ = env.reset(seed=1, options={**options, "times": given})
        same(again, first)
    after, reward, *_ = env.step(action(env, 1, 0.3))
    env.reset(seed=5, options=options)
    then, expected, *_ = env.step(action(env, 1, 0.3))
    same(after, then)
    assert reward == expected


def test_a_question_can_be_asked_again_in_every_row():
    env = gym.make(ID, **SMALL, rate=(0.5, 2.0), reverse=0.5, missing=0.2)
    first, info = env.reset(seed=11)
    again = {"scene": info["object"], "question": info["question"]}
    envs = gym.make_vec(ID, num_envs=3, **SMALL, rate=(0.5, 2.0), reverse=0.5, missing=0.2)
    assert isinstance(envs.unwrapped, ForesightVectorEnv)
    observation, _ = envs.reset(seed=0, options=again)
    for row in range(3):
        same({key: value[row] for key, value in observation.items()}, first)


def test_the_clock_scales_and_turns_round_what_is_shown():
    options = {"scene": 1, "question": 5, "start": 0.5, "times": np.linspace(0, 1, 10)}
    plain, double, back = (
        gym.make(ID, **CENTRES, noise=0, **clock).unwrapped
        for clock in ({}, {"rate": (2, 2)}, {"reverse": 1})
    )
    one, _ = plain.reset(seed=0, options={**options, "query": 0.6})
    two, _ = double.reset(seed=0, options={**options, "query": 1.2})
    np.testing.assert_allclose(two["times"], 2 * one["times"], atol=1e-6)
    np.testing.assert_allclose(two["tracks"], one["tracks"], atol=1e-6)
    np.testing.assert_allclose(
        plain.task.rows[0].question.truth.centres, double.task.rows[0].question.truth.centres
    )
    three, _ = back.reset(seed=0, options={**options, "query": 0.3})
    np.testing.assert_allclose(three["times"], -1 - one["times"][::-1], atol=1e-6)
    heights = np.s_[..., 1]
    np.testing.assert_allclose(three["tracks"][heights], one["tracks"][:, ::-1][heights], atol=1e-6)
    recording = back.task.load(1)
    centres, _ = recording.poses(np.array([0.2]))  # ahead of a film that runs backwards
    count = len(recording.bodies.kind)
    np.testing.assert_allclose(back.task.rows[0].question.truth.centres[:count, 1], centres[0, :, 1])


def test_the_answer_does_not_depend_on_where_the_scene_is_or_how_things_are_numbered():
    env = gym.make(ID, **CENTRES)
    env.reset(seed=3)
    question = env.unwrapped.task.rows[0].question
    order = np.arange(len(question.kind))[::-1]
    swapped = type(question)(
        question.kind[order], question.extents[order], question.times, question.query,
        Poses(question.shown.centres[order], question.shown.rotations[order]), question.seen[order],
        Poses(question.truth.centres[order], question.truth.rotations[order]), question.path[order],
    )  # fmt: skip
    np.testing.assert_allclose(swapped.reference.centres, question.reference.centres[order], atol=1e-12)
    assert swapped.distances(swapped.reference, swapped.truth).mean() == pytest.approx(
        question.distances(question.reference, question.truth).mean()
    )
    origin = question.nearest.mean(axis=0)
    np.testing.assert_allclose(origin[[0, 2]], 0, atol=1e-9)


def test_things_that_were_hardly_seen_are_not_judged():
    env = gym.make(ID, **SMALL, missing=1.0)
    observation, _ = env.reset(seed=0)
    assert not observation["tracks"].any()
    assert env.unwrapped.task.rows[0].question.judged.all()  # nothing was seen: then all are
    some = gym.make(ID, **SMALL, missing=0.7).unwrapped
    for seed in range(20):
        some.reset(seed=seed)
        question = some.task.rows[0].question
        enough = question.seen.sum(axis=1) >= 3
        assert not (question.judged & ~enough).any() or not enough.any()


ARGUMENTS = {
    "no guess": ({"guesses": 0}, "guesses: got 0; expected int from 1 to 6"),
    "seven guesses": ({"guesses": 7}, "guesses: got 7; expected int from 1 to 6"),
    "one frame": ({"frames": 1}, "frames: got 1; expected int from 2 to 64"),
    "ahead": ({"ahead": (2, 1)}, "ahead: got (2, 1); expected (least, most) within 0.01 to 60"),
    "nan": ({"ahead": (float("nan"), 1)}, "ahead: got (nan, 1); expected (least, most)"),
    "rate": ({"rate": "fast"}, "rate: got 'fast'; expected (least, most) within 0.1 to 10"),
    "slots": ({"slots": 2, "num_objects": 3}, "slots: got 2 for num_objects up to 3"),
    "backbone": ({"backbone": "compact"}, "backbone: got 'compact'; expected None"),
    "reward": ({"reward": "chamfer"}, "reward: got 'chamfer'; expected one of 'soft', 'right', 'all'"),
}


@pytest.mark.parametrize("case", ARGUMENTS)
def test_bad_arguments(case):
    arguments, message = ARGUMENTS[case]
    with pytest.raises(ValueError, match=re.escape(message)):
        ForesightEnv(**arguments)


TIMES = np.linspace(0, 1, 10)
OPTIONS = {
    "equal stamps": ({"times": [0.1] * 10}, "expected (10,) different seconds"),
    "nan stamps": ({"times": [np.nan, *TIMES[1:]]}, "expected (10,) different seconds"),
    "one stamp": ({"times": [0.5]}, "options['times']: got [0.5]"),
    "before": ({"times": TIMES - 0.5}, "from 0 on"),
    "words": ({"times": "now"}, "options['times']: got 'now'"),
    "late": ({"start": 3.0}, "start: got 3 to 4 s of procedural-1000000; expected a window within 0 to 3.4"),
    "nan start": ({"start": float("nan")}, "options['start']: got nan"),
    "far": ({"query": 9.0}, "query: got 9 s of procedural-1000000, which is beyond the recording"),
    "nan query": ({"query": float("nan")}, "options['query']: got nan"),
    "question": ({"question": -1}, "options['question']: got -1"),
    "scene": ({"scene": "kitchen"}, "scene: got 'kitchen', not in procedural/validation"),
    "key": ({"frame": 1}, "options: got 'frame'; expected one of 'scene', 'question'"),
}


@pytest.mark.parametrize("case", OPTIONS)
def test_bad_options_change_nothing(case):
    options, message = OPTIONS[case]
    env = gym.make(ID, **SMALL).unwrapped
    before, _ = env.reset(seed=0)
    state = env.np_random.bit_generator.state
    with pytest.raises(ValueError, match=re.escape(message)):
        env.reset(seed=1, options={"scene": 0, "start": None, **options})
    same(env.task.observe(0), before)
    assert env.np_random.bit_generator.state == state


def test_too_long_a_clip_or_lead_is_an_error():
    with pytest.raises(ValueError, match=r"duration: got 5 s of frames for procedural-\d+; expected at most"):
        gym.make(ID, **SMALL, duration=5).reset(seed=0)
    with pytest.raises(ValueError, match=r"ahead: got at least 3 s for procedural-\d+, which has"):
        gym.make(ID, **SMALL, ahead=(3, 4)).reset(seed=0)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_actions_that_are_no_numbers_change_nothing(value):
    env = gym.make(ID, **SMALL).unwrapped
    before, _ = env.reset(seed=0)
    with pytest.raises(ValueError, match="expected finite numbers"):
        env.step(action(env, value))
    same(env.task.observe(0), before)


def test_recordings_show_the_window_of_their_file(tmp_path):
    ticks, count = 341, 2
    time = 0.01 * np.arange(ticks)
    position = np.zeros((1, ticks, count, 3))
    position[0, :, :, 2], position[0, :, 1, 0] = 0.2, time
    quaternion = np.zeros((1, ticks, count, 4), np.int16)
    quaternion[..., 0] = 32767
    stamps = np.array([[0.0, 0.5, 1.0]])
    np.savez(
        tmp_path / "slide.npz", position_mm=np.round(1000 * position).astype(np.int16), quaternion=quaternion,
        kind=np.zeros((1, count), int), size=np.full((1, count, 3), 0.2), window_start=np.array([0.3]),
        times=stamps, observed=position[:, [30, 80, 130]],
    )  # fmt: skip
    env = gym.make(ID, scenes=str(tmp_path), slots=2, frames=3, rotations=False, noise=0.5).unwrapped
    observation, _ = env.reset(seed=0, options={"query": 1.0})
    np.testing.assert_allclose(observation["times"], [-1, -0.5, 0])
    np.testing.assert_allclose(np.diff(observation["tracks"][1, :, 0]), 0.5, atol=1e-6)
    *_, info = env.step(action(env))
    assert info["error"] == pytest.approx(0, abs=2e-3)  # a line, which the rule finds
    assert env.task.rows[0].question.judged.tolist() == [False, True]
    with pytest.raises(ValueError, match="frames: got 10 for slide-0000, whose file shows 3; expected 3"):
        gym.make(ID, scenes=str(tmp_path), slots=2).reset(seed=0)
    with pytest.raises(ValueError, match="slots: got 1 for slide-0000 with 2 things"):
        gym.make(ID, scenes=str(tmp_path), slots=1, num_objects=1, frames=3).reset(seed=0)


def test_a_state_of_another_kind_is_refused():
    env = gym.make(ID, **SMALL).unwrapped
    env.reset(seed=0)
    state = env.get_state()
    for key, value, message in (
        ("question", None, "expected 10 frames, 3 slots"),
        ("number", -1, "state['task']['number']: got -1"),
        ("steps", 99, "state['task']['steps']: got 99"),
        ("draft", 3, "expected finite poses of each thing"),
        ("draft", Poses(np.zeros((1, 3)), np.zeros((1, 3, 3))), "expected finite poses of each thing"),
        ("guesses", None, "expected a list of at most 6 pairs"),
        ("guesses", [(None, 0.5)], "expected finite poses of each thing"),
    ):
        broken = {**state, "task": {**state["task"], key: value}}
        with pytest.raises(ValueError, match=re.escape(message)):
            env.set_state(broken)
