"""Reading buildings as users have them: which files are buildings, which way is up, what their faces are.

| data set | building | up | semantics |
|---|---|---|---|
| Gibson, habitat-test-scenes | ``<name>.glb`` beside ``<name>.navmesh`` | Z | none |
| Matterport3D | ``<id>/<id>.glb`` | Z | none |
| HM3D | ``00800-<id>/<id>.glb`` or ``<id>.basis.glb`` | Z | ``<id>.semantic.glb`` and ``<id>.semantic.txt`` |
| Replica | ``<scene>/mesh.ply`` | Z | ``<scene>/habitat/mesh_semantic.ply`` and ``info_semantic.json`` |
| HSSD, ReplicaCAD | ``<name>.scene_instance.json``: a stage with its objects | Y | none |
| stages without scene instances | ``stages/<id>.glb`` | Y | none |
| ScanNet | ``<scene>_vh_clean_2.ply`` | Z | none |
| any other | .glb, .gltf, .ply, .obj | ``building_frame`` | node names, or ``semantics.json`` by them |
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from spatial_envs.foundation.arguments import user_path
from spatial_envs.foundation.errors import MeshError
from spatial_envs.geometry.building import Building, Frame, boxes
from spatial_envs.geometry.mesh import Mesh
from spatial_envs.scenes.building_frame import (
    frame_of,
    frame_of_stage,
    has_light,
    in_metres,
    read_json,
    stem,
    up_axis,
)
from spatial_envs.scenes.floor_levels import named_floors
from spatial_envs.scenes.formats import ply
from spatial_envs.scenes.formats.parts import Fault
from spatial_envs.scenes.habitat_scenes import INSTANCE, MESHES, furnished, instance_name, read_instance
from spatial_envs.scenes.mesh_files import read_named
from spatial_envs.scenes.sets import FileFrame, files_below, warn_left_out

SYNONYMS = {  # data sets' words for the categories of procedural apartments
    "couch": "sofa",
    "tv": "tv_monitor",
    "television": "tv_monitor",
    "tv_screen": "tv_monitor",
    "monitor": "tv_monitor",
    "tvmonitor": "tv_monitor",
    "diningtable": "table",
    "pottedplant": "plant",
    "potted_plant": "plant",
    "indoor_plant": "plant",
    "fridge": "refrigerator",
    "carpet": "rug",
    "painting": "picture",
    "bedside_table": "nightstand",
    "night_stand": "nightstand",
    "closet": "wardrobe",
}
NAMELESS = re.compile(
    r"(mesh|node|chunk|object|geometry|primitive|scene|root|group|material|world|default|polygon|stage|gltf)",
    re.I,
)

Semantics = tuple[np.ndarray, dict[int, tuple[str, str]]]  # id of every face, (name, category) by id


class BuildingFile(NamedTuple):
    """A building in a file: its up axis and the metres in its unit, or "auto"."""

    name: str
    path: str
    up: str
    scale: float | str = "auto"

    def load(self) -> Building:
        return read_building(self.path, self.up, self.name, self.scale, lit=None)


class SceneFile(NamedTuple):
    """One of habitat's scene instances."""

    path: str
    up: str = "y"

    def load(self) -> Building:
        instance = read_instance(Path(self.path))
        path = instance.stage[1].mesh
        up, scale = frame_of_stage(path)
        return furnished(instance, read_building(path, up, scale=scale, lit=None))


