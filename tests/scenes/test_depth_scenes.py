"""Procedural fitting scenes, and what every set of depth frames promises."""

import numpy as np
import pytest
import shapely
import trimesh
from scipy.spatial import cKDTree

from spatial_envs.geometry.camera import unproject
from spatial_envs.geometry.sampling import surface_samples
from spatial_envs.procedural.groups import (
    GAP,
    SEEN,
    SURFACE_POINTS,
    TEST_CATEGORIES,
    TRAIN_CATEGORIES,
    group,
)
from spatial_envs.scenes.depth_frames import MOST_OBJECTS, open_depth, resized


def same(a, b) -> bool:
    pairs = [(a.view.depth, b.view.depth), (a.view.rgb, b.view.rgb), (a.view.segment, b.view.segment)]
    pairs += [(a.view.cam_to_world, b.view.cam_to_world), (a.target, b.target), (a.ground, b.ground)]
    pairs += [(a.truth.surface, b.truth.surface), (a.truth.ids, b.truth.ids)]
    return all(np.array_equal(x, y) for x, y in pairs)


def test_a_frame_is_what_its_docstring_says():
    frames = open_depth(num_objects=(1, 6))
    for index in range(8):
        frame = frames.load(index)
        view, truth = frame.view, frame.truth
        count = len(truth.categories)
        assert (view.depth.shape, view.depth.dtype) == ((72, 96), np.float32)
        assert (view.rgb.shape, view.rgb.dtype) == ((72, 96, 3), np.uint8)
        assert set(np.unique(view.segment)) == set(range(count + 1))
        assert truth.object_to_world.shape == (count, 4, 4)
        assert truth.surface.shape == (SURFACE_POINTS * count, 3)
        assert (truth.surface.dtype, truth.ids.dtype) == (np.float32, np.int32)
        assert set(np.unique(truth.ids)) == set(range(1, count + 1))
        assert np.array_equal(truth.depth, view.depth)
        assert (frame.name, frame.sequence, frame.number) == (frames.names[index], frames.names[index], 0)
        assert frame.posed
        assert frame.points.shape == (frame.target.sum(), 3)
        assert frame.point_ids.shape == (frame.target.sum(),)
        everything = unproject(view.depth, view.intrinsics, view.cam_to_world)
        assert np.array_equal(frame.points, everything[frame.target])


def test_a_seed_makes_the_same_scene_each_time_and_noise_changes_the_depth_alone():
    assert same(open_depth().load(3), open_depth().load(3))
    assert not same(open_depth().load(3), open_depth().load(4))
    clean, noisy, again = (open_depth(noise=n).load(3) for n in (0.0, 1.0, 1.0))
    assert same(noisy, again)
    assert np.array_equal(noisy.truth.depth, clean.view.depth)
    assert np.array_equal(noisy.truth.surface, clean.truth.surface)
    assert not np.array_equal(noisy.view.depth, clean.view.depth)
    assert (noisy.view.segment[noisy.view.depth == 0] == 0).all()


def test_a_neighbouring_frame_shows_the_same_scene_from_the_side():
    frame, aside = (open_depth(camera_turn=turn).load(3) for turn in (0.0, 10.0))
    assert np.array_equal(aside.truth.surface, frame.truth.surface)
    middle = frame.truth.surface.mean(axis=0)
    there, now = (f.view.cam_to_world[:3, 3] - middle for f in (frame, aside))
    assert now[1] == pytest.approx(there[1], abs=1e-5)
    gone = np.arctan2(now[0], now[2]) - np.arctan2(there[0], there[2])
    assert np.degrees(gone) % 360 == pytest.approx(10, abs=1e-3)
    tree = cKDTree(aside.truth.surface)  # what it measures is where the same things are
    assert np.median(tree.query(aside.points)[0]) < 0.03
    with pytest.raises(ValueError, match="camera_turn: got 200"):
        open_depth(camera_turn=200)


