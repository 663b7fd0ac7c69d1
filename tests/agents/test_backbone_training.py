"""The compact backbone's training: its data, that it learns, resumes, and writes what the backbone reads."""

from __future__ import annotations

import csv
import dataclasses

import numpy as np
import pytest
import torch

from agents.nbv.surface_gains import SurfaceGains, nearest_seen, visible
from spatial_envs.foundation import yaml_files

pytest.importorskip("tyro", reason="needs the [train] extra")

from agents.backbone import library as library_module
from agents.backbone.backgrounds import KINDS as BACKGROUNDS
from agents.backbone.backgrounds import Backdrops
from agents.backbone.card import Flags as CardFlags
from agents.backbone.card import best_offset, card, judge, shoot
from agents.backbone.data import (
    MAX_VIEWS,
    NOISY,
    Noise,
    Sampler,
    collate,
    given,
    merged,
    object_poses,
    prefix_gains,
    resized,
    room,
    rotation_about,
)
from agents.backbone.library import Library, Plan, open_library
from agents.backbone.probe import fit_network, fit_ridge, pose_map
from agents.backbone.training import Flags, Trained, train
from spatial_envs.backbones.compact import Compact, Sizes
from spatial_envs.geometry.camera import facing_origin, inverse_pose, pinhole, turn_about_y, unproject
from spatial_envs.geometry.view import View
from spatial_envs.nbv import NBVDiscreteEnv
from spatial_envs.rendering.builtin import BuiltinRenderer
from spatial_envs.scenes.objects import open_objects

TINY = {"width": 32, "heads": 2, "encoder_layers": 1, "fusion_layers": 2}


PLAN = Plan(seed=0, objects=3, sets=2, rooms=2, image_size=56)


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> Library:
    return open_library(tmp_path_factory.mktemp("library"), PLAN, 1)


@pytest.fixture(scope="module")
def sampler(library) -> Sampler:
    return Sampler(library, np.random.default_rng(0))


def cloud(view: View) -> np.ndarray:
    return unproject(view.depth, view.intrinsics, view.cam_to_world)[view.depth > 0]


def test_visible_points_are_those_that_a_ray_reaches():
    import trimesh

    mesh = trimesh.creation.icosphere(3, 0.5)
    from spatial_envs.geometry.mesh import Mesh

    ball = Mesh(
        mesh.vertices.astype(np.float32),
        mesh.faces.astype(np.int32),
        np.zeros((len(mesh.vertices), 3), np.uint8),
    )
    points = np.random.default_rng(0).normal(size=(500, 3))
    points = (0.5 * points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)
    pose = facing_origin(np.array([0, 0, 1.5]))
    seen = visible(points, 2 * points, ball, pose, pinhole(50, (64, 64)), 64)
    above = points[:, 2] > 0.5**2 / 1.5  # the horizon of a ball seen from 1.5 m
    assert (seen == above).mean() > 0.92
    assert seen[points[:, 2] > 0.3].mean() > 0.99
    assert not seen[points[:, 2] < 0.1].any()


def test_gains_of_a_thing_follow_the_environment_s():
    """The cheap label against what the environment answers: the same order of the candidates."""
    objects = open_objects("procedural", "validation")
    env = NBVDiscreteEnv(split="validation", num_objects=3, backbone=None)
    agreement = []
    for index in range(3):
        env.reset(seed=index, options={"object": index})
        episode = env.task.episode(0)
        true = env.evaluate(env.task.candidate_poses(episode))
        thing = SurfaceGains(objects.load(index), np.random.default_rng(0))
        first = episode.views[0].cam_to_world
        seen = visible(thing.points, thing.normals, thing.mesh, first, pinhole(50, (64, 64)), 64)
        label = thing.gains(seen, np.arctan2(first[0, 3], first[2, 3]))
        assert label.shape == (64,)
        assert (label >= 0).all()
        agreement.append(np.corrcoef(true, label)[0, 1])
    assert min(agreement) > 0.8, agreement


