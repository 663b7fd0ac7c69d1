"""From a mesh to its floors: where an agent can stand, as polygons in plan.

A height field of vertical rays, one per cell of 0.05 m, decides what is a floor, which slopes and steps can
be climbed, and what hangs together. The outlines come from the triangles themselves: a floor is cut into
levels (a step, 0.1 m of a ramp, all of a flat floor), each the union of its triangles seen from above. What
the mesh has over a level, between climbable height and agent height, is sliced out, projected and taken away;
so are the edges between levels that are more than a step apart. What is left is narrowed by the radius.

A floor here has one height at every place. Buildings with storeys, or with anything to walk on above
something else, have several; neighbouring floors overlap by a metre, so that one can walk from one to the
other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import shapely
from scipy.ndimage import distance_transform_edt

from spatial_envs.foundation.compilation import njit
from spatial_envs.geometry.mesh import Mesh
from spatial_envs.simulators.levels import leave_out_furniture
from spatial_envs.simulators.overlay import grown, overlay, polygons_of, united, without_cracks

FIELD_CELL = 0.05
MAX_SLOPE = 45.0  # degrees
BAND = 0.05  # a level holds what lies within this of its height
GAP = 0.02  # cracks in the floor up to twice this wide are closed
STOREY = 1.25  # a floor reaches so far above and below the height it began with
OVERLAP = 20  # cells by which floors that hang together overlap
MIN_AREA = 2.0  # square metres of floor that hang together; less is a shelf
MIN_PART = 0.2  # of a floor that is part of it
MIN_ISLAND = 0.1  # of a piece of free space, square metres
ARC = 6  # segments of a quarter circle: the inflated corners are at most 0.9 mm inside of the true arc
DETAIL = 0.0005  # outlines are simplified by at most this
MANY, GRID = 60_000, 0.01
COARSE = 0.5  # metres: cells that tell which triangles are far from a region
SLACK = 1e-6  # of a cell, for rounding
SIZES = 3  # polygons united together differ in area by up to a factor of 2 ** SIZES
REACH = 0.2  # metres; regions farther apart do not meet when both are grown by GAP, corners and all
THIN = 1e-6  # upright sheets are so far thicker than nothing on either side
EVEN = 1e-3  # metres; heights that differ by less count as equal
NEAR_CELLS = 4  # a floor's height is known so far beyond its cells
MAX_CELLS = 40_000_000
OUTSIDE, CORE = -2, -1
WALKABLE = 2  # what a ray meets: a surface that is seen from above and not too steep


@dataclass(frozen=True, eq=False)
class Floor:
    """One floor: its free space and its height.

    polygons  free space for the agent's centre, (x, z); connected pieces, the largest first
    low       (2,) float64, the height field's corner (x, z); cells are FIELD_CELL wide
    heights   (rows, columns) float64, metres; NaN where there is no floor within 0.2 m
    owner     (rows, columns) int64: CORE where the place is this floor's own, the number of the floor that
              owns it in the overlap, OUTSIDE elsewhere
    roofed    (rows, columns) bool: there is a floor, and something over it
    """

    polygons: list[shapely.Polygon]
    low: np.ndarray
    heights: np.ndarray
    owner: np.ndarray
    roofed: np.ndarray


def find_floors(
    mesh: Mesh, height: float, radius: float, climb: float, named: Sequence[float] = ()
) -> list[Floor]:
    """The floors of ``mesh``, metres, Y up, for an agent of this height and radius that climbs steps up to
    ``climb`` and slopes up to 45 degrees. Empty where nobody could stand. Furniture is no floor, nor is what
    lies off the heights ``named``, metres, where there are some: see ``leave_out_furniture``.

    Upwards is the side from which a triangle is counter-clockwise; a floor that only shows its underside
    is none. What is inside of a closed piece of furniture is no floor, unless it is all there is.
    """
    low, (rows, columns), first, hit_y, hit_facing = cast_columns(mesh)
    walkable = _facing(mesh) == WALKABLE
    stand, closed = _standing(first, hit_y, hit_facing, height, climb + EVEN)
    component = _components(first, hit_y, stand, rows, columns, climb + EVEN)
    _leave_out_roofs(first, component, closed)
    leave_out_furniture(hit_y, component, FIELD_CELL, named)
    if not (component >= 0).any():
        return []
    cell = np.repeat(np.arange(rows * columns), np.diff(first))
    sheets, owners = _sheets(first, hit_y, component, cell, rows, columns, climb + EVEN)
    pieces, fields = [], []
    for hits in sheets:
        field = np.full((rows, columns), -1)
        field.flat[cell[hits]] = hits
        fields.append(field)
        whole = len(hits) == (component == component[hits[0]]).sum()
        with np.errstate(divide="ignore", invalid="ignore"):  # GEOS divides by zero at needles, to no harm
            pieces.append(
                _free_space(mesh, walkable, low, field, hit_y, closed, height, radius, climb, whole)
            )
    if not any(not solid for found in pieces for _, solid in found):
        pieces = [[(polygon, False) for polygon, _ in found] for found in pieces]
    pieces = [[polygon for polygon, solid in found if not solid] for found in pieces]
    kept = [number for number, polygons in enumerate(pieces) if polygons]
    renumbered = np.full(len(pieces) + 1, CORE)  # the last for hits that belong to no floor
    renumbered[kept] = np.arange(len(kept))
    floors = []
    for number in kept:
        field = fields[number]
        away, nearest = distance_transform_edt(field < 0, return_indices=True)
        hits = field[tuple(nearest)]
        near = away <= NEAR_CELLS
        owner = np.where(owners[hits] == number, CORE, renumbered[owners[hits]])
        roofed = (field >= 0) & (hits + 1 < first[1:].reshape(rows, columns))
        floors.append(
            Floor(
                sorted(pieces[number], key=lambda polygon: -polygon.area),
                low,
                np.where(near, hit_y[hits], np.nan),
                np.where(near, owner, OUTSIDE),
                roofed,
            )
        )
    return floors


def largest_floor(mesh: Mesh, height: float, climb: float, named: Sequence[float] = ()) -> float:
    """Square metres of the largest piece of ``mesh`` that hangs together and that someone could stand on;
    ``find_floors`` passes over those below MIN_AREA."""
    _, (rows, columns), first, hit_y, hit_facing = cast_columns(mesh)
    stand, _ = _standing(first, hit_y, hit_facing, height, climb + EVEN)
    component = _components(first, hit_y, stand, rows, columns, climb + EVEN)
    leave_out_furniture(hit_y, component, FIELD_CELL, named)
    return float(np.bincount(component + 1)[1:].max(initial=0)) * FIELD_CELL**2


class Columns(NamedTuple):
    """Where vertical rays meet a mesh, one through the middle of each cell of FIELD_CELL; the hits of the
    cell (row, column) are first[row * columns + column] up to the next cell's."""

    low: np.ndarray  # (2,) float64, the corner (x, z); rows go along z
    size: tuple[int, int]  # rows, columns
    first: np.ndarray  # (cells + 1,) int64
    y: np.ndarray  # (hits,) float64, metres, ascending in each cell
    facing: np.ndarray  # (hits,) int8: WALKABLE, 1 upwards but too steep, -1 downwards


