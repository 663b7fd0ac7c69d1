"""A coloured triangle mesh: what scenes are made of, and all that a renderer needs to know about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from PIL import Image

from spatial_envs.foundation.compilation import njit
from spatial_envs.geometry.blocks import Blocks, in_blocks

CREASE = np.cos(np.radians(40.0))  # faces that meet at a larger angle keep their edge when shaded


@dataclass(frozen=True, eq=False)
class Mesh:
    """Triangles, metres, Y up; both sides of a triangle are visible.

    vertices      (V, 3) float32
    faces         (F, 3) int32
    colors        (V, 3) uint8, albedo per vertex (it multiplies the texture where there is one)
    uv            (V, 2) float32 or None: texture coordinates, origin at the lower left, repeating
    textures      tuple of (h, w, 3) uint8
    face_texture  (F,) int32: index into textures, -1 = colours alone; None = -1 everywhere
    segment       (F,) int32: object id from 1; None = 1 everywhere
    """

    vertices: np.ndarray
    faces: np.ndarray
    colors: np.ndarray
    uv: np.ndarray | None = None
    textures: tuple[np.ndarray, ...] = ()
    face_texture: np.ndarray | None = None
    segment: np.ndarray | None = None

    @cached_property
    def face_normals(self) -> np.ndarray:
        """(F, 3) float32, unit, by the right-hand rule; zero for a triangle without area."""
        cross = self._cross()
        return (cross / np.maximum(np.linalg.norm(cross, axis=1, keepdims=True), 1e-30)).astype(np.float32)

    @cached_property
    def areas(self) -> np.ndarray:
        """(F,) float64, square metres."""
        return 0.5 * np.linalg.norm(self._cross(), axis=1)

    def _cross(self) -> np.ndarray:
        return _cross(self.vertices, self.faces)

    @cached_property
    def corner_normals(self) -> np.ndarray:
        """(F, 3, 3) float32, unit: at every corner the area-weighted mean of the normals of those faces
        round the vertex (vertices at one place count as one) that lie within 40 degrees of the face."""
        bits = (self.vertices + np.float32(0)).view(np.int32)  # what is equal has equal bits then, -0 and 0
        return _smooth(*_places(bits, self.faces), self.face_normals, self.areas.astype(np.float32), CREASE)

    @cached_property
    def face_segments(self) -> np.ndarray:
        """(F,) int32: object id of every face."""
        if self.segment is not None:
            return self.segment
        return np.ones(len(self.faces), np.int32)

    @cached_property
    def texture_lookup(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The textures as flat arrays with mip maps, for compiled code.

        uv (V, 2) float32; face_texture (F,) int32; texel_density (F,) float32, texels per metre;
        levels (textures, levels, 3) int64: offset into texels, height, width (0 = no such level);
        texels (T, 3) uint8
        """
        faces = len(self.faces)
        uv = np.zeros((len(self.vertices), 2), np.float32) if self.uv is None else self.uv
        face_texture = np.full(faces, -1, np.int32) if self.face_texture is None else self.face_texture
        pyramids = [_mip_maps(texture) for texture in self.textures]
        levels = np.zeros((len(pyramids), max((len(p) for p in pyramids), default=1), 3), np.int64)
        offset = 0
        for t, pyramid in enumerate(pyramids):
            for level, image in enumerate(pyramid):
                levels[t, level] = offset, image.shape[0], image.shape[1]
                offset += image.shape[0] * image.shape[1]
        texels = np.concatenate(
            [np.zeros((0, 3), np.uint8), *[i.reshape(-1, 3) for p in pyramids for i in p]]
        )
        density = np.zeros(faces, np.float32)
        textured = face_texture >= 0
        if textured.any():
            (ax, ay), (bx, by), (cx, cy) = uv[self.faces[textured]].astype(np.float64).transpose(1, 2, 0)
            uv_area = 0.5 * np.abs((bx - ax) * (cy - ay) - (by - ay) * (cx - ax))
            texel_count = uv_area * levels[face_texture[textured], 0, 1:].prod(axis=1)
            density[textured] = np.sqrt(texel_count / np.maximum(self.areas[textured], 1e-20))
        return uv, face_texture, density, levels, texels

    @cached_property
    def blocks(self) -> Blocks:
        """The faces in blocks of neighbours, of which a renderer can leave out what does not show."""
        return in_blocks(self.vertices, self.faces)

    def only(self, faces: np.ndarray) -> Mesh:
        """The mesh of some faces, (F,) bool; it keeps all vertices."""
        texture = None if self.face_texture is None else self.face_texture[faces]
        segment = None if self.segment is None else self.segment[faces]
        return replace(self, faces=self.faces[faces], face_texture=texture, segment=segment)

    def normalised(self) -> Mesh:
        """The mesh with the centre of its bounding box at the origin and its farthest vertex at 0.5 m."""
        vertices = self.vertices.astype(np.float64)
        vertices = vertices - (vertices.min(axis=0) + vertices.max(axis=0)) / 2
        scale = 0.5 / np.linalg.norm(vertices, axis=1).max()
        return replace(self, vertices=(vertices * scale).astype(np.float32))

    def recoloured(self, colors: np.ndarray) -> Mesh:
        """The mesh with other colours (V, 3) uint8. No cached property depends on the colours: the new mesh
        shares them all, and none is computed twice."""
        other = replace(self, colors=colors)
        for name, value in vars(Mesh).items():
            if isinstance(value, cached_property):
                other.__dict__[name] = getattr(self, name)
        return other


