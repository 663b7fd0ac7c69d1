"""Cameras as files have them: nerfstudio's and instant-ngp's ``transforms.json``, COLMAP's text.

Cameras here are cam_to_world (4, 4) float64 with OpenCV axes (+X right, +Y down, +Z forward) and intrinsics
in pixels with pixel centres at +0.5, which is COLMAP's convention, too.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from scenes.capture.stages import CaptureError

OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])  # camera axes: +Y up, +Z backwards
MODELS = {  # COLMAP's camera models: how many of the parameters are focal lengths, and the rest by name
    "SIMPLE_PINHOLE": (1, ()),
    "PINHOLE": (2, ()),
    "SIMPLE_RADIAL": (1, ("k1",)),
    "RADIAL": (1, ("k1", "k2")),
    "OPENCV": (2, ("k1", "k2", "p1", "p2")),
}


@dataclass(frozen=True, eq=False)
class Camera:
    """name of its picture; size (W, H) pixels, intrinsics (fx, fy, cx, cy) for it, OpenCV's distortion
    (k1, k2, p1, p2), and where it stood; None: not known."""

    name: str
    size: tuple[int, int]
    intrinsics: tuple[float, float, float, float]
    cam_to_world: np.ndarray | None
    distortion: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)

    @property
    def matrix(self) -> np.ndarray:
        """(3, 3) float64, pixels."""
        fx, fy, cx, cy = self.intrinsics
        return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]])

    def strided(self, step: int) -> np.ndarray:
        """(3, 3) float64: the intrinsics of every ``step``-th pixel, ``picture[::step, ::step]``."""
        fx, fy, cx, cy = self.intrinsics
        return np.array(
            [[fx / step, 0, 0.5 + (cx - 0.5) / step], [0, fy / step, 0.5 + (cy - 0.5) / step], [0, 0, 1]]
        )

    def resized(self, size: tuple[int, int]) -> Camera:
        """The camera of its picture at another size (W, H)."""
        across, down = size[0] / self.size[0], size[1] / self.size[1]
        fx, fy, cx, cy = self.intrinsics
        return replace(self, size=size, intrinsics=(fx * across, fy * down, cx * across, cy * down))

    @property
    def pose(self) -> np.ndarray:
        """``cam_to_world`` of a camera that has one, (4, 4) float64."""
        assert self.cam_to_world is not None
        return self.cam_to_world

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """u, v, pixels, and depth z (N,) of points (N, 3), world frame; z is at most 0 behind the camera."""
        x, y, z = ((points - self.pose[:3, 3]) @ self.pose[:3, :3]).T
        ahead = np.where(z > 1e-9, z, 1.0)
        fx, fy, cx, cy = self.intrinsics
        return fx * x / ahead + cx, fy * y / ahead + cy, z

    def in_picture(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(N,) bool: which of the points (N, 3), world frame, are in the picture; and their depth z (N,)."""
        u, v, z = self.project(points)
        return (z > 0) & (u > 0) & (u < self.size[0]) & (v > 0) & (v < self.size[1]), z


def rigid(where: str, matrix: Any) -> np.ndarray:
    """(4, 4) float64, a rotation and a translation; CaptureError that begins with ``where`` for any other."""
    try:
        pose = np.asarray(matrix, np.float64)
    except (TypeError, ValueError):
        pose = np.zeros(0)
    if pose.shape == (3, 4):
        pose = np.concatenate([pose, [[0, 0, 0, 1.0]]])
    turn = pose[:3, :3] if pose.shape == (4, 4) else np.zeros((3, 3))
    if (
        not np.isfinite(pose).all()
        or np.abs(turn @ turn.T - np.eye(3)).max() > 1e-2
        or np.linalg.det(turn) < 0
    ):
        raise CaptureError(f"{where}: got {str(matrix)[:80]}; expected (4, 4): a rotation and a translation")
    return pose


