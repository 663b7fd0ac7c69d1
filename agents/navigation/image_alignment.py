"""Where a picture was taken, to centimetres, once that is nearly known: what the agent sees is moved until it
looks like the picture (direct image alignment, as Kerl 2013, by search in place of a gradient)."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from spatial_envs.foundation.compilation import njit

LEAST = 0.4  # of what is seen that has to be in the picture
STEPS = (
    (0.2, 5.0, 3),
    (0.1, 2.5, 2),
    (0.05, 1.25, 2),
    (0.025, 0.6, 2),
)  # metres, degrees; steps to each side


class Aligned(NamedTuple):
    """Metres to the right and forward to where the picture was taken, the turn to the left, radians, and how
    alike the pictures are then, the correlation of their colours; -1 where too little is in both."""

    right: float
    forward: float
    turn: float
    alike: float


def align(
    rgb: np.ndarray,
    depth: np.ndarray,
    goal: np.ndarray,
    intrinsics: np.ndarray,
    guess: tuple[float, float, float],
) -> Aligned:
    """Of the places within 0.6 m and 15 degrees of a guess (right, forward, turn) the one from which the
    scene looks most like the goal's picture.

    rgb and goal (S, S, 3) in [0, 1], depth (S, S) metres, 0 = none; both pictures by a level camera of these
    intrinsics (3, 3), at one height.
    """
    found, alike = np.array(guess, np.float64), -1.0
    depth, intrinsics = np.asarray(depth, np.float64), np.asarray(intrinsics, np.float64)
    for number, (step, degrees, count) in enumerate(STEPS):
        sides = np.arange(-count, count + 1)
        grid = np.stack(np.meshgrid(sides, sides, sides, indexing="ij"), axis=-1).reshape(-1, 3)
        tried = found + grid * (step, step, math.radians(degrees))
        one, other = (_blurred(rgb), _blurred(goal)) if number == 0 else (rgb, goal)
        scores = _alike(one, depth, other, intrinsics, tried, 2 if number < 2 else 1, LEAST)
        best = int(scores.argmax())
        found, alike = tried[best], float(scores[best])
    right, forward, turn = (float(value) for value in found)
    return Aligned(right, forward, turn, alike)


def _blurred(picture: np.ndarray) -> np.ndarray:
    padded = np.pad(picture, ((1, 1), (1, 1), (0, 0)), mode="edge")
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    return (rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]) / 9


@njit
def _alike(rgb, depth, goal, intrinsics, tried, stride, least):
    """(H,): the correlation of the colours of what is seen with those of the goal's picture where that falls,
    for each of the places (H, 3) from which it was taken."""
    height, width = depth.shape
    fx, fy, cx, cy = intrinsics[0, 0], intrinsics[1, 1], intrinsics[0, 2], intrinsics[1, 2]
    scores = np.full(len(tried), -1.0)
    for h in range(len(tried)):
        right, forward, turn = tried[h]
        sin, cos = math.sin(turn), math.cos(turn)
        seen, landed = 0, 0
        a, b, aa, bb, ab = 0.0, 0.0, 0.0, 0.0, 0.0
        for row in range(0, height, stride):
            for column in range(0, width, stride):
                z = depth[row, column]
                if z <= 0.0:
                    continue
                seen += 1
                x, y = (column + 0.5 - cx) / fx * z, (row + 0.5 - cy) / fy * z
                ahead = -sin * (x - right) + cos * (z - forward)
                if ahead < 0.05:
                    continue
                u = fx * (cos * (x - right) + sin * (z - forward)) / ahead + cx - 0.5
                v = fy * y / ahead + cy - 0.5
                if u < 0.0 or v < 0.0 or u >= width - 1 or v >= height - 1:
                    continue
                landed += 1
                j, i = int(u), int(v)
                s, t = u - j, v - i
                for channel in range(3):
                    one = rgb[row, column, channel]
                    other = (1 - t) * ((1 - s) * goal[i, j, channel] + s * goal[i, j + 1, channel]) + t * (
                        (1 - s) * goal[i + 1, j, channel] + s * goal[i + 1, j + 1, channel]
                    )
                    a += one
                    b += other
                    aa += one * one
                    bb += other * other
                    ab += one * other
        if landed < least * seen or landed == 0:
            continue
        count = 3.0 * landed
        spread = (aa - a * a / count) * (bb - b * b / count)
        if spread > 1e-12:
            scores[h] = (ab - a * b / count) / math.sqrt(spread)
    return scores
