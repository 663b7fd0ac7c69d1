"""What stands in a bathroom."""

from __future__ import annotations

import numpy as np

from spatial_envs.geometry.rotations import SIDEWAYS, rotation
from spatial_envs.procedural.furniture.parts import Shape, ellipse
from spatial_envs.procedural.furniture.pieces import CERAMIC, STEEL, WHITE, Piece, Style, done, handle


def tap(s: Shape, x, y, z, reach=0.14, high=0.22) -> None:
    y -= 0.002  # into what it stands on
    angle = np.linspace(0, np.pi, 9)
    bow = [(x, y + high + reach / 2 * np.sin(a) * 0.9, z + reach / 2 * (1 - np.cos(a))) for a in angle]
    s.pipe([(x, y + 0.004, z), (x, y + high * 0.6, z), *bow, (x, y + high - 0.05, z + reach)], 0.011, STEEL)
    s.lathe([(0.026, 0), (0.026, 0.015), (0.014, 0.03)], STEEL, None, 14, (x, y, z))
    s.limb((x + 0.05, y, z), (x + 0.05, y + 0.05, z), 0.012, 0.009, STEEL)


def _ceramic(s: Shape, rings, sides) -> None:
    """A body through ellipses (half_x, half_z, y, z, exponent), from below on the outside to the inside."""
    s.loft([ellipse(a, b, y, z, sides, e) for a, b, y, z, e in rings], CERAMIC)


def toilet(rng: np.random.Generator, style: Style) -> Piece:
    s = Shape()
    body = [
        (0.11, 0.19, 0.0, 0.02),
        (0.1, 0.18, 0.03, 0.02),
        (0.1, 0.17, 0.16, 0.03),
        (0.15, 0.21, 0.3, 0.05),
        (0.185, 0.235, 0.39, 0.06),
        (0.175, 0.225, 0.4, 0.06),
        (0.13, 0.175, 0.4, 0.06),
        (0.1, 0.13, 0.3, 0.05),
        (0.04, 0.05, 0.24, 0.04),
    ]
    _ceramic(s, [(*ring, 0.9) for ring in body], 28)
    seat = [(0.19, 0.24, 0.404), (0.19, 0.24, 0.42), (0.135, 0.18, 0.42), (0.135, 0.18, 0.404)]
    s.loft([ellipse(a, b, y, 0.06, 28, 0.9) for a, b, y in seat], WHITE, caps=False)
    s.box((0, 0.58, -0.27), (0.19, 0.18, 0.085), CERAMIC, None, 0.03, 3)
    s.box((0, 0.77, -0.27), (0.2, 0.02, 0.095), CERAMIC, None, 0.015, 2)
    s.box((0, 0.3, -0.22), (0.13, 0.11, 0.1), CERAMIC, None, 0.04, 2)
    lid = rotation(x=np.pi / 2 - 0.12)
    s.loft(
        np.array([ellipse(0.18, 0.22, y, 0, 28, 0.9) for y in (-0.009, 0.009)]),
        WHITE,
        None,
        lid,
        (0, 0.63, -0.145),
    )
    s.lathe([(0.02, 0), (0.02, 0.008), (0.012, 0.012)], STEEL, None, 12, (0, 0.788, -0.27))
    return done("toilet", s)


def washbasin(rng: np.random.Generator, style: Style) -> Piece:
    """A basin on a pedestal or on a small cupboard."""
    s, w, d = Shape(), rng.uniform(0.25, 0.33), 0.22
    if rng.uniform() < 0.4:
        s.lathe([(0.11, 0), (0.09, 0.03), (0.075, 0.3), (0.1, 0.72)], CERAMIC, None, 20, (0, 0, -0.06))
    else:
        s.box((0, 0.05, -0.03), (w - 0.05, 0.05, d - 0.05), style.dark, None, 0.004)
        s.box((0, 0.4, -0.01), (w - 0.02, 0.32, d - 0.02), style.front * 0.92, None, 0.004)
        for side in (-1, 1):
            s.box(
                (side * (w - 0.02) / 2, 0.4, d - 0.025),
                ((w - 0.02) / 2 - 0.004, 0.31, 0.009),
                style.front,
                None,
                0.004,
            )
            handle(s, side * 0.04, 0.58, d - 0.017, 0.12)
    rings = [(0.6, 0.715), (0.97, 0.76), (1.0, 0.85), (0.98, 0.86)]
    outer = [(w * k, d * k, y, 0.0, 0.5) for k, y in rings]
    inner = [(0.88, 0.86, 0.5), (0.8, 0.79, 0.6), (0.4, 0.745, 0.8)]
    _ceramic(s, [*outer, *((w * k, d * k * 0.86, y, 0.02, e) for k, y, e in inner)], 32)
    tap(s, 0, 0.857, -d + 0.03, 0.1, 0.12)
    return done("sink", s)


