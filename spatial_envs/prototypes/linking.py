"""From slots of single frames to tracks: which slots are the same thing, and on which way it goes."""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial.transform import Rotation

from spatial_envs.prototypes.bank import POSE
from spatial_envs.prototypes.motion import GRAVITY
from spatial_envs.prototypes.tracks import (
    BEND,
    CHANGE,
    FIRST,
    PLACE,
    SECOND,
    SPEED,
    THEN_BEND,
    THEN_SPEED,
    TURN,
    bounded_tracks,
)

ABSENT = 30.0  # logit of absence, of a slot that is none
SIZE_COST = 0.5  # metres that a factor of e in size is worth, when slots are linked
UNLIKELY = 1e6
LEAST_RESIDUAL = 0.02  # metres: what fits better is no more likely
OUTLYING, ROUNDS = 0.06, 4  # metres from a way, from where on a slot counts less for it; times it is fitted
_NOTHING = np.zeros(3)


def linked(slots: np.ndarray, present: np.ndarray, times: np.ndarray) -> np.ndarray:
    """(T, K): which slot of each frame is that of each track; -1 where a track has none.

    slots (T, K, 7 + P + 1), metres, present (T, K), times (T,) seconds. A track goes on evenly, as between
    the last two frames that it was seen in; those of the next frame that are present are given to the tracks
    so that the distances, and differences of log size, are least in all. A slot that is left over begins a
    track that was never seen before, or is lost where there is none.
    """
    count = slots.shape[1]
    found = np.full(slots.shape[:2], -1)
    for t in range(len(times)):
        here = np.flatnonzero(present[t])
        cost = np.full((count, count), UNLIKELY)
        for k in range(count):
            seen = np.flatnonzero(found[:t, k] >= 0)[-2:]
            if not len(seen):
                cost[k, here] = UNLIKELY / 2  # a new track, where no other takes the slot
                continue
            own = slots[seen, found[seen, k]]
            guess = own[-1, 1:4]
            if len(seen) == 2:
                ahead = (times[t] - times[seen[1]]) / (times[seen[1]] - times[seen[0]])
                guess = guess + min(ahead, 2.0) * (own[1, 1:4] - own[0, 1:4])
            apart = np.linalg.norm(slots[t, here, 1:4] - guess, axis=1)
            cost[k, here] = apart + SIZE_COST * np.abs(np.log(slots[t, here, 0] / own[-1, 0]))
        rows, columns = linear_sum_assignment(cost)
        taken = cost[rows, columns] < UNLIKELY
        found[t, rows[taken]] = columns[taken]
    return found


def followed(slots: np.ndarray, links: np.ndarray) -> np.ndarray:
    """(T, K, 7 + P + 1): the slots in the order of their tracks, (T, K) as ``linked`` has them; where a track
    has none, the slot is absent, at the place of the nearest frame that has one."""
    out = np.empty_like(slots)
    frames = np.arange(len(slots))
    for k in range(slots.shape[1]):
        seen = np.flatnonzero(links[:, k] >= 0)
        if not len(seen):
            out[:, k] = slots[:, k]
            out[:, k, -1] = ABSENT
            continue
        nearest = seen[np.abs(frames[:, None] - seen).argmin(axis=1)]
        out[:, k] = slots[nearest, links[nearest, k]]
        out[links[:, k] < 0, k, -1] = ABSENT
    return out


def fitted_tracks(
    slots: np.ndarray, present: np.ndarray, times: np.ndarray, unit: float, segments: int = 1
) -> np.ndarray:
    """(K, M): one track for each column of followed slots (T, K, 7 + P + 1), metres, present (T, K), at times
    (T,), seconds: the mean of its logits, the median size, the rotation next to all others, and the way, by
    least squares over the frames in which it is present, of the law with the least Bayesian information
    criterion: rest, a line, free fall, or a parabola, and of two segments a line or free
    fall and then one of the two. One that is in fewer than a third of the frames is
    absent."""
    start = FIRST + SECOND * (segments - 1)
    clock = 2 * (times - times[0]) / (times[-1] - times[0]) - 1
    pace = (times[-1] - times[0]) / 2  # seconds of the clock's 1
    tracks = np.zeros((slots.shape[1], start + slots.shape[2] - POSE))
    for k, track in enumerate(tracks):
        seen = present[:, k]
        own = slots[seen, k] if seen.any() else slots[:, k]
        track[0] = np.median(np.log(own[:, 0] / unit))
        track[start:] = own[:, POSE:].mean(axis=0)
        if 3 * seen.sum() < len(times):
            track[-1] = ABSENT
        way = _robust_way(own[:, 1:4], clock[seen] if seen.any() else clock, unit, pace, segments)
        track[PLACE], track[SPEED], track[BEND] = way.place, way.speed, way.bend
        if segments == 2:
            track[CHANGE], track[THEN_SPEED], track[THEN_BEND] = way.change, way.then_speed, way.then_bend
        turns = Rotation.from_euler("YXZ", own[:, 4:POSE])
        apart = [(turns * turns[i].inv()).magnitude().sum() for i in range(len(own))]
        track[TURN] = turns[int(np.argmin(apart))].as_rotvec()
    return bounded_tracks(tracks, segments)


