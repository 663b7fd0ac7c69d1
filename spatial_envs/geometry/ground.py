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
SPAN = 1 / 48  # of the picture's width, over which normals are taken
AGREEING, NORMALS_WITHIN = 3.0, 10.0  # degrees: of a plane and the surfaces on it; of one surface's normals
STEEPEST = 100.0  # degrees from upwards in the picture: straight down is 90
LEVELS = 4  # planes that face alike
BELOW_COST = 3.0  # inliers that one point below the plane outweighs: the top of a table is no ground


def fit_ground(
    depth: np.ndarray,
    intrinsics: np.ndarray,
    up: tuple[float, float, float],
    max_tilt: float,
    steep: bool = False,
) -> tuple[np.ndarray, np.ndarray] | None:
    """The plane that what is seen stands on, or None.

    depth     (H, W), metres along the optical axis, 0 = not measured; intrinsics (3, 3), pixels
    up        camera frame (OpenCV): where the plane's normal should point, within ``max_tilt`` degrees
    steep     whether the camera may look down so steeply that it points elsewhere
    Returns the plane (4,) float64, camera frame: unit normal n towards the camera and offset d, metres, with
    n . p + d = 0; and (H, W) bool, the pixels that are it, below it, or specks that noise lifts off it.

    First the largest plane below the camera with next to nothing under it: RANSAC (Fischler and Bolles 1981)
    from a fixed seed, then least squares (the smallest singular vector) over its inliers. Where the surface
    normals there are others than the plane's, as of one through a table and the floor behind it, or where
    nothing stands on it, the level surfaces compete (``_Surface.best``).

    What counts as the plane in the end is three robust standard deviations of their distances, taken by depth
    as noise grows with it, and at least FINEST: a clean picture gives up little of what stands on the ground,
    and a noisy one keeps little of the ground.
    """
    points, at = _measured(depth, intrinsics)
    z = points[:, 2]
    if len(points) < 3:
        return None
    rng = np.random.default_rng(0)
    some = points[rng.permutation(len(points))[:POINTS]]
    triples = rng.integers(0, len(some), (HYPOTHESES, 3))
    upwards = np.asarray(up, np.float64) / np.linalg.norm(up)
    within = TOLERANCE[0] + TOLERANCE[1] * z
    plane = None
    score, found = _search(some, triples, upwards, np.cos(np.radians(max_tilt)))
    if score >= LEAST_SHARE * len(some):
        plane = _refined(points, found, within, upwards, max_tilt)
    surface = _Surface(depth, np.asarray(intrinsics, np.float64), points, at, within)
    if plane is None or not surface.is_level(plane) or not surface.standing(plane):
        plane = surface.best(plane, upwards, max_tilt)
    if plane is None and steep:
        plane = surface.seen_from_above(upwards)
    if plane is None:
        return None
    return plane, ground_pixels(depth, intrinsics, plane)


def ground_pixels(depth: np.ndarray, intrinsics: np.ndarray, plane: np.ndarray) -> np.ndarray:
    """(H, W) bool: the pixels of a depth map that are the plane (4,), camera frame, below it, or specks that
    noise lifts off it; see ``fit_ground``."""
    points, at = _measured(depth, intrinsics)
    z = points[:, 2]
    within = TOLERANCE[0] + TOLERANCE[1] * z
    near = np.abs(points @ plane[:3] + plane[3]) < within
    height = points @ plane[:3] + plane[3]
    order = np.argsort(z[near])
    bins = [part for part in np.array_split(order, BINS) if len(part)]
    middles = [np.median(z[near][part]) for part in bins]
    widths = [np.percentile(np.abs(height[near][part]), WITHIN) for part in bins]
    spread = [width / STANDARD / middle**2 for width, middle in zip(widths, middles, strict=True)]
    spread_at = np.interp(z, middles, spread) * z**2  # as the noise of sensors grows
    mask = np.zeros(depth.shape, np.bool_)
    tolerance = np.clip(3 * spread_at, FINEST, 2 * within)
    mask[at] = height < tolerance
    high = np.zeros(depth.shape, np.bool_)
    high[at] = height > SPECK_HEIGHT * tolerance
    return mask | _specks((depth > 0) & ~mask, high)


