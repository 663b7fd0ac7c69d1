"""Where an agent can walk in a building: sampling, snapping, and shortest ways on a visibility graph."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import shapely
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components, dijkstra

from spatial_envs.foundation.arguments import check_range, floats
from spatial_envs.foundation.caches import Recent
from spatial_envs.foundation.compilation import njit
from spatial_envs.foundation.errors import MeshError
from spatial_envs.geometry.mesh import Mesh
from spatial_envs.simulators.body import body_that_fits
from spatial_envs.simulators.floors import (
    CORE,
    FIELD_CELL,
    MIN_AREA,
    OUTSIDE,
    Floor,
    find_floors,
    largest_floor,
)
from spatial_envs.simulators.outline import first_in, nearest_border, outline, part_at, sees, walk
from spatial_envs.simulators.overlay import grown, polygons_of
from spatial_envs.simulators.scans import as_walked

MARGIN = 1e-4  # sight reaches so far into walls, so that a path may run along them
SNAP = 0.02
UPRIGHT = 0.25  # a point's height may be off its floor by so much
KEPT_GOALS = 64
COURTYARD = 0.25  # of the island round it: what is smaller is a courtyard, and not the house

Place = tuple[int, float, float]  # floor, x, z


class NavigableSpace:
    """The places that an agent of ``agent_height`` and ``agent_radius``, metres, can reach in ``mesh``.

    The agent is an upright cylinder. It climbs steps up to ``agent_climb`` and slopes up to 45 degrees; such
    a step is no obstacle from above or below, and a higher drop is one. Points are (x, y, z) with y the
    floor's height (up to 0.25 m off when given). Distances are measured in plan: on stairs and ramps the
    way up does not count.

    floors   heights of the building's floors, metres, where it names them: all else is none; see
             ``levels.leave_out_furniture``
    islands  (I,) float64: areas of the connected parts, square metres, the largest first; where that is open
             to the sky, as the lawn round a closed house, the largest under a roof comes before it, and where
             no roofs are the largest that it goes round
    Raises MeshError, a ValueError, where nobody can stand.
    """

    def __init__(
        self,
        mesh: Mesh,
        agent_height: float = 1.5,
        agent_radius: float = 0.1,
        agent_climb: float = 0.2,
        floors: Sequence[float] = (),
    ):
        check_range("agent_height", agent_height, 0.05, 10.0)
        check_range("agent_radius", agent_radius, 0.01, 2.0)
        check_range("agent_climb", agent_climb, 0.0, agent_height / 2)
        self._asked = (as_walked(mesh), agent_height, agent_radius, agent_climb, tuple(floors))
        self.floors = find_floors(*self._asked)
        if not self.floors:
            largest = largest_floor(self._asked[0], agent_height, agent_climb, floors)
            size = " x ".join(f"{extent:.1f}" for extent in np.ptp(mesh.vertices, axis=0))
            upward = (mesh.face_normals[:, 1] > 0.5).mean()
            levels = f" at y = {', '.join(f'{y:.2f}' for y in floors)}" if floors else ""
            raise MeshError(
                f"mesh: no floor{levels} for an agent {agent_height} m high and {2 * agent_radius} m wide "
                f"(the largest piece on which it can stand has {largest:.2g} square metres, less than the "
                f"{MIN_AREA:g} that a floor needs; {self.fitting}): got {len(mesh.faces):,} triangles of "
                f"{size} m (x, y, z), {upward:.0%} of which face up; expected some that do "
                "(counter-clockwise from above, Y up, metres) with free space above"
            )
        self._walls = [outline(floor.polygons) for floor in self.floors]
        self._bounds = np.array([shapely.MultiPolygon(floor.polygons).bounds for floor in self.floors])
        self._doors = self._find_doors()
        self._join_islands()
        self._goals = Recent[bytes, _Goal](KEPT_GOALS)
        self._drawn_from: dict[int, tuple[list[tuple[int, int]], np.ndarray, np.ndarray]] = {}

    def _find_doors(self) -> np.ndarray:
        """(D, 4): floor, other floor, x, z: places on both, along the borders of what is theirs."""
        found = []
        for number, floor in enumerate(self.floors):
            own = floor.owner == CORE
            beside = np.zeros_like(own)
            beside[:, 1:] |= own[:, :-1]
            beside[:, :-1] |= own[:, 1:]
            beside[1:] |= own[:-1]
            beside[:-1] |= own[1:]
            for row, column in np.argwhere((floor.owner >= 0) & beside):
                x, z = floor.low + (np.array([column, row]) + 0.5) * FIELD_CELL
                other = int(floor.owner[row, column])
                if self._part(number, x, z) >= 0 and self._same(number, other, x, z):
                    found.append((number, other, x, z))
        return np.array(found).reshape(-1, 4)

    def _same(self, floor: int, other: int, x: float, z: float) -> bool:
        """Whether a place of one floor is one of the other, too."""
        rise = self._height(x, z, floor) - self._height(x, z, other)
        return abs(rise) < 1e-3 and self._part(other, x, z) >= 0

    def _join_islands(self) -> None:
        """Number the polygons of all floors by island: islands (I,), _island_of[floor][polygon]."""
        firsts = np.cumsum([0, *[len(floor.polygons) for floor in self.floors]])
        pairs = np.array(
            [
                [firsts[floor] + self._part(floor, x, z) for floor in (int(a), int(b))]
                for a, b, x, z in self._doors
            ],
            np.int64,
        ).reshape(-1, 2)
        graph = csr_matrix((np.ones(len(pairs)), pairs.T), (firsts[-1], firsts[-1]))
        _, label = connected_components(graph, directed=False)
        areas = np.zeros(label.max() + 1)
        for number, (floor, polygon) in enumerate((f, p) for f in self.floors for p in f.polygons):
            areas[label[number]] += _own_area(floor, polygon)
        order = np.argsort(-areas, kind="stable")
        if len(order) > 1 and areas[order[1]] >= MIN_AREA:
            order = self._rooms_first(order, areas, label, firsts)
        self.islands = areas[order]
        rank = np.argsort(order)[label]
        self._island_of = [rank[firsts[k] : firsts[k + 1]] for k in range(len(self.floors))]

    def _rooms_first(
        self, order: np.ndarray, areas: np.ndarray, label: np.ndarray, firsts: np.ndarray
    ) -> np.ndarray:
        """The order of the islands (I,): where the first is open to the sky, as the lawn round a house, the
        first of those that are not comes before it; where all are, as in scans without ceilings, the first of
        those that it goes round, if that is no courtyard."""

        def parts(island: int) -> list[tuple[Floor, shapely.Polygon]]:
            numbers = np.flatnonzero(label == island)
            floors = np.searchsorted(firsts, numbers, side="right") - 1
            return [
                (self.floors[k], self.floors[k].polygons[number - firsts[k]])
                for k, number in zip(floors, numbers, strict=True)
            ]

        for place, island in enumerate(order):
            if areas[island] < MIN_AREA:
                break
            roofed = cells = 0
            for floor, polygon in parts(island):
                row, column = np.nonzero(floor.owner == CORE)
                inside = shapely.contains_xy(
                    polygon, *(floor.low[:, None] + (np.stack([column, row]) + 0.5) * FIELD_CELL)
                )
                roofed += int(floor.roofed[row, column][inside].sum())
                cells += int(inside.sum())
            if roofed > 0.5 * cells:
                return np.r_[island, np.delete(order, place)]
        holes = shapely.MultiPolygon(
            [shapely.Polygon(ring) for _, polygon in parts(order[0]) for ring in polygon.interiors]
        )
        for place, island in enumerate(order[1:], 1):
            if areas[island] < max(MIN_AREA, COURTYARD * areas[order[0]]):
                break
            if all(shapely.covers(holes, polygon) for _, polygon in parts(island)):
                return np.r_[island, np.delete(order, place)]
        return order

    @cached_property
    def fitting(self) -> str:
        """What is the largest body with room to walk in, in words; for errors."""
        if (body := body_that_fits(*self._asked)) is None:
            return f"no body has {MIN_AREA:g} square metres to walk on"
        height, radius, area = body
        return f"the largest body that fits is {height:g} m high and {2 * radius:g} m wide, on {area:.2g}"

    def snap(self, point: np.ndarray, reach: float = SNAP, name: str = "point") -> np.ndarray:
        """(3,): the navigable point nearest to ``point`` (3,) in plan, on the floor nearest in height.

        Raises ValueError, naming the argument ``name``, where none lies within ``reach`` metres in plan and
        0.25 m in height.
        """
        return self.point(self.locate(point, reach, name))

    def island(self, point: np.ndarray) -> int:
        """The index into ``islands`` of a navigable point (3,). Raises ValueError where it is not one."""
        floor, x, z = self.locate(point)
        return int(self._island_of[floor][self._part(floor, x, z)])

    def is_navigable(self, point: np.ndarray) -> bool:
        """Whether the agent can stand at ``point`` (3,), to 0.001 mm."""
        try:
            self.locate(point, 1e-6)
        except ValueError:
            return False
        return True

    def sample(self, rng: np.random.Generator, island: int = 0) -> np.ndarray:
        """(3,) float64: a point drawn evenly from the island of this index, the largest by default."""
        check_range("island", island, 0, len(self.islands) - 1, int)
        pieces, bounds, up_to = self._pieces(island)
        for _ in range(1000):
            chosen = int(up_to.searchsorted(rng.random(), side="right"))
            floor, part = pieces[chosen]
            low, high = bounds[chosen]
            drawn = rng.uniform(low, high, (32, 2))
            if (first := first_in(drawn, part, self._walls[floor])) < 0:
                continue
            x, z = drawn[first]
            owner = self._owner(floor, x, z)
            if owner == floor or not self._same(floor, owner, x, z):  # each place is drawn on its own floor
                return self.point((floor, x, z))
        floor, part = pieces[int(np.diff(up_to, prepend=0.0).argmax())]  # a sliver that random points miss
        inner = self.floors[floor].polygons[part].representative_point()
        return self.point((floor, inner.x, inner.y))

    def _pieces(self, island: int) -> tuple[list[tuple[int, int]], np.ndarray, np.ndarray]:
        """The polygons of an island: floor and number of each; their bounds (N, 2, 2), the least x, z and
        the largest; and the share of the area that is in each and those before it (N,)."""
        if island not in self._drawn_from:
            pieces = [
                (floor, int(part))
                for floor, numbers in enumerate(self._island_of)
                for part in np.flatnonzero(numbers == island)
            ]
            polygons = [self.floors[floor].polygons[part] for floor, part in pieces]
            up_to = shapely.area(polygons).cumsum()
            self._drawn_from[island] = pieces, shapely.bounds(polygons).reshape(-1, 2, 2), up_to / up_to[-1]
        return self._drawn_from[island]

    def distance(self, points: np.ndarray, goal: np.ndarray) -> np.ndarray:
        """(...,) float64, metres: the shortest way from each of ``points`` (..., 3) to ``goal``, (3,) or,
        for the nearest of several, (G, 3); inf where there is none.

        All points must be navigable (to 0.02 m), or ValueError. The way to one goal is worked out once.
        """
        points = floats("points", points, "(..., 3) metres")
        found = self._goal(goal)
        out = np.empty(points.shape[:-1])
        for index in np.ndindex(out.shape):
            floor, x, z = self.locate(points[index], name="points")
            out[index] = found.distance(floor, x, z)[0]
        return out

    def distance_from(self, place: Place, goal: np.ndarray) -> float:
        """`distance` from a place (floor, x, z)."""
        return self._goal(goal).distance(*place)[0]

    def clearance(self, place: Place) -> float:
        """Metres from a place to the border of its floor's free space."""
        floor, x, z = place
        return float(nearest_border(x, z, self._walls[floor])[2])

    def path(self, start: np.ndarray, goal: np.ndarray) -> np.ndarray:
        """(K, 3) float64: the corners of the shortest way from ``start`` (3,) to ``goal``, as in `distance`,
        both ends included; (0, 3) where there is none. Raises ValueError as `distance`."""
        found = self._goal(goal)
        floor, x, z = self.locate(start, name="start")
        distance, node = found.distance(floor, x, z)
        if not math.isfinite(distance):
            return np.zeros((0, 3))
        return np.array([self.point((floor, x, z)), *found.onwards(node)])

    def floor_map(self, y: float, cell: float = 0.05) -> tuple[np.ndarray, np.ndarray]:
        """Where the floors are free whose height is ``y``, to 0.25 m: the map's corner (x, z), metres, and
        (rows, columns) bool, whether the agent can stand at the centre of each cell of this width; rows
        along z."""
        low, high = self._bounds[:, :2].min(axis=0), self._bounds[:, 2:].max(axis=0)
        columns, rows = (int(n) for n in np.ceil((high - low) / cell))
        x, z = low[0] + (np.arange(columns) + 0.5) * cell, low[1] + (np.arange(rows) + 0.5) * cell
        free = np.zeros((rows, columns), bool)
        for floor in self.floors:
            row, column = (  # a centre beyond the field lies in no polygon, whatever its height
                np.clip((c - start) // FIELD_CELL, 0, count - 1).astype(int)
                for c, start, count in zip((z, x), floor.low[::-1], floor.heights.shape, strict=True)
            )
            level = np.abs(floor.heights[np.ix_(row, column)] - y) <= UPRIGHT
            space = shapely.MultiPolygon(floor.polygons)
            shapely.prepare(space)
            where = np.nonzero(level)
            free[where] |= shapely.contains_xy(space, x[where[1]], z[where[0]])
        return low, free

    def walk(self, place: Place, x: float, z: float, slide: bool) -> Place:
        """Where a walk from a place (floor, x, z) straight towards (x, z) ends; see `outline.walk`."""
        floor = place[0]
        x, z = walk(place[1], place[2], x, z, slide, self._walls[floor])
        owner = self._owner(floor, x, z)
        if owner != floor and self._same(floor, owner, x, z):
            floor = owner
        return floor, x, z

    def point(self, place: Place) -> np.ndarray:
        """(3,) float64: the point of a place."""
        floor, x, z = place
        return np.array([x, self._height(x, z, floor), z])

    def _height(self, x: float, z: float, floor: int) -> float:
        """The height, metres, of a floor at (x, z); NaN outside of it."""
        found = self.floors[floor]
        cell = _cell(x, z, found)
        return math.nan if cell is None else float(found.heights[cell])

    def _owner(self, floor: int, x: float, z: float) -> int:
        """The floor to which a place belongs where floors overlap."""
        found = self.floors[floor]
        cell = _cell(x, z, found)
        return floor if cell is None or found.owner[cell] < 0 else int(found.owner[cell])

    def _part(self, floor: int, x: float, z: float) -> int:
        """The polygon of a floor that holds (x, z), to 0.001 mm; -1 = none."""
        part = int(part_at(x, z, self._walls[floor]))
        if part < 0:
            _, _, distance, edge = nearest_border(x, z, self._walls[floor])
            if distance <= 1e-6:
                return int(self._walls[floor].part[edge])
        return part

    def locate(self, point: np.ndarray, reach: float = SNAP, name: str = "point") -> Place:
        """The place of a point (3,), snapped as in `snap`; for `walk`."""
        position = floats(name, point, "(x, y, z), metres")
        if position.shape != (3,) or not np.isfinite(position).all():
            raise ValueError(f"{name}: got {point!r}; expected (x, y, z), finite, metres")
        px, py, pz = (float(c) for c in position)
        best, place = math.inf, None
        for floor, (x0, z0, x1, z1) in enumerate(self._bounds):
            if not (x0 - reach <= px <= x1 + reach and z0 - reach <= pz <= z1 + reach):
                continue
            x, z, away = self._into(floor, px, pz)
            rise = abs(self._height(x, z, floor) - py)
            if self._owner(floor, x, z) != floor:
                rise += 1e-6  # the same place on its own floor comes first
            if away <= reach and rise <= UPRIGHT and rise < best:
                best, place = rise, (floor, x, z)
        if place is None:
            told = ", ".join(f"{c:.3f}" for c in (px, py, pz))
            near = [self._into(floor, px, pz) for floor in range(len(self.floors))]
            away = min(
                (away for k, (x, z, away) in enumerate(near) if abs(self._height(x, z, k) - py) <= UPRIGHT),
                default=math.inf,
            )
            where = f"the nearest is {away:.3f} m away"
            if math.isinf(away):
                where = "there is no floor at this height"
            raise ValueError(f"{name}: got ({told}); expected a navigable point: {where}")
        return place

    def _into(self, floor: int, x: float, z: float) -> tuple[float, float, float]:
        """The place of a floor nearest to (x, z), and how far it is."""
        if part_at(x, z, self._walls[floor]) >= 0:
            return x, z, 0.0
        near_x, near_z, away, _ = nearest_border(x, z, self._walls[floor])
        return (x, z, 0.0) if away < 1e-9 else (near_x, near_z, away)  # on the border, to the bit

    def _goal(self, goal) -> _Goal:
        goals = floats("goal", goal, "(3,) or (G, 3), metres")
        if goals.ndim not in (1, 2) or goals.shape[-1] != 3 or goals.size == 0:
            raise ValueError(f"goal: got shape {goals.shape}; expected (3,) or (G, 3)")
        return self._goals.get(
            goals.tobytes(), lambda: _Goal(self, [self.locate(g, name="goal") for g in goals.reshape(-1, 3)])
        )

    @cached_property
    def graph(self) -> _Graph:
        """The visibility graph of all floors."""
        return _Graph(self.floors, self._doors)


def _cell(x: float, z: float, floor: Floor) -> tuple[int, int] | None:
    """The row and column of a floor's height field; None outside of it."""
    row = math.floor((z - floor.low[1]) / FIELD_CELL)
    column = math.floor((x - floor.low[0]) / FIELD_CELL)
    rows, columns = floor.heights.shape
    return (row, column) if 0 <= row < rows and 0 <= column < columns else None


def _own_area(floor: Floor, polygon: shapely.Polygon) -> float:
    """Square metres of a polygon, less what other floors own of it."""
    if not (floor.owner >= 0).any():
        return polygon.area
    row, column = np.nonzero(floor.owner != OUTSIDE)
    x, z = floor.low[0] + (column + 0.5) * FIELD_CELL, floor.low[1] + (row + 0.5) * FIELD_CELL
    shapely.prepare(polygon)
    inside = shapely.contains_xy(polygon, x, z)
    return polygon.area * float((floor.owner[row, column][inside] == CORE).mean())


class _Graph:
    """Corners that shortest paths turn at, and which see each other.

    nodes   (N, 2) float64, x and z
    wing    (N, 2, 2), the directions to a corner's two neighbours on its wall; zero on the borders of floors
    floor   (N,) int64, the floor of each
    of      for each floor its nodes; those on the border of two floors belong to both
    matrix  (N, N) sparse, metres
    sight   for each floor its free space, MARGIN wider
    """

    def __init__(self, floors: list[Floor], doors: np.ndarray):
        self.sight = [
            outline([wider for polygon in floor.polygons for wider in polygons_of(grown(polygon, MARGIN))])
            for floor in floors
        ]
        nodes, of, wings = [], [], []
        count = 0
        for floor in floors:
            corner, wing = _corners(floor.polygons)
            nodes.append(corner)
            wings.append(wing)
            of.append(list(range(count, count + len(corner))))
            count += len(corner)
        self.floor = np.repeat(np.arange(len(floors)), [len(n) for n in nodes])
        self.nodes = np.concatenate(nodes)
        if len(doors):
            self.nodes = np.concatenate([self.nodes, doors[:, 2:]])
            self.floor = np.concatenate([self.floor, doors[:, 0].astype(int)])
            for k, (a, b) in enumerate(doors[:, :2].astype(int)):
                of[a].append(count + k)
                of[b].append(count + k)
        self.of = [np.array(numbers, np.int64) for numbers in of]
        self.wing = wing = np.concatenate([*wings, np.zeros((len(self.nodes) - count, 2, 2))])
        rows, columns, lengths = [], [], []
        for sight, numbers in zip(self.sight, self.of, strict=True):
            a, b, length = _edges(self.nodes[numbers], wing[numbers], sight)
            rows += [numbers[a], numbers[b]]
            columns += [numbers[b], numbers[a]]
            lengths += [length, length]
        size = len(self.nodes)
        row, column, length = np.concatenate(rows), np.concatenate(columns), np.concatenate(lengths)
        key = np.unique(row * size + column, return_index=True)[1]
        self.matrix = csr_matrix((length[key], (row[key], column[key])), (size, size))


def _corners(polygons) -> tuple[np.ndarray, np.ndarray]:
    """The corners that a tight string can bend round, (N, 2), and the directions to their two neighbours
    on the ring, (N, 2, 2)."""
    corners, wings = [np.zeros((0, 2))], [np.zeros((0, 2, 2))]
    for polygon in polygons:
        polygon = shapely.geometry.polygon.orient(polygon)
        for ring in (polygon.exterior, *polygon.interiors):
            points = shapely.get_coordinates(ring)[:-1]
            back, on = np.roll(points, 1, axis=0) - points, np.roll(points, -1, axis=0) - points
            bent = on[:, 0] * back[:, 1] - on[:, 1] * back[:, 0] < 0  # free space on the left, wall convex
            corners.append(points[bent])
            wings.append(np.stack([back, on], axis=1)[bent])
    return np.concatenate(corners), np.concatenate(wings)


@njit(inline="always")
def _bends(dx, dz, wing):
    """Whether a string that comes to a corner along (dx, dz) can lie against it: both neighbours of the
    corner on one side. Corners without neighbours always can."""
    back = dx * wing[0, 1] - dz * wing[0, 0]
    on = dx * wing[1, 1] - dz * wing[1, 0]
    slack = 1e-9 * (abs(dx) + abs(dz))
    return not ((back > slack and on < -slack) or (back < -slack and on > slack))


@njit
def _longer(values):
    """The values in an array of twice the length."""
    out = np.empty(2 * len(values), values.dtype)
    for k in range(len(values)):
        out[k] = values[k]
    return out


@njit
def _edges(nodes, wing, sight):
    """Pairs of nodes that see each other and between which a tight string can run, and their distances."""
    count = nodes.shape[0]
    a = np.empty(1024, np.int64)
    b = np.empty(1024, np.int64)
    length = np.empty(1024)
    found = 0
    for i in range(count):
        for j in range(i + 1, count):
            dx, dz = nodes[j, 0] - nodes[i, 0], nodes[j, 1] - nodes[i, 1]
            if not (_bends(dx, dz, wing[i]) and _bends(dx, dz, wing[j])):
                continue
            if not sees(nodes[i, 0], nodes[i, 1], nodes[j, 0], nodes[j, 1], sight):
                continue
            if found == a.shape[0]:
                a, b, length = _longer(a), _longer(b), _longer(length)
            a[found], b[found] = i, j
            length[found] = math.sqrt(dx * dx + dz * dz)
            found += 1
    return a[:found], b[:found], length[:found]


class _Goal:
    """The shortest ways to one goal, or to the nearest of several."""

    def __init__(self, space: NavigableSpace, places: list[Place]):
        self.space, self.places = space, places
        graph = space.graph
        size = len(graph.nodes)
        lengths = np.full(size, np.inf)
        self._leads = np.full(size, -1, np.int64)  # the goal that a node sees and leads to
        for number, (floor, x, z) in enumerate(places):
            mine = graph.of[floor]
            seen = _seen(x, z, graph.nodes[mine], graph.wing[mine], graph.sight[floor])
            nearer = seen < lengths[mine]
            lengths[mine[nearer]] = seen[nearer]
            self._leads[mine[nearer]] = number
        ends = np.flatnonzero(np.isfinite(lengths))
        matrix = graph.matrix
        matrix = csr_matrix(
            (
                np.r_[matrix.data, np.maximum(lengths[ends], 1e-12)],
                np.r_[matrix.indices, ends],
                np.r_[matrix.indptr, matrix.nnz + len(ends)],
            ),
            (size + 1, size + 1),
        )
        left, before = dijkstra(matrix, indices=size, return_predecessors=True)
        self._left, self._before = left[:size], before
        goals = np.array(places).reshape(-1, 3)
        self._of = []
        for floor, mine in enumerate(graph.of):
            here = np.flatnonzero(goals[:, 0] == floor)
            numbers = np.concatenate([-1 - here, mine[np.isfinite(self._left[mine])]])
            points = np.concatenate([goals[here, 1:], graph.nodes[numbers[len(here) :]]])
            left_over = np.concatenate([np.zeros(len(here)), self._left[numbers[len(here) :]]])
            wing = np.concatenate([np.zeros((len(here), 2, 2)), graph.wing[numbers[len(here) :]]])
            self._of.append((numbers, points, wing, left_over))

    def distance(self, floor: int, x: float, z: float) -> tuple[float, int]:
        """The length of the shortest way from a place and the first node on it: -1 - g is goal g."""
        numbers, points, wing, left = self._of[floor]
        length, which = _onto(x, z, points, wing, left, self.space.graph.sight[floor])
        return length, int(numbers[which]) if which >= 0 else 0

    def onwards(self, node: int) -> list[np.ndarray]:
        """The points of the way from a node to the goal."""
        graph, space = self.space.graph, self.space
        points = []
        while node >= 0 and node < len(graph.nodes):
            x, z = graph.nodes[node]
            points.append(space.point((int(graph.floor[node]), x, z)))
            last, node = node, int(self._before[node])
        goal = self._leads[last] if node >= 0 else -1 - node
        return [*points, space.point(self.places[goal])]


@njit
def _seen(x, z, points, wing, sight):
    """(N,) distances to the points that a tight string from (x, z) can run to; inf to the others."""
    out = np.full(points.shape[0], np.inf)
    for k in range(points.shape[0]):
        dx, dz = points[k, 0] - x, points[k, 1] - z
        if _bends(dx, dz, wing[k]) and sees(x, z, points[k, 0], points[k, 1], sight):
            out[k] = math.sqrt(dx * dx + dz * dz)
    return out


@njit
def _onto(x, z, points, wing, left, sight):
    """The least distance by way of a point that is seen, with what is left from there: length, and index or
    -1."""
    total = np.empty(points.shape[0])
    index = np.empty(points.shape[0], np.int64)
    count = 0
    for k in range(points.shape[0]):
        dx, dz = points[k, 0] - x, points[k, 1] - z
        if _bends(dx, dz, wing[k]):
            total[count] = math.sqrt(dx * dx + dz * dz) + left[k]
            index[count] = k
            count += 1
    while count > 0:
        least = 0
        for k in range(1, count):
            if total[k] < total[least]:
                least = k
        k = index[least]
        if sees(x, z, points[k, 0], points[k, 1], sight):
            return total[least], k
        count -= 1
        total[least], index[least] = total[count], index[count]
    return np.inf, -1
