"""Groups of points: where fits begin."""

from __future__ import annotations

import numpy as np

from spatial_envs.foundation.compilation import njit
from spatial_envs.prototypes.bank import POSE

ROUNDS = 20
SMALL, LARGER = 0.1, 1.3  # units, of a slot without points; of the points' mean distance from their mean


def ball_slots(points: np.ndarray, count: int, prototypes: int, unit: float, seed: int = 0) -> np.ndarray:
    """(count, 7 + P + 1), metres: an even blend at each group of points (N, 3); slots without points are
    absent."""
    slots = np.zeros((count, POSE + prototypes + 1))
    labels = clusters(points, count, seed)
    slots[:, 0], slots[:, -1] = SMALL * unit, 3.0
    for k in np.unique(labels):
        own = points[labels == k].astype(np.float64)
        slots[k, 0] = np.linalg.norm(own - own.mean(axis=0), axis=1).mean() * LARGER
        slots[k, 1:4], slots[k, -1] = own.mean(axis=0), -3.0
    return slots


def clusters(points: np.ndarray, groups: int, seed: int = 0, starts: int = 3) -> np.ndarray:
    """(N,): which of up to ``groups`` groups each point (N, 3) belongs to: k-means++, the best of several
    starts that the seed draws."""
    points = np.asarray(points, np.float64)
    found = []
    for start in range(starts):
        rng = np.random.default_rng([seed, start])
        means, labels = _kmeans(points, min(groups, len(points)), rng)
        found.append((float(((points - means[labels]) ** 2).sum()), labels))
    return min(found, key=lambda pair: pair[0])[1]


def _kmeans(points: np.ndarray, groups: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """k-means++ (Arthur and Vassilvitskii 2007)."""
    means = np.empty((groups, 3))
    away = np.full(len(points), np.inf)
    for k in range(groups):
        share = np.cumsum(away if k else np.ones(len(points)))
        drawn = int(np.searchsorted(share, rng.random() * share[-1]))
        means[k] = points[min(drawn, len(points) - 1)]
        away = np.minimum(away, ((points - means[k]) ** 2).sum(axis=1))
    return _rounds(points, means)


@njit
def _rounds(points, means):
    """Lloyd's rounds; a group that lost all its points stays where it is."""
    labels = np.zeros(points.shape[0], np.int64)
    groups = means.shape[0]
    for _ in range(ROUNDS):
        sums = np.zeros((groups, 4))
        for row in range(points.shape[0]):
            x, y, z = points[row]
            best = np.inf
            for k in range(groups):
                dx, dy, dz = x - means[k, 0], y - means[k, 1], z - means[k, 2]
                distance = dx * dx + dy * dy + dz * dz
                if distance < best:
                    best = distance
                    labels[row] = k
            k = labels[row]
            sums[k, 0] += x
            sums[k, 1] += y
            sums[k, 2] += z
            sums[k, 3] += 1
        for k in range(groups):
            if sums[k, 3] > 0:
                means[k] = sums[k, :3] / sums[k, 3]
    return means, labels
