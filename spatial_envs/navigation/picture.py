"""Pictures of walking through a building: what the agent sees, beside its way on the floor plan."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import shapely
from PIL import Image, ImageDraw
from scipy.ndimage import binary_erosion, gaussian_filter, map_coordinates, maximum_filter

from spatial_envs.core.drawing import (
    BACKGROUND,
    DIM_INK,
    INK,
    MAIN,
    PATH_INK,
    caption,
    depth_picture,
    font,
    framed,
)
from spatial_envs.foundation.compilation import njit
from spatial_envs.geometry.building import STRUCTURE, Building, cut_away
from spatial_envs.geometry.mesh import Mesh
from spatial_envs.geometry.view import View
from spatial_envs.rendering.renderer import Renderer
from spatial_envs.simulators.simulator import AgentState

PLAN_WIDTH, STRIP = 620, 56  # pixels: the panel with the plan, and the captions below the plan
PLAN_HEIGHT = MAIN - STRIP
MARGIN = 16  # pixels round the building
INSET, EDGE = 116, 10  # pixels: the small pictures in the first-person view, and their distance from its edge
SPECTATOR = 400.0  # metres above the floor: nearly straight down everywhere
CUT = 1.9  # metres above the floor at which the building is cut: below lintels, above most furniture
STOREY = 1.25  # metres; what is farther above or below belongs to another floor
WALL_REACH = 0.25  # metres: a wall is drawn as seen so far from what was seen
WALL_INK, GOAL_INK = (128, 134, 146), (94, 201, 98)
SIGHT = 3.0  # metres of the field of view that are drawn


@dataclass(frozen=True, eq=False)
class Plan:
    """A floor from above, cut open: what `draw_navigation` draws on. One serves all episodes on this floor.

    picture  (424, 620, 3) uint8
    walls    (424, 620) bool: pixels that are solid at the cut
    floor    its height y, metres
    affine   (2, 3) float64: (column, row) = affine @ (x, z, 1), for points on the floor
    """

    picture: np.ndarray
    walls: np.ndarray
    floor: float
    affine: np.ndarray

    @property
    def scale(self) -> float:
        """Pixels per metre."""
        return math.hypot(*self.affine[:, 0])

    def pixels(self, points: np.ndarray) -> np.ndarray:
        """(N, 2), column and row, of world points (N, 3) or of places (N, 2), x and z."""
        points = np.asarray(points, np.float64).reshape(len(points), -1)
        return points[:, [0, -1]] @ self.affine[:, :2].T + self.affine[:, 2]


class Seen(NamedTuple):
    """What the agent knows of the plan. known: (rows along z, columns along x) bool; low: (x, z) of the
    corner; cell: the cells' width; metres."""

    known: np.ndarray
    low: np.ndarray
    cell: float


def draw_plan(renderer: Renderer, building: Building, floor: float = 0.0) -> Plan:
    """The building from above, cut open 1.9 m above a floor at height ``floor``; its long side lies across.

    What is solid at the cut is grey, as walls are. Furniture that stands on the floor, where known, is
    whole. ValueError where the building has nothing at this height.
    """
    lower = _shown(cut_away(building, floor), building, floor)
    corners = lower.vertices[np.unique(lower.faces)].astype(np.float64)
    if not len(corners):
        raise ValueError(f"floor: got {floor}; {building.name} has nothing at this height")
    low, high = corners.min(axis=0), corners.max(axis=0)
    centre, extent = (low + high) / 2, high - low
    upright = extent[2] > extent[0]
    across, down = ((0.0, 0.0, -1.0), (1.0, 0.0, 0.0)) if upright else ((1.0, 0.0, 0.0), (0.0, 0.0, 1.0))
    width, height = extent[[2, 0]] if upright else extent[[0, 2]]
    scale = min((PLAN_WIDTH - 2 * MARGIN) / width, (PLAN_HEIGHT - 2 * MARGIN) / height)
    linear = scale * np.array([[across[0], across[2]], [down[0], down[2]]])
    affine = np.column_stack([linear, np.array([PLAN_WIDTH, PLAN_HEIGHT]) / 2 - linear @ centre[[0, 2]]])
    size = (2 * PLAN_HEIGHT, 2 * PLAN_WIDTH)  # drawn twice as fine
    focal = 2 * scale * SPECTATOR
    intrinsics = np.array([[focal, 0, PLAN_WIDTH], [0, focal, PLAN_HEIGHT], [0, 0, 1]])
    pose = np.eye(4)
    pose[:3, 0], pose[:3, 1], pose[:3, 2] = across, down, (0, -1, 0)
    pose[:3, 3] = centre[0], floor + SPECTATOR, centre[2]
    view = renderer.render(lower, pose, intrinsics, size)
    picture = np.where((view.depth > 0)[..., None], view.rgb, np.array(BACKGROUND, np.uint8))
    solid = _solid(building, floor + CUT, 2 * affine, size)
    picture[solid] = WALL_INK
    fine = Image.fromarray(picture).resize((PLAN_WIDTH, PLAN_HEIGHT), Image.Resampling.BOX)
    return Plan(np.asarray(fine), solid[::2, ::2], floor, affine)


