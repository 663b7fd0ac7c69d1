"""Video fitting: explain a depth video with K shapes that keep their identity. ``VideoFitEnv`` is the page
that users read.

In the order in which data runs: video -> target (prototypes/video.py) -> tracks, slots and their residuals
(prototypes/tracks.py) -> figures -> reward (``VideoFit._turn``), and the observation of it all
(``VideoFit.observe``).
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np
from gymnasium import spaces

from spatial_envs.core.features import Features
from spatial_envs.core.prefetch import Ahead
from spatial_envs.core.stays import Stays
from spatial_envs.core.task import Observation, check_state, chosen_space
from spatial_envs.foundation.arguments import (
    check_choice,
    check_range,
    checked_image_size,
    checked_poses,
    floats,
    user_path,
)
from spatial_envs.foundation.caches import Recent
from spatial_envs.geometry.camera import pinhole
from spatial_envs.geometry.view import View
from spatial_envs.prototypes.bank import POSE
from spatial_envs.prototypes.encoder import SHIPPED, bank_sizes, encoded
from spatial_envs.prototypes.fitting import Fitting
from spatial_envs.prototypes.kmeans import ball_slots
from spatial_envs.prototypes.linking import fitted_tracks, followed, linked
from spatial_envs.prototypes.slots import MOST_LOGIT, REACH, RESIDUALS, SCALES, SMALLEST_STEP, moved
from spatial_envs.prototypes.tracks import (
    VideoState,
    bounds,
    camera_rows,
    moved_track,
    resting,
    track_size,
)
from spatial_envs.prototypes.video import VideoTarget, make_video_target
from spatial_envs.rendering import make_renderer
from spatial_envs.scenes.depth_frames import resized
from spatial_envs.scenes.depth_videos import DepthVideo, open_videos
from spatial_envs.video_fit.episode import Episode
from spatial_envs.video_fit.picture import draw_video_fit
from spatial_envs.video_fit.settings import REWARDS, VideoFitSettings

FARTHEST, LONGEST = 1000.0, 1e6  # metres, of observed depth; seconds
STATE = (
    "motion", "slots", "logits", "residuals", "times", "camera", "turn", "frame_turn", "remaining", "features"
)  # fmt: skip
PRESETS = {"state": STATE, "image": ("film", "fit_film", "times", "turn", "frame_turn", "remaining")}
SUCCESS_DISTANCE, SUCCESS_FSV = 0.03, 0.1  # metres, share
CAMERA = 6  # numbers of a camera's change
RENDER_SIZE, RENDER_FOV = (240, 320), 50.0  # of render_view


class VideoFit(Fitting[Episode]):
    """The task behind ``VideoFitEnv`` (arguments are documented there), for any number of rows."""

    settings_type: ClassVar[type[VideoFitSettings]] = VideoFitSettings

    def __init__(self, settings: VideoFitSettings, num_rows: int = 1) -> None:
        self.settings = settings
        self.image_size = checked_image_size(settings.image_size, 1)
        self.videos = open_videos(
            settings.scenes, settings.split, frames=settings.frames, duration=settings.duration,
            num_objects=settings.num_objects, camera_motion=settings.camera_motion, noise=settings.noise,
            image_size=self.image_size, fps=settings.fps, max_depth=settings.max_depth,
            intrinsics=settings.intrinsics, depth_scale=settings.depth_scale, invalid=settings.invalid,
        )  # fmt: skip
        if settings.num_videos is not None:
            check_range("num_videos", settings.num_videos, 1, len(self.videos), int)
            self.videos = self.videos.first(settings.num_videos)
        if settings.reward == "surface" and not self.videos.has_truth:
            known = "only filmed recordings have a known surface"
            raise ValueError(f"reward: got 'surface' for {self.videos.label}; {known}: expected 'full'")
        prototypes = settings.prototypes
        self.weights = SHIPPED if prototypes is None else user_path("prototypes", prototypes)
        self.prototypes = bank_sizes(self.weights).prototypes
        self.features = Features(settings, "first_view")
        self.slots, self.frames, self.segments = settings.slots, settings.frames, settings.segments
        self.by_track, self.estimates = settings.action == "track", settings.camera == "estimated"
        self.steps = settings.steps or self.slots * (10 if self.by_track else 2 * self.frames)
        self.cache = Recent[int, tuple[DepthVideo, VideoTarget]](settings.cache_size)
        self.guesses = Recent[int, np.ndarray](settings.cache_size)
        self.stays = Stays(self.videos, settings.scene_steps)
        self.ahead = Ahead[tuple[DepthVideo, VideoTarget]](settings.prefetch)
        self.rows = [None] * num_rows

        self.size = (
            track_size(self.prototypes, self.segments) if self.by_track else POSE + self.prototypes + 1
        )
        width = 1 + self.size + CAMERA * self.estimates
        self.action_space: spaces.Space = spaces.Box(-1.0, 1.0, (width,), np.float32)
        all_spaces = self._observation_spaces()
        self.observable = tuple(all_spaces)
        default = [key for key in STATE if key in all_spaces]
        presets = {**PRESETS, "all": tuple(all_spaces)}
        self.observation_space = chosen_space(all_spaces, settings.observations, default, presets)

    def _observation_spaces(self) -> dict[str, spaces.Space]:
        (height, width), count, frames = self.image_size, self.slots, self.frames
        pose = np.array([-math.log(SCALES[0]) + 1e-3, *[2 * REACH] * 3, *[math.pi + 1e-3] * 3], np.float32)
        place = np.array([2 * REACH] * 3 + [math.pi + 1e-3] * 3, np.float32)

        def box(high: np.ndarray, *shape: int) -> spaces.Box:
            most = np.broadcast_to(high, (*shape, len(high))).astype(np.float32)
            return spaces.Box(-most, most, dtype=np.float32)

        available: dict[str, spaces.Space] = {}
        if self.by_track:
            available["motion"] = box(1.001 * self._scaled(bounds(self.prototypes, self.segments)), count)
        available["slots"] = box(pose, count, frames)
        if not self.by_track:
            available["logits"] = spaces.Box(-1.0, 1.0, (count, frames, self.prototypes + 1), np.float32)
        available |= {
            "residuals": spaces.Box(-REACH, REACH, (count, frames, RESIDUALS), np.float32),
            "times": spaces.Box(-LONGEST, 0.0, (frames,), np.float32),
            "camera": box(place, frames),
            "turn": spaces.MultiBinary(count),
        }
        if self.estimates or not self.by_track:
            available["frame_turn"] = spaces.MultiBinary(frames)
        available |= {
            "remaining": spaces.Box(0.0, 1.0, (1,), np.float32),
            "rgb": spaces.Box(0, 255, (frames, height, width, 3), np.uint8),
            "depth": spaces.Box(0.0, FARTHEST, (frames, height, width, 1), np.float32),
            "fit_rgb": spaces.Box(0, 255, (frames, height, width, 3), np.uint8),
            "fit_depth": spaces.Box(0.0, FARTHEST, (frames, height, width, 1), np.float32),
            "film": spaces.Box(0, 255, (frames * height, width, 3), np.uint8),
            "fit_film": spaces.Box(0, 255, (frames * height, width, 3), np.uint8),
        }
        if self.backbone is not None:
            available["features"] = self.features.box(self._feature_size(self.backbone), frames)
        return available

    def _scaled(self, tracks: np.ndarray) -> np.ndarray:
        """Tracks (..., M) as observations show them: logits over 10."""
        out = np.array(tracks)
        out[..., -self.prototypes - 1 :] /= MOST_LOGIT
        return out

    # ---- the two calls that advance rows

    def reset(
        self,
        rows: Sequence[int],
        generators: Sequence[np.random.Generator],
        options: dict[str, Any],
        seeded: Sequence[bool],
    ) -> None:
        """See ``Task.reset``; options: "video", a name or an index, and "motion" or "slots"."""
        given_key = "motion" if self.by_track else "slots"
        for key in options:
            check_choice("options", key, ("video", given_key))
        index = None if options.get("video") is None else self.videos.index(options["video"])
        given = None if options.get(given_key) is None else self._checked(options[given_key])
        begun = []
        for row, generator, anew in zip(rows, generators, seeded, strict=True):
            last = None if anew else self.rows[row]
            drawn, (video, target), stay = self.stays.enter(last, generator, self.load, index)
            seed = int(generator.integers(1 << 31))
            rows_of = self._start(drawn, target, seed) if given is None else given
            begun.append(self._episode(drawn, video, self._state(target, rows_of)))
            begun[-1].stay = self.stays.ahead(stay, generator)
        for row, episode, anew in zip(rows, begun, seeded, strict=True):
            self.rows[row] = episode
            self._look_ahead(row, None if anew else episode.stay.next)

    def _turn(self, episode: Episode, action: np.ndarray) -> float:
        """Let an episode's slots change by an action; what that gains."""
        state, before = episode.state, episode.figures
        slot, frame = self.turn_of(episode)
        own, camera = action[: 1 + self.size], action[1 + self.size :]
        if state.tracks is not None:
            state.put_track(slot, moved_track(state.tracks[slot], own, self.segments))
        else:
            state.put_slot(frame, slot, moved(state.frames[frame].slots[slot], own, state.target.unit))
        if self.estimates and frame:  # the first camera is where the fitting frame comes from
            size = SMALLEST_STEP ** ((1 - own[0]) / 2)
            state.put_camera(frame, state.moved_camera(frame, size, camera))
        episode.figures = state.figures()
        episode.steps += 1
        episode.gain = self._gain(before, episode.figures)
        return episode.gain

    def turn_of(self, episode: Episode) -> tuple[int, int]:
        """The slot and the frame whose turn it is: tracks one by one and with them the cameras but the first;
        or a slot in all frames, then the next."""
        if self.by_track:
            return episode.steps % self.slots, 1 + episode.steps % (self.frames - 1)
        return episode.steps // self.frames % self.slots, episode.steps % self.frames

    # ---- what the agent is told

    def observe(self, row: int) -> Observation:
        """See ``Task.observe``; the keys are documented in ``VideoFitEnv``."""
        episode = self.episode(row)
        state, unit = episode.state, episode.state.target.unit
        slot, frame = self.turn_of(episode)

        def slots(first: int, end: int | None) -> np.ndarray:
            rows = np.stack([one.slot_rows()[:, first:end] for one in state.frames], axis=1)
            if not first:
                rows[..., 1:4] = rows[..., 1:4].clip(-2 * REACH, 2 * REACH)
            return rows

        shown = episode.video.shown_views
        made: dict[str, Callable[[], np.ndarray]] = {
            "motion": lambda: self._scaled(state.tracks).astype(np.float32),  # type: ignore[arg-type]
            "slots": lambda: slots(0, POSE),
            "logits": lambda: slots(POSE, None),
            "residuals": lambda: np.stack([one.residual_rows() for one in state.frames], axis=1),
            "times": lambda: state.target.times.astype(np.float32),
            "camera": lambda: camera_rows(state.cameras, unit),
            "turn": lambda: (np.arange(self.slots) == slot).astype(np.int8),
            "frame_turn": lambda: (np.arange(self.frames) == frame).astype(np.int8),
            "remaining": lambda: np.array([1 - episode.steps / self.steps], np.float32),
            "rgb": lambda: np.stack([view.rgb for view in shown]),
            "depth": lambda: np.stack([view.depth[..., None].clip(0, FARTHEST) for view in shown]),
            "fit_rgb": lambda: np.stack([one.picture() for one in state.frames]),
            "fit_depth": lambda: np.stack(
                [one.rendered()[0][..., None].clip(0, FARTHEST) for one in state.frames]
            ),
            "film": lambda: np.concatenate([view.rgb for view in shown]),
            "fit_film": lambda: np.concatenate([one.picture() for one in state.frames]),
            "features": lambda: self._features(episode).copy(),
        }
        return {key: made[key]() for key in self.observation_space.spaces}

    def _features(self, episode: Episode) -> np.ndarray:
        """(T, ...): the frames as views of one set, with the poses that the agent is given."""
        if episode.features is None:
            assert self.backbone is not None
            size = self._feature_size(self.backbone)
            poses = [target.frame_to_world @ target.cam_to_frame for target in episode.state.target.shown]
            views = []
            for view, pose in zip(episode.video.shown_views, poses, strict=True):
                depth, intrinsics = resized(view.depth, view.intrinsics, size)
                rgb, _ = resized(view.rgb, view.intrinsics, size)
                views.append(View(rgb, depth, intrinsics.astype(np.float32), pose.astype(np.float32)))
            encoding = self.features.encode([views], [poses[0]], [None])
            episode.features = self.features.standard(self.features.pooled(encoding, [len(views)], size)[0])
        return episode.features

    def info(self, row: int) -> dict[str, Any]:
        """See ``Task.info``; the keys are documented in ``VideoFitEnv``."""
        episode = self.episode(row)
        figures = {name: value for name, value in episode.figures.items() if name not in REWARDS}
        success = figures["one_directional"] <= SUCCESS_DISTANCE and figures["fsv"] <= SUCCESS_FSV
        return {
            **figures,
            "chamfer": figures["one_directional"],
            "trajectory_error": episode.state.trajectory_error(),
            "gain": episode.gain,
            "steps": episode.steps,
            "is_success": bool(success),
            "object": self.videos.names[episode.index],
            "backbone": self.backbone_name,
        }

    # ---- beginnings

    def _state(self, target: VideoTarget, rows: np.ndarray) -> VideoState:
        settings = self.settings
        arguments = settings.points, settings.all_weights(), self.segments, settings.reward == "surface"
        make = VideoState.of_tracks if self.by_track else VideoState
        return make(target, self.model[1], rows, *arguments)

    def _episode(self, index: int, video: DepthVideo, state: VideoState) -> Episode:
        return Episode(index, video, state, state.figures())

    def load(self, index: int) -> tuple[DepthVideo, VideoTarget]:
        """The video and its target, from the cache where they are there."""
        read = partial(_video_and_target, partial(self.videos.load, index), not self.estimates)
        return self.cache.get(index, partial(self.ahead.take, index, read))

    def _look_ahead(self, row: int, index: int | None) -> None:
        """Let the video that the row needs next be read meanwhile."""
        if index is None or index in self.cache:
            self.ahead.want(row, None, None)
        else:
            load = partial(self.videos.only(index).load, 0)
            self.ahead.want(row, index, partial(_video_and_target, load, not self.estimates))

    def _start(self, index: int, target: VideoTarget, seed: int) -> np.ndarray:
        """Tracks (K, M) or slots (T, K, 7 + P + 1): where an episode begins."""
        if self.settings.start == "encoder":  # which says the same of a video each time
            return self.guesses.get(index, lambda: self._encoded(target))
        middle = target.shown[self.frames // 2]
        slots = ball_slots(middle.points, self.slots, self.prototypes, target.unit, seed)
        if self.by_track:
            return resting(slots, target.unit, self.segments)
        return np.repeat(slots[None], self.frames, axis=0)

    def _encoded(self, target: VideoTarget) -> np.ndarray:
        """What the encoder says of each frame, linked; for tracks one way through each."""
        encoder, shapes = self.model
        slots = encoded(encoder, list(target.shown), self.slots).double().numpy()
        slots = followed(slots, linked(slots, shapes.present(slots), target.times))
        if not self.by_track:
            return slots
        return fitted_tracks(slots, shapes.present(slots), target.times, target.unit, self.segments)

    # ---- for those who look around, or go back

    def render(self, row: int) -> np.ndarray:
        """See ``Task.render``."""
        episode = self.episode(row)
        return draw_video_fit(episode.video, episode.state, episode.figures, episode.steps)

    def render_view(self, row: int, cam_to_world: np.ndarray) -> View:
        """The row's fit of the last shown frame from any poses (..., 4, 4) in the world's frame, 240 x 320
        pixels, 50 degrees."""
        poses = checked_poses(cam_to_world)
        mesh = self.episode(row).state.frames[-1].world_mesh()
        return make_renderer("builtin").render(mesh, poses, pinhole(RENDER_FOV, RENDER_SIZE), RENDER_SIZE)

    def get_state(self, row: int) -> dict[str, Any]:
        """What the row's episode follows from, and what the last step said."""
        episode = self.episode(row)
        state = episode.state
        return {
            "video": self.videos.names[episode.index],
            "fit": state.slots if state.tracks is None else state.tracks.copy(),
            "cameras": state.cameras, "steps": episode.steps, "gain": episode.gain,
            "stay": self.stays.state(episode.stay),
        }  # fmt: skip

    def set_state(self, row: int, state: dict[str, Any]) -> None:
        """Go on from such a state. ValueError for what is no state of such a task."""
        name = "state['task']"
        check_state(name, state, {"video", "fit", "cameras", "steps", "gain", "stay"})
        index = self.videos.index(state["video"])
        rows = self._checked(state["fit"], f"{name}['fit']")
        cameras = floats(f"{name}['cameras']", state["cameras"], f"({self.frames}, 4, 4) finite")
        if cameras.shape != (self.frames, 4, 4) or not np.isfinite(cameras).all():
            raise ValueError(f"{name}['cameras']: got {cameras.shape}; expected finite ({self.frames}, 4, 4)")
        check_range(f"{name}['steps']", state["steps"], 0, self.steps, int)
        stay = self.stays.checked(state["stay"])
        video, target = self.load(index)
        fit = self._state(target, rows)
        fit.restore(rows)
        if self.estimates:
            for frame in range(1, self.frames):
                fit.put_camera(frame, cameras[frame])
        episode = self._episode(index, video, fit)
        episode.steps, episode.gain, episode.stay = state["steps"], state["gain"], stay
        self.rows[row] = episode

    # ---- what comes from outside

    def _checked(self, rows: Any, name: str = "") -> np.ndarray:
        """Tracks (K, M), or slots (T, K, 7 + P + 1) with positive scales."""
        shape = (self.slots, self.size) if self.by_track else (self.frames, self.slots, self.size)
        expected = f"finite {shape}{'' if self.by_track else ' with positive scales'}"
        name = name or ("options['motion']" if self.by_track else "options['slots']")
        given = floats(name, rows, expected)
        fits = given.shape == shape and np.isfinite(given).all()
        if not fits or (not self.by_track and given[..., 0].min() <= 0):
            raise ValueError(f"{name}: got {given.shape} {reprlib.repr(given.tolist())}; expected {expected}")
        return given


def _video_and_target(load: Callable[[], DepthVideo], camera_given: bool) -> tuple[DepthVideo, VideoTarget]:
    video = load()
    return video, make_video_target(video, camera_given)
