"""Colours and textures of procedural objects: palettes, patterns and images, all drawn from a seed."""

from __future__ import annotations

import colorsys
from math import tau

import numpy as np


def _hue(rng: np.random.Generator) -> float:
    """Half of the time the browns and reds of wood, clay and leather, otherwise any."""
    return rng.uniform(0.0, 0.13) if rng.uniform() < 0.5 else rng.uniform()


def _color(rng: np.random.Generator, hue: float, pale: float = 0.0, strong: float = 0.65) -> np.ndarray:
    """(3,) float, an albedo of this hue and of a saturation up to `strong`; pale = 1 is white."""
    rgb = np.array(colorsys.hsv_to_rgb(hue % 1.0, strong * rng.uniform(0.2, 1.0), rng.uniform(0.35, 0.95)))
    return rgb + (0.95 - rgb) * pale


def waves(rng: np.random.Generator, points: np.ndarray, frequency: float, octaves: int = 3) -> np.ndarray:
    """Smooth noise in about [-1, 1]: sums of plane waves of random directions. points (..., 3)."""
    total = np.zeros(points.shape[:-1])
    for octave in range(octaves):
        directions = rng.normal(size=(3, 5)) * (frequency * 2**octave)
        phase = rng.uniform(0, tau, 5)
        total += np.sin(points @ directions + phase).sum(axis=-1) * 0.35 / 2**octave
    return total


def _pattern(rng: np.random.Generator, points: np.ndarray) -> np.ndarray:
    """(V,) in [0, 1], the share of the second colour: stripes, a gradient, spots, checks or noise."""
    kind = rng.choice(
        ["plain", "stripes", "gradient", "spots", "checks", "noise"], p=[0.34, 0.14, 0.18, 0.1, 0.04, 0.2]
    )
    axis = rng.normal(size=3)
    along = points @ (axis / np.linalg.norm(axis))
    if kind == "stripes":
        return (np.sin(along * rng.uniform(15, 50)) > rng.uniform(-0.5, 0.5)).astype(float)
    if kind == "gradient":
        return np.clip(0.5 + along * rng.uniform(1, 2.5), 0, 1)
    if kind == "spots":
        return (waves(rng, points, rng.uniform(8, 18), octaves=1) > 0.35).astype(float)
    if kind == "checks":
        return (np.floor(points * rng.uniform(6, 14)).sum(axis=-1) % 2).astype(float)
    return np.clip(0.5 + waves(rng, points, rng.uniform(3, 9)), 0, 1) * (1.0 if kind == "noise" else 0.15)


def paint(rng: np.random.Generator, points: np.ndarray, parts: np.ndarray, pale: float = 0.0) -> np.ndarray:
    """(V, 3) uint8: every part has two colours of one palette, mixed by a pattern. parts (V,) int."""
    hue, spread, strong = _hue(rng), rng.choice([0.04, 0.12, 0.33]), rng.uniform(0.25, 0.85)
    colors = np.empty(points.shape)
    for part in np.unique(parts):
        mine = parts == part
        first, second = (_color(rng, hue + rng.normal() * spread, pale, strong) for _ in range(2))
        colors[mine] = first + _pattern(rng, points[mine])[:, None] * (second - first)
    dirt = 1 + 0.1 * waves(rng, points, 4.0, octaves=2)[:, None]
    return np.rint(np.clip(colors * dirt, 0.03, 1) * 255).astype(np.uint8)


def texture(rng: np.random.Generator) -> np.ndarray:
    """(128, 128, 3) uint8, repeating: bricks, checks, stripes, dots, wood or marble."""
    y, x = np.mgrid[0:128, 0:128] / 128
    cloud = np.zeros((128, 128))
    for _ in range(12):
        fx, fy = rng.integers(-7, 8, 2)  # whole waves, so that the texture repeats without a seam
        cloud += np.sin(tau * (fx * x + fy * y) + rng.uniform(0, tau)) / 6
    kind = rng.choice(
        ["bricks", "checks", "stripes", "dots", "wood", "marble"], p=[0.18, 0.07, 0.15, 0.1, 0.3, 0.2]
    )
    n = int(rng.integers(2, 6))
    if kind == "bricks":
        row = np.floor(y * 2 * n)
        amount = ((y * 2 * n % 1 < 0.15) | ((x * n + 0.5 * (row % 2)) % 1 < 0.08)) * 1.0
    elif kind == "checks":
        amount = (np.floor(x * 2 * n) + np.floor(y * 2 * n)) % 2
    elif kind == "stripes":
        amount = ((x * n + y * rng.integers(-3, 4)) % 1 < rng.uniform(0.2, 0.7)) * 1.0
    elif kind == "dots":
        amount = (np.hypot((x * n) % 1 - 0.5, (y * n) % 1 - 0.5) < rng.uniform(0.2, 0.4)) * 1.0
    elif kind == "wood":
        amount = 0.5 + 0.5 * np.sin(tau * (x * 2 * n + 0.6 * cloud))
    else:
        amount = np.abs(np.sin(tau * (x + y + cloud)))
    hue = _hue(rng)
    light, dark = _color(rng, hue + 0.1 * rng.normal(), pale=0.8), _color(rng, hue, pale=rng.uniform(0, 0.5))
    image = dark + (np.clip(amount + 0.08 * cloud, 0, 1))[..., None] * (light - dark)
    return np.rint(image * 255).astype(np.uint8)


def label(rng: np.random.Generator) -> np.ndarray:
    """(128, 128, 3) uint8: print as on packages: bands, a picture, a title and lines of small letters."""
    hue = rng.uniform()
    hues = ((0, 0.7), (0.02, 0), (0.5, 0), (0.15, 0.3))
    inks = [_color(rng, hue + shift, pale) for shift, pale in hues]
    image = np.tile(inks[int(rng.integers(2))], (128, 128, 1))
    for _ in range(rng.integers(1, 4)):
        top, tall = rng.integers(0, 100), rng.integers(4, 40)
        image[top : top + tall] = inks[int(rng.integers(4))]
    y, x = np.mgrid[0:128, 0:128]
    centre, radii = rng.integers(20, 108, 2), rng.uniform(12, 40, 2)
    away = np.abs((x - centre[0]) / radii[0]) ** 2 + np.abs((y - centre[1]) / radii[1]) ** 2
    image[away < 1] = inks[2] + (inks[3] - inks[2]) * away[away < 1][:, None]
    title, ink = int(rng.integers(4, 60)), inks[int(rng.integers(4))] * rng.uniform(0.1, 0.5)
    _letters(rng, image, title, int(rng.integers(10, 20)), ink)
    for line in range(title + 28, 124, int(rng.integers(5, 9))):
        _letters(rng, image, line, 3, ink)
    return np.rint(np.clip(image, 0.03, 1) * 255).astype(np.uint8)


def _letters(rng: np.random.Generator, image: np.ndarray, top: int, tall: int, ink: np.ndarray) -> None:
    """A line of strokes that looks like letters of this height, pixels."""
    column = int(rng.integers(4, 24))
    while column < 120 - tall:
        if rng.uniform() < 0.82:
            for _ in range(3):
                first, across = rng.integers(0, max(tall - 1, 1)), max(tall // 5, 1)
                if rng.uniform() < 0.5:
                    left = column + rng.integers(0, max(2 * tall // 3, 1))
                    image[top : top + tall, left : left + across] = ink
                else:
                    row = top + first
                    image[row : row + across, column : column + 2 * tall // 3] = ink
        column += max(tall * 3 // 4, 2)
