"""Where the floor goes on beyond what was seen: a network that completes the map, and the planner that
plans by it (as OccAnt anticipates occupancy, Ramakrishnan et al. 2020)."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from agents.navigation.baselines import FreeSpace
from spatial_envs.navigation.occupancy import FREE, OCCUPIED, UNKNOWN

COARSE = 2  # cells of the map that a cell of the network's is wide: 0.2 m
DEEPEST = 8  # by which the sides of the network's planes can be divided
LEAST = 1e-3  # a probability that is reckoned with, at least
PLANES = 4


class Completion(nn.Module):
    """A U-Net from what is known of a plan to the log odds that an agent can stand in each cell.

    width: channels at full resolution; twice, three and four times as many at each half of it.
    """

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        widths = [width * k for k in (1, 2, 3, 4)]
        self.first = _block(PLANES, widths[0])
        self.down = nn.ModuleList(_block(a, b) for a, b in pairwise(widths))
        self.middle = _block(widths[-1], widths[-1])
        self.up = nn.ModuleList(_block(a + b, a) for a, b in pairwise(widths))
        self.last = nn.Conv2d(widths[0], 1, 1)

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        """planes (B, 4, H, W) of ``planes_of``, H and W multiples of 8 -> (B, H, W)."""
        kept = [self.first(planes)]
        for block in self.down:
            kept.append(block(F.max_pool2d(kept[-1], 2)))
        seen = kept.pop()
        seen = seen + self.middle(seen)
        for block in reversed(self.up):
            larger = F.interpolate(seen, scale_factor=2.0, mode="nearest")
            seen = block(torch.cat([kept.pop(), larger], dim=1))
        return self.last(seen)[:, 0]


def _block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(),
        nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(),
    )  # fmt: skip


def planes_of(grid: np.ndarray) -> np.ndarray:
    """(4, H, W) float32 of a map's grid (rows, columns): the shares of occupied, free and unknown cells in
    2 x 2, and 1 where the map is; H and W are multiples of 8."""
    kinds = np.stack([grid == OCCUPIED, grid == FREE, grid == UNKNOWN, np.ones_like(grid, np.bool_)])
    return coarse(kinds)


def coarse(cells: np.ndarray) -> np.ndarray:
    """(..., H, W) float32: means over 2 x 2 of cells (..., rows, columns), 0 beyond them."""
    side = COARSE * DEEPEST
    pads = [(0, 0)] * (cells.ndim - 2) + [(0, -count % side) for count in cells.shape[-2:]]
    padded = np.pad(cells, pads).astype(np.float32)
    *others, rows, columns = padded.shape
    return padded.reshape(*others, rows // COARSE, COARSE, columns // COARSE, COARSE).mean(axis=(-3, -1))


class Completed(FreeSpace):
    """``FreeSpace``, but an unknown cell costs 1 - weight log p, where p is the network's probability that it
    is free."""

    def __init__(self, env, network: Completion, weight: float, seed: int = 0, row: int = 0) -> None:
        super().__init__(env, seed, row)
        self.network, self.weight = network, weight

    def begin(self) -> None:
        """No map, and nothing completed."""
        super().begin()
        self._completed: tuple[np.ndarray, np.ndarray] | None = None

    def unknown_cost(self) -> np.ndarray:
        """By the map as it is completed; anew where it has changed."""
        grid = self.map.grid
        if self._completed is None or not np.array_equal(self._completed[0], grid):
            self._completed = grid.copy(), self._cost(grid)
        return self._completed[1]

    def _cost(self, grid: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            free = self.network(torch.as_tensor(planes_of(grid))[None])[0].sigmoid().numpy()
        free = free.repeat(COARSE, 0).repeat(COARSE, 1)[: grid.shape[0], : grid.shape[1]]
        return 1 - self.weight * np.log(np.maximum(free, LEAST))