class _Way(NamedTuple):
    """Of a track's centre, in units by the clock; see ``tracks``."""

    place: np.ndarray
    speed: np.ndarray
    bend: np.ndarray
    change: float = 1.0
    then_speed: np.ndarray = _NOTHING
    then_bend: np.ndarray = _NOTHING

    def at(self, clock: np.ndarray) -> np.ndarray:
        """(n, 3): where the centre is at times (n,) on the clock."""
        first, since = (each[:, None] for each in _parts(clock, self.change))
        before = self.place + first * self.speed + first**2 * self.bend
        return before + since * self.then_speed + since**2 * self.then_bend


def _parts(clock: np.ndarray, change: float) -> tuple[np.ndarray, np.ndarray]:
    """Times on the clock as far as the change, and since."""
    return np.minimum(clock, change), np.maximum(clock - change, 0)


def _robust_way(centres: np.ndarray, clock: np.ndarray, unit: float, pace: float, segments: int) -> _Way:
    """The likeliest way through centres (n, 3), metres, at times (n,) on the clock, of which ``pace`` seconds
    are 1; those that are far from it, as where a slot holds two things, count less (Huber's weights)."""
    points, weight = centres / unit, np.ones(len(centres))
    for _ in range(ROUNDS):
        way = _way(points, clock, weight, 0.5 * GRAVITY * pace**2 / unit, LEAST_RESIDUAL / unit, segments)
        off = np.linalg.norm(points - way.at(clock), axis=1) * unit
        weight = OUTLYING / np.maximum(off, OUTLYING)
    return way


def _way(
    points: np.ndarray, clock: np.ndarray, weight: np.ndarray, fall: np.ndarray, least: float, segments: int
) -> _Way:
    """The likeliest way through points (n, 3) in units with weights (n,); ``fall`` is the bend of free fall,
    and what is nearer than ``least`` no likelier."""
    count = len(points)
    best, chosen = np.inf, _Way(points.mean(axis=0), _NOTHING, _NOTHING)

    def fitted(basis: np.ndarray, known: np.ndarray, parameters: int) -> tuple[float, np.ndarray]:
        """The criterion, and what the columns of the basis are taken by, beside what is known."""
        root = np.sqrt(weight)[:, None]
        solved = np.linalg.lstsq(root * basis, root * (points - known), rcond=None)[0]
        residual = (weight[:, None] * (points - known - basis @ solved) ** 2).sum()
        used, floor = 3 * count, 3 * count * least**2
        return used * np.log((residual + floor) / used) + parameters * np.log(used), solved

    ones, square = np.ones(count), clock[:, None] ** 2
    for frames, powers, bend, parameters in (
        (1, 1, _NOTHING, 3), (3, 2, _NOTHING, 6), (3, 2, fall, 6), (5, 3, _NOTHING, 9)
    ):  # rest, line, fall, and a parabola of its own  # fmt: skip
        if count < frames:
            continue
        basis = np.stack([clock**power for power in range(powers)], axis=1)
        criterion, solved = fitted(basis, square * bend, parameters)
        if criterion < best:
            rows = np.concatenate([solved, np.zeros((3 - powers, 3))])
            best, chosen = criterion, _Way(rows[0], rows[1], rows[2] + bend)
    if segments == 1 or count < 6:
        return chosen
    for change in (clock[2:-2] + clock[1:-3]) / 2:
        first, since = _parts(clock, change)
        basis = np.stack([ones, first, since], axis=1)
        for bend, then_bend in product((_NOTHING, fall), repeat=2):
            known = first[:, None] ** 2 * bend + since[:, None] ** 2 * then_bend
            criterion, solved = fitted(basis, known, 10)
            if criterion < best:
                best = criterion
                chosen = _Way(solved[0], solved[1], bend, float(change), solved[2], then_bend)
    return chosen
