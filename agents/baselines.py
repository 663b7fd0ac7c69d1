"""Policies that need no training. Each has SB3's ``predict`` and acts through ``action_from_pose``."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from spatial_envs.camera import facing_origin, fibonacci_directions
from spatial_envs.nbv import NBVEnv, farthest_direction

ORACLE_CANDIDATES = 256
REFINEMENTS = ((24, 0.06), (24, 0.02))  # rounds of local search: how many tries, how far in action units


class Baseline(ABC):
    """A policy that looks at the environment itself; ``env`` may be wrapped."""

    def __init__(self, env, seed: int = 0) -> None:
        self.env: NBVEnv = env.unwrapped
        self.generator = np.random.default_rng(seed)

    def predict(self, observation, state=None, episode_start=None, deterministic: bool = True):
        """The action for the environment as it stands, and no state."""
        return self.act(), None

    @abstractmethod
    def act(self) -> np.ndarray | np.integer:
        """The action."""


class Random(Baseline):
    """Uniform over the region: direction by area, radius uniform; over the candidates that are left."""

    def act(self):
        """See the class."""
        task = self.env.task
        if task.action == "candidates":
            return np.int64(self.generator.choice(np.flatnonzero(task.action_mask(task.episode(0)))))
        height = self.generator.uniform(-1, 1) * np.sin(np.radians(task.region.max_elevation))
        azimuth = self.generator.uniform(-np.pi, np.pi)
        across = np.sqrt(1 - height**2)
        centre = np.array([across * np.sin(azimuth), height, across * np.cos(azimuth)])
        return self.env.action_from_pose(facing_origin(centre * self.generator.uniform(*task.region.radius)))


class Zero(Baseline):
    """The zero action: the anchor, at the middle radius."""

    def act(self):
        """See the class."""
        return np.zeros_like(self.env.action_space.sample())


class Farthest(Baseline):
    """The direction whose smallest angle to the views taken is largest, at the middle radius."""

    def radius(self) -> float:
        """Metres."""
        return self.env.task.region.middle

    def act(self):
        """See the class."""
        task = self.env.task
        episode = task.episode(0)
        rotation = episode.frame_to_world[:3, :3]
        heading = farthest_direction(episode.directions(), rotation, task.region)
        return self.env.action_from_pose(facing_origin(self.radius() * rotation @ heading))


class FarthestInner(Farthest):
    """As ``Farthest``, from as near as the region allows: what learning the radius alone would give."""

    def radius(self) -> float:
        """Metres."""
        return self.env.task.region.radius[0]


class Oracle(Baseline):
    """Greedy: the best true gain among 256 poses that the action space reaches, refined by local search."""

    def act(self):
        """See the class."""
        task = self.env.task
        if task.action == "candidates":
            gains = self.env.evaluate(task.candidate_poses(task.episode(0)))
            return np.int64(np.argmax(np.where(task.action_mask(task.episode(0)), gains, -np.inf)))
        # spread over directions by the spiral, over radii by the golden ratio
        radii = task.region.radius[0] + np.diff(task.region.radius) * (
            (np.arange(ORACLE_CANDIDATES) * 0.6180339887) % 1
        )
        centres = fibonacci_directions(ORACLE_CANDIDATES, task.region.max_elevation) * radii[:, None]
        actions = np.stack([self.env.action_from_pose(facing_origin(centre)) for centre in centres])
        best, gain = self._best(actions)
        for count, spread in REFINEMENTS:
            tries = best + spread * self.generator.normal(size=(count, len(best)))
            near, near_gain = self._best(np.clip(tries, -1, 1).astype(np.float32))
            if near_gain > gain:
                best, gain = near, near_gain
        return best

    def _best(self, actions: np.ndarray) -> tuple[np.ndarray, float]:
        gains = self.env.evaluate(self.env.poses_from_actions(actions))
        return actions[np.nanargmax(gains)], float(np.nanmax(gains))


BASELINES: dict[str, type[Baseline]] = {
    "random": Random,
    "zero-action": Zero,
    "farthest": Farthest,
    "farthest-inner": FarthestInner,
    "oracle": Oracle,
}


def baselines(env) -> dict[str, Baseline]:
    """One of each that means something for the environment's actions: zero is no candidate in particular."""
    discrete = env.unwrapped.task.action == "candidates"
    return {name: kind(env) for name, kind in BASELINES.items() if not (discrete and kind is Zero)}
