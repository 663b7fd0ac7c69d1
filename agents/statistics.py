"""Bootstrap intervals over seeds, objects and starts."""

from __future__ import annotations

import numpy as np

RESAMPLES = 2000


def interval(values: np.ndarray, objects: np.ndarray, seed: int = 0) -> tuple[float, float, float]:
    """The mean over objects of values (seeds, starts), and a 95 % bootstrap interval: seeds are drawn first,
    the same for all objects, then objects (starts,), then starts within them."""
    generator = np.random.default_rng(seed)
    groups = [np.flatnonzero(objects == index) for index in np.unique(objects)]
    means = np.empty(RESAMPLES)
    for k in range(RESAMPLES):
        resampled = values[generator.integers(len(values), size=len(values))].mean(axis=0)
        drawn = [groups[g] for g in generator.integers(len(groups), size=len(groups))]
        starts = [group[generator.integers(len(group), size=len(group))] for group in drawn]
        means[k] = np.mean([resampled[start].mean() for start in starts])
    low, high = np.percentile(means, [2.5, 97.5])
    return by_object(values, objects), float(low), float(high)


def by_object(values: np.ndarray, objects: np.ndarray) -> float:
    """The mean over objects of their mean over seeds and starts; values (seeds, starts)."""
    return float(np.mean([values[:, objects == index].mean() for index in np.unique(objects)]))
