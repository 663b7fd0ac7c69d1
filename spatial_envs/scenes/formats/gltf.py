"""glTF 2.0, .gltf and .glb: what its scene shows in rest, coloured by base colour."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np

from spatial_envs.scenes.formats.beside import Beside, Missing
from spatial_envs.scenes.formats.gltf_data import DRACO, MESHOPT, Document, hints, item, scaled
from spatial_envs.scenes.formats.parts import GREY, Fault, Part, bytes_of, check_count, indices_of, strips
from spatial_envs.scenes.formats.pictures import REPEAT, repeating, texture_of

READABLE = (
    "KHR_materials_", "KHR_texture_transform", "KHR_lights_punctual", "KHR_mesh_quantization",
    "KHR_node_visibility",
    "KHR_animation_pointer", "KHR_xmp", "EXT_mesh_gpu_instancing", "EXT_texture_webp", "EXT_texture_avif",
    "MSFT_texture_dds",
)  # fmt: skip
PICTURES = ("EXT_texture_webp", "EXT_texture_avif", "MSFT_texture_dds", "KHR_texture_basisu")


class _Look(NamedTuple):
    """The colour of a material, factor (3,) x texture, where it has one: glTF's textureInfo."""

    factor: list[float]
    texture: dict[str, Any] | None = None
    clear: bool = False


def read(data: bytes, beside: Beside) -> list[Part]:
    """A part for each triangle primitive of each node of the default scene that is not hidden, and for each
    of its instances. Base colour x COLOR_0 x texture; a material that has only emission shows that."""
    document = Document(data, beside)
    header = document.header
    readable = (
        *READABLE,
        *((DRACO,) if find_spec("DracoPy") else ()),
        *(MESHOPT if find_spec("meshopt") else ()),
    )
    unreadable = [name for name in header.get("extensionsRequired", []) if not name.startswith(readable)]
    if unreadable:
        named = ", ".join(unreadable)
        raise Fault(f"needs glTF extensions that cannot be read here: {named}{hints(unreadable)}")
    placed = [
        (n, node, places)
        for n, node, matrix in _nodes(header)
        for places in [_instances(document, node, matrix)]
    ]
    check_count(sum(len(places) * _triangle_count(header, node) for _, node, places in placed))
    shapes: dict[int, list[Part]] = {}
    looks = _Looks(document)
    parts = []
    for number, node, places in placed:
        mesh = item(header.get("meshes"), node["mesh"], "mesh")
        if node["mesh"] not in shapes:
            shapes[node["mesh"]] = [
                part
                for primitive in mesh["primitives"]
                if (part := _part(document, primitive, looks)) is not None
            ]
        name = str(node.get("name") or mesh.get("name") or f"node_{number}")
        for matrix in places:
            mirror = -1 if np.linalg.det(matrix[:3, :3]) < 0 else 1  # a mirror turns triangles inside out
            for part in shapes[node["mesh"]]:
                vertices = part.vertices @ matrix[:3, :3].T + matrix[:3, 3]
                faces = part.faces[:, ::mirror]
                parts.append(replace(part, vertices=vertices, faces=faces, name=name, node=number))
    return parts


def _nodes(header: dict[str, Any]) -> Iterator[tuple[int, dict[str, Any], np.ndarray]]:
    """Number, node and matrix (4, 4) of all nodes with a mesh that show, in the order of their numbers."""
    nodes = header.get("nodes", [])
    children = {child for node in nodes for child in node.get("children", [])}
    if header.get("scenes"):
        roots = item(header["scenes"], header.get("scene", 0), "scene").get("nodes", [])
    else:
        roots = range(len(nodes))
    waiting = [(n, np.eye(4)) for n in dict.fromkeys(roots) if n not in children]
    seen: dict[int, np.ndarray] = {}
    while waiting:
        number, above = waiting.pop()
        node = item(nodes, number, "node")
        if number in seen:
            raise Fault(f"malformed: node {number} has two parents")
        if node.get("extensions", {}).get("KHR_node_visibility", {}).get("visible", True):
            seen[number] = above @ _matrix(node)
            waiting += [(child, seen[number]) for child in node.get("children", [])]
    for number in sorted(seen):
        if "mesh" in nodes[number]:
            yield number, nodes[number], seen[number]


def _matrix(node: dict[str, Any]) -> np.ndarray:
    """(4, 4) of a node to its parent."""
    if "matrix" in node:
        return np.array(node["matrix"], np.float64).reshape(4, 4).T
    moved, turned, large = (node.get(key, rest) for key, rest in (
        ("translation", [0, 0, 0]), ("rotation", [0, 0, 0, 1]), ("scale", [1, 1, 1])
    ))  # fmt: skip
    return _composed(*(np.array([row], np.float64) for row in (moved, turned, large)))[0]


