"""How good a fit of shapes to a depth map is. With T the target's points, M_k the fitted surfaces (present
slots only), S the true surface, d(a, B) the distance from a to the nearest point of B, metres:

    one_directional   mean over t in T of min_k d(t, M_k)                            metres
    occlusion_aware   mean over t of max(min_k d(t, M_k), what the fitted surface nearest to the camera on the
                      ray to t lies in front of t, along the ray; 0 where it does not)  metres
                      (after Kluger et al. 2021, cuboids revisited)
    fsv               free-space violation: share of the fitted surface's area that lies more than 10 cm in
                      front of the measured depth, along the optical axis: of the four pixels round it the
                      least, so that half a pixel at a silhouette is no violation    share
    depth_agreement   share of T's pixels where the fit, rendered, is within 5 cm    share
    held_out          as one_directional, over pixels that the fitter was not shown  metres
    slots             how many are present
    and where the truth is known:
    ari               adjusted Rand index of "nearest slot" against "object" over those of T
                      that are an object's (Hubert, Arabie 1985)
    full              share of S, seen or not, with d(s, union of M_k) <= 5 cm       share
    reverse           mean over the fitted surface's area of d(m, S)                 metres

`score` joins them: clip(g, 0, 1) (1 - fsv) max(ari, 0) full, with g = (d_random - d) / (d_random - d_oracle),
d = occlusion_aware, and the factor ari = 1 where there is one object. d_random is the distance of random
spheres, d_oracle that of ground-truth masks and superquadrics by least squares, each of the same scene.
Without any surface every distance is the scene's unit, and every share is 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from spatial_envs.foundation.compilation import njit
from spatial_envs.geometry.camera import inverse_pose, slope
from spatial_envs.prototypes.distance import nearest
from spatial_envs.prototypes.sphere import Sphere
from spatial_envs.prototypes.target import Target
from spatial_envs.rendering.builtin import rasterise_once

IN_FRONT = 0.10  # metres before the measured depth: a violation of free space
COVERED = 0.05  # metres: as near as that, a point of the true surface is covered, and a pixel agrees

Scores = dict[str, float]


@dataclass(frozen=True, eq=False)
class Fit:
    """K surfaces, metres, in the target's frame.

    vertices  (K, V, 3) float32 of the topology
    topology  the deformed sphere's
    present   (K,) bool: False for slots that hold nothing
    """

    vertices: np.ndarray
    topology: Sphere
    present: np.ndarray

    @property
    def surfaces(self) -> np.ndarray:
        """(K', V, 3): of the slots that are present."""
        return self.vertices[self.present]


def score_fit(target: Target, fit: Fit) -> Scores:
    """All the figures above but ``score``; those of the truth only where it is known."""
    surfaces, topology = fit.surfaces, fit.topology
    truth = target.surface is not None
    if not len(surfaces):
        scores = dict.fromkeys(("one_directional", "occlusion_aware", "held_out"), target.unit)
        scores |= {"fsv": 0.0, "depth_agreement": 0.0, "slots": 0}
        if truth:
            scores |= {"ari": 0.0, "full": 0.0, "reverse": target.unit}
    else:
        squared = nearest(target.points, surfaces, topology)[0]
        distance = np.sqrt(squared.min(axis=0))
        front = rendered_depth(target, surfaces, topology).min(axis=0).ravel()[target.pixels]
        areas = vertex_areas(surfaces, topology)
        measured, violating = target.depth.ravel()[target.pixels], areas * violations(target, surfaces)
        scores = seen_figures(
            distance, front, measured, ray_lengths(target), violating.sum(), areas.sum(), len(surfaces)
        )
        scores["held_out"] = _mean_distance(target.held_out, surfaces, topology)
        if truth:
            assert target.surface is not None
            assert target.objects is not None
            nearest_slot = squared.argmin(axis=0)
            known = target.objects > 0  # 0: what the ground left behind
            to_truth = cKDTree(target.surface).query(surfaces.reshape(-1, 3))[0].reshape(areas.shape)
            scores |= {
                "ari": adjusted_rand_index(target.objects[known], nearest_slot[known]),
                "full": float(
                    (nearest(target.surface, surfaces, topology)[0].min(axis=0) <= COVERED**2).mean()
                ),
                "reverse": float((areas * to_truth).sum() / max(areas.sum(), 1e-12)),
            }
    return scores


def seen_figures(
    distance: np.ndarray,
    front: np.ndarray,
    measured: np.ndarray,
    rays: np.ndarray,
    violating: float,
    area: float,
    slots: int,
) -> Scores:
    """The figures that need no truth, which rewards and scores share: one_directional, occlusion_aware, fsv,
    depth_agreement, slots.

    distance  (N,) metres from each of the target's points to the fit
    front     (N,) metres: depth of the nearest fitted surface on each point's ray, inf where there is none
    measured  (N,) metres: depth of each point
    rays      (N,) as ``ray_lengths``
    violating, area  m^2 of the fitted surfaces: in free space, and in all
    """
    gap = np.maximum(measured - front, 0) * rays
    return {
        "one_directional": float(distance.mean()),
        "occlusion_aware": float(np.maximum(distance, gap).mean()),
        "fsv": float(violating / max(area, 1e-12)),
        "depth_agreement": float((np.abs(front - measured) <= COVERED).mean()),
        "slots": slots,
    }


def score(scores: Scores, d_random: float, d_oracle: float, num_objects: int) -> float:
    """The score of a fit with these figures, in [0, 1]; d_random and d_oracle are ``occlusion_aware`` of
    random spheres and of the oracle in the same scene, metres."""
    gain = (d_random - scores["occlusion_aware"]) / max(d_random - d_oracle, 1e-6)
    grouping = 1.0 if num_objects == 1 else max(scores["ari"], 0.0)
    return min(max(gain, 0.0), 1.0) * (1 - scores["fsv"]) * grouping * scores["full"]


def _mean_distance(points: np.ndarray, surfaces: np.ndarray, topology: Sphere) -> float:
    """0 where there are no points."""
    if not len(points):
        return 0.0
    return float(np.sqrt(nearest(points, surfaces, topology)[0].min(axis=0)).mean())


def rendered_depth(target: Target, surfaces: np.ndarray, topology: Sphere) -> np.ndarray:
    """(K, H, W) float64: depth along the optical axis, metres, of each surface (K, V, 3) alone; inf where it
    is not in the picture."""
    size = (target.depth.shape[0], target.depth.shape[1])
    depth = np.empty((len(surfaces), *size))
    for k, vertices in enumerate(surfaces):
        inverse, _ = rasterise_once(vertices, topology.faces, target.cam_to_frame, target.intrinsics, size)
        with np.errstate(divide="ignore"):
            depth[k] = 1 / inverse
    return depth


def ray_lengths(target: Target) -> np.ndarray:
    """(N,): metres along the ray of each point's pixel for a metre along the optical axis."""
    row, column = np.divmod(target.pixels, target.depth.shape[1])
    intrinsics = target.intrinsics
    return np.sqrt(1 + slope(column, intrinsics, 0) ** 2 + slope(row, intrinsics, 1) ** 2)


def vertex_areas(surfaces: np.ndarray, topology: Sphere) -> np.ndarray:
    """(K, V) m^2: the part of each surface (K, V, 3) that a vertex stands for, a third of its faces."""
    return _vertex_areas(np.ascontiguousarray(surfaces, np.float32), topology.faces)


def violations(target: Target, surfaces: np.ndarray) -> np.ndarray:
    """(K, V) bool: which vertices (K, V, 3) lie more than 10 cm in front of the measured depth."""
    to_camera = inverse_pose(np.asarray(target.cam_to_frame, np.float64))
    intrinsics = np.asarray(target.intrinsics, np.float64)
    flat = np.ascontiguousarray(surfaces, np.float32).reshape(-1, 3)
    return _violations(flat, to_camera, intrinsics, target.depth, IN_FRONT).reshape(surfaces.shape[:-1])


@njit
def _vertex_areas(surfaces, faces):
    areas = np.zeros(surfaces.shape[:2])
    for k in range(surfaces.shape[0]):
        for f in range(faces.shape[0]):
            a, b, c = surfaces[k, faces[f, 0]], surfaces[k, faces[f, 1]], surfaces[k, faces[f, 2]]
            ux, uy, uz = b[0] - a[0], b[1] - a[1], b[2] - a[2]
            vx, vy, vz = c[0] - a[0], c[1] - a[1], c[2] - a[2]
            nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
            area = np.sqrt(nx * nx + ny * ny + nz * nz) / 6
            for corner in range(3):
                areas[k, faces[f, corner]] += area
    return areas


@njit
def _violations(points, to_camera, intrinsics, depth, margin):
    height, width = depth.shape
    found = np.zeros(points.shape[0], np.bool_)
    for row in range(points.shape[0]):
        x, y, z = points[row]
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
        found[row] = least < np.inf and zc < least - margin
    return found


def adjusted_rand_index(truth: np.ndarray, guess: np.ndarray) -> float:
    """Return the adjusted Rand index of two labellings (N,) of the same points: 1 = the same groups, 0 = as
    good as chance. 1 where both put all points into one group."""
    _, rows = np.unique(truth, return_inverse=True)
    _, columns = np.unique(guess, return_inverse=True)
    table = np.zeros((rows.max() + 1, columns.max() + 1), np.int64)
    np.add.at(table, (rows, columns), 1)

    def pairs(counts: np.ndarray) -> float:
        return float((counts * (counts - 1) / 2).sum())

    both, first, second = pairs(table), pairs(table.sum(axis=1)), pairs(table.sum(axis=0))
    chance = first * second / max(pairs(np.array([len(rows)])), 1.0)
    most = (first + second) / 2
    return 1.0 if most == chance else (both - chance) / (most - chance)
