"""Paired scores: means over scenes, and bootstrap intervals over seeds, scenes and starts."""

from __future__ import annotations

import numpy as np

RESAMPLES = 2000


def interval(values: np.ndarray, scenes: np.ndarray, seed: int = 0) -> tuple[float, float, float]:
    """The mean over scenes of values (seeds, starts), and a 95 % bootstrap interval: seeds are drawn first,
    the same for all scenes, then scenes (starts,), then starts within them."""
    generator = np.random.default_rng(seed)
    groups = [np.flatnonzero(scenes == index) for index in np.unique(scenes)]
    order, sizes = np.concatenate(groups), np.array([len(group) for group in groups])
    first = np.cumsum(sizes) - sizes
    means = np.empty(RESAMPLES)
    for k in range(RESAMPLES):
        resampled = values[generator.integers(len(values), size=len(values))].mean(axis=0)
        drawn = generator.integers(len(groups), size=len(groups))
        each = np.repeat(drawn, sizes[drawn])
        starts = order[first[each] + generator.integers(sizes[each])]
        begins = np.cumsum(sizes[drawn]) - sizes[drawn]
        means[k] = (np.add.reduceat(resampled[starts], begins) / sizes[drawn]).mean()
    low, high = np.percentile(means, [2.5, 97.5])
    return by_scene(values, scenes), float(low), float(high)


def by_scene(values: np.ndarray, scenes: np.ndarray) -> float:
    """The mean over scenes of their mean over seeds and starts; values (seeds, starts)."""
    return float(np.mean([values[:, scenes == index].mean() for index in np.unique(scenes)]))
