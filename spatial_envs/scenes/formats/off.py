"""Geomview's .off, in text, with colours of vertices or faces."""

from __future__ import annotations

import re

import numpy as np

from spatial_envs.scenes.formats.beside import Beside
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


def read(data: bytes, beside: Beside) -> list[Part]:
    """One part. Numbers may be broken into lines at will; where lines matter, which is where faces have
    colours, each face has one."""
    text = re.sub(r"#.*$", "", text_of(data), flags=re.M)
    head = re.match(r"\s*(ST|st)?([Cc])?(N)?(4)?(n)?(?:OFF|Off|off)[ \t]*(BINARY\b)?", text)
    if not head:
        raise Fault("not an OFF file: it does not begin with 'OFF'")
    if head[4] or head[5]:
        raise Fault("an OFF file of vertices that are not 3D cannot be read")
    if head[6]:
        raise Fault("binary OFF files cannot be read; export it as text, or as PLY")
    rest = text[head.end() :]
    counts = re.match(r"\s*(\d+)\s+(\d+)(?:[ \t]+\d+(?!\S))?", rest)
    if not counts:
        raise Fault("not an OFF file: its counts do not follow 'OFF'")
    vertex_count, face_count = int(counts[1]), int(counts[2])
    check_count(face_count)
    rows = [words for line in rest[counts.end() :].split("\n") if (words := line.split())]
    lines = rows[:vertex_count]
    width = 3 + 3 * bool(head[3]) + 4 * bool(head[2]) + 2 * bool(head[1])
    if len(lines) == vertex_count and len({len(words) for words in lines}) == 1 and len(lines[0]) >= 3:
        width = len(lines[0])  # with colours that the first line says nothing of, or without alpha
        after = rows[vertex_count:]
        words = [word for row in lines for word in row]
    else:
        words = [word for row in rows for word in row]
        words, after = words[: width * vertex_count], [words[width * vertex_count :]]
        if len(words) < width * vertex_count:
            raise Fault(f"truncated: only {len(words) // width} of its {vertex_count} vertices are there")
    table = numbers(words, "a vertex").reshape(vertex_count, width)
    first = 6 if head[3] else 3
    painted = None
    if width >= first + 3 and (head[2] or not head[1]):
        painted = bytes_of(table[:, first : first + 3])
    polygons, colors = _faces(after, face_count)
    corners = numbers([word for polygon in polygons for word in polygon], "a face")
    corners = indices_of(corners, vertex_count)
    sides = np.array([len(polygon) for polygon in polygons], np.int64)
    check_count(int(np.maximum(sides - 2, 0).sum()))
    triangles, polygon = triangulated(table[corners, :3], sides)
    faces = corners[triangles]
    if painted is not None or colors is None:
        grey = np.tile(np.array(GREY, np.uint8), (vertex_count, 1))
        return [Part(table[:, :3], faces, grey if painted is None else painted)]
    own = np.arange(faces.size).reshape(-1, 3)
    return [Part(table[faces, :3].reshape(-1, 3), own, np.repeat(colors[polygon], 3, axis=0))]


def _faces(rows: list[list[str]], count: int) -> tuple[list[list[str]], np.ndarray | None]:
    """The corners of every face, and (count, 3) uint8 colours, or None where faces have none."""
    words = [word for row in rows for word in row]
    polygons: list[list[str]] = []
    place = 0
    try:
        while place < len(words) and len(polygons) < count:
            sides = int(words[place])
            if sides < 0:
                raise ValueError
            polygons.append(words[place + 1 : place + 1 + sides])
            place += 1 + sides
    except ValueError:
        place = -1
    if place == len(words) and len(polygons) == count:
        return polygons, None
    if len(rows) < count:
        raise Fault(f"truncated: only {min(len(rows), len(polygons))} of its {count} faces are there")
    sizes = [int(number) for number in numbers([row[0] for row in rows[:count]], "a face")]
    polygons = [row[1 : 1 + size] for row, size in zip(rows, sizes, strict=False)]
    short = [len(polygon) < size for polygon, size in zip(polygons, sizes, strict=True)]
    if any(short):
        raise Fault(f"truncated or malformed: face {short.index(True)} has fewer corners than it says")
    rest = [row[1 + size :][:3] for row, size in zip(rows, sizes, strict=False)]
    if not all(len(color) == 3 for color in rest):
        return polygons, None  # none, or numbers in a table of colours that is not in the file
    whole = numbers([word for color in rest for word in color], "a face's colour").reshape(-1, 3)
    return polygons, bytes_of(whole)
