"""Which way is up in a building's file, and how many metres its unit is: by what lies beside it, by its name,
else by its geometry."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from spatial_envs.geometry.building import Frame
from spatial_envs.geometry.mesh import Mesh

Z_UP_COMPANIONS = (".navmesh", ".house", ".scn", ".semantic.txt")  # a .glb beside one is a scan with Z up
Z_UP_NAMES = (  # of data sets whose files are met alone, too
    ("ScanNet", re.compile(r"_vh_clean(_2)?(\.labels)?\.ply$")),
    ("Replica", re.compile(r"(^|/)(mesh|habitat/mesh_semantic)\.ply$")),
    ("Habitat-Matterport 3D", re.compile(r"(^|/)\d{5}-(\w{11})/\2(\.basis)?\.glb$")),
)
UNITS = {"metres": 1.0, "feet": 0.3048, "inches": 0.0254, "centimetres": 0.01, "millimetres": 0.001}
WORDS = (
    ("millimetres", r"mm|millimet(?:er|re)s?"),
    ("centimetres", r"cm|centimet(?:er|re)s?"),
    ("inches", r"in|inch(?:es)?"),
    ("feet", r"ft|foot|feet"),
    ("metres", r"m|met(?:er|re)s?"),
)
CEILINGS = (1.9, 4.5)  # metres above the floor, in a building of another unit
HALLS = 7.0  # metres: higher ceilings are those of another unit, unless tables and lintels say metres
TABLES, LINTELS = (0.68, 1.1), (1.95, 2.15)  # metres above the floor: what faces up, and down
LEVEL = 0.005  # of the diagonal: how thick a floor or wall may be
CLEARLY = 1.8  # times that floors are more marked than walls before an axis counts as found
FEW = 64  # colours that a building without texture is painted in
SAID_WITHIN = 8192  # bytes from a file's beginning, in which it may say its unit


def up_axis(path: Path) -> str:
    """The up axis of a building's file by what lies beside it and its name, first come first:

    1. "up" in ``<name>.stage_config.json``
    2. "up" of the stages in a ``*.scene_dataset_config.json`` in its folder or up to two above it
    3. Z for a .glb beside habitat's or Matterport's files (Z_UP_COMPANIONS), and for Z_UP_NAMES

    "y", "z", or "auto" where nothing says it: then ``frame_of`` asks the geometry.
    """
    for config, attributes in _configurations(path):
        if "up" in attributes:
            return _axis(config, attributes["up"])
    return "z" if _data_set(path) else "auto"


def _configurations(path: Path) -> list[tuple[Path, dict]]:
    """The habitat configurations that tell of a file and what they tell, the nearest first."""
    stage = path.parent / f"{stem(path)}.stage_config.json"
    found = [(stage, read_json(stage))] if stage.is_file() else []
    for folder in list(path.parents)[:3]:
        for dataset in sorted(folder.glob("*.scene_dataset_config.json")):
            config = read_json(dataset)
            for key in ("stages", "default_attributes"):
                config = config.get(key) if isinstance(config, dict) else None
            found.append((dataset, config))
    return [(config, content) for config, content in found if isinstance(content, dict)]


def _data_set(path: Path) -> str:
    """What says that a file is of a data set with Z up and metres; "" where nothing does."""
    for suffix in Z_UP_COMPANIONS:
        companion = path.parent / f"{stem(path)}{suffix}"
        if path.suffix.lower() == ".glb" and companion.is_file():
            return companion.name
    return next((name for name, pattern in Z_UP_NAMES if pattern.search(path.as_posix())), "")


def has_light(path: Path, mesh: Mesh) -> bool:
    """Whether light is in a building's colours, as in scans: "requires_lighting" of its configurations says
    it, else texture on most of its area or more than FEW colours on the rest do."""
    for config, attributes in _configurations(path):
        if "requires_lighting" in attributes:
            if not isinstance(lacking := attributes["requires_lighting"], bool):
                raise ValueError(f"{config}: requires_lighting: got {lacking!r}, expected true or false")
            return not lacking
    plain = np.ones(len(mesh.faces), bool) if mesh.face_texture is None else mesh.face_texture < 0
    if mesh.areas[plain].sum() < 0.5 * mesh.areas.sum():
        return True
    return len(np.unique(mesh.colors[mesh.faces[plain]].reshape(-1, 3), axis=0)) > FEW


def stem(path: Path) -> str:
    """A building's name: its file's without the ending."""
    return path.name.rpartition(".")[0].removesuffix(".basis")


def read_json(path: Path) -> Any:
    """The content of a JSON file, or ValueError."""
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not a JSON file: {error}") from None


def _axis(path: Path, vector: Any) -> str:
    try:
        x, y, z = (float(value) for value in vector)
    except (TypeError, ValueError):
        x = y = z = 0.0
    if (x, z) == (0, 0) and y > 0:
        return "y"
    if (x, y) == (0, 0) and z > 0:
        return "z"
    raise ValueError(f"{path}: up: got {vector!r}, expected [0, 1, 0] or [0, 0, 1]")


def frame_of(path: Path, mesh: Mesh, up: str = "auto", scale: float | str = "auto") -> Frame:
    """How the building in a file lies in it; ``mesh`` is as the file has it, not turned.

    up, scale  decide where they are not "auto"
    Raises ValueError for a configuration beside the file that cannot be read.
    """
    known, told = _data_set(path), up_axis(path)
    axis, guessed = (told if up == "auto" else up), False
    if axis == "auto":
        axis, why, guessed = _up_by_geometry(mesh)
    elif axis != told:
        why = "by up="
    else:
        why = f"by {known}" if known else "by a configuration beside it"
    metres, unit = (float(scale), "by scale=") if scale != "auto" else _told_unit(path, known)
    if not metres:
        metres, unit, unusual = _unit_by_geometry(mesh, axis)
        guessed |= unusual
    return Frame(axis, metres, f"{axis.upper()} up {why}; {_named(metres)} {unit}", guessed)


def frame_of_stage(path: Path) -> tuple[str, float]:
    """The up axis and the metres in a unit of a stage that a scene instance names: as configurations say,
    else habitat's, Y and metres."""
    told = up_axis(path)
    return ("y" if told == "auto" else told), _told_unit(path, "")[0] or 1.0


