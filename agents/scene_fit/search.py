"""Search in the environment's own moves: of some steps of the slot whose turn it is, the one after which the
potential ``full``, which needs no ground truth, is highest."""

from __future__ import annotations

from typing import Any

import numpy as np

from spatial_envs.prototypes.slots import SlotState, moved
from spatial_envs.scene_fit.task import SceneFit

TRIES = 12  # steps that are tried in a turn
TURNS = 10  # of each slot, as many as an episode has


def best_step(state: SlotState, index: int, actions: np.ndarray) -> np.ndarray:
    """The best of the actions (n, 1 + 7 + P + 1) for slot ``index``, or zeros with the least size, which
    leave it, where each would make things worse. The state is as before."""
    slot, unit = state.slots[index].copy(), state.target.unit
    chosen = np.zeros(actions.shape[1])
    chosen[0] = -1.0
    best = state.figures()["full"]
    for action in actions:
        state.put(index, moved(slot, action, unit))
        value = state.figures()["full"]
        if value > best:
            best, chosen = value, action
    state.put(index, slot)
    return chosen


class Searched:
    """A policy's own samples, and its mean, tried in each turn, where slots take turns."""

    def __init__(self, policy: Any, env, tries: int = TRIES) -> None:
        self.task: SceneFit = env.unwrapped.task
        self.policy, self.tries = policy, tries

    def predict(self, observation, state=None, episode_start=None, deterministic: bool = True):
        """The best action (1 + 7 + P + 1,), and no state."""
        episode = self.task.episode(0)
        mean, _ = self.policy.predict(observation, deterministic=True)
        many = {key: np.repeat(value[None], self.tries - 1, axis=0) for key, value in observation.items()}
        drawn, _ = self.policy.predict(many, deterministic=False)
        tried = np.concatenate([mean[None], drawn]).clip(-1, 1)
        return best_step(episode.state, episode.steps % self.task.slots, tried).astype(np.float32), None


def blind_search(state: SlotState, seed: int = 0) -> None:
    """Let the slots take turns, as in an episode, each by the best of some steps drawn evenly from all."""
    rng = np.random.default_rng([seed, 5])
    slots, size = state.slots.shape
    for k in [*range(slots)] * TURNS:
        action = best_step(state, k, rng.uniform(-1, 1, (TRIES, 1 + size)))
        state.put(k, moved(state.slots[k], action, state.target.unit))
