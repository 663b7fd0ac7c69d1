"""From pictures round an object to its mesh: what it stands on and what is behind it are cut away."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from scenes.capture.depth import read_depth, read_posed
from scenes.capture.gravity import LEVEL, surfels
from scenes.capture.pose_files import Camera, write_transforms
from scenes.capture.poses import FILE
from scenes.capture.stages import CaptureError, Gate
from scenes.capture.surface import OUTWARDS, compact, facing_share, fused, reduced, views
from scenes.capture.upright import LEAST_UP, placement, squared, upwards
from spatial_envs.foundation.errors import MeshError, SceneError
from spatial_envs.geometry.building import Building
from spatial_envs.geometry.mesh import Mesh
from spatial_envs.scenes.objects import open_objects
from spatial_envs.simulators.stage import write_glb

NAME = "object.glb"
AROUND = 0.5  # of the cameras' distance: the radius round the point they look at that is searched
ASTRAY = 0.3  # of that distance, by which a camera's axis may miss the point
COARSE = 100  # voxels along the diameter of what is searched
FINE = 140  # and along the longest side of the object
LAYER = 0.01  # of the cameras' distance: the layers in which a support is sought
ON = 0.03  # of it: what is nearer to the support belongs to that
SUPPORT = 0.05  # of all that was measured round the point: what a support has
GAP = 0.03  # of the cameras' distance: the cells by which parts of one thing hang together
LEAST = 0.1  # of the largest piece's area: a smaller piece is not the object
SECTORS = 12  # of the horizon
ROUND = 0.5  # of them that should have a camera


def make(folder: Path, before: Mapping[str, Path], options: Mapping[str, Any]) -> list[Gate]:
    """The stage: fills ``folder`` with object.glb, +Y up, what it stands on at y = 0 (or its lowest point),
    and transforms.json, the cameras in its frame; in metres, or where these are not known in the cameras'
    median distance."""
    given = read_posed(before["depth"])
    metric = bool(json.loads((before["depth"] / FILE).read_text(encoding="utf-8"))["metric"])
    point, missed = looked_at(given)
    distances = np.linalg.norm(np.stack([camera.pose[:3, 3] for camera in given]) - point, axis=1)
    unit = float(np.median(distances))
    aimed = float((missed < ASTRAY * distances).mean())
    seen = surfels((camera, read_depth(before["depth"], camera.name)) for camera in given)
    near = np.linalg.norm(seen.points - point, axis=1) < AROUND * unit
    if near.sum() < 1000:
        raise CaptureError(
            f"object: {near.sum()} points were measured within {AROUND:g} of the cameras' distance round the "
            "point that they look at; expected at least 1,000: keep the object in the middle of the picture"
        )
    up, facing_up, _ = upwards(before, seen, given)
    turn = squared(seen, up)
    level = seen.points[near & (seen.normals @ up > np.cos(np.radians(LEVEL)))] @ up
    height, share = support(level / unit, float(point @ up) / unit, near.sum())
    bottom = ON if share else -np.inf
    cameras = [replace(each, cam_to_world=placement(each, turn, height * unit, 1 / unit)) for each in given]
    middle = turn @ point / unit - [0, height, 0]
    field = fused(cameras, before, 1 / unit, middle - AROUND, middle + AROUND, 2 * AROUND / COARSE)
    piece = the_object(field.surface(), middle, bottom)
    low, high = piece.vertices.min(axis=0), piece.vertices.max(axis=0)
    beyond = float(np.abs(piece.vertices - middle)[:, [0, 2]].max()) > AROUND - 2 / COARSE
    margin = 0.05 * float((high - low).max())
    voxel = float((high - low).max()) / FINE
    field = fused(cameras, before, 1 / unit, low - margin, high + margin, voxel)
    mesh = reduced(the_object(field.surface(), middle, bottom), int(options["faces"]), field)
    facing, horizon = facing_share(mesh, cameras), round_about(cameras, middle)
    views(folder / "views.jpg", mesh, cameras)
    lowest = 0.0 if share else float(mesh.vertices[:, 1].min())
    scale = unit if metric else 1.0
    mesh = replace(mesh, vertices=((mesh.vertices - [0, lowest, 0]) * scale).astype(np.float32))
    cameras = [replace(each, cam_to_world=placement(each, np.eye(3), lowest, scale)) for each in cameras]
    write_glb(Building("object", mesh, {}), folder / NAME)
    write_transforms(folder / FILE, cameras, metric=metric)
    size = " x ".join(f"{side:.2f}" for side in np.ptp(mesh.vertices, axis=0)) + (" m" if metric else "")
    return [
        Gate(
            "looked at", aimed >= 0.7, f"{aimed:.0%} of the cameras look at one point",
            "at least 70%", "Walk round one object and keep it in the middle of the picture.",
        ),
        Gate(
            "all round", horizon >= ROUND, f"from {horizon:.0%} of the horizon", f"at least {ROUND:.0%}",
            "What no picture shows is missing: walk all the way round.", required=False,
        ),
        Gate(
            "gravity", facing_up >= LEAST_UP, f"{facing_up:.1%} of what was seen faces up",
            f"at least {LEAST_UP:.0%}", "It may lean: show what it stands on.", required=False,
        ),
        Gate(
            "whole", not beyond, "ends within what was searched" if not beyond else "goes on beyond it",
            f"at most {2 * AROUND:g} of the cameras' distance wide",
            "Step back, so that all of it is in the picture.", required=False,
        ),
        Gate(
            "support", bool(share), f"{share:.0%} of what was measured" if share else "none below it",
            "a table or the floor", "What it stands on was not found and is left in.", required=False,
        ),
        Gate(
            "outwards", facing >= OUTWARDS, f"{facing:.0%} of the triangles look at a camera",
            f"at least {OUTWARDS:.0%}", "Depth and poses contradict each other.", "views.jpg",
        ),
        _loads(folder / NAME, f"{len(mesh.faces):,} triangles, {size}"),
    ]  # fmt: skip


def looked_at(cameras: Sequence[Camera]) -> tuple[np.ndarray, np.ndarray]:
    """(3,): the point with the least squares of its distances to the cameras' axes; and those (N,), inf for
    what lies behind a camera. CaptureError where all axes are parallel."""
    axes = np.stack([camera.pose[:3, 2] for camera in cameras])
    centres = np.stack([camera.pose[:3, 3] for camera in cameras])
    across = np.eye(3) - axes[:, :, None] * axes[:, None]
    whole = across.sum(axis=0)
    if np.linalg.cond(whole) > 1e6:
        raise CaptureError(
            "object: all cameras look the same way; expected pictures from all round one object"
        )
    point = np.linalg.solve(whole, np.einsum("nij,nj->i", across, centres))
    missed = np.linalg.norm(np.einsum("nij,nj->ni", across, point - centres), axis=1)
    return point, np.where(((point - centres) * axes).sum(axis=1) > 0, missed, np.inf)


def support(heights: np.ndarray, eye: float, measured: int) -> tuple[float, float]:
    """The height of the level below ``eye``, of the heights (N,) of what faces up, that has most; and its
    share of all that was measured, 0 where that is too little to be a table."""
    below = heights[heights < eye]
    if not len(below):
        return eye - AROUND, 0.0
    layer = np.floor(below / LAYER).astype(int)
    counts = np.bincount(layer - layer.min())
    both = counts + np.r_[counts[1:], 0]  # a level may lie across two layers
    first = int(both.argmax()) + layer.min()
    mine = below[(layer == first) | (layer == first + 1)]
    share = len(mine) / measured
    return float(np.median(mine)), share if share >= SUPPORT else 0.0


def the_object(mesh: Mesh, middle: np.ndarray, floor: float) -> Mesh:
    """Of the pieces above the floor the one nearest in plan to the middle (3,), small ones apart; parts in
    neighbouring cells are one piece, as no picture shows all of a thing. CaptureError where there is
    none."""
    standing = (mesh.vertices[mesh.faces, 1] > floor).all(axis=1)
    above = mesh.faces[standing]
    if not len(above):
        raise CaptureError("object: nothing stands on what it was filmed on; expected an object there")
    middles = mesh.vertices[above].mean(axis=1, dtype=np.float64)
    cell = np.floor(middles / GAP).astype(int)
    cell -= cell.min(axis=0)
    filled = np.zeros(cell.max(axis=0) + 1, np.bool_)
    filled[tuple(cell.T)] = True
    mine = ndimage.label(filled, np.ones((3, 3, 3)))[0][tuple(cell.T)] - 1
    whole = np.bincount(mine, mesh.areas[standing])
    away = np.full(len(whole), np.inf)
    np.minimum.at(away, mine, np.hypot(*(middles - middle)[:, [0, 2]].T))
    away[whole < LEAST * whole.max()] = np.inf
    return compact(mesh, above[mine == int(away.argmin())])


def round_about(cameras: Sequence[Camera], middle: np.ndarray) -> float:
    """The share of the horizon's sectors, as seen from the middle (3,), in which a camera stood."""
    x, _, z = (np.stack([camera.pose[:3, 3] for camera in cameras]) - middle).T
    sector = np.floor((np.arctan2(z, x) / (2 * np.pi) + 0.5) * SECTORS) % SECTORS
    return len(np.unique(sector)) / SECTORS


def _loads(path: Path, told: str) -> Gate:
    """Whether the environments read it."""
    try:
        open_objects(str(path), "test").load(0)
    except (MeshError, SceneError, ValueError) as error:
        told = str(error)
        return Gate("object", False, told, "a mesh that loads", "Too little of it was measured.", "views.jpg")
    return Gate("object", True, told, "a mesh that loads", picture="views.jpg")
