"""Stereolithography .stl, binary and text. Its colours, which every program writes in another way, are not
read."""

from __future__ import annotations

import re

import numpy as np

from spatial_envs.scenes.formats.beside import Beside
from spatial_envs.scenes.formats.parts import GREY, Fault, Part, check_count, numbers, text_of

RECORD = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])


def read(data: bytes, beside: Beside) -> list[Part]:
    """One grey part. Whatever follows the triangles that a binary file announces is passed over."""
    said = int.from_bytes(data[80:84], "little")
    whole = 84 + RECORD.itemsize * said
    begins = data.removeprefix(b"\xef\xbb\xbf").lstrip()[:5].lower() == b"solid"
    if begins and len(data) != whole and b"\0" not in data:
        corners = _text(data)
    elif len(data) < 84 or whole > len(data):
        there = max(len(data) - 84, 0) // RECORD.itemsize
        raise Fault(
            f"not an STL file, or truncated: {len(data):,} bytes where {whole:,} are announced, which holds "
            f"{there:,} of its {said:,} triangles; fetch or export it again"
        )
    else:
        check_count(said)
        records = np.frombuffer(data, RECORD, said, 84)
        if b"COLOR=" in data[:80] or (said and (records["attribute"] >> 15).all()):
            beside.warn("the colours of STL files are not read; the mesh is grey")
        corners = records["corners"].astype(np.float64)
    faces = np.arange(3 * len(corners)).reshape(-1, 3)
    return [Part(corners.reshape(-1, 3), faces, np.tile(np.array(GREY, np.uint8), (faces.size, 1)))]


def _text(data: bytes) -> np.ndarray:
    """(F, 3, 3) float64"""
    text = re.sub(r"^[ \t]*(end)?solid\b.*$", "", text_of(data), flags=re.M | re.I)  # a name may be anything
    facets = len(re.findall(r"\bfacet\b", text, re.I))
    words = re.findall(r"\bvertex\s+(\S+)\s+(\S+)\s+(\S+)", text, re.I)
    if len(words) != 3 * facets:
        raise Fault(f"truncated or malformed: {len(words)} corners of {facets} facets can be read")
    check_count(facets)
    return numbers([word for row in words for word in row], "a corner").reshape(-1, 3, 3)