def _measured(depth: np.ndarray, intrinsics: np.ndarray) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """(N, 3) float64, metres, camera frame: the points of the pixels that measured something, and their rows
    and columns."""
    intrinsics = np.asarray(intrinsics, np.float64)
    rows, columns = np.nonzero(depth > 0)
    z = depth[rows, columns].astype(np.float64)
    points = np.stack([slope(columns, intrinsics, 0) * z, slope(rows, intrinsics, 1) * z, z], axis=1)
    return points, (rows, columns)


def _refined(
    points: np.ndarray, plane: np.ndarray, within: np.ndarray, up: np.ndarray, max_tilt: float
) -> np.ndarray | None:
    """Least squares over the points (N, 3) that are ``within`` (N,) of the plane (4,), three times."""
    for _ in range(3):
        near = np.abs(points @ plane[:3] + plane[3]) < within
        if near.sum() < max(3, LEAST_SHARE * len(points)):
            return None
        middle = points[near].mean(axis=0)
        normal = np.linalg.svd(points[near] - middle, full_matrices=False)[2][2]
        plane = np.append(normal, -normal @ middle)
        plane *= np.sign(plane[3]) or 1.0  # the camera, at the origin, is above it
    return plane if plane[:3] @ up >= np.cos(np.radians(max_tilt)) else None


