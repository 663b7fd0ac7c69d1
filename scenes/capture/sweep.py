"""Depth from pictures alone: planes swept through what neighbouring cameras saw (Collins 1996), those that
face each camera, and level ones (Gallup 2007), which fit floors and tables where they are seen aslant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from scenes.capture.gravity import find_up, mean_up, surfels
from scenes.capture.pose_files import Camera

WIDTH = 320  # pixels, the longest side at which pictures are compared
PLANES = 80  # evenly in inverse depth
NEIGHBOURS, BEST = 4, 2  # pictures that one is compared with; of these the best count
ANGLE = 8.0  # degrees, the best parallax of a neighbour
PATCH = 7  # pixels
ALIKE = 0.6  # normalised correlation of the best plane
AGREES = 0.02  # of the depth, by which another view has to confirm it
LEAST_SHARED = 20  # points that neighbours share, or that planes have to pass
DEEPEST = 6.0  # times the nearest level plane's distance below a camera that the farthest has
LEAST_SLOPE = 0.05  # cosine of the angle between a ray and the planes' normal, nearly


def sweep(
    pictures: Path, cameras: Sequence[Camera], points: np.ndarray
) -> Iterator[tuple[Camera, np.ndarray]]:
    """Each camera, of at most 320 pixels, and its depth map (H, W) float32 in the unit of the poses, 0 = not
    known.

    pictures: the folder of the cameras' pictures, without distortion; points (P, 3) say how near and far to
    search, and which cameras look at the same. Depths that no neighbour confirms within 2 % are left out.
    """
    views = [_View(pictures, camera, points) for camera in cameras]
    neighbours = [_neighbours(k, views) for k in range(len(views))]
    beside = [[views[n] for n in each] for each in neighbours]
    facing = [_matched(view, near, view.pose[:3, 2]) for view, near in zip(views, beside, strict=True)]
    measured = surfels(_kept(views, neighbours, [match.depth for match in facing]))
    down = -find_up(measured, mean_up(cameras))[0]
    level = [_matched(view, near, down, DEEPEST) for view, near in zip(views, beside, strict=True)]
    best = [np.where(a.alike >= b.alike, a.depth, b.depth) for a, b in zip(facing, level, strict=True)]
    return _kept(views, neighbours, best)


def _kept(
    views: Sequence[_View], neighbours: Sequence[Sequence[int]], found: Sequence[np.ndarray]
) -> Iterator[tuple[Camera, np.ndarray]]:
    """Each view's camera, and its depth map without what no neighbour confirms."""
    for k, view in enumerate(views):
        confirmed = np.zeros(found[k].shape, bool)
        for n in neighbours[k]:
            confirmed |= _confirmed(view, found[k], views[n], found[n])
        yield view.camera, np.where(confirmed, found[k], 0)


class _Match(NamedTuple):
    """(h, w) float32 each: the depth, 0 = none, and the correlation there, -1 = none."""

    depth: np.ndarray
    alike: np.ndarray


class _View:
    """A small grey picture, its intrinsics (3, 3) and pose, the points that it sees and their depths."""

    def __init__(self, pictures: Path, camera: Camera, points: np.ndarray) -> None:
        share = min(WIDTH / max(camera.size), 1.0)
        size = round(camera.size[0] * share), round(camera.size[1] * share)
        grey = np.asarray(Image.open(pictures / camera.name).convert("L"))
        self.grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        self.lens = camera.matrix * [[size[0] / camera.size[0]], [size[1] / camera.size[1]], [1]]
        (fx, _, cx), (_, fy, cy), _ = self.lens.tolist()
        self.camera = replace(camera, size=size, intrinsics=(fx, fy, cx, cy))
        self.pose = camera.pose
        local = (points - self.pose[:3, 3]) @ self.pose[:3, :3]
        pixel = local @ self.lens.T / np.where(local[:, 2:] > 1e-9, local[:, 2:], np.inf)
        inside = (local[:, 2] > 0) & (pixel[:, :2] > 0).all(axis=1) & (pixel[:, :2] < size).all(axis=1)
        self.seen, self.points = inside, points
        self.depths = local[inside, 2]


def _neighbours(k: int, views: Sequence[_View]) -> list[int]:
    """The numbers of the views that share most with view k at a good angle."""
    scores = {}
    for n, other in enumerate(views):
        both = views[k].seen & other.seen
        if n == k or both.sum() < LEAST_SHARED:
            continue
        rays = [view.points[both] - view.pose[:3, 3] for view in (views[k], other)]
        lengths = [np.linalg.norm(ray, axis=1) for ray in rays]
        cosine = np.einsum("nk,nk->n", *rays) / np.maximum(lengths[0] * lengths[1], 1e-12)
        angle = np.degrees(np.arccos(np.clip(np.median(cosine), -1, 1)))
        scores[n] = both.sum() * np.exp(-(((angle - ANGLE) / ANGLE) ** 2))
    return sorted(scores, key=lambda n: -scores[n])[:NEIGHBOURS]


