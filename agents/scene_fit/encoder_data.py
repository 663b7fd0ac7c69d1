"""Fitting scenes on disk, so that training does not wait for them: ``python -m agents.scene_fit.encoder_data
--out data``.

One file per scene, written whole or not at all; what is there is not made again, so a killed run goes on, and
training may begin while scenes are still being added.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from agents.flags import UserPath, parse_flags
from spatial_envs.foundation.files import replacing
from spatial_envs.prototypes.kmeans import clusters
from spatial_envs.prototypes.pieces import pieces
from spatial_envs.prototypes.target import Target, make_target
from spatial_envs.scenes.depth_frames import open_depth

COUNTS = (1, 2, 3, 4, 6, 9, 12)  # objects in a scene
SHOWN = 150  # points of each object's surface that are kept


@dataclass(frozen=True)
class Flags:
    """What the command line says."""

    out: UserPath
    """The folder."""
    split: str = "train"
    """Of procedural scenes."""
    scenes: int = 1000
    """For each number of objects; every second one as a sensor with noise sees it."""
    counts: tuple[int, ...] = COUNTS
    """Numbers of objects."""


def prepare(flags: Flags) -> None:
    """Make the scenes that are not there yet, a few of each number of objects at a time."""
    flags.out.mkdir(parents=True, exist_ok=True)
    sets = {
        (count, noise): open_depth("procedural", flags.split, num_objects=count, noise=noise)
        for count in flags.counts
        for noise in (0.0, 1.0)
    }
    for index in tqdm(range(flags.scenes)):
        for count in flags.counts:
            path = flags.out / f"{count:02}-{index:05}.npz"
            if path.exists():
                continue
            try:
                target = make_target(sets[count, float(index % 2)].load(index))
            except ValueError:  # next to nothing of it is in the picture
                continue
            assert target.objects is not None
            if len(np.unique(target.objects[target.objects > 0])) < max(1, count - 2):
                continue
            with replacing(path) as unfinished:  # others may make the same scene
                write(target, unfinished)


def prepare_files(out: Path, options: dict[str, Any], slots: int, most: int) -> None:
    """Keep the first so many frames of a data set of depth, as ``open_depth`` has them by these options, each
    to be explained by so many slots; those with nothing to explain are left out. Whose points are whose is
    not kept, nor any surface. Raises ValueError where there is no frame."""
    out.mkdir(parents=True, exist_ok=True)
    frames = open_depth(**options)
    for index in tqdm(range(min(most, len(frames)))):
        path = out / f"{slots:02}-{index:05}.npz"
        if path.exists():
            continue
        try:
            target = make_target(frames.load(index))
        except ValueError:
            continue
        with replacing(path) as unfinished:
            write(replace(target, objects=None, surface=None, surface_objects=None), unfinished)


def write(target: Target, path: Path) -> None:
    """A target, thinned out."""
    if target.surface is not None and target.surface_objects is not None:
        target = _thinned(target, target.surface, target.surface_objects)
    kept = replace(target, pixels=target.pixels.astype(np.int32), held_out=np.zeros((0, 3), np.float32))
    named = {field.name: getattr(kept, field.name) for field in fields(Target)}
    np.savez_compressed(path, **{name: value for name, value in named.items() if value is not None})


def _thinned(target: Target, surface: np.ndarray, objects: np.ndarray) -> Target:
    thin = np.concatenate(
        [
            rows[np.linspace(0, len(rows) - 1, min(SHOWN, len(rows))).astype(int)]
            for rows in (np.flatnonzero(objects == k) for k in np.unique(objects))
        ]
    )
    return replace(target, surface=surface[thin], surface_objects=objects[thin])


def read(path: Path) -> Target:
    """What ``write`` wrote."""
    with np.load(path) as file:
        arrays = dict.fromkeys(field.name for field in fields(Target)) | {n: file[n] for n in file.files}
    arrays["unit"] = float(arrays["unit"])
    arrays["pixels"] = arrays["pixels"].astype(np.int64)
    return Target(**arrays)


def by_groups(target: Target, labels: np.ndarray) -> Target:
    """The target as if each group of its points (N,) were an object, whose surface is what was seen of it:
    what an encoder learns from that is told no more than the depth map."""
    objects = (labels + 1).astype(np.int32)
    return replace(target, objects=objects, surface=target.points, surface_objects=objects)


def mirrored(target: Target) -> Target:
    """The scene in a mirror: x becomes -x, in the frame and in the picture."""
    width = target.depth.shape[1]
    row, column = np.divmod(target.pixels, width)
    flip = np.diag([-1.0, 1.0, 1.0, 1.0])
    intrinsics = target.intrinsics.copy()
    intrinsics[0, 2] = width - intrinsics[0, 2]
    aside = np.array([-1, 1, 1], np.float32)
    return replace(
        target, points=target.points * aside, pixels=row * width + width - 1 - column, intrinsics=intrinsics,
        depth=np.ascontiguousarray(target.depth[:, ::-1]), cam_to_frame=flip @ target.cam_to_frame @ flip,
        surface=None if target.surface is None else target.surface * aside,
    )  # fmt: skip


class Pool:
    """The scenes of a folder by number of objects; ``refresh`` finds those that were added."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.paths: dict[int, list[Path]] = {}
        self.kept: dict[Path, Target] = {}
        self.pieces: dict[tuple[Path, int], np.ndarray] = {}
        self.refresh()

    def refresh(self) -> None:
        """List the folder again."""
        self.paths.clear()
        for path in sorted(self.folder.glob("[0-9]*.npz")):
            self.paths.setdefault(int(path.name[:2]), []).append(path)

    def draw(
        self, count: int, batch: int, rng: np.random.Generator, slots: int, kmeans: float
    ) -> tuple[list[Target], list[np.ndarray]]:
        """Scenes of ``count`` objects, half of them mirrored, and their points in up to ``slots`` groups
        (N,): pieces, or with the probability ``kmeans`` what that finds."""
        targets, labels = [], []
        for k in rng.integers(len(self.paths[count]), size=batch):
            path = self.paths[count][k]
            if path not in self.kept:
                self.kept[path] = read(path)
            target = self.kept[path]
            if rng.random() < kmeans:
                labels.append(clusters(target.points, slots, int(rng.integers(1 << 30)), starts=1))
            else:
                if (path, slots) not in self.pieces:
                    self.pieces[path, slots] = pieces(target, slots).astype(np.int16)
                labels.append(self.pieces[path, slots].astype(np.int64))
            targets.append(mirrored(target) if rng.random() < 0.5 else target)
        return targets, labels

    def __iter__(self) -> Iterator[int]:
        return iter(sorted(self.paths))


if __name__ == "__main__":
    prepare(parse_flags(Flags, __doc__, "python -m agents.scene_fit.encoder_data"))