def test_nearest_seen():
    apart = np.array([[0, 1, 3], [1, 0, 0.5], [3, 0.5, 0]], np.float32)
    np.testing.assert_allclose(nearest_seen(apart, np.array([True, False, False])), [0, 1, 1])
    np.testing.assert_allclose(nearest_seen(apart, np.array([False, False, True])), [1, 0.5, 0])


def test_a_room_holds_its_objects():
    meshes = [open_objects("procedural", "validation").load(k) for k in range(3)]
    mesh, extent = room(np.random.default_rng(0), meshes)
    assert len(np.unique(mesh.face_segments)) == 4
    assert len(mesh.faces) == 6 * 512 + sum(len(m.faces) for m in meshes)
    assert (mesh.vertices >= -1e-4).all()
    assert (mesh.vertices <= extent + 1e-4).all()
    again = merged([meshes[0]])
    np.testing.assert_array_equal(again.vertices, meshes[0].vertices)
    pose = facing_origin(np.array([0, 0, 1.5]))
    pictures = [
        BuiltinRenderer().render(m, pose, pinhole(50, (56, 56)), (56, 56)) for m in (again, meshes[0])
    ]
    np.testing.assert_array_equal(pictures[0].rgb, pictures[1].rgb)


def test_a_library_keeps_what_was_rendered(library, tmp_path):
    assert len(library) == 3 * 2 + 2
    again = open_library(tmp_path, PLAN, 2)  # by two processes, the same
    for name, array in library.arrays.items():
        np.testing.assert_array_equal(again.arrays[name], array)
    for k in range(6):
        views = library.views(k)
        assert views.depth.shape == (MAX_VIEWS, 56, 56)
        assert (views.depth > 0).any(axis=(1, 2)).all()
        assert abs(views.cam_to_world[0, 0, 3]) < 1e-5  # the first view's azimuth is 0
        gains = np.stack([library.gains(k, n) for n in range(1, MAX_VIEWS + 1)])
        assert np.isfinite(gains).all()
        assert gains[0].max() > gains[-1].max()
    assert np.isnan(library.gains(6, 1)).all()  # of a room nothing is known
    assert (library.views(6).depth > 0).mean() > 0.99


def test_a_library_goes_on_where_it_was_cut_short(tmp_path, monkeypatch):
    plan = dataclasses.replace(PLAN, objects=1, rooms=1)
    monkeypatch.setattr("agents.backbone.library.CHUNK", 1)
    whole = open_library(tmp_path / "whole", dataclasses.replace(plan, objects=2), 1)
    rendered = []
    chunk = library_module._chunk
    monkeypatch.setattr(library_module, "_chunk", lambda task: rendered.append(task[2]) or chunk(task))
    open_library(tmp_path / "part", dataclasses.replace(plan, objects=2), 1)
    (tmp_path / "part" / "done.txt").write_text("0\n", encoding="utf-8")
    part = open_library(tmp_path / "part", dataclasses.replace(plan, objects=2), 1)
    assert rendered == [0, 1, 1]
    np.testing.assert_array_equal(part.arrays["rgb"], whole.arrays["rgb"])
    with pytest.raises(
        ValueError, match=r"library: .*part holds one of {.*'objects': 2.*}; expected {.*'objects': 1"
    ):
        open_library(tmp_path / "part", plan, 1)


def test_stored_depth_is_what_was_rendered(library):
    objects = open_objects("procedural", "train")
    rng = np.random.default_rng([PLAN.seed, 0])
    thing = SurfaceGains(objects.load(0), rng)
    poses, fov = object_poses(rng, MAX_VIEWS)
    views = BuiltinRenderer().render(thing.mesh, poses, pinhole(fov, (56, 56)), (56, 56))
    kept = library.views(0)
    np.testing.assert_array_equal(kept.rgb, views.rgb)
    np.testing.assert_allclose(kept.depth, views.depth, atol=views.depth.max() / 65535)
    assert ((kept.depth > 0) == (views.depth > 0)).all()
    gains = prefix_gains(thing, poses, fov, np.arctan2(poses[0, 0, 3], poses[0, 2, 3]))
    np.testing.assert_array_equal(library.arrays["gains"][0], gains)


