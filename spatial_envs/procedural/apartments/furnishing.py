"""Furnishing a room: what each kind of room gets, and where it may stand.

A piece is placed where it is inside the room, clear of what stands there, of doors' and windows' zones, and
where passages 0.5 m wide still join all doors of the room and reach every piece.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import cos as cosine
from math import pi
from math import sin as sine

import numpy as np
from scipy import ndimage

from spatial_envs.procedural import furniture as f
from spatial_envs.procedural.apartments.floor_plans import INWARD, Plan, Rect
from spatial_envs.procedural.furniture import Piece, Style

GAP = 0.02  # metres between furniture and a wall, more than the skirting board
OFF = 0.0015  # metres between furniture and the floor, or the wall that it hangs on
CELL, PASSAGE = 0.08, 0.5  # metres
EYE = 1.55  # metres: the height of pictures' centres


@dataclass(frozen=True, eq=False)
class Placed:
    """A piece in the apartment: turned by yaw about Y, then moved to (x, y, z), metres."""

    piece: Piece
    yaw: float
    x: float
    y: float
    z: float

    def footprint(self) -> Rect:
        """Its bounding box, seen from above."""
        middle, half = (self.piece.low + self.piece.high) / 2, (self.piece.high - self.piece.low) / 2
        cos, sin = cosine(self.yaw), sine(self.yaw)
        x, z = self.x + cos * middle[0] + sin * middle[2], self.z - sin * middle[0] + cos * middle[2]
        across = abs(cos) * half[0] + abs(sin) * half[2]
        along = abs(sin) * half[0] + abs(cos) * half[2]
        return Rect(x - across, z - along, x + across, z + along)


@dataclass(frozen=True, eq=False)
class Item:
    """A piece of a group, in the frame of a wall: x along it, z off it. `solid` pieces are walked round."""

    piece: Piece
    x: float = 0.0
    z: float = 0.0
    y: float = OFF
    yaw: float = 0.0
    solid: bool = True


def behind(piece: Piece, x: float = 0.0, gap: float = GAP) -> Item:
    """The piece with its back to the wall."""
    return Item(piece, x, gap - float(piece.low[2]))


class Space:
    """A room while it is furnished."""

    def __init__(self, plan: Plan, room: int, rng: np.random.Generator, style: Style):
        self.rng, self.style, self.height = rng, style, plan.height
        self.kind, self.rect = plan.kinds[room], plan.rects[room]
        self.dining = "dining_room" in plan.kinds
        self.placed: list[Placed] = []
        self.solids: list[Rect] = []
        self.keeps: list[Rect] = []
        self.groups: list[Rect] = []
        self.rugs: list[Rect] = []
        self.on_walls: list[tuple[int, float, float, float, float]] = []
        self.windows = [(side, o) for side, o in plan.of_room(room) if o.kind == "window"]
        xs = np.arange(self.rect.x0 + CELL / 2, self.rect.x1, CELL)
        zs = np.arange(self.rect.z0 + CELL / 2, self.rect.z1, CELL)
        self.grid = np.meshgrid(xs, zs)
        inner = self.rect.grown(-PASSAGE / 2)
        self.blocked = ~self._cells(inner)
        self.anchors = []
        for side, opening in plan.of_room(room):
            margin = 0.18 if opening.kind == "window" else 0.1
            span = (opening.low - margin, opening.high + margin)
            self.on_walls.append((side, *span, opening.bottom - 0.05, opening.top + 0.1))
            if opening.kind == "window":
                continue
            across, low, high = self.rect.side(side)
            sign = 1 if side in (0, 2) else -1
            near, far = sorted((across, across + sign * 0.75))
            a, b = max(span[0], low), min(span[1], high)
            self.keeps.append(Rect(a, near, b, far) if side < 2 else Rect(near, a, far, b))
            middle, deep = (opening.low + opening.high) / 2, across + sign * (PASSAGE / 2 + 0.06)
            at = (middle, deep) if side < 2 else (deep, middle)
            self.anchors.append((int((at[1] - self.rect.z0) / CELL), int((at[0] - self.rect.x0) / CELL)))

    def length(self, side: int) -> float:
        _, low, high = self.rect.side(side)
        return high - low

    def _cells(self, rect: Rect) -> np.ndarray:
        x, z = self.grid
        return (x > rect.x0) & (x < rect.x1) & (z > rect.z0) & (z < rect.z1)

    def frame(self, side: int, s: float) -> tuple[float, float, float]:
        """(yaw, x, z) of the wall's frame at `s` metres from its left end, seen from inside the room."""
        r = self.rect
        x, z = ((r.x0 + s, r.z0), (r.x1 - s, r.z1), (r.x0, r.z1 - s), (r.x1, r.z0 + s))[side]
        return INWARD[side], x, z

    def _put(self, frame, items: Sequence[Item]) -> list[Placed]:
        yaw, x, z = frame
        cos, sin = np.cos(yaw), np.sin(yaw)
        return [
            Placed(i.piece, yaw + i.yaw, x + cos * i.x + sin * i.z, i.y, z - sin * i.x + cos * i.z)
            for i in items
        ]

    def _local(self, frame, low_x, low_z, high_x, high_z) -> Rect:
        yaw, x, z = frame
        cos, sin = round(float(np.cos(yaw))), round(float(np.sin(yaw)))
        a = (x + cos * low_x + sin * low_z, z - sin * low_x + cos * low_z)
        b = (x + cos * high_x + sin * high_z, z - sin * high_x + cos * high_z)
        return Rect(min(a[0], b[0]), min(a[1], b[1]), max(a[0], b[0]), max(a[1], b[1]))

    def _shadows(self, rect: Rect, bottom: float, top: float):
        """Where a body covers the walls that it stands before."""
        for side in range(4):
            across = self.rect.side(side)[0]
            near = (rect.z0, rect.z1, rect.x0, rect.x1)[side]
            if abs(near - across) < 0.3:
                span = (rect.x0, rect.x1) if side < 2 else (rect.z0, rect.z1)
                yield side, *span, bottom, top

    def _covered(self, shadow) -> bool:
        side, low, high, bottom, top = shadow
        return any(
            side == s and low < right and left < high and bottom < t and b < top
            for s, left, right, b, t in self.on_walls
        )

    def _admits(self, solids: list[Rect], keeps: list[Rect]) -> np.ndarray | None:
        """What is blocked after these are placed; None where they may not be."""
        inside = self.rect.grown(-0.012)
        if not all(solid.inside(inside) for solid in solids):
            return None
        if any(solid.meets(other, 0.015) for solid in solids for other in self.solids):
            return None
        if any(solid.meets(keep) for solid in solids for keep in self.keeps):
            return None
        room = self.rect.grown(0.01)
        if any(not keep.inside(room) or any(keep.meets(o) for o in self.solids) for keep in keeps):
            return None
        blocked = self.blocked.copy()
        for solid in solids:
            blocked |= self._cells(solid.grown(PASSAGE / 2 + 0.01))
        labels, _ = ndimage.label(~blocked)
        here = labels[self.anchors[0]]
        if here == 0 or any(labels[anchor] != here for anchor in self.anchors):
            return None
        free = labels == here
        new = Rect(
            min(s.x0 for s in solids),
            min(s.z0 for s in solids),
            max(s.x1 for s in solids),
            max(s.z1 for s in solids),
        )
        reach = PASSAGE / 2 + 0.3
        if any((free & self._cells(group.grown(reach))).sum() < 3 for group in [*self.groups, new]):
            return None
        return blocked

    def _commit(self, placed, solids, keeps, shadows, blocked) -> None:
        self.placed += placed
        self.solids += solids
        self.keeps += keeps
        self.on_walls += shadows
        self.blocked = blocked
        if solids:
            self.groups.append(
                Rect(
                    min(s.x0 for s in solids),
                    min(s.z0 for s in solids),
                    max(s.x1 for s in solids),
                    max(s.z1 for s in solids),
                )
            )

    def stand(
        self, frame, items: Sequence[Item], keeps: Sequence[tuple[float, float, float, float]] = ()
    ) -> bool:
        """Place a group in a frame, if it may stand there. keeps: (x0, z0, x1, z1), to be left free."""
        placed = self._put(frame, items)
        bodies = [
            (p.footprint(), p.y, p.y + (0.95 if p.piece.category == "sink" else p.piece.height))
            for p, item in zip(placed, items, strict=True)
            if item.solid
        ]
        tall = [
            (p.footprint(), p.y, p.y + p.piece.height)
            for p, item in zip(placed, items, strict=True)
            if not item.solid and item.y > 0.1
        ]
        rugs = [p.footprint() for p, item in zip(placed, items, strict=True) if item.piece.category == "rug"]
        shadows = [shadow for body in [*bodies, *tall] for shadow in self._shadows(*body)]
        if any(self._covered(shadow) for shadow in shadows):
            return False
        if any(
            not rug.inside(self.rect.grown(-0.03)) or any(rug.meets(o, 0.05) for o in self.rugs)
            for rug in rugs
        ):
            return False
        solids, free = [body[0] for body in bodies], [self._local(frame, *keep) for keep in keeps]
        blocked = self._admits(solids, free) if solids else self.blocked
        if blocked is None:
            return False
        self.rugs += rugs
        self._commit(placed, solids, free, shadows, blocked)
        return True

    def against(
        self,
        items: Sequence[Item],
        keeps: Sequence[tuple[float, float, float, float]] = (),
        sides: Sequence[int] | None = None,
        near: float | None = None,
        corner: float = 0.4,
        tries: int = 30,
        front: float = 0.5,
    ) -> tuple[int, float] | None:
        """Place a group along a wall: (side, place), or None where no try succeeds.

        sides: walls to try, all by default; near: the place from the left that is tried about first;
        corner: how often it is pushed into a corner; front: metres left free before it.
        """
        solid = [item for item in items if item.solid]
        spans = [self._span(item) for item in solid]
        left, right = min(s[0] for s in spans), max(s[1] for s in spans)
        if front:
            keeps = [
                *keeps,
                (left, max(s[2] for s in spans) + 0.001, right, max(s[2] for s in spans) + front),
            ]
        for attempt in range(tries):
            side = int(self.rng.choice([0, 1, 2, 3] if sides is None else sides))
            low, high = GAP - left, self.length(side) - GAP - right
            if low > high:
                continue
            s = self.rng.uniform(low, high)
            if self.rng.uniform() < corner:
                s = self.rng.choice([low, high])
            if near is not None:
                s = np.clip(near + self.rng.normal() * 0.06 * attempt, low, high)
            if self.stand(self.frame(side, float(s)), items, keeps):
                return side, float(s)
        return None

    @staticmethod
    def _span(item: Item) -> tuple[float, float, float]:
        """Least and greatest x, greatest z in the wall's frame."""
        box = Placed(item.piece, item.yaw, item.x, 0, item.z).footprint()
        return box.x0, box.x1, box.z1

    def free(
        self, items: Sequence[Item], margin: float = 0.35, tries: int = 30, middle: bool = False
    ) -> bool:
        """Place a group away from the walls, with a margin round it."""
        boxes = [Placed(i.piece, i.yaw, i.x, 0, i.z).footprint() for i in items if i.solid]
        low = (min(b.x0 for b in boxes) - margin, min(b.z0 for b in boxes) - margin)
        high = (max(b.x1 for b in boxes) + margin, max(b.z1 for b in boxes) + margin)
        r = self.rect
        for attempt in range(tries):
            x, z = self.rng.uniform(r.x0, r.x1), self.rng.uniform(r.z0, r.z1)
            if middle:
                spread = 0.08 * attempt
                x, z = (
                    (r.x0 + r.x1) / 2 + self.rng.normal() * spread,
                    (r.z0 + r.z1) / 2 + self.rng.normal() * spread,
                )
            frame = (INWARD[int(self.rng.integers(4))], x, z)
            if self.stand(frame, items, [(*low, *high)]):
                return True
        return False

    def hang(
        self,
        piece: Piece,
        y: float = EYE,
        sides: Sequence[int] | None = None,
        near: float | None = None,
        tries: int = 14,
    ) -> tuple[int, float] | None:
        """Hang a piece on a wall, its centre at height y."""
        half = piece.width / 2 + 0.06
        for _ in range(tries):
            side = int(self.rng.choice([0, 1, 2, 3] if sides is None else sides))
            if self.length(side) < 2 * half + 0.1:
                continue
            s = self.rng.uniform(half, self.length(side) - half) if near is None else near
            frame = self.frame(side, float(s))
            rect = self._local(frame, -half, 0.0, half, 0.05)
            span = (rect.x0, rect.x1) if side < 2 else (rect.z0, rect.z1)
            shadow = (side, *span, y + float(piece.low[1]) - 0.05, y + float(piece.high[1]) + 0.05)
            if not self._covered(shadow):
                self.placed += self._put(frame, [Item(piece, y=y, z=OFF)])
                self.on_walls.append(shadow)
                return side, float(s)
        return None

    def curtains(self, chance: float) -> None:
        """Curtains before windows, down to the floor where nothing stands below."""
        for side, window in self.windows:
            if self.rng.uniform() > chance:
                continue
            top, wide = window.top + 0.1, window.high - window.low + 0.14
            _, low, high = self.rect.side(side)
            middle = (window.low + window.high) / 2
            s = middle - low if side in (0, 3) else high - middle
            if min(s, high - low - s) < wide / 2 + 0.14:
                continue
            for bottom in (0.06, window.bottom - 0.1):
                piece = f.curtain(self.rng, self.style, wide, top - bottom)
                put = self._put(self.frame(side, s), [Item(piece, y=top, z=OFF)])
                rect = put[0].footprint()
                if any(rect.meets(keep) for keep in self.keeps if bottom < 0.1):
                    continue
                if not any(rect.meets(solid, 0.03) for solid in self.solids):
                    self.placed += put
                    if bottom < 0.1:
                        self.solids.append(rect)
                    break


