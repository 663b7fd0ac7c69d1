"""Scores of directions by what the voxels show of the object, and so of what is not seen of it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

UNKNOWN = 128  # of the observation "voxels"
PATCH = 4  # voxels along a side, that become one cell
LINE = (-0.6, 0.0, 0.6)  # where the lattice lies that a direction reads on, along each axis; 1: half the side


class VoxelScores(nn.Module):
    """A score for each direction round a voxel grid, by one network for all.

    Three-dimensional convolutions make features of 8^3 cells. Each direction sums these round the points of
    a lattice of 3 x 3 x 3 that faces it (its axes: east, north and the direction itself); from these sums,
    its elevation and its measures of information comes its score, to which the measures are added by learned
    weights that begin at 1, while all else begins at 0.
    """

    def __init__(self, width: int = 16, hidden_dim: int = 48) -> None:
        super().__init__()
        self.cells = nn.Conv3d(3, width, PATCH, stride=PATCH)
        self.near = _Block(width)
        self.down = nn.Conv3d(width, 2 * width, 3, stride=2, padding=1)
        self.far = nn.Sequential(_Block(2 * width), _Block(2 * width))
        self.whole = nn.Linear(2 * width, 2 * width)
        self.up = nn.Conv3d(2 * width, width, 1)
        self.joined = nn.Conv3d(width, width, 3, padding=1)
        self.read = nn.Linear(width * len(LINE) ** 3 + 3, hidden_dim)
        self.score = nn.Sequential(
            nn.GELU(), nn.Linear(hidden_dim, hidden_dim), nn.GELU(), nn.Linear(hidden_dim, 1)
        )
        self.measures = nn.Parameter(torch.ones(2))
        nn.init.zeros_(self.score[-1].weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.score[-1].bias)  # type: ignore[arg-type]

    def forward(self, known: torch.Tensor, directions: torch.Tensor, measured: torch.Tensor) -> torch.Tensor:
        """known (B, 2, n, n, n) of ``told``, directions (B, K, 3) in the voxels' axes, measured (B, K, 2) ->
        (B, K)."""
        cells = self.volume(known).flatten(2).transpose(1, 2)  # (B, cells, C)
        if (directions == directions[:1]).all():
            directions = directions[:1]  # as they are in the frame of gravity
        weights = reading(directions, round(cells.shape[1] ** (1 / 3)))
        read = (weights.flatten(1, 2) @ cells).unflatten(1, weights.shape[1:3]).flatten(2)
        elevation = directions[..., 1:2].expand(len(read), -1, -1)
        hidden = self.read(torch.cat([read, elevation, measured], dim=-1))
        return self.score(hidden)[..., 0] + measured @ self.measures

    def volume(self, known: torch.Tensor) -> torch.Tensor:
        """known (B, 2, n, n, n) -> (B, C, n / 4, n / 4, n / 4)."""
        unknown = 1 - known.sum(dim=1, keepdim=True)
        fine = self.near(self.cells(torch.cat([known, unknown], dim=1)))
        coarse = self.far(self.down(fine))
        coarse = coarse + self.whole(coarse.mean(dim=(2, 3, 4)))[..., None, None, None]
        up = F.interpolate(self.up(coarse), scale_factor=2.0, mode="nearest")
        return F.gelu(self.joined(F.gelu(fine + up)))


class _Block(nn.Module):
    """A residual convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(4, width)
        self.conv = nn.Conv3d(width, width, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.conv(F.gelu(self.norm(x)))


def told(voxels: torch.Tensor) -> torch.Tensor:
    """The observation "voxels" (B, 1, n, n, n) -> (B, 2, n, n, n): which are more likely occupied than not,
    and which free."""
    return torch.cat([voxels > UNKNOWN, voxels < UNKNOWN], dim=1).float()


def reading(directions: torch.Tensor, side: int) -> torch.Tensor:
    """(B, K, 27, side^3): how much each point of the lattices of unit directions (B, K, 3) counts each cell,
    whose sums are 1. A direction along +Y has no east, and reads on a line alone."""
    up = directions.new_tensor([0.0, 1.0, 0.0]).expand_as(directions)
    east = F.normalize(torch.linalg.cross(up, directions), dim=-1)
    axes = torch.stack([east, torch.linalg.cross(directions, east), directions], dim=-2)  # (B, K, 3, 3)
    line = (torch.arange(side).to(directions) + 0.5) * 2 / side - 1
    lie = axes @ torch.cartesian_prod(line, line, line).T  # (B, K, 3, cells): in the direction's axes
    off = lie[..., None, :] - lie.new_tensor(LINE)[:, None]  # (B, K, 3, 3, cells)
    near = torch.softmax(-2 * (off / (LINE[1] - LINE[0])).square(), dim=-2)
    a, b, c = near.unbind(2)
    weights = torch.einsum("bkin,bkjn,bkln->bkijln", a, b, c).flatten(2, 4)
    return weights / weights.sum(dim=-1, keepdim=True)
