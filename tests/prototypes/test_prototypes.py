"""The sphere, the bank of prototypes, slots, and distances to their surfaces."""

import math

import numpy as np
import pytest
import torch
import trimesh
from scipy.spatial.transform import Rotation

from spatial_envs.geometry.rotations import turn_matrix
from spatial_envs.prototypes import PrototypeBank, rotation, sphere
from spatial_envs.prototypes.bank import BankSizes, placed
from spatial_envs.prototypes.distance import nearest, squared_distances
from spatial_envs.prototypes.kmeans import clusters
from spatial_envs.prototypes.sphere import harmonics
from spatial_envs.prototypes.superquadric import ellipsoid, fit_superquadric, superquadric_surface

RNG = np.random.default_rng(0)


def random_slots(bank, count, seed=0):
    rng = torch.Generator().manual_seed(seed)
    slots = torch.randn(count, bank.slot_size, generator=rng)
    slots[:, 0] = slots[:, 0].abs() + 0.2
    return slots


# ---- the sphere


@pytest.mark.parametrize("copies", [1, 3])
def test_sphere_is_closed_and_its_patches_hold_every_vertex_once(copies):
    ball = sphere(2, copies)
    assert trimesh.Trimesh(ball.vertices, ball.faces, process=False).is_watertight
    np.testing.assert_allclose(np.linalg.norm(ball.vertices, axis=1), 1, atol=1e-6)
    assert sorted(ball.order.tolist()) == list(range(len(ball.vertices)))
    assert ball.starts[0] == 0
    assert ball.starts[-1] == len(ball.vertices)
    assert (np.diff(ball.starts) > 0).all()
    for vertex in (0, len(ball.vertices) - 1):
        faces = ball.ring[vertex][ball.ring[vertex] >= 0]
        assert (ball.faces[faces] == vertex).any(axis=1).all()
        assert len(faces) == (ball.faces == vertex).any(axis=1).sum()


def test_sphere_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        sphere(2).vertices[0] = 0


def test_harmonics_are_orthonormal():
    # exact for polynomials: Gauss points in height times even azimuths
    heights, weights = np.polynomial.legendre.leggauss(12)
    azimuths = np.arange(24) * 2 * math.pi / 24
    height, azimuth = np.meshgrid(heights, azimuths, indexing="ij")
    across = np.sqrt(1 - height**2)
    directions = np.stack([across * np.sin(azimuth), height, across * np.cos(azimuth)], -1).reshape(-1, 3)
    values = harmonics(directions, 5)
    gram = values.T @ (np.repeat(weights, 24)[:, None] * 2 * math.pi / 24 * values)
    np.testing.assert_allclose(gram, np.eye(36), atol=1e-10)


# ---- slots


def test_angles_are_yaw_about_y_then_pitch_about_x_then_roll_about_z():
    angles = RNG.uniform(-3, 3, (20, 3))
    expected = Rotation.from_euler("YXZ", angles).as_matrix()
    np.testing.assert_allclose(rotation(torch.tensor(angles)).numpy(), expected, atol=1e-12)
    for each, matrix in zip(angles, expected, strict=True):
        np.testing.assert_allclose(turn_matrix(each), matrix, atol=1e-12)


@pytest.mark.parametrize(
    ("slot", "point", "where"),
    [
        ([2, 0, 0, 0, 0, 0, 0], [1, 0, 0], [2, 0, 0]),  # scale
        ([1, 1, 2, 3, 0, 0, 0], [0, 0, 0], [1, 2, 3]),
        ([1, 0, 0, 0, math.pi / 2, 0, 0], [0, 0, 1], [1, 0, 0]),  # yaw: +Z to +X
        ([1, 0, 0, 0, 0, math.pi / 2, 0], [0, 1, 0], [0, 0, 1]),  # pitch: +Y to +Z
        ([1, 0, 0, 0, 0, 0, math.pi / 2], [1, 0, 0], [0, 1, 0]),  # roll: +X to +Y
        ([2, 5, 0, 0, math.pi / 2, math.pi / 2, 0], [0, 1, 0], [7, 0, 0]),  # pitch first of what is near v
    ],
)
def test_slots_place_points(slot, point, where):
    moved = placed(torch.tensor(slot, dtype=torch.float64), torch.tensor([point], dtype=torch.float64))
    np.testing.assert_allclose(moved[0].numpy(), where, atol=1e-12)


# ---- the bank

KINDS = {
    "smooth": BankSizes(prototypes=4, subdivisions=2),
    "free": BankSizes(prototypes=4, subdivisions=2, deformation="free"),
    "parts": BankSizes(prototypes=3, subdivisions=1, shared_parts=2, parts=2),
}


