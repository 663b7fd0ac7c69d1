"""Screens, lamps, plants, and what hangs on walls and lies on floors."""

from __future__ import annotations

from math import tau

import numpy as np

from spatial_envs.geometry.rotations import rotation
from spatial_envs.procedural.furniture.parts import Shape, ellipse
from spatial_envs.procedural.furniture.pieces import BLACK, WHITE, Piece, Style, done
from spatial_envs.procedural.furniture.surfaces import carpet, hsv, painting

LEAVES = (0.27, 0.33, 0.38)  # hues


def tv(rng: np.random.Generator, style: Style, wide: float = 1.1) -> Piece:
    s, w = Shape(), wide / 2
    h = w * 9 / 16
    y = h + 0.07
    s.box((0, y, 0), (w, h, 0.022), BLACK, None, 0.01)
    s.panel((0, y, 0.0235), 2 * w - 0.03, 2 * h - 0.03, (1, 1, 1), painting(rng) // 3 + 12)
    s.box((0, 0.055, -0.014), (0.05, 0.054, 0.012), BLACK)
    s.box((0, 0.008, 0), (w * 0.4, 0.008, 0.1), BLACK, None, 0.006)
    return done("tv_monitor", s)


def keyboard(rng: np.random.Generator, style: Style) -> Piece:
    s = Shape()
    s.box((0, 0.011, 0), (0.21, 0.01, 0.07), BLACK, None, 0.006)
    for row in range(4):
        s.box((0, 0.022, -0.045 + row * 0.03), (0.195, 0.004, 0.011), (0.3, 0.3, 0.32), None, 0.003)
    s.box((0.3, 0.016, 0), (0.03, 0.015, 0.05), BLACK, None, 0.014, 2)
    return done("keyboard", s)


def lamp(rng: np.random.Generator, style: Style, high: float) -> Piece:
    """A standard lamp, or one for a table where it is not high."""
    s, shade = Shape(), hsv(0.12, rng.uniform(0.05, 0.4), 0.98)
    r = 0.12 + 0.06 * (high > 0.8)
    tall, low = r * rng.uniform(1.1, 1.6), r * rng.uniform(0.55, 0.8)
    base = [(r * 0.85, 0), (r * 0.85, 0.012), (r * 0.7, 0.022), (0.02, 0.03)]
    s.lathe([*base, (0.012, 0.06), (0.012, high - tall * 0.7 + 0.02)], style.dark, None, 20)
    if high < 0.8:
        s.lathe([(0.03, 0.03), (0.07, 0.08), (0.06, 0.15), (0.02, 0.2)], style.fabric(rng), None, 18)
    y = high - tall
    s.loft([ellipse(r, r, y, sides=24), ellipse(low, low, high, sides=24)], shade, None, caps=False)
    s.loft(
        [
            ellipse(low - 0.004, low - 0.004, high - 0.001, sides=24),
            ellipse(r - 0.004, r - 0.004, y + 0.001, sides=24),
        ],
        shade,
        None,
        caps=False,
    )
    s.lathe(
        [(0.02, 0), (0.045, 0.03), (0.04, 0.07), (0.01, 0.09)],
        (1, 0.98, 0.85),
        None,
        12,
        (0, y + tall * 0.3, 0),
    )
    return done("lamp", s)


def ceiling_lamp(rng: np.random.Generator, style: Style, ceiling: float) -> Piece:
    """Hangs from the ceiling, well above a head."""
    s, kind, shade = Shape(), rng.integers(3), style.fabric(rng) * 0.5 + 0.45
    if kind == 0 or ceiling < 2.5:
        s.lathe(
            [(0.1, ceiling - 0.12), (0.19, ceiling - 0.09), (0.21, ceiling - 0.03), (0.19, ceiling - 0.002)],
            (1, 0.98, 0.9),
            None,
            28,
        )
        return done("lamp", s)
    y = ceiling - rng.uniform(0.35, 0.5)
    s.limb((0, y + 0.1, 0), (0, ceiling - 0.012, 0), 0.006, None, BLACK, sides=6)
    s.lathe([(0.05, ceiling - 0.02), (0.05, ceiling - 0.002)], BLACK, None, 14)
    if kind == 1:
        s.loft(
            [
                ellipse(0.2, 0.2, y - 0.08, sides=28),
                ellipse(0.13, 0.13, y + 0.05, sides=28),
                ellipse(0.03, 0.03, y + 0.12, sides=28),
            ],
            shade,
            None,
            caps=False,
        )
        s.lathe(
            [(0.015, -0.06), (0.05, -0.03), (0.05, 0.01), (0.01, 0.05)], (1, 0.98, 0.85), None, 14, (0, y, 0)
        )
    else:
        t = np.linspace(-1.45, 1.45, 11)
        s.lathe([(0.16 * np.cos(a), 0.16 * np.sin(a)) for a in t], (1, 0.99, 0.94), None, 28, (0, y, 0))
    return done("lamp", s)


def plant(rng: np.random.Generator, style: Style, high: float) -> Piece:
    """Leaves on stalks out of a pot."""
    s, u = Shape(), rng.uniform
    r, pot = 0.08 + 0.08 * min(high, 1.2), 0.1 + 0.16 * min(high, 1.2)
    color = hsv(u(), u(0, 0.6), u(0.4, 0.95))
    profile = [(0.72, 0), (0.78, 0.03), (0.98, 0.9), (1.05, 0.92), (1.05, 1.0), (0.93, 1.0), (0.9, 0.9)]
    s.lathe([(a * r, b * pot) for a, b in profile], color, None, 22)
    s.lathe(
        [(r * 0.5, pot * 0.86), (r * 0.9, pot * 0.9), (r * 0.3, pot * 0.94)], (0.25, 0.18, 0.12), None, 18
    )
    hue, count, broad = rng.choice(LEAVES), int(rng.integers(14, 26)), u(0.16, 0.42)
    trunk = (high - pot) * u(0.0, 0.45)
    if trunk > 0.15:
        s.limb((0, pot * 0.87, 0), (0, pot + trunk, 0), 0.02, 0.012, (0.4, 0.28, 0.18), "wood", 8)
    t = np.linspace(0, 1, 6)
    for n in range(count):
        azimuth, long = n * 2.4 + u(-0.3, 0.3), (high - pot - trunk) * u(0.6, 1.0)
        lean, bend = u(0.15, 0.75), u(0.3, 0.9)
        out = np.array([np.cos(azimuth), 0, np.sin(azimuth)])
        across = np.array([-np.sin(azimuth), 0, np.cos(azimuth)])
        reach = np.minimum(long * (lean * t + 0.35 * bend * t**2), 0.06 + 0.32 * high)
        rise = long * (t - 0.45 * bend * lean * t**2)
        spine = reach[:, None] * out + (pot * 0.9 + trunk + rise)[:, None] * [0, 1, 0]
        half = broad * long * 0.32 * np.sin(np.pi * np.clip(t * 0.9 + 0.08, 0, 1)) ** 0.8
        fold = np.array([[-1.0, 0.25], [0.0, 0.0], [1.0, 0.25]])
        grid = spine[:, None] + half[:, None, None] * (fold[:, :1] * across + fold[:, 1:] * [0, 1, 0])
        shade = hsv(hue + u(-0.03, 0.03), u(0.45, 0.75), u(0.35, 0.65))
        s.sheet(grid, shade * np.array([0.85, 1.1, 0.85])[None, :, None] * np.ones((6, 1, 1)))
    return done("plant", s)


def picture(rng: np.random.Generator, style: Style, width: float, high: float) -> Piece:
    s, bar = Shape(), rng.uniform(0.012, 0.03)
    frame = [style.dark, style.wood, np.array(WHITE), np.array(BLACK), np.array([0.75, 0.6, 0.3])][
        rng.integers(5)
    ]
    for side in (-1, 1):
        s.box((0, side * (high / 2 - bar / 2), 0.014), (width / 2, bar / 2, 0.012), frame, None, 0.004)
        s.box(
            (side * (width / 2 - bar / 2), 0, 0.014),
            (bar / 2, high / 2 - bar - 0.0005, 0.012),
            frame,
            None,
            0.004,
        )
    mat = rng.uniform(0.02, 0.07) * (rng.uniform() < 0.6)
    s.panel((0, 0, 0.008), width - 2 * bar, high - 2 * bar, (0.96, 0.95, 0.92))
    s.panel((0, 0, 0.011), width - 2 * bar - 2 * mat, high - 2 * bar - 2 * mat, (1, 1, 1), painting(rng))
    return done("picture", s)


def mirror(rng: np.random.Generator, style: Style, width: float, high: float) -> Piece:
    s, glass = Shape(), np.array([0.66, 0.76, 0.8])
    if rng.uniform() < 0.35:
        turn = rotation(x=np.pi / 2)
        rings = [ellipse(width / 2, high / 2, y, sides=36) for y in (0.002, 0.02)]
        s.loft(rings, style.wood, "wood", turn)
        s.loft(
            [ellipse(width / 2 - 0.025, high / 2 - 0.025, y, sides=36) for y in (0.004, 0.026)],
            glass,
            None,
            turn,
        )
    else:
        s.box((0, 0, 0.012), (width / 2, high / 2, 0.01), style.wood, "wood", 0.004)
        t = np.linspace(0, 1, 5)
        x, y = (t - 0.5) * (width - 0.05), (t - 0.5) * (high - 0.05)
        grid = np.stack([*np.meshgrid(x, y), np.full((5, 5), 0.025)], axis=-1)
        shine = 0.85 + 0.3 * np.abs(t[:, None] + t[None] - 1)
        s.sheet(grid, np.clip(glass * shine[..., None], 0, 1))
    return done("mirror", s)


def clock(rng: np.random.Generator, style: Style) -> Piece:
    s, r, turn = Shape(), rng.uniform(0.13, 0.18), rotation(x=np.pi / 2)
    s.loft([ellipse(r, r, y, sides=32) for y in (0.002, 0.03)], style.dark, None, turn)
    s.loft([ellipse(r * 0.9, r * 0.9, y, sides=32) for y in (0.004, 0.034)], WHITE, None, turn)
    for angle, long in ((rng.uniform(0, tau), 0.5), (rng.uniform(0, tau), 0.75)):
        hand = rotation(z=angle)
        s.box(
            hand @ [0, long * r / 2, 0.038 - long * 0.002],
            (0.006, long * r / 2, 0.0008),
            BLACK,
            None,
            segments=0,
            turn=hand,
        )
    for hour in np.arange(12) * tau / 12:
        turn = rotation(z=hour)
        s.box(turn @ [0, r * 0.78, 0.0355], (0.004, r * 0.06, 0.0008), BLACK, None, segments=0, turn=turn)
    return done("clock", s)


def rug(rng: np.random.Generator, style: Style, width: float, depth: float) -> Piece:
    """Lies on the floor, 1 cm thick."""
    s = Shape()
    s.box((0, 0.005, 0), (width / 2, 0.004, depth / 2), style.fabric(rng) * 0.6, None, segments=0)
    image = carpet(rng)
    n = 9
    x, z = np.linspace(-width / 2, width / 2, n), np.linspace(depth / 2, -depth / 2, n)
    gx, gz = np.meshgrid(x, z)
    s.sheet(np.stack([gx, np.full_like(gx, 0.0105), gz], axis=-1), (1, 1, 1), image)
    return done("rug", s)


def curtain(rng: np.random.Generator, style: Style, width: float, high: float) -> Piece:
    """A rail with two gathered halves, 0.12 m deep; the rail's middle is the centre."""
    s, color = Shape(), style.fabric(rng) * 0.6 + 0.35
    s.limb((-width / 2 - 0.08, 0, 0.06), (width / 2 + 0.08, 0, 0.06), 0.011, None, style.dark)
    for side in (-1, 1):
        s.lathe(
            [(0.009, -0.004), (0.024, 0.01), (0.024, 0.03), (0.008, 0.04)],
            style.dark,
            None,
            10,
            (side * (width / 2 + 0.08), 0, 0.06),
            rotation(z=-side * np.pi / 2),
        )
        across, t = np.linspace(0, 0.27, 33), np.linspace(0, 1, 4)
        wave = 0.028 * np.sin(across / 0.27 * tau * 4)
        x = side * (width / 2 + 0.06 - across)
        order = slice(None) if side < 0 else slice(None, None, -1)
        grid = np.stack(
            [
                np.broadcast_to(x, (4, 33)),
                np.broadcast_to((-high + t * (high - 0.013))[:, None], (4, 33)),
                0.06 + wave * (1.1 - 0.3 * t[:, None]),
            ],
            axis=-1,
        )
        s.sheet(grid[:, order], color, "fabric")
    return done("curtain", s)
