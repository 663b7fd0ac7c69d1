"""Floor plans: rectangular rooms, the doorways that join them, windows and the entrance, all from a seed.

The plan lies in x and z, metres. Sides of a room: 0 at its least z, 1 at its greatest z, 2 at its least x, 3
at its greatest x; a place along a side is its x (sides 0, 1) or z (sides 2, 3).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import combinations

import numpy as np

DOOR_HEIGHT = 2.1
INWARD = (0.0, np.pi, np.pi / 2, -np.pi / 2)  # yaw that turns +Z from a side into the room

# kind: area aimed at, least width, metres
KINDS = {
    "living_room": (21.0, 3.5),
    "bedroom": (13.0, 2.9),
    "kitchen": (10.0, 2.4),
    "bathroom": (6.0, 1.9),
    "study": (9.5, 2.4),
    "dining_room": (12.0, 2.9),
}


@dataclass(frozen=True)
class Rect:
    """Metres: x from x0 to x1, z from z0 to z1."""

    x0: float
    z0: float
    x1: float
    z1: float

    def side(self, side: int) -> tuple[float, float, float]:
        """Where a side lies across itself, and from where to where along."""
        across = (self.z0, self.z1, self.x0, self.x1)[side]
        return (across, self.x0, self.x1) if side < 2 else (across, self.z0, self.z1)

    def grown(self, margin: float) -> Rect:
        return Rect(self.x0 - margin, self.z0 - margin, self.x1 + margin, self.z1 + margin)

    def meets(self, other: Rect, gap: float = 0.0) -> bool:
        """Whether less than `gap` lies between the two."""
        return (
            self.x0 < other.x1 + gap
            and other.x0 < self.x1 + gap
            and self.z0 < other.z1 + gap
            and other.z0 < self.z1 + gap
        )

    def inside(self, other: Rect) -> bool:
        return self.x0 >= other.x0 and self.x1 <= other.x1 and self.z0 >= other.z0 and self.z1 <= other.z1

    @property
    def area(self) -> float:
        return (self.x1 - self.x0) * (self.z1 - self.z0)


@dataclass(frozen=True)
class Opening:
    """A hole in a wall: along the side from `low` to `high`, in height from `bottom` to `top`.

    kind: "door" (with `other`, the room beyond), "entrance" (closed) or "window"
    """

    kind: str
    room: int
    side: int
    low: float
    high: float
    bottom: float
    top: float
    other: int = -1


@dataclass(frozen=True)
class Plan:
    """`kinds` and `rects` of the rooms (clear of walls), what is in their walls; metres."""

    kinds: tuple[str, ...]
    rects: tuple[Rect, ...]
    wall: float
    height: float
    openings: tuple[Opening, ...] = field(default=())

    def of_room(self, room: int) -> list[tuple[int, Opening]]:
        """(side, opening) of all that is in a room's walls, doors of neighbours too."""
        own = [(o.side, o) for o in self.openings if o.room == room]
        return own + [(o.side ^ 1, o) for o in self.openings if o.kind == "door" and o.other == room]

    def doorway(self, door: Opening) -> Rect:
        """The floor inside the wall below a door."""
        across = self.rects[door.room].side(door.side)[0]
        beyond = self.rects[door.other].side(door.side ^ 1)[0]
        low, high = min(across, beyond), max(across, beyond)
        return Rect(door.low, low, door.high, high) if door.side < 2 else Rect(low, door.low, high, door.high)

    @property
    def outer(self) -> Rect:
        """The outside of the outer walls."""
        corners = np.array([[r.x0, r.z0, r.x1, r.z1] for r in self.rects])
        low, high = corners[:, :2].min(axis=0), corners[:, 2:].max(axis=0)
        return Rect(*low, *high).grown(self.wall + 0.1)


def floor_plan(rng: np.random.Generator) -> Plan:
    """Three to seven rooms, joined by doorways into one apartment."""
    while True:
        count = int(rng.choice([3, 4, 5, 6, 7], p=[0.06, 0.16, 0.26, 0.28, 0.24]))
        wall, height = rng.uniform(0.1, 0.15), rng.uniform(2.45, 2.8)
        layout = (
            "hub" if count < 5 or (count < 7 and rng.uniform() < 0.3) else rng.choice(["corridor", "end"])
        )
        kinds = _kinds(rng, count - (layout != "hub"))
        rooms = {"hub": _hub, "corridor": _corridor, "end": _end}[layout](rng, kinds, wall)
        if rooms is None:
            continue
        rects = _turned(rng, [rect for _, rect in rooms])
        plan = Plan(tuple(kind for kind, _ in rooms), tuple(rects), wall, height)
        if (joined := _with_doors(rng, plan)) is not None:
            return _with_windows(rng, joined)


