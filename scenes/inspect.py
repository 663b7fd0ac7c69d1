"""See what an environment would find: how many objects, buildings or depth frames, and a sheet of them.

python -m scenes.inspect path/to/meshes
python -m scenes.inspect procedural --split test --count 24 --out sheet.png
python -m scenes.inspect procedural --buildings --count 4 --out apartments.png
python -m scenes.inspect path/to/SYNTHIA-SEQS-05-SPRING
python -m scenes.inspect depth.png --intrinsics 532.7 532.7 640 380
python -m scenes.inspect procedural --depth
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from scenes import depth_report
from spatial_envs.core.drawing import BACKGROUND
from spatial_envs.foundation.arguments import user_path
from spatial_envs.foundation.errors import MeshError
from spatial_envs.geometry.building import Building, cut_away
from spatial_envs.geometry.camera import direction, facing_origin, pinhole
from spatial_envs.rendering.builtin import BuiltinRenderer
from spatial_envs.scenes.building_frame import levels
from spatial_envs.scenes.buildings import BuildingSet, open_buildings
from spatial_envs.scenes.depth_frames import is_depth, open_depth
from spatial_envs.scenes.objects import ObjectSet, open_objects
from spatial_envs.scenes.sets import SPLITS

TILE, COLUMNS = 160, 8  # pixels, tiles
ROOM_TILE = 240  # pixels
DEPTH_SIZE = (216, 288)  # pixels, at which depth is sampled
VIEWPOINT = 1.35 * direction(np.radians(35), np.radians(25))


def contact_sheet(objects: ObjectSet, count: int) -> tuple[Image.Image, list[str]]:
    """A picture of the first ``count`` objects, and what is wrong with those that are broken."""
    pose = facing_origin(VIEWPOINT)
    intrinsics, renderer = pinhole(50, (TILE, TILE)), BuiltinRenderer()

    def tile(index: int) -> tuple[np.ndarray, str]:
        mesh = objects.load(index)
        view = renderer.render(mesh, pose, intrinsics, (TILE, TILE))
        view.rgb[view.depth == 0] = BACKGROUND
        return view.rgb, f"{objects.names[index][-18:]}  {len(mesh.faces):,}"

    return _sheet(tile, min(count, len(objects)), COLUMNS, (TILE, TILE), 10)


def building_sheet(buildings: BuildingSet, count: int) -> tuple[Image.Image, list[str]]:
    """For the first ``count`` buildings a map from above and two views from inside; what is broken."""

    def tile(index: int) -> tuple[np.ndarray, str]:
        building = buildings.load(index)
        things = f"{len(building.objects)} objects" if building.objects else "no semantics"
        rooms = f"{len(building.rooms)} rooms, " if building.rooms else ""
        print(described(building))
        caption = f"{building.name}: {rooms}{things}, {len(building.mesh.faces):,} triangles"
        return np.hstack([_map(building), *_inside(building)]), caption

    return _sheet(tile, min(count, len(buildings)), 2, (3 * ROOM_TILE, ROOM_TILE), 11, gap=8)


def described(building: Building) -> str:
    """How a building lay in its file, its size, its floors and its things: a line of text."""
    x, y, z = np.ptp(building.mesh.vertices, axis=0)
    floors = ", ".join(f"{height:.2f} m ({area:.0f} square metres)" for height, area in _floors(building))
    frame = f"{building.frame.reason}; " if building.frame.reason else ""
    has = {word: len(building.of_category(word)) for word in building.categories}
    things = "; " + ", ".join(f"{count} {word}" for word, count in has.items()) if has else ""
    return (
        f"{building.name}: {frame}{x:.1f} x {y:.1f} x {z:.1f} m (y up); floors at {floors or 'no height'}"
        f"{things}"
    )


def _floors(building: Building) -> list[tuple[float, float]]:
    """The heights, metres, at which most lies level under free space, and its area, square metres; from
    below."""
    middles, areas = levels(building.mesh, 1, 1.0)
    areas = np.where(middles < building.mesh.vertices[:, 1].max() - 1.5, areas, 0)  # no roof
    found: list[tuple[float, float]] = []
    for k in np.argsort(-areas)[:200]:
        if areas[k] > 0.2 * areas.max() and all(abs(middles[k] - height) > 1.5 for height, _ in found):
            found.append((float(middles[k]), float(areas[k])))
    return sorted(found)


def _sheet(
    tile: Callable[[int], tuple[np.ndarray, str]],
    count: int,
    columns: int,
    size: tuple[int, int],
    letters: int,
    gap: int = 0,
) -> tuple[Image.Image, list[str]]:
    """Pictures (height, width, 3) uint8 of one ``size`` (width, height) in rows, each above its caption in
    ``letters`` of so many pixels, and the faults of those that raise MeshError."""
    (width, height), band, font = size, 2 * letters - 4, ImageFont.load_default(letters)
    wide, high = width + gap, height + band
    sheet = Image.new("RGB", (wide * min(count, columns) - gap, high * -(-count // columns)), BACKGROUND)
    draw, faults = ImageDraw.Draw(sheet), []
    for index in range(count):
        left, top = wide * (index % columns), high * (index // columns)
        try:
            picture, caption = tile(index)
        except MeshError as error:
            faults.append(str(error))
            draw.text((left + 4, top + height // 2), "broken", fill=(205, 35, 60), font=font)
            continue
        sheet.paste(Image.fromarray(picture), (left, top))
        draw.text((left + 4, top + height + letters - 10), caption, fill=(150, 156, 168), font=font)
    return sheet, faults


def _floor(building: Building) -> float:
    """The height of the lowest large floor, metres."""
    mesh = building.mesh
    up = mesh.face_normals[:, 1] > 0.9
    heights = mesh.vertices[mesh.faces[up]][..., 1].mean(axis=1)
    order = np.argsort(heights)
    share = np.cumsum(mesh.areas[up][order]) / max(mesh.areas[up].sum(), 1e-9)
    return float(heights[order][np.searchsorted(share, 0.05)]) if up.any() else 0.0


def _map(building: Building) -> np.ndarray:
    """(ROOM_TILE, ROOM_TILE, 3) uint8: from high above, the ceiling cut away."""
    low, high = building.mesh.vertices.min(axis=0), building.mesh.vertices.max(axis=0)
    middle, extent = (low + high) / 2, max(high[0] - low[0], high[2] - low[2]) * 1.05
    pose = np.eye(4)
    pose[:3, :3] = [[1, 0, 0], [0, 0, -1], [0, 1, 0]]
    pose[:3, 3] = middle[0], high[1] + 3 * extent, middle[2]
    intrinsics = pinhole(2 * np.degrees(np.arctan(1 / 6)), (ROOM_TILE, ROOM_TILE))
    renderer = BuiltinRenderer(building.lit)
    view = renderer.render(cut_away(building, _floor(building)), pose, intrinsics, (ROOM_TILE, ROOM_TILE))
    view.rgb[view.depth == 0] = BACKGROUND
    return view.rgb


def _inside(building: Building) -> list[np.ndarray]:
    """Two pictures (ROOM_TILE, ROOM_TILE, 3) uint8, 1.5 m above the floor, where much can be seen."""
    rng, mesh, renderer = np.random.default_rng(0), building.mesh, BuiltinRenderer(building.lit)
    corners, floor = mesh.vertices[mesh.faces].mean(axis=1), _floor(building)
    level = (mesh.face_normals[:, 1] > 0.9) & (np.abs(corners[:, 1] - floor) < 0.1)
    chance = np.where(level, mesh.areas, 0.0)
    intrinsics, found = pinhole(85, (32, 32)), []
    for face in rng.choice(len(chance), 120, p=chance / chance.sum()):
        pose = _standing(corners[face] + [0, 1.5, 0], rng.uniform(0, 2 * np.pi))
        view = renderer.render(mesh, pose, intrinsics, (32, 32))
        near, middle = np.percentile(view.depth, [3, 50])
        pictured = len(np.unique(np.zeros(1) if view.segment is None else view.segment))
        found.append(((near > 0.8) + 0.3 * min(middle, 3.0) + 0.05 * pictured, pose))
    found.sort(key=lambda one: -one[0])
    best = found[0][1]
    second = next((p for _, p in found if np.linalg.norm(p[:3, 3] - best[:3, 3]) > 3.5), found[1][1])
    intrinsics, size = pinhole(85, (ROOM_TILE, ROOM_TILE)), (ROOM_TILE, ROOM_TILE)
    return [renderer.render(mesh, pose, intrinsics, size).rgb for pose in (best, second)]


def _standing(eye: np.ndarray, yaw: float) -> np.ndarray:
    """(4, 4) cam_to_world of a camera that looks along yaw (0 is -Z, left positive), 6 degrees down."""
    cos, sin, tilt = np.cos(yaw), np.sin(yaw), np.radians(6)
    forward = np.array([-sin * np.cos(tilt), -np.sin(tilt), -cos * np.cos(tilt)])
    right = np.array([cos, 0, -sin])
    pose = np.eye(4)
    pose[:3] = np.stack([right, np.cross(forward, right), forward, eye], axis=1)
    return pose


def report_depth(options: argparse.Namespace) -> None:
    """Print what a set of depth frames holds; write its sheet, and a point cloud beside it."""
    frames = open_depth(
        options.scenes,
        options.split,
        image_size=DEPTH_SIZE,
        intrinsics=options.intrinsics,
        depth_scale=options.depth_scale,
        invalid=options.invalid,
        noise=options.noise,
    )
    count = max(options.count if options.count is not None else 6, 1)
    read, faults = depth_report.read_frames(frames, count)
    splits = "no splits: train = test" if frames.leaky else f"split {options.split}"
    out = options.out or Path("depth.png")
    print(f"{frames.label}: {splits}")
    for fault in faults:
        print(f"broken: {fault}")
    if not read:
        raise ValueError(f"none of {len(frames)} frames can be read")
    print("\n".join(depth_report.statistics(frames, read)))
    depth_report.sheet(read).save(out)
    points, colours = depth_report.cloud(read)
    depth_report.write_cloud(out.with_suffix(".ply"), points, colours)
    print(f"the first are in {out}, {len(points):,} points in {out.with_suffix('.ply')}")


def _path(given: str) -> Path:
    return user_path("path", given)


def main(arguments: list[str] | None = None) -> None:
    """Print the counts and write the sheet."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("scenes", help="procedural, a mesh or depth file, a folder, or a YAML set")
    parser.add_argument("--buildings", action="store_true", help="buildings to walk in, not objects")
    parser.add_argument("--depth", action="store_true", help="depth frames to explain; data sets tell it")
    parser.add_argument("--intrinsics", type=float, nargs=4, help="fx fy cx cy, pixels, of plain depth files")
    parser.add_argument("--depth-scale", type=float, help="units of depth files that are a metre")
    parser.add_argument(
        "--invalid", type=float, help="depth files' value for no measurement, beside 0 and 65535"
    )
    parser.add_argument("--noise", type=float, default=0.0, help="of procedural depth, 0 to 1")
    parser.add_argument("--split", default="train", choices=SPLITS)
    parser.add_argument("--up", default="auto", choices=("auto", "y", "z"))
    parser.add_argument("--scale", type=float, help="metres in the unit of buildings' files")
    parser.add_argument("--count", type=int, help="on the sheet (default 32 objects, 8 buildings, 6 frames)")
    parser.add_argument("--out", type=_path, help="default objects.png, buildings.png or depth.png")
    options = parser.parse_args(arguments)
    word = "buildings" if options.buildings else "objects"
    count = max(options.count if options.count is not None else 8 if options.buildings else 32, 1)
    out = options.out or Path(f"{word}.png")
    found: BuildingSet | ObjectSet
    try:
        if options.depth or options.intrinsics or (not options.buildings and is_depth(options.scenes)):
            report_depth(options)
            return
        if options.buildings:
            found = buildings = open_buildings(
                options.scenes, options.split, options.up, options.scale or "auto"
            )
            sheet, faults = building_sheet(buildings, count)
        else:
            found = objects = open_objects(options.scenes, options.split, options.up)
            sheet, faults = contact_sheet(objects, count)
    except ValueError as error:
        sys.exit(f"scenes.inspect: {error}")
    sheet.save(out)
    splits = "no splits: train = test" if found.leaky else f"split {options.split}"
    print(f"{found.label}: {len(found)} {word}, {splits}; the first are in {out}")
    for fault in faults:
        print(f"broken: {fault}")


if __name__ == "__main__":
    main()
