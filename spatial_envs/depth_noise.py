"""What a depth sensor adds to perfect depth."""

from __future__ import annotations

import numpy as np

from spatial_envs.shading import normals_from_depth

DISPARITY_SPREAD = 1.425e-3  # 1/m, standard deviation of inverse depth
DISPARITY_STEP = 2.85e-3  # 1/m, between two values of inverse depth that the sensor can tell apart
GRAZING = 0.35  # cosine between ray and normal below which pixels begin to be lost; at 0 all are
EDGE_JUMP, EDGE_LOSS = 0.05, 0.35  # share of the depth that makes an edge; share of its pixels that are lost
SPECKLE = 0.005  # share of all pixels that are lost anywhere


def sensed(depth: np.ndarray, intrinsics: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    """Depth (H, W) float32, metres, as a structured-light sensor measures it; 0 = nothing measured.

    amount scales all of it: 0 none, 1 as a Kinect. Noise and steps are constant in inverse depth, so that
    the error grows with the square of the distance: 1.4 mm at 1 m, 3.6 cm at 5 m (Khoshelham and Elberink
    2012, Accuracy and resolution of Kinect depth data, equations 6 and 10). Pixels are lost where the
    surface grazes the ray (Nguyen et al. 2012), at edges of depth, and here and there.
    """
    if amount == 0:
        return depth.astype(np.float32)
    lens = np.asarray(intrinsics, np.float64)
    hit = depth > 0
    inverse = 1 / np.where(hit, depth, 1.0).astype(np.float64)
    step = DISPARITY_STEP * amount
    inverse = inverse + DISPARITY_SPREAD * amount * rng.normal(size=depth.shape)
    inverse = np.maximum(np.rint(inverse / step), 1) * step
    rows, columns = np.mgrid[: depth.shape[0], : depth.shape[1]] + 0.5
    ray = np.stack(
        [(columns - lens[0, 2]) / lens[0, 0], (rows - lens[1, 2]) / lens[1, 1], np.ones(depth.shape)], axis=-1
    )
    ray /= np.linalg.norm(ray, axis=-1, keepdims=True)
    facing = -(normals_from_depth(depth, lens) * ray).sum(axis=-1)
    lost = np.clip(1 - facing / GRAZING, 0, 1) + EDGE_LOSS * _at_edge(depth) + SPECKLE
    lost = lost * min(amount, 1.0)
    return np.where(hit & (rng.random(depth.shape) >= lost), 1 / inverse, 0).astype(np.float32)


def _at_edge(depth: np.ndarray) -> np.ndarray:
    """(H, W) bool: a neighbour in the row or column is nearer or farther by EDGE_JUMP of the depth."""
    edge = np.zeros(depth.shape, np.bool_)
    for axis in range(2):
        jump = np.abs(np.diff(depth, axis=axis)) > EDGE_JUMP * np.delete(depth, -1, axis=axis)
        before, after = [(0, 0), (0, 0)], [(0, 0), (0, 0)]
        before[axis], after[axis] = (0, 1), (1, 0)
        edge |= np.pad(jump, before) | np.pad(jump, after)
    return edge