def _on(base: Item, piece: Piece, x: float = 0.0, z: float = 0.0, yaw: float = 0.0) -> Item:
    """The piece on top of another one."""
    return Item(piece, base.x + x, base.z + z, base.y + base.piece.height + OFF, yaw, solid=False)


def _small(space: Space, base: Item, x: float, z: float, room: float, top: float | None = None) -> list[Item]:
    """Now and then something that stands on the piece, whose top is at `top`."""
    if space.rng.uniform() < 0.35:
        return []
    if space.rng.uniform() < 0.3:
        piece = f.plant(space.rng, space.style, room * 1.6)
        room = 0.0
    else:
        piece = f.ornaments(space.rng, space.style, room)
    y = base.y + (base.piece.height if top is None else top) + OFF
    return [Item(piece, base.x + x, base.z + z, y, space.rng.uniform(-0.4, 0.4), solid=False)]


def _seats(space: Space, table: Piece, count: int, x: float, z: float) -> list[Item]:
    """Chairs round a table at (x, z): at its long sides, then its ends."""
    rng, kind = space.rng, int(space.rng.integers(3))
    items, half_x, half_z = [], table.width / 2, table.depth / 2
    long = [-half_x * 0.48, half_x * 0.48] if table.width > 1.25 else [0.0]
    places = [(at, sign * (half_z + 0.12), 0.0 if sign < 0 else pi) for at in long for sign in (-1, 1)]
    places += [(sign * (half_x + 0.12), 0.0, pi / 2 if sign < 0 else -pi / 2) for sign in (-1, 1)]
    for px, pz, yaw in places[:count]:
        piece = f.chair(np.random.default_rng(kind), space.style, kind)
        pull = rng.uniform(0.0, 0.14)
        px, pz = px + np.sign(px) * pull * (abs(px) > half_x), pz + np.sign(pz) * pull * (abs(pz) > half_z)
        items.append(Item(piece, x + px, z + pz, OFF, yaw + rng.normal() * 0.08))
    return items


