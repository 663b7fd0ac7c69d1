"""Pictures worth looking at: what an episode has seen, from where, and what it still misses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from PIL import Image, ImageDraw
from scipy.spatial import cKDTree

from spatial_envs.core.drawing import (
    BACKGROUND,
    DIM_INK,
    INK,
    MAIN,
    PATH_INK,
    SIDE,
    caption,
    depth_picture,
    font,
    framed,
    ramp,
)
from spatial_envs.geometry.camera import direction, facing_origin, inverse_pose, pinhole, unproject
from spatial_envs.geometry.mesh import Mesh
from spatial_envs.geometry.view import View
from spatial_envs.reconstruction.chamfer import COVERAGE_SHARE, Metrics
from spatial_envs.rendering.renderer import Renderer


def draw_next_best_view(
    renderer: Renderer,
    mesh: Mesh,
    views: Sequence[View],
    reference: np.ndarray,
    distances: np.ndarray,
    metrics: Metrics,
    backbone: str,
) -> np.ndarray:
    """(480, 720, 3) uint8: the object, coloured by the distances (N,), m, of its reference points (N, 3)
    to the reconstruction, the cameras and their path; beside it the latest view and its depth."""
    pose, intrinsics = _spectator(views)
    white = replace(mesh, colors=np.full_like(mesh.colors, 255), face_texture=None)  # for the light on it
    seen = renderer.render(white, pose, intrinsics, (MAIN, MAIN))
    light = seen.rgb / 255
    hit = seen.depth > 0
    picture = np.empty((MAIN, MAIN, 3), np.uint8)
    picture[:] = BACKGROUND
    error = np.clip(distances / (4 * COVERAGE_SHARE), 0, 1)  # metres over the diameter, which is 1 m
    gap, nearest = cKDTree(reference).query(unproject(seen.depth, intrinsics, pose)[hit])
    colours = np.where((gap < 0.03)[:, None], ramp(error)[nearest], 60)  # grey: not asked for
    picture[hit] = colours * (0.3 + 0.7 * light[hit])
    image = _cameras(picture, seen.depth, pose, intrinsics, views)
    canvas = Image.new("RGB", (MAIN + SIDE, MAIN), BACKGROUND)
    canvas.paste(image, (0, 0))
    latest = views[-1]
    canvas.paste(framed(latest.rgb), (MAIN, 0))
    canvas.paste(framed(depth_picture(latest.depth)), (MAIN, SIDE))
    _captions(ImageDraw.Draw(canvas), len(views), metrics, backbone)
    return np.asarray(canvas)


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


def _pixels(pose: np.ndarray, intrinsics: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(N, 3): column, row and depth of points (N, 3)."""
    inverse = inverse_pose(pose)
    camera = points @ inverse[:3, :3].T + inverse[:3, 3]
    z = np.maximum(camera[:, 2], 1e-6)
    return np.stack(
        [
            intrinsics[0, 0] * camera[:, 0] / z + intrinsics[0, 2],
            intrinsics[1, 1] * camera[:, 1] / z + intrinsics[1, 2],
            z,
        ],
        axis=1,
    )


def _cameras(
    picture: np.ndarray, depth: np.ndarray, pose: np.ndarray, intrinsics: np.ndarray, views: Sequence[View]
) -> Image.Image:
    """The picture with the cameras, numbered, and their path round the object; dim where it hides them."""
    fine = Image.fromarray(picture).resize((2 * MAIN, 2 * MAIN), Image.Resampling.NEAREST)
    draw = ImageDraw.Draw(fine)

    def line(points: np.ndarray, ink: tuple[int, int, int], width: int) -> None:
        pixels = _pixels(pose, intrinsics, points)
        for (x, y, z), (u, v, w) in pairwise(pixels):
            column, row = int((x + u) / 2), int((y + v) / 2)
            inside = 0 <= column < MAIN and 0 <= row < MAIN
            hidden = inside and 0 < depth[row, column] < (z + w) / 2
            color = tuple((2 * b + i) // 3 for b, i in zip(BACKGROUND, ink, strict=True)) if hidden else ink
            draw.line([(2 * x, 2 * y), (2 * u, 2 * v)], fill=color, width=width)

    centres = np.array([_drawn_at(view.cam_to_world[:3, 3]) for view in views])
    for here, there in pairwise(centres):
        line(_arc(here, there), PATH_INK, 3)
    part = np.linspace(0, 1, 9)[:, None]
    corners = 0.1 * np.array([[-0.6, -0.6, 1], [0.6, -0.6, 1], [0.6, 0.6, 1], [-0.6, 0.6, 1]])
    for k, (centre, view) in enumerate(zip(centres, views, strict=True)):
        ink = PATH_INK if k == len(views) - 1 else INK
        frame = corners @ view.cam_to_world[:3, :3].T + centre
        for corner, following in zip(frame, np.roll(frame, -1, axis=0), strict=True):
            line(corner + part * (following - corner), ink, 3)
            line(centre + part * (corner - centre), ink, 3)
    image = fine.resize((MAIN, MAIN), Image.Resampling.BOX)
    draw = ImageDraw.Draw(image)
    for k, (column, row, _) in enumerate(_pixels(pose, intrinsics, centres)):
        away = np.array([column, row]) - MAIN / 2
        x, y = np.array([column, row]) + 13 * away / max(float(np.linalg.norm(away)), 1e-6)
        ink = PATH_INK if k == len(views) - 1 else INK
        draw.text(
            (x, y), str(k + 1), fill=ink, font=font(15), anchor="mm", stroke_width=2, stroke_fill=BACKGROUND
        )
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


def _captions(draw: ImageDraw.ImageDraw, count: int, metrics: Metrics, backbone: str) -> None:
    line = f"view {count}    Chamfer {100 * metrics['chamfer']:.2f} cm    coverage {metrics['coverage']:.1%}"
    caption(draw, (14, 12), line, INK, 16)
    left, top, width = 14, MAIN - 30, 150
    for k in range(width):
        colour = tuple(int(c) for c in ramp(np.array(k / (width - 1))))
        draw.line([(left + k, top), (left + k, top + 8)], fill=colour)
    caption(draw, (left, top - 18), "distance of the true surface to the reconstruction", DIM_INK, 12)
    caption(draw, (left, top + 10), "0", DIM_INK, 11)
    caption(draw, (left + width - 30, top + 10), f"{400 * COVERAGE_SHARE:.0f} cm", DIM_INK, 11)
    caption(draw, (MAIN - 118, top + 10), "cameras drawn nearer", DIM_INK, 11)
    caption(draw, (MAIN - 118, top - 6), f"backbone {backbone}", DIM_INK, 11)
    caption(draw, (MAIN + 8, 6), "latest view", DIM_INK, 12)
    caption(draw, (MAIN + 8, SIDE + 6), "depth", DIM_INK, 12)
