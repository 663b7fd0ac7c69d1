"""Answers, all but one without learning, each handed in as a policy of the environment's own actions.

still             everything stays where it was last seen
mean              everything is at the mean of its frames
line              the straight line through the four frames next to the asked time
analytic          rest, line or fall, above the ground: the reference. The one to beat
cem               a simulator of single bodies whose start is fitted to the frames (``cem.py``)
network           six answers of a network that has learned from other recordings (``network.py``)
analytic-fan      the reference, then six shares of its way: the one to beat with six guesses
line-fan          cheat: from staying to 1.2 times the line
still-noise       cheat: staying, with 25 cm of noise
analytic-noise    cheat: the reference, with 15 cm of noise
simulation        with think="simulate": eight thoughts (``simulating.py``), then a fan; -1: one thought
oracle            the truth

Those with one answer hand it in again and again, which gains nothing. All but the oracle leave rotations as
they were last seen.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from agents.foresight.cem import fitted_ends
from agents.foresight.network import NetworkAnswers
from agents.foresight.shown import Shown, shown
from agents.foresight.simulating import Simulating
from spatial_envs.foresight.question import REACH, WAY_SHARE
from spatial_envs.prototypes.motion import next_frames, weighted_line

LINE_FRAMES = 4
FAN = (1.0, 0.4, 0.575, 0.75, 0.925, 1.1)  # shares of the reference's way
LINE_FAN = (1.0, 0.0, 0.3, 0.6, 0.9, 1.2)  # of the line's
STILL_NOISE, ANALYTIC_NOISE = 0.25, 0.15  # metres, each axis


Answers = Callable[[Shown], np.ndarray]  # (n, K, 3) centres, n guesses


def still(given: Shown) -> np.ndarray:
    """Answer that everything stays where it was last seen."""
    return given.nearest[None]


def mean(given: Shown) -> np.ndarray:
    """Answer with the mean of the frames."""
    weight = given.seen[..., None]
    return ((given.centres * weight).sum(axis=1) / np.maximum(weight.sum(axis=1), 1))[None]


def line(given: Shown) -> np.ndarray:
    """Answer with the straight line through the frames next to the asked time."""
    weight = next_frames(np.abs(given.times - given.query), given.seen, LINE_FRAMES)
    place, velocity = weighted_line(given.centres, given.times, weight)
    end = place + velocity * given.query
    return np.where((weight.sum(axis=1) > 1)[:, None], end, given.nearest)[None]


def analytic(given: Shown) -> np.ndarray:
    """Answer with the reference."""
    return given.reference[None]


def fanned(answers: Answers, shares: tuple[float, ...], given: Shown) -> np.ndarray:
    """Shares of the way from where things were last seen to an answer."""
    way = answers(given)[0] - given.nearest
    return given.nearest + np.array(shares)[:, None, None] * way


def noisy(answers: Answers, spread: float, count: int, given: Shown) -> np.ndarray:
    """An answer with noise, drawn from torch's generator, which evaluation seeds."""
    (centre,) = answers(given)
    return centre + spread * torch.randn(count, *centre.shape).double().numpy()


class Answering:
    """A policy that hands in answers: it moves the draft there, in as many thoughts as that takes, and opens
    the gate. The last answer is repeated while there are guesses left."""

    def __init__(self, env: Any, answers: Answers) -> None:
        self.task, self.answers = env.unwrapped.task, answers
        self._targets = np.zeros((0, 0, 3))

    def predict(self, observation: dict[str, np.ndarray], **_: Any) -> tuple[np.ndarray, None]:
        """The next action towards the answer that is due."""
        given = shown(observation)
        if observation["remaining"][0] == 1:  # an episode begins
            self._targets = self.answers(given)
        due = min(int(observation["guessed"].sum()), len(self._targets) - 1)
        reach = REACH + WAY_SHARE * np.linalg.norm(given.reference - given.nearest, axis=1)
        change = (self._targets[due] - observation["draft"][:, :3]) / reach[:, None]
        change[given.extents[:, 0] == 0] = 0  # slots that hold nothing
        turn = self.turn(observation)
        left = round(float(observation["remaining"][0]) * self.task.steps)
        there = self.task.simulates or max(np.abs(change).max(), np.abs(turn).max(initial=0)) <= 1 + 1e-6
        action = np.zeros(self.task.action_space.shape, np.float32)
        late = left <= 1 and not observation["guessed"].any()  # then rather on the way than nothing
        action[0] = 1.0 if there or late else -1.0
        action[2:] = np.concatenate([change, turn], axis=1).clip(-1, 1).ravel()
        return action, None

    def turn(self, observation: dict[str, np.ndarray]) -> np.ndarray:
        """(K, 3) rotation vectors that the draft still lacks, (K, 0) where there are no rotations."""
        things = len(observation["draft"])
        return np.zeros((things, (self.task.action_space.shape[0] - 2) // things - 3))


class NetworkExpert:
    """What the network would do next in a row of an environment, single or batched, for warm starts."""

    def __init__(self, env: Any, seed: int = 0, row: int = 0) -> None:
        task = env.unwrapped.task
        self.task, self.row = task, row
        self.answering = Answering(env, NetworkAnswers(guesses=task.settings.guesses))

    def action(self) -> np.ndarray:
        """For the environment as it stands."""
        return self.answering.predict(self.task.observe(self.row))[0]


class Oracle(Answering):
    """The truth, which no other policy is told."""

    def __init__(self, env: Any) -> None:
        super().__init__(env, self._truth)

    def _truth(self, given: Shown) -> np.ndarray:
        centres = np.zeros_like(given.reference)
        true = self.task.episode(0).question.truth.centres
        centres[: len(true)] = true
        return centres[None]

    def turn(self, observation: dict[str, np.ndarray]) -> np.ndarray:
        """See ``Answering.turn``: from the draft to the truth."""
        out = super().turn(observation)
        if not self.task.settings.rotations:
            return out
        episode = self.task.episode(0)
        lacking = episode.question.truth.rotations @ np.swapaxes(episode.draft.rotations, -1, -2)
        out[: len(lacking)] = Rotation.from_matrix(lacking).as_rotvec()
        return out


def _made(answers: Answers, env: Any) -> Answering:
    return Answering(env, answers)


def _made_of_guesses(answers: Callable[[int], Answers], env: Any) -> Answering:
    return Answering(env, answers(env.unwrapped.task.settings.guesses))


BASELINES: dict[str, Callable[[Any], Answering | Simulating]] = {
    "still": partial(_made, still),
    "mean": partial(_made, mean),
    "line": partial(_made, line),
    "analytic": partial(_made, analytic),
    "cem": partial(_made_of_guesses, lambda guesses: partial(fitted_ends, guesses)),
    "network": partial(_made_of_guesses, lambda guesses: NetworkAnswers(guesses=guesses)),
    "analytic-fan": partial(_made, partial(fanned, analytic, FAN)),
    "line-fan": partial(_made, partial(fanned, line, LINE_FAN)),
    "still-noise": partial(_made_of_guesses, lambda guesses: partial(noisy, still, STILL_NOISE, guesses)),
    "analytic-noise": partial(
        _made_of_guesses, lambda guesses: partial(noisy, analytic, ANALYTIC_NOISE, guesses)
    ),
    "simulation": lambda env: Simulating(env, 8, FAN),
    "simulation-1": lambda env: Simulating(env, 1, FAN),
    "oracle": Oracle,
}
