"""How a policy of any kind is asked for an action, and where evaluation's seeds begin."""

from __future__ import annotations

import numpy as np
from sb3_contrib import MaskablePPO, RecurrentPPO

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
