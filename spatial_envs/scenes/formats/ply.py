"""Stanford .ply: text and binary of both byte orders, polygons and strips, with whatever else is in it."""

from __future__ import annotations

import re
from itertools import islice
from typing import NamedTuple

import numpy as np

from spatial_envs.scenes.formats.beside import Beside
from spatial_envs.scenes.formats.parts import (
    GREY,
    Fault,
    Part,
    bytes_of,
    check_count,
    indices_of,
    strips,
    triangulated,
)
from spatial_envs.scenes.formats.pictures import texture_of

TYPES = {
    **{"char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4"},
    **{"int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4"},
    **{"int64": "i8", "uint64": "u8", "float": "f4", "double": "f8", "float32": "f4", "float64": "f8"},
}
FORMS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
COLORS = (("red", "green", "blue"), ("diffuse_red", "diffuse_green", "diffuse_blue"), ("r", "g", "b"))
COORDINATES = (("s", "t"), ("u", "v"), ("texture_u", "texture_v"), ("texture_s", "texture_t"))


class Column(NamedTuple):
    """A property of all rows of an element: ``values`` in the property's type, and for a list ``counts``, how
    many of them each row has."""

    values: np.ndarray
    counts: np.ndarray | None = None


class _Property(NamedTuple):
    name: str
    kind: str  # a dtype without its byte order
    counts: str  # that of a list's counts; "" = no list


class _Element(NamedTuple):
    name: str
    rows: int
    properties: list[_Property]


def read(data: bytes, beside: Beside) -> list[Part]:
    """A part for each texture, or one. Colours of vertices count before those of faces, a texture before
    both."""
    found = elements(data)
    vertex, face = found.get("vertex", {}), found.get("face", {})
    if not {"x", "y", "z"} <= set(vertex):
        raise Fault(f"no vertices with x, y and z in it; it has {', '.join(found) or 'no elements'}")
    points = np.stack([vertex[axis].values for axis in "xyz"], axis=1).astype(np.float64)
    corners, polygons = _triangles(found, points)
    colors, of_faces = (_named(columns, COLORS) for columns in (vertex, face))
    flat = None if colors is not None or of_faces is None else bytes_of(of_faces)
    painted = np.tile(np.array(GREY, np.uint8), (len(points), 1)) if colors is None else bytes_of(colors)
    images, numbers = _textures(data, beside), _texture_numbers(face, polygons)
    uv = _coordinates(vertex, face, corners) if images else None
    if images and uv is None:
        beside.warn(f"texture {', '.join(images)} has no texture coordinates; colours or grey take its place")
    place = corners[..., 0]
    parts = []
    for number in np.unique(numbers).tolist():
        own = numbers == number
        image = list(images.values())[number] if uv is not None and 0 <= number < len(images) else None
        if image is not None and uv is not None:  # every corner has its own coordinates
            pairs, faces = np.unique(
                np.c_[place[own].reshape(-1), uv[own].reshape(-1, 2)], axis=0, return_inverse=True
            )
            at = pairs[:, 0].astype(np.int64)
            parts.append(
                Part(
                    points[at],
                    faces.reshape(-1, 3),
                    np.full((len(at), 3), 255, np.uint8),
                    pairs[:, 1:],
                    image,
                )
            )
        elif flat is not None:
            faces = np.arange(3 * own.sum()).reshape(-1, 3)
            parts.append(
                Part(points[place[own]].reshape(-1, 3), faces, np.repeat(flat[polygons[own]], 3, axis=0))
            )
        else:
            parts.append(Part(points, place[own], painted))
    return parts


