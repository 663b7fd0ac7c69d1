"""Where the cameras stood: given with the pictures, or found from them by COLMAP's structure from motion."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from PIL import Image, ImageDraw

from scenes.capture.agreement import agreement
from scenes.capture.alignment import trajectory_error
from scenes.capture.frames import Frame, read_frames
from scenes.capture.pose_files import Camera, model_cameras, read_transforms, write_colmap, write_transforms
from scenes.capture.stages import CaptureError, Gate, damaged

EXHAUSTIVE = 60  # pictures, of which each is compared with each; of more, with those near it in their order
OVERLAP = 10  # pictures that each is compared with then, on either side
DATABASE = 3 * 2**20  # bytes of COLMAP's database for a picture: 8192 features of 152 bytes, and matches
REGISTERED = 0.7  # of the pictures, or it is not one room that was filmed
PARALLAX = 0.3  # extent of the cameras' way in middle depths of what they saw; of a turn on the spot 0.16
FILE = "transforms.json"


class Found(NamedTuple):
    """Cameras with poses; points (P, 3) that several of them see; how many models the pictures fell into, and
    the mean reprojection error, pixels."""

    cameras: list[Camera]
    points: np.ndarray
    models: int = 1
    error: float = 0.0


def make(folder: Path, before: Mapping[str, Path], options: Mapping[str, Any]) -> list[Gate]:
    """The stage: fills ``folder`` with transforms.json, pictures/ without distortion, points.npy, sparse/."""
    frames, kind, _ = read_frames(before["frames"])
    given = [frame for frame in frames if frame.camera is not None and frame.camera.cam_to_world is not None]
    use_given = options["poses"] == "given" or (options["poses"] == "auto" and len(given) > len(frames) / 2)
    if options["poses"] == "given" and not given:
        raise CaptureError("--poses given: no picture of it has a pose; expected poses, or --poses colmap")
    found = _given(given) if use_given else _mapped(folder, frames)
    gates: list[Gate] = []
    if use_given and kind == "rgbd":
        consistent, gates = agreement(found.cameras, frames)
        found = found._replace(cameras=consistent)
    cameras = [_undistorted(folder, frame, camera) for frame, camera in _paired(frames, found.cameras)]
    write_transforms(folder / FILE, cameras, poses="given" if use_given else "colmap")
    write_colmap(folder / "sparse", cameras)
    np.save(folder / "points.npy", found.points)
    _plan(folder / "cameras.png", cameras, found.points)
    if not use_given:
        gates = _quality(cameras, frames, found, kind)
    return [_share(cameras, frames, found, use_given), *gates]


def read_cameras(folder: Path) -> tuple[list[Camera], np.ndarray, bool]:
    """What the stage wrote: cameras with poses and without distortion, points (P, 3) that several see, and
    whether the poses were given."""
    cameras = read_transforms(folder / FILE)
    told = json.loads((folder / FILE).read_text(encoding="utf-8"))
    try:
        points = np.load(folder / "points.npy")
    except (OSError, EOFError, ValueError) as error:
        raise damaged(folder / "points.npy", "poses", error) from None
    return cameras, points, told.get("poses") == "given"


def _given(frames: Sequence[Frame]) -> Found:
    return Found([frame.camera for frame in frames if frame.camera is not None], np.zeros((0, 3)))


def _paired(frames: Sequence[Frame], cameras: Sequence[Camera]) -> list[tuple[Frame, Camera]]:
    by_name = {camera.name: camera for camera in cameras}
    return [(frame, by_name[frame.name]) for frame in frames if frame.name in by_name]


def _undistorted(folder: Path, frame: Frame, camera: Camera) -> Camera:
    """The camera of the picture without distortion, which is written into the stage's folder; a depth map's
    is taken to be without."""
    (folder / "pictures").mkdir(exist_ok=True)
    target = folder / "pictures" / frame.name
    if frame.depth is not None or not any(camera.distortion):
        shutil.copyfile(frame.picture, target)
        return replace(camera, distortion=(0.0, 0.0, 0.0, 0.0))
    shift = np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])  # OpenCV's pixel centres are whole numbers
    rgb = np.asarray(Image.open(frame.picture))
    straight = cv2.undistort(rgb, camera.matrix - shift, np.array(camera.distortion))
    Image.fromarray(straight).save(target, quality=95)
    return replace(camera, distortion=(0.0, 0.0, 0.0, 0.0))


# ---- structure from motion


def _mapped(folder: Path, frames: Sequence[Frame]) -> Found:
    """The largest model that COLMAP makes of the pictures; first as it comes, then with what helps where
    there is little texture, if that registers more."""
    try:
        import pycolmap
    except ImportError:
        raise CaptureError(
            'poses: none are given, and pycolmap is not installed: pip install -e ".[capture]"'
        ) from None
    pycolmap.logging.minloglevel = 2
    free, needed = shutil.disk_usage(folder).free, DATABASE * len(frames)
    if free < needed:  # COLMAP ends the process where its database cannot grow
        raise CaptureError(
            f"{folder}: {free / 2**20:.0f} MiB are free; COLMAP's database of {len(frames)} pictures takes "
            f"up to {needed / 2**20:.0f}: free some space, or pass another --out"
        )
    best = Found([], np.zeros((0, 3)), 0)
    for weak in (False, True):
        work = folder / "colmap"
        work.mkdir()
        try:
            found = _attempt(pycolmap, work, frames, weak)
        except RuntimeError as error:
            raise CaptureError(f"poses: COLMAP cannot go on: {error}") from None
        shutil.rmtree(work)
        if len(found.cameras) > len(best.cameras):
            best = found
        if len(best.cameras) >= 0.9 * len(frames):
            break
    return best


def _attempt(pycolmap: Any, work: Path, frames: Sequence[Frame], weak: bool) -> Found:
    pictures, database = frames[0].picture.parent, work / "database.db"
    sizes = {Image.open(frame.picture).size for frame in frames}
    mode = pycolmap.CameraMode.SINGLE if len(sizes) == 1 else pycolmap.CameraMode.PER_IMAGE
    reader = pycolmap.ImageReaderOptions(camera_model="SIMPLE_RADIAL")
    lens = frames[0].camera
    if lens is not None and len(sizes) == 1:
        fx, fy, cx, cy = lens.intrinsics
        reader.camera_params = f"{(fx + fy) / 2},{cx},{cy},0"
    extraction = pycolmap.FeatureExtractionOptions()
    matching = pycolmap.FeatureMatchingOptions()
    extraction.num_threads = matching.num_threads = 2
    if weak:
        extraction.sift.peak_threshold, extraction.sift.max_num_features = 8e-4, 4096
        matching.guided_matching = True
        matching.sift.max_ratio = 0.85
    names = [frame.name for frame in frames]
    cpu = pycolmap.Device.cpu
    pycolmap.extract_features(database, pictures, names, mode, reader, extraction, cpu)
    if len(frames) > EXHAUSTIVE:
        pairing = pycolmap.SequentialPairingOptions(overlap=OVERLAP, quadratic_overlap=True)
        pycolmap.match_sequential(database, matching, pairing, device=cpu)
    else:
        pycolmap.match_exhaustive(database, matching, device=cpu)
    mapping = pycolmap.IncrementalPipelineOptions(num_threads=2)
    models = pycolmap.incremental_mapping(database, pictures, work / "models", mapping)
    if not models:
        return Found([], np.zeros((0, 3)), 0)
    model = max(models.values(), key=lambda model: model.num_reg_images())
    points = np.array([point.xyz for point in model.points3D.values() if len(point.track.elements) > 2])
    return Found(
        model_cameras(model), points.reshape(-1, 3), len(models), model.compute_mean_reprojection_error()
    )


# ---- gates


def _share(cameras: Sequence[Camera], frames: Sequence[Frame], found: Found, given: bool) -> Gate:
    share = len(cameras) / len(frames)
    parts = "" if found.models < 2 else f", in the largest of {found.models} models"
    why = "two films of different rooms, or pictures too far apart" if found.models > 1 else "too far apart"
    together = f"{len(cameras)} of {len(frames)} photos hang together: {why}."
    return Gate(
        name="registered",
        passed=share >= REGISTERED,
        got=f"{len(cameras)} of {len(frames)}{parts}, by {'the poses given' if given else 'COLMAP'}",
        wanted=f"at least {REGISTERED:.0%}",
        advice="Most poses are missing, not numbers, or contradict their neighbours': pass --poses colmap."
        if given
        else f"{together} Take more between them, each showing half of what the last one showed.",
        picture="cameras.png",
    )


def _quality(cameras: Sequence[Camera], frames: Sequence[Frame], found: Found, kind: str) -> list[Gate]:
    gates = [
        Gate(
            name="reprojection",
            passed=found.error <= 2.0,
            got=f"{found.error:.2f} px",
            wanted="at most 2 px",
            advice="The pictures do not fit one rigid room: let nobody walk through it, and lock the focus "
            "and zoom.",
        )
    ]
    if len(cameras) > 2 and len(found.points):
        parallax = parallax_of(cameras, found.points)
        gates.append(
            Gate(
                name="parallax",
                passed=parallax >= PARALLAX,
                got=f"the camera's way is {parallax:.2f} of the depth of what it saw",
                wanted=f"at least {PARALLAX:g}",
                advice="The camera turned without moving, so that nothing tells how far things are: film "
                "while you walk sideways, or with a depth sensor.",
                picture="cameras.png",
                required=kind != "rgbd",
            )
        )
    truth = {f.name: f.camera.cam_to_world for f in frames if f.camera and f.camera.cam_to_world is not None}
    both = [camera for camera in cameras if camera.name in truth]
    if len(both) > 2:
        here = np.stack([camera.pose for camera in both])
        error = trajectory_error(here, np.stack([truth[camera.name] for camera in both]))
        gates.append(
            Gate(
                name="trajectory",
                passed=error <= 0.1,
                got=f"{100 * error:.2f} cm off the poses given (ATE, rmse)",
                wanted="at most 10 cm",
                advice="The poses given and those found do not fit: one of them is wrong.",
                required=False,
            )
        )
    return gates


def parallax_of(cameras: Sequence[Camera], points: np.ndarray) -> float:
    """The extent of the cameras' positions (twice their spread about the middle) in middle depths of the
    points: what tells distances by triangulation."""
    centres = np.stack([camera.pose[:3, 3] for camera in cameras])
    spread = 2 * np.sqrt(((centres - centres.mean(axis=0)) ** 2).sum(axis=1).mean())
    depths = []
    for camera in cameras:
        inside, depth = camera.in_picture(points)
        if inside.any():
            depths.append(np.median(depth[inside]))
    return float(spread / np.median(depths)) if depths else 0.0


def _plan(path: Path, cameras: Sequence[Camera], points: np.ndarray, size: int = 480) -> None:
    """The cameras and points in the plane in which the cameras lie most spread out."""
    picture = Image.new("RGB", (size, size), "white")
    if cameras:
        poses = np.stack([camera.pose for camera in cameras])
        centres, ahead = poses[:, :3, 3], poses[:, :3, 2]
        axes = np.linalg.svd(centres - centres.mean(axis=0), full_matrices=True)[2][:2]
        shown = np.concatenate([centres, points]) @ axes.T
        low, high = np.percentile(shown, (1, 99), axis=0)
        share = 0.9 * size / max(float((high - low).max()), 1e-9)
        draw = ImageDraw.Draw(picture)

        def at(place: np.ndarray) -> tuple[float, float]:
            x, y = (place @ axes.T - (low + high) / 2) * share + size / 2
            return float(x), float(y)

        for point in points[:: max(1, len(points) // 5000)]:
            draw.point(at(point), fill=(150, 150, 150))
        for centre, direction in zip(centres, ahead, strict=True):
            draw.line([at(centre), at(centre + direction * 18 / share)], fill=(200, 60, 40))
            x, y = at(centre)
            draw.ellipse([x - 2, y - 2, x + 2, y + 2], fill=(30, 60, 160))
    picture.save(path)
