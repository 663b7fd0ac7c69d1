"""What a warm start has to know of walks: their mirror images, and which actions end them."""

from __future__ import annotations

import numpy as np
import torch

from spatial_envs.navigation.task import STILL, STRAIGHT_ON, Navigation
from spatial_envs.simulators.simulator import LEFT, RIGHT, STOP


def mirror(batch: dict[str, torch.Tensor], labels: torch.Tensor, where: torch.Tensor) -> None:
    """Swap left and right in the rows ``where`` (B,) bool of observations, images with channels first, and of
    actions (B,) or (B, 2), in place. A backbone's features have no mirror image: there they are zero."""
    for key, value in batch.items():
        if key in ("map", "wide_map", "rgb", "imagegoal"):
            value[where] = value[where].flip(-1)
        elif key == "depth":
            value[where] = value[where].flip(-2)
        elif key in ("pointgoal", "gps", "odometry"):  # angle to the left, metres to the right, turn
            value[where, 1] *= -1
        elif key == "compass":
            value[where] *= -1
        elif key == "features":
            value[where] = 0
    if labels.ndim == 2:
        labels[where, 1] *= -1
    else:
        turns = where & ((labels == LEFT) | (labels == RIGHT))
        labels[turns] = LEFT + RIGHT - labels[turns]


def stops(task: Navigation, actions: np.ndarray) -> np.ndarray:
    """(B,) bool: which of the actions (B,) or (B, 2) end the walk."""
    if actions.ndim == 1:
        return actions == STOP
    forward = (np.clip(actions[:, 0], -1, 1) + 1) / 2 * task.forward_step
    return (forward < STILL) & (np.abs(actions[:, 1]) * task.turn_step < STRAIGHT_ON)