def _triangles(found: dict[str, dict[str, Column]], points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(F, 3, 2) of every triangle's corners the vertex and the place among all corners of the file, and (F,)
    its polygon."""
    face = found.get("face", {})
    lists = [c for name, c in face.items() if name.startswith("vertex_ind") and c.counts is not None]
    runs = [(c.values, c.counts) for c in found.get("tristrips", {}).values() if c.counts is not None]
    if runs and any(len(c.values) for c in lists):
        raise Fault("faces and strips in one PLY file cannot be read; export faces alone")
    if runs:
        place = indices_of(_of_strips(*runs[0]), len(points))
        return np.stack([place, np.zeros_like(place)], axis=-1), np.arange(len(place))
    if face and not lists:
        raise Fault(f"its faces have no list vertex_indices; they have {', '.join(face)}")
    if not lists or lists[0].counts is None:
        return np.zeros((0, 3, 2), np.int64), np.zeros(0, np.int64)
    place, counts = indices_of(lists[0].values, len(points)), lists[0].counts
    check_count(int(np.maximum(counts - 2, 0).sum()))
    triangles, polygons = triangulated(points[place], counts)
    return np.stack([place[triangles], triangles], axis=-1), polygons


def _of_strips(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(F, 3) triangles of lists of vertices, in each of which -1 ends a strip."""
    if values.dtype.kind == "f":
        raise Fault("malformed: an index of a strip that is no whole number")
    triangles = [np.zeros((0, 3), np.int64)]
    for strip in np.split(values.astype(np.int32).astype(np.int64), np.cumsum(counts)[:-1]):
        for run in np.split(strip, np.flatnonzero(strip < 0)):
            if (run >= 0).sum() >= 3:
                triangles.append(strips(run[run >= 0]))
    check_count(sum(map(len, triangles)))
    return np.concatenate(triangles)


def _named(columns: dict[str, Column], names: tuple[tuple[str, ...], ...]) -> np.ndarray | None:
    """(n, k) of the first of the groups of columns that is there."""
    for group in names:
        if all(name in columns and columns[name].counts is None for name in group):
            return np.stack([columns[name].values for name in group], axis=1)
    return None


def _textures(data: bytes, beside: Beside) -> dict[str, np.ndarray | None]:
    header = data.partition(b"end_header")[0].decode("utf-8", "replace")
    names = re.findall(r"^comment\s+texturefile\s+(.*?)\s*$", header.replace("\r", "\n"), re.M | re.I)
    return {name: texture_of(beside, name, instead="colours or grey take its place") for name in names}


def _texture_numbers(face: dict[str, Column], polygons: np.ndarray) -> np.ndarray:
    """(F,) int64"""
    column = face.get("texnumber")
    if column is None or column.counts is not None:
        return np.zeros(len(polygons), np.int64)
    return column.values.astype(np.int64)[polygons]


def _coordinates(
    vertex: dict[str, Column], face: dict[str, Column], corners: np.ndarray
) -> np.ndarray | None:
    """(F, 3, 2) texture coordinates, of the corners or else of the vertices."""
    column = face.get("texcoord")
    if (
        column is not None
        and column.counts is not None
        and len(column.values) > 2 * corners[..., 1].max(initial=-1) + 1
    ):
        return column.values.astype(np.float64)[: len(column.values) // 2 * 2].reshape(-1, 2)[corners[..., 1]]
    uv = _named(vertex, COORDINATES)
    return None if uv is None else uv.astype(np.float64)[corners[..., 0]]


def elements(data: bytes) -> dict[str, dict[str, Column]]:
    """The columns of every element, by the names of element and property, in lower case."""
    if not data.startswith(b"ply"):
        raise Fault("not a PLY file: it does not begin with 'ply'")
    end = re.search(rb"[\r\n]end_header[ \t]*", data)
    if not end:
        raise Fault("truncated or malformed: its header has no end_header")
    lines = data[: end.start()].decode("utf-8", "replace").replace("\r", "\n").split("\n")
    form, listed = _header(lines)
    start = end.end()
    if b"\n" in data[: end.start()]:
        start += data[start:].find(b"\n") + 1
    else:  # lines end by a carriage return alone, after which binary data may begin with any byte
        start += 1
    check_count(sum(element.rows for element in listed if element.name == "face"))
    if not form:
        return _ascii(data[start:], listed)
    at, found = start, {}
    for element in listed:
        found[element.name], at = _binary(data, at, element, form)
    return found


def _header(lines: list[str]) -> tuple[str, list[_Element]]:
    """The byte order, "" for text, and the elements."""
    form, listed = None, []
    for line in lines:
        words = line.split()
        try:
            match words[:1]:
                case ["format"]:
                    form = FORMS[words[1]]
                case ["element"]:
                    listed.append(_Element(words[1].lower(), int(words[2]), []))
                case ["property"] if words[1] == "list":
                    _, _, counts, kind, name = words
                    listed[-1].properties.append(_Property(name.lower(), TYPES[kind], TYPES[counts]))
                case ["property"]:
                    _, kind, name = words
                    listed[-1].properties.append(_Property(name.lower(), TYPES[kind], ""))
        except (KeyError, IndexError, ValueError):
            raise Fault(f"malformed: a line of its header is {line.strip()[:60]!r}") from None
    if form is None or any(element.rows < 0 for element in listed):
        raise Fault("malformed: its header has no format, or a negative count")
    return form, listed


def _ascii(body: bytes, listed: list[_Element]) -> dict[str, dict[str, Column]]:
    found, rest = _values(body.split(), listed)
    if rest:  # some programs write more on a line than the header says
        rows = iter([words for line in body.splitlines() if (words := line.split())])
        kept = [word for e in listed for words in islice(rows, e.rows) for word in _row(words, e)]
        found, _ = _values(kept, listed)
    return found


def _row(words: list[bytes], element: _Element) -> list[bytes]:
    """The values of a line that the header announces."""
    place = 0
    for kind in element.properties:
        if kind.counts and place < len(words):
            count = words[place]
            place += int(count) if count.isdigit() else 0
        place += 1
    return words[:place]


def _values(words: list[bytes], listed: list[_Element]) -> tuple[dict[str, dict[str, Column]], int]:
    """The columns of every element, and how many words come after the last."""
    try:
        values = np.array(words, dtype=np.float64) if words else np.zeros(0)
    except ValueError as error:
        raise Fault(f"malformed: a value that is no number ({error})") from None
    at, found = 0, {}
    for element in listed:
        found[element.name], at = _rows_of_text(values, at, element)
    return found, len(values) - at


def _rows_of_text(values: np.ndarray, at: int, element: _Element) -> tuple[dict[str, Column], int]:
    """The columns of an element whose first value is values[at], and where the next begins."""
    kinds, count = element.properties, element.rows
    starts: list[list[int]] = [[] for _ in kinds]
    lengths: list[list[int]] = [[] for _ in kinds]
    if any(kind.counts for kind in kinds):
        whole = (
            np.nan_to_num(values[at:], nan=-1.0, posinf=-1.0, neginf=-1.0)
            .clip(-1, 2**31)
            .astype(int)
            .tolist()
        )
        place = 0
        for row in range(count):
            for kind, begins, sizes in zip(kinds, starts, lengths, strict=True):
                size = 1
                if kind.counts:
                    size = whole[place] if place < len(whole) else len(whole) + 1
                    place += 1
                    sizes.append(size)
                begins.append(at + place)
                place += size
                if size < 0 or place > len(whole):
                    raise Fault(
                        f"truncated or malformed: only {row} of its {count} rows of {element.name} are there"
                    )
        end = at + place
        columns = {}
        for kind, begins, sizes in zip(kinds, starts, lengths, strict=True):
            counts = np.array(sizes, np.int64) if kind.counts else None
            take = _spread(np.array(begins, np.int64), counts)
            columns[kind.name] = Column(_as(values[take], kind.kind), counts)
        return columns, end
    end = at + count * len(kinds)
    if end > len(values):
        there = (len(values) - at) // max(len(kinds), 1)
        raise Fault(f"truncated or malformed: only {there} of its {count} rows of {element.name} are there")
    table = values[at:end].reshape(count, len(kinds))
    return {kind.name: Column(_as(table[:, k], kind.kind)) for k, kind in enumerate(kinds)}, end


def _as(values: np.ndarray, kind: str) -> np.ndarray:
    """Values of a text in the property's type; fractions, as some write them, as they are."""
    if kind[0] == "f":
        return values
    info = np.iinfo(kind)
    fits = np.isfinite(values).all() and (values == values.round()).all()
    return values.clip(info.min, info.max).astype(kind) if fits and kind[1] != "8" else values


def _spread(starts: np.ndarray, counts: np.ndarray | None) -> np.ndarray:
    """start, start + 1, ... of every row, count of them."""
    if counts is None:
        return starts
    return np.repeat(starts - (np.cumsum(counts) - counts), counts) + np.arange(counts.sum())


def _binary(data: bytes, at: int, element: _Element, order: str) -> tuple[dict[str, Column], int]:
    """The columns of an element that begins at byte ``at``, and where the next begins."""
    lengths = _first_lengths(data, at, element, order)
    fields: list[tuple[str, str, tuple[int, ...]]] = []
    for k, (kind, length) in enumerate(zip(element.properties, lengths, strict=True)):
        if kind.counts:
            fields.append((f"n{k}", order + kind.counts, ()))
        fields.append((f"v{k}", order + kind.kind, (length,) if kind.counts else ()))
    row = np.dtype(fields)
    end = at + row.itemsize * element.rows
    if end <= len(data):
        table = np.frombuffer(data, row, element.rows, at)
        lists = [k for k, kind in enumerate(element.properties) if kind.counts]
        if all((table[f"n{k}"] == lengths[k]).all() for k in lists):
            return {
                kind.name: Column(
                    np.ascontiguousarray(table[f"v{k}"]).reshape(-1).astype(kind.kind),
                    np.full(element.rows, lengths[k], np.int64) if kind.counts else None,
                )
                for k, kind in enumerate(element.properties)
            }, end
        return _ragged(data, at, element, order)
    if any(kind.counts for kind in element.properties):  # shorter rows than the first may yet fit
        return _ragged(data, at, element, order)
    there = max(len(data) - at, 0) // max(row.itemsize, 1)
    raise Fault(f"truncated: only {there} of its {element.rows} rows of {element.name} are there")


def _first_lengths(data: bytes, at: int, element: _Element, order: str) -> list[int]:
    """How long the lists of the first row are; 1 for what is no list."""
    lengths = []
    for kind in element.properties:
        length = 1
        if kind.counts:
            size = np.dtype(kind.counts).itemsize
            there = data[at : at + size]
            length = int(np.frombuffer(there, order + kind.counts)[0]) if len(there) == size else 0
            length = length if 0 <= length <= len(data) else 0
            at += size
        lengths.append(length)
        at += length * np.dtype(kind.kind).itemsize
    return lengths


def _ragged(data: bytes, at: int, element: _Element, order: str) -> tuple[dict[str, Column], int]:
    """``_binary`` where lists differ in length."""
    kinds = element.properties
    sizes = [
        (np.dtype(kind.counts).itemsize if kind.counts else 0, np.dtype(kind.kind).itemsize) for kind in kinds
    ]
    starts: list[list[int]] = [[] for _ in kinds]
    lengths: list[list[int]] = [[] for _ in kinds]
    endian = "little" if order == "<" else "big"
    for row in range(element.rows):
        for (prefix, size), begins, counts in zip(sizes, starts, lengths, strict=True):
            length = int.from_bytes(data[at : at + prefix], endian) if prefix else 1  # type: ignore[arg-type]
            at += prefix
            begins.append(at)
            counts.append(length)
            at += length * size
        if at > len(data):
            raise Fault(
                f"truncated or malformed: only {row} of its {element.rows} rows of {element.name} are there"
            )
    raw = np.frombuffer(data, np.uint8)
    columns = {}
    for kind, (_, size), begins, counts in zip(kinds, sizes, starts, lengths, strict=True):
        number = np.array(counts, np.int64)
        first = np.array(begins, np.int64)
        take = _spread(first, number * size)
        values = raw[take].view(order + kind.kind).astype(kind.kind)
        columns[kind.name] = Column(values, number if kind.counts else None)
    return columns, at
