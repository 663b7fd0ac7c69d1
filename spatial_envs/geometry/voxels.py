"""A probabilistic voxel grid: what views have told about occupied, free and unknown space, and what would be
seen of that from elsewhere."""

from __future__ import annotations

import math

import numpy as np

from spatial_envs.foundation.compilation import njit
from spatial_envs.geometry.camera import slope
from spatial_envs.geometry.view import View

# OctoMap's sensor model (Hornung et al. 2013): log odds of a hit, a miss, and their bounds
HIT, MISS, LEAST, MOST = (math.log(p / (1 - p)) for p in (0.7, 0.4, 0.1192, 0.971))
RESOLUTION = 40  # voxels along the cube's side
GLIMPSES = ("surface", "distance", "certainty", "unknown", "behind")


class VoxelGrid:
    """What views have told about a cube round the origin, as log odds of occupation; 0 is unknown.

    size        side of the cube, metres
    resolution  voxels along it
    log_odds    (n, n, n) float32
    count       how many views it has taken in
    """

    def __init__(self, size: float, resolution: int = RESOLUTION) -> None:
        self.size = size
        self.log_odds = np.zeros((resolution,) * 3, np.float32)
        self.count = 0

    def add(self, view: View) -> None:
        """A view (H, W): the voxels that hold measured points are hit, those that rays pass are missed; one
        that it does both to is hit."""
        origin, rays = camera_rays(view.intrinsics, view.cam_to_world, view.depth.shape)
        reach = np.where(view.depth > 0, view.depth, np.inf).astype(np.float64).ravel()
        _add(origin, rays, reach, self.size, self.log_odds)
        self.count += 1

    def glimpses(self, intrinsics: np.ndarray, cam_to_world: np.ndarray, size: int) -> np.ndarray:
        """(K, 5, size, size) uint8: what cameras (K, 4, 4) with ``intrinsics`` (3, 3) would see of the
        grid. A ray ends with the first voxel that is more likely occupied than not; by ``GLIMPSES``:

        - surface: 255 where it ends with one
        - distance: of that voxel along the ray, from the cube's inscribed sphere, 255 = its diameter or none
        - certainty: its log odds, 255 = the bound
        - unknown: how many unknown voxels lie before it, 255 = the cube's side or more
        - behind: how many of them lie just before it: a surface met from its unseen side
        """
        poses = np.ascontiguousarray(cam_to_world, np.float64)
        out = np.empty((len(poses), len(GLIMPSES), size * size), np.uint8)
        _glimpses(poses, intrinsics, self.size, self.log_odds, out)
        return out.reshape(-1, len(GLIMPSES), size, size)