@pytest.fixture(params=KINDS)
def bank(request):
    return PrototypeBank(KINDS[request.param], seed=1)


def test_blend_is_the_weighted_mean_of_the_prototypes(bank):
    slots = random_slots(bank, 5)
    shapes, weights = bank.shapes().detach().numpy(), slots[:, 7:-1].softmax(-1).numpy()
    for k, slot in enumerate(slots.numpy()):
        blend = sum(w * s for w, s in zip(weights[k], shapes, strict=True))
        expected = slot[0] * blend @ Rotation.from_euler("YXZ", slot[4:7]).as_matrix().T + slot[1:4]
        np.testing.assert_allclose(bank(slots)[k].detach().numpy(), expected, atol=1e-5)
    np.testing.assert_allclose(
        bank.presence(slots).numpy(), 1 - slots[:, 7:].softmax(-1)[:, -1].numpy(), atol=1e-6
    )


def test_batches_equal_single_slots_and_unblended_equals_one_hot(bank):
    slots = random_slots(bank, 6).unflatten(0, (2, 3))
    torch.testing.assert_close(bank(slots)[1, 2], bank(slots[1, 2]))
    each = bank.each(slots)
    for p in range(bank.sizes.prototypes):
        sure = slots.clone()
        sure[..., 7:] = 0
        sure[..., 7 + p] = 100
        torch.testing.assert_close(each[:, :, p], bank(sure))


def test_gradients_reach_everything(bank):
    slots = random_slots(bank, 3).requires_grad_(True)
    (bank(slots).square().sum() + bank.blended_colors(slots).sum()).backward()
    assert (slots.grad[:, :-1] != 0).all()
    for name, parameter in bank.named_parameters():
        assert parameter.grad is not None, name
        assert (parameter.grad != 0).any(), name


@pytest.mark.parametrize("size", [0.0, 1.0, 1e6])
def test_smooth_deformations_are_bounded_whatever_is_learned(size):
    bank = PrototypeBank(BankSizes(prototypes=6, subdivisions=3, degree=5, bound=0.7))
    with torch.no_grad():
        bank.bumps_raw.copy_(
            size * torch.randn(bank.bumps_raw.shape, generator=torch.Generator().manual_seed(0))
        )
        bank.stretch_raw.fill_(1e6)  # a stretch of one: bumps alone
    moved = bank.deformations().norm(dim=-1).max()
    assert moved <= 0.7 + 1e-5
    if size == 1e6:
        assert moved > 0.15  # the bound is not so loose that it means nothing


def test_smooth_shapes_cannot_be_crumpled():
    """Neighbouring vertices stay neighbours: no edge is longer than the energy bound lets it be."""
    for kind, most in (("smooth", 8), ("free", math.inf)):
        bank = PrototypeBank(BankSizes(prototypes=6, subdivisions=3, deformation=kind))
        with torch.no_grad():
            for parameter in bank.parameters():
                parameter.copy_(
                    1e3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0))
                )
        shape, faces = bank.shapes().detach().numpy(), bank.topology.faces
        edges = np.linalg.norm(shape[:, faces[:, 0]] - shape[:, faces[:, 1]], axis=-1)
        longest = (
            edges.max()
            / np.linalg.norm(sphere(3).vertices[faces[:, 0]] - sphere(3).vertices[faces[:, 1]], axis=-1).max()
        )
        assert longest < most
        if kind == "free":
            assert longest > 100


def test_parts_are_shared():
    bank = PrototypeBank(KINDS["parts"], seed=1)
    assert bank.shapes().shape == (3, 2 * 42, 3)
    before = bank.shapes().detach().clone()
    with torch.no_grad():
        bank.stretch_raw[0] += 1.0  # one part of the shared bank
    assert ((bank.shapes() - before).abs().amax(dim=(1, 2)) > 1e-3).all()  # changes every prototype


def test_save_and_load(bank, tmp_path):
    bank.save(tmp_path / "bank.safetensors")
    again = PrototypeBank.load(tmp_path / "bank.safetensors")
    assert again.sizes == bank.sizes
    slots = random_slots(bank, 2)
    torch.testing.assert_close(again(slots), bank(slots))
    torch.testing.assert_close(again.blended_colors(slots), bank.blended_colors(slots))


