"""The Chamfer distance, its relatives, and the cloud that grows view by view.

With P the predicted points, G the reference points (about 10,000, evenly spread), D a dense sample of the
same surface (about 100,000), d(a, B) the distance from a to its nearest neighbour in B, metres:

    accuracy         mean over P of d(p, D)             metres
    completeness     mean over G of d(g, P)             metres
    chamfer          accuracy + completeness            metres
    chamfer_squared  mean d(p, D)^2 + mean d(g, P)^2    square metres
    chamfer_sum      sum d(p, D)^2 + sum d(g, P)^2      square metres (the research plan's loss)
    coverage         share of G with d(g, P) <= 2 % of the diameter
    f_score          harmonic mean of coverage and the share of P with d(p, D) <= 2 % of the diameter

An empty P scores accuracy = completeness = the diameter.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import numpy as np

from spatial_envs.foundation.compilation import njit
from spatial_envs.geometry.kdtree import KDTree, checked_points

COVERAGE_SHARE = 0.02  # of the diameter: a reference point this near to the cloud counts as covered
VOXEL_SHARE = 0.005  # of the diameter: one point is kept per voxel of this side

Metrics = dict[str, float]


def chamfer(
    points: np.ndarray,
    reference: np.ndarray,
    dense: np.ndarray | None = None,
    diameter: float = 1.0,
    coverage_distance: float | None = None,
) -> Metrics:
    """All the figures above for two clouds, recomputed in full.

    points (M, 3), reference (N, 3), dense (K, 3) or None for the reference itself; metres.
    diameter: of the bounding sphere, metres; coverage_distance: metres, None = 2 % of the diameter.
    Raises ValueError for a misshapen or non-finite cloud, or an empty reference.
    """
    reference = checked_points(reference, "reference")
    tree = KDTree(reference if dense is None else checked_points(dense, "dense"))
    tracker = ChamferTracker(reference, tree, diameter, coverage_distance)
    tracker.add(points)
    return tracker.metrics()


class ChamferTracker:
    """The figures above for a cloud that only grows: exact, at the cost of the new points alone.

    The old points' distances to D stay, and the best distance of each g so far bounds its next search.
    """

    def __init__(
        self, reference: np.ndarray, dense: KDTree, diameter: float, coverage_distance: float | None = None
    ) -> None:
        self.reference = checked_points(reference, "reference")
        self.dense = dense
        self.diameter = diameter
        self.coverage_distance = COVERAGE_SHARE * diameter if coverage_distance is None else coverage_distance
        self.squared_to_cloud = np.full(len(reference), np.inf)  # (N,) m^2, d(g, P)^2
        self.count = 0
        self.accuracy_sum = 0.0
        self.accuracy_squared_sum = 0.0
        self.near_count = 0
        self._metrics: Metrics | None = None  # until there are more points

    def add(self, points: np.ndarray, squared: np.ndarray | None = None) -> None:
        """Let the cloud grow by ``points`` (M, 3), metres; M may be 0. squared: d(p, D)^2 (M,) where that is
        known."""
        points = np.asarray(points, np.float32).reshape(-1, 3) if np.size(points) == 0 else points
        if len(points) == 0:
            return
        self._metrics = None
        tree = KDTree(points)
        squared = self.dense.squared_distances(tree.points) if squared is None else squared[tree.order]
        self.count += len(points)
        self.accuracy_sum += float(np.sqrt(squared).sum())
        self.accuracy_squared_sum += float(squared.sum())
        self.near_count += int((squared <= self.coverage_distance**2).sum())
        self.squared_to_cloud = tree.squared_distances(self.reference, self.squared_to_cloud)

    def metrics(self) -> Metrics:
        """The figures of the cloud as it is now."""
        if self._metrics is None:
            self._metrics = self._measured()
        return dict(self._metrics)

    def _measured(self) -> Metrics:
        total, d = len(self.reference), self.diameter
        if self.count == 0:
            return {
                "accuracy": d, "completeness": d, "chamfer": 2 * d, "chamfer_squared": 2 * d * d,
                "chamfer_sum": total * d * d, "coverage": 0.0, "f_score": 0.0,
            }  # fmt: skip
        accuracy = self.accuracy_sum / self.count
        completeness = float(np.sqrt(self.squared_to_cloud).mean())
        missing = float(self.squared_to_cloud.sum())
        coverage = float((self.squared_to_cloud <= self.coverage_distance**2).mean())
        precision = self.near_count / self.count
        return {
            "accuracy": accuracy,
            "completeness": completeness,
            "chamfer": accuracy + completeness,
            "chamfer_squared": self.accuracy_squared_sum / self.count + missing / total,
            "chamfer_sum": self.accuracy_squared_sum + missing,
            "coverage": coverage,
            "f_score": 2 * precision * coverage / max(precision + coverage, 1e-12),
        }


class Cloud:
    """A reconstruction: points thinned to one per voxel, first come, and scored by a ChamferTracker.

    voxel: its side, metres; None = 0.5 % of the diameter.
    """

    def __init__(self, tracker: ChamferTracker, voxel: float | None = None) -> None:
        self.tracker = tracker
        self.voxel = VOXEL_SHARE * tracker.diameter if voxel is None else voxel
        self._taken = np.full(2**12, -1, np.int64)  # hash set of voxel keys
        self._filled = 0
        self._parts: tuple[np.ndarray, ...] = ()  # shared by copies

    @property
    def points(self) -> np.ndarray:
        """(M, 3) float32, metres, in the order in which they came."""
        return np.concatenate([np.zeros((0, 3), np.float32), *self._parts])

    def add(self, points: np.ndarray) -> None:
        """Let the cloud grow by ``points`` (M, 3), metres."""
        points = np.ascontiguousarray(points, np.float32)
        points = points[self._claim(points)]
        self._parts += (points,)
        self.tracker.add(points)

    def foreseen(self, points: np.ndarray, squared: np.ndarray) -> Metrics:
        """The figures as they would be with these points (M, 3) float32. Of the cloud nothing changes;
        ``squared`` (M,) float64, their d(p, D)^2, is filled in where it is NaN and asked for, so that another
        state of the cloud can have it."""
        twin = self.copy()
        keep = twin._claim(points)
        unknown = keep & np.isnan(squared)
        squared[unknown] = twin.tracker.dense.squared_distances(points[unknown])
        twin.tracker.add(points[keep], squared[keep])
        return twin.metrics()

    def _claim(self, points: np.ndarray) -> np.ndarray:
        """Which points (M,) are the first in their voxels, which are theirs from now on."""
        while 2 * (self._filled + len(points)) > len(self._taken):
            self._taken = _rehashed(self._taken)
        keep = _claim_voxels(points, self.voxel, self._taken)
        self._filled += int(keep.sum())
        return keep

    def metrics(self) -> Metrics:
        """See ``ChamferTracker.metrics``."""
        return self.tracker.metrics()

    def copy(self) -> Cloud:
        """A cloud that grows on its own from here; the reference is shared."""
        twin = copy.copy(self)
        twin._taken = self._taken.copy()
        twin.tracker = copy.copy(self.tracker)  # its arrays are replaced, never written into
        return twin


@njit(inline="always")
def _slot(key, table):
    """Where ``key`` stands in the table, or the free slot where it would; linear probing."""
    mask = table.shape[0] - 1
    slot = ((key * 0x9E3779B97F4A7C1) >> 20) & mask
    while table[slot] != -1 and table[slot] != key:
        slot = (slot + 1) & mask
    return slot


@njit
def _claim_voxels(points, voxel, table):
    keep = np.zeros(points.shape[0], np.bool_)
    offset = 1 << 20
    before = np.int64(-1)
    for row in range(points.shape[0]):
        key = np.int64(0)
        for axis in range(3):
            cell = np.int64(math.floor(points[row, axis] / voxel)) + offset
            key = (key << 21) | (cell & 0x1FFFFF)
        if key == before:  # as of most neighbours in a picture, where voxels are large
            continue
        before = key
        slot = _slot(key, table)
        if table[slot] == -1:
            table[slot] = key
            keep[row] = True
    return keep


@njit
def _rehashed(table):
    larger = np.full(4 * table.shape[0], -1, np.int64)
    for key in table:
        if key != -1:
            larger[_slot(key, larger)] = key
    return larger


def _log(metrics: Metrics, first: Metrics) -> float:
    return -math.log(max(metrics["chamfer"], 1e-9))


def _relative(metrics: Metrics, first: Metrics) -> float:
    return -metrics["chamfer"] / max(first["chamfer"], 1e-9)


# Each reward is the difference of a potential, so that an episode's gains add up to the whole.
# A potential takes the figures now and those of the first view(s).
POTENTIALS: dict[str, Callable[[Metrics, Metrics], float]] = {
    "log": _log,
    "relative": _relative,
    "chamfer": lambda metrics, first: -metrics["chamfer"],
    "chamfer_squared": lambda metrics, first: -metrics["chamfer_squared"],
    "chamfer_sum": lambda metrics, first: -metrics["chamfer_sum"],
    "coverage": lambda metrics, first: metrics["coverage"],
}
Reward = str | Callable[[Metrics, Metrics], float]  # the name of a potential, or of figures before and after


def gain(reward: Reward, before: Metrics, after: Metrics, first: Metrics) -> float:
    """What a step is worth that led from the figures before to those after."""
    if callable(reward):
        return float(reward(before, after))
    return POTENTIALS[reward](after, first) - POTENTIALS[reward](before, first)