def read_transforms(path: Path) -> list[Camera]:
    """The cameras of a ``transforms.json``: ``transform_matrix`` is cam_to_world with OpenGL axes, intrinsics
    are the file's or each frame's own. CaptureError that names the file and the key."""
    content = _json(path)
    frames = content.get("frames") if isinstance(content, dict) else None
    if not isinstance(frames, list) or not frames:
        raise CaptureError(f"{path}: frames: expected a list of frames with file_path and transform_matrix")
    cameras = []
    for number, frame in enumerate(frames):
        where = f"{path}: frames[{number}]"
        if not isinstance(frame, dict) or not isinstance(frame.get("file_path"), str):
            raise CaptureError(f"{where}: file_path: missing; expected the path of a picture")
        told = {**content, **frame}
        try:
            size = int(told["w"]), int(told["h"])
            fx = float(
                told["fl_x"] if "fl_x" in told else 0.5 * size[0] / math.tan(told["camera_angle_x"] / 2)
            )
            fy = float(told.get("fl_y", fx))
            cx, cy = float(told.get("cx", size[0] / 2)), float(told.get("cy", size[1] / 2))
            k1, k2, p1, p2 = (float(told.get(key, 0.0)) for key in ("k1", "k2", "p1", "p2"))
        except (KeyError, TypeError, ValueError) as error:
            raise CaptureError(
                f"{where}: {error}: expected w, h and fl_x (or camera_angle_x), numbers"
            ) from None
        pose = rigid(f"{where}: transform_matrix", frame.get("transform_matrix")) @ OPENGL
        cameras.append(Camera(frame["file_path"], size, (fx, fy, cx, cy), pose, (k1, k2, p1, p2)))
    return cameras


def write_transforms(path: Path, cameras: Sequence[Camera], **more: Any) -> None:
    """The cameras that have a pose as a ``transforms.json``; more: further keys of the file."""
    frames = [
        {
            "file_path": camera.name, "w": camera.size[0], "h": camera.size[1],
            **dict(zip(("fl_x", "fl_y", "cx", "cy"), camera.intrinsics, strict=True)),
            **dict(zip(("k1", "k2", "p1", "p2"), camera.distortion, strict=True)),
            "transform_matrix": (camera.cam_to_world @ OPENGL).tolist(),
        }
        for camera in cameras
        if camera.cam_to_world is not None
    ]  # fmt: skip
    path.write_text(
        json.dumps({"camera_model": "OPENCV", **more, "frames": frames}, indent=1), encoding="utf-8"
    )


def read_colmap(folder: Path) -> list[Camera]:
    """The cameras of ``cameras.txt`` and ``images.txt``, or of their .bin, which pycolmap reads. CaptureError
    that names the file and the line."""
    if not (folder / "images.txt").is_file():
        return _read_binary(folder)
    lenses: dict[str, tuple[tuple[int, int], tuple, tuple]] = {}
    for number, line in _lines(folder / "cameras.txt"):
        where = f"{folder / 'cameras.txt'}: line {number}"
        words = line.split()
        try:
            lenses[words[0]] = _lens(
                where, words[1], (int(words[2]), int(words[3])), [float(w) for w in words[4:]]
            )
        except (ValueError, IndexError) as error:
            if isinstance(error, CaptureError):
                raise
            raise CaptureError(f"{where}: got {line[:60]!r}; expected ID MODEL WIDTH HEIGHT PARAMS") from None
    cameras = []
    for number, line in _lines(folder / "images.txt", keep_empty=True)[::2]:  # every second has the points
        where = f"{folder / 'images.txt'}: line {number}"
        words = line.split(maxsplit=9)
        try:
            w, x, y, z, *shift = (float(word) for word in words[1:8])
            size, intrinsics, distortion = lenses[words[8]]
            name = words[9].strip()
        except (ValueError, IndexError, KeyError):
            raise CaptureError(
                f"{where}: got {line[:60]!r}; expected ID QW QX QY QZ TX TY TZ CAMERA_ID NAME, of a camera "
                "in cameras.txt"
            ) from None
        cameras.append(Camera(name, size, intrinsics, _cam_to_world(where, (w, x, y, z), shift), distortion))
    return cameras


