"""Groups of things on the ground, as one depth picture shows them: the scenes that prototypes are fitted to.

Furniture and simple bodies, 0.3 to 1.5 m large, stand close to one another without touching, some of them on
a table; a camera at about the height of a standing or sitting person sees the group, at times cut off by the
picture's border or by what stands in front, but at least SEEN of the picture of each. Metres, Y up, y = 0 is
the ground.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from math import tau

import numpy as np
import shapely

from spatial_envs.foundation.compilation import njit
from spatial_envs.geometry.camera import facing_origin, fibonacci_directions, pinhole
from spatial_envs.geometry.mesh import Mesh
from spatial_envs.geometry.rotations import rotation
from spatial_envs.geometry.sampling import surface_samples
from spatial_envs.procedural import furniture as f
from spatial_envs.procedural.furniture import Piece, Style
from spatial_envs.procedural.furniture.parts import Shape, ellipse
from spatial_envs.procedural.furniture.surfaces import hsv
from spatial_envs.rendering.builtin import rasterise, rasterise_once

FIELD_OF_VIEW = 50.0  # degrees, across the picture's shorter side
GAP, STEP = 0.02, 0.06  # metres between two things, and by which they are moved apart
SEEN = 0.002  # share of the picture that shows each thing, at least
ROWS = 72  # of the picture in which that is counted: one seed is one scene at every size of one shape
ARRANGEMENTS, CAMERAS = 5, 12  # tried, the latter in each of the former; the best stays where none will do
SURFACE_POINTS = 1000  # for each thing
GROUND = 8.0  # metres from its middle to its border
OUTSIDE = 20  # cameras round a thing; what none of them sees is inside of it
BEHIND = 0.04  # of a thing's radius: how far below the surface a camera still takes a point for seen


def ball(rng: np.random.Generator, style: Style) -> Piece:
    """An ellipsoid that lies on the ground."""
    s, half = Shape(), rng.uniform(0.16, 0.4) * rng.uniform(0.75, 1.0, 3)
    latitude = np.linspace(-np.pi / 2, np.pi / 2, 17)[1:-1]
    rings = [
        ellipse(half[0] * np.cos(a), half[2] * np.cos(a), half[1] * (1 + np.sin(a)), sides=20)
        for a in latitude
    ]
    s.loft(rings, hsv(rng.uniform(), 0.6, 0.85))
    return Piece("ball", tuple(s.parts))


def crate(rng: np.random.Generator, style: Style) -> Piece:
    """A box with rounded edges."""
    s, half = Shape(), rng.uniform(0.15, 0.42, 3)
    s.box((0, half[1], 0), half, style.wood * rng.uniform(0.6, 1.0), None, 0.02, 2)
    return Piece("crate", tuple(s.parts))


def vase(rng: np.random.Generator, style: Style) -> Piece:
    """A tall body of revolution with a waist and a belly, closed."""
    s, high, wide = Shape(), rng.uniform(0.5, 1.1), rng.uniform(0.13, 0.22)
    foot, belly, neck, lip = rng.uniform(0.5, 0.75), 1.0, rng.uniform(0.3, 0.5), rng.uniform(0.5, 0.7)
    knots = np.array([[0, foot], [0.35, belly], [0.75, neck], [1.0, lip]])
    y = np.linspace(0, 1, 17)
    radius = np.interp(y, knots[:, 0], knots[:, 1])
    radius = np.convolve(np.pad(radius, 2, mode="edge"), np.full(5, 0.2), mode="valid") * wide
    s.lathe(np.stack([radius, y * high], axis=1), hsv(rng.uniform(), 0.45, 0.8), None, 20)
    return Piece("vase", tuple(s.parts))


CATEGORIES: dict[str, Callable[[np.random.Generator, Style], Piece]] = {
    "armchair": f.armchair,
    "ball": ball,
    "bench": f.bench,
    "bookshelf": lambda rng, style: f.bookshelf(rng, style, rng.uniform(0.6, 1.0), rng.uniform(0.8, 1.4)),
    "chair": f.chair,
    "chest_of_drawers": f.chest_of_drawers,
    "coffee_table": f.coffee_table,
    "crate": crate,
    "plant": lambda rng, style: f.plant(rng, style, rng.uniform(0.6, 1.4)),
    "stool": f.stool,
    "table": lambda rng, style: f.table(rng, style, rng.uniform(0.8, 1.4), rng.uniform(0.7, 0.9)),
    "toilet": f.toilet,
    "trash_can": f.trash_can,
    "vase": vase,
}
TEST_CATEGORIES = ("chair", "toilet")  # never trained on: split "test_category"
TRAIN_CATEGORIES = tuple(name for name in CATEGORIES if name not in TEST_CATEGORIES)
CARRIES = ("coffee_table", "crate", "table")  # flat on top
CARRIED = ("ball", "crate", "trash_can", "vase")
CARRIED_SHARE = 0.3  # of those that could stand on something


@dataclass(frozen=True, eq=False)
class Thing:
    """An object of a group: its mesh (own frame: on y = 0, centred, its back to -Z; metres), where it is
    (4, 4) float64, a turn about Y, a size and a shift, and its outline on the ground."""

    category: str
    mesh: Mesh
    to_world: np.ndarray
    outline: shapely.Geometry

    @cached_property
    def world_mesh(self) -> Mesh:
        vertices = self.mesh.vertices @ self.to_world[:3, :3].T + self.to_world[:3, 3]
        return replace(self.mesh, vertices=vertices.astype(np.float32))

    @cached_property
    def box(self) -> tuple[np.ndarray, np.ndarray]:
        """The lowest and the highest corner (3,), world frame."""
        vertices = self.world_mesh.vertices
        return vertices.min(axis=0), vertices.max(axis=0)


@dataclass(frozen=True, eq=False)
class Group:
    """things; mesh: all of them with ids from 1 and the ground, id 0; cam_to_world (4, 4) float64;
    surface (1000 K, 3) float32, uniform over the outer surfaces, world frame, and the ids (1000 K,) int32."""

    things: tuple[Thing, ...]
    mesh: Mesh
    cam_to_world: np.ndarray
    intrinsics: np.ndarray
    surface: np.ndarray
    ids: np.ndarray


def group(
    seed: int, count: int | tuple[int, int], image_size: tuple[int, int], unseen: bool = False
) -> Group:
    """The group of this seed.

    count   how many things, or the least and the most of them, drawn uniformly
    unseen  whether every second thing, from the first on, is of TEST_CATEGORIES; without, none is
    """
    rng = np.random.default_rng(seed)
    low, high = (count, count) if isinstance(count, int) else count
    number = int(rng.integers(low, high + 1))
    small = (ROWS, round(ROWS * image_size[1] / image_size[0]))
    intrinsics = pinhole(FIELD_OF_VIEW, small)
    pieces = []
    for k in range(number):
        words = TEST_CATEGORIES if unseen and k % 2 == 0 else TRAIN_CATEGORIES
        category = str(rng.choice(words))
        pieces.append((category, _mesh(CATEGORIES[category](rng, Style.draw(rng)))))
    best = -1.0
    chosen: tuple[tuple[Thing, ...], Mesh, np.ndarray] | None = None
    for attempt in range(ARRANGEMENTS * CAMERAS):
        if attempt % CAMERAS == 0:
            things = _placed(rng, pieces)
            mesh = _joined(things)
        pose = _camera(rng, things)
        _, faces = rasterise(mesh, pose, intrinsics, small)
        shown = np.bincount(mesh.face_segments[faces[faces >= 0]], minlength=number + 1)[1:]
        least = shown.min() / (small[0] * small[1])
        if least > best:
            best, chosen = least, (things, mesh, pose)
        if best >= SEEN:
            break
    assert chosen is not None  # an empty picture is better than none
    things, mesh, pose = chosen
    intrinsics = pinhole(FIELD_OF_VIEW, image_size)
    return Group(things, mesh, pose, intrinsics, *_outer_surface(things, rng))


def _mesh(piece: Piece) -> Mesh:
    """The parts of a piece in one mesh, without textures, 0.3 to 1.5 m large."""
    sizes = [len(part.vertices) for part in piece.parts]
    starts = np.cumsum([0, *sizes[:-1]])
    vertices = np.concatenate([part.vertices for part in piece.parts])
    vertices = vertices - [
        *(piece.low + piece.high)[[0]] / 2,
        piece.low[1],
        *(piece.low + piece.high)[[2]] / 2,
    ]
    largest = np.ptp(vertices, axis=0).max()
    vertices = vertices * (np.clip(largest, 0.3, 1.5) / largest)
    colors = np.concatenate([part.colors for part in piece.parts])
    return Mesh(
        vertices.astype(np.float32),
        np.concatenate([p.faces + s for p, s in zip(piece.parts, starts, strict=True)]).astype(np.int32),
        np.rint(np.clip(colors, 0, 1) * 255).astype(np.uint8),
    )


def _placed(rng: np.random.Generator, pieces: list[tuple[str, Mesh]]) -> tuple[Thing, ...]:
    """Every piece on the ground or on another, turned about Y, where its outline is clear of the others'."""
    things: list[Thing] = []
    free: list[Thing] = []  # that carry nothing yet
    for category, mesh in pieces:
        turn = rotation(y=rng.uniform(0, tau)) * rng.uniform(0.85, 1.0)
        across = (mesh.vertices @ turn.T)[:, [0, 2]]
        outline = shapely.MultiPoint(across).convex_hull
        carried = category in CARRIED and rng.uniform() < CARRIED_SHARE
        for below in free if carried else ():
            at = np.array([below.to_world[0, 3], below.box[1][1] + 1e-3, below.to_world[2, 3]])
            if below.outline.buffer(-GAP).contains(shapely.affinity.translate(outline, at[0], at[2])):
                free.remove(below)
                things.append(Thing(category, mesh, _pose(turn, at), shapely.Point()))
                break
        else:
            azimuth, taken = rng.uniform(0, tau), shapely.GeometryCollection([t.outline for t in things])
            for reach in np.arange(0, 100, STEP):  # as near to the middle as there is room
                x, z = reach * np.sin(azimuth), reach * np.cos(azimuth)
                there = shapely.affinity.translate(outline, x, z)
                if taken.is_empty or taken.distance(there) >= GAP:
                    break
            things.append(Thing(category, mesh, _pose(turn, (x, 0.0, z)), there))
            if category in CARRIES:
                free.append(things[-1])
    return tuple(things)


