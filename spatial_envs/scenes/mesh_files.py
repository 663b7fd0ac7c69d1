"""Reading mesh files (.obj .ply .glb .gltf .stl .off) as one coloured Mesh, right or not at all.

trimesh does the parsing. It passes over faults in silence (a missing texture, faces that it skips, a sparse
accessor), so each format first *announces*, from the file's own text, what must come out, and is held to it.
"""

from __future__ import annotations

import io
import json
import re
import struct
import warnings
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from PIL import Image

from spatial_envs.foundation.arguments import user_path
from spatial_envs.foundation.errors import MeshError
from spatial_envs.geometry.mesh import Mesh

SUFFIXES = (".obj", ".ply", ".glb", ".gltf", ".stl", ".off")
GREY = (180, 180, 180)  # where the file says nothing of colour
MAX_TRIANGLES = 5_000_000
MAX_COORDINATE = 1e9
FLAT = 1e-6  # smallest over largest extent of the bounding box
OFF_CENTRE = 1e4  # distance from the origin over extent, beyond which float32 vertices lose their shape
READABLE_EXTENSIONS = ("KHR_materials_", "KHR_texture_transform", "KHR_lights_punctual", "EXT_texture_webp")


def read_mesh(path: str | Path, up: str = "y") -> Mesh:
    """The mesh in a file, in the file's own units and place, turned to Y up.

    All geometries of the scene are joined, each by its node's transform; glTF skins and morph targets stay in
    their rest pose. Texture, glTF base colour and vertex or face colours are taken as they stand, in sRGB;
    alpha is dropped, and the Kd of an .obj counts only without a texture. Colours of .off and .stl are not
    read. Triangles without area and vertices without a triangle are left out.

    path: one of SUFFIXES. A texture is looked for beside the file and where GSO keeps it
          (``../materials/textures``); one that is missing or broken gives a warning and grey.
    up:   the file's up axis, "y" or "z"; "z" turns (x, y, z) into (x, z, -y).
    Raises MeshError, naming the file and the fault; ValueError for another ``up``.
    """
    return replace(read_named(path, up)[0], segment=None)


def read_named(path: str | Path, up: str = "y") -> tuple[Mesh, tuple[str, ...]]:
    """``read_mesh`` with ``segment`` and the names of the file's nodes: segment s is the node names[s - 1].

    A glTF node without a name has its mesh's; other formats have one name for each of their geometries.
    """
    path = user_path("path", path)
    if up not in ("y", "z"):
        raise ValueError(f"up: got {up!r}, expected 'y' or 'z'")
    if not path.exists():
        raise MeshError(f"{path}: no such file")
    if path.is_dir():
        raise MeshError(f"{path}: a folder, not a mesh file")
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise MeshError(f"{path}: unsupported ending {suffix!r}; supported: {' '.join(SUFFIXES)}")
    try:
        data = path.read_bytes()
        if not data.strip():
            raise _Fault("the file is empty")
        said = _ANNOUNCE[suffix](data, _Folder(path))
        if said.triangles > MAX_TRIANGLES:
            raise _Fault(f"{said.triangles:,} triangles; at most {MAX_TRIANGLES:,} are allowed")
        scene = trimesh.load_scene(
            io.BytesIO(said.data), file_type=suffix[1:], resolver=said.folder, process=False, **said.options
        )
        joined, names = _join(scene, said)
        mesh = _checked(joined)
    except _Fault as fault:
        raise MeshError(f"{path}: {fault}") from None
    except IndexError as error:
        raise MeshError(f"{path}: an index is out of range in the file ({error})") from error
    except Exception as error:  # trimesh has no error of its own: whatever it trips over is a broken file
        raise MeshError(f"{path}: not a readable {suffix} file ({type(error).__name__}: {error})") from error
    for warning in dict.fromkeys(said.warnings):
        warnings.warn(f"{path}: {warning}", stacklevel=2)
    if up == "z":
        x, y, z = mesh.vertices.T
        mesh = replace(mesh, vertices=np.stack([x, z, -y], 1))
    return mesh, names


