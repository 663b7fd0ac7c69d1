"""The true surface that a reconstruction is compared with: what can be seen of it, evenly sampled."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spatial_envs.caches import warn_once
from spatial_envs.camera import Region, intrinsics, unproject
from spatial_envs.chamfer import VOXEL_SHARE, ChamferTracker, Cloud
from spatial_envs.compilation import njit
from spatial_envs.files import replacing
from spatial_envs.kdtree import KDTree
from spatial_envs.mesh import Mesh, MeshError
from spatial_envs.rendering.builtin import rasterise

logger = logging.getLogger(__name__)

VERSION = 2  # of the recipe below; what is cached on disk under another is not used
POINTS, DENSE_POINTS = 10_000, 100_000
CAMERAS = 256  # whose views together define what is visible
ATTAINABLE_VIEWS = 64
SLANT = 0.01  # metres by which depth may change from a sample to its pixel's centre for the view to count
TOLERANCE = 0.0015  # metres behind the picture's surface at which a sample still counts as seen


@dataclass(frozen=True, eq=False)
class Reference:
    """points (10_000, 3) float32, metres, blue noise, in spatial order; dense: 100,000 points of the same
    surface; diameter of the bounding sphere, metres; attainable: the coverage that can be reached, for an
    object by 64 Fibonacci views at the middle radius; covered and voxel, metres, of what is compared with it,
    where they are no shares of the diameter."""

    points: np.ndarray
    dense: KDTree
    diameter: float
    attainable: float
    covered: float | None = None
    voxel: float | None = None

    def floor(self, mesh: Mesh) -> float:
        """The Chamfer distance, metres, that perfect and complete points of this surface score: new samples
        of the mesh, those where the reference is."""
        points, _ = surface_samples(mesh, DENSE_POINTS, np.random.default_rng(1))
        there = self.dense.squared_distances(points) <= (VOXEL_SHARE * self.diameter) ** 2
        cloud = self.empty_cloud()
        cloud.add(points[there])
        return cloud.metrics()["chamfer"]

    def empty_cloud(self) -> Cloud:
        """A reconstruction without points, to be compared with this surface."""
        return Cloud(ChamferTracker(self.points, self.dense, self.diameter, self.covered), self.voxel)


def build_reference(
    mesh: Mesh,
    region: Region,
    fov: float,
    image_size: tuple[int, int],
    kind: str = "visible",
    cache_dir: Path | None = None,
) -> Reference:
    """Sample the surface of a normalised mesh (bounding sphere of 1 m about the origin). Deterministic.

    kind "visible": what 256 cameras of the region see at twice the image size; "surface": all of it.
    cache_dir: a folder that keeps what was built, by content; a damaged file there is built again.
    Raises MeshError where no camera sees anything.
    """
    recipe = repr((VERSION, region, fov, image_size, kind))

    def build() -> tuple[np.ndarray, np.ndarray, float]:
        points, dense = _samples(mesh, region, fov, image_size, kind)
        cloud = Cloud(ChamferTracker(points, KDTree(dense), 1.0))
        lens = intrinsics(fov, image_size)
        for pose in region.fibonacci_poses(ATTAINABLE_VIEWS):
            inverse_depth, faces = rasterise(mesh, pose, lens, image_size)
            depth = np.where(faces >= 0, 1 / np.maximum(inverse_depth, 1e-12), 0)
            cloud.add(unproject(depth, lens, pose)[faces >= 0])
        return points, dense, cloud.metrics()["coverage"]

    points, dense, attainable = kept(mesh, recipe, cache_dir, build)
    return Reference(points, KDTree(dense), 1.0, attainable)


def kept(
    mesh: Mesh,
    recipe: str,
    cache_dir: Path | None,
    build: Callable[[], tuple[np.ndarray, np.ndarray, float]],
) -> tuple[np.ndarray, np.ndarray, float]:
    """What ``build`` gives (points, dense points, attainable), from the folder ``cache_dir`` where an earlier
    call with this mesh and recipe has left it. Where the folder cannot be used, one warning says so."""
    if cache_dir is None:
        return build()
    digest = hashlib.sha256(mesh.vertices.tobytes() + mesh.faces.tobytes() + recipe.encode()).hexdigest()
    path = cache_dir / f"reference-{digest[:32]}.npz"
    try:
        with np.load(path) as there:
            return there["points"], there["dense"], float(there["attainable"])
    except OSError:
        pass  # not there, or not for us to read, and then the writing below puts ours in its place or warns
    except Exception as error:  # numpy and zipfile raise a dozen kinds, by what is damaged
        logger.warning("%s is damaged and is built again: %s", path, error)
    points, dense, attainable = build()
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)
        with replacing(path) as unfinished:
            np.savez(unfinished, points=points, dense=dense, attainable=attainable)
    except OSError as error:
        warn_once(f"cache_dir {cache_dir}", error, "what is built is kept in memory alone")
    return points, dense, attainable


def _samples(
    mesh: Mesh, region: Region, fov: float, image_size: tuple[int, int], kind: str
) -> tuple[np.ndarray, np.ndarray]:
    """(10_000, 3) in spatial order and (100_000, 3), float32, of what is visible or of all of it."""
    rng = np.random.default_rng(0)
    if kind == "visible":
        size = (2 * image_size[0], 2 * image_size[1])
        dense = visible_samples(mesh, region.fibonacci_poses(CAMERAS), intrinsics(fov, size), size, rng)
    else:
        dense = surface_samples(mesh, DENSE_POINTS, rng)[0]
    return KDTree(blue_noise(dense, POINTS)).points, dense  # a tree's order is a spatial one


def surface_samples(mesh: Mesh, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """``count`` points (count, 3) float32, uniform over the area, stratified, in random order, and
    the faces (count,) that they lie on."""
    cumulative = np.cumsum(mesh.areas)
    strata = (np.arange(count) + rng.random(count)) / count * cumulative[-1]
    faces = np.minimum(np.searchsorted(cumulative, strata), len(cumulative) - 1)
    faces = faces[rng.permutation(count)]
    a, b = rng.random((2, count, 1))
    root = np.sqrt(a)  # Turk 1990
    corners = mesh.vertices[mesh.faces[faces]].astype(np.float64)
    points = (1 - root) * corners[:, 0] + root * (1 - b) * corners[:, 1] + root * b * corners[:, 2]
    return points.astype(np.float32), faces


def visible_samples(
    mesh: Mesh,
    poses: np.ndarray,
    lens: np.ndarray,
    image_size: tuple[int, int],
    rng: np.random.Generator,
) -> np.ndarray:
    """(100_000, 3) float32: uniform over the surface that at least one of the cameras (K, 4, 4) sees.
    MeshError where none sees anything."""
    pictures = [rasterise(mesh, pose, lens, image_size)[0].astype(np.float32) for pose in poses]
    found: list[np.ndarray] = []
    while sum(len(points) for points in found) < DENSE_POINTS:
        points, faces = surface_samples(mesh, DENSE_POINTS + DENSE_POINTS // 5, rng)
        normals = mesh.face_normals[faces]
        seen = np.zeros(len(points), np.bool_)
        for picture, pose in zip(pictures, poses, strict=True):
            _mark_seen(points, normals, picture, lens, pose, seen)
        if seen.mean() < 0.001:
            raise MeshError("mesh: got a surface that no camera of the region sees")
        found.append(points[seen])
    return np.concatenate(found)[:DENSE_POINTS]


@njit
def _mark_seen(points, normals, inverse_depth, lens, pose, seen):
    """Mark the points that this picture shows: where the plane through the point, at the centre of the
    pixel that the point falls into, has the depth that the picture shows, or else the point is before it."""
    height, width = inverse_depth.shape
    for row in range(points.shape[0]):
        if seen[row]:
            continue
        dx = points[row, 0] - pose[0, 3]
        dy = points[row, 1] - pose[1, 3]
        dz = points[row, 2] - pose[2, 3]
        z = pose[0, 2] * dx + pose[1, 2] * dy + pose[2, 2] * dz
        if z <= 0.0:
            continue
        u = lens[0, 0] * (pose[0, 0] * dx + pose[1, 0] * dy + pose[2, 0] * dz) / z + lens[0, 2]
        v = lens[1, 1] * (pose[0, 1] * dx + pose[1, 1] * dy + pose[2, 1] * dz) / z + lens[1, 2]
        if u < 0.0 or v < 0.0 or u >= width or v >= height:
            continue
        shown = inverse_depth[int(v), int(u)]
        if shown == 0.0:
            continue
        x = (int(u) + 0.5 - lens[0, 2]) / lens[0, 0]
        y = (int(v) + 0.5 - lens[1, 2]) / lens[1, 1]
        along, across = 0.0, 0.0
        delta = (dx, dy, dz)
        for axis in range(3):
            along += normals[row, axis] * delta[axis]
            across += normals[row, axis] * (pose[axis, 0] * x + pose[axis, 1] * y + pose[axis, 2])
        if abs(along - z * across) > SLANT * abs(across):
            continue  # seen almost edge-on the plane's depth says nothing; another camera looks from above
        behind = along / across - 1.0 / shown
        seen[row] = behind <= TOLERANCE and (behind >= -TOLERANCE or z <= 1.0 / shown + TOLERANCE)


def blue_noise(points: np.ndarray, count: int) -> np.ndarray:
    """``count`` of the points (N, 3), evenly spread: dart throwing with a decreasing radius (McCool and
    Fiume 1992). The points must be in random order. Raises ValueError where N < count."""
    if len(points) < count:
        raise ValueError(f"points: got {len(points)}; expected at least {count}")
    low = points.min(axis=0)
    extent = float((points.max(axis=0) - low).max())
    radius = extent * np.sqrt(8.0 / count)  # no set of this many on a surface of this extent is sparser
    chosen = np.zeros(len(points), np.bool_)
    return points[_throw_darts(points, low, extent, radius, count, chosen)]


@njit
def _throw_darts(points, low, extent, radius, count, chosen):
    accepted = np.empty(count, np.int64)
    following = np.empty(points.shape[0], np.int32)
    found = 0
    while True:
        # a grid of cells as wide as the radius; each a linked list of the points accepted so far
        side = min(int(extent / radius) + 1, 256)
        cell = max(radius, extent / 255.0)
        heads = np.full((side + 2, side + 2, side + 2), -1, np.int32)
        for k in range(found):
            _link(points, accepted[k], low, cell, heads, following)
        for row in range(points.shape[0]):
            if chosen[row] or not _is_free(points, row, low, cell, radius * radius, heads, following):
                continue
            _link(points, row, low, cell, heads, following)
            chosen[row] = True
            accepted[found] = row
            found += 1
            if found == count:
                return accepted
        radius *= 0.85


@njit(inline="always")
def _link(points, row, low, cell, heads, following):
    i = int((points[row, 0] - low[0]) / cell) + 1
    j = int((points[row, 1] - low[1]) / cell) + 1
    k = int((points[row, 2] - low[2]) / cell) + 1
    following[row] = heads[i, j, k]
    heads[i, j, k] = row


@njit
def _is_free(points, row, low, cell, squared_radius, heads, following):
    i = int((points[row, 0] - low[0]) / cell) + 1
    j = int((points[row, 1] - low[1]) / cell) + 1
    k = int((points[row, 2] - low[2]) / cell) + 1
    for a in range(i - 1, i + 2):
        for b in range(j - 1, j + 2):
            for c in range(k - 1, k + 2):
                other = heads[a, b, c]
                while other >= 0:
                    dx = points[other, 0] - points[row, 0]
                    dy = points[other, 1] - points[row, 1]
                    dz = points[other, 2] - points[row, 2]
                    if dx * dx + dy * dy + dz * dz < squared_radius:
                        return False
                    other = following[other]
    return True
