"""The true surface of an object that next-best-view's reconstruction is compared with."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from spatial_envs.geometry.camera import Region, pinhole, unproject
from spatial_envs.geometry.kdtree import KDTree
from spatial_envs.geometry.mesh import Mesh
from spatial_envs.geometry.sampling import blue_noise, surface_samples
from spatial_envs.reconstruction.chamfer import Cloud
from spatial_envs.reconstruction.coverage import Coverage
from spatial_envs.reconstruction.reference import DENSE_POINTS, POINTS, VERSION, Reference, kept
from spatial_envs.reconstruction.visibility import visible_samples
from spatial_envs.rendering.builtin import rasterise

CAMERAS = 256  # whose views together define what is visible
ATTAINABLE_VIEWS = 64


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
        return points, dense, _attainable(mesh, points, region, fov, image_size)

    points, dense, attainable = kept(mesh, recipe, cache_dir, build)
    return Reference(points, KDTree(dense), 1.0, attainable)


def _attainable(
    mesh: Mesh, points: np.ndarray, region: Region, fov: float, image_size: tuple[int, int]
) -> float:
    """The coverage of the points (N, 3) that 64 Fibonacci views reach together, their cloud thinned as an
    episode's is."""
    coverage = Coverage(points, 1.0)
    cloud = Cloud(coverage)  # type: ignore[arg-type]
    intrinsics = pinhole(fov, image_size)
    for pose in region.fibonacci_poses(ATTAINABLE_VIEWS):
        inverse_depth, faces = rasterise(mesh, pose, intrinsics, image_size)
        depth = np.where(faces >= 0, 1 / np.maximum(inverse_depth, 1e-12), 0)
        cloud.add(unproject(depth, intrinsics, pose)[faces >= 0])
        if coverage.share == 1.0:
            break
    return coverage.share


def _samples(
    mesh: Mesh, region: Region, fov: float, image_size: tuple[int, int], kind: str
) -> tuple[np.ndarray, np.ndarray]:
    """(10_000, 3) in spatial order and (100_000, 3), float32, of what is visible or of all of it."""
    rng = np.random.default_rng(0)
    if kind == "visible":
        size = (2 * image_size[0], 2 * image_size[1])
        dense, _ = visible_samples(mesh, region.fibonacci_poses(CAMERAS), pinhole(fov, size), size, rng)
    else:
        dense = surface_samples(mesh, DENSE_POINTS, rng)[0]
    return KDTree(blue_noise(dense, POINTS)).points, dense  # a tree's order is a spatial one
