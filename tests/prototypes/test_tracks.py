"""Tracks: ways, how natural they are, which slots are one thing, and scores of whole videos."""

import numpy as np
import pytest

from agents.video_fit.baselines import FITTERS, linked_slots, model
from spatial_envs.geometry.bodies import BOX, CAPSULE, CYLINDER, ELLIPSOID, SPHERE, radial
from spatial_envs.prototypes.bank import POSE
from spatial_envs.prototypes.linking import fitted_tracks, followed, linked
from spatial_envs.prototypes.refine_tracks import refined_tracks
from spatial_envs.prototypes.tracks import (
    BEND,
    CHANGE,
    PLACE,
    SPEED,
    SPIN,
    THEN_SPEED,
    TURN,
    VideoState,
    Weights,
    moved_track,
    resting,
    slots_between,
    track_size,
    track_slots,
    unnatural,
)
from spatial_envs.prototypes.video import make_video_target
from spatial_envs.prototypes.video_scores import score_video
from spatial_envs.scenes.depth_videos import open_videos

P = 12
TIMES = np.array([-1.0, -0.83, -0.8, -0.55, -0.3, -0.12, 0.0])


@pytest.fixture(scope="module")
def seen():
    """A video of three things and its target."""
    video = open_videos(split="validation", num_objects=3).load(4)
    return video, make_video_target(video)


def slots_of(centres):
    """(T, K, 7 + P + 1): slots of size 0.3 m at centres (T, K, 3), there for sure."""
    slots = np.zeros((*centres.shape[:2], POSE + P + 1))
    slots[..., 0], slots[..., 1:4], slots[..., -1] = 0.3, centres, -5
    return slots


def test_radii_of_bodies():
    side, up, across = np.array([1.0, 0, 0]), np.array([0, 0, 1.0]), np.array([0.6, 0, 0.8])
    ways, half = np.stack([side, up, across]), np.array([0.2, 0.2, 0.5])
    np.testing.assert_allclose(radial(SPHERE, np.full(3, 0.2), ways), 0.2)
    np.testing.assert_allclose(radial(BOX, np.array([0.2, 0.3, 0.5]), ways), [0.2, 0.5, 1 / 3])
    np.testing.assert_allclose(radial(CYLINDER, half, ways), [0.2, 0.5, 1 / 3])
    np.testing.assert_allclose(radial(ELLIPSOID, half, ways), [0.2, 0.5, 1 / np.hypot(3, 1.6)])
    np.testing.assert_allclose(radial(CAPSULE, half, ways)[:2], [0.2, 0.5])
    steep = np.array([[0.28, 0, 0.96]])
    end = radial(CAPSULE, half, steep)[0] * steep[0]
    assert np.linalg.norm(end - [0, 0, 0.3]) == pytest.approx(0.2)


def test_a_track_is_a_parabola_and_turns_evenly():
    track = np.zeros(track_size(P, 1))
    track[0], track[PLACE], track[SPEED], track[BEND] = np.log(0.5), (1, 0, 0), (0, 2, 0), (0, 0, -1)
    track[TURN], track[SPIN] = (0, 0.3, 0), (0, 0.2, 0)
    slots = track_slots(track, np.array([-1.0, 0.0, 1.0]), 2.0, 1)
    np.testing.assert_allclose(slots[:, 0], 1.0)
    np.testing.assert_allclose(slots[:, 1:4], [[2, -4, -2], [2, 0, 0], [2, 4, -2]], atol=1e-12)
    np.testing.assert_allclose(slots[:, 4], [0.1, 0.3, 0.5])


def test_a_second_segment_begins_where_the_first_ends():
    track = np.zeros(track_size(P, 2))
    track[SPEED], track[CHANGE], track[THEN_SPEED] = (0, -1, 0), 0.2, (0, 3, 0)
    heights = track_slots(track, np.array([-1.0, 0.2, 0.2001, 1.0]), 1.0, 2)[:, 2]
    np.testing.assert_allclose(heights, [1, -0.2, -0.1997, 2.2])


