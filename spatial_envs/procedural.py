"""Seeded objects of great variety: what next-best-view agents train on when nobody has a data set.

Two ways of making a closed surface, and every family uses one of them:
- a *lattice*: rings of points, joined to their neighbours (superquadrics, lofts, vessels, tubes, blobs);
- a *solid*: primitives united with, or cut out of, one another as a signed distance field, whose surface
  is found by dual contouring (furniture, mugs, buildings, creatures: everything with handles and holes).

Builders work in metres, Y up, at a size of about one; `procedural_object` turns and normalises the result.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

import numba
import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial.transform import Rotation

from .mesh import Mesh

Builder = Callable[[np.random.Generator], Mesh]

TAU = 2 * np.pi
QUADS = 7_000  # of a dual-contoured surface: fine enough for walls of 2 cm, and under 20,000 triangles
FINEST = 130  # at most so many cells along the diagonal of a solid's bounding box


# ------------------------------------------------------------------------------ colours and textures


def _hue(rng: np.random.Generator) -> float:
    """Half of the time the browns and reds of wood, clay and leather, otherwise any."""
    return rng.uniform(0.0, 0.13) if rng.uniform() < 0.5 else rng.uniform()


def _color(rng: np.random.Generator, hue: float, pale: float = 0.0, strong: float = 0.65) -> np.ndarray:
    """(3,) float, an albedo of this hue and of a saturation up to `strong`; pale = 1 is white."""
    rgb = np.array(colorsys.hsv_to_rgb(hue % 1.0, strong * rng.uniform(0.2, 1.0), rng.uniform(0.35, 0.95)))
    return rgb + (0.95 - rgb) * pale


def _waves(rng: np.random.Generator, points: np.ndarray, frequency: float, octaves: int = 3) -> np.ndarray:
    """Smooth noise in about [-1, 1]: sums of plane waves of random directions. points (..., 3)."""
    total = np.zeros(points.shape[:-1])
    for octave in range(octaves):
        directions = rng.normal(size=(3, 5)) * (frequency * 2**octave)
        phase = rng.uniform(0, TAU, 5)
        total += np.sin(points @ directions + phase).sum(axis=-1) * 0.35 / 2**octave
    return total


def _pattern(rng: np.random.Generator, points: np.ndarray) -> np.ndarray:
    """(V,) in [0, 1], the share of the second colour: stripes, a gradient, spots, checks or noise."""
    kind = rng.choice(
        ["plain", "stripes", "gradient", "spots", "checks", "noise"], p=[0.34, 0.14, 0.18, 0.1, 0.04, 0.2]
    )
    axis = rng.normal(size=3)
    along = points @ (axis / np.linalg.norm(axis))
    if kind == "stripes":
        return (np.sin(along * rng.uniform(15, 50)) > rng.uniform(-0.5, 0.5)).astype(float)
    if kind == "gradient":
        return np.clip(0.5 + along * rng.uniform(1, 2.5), 0, 1)
    if kind == "spots":
        return (_waves(rng, points, rng.uniform(8, 18), octaves=1) > 0.35).astype(float)
    if kind == "checks":
        return (np.floor(points * rng.uniform(6, 14)).sum(axis=-1) % 2).astype(float)
    return np.clip(0.5 + _waves(rng, points, rng.uniform(3, 9)), 0, 1) * (1.0 if kind == "noise" else 0.15)


def _paint(rng: np.random.Generator, points: np.ndarray, parts: np.ndarray, pale: float = 0.0) -> np.ndarray:
    """(V, 3) uint8: every part has two colours of one palette, mixed by a pattern. parts (V,) int."""
    hue, spread, strong = _hue(rng), rng.choice([0.04, 0.12, 0.33]), rng.uniform(0.25, 0.85)
    colors = np.empty(points.shape)
    for part in np.unique(parts):
        mine = parts == part
        first, second = (_color(rng, hue + rng.normal() * spread, pale, strong) for _ in range(2))
        colors[mine] = first + _pattern(rng, points[mine])[:, None] * (second - first)
    dirt = 1 + 0.1 * _waves(rng, points, 4.0, octaves=2)[:, None]
    return np.rint(np.clip(colors * dirt, 0.03, 1) * 255).astype(np.uint8)


def _texture(rng: np.random.Generator) -> np.ndarray:
    """(128, 128, 3) uint8, repeating: bricks, checks, stripes, dots, wood or marble."""
    y, x = np.mgrid[0:128, 0:128] / 128
    cloud = np.zeros((128, 128))
    for _ in range(12):
        fx, fy = rng.integers(-7, 8, 2)  # whole waves, so that the texture repeats without a seam
        cloud += np.sin(TAU * (fx * x + fy * y) + rng.uniform(0, TAU)) / 6
    kind = rng.choice(
        ["bricks", "checks", "stripes", "dots", "wood", "marble"], p=[0.18, 0.07, 0.15, 0.1, 0.3, 0.2]
    )
    n = int(rng.integers(2, 6))
    if kind == "bricks":
        row = np.floor(y * 2 * n)
        amount = ((y * 2 * n % 1 < 0.15) | ((x * n + 0.5 * (row % 2)) % 1 < 0.08)) * 1.0
    elif kind == "checks":
        amount = (np.floor(x * 2 * n) + np.floor(y * 2 * n)) % 2
    elif kind == "stripes":
        amount = ((x * n + y * rng.integers(-3, 4)) % 1 < rng.uniform(0.2, 0.7)) * 1.0
    elif kind == "dots":
        amount = (np.hypot((x * n) % 1 - 0.5, (y * n) % 1 - 0.5) < rng.uniform(0.2, 0.4)) * 1.0
    elif kind == "wood":
        amount = 0.5 + 0.5 * np.sin(TAU * (x * 2 * n + 0.6 * cloud))
    else:
        amount = np.abs(np.sin(TAU * (x + y + cloud)))
    hue = _hue(rng)
    light, dark = _color(rng, hue + 0.1 * rng.normal(), pale=0.8), _color(rng, hue, pale=rng.uniform(0, 0.5))
    image = dark + (np.clip(amount + 0.08 * cloud, 0, 1))[..., None] * (light - dark)
    return np.rint(image * 255).astype(np.uint8)


# ------------------------------------------------------------------------- lattices: rings of points


def _lattice(
    rng: np.random.Generator, rings: np.ndarray, loop: bool = False, inner: int | None = None
) -> Mesh:
    """The closed surface through rings (M, N, 3) of points: a sphere, its ends closed by fans,
    or with loop=True a torus. From ring `inner` on it is another part (the inside of a vessel)."""
    ends = [rings, rings[:1]] if loop else [_pole(rings[0]), rings, _pole(rings[-1])]
    grid = np.concatenate(ends)
    grid = np.concatenate([grid, grid[:, :1]], axis=1)
    m, n = grid.shape[0] - 1, grid.shape[1] - 1
    index = np.arange((m + 1) * (n + 1)).reshape(m + 1, n + 1)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]
    first, second = np.stack([a, b, c], axis=-1), np.stack([a, c, d], axis=-1)
    if not loop:  # beside a pole half of the triangles have no area
        first, second = first[1:], second[:-1]
    faces = np.concatenate([first.reshape(-1, 3), second.reshape(-1, 3)])
    vertices = grid.reshape(-1, 3).astype(np.float32)
    corners = vertices[faces].astype(np.float64)
    if np.einsum("fi,fi", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) < 0:
        faces = faces[:, ::-1]

    parts = np.repeat(np.arange(m + 1) >= (m + 1 if inner is None else inner), n + 1).astype(int)
    if rng.uniform() < 0.5:
        colors = _paint(rng, vertices, parts)
        place = np.arange((m + 1) * n).reshape(m + 1, n)  # one vertex per place: no seam, one pole
        place = np.concatenate([place, place[:, :1]], axis=1)
        if loop:
            place[-1] = place[0]
        else:
            place[0], place[-1] = place[0, 0], place[-1, 0]
        _, where, rank = np.unique(place, return_index=True, return_inverse=True)
        return Mesh(vertices[where], rank.reshape(-1)[faces].astype(np.int32), colors[where])
    repeats = rng.integers(1, 5, 2)
    v, u = np.meshgrid(np.linspace(0, repeats[1], m + 1), np.linspace(0, repeats[0], n + 1), indexing="ij")
    uv = np.stack([u, v], axis=-1).reshape(-1, 2).astype(np.float32)
    colors = _paint(rng, vertices, parts, pale=0.75)
    which = np.zeros(len(faces), np.int32)
    return Mesh(vertices, faces.astype(np.int32), colors, uv, (_texture(rng),), which)


def _pole(ring: np.ndarray) -> np.ndarray:
    return np.broadcast_to(ring.mean(axis=0), (1, *ring.shape))


def _superellipse(exponent: float, start: float, stop: float, count: int) -> np.ndarray:
    """(count, 2): (cos^e, sin^e) of angles from start to stop, evenly spaced along the curve."""
    angle = np.linspace(start, stop, 4001)
    curve = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    curve = np.sign(curve) * np.abs(curve) ** exponent
    length = np.concatenate([[0.0], np.linalg.norm(np.diff(curve, axis=0), axis=1).cumsum()])
    where = np.linspace(0, length[-1], count)
    return np.stack([np.interp(where, length, curve[:, k]) for k in range(2)], axis=-1)


def _deformed(rng: np.random.Generator, points: np.ndarray, strength: float = 1.0) -> np.ndarray:
    """Tapered, twisted and bent along Y (Barr 1984, Global and local deformations of solid primitives)."""
    x, y, z = np.moveaxis(points, -1, 0)
    taper, twist, bend = rng.uniform(-1, 1, 3) * strength * [0.5, 1.6, 1.1]
    x, z = x * (1 + taper * y), z * (1 + 0.6 * taper * y)
    x, z = x * np.cos(twist * y) + z * np.sin(twist * y), z * np.cos(twist * y) - x * np.sin(twist * y)
    radius = 1 / (bend if abs(bend) > 1e-3 else 1e-3)
    return np.stack(
        [radius - (radius - x) * np.cos(y / radius), (radius - x) * np.sin(y / radius), z], axis=-1
    )


def superquadric(rng: np.random.Generator) -> Mesh:
    """Superellipsoid or supertoroid (Barr 1981, Superquadrics and angle-preserving transformations)."""
    around = _superellipse(rng.uniform(0.25, 1.7), 0, TAU, 97)[:-1]
    toroid = rng.uniform() < 0.5
    if toroid:
        up = _superellipse(rng.uniform(0.25, 1.6), 0, TAU, 65)[:-1] * [1.0, rng.uniform(0.6, 2.5)]
        up[:, 0] += rng.uniform(1.5, 3.0)
    else:
        up = _superellipse(rng.uniform(0.25, 1.6), -TAU / 4, TAU / 4, 66)[1:-1]
    rings = np.concatenate(
        [up[:, None, :1] * around, np.broadcast_to(up[:, None, 1:], (len(up), 96, 1))], axis=-1
    )
    rings = rings[..., [0, 2, 1]] * rng.uniform(0.45, 1.0, 3)
    rings *= 0.5 / np.abs(rings).max()
    return _lattice(rng, _deformed(rng, rings) @ Rotation.random(random_state=rng).as_matrix(), loop=toroid)


def blob(rng: np.random.Generator) -> Mesh:
    """A star-shaped body displaced by noise, smooth, ridged or dented: potatoes, rocks, sea urchins."""
    up = np.linspace(0, np.pi, 82)[1:-1]
    around = np.linspace(0, TAU, 96, endpoint=False)
    sphere = np.stack(
        np.broadcast_arrays(
            np.sin(up)[:, None] * np.cos(around), np.cos(up)[:, None], np.sin(up)[:, None] * np.sin(around)
        ),
        axis=-1,
    )
    noise = _waves(rng, sphere, rng.uniform(0.6, 1.4), octaves=int(rng.integers(1, 3)))
    kind = rng.choice(["smooth", "ridged", "dented"])
    ridges = 1 - 2 * np.sqrt(noise**2 + 0.02)
    radius = np.exp(rng.uniform(0.3, 0.55) * (ridges if kind == "ridged" else noise))
    if kind == "dented":
        for _ in range(rng.integers(3, 9)):
            towards = rng.normal(size=3)
            cosine = sphere @ (towards / np.linalg.norm(towards))
            radius *= 1 - rng.uniform(0.4, 0.65) / (1 + np.exp((rng.uniform(0.75, 0.93) - cosine) * 60))
    rings = sphere * radius[..., None] * rng.uniform(0.5, 1.0, 3)
    return _lattice(rng, rings @ Rotation.random(random_state=rng).as_matrix())


def _hollow(low: Callable, height: float, wall: float, floor: float, count: int) -> tuple[np.ndarray, int]:
    """Profile (M, 2) of (radius, height) up the outside of a vessel, over its lip and down the inside,
    and where the inside begins. low(y) is the outer radius; the wall is `wall` thick across its slope."""
    y = np.linspace(0, height, count)
    slope = np.gradient(low(y), y)
    thick = wall * np.sqrt(1 + np.minimum(slope**2, 8))
    inside = np.maximum(low(y) - thick, 0.3 * low(y))
    keep = y > floor
    lip = np.linspace(0, np.pi, 7)[1:-1]
    middle, half = (low(y)[-1] + inside[-1]) / 2, (low(y)[-1] - inside[-1]) / 2
    parts = [
        np.stack([np.linspace(0.15, 0.9, 6) * low(y)[0], np.zeros(6)], axis=-1),
        np.stack([low(y), y], axis=-1),
        np.stack([middle + half * np.cos(lip), height + half * np.sin(lip)], axis=-1),
        np.stack([inside, y], axis=-1)[keep][::-1],
    ]
    bottom = parts[-1][-1]
    parts.append(np.stack([np.linspace(0.9, 0.15, 6) * bottom[0], np.full(6, bottom[1])], axis=-1))
    return np.concatenate(parts), 6 + count + 4


def vessel(rng: np.random.Generator) -> Mesh:
    """A revolved profile with a deep cavity: bowls, vases, goblets, bells; fluted, oval or leaning."""
    height, widest = rng.uniform(0.35, 1.0), rng.uniform(0.3, 0.5)
    knots = np.linspace(0, height, int(rng.integers(3, 7)))
    radii = rng.uniform(0.35, 1.0, len(knots)) * widest
    radii[-1] = max(radii[-1], 0.6 * widest)
    low = PchipInterpolator(knots, radii)
    profile, inner = _hollow(low, height, rng.uniform(0.032, 0.05), rng.uniform(0.04, 0.3) * height, 45)
    angle = np.linspace(0, TAU, 64, endpoint=False)
    flute = 1 + rng.choice([0.0, 0.04, 0.09]) * np.cos(rng.integers(3, 9) * angle)
    oval = rng.uniform(0.6, 1.0)
    r, y = profile[:, :1] * flute, profile[:, 1:] - height / 2 + 0 * angle
    rings = _deformed(rng, np.stack([r * np.cos(angle), y, oval * r * np.sin(angle)], axis=-1), strength=0.6)
    return _lattice(rng, rings, inner=inner)


def loft(rng: np.random.Generator) -> Mesh:
    """Cross-sections that change shape along a bent axis: horns, bottles, gutters; half of them hollow."""
    hollow = rng.uniform() < 0.6
    y = np.linspace(0, 1, 45)
    size = PchipInterpolator(np.linspace(0, 1, 5), rng.uniform(0.14, 0.34, 5))
    if hollow:
        profile, inner = _hollow(size, 1.0, 0.045, rng.uniform(0.05, 0.5), 45)
    else:
        caps = np.linspace(0.2, 0.85, 4)[:, None]
        sides = np.stack([size(y), y], axis=-1)
        profile = np.concatenate([sides[0] * [1, 0] * caps, sides, sides[-1] * [1, 0] * caps[::-1] + [0, 1]])
    angle = np.linspace(0, TAU, 72, endpoint=False)
    sections = []
    for _ in range(3):
        lobes = int(rng.integers(1, 7))
        wave = rng.uniform(0, min(0.25, 0.6 / lobes)) * np.cos(lobes * angle + rng.uniform(0, TAU))
        sections.append(1 + wave + rng.uniform(0, 0.12) * np.cos(rng.integers(2, 4) * angle))
    blend = PchipInterpolator([0, 0.5, 1], np.array(sections))(np.clip(profile[:, 1], 0, 1))
    r = profile[:, :1] * blend
    rings = np.stack([r * np.cos(angle), profile[:, 1:] - 0.5 + 0 * angle, r * np.sin(angle)], axis=-1)
    bend = _deformed(rng, rings, strength=1.5)
    return _lattice(rng, bend @ _turn(x=rng.normal() * 0.6), inner=inner if hollow else None)


def _curve(rng: np.random.Generator, count: int) -> tuple[np.ndarray, bool]:
    """(count, 3) points of a space curve, and whether it closes: a torus knot, a coil or a wandering loop."""
    kind = rng.choice(["knot", "coil", "loop", "snake"])
    closed = kind in ("knot", "loop")
    t = np.linspace(0, TAU, count, endpoint=not closed)
    if kind == "knot":
        p, q = [(2, 3), (3, 2), (2, 5), (1, 4), (1, 6), (3, 4)][rng.integers(6)]
        r = 1 + rng.uniform(0.35, 0.5) * np.cos(q * t)
        return np.stack(
            [r * np.cos(p * t), rng.uniform(0.35, 0.9) * np.sin(q * t), r * np.sin(p * t)], -1
        ), True
    if kind == "coil":
        turns, lean = rng.uniform(1.5, 4.5), rng.uniform(-0.6, 0.6)
        r = 1 + lean * (t / TAU - 0.5) * 2
        height = rng.uniform(0.35, 0.6) * turns
        return np.stack([r * np.cos(turns * t), height * t / TAU * 2, r * np.sin(turns * t)], axis=-1), False
    order = np.arange(1, 4)[:, None] * (1.0 if closed else 0.5)
    weights, phase = rng.normal(size=(3, 3, 1)) / np.arange(1, 4)[:, None], rng.uniform(0, TAU, (3, 3, 1))
    return (weights * np.sin(order * t + phase)).sum(axis=1).T, closed


def _thickness(points: np.ndarray, tangents: np.ndarray) -> float:
    """How thick a tube round the curve may be: the least radius of a circle tangent at one point and through
    another (Gonzalez and Maddocks 1999, Global curvature, thickness, and the ideal shapes of knots)."""
    apart = points[None] - points[:, None]
    square = (apart**2).sum(axis=-1)
    across = np.sqrt(
        np.maximum(square - np.einsum("ijk,ik->ij", apart, tangents) ** 2, 1e-12 * square + 1e-30)
    )
    np.fill_diagonal(square, np.inf)
    return float((square / (2 * across)).min())


def _tangents(points: np.ndarray, closed: bool) -> np.ndarray:
    steps = np.roll(points, -1, 0) - np.roll(points, 1, 0) if closed else np.gradient(points, axis=0)
    return steps / np.linalg.norm(steps, axis=1, keepdims=True)


def tube(rng: np.random.Generator) -> Mesh:
    """A section swept along a space curve, never thicker than the curve allows: knots, springs, pretzels."""
    best, room = None, 0.0
    for _ in range(6):
        points, closed = _curve(rng, 220)
        points = points / np.linalg.norm(np.ptp(points, axis=0))
        coarse = points[::2]
        space = _thickness(coarse, _tangents(coarse, closed))
        if best is None or space > room:
            best, room = (points, closed), space
        if room > 0.05:
            break
    assert best is not None
    points, closed = best
    tangents = _tangents(points, closed)
    side = _transported(tangents, closed)
    angle = np.linspace(0, TAU, 36, endpoint=False)
    lobes, t = rng.integers(2, 6), np.linspace(0, TAU, len(points), endpoint=not closed)[:, None]
    section = 1 - rng.choice([0.0, 0.2, 0.35]) * (0.5 - 0.5 * np.cos(lobes * angle))
    swell = 1 - rng.uniform(0, 0.4) * (0.5 - 0.5 * np.cos(rng.integers(1, 5) * t + rng.uniform(0, TAU)))
    radius = min(0.85 * room, rng.uniform(0.05, 0.11)) * section * swell
    up = np.cross(tangents, side)
    rings = radius[..., None] * (
        np.cos(angle)[:, None] * side[:, None] + np.sin(angle)[:, None] * up[:, None]
    )
    rings = (rings + points[:, None]) @ Rotation.random(random_state=rng).as_matrix()
    return _lattice(rng, rings, loop=closed)


def _transported(tangents: np.ndarray, closed: bool) -> np.ndarray:
    """(M, 3) unit normals that turn about the curve as little as can be, and that meet where it closes."""
    side = np.empty_like(tangents)
    side[0] = np.cross(tangents[0], np.eye(3)[np.abs(tangents[0]).argmin()])
    for i in range(1, len(side)):
        side[i] = side[i - 1] - tangents[i] * (side[i - 1] @ tangents[i])
        side[i] /= np.linalg.norm(side[i])
    side[0] /= np.linalg.norm(side[0])
    if not closed:
        return side
    last = side[-1] - tangents[0] * (side[-1] @ tangents[0])
    gap = np.arctan2(np.cross(last, side[0]) @ tangents[0], last @ side[0])
    turn = (gap * np.arange(len(side)) / len(side))[:, None]
    return np.cos(turn) * side + np.sin(turn) * np.cross(tangents, side)


# ------------------------------------------------------- solids: signed distances and dual contouring

PRISM, CONE, LIMB, ARC, ELLIPSOID = range(5)


def _turn(x: float = 0.0, y: float = 0.0, z: float = 0.0) -> np.ndarray:
    """Rotation matrix about Z, then X, then Y; radians."""
    return Rotation.from_euler("YXZ", [y, x, z]).as_matrix()


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
        self._add(LIMB, start + axis / 2, (low, high, half), reach, turn=_towards(axis), **how)

    def arc(self, centre, major, minor, half_angle=np.pi, **how) -> None:
        """A piece of a torus round the Z axis, within half_angle of +Y."""
        size = (np.sin(half_angle), np.cos(half_angle), major, minor)
        self._add(ARC, centre, size, major + minor, **how)

    def ellipsoid(self, centre, radii, **how) -> None:
        self._add(ELLIPSOID, centre, radii, max(radii), **how)

    def mesh(self, rng: np.random.Generator) -> Mesh:
        """The painted surface; half of the solids get a texture on some of their parts."""
        rows = np.array(self.rows)
        added = rows[rows[:, 1] == 0]
        low = (added[:, 6:9] - added[:, 5:6]).min(axis=0)
        high = (added[:, 6:9] + added[:, 5:6]).max(axis=0)
        low, high = _tight_bounds(rows, low, high)
        diagonal = float(np.linalg.norm(high - low))
        cell = diagonal / 48
        field = _field(rows, low, high, cell)[1]
        for _ in range(8):
            quads = _crossings(field)
            if cell < diagonal / 48 and (quads < 1.2 * QUADS or quads < 600):
                break
            cell = max(cell * np.sqrt(quads / QUADS), diagonal / FINEST)
            cell = min(cell, diagonal / 49)
            origin, field = _field(rows, low, high, cell)
        _unpinch(field)
        vertices, faces, parts = _dual_contour(field, origin, cell, rows)
        vertices, faces, parts = _largest_piece(vertices, faces, parts)
        if rng.uniform() < 0.5:
            return Mesh(vertices, faces, _paint(rng, vertices, parts))
        return _box_projected(rng, vertices, faces, parts)


def _towards(axis: np.ndarray) -> np.ndarray:
    """(3, 3) rotation that takes +Y to the direction of `axis`."""
    y = axis / np.linalg.norm(axis)
    x = np.cross(y, np.eye(3)[np.abs(y).argmin()])
    x /= np.linalg.norm(x)
    return np.stack([x, y, np.cross(x, y)], axis=1)


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
    _fill(field, origin, cell, rows)
    return origin, field


@numba.njit(cache=True, nogil=True)
def _distance(row, x, y, z):
    """Signed distance of a point from one primitive (Quilez, Distance functions)."""
    x, y, z = x - row[6], y - row[7], z - row[8]
    x, y, z = (
        row[9] * x + row[10] * y + row[11] * z,
        row[12] * x + row[13] * y + row[14] * z,
        row[15] * x + row[16] * y + row[17] * z,
    )
    kind, s0, s1, s2, s3 = int(row[0]), row[18], row[19], row[20], row[21]
    if kind == 4:  # ellipsoid: an estimate, exact near the surface
        k0 = np.sqrt((x / s0) ** 2 + (y / s1) ** 2 + (z / s2) ** 2)
        k1 = np.sqrt((x / s0**2) ** 2 + (y / s1**2) ** 2 + (z / s2**2) ** 2)
        return k0 * (k0 - 1) / k1 if k1 > 1e-9 else -min(s0, s1, s2)
    if kind == 3:  # arc
        x = abs(x)
        k = x * s0 + y * s1 if s1 * x > s0 * y else np.sqrt(x * x + y * y)
        return np.sqrt(max(x * x + y * y + z * z + s2 * s2 - 2 * s2 * k, 0.0)) - s3
    if kind == 2:  # limb
        slope = (s0 - s1) / (2 * s2)
        rise = np.sqrt(1 - slope * slope)
        q, y = np.sqrt(x * x + z * z), y + s2
        k = y * rise - q * slope
        if k < 0:
            return np.sqrt(q * q + y * y) - s0
        if k > rise * 2 * s2:
            return np.sqrt(q * q + (y - 2 * s2) ** 2) - s1
        return q * rise + y * slope - s0
    if kind == 1:
        flat = _trapezoid(np.sqrt(x * x + z * z), y, s0, s1, s2)
        return flat - row[4]
    flat, side = _trapezoid(abs(x), y, s0, s1, s2), abs(z) - s3
    return min(max(flat, side), 0.0) + np.sqrt(max(flat, 0.0) ** 2 + max(side, 0.0) ** 2) - row[4]


@numba.njit(cache=True, nogil=True)
def _trapezoid(x, y, low, high, half):
    """Signed distance in the plane, x >= 0, from a trapezoid: |x| <= low at y = -half, <= high at +half."""
    cap_x, cap_y = x - min(x, low if y < 0 else high), abs(y) - half
    edge_x, edge_y = high - low, 2 * half
    t = ((high - x) * edge_x + (half - y) * edge_y) / (edge_x**2 + edge_y**2)
    t = min(max(t, 0.0), 1.0)
    side_x, side_y = x - high + edge_x * t, y - half + edge_y * t
    away = np.sqrt(min(cap_x**2 + cap_y**2, side_x**2 + side_y**2))
    return -away if side_x < 0 and cap_y < 0 else away


@numba.njit(cache=True, nogil=True)
def _joined(f, d, row):
    """What is there (f) united with, or cut by, a primitive (d); with blend the joint is smooth."""
    blend = row[3]
    if row[1] > 0:
        near = max(blend - abs(f + d), 0.0) / blend if blend > 0 else 0.0
        return max(f, -d) + near * near * blend / 4
    near = max(blend - abs(f - d), 0.0) / blend if blend > 0 else 0.0
    return min(f, d) - near * near * blend / 4


@numba.njit(cache=True, nogil=True)
def _fill(field, origin, cell, rows):
    for r in range(rows.shape[0]):
        row = rows[r]
        margin = row[3] + 2 * cell
        first, last = np.zeros(3, np.int64), np.zeros(3, np.int64)
        for k in range(3):  # half extent of the primitive along world axis k, from its own box
            if row[0] <= 1:
                wide = max(row[18], row[19])
                deep = row[21] if row[0] == 0 else wide
                half = abs(row[9 + k]) * wide + abs(row[12 + k]) * row[20] + abs(row[15 + k]) * deep + row[4]
                low, high = row[6 + k] - half, row[6 + k] + half
            elif row[0] == 2:
                start, end = row[6 + k] - row[12 + k] * row[20], row[6 + k] + row[12 + k] * row[20]
                low, high = min(start - row[18], end - row[19]), max(start + row[18], end + row[19])
            else:
                low, high = row[6 + k] - row[5], row[6 + k] + row[5]
            first[k] = max(0, int(np.ceil((low - margin - origin[k]) / cell)))
            last[k] = min(field.shape[k], int(np.floor((high + margin - origin[k]) / cell)) + 1)
        for i in range(first[0], last[0]):
            for j in range(first[1], last[1]):
                for k in range(first[2], last[2]):
                    x, y, z = origin[0] + i * cell, origin[1] + j * cell, origin[2] + k * cell
                    field[i, j, k] = _joined(field[i, j, k], _distance(row, x, y, z), row)


@numba.njit(cache=True, nogil=True)
def _evaluate(rows, x, y, z, near):
    """Distance at one point near the surface, and the part that made it so."""
    f, part = 1.0, 0
    for r in range(rows.shape[0]):
        row = rows[r]
        beyond = row[5] + row[3] + near
        if (x - row[6]) ** 2 + (y - row[7]) ** 2 + (z - row[8]) ** 2 > beyond * beyond:
            continue
        d = _distance(row, x, y, z)
        if (row[1] > 0 and -d > f) or (row[1] == 0 and d < f):
            part = int(row[2])
        f = _joined(f, d, row)
    return f, part


@numba.njit(cache=True, nogil=True)
def _crossings(field):
    """How many grid edges the surface crosses, which is how many quads it will have."""
    count = 0
    nx, ny, nz = field.shape
    for i in range(nx - 1):
        for j in range(ny - 1):
            for k in range(nz - 1):
                inside = field[i, j, k] < 0
                count += inside != (field[i + 1, j, k] < 0)
                count += inside != (field[i, j + 1, k] < 0)
                count += inside != (field[i, j, k + 1] < 0)
    return count


@numba.njit(cache=True, nogil=True)
def _unpinch(field):
    """Fill grid points until no cell face is a chequerboard and no cell touches itself only across its
    diagonal: with one vertex per cell the surface is then a manifold. Points are only ever filled: it ends.
    Corner c of a cell is at (c & 1, c >> 1 & 1, c >> 2)."""
    nx, ny, nz = field.shape
    corner = np.zeros(8, np.bool_)
    changed = True
    while changed:
        changed = False
        for i in range(nx - 1):
            for j in range(ny - 1):
                for k in range(nz - 1):
                    count = 0
                    for c in range(8):
                        corner[c] = field[i + (c & 1), j + (c >> 1 & 1), k + (c >> 2)] < 0
                        count += corner[c]
                    fill = -1
                    for one, two in (
                        (1, 2),
                        (2, 4),
                        (1, 4),
                    ):  # the three faces at corner 0, and their opposites
                        for base in (0, 7 - one - two):
                            a, b, c, d = base, base + one, base + one + two, base + two
                            if corner[a] == corner[c] and corner[b] == corner[d] and corner[a] != corner[b]:
                                fill = b if corner[a] else a
                    for c in range(4):
                        if corner[c] == corner[7 - c] and count == (2 if corner[c] else 6):
                            fill = c ^ 1 if corner[c] else c
                    if fill >= 0:
                        field[i + (fill & 1), j + (fill >> 1 & 1), k + (fill >> 2)] = -1e-3
                        changed = True


@numba.njit(cache=True, nogil=True)
def _dual_contour(field, origin, cell, rows):
    """Vertices (V, 3), faces (F, 3) and the part of every vertex (V,): dual contouring (Ju, Losasso, Schaefer
    and Warren 2002); a cell's vertex lies where the tangent planes of its crossings meet, or near."""
    nx, ny, nz = field.shape
    index = np.full((nx, ny, nz), -1, np.int32)
    total = _crossings(field)
    sums = np.zeros((2 * total + 8, 13))  # normal normal^T (6), normal (normal . point) (3), point (3), count
    cells = np.zeros((2 * total + 8, 3), np.int32)
    quads = np.zeros((total, 4), np.int32)
    found, quad = 0, 0
    normal, point, step = np.zeros(3), np.zeros(3), np.zeros(3, np.int64)
    for i in range(1, nx - 1):
        for j in range(1, ny - 1):
            for k in range(1, nz - 1):
                for axis in range(3):
                    step[:] = 0
                    step[axis] = 1
                    here, there = field[i, j, k], field[i + step[0], j + step[1], k + step[2]]
                    if (here < 0) == (there < 0):
                        continue
                    t = _root(rows, origin, cell, (i, j, k), step, here < 0)
                    point[0], point[1], point[2] = i + t * step[0], j + t * step[1], k + t * step[2]
                    _gradient(rows, origin, cell, point, normal)
                    along = normal[0] * point[0] + normal[1] * point[1] + normal[2] * point[2]
                    b, c = (axis + 1) % 3, (axis + 2) % 3
                    for turn in range(4):  # the four cells round the edge, anticlockwise seen from +axis
                        back_b, back_c = int(turn in (0, 3)), int(turn in (0, 1))
                        x = i - back_b * (b == 0) - back_c * (c == 0)
                        y = j - back_b * (b == 1) - back_c * (c == 1)
                        z = k - back_b * (b == 2) - back_c * (c == 2)
                        v = index[x, y, z]
                        if v < 0:
                            v = index[x, y, z] = found
                            cells[v] = x, y, z
                            found += 1
                        quads[quad, turn if here < 0 else 3 - turn] = v
                        s = sums[v]
                        s[0] += normal[0] * normal[0]
                        s[1] += normal[0] * normal[1]
                        s[2] += normal[0] * normal[2]
                        s[3] += normal[1] * normal[1]
                        s[4] += normal[1] * normal[2]
                        s[5] += normal[2] * normal[2]
                        s[6:9] += normal * along
                        s[9:12] += point
                        s[12] += 1
                    quad += 1
    vertices, parts = np.zeros((found, 3)), np.zeros(found, np.int32)
    for v in range(found):
        place = _meeting_point(sums[v])
        for trial in range(2):
            for axis in range(3):  # a little away from the next cell, so that no triangle vanishes
                place[axis] = min(max(place[axis], cells[v, axis] + 0.03), cells[v, axis] + 0.97)
                vertices[v, axis] = origin[axis] + cell * place[axis]
            f, parts[v] = _evaluate(rows, vertices[v, 0], vertices[v, 1], vertices[v, 2], 3 * cell)
            if trial == 1 or abs(f) < 0.01 * cell:
                break
            _gradient(rows, origin, cell, place, normal)  # planes overshoot where an edge is round: step back
            place -= normal * (f / cell)
    faces = np.zeros((2 * quad, 3), np.int32)
    for q in range(quad):
        a, b, c, d = quads[q]
        short = ((vertices[a] - vertices[c]) ** 2).sum() <= ((vertices[b] - vertices[d]) ** 2).sum()
        faces[2 * q] = (a, b, c) if short else (a, b, d)
        faces[2 * q + 1] = (a, c, d) if short else (b, c, d)
    return vertices, faces, parts


