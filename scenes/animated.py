"""Animated glTF: meshes and a camera that move."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import trimesh
from scipy.spatial.transform import Rotation

from spatial_envs.foundation.files import replacing
from spatial_envs.geometry.mesh import Mesh

FLOAT = 5126  # glTF's componentType
OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])  # OpenCV's axes of a camera in glTF's
CAMERA = "camera"


class Moving(NamedTuple):
    """A mesh about its own origin, and its poses (N, 4, 4), rotations and shifts, in the world."""

    name: str
    mesh: Mesh
    poses: np.ndarray


def write_animated(
    path: Path, things: list[Moving], times: np.ndarray, cameras: np.ndarray, fov: float
) -> None:
    """Write a .glb of things and of a camera, each with its poses at times (N,), seconds, increasing from 0;
    cameras (N, 4, 4), camera to world, OpenCV axes, and their vertical field of view, radians."""
    scene = trimesh.Scene()
    for thing in things:
        tint = np.concatenate(
            [thing.mesh.colors, np.full((len(thing.mesh.colors), 1), 255, np.uint8)], axis=1
        )
        made = trimesh.Trimesh(thing.mesh.vertices, thing.mesh.faces, vertex_colors=tint, process=False)
        scene.add_geometry(made, node_name=thing.name, geom_name=thing.name)
    tree, data = _chunks(scene.export(file_type="glb"))
    tree.setdefault("nodes", []).append({"name": CAMERA, CAMERA: 0})
    tree["cameras"] = [{"type": "perspective", "perspective": {"yfov": fov, "znear": 0.01}}]
    tree["scenes"][0].setdefault("nodes", []).append(len(tree["nodes"]) - 1)
    number = {node.get("name"): k for k, node in enumerate(tree["nodes"])}
    film = _Film(tree, data, times)
    for thing in things:
        film.move(number[thing.name], thing.poses)
    film.move(number[CAMERA], cameras @ OPENGL)
    with replacing(path) as temporary:
        Path(temporary).write_bytes(film.glb())


def _chunks(glb: bytes) -> tuple[dict[str, Any], bytearray]:
    """The tree and the data of a .glb."""
    (length,) = struct.unpack_from("<I", glb, 12)
    return json.loads(glb[20 : 20 + length]), bytearray(glb[28 + length :])


class _Film:
    """A glTF tree to which an animation is added."""

    def __init__(self, tree: dict[str, Any], data: bytearray, times: np.ndarray) -> None:
        self.tree, self.data = tree, data
        self.samplers: list[dict[str, Any]] = []
        self.channels: list[dict[str, Any]] = []
        self.times = self._accessor(times[:, None], "SCALAR")
        tree["animations"] = [{"samplers": self.samplers, "channels": self.channels}]

    def move(self, node: int, poses: np.ndarray) -> None:
        """Let a node go through poses (N, 4, 4) in its parent's frame."""
        turns = Rotation.from_matrix(poses[:, :3, :3]).as_quat()
        flips = np.cumprod(np.where((turns[1:] * turns[:-1]).sum(axis=1) < 0, -1.0, 1.0))
        turns[1:] *= flips[:, None]  # the short way round
        for path, values, kind in (("translation", poses[:, :3, 3], "VEC3"), ("rotation", turns, "VEC4")):
            target = {"node": node, "path": path}
            self.channels.append({"sampler": len(self.samplers), "target": target})
            output = self._accessor(values, kind)
            self.samplers.append({"input": self.times, "output": output, "interpolation": "LINEAR"})

    def _accessor(self, values: np.ndarray, kind: str) -> int:
        """The number of a new accessor of values (N, n)."""
        self.data += b"\0" * (-len(self.data) % 4)
        values = np.ascontiguousarray(values, "<f4")
        view = {"buffer": 0, "byteOffset": len(self.data), "byteLength": values.nbytes}
        self.data += values.tobytes()
        self.tree.setdefault("bufferViews", []).append(view)
        bounds = {"min": values.min(axis=0).tolist(), "max": values.max(axis=0).tolist()}
        made = {"bufferView": len(self.tree["bufferViews"]) - 1, "componentType": FLOAT, "type": kind}
        self.tree.setdefault("accessors", []).append({**made, "count": len(values), **bounds})
        return len(self.tree["accessors"]) - 1

    def glb(self) -> bytes:
        """The whole file."""
        self.data += b"\0" * (-len(self.data) % 4)
        self.tree["buffers"] = [{"byteLength": len(self.data)}]
        text = json.dumps(self.tree).encode()
        text += b" " * (-len(text) % 4)
        chunks = [(b"JSON", text), (b"BIN\0", bytes(self.data))]
        body = b"".join(struct.pack("<I", len(own)) + kind + own for kind, own in chunks)
        return b"glTF" + struct.pack("<II", 2, 12 + len(body)) + body
