"""The analytic rule: which law, where things end, and what it cannot depend on."""

import numpy as np
import pytest

from spatial_envs.prototypes.motion import FALL, GRAVITY, LINE, REST, fitted_motion, nearest_rotation

TIMES = np.array([-1.0, -0.8, -0.55, -0.5, -0.31, -0.2, -0.11, 0.0])
PLACE, VELOCITY = np.array([0.3, 2.0, -1.0]), np.array([0.5, 1.0, -2.0])
LOWEST = np.full(3, 0.1)


def tracks(noise=0.0):
    """(3, T, 3): at rest, on a line, in fall."""
    t = TIMES[:, None]
    ways = np.stack([PLACE + 0 * t, PLACE + VELOCITY * t, PLACE + VELOCITY * t + 0.5 * GRAVITY * t**2])
    return ways + noise * np.random.default_rng(0).normal(size=ways.shape)


@pytest.mark.parametrize(("noise", "tolerance"), [(0.0, 1e-9), (0.005, 0.1)])
def test_the_law_is_found_and_followed(noise, tolerance):
    seen = np.ones((3, len(TIMES)), bool)
    for query in (0.3, -1.3):
        motion = fitted_motion(tracks(noise), TIMES, seen, LOWEST, query)
        assert motion.law.tolist()[1:] == [LINE, FALL]  # with noise, five frames may show a slow line
        assert motion.law[0] == REST or noise
        expected = np.stack([PLACE, PLACE + VELOCITY * query, PLACE + VELOCITY * query])
        expected[2] += 0.5 * GRAVITY * query**2
        expected[:, 1] = np.maximum(expected[:, 1], LOWEST)
        np.testing.assert_allclose(motion.at(query), expected, atol=tolerance)


def test_nothing_sinks_into_the_ground():
    motion = fitted_motion(tracks(), TIMES, np.ones((3, len(TIMES)), bool), LOWEST, 2.0)
    assert motion.at(2.0)[2, 1] == 0.1


def test_frames_may_come_in_any_order():
    order = np.random.default_rng(1).permutation(len(TIMES))
    seen = np.ones((3, len(TIMES)), bool)
    seen[:, 2] = False
    ways = tracks(0.02)
    rotations = np.linalg.qr(np.random.default_rng(2).normal(size=(3, len(TIMES), 3, 3)))[0]
    for query in (0.4, -1.5):
        plain = fitted_motion(ways, TIMES, seen, LOWEST, query).at(query)
        mixed = fitted_motion(ways[:, order], TIMES[order], seen[:, order], LOWEST, query).at(query)
        np.testing.assert_allclose(mixed, plain, atol=1e-12)
        np.testing.assert_array_equal(
            nearest_rotation(rotations[:, order], TIMES[order], seen[:, order], query),
            nearest_rotation(rotations, TIMES, seen, query),
        )


def test_what_was_hardly_seen_rests():
    seen = np.zeros((3, len(TIMES)), bool)
    seen[1, 3] = seen[2, [1, 5]] = True
    ways = tracks()
    motion = fitted_motion(ways, TIMES, seen, np.full(3, -9.0), 1.0)
    np.testing.assert_allclose(motion.at(1.0), [[0, 0, 0], ways[1, 3], ways[2, [1, 5]].mean(axis=0)])
    turned = nearest_rotation(np.tile(-np.eye(3), (3, len(TIMES), 1, 1)), TIMES, seen, 1.0)
    np.testing.assert_array_equal(turned[0], np.eye(3))
    np.testing.assert_array_equal(turned[1], -np.eye(3))
