"""The reconstruction as a picture: its points, coloured by how far they are off, over the true surface."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from PIL import ImageDraw

from spatial_envs.core.drawing import BACKGROUND, DIM_INK, INK, caption, ramp
from spatial_envs.geometry.camera import projected
from spatial_envs.geometry.mesh import Mesh
from spatial_envs.reconstruction.chamfer import Cloud
from spatial_envs.rendering.renderer import Renderer

LEAST, MOST = 0.001, 0.3  # metres: the ends of the scale, which is logarithmic
TICKS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
BEHIND = 0.02  # metres that a point may lie behind the surface and still be seen
POINT = 0.004  # radius of a point, of the picture's side
GREY = 105  # of what is missing
BAR = 220  # pixels, of the legend


def error_share(error: np.ndarray) -> np.ndarray:
    """Where errors, metres, stand on the scale, from 0 to 1."""
    return np.log(np.maximum(error, LEAST) / LEAST) / math.log(MOST / LEAST)


def draw_errors(
    renderer: Renderer, mesh: Mesh, cloud: Cloud, pose: np.ndarray, intrinsics: np.ndarray, side: int
) -> np.ndarray:
    """(side, side, 3) uint8 from a camera: the points of the cloud, each coloured by its distance to the true
    surface, over that surface, grey."""
    plain = replace(mesh, colors=np.full_like(mesh.colors, 255), face_texture=None)  # for the light on it
    seen = renderer.render(plain, pose, intrinsics, (side, side))
    light = 0.35 + 0.65 * seen.rgb[..., :1] / 255
    picture = np.where(seen.depth[..., None] > 0, GREY * light, np.array(BACKGROUND)).astype(np.uint8)
    points = cloud.points
    if not len(points):
        return picture
    colours = ramp(error_share(np.sqrt(cloud.tracker.dense.squared_distances(points))))
    column, row, depth = projected(points, pose, intrinsics).T
    column, row = column.astype(int), row.astype(int)
    reach = math.ceil(side * POINT)
    inside = (depth > 0) & (np.minimum(column, row) >= reach) & (np.maximum(column, row) < side - reach)
    order = np.flatnonzero(inside)[np.argsort(-depth[inside], kind="stable")]  # the nearest last
    for down in range(-reach, reach + 1):
        for right in range(-reach, reach + 1):
            if down**2 + right**2 > reach**2:
                continue
            at = row[order] + down, column[order] + right
            surface = seen.depth[at]
            shown = (surface == 0) | (depth[order] < surface + BEHIND)
            at = at[0][shown], at[1][shown]
            lit = np.where(seen.depth[at][:, None] > 0, light[at], 1.0)
            picture[at] = (colours[order][shown] * lit).astype(np.uint8)
    return picture


def draw_scale(draw: ImageDraw.ImageDraw, left: int, top: int) -> None:
    """The legend, with its upper left corner there."""
    for k in range(BAR):
        ink = tuple(int(c) for c in ramp(np.array(k / (BAR - 1))))
        draw.line([(left + k, top + 18), (left + k, top + 26)], fill=ink)
    caption(draw, (left, top), "a point's distance to the true surface", DIM_INK, 12)
    for tick in TICKS:
        at = left + round(float(error_share(np.array(tick))) * (BAR - 1))
        text = f"{100 * tick:g}" + " cm" * (tick == MOST)
        draw.line([(at, top + 18), (at, top + 29)], fill=INK)
        caption(draw, (at - 4, top + 29), text, DIM_INK, 11)
    caption(draw, (left + BAR + 26, top + 18), "grey: nothing there yet", DIM_INK, 11)
