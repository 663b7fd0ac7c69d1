"""What phones' apps export that measure depth: Polycam, Record3D, Stray Scanner.

- Polycam's raw data: ``keyframes/depth/<time>.png`` mm, ``confidence/`` 0, 127, 255; intrinsics and ARKit's
  pose (t_ij) in ``corrected_cameras/<time>.json`` of ``corrected_images/``, else ``cameras/`` of ``images/``.
- Record3D's .r3d, a zip file, or unzipped: ``rgbd/<n>.depth`` float32 metres and ``<n>.conf`` 0 to 2, packed
  by LZFSE; ``metadata``: intrinsics K by columns, ARKit's poses as x y z w and place. As EXR + JPG:
  ``depth/<n>.exr`` metres, ``rgb/<n>.jpg``, ``metadata.json``.
- Stray Scanner: ``depth/<n>.png`` mm, ``confidence/`` 0 to 2, ``rgb.mp4``, ``camera_matrix.csv``, and
  ``odometry.csv``: poses with OpenCV's axes, in newer ones each frame's intrinsics.

Poses are cam_to_world, ARKit's with OpenGL's axes; Y is up. Depth of low confidence is left out. The layouts
are as the apps' authors and other readers describe them: no export of a phone was at hand, only files by
writers of our own were read. Were an app's axes others, depth maps would not agree under its poses, which the
gate "poses fit depth" says.
"""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image
from scipy.spatial.transform import Rotation

from scenes.capture.footage import Footage, Source, read_picture
from scenes.capture.pose_files import OPENGL, Camera, rigid
from scenes.capture.stages import CaptureError
from spatial_envs.foundation.errors import SceneError
from spatial_envs.scenes.depth_forms import stored

MM = 1000.0
MEDIUM, MEDIUM_GREY = 1, 127  # ARKit's confidence from which depth is used, and Polycam's grey level of it

Bytes = Callable[[str], bytes]  # of a file of a recording, by its path in it; KeyError where there is none


def open_recording(path: Path, depth_scale: float | None = None) -> Footage | None:
    """The recording of a phone's app at ``path``; None where it is none. CaptureError where it is one that
    cannot be read.

    depth_scale: how many of a depth file's units are a metre, in place of the app's
    """
    if path.suffix.lower() == ".r3d" and path.is_file():
        return _record3d(path, depth_scale, *_zipped(path))
    if (path / "keyframes" / "depth").is_dir():
        return _polycam(path / "keyframes", depth_scale)
    if (path / "odometry.csv").is_file() and (path / "depth").is_dir():
        return _stray(path, depth_scale)
    if (path / "metadata").is_file() and (path / "rgbd").is_dir():
        names = [f"rgbd/{file.name}" for file in (path / "rgbd").iterdir()]
        return _record3d(path, depth_scale, lambda name: _bytes(path / name), names)
    if (path / "metadata.json").is_file() and any((path / "depth").glob("*.exr")):
        return _record3d_exr(path, depth_scale)
    return None


# ---- Polycam


def _polycam(folder: Path, depth_scale: float | None) -> Footage:
    files = sorted((folder / "depth").glob("*.png"), key=lambda file: (len(file.stem), file.stem))

    def sources() -> Iterator[Source]:
        for file in files:
            kinds = ("corrected_cameras", "corrected_images"), ("cameras", "images")
            for cameras, pictures in kinds:
                told, picture = folder / cameras / f"{file.stem}.json", folder / pictures / f"{file.stem}.jpg"
                if told.is_file() and picture.is_file():
                    confidence = folder / "confidence" / file.name
                    yield Source(
                        picture.name, partial(read_picture, picture),
                        partial(_masked_png, file, confidence, depth_scale, MEDIUM_GREY),
                        _polycam_camera(told, picture.name),
                    )  # fmt: skip
                    break

    return Footage("rgbd", True, len(files), sources, upright=True)


def _polycam_camera(path: Path, name: str) -> Camera:
    content = _json(path, path.read_bytes())
    try:
        size = int(content["width"]), int(content["height"])
        fx, fy, cx, cy = (float(content[key]) for key in ("fx", "fy", "cx", "cy"))
        pose = [[float(content[f"t_{row}{column}"]) for column in range(4)] for row in range(3)]
    except (KeyError, TypeError, ValueError) as error:
        raise CaptureError(
            f"{path}: {error}: expected width, height, fx, fy, cx, cy and t_00 to t_23"
        ) from None
    return Camera(name, size, (fx, fy, cx, cy), rigid(f"{path}: t_00 to t_23", pose) @ OPENGL)


# ---- Stray Scanner


