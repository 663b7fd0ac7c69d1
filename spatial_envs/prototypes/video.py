"""What a fit of a video is measured against: the targets of all frames in one fitting frame."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from spatial_envs.foundation.errors import SceneError
from spatial_envs.geometry.camera import inverse_pose
from spatial_envs.prototypes.target import LEAST_PIXELS, Placement, Target, placed_target, placement
from spatial_envs.scenes.depth_videos import DepthVideo


@dataclass(frozen=True, eq=False)
class VideoTarget:
    """A depth video to explain. The fitting frame and its unit are those of all shown frames' points
    together, so that nothing jumps when a thing enters the picture.

    shown, held_out    targets, in order of time; fitters are not shown the latter
    times, held_times  (T,), (H,) seconds, the last shown frame at 0
    ground             (T, 4) float64: of each shown frame the plane that things stand on, camera frame: unit
                       normal n and d, metres, with n . p + d = 0; NaN where there is none
    true_poses         (T, 4, 4) float64, the cameras in the fitting frame; None where nobody knows
    camera_given       whether the targets' cameras are these
    num_objects        how many things there are in all, or None where nobody knows
    """

    shown: tuple[Target, ...]
    held_out: tuple[Target, ...]
    times: np.ndarray
    held_times: np.ndarray
    ground: np.ndarray
    true_poses: np.ndarray | None
    camera_given: bool
    num_objects: int | None

    @property
    def unit(self) -> float:
        """Metres."""
        return self.shown[0].unit

    @property
    def clock(self) -> np.ndarray:
        """(T,): the stamps from -1 to 1, in which motions are written."""
        return self.on_clock(self.times)

    def on_clock(self, times: np.ndarray) -> np.ndarray:
        """Seconds as that clock has them."""
        first, last = self.times[0], self.times[-1]
        return (2 * np.asarray(times) - first - last) / (last - first)


def make_video_target(video: DepthVideo, camera_given: bool = True) -> VideoTarget:
    """The target of a video; where the cameras are not given, each is where the first one is. SceneError for
    a video with too little to explain in a frame, or with no poses where the cameras are given."""
    if camera_given and not video.posed:
        raise SceneError(f"{video.name}: got no camera poses; expected them, or camera='estimated'")
    count = sum(int(frame.target.sum()) for frame in video.frames)
    if count < LEAST_PIXELS:
        raise SceneError(f"{video.name}: got {count} pixels to explain; expected at least {LEAST_PIXELS}")
    true = np.stack([frame.view.cam_to_world for frame in video.frames]).astype(np.float64)
    poses = true if camera_given else np.broadcast_to(true[video.shown][0], true.shape)
    points = [
        frame.points if camera_given else _seen_from(frame.points, own, pose)
        for frame, own, pose in zip(video.frames, true, poses, strict=True)
    ]
    shown, held = np.flatnonzero(video.shown).tolist(), np.flatnonzero(~video.shown).tolist()
    place = placement(poses[shown[0]], np.concatenate([points[k] for k in shown]))
    targets = [_whole(video, k, place, poses[k]) for k in range(len(true))]
    ids = [np.unique(target.objects) for target in targets if target.objects is not None]
    truths = [frame.truth for frame in video.frames]
    known = len(truths[0].categories) if truths[0] is not None else None
    if known is None and ids:
        known = int((np.unique(np.concatenate(ids)) > 0).sum())
    return VideoTarget(
        tuple(targets[k] for k in shown),
        tuple(targets[k] for k in held),
        video.times[shown],
        video.times[held],
        np.stack([_ground(video, k, true[k]) for k in shown]),
        inverse_pose(place.frame_to_world) @ true[shown] if video.posed else None,
        camera_given,
        known,
    )


def _whole(video: DepthVideo, k: int, place: Placement, pose: np.ndarray) -> Target:
    frame = video.frames[k]
    return placed_target(frame, place, np.ones(int(frame.target.sum()), np.bool_), pose)


def _ground(video: DepthVideo, k: int, pose: np.ndarray) -> np.ndarray:
    """(4,): the plane of frame k as its camera sees it."""
    plane = video.frames[k].ground
    if plane is None:
        return np.full(4, np.nan)
    return np.append(pose[:3, :3].T @ plane[:3], plane[3] + plane[:3] @ pose[:3, 3])


def _seen_from(points: np.ndarray, own: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """Points (N, 3), measured with the camera at its own pose, as if it had been at another."""
    move = pose @ inverse_pose(own)
    return (points @ move[:3, :3].T + move[:3, 3]).astype(np.float32)


def replaced(target: Target, cam_to_frame: np.ndarray) -> Target:
    """The target with its camera, and so what it measured, elsewhere; the truth stays where it is."""
    points = _seen_from(target.points, target.cam_to_frame, cam_to_frame)
    return replace(target, points=points, cam_to_frame=cam_to_frame)


def between(poses: np.ndarray, times: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """(H, 4, 4): poses (T, 4, 4) at increasing times (T,) taken to the asked ones (H,) in between."""
    asked = np.clip(asked, times[0], times[-1])
    out = np.tile(np.eye(4), (len(asked), 1, 1))
    out[:, :3, :3] = Slerp(times, Rotation.from_matrix(poses[:, :3, :3]))(asked).as_matrix()
    out[:, :3, 3] = np.stack([np.interp(asked, times, poses[:, k, 3]) for k in range(3)], axis=-1)
    return out
