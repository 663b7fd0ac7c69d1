"""How good a fit of shapes to a depth map is. With T the target's points, M_k the fitted surfaces (present
slots only), S the true surface, d(a, B) the distance from a to the nearest point of B, metres:

    one_directional   mean over t in T of min_k d(t, M_k)                            metres
    occlusion_aware   mean over t of max(min_k d(t, M_k), what the fitted surface nearest to the camera on the
                      ray to t lies in front of t, along the ray; 0 where it does not)  metres
                      (after Kluger et al. 2021, cuboids revisited)
    fsv               free-space violation: share of the fitted surface's area that lies more than 10 cm in
                      front of the measured depth, along the optical axis: of the four pixels round it the
                      least, so that half a pixel at a silhouette is no violation    share
    depth_agreement   share of T's pixels where the fit, rendered, is within 5 cm    share
    held_out          as one_directional, over pixels that the fitter was not shown  metres
    slots             how many are present
    and where the truth is known:
    ari               adjusted Rand index of "nearest slot" against "object" over those of T
                      that are an object's (Hubert, Arabie 1985)
    full              share of S, seen or not, with d(s, union of M_k) <= 5 cm       share
    reverse           mean over the fitted surface's area of d(m, S)                 metres

`score` joins them: clip(g, 0, 1) (1 - fsv) max(ari, 0) full, with g = (d_random - d) / (d_random - d_oracle),
d = occlusion_aware, and the factor ari = 1 where there is one object. d_random is the distance of random
spheres, d_oracle that of ground-truth masks and superquadrics by least squares, each of the same scene.
Without any surface every distance is the scene's unit, and every share is 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from spatial_envs.prototypes.distance import nearest
from spatial_envs.prototypes.residuals import COVERED, Residuals
from spatial_envs.prototypes.sphere import Sphere
from spatial_envs.prototypes.target import Target

Scores = dict[str, float]


@dataclass(frozen=True, eq=False)
class Fit:
    """K surfaces, metres, in the target's frame.

    vertices  (K, V, 3) float32 of the topology
    topology  the deformed sphere's
    present   (K,) bool: False for slots that hold nothing
    """

    vertices: np.ndarray
    topology: Sphere
    present: np.ndarray

    @property
    def surfaces(self) -> np.ndarray:
        """(K', V, 3): of the slots that are present."""
        return self.vertices[self.present]


def score_fit(target: Target, fit: Fit) -> Scores:
    """All the figures above but ``score``; those of the truth only where it is known."""
    surfaces, topology = fit.surfaces, fit.topology
    residuals = Residuals(target, topology, len(fit.vertices))
    residuals.vertices[:] = fit.vertices
    for k in np.flatnonzero(fit.present).tolist():
        residuals.measure(k)
    scores: Scores = {**residuals.seen(), "held_out": _mean_distance(target, surfaces, topology)}
    if target.surface is None:
        return scores
    if not len(surfaces):
        return scores | {"ari": 0.0, "full": 0.0, "reverse": target.unit}
    assert target.objects is not None
    known = target.objects > 0  # 0: what the ground left behind
    to_truth, area = cKDTree(target.surface).query(surfaces)[0], residuals.areas.sum()
    missed = nearest(target.surface, surfaces, topology)[0].min(axis=0)
    return scores | {
        "ari": adjusted_rand_index(target.objects[known], residuals.squared.argmin(axis=0)[known]),
        "full": float((missed <= COVERED**2).mean()),
        "reverse": float((residuals.patches[fit.present] * to_truth).sum() / max(area, 1e-12)),
    }


def score(scores: Scores, d_random: float, d_oracle: float, num_objects: int) -> float:
    """The score of a fit with these figures, in [0, 1]; d_random and d_oracle are ``occlusion_aware`` of
    random spheres and of the oracle in the same scene, metres."""
    gain = (d_random - scores["occlusion_aware"]) / max(d_random - d_oracle, 1e-6)
    grouping = 1.0 if num_objects == 1 else max(scores["ari"], 0.0)
    return min(max(gain, 0.0), 1.0) * (1 - scores["fsv"]) * grouping * scores["full"]


def _mean_distance(target: Target, surfaces: np.ndarray, topology: Sphere) -> float:
    """Of the pixels held out; 0 where there are none."""
    points = target.held_out
    if not len(surfaces):
        return target.unit
    if not len(points):
        return 0.0
    return float(np.sqrt(nearest(points, surfaces, topology)[0].min(axis=0)).mean())


def adjusted_rand_index(truth: np.ndarray, guess: np.ndarray) -> float:
    """Return the adjusted Rand index of two labellings (N,) of the same points: 1 = the same groups, 0 = as
    good as chance. 1 where both put all points into one group, 0 where there are no points."""
    if not len(truth):
        return 0.0
    _, rows = np.unique(truth, return_inverse=True)
    _, columns = np.unique(guess, return_inverse=True)
    table = np.zeros((rows.max() + 1, columns.max() + 1), np.int64)
    np.add.at(table, (rows, columns), 1)

    def pairs(counts: np.ndarray) -> float:
        return float((counts * (counts - 1) / 2).sum())

    both, first, second = pairs(table), pairs(table.sum(axis=1)), pairs(table.sum(axis=0))
    chance = first * second / max(pairs(np.array([len(rows)])), 1.0)
    most = (first + second) / 2
    return 1.0 if most == chance else (both - chance) / (most - chance)
