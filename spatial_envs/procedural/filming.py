"""Moving bodies as a camera films them: their meshes, the ground, and the camera's way. Metres, seconds, Y
up, the ground at y = 0."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np
import trimesh
from scipy.spatial.transform import Rotation

from spatial_envs.geometry.bodies import BOX, CAPSULE, CYLINDER
from spatial_envs.geometry.camera import facing_origin, pinhole
from spatial_envs.geometry.mesh import Mesh
from spatial_envs.geometry.sampling import surface_samples

FIELD_OF_VIEW = 50.0  # degrees, across the picture's shorter side
CAMERA_MOTIONS = ("still", "orbit", "dolly", "hand-held")
ORBIT = (5.0, 20.0)  # degrees a second
DOLLY = 0.25  # share of the distance, a second, at most
SWAY, TREMOR = 0.04, 1.5  # metres and degrees, amplitudes of a hand
SWAYS = (0.4, 1.2)  # times a second
GROUND = 40.0  # metres from its middle to its border
SURFACE_POINTS = 1000  # for each body


def body_mesh(kind: int, extents: np.ndarray, color: np.ndarray) -> Mesh:
    """A body's mesh in its own frame, of half extents (3,), metres, and one colour (3,) uint8."""
    radius = float(extents[0])
    if kind == BOX:
        made = trimesh.creation.box(extents=2 * extents)
    elif kind == CYLINDER:
        made = trimesh.creation.cylinder(radius=radius, height=2 * float(extents[2]), sections=24)
    elif kind == CAPSULE:
        tube = 2 * max(float(extents[2]) - radius, 0.0)
        made = trimesh.creation.capsule(height=tube, radius=radius, count=[16, 16])
    else:
        made = trimesh.creation.icosphere(subdivisions=2)
        made.apply_scale(extents)
    vertices = np.asarray(made.vertices, np.float32)
    return Mesh(vertices, np.asarray(made.faces, np.int32), np.tile(color, (len(vertices), 1)))


@dataclass(frozen=True, eq=False)
class Set:
    """What stands before the camera: bodies, each a mesh in its own frame with points of its surface,
    (1000, 3), and the middle of the ground (3,)."""

    meshes: tuple[Mesh, ...]
    surfaces: tuple[np.ndarray, ...]
    middle: np.ndarray

    def at(self, centres: np.ndarray, rotations: np.ndarray) -> Mesh:
        """One mesh of all bodies, ids from 1, and of the ground, id 0, with the bodies at centres (K, 3) and
        turned by (K, 3, 3), body to world."""
        corners = GROUND * np.array([[-1, 0, -1], [-1, 0, 1], [1, 0, 1], [1, 0, -1]]) + self.middle
        vertices = [m.vertices @ r.T + c for m, r, c in zip(self.meshes, rotations, centres, strict=True)]
        vertices.append(corners)
        faces = [mesh.faces for mesh in self.meshes] + [np.array([[0, 1, 2], [0, 2, 3]], np.int32)]
        starts = np.cumsum([0, *[len(each) for each in vertices[:-1]]])
        ids = [*range(1, len(self.meshes) + 1), 0]
        return Mesh(
            np.concatenate(vertices).astype(np.float32),
            np.concatenate([own + start for own, start in zip(faces, starts, strict=True)]).astype(np.int32),
            np.concatenate([*[mesh.colors for mesh in self.meshes], np.full((4, 3), 150, np.uint8)]),
            segment=np.repeat(ids, [len(each) for each in faces]).astype(np.int32),
        )


def film_set(rng: np.random.Generator, kind: np.ndarray, extents: np.ndarray, middle: np.ndarray) -> Set:
    """The set of bodies of kinds (K,) and half extents (K, 3), in colours that are drawn."""
    meshes, surfaces = [], []
    for own, half in zip(kind.tolist(), extents, strict=True):
        color = np.array(colorsys.hsv_to_rgb(rng.uniform(), 0.55, 0.85))
        meshes.append(body_mesh(own, half, (255 * color).astype(np.uint8)))
        surfaces.append(surface_samples(meshes[-1], SURFACE_POINTS, rng)[0])
    return Set(tuple(meshes), tuple(surfaces), middle * np.array([1, 0, 1]))


def camera_way(
    rng: np.random.Generator,
    motion: str,
    low: np.ndarray,
    high: np.ndarray,
    times: np.ndarray,
    farther: float = 1.0,
) -> np.ndarray:
    """(T, 4, 4) camera to world, OpenCV axes: at times (T,), seconds, of a camera that looks at the box from
    low to high (3,), metres, which about fills its picture, and moves in one of ``CAMERA_MOTIONS``; so many
    times ``farther`` away."""
    middle, radius = (low + high) / 2, float(np.linalg.norm(high - low) / 2)
    distance = max(radius / np.sin(np.radians(FIELD_OF_VIEW / 2)) * rng.uniform(0.6, 0.85), radius + 0.5)
    azimuth, elevation = rng.uniform(0, 2 * np.pi), np.radians(rng.uniform(15, 45))
    turning = np.radians(rng.uniform(*ORBIT)) * rng.choice([-1, 1]) if motion == "orbit" else 0.0
    nearing = rng.uniform(-DOLLY, DOLLY) if motion == "dolly" else 0.0
    since = times - times.mean()
    away = farther * distance * np.exp(nearing * since)
    around = azimuth + turning * since
    across = away * np.cos(elevation)
    places = np.stack([across * np.sin(around), away * np.sin(elevation), across * np.cos(around)], axis=-1)
    poses = facing_origin(places)
    poses[..., :3, 3] += middle
    if motion == "hand-held":
        waves = _waves(rng, times)
        poses[..., :3, 3] += SWAY * waves[:, :3]
        shaken = Rotation.from_rotvec(np.radians(TREMOR) * waves[:, 3:]).as_matrix()
        poses[..., :3, :3] = poses[..., :3, :3] @ shaken
    return poses


def _waves(rng: np.random.Generator, times: np.ndarray) -> np.ndarray:
    """(T, 6): smooth, about 1 large."""
    rates, phases = 2 * np.pi * rng.uniform(*SWAYS, (3, 6)), rng.uniform(0, 2 * np.pi, (3, 6))
    return np.sin(rates * times[:, None, None] + phases).mean(axis=1) * np.sqrt(2)


def lens(image_size: tuple[int, int]) -> np.ndarray:
    """(3, 3) intrinsics of these cameras, pixels."""
    return pinhole(FIELD_OF_VIEW, image_size)
