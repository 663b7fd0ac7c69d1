"""What a network that tells places apart learns from recorded views."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from scipy.stats import mannwhitneyu
from torch import nn

from agents.navigation.lessons import Lesson, over
from agents.navigation.place_views import PlaceViews, read_views
from spatial_envs.geometry.rotations import wrapped

SHARED, STRANGE = 0.2, 0.02  # of the goal's picture: seen by as much it is the same place, by less another
MEASURED = 0.1  # from which on where it is, is learned
FIGURES = (
    "area under the curve", "area under the curve of 8 x 8 pixels", "metres off", "degrees off",
    "metres off within 0.5 m", "degrees off within 0.5 m",
)  # fmt: skip


class PlaceLesson(Lesson):
    """Pairs of views in one building: whether the second's picture is seen in the first, and from where it
    was taken. A record is the views of one building."""

    kind, folder = "buildings", Path("runs/views")

    def __init__(self, buildings: Sequence[PlaceViews]) -> None:
        self.buildings, self.records = buildings, len(buildings)

    @classmethod
    def read(cls, folder: Path) -> PlaceLesson:
        """Of the views in a folder."""
        return cls(read_views(folder))

    def loss(self, network: nn.Module, size: int, rng: np.random.Generator) -> torch.Tensor:
        """Cross-entropy of the match, the negative log likelihood of the offset (a Laplacian's in the plane),
        and one less the cosine of the turn's error; half of the pairs are matches."""
        drawn = [self._drawn(self.buildings[k], rng) for k in rng.integers(len(self.buildings), size=size)]
        pairs = Pairs(*(np.concatenate(column) for column in zip(*drawn, strict=True)))
        pairs = pairs.mirrored(rng.random(size) < 0.5)
        said = network(*pairs.pictures())
        share, offset, turn = (torch.as_tensor(each) for each in (pairs.share, pairs.offset, pairs.turn))
        match = F.binary_cross_entropy_with_logits(said[:, 0], (share > SHARED).float(), reduction="none")
        heading = F.normalize(said[:, 4:], dim=1)
        turned = 1 - heading[:, 0] * turn.cos() - heading[:, 1] * turn.sin()
        error = (said[:, 1:3] - offset).norm(dim=1)
        place = error * (-said[:, 3]).exp() + 2 * said[:, 3] + 2 * turned
        clear = (share > SHARED) | (share < STRANGE)
        return _mean(match, clear) + _mean(place, share > MEASURED)

    def figures(self, network: nn.Module) -> dict[str, tuple[float, float, float]]:
        """In each building over all pairs: the area under the curve of the match, by the network and by how
        alike the pictures are at 8 x 8 pixels; of matches the median errors, of those within half a metre
        too. A building without such pairs counts in none."""
        table = np.array([_figures(network, views) for views in self.buildings])
        columns = {name: column[~np.isnan(column)] for name, column in zip(FIGURES, table.T, strict=True)}
        return {name: over(column) for name, column in columns.items()}

    def _drawn(self, views: PlaceViews, rng: np.random.Generator) -> Pairs:
        one = rng.integers(len(views.yaw), size=1)
        seen = views.share[:, one[0]] > (SHARED if rng.random() < 0.7 else MEASURED)
        others = np.arange(len(views.yaw)) != one[0]
        seen &= others
        among = seen if seen.any() and rng.random() < 0.5 else others
        return pairs_of(views, one, rng.choice(np.flatnonzero(among), 1))


class Pairs(NamedTuple):
    """N pairs of views: what the agent sees, rgb (N, 64, 64, 3) and depth (N, 64, 64), and the goal's
    picture; of that the share (N,) that the agent sees, how far it was taken to the right and forward of the
    agent (N, 2), metres, and the turn (N,) to the left, radians."""

    rgb: np.ndarray
    depth: np.ndarray
    goal: np.ndarray
    share: np.ndarray
    offset: np.ndarray
    turn: np.ndarray

    def mirrored(self, which: np.ndarray) -> Pairs:
        """Some of them (N,) bool in the mirror."""
        rgb, depth, goal = (value.copy() for value in (self.rgb, self.depth, self.goal))
        for value in (rgb, depth, goal):
            value[which] = value[which, :, ::-1]
        side = np.where(which, np.float32(-1), np.float32(1))
        offset = self.offset * np.stack([side, np.ones_like(side)], axis=1)
        return Pairs(rgb, depth, goal, self.share, offset, self.turn * side)

    def pictures(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """As ``PlaceMatch`` takes them."""
        rgb, goal = (torch.as_tensor(value).movedim(-1, 1).float() / 255 for value in (self.rgb, self.goal))
        return rgb, torch.as_tensor(self.depth).float(), goal


def pairs_of(views: PlaceViews, one: np.ndarray, other: np.ndarray) -> Pairs:
    """Of a building's views the pairs of these numbers (N,): the agent's, and the goal's picture's."""
    away, yaw = views.position[other] - views.position[one], views.yaw[one]
    right = np.cos(yaw) * away[:, 0] - np.sin(yaw) * away[:, 2]
    forward = -np.sin(yaw) * away[:, 0] - np.cos(yaw) * away[:, 2]
    return Pairs(
        views.rgb[one], views.depth[one], views.rgb[other],
        views.share[other, one].astype(np.float32),
        np.stack([right, forward], axis=1).astype(np.float32),
        wrapped(views.yaw[other] - yaw).astype(np.float32),
    )  # fmt: skip


def _figures(network: nn.Module, views: PlaceViews) -> list[float]:
    """Those of one building, by FIGURES."""
    one, other = np.nonzero(~np.eye(len(views.yaw), dtype=np.bool_))
    said = []
    for rows in np.array_split(np.arange(len(one)), len(one) // 256 + 1):
        with torch.inference_mode():
            said.append(network(*pairs_of(views, one[rows], other[rows]).pictures()))
    found, true = torch.cat(said).numpy(), pairs_of(views, one, other)
    small = views.rgb.reshape(-1, 8, 8, 8, 8, 3).mean(axis=(2, 4)).reshape(len(views.yaw), -1)
    alike = -np.abs(small[one] - small[other]).mean(axis=1)
    same, strange = true.share > SHARED, true.share < STRANGE
    error = np.hypot(*(found[:, 1:3] - true.offset).T)
    turned = np.degrees(np.abs(wrapped(np.arctan2(found[:, 5], found[:, 4]) - true.turn)))
    beside = same & (np.hypot(*true.offset.T) < 0.5)
    medians = [
        float(np.median(value[rows])) if rows.any() else np.nan
        for rows in (same, beside)
        for value in (error, turned)
    ]
    return [_area(found[:, 0], same, strange), _area(alike, same, strange), *medians]


def _mean(values: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
    """Of the values (N,) where that is so, 0 if nowhere."""
    return (values * where).sum() / where.sum().clamp_min(1)


def _area(values: np.ndarray, same: np.ndarray, other: np.ndarray) -> float:
    """The area under the receiver operating characteristic: how often one that is the same has more; NaN
    without any of either."""
    if not (same.any() and other.any()):
        return np.nan
    return float(mannwhitneyu(values[same], values[other]).statistic / (same.sum() * other.sum()))
