"""Bodies' extents, moments and how far apart two of their poses are."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from spatial_envs.geometry.bodies import KINDS, half_extents, pose_distance, second_moments

SIZE = np.array([0.1, 0.2, 0.35])


def solid(kind, extents, count=60_000):
    """Points (n, 3), uniform in a body."""
    points = np.random.default_rng(0).uniform(-extents, extents, (count, 3))
    x, y, z = (points / extents).T
    if KINDS[kind] == "box":
        return points
    if KINDS[kind] == "cylinder":
        return points[x**2 + y**2 < 1]
    if KINDS[kind] == "capsule":
        radius = extents[0]
        past = np.maximum(np.abs(points[:, 2]) - (extents[2] - radius), 0)
        return points[points[:, 0] ** 2 + points[:, 1] ** 2 + past**2 < radius**2]
    return points[x**2 + y**2 + z**2 < 1]


def symmetries(kind):
    """Rotations (n, 3, 3) that leave a body as it is; of continuous ones many."""
    half = [np.eye(3), *(Rotation.from_rotvec(np.pi * axis).as_matrix() for axis in np.eye(3))]
    if KINDS[kind] in ("box", "ellipsoid"):
        return half
    if KINDS[kind] == "sphere":
        return None
    about = Rotation.from_rotvec(np.linspace(0, 2 * np.pi, 721)[:, None] * [0, 0, 1]).as_matrix()
    return np.concatenate([about, about @ half[1]])


@pytest.mark.parametrize("kind", range(len(KINDS)), ids=KINDS)
def test_the_distance_is_that_of_the_solids_points_under_the_best_symmetry(kind):
    extents = half_extents(np.array(kind), SIZE)
    points = solid(kind, extents)
    moments = second_moments(np.array(kind), extents)
    np.testing.assert_allclose(moments, (points**2).mean(axis=0), rtol=0.02)
    one, two = Rotation.random(2, random_state=kind).as_matrix()
    apart = np.array([0.05, -0.1, 0.02])
    given = pose_distance(np.array(kind), moments, (apart, np.zeros(3)), (one, two))
    if KINDS[kind] == "sphere":
        assert given == pytest.approx(np.linalg.norm(apart))
        return
    slow = min(
        np.sqrt(((points[:3000] @ (one @ each).T + apart - points[:3000] @ two.T) ** 2).sum(axis=1).mean())
        for each in symmetries(kind)
    )
    assert given == pytest.approx(slow, rel=0.03)


def test_poses_that_look_the_same_are_not_apart():
    for kind, turn in ((1, [np.pi, 0, 0]), (2, [0, 0, 1.3]), (3, [np.pi, 0, 0]), (4, [0, np.pi, 0])):
        moments = second_moments(np.array(kind), half_extents(np.array(kind), SIZE))
        base = Rotation.random(random_state=5).as_matrix()
        again = base @ Rotation.from_rotvec(turn).as_matrix()
        zero = np.zeros(3)
        assert pose_distance(np.array(kind), moments, (zero, zero), (base, again)) == pytest.approx(
            0, abs=1e-7
        )


def test_extents_of_every_kind():
    made = half_extents(np.arange(5), np.tile(SIZE, (5, 1)))
    np.testing.assert_allclose(made, [[0.1, 0.1, 0.1], SIZE, [0.1, 0.1, 0.2], [0.1, 0.1, 0.3], SIZE])
