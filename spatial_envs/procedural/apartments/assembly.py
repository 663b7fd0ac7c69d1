"""Seeded furnished apartments: walls, floors, windows and light round what the plan and the furnishing give.

The light of a room is in its colours: lamps, windows, dark corners and the shadow below furniture are baked
into the albedo of the vertices, so that the rooms are to be shown without further light (`lit=False`).
"""

from __future__ import annotations

from itertools import count

import numpy as np
from scipy import ndimage

from spatial_envs.geometry.building import Building, Room, boxes
from spatial_envs.geometry.mesh import Mesh
from spatial_envs.geometry.rotations import SIDEWAYS, rotation
from spatial_envs.procedural.apartments.floor_plans import INWARD, Opening, Plan, Rect, floor_plan
from spatial_envs.procedural.apartments.furnishing import Placed, furnish
from spatial_envs.procedural.furniture.parts import Part, Shape
from spatial_envs.procedural.furniture.pieces import STEEL, WHITE, Style
from spatial_envs.procedural.furniture.surfaces import PERIOD, hsv, outdoors, pattern

ESSENTIAL = {  # a room without these is drawn again
    "living_room": ("sofa", "tv_monitor"),
    "bedroom": ("bed",),
    "kitchen": ("refrigerator", "sink", "oven"),
    "bathroom": ("toilet", "sink"),
    "study": ("desk",),
    "dining_room": ("table", "chair"),
    "corridor": (),
}
RADIUS = 0.18  # metres, of the disc that reaches every room
RECESS, SKIRTING, CASING = 0.1, (0.012, 0.08), (0.07, 0.015)  # metres


def apartment(seed: int) -> Building:
    """The apartment of this seed: 3 to 7 furnished rooms, every one reachable by a disc of 0.18 m radius;
    10,000 to 200,000 triangles in the order of their objects, floor at y = 0, centred on x = z = 0."""
    for attempt in count():
        rng = np.random.default_rng([seed, attempt])
        plan, style = floor_plan(rng), Style.draw(rng)
        rooms = furnish(plan, rng, style)
        if _complete(plan, rooms) and _reachable(plan, rooms):
            break
    name = f"procedural-{seed:07d}"
    return _Assembly(plan, rng, style).building(name, rooms)


def _complete(plan: Plan, rooms: list[list[Placed]]) -> bool:
    for kind, placed in zip(plan.kinds, rooms, strict=True):
        has = {p.piece.category for p in placed}
        if not has.issuperset(ESSENTIAL[kind]):
            return False
    return True


def _reachable(plan: Plan, rooms: list[list[Placed]]) -> bool:
    """Whether one region of the floor, 0.18 m from everything, reaches into every room and doorway."""
    cell, outer = 0.05, plan.outer
    x, z = np.meshgrid(np.arange(outer.x0, outer.x1, cell), np.arange(outer.z0, outer.z1, cell))

    def cells(rect: Rect) -> np.ndarray:
        return (x >= rect.x0) & (x <= rect.x1) & (z >= rect.z0) & (z <= rect.z1)

    floor = np.zeros(x.shape, bool)
    doorways = [plan.doorway(o) for o in plan.openings if o.kind == "door"]
    for rect in [*plan.rects, *doorways]:
        floor |= cells(rect)
    for placed in (p for room in rooms for p in room):
        low, high = placed.y + placed.piece.low[1], placed.y + placed.piece.high[1]
        if low < 1.6 and high > 0.1:
            floor &= ~cells(placed.footprint())
    free = ndimage.distance_transform_edt(floor) * cell > RADIUS + cell
    labels, found = ndimage.label(free)
    if not found:
        return False
    main = labels == 1 + np.argmax(np.bincount(labels.ravel())[1:])
    return all((main & cells(rect)).sum() > 20 for rect in plan.rects) and all(
        (main & cells(rect)).any() for rect in doorways
    )