def in_metres(points: np.ndarray, frame: Frame) -> np.ndarray:
    """Points (N, 3) of a file that lies so, with Y up."""
    if frame.up == "z":
        x, y, z = points.T
        points = np.stack([x, z, -y], 1)
    return points if frame.scale == 1.0 else (points * frame.scale).astype(points.dtype)


def _named(metres: float) -> str:
    names = {value: name for name, value in UNITS.items()}
    return f"units are {names[metres]}" if metres in names else f"units are {metres:g} m"


def _told_unit(path: Path, known: str) -> tuple[float, str]:
    """The metres in a unit as configurations beside a file or its own first lines have them, and which; 0
    where nothing does."""
    factor, told = 1.0, ""
    for key in ("units_to_meters", "scale"):
        for config, attributes in _configurations(path):
            if key in attributes:
                factor, told = factor * _factor(config, key, attributes[key]), f"by {config.name}"
                break
    if told:
        return factor, told
    if known or _configurations(path):
        return 1.0, f"as of {known}" if known else "as habitat's"
    with path.open("rb") as file:
        beginning = file.read(SAID_WITHIN).decode("latin-1")
    for name, words in WORDS:
        if re.search(rf"\bunits?\b\"?\s*(?:[:=]\s*\"?|are\s+|in\s+)({words})\b", beginning, re.I):
            return UNITS[name], "by its own word"
    return 0.0, ""


def _factor(config: Path, key: str, value: Any) -> float:
    values = value if isinstance(value, list) else [value]
    numbers = {float(v) for v in values if isinstance(v, (int, float)) and not isinstance(v, bool)}
    if len(numbers) != 1 or not 1e-6 < min(numbers) < 1e6 or len(values) not in (1, 3):
        raise ValueError(f"{config}: {key}: got {value!r}, expected one factor above 0")
    return numbers.pop()


def levels(mesh: Mesh, axis: int, sign: float) -> tuple[np.ndarray, np.ndarray]:
    """Along an axis, where levels are and the area, squared units, that faces ``sign`` there, to 45 degrees;
    each level overlaps half of the next."""
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    width = LEVEL * max(float(np.linalg.norm(high - low)), 1e-9)
    facing = sign * mesh.face_normals[:, axis]
    mine = facing > 0.7
    at = mesh.vertices[mesh.faces[mine], axis].mean(axis=1, dtype=np.float64) - low[axis]
    weight = mesh.areas[mine] * facing[mine]
    count = int((high - low)[axis] / width) + 2
    which = np.clip((at / width).astype(int), 0, count - 1)
    areas, moments = np.bincount(which, weight, count), np.bincount(which, weight * at, count)
    areas, moments = areas[1:] + areas[:-1], moments[1:] + moments[:-1]
    return low[axis] + moments / np.maximum(areas, 1e-30), areas


