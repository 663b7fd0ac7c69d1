"""Noisy poses, corrected by measured depth: views of one surface have to agree.

Point-to-plane alignment (Chen and Medioni 1992, "Object modelling by registration of multiple range images")
with projective association, each view in turn against all the others of its set, from coarse to fine. The
first view's pose stands, since it defines the frame; every other is held to its measured pose as far as the
depths do not say better. Poses that agree with the depths already are left as they are, to the bit.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from spatial_envs.foundation.compilation import njit

STRIDE = 3  # pixels between those that are compared
# of the depth, step by step: what is farther from another's plane is another surface
GATES = (0.06, 0.06, 0.05, 0.04, 0.03, 0.025, 0.02, 0.015, 0.015, 0.015)
CLOSE = 0.004  # of the depth: planes so near to each other agree
AGREED = 0.55  # share of pixels that agree, where poses are right as they are
LEAST = 20  # pixels that must be comparable
FACING = 0.5  # cosine between the normals of what is one surface
TURN, SHIFT = np.radians(1.5), 0.015  # of a measured pose, standard deviations: radians, share of the depth
NOISE = 0.05  # of a distance, share of the depth: neighbours share their faults, which is why it is so much


def aligned(
    depth: np.ndarray, intrinsics: np.ndarray, cam_to_world: np.ndarray, first: np.ndarray, count: np.ndarray
) -> np.ndarray:
    """(M, 4, 4) corrected poses of M views, each set's one after another: depth (M, H, W), smoothed,
    metres, 0 for none; first, count (M,): where the set of each begins, and how many views it has."""
    poses = cam_to_world.astype(np.float64)
    lens = np.stack([intrinsics[:, 0, 0], intrinsics[:, 1, 1], intrinsics[:, 0, 2], intrinsics[:, 1, 2]], 1)
    lens = lens.astype(np.float64)
    normals = np.zeros((*depth.shape, 3), np.float32)
    _normals(depth, lens, normals)
    for start in np.unique(first):
        stop = start + count[start]
        if stop - start > 1:
            _align(depth[start:stop], normals[start:stop], lens[start:stop], poses[start:stop])
    return poses.astype(cam_to_world.dtype)


@njit(error_model="numpy")
def _normals(depth, lens, normals):
    """Towards the camera, in its axes; zeros where a neighbour is missing or on another surface."""
    views, height, width = depth.shape
    a, b = np.empty(3), np.empty(3)
    for m in range(views):
        fx, fy, cx, cy = lens[m]
        for row in range(2, height - 2):
            for column in range(2, width - 2):
                z = depth[m, row, column]
                left, right = depth[m, row, column - 2], depth[m, row, column + 2]
                up, down = depth[m, row - 2, column], depth[m, row + 2, column]
                least = min(min(left, right), min(up, down))
                most = max(max(left, right), max(up, down))
                if z <= 0.0 or least <= 0.0 or most - least > 0.15 * z:
                    continue
                x, y = (column + 0.5 - cx) / fx, (row + 0.5 - cy) / fy
                a[0] = (x + 2 / fx) * right - (x - 2 / fx) * left
                a[1], a[2] = y * (right - left), right - left
                b[0] = x * (down - up)
                b[1], b[2] = (y + 2 / fy) * down - (y - 2 / fy) * up, down - up
                n0, n1, n2 = b[1] * a[2] - b[2] * a[1], b[2] * a[0] - b[0] * a[2], b[0] * a[1] - b[1] * a[0]
                length = np.sqrt(n0 * n0 + n1 * n1 + n2 * n2)
                if length > 0.0:
                    normals[m, row, column, 0] = n0 / length
                    normals[m, row, column, 1] = n1 / length
                    normals[m, row, column, 2] = n2 / length


def _align(depth, normals, lens, poses):
    """Correct the poses (n, 4, 4) of one set in place."""
    views = len(depth)
    turned = np.zeros((views, 6))  # what was corrected so far
    right = np.zeros(views, np.bool_)
    for step, gate in enumerate(GATES):
        for m in range(1, views):
            if right[m]:
                continue
            matrix, vector = np.zeros((6, 6)), np.zeros(6)
            pairs, near, reach = _compare(depth, normals, lens, poses, m, gate, matrix, vector)
            if step == 0:
                right[m] = near > AGREED
            if pairs < LEAST or right[m]:
                continue
            precision = (NOISE * reach / np.repeat([TURN, SHIFT * reach], 3)) ** 2
            matrix[np.diag_indices(6)] += precision
            move = -np.linalg.solve(matrix, vector + precision * turned[m])
            turned[m] += move
            moved(poses[m], move)


def moved(pose: np.ndarray, move: np.ndarray) -> None:
    """Turn a camera, pose (4, 4), about its centre by the rotation vector move[:3], radians, and shift it by
    move[3:], metres, in the world's axes, in place."""
    pose[:3, :3] = Rotation.from_rotvec(move[:3]).as_matrix() @ pose[:3, :3]
    pose[:3, 3] += move[3:]


