"""Sets of objects, which ``scenes=`` names: files are listed at opening and read when they are asked for."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from spatial_envs.geometry.mesh import Mesh
from spatial_envs.scenes.mesh_files import SUFFIXES, read_mesh
from spatial_envs.scenes.sets import (
    PROCEDURAL,
    FileFrame,
    SceneSet,
    Source,
    files_below,
    open_scenes,
    warn_left_out,
)


class Layout(NamedTuple):
    """How a data set lays out its objects, wherever in a folder they are.

    forms  what the path of an object's file ends with, the best first; ``{}`` stands for a folder, or a
           file's name, that names the object, ``*`` for one that does not. An object has its best form.
    up     its up axis
    """

    title: str
    forms: tuple[str, ...]
    up: str


YCB = tuple(
    f"{{}}/{folder}/{file}"
    for file in ("textured.obj", "nontextured.ply", "nontextured.stl")
    for folder in ("google_16k", "google_64k", "google_512k", "tsdf", "poisson")
)
LAYOUTS = (
    Layout("Google Scanned Objects", ("{}/meshes/model.obj",), "z"),
    Layout("YCB", (*YCB, "{}/clouds/merged_cloud.ply"), "z"),
    Layout("ShapeNetCore v2", ("{}/{}/models/model_normalized.obj",), "y"),
    Layout("OmniObject3D", ("raw_scans/{}/{}/Scan/Scan.obj",), "y"),
    Layout("Objaverse", ("glbs/*/{}.glb",), "y"),
)


class _Found(NamedTuple):
    """What LAYOUTS say of a path: the object's name, up axis, and the rank of the form."""

    name: str
    up: str
    rank: int


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
            folder (all below it, each file once); or a YAML file

            up: auto                          # optional: auto | y | z
            splits:                           # any of train, validation, test; paths relative to the file
              train: [chair.obj, folder]
              test: [table.glb]

    split:  "train", "validation", "test", and for procedural ones also "test_category" (families never
            trained on). A file or folder has no splits: each split is all of it, and the set is ``leaky``.
    up:     the up axis of files, "y", "z", or "auto": as LAYOUTS has it for each object, and Y for the rest.
    What lies in a folder and is not in the set, as other forms of an object and links to what is there
    already, is counted and named in a warning.
    Raises ValueError that names the argument, or the file and key, what was got and what was expected.
    """
    made: dict[str, Callable[[int], Source[Mesh]]] = {"procedural": _Seed, "procedural-scans": _Scan}
    return open_scenes(ObjectSet, scenes, split, FileFrame(up), PROCEDURAL, made, _listed)


def _listed(path: Path, frame: FileFrame, where: str) -> dict[str, _File]:
    """Mesh files by name, sorted: the file itself, or what is in the folder. ``where`` begins the errors."""
    if path.is_file():
        if path.suffix.lower() not in SUFFIXES:
            raise ValueError(
                f"{where}: {path} is no mesh file; endings read: {' '.join(SUFFIXES)}, or .yaml for a set"
            )
        return {path.stem: _File(str(path), _up(frame, _found(path.parts[1:])))}
    files, left = files_below(path, lambda name, _: name.lower().endswith(SUFFIXES))
    if not files:
        raise ValueError(f"{where}: no mesh file in {path}; endings looked for: {' '.join(SUFFIXES)}")
    plain = {file: file.relative_to(path).as_posix() for file in files}
    known = {file: _found((path.name, *file.relative_to(path).parts)) for file in files}
    best: dict[str, Path] = {}  # of an object in several forms
    for file, found in known.items():
        if found is not None:
            other = known[best.setdefault(found.name, file)]
            if other is not None and found.rank < other.rank:
                best[found.name] = file
    worse = [file for file, found in known.items() if found is not None and best[found.name] != file]
    if worse:
        left["other forms of an object"] = worse
    warn_left_out(path, left)
    kept = [file for file in files if file not in set(worse)]
    names = {file: found.name if (found := known[file]) else plain[file].rpartition(".")[0] for file in kept}
    doubles = Counter(names.values())
    return {
        plain[file] if doubles[name] > 1 else name: _File(str(file), _up(frame, known[file]))
        for file, name in names.items()
    }


def _up(frame: FileFrame, found: _Found | None) -> str:
    return frame.up if frame.up != "auto" else found.up if found else "y"


def _found(parts: tuple[str, ...]) -> _Found | None:
    """What LAYOUTS say of a file, of whose path the first part is not its name but its root's."""
    path = "/".join(parts)
    for layout in LAYOUTS:
        for rank, form in enumerate(layout.forms):
            pattern = re.escape(form).replace(r"\{\}", "([^/]+)").replace(r"\*", "[^/]+")
            if match := re.search(rf"(?:^|/){pattern}$", path):
                above = path[: match.start()].split("/")[1:]
                return _Found("/".join([*above, *match.groups()]), layout.up, rank)
    return None
