"""The k-d tree against scipy's, on clouds that are easy to get wrong."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from spatial_envs.geometry import kdtree
from spatial_envs.geometry.kdtree import BUCKET, PACKET, KDTree

SIZES = [1, 2, 3, *[m * BUCKET + d for m in (1, 2, 4, 5, 8, 16, 64) for d in (-1, 0, 1)], 700]
KINDS = [
    "uniform",
    "duplicates",
    "all the same",
    "line",
    "axis",
    "grid",
    "surface",
    "outlier",
    "two scales",
    "tiny",
]


def cloud(kind: str, count: int, rng: np.random.Generator) -> np.ndarray:
    """(count, 3) float32."""
    points = rng.normal(size=(count, 3))
    if kind == "duplicates":
        points = points[rng.integers(0, max(1, count // 5), count)]
    elif kind == "all the same":
        points[:] = points[0]
    elif kind == "line":
        points = points[:, :1] * [0.3, -0.5, 0.8] + 0.1
    elif kind == "axis":
        points[:, 1:] = 0.25
    elif kind == "grid":
        points = np.round(2 * points) / 2
    elif kind == "surface":
        points /= np.linalg.norm(points, axis=1, keepdims=True)
    elif kind == "outlier":
        points[0] = [1e5, -3e5, 2e5]
    elif kind == "two scales":
        points[: count // 2] *= 1e-4
    elif kind == "tiny":
        points *= 1e-6
    return points.astype(np.float32)


clouds = st.builds(
    lambda kind, count, seed: cloud(kind, count, np.random.default_rng(seed)),
    st.sampled_from(KINDS), st.sampled_from(SIZES), st.integers(0, 10**6),
)  # fmt: skip


def twin(points: np.ndarray, queries: np.ndarray) -> np.ndarray:
    return cKDTree(points.astype(np.float64)).query(queries.astype(np.float64))[0] ** 2


@settings(max_examples=300, deadline=None)
@given(clouds, clouds, st.floats(0, 1))
def test_exact(points, others, near):
    """Queries of another kind, and some at or beside the points themselves."""
    rng = np.random.default_rng(0)
    beside = points[rng.integers(0, len(points), 40)] + rng.choice([0, 1e-3, 0.3], (40, 1)) * near
    queries = np.concatenate([others, beside]).astype(np.float32)
    found = KDTree(points).squared_distances(queries)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, twin(points, queries), rtol=1e-6, atol=1e-30)


@settings(max_examples=100, deadline=None)
@given(clouds, clouds, st.integers(0, 10**6))
def test_bounds_only_ever_cut_off(points, queries, seed):
    exact = twin(points, queries)
    rng = np.random.default_rng(seed)
    bounds = exact * rng.choice([0, 0.5, 0.99, 1.01, 4, np.inf], len(exact)) if exact.all() else 0.5 * exact
    kept = bounds.copy()
    found = KDTree(points).squared_distances(queries, bounds)
    np.testing.assert_allclose(found, np.minimum(exact, bounds), rtol=1e-6, atol=1e-30)
    np.testing.assert_array_equal(bounds, kept)  # the caller's array is not written into


def test_bounds_that_rule_come_back_to_the_bit():
    bounds = np.array([0.1, 1e-9, 0.0]) / 3
    found = KDTree(np.zeros((1, 3))).squared_distances(np.ones((3, 3)), bounds)
    np.testing.assert_array_equal(found, bounds)


@pytest.mark.parametrize("count", SIZES)
def test_points_are_kept_in_another_order(count):
    points = cloud("duplicates", count, np.random.default_rng(count))
    tree = KDTree(points)
    assert tree.points.dtype == np.float32
    np.testing.assert_array_equal(np.sort(tree.points, axis=0), np.sort(points, axis=0))
    rows = [tuple(row) for row in points]
    assert sorted(tuple(row) for row in tree.points) == sorted(rows)


def test_large_and_sorted():
    rng = np.random.default_rng(1)
    points = np.sort(rng.random((30_001, 3)).astype(np.float32), axis=0)[::-1]
    queries = rng.random((5_000, 3)).astype(np.float32)
    np.testing.assert_allclose(KDTree(points).squared_distances(queries), twin(points, queries), rtol=1e-6)


def test_float64_lists_and_no_queries():
    tree = KDTree([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])  # type: ignore[arg-type]
    assert tree.squared_distances(np.array([[0.75, 0.0, 0.0]]))[0] == 0.0625
    assert tree.squared_distances(np.zeros((0, 3))).shape == (0,)


@pytest.mark.parametrize("shape", [(0, 3), (5, 2), (3,), (2, 2, 3)])
def test_misshapen_points(shape):
    with pytest.raises(ValueError, match=r"points: got shape .*expected \(N, 3\)"):
        KDTree(np.zeros(shape))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_points_that_are_not_finite(value):
    points = np.zeros((5, 3))
    points[2, 1] = value
    with pytest.raises(ValueError, match="points: got values that are not finite"):
        KDTree(points)


def test_misshapen_queries_and_bounds():
    tree = KDTree(np.zeros((5, 3)))
    with pytest.raises(ValueError, match=r"queries: got shape \(4, 2\)"):
        tree.squared_distances(np.zeros((4, 2)))
    with pytest.raises(ValueError, match=r"bounds: got shape \(3,\); expected \(4,\)"):
        tree.squared_distances(np.zeros((4, 3)), np.zeros(3))


# ---- to the bit, by whichever way


def brute(points: np.ndarray, queries: np.ndarray, bounds: np.ndarray) -> list[set[float]]:
    """For each query what may be answered: of the points nearest to it in float32 the sums in float64, or the
    bound where that is smaller."""
    found = []
    for query, bound in zip(queries, bounds, strict=True):
        x, y, z = ((query - points) ** 2).T
        single = (x + y) + z
        double = x.astype(np.float64) + y.astype(np.float64) + z.astype(np.float64)
        near = double[single == single.min()]
        if single.min() >= np.float32(bound):
            found.append({bound})
        else:
            found.append({min(float(value), bound) for value in near})
    return found


@pytest.mark.parametrize("way", ["one by one", "packets", "grid"])
@settings(max_examples=60, deadline=None)
@given(clouds, clouds, st.integers(0, 10**6))
def test_no_point_is_nearer(way, points, others, seed):
    """Queries beside the points and elsewhere, some of them bounded."""
    rng = np.random.default_rng(seed)
    beside = points[rng.integers(0, len(points), 60)] + rng.choice([0, 1e-3, 0.1], (60, 1))
    queries = KDTree(np.concatenate([others[:60], beside]).astype(np.float32)).points
    bounds = np.where(rng.random(len(queries)) < 0.5, np.inf, rng.exponential(size=len(queries)))
    tree, result = KDTree(points), bounds.copy()
    far = np.ones(len(queries), np.bool_)
    if way == "packets":
        kdtree._search_in_packets(tree.points, tree.boxes, queries, result)
    elif way == "grid" and tree.cells is not None:
        kdtree._search_cells(tree.box, *tree.cells, queries, result, far)
        assert (result[far] == bounds[far]).all()
        result[far] = tree._from_afar(queries[far], result[far])
    else:
        result = tree._from_afar(queries, result)
    slack = 1e-6 if way == "one by one" else 0  # its boxes' distances are sums that are not rounded down
    for row, (found, allowed) in enumerate(zip(result, brute(points, queries, bounds), strict=True)):
        if slack or (far[row] and way == "grid"):
            assert found == pytest.approx(min(allowed), rel=1e-6, abs=1e-30)
        else:
            assert found in allowed


def test_a_grid_answers_near_a_surface(monkeypatch):
    """What is near comes from the grid, what is far from the tree; both as the tree alone says."""
    monkeypatch.setattr(kdtree, "GRID", 1)
    points = cloud("surface", 5000, np.random.default_rng(0))
    tree = KDTree(points)
    assert tree.cells is not None
    queries = np.concatenate([points[:1500] + np.float32(0.003), 2 * points[:500]])
    far = np.ones(len(queries), np.bool_)
    kdtree._search_cells(tree.box, *tree.cells, queries, np.full(len(queries), np.inf), far)
    assert not far[:1500].any()
    assert far[1500:].all()
    found = tree.squared_distances(queries)
    np.testing.assert_array_equal(found, tree._from_afar(queries, np.full(len(queries), np.inf)))


def test_a_crowded_cell_has_no_grid():
    points = np.concatenate([np.zeros((300, 3)), np.random.default_rng(0).random((300, 3))])
    assert KDTree(points).cells is None


def test_packets_pass_over_queries_that_nothing_can_improve():
    points = cloud("surface", 3 * PACKET, np.random.default_rng(0))
    queries = cloud("uniform", 5 * PACKET + 3, np.random.default_rng(1))
    bounds = np.zeros(len(queries))
    bounds[::7] = np.inf
    found = KDTree(points).squared_distances(queries, bounds)
    assert (found[np.arange(len(queries)) % 7 > 0] == 0).all()
    np.testing.assert_allclose(found[::7], twin(points, queries[::7]), rtol=1e-6)


def test_order_says_which_row_a_point_was():
    points = cloud("uniform", 100, np.random.default_rng(0))
    tree = KDTree(points)
    np.testing.assert_array_equal(points[tree.order], tree.points)
