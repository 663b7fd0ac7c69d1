"""Which way is up, where the floor is, and how large the room is; turned to +Y up and the floor at y = 0."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from scenes.capture.depth import read_depth, read_posed
from scenes.capture.gravity import LEVEL, Surfels, alike, find_up, mean_up, surfels
from scenes.capture.marker import SQUARE, measured_markers
from scenes.capture.pose_files import Camera, write_transforms
from scenes.capture.poses import FILE, read_cameras
from scenes.capture.stages import Gate
from spatial_envs.geometry.camera import measured_points

LEAST_UP = 0.02  # of what was seen, or nothing tells which way up is
LAYER = 0.05  # metres
CELL = 0.05  # metres of plan
WIDTH = 320  # pixels of a depth map in which its floor is measured
EYE = (0.3, 2.5)  # metres that cameras are above the floor they stand over
SHARE = 0.2  # of the largest level's area: less is no floor
FIT = 0.05  # by which a marker may differ from another, or from the sensor's metres
LEAST = 0.5  # square metres of floor that have to be seen


def make(folder: Path, before: Mapping[str, Path], options: Mapping[str, Any]) -> list[Gate]:
    """The stage: fills ``folder`` with transforms.json and upright.json."""
    cameras = read_posed(before["depth"])
    metric = bool(json.loads((before["depth"] / FILE).read_text(encoding="utf-8"))["metric"])
    seen = surfels((camera, read_depth(before["depth"], camera.name)) for camera in cameras)
    poses = np.stack([camera.pose for camera in cameras])
    up, share, told = upwards(before, seen, cameras)
    for last in (False, True):
        turn = squared(seen, up)
        points, centres = seen.points @ turn.T, poses[:, :3, 3] @ turn.T
        flat = seen.normals @ up > np.cos(np.radians(LEVEL))
        eye = float(np.median(centres[:, 1]))
        unit = 1.0
        if not metric:  # a storey in the room's own unit, until the scale is known
            unit = 1.5 / max(eye - float(np.percentile(points[flat, 1], 2)), 1e-9) if flat.any() else 1.0
        height, levels = find_floor(points[flat] * unit, eye * unit)
        if not (last or told):  # a floor is longer than the patches that normals are of
            up = turn.T @ floor_normal(points[flat], height / unit, 2 * LAYER / unit)
    height, scale, known, gates = height / unit, 1.0, metric, []
    if options["height"] is not None and not metric:
        scale, known = float(options["height"]) / max(eye - height, 1e-9), True
    elif options["marker"] is not None:
        found, gate = by_marker(before["poses"] / "pictures", cameras, float(options["marker"]), metric)
        scale, known = found or 1.0, metric or found is not None
        gates.append(gate)
    placed = [replace(camera, cam_to_world=placement(camera, turn, height, scale)) for camera in cameras]
    write_transforms(folder / FILE, placed)
    area = floor_area((camera, scale * read_depth(before["depth"], camera.name)) for camera in placed)
    (folder / "upright.json").write_text(
        json.dumps(
            {"depth_scale": scale, "metric": known, "floor_seen": area, "eye": scale * (eye - height)}
        ),
        encoding="utf-8",
    )
    _picture(folder / "levels.png", levels, unit, scale, height)
    return [
        *gates,
        Gate(
            "scale known", known, "metres" if known else "unscaled", "metres",
            "Photographs alone do not tell how large a room is: pass --height, the metres of the camera "
            "above the floor, lay a printed marker there (python -m scenes.marker), or film with a depth "
            "sensor.",
        ),
        Gate(
            "gravity", share >= LEAST_UP, f"{share:.1%} of what was seen faces up",
            f"at least {LEAST_UP:.0%}",
            "Nothing level was seen: point the camera down at the floor and at tables, too.", "levels.png",
        ),
        Gate(
            "floor", area >= LEAST and EYE[0] <= scale * (eye - height) <= EYE[1] if known else area > 0,
            f"{area:.2f} square metres, {scale * (eye - height):.2f} m under the cameras",
            f"at least {LEAST:g}, {EYE[0]:g} to {EYE[1]:g} m under them",
            "The floor was hardly seen: film it, too, all along your way.", "levels.png",
        ),
    ]  # fmt: skip


def by_marker(
    pictures: Path, cameras: Sequence[Camera], side: float, metric: bool
) -> tuple[float | None, Gate]:
    """Metres in a unit of the cameras' poses by the markers of a printed side, metres, that the pictures
    show; None where that is metres already, or where no marker tells it. And the gate: whether one does, or
    fits the metres that the sensor tells."""
    found = [one for one in measured_markers(pictures, cameras) if one.skew <= SQUARE]
    each = [side / one.side for one in found]
    if not each:
        return None, Gate(
            "marker", False, "none in three pictures", "one in at least three pictures",
            "Lay the page flat, with its white border, where several photos show it from less than 2 m.",
        )  # fmt: skip
    scale = float(np.median(each))
    spread = max(abs(one / scale - 1) for one in each)
    got = f"{len(found)} in {found[0].views} pictures, off a square by {found[0].skew:.1%}"
    if metric:
        off = abs(scale - 1)
        return None, Gate(
            "marker", off <= FIT, f"{got}; the sensor's metres are {off:.1%} off it", f"at most {FIT:.0%}",
            "Measure the black square's side on paper, and pass it; or pass --depth-scale.",
        )  # fmt: skip
    return scale, Gate(
        "marker", spread <= FIT, f"{got}; {scale:.4g} m a unit, {spread:.1%} between markers",
        f"at most {FIT:.0%}", "Print all markers in one size, and pass the side of their black square.",
    )  # fmt: skip


def upwards(
    before: Mapping[str, Path], seen: Surfels, cameras: Sequence[Camera]
) -> tuple[np.ndarray, float, bool]:
    """The unit direction up, the share of what was seen that faces it, and whether the poses that were given
    told it."""
    footage = json.loads((before["frames"] / "frames.json").read_text(encoding="utf-8"))
    if footage.get("upright", False) and read_cameras(before["poses"])[2]:
        return np.array([0.0, 1, 0]), alike(seen, np.array([0.0, 1, 0])), True
    return *find_up(seen, mean_up(cameras)), False


def floor_normal(points: np.ndarray, height: float, reach: float) -> np.ndarray:
    """(3,): the normal, +Y up, of the plane through the points (N, 3) within ``reach`` of a height: by least
    squares, thrice, of those that lie ever nearer. +Y where it is over 3 degrees off, or they are few."""
    plane = np.array([0.0, 0.0, height])
    for share in (1.0, 0.6, 0.4):
        terms = np.column_stack([points[:, [0, 2]], np.ones(len(points))])
        near = np.abs(points[:, 1] - terms @ plane) < share * reach
        if near.sum() < 100:
            return np.array([0.0, 1, 0])
        plane = np.linalg.lstsq(terms[near], points[near, 1], rcond=None)[0]
    normal = np.array([-plane[0], 1, -plane[1]]) / np.sqrt(1 + plane[0] ** 2 + plane[1] ** 2)
    return normal if normal[1] > np.cos(np.radians(3)) else np.array([0.0, 1, 0])


def squared(seen: Surfels, up: np.ndarray) -> np.ndarray:
    """(3, 3): the turn that brings up to +Y and the walls along X and Z, as far as they are square."""
    side = np.cross(up, [1.0, 0, 0] if abs(up[0]) < 0.9 else [0, 0, 1.0])
    side /= np.linalg.norm(side)
    turn = np.stack([side, up, np.cross(side, up)])
    walls = seen.normals[np.abs(seen.normals @ up) < 0.2] @ turn.T
    angle = np.arctan2(walls[:, 2], walls[:, 0])
    offset = np.angle(np.exp(4j * angle).mean()) / 4 if len(walls) else 0.0
    cos, sin = np.cos(offset), np.sin(offset)
    return np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]]) @ turn


def find_floor(points: np.ndarray, eye: float) -> tuple[float, dict[float, float]]:
    """The height of the floor under cameras at the height ``eye``: of the levels of points (N, 3) that face
    up, metres, the lowest that is not small beside the largest; and all levels' square metres by height,
    none where nothing is there."""
    low = points[(points[:, 1] < eye - EYE[0]) & (points[:, 1] > eye - EYE[1])]
    if not len(low):
        return eye - 1.5, {}
    layer = np.floor(low[:, 1] / LAYER).astype(int)
    cells = np.unique(np.column_stack([layer, np.floor(low[:, [0, 2]] / CELL).astype(int)]), axis=0)
    first = layer.min()
    areas = np.bincount(cells[:, 0] - first, minlength=2) * CELL**2
    both = np.r_[areas, 0] + np.r_[0, areas]  # a level may lie across two layers
    floor = int(np.flatnonzero(both >= SHARE * both.max())[0])
    while floor + 1 < len(both) and both[floor + 1] > both[floor]:
        floor += 1
    middle = (first + floor) * LAYER
    near = low[np.abs(low[:, 1] - middle) <= LAYER, 1]
    levels = {float((first + k) * LAYER): float(a) for k, a in enumerate(both)}
    return float(np.median(near)), levels


def floor_area(views: Iterable[tuple[Camera, np.ndarray]]) -> float:
    """Square metres of plan in which cameras' depth maps (H, W), metres, measure something at y = 0."""
    cells = np.empty((0, 2))
    for camera, depth in views:
        stride = max(depth.shape[1] // WIDTH, 1)
        fine = np.ascontiguousarray(depth[::stride, ::stride])
        points = measured_points(fine, camera.strided(stride), camera.pose)
        on = points[np.abs(points[:, 1]) <= LAYER][:, [0, 2]]
        cells = np.unique(np.concatenate([cells, np.floor(on / CELL)]), axis=0)
    return len(cells) * CELL**2


def placement(camera: Camera, turn: np.ndarray, floor: float, scale: float) -> np.ndarray:
    """(4, 4) cam_to_world in a world turned by ``turn`` (3, 3), then moved so that y = ``floor`` is 0, then
    scaled."""
    pose = np.eye(4)
    pose[:3, :3] = turn @ camera.pose[:3, :3]
    pose[:3, 3] = scale * (turn @ camera.pose[:3, 3] - [0, floor, 0])
    return pose


def _picture(path: Path, levels: Mapping[float, float], unit: float, scale: float, floor: float) -> None:
    figure, axes = plt.subplots(figsize=(5, 4))
    heights = [(y / unit - floor) * scale for y in levels]
    axes.barh(heights, [area * (scale / unit) ** 2 for area in levels.values()], height=LAYER * scale / unit)
    axes.axhline(0, color="tab:red")
    axes.set(xlabel="square metres that face up", ylabel="metres above the floor")
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    plt.close(figure)
