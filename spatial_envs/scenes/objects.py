"""Sets of objects, which ``scenes=`` names: files are listed at opening and read when they are asked for."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from spatial_envs.geometry.mesh import Mesh
from spatial_envs.scenes.mesh_files import SUFFIXES, read_mesh
from spatial_envs.scenes.sets import PROCEDURAL, SceneSet, Source, open_scenes


class Layout(NamedTuple):
    """How a data set lays out its files: what matches ``pattern`` under its root is an object."""

    title: str
    pattern: str
    up: str
    name: slice  # the folders of the path (without its suffix) that name an object


LAYOUTS = (
    Layout("Google Scanned Objects", "*/meshes/model.obj", "z", slice(0, 1)),
    Layout("YCB", "*/google_16k/textured.obj", "z", slice(0, 1)),
    Layout("ShapeNetCore v2", "*/*/models/model_normalized.obj", "y", slice(0, 2)),
    Layout("OmniObject3D", "raw_scans/*/*/Scan/Scan.obj", "y", slice(1, 3)),
    Layout("Objaverse", "glbs/*/*.glb", "y", slice(2, 3)),
)


class _File(NamedTuple):
    path: str
    up: str

    def load(self) -> Mesh:
        return read_mesh(self.path, self.up).normalised()


class _Seed(NamedTuple):
    seed: int

    def load(self) -> Mesh:
        from spatial_envs.procedural.objects.families import TEST_FAMILIES, TRAIN_FAMILIES, procedural_object

        return procedural_object(self.seed, TEST_FAMILIES if _is_unseen(self.seed) else TRAIN_FAMILIES)


class _Scan(NamedTuple):
    seed: int

    def load(self) -> Mesh:
        from spatial_envs.procedural.objects.families import TEST_SCANS, TRAIN_SCANS, procedural_object

        return procedural_object(self.seed, TEST_SCANS if _is_unseen(self.seed) else TRAIN_SCANS)


def _is_unseen(seed: int) -> bool:
    """Whether it is one of the families that nothing is trained on."""
    return seed >= PROCEDURAL["test_category"][0]


class ObjectSet(SceneSet[Mesh]):
    """Objects of one split: ``load`` gives a Mesh, Y up, normalised to a bounding radius of 0.5 m."""

    word = "object"


def open_objects(scenes: str | Path, split: str = "train", up: str = "auto") -> ObjectSet:
    """The objects of a split.

    scenes: "procedural"; "procedural-scans", more compact and printed, as tabletop scans are; a mesh file; a
            folder (all below it, or one of LAYOUTS by its root); or a YAML file

            up: auto                          # optional: auto | y | z
            splits:                           # any of train, validation, test; paths relative to the file
              train: [chair.obj, folder]
              test: [table.glb]

    split:  "train", "validation", "test", and for procedural ones also "test_category" (families never
            trained on). A file or folder has no splits: each split is all of it, and the set is ``leaky``.
    up:     the up axis of files, "y", "z", or "auto": as LAYOUTS has it, and Y for everything else.
    Raises ValueError that names the argument, or the file and key, what was got and what was expected.
    """
    made: dict[str, Callable[[int], Source[Mesh]]] = {"procedural": _Seed, "procedural-scans": _Scan}
    return open_scenes(ObjectSet, scenes, split, up, PROCEDURAL, made, _listed)


def _listed(path: Path, up: str, where: str) -> dict[str, _File]:
    """Mesh files by name, sorted: the file itself, or what is in the folder. ``where`` begins the errors."""
    if path.is_file():
        if path.suffix.lower() not in SUFFIXES:
            raise ValueError(
                f"{where}: {path} is no mesh file; endings read: {' '.join(SUFFIXES)}, or .yaml for a set"
            )
        return {path.stem: _File(str(path), "y" if up == "auto" else up)}
    for layout in LAYOUTS:
        if files := sorted(path.glob(layout.pattern)):
            axis = layout.up if up == "auto" else up
            cut = {"/".join(f.relative_to(path).with_suffix("").parts[layout.name]): f for f in files}
            return {name: _File(str(file), axis) for name, file in cut.items()}
    files = []
    for folder, inner, names in os.walk(path, followlinks=True):
        inner[:] = [name for name in inner if not name.startswith(".")]
        files += [Path(folder, n) for n in names if n.lower().endswith(SUFFIXES) and not n.startswith(".")]
    if not files:
        raise ValueError(f"{where}: no mesh file in {path}; endings looked for: {' '.join(SUFFIXES)}")
    full = {file.relative_to(path).as_posix(): file for file in sorted(files)}
    stems = Counter(name.rpartition(".")[0] for name in full)
    axis = "y" if up == "auto" else up
    return {
        (name if stems[stem] > 1 else stem): _File(str(file), axis)
        for name, file in full.items()
        for stem in [name.rpartition(".")[0]]
    }