def camera_rays(
    intrinsics: np.ndarray, cam_to_world: np.ndarray, shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """The camera's centre (3,), and for each pixel its ray (H W, 3), of unit depth along the camera's Z."""
    rows, columns = (np.arange(n) for n in shape)
    x = np.broadcast_to(slope(columns, intrinsics, 0), shape)
    y = np.broadcast_to(slope(rows, intrinsics, 1)[:, None], shape)
    local = np.stack([x, y, np.ones(shape)], axis=-1).reshape(-1, 3)
    pose = cam_to_world.astype(np.float64)
    return pose[:3, 3].copy(), local @ pose[:3, :3].T


@njit
def walk(origin, ray, side, n, reach, voxels):
    """The voxels (<= 3 n, 3) that a ray passes up to the distance ``reach``, in order, and how many."""
    there, cell, steps, edges, across = enter(origin, ray, side, n, reach)
    count = 0
    while there and count < len(voxels):
        voxels[count, 0], voxels[count, 1], voxels[count, 2] = cell
        count += 1
        if min(edges[0], edges[1], edges[2]) > reach:
            break
        there, cell, edges = onward(cell, steps, edges, across, n)
    return count


@njit
def enter(origin, ray, side, n, reach):
    """Where a ray enters the cube (Amanatides and Woo 1987): whether it does up to the distance ``reach``, in
    which cell, and along each axis the step to the next one, how far the ray goes to that one's edge, and how
    far from edge to edge."""
    begin, end = 0.0, np.inf
    for axis in range(3):
        if abs(ray[axis]) < 1e-12:
            if abs(origin[axis]) >= side / 2:
                begin = np.inf
            continue
        a, b = (-side / 2 - origin[axis]) / ray[axis], (side / 2 - origin[axis]) / ray[axis]
        begin, end = max(begin, min(a, b)), min(end, max(a, b))
    there = begin < end and reach >= begin
    at = begin if there else 0.0
    x, step_x, edge_x, across_x = _along(origin[0], ray[0], at, side, n)
    y, step_y, edge_y, across_y = _along(origin[1], ray[1], at, side, n)
    z, step_z, edge_z, across_z = _along(origin[2], ray[2], at, side, n)
    steps, edges = (step_x, step_y, step_z), (edge_x, edge_y, edge_z)
    return there, (x, y, z), steps, edges, (across_x, across_y, across_z)


@njit
def onward(cell, steps, edges, across, n):
    """The next cell that a ray passes: whether it is in the cube, and as of ``enter`` the cell and edges."""
    (x, y, z), (edge_x, edge_y, edge_z) = cell, edges
    if edge_x <= edge_y and edge_x <= edge_z:
        x += steps[0]
        return 0 <= x < n, (x, y, z), (edge_x + across[0], edge_y, edge_z)
    if edge_y <= edge_z:
        y += steps[1]
        return 0 <= y < n, (x, y, z), (edge_x, edge_y + across[1], edge_z)
    z += steps[2]
    return 0 <= z < n, (x, y, z), (edge_x, edge_y, edge_z + across[2])


@njit
def _along(origin, ray, at, side, n):
    """Along one axis: the first cell, the step to the next, how far the ray goes to that, and from cell to
    cell."""
    voxel = side / n
    start = origin + (at + 1e-9) * ray + side / 2
    cell = min(max(math.floor(start / voxel), 0), n - 1)
    if abs(ray) < 1e-12:
        return cell, -1 if ray <= 0 else 1, np.inf, np.inf
    edge = (cell + (ray > 0)) * voxel - side / 2
    return cell, 1 if ray > 0 else -1, (edge - origin) / ray, voxel / abs(ray)


@njit
def _add(origin, rays, reach, side, log_odds):
    """Change the log odds (n, n, n) by what rays (R, 3) met at the distances reach (R,)."""
    n = log_odds.shape[0]
    state = np.zeros(log_odds.shape, np.int8)
    for k in range(len(rays)):
        there, cell, steps, edges, across = enter(origin, rays[k], side, n, reach[k])
        while there:
            if min(edges[0], edges[1], edges[2]) > reach[k]:
                state[cell] = 2
                break
            if state[cell] == 0:
                state[cell] = 1
            there, cell, edges = onward(cell, steps, edges, across, n)
    told, odds = state.ravel(), log_odds.ravel()
    for i in range(len(odds)):
        change = HIT if told[i] == 2 else MISS if told[i] == 1 else 0.0
        odds[i] = min(max(odds[i] + change, LEAST), MOST)


@njit
def _glimpses(poses, intrinsics, side, log_odds, out):
    n, size = log_odds.shape[0], int(math.sqrt(out.shape[2]))
    ray, origin = np.empty(3), np.empty(3)
    for pose in range(len(poses)):
        squared = 0.0
        for axis in range(3):
            origin[axis] = poses[pose, axis, 3]
            squared += origin[axis] ** 2
        nearest = math.sqrt(squared) - side / 2
        for k in range(size * size):
            x, y = slope(k % size, intrinsics, 0), slope(k // size, intrinsics, 1)
            for axis in range(3):
                ray[axis] = x * poses[pose, axis, 0] + y * poses[pose, axis, 1] + poses[pose, axis, 2]
            unknown, run, far, odds = 0, 0, 1.0, 0.0
            there, cell, steps, edges, across = enter(origin, ray, side, n, np.inf)
            while there:
                odds = log_odds[cell]
                if odds > 0:
                    squared = 0.0
                    for axis in range(3):
                        squared += ((cell[axis] + 0.5) * side / n - side / 2 - origin[axis]) ** 2
                    far = (math.sqrt(squared) - nearest) / side
                    break
                run = run + 1 if odds == 0 else 0
                unknown += odds == 0
                there, cell, edges = onward(cell, steps, edges, across, n)
            met = odds > 0
            out[pose, 0, k] = 255 * met
            out[pose, 1, k] = 255 * min(max(far, 0.0), 1.0)
            out[pose, 2, k] = 255 * odds / MOST if met else 0
            out[pose, 3, k] = 255 * min(unknown / n, 1.0)
            out[pose, 4, k] = 255 * min(run / n, 1.0) if met else 0
