"""What an observation of foresight shows, as rules without learning read it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Shown(NamedTuple):
    """What an observation shows of K things, metres and seconds.

    centres (K, T, 3), seen (K, T) bool, times (T,), query
    reference, nearest (K, 3): the reference's centres, and those in the seen frame next to the asked time
    extents (K, 3), kind (K, 5), one of ``geometry.bodies.KINDS``
    """

    centres: np.ndarray
    seen: np.ndarray
    times: np.ndarray
    query: float
    reference: np.ndarray
    nearest: np.ndarray
    extents: np.ndarray
    kind: np.ndarray


def shown(observation: dict[str, np.ndarray]) -> Shown:
    """An observation in float64; slots that hold nothing are things never seen."""
    tracks, times = observation["tracks"].astype(np.float64), observation["times"].astype(np.float64)
    centres, seen, query = tracks[..., :3], tracks[..., -1] > 0.5, float(observation["query"][0])
    distance = np.where(seen, np.abs(times - query), np.inf)
    nearest = centres[np.arange(len(centres)), distance.argmin(axis=1)]
    reference, shapes = observation["reference"].astype(np.float64), observation["shapes"].astype(np.float64)
    return Shown(centres, seen, times, query, reference[:, :3], nearest, shapes[:, :3], shapes[:, 3:])