def _pictures(space: Space, count: int) -> None:
    for _ in range(count):
        wide, high = space.rng.uniform(0.35, 1.0), space.rng.uniform(0.35, 0.7)
        space.hang(f.picture(space.rng, space.style, wide, high), EYE + space.rng.uniform(-0.05, 0.1))


def _corner_things(space: Space, *makes: Callable[[], Piece]) -> None:
    for make in makes:
        space.against([behind(make(), gap=0.03)], corner=0.9, front=0.0, tries=20)


def _ceiling_lamps(space: Space) -> None:
    r = space.rect
    x, z, wide, deep = (r.x0 + r.x1) / 2, (r.z0 + r.z1) / 2, r.x1 - r.x0, r.z1 - r.z0
    count = max(1, round(max(wide, deep) / 4.5))
    for n in range(count):
        t = (n + 0.5) / count - 0.5
        piece = f.ceiling_lamp(np.random.default_rng(space.rng.integers(4)), space.style, space.height)
        at = (x + t * wide, z) if wide > deep else (x, z + t * deep)
        space.placed.append(Placed(piece, 0.0, at[0], 0.0, at[1]))


def _living_room(space: Space) -> None:
    rng, style = space.rng, space.style
    for _ in range(4):
        sofa, small = f.sofa(rng, style), f.coffee_table(rng, style)
        item = behind(sofa)
        z = GAP + sofa.depth + 0.36 + small.depth / 2
        stand = Item(small, 0.0, z - (small.low[2] + small.high[2]) / 2)
        mat = f.rug(rng, style, sofa.width * rng.uniform(0.95, 1.2), small.depth + 1.0)
        items = [item, stand, Item(mat, 0.0, z - 0.12, solid=False)]
        for side in rng.permutation([-1, 1])[: rng.integers(0, 3)]:
            pillow = f.cushion(rng, style)
            items.append(
                Item(pillow, side * (sofa.width / 2 - 0.38), item.z - 0.02, 0.452, side * -0.35, solid=False)
            )
        items += _small(space, stand, rng.uniform(-0.2, 0.2), 0, 0.16)
        long = [s for s in range(4) if space.length(s ^ 2) > 3.0]
        if (spot := space.against(items, sides=long or None, corner=0.1, tries=40)) is not None:
            break
    else:
        spot = space.against([behind(f.sofa(rng, style, 2))])
    wide = rng.uniform(1.2, 1.8)
    cabinet = behind(f.cabinet(rng, style, wide, rng.uniform(0.4, 0.5), 0.38))
    screen = f.tv(rng, style, wide * 0.72)
    group = [cabinet, _on(cabinet, screen, 0, -0.02)]
    placed = None
    if spot is not None:
        placed = space.against(group, sides=[spot[0] ^ 1], near=space.length(spot[0]) - spot[1], tries=20)
    if placed is None:
        space.against(group, corner=0.2)
    if not space.dining and space.rect.area > 16:
        for wide in (rng.uniform(1.4, 1.8), 1.3, 0.9):
            table = f.table(rng, style, wide, 0.85)
            base = Item(table)
            chairs = _seats(space, table, int(rng.integers(3, 7)) if wide > 1 else 2, 0, 0)
            if space.free([base, *chairs, *_small(space, base, 0, 0, 0.22)], 0.3, tries=40):
                break
    for _ in range(1 + (space.rect.area > 22)):
        space.against([behind(f.armchair(rng, style))], corner=0.5, front=0.4)
        space.against([behind(f.bookshelf(rng, style))], corner=0.6, tries=40)
    lamp = f.lamp(rng, style, rng.uniform(1.45, 1.7))
    _corner_things(space, lambda: lamp, *[lambda: f.plant(rng, style, rng.uniform(0.7, 1.4))] * 2)
    if rng.uniform() < 0.7:
        case = behind(f.cabinet(rng, style, rng.uniform(0.9, 1.3), rng.uniform(0.75, 0.9)))
        space.against([case, *_small(space, case, -0.2, 0, 0.2), *_small(space, case, 0.25, 0, 0.2)])
    _pictures(space, int(rng.integers(2, 5)))
    if rng.uniform() < 0.5:
        space.hang(f.clock(rng, style), 1.85)
    space.curtains(0.85)