def cast_columns(mesh: Mesh) -> Columns:
    """The vertical rays through ``mesh``. ValueError where it is larger than any building."""
    used = np.zeros(len(mesh.vertices), bool)
    used[mesh.faces] = True
    corners = mesh.vertices[used][:, [0, 2]].astype(np.float64)
    low, high = corners.min(axis=0), corners.max(axis=0)
    low = low - FIELD_CELL
    columns, rows = (int(n) for n in np.ceil((high - low) / FIELD_CELL) + 1)
    if rows * columns > MAX_CELLS:
        raise ValueError(
            f"mesh: {high[0] - low[0]:.0f} x {high[1] - low[1]:.0f} m in plan; expected metres and at most "
            f"{MAX_CELLS * FIELD_CELL**2:,.0f} square metres"
        )
    return Columns(
        low, (rows, columns), *_columns(mesh.vertices, mesh.faces, _facing(mesh), low, rows, columns)
    )


def _facing(mesh: Mesh) -> np.ndarray:
    """(F,) int8, as in Columns."""
    normal_y = mesh.face_normals[:, 1]
    walkable = normal_y >= math.cos(math.radians(MAX_SLOPE)) - 1e-6
    return np.where(walkable, WALKABLE, np.sign(normal_y)).astype(np.int8)


