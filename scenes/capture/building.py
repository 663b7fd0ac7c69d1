"""From a surface to a building: what was never seen is completed and marked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from PIL import Image
from scipy import ndimage

from scenes.capture.names import read_names
from scenes.capture.pose_files import read_transforms
from scenes.capture.poses import FILE
from scenes.capture.stages import CaptureError, Gate
from scenes.capture.surface import load_mesh
from spatial_envs.geometry.building import Building, boxes
from spatial_envs.geometry.mesh import Mesh
from spatial_envs.simulators.stage import write_configuration, write_glb

CELL = 0.05  # metres
HEAD = 1.5  # metres: what was seen below this stands on the floor or over it, and hides it
ON_FLOOR = 0.06  # metres from y = 0 within which a surface is floor
OUTSIDE = 0.03  # metres that completed walls stand outside of what was seen
SEEN = 0.15  # of the room's floor that has to have been seen
GREY = 150
NAME = "room"


def make(folder: Path, before: Mapping[str, Path], options: Mapping[str, Any]) -> list[Gate]:
    """The stage: fills ``folder`` with room.glb, its floors and how it lies."""
    mesh = load_mesh(before["surface"] / "mesh.npz")
    cameras = read_transforms(before["upright"] / FILE)
    segment, named = read_names(before["names"])
    hull = outline(mesh, np.stack([camera.pose[:3, 3] for camera in cameras]))
    floor, share, plan = missing_floor(mesh, hull)
    top = float(np.percentile(mesh.vertices[:, 1], 99.5))
    walls = hull_walls(hull, top)
    number = max(named) + 1
    named |= {number: ("floor_unseen_1", "floor_unseen"), number + 1: ("wall_unseen_1", "wall_unseen")}
    whole = joined(replace(mesh, segment=segment), floor, number, walls, number + 1)
    building = Building(NAME, whole, boxes(whole, named))
    write_glb(building, folder / f"{NAME}.glb")
    write_configuration(folder, f"{NAME}.glb", "y").rename(folder / f"{NAME}.stage_config.json")
    (folder / f"{NAME}.floors.json").write_text(json.dumps({"floors": [0.0]}), encoding="utf-8")
    (folder / "building.json").write_text(json.dumps({"floor_seen": share}), encoding="utf-8")
    Image.fromarray(plan).resize((4 * plan.shape[1], 4 * plan.shape[0]), Image.Resampling.NEAREST).save(
        folder / "floor.png"
    )
    return [
        Gate(
            "floor seen", share >= SEEN,
            f"{share:.0%} of what nothing stands on, in {hull.area:.1f} square metres",
            f"at least {SEEN:.0%}", "Most of the floor was never seen: point the camera down as you walk.",
            "floor.png",
        ),
    ]  # fmt: skip


def outline(mesh: Mesh, centres: np.ndarray) -> shapely.Polygon:
    """The room in plan: the convex hull of all that was measured, and of where the cameras (N, 3) stood."""
    places = np.concatenate([mesh.vertices[:, [0, 2]].astype(np.float64), centres[:, [0, 2]]])
    return shapely.MultiPoint(places).convex_hull


def missing_floor(mesh: Mesh, room: shapely.Polygon) -> tuple[Mesh, float, np.ndarray]:
    """The floor at y = 0 where none was seen in the room; the share that was seen of what nothing stands on;
    and a plan (rows, columns, 3) uint8: green = seen, red = completed. CaptureError where the room has no
    area."""
    x0, z0, x1, z1 = room.bounds
    columns, rows = (int(n) + 1 for n in np.ceil(np.array([x1 - x0, z1 - z0]) / CELL))
    x, z = x0 + (np.arange(columns) + 0.5) * CELL, z0 + (np.arange(rows) + 0.5) * CELL
    inside = shapely.contains_xy(room, *np.meshgrid(x, z))
    if not inside.any():
        raise CaptureError("surface: it has no area in plan; expected a room")
    heights = mesh.vertices[mesh.faces, 1]
    floor = (mesh.face_normals[:, 1] > 0.7) & (np.abs(heights) < ON_FLOOR).all(axis=1)
    things = (heights.min(axis=1) > ON_FLOOR) & (heights.max(axis=1) < HEAD)
    seen, covered = (
        ndimage.binary_closing(_touched(mesh, faces, np.array([x0, z0]), (rows, columns))) & inside
        for faces in (floor, things)
    )
    open_floor = inside & (seen | ~covered)
    needed = ndimage.binary_dilation(inside & ~seen) & inside  # a cell over the edge of what was seen
    plan = np.full((rows, columns, 3), 255, np.uint8)
    plan[inside & ~seen], plan[inside & seen] = (225, 120, 100), (120, 180, 120)
    return _tiles(needed, np.array([x0, z0])), float(seen.sum() / max(open_floor.sum(), 1)), plan


def _touched(mesh: Mesh, faces: np.ndarray, corner: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(rows, columns) bool: the cells of a map over which some of the faces (F,) bool have a corner, the
    middle of a side, or their own middle."""
    a, b, c = mesh.vertices[mesh.faces[faces]][..., [0, 2]].astype(np.float64).transpose(1, 0, 2)
    places = np.concatenate([a, b, c, (a + b) / 2, (b + c) / 2, (c + a) / 2, (a + b + c) / 3])
    column, row = np.clip(((places - corner) / CELL).astype(int), 0, [shape[1] - 1, shape[0] - 1]).T
    touched = np.zeros(shape, bool)
    touched[row, column] = True
    return touched


