"""Normals of depth maps where neighbours lie on one ray."""

import numpy as np

from spatial_envs.geometry.normals import normals_from_depth


def test_normals_are_unit_where_neighbours_are_next_to_the_camera():
    depth = np.full((3, 3), 1e-30, np.float32)
    depth[1, 1] = 1.0
    normals = normals_from_depth(depth, np.array([[2, 0, 5.5], [0, 2, 5.5], [0, 0, 1.0]]))
    np.testing.assert_allclose(normals[1, 1], np.array([2, 2, -1]) / 3, atol=1e-6)
    assert np.isfinite(normals).all()
