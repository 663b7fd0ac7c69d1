"""Reading mesh files (.obj .ply .glb .gltf .stl .off) as one coloured Mesh, right or not at all."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from spatial_envs.foundation.arguments import user_path
from spatial_envs.foundation.errors import MeshError
from spatial_envs.geometry.mesh import Mesh
from spatial_envs.scenes.formats import gltf, obj, off, ply, stl
from spatial_envs.scenes.formats.beside import Beside, pointer_to
from spatial_envs.scenes.formats.parts import GREY as GREY
from spatial_envs.scenes.formats.parts import Fault, Part, check_count

READERS: dict[str, Callable[[bytes, Beside], list[Part]]] = {
    ".obj": obj.read,
    ".ply": ply.read,
    ".glb": gltf.read,
    ".gltf": gltf.read,
    ".stl": stl.read,
    ".off": off.read,
}
SUFFIXES = tuple(READERS)
MAX_COORDINATE = 1e9
FLAT = 1e-6  # smallest over largest extent of the bounding box
OFF_CENTRE = 1e4  # distance from the origin over extent, beyond which float32 vertices lose their shape
HEADS = {  # what else begins so, and what to do
    rb"\x1f\x8b": "a gzip archive; unpack it",
    rb"PK\x03\x04": "a zip archive; unpack it",
    rb"\s*<(!doctype|html)": "a web page, as a failed download leaves it; fetch the mesh again",
    rb"Kaydara FBX": "an FBX file; export OBJ or GLB",
    rb"\x89PNG|\xff\xd8\xff": "a picture",
    rb"ply[\r\n]": "a PLY file; call it .ply",
    rb"glTF": "a GLB file; call it .glb",
    rb"(ST)?C?N?OFF\s": "an OFF file; call it .off",
    rb"solid\s": "an STL file; call it .stl",
}


def read_mesh(path: str | Path, up: str = "y") -> Mesh:
    """The mesh in a file, in the file's own units and place, turned to Y up.

    All that shows is joined: a glTF's default scene, each mesh by its node's transform and in all of its
    instances, skins and morph targets in their rest pose, hidden nodes left out. Polygons become triangles,
    concave ones too. Texture, base colour and vertex or face colours are taken as they stand, in sRGB; alpha
    is dropped, so that glass shows, the Kd of an .obj counts only without a texture, and a material that only
    emits light has the colour of that light. Colours of .stl are not read. Triangles without area and
    vertices without a triangle are left out.

    path: one of SUFFIXES. What it names is looked for beside it, in whichever case, percent-encoded or not,
          and where GSO keeps it (``../materials/textures``); a texture that is missing or broken gives a
          warning that says why, and grey.
    up:   the file's up axis, "y" or "z"; "z" turns (x, y, z) into (x, z, -y).
    Raises MeshError, naming the file, the fault, and where there is one the remedy; ValueError for another
    ``up``.
    """
    return replace(read_named(path, up).mesh, segment=None)


class Named(NamedTuple):
    """A mesh with ``segment``, and the names of what is in its file: segment s is names[s - 1].

    clear  (F,) bool: faces that most light goes through, as glass: by a glTF material's transmission or,
           where it blends, its alpha below 0.5; by an .obj's d below 0.5 or Tr above. False of all where it
           would be true of all, as broken exporters have it.
    """

    mesh: Mesh
    names: tuple[str, ...]
    clear: np.ndarray


def read_named(path: str | Path, up: str = "y") -> Named:
    """``read_mesh`` with what its faces are.

    In glTF the names are of nodes with a mesh, and a node without a name has its mesh's; in .obj, materials.
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
    beside, data = Beside(path), b""
    try:
        data = path.read_bytes()
        if not data.strip():
            raise Fault("the file is empty")
        if (pointer := pointer_to(data)) is not None:
            raise Fault(pointer)
        found = _checked(_join(READERS[suffix](data, beside)))
    except Fault as fault:
        like = next(
            (f"; it begins like {what}" for head, what in HEADS.items() if re.match(head, data, re.I)), ""
        )
        raise MeshError(f"{path}: {fault}{like if str(fault).startswith('not ') else ''}") from None
    except ImportError:  # of what reads it; the file is not to blame
        raise
    except Exception as error:  # a malformed file trips readers up in more ways than they can name
        raise MeshError(f"{path}: not a readable {suffix} file ({type(error).__name__}: {error})") from error
    for warning in beside.warnings:
        warnings.warn(f"{path}: {warning}", stacklevel=2)
    if up == "z":
        x, y, z = found.mesh.vertices.T
        found = found._replace(mesh=replace(found.mesh, vertices=np.stack([x, z, -y], 1)))
    return found