def _lines(low: float, high: float, step: float, more=()) -> np.ndarray:
    """Where a surface is cut: closer together near its ends, and at `more`."""
    edges = [d for d in (0.12, 0.4) if high - low > 2 * d + 0.1]
    ends = [low, high, *(low + d for d in edges), *(high - d for d in edges)]
    near = edges[-1] if edges else 0.0
    inner = np.linspace(low + near, high - near, max(2, round((high - low - 2 * near) / step) + 1))
    lines = np.unique(np.round(np.concatenate([ends, inner]), 5))
    fixed = np.unique(np.round([low, high, *more], 5))
    lines = lines[(np.abs(lines[:, None] - fixed[None]) > 0.02).all(axis=1)]
    return np.sort(np.concatenate([lines, fixed]))


def _flat(first: np.ndarray, second: np.ndarray, holes=(), surface=None, color=(1, 1, 1)) -> Part:
    """A rectangle in x and y that faces +Z, cut along lines, without what is in holes (x0, x1, y0, y1)."""
    x, y = np.meshgrid(first, second)
    middle_x, middle_y = (first[1:] + first[:-1]) / 2, (second[1:] + second[:-1]) / 2
    keep = np.ones((len(middle_y), len(middle_x)), bool)
    for x0, x1, y0, y1 in holes:
        within = (middle_y > y0) & (middle_y < y1)
        keep &= ~(within[:, None] & ((middle_x > x0) & (middle_x < x1))[None])
    row, column = np.nonzero(keep)
    a = row * len(first) + column
    b, c, d = a + 1, a + len(first) + 1, a + len(first)
    faces = np.stack([a, b, c, a, c, d], axis=-1).reshape(-1, 3)
    vertices = np.stack([x, y, np.zeros_like(x)], axis=-1).reshape(-1, 3)
    uv = vertices[:, :2] / (PERIOD[surface] if isinstance(surface, str) else 1.0)
    normals = np.broadcast_to([0.0, 0.0, 1.0], vertices.shape)
    return Part(
        vertices, normals, uv, faces, np.broadcast_to(np.asarray(color, float), vertices.shape), surface
    )


def _quad(s: Shape, a, b, c, d, color, surface=None) -> None:
    """A rectangle or trapezium by its corners, anticlockwise from in front."""
    s.sheet(np.array([[a, b], [d, c]], float), color, surface)


UP, DOWN = np.round(rotation(x=-np.pi / 2)), np.round(rotation(x=np.pi / 2))  # what faced +Z faces up, down