@pytest.mark.parametrize("kind", BACKGROUNDS)
def test_a_background_is_behind(library, kind):
    rng = np.random.default_rng(0)
    backdrops = Backdrops(rng, 3)
    views = library.views(0)
    put = backdrops.put(views, kind)
    hit = views.depth > 0
    np.testing.assert_array_equal(put.rgb[hit], views.rgb[hit])
    np.testing.assert_array_equal(put.depth, views.depth)
    behind = put.rgb[~hit].astype(float)
    assert (behind.std(axis=0).max() > 5) == (kind not in ("black", "plain"))
    assert (behind.max() == 0) == (kind == "black")


def test_walls_are_one_room(library):
    """Two cameras of one centre and lens, the second turned a little: the walls move as by a rotation."""
    backdrops = Backdrops(np.random.default_rng(0), 3)
    views = library.views(0)[np.zeros(2, int)]
    turned = views.cam_to_world.copy()
    turned[1] = turned[1] @ turn_about_y(np.radians(8))
    empty = dataclasses.replace(views, depth=np.zeros_like(views.depth), cam_to_world=turned)
    rgb = backdrops.put(empty, "walls").rgb.astype(float)
    rays = np.linalg.inv(views.intrinsics[0]) @ np.stack(
        [*np.indices((56, 56))[::-1] + 0.5, np.ones((56, 56))]
    ).reshape(3, -1)
    seen = views.intrinsics[0] @ turn_about_y(np.radians(8))[:3, :3].T @ rays
    column, row = np.floor(seen[:2] / seen[2]).astype(int)
    inside = (column >= 0) & (column < 56) & (row >= 0) & (row < 56)
    there = np.abs(rgb[0].reshape(-1, 3)[inside] - rgb[1][row[inside], column[inside]])
    aside = np.abs(rgb[0].reshape(-1, 3)[inside] - rgb[1].reshape(-1, 3)[inside])
    assert there.mean() < 0.7 * aside.mean()


@pytest.mark.parametrize("room_only", [False, True])
def test_views_of_a_sample_show_one_scene(sampler, room_only, monkeypatch):
    """What one view shows, unprojected, does not lie before what another shows."""
    checked = 0
    rng = np.random.default_rng(0)
    monkeypatch.setattr("agents.backbone.data.Noise", lambda *_: Noise())
    for _ in range(24):
        monkeypatch.setattr(sampler, "rng", Fixed(rng, (6, 8) if room_only else (0, 6)))
        views = sampler.sample(2).measured
        points = cloud(views[0])
        local = (
            points @ inverse_pose(views.cam_to_world[1])[:3, :3].T
            + inverse_pose(views.cam_to_world[1])[:3, 3]
        )
        local = local[local[:, 2] > 0.05]
        pixels = local @ views.intrinsics[1].T
        u, v = (pixels[:, 0] / pixels[:, 2]).astype(int), (pixels[:, 1] / pixels[:, 2]).astype(int)
        inside = (u >= 1) & (v >= 1) & (u < 55) & (v < 55)
        around = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)]  # the nearest, so that edges do not count
        shown = np.min([views.depth[1][v[inside] + y, u[inside] + x] for y, x in around], axis=0)
        z = local[inside, 2]
        # nothing can lie before what the second camera shows
        if inside.sum() > 100 and (shown > 0).sum() > 100:
            before = (z < 0.9 * shown) & (shown > 0)
            assert before.mean() < 0.02
            checked += 1
    assert checked >= 3


class Fixed:
    """A generator that draws the set of a sample from some of them alone."""

    def __init__(self, rng: np.random.Generator, sets: tuple[int, int]) -> None:
        self.rng, self.sets = rng, sets

    def integers(self, *arguments, **others):
        return self.rng.integers(*(self.sets if arguments == (8,) else arguments), **others)

    def __getattr__(self, name):
        return getattr(self.rng, name)


