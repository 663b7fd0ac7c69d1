"""What a row of video fitting remembers of its episode."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from spatial_envs.core.stays import Stay
from spatial_envs.prototypes.tracks import Figures, VideoState
from spatial_envs.scenes.depth_videos import DepthVideo


@dataclass(eq=False)
class Episode:
    """One row: a video, and the slots that are to explain it."""

    index: int  # of the video in its set
    video: DepthVideo
    state: VideoState
    figures: Figures
    steps: int = 0
    gain: float = 0.0  # of the last step
    features: np.ndarray | None = None  # (T, ...) float32, of the shown frames, standardised
    stay: Stay = field(default_factory=Stay)  # at the video
