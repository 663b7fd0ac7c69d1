"""Wavefront .obj, with its material libraries (.mtl)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from spatial_envs.scenes.formats.beside import Beside, Missing
from spatial_envs.scenes.formats.parts import (
    GREY,
    Fault,
    Part,
    bytes_of,
    check_count,
    indices_of,
    numbers,
    text_of,
    triangulated,
)
from spatial_envs.scenes.formats.pictures import CLAMP, REPEAT, repeating, texture_of

SPATIAL = ("-s", "-o", "-t")  # options of a map with one to three numbers; the others have one value, -mm two
OPTIONS = (
    *SPATIAL,
    "-mm",
    "-blendu",
    "-blendv",
    "-boost",
    "-bm",
    "-cc",
    "-clamp",
    "-imfchan",
    "-texres",
    "-type",
)


@dataclass
class _Map:
    """A texture that a material names, and how it lies: uv * scale + offset."""

    name: str = ""
    scale: list[float] = field(default_factory=lambda: [1.0, 1.0])
    offset: list[float] = field(default_factory=lambda: [0.0, 0.0])
    clamp: bool = False


@dataclass
class _Material:
    """Colours (3,) from 0 to 1."""

    diffuse: list[float] | None = None
    emission: list[float] | None = None
    opacity: float | None = None
    transparency: float = 0.0
    map: _Map = field(default_factory=_Map)
    emission_map: _Map = field(default_factory=_Map)

    @property
    def is_clear(self) -> bool:
        """Whether most light goes through it: by "d", and "Tr" only without it, as some write both as 1."""
        return self.transparency > 0.5 if self.opacity is None else self.opacity < 0.5


def read(data: bytes, beside: Beside) -> list[Part]:
    """A part for each material. Vertex colours count before Kd, a texture before both; what has nothing but
    an emission shows that. Faces of a textured material that have no texture coordinates are grey."""
    rows: dict[str, list[str]] = {"v": [], "vt": [], "f": []}
    materials: list[int] = []  # of every face, an index into ``used``; -1 before the first usemtl
    used: dict[str, int] = {}
    libraries: list[str] = []
    material = -1
    for line in text_of(data).replace("\\\n", " ").replace("\t", " ").split("\n"):
        key, _, rest = line.strip().partition(" ")
        key = key.lower()
        if key in rows:
            rest = rest.partition("#")[0].strip()
            if key == "f":
                materials.append(material)
                if "-" in rest:
                    rest = _absolute(rest, len(rows["v"]), len(rows["vt"]))
            rows[key].append(rest)
        elif key == "usemtl":
            name = " ".join(rest.split())
            material = used.setdefault(name, len(used)) if name else -1
        elif key == "mtllib":
            libraries.append(rest.strip())
    if not rows["v"]:
        raise Fault("not an OBJ file: it has no 'v x y z' line")
    points, colors, has_color = _vertices(rows["v"])
    uv = _coordinates(rows["vt"])
    corners, counts = _words(rows["f"])
    if len(counts) and counts.min() < 3:
        raise Fault("truncated or malformed: a face with fewer than 3 corners")
    check_count(int(counts.sum()) - 2 * len(counts))
    place, texture_place = _indices(corners)
    if not place.all():
        raise Fault("a face index is out of range: 0, where OBJ counts from 1")
    place = indices_of(place - 1, len(points))
    texture_place[(texture_place < 0) | (texture_place > len(uv))] = 0  # some name what they did not write
    triangles, polygon = triangulated(points[place], counts)
    return _parts(
        points,
        (colors, has_color),
        uv,
        np.stack([place, texture_place - 1], axis=1)[triangles],
        np.array(materials, np.int64)[polygon],
        _looks(list(used), _library(libraries, beside), beside),
        beside,
    )


def _words(rows: list[str]) -> tuple[list[str], np.ndarray]:
    """The words of all rows, and (n,) how many each has."""
    words = " ".join(rows).split()
    counts = np.array([row.count(" ") + 1 for row in rows], np.int64)
    if counts.sum() != len(words):  # some have more than one blank between words, or none of them
        counts = np.array([len(row.split()) for row in rows], np.int64)
    return words, counts


def _vertices(rows: list[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(V, 3) float64 places, (V, 3) uint8 colours, and (V,) bool: whether a vertex has one."""
    words, counts = _words(rows)
    if counts.min() < 3:
        raise Fault("truncated or malformed: a vertex without x, y and z")
    values = numbers(words, "a vertex")
    starts = (np.cumsum(counts) - counts)[:, None]
    has = counts >= 6
    colors = np.zeros((len(rows), 3), np.uint8)
    colors[has] = bytes_of(values[starts[has] + np.arange(3, 6)])
    return values[starts + np.arange(3)], colors, has


