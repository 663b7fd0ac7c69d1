"""What a fit looks like beside what it explains."""

from __future__ import annotations

import colorsys

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from spatial_envs.picture import BACKGROUND, DIM_INK, INK, depth_picture
from spatial_envs.slot_state import SlotState
from spatial_envs.view import View

SIDE = 384  # pixels, the longer side of a panel
CAPTION = 28


def draw_fit(view: View, state: SlotState, figures: dict[str, float], steps: int) -> np.ndarray:
    """(H, W, 3) uint8: above the target and the fit, its slots coloured; below the depth of both."""
    fit_depth, _ = state.rendered()
    fit = state.picture(slot_colors(len(state.slots)))
    fit[fit_depth == 0] = BACKGROUND
    panels = [
        [("target", view.rgb), ("fit", fit)],
        [("its depth", depth_picture(view.depth)), ("depth of the fit", depth_picture(fit_depth))],
    ]
    height, width = view.depth.shape
    factor = SIDE / max(height, width)
    size = (round(width * factor), round(height * factor))
    canvas = Image.new("RGB", (2 * size[0], 2 * size[1] + CAPTION), BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    for row, pair in enumerate(panels):
        for column, (title, pixels) in enumerate(pair):
            corner = (column * size[0], CAPTION + row * size[1])
            canvas.paste(Image.fromarray(pixels).resize(size, Image.Resampling.NEAREST), corner)
            _text(draw, (corner[0] + 6, corner[1] + 4), title, DIM_INK, 12)
    caption = (
        f"step {steps}    distance {100 * figures['one_directional']:.1f} cm    with occlusion "
        f"{100 * figures['occlusion_aware']:.1f} cm    free space {figures['fsv']:.0%}"
    )
    _text(draw, (8, 6), caption, INK, 14)
    return np.asarray(canvas)


def slot_colors(count: int) -> np.ndarray:
    """(count, 3) in [0, 1]: hues that neighbours do not share."""
    hues = (np.arange(count) * 0.618034) % 1
    return np.array([colorsys.hsv_to_rgb(hue, 0.65, 1.0) for hue in hues])


def _text(draw: ImageDraw.ImageDraw, place: tuple[int, int], text: str, ink: tuple, size: int) -> None:
    font = ImageFont.load_default(size)
    draw.text(place, text, fill=ink, font=font, stroke_width=2, stroke_fill=BACKGROUND)
