"""What one sits or lies on."""

from __future__ import annotations

from math import tau

import numpy as np

from spatial_envs.geometry.rotations import SIDEWAYS, rotation
from spatial_envs.procedural.furniture.parts import Shape, ellipse
from spatial_envs.procedural.furniture.pieces import BLACK, STEEL, WHITE, Piece, Style, done, feet
from spatial_envs.procedural.furniture.surfaces import hsv


def sofa(rng: np.random.Generator, style: Style, seats: int = 0) -> Piece:
    s, u = Shape(), rng.uniform
    seats = seats or int(rng.integers(2, 4))
    color, arm, deep, back = style.fabric(rng), u(0.12, 0.2), u(0.84, 0.94), u(0.72, 0.86)
    seat = u(0.62, 0.72) if seats > 1 else u(0.58, 0.64)
    w, d = seats * seat / 2 + arm, deep / 2
    s.box((0, 0.2, 0), (w - 0.01, 0.1, d - 0.02), color * 0.85, "fabric", 0.02, 2)
    for side in (-1, 1):
        s.box((side * (w - arm / 2), 0.345, 0), (arm / 2, 0.24, d), color, "fabric", 0.05, 3)
    s.box((0, back / 2 + 0.09, -d + 0.09), (w - arm * 0.6, back / 2 - 0.09, 0.09), color, "fabric", 0.05, 3)
    for n in range(seats):
        x = (n - (seats - 1) / 2) * seat
        s.box((x, 0.37, 0.07), (seat / 2 - 0.006, 0.085, d - 0.1), color * 1.05, "fabric", 0.05, 3)
        lean = rotation(x=-0.18)
        s.box(
            (x, back - 0.18, -d + 0.25), (seat / 2 - 0.015, 0.21, 0.07), color * 1.02, "fabric", 0.06, 3, lean
        )
    feet(s, w, d, 0.125, style.dark, 0.025, 0.09)
    return done("sofa" if seats > 1 else "armchair", s)


def armchair(rng: np.random.Generator, style: Style) -> Piece:
    return sofa(rng, style, 1)


def cushion(rng: np.random.Generator, style: Style) -> Piece:
    s, h = Shape(), rng.uniform(0.17, 0.22)
    color = style.fabric(rng)
    s.box((0, h, 0), (h, h, 0.06), color, "stripes" if rng.uniform() < 0.4 else "fabric", 0.055, 3)
    return done("cushion", s)


def chair(rng: np.random.Generator, style: Style, kind: int | None = None) -> Piece:
    """Seat and back on four legs; kind 0 slats, 1 panel, 2 upholstered."""
    s, u = Shape(), rng.uniform
    kind = int(rng.integers(3)) if kind is None else kind
    w, d, seat, back, color = u(0.2, 0.23), u(0.2, 0.23), u(0.44, 0.47), u(0.4, 0.5), style.wood
    feet(s, w, d, seat, color, 0.018, 0.025, square=kind == 0)
    if kind == 2:
        color = style.fabric(rng)
        s.box((0, seat + 0.015, 0), (w, 0.035, d), color, "fabric", 0.025, 2)
        lean = rotation(x=-0.1)
        s.box((0, seat + back * 0.55, -d + 0.0), (w, back * 0.45, 0.03), color, "fabric", 0.025, 2, lean)
    else:
        s.box((0, seat + 0.01, 0), (w, 0.016, d), color, "wood", 0.008)
        lean = rotation(x=-0.1)
        for x in (-w + 0.02, w - 0.02):
            s.limb((x, seat, -d + 0.02), (x, seat + back, -d - 0.03), 0.016, 0.013, color, "wood")
        if kind == 0:
            for x in np.linspace(-w + 0.08, w - 0.08, int(rng.integers(3, 6))):
                s.box(
                    (x, seat + back / 2, -d), (0.012, back / 2 - 0.02, 0.007), color, "wood", 0.004, 1, lean
                )
            s.box((0, seat + back - 0.01, -d - 0.026), (w, 0.035, 0.011), color, "wood", 0.008, 1, lean)
        else:
            s.box((0, seat + back * 0.65, -d - 0.01), (w, back * 0.3, 0.01), color, "wood", 0.008, 1, lean)
    return done("chair", s)


