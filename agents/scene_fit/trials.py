"""Turns in which steps are tried, on scenes whose truth says what each gains."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import loky
import numpy as np
import torch

from agents.scene_fit.evidence import FULL, Evidence, after_each, squashed
from agents.scene_fit.proposals import ProposingPolicy
from agents.scene_fit.search import best_step
from spatial_envs.core.task import Observation
from spatial_envs.foundation.errors import SceneError
from spatial_envs.prototypes.slots import SlotState
from spatial_envs.scene_fit.settings import SceneFitSettings
from spatial_envs.scene_fit.task import SceneFit

ROUNDS = (
    3,
    11,
)  # turns of each slot in an episode, at least, and one more than at most: more scenes are seen


@dataclass(frozen=True)
class Turn:
    """What was tried in a turn: n actions (n, A), what each gained (n,) and what was measured (n, 10), both
    squashed, float32."""

    observation: Observation
    actions: np.ndarray
    gains: np.ndarray
    measured: np.ndarray


@dataclass
class Player:
    """Plays episodes and tries ``tries`` steps in each turn, of which a share ``uniform`` is drawn evenly and
    the others are those that the policy expects most of. What one gains is said by the settings' reward, and
    ``measured`` times as much by ``full``.

    Procedural scenes have 1 to ``most_objects`` objects, as many slots, drawn anew for each episode; others
    are as the settings have them."""

    settings: SceneFitSettings
    policy: ProposingPolicy
    tries: int
    uniform: float
    measured: float
    most_objects: int
    tasks: dict[int, SceneFit] = field(default_factory=dict)

    def play(self, turns: int, generator: np.random.Generator) -> list[Turn]:
        """So many turns; the last episode is broken off."""
        found: list[Turn] = []
        while len(found) < turns:
            found += self._episode(turns - len(found), generator)
        return found

    def _episode(self, most: int, generator: np.random.Generator) -> list[Turn]:
        task = self._task(generator)
        led = bool(generator.random() < 0.5)
        while True:
            try:
                task.reset([0], [generator], {}, [False])
                break
            except SceneError:  # next to nothing of it is in the picture
                continue
        episode, found = task.episode(0), list[Turn]()
        evidence = Evidence(episode.state)
        length = min(int(generator.integers(*ROUNDS)) * task.slots, task.steps, most)
        while len(found) < length:
            turn, action = self._turn(task, evidence, led, generator)
            task.step([0], action[None])
            found.append(turn)
        return found

    def _task(self, generator: np.random.Generator) -> SceneFit:
        """One whose scenes have as many objects as is drawn."""
        made = self.settings.scenes == "procedural"
        count = int(generator.integers(1, self.most_objects + 1)) if made else 0
        if count not in self.tasks:
            sizes: dict[str, Any] = {"num_objects": count, "slots": count, "steps": None} if made else {}
            self.tasks[count] = SceneFit(replace(self.settings, **sizes))
        return self.tasks[count]

    def _turn(
        self, task: SceneFit, evidence: Evidence, led: bool, generator: np.random.Generator
    ) -> tuple[Turn, np.ndarray]:
        """Try steps; the turn, and the action (A,) that is best by the truth if that leads, or else by what
        the policy makes of them."""
        episode, observation = task.episode(0), task.observe(0)
        state, index = episode.state, episode.steps % task.slots
        latent = self.policy.seen(observation)
        blind = round(self.uniform * self.tries)
        drawn = generator.uniform(-1, 1, (blind, 1 + task.slot_size))
        promising = self.policy.promising(latent, self.tries - blind)
        actions = np.concatenate([drawn.astype(np.float32), promising])

        def measure(state: SlotState) -> np.ndarray:
            return np.array([state.figures()[str(task.settings.reward)], *evidence(state)])

        changes = after_each(state, index, actions, measure) - measure(state)
        measured = squashed(changes[:, 1:], task.slots)
        gains = changes[:, 0] + self.measured * changes[:, 1 + FULL]
        worth = gains if led else self.policy.worth(latent, actions, measured)
        return Turn(observation, actions, squashed(gains, task.slots), measured), best_step(actions, worth)


class Players:
    """A player here, or one in each of so many processes; what they play depends on their number, not on
    their speed."""

    def __init__(self, player: Player, workers: int) -> None:
        self.player, self.workers, self.jobs, self.here = player, workers, list[Any](), list[Turn]()
        self.executor = None
        if workers > 1:
            self.executor = loky.ProcessPoolExecutor(workers, initializer=_begin, initargs=(player,))

    def begin(self, turns: int, policy: ProposingPolicy, generator: np.random.Generator) -> None:
        """Let at least so many turns be played by the policy as it is."""
        if self.executor is None:
            self.here = self.player.play(turns, generator)
            return
        weights = {name: value.clone() for name, value in policy.state_dict().items()}
        each = -(-turns // self.workers)
        seeds = generator.integers(1 << 31, size=self.workers).tolist()
        self.jobs = [self.executor.submit(_play, weights, each, seed) for seed in seeds]

    def played(self) -> list[Turn]:
        """Wait for them."""
        return self.here + [turn for job in self.jobs for turn in job.result()]

    def close(self) -> None:
        """End the processes."""
        if self.executor is not None:
            self.executor.shutdown(kill_workers=True)


_PLAYER: list[Player] = []  # of this process


def _begin(player: Player) -> None:
    torch.set_num_threads(1)
    _PLAYER.append(player)


def _play(weights: dict[str, torch.Tensor], turns: int, seed: int) -> list[Turn]:
    (player,) = _PLAYER
    player.policy.load_state_dict(weights)
    torch.manual_seed(seed)
    return player.play(turns, np.random.default_rng(seed))
