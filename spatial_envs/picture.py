"""Pictures worth looking at: what an episode has seen, from where, and what it still misses."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from spatial_envs.camera import direction, intrinsics, inverse_pose, look_at
from spatial_envs.chamfer import COVERAGE_SHARE, Metrics
from spatial_envs.mesh import Mesh
from spatial_envs.rendering import Renderer
from spatial_envs.view import View

MAIN, SIDE = 480, 240  # pixels: the panel from outside, and the two beside it
BACKGROUND = (24, 26, 32)
INK, DIM_INK, PATH_INK = (236, 238, 242), (150, 156, 168), (255, 196, 64)
# from covered to missing: a colour-blind safe ramp
RAMP = np.array([[38, 130, 142], [94, 201, 98], [253, 231, 37], [245, 125, 21], [205, 35, 60]], np.float64)


def draw_next_best_view(
    renderer: Renderer,
    mesh: Mesh,
    views: Sequence[View],
    reference: np.ndarray,
    distances: np.ndarray,
    metrics: Metrics,
) -> np.ndarray:
    """(480, 720, 3) uint8: the object with its reference points (N, 3) coloured by their distances (N,), m,
    to the reconstruction, the cameras and their path; beside it the latest view and its depth."""
    pose, lens = _spectator(views)
    seen = renderer.render(mesh, pose, lens, (MAIN, MAIN))
    hit = seen.depth > 0
    picture = np.empty((MAIN, MAIN, 3), np.uint8)
    picture[:] = BACKGROUND
    grey = seen.rgb[hit].mean(axis=1, keepdims=True)
    picture[hit] = 40 + 0.25 * seen.rgb[hit] + 0.15 * grey
    error = np.clip(distances / (4 * COVERAGE_SHARE), 0, 1)  # metres over the diameter, which is 1 m
    _splat(picture, seen.depth, pose, lens, reference, ramp(error))
    image = Image.fromarray(picture)
    _cameras(ImageDraw.Draw(image), pose, lens, views)
    canvas = Image.new("RGB", (MAIN + SIDE, MAIN), BACKGROUND)
    canvas.paste(image, (0, 0))
    latest = views[-1]
    canvas.paste(_framed(latest.rgb), (MAIN, 0))
    canvas.paste(_framed(depth_picture(latest.depth)), (MAIN, SIDE))
    _captions(ImageDraw.Draw(canvas), len(views), metrics)
    return np.asarray(canvas)


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


def _spectator(views: Sequence[View]) -> tuple[np.ndarray, np.ndarray]:
    """A camera that has the first view on its left and all of the region in its picture."""
    first = views[0].cam_to_world[:3, 3]
    azimuth = math.atan2(first[0], first[2]) + math.radians(55)
    centre = 4.6 * direction(azimuth, math.radians(24))
    return look_at(torch.as_tensor(centre)[None])[0].numpy(), intrinsics(50, (MAIN, MAIN))


def _pixels(pose: np.ndarray, lens: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(N, 3): column, row and depth of points (N, 3)."""
    inverse = inverse_pose(pose)
    camera = points @ inverse[:3, :3].T + inverse[:3, 3]
    z = np.maximum(camera[:, 2], 1e-6)
    return np.stack(
        [lens[0, 0] * camera[:, 0] / z + lens[0, 2], lens[1, 1] * camera[:, 1] / z + lens[1, 2], z], axis=1
    )


def _splat(
    picture: np.ndarray,
    depth: np.ndarray,
    pose: np.ndarray,
    lens: np.ndarray,
    points: np.ndarray,
    colours: np.ndarray,
) -> None:
    """Dots of 2 x 2 pixels for the points that the surface does not hide."""
    column, row, z = _pixels(pose, lens, points).T
    for down in (0, 1):
        for right in (0, 1):
            c, r = column.astype(int) + right, row.astype(int) + down
            inside = (c >= 0) & (r >= 0) & (c < MAIN) & (r < MAIN)
            c, r, front, colour = c[inside], r[inside], z[inside], colours[inside]
            shown = (depth[r, c] == 0) | (front < depth[r, c] + 0.02)
            picture[r[shown], c[shown]] = colour[shown]


def _cameras(draw: ImageDraw.ImageDraw, pose: np.ndarray, lens: np.ndarray, views: Sequence[View]) -> None:
    size = 0.16
    corners = size * np.array([[-0.6, -0.6, 1], [0.6, -0.6, 1], [0.6, 0.6, 1], [-0.6, 0.6, 1]])
    centres = _pixels(pose, lens, np.array([view.cam_to_world[:3, 3] for view in views]))[:, :2]
    if len(centres) > 1:
        draw.line([tuple(c) for c in centres], fill=PATH_INK, width=2, joint="curve")
    for k, view in enumerate(views):
        ink = PATH_INK if k == len(views) - 1 else INK
        frame = _pixels(pose, lens, corners @ view.cam_to_world[:3, :3].T + view.cam_to_world[:3, 3])[:, :2]
        draw.line([tuple(c) for c in [*frame, frame[0]]], fill=ink, width=1)
        for corner in frame:
            draw.line([tuple(centres[k]), tuple(corner)], fill=ink, width=1)
        draw.text((centres[k][0] + 6, centres[k][1] - 16), str(k + 1), fill=ink, font=_font(14))


def _captions(draw: ImageDraw.ImageDraw, count: int, metrics: Metrics) -> None:
    line = f"view {count}    Chamfer {100 * metrics['chamfer']:.2f} cm    coverage {metrics['coverage']:.1%}"
    draw.text((14, 12), line, fill=INK, font=_font(16))
    left, top, width = 14, MAIN - 30, 150
    for k in range(width):
        colour = tuple(int(c) for c in ramp(np.array(k / (width - 1))))
        draw.line([(left + k, top), (left + k, top + 8)], fill=colour)
    caption = "distance of the true surface to the reconstruction"
    draw.text((left, top - 18), caption, fill=DIM_INK, font=_font(12))
    draw.text((left, top + 10), "0", fill=DIM_INK, font=_font(11))
    draw.text((left + width - 30, top + 10), f"{400 * COVERAGE_SHARE:.0f} cm", fill=DIM_INK, font=_font(11))
    draw.text((MAIN + 8, 6), "latest view", fill=DIM_INK, font=_font(12))
    draw.text((MAIN + 8, SIDE + 6), "depth", fill=DIM_INK, font=_font(12))


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _framed(rgb: np.ndarray) -> Image.Image:
    """The picture, as large as fits into the side panel, pixels kept sharp."""
    image = Image.new("RGB", (SIDE, SIDE), BACKGROUND)
    scale = (SIDE - 4) / max(rgb.shape[:2])
    fitted = Image.fromarray(rgb).resize(
        (round(rgb.shape[1] * scale), round(rgb.shape[0] * scale)), Image.Resampling.NEAREST
    )
    image.paste(fitted, ((SIDE - fitted.width) // 2, (SIDE - fitted.height) // 2))
    return image
