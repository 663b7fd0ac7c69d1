"""What K fitted surfaces leave unexplained of a target, surface by surface: what rewards and scores share.

The figures are those of ``scores``; here they are kept up to date, so that only the surface that changed is
measured again.
"""

from __future__ import annotations

import numpy as np

from spatial_envs.foundation.compilation import njit
from spatial_envs.geometry.camera import inverse_pose, slope
from spatial_envs.prototypes.distance import nearest_on
from spatial_envs.prototypes.sphere import Sphere
from spatial_envs.prototypes.target import Target
from spatial_envs.rendering.builtin import rasterise_into

IN_FRONT = 0.10  # metres before the measured depth: a violation of free space
COVERED = 0.05  # metres: as near as that, a point of the true surface is covered, and a pixel agrees


class Residuals:
    """K surfaces of one topology on a target, absent at first.

    points         (N, 3) float32: those of the target's that are looked at
    pixels         (N,): where they are in the raveled depth map
    measured, rays  (N,) float64: their depth, metres, and their ``ray_lengths``
    vertices       (K, V, 3) float32, metres, of the surfaces; present (K,) bool
    squared        (K, N) float32, m^2: from each point to each surface, inf to one that is absent
    faces, bary    (K, N), (K, N, 3): where on it, as ``nearest``
    inverse_depth  (K, H, W) and face_ids (K, H, W): each surface alone, as ``rasterise``
    patches        (K, V) m^2, as ``vertex_areas``; areas (K,): their sum, violating (K,): of it in free space
    """

    def __init__(
        self, target: Target, topology: Sphere, count: int, chosen: slice | np.ndarray = slice(None)
    ) -> None:
        self.target, self.topology = target, topology
        self.points, self.pixels = np.ascontiguousarray(target.points[chosen]), target.pixels[chosen]
        self.measured = target.depth.ravel()[self.pixels].astype(np.float64)
        self.rays = ray_lengths(target)[chosen]
        points, vertices, size = len(self.points), len(topology.vertices), target.depth.shape
        self.vertices = np.zeros((count, vertices, 3), np.float32)
        self.present = np.zeros(count, np.bool_)
        self.squared = np.full((count, points), np.inf, np.float32)
        self.faces = np.zeros((count, points), np.int32)
        self.bary = np.zeros((count, points, 3), np.float32)
        self.inverse_depth = np.zeros((count, *size))
        self.face_ids = np.full((count, *size), -1, np.int32)
        self.patches = np.zeros((count, vertices))
        self.areas, self.violating = np.zeros(count), np.zeros(count)
        self._free = _free_space(target)

    def measure(self, k: int) -> None:
        """Take the vertices of surface k as they are now, and it for present."""
        self.present[k] = True
        vertices, topology = self.vertices[k], self.topology
        nearest_on(
            self.points, vertices, topology.faces, topology.ring, topology.order, topology.starts,
            self.squared[k], self.faces[k], self.bary[k],
        )  # fmt: skip
        rasterise_into(
            self.inverse_depth[k], self.face_ids[k], vertices, topology.faces,
            self.target.cam_to_frame, self.target.intrinsics,
        )  # fmt: skip
        _fill_areas(vertices, topology.faces, self.patches[k])
        self.areas[k] = self.patches[k].sum()
        self.violating[k] = (self.patches[k] * _violations(vertices, *self._free)).sum()

    def remove(self, k: int) -> None:
        """Surface k is absent."""
        self.present[k] = False
        self.squared[k], self.inverse_depth[k], self.face_ids[k] = np.inf, 0, -1
        self.patches[k] = self.areas[k] = self.violating[k] = 0

    def seen(self) -> dict[str, float]:
        """The figures that need no truth: one_directional, occlusion_aware (m), fsv, depth_agreement and
        slots."""
        slots, unit = int(self.present.sum()), self.target.unit
        if not slots:
            nothing = {"fsv": 0.0, "depth_agreement": 0.0, "slots": 0}
            return {"one_directional": unit, "occlusion_aware": unit, **nothing}
        distance, front = np.empty(len(self.points)), np.empty(len(self.points))
        _nearest_of_all(self.squared, self._inverse(), self.pixels, distance, front)
        gap = np.maximum(self.measured - front, 0) * self.rays
        return {
            "one_directional": float(distance.mean()),
            "occlusion_aware": float(np.maximum(distance, gap).mean()),
            "fsv": float(self.violating.sum() / max(self.areas.sum(), 1e-12)),
            "depth_agreement": float((np.abs(front - self.measured) <= COVERED).mean()),
            "slots": slots,
        }

    def _inverse(self) -> np.ndarray:
        """(K, H * W): 1/z of each surface alone."""
        return self.inverse_depth.reshape(len(self.inverse_depth), -1)


