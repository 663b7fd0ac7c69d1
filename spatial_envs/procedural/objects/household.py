"""Families of things in a house: chair, table, shelf, lamp, mug and cage, and what stands on and in them."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from math import tau

import numpy as np

from spatial_envs.geometry.mesh import Mesh
from spatial_envs.geometry.rotations import ALONG_X, SIDEWAYS, rotation
from spatial_envs.procedural.objects.solids import Solid


def _legs(s: Solid, rng, w, d, top) -> None:
    """Four feet from y = 0 up to `top` under a plate of half sizes w, d; at times a stretcher."""
    splay, thick, taper = rng.uniform(0.0, 0.25), rng.uniform(0.02, 0.035), rng.uniform(0.6, 1.0)
    feet = [(x * w, z * d) for x in (-0.88, 0.88) for z in (-0.88, 0.88)]
    square = rng.uniform() < 0.4
    for x, z in feet:
        if square:
            s.box((x, top / 2, z), (thick, top / 2, thick))
        else:
            s.limb((x * (1 + splay), thick, z * (1 + splay)), (x, top, z), thick * taper, thick)
    if rng.uniform() < 0.5:
        y, out = top * rng.uniform(0.25, 0.5), 1 + splay * 0.6
        bars = [(feet[0], feet[2]), (feet[1], feet[3]), (feet[0], feet[1])]
        for (x, z), (x2, z2) in bars[rng.integers(2) :]:
            s.limb((x * out, y, z * out), (x2 * out, y, z2 * out), 0.017)


def _pedestal(s: Solid, rng, top, radius) -> None:
    s.cone((0, top / 2, 0), rng.uniform(0.04, 0.08), rng.uniform(0.025, 0.05), top / 2)
    if rng.uniform() < 0.5:
        s.cone((0, 0.025, 0), radius, radius * 0.8, 0.025, blend=0.05)
        return
    for angle in np.arange(5) * tau / 5:
        s.limb((0, 0.1, 0), (radius * np.cos(angle), 0.03, radius * np.sin(angle)), 0.03, 0.022)


def still_life(s: Solid, rng, x, y, z, room, height, part) -> None:
    """Something that stands on the plate at (x, y, z), within `room` of it and no taller than `height`."""
    kind = rng.choice(["bowl", "bottle", "books", "ball", "box", "mug"])
    size, tall = room * rng.uniform(0.7, 1.0), height * rng.uniform(0.5, 0.95)
    if kind == "bowl":
        tall = min(tall, size)
        s.cone((x, y + tall / 2, z), size * 0.55, size, tall / 2 + 0.005, part=part)
        s.cone(
            (x, y + tall / 2 + 0.03, z), size * 0.55 - 0.02, size - 0.02, tall / 2, part=part + 1, cut=True
        )
    elif kind == "bottle":
        s.cone((x, y + tall * 0.3, z), size * 0.5, size * 0.45, tall * 0.3 + 0.005, part=part, rounding=0.015)
        s.limb((x, y + tall * 0.4, z), (x, y + tall * 0.95, z), size * 0.4, 0.018, part=part)
    elif kind == "books":
        turn, level = rng.uniform(-0.5, 0.5), y
        while level < y + tall - 0.02:
            thick = rng.uniform(0.015, 0.03)
            half = (size * rng.uniform(0.6, 0.8), thick + 0.003, size * rng.uniform(0.4, 0.6))
            s.box(
                (x, level + thick, z),
                half,
                turn=rotation(y=turn + rng.normal() * 0.15),
                part=part + rng.integers(2),
            )
            level += 2 * thick
    elif kind == "ball":
        radius = min(size, tall / 2)
        s.ellipsoid((x, y + radius * 0.95, z), (radius, radius, radius), part=part)
    elif kind == "box":
        turn, top = rotation(y=rng.uniform(0, 1.5)), rng.uniform(0.6, 1)
        s.box(
            (x, y + tall / 2, z), (size * 0.65, tall / 2 + 0.003, size * 0.6), turn=turn, top=top, part=part
        )
    else:
        size = min(size * 0.7, tall / 2)
        s.arc((x + size, y + size, z), size * 0.6, 0.02, part=part)
        s.cone((x, y + size, z), size, size, size + 0.003, part=part)
        s.cone((x, y + size + 0.03, z), size - 0.022, size - 0.022, size, part=part + 1, cut=True)


def chair(rng: np.random.Generator) -> Mesh:
    """Seat, legs, pedestal or cheeks, a back of slats, bars or a panel, sometimes arms and a cushion."""
    s, u = Solid(), rng.uniform
    w, d, seat, back = u(0.2, 0.3), u(0.2, 0.27), u(0.35, 0.5), u(0.25, 0.55)
    base = rng.choice(["legs", "pedestal", "cheeks"], p=[0.6, 0.2, 0.2])
    if base == "legs":
        _legs(s, rng, w, d, seat)
    elif base == "pedestal":
        _pedestal(s, rng, seat, u(0.24, 0.32))
    else:
        for x in (-w, w):
            s.box((x, seat / 2, 0), (0.02, seat / 2, d))
        s.cone((0, seat * 0.45, 0), seat * 0.3, seat * 0.3, 1.0, turn=ALONG_X, cut=True)
    if u() < 0.3:
        s.cone((0, seat, 0), 1.25 * max(w, d), 1.25 * max(w, d), 0.022, part=1)
    else:
        s.box((0, seat, 0), (w, 0.022, d), part=1, rounding=u(0.004, 0.02))
    if u() < 0.3:
        s.box((0, seat + 0.035, 0), (w * 0.9, 0.035, d * 0.85), part=2, rounding=0.03)
    lean, z = u(0.05, 0.35), -d * 0.9
    turn, foot = rotation(x=-lean), np.array([0, seat, z])

    def up(x, y):
        return foot + turn @ [x, y, 0]

    kind = rng.choice(["panel", "slats", "ladder", "hoop"])
    if kind == "panel":
        s.box(up(0, back / 2), (w, back / 2 + 0.02, 0.02), turn=turn, top=u(0.6, 1.1), part=3)
        if u() < 0.5:
            s.cone(up(0, back * 0.6), w * 0.45, w * 0.45, 0.2, turn=turn @ SIDEWAYS, part=3, cut=True)
    elif kind == "hoop":
        s.arc(up(0, back * 0.8), w * 0.9, 0.025, np.pi / 2, turn=turn, part=3)
        for x in np.linspace(-0.9, 0.9, 7):
            rise = back * 0.8 + w * 0.9 * np.sqrt(max(1 - (x / 0.9) ** 2, 0))
            s.limb(up(x * w * 0.9, 0), up(x * w, rise), 0.018, part=3)
    else:
        for x in (-0.92 * w, 0.92 * w):
            s.limb(up(x, -0.01), up(x, back), 0.028, 0.022, part=3)
        s.box(up(0, back), (w, 0.045, 0.02), turn=turn, part=3, rounding=0.015)
        for t in np.linspace(0.15, 0.8, int(rng.integers(2, 6))) if kind == "ladder" else []:
            s.box(up(0, t * back), (w * 0.95, 0.025, 0.016), turn=turn, part=3)
        for x in np.linspace(-0.6, 0.6, int(rng.integers(3, 6))) if kind == "slats" else []:
            s.box(up(x * w, back / 2), (0.022, back / 2, 0.016), turn=turn, part=3)
    for x in (-w, w):
        if u() < 0.4:
            y = seat + back * u(0.3, 0.45)
            s.limb((x, seat, d * 0.8), (x, y, d * 0.75), 0.02)
            s.limb((x, y, d * 0.85), up(x, (y - seat) / np.cos(lean)), 0.025)
    return s.mesh(rng)


def table(rng: np.random.Generator) -> Mesh:
    """Tables, desks and stools, with drawers, a lower shelf, and things left on them."""
    s, u = Solid(), rng.uniform
    w, d, high = u(0.3, 0.5), u(0.22, 0.36), u(0.25, 0.6)
    base = rng.choice(["legs", "pedestal", "desk"], p=[0.5, 0.25, 0.25])
    disc = base != "desk" and u() < 0.4
    if disc:
        w = d = max(w * 0.7, d)
    if base == "legs":
        inside = 0.72 if disc else 1.0
        _legs(s, rng, w * inside, d * inside, high)
        if u() < 0.4:
            s.box((0, high * 0.3, 0), (w * inside * 0.95, 0.018, d * inside * 0.95), part=1)
    elif base == "pedestal":
        _pedestal(s, rng, high, d * 0.9)
    else:
        s.box((w * 0.65, high / 2, 0), (w * 0.32, high / 2, d * 0.9))
        count = int(rng.integers(1, 4))
        for y in (np.arange(count) + 0.5) * high / count:
            out = (u() < 0.4) * d * u(0.3, 0.9)
            s.box((w * 0.65, y, d * 0.9 + out), (w * 0.28, high / count * 0.4, d * 0.5), part=1)
            s.box(
                (w * 0.65, y + 0.03, d * 0.9 + out),
                (w * 0.28 - 0.025, high / count * 0.4, d * 0.5 - 0.03),
                part=2,
                cut=True,
            )
        s.box((-w * 0.9, high / 2, 0), (0.022, high / 2, d * 0.9))
    if disc:
        s.cone((0, high, 0), w, w, 0.02, part=1)
    else:
        s.box((0, high, 0), (w, 0.02, d), part=1)
    spots = [(-0.55, -0.4), (0.5, -0.3), (-0.1, 0.35), (0.05, -0.3), (-0.6, 0.45)]
    for n in rng.permutation(5)[: rng.integers(1, 5)]:
        still_life(
            s, rng, spots[n][0] * w, high + 0.018, spots[n][1] * d, u(0.06, 0.12), u(0.12, 0.3), 3 + 2 * n
        )
    return s.mesh(rng)


def _compartments(rng, low, high, depth) -> list[tuple[np.ndarray, np.ndarray]]:
    """A rectangle split again and again at random places: the openings of a shelf."""
    size = high - low
    axis = int(size[1] * rng.uniform(0.6, 1.4) > size[0])
    if depth == 0 or size[axis] < 0.24:
        return [(low, high)]
    cut = low[axis] + size[axis] * rng.uniform(0.35, 0.65)
    first, second = high.copy(), low.copy()
    first[axis], second[axis] = cut - 0.0125, cut + 0.0125
    return _compartments(rng, low, first, depth - 1) + _compartments(rng, second, high, depth - 1)


def shelf(rng: np.random.Generator) -> Mesh:
    """A case of irregular compartments, some open at the back, with books, bowls and bottles in them."""
    s, u = Solid(), rng.uniform
    w, h, d = u(0.2, 0.45), u(0.3, 0.5), u(0.1, 0.17)
    s.box((0, h, 0), (w, h, d), top=rng.choice([1.0, u(1.0, 1.2)]))
    through = u(0, 0.7)
    rooms = _compartments(
        rng, np.array([-w, 0.0]) + 0.03, np.array([w, 2 * h]) - 0.03, int(rng.integers(2, 4))
    )
    for low, high in rooms:
        deep, z = (0.3, 0.0) if u() < through else (d, 0.025)  # open at both sides, or a back of 2.5 cm
        middle, half = (low + high) / 2, (high - low) / 2
        s.box((*middle, z), (*half, deep), part=1, cut=True, rounding=0.002)
    for n, (low, high) in enumerate(rooms):
        (x, y), (wide, tall) = ((low[0] + high[0]) / 2, low[1]), high - low
        if u() < 0.45:
            at = low[0] + 0.004
            while at < high[0] - 0.05 and u() >= 0.12:
                thick, size = u(0.014, 0.024), tall * u(0.3, 0.45)
                s.box(
                    (at + thick, y + size - 0.005, 0.02),
                    (thick + 0.002, size, u(0.5, 0.7) * d),
                    part=2 + rng.integers(4),
                )
                at += 2 * thick
        elif u() < 0.6:
            still_life(s, rng, x, y - 0.003, 0.01, min(wide * 0.45, d * 0.75), tall * 0.85, 6 + 2 * (n % 3))
    if u() < 0.4:
        still_life(s, rng, u(-0.4, 0.4) * w, 2 * h - 0.003, 0, d * 0.7, 0.2, 12)
    return s.mesh(rng)


def lamp(rng: np.random.Generator) -> Mesh:
    """A base, an arm of one to three pieces and a hollow shade: standard, desk and hanging-arc lamps."""
    s, u = Solid(), rng.uniform
    low, tall = u(0.12, 0.25), u(0.1, 0.3)
    wide, narrow = u(0.14, 0.3), u(0.06, 0.14)
    joints = [np.array([0.0, 0.03, 0.0])]
    bent = int(rng.integers(1, 4))
    for n in range(bent):
        lean = 0 if bent == 1 else u(0.2, 1.2) * (-1) ** n
        joints.append(
            joints[-1] + rotation(y=u(-0.4, 0.4)) @ [np.sin(lean), np.cos(lean), 0] * u(0.5, 0.9) / bent
        )
    end, turn = joints[-1], rotation(z=0 if bent == 1 else u(-1.2, 0.4))
    middle = end - turn @ [0, tall * 0.3, 0]
    s.cone(middle, wide, narrow, tall, turn=turn, part=1)
    s.cone(
        middle - turn @ [0, 0.025, 0],
        wide - 0.022,
        narrow - 0.022,
        tall,
        turn=turn,
        part=2,
        cut=True,
        rounding=0.0,
    )
    if u() < 0.5:
        s.cone((0, 0.025, 0), low, low * u(0.5, 1.0), 0.025)
    else:
        s.box((0, 0.025, 0), (low, 0.025, low * u(0.6, 1.0)), turn=rotation(y=u(0, 1)))
    if bent == 1 and u() < 0.6:
        s.ellipsoid((0, u(0.1, 0.3), 0), (u(0.07, 0.13), u(0.1, 0.2), u(0.07, 0.13)), part=3, blend=0.05)
    for a, b in pairwise(joints):
        s.limb(a, b, 0.02)
        s.limb(b - (0, 0, 0.025), np.add(b, (0, 0, 0.025)), 0.03, part=3)
    top = middle + turn @ [0, tall * 0.97, 0]
    s.limb(end, top, 0.02)
    s.ellipsoid(middle + turn @ [0, tall * 0.25, 0], np.full(3, min(0.055, narrow * 0.6)), part=4)
    s.limb(middle + turn @ [0, tall * 0.25, 0], top, 0.02)
    return s.mesh(rng)


def mug(rng: np.random.Generator) -> Mesh:
    """Mugs, jugs, watering cans, pans and baskets: a deep cavity with a handle, at times a spout or feet."""
    s, u = Solid(), rng.uniform
    low, high, half = u(0.14, 0.32), u(0.18, 0.34), u(0.1, 0.38)
    wall, floor, oval = u(0.025, 0.04), u(0.03, 0.05), u() < 0.25
    kind = rng.choice(["mug", "basket", "pan", "jug"], p=[0.35, 0.25, 0.15, 0.25])
    middle, minor = (low + high) / 2, u(0.022, 0.04)
    if kind == "basket":
        s.arc((0, half, 0), high - minor, minor, np.pi / 2, turn=rotation(y=u(0, 0.5)), part=1)
    elif kind == "pan":
        half = min(half, 0.18)
        s.limb((high * 0.8, half * 0.6, 0), (high + u(0.25, 0.5), half * u(0.6, 1.6), 0), 0.03, 0.025, part=1)
    else:
        count = 2 if u() < 0.2 else 1
        for side in (1, -1)[:count]:
            ring = half * u(0.5, 0.75)
            s.arc((side * (middle + ring * 0.2), u(-0.1, 0.15) * half, 0), ring, minor, part=1)
        if kind == "jug" and count == 1:
            s.limb(
                (-middle * 0.7, -half * 0.4, 0),
                (-middle - u(0.15, 0.3), half * u(0.7, 1.2), 0),
                0.06,
                0.03,
                part=2,
                blend=0.04,
            )
    body = {"blend": 0.03, "turn": rotation(y=u(0, tau))}
    slope = (high - low) / (2 * half)
    inset = slope * floor - wall * np.hypot(1, slope)  # the cavity is raised by the floor
    if oval:
        deep = min(low, high) * 0.8
        s.box((0, 0, 0), (low, half, deep), top=high / low, rounding=0.04, **body)
        room, top = (low + inset, half, deep - wall), (high + inset) / (low + inset)
        s.box((0, floor, 0), room, top=top, rounding=0.02, turn=body["turn"], part=3, cut=True)
    else:
        s.cone((0, 0, 0), low, high, half, rounding=0.012, **body)
        s.cone((0, floor, 0), low + inset, high + inset, half, rounding=0.008, part=3, cut=True)
    if kind == "basket" and u() < 0.7:
        slots = int(np.pi * min(low, high) / 0.09)  # of 5 cm, with bars of 4 cm between
        for angle in np.arange(slots) * np.pi / slots:
            s.box(
                (0, u(-0.1, 0.1) * half, 0),
                (0.6, half * 0.55, 0.025),
                turn=rotation(y=angle),
                cut=True,
                rounding=0.002,
            )
    if u() < 0.35:
        for angle in np.arange(3) * tau / 3:
            x, z = low * 0.7 * np.cos(angle), low * 0.7 * np.sin(angle)
            s.limb((x, -half, z), (x * 1.3, -half - u(0.04, 0.12), z * 1.3), 0.035, 0.025, part=1)
    if kind != "basket" and u() < 0.3:  # a spoon or brush left in it
        s.limb(
            (low * 0.3, -half + floor * 1.5, 0), (-high * 0.8, half + u(0.1, 0.3), u(-0.1, 0.1)), 0.02, part=4
        )
    return s.mesh(rng)


def cage(rng: np.random.Generator) -> Mesh:
    """Bars round something: lanterns, frames, crates and bird cages, with an object held inside."""
    s, u = Solid(), rng.uniform
    sides, high, low, top = int(rng.integers(3, 9)), u(0.3, 0.85), u(0.2, 0.38), u(0.12, 0.38)
    bar = u(0.02, 0.03)
    twist, dome = rng.choice([0.0, u(-0.8, 0.8)]), u() < 0.4
    angle = np.arange(sides) * tau / sides
    feet = np.stack([low * np.cos(angle), 0 * angle, low * np.sin(angle)], axis=-1)
    tops = np.stack([top * np.cos(angle + twist), high + 0 * angle, top * np.sin(angle + twist)], axis=-1)
    shift = np.array([rng.normal() * 0.08, 0, rng.normal() * 0.08])
    tops += shift
    for n in range(sides):
        s.limb(feet[n], tops[n], bar)
        s.limb(feet[n], feet[n - 1], bar, part=1)
        s.limb(tops[n], tops[n - 1], bar, part=1)
        if u() < 0.3:
            s.limb(feet[n], tops[n - 1], bar * 0.9, part=2)
        if dome:
            s.limb(tops[n], np.add(shift, (0, high + top * 0.8, 0)), bar)
    if dome:
        s.arc(np.add(shift, (0, high + top * 0.8 + 0.07, 0)), 0.06, 0.02, part=1)
    for t in np.linspace(0, 1, int(rng.integers(2, 4)))[1:-1]:
        ring = feet + t * (tops - feet)
        for n in range(sides):
            s.limb(ring[n], ring[n - 1], bar * 0.9, part=1)
    s.cone((0, 0, 0), low, low, 0.022, part=3)
    still_life(s, rng, 0, 0.02, 0, low * 0.65, high * 0.8, 4)
    turn = rotation(x=np.pi / 2 * (u() < 0.2))
    mesh = s.mesh(rng)
    return replace(mesh, vertices=mesh.vertices @ turn.astype(np.float32))
