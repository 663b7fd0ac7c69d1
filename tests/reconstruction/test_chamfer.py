"""The Chamfer figures against recorded values and scipy; clouds that grow against clouds scored at once."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from spatial_envs.geometry.kdtree import KDTree
from spatial_envs.reconstruction.chamfer import (
    COVERAGE_SHARE,
    POTENTIALS,
    VOXEL_SHARE,
    ChamferTracker,
    Cloud,
    chamfer,
)

KEYS = {"accuracy", "completeness", "chamfer", "chamfer_squared", "chamfer_sum", "coverage", "f_score"}


def twin(points, reference, dense=None, diameter=1.0, distance=None) -> dict[str, float]:
    """design.md's definitions."""
    distance = 0.02 * diameter if distance is None else distance
    points, reference = np.asarray(points, float), np.asarray(reference, float)
    to_surface = cKDTree(reference if dense is None else np.asarray(dense, float)).query(points)[0]
    to_points = cKDTree(points).query(reference)[0]
    precision, recall = (to_surface <= distance).mean(), (to_points <= distance).mean()
    return {
        "accuracy": to_surface.mean(),
        "completeness": to_points.mean(),
        "chamfer": to_surface.mean() + to_points.mean(),
        "chamfer_squared": (to_surface**2).mean() + (to_points**2).mean(),
        "chamfer_sum": (to_surface**2).sum() + (to_points**2).sum(),
        "coverage": recall,
        "f_score": 2 * precision * recall / (precision + recall) if precision + recall else 0.0,
    }


ROUNDING = 1e-7  # of a distance between float32 coordinates near 1


def check(metrics, expected, rel=1e-6, abs=1e-12):
    assert set(metrics) == KEYS
    for key, value in expected.items():
        assert metrics[key] == pytest.approx(value, rel=rel, abs=abs), key


def test_the_recorded_values(reference):
    pairs = json.loads((reference / "chamfer.json").read_text())["pairs"]
    assert len(pairs) == 6
    with np.load(reference / "chamfer_clouds.npz") as clouds:
        for pair in pairs:
            x, y = clouds[pair["x"]], clouds[pair["y"]]
            x_to_y, y_to_x = (pair[f"squared_single_directional_{way}"] for way in ("x_to_y", "y_to_x"))
            found = chamfer(x, y)
            check(found, {
                "accuracy": pair["l2_x_to_y"],
                "completeness": pair["l2_y_to_x"],
                "chamfer": pair["l2_two_way_mean"],
                "chamfer_squared": pair["squared_bidirectional"],
                "chamfer_sum": pair["m"] * x_to_y + pair["n"] * y_to_x,
            }, rel=1e-5)  # fmt: skip