def _pose(turn: np.ndarray, at) -> np.ndarray:
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = turn, at
    return pose


def _joined(things: tuple[Thing, ...]) -> Mesh:
    """One mesh of all things and the ground."""
    meshes = [thing.world_mesh for thing in things]
    corners = GROUND * np.array([[-1, 0, -1], [-1, 0, 1], [1, 0, 1], [1, 0, -1]], np.float32)
    colors = np.full((4, 3), 150, np.uint8)
    meshes.append(Mesh(corners, np.array([[0, 1, 2], [0, 2, 3]], np.int32), colors))
    starts = np.cumsum([0, *[len(mesh.vertices) for mesh in meshes[:-1]]])
    numbers = [*range(1, len(things) + 1), 0]
    return Mesh(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate([m.faces + s for m, s in zip(meshes, starts, strict=True)]).astype(np.int32),
        np.concatenate([mesh.colors for mesh in meshes]),
        segment=np.repeat(numbers, [len(mesh.faces) for mesh in meshes]).astype(np.int32),
    )


def _camera(rng: np.random.Generator, things: tuple[Thing, ...]) -> np.ndarray:
    """(4, 4): looks at the group from 15 to 50 degrees above, so near that it fills the picture."""
    low = np.min([thing.box[0] for thing in things], axis=0)
    high = np.max([thing.box[1] for thing in things], axis=0)
    middle, radius = (low + high) / 2, float(np.linalg.norm(high - low) / 2)
    distance = max(radius / np.sin(np.radians(FIELD_OF_VIEW / 2)) * rng.uniform(0.5, 0.8), radius + 0.5)
    azimuth, elevation = rng.uniform(0, tau), np.radians(rng.uniform(15, 50))
    across = distance * np.cos(elevation)
    pose = facing_origin(
        np.array([across * np.sin(azimuth), distance * np.sin(elevation), across * np.cos(azimuth)])
    )
    pose[:3, 3] += middle + rng.normal(0, 0.1 * radius, 3) * [1, 0.3, 1]
    return pose