@njit
def _leave_out_roofs(first, component, closed):
    """No floor (component becomes -1): what lies under the open sky, above floors that it is not connected
    to."""
    most = -1
    for own in component:
        most = max(most, own)
    count = np.zeros(most + 2)
    open_above = np.zeros_like(count)
    over_others = np.zeros_like(count)
    for cell in range(len(first) - 1):
        for k in range(first[cell], first[cell + 1]):
            if component[k] < 0:
                continue
            count[component[k]] += 1
            open_above[component[k]] += k == first[cell + 1] - 1
            for below in range(first[cell], k):
                if component[below] >= 0 and component[below] != component[k] and not closed[below]:
                    over_others[component[k]] += 1
                    break
    for k in range(len(component)):
        own = component[k]
        if own >= 0 and open_above[own] > 0.5 * count[own] and over_others[own] > 0.25 * count[own]:
            component[k] = -1


@njit
def _columns(vertices, faces, facing, low, rows, columns):
    """first, y and facing of Columns, for faces (F, 3) of vertices (V, 3) that face so."""
    first = np.zeros(rows * columns + 1, np.int64)
    y = np.zeros(0)
    face = np.zeros(0, np.int8)
    place = first.copy()
    for filling in range(2):
        if filling:
            for cell in range(len(first) - 1):
                first[cell + 1] += first[cell]
            y = np.zeros(first[-1])
            face = np.zeros(first[-1], np.int8)
            place = first.copy()
        for f in range(faces.shape[0]):
            if facing[f] == 0:
                continue
            ax, ay, az = _corner(vertices, faces[f, 0])
            bx, by, bz = _corner(vertices, faces[f, 1])
            cx, cy, cz = _corner(vertices, faces[f, 2])
            area = (bx - ax) * (cz - az) - (bz - az) * (cx - ax)
            if abs(area) < 1e-12:
                continue
            left = max(math.ceil((min(ax, bx, cx) - low[0]) / FIELD_CELL - 0.5), 0)
            right = min(math.floor((max(ax, bx, cx) - low[0]) / FIELD_CELL - 0.5), columns - 1)
            top = max(math.ceil((min(az, bz, cz) - low[1]) / FIELD_CELL - 0.5), 0)
            bottom = min(math.floor((max(az, bz, cz) - low[1]) / FIELD_CELL - 0.5), rows - 1)
            for row in range(top, bottom + 1):
                z = low[1] + (row + 0.5) * FIELD_CELL
                for column in range(left, right + 1):
                    x = low[0] + (column + 0.5) * FIELD_CELL
                    u = ((bx - x) * (cz - z) - (bz - z) * (cx - x)) / area
                    v = ((cx - x) * (az - z) - (cz - z) * (ax - x)) / area
                    w = 1.0 - u - v
                    if u < -1e-9 or v < -1e-9 or w < -1e-9:
                        continue
                    cell = row * columns + column
                    if filling:
                        k = place[cell]
                        height = u * ay + v * by + w * cy
                        while k > first[cell] and y[k - 1] > height:
                            y[k] = y[k - 1]
                            face[k] = face[k - 1]
                            k -= 1
                        y[k] = height
                        face[k] = facing[f]
                        place[cell] += 1
                    else:
                        first[cell + 1] += 1
    return first, y, face


@njit(inline="always")
def _corner(vertices, number):
    x, y, z = vertices[number, 0], vertices[number, 1], vertices[number, 2]
    return np.float64(x), np.float64(y), np.float64(z)  # numba's float() leaves a float32 what it is


