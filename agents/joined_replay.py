"""A replay buffer for CrossQ, which joins the observations of now and next into one batch; sb3-contrib's does
that with tensors alone."""

from __future__ import annotations

import torch
from stable_baselines3.common.buffers import DictReplayBuffer


class Joined(dict):
    """Tensors by key, which ``torch.cat`` joins key by key."""

    @classmethod
    def __torch_function__(cls, function, types, arguments=(), keywords=None):
        """What torch asks of whatever is no tensor."""
        if function is not torch.cat:
            return NotImplemented
        parts, *rest = arguments
        return cls({key: torch.cat([p[key] for p in parts], *rest, **(keywords or {})) for key in parts[0]})


class JoinedReplayBuffer(DictReplayBuffer):
    """Samples with ``Joined`` observations."""

    def _get_samples(self, batch_inds, env=None):
        samples = super()._get_samples(batch_inds, env)
        now, following = Joined(samples.observations), Joined(samples.next_observations)
        return samples._replace(observations=now, next_observations=following)