def _outer_surface(things: tuple[Thing, ...], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Uniform samples of what can be seen of each thing from somewhere, were it alone: parts of furniture
    reach into one another, and what is inside of them is no surface. World frame."""
    wanted = SURFACE_POINTS * len(things)
    poses = facing_origin(fibonacci_directions(OUTSIDE) * 3.0)
    intrinsics = pinhole(2 * np.degrees(np.arcsin(1 / 3)), (48, 48))
    joined = _joined(things)
    mine = joined.face_segments > 0
    solid = replace(joined, faces=joined.faces[mine], segment=joined.face_segments[mine])
    frames, pictures = [], []
    for thing in things:
        vertices, (low, high) = thing.world_mesh.vertices, thing.box
        middle = (low + high) / 2
        radius = np.linalg.norm(vertices - middle, axis=1).max()
        frames.append([*middle, radius])
        scaled, faces = ((vertices - middle) / radius).astype(np.float32), thing.mesh.faces
        pictures.append([rasterise_once(scaled, faces, pose, intrinsics, (48, 48))[0] for pose in poses])
    views = np.linalg.inv(poses), np.array(pictures), intrinsics.astype(np.float64), np.array(frames)
    points: list[np.ndarray] = []
    ids: list[np.ndarray] = []
    while sum(map(len, points)) < wanted:
        more, faces = surface_samples(solid, 2 * wanted, rng)
        number = solid.face_segments[faces]
        seen = _outside(more, number - 1, *views)
        points.append(more[seen])
        ids.append(number[seen])
    return np.concatenate(points)[:wanted], np.concatenate(ids)[:wanted].astype(np.int32)


@njit
def _outside(points, things, from_world, pictures, intrinsics, frames):
    """(N,) bool: a camera of its thing sees the point. from_world (V, 4, 4); pictures (K, V, H, W), 1/z;
    frames (K, 4): the middle and radius of every thing."""
    seen = np.zeros(points.shape[0], np.bool_)
    height, width = pictures.shape[2], pictures.shape[3]
    place = np.empty(3)
    for row in range(points.shape[0]):
        thing = things[row]
        for axis in range(3):
            place[axis] = (points[row, axis] - frames[thing, axis]) / frames[thing, 3]
        for view in range(from_world.shape[0]):
            m = from_world[view]
            x = m[0, 0] * place[0] + m[0, 1] * place[1] + m[0, 2] * place[2] + m[0, 3]
            y = m[1, 0] * place[0] + m[1, 1] * place[1] + m[1, 2] * place[2] + m[1, 3]
            z = m[2, 0] * place[0] + m[2, 1] * place[1] + m[2, 2] * place[2] + m[2, 3]
            j, i = (
                int(intrinsics[0, 0] * x / z + intrinsics[0, 2]),
                int(intrinsics[1, 1] * y / z + intrinsics[1, 2]),
            )
            if 0 <= i < height and 0 <= j < width and (z - BEHIND) * pictures[thing, view, i, j] <= 1.0:
                seen[row] = True
                break
    return seen
