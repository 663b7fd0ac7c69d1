"""A rule that thinks by simulation (``think="simulate"``): it corrects the start in mind by the residuals,
until they are noise or no thought gains, and hands in a fan about where that leads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from agents.foresight.shown import Shown, shown
from spatial_envs.foresight.credit import NEAR
from spatial_envs.foresight.question import REACH, WAY_SHARE
from spatial_envs.foresight.task import START_STEP
from spatial_envs.prototypes.motion import weighted_line

NOISE = 0.05  # metres, root mean square of a residual, below which it is left as it is; noise alone has 0.035
LEAST_GAIN = 0.1  # frames, of what a thought must bring one thing nearer to them, for another one


class Simulating:
    """The policy: ``thoughts`` at most, then guesses, of which each is a share of the way from where a thing
    was last seen to where the best of its simulations ends.

    A correction is the straight line through the residuals, place and velocity, as in a flight; halved each
    time. The simulation is kept, for each thing apart, that is nearest to its frames.
    """

    def __init__(self, env: Any, thoughts: int, shares: Sequence[float]) -> None:
        self.task, self.thoughts, self.shares = env.unwrapped.task, thoughts, shares
        if not self.task.simulates:
            raise ValueError('think: got "draft"; expected "simulate", for a rule that simulates')

    def predict(self, observation: dict[str, np.ndarray], **_: Any) -> tuple[np.ndarray, None]:
        """The next thought or guess."""
        given, guessed = shown(observation), int(observation["guessed"].sum())
        action = np.zeros(self.task.action_space.shape, np.float32)
        numbers = action[2:].reshape(len(given.kind), -1)
        if observation["remaining"][0] == 1:  # an episode begins
            self._merit = np.full(len(given.kind), -1.0)
            self._end, self._best = given.reference, np.zeros((len(given.kind), 6))
            self._left = np.zeros((len(given.kind), len(given.times), 3))
            self._thought = 0
            change: np.ndarray | None = np.zeros((len(given.kind), 6))
        else:
            change = None if guessed else self._correction(observation, given)
        if change is not None and self._thought < self.thoughts:
            self._thought += 1
            action[0] = -1.0
            numbers[:] = (change / START_STEP).clip(-1, 1)
            return action, None
        target = given.nearest + self.shares[min(guessed, len(self.shares) - 1)] * (self._end - given.nearest)
        reach = REACH + WAY_SHARE * np.linalg.norm(given.reference - given.nearest, axis=1)
        action[0] = 1.0
        shift = (target - observation["draft"][:, :3]) / reach[:, None]
        numbers[:, :3] = np.where(given.extents[:, :1] > 0, shift, 0.0).clip(-1, 1)
        return action, None

    def _correction(self, observation: dict[str, np.ndarray], given: Shown) -> np.ndarray | None:
        """(K, 6): what to change the start by; None where there is nothing left but noise."""
        start, left = observation["start"].astype(np.float64), observation["residuals"].astype(np.float64)
        used = (left != 0).any(axis=-1)
        off = np.linalg.norm(left, axis=-1)
        merit = (used * np.exp(-off / NEAR)).sum(axis=1)
        better = merit > self._merit
        gained = (merit - self._merit).max()
        self._merit = np.maximum(merit, self._merit)
        self._end = np.where(better[:, None], observation["draft"][:, :3], self._end)
        self._best = np.where(better[:, None], start, self._best)
        self._left = np.where(better[:, None, None], left, self._left)
        square = (self._left**2).sum(axis=(1, 2)) / np.maximum(used.sum(axis=1), 1)
        wrong = (square > NOISE**2) & (used.sum(axis=1) > 2)
        if not wrong.any() or gained < LEAST_GAIN:
            return None
        begin = min(given.query, given.times[used.any(axis=0)].min())
        place, velocity = weighted_line(self._left, given.times - begin, used.astype(np.float64))
        correction = np.concatenate([place, velocity], axis=1) * 0.5 ** (self._thought - 1) * wrong[:, None]
        return self._best + correction - start