def footprint(building: Building, number: int) -> np.ndarray:
    """(K, 2) float64: the outline, x and z, of an object from above, as a convex polygon."""
    faces = building.mesh.faces[building.mesh.face_segments == number]
    points = building.mesh.vertices[np.unique(faces)][:, [0, 2]]
    return shapely.get_coordinates(shapely.convex_hull(shapely.multipoints(points)))


def draw_navigation(
    plan: Plan,
    view: View,
    trajectory: Sequence[AgentState],
    info: Mapping[str, Any],
    *,
    title: str = "",
    seen: Seen | None = None,
    goal: np.ndarray | None = None,
    footprints: Sequence[np.ndarray] = (),
    way: np.ndarray | None = None,
    goal_image: np.ndarray | None = None,
    sought: np.ndarray | None = None,
    over: bool = False,
) -> np.ndarray:
    """(480, 1100, 3) uint8: the agent's view with its depth, beside its way on the plan of its floor.

    view        the latest, (H, W); trajectory: states from the start on, the last is now
    info        the environment's: captions show steps, path_length, distance_to_goal, coverage, chamfer, and
                once ``over`` success and spl, as far as they are there
    title       what the agent is asked to do
    seen        the rest of the plan is dimmed
    goal        (3,) or (G, 3): points to reach; footprints: outlines (K, 2) of objects to reach instead
    way         (K, 3): the shortest way from the start
    goal_image  (h, w, 3) uint8, a small picture in the corner of the view
    sought      (H, W) bool: pixels of the view that show what is sought
    """
    canvas = Image.new("RGB", (MAIN + PLAN_WIDTH, MAIN), BACKGROUND)
    canvas.paste(_first_person(view, sought), (0, 0))
    canvas.paste(_inset(depth_picture(view.depth)), (EDGE, MAIN - EDGE - INSET))
    draw = ImageDraw.Draw(canvas)
    caption(draw, (EDGE + 6, MAIN - EDGE - INSET + 4), "depth", INK, 12)
    if goal_image is not None:
        canvas.paste(draw_goal_image(goal_image), (MAIN - EDGE - INSET, MAIN - EDGE - INSET))
        caption(draw, (MAIN - EDGE - INSET + 6, MAIN - EDGE - INSET + 4), "goal", INK, 12)
    if title:
        left, top, right, bottom = draw.textbbox((16, 13), title, font(16))
        draw.rounded_rectangle([left - 7, top - 6, right + 7, bottom + 6], 6, fill=BACKGROUND)
        draw.text((16, 13), title, fill=INK, font=font(16))
    canvas.paste(_on_plan(plan, trajectory, _in_sight(view), seen, goal, footprints, way), (MAIN, 0))
    _captions(draw, plan, info, over)
    return np.asarray(canvas)