def test_samples_are_of_every_kind(sampler):
    samples = [sampler.sample(3) for _ in range(200)]
    depth = np.array([sample.has_depth for sample in samples])
    assert depth.all(axis=1).mean() == pytest.approx(0.24, abs=0.1)
    assert (~depth.any(axis=1)).mean() == pytest.approx(0.65, abs=0.12)
    assert all(sample.has_pose.all() and sample.has_intrinsics.all() for sample in samples)
    gravity = [sample for sample in samples if not np.isnan(sample.gains).any()]
    assert 0.2 < len(gravity) / len(samples) < 0.7
    for sample in gravity:
        assert abs(sample.truth.cam_to_world[0, 0, 3]) < 1e-5
    off = [np.abs(s.measured.cam_to_world[1:] - s.truth.cam_to_world[1:]).max() > 1e-6 for s in samples]
    assert np.mean(off) == pytest.approx(0.35, abs=0.12)


def test_scaling_a_sample_scales_its_points(library):
    views = library.views(0)[:2]
    doubled = resized(views, 2.0)
    np.testing.assert_allclose(cloud(doubled[1]), 2 * cloud(views[1]), atol=1e-5)


def test_noise_is_what_it_says(library):
    truth, gains = library.views(0)[:3], library.gains(0, 3)
    every = np.ones(3, np.bool_)
    rng = np.random.default_rng(0)
    many = [given(truth, gains, every, every, every, NOISY, rng).measured for _ in range(200)]
    hit = truth.depth > 0
    relative = np.stack([(m.depth / np.maximum(truth.depth, 1e-9) - 1)[hit] for m in many])
    holes = np.stack([(m.depth == 0)[hit] for m in many])
    assert holes.mean() == pytest.approx(0.1, abs=0.01)
    assert relative[~holes].std() == pytest.approx(0.01, rel=0.05)
    np.testing.assert_array_equal(
        many[0].cam_to_world[0], truth.cam_to_world[0]
    )  # the first defines the frame
    turns = [rotation_angle(m.cam_to_world[1], truth.cam_to_world[1]) for m in many]
    assert np.sqrt(np.mean(np.square(turns))) == pytest.approx(1.0, rel=0.15)
    distance = truth.depth[1][truth.depth[1] > 0].mean()
    shifts = [np.linalg.norm(m.cam_to_world[1, :3, 3] - truth.cam_to_world[1, :3, 3]) for m in many]
    assert np.sqrt(np.mean(np.square(shifts))) == pytest.approx(0.01 * distance, rel=0.15)
    clean = given(truth, gains, every, every, every, Noise(), rng).measured
    np.testing.assert_array_equal(clean.depth, truth.depth)


def rotation_angle(a, b):
    trace = np.trace(a[:3, :3].astype(np.float64).T @ b[:3, :3])
    return np.degrees(np.arccos(np.clip((trace - 1) / 2, -1, 1)))


def test_rotation_about():
    turned = rotation_about(np.array([0, 0, 2.0]), 90) @ [1, 0, 0, 1]
    np.testing.assert_allclose(turned, [0, 1, 0, 1], atol=1e-12)


def test_it_learns_one_batch(sampler):
    torch.manual_seed(0)
    model = Trained(Sizes(**TINY))
    batch = collate([sampler.sample(2) for _ in range(4)])
    optimiser = torch.optim.AdamW(model.parameters(), 2e-3)
    losses = []
    for _ in range(40):
        terms = model(*batch)
        loss = sum(terms[name] for name in ("depth", "hit", "first", "surface"))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.6 * losses[0]


def test_a_run_resumes_and_its_weights_serve(tmp_path):
    config = yaml_files.read(Flags().config)
    config |= {
        "steps": 2,
        "batch_views": 4,
        "objects": 1,
        "sets": 1,
        "rooms": 1,
        "image_size": 28,
        "save_every": 2,
        "log_every": 1,
        "sizes": TINY,
    }
    path = tmp_path / "tiny.yml"
    path.write_text(yaml_files.text(config))
    folder = train(Flags(config=path, out=tmp_path / "run", threads=1, device="cpu"))
    with pytest.raises(ValueError, match="already holds a run"):
        train(Flags(config=path, out=folder))
    train(Flags(out=folder, resume=True, steps=4, threads=1, device="cpu"))
    steps = [int(row["step"]) for row in csv.DictReader((folder / "losses.csv").open())]
    assert steps == [1, 2, 3, 4]
    assert torch.load(folder / "state.pt", weights_only=True)["step"] == 4
    backbone = Compact(folder / "compact.safetensors", device="cpu")
    assert backbone.dim == 32
    assert backbone.sizes == Sizes(**TINY)
    text = card(CardFlags(weights=folder / "compact.safetensors", split="validation", sets=1))
    assert text.count("\n| all, noisy |") == 3
    assert "nan" not in text


