"""Search in the environment's own moves: some steps of the slot whose turn it is are tried, and the best is
taken by what can be measured without ground truth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from agents.scene_fit.evidence import FULL, Evidence, after_each, squashed
from agents.scene_fit.proposals import ProposingPolicy
from spatial_envs.prototypes.slots import SlotState, moved
from spatial_envs.scene_fit.task import SceneFit

TRIES = 12  # steps that are tried in a turn
TURNS = 10  # of each slot, as many as an episode has
OWN = 0.5  # of their mean distance, what it costs that points are far from the slots that had them at first
# what squared distances from the start cost: in log scale, place, angles, logits over 10
LEAVING = np.array([0.6, 1.8, 0.18, 0.06])
CHANGES = 66  # of each slot that a climb tries
REACH, LONGER, SHORTER = 0.5, 0.18, 0.045  # of a climb: a step's size as in actions, its growth and fall


def best_step(actions: np.ndarray, worth: np.ndarray) -> np.ndarray:
    """The action (A,) of (n, A) that is worth most, or zeros with the least size, which leave the slot, where
    none of worth (n,) is above 0."""
    if worth.max() > 0:
        return actions[int(worth.argmax())]
    stay = np.zeros(actions.shape[1])
    stay[0] = -1.0
    return stay


def full(state: SlotState) -> float:
    """The potential."""
    return state.figures()["full"]


def near(begun: SlotState, own: float = OWN, leaving: float = 1.0) -> Callable[[SlotState], float]:
    """The potential less what it costs that slots leave where they began, in the mean over them, and the
    points that were theirs: what no pixel speaks against is then as an encoder guessed it. ``leaving`` is how
    many times LEAVING that is."""
    evidence = Evidence(begun)

    def value(state: SlotState) -> float:
        found = evidence(state)
        cost = float(LEAVING @ found[FULL + 2 :]) / len(state.slots)
        return found[FULL] - own * found[FULL + 1] - leaving * cost

    return value


class Searched:
    """A policy whose steps are tried in each turn, where slots take turns.

    Of a ``ProposingPolicy`` those of many that it expects most of; the best is then what it makes of the
    measured changes. Of another its mean and samples of it; the best is the one after which the potential
    ``full``, which needs no ground truth, is highest."""

    def __init__(self, policy: Any, env, tries: int = TRIES) -> None:
        self.task: SceneFit = env.unwrapped.task
        self.policy, self.tries = policy, tries
        self.evidence: Evidence | None = None
        self._known: object = None

    def predict(self, observation, state=None, episode_start=None, deterministic: bool = True):
        """The best action (1 + 7 + P + 1,), and no state."""
        episode = self.task.episode(0)
        fit, index = episode.state, episode.steps % self.task.slots
        if episode is not self._known:
            self._known, self.evidence = episode, Evidence(fit)
        network = getattr(self.policy, "policy", None)
        if isinstance(network, ProposingPolicy):
            assert self.evidence is not None
            latent = network.seen(observation)
            tried = network.promising(latent, self.tries)
            changes = after_each(fit, index, tried, self.evidence) - self.evidence(fit)
            worth = network.worth(latent, tried, squashed(changes, self.task.slots))
        else:
            tried = self._samples(observation)
            worth = after_each(fit, index, tried, full) - full(fit)
        return best_step(tried, worth).astype(np.float32), None

    def _samples(self, observation) -> np.ndarray:
        mean, _ = self.policy.predict(observation, deterministic=True)
        many = {key: np.repeat(value[None], self.tries - 1, axis=0) for key, value in observation.items()}
        drawn, _ = self.policy.predict(many, deterministic=False)
        return np.concatenate([mean[None], drawn]).clip(-1, 1)


def blind_search(
    state: SlotState, seed: int = 0, value: Callable[[SlotState], float] = full, tries: int = TRIES
) -> None:
    """Let the slots take turns, as in an episode, each by the best of some steps drawn evenly from all."""
    rng = np.random.default_rng([seed, 5])
    slots, size = state.slots.shape
    for k in [*range(slots)] * TURNS:
        actions = rng.uniform(-1, 1, (tries, 1 + size))
        action = best_step(actions, after_each(state, k, actions, value) - value(state))
        state.put(k, moved(state.slots[k], action, state.target.unit))


def climb(
    state: SlotState, seed: int = 0, value: Callable[[SlotState], float] = full, changes: int = CHANGES
) -> None:
    """Let the slots take turns, so many times each, with one step in a turn, which is kept where it gains.

    Such a step is taken once more in the slot's next turn; the opposite of one drawn anew that did not gain
    is tried there. All others are drawn evenly, of a size that grows with each gain of the slot and falls
    else: a (1 + 1) evolution strategy (Rechenberg 1973) for each slot."""
    rng = np.random.default_rng([seed, 5])
    slots, size = state.slots.shape
    reach, again = np.full(slots, REACH), [np.zeros(0)] * slots
    best = value(state)
    for k in [*range(slots)] * changes:
        slot, drawn = state.slots[k].copy(), not len(again[k])
        action = np.array([reach[k], *rng.uniform(-1, 1, size)]) if drawn else again[k]
        state.put(k, moved(slot, action, state.target.unit))
        found = value(state)
        if found > best:
            best, again[k], reach[k] = found, action, min(reach[k] + LONGER, 1)
            continue
        state.put(k, slot)
        again[k] = np.array([action[0], *-action[1:]]) if drawn else np.zeros(0)
        reach[k] = max(reach[k] - SHORTER, -1)
