"""What the parts of planners learn from recorded walks: batches, losses, and figures of validation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from agents.navigation.completion import PLANES, coarse, planes_of
from agents.navigation.walks import Walk, read_walks
from agents.statistics import interval

TEMPERATURE = 0.4  # of the gains for each step, in their standard deviations over a choice's candidates


class Lesson(ABC):
    """Of records, walks or views.

    kind     of these, in words
    folder   where they are by default, in train and validation
    records  how many
    """

    kind: ClassVar[str]
    folder: ClassVar[Path]
    records: int

    @classmethod
    @abstractmethod
    def read(cls, folder: Path) -> Lesson:
        """Of the records in a folder. ValueError where there are none, or one is not whole."""

    @abstractmethod
    def loss(self, network: nn.Module, size: int, rng: np.random.Generator) -> torch.Tensor:
        """The scalar loss on a batch of that size, turned and mirrored at random."""

    @abstractmethod
    def figures(self, network: nn.Module) -> dict[str, tuple[float, float, float]]:
        """By name the mean over records, with its 95 % bootstrap interval."""


class WalkLesson(Lesson):
    """Of recorded walks, which may be several in each building."""

    kind, folder = "walks", Path("runs/walks")

    def __init__(self, walks: Sequence[Walk]) -> None:
        self.walks, self.records = walks, len(walks)

    @classmethod
    def read(cls, folder: Path) -> WalkLesson:
        """Of the walks in a folder."""
        return cls(read_walks(folder))


class CompletionLesson(WalkLesson):
    """The free floor where the map is unknown."""

    def __init__(self, walks: Sequence[Walk]) -> None:
        super().__init__(walks)
        self.examples = [(k, turn) for k, walk in enumerate(walks) for turn in range(len(walk.maps))]
        self.free = [coarse(walk.free) for walk in walks]
        self.side = max(max(free.shape) for free in self.free)

    def loss(self, network: nn.Module, size: int, rng: np.random.Generator) -> torch.Tensor:
        """Binary cross-entropy over the unknown cells."""
        drawn = np.zeros((size, PLANES + 1, self.side, self.side), np.float32)
        for row, k in enumerate(rng.integers(len(self.examples), size=size)):
            walk, turn = self.examples[k]
            seen, truth = planes_of(self.walks[walk].maps[turn]), self.free[walk][None]
            turned = _turned(np.concatenate([seen, truth]), rng)
            drawn[row, :, : turned.shape[1], : turned.shape[2]] = turned
        given, wanted = torch.as_tensor(drawn).split([PLANES, 1], dim=1)
        each = F.binary_cross_entropy_with_logits(network(given), wanted[:, 0], reduction="none")
        unknown = given[:, 2]
        return (each * unknown).sum() / unknown.sum().clamp_min(1)

    def figures(self, network: nn.Module) -> dict[str, tuple[float, float, float]]:
        """Cross-entropy in the unknown cells, and that of their mean, the best that one number can do."""
        own, constant = [], []
        for walk, free in zip(self.walks, self.free, strict=True):
            planes = torch.as_tensor(np.stack([planes_of(grid) for grid in walk.maps]))
            truth = torch.as_tensor(free).expand(len(planes), -1, -1)
            with torch.inference_mode():
                each = F.binary_cross_entropy_with_logits(network(planes), truth, reduction="none")
            unknown = planes[:, 2]
            own.append(float((each * unknown).sum() / unknown.sum()))
            share = (truth * unknown).sum() / unknown.sum()
            constant.append(float(F.binary_cross_entropy(share, share)))
        return {"cross-entropy": over(own), "cross-entropy of a constant": over(constant)}


class FrontierLesson(WalkLesson):
    """The candidate that shows most for each step."""

    def __init__(self, walks: Sequence[Walk]) -> None:
        super().__init__(walks)
        self.choices = []
        for k, walk in enumerate(walks):
            ends = np.cumsum(walk.counts)
            parts = [slice(end - count, end) for end, count in zip(ends, walk.counts, strict=True)]
            self.choices += [(k, part) for part in parts if walk.gains[part].max() > 0]

    def loss(self, network: nn.Module, size: int, rng: np.random.Generator) -> torch.Tensor:
        """Listwise (ListNet, Cao et al. 2007): the cross-entropy of the softmax of the scores to that of the
        gains for each step, in units of their standard deviation over the choice."""
        drawn = [self.choices[k] for k in rng.integers(len(self.choices), size=size)]
        crops = [_turned(self.walks[walk].crops[part], rng) for walk, part in drawn]
        features = np.concatenate([self.walks[walk].features[part] for walk, part in drawn])
        scores = network(torch.as_tensor(features), torch.as_tensor(np.concatenate(crops)).float() / 255)
        losses = []
        for (walk, part), own in zip(drawn, scores.split([len(each) for each in crops]), strict=True):
            rate = torch.as_tensor(self._rates(walk, part))
            spread = rate.std(correction=0).clamp_min(1e-6)
            target = torch.softmax((rate - rate.mean()) / spread / TEMPERATURE, dim=0)
            losses.append(-(target * torch.log_softmax(own, dim=0)).sum())
        return torch.stack(losses).mean()

    def figures(self, network: nn.Module) -> dict[str, tuple[float, float, float]]:
        """What the choice shows for each step, as a share of the best candidate's: by the scores, and by the
        unknown-area rule."""
        own: list[list[float]] = [[] for _ in self.walks]
        rule: list[list[float]] = [[] for _ in self.walks]
        for walk, part in self.choices:
            features, rate = self.walks[walk].features[part], self._rates(walk, part)
            crops = torch.as_tensor(self.walks[walk].crops[part]).float() / 255
            with torch.inference_mode():
                scores = network(torch.as_tensor(features), crops).numpy()
            own[walk].append(float(rate[scores.argmax()] / rate.max()))
            rule[walk].append(float(rate[(features[:, 1] / (features[:, 0] + 1)).argmax()] / rate.max()))
        return {
            "share of the best": over([np.mean(each) for each in own if each]),
            "share of the best by the unknown-area rule": over([np.mean(each) for each in rule if each]),
        }

    def _rates(self, walk: int, part: slice) -> np.ndarray:
        walked = self.walks[walk]
        return (walked.gains[part] / (walked.features[part, 0] + 1)).astype(np.float32)


def _turned(planes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Planes (..., H, W) in one of their eight positions."""
    mirrored = planes[..., ::-1] if rng.random() < 0.5 else planes
    return np.rot90(mirrored, int(rng.integers(4)), (-2, -1))


def over(values: Sequence) -> tuple[float, float, float]:
    """The mean and its 95 % interval."""
    return interval(np.array(values, np.float64)[None], np.arange(len(values)))
