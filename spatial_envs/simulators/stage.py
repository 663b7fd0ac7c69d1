"""A building as the files that habitat-sim loads: a .glb, a .ply of object ids, and a stage configuration.

habitat-sim shows the colours as they are, without light. Where a building's colours are albedo, the light of
`spatial_envs.rendering` is multiplied into the colours of the corners, which are what a renderer that shades
shows wherever a triangle is seen from its front. Glass is as solid as the rest: habitat-sim blends nothing.
"""

from __future__ import annotations

import io
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from spatial_envs.foundation.errors import MeshError
from spatial_envs.geometry.building import Building
from spatial_envs.geometry.mesh import Mesh
from spatial_envs.rendering.renderer import SUN_DIRECTION, light

FLOAT, UINT, USHORT = 5126, 5125, 5123  # glTF's component types
VERTICES, INDICES = 34962, 34963  # and its kinds of buffer
READ_DIRECTLY = (".glb", ".gltf")
UPWARDS = {"y": {"up": [0, 1, 0], "front": [0, 0, -1]}, "z": {"up": [0, 0, 1], "front": [0, 1, 0]}}


def write_stage(building: Building, folder: Path) -> Path:
    """Write what habitat-sim needs to load ``building`` into ``folder``; returns the stage configuration.

    A building that `is_read_directly` is loaded from its file, any other is written as a .glb.
    Object ids go into a .ply where the building has objects.
    """
    source, up = building.path, building.frame.up
    if not is_read_directly(building):
        source, up = str(folder / "building.glb"), "y"
        write_glb(building, source)
    semantics: dict[str, Any] = {}
    if building.objects:
        write_object_ids(building.solid, folder / "objects.ply")
        semantics = {"semantic_asset": str(folder / "objects.ply"), "has_semantic_textures": False}
        semantics |= {f"semantic_{key}": value for key, value in UPWARDS["y"].items()}
    return write_configuration(folder, source, up, **semantics)


def write_configuration(folder: Path, source: str, up: str, **semantics: Any) -> Path:
    """Write a stage configuration into ``folder``: to show the file ``source``, whose up axis is ``up``."""
    stage = folder / "building.stage_config.json"
    # without "requires_lighting" a .glb is shown under habitat-sim's own lamps
    config = {"render_asset": source, "requires_lighting": False, **UPWARDS[up], **semantics}
    stage.write_text(json.dumps(config), encoding="utf-8")
    return stage


def is_read_directly(building: Building) -> bool:
    """Whether habitat-sim loads the building from the file that it was read from: an unlit .glb or
    .gltf in metres, and all of it has a material, for what has none habitat-sim shows black."""
    path = Path(building.path)
    if path.suffix.lower() not in READ_DIRECTLY or building.frame.scale != 1.0 or building.lit:
        return False
    with open(path, "rb") as file:
        if (start := file.read(20))[:4] == b"glTF":
            header = file.read(struct.unpack_from("<I", start, 12)[0])
        else:
            header = start + file.read()
    meshes = json.loads(header).get("meshes", [])
    return all("material" in primitive for mesh in meshes for primitive in mesh["primitives"])


def write_glb(building: Building, path: str | Path) -> None:
    """Write ``building`` as a .glb, Y up, double-sided: a node for each object, by
    its name, so that `read_building` finds the same objects again. Light is in the colours; see above."""
    mesh = building.solid
    corners = mesh.colors[mesh.faces] / np.float32(255)  # (F, 3, 3)
    if building.lit:
        corners = corners * _light(mesh.corner_normals)[..., None]
    colors = np.clip(corners * 65535, 0, 65535).round().astype(np.uint16)
    textures = np.full(len(mesh.faces), -1) if mesh.face_texture is None else mesh.face_texture
    data = _Binary()
    materials: list[dict] = [{"doubleSided": True, "pbrMetallicRoughness": {"metallicFactor": 0.0}}]
    for number, texture in enumerate(mesh.textures):
        data.add_image(texture)
        shine = {"metallicFactor": 0.0, "baseColorTexture": {"index": number}}
        materials.append({"doubleSided": True, "pbrMetallicRoughness": shine})
    nodes: list[dict] = []
    meshes: list[dict] = []
    for segment in np.unique(mesh.face_segments).tolist():
        mine = mesh.face_segments == segment
        name = building.objects[segment].name if segment in building.objects else f"mesh_{segment}"
        parts = [mine & (textures == texture) for texture in np.unique(textures[mine])]
        primitives = [_primitive(mesh, np.flatnonzero(part), colors, textures, data) for part in parts]
        nodes.append({"name": name, "mesh": len(meshes)})
        meshes.append({"primitives": primitives})
    header = {
        "asset": {"version": "2.0"}, "scene": 0, "scenes": [{"nodes": list(range(len(nodes)))}],
        "nodes": nodes, "meshes": meshes, "materials": materials, **data.header(),
    }  # fmt: skip
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 4)
    body = data.bytes.getvalue()
    with open(path, "wb") as file:
        file.write(struct.pack("<4sII", b"glTF", 2, 28 + len(head) + len(body)))
        file.write(struct.pack("<I4s", len(head), b"JSON") + head)
        file.write(struct.pack("<I4s", len(body), b"BIN\0") + body)


