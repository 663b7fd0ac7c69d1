"""The numbers of a glTF file: its JSON, buffers, buffer views and accessors."""

from __future__ import annotations

import base64
import json
import struct
from importlib.util import find_spec
from typing import Any
from urllib.parse import unquote_to_bytes

import numpy as np

from spatial_envs.scenes.formats.beside import Beside, Missing
from spatial_envs.scenes.formats.parts import Fault

COMPONENTS = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}
DRACO = "KHR_draco_mesh_compression"
MESHOPT = ("EXT_meshopt_compression", "KHR_meshopt_compression")
HINTS = {
    DRACO: "pip install DracoPy, or convert it by 'npx gltf-pipeline -i it.glb -o new.glb'",
    **dict.fromkeys(
        MESHOPT,
        "pip install meshopt (Python 3.11), or convert it by 'npx gltfpack -noq -i it.glb -o new.glb'",
    ),
    "KHR_texture_basisu": "export it with PNG or JPEG textures",
}


def hints(extensions: list[str]) -> str:
    """What to do about extensions that are not read, each after a semicolon."""
    return "".join(f"; {name}: {HINTS[name]}" for name in extensions if name in HINTS)


def item(items: Any, number: Any, what: str) -> dict[str, Any]:
    """An object of one of glTF's lists, or a Fault."""
    there = len(items) if isinstance(items, list) else 0
    if not isinstance(number, int) or not 0 <= number < there or not isinstance(items[number], dict):
        raise Fault(f"malformed: {what} {number!r} is not there; the file has {there}")
    return items[number]