def bathtub(rng: np.random.Generator, style: Style, length: float) -> Piece:
    """Lies along its back wall."""
    s, w, d = Shape(), length / 2, 0.36
    rings = [
        (1.0, 1.0, 0.0, 0.2),
        (1.0, 1.0, 0.54, 0.2),
        (0.99, 0.985, 0.56, 0.2),
        (0.91, 0.82, 0.56, 0.4),
        (0.87, 0.75, 0.4, 0.45),
        (0.8, 0.65, 0.16, 0.5),
        (0.6, 0.4, 0.13, 0.7),
    ]
    _ceramic(s, [(w * a, d * b, y, 0.0, e) for a, b, y, e in rings], 40)
    turn = rotation(y=np.pi / 2)
    fitting = Shape()
    tap(fitting, 0, 0.56, 0, 0.12, 0.1)
    s.parts += [part.moved(turn, (-w + 0.05, 0, 0)) for part in fitting.parts]
    if rng.uniform() < 0.5:
        s.loft([ellipse(w * 0.84, d * 0.7, y, 0, 40, 0.46) for y in (0.33, 0.335)], (0.72, 0.86, 0.9))
    return done("bathtub", s)


def shower(rng: np.random.Generator, style: Style) -> Piece:
    """A tray with two glass walls in the corner at -X, -Z; open towards +X and +Z."""
    s, w = Shape(), 0.44
    s.box((0, 0.05, 0), (w, 0.05, w), CERAMIC, None, 0.02, 2)
    s.lathe([(0.045, 0.1005), (0.045, 0.104), (0.03, 0.105)], STEEL, None, 16)
    for x in (-w + 0.01, w - 0.01):
        s.box((x, 1.05, w - 0.01), (0.009, 0.95, 0.009), STEEL, None, 0.003)
    s.box((w - 0.01, 1.05, -w + 0.01), (0.009, 0.95, 0.009), STEEL, None, 0.003)
    s.box((0, 1.99, w - 0.01), (w - 0.02, 0.009, 0.009), STEEL, None, 0.003)
    s.box((w - 0.01, 1.99, 0), (0.009, 0.009, w - 0.02), STEEL, None, 0.003)
    s.box((w - 0.01, 1.04, 0), (0.003, 0.92, w - 0.021), (0.75, 0.87, 0.88), None, segments=0)
    s.pipe(
        [
            (-w + 0.06, 0.9, -w + 0.04),
            (-w + 0.06, 2.0, -w + 0.04),
            (-w + 0.12, 2.06, -w + 0.1),
            (-0.12, 2.06, -0.1),
        ],
        0.011,
        STEEL,
    )
    s.lathe([(0.09, 1.985), (0.095, 2.0), (0.03, 2.03), (0.012, 2.06)], STEEL, None, 20, (-0.12, 0, -0.1))
    return done("shower", s)


def towel(rng: np.random.Generator, style: Style) -> Piece:
    """A rail with a towel over it, on a wall."""
    s, w, color = Shape(), rng.uniform(0.22, 0.32), style.fabric(rng) * 0.6 + 0.35
    s.limb((-w - 0.04, 0, 0.07), (w + 0.04, 0, 0.07), 0.009, None, STEEL)
    for side in (-1, 1):
        s.limb((side * (w + 0.03), 0, 0.002), (side * (w + 0.03), 0, 0.065), 0.008, None, STEEL, sides=8)
    angle = np.linspace(0, np.pi, 7)
    profile = [
        (0.083, -0.55),
        (0.083, -0.2),
        *[(0.07 + 0.014 * np.cos(a), 0.014 * np.sin(a)) for a in angle],
        (0.057, -0.45),
    ]
    x = np.linspace(-w, w, 5)
    grid = np.array([[(at, y, z) for at in x] for z, y in profile])
    s.sheet(grid, color, "stripes")
    return done("towel", s)


def washing_machine(rng: np.random.Generator, style: Style) -> Piece:
    s = Shape()
    s.box((0, 0.425, 0), (0.3, 0.425, 0.28), WHITE, None, 0.015, 2)
    s.lathe(
        [(0.2, 0), (0.2, 0.02), (0.17, 0.035), (0.155, 0.03)], STEEL, None, 32, (0, 0.42, 0.281), SIDEWAYS
    )
    s.lathe(
        [(0.15, 0), (0.15, 0.02), (0.08, 0.034), (0.02, 0.038)],
        (0.12, 0.16, 0.2),
        None,
        28,
        (0, 0.42, 0.282),
        SIDEWAYS,
    )
    s.box((-0.15, 0.77, 0.282), (0.12, 0.045, 0.006), (0.82, 0.83, 0.85), None, 0.004)
    s.lathe([(0.035, 0), (0.035, 0.02), (0.028, 0.03)], STEEL, None, 16, (0.1, 0.77, 0.281), SIDEWAYS)
    return done("washing_machine", s)