def _light(normals: np.ndarray) -> np.ndarray:
    """(...,) the light on surfaces with these normals (..., 3), at most 1; see `spatial_envs.rendering`."""
    sun = np.maximum(normals @ SUN_DIRECTION.astype(np.float32), 0)
    return light(normals[..., 1], sun)


def _primitive(
    mesh: Mesh, faces: np.ndarray, colors: np.ndarray, textures: np.ndarray, data: _Binary
) -> dict:
    """Faces of one texture. Corners at the same vertex with the same colour become one vertex."""
    rows = np.column_stack([mesh.faces[faces].reshape(-1), colors[faces].reshape(-1, 3)])
    kept, corner = np.unique(rows, axis=0, return_inverse=True)
    vertices, rgba = kept[:, 0], np.full((len(kept), 4), 65535, np.uint16)
    rgba[:, :3] = kept[:, 1:]
    positions = mesh.vertices[vertices].astype(np.float32)
    low, high = positions.min(axis=0).tolist(), positions.max(axis=0).tolist()
    attributes = {
        "POSITION": data.add_array(positions, FLOAT, "VEC3", VERTICES, min=low, max=high),
        "COLOR_0": data.add_array(rgba, USHORT, "VEC4", VERTICES, normalized=True),
    }
    texture = int(textures[faces[0]])
    if texture >= 0 and mesh.uv is not None:
        uv = mesh.uv[vertices] * np.array([1, -1]) + np.array([0, 1])  # glTF counts v from the top
        attributes["TEXCOORD_0"] = data.add_array(uv.astype(np.float32), FLOAT, "VEC2", VERTICES)
    indices = data.add_array(corner.reshape(-1).astype(np.uint32), UINT, "SCALAR", INDICES)
    return {"attributes": attributes, "indices": indices, "material": texture + 1}


class _Binary:
    """The binary part of a .glb, and what its header says about it."""

    def __init__(self) -> None:
        self.bytes = io.BytesIO()
        self.views: list[dict] = []
        self.accessors: list[dict] = []
        self.images: list[dict] = []

    def add_array(self, array: np.ndarray, component: int, kind: str, target: int, **more: Any) -> int:
        """The number of the array's accessor."""
        view = self._add(array.tobytes(), {"target": target})
        accessor = {"bufferView": view, "componentType": component, "count": len(array), "type": kind}
        self.accessors.append({**accessor, **more})
        return len(self.accessors) - 1

    def add_image(self, image: np.ndarray) -> None:
        """An image (h, w, 3) uint8, as PNG."""
        png = io.BytesIO()
        Image.fromarray(image).save(png, "PNG", compress_level=1)
        self.images.append({"bufferView": self._add(png.getvalue(), {}), "mimeType": "image/png"})

    def _add(self, content: bytes, more: dict) -> int:
        self.views.append({"buffer": 0, "byteOffset": self.bytes.tell(), "byteLength": len(content), **more})
        self.bytes.write(content + b"\0" * (-len(content) % 4))
        return len(self.views) - 1

    def header(self) -> dict[str, list]:
        """The entries of the file's header that speak of the binary part."""
        images: dict[str, list] = {}
        if self.images:
            images["images"] = self.images
            images["textures"] = [{"source": number} for number in range(len(self.images))]
        buffers = [{"byteLength": self.bytes.tell()}]
        return {"buffers": buffers, "bufferViews": self.views, "accessors": self.accessors, **images}


def write_object_ids(mesh: Mesh, path: Path) -> None:
    """Write a .ply with the object id of every vertex, which habitat-sim's semantic camera shows; every face
    has vertices of its own. habitat-sim takes such a file to have Z up."""
    x, y, z = mesh.vertices[mesh.faces].reshape(-1, 3).T
    ids = np.repeat(mesh.face_segments, 3)
    if ids.min() < 0 or ids.max() > 65535:
        raise MeshError(f"mesh: object ids up to {ids.max()}; habitat-sim holds them in 16 bits")
    fields = [("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("r", "u1"), ("g", "u1"), ("b", "u1"), ("id", "<u2")]
    vertices = np.zeros(len(ids), fields)
    vertices["x"], vertices["y"], vertices["z"], vertices["id"] = x, -z, y, ids
    vertices["r"], vertices["g"] = ids & 255, ids >> 8  # it asks for colours, one for each id
    faces = np.zeros(len(mesh.faces), [("count", "u1"), ("vertices", "<i4", 3)])
    faces["count"], faces["vertices"] = 3, np.arange(len(ids)).reshape(-1, 3)
    header = (
        f"ply\nformat binary_little_endian 1.0\nelement vertex {len(ids)}\n"
        "property float x\nproperty float y\nproperty float z\n"
        "property uchar red\nproperty uchar green\nproperty uchar blue\nproperty ushort object_id\n"
        f"element face {len(faces)}\nproperty list uchar int vertex_indices\nend_header\n"
    )
    path.write_bytes(header.encode() + vertices.tobytes() + faces.tobytes())