@numba.njit(cache=True, nogil=True)
def _root(rows, origin, cell, start, step, inside):
    """Where on a grid edge the surface is, in [0, 1]: halved, as near thin walls the field is not linear."""
    low, high, at_low, at_high = 0.0, 1.0, -1.0 if inside else 1.0, 1.0 if inside else -1.0
    for _ in range(3):
        t = (low + high) / 2
        x = origin[0] + cell * (start[0] + t * step[0])
        y = origin[1] + cell * (start[1] + t * step[1])
        z = origin[2] + cell * (start[2] + t * step[2])
        f, _ = _evaluate(rows, x, y, z, 3 * cell)
        if (f < 0) == inside:
            low, at_low = t, f / cell
        else:
            high, at_high = t, f / cell
    return low + (high - low) * min(max(at_low / (at_low - at_high), 0.0), 1.0)


@numba.njit(cache=True, nogil=True)
def _gradient(rows, origin, cell, point, out):
    """The surface's unit normal at a point in cells, from four samples at the corners of a tetrahedron."""
    out[:] = 0
    reach = 0.05
    for c in range(4):
        dx, dy, dz = 1 - 2 * (c & 1), 1 - 2 * (c >> 1), (1 - 2 * (c & 1)) * (1 - 2 * (c >> 1))
        x, y, z = point[0] + reach * dx, point[1] + reach * dy, point[2] + reach * dz
        f, _ = _evaluate(rows, origin[0] + cell * x, origin[1] + cell * y, origin[2] + cell * z, 3 * cell)
        out[0] += f * dx
        out[1] += f * dy
        out[2] += f * dz
    length = np.sqrt(out[0] ** 2 + out[1] ** 2 + out[2] ** 2)
    out /= max(length, 1e-12)