def _bedroom(space: Space) -> None:
    rng, style = space.rng, space.style
    for width, stands in ((rng.choice([1.4, 1.6, 1.8]), 2), (1.4, 1), (0.95, 1), (0.9, 0)):
        bed = behind(f.bed(rng, style, width))
        items = [bed]
        for side in (-1, 1)[:stands]:
            stand = f.nightstand(rng, style)
            item = behind(stand, side * (width / 2 + stand.width / 2 + 0.04))
            items.append(item)
            if rng.uniform() < 0.75:
                items.append(_on(item, f.lamp(rng, style, rng.uniform(0.38, 0.5)), 0, -0.03))
            else:
                items += _small(space, item, 0, 0, 0.14)
        if width > 1.2:
            items.append(Item(f.rug(rng, style, width + 1.1, 1.5), 0.0, 1.6, solid=False))
        if space.against(items, corner=0.6 if width < 1 else 0.15, tries=40) is not None:
            break
    for doors in (3, 2):
        if space.against([behind(f.wardrobe(rng, style, doors))], corner=0.8, tries=40) is not None:
            break
    if rng.uniform() < 0.7:
        chest = behind(f.chest_of_drawers(rng, style))
        items = [chest, *_small(space, chest, -0.18, 0, 0.16), *_small(space, chest, 0.2, 0, 0.16)]
        if (spot := space.against(items)) is not None and rng.uniform() < 0.6:
            space.hang(f.mirror(rng, style, 0.6, 0.75), 1.62, [spot[0]], spot[1], 1)
    if space.rect.area > 13 and rng.uniform() < 0.5:
        space.against(_desk(space))
    _corner_things(space, lambda: f.plant(rng, style, rng.uniform(0.6, 1.2)))
    if rng.uniform() < 0.5:
        space.against([behind(f.bench(rng, style) if rng.uniform() < 0.5 else f.armchair(rng, style))])
    _pictures(space, int(rng.integers(1, 4)))
    space.curtains(0.95)