def draw_goal_image(rgb: np.ndarray) -> Image.Image:
    """The goal's picture (h, w, 3) as an inset, framed in the goal's colour."""
    return _inset(rgb, GOAL_INK)


def _shown(mesh: Mesh, building: Building, floor: float) -> Mesh:
    """The faces below the cut with all their corners, and furniture that begins there. (Of a wall that goes
    through the cut nothing is left, and nothing would show from above.)"""
    below = mesh.vertices[mesh.faces][..., 1].max(axis=1) < floor + CUT
    standing = [number for number in _furniture(building) if building.objects[number].low[1] < floor + CUT]
    return _part(mesh, below | np.isin(mesh.face_segments, standing))


def _furniture(building: Building) -> list[int]:
    return [number for number, o in building.objects.items() if o.category not in STRUCTURE]


def _part(mesh: Mesh, keep: np.ndarray) -> Mesh:
    texture = None if mesh.face_texture is None else mesh.face_texture[keep]
    return replace(mesh, faces=mesh.faces[keep], face_texture=texture, segment=mesh.face_segments[keep])


def _solid(building: Building, cut: float, affine: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W) bool: pixels of the plan inside of something at height ``cut``.

    A place is inside where more of the surfaces above it face up than down: a wall has its top there, while
    a lintel or a ceiling slab has both sides. Where that holds for more than half of all pixels, the mesh
    does not keep to it, and nothing is taken for solid.
    """
    mesh = building.mesh
    above = mesh.vertices[mesh.faces][..., 1].min(axis=1) > cut
    faces = mesh.faces[above & ~np.isin(mesh.face_segments, _furniture(building))]
    pixels = mesh.vertices[:, [0, 2]].astype(np.float64) @ affine[:, :2].T + affine[:, 2]
    winding = np.zeros((size[0], size[1] + 1), np.int64)
    _wind(pixels, faces, winding)
    solid = np.cumsum(winding, axis=1)[:, :-1] > 0
    return solid & (solid.mean() < 0.5)


@njit
def _wind(pixels, faces, winding):
    """Add to ``winding`` (H, W + 1), whose sums along rows are, at every pixel centre, how many triangles
    over it face up, less those that face down. Seen from above, those that face up turn to the left."""
    height, width = winding.shape[0], winding.shape[1] - 1
    for face in range(faces.shape[0]):
        for k in range(3):
            a, b = faces[face, k], faces[face, (k + 1) % 3]
            sign = 1
            if pixels[a, 1] > pixels[b, 1]:
                a, b, sign = b, a, -1
            top, bottom = pixels[a, 1], pixels[b, 1]
            first, end = max(math.ceil(top - 0.5), 0), min(math.ceil(bottom - 0.5), height)
            for row in range(first, end):
                x = pixels[a, 0] + (row + 0.5 - top) / (bottom - top) * (pixels[b, 0] - pixels[a, 0])
                winding[row, min(max(math.ceil(x - 0.5), 0), width)] += sign


def _first_person(view: View, sought: np.ndarray | None) -> Image.Image:
    """The view, 480 x 480 pixels, sharp: enlarged by a whole number, then brought to size."""
    rgb = view.rgb
    height, width = rgb.shape[:2]
    times = math.ceil(MAIN / max(height, width))
    large = np.repeat(np.repeat(rgb, times, axis=0), times, axis=1)
    if sought is not None and sought.any():
        mask = np.repeat(np.repeat(sought, times, axis=0), times, axis=1)
        rim = mask & ~binary_erosion(mask, iterations=max(3, round(3 * large.shape[1] / MAIN)))
        large = np.where(mask[..., None], 0.75 * large + 0.25 * np.array(GOAL_INK), large).astype(np.uint8)
        large[rim] = GOAL_INK
    scale = MAIN / max(large.shape[:2])
    fitted = Image.fromarray(large).resize(
        (round(large.shape[1] * scale), round(large.shape[0] * scale)), Image.Resampling.BOX
    )
    image = Image.new("RGB", (MAIN, MAIN), BACKGROUND)
    image.paste(fitted, ((MAIN - fitted.width) // 2, (MAIN - fitted.height) // 2))
    return image


def _inset(rgb: np.ndarray, frame: tuple[int, int, int] = BACKGROUND) -> Image.Image:
    image = framed(rgb, INSET)
    ImageDraw.Draw(image).rectangle([0, 0, INSET - 1, INSET - 1], outline=frame, width=2)
    return image


def _on_plan(
    plan: Plan,
    trajectory: Sequence[AgentState],
    in_sight: np.ndarray,
    seen: Seen | None,
    goal: np.ndarray | None,
    footprints: Sequence[np.ndarray],
    way: np.ndarray | None,
) -> Image.Image:
    """The plan with all that is drawn on it, at twice its size and brought back, so that lines are smooth."""
    picture = plan.picture if seen is None else _dimmed(plan, seen)
    fine = Image.fromarray(picture).resize((2 * PLAN_WIDTH, 2 * PLAN_HEIGHT), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(fine, "RGBA")

    def fine_pixels(points: np.ndarray) -> list[tuple[float, float]]:
        return [(float(x), float(y)) for x, y in 2 * plan.pixels(points)]

    for outline in footprints:
        corners = fine_pixels(outline)
        draw.polygon(corners, fill=(*GOAL_INK, 110))
        draw.line([*corners, corners[0]], fill=GOAL_INK, width=4, joint="curve")
    if way is not None and len(way) > 1:
        draw.line(fine_pixels(way), fill=(*INK, 190), width=3, joint="curve")
    positions = np.array([state.position for state in trajectory], np.float64)
    here = np.abs(positions[:, 1] - plan.floor) < STOREY
    for ink, width in ((BACKGROUND, 10), (PATH_INK, 6)):
        for part in _runs(here):
            draw.line(fine_pixels(positions[part]), fill=ink, width=width, joint="curve")
    if here[0]:
        _disc(draw, fine_pixels(positions[:1])[0], 9, BACKGROUND)
        _disc(draw, fine_pixels(positions[:1])[0], 7, INK)
    if goal is not None and not len(footprints):
        for place in fine_pixels(np.asarray(goal, np.float64).reshape(-1, 3)):
            for radius, colour in ((18, BACKGROUND), (16, GOAL_INK), (11, BACKGROUND), (6, GOAL_INK)):
                _disc(draw, place, radius, colour)
    _agent(draw, plan, trajectory[-1], in_sight)
    return fine.resize((PLAN_WIDTH, PLAN_HEIGHT), Image.Resampling.BOX)


def _runs(flags: np.ndarray) -> list[slice]:
    """The stretches of two or more True values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return [slice(a, b) for a, b in edges.reshape(-1, 2).tolist() if b - a > 1]