@numba.njit(cache=True, nogil=True)
def _meeting_point(s):
    """Least squares of the distances from the tangent planes, drawn a little to the mean of the crossings."""
    pull = 0.05 * s[12]
    m = s[9:12] / s[12]
    a, b, c, d, e, f = s[0] + pull, s[1], s[2], s[3] + pull, s[4], s[5] + pull
    r0, r1, r2 = s[6] + pull * m[0], s[7] + pull * m[1], s[8] + pull * m[2]
    c0, c1, c2 = d * f - e * e, c * e - b * f, b * e - c * d
    inverse = 1 / (a * c0 + b * c1 + c * c2)
    x = (c0 * r0 + c1 * r1 + c2 * r2) * inverse
    y = (c1 * r0 + (a * f - c * c) * r1 + (b * c - a * e) * r2) * inverse
    z = (c2 * r0 + (b * c - a * e) * r1 + (a * d - b * b) * r2) * inverse
    return np.array([x, y, z])


def _largest_piece(vertices, faces, parts):
    """Without islands, and without voids that no camera could see."""
    pairs = np.concatenate([faces[:, :2], faces[:, 1:]])
    graph = coo_matrix((np.ones(len(pairs), np.int8), pairs.T), shape=(len(vertices),) * 2)
    piece = connected_components(graph, directed=False)[1]
    keep = piece == np.bincount(piece).argmax()
    rank = np.cumsum(keep) - 1
    return vertices[keep].astype(np.float32), rank[faces[keep[faces[:, 0]]]].astype(np.int32), parts[keep]