def _join(parts: list[Part]) -> Named:
    """All parts as one mesh, float64, not yet checked for shape."""
    textures: list[np.ndarray] = []
    columns, vertex_count = [], 0
    names: dict[int, tuple[int, str]] = {}  # segment and name by node
    for part in parts:
        if not len(part.faces):
            continue
        used, faces = np.unique(part.faces, return_inverse=True)
        vertices = part.vertices[used]
        if not np.isfinite(vertices).all():
            raise Fault("vertices that are NaN, infinite or undefined")
        number, uv = -1, np.zeros((len(used), 2))
        if part.texture is not None and part.uv is not None:
            uv = part.uv[used]
            number = next((i for i, known in enumerate(textures) if known is part.texture), len(textures))
            textures += [part.texture][: number + 1 - len(textures)]
        segment, _ = names.setdefault(part.node, (len(names) + 1, part.name))
        textured, segments = (np.full(len(part.faces), n, np.int32) for n in (number, segment))
        faces = faces.reshape(-1, 3) + vertex_count
        clear = np.full(len(faces), part.clear)
        columns.append((vertices, faces, part.colors[used], uv, textured, segments, clear))
        vertex_count += len(used)
    if not columns:
        raise Fault("no triangles in it (a point cloud, lines, or not a mesh)")
    vertices, faces, colors, uv, numbers, segments, clear = (
        np.concatenate(c) for c in zip(*columns, strict=True)
    )
    mesh = Mesh(vertices, faces, colors, segment=segments)
    if textures:
        mesh = replace(mesh, uv=uv, textures=tuple(textures), face_texture=numbers)
    return Named(mesh, tuple(name for _, name in names.values()), clear)


def _checked(found: Named) -> Named:
    """The mesh in its final types, without degenerate triangles and unused vertices, or a Fault."""
    mesh = found.mesh
    check_count(len(mesh.faces))
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    largest, farthest = (high - low).max(), max(np.abs(low).max(), np.abs(high).max())
    if farthest > MAX_COORDINATE:
        raise Fault(f"coordinates up to {farthest:.3g}; at most {MAX_COORDINATE:.0g} are allowed")
    if (high - low).min() <= FLAT * largest:
        raise Fault(f"flat: its bounding box measures {' x '.join(f'{e:.3g}' for e in high - low)}")
    if farthest > OFF_CENTRE * largest:
        raise Fault(f"{farthest:.3g} from the origin but only {largest:.3g} large; move it to the origin")
    keep = mesh.areas > 1e-14 * largest**2
    if not keep.any():
        raise Fault("flat: none of its triangles has an area")
    used, faces = np.unique(mesh.faces[keep], return_inverse=True)
    final = Mesh(
        mesh.vertices[used].astype(np.float32),
        faces.reshape(-1, 3).astype(np.int32),
        np.ascontiguousarray(mesh.colors[used]),
        None if mesh.uv is None else mesh.uv[used].astype(np.float32),
        mesh.textures,
        None if mesh.face_texture is None else mesh.face_texture[keep],
        mesh.face_segments[keep],
    )
    clear = found.clear[keep]
    return Named(final, found.names, clear & (not clear.all()))
