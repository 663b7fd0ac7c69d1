"""Next views by what similar objects would show: a rival that knows the objects agents are trained on."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from agents.nbv.heuristics import Inner
from agents.nbv.information_gain import candidate_intrinsics, information
from agents.nbv.surface_gains import SurfaceGains, visible
from spatial_envs.geometry.camera import pinhole, turn_about_y
from spatial_envs.geometry.view import View
from spatial_envs.geometry.voxels import VoxelGrid
from spatial_envs.nbv.candidates import CANDIDATES, GRID_SIDE
from spatial_envs.rendering.builtin import rasterise
from spatial_envs.scenes.objects import open_objects

OBJECTS, TURNS, NEAREST = 256, 6, 8  # of the train split; about +Y; whose gains are averaged
PIXELS = 28  # of the depth pictures that are compared
SHORTLIST = 96  # of the turned objects, most like the first view, that further views are compared with
MISSING = 0.3  # metres that a pixel counts at most, and where only one picture shows anything
MEASURE = "rear_side_voxel"


@dataclass
class _Memory:
    """An episode's views so far: how unlike each turned object they are, and which of its points they see."""

    grid: VoxelGrid = field(default_factory=lambda: VoxelGrid(GRID_SIDE))
    unlike: np.ndarray = field(default_factory=lambda: np.zeros((OBJECTS, TURNS)))
    poses: list[np.ndarray] = field(default_factory=list)


class Lookup(Inner):
    """The direction with the most gain, at the inner radius, on the 8 objects of the train split whose depth
    from the same poses is most like what was seen, of 256 in 6 turns; its standard scores over the directions
    are added to those of the measure ``rear_side_voxel``, so that it knows all that agents are shown.

    A gain is that of 384 points of the surface (``SurfaceGains.gains``).
    """

    def __init__(self, env, seed: int = 0) -> None:
        super().__init__(env, seed)
        self._memory = _Memory()

    @cached_property
    def things(self) -> list[SurfaceGains]:
        """The objects; made at the first step, which takes about a minute."""
        objects = open_objects("procedural", "train")
        return [SurfaceGains(objects.load(k), np.random.default_rng(k)) for k in range(OBJECTS)]

    def act(self):
        """Return the action of the rule that the class's docstring describes."""
        task = self.env.task
        episode = task.episode(0)
        if len(episode.views) == task.initial_views:
            self._memory = _Memory()
        for view in episode.views[len(self._memory.poses) :]:
            self._look(view)
        if task.action == "candidates":
            turn, poses = task.candidates.turn(episode), task.candidate_poses(episode)
            left = task.action_mask(episode)
        else:
            turn, poses, left = 0.0, self.directions(), np.ones(CANDIDATES, np.bool_)
        measured = [
            information(self._memory.grid, MEASURE, candidate_intrinsics(task.fov), pose) for pose in poses
        ]
        value = _standard(self._expected(turn), left) + _standard(np.array(measured), left)
        return self.env.action_from_pose(poses[np.argmax(np.where(left, value, -np.inf))])

    def _look(self, view: View) -> None:
        """Compare a view with what each turned object would show from there."""
        self._memory.grid.add(view)
        self._memory.poses.append(view.cam_to_world)
        intrinsics = pinhole(self.env.task.fov, (PIXELS, PIXELS))
        rows, columns = (np.linspace(0, n - 1, PIXELS).round().astype(int) for n in view.depth.shape)
        seen = view.depth[np.ix_(rows, columns)]
        unlike = self._memory.unlike
        for k, turn in np.argwhere(np.isfinite(unlike)):
            pose = _turned(view.cam_to_world, turn)
            inverse_depth, _ = rasterise(self.things[k].mesh, pose, intrinsics, (PIXELS, PIXELS))
            shown = np.where(inverse_depth > 0, 1 / np.maximum(inverse_depth, 1e-9), 0)
            either, both = (shown > 0) | (seen > 0), (shown > 0) & (seen > 0)
            apart = np.where(both, np.minimum(np.abs(shown - seen), MISSING), MISSING)
            unlike[k, turn] += apart[either].mean() if either.any() else 0.0
        unlike[unlike > np.sort(unlike, axis=None)[SHORTLIST - 1]] = np.inf

    def _expected(self, turn: float) -> np.ndarray:
        """(64,): the mean gain on the nearest objects; ``turn``, radians: the azimuth that the directions
        count from."""
        nearest = np.argsort(self._memory.unlike, axis=None, kind="stable")[:NEAREST]
        gains = []
        for k, by in zip(*np.unravel_index(nearest, (OBJECTS, TURNS)), strict=True):
            thing = self.things[k]
            seen = np.zeros(len(thing.points), np.bool_)
            for pose in self._memory.poses:
                seen |= visible(
                    thing.points, thing.normals, thing.mesh, _turned(pose, by), pinhole(50, (64, 64)), 64
                )
            gains.append(thing.gains(seen, turn - 2 * math.pi * by / TURNS))
        return np.mean(gains, axis=0)


def _turned(pose: np.ndarray, by: int) -> np.ndarray:
    """The pose as an object sees it that stands turned by so many sixths about +Y."""
    return turn_about_y(-2 * math.pi * by / TURNS) @ pose


def _standard(values: np.ndarray, left: np.ndarray) -> np.ndarray:
    return (values - values[left].mean()) / (values[left].std() + 1e-9)
