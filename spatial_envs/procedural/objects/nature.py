"""Families of grown things: creature, tree and sponge (bodies with caves and tunnels)."""

from __future__ import annotations

from math import tau

import numpy as np

from spatial_envs.geometry.mesh import Mesh
from spatial_envs.geometry.rotations import rotation, rotation_to
from spatial_envs.procedural.objects.solids import Solid


def creature(rng: np.random.Generator) -> Mesh:
    """An animal caught in a movement: trunk, two to eight jointed legs, neck, head, horns or ears, a tail."""
    s, u = Solid(), rng.uniform
    length, girth, leg = u(0.22, 0.4), u(0.09, 0.2), u(0.18, 0.42)
    slope = u(-0.1, 0.2)
    rump, chest = np.array([-length, 0, 0]), np.array([length, slope, u(-0.05, 0.05)])
    s.limb(rump, chest, girth * u(0.7, 1.1), girth * u(0.7, 1.1))
    if u() < 0.4:
        s.ellipsoid((rump + chest) / 2 + [0, -0.03, 0], (length, girth * 1.2, girth * 1.2), blend=0.1)
    pairs = int(rng.choice([1, 2, 2, 2, 2, 3, 4]))
    thick = u(0.03, 0.055) if pairs < 3 else 0.028
    for t in np.linspace(0.05, 0.95, pairs) if pairs > 1 else [0.45]:
        for side in (-1, 1):
            hip = rump + t * (chest - rump) + [0, -girth * 0.3, side * girth * 0.6]
            swing, out = rng.normal() * 0.35, side * u(0.0, 0.15) * (1 if pairs < 3 else 2.5)
            knee = hip + np.array([np.sin(swing), -np.cos(swing), 0]) * leg * 0.55 + [0, 0, out]
            foot = knee + np.array([np.sin(swing * 0.3 - 0.3), -1, 0]) * leg * u(0.45, 0.6)
            s.limb(hip, knee, thick * 1.5, thick, blend=0.04)
            s.limb(knee, foot, thick, thick * 0.75, part=1, blend=0.02)
            s.limb(foot, np.add(foot, (thick * 1.2, 0, 0)), thick * 0.9, thick * 0.7, part=2, blend=0.02)
    neck = np.add(chest, (u(0.08, 0.2), u(0.02, 0.4), rng.normal() * 0.06))
    s.limb(chest, neck, girth * 0.65, u(0.05, 0.08), blend=0.06)
    size, yaw = u(0.07, 0.13), rng.normal() * 0.5
    ahead = np.array([np.cos(yaw), -u(0.0, 0.5), np.sin(yaw)])
    s.ellipsoid(
        neck + ahead * size * 0.5, (size * 1.2, size, size * 0.9), turn=rotation(y=-yaw), part=3, blend=0.05
    )
    s.limb(
        neck + ahead * size * 0.8,
        neck + ahead * size * u(1.6, 2.8),
        size * 0.6,
        size * 0.3,
        part=4,
        blend=0.03,
    )
    across = np.array([-np.sin(yaw), 0, np.cos(yaw)])
    kind = rng.choice(["ears", "horns", "none"], p=[0.5, 0.3, 0.2])
    for sign in (-1, 1) if kind != "none" else ():
        root, reach = neck + sign * across * size * 0.5 + [0, size * 0.5, 0], u(0.08, 0.2)
        tip = root + sign * across * reach * u(0.2, 0.8) + [-0.03, reach, 0]
        s.limb(root, tip, 0.035, 0.02, part=2, blend=0.01)
        if kind == "horns":
            s.limb(tip, np.add(tip, (u(0.03, 0.12), 0.08, 0)), 0.02, 0.018, part=2, blend=0.01)
    at, thick = rump, girth * 0.35
    for _ in range(rng.integers(1, 5)):
        to = np.add(at, (-u(0.07, 0.13), rng.normal() * 0.09, rng.normal() * 0.07))
        s.limb(at, to, thick, max(thick * 0.8, 0.02), blend=0.03)
        at, thick = to, max(thick * 0.8, 0.02)
    for t in np.linspace(0.1, 0.9, 7) if u() < 0.25 else []:  # a crest along the back
        root = rump + t * (chest - rump) + [0, girth * 0.7, 0]
        s.limb(root, np.add(root, (-0.04, girth * u(0.5, 0.8), 0)), 0.035, 0.018, part=2, blend=0.02)
    return s.mesh(rng)


