"""Teachers of prototype fitting: take every slot towards what an optimiser makes of it."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import torch

from spatial_envs.geometry.rotations import turn_angles, turn_matrix
from spatial_envs.prototypes.refine import refined
from spatial_envs.prototypes.slots import SlotState, action_to, bounded
from spatial_envs.prototypes.superquadric import fit_superquadric
from spatial_envs.scene_fit.task import SceneFit

STEP = 0.3  # the size of its steps: always the same, so that they shrink smoothly on the way
SHARPNESS = 10.0  # of the logits that a superquadric's proportions ask for


class Teacher(ABC):
    """A policy for one row of an environment, single or batched, where one slot changes at a time: at every
    step the action that takes the slot towards where an optimiser would have it, which is asked when the
    episode begins."""

    def __init__(self, env, seed: int = 0, row: int = 0) -> None:
        self.task: SceneFit = env.unwrapped.task
        if self.task.action != "slot" or self.task.turn != "round_robin":
            got = f"action={self.task.action!r} and turn={self.task.turn!r}"
            raise ValueError(f"{type(self).__name__}: got {got}; expected 'slot' and 'round_robin'")
        self.row = row
        self.wanted: np.ndarray | None = None
        self._known: object = None

    def action(self) -> np.ndarray:
        """(1 + 7 + P + 1,), for the environment as it stands."""
        episode = self.task.episode(self.row)
        if episode is not self._known:
            self._known = episode
            self.wanted = self.optimised(episode.state)
        assert self.wanted is not None
        k = episode.steps % self.task.slots
        action = action_to(episode.state.slots[k], self.wanted[k], episode.state.target.unit, STEP)
        return action.astype(np.float32)

    @abstractmethod
    def optimised(self, state: SlotState) -> np.ndarray:
        """The slots (K, 7 + P + 1) to go to."""

    def predict(self, observation, state=None, episode_start=None, deterministic: bool = True):
        """The action, and no state."""
        return self.action(), None


class LeastSquares(Teacher):
    """To the superquadric that least squares gives the points nearest to the slot."""

    def optimised(self, state: SlotState) -> np.ndarray:
        """Return the slots that the superquadrics of ``superquadric_slots`` correspond to."""
        return superquadric_slots(self.task, state)


class Refinement(Teacher):
    """To what Adam makes of all slots on the depth map."""

    def optimised(self, state: SlotState) -> np.ndarray:
        """See ``prototypes.refined``."""
        found = refined(self.task.model[0].bank, state.target, torch.as_tensor(state.slots).float())
        return bounded(found.double().numpy(), state.target.unit)


def superquadric_slots(task: SceneFit, state: SlotState) -> np.ndarray:
    """(K, 7 + P + 1): for each slot the superquadric that least squares gives the points nearest to it, as
    a slot: its largest half axis as the scale, prototypes of like proportions; of the four quarter turns that
    leave it as it is the one with the least way to go. A slot without points stays."""
    extents = task.model[0].bank.extents().detach().numpy()
    wanted = state.slots.copy()
    owner = state.squared.argmin(axis=0)
    for k in np.unique(owner):
        found = fit_superquadric(state.points[owner == k])
        wanted[k, 4:7], axes = _nearest_turn(found[5:8], np.exp(found[:3]), state.slots[k, 4:7])
        wanted[k, 0], wanted[k, 1:4] = axes.max(), found[8:]
        wanted[k, 7:-1] = -SHARPNESS * ((axes / axes.max() - extents) ** 2).sum(axis=1)
        wanted[k, -1] = wanted[k, 7:-1].max() - 3
    return bounded(wanted, state.target.unit)


def _nearest_turn(angles: np.ndarray, axes: np.ndarray, now: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Angles (3,) and half axes (3,) of the same superquadric, a quarter turn or more about its own Y."""
    turn, here = turn_matrix(angles), turn_matrix(now)
    turns = [turn @ turn_matrix(np.array([k * np.pi / 2, 0, 0])) for k in range(4)]
    nearest = int(np.argmax([np.trace(here.T @ each) for each in turns]))
    return turn_angles(turns[nearest]), axes[[2, 1, 0]] if nearest % 2 else axes
