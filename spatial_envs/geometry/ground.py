"""The plane that things stand on, found in one depth map."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from spatial_envs.foundation.compilation import njit
from spatial_envs.geometry.camera import slope

HYPOTHESES, POINTS = 1000, 2000  # triples tried; points that each is tried on
TOLERANCE = (0.015, 0.008)  # metres, and share of the depth: what may count as the plane while it is searched
FINEST = 0.01  # metres: within this of the plane is always the ground
BINS = 8  # of depth, in which the plane's spread is measured
WITHIN, STANDARD = 85, 1.44  # per cent of a normal distribution's values are within so many deviations
LEAST_SHARE = 0.1  # of the measured points, or there is no ground
SPECK, SPECK_HEIGHT = (
    0.002,
    2.0,
)  # share of the picture; tolerances: what is smaller and lower is the ground's
BELOW_COST = 3.0  # inliers that one point below the plane outweighs: the top of a table is no ground


def fit_ground(
    depth: np.ndarray, intrinsics: np.ndarray, up: tuple[float, float, float], max_tilt: float
) -> tuple[np.ndarray, np.ndarray] | None:
    """The largest plane below the camera with next to nothing under it, or None.

    depth     (H, W), metres along the optical axis, 0 = not measured; intrinsics (3, 3), pixels
    up        camera frame (OpenCV): where the plane's normal should point, within ``max_tilt`` degrees
    Returns the plane (4,) float64, camera frame: unit normal n towards the camera and offset d, metres, with
    n . p + d = 0; and (H, W) bool, the pixels that are it, below it, or specks that noise lifts off it.

    RANSAC (Fischler and Bolles 1981) from a fixed seed, then least squares (the smallest singular vector)
    over its inliers. What counts as the plane in the end is three robust standard deviations of their
    distances, taken by depth as noise grows with it, and at least FINEST: a clean picture gives up
    little of what stands on the ground, and a noisy one keeps little of the ground.
    """
    intrinsics = np.asarray(intrinsics, np.float64)
    rows, columns = np.nonzero(depth > 0)
    z = depth[rows, columns].astype(np.float64)
    points = np.stack([slope(columns, intrinsics, 0) * z, slope(rows, intrinsics, 1) * z, z], axis=1)
    if len(points) < 3:
        return None
    rng = np.random.default_rng(0)
    some = points[rng.permutation(len(points))[:POINTS]]
    triples = rng.integers(0, len(some), (HYPOTHESES, 3))
    upwards = np.asarray(up, np.float64) / np.linalg.norm(up)
    score, plane = _search(some, triples, upwards, np.cos(np.radians(max_tilt)))
    if score < LEAST_SHARE * len(some):
        return None
    within = TOLERANCE[0] + TOLERANCE[1] * z
    for _ in range(3):
        near = np.abs(points @ plane[:3] + plane[3]) < within
        if near.sum() < max(3, LEAST_SHARE * len(points)):
            return None
        middle = points[near].mean(axis=0)
        normal = np.linalg.svd(points[near] - middle, full_matrices=False)[2][2]
        plane = np.append(normal, -normal @ middle)
        plane *= np.sign(plane[3]) or 1.0  # the camera, at the origin, is above it
    if plane[:3] @ upwards < np.cos(np.radians(max_tilt)):
        return None
    height = points @ plane[:3] + plane[3]
    order = np.argsort(z[near])
    bins = [part for part in np.array_split(order, BINS) if len(part)]
    middles = [np.median(z[near][part]) for part in bins]
    widths = [np.percentile(np.abs(height[near][part]), WITHIN) for part in bins]
    spread = [width / STANDARD / middle**2 for width, middle in zip(widths, middles, strict=True)]
    spread_at = np.interp(z, middles, spread) * z**2  # as the noise of sensors grows
    mask = np.zeros(depth.shape, np.bool_)
    tolerance = np.clip(3 * spread_at, FINEST, 2 * within)
    mask[rows, columns] = height < tolerance
    high = np.zeros(depth.shape, np.bool_)
    high[rows, columns] = height > SPECK_HEIGHT * tolerance
    return plane, mask | _specks((depth > 0) & ~mask, high)


def _specks(rest: np.ndarray, high: np.ndarray) -> np.ndarray:
    """(H, W) bool: those connected pieces of ``rest`` that are small and nowhere ``high``."""
    pieces, count = ndimage.label(rest, np.ones((3, 3)))
    small = np.bincount(pieces.ravel(), minlength=count + 1) < SPECK * rest.size
    flat = np.bincount(pieces[high], minlength=count + 1) == 0
    flat[0] = False
    return (small & flat)[pieces]


@njit
def _search(points, triples, up, least_cosine):
    """The best of the planes through the triples (M, 3) of points (N, 3), and its score: points on it, less
    BELOW_COST for each below."""
    count = points.shape[0]
    px, py, pz, within = np.empty(count), np.empty(count), np.empty(count), np.empty(count)
    for k in range(count):
        px[k], py[k], pz[k] = points[k, 0], points[k, 1], points[k, 2]
        within[k] = TOLERANCE[0] + TOLERANCE[1] * points[k, 2]
    best, plane = -np.inf, np.zeros(4)
    for t in range(triples.shape[0]):
        a, b, c = points[triples[t, 0]], points[triples[t, 1]], points[triples[t, 2]]
        ux, uy, uz = b[0] - a[0], b[1] - a[1], b[2] - a[2]
        vx, vy, vz = c[0] - a[0], c[1] - a[1], c[2] - a[2]
        x, y, z = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        length = np.sqrt(x * x + y * y + z * z)
        if length < 1e-9:
            continue
        x, y, z = x / length, y / length, z / length
        d = -(x * a[0] + y * a[1] + z * a[2])
        if d < 0.0:
            x, y, z, d = -x, -y, -z, -d
        if x * up[0] + y * up[1] + z * up[2] < least_cosine:
            continue
        on = below = 0
        for k in range(count):  # counted without a branch: so it is compiled to vector instructions
            height = x * px[k] + y * py[k] + z * pz[k] + d
            on += abs(height) < within[k]
            below += height < -2.0 * within[k]
        score = on - BELOW_COST * below
        if score > best:
            best = score
            plane[:] = x, y, z, d
    return best, plane