def _disc(draw: ImageDraw.ImageDraw, centre: tuple[float, float], radius: float, ink: tuple) -> None:
    x, y = centre
    draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=ink)


def _in_sight(view: View) -> np.ndarray:
    """(W, 2) float64: how far the middle row of the view sees, 3 m at most; x and z from the camera."""
    middle = view.image_size[0] // 2
    intrinsics, pose = view.intrinsics.astype(np.float64), view.cam_to_world.astype(np.float64)
    column, row = np.arange(view.image_size[1]) + 0.5, middle + 0.5
    x, y = (
        (column - intrinsics[0, 2]) / intrinsics[0, 0],
        np.full(len(column), (row - intrinsics[1, 2]) / intrinsics[1, 1]),
    )
    rays = (np.stack([x, y, np.ones_like(x)], axis=1) @ pose[:3, :3].T)[:, [0, 2]]
    depth = view.depth[middle].astype(np.float64)
    if (depth > 0).any():  # where the sensor saw nothing, as far as beside it
        depth = np.interp(column, column[depth > 0], depth[depth > 0])
    else:
        depth[:] = SIGHT
    length = np.linalg.norm(rays, axis=1)
    return rays * np.minimum(depth, SIGHT / np.maximum(length, 1e-6))[:, None]


def _agent(draw: ImageDraw.ImageDraw, plan: Plan, state: AgentState, in_sight: np.ndarray) -> None:
    """What is in sight, fading with distance, and an arrow."""
    place = np.array([state.position[0], state.position[2]])

    def fine_pixels(points: np.ndarray) -> list[tuple[float, float]]:
        return [(float(x), float(y)) for x, y in 2 * plan.pixels(points)]

    away = np.linalg.norm(in_sight, axis=1, keepdims=True)
    for reach in (1.0, 0.75, 0.5, 0.25):
        rim = in_sight * np.minimum(1, reach * SIGHT / np.maximum(away, 1e-6))
        draw.polygon(fine_pixels(np.concatenate([place[None], place + rim])), fill=(*PATH_INK, 30))
    angle = state.yaw + np.array([0.0, 2.5, math.pi, -2.5])
    heading = -np.stack([np.sin(angle), np.cos(angle)], axis=1) / (2 * plan.scale)
    for size, ink in (([27, 22, 11, 22], BACKGROUND), ([21, 16, 7, 16], INK)):
        draw.polygon(fine_pixels(place + heading * np.array(size)[:, None]), fill=ink)


