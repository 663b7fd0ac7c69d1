"""What every reader gives: parts of a mesh; and what every reader needs to make them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

GREY = (180, 180, 180)  # where the file says nothing of colour
MAX_TRIANGLES = 5_000_000


class Fault(Exception):
    """What is wrong with a file; whoever reads it puts the file's name before it."""


@dataclass
class Part:
    """Triangles that share a texture.

    vertices  (V, 3) float64; those that no face uses may be anything
    faces     (F, 3) int64
    colors    (V, 3) uint8, as ``Mesh`` has them
    uv        (V, 2) float64, origin at the lower left, repeating; with ``texture`` only
    texture   (h, w, 3) uint8; parts that share it have the same array
    name      of the object that it belongs to
    node      parts of one object have the same number
    clear     whether its material lets more light through than it stops
    """

    vertices: np.ndarray
    faces: np.ndarray
    colors: np.ndarray
    uv: np.ndarray | None = None
    texture: np.ndarray | None = None
    name: str = "mesh"
    node: int = 0
    clear: bool = False


def text_of(data: bytes) -> str:
    """A text file in whichever encoding, its lines ended by ``\\n``."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = data.decode("utf-16", "replace")
    else:
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = data.decode("latin-1")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def numbers(words: list[str], what: str) -> np.ndarray:
    """(n,) float64 of words, or a Fault that says what they should have been numbers of."""
    try:
        return np.array(words, dtype=np.float64)
    except ValueError as error:
        raise Fault(f"malformed: {what} that is no number ({error})") from None


def check_count(triangles: int) -> None:
    """A Fault where there are more triangles than anybody renders."""
    if triangles > MAX_TRIANGLES:
        raise Fault(f"{triangles:,} triangles; at most {MAX_TRIANGLES:,} are allowed")


def indices_of(values: np.ndarray, count: int) -> np.ndarray:
    """int64, or a Fault where one of the values is none of ``count`` vertices."""
    if values.dtype.kind == "f" and not (values == np.floor(values)).all():
        raise Fault("malformed: a face index that is no whole number")
    indices = (values.clip(-1, 2**40) if values.dtype.kind == "f" else values).astype(np.int64)
    if len(indices) and (indices.min() < 0 or indices.max() >= count):
        span = f"{indices.min()} to {indices.max()} with {count} vertices"
        raise Fault(f"a face index is out of range: {span}")
    return indices


def bytes_of(colors: np.ndarray) -> np.ndarray:
    """(n, 3) uint8 of colours (n, 3 or more): integers from 0 to 255, or of 16 bits to 65535; floats from 0
    to 1, or whole to 255, which they are where one is beyond 1. NaN counts as 0."""
    colors = np.asarray(colors)[:, :3]
    if colors.dtype == np.uint8:
        return np.array(colors)
    if colors.dtype == np.uint16 and colors.max(initial=0) > 255:
        return (colors / 257).round().astype(np.uint8)
    whole = colors.dtype.kind in "iu"
    colors = np.nan_to_num(colors.astype(np.float64), nan=0.0, posinf=1.0, neginf=0.0)
    most = colors.max(initial=0.0)
    if not whole and most <= 1.01:
        colors = colors * 255
    elif most > 255 or (colors != colors.round()).any():
        raise Fault(f"colours beyond 1, up to {most:g}; they go from 0 to 1, or whole from 0 to 255")
    return np.clip(colors, 0, 255).round().astype(np.uint8)


def strips(indices: np.ndarray) -> np.ndarray:
    """(n, 3) triangles of a strip of n + 2 indices, all turning the same way."""
    first = np.stack([indices[:-2], indices[1:-1], indices[2:]], axis=1)
    first[1::2] = first[1::2, [1, 0, 2]]
    return first


def triangulated(points: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Polygons as triangles: (F, 3) indices into ``points``, and (F,) the polygon of each, ascending.

    points: (C, 3) float64, the corners of all polygons, one after the other
    counts: (P,) how many corners each has; of less than three nothing is left

    A convex polygon becomes a fan, another loses its ears. Triangles turn as their polygon does.
    """
    starts = np.cumsum(counts) - counts
    triangles, polygons = [np.zeros((0, 3), np.int64)], [np.zeros(0, np.int64)]
    for sides in np.unique(counts[counts >= 3]).tolist():
        which = np.flatnonzero(counts == sides)
        corners = starts[which][:, None] + np.arange(sides)
        fan = np.stack([np.zeros(sides - 2, int), np.arange(1, sides - 1), np.arange(2, sides)], axis=1)
        concave = np.zeros(len(which), bool)
        if sides > 3:
            turned = _turned(points[corners])
            concave = np.asarray(turned.any(axis=1))
        if sides == 4:  # which is cut from the corner that turns inwards
            odd = turned[:, 1] | turned[:, 3]
            corners[odd] = np.roll(corners[odd], -1, axis=1)
            concave[:] = False
        triangles.append(corners[~concave][:, fan].reshape(-1, 3))
        polygons.append(np.repeat(which[~concave], sides - 2))
        for polygon, own in zip(which[concave].tolist(), corners[concave], strict=True):
            triangles.append(own[_without_ears(points[own])])
            polygons.append(np.full(len(triangles[-1]), polygon))
    polygon = np.concatenate(polygons)
    order = np.argsort(polygon, kind="stable")
    return np.concatenate(triangles)[order], polygon[order]


def _turned(points: np.ndarray) -> np.ndarray:
    """(P, n) bool: at which corners polygons (P, n, 3) turn against their own normal."""
    with np.errstate(over="ignore", invalid="ignore"):
        sides = np.roll(points, -1, axis=1) - points
        turns = np.cross(np.roll(sides, 1, axis=1), sides)
        normals = _normals(points)
        return (turns * normals[:, None]).sum(-1) < -1e-9 * (normals**2).sum(-1)[:, None]


def _normals(points: np.ndarray) -> np.ndarray:
    """(P, 3): twice the area of polygons (P, n, 3), along their normals (Newell)."""
    spokes = points - points[:, :1]
    return np.cross(spokes, np.roll(spokes, -1, axis=1)).sum(axis=1)


def _without_ears(points: np.ndarray) -> np.ndarray:
    """(F, 3): a simple polygon (n, 3), or one that holes are joined to, as triangles."""
    import mapbox_earcut  # which few files need

    normal = _normals(points[None])[0]
    drop = int(np.abs(normal).argmax())
    flat = np.ascontiguousarray(np.delete(points, drop, axis=1))
    ends = np.array([len(flat)], np.uint32)
    triangles = mapbox_earcut.triangulate_float64(flat, ends).reshape(-1, 3).astype(np.int64)
    turned = _normals(points[triangles]) @ normal < 0
    triangles[turned] = triangles[turned, ::-1]
    return triangles