def list_buildings(path: Path, frame: FileFrame, where: str) -> dict[str, BuildingFile | SceneFile]:
    """Buildings by name, sorted: the file itself, or what is in the folder. ``where`` begins the errors."""
    if path.name.endswith((INSTANCE, ".scene_dataset_config.json")):
        scenes = [path] if path.name.endswith(INSTANCE) else sorted(path.parent.rglob(f"*{INSTANCE}"))
        if not scenes:
            raise ValueError(f"{where}: no scene instance (*{INSTANCE}) below {path.parent}")
        return _scenes(path, scenes, frame, where)
    if path.is_file():
        if path.suffix.lower() not in MESHES:
            raise ValueError(f"{where}: {path} is no building; endings read: {' '.join(MESHES)}")
        name = stem(path)
        return {name: _listed(name, path, frame)}
    files: list[Path] = []
    for pattern in ("stages", "*/stages"):  # HSSD, whose other folders hold furniture
        files = files or sorted(f for stages in path.glob(pattern) for f in stages.rglob("*.glb"))
    if files and (scenes := sorted(path.rglob(f"*{INSTANCE}"))):
        return _scenes(path, scenes, frame, where)
    files = files or sorted(path.glob("*/mesh.ply"))  # Replica, whose other files are the same again
    if not files:
        files, left = files_below(path, _is_building)
        warn_left_out(path, left)
    if not files:
        raise ValueError(f"{where}: no building in {path}; endings looked for: {' '.join(MESHES)}")
    found: dict[str, BuildingFile | SceneFile] = {}
    for file in sorted(files):
        parts = [*file.relative_to(path).parent.parts, stem(file)]
        if len(parts) > 1 and (parts[-1] == "mesh" or parts[-2].endswith(parts[-1])):
            parts.pop()  # 00800-TEEsavR23oF/TEEsavR23oF.glb
        name = "/".join(part for part in parts if part != "stages")
        if name in found:
            name = file.relative_to(path).as_posix()
        found[name] = _listed(name, file, frame)
    return found


def _scenes(
    path: Path, scenes: list[Path], frame: FileFrame, where: str
) -> dict[str, BuildingFile | SceneFile]:
    """Scene instances by name. ValueError for a frame, as they have one."""
    if frame != FileFrame():
        raise ValueError(
            f"{where}: up= and scale= are for mesh files; {path} has scenes of habitat's, in metres with Y up"
        )
    names = [instance_name(scene) for scene in scenes]
    if len(set(names)) < len(names):
        names = [scene.relative_to(path).as_posix().removesuffix(INSTANCE) for scene in scenes]
    return {name: SceneFile(str(scene)) for name, scene in zip(names, scenes, strict=True)}


def _listed(name: str, path: Path, frame: FileFrame) -> BuildingFile:
    return BuildingFile(name, str(path), up_axis(path) if frame.up == "auto" else frame.up, frame.scale)


def _is_building(name: str, beside: list[str]) -> bool:
    """Whether a file is a building and not another form of one."""
    lower = name.lower()
    if not lower.endswith(MESHES) or name.startswith(".") or re.search(r"[._]semantic\.\w+$", lower):
        return False
    return not (lower.endswith(".basis.glb") and name[: -len(".basis.glb")] + ".glb" in beside)


