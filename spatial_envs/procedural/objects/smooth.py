"""Families of ring surfaces: superquadric, blob, vessel, loft and tube."""

from __future__ import annotations

from collections.abc import Callable
from math import tau

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.spatial.transform import Rotation

from spatial_envs.geometry.mesh import Mesh
from spatial_envs.geometry.rotations import rotation
from spatial_envs.procedural.objects.lattices import deformed, lattice
from spatial_envs.procedural.objects.paint import waves


def _superellipse(exponent: float, start: float, stop: float, count: int) -> np.ndarray:
    """(count, 2): (cos^e, sin^e) of angles from start to stop, evenly spaced along the curve."""
    angle = np.linspace(start, stop, 4001)
    curve = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    curve = np.sign(curve) * np.abs(curve) ** exponent
    length = np.concatenate([[0.0], np.linalg.norm(np.diff(curve, axis=0), axis=1).cumsum()])
    where = np.linspace(0, length[-1], count)
    return np.stack([np.interp(where, length, curve[:, k]) for k in range(2)], axis=-1)


def superquadric(rng: np.random.Generator) -> Mesh:
    """Superellipsoid or supertoroid (Barr 1981, Superquadrics and angle-preserving transformations)."""
    around = _superellipse(rng.uniform(0.25, 1.7), 0, tau, 97)[:-1]
    toroid = rng.uniform() < 0.5
    if toroid:
        up = _superellipse(rng.uniform(0.25, 1.6), 0, tau, 65)[:-1] * [1.0, rng.uniform(0.6, 2.5)]
        up[:, 0] += rng.uniform(1.5, 3.0)
    else:
        up = _superellipse(rng.uniform(0.25, 1.6), -tau / 4, tau / 4, 66)[1:-1]
    rings = np.concatenate(
        [up[:, None, :1] * around, np.broadcast_to(up[:, None, 1:], (len(up), 96, 1))], axis=-1
    )
    rings = rings[..., [0, 2, 1]] * rng.uniform(0.45, 1.0, 3)
    rings *= 0.5 / np.abs(rings).max()
    return lattice(rng, deformed(rng, rings) @ Rotation.random(random_state=rng).as_matrix(), loop=toroid)


def blob(rng: np.random.Generator) -> Mesh:
    """A star-shaped body displaced by noise, smooth, ridged or dented: potatoes, rocks, sea urchins."""
    up = np.linspace(0, np.pi, 82)[1:-1]
    around = np.linspace(0, tau, 96, endpoint=False)
    sphere = np.stack(
        np.broadcast_arrays(
            np.sin(up)[:, None] * np.cos(around), np.cos(up)[:, None], np.sin(up)[:, None] * np.sin(around)
        ),
        axis=-1,
    )
    noise = waves(rng, sphere, rng.uniform(0.6, 1.4), octaves=int(rng.integers(1, 3)))
    kind = rng.choice(["smooth", "ridged", "dented"])
    ridges = 1 - 2 * np.sqrt(noise**2 + 0.02)
    radius = np.exp(rng.uniform(0.3, 0.55) * (ridges if kind == "ridged" else noise))
    if kind == "dented":
        for _ in range(rng.integers(3, 9)):
            towards = rng.normal(size=3)
            cosine = sphere @ (towards / np.linalg.norm(towards))
            radius *= 1 - rng.uniform(0.4, 0.65) / (1 + np.exp((rng.uniform(0.75, 0.93) - cosine) * 60))
    rings = sphere * radius[..., None] * rng.uniform(0.5, 1.0, 3)
    return lattice(rng, rings @ Rotation.random(random_state=rng).as_matrix())


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
    angle = np.linspace(0, tau, 64, endpoint=False)
    flute = 1 + rng.choice([0.0, 0.04, 0.09]) * np.cos(rng.integers(3, 9) * angle)
    oval = rng.uniform(0.6, 1.0)
    r, y = profile[:, :1] * flute, profile[:, 1:] - height / 2 + 0 * angle
    rings = deformed(rng, np.stack([r * np.cos(angle), y, oval * r * np.sin(angle)], axis=-1), strength=0.6)
    return lattice(rng, rings, inner=inner)


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
    angle = np.linspace(0, tau, 72, endpoint=False)
    sections = []
    for _ in range(3):
        lobes = int(rng.integers(1, 7))
        wave = rng.uniform(0, min(0.25, 0.6 / lobes)) * np.cos(lobes * angle + rng.uniform(0, tau))
        sections.append(1 + wave + rng.uniform(0, 0.12) * np.cos(rng.integers(2, 4) * angle))
    blend = PchipInterpolator([0, 0.5, 1], np.array(sections))(np.clip(profile[:, 1], 0, 1))
    r = profile[:, :1] * blend
    rings = np.stack([r * np.cos(angle), profile[:, 1:] - 0.5 + 0 * angle, r * np.sin(angle)], axis=-1)
    bend = deformed(rng, rings, strength=1.5)
    return lattice(rng, bend @ rotation(x=rng.normal() * 0.6), inner=inner if hollow else None)


