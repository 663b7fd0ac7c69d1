"""Habitat's scene instances, as HSSD and ReplicaCAD have them: a stage, and the objects that stand in it.

``<name>.scene_instance.json`` names a stage and its objects by templates, which lie in the folders
``stages`` and ``objects`` of the data set: a mesh file, or a ``.stage_config.json`` or
``.object_config.json`` that names one. Articulated objects (URDF) are left out. The world is in metres, Y up.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

from spatial_envs.foundation.errors import MeshError
from spatial_envs.geometry.building import Building, Frame
from spatial_envs.geometry.mesh import Mesh, joined
from spatial_envs.scenes.building_frame import read_json
from spatial_envs.scenes.mesh_files import MAX_COORDINATE, read_named
from spatial_envs.scenes.sets import files_below

INSTANCE = ".scene_instance.json"
MESHES = (".glb", ".gltf", ".ply", ".obj")
UNKNOWN = "the objects of a scene instance are not told apart by category"


class Template(NamedTuple):
    """What a template's name stands for: a mesh file, and what its configuration says, if it has one."""

    mesh: Path
    config: Mapping[str, Any]


Standing = tuple[Mapping[str, Any], Template]


class Instance(NamedTuple):
    """A scene instance: its stage and objects, each with the entry that says where it stands.

    missing  names of objects that are not there, and why
    local    whether places are those of the objects' origins, rather than of their centres of mass
    """

    path: Path
    stage: Standing
    objects: list[Standing]
    missing: list[tuple[str, str]]
    local: bool


def instance_name(path: Path) -> str:
    """A scene instance's name: its file's without the ending."""
    return path.name.removesuffix(INSTANCE)


def read_instance(path: Path) -> Instance:
    """What a scene instance is made of. MeshError where the file is malformed or its stage is not there."""
    content = _json(path)
    root = next((folder for folder in path.parents if (folder / "stages").is_dir()), path.parent)
    stages, objects = (_templates(root / kind) for kind in ("stages", "objects"))
    try:
        standing = dict(content["stage_instance"])
        stage = _last(standing["template_name"])
        articulated = [_last(e["template_name"]) for e in content.get("articulated_object_instances", [])]
        entries = [dict(entry) for entry in content.get("object_instances", [])]
        names = [_last(entry["template_name"]) for entry in entries]
    except (KeyError, TypeError, AttributeError, ValueError):
        raise MeshError(
            f"{path}: expected {{'stage_instance': {{'template_name'}}, 'object_instances': "
            "[{'template_name', 'translation', 'rotation'}, ...]}"
        ) from None
    if stage not in stages:
        raise MeshError(f"{path}: its stage {stage!r} is not in {root / 'stages'}")
    found: list[Standing] = [
        (entry, objects[name]) for entry, name in zip(entries, names, strict=True) if name in objects
    ]
    local = str(content.get("translation_origin", "")).lower() == "asset_local"
    missing = [(name, "is not there") for name in names if name not in objects]
    missing += [(name, "is articulated") for name in articulated]
    standing["translation_origin"] = "asset_local"
    return Instance(path, (standing, stages[stage]), found, missing, local)


def furnished(instance: Instance, stage: Building) -> Building:
    """The stage with its objects. A warning counts and names those that are not there or cannot be read."""
    left = list(instance.missing)
    kept: dict[int, tuple[Mesh, np.ndarray] | str] = {}  # or why it cannot be read
    seen = [_placed(stage.mesh, *instance.stage, instance)]
    solid = [] if stage.glass is None else [_placed(stage.glass, *instance.stage, instance)]
    for entry, template in instance.objects:
        if id(template) not in kept:
            try:
                kept[id(template)] = _object(template)
            except MeshError as error:
                kept[id(template)] = str(error)
        found = kept[id(template)]
        if isinstance(found, str):
            left.append((template.mesh.stem, found))
            continue
        mesh, clear = found
        placed = _placed(mesh, entry, template, instance)
        seen += [placed.only(~clear)]
        solid += [placed.only(clear)] if clear.any() else []
    if left:
        count = len(instance.objects) + len(instance.missing)
        first = "; ".join(f"{name} {why}" for name, why in dict(left).items())
        warnings.warn(
            f"{instance.path}: left out {len(left)} of its {count} objects: {first[:300]}", stacklevel=2
        )
    mesh = joined([*seen, *solid])
    if not np.abs(mesh.vertices).max() <= MAX_COORDINATE:  # NaN, too
        raise MeshError(f"{instance.path}: coordinates beyond {MAX_COORDINATE:.0g}; expected metres")
    faces = sum(len(part.faces) for part in seen)
    opaque = np.arange(len(mesh.faces)) < faces
    mesh = replace(mesh, segment=np.zeros(len(mesh.faces), np.int32))
    return Building(
        instance_name(instance.path),
        mesh if opaque.all() else mesh.only(opaque),
        no_semantics=UNKNOWN,
        lit=stage.lit,
        glass=None if opaque.all() else mesh.only(~opaque),
        frame=Frame(reason=f"Y up and metres, as habitat's scenes are; its stage: {stage.frame.reason}"),
    )


