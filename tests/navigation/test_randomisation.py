"""Domain randomisation: replayed from the seed, within its bounds, and nothing where nothing is asked."""

from __future__ import annotations

import math
import re
from functools import cached_property

import numpy as np
import pytest
from buildings import room

from spatial_envs.geometry.camera import pinhole
from spatial_envs.geometry.mesh import Mesh
from spatial_envs.geometry.view import View
from spatial_envs.navigation.randomisation import Drawn, Randomisation, as_randomisation

EVERYTHING = {
    "textures": True, "light": True, "camera_height": 0.1, "hfov": 5.0,
    "depth_noise": 1.0, "actuation_noise": 1.0,
}  # fmt: skip


def a_view() -> View:
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (24, 32, 3)).astype(np.uint8)
    depth = np.full((24, 32), 2.0, np.float32)
    return View(rgb, depth, pinhole(90, (24, 32)), np.eye(4, dtype=np.float32))


def test_nothing_asked_nothing_changed():
    nothing = as_randomisation(None)
    mesh, view = room(0, 4, 0, 3), a_view()
    assert nothing == as_randomisation({}) == Randomisation()
    assert nothing.draw(5) == Drawn()
    assert nothing.tinted(mesh, 5) is mesh
    same = nothing.noisy_view(view, 5, 3)
    assert same.rgb is view.rgb
    assert same.depth is view.depth
    assert nothing.noisy_walk(0.25, 0.1, 5, 3) == (0.25, 0.1)


def test_replayed_from_seed_and_step_alone():
    noise = as_randomisation(EVERYTHING)
    mesh, view = room(0, 4, 0, 3), a_view()
    seed = 2**70 + 1
    first = noise.draw(seed), noise.noisy_walk(0.25, 0.0, seed, 4), noise.noisy_view(view, seed, 4)
    np.random.seed(1)  # noqa: NPY002 (of no consequence is what is to be shown)
    noise.noisy_view(view, seed, 5)
    again = noise.draw(seed), noise.noisy_walk(0.25, 0.0, seed, 4), noise.noisy_view(view, seed, 4)
    assert first[:2] == again[:2]
    np.testing.assert_array_equal(first[2].rgb, again[2].rgb)
    np.testing.assert_array_equal(first[2].depth, again[2].depth)
    np.testing.assert_array_equal(noise.tinted(mesh, seed).colors, noise.tinted(mesh, seed).colors)

    assert noise.draw(seed) != noise.draw(seed + 1)
    assert noise.noisy_walk(0.25, 0.0, seed, 4) != noise.noisy_walk(0.25, 0.0, seed, 5)
    other = noise.noisy_view(view, seed, 5)
    assert (other.depth != first[2].depth).any()
    np.testing.assert_array_equal(other.rgb, first[2].rgb)  # the light is the episode's
    assert (noise.tinted(mesh, seed).colors != noise.tinted(mesh, seed + 1).colors).any()


def test_draws_fill_their_range():
    drawn = [as_randomisation(EVERYTHING).draw(seed) for seed in range(300)]
    for values, bound, centre in (
        ([d.camera_height for d in drawn], 0.1, 0), ([d.hfov for d in drawn], 5.0, 0),
        ([d.brightness for d in drawn], 0.3, 1), ([d.contrast for d in drawn], 0.25, 1),
        ([d.white_balance[2] for d in drawn], 0.15, 1),
    ):  # fmt: skip
        away = np.array(values) - centre
        assert np.abs(away).max() <= bound
        assert min(away.max(), -away.min()) > 0.9 * bound


def test_tints_are_of_objects_and_share_the_geometry():
    mesh = room(0, 4, 0, 3, (1, 2, 0, 1, 1, 2))
    tinted = Randomisation(textures=True).tinted(mesh, 3)
    assert tinted.vertices is mesh.vertices
    shared = [name for name, value in vars(Mesh).items() if isinstance(value, cached_property)]
    assert "corner_normals" in shared
    for name in shared:
        assert tinted.__dict__[name] is getattr(mesh, name), name
    ratios = tinted.colors / mesh.colors.astype(np.float64)
    per_object = [np.unique(ratios[mesh.faces[mesh.face_segments == k]].round(1)) for k in range(1, 7)]
    assert len({tuple(r) for r in per_object}) > 3
    for k in range(1, 7):
        of_one = ratios[np.unique(mesh.faces[mesh.face_segments == k])]
        assert of_one.std(axis=0).max() < 1e-6  # each is uniform still
    assert (tinted.colors != mesh.colors).any(axis=1).all()


