"""Where things will be, or were, by rule: at rest, on a straight line or in free fall, whichever explains the
frames next to the question best, and never below the ground. Metres, seconds, Y up.

Chosen as in a mixture of scenes: fall alone is 20 times worse than "nothing moves" where most things lie or
slide.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

GRAVITY = np.array([0.0, -9.81, 0.0])  # m/s^2
NEAREST = 5  # frames that the laws are fitted to
LEAST_RESIDUAL = 1e-3  # metres: what fits better is no more likely
REST, LINE, FALL = range(3)
_PARAMETERS = np.array([3, 6, 6])  # of a law


class Motion(NamedTuple):
    """What moves how, of each thing.

    law      (...,) REST, LINE or FALL
    place    (..., 3) metres at time 0 of the stamps
    velocity (..., 3) m/s there, 0 at rest
    lowest   (...,) metres: the least height of a centre
    """

    law: np.ndarray
    place: np.ndarray
    velocity: np.ndarray
    lowest: np.ndarray

    def at(self, time: float) -> np.ndarray:
        """(..., 3) metres: the centres at a time."""
        fallen = np.where((self.law == FALL)[..., None], 0.5 * GRAVITY * time**2, 0.0)
        place = self.place + self.velocity * time + fallen
        place[..., 1] = np.maximum(place[..., 1], self.lowest)
        return place

    def speed(self, time: float) -> np.ndarray:
        """(..., 3) m/s: the velocities at a time, as if there were no ground."""
        return self.velocity + np.where((self.law == FALL)[..., None], GRAVITY * time, 0.0)


def fitted_motion(
    centres: np.ndarray, times: np.ndarray, seen: np.ndarray, lowest: np.ndarray, query: float
) -> Motion:
    """The law of each thing, by least squares of its ``NEAREST`` frames next to the question.

    centres (..., T, 3) metres; times (T,) seconds, in any order; seen (..., T) bool, the frames that count;
    lowest (...,) metres above the ground; query, the time that is asked about. The law is the one with the
    least Bayesian information criterion. A thing seen once is at rest; one never seen is at the origin.
    """
    weight = next_frames(np.abs(times - query), seen)
    rest, still = weighted_line(centres, times, weight, moves=False)
    line, moving = weighted_line(centres, times, weight)
    fallen = 0.5 * GRAVITY * times[:, None] ** 2
    fall, falling = weighted_line(centres - fallen, times, weight)
    laws = [(rest, still), (line, moving), (fall, falling)]
    used = 3 * np.maximum(weight.sum(axis=-1), 1)
    criteria = []
    for (place, velocity), off, own in zip(laws, (0.0, 0.0, fallen), _PARAMETERS, strict=True):
        left = centres - off - place[..., None, :] - velocity[..., None, :] * times[:, None]
        residual = (weight[..., None] * left**2).sum(axis=(-1, -2))
        criteria.append(used * np.log(residual + used * LEAST_RESIDUAL**2) + own * np.log(used))
    law = np.argmin(criteria, axis=0)
    law = np.where(weight.sum(axis=-1) < 3, REST, law)
    pick = law[None, ..., None]
    place = np.take_along_axis(np.stack([each[0] for each in laws]), pick, axis=0)[0]
    velocity = np.take_along_axis(np.stack([each[1] for each in laws]), pick, axis=0)[0]
    return Motion(law, place, velocity, lowest)


def next_frames(distance: np.ndarray, seen: np.ndarray, count: int = NEAREST) -> np.ndarray:
    """(..., T) 0 or 1: of the frames that were seen (..., T) so many of the least distance (T,)."""
    order = np.argsort(distance, kind="stable")
    counted = np.cumsum(seen[..., order], axis=-1)
    weight = np.empty(seen.shape)
    weight[..., order] = seen[..., order] & (counted <= count)
    return weight


def weighted_line(
    points: np.ndarray, times: np.ndarray, weight: np.ndarray, moves: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Place at time 0 and velocity (..., 3) of the least-squares line through points (..., T, 3) at times
    (T,) with weights (..., T); the mean and zeros, if nothing moves."""
    whole = np.maximum(weight.sum(axis=-1), 1)
    middle = (weight[..., None] * points).sum(axis=-2) / whole[..., None]
    if not moves:
        return middle, np.zeros_like(middle)
    mean_time = (weight * times).sum(axis=-1) / whole
    later = weight * (times - mean_time[..., None])
    spread = (later * times).sum(axis=-1)
    velocity = (later[..., None] * points).sum(axis=-2) / np.maximum(spread, 1e-9)[..., None]
    return middle - velocity * mean_time[..., None], velocity


def nearest_rotation(rotations: np.ndarray, times: np.ndarray, seen: np.ndarray, query: float) -> np.ndarray:
    """(K, 3, 3): of each thing's rotations (K, T, 3, 3) at times (T,) the seen one (K, T) that is nearest to
    the asked time; the identity of what was never seen. A spin measured over a few noisy frames does not pay:
    where things collide and tumble, a pose that goes on spinning is further from the true one.
    """
    distance = np.where(seen, np.abs(times - query), np.inf)
    found = np.take_along_axis(rotations, distance.argmin(axis=1)[:, None, None, None], axis=1)[:, 0]
    return np.where(seen.max(axis=1)[:, None, None], found, np.eye(3))
