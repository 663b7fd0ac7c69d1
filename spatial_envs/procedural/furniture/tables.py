"""Tables and desks."""

from __future__ import annotations

import numpy as np

from spatial_envs.procedural.furniture.parts import Shape, ellipse
from spatial_envs.procedural.furniture.pieces import STEEL, Piece, Style, done, feet, handle


def table(rng: np.random.Generator, style: Style, width: float, depth: float) -> Piece:
    s, w, d, high = Shape(), width / 2, depth / 2, rng.uniform(0.72, 0.76)
    if rng.uniform() < 0.3 and abs(w - d) < 0.2:
        w = d = min(w, d)
        s.lathe(
            [(w - 0.015, high - 0.03), (w, high - 0.018), (w, high - 0.006), (w - 0.008, high)],
            style.wood,
            "wood",
            36,
        )
        profile = [(0.3, 0), (0.28, 0.03), (0.06, 0.09), (0.05, 0.4), (0.09, high - 0.04)]
        s.lathe(profile, style.wood, "wood", 20)
    else:
        s.box((0, high - 0.016, 0), (w, 0.016, d), style.wood, "wood", 0.008, 2)
        for z in (-d + 0.07, d - 0.07):
            s.box((0, high - 0.075, z), (w - 0.09, 0.04, 0.01), style.wood, "wood", 0.003)
        for x in (-w + 0.07, w - 0.07):
            s.box((x, high - 0.075, 0), (0.01, 0.04, d - 0.09), style.wood, "wood", 0.003)
        feet(s, w, d, high - 0.033, style.wood, 0.032, 0.07, square=rng.uniform() < 0.6)
    return done("table", s)


def coffee_table(rng: np.random.Generator, style: Style) -> Piece:
    s, u = Shape(), rng.uniform
    w, d, high = u(0.42, 0.58), u(0.27, 0.34), u(0.36, 0.44)
    color = style.dark if u() < 0.4 else style.wood
    if u() < 0.4:
        s.loft(
            [
                ellipse(w * k, d * k, y, sides=32)
                for k, y in ((0.97, high - 0.03), (1, high - 0.02), (1, high - 0.006), (0.985, high))
            ],
            color,
            "wood",
        )
        feet(s, w * 0.66, d * 0.66, high - 0.02, color, 0.02, 0.0)
    else:
        s.box((0, high - 0.018, 0), (w, 0.018, d), color, "wood", 0.01, 2)
        s.box((0, 0.12, 0), (w - 0.05, 0.01, d - 0.05), color, "wood", 0.004)
        feet(s, w, d, high - 0.03, color, 0.024, 0.04, square=True)
    return done("coffee_table", s)


def desk(rng: np.random.Generator, style: Style) -> Piece:
    s, w, d, high = Shape(), rng.uniform(0.6, 0.75), rng.uniform(0.3, 0.36), 0.74
    s.box((0, high - 0.014, 0), (w, 0.014, d), style.wood, "wood", 0.006)
    x = w - 0.22
    s.box((x, (high - 0.03) / 2 + 0.02, 0), (0.19, (high - 0.07) / 2, d - 0.03), style.front, None, 0.006)
    for n in range(3):
        y = 0.16 + n * 0.215
        s.box((x, y, d - 0.021), (0.175, 0.098, 0.01), style.front * 0.95, None, 0.004)
        handle(s, x, y, d - 0.01, 0.12, upright=False)
    for z in (-d + 0.05, d - 0.05):
        s.box((-w + 0.04, (high - 0.03) / 2, z), (0.022, (high - 0.03) / 2, 0.022), STEEL, None, 0.004)
    s.box((-0.2, high - 0.2, -d + 0.03), (w - 0.26, 0.15, 0.008), style.wood, "wood", 0.003)
    return done("desk", s)
