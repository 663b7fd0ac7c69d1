"""The fused surface of a capture, and the pieces that it is made of."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from scenes.capture import tsdf
from scenes.capture.depth import read_depth
from scenes.capture.gravity import STRIDE
from scenes.capture.pose_files import Camera, read_transforms
from scenes.capture.poses import FILE
from scenes.capture.stages import Gate, damaged
from spatial_envs.geometry.camera import measured_points
from spatial_envs.geometry.mesh import Mesh
from spatial_envs.rendering.builtin import BuiltinRenderer

CRUMB = 0.3  # metres: pieces that are smaller hang in the air
FLOOR, CEILING = 0.1, 0.2  # metres above the floor and below the highest that are of neither's pieces
WALL = 0.06  # metres from a wall's plane
PIECE = 0.15  # square metres: smaller pieces are not numbered
OUTWARDS = 0.7  # of the faces, that look at a camera that saw them
PIXELS = 900


def make(folder: Path, before: Mapping[str, Path], options: Mapping[str, Any]) -> list[Gate]:
    """The stage: fills ``folder`` with mesh.npz, metres, Y up, floor y = 0."""
    cameras = read_transforms(before["upright"] / FILE)
    scale = float(json.loads((before["upright"] / "upright.json").read_text(encoding="utf-8"))["depth_scale"])
    voxel = float(options["voxel"])
    points = (_points(before["depth"], camera, scale) for camera in cameras)
    low, high = tsdf.bounds(points, 3 * voxel)
    field = fused(cameras, before, scale, low, high, voxel)
    mesh = without_crumbs(field.surface())
    mesh = reduced(mesh, int(options["faces"]), field)
    save_mesh(folder / "mesh.npz", mesh)
    facing = facing_share(mesh, cameras)
    pieces = numbered(mesh)
    np.save(folder / "pieces.npy", pieces)
    _plan(folder / "pieces.png", mesh, pieces)
    views(folder / "views.jpg", mesh, cameras)
    area = float(mesh.areas.sum())
    return [
        Gate(
            "surface", area >= 5, f"{area:.0f} square metres, {len(mesh.faces):,} triangles", "at least 5",
            "Too little of the room was measured: film more of it, from 0.5 to 4 m away.", "views.jpg",
        ),
        Gate(
            "outwards", facing >= OUTWARDS, f"{facing:.0%} of the triangles look at a camera",
            f"at least {OUTWARDS:.0%}", "Depth and poses contradict each other.", "pieces.png",
        ),
    ]  # fmt: skip


def fused(
    cameras: Sequence[Camera],
    before: Mapping[str, Path],
    scale: float,
    low: np.ndarray,
    high: np.ndarray,
    voxel: float,
) -> tsdf.Field:
    """All depth maps, times ``scale``, with their pictures, in a box. CaptureError for too many voxels."""
    field = tsdf.Field(low, high, voxel)
    for camera in cameras:
        picture = Image.open(before["poses"] / "pictures" / camera.name)
        rgb = np.asarray(picture.resize(camera.size, Image.Resampling.BOX))
        field.add(scale * read_depth(before["depth"], camera.name), rgb, camera.matrix, camera.pose)
    return field


def save_mesh(path: Path, mesh: Mesh) -> None:
    """Vertices, faces, colours."""
    np.savez_compressed(path, vertices=mesh.vertices, faces=mesh.faces, colors=mesh.colors)


def load_mesh(path: Path) -> Mesh:
    """What ``save_mesh`` wrote; CaptureError where that cannot be read."""
    try:
        with np.load(path) as there:
            return Mesh(there["vertices"], there["faces"], there["colors"])
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise damaged(path, "surface", error) from None


def without_crumbs(mesh: Mesh) -> Mesh:
    """The mesh without the connected pieces that are smaller than 0.3 m."""
    piece = _connected(mesh.faces, len(mesh.vertices))
    low, high = np.full((piece.max() + 1, 3), np.inf), np.full((piece.max() + 1, 3), -np.inf)
    np.minimum.at(low, piece, mesh.vertices)
    np.maximum.at(high, piece, mesh.vertices)
    return compact(mesh, mesh.faces[((high - low).max(axis=1) >= CRUMB)[piece[mesh.faces[:, 0]]]])


def compact(mesh: Mesh, faces: np.ndarray) -> Mesh:
    """Some of the mesh's faces (F, 3), with the vertices that they use."""
    used, where = np.unique(faces, return_inverse=True)
    return Mesh(mesh.vertices[used], where.reshape(-1, 3).astype(np.int32), mesh.colors[used])


def reduced(mesh: Mesh, most: int, field: tsdf.Field) -> Mesh:
    """The mesh in at most so many triangles, with the colours of the field."""
    if len(mesh.faces) <= most:
        return mesh
    import fast_simplification

    vertices, faces = fast_simplification.simplify(mesh.vertices, mesh.faces, 1 - most / len(mesh.faces))
    return Mesh(
        vertices.astype(np.float32), faces.astype(np.int32), field.colors(vertices.astype(np.float64))
    )


