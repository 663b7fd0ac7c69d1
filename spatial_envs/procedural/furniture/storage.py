"""Cupboards and shelves, and the books and ornaments on them."""

from __future__ import annotations

import numpy as np

from spatial_envs.geometry.rotations import SIDEWAYS, rotation
from spatial_envs.procedural.furniture.parts import Shape
from spatial_envs.procedural.furniture.pieces import STEEL, Piece, Style, done, feet, handle
from spatial_envs.procedural.furniture.surfaces import hsv


def nightstand(rng: np.random.Generator, style: Style) -> Piece:
    s, w, high = Shape(), rng.uniform(0.2, 0.24), rng.uniform(0.46, 0.54)
    s.box((0, high / 2 + 0.04, 0), (w, high / 2 - 0.04, 0.19), style.wood, "wood", 0.008)
    for n in range(2):
        y = 0.08 + (high - 0.08) * (0.27 + 0.46 * n)
        s.box((0, y, 0.192), (w - 0.02, (high - 0.1) * 0.22, 0.009), style.front, None, 0.004)
        handle(s, 0, y, 0.2, 0.1, upright=False)
    feet(s, w, 0.19, 0.09, style.dark, 0.018, 0.03)
    return done("nightstand", s)


def wardrobe(rng: np.random.Generator, style: Style, doors: int = 3) -> Piece:
    s, leaf, high = Shape(), rng.uniform(0.46, 0.54), rng.uniform(1.95, 2.2)
    w, d, mirrored = doors * leaf / 2, 0.29, rng.integers(-2, doors)
    color = style.front
    s.box((0, high / 2, -0.01), (w, high / 2, d - 0.01), color * 0.9, None, 0.006)
    for n in range(doors):
        x = (n - (doors - 1) / 2) * leaf
        s.box(
            (x, high / 2 + 0.02, d - 0.006), (leaf / 2 - 0.006, high / 2 - 0.05, 0.012), color, "wood", 0.006
        )
        if n == mirrored:
            s.box(
                (x, high / 2 + 0.02, d + 0.008),
                (leaf / 2 - 0.07, high / 2 - 0.15, 0.004),
                (0.7, 0.78, 0.82),
                None,
                0.002,
            )
        else:
            for y in (0.3, 0.72):
                s.box(
                    (x, high * y, d + 0.008), (leaf / 2 - 0.08, high * 0.17, 0.006), color * 1.04, None, 0.005
                )
        handle(s, x + (1 if n % 2 == 0 else -1) * (leaf / 2 - 0.05), high * 0.5, d + 0.006, 0.16)
    return done("wardrobe", s)


def chest_of_drawers(rng: np.random.Generator, style: Style) -> Piece:
    s, w, d, rows = Shape(), rng.uniform(0.38, 0.5), 0.23, int(rng.integers(3, 5))
    high = 0.1 + rows * 0.23
    s.box((0, high / 2 + 0.03, 0), (w, high / 2 - 0.03, d), style.wood, "wood", 0.008)
    for row in range(rows):
        y = 0.12 + (row + 0.5) * (high - 0.14) / rows
        for x in (-w / 2, w / 2):
            s.box(
                (x, y, d + 0.004),
                (w / 2 - 0.015, (high - 0.14) / rows / 2 - 0.008, 0.01),
                style.front,
                None,
                0.006,
            )
            s.lathe(
                [(0.008, 0), (0.008, 0.014), (0.016, 0.02), (0.013, 0.03)],
                STEEL,
                None,
                10,
                (x, y, d + 0.013),
                SIDEWAYS,
            )
    feet(s, w, d, 0.07, style.dark, 0.02, 0.04)
    return done("chest_of_drawers", s)


def _books(s: Shape, rng, x0, x1, y, z, tall, deep) -> None:
    """A row of books from x0 to x1 on a board at y, their backs to +Z."""
    x = x0
    while x < x1 - 0.05:
        thick, high = rng.uniform(0.009, 0.022), tall * rng.uniform(0.65, 0.95)
        s.box(
            (x + thick, y + high / 2 + 0.001, z),
            (thick - 0.0008, high / 2, deep * rng.uniform(0.75, 0.95)),
            hsv(rng.uniform(), rng.uniform(0.1, 0.8), rng.uniform(0.2, 0.85)),
            None,
            segments=0,
        )
        x += 2 * thick
        if rng.uniform() < 0.06:
            x += rng.uniform(0.04, 0.12)