class _Surface:
    """What a depth map shows of surfaces: which way they face, and what stands on which.

    points  (N, 3), metres, of the pixels ``at``, rows and columns; within (N,): what may count as a plane
    """

    def __init__(
        self,
        depth: np.ndarray,
        intrinsics: np.ndarray,
        points: np.ndarray,
        at: tuple[np.ndarray, np.ndarray],
        within: np.ndarray,
    ):
        self.points, self.at, self.within, self.shape = points, at, within, depth.shape
        self.pixel = points[:, 2] / intrinsics[0, 0]  # metres that a pixel is wide there
        self.normals, self.known = self._normals(depth)

    def _normals(self, depth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(N, 3) unit normals towards the camera, over a SPAN, and whether they are of one surface."""
        span = max(2, round(self.shape[1] * SPAN))
        grid = np.zeros((*self.shape, 3))
        grid[self.at] = self.points
        padded = np.pad(grid, ((span, span), (span, span), (0, 0)))
        height, width = self.shape
        left, right = padded[span:-span, :width], padded[span:-span, 2 * span :]
        above, below = padded[:height, span:-span], padded[2 * span :, span:-span]
        near = np.stack([left, right, above, below])[(slice(None), *self.at)]
        jump = np.abs(near[..., 2] - self.points[:, 2]) > 0.15 * self.points[:, 2]
        bent = sum(np.abs(near[k] + near[k + 1] - 2 * self.points)[:, 2] for k in (0, 2))
        known = ~((near[..., 2] == 0) | jump).any(axis=0) & (bent < 2 * self.within)
        normals = np.cross(near[3] - near[2], near[1] - near[0])
        length = np.linalg.norm(normals, axis=1)
        known &= length > 0
        normals /= np.maximum(length, 1e-30)[:, None]
        return normals * -np.sign((normals * self.points).sum(axis=1))[:, None], known

    def is_level(self, plane: np.ndarray) -> bool:
        """Whether the surfaces along a plane face as it does, or are too few to tell."""
        on = self.known & (np.abs(self._heights(plane)) < self.within)
        if on.sum() < 50:
            return True
        mean = np.median(self.normals[on], axis=0)
        return bool(mean @ plane[:3] >= np.cos(np.radians(AGREEING)) * np.linalg.norm(mean))

    def standing(self, plane: np.ndarray, side: float = 1.0) -> int:
        """How many pixels belong to pieces that rise from the plane, or with ``side`` -1 go down from it."""
        height = self._heights(plane)
        on = np.zeros(self.shape, np.bool_)
        on[self.at] = np.abs(height) < self.within
        off = np.zeros(self.shape, np.bool_)
        off[self.at] = side * height >= self.within
        foot = np.zeros(self.shape, np.bool_)
        foot[self.at] = side * height < self.within + 2 * self.pixel
        foot &= off & ndimage.binary_dilation(on, np.ones((3, 3)))
        pieces, count = ndimage.label(off, np.ones((3, 3)))
        size = np.bincount(pieces.ravel(), minlength=count + 1)
        feet = np.bincount(pieces[foot], minlength=count + 1)
        stands = (feet >= 2) & (size > SPECK * off.size)
        stands[0] = False
        return int(size[stands].sum())

    def best(self, first: np.ndarray | None, up: np.ndarray, max_tilt: float) -> np.ndarray | None:
        """Of the level surfaces, and the plane found ``first`` where it is one of them, that with most points
        on it and most that stands on it."""
        planes = [*self._level(up, max_tilt)]
        if first is not None and self.is_level(first):
            planes.insert(0, first)
        best, winner = LEAST_SHARE * len(self.points), None
        for plane in planes:
            on = (np.abs(self._heights(plane)) < self.within).sum()
            below = self.standing(plane, -1.0)
            score = on + self.standing(plane) - BELOW_COST * below
            if on >= LEAST_SHARE * len(self.points) and score > best:
                best, winner = score, plane
        return winner

    def seen_from_above(self, up: np.ndarray) -> np.ndarray | None:
        """The plane of a camera that looks down on it. Unlike a wall it is much of what is seen, along the
        picture's lower edge too, and things stand on it."""
        plane = self.best(None, up, STEEPEST)
        if plane is None or not self.standing(plane):
            return None
        on = np.abs(self._heights(plane)) < self.within
        edge = self.at[0] >= np.percentile(self.at[0], 95)
        return plane if on.mean() > 0.4 and on[edge].mean() > 0.3 else None

    def _level(self, up: np.ndarray, max_tilt: float) -> list[np.ndarray]:
        """Planes (4,) through the surfaces that face most into one direction, of up to three directions."""
        cone = self.known & (self.normals @ up >= np.cos(np.radians(max_tilt)))
        mine = np.flatnonzero(cone)
        planes: list[np.ndarray] = []
        for _ in range(3):
            if len(mine) < LEAST_SHARE * len(self.points):
                break
            sample = self.normals[mine[:: max(1, len(mine) // POINTS)]]
            alike = sample @ sample.T > np.cos(np.radians(NORMALS_WITHIN))
            direction = sample[alike[alike.sum(axis=1).argmax()]].mean(axis=0)
            direction /= np.linalg.norm(direction)
            facing = self.normals[mine] @ direction > np.cos(np.radians(2 * NORMALS_WITHIN))
            level = mine[facing]
            for _ in range(LEVELS):
                if len(level) < LEAST_SHARE * len(self.points):
                    break
                offsets = -self.points[level] @ direction
                width = np.median(self.within[level])
                bins, counts = np.unique(np.floor((offsets - offsets.min()) / width), return_counts=True)
                fullest = offsets.min() + width * (bins[counts.argmax()] + 0.5)
                plane = _refined(
                    self.points[level], np.append(direction, fullest), 2 * self.within[level], up, max_tilt
                )
                if plane is None:
                    level = level[np.abs(offsets - fullest) > 2 * width]
                    continue
                planes.append(plane)
                level = level[np.abs(self._heights(plane)[level]) > 2 * self.within[level]]
            mine = mine[~facing]
        return planes

    def _heights(self, plane: np.ndarray) -> np.ndarray:
        return self.points @ plane[:3] + plane[3]


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