def _stray(path: Path, depth_scale: float | None) -> Footage:
    film = path / "rgb.mp4"
    rows = _odometry(path / "odometry.csv")
    lens = _camera_matrix(path / "camera_matrix.csv")
    reader = cv2.VideoCapture(str(film))
    size = int(reader.get(cv2.CAP_PROP_FRAME_WIDTH)), int(reader.get(cv2.CAP_PROP_FRAME_HEIGHT))
    reader.release()
    if min(size) < 1:
        raise CaptureError(f"{film}: no film that can be read; expected Stray Scanner's pictures")

    def sources() -> Iterator[Source]:
        reader, number = cv2.VideoCapture(str(film)), 0
        reader.set(cv2.CAP_PROP_ORIENTATION_AUTO, 0)  # depth maps lie as the sensor does
        while True:
            there, picture = reader.read()
            if not there:
                break
            depth = path / "depth" / f"{number:06d}.png"
            if number in rows and depth.is_file():
                pose, own = rows[number]
                name = f"{number:06d}.jpg"
                yield Source(
                    name, partial(cv2.cvtColor, picture, cv2.COLOR_BGR2RGB),
                    partial(_masked_png, depth, path / "confidence" / depth.name, depth_scale, MEDIUM),
                    Camera(name, size, own or lens, pose),
                )  # fmt: skip
            number += 1
        reader.release()

    return Footage("rgbd", True, len(rows), sources, upright=True)


def _odometry(path: Path) -> dict[int, tuple[np.ndarray, tuple[float, float, float, float] | None]]:
    """Pose and, where they are there, intrinsics by the number of the frame."""
    rows = {}
    with path.open(encoding="utf-8", newline="") as file:
        for line, row in enumerate(csv.DictReader(file, skipinitialspace=True), 2):
            try:
                place = [float(row[key]) for key in ("x", "y", "z")]
                turn = [float(row[key]) for key in ("qx", "qy", "qz", "qw")]
                told = [row.get(key) for key in ("fx", "fy", "cx", "cy")]
                fx, fy, cx, cy = (float(value or 0) for value in told)
                pose = _posed(f"{path}: line {line}", turn, place)
                rows[int(row["frame"])] = pose, (fx, fy, cx, cy) if fx and fy else None
            except (KeyError, TypeError, ValueError) as error:
                if isinstance(error, CaptureError):
                    raise
                raise CaptureError(
                    f"{path}: line {line}: {error}: expected numbers under frame, x, y, z, qx, qy, qz, qw"
                ) from None
    return rows


def _camera_matrix(path: Path) -> tuple[float, float, float, float]:
    try:
        matrix = np.loadtxt(path, delimiter=",").reshape(3, 3)
    except (OSError, ValueError) as error:
        raise CaptureError(f"{path}: {error}: expected a matrix (3, 3)") from None
    return float(matrix[0, 0]), float(matrix[1, 1]), float(matrix[0, 2]), float(matrix[1, 2])


# ---- Record3D


def _record3d(path: Path, depth_scale: float | None, read: Bytes, names: list[str]) -> Footage:
    try:
        from lzfse import decompress
        from lzfse import error as Damaged
    except ImportError:
        raise CaptureError(
            f"{path}: Record3D's depth is packed by LZFSE: pip install lzfse, or export 'EXR + JPG sequence'"
        ) from None
    cameras, (width, height) = _metadata(path, read("metadata"))
    numbers = sorted(int(n[5:-6]) for n in names if n.startswith("rgbd/") and n.endswith(".depth"))

    def unpacked(name: str, kind: str) -> np.ndarray:
        try:
            values = np.frombuffer(decompress(read(name)), kind)
        except (KeyError, Damaged, OSError, ValueError) as error:
            raise CaptureError(f"{path}: {name}: cannot be unpacked: {error}") from None
        across = round(float(np.sqrt(len(values) * width / height)))
        if not across or len(values) % across:
            raise CaptureError(
                f"{path}: {name}: got {len(values)} values; expected as many as a picture of the shape "
                f"{width} x {height} has"
            )
        return values.reshape(-1, across)

    def depth(number: int) -> np.ndarray:
        metres = _clean(unpacked(f"rgbd/{number}.depth", "<f4"), depth_scale or 1.0)
        if f"rgbd/{number}.conf" in names:
            metres = _confident(metres, unpacked(f"rgbd/{number}.conf", "u1"), MEDIUM)
        return metres

    def picture(number: int) -> np.ndarray:
        try:
            with Image.open(io.BytesIO(read(f"rgbd/{number}.jpg"))) as image:
                return np.asarray(image.convert("RGB"))
        except (KeyError, OSError) as error:
            raise CaptureError(f"{path}: rgbd/{number}.jpg: no picture that can be read: {error}") from None

    def sources() -> Iterator[Source]:
        for number in numbers:
            if number < len(cameras):
                yield Source(
                    f"{number}.jpg", partial(picture, number), partial(depth, number), cameras[number]
                )

    return Footage("rgbd", True, len(numbers), sources)


