"""Pictures worth looking at: the object and from where it was seen, and what was made of that so far."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from PIL import Image, ImageDraw

from spatial_envs.core.drawing import (
    BACKGROUND,
    DIM_INK,
    INK,
    MAIN,
    PATH_INK,
    SIDE,
    START_INK,
    caption,
    depth_picture,
    font,
    framed,
)
from spatial_envs.geometry.camera import direction, facing_origin, pinhole, projected
from spatial_envs.geometry.mesh import Mesh
from spatial_envs.geometry.view import View
from spatial_envs.nbv.error_picture import draw_errors, draw_scale
from spatial_envs.reconstruction.chamfer import Cloud
from spatial_envs.rendering.renderer import Renderer

FINE = 2  # times as many pixels are drawn as are shown, along each side
MARGIN = 2  # pixels round the two views
NEAR = 2.5  # metres from which the reconstruction is shown


def draw_next_best_view(
    renderer: Renderer, mesh: Mesh, views: Sequence[View], cloud: Cloud, maker: str
) -> np.ndarray:
    """(480, 1200, 3) uint8: the object, the cameras and their path; what is reconstructed, see
    ``error_picture``, from the same side, and by what (``maker``); the latest view and its depth."""
    pose, intrinsics = _spectator(views)
    side = FINE * MAIN
    seen = renderer.render(mesh, pose, _scaled(intrinsics, FINE), (side, side))
    picture = np.where(seen.depth[..., None] > 0, seen.rgb, np.array(BACKGROUND, np.uint8))
    near = facing_origin(NEAR * pose[:3, 3] / np.linalg.norm(pose[:3, 3]))
    errors = draw_errors(renderer, mesh, cloud, near, pinhole(28, (side, side)), side)
    canvas = Image.new("RGB", (2 * MAIN + SIDE, MAIN), BACKGROUND)
    canvas.paste(_cameras(picture, seen.depth, pose, intrinsics, views), (0, 0))
    canvas.paste(Image.fromarray(errors).resize((MAIN, MAIN), Image.Resampling.BOX), (MAIN, 0))
    latest = _at_size(renderer, mesh, views[-1])
    canvas.paste(framed(latest.rgb, margin=MARGIN), (2 * MAIN, 0))
    canvas.paste(framed(depth_picture(latest.depth), margin=MARGIN), (2 * MAIN, SIDE))
    _captions(ImageDraw.Draw(canvas), len(views), cloud, maker)
    return np.asarray(canvas)


def _scaled(intrinsics: np.ndarray, factor: float) -> np.ndarray:
    """Those of the same camera with ``factor`` times as many pixels along each side."""
    return intrinsics * np.array([[factor], [factor], [1]])


def _at_size(renderer: Renderer, mesh: Mesh, view: View) -> View:
    """The view with as many pixels as it is shown with."""
    factor = (SIDE - 2 * MARGIN) / max(view.image_size)
    height, width = (round(factor * n) for n in view.image_size)
    return renderer.render(mesh, view.cam_to_world, _scaled(view.intrinsics, factor), (height, width))


def _spectator(views: Sequence[View]) -> tuple[np.ndarray, np.ndarray]:
    """A camera that has the first view on its left and all cameras, as drawn, in its picture."""
    first = views[0].cam_to_world[:3, 3]
    azimuth = math.atan2(first[0], first[2]) + math.radians(55)
    reach = max(0.95, *(float(np.linalg.norm(_drawn_at(view.cam_to_world[:3, 3]))) for view in views))
    centre = 3.9 * reach * direction(azimuth, math.radians(24))
    return facing_origin(centre), pinhole(35, (MAIN, MAIN))


def _drawn_at(centre: np.ndarray) -> np.ndarray:
    """Where a camera at ``centre`` (..., 3) is drawn: 70 % of its way to the object is left out, so that the
    object, of radius 0.5 m, is large in the picture."""
    distance = np.linalg.norm(centre, axis=-1, keepdims=True)
    return centre / np.maximum(distance, 1e-9) * (0.5 + 0.3 * np.maximum(distance - 0.5, 0))


def _cameras(
    picture: np.ndarray, depth: np.ndarray, pose: np.ndarray, intrinsics: np.ndarray, views: Sequence[View]
) -> Image.Image:
    """The fine picture with the cameras, numbered, and their path round the object; dim where it hides them.
    The first is marked, and so is the latest."""
    fine = Image.fromarray(picture)
    draw = ImageDraw.Draw(fine)

    def line(points: np.ndarray, ink: tuple[int, int, int], width: int) -> None:
        pixels = projected(points, pose, intrinsics)
        for (x, y, z), (u, v, w) in pairwise(FINE * pixels * (1, 1, 1 / FINE)):
            column, row = int((x + u) / 2), int((y + v) / 2)
            inside = 0 <= column < len(depth) and 0 <= row < len(depth)
            hidden = inside and 0 < depth[row, column] < (z + w) / 2
            color = tuple((2 * b + i) // 3 for b, i in zip(BACKGROUND, ink, strict=True)) if hidden else ink
            draw.line([(x, y), (u, v)], fill=color, width=width)

    centres = np.array([_drawn_at(view.cam_to_world[:3, 3]) for view in views])
    inks = [START_INK] + [INK] * (len(views) - 1)
    if len(views) > 1:
        inks[-1] = PATH_INK
    for here, there in pairwise(centres):
        line(_arc(here, there), PATH_INK, 3)
    part = np.linspace(0, 1, 9)[:, None]
    corners = 0.1 * np.array([[-0.6, -0.6, 1], [0.6, -0.6, 1], [0.6, 0.6, 1], [-0.6, 0.6, 1]])
    for centre, view, ink in zip(centres, views, inks, strict=True):
        frame = corners @ view.cam_to_world[:3, :3].T + centre
        for corner, following in zip(frame, np.roll(frame, -1, axis=0), strict=True):
            line(corner + part * (following - corner), ink, 4)
            line(centre + part * (corner - centre), ink, 4)
    image = fine.resize((MAIN, MAIN), Image.Resampling.BOX)
    draw = ImageDraw.Draw(image)
    for k, (column, row, _) in enumerate(projected(centres, pose, intrinsics)):
        away = np.array([column, row]) - MAIN / 2
        x, y = np.array([column, row]) + 17 * away / max(float(np.linalg.norm(away)), 1e-6)
        draw.ellipse([x - 10, y - 10, x + 10, y + 10], fill=inks[k], outline=BACKGROUND)
        draw.text((x, y), str(k + 1), fill=BACKGROUND, font=font(14), anchor="mm")
    return image


def _arc(here: np.ndarray, there: np.ndarray) -> np.ndarray:
    """(33, 3): from here to there round the origin, as the radius changes evenly."""
    radius, goal = np.linalg.norm(here), np.linalg.norm(there)
    angle = math.acos(float(np.clip(here @ there / (radius * goal), -1, 1)))
    part = np.linspace(0, 1, 33)[:, None]
    if angle < 1e-3 or angle > math.pi - 1e-3:
        return here + part * (there - here)
    way = np.sin((1 - part) * angle) * here / radius + np.sin(part * angle) * there / goal
    return way / math.sin(angle) * (radius + part * (goal - radius))


def _captions(draw: ImageDraw.ImageDraw, count: int, cloud: Cloud, maker: str) -> None:
    metrics = cloud.metrics()
    caption(draw, (14, 12), f"the object, {count} view{'s' * (count > 1)}", INK, 16)
    x = 14
    for text, ink in (("first", START_INK), ("latest", PATH_INK), ("cameras are drawn nearer", DIM_INK)):
        caption(draw, (x, MAIN - 22), text, ink, 12)
        x += 12 + round(draw.textlength(text, font(12)))
    line = (
        f"reconstruction    Chamfer {100 * metrics['chamfer']:.2f} cm    coverage {metrics['coverage']:.1%}"
    )
    caption(draw, (MAIN + 14, 12), line, INK, 16)
    caption(draw, (MAIN + 14, 34), f"by {maker}", DIM_INK, 12)
    draw_scale(draw, MAIN + 14, MAIN - 52)
    caption(draw, (2 * MAIN + 8, 6), "latest view", DIM_INK, 12)
    caption(draw, (2 * MAIN + 8, SIDE + 6), "its depth", DIM_INK, 12)
