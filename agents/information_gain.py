"""Next views by volumetric information: the family of Isler et al. 2016, "An Information Gain Formulation for
Active Volumetric 3D Reconstruction", on a probabilistic voxel grid."""

from __future__ import annotations

import math

import numba
import numpy as np

from spatial_envs.camera import intrinsics
from spatial_envs.view import View

METRICS = (
    "occlusion_aware",
    "unobserved_voxel",
    "rear_side_voxel",
    "rear_side_entropy",
    "proximity_count",
    "average_entropy",
)
# OctoMap's sensor model (Hornung et al. 2013): log odds of a hit, a miss, and their bounds
HIT, MISS, LEAST, MOST = (math.log(p / (1 - p)) for p in (0.7, 0.4, 0.1192, 0.971))
RAYS = 28  # along each side of a candidate's image
NEAR = 4  # voxels: how far from a surface the proximity count reaches


class VoxelGrid:
    """What views have told about a cube round the origin, as log odds of occupation; 0 is unknown.

    size        side of the cube, metres
    resolution  voxels along it
    log_odds    (n, n, n) float32
    """

    def __init__(self, size: float, resolution: int = 40) -> None:
        self.size = size
        self.log_odds = np.zeros((resolution,) * 3, np.float32)

    def add(self, views: View) -> None:
        """Views (N, H, W): the voxels that hold measured points are hit, those that rays pass are missed;
        a view that does both to a voxel hits it."""
        for k in range(len(views.depth)):
            view = views[k]
            origin, rays = _rays(view.intrinsics, view.cam_to_world, view.depth.shape)
            reach = np.where(view.depth > 0, view.depth, np.inf).astype(np.float64).ravel()
            state = np.zeros(self.log_odds.shape, np.int8)
            _scan(origin, rays, reach, self.size, state)
            change = np.select([state == 2, state == 1], [HIT, MISS], 0.0)
            self.log_odds = np.clip(self.log_odds + change, LEAST, MOST).astype(np.float32)

    def gain(
        self,
        metric: str,
        lens: np.ndarray,
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
        origin, rays = _rays(lens, cam_to_world, (size, size))
        return float(_gain(origin, rays, self.size, self.log_odds, METRICS.index(metric), as_published))


def _rays(
    lens: np.ndarray, cam_to_world: np.ndarray, shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """The camera's centre (3,), and for each pixel its ray (H W, 3), of unit depth along the camera's Z."""
    rows, columns = (np.arange(n) + 0.5 for n in shape)
    x = np.broadcast_to((columns - lens[0, 2]) / lens[0, 0], shape)
    y = np.broadcast_to(((rows - lens[1, 2]) / lens[1, 1])[:, None], shape)
    local = np.stack([x, y, np.ones(shape)], axis=-1).reshape(-1, 3)
    pose = cam_to_world.astype(np.float64)
    return pose[:3, 3].copy(), local @ pose[:3, :3].T


def candidate_lens(fov: float) -> np.ndarray:
    """(3, 3): of a candidate's coarse image."""
    return intrinsics(fov, (RAYS, RAYS))


@numba.njit(cache=True)
def _walk(origin, ray, side, n, reach, voxels):
    """The voxels (<= 3 n, 3) that a ray passes up to the distance ``reach``, in order, and how many
    (Amanatides and Woo 1987); whether the last one holds the point at that distance."""
    enter, leave = 0.0, np.inf
    for axis in range(3):
        if abs(ray[axis]) < 1e-12:
            if abs(origin[axis]) >= side / 2:
                return 0, False
            continue
        a, b = (-side / 2 - origin[axis]) / ray[axis], (side / 2 - origin[axis]) / ray[axis]
        enter, leave = max(enter, min(a, b)), min(leave, max(a, b))
    if enter >= leave or reach < enter:
        return 0, False
    voxel = side / n
    cell, step, following, across = np.empty(3, np.int64), np.empty(3, np.int64), np.empty(3), np.empty(3)
    for axis in range(3):
        start = origin[axis] + (enter + 1e-9) * ray[axis] + side / 2
        cell[axis] = min(max(math.floor(start / voxel), 0), n - 1)
        step[axis] = 1 if ray[axis] > 0 else -1
        across[axis], following[axis] = np.inf, np.inf
        if abs(ray[axis]) >= 1e-12:
            across[axis] = voxel / abs(ray[axis])
            edge = (cell[axis] + (ray[axis] > 0)) * voxel - side / 2
            following[axis] = (edge - origin[axis]) / ray[axis]
    count = 0
    while True:
        voxels[count] = cell
        count += 1
        axis = int(np.argmin(following))
        if following[axis] > reach:
            return count, True
        cell[axis] += step[axis]
        if cell[axis] < 0 or cell[axis] >= n or count == len(voxels):
            return count, False
        following[axis] += across[axis]


@numba.njit(cache=True)
def _scan(origin, rays, reach, side, state):
    n = state.shape[0]
    voxels = np.empty((3 * n + 3, 3), np.int64)
    for k in range(len(rays)):
        count, held = _walk(origin, rays[k], side, n, reach[k], voxels)
        for i in range(count):
            x, y, z = voxels[i]
            if held and i == count - 1:
                state[x, y, z] = 2
            elif state[x, y, z] == 0:
                state[x, y, z] = 1


@numba.njit(cache=True)
def _gain(origin, rays, side, log_odds, metric, as_published):
    n = log_odds.shape[0]
    voxels = np.empty((3 * n + 3, 3), np.int64)
    total, passed = 0.0, 0
    for k in range(len(rays)):
        count, _ = _walk(origin, rays[k], side, n, np.inf, voxels)
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
