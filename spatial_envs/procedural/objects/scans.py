"""Families of what tabletop scans show: printed packages, tins, bottles, tools, food, toys and appliances.

More compact than the things of household.py, with fewer holes, and printed: built after what the data sets of
scanned household objects have (YCB, Google Scanned Objects), from no scan.
"""

from __future__ import annotations

from math import tau

import numpy as np

from spatial_envs.geometry.mesh import Mesh
from spatial_envs.geometry.rotations import SIDEWAYS, rotation
from spatial_envs.procedural.objects.solids import Solid


def package(rng: np.random.Generator) -> Mesh:
    """A box of cardboard, lying or standing, at times with a flap, a window or a second box upon it."""
    s, u = Solid(), rng.uniform
    half = np.sort(u(0.06, 0.45, 3))[[1, 2, 0]] if u() < 0.7 else u(0.15, 0.4, 3)
    s.box((0, 0, 0), half, top=u(0.94, 1.0), rounding=u(0.004, 0.02))
    kind = rng.choice(["plain", "flap", "window", "two", "handle"], p=[0.45, 0.15, 0.15, 0.15, 0.1])
    if kind == "flap":
        lean = rotation(x=u(0.2, 1.2))
        at = np.array([0, half[1], -half[2]]) + lean @ [0, half[2] * 0.6, 0]
        s.box(at, (half[0], half[2] * 0.6, 0.012), turn=lean)
    elif kind == "window":
        s.box(
            (0, 0, half[2]), (half[0] * u(0.3, 0.8), half[1] * u(0.3, 0.8), half[2] * u(0.2, 0.8)), cut=True
        )
    elif kind == "two":
        more = half * u(0.4, 0.9, 3)
        s.box((0, half[1] + more[1] - 0.004, 0), more, turn=rotation(y=u(0, 1.5)), part=1)
    elif kind == "handle":
        s.arc((0, half[1], 0), half[0] * 0.6, 0.02, np.pi / 2, part=1)
    return s.mesh(rng, printed=True)


def tin(rng: np.random.Generator) -> Mesh:
    """A can, tin, jar or tube with rims, at times ribbed or open."""
    s, u = Solid(), rng.uniform
    radius, half = u(0.14, 0.4), u(0.12, 0.5)
    flat = u(0.55, 1.0) if u() < 0.25 else 1.0
    if flat < 1:
        s.ellipsoid((0, 0, 0), (radius, half, radius * flat))
        s.box((0, -half, 0), (1, half * 0.25, 1), cut=True)
        s.box((0, half, 0), (1, half * 0.25, 1), cut=True)
        return s.mesh(rng, printed=True)
    s.cone((0, 0, 0), radius, radius * u(0.9, 1.0), half, rounding=u(0.004, 0.03))
    for y in (-half, half):
        s.cone((0, y * 0.97, 0), radius * 1.03, radius * 1.03, 0.018, part=1)
    if u() < 0.3:
        for y in np.linspace(-half, half, int(rng.integers(4, 9)))[1:-1]:
            s.cone((0, y, 0), radius * 1.03, radius * 1.03, 0.012)
    if u() < 0.35:
        lid = u(0.03, 0.09)
        s.cone((0, half + lid, 0), radius * 1.05, radius * u(0.7, 1.05), lid, part=2, rounding=0.012)
    elif u() < 0.3:
        s.cone((0, half, 0), radius * 0.88, radius * 0.88, half * u(0.6, 1.6), part=2, cut=True)
    return s.mesh(rng, printed=True)


def bottle(rng: np.random.Generator) -> Mesh:
    """Body, shoulder, neck and cap; square or round, at times with a grip, a pump or a trigger."""
    s, u = Solid(), rng.uniform
    radius, tall, deep = u(0.12, 0.24), u(0.2, 0.45), u(0.55, 1.0)
    if u() < 0.5:
        s.box((0, 0, 0), (radius, tall, radius * deep), top=u(0.85, 1.0), rounding=u(0.02, 0.07))
    else:
        s.cone((0, 0, 0), radius, radius * u(0.85, 1.05), tall, rounding=u(0.01, 0.06))
    neck, rise = radius * u(0.25, 0.55), u(0.05, 0.2)
    s.cone((0, tall + rise / 2, 0), radius * 0.85, neck, rise / 2 + 0.02, blend=0.05)
    top = tall + rise
    s.cone((0, top + 0.05, 0), neck * 1.25, neck * u(0.9, 1.25), u(0.04, 0.08), part=1, rounding=0.01)
    kind = rng.choice(["plain", "grip", "pump", "trigger"], p=[0.5, 0.2, 0.15, 0.15])
    if kind == "grip":
        s.arc((radius, tall * 0.45, 0), tall * 0.4, 0.04, np.pi, part=0, blend=0.03)
    elif kind == "pump":
        s.limb((0, top, 0), (0, top + 0.17, 0), 0.025, part=1)
        s.limb((-0.02, top + 0.17, 0), (u(0.1, 0.22), top + 0.16, 0), 0.035, 0.022, part=1)
    elif kind == "trigger":
        s.box((0.04, top + 0.13, 0), (0.14, 0.05, 0.045), part=1, rounding=0.02)
        s.limb((0.1, top + 0.12, 0), (0.12, top - 0.06, 0), 0.022, part=2)
    return s.mesh(rng, printed=True)