def _curve(rng: np.random.Generator, count: int) -> tuple[np.ndarray, bool]:
    """(count, 3) points of a space curve, and whether it closes: a torus knot, a coil or a wandering loop."""
    kind = rng.choice(["knot", "coil", "loop", "snake"])
    closed = kind in ("knot", "loop")
    t = np.linspace(0, tau, count, endpoint=not closed)
    if kind == "knot":
        p, q = [(2, 3), (3, 2), (2, 5), (1, 4), (1, 6), (3, 4)][rng.integers(6)]
        r = 1 + rng.uniform(0.35, 0.5) * np.cos(q * t)
        return np.stack(
            [r * np.cos(p * t), rng.uniform(0.35, 0.9) * np.sin(q * t), r * np.sin(p * t)], -1
        ), True
    if kind == "coil":
        turns, lean = rng.uniform(1.5, 4.5), rng.uniform(-0.6, 0.6)
        r = 1 + lean * (t / tau - 0.5) * 2
        height = rng.uniform(0.35, 0.6) * turns
        return np.stack([r * np.cos(turns * t), height * t / tau * 2, r * np.sin(turns * t)], axis=-1), False
    order = np.arange(1, 4)[:, None] * (1.0 if closed else 0.5)
    weights, phase = rng.normal(size=(3, 3, 1)) / np.arange(1, 4)[:, None], rng.uniform(0, tau, (3, 3, 1))
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
    room = 0.0
    for _ in range(6):
        curve, closes = _curve(rng, 220)
        curve /= np.linalg.norm(np.ptp(curve, axis=0))
        space = _thickness(curve[::2], _tangents(curve[::2], closes))
        if space > room:
            points, closed, room = curve, closes, space
        if room > 0.05:
            break
    tangents = _tangents(points, closed)
    side = _transported(tangents, closed)
    angle = np.linspace(0, tau, 36, endpoint=False)
    lobes, t = rng.integers(2, 6), np.linspace(0, tau, len(points), endpoint=not closed)[:, None]
    section = 1 - rng.choice([0.0, 0.2, 0.35]) * (0.5 - 0.5 * np.cos(lobes * angle))
    swell = 1 - rng.uniform(0, 0.4) * (0.5 - 0.5 * np.cos(rng.integers(1, 5) * t + rng.uniform(0, tau)))
    radius = min(0.85 * room, rng.uniform(0.05, 0.11)) * section * swell
    up = np.cross(tangents, side)
    rings = radius[..., None] * (
        np.cos(angle)[:, None] * side[:, None] + np.sin(angle)[:, None] * up[:, None]
    )
    rings = (rings + points[:, None]) @ Rotation.random(random_state=rng).as_matrix()
    return lattice(rng, rings, loop=closed)


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
