"""Polygons in plan (x, z) for compiled code: inside or not, sight, the nearest point, walking along walls.

Rings are cut into edges with the free side on their left, sorted into a grid of square cells. All lengths
are metres.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import shapely

from spatial_envs.foundation.compilation import njit

CELL = 0.25  # of the grid that finds edges
TOUCH = 1e-7  # a point this far behind an edge still stands on it


class Outline(NamedTuple):
    """The border of a set of polygons.

    start, end   (E, 2) float64: an edge from start to end, free space on its left (x to the right, z upwards)
    before, after  (E,) int64: the neighbouring edges of the ring
    part         (E,) int64: which of the polygons
    low          (2,) float64: the grid's corner; shape (2,) int64: its columns (x) and rows (z)
    first        (cells + 1,) int64, listed (K,) int64: the edges of cell c are listed[first[c]:first[c + 1]]
    """

    start: np.ndarray
    end: np.ndarray
    before: np.ndarray
    after: np.ndarray
    part: np.ndarray
    low: np.ndarray
    shape: np.ndarray
    first: np.ndarray
    listed: np.ndarray


def outline(polygons: list[shapely.Polygon]) -> Outline:
    """The border of polygons that do not overlap, holes included."""
    starts, ends, before, after, part = [], [], [], [], []
    count = 0
    for number, polygon in enumerate(polygons):
        polygon = shapely.geometry.polygon.orient(polygon)
        for ring in (polygon.exterior, *polygon.interiors):
            points = shapely.get_coordinates(ring)[:-1]
            k = np.arange(len(points))
            starts.append(points)
            ends.append(np.roll(points, -1, axis=0))
            before.append(count + np.roll(k, 1))
            after.append(count + np.roll(k, -1))
            part.append(np.full(len(points), number))
            count += len(points)
    start, end = np.concatenate(starts), np.concatenate(ends)
    low = start.min(axis=0) - CELL / 2
    shape = np.floor((start.max(axis=0) - low) / CELL).astype(np.int64) + 1
    first, listed = _fill_grid(start, end, low, shape)
    return Outline(
        start, end, np.concatenate(before), np.concatenate(after), np.concatenate(part),
        low, shape, first, listed,
    )  # fmt: skip


@njit
def _fill_grid(start, end, low, shape):
    first = np.zeros(shape[0] * shape[1] + 1, np.int64)
    listed = np.zeros(0, np.int64)
    for filling in range(2):  # count, then fill
        if filling:
            for cell in range(len(first) - 1):
                first[cell + 1] += first[cell]
            listed = np.zeros(first[-1], np.int64)
            place = first.copy()
        for edge in range(start.shape[0]):
            ax, az, bx, bz = start[edge, 0], start[edge, 1], end[edge, 0], end[edge, 1]
            rows = _row_range(az, bz, low, shape)
            for row in range(rows[0], rows[1] + 1):
                columns = _column_range(ax, az, bx, bz, row, low, shape)
                for column in range(columns[0], columns[1] + 1):
                    cell = row * shape[0] + column
                    if filling:
                        listed[place[cell]] = edge
                        place[cell] += 1
                    else:
                        first[cell + 1] += 1
    return first, listed


@njit(inline="always")
def _row_range(az, bz, low, shape):
    """The first and last row that a segment touches, a hair generous; empty where it misses the grid."""
    top = math.floor((min(az, bz) - low[1] - 1e-6) / CELL)
    bottom = math.floor((max(az, bz) - low[1] + 1e-6) / CELL)
    return max(top, 0), min(bottom, shape[1] - 1)


@njit(inline="always")
def _column_range(ax, az, bx, bz, row, low, shape):
    """The first and last column that a segment touches within a row of the grid."""
    left, right = min(ax, bx), max(ax, bx)
    if abs(bz - az) > 1e-9:
        slope = (bx - ax) / (bz - az)
        near = ax + (low[1] + row * CELL - 1e-6 - az) * slope
        far = ax + (low[1] + (row + 1) * CELL + 1e-6 - az) * slope
        left, right = max(left, min(near, far)), min(right, max(near, far))
    first = math.floor((left - low[0] - 1e-6) / CELL)
    last = math.floor((right - low[0] + 1e-6) / CELL)
    return max(first, 0), min(last, shape[0] - 1)


@njit
def part_at(x, z, border):
    """The polygon that holds the point, or -1. Exact but for points on the border."""
    row = math.floor((z - border.low[1]) / CELL)
    if row < 0 or row >= border.shape[1]:
        return -1
    inside = False
    nearest = -np.inf
    part = -1
    last = min(math.floor((x - border.low[0]) / CELL), border.shape[0] - 1)
    for column in range(last, -1, -1):  # leftwards; an edge is met in its own cell, so that it counts once
        cell = row * border.shape[0] + column
        for k in range(border.first[cell], border.first[cell + 1]):
            edge = border.listed[k]
            az, bz = border.start[edge, 1], border.end[edge, 1]
            if (az <= z) == (bz <= z):
                continue
            ax, bx = border.start[edge, 0], border.end[edge, 0]
            crossing = ax + (z - az) / (bz - az) * (bx - ax)
            if min(max(math.floor((crossing - border.low[0]) / CELL), 0), border.shape[0] - 1) != column:
                continue
            if crossing <= x:
                inside = not inside
                if crossing > nearest:
                    nearest = crossing
                    part = border.part[edge]
    return part if inside else -1


@njit
def first_in(points, part, border):
    """The first of the points (N, 2) that this polygon holds, or -1."""
    for k in range(points.shape[0]):
        if part_at(points[k, 0], points[k, 1], border) == part:
            return k
    return -1


@njit
def nearest_border(x, z, border):
    """The point of the border nearest to (x, z): x, z, distance, edge."""
    best = np.inf
    best_x, best_z, best_edge = x, z, -1
    for edge in range(border.start.shape[0]):
        px, pz = _nearest_on(
            border.start[edge, 0], border.start[edge, 1], border.end[edge, 0], border.end[edge, 1], x, z
        )
        distance = (px - x) ** 2 + (pz - z) ** 2
        if distance < best:
            best, best_x, best_z, best_edge = distance, px, pz, edge
    return best_x, best_z, math.sqrt(best), best_edge


@njit(inline="always")
def _nearest_on(ax, az, bx, bz, x, z):
    dx, dz = bx - ax, bz - az
    square = dx * dx + dz * dz
    t = 0.0
    if square > 0.0:
        t = min(max(((x - ax) * dx + (z - az) * dz) / square, 0.0), 1.0)
    return ax + t * dx, az + t * dz


@njit
def sees(ax, az, bx, bz, border):
    """Whether the segment from a to b touches no edge."""
    rows = _row_range(az, bz, border.low, border.shape)
    for row in range(rows[0], rows[1] + 1):
        columns = _column_range(ax, az, bx, bz, row, border.low, border.shape)
        for column in range(columns[0], columns[1] + 1):
            cell = row * border.shape[0] + column
            for k in range(border.first[cell], border.first[cell + 1]):
                edge = border.listed[k]
                ux, uz, vx, vz = (
                    border.start[edge, 0], border.start[edge, 1], border.end[edge, 0], border.end[edge, 1]
                )  # fmt: skip
                if max(ux, vx) < min(ax, bx) or min(ux, vx) > max(ax, bx):
                    continue
                if max(uz, vz) < min(az, bz) or min(uz, vz) > max(az, bz):
                    continue
                u = (bx - ax) * (uz - az) - (bz - az) * (ux - ax)
                v = (bx - ax) * (vz - az) - (bz - az) * (vx - ax)
                a = (vx - ux) * (az - uz) - (vz - uz) * (ax - ux)
                b = (vx - ux) * (bz - uz) - (vz - uz) * (bx - ux)
                if u * v <= 0.0 and a * b <= 0.0:
                    return False
    return True


@njit
def first_contact(ax, az, bx, bz, border):
    """How far one gets from a towards b before an edge is crossed out of the free space: the share of the
    way, 0 to 1, and the edge; 1 and -1 where nothing is in the way. One may stand on the border, and walk
    along it or off it."""
    share, contact = 1.0, -1
    rows = _row_range(az, bz, border.low, border.shape)
    for row in range(rows[0], rows[1] + 1):
        columns = _column_range(ax, az, bx, bz, row, border.low, border.shape)
        for column in range(columns[0], columns[1] + 1):
            cell = row * border.shape[0] + column
            for k in range(border.first[cell], border.first[cell + 1]):
                edge = border.listed[k]
                ux, uz = border.start[edge, 0], border.start[edge, 1]
                dx, dz = border.end[edge, 0] - ux, border.end[edge, 1] - uz
                length = math.sqrt(dx * dx + dz * dz)
                dx /= length
                dz /= length
                before = dx * (az - uz) - dz * (ax - ux)
                behind = dx * (bz - uz) - dz * (bx - ux)
                if before < -TOUCH or behind >= -1e-10 or before - behind < 1e-12:
                    continue
                t = max(before / (before - behind), 0.0)
                along = dx * (ax + t * (bx - ax) - ux) + dz * (az + t * (bz - az) - uz)
                if -1e-9 <= along <= length + 1e-9 and t < share:
                    share, contact = t, edge
    return share, contact


@njit
def walk(ax, az, bx, bz, slide, border):
    """Where a walk from a towards b ends, (x, z).

    Without sliding, at the first contact with the border. With sliding, at the point nearest to b that can
    be reached by way of the walls met, within the circle that has the way from a to b as its diameter (1 mm
    wider), as Detour's moveAlongSurface does: along a straight wall that is the way minus its part into
    the wall, and a corner may be rounded.
    """
    share, edge = first_contact(ax, az, bx, bz, border)
    if edge < 0:
        return bx, bz
    x, z = ax + share * (bx - ax), az + share * (bz - az)
    if not slide:
        return x, z
    mx, mz = (ax + bx) / 2, (az + bz) / 2
    radius = math.sqrt((bx - ax) ** 2 + (bz - az) ** 2) / 2 + 0.001
    for _ in range(8):
        distance = (x - bx) ** 2 + (z - bz) ** 2
        best, best_x, best_z = distance, x, z
        for forward in (True, False):
            here, px, pz = edge, x, z
            for _ in range(256):
                corner = border.end[here] if forward else border.start[here]
                qx, qz, left = _leave_circle(px, pz, corner[0], corner[1], mx, mz, radius)
                nx, nz = _nearest_on(px, pz, qx, qz, bx, bz)
                found = (nx - bx) ** 2 + (nz - bz) ** 2
                if found < best:
                    best, best_x, best_z = found, nx, nz
                here = border.after[here] if forward else border.before[here]
                px, pz = qx, qz
                if left or here == edge:
                    break
        x, z = best_x, best_z
        share, edge = first_contact(x, z, bx, bz, border)
        if edge < 0:
            return bx, bz
        x, z = x + share * (bx - x), z + share * (bz - z)
        if (x - bx) ** 2 + (z - bz) ** 2 > distance - 1e-12:
            break
    return x, z


@njit(inline="always")
def _leave_circle(px, pz, qx, qz, mx, mz, radius):
    """Where the segment from p, inside of the circle, to q leaves it, and True; or q and False."""
    if (qx - mx) ** 2 + (qz - mz) ** 2 <= radius * radius:
        return qx, qz, False
    dx, dz = qx - px, qz - pz
    a = dx * dx + dz * dz
    b = (px - mx) * dx + (pz - mz) * dz
    c = (px - mx) ** 2 + (pz - mz) ** 2 - radius * radius
    t = (-b + math.sqrt(max(b * b - a * c, 0.0))) / a
    t = min(max(t, 0.0), 1.0)
    return px + t * dx, pz + t * dz, True