def _kinds(rng: np.random.Generator, count: int) -> list[str]:
    more = [str(k) for k in rng.permutation(["study", "bedroom", "dining_room", "bathroom"])]
    return ["living_room", "bedroom", "bathroom", "kitchen", *more][:count]


def _row(rng, kinds: list[str], depth: float, length: float, wall: float) -> list[float] | None:
    """Widths of rooms in a row of this depth and length, or None where they would be out of proportion."""
    free = length - wall * (len(kinds) - 1)
    shares = np.array([KINDS[kind][0] * rng.uniform(0.85, 1.15) for kind in kinds])
    widths = shares / shares.sum() * free
    for kind, width in zip(kinds, widths, strict=True):
        area, least = KINDS[kind]
        if min(width, depth) < least or max(width / depth, depth / width) > 2.2:
            return None
        if not 0.6 * area < width * depth < 1.75 * area:
            return None
    return [float(width) for width in widths]


def _split(rng, kinds: list[str]) -> tuple[list[str], list[str]]:
    order = [kinds[i] for i in rng.permutation(len(kinds))]
    cut = int(rng.integers(1, len(order)))
    return order[:cut], order[cut:]


def _two_rows(rng, kinds: list[str], deep: tuple[float, float], wall: float):
    """A corridor along X and a row of rooms on either side of it, `deep` deep; None if in vain."""
    for _ in range(80):
        one, two = _split(rng, kinds)
        depths, wide = rng.uniform(*deep, 2), rng.uniform(1.25, 1.6)
        length = sum(KINDS[kind][0] for kind in kinds) / depths.sum() + wall
        rooms = [("corridor", Rect(0, 0, length, wide))]
        for row, depth, low in ((one, depths[0], -wall - depths[0]), (two, depths[1], wide + wall)):
            widths = _row(rng, row, depth, length, wall)
            if widths is None:
                break
            x = 0.0
            for kind, width in zip(row, widths, strict=True):
                rooms.append((kind, Rect(x, low, x + width, low + depth)))
                x += width + wall
        else:
            return rooms
    return None


def _corridor(rng, kinds: list[str], wall: float):
    """A corridor from end to end, and rooms on both sides of it."""
    return _two_rows(rng, kinds, (2.7, 4.6), wall)


def _end(rng, kinds: list[str], wall: float):
    """A corridor that ends in the living room, which takes the whole depth."""
    rooms = _two_rows(rng, [kind for kind in kinds if kind != "living_room"], (2.4, 3.4), wall)
    if rooms is None:
        return None
    left = rooms[0][1].x1 + wall
    low, high = min(rect.z0 for _, rect in rooms), max(rect.z1 for _, rect in rooms)
    return [*rooms, ("living_room", Rect(left, low, left + rng.uniform(3.5, 4.4), high))]


def _hub(rng, kinds: list[str], wall: float):
    """The living room in the middle or at an end, with a column of rooms on one or both of its sides."""
    for _ in range(80):
        rest = [kind for kind in kinds if kind != "living_room"]
        one, two = (rest, []) if len(rest) < 3 else _split(rng, rest)
        if max(len(one), len(two)) > 3:
            continue
        areas = [sum(KINDS[kind][0] for kind in column) for column in (one, two)]
        depth, wide = rng.uniform(3.8, 7.2), rng.uniform(3.6, 5.2)
        rooms = [("living_room", Rect(0, 0, wide, depth))]
        if not 16 < wide * depth < 34:
            continue
        ok = True
        for column, area, side in ((one, areas[0], -1), (two, areas[1], 1)):
            if not column:
                continue
            across = area / depth * rng.uniform(0.8, 1.4)
            lengths = _row(rng, column, across, depth, wall)
            if lengths is None:
                ok = False
                break
            z, x = 0.0, -wall - across if side < 0 else wide + wall
            for kind, length in zip(column, lengths, strict=True):
                rooms.append((kind, Rect(x, z, x + across, z + length)))
                z += length + wall
        if ok:
            return rooms
    return None


def _turned(rng, rects: list[Rect]) -> list[Rect]:
    """The plan mirrored and turned at random, its middle at the origin."""
    corners = np.array([[[r.x0, r.z0], [r.x1, r.z1]] for r in rects])
    if rng.uniform() < 0.5:
        corners = corners[..., ::-1]
    corners = corners * rng.choice([-1.0, 1.0], 2)
    low, high = corners.min(axis=1), corners.max(axis=1)
    middle = np.round((low.min(axis=0) + high.max(axis=0)) / 2, 3)
    return [
        Rect(*map(float, np.concatenate([a - middle, b - middle]))) for a, b in zip(low, high, strict=True)
    ]


