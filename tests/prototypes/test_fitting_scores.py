"""Scores of fits: on scenes whose answers are known, and the two cheats."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from agents.scene_fit import baselines
from spatial_envs.geometry.camera import facing_origin, pinhole, unproject
from spatial_envs.geometry.mesh import Mesh
from spatial_envs.prototypes.residuals import Residuals, vertex_areas
from spatial_envs.prototypes.scores import Fit, adjusted_rand_index, score, score_fit
from spatial_envs.prototypes.sphere import sphere
from spatial_envs.prototypes.target import Target, make_target
from spatial_envs.rendering.builtin import BuiltinRenderer
from spatial_envs.scenes.depth_frames import open_depth

BALLS = np.array([[-0.6, 0.0, 0.0, 0.4], [0.6, 0.0, 0.0, 0.4]])  # centres and radii, metres
SIZE = (72, 96)


def balls(rows):
    ball = sphere()
    vertices = rows[:, 3, None, None] * ball.vertices + rows[:, None, :3]
    return Fit(vertices.astype(np.float32), ball, np.ones(len(rows), bool))


@pytest.fixture(scope="module")
def target():
    """Two balls, 4 m in front of a camera that looks along -Z."""
    fit, ball = balls(BALLS), sphere()
    faces = np.concatenate([ball.faces, ball.faces + len(ball.vertices)])
    vertices = fit.vertices.reshape(-1, 3)
    segment = np.repeat([1, 2], len(ball.faces)).astype(np.int32)
    mesh = Mesh(vertices, faces, np.full(vertices.shape, 200, np.uint8), segment=segment)
    pose = facing_origin(np.array([0.0, 0.0, 4.0]))
    view = BuiltinRenderer().render(mesh, pose, pinhole(40, SIZE), SIZE)
    pixels = np.flatnonzero(view.depth > 0)
    points = unproject(view.depth, view.intrinsics, view.cam_to_world).reshape(-1, 3)[pixels]
    return Target(
        points, pixels, view.segment.reshape(-1)[pixels], points[::10], view.depth, view.intrinsics, pose,
        np.eye(4), 0.7, vertices, np.repeat([1, 2], len(ball.vertices)).astype(np.int32),
    )  # fmt: skip


def test_the_truth_scores_perfectly(target):
    figures = score_fit(target, balls(BALLS))
    for name in ("one_directional", "occlusion_aware", "held_out", "reverse"):
        assert figures[name] == pytest.approx(0, abs=1e-4), name
    assert figures["fsv"] == 0
    assert (figures["ari"], figures["full"], figures["slots"]) == (1, 1, 2)
    assert figures["depth_agreement"] == 1
    assert score(figures, 1.0, figures["occlusion_aware"], 2) == 1


def test_each_figure_sees_its_own_fault(target):
    def figures(*rows):
        return score_fit(target, balls(np.array(rows)))

    one = figures(BALLS[0])
    assert one["one_directional"] > 0.2
    assert 0.45 < one["full"] < 0.55
    assert one["ari"] == 0
    nearer = figures(BALLS[0] + [0, 0, 1, 0], BALLS[1])  # a metre towards the camera
    assert 0.15 < nearer["fsv"] < 0.5  # half of it, where something was measured
    behind = figures(BALLS[0] - [0, 0, 1, 0], BALLS[1])
    assert behind["fsv"] < 0.02
    assert nearer["occlusion_aware"] > behind["occlusion_aware"]
    bigger = figures(BALLS[0] + [0, 0, 0, 0.03], BALLS[1] + [0, 0, 0, 0.03])
    assert bigger["one_directional"] == pytest.approx(0.03, abs=0.003)
    assert bigger["reverse"] == pytest.approx(0.03, abs=0.004)


def test_the_occluder_counts_however_near_another_surface_is(target):
    """A screen half way to the camera costs its distance along the ray, though both balls are there."""
    screen = np.array([0.0, 0.0, 2.0, 0.5])
    figures = score_fit(target, balls(np.concatenate([BALLS, screen[None]])))
    assert figures["one_directional"] < 1e-3
    assert figures["occlusion_aware"] > 0.5
    gone = balls(np.concatenate([BALLS, screen[None]]))
    gone = replace(gone, present=np.array([True, True, False]))
    assert score_fit(target, gone)["occlusion_aware"] < 1e-3


def test_without_any_surface(target):
    nothing = replace(balls(BALLS), present=np.zeros(2, bool))
    figures = score_fit(target, nothing)
    assert figures["one_directional"] == figures["occlusion_aware"] == target.unit
    assert figures["full"] == figures["slots"] == 0
    assert set(figures) == set(score_fit(target, balls(BALLS)))


def test_without_truth_there_are_no_figures_of_it(target):
    real = replace(target, objects=None, surface=None, surface_objects=None)
    assert set(score_fit(real, balls(BALLS))) == {
        "one_directional", "occlusion_aware", "held_out", "fsv", "depth_agreement", "slots",
    }  # fmt: skip


def test_residuals_of_the_truth(target):
    fit = balls(BALLS)
    residuals = Residuals(target, fit.topology, 2)
    residuals.vertices[:] = fit.vertices
    for k in range(2):
        residuals.measure(k)
    np.testing.assert_allclose(residuals.areas, 4 * np.pi * 0.16, rtol=0.01)
    np.testing.assert_array_equal(residuals.patches, vertex_areas(fit.vertices, fit.topology))
    inverse = residuals.inverse_depth.max(axis=0)
    assert inverse[0, 0] == 0
    np.testing.assert_allclose(1 / inverse.ravel()[target.pixels], residuals.measured, atol=1e-4)
    assert residuals.squared.min(axis=0).max() < 1e-8
    residuals.remove(1)
    alone = score_fit(target, replace(fit, present=np.array([True, False])))
    assert residuals.seen() == {name: alone[name] for name in residuals.seen()}
    assert alone["slots"] == 1


def test_the_score_is_the_formula():
    figures = {"occlusion_aware": 0.3, "fsv": 0.25, "ari": 0.5, "full": 0.8}
    assert score(figures, 0.5, 0.1, 6) == pytest.approx(0.5 * 0.75 * 0.5 * 0.8)
    assert score(figures, 0.5, 0.1, 1) == pytest.approx(0.5 * 0.75 * 0.8)  # one object: nothing to group
    assert score({**figures, "ari": -0.1}, 0.5, 0.1, 6) == 0
    assert score({**figures, "occlusion_aware": 0.6}, 0.5, 0.1, 6) == 0
    assert score({**figures, "occlusion_aware": 0.01}, 0.5, 0.1, 6) == pytest.approx(0.75 * 0.5 * 0.8)


def slow_rand(truth, guess):
    """The adjusted Rand index by going through all pairs."""
    pairs = [(truth[i] == truth[j], guess[i] == guess[j]) for i, j in combinations(range(len(truth)), 2)]
    a = sum(x and y for x, y in pairs)
    first, second, n = sum(x for x, _ in pairs), sum(y for _, y in pairs), len(pairs)
    chance = first * second / n
    return (a - chance) / ((first + second) / 2 - chance)


def test_adjusted_rand_index_equals_pair_counting():
    rng = np.random.default_rng(0)
    for _ in range(10):
        truth, guess = rng.integers(1, 4, 30), rng.integers(0, 5, 30)
        assert adjusted_rand_index(truth, guess) == pytest.approx(slow_rand(truth.tolist(), guess.tolist()))
    assert adjusted_rand_index(truth, truth * 7) == 1
    assert adjusted_rand_index(truth, np.zeros(30, int)) == 0
    assert adjusted_rand_index(np.ones(5, int), np.zeros(5, int)) == 1


# ---- procedural scenes, baselines and cheats


@pytest.fixture(scope="module")
def scenes():
    frames = open_depth("procedural", "validation", num_objects=6)
    return [make_target(frames.load(index)) for index in range(3)]


def test_targets_are_in_their_own_frame(scenes):
    frames = open_depth("procedural", "validation", num_objects=6)
    frame = frames.load(0)
    own = scenes[0]
    np.testing.assert_allclose(own.points.mean(axis=0), 0, atol=1e-3)
    assert own.unit == pytest.approx(np.sqrt((own.points**2).sum(axis=1).mean()), rel=1e-3)
    place = own.frame_to_world
    np.testing.assert_allclose(own.points @ place[:3, :3].T + place[:3, 3], frame.points, atol=1e-4)
    np.testing.assert_allclose(place[:3, 1], [0, 1, 0], atol=1e-9)
    assert own.cam_to_frame[2, 2] < 0  # looks along -Z
    assert abs(own.cam_to_frame[0, 2]) < 1e-6
    held = make_target(frame, held_out=0.2)
    assert len(held.points) + len(held.held_out) == len(own.points)
    assert 0.1 < len(held.held_out) / len(own.points) < 0.3
    with pytest.raises(ValueError, match="got 0 pixels to explain; expected at least 8"):
        make_target(replace(frame, target=np.zeros_like(frame.target)))


def scored(scenes, fitter, slots=6):
    rows = []
    for target in scenes:
        d_random, d_oracle = (
            score_fit(target, reference(target, slots))["occlusion_aware"]
            for reference in (baselines.random_spheres, baselines.oracle)
        )
        figures = score_fit(target, fitter(target, slots))
        rows.append({**figures, "score": score(figures, d_random, d_oracle, target.num_objects)})
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def test_the_order_of_merit(scenes):
    names = ("random_spheres", "kmeans_spheres", "kmeans_ellipsoids", "kmeans_superquadrics", "oracle")
    rows = [scored(scenes, getattr(baselines, name)) for name in names]
    scores = [row["score"] for row in rows]
    assert scores == sorted(scores)
    distances = [row["one_directional"] for row in rows[:4]]
    assert distances == sorted(distances, reverse=True)


@pytest.mark.parametrize("name", ["shell", "crumpled"])
def test_cheats_score_near_zero(scenes, name):
    cheat, honest = scored(scenes, getattr(baselines, name)), scored(scenes, baselines.kmeans_spheres)
    assert cheat["score"] < 0.02
    assert cheat["score"] < honest["score"]
    assert cheat["one_directional"] < 0.5 * honest["one_directional"]  # though the plain loss likes them
    if name == "shell":
        assert cheat["one_directional"] < 0.002
        assert cheat["ari"] < 0.01


def test_hill_climbs_climb(scenes, monkeypatch):
    start = scored(scenes[:1], baselines.random_spheres)
    plain = scored(scenes[:1], baselines.hill_climb)
    careful = scored(scenes[:1], lambda target, slots: baselines.hill_climb(target, slots, free_space=True))
    assert plain["one_directional"] < 0.3 * start["one_directional"]
    assert careful["fsv"] < plain["fsv"]
