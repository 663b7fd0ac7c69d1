"""What a folder or film holds: pictures in their order, and what is known of each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps

from scenes.capture.footage import PICTURES, Footage, Source, read_picture
from scenes.capture.phones import open_recording
from scenes.capture.pose_files import Camera, read_colmap, read_transforms
from scenes.capture.stages import CaptureError
from spatial_envs.foundation.errors import SceneError
from spatial_envs.scenes.depth_decoding import lone
from spatial_envs.scenes.depth_layouts import DepthFile, find

FILMS = (".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm")
APPLE = (".heic", ".heif")
FULL_FRAME = 43.27  # mm, the diagonal that EXIF's 35 mm equivalents are of


def open_footage(path: Path, depth_scale: float | None = None) -> Footage:
    """What is at ``path``. CaptureError that says what was found where it is no capture.

    depth_scale: how many of a depth file's units are a metre, in place of the data set's
    """
    if (recording := open_recording(path, depth_scale)) is not None:
        return recording
    if path.is_file():
        if path.suffix.lower() in FILMS:
            return _film(path)
        raise CaptureError(f"{path}: expected a folder of pictures, or a film ({' '.join(FILMS)})")
    if not path.is_dir():
        raise CaptureError(f"{path}: there is no such file or folder")
    files = sorted(file for file in path.rglob("*") if file.is_file() and not _hidden(file, path))
    depth = [file for file in files if file.suffix.lower() in (".png", ".npy", ".exr", ".pgm")]
    if recorded := find(path, depth):
        return _rgbd(path, list(recorded.values()), depth_scale)
    if (known := _given(path)) is not None:
        return known
    if apple := [file for file in files if file.suffix.lower() in APPLE]:
        raise CaptureError(
            f"{path}: {len(apple)} pictures are HEIC ({apple[0].name}, ...), which is not read: convert them "
            "(`mogrify -format jpg *.heic`, or heif-convert), or set the phone to 'Most Compatible'"
        )
    films = [file for file in files if file.suffix.lower() in FILMS]
    pictures = [file for file in files if file.suffix.lower() in PICTURES]
    if not pictures and len(films) == 1:
        return _film(films[0])
    if not pictures:
        raise CaptureError(
            f"{path}: no picture in it ({' '.join(PICTURES)}) and {len(films)} films; expected pictures of "
            "one room, one film, or a data set of depth"
        )

    def sources() -> Iterator[Source]:
        for file in pictures:
            yield Source(_name(file, path), partial(read_picture, file), None, _lens(file))

    return Footage("photos", False, len(pictures), sources, beside=len(films))


def _hidden(file: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(root).parts)


def _name(file: Path, root: Path) -> str:
    return re.sub(r"[^\w.-]+", "_", file.relative_to(root).as_posix())


def _lens(file: Path) -> Camera | None:
    """The lens by EXIF's focal length; None where it is not there."""
    try:
        with Image.open(file) as image:
            told = image.getexif().get_ifd(0x8769).get(0xA405)  # FocalLengthIn35mmFilm
            width, height = ImageOps.exif_transpose(image).size
    except Exception:  # what cannot be read is said when it is
        return None
    if not told:
        return None
    focal = float(told) / FULL_FRAME * float(np.hypot(width, height))
    return Camera(file.name, (width, height), (focal, focal, width / 2, height / 2), None)


def _rgbd(path: Path, files: list[DepthFile], depth_scale: float | None) -> Footage:
    def sources() -> Iterator[Source]:
        for file in files:
            picture = file.layout.picture(file)
            if picture is None:
                continue
            read, depth = partial(read_picture, picture), partial(_depth, file, depth_scale)
            camera = _recorded(file, picture.name)
            yield Source(_name(picture, path), read, depth, camera)

    up_known = all(file.layout.up_known for file in files)
    return Footage("rgbd", True, len(files), sources, up_known, "without a picture beside it")


def _depth(file: DepthFile, depth_scale: float | None) -> np.ndarray:
    try:
        path = Path(file.path)
        depth = file.layout.decode(path) if depth_scale is None else lone(path, depth_scale, None, None)
    except SceneError as error:
        raise CaptureError(str(error)) from None
    return np.where(np.isfinite(depth), depth, 0).astype(np.float32)


def _recorded(file: DepthFile, name: str) -> Camera | None:
    """The depth camera of a frame of a data set; None where its file is damaged."""
    try:
        with Image.open(file.path) as image:
            width, height = image.size
    except OSError:  # what is damaged is said when it is read
        return None
    try:
        matrix = file.layout.intrinsics(file).matrix(width, height)
    except SceneError as error:
        raise CaptureError(str(error)) from None
    try:
        pose = file.layout.pose(file)
    except SceneError:  # as where tracking was lost, which some data sets write as NaN
        pose = None
    fx, fy, cx, cy = (float(matrix[k]) for k in ((0, 0), (1, 1), (0, 2), (1, 2)))
    return Camera(name, (width, height), (fx, fy, cx, cy), pose)


def _given(path: Path) -> Footage | None:
    """Pictures whose cameras lie beside them, or None."""
    models = [path / "sparse" / "0", path / "sparse", path / "colmap" / "sparse" / "0", path]
    colmap = next((m for m in models if (m / "images.txt").is_file() or (m / "images.bin").is_file()), None)
    if (path / "transforms.json").is_file():
        cameras, roots = read_transforms(path / "transforms.json"), [path]
    elif colmap is not None:
        cameras, roots = read_colmap(colmap), [path / "images", path]
    else:
        return None
    places = {camera.name: _picture_of(camera.name, roots) for camera in cameras}
    there = [(camera, place) for camera in cameras if (place := places[camera.name]) is not None]
    if missing := [name for name, place in places.items() if place is None]:
        raise CaptureError(
            f"{path}: {len(missing)} of {len(cameras)} pictures that its cameras name are missing "
            f"({missing[0]}, ...)"
        )

    def sources() -> Iterator[Source]:
        for camera, place in there:
            yield Source(place.name, partial(read_picture, place), None, camera)

    return Footage("posed", False, len(cameras), sources)


def _picture_of(name: str, roots: list[Path]) -> Path | None:
    """Where a picture is: instant-ngp leaves the ending out."""
    for root in roots:
        for place in (root / name, *((root / f"{name}{end}") for end in PICTURES)):
            if place.is_file():
                return place
    return None


def _film(path: Path) -> Footage:
    film = cv2.VideoCapture(str(path))
    count = int(film.get(cv2.CAP_PROP_FRAME_COUNT))
    film.release()
    if count < 1:
        raise CaptureError(f"{path}: no film that can be read: no frame in it")

    def sources() -> Iterator[Source]:
        film = cv2.VideoCapture(str(path))  # turns pictures as the film says
        number = 0
        while True:
            there, picture = film.read()
            if not there:
                break
            yield Source(f"{number:06d}.jpg", partial(cv2.cvtColor, picture, cv2.COLOR_BGR2RGB))
            number += 1
        film.release()

    return Footage("film", True, count, sources, missing="after the place where the film breaks off")
