"""A question: which frames of a recording are shown, on which clock, and what time is asked about.

Stamps are shown by a clock that may run fast, slow or backwards: shown = sign * rate * (true - true time of
the last shown frame), for the frames and the asked time alike, so the last frame is at 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

from spatial_envs.foresight.settings import ForesightSettings
from spatial_envs.geometry.bodies import pose_distance, second_moments
from spatial_envs.prototypes.motion import fitted_motion, nearest_rotation
from spatial_envs.scenes.recordings import Recording, irregular_stamps

MOVED = 0.1  # metres of path, above which a thing is judged
SEEN_FRAMES = 3  # in which a thing must be seen to be judged
REACH, WAY_SHARE = 0.25, 0.5  # metres, and share of the reference's way, that a step can move a draft


class Poses(NamedTuple):
    """Centres (..., K, 3), metres, and rotations (..., K, 3, 3), body to scene."""

    centres: np.ndarray
    rotations: np.ndarray


class Given(NamedTuple):
    """What ``reset``'s options say of a question; None is drawn.

    start  seconds of the recording where the first frame may be
    times  (T,) seconds from there, of the frames, in any order
    query  seconds on the shown clock
    """

    start: float | None = None
    times: np.ndarray | None = None
    query: float | None = None


@dataclass(frozen=True, eq=False)
class Question:
    """What is shown and asked of K things, in the scene's frame: metres, Y up, the ground at y = 0, the
    origin below the mean of what the frame next to the asked time shows.

    kind (K,), extents (K, 3)  as in ``MovingBodies``
    times    (T,) seconds, shown, increasing, the last 0
    query    seconds, shown
    shown    poses (K, T, 3) and (K, T, 3, 3), noise included; seen (K, T) bool
    truth    poses at the asked time
    path     (K,) metres from the frame next to the asked time
    """

    kind: np.ndarray
    extents: np.ndarray
    times: np.ndarray
    query: float
    shown: Poses
    seen: np.ndarray
    truth: Poses
    path: np.ndarray

    @cached_property
    def reference(self) -> Poses:
        """The answer of the analytic rule, which sees what the agent sees."""
        lowest = self.extents.min(axis=1)
        motion = fitted_motion(self.shown.centres, self.times, self.seen, lowest, self.query)
        turned = nearest_rotation(self.shown.rotations, self.times, self.seen, self.query)
        return Poses(motion.at(self.query), turned)

    @cached_property
    def nearest(self) -> np.ndarray:
        """(K, 3) the centre in the seen frame next to the asked time; the origin, of what was never seen."""
        distance = np.where(self.seen, np.abs(self.times - self.query), np.inf)
        found = self.shown.centres[np.arange(len(self.kind)), distance.argmin(axis=1)]
        return np.where(self.seen.max(axis=1)[:, None], found, 0.0)

    @cached_property
    def reach(self) -> np.ndarray:
        """(K,) metres that a step can move the draft of each thing along an axis."""
        return REACH + WAY_SHARE * np.linalg.norm(self.reference.centres - self.nearest, axis=1)

    @cached_property
    def judged(self) -> np.ndarray:
        """(K,) bool: things that were seen often enough and move; all that were seen, where none moves; all,
        where none was seen."""
        seen: np.ndarray = self.seen.sum(axis=1) >= min(SEEN_FRAMES, self.seen.shape[1])
        moved = np.logical_and(seen, self.path > MOVED)
        return moved if moved.any() else seen if seen.any() else np.ones_like(seen)

    @cached_property
    def _moments(self) -> np.ndarray:
        return second_moments(self.kind, self.extents)

    def distances(self, ours: Poses, others: Poses) -> np.ndarray:
        """(..., J) metres between answers, of the judged things."""
        j = self.judged
        return pose_distance(
            self.kind[j], self._moments[j], (ours.centres[..., j, :], others.centres[..., j, :]),
            (ours.rotations[..., j, :, :], others.rotations[..., j, :, :]),
        )  # fmt: skip


def ask(
    recording: Recording, rng: np.random.Generator, settings: ForesightSettings, given: Given
) -> Question:
    """The question of a recording that a generator draws, but for what is given. ValueError where a recording
    is too short for it."""
    rate = float(np.exp(rng.uniform(*np.log(settings.rate))))
    sign = -1 if rng.random() < settings.reverse else 1
    past = rng.random() < settings.backwards
    lead = rng.uniform(*settings.ahead) / rate
    share = rng.random()
    stamps = irregular_stamps(rng, settings.frames, settings.duration)
    start, observed = given.start, None
    if given.times is not None:
        stamps = given.times
    elif start is None and recording.window is not None:
        start, stamps, observed = recording.window
        if len(stamps) != settings.frames:
            got = f"got {settings.frames} for {recording.name}, whose file shows {len(stamps)}"
            raise ValueError(f"frames: {got}; expected {len(stamps)}")
    after = past == (sign < 0)
    if start is None:
        start = _drawn_start(recording, stamps, lead, after, share)
    true = start + np.sort(stamps)
    if true[0] < -1e-9 or true[-1] > recording.duration + 1e-6:
        got = f"{true[0]:g} to {true[-1]:g} s of {recording.name}"
        raise ValueError(f"start: got {got}; expected a window within 0 to {recording.duration:g} s")
    anchor = true[-1] if sign > 0 else true[0]
    if given.query is not None:
        asked = anchor + sign * given.query / rate
        if not -1e-9 <= asked <= recording.duration + 1e-6:
            got = f"{given.query:g} s of {recording.name}"
            raise ValueError(f"query: got {got}, which is beyond the recording; expected it within")
    else:
        asked = _drawn_query(recording, true, lead, after, settings.ahead[0] / rate)
    return _shown(recording, rng, settings, true, asked, sign * rate, anchor, observed)


def _drawn_start(recording: Recording, stamps: np.ndarray, lead: float, after: bool, share: float) -> float:
    """Seconds of the recording: a share of the way from the first possible start to the last."""
    room = recording.duration - float(stamps.max())
    if room < 0:
        got = f"{float(stamps.max()):g} s of frames for {recording.name}"
        raise ValueError(f"duration: got {got}; expected at most its {recording.duration:g} s")
    lead = min(lead, room)
    return share * (room - lead) + (0.0 if after else lead)


def _drawn_query(recording: Recording, true: np.ndarray, lead: float, after: bool, least: float) -> float:
    """The true time asked about: by ``lead`` after the frames or before them, as far as the recording goes;
    on the other side, where there is less room than the least lead."""
    rooms = {True: recording.duration - true[-1], False: true[0]}
    side = after if rooms[after] >= least else not after
    if rooms[side] < least - 1e-9:
        got = f"{least:g} s for {recording.name}, which has {max(rooms.values()):.2f} s beside its frames"
        raise ValueError(f"ahead: got at least {got}; expected less")
    lead = min(lead, rooms[side])
    return float(true[-1] + lead if side else true[0] - lead)


def _shown(
    recording: Recording, rng: np.random.Generator, settings: ForesightSettings, true: np.ndarray,
    asked: float, clock: float, anchor: float, observed: np.ndarray | None,
) -> Question:  # fmt: skip
    """The question as the agent gets it; ``clock`` is sign * rate."""
    times = clock * (true - anchor)
    order = np.argsort(times)
    bodies = recording.bodies
    (centres, turned), count = recording.poses(true), len(bodies.kind)
    if count > settings.slots:
        raise ValueError(f"slots: got {settings.slots} for {recording.name} with {count} things")
    noise = settings.noise * rng.normal(size=centres.shape)
    centres = centres + noise if observed is None else observed
    turn_noise = np.radians(settings.turn_noise) * rng.normal(size=(len(true) * count, 3))
    noisy = Rotation.from_rotvec(turn_noise) * Rotation.from_quat(turned.reshape(-1, 4))
    rotations = noisy.as_matrix().reshape(*turned.shape[:2], 3, 3)
    seen = rng.random((count, len(true))) >= settings.missing
    end, end_turned = recording.poses(np.array([asked]))
    frame = int(np.abs(true - asked).argmin())
    there = centres[frame, seen[:, frame]] if seen[:, frame].any() else centres[frame]
    origin = there.mean(axis=0) * np.array([1, 0, 1])
    return Question(
        bodies.kind, bodies.extents, times[order], float(clock * (asked - anchor)),
        Poses((centres - origin).swapaxes(0, 1)[:, order], rotations.swapaxes(0, 1)[:, order]),
        seen[:, order],
        Poses(end[0] - origin, Rotation.from_quat(end_turned[0]).as_matrix()),
        recording.path(true[frame], asked),
    )  # fmt: skip
