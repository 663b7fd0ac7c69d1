"""How good a fit of a video is. The figures of ``scores`` are means over the shown frames, but for

    ari               over the points of all frames together: nearest slot against object
    held_out          one-directional distance in the frames that no fitter was shown          metres
and where the truth is known:
    idf1              share of identities kept (Ristani et al. 2016): with every object given the slot that is
                      within 25 cm of it in most frames, 2 TP / (2 TP + FP + FN) over frames and objects that
                      are seen in them
    switches          share of the times that an object is near a slot in two frames running, in which it is
                      another slot
    centre_error      metres: the median distance of an object's centre from that of the slot it was given
    jitter            metres: the median, over objects, of the standard deviation of that offset, an axis;
                      both are 25 cm where no slot is present

An object's centre is the mean of its surface, a slot's the mean of its vertices. ``score`` is that of
``scores`` with d_random and d_oracle of the same video.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from spatial_envs.prototypes.distance import nearest
from spatial_envs.prototypes.scores import Fit, Scores, adjusted_rand_index, score_fit
from spatial_envs.prototypes.target import Target

FAR = 10.0  # metres, that a distance counts at most, and where a slot is absent
NEAR = 0.25  # metres, between the centres of an object and of the slot that it is
SEEN = 4  # points of an object that is seen in a frame


class Explained(NamedTuple):
    """What a fitter makes of a frame: the target, with the camera where the fitter has it, and the fit."""

    target: Target
    fit: Fit


def score_video(shown: Sequence[Explained], held_out: Sequence[Explained]) -> Scores:
    """The figures above but ``score``; those of the truth only where it is known."""
    each = [score_fit(*one) for one in shown]
    scores = {key: float(np.mean([one[key] for one in each])) for key in each[0] if key != "held_out"}
    if held_out:
        scores["held_out"] = float(np.mean([score_fit(*one)["one_directional"] for one in held_out]))
    if shown[0].target.surface is None:
        return scores
    truth, guess = (np.concatenate(each) for each in zip(*(_labels(*one) for one in shown), strict=True))
    scores["ari"] = adjusted_rand_index(truth, guess)
    return scores | _identities(shown)


def _labels(target: Target, fit: Fit) -> tuple[np.ndarray, np.ndarray]:
    """Of the points that are an object's: which, and the nearest slot, -1 where there is none."""
    assert target.objects is not None
    known = target.objects > 0
    slots = np.flatnonzero(fit.present)
    if not len(slots):
        return target.objects[known], np.full(int(known.sum()), -1)
    squared = nearest(target.points[known], fit.surfaces, fit.topology)[0]
    return target.objects[known], slots[squared.argmin(axis=0)]


def _identities(shown: Sequence[Explained]) -> Scores:
    seen, present, offset = _offsets(shown)  # (T, J), (T, K), (T, J, K, 3)
    apart = np.where(present[:, None], np.linalg.norm(offset, axis=-1), np.inf)
    near = (apart <= NEAR) & seen[..., None]
    away = np.minimum(apart, FAR).mean(axis=0) / FAR  # of equally many frames, the nearer
    objects, slots = linear_sum_assignment(0.5 * away - near.sum(axis=0))
    hits = sum(int(near[:, j, k].sum()) for j, k in zip(objects, slots, strict=True))
    given = dict(zip(slots.tolist(), objects.tolist(), strict=True))
    false = sum(
        int((present[:, k] & (seen[:, given[k]] if k in given else True)).sum())
        for k in range(present.shape[1])
    )
    own = [(offset[:, j, k], seen[:, j] & present[:, k]) for j, k in zip(objects, slots, strict=True)]
    errors = [np.linalg.norm(way[both], axis=1) for way, both in own]
    shaken = [way[both].std(axis=0).mean() for way, both in own if both.sum() > 2]
    return {
        "idf1": 2 * hits / max(int(seen.sum()) + false, 1),
        "switches": _switches(apart, seen),
        "centre_error": float(np.median(np.concatenate(errors))) if any(map(len, errors)) else NEAR,
        "jitter": float(np.median(shaken)) if shaken else NEAR,
    }


def _offsets(shown: Sequence[Explained]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which objects are seen in each frame (T, J), which slots present (T, K), and the way (T, J, K, 3) from
    every object's centre to every slot's, metres."""
    ids = np.unique(np.concatenate([one.target.surface_objects for one in shown]))
    seen, offset = [], []
    for target, fit in shown:
        assert target.surface is not None
        assert target.objects is not None
        seen.append([(target.objects == j).sum() >= SEEN for j in ids])
        places = np.stack([target.surface[target.surface_objects == j].mean(axis=0) for j in ids])
        offset.append(fit.vertices.mean(axis=1)[None] - places[:, None])
    return np.array(seen), np.stack([fit.present for _, fit in shown]), np.stack(offset)


def true_centres(target: Target) -> np.ndarray:
    """(J, 3) metres: the mean of every object's true surface, ids from 1."""
    assert target.surface is not None
    assert target.surface_objects is not None
    ids = range(1, int(target.surface_objects.max()) + 1)
    return np.stack([target.surface[target.surface_objects == j].mean(axis=0) for j in ids])


def _switches(apart: np.ndarray, seen: np.ndarray) -> float:
    """The share of steps of an object, from one frame where it is seen and near a slot to the next such,
    after which it is near another; apart (T, J, K) metres."""
    steps = changed = 0
    last = np.full(apart.shape[1], -1)
    for t in range(len(apart)):
        objects, slots = linear_sum_assignment(np.minimum(apart[t], 10 * NEAR))
        for j, k in zip(objects, slots, strict=True):
            if seen[t, j] and apart[t, j, k] <= NEAR:
                steps += last[j] >= 0
                changed += last[j] not in (-1, k)
                last[j] = k
    return changed / max(steps, 1)
