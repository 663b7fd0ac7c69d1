"""What a fit looks like beside what it explains, and what the prototypes are."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from spatial_envs.core.drawing import BACKGROUND, DIM_INK, INK, caption, depth_picture, slot_colors
from spatial_envs.geometry.camera import direction, facing_origin, pinhole
from spatial_envs.geometry.mesh import Mesh
from spatial_envs.geometry.view import View
from spatial_envs.prototypes.bank import PrototypeBank
from spatial_envs.prototypes.slots import SlotState
from spatial_envs.rendering.builtin import BuiltinRenderer

SIDE = 384  # pixels, the longer side of a panel
CAPTION = 28
CELL = 200  # pixels, of one prototype
COLUMNS = 6


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
            caption(draw, (corner[0] + 6, corner[1] + 4), title, DIM_INK, 12)
    legend = (
        f"step {steps}    distance {100 * figures['one_directional']:.1f} cm    with occlusion "
        f"{100 * figures['occlusion_aware']:.1f} cm    free space {figures['fsv']:.0%}"
    )
    caption(draw, (8, 6), legend, INK, 14)
    return np.asarray(canvas)


def draw_prototypes(
    bank: PrototypeBank, captions: list[str], examples: list[tuple[np.ndarray, np.ndarray]]
) -> np.ndarray:
    """(H, 1200, 3) uint8: the prototypes, each in a colour of its own (not the vertex colours) and turned so
    that three sides show, with a line of caption; below them scenes and their fits, each (h, w, 3) uint8, all
    of one size."""
    shapes = bank.shapes().detach().numpy()
    colors = slot_colors(len(shapes))
    wide, rows = COLUMNS * CELL, -(-len(shapes) // COLUMNS)
    size = (0, 0)
    if examples:
        height, width = examples[0][0].shape[:2]
        size = (wide // len(examples), round(wide // len(examples) * height / width))
    grid = rows * (CELL + CAPTION)
    canvas = Image.new("RGB", (wide, grid + (2 * size[1] + 2 * CAPTION if examples else 0)), BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    for k, (shape, words) in enumerate(zip(shapes, captions, strict=True)):
        corner = (k % COLUMNS * CELL, k // COLUMNS * (CELL + CAPTION))
        canvas.paste(_prototype(shape, bank.topology.faces, colors[k]), corner)
        ink = tuple(int(255 * c) for c in colors[k])
        caption(draw, (corner[0] + 8, corner[1] + 6), str(k), ink, 15)
        caption(draw, (corner[0] + 8, corner[1] + CELL), words, DIM_INK, 13)
    for k, pair in enumerate(examples):
        for row, pixels in enumerate(pair):
            shown = np.where(pixels.any(axis=-1, keepdims=True), pixels, np.array(BACKGROUND, np.uint8))
            place = (k * size[0], grid + CAPTION + row * (size[1] + CAPTION))
            canvas.paste(Image.fromarray(shown).resize(size, Image.Resampling.LANCZOS), place)
    if examples:
        said = ("scenes never seen in training", "their fits, each shape in the colour of its prototype")
        for row, text in enumerate(said):
            caption(draw, (8, grid + row * (size[1] + CAPTION) + 5), text, INK, 14)
    return np.asarray(canvas)


def _prototype(shape: np.ndarray, faces: np.ndarray, color: np.ndarray) -> Image.Image:
    """CELL by CELL, the shape (V, 3) in the middle, as large as it fits."""
    middle = (shape.min(axis=0) + shape.max(axis=0)) / 2
    vertices = (shape - middle) / np.linalg.norm(shape - middle, axis=1).max()
    albedo = np.tile((255 * color).astype(np.uint8), (len(shape), 1))
    mesh = Mesh(vertices.astype(np.float32), faces.astype(np.int32), albedo)
    size = (3 * CELL, 3 * CELL)  # for smooth edges
    pose = facing_origin(4.0 * direction(np.radians(35), np.radians(28)))
    view = BuiltinRenderer().render(mesh, pose, pinhole(31, size), size)
    pixels = np.where(view.depth[..., None] > 0, view.rgb, np.array(BACKGROUND, np.uint8))
    return Image.fromarray(pixels).resize((CELL, CELL), Image.Resampling.LANCZOS)
