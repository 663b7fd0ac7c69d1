"""Depth videos, which ``scenes=`` names for video fitting: filmed recordings, or sequences of depth files."""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

from spatial_envs.foundation.arguments import check_choice, check_range, checked_image_size
from spatial_envs.foundation.errors import SceneError
from spatial_envs.geometry.bodies import KINDS
from spatial_envs.geometry.view import View
from spatial_envs.procedural.filming import CAMERA_MOTIONS, Set, camera_way, film_set, lens
from spatial_envs.procedural.moving_bodies import TICK, TICKS, MovingBodies, moving_bodies
from spatial_envs.rendering.builtin import BuiltinRenderer
from spatial_envs.rendering.sensor_noise import noisy_depth
from spatial_envs.scenes.depth_frames import (
    DepthFrame,
    DepthSet,
    SceneTruth,
    checked_count,
    depth_frame,
    open_depth,
)
from spatial_envs.scenes.recordings import REQUIRED, Recording, irregular_stamps, open_recordings
from spatial_envs.scenes.sets import PROCEDURAL, SceneSet, Source, existing

logger = logging.getLogger(__name__)
ANY = "any"  # camera motion: one of all, drawn
SIDE = 2.2  # metres, of the square in which procedural bodies begin
FARTHER = (1.0, 1.25, 0.8, 1.6, 0.64, 2.0, 2.5, 3.2)  # that a camera stands, until it sees enough
LEAST_SEEN = 24  # pixels of things, in every frame
EVERY, FIRST = 5, 2  # of the stamps every fifth is held out, from the third on


@dataclass(frozen=True, eq=False)
class DepthVideo:
    """Depth pictures of things that move, in order of time.

    frames    N of them, of one size; where the truth is known, the same ids are the same things throughout
    times     (N,) seconds, increasing, the last of the shown frames at 0
    shown     (N,) bool: the others are held out, for scores
    posed     whether the cameras' poses are known
    bodies    of filmed recordings what the things are, in the order of their ids; their poses are the frames'
    """

    name: str
    frames: tuple[DepthFrame, ...]
    times: np.ndarray
    shown: np.ndarray
    posed: bool
    bodies: MovingBodies | None = None

    @property
    def shown_views(self) -> list[View]:
        """Those of the shown frames."""
        return [frame.view for frame, shown in zip(self.frames, self.shown, strict=True) if shown]


class VideoSet(SceneSet[DepthVideo]):
    """Depth videos of one split."""

    word: ClassVar[str] = "video"

    @property
    def has_truth(self) -> bool:
        """Whether the true surfaces are known: those of filmed recordings are."""
        return isinstance(self.sources[0], _Filmed)


def shown_stamps(frames: int) -> np.ndarray:
    """(N,) bool: which stamps are shown, so many of them, at least 3; one or more are not."""
    total = frames
    while True:
        shown = np.arange(total) % EVERY != FIRST
        shown[-1] = True
        if shown.sum() == frames and not shown.all():
            return shown
        total += 1


class _Options(NamedTuple):
    """What holds for every video of a set."""

    frames: int
    duration: float
    camera_motion: str
    noise: float
    image_size: tuple[int, int]
    max_depth: float | None


class _Part(NamedTuple):
    """A part of a recording of the given one's ``duration``, from a start that is drawn, or from where the
    file says that something is shown."""

    recording: Source[Recording]

    def load(self, rng: np.random.Generator, duration: float) -> tuple[Recording, float]:
        recording = self.recording.load()
        room = _room(recording.duration, duration, recording.name)
        start = rng.uniform(0, room)
        return recording, start if recording.window is None else min(recording.window.start, room)


class _Bodies(NamedTuple):
    """The same of procedural bodies, which are near each other in that part."""

    seed: int
    num_objects: tuple[int, int]
    unseen: bool
    name: str

    def load(self, rng: np.random.Generator, duration: float) -> tuple[Recording, float]:
        first = int(rng.integers(int(_room(TICK * (TICKS - 1), duration, self.name) / TICK) + 1))
        ticks = slice(first, first + int(np.ceil(duration / TICK)) + 1)
        return Recording(self.name, moving_bodies(self.seed, self.num_objects, self.unseen, ticks, SIDE)), 0.0


def _room(whole: float, duration: float, name: str) -> float:
    if whole < duration:
        raise ValueError(f"duration: got {duration:g} s for {name}; expected at most its {whole:g} s")
    return whole - duration


