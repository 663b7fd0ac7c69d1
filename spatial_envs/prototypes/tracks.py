"""Tracks: slots that keep their identity over a video, each one shape on a natural way; and what K of them
leave unexplained of the video.

A track is a row [log scale, place (3), speed (3), bend (3), turn (3), spin (3), ..., logits (P + 1)]: on the
clock tau, which is -1 at the first frame and 1 at the last, its slot has the centre place + speed tau + bend
tau^2 (a parabola), and is turned by the rotation vector spin tau after the rotation vector turn. Lengths are
units, angles radians. With two segments ``...`` is [change, speed (3), bend (3), spin (3)]: from the time
change on, where it then is, the track goes on with those (a bounce).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from spatial_envs.geometry.rotations import turn_angles, wrapped
from spatial_envs.prototypes.bank import POSE
from spatial_envs.prototypes.motion import GRAVITY
from spatial_envs.prototypes.scores import Fit
from spatial_envs.prototypes.slots import (
    FREE_SPACE,
    LOGIT_STEP,
    MOST_LOGIT,
    PARSIMONY,
    REACH,
    SCALES,
    SMALLEST_STEP,
    Shapes,
    SlotState,
)
from spatial_envs.prototypes.target import Target
from spatial_envs.prototypes.video import VideoTarget, between, replaced

PLACE, SPEED, BEND, TURN, SPIN = (slice(1 + 3 * k, 4 + 3 * k) for k in range(5))
FIRST = 16  # numbers of a track's first segment
CHANGE, THEN_SPEED, THEN_BEND, THEN_SPIN = FIRST, slice(17, 20), slice(20, 23), slice(23, 26)
SECOND = 10  # numbers of the second
# what a step of size 1 changes: log scale; place, speed, bend; turn, spin
STEPS = np.array([0.5] * 7 + [0.25] * 3 + [0.5, 1.0, 0.5] + [0.5] * 3)
THEN_STEPS = np.array([0.5] * 4 + [0.25] * 3 + [0.5] * 3)
MOST_SPIN = 2 * math.pi
CAMERA_STEP = 0.1  # units and radians, of a camera, by a step of size 1
CAMERA_REACH = 4.0  # units
FASTEST_TURN = 2 * math.pi  # radians a second: a change of spin that costs as much as one g
Figures = dict[str, float]


def track_size(prototypes: int, segments: int) -> int:
    """Numbers of a track."""
    return FIRST + SECOND * (segments - 1) + prototypes + 1


def bounds(prototypes: int, segments: int) -> np.ndarray:
    """(M,): the largest number of each kind that a track can hold; the least is its negative."""
    first = [abs(math.log(SCALES[0])), *[REACH] * 9, *[math.pi + 1e-3] * 3, *[MOST_SPIN] * 3]
    second = [1.0, *[REACH] * 6, *[MOST_SPIN] * 3] * (segments - 1)
    return np.array([*first, *second, *[MOST_LOGIT] * (prototypes + 1)])


def bounded_tracks(tracks: np.ndarray, segments: int) -> np.ndarray:
    """Tracks (..., M) float64 within what observations can hold; logits of mean 0, turns of at most pi."""
    start = FIRST + SECOND * (segments - 1)
    out = np.array(tracks, np.float64)
    angle = np.linalg.norm(out[..., TURN], axis=-1, keepdims=True)
    out[..., TURN] *= wrapped(angle) / np.maximum(angle, 1e-12)
    out[..., start:] -= out[..., start:].mean(axis=-1, keepdims=True)
    most = bounds(out.shape[-1] - start - 1, segments)
    out[..., 0] = out[..., 0].clip(math.log(SCALES[0]), math.log(SCALES[1]))
    return out.clip(-most, most)


def moved_track(track: np.ndarray, action: np.ndarray, segments: int) -> np.ndarray:
    """The track (M,) after a step; action (1 + M,) in [-1, 1]: the step's size as in ``slots.moved``, then
    the changes as shares of STEPS, THEN_STEPS and LOGIT_STEP times that size. The result is within
    bounds."""
    size = SMALLEST_STEP ** ((1 - action[0]) / 2)
    start = FIRST + SECOND * (segments - 1)
    steps = np.concatenate([STEPS, *[THEN_STEPS] * (segments - 1), np.full(len(track) - start, LOGIT_STEP)])
    return bounded_tracks(track + size * steps * action[1:], segments)


def track_slots(track: np.ndarray, clock: np.ndarray, unit: float, segments: int) -> np.ndarray:
    """(N, 7 + P + 1): the slot, metres, that a track (M,) is at times (N,) on its clock."""
    first = clock if segments == 1 else np.minimum(clock, track[CHANGE])
    centre = track[PLACE] + first[:, None] * track[SPEED] + first[:, None] ** 2 * track[BEND]
    turn = Rotation.from_rotvec(first[:, None] * track[SPIN]) * Rotation.from_rotvec(track[TURN])
    if segments == 2:
        since = np.maximum(clock - track[CHANGE], 0)[:, None]
        centre = centre + since * track[THEN_SPEED] + since**2 * track[THEN_BEND]
        turn = Rotation.from_rotvec(since * track[THEN_SPIN]) * turn
    start = FIRST + SECOND * (segments - 1)
    slots = np.empty((len(clock), POSE + len(track) - start))
    slots[:, 0] = unit * math.exp(track[0])
    slots[:, 1:4] = unit * centre
    slots[:, 4:POSE] = [turn_angles(matrix) for matrix in turn.as_matrix()]
    slots[:, POSE:] = track[start:]
    return slots


def resting(slots: np.ndarray, unit: float, segments: int = 1) -> np.ndarray:
    """(K, M): tracks of slots (K, 7 + P + 1), metres, that do not move."""
    start = FIRST + SECOND * (segments - 1)
    tracks = np.zeros((len(slots), start + slots.shape[1] - POSE))
    tracks[:, 0] = np.log(slots[:, 0] / unit)
    tracks[:, PLACE] = slots[:, 1:4] / unit
    tracks[:, TURN] = _turns(slots).as_rotvec()
    if segments == 2:
        tracks[:, CHANGE] = 1.0
    tracks[:, start:] = slots[:, POSE:]
    return bounded_tracks(tracks, segments)


def _turns(slots: np.ndarray) -> Rotation:
    """The rotations of slots (..., 7 + P + 1), flattened."""
    return Rotation.from_euler("YXZ", slots[..., 4:POSE].reshape(-1, 3))


def unnatural(slots: np.ndarray, times: np.ndarray, present: np.ndarray) -> float:
    """How unnatural the slots' ways are: (T, K, 7 + P + 1), metres, at times (T,), seconds; present (T, K).

    The mean over things and frames of h(a) + h(b) + |d log scale| from frame to frame, with h Huber's
    function: a the acceleration, or what it lacks to free fall, whichever is less, in g, and b the change of
    the angular velocity over 2 pi a second. So resting, even motion and falling are free, and one impact
    costs little. Stamps may be uneven.
    """
    if len(times) < 3:
        return 0.0
    gaps = np.diff(times)
    centre_gap = (gaps[1:] + gaps[:-1])[:, None, None] / 2
    velocity = np.diff(slots[..., 1:4], axis=0) / gaps[:, None, None]
    acceleration = np.diff(velocity, axis=0) / centre_gap
    g = np.linalg.norm(GRAVITY)
    lacks = np.minimum(np.linalg.norm(acceleration, axis=-1), np.linalg.norm(acceleration - GRAVITY, axis=-1))
    turns = _turns(slots).as_matrix().reshape(*slots.shape[:2], 3, 3)
    steps = turns[1:] @ np.swapaxes(turns[:-1], -1, -2)
    spins = Rotation.from_matrix(steps.reshape(-1, 3, 3)).as_rotvec().reshape(*steps.shape[:2], 3)
    twist = np.linalg.norm(np.diff(spins / gaps[:, None, None], axis=0), axis=-1) / FASTEST_TURN
    growth = np.abs(np.diff(np.log(slots[..., 0]), axis=0))
    both, three = present[1:] & present[:-1], present[2:] & present[1:-1] & present[:-2]
    return _mean(_huber(lacks / g) + _huber(twist), three) + _mean(growth, both)


def _huber(values: np.ndarray) -> np.ndarray:
    return np.where(values < 1, values**2 / 2, values - 0.5)


def _mean(values: np.ndarray, where: np.ndarray) -> float:
    return float(values[where].mean()) if where.any() else 0.0


@dataclass(frozen=True)
class Weights:
    """Of the parts of ``full`` beside those of scene fitting."""

    motion: float = 0.02
    prototypes: float = 0.1
    camera: float = 0.2


class VideoState:
    """Slots (T, K, 7 + P + 1) on the shown frames of a video, and their residuals; those of a track are one
    shape on one way, or each is its own.

    slots    (T, K, 7 + P + 1), metres
    tracks   (K, M), or None where every slot is its own
    cameras  (T, 4, 4), camera to fitting frame, as the fit has them
    """

    def __init__(
        self,
        target: VideoTarget,
        shapes: Shapes,
        slots: np.ndarray,
        most_points: int,
        weights: Weights,
        segments: int = 1,
        truth: bool = False,
    ) -> None:
        self.target, self.shapes, self.segments, self.weights = target, shapes, segments, weights
        self._most, self._truth = most_points, truth
        self.tracks: np.ndarray | None = None
        self.frames = [
            SlotState(one, shapes, own, most_points, truth)
            for one, own in zip(target.shown, slots, strict=True)
        ]

    @classmethod
    def of_tracks(
        cls,
        target: VideoTarget,
        shapes: Shapes,
        tracks: np.ndarray,
        most_points: int,
        weights: Weights,
        segments: int = 1,
        truth: bool = False,
    ) -> VideoState:
        """The state of tracks (K, M)."""
        tracks = bounded_tracks(tracks, segments)
        slots = [track_slots(track, target.clock, target.unit, segments) for track in tracks]
        state = cls(target, shapes, np.stack(slots, axis=1), most_points, weights, segments, truth)
        state.tracks = tracks
        state.restore(tracks)
        return state

    def restore(self, rows: np.ndarray) -> None:
        """Let tracks (K, M), or slots (T, K, 7 + P + 1) that are each their own, be just as given."""
        if self.tracks is not None:
            for index, track in enumerate(rows):
                self.put_track(index, track)
        else:
            for frame, slots in enumerate(rows):
                for index, slot in enumerate(slots):
                    self.put_slot(frame, index, slot)

    @property
    def slots(self) -> np.ndarray:
        """(T, K, 7 + P + 1), metres."""
        return np.stack([frame.slots for frame in self.frames])

    @property
    def present(self) -> np.ndarray:
        """(T, K) bool."""
        return np.stack([frame.present for frame in self.frames])

    @property
    def cameras(self) -> np.ndarray:
        """(T, 4, 4) float64, camera to fitting frame."""
        return np.stack([frame.target.cam_to_frame for frame in self.frames])

    def put_track(self, index: int, track: np.ndarray) -> None:
        """Let track ``index`` be as given, in every frame."""
        assert self.tracks is not None
        self.tracks[index] = track
        slots = track_slots(track, self.target.clock, self.target.unit, self.segments)
        for frame, slot in zip(self.frames, slots, strict=True):
            frame.put(index, slot)

    def put_slot(self, frame: int, index: int, slot: np.ndarray) -> None:
        """Let slot ``index`` of one frame be as given."""
        self.frames[frame].put(index, slot)

    def put_camera(self, frame: int, cam_to_frame: np.ndarray) -> None:
        """Let the camera of one frame, and so what it measured, be elsewhere."""
        old = self.frames[frame]
        self.frames[frame] = SlotState(
            replaced(old.target, cam_to_frame), self.shapes, old.slots, self._most, self._truth
        )
        for index, slot in enumerate(old.slots):  # just as they were
            self.put_slot(frame, index, slot)

    def moved_camera(self, frame: int, size: float, change: np.ndarray) -> np.ndarray:
        """(4, 4): the frame's camera after a step of that size; change (6,) in [-1, 1], shares of CAMERA_STEP
        units and radians."""
        pose = self.frames[frame].target.cam_to_frame.copy()
        step = size * CAMERA_STEP * change
        unit, first = self.target.unit, self.frames[0].target.cam_to_frame
        reach = CAMERA_REACH * unit
        pose[:3, 3] = first[:3, 3] + (pose[:3, 3] + unit * step[:3] - first[:3, 3]).clip(-reach, reach)
        pose[:3, :3] = Rotation.from_rotvec(step[3:]).as_matrix() @ pose[:3, :3]
        return pose

    def figures(self) -> Figures:
        """Over the frames the means of what ``SlotState.figures`` says of each; ``motion`` (``unnatural``),
        ``prototypes`` (how much the blends change from frame to frame, half the sum of differences) and
        ``camera`` (how far the ground is from where the first frame has it, normal and offset in units); and
        of all that the potential ``full``."""
        each = [frame.figures() for frame in self.frames]
        means = {key: float(np.mean([one[key] for one in each])) for key in each[0]}
        slots, present = self.slots, self.present
        means["motion"] = unnatural(slots, self.target.times, present)
        means["prototypes"] = self._changes(slots, present)
        means["camera"] = self._ground_off()
        w = self.weights
        cost = means["occlusion_aware"] / self.target.unit + FREE_SPACE * means["fsv"]
        cost += PARSIMONY * means["slots"]
        more = w.motion * means["motion"] + w.prototypes * means["prototypes"] + w.camera * means["camera"]
        means["full"] = -(cost + more)
        if "surface" in means:
            means["surface"] -= more
        return means

    def _changes(self, slots: np.ndarray, present: np.ndarray) -> float:
        if self.tracks is not None:
            return 0.0
        weights = np.apply_along_axis(self.shapes.weights, -1, slots)
        return _mean(np.abs(np.diff(weights, axis=0)).sum(axis=-1) / 2, present[1:] & present[:-1])

    def _ground_off(self) -> float:
        planes = np.stack([_placed(p, c) for p, c in zip(self.target.ground, self.cameras, strict=True)])
        off = np.linalg.norm(planes[:, :3] - planes[0, :3], axis=1)
        off += np.abs(planes[:, 3] - planes[0, 3]) / self.target.unit
        known = np.isfinite(off)
        return float(off[known].mean()) if known.any() else 0.0

    def trajectory_error(self) -> float:
        """See ``trajectory_error``."""
        return trajectory_error(self.cameras, self.target.true_poses)

    # ---- what scores and pictures look at

    def fits(self) -> list[Fit]:
        """The slots' surfaces in every shown frame."""
        return [frame.fit() for frame in self.frames]

    def held_out_slots(self) -> np.ndarray:
        """(H, K, 7 + P + 1): the slots at the held-out stamps; where every slot is its own, half way in time
        between its neighbours."""
        target = self.target
        if self.tracks is not None:
            clock = target.on_clock(target.held_times)
            slots = [track_slots(track, clock, target.unit, self.segments) for track in self.tracks]
            return np.stack(slots, axis=1)
        return slots_between(self.slots, target.times, target.held_times)

    def held_out_targets(self) -> tuple[Target, ...]:
        """Those of the held-out frames; where cameras are not given, between those of the fit."""
        target = self.target
        if target.camera_given:
            return target.held_out
        poses = between(self.cameras, target.times, target.held_times)
        return tuple(replaced(one, pose) for one, pose in zip(target.held_out, poses, strict=True))