def _desk(space: Space) -> list[Item]:
    """A desk with its chair and what stands on it."""
    rng, style = space.rng, space.style
    desk = behind(f.desk(rng, style))
    top = Item(desk.piece, desk.x, desk.z)
    seat = f.office_chair(rng, style) if rng.uniform() < 0.7 else f.chair(rng, style)
    z = GAP + desk.piece.depth + rng.uniform(0.08, 0.2)
    items = [desk, Item(seat, -0.18, z, OFF, pi + rng.normal() * 0.25)]
    y = 0.74 + 2 * OFF
    items.append(Item(f.tv(rng, style, 0.56), -0.15, top.z - 0.17, y, solid=False))
    items.append(Item(f.keyboard(rng, style), -0.2, top.z + 0.12, y, solid=False))
    if rng.uniform() < 0.7:
        items.append(
            Item(f.lamp(rng, style, 0.42), desk.piece.width / 2 - 0.16, top.z - 0.12, y, solid=False)
        )
    return items


def _kitchen_run(space: Space) -> None:
    """Fridge, units, sink and oven in one row, with cabinets above."""
    rng, style = space.rng, space.style
    fridge = f.refrigerator(rng, style)
    makes: dict[str, Callable[[float], Piece]] = {
        "fridge": lambda width: fridge,
        "unit": lambda width: f.counter(rng, style, width),
        "sink": lambda width: f.kitchen_sink(rng, style, width),
        "oven": lambda width: f.oven(rng, style),
    }
    rows = [
        [("fridge", 0.62), ("unit", 0.6), ("sink", 0.8), ("unit", 0.6), ("oven", 0.6), ("unit", 0.5)],
        [("fridge", 0.62), ("unit", 0.5), ("sink", 0.8), ("oven", 0.6), ("unit", 0.5)],
        [("fridge", 0.62), ("sink", 0.8), ("unit", 0.5), ("oven", 0.6)],
        [("fridge", 0.62), ("sink", 0.7), ("oven", 0.6)],
    ]
    for row in rows:
        flip = rng.choice([-1.0, 1.0])
        total, x = sum(width for _, width in row), 0.0
        items, spots = [], []
        for kind, width in row:
            at = flip * (x + width / 2 - total / 2)
            item = behind(makes[kind](width), at, gap=0.022)
            items.append(item)
            if kind == "unit":
                items += _small(space, item, 0.0, -0.1, 0.2)
            if kind != "fridge":
                spots.append((at, width))
            x += width + 0.001
        spot = space.against(items, corner=0.8, tries=50, front=0.7)
        if spot is None:
            continue
        covers = [shadow for shadow in space.on_walls if shadow[3] > 1.0 or shadow[4] > 1.3]
        space.on_walls, kept = covers, space.on_walls
        for at, width in spots:
            if rng.uniform() < 0.9:
                frame = space.frame(spot[0], spot[1] + at)
                piece = f.wall_cabinet(rng, style, width - 0.002)
                rect = space._local(frame, -width / 2 + 0.01, 0, width / 2 - 0.01, 0.05)
                span = (rect.x0, rect.x1) if spot[0] < 2 else (rect.z0, rect.z1)
                high = (spot[0], *span, 1.52, 2.2)
                if not space._covered(high):
                    space.placed += space._put(frame, [Item(piece, y=1.87, z=OFF)])
                    kept.append(high)
        space.on_walls = kept
        return