BAD_CONFIGS = {
    "a list": (lambda config: [config], "got \\[{.*expected a mapping such as in"),
    "nothing": (lambda config: None, "got None; expected a mapping"),
    "no seed": (
        lambda config: {k: v for k, v in config.items() if k != "seed"},
        "seed: got None; expected an",
    ),
    "a word": (lambda config: config | {"steps": "many"}, "steps: got 'many'; expected an integer"),
    "a key": (lambda config: config | {"step": 3}, "unknown key 'step'; valid are seed, objects"),
    "sizes": (
        lambda config: config | {"sizes": {**TINY, "width": 1.5}},
        "sizes: width: got 1.5; expected an",
    ),
    "an image": (
        lambda config: config | {"image_size": 100},
        "image_size: got 100; expected a multiple of 14",
    ),
}


@pytest.mark.parametrize("name", BAD_CONFIGS)
def test_a_bad_configuration_is_named_and_leaves_nothing(name, tmp_path):
    change, message = BAD_CONFIGS[name]
    path = tmp_path / "own.yml"
    path.write_text(yaml_files.text(change(yaml_files.read(Flags().config))))
    with pytest.raises(ValueError, match=f"^config: .*own.yml: {message}"):
        train(Flags(config=path, out=tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_training_that_cannot_begin_leaves_nothing(tmp_path):
    path = tmp_path / "own.yml"
    path.write_text(yaml_files.text(yaml_files.read(Flags().config) | {"sizes": {**TINY, "heads": 7}}))
    with pytest.raises(ValueError, match="heads: got 7; expected a divisor of the width, 32"):
        train(Flags(config=path, out=tmp_path / "run"))
    with pytest.raises(FileNotFoundError, match=r"config: .*other\.yml: there is no such file"):
        train(Flags(config=tmp_path / "other.yml", out=tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_the_card_s_trivial_predictors():
    objects = open_objects("procedural", "validation")
    rng = np.random.default_rng(0)
    truth = shoot(objects, 0, 3, rng)
    offset = best_offset([truth])
    backbone = Compact(device="cpu")
    clean = judge(backbone, "all", truth, offset, rng)
    assert clean["points trivial"].max() < 1e-5
    assert clean["turn trivial"].max() < 0.1
    noisy = judge(backbone, "all, noisy", truth, offset, rng)
    assert noisy["relative trivial"].mean() == pytest.approx(0.01 * np.sqrt(2 / np.pi), rel=0.1)
    posed = judge(backbone, "rgb, intrinsics, pose", truth, offset, rng)
    hit = truth.depth > 0
    distance = np.linalg.norm(truth.cam_to_world[:, :3, 3], axis=1)[:, None, None] + offset
    expected = (np.abs(distance - truth.depth) / np.maximum(truth.depth, 1e-9))[hit]
    np.testing.assert_allclose(posed["relative trivial"], expected, rtol=1e-4)


def test_probes_find_what_is_there():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 10))
    y = x @ rng.normal(size=(10, 3)) + 0.1 * rng.normal(size=(400, 3))
    held = np.arange(400) >= 320
    for fit in (fit_ridge, lambda *a: fit_network(*a, seed=0)):
        predicted = fit(x[:350], y[:350], held[:350])(x[350:])
        assert ((predicted - y[350:]) ** 2).mean() < 0.3 * y[350:].var()
    assert pose_map(
        dataclasses.replace(shoot(open_objects("procedural", "validation"), 0, 2, rng)), np.eye(3)
    ).shape == (10,)
