"""The catalogue of an apartment's furniture: every function makes one piece of its category, seeded.

A piece stands on y = 0 with its back towards -Z, centred on x = z = 0; what hangs on a wall has its back at
z = 0 and its centre at y = 0. Metres.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import tau

import numpy as np

from spatial_envs.procedural.parts import Part, Shape, ellipse
from spatial_envs.procedural.rotations import SIDEWAYS, rotation
from spatial_envs.procedural.surfaces import carpet, hsv, painting

WHITE, BLACK, STEEL, CERAMIC = (0.93, 0.93, 0.92), (0.07, 0.07, 0.08), (0.72, 0.74, 0.76), (0.96, 0.96, 0.95)
LEAVES = (0.27, 0.33, 0.38)  # hues
CATEGORIES = (
    "armchair", "bathtub", "bed", "bench", "books", "bookshelf", "cabinet", "chair",
    "chest_of_drawers", "clock", "coffee_table", "counter", "curtain", "cushion", "decoration",
    "desk", "keyboard", "lamp", "mirror", "nightstand", "oven", "picture", "plant", "refrigerator",
    "rug", "shower", "sink", "sofa", "stool", "table", "toilet", "towel", "trash_can", "tv_monitor",
    "wardrobe", "washing_machine",
)  # fmt: skip


@dataclass(frozen=True)
class Style:
    """What the pieces of one apartment have in common; colours are albedos in [0, 1]."""

    wood: np.ndarray
    dark: np.ndarray
    fabrics: tuple[np.ndarray, ...]
    front: np.ndarray  # of cupboards and kitchen units
    top: np.ndarray  # of counters

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Style:
        wood = hsv(rng.uniform(0.06, 0.11), rng.uniform(0.3, 0.65), rng.uniform(0.55, 0.9))
        hue = rng.uniform()
        fabrics = tuple(
            hsv(hue + step, rng.uniform(0.25, 0.7), rng.uniform(0.35, 0.85)) for step in (0, 0.45, 0.08, 0.6)
        )
        front = (
            wood if rng.uniform() < 0.35 else hsv(rng.uniform(), rng.uniform(0, 0.35), rng.uniform(0.6, 0.95))
        )
        top = hsv(0.08, rng.uniform(0, 0.3), rng.choice([0.25, 0.6, 0.85]))
        return cls(wood, wood * rng.uniform(0.4, 0.7), fabrics, front, top)

    def fabric(self, rng: np.random.Generator) -> np.ndarray:
        return np.clip(self.fabrics[rng.integers(len(self.fabrics))] * rng.uniform(0.85, 1.15), 0, 1)


@dataclass(frozen=True, eq=False)
class Piece:
    """A category and the parts of one object; ``low`` and ``high`` (3,) bound it."""

    category: str
    parts: tuple[Part, ...]
    low: np.ndarray = field(init=False)
    high: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "low", np.min([part.vertices.min(axis=0) for part in self.parts], axis=0))
        object.__setattr__(self, "high", np.max([part.vertices.max(axis=0) for part in self.parts], axis=0))

    @property
    def width(self) -> float:
        return float(self.high[0] - self.low[0])

    @property
    def depth(self) -> float:
        return float(self.high[2] - self.low[2])

    @property
    def height(self) -> float:
        return float(self.high[1])


def _done(category: str, s: Shape) -> Piece:
    return Piece(category, tuple(s.parts))


def _feet(s: Shape, w, d, top, color, radius=0.02, inset=0.05, square=False, bottom=0.0) -> None:
    """Four legs under a plate of half sizes w, d."""
    for x in (-w + inset, w - inset):
        for z in (-d + inset, d - inset):
            if square:
                middle = (top + bottom) / 2
                s.box((x, middle, z), (radius, (top - bottom) / 2, radius), color, "wood", 0.004)
            else:
                s.limb((x, bottom, z), (x, top, z), radius * 0.75, radius, color, "wood")


def _handle(s: Shape, x, y, z, long, upright=True) -> None:
    """A bar handle before a front at z."""
    half = (0.006, long / 2, 0.006) if upright else (long / 2, 0.006, 0.006)
    s.box((x, y, z + 0.03), half, STEEL, rounding=0.004)
    for side in (-0.8, 0.8):
        at = (x, y + side * long / 2, z) if upright else (x + side * long / 2, y, z)
        s.limb(np.add(at, (0, 0, -0.002)), np.add(at, (0, 0, 0.03)), 0.005, None, STEEL, sides=6)


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
    _feet(s, w, d, 0.125, style.dark, 0.025, 0.09)
    return _done("sofa" if seats > 1 else "armchair", s)


def armchair(rng: np.random.Generator, style: Style) -> Piece:
    return sofa(rng, style, 1)


def cushion(rng: np.random.Generator, style: Style) -> Piece:
    s, h = Shape(), rng.uniform(0.17, 0.22)
    color = style.fabric(rng)
    s.box((0, h, 0), (h, h, 0.06), color, "stripes" if rng.uniform() < 0.4 else "fabric", 0.055, 3)
    return _done("cushion", s)


def chair(rng: np.random.Generator, style: Style, kind: int | None = None) -> Piece:
    """Seat and back on four legs; kind 0 slats, 1 panel, 2 upholstered."""
    s, u = Shape(), rng.uniform
    kind = int(rng.integers(3)) if kind is None else kind
    w, d, seat, back, color = u(0.2, 0.23), u(0.2, 0.23), u(0.44, 0.47), u(0.4, 0.5), style.wood
    _feet(s, w, d, seat, color, 0.018, 0.025, square=kind == 0)
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
    return _done("chair", s)


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
    return _done("chair", s)


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
    return _done("stool", s)


def bench(rng: np.random.Generator, style: Style, width: float = 1.1) -> Piece:
    s, w = Shape(), width / 2
    s.box((0, 0.42, 0), (w, 0.025, 0.17), style.wood, "wood", 0.01)
    s.box((0, 0.47, 0), (w - 0.02, 0.024, 0.155), style.fabric(rng), "fabric", 0.02, 2)
    _feet(s, w, 0.17, 0.4, style.wood, 0.022, 0.04, square=True)
    s.box((0, 0.16, 0), (w - 0.05, 0.012, 0.14), style.wood, "wood", 0.006)
    for x in np.linspace(-w + 0.2, w - 0.2, int(width / 0.35)):
        color = hsv(rng.uniform(), 0.5, rng.uniform(0.2, 0.8))
        for side in (-0.05, 0.05):
            s.box((x + side, 0.21, 0.0), (0.04, 0.035, 0.12), color, None, 0.03, 2)
    return _done("bench", s)


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
        _feet(s, w, d, high - 0.033, style.wood, 0.032, 0.07, square=rng.uniform() < 0.6)
    return _done("table", s)


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
        _feet(s, w * 0.66, d * 0.66, high - 0.02, color, 0.02, 0.0)
    else:
        s.box((0, high - 0.018, 0), (w, 0.018, d), color, "wood", 0.01, 2)
        s.box((0, 0.12, 0), (w - 0.05, 0.01, d - 0.05), color, "wood", 0.004)
        _feet(s, w, d, high - 0.03, color, 0.024, 0.04, square=True)
    return _done("coffee_table", s)


def desk(rng: np.random.Generator, style: Style) -> Piece:
    s, w, d, high = Shape(), rng.uniform(0.6, 0.75), rng.uniform(0.3, 0.36), 0.74
    s.box((0, high - 0.014, 0), (w, 0.014, d), style.wood, "wood", 0.006)
    x = w - 0.22
    s.box((x, (high - 0.03) / 2 + 0.02, 0), (0.19, (high - 0.07) / 2, d - 0.03), style.front, None, 0.006)
    for n in range(3):
        y = 0.16 + n * 0.215
        s.box((x, y, d - 0.021), (0.175, 0.098, 0.01), style.front * 0.95, None, 0.004)
        _handle(s, x, y, d - 0.01, 0.12, upright=False)
    for z in (-d + 0.05, d - 0.05):
        s.box((-w + 0.04, (high - 0.03) / 2, z), (0.022, (high - 0.03) / 2, 0.022), STEEL, None, 0.004)
    s.box((-0.2, high - 0.2, -d + 0.03), (w - 0.26, 0.15, 0.008), style.wood, "wood", 0.003)
    return _done("desk", s)


def bed(rng: np.random.Generator, style: Style, width: float) -> Piece:
    s, u = Shape(), rng.uniform
    w, d, head, cover = width / 2, u(2.02, 2.1) / 2, u(0.85, 1.15), style.fabric(rng)
    s.box((0, 0.2, 0), (w, 0.09, d), style.wood, "wood", 0.015)
    _feet(s, w, d, 0.12, style.wood, 0.03, 0.06, square=True)
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
    return _done("bed", s)


def nightstand(rng: np.random.Generator, style: Style) -> Piece:
    s, w, high = Shape(), rng.uniform(0.2, 0.24), rng.uniform(0.46, 0.54)
    s.box((0, high / 2 + 0.04, 0), (w, high / 2 - 0.04, 0.19), style.wood, "wood", 0.008)
    for n in range(2):
        y = 0.08 + (high - 0.08) * (0.27 + 0.46 * n)
        s.box((0, y, 0.192), (w - 0.02, (high - 0.1) * 0.22, 0.009), style.front, None, 0.004)
        _handle(s, 0, y, 0.2, 0.1, upright=False)
    _feet(s, w, 0.19, 0.09, style.dark, 0.018, 0.03)
    return _done("nightstand", s)


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
        _handle(s, x + (1 if n % 2 == 0 else -1) * (leaf / 2 - 0.05), high * 0.5, d + 0.006, 0.16)
    return _done("wardrobe", s)


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
    _feet(s, w, d, 0.07, style.dark, 0.02, 0.04)
    return _done("chest_of_drawers", s)


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
    return _done("bookshelf", s)


def cabinet(rng: np.random.Generator, style: Style, width: float, high: float, deep: float = 0.4) -> Piece:
    """A low cupboard on feet, its doors side by side."""
    s, w, d = Shape(), width / 2, deep / 2
    doors = max(2, round(width / 0.5))
    s.box((0, high / 2 + 0.04, -0.005), (w, high / 2 - 0.04, d - 0.012), style.wood, "wood", 0.006)
    for n in range(doors):
        x = (n - (doors - 1) / 2) * (width - 0.03) / doors
        half = (width - 0.03) / doors / 2 - 0.005
        s.box((x, high / 2 + 0.04, d - 0.012), (half, high / 2 - 0.065, 0.009), style.front, None, 0.004)
        _handle(
            s,
            x + (1 if n % 2 == 0 else -1) * (half - 0.05),
            high / 2 + 0.06,
            d - 0.004,
            min(0.16, high * 0.3),
        )
    _feet(s, w, d, 0.09, style.dark, 0.018, 0.05)
    return _done("cabinet", s)


def tv(rng: np.random.Generator, style: Style, wide: float = 1.1) -> Piece:
    s, w = Shape(), wide / 2
    h = w * 9 / 16
    y = h + 0.07
    s.box((0, y, 0), (w, h, 0.022), BLACK, None, 0.01)
    s.panel((0, y, 0.0235), 2 * w - 0.03, 2 * h - 0.03, (1, 1, 1), painting(rng) // 3 + 12)
    s.box((0, 0.055, -0.014), (0.05, 0.054, 0.012), BLACK)
    s.box((0, 0.008, 0), (w * 0.4, 0.008, 0.1), BLACK, None, 0.006)
    return _done("tv_monitor", s)


def keyboard(rng: np.random.Generator, style: Style) -> Piece:
    s = Shape()
    s.box((0, 0.011, 0), (0.21, 0.01, 0.07), BLACK, None, 0.006)
    for row in range(4):
        s.box((0, 0.022, -0.045 + row * 0.03), (0.195, 0.004, 0.011), (0.3, 0.3, 0.32), None, 0.003)
    s.box((0.3, 0.016, 0), (0.03, 0.015, 0.05), BLACK, None, 0.014, 2)
    return _done("keyboard", s)


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
    return _done("lamp", s)


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
        return _done("lamp", s)
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
    return _done("lamp", s)


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
    return _done("plant", s)


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
    return _done("picture", s)


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
    return _done("mirror", s)


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
    return _done("clock", s)


def rug(rng: np.random.Generator, style: Style, width: float, depth: float) -> Piece:
    """Lies on the floor, 1 cm thick."""
    s = Shape()
    s.box((0, 0.005, 0), (width / 2, 0.004, depth / 2), style.fabric(rng) * 0.6, None, segments=0)
    image = carpet(rng)
    n = 9
    x, z = np.linspace(-width / 2, width / 2, n), np.linspace(depth / 2, -depth / 2, n)
    gx, gz = np.meshgrid(x, z)
    s.sheet(np.stack([gx, np.full_like(gx, 0.0105), gz], axis=-1), (1, 1, 1), image)
    return _done("rug", s)


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
    return _done("curtain", s)


def counter(rng: np.random.Generator, style: Style, width: float) -> Piece:
    """A kitchen base unit, 0.9 m high and 0.6 m deep."""
    s, w = Shape(), width / 2
    _unit(s, rng, style, w)
    s.box((0, 0.885, 0.005), (w - 0.001, 0.018, 0.31), style.top, "marble", 0.004)
    return _done("counter", s)


def _unit(s: Shape, rng, style: Style, w) -> None:
    s.box((0, 0.05, -0.03), (w - 0.002, 0.05, 0.26), style.dark, None, 0.002)
    s.box((0, 0.485, -0.012), (w - 0.002, 0.38, 0.285), style.front * 0.9, None, 0.003)
    if rng.uniform() < 0.4:
        for y, h in ((0.25, 0.14), (0.53, 0.13), (0.77, 0.09)):
            s.box((0, y, 0.282), (w - 0.008, h - 0.006, 0.01), style.front, None, 0.004)
            _handle(s, 0, y + h * 0.5, 0.291, min(0.2, w), upright=False)
    else:
        leaves = 2 if w > 0.32 else 1
        for n in range(leaves):
            x, half = (n - (leaves - 1) / 2) * 2 * w / leaves, w / leaves - 0.006
            s.box((x, 0.485, 0.282), (half, 0.37, 0.01), style.front, None, 0.004)
            _handle(s, x + (half - 0.05) * (1 if n == 0 else -1), 0.76, 0.291, 0.14)


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


def _tap(s: Shape, x, y, z, reach=0.14, high=0.22) -> None:
    y -= 0.002  # into what it stands on
    angle = np.linspace(0, np.pi, 9)
    bow = [(x, y + high + reach / 2 * np.sin(a) * 0.9, z + reach / 2 * (1 - np.cos(a))) for a in angle]
    s.pipe([(x, y + 0.004, z), (x, y + high * 0.6, z), *bow, (x, y + high - 0.05, z + reach)], 0.011, STEEL)
    s.lathe([(0.026, 0), (0.026, 0.015), (0.014, 0.03)], STEEL, None, 14, (x, y, z))
    s.limb((x + 0.05, y, z), (x + 0.05, y + 0.05, z), 0.012, 0.009, STEEL)


def kitchen_sink(rng: np.random.Generator, style: Style, width: float = 0.8) -> Piece:
    """A base unit whose top is four strips round a steel basin."""
    s, w = Shape(), width / 2
    s.box((0, 0.05, -0.03), (w - 0.002, 0.05, 0.26), style.dark, None, 0.002)
    s.box((0, 0.34, -0.012), (w - 0.002, 0.235, 0.285), style.front * 0.9, None, 0.003)
    for side in (-1, 1):
        s.box((side * w / 2, 0.485, 0.282), (w / 2 - 0.006, 0.37, 0.01), style.front, None, 0.004)
        _handle(s, -side * 0.05 + side * 0.1, 0.76, 0.291, 0.14)
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
    _tap(s, 0, 0.903, -0.25)
    return _done("sink", s)


def oven(rng: np.random.Generator, style: Style) -> Piece:
    s, w = Shape(), 0.3
    body = STEEL if rng.uniform() < 0.5 else WHITE
    s.box((0, 0.05, -0.03), (w - 0.002, 0.05, 0.26), BLACK, None, 0.002)
    s.box((0, 0.495, -0.01), (w - 0.002, 0.39, 0.288), body, None, 0.004)
    s.box((0, 0.44, 0.288), (w - 0.015, 0.27, 0.012), body, None, 0.006)
    s.box((0, 0.43, 0.302), (w - 0.07, 0.17, 0.003), BLACK, None, 0.002)
    _handle(s, 0, 0.66, 0.3, 0.44, upright=False)
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
    return _done("oven", s)


def refrigerator(rng: np.random.Generator, style: Style) -> Piece:
    s, w, high = Shape(), 0.3, rng.uniform(1.7, 1.95)
    color = [STEEL, WHITE, hsv(rng.uniform(), 0.4, 0.7)][rng.integers(3)]
    s.box((0, high / 2, -0.02), (w, high / 2, 0.29), color, None, 0.012, 2)
    cut = high * rng.choice([0.34, 0.66])
    for low, top in ((0.04, cut - 0.004), (cut + 0.004, high - 0.008)):
        s.box((0, (low + top) / 2, 0.295), (w, (top - low) / 2, 0.024), color, None, 0.012, 2)
    side = rng.choice([-1, 1])
    _handle(s, side * 0.25, cut + 0.22, 0.318, 0.3)
    _handle(s, side * 0.25, cut - 0.22, 0.318, 0.3)
    for n in range(rng.integers(0, 6)):
        s.box(
            (rng.uniform(-0.2, 0.15), rng.uniform(max(cut, 0.9) + 0.1, high - 0.1), 0.3205 + n * 0.0005),
            (0.03, 0.04, 0.001),
            hsv(rng.uniform(), 0.6, 0.9),
            None,
            segments=0,
        )
    return _done("refrigerator", s)


def wall_cabinet(rng: np.random.Generator, style: Style, width: float) -> Piece:
    """Hangs on a wall: 0.7 m high, 0.34 m deep; the middle of its back is the centre."""
    s, w = Shape(), width / 2
    s.box((0, 0, 0.16), (w - 0.002, 0.35, 0.16), style.front * 0.9, None, 0.004)
    leaves = max(1, round(width / 0.45))
    for n in range(leaves):
        x, half = (n - (leaves - 1) / 2) * width / leaves, width / leaves / 2 - 0.005
        s.box((x, 0, 0.327), (half, 0.34, 0.009), style.front, None, 0.004)
        _handle(s, x + (1 if n % 2 == 0 else -1) * (half - 0.04), -0.24, 0.335, 0.12)
    return _done("cabinet", s)


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
    s.loft([ellipse(a, b, y, z, 28, 0.9) for a, b, y, z in body], CERAMIC)
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
    return _done("toilet", s)


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
            _handle(s, side * 0.04, 0.58, d - 0.017, 0.12)
    rings = [(0.6, 0.715), (0.97, 0.76), (1.0, 0.85), (0.98, 0.86)]
    outer = [ellipse(w * k, d * k, y, 0, 32, 0.5) for k, y in rings]
    inner = [
        ellipse(w * k, d * k * 0.86, y, 0.02, 32, e)
        for k, y, e in ((0.88, 0.86, 0.5), (0.8, 0.79, 0.6), (0.4, 0.745, 0.8))
    ]
    s.loft([*outer, *inner], CERAMIC)
    _tap(s, 0, 0.857, -d + 0.03, 0.1, 0.12)
    return _done("sink", s)


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
    s.loft([ellipse(w * a, d * b, y, 0, 40, e) for a, b, y, e in rings], CERAMIC)
    turn = rotation(y=np.pi / 2)
    tap = Shape()
    _tap(tap, 0, 0.56, 0, 0.12, 0.1)
    s.parts += [part.moved(turn, (-w + 0.05, 0, 0)) for part in tap.parts]
    if rng.uniform() < 0.5:
        s.loft([ellipse(w * 0.84, d * 0.7, y, 0, 40, 0.46) for y in (0.33, 0.335)], (0.72, 0.86, 0.9))
    return _done("bathtub", s)


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
    return _done("shower", s)


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
    return _done("towel", s)


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
    return _done("washing_machine", s)


def trash_can(rng: np.random.Generator, style: Style) -> Piece:
    s, r, high = Shape(), rng.uniform(0.12, 0.15), rng.uniform(0.35, 0.6)
    color = STEEL if rng.uniform() < 0.5 else hsv(rng.uniform(), 0.4, 0.6)
    s.lathe(
        [(r * 0.85, 0), (r, high * 0.9), (r * 1.03, high * 0.91), (r * 1.03, high * 0.96), (r * 0.5, high)],
        color,
        None,
        22,
    )
    return _done("trash_can", s)


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
        return _done("books", s)
    _ornament(s, rng, 0, 0, 0, room)
    return _done("decoration", s)