def _kitchen(space: Space) -> None:
    rng, style = space.rng, space.style
    _kitchen_run(space)
    for wide, deep, count in ((1.3, 0.8, 4), (0.9, 0.8, 2), (0.75, 0.7, 2)):
        table = f.table(rng, style, wide, deep)
        if space.free(
            [Item(table), *_seats(space, table, count, 0, 0), *_small(space, Item(table), 0, 0, 0.2)], 0.2
        ):
            break
        item = behind(table)
        chairs = [
            i for i in _seats(space, table, count, 0, item.z) if i.z > item.z + 0.1 or abs(i.x) > wide / 2
        ]
        if space.against([item, *chairs, *_small(space, item, 0, 0, 0.2)], corner=0.3) is not None:
            break
    if rng.uniform() < 0.5:
        space.against([behind(f.stool(rng, style))], front=0.0)
    _corner_things(space, lambda: f.trash_can(rng, style), lambda: f.plant(rng, style, rng.uniform(0.6, 1.0)))
    space.hang(f.clock(rng, style), 1.9)
    _pictures(space, int(rng.integers(0, 3)))
    space.curtains(0.3)


def _bathroom(space: Space) -> None:
    rng, style = space.rng, space.style
    tub = rng.uniform() < 0.6
    done = None
    if tub:
        for length in (1.7, 1.5):
            done = done or space.against(
                [behind(f.bathtub(rng, style, length))], corner=0.95, front=0.45, tries=40
            )
    if done is None:
        shower = behind(f.shower(rng, style))
        for side in rng.permutation(4):
            s = GAP + shower.piece.width / 2 + 0.002
            if space.stand(space.frame(int(side), s), [shower], [(-0.4, 0.93, 0.4, 1.3)]):
                break
    space.against([behind(f.toilet(rng, style))], corner=0.3, tries=50, front=0.45)
    basin = behind(f.washbasin(rng, style))
    if (spot := space.against([basin], corner=0.3, tries=50, front=0.5)) is not None:
        covers, space.on_walls = space.on_walls, [s for s in space.on_walls if s[4] > 1.25]
        piece = f.mirror(rng, style, basin.piece.width, 0.75)
        hung = space.hang(piece, 1.6, [spot[0]], spot[1], 1)
        space.on_walls = covers + (space.on_walls[-1:] if hung else [])
    if rng.uniform() < 0.6:
        machine = behind(f.washing_machine(rng, style))
        space.against([machine, *_small(space, machine, 0, 0, 0.2)], corner=0.7)
    for _ in range(int(rng.integers(1, 3))):
        space.hang(f.towel(rng, style), 1.3)
    _corner_things(space, lambda: f.trash_can(rng, style))
    if rng.uniform() < 0.5:
        space.against([behind(f.cabinet(rng, style, 0.6, 0.8, 0.32))], corner=0.6)
    if rng.uniform() < 0.4:
        space.against([behind(f.stool(rng, style))], front=0.0)
    r = space.rect
    for _ in range(8):
        frame = (INWARD[int(rng.integers(4))], rng.uniform(r.x0, r.x1), rng.uniform(r.z0, r.z1))
        mat = Item(f.rug(rng, style, 0.75, 0.5), solid=False)
        box = space._put(frame, [mat])[0].footprint()
        if not any(box.meets(solid, 0.02) for solid in space.solids) and space.stand(frame, [mat]):
            break