def write_colmap(folder: Path, cameras: Sequence[Camera]) -> None:
    """The cameras that have a pose as COLMAP's text files, one OPENCV camera for each picture, no points."""
    lenses, images = (
        ["# CAMERA_ID MODEL WIDTH HEIGHT PARAMS[]"],
        ["# IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME"],
    )
    for number, camera in enumerate(cameras, 1):
        if camera.cam_to_world is None:
            continue
        world_to_cam = np.linalg.inv(camera.cam_to_world)
        x, y, z, w = Rotation.from_matrix(world_to_cam[:3, :3]).as_quat()
        numbers = " ".join(repr(float(n)) for n in (*camera.intrinsics, *camera.distortion))
        lenses.append(f"{number} OPENCV {camera.size[0]} {camera.size[1]} {numbers}")
        place = " ".join(repr(float(n)) for n in (w, x, y, z, *world_to_cam[:3, 3]))
        images += [f"{number} {place} {number} {camera.name}", ""]
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in (("cameras.txt", lenses), ("images.txt", images), ("points3D.txt", ["# no points"])):
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


def _lens(where: str, model: str, size: tuple[int, int], numbers: list[float]):
    """Size, intrinsics and distortion of one of COLMAP's cameras."""
    if model not in MODELS:
        raise CaptureError(f"{where}: got the camera model {model}; expected one of {', '.join(MODELS)}")
    focal, rest = MODELS[model]
    if len(numbers) != focal + 2 + len(rest):
        raise CaptureError(f"{where}: got {len(numbers)} parameters; {model} has {focal + 2 + len(rest)}")
    named = dict(zip(rest, numbers[focal + 2 :], strict=True))
    distortion = tuple(named.get(key, 0.0) for key in ("k1", "k2", "p1", "p2"))
    return size, (numbers[0], numbers[focal - 1], *numbers[focal : focal + 2]), distortion


def _cam_to_world(where: str, quaternion: Sequence[float], shift: Sequence[float]) -> np.ndarray:
    w, x, y, z = quaternion
    if abs(w * w + x * x + y * y + z * z - 1) > 1e-2:
        raise CaptureError(f"{where}: got the quaternion {tuple(quaternion)}; expected one of length 1")
    turn = Rotation.from_quat([x, y, z, w]).as_matrix()
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = turn.T, -turn.T @ np.asarray(shift)
    return pose


def _read_binary(folder: Path) -> list[Camera]:
    try:
        import pycolmap
    except ImportError:
        raise CaptureError(
            f"{folder}: binary files are read by pycolmap: pip install pycolmap, or convert them with "
            "`colmap model_converter --output_type TXT`"
        ) from None
    try:
        model = pycolmap.Reconstruction(str(folder))
    except Exception as error:  # what it raises is its own
        raise CaptureError(f"{folder}: not a COLMAP model: {error}") from None
    return model_cameras(model)


def model_cameras(model: Any) -> list[Camera]:
    """The cameras of a ``pycolmap.Reconstruction``, by name."""
    cameras = []
    for image in sorted(model.images.values(), key=lambda image: image.name):
        if not image.has_pose:
            continue
        lens = model.cameras[image.camera_id]
        size, intrinsics, distortion = _lens(
            image.name, lens.model.name, (lens.width, lens.height), [float(n) for n in lens.params]
        )
        pose = np.concatenate([image.cam_from_world().inverse().matrix(), [[0, 0, 0, 1.0]]])
        cameras.append(Camera(image.name, size, intrinsics, pose, distortion))
    return cameras


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise CaptureError(f"{path}: not a JSON file: {error}") from None


def _lines(path: Path, keep_empty: bool = False) -> list[tuple[int, str]]:
    """The numbered lines of a text file without comments; after the last picture's an empty one may lack."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise CaptureError(f"{path}: cannot be read: {error}") from None
    lines = [(k, line) for k, line in enumerate(text.splitlines(), 1) if not line.startswith("#")]
    return lines if keep_empty else [(k, line) for k, line in lines if line.strip()]
