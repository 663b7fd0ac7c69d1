"""Record states of next-best-view with what each direction would gain, for ``agents.nbv.voxel_training``.

    python -m agents.nbv.states runs/nbv-states/train
    python -m agents.nbv.states runs/nbv-states/validation --split validation --objects 64

A file for each object, of 3 episodes of 1 to 4 views among 64 directions at the inner radius; each view is
chosen by a rule drawn anew: at random, farthest from the views, by the measure ``rear_side_voxel``, or by the
true gain. What is there already is not recorded again.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from tqdm import tqdm
from tyro.conf import Positional, arg

from agents.flags import UserPath, parse_flags
from agents.nbv.candidates import measures
from agents.nbv.surface_gains import GAIN_FLOOR, REGION, nearest_seen, visible
from agents.records import read_records, write_record
from agents.run_folder import check_out
from spatial_envs.foundation.arguments import check_range
from spatial_envs.foundation.threads import set_threads
from spatial_envs.geometry.camera import (
    facing_origin,
    fibonacci_directions,
    inverse_pose,
    pinhole,
    turn_about_y,
)
from spatial_envs.geometry.mesh import Mesh
from spatial_envs.geometry.sampling import surface_samples
from spatial_envs.geometry.view import View
from spatial_envs.geometry.voxels import VoxelGrid
from spatial_envs.nbv.candidates import (
    CANDIDATES,
    GLIMPSE,
    GLIMPSE_FOV,
    GRID_SIDE,
    NEAR_CANDIDATE,
    azimuth,
)
from spatial_envs.nbv.occupancy import VOXELS
from spatial_envs.nbv.starts import initial_poses
from spatial_envs.rendering.builtin import BuiltinRenderer
from spatial_envs.scenes.objects import open_objects

EPISODES, VIEWS = 3, 4  # of an object, and the most views of an episode
SURFACE = 512  # points of which it is known what sees them
IMAGE, FOV = 112, 50.0  # pixels and degrees of a view, as the environment's
RULES, SHARES = ("random", "farthest", "measure", "gain"), (0.3, 0.15, 0.4, 0.15)


@dataclass(frozen=True)
class Flags:
    """What the command line says."""

    out: Positional[Annotated[UserPath, arg(metavar="OUT")]]
    """The folder for the files, which may hold some already."""
    split: Literal["train", "validation"] = "train"
    """Of which split of the procedural objects."""
    objects: int = 1024
    """The first so many of it."""


@dataclass
class States:
    """S states of an object.

    seen      (S, 2, 4096) uint8: the bits of ``trits``
    foreign   (S, 2, 4096), of the validation split only, else (0, 2, 4096): the same of the next object from
              the same poses
    measured  (S, 64, 2) float32: what ``measures`` says of each direction
    left      (S, 64) bool: which are not spent
    gains     (S, 64) float32: of log-Chamfer, by 512 points of the surface
    views     (S,): how many were taken
    """

    seen: np.ndarray
    foreign: np.ndarray
    measured: np.ndarray
    left: np.ndarray
    gains: np.ndarray
    views: np.ndarray


def read_states(folder: Path) -> States:
    """All states of a folder, in the order of the objects. ValueError where there are none."""
    found = read_records(folder, States, "states of next-best-view", "agents.nbv.states")
    columns = zip(*(vars(each).values() for each in found), strict=True)
    return States(*(np.concatenate(column) for column in columns))


def record(flags: Flags) -> Path:
    """Play and write; returns the folder. ValueError for objects that are not there."""
    check_out(flags.out)
    objects = open_objects("procedural", flags.split)
    check_range("objects", flags.objects, 1, len(objects), int)
    flags.out.mkdir(parents=True, exist_ok=True)
    for index in tqdm(range(flags.objects), desc="states", leave=False):
        path = flags.out / f"{index:05d}.npz"
        if not path.exists():
            other = objects.load((index + 1) % len(objects)) if flags.split == "validation" else None
            write_record(path, states(objects.load(index), other, np.random.default_rng([7, index])))
    return flags.out


def states(mesh: Mesh, other: Mesh | None, generator: np.random.Generator) -> States:
    """Those of some episodes with an object; ``other`` is what is seen in its place in ``foreign``."""
    points, normals = surface(mesh, generator)
    apart = np.linalg.norm(points[:, None] - points[None], axis=2).astype(np.float32)
    rows: list[tuple] = []
    for _ in range(EPISODES):
        episode = _Episode(mesh, other, initial_poses(generator, REGION, "random", 1)[0])
        from_each = [_sees(points, normals, mesh, pose) for pose in episode.candidates]
        after = np.stack([nearest_seen(apart, sees) for sees in from_each])
        seen = _sees(points, normals, mesh, episode.poses[0])
        while True:
            now = nearest_seen(apart, seen)
            then = np.minimum(after, now).mean(axis=1)
            gains = np.log(now.mean() + GAIN_FLOOR) - np.log(then + GAIN_FLOOR)
            left, measured = episode.left(), episode.measured()
            told = [trits(grid.log_odds) for grid in (episode.own, episode.foreign)]
            rows.append((*told, measured, left, gains.astype(np.float32), len(episode.poses)))
            if len(episode.poses) == VIEWS:
                break
            chosen = _chosen(episode, measured.sum(axis=1), gains, generator)
            seen |= from_each[chosen]
            episode.take(episode.candidates[chosen])
    made = States(*(np.stack(column) for column in zip(*rows, strict=True)))
    if other is None:
        made.foreign = made.foreign[:0]
    return made


class _Episode:
    """The views so far, what they told about space, and where the next may be."""

    def __init__(self, mesh: Mesh, other: Mesh | None, first: np.ndarray) -> None:
        self.mesh, self.other, self.renderer = mesh, other, BuiltinRenderer()
        turn = turn_about_y(azimuth(first))
        self.world_to_frame = inverse_pose(turn)
        directions = fibonacci_directions(CANDIDATES, REGION.max_elevation)
        self.candidates = (turn @ facing_origin(directions * REGION.radius[0])).astype(np.float32)
        self.poses: list[np.ndarray] = []
        self.grid = VoxelGrid(GRID_SIDE)
        self.own, self.foreign = VoxelGrid(GRID_SIDE, VOXELS), VoxelGrid(GRID_SIDE, VOXELS)
        self.take(first)

    def take(self, pose: np.ndarray) -> None:
        """A further view."""
        view = self._view(self.mesh, pose)
        self.grid.add(view)
        self.own.add(view.moved(self.world_to_frame))
        if self.other is not None:
            self.foreign.add(self._view(self.other, pose).moved(self.world_to_frame))
        self.poses.append(pose)

    def left(self) -> np.ndarray:
        """(64,) bool: the directions that are not spent."""
        return self.nearness() < np.cos(np.radians(NEAR_CANDIDATE))

    def nearness(self) -> np.ndarray:
        """(64,): the cosine of the angle to the nearest view."""
        centres = np.stack(self.poses)[:, :3, 3]
        centres = centres / np.linalg.norm(centres, axis=1, keepdims=True)
        return (self.candidates[:, :3, 3] / REGION.radius[0] @ centres.T).max(axis=1)

    def measured(self) -> np.ndarray:
        """(64, 2) float32: two measures of information, in standard deviations."""
        glimpses = self.grid.glimpses(pinhole(GLIMPSE_FOV, (GLIMPSE, GLIMPSE)), self.candidates, GLIMPSE)
        left = torch.as_tensor(self.left())[None].float()
        return measures(torch.as_tensor(glimpses)[None], left)[0].numpy()

    def _view(self, mesh: Mesh, pose: np.ndarray) -> View:
        return self.renderer.render(mesh, pose, pinhole(FOV, (IMAGE, IMAGE)), (IMAGE, IMAGE))


def trits(log_odds: np.ndarray) -> np.ndarray:
    """(2, n^3 / 8) uint8, bits: which voxels (n, n, n) are more likely occupied than not, and which free."""
    return np.packbits(np.stack([log_odds > 0, log_odds < 0]).reshape(2, -1), axis=1)


def surface(mesh: Mesh, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Points (512, 3) of what can be seen from somewhere, and their normals (512, 3)."""
    points, faces = surface_samples(mesh, 3 * SURFACE, generator)
    normals = mesh.face_normals[faces]
    poses = REGION.fibonacci_poses(CANDIDATES)
    kept = np.flatnonzero(np.any([_sees(points, normals, mesh, pose) for pose in poses], axis=0))[:SURFACE]
    return points[kept], normals[kept]


def _sees(points: np.ndarray, normals: np.ndarray, mesh: Mesh, pose: np.ndarray) -> np.ndarray:
    return visible(points, normals, mesh, pose, pinhole(FOV, (64, 64)), 64)


def _chosen(
    episode: _Episode, measured: np.ndarray, gains: np.ndarray, generator: np.random.Generator
) -> int:
    """The direction that one of the rules takes."""
    rule = generator.choice(RULES, p=SHARES)
    worth = {
        "random": generator.random(CANDIDATES),
        "farthest": -episode.nearness(),
        "measure": measured,
        "gain": gains,
    }[rule]
    return int(np.argmax(np.where(episode.left(), worth, -np.inf)))


if __name__ == "__main__":
    set_threads(None)
    try:
        record(parse_flags(Flags, __doc__, "python -m agents.nbv.states"))
    except (ValueError, TypeError, OSError, ImportError) as error:
        sys.exit(f"agents.nbv.states: {error}")
    except KeyboardInterrupt:
        sys.exit("agents.nbv.states: interrupted")