class Document:
    """A glTF file, read as it is asked for. ``header`` is its JSON."""

    def __init__(self, data: bytes, beside: Beside):
        self.beside = beside
        self.chunk: bytes | None = None
        if data[:4] == b"glTF":
            text, self.chunk = _chunks(data)
        elif data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{":
            text = data
        else:
            raise Fault(
                "not a GLB file, and not a readable .gltf file: it begins neither with 'glTF' nor with '{'"
            )
        try:
            self.header: dict[str, Any] = json.loads(text.decode("utf-8-sig", "replace").rstrip("\0 \t\r\n"))
        except (ValueError, RecursionError) as error:
            raise Fault(f"not a readable .gltf file: its JSON is malformed ({error})") from None
        version = self.header.get("asset", {}).get("version", "2.0")
        if str(version).startswith("1") or isinstance(self.header.get("meshes"), dict):
            raise Fault(OLD)
        self._buffers: dict[int, bytes] = {}
        self._views: dict[int, tuple[bytes, int | None]] = {}

    def bytes_at(self, uri: str) -> bytes:
        """What is at a URI: in it, or in a file beside."""
        if not uri.startswith("data:"):
            return self.beside[uri]
        form, _, content = uri.partition(",")
        raw = unquote_to_bytes(content)
        if not form.endswith(";base64"):
            return raw
        raw = b"".join(raw.split())
        return base64.b64decode(raw + b"=" * (-len(raw) % 4))

    def _buffer(self, number: int) -> bytes:
        if number not in self._buffers:
            buffer = item(self.header.get("buffers"), number, "buffer")
            if "uri" in buffer:
                try:
                    self._buffers[number] = self.bytes_at(buffer["uri"])
                except Missing as missing:
                    raise Fault(f"its buffer {buffer['uri'][:80]} is missing ({missing})") from None
            elif self.chunk is None or number:
                raise Fault(
                    f"buffer {number} has no URI, and no binary part of the file is it{self._hints()}"
                )
            else:
                self._buffers[number] = self.chunk
        return self._buffers[number]

    def _hints(self) -> str:
        return hints(self.header.get("extensionsUsed", []))

    def _part(self, place: dict[str, Any]) -> bytes:
        data, start = self._buffer(place["buffer"]), place.get("byteOffset", 0)
        end = start + place["byteLength"]
        if not 0 <= start <= end <= len(data):
            raise Fault(f"truncated: bytes {start:,} to {end:,} of a buffer that has {len(data):,}")
        return data[start:end]

    def view(self, number: int) -> tuple[bytes, int | None]:
        """A buffer view's bytes, and how far apart its elements are, where it says so."""
        if number not in self._views:
            view = item(self.header.get("bufferViews"), number, "buffer view")
            packed = next((p for name in MESHOPT if (p := view.get("extensions", {}).get(name))), None)
            if packed is not None and find_spec("meshopt"):
                self._views[number] = self._unpacked(packed), packed["byteStride"]
            else:
                self._views[number] = self._part(view), view.get("byteStride")
        return self._views[number]

    def _unpacked(self, packed: dict[str, Any]) -> bytes:
        from meshopt import decode_gltf_buffer

        rows = decode_gltf_buffer(
            self._part(packed),
            packed["count"],
            packed["byteStride"],
            packed["mode"],
            packed.get("filter", "NONE"),
        )
        return np.ascontiguousarray(rows).tobytes()

    def accessor(self, number: int) -> np.ndarray:
        """(count, k): integers as they stand, and float64 of floats and of what is normalised."""
        accessor = item(self.header.get("accessors"), number, "accessor")
        kind, width = np.dtype(COMPONENTS[accessor["componentType"]]), WIDTHS[accessor["type"]]
        count, sparse = accessor["count"], accessor.get("sparse")
        if "bufferView" in accessor:
            array = self._array(accessor, count, kind, width)
        elif sparse:
            if not 0 <= count <= 2**24:
                raise Fault(f"malformed: accessor {number} has {count} elements")
            array = np.zeros((count, width), kind)
        else:
            raise Fault(f"accessor {number} has no data, and is not sparse or compressed{self._hints()}")
        if sparse:
            index = sparse["indices"]
            places = self._array(index, sparse["count"], np.dtype(COMPONENTS[index["componentType"]]), 1)[
                :, 0
            ]
            if len(places) and places.max() >= count:
                raise Fault(f"malformed: a sparse index of accessor {number} is out of range")
            array = array.copy()
            array[places] = self._array(sparse["values"], sparse["count"], kind, width)
        return scaled(array, accessor)

    def _array(self, place: dict[str, Any], count: int, kind: np.dtype, width: int) -> np.ndarray:
        data, stride = self.view(place["bufferView"])
        try:
            return np.ndarray(
                (count, width),
                kind,
                data,
                place.get("byteOffset", 0),
                (stride or width * kind.itemsize, kind.itemsize),
            )
        except (TypeError, ValueError):
            raise Fault(f"truncated: {count} elements where a buffer view has {len(data):,} bytes") from None


def scaled(array: np.ndarray, accessor: dict[str, Any]) -> np.ndarray:
    """An accessor's numbers by what it says of them: normalised integers from 0 or -1 to 1."""
    if array.dtype.kind == "f":
        return array.astype(np.float64)
    if accessor.get("normalized"):
        return np.maximum(array / np.iinfo(array.dtype).max, -1.0)
    return array


OLD = "glTF 1.0, of which only 2.0 can be read; 'npx gltf-pipeline -i old.gltf -o new.glb' converts it"


def _chunks(data: bytes) -> tuple[bytes, bytes | None]:
    """The JSON and the binary chunk of a GLB."""
    if len(data) < 20:
        raise Fault("not a GLB file, or truncated: it ends in its header")
    version, length, size = struct.unpack_from("<III", data, 4)
    if version == 1:
        raise Fault(OLD)
    if version != 2:
        raise Fault(f"not a GLB file: its version is {version}")
    if length > len(data):
        raise Fault(
            f"truncated: {len(data):,} bytes where {length:,} are announced; fetch or export it again"
        )
    at, binary = 20 + size, None
    while at + 8 <= length and binary is None:
        piece, kind = struct.unpack_from("<I4s", data, at)
        if kind == b"BIN\0":
            binary = data[at + 8 : at + 8 + piece]
        at += 8 + piece
    return data[20 : 20 + size], binary