class _Assembly:
    """Parts of the building by object, and their light."""

    def __init__(self, plan: Plan, rng: np.random.Generator, style: Style):
        self.plan, self.rng, self.style = plan, rng, style
        self.parts: list[tuple[Part, int, int, bool]] = []  # part, object, room, whether it is lit
        self.objects: dict[int, tuple[str, str]] = {}
        self.counts: dict[str, int] = {}
        self.frame = np.array(WHITE) if rng.uniform() < 0.6 else style.wood * 0.9

    def new(self, category: str) -> int:
        self.counts[category] = self.counts.get(category, 0) + 1
        number = len(self.objects) + 1
        self.objects[number] = (f"{category}_{self.counts[category]}", category)
        return number

    def add(self, parts, number: int, room: int, turn=None, shift=(0.0, 0.0, 0.0), lit: bool = True) -> None:
        for part in parts:
            moved = part.moved(np.eye(3) if turn is None else turn, np.asarray(shift, float))
            self.parts.append((moved, number, room, lit))

    def building(self, name: str, rooms: list[list[Placed]]) -> Building:
        for room in range(len(self.plan.rects)):
            self._room(room)
        self._outside()
        for opening in self.plan.openings:
            {"door": self._door, "window": self._window, "entrance": self._entrance}[opening.kind](opening)
        for room, placed in enumerate(rooms):
            for p in placed:
                number = self.new(p.piece.category)
                self.add(p.piece.parts, number, room, rotation(y=p.yaw), (p.x, p.y, p.z))
        mesh = self._mesh(rooms)
        seen: dict[str, int] = {}
        listed = []
        for kind, r in zip(self.plan.kinds, self.plan.rects, strict=True):
            seen[kind] = seen.get(kind, 0) + 1
            low, high = np.array([r.x0, 0, r.z0]), np.array([r.x1, self.plan.height, r.z1])
            listed.append(Room(f"{kind}_{seen[kind]}", kind, low, high))
        return Building(name, mesh, boxes(mesh, self.objects), tuple(listed))

    def _frame(self, room: int, side: int):
        """Turn and origin of the wall's frame, and its length: x to the right from inside, z inwards."""
        r = self.plan.rects[room]
        origin = ((r.x0, r.z0), (r.x1, r.z1), (r.x0, r.z1), (r.x1, r.z0))[side]
        _, low, high = r.side(side)
        return np.round(rotation(y=INWARD[side])), (origin[0], 0.0, origin[1]), high - low

    def _along(self, room: int, side: int, opening: Opening) -> tuple[float, float]:
        """From where to where an opening goes in the wall's frame."""
        _, low, high = self.plan.rects[room].side(side)
        if side in (0, 3):
            return opening.low - low, opening.high - low
        return high - opening.high, high - opening.low

    def _room(self, room: int) -> None:
        rng, plan, r = self.rng, self.plan, self.plan.rects[room]
        kind, high = plan.kinds[room], plan.height
        wet = kind in ("bathroom", "kitchen")
        if wet:
            surface = str(rng.choice(["tiles", "mosaic"] if kind == "bathroom" else ["tiles", "boards"]))
            color = hsv(rng.uniform(), rng.uniform(0, 0.25), rng.uniform(0.6, 0.95))
        else:
            surface = str(rng.choice(["boards", "parquet", "carpet"], p=[0.5, 0.3, 0.2]))
        if surface == "carpet":
            color = hsv(rng.uniform(), 0.25, 0.75)
        elif surface in ("boards", "parquet"):
            color = hsv(rng.uniform(0.06, 0.1), rng.uniform(0.35, 0.6), rng.uniform(0.6, 0.95))
        wide, deep = r.x1 - r.x0, r.z1 - r.z0
        floor = _flat(_lines(0, wide, 0.2), _lines(0, deep, 0.2), (), surface, color)
        self.add([floor], self.new("floor"), room, UP, (r.x0, 0, r.z1))
        ceiling = _flat(_lines(0, wide, 0.6), _lines(0, deep, 0.6), (), None, (0.95, 0.95, 0.93))
        self.add([ceiling], self.new("ceiling"), room, DOWN, (r.x0, high, r.z0))
        hue = rng.uniform()
        paint = hsv(hue, rng.uniform(0.02, 0.22), rng.uniform(0.82, 0.96))
        accent = int(rng.integers(4)) if rng.uniform() < 0.5 and not wet else -1
        tiled = kind == "bathroom" or (kind == "kitchen" and rng.uniform() < 0.4)
        skirt = self.frame if not tiled else None
        for side in range(4):
            turn, origin, length = self._frame(room, side)
            spans = [(*self._along(room, s, o), o.bottom, o.top) for s, o in plan.of_room(room) if s == side]
            cuts = [v for span in spans for v in span[:2]], [v for span in spans for v in span[2:]]
            look = paint if side != accent else hsv(hue + 0.5, rng.uniform(0.2, 0.5), rng.uniform(0.5, 0.85))
            cover = "tiles" if tiled else "bricks" if side == accent and rng.uniform() < 0.3 else "plaster"
            wall = _flat(_lines(0, length, 0.8, cuts[0]), _lines(0, high, 0.8, cuts[1]), spans, cover, look)
            number = self.new("wall")
            self.add([wall], number, room, turn, origin)
            if skirt is not None:
                s = Shape()
                self._skirting(s, length, [span for span in spans if span[2] == 0], skirt)
                self.add(s.parts, number, room, turn, origin)

    def _skirting(self, s: Shape, length: float, doors, color) -> None:
        out, high = SKIRTING
        stops = [0.0] + [v for a, b, *_ in sorted(doors) for v in (a - CASING[0], b + CASING[0])] + [length]
        for a, b in zip(stops[::2], stops[1::2], strict=True):
            if b - a < 0.03:
                continue
            left, right = a + out * (a == 0), b - out * (b == length)
            _quad(s, (left, 0, out), (right, 0, out), (right, high, out), (left, high, out), color)
            _quad(s, (left, high, out), (right, high, out), (b, high, 0), (a, high, 0), color)

    def _casing(self, s: Shape, a: float, b: float, top: float) -> None:
        """The frame round a door, on the wall's face."""
        wide, out = CASING
        for x in (a - wide / 2 - 0.0005, b + wide / 2 + 0.0005):
            s.box(
                (x, top / 2 + 0.001, out / 2 + 0.0005), (wide / 2, top / 2, out / 2), self.frame, None, 0.004
            )
        middle, half = (a + b) / 2, (b - a) / 2 + wide + 0.006
        size = (half, wide / 2, out / 2 + 0.002)
        s.box((middle, top + wide / 2 + 0.002, out / 2 + 0.001), size, self.frame, None, 0.004)

    def _reveal(self, s: Shape, a, b, bottom, top, back, color, front=0.0, floor=True) -> None:
        """The inner sides of a hole in the wall, z from `back` to `front`; floor: below, up to the wall."""
        _quad(s, (a, bottom, front), (a, bottom, back), (a, top, back), (a, top, front), color)
        _quad(s, (b, bottom, back), (b, bottom, front), (b, top, front), (b, top, back), color)
        _quad(s, (a, top, back), (b, top, back), (b, top, front), (a, top, front), color)
        if floor:
            _quad(s, (a, bottom, 0), (b, bottom, 0), (b, bottom, back), (a, bottom, back), color)

    def _door(self, door: Opening) -> None:
        turn, origin, _ = self._frame(door.room, door.side)
        a, b = self._along(door.room, door.side, door)
        s, deep, lip = Shape(), self.plan.wall, CASING[1] - 0.004  # over the casing's inner edge
        self._reveal(s, a, b, 0.0, door.top, -deep - lip, self.frame, lip, floor=False)
        self._casing(s, a, b, door.top)
        number = self.new("door")
        self.add(s.parts, number, door.room, turn, origin)
        other, back, _ = self._frame(door.other, door.side ^ 1)
        s = Shape()
        self._casing(s, *self._along(door.other, door.side ^ 1, door), door.top)
        self.add(s.parts, number, door.other, other, back)
        s = Shape()
        _quad(s, (a, 0, 0), (b, 0, 0), (b, 0, -deep), (a, 0, -deep), self.style.dark, "wood")
        self.add(s.parts, self.new("floor"), door.room, turn, origin)

    def _window(self, window: Opening) -> None:
        turn, origin, _ = self._frame(window.room, window.side)
        a, b = self._along(window.room, window.side, window)
        low, top = window.bottom, window.top
        s, middle, half = Shape(), (a + b) / 2, (b - a) / 2
        self._reveal(s, a, b, low, top, -RECESS, (0.92, 0.92, 0.9))
        bar, z = 0.025, -RECESS + 0.03
        for x in (a + bar + 0.002, b - bar - 0.002):
            s.box((x, (low + top) / 2, z), (bar, (top - low) / 2 - 0.002, 0.02), WHITE, None, 0.004)
        for y in (low + bar + 0.002, top - bar - 0.002):
            s.box((middle, y, z), (half - 2 * bar - 0.003, bar, 0.018), WHITE, None, 0.004)
        if b - a > 0.9:
            s.box(
                (middle, (low + top) / 2, z),
                (bar * 0.8, (top - low) / 2 - 2 * bar - 0.003, 0.016),
                WHITE,
                None,
                0.004,
            )
        s.box((middle, low + 0.013, -0.022), (half - 0.003, 0.012, 0.045), WHITE, None, 0.003)
        number = self.new("window")
        self.add(s.parts, number, window.room, turn, origin)
        pane = Shape()
        pane.panel((middle, (low + top) / 2, -RECESS), b - a, top - low, (1, 1, 1), outdoors(self.rng))
        self.add(pane.parts, number, window.room, turn, origin, lit=False)

    def _entrance(self, door: Opening) -> None:
        turn, origin, _ = self._frame(door.room, door.side)
        a, b = self._along(door.room, door.side, door)
        s, top = Shape(), door.top
        self._reveal(s, a, b, 0.0, top, -RECESS, self.frame, CASING[1] - 0.004)
        self._casing(s, a, b, top)
        middle, half = (a + b) / 2, (b - a) / 2
        leaf = self.style.front if self.rng.uniform() < 0.5 else self.style.dark
        _quad(s, (a, 0, -RECESS), (b, 0, -RECESS), (b, top, -RECESS), (a, top, -RECESS), leaf)
        s.box((middle, top / 2, -0.06), (half - 0.004, top / 2 - 0.004, 0.02), leaf, "wood", 0.004)
        for x in (-half / 2, half / 2):
            for y, h in ((0.55, 0.33), (1.45, 0.42)):
                s.box((middle + x, y, -0.04), (half / 2 - 0.08, h, 0.008), leaf * 1.1, "wood", 0.007)
        s.lathe(
            [(0.026, 0), (0.026, 0.008), (0.01, 0.02), (0.01, 0.05)],
            STEEL,
            None,
            14,
            (b - 0.08, 1.0, -0.039),
            SIDEWAYS,
        )
        s.box((b - 0.13, 1.0, 0.008), (0.06, 0.009, 0.009), STEEL, None, 0.006)
        self.add(s.parts, self.new("door"), door.room, turn, origin)

    def _outside(self) -> None:
        """The tops of the walls, and their outer faces."""
        plan, o = self.plan, self.plan.outer
        wide, deep = o.x1 - o.x0, o.z1 - o.z0
        holes = [(r.x0 - o.x0, r.x1 - o.x0, o.z1 - r.z1, o.z1 - r.z0) for r in plan.rects]
        x = np.unique(np.round([0, wide, *(v for h in holes for v in h[:2])], 5))
        z = np.unique(np.round([0, deep, *(v for h in holes for v in h[2:])], 5))
        number, color = self.new("wall"), (0.42, 0.4, 0.38)
        self.add([_flat(x, z, holes, None, color)], number, -1, UP, (o.x0, plan.height, o.z1))
        for side, origin in enumerate(((o.x1, o.z0), (o.x0, o.z1), (o.x0, o.z0), (o.x1, o.z1))):
            length = wide if side < 2 else deep
            turn = np.round(rotation(y=INWARD[side] + np.pi))
            face = _flat(np.array([0, length]), np.array([0, plan.height]), (), "bricks", (0.8, 0.66, 0.56))
            self.add([face], number, -1, turn, (origin[0], 0, origin[1]))

    def _mesh(self, rooms: list[list[Placed]]) -> Mesh:
        parts = [part for part, *_ in self.parts]
        sizes = np.array([len(part.vertices) for part in parts])
        faces_of = np.array([len(part.faces) for part in parts])
        offsets = np.concatenate([[0], sizes.cumsum()[:-1]])
        vertices = np.round(np.concatenate([part.vertices for part in parts]), 5)
        normals = np.concatenate([part.normals for part in parts])
        colors = np.concatenate([part.colors for part in parts])
        room = np.repeat([room for _, _, room, _ in self.parts], sizes)
        lit = np.repeat([lit for *_, lit in self.parts], sizes)
        category = np.array([""] + [category for _, category in self.objects.values()])
        numbers = np.array([number for _, number, _, _ in self.parts])
        shell = np.repeat(np.isin(category[numbers], ("wall", "floor", "ceiling")), sizes)
        for index, rect in enumerate(self.plan.rects):
            mine = (room == index) & lit
            light = _light(vertices[mine], normals[mine], rect, self.plan, index)
            light *= _corners(
                vertices[mine], normals[mine], shell[mine], rect, self.plan.height, rooms[index]
            )
            colors[mine] *= light[:, None]
        textures: list[np.ndarray] = []
        known: dict[object, int] = {}
        chosen = np.full(len(parts), -1, np.int32)
        for n, part in enumerate(parts):
            if part.surface is None:
                continue
            key: object = part.surface if isinstance(part.surface, str) else id(part.surface)
            if key not in known:
                known[key] = len(textures)
                textures.append(pattern(part.surface) if isinstance(part.surface, str) else part.surface)
            chosen[n] = known[key]
        return Mesh(
            vertices.astype(np.float32),
            np.concatenate([part.faces for part in parts]).astype(np.int32)
            + np.repeat(offsets, faces_of)[:, None].astype(np.int32),
            np.rint(np.clip(colors, 0, 1) * 255).astype(np.uint8),
            np.concatenate([part.uv for part in parts]).astype(np.float32),
            tuple(textures),
            np.repeat(chosen, faces_of),
            np.repeat(numbers, faces_of).astype(np.int32),
        )


