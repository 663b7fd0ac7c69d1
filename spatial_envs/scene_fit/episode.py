"""What a row of scene fitting remembers of its episode."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from spatial_envs.core.stays import Stay
from spatial_envs.prototypes.slots import SlotState
from spatial_envs.scenes.depth_frames import DepthFrame

Figures = dict[str, float]


@dataclass(eq=False)
class Episode:
    """One row: a frame, and the slots that are to explain it."""

    index: int  # of the frame in its set
    frame: DepthFrame
    state: SlotState
    figures: Figures
    steps: int = 0
    gain: float = 0.0  # of the last step
    features: np.ndarray | None = None  # (...) float32, of the target, standardised
    stay: Stay = field(default_factory=Stay)  # at the frame
