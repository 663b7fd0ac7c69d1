"""What a fit of a video looks like: frames beside the fit, and the tracks from above and from the side."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from spatial_envs.core.drawing import BACKGROUND, DIM_INK, INK, caption, slot_colors
from spatial_envs.prototypes.tracks import Figures, VideoState
from spatial_envs.scenes.depth_videos import DepthVideo

FRAMES = 5  # that are shown, evenly over the video
WIDE, LEGEND = 208, 28  # pixels, of a frame and of a line of text
SIDE = 300  # of each of the two panels of tracks
SPREAD = 1.8  # units from the middle to a panel's border


def draw_video_fit(video: DepthVideo, state: VideoState, figures: Figures, steps: int) -> np.ndarray:
    """(H, W, 3) uint8: above some frames, in the middle the fit there, its slots coloured; below every slot's
    way from above (x to the right, -z up) and from the side (x to the right, y up), in the fitting frame."""
    colors = slot_colors(state.slots.shape[1])
    chosen = np.linspace(0, len(state.frames) - 1, FRAMES).round().astype(int)
    views = video.shown_views
    height, width = views[0].depth.shape
    size = (WIDE, round(WIDE * height / width))
    canvas = Image.new("RGB", (FRAMES * WIDE, LEGEND + 2 * size[1] + SIDE), BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    for column, frame in enumerate(chosen):
        fit = state.frames[frame].picture(colors)
        fit[state.frames[frame].rendered()[0] == 0] = BACKGROUND
        for row, pixels in enumerate((views[frame].rgb, fit)):
            image = Image.fromarray(pixels).resize(size, Image.Resampling.NEAREST)
            canvas.paste(image, (column * WIDE, LEGEND + row * size[1]))
        said = f"{state.target.times[frame]:.2f} s"
        caption(draw, (column * WIDE + 6, LEGEND + 4), said, DIM_INK, 12)
    caption(draw, (6, LEGEND + size[1] + 4), "fit", DIM_INK, 12)
    top = LEGEND + 2 * size[1]
    half = FRAMES * WIDE // 2
    _tracks(draw, state, colors, (0, top, half, SIDE), upward=2, flip=1.0)
    _tracks(draw, state, colors, (half, top, half, SIDE), upward=1, flip=-1.0)
    caption(draw, (6, top + 4), "ways from above", DIM_INK, 12)
    caption(draw, (half + 6, top + 4), "from the side", DIM_INK, 12)
    legend = (
        f"step {steps}    distance {100 * figures['one_directional']:.1f} cm    with occlusion "
        f"{100 * figures['occlusion_aware']:.1f} cm    free space {figures['fsv']:.0%}    "
        f"motion {figures['motion']:.2f} g"
    )
    caption(draw, (8, 6), legend, INK, 14)
    return np.asarray(canvas)


def _tracks(
    draw: ImageDraw.ImageDraw,
    state: VideoState,
    colors: np.ndarray,
    box: tuple[int, int, int, int],
    upward: int,
    flip: float,
) -> None:
    """Every present slot's centres in a box (left, top, width, height), pixels: dots, the last one large."""
    slots, present, points = state.slots, state.present, state.frames[-1].points
    spread = SPREAD * state.target.unit
    scale = box[3] / (2 * spread)
    across = spread * box[2] / box[3]

    def place(point: np.ndarray) -> tuple[float, float]:
        x = box[0] + box[2] / 2 + scale * float(np.clip(point[0], -across, across))
        y = box[1] + box[3] / 2 + flip * scale * float(np.clip(point[upward], -spread, spread))
        return x, y

    for point in points[:: max(1, len(points) // 400)]:
        draw.point(place(point), fill=DIM_INK)
    for k, color in enumerate((255 * colors).astype(int)):
        ink = tuple(color.tolist())
        way = [place(slots[t, k, 1:4]) for t in np.flatnonzero(present[:, k])]
        if len(way) > 1:
            draw.line(way, fill=ink, width=2)
        for radius, (x, y) in zip([3] * (len(way) - 1) + [6], way, strict=True) if way else ():
            draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=ink)
