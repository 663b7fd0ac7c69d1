"""Scenes of simple bodies that are thrown, bounce, slide, roll, spin or rest. Metres, seconds, Y up, ground
at y = 0.

Everything follows in closed form from one impact to the next, so a seed gives the same scene on every
computer. What that leaves out: bodies keep clear of each other, and those that are not round keep the side
down that they have, and spin about the vertical alone. Scenes with collisions come as recordings
(``spatial_envs.scenes.recordings``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from spatial_envs.geometry.bodies import BOX, CAPSULE, CYLINDER, KINDS, SPHERE, half_extents

GRAVITY = 9.81  # m/s^2
TICK, TICKS = 0.01, 341  # seconds; of a scene
ROLES = ("throw", "slide", "roll", "spin", "rest")
SHARES = (0.4, 0.2, 0.3, 0.05, 0.05)  # of the roles
KIND_SHARES = (0.3, 0.3, 0.15, 0.1, 0.15)  # of KINDS
HALF_SIZE = (0.1, 0.3)  # metres
SIDE = 3.2  # metres, of the square in which they begin
FASTER = 1.5  # speeds of unseen scenes over those of others
TRIES = 32  # places of a body, before the square is made larger
BOUNCES = 12  # followed; after them a body stays on the ground
LEAST_BOUNCE = 0.15  # m/s upwards, below which a body stays on the ground
FRICTION, RESTITUTION = (0.03, 0.3), (0.3, 0.9)
ROLLING = 0.03  # of the weight: what slows a rolling body

_SIDES_DOWN = {  # rotations that give a body another side to lie on
    "z up": Rotation.from_rotvec([-np.pi / 2, 0, 0]),
    "z level": Rotation.identity(),
    "x up": Rotation.from_rotvec([0, 0, np.pi / 2]),
}


@dataclass(frozen=True, eq=False)
class MovingBodies:
    """What K bodies do: where each is at every tick, N of them, ``TICK`` apart.

    kind      (K,) int, in ``geometry.bodies.KINDS``
    extents   (K, 3) metres, half extents along the body's own axes
    centres   (N, K, 3) metres
    rotations (N, K, 4) unit quaternions x y z w, body to world
    """

    kind: np.ndarray
    extents: np.ndarray
    centres: np.ndarray
    rotations: np.ndarray


@dataclass(frozen=True, eq=False)
class Launch:
    """How B bodies start, and what slows them; (B, 3) or (B,).

    place, velocity  metres, m/s, of the centres
    lowest           metres above the ground, of a centre whose body touches it
    restitution      speed after an impact over the one before, straight up
    friction         of an impact: the speed along the ground that it takes over the one that it gives upwards
    braking          m/s^2, of what slides or rolls on the ground
    """

    place: np.ndarray
    velocity: np.ndarray
    lowest: np.ndarray
    restitution: np.ndarray
    friction: np.ndarray
    braking: np.ndarray


def flown(launch: Launch, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centres (B, T, 3) at times (T,) of at least 0, and when each body stays on the ground, (B,) seconds;
    infinity for one that still bounces after the last of the times."""
    place, velocity = launch.place.copy(), launch.velocity.copy()
    start = np.zeros(len(place))
    out = np.empty((len(place), len(times), 3))
    for _ in range(BOUNCES):
        since = times - start[:, None]
        flight = place[:, None] + velocity[:, None] * since[..., None]
        flight[..., 1] -= 0.5 * GRAVITY * since**2
        out = np.where((since >= 0)[..., None], flight, out)
        up, height = velocity[:, 1], np.maximum(place[:, 1] - launch.lowest, 0)
        lasts = (up + np.sqrt(up**2 + 2 * GRAVITY * height)) / GRAVITY
        place = place + velocity * lasts[:, None]
        place[:, 1] = launch.lowest
        impact = np.maximum(GRAVITY * lasts - up, 0)
        rebound = launch.restitution * impact
        rebound[rebound < LEAST_BOUNCE] = 0
        level = velocity[:, [0, 2]]
        speed = np.linalg.norm(level, axis=1)
        taken = np.minimum(launch.friction * (impact + rebound), speed)
        level = level * (1 - taken / np.maximum(speed, 1e-9))[:, None]
        velocity = np.stack([level[:, 0], rebound, level[:, 1]], axis=1)
        start = start + lasts
        if ((start > times.max()) | (rebound == 0)).all():
            break
    speed = np.linalg.norm(velocity[:, [0, 2]], axis=1)
    since = np.clip(times - start[:, None], 0, (speed / launch.braking)[:, None])
    way = since * (1 - 0.5 * (launch.braking / np.maximum(speed, 1e-9))[:, None] * since)
    ground = place[:, None] + velocity[:, None] * np.array([1, 0, 1]) * way[..., None]
    landed = times >= start[:, None]
    return np.where(landed[..., None], ground, out), np.where(landed.any(axis=1), start, np.inf)


