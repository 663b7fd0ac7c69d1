"""What a thought can ask: how things would move from a start, by the laws of the procedural scenes with mean
parameters, and how far that is from what was shown. Things do not meet in it. Metres, seconds, Y up."""

from __future__ import annotations

import numpy as np

from spatial_envs.foresight.question import Question
from spatial_envs.geometry.bodies import SPHERE
from spatial_envs.procedural.moving_bodies import FRICTION, GRAVITY, RESTITUTION, ROLLING, Launch, flown
from spatial_envs.prototypes.motion import NEAREST, fitted_motion


def used_frames(question: Question) -> np.ndarray:
    """(T,) bool: the frames next to the asked time, which a simulation goes through."""
    order = np.argsort(np.abs(question.times - question.query), kind="stable")
    used = np.zeros(len(order), np.bool_)
    used[order[:NEAREST]] = True
    return used


def begin(question: Question) -> float:
    """Seconds on the shown clock where a simulation begins: at the first of its frames, or the asked time."""
    return min(question.query, float(question.times[used_frames(question)].min()))


def first_start(question: Question) -> np.ndarray:
    """(K, 6): place and velocity there by the analytic rule, which sees what the agent sees."""
    lowest = question.extents.min(axis=1)
    motion = fitted_motion(question.shown.centres, question.times, question.seen, lowest, question.query)
    at = begin(question)
    return np.concatenate([motion.at(at), motion.speed(at)], axis=1)


def simulated(question: Question, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """From a start (K, 6) the centres (K, 3) at the asked time, and residuals (K, T, 3): what was shown minus
    what was simulated, 0 in frames that are not used, or not seen."""
    used, extents = used_frames(question), question.extents
    shown, seen = question.shown.centres, question.seen & used
    height = np.where(seen, shown[..., 1], np.inf).min(axis=1)
    lowest = np.clip(
        height, extents.min(axis=1), extents.max(axis=1)
    )  # the side that it lies on, as it seems
    place = start[:, :3].copy()
    place[:, 1] = np.maximum(place[:, 1], lowest)
    friction, restitution = np.full(len(start), np.mean(FRICTION)), np.full(len(start), np.mean(RESTITUTION))
    braking = GRAVITY * np.where(question.kind == SPHERE, ROLLING, friction)
    launch = Launch(place, start[:, 3:], lowest, restitution, friction, braking)
    times = np.append(question.times, question.query) - begin(question)
    ways, _ = flown(launch, np.maximum(times, 0.0))
    return ways[:, -1], (shown - ways[:, :-1]) * seen[..., None]