@njit(error_model="numpy")
def _compare(depth, normals, lens, poses, m, gate, matrix, vector):
    """Add to the normal equations of view m: how many points were compared, the share of them that is near
    to the planes of the others, and their mean depth."""
    height, width = depth.shape[1:]
    pairs, near, reach = 0, 0, 0.0
    j = np.empty(6)
    point, normal = np.empty(3), np.empty(3)
    fx, fy, cx, cy = lens[m]
    for row in range(2, height - 2, STRIDE):
        for column in range(2, width - 2, STRIDE):
            z = depth[m, row, column]
            own = normals[m, row, column]
            if own[0] == 0.0 and own[1] == 0.0 and own[2] == 0.0:
                continue
            x, y = (column + 0.5 - cx) / fx * z, (row + 0.5 - cy) / fy * z
            for axis in range(3):
                r = poses[m, axis]
                point[axis] = r[0] * x + r[1] * y + r[2] * z + r[3]
                normal[axis] = r[0] * own[0] + r[1] * own[1] + r[2] * own[2]
            for o in range(len(depth)):
                if o == m:
                    continue
                pose = poses[o]
                d0, d1, d2 = point[0] - pose[0, 3], point[1] - pose[1, 3], point[2] - pose[2, 3]
                ox = pose[0, 0] * d0 + pose[1, 0] * d1 + pose[2, 0] * d2
                oy = pose[0, 1] * d0 + pose[1, 1] * d1 + pose[2, 1] * d2
                oz = pose[0, 2] * d0 + pose[1, 2] * d1 + pose[2, 2] * d2
                if oz <= 0.0:
                    continue
                u = lens[o, 0] * ox / oz + lens[o, 2]
                v = lens[o, 1] * oy / oz + lens[o, 3]
                if u < 0.0 or v < 0.0 or u >= width or v >= height:
                    continue
                q = depth[o, int(v), int(u)]
                n = normals[o, int(v), int(u)]
                if q <= 0.0 or (n[0] == 0.0 and n[1] == 0.0 and n[2] == 0.0):
                    continue
                qx = (np.floor(u) + 0.5 - lens[o, 2]) / lens[o, 0] * q
                qy = (np.floor(v) + 0.5 - lens[o, 3]) / lens[o, 1] * q
                off = n[0] * (ox - qx) + n[1] * (oy - qy) + n[2] * (oz - q)
                if abs(off) > gate * q or abs(oz - q) > 3 * gate * q:
                    continue
                w0 = pose[0, 0] * n[0] + pose[0, 1] * n[1] + pose[0, 2] * n[2]
                w1 = pose[1, 0] * n[0] + pose[1, 1] * n[1] + pose[1, 2] * n[2]
                w2 = pose[2, 0] * n[0] + pose[2, 1] * n[1] + pose[2, 2] * n[2]
                if w0 * normal[0] + w1 * normal[1] + w2 * normal[2] < FACING:
                    continue
                a0, a1, a2 = point[0] - poses[m, 0, 3], point[1] - poses[m, 1, 3], point[2] - poses[m, 2, 3]
                j[0], j[1], j[2] = a1 * w2 - a2 * w1, a2 * w0 - a0 * w2, a0 * w1 - a1 * w0
                j[3], j[4], j[5] = w0, w1, w2
                weight = (1.0 - (off / (gate * q)) ** 2) ** 2
                for a in range(6):
                    vector[a] += weight * j[a] * off
                    for b in range(6):
                        matrix[a, b] += weight * j[a] * j[b]
                pairs += 1
                near += abs(off) < CLOSE * q
                reach += z
    return pairs, near / max(pairs, 1), reach / max(pairs, 1)
