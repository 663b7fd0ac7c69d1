"""Replay buffers: one that writes only what it holds, and CrossQ's, which joins the observations of now and
next into one batch; sb3-contrib's does that with tensors alone."""

from __future__ import annotations

import numpy as np
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


class HeldReplayBuffer(DictReplayBuffer):
    """Pickled without the rows that nothing was stored in yet, which are gigabytes in a short run."""

    STORED = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")

    def _with(self, rows) -> dict:
        """All that it is made of, ``rows`` applied to each of its arrays."""

        def each(kept):
            return {key: rows(array) for key, array in kept.items()} if isinstance(kept, dict) else rows(kept)

        return self.__dict__ | {name: each(getattr(self, name)) for name in self.STORED}

    def __getstate__(self):
        return self._with(lambda array: array[: self.size()])

    def __setstate__(self, state):
        self.__dict__.update(state)

        def whole(array):
            rows = np.zeros((self.buffer_size, *array.shape[1:]), array.dtype)
            rows[: len(array)] = array
            return rows

        self.__dict__.update(self._with(whole))


class JoinedReplayBuffer(HeldReplayBuffer):
    """Samples with ``Joined`` observations."""

    def _get_samples(self, batch_inds, env=None):
        samples = super()._get_samples(batch_inds, env)
        now, following = Joined(samples.observations), Joined(samples.next_observations)
        return samples._replace(observations=now, next_observations=following)