def facing_share(mesh: Mesh, cameras: Sequence[Camera]) -> float:
    """The share of triangles whose front looks at the nearest camera that has them in its picture."""
    middles = mesh.vertices[mesh.faces].mean(axis=1, dtype=np.float64)
    nearest, cosine = np.full(len(middles), np.inf), np.zeros(len(middles))
    for camera in cameras:
        shown, z = camera.in_picture(middles)
        inside = shown & (z < nearest)
        towards = camera.pose[:3, 3] - middles[inside]
        nearest[inside] = z[inside]
        cosine[inside] = (mesh.face_normals[inside] * towards).sum(axis=1)
    known = np.isfinite(nearest)
    return float((cosine[known] > 0).mean()) if known.any() else 0.0


def numbered(mesh: Mesh) -> np.ndarray:
    """(F,) int32: the piece of furniture that each face belongs to, from 1, the largest first; 0 = floor,
    ceiling, walls, and what is too small."""
    middles, normals = mesh.vertices[mesh.faces].mean(axis=1), mesh.face_normals
    top = np.percentile(middles[:, 1], 99)
    left = (middles[:, 1] > FLOOR) & ~((middles[:, 1] > top - CEILING) & (normals[:, 1] < -0.5))
    for axis in (0, 2):
        facing = np.abs(normals[:, axis]) > 0.9
        edges = np.arange(middles[:, axis].min(), middles[:, axis].max() + WALL, WALL)
        high = facing & (middles[:, 1] > 0.6 * top)
        areas = np.histogram(middles[high, axis], edges, weights=mesh.areas[high])[0]
        for k in np.flatnonzero(areas > 0.15 * top * np.ptp(middles[:, 2 - axis])):
            plane = (edges[k] + edges[k + 1]) / 2
            left &= ~(np.abs(middles[:, axis] - plane) < 1.5 * WALL)
    chosen = np.flatnonzero(left)
    piece = np.zeros(len(mesh.faces), np.int32)
    if not len(chosen):
        return piece
    label = _connected(mesh.faces[chosen], len(mesh.vertices))[mesh.faces[chosen, 0]]
    areas = np.bincount(label, mesh.areas[chosen])
    for number, which in enumerate(np.argsort(-areas), 1):
        if areas[which] < PIECE:
            break
        piece[chosen[label == which]] = number
    return piece


def _connected(faces: np.ndarray, count: int) -> np.ndarray:
    """(V,): the number of the connected piece that each vertex is in."""
    ends = faces[:, [0, 1, 1, 2]].reshape(-1, 2)
    graph = coo_matrix((np.ones(len(ends), np.int8), ends.T), (count, count))
    return connected_components(graph, directed=False)[1]


def _points(folder: Path, camera: Camera, scale: float) -> np.ndarray:
    """(N, 3): some of what a camera's depth map measures, metres."""
    depth = np.ascontiguousarray(scale * read_depth(folder, camera.name)[::STRIDE, ::STRIDE])
    return measured_points(depth, camera.strided(STRIDE), camera.pose)


def _plan(path: Path, mesh: Mesh, pieces: np.ndarray) -> None:
    """From above, without what is higher than 2 m, with the pieces' numbers."""
    middles = mesh.vertices[mesh.faces].mean(axis=1)
    low, high = middles[:, [0, 2]].min(axis=0), middles[:, [0, 2]].max(axis=0)
    share = PIXELS / max(float((high - low).max()), 0.1)
    width, height = (int(n) + 1 for n in (high - low) * share)
    shown = np.flatnonzero(middles[:, 1] < 2.0)
    shown = shown[np.argsort(middles[shown, 1])]
    picture = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(picture)
    colors = mesh.colors[mesh.faces].mean(axis=1).astype(int)
    corners = (mesh.vertices[:, [0, 2]] - low) * share
    for face in shown:
        draw.polygon([tuple(corners[v]) for v in mesh.faces[face]], fill=tuple(colors[face].tolist()))
    for number in range(1, int(pieces.max(initial=0)) + 1):
        x, z = (middles[pieces == number][:, [0, 2]].mean(axis=0) - low) * share
        draw.rectangle([x - 9, z - 8, x + 9, z + 8], fill="white", outline="black")
        draw.text((x, z), str(number), fill="black", anchor="mm")
    picture.save(path)


def views(path: Path, mesh: Mesh, cameras: Sequence[Camera], count: int = 4) -> None:
    """Draw what some of the cameras would see of the mesh."""
    renderer, size = BuiltinRenderer(lit=False), (180, 240)
    rows = []
    for k in np.linspace(0, len(cameras) - 1, count).astype(int):
        camera = cameras[k]
        lens = camera.matrix * [[size[1] / camera.size[0]], [size[0] / camera.size[1]], [1]]
        rows.append(renderer.render(mesh, camera.pose, lens, size).rgb)
    Image.fromarray(np.concatenate(rows, axis=1)).save(path, quality=88)