def office_chair(rng: np.random.Generator, style: Style) -> Piece:
    s, color = Shape(), style.fabric(rng) * 0.8
    for angle in np.arange(5) * tau / 5:
        tip = (0.27 * np.cos(angle), 0.06, 0.27 * np.sin(angle))
        s.limb((0, 0.1, 0), tip, 0.024, 0.016, BLACK)
        s.lathe(
            [(0.02, -0.03), (0.028, -0.015), (0.028, 0.015), (0.02, 0.03)],
            BLACK,
            None,
            8,
            (tip[0], 0.029, tip[2]),
            SIDEWAYS,
        )
    s.limb((0, 0.1, 0), (0, 0.43, 0), 0.026, None, STEEL)
    s.box((0, 0.46, 0), (0.24, 0.04, 0.23), color, "fabric", 0.035, 3)
    s.box((0, 0.82, -0.22), (0.21, 0.25, 0.03), color, "fabric", 0.028, 3, rotation(x=-0.12))
    s.box((0, 0.56, -0.24), (0.03, 0.13, 0.012), BLACK)
    for side in (-1, 1):
        s.pipe([(side * 0.23, 0.45, 0), (side * 0.28, 0.46, 0), (side * 0.28, 0.64, 0)], 0.013, BLACK)
        s.box((side * 0.28, 0.66, 0.02), (0.03, 0.014, 0.12), BLACK, None, 0.012, 2)
    return done("chair", s)


def stool(rng: np.random.Generator, style: Style, seat: float = 0.45) -> Piece:
    s, r = Shape(), rng.uniform(0.15, 0.18)
    for angle in np.arange(4) * tau / 4 + tau / 8:
        x, z = np.cos(angle), np.sin(angle)
        s.limb(
            (x * r, 0.004, z * r), (x * r * 0.7, seat - 0.02, z * r * 0.7), 0.014, 0.017, style.wood, "wood"
        )
    s.loft(
        [ellipse(r * 0.88, r * 0.88, seat * 0.35 - 0.01), ellipse(r * 0.88, r * 0.88, seat * 0.35 + 0.008)],
        style.wood,
        "wood",
    )
    profile = [(r * 0.92, seat - 0.02), (r, seat - 0.01), (r, seat + 0.012), (r * 0.93, seat + 0.02)]
    s.lathe(profile, style.fabric(rng) if rng.uniform() < 0.5 else style.wood, "wood", 20)
    return done("stool", s)


def bench(rng: np.random.Generator, style: Style, width: float = 1.1) -> Piece:
    s, w = Shape(), width / 2
    s.box((0, 0.42, 0), (w, 0.025, 0.17), style.wood, "wood", 0.01)
    s.box((0, 0.47, 0), (w - 0.02, 0.024, 0.155), style.fabric(rng), "fabric", 0.02, 2)
    feet(s, w, 0.17, 0.4, style.wood, 0.022, 0.04, square=True)
    s.box((0, 0.16, 0), (w - 0.05, 0.012, 0.14), style.wood, "wood", 0.006)
    for x in np.linspace(-w + 0.2, w - 0.2, int(width / 0.35)):
        color = hsv(rng.uniform(), 0.5, rng.uniform(0.2, 0.8))
        for side in (-0.05, 0.05):
            s.box((x + side, 0.21, 0.0), (0.04, 0.035, 0.12), color, None, 0.03, 2)
    return done("bench", s)


def bed(rng: np.random.Generator, style: Style, width: float) -> Piece:
    s, u = Shape(), rng.uniform
    w, d, head, cover = width / 2, u(2.02, 2.1) / 2, u(0.85, 1.15), style.fabric(rng)
    s.box((0, 0.2, 0), (w, 0.09, d), style.wood, "wood", 0.015)
    feet(s, w, d, 0.12, style.wood, 0.03, 0.06, square=True)
    padded = u() < 0.5
    s.box(
        (0, head / 2 + 0.03, -d + 0.03),
        (w + 0.006, head / 2 - 0.03, 0.035),
        style.fabric(rng) if padded else style.wood,
        "quilt" if padded else "wood",
        0.02,
        2,
    )
    s.box((0, 0.38, 0.02), (w - 0.03, 0.11, d - 0.06), WHITE, "fabric", 0.05, 3)
    s.box((0, 0.4, 0.27), (w - 0.005, 0.118, d - 0.29), cover, "quilt", 0.05, 3)
    s.box((0, 0.515, -d + 0.66), (w - 0.012, 0.012, 0.1), cover * 0.6 + 0.38, "fabric", 0.01, 2)
    if u() < 0.6:
        s.box((0, 0.519, d - 0.42), (w + 0.004, 0.012, 0.2), style.fabric(rng), "stripes", 0.01, 2)
    count = 2 if width > 1.2 else 1
    for n in range(count):
        x = (n - (count - 1) / 2) * width * 0.48
        lean = rotation(x=-1.15)
        s.box(
            (x, 0.55, -d + 0.29),
            (min(0.33, w * 0.42 * (3 - count)), 0.21, 0.07),
            WHITE,
            "fabric",
            0.065,
            3,
            lean,
        )
    return done("bed", s)
