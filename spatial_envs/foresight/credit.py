"""What guesses are worth: joint, of all judged things at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

NEAR, SHARE = 0.10, 0.15  # metres, and share of a thing's path, that a guess may be off


def soft_credit(distances: np.ndarray, paths: np.ndarray) -> float:
    """Mean of exp(-d / (10 cm + 15 % of the path)) over things with distances and paths (J,), metres."""
    return float(np.exp(-distances / (NEAR + SHARE * paths)).mean())


def right_share(distances: np.ndarray, paths: np.ndarray) -> float:
    """Share of things that are off by at most 10 cm or 15 % of their path, whichever is more."""
    return float((distances <= np.maximum(NEAR, SHARE * paths)).mean())


def all_right(distances: np.ndarray, paths: np.ndarray) -> float:
    """1 where every thing is right, else 0."""
    return float(right_share(distances, paths) == 1)


CREDITS: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "soft": soft_credit,
    "right": right_share,
    "all": all_right,
}


def fair_energy(errors: Sequence[float], spread: float) -> float:
    """The fair energy score, metres, lower is better: the mean error of k guesses minus half the mean
    distance between two different ones (Ferro 2014; unbiased for any k). One guess has its error.

    errors (k,) metres; spread, the sum of the distances of all k (k - 1) / 2 pairs.
    """
    count = len(errors)
    return float(np.mean(errors)) - (spread / (count * (count - 1)) if count > 1 else 0.0)


def brier_error(errors: Sequence[float], confidences: Sequence[float]) -> float:
    """The least error plus (1 - p)^2 (Argoverse 2's brier-minFDE), with p the share that the best guess has
    of the confidence, each in [0, 1]; equal shares where all are 0."""
    total = sum(confidences)
    best = int(np.argmin(errors))
    share = confidences[best] / total if total > 0 else 1 / len(errors)
    return float(errors[best]) + (1 - share) ** 2