def read_building(
    path: str | Path, up: str = "y", name: str = "", scale: float | str = 1.0, lit: bool | None = False
) -> Building:
    """The building in a file, in its own place, turned to Y up and in metres, with semantics where the file
    or what lies beside it has them. What most light goes through (``mesh_files.Named``) becomes ``glass``.

    up     the file's up axis, "y", "z", or "auto": see ``building_frame``; a warning tells of a guess
    scale  the metres in the file's unit, or "auto"
    lit    whether its colours are albedo, to be shaded; None: see ``building_frame.has_light``
    Raises MeshError that names the file and the fault.
    """
    path = user_path("path", path)
    try:
        mesh, nodes, clear = read_named(path, "y")  # as the file has it
    except MeshError as error:
        if "KHR_texture_basisu" in str(error):
            raise MeshError(f"{error}; HM3D's plain <id>.glb (the 'glb' download) can be read") from None
        raise
    name = name or stem(path)
    try:
        frame = frame_of(path, mesh, up, scale)
        lit = not has_light(path, mesh) if lit is None else lit
    except ValueError as error:
        raise MeshError(str(error)) from None
    if frame.guessed:
        warnings.warn(f"{path}: {frame.reason}; up= and scale= decide", stacklevel=2)
    mesh = replace(mesh, vertices=in_metres(mesh.vertices, frame))
    floors = named_floors(path, frame)
    readers: tuple[Callable[[Path, Frame, Mesh, tuple[str, ...]], Semantics | None], ...] = (
        _hm3d,
        _side_file,
        _replica,
        _node_names,
    )
    for reader in readers:
        if (semantics := reader(path, frame, mesh, nodes)) is not None:
            segment, named = semantics
            break
    else:
        segment, named = np.zeros(len(mesh.faces)), {}
    mesh = replace(mesh, segment=segment.astype(np.int32))
    reason = (
        f"the nodes of {path.name} have no names of objects (as 'sofa_3'), and there is no semantics.json, "
        f"{stem(path)}.semantic.txt or habitat/info_semantic.json beside it"
    )
    return Building(
        name,
        mesh.only(~clear) if clear.any() else mesh,
        boxes(mesh, named),
        no_semantics="" if named else reason,
        lit=lit,
        glass=mesh.only(clear) if clear.any() else None,
        path=str(path),
        frame=frame,
        floors=floors,
    )


def _category(text: str) -> str:
    """A data set's label as a category: lower case, underscores, SYNONYMS."""
    category = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
    return SYNONYMS.get(category, category)


def _node_names(path: Path, frame: Frame, mesh: Mesh, nodes: tuple[str, ...]) -> Semantics | None:
    """Node names as "sofa_3" or "Sofa.003": the category is what is before the number. None where names are
    those of exporters and scanners, or all of one category."""
    named = {}
    for number, node in enumerate(nodes, 1):
        category = _category(re.sub(r"[\s._-]*\d+$", "", node))
        if re.match(r"[a-z]\w\w", category) and not NAMELESS.match(category):
            named[number] = (node, category)
    used = {named[n][1] for n in np.unique(mesh.face_segments).tolist() if n in named}
    if len(used) < 2:
        return None
    known = np.isin(mesh.face_segments, list(named))
    return np.where(known, mesh.face_segments, 0), named


def _side_file(path: Path, frame: Frame, mesh: Mesh, nodes: tuple[str, ...]) -> Semantics | None:
    """``<name>.semantics.json`` or ``semantics.json``: {node name: category}."""
    for file in (path.parent / f"{stem(path)}.semantics.json", path.parent / "semantics.json"):
        if not file.is_file():
            continue
        content = _checked_json(file)
        if not isinstance(content, dict) or not all(isinstance(value, str) for value in content.values()):
            raise MeshError(f"{file}: expected a mapping of node names to categories, both text")
        named = {n: (node, _category(content[node])) for n, node in enumerate(nodes, 1) if node in content}
        if not named:
            has = ", ".join(dict.fromkeys(nodes)) or "none"
            raise MeshError(f"{file}: names no node of {path.name}; its nodes: {has[:200]}")
        return np.where(np.isin(mesh.face_segments, list(named)), mesh.face_segments, 0), named
    return None


def _checked_json(path: Path) -> Any:
    try:
        return read_json(path)
    except ValueError as error:
        raise MeshError(str(error)) from None


