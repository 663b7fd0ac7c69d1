"""From slots of single frames to tracks: which slots are the same thing, and on which way it goes."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial.transform import Rotation

from spatial_envs.prototypes.bank import POSE
from spatial_envs.prototypes.motion import GRAVITY
from spatial_envs.prototypes.tracks import (
    BEND,
    FIRST,
    PLACE,
    SECOND,
    SPEED,
    TURN,
    bounded_tracks,
)

ABSENT = 30.0  # logit of absence, of a slot that is none
SIZE_COST = 0.5  # metres that a factor of e in size is worth, when slots are linked
UNLIKELY = 1e6
LEAST_RESIDUAL = 0.02  # metres: what fits better is no more likely
LAWS = 4  # rest, line, fall, and a parabola of its own
PARAMETERS = (3, 6, 6, 9)


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
    criterion: rest, a line, free fall, or a parabola. One that is in fewer than a third of the frames is
    absent."""
    start = FIRST + SECOND * (segments - 1)
    clock = 2 * (times - times[0]) / (times[-1] - times[0]) - 1
    pace = (times[-1] - times[0]) / 2  # seconds of the clock's 1
    tracks = np.zeros((slots.shape[1], start + slots.shape[2] - POSE))
    if segments == 2:
        tracks[:, FIRST] = 1.0
    for k, track in enumerate(tracks):
        seen = present[:, k]
        own = slots[seen, k] if seen.any() else slots[:, k]
        track[0] = np.median(np.log(own[:, 0] / unit))
        track[start:] = own[:, POSE:].mean(axis=0)
        if 3 * seen.sum() < len(times):
            track[-1] = ABSENT
        track[PLACE], track[SPEED], track[BEND] = _way(
            own[:, 1:4], clock[seen] if seen.any() else clock, unit, pace
        )
        turns = Rotation.from_euler("YXZ", own[:, 4:POSE])
        apart = [(turns * turns[i].inv()).magnitude().sum() for i in range(len(own))]
        track[TURN] = turns[int(np.argmin(apart))].as_rotvec()
    return bounded_tracks(tracks, segments)


def _way(
    centres: np.ndarray, clock: np.ndarray, unit: float, pace: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Place, speed and bend, units by the clock, of centres (n, 3), metres, at times (n,) on it."""
    fall = 0.5 * GRAVITY * pace**2 / unit
    points, count = centres / unit, len(centres)
    best, chosen = np.inf, (points.mean(axis=0), np.zeros(3), np.zeros(3))
    for law in range(LAWS):
        if count < (1, 3, 3, 5)[law]:
            continue
        degree, bend = (0, 1, 1, 2)[law], fall if law == 2 else np.zeros(3)
        left = points - clock[:, None] ** 2 * bend
        basis = np.stack([clock**power for power in range(degree + 1)], axis=1)
        solved = np.linalg.lstsq(basis, left, rcond=None)[0]
        residual = ((left - basis @ solved) ** 2).sum()
        used = 3 * count
        floor = used * (LEAST_RESIDUAL / unit) ** 2
        criterion = used * np.log((residual + floor) / used) + PARAMETERS[law] * np.log(used)
        if criterion < best:
            rows = np.zeros((3, 3))
            rows[: degree + 1] = solved
            rows[2] += bend
            best, chosen = criterion, (rows[0], rows[1], rows[2])
    return chosen