def joined(meshes: Sequence[Mesh]) -> Mesh:
    """Several meshes as one, in their places, with all of their textures; segments stay as they are."""
    first = np.cumsum([0, *[len(mesh.vertices) for mesh in meshes]])
    textures: list[np.ndarray] = []
    numbers, uv = [], []
    for mesh in meshes:
        own = np.full(len(mesh.faces), -1, np.int32) if mesh.face_texture is None else mesh.face_texture
        places = []
        for texture in mesh.textures:  # of which parts of a mesh may share one
            known = next((k for k, other in enumerate(textures) if other is texture), len(textures))
            textures += [texture][: known + 1 - len(textures)]
            places.append(known)
        numbers.append(np.array([*places, -1], np.int32)[own])
        uv.append(np.zeros((len(mesh.vertices), 2), np.float32) if mesh.uv is None else mesh.uv)
    return Mesh(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate([mesh.faces + start for mesh, start in zip(meshes, first, strict=False)]).astype(
            np.int32
        ),
        np.concatenate([mesh.colors for mesh in meshes]),
        np.concatenate(uv) if textures else None,
        tuple(textures),
        np.concatenate(numbers) if textures else None,
        np.concatenate([mesh.face_segments for mesh in meshes]),
    )


def _mip_maps(texture: np.ndarray) -> list[np.ndarray]:
    """The image (h, w, 3) uint8 and its halvings, down to a side of 4 pixels."""
    pyramid = [np.ascontiguousarray(texture)]
    image = Image.fromarray(pyramid[0])
    while min(pyramid[-1].shape[:2]) >= 8:
        height, width = pyramid[-1].shape[:2]
        # from the image, not from the level before: rounding upwards would add up to a brighter picture
        pyramid.append(np.asarray(image.resize((width // 2, height // 2), Image.Resampling.BOX)))
    return pyramid


@njit
def _cross(vertices, faces):
    """(F, 3) float64: the cross products of two sides of every face."""
    out = np.empty((len(faces), 3))
    for face in range(len(faces)):
        p, q, r = faces[face, 0], faces[face, 1], faces[face, 2]
        # numba's float() leaves a float32 what it is
        ax, ay, az = np.float64(vertices[p, 0]), np.float64(vertices[p, 1]), np.float64(vertices[p, 2])
        bx, by, bz = vertices[q, 0] - ax, vertices[q, 1] - ay, vertices[q, 2] - az
        cx, cy, cz = vertices[r, 0] - ax, vertices[r, 1] - ay, vertices[r, 2] - az
        out[face, 0] = by * cz - bz * cy
        out[face, 1] = bz * cx - bx * cz
        out[face, 2] = bx * cy - by * cx
    return out


@njit
def _places(bits, faces):
    """The place of every corner (3 F,), numbered where vertices with equal ``bits`` (V, 3) are one place; and
    the corners by place, ascending: place p has order[starts[p]:starts[p + 1]]."""
    mask = 1
    while mask < 2 * len(bits):
        mask *= 2
    mask -= 1
    table = np.full(mask + 1, -1, np.int32)  # a hash table of vertices, the first at each place
    place = np.empty(len(bits), np.int32)
    count = 0
    for v in range(len(bits)):
        x, y, z = bits[v, 0], bits[v, 1], bits[v, 2]
        key = np.int64(x) * 73856093 ^ np.int64(y) * 19349663 ^ np.int64(z) * 83492791
        slot = (key ^ (key >> 15) ^ (key >> 31)) & mask
        while True:
            other = table[slot]
            if other < 0:
                table[slot] = v
                place[v] = count
                count += 1
                break
            if bits[other, 0] == x and bits[other, 1] == y and bits[other, 2] == z:
                place[v] = place[other]
                break
            slot = (slot + 1) & mask
    corner_place = np.empty(3 * len(faces), np.int32)
    starts = np.zeros(count + 2, np.int64)
    for corner in range(len(corner_place)):
        corner_place[corner] = place[faces[corner // 3, corner % 3]]
        starts[corner_place[corner] + 2] += 1
    for k in range(2, count + 2):
        starts[k] += starts[k - 1]
    order = np.empty(len(corner_place), np.int32)
    for corner in range(len(corner_place)):
        k = corner_place[corner] + 1
        order[starts[k]] = corner
        starts[k] += 1
    return corner_place, order, starts


@njit
def _smooth(corner_place, order, starts, face_normals, areas, crease):
    corners = corner_place.shape[0]
    out = np.zeros((corners // 3, 3, 3), np.float32)
    total = np.zeros(3, np.float32)
    for corner in range(corners):
        face = corner // 3
        x, y, z = face_normals[face, 0], face_normals[face, 1], face_normals[face, 2]
        for axis in range(3):
            total[axis] = 0.0
        place = corner_place[corner]
        for k in range(starts[place], starts[place + 1]):
            other = order[k] // 3
            if x * face_normals[other, 0] + y * face_normals[other, 1] + z * face_normals[other, 2] >= crease:
                for axis in range(3):
                    total[axis] += areas[other] * face_normals[other, axis]
        length = np.sqrt(total[0] ** 2 + total[1] ** 2 + total[2] ** 2)
        for axis in range(3):
            out[face, corner % 3, axis] = total[axis] / length if length > 0 else face_normals[face, axis]
    return out
