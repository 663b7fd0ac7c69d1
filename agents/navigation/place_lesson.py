"""What a network that tells places apart learns from recorded views."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

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
        pairs = [self._pair(k, rng) for k in rng.integers(len(self.buildings), size=size)]
        pictures, shares, offsets, turns = self._batch(pairs, rng.random(size) < 0.5)
        said = network(*pictures)
        clear = ((shares > SHARED) | (shares < STRANGE)).float()
        match = F.binary_cross_entropy_with_logits(said[:, 0], (shares > SHARED).float(), reduction="none")
        error = (said[:, 1:3] - offsets).norm(dim=1)
        heading = F.normalize(said[:, 4:], dim=1)
        turned = 1 - heading[:, 0] * turns.cos() - heading[:, 1] * turns.sin()
        place = error * (-said[:, 3]).exp() + 2 * said[:, 3] + 2 * turned
        near = (shares > MEASURED).float()
        return (match * clear).sum() / clear.sum().clamp_min(1) + (place * near).sum() / near.sum().clamp_min(
            1
        )

    def figures(self, network: nn.Module) -> dict[str, tuple[float, float, float]]:
        """In each building over all pairs: the area under the curve of the match, by the network and by how
        alike the pictures are at 8 x 8 pixels; of matches the median errors, of those within half a metre
        too."""
        table: list[list[float]] = []
        for k, views in enumerate(self.buildings):
            one, other = (index.ravel() for index in np.indices(views.share.shape))
            apart = one != other
            pairs = [(k, int(i), int(j)) for i, j in zip(one[apart], other[apart], strict=True)]
            said, given = [], []
            for at in range(0, len(pairs), 256):
                pictures, *truth = self._batch(
                    pairs[at : at + 256], np.zeros(len(pairs[at : at + 256]), np.bool_)
                )
                with torch.inference_mode():
                    said.append(network(*pictures))
                given.append(torch.column_stack([truth[0], truth[1], truth[2]]))
            found, true = torch.cat(said).numpy(), torch.cat(given).numpy()
            small = (
                views.rgb.reshape(len(views.yaw), 8, 8, 8, 8, 3).mean(axis=(2, 4)).reshape(len(views.yaw), -1)
            )
            alike = -np.abs(small[one[apart]] - small[other[apart]]).mean(axis=1)
            same, strange = true[:, 0] > SHARED, true[:, 0] < STRANGE
            error = np.hypot(*(found[:, 1:3] - true[:, 1:3]).T)
            turned = np.degrees(np.abs(wrapped(np.arctan2(found[:, 5], found[:, 4]) - true[:, 3])))
            beside = same & (np.hypot(*true[:, 1:3].T) < 0.5)
            table.append(
                [
                    _area(found[:, 0], same, strange), _area(alike, same, strange),
                    *(float(np.median(value[rows])) for rows in (same, beside) for value in (error, turned)),
                ]
            )  # fmt: skip
        names = (
            "area under the curve", "area under the curve of 8 x 8 pixels", "metres off", "degrees off",
            "metres off within 0.5 m", "degrees off within 0.5 m",
        )  # fmt: skip
        return {name: over(column) for name, column in zip(names, np.array(table).T, strict=True)}

    def _pair(self, building: int, rng: np.random.Generator) -> tuple[int, int, int]:
        share = self.buildings[building].share
        one = int(rng.integers(len(share)))
        seen = share[:, one] > (SHARED if rng.random() < 0.7 else MEASURED)
        seen[one] = False
        among = np.flatnonzero(seen if seen.any() and rng.random() < 0.5 else np.arange(len(share)) != one)
        return building, one, int(rng.choice(among))

    def _batch(self, pairs: Sequence[tuple[int, int, int]], mirrored: np.ndarray) -> tuple[Any, ...]:
        """The network's arguments; of the goal's picture how much is seen, where it was taken, metres to the
        right and forward, and the turn to the left, radians; some (B,) bool of it in the mirror."""
        ours = [self.buildings[k] for k, _, _ in pairs]
        rgb, depth, goal = (
            np.stack([getattr(views, name)[pair[n]] for views, pair in zip(ours, pairs, strict=True)])
            for name, n in (("rgb", 1), ("depth", 1), ("rgb", 2))
        )
        share = np.array(
            [views.share[j, i] for views, (_, i, j) in zip(ours, pairs, strict=True)], np.float32
        )
        away = np.stack(
            [views.position[j] - views.position[i] for views, (_, i, j) in zip(ours, pairs, strict=True)]
        )
        yaw = np.array([views.yaw[i] for views, (_, i, _) in zip(ours, pairs, strict=True)])
        turn = wrapped(np.array([views.yaw[j] for views, (_, _, j) in zip(ours, pairs, strict=True)]) - yaw)
        right = np.cos(yaw) * away[:, 0] - np.sin(yaw) * away[:, 2]
        forward = -np.sin(yaw) * away[:, 0] - np.cos(yaw) * away[:, 2]
        side = np.where(mirrored, -1.0, 1.0)
        for value in (rgb, depth, goal):
            value[mirrored] = value[mirrored, :, ::-1]
        offsets = np.stack([side * right, forward], axis=1).astype(np.float32)
        pictures = [torch.as_tensor(value).movedim(-1, 1).float() / 255 for value in (rgb, goal)]
        given = (pictures[0], torch.as_tensor(depth).float(), pictures[1])
        turns = (side * turn).astype(np.float32)
        return given, torch.as_tensor(share), torch.as_tensor(offsets), torch.as_tensor(turns)


def _area(values: np.ndarray, same: np.ndarray, other: np.ndarray) -> float:
    """The area under the receiver operating characteristic: how often one that is the same has more."""
    return float(mannwhitneyu(values[same], values[other]).statistic / (same.sum() * other.sum()))
