"""Sets of buildings, which ``scenes=`` names for navigation."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from spatial_envs.geometry.building import Building
from spatial_envs.scenes import sets
from spatial_envs.scenes.building_files import list_buildings
from spatial_envs.scenes.sets import FileFrame, SceneSet, open_scenes

PROCEDURAL = {split: sets.PROCEDURAL[split] for split in ("train", "validation", "test")}


class _Seed(NamedTuple):
    seed: int

    def load(self) -> Building:
        from spatial_envs.procedural.apartments.assembly import apartment

        return apartment(self.seed)


class BuildingSet(SceneSet[Building]):
    """Buildings of one split: ``load`` gives a Building in metres, Y up."""

    word = "building"


def open_buildings(
    scenes: str | Path, split: str = "train", up: str = "auto", scale: float | str = "auto"
) -> BuildingSet:
    """The buildings of a split.

    scenes: "procedural"; a mesh file (.glb, .gltf, .ply, .obj); one of habitat's scenes
            (.scene_instance.json) or all of a data set's (.scene_dataset_config.json); a folder of buildings
            as Gibson, Matterport3D, HM3D, Replica, HSSD and habitat-test-scenes have them; or a YAML file as
            for ``open_objects``, which may say ``scale``, too
    split:  "train", "validation", "test". A file or folder has no splits: each split is all of it, and the
            set is ``leaky``.
    up:     the up axis of files, "y", "z", or "auto": what lies beside a file says it, or its name, or else
            its floors; see ``building_frame``
    scale:  the metres in the unit of files, as 0.0254 for inches, or "auto": likewise, or else how high its
            ceilings are. A warning tells of a guess that is not metres with Y up.
    Raises ValueError that names the argument, or the file and key, what was got and what was expected.
    """
    made = {"procedural": _Seed}
    frame = FileFrame(up, scale)
    return open_scenes(BuildingSet, scenes, split, frame, PROCEDURAL, made, list_buildings, FileFrame._fields)