def tool(rng: np.random.Generator) -> Mesh:
    """Hammer, screwdriver, wrench, pliers, brush, spatula or drill, lying."""
    s, u = Solid(), rng.uniform
    kind = rng.choice(["hammer", "screwdriver", "wrench", "pliers", "brush", "spatula", "drill"])
    grip, length = u(0.03, 0.06), u(0.3, 0.5)
    if kind == "drill":
        s.limb((-0.2, 0.3, 0), (0.22, 0.3, 0), u(0.1, 0.13), u(0.07, 0.1))
        s.limb((0.22, 0.3, 0), (0.42, 0.3, 0), 0.05, 0.025, part=1)
        s.limb((-0.08, 0.25, 0), (-0.16, -0.15, 0), 0.075, 0.065)
        s.box((-0.16, -0.22, 0), (u(0.1, 0.16), 0.06, 0.09), part=2, rounding=0.02)
        s.limb((0.0, 0.17, 0), (-0.02, 0.08, 0), 0.025, part=1)
        return s.mesh(rng, printed=u() < 0.4)
    if kind == "pliers":
        spread = u(0.1, 0.3)
        for side in (-1, 1):
            s.limb((0, 0.02 * side, 0), (-length, 0.02 * side, side * spread * length * 2), 0.03, 0.04)
            s.limb((0, 0, 0), (0.24, 0, side * spread * 0.18), 0.05, 0.025, part=1)
        s.cone((0, 0, 0), 0.06, 0.06, 0.05, part=1)
        return s.mesh(rng)
    s.limb((-length, 0, 0), (0, 0, 0), grip * u(0.7, 1.2), grip)
    if kind == "hammer":
        s.limb((0, 0, 0), (0.12, 0, 0), grip * 0.7)
        s.cone((0.12, 0, 0.06), 0.06, 0.07, u(0.1, 0.16), turn=SIDEWAYS, part=1)
        s.box((0.12, 0, -0.12), (0.03, 0.05, 0.1), part=1)
    elif kind == "screwdriver":
        s.limb((0, 0, 0), (length, 0, 0), 0.018, part=1)
        s.box((length, 0, 0), (0.03, 0.012, 0.028), part=1)
    elif kind == "wrench":
        s.box((0.1, 0, 0), (0.16, grip * 0.5, 0.1), part=0, rounding=0.02)
        s.box((0.2, 0, 0), (0.09, 0.2, 0.045), turn=rotation(y=u(-0.4, 0.4)), cut=True)
    elif kind == "brush":
        s.box((0.12, 0, 0), (0.14, 0.035, 0.08), part=0, rounding=0.02)
        s.box((0.12, -0.09, 0), (0.13, 0.07, 0.07), top=1.0, part=1)
    else:
        s.box((0.2, 0, 0), (0.2, 0.018, u(0.08, 0.14)), turn=rotation(z=u(-0.3, 0.3)), part=1)
    return s.mesh(rng)


