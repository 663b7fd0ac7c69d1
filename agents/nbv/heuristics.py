"""Heuristics: policies that need no training and no peeking. Each has SB3's ``predict`` and acts through
``action_from_pose``."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from agents.nbv.information_gain import METRICS, candidate_intrinsics, information
from spatial_envs.foundation.arguments import check_choice
from spatial_envs.geometry.camera import facing_origin, fibonacci_directions, unproject
from spatial_envs.geometry.voxels import VoxelGrid
from spatial_envs.nbv import NBVEnv
from spatial_envs.nbv.actions import farthest_direction
from spatial_envs.nbv.candidates import CANDIDATES, GRID_SIDE

REACHABLE = 256  # candidates of continuous actions


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

    def reachable(self) -> np.ndarray:
        """(K, 4, 4): the candidates that are left; of continuous actions 256 poses, spread over directions by
        the spiral and over radii by the golden ratio, each as near as the actions reach."""
        task = self.env.task
        if task.action == "candidates":
            return self.directions()
        count, (inner, outer) = REACHABLE, task.region.radius
        radii = inner + (outer - inner) * ((np.arange(count) * 0.6180339887) % 1)
        centres = fibonacci_directions(count, task.region.max_elevation) * radii[:, None]
        actions = [self.env.action_from_pose(facing_origin(centre)) for centre in centres]
        return self.env.poses_from_actions(np.stack(actions))

    def directions(self) -> np.ndarray:
        """(K, 4, 4): poses spread over the region at ``radius``; of candidates those left."""
        task = self.env.task
        if task.action == "candidates":
            episode = task.episode(0)
            return task.candidate_poses(episode)[task.action_mask(episode)]
        return facing_origin(fibonacci_directions(CANDIDATES, task.region.max_elevation) * self.radius())

    def radius(self) -> float:
        """Metres: of the poses among which only the direction is chosen."""
        return self.env.task.region.middle


class Inner(Baseline):
    """From as near as the region allows: beside its twin, what the radius alone gives."""

    def radius(self) -> float:
        """Metres."""
        return self.env.task.region.radius[0]


class Outer(Baseline):
    """From as far as the region allows."""

    def radius(self) -> float:
        """Metres."""
        return self.env.task.region.radius[1]


class Random(Baseline):
    """Uniform over the region: direction by area, radius uniform; over the candidates that are left."""

    def act(self):
        """Return the action of the rule that the class's docstring describes."""
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
        """Return the action of the rule that the class's docstring describes."""
        return np.zeros_like(self.env.action_space.sample())


class Farthest(Baseline):
    """The direction whose smallest angle to the views taken is largest."""

    def act(self):
        """Return the action of the rule that the class's docstring describes."""
        task = self.env.task
        episode = task.episode(0)
        rotation = episode.frame_to_world[:3, :3]
        heading = farthest_direction(episode.directions(), rotation, task.region)
        return self.env.action_from_pose(facing_origin(self.radius() * rotation @ heading))


class FarthestInner(Inner, Farthest):
    """``Farthest``, from close by."""


class FarthestOuter(Outer, Farthest):
    """``Farthest``, from afar."""


class Uniform(Baseline):
    """The directions of a Fibonacci sphere in their order, at ``radius``: one for each added view."""

    def act(self):
        """Return the action of the rule that the class's docstring describes."""
        task = self.env.task
        added = len(task.episode(0).views) - task.initial_views
        all_of_them = fibonacci_directions(task.views - task.initial_views, task.region.max_elevation)
        return self.env.action_from_pose(facing_origin(all_of_them[added] * self.radius()))


class UniformInner(Inner, Uniform):
    """``Uniform``, from close by."""


class Coverage(Baseline):
    """The direction whose image, at a quarter of the pixels, the measured points so far fill least."""

    def act(self):
        """Return the action of the rule that the class's docstring describes."""
        task = self.env.task
        views = task.episode(0).views
        points = np.concatenate(
            [unproject(v.depth, v.intrinsics, v.cam_to_world)[v.depth > 0] for v in views]
        )
        poses = self.directions()
        filled = [self._filled(points, pose) for pose in poses]
        return self.env.action_from_pose(poses[np.argmin(filled)])

    def _filled(self, points: np.ndarray, pose: np.ndarray) -> int:
        """How many pixels of the pose's image hold a point."""
        height, width = (size // 2 for size in self.env.task.image_size)
        local = (points - pose[:3, 3]) @ pose[:3, :3]
        pixels = np.floor((local / local[:, 2:]) @ self.env.task.intrinsics.T)[:, :2] // 2
        inside = ((pixels >= 0) & (pixels < [width, height])).all(axis=1) & (local[:, 2] > 0)
        return len(np.unique(pixels[inside] @ [1, width]))


class InformationGain(Baseline):
    """The direction with the most volumetric information, by one of ``information_gain.METRICS``;
    ``as_published`` with the visibility of their authors' code."""

    def __init__(
        self, env, seed: int = 0, metric: str = "rear_side_voxel", as_published: bool = False
    ) -> None:
        super().__init__(env, seed)
        check_choice("metric", metric, METRICS)
        self.metric, self.as_published = metric, as_published

    def act(self):
        """Return the action of the rule that the class's docstring describes."""
        task = self.env.task
        episode = task.episode(0)
        grid = VoxelGrid(GRID_SIDE)
        for view in episode.views:
            grid.add(view)
        poses, intrinsics = self.directions(), candidate_intrinsics(task.fov)
        gains = [
            information(grid, self.metric, intrinsics, pose, as_published=self.as_published) for pose in poses
        ]
        return self.env.action_from_pose(poses[np.argmax(gains)])


class InformationGainInner(Inner, InformationGain):
    """``InformationGain``, from close by."""


class InformationGainOuter(Outer, InformationGain):
    """``InformationGain``, from afar."""
