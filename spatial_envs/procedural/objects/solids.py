"""Solids: primitives united with, or cut out of, one another, and the painted surface of the result."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from spatial_envs.geometry.mesh import Mesh
from spatial_envs.geometry.rotations import rotation_to
from spatial_envs.procedural.objects.dual_contouring import (
    ARC,
    CONE,
    ELLIPSOID,
    LIMB,
    PRISM,
    crossings,
    dual_contour,
    fill,
    unpinch,
)
from spatial_envs.procedural.objects.paint import label, paint, texture

QUADS = 7_000  # of a dual-contoured surface: fine enough for walls of 2 cm, and under 20,000 triangles
FINEST = 130  # at most so many cells along the diagonal of a solid's bounding box


class Solid:
    """Primitives in the order in which they are united with, or cut out of, what is there already.

    Everywhere: `turn` (3, 3) takes the primitive's own axes to the world's, `part` numbers a colour,
    cut=True removes instead of adding, blend (m) rounds the joint, rounding (m) the primitive's own edges.
    """

    def __init__(self) -> None:
        self.rows: list[np.ndarray] = []

    def _add(self, kind, centre, size, reach, turn=None, part=0, cut=False, blend=0.0, rounding=0.0) -> None:
        axes = np.eye(3) if turn is None else np.asarray(turn).T
        size = (*size, *[0.0] * (4 - len(size)))
        self.rows.append(np.array([kind, cut, part, blend, rounding, reach, *centre, *axes.ravel(), *size]))

    def box(self, centre, half, top=1.0, rounding=0.006, **how) -> None:
        """Half sizes (3,); `top` is the upper face's width (x) over the lower one's."""
        x, y, z = np.asarray(half) - rounding
        upper = max(half[0] * top - rounding, 1e-3)
        reach = np.sqrt(max(x, upper) ** 2 + y**2 + z**2) + rounding
        self._add(PRISM, centre, (x, upper, y, z), reach, rounding=rounding, **how)

    def cone(self, centre, low, high, half, rounding=0.006, **how) -> None:
        """Round about Y: radius `low` at -half and `high` at +half."""
        low, high, half = low - rounding, high - rounding, half - rounding
        reach = np.hypot(max(low, high), half) + rounding
        self._add(CONE, centre, (low, high, half), reach, rounding=rounding, **how)

    def limb(self, start, stop, low, high=None, **how) -> None:
        """The hull of a ball of radius `low` at start and one of radius `high` at stop."""
        start, axis = np.asarray(start, float), np.asarray(stop, float) - start
        half = np.linalg.norm(axis) / 2
        high = np.clip(low if high is None else high, low - 1.9 * half, low + 1.9 * half)
        reach = half + max(low, high)
        self._add(LIMB, start + axis / 2, (low, high, half), reach, turn=rotation_to(axis), **how)

    def arc(self, centre, major, minor, half_angle=np.pi, **how) -> None:
        """A piece of a torus round the Z axis, within half_angle of +Y."""
        size = (np.sin(half_angle), np.cos(half_angle), major, minor)
        self._add(ARC, centre, size, major + minor, **how)

    def ellipsoid(self, centre, radii, **how) -> None:
        self._add(ELLIPSOID, centre, radii, max(radii), **how)

    def mesh(self, rng: np.random.Generator, printed: bool = False) -> Mesh:
        """The painted surface; half of the solids get a texture on some of their parts. What is ``printed``
        has labels for textures, and always."""
        rows = np.array(self.rows)
        added = rows[rows[:, 1] == 0]
        low = (added[:, 6:9] - added[:, 5:6]).min(axis=0)
        high = (added[:, 6:9] + added[:, 5:6]).max(axis=0)
        low, high = _tight_bounds(rows, low, high)
        diagonal = float(np.linalg.norm(high - low))
        cell = diagonal / 48
        field = _field(rows, low, high, cell)[1]
        for _ in range(8):
            quads = crossings(field)
            if cell < diagonal / 48 and quads < 1.2 * QUADS:
                break
            cell = max(cell * np.sqrt(quads / QUADS), diagonal / FINEST)
            cell = min(cell, diagonal / 49)
            origin, field = _field(rows, low, high, cell)
        unpinch(field)
        vertices, faces, parts = dual_contour(field, origin, cell, rows)
        vertices, faces, parts = _largest_piece(vertices, faces, parts)
        if not printed and rng.uniform() < 0.5:
            return Mesh(vertices, faces, paint(rng, vertices, parts))
        return _box_projected(rng, vertices, faces, parts, label if printed else texture)


def _tight_bounds(rows: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The bounding box of what is inside, seen on a coarse grid, with a margin of one coarse cell."""
    cell = float(np.linalg.norm(high - low)) / 40
    origin, field = _field(rows, low, high, cell)
    near = np.argwhere(field < 0.9 * cell)
    return origin + (near.min(axis=0) - 1) * cell, origin + (near.max(axis=0) + 1) * cell


def _field(rows, low, high, cell) -> tuple[np.ndarray, np.ndarray]:
    """Origin (3,) and signed distances (X, Y, Z) float32 on a grid of this cell, outside at its border."""
    origin = low - 2.5 * cell
    shape = np.ceil((high - low) / cell).astype(int) + 6
    field = np.ones(tuple(shape), np.float32)
    fill(field, origin, cell, rows)
    return origin, field


def _largest_piece(vertices, faces, parts):
    """Without islands, and without voids that no camera could see."""
    pairs = np.concatenate([faces[:, :2], faces[:, 1:]])
    graph = coo_matrix((np.ones(len(pairs), np.int8), pairs.T), shape=(len(vertices),) * 2)
    piece = connected_components(graph, directed=False)[1]
    keep = piece == np.bincount(piece).argmax()
    rank = np.cumsum(keep) - 1
    return vertices[keep].astype(np.float32), rank[faces[keep[faces[:, 0]]]].astype(np.int32), parts[keep]


def _box_projected(rng: np.random.Generator, vertices, faces, parts, picture=texture) -> Mesh:
    """With textures by ``picture`` from the six sides: a face takes the coordinates across its normal's
    largest axis."""
    corners = vertices[faces].astype(np.float64)
    axis = np.abs(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])).argmax(axis=1)
    keys, index = np.unique((faces * 3 + axis[:, None]).ravel(), return_inverse=True)
    place, axis = vertices[keys // 3], keys % 3
    across = np.array([[2, 1], [0, 2], [0, 1]])[axis]
    uv = np.take_along_axis(place, across, axis=1) * rng.uniform(1.0, 3.5)
    textures = tuple(picture(rng) for _ in range(2))
    choice = rng.integers(-1, 2, parts.max() + 1)
    choice[rng.integers(len(choice))] = 0
    colors = paint(rng, vertices, parts, pale=0.5)[keys // 3]
    return Mesh(
        place,
        index.reshape(-1, 3).astype(np.int32),
        colors,
        uv.astype(np.float32),
        textures,
        choice[parts[faces[:, 0]]].astype(np.int32),
    )