def _composed(moved: np.ndarray, turned: np.ndarray, large: np.ndarray) -> np.ndarray:
    """(n, 4, 4) of translations (n, 3), quaternions (n, 4) as x, y, z, w, and scales (n, 3)."""
    x, y, z, w = (turned / np.maximum(np.linalg.norm(turned, axis=1, keepdims=True), 1e-30)).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    matrices = np.tile(np.eye(4), (len(moved), 1, 1))
    matrices[:, :3, :3] = np.array(rows).transpose(2, 0, 1) * large[:, None]
    matrices[:, :3, 3] = moved
    return matrices


def _instances(document: Document, node: dict[str, Any], matrix: np.ndarray) -> np.ndarray:
    """(n, 4, 4): where a node's mesh stands; once, unless EXT_mesh_gpu_instancing has it more often."""
    attributes = node.get("extensions", {}).get("EXT_mesh_gpu_instancing", {}).get("attributes", {})
    given = {name: document.accessor(n) for name, n in attributes.items() if not name.startswith("_")}
    if not given:
        return matrix[None]
    count = len(next(iter(given.values())))
    rests = {"TRANSLATION": [0, 0, 0], "ROTATION": [0, 0, 0, 1], "SCALE": [1, 1, 1]}
    return matrix @ _composed(
        *(given.get(k, np.tile(np.array(r, np.float64), (count, 1))) for k, r in rests.items())
    )


def _triangle_count(header: dict[str, Any], node: dict[str, Any]) -> int:
    """How many triangles a node's mesh announces."""
    total = 0
    for primitive in item(header.get("meshes"), node["mesh"], "mesh")["primitives"]:
        corners = primitive.get("indices", primitive["attributes"].get("POSITION"))
        if corners is not None and primitive.get("mode", 4) >= 4:
            count = item(header.get("accessors"), corners, "accessor")["count"]
            total += count // 3 if primitive.get("mode", 4) == 4 else max(count - 2, 0)
    return total