def _light(points, normals, rect: Rect, plan: Plan, room: int) -> np.ndarray:
    """(N,) light from the ceiling's lamps, the windows and everywhere, about 0.5 to 1.1."""
    wide, deep = rect.x1 - rect.x0, rect.z1 - rect.z0
    lamps = max(1, round(max(wide, deep) / 4.5))
    total = np.full(len(points), 0.56) + 0.06 * np.abs(normals[:, 0]) + 0.3 * np.maximum(-normals[:, 1], 0)
    for n in range(lamps):
        t = (n + 0.5) / lamps - 0.5
        x, z = (
            (rect.x0 + rect.x1) / 2 + t * wide * (wide > deep),
            (rect.z0 + rect.z1) / 2 + t * deep * (wide <= deep),
        )
        ray = np.array([x, plan.height - 0.3, z]) - points
        far = np.maximum(np.linalg.norm(ray, axis=1), 0.3)
        facing = np.maximum((normals * ray).sum(axis=1) / far, 0)
        total += 0.62 * facing / (1 + (far / 2.6) ** 2) / lamps**0.4
    for side, o in plan.of_room(room):
        if o.kind != "window":
            continue
        across = rect.side(side)[0]
        middle = (o.low + o.high) / 2
        at = (middle, across) if side < 2 else (across, middle)
        ray = np.array([at[0], (o.bottom + o.top) / 2, at[1]]) - points
        far = np.maximum(np.linalg.norm(ray, axis=1), 0.4)
        facing = np.maximum((normals * ray).sum(axis=1) / far, 0)
        total += 0.16 * facing * (o.high - o.low) / (1 + (far / 2) ** 2)
    return total