@njit
def _standing(first, y, facing, height, climb):
    """Which hits one can stand on, (hits,) bool: walkable, no other walkable one within climb above, nothing
    between climb and the agent's height; and whether the next surface further up shows its upper side,
    as from inside of a solid."""
    stand = np.zeros(len(y), np.bool_)
    closed = np.zeros(len(y), np.bool_)
    for cell in range(len(first) - 1):
        for k in range(first[cell], first[cell + 1]):
            if facing[k] != WALKABLE:
                continue
            free = True
            for above in range(k + 1, first[cell + 1]):
                gap = y[above] - y[k]
                if gap >= height:
                    closed[k] = facing[above] > 0
                    break
                if gap > climb or facing[above] == WALKABLE:
                    free = False
                    break
            stand[k] = free
    return stand, closed


@njit
def _components(first, y, stand, rows, columns, climb):
    """(hits,) int64: which hits hang together over the cells' four sides by steps up to climb; -1 = no
    floor."""
    component = np.full(len(y), -1, np.int64)
    cells = np.empty(len(y), np.int64)
    queue = np.empty(len(y), np.int64)
    for cell in range(rows * columns):
        for k in range(first[cell], first[cell + 1]):
            cells[k] = cell
    count = 0
    for seed in range(len(y)):
        if not stand[seed] or component[seed] >= 0:
            continue
        component[seed] = count
        queue[0] = seed
        head, tail = 0, 1
        while head < tail:
            hit = queue[head]
            head += 1
            row, column = cells[hit] // columns, cells[hit] % columns
            for side in range(4):
                r = row + (side == 0) - (side == 1)
                c = column + (side == 2) - (side == 3)
                if 0 <= r < rows and 0 <= c < columns:
                    for other in range(first[r * columns + c], first[r * columns + c + 1]):
                        if stand[other] and component[other] < 0 and abs(y[other] - y[hit]) <= climb:
                            component[other] = count
                            queue[tail] = other
                            tail += 1
        count += 1
    return component


def _sheets(first, y, component, cell, rows, columns, climb):
    """Cut every component into floors: a list of hits, the floor's own and then those of the overlap, and the
    number of the floor that owns each hit, (hits,) int64, -1 = none."""
    owner = np.full(len(y), -1, np.int64)
    cores: list[np.ndarray] = []
    grid = (first, y, component, owner, cell, rows, columns, climb)
    sizes = np.bincount(component + 1)[1:]
    for number in np.argsort(-sizes, kind="stable"):
        if sizes[number] * FIELD_CELL**2 < MIN_AREA:
            break
        members = np.flatnonzero(component == number)
        if np.bincount(cell[members]).max() == 1:  # one height at every place already, as of terrain
            owner[members] = len(cores)
            cores.append(members)
            continue
        while len(members) * FIELD_CELL**2 >= MIN_PART:
            level = np.round((y[members] - y[members].min()) / (2 * BAND)).astype(int)
            middle = np.median(y[members][level == np.bincount(level).argmax()])
            seeds = members[np.abs(y[members] - middle) <= 2 * BAND]
            core = _flood(*grid, seeds, middle - STOREY, middle + STOREY, False, rows * columns)
            owner[core] = len(cores)
            cores.append(core)
            members = members[owner[members] < 0]
    sheets = [_flood(*grid, core, -np.inf, np.inf, True, OVERLAP) for core in cores]
    return sheets, owner


@njit
def _flood(
    first, y, component, owner, cell, rows, columns, climb, seeds, lowest, highest, over_others, reach
):  # fmt: skip
    """Hits reached from the seeds within ``reach`` cells, one per cell at most, between two heights; with
    or without those that a floor owns already."""
    taken = np.zeros(rows * columns, np.bool_)
    out = np.empty(rows * columns, np.int64)
    distance = np.zeros(rows * columns, np.int64)
    tail = 0
    for k in range(len(seeds)):
        if not taken[cell[seeds[k]]]:
            taken[cell[seeds[k]]] = True
            out[tail] = seeds[k]
            tail += 1
    head = 0
    while head < tail and distance[head] < reach:
        hit = out[head]
        row, column = cell[hit] // columns, cell[hit] % columns
        for side in range(4):
            r = row + (side == 0) - (side == 1)
            c = column + (side == 2) - (side == 3)
            if not (0 <= r < rows and 0 <= c < columns) or taken[r * columns + c]:
                continue
            for other in range(first[r * columns + c], first[r * columns + c + 1]):
                if component[other] != component[hit] or abs(y[other] - y[hit]) > climb:
                    continue
                if (over_others or owner[other] < 0) and lowest <= y[other] <= highest:
                    taken[r * columns + c] = True
                    distance[tail] = distance[head] + 1
                    out[tail] = other
                    tail += 1
                    break
        head += 1
    return out[:tail].copy()