def _record3d_exr(path: Path, depth_scale: float | None) -> Footage:
    cameras, _ = _metadata(path, (path / "metadata.json").read_bytes())
    files = sorted((path / "depth").glob("*.exr"), key=lambda file: (len(file.stem), file.stem))
    shift = int(files[0].stem) if files[0].stem.isdigit() else 0  # whether they count from 0 or 1

    def sources() -> Iterator[Source]:
        for file in files:
            places = [path / "rgb" / f"{file.stem}{end}" for end in (".jpg", ".png")]
            picture = next((place for place in places if place.is_file()), None)
            number = int(file.stem) - shift if file.stem.isdigit() else -1
            if picture is not None and 0 <= number < len(cameras):
                yield Source(
                    picture.name, partial(read_picture, picture), partial(_exr, file, depth_scale),
                    cameras[number],
                )  # fmt: skip

    return Footage("rgbd", True, len(files), sources)


def _exr(file: Path, depth_scale: float | None) -> np.ndarray:
    return _clean(_stored(file), depth_scale or 1.0)


def _metadata(path: Path, content: bytes) -> tuple[list[Camera], tuple[int, int]]:
    """The cameras of a recording's frames, and the size (W, H) of its pictures."""
    told = _json(path / "metadata", content)
    try:
        size = int(told["w"]), int(told["h"])
        matrix = np.array(told["K"], np.float64).reshape(3, 3).T
        poses = np.array(told["poses"], np.float64).reshape(-1, 7)
        each = np.array(told.get("perFrameIntrinsicCoeffs") or [], np.float64).reshape(-1, 4)
    except (KeyError, TypeError, ValueError) as error:
        raise CaptureError(f"{path}: metadata: {error}: expected w, h, K (9) and poses (N, 7)") from None
    one = np.array([matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2]])
    cameras = []
    for number, row in enumerate(poses):
        fx, fy, cx, cy = (each[number] if len(each) == len(poses) else one).tolist()
        pose = _posed(f"{path}: metadata: poses[{number}]", row[:4], row[4:]) @ OPENGL
        cameras.append(Camera(f"{number}.jpg", size, (fx, fy, cx, cy), pose))
    return cameras, size


def _zipped(path: Path) -> tuple[Bytes, list[str]]:
    try:
        archive = zipfile.ZipFile(path)
        return archive.read, archive.namelist()
    except (OSError, zipfile.BadZipFile) as error:
        raise CaptureError(f"{path}: no .r3d that can be read: {error}") from None


# ---- what they share


def _posed(where: str, quaternion: Any, place: Any) -> np.ndarray:
    """(4, 4) of a quaternion x, y, z, w and a place; CaptureError that begins with ``where``."""
    numbers = np.asarray([*quaternion, *place], np.float64)
    if not np.isfinite(numbers).all() or abs(np.linalg.norm(numbers[:4]) - 1) > 1e-2:
        raise CaptureError(f"{where}: got {numbers.tolist()}; expected a unit quaternion and a place")
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = Rotation.from_quat(numbers[:4]).as_matrix(), numbers[4:]
    return pose


def _masked_png(file: Path, confidence: Path, depth_scale: float | None, least: int) -> np.ndarray:
    """(H, W) float32, metres: a PNG's, millimetres unless told, where the confidence is not low."""
    metres = _clean(_stored(file), depth_scale or MM)
    return _confident(metres, _stored(confidence), least) if confidence.is_file() else metres


def _confident(metres: np.ndarray, confidence: np.ndarray, least: int) -> np.ndarray:
    if confidence.shape != metres.shape:
        raise CaptureError(
            f"depth: {metres.shape} with a confidence of {confidence.shape}; expected one shape"
        )
    return np.where(confidence >= least, metres, 0)


def _clean(values: np.ndarray, unit: float) -> np.ndarray:
    metres = values.astype(np.float32) / np.float32(unit)
    return np.where(np.isfinite(metres) & (metres > 0), metres, 0)


def _stored(file: Path) -> np.ndarray:
    try:
        values = stored(file)
    except SceneError as error:
        raise CaptureError(str(error)) from None
    if values.ndim != 2:
        raise CaptureError(f"{file}: got {values.shape}; expected one channel")
    return values


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise KeyError(str(path)) from None


def _json(path: Path, content: bytes) -> dict[str, Any]:
    try:
        told = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise CaptureError(f"{path}: not a JSON file: {error}") from None
    if not isinstance(told, dict):
        raise CaptureError(f"{path}: got a {type(told).__name__}; expected an object of JSON")
    return told
