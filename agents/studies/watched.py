"""How well the future is foreseen from what a fit of the video says, instead of from the truth with noise.

    python -m agents.studies.watched path/to/recordings.npz --out runs/watched --episodes 60
    python evaluate_agent.py --env Foresight-Prototype-v0 --scenes runs/watched/tracks --split test \
        --baselines analytic network --set rotations=false
    python evaluate_agent.py --env Foresight-Prototype-v0 --scenes runs/watched/truth --split test \
        --baselines analytic network --set rotations=false

Recordings are filmed where they say that something is shown, the film is explained by moving shapes, and
recordings are written that show the shapes' centres (``tracks``), or the true ones with 2 cm of noise
(``truth``), of the same things at the same stamps: those that a shape follows. One file for each number of
things.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from tqdm import tqdm
from tyro.conf import Positional, arg

from agents.flags import UserPath, parse_flags
from agents.run_folder import check_out
from agents.video_fit.baselines import model, way_tracks
from spatial_envs.foundation.arguments import check_range
from spatial_envs.foundation.threads import set_threads
from spatial_envs.procedural.moving_bodies import TICK
from spatial_envs.prototypes.refine_tracks import refined_tracks
from spatial_envs.prototypes.tracks import VideoState, Weights
from spatial_envs.prototypes.video import make_video_target
from spatial_envs.scenes.depth_videos import DepthVideo, open_videos
from spatial_envs.scenes.recordings import REQUIRED

FOLLOWED = 0.5  # metres, the mean distance of a shape's centre from that of the thing that it follows
DURATION = 1.0  # seconds of a film
NOISE = 0.02  # metres, each axis
SEGMENTS, STEPS = 2, 40


@dataclass(frozen=True)
class Flags:
    """What the command line says."""

    recordings: Positional[Annotated[UserPath, arg(metavar="FILE.npz")]]
    """Recordings with windows, see ``spatial_envs.scenes.recordings``."""
    out: UserPath = Path("runs/watched")
    """The folder for the new recordings."""
    episodes: int = 60
    """The first so many scenes."""
    slots: int = 6
    """Shapes."""


class Watched(NamedTuple):
    """Which things a shape follows (J,), and where the shapes are (T, J, 3), metres, world frame."""

    things: np.ndarray
    centres: np.ndarray


def watch(video: DepthVideo, slots: int) -> Watched:
    """Explain a film, and find which shape is which thing."""
    target = make_video_target(video)
    encoder, shapes = model()
    tracks = refined_tracks(encoder.bank, target, way_tracks(target, slots, SEGMENTS), STEPS)
    state = VideoState.of_tracks(target, shapes, tracks, 64, Weights(), SEGMENTS)
    there = np.flatnonzero(state.frames[0].present)
    place = target.shown[0].frame_to_world
    centres = np.stack([frame.vertices[there].mean(axis=1) for frame in state.frames])
    centres = centres @ place[:3, :3].T + place[:3, 3]
    truths = [frame.truth for frame, shown in zip(video.frames, video.shown, strict=True) if shown]
    true = np.stack([truth.object_to_world[:, :3, 3] for truth in truths if truth is not None])
    apart = np.linalg.norm(true[:, :, None] - centres[:, None], axis=-1).mean(axis=0)
    things, columns = linear_sum_assignment(apart)
    kept = apart[things, columns] < FOLLOWED
    return Watched(things[kept], centres[:, columns[kept]])


def z_up(points: np.ndarray) -> np.ndarray:
    """Points (..., 3) of a world with Y up in one with Z up: the inverse of ``recordings.y_up``."""
    return np.stack([points[..., 0], -points[..., 2], points[..., 1]], axis=-1)


def write(flags: Flags) -> dict[str, int]:
    """Film, explain and write; how many scenes and things there are in all."""
    check_out(flags.out)
    check_range("episodes", flags.episodes, 1, 100_000, int)
    videos = open_videos(
        flags.recordings, "test", camera_motion="orbit", num_objects=(1, 12), duration=DURATION
    )
    if not flags.recordings.is_file():
        raise ValueError(f"recordings: got {flags.recordings}; expected one .npz file")
    with np.load(flags.recordings) as file:
        if "window_start" not in file:
            raise ValueError(f"recordings: {flags.recordings} has no window_start; expected one with windows")
        arrays = {key: file[key] for key in (*REQUIRED, "window_start")}
    written: dict[tuple[str, int], list[dict[str, np.ndarray]]] = {}
    counts = {"scenes": 0, "things": 0, "followed": 0}
    for number in tqdm(range(min(flags.episodes, len(videos))), "films", leave=False):
        video = videos.load(number)
        found = watch(video, flags.slots)
        counts["scenes"] += 1
        counts["things"] += len(arrays["kind"][number])
        counts["followed"] += len(found.things)
        if not len(found.things):
            continue
        scene = {key: arrays[key][number] for key in arrays}
        scene |= {key: scene[key][:, found.things] for key in ("position_mm", "quaternion")}
        scene |= {key: scene[key][found.things] for key in ("kind", "size")}
        late = TICK * (len(scene["position_mm"]) - 1) - DURATION
        scene["window_start"] = np.minimum(scene["window_start"], late)  # where it was filmed
        stamps = video.times[video.shown] - video.times[0]
        true = _at(scene, stamps)
        noise = NOISE * np.random.default_rng([number, 2]).normal(size=true.shape)
        for name, observed in (("tracks", z_up(found.centres)), ("truth", true + noise)):
            shown = {"times": stamps.astype(np.float32), "observed": observed.astype(np.float32)}
            written.setdefault((name, len(found.things)), []).append({**scene, **shown})
    for (name, count), scenes in written.items():
        (flags.out / name).mkdir(parents=True, exist_ok=True)
        stacked = {key: np.stack([scene[key] for scene in scenes]) for key in scenes[0]}
        np.savez_compressed(flags.out / name / f"{count}.npz", **stacked)  # type: ignore[arg-type]
    return counts


def _at(scene: dict[str, np.ndarray], stamps: np.ndarray) -> np.ndarray:
    """(T, J, 3) metres, Z up: the true centres at stamps after the window's start, between ticks evenly."""
    times, centres = TICK * np.arange(len(scene["position_mm"])), scene["position_mm"] / 1000.0
    asked = float(scene["window_start"]) + stamps
    flat = centres.reshape(len(times), -1)
    return np.stack([np.interp(asked, times, column) for column in flat.T], axis=1).reshape(
        len(stamps), -1, 3
    )


def main() -> None:
    """Write, and say how much was followed."""
    flags = parse_flags(Flags, __doc__)
    set_threads()
    torch.manual_seed(0)
    try:
        counts = write(flags)
    except ValueError as error:
        sys.exit(f"agents.studies.watched: {error}")
    print(f"{counts['followed']} of {counts['things']} things in {counts['scenes']} films are followed")


if __name__ == "__main__":
    main()