def _templates(folder: Path) -> dict[str, Template]:
    """The templates in a folder and all below it, by name; a configuration counts before a mesh alone."""
    files, _ = files_below(folder, lambda name, _: name.lower().endswith((*MESHES, "_config.json")))
    found: dict[str, Template] = {}
    for file in files:
        if file.name.lower().endswith(MESHES):
            found.setdefault(file.name.rpartition(".")[0], Template(file, {}))
    for file in files:
        name, _, kind = file.name.rpartition(".json")[0].rpartition(".")
        if kind in ("stage_config", "object_config"):
            config = _json(file)
            asset = config.get("render_asset") if isinstance(config, dict) else None
            mesh = file.parent / asset if isinstance(asset, str) else None
            if mesh is not None and os.path.isfile(mesh):  # where is_file raises, of a name that is too long
                found[name] = Template(mesh, config)
            elif name in found and isinstance(config, dict):
                found[name] = Template(found[name].mesh, config)
    return found


def _object(template: Template) -> tuple[Mesh, np.ndarray]:
    """An object in metres about its own origin, and which of its faces are of glass."""
    if template.config.get("up", [0, 1, 0]) != [0, 1, 0]:
        raise MeshError(f"{template.mesh}: up: got {template.config['up']!r}; expected [0, 1, 0]")
    found = read_named(template.mesh)
    scale = _vector(template.mesh, "scale", template.config, 1.0) * _vector(
        template.mesh, "units_to_meters", template.config, 1.0
    )
    vertices = (found.mesh.vertices * scale).astype(np.float32)
    return replace(found.mesh, vertices=vertices), found.clear


def _placed(mesh: Mesh, entry: Mapping[str, Any], template: Template, instance: Instance) -> Mesh:
    """An object where the scene instance puts it."""
    origin = entry.get("translation_origin", "asset_local" if instance.local else "com")
    centre = np.zeros(3)
    if str(origin).lower() != "asset_local":
        middle = (mesh.vertices.min(axis=0) + mesh.vertices.max(axis=0)) / 2
        centre = _vector(template.mesh, "COM", template.config, middle)
    w, x, y, z = _vector(instance.path, "rotation", entry, (1.0, 0.0, 0.0, 0.0), 4)
    turn = Rotation.from_quat([x, y, z, w]).as_matrix() if w or x or y or z else np.eye(3)
    scale = _vector(instance.path, "non_uniform_scale", entry, 1.0) * _vector(
        instance.path, "uniform_scale", entry, 1.0
    )
    vertices = (mesh.vertices - centre) * scale @ turn.T + _vector(instance.path, "translation", entry, 0.0)
    faces = mesh.faces[:, ::-1] if np.prod(scale) < 0 else mesh.faces  # a mirror turns them inside out
    return replace(mesh, vertices=vertices.astype(np.float32), faces=faces)


def _vector(path: Path, key: str, content: Mapping[str, Any], rest: Any, length: int = 3) -> np.ndarray:
    """(length,) float64 at a key, where one number stands for all; ``rest`` where it is not there."""
    value = content.get(key, rest)
    try:
        vector = np.broadcast_to(np.asarray(value, np.float64), length)
        if np.isfinite(vector).all():
            return vector
    except (TypeError, ValueError):
        pass
    raise MeshError(f"{path}: {key}: got {value!r}; expected {length} numbers")


def _last(name: str) -> str:
    return name.rpartition("/")[2].removesuffix(".object_config.json").removesuffix(".stage_config.json")


def _json(path: Path) -> Any:
    try:
        return read_json(path)
    except ValueError as error:
        raise MeshError(str(error)) from None