class _Fault(Exception):
    """What is wrong with the file; read_mesh puts the file's name before it."""


class _Folder:
    """Files that a mesh file names, for trimesh: ``folder[name]`` is their bytes, or FileNotFoundError."""

    def __init__(self, path: Path):
        self.path = path
        self.given: dict[str, bytes] = {}

    def __getitem__(self, name: str) -> bytes:
        if name in self.given:
            return self.given[name]
        name = name.strip().strip('"').replace("\\", "/")
        folder, last = self.path.parent, name.rsplit("/", 1)[-1]
        for place in (folder / name, folder / last, folder.parent / "materials" / "textures" / last):
            if place.is_file():
                return place.read_bytes()
        raise FileNotFoundError(name)

    get = __getitem__


@dataclass
class _Announced:
    """What a file says of itself, to which trimesh's result is held.

    data       the file's bytes, put so that trimesh reads them right
    triangles  at least so many must come out
    textures   the image that each material names; None for a file with one nameless material
    transforms KHR_texture_transform by material
    gltf       colours follow glTF: base colour x vertex colour x texture
    nodes      the names of glTF nodes, which are called by their numbers in ``data``
    """

    data: bytes
    folder: Any
    triangles: int = 0
    textures: dict[str | None, str] = field(default_factory=dict)
    transforms: dict[str, dict] = field(default_factory=dict)
    gltf: bool = False
    nodes: list[str] = field(default_factory=list)
    options: dict = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _announce_obj(data: bytes, folder: _Folder) -> _Announced:
    text = _text(data).replace("\r\n", "\n").replace("\r", "\n").replace("\\\n", " ")
    text = re.sub(r"^[ \t]+|^[ \t]*#.*$", "", text, flags=re.M)
    corners = [len(line.split()) for line in re.findall(r"^f[ \t](.*)$", text, re.M)]
    if not re.search(r"^v[ \t]+\S+[ \t]+\S+[ \t]+\S", text, re.M):
        raise _Fault("not an OBJ file: it has no 'v x y z' line")
    if corners and min(corners) < 3:
        raise _Fault("truncated or malformed: a face with fewer than 3 corners")
    if re.search(r"^f.*[ \t/]0+(?=[ \t/]|$)", text, re.M):
        raise _Fault("a face index is out of range: 0, where OBJ counts from 1")
    if re.search(r"^f.*[ \t/]-", text, re.M) and text.rfind("\nv") > text.find("\nf "):
        raise _Fault("negative face indices between blocks of vertices cannot be read; export absolute ones")
    colors = re.findall(r"^v(?:[ \t]+\S+){3}[ \t]+(\S+)[ \t]+(\S+)[ \t]+(\S+)", text, re.M)
    if colors and np.array(colors, dtype=float).max() > 1:
        raise _Fault("vertex colours beyond 1; OBJ has them from 0 to 1")
    said = _Announced(b"", folder, triangles=sum(corners) - 2 * len(corners))
    library = []  # trimesh reads the first library only: it gets all of them as one
    for names in re.findall(r"^mtllib[ \t]+(.*)$", text, re.M):
        try:
            library.append(_text(folder[names]))
        except FileNotFoundError:
            for name in names.split():
                try:
                    library.append(_text(folder[name]))
                except FileNotFoundError:
                    said.warnings.append(f"material library {name} is missing")
    material = ""
    for line in "\n".join(library).splitlines():
        key, _, value = line.strip().partition(" ")
        if key.lower() == "newmtl":
            material = " ".join(value.split())
            said.textures[material] = ""
        elif key.lower() == "map_kd":
            said.textures[material] = value.strip()
    used = {name.strip() for name in re.findall(r"^usemtl[ \t]+(.*)$", text, re.M)}
    if unknown := sorted(used - set(said.textures)):
        said.warnings.append(f"materials without a definition are grey: {', '.join(unknown[:5])}")
    folder.given["all.mtl"] = "\n".join(library).encode()
    said.data = ("mtllib all.mtl\n" + re.sub(r"^mtllib.*$", "", text, flags=re.M)).encode()
    return said