def _shared(plan: Plan, a: int, b: int) -> tuple[int, float, float] | None:
    """The side of room a that room b lies behind, and where they run along each other."""
    for side in range(4):
        across, low, high = plan.rects[a].side(side)
        beyond, low2, high2 = plan.rects[b].side(side ^ 1)
        gap = (across - beyond) if side in (0, 2) else (beyond - across)
        if abs(gap - plan.wall) < 1e-6 and min(high, high2) - max(low, low2) > 1.25:
            return side, max(low, low2), min(high, high2)
    return None


def _with_doors(rng, plan: Plan) -> Plan | None:
    """Doorways: a tree over all rooms that prefers corridor and living room, and a few more for loops."""
    edges = []
    for a, b in combinations(range(len(plan.rects)), 2):
        if (shared := _shared(plan, a, b)) is None:
            continue
        kinds = {plan.kinds[a], plan.kinds[b]}
        cost = 0 if "corridor" in kinds else 1 if "living_room" in kinds else 4
        cost += 2 * ("bathroom" in kinds) * (cost > 0)
        edges.append((cost + rng.uniform(0, 0.5), a, b, shared, kinds))
    group, openings = list(range(len(plan.rects))), []
    for _, a, b, (side, low, high), kinds in sorted(edges, key=lambda edge: edge[0]):
        open_plan = kinds <= {"living_room", "kitchen", "dining_room", "corridor"} and "living_room" in kinds
        loop = group[a] == group[b]
        if loop and rng.uniform() > (0.65 if open_plan else 0.12):
            continue
        group = [group[a] if g == group[b] else g for g in group]
        room = high - low - 0.3
        width = 0.95
        if open_plan and rng.uniform() < 0.6:
            width = float(np.clip(room, 0.95, rng.uniform(1.2, 1.9)))
        spare = room - width
        start = low + 0.15 + spare * rng.choice([0.0, 1.0, rng.uniform()])
        if plan.kinds[a] == "corridor" or plan.kinds[b] == "corridor":
            start = low + 0.15 + spare * rng.uniform(0.1, 0.9)
        openings.append(Opening("door", a, side, start, start + width, 0.0, DOOR_HEIGHT, b))
    return replace(plan, openings=tuple(openings)) if len(set(group)) == 1 else None


def _outside(plan: Plan, room: int) -> list[int]:
    """The sides of a room with nothing behind them."""
    sides = []
    for side in range(4):
        across, low, high = plan.rects[room].side(side)
        sign = -1 if side in (0, 2) else 1
        near, far = sorted((across + sign * 0.01, across + sign * (plan.wall + 0.3)))
        strip = Rect(low, near, high, far) if side < 2 else Rect(near, low, far, high)
        if not any(strip.meets(other) for i, other in enumerate(plan.rects) if i != room):
            sides.append(side)
    return sides


def _with_windows(rng, plan: Plan) -> Plan:
    """The entrance, and windows in the outer walls."""
    order = [i for k in ("corridor", "living_room") for i, kind in enumerate(plan.kinds) if kind == k]
    openings = list(plan.openings)
    for room in order:
        if sides := [s for s in _outside(plan, room) if np.ptp(plan.rects[room].side(s)[1:]) > 1.2]:
            side = int(rng.choice(sides))
            _, low, high = plan.rects[room].side(side)
            start = low + 0.13 + (high - low - 0.26 - 0.95) * rng.choice([0.0, 1.0])
            openings.append(Opening("entrance", room, side, start, start + 0.95, 0.0, DOOR_HEIGHT))
            break
    entrance = openings[-1]
    for room, kind in enumerate(plan.kinds):
        sides = [s for s in _outside(plan, room) if (room, s) != (entrance.room, entrance.side)]
        for n, side in enumerate(rng.permutation(sides)):
            if n and rng.uniform() < 0.4:
                continue
            _, low, high = plan.rects[room].side(side)
            small = kind in ("bathroom", "corridor")
            count = 2 if high - low > 4.6 and not small else 1
            for k in range(count):
                start, stop = low + (high - low) * k / count, low + (high - low) * (k + 1) / count
                width = min(0.6 if small else rng.uniform(1.1, 1.8), stop - start - 0.6)
                if width < 0.5:
                    continue
                middle = (start + stop) / 2 + rng.uniform(-0.5, 0.5) * (stop - start - width - 0.6)
                bottom = 1.35 if small else 1.1 if kind == "kitchen" else 0.85
                openings.append(
                    Opening("window", room, int(side), middle - width / 2, middle + width / 2, bottom, 2.15)
                )
    return replace(plan, openings=tuple(openings))
