"""Superquadrics by least squares: what prototypes have to beat (Solina and Bajcsy 1990).

A superquadric of half axes a = (a1, a2, a3) and exponents e = (e1, e2) is F(x, y, z) = 1 with, in its own
axes,

    F = (|x / a1|^(2 / e2) + |z / a3|^(2 / e2))^(e2 / e1) + |y / a2|^(2 / e1)

e = (1, 1) is an ellipsoid, small exponents a box, small e1 alone a cylinder about Y.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import least_squares

from spatial_envs.geometry.rotations import turn_angles, turn_matrix
from spatial_envs.prototypes.sphere import Sphere

MOST_POINTS = 200  # of an object, for the least squares
EXPONENTS = (0.2, 1.6)
THINNEST = 0.01  # metres, half an axis
PRIOR = 0.15  # metres for a factor e away from the points' own extent, or a radian of tilt


def superquadric_surface(parameters: np.ndarray, topology: Sphere) -> np.ndarray:
    """(V, 3) metres: the sphere's vertices on the superquadric with the parameters (11,) = log half axes (3),
    exponents (2), yaw, pitch, roll (radians, as in a slot), centre (3)."""
    axes, (e1, e2), angles, centre = _split(parameters)
    x, y, z = topology.vertices.T.astype(np.float64)
    inside = (np.abs(x) ** (2 / e2) + np.abs(z) ** (2 / e2)) ** (e2 / e1) + np.abs(y) ** (2 / e1)
    local = topology.vertices * inside[:, None] ** (-e1 / 2) * axes
    return (local @ turn_matrix(angles).T + centre).astype(np.float32)


def fit_superquadric(points: np.ndarray, tilted: bool = False) -> np.ndarray:
    """The parameters (11,) of the superquadric that fits points (N, 3) on one side of a surface, metres.

    Least squares of the radial distance |p| (1 - F^(-e1 / 2)) (Gross and Boult 1988), with a weak prior that
    the half axes are those of the points' box and the object stands upright; ``tilted`` starts from the
    principal axes instead. Needs at least 1 point.
    """
    points = np.asarray(points, np.float64)
    start = ellipsoid(points, tilted)
    if len(points) < 12:
        return start
    chosen = points[np.linspace(0, len(points) - 1, min(len(points), MOST_POINTS)).astype(int)]
    weight = PRIOR * np.sqrt(len(chosen)) / 3

    def residuals(parameters: np.ndarray) -> np.ndarray:
        axes, (e1, e2), angles, centre = _split(parameters)
        local = (chosen - centre) @ turn_matrix(angles)
        x, y, z = np.maximum(np.abs(local / axes), 1e-4).T
        inside = (x ** (2 / e2) + z ** (2 / e2)) ** (e2 / e1) + y ** (2 / e1)
        radial = np.sqrt((local**2).sum(axis=1)) * (1 - inside ** (-e1 / 2))
        prior = np.concatenate([parameters[:3] - start[:3], 0.3 * (parameters[5:8] - start[5:8])])
        return np.concatenate([np.clip(radial, -10, 10), weight * prior])

    low = np.concatenate([start[:3] - 1.0, [EXPONENTS[0]] * 2, start[5:8] - 1.6, start[8:] - 1.0])
    high = np.concatenate([start[:3] + 1.0, [EXPONENTS[1]] * 2, start[5:8] + 1.6, start[8:] + 1.0])
    return least_squares(residuals, start, bounds=(low, high), x_scale=0.1, max_nfev=40).x


def ellipsoid(points: np.ndarray, tilted: bool = False) -> np.ndarray:
    """The parameters (11,) of an ellipsoid of the points' (N, 3) own axes and extent: upright with the yaw of
    the principal axis in plan, or ``tilted`` with all three principal axes."""
    points = np.asarray(points, np.float64)
    centre = points.mean(axis=0)
    centred = points - centre
    if len(points) < 3:
        turn = np.eye(3)
    elif tilted:
        turn = np.linalg.svd(centred, full_matrices=False)[2].T
        turn[:, 2] *= np.sign(np.linalg.det(turn)) or 1.0
    else:
        across = np.linalg.svd(centred[:, [0, 2]], full_matrices=False)[2][0]
        turn = np.array([[across[0], 0, -across[1]], [0, 1, 0], [across[1], 0, across[0]]])
    local = centred @ turn
    low, high = np.percentile(local, [1, 99], axis=0)
    axes = np.maximum((high - low) / 2, THINNEST)
    angles = turn_angles(turn)
    return np.concatenate([np.log(axes), [1.0, 1.0], angles, centre + turn @ ((low + high) / 2)])


def _split(parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    return np.exp(parameters[:3]), parameters[3:5], parameters[5:8], parameters[8:]