def _announce_ply(data: bytes, folder: _Folder) -> _Announced:
    if not data.startswith(b"ply"):
        raise _Fault("not a PLY file: it does not begin with 'ply'")
    header = data.partition(b"end_header")[0].decode("latin-1")
    if re.search(r"property\s+u?(short|int16)\s+(red|green|blue)\b", header) or "uint16 red" in header:
        raise _Fault("16-bit colours cannot be read; export uchar or float")
    textures = [name.strip() for name in re.findall(r"texturefile\s+(.*)$", header, re.M | re.I)]
    if len(textures) > 1:
        raise _Fault(f"{len(textures)} textures in one PLY file cannot be read; export OBJ or GLB")
    notes = []
    for name in textures:  # in place of one that it cannot read, trimesh makes up a white one
        try:
            texture = _decoded(Image.open(io.BytesIO(folder[name])))
        except OSError:
            texture = None
        if texture is None:
            notes, textures = [f"texture {name} is missing or broken; its colours or grey take its place"], []
    faces = re.search(r"element\s+face\s+(\d+)", header)
    # fix_texture doubles the vertices at uv seams, but not their colours: only where there is a texture
    return _Announced(
        data,
        folder,
        triangles=int(faces[1]) if faces else 0,
        textures={None: textures[0]} if textures else {},
        options={"fix_texture": bool(textures)},
        warnings=notes,
    )


def _announce_off(data: bytes, folder: _Folder) -> _Announced:
    """The file with its polygons cut into triangles, which trimesh does for quads only."""
    text = re.sub(r"#.*$", "", _text(data), flags=re.M)
    counts = re.match(r"\s*(?:ST)?(C?)N?OFF\s*(\d+)[ \t]+(\d+).*", text)
    if not counts:
        raise _Fault("not an OFF file: it does not begin with 'OFF' and its counts")
    rows = [line.split() for line in text[counts.end() :].splitlines() if line.strip()]
    vertex_count, face_count = int(counts[2]), int(counts[3])
    faces = rows[vertex_count : vertex_count + face_count]
    if len(faces) < face_count:
        raise _Fault(f"truncated: only {len(faces)} of its {face_count} faces are there")
    fans = [["3", row[1], row[i], row[i + 1]] for row in faces for i in range(2, int(row[0]))]
    lines = [
        ["OFF"],
        [str(vertex_count), str(len(fans)), "0"],
        *(row[:3] for row in rows[:vertex_count]),
        *fans,
    ]
    notes = ["the colours of OFF files are not read; the mesh is grey"] if counts[1] else []
    return _Announced("\n".join(map(" ".join, lines)).encode(), folder, triangles=len(fans), warnings=notes)


def _announce_stl(data: bytes, folder: _Folder) -> _Announced:
    said = int.from_bytes(data[80:84], "little")
    if len(data) >= 84 and len(data) == 84 + 50 * said:
        return _Announced(data, folder, triangles=said)
    if not data.lstrip()[:5].lower() == b"solid":
        raise _Fault(f"not an STL file, or truncated: {len(data)} bytes where {84 + 50 * said} are announced")
    return _Announced(data, folder, triangles=len(re.findall(rb"^\s*facet\b", data, re.M | re.I)))


def _announce_glb(data: bytes, folder: _Folder) -> _Announced:
    if len(data) < 20 or data[:4] != b"glTF":
        raise _Fault("not a GLB file: it does not begin with a glTF header")
    version, length, json_length = struct.unpack_from("<III", data, 4)
    if length > len(data):
        raise _Fault(f"truncated: {len(data)} bytes where {length} are announced")
    said = _announce_gltf(data[20 : 20 + json_length], folder)
    text = said.data + b" " * (-len(said.data) % 4)
    rest = data[20 + json_length : length]
    head = struct.pack("<4sIII4s", b"glTF", version, 20 + len(text) + len(rest), len(text), b"JSON")
    said.data = head + text + rest
    return said


