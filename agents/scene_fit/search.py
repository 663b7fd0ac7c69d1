"""Search in the environment's own moves: some steps of the slot whose turn it is are tried, and the best is
taken by what can be measured without ground truth."""

from __future__ import annotations

from typing import Any

import numpy as np

from agents.scene_fit.proposals import ProposingPolicy
from spatial_envs.prototypes.slots import SlotState, moved
from spatial_envs.scene_fit.episode import Figures
from spatial_envs.scene_fit.task import SceneFit

TRIES = 12  # steps that are tried in a turn
TURNS = 10  # of each slot, as many as an episode has


def figures_after(state: SlotState, index: int, actions: np.ndarray) -> list[Figures]:
    """The state's figures after each of the actions (n, 1 + 7 + P + 1) for slot ``index``; the state is then
    as before."""
    slot, unit = state.slots[index].copy(), state.target.unit
    found = []
    for action in actions:
        state.put(index, moved(slot, action, unit))
        found.append(state.figures())
    state.put(index, slot)
    return found


def best_step(actions: np.ndarray, worth: np.ndarray) -> np.ndarray:
    """The action (A,) of (n, A) that is worth most, or zeros with the least size, which leave the slot, where
    none of worth (n,) is above 0."""
    if worth.max() > 0:
        return actions[int(worth.argmax())]
    stay = np.zeros(actions.shape[1])
    stay[0] = -1.0
    return stay


def gained(before: Figures, after: list[Figures], potential: str = "full") -> np.ndarray:
    """(n,): by how much the potential is higher in each."""
    return np.array([figures[potential] for figures in after]) - before[potential]


class Searched:
    """A policy whose steps are tried in each turn, where slots take turns.

    Of a ``ProposingPolicy`` those of many that it expects most of; the best is then what it makes of the
    measured changes. Of another its mean and samples of it; the best is the one after which the potential
    ``full``, which needs no ground truth, is highest."""

    def __init__(self, policy: Any, env, tries: int = TRIES) -> None:
        self.task: SceneFit = env.unwrapped.task
        self.policy, self.tries = policy, tries

    def predict(self, observation, state=None, episode_start=None, deterministic: bool = True):
        """The best action (1 + 7 + P + 1,), and no state."""
        episode = self.task.episode(0)
        state, index = episode.state, episode.steps % self.task.slots
        network = getattr(self.policy, "policy", None)
        if isinstance(network, ProposingPolicy):
            latent = network.seen(observation)
            tried = network.promising(latent, self.tries)
            worth = network.worth(latent, tried, episode.figures, figures_after(state, index, tried), state)
        else:
            tried = self._samples(observation)
            worth = gained(episode.figures, figures_after(state, index, tried))
        return best_step(tried, worth).astype(np.float32), None

    def _samples(self, observation) -> np.ndarray:
        mean, _ = self.policy.predict(observation, deterministic=True)
        many = {key: np.repeat(value[None], self.tries - 1, axis=0) for key, value in observation.items()}
        drawn, _ = self.policy.predict(many, deterministic=False)
        return np.concatenate([mean[None], drawn]).clip(-1, 1)


def blind_search(state: SlotState, seed: int = 0, tries: int = TRIES) -> None:
    """Let the slots take turns, as in an episode, each by the best of some steps drawn evenly from all."""
    rng = np.random.default_rng([seed, 5])
    slots, size = state.slots.shape
    for k in [*range(slots)] * TURNS:
        actions = rng.uniform(-1, 1, (tries, 1 + size))
        action = best_step(actions, gained(state.figures(), figures_after(state, k, actions)))
        state.put(k, moved(state.slots[k], action, state.target.unit))