def moving_bodies(
    seed: int,
    num_objects: tuple[int, int],
    unseen: bool = False,
    ticks: slice = slice(None),
    side: float = SIDE,
) -> MovingBodies:
    """The scene of a seed, with a number of bodies from the least to the most; ``unseen`` ones move faster
    than any other. Of its ``ticks``, in which they keep clear of each other and at whose first they are in a
    square of that ``side``, metres, or one a little larger."""
    rng = np.random.default_rng([seed, 3])
    count = int(rng.integers(num_objects[0], num_objects[1] + 1))
    times = TICK * np.arange(TICKS)
    kinds, extents, turns = [], [], []
    ways: list[np.ndarray] = []
    reach: list[float] = []
    for _ in range(count):
        kind, own, way, turn = _body(rng, FASTER if unseen else 1.0, times)
        way, turn = way[ticks], turn[ticks]
        way = way - way[0] * np.array([1, 0, 1])
        kinds.append(kind)
        extents.append(own)
        ways.append(way + _clear_place(rng, way, _reach(kind, own), side, ways, reach))
        turns.append(turn)
        reach.append(_reach(kind, own))
    return MovingBodies(np.array(kinds), np.array(extents), np.stack(ways, axis=1), np.stack(turns, axis=1))


def _reach(kind: int, extents: np.ndarray) -> float:
    """Metres from a body's centre to its farthest point."""
    if kind == CYLINDER:
        return float(np.hypot(extents[0], extents[2]))
    return float(np.linalg.norm(extents) if kind == BOX else extents.max())


def _clear_place(
    rng: np.random.Generator,
    way: np.ndarray,
    reach: float,
    side: float,
    others: list[np.ndarray],
    reaches: list[float],
) -> np.ndarray:
    """(3,): where on the ground a way (T, 3) can begin so that a body of that reach never comes near those on
    the others; in a square of that side, or as large as it takes."""
    while True:
        places = rng.uniform(-side / 2, side / 2, (TRIES, 3)) * np.array([1, 0, 1])
        clear = np.ones(TRIES, np.bool_)
        for other, own in zip(others, reaches, strict=True):
            apart = ((way - other + places[:, None]) ** 2).sum(axis=-1).min(axis=1)
            clear &= apart > (reach + own + 0.05) ** 2
        if clear.any():
            return places[clear.argmax()]
        side *= 1.2


def _body(
    rng: np.random.Generator, faster: float, times: np.ndarray
) -> tuple[int, np.ndarray, np.ndarray, np.ndarray]:
    """Kind, half extents (3,), centres (T, 3) and rotations (T, 4) of a body that begins above the origin."""
    kind = int(rng.choice(len(KINDS), p=KIND_SHARES))
    role = ROLES[int(rng.choice(len(ROLES), p=SHARES))]
    size = rng.uniform(*HALF_SIZE, 3)
    extents = half_extents(np.array(kind), size)
    rolls = kind == SPHERE or (role == "roll" and kind in (CYLINDER, CAPSULE))
    if kind == SPHERE:
        down, lowest = Rotation.from_quat(rng.normal(size=4)), extents[0]
    elif kind in (CYLINDER, CAPSULE):
        lies = rolls or kind == CAPSULE or rng.random() < 0.5
        down, lowest = (_SIDES_DOWN["z level"], extents[0]) if lies else (_SIDES_DOWN["z up"], extents[2])
    else:
        choice = int(rng.integers(3))
        down, lowest = _SIDES_DOWN[("x up", "z level", "z up")[choice]], extents[choice]
    heading, speed = rng.uniform(0, 2 * np.pi), faster * rng.uniform(0.8, 4.0)
    yaw = Rotation.from_rotvec([0, heading if rolls else rng.uniform(0, 2 * np.pi), 0])
    forward = np.array([np.cos(heading), 0.0, -np.sin(heading)])  # the body's x, at right angles to its z
    place, velocity, spin = np.array([0.0, lowest, 0.0]), np.zeros(3), 0.0
    if role == "throw":
        place[1] = rng.uniform(lowest + 0.3, 2.5)
        velocity = faster * np.array([rng.normal(0, 1.2), rng.uniform(-1, 3), rng.normal(0, 1.2)])
        spin = rng.normal(0, 3)
    elif role in ("slide", "roll"):
        velocity = speed * forward
    elif role == "spin":
        spin = rng.uniform(2, 10) * rng.choice([-1, 1])
    friction = rng.uniform(*FRICTION)
    braking = GRAVITY * (ROLLING if rolls else friction)
    launch = Launch(
        *(each[None] for each in (place, velocity)),
        *(np.array([each]) for each in (lowest, rng.uniform(*RESTITUTION), friction, braking)),
    )
    way, landing = flown(launch, times)
    angle = _spun(spin, times, landing[0], 4 / 3 * friction * GRAVITY / extents.max())
    turn = Rotation.from_rotvec(angle[:, None] * np.array([0.0, 1.0, 0.0])) * yaw * down
    if rolls:
        turn = _rolled(way[0], times >= landing[0], extents[0]) * turn
    return kind, extents, way[0], turn.as_quat()


def _spun(spin: float, times: np.ndarray, landing: float, braking: float) -> np.ndarray:
    """(T,) radians about the vertical: evenly in the air, braked by friction on the ground."""
    on_ground = np.clip(times - landing, 0, abs(spin) / braking)
    return spin * np.minimum(times, landing) + np.sign(spin) * on_ground * (
        abs(spin) - 0.5 * braking * on_ground
    )


def _rolled(way: np.ndarray, on_ground: np.ndarray, radius: float) -> Rotation:
    """The turn of what rolls without slipping, along its way (T, 3) from where it stays on the ground on."""
    if not on_ground.any():
        return Rotation.identity(len(way))
    travelled = np.where(on_ground[:, None], way - way[on_ground.argmax()], 0.0)
    return Rotation.from_rotvec(np.cross([0.0, 1.0, 0.0], travelled) / radius)