def _announce_gltf(data: bytes, folder: _Folder) -> _Announced:
    """The header cut down to triangles and base colours; materials are named by number, uv is TEXCOORD_0."""
    header = json.loads(data)
    readable = READABLE_EXTENSIONS + (("KHR_draco_mesh_compression",) if find_spec("DracoPy") else ())
    if unreadable := [name for name in header.get("extensionsRequired", []) if not name.startswith(readable)]:
        hint = "; pip install DracoPy" if "KHR_draco_mesh_compression" in unreadable else ""
        raise _Fault(f"needs glTF extensions that cannot be read here: {', '.join(unreadable)}{hint}")
    said = _Announced(b"", folder, gltf=True)
    materials, uv_sets = [], []
    for number, material in enumerate(header.get("materials", [])):
        base = material.get("pbrMetallicRoughness", {})
        factor, texture = base.get("baseColorFactor"), base.get("baseColorTexture")
        if gloss := material.get("extensions", {}).get("KHR_materials_pbrSpecularGlossiness"):
            factor, texture = gloss.get("diffuseFactor"), gloss.get("diffuseTexture")
        uv_set = 0
        if texture:
            said.textures[str(number)] = f"number {texture['index']}"
            transform = texture.get("extensions", {}).get("KHR_texture_transform", {})
            said.transforms[str(number)] = transform
            uv_set = transform.get("texCoord", texture.get("texCoord", 0))
        uv_sets.append(uv_set)
        plain = {"baseColorFactor": factor or [1.0] * 4} | ({"baseColorTexture": texture} if texture else {})
        materials.append({"name": str(number), "pbrMetallicRoughness": plain})
    for color in ([c / 255 for c in GREY] + [1.0], [1.0] * 4):  # for primitives without a material
        materials.append({"name": "none", "pbrMetallicRoughness": {"baseColorFactor": color}})
        uv_sets.append(0)
    header["materials"] = materials
    for mesh in header.get("meshes", []):
        if any(primitive.get("mode", 4) == 6 for primitive in mesh["primitives"]):
            raise _Fault("triangle fans cannot be read; export triangles")
        # triangles and strips; no lines, no points
        mesh["primitives"] = [p for p in mesh["primitives"] if p.get("mode", 4) in (4, 5)]
    for primitive in (p for mesh in header.get("meshes", []) for p in mesh["primitives"]):
        attributes = primitive["attributes"]
        if "material" not in primitive:
            primitive["material"] = len(materials) - (1 if "COLOR_0" in attributes else 2)
        uv = f"TEXCOORD_{uv_sets[primitive['material']]}"
        names = {"POSITION": "POSITION", "COLOR_0": "COLOR_0", "TEXCOORD_0": uv}
        attributes = {name: attributes[source] for name, source in names.items() if source in attributes}
        primitive["attributes"] = attributes
        packed = "KHR_draco_mesh_compression" in primitive.get("extensions", {}) and find_spec("DracoPy")
        for number in [*attributes.values(), primitive.get("indices", attributes["POSITION"])]:
            accessor = header["accessors"][number]
            if "sparse" in accessor or not ("bufferView" in accessor or packed):
                raise _Fault("sparse or compressed accessors cannot be read; export plain buffers")
        coordinates = attributes.get("TEXCOORD_0")
        if coordinates is not None and header["accessors"][coordinates]["componentType"] != 5126:
            raise _Fault("texture coordinates that are not floats cannot be read")
    nodes = header.get("nodes", [])
    for number, node in enumerate(nodes):
        node.pop("camera", None)  # trimesh would lose the node's children
        named = node.get("name") or (header["meshes"][node["mesh"]].get("name") if "mesh" in node else None)
        said.nodes.append(str(named or f"node_{number}"))
        node["name"] = str(number)
    children = {child for node in nodes for child in node.get("children", [])}
    header.setdefault("scenes", [{"nodes": [i for i in range(len(nodes)) if i not in children]}])
    said.data = json.dumps(header).encode()
    return said


_ANNOUNCE = {
    ".obj": _announce_obj,
    ".ply": _announce_ply,
    ".glb": _announce_glb,
    ".gltf": _announce_gltf,
    ".stl": _announce_stl,
    ".off": _announce_off,
}