def _matched(view: _View, others: Sequence[_View], normal: np.ndarray, deepest: float = np.inf) -> _Match:
    """The depth at which the view's patches look most like the others', on planes of one normal, (3,) away
    from the camera, world frame; the farthest plane at most so many times as far as the nearest."""
    height, width = view.grey.shape
    none = _Match(np.zeros((height, width), np.float32), np.full((height, width), -1, np.float32))
    away = (view.points - view.pose[:3, 3])[view.seen] @ normal
    away = away[away > 0]
    if not others or len(away) < LEAST_SHARED:
        return none
    near, far = np.percentile(away, (1, 99)) * (0.8, 1.25)
    near = max(near, far / deepest)
    inverse = np.linspace(1 / far, 1 / near, PLANES)
    v, u = np.mgrid[:height, :width] + 0.5
    rays = np.stack([u, v, np.ones_like(u)], axis=-1) @ np.linalg.inv(view.lens).T
    slope = rays @ (view.pose[:3, :3].T @ normal)  # of a pixel's depth to its plane's distance, the inverse
    meets = slope > LEAST_SLOPE
    rays /= np.where(meets, slope, np.inf)[..., None]
    mean, deviation = _moments(view.grey)
    scores = np.empty((PLANES, height, width), np.float32)
    for p, value in enumerate(inverse):
        each = [_alike(view, mean, deviation, other, rays / value) for other in others]
        scores[p] = np.sort(each, axis=0)[-BEST:].mean(axis=0)
    best = scores.argmax(axis=0)
    rows, columns = np.indices(best.shape)
    around = [scores[np.clip(best + d, 0, PLANES - 1), rows, columns] for d in (-1, 0, 1)]
    bend = around[0] - 2 * around[1] + around[2]
    inner = (best > 0) & (best < PLANES - 1) & (bend < -1e-6) & meets & (around[1] >= ALIKE)
    shift = np.where(inner, 0.5 * (around[0] - around[2]) / np.where(inner, bend, 1), 0)
    step = inverse[1] - inverse[0]
    distance = 1 / (inverse[0] + (best + np.clip(shift, -0.5, 0.5)) * step)
    depth = np.where(inner, distance / np.where(inner, slope, 1), 0).astype(np.float32)
    return _Match(depth, np.where(inner, around[1], -1).astype(np.float32))


def _alike(
    view: _View, mean: np.ndarray, deviation: np.ndarray, other: _View, points: np.ndarray
) -> np.ndarray:
    """(h, w): the correlation of each patch with what another view shows where its points (h, w, 3), camera
    frame, are; -1 where it shows nothing."""
    turn = other.pose[:3, :3].T @ view.pose[:3, :3]
    shift = other.pose[:3, :3].T @ (view.pose[:3, 3] - other.pose[:3, 3])
    local = (points @ turn.T + shift) @ other.lens.T
    ahead = local[..., 2] > 1e-6
    across = local[..., :2] / np.where(ahead, local[..., 2], 1)[..., None] - 0.5
    across = np.where(ahead[..., None], across, -9).astype(np.float32)
    shown = cv2.remap(other.grey, across[..., 0], across[..., 1], cv2.INTER_LINEAR, borderValue=-1)
    its_mean, its_deviation = _moments(shown)
    product = cv2.boxFilter(view.grey * shown, -1, (PATCH, PATCH))
    correlation = (product - mean * its_mean) / np.maximum(deviation * its_deviation, 4.0)
    return np.where(shown >= 0, correlation, -1)


def _moments(grey: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean = cv2.boxFilter(grey, -1, (PATCH, PATCH))
    square = cv2.boxFilter(grey * grey, -1, (PATCH, PATCH))
    return mean, np.sqrt(np.maximum(square - mean * mean, 0))


def _confirmed(view: _View, depth: np.ndarray, other: _View, its: np.ndarray) -> np.ndarray:
    """(h, w) bool: where another view's depth map has the same surface."""
    height, width = depth.shape
    v, u = np.mgrid[:height, :width] + 0.5
    points = np.stack([u, v, np.ones_like(u)], axis=-1) @ np.linalg.inv(view.lens).T * depth[..., None]
    world = points @ view.pose[:3, :3].T + view.pose[:3, 3]
    local = (world - other.pose[:3, 3]) @ other.pose[:3, :3] @ other.lens.T
    z = local[..., 2]
    across = local[..., :2] / np.where(z > 1e-6, z, 1)[..., None]
    inside = (depth > 0) & (z > 1e-6) & (across >= 0).all(axis=-1) & (across < its.shape[::-1]).all(axis=-1)
    column, row = (np.where(inside, across[..., k], 0).astype(int) for k in (0, 1))
    there = its[row, column]
    return inside & (there > 0) & (np.abs(there - z) <= AGREES * z)