def test_textures_are_tinted_where_no_objects_are_known():
    corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]] * 2, np.float32)
    white = np.full((2, 2, 3), 255, np.uint8)
    mesh = Mesh(
        corners, np.arange(6, dtype=np.int32).reshape(2, 3), np.full((6, 3), 200, np.uint8),
        np.zeros((6, 2), np.float32), (white, white), np.array([0, 1], np.int32),
    )  # fmt: skip
    colors = Randomisation(textures=True).tinted(mesh, 1).colors
    assert (colors[:3] == colors[0]).all()
    assert (colors[0] != colors[3]).any()


def test_light_is_brightness_contrast_and_balance():
    view, noise = a_view(), Randomisation(light=True)
    lit = noise.noisy_view(view, 11, 0)
    drawn = noise.draw(11)
    expected = ((view.rgb / 255 - 0.5) * drawn.contrast + 0.5) * drawn.brightness * drawn.white_balance
    np.testing.assert_array_equal(lit.rgb, (np.clip(expected, 0, 1) * 255 + 0.5).astype(np.uint8))
    np.testing.assert_array_equal(lit.depth, view.depth)


def test_walks_err_as_the_robot_did():
    noise = Randomisation(actuation_noise=1.0)
    turn = math.radians(10)
    walks = np.array([noise.noisy_walk(0.25, 0.0, 3, step) for step in range(2000)])
    assert walks[:, 0].mean() - 0.25 == pytest.approx(0.014, abs=5e-4)
    assert walks[:, 0].std() == pytest.approx(0.006, abs=5e-4)
    assert abs(walks[:, 1].mean()) == pytest.approx(0.008, abs=5e-4)
    for sign in (1, -1):
        turns = np.array([noise.noisy_walk(0.0, sign * turn, 3, step) for step in range(2000)])
        assert sign * turns[:, 1].mean() - turn == pytest.approx(0.023, abs=1e-3)
        assert turns[:, 1].std() == pytest.approx(0.012, abs=1e-3)
        assert turns[:, 0].mean() == pytest.approx(0.003, abs=5e-4)
    sides = [np.sign(noise.noisy_walk(0.25, 0.0, seed, 0)[1]) for seed in range(100)]
    assert 20 < sides.count(1.0) < 80
    assert noise.noisy_walk(0.0, 0.0, 3, 0) == (0.0, 0.0)  # who stops does not move
    whole, half = (Randomisation(actuation_noise=a).noisy_walk(0.25, turn, 3, 8) for a in (1.0, 0.5))
    np.testing.assert_allclose(np.subtract(whole, (0.25, turn)), 2 * np.subtract(half, (0.25, turn)))


@pytest.mark.parametrize(
    ("randomise", "error"),
    [
        ("light", "randomise: got 'light'; expected None or a mapping"),
        ({"colour": True}, "randomise: got the key 'colour'; expected one of 'textures', 'light'"),
        ({"textures": 1}, "randomise['textures']: got 1; expected True or False"),
        ({"light": "yes"}, "randomise['light']: got 'yes'; expected True or False"),
        ({"camera_height": 3.0}, "randomise['camera_height']: got 3.0; expected float from 0.0 to 0.5"),
        ({"hfov": -1.0}, "randomise['hfov']: got -1.0; expected float from 0.0 to 30.0"),
        ({"depth_noise": math.nan}, "randomise['depth_noise']: got nan; expected float from 0.0 to 1.0"),
        ({"actuation_noise": True}, "randomise['actuation_noise']: got True; expected float from"),
    ],
)
def test_bad_values_are_refused(randomise, error):
    with pytest.raises(ValueError, match=re.escape(error)):
        as_randomisation(randomise)