def slots_between(slots: np.ndarray, times: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """(H, K, 7 + P + 1): slots (T, K, 7 + P + 1) at increasing times (T,), evenly on the way between two of
    them at the asked times (H,)."""
    after = np.clip(np.searchsorted(times, asked), 1, len(times) - 1)
    share = ((asked - times[after - 1]) / (times[after] - times[after - 1])).clip(0, 1)[:, None, None]
    low, high = slots[after - 1], slots[after]
    out = (1 - share) * low + share * high
    turns = [_turns(each).as_matrix().reshape(*each.shape[:2], 3, 3) for each in (low, high)]
    way = turns[1] @ np.swapaxes(turns[0], -1, -2)
    part = Rotation.from_matrix(way.reshape(-1, 3, 3)).as_rotvec().reshape(*out.shape[:2], 3) * share
    turned = Rotation.from_rotvec(part.reshape(-1, 3)).as_matrix() @ turns[0].reshape(-1, 3, 3)
    out[..., 4:POSE] = np.reshape([turn_angles(matrix) for matrix in turned], (*out.shape[:2], 3))
    return out


def trajectory_error(cameras: np.ndarray, true: np.ndarray | None) -> float:
    """Metres: the root mean square distance of cameras (T, 4, 4) from where they were, the first being given;
    NaN where nobody knows."""
    if true is None:
        return math.nan
    apart = cameras[:, :3, 3] - true[:, :3, 3]
    return float(np.sqrt((apart**2).sum(axis=1).mean()))


def camera_rows(poses: np.ndarray, unit: float) -> np.ndarray:
    """(T, 6) float32: of poses (T, 4, 4) against the first the translation, units, and the rotation vector,
    both in the fitting frame's axes."""
    moved = (poses[:, :3, 3] - poses[0, :3, 3]) / unit
    turned = Rotation.from_matrix(poses[:, :3, :3] @ poses[0, :3, :3].T).as_rotvec()
    return np.concatenate([moved.clip(-REACH, REACH), turned], axis=1).astype(np.float32)


def _placed(plane: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """A plane (4,) of the camera's frame in the one that the pose (4, 4) leads to."""
    normal = pose[:3, :3] @ plane[:3]
    return np.append(normal, plane[3] - normal @ pose[:3, 3])
