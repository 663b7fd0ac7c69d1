"""How a policy of any kind plays an episode, and where evaluation's seeds begin."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from sb3_contrib import MaskablePPO, RecurrentPPO

from spatial_envs.foundation.errors import SceneError

FIRST_SEED = 7_000_000
UNTRAINED, FOREIGN = ", untrained", ", another object's features"  # rows beside a learned one


def choose(policy, env, observation, memory=None, deterministic=True):
    """A policy's action and what it remembers for the next one; ``memory`` is None when an episode begins.
    Masks and memory go to those that ask for them."""
    model, extra = getattr(policy, "model", policy), {}
    if isinstance(model, RecurrentPPO) or getattr(model, "algorithm", None) == "recurrent_ppo":
        extra = {"state": memory, "episode_start": np.array([memory is None])}
    elif isinstance(model, MaskablePPO) or getattr(model, "algorithm", None) == "maskable_ppo":
        extra = {"action_masks": env.unwrapped.action_masks()}
    return policy.predict(observation, deterministic=deterministic, **extra)


def begin(env, start: int):
    """Reset to a start: the seed FIRST_SEED + start says what is drawn."""
    return env.reset(seed=FIRST_SEED + start)


def begin_in(word: str, scenes: str) -> Callable[[Any, int], Any]:
    """The same in a certain scene: of the n in the task's set ``scenes`` number start mod n, which the option
    ``word`` of reset chooses. A broken one is passed over, with a warning, for the next one that is whole."""

    def begin(env, start: int):
        listed = getattr(env.unwrapped.task, scenes)
        for shift in range(len(listed)):
            try:
                return env.reset(seed=FIRST_SEED + start, options={word: (start + shift) % len(listed)})
            except SceneError as error:
                warnings.warn(f"evaluation passes over a {word}: {error}", stacklevel=2)
        raise ValueError(f"scenes: none of the {len(listed)} in {listed.label} can be played in")

    return begin


def walk(env, policy, start: int, begin=begin, deterministic: bool = True) -> Iterator[dict[str, Any]]:
    """The infos of an episode, that of its reset first. What a policy draws has the start's seed."""
    observation, info = begin(env, start)
    yield info
    over, memory = False, None
    with torch.random.fork_rng(devices=[]):  # a training that goes on draws what it would have drawn
        torch.manual_seed(FIRST_SEED + start)
        while not over:
            action, memory = choose(policy, env, observation, memory, deterministic)
            observation, _, terminated, truncated, info = env.step(action)
            over = terminated or truncated
            yield info


if __name__ == "__main__":  # python -m agents.play: by hand
    from agents.keyboard import main

    main()
