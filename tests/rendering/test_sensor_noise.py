"""The depth camera's faults: against a slow twin, and against what was measured on a real one."""

from __future__ import annotations

import math

import numpy as np
import pytest

from spatial_envs.geometry.camera import pinhole
from spatial_envs.rendering.sensor_noise import QUANTUM, noisy_depth

SIZE = (48, 64)
LENS = pinhole(60, SIZE)


def plane(distance: float, tilt: float = 0.0) -> np.ndarray:
    """Depth of a wall at ``distance`` on the optical axis, turned by ``tilt`` degrees about the vertical."""
    x = (np.arange(SIZE[1]) + 0.5 - LENS[0, 2]) / LENS[0, 0]
    row = distance / (1 + math.tan(math.radians(tilt)) * x)
    return np.repeat(row[None], SIZE[0], axis=0).astype(np.float32)


def slow(depth, intrinsics, level, rng):
    """The same, pixel by pixel and in the words of the docstring."""
    normal, uniform = rng.standard_normal(depth.shape, np.float32), rng.random(depth.shape, np.float32)
    out = np.zeros_like(depth)
    inverse = np.divide(1, depth, out=np.zeros(depth.shape), where=depth > 0, dtype=np.float64)
    padded = np.pad(inverse, 1)
    for row, column in np.argwhere(depth > 0):
        here = inverse[row, column]
        z = float(depth[row, column])
        gradient = []
        for neighbours in (padded[row + 1, [column, column + 2]], padded[[row, row + 2], column + 1]):
            left, right = np.maximum(neighbours - here, 0)
            gradient.append(right if right > left else -left)
        ray = np.linalg.solve(np.asarray(intrinsics, np.float64), [column + 0.5, row + 0.5, 1])
        plane_normal = (
            np.array([*gradient, here - gradient @ np.array([column + 0.5, row + 0.5])]) @ intrinsics
        )
        cosine = plane_normal @ ray / np.linalg.norm(plane_normal) / np.linalg.norm(ray)
        angle = math.acos(min(cosine, 1))
        if (math.degrees(angle) > 80 or not 0.4 <= z <= 8) and uniform[row, column] < level:
            continue
        sigma = 0.0012 + 0.0019 * (z - 0.4) ** 2
        if math.degrees(angle) > 60:
            angle = min(angle, math.radians(80))
            sigma += 0.0001 / math.sqrt(z) * angle**2 / (math.pi / 2 - angle) ** 2
        measured = max(z + level * sigma * normal[row, column], z / 2)
        disparity = max(math.floor(1 / measured / (level * QUANTUM) + 0.5), 1) * level * QUANTUM
        out[row, column] = 1 / disparity
    return out


@pytest.mark.parametrize("level", [0.3, 1.0])
def test_equals_the_slow_twin(level):
    rng = np.random.default_rng(4)
    scene = np.where(np.indices(SIZE).sum(axis=0) % 17 < 6, plane(1.5, 30), plane(6, -65))
    scene[rng.random(SIZE) < 0.1] = 0
    scene[:4], scene[-4:] = 0.2, 9.5
    fast = noisy_depth(scene, LENS, level, np.random.default_rng(7))
    np.testing.assert_allclose(fast, slow(scene, LENS, level, np.random.default_rng(7)), rtol=1e-6)


@pytest.mark.parametrize("distance", [1.0, 2.0, 4.0])
def test_noise_grows_with_the_square_of_depth(distance):
    wall = np.repeat(plane(distance)[None], 20, axis=0)
    error = noisy_depth(wall, LENS, 1.0, np.random.default_rng(0)) - wall
    step = QUANTUM * distance**2
    expected = math.hypot(0.0012 + 0.0019 * (distance - 0.4) ** 2, step / math.sqrt(12))
    assert error.std() == pytest.approx(expected, rel=0.25)
    assert abs(error.mean()) < step / 2


def test_depth_comes_in_steps_of_disparity():
    measured = noisy_depth(plane(4.0, 20), LENS, 1.0, np.random.default_rng(0))
    steps = 1 / measured[measured > 0].astype(np.float64) / QUANTUM
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)


def test_what_does_not_return():
    rng = np.random.default_rng(0)
    assert (noisy_depth(plane(0.3), LENS, 1.0, rng) == 0).all()
    assert (noisy_depth(plane(9.0), LENS, 1.0, rng) == 0).all()
    assert (noisy_depth(plane(2.0), LENS, 1.0, rng) > 0).all()
    assert (noisy_depth(plane(9.0), LENS, 0.25, rng) == 0).mean() == pytest.approx(0.25, abs=0.03)
    box = plane(3.0)
    box[10:30, 20:40] = 1.0
    measured = noisy_depth(box, LENS, 1.0, rng)
    shadow = np.zeros(SIZE, bool)
    shadow[9:31, 20:40] = shadow[10:30, 19:41] = True
    shadow[10:30, 20:40] = False
    np.testing.assert_array_equal(measured == 0, shadow)  # behind the edge, not on it


def test_form():
    batch = np.stack([plane(1.0), plane(2.0, 40)])[:, None]
    kept = batch.copy()
    one = noisy_depth(batch, LENS, 0.5, np.random.default_rng(3))
    assert one.shape == batch.shape
    assert one.dtype == np.float32
    np.testing.assert_array_equal(batch, kept)
    np.testing.assert_array_equal(one, noisy_depth(batch, LENS, 0.5, np.random.default_rng(3)))
    same = noisy_depth(batch, LENS, 0.0, np.random.default_rng(3))
    np.testing.assert_array_equal(same, batch)
    assert same is not batch
    assert (noisy_depth(np.zeros(SIZE, np.float32), LENS, 1.0, np.random.default_rng(0)) == 0).all()
    with pytest.raises(ValueError, match=r"level: got 1\.5; expected float"):
        noisy_depth(batch, LENS, 1.5, np.random.default_rng(0))
