"""Explain a depth video with a few moving shapes, and write them as an animated scene that viewers play.

python -m scenes.film path/to/rgbd_dataset_freiburg1_desk --out scene.glb
python -m scenes.film path/to/sequence --frames 20 --slots 12 --fps 10 --max-depth 5 --picture fit.png
python -m scenes.film procedural --video 3 --out scene.glb

The video is so many successive depth maps of a sequence, in any layout that ``scenes=`` of VideoFit reads.
Each frame is explained by the shipped encoder; what it says is linked, given one shape and one natural way
each, which may change once, and made better by gradient on all frames together. The scene is in metres, +Y
up, as glTF has it: each shape is an object that moves, and the camera goes its way.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from PIL import Image
from tyro.conf import Positional, arg

from agents.flags import UserPath, parse_flags
from agents.video_fit.baselines import explanation, model, way_tracks
from scenes.animated import Moving, write_animated
from spatial_envs.core.drawing import slot_colors
from spatial_envs.foundation.errors import SceneError
from spatial_envs.foundation.threads import set_threads
from spatial_envs.geometry.mesh import Mesh
from spatial_envs.geometry.rotations import turn_matrix
from spatial_envs.prototypes.bank import POSE
from spatial_envs.prototypes.refine_tracks import refined_tracks
from spatial_envs.prototypes.tracks import VideoState, Weights, track_slots
from spatial_envs.prototypes.video import VideoTarget, between, make_video_target
from spatial_envs.prototypes.video_scores import score_video
from spatial_envs.scenes.depth_videos import DepthVideo, open_videos
from spatial_envs.video_fit.picture import draw_video_fit

RATE = 30  # key frames a second
SEGMENTS, POINTS = 2, 256  # of a way; of each frame, that the scores look at


@dataclass(frozen=True)
class Flags:
    """What the command line says."""

    scenes: Positional[Annotated[str, arg(metavar="SEQUENCE")]]
    """A folder of depth in a known layout, a file of recordings, or "procedural"."""
    out: UserPath = Path("scene.glb")
    """The animated scene."""
    video: int = 0
    """Which video of the sequence: the frames follow each other in pieces of so many."""
    frames: int = 10
    """Shown to the fit; every fifth beside them is kept for its score."""
    slots: int = 8
    """Shapes at most."""
    steps: int = 60
    """Of refinement by gradient."""
    fps: float = 30.0
    """Frames a second, where the names of files are no times."""
    height: int = 72
    """Pixels that depth maps are sampled at, from top to bottom."""
    intrinsics: tuple[float, float, float, float] | None = None
    """fx fy cx cy, pixels of the files, in place of the data set's."""
    max_depth: float | None = None
    """Metres: what is farther is left out."""
    picture: UserPath | None = None
    """Also a picture of frames, fit and ways."""


def fit_video(video: DepthVideo, slots: int, steps: int) -> VideoState:
    """The video explained by up to ``slots`` moving shapes; without poses as if the camera stood still."""
    target = make_video_target(video, video.posed)
    encoder, shapes = model()
    tracks = way_tracks(target, slots, SEGMENTS)
    if steps:
        tracks = refined_tracks(encoder.bank, target, tracks, steps)
    return VideoState.of_tracks(target, shapes, tracks, POINTS, Weights(), SEGMENTS)


def moving_shapes(state: VideoState, times: np.ndarray) -> list[Moving]:
    """Each present shape about its own centre, and its poses in the world at times (N,), seconds."""
    assert state.tracks is not None
    target, topology = state.target, state.shapes.topology
    place = target.shown[0].frame_to_world
    colors = (255 * slot_colors(len(state.tracks))).astype(np.uint8)
    found = []
    for k in np.flatnonzero(state.frames[0].present).tolist():
        slots = track_slots(state.tracks[k], target.on_clock(times), target.unit, SEGMENTS)
        own = slots[0].copy()
        own[1:POSE] = 0
        vertices = state.shapes.vertices(own)
        mesh = Mesh(vertices, topology.faces, np.tile(colors[k], (len(vertices), 1)))
        poses = np.tile(np.eye(4), (len(times), 1, 1))
        poses[:, :3, 3], poses[:, :3, :3] = slots[:, 1:4], [turn_matrix(slot[4:POSE]) for slot in slots]
        found.append(Moving(f"slot_{k}", mesh, place @ poses))
    return found


def camera_poses(state: VideoState, target: VideoTarget, times: np.ndarray) -> np.ndarray:
    """(N, 4, 4) camera to world at times (N,), seconds, between those of the frames."""
    return target.shown[0].frame_to_world @ between(state.cameras, target.times, times)


def run(flags: Flags) -> str:
    """Fit and write; what the fit is worth, in words. ValueError and SceneError for what is no video."""
    if flags.slots < 1 or flags.steps < 0 or flags.height < 16:
        got = f"got {flags.slots}, {flags.steps}, {flags.height}"
        raise ValueError(f"slots, steps, height: {got}; expected from 1, from 0 and from 16")
    wide = (flags.height, 4 * flags.height // 3)
    videos = open_videos(
        flags.scenes, "train", frames=flags.frames, image_size=wide, fps=flags.fps,
        max_depth=flags.max_depth, intrinsics=flags.intrinsics,
    )  # fmt: skip
    video = videos.load(videos.index(flags.video))
    state = fit_video(video, flags.slots, flags.steps)
    if not state.present.any():
        raise SceneError(
            f"{video.name}: got no shape that is left; expected more slots, or a nearer max-depth"
        )
    figures = score_video(*explanation(state))
    target = state.target
    times = np.linspace(target.times[0], 0, max(2, round(-target.times[0] * RATE)))
    flags.out.parent.mkdir(parents=True, exist_ok=True)
    view = video.shown_views[0]
    fov = 2 * np.arctan(view.depth.shape[0] / 2 / view.intrinsics[1, 1])
    cameras = camera_poses(state, target, times)
    write_animated(flags.out, moving_shapes(state, times), times - times[0], cameras, float(fov))
    if flags.picture is not None:
        Image.fromarray(draw_video_fit(video, state, state.figures(), flags.steps)).save(flags.picture)
    still = "" if video.posed else "; no camera poses are known: it was taken for still"
    return (
        f"{video.name}: {figures['slots']:.0f} shapes in {flags.out}; distance of the depth maps to them "
        f"{100 * figures['one_directional']:.1f} cm, of frames held out {100 * figures['held_out']:.1f} cm, "
        f"with occlusion {100 * figures['occlusion_aware']:.1f} cm; {figures['fsv']:.0%} in free space{still}"
    )


def main() -> None:
    """Fit, write, and print what the fit is worth."""
    flags = parse_flags(Flags, __doc__)
    set_threads()
    torch.manual_seed(0)
    try:
        print(run(flags))
    except (ValueError, SceneError, OSError) as error:
        sys.exit(f"scenes.film: {error}")


if __name__ == "__main__":
    main()