def _ornament(s: Shape, rng, x, y, z, room) -> None:
    """A vase, bowl or box of at most `room` across."""
    color, r = hsv(rng.uniform(), rng.uniform(0.1, 0.8), rng.uniform(0.3, 0.95)), room * rng.uniform(0.3, 0.5)
    kind, y = rng.integers(3), y + 0.001
    if kind == 0:
        shape = [(0.5, 0), (0.9, 0.5), (1.0, 1.1), (0.6, 1.9), (0.4, 2.3), (0.55, 2.6)]
        s.lathe([(a * r, y + b * r * 0.8) for a, b in shape], color, None, 16, (x, 0, z))
    elif kind == 1:
        shape = [(0.45, 0), (0.8, 0.25), (1.0, 0.7), (0.93, 0.7), (0.7, 0.3), (0.2, 0.2)]
        s.lathe([(a * r, y + b * r) for a, b in shape], color, None, 18, (x, 0, z))
    else:
        s.box((x, y + r * 0.6, z), (r, r * 0.6, r * 0.7), color, None, 0.008)


def bookshelf(rng: np.random.Generator, style: Style, width: float = 0.0, high: float = 0.0) -> Piece:
    s, w, d = Shape(), (width or rng.uniform(0.7, 1.1)) / 2, rng.uniform(0.14, 0.17)
    high = high or rng.uniform(1.6, 2.1)
    rows = max(2, round(high / 0.36))
    for x in (-w + 0.012, w - 0.012):
        s.box((x, high / 2, 0), (0.012, high / 2, d), style.wood, "wood", 0.003)
    s.box((0, high / 2, -d + 0.004), (w - 0.026, high / 2 - 0.01, 0.004), style.wood * 0.8, "wood", 0.001)
    gap = (high - 0.1) / rows
    for row in range(rows + 1):
        y = 0.07 + row * gap
        s.box((0, y, 0.006), (w - 0.0245, 0.01, d - 0.008), style.wood, "wood", 0.003)
        if row == rows:
            break
        x = -w + 0.04
        while x < w - 0.1:
            span = min(rng.uniform(0.18, 0.5), w - 0.03 - x)
            if rng.uniform() < 0.72:
                _books(s, rng, x, x + span, y + 0.01, -0.005, gap - 0.05, d - 0.03)
            elif span > 0.12:
                _ornament(s, rng, x + span / 2, y + 0.01, 0, min(span, 0.2))
            x += span
    return done("bookshelf", s)


def cabinet(rng: np.random.Generator, style: Style, width: float, high: float, deep: float = 0.4) -> Piece:
    """A low cupboard on feet, its doors side by side."""
    s, w, d = Shape(), width / 2, deep / 2
    doors = max(2, round(width / 0.5))
    s.box((0, high / 2 + 0.04, -0.005), (w, high / 2 - 0.04, d - 0.012), style.wood, "wood", 0.006)
    for n in range(doors):
        x = (n - (doors - 1) / 2) * (width - 0.03) / doors
        half = (width - 0.03) / doors / 2 - 0.005
        s.box((x, high / 2 + 0.04, d - 0.012), (half, high / 2 - 0.065, 0.009), style.front, None, 0.004)
        handle(
            s,
            x + (1 if n % 2 == 0 else -1) * (half - 0.05),
            high / 2 + 0.06,
            d - 0.004,
            min(0.16, high * 0.3),
        )
    feet(s, w, d, 0.09, style.dark, 0.018, 0.05)
    return done("cabinet", s)


def ornaments(rng: np.random.Generator, style: Style, room: float) -> Piece:
    """A vase, a bowl or a pile of books, to stand on something."""
    s = Shape()
    if rng.uniform() < 0.4:
        y = 0.001
        for _ in range(rng.integers(2, 5)):
            thick, turn = rng.uniform(0.01, 0.02), rotation(y=rng.uniform(-0.4, 0.4))
            color = hsv(rng.uniform(), rng.uniform(0.2, 0.8), rng.uniform(0.3, 0.9))
            s.box((0, y + thick, 0), (room * 0.4, thick - 0.0005, room * 0.28), color, None, 0.003, turn=turn)
            y += 2 * thick
        return done("books", s)
    _ornament(s, rng, 0, 0, 0, room)
    return done("decoration", s)
