"""Sets of buildings, which ``scenes=`` names for navigation."""

from __future__ import annotations

import difflib
import logging
import os
from pathlib import Path
from typing import NamedTuple

from spatial_envs.building import Building
from spatial_envs.building_files import BuildingFile, list_buildings
from spatial_envs.objects import SceneSet, scene_set

logger = logging.getLogger(__name__)

SPLITS = ("train", "validation", "test")
PROCEDURAL = {
    "train": (0, 4096),
    "validation": (1_000_000, 64),
    "test": (2_000_000, 128),
}  # first seed, count


class _Seed(NamedTuple):
    seed: int

    def load(self) -> Building:
        from spatial_envs.procedural.apartments import apartment

        return apartment(self.seed)


class BuildingSet(SceneSet[Building]):
    """Buildings of one split: ``load`` gives a Building in metres, Y up."""

    word = "building"


def open_buildings(scenes: str | Path, split: str = "train", up: str = "auto") -> BuildingSet:
    """The buildings of a split.

    scenes: "procedural"; a mesh file (.glb, .gltf, .ply, .obj); a folder of buildings as Gibson,
            Matterport3D, HM3D, Replica, HSSD and habitat-test-scenes have them; or a YAML file as for
            ``open_objects``
    split:  "train", "validation", "test". A file or folder has no splits: each split is all of it, and the
            set is ``leaky``.
    up:     the up axis of files, "y", "z", or "auto": see ``building_files.up_axis``.
    Raises ValueError that names the argument, or the file and key, what was got and what was expected.
    """
    if split not in SPLITS:
        raise ValueError(f"split: got {split!r}, expected one of {', '.join(SPLITS)}")
    if up not in ("auto", "y", "z"):
        raise ValueError(f"up: got {up!r}, expected 'auto', 'y' or 'z'")
    if str(scenes) == "procedural":
        if up == "z":
            raise ValueError("up: got 'z', but procedural buildings are made with Y up")
        first, count = PROCEDURAL[split]
        seeds = range(first, first + count)
        names = tuple(f"procedural-{seed:07d}" for seed in seeds)
        return BuildingSet(names, f"procedural/{split}", False, tuple(_Seed(seed) for seed in seeds))
    path = Path(os.path.abspath(Path(scenes).expanduser()))
    if not path.exists():
        typo = difflib.SequenceMatcher(None, str(scenes).lower(), "procedural").ratio() > 0.7
        hint = "; did you mean 'procedural'?" if typo else ""
        expected = "'procedural', a mesh file, a folder or a scene-set YAML"
        raise ValueError(f"scenes: {str(scenes)!r} does not exist{hint}; expected {expected}")
    has_splits = path.is_file() and path.suffix.lower() in (".yaml", ".yml")
    label = f"{path.name}/{split}" if has_splits else path.name
    named: dict[str, BuildingFile]
    named = scene_set(path, split, up, list_buildings) if has_splits else list_buildings(path, up, "scenes")
    axes = " and ".join(sorted({file.up.upper() for file in named.values()}))
    logger.info("%s: %d buildings, %s up (up=%r)", label, len(named), axes, up)
    return BuildingSet(tuple(named), label, not has_splits, tuple(named.values()))
