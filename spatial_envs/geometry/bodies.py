"""Simple bodies: sphere, box, cylinder, capsule and ellipsoid, and how far apart two poses of one are."""

from __future__ import annotations

import numpy as np

KINDS = ("sphere", "box", "cylinder", "capsule", "ellipsoid")
SPHERE, BOX, CYLINDER, CAPSULE, ELLIPSOID = range(len(KINDS))
_HALF_TURNS = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])  # about each axis, and none


def half_extents(kind: np.ndarray, size: np.ndarray) -> np.ndarray:
    """(..., 3) metres along a body's own axes, of kinds (...) int and sizes (..., 3): the radius of a sphere;
    half extents of a box; radius and half length of a cylinder or capsule, along its z; half axes of an
    ellipsoid."""
    kind = np.asarray(kind)[..., None]
    radius, half_length = size[..., :1], size[..., 1:2]
    upright = np.concatenate([radius, radius, half_length + radius * (kind == CAPSULE)], axis=-1)
    ball = np.broadcast_to(radius, size.shape)
    return np.where(kind == SPHERE, ball, np.where((kind == CYLINDER) | (kind == CAPSULE), upright, size))


def second_moments(kind: np.ndarray, extents: np.ndarray) -> np.ndarray:
    """(..., 3) m^2: the mean square of a solid body's coordinates along its own axes, of half extents
    (..., 3)."""
    kind = np.asarray(kind)[..., None]
    square = extents**2
    round_off = square * np.array([1 / 4, 1 / 4, 1 / 3])  # of a cylinder
    made = np.where(kind == BOX, square / 3, np.where(kind == CYLINDER, round_off, square / 5))
    return np.where(kind == CAPSULE, _of_capsule(extents), made)


def _of_capsule(extents: np.ndarray) -> np.ndarray:
    radius = extents[..., 0]
    half = np.maximum(extents[..., 2] - radius, 0)  # of the cylinder between its two half balls
    tube, caps = 2 * half, 4 / 3 * radius  # volumes over pi r^2
    whole = np.maximum(tube + caps, 1e-12)
    across = (tube * radius**2 / 4 + caps * radius**2 / 5) / whole
    along = (tube * half**2 / 3 + caps * (half**2 + 3 / 4 * half * radius + radius**2 / 5)) / whole
    return np.stack([across, across, along], axis=-1)


def pose_distance(
    kind: np.ndarray,
    moments: np.ndarray,
    centres: tuple[np.ndarray, np.ndarray],
    rotations: tuple[np.ndarray, np.ndarray],
) -> np.ndarray:
    """(...) metres between two poses of a body: the root mean square distance between where they put the
    points of the solid, for the one of its symmetries that makes it least. Two poses that look the same are 0
    apart. With equal rotations it is the distance of the centres.

    kind (...) int, moments (..., 3) m^2, of ``second_moments``; of each pose the centre (..., 3), metres, and
    the rotation (..., 3, 3), body to world. All leading axes broadcast.

    With S the second moments and Q = R2^T R1, the mean square is |c1 - c2|^2 + 2 (tr S - tr Q S); a symmetry
    G makes of it tr G Q S, whose largest value is known in closed form for each kind.
    """
    apart = ((centres[0] - centres[1]) ** 2).sum(axis=-1)
    turn = np.swapaxes(rotations[1], -1, -2) @ rotations[0]
    diagonal = np.diagonal(turn, axis1=-2, axis2=-1)
    halves = ((diagonal * moments) @ _HALF_TURNS.T).max(axis=-1)
    across, along = moments[..., 0], moments[..., 2] * diagonal[..., 2]
    (xx, yy), xy, yx = (diagonal[..., 0], diagonal[..., 1]), turn[..., 0, 1], turn[..., 1, 0]
    about_z = np.maximum(
        across * np.hypot(xx + yy, xy - yx) + along, across * np.hypot(xx - yy, xy + yx) - along
    )
    whole = moments.sum(axis=-1)
    kind = np.asarray(kind)
    best = np.where((kind == CYLINDER) | (kind == CAPSULE), about_z, halves)
    best = np.where(kind == SPHERE, whole, best)
    return np.sqrt(apart + 2 * np.maximum(whole - best, 0))


def radial(kind: int, extents: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """(N,) metres from a body's centre to its surface along unit directions (N, 3) of its own frame; half
    extents (3,)."""
    along = np.maximum(np.abs(directions), 1e-9)
    if kind == BOX:
        return (extents / along).min(axis=1)
    across, up = np.maximum(np.hypot(along[:, 0], along[:, 1]), 1e-9), along[:, 2]
    if kind == CYLINDER:
        return np.minimum(extents[0] / across, extents[2] / up)
    if kind == CAPSULE:
        radius, half = extents[0], max(extents[2] - extents[0], 0.0)
        side = radius / across
        cap = half * up + np.sqrt(np.maximum(radius**2 - (half * across) ** 2, 0))
        return np.where(side * up <= half, side, cap)
    return 1 / np.sqrt(((directions / extents) ** 2).sum(axis=1))