def _join(scene: trimesh.Scene, said: _Announced) -> tuple[Mesh, tuple[str, ...]]:
    """All triangles of the scene as one mesh, float64, not yet checked for shape, and its nodes' names."""
    decoded: dict[int, np.ndarray | None] = {}  # by the image's id
    textures: list[np.ndarray] = []
    parts, names, vertex_count, face_count = [], list(said.nodes), 0, 0
    for node in scene.graph.nodes_geometry:
        matrix, name = scene.graph[node]
        geometry: Any = scene.geometry[name]
        if not isinstance(geometry, trimesh.Trimesh) or not len(geometry.faces):
            continue
        faces = np.asarray(geometry.faces, np.int64)
        vertices = np.asarray(geometry.vertices, np.float64)
        if vertices.shape[1:] != (3,) or not np.isfinite(vertices).all():
            raise _Fault("vertices that are NaN, infinite or not 3D")
        if faces.min() < 0 or faces.max() >= len(vertices):
            span = f"{faces.min()} to {faces.max()} with {len(vertices)} vertices"
            raise _Fault(f"a face index is out of range: {span}")
        colors, uv, texture = _appearance(geometry, said, decoded)
        if len(colors) != len(vertices):  # colours by face: every face gets corners of its own
            vertices, faces = vertices[faces.reshape(-1)], np.arange(faces.size).reshape(-1, 3)
        number = -1
        if texture is not None:
            number = next((i for i, known in enumerate(textures) if known is texture), len(textures))
            if number == len(textures):
                textures.append(texture)
        if np.linalg.det(matrix[:3, :3]) < 0:
            faces = faces[:, ::-1]  # a mirror turns triangles inside out
        vertices = vertices @ matrix[:3, :3].T + matrix[:3, 3]
        if said.gltf:  # a node with several primitives is split into 7_a93c, 7_b210, ...
            segment = 1 + int(node.partition("_")[0])
        else:
            names.append(str(name))
            segment = len(names)
        textured, segments = (np.full(len(faces), n, np.int32) for n in (number, segment))
        parts.append((vertices, faces + vertex_count, colors, uv, textured, segments))
        vertex_count += len(vertices)
        face_count += len(faces)
    if not parts:
        raise _Fault("no triangles in it (a point cloud, lines, or not a mesh)")
    if face_count < said.triangles:
        raise _Fault(f"truncated or malformed: only {face_count} of its {said.triangles} faces can be read")
    vertices, faces, colors, uv, numbers, segments = (
        np.concatenate(column) for column in zip(*parts, strict=True)
    )
    if not textures:
        return Mesh(vertices, faces, colors, segment=segments), tuple(names)
    return Mesh(vertices, faces, colors, uv, tuple(textures), numbers, segments), tuple(names)


def _appearance(geometry: Any, said: _Announced, decoded: dict) -> tuple[np.ndarray, np.ndarray, Any]:
    """Colours (n, 3) uint8, uv (n, 2) float64, and the texture (h, w, 3) uint8 or None.

    n is the number of vertices, or of corners (3F) where colours are by face.
    """
    count, visual = len(geometry.vertices), geometry.visual
    grey, no_uv = np.full((count, 3), GREY, np.uint8), np.zeros((count, 2))
    by_face = visual.face_colors if visual.kind == "face" else geometry.face_attributes.get("color")
    by_vertex = visual.vertex_colors if visual.kind == "vertex" else geometry.vertex_attributes.get("color")
    material: Any = visual.material if visual.kind == "texture" else None
    if said.gltf:
        by_vertex = visual.vertex_attributes.get("color")
    named = said.textures.get(material.name, said.textures.get(None)) if material is not None else None
    if named:
        image = material.baseColorTexture if said.gltf else getattr(material, "image", None)
        texture = decoded.setdefault(id(image), _decoded(image))
        if texture is None:
            said.warnings.append(f"texture {named} is missing or broken; its surface is grey")
            return grey, no_uv, None
        if visual.uv is None or np.shape(visual.uv) != (count, 2):
            said.warnings.append(f"texture {named} has no texture coordinates; its surface is grey")
            return grey, no_uv, None
        uv = np.asarray(visual.uv, np.float64)
        if not np.isfinite(uv).all():
            said.warnings.append("texture coordinates that are NaN or infinite are taken as 0")
            uv = np.where(np.isfinite(uv), uv, 0.0)
        uv = _transformed(uv, said.transforms.get(material.name, {}))
    else:
        uv, texture = no_uv, None
        if by_face is not None:
            return np.repeat(_bytes(by_face), 3, axis=0), np.zeros((3 * len(by_face), 2)), None
    if said.gltf:
        painted = np.full((count, 3), 255, np.uint8) if by_vertex is None else _bytes(by_vertex)
        return (painted * (material.baseColorFactor[:3] / 255)).round().astype(np.uint8), uv, texture
    if texture is not None:
        return np.full((count, 3), 255, np.uint8), uv, texture
    if by_vertex is not None:
        return _bytes(by_vertex), uv, None
    if material is not None and "kd" in getattr(material, "kwargs", ()):
        return np.tile(_bytes(material.diffuse[None]), (count, 1)), uv, None
    return grey, uv, None


