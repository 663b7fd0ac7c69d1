"""Patterns of floors, walls and furniture, and the pictures, rugs, screens and views of an apartment.

Patterns repeat, and are nearly white: the colour of a surface's vertices multiplies them, so that a few serve
every palette. Images are drawn once for each picture.
"""

from __future__ import annotations

import colorsys
from functools import lru_cache
from math import tau

import numpy as np

# metres after which each pattern repeats
PERIOD = {
    "boards": 2.4,
    "parquet": 1.2,
    "tiles": 1.2,
    "mosaic": 0.6,
    "carpet": 0.5,
    "fabric": 0.25,
    "wood": 1.0,
    "marble": 1.5,
    "plaster": 1.5,
    "bricks": 1.0,
    "quilt": 0.5,
    "stripes": 0.6,
}


@lru_cache
def pattern(name: str) -> np.ndarray:
    """(h, w, 3) uint8: the pattern of this name, a key of PERIOD; u runs along boards and grain."""
    rng = np.random.default_rng(sorted(PERIOD).index(name))
    size = 256 if name in ("boards", "parquet", "tiles") else 128
    y, x = np.mgrid[0:size, 0:size] / size
    if name == "boards":
        rows = 16
        row = np.floor(y * rows).astype(int)
        along = (x + rng.uniform(size=rows)[row]) * 2
        tint = rng.uniform(0.74, 1.0, (rows, 2))[row, np.floor(along).astype(int) % 2]
        grain = 0.05 * _cloud(rng, size, 2, 40)
        seam = (y * rows % 1 < 0.07) | (along % 1 < 0.008)
        value = (tint + grain) * np.where(seam, 0.55, 1.0)
    elif name == "parquet":
        cell = np.floor(x * 4) + np.floor(y * 4)
        across = np.where(cell % 2 == 0, x * 4 % 1, y * 4 % 1)
        tint = rng.uniform(0.78, 1.0, (4, 4, 4))[
            np.floor(y * 4).astype(int), np.floor(x * 4).astype(int), np.floor(across * 4).astype(int)
        ]
        edge = (across * 4 % 1 < 0.08) | (x * 4 % 1 < 0.02) | (y * 4 % 1 < 0.02)
        value = (tint + 0.04 * _cloud(rng, size, 8, 8)) * np.where(edge, 0.6, 1.0)
    elif name in ("tiles", "mosaic"):
        count = 4 if name == "tiles" else 8
        tint = rng.uniform(0.86, 1.0, (count, count)) if name == "tiles" else rng.uniform(0.7, 1.0, (8, 8))
        value = tint[np.floor(y * count).astype(int), np.floor(x * count).astype(int)]
        value = value + 0.03 * _cloud(rng, size, 4, 4)
        width = 0.03 if name == "tiles" else 0.1
        value = np.where((x * count % 1 < width) | (y * count % 1 < width), 0.68, value)
    elif name == "carpet":
        value = 0.88 + 0.1 * rng.uniform(-1, 1, (size, size)) + 0.03 * _cloud(rng, size, 4, 4)
    elif name == "fabric":
        value = 0.9 + 0.07 * np.sin(tau * 16 * x) * np.sin(tau * 16 * y) + 0.04 * rng.uniform(-1, 1, x.shape)
    elif name == "wood":
        value = 0.87 + 0.11 * np.sin(tau * (5 * y + 0.5 * _cloud(rng, size, 1, 3)))
        value += 0.04 * _cloud(rng, size, 2, 40)
    elif name == "marble":
        vein = np.abs(np.sin(tau * (x + y + 0.6 * _cloud(rng, size, 3, 3))))
        value = 0.97 - 0.3 * np.exp(-vein * 9) + 0.02 * _cloud(rng, size, 6, 6)
    elif name == "plaster":
        value = 0.97 + 0.012 * _cloud(rng, size, 9, 9)
    elif name == "bricks":
        row = np.floor(y * 12).astype(int)
        along = x * 4 + 0.5 * (row % 2)
        tint = rng.uniform(0.7, 1.0, (12, 4))[row, np.floor(along).astype(int) % 4]
        value = np.where((y * 12 % 1 < 0.14) | (along % 1 < 0.05), 0.95, tint)
    elif name == "quilt":
        value = 0.82 + 0.18 * np.abs(np.sin(tau * (x + y)) * np.sin(tau * (x - y))) ** 0.5
    else:
        value = np.where((x * 6 % 1) < 0.5, 1.0, 0.78)
    return np.repeat(np.rint(np.clip(value, 0.05, 1) * 255).astype(np.uint8)[..., None], 3, axis=2)


def _cloud(rng: np.random.Generator, size: int, most_x: int, most_y: int) -> np.ndarray:
    """(size, size) repeating noise of about unit size, with up to so many waves across."""
    y, x = np.mgrid[0:size, 0:size] / size
    total = np.zeros((size, size))
    for _ in range(14):
        fx, fy = rng.integers(-most_x, most_x + 1), rng.integers(-most_y, most_y + 1)
        total += np.sin(tau * (fx * x + fy * y) + rng.uniform(0, tau))
    return total / np.sqrt(14)


