"""The arguments of video fitting's environments, with their defaults and checks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spatial_envs.core.settings import (
    SCENES,
    Settings,
    anything,
    number,
    one_of,
    one_of_or_callable,
    or_none,
    setting,
    whole,
)
from spatial_envs.foundation.arguments import check_choice, check_range
from spatial_envs.procedural.filming import CAMERA_MOTIONS
from spatial_envs.prototypes.tracks import Figures, Weights
from spatial_envs.scenes.depth_videos import ANY

REWARDS = ("full", "chamfer", "surface")  # potentials among the figures of a ``VideoState``


@dataclass(frozen=True, kw_only=True, eq=False)
class VideoFitSettings(Settings):
    """The arguments of ``VideoFitEnv``."""

    scenes: str = setting("procedural", SCENES, "see ``spatial_envs.scenes.depth_videos.open_videos``")
    num_objects: int | Sequence[int] = setting(
        (1, 6), anything("n, (least, most)"), "of procedural videos, 1 to 12"
    )
    num_videos: int | None = setting(None, anything("None, n"), "only the first so many of the split")
    frames: int = setting(10, whole(3, 64), "T, that are shown; every fifth stamp is held out")
    duration: float = setting(1.0, number(0.1, 60, "s"), "of filmed videos")
    camera_motion: str = setting(ANY, one_of(ANY, *CAMERA_MOTIONS), "of filmed videos")
    camera: str = setting("given", one_of("given", "estimated"), "see Action Space")
    noise: float = setting(0.0, number(0, 1), "of filmed videos' sensor, 1 = a Kinect's")
    fps: float = setting(30.0, number(0.01, 10_000), "of files whose names are no times")
    intrinsics: Any = setting(None, anything("None, (fx, fy, cx, cy), (3, 3)"), "of files")
    depth_scale: float | None = setting(None, or_none(number(1, 1e6)), "of files")
    invalid: float | None = setting(None, or_none(number(-1e12, 1e12)), "of files")
    max_depth: float | None = setting(None, or_none(number(0.1, 1e6, "m")), "what is farther is not measured")
    image_size: int | tuple[int, int] = setting((72, 96), anything("n, (H, W)"), "pixels, at least 16")
    slots: int = setting(6, whole(1, 64), "K")
    steps: int | None = setting(
        None, or_none(whole(1, 100_000)), 'None: 10 for each slot, or 2 in each frame with action="frame"'
    )
    start: str = setting("kmeans", one_of("kmeans", "encoder"), "see Starting State")
    action: str = setting("track", one_of("track", "frame"), "see Action Space")
    segments: int = setting(1, whole(1, 2), "of a track; 2: it may change its way once, as in a bounce")
    points: int = setting(128, whole(16, 100_000), "of each frame's, that figures and rewards look at")
    prototypes: str | Path | None = setting(
        None, anything("None, a path"), "weights of an encoder and its bank, as for SceneFit"
    )
    reward: str | Callable[[Figures, Figures], float] = setting(
        "full", one_of_or_callable(REWARDS, "a callable"), "see Rewards"
    )
    weights: Mapping[str, float] | None = setting(
        None, anything("None, a mapping"), "of motion, prototypes and camera, see Rewards"
    )
    scene_steps: int = setting(60, whole(0), "steps that a row makes at a video before it draws the next")
    cache_size: int = setting(128, whole(1), "videos kept in memory, about 3 MB each")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.segments == 2 and self.action == "frame":
            raise ValueError("segments: got 2 with action='frame'; expected action='track'")
        self.all_weights()

    def all_weights(self) -> Weights:
        """The weights of the reward's parts, the defaults where none are given."""
        default = asdict(Weights())
        if self.weights is not None and not isinstance(self.weights, Mapping):
            raise ValueError(f"weights: got {self.weights!r}; expected a mapping of {', '.join(default)}")
        for key, value in (self.weights or {}).items():
            check_choice("weights", key, tuple(default))
            check_range(f"weights[{key!r}]", value, 0, 1e6)
        return Weights(**{**default, **(self.weights or {})})