def test_a_step_of_the_least_size_changes_little_and_bounds_hold():
    track = resting(slots_of(np.zeros((1, 1, 3)))[0], 1.0)[0]
    action = np.ones(1 + len(track))
    action[0] = -1
    moved = moved_track(track, action, 1)
    np.testing.assert_allclose(moved[PLACE], 0.005)
    for _ in range(400):
        track = moved_track(track, np.ones(1 + len(track)), 1)
    assert np.linalg.norm(track[TURN]) <= np.pi + 1e-9
    assert track[0] == pytest.approx(np.log(4.0))


def test_falling_is_natural_and_pulling_is_not():
    there = np.ones((len(TIMES), 1), bool)
    still = np.zeros((len(TIMES), 1, 3))
    fall, even, pulled = still.copy(), still.copy(), still.copy()
    fall[:, 0, 1] = -0.5 * 9.81 * TIMES**2
    even[:, 0, 0] = 3 * TIMES
    pulled[:, 0, 0] = 9.81 * TIMES**2  # 2 g sideways: Huber's 1.5
    costs = [unnatural(slots_of(c), TIMES, there) for c in (still, fall, even, pulled)]
    np.testing.assert_allclose(costs, [0, 0, 0, 1.5], atol=1e-9)
    growing = slots_of(still)
    growing[:, 0, 0] = 0.3 * np.exp(0.1 * np.arange(len(TIMES)))
    assert unnatural(growing, TIMES, there) == pytest.approx(0.1)


def test_things_that_cross_keep_their_tracks():
    rng = np.random.default_rng(0)
    centres = np.stack(
        [
            np.stack([2 * TIMES + 1, 0 * TIMES, 0 * TIMES], 1),
            np.stack([-2 * TIMES - 1, 0 * TIMES, 0.1 + 0 * TIMES], 1),
        ],
        axis=1,
    )
    slots, order = slots_of(centres), np.array([rng.permutation(2) for _ in TIMES])
    mixed = np.take_along_axis(slots, order[..., None], axis=1)
    present = np.ones(order.shape, bool)
    present[3, 0] = False
    links = linked(mixed, present, TIMES)
    who = np.where(links < 0, -1, np.take_along_axis(order, np.maximum(links, 0), axis=1))
    assert (who[:, 0][who[:, 0] >= 0] == who[0, 0]).all()
    assert (who[:, 1][who[:, 1] >= 0] == who[0, 1]).all()
    assert (links[3] < 0).sum() == 1


def test_the_law_of_a_track_is_found_through_noise():
    rng = np.random.default_rng(1)
    centres = np.zeros((len(TIMES), 3, 3))
    centres[:, 0] = [1, 0.2, 0]
    centres[:, 1, 0] = 1.5 * TIMES
    centres[:, 2, 1] = 2 * TIMES - 0.5 * 9.81 * TIMES**2
    noisy = slots_of(centres + rng.normal(0, 0.01, centres.shape))
    tracks = fitted_tracks(noisy, np.ones(noisy.shape[:2], bool), TIMES, 1.0)
    np.testing.assert_array_equal(tracks[0, SPEED], 0)
    np.testing.assert_array_equal(tracks[1, BEND], 0)
    np.testing.assert_allclose(tracks[2, BEND], [0, -0.5 * 9.81 / 4, 0], atol=1e-9)
    np.testing.assert_allclose(tracks[1, SPEED], [0.75, 0, 0], atol=0.02)


def test_a_bounce_is_found_where_it_is():
    times = np.linspace(-1, 0, 11)
    since = times + 0.45
    height = np.where(since < 0, -4 * since, 2 * since - 0.5 * 9.81 * since**2)
    centres = np.stack([0.5 * times, height, 0 * times], axis=1)[:, None]
    (track,) = fitted_tracks(slots_of(centres), np.ones((11, 1), bool), times, 1.0, 2)
    assert (track[CHANGE] + 1) / 2 - 1 == pytest.approx(-0.45)
    ways = track_slots(track, 2 * times + 1, 1.0, 2)[:, 1:4]
    np.testing.assert_allclose(ways, centres[:, 0], atol=1e-6)


