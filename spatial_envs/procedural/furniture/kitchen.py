"""The units and machines of a kitchen."""

from __future__ import annotations

import numpy as np

from spatial_envs.geometry.rotations import SIDEWAYS
from spatial_envs.procedural.furniture.bathroom import tap
from spatial_envs.procedural.furniture.parts import Shape, ellipse
from spatial_envs.procedural.furniture.pieces import BLACK, STEEL, WHITE, Piece, Style, done, handle
from spatial_envs.procedural.furniture.surfaces import hsv


def counter(rng: np.random.Generator, style: Style, width: float) -> Piece:
    """A kitchen base unit, 0.9 m high and 0.6 m deep."""
    s, w = Shape(), width / 2
    _unit(s, rng, style, w)
    s.box((0, 0.885, 0.005), (w - 0.001, 0.018, 0.31), style.top, "marble", 0.004)
    return done("counter", s)


def _unit(s: Shape, rng, style: Style, w) -> None:
    s.box((0, 0.05, -0.03), (w - 0.002, 0.05, 0.26), style.dark, None, 0.002)
    s.box((0, 0.485, -0.012), (w - 0.002, 0.38, 0.285), style.front * 0.9, None, 0.003)
    if rng.uniform() < 0.4:
        for y, h in ((0.25, 0.14), (0.53, 0.13), (0.77, 0.09)):
            s.box((0, y, 0.282), (w - 0.008, h - 0.006, 0.01), style.front, None, 0.004)
            handle(s, 0, y + h * 0.5, 0.291, min(0.2, w), upright=False)
    else:
        leaves = 2 if w > 0.32 else 1
        for n in range(leaves):
            x, half = (n - (leaves - 1) / 2) * 2 * w / leaves, w / leaves - 0.006
            s.box((x, 0.485, 0.282), (half, 0.37, 0.01), style.front, None, 0.004)
            handle(s, x + (half - 0.05) * (1 if n == 0 else -1), 0.76, 0.291, 0.14)


def _basin(s: Shape, half_x, half_z, y, deep, color, at=(0, 0), rim=0.02) -> None:
    """A basin let into what is below y: over the rim and down the inside."""
    rings = [
        ellipse(half_x + rim, half_z + rim, y - 0.005, sides=28, exponent=0.45),
        ellipse(half_x + rim, half_z + rim, y + 0.008, sides=28, exponent=0.45),
        ellipse(half_x, half_z, y + 0.008, sides=28, exponent=0.45),
        ellipse(half_x * 0.93, half_z * 0.93, y - deep * 0.6, sides=28, exponent=0.5),
        ellipse(half_x * 0.75, half_z * 0.75, y - deep, sides=28, exponent=0.6),
    ]
    s.loft(np.array(rings), color, None, at=(at[0], 0, at[1]), caps=False)
    ring = rings[-1] + [at[0], 0, at[1]]
    s._cap(ring, 1, color, None)


def kitchen_sink(rng: np.random.Generator, style: Style, width: float = 0.8) -> Piece:
    """A base unit whose top is four strips round a steel basin."""
    s, w = Shape(), width / 2
    s.box((0, 0.05, -0.03), (w - 0.002, 0.05, 0.26), style.dark, None, 0.002)
    s.box((0, 0.34, -0.012), (w - 0.002, 0.235, 0.285), style.front * 0.9, None, 0.003)
    for side in (-1, 1):
        s.box((side * w / 2, 0.485, 0.282), (w / 2 - 0.006, 0.37, 0.01), style.front, None, 0.004)
        handle(s, -side * 0.05 + side * 0.1, 0.76, 0.291, 0.14)
        s.box((side * (w - 0.012), 0.72, -0.012), (0.01, 0.144, 0.285), style.front * 0.9, None, 0.002)
    half_x, half_z = w - 0.14, 0.19
    for z, d in ((-0.2575, 0.0475), (0.2625, 0.0525)):
        s.box((0, 0.885, z), (w - 0.001, 0.018, d), style.top, "marble", 0.003)
    for side in (-1, 1):
        s.box(
            (side * (w + half_x) / 2, 0.885, 0.0),
            ((w - half_x) / 2 - 0.001, 0.018, 0.2095),
            style.top,
            "marble",
            0.003,
        )
    _basin(s, half_x - 0.008, half_z - 0.0, 0.905, 0.2, STEEL, (0, 0.0), 0.03)
    tap(s, 0, 0.903, -0.25)
    return done("sink", s)


