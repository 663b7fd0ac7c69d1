"""A target's points in groups: what hangs together in the depth map, joined or split to a given number."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from spatial_envs.prototypes.kmeans import clusters
from spatial_envs.prototypes.target import Target

# neighbours in the picture that are farther apart than so many metres and sample distances are strangers
GAP, PITCHES = 0.02, 2.0
SPECK = 6  # points, or so many thousandths of all: a smaller piece belongs to the nearest larger one
SPECK_THOUSANDTHS = 4


def pieces(target: Target, groups: int) -> np.ndarray:
    """(N,): which of up to ``groups`` groups each point belongs to. Pixels that are neighbours, diagonally
    too, hang together where their points are near; then, while there are too many pieces, the smallest joins
    the nearest; while there are too few, the one of the largest spread is split by k-means."""
    points = target.points.astype(np.float64)
    labels = _without_specks(points, _connected(target, points))
    while labels.max() + 1 > groups:
        smallest = labels == np.bincount(labels).argmin()
        away, nearest = cKDTree(points[~smallest]).query(points[smallest])
        labels[smallest] = labels[~smallest][nearest[away.argmin()]]
        labels = _numbered(labels)
    while labels.max() + 1 < groups:
        spread = [
            ((own - own.mean(axis=0)) ** 2).sum()
            for own in (points[labels == k] for k in range(labels.max() + 1))
        ]
        largest = np.flatnonzero(labels == int(np.argmax(spread)))
        halves = clusters(points[largest], 2)
        if halves.min() == halves.max():
            break
        labels[largest[halves == halves.max()]] = labels.max() + 1
    return labels


def _connected(target: Target, points: np.ndarray) -> np.ndarray:
    height, width = target.depth.shape
    index = np.full(height * width, -1)
    index[target.pixels] = np.arange(len(points))
    index = index.reshape(height, width)
    pitch = target.depth.ravel()[target.pixels] / target.intrinsics[0, 0]  # metres between samples
    ends = []
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        here = index[: height - down, max(0, -right) : width - max(0, right)].ravel()
        there = index[down:, max(0, right) : width + min(0, right)].ravel()
        both = (here >= 0) & (there >= 0)
        here, there = here[both], there[both]
        near = np.linalg.norm(points[here] - points[there], axis=1) < GAP + PITCHES * pitch[here]
        ends.append((here[near], there[near]))
    here, there = (np.concatenate(each) for each in zip(*ends, strict=True))
    graph = coo_matrix((np.ones(len(here)), (here, there)), shape=(len(points), len(points)))
    return connected_components(graph, directed=False)[1]


def _without_specks(points: np.ndarray, labels: np.ndarray) -> np.ndarray:
    sizes = np.bincount(labels)
    large = sizes >= min(max(SPECK, SPECK_THOUSANDTHS * len(points) / 1000), sizes.max())
    kept = large[labels]
    out = labels.copy()
    if not kept.all():
        out[~kept] = labels[kept][cKDTree(points[kept]).query(points[~kept])[1]]
    return _numbered(out)


def _numbered(labels: np.ndarray) -> np.ndarray:
    return np.unique(labels, return_inverse=True)[1]