def test_a_seed_is_one_scene_at_every_size():
    small, large = (open_depth(image_size=size).load(9) for size in ((72, 96), (216, 288)))
    assert np.array_equal(small.view.cam_to_world, large.view.cam_to_world)
    assert np.array_equal(small.truth.surface, large.truth.surface)
    assert np.allclose(small.view.depth, large.view.depth[1::3, 1::3], atol=1e-5)


def test_splits_have_their_own_seeds_and_categories():
    names = {s: open_depth(split=s).names for s in ("train", "validation", "test", "test_category")}
    assert [len(n) for n in names.values()] == [4096, 64, 128, 128]
    assert names["train"][0] == "procedural-0000000"
    assert names["test"][0] == "procedural-2000000"
    assert len(set().union(*names.values())) == sum(map(len, names.values()))
    train, unseen = open_depth(), open_depth(split="test_category")
    shown = {c for k in range(40) for c in train.load(k).truth.categories}
    assert shown == set(TRAIN_CATEGORIES)
    for k in range(12):
        assert set(unseen.load(k).truth.categories[::2]) <= set(TEST_CATEGORIES)


@pytest.mark.parametrize("count", [1, 3, 6, 12])
def test_as_many_objects_as_asked_for_all_in_the_picture(count):
    frames = open_depth(num_objects=count)
    shares = []
    for k in range(12):
        frame = frames.load(k)
        assert len(frame.truth.categories) == count
        shares.append(np.bincount(frame.view.segment.ravel(), minlength=count + 1)[1:].min() / 6912)
    assert min(shares) > 0
    assert np.mean(np.array(shares) >= SEEN) >= (1.0 if count < 12 else 0.8)


def test_counts_in_a_range_are_all_drawn():
    frames = open_depth(num_objects=(2, 4))
    assert {len(frames.load(k).truth.categories) for k in range(15)} == {2, 3, 4}


def test_things_stand_on_the_ground_or_on_one_another_and_never_in_one_another():
    carried = 0
    for seed in range(6):
        made = group(seed, 9, (72, 96))
        hulls, floors = [], []
        for thing in made.things:
            vertices = thing.world_mesh.vertices
            size = np.ptp(thing.mesh.vertices, axis=0).max()
            assert 0.3 - 1e-5 <= size <= 1.5 + 1e-5
            assert np.ptp(vertices, axis=0).max() < 2.2
            hulls.append(shapely.MultiPoint(vertices[:, [0, 2]]).convex_hull)
            floors.append((vertices[:, 1].min(), vertices[:, 1].max()))
        for a in range(9):
            for b in range(a):
                apart = hulls[a].distance(hulls[b]) >= GAP - 1e-6
                above = max(floors[a][0] - floors[b][1], floors[b][0] - floors[a][1])
                assert apart or 0 < above < 0.01
                carried += not apart
        for low, _ in floors:
            assert abs(low) < 1e-5 or any(0 < low - high < 0.01 for _, high in floors)
    assert carried > 0


def test_true_points_lie_on_the_outer_surface_evenly():
    made = group(5, 4, (72, 96))
    for number, thing in enumerate(made.things, 1):
        mine = made.surface[made.ids == number]
        triangles = thing.world_mesh.vertices[thing.world_mesh.faces].astype(np.float64)
        for point in mine[:40].astype(np.float64):
            nearest = trimesh.triangles.closest_point(triangles, np.tile(point, (len(triangles), 1)))
            assert np.linalg.norm(nearest - point, axis=1).min() < 1e-4
    # density: a crate's sides are all outside, so that each gets points by its area
    for seed in range(40):
        made = group(seed, 3, (72, 96))
        which = next((n for n, t in enumerate(made.things, 1) if t.category == "crate"), None)
        if which is not None:
            break
    mesh = made.things[which - 1].mesh
    to_own = np.linalg.inv(made.things[which - 1].to_world)
    own = made.surface[made.ids == which] @ to_own[:3, :3].T + to_own[:3, 3]
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    extent = high - low
    share = [(np.minimum(own[:, k] - low[k], high[k] - own[:, k]) < 1e-3).mean() for k in range(3)]
    areas = np.array([extent[1] * extent[2], extent[0] * extent[2], extent[0] * extent[1]])
    assert np.allclose(np.array(share) / sum(share), areas / areas.sum(), atol=0.06)


