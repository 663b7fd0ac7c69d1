"""What an agent in a building is told: the spaces of its observations, and their values in an episode."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces

from spatial_envs.core.features import Features
from spatial_envs.core.task import Observation, padded
from spatial_envs.geometry.building import STRUCTURE
from spatial_envs.navigation.episode import FAR, Episode, in_frame, polar
from spatial_envs.navigation.occupancy import CHANNELS, CROP, CROP_CELL, WIDE_CELL
from spatial_envs.navigation.settings import NavigationSettings
from spatial_envs.procedural.furniture import CATEGORIES
from spatial_envs.simulators.agent import wrapped


class Sensors:
    """The observations that ``PointNavEnv`` documents, for a goal of one kind: "point", "image", "object" or
    "none".

    semantic_ids  number of each category that is known, as "semantic" and "objectgoal" show it; 0 = none
    """

    def __init__(
        self, settings: NavigationSettings, goal_kind: str, image_size: tuple[int, int], features: Features
    ) -> None:
        known = dict.fromkeys((*STRUCTURE, *CATEGORIES, *settings.categories))
        if len(known) > 255:
            got = len(settings.categories)
            raise ValueError(f"categories: got {got}; expected at most 255 with those known")
        self.semantic_ids = {name: number for number, name in enumerate(known, 1)}
        self.goal_kind, self.image_size, self.features = goal_kind, image_size, features
        self.max_depth, self.max_steps, self.window = settings.max_depth, settings.max_steps, settings.window

    def available(self) -> dict[str, spaces.Space]:
        """All that there is to observe."""
        height, width = self.image_size
        available: dict[str, spaces.Space] = {
            "rgb": spaces.Box(0, 255, (height, width, 3), np.uint8),
            "depth": spaces.Box(0.0, self.max_depth, (height, width, 1), np.float32),
            "semantic": spaces.Box(0, 255, (height, width, 1), np.uint8),
            "gps": spaces.Box(-FAR, FAR, (2,), np.float32),
            "compass": spaces.Box(-math.pi, math.pi, (1,), np.float32),
            "odometry": spaces.Box(
                np.array([0, -math.pi, 0], np.float32), np.array([FAR, math.pi, 1], np.float32)
            ),
            "remaining": spaces.Box(0.0, 1.0, (1,), np.float32),
            "map": spaces.Box(0, 255, (CROP, CROP, len(CHANNELS)), np.uint8),
            "wide_map": spaces.Box(0, 255, (CROP, CROP, len(CHANNELS)), np.uint8),
        }
        if self.goal_kind == "point":
            bound = np.array([FAR, math.pi], np.float32)
            available["pointgoal"] = spaces.Box(np.array([0, -math.pi], np.float32), bound)
        elif self.goal_kind == "object":
            available["objectgoal"] = spaces.Discrete(len(self.semantic_ids) + 1)
        elif self.goal_kind == "image":
            available["imagegoal"] = spaces.Box(0, 255, (height, width, 3), np.uint8)
        if self.features.backbone is not None:
            available["features"] = self.features.box(self.image_size, self.window)
            available["view_mask"] = spaces.MultiBinary(self.window)
        return available

    def observe(self, episode: Episode, keys: Sequence[str]) -> Observation:
        """The values of these keys, arrays of their own."""
        view, state, count = episode.views[0], episode.state, len(episode.views)
        made: dict[str, Callable[[], Any]] = {
            "rgb": lambda: view.rgb.copy(),
            "depth": lambda: view.depth[..., None].copy(),
            "semantic": lambda: self.semantic(episode)[..., None],
            "gps": lambda: in_frame(episode.start, state.position).astype(np.float32).clip(-FAR, FAR),
            "compass": lambda: np.array([wrapped(state.yaw - episode.start.yaw)], np.float32),
            "odometry": episode.odometry,
            "remaining": lambda: np.array([1 - episode.steps / self.max_steps], np.float32).clip(0, 1),
            "map": lambda: self._crop(episode, CROP_CELL),
            "wide_map": lambda: self._crop(episode, WIDE_CELL),
            "pointgoal": lambda: polar(in_frame(state, episode.goal)),  # type: ignore[arg-type]
            "objectgoal": lambda: np.int64(self.semantic_ids[episode.category]),
            "imagegoal": lambda: episode.picture.copy(),  # type: ignore[union-attr]
            "features": lambda: padded(self.features.standard(episode.features), self.window),
            "view_mask": lambda: (np.arange(self.window) < count).astype(np.int8),
        }
        return {key: made[key]() for key in keys}

    def semantic(self, episode: Episode) -> np.ndarray:
        """(H, W) uint8: ids of categories, 0 where nothing known is seen."""
        segment = episode.views[0].segment
        objects = episode.place.building.objects
        if segment is None or not objects:
            return np.zeros(self.image_size, np.uint8)
        ids = np.zeros(max(max(objects), int(segment.max())) + 1, np.uint8)
        for number, thing in objects.items():
            ids[number] = self.semantic_ids.get(thing.category, 0)
        return ids[segment]

    def _crop(self, episode: Episode, width: float) -> np.ndarray:
        assert episode.occupancy is not None
        goal = episode.goal if self.goal_kind == "point" else None
        return episode.occupancy.crop(episode.state, None if goal is None else goal[[0, 2]], width)