def _study(space: Space) -> None:
    rng, style = space.rng, space.style
    space.against(_desk(space), corner=0.3, tries=50)
    for _ in range(int(rng.integers(1, 4))):
        space.against([behind(f.bookshelf(rng, style))], corner=0.7)
    space.against([behind(f.armchair(rng, style))], corner=0.5, front=0.4)
    case = behind(f.cabinet(rng, style, rng.uniform(0.8, 1.2), 0.75))
    space.against([case, *_small(space, case, -0.2, 0, 0.2), *_small(space, case, 0.2, 0, 0.2)])
    _corner_things(
        space,
        lambda: f.lamp(rng, style, rng.uniform(1.45, 1.65)),
        lambda: f.plant(rng, style, rng.uniform(0.7, 1.3)),
    )
    _middle_rug(space)
    _pictures(space, int(rng.integers(2, 4)))
    space.curtains(0.7)


def _middle_rug(space: Space) -> None:
    r = space.rect
    wide, deep = (r.x1 - r.x0) * 0.5, (r.z1 - r.z0) * 0.5
    mat = Item(f.rug(space.rng, space.style, wide, deep), solid=False)
    space.stand((0.0, (r.x0 + r.x1) / 2, (r.z0 + r.z1) / 2), [mat])


def _dining_room(space: Space) -> None:
    rng, style = space.rng, space.style
    for wide, count in ((rng.uniform(1.6, 2.0), 6), (1.4, 4), (0.9, 4), (0.9, 2)):
        table = f.table(rng, style, wide, 0.9)
        base = Item(table)
        items = [base, *_seats(space, table, count, 0, 0)]
        items += _small(space, base, -0.2, 0, 0.22) + _small(space, base, 0.25, 0, 0.2)
        if space.free(items, 0.3, tries=40, middle=True):
            break
    case = behind(f.cabinet(rng, style, rng.uniform(1.1, 1.6), rng.uniform(0.75, 0.9)))
    space.against([case, *_small(space, case, -0.3, 0, 0.2), *_small(space, case, 0.3, 0, 0.2)])
    space.against([behind(f.bookshelf(rng, style))], corner=0.7)
    _corner_things(
        space,
        lambda: f.plant(rng, style, rng.uniform(0.8, 1.4)),
        lambda: f.lamp(rng, style, rng.uniform(1.45, 1.65)),
    )
    _pictures(space, int(rng.integers(2, 5)))
    space.curtains(0.8)