def _box_projected(rng: np.random.Generator, vertices, faces, parts) -> Mesh:
    """Textured from the six sides: a face takes the coordinates across its normal's largest axis."""
    corners = vertices[faces].astype(np.float64)
    axis = np.abs(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])).argmax(axis=1)
    keys, index = np.unique((faces * 3 + axis[:, None]).ravel(), return_inverse=True)
    place, axis = vertices[keys // 3], keys % 3
    across = np.array([[2, 1], [0, 2], [0, 1]])[axis]
    uv = np.take_along_axis(place, across, axis=1) * rng.uniform(1.0, 3.5)
    textures = tuple(_texture(rng) for _ in range(2))
    choice = rng.integers(-1, 2, parts.max() + 1)
    choice[rng.integers(len(choice))] = 0
    colors = _paint(rng, vertices, parts, pale=0.5)[keys // 3]
    return Mesh(
        place,
        index.reshape(-1, 3).astype(np.int32),
        colors,
        uv.astype(np.float32),
        textures,
        choice[parts[faces[:, 0]]].astype(np.int32),
    )


# ------------------------------------------------------------------------------- families of solids

SIDEWAYS, ALONG_X = _turn(x=np.pi / 2), _turn(z=-np.pi / 2)  # a cone's axis along Z; along X


def _some(rng: np.random.Generator, chance: float) -> bool:
    return bool(rng.uniform() < chance)


def _legs(s: Solid, rng, w, d, top, part) -> None:
    """Four feet from y = 0 up to `top` under a plate of half sizes w, d; at times a stretcher."""
    splay, thick, taper = rng.uniform(0.0, 0.25), rng.uniform(0.02, 0.035), rng.uniform(0.6, 1.0)
    feet = [(x * w, z * d) for x in (-0.88, 0.88) for z in (-0.88, 0.88)]
    square = _some(rng, 0.4)
    for x, z in feet:
        if square:
            s.box((x, top / 2, z), (thick, top / 2, thick), part=part)
        else:
            s.limb((x * (1 + splay), thick, z * (1 + splay)), (x, top, z), thick * taper, thick, part=part)
    if _some(rng, 0.5):
        y, out = top * rng.uniform(0.25, 0.5), 1 + splay * 0.6
        for (x, z), (x2, z2) in [(feet[0], feet[2]), (feet[1], feet[3]), (feet[0], feet[1])][
            rng.integers(2) :
        ]:
            s.limb((x * out, y, z * out), (x2 * out, y, z2 * out), 0.017, part=part)


def _pedestal(s: Solid, rng, top, radius, part) -> None:
    s.cone((0, top / 2, 0), rng.uniform(0.04, 0.08), rng.uniform(0.025, 0.05), top / 2, part=part)
    if _some(rng, 0.5):
        s.cone((0, 0.025, 0), radius, radius * 0.8, 0.025, part=part, blend=0.05)
        return
    for angle in np.arange(5) * TAU / 5:
        s.limb((0, 0.1, 0), (radius * np.cos(angle), 0.03, radius * np.sin(angle)), 0.03, 0.022, part=part)


def _still_life(s: Solid, rng, x, y, z, room, height, part) -> None:
    """Something that stands on the plate at (x, y, z), within `room` of it and no taller than `height`."""
    kind = rng.choice(["bowl", "bottle", "books", "ball", "box", "mug"])
    size, tall = room * rng.uniform(0.7, 1.0), height * rng.uniform(0.5, 0.95)
    if kind == "bowl":
        tall = min(tall, size)
        s.cone((x, y + tall / 2, z), size * 0.55, size, tall / 2 + 0.005, part=part)
        s.cone(
            (x, y + tall / 2 + 0.03, z), size * 0.55 - 0.02, size - 0.02, tall / 2, part=part + 1, cut=True
        )
    elif kind == "bottle":
        s.cone((x, y + tall * 0.3, z), size * 0.5, size * 0.45, tall * 0.3 + 0.005, part=part, rounding=0.015)
        s.limb((x, y + tall * 0.4, z), (x, y + tall * 0.95, z), size * 0.4, 0.018, part=part)
    elif kind == "books":
        turn, level = rng.uniform(-0.5, 0.5), y
        while level < y + tall - 0.02:
            thick = rng.uniform(0.015, 0.03)
            half = (size * rng.uniform(0.6, 0.8), thick + 0.003, size * rng.uniform(0.4, 0.6))
            s.box(
                (x, level + thick, z),
                half,
                turn=_turn(y=turn + rng.normal() * 0.15),
                part=part + rng.integers(2),
            )
            level += 2 * thick
    elif kind == "ball":
        radius = min(size, tall / 2)
        s.ellipsoid((x, y + radius * 0.95, z), (radius, radius, radius), part=part)
    elif kind == "box":
        turn, top = _turn(y=rng.uniform(0, 1.5)), rng.uniform(0.6, 1)
        s.box(
            (x, y + tall / 2, z), (size * 0.65, tall / 2 + 0.003, size * 0.6), turn=turn, top=top, part=part
        )
    else:
        size = min(size * 0.7, tall / 2)
        s.arc((x + size, y + size, z), size * 0.6, 0.02, turn=_turn(y=0), part=part)
        s.cone((x, y + size, z), size, size, size + 0.003, part=part)
        s.cone((x, y + size + 0.03, z), size - 0.022, size - 0.022, size, part=part + 1, cut=True)


def chair(rng: np.random.Generator) -> Mesh:
    """Seat, legs, pedestal or cheeks, a back of slats, bars or a panel, sometimes arms and a cushion."""
    s, u = Solid(), rng.uniform
    w, d, seat, back = u(0.2, 0.3), u(0.2, 0.27), u(0.35, 0.5), u(0.25, 0.55)
    base = rng.choice(["legs", "pedestal", "cheeks"], p=[0.6, 0.2, 0.2])
    if base == "legs":
        _legs(s, rng, w, d, seat, 0)
    elif base == "pedestal":
        _pedestal(s, rng, seat, u(0.24, 0.32), 0)
    else:
        for x in (-w, w):
            s.box((x, seat / 2, 0), (0.02, seat / 2, d), part=0)
        s.cone((0, seat * 0.45, 0), seat * 0.3, seat * 0.3, 1.0, turn=ALONG_X, part=0, cut=True)
    if _some(rng, 0.3):
        s.cone((0, seat, 0), 1.25 * max(w, d), 1.25 * max(w, d), 0.022, part=1)
    else:
        s.box((0, seat, 0), (w, 0.022, d), part=1, rounding=u(0.004, 0.02))
    if _some(rng, 0.3):
        s.box((0, seat + 0.035, 0), (w * 0.9, 0.035, d * 0.85), part=2, rounding=0.03)
    lean, z = u(0.05, 0.35), -d * 0.9
    turn, foot = _turn(x=-lean), np.array([0, seat, z])

    def up(x, y):
        return foot + turn @ [x, y, 0]

    kind = rng.choice(["panel", "slats", "ladder", "hoop"])
    if kind == "panel":
        s.box(up(0, back / 2), (w, back / 2 + 0.02, 0.02), turn=turn, top=u(0.6, 1.1), part=3)
        if _some(rng, 0.5):
            s.cone(up(0, back * 0.6), w * 0.45, w * 0.45, 0.2, turn=turn @ SIDEWAYS, part=3, cut=True)
    elif kind == "hoop":
        s.arc(up(0, back * 0.8), w * 0.9, 0.025, np.pi / 2, turn=turn, part=3)
        for x in np.linspace(-0.9, 0.9, 7):
            rise = back * 0.8 + w * 0.9 * np.sqrt(max(1 - (x / 0.9) ** 2, 0))
            s.limb(up(x * w * 0.9, 0), up(x * w, rise), 0.018, part=3)
    else:
        for x in (-0.92 * w, 0.92 * w):
            s.limb(up(x, -0.01), up(x, back), 0.028, 0.022, part=3)
        s.box(up(0, back), (w, 0.045, 0.02), turn=turn, part=3, rounding=0.015)
        for t in np.linspace(0.15, 0.8, int(rng.integers(2, 6))) if kind == "ladder" else []:
            s.box(up(0, t * back), (w * 0.95, 0.025, 0.016), turn=turn, part=3)
        for x in np.linspace(-0.6, 0.6, int(rng.integers(3, 6))) if kind == "slats" else []:
            s.box(up(x * w, back / 2), (0.022, back / 2, 0.016), turn=turn, part=3)
    for x in (-w, w):
        if _some(rng, 0.4):
            y = seat + back * u(0.3, 0.45)
            s.limb((x, seat, d * 0.8), (x, y, d * 0.75), 0.02, part=0)
            s.limb((x, y, d * 0.85), up(x, (y - seat) / np.cos(lean)), 0.025, part=0)
    return s.mesh(rng)


def table(rng: np.random.Generator) -> Mesh:
    """Tables, desks and stools, with drawers, a lower shelf, and things left on them."""
    s, u = Solid(), rng.uniform
    w, d, high = u(0.3, 0.5), u(0.22, 0.36), u(0.25, 0.6)
    base = rng.choice(["legs", "pedestal", "desk"], p=[0.5, 0.25, 0.25])
    disc = base != "desk" and _some(rng, 0.4)
    if disc:
        w = d = max(w * 0.7, d)
    if base == "legs":
        inside = 0.72 if disc else 1.0
        _legs(s, rng, w * inside, d * inside, high, 0)
        if _some(rng, 0.4):
            s.box((0, high * 0.3, 0), (w * inside * 0.95, 0.018, d * inside * 0.95), part=1)
    elif base == "pedestal":
        _pedestal(s, rng, high, d * 0.9, 0)
    else:
        s.box((w * 0.65, high / 2, 0), (w * 0.32, high / 2, d * 0.9), part=0)
        count = int(rng.integers(1, 4))
        for y in (np.arange(count) + 0.5) * high / count:
            out = _some(rng, 0.4) * d * u(0.3, 0.9)
            s.box((w * 0.65, y, d * 0.9 + out), (w * 0.28, high / count * 0.4, d * 0.5), part=1)
            s.box(
                (w * 0.65, y + 0.03, d * 0.9 + out),
                (w * 0.28 - 0.025, high / count * 0.4, d * 0.5 - 0.03),
                part=2,
                cut=True,
            )
        s.box((-w * 0.9, high / 2, 0), (0.022, high / 2, d * 0.9), part=0)
    if disc:
        s.cone((0, high, 0), w, w, 0.02, part=1)
    else:
        s.box((0, high, 0), (w, 0.02, d), part=1)
    spots = [(-0.55, -0.4), (0.5, -0.3), (-0.1, 0.35), (0.05, -0.3), (-0.6, 0.45)]
    for n in rng.permutation(5)[: rng.integers(1, 5)]:
        _still_life(
            s, rng, spots[n][0] * w, high + 0.018, spots[n][1] * d, u(0.06, 0.12), u(0.12, 0.3), 3 + 2 * n
        )
    return s.mesh(rng)


def _compartments(rng, low, high, depth) -> list[tuple[np.ndarray, np.ndarray]]:
    """A rectangle split again and again at random places: the openings of a shelf."""
    size = high - low
    axis = int(size[1] * rng.uniform(0.6, 1.4) > size[0])
    if depth == 0 or size[axis] < 0.24:
        return [(low, high)]
    cut = low[axis] + size[axis] * rng.uniform(0.35, 0.65)
    first, second = high.copy(), low.copy()
    first[axis], second[axis] = cut - 0.0125, cut + 0.0125
    return _compartments(rng, low, first, depth - 1) + _compartments(rng, second, high, depth - 1)


def shelf(rng: np.random.Generator) -> Mesh:
    """A case of irregular compartments, some open at the back, with books, bowls and bottles in them."""
    s, u = Solid(), rng.uniform
    w, h, d = u(0.2, 0.45), u(0.3, 0.5), u(0.1, 0.17)
    s.box((0, h, 0), (w, h, d), part=0, top=rng.choice([1.0, u(1.0, 1.2)]))
    through = u(0, 0.7)
    rooms = _compartments(
        rng, np.array([-w, 0.0]) + 0.03, np.array([w, 2 * h]) - 0.03, int(rng.integers(2, 4))
    )
    for low, high in rooms:
        back = 0.3 if _some(rng, through) else d - 0.025
        middle, half = (low + high) / 2, (high - low) / 2
        s.box((*middle, back - (d - 0.025)), (*half, max(back, d)), part=1, cut=True, rounding=0.002)
        s.rows[-1][8] = 0.0 if back == 0.3 else 0.025  # open at both sides, or a back of 2.5 cm
    for n, (low, high) in enumerate(rooms):
        (x, y), (wide, tall) = ((low[0] + high[0]) / 2, low[1]), high - low
        if _some(rng, 0.45):
            at = low[0] + 0.004
            while at < high[0] - 0.05 and not _some(rng, 0.12):
                thick, size = u(0.014, 0.024), tall * u(0.3, 0.45)
                s.box(
                    (at + thick, y + size - 0.005, 0.02),
                    (thick + 0.002, size, u(0.5, 0.7) * d),
                    part=2 + rng.integers(4),
                )
                at += 2 * thick
        elif _some(rng, 0.6):
            _still_life(s, rng, x, y - 0.003, 0.01, min(wide * 0.45, d * 0.75), tall * 0.85, 6 + 2 * (n % 3))
    if _some(rng, 0.4):
        _still_life(s, rng, u(-0.4, 0.4) * w, 2 * h - 0.003, 0, d * 0.7, 0.2, 12)
    return s.mesh(rng)


def lamp(rng: np.random.Generator) -> Mesh:
    """A base, an arm of one to three pieces and a hollow shade: standard, desk and hanging-arc lamps."""
    s, u = Solid(), rng.uniform
    low, tall = u(0.12, 0.25), u(0.1, 0.3)
    wide, narrow = u(0.14, 0.3), u(0.06, 0.14)
    joints = [np.array([0.0, 0.03, 0.0])]
    bent = int(rng.integers(1, 4))
    for n in range(bent):
        lean = 0 if bent == 1 else u(0.2, 1.2) * (-1) ** n
        joints.append(
            joints[-1] + _turn(y=u(-0.4, 0.4)) @ [np.sin(lean), np.cos(lean), 0] * u(0.5, 0.9) / bent
        )
    end, turn = joints[-1], _turn(z=0 if bent == 1 else u(-1.2, 0.4))
    middle = end - turn @ [0, tall * 0.3, 0]
    s.cone(middle, wide, narrow, tall, turn=turn, part=1)
    s.cone(
        middle - turn @ [0, 0.025, 0],
        wide - 0.022,
        narrow - 0.022,
        tall,
        turn=turn,
        part=2,
        cut=True,
        rounding=0.0,
    )
    if _some(rng, 0.5):
        s.cone((0, 0.025, 0), low, low * u(0.5, 1.0), 0.025, part=0)
    else:
        s.box((0, 0.025, 0), (low, 0.025, low * u(0.6, 1.0)), part=0, turn=_turn(y=u(0, 1)))
    if bent == 1 and _some(rng, 0.6):
        s.ellipsoid((0, u(0.1, 0.3), 0), (u(0.07, 0.13), u(0.1, 0.2), u(0.07, 0.13)), part=3, blend=0.05)
    for a, b in pairwise(joints):
        s.limb(a, b, 0.02, part=0)
        s.limb(b - (0, 0, 0.025), np.add(b, (0, 0, 0.025)), 0.03, part=3)
    top = middle + turn @ [0, tall * 0.97, 0]
    s.limb(end, top, 0.02, part=0)
    s.ellipsoid(middle + turn @ [0, tall * 0.25, 0], np.full(3, min(0.055, narrow * 0.6)), part=4)
    s.limb(middle + turn @ [0, tall * 0.25, 0], top, 0.02, part=0)
    return s.mesh(rng)


def mug(rng: np.random.Generator) -> Mesh:
    """Mugs, jugs, watering cans, pans and baskets: a deep cavity with a handle, at times a spout or feet."""
    s, u = Solid(), rng.uniform
    low, high, half = u(0.14, 0.32), u(0.18, 0.34), u(0.1, 0.38)
    wall, floor, oval = u(0.025, 0.04), u(0.03, 0.05), _some(rng, 0.25)
    kind = rng.choice(["mug", "basket", "pan", "jug"], p=[0.35, 0.25, 0.15, 0.25])
    middle, minor = (low + high) / 2, u(0.022, 0.04)
    if kind == "basket":
        s.arc((0, half, 0), high - minor, minor, np.pi / 2, turn=_turn(y=u(0, 0.5)), part=1)
    elif kind == "pan":
        half = min(half, 0.18)
        s.limb((high * 0.8, half * 0.6, 0), (high + u(0.25, 0.5), half * u(0.6, 1.6), 0), 0.03, 0.025, part=1)
    else:
        count = 2 if _some(rng, 0.2) else 1
        for side in (1, -1)[:count]:
            ring = half * u(0.5, 0.75)
            s.arc((side * (middle + ring * 0.2), u(-0.1, 0.15) * half, 0), ring, minor, part=1)
        if kind == "jug" and count == 1:
            s.limb(
                (-middle * 0.7, -half * 0.4, 0),
                (-middle - u(0.15, 0.3), half * u(0.7, 1.2), 0),
                0.06,
                0.03,
                part=2,
                blend=0.04,
            )
    body = {"blend": 0.03, "turn": _turn(y=u(0, TAU))}
    slope = (high - low) / (2 * half)
    inset = slope * floor - wall * np.hypot(1, slope)  # the cavity is raised by the floor
    if oval:
        deep = min(low, high) * 0.8
        s.box((0, 0, 0), (low, half, deep), top=high / low, rounding=0.04, **body)
        room, top = (low + inset, half, deep - wall), (high + inset) / (low + inset)
        s.box((0, floor, 0), room, top=top, rounding=0.02, turn=body["turn"], part=3, cut=True)
    else:
        s.cone((0, 0, 0), low, high, half, rounding=0.012, **body)
        s.cone((0, floor, 0), low + inset, high + inset, half, rounding=0.008, part=3, cut=True)
    if kind == "basket" and _some(rng, 0.7):
        slots = int(np.pi * min(low, high) / 0.09)  # of 5 cm, with bars of 4 cm between
        for angle in np.arange(slots) * np.pi / slots:
            s.box(
                (0, u(-0.1, 0.1) * half, 0),
                (0.6, half * 0.55, 0.025),
                turn=_turn(y=angle),
                cut=True,
                rounding=0.002,
            )
    if _some(rng, 0.35):
        for angle in np.arange(3) * TAU / 3:
            x, z = low * 0.7 * np.cos(angle), low * 0.7 * np.sin(angle)
            s.limb((x, -half, z), (x * 1.3, -half - u(0.04, 0.12), z * 1.3), 0.035, 0.025, part=1)
    if kind != "basket" and _some(rng, 0.3):  # a spoon or brush left in it
        s.limb(
            (low * 0.3, -half + floor * 1.5, 0), (-high * 0.8, half + u(0.1, 0.3), u(-0.1, 0.1)), 0.02, part=4
        )
    return s.mesh(rng)


def creature(rng: np.random.Generator) -> Mesh:
    """An animal caught in a movement: trunk, two to eight jointed legs, neck, head, horns or ears, a tail."""
    s, u = Solid(), rng.uniform
    length, girth, leg = u(0.22, 0.4), u(0.09, 0.2), u(0.18, 0.42)
    slope = u(-0.1, 0.2)
    rump, chest = np.array([-length, 0, 0]), np.array([length, slope, u(-0.05, 0.05)])
    s.limb(rump, chest, girth * u(0.7, 1.1), girth * u(0.7, 1.1), part=0)
    if _some(rng, 0.4):
        s.ellipsoid((rump + chest) / 2 + [0, -0.03, 0], (length, girth * 1.2, girth * 1.2), part=0, blend=0.1)
    pairs = int(rng.choice([1, 2, 2, 2, 2, 3, 4]))
    thick = u(0.03, 0.055) if pairs < 3 else 0.028
    for t in np.linspace(0.05, 0.95, pairs) if pairs > 1 else [0.45]:
        for side in (-1, 1):
            hip = rump + t * (chest - rump) + [0, -girth * 0.3, side * girth * 0.6]
            swing, out = rng.normal() * 0.35, side * u(0.0, 0.15) * (1 if pairs < 3 else 2.5)
            knee = hip + np.array([np.sin(swing), -np.cos(swing), 0]) * leg * 0.55 + [0, 0, out]
            foot = knee + np.array([np.sin(swing * 0.3 - 0.3), -1, 0]) * leg * u(0.45, 0.6)
            s.limb(hip, knee, thick * 1.5, thick, part=0, blend=0.04)
            s.limb(knee, foot, thick, thick * 0.75, part=1, blend=0.02)
            s.limb(foot, np.add(foot, (thick * 1.2, 0, 0)), thick * 0.9, thick * 0.7, part=2, blend=0.02)
    neck = np.add(chest, (u(0.08, 0.2), u(0.02, 0.4), rng.normal() * 0.06))
    s.limb(chest, neck, girth * 0.65, u(0.05, 0.08), part=0, blend=0.06)
    size, yaw = u(0.07, 0.13), rng.normal() * 0.5
    ahead = np.array([np.cos(yaw), -u(0.0, 0.5), np.sin(yaw)])
    s.ellipsoid(
        neck + ahead * size * 0.5, (size * 1.2, size, size * 0.9), turn=_turn(y=-yaw), part=3, blend=0.05
    )
    s.limb(
        neck + ahead * size * 0.8,
        neck + ahead * size * u(1.6, 2.8),
        size * 0.6,
        size * 0.3,
        part=4,
        blend=0.03,
    )
    across = np.array([-np.sin(yaw), 0, np.cos(yaw)])
    kind = rng.choice(["ears", "horns", "none"], p=[0.5, 0.3, 0.2])
    for sign in (-1, 1) if kind != "none" else ():
        root, reach = neck + sign * across * size * 0.5 + [0, size * 0.5, 0], u(0.08, 0.2)
        tip = root + sign * across * reach * u(0.2, 0.8) + [-0.03, reach, 0]
        s.limb(root, tip, 0.035, 0.02, part=2, blend=0.01)
        if kind == "horns":
            s.limb(tip, np.add(tip, (u(0.03, 0.12), 0.08, 0)), 0.02, 0.018, part=2, blend=0.01)
    at, thick = rump, girth * 0.35
    for _ in range(rng.integers(1, 5)):
        to = np.add(at, (-u(0.07, 0.13), rng.normal() * 0.09, rng.normal() * 0.07))
        s.limb(at, to, thick, max(thick * 0.8, 0.02), part=0, blend=0.03)
        at, thick = to, max(thick * 0.8, 0.02)
    for t in np.linspace(0.1, 0.9, 7) if _some(rng, 0.25) else []:  # a crest along the back
        root = rump + t * (chest - rump) + [0, girth * 0.7, 0]
        s.limb(root, np.add(root, (-0.04, girth * u(0.5, 0.8), 0)), 0.035, 0.018, part=2, blend=0.02)
    return s.mesh(rng)


def building(rng: np.random.Generator) -> Mesh:
    """Wings and towers on a plinth, hollow, with arches, windows, roofs and battlements."""
    s, u = Solid(), rng.uniform
    s.box((0, -0.02, 0), (0.5, 0.03, 0.4), part=0, turn=_turn(y=u(-0.3, 0.3)))
    roofs: list[tuple[Callable[..., None], tuple, dict]] = []  # put on when all the walls have been cut
    for x, z in [(-0.22, -0.1), (0.2, u(-0.15, 0.15)), (u(-0.2, 0.2), 0.2)][: rng.integers(2, 4)]:
        high, part = u(0.12, 0.42), 1 + 3 * len(roofs)
        if _some(rng, 0.35):
            r = u(0.11, 0.16)
            upper = r * u(0.85, 1.0)
            s.cone((x, high, z), r, upper, high, part=part)
            for angle in np.arange(3) * TAU / 3 + u(0, 1):
                away = _turn(y=angle) @ [0, 0, 0.1]
                s.box(
                    (x + away[0], high * u(0.6, 1.4), z + away[2]),
                    (0.03, 0.06, 0.12),
                    turn=_turn(y=angle),
                    cut=True,
                )
            s.cone((x, high, z), r - 0.03, upper - 0.03, high - 0.03, part=part + 1, cut=True)
            if _some(rng, 0.6):
                t = u(0.06, 0.16)
                roofs.append((s.cone, ((x, 2 * high + t - 0.005, z), r * 1.25, 0.02, t), {"part": part + 2}))
            else:
                open_top = ((x, 2 * high, z), upper - 0.03, upper - 0.03, 0.07)
                roofs.append((s.cone, open_top, {"part": part + 1, "cut": True}))
            continue
        w, d = u(0.12, 0.22), u(0.12, 0.19)
        s.box((x, high, z), (w, high, d), part=part)
        s.box((x, high, z), (w - 0.03, high - 0.03, d - 0.03), part=part + 1, cut=True)
        if _some(rng, 0.75):  # a gate through it, along Z or X
            wide = u(0.05, 0.09)
            turn, level = (_turn(), SIDEWAYS) if _some(rng, 0.6) else (_turn(y=np.pi / 2), ALONG_X)
            s.box((x, 0.09, z), (wide, 0.09, 0.25), turn=turn, cut=True, part=part + 1, rounding=0.002)
            s.cone((x, 0.18, z), wide, wide, 0.25, turn=level, cut=True, part=part + 1)
        for y in np.arange(0.3, 2 * high - 0.08, u(0.16, 0.25)):
            for across in (-0.5, 0.5):
                s.box((x + across * w, y, z), (0.03, 0.05, 0.25), cut=True, part=part + 1)
        if _some(rng, 0.6):
            t = u(0.05, 0.12)
            gable = ((x, 2 * high + t - 0.005, z), (w + 0.04, t, d + 0.03))
            roofs.append((s.box, gable, {"top": u(0.05, 0.4), "part": part + 2}))
        else:
            roofs.append((_battlements, (s, x, 2 * high, z, w, d, part + 2), {}))
    for put, place, how in roofs:
        put(*place, **how)
    return s.mesh(rng)


def _battlements(s: Solid, x, y, z, w, d, part) -> None:
    for t in np.linspace(-1, 1, 5):
        for at in ((x + t * (w - 0.025), z + d - 0.02), (x + t * (w - 0.025), z - d + 0.02)):
            s.box((at[0], y, at[1]), (0.02, 0.05, 0.02), part=part)
        for at in ((x + w - 0.02, z + t * (d - 0.025)), (x - w + 0.02, z + t * (d - 0.025))):
            s.box((at[0], y, at[1]), (0.02, 0.05, 0.02), part=part)


def bracket(rng: np.random.Generator) -> Mesh:
    """A machined part: plates at angles, ribs, bosses and flanges, drilled and slotted through."""
    s, u = Solid(), rng.uniform
    w, d, h, t = u(0.25, 0.45), u(0.15, 0.32), u(0.2, 0.45), u(0.025, 0.06)
    s.box((0, 0, 0), (w, t, d), part=0)
    x = u(-0.9, 0.5) * w
    s.box((x, h, 0), (t, h, d * u(0.6, 1.0)), part=1, blend=0.02)
    for z in np.linspace(-0.7, 0.7, int(rng.integers(1, 4))) * d * 0.8:
        slope = _turn(z=u(0.5, 0.9))
        s.box((x + 0.1, h * 0.45, z), (0.025, h * 0.75, 0.02), turn=slope, part=2)
    if _some(rng, 0.6):
        s.cone((x, 2 * h, 0), u(0.1, 0.16), u(0.1, 0.16), u(0.1, 0.2), turn=ALONG_X, part=3, blend=0.02)
        s.cone((x, 2 * h, 0), 0.07, 0.07, 1.0, turn=ALONG_X, part=4, cut=True)
    if _some(rng, 0.5):
        s.box((x + u(-0.1, 0.25), h * u(1.2, 1.9), 0), (u(0.12, 0.25), t, d * 0.6), part=2)
    far = -np.sign(x) * w * 0.55
    if _some(rng, 0.6):
        r, y = u(0.09, 0.15), u(0.1, 0.25)
        s.cone((far, y, d * 0.2), r, r * u(0.7, 1.0), y, part=3, blend=0.03)
        s.cone((far, y, d * 0.2), r * 0.55, r * 0.5, y * 3, part=4, cut=True)
    for _ in range(rng.integers(2, 7)):
        r = u(0.025, 0.06)
        s.cone((u(-0.85, 0.85) * w, 0, u(-0.8, 0.8) * d), r, r, 0.1, part=4, cut=True)
    s.cone(
        (x, h * u(0.7, 1.2), d * u(-0.4, 0.4)),
        u(0.05, 0.09),
        u(0.05, 0.09),
        0.1,
        turn=ALONG_X,
        part=4,
        cut=True,
    )
    if _some(rng, 0.5):
        s.box((x, h * u(1.2, 1.5), d * u(-0.4, 0.4)), (0.1, 0.03, d * 0.3), part=4, cut=True)
    turn = Rotation.random(random_state=rng).as_matrix()
    mesh = s.mesh(rng)
    return replace(mesh, vertices=mesh.vertices @ turn.astype(np.float32))


def vehicle(rng: np.random.Generator) -> Mesh:
    """Cars, lorries and aeroplanes, with cabins that one can look through and loads."""
    return _aeroplane(rng) if _some(rng, 0.4) else _car(rng)


def _car(rng: np.random.Generator) -> Mesh:
    s, u = Solid(), rng.uniform
    w, h, wheel = u(0.16, 0.23), u(0.06, 0.1), u(0.08, 0.12)
    lorry = _some(rng, 0.5)
    s.box((0, wheel + h, 0), (0.48, h, w), top=u(0.88, 1.0), part=0, rounding=0.025)
    x, half, tall = (
        (0.3, u(0.12, 0.17), u(0.1, 0.18)) if lorry else (u(-0.1, 0.05), u(0.2, 0.32), u(0.08, 0.13))
    )
    roof = wheel + 2 * h + tall
    s.box((x, roof - 0.01, 0), (half, tall, w * 0.95), top=u(0.6, 0.95), part=1, rounding=0.02)
    s.box((x, roof, 0), (half * 0.7, tall * 0.6, w + 0.1), top=0.7, part=2, cut=True)
    s.box((x, roof, 0), (half + 0.2, tall * 0.55, w * 0.7), part=2, cut=True)
    if not lorry:
        s.box((x, roof - tall * 0.4, 0), (0.02, tall * 0.9, w * 0.93), part=1)
    elif _some(rng, 0.5):
        s.box((-0.17, wheel + 2 * h + 0.07, 0), (0.3, 0.08, w), part=3)
        s.box((-0.17, wheel + 2 * h + 0.06, 0), (0.3 - 0.025, 0.12, w - 0.025), part=4, cut=True)
        for _ in range(rng.integers(1, 4)):
            size = u(0.06, 0.11)
            s.ellipsoid(
                (u(-0.35, 0), wheel + 2 * h + size * 0.8, u(-0.3, 0.3) * w), (size, size, size), part=5
            )
    else:
        s.box((-0.17, wheel + 2 * h + 0.15, 0), (0.3, u(0.14, 0.18), w), part=3)
        if _some(rng, 0.6):
            s.box((-0.25, wheel + 2 * h + 0.15, 0), (0.3, 0.11, w - 0.03), part=4, cut=True)
    for at in (-0.3, 0.3):
        for side in (-1, 1):
            s.cone((at, wheel, side * w), wheel * 1.25, wheel * 1.25, 0.07, turn=SIDEWAYS, part=4, cut=True)
            s.cone((at, wheel, side * (w - 0.02)), wheel, wheel, 0.045, turn=SIDEWAYS, part=6)
        s.limb((at, wheel, -w + 0.02), (at, wheel, w - 0.02), 0.03, part=6)
    if _some(rng, 0.4):
        s.limb((x, roof + tall - 0.02, 0.5 * w), (x - 0.1, roof + tall + 0.2, 0.5 * w), 0.018, part=6)
    return s.mesh(rng)


def _aeroplane(rng: np.random.Generator) -> Mesh:
    s, u = Solid(), rng.uniform
    r, span, sweep = u(0.06, 0.1), u(0.35, 0.55), u(-0.1, 0.5)
    s.limb((-0.45, u(0, 0.08), 0), (0.25, 0, 0), r * 0.4, r, part=0)
    s.limb((0.25, 0, 0), (0.42, -0.01, 0), r, r * u(0.3, 0.7), part=0, blend=0.02)
    levels = [u(-0.6, 0.6) * r] if _some(rng, 0.6) else [-0.8 * r, r + u(0.05, 0.12)]
    for y in levels:
        for side in (-1, 1):
            turn = _turn(y=side * sweep, x=-side * u(0.0, 0.12))
            s.box(
                np.array([0.1, y, 0]) + turn @ [0, 0, side * span / 2],
                (u(0.08, 0.12), 0.016, span / 2),
                turn=turn,
                part=1,
            )
    for z in (-0.3, 0.3) if len(levels) == 2 else ():
        for x in (0.05, 0.15):
            at = np.array([x - abs(z) * np.tan(sweep), 0, z])
            s.limb(np.add(at, (0, levels[0], 0)), np.add(at, (0, levels[1] + 0.02, 0)), 0.018, part=4)
    s.box((-0.4, 0.12, 0), (u(0.05, 0.08), 0.11, 0.016), turn=_turn(z=0.3), part=2)
    s.box((-0.42, u(0.05, 0.2), 0), (0.055, 0.015, u(0.13, 0.2)), part=2)
    s.ellipsoid((0.2, r * 0.9, 0), (0.1, 0.05, 0.04), part=3)
    for z in (-0.18, 0.18) if len(levels) == 1 else ():
        at = np.array([0.12 - abs(z) * np.tan(sweep), levels[0] - 0.06, z])
        s.cone(at, 0.055, 0.06, 0.1, turn=ALONG_X, part=4)
        s.cone(at, 0.033, 0.036, 0.2, turn=ALONG_X, part=5, cut=True)
    for side in (-1, 1):
        s.limb((0.15, 0, 0), (0.17, -r - 0.1, side * 0.1), 0.018, part=4)
        s.cone((0.17, -r - 0.1, side * 0.1), 0.04, 0.04, 0.025, turn=SIDEWAYS, part=5)
    return s.mesh(rng)


def tree(rng: np.random.Generator) -> Mesh:
    """A trunk that forks, bare or in leaf, in a pot or on its roots; some are cacti or corals."""
    s, u = Solid(), rng.uniform
    leafy, spread = _some(rng, 0.6), u(0.35, 0.9)

    def grow(start, axis, length, thick, depth):
        end = start + axis * length
        s.limb(start, end, thick, max(thick * 0.75, 0.018), part=0, blend=0.02)
        if depth == 0:
            if leafy:
                s.ellipsoid(end, rng.uniform(0.08, 0.17, 3), part=1 + rng.integers(2), blend=0.04)
            return
        for angle in rng.uniform(0, TAU) + np.arange(3) * TAU / 3 + rng.normal(size=3) * 0.4:
            out = _towards(axis) @ [np.cos(angle), 0, np.sin(angle)]
            turned = axis + out * spread * u(0.6, 1.4) + [0, 0.15, 0]
            if _some(rng, 0.85):
                grow(
                    end - axis * thick,
                    turned / np.linalg.norm(turned),
                    length * u(0.6, 0.85),
                    thick * 0.72,
                    depth - 1,
                )

    if _some(rng, 0.6):
        low, high, half = u(0.1, 0.15), u(0.14, 0.22), u(0.08, 0.14)
        s.cone((0, -half, 0), low, high, half, part=3)
        s.cone((0, half * 0.4, 0), low - 0.03, high - 0.025, half, part=4, cut=True)
        s.limb((0, -2 * half + 0.03, 0), (0, 0.02, 0), 0.05, part=0)
    else:
        for angle in np.arange(5) * TAU / 5 + rng.normal(size=5) * 0.3:
            s.limb(
                (0, 0.05, 0),
                (0.2 * np.cos(angle), -0.08, 0.2 * np.sin(angle)),
                0.05,
                0.02,
                part=0,
                blend=0.03,
            )
    trunk = np.array([rng.normal() * 0.2, 1, rng.normal() * 0.2])
    grow(np.zeros(3), trunk / np.linalg.norm(trunk), u(0.25, 0.4), u(0.04, 0.08), 2)
    return s.mesh(rng)


def cage(rng: np.random.Generator) -> Mesh:
    """Bars round something: lanterns, frames, crates and bird cages, with an object held inside."""
    s, u = Solid(), rng.uniform
    sides, high, low, top = int(rng.integers(3, 9)), u(0.3, 0.85), u(0.2, 0.38), u(0.12, 0.38)
    bar = u(0.02, 0.03)
    twist, dome = rng.choice([0.0, u(-0.8, 0.8)]), _some(rng, 0.4)
    angle = np.arange(sides) * TAU / sides
    feet = np.stack([low * np.cos(angle), 0 * angle, low * np.sin(angle)], axis=-1)
    tops = np.stack([top * np.cos(angle + twist), high + 0 * angle, top * np.sin(angle + twist)], axis=-1)
    shift = np.array([rng.normal() * 0.08, 0, rng.normal() * 0.08])
    tops += shift
    for n in range(sides):
        s.limb(feet[n], tops[n], bar, part=0)
        s.limb(feet[n], feet[n - 1], bar, part=1)
        s.limb(tops[n], tops[n - 1], bar, part=1)
        if _some(rng, 0.3):
            s.limb(feet[n], tops[n - 1], bar * 0.9, part=2)
        if dome:
            s.limb(tops[n], np.add(shift, (0, high + top * 0.8, 0)), bar, part=0)
    if dome:
        s.arc(np.add(shift, (0, high + top * 0.8 + 0.07, 0)), 0.06, 0.02, part=1)
    for t in np.linspace(0, 1, int(rng.integers(2, 4)))[1:-1]:
        ring = feet + t * (tops - feet)
        for n in range(sides):
            s.limb(ring[n], ring[n - 1], bar * 0.9, part=1)
    s.cone((0, 0, 0), low, low, 0.022, part=3)
    _still_life(s, rng, 0, 0.02, 0, low * 0.65, high * 0.8, 4)
    turn = _turn(x=np.pi / 2 * (u() < 0.2))
    mesh = s.mesh(rng)
    return replace(mesh, vertices=mesh.vertices @ turn.astype(np.float32))


def sponge(rng: np.random.Generator) -> Mesh:
    """A body with caves and tunnels: cheese, skulls, shells, caverns, dice."""
    s, u = Solid(), rng.uniform
    half = rng.uniform(0.28, 0.5, 3)
    kind = rng.choice(["box", "egg", "drum", "lump"])
    if kind == "box":
        s.box((0, 0, 0), half, rounding=u(0.01, 0.1), top=u(0.6, 1.0))
    elif kind == "drum":
        s.cone((0, 0, 0), half[0], half[0] * u(0.6, 1), half[1] * 0.7, rounding=0.03)
    else:
        s.ellipsoid((0, 0, 0), half)
        for _ in range(rng.integers(2, 6) if kind == "lump" else 0):
            s.ellipsoid(rng.normal(size=3) * half * 0.5, rng.uniform(0.12, 0.28, 3), blend=0.08)
    if _some(rng, 0.5):  # a hollow core
        s.ellipsoid((0, 0, 0), half * u(0.55, 0.75), part=1, cut=True, blend=0.03)
    for _ in range(rng.integers(6, 15)):
        towards = rng.normal(size=3)
        towards /= np.linalg.norm(towards)
        if _some(rng, 0.6):
            s.ellipsoid(towards * half * u(0.7, 1.2), rng.uniform(0.1, 0.22, 3), part=1, cut=True, blend=0.03)
        else:
            aside = rng.normal(size=3) * 0.1
            s.limb(
                aside - towards * u(-0.1, 0.7),
                aside + towards * 0.7,
                u(0.05, 0.1),
                part=2,
                cut=True,
                blend=0.02,
            )
    return s.mesh(rng)


FAMILIES: dict[str, Builder] = {
    build.__name__: build
    for build in (
        superquadric,
        blob,
        vessel,
        loft,
        tube,
        mug,
        creature,
        table,
        shelf,
        lamp,
        building,
        bracket,
        tree,
        cage,
        sponge,
        chair,
        vehicle,
    )
}
TEST_FAMILIES: tuple[str, ...] = ("chair", "vehicle")  # never trained on: split "test_category"
TRAIN_FAMILIES: tuple[str, ...] = tuple(name for name in FAMILIES if name not in TEST_FAMILIES)


def procedural_object(seed: int, families: Sequence[str] = TRAIN_FAMILIES) -> Mesh:
    """The object of this seed: watertight, 1,000-20,000 triangles, normalised (diameter 1 m), Y up.

    families: names out of `FAMILIES`, one of which the seed chooses uniformly.
    """
    unknown = [name for name in families if name not in FAMILIES]
    if unknown or not families:
        raise ValueError(f"families: got {list(families)}; expected some of {', '.join(FAMILIES)}")
    rng = np.random.default_rng(seed)
    mesh = FAMILIES[families[int(rng.integers(len(families)))]](rng)
    turned = mesh.vertices @ _turn(y=rng.uniform(0, TAU)).astype(np.float32)
    return replace(mesh, vertices=turned).normalised()