def _tiles(cells: np.ndarray, corner: np.ndarray) -> Mesh:
    """A level mesh at y = 0, seen from above, of the cells of a map; runs along a row are one rectangle."""
    edges = np.diff(np.pad(cells, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    row, first = np.nonzero(edges == 1)
    last = np.nonzero(edges == -1)[1]
    x0, x1, z0 = corner[0] + first * CELL, corner[0] + last * CELL, corner[1] + row * CELL
    y, z1 = np.zeros(len(row)), z0 + CELL
    vertices = np.stack([[x0, y, z0], [x0, y, z1], [x1, y, z1], [x1, y, z0]], axis=0).transpose(2, 0, 1)
    return _quads(vertices.reshape(-1, 4, 3))


def hull_walls(room: shapely.Polygon, height: float) -> Mesh:
    """Walls round the room, a hair outside of what was seen, that face inwards; metres."""
    ring = shapely.get_coordinates(room.buffer(OUTSIDE, join_style="mitre").simplify(0.02).exterior)
    if shapely.is_ccw(shapely.LinearRing(ring)):
        ring = ring[::-1]
    (ax, az), (bx, bz) = ring[:-1].T, ring[1:].T
    low, high = np.zeros(len(ax)), np.full(len(ax), height)
    vertices = np.stack([[ax, low, az], [bx, low, bz], [bx, high, bz], [ax, high, az]], axis=0)
    return _quads(vertices.transpose(2, 0, 1))


def _quads(corners: np.ndarray) -> Mesh:
    """Corners (N, 4, 3) as a grey mesh."""
    halves = np.array([[0, 1, 2], [0, 2, 3]])
    faces = (4 * np.arange(len(corners))[:, None, None] + halves).reshape(-1, 3)
    vertices = corners.reshape(-1, 3).astype(np.float32)
    return Mesh(vertices, faces.astype(np.int32), np.full(vertices.shape, GREY, np.uint8))


def joined(mesh: Mesh, floor: Mesh, floor_id: int, walls: Mesh, wall_id: int) -> Mesh:
    """All as one mesh, with the ids of the completed parts."""
    parts = [mesh, floor, walls]
    starts = np.cumsum([0, *[len(part.vertices) for part in parts]])
    ids = [mesh.face_segments, np.full(len(floor.faces), floor_id), np.full(len(walls.faces), wall_id)]
    return Mesh(
        np.concatenate([part.vertices for part in parts]),
        np.concatenate([part.faces + start for part, start in zip(parts, starts, strict=False)]).astype(
            np.int32
        ),
        np.concatenate([part.colors for part in parts]),
        segment=np.concatenate(ids).astype(np.int32),
    )
