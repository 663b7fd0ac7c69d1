"""What is a floor and what is furniture, by name or by what there is below; and which body has room."""

import numpy as np
import pytest
from buildings import boxes, joined, room

from spatial_envs.foundation.errors import MeshError
from spatial_envs.geometry.mesh import Mesh
from spatial_envs.simulators.body import body_that_fits
from spatial_envs.simulators.navigable import NavigableSpace

TABLE = (-1.2, 1.2, 0.0, 0.72, -0.6, 0.6)  # 2.4 x 1.2 m


def crumbs(count: int) -> Mesh:
    """Pieces of floor of 0.6 x 0.6 m at y = 0, none connected with another."""
    return boxes(
        *(
            (-3 + 0.8 * (k % 8), -2.4 + 0.8 * (k % 8), -0.1, 0, -3.0 + 0.8 * (k // 8), -2.4 + 0.8 * (k // 8))
            for k in range(count)
        )
    )


def test_a_table_is_no_floor():
    """Not beside a floor, nor above one of which a film saw only pieces that are smaller each."""
    space = NavigableSpace(room(-3, 3, -2, 2, TABLE))
    assert len(space.islands) == 1
    with pytest.raises(ValueError, match=r"the nearest is|no floor at this height"):
        space.snap(np.array([0, 0.72, 0]))
    top = boxes((-1.2, 1.2, 0.62, 0.72, -0.6, 0.6))
    assert NavigableSpace(top).islands == pytest.approx([2.2 * 1.0], abs=2e-3)  # where it is all there is
    with pytest.raises(MeshError, match="no floor for an agent"):
        NavigableSpace(joined(top, crumbs(12)))


def test_a_building_that_names_its_floors_has_no_others():
    two = joined(room(-2, 2, -2, 2), boxes((6, 12, 1.9, 2.0, -3, 3)))  # a room, and a larger roof beside it
    assert NavigableSpace(two).islands[0] == pytest.approx(5.8**2, abs=1e-2)
    named = NavigableSpace(two, floors=(0.1,))
    assert named.islands == pytest.approx([3.8**2], abs=1e-2)
    assert named.sample(np.random.default_rng(0))[1] == 0
    assert NavigableSpace(two, floors=(2.0,)).islands == pytest.approx([5.8**2], abs=1e-2)
    with pytest.raises(MeshError, match=r"no floor at y = 1\.00 for an agent 1\.5 m high"):
        NavigableSpace(two, floors=(1.0,))


def test_the_largest_body_that_fits():
    """A corridor 0.5 m wide and 10 m long, 1.6 m high."""
    corridor = room(0, 10, 0, 0.5, (-0.2, 10.2, 1.6, 1.7, -0.2, 0.7))
    height, radius, area = body_that_fits(corridor, 1.5, 0.4, 0.2)
    assert (height, radius) == (1.5, 0.1)
    assert area == pytest.approx(9.8 * 0.3, rel=1e-2)
    assert body_that_fits(corridor, 1.5, 0.05, 0.2)[:2] == (1.5, 0.05)  # no larger than what was asked for
    low = room(0, 10, 0, 0.5, (-0.2, 10.2, 1.0, 1.1, -0.2, 0.7))
    assert body_that_fits(low, 1.5, 0.4, 0.2, (0.0,))[:2] == (0.9, 0.1)
    assert body_that_fits(boxes((0, 1, 0, 0.1, 0, 1)), 1.5, 0.1, 0.2) is None
    with pytest.raises(
        MeshError, match=r"no floor at y = 0\.00 .*the largest body that fits is 0\.9 m high and 0\.2 m wide"
    ):
        NavigableSpace(low, 1.5, 0.4, floors=(0.0,))