def test_bad_files_and_arguments(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.safetensors"):
        PrototypeBank.load(tmp_path / "none.safetensors")
    (tmp_path / "noise.safetensors").write_bytes(b"noise")
    with pytest.raises(ValueError, match=r"noise\.safetensors"):
        PrototypeBank.load(tmp_path / "noise.safetensors")
    with pytest.raises(ValueError, match=r"deformation: got 'stiff'; .*'smooth', 'free'"):
        PrototypeBank(BankSizes(deformation="stiff"))
    with pytest.raises(ValueError, match=r"parts: got 2 without shared parts"):
        PrototypeBank(BankSizes(parts=2))
    with pytest.raises(ValueError, match=r"slots: got shape \(2, 5\); expected \(\.\.\., 16\)"):
        PrototypeBank()(torch.zeros(2, 5))
    with pytest.raises(ValueError, match="subdivisions: got 9; expected 1 to 6"):
        sphere(9)


# ---- distances


def brute_force(points, vertices, faces):
    triangles = vertices[faces].astype(np.float64)
    return np.array(
        [
            np.linalg.norm(
                trimesh.triangles.closest_point(triangles, np.repeat(p[None], len(triangles), 0)) - p, axis=1
            ).min()
            for p in points.astype(np.float64)
        ]
    )


def test_nearest_equals_all_triangles_tried(bank):
    vertices = bank(random_slots(bank, 3)).detach().numpy()
    points = RNG.normal(size=(60, 3)).astype(np.float32) * 1.5
    squared, faces, weights = nearest(points, vertices, bank.topology)
    for k in range(3):
        exact = brute_force(points, vertices[k], bank.topology.faces)
        # exact but for surfaces folded within a triangle's size, and never below
        assert (np.sqrt(squared[k]) >= exact - 1e-5).all()
        assert np.mean(np.sqrt(squared[k]) - exact < 1e-4) > 0.9
        corners = vertices[k][bank.topology.faces[faces[k]]]
        reached = (weights[k][..., None] * corners).sum(axis=1)
        np.testing.assert_allclose(np.linalg.norm(points - reached, axis=1) ** 2, squared[k], atol=1e-4)


def test_distances_have_the_right_gradients():
    bank = PrototypeBank(KINDS["smooth"])
    slots = random_slots(bank, 2).double()
    points = torch.tensor(RNG.normal(size=(1, 10, 3)))
    bank.double()

    def total(x):
        return squared_distances(points, bank(x)[None], bank.topology).sum()

    slots.requires_grad_(True)
    total(slots).backward()
    step = 1e-4
    for k, column in ((0, 0), (0, 2), (1, 4), (1, 8)):
        shift = torch.zeros_like(slots)
        shift[k, column] = step
        with torch.no_grad():
            numeric = (total(slots + shift) - total(slots - shift)) / (2 * step)
        assert float(slots.grad[k, column]) == pytest.approx(float(numeric), rel=0.03, abs=1e-3)


# ---- k-means and superquadrics


def test_kmeans_finds_groups_that_are_apart():
    centres = np.array([[0, 0, 0], [3, 0, 0], [0, 3, 0]])
    truth = np.repeat([0, 1, 2], 50)
    points = centres[truth] + 0.2 * RNG.normal(size=(150, 3))
    labels = clusters(points, 3)
    assert len({(a, b) for a, b in zip(truth.tolist(), labels.tolist(), strict=True)}) == 3
    np.testing.assert_array_equal(labels, clusters(points, 3))
    assert set(clusters(points[:2], 5).tolist()) <= {0, 1, 2, 3, 4}


@pytest.mark.parametrize(
    "exponents", [(1.0, 1.0), (0.3, 0.3), (0.3, 1.0)], ids=["ellipsoid", "box", "cylinder"]
)
def test_least_squares_recovers_superquadrics(exponents):
    truth = np.concatenate([np.log([0.5, 0.3, 0.2]), exponents, [0.4, 0, 0], [1, 2, 3]])
    surface = superquadric_surface(truth, sphere(4))
    seen = surface[(surface - [1, 2, 3]) @ [0.5, 0.6, 0.6] > -0.05]  # from one side
    found = superquadric_surface(fit_superquadric(seen), sphere(3))
    gap = np.sqrt(nearest(surface[::7], found[None], sphere(3))[0][0])
    assert gap.mean() < 0.02
    rough = superquadric_surface(ellipsoid(seen, tilted=True), sphere(3))
    assert gap.mean() < 0.7 * np.sqrt(nearest(surface[::7], rough[None], sphere(3))[0][0]).mean()


def test_superquadrics_of_hardly_any_points():
    for count in (1, 2, 5, 12):
        assert np.isfinite(fit_superquadric(RNG.normal(size=(count, 3)))).all()
