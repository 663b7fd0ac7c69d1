"""What the compact backbone is trained and judged on: sets of views of objects and of rooms, with sensor
noise, and with inputs left out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from agents.backbone.backgrounds import KINDS, SHARES, Backdrops
from agents.nbv.surface_gains import REGION, SurfaceGains, visible
from spatial_envs.backbones.backbone import INPUTS
from spatial_envs.backbones.compact import Inputs, as_inputs
from spatial_envs.geometry.camera import (
    facing_origin,
    inverse_pose,
    pinhole,
    turn_about_y,
)
from spatial_envs.geometry.mesh import Mesh
from spatial_envs.geometry.view import View, stack_views
from spatial_envs.nbv.task import CANDIDATES
from spatial_envs.procedural.objects.paint import waves

if TYPE_CHECKING:
    from agents.backbone.library import Library

MAX_VIEWS = 5


@dataclass(frozen=True)
class Noise:
    """A sensor's faults. depth: relative, standard deviation by pixel; holes: share of pixels without depth;
    angle (degrees) and shift (share of the camera's distance from the set's first camera's target): standard
    deviations of the poses of all views but the first, whose pose defines the frame."""

    depth: float = 0.0
    holes: float = 0.0
    angle: float = 0.0
    shift: float = 0.0


NOISY = Noise(depth=0.01, holes=0.10, angle=1.0, shift=0.01)


@dataclass(frozen=True, eq=False)
class Sample:
    """A set of views: what was measured, the truth, and which inputs are given, (N,) bool each.

    gains (64,) float32: log-Chamfer gain of each candidate of the gravity frame, or NaN where the set has
    no such frame.
    """

    measured: View
    truth: View
    has_intrinsics: np.ndarray
    has_depth: np.ndarray
    has_pose: np.ndarray
    gains: np.ndarray


def room(rng: np.random.Generator, objects: Sequence[Mesh]) -> tuple[Mesh, np.ndarray]:
    """A box room with the objects on its floor, Y up, and its extent (3,), metres; the floor at y = 0."""
    extent = np.array([rng.uniform(3, 6), rng.uniform(2.3, 3.2), rng.uniform(3, 6)])
    parts = [_walls(rng, extent)]
    for mesh in objects:
        size = rng.uniform(0.4, 1.4)
        vertices = mesh.vertices * size @ turn_about_y(rng.uniform(0, 2 * math.pi))[:3, :3].T
        low, high = vertices.min(axis=0), vertices.max(axis=0)
        place = rng.uniform(0, 1, 3) * np.maximum(extent - (high - low), 0) - low
        place[1] = 0.001 - low[1]
        parts.append(replace(mesh, vertices=(vertices + place).astype(np.float32)))
    return merged(parts), extent


def _walls(rng: np.random.Generator, extent: np.ndarray) -> Mesh:
    vertices: list[np.ndarray] = []
    faces: list[np.ndarray] = []
    colors: list[np.ndarray] = []
    steps = np.linspace(0, 1, 17)
    a, b = (grid.ravel() for grid in np.meshgrid(steps, steps, indexing="ij"))
    cells = np.arange(17 * 17).reshape(17, 17)
    quads = np.stack([cells[:-1, :-1], cells[1:, :-1], cells[1:, 1:], cells[:-1, 1:]], axis=-1).reshape(-1, 4)
    for axis in range(3):
        for side in (0.0, 1.0):
            plane = np.zeros((len(a), 3))
            plane[:, axis], plane[:, (axis + 1) % 3], plane[:, (axis + 2) % 3] = side, a, b
            share = 0.5 + 0.5 * np.clip(waves(rng, plane * extent, rng.uniform(0.5, 4)), -1, 1)
            two = rng.uniform(60, 250, (2, 3))
            faces.append(np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]) + len(a) * len(faces))
            vertices.append(plane * extent)
            colors.append(two[0] + share[:, None] * (two[1] - two[0]))
    return Mesh(
        np.concatenate(vertices).astype(np.float32),
        np.concatenate(faces).astype(np.int32),
        np.concatenate(colors).astype(np.uint8),
    )


def merged(meshes: Sequence[Mesh]) -> Mesh:
    """One mesh of all; object ids from 1 in their order."""
    starts = np.cumsum([0, *[len(mesh.vertices) for mesh in meshes]])
    shelves = np.cumsum([0, *[len(mesh.textures) for mesh in meshes]])
    plain = [np.full(len(mesh.faces), -1, np.int32) for mesh in meshes]
    lookups = [p if m.face_texture is None else m.face_texture for m, p in zip(meshes, plain, strict=True)]
    faces = [mesh.faces + start for mesh, start in zip(meshes, starts, strict=False)]
    uv = [np.zeros((len(m.vertices), 2), np.float32) if m.uv is None else m.uv for m in meshes]
    face_texture = [np.where(t >= 0, t + s, -1) for t, s in zip(lookups, shelves, strict=False)]
    return Mesh(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate(faces).astype(np.int32),
        np.concatenate([mesh.colors for mesh in meshes]),
        np.concatenate(uv),
        tuple(texture for mesh in meshes for texture in mesh.textures),
        np.concatenate(face_texture).astype(np.int32),
        np.concatenate([np.full(len(mesh.faces), k + 1, np.int32) for k, mesh in enumerate(meshes)]),
    )


def object_poses(rng: np.random.Generator, count: int) -> tuple[np.ndarray, float]:
    """(count, 4, 4) cam_to_world round an object, and the field of view, degrees: of next-best-view's region
    and centred, or nearer or farther and looking aside."""
    if rng.random() < 0.6:
        return np.stack([random_camera(rng) for _ in range(count)]), 50.0
    poses = [random_camera(rng, (1.0, 2.4)) for _ in range(count)]
    turns = [rotation_about(rng.normal(size=3), rng.normal(0, 6)) for _ in range(count)]
    return np.stack([pose @ turn for pose, turn in zip(poses, turns, strict=True)]), rng.uniform(35, 65)


def prefix_gains(thing: SurfaceGains, poses: np.ndarray, fov: float, azimuth: float) -> np.ndarray:
    """(n, 64) float32: log gain of each candidate after the first, the first two, ... of the poses (n, 4, 4),
    in the frame whose azimuth 0 is ``azimuth``, radians."""
    intrinsics = pinhole(fov, (64, 64))
    seen = np.zeros(len(thing.points), np.bool_)
    rows = []
    for pose in poses:
        seen |= visible(thing.points, thing.normals, thing.mesh, pose, intrinsics, 64)
        rows.append(thing.gains(seen, azimuth))
    return np.stack(rows)


def room_poses(
    rng: np.random.Generator, count: int, extent: np.ndarray
) -> tuple[np.ndarray, float, np.ndarray]:
    """(count, 4, 4) cam_to_world within a room, the field of view, degrees, and the place (3,) that they all
    look at, more or less."""
    target = rng.uniform(0.3, 0.7, 3) * extent
    poses = []
    for _ in range(count):
        centre = rng.uniform(0.08, 0.92, 3) * extent
        aim = target + rng.normal(0, 0.4, 3) - centre
        pose = facing_origin(-aim if np.linalg.norm(aim) > 0.1 else np.array([0, 0, 1.0]))
        pose[:3, 3] = centre
        poses.append(pose)
    return np.stack(poses), rng.uniform(50, 90), target


def random_camera(rng: np.random.Generator, radius: tuple[float, float] = REGION.radius) -> np.ndarray:
    """(4, 4) cam_to_world: looks at the origin from a direction uniform within the elevations allowed, at a
    radius uniform in ``radius``, metres."""
    while True:
        heading = rng.normal(size=3)
        heading /= np.linalg.norm(heading)
        if abs(heading[1]) < math.sin(math.radians(REGION.max_elevation)):
            return facing_origin(heading * rng.uniform(*radius))


def resized(views: View, factor: float) -> View:
    """The views of the same scene, ``factor`` times as large."""
    poses = views.cam_to_world.copy()
    poses[..., :3, 3] *= factor
    return replace(views, depth=(views.depth * factor).astype(np.float32), cam_to_world=poses)


def rotation_about(axis: np.ndarray, degrees: float) -> np.ndarray:
    """(4, 4): Rodrigues' rotation about ``axis`` (3,)."""
    x, y, z = axis / np.linalg.norm(axis)
    k = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = math.radians(degrees)
    out = np.eye(4)
    out[:3, :3] += math.sin(angle) * k + (1 - math.cos(angle)) * k @ k
    return out


class Sampler:
    """An endless supply of samples from a library: before every kind of background, with sensor noise, of
    other sizes and in other frames, with and without depth."""

    def __init__(self, library: Library, rng: np.random.Generator) -> None:
        self.library, self.rng = library, rng
        self.backdrops = Backdrops(rng)

    def sample(self, count: int) -> Sample:
        """A set of ``count`` views, with random inputs and noise."""
        rng = self.rng
        index = int(rng.integers(len(self.library)))
        views, gains = self.library.views(index), self.library.gains(index, count)
        of_room = bool(np.isnan(gains).any())
        views, gains = self._chosen(views, gains, count, of_room)
        if not of_room:
            views = self.backdrops.put(views, str(rng.choice(KINDS, p=SHARES)))
        views = self._recoloured(views)
        if of_room or rng.random() < 0.5:
            views = resized(views, float(np.exp(rng.uniform(-0.7, 0.7))))
        u = rng.uniform(0, 2, 4) if rng.random() < 0.35 else np.zeros(4)
        noise = Noise(0.01 * u[0], 0.1 * u[1], 1.0 * u[2], 0.01 * u[3])
        every = np.ones(count, np.bool_)
        return given(views, gains, every, self._with_depth(count), every, noise, rng)

    def _chosen(self, views: View, gains: np.ndarray, count: int, of_room: bool) -> tuple[View, np.ndarray]:
        """Some of the views: the first, in their frame, or any, in another."""
        rng, unknown = self.rng, np.full(CANDIDATES, np.nan, np.float32)
        if of_room:
            views = views[rng.permutation(MAX_VIEWS)[:count]]
            if count > 1 and rng.random() < 0.5:  # one view at the origin would have no scale
                return views.moved(inverse_pose(views.cam_to_world[0].astype(np.float64))), unknown
            return views.moved(turn_about_y(rng.uniform(0, 2 * math.pi))), unknown
        if rng.random() < 0.6:
            return views[:count], gains
        views = views[rng.permutation(MAX_VIEWS)[:count]]
        u = rng.random()
        if u < 0.6:  # the gravity frame of what is now the first
            x, _, z = views.cam_to_world[0, :3, 3]
            return views.moved(turn_about_y(-math.atan2(x, z))), unknown
        if count > 1 and u < 0.8:
            return views.moved(inverse_pose(views.cam_to_world[0].astype(np.float64))), unknown
        to = turn_about_y(rng.uniform(0, 2 * math.pi))
        to[:3, 3] = rng.normal(0, 0.5, 3)
        return views.moved(to), unknown

    def _recoloured(self, views: View) -> View:
        """Other colours for the whole set, and now and then other exposures."""
        rng = self.rng
        rgb = views.rgb.astype(np.float32) / 255
        if rng.random() < 0.5:
            rgb = rgb[..., rng.permutation(3)] ** float(np.exp(rng.normal(0, 0.3)))
            rgb *= rng.uniform(0.75, 1.2, 3).astype(np.float32)
        if rng.random() < 0.3:  # the darker part of the object darker still, or all of it
            dark = rgb.mean(axis=-1, keepdims=True) < rng.uniform(0.1, 0.9)
            dimmed = np.maximum(rgb * rng.uniform(0.02, 0.4), 1 / 255)
            rgb = np.where(dark & (views.depth > 0)[..., None], dimmed, rgb)
        if rng.random() < 0.3:
            rgb *= rng.uniform(0.88, 1.12, (len(rgb), 1, 1, 1)).astype(np.float32)
        if rng.random() < 0.2:
            rgb += rng.uniform(0, 0.03) * rng.standard_normal(rgb.shape, np.float32)
        return replace(views, rgb=np.clip(np.rint(255 * rgb), 0, 255).astype(np.uint8))

    def _with_depth(self, count: int) -> np.ndarray:
        """(count,) bool: none of the views, all of them, or some."""
        u = self.rng.random()
        if u < 0.1:
            return self.rng.random(count) < self.rng.random()
        return np.full(count, u > 0.76)


def given(
    truth: View, gains: np.ndarray, intrinsics: np.ndarray, depth: np.ndarray, pose: np.ndarray,
    noise: Noise, rng: np.random.Generator,
) -> Sample:  # fmt: skip
    """The sample of views (N,) with these inputs and this noise."""
    metres = truth.depth * (1 + noise.depth * rng.standard_normal(truth.depth.shape, np.float32))
    metres = np.where(rng.random(truth.depth.shape, np.float32) < noise.holes, 0, metres)
    poses = truth.cam_to_world.astype(np.float64)
    for k in range(1, len(poses)):
        hit = truth.depth[k] > 0
        distance = float(truth.depth[k][hit].mean()) if hit.any() else 1.0
        aside = rng.normal(size=3)
        shift = aside / np.linalg.norm(aside) * rng.normal() * noise.shift * distance
        poses[k] = poses[k] @ rotation_about(rng.normal(size=3), rng.normal(0, 1) * noise.angle)
        poses[k, :3, 3] += shift
    measured = replace(truth, depth=metres.astype(np.float32), cam_to_world=poses.astype(np.float32))
    return Sample(measured, truth, intrinsics, depth, pose, gains)


def collate(samples: Sequence[Sample]) -> tuple[Inputs, Inputs, torch.Tensor]:
    """Measured and true twins (B, N) and gains (B, 64) of samples with as many views each."""
    flags = {name: np.stack([getattr(s, f"has_{name}") for s in samples]) for name in INPUTS}
    every = np.ones_like(flags["pose"])
    measured, truth = (
        as_inputs(stack_views([getattr(s, which) for s in samples]), every, flags, torch.zeros(()))
        for which in ("measured", "truth")
    )
    return measured, truth, torch.from_numpy(np.stack([sample.gains for sample in samples]))
