"""What a question and its answers look like, from the side and from above."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from spatial_envs.core.drawing import BACKGROUND, DIM_INK, INK, caption, slot_colors
from spatial_envs.foresight.episode import Episode

PANEL = 360  # pixels, each of the two
MARGIN, LEGEND = 24, 28
Ink = tuple[int, int, int]


def draw_question(episode: Episode) -> np.ndarray:
    """(H, W, 3) uint8: the frames as dots, paler the further they are from the asked time; the draft as a
    ring, guesses as rings with a cross, the truth as a disc of the thing's size; once from the side (x to the
    right, y up) and once from above (x to the right, z down)."""
    question = episode.question
    canvas = Image.new("RGB", (2 * PANEL, PANEL + LEGEND), BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    points = np.concatenate(
        [question.shown.centres[question.seen], question.truth.centres, episode.draft.centres]
    )
    low, high = points.min(axis=0) - 0.3, points.max(axis=0) + 0.3
    scale = (PANEL - 2 * MARGIN) / float((high - low).max())
    distance = np.abs(question.times - question.query)
    weight = 1 - 0.7 * (distance - distance.min()) / max(np.ptp(distance), 1e-9)
    for left, (across, upward, flip) in ((0, (0, 1, -1)), (PANEL, (0, 2, 1))):

        def place(
            centre: np.ndarray, left: int = left, across: int = across, upward: int = upward, flip: int = flip
        ) -> tuple[float, float]:
            x = left + PANEL / 2 + scale * (centre[across] - (low[across] + high[across]) / 2)
            y = LEGEND + PANEL / 2 + flip * scale * (centre[upward] - (low[upward] + high[upward]) / 2)
            return float(x), float(y)

        if flip < 0:
            ground = place(np.zeros(3))[1]
            draw.line([(left, ground), (left + PANEL, ground)], fill=DIM_INK)
        for k, color in enumerate(map(tuple, (255 * slot_colors(len(question.kind))).astype(int).tolist())):
            radius = scale * float(question.extents[k].mean())
            _ring(draw, place(question.truth.centres[k]), radius, _pale(color, 0.35), _pale(color, 0.2))
            for frame in np.flatnonzero(question.seen[k]):
                dot = _pale(color, weight[frame])
                _ring(draw, place(question.shown.centres[k, frame]), 3, dot, dot)
            _ring(draw, place(episode.draft.centres[k]), radius, color)
            for guess in episode.guesses:
                x, y = place(guess.poses.centres[k])
                draw.line([(x - 5, y), (x + 5, y)], fill=color, width=2)
                draw.line([(x, y - 5), (x, y + 5)], fill=color, width=2)
        caption(draw, (left + 6, PANEL + 6), "side" if flip < 0 else "above", DIM_INK, 12)
    legend = (
        f"asked {question.query:+.2f} s    step {episode.steps}    guesses {len(episode.guesses)}    "
        f"credit {episode.best:.2f}"
    )
    caption(draw, (8, 6), legend, INK, 14)
    return np.asarray(canvas)


def _pale(color: Ink, share: float) -> Ink:
    r, g, b = (round(share * c + (1 - share) * back) for c, back in zip(color, BACKGROUND, strict=True))
    return r, g, b


def _ring(
    draw: ImageDraw.ImageDraw, centre: tuple[float, float], radius: float, ink: Ink, fill: Ink | None = None
) -> None:
    x, y = centre
    draw.ellipse([x - radius, y - radius, x + radius, y + radius], outline=ink, fill=fill, width=2)