def _hm3d(path: Path, frame: Frame, mesh: Mesh, nodes: tuple[str, ...]) -> Semantics | None:
    """``<id>.semantic.txt``: a line of title, then lines of id, colour, "category", region. The texture of
    ``<id>.semantic.glb`` has at every place the colour of what is there."""
    table, painted = (path.parent / f"{stem(path)}.semantic.{ending}" for ending in ("txt", "glb"))
    if not table.is_file() or not painted.is_file():
        return None
    colors, named = {}, {}
    lines = table.read_text(encoding="utf-8", errors="replace").splitlines()
    for number, line in enumerate(lines[1:], 2):
        if not line.strip():
            continue
        match = re.fullmatch(r"\s*(\d+)\s*,\s*([0-9A-Fa-f]{6})\s*,\s*\"(.*)\"\s*,\s*(-?\d+)\s*", line)
        if not match or int(match[1]) < 1:
            raise MeshError(
                f'{table}: line {number}: got {line[:60]!r}, expected id,RRGGBB,"category",region'
            )
        category = _category(match[3])
        colors[int(match[2], 16)] = int(match[1])
        named[int(match[1])] = (f"{category}_{match[1]}", category)
    if not colors:
        raise MeshError(f'{table}: no line with id,RRGGBB,"category",region')
    other = read_named(painted, "y").mesh
    shown = _face_colors(other).astype(np.int64) @ [65536, 256, 1]
    known = np.array(sorted(colors))
    at = np.minimum(np.searchsorted(known, shown), len(known) - 1)
    ids = np.where(known[at] == shown, np.array([colors[c] for c in known.tolist()])[at], 0)
    if not ids.any():
        raise MeshError(f"{painted}: none of its colours is in {table.name}")
    return _nearest(_centroids(mesh), in_metres(_centroids(other), frame), ids), named


def _face_colors(mesh: Mesh) -> np.ndarray:
    """(F, 3) uint8: the texel at the middle of every face, or the colour of its first corner."""
    colors = mesh.colors[mesh.faces[:, 0]]
    if mesh.uv is None or mesh.face_texture is None:
        return colors
    uv = mesh.uv[mesh.faces].mean(axis=1) % 1.0
    for number, texture in enumerate(mesh.textures):
        mine = mesh.face_texture == number
        height, width = texture.shape[:2]
        row = np.clip(((1 - uv[mine, 1]) * height).astype(int), 0, height - 1)
        column = np.clip((uv[mine, 0] * width).astype(int), 0, width - 1)
        colors[mine] = texture[row, column]
    return colors


def _centroids(mesh: Mesh) -> np.ndarray:
    return mesh.vertices[mesh.faces].mean(axis=1, dtype=np.float64)


def _nearest(points: np.ndarray, places: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """The ids of the places nearest to the points, both (N, 3)."""
    if points.shape == places.shape and np.abs(points - places).max() < 1e-3:
        return ids
    return ids[cKDTree(places).query(points)[1]]


def _replica(path: Path, frame: Frame, mesh: Mesh, nodes: tuple[str, ...]) -> Semantics | None:
    """``habitat/info_semantic.json`` has the objects' classes, ``mesh_semantic.ply`` the faces' objects."""
    info, painted = path.parent / "habitat/info_semantic.json", path.parent / "habitat/mesh_semantic.ply"
    if not info.is_file() or not painted.is_file():
        return None
    content = _checked_json(info)
    try:
        named = {}
        for entry in content["objects"]:
            category = _category(entry["class_name"])
            named[int(entry["id"]) + 1] = (f"{category}_{entry['id']}", category)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise MeshError(f"{info}: expected {{'objects': [{{'id', 'class_name'}}, ...]}}") from None
    try:
        found = ply.elements(painted.read_bytes())
        face, vertex = found["face"], found["vertex"]
        polygons, counts = face["vertex_indices"]
        if counts is None or not counts.all():
            raise ValueError("a face has no corners")
        ids = face["object_id"].values
        corners = np.stack([vertex[axis].values[polygons.astype(np.int64)] for axis in "xyz"], axis=1)
        middles = np.add.reduceat(corners.astype(np.float64), np.cumsum(counts) - counts) / counts[:, None]
    except (Fault, KeyError, IndexError, TypeError, ValueError) as error:
        raise MeshError(f"{painted}: expected faces with vertex_indices and object_id ({error})") from error
    places = in_metres(middles, frame)
    segment = _nearest(_centroids(mesh), places, np.asarray(ids, np.int64) + 1)
    return np.where(np.isin(segment, list(named)), segment, 0), named
