"""The true surface that a reconstruction is compared with: what can be seen of it, evenly sampled."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spatial_envs.foundation.caches import keep, use
from spatial_envs.geometry.kdtree import KDTree
from spatial_envs.geometry.mesh import Mesh
from spatial_envs.geometry.sampling import surface_samples
from spatial_envs.reconstruction.chamfer import VOXEL_SHARE, ChamferTracker, Cloud

logger = logging.getLogger(__name__)

VERSION = 2  # of the recipe below; what is cached on disk under another is not used
POINTS, DENSE_POINTS = 10_000, 100_000


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
        near = KDTree(points)  # neighbours one after another, as the search likes them
        there = np.empty(len(points), np.bool_)
        there[near.order] = self.dense.squared_distances(near.points) <= (VOXEL_SHARE * self.diameter) ** 2
        cloud = self.empty_cloud()
        cloud.add(points[there])
        return cloud.metrics()["chamfer"]

    def empty_cloud(self) -> Cloud:
        """A reconstruction without points, to be compared with this surface."""
        return Cloud(ChamferTracker(self.points, self.dense, self.diameter, self.covered), self.voxel)


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
            use(path)
            return there["points"], there["dense"], float(there["attainable"])
    except OSError:
        pass  # not there, or not for us to read, and then the writing below puts ours in its place or warns
    except Exception as error:  # numpy and zipfile raise a dozen kinds, by what is damaged
        logger.warning("%s is damaged and is built again: %s", path, error)
    points, dense, attainable = build()
    keep(path, lambda unfinished: np.savez(unfinished, points=points, dense=dense, attainable=attainable))
    return points, dense, attainable
