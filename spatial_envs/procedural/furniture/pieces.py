"""What all furniture shares: colours, the style of an apartment, a finished piece, feet and handles."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from spatial_envs.procedural.furniture.parts import Part, Shape
from spatial_envs.procedural.furniture.surfaces import hsv

WHITE, BLACK, STEEL, CERAMIC = (0.93, 0.93, 0.92), (0.07, 0.07, 0.08), (0.72, 0.74, 0.76), (0.96, 0.96, 0.95)
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


def done(category: str, s: Shape) -> Piece:
    return Piece(category, tuple(s.parts))


def feet(s: Shape, w, d, top, color, radius=0.02, inset=0.05, square=False, bottom=0.0) -> None:
    """Four legs under a plate of half sizes w, d."""
    for x in (-w + inset, w - inset):
        for z in (-d + inset, d - inset):
            if square:
                middle = (top + bottom) / 2
                s.box((x, middle, z), (radius, (top - bottom) / 2, radius), color, "wood", 0.004)
            else:
                s.limb((x, bottom, z), (x, top, z), radius * 0.75, radius, color, "wood")


def handle(s: Shape, x, y, z, long, upright=True) -> None:
    """A bar handle before a front at z."""
    half = (0.006, long / 2, 0.006) if upright else (long / 2, 0.006, 0.006)
    s.box((x, y, z + 0.03), half, STEEL, rounding=0.004)
    for side in (-0.8, 0.8):
        at = (x, y + side * long / 2, z) if upright else (x + side * long / 2, y, z)
        s.limb(np.add(at, (0, 0, -0.002)), np.add(at, (0, 0, 0.03)), 0.005, None, STEEL, sides=6)
