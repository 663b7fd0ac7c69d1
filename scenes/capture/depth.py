"""A depth map for each camera: the sensor's, or by comparing the pictures; and how large the room is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from scenes.capture.frames import Frame, read_frames
from scenes.capture.pose_files import Camera, read_transforms, write_transforms
from scenes.capture.poses import FILE, read_cameras
from scenes.capture.stages import CaptureError, Gate, damaged
from scenes.capture.sweep import sweep

SPREAD = 0.1  # by which a picture's scale may differ from the others'
FILLED = 0.2  # of the pixels that have a depth


def make(folder: Path, before: Mapping[str, Path], options: Mapping[str, Any]) -> list[Gate]:
    """The stage: fills ``folder`` with depth/, float16 .npy, and transforms.json: the cameras of these maps,
    in the same unit."""
    frames, kind, _ = read_frames(before["frames"])
    cameras, points, given = read_cameras(before["poses"])
    (folder / "depth").mkdir()
    gates = []
    if kind == "rgbd":
        by_name = {frame.name: frame for frame in frames}
        scale = 1.0
        if not given:
            scale, spread = sensor_scale(cameras, points, by_name)
            gates.append(
                Gate(
                    "scale", spread <= SPREAD, f"{scale:.3f} m a unit, {spread:.1%} between pictures",
                    f"at most {SPREAD:.0%}", "Depth and pictures do not fit: are they of the same moments?",
                )
            )  # fmt: skip
        for camera in cameras:
            _save(folder, camera.name, by_name[camera.name].read_depth())
    elif not len(points):
        raise CaptureError(
            "depth: the poses are given and there is no sensor: the points that depth is searched round are "
            "missing; expected --poses colmap"
        )
    else:
        scale, given_cameras, cameras = 1.0, cameras, []
        for camera, depth in sweep(before["poses"] / "pictures", given_cameras, points):
            _save(folder, camera.name, depth)
            cameras.append(camera)
    shares = [float((read_depth(folder, camera.name) > 0).mean()) for camera in cameras]
    filled = float(np.median(shares))
    _sheet(folder, cameras)
    gates.append(
        Gate(
            "filled", filled >= FILLED, f"{filled:.0%} of the pixels", f"at least {FILLED:.0%}",
            "Little of the room has a depth: film bare walls with something on them, from less than 4 m.",
            "sheet.jpg",
        )
    )  # fmt: skip
    scaled = [replace(camera, cam_to_world=_scaled(camera, scale)) for camera in cameras]
    write_transforms(folder / FILE, scaled, metric=kind == "rgbd")
    return gates


def read_depth(folder: Path, name: str) -> np.ndarray:
    """(H, W) float32, in the unit of the stage's cameras; 0 = not known. CaptureError where it cannot be
    read."""
    path = folder / "depth" / f"{name}.npy"
    try:
        return np.load(path).astype(np.float32)
    except (OSError, EOFError, ValueError, AttributeError) as error:
        raise damaged(path, "depth", error) from None


def read_posed(folder: Path) -> list[Camera]:
    """The cameras of this stage or a later one."""
    return read_transforms(folder / FILE)


def sensor_scale(
    cameras: Sequence[Camera], points: np.ndarray, frames: Mapping[str, Frame]
) -> tuple[float, float]:
    """Metres in a unit of the cameras' poses, by the sensor's depth where points (P, 3) are seen; and how far
    the middle picture is off that, as a share. CaptureError where no point has a measured depth."""
    each = []
    for camera in cameras:
        depth = frames[camera.name].read_depth()
        u, v, z = camera.project(points)
        inside = (z > 0) & (u >= 0) & (v >= 0) & (u < depth.shape[1]) & (v < depth.shape[0])
        measured = depth[v[inside].astype(int), u[inside].astype(int)]
        ratios = measured[measured > 0] / z[inside][measured > 0]
        if len(ratios) > 20:
            each.append(float(np.median(ratios)))
    if not each:
        raise CaptureError(
            "depth: no point that pictures share has a measured depth: are they of one moment?"
        )
    scale = float(np.median(each))
    return scale, float(np.median(np.abs(np.array(each) / scale - 1)))


def _scaled(camera: Camera, scale: float) -> np.ndarray:
    pose = camera.pose.copy()
    pose[:3, 3] *= scale
    return pose


def _save(folder: Path, name: str, depth: np.ndarray) -> None:
    np.save(folder / "depth" / f"{name}.npy", depth.astype(np.float16))


def _sheet(folder: Path, cameras: Sequence[Camera], count: int = 12, width: int = 160) -> None:
    tiles = []
    for k in np.unique(np.linspace(0, len(cameras) - 1, count).astype(int)):
        depth = read_depth(folder, cameras[k].name)
        far = max(float(np.percentile(depth[depth > 0], 98)) if (depth > 0).any() else 1.0, 1e-9)
        grey = np.where(depth > 0, 255 - 215 * np.clip(depth / far, 0, 1), 0).astype(np.uint8)
        height = round(width * depth.shape[0] / depth.shape[1])
        tiles.append(np.asarray(Image.fromarray(grey).resize((width, height))))
    tallest = max(tile.shape[0] for tile in tiles)
    padded = [np.pad(tile, ((0, tallest - tile.shape[0]), (0, 0))) for tile in tiles]
    rows = [np.concatenate(padded[k : k + 4], axis=1) for k in range(0, len(padded), 4)]
    widest = max(row.shape[1] for row in rows)
    sheet = np.concatenate([np.pad(row, ((0, 0), (0, widest - row.shape[1]))) for row in rows])
    Image.fromarray(sheet).save(folder / "sheet.jpg", quality=85)