def test_what_is_inside_of_furniture_is_no_surface():
    """An armchair's cushions and arms reach into one another: no ray from outside comes there."""
    for seed in range(60):
        made = group(seed, 1, (72, 96))
        if made.things[0].category == "armchair":
            break
    thing = made.things[0]
    mesh = thing.world_mesh
    size = np.ptp(mesh.vertices, axis=0).max()
    a, b, c = mesh.vertices[mesh.faces].astype(np.float64).transpose(1, 0, 2)
    ways = np.random.default_rng(0).normal(size=(60, 3))
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)

    def depth_below(point):
        """How far below the surface, along the best of 60 rays (Moeller and Trumbore 1997)."""
        deepest = []
        for way in ways:
            p = np.cross(way, c - a)
            with np.errstate(divide="ignore", invalid="ignore"):
                scale = 1 / np.einsum("fi,fi->f", b - a, p)
                u = np.einsum("fi,fi->f", point - a, p) * scale
                q = np.cross(point - a, b - a)
                v = q @ way * scale
                t = np.einsum("fi,fi->f", c - a, q) * scale
                hit = (u >= 0) & (v >= 0) & (u + v <= 1) & (t > 0)
            deepest.append(t[hit].max() if hit.any() else 0.0)
        return min(deepest)

    def hidden(points):
        return np.mean([depth_below(point) > 0.05 * size for point in points.astype(np.float64)])

    every = surface_samples(mesh, 100, np.random.default_rng(1))[0]
    assert hidden(every) > 0.2
    assert hidden(made.surface[:100]) < 0.02


def test_the_depth_agrees_with_the_true_surface():
    frame = open_depth(num_objects=4).load(0)
    gap, nearest = cKDTree(frame.truth.surface).query(frame.points)
    assert np.median(gap) < 0.05
    assert np.mean(frame.truth.ids[nearest] == frame.point_ids) > 0.9


def test_draw_passes_over_nothing_here_and_first_cuts():
    frames = open_depth(split="test").first(3)
    assert len(frames) == 3
    index, frame = frames.draw(np.random.default_rng(0), frames.load)
    assert frame.name == frames.names[index]
    assert frames.sequences == {name: (k,) for k, name in enumerate(frames.names)}


def test_nearest_sampling_takes_the_pixel_under_each_centre():
    rng = np.random.default_rng(0)
    image, intrinsics = rng.random((37, 50)), np.array([[40.0, 0, 25], [0, 41, 18.5], [0, 0, 1]])
    small, fitted = resized(image, intrinsics, (9, 16))
    for i in range(9):
        for j in range(16):
            assert small[i, j] == image[int((i + 0.5) * 37 / 9), int((j + 0.5) * 50 / 16)]
    assert np.allclose(fitted, [[12.8, 0, 8], [0, 41 * 9 / 37, 4.5], [0, 0, 1]])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scenes": "procedrual"}, "did you mean 'procedural'"),
        ({"split": "tset"}, "split: got 'tset'"),
        ({"num_objects": 0}, "num_objects: got 0"),
        ({"num_objects": MOST_OBJECTS + 1}, "1 to 12"),
        ({"num_objects": (4, 2)}, "least, most"),
        ({"num_objects": True}, "num_objects: got True"),
        ({"num_objects": 2.5}, "num_objects: got 2.5"),
        ({"noise": -1}, "noise: got -1"),
        ({"noise": 2}, "expected float from 0.0 to 1.0"),
        ({"noise": float("nan")}, "noise: got nan"),
        ({"image_size": 4}, "image_size: got 4"),
        ({"max_depth": 0}, "max_depth: got 0"),
        ({"intrinsics": (1, 1, 1, 1)}, "intrinsics: expected None"),
        ({"intrinsics": "big"}, "intrinsics: got 'big'"),
        ({"intrinsics": (0, 1, 1, 1)}, "focal lengths above 0"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        open_depth(**arguments)
