"""Foresight by simulation: the cross-entropy method over how each thing began, so that what then happens is
what the frames show.

A start is a place and velocity, what friction and impacts take, and which side is down; ``flown`` follows it.
Its merit is the reward's own credit, of the frames instead of the asked time. Things do not meet in this
simulator, so a collision is only fitted as far as one thing's own motion can be.
"""

from __future__ import annotations

import numpy as np

from agents.foresight.shown import Shown
from spatial_envs.foresight.credit import NEAR
from spatial_envs.procedural.moving_bodies import Launch, flown
from spatial_envs.prototypes.motion import NEAREST, fitted_motion

POPULATION, ELITE, ROUNDS = 96, 12, 6
PLACE, VELOCITY = slice(0, 3), slice(3, 6)
SIDE, RESTITUTION, FRICTION, BRAKING = 6, 7, 8, 9  # of a start: the last four in [0, 1]
MOST_BRAKING = 2.0  # m/s^2
SPREAD = np.array([0.05] * 3 + [0.3] * 3 + [0.1] * 4)  # of the first round
SPREAD_IN_THE_PAST = np.array([0.4] * 3 + [1.0] * 3 + [0.1] * 4)


def fitted_ends(guesses: int, given: Shown) -> np.ndarray:
    """(guesses, K, 3) centres at the asked time: of the mean of the starts that were found, then of some."""
    distance = np.abs(given.times - given.query)
    used = np.sort(np.argsort(distance, kind="stable")[:NEAREST])
    stamps, centres, seen = given.times[used], given.centres[:, used], given.seen[:, used]
    begin = min(given.query, float(stamps.min()))
    times = np.append(stamps, given.query) - begin
    rng = np.random.default_rng(0)
    mean = _first_mean(given, begin)
    first = SPREAD_IN_THE_PAST if given.query < 0 else SPREAD
    spread = np.tile(first, (len(mean), 1))
    for _ in range(ROUNDS):
        starts = mean[:, None] + spread[:, None] * rng.normal(size=(len(mean), POPULATION, mean.shape[1]))
        starts[:, 0] = mean
        starts[..., SIDE:] = starts[..., SIDE:].clip(0, 1)
        ways = _followed(starts, given.extents, times)
        off = np.linalg.norm(ways[:, :, :-1] - centres[:, None], axis=-1)
        merit = (seen[:, None] * np.exp(-off / NEAR)).sum(axis=-1)
        order = np.argsort(-merit, axis=1, kind="stable")[:, :ELITE]
        elite = np.take_along_axis(starts, order[..., None], axis=1)
        mean, spread = elite.mean(axis=1), elite.std(axis=1)
    starts = np.concatenate([mean[:, None], elite[:, : guesses - 1]], axis=1)
    return _followed(starts, given.extents, times)[:, :, -1].swapaxes(0, 1)


def _first_mean(given: Shown, begin: float) -> np.ndarray:
    """(K, 10): the analytic rule's motion at the time where the simulation begins."""
    lowest = given.extents.min(axis=1)
    motion = fitted_motion(given.centres, given.times, given.seen, lowest, given.query)
    mean = np.zeros((len(given.centres), 10))  # the last four are only as large as the frames ask for
    mean[:, PLACE], mean[:, VELOCITY] = motion.at(begin), motion.speed(begin)
    return mean


def _followed(starts: np.ndarray, extents: np.ndarray, times: np.ndarray) -> np.ndarray:
    """(K, P, T, 3): where starts (K, P, 10) lead at times (T,) after them."""
    flat = starts.reshape(-1, starts.shape[-1])
    least, most = np.maximum(extents.min(axis=1), 0.01), extents.max(axis=1)
    lowest = (least[:, None] + starts[..., SIDE] * (most - least)[:, None]).ravel()
    place = flat[:, PLACE].copy()
    place[:, 1] = np.maximum(place[:, 1], lowest)
    braking = 0.05 + flat[:, BRAKING] * MOST_BRAKING
    launch = Launch(place, flat[:, VELOCITY], lowest, flat[:, RESTITUTION], 0.6 * flat[:, FRICTION], braking)
    ways, _ = flown(launch, times)
    return ways.reshape(*starts.shape[:2], len(times), 3)
