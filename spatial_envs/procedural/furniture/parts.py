"""Furniture's building blocks: rounded boxes, lofts, limbs and sheets, joined into one piece.

Unlike solids.py nothing is contoured: primitives stand beside or reach into one another, so that a piece of a
thousand triangles takes a tenth of a millisecond for each of its parts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import tau

import numpy as np

from spatial_envs.geometry.rotations import rotation_to
from spatial_envs.procedural.furniture.surfaces import PERIOD

Surface = str | np.ndarray | None  # a pattern's name (surfaces.PATTERNS), an image over the unit square, none


@dataclass(frozen=True, eq=False)
class Part:
    """Triangles of one surface: vertices, normals (N, 3) and uv (N, 2) float64, faces (F, 3), colors (N, 3)
    float albedo in [0, 1]."""

    vertices: np.ndarray
    normals: np.ndarray
    uv: np.ndarray
    faces: np.ndarray
    colors: np.ndarray
    surface: Surface = None

    def moved(self, turn: np.ndarray, shift) -> Part:
        """The part turned (3, 3) and then shifted (3,)."""
        return Part(
            self.vertices @ turn.T + shift,
            self.normals @ turn.T,
            self.uv,
            self.faces,
            self.colors,
            self.surface,
        )


@lru_cache
def _rounded_box(segments: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Inner corner (N, 3) of -1 and 1, direction (N, 3), side's two axes (N, 2), faces (F, 3)."""
    t = -np.tan(np.linspace(np.pi / 4, 0, segments + 1)) if segments else np.zeros(1)
    along = [(-1.0, value) for value in t] + [(1.0, -value) for value in t[::-1]]
    count = len(along)
    corner: list[np.ndarray] = []
    outward: list[np.ndarray] = []
    axes: list[np.ndarray] = []
    faces: list[np.ndarray] = []
    quad = np.array([0, count, count + 1, 0, count + 1, 1])
    cells = (np.arange(count - 1)[:, None] * count + np.arange(count - 1)).ravel()
    for axis in range(3):
        a, b = (axis + 1) % 3, (axis + 2) % 3
        for sign in (-1, 1):
            offset = sum(len(block) for block in corner)
            block, way = np.empty((count * count, 3)), np.empty((count * count, 3))
            block[:, axis] = way[:, axis] = sign
            block[:, a] = np.repeat([c for c, _ in along], count)
            way[:, a] = np.repeat([t for _, t in along], count)
            block[:, b] = np.tile([c for c, _ in along], count)
            way[:, b] = np.tile([t for _, t in along], count)
            corner.append(block)
            outward.append(way)
            axes.append(np.tile([a, b], (count * count, 1)))
            face = (cells[:, None] + quad + offset).reshape(-1, 3)
            faces.append(face if sign > 0 else face[:, ::-1])
    way = np.concatenate(outward)
    way = np.round(way / np.linalg.norm(way, axis=1, keepdims=True), 9)  # the same at a seam from either side
    return np.concatenate(corner), way, np.concatenate(axes), np.concatenate(faces)


@lru_cache
def _grid_faces(rows: int, columns: int, closed: bool) -> np.ndarray:
    """(F, 3) triangles of a grid of points, its columns joined into rings where closed."""
    i, j = np.meshgrid(np.arange(rows - 1), np.arange(columns if closed else columns - 1), indexing="ij")
    a, b = i * columns + j, i * columns + (j + 1) % columns
    c, d = a + columns, b + columns
    return np.stack([a, c, d, a, d, b], axis=-1).reshape(-1, 3)