def oven(rng: np.random.Generator, style: Style) -> Piece:
    s, w = Shape(), 0.3
    body = STEEL if rng.uniform() < 0.5 else WHITE
    s.box((0, 0.05, -0.03), (w - 0.002, 0.05, 0.26), BLACK, None, 0.002)
    s.box((0, 0.495, -0.01), (w - 0.002, 0.39, 0.288), body, None, 0.004)
    s.box((0, 0.44, 0.288), (w - 0.015, 0.27, 0.012), body, None, 0.006)
    s.box((0, 0.43, 0.302), (w - 0.07, 0.17, 0.003), BLACK, None, 0.002)
    handle(s, 0, 0.66, 0.3, 0.44, upright=False)
    for x in np.linspace(-0.22, 0.22, 5):
        s.lathe([(0.02, 0), (0.02, 0.014), (0.014, 0.026)], BLACK, None, 12, (x, 0.81, 0.279), SIDEWAYS)
    s.box((0, 0.895, 0.0), (w - 0.002, 0.008, 0.3), BLACK, None, 0.003)
    for x, z, r in ((-0.14, -0.13, 0.09), (0.14, -0.13, 0.075), (-0.14, 0.13, 0.075), (0.14, 0.13, 0.09)):
        s.lathe(
            [(r, 0.901), (r, 0.909), (r * 0.9, 0.909), (r * 0.86, 0.906)],
            (0.22, 0.22, 0.23),
            None,
            20,
            (x, 0, z),
        )
    return done("oven", s)


def refrigerator(rng: np.random.Generator, style: Style) -> Piece:
    s, w, high = Shape(), 0.3, rng.uniform(1.7, 1.95)
    color = [STEEL, WHITE, hsv(rng.uniform(), 0.4, 0.7)][rng.integers(3)]
    s.box((0, high / 2, -0.02), (w, high / 2, 0.29), color, None, 0.012, 2)
    cut = high * rng.choice([0.34, 0.66])
    for low, top in ((0.04, cut - 0.004), (cut + 0.004, high - 0.008)):
        s.box((0, (low + top) / 2, 0.295), (w, (top - low) / 2, 0.024), color, None, 0.012, 2)
    side = rng.choice([-1, 1])
    handle(s, side * 0.25, cut + 0.22, 0.318, 0.3)
    handle(s, side * 0.25, cut - 0.22, 0.318, 0.3)
    for n in range(rng.integers(0, 6)):
        s.box(
            (rng.uniform(-0.2, 0.15), rng.uniform(max(cut, 0.9) + 0.1, high - 0.1), 0.3205 + n * 0.0005),
            (0.03, 0.04, 0.001),
            hsv(rng.uniform(), 0.6, 0.9),
            None,
            segments=0,
        )
    return done("refrigerator", s)


def wall_cabinet(rng: np.random.Generator, style: Style, width: float) -> Piece:
    """Hangs on a wall: 0.7 m high, 0.34 m deep; the middle of its back is the centre."""
    s, w = Shape(), width / 2
    s.box((0, 0, 0.16), (w - 0.002, 0.35, 0.16), style.front * 0.9, None, 0.004)
    leaves = max(1, round(width / 0.45))
    for n in range(leaves):
        x, half = (n - (leaves - 1) / 2) * width / leaves, width / leaves / 2 - 0.005
        s.box((x, 0, 0.327), (half, 0.34, 0.009), style.front, None, 0.004)
        handle(s, x + (1 if n % 2 == 0 else -1) * (half - 0.04), -0.24, 0.335, 0.12)
    return done("cabinet", s)


def trash_can(rng: np.random.Generator, style: Style) -> Piece:
    s, r, high = Shape(), rng.uniform(0.12, 0.15), rng.uniform(0.35, 0.6)
    color = STEEL if rng.uniform() < 0.5 else hsv(rng.uniform(), 0.4, 0.6)
    s.lathe(
        [(r * 0.85, 0), (r, high * 0.9), (r * 1.03, high * 0.91), (r * 1.03, high * 0.96), (r * 0.5, high)],
        color,
        None,
        22,
    )
    return done("trash_can", s)
