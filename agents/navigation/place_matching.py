"""Where a picture was taken: a network that compares it with what the agent sees, and a planner that goes
there; near by it aligns the two pictures."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from agents.navigation.baselines import PATIENCE, UnknownArea
from agents.navigation.image_alignment import align
from spatial_envs.geometry.rotations import wrapped
from spatial_envs.simulators.simulator import LEFT, RIGHT, STOP

PIXELS, SIDE = 64, 16  # of the pictures that are compared, and cells of their features
SURE, LOST = 0.8, 0.5  # that a place is the same: it is followed from the first on, given up below the second
THERE = 0.14  # metres from where the picture was taken: a step of 0.25 m leads no nearer
NEAR = 1.2  # metres to where it may be, within which pictures are aligned
ALIKE, EXACT = 0.9, 0.03  # the correlation from which on they are believed; the likely error then, metres
REFUSED, ASIDE = 1.0, 1.0  # metres round a place that was a mistake, and between looks that say the same


class PlaceMatch(nn.Module):
    """Whether a goal's picture shows what the agent sees, and where it was taken: features of both pictures,
    each cell of the one compared with each of the other.

    width: channels of the features.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.eyes = nn.Sequential(
            *_layer(3, width, 4, 2), *_layer(width, width, 4, 2), *_layer(width, width, 3, 1),
            nn.Conv2d(width, width, 3, 1, 1),
        )  # fmt: skip
        self.sharpness = nn.Parameter(torch.tensor(10.0))
        self.compared = nn.Sequential(
            *_layer(SIDE**2 + width + 1, 3 * width, 1, 1), *_layer(3 * width, 2 * width, 3, 2),
            *_layer(2 * width, 2 * width, 3, 2), nn.Flatten(),
            nn.Linear(2 * width * (SIDE // 4) ** 2, 4 * width), nn.ReLU(), nn.Linear(4 * width, 6),
        )  # fmt: skip

    def forward(self, rgb: torch.Tensor, depth: torch.Tensor, goal: torch.Tensor) -> torch.Tensor:
        """rgb and goal (B, 3, 64, 64) in [0, 1], depth (B, 64, 64) metres -> (B, 6): the log odds that the
        goal's picture shows something of what is seen, metres to the right and forward to where it was taken,
        the logarithm of the likely error in metres, and cosine and sine of the turn to the left, of any
        length."""
        here, there = self.eyes(torch.cat([rgb, goal]) - 0.5).chunk(2)
        one, other = F.normalize(here, dim=1), F.normalize(there, dim=1)
        alike = torch.einsum("bchw,bcn->bnhw", one, other.flatten(2)) * self.sharpness
        near = F.avg_pool2d(torch.where(depth > 0, 1 / depth.clamp_min(0.1), 0)[:, None], PIXELS // SIDE)
        return self.compared(torch.cat([alike, here, near], dim=1))


def _layer(inputs: int, outputs: int, size: int, stride: int) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(inputs, outputs, size, stride, (size - 1) // 2, bias=False)
    return convolution, nn.BatchNorm2d(outputs), nn.ReLU()


class PlaceSeeker(UnknownArea):
    """Explores until a network is sure that the goal's picture shows what the agent sees; goes to where it
    was taken, by the mean of all looks that agree, turns as it was taken, and stops if it is there by what it
    sees then. A place that cannot be reached, or does not look like the picture then, is given up."""

    def __init__(self, env, network: PlaceMatch, seed: int = 0, row: int = 0) -> None:
        super().__init__(env, seed, row)
        self.network = network

    def begin(self) -> None:
        """Nothing was found."""
        super().begin()
        assert self.episode.picture is not None
        self._goal = as_picture(self.episode.picture)
        self._refused: list[np.ndarray] = []
        self._forget()

    def act(self) -> int:
        """A discrete action, by the rule of the class."""
        self.look()
        sure, error, place, yaw = self.compare()
        if sure > SURE and not any(math.dist(place, each) < REFUSED for each in self._refused):
            self._note(error, place, yaw)
        if not self._weight:
            return self.explore()
        self._steps += 1
        x, z, cos, sin = self._sum / self._weight
        away = math.dist((x, z), self.episode.state.position[[0, 2]])
        if away > THERE and self._steps < PATIENCE:
            nearest = self.reachable_near(self.map.cell(x, z))
            if nearest != self.here:
                return self.walk(nearest)
        turn = wrapped(math.atan2(sin, cos) - self.heading)
        if abs(turn) > math.radians(self.task.turn_step) * 0.55:
            return LEFT if turn > 0 else RIGHT
        latest = math.dist(place, self.episode.state.position[[0, 2]])  # as it looked, it is here
        if sure > LOST and latest < self.task.success_distance:
            return STOP
        if sure > SURE and self._steps < PATIENCE and latest < ASIDE:
            self._forget(self._steps + 1)
            self._note(error, place, yaw)
            nearest = self.reachable_near(self.map.cell(*place))
            if nearest != self.here:
                return self.walk(nearest)
        self._refused.append(np.array([x, z]))
        self._forget()
        return self.explore()

    def _forget(self, steps: int = 0) -> None:
        self._weight, self._least, self._sum, self._steps = 0.0, math.inf, np.zeros(4), steps

    def _note(self, error: float, place: np.ndarray, yaw: float) -> None:
        """Take a look into the mean of those that say the same, each by its likely error; or begin anew with
        it, where it is more certain than those were at their best."""
        known = self._sum[:2] / self._weight if self._weight else place
        if math.dist(place, known) > ASIDE:
            if error >= self._least:
                return
            self._forget()
        self._least = min(self._least, error)
        self._weight += error**-2
        self._sum += error**-2 * np.array([*place, math.cos(yaw), math.sin(yaw)])

    def compare(self) -> tuple[float, float, np.ndarray, float]:
        """How sure it is that the goal is in view; the likely error, metres; where it is, (x, z), and its
        yaw."""
        view, state = self.episode.views[0], self.episode.state
        rgb = as_picture(view.rgb)
        depth = F.interpolate(torch.as_tensor(view.depth)[None, None], (PIXELS, PIXELS), mode="nearest")[0]
        with torch.inference_mode():
            said = self.network(rgb, depth, self._goal)[0].numpy()
        sure = 1 / (1 + math.exp(-float(said[0])))
        right, forward, error = float(said[1]), float(said[2]), math.exp(float(said[3]))
        turn = math.atan2(float(said[5]), float(said[4]))
        if sure > LOST and math.hypot(right, forward) < NEAR:
            side = view.rgb.shape[1] / PIXELS
            lens = view.intrinsics / [[side], [side], [1]]
            seen, goal = (picture[0].movedim(0, -1).numpy() for picture in (rgb, self._goal))
            found = align(seen, depth[0].numpy(), goal, lens, (right, forward, turn))
            if found.alike > ALIKE:
                right, forward, turn, error = found.right, found.forward, found.turn, EXACT
        sin, cos = math.sin(state.yaw), math.cos(state.yaw)
        offset = np.array([cos * right - sin * forward, -sin * right - cos * forward])
        return sure, error, state.position[[0, 2]] + offset, wrapped(state.yaw + turn)


def as_picture(rgb: np.ndarray) -> torch.Tensor:
    """(1, 3, 64, 64) float32 in [0, 1] of a picture (H, W, 3) uint8."""
    picture = torch.as_tensor(rgb).movedim(-1, 0)[None].float() / 255
    return F.interpolate(picture, (PIXELS, PIXELS), mode="area")