def hsv(hue: float, saturation: float, value: float) -> np.ndarray:
    """(3,) float albedo."""
    return np.array(colorsys.hsv_to_rgb(hue % 1.0, saturation, value))


def _palette(rng: np.random.Generator, count: int) -> np.ndarray:
    hue, spread = rng.uniform(), rng.choice([0.05, 0.15, 0.4])
    return np.array(
        [hsv(hue + rng.normal() * spread, rng.uniform(0.2, 0.8), rng.uniform(0.3, 1)) for _ in range(count)]
    )


def painting(rng: np.random.Generator) -> np.ndarray:
    """(96, 96, 3) uint8: a landscape, overlapping discs, blocks or stripes of colour."""
    y, x = np.mgrid[0:96, 0:96] / 96
    colors = _palette(rng, 6)
    kind = rng.integers(4)
    if kind == 0:
        image = colors[0] + (0.97 - colors[0]) * (y[..., None] * 0.9)
        sun = np.hypot(x - rng.uniform(0.2, 0.8), y - rng.uniform(0.15, 0.4)) < rng.uniform(0.05, 0.12)
        image[sun] = hsv(0.12, 0.5, 1.0)
        for layer in range(3):
            wave = sum(np.sin(tau * (f * x + rng.uniform())) / f for f in (1, 2, 5)) * 0.06
            image[y > 0.45 + 0.16 * layer + wave] = colors[1 + layer] * (0.9 - 0.2 * layer)
    elif kind == 1:
        image = np.broadcast_to(0.6 + 0.4 * colors[0], (96, 96, 3)).copy()
        for n in range(9):
            disc = np.hypot(x - rng.uniform(), y - rng.uniform()) < rng.uniform(0.06, 0.26)
            image[disc] = colors[n % 6]
    elif kind == 2:
        image = np.broadcast_to(colors[0], (96, 96, 3)).copy()
        for n in range(12):
            (left, right), (top, bottom) = np.sort(rng.uniform(0, 1, (2, 2)), axis=1)
            image[(x > left) & (x < right) & (y > top) & (y < bottom)] = colors[n % 6]
    else:
        bend = 0.1 * np.sin(tau * (y * rng.uniform(0.5, 2) + rng.uniform()))
        image = colors[np.floor((x + bend) * rng.integers(5, 12)).astype(int) % 6]
    return np.rint(np.clip(image + rng.normal(0, 0.015, (96, 96, 1)), 0, 1) * 255).astype(np.uint8)


def carpet(rng: np.random.Generator) -> np.ndarray:
    """(96, 96, 3) uint8: a rug with borders and a figured field."""
    y, x = np.mgrid[0:96, 0:96] / 95
    colors = _palette(rng, 4)
    edge = np.minimum(np.minimum(x, 1 - x), np.minimum(y, 1 - y))
    kind, n = rng.integers(4), int(rng.integers(3, 7))
    u, v = np.abs(x - 0.5) * 2 * n, np.abs(y - 0.5) * 2 * n
    figure = [
        (u + v) % 1 < 0.35,
        np.hypot(u % 1 - 0.5, v % 1 - 0.5) < 0.3,
        (v % 1) < 0.4,
        (np.floor(u) + np.floor(v)) % 2 == 0,
    ][kind]
    image = np.where(figure[..., None], colors[1], colors[0])
    image = np.where((edge < 0.12)[..., None], colors[2], image)
    image = np.where(((edge < 0.04) | ((edge > 0.09) & (edge < 0.12)))[..., None], colors[3], image)
    return np.rint(np.clip(image * (0.92 + 0.16 * rng.uniform(size=(96, 96, 1))), 0, 1) * 255).astype(
        np.uint8
    )


def outdoors(rng: np.random.Generator) -> np.ndarray:
    """(128, 128, 3) uint8: what a window shows, sky, clouds, trees and houses."""
    y, x = np.mgrid[0:128, 0:128] / 128
    image = hsv(0.58, 0.45, 0.95) + (np.array([0.97, 0.97, 0.95]) - hsv(0.58, 0.45, 0.95)) * y[..., None]
    cloud = np.clip(_cloud(rng, 128, 2, 4) - 0.4, 0, 1)[..., None] * (y < 0.6)[..., None]
    image += (1 - image) * 0.8 * cloud
    for _ in range(rng.integers(2, 6)):
        left, width, top = rng.uniform(-0.1, 1), rng.uniform(0.1, 0.25), rng.uniform(0.45, 0.7)
        wall = (x > left) & (x < left + width) & (y > top)
        image[wall] = hsv(rng.uniform(0, 0.12), rng.uniform(0.1, 0.5), rng.uniform(0.5, 0.9))
        panes = wall & ((x - left) / width * 4 % 1 > 0.5) & ((y - top) * 14 % 1 > 0.5)
        image[panes] = (0.35, 0.42, 0.5)
    hedge = 0.82 + 0.04 * sum(np.sin(tau * (f * x + rng.uniform())) for f in (2, 5, 11))
    image[y > hedge] = hsv(0.3, 0.5, 0.45)
    return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
