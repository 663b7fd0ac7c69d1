"""Colours, captions, frames and depth maps that the pictures of all families share."""

from __future__ import annotations

import colorsys

import numpy as np
from PIL import Image, ImageDraw, ImageFont

MAIN, SIDE = 480, 240  # pixels: the panel from outside, and the two beside it
BACKGROUND = (24, 26, 32)
INK, DIM_INK, PATH_INK = (236, 238, 242), (150, 156, 168), (255, 196, 64)
START_INK = (110, 200, 255)
# from covered to missing: a colour-blind safe ramp
RAMP = np.array([[38, 130, 142], [94, 201, 98], [253, 231, 37], [245, 125, 21], [205, 35, 60]], np.float64)


def depth_picture(depth: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 of depth (H, W), metres: near is bright, nothing is the background."""
    hit = depth > 0
    picture = np.empty((*depth.shape, 3), np.uint8)
    picture[:] = BACKGROUND
    if hit.any():
        near, far = depth[hit].min(), depth[hit].max()
        shade = 1 - 0.85 * (depth[hit] - near) / max(far - near, 1e-6)
        picture[hit] = shade[:, None] * np.array([190, 220, 255])
    return picture


def ramp(share: np.ndarray) -> np.ndarray:
    """Colours (..., 3) uint8 for shares in [0, 1]: teal is covered, red is missing."""
    place = np.clip(share, 0, 1) * (len(RAMP) - 1)
    low = np.minimum(place.astype(int), len(RAMP) - 2)
    part = (place - low)[..., None]
    return ((1 - part) * RAMP[low] + part * RAMP[low + 1]).astype(np.uint8)


def slot_colors(count: int) -> np.ndarray:
    """(count, 3) in [0, 1]: hues that neighbours do not share."""
    hues = (np.arange(count) * 0.618034) % 1
    return np.array([colorsys.hsv_to_rgb(hue, 0.65, 1.0) for hue in hues])


def caption(draw: ImageDraw.ImageDraw, place: tuple[int, int], text: str, ink: tuple, size: int) -> None:
    """Text with its upper left corner at ``place``, pixels, readable on anything."""
    draw.text(place, text, fill=ink, font=font(size), stroke_width=2, stroke_fill=BACKGROUND)


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font of all captions."""
    return ImageFont.load_default(size)


def framed(rgb: np.ndarray, side: int = SIDE, margin: int = 2) -> Image.Image:
    """The picture in a square panel, as large as fits with the margin, pixels kept sharp."""
    image = Image.new("RGB", (side, side), BACKGROUND)
    scale = (side - 2 * margin) / max(rgb.shape[:2])
    fitted = Image.fromarray(rgb).resize(
        (round(rgb.shape[1] * scale), round(rgb.shape[0] * scale)), Image.Resampling.NEAREST
    )
    image.paste(fitted, ((side - fitted.width) // 2, (side - fitted.height) // 2))
    return image