def _free_space(mesh, walkable, low, field, hit_y, closed, height, radius, climb, whole):
    """[(polygon, inside of a solid)]: the free pieces of one floor, whose hits are in ``field`` (rows,
    columns), -1 = none. One that is not the whole of what hangs together is cut off along the cells."""
    z, x = np.nonzero(field >= 0)
    points = np.stack([x + 0.5, z + 0.5], axis=1) * FIELD_CELL + low
    heights, inside = hit_y[field[z, x]], closed[field[z, x]]
    upward, everything = np.flatnonzero(walkable), np.arange(len(walkable))
    regions = []
    for level, bottom, top in _levels(heights):
        mine = points[(heights >= bottom) & (heights <= top)]
        bounds = np.r_[mine.min(axis=0) - 2 * FIELD_CELL, mine.max(axis=0) + 2 * FIELD_CELL]
        region = _seen_from_above(mesh, upward, bottom - EVEN, top + EVEN, bounds)
        region = without_cracks(region, GAP / 4)
        if not whole:
            region = overlay(shapely.intersection, region, _boxes(mine))
        regions.append((level, _pieces_with(region, mine)))
    ground = without_cracks(united([region for _, region in regions]), GAP)
    beside = _beside([region for _, region in regions], REACH)
    opened = []  # per level, where a point of the agent's height could stand
    for number, (level, region) in enumerate(regions):
        if len(regions) > 1:  # levels overlap a little, so that they hang together
            higher = [regions[k][1] for k in beside[number] if level < regions[k][0] < level + height]
            region = overlay(shapely.intersection, grown(region, GAP), ground)
            covered = grown(united(higher), -EVEN)  # by these
            region = overlay(shapely.difference, region, covered)
        else:
            region = ground
        if not region.is_empty:
            solid = _seen_from_above(
                mesh, everything, level + climb + EVEN, level + height, region.bounds, region
            )
            opened.append((level, overlay(shapely.difference, region, solid)))
    space = united([region for _, region in opened])
    ledges = united(_ledges(opened, climb + EVEN))
    space = overlay(shapely.difference, space, ledges)
    space = overlay(shapely.buffer, space, distance=-radius, quad_segs=ARC)
    space = overlay(shapely.simplify, space, tolerance=DETAIL)
    out = []
    for polygon in polygons_of(space):
        if polygon.area < MIN_ISLAND:
            continue
        shapely.prepare(polygon)
        there = shapely.contains_xy(polygon, points)
        if there.any():
            out.append((polygon, bool(inside[there].mean() > 0.5)))
    return out