def _marked(mesh: Mesh, axis: int) -> float:
    """How much of a mesh lies on a few levels across an axis, as floors and ceilings do."""
    return sum(float((levels(mesh, axis, sign)[1] ** 2).sum()) for sign in (1.0, -1.0))


def _floor_and_ceiling(mesh: Mesh, axis: int) -> tuple[float, float]:
    """Where the largest floor with a ceiling over it and that ceiling are, in units of the file, or NaN. A
    roof may be larger than the floor; what is less than half of the largest is no floor."""
    middles, floors = levels(mesh, axis, 1.0)
    _, ceilings = levels(mesh, axis, -1.0)
    for floor in np.argsort(-floors, kind="stable")[: (floors > 0.5 * floors.max()).sum()]:
        over = np.flatnonzero(ceilings[floor + 2 :] > 0.25 * floors[floor])
        if len(over):
            first = floor + 2 + over[0]
            first += int(ceilings[first : first + 2].argmax())  # the fuller of two that overlap
            return float(middles[floor]), float(middles[first])
    return np.nan, np.nan


def _is_hall(mesh: Mesh, axis: int, floor: float, metres: float) -> bool:
    """Whether lintels over a floor, else tables, are as high as if a unit were a metre rather than so many
    metres. Areas count by metre of height: noise, which is at all heights, then speaks for neither."""
    facing = mesh.face_normals[:, axis]
    high = mesh.vertices[mesh.faces, axis].mean(axis=1, dtype=np.float64) - floor
    for sign, (low, top) in ((-1, LINTELS), (1, TABLES)):
        there = [
            float(mesh.areas[(sign * facing > 0.9) & (low < high * unit) & (high * unit < top)].sum()) * unit
            for unit in (1.0, metres)
        ]
        if max(there) > 2 * min(there):
            return there[0] > there[1]
    return False


def _up_by_geometry(mesh: Mesh) -> tuple[str, str, bool]:
    """The axis along which floors are, why, and whether that is another than glTF's Y."""
    marked = {"y": _marked(mesh, 1), "z": _marked(mesh, 2)}
    ratio = marked["z"] / max(marked["y"], 1e-12)
    floor, ceiling = _floor_and_ceiling(mesh, 2)
    height = ceiling - floor
    roomy = any(height * metres > CEILINGS[0] for metres in UNITS.values()) or np.isnan(height)
    if ratio > CLEARLY and roomy:
        sure = "clearly" if ratio > CLEARLY**2 else "probably"
        return (
            "z",
            f"by its geometry, {sure}: floors are {ratio:.1f} times as marked along Z as along Y",
            True,
        )
    if ratio < 1 / CLEARLY:
        return "y", f"as by its geometry, {1 / ratio if ratio else np.inf:.1f} times as marked", False
    return "y", "as glTF's, of which its geometry is not sure; up= decides", False


def _unit_by_geometry(mesh: Mesh, up: str) -> tuple[float, str, bool]:
    """The metres in a unit by how high ceilings are, why, and whether it is another than the metre. A ceiling
    that is a hall's in metres and a room's in feet is a hall's where ``_is_hall`` says so, and else, as in an
    empty shell, a room's."""
    axis = "xyz".index(up)
    floor, ceiling = _floor_and_ceiling(mesh, axis)
    height, word = ceiling - floor, "ceilings are {:.4g} units above floors"
    if np.isnan(height):
        height, word = float(np.ptp(mesh.vertices[:, axis])), "it is {:.4g} units high"
        if height < 60:  # a building without a roof, of any number of storeys
            return 1.0, "as nothing says otherwise", False
    word = word.format(height)
    if height > HALLS:
        for name, metres in UNITS.items():
            if CEILINGS[0] <= height * metres <= CEILINGS[1] and name != "metres":
                if _is_hall(mesh, axis, floor, metres):
                    return 1.0, f"as {word}, a hall's, by its lintels or tables", False
                return metres, f"by its geometry, probably: {word}", True
        return 1.0, f"as nothing says otherwise, though {word}; scale= decides", False
    return 1.0, f"as {word}", False