@lru_cache
def _circle(sides: int) -> tuple[np.ndarray, np.ndarray]:
    """Cosines and sines (sides,) of so many angles round."""
    angle = np.arange(sides) * tau / sides
    return np.cos(angle), np.sin(angle)


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The cross product of (..., 3); np.cross is slow for small arrays."""
    ax, ay, az = a[..., 0], a[..., 1], a[..., 2]
    bx, by, bz = b[..., 0], b[..., 1], b[..., 2]
    return np.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], axis=-1)


def ellipse(
    half_x: float, half_z: float, y: float, z: float = 0.0, sides: int = 16, exponent: float = 1.0
) -> np.ndarray:
    """(sides, 3): a ring at height y round (0, z); an exponent below 1 makes it squarish."""
    angle = np.arange(sides) * tau / sides
    cos, sin = np.cos(angle), np.sin(angle)
    x = half_x * np.sign(cos) * np.abs(cos) ** exponent
    return np.stack([x, np.full(sides, y), z + half_z * np.sign(sin) * np.abs(sin) ** exponent], axis=-1)


class Shape:
    """Primitives of one piece of furniture. Metres, Y up, standing on y = 0, its back towards -Z; `color` is
    an albedo in [0, 1], `turn` (3, 3) takes the primitive's own axes to the piece's."""

    def __init__(self) -> None:
        self.parts: list[Part] = []

    def _add(self, vertices, normals, uv, faces, color, surface) -> None:
        if isinstance(surface, str):
            uv = uv / PERIOD[surface]
        colors = np.broadcast_to(np.asarray(color, float), vertices.shape)
        self.parts.append(Part(vertices, normals, uv, faces, colors, surface))

    def box(
        self, centre, half, color, surface: Surface = None, rounding=0.006, segments=1, turn=None
    ) -> None:
        """Half sizes (3,); edges rounded by `rounding` in 2 * segments steps, sharp where segments = 0."""
        half = np.asarray(half, float)
        rounding = min(rounding, 0.499 * half.min()) if segments else 0.0
        corner, way, axes, faces = _rounded_box(segments)
        vertices = corner * (half - rounding) + way * rounding
        if segments:
            normals = way
        else:
            vertices = corner * half
            normals = np.zeros_like(corner)
            rows = np.arange(len(corner))
            other = 3 - axes.sum(axis=1)
            normals[rows, other] = corner[rows, other]
        uv = np.take_along_axis(vertices, axes, axis=1) + half.sum()
        uv = np.where((half[axes[:, 1]] > half[axes[:, 0]])[:, None], uv[:, ::-1], uv)  # grain along the side
        if turn is not None:
            vertices, normals = vertices @ turn.T, normals @ turn.T
        self._add(vertices + np.asarray(centre, float), normals, uv, faces, color, surface)

    def loft(self, rings, color, surface: Surface = None, turn=None, at=(0, 0, 0), caps=True) -> None:
        """Rings (M, N, 3), in order from below to above on the outside of the body, joined and capped."""
        rings = np.asarray(rings, float)
        if turn is not None:
            rings = rings @ np.asarray(turn).T
        rings = rings + np.asarray(at, float)
        rows, columns = rings.shape[:2]
        up = np.gradient(rings, axis=0)
        round_ = np.roll(rings, -1, axis=1) - np.roll(rings, 1, axis=1)
        normals = _cross(up, round_)
        normals /= np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-12)
        step = np.linalg.norm(np.diff(rings, axis=0), axis=-1).mean(axis=1)
        height = np.concatenate([[0.0], step.cumsum()])
        width = np.linalg.norm(np.diff(rings, axis=1), axis=-1).sum(axis=1).max()
        uv = np.stack(
            np.broadcast_arrays(height[:, None], np.linspace(0, width, columns)[None]), -1
        )  # the grain runs up
        faces = _grid_faces(rows, columns, True)
        self._add(rings.reshape(-1, 3), normals.reshape(-1, 3), uv.reshape(-1, 2), faces, color, surface)
        for ring, outward in ((rings[0], -1), (rings[-1], 1)) if caps else ():
            self._cap(ring, outward, color, surface)

    def _cap(self, ring, outward, color, surface) -> None:
        middle = ring.mean(axis=0)
        normal = _cross(ring[1] - middle, ring[0] - middle) * outward
        length = np.linalg.norm(normal)
        if length < 1e-12:
            return
        count = len(ring)
        j = np.arange(count)
        faces = np.stack([np.full(count, count), (j + 1) % count, j], axis=-1)
        vertices = np.concatenate([ring, middle[None]])
        normals = np.broadcast_to(normal / length, vertices.shape)
        first = (ring[0] - middle) / np.linalg.norm(ring[0] - middle)
        uv = np.stack([vertices @ first, vertices @ _cross(normal / length, first)], axis=-1)
        self._add(vertices, normals, uv, faces if outward > 0 else faces[:, ::-1], color, surface)

    def lathe(self, profile, color, surface: Surface = None, sides=16, at=(0, 0, 0), turn=None) -> None:
        """Profile of (radius, y) from below to above on the outside, turned about Y and capped."""
        radius, y = np.array(profile, float).T[:, :, None]
        cos, sin = _circle(sides)
        rings = np.stack([radius * cos, np.broadcast_to(y, (len(y), sides)), radius * sin], axis=-1)
        self.loft(rings, color, surface, turn, at)

    def limb(self, start, stop, low, high=None, color=(0.5, 0.5, 0.5), surface: Surface = None, sides=10):
        """A round bar of radius `low` at start and `high` at stop."""
        start, axis = np.asarray(start, float), np.subtract(stop, start)
        length = float(np.linalg.norm(axis))
        high = low if high is None else high
        self.lathe([(low, 0.0), (high, length)], color, surface, sides, start, rotation_to(axis))

    def pipe(self, points, radius, color, sides=8) -> None:
        """A round bar bent along points (M, 3)."""
        points = np.asarray(points, float)
        along = np.gradient(points, axis=0)
        along /= np.linalg.norm(along, axis=1, keepdims=True)
        side = np.eye(3)[np.abs(np.ptp(points, axis=0)).argmin()]
        rings = []
        angle = np.arange(sides) * tau / sides
        for point, way in zip(points, along, strict=True):
            a = _cross(way, side)
            a /= np.linalg.norm(a)
            b = _cross(way, a)
            rings.append(point + radius * (np.cos(angle)[:, None] * a - np.sin(angle)[:, None] * b))
        self.loft(rings, color)

    def sheet(self, grid, color, surface: Surface = None) -> None:
        """Points (M, N, 3) of an open surface whose front is where columns x rows points."""
        grid = np.asarray(grid, float)
        rows, columns = grid.shape[:2]
        normals = _cross(np.gradient(grid, axis=1), np.gradient(grid, axis=0))
        normals /= np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-12)
        height = np.concatenate([[0], np.linalg.norm(np.diff(grid, axis=0), axis=-1).mean(axis=1).cumsum()])
        width = np.concatenate([[0], np.linalg.norm(np.diff(grid, axis=1), axis=-1).mean(axis=0).cumsum()])
        uv = np.stack(np.meshgrid(width, height), axis=-1)
        if isinstance(surface, np.ndarray):
            uv = uv / np.maximum(uv.max(axis=(0, 1)), 1e-9)
        color = np.asarray(color, float)
        colors = color if color.ndim == 1 else color.reshape(-1, 3)
        faces = _grid_faces(rows, columns, False)[:, ::-1]
        self._add(grid.reshape(-1, 3), normals.reshape(-1, 3), uv.reshape(-1, 2), faces, colors, surface)

    def panel(self, centre, width, height, color, surface: Surface = None, turn=None) -> None:
        """An upright rectangle that faces +Z, before `turn`."""
        x, y = np.array([-0.5, 0.5]) * width, np.array([-0.5, 0.5]) * height
        grid = np.stack([*np.meshgrid(x, y), np.zeros((2, 2))], axis=-1)
        if turn is not None:
            grid = grid @ np.asarray(turn).T
        self.sheet(grid + np.asarray(centre, float), color, surface)