def _levels(heights):
    """Heights (N,) -> [[level, lowest, highest]] that hold them all, each within BAND of the middle of
    its level; the most common first."""
    bins = np.floor((heights - heights.min()) / 0.01).astype(int)
    counts = np.bincount(bins).astype(float)
    width = round(2 * BAND / 0.01)
    used = np.zeros(len(counts), bool)
    levels = []
    while not used.all() and (counts[~used] > 0).any():
        open_counts = np.where(used, 0.0, counts)
        sums = np.convolve(open_counts, np.ones(width))[width // 2 :][: len(counts)]
        peak = int(np.argmax(np.where(used, -1.0, sums)))
        first = last = peak
        while first > 0 and not used[first - 1] and peak - first < width // 2:
            first -= 1
        while last < len(counts) - 1 and not used[last + 1] and last - peak < width // 2:
            last += 1
        used[first : last + 1] = True
        inside = heights[(bins >= first) & (bins <= last)]
        if len(inside):
            levels.append([float(np.median(inside)), float(inside.min()), float(inside.max())])
    for below, above in pairwise(sorted(levels)):
        if above[1] - below[2] <= 2 * BAND:  # a slope, which the rays met only here and there
            below[2] = above[1] = (below[2] + above[1]) / 2
    return levels


def _boxes(points):
    """The cells round these centres and one more on every side, as one polygon."""
    reach = 1.5 * FIELD_CELL + 1e-6
    order = np.lexsort((points[:, 0], points[:, 1]))
    x, z = points[order].T
    new = np.r_[True, (np.diff(x) > 1.5 * FIELD_CELL) | (np.abs(np.diff(z)) > FIELD_CELL / 2)]
    ends = np.r_[np.flatnonzero(new)[1:] - 1, len(x) - 1]
    return united(shapely.box(x[new] - reach, z[new] - reach, x[ends] + reach, z[new] + reach))


def _pieces_with(region, points):
    """The polygons of a region that hold one of the points."""
    polygons = polygons_of(region)
    held = np.unique(shapely.STRtree(shapely.points(points)).query(polygons, predicate="contains")[0])
    return united([polygons[k] for k in held])


def _beside(regions, reach):
    """For each region the numbers of the others that are within ``reach`` metres of it, ascending."""
    parts = [polygons_of(region) for region in regions]
    of = np.repeat(np.arange(len(regions)), [len(polygons) for polygons in parts])
    every = np.array([polygon for polygons in parts for polygon in polygons], object)
    one, other = of[shapely.STRtree(every).query(every, predicate="dwithin", distance=reach)]
    found = np.unique(np.stack([one, other], axis=1)[one != other], axis=0)
    return [found[found[:, 0] == k, 1] for k in range(len(regions))]


def _seen_from_above(mesh, chosen, bottom, top, bounds, region=None):
    """What the chosen triangles have between two heights within bounds (x0, z0, x1, z1), projected to the
    plan; upright sheets are THIN. More than MANY pieces are drawn on a grid of 0.01 m: scans are no finer.
    Of what is clear of ``region``, some may be missing."""
    bounds = np.array(bounds)
    cells = _cells_of(region, bounds) if region is not None else np.ones((1, 1), bool)
    points, count = _cut(mesh.vertices, mesh.faces, chosen, bottom, top, bounds, _sums(cells))
    if len(points) > MANY:
        drawn = _from_grid(_drawn(points, count, bounds), bounds[:2])
        return overlay(shapely.simplify, drawn, tolerance=GRID)  # slanting outlines are stairs else
    areas, sizes, lines = [], [], []
    for sides in (3, 4, 5):
        rings = points[count == sides, :sides]
        area, longest = _extent(rings)
        flat = area < 1e-5 * longest
        areas.append(shapely.polygons(rings[~flat]))
        sizes.append(area[~flat])
        upright = rings[flat]
        axis = np.argmax(np.ptp(upright, axis=1), axis=1)
        along = np.take_along_axis(upright, axis[:, None, None], axis=2)[..., 0]
        ends = np.stack([along.argmin(axis=1), along.argmax(axis=1)], axis=1)
        lines.append(np.round(np.take_along_axis(upright, ends[:, :, None], axis=1), 7))
    space = _united_by_size(np.concatenate(areas), np.concatenate(sizes))
    ends = np.unique(np.concatenate(lines), axis=0)
    sheets = shapely.linestrings(ends[(ends[:, 0] != ends[:, 1]).any(axis=1)])
    covering = grown(space, THIN)
    shapely.prepare(covering)
    sheets = sheets[~shapely.covers(covering, sheets)]
    return united([space, *shapely.buffer(sheets, THIN, cap_style="square")])


def _united_by_size(polygons, areas):
    """The union of many polygons of these areas, the large first: most of the small ones, of which furniture
    has thousands, lie within what is there already, and that is found much sooner than they are united."""
    space = shapely.Polygon()
    sizes = np.floor(np.log2(np.maximum(areas, 1e-12)) / SIZES).astype(int)
    for size in np.unique(sizes)[::-1]:
        mine = polygons[sizes == size]
        if not space.is_empty:
            shapely.prepare(space)
            mine = mine[~shapely.covers(space, mine)]
        if len(mine):
            space = united([space, *mine])
    return space


@njit
def _drawn(points, count, bounds):
    """(rows, columns) bool: the cells of 0.01 m whose centres lie in the convex polygons, and those that
    their edges pass through."""
    columns = int((bounds[2] - bounds[0]) / GRID) + 1
    rows = int((bounds[3] - bounds[1]) / GRID) + 1
    grid = np.zeros((rows, columns), np.bool_)
    for f in range(points.shape[0]):
        sides = count[f]
        lowest, highest = np.inf, -np.inf
        for k in range(sides):
            lowest, highest = min(lowest, points[f, k, 1]), max(highest, points[f, k, 1])
            ax, az = (points[f, k, 0] - bounds[0]) / GRID, (points[f, k, 1] - bounds[1]) / GRID
            bx = (points[f, (k + 1) % sides, 0] - bounds[0]) / GRID
            bz = (points[f, (k + 1) % sides, 1] - bounds[1]) / GRID
            parts = int(2 * max(abs(bx - ax), abs(bz - az))) + 1
            for t in range(parts + 1):
                row = math.floor(az + (bz - az) * t / parts)
                column = math.floor(ax + (bx - ax) * t / parts)
                if 0 <= row < rows and 0 <= column < columns:
                    grid[row, column] = True
        first = max(math.ceil((lowest - bounds[1]) / GRID - 0.5), 0)
        last = min(math.floor((highest - bounds[1]) / GRID - 0.5), rows - 1)
        for row in range(first, last + 1):
            z = bounds[1] + (row + 0.5) * GRID
            left, right = np.inf, -np.inf
            for k in range(sides):
                ax, az = points[f, k, 0], points[f, k, 1]
                bx, bz = points[f, (k + 1) % sides, 0], points[f, (k + 1) % sides, 1]
                if (az <= z) != (bz <= z):
                    x = ax + (z - az) / (bz - az) * (bx - ax)
                    left, right = min(left, x), max(right, x)
            if left <= right:
                start = max(math.ceil((left - bounds[0]) / GRID - 0.5), 0)
                stop = min(math.floor((right - bounds[0]) / GRID - 0.5), columns - 1)
                for column in range(start, stop + 1):  # a slice would count a stop below 0 from the end
                    grid[row, column] = True
    return grid


def _from_grid(grid, low):
    """The true cells of a grid of 0.01 m as polygons: runs along the rows, equal ones joined across rows."""
    steps = np.diff(np.pad(grid, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    row, start = np.nonzero(steps == 1)
    stop = np.nonzero(steps == -1)[1]
    order = np.lexsort((row, stop, start))
    row, start, stop = row[order], start[order], stop[order]
    new = np.r_[True, (np.diff(start) != 0) | (np.diff(stop) != 0) | (np.diff(row) != 1)][: len(row)]
    first = np.flatnonzero(new)
    last = np.r_[first[1:] - 1, len(row) - 1][: len(first)]
    x, z = low
    return united(
        shapely.box(
            x + GRID * start[first], z + GRID * row[first], x + GRID * stop[first], z + GRID * (row[last] + 1)
        )
    )


def _extent(rings):
    """Area and longest side of the bounding box of polygons (N, k, 2)."""
    x, z = rings[..., 0], rings[..., 1]
    area = 0.5 * np.abs((x * np.roll(z, -1, axis=1) - z * np.roll(x, -1, axis=1)).sum(axis=1))
    return area, np.ptp(rings, axis=1).max(axis=1, initial=0.0)


def _cells_of(region, bounds):
    """(rows, columns) bool: which cells of a grid over the bounds a region may touch."""
    columns, rows = (int(n) for n in np.ceil((bounds[2:] - bounds[:2]) / COARSE))
    x, z = np.meshgrid(
        np.arange(max(columns, 1)) * COARSE + bounds[0], np.arange(max(rows, 1)) * COARSE + bounds[1]
    )
    shapely.prepare(region)
    return shapely.intersects(region, shapely.box(x, z, x + COARSE, z + COARSE))


def _sums(cells):
    """(rows + 1, columns + 1) int64: how many cells are true above and left of every corner."""
    sums = np.zeros((cells.shape[0] + 1, cells.shape[1] + 1), np.int64)
    sums[1:, 1:] = cells.cumsum(axis=0).cumsum(axis=1)
    return sums


@njit
def _cut(vertices, faces, chosen, bottom, top, bounds, sums):
    """The chosen triangles within bounds and near a true cell of ``_sums`` cut to bottom <= y <= top, seen
    from above: (N, 5, 2) float64 and the number of corners (N,)."""
    x0, z0, x1, z1 = bounds
    rows, columns = sums.shape[0] - 1, sums.shape[1] - 1
    wide, deep = max(x1 - x0, COARSE * columns), max(z1 - z0, COARSE * rows)  # one cell may be all of it
    kept = np.empty(len(chosen), np.int64)
    found = 0
    for f in chosen:
        ax, ay, az = _corner(vertices, faces[f, 0])
        bx, by, bz = _corner(vertices, faces[f, 1])
        cx, cy, cz = _corner(vertices, faces[f, 2])
        if max(ay, by, cy) <= bottom or min(ay, by, cy) >= top:
            continue
        if max(ax, bx, cx) < x0 or min(ax, bx, cx) > x1:
            continue
        if max(az, bz, cz) < z0 or min(az, bz, cz) > z1:
            continue
        left = min(max(math.floor((min(ax, bx, cx) - x0) / wide * columns - SLACK), 0), columns - 1)
        right = max(min(math.floor((max(ax, bx, cx) - x0) / wide * columns + SLACK), columns - 1), 0)
        first = min(max(math.floor((min(az, bz, cz) - z0) / deep * rows - SLACK), 0), rows - 1)
        last = max(min(math.floor((max(az, bz, cz) - z0) / deep * rows + SLACK), rows - 1), 0)
        right, last = right + 1, last + 1
        if sums[last, right] - sums[first, right] - sums[last, left] + sums[first, left] == 0:
            continue
        kept[found] = f
        found += 1
    out = np.zeros((found, 5, 2))
    count = np.zeros(found, np.int64)
    corners = np.empty((3, 3))
    ring = np.zeros((5, 3))
    half = np.zeros((5, 3))
    for n in range(found):
        for k in range(3):
            for axis in range(3):
                corners[k, axis] = vertices[faces[kept[n], k], axis]
        sides = 0
        for k in range(3):
            sides = _side(corners[k], corners[(k + 1) % 3], bottom, 1.0, half, sides)
        total = 0
        for k in range(sides):
            total = _side(half[k], half[(k + 1) % sides], top, -1.0, ring, total)
        count[n] = total
        for k in range(total):
            out[n, k, 0] = ring[k, 0]
            out[n, k, 1] = ring[k, 2]
    return out, count


@njit(inline="always")
def _side(here, there, limit, sign, out, count):
    """One side of a polygon, cut by sign * (y - limit) >= 0, added to ``out``."""
    p, q = sign * (here[1] - limit), sign * (there[1] - limit)
    if p >= 0.0:
        for axis in range(3):
            out[count, axis] = here[axis]
        count += 1
    if (p > 0.0 and q < 0.0) or (p < 0.0 and q > 0.0):
        for axis in range(3):
            out[count, axis] = here[axis] + p / (p - q) * (there[axis] - here[axis])
        count += 1
    return count


def _ledges(opened, climb):
    """Where levels meet whose heights differ by more than a step."""
    near = [
        (level, overlay(shapely.buffer, region, distance=GAP, quad_segs=2))
        for level, region in opened
        if len(opened) > 1
    ]
    return [
        overlay(shapely.intersection, near[k][1], near[other][1])
        for k, others in enumerate(_beside([region for _, region in near], 0.0))
        for other in others
        if other < k and abs(near[k][0] - near[other][0]) > climb
    ]