def food(rng: np.random.Generator) -> Mesh:
    """A fruit, a bunch, a loaf, a slice, a doughnut or a banana."""
    s, u = Solid(), rng.uniform
    kind = rng.choice(["fruit", "banana", "loaf", "doughnut", "bunch", "slice", "corn"])
    if kind == "fruit":
        a, b = u(0.3, 0.42), u(0.25, 0.5)
        s.ellipsoid((0, 0, 0), (a, b, a * u(0.9, 1.0)))
        if u() < 0.6:
            s.ellipsoid((0, b * u(0.4, 0.6), 0), (a * u(0.4, 0.7), b * 0.55, a * 0.5), blend=0.15)
        s.cone((0, b * 1.05, 0), 0.12, 0.03, 0.05, cut=True, blend=0.04)
        s.limb((0, b * 0.7, 0), (0.03, b * 1.25, 0), 0.022, part=1)
    elif kind == "banana":
        bend, thick = u(0.5, 0.9), u(0.06, 0.1)
        for turn in (-0.35, 0.35):
            s.arc((0, -0.45, 0), 0.45, thick, bend, turn=rotation(z=turn * 0.2), blend=0.02)
        for side in (-1, 1):
            end = np.array([0.45 * np.sin(side * bend), 0.45 * np.cos(bend) - 0.45, 0])
            along = np.array([0.1 * np.cos(bend) * side, -0.1 * np.sin(bend), 0])
            s.limb(end - 0.3 * along, end + along, thick * 0.8, 0.025, blend=0.03, part=0 if side < 0 else 1)
    elif kind == "loaf":
        s.ellipsoid((0, 0, 0), (u(0.35, 0.5), u(0.16, 0.25), u(0.18, 0.26)))
        s.box((0, -0.32, 0), (1, 0.2, 1), cut=True)
        for x in np.linspace(-0.25, 0.25, int(rng.integers(2, 5))):
            s.box((x, 0.24, 0), (0.018, 0.07, 0.14), turn=rotation(y=0.5), cut=True, part=1)
    elif kind == "doughnut":
        s.arc((0, 0, 0), u(0.26, 0.34), u(0.11, 0.17), turn=SIDEWAYS)
        s.ellipsoid((0, 0, 0), (u(0.02, 0.1),) * 3, part=1)
    elif kind == "bunch":
        for _ in range(int(rng.integers(5, 12))):
            s.ellipsoid(rng.normal(size=3) * 0.16, (u(0.11, 0.17),) * 3, blend=0.03, part=rng.integers(2))
    elif kind == "slice":
        s.cone((0, 0, 0), 0.5, 0.5, u(0.08, 0.16), rounding=0.03)
        for turn in (u(0.2, 0.4), -u(0.2, 0.4)):
            away = rotation(y=-turn)
            s.box(away @ [0, 0, np.copysign(0.6, turn)], (0.8, 0.5, 0.6), turn=away, cut=True, part=1)
        s.box((-0.5, 0, 0), (0.5, 0.5, 0.8), cut=True)
    else:
        s.limb((-0.3, 0, 0), (0.3, 0, 0), u(0.1, 0.15), 0.06)
        for angle in np.arange(3) * tau / 3 + u(0, 2):
            leaf = np.array([-0.1, 0.13 * np.sin(angle), 0.13 * np.cos(angle)])
            s.limb((-0.38, 0, 0), leaf, 0.06, 0.02, part=1, blend=0.02)
    return s.mesh(rng)


def toy(rng: np.random.Generator) -> Mesh:
    """An animal, a figure, a car, stacked blocks or rings."""
    s, u = Solid(), rng.uniform
    kind = rng.choice(["animal", "figure", "car", "blocks", "rings"])
    if kind == "animal":
        body = (u(0.2, 0.34), u(0.16, 0.24), u(0.15, 0.2))
        s.ellipsoid((0, 0, 0), body)
        head = np.array([body[0] * 0.95, body[1] * u(0.6, 1.3), 0])
        s.ellipsoid(head, (u(0.11, 0.18),) * 3, blend=0.06)
        s.limb(head, np.add(head, (u(0.1, 0.22), -0.03, 0)), 0.07, 0.04, part=1, blend=0.02)
        for side in (-1, 1):
            s.limb(head, np.add(head, (-0.02, u(0.12, 0.22), side * 0.1)), 0.04, 0.03, blend=0.02)
            for x in (-0.6, 0.6):
                s.limb(
                    (x * body[0], 0, side * 0.1), (x * body[0], -body[1] - u(0.02, 0.1), side * 0.11), 0.06
                )
        s.limb((-body[0] * 0.8, 0, 0), (-body[0] - u(0.02, 0.2), u(-0.05, 0.2), 0), 0.04, 0.025)
    elif kind == "figure":
        s.cone((0, 0, 0), u(0.12, 0.2), 0.12, 0.2, rounding=0.03)
        s.ellipsoid((0, 0.32, 0), (u(0.12, 0.17),) * 3, part=1)
        for side in (-1, 1):
            s.limb((side * 0.13, 0.14, 0), (side * u(0.2, 0.36), u(-0.1, 0.3), u(-0.1, 0.1)), 0.045, part=0)
            s.limb((side * 0.07, -0.15, 0), (side * u(0.07, 0.15), -0.42, 0), 0.06, 0.055, part=2)
        if u() < 0.5:
            s.cone((0, 0.45, 0), 0.16, u(0.03, 0.14), u(0.04, 0.1), part=3)
    elif kind == "car":
        s.box((0, 0, 0), (0.42, u(0.08, 0.13), 0.19), rounding=0.04)
        s.box((u(-0.1, 0.05), 0.16, 0), (u(0.15, 0.26), 0.1, 0.16), top=u(0.6, 0.9), part=1, rounding=0.03)
        for x in (-0.26, 0.26):
            for z in (-0.18, 0.18):
                s.cone((x, -0.1, z), 0.1, 0.1, 0.045, turn=SIDEWAYS, part=2)
    elif kind == "blocks":
        level = 0.0
        for k in range(int(rng.integers(2, 5))):
            half = u(0.1, 0.2, 3)
            at = (u(-0.06, 0.06), level + half[1], u(-0.06, 0.06))
            if u() < 0.25:
                s.cone(at, half[0], half[0], half[1] + 0.004, part=k)
            else:
                s.box(at, np.add(half, (0, 0.004, 0)), turn=rotation(y=u(0, 1.5)), part=k)
            level += 2 * half[1]
    else:
        s.cone((0, -0.02, 0), u(0.3, 0.36), 0.3, 0.03, part=0)
        for k in range(int(rng.integers(3, 6))):
            s.arc((0, 0.07 + 0.11 * k, 0), 0.24 - 0.035 * k, 0.06, turn=SIDEWAYS, part=k + 1)
        s.limb((0, 0, 0), (0, 0.6, 0), 0.06, 0.05)
    return s.mesh(rng, printed=kind in ("car", "blocks") and u() < 0.5)