def _corridor(space: Space) -> None:
    rng, style = space.rng, space.style
    case = behind(f.cabinet(rng, style, rng.uniform(0.7, 1.0), rng.uniform(0.75, 0.95), 0.24))
    spot = space.against([case, *_small(space, case, 0.15, 0, 0.15)], front=0.4, tries=40)
    if spot is not None and rng.uniform() < 0.7:
        space.hang(f.mirror(rng, style, rng.uniform(0.5, 0.7), 0.8), 1.65, [spot[0]], spot[1], 1)
    space.against([behind(f.bench(rng, style, rng.uniform(0.8, 1.1)))], front=0.4, tries=30)
    _corner_things(space, lambda: f.plant(rng, style, rng.uniform(0.5, 0.9)))
    r = space.rect
    wide, deep = r.x1 - r.x0, r.z1 - r.z0
    long, short = max(wide, deep) * rng.uniform(0.45, 0.65), min(wide, deep) * 0.5
    mat = f.rug(rng, style, long, short) if wide > deep else f.rug(rng, style, short, long)
    if rng.uniform() < 0.7:
        space.stand((0.0, (r.x0 + r.x1) / 2, (r.z0 + r.z1) / 2), [Item(mat, solid=False)])
    _pictures(space, int(rng.integers(2, 6)))


PROGRAMMES: dict[str, Callable[[Space], None]] = {
    "living_room": _living_room,
    "bedroom": _bedroom,
    "kitchen": _kitchen,
    "bathroom": _bathroom,
    "study": _study,
    "dining_room": _dining_room,
    "corridor": _corridor,
}


def furnish(plan: Plan, rng: np.random.Generator, style: Style) -> list[list[Placed]]:
    """What stands, lies and hangs in every room of the plan."""
    rooms = []
    for room, kind in enumerate(plan.kinds):
        space = Space(plan, room, rng, style)
        if kind == "living_room" and "kitchen" not in plan.kinds:
            _kitchen_run(space)
        PROGRAMMES[kind](space)
        _ceiling_lamps(space)
        rooms.append(space.placed)
    return rooms
