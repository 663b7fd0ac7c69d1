"""What the tasks share in which slots are fitted: the encoder and its shapes, a step's gain, features beside
each other."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from gymnasium import spaces

from spatial_envs.backbones.backbone import Backbone
from spatial_envs.core.task import Observation, Rows, checked_actions
from spatial_envs.prototypes.encoder import SlotEncoder
from spatial_envs.prototypes.slots import Shapes


class Fitted(Protocol):
    """An episode that knows how many steps it has made."""

    steps: int


F = TypeVar("F", bound=Fitted)


class Fitting(Rows[F]):
    """A task whose rows are fits; ``weights`` are those of the encoder and its bank."""

    settings: Any
    image_size: tuple[int, int]
    weights: Path
    steps: int
    action_space: spaces.Space
    observation_space: spaces.Dict
    _model: tuple[SlotEncoder, Shapes] | None = None

    @property
    def model(self) -> tuple[SlotEncoder, Shapes]:
        """The encoder and its bank's shapes, read when they are first needed."""
        if self._model is None:
            encoder = SlotEncoder.load(self.weights).requires_grad_(False)
            self._model = encoder, Shapes.of(encoder.bank)
        return self._model

    def step(self, rows: Sequence[int], actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """See ``Task.step``; actions (B, A) in [-1, 1], clipped."""
        checked = checked_actions(self.action_space, actions)
        episodes = [self.episode(row) for row in rows]
        rewards = np.array(self.side_by_side(self._turn, episodes, checked))
        terminated = np.array([episode.steps >= self.steps for episode in episodes])
        return rewards, terminated, np.zeros_like(terminated)

    @abstractmethod
    def _turn(self, episode: F, action: np.ndarray) -> float:
        """Let an episode's slots change by an action; what that gains."""

    def _gain(self, before: dict[str, float], after: dict[str, float]) -> float:
        reward = self.settings.reward
        if callable(reward):
            return float(reward(before, after))
        return after[reward] - before[reward]

    def observe_all(self, rows: Sequence[int]) -> list[Observation]:
        """See ``Task.observe_all``."""
        if "features" in self.observation_space.spaces:
            for row in rows:  # torch has its own threads
                self._features(self.episode(row))
        return self.side_by_side(self.observe, rows)

    @abstractmethod
    def _features(self, episode: F) -> np.ndarray:
        """What the backbone says of an episode's views, standardised, worked out once."""

    def _feature_size(self, backbone: Backbone) -> tuple[int, int]:
        """The multiples of the backbone's patch that are nearest to the image size."""
        height, width = (max(1, round(n / backbone.patch)) * backbone.patch for n in self.image_size)
        return height, width