def surface(rng, count, scale=0.5) -> np.ndarray:
    points = rng.normal(size=(count, 3))
    return (scale * points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("diameter", [1.0, 2.5])
@pytest.mark.parametrize("distance", [None, 0.013])
def test_definitions(diameter, distance):
    rng = np.random.default_rng(0)
    dense, reference = surface(rng, 5000), surface(rng, 900)
    points = surface(rng, 400) + rng.normal(scale=0.02, size=(400, 3)).astype(np.float32)
    expected = twin(points, reference, dense, diameter, distance)
    assert 0.02 < expected["coverage"] < 0.98  # the thresholds are at work
    check(chamfer(points, reference, dense, diameter, distance), expected)
    check(
        chamfer(points, reference, None, diameter, distance),
        twin(points, reference, None, diameter, distance),
    )


def test_by_hand():
    points, reference = [[0, 0, 0], [0, 0, 3]], [[0, 0, 0.01], [0, 4, 3], [0, 0, 3], [0, 0, 3]]
    check(chamfer(np.array(points), np.array(reference)), {
        "accuracy": 0.005, "completeness": 4.01 / 4, "chamfer": 0.005 + 4.01 / 4,
        "chamfer_squared": 0.00005 + 16.0001 / 4, "chamfer_sum": 0.0001 + 16.0001,
        "coverage": 0.75, "f_score": 2 * 0.75 / 1.75,
    })  # fmt: skip


@pytest.mark.parametrize("diameter", [1.0, 3.0])
def test_no_points(diameter):
    d = diameter
    for empty in (np.zeros((0, 3)), np.zeros(0), []):
        found = chamfer(empty, np.ones((7, 3)), diameter=d)
        check(found, {
            "accuracy": d, "completeness": d, "chamfer": 2 * d, "chamfer_squared": 2 * d * d,
            "chamfer_sum": 7 * d * d, "coverage": 0, "f_score": 0,
        })  # fmt: skip


def test_far_points_cover_nothing():
    found = chamfer(np.full((3, 3), 9.0), np.zeros((4, 3)))
    assert found["coverage"] == found["f_score"] == 0.0


def test_the_thresholds_are_shares_of_the_diameter():
    assert COVERAGE_SHARE == 0.02
    assert VOXEL_SHARE == 0.005
    line = np.zeros((101, 3))
    line[:, 0] = np.linspace(0, 1, 101) + 1e-6  # 1 cm apart; beyond the limit by a hair
    assert chamfer(np.zeros((1, 3)), line, diameter=5.0)["coverage"] == pytest.approx(10 / 101)


@pytest.mark.parametrize(
    ("points", "reference", "dense", "message"),
    [
        (np.zeros((4, 2)), np.zeros((5, 3)), None, r"points: got shape \(4, 2\)"),
        (np.full((4, 3), np.nan), np.zeros((5, 3)), None, "points: .*not finite"),
        (np.zeros((4, 3)), np.zeros((0, 3)), None, "reference: got"),
        (np.zeros((4, 3)), np.zeros((5, 2)), None, r"reference: got shape \(5, 2\)"),
        (np.zeros((4, 3)), np.zeros((5, 2)), np.zeros((5, 3)), r"reference: got shape \(5, 2\)"),
        (np.zeros((4, 3)), np.full((5, 3), np.inf), np.zeros((5, 3)), "reference: .*not finite"),
        (np.zeros((4, 3)), np.full((5, 3), np.nan), None, "reference: .*not finite"),
        (np.zeros((4, 3)), np.zeros((5, 3)), np.zeros((0, 3)), r"dense: got shape \(0, 3\)"),
    ],
)
def test_bad_clouds_are_named(points, reference, dense, message):
    with pytest.raises(ValueError, match=message):
        chamfer(points, reference, dense)


# ---- clouds that grow ----


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 600), st.lists(st.integers(0, 600), max_size=8))
def test_growing_equals_scoring_at_once(seed, count, cuts):
    rng = np.random.default_rng(seed)
    dense, reference = surface(rng, 1500), surface(rng, 300)
    points = surface(rng, count) * rng.choice([1, 1.03, 2])
    if seed % 3 == 0:
        points = np.sort(points, axis=0)  # each part somewhere else
    tracker = ChamferTracker(reference, KDTree(dense), 1.0)
    for part in np.split(points, sorted(min(cut, count) for cut in cuts)):
        tracker.add(part)
    check(tracker.metrics(), chamfer(points, reference, dense), rel=1e-6, abs=ROUNDING)
    check(tracker.metrics(), twin(points, reference, dense), rel=1e-6, abs=ROUNDING)


def first_come(parts, voxel) -> list[np.ndarray]:
    """Which points of every part are kept; by a dict."""
    taken: dict[tuple, bool] = {}
    kept = []
    for part in parts:
        rows = []
        for row, point in enumerate(part):
            cell = tuple(math.floor(float(x) / voxel) for x in point)
            if cell not in taken:
                taken[cell] = True
                rows.append(row)
        kept.append(part[rows])
    return kept