class _Filmed(NamedTuple):
    """A part of a recording, filmed: which part, and by what camera, follows from the seed."""

    part: _Part | _Bodies
    seed: int
    name: str
    options: _Options

    def load(self) -> DepthVideo:
        options = self.options
        rng = np.random.default_rng([self.seed, 6])
        recording, start = self.part.load(rng, options.duration)
        shown = shown_stamps(options.frames)
        times = start + irregular_stamps(rng, len(shown), options.duration)
        centres, turned = recording.poses(times)
        rotations = Rotation.from_quat(turned.reshape(-1, 4)).as_matrix().reshape(*turned.shape[:2], 3, 3)
        bodies = recording.bodies
        largest, half_way = np.linalg.norm(bodies.extents, axis=1)[:, None], centres[len(times) // 2]
        box = (half_way - largest).min(axis=0), (half_way + largest).max(axis=0)
        whole = (centres - largest).min(axis=(0, 1)), (centres + largest).max(axis=(0, 1))
        middle = (box[0] + box[1]) / 2
        motion = options.camera_motion
        motion = str(rng.choice(CAMERA_MOTIONS)) if motion == ANY else motion
        scene = film_set(rng, bodies.kind, bodies.extents, middle)
        fullest, frames = -1, []
        for framed, farther in [*((box, each) for each in FARTHER), *((whole, each) for each in FARTHER[:2])]:
            way = camera_way(np.random.default_rng([self.seed, 8]), motion, *framed, times, farther)
            try:
                made = [
                    self._frame(k, scene, way[k], bodies.kind, centres[k], rotations[k])
                    for k in range(len(times))
                ]
            except SceneError:
                continue
            if (least := min(_pixels(frame) for frame in made)) > fullest:
                fullest, frames = least, made
            if fullest >= LEAST_SEEN:
                break
        if not frames:
            size = "x".join(map(str, options.image_size))
            got = f"in {size} pixels there is a frame without any of its things"
            raise SceneError(f"{self.name}: {got}; expected larger frames, or fewer seconds")
        return DepthVideo(self.name, tuple(frames), times - times[shown][-1], shown, True, bodies)

    def _frame(
        self,
        k: int,
        scene: Set,
        pose: np.ndarray,
        kind: np.ndarray,
        centres: np.ndarray,
        rotations: np.ndarray,
    ) -> DepthFrame:
        """Frame k as the sensor has it, and the truth."""
        options, intrinsics = self.options, lens(self.options.image_size)
        clean = BuiltinRenderer().render(scene.at(centres, rotations), pose, intrinsics, options.image_size)
        assert clean.segment is not None
        if options.max_depth is not None:
            clean.depth[clean.depth > options.max_depth] = 0
        depth = noisy_depth(clean.depth, intrinsics, options.noise, np.random.default_rng([self.seed, 7, k]))
        segment = np.where(depth > 0, clean.segment, 0).astype(np.int32)
        rgb = np.where(depth[..., None] > 0, clean.rgb, 0).astype(np.uint8)
        placed = np.tile(np.eye(4), (len(kind), 1, 1))
        placed[:, :3, :3], placed[:, :3, 3] = rotations, centres
        surface = [s @ r.T + c for s, r, c in zip(scene.surfaces, rotations, centres, strict=True)]
        ids = np.repeat(np.arange(1, len(kind) + 1), [len(own) for own in surface]).astype(np.int32)
        words = tuple(KINDS[own] for own in kind)
        truth = SceneTruth(words, placed, np.concatenate(surface).astype(np.float32), ids, clean.depth)
        ground = np.append(pose[1, :3], pose[1, 3])  # y = 0, from the camera
        return depth_frame(
            depth, rgb, intrinsics, pose, True, f"{self.name}/{k}", self.name, k, segment, truth, ground
        )


def _pixels(frame: DepthFrame) -> int:
    """How many of the target are a thing's."""
    assert frame.view.segment is not None
    return int(np.count_nonzero(frame.view.segment[frame.target]))


class _Sequence(NamedTuple):
    """Successive files of a data set."""

    files: DepthSet
    times: tuple[float, ...]
    name: str
    frames: int

    @property
    def path(self) -> str:
        return self.files.sources[0].path  # type: ignore[attr-defined]

    def load(self) -> DepthVideo:
        frames = tuple(self.files.load(k) for k in range(len(self.files)))
        times, shown = np.array(self.times), shown_stamps(self.frames)
        if (np.diff(times) <= 0).any():
            raise SceneError(f"{self.name}: times: got {times.tolist()}; expected increasing ones")
        posed = [frame.posed for frame in frames]
        if any(posed) and not all(posed):
            missing = ", ".join(frame.name for frame in frames if not frame.posed)
            raise SceneError(f"{self.name}: got no camera pose of {missing}; expected one of every frame")
        return DepthVideo(self.name, frames, times - times[shown][-1], shown, all(posed))


def open_videos(
    scenes: str | Path = "procedural",
    split: str = "train",
    *,
    frames: int = 10,
    duration: float = 1.0,
    num_objects: int | Sequence[int] = (1, 6),
    camera_motion: str = ANY,
    noise: float = 0.0,
    image_size: int | Sequence[int] = (72, 96),
    fps: float = 30.0,
    max_depth: float | None = None,
    intrinsics: Any = None,
    depth_scale: float | None = None,
    invalid: float | None = None,
) -> VideoSet:
    """The depth videos of a split.

    scenes:         "procedural": bodies of ``procedural.moving_bodies``, filmed; recordings (.npz, or a
                    folder of them, see ``recordings``), filmed; or what ``open_depth`` reads: then a
                    video is so many successive files of a sequence, plain files in the order of their
                    names
    frames:         that are shown, at least 3; every fifth stamp beside them is held out
    duration:       of filmed recordings: seconds from the first frame to the last, at irregular stamps
    num_objects:    procedural: how many bodies, 1 to 12, or the least and the most of them
    camera_motion:  of filmed recordings: "still", "orbit", "dolly", "hand-held", or "any" of them
    noise:          of filmed recordings: of the sensor, 0 = none, 1 = a Kinect's
    image_size:     pixels, an integer or (H, W), at least 16
    fps:            of files whose names are no times: frames a second, by their numbers
    max_depth, intrinsics, depth_scale, invalid:  as for ``open_depth``
    Raises ValueError that names the argument, what was got and what was expected.
    """
    check_range("frames", frames, 3, 64, int)
    check_range("duration", duration, 0.1, 60)
    check_range("noise", noise, 0.0, 1.0)
    check_range("fps", fps, 0.01, 10_000)
    check_choice("camera_motion", camera_motion, (ANY, *CAMERA_MOTIONS))
    if max_depth is not None:
        check_range("max_depth", max_depth, 0.1, 1e6)
    size = checked_image_size(image_size if isinstance(image_size, int) else tuple(image_size), 1)
    count = checked_count(num_objects)
    if str(scenes) == "procedural" or _is_recording(scenes):
        for name, given in (("intrinsics", intrinsics), ("depth_scale", depth_scale), ("invalid", invalid)):
            if given is not None:
                raise ValueError(
                    f"{name}: got {given!r}; expected None for recordings, which are filmed here"
                )
        if str(scenes) == "procedural":
            check_range("duration", duration, 0.1, TICK * (TICKS - 1))
        recordings = open_recordings(scenes, split, count)
        options = _Options(frames, float(duration), camera_motion, float(noise), size, max_depth)
        filmed = []
        for k, (name, source) in enumerate(zip(recordings.names, recordings.sources, strict=True)):
            if str(scenes) == "procedural":
                seed = PROCEDURAL[split][0] + k
                part: _Part | _Bodies = _Bodies(seed, count, split == "test_category", name)
            else:
                seed, part = k, _Part(source)
            filmed.append(_Filmed(part, seed, name, options))
        return VideoSet(recordings.names, recordings.label, recordings.leaky, tuple(filmed))
    if noise:
        raise ValueError(f"noise: got {noise}; expected 0 for scenes={str(scenes)!r}: files have their own")
    files = open_depth(
        scenes, split, image_size=size, max_depth=max_depth, intrinsics=intrinsics, depth_scale=depth_scale,
        invalid=invalid,
    )  # fmt: skip
    found = _sequences(files, frames, fps)
    if not found:
        longest = max(len(each) for each in _by_sequence(files).values())
        got = f"got {frames} (and the held-out ones between) for {files.label}"
        raise ValueError(f"frames: {got}, whose longest sequence has {longest} files; expected fewer")
    logger.info("%s: %d videos of %d files", files.label, len(found), len(files))
    return VideoSet(tuple(each.name for each in found), files.label, files.leaky, tuple(found))


def _is_recording(scenes: str | Path) -> bool:
    """Whether this is an .npz of recordings, or a folder that has some."""
    path = existing(scenes, "recordings, a folder, a depth file or a scene-set YAML")
    files = sorted(path.glob("*.npz"))[:1] if path.is_dir() else [path]
    for file in files:
        if file.suffix.lower() == ".npz":
            try:
                with np.load(file, allow_pickle=False) as arrays:
                    return set(REQUIRED) <= set(arrays.files)
            except (OSError, ValueError, EOFError, zipfile.BadZipFile):
                return False
    return False


def _sequences(files: DepthSet, frames: int, fps: float) -> list[_Sequence]:
    """Every sequence of files in pieces of as many as a video needs."""
    total, found = len(shown_stamps(frames)), []
    for name, indices in _by_sequence(files).items():
        for piece in range(len(indices) // total):
            mine = indices[piece * total : (piece + 1) * total]
            listed = [getattr(files.sources[k], "file", None) for k in mine]
            numbers = [k if file is None else file.number for k, file in zip(mine, listed, strict=True)]
            known = [file.stamp for file in listed if file is not None and file.stamp is not None]
            stamps = known if len(known) == total else [number / fps for number in numbers]
            found.append(_Sequence(files.chosen(mine), tuple(stamps), f"{name}/{piece:04d}", frames))
    return found


def _by_sequence(files: DepthSet) -> dict[str, list[int]]:
    """The indices of each sequence's files; plain files of one folder are one."""
    found: dict[str, list[int]] = {}
    for index, source in enumerate(files.sources):
        own = source.sequence if hasattr(source, "file") else Path(source.path).parent.name  # type: ignore[attr-defined]
        found.setdefault(own, []).append(index)
    return found
