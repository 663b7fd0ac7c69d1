"""What a search can measure of a step without ground truth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from spatial_envs.geometry.rotations import wrapped
from spatial_envs.prototypes.bank import POSE
from spatial_envs.prototypes.slots import SlotState, moved

FULL, MEASURES = 4, 10  # where the potential ``full`` is among the numbers of ``Evidence``, and how many are
SMALL = 0.02  # a change of a slot; those below are as they are, larger ones count by their logarithm


class Evidence:
    """A state as (10,) float64, given as ``begun`` the one that a search began with. Lengths are in the
    target's unit: 0 one_directional, 1 occlusion_aware, 2 fsv, 3 depth_agreement, 4 full; 5 the mean distance
    of the points, at most 1, to the slots that were nearest to them when it began; and the squared distance
    from where the slots began: 6 in log scale, 7 place, 8 angles, 9 logits over 10. The last five tell apart
    the slots' first guess, which an encoder has from other scenes, from what no pixel speaks against."""

    def __init__(self, begun: SlotState) -> None:
        self.rows, self.owner = begun.slot_rows().astype(np.float64), begun.squared.argmin(axis=0)
        self.points = np.arange(len(self.owner))

    def __call__(self, state: SlotState) -> np.ndarray:
        """The state as it is now."""
        unit, figures = state.target.unit, state.figures()
        own = np.sqrt(state.squared[self.owner, self.points]).clip(0, unit).mean()
        away = state.slot_rows() - self.rows
        away[:, 4:POSE] = wrapped(away[:, 4:POSE])
        squares = (away**2).sum(axis=0)
        parts = (squares[0], squares[1:4].sum(), squares[4:POSE].sum(), squares[POSE:].sum())
        lengths = np.array([figures["one_directional"], figures["occlusion_aware"]]) / unit
        shares = [figures[key] for key in ("fsv", "depth_agreement", "full")]
        return np.array([*lengths, *shares, own / unit, *parts])


def after_each(
    state: SlotState, index: int, actions: np.ndarray, measure: Callable[[SlotState], Any]
) -> np.ndarray:
    """What is measured after each of the actions (n, 1 + 7 + P + 1) for slot ``index``: (n, ...). The state
    is then as before."""
    slot, unit = state.slots[index].copy(), state.target.unit
    found = []
    for action in actions:
        state.put(index, moved(slot, action, unit))
        found.append(measure(state))
    state.put(index, slot)
    return np.array(found)


def squashed(changes: np.ndarray, slots: int) -> np.ndarray:
    """Changes that one of so many slots makes, as networks are shown them: float32."""
    return np.arcsinh(changes * slots / SMALL).astype(np.float32)