class Recorder(ChamferTracker):
    """Remembers what it was given."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.parts: list[np.ndarray] = []

    def add(self, points):
        self.parts = [*self.parts, points]
        super().add(points)


def tracker(diameter=1.0, kind=ChamferTracker) -> ChamferTracker:
    rng = np.random.default_rng(1)
    return kind(surface(rng, 300), KDTree(surface(rng, 1500)), diameter)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10**6),
    st.lists(st.integers(0, 400), min_size=1, max_size=6),
    st.sampled_from([0.003, 0.05, 3]),
    st.sampled_from([0.2, 1.0, 7.0]),
)
def test_one_point_per_voxel_first_come(seed, counts, spread, diameter):
    rng = np.random.default_rng(seed)
    parts = [rng.normal(scale=spread, size=(count, 3)).astype(np.float32) for count in counts]
    cloud = Cloud(tracker(diameter, Recorder))
    for part in parts:
        cloud.add(part)
    for found, expected in zip(cloud.tracker.parts, first_come(parts, 0.005 * diameter), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_the_table_grows():
    rng = np.random.default_rng(2)
    parts = [rng.uniform(-0.5, 0.5, (count, 3)).astype(np.float32) for count in (3000, 1, 20_000, 60_000)]
    parts.append(parts[2])  # nothing new
    cloud = Cloud(tracker(kind=Recorder))
    for part in parts:
        cloud.add(part)
    expected = first_come(parts, 0.005)
    assert [len(part) for part in cloud.tracker.parts] == [len(part) for part in expected]
    for found, true in zip(cloud.tracker.parts, expected, strict=True):
        np.testing.assert_array_equal(found, true)
    assert len(expected[-1]) == 0
    assert cloud.tracker.count == sum(len(part) for part in expected) > 80_000


def test_adding_the_same_points_again_changes_nothing():
    points = surface(np.random.default_rng(3), 2000)
    cloud = Cloud(tracker())
    cloud.add(points)
    before = cloud.metrics()
    cloud.add(points)
    cloud.add(points[:0])
    assert cloud.metrics() == before


def test_a_copy_grows_on_its_own():
    rng = np.random.default_rng(4)
    first, second, third = surface(rng, 300), surface(rng, 300), surface(rng, 5000)
    cloud = Cloud(tracker())
    cloud.add(first)
    before = cloud.metrics()
    twin = cloud.copy()
    assert twin.metrics() == before
    twin.add(second)
    twin.add(third)  # its table grows as well
    assert cloud.metrics() == before
    assert twin.metrics()["coverage"] > before["coverage"]
    cloud.add(third)
    fresh = Cloud(tracker())
    fresh.add(first)
    fresh.add(third)
    assert cloud.metrics() == fresh.metrics()  # what the copy claimed is free here
    fresh = Cloud(tracker())
    for points in (first, second, third):
        fresh.add(points)
    assert twin.metrics() == fresh.metrics()


def test_foreseen_figures_are_those_that_come_and_what_is_known_stays():
    rng = np.random.default_rng(7)
    first, second, third = surface(rng, 300), surface(rng, 5000), surface(rng, 400)
    cloud, squared = Cloud(tracker()), np.full(5000, np.nan)
    cloud.add(first)
    before = cloud.metrics()
    foreseen = cloud.foreseen(second, squared)
    assert cloud.metrics() == before
    twin = cloud.copy()
    twin.add(second)
    assert foreseen == twin.metrics()
    known = ~np.isnan(squared)
    assert 0 < known.sum() < 5000  # one point a voxel was asked for
    cloud.add(third)
    twin = cloud.copy()
    twin.add(second)
    assert cloud.foreseen(second, squared) == twin.metrics()


# ---- potentials ----


def metrics_of_an_episode() -> list[dict[str, float]]:
    rng = np.random.default_rng(5)
    cloud, found = Cloud(tracker()), []
    for _ in range(5):
        points = surface(rng, 60)
        points[:, 0] = np.abs(points[:, 0]) * rng.choice([-1, 1])
        cloud.add(points)
        found.append(cloud.metrics())
    return found


def test_potentials_are_those_of_the_design():
    first, last = (found := metrics_of_an_episode())[0], found[-1]

    def gain(name):
        return POTENTIALS[name](last, first) - POTENTIALS[name](first, first)

    assert set(POTENTIALS) == {"log", "relative", "chamfer", "chamfer_squared", "chamfer_sum", "coverage"}
    assert last["chamfer"] < 0.8 * first["chamfer"]
    assert gain("log") == pytest.approx(math.log(first["chamfer"]) - math.log(last["chamfer"]))
    assert gain("relative") == pytest.approx(1 - last["chamfer"] / first["chamfer"])
    for name in ("chamfer", "chamfer_squared", "chamfer_sum"):
        assert gain(name) == pytest.approx(first[name] - last[name])
    assert gain("coverage") == pytest.approx(last["coverage"] - first["coverage"])
    assert gain("log") > 0
    assert gain("coverage") > 0


@pytest.mark.parametrize("name", POTENTIALS)
def test_gains_telescope(name):
    found = metrics_of_an_episode()
    potential = [POTENTIALS[name](metrics, found[0]) for metrics in found]
    assert len(set(potential)) == len(potential)
    assert sum(np.diff(potential)) == pytest.approx(potential[-1] - potential[0])


@pytest.mark.parametrize("name", POTENTIALS)
def test_potentials_of_a_perfect_and_of_an_empty_cloud_are_finite(name):
    reference = surface(np.random.default_rng(6), 100)
    perfect, empty = chamfer(reference, reference), chamfer(reference[:0], reference)
    assert perfect["chamfer"] == 0
    assert math.isfinite(POTENTIALS[name](perfect, perfect))
    assert POTENTIALS[name](perfect, empty) > POTENTIALS[name](empty, empty)