def tree(rng: np.random.Generator) -> Mesh:
    """A trunk that forks, bare or in leaf, in a pot or on its roots; some are cacti or corals."""
    s, u = Solid(), rng.uniform
    leafy, spread = u() < 0.6, u(0.35, 0.9)

    def grow(start, axis, length, thick, depth):
        end = start + axis * length
        s.limb(start, end, thick, max(thick * 0.75, 0.018), blend=0.02)
        if depth == 0:
            if leafy:
                s.ellipsoid(end, rng.uniform(0.08, 0.17, 3), part=1 + rng.integers(2), blend=0.04)
            return
        for angle in rng.uniform(0, tau) + np.arange(3) * tau / 3 + rng.normal(size=3) * 0.4:
            out = rotation_to(axis) @ [np.cos(angle), 0, np.sin(angle)]
            turned = axis + out * spread * u(0.6, 1.4) + [0, 0.15, 0]
            if u() < 0.85:
                grow(
                    end - axis * thick,
                    turned / np.linalg.norm(turned),
                    length * u(0.6, 0.85),
                    thick * 0.72,
                    depth - 1,
                )

    if u() < 0.6:
        low, high, half = u(0.1, 0.15), u(0.14, 0.22), u(0.08, 0.14)
        s.cone((0, -half, 0), low, high, half, part=3)
        s.cone((0, half * 0.4, 0), low - 0.03, high - 0.025, half, part=4, cut=True)
        s.limb((0, -2 * half + 0.03, 0), (0, 0.02, 0), 0.05)
    else:
        for angle in np.arange(5) * tau / 5 + rng.normal(size=5) * 0.3:
            s.limb((0, 0.05, 0), (0.2 * np.cos(angle), -0.08, 0.2 * np.sin(angle)), 0.05, 0.02, blend=0.03)
    trunk = np.array([rng.normal() * 0.2, 1, rng.normal() * 0.2])
    grow(np.zeros(3), trunk / np.linalg.norm(trunk), u(0.25, 0.4), u(0.04, 0.08), 2)
    return s.mesh(rng)


def sponge(rng: np.random.Generator) -> Mesh:
    """A body with caves and tunnels: cheese, skulls, shells, caverns, dice."""
    s, u = Solid(), rng.uniform
    half = rng.uniform(0.28, 0.5, 3)
    kind = rng.choice(["box", "egg", "drum", "lump"])
    if kind == "box":
        s.box((0, 0, 0), half, rounding=u(0.01, 0.1), top=u(0.6, 1.0))
    elif kind == "drum":
        s.cone((0, 0, 0), half[0], half[0] * u(0.6, 1), half[1] * 0.7, rounding=0.03)
    else:
        s.ellipsoid((0, 0, 0), half)
        for _ in range(rng.integers(2, 6) if kind == "lump" else 0):
            s.ellipsoid(rng.normal(size=3) * half * 0.5, rng.uniform(0.12, 0.28, 3), blend=0.08)
    if u() < 0.5:  # a hollow core
        s.ellipsoid((0, 0, 0), half * u(0.55, 0.75), part=1, cut=True, blend=0.03)
    for _ in range(rng.integers(6, 15)):
        towards = rng.normal(size=3)
        towards /= np.linalg.norm(towards)
        if u() < 0.6:
            s.ellipsoid(towards * half * u(0.7, 1.2), rng.uniform(0.1, 0.22, 3), part=1, cut=True, blend=0.03)
        else:
            aside = rng.normal(size=3) * 0.1
            s.limb(
                aside - towards * u(-0.1, 0.7),
                aside + towards * 0.7,
                u(0.05, 0.1),
                part=2,
                cut=True,
                blend=0.02,
            )
    return s.mesh(rng)