def ray_lengths(target: Target) -> np.ndarray:
    """(N,): metres along the ray of each point's pixel for a metre along the optical axis."""
    row, column = np.divmod(target.pixels, target.depth.shape[1])
    intrinsics = target.intrinsics
    return np.sqrt(1 + slope(column, intrinsics, 0) ** 2 + slope(row, intrinsics, 1) ** 2)


def vertex_areas(surfaces: np.ndarray, topology: Sphere) -> np.ndarray:
    """(K, V) m^2: the part of each surface (K, V, 3) that a vertex stands for, a third of its faces."""
    areas = np.empty(surfaces.shape[:2])
    for surface, own in zip(np.ascontiguousarray(surfaces, np.float32), areas, strict=True):
        _fill_areas(surface, topology.faces, own)
    return areas


def violations(target: Target, surfaces: np.ndarray) -> np.ndarray:
    """(K, V) bool: which vertices (K, V, 3) lie more than 10 cm in front of the measured depth."""
    flat = np.ascontiguousarray(surfaces, np.float32).reshape(-1, 3)
    return _violations(flat, *_free_space(target)).reshape(surfaces.shape[:-1])


def _free_space(target: Target) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Frame to camera (4, 4), intrinsics (3, 3), depth (H, W): what ``_violations`` asks of a target."""
    to_camera = inverse_pose(np.asarray(target.cam_to_frame, np.float64))
    return to_camera, np.asarray(target.intrinsics, np.float64), target.depth


@njit
def _nearest_of_all(squared, inverse, pixels, distance, front):
    """Metres to the nearest surface, and depth of the nearest on the ray, inf where there is none: (N,)."""
    for row in range(distance.shape[0]):
        least, most, pixel = np.float32(np.inf), 0.0, pixels[row]
        for k in range(squared.shape[0]):
            least, most = min(least, squared[k, row]), max(most, inverse[k, pixel])
        distance[row] = np.sqrt(np.float64(least))
        front[row] = 1.0 / most if most > 0.0 else np.inf


@njit
def _fill_areas(surface, faces, areas):
    """``vertex_areas`` of one surface (V, 3)."""
    areas[:] = 0.0
    for f in range(faces.shape[0]):
        i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
        ax, ay, az = surface[i, 0], surface[i, 1], surface[i, 2]
        ux, uy, uz = surface[j, 0] - ax, surface[j, 1] - ay, surface[j, 2] - az
        vx, vy, vz = surface[k, 0] - ax, surface[k, 1] - ay, surface[k, 2] - az
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        area = np.sqrt(nx * nx + ny * ny + nz * nz) / 6
        areas[i] += area
        areas[j] += area
        areas[k] += area


@njit
def _violations(points, to_camera, intrinsics, depth):
    height, width = depth.shape
    found = np.zeros(points.shape[0], np.bool_)
    for row in range(points.shape[0]):
        x, y, z = points[row, 0], points[row, 1], points[row, 2]
        zc = to_camera[2, 0] * x + to_camera[2, 1] * y + to_camera[2, 2] * z + to_camera[2, 3]
        if zc <= 1e-6:
            continue
        xc = to_camera[0, 0] * x + to_camera[0, 1] * y + to_camera[0, 2] * z + to_camera[0, 3]
        yc = to_camera[1, 0] * x + to_camera[1, 1] * y + to_camera[1, 2] * z + to_camera[1, 3]
        left = int(np.floor(intrinsics[0, 0] * xc / zc + intrinsics[0, 2] - 0.5))
        top = int(np.floor(intrinsics[1, 1] * yc / zc + intrinsics[1, 2] - 0.5))
        least = np.inf
        for v in range(max(top, 0), min(top + 2, height)):
            for u in range(max(left, 0), min(left + 2, width)):
                if depth[v, u] > 0:
                    least = min(least, depth[v, u])
        found[row] = least < np.inf and zc < least - IN_FRONT
    return found
