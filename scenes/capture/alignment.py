"""Two lists of camera positions laid over each other, and how far apart they stay."""

from __future__ import annotations

import numpy as np


def similarity(points: np.ndarray, onto: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Scale, rotation (3, 3) and shift (3,) that bring points (N, 3) nearest to others (N, 3) in the mean of
    squares: scale * rotation @ p + shift (Umeyama 1991)."""
    middle, other = points.mean(axis=0), onto.mean(axis=0)
    here, there = points - middle, onto - other
    u, sizes, v = np.linalg.svd(there.T @ here / len(points))
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(u) * np.linalg.det(v))])
    turn = (u * sign) @ v
    scale = float((sizes * sign).sum() / max((here**2).sum(axis=1).mean(), 1e-30))
    return scale, turn, other - scale * turn @ middle


def trajectory_error(poses: np.ndarray, truth: np.ndarray, scaled: bool = False) -> float:
    """Metres, the root of the mean square distance between camera positions (N, 4, 4) and the true ones once
    they are laid over them; scaled: whether they have a scale of their own already (ATE, Sturm 2012)."""
    here, there = poses[:, :3, 3], truth[:, :3, 3]
    scale, turn, _ = similarity(here, there)
    scale = 1.0 if scaled else scale
    moved = scale * (here - here.mean(axis=0)) @ turn.T + there.mean(axis=0)
    return float(np.sqrt(((moved - there) ** 2).sum(axis=1).mean()))
