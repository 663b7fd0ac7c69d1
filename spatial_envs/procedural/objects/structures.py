"""Families of built things: building, bracket (machined parts) and vehicle (cars, lorries, aeroplanes)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import tau

import numpy as np
from scipy.spatial.transform import Rotation

from spatial_envs.geometry.mesh import Mesh
from spatial_envs.geometry.rotations import ALONG_X, SIDEWAYS, rotation
from spatial_envs.procedural.objects.solids import Solid


def building(rng: np.random.Generator) -> Mesh:
    """Wings and towers on a plinth, hollow, with arches, windows, roofs and battlements."""
    s, u = Solid(), rng.uniform
    s.box((0, -0.02, 0), (0.5, 0.03, 0.4), turn=rotation(y=u(-0.3, 0.3)))
    roofs: list[tuple[Callable[..., None], tuple, dict]] = []  # put on when all the walls have been cut
    for x, z in [(-0.22, -0.1), (0.2, u(-0.15, 0.15)), (u(-0.2, 0.2), 0.2)][: rng.integers(2, 4)]:
        high, part = u(0.12, 0.42), 1 + 3 * len(roofs)
        if u() < 0.35:
            r = u(0.11, 0.16)
            upper = r * u(0.85, 1.0)
            s.cone((x, high, z), r, upper, high, part=part)
            for angle in np.arange(3) * tau / 3 + u(0, 1):
                away = rotation(y=angle) @ [0, 0, 0.1]
                s.box(
                    (x + away[0], high * u(0.6, 1.4), z + away[2]),
                    (0.03, 0.06, 0.12),
                    turn=rotation(y=angle),
                    cut=True,
                )
            s.cone((x, high, z), r - 0.03, upper - 0.03, high - 0.03, part=part + 1, cut=True)
            if u() < 0.6:
                t = u(0.06, 0.16)
                roofs.append((s.cone, ((x, 2 * high + t - 0.005, z), r * 1.25, 0.02, t), {"part": part + 2}))
            else:
                open_top = ((x, 2 * high, z), upper - 0.03, upper - 0.03, 0.07)
                roofs.append((s.cone, open_top, {"part": part + 1, "cut": True}))
            continue
        w, d = u(0.12, 0.22), u(0.12, 0.19)
        s.box((x, high, z), (w, high, d), part=part)
        s.box((x, high, z), (w - 0.03, high - 0.03, d - 0.03), part=part + 1, cut=True)
        if u() < 0.75:  # a gate through it, along Z or X
            wide = u(0.05, 0.09)
            turn, level = (rotation(), SIDEWAYS) if u() < 0.6 else (rotation(y=np.pi / 2), ALONG_X)
            s.box((x, 0.09, z), (wide, 0.09, 0.25), turn=turn, cut=True, part=part + 1, rounding=0.002)
            s.cone((x, 0.18, z), wide, wide, 0.25, turn=level, cut=True, part=part + 1)
        for y in np.arange(0.3, 2 * high - 0.08, u(0.16, 0.25)):
            for across in (-0.5, 0.5):
                s.box((x + across * w, y, z), (0.03, 0.05, 0.25), cut=True, part=part + 1)
        if u() < 0.6:
            t = u(0.05, 0.12)
            gable = ((x, 2 * high + t - 0.005, z), (w + 0.04, t, d + 0.03))
            roofs.append((s.box, gable, {"top": u(0.05, 0.4), "part": part + 2}))
        else:
            roofs.append((_battlements, (s, x, 2 * high, z, w, d, part + 2), {}))
    for put, place, how in roofs:
        put(*place, **how)
    return s.mesh(rng)


def _battlements(s: Solid, x, y, z, w, d, part) -> None:
    for t in np.linspace(-1, 1, 5):
        along_x, along_z = x + t * (w - 0.025), z + t * (d - 0.025)
        for at_x, at_z in (
            (along_x, z + d - 0.02),
            (along_x, z - d + 0.02),
            (x + w - 0.02, along_z),
            (x - w + 0.02, along_z),
        ):
            s.box((at_x, y, at_z), (0.02, 0.05, 0.02), part=part)


def bracket(rng: np.random.Generator) -> Mesh:
    """A machined part: plates at angles, ribs, bosses and flanges, drilled and slotted through."""
    s, u = Solid(), rng.uniform
    w, d, h, t = u(0.25, 0.45), u(0.15, 0.32), u(0.2, 0.45), u(0.025, 0.06)
    s.box((0, 0, 0), (w, t, d))
    x = u(-0.9, 0.5) * w
    s.box((x, h, 0), (t, h, d * u(0.6, 1.0)), part=1, blend=0.02)
    for z in np.linspace(-0.7, 0.7, int(rng.integers(1, 4))) * d * 0.8:
        slope = rotation(z=u(0.5, 0.9))
        s.box((x + 0.1, h * 0.45, z), (0.025, h * 0.75, 0.02), turn=slope, part=2)
    if u() < 0.6:
        s.cone((x, 2 * h, 0), u(0.1, 0.16), u(0.1, 0.16), u(0.1, 0.2), turn=ALONG_X, part=3, blend=0.02)
        s.cone((x, 2 * h, 0), 0.07, 0.07, 1.0, turn=ALONG_X, part=4, cut=True)
    if u() < 0.5:
        s.box((x + u(-0.1, 0.25), h * u(1.2, 1.9), 0), (u(0.12, 0.25), t, d * 0.6), part=2)
    far = -np.sign(x) * w * 0.55
    if u() < 0.6:
        r, y = u(0.09, 0.15), u(0.1, 0.25)
        s.cone((far, y, d * 0.2), r, r * u(0.7, 1.0), y, part=3, blend=0.03)
        s.cone((far, y, d * 0.2), r * 0.55, r * 0.5, y * 3, part=4, cut=True)
    for _ in range(rng.integers(2, 7)):
        r = u(0.025, 0.06)
        s.cone((u(-0.85, 0.85) * w, 0, u(-0.8, 0.8) * d), r, r, 0.1, part=4, cut=True)
    s.cone(
        (x, h * u(0.7, 1.2), d * u(-0.4, 0.4)),
        u(0.05, 0.09),
        u(0.05, 0.09),
        0.1,
        turn=ALONG_X,
        part=4,
        cut=True,
    )
    if u() < 0.5:
        s.box((x, h * u(1.2, 1.5), d * u(-0.4, 0.4)), (0.1, 0.03, d * 0.3), part=4, cut=True)
    turn = Rotation.random(random_state=rng).as_matrix()
    mesh = s.mesh(rng)
    return replace(mesh, vertices=mesh.vertices @ turn.astype(np.float32))


def vehicle(rng: np.random.Generator) -> Mesh:
    """Cars, lorries and aeroplanes, with cabins that one can look through and loads."""
    return _aeroplane(rng) if rng.uniform() < 0.4 else _car(rng)


def _car(rng: np.random.Generator) -> Mesh:
    s, u = Solid(), rng.uniform
    w, h, wheel = u(0.16, 0.23), u(0.06, 0.1), u(0.08, 0.12)
    lorry = u() < 0.5
    s.box((0, wheel + h, 0), (0.48, h, w), top=u(0.88, 1.0), rounding=0.025)
    x, half, tall = (
        (0.3, u(0.12, 0.17), u(0.1, 0.18)) if lorry else (u(-0.1, 0.05), u(0.2, 0.32), u(0.08, 0.13))
    )
    roof = wheel + 2 * h + tall
    s.box((x, roof - 0.01, 0), (half, tall, w * 0.95), top=u(0.6, 0.95), part=1, rounding=0.02)
    s.box((x, roof, 0), (half * 0.7, tall * 0.6, w + 0.1), top=0.7, part=2, cut=True)
    s.box((x, roof, 0), (half + 0.2, tall * 0.55, w * 0.7), part=2, cut=True)
    if not lorry:
        s.box((x, roof - tall * 0.4, 0), (0.02, tall * 0.9, w * 0.93), part=1)
    elif u() < 0.5:
        s.box((-0.17, wheel + 2 * h + 0.07, 0), (0.3, 0.08, w), part=3)
        s.box((-0.17, wheel + 2 * h + 0.06, 0), (0.3 - 0.025, 0.12, w - 0.025), part=4, cut=True)
        for _ in range(rng.integers(1, 4)):
            size = u(0.06, 0.11)
            s.ellipsoid(
                (u(-0.35, 0), wheel + 2 * h + size * 0.8, u(-0.3, 0.3) * w), (size, size, size), part=5
            )
    else:
        s.box((-0.17, wheel + 2 * h + 0.15, 0), (0.3, u(0.14, 0.18), w), part=3)
        if u() < 0.6:
            s.box((-0.25, wheel + 2 * h + 0.15, 0), (0.3, 0.11, w - 0.03), part=4, cut=True)
    for at in (-0.3, 0.3):
        for side in (-1, 1):
            s.cone((at, wheel, side * w), wheel * 1.25, wheel * 1.25, 0.07, turn=SIDEWAYS, part=4, cut=True)
            s.cone((at, wheel, side * (w - 0.02)), wheel, wheel, 0.045, turn=SIDEWAYS, part=6)
        s.limb((at, wheel, -w + 0.02), (at, wheel, w - 0.02), 0.03, part=6)
    if u() < 0.4:
        s.limb((x, roof + tall - 0.02, 0.5 * w), (x - 0.1, roof + tall + 0.2, 0.5 * w), 0.018, part=6)
    return s.mesh(rng)


def _aeroplane(rng: np.random.Generator) -> Mesh:
    s, u = Solid(), rng.uniform
    r, span, sweep = u(0.06, 0.1), u(0.35, 0.55), u(-0.1, 0.5)
    s.limb((-0.45, u(0, 0.08), 0), (0.25, 0, 0), r * 0.4, r)
    s.limb((0.25, 0, 0), (0.42, -0.01, 0), r, r * u(0.3, 0.7), blend=0.02)
    levels = [u(-0.6, 0.6) * r] if u() < 0.6 else [-0.8 * r, r + u(0.05, 0.12)]
    for y in levels:
        for side in (-1, 1):
            turn = rotation(y=side * sweep, x=-side * u(0.0, 0.12))
            s.box(
                np.array([0.1, y, 0]) + turn @ [0, 0, side * span / 2],
                (u(0.08, 0.12), 0.016, span / 2),
                turn=turn,
                part=1,
            )
    for z in (-0.3, 0.3) if len(levels) == 2 else ():
        for x in (0.05, 0.15):
            at = np.array([x - abs(z) * np.tan(sweep), 0, z])
            s.limb(np.add(at, (0, levels[0], 0)), np.add(at, (0, levels[1] + 0.02, 0)), 0.018, part=4)
    s.box((-0.4, 0.12, 0), (u(0.05, 0.08), 0.11, 0.016), turn=rotation(z=0.3), part=2)
    s.box((-0.42, u(0.05, 0.2), 0), (0.055, 0.015, u(0.13, 0.2)), part=2)
    s.ellipsoid((0.2, r * 0.9, 0), (0.1, 0.05, 0.04), part=3)
    for z in (-0.18, 0.18) if len(levels) == 1 else ():
        at = np.array([0.12 - abs(z) * np.tan(sweep), levels[0] - 0.06, z])
        s.cone(at, 0.055, 0.06, 0.1, turn=ALONG_X, part=4)
        s.cone(at, 0.033, 0.036, 0.2, turn=ALONG_X, part=5, cut=True)
    for side in (-1, 1):
        s.limb((0.15, 0, 0), (0.17, -r - 0.1, side * 0.1), 0.018, part=4)
        s.cone((0.17, -r - 0.1, side * 0.1), 0.04, 0.04, 0.025, turn=SIDEWAYS, part=5)
    return s.mesh(rng)