def appliance(rng: np.random.Generator) -> Mesh:
    """Kettle, iron, camera, telephone, pan or shoe."""
    s, u = Solid(), rng.uniform
    kind = rng.choice(["kettle", "iron", "camera", "telephone", "pan", "shoe"])
    if kind == "kettle":
        s.cone((0, 0, 0), u(0.24, 0.32), u(0.14, 0.24), u(0.22, 0.32), rounding=0.05)
        s.arc((-0.3, 0.05, 0), u(0.15, 0.2), 0.03, part=1)
        s.limb((0.15, 0.1, 0), (0.36, u(0.2, 0.32), 0), 0.07, 0.035, blend=0.03)
        s.ellipsoid((0, 0.32, 0), (0.06, 0.06, 0.06), part=1)
    elif kind == "iron":
        s.limb((-0.25, 0, 0), (0.35, -0.04, 0), 0.17, 0.03)
        s.box((0, -0.25, 0), (1, 0.2, 1), cut=True)
        s.arc((-0.05, 0.1, 0), 0.2, 0.035, np.pi / 2, part=1)
    elif kind == "camera":
        s.box((0, 0, 0), (u(0.26, 0.34), u(0.15, 0.22), u(0.07, 0.12)), rounding=0.03)
        s.cone((u(-0.06, 0.06), 0, 0.16), 0.14, 0.13, u(0.08, 0.16), turn=SIDEWAYS, part=1)
        s.box((0, 0.2, 0), (0.09, 0.07, 0.07), top=0.7, part=2)
    elif kind == "telephone":
        s.box((0, 0, 0), (0.2, u(0.06, 0.1), 0.28), top=0.9, rounding=0.03)
        s.limb((-0.08, 0.16, -0.2), (-0.08, 0.16, 0.2), 0.035, part=1)
        for z in (-0.2, 0.2):
            s.ellipsoid((-0.08, 0.13, z), (0.06, 0.05, 0.06), part=1)
    elif kind == "pan":
        radius, deep = u(0.24, 0.32), u(0.05, 0.16)
        s.cone((0, 0, 0), radius * 0.88, radius, deep)
        s.cone((0, 0.04, 0), radius * 0.82, radius * 0.94, deep, cut=True, part=1)
        s.limb((radius * 0.9, deep * 0.5, 0), (radius + u(0.25, 0.42), deep + 0.05, 0), 0.03, 0.035, part=2)
    else:
        s.limb((-0.26, -0.02, 0), (0.3, -0.06, u(-0.05, 0.05)), 0.12, 0.1)
        s.limb((-0.26, 0, 0), (-0.2, u(0.12, 0.35), 0), 0.12, 0.11, blend=0.05)
        s.box((0, -0.27, 0), (1, 0.13, 1), cut=True, part=1)
        s.ellipsoid((-0.2, 0.36, 0), (0.11, 0.3, 0.075), cut=True, part=2)
    return s.mesh(rng, printed=u() < 0.3)


SCAN_FAMILIES = {
    "package": package, "tin": tin, "bottle": bottle, "tool": tool, "food": food, "toy": toy,
    "appliance": appliance,
}  # fmt: skip