def _coordinates(rows: list[str]) -> np.ndarray:
    """(n, 2) float64"""
    words, counts = _words(rows)
    if not rows:
        return np.zeros((0, 2))
    if not counts.min():
        raise Fault("truncated or malformed: a texture coordinate without numbers")
    values = np.append(numbers(words, "a texture coordinate"), 0.0)
    starts = np.cumsum(counts) - counts
    return np.stack([values[starts], np.where(counts > 1, values[starts + 1], 0.0)], axis=1)


def _absolute(row: str, vertices: int, coordinates: int) -> str:
    """Corners "-1/-1/-1" with the indices that they mean where so many have been read."""
    corners = []
    for corner in row.split():
        v, *rest = corner.split("/")
        v = str(vertices + 1 + int(v)) if v.startswith("-") else v
        if rest and rest[0].startswith("-"):
            rest[0] = str(coordinates + 1 + int(rest[0]))
        corners.append("/".join([v, *rest]))
    return " ".join(corners)


def _indices(corners: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """(C,) int64, twice: vertices and texture coordinates, from 1; 0 where there is none."""
    numbered = {corner: k for k, corner in enumerate(dict.fromkeys(corners))}
    try:
        pairs = [(int(v), int(rest[0] or 0) if rest else 0) for v, *rest in (c.split("/") for c in numbered)]
        both = np.array(pairs, np.int64).reshape(-1, 2)
    except (ValueError, OverflowError) as error:
        raise Fault(f"malformed: a face whose index is no number ({error})") from None
    order = np.fromiter(map(numbered.__getitem__, corners), np.int64, len(corners))
    return both[order, 0], both[order, 1]


def _parts(
    points: np.ndarray,
    vertex_colors: tuple[np.ndarray, np.ndarray],
    uv: np.ndarray,
    corners: np.ndarray,
    materials: np.ndarray,
    looks: Callable[[int], tuple[str, np.ndarray | None, _Material]],
    beside: Beside,
) -> list[Part]:
    """corners: (F, 3, 2) vertex and texture coordinate (-1 = none); looks: see ``_looks``"""
    colors, has_color = vertex_colors
    parts = []
    for node, number in enumerate(np.unique(materials).tolist()):
        name, texture, material = looks(number)
        own = corners[materials == number]
        mapped = (own[..., 1] >= 0).all(axis=1) if texture is not None else np.zeros(len(own), bool)
        if texture is not None and not mapped.all():
            count = f"{(~mapped).sum()} of the {len(own)} faces of {material.map.name}"
            beside.warn(f"{count} have no texture coordinates and are grey")
        if mapped.any():
            pairs, faces = np.unique(own[mapped] @ [len(uv), 1], return_inverse=True)
            at, at_uv = np.divmod(pairs, len(uv))
            placed = uv[at_uv] * material.map.scale + material.map.offset
            mode = CLAMP if material.map.clamp else REPEAT
            laid, placed = repeating(texture, placed, (mode, mode), beside)  # type: ignore[arg-type]
            white = np.full((len(pairs), 3), 255, np.uint8)
            parts.append(
                Part(points[at], faces.reshape(-1, 3), white, placed, laid, name, node, material.is_clear)
            )
        if not mapped.all():
            plain = material.diffuse if texture is None and not material.map.name else None
            tint = GREY if plain is None else (np.clip(plain, 0, 1) * 255).round()
            tinted = np.where(has_color[:, None], colors, np.array(tint, np.uint8))
            parts.append(
                Part(points, own[~mapped][..., 0], tinted, None, None, name, node, material.is_clear)
            )
    return parts


def _looks(
    names: list[str], library: dict[str, _Material], beside: Beside
) -> Callable[[int], tuple[str, np.ndarray | None, _Material]]:
    """Name, texture and material by the index of a name; -1 = no material named, which is the library's only
    one."""
    forms: tuple[Callable[[str], str], ...] = (str, _uncommented, lambda name: _uncommented(name).casefold())
    found: dict[int, _Material] = {}
    for number, name in enumerate(names):
        alike = (m for form in forms for key, m in library.items() if form(key) == form(name))
        material = next(alike, None)
        if material is not None:
            found[number] = material
    if unknown := sorted(name for number, name in enumerate(names) if number not in found):
        beside.warn(f"materials without a definition are grey: {', '.join(unknown[:5])}")
    if len(library) == 1:
        found[-1] = next(iter(library.values()))
    elif library and not names:
        beside.warn(f"no 'usemtl' says which of {len(library)} materials its faces have; they are grey")
    decoded: dict[str, np.ndarray | None] = {}

    def looks(number: int) -> tuple[str, np.ndarray | None, _Material]:
        material = found.get(number, _Material())
        name = names[number] if number >= 0 else "mesh"
        dark = not material.map.name and not any(material.diffuse or ())
        if dark and (material.emission_map.name or any(material.emission or ())):
            material = replace(material, diffuse=material.emission, map=material.emission_map)
        file = material.map.name
        if file and file not in decoded:
            decoded[file] = texture_of(beside, file)
        return name, decoded.get(file), material

    return looks


def _library(names: list[str], beside: Beside) -> dict[str, _Material]:
    """The materials of all libraries by name; one that is missing is told, and looked for under the mesh's
    own name."""
    texts = []
    for line in names:
        try:
            texts.append(text_of(beside[line]))
            continue
        except Missing:
            pass
        for name in line.split():
            try:
                texts.append(text_of(beside[name]))
            except Missing as missing:
                told = f"material library {name} is missing ({missing})"
                try:
                    texts.append(text_of(beside[f"{beside.stem}.mtl"]))
                    told += f"; {beside.stem}.mtl takes its place"
                except Missing:
                    pass
                beside.warn(told)
    library: dict[str, _Material] = {}
    material = _Material()
    for line in "\n".join(texts).split("\n"):
        key, _, value = line.replace("\t", " ").strip().partition(" ")
        key, value = key.lower(), value.strip()
        if key == "newmtl":
            material = library[" ".join(value.split())] = _Material()
        elif key == "map_kd":
            material.map = _map(value, beside)
        elif key == "map_ke":
            material.emission_map = _map(value, beside)
        elif key == "kd":
            material.diffuse = _color(value, beside)
        elif key == "ke":
            material.emission = _color(value, beside)
        elif key in ("d", "tr"):
            try:
                share = float(_uncommented(value).split()[-1])
            except (ValueError, IndexError):
                continue
            if key == "d":
                material.opacity = share
            else:
                material.transparency = share
    return library


def _uncommented(text: str) -> str:
    return re.split(r"(?:^|\s)#", text)[0].strip()


def _color(value: str, beside: Beside) -> list[float] | None:
    """(3,) of "r g b" or of one number for all three."""
    words = _uncommented(value).split()
    try:
        color = [float(word) for word in words]
        if len(color) not in (1, 3) or not np.isfinite(color).all():
            raise ValueError
    except ValueError:
        beside.warn(f"a colour is passed over: got {value!r}, expected 'Kd r g b'")
        return None
    return color * 3 if len(color) == 1 else color


def _map(value: str, beside: Beside) -> _Map:
    """A map's options and file name, in which there may be blanks, and a # that begins no comment."""
    made = _Map()
    words = value.split()
    while words and words[0].lower() in OPTIONS:
        option, values = words.pop(0).lower(), []
        for _ in range(3 if option in SPATIAL else 2 if option == "-mm" else 1):
            if len(words) > 1 and (option not in SPATIAL or re.fullmatch(r"[-+.\deE]+", words[0])):
                values.append(words.pop(0))
        if option in ("-s", "-o"):
            shift = numbers(values[:2], f"a {option} of a texture").tolist()
            target = made.scale if option == "-s" else made.offset
            target[: len(shift)] = shift
        made.clamp |= option == "-clamp" and values == ["on"]
    made.name = " ".join(words)
    if " #" in made.name:
        try:
            beside[made.name]
        except Missing:
            made.name = _uncommented(made.name)
    return made