def test_a_track_with_too_few_frames_is_absent():
    slots = slots_of(np.zeros((7, 2, 3)))
    links = np.full((7, 2), -1)
    links[:, 0], links[3, 1] = 0, 1
    found = followed(slots, links)
    tracks = fitted_tracks(found, found[..., -1] < 0, TIMES, 1.0)
    assert tracks[0, -1] < 0 < tracks[1, -1]


def test_between_two_frames_slots_are_on_their_way():
    slots = slots_of(np.zeros((2, 1, 3)))
    slots[1, 0, 1], slots[1, 0, 4] = 1.0, 0.8
    half = slots_between(slots, np.array([0.0, 2.0]), np.array([1.0]))
    assert half[0, 0, 1] == pytest.approx(0.5)
    assert half[0, 0, 4] == pytest.approx(0.4)


def test_a_camera_moved_there_and_back_measures_the_same(seen):
    _, target = seen
    tracks = resting(slots_of(np.zeros((1, 2, 3)))[0], target.unit)
    state = VideoState.of_tracks(target, model()[1], tracks, 64, Weights())
    assert state.trajectory_error() == 0
    before, pose, figures = state.frames[3].points.copy(), state.cameras[3], state.figures()
    change = np.array([1.0, 0, 0, 0, 0.5, 0])
    state.put_camera(3, state.moved_camera(3, 1.0, change))
    assert state.trajectory_error() == pytest.approx(0.1 * target.unit / np.sqrt(10))
    assert state.figures()["camera"] < 1e-6  # along the ground it stays where it is
    state.put_camera(3, state.moved_camera(3, 1.0, np.array([0, 1.0, 0, 0, 0, 0])))
    assert state.figures()["camera"] == pytest.approx(0.1 / 10, rel=1e-4)
    state.put_camera(3, pose)
    np.testing.assert_allclose(state.frames[3].points, before, atol=1e-5)
    assert state.figures()["full"] == pytest.approx(figures["full"], abs=1e-5)


def test_scores_of_the_truth_and_of_cheats(seen):
    video, target = seen
    found = {
        name: score_video(*FITTERS[name](target, video, 3, 0))
        for name in ("oracle", "linked", "cheat-shuffled", "cheat-shell", "linked-oracle")
    }
    truth = found["oracle"]
    assert truth["one_directional"] < 0.01
    assert truth["held_out"] < 0.01
    assert truth["centre_error"] < 0.02
    assert (truth["ari"], truth["idf1"], truth["switches"]) == (1, 1, 0)
    assert found["cheat-shell"]["one_directional"] < 0.005
    assert found["cheat-shell"]["ari"] == 0
    assert found["cheat-shuffled"]["idf1"] < found["linked"]["idf1"] <= found["linked-oracle"]["idf1"] + 1e-9
    assert found["cheat-shuffled"]["switches"] > 0.3


def test_gradient_makes_all_frames_better(seen):
    video, target = seen
    begun = score_video(*FITTERS["tracks"](target, video, 3, 0))
    better = score_video(*FITTERS["tracks-refined"](target, video, 3, 0))
    assert better["one_directional"] < 0.9 * begun["one_directional"]
    slots = linked_slots(target, 3)
    two = fitted_tracks(slots, model()[1].present(slots), target.times, target.unit, 2)
    after = refined_tracks(model()[0].bank, target, two, steps=10)
    costs = [
        VideoState.of_tracks(target, model()[1], each, 128, Weights(), 2).figures()["one_directional"]
        for each in (two, after)
    ]
    assert costs[1] < costs[0]
    np.testing.assert_array_equal(after[:, CHANGE], two[:, CHANGE])
    with pytest.raises(ValueError, match=r"tracks: got \(3, 20\); expected \(K, 29 or 39\)"):
        refined_tracks(model()[0].bank, target, np.zeros((3, 20)))