def _part(document: Document, primitive: dict[str, Any], looks: _Looks) -> Part | None:
    """A primitive in its own place; None for points, lines, and what has no positions."""
    attributes, mode = primitive["attributes"], primitive.get("mode", 4)
    if "POSITION" not in attributes or mode < 4:
        return None
    packed = primitive.get("extensions", {}).get(DRACO) if find_spec("DracoPy") else None
    unpacked = {} if packed is None else _unpacked(document, packed)

    def numbers(name: str) -> np.ndarray | None:
        if name in unpacked:
            accessor = item(document.header.get("accessors"), attributes[name], "accessor")
            return scaled(unpacked[name], accessor)
        return document.accessor(attributes[name]) if name in attributes else None

    vertices = np.asarray(numbers("POSITION"), np.float64)
    if "" in unpacked:
        indices = unpacked[""].reshape(-1)
    elif "indices" in primitive:
        indices = document.accessor(primitive["indices"])[:, 0]
    else:
        indices = np.arange(len(vertices))
    indices = indices_of(indices, len(vertices))
    if mode == 4 or "" in unpacked:
        faces = indices[: len(indices) // 3 * 3].reshape(-1, 3)
    elif mode == 5:
        faces = strips(indices)
    else:
        faces = np.stack(
            [indices[1:-1], indices[2:], np.repeat(indices[:1], max(len(indices) - 2, 0))], axis=1
        )
    if vertices.shape[1:] != (3,) or not len(faces):
        return None
    painted = numbers("COLOR_0")
    look = looks.of(primitive, painted is not None)
    white = np.full((len(vertices), 3), 255, np.uint8)
    tint = (white if painted is None else _painted(painted)) * np.clip(look.factor, 0, 1)
    plain = Part(vertices, faces, tint.round().astype(np.uint8), clear=look.clear)
    if look.texture is None:
        return plain
    moved = look.texture.get("extensions", {}).get("KHR_texture_transform", {})
    coordinates = numbers(f"TEXCOORD_{moved.get('texCoord', look.texture.get('texCoord', 0))}")
    image, modes = looks.texture(look.texture["index"])
    if coordinates is not None and coordinates.dtype.kind != "f" and not looks.quantised:
        raise Fault("texture coordinates that are not floats, nor normalised, need KHR_mesh_quantization")
    if image is not None and coordinates is None:
        document.beside.warn(
            f"texture {look.texture['index']} has no texture coordinates; its surface is grey"
        )
    if image is None or coordinates is None:
        plain.colors[:] = GREY
        return plain
    used = np.unique(faces)
    uv = np.zeros((len(vertices), 2))
    uv[used] = _transformed(coordinates[used], moved)
    if not np.isfinite(uv).all():
        document.beside.warn("texture coordinates that are NaN or infinite are taken as 0")
        uv = np.where(np.isfinite(uv), uv, 0.0)
    plain.texture, plain.uv = repeating(
        image, np.stack([uv[:, 0], 1 - uv[:, 1]], axis=1), modes, document.beside
    )
    return plain


def _painted(colors: np.ndarray) -> np.ndarray:
    """(n, 3) uint8 of COLOR_0, which ends at 1; but some write it whole, up to 255."""
    return bytes_of(colors if (colors == colors.round()).all() else colors.clip(0, 1))


def _unpacked(document: Document, packed: dict[str, Any]) -> dict[str, np.ndarray]:
    """The attributes of a Draco-compressed primitive by name, and "" its indices."""
    import DracoPy

    mesh = DracoPy.decode(document.view(packed["bufferView"])[0])
    numbers = {a["unique_id"]: np.asarray(a["data"]).reshape(len(a["data"]), -1) for a in mesh.attributes}
    found = {name: numbers[number] for name, number in packed["attributes"].items() if number in numbers}
    return found | {"": np.asarray(mesh.faces, np.int64)}


def _transformed(uv: np.ndarray, moved: dict[str, Any]) -> np.ndarray:
    """KHR_texture_transform: scale, turn, offset."""
    angle = moved.get("rotation", 0.0)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return uv * moved.get("scale", [1, 1]) @ turn.T + moved.get("offset", [0, 0])


def _is_clear(material: dict[str, Any], base: dict[str, Any]) -> bool:
    """Whether most light goes through a material: by its transmission or its own alpha, not its texture's."""
    passed = material.get("extensions", {}).get("KHR_materials_transmission", {}).get("transmissionFactor", 0)
    factor = base.get("baseColorFactor", base.get("diffuseFactor", []))
    alpha = factor[3] if material.get("alphaMode") == "BLEND" and len(factor) == 4 else 1.0
    return bool(passed > 0.5 or alpha < 0.5)


class _Looks:
    """A document's materials and textures, each decoded once."""

    def __init__(self, document: Document):
        self.document = document
        self.images: dict[int | None, np.ndarray | None] = {}
        self.quantised = "KHR_mesh_quantization" in document.header.get("extensionsUsed", [])

    def of(self, primitive: dict[str, Any], painted: bool) -> _Look:
        if "material" not in primitive:
            return _Look([1.0] * 3 if painted else [c / 255 for c in GREY])
        material = item(self.document.header.get("materials"), primitive["material"], "material")
        base = material.get("pbrMetallicRoughness", {})
        factor, texture = base.get("baseColorFactor"), base.get("baseColorTexture")
        if (gloss := material.get("extensions", {}).get("KHR_materials_pbrSpecularGlossiness")) is not None:
            factor, texture = gloss.get("diffuseFactor", [1.0] * 3), gloss.get("diffuseTexture")
            if not any(factor[:3]):  # a metal, which has its colour in its reflection
                factor, texture = (
                    gloss.get("specularFactor", [1.0] * 3),
                    gloss.get("specularGlossinessTexture"),
                )
        glow = material.get("emissiveFactor", [0.0] * 3)
        if any(glow) and (texture is None if factor is None else not any(factor[:3])):
            factor, texture = glow, material.get("emissiveTexture")
        clear = _is_clear(material, base if gloss is None else gloss)
        return _Look(([1.0] * 3 if factor is None else factor)[:3], texture, clear)

    def texture(self, number: int) -> tuple[np.ndarray | None, tuple[int, int]]:
        """The picture of a texture, and how it goes on in u and v."""
        header, beside = self.document.header, self.document.beside
        texture = item(header.get("textures"), number, "texture")
        sampler = item(header.get("samplers"), texture["sampler"], "sampler") if "sampler" in texture else {}
        modes = sampler.get("wrapS", REPEAT), sampler.get("wrapT", REPEAT)
        others = [texture.get("extensions", {}).get(name, {}).get("source") for name in PICTURES]
        source = next((s for s in [texture.get("source"), *others] if s is not None), None)
        if source not in self.images:
            self.images[source] = texture_of(beside, f"number {number}", lambda: self._file(source))
        return self.images[source], modes

    def _file(self, source: int | None) -> bytes:
        """An image as it is in its file; Missing where it is not."""
        image: dict[str, Any] = {}
        try:
            image = item(self.document.header.get("images"), source, "image")
            if "bufferView" in image:
                return self.document.view(image["bufferView"])[0]
            return self.document.bytes_at(image["uri"])
        except (Fault, Missing, ValueError, KeyError) as error:
            raise Missing(f"{str(image.get('uri', 'its image'))[:80]}: {error}") from None
