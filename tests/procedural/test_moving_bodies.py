"""Moving scenes: closed form against small steps, bodies that stay apart, and a seed that is a scene."""

import numpy as np
import pytest

from spatial_envs.geometry.bodies import SPHERE
from spatial_envs.procedural.moving_bodies import GRAVITY, TICK, TICKS, Launch, flown, moving_bodies

TIMES = TICK * np.arange(TICKS)


def stepped(place, velocity, lowest, restitution, friction, braking, step=1e-4):
    """One body's centres at TIMES, by small steps."""
    place, velocity, out = place.copy(), velocity.copy(), []
    grounded = False
    for tick in range(round(TIMES[-1] / step) + 1):
        if tick % round(TICK / step) == 0:
            out.append(place.copy())
        if not grounded:
            place += velocity * step - [0, 0.5 * GRAVITY * step**2, 0]
            velocity[1] -= GRAVITY * step
            if place[1] <= lowest and velocity[1] < 0:
                place[1], impact = lowest, -velocity[1]
                velocity[1] = restitution * impact if restitution * impact >= 0.15 else 0.0
                speed = np.hypot(velocity[0], velocity[2])
                taken = min(friction * (impact + velocity[1]), speed)
                velocity[[0, 2]] *= 1 - taken / max(speed, 1e-9)
                grounded = velocity[1] == 0
        else:
            speed = np.hypot(velocity[0], velocity[2])
            velocity[[0, 2]] *= max(0, 1 - braking * step / max(speed, 1e-9))
            place += velocity * step
    return np.array(out)


@pytest.mark.parametrize("case", range(3))
def test_the_closed_form_is_what_small_steps_give(case):
    place = np.array([[0.0, 1.2, 0.0], [0.0, 0.2, 0.0], [1.0, 2.0, 1.0]])[case]
    velocity = np.array([[1.0, 2.0, -0.5], [2.0, 0.0, 1.0], [0.0, 0.0, 0.0]])[case]
    numbers = [(0.1, 0.6, 0.1, 1.0), (0.2, 0.5, 0.3, 2.0), (0.3, 0.8, 0.2, 0.3)][case]
    launch = Launch(place[None], velocity[None], *(np.array([each]) for each in numbers))
    way, landing = flown(launch, TIMES)
    slow = stepped(place, velocity, *numbers)
    np.testing.assert_allclose(way[0], slow, atol=0.01)
    assert (landing[0] == 0) == (case == 1)


def test_bodies_stay_apart_and_above_the_ground():
    for seed in range(8):
        made = moving_bodies(seed, (6, 6))
        assert made.centres.shape == (TICKS, 6, 3)
        assert made.rotations.shape == (TICKS, 6, 4)
        assert (made.centres[..., 1] >= made.extents.min(axis=1) - 1e-9).all()
        np.testing.assert_allclose(np.linalg.norm(made.rotations, axis=-1), 1)
        least = made.extents.min(axis=1)
        for one in range(6):
            for two in range(one):
                apart = np.linalg.norm(made.centres[:, one] - made.centres[:, two], axis=1).min()
                assert apart > least[one] + least[two]


def test_what_rolls_does_not_slip():
    rolling = 0
    for seed in range(20):
        made = moving_bodies(seed, (6, 6))
        for k in np.flatnonzero(made.kind == SPHERE):
            grounded = np.flatnonzero(np.ptp(made.centres[:, k, 1], axis=0) == 0)
            if not len(grounded) or np.linalg.norm(made.centres[-1, k] - made.centres[0, k]) < 0.5:
                continue
            rolling += 1
            way = np.linalg.norm(made.centres[10, k] - made.centres[0, k])
            cosine = abs((made.rotations[10, k] * made.rotations[0, k]).sum())
            assert 2 * np.arccos(min(cosine, 1)) == pytest.approx(way / made.extents[k, 0], rel=1e-6)
    assert rolling >= 2


def test_a_seed_is_a_scene_and_unseen_ones_are_faster():
    one, again, other = moving_bodies(5, (1, 6)), moving_bodies(5, (1, 6)), moving_bodies(6, (1, 6))
    np.testing.assert_array_equal(one.centres, again.centres)
    assert one.centres.shape != other.centres.shape or (one.centres != other.centres).any()

    def speeds(unseen):
        each = [moving_bodies(seed, (6, 6), unseen) for seed in range(12)]
        return np.mean([np.abs(np.diff(made.centres, axis=0)).sum(axis=(0, 2)).mean() for made in each])

    assert speeds(True) > 1.2 * speeds(False)
