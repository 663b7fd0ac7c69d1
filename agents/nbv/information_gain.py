"""Next views by volumetric information: the family of Isler et al. 2016, "An Information Gain Formulation for
Active Volumetric 3D Reconstruction", on a probabilistic voxel grid."""

from __future__ import annotations

import math

import numpy as np

from spatial_envs.foundation.compilation import njit
from spatial_envs.geometry.camera import pinhole
from spatial_envs.geometry.voxels import VoxelGrid, camera_rays, walk

METRICS = (
    "occlusion_aware",
    "unobserved_voxel",
    "rear_side_voxel",
    "rear_side_entropy",
    "proximity_count",
    "average_entropy",
)
RAYS = 28  # along each side of a candidate's image
NEAR = 4  # voxels: how far from a surface the proximity count reaches


def information(
    grid: VoxelGrid,
    metric: str,
    intrinsics: np.ndarray,
    cam_to_world: np.ndarray,
    size: int = RAYS,
    as_published: bool = False,
) -> float:
    """What a camera would tell, by one of ``METRICS``: a sum over size x size rays, in nats for those of
    entropy, in voxels for those that count; the mean over voxels for "average_entropy".

    A ray ends with the first voxel that is more likely occupied than not. With p the probability of
    occupation, v a voxel on the ray and H its entropy, a voxel is visible with the probability P(v), the
    product of 1 - p over the voxels in front of it, and worth: "occlusion_aware" P H; "unobserved_voxel"
    P H, if unknown; "rear_side_voxel" 1, if unknown and just before a surface, met from behind;
    "rear_side_entropy" P H over the unknown run that ends there; "proximity_count" the nearer to such a
    surface the more, from 1 to ``NEAR``; "average_entropy" H (Kriegel et al. 2015).
    ``as_published`` multiplies by p in place of 1 - p, as the authors' and other public code does.
    """
    origin, rays = camera_rays(intrinsics, cam_to_world, (size, size))
    return float(_gain(origin, rays, grid.size, grid.log_odds, METRICS.index(metric), as_published))


def candidate_intrinsics(fov: float) -> np.ndarray:
    """(3, 3): of a candidate's coarse image."""
    return pinhole(fov, (RAYS, RAYS))


@njit
def _gain(origin, rays, side, log_odds, metric, as_published):
    n = log_odds.shape[0]
    voxels = np.empty((3 * n + 3, 3), np.int64)
    total, passed = 0.0, 0
    for k in range(len(rays)):
        count = walk(origin, rays[k], side, n, np.inf, voxels)
        visible, run, run_length = 1.0, 0.0, 0  # run: over the unknown voxels just before this one
        for i in range(count):
            x, y, z = voxels[i]
            odds = log_odds[x, y, z]
            p = 1 / (1 + math.exp(-odds))
            entropy = -p * math.log(p) - (1 - p) * math.log(1 - p)
            unknown, occupied = odds == 0, odds > 0
            passed += 1
            if metric == 0 or (metric == 1 and unknown):
                total += visible * entropy
            elif metric == 5:
                total += entropy
            if occupied:
                if metric == 2 and run_length > 0:
                    total += 1
                elif metric == 3:
                    total += run
                elif metric == 4:
                    for distance in range(1, min(run_length, NEAR) + 1):
                        total += NEAR + 1 - distance
                break
            if unknown:
                run += visible * entropy
                run_length += 1
            else:
                run, run_length = 0.0, 0
            visible *= p if as_published else 1 - p
    return total / max(passed, 1) if metric == 5 else total