def _bytes(colors) -> np.ndarray:
    """(n, 3) uint8 of colours (n, 3 or 4), integers of any width or floats from 0 to 1."""
    colors = np.asarray(colors)[:, :3]
    if colors.dtype == np.uint8:
        return np.array(colors)
    top = 65535 if colors.dtype == np.uint16 else 255 if colors.dtype.kind in "ui" else 1.0
    return np.clip(colors / top * 255, 0, 255).round().astype(np.uint8)


def _decoded(image) -> np.ndarray | None:
    """(h, w, 3) uint8, row 0 at the top; None where there is no image or it does not decode."""
    try:
        if image is None or image.mode[0] in "IF":  # 16 bits and floats: PIL would cut them off at 255
            return None
        return np.asarray(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def _transformed(uv: np.ndarray, transform: dict) -> np.ndarray:
    """KHR_texture_transform: scale, turn, offset, with v from the top, as glTF has it and ``uv`` has not."""
    if not transform:
        return uv
    angle = transform.get("rotation", 0.0)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    u, v = (np.array([uv[:, 0], 1 - uv[:, 1]]).T * transform.get("scale", [1, 1]) @ turn.T).T
    offset = transform.get("offset", [0, 0])
    return np.stack([u + offset[0], 1 - (v + offset[1])], axis=1)


def _checked(mesh: Mesh) -> Mesh:
    """The mesh in its final types, without degenerate triangles and unused vertices, or a _Fault."""
    if len(mesh.faces) > MAX_TRIANGLES:
        raise _Fault(f"{len(mesh.faces):,} triangles; at most {MAX_TRIANGLES:,} are allowed")
    used = np.unique(mesh.faces)
    low, high = mesh.vertices[used].min(axis=0), mesh.vertices[used].max(axis=0)
    largest, farthest = (high - low).max(), max(np.abs(low).max(), np.abs(high).max())
    if farthest > MAX_COORDINATE:
        raise _Fault(f"coordinates up to {farthest:.3g}; at most {MAX_COORDINATE:.0g} are allowed")
    if (high - low).min() <= FLAT * largest:
        raise _Fault(f"flat: its bounding box measures {' x '.join(f'{e:.3g}' for e in high - low)}")
    if farthest > OFF_CENTRE * largest:
        raise _Fault(f"{farthest:.3g} from the origin but only {largest:.3g} large; move it to the origin")
    keep = mesh.areas > 1e-14 * largest**2
    if not keep.any():
        raise _Fault("flat: none of its triangles has an area")
    used, faces = np.unique(mesh.faces[keep], return_inverse=True)
    return Mesh(
        mesh.vertices[used].astype(np.float32),
        faces.reshape(-1, 3).astype(np.int32),
        np.ascontiguousarray(mesh.colors[used]),
        None if mesh.uv is None else mesh.uv[used].astype(np.float32),
        mesh.textures,
        None if mesh.face_texture is None else mesh.face_texture[keep],
        mesh.face_segments[keep],
    )
