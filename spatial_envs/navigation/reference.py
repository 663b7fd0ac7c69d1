"""What can be seen of a building by an agent that walks in it: the surface that its map is compared with."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from spatial_envs.foundation.errors import MeshError
from spatial_envs.geometry.building import Building
from spatial_envs.geometry.kdtree import KDTree
from spatial_envs.geometry.sampling import blue_noise
from spatial_envs.reconstruction.reference import POINTS, VERSION, Reference, kept
from spatial_envs.reconstruction.visibility import visible_samples
from spatial_envs.simulators.simulator import AgentState, Simulator

SPACING, STANDS = 0.75, 400  # metres between the places to look from, and how many at most
COVERED = 0.05  # metres: a reference point this near to the map counts as covered
VOXEL = 0.05  # metres: the map keeps one point per voxel


def building_reference(
    building: Building,
    simulator: Simulator,
    intrinsics: np.ndarray,
    image_size: tuple[int, int],
    tilts: Sequence[float],
    cache_dir: Path | None = None,
) -> Reference:
    """The surface that an agent with these intrinsics sees from places 0.75 m apart on the largest island,
    looking all round at each of the ``tilts`` (radians); 10,000 points and 100,000. Deterministic.

    What is ``building.unseen`` is in the 100,000, so that a map that has it is not wrong, and not in the
    10,000: to see it covers nothing. Coverage counts at 5 cm, and a map keeps one point for each voxel of
    5 cm. cache_dir: as in ``build_reference``. Raises MeshError where nothing is seen.
    """
    rng = np.random.default_rng(0)
    turns = max(math.ceil(math.pi / math.atan(image_size[1] / (2 * intrinsics[0, 0])) - 1e-6), 1)
    poses = np.stack(
        [
            simulator.camera_pose(AgentState(place, 2 * math.pi * k / turns, tilt))
            for place in stands(simulator, rng)
            for tilt in tilts
            for k in range(turns)
        ]
    )
    recipe = repr(
        (
            VERSION,
            *building.unseen,
            intrinsics.tolist(),
            image_size,
            hashlib.sha256(poses.tobytes()).hexdigest(),
        )
    )

    def build() -> tuple[np.ndarray, np.ndarray, float]:
        dense, faces = visible_samples(building.mesh, poses, intrinsics, image_size, rng)
        scored = dense[~np.isin(building.mesh.face_segments[faces], building.unseen)]
        if len(scored) < POINTS:
            raise MeshError("mesh: next to nothing of what can be seen was ever seen: it is all completed")
        return KDTree(blue_noise(scored, POINTS)).points, dense, 1.0  # a tree's order is a spatial one

    try:
        points, dense, attainable = kept(building.mesh, recipe, cache_dir, build)
    except MeshError as error:
        raise MeshError(f"{building.name}: {error}") from None
    corners = building.mesh.vertices.astype(np.float64)
    diameter = float(np.linalg.norm(corners.max(axis=0) - corners.min(axis=0)))
    return Reference(points, KDTree(dense), diameter, attainable, COVERED, VOXEL)


def stands(simulator: Simulator, rng: np.random.Generator) -> np.ndarray:
    """(K, 3): navigable places of the largest island, no two nearer than 0.75 m, 400 at most."""
    tries = int(min(40 * simulator.islands[0] / SPACING**2, 20 * STANDS)) + 20
    found = np.empty((STANDS, 3))
    count = 0
    for _ in range(tries):
        place = simulator.sample(rng)
        if (((found[:count] - place) ** 2).sum(axis=1) >= SPACING**2).all():
            found[count] = place
            count += 1
            if count == STANDS:
                break
    return found[:count]