def _corners(points, normals, shell, rect: Rect, height: float, placed: list[Placed]) -> np.ndarray:
    """(N,) the darkening of the room's corners, of what is close to the floor, and of the floor below it."""
    across = np.stack(
        [points[:, 0] - rect.x0, rect.x1 - points[:, 0], points[:, 2] - rect.z0, rect.z1 - points[:, 2],
         points[:, 1], height - points[:, 1]], axis=1,
    )  # fmt: skip
    facing = np.stack(
        [normals[:, 0], -normals[:, 0], normals[:, 2], -normals[:, 2], normals[:, 1], -normals[:, 1]], 1
    )
    near = np.exp(-np.maximum(across, 0) / 0.22) * (np.abs(facing) < 0.5)
    dark = np.where(shell, 1 - 0.22 * np.minimum(near.sum(axis=1), 1.3), 1.0)
    low = np.clip(1 - points[:, 1] / 0.35, 0, 1) * (1 - np.maximum(normals[:, 1], 0))
    dark = np.where(shell, dark, 1 - 0.3 * low)
    floor = shell & (points[:, 1] == 0) & (normals[:, 1] > 0.5)
    under = np.ones(int(floor.sum()))
    at = points[floor]
    for p in placed:
        bottom = p.y + p.piece.low[1]
        if bottom > 0.3 or p.piece.high[1] < 0.05:
            continue
        box = p.footprint()
        dx = np.maximum(np.maximum(box.x0 + 0.05 - at[:, 0], at[:, 0] - box.x1 + 0.05), 0)
        dz = np.maximum(np.maximum(box.z0 + 0.05 - at[:, 2], at[:, 2] - box.z1 + 0.05), 0)
        under *= 1 - 0.4 * np.exp(-np.hypot(dx, dz) / 0.14)
    dark[floor] *= np.maximum(under, 0.45)
    return dark