def _dimmed(plan: Plan, seen: Seen) -> np.ndarray:
    """The plan's picture, dark and grey where the agent has not seen it; walls are seen from beside them."""
    rows, columns = np.indices(plan.walls.shape) + 0.5
    pixels = np.stack([columns.ravel(), rows.ravel()]) - plan.affine[:, 2:]
    x, z = np.linalg.inv(plan.affine[:, :2]) @ pixels - np.asarray(seen.low, np.float64)[:, None]
    place = np.stack([z, x]) / seen.cell - 0.5
    smooth = gaussian_filter(seen.known.astype(np.float32), 0.8)
    light = map_coordinates(smooth, place, order=1).reshape(plan.walls.shape)
    beside = maximum_filter(light, 2 * round(WALL_REACH * plan.scale) + 1)
    light = np.clip(2 * np.where(plan.walls, beside, light) - 0.5, 0, 1)
    light[(plan.picture == np.array(BACKGROUND)).all(axis=2)] = 1
    grey = plan.picture.mean(axis=2, keepdims=True)
    unseen = 0.6 * np.array(BACKGROUND) + 0.22 * (0.7 * grey + 0.3 * plan.picture)
    return (light[..., None] * plan.picture + (1 - light[..., None]) * unseen).astype(np.uint8)


def _captions(draw: ImageDraw.ImageDraw, plan: Plan, info: Mapping[str, Any], over: bool) -> None:
    lines: list[list[str]] = [[], []]
    if "steps" in info:
        lines[0].append(f"step {info['steps']}")
    if "path_length" in info:
        lines[0].append(f"path {info['path_length']:.1f} m")
    if "distance_to_goal" in info:
        lines[0].append(f"to goal {info['distance_to_goal']:.1f} m")
    if over and "spl" in info:
        lines[0].append(f"{'success' if info['success'] else 'failure'}, SPL {info['spl']:.2f}")
    if "coverage" in info:
        lines[1].append(f"coverage {info['coverage']:.0%}")
    if "chamfer" in info:
        lines[1].append(f"Chamfer {info['chamfer']:.2f} m")
    caption(draw, (MAIN + MARGIN, PLAN_HEIGHT + 2), "    ".join(lines[0]), INK, 16)
    caption(draw, (MAIN + MARGIN, PLAN_HEIGHT + 28), "    ".join(lines[1]), DIM_INK, 14)
    right, bar = MAIN + PLAN_WIDTH - MARGIN, round(plan.scale)
    y = MAIN - 16
    draw.line([(right - bar, y), (right, y)], fill=DIM_INK, width=2)
    draw.text((right - bar - 8, y), "1 m", fill=DIM_INK, font=font(12), anchor="rm")
