"""Data sets of depth: which files are theirs, and where each frame's picture, intrinsics and pose are.

| data set | depth files | coded | intrinsics and pose |
|---|---|---|---|
| SYNTHIA-SEQS | ``Depth/Stereo_Left/Omni_F/000000.png`` | 16 bits x 3, cm | ``CameraParams/`` |
| SYNTHIA-RAND-CITYSCAPES | ``Depth/0000000.png``, ``Depth/Depth/`` | as above | SYNTHIA-SEQS'; none |
| SYNTHIA-SF | ``SEQ1/DepthLeft/0000000.png`` | 24 bits in RGB, 1 km | f 847.630211643; none |
| Virtual KITTI 2 | ``frames/depth/Camera_0/depth_00000.png`` | 16 bits, cm | ``{in,ex}trinsic.txt`` |
| TartanAir | ``depth_left/000000_left_depth.npy`` | floats | f 320; ``pose_left.txt``, NED |
| ScanNet, exported | ``depth/0.png`` | 16 bits, mm | ``intrinsic/intrinsic_depth.txt``, ``pose/0.txt`` |
| Replica (NICE-SLAM) | ``results/depth000000.png`` | 16 bits, / 6553.5 | f 600; ``traj.txt`` |
| TartanAir v2 | ``depth_lcam_front/*_depth.png`` | float in RGBA | f 320; ``pose_lcam_front.txt`` |
| TUM RGB-D, Bonn, ICL-NUIM | ``depth/13050.1604.png`` | 16 bits, / 5000 | by name; ``groundtruth.txt`` |
| 7-Scenes | ``frame-000000.depth.png`` | 16 bits, mm | f 585; ``frame-000000.pose.txt`` |
| NYUv2 | ``sync_depth_00000.png``, ``00000_depth.png`` | 16 bits, mm | f 519; none |
| SUN RGB-D | ``depth/``, ``depth_bfx/`` of one file | mm, bits rotated | ``intrinsics.txt``; none |
| Redwood | ``depth/00000.png`` beside ``rgb/``, ``color/``, ``image/`` | 16 bits, mm | f 525; none |

Poses become cam_to_world with OpenCV axes in a world with Y up; intrinsics have pixel centres at +0.5.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from spatial_envs.foundation.errors import SceneError
from spatial_envs.geometry.camera import slope
from spatial_envs.scenes import depth_decoding as decoding

logger = logging.getLogger(__name__)

Y_DOWN_TO_UP = np.diag([1.0, -1.0, -1.0, 1.0])
Z_UP_TO_Y_UP = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
NED_TO_Y_UP = np.array([[0, 1.0, 0, 0], [0, 0, -1, 0], [-1, 0, 0, 0], [0, 0, 0, 1]])  # right, up, backwards
CAMERA_TO_NED = np.array([[0, 0, 1.0, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]])  # forward, right, down
OUTDOORS = 80.0  # metres: what is farther is scenery


@dataclass(frozen=True)
class DepthFile:
    """One depth file: where it is, what it belongs to and which of its sequence it is."""

    path: str
    sequence: str
    number: int
    layout: Layout

    @property
    def folder(self) -> Path:
        """The folder that the layout's table is relative to."""
        up = self.layout.depth_below
        return Path(self.path).parents[up]


@dataclass(frozen=True)
class Intrinsics:
    """Focal length and principal point, pixels, of a picture of this size (W, H); (0, 0) = of any size."""

    fx: float
    fy: float
    cx: float
    cy: float
    size: tuple[int, int] = (0, 0)

    def matrix(self, width: int, height: int) -> np.ndarray:
        """(3, 3) float64 for a picture of that size."""
        x, y = (width / self.size[0], height / self.size[1]) if self.size[0] else (1.0, 1.0)
        return np.array([[self.fx * x, 0, self.cx * x], [0, self.fy * y, self.cy * y], [0, 0, 1.0]])


@dataclass(frozen=True)
class Layout:
    """How a data set lays out its files.

    pattern      of the end of a depth file's path; group ``n`` is the number of the frame
    depth_below  how many folders the file is below the sequence's folder
    up_known     whether poses tell which way is up
    farthest     metres, None = no limit
    told         of a file that the pattern fits: whether what lies beside it says that it is this data set's;
                 None where the pattern says it
    """

    title: str
    pattern: re.Pattern[str]
    depth_below: int
    decode: Callable[[Path], np.ndarray]
    picture: Callable[[DepthFile], Path | None]
    intrinsics: Callable[[DepthFile], Intrinsics]
    pose: Callable[[DepthFile], np.ndarray | None]
    up_known: bool = True
    farthest: float | None = None
    told: Callable[[Path], bool] | None = None


def find(root: Path, files: list[Path]) -> dict[str, DepthFile]:
    """The depth files among ``files`` by name, in order of sequence and number, each in the first layout that
    it matches; those in none are left out. ``root``: what names are relative to."""
    found: dict[str, list[tuple[float, str, str, Layout]]] = {}
    for path in files:
        for layout in LAYOUTS:
            match = layout.pattern.search(path.as_posix())
            if match and (layout.told is None or layout.told(path)):
                short = path.relative_to(root).as_posix() if path != root else path.name
                sequence = short.rpartition("/")[0] or path.parent.name
                order = float(match["n"]) if re.fullmatch(r"\d+(\.\d+)?", match["n"]) else np.inf
                found.setdefault(sequence, []).append((order, short.rpartition(".")[0], str(path), layout))
                break
    named = {}
    for sequence, mine in sorted(found.items()):
        for place, (order, name, file, layout) in enumerate(sorted(mine, key=lambda one: one[:3])):
            number = int(order) if order.is_integer() else place  # of names that are times, which in turn
            named[name] = DepthFile(file, sequence, number, layout)
    return named


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise SceneError(f"{path}: cannot be read: {error.strerror}") from None


def _numbers(path: Path, line: str, count: int) -> np.ndarray:
    """The ``count`` finite numbers of a line."""
    try:
        values = np.array([float(word) for word in line.split()])
    except ValueError:
        values = np.zeros(0)
    if len(values) != count or not np.isfinite(values).all():
        raise SceneError(f"{path}: got {line.strip()[:60]!r}; expected {count} finite numbers")
    return values


def _rigid(path: Path, matrix: np.ndarray) -> np.ndarray:
    """(4, 4), checked to be a rotation and a shift."""
    turn = matrix[:3, :3]
    off = np.abs(turn @ turn.T - np.eye(3)).max()
    if off > 1e-2 or np.linalg.det(turn) < 0 or np.abs(matrix[3] - [0, 0, 0, 1]).max() > 1e-3:
        raise SceneError(f"{path}: got {np.round(matrix, 3).tolist()}; expected a rotation and a translation")
    return matrix


@lru_cache(maxsize=8)
def _lines(path: Path) -> tuple[str, ...]:
    """The lines of a text file with something on them; kept, as every frame of a sequence asks for them."""
    return tuple(line for line in _text(path).splitlines() if line.strip())


def _existing(path: Path) -> Path | None:
    return path if path.is_file() else None


# SYNTHIA

SYNTHIA_INTRINSICS = Intrinsics(532.740352, 532.740352, 640.0, 380.0, (1280, 760))


def _synthia_picture(file: DepthFile) -> Path | None:
    path = Path(file.path)
    return _existing(file.folder / "RGB" / path.parent.parent.name / path.parent.name / path.name)


def _synthia_intrinsics(file: DepthFile) -> Intrinsics:
    path = file.folder / "CameraParams" / "intrinsics.txt"
    if not path.is_file():
        return SYNTHIA_INTRINSICS
    lines = _text(path).splitlines()
    if len(lines) < 5:
        raise SceneError(f"{path}: got {len(lines)} lines; expected focal length, cx, cy in lines 1, 3, 5")
    focal, cx, cy = (_numbers(path, lines[k], 1)[0] for k in (0, 2, 4))
    return Intrinsics(focal, focal, cx, cy, SYNTHIA_INTRINSICS.size)


def _synthia_params(file: DepthFile) -> Path:
    path = Path(file.path)
    return file.folder / "CameraParams" / path.parent.parent.name / path.parent.name


def _synthia_matrix(params: Path, number: int) -> np.ndarray:
    """The pose as it is written, column by column, so that the translation is in places 12 to 14."""
    path = params / f"{number:06d}.txt"
    return _rigid(path, _numbers(path, _text(path), 16).reshape(4, 4).T)


def _synthia_pose(file: DepthFile) -> np.ndarray | None:
    params = _synthia_params(file)
    if not params.is_dir():
        return None
    matrix = _synthia_matrix(params, file.number)
    if not _synthia_cam_to_world(Path(file.path).parent, params, _synthia_intrinsics(file)):
        matrix = np.linalg.inv(matrix)
    return Y_DOWN_TO_UP @ matrix


@lru_cache(maxsize=256)
def _synthia_cam_to_world(depths: Path, params: Path, intrinsics: Intrinsics) -> bool:
    """Whether the poses take the camera to the world or the other way, on which public loaders disagree:
    the way in which the points of a frame come nearer to the next one's depth, over up to three pairs."""
    numbers = sorted(int(file.stem) for file in depths.glob("*.png") if file.stem.isdigit())
    pairs = [(a, b) for a, b in pairwise(numbers) if b == a + 1]
    residuals = np.zeros(2)
    for a, b in [pairs[k] for k in sorted({0, len(pairs) // 2, len(pairs) - 1})] if pairs else ():
        try:
            before, after = (decoding.centimetres(depths / f"{n:06d}.png") for n in (a, b))
            here, there = (_synthia_matrix(params, n) for n in (a, b))
        except SceneError:  # it is told when that frame is asked for
            continue
        matrix = intrinsics.matrix(before.shape[1], before.shape[0])
        residuals[0] += depth_residual(before, after, np.linalg.inv(there) @ here, matrix)
        residuals[1] += depth_residual(before, after, there @ np.linalg.inv(here), matrix)
    logger.info(
        "%s: depth residual %.4f with poses camera to world, %.4f with world to camera", params, *residuals
    )
    return bool(residuals[0] <= residuals[1])


def depth_residual(
    before: np.ndarray, after: np.ndarray, motion: np.ndarray, intrinsics: np.ndarray
) -> float:
    """The mean share by which the points of one depth map (H, W), moved by ``motion`` (4, 4) into the camera
    of another, differ from its depth, 0.3 at most each; infinite where they meet nowhere. Metres, pixels.

    A mean, as the ground, which is most of the picture, hardly changes with a step forwards.
    """
    rows, columns = np.mgrid[: before.shape[0], : before.shape[1]][:, ::4, ::4].reshape(2, -1)
    z = before[rows, columns].astype(np.float64)
    keep = (z > 0) & (z < OUTDOORS)
    rays = np.stack([slope(columns, intrinsics, 0), slope(rows, intrinsics, 1), np.ones(len(z))])
    points = motion[:3, :3] @ (rays * z)[:, keep] + motion[:3, 3:]
    points = points[:, points[2] > 0.1]
    column = np.floor(intrinsics[0, 0] * points[0] / points[2] + intrinsics[0, 2])
    row = np.floor(intrinsics[1, 1] * points[1] / points[2] + intrinsics[1, 2])
    inside = (row >= 0) & (row < after.shape[0]) & (column >= 0) & (column < after.shape[1])
    measured = after[row[inside].astype(int), column[inside].astype(int)]
    met = measured > 0
    if not met.any():
        return np.inf
    return float(np.minimum(np.abs(points[2, inside][met] / measured[met] - 1), 0.3).mean())


def _rand_picture(file: DepthFile) -> Path | None:
    path = Path(file.path)
    top = path.parent.parent.parent if path.parent.parent.name == "Depth" else path.parent.parent
    return _existing(top / "RGB" / path.name) or _existing(top / "RGB" / "RGB" / path.name)


def _sf_picture(file: DepthFile) -> Path | None:
    path = Path(file.path)
    return _existing(file.folder / path.parent.name.replace("Depth", "RGB") / path.name)


def _no_pose(file: DepthFile) -> None:
    return None


# Virtual KITTI 2: frames/depth/Camera_0/depth_00000.png; pixel centres at integers, so + 0.5

VKITTI_INTRINSICS = Intrinsics(725.0087, 725.0087, 621.0, 187.5, (1242, 375))


def _vkitti_picture(file: DepthFile) -> Path | None:
    return _existing(file.folder / f"frames/rgb/{Path(file.path).parent.name}/rgb_{file.number:05d}.jpg")


def _vkitti_row(file: DepthFile, name: str, count: int) -> np.ndarray | None:
    """The numbers of this frame and camera in a table; None where the table is not there."""
    path = file.folder / name
    if not path.is_file():
        return None
    camera = Path(file.path).parent.name.removeprefix("Camera_")
    row = _vkitti_table(path).get((str(file.number), camera))
    if row is None:
        raise SceneError(f"{path}: has no line for frame {file.number}, camera {camera}")
    return _numbers(path, row, count)


@lru_cache(maxsize=16)
def _vkitti_table(path: Path) -> Mapping[tuple[str, str], str]:
    table = {}
    for line in _lines(path)[1:]:
        words = line.split(maxsplit=2)
        if len(words) == 3:
            table[words[0], words[1]] = words[2]
    return table


def _vkitti_intrinsics(file: DepthFile) -> Intrinsics:
    row = _vkitti_row(file, "intrinsic.txt", 4)
    if row is None:
        return VKITTI_INTRINSICS
    return Intrinsics(row[0], row[1], row[2] + 0.5, row[3] + 0.5, VKITTI_INTRINSICS.size)


def _vkitti_pose(file: DepthFile) -> np.ndarray | None:
    row = _vkitti_row(file, "extrinsic.txt", 16)
    if row is None:
        return None
    return Y_DOWN_TO_UP @ np.linalg.inv(_rigid(file.folder / "extrinsic.txt", row.reshape(4, 4)))


# TartanAir: depth_left/000000_left_depth.npy; its second edition depth_lcam_front/000000_lcam_front_depth.png


def _tartanair_picture(file: DepthFile) -> Path | None:
    path = Path(file.path)
    side = path.parent.name.removeprefix("depth_")
    return _existing(file.folder / f"image_{side}" / f"{path.stem.removesuffix('_depth')}.png")


def _tartanair_pose(file: DepthFile) -> np.ndarray | None:
    path = file.folder / f"pose_{Path(file.path).parent.name.removeprefix('depth_')}.txt"
    if not path.is_file():
        return None
    values = _numbers(path, _line(path, file.number), 7)
    return NED_TO_Y_UP @ _posed(path, f"line {file.number + 1}", values) @ CAMERA_TO_NED


def _posed(path: Path, where: str, values: np.ndarray) -> np.ndarray:
    """(4, 4) of a translation and a quaternion x, y, z, w, (7,)."""
    pose = np.eye(4)
    if abs(np.linalg.norm(values[3:]) - 1) > 1e-2:
        raise SceneError(f"{path}: {where}: got {values[3:].tolist()}; expected a unit quaternion")
    pose[:3, :3], pose[:3, 3] = Rotation.from_quat(values[3:]).as_matrix(), values[:3]
    return pose


def _line(path: Path, number: int) -> str:
    lines = _lines(path)
    if number >= len(lines):
        raise SceneError(f"{path}: got {len(lines)} lines; expected a pose for frame {number}")
    return lines[number]


# ScanNet, as its exporter writes it: depth/0.png; pixel centres at integers, so + 0.5


def _scannet(path: Path) -> bool:
    return any((path.parent.parent / name).is_dir() for name in ("intrinsic", "pose", "color"))


def _scannet_picture(file: DepthFile) -> Path | None:
    return _existing(file.folder / f"color/{file.number}.jpg") or _existing(
        file.folder / f"color/{file.number}.png"
    )


def _scannet_intrinsics(file: DepthFile) -> Intrinsics:
    path = file.folder / "intrinsic" / "intrinsic_depth.txt"
    if not path.is_file():
        raise SceneError(f"{path}: is missing; expected the depth camera's matrix (4, 4), or intrinsics=")
    matrix = _numbers(path, _text(path), 16).reshape(4, 4)
    return Intrinsics(matrix[0, 0], matrix[1, 1], matrix[0, 2] + 0.5, matrix[1, 2] + 0.5)


def _scannet_pose(file: DepthFile) -> np.ndarray | None:
    folder = file.folder / "pose"
    if not folder.is_dir():
        return None
    path = folder / f"{file.number}.txt"
    return Z_UP_TO_Y_UP @ _rigid(path, _numbers(path, _text(path), 16).reshape(4, 4))


# Replica: results/depth000000.png; pixel centres at integers, so + 0.5


def _replica_picture(file: DepthFile) -> Path | None:
    name = Path(file.path).stem.replace("depth", "frame")
    return _existing(Path(file.path).with_name(f"{name}.jpg"))


def _replica_pose(file: DepthFile) -> np.ndarray | None:
    path = file.folder / "traj.txt"
    if not path.is_file():
        return None
    matrix = _numbers(path, _line(path, file.number), 16).reshape(4, 4)
    return Z_UP_TO_Y_UP @ _rigid(path, matrix)


# TUM RGB-D, and Bonn and ICL-NUIM in its form: depth/1305031102.160407.png, depth/0.png; pixel centres at
# integers, so + 0.5

TUM_SPAN = 0.02  # seconds that a picture or a pose may be off
TUM_LENSES = (
    ("freiburg1", Intrinsics(517.3, 516.5, 319.1, 255.8, (640, 480))),
    ("freiburg2", Intrinsics(520.9, 521.0, 325.6, 250.2, (640, 480))),
    ("freiburg3", Intrinsics(535.4, 539.2, 320.6, 248.1, (640, 480))),
    ("bonn", Intrinsics(542.822841, 542.576870, 316.093520, 238.256098, (640, 480))),
    ("traj", Intrinsics(481.2, 480.0, 320.0, 240.0, (640, 480))),
)


def _tum(path: Path) -> bool:
    names = ("groundtruth.txt", "associations.txt", "associate.txt", "depth.txt")
    beside = any((path.parent.parent / name).is_file() for name in names)
    return beside or re.fullmatch(r"\d{9,}\.\d+", path.stem) is not None


@lru_cache(maxsize=16)
def _stamped(folder: Path) -> tuple[np.ndarray, tuple[Path, ...]]:
    """The pictures of a folder and the times that are their names, in order."""
    named = [(float(f.stem), f) for f in folder.glob("*.png") if re.fullmatch(r"\d+(\.\d+)?", f.stem)]
    return np.array([time for time, _ in sorted(named)]), tuple(path for _, path in sorted(named))


def _tum_picture(file: DepthFile) -> Path | None:
    times, paths = _stamped(file.folder / "rgb")
    here = _tum_time(file)
    if here is None or not len(times):
        return None
    nearest = int(np.abs(times - here).argmin())
    return paths[nearest] if abs(times[nearest] - here) <= TUM_SPAN else None


def _tum_time(file: DepthFile) -> float | None:
    stem = Path(file.path).stem
    return float(stem) if re.fullmatch(r"\d+(\.\d+)?", stem) else None


def _tum_intrinsics(file: DepthFile) -> Intrinsics:
    words = file.path.lower()
    for word, intrinsics in TUM_LENSES:
        if word in words:
            return intrinsics
    raise SceneError(
        f"{file.path}: which camera it is of is not known: no folder is named after freiburg1, 2, 3, bonn or "
        "traj; expected intrinsics="
    )


def _tum_pose(file: DepthFile) -> np.ndarray | None:
    path, here = file.folder / "groundtruth.txt", _tum_time(file)
    if not path.is_file() or here is None or not len(rows := _tum_rows(path)):
        return None
    nearest = rows[np.abs(rows[:, 0] - here).argmin()]
    if abs(nearest[0] - here) > TUM_SPAN:
        return None
    return Z_UP_TO_Y_UP @ _posed(path, f"at {nearest[0]:f}", nearest[1:])


@lru_cache(maxsize=16)
def _tum_rows(path: Path) -> np.ndarray:
    """(N, 8): times, translations and quaternions."""
    rows = [_numbers(path, line, 8) for line in _lines(path) if not line.startswith("#")]
    return np.array(rows).reshape(-1, 8)


# 7-Scenes: frame-000000.depth.png; the world is the first camera's, so that it does not tell up


def _seven_picture(file: DepthFile) -> Path | None:
    return _existing(file.folder / f"frame-{file.number:06d}.color.png")


def _seven_pose(file: DepthFile) -> np.ndarray | None:
    path = file.folder / f"frame-{file.number:06d}.pose.txt"
    if not path.is_file():
        return None
    return Y_DOWN_TO_UP @ _rigid(path, _numbers(path, _text(path), 16).reshape(4, 4))


def _seven(path: Path) -> bool:
    return not (path.parent / "info.txt").is_file()  # BundleFusion's, of another camera


# NYUv2, exported as PNG


def _nyu_picture(file: DepthFile) -> Path | None:
    path = Path(file.path)
    names = (path.name.replace("sync_depth_", "rgb_"), path.name.replace("_depth", "_colors"))
    places = [path.with_name(name).with_suffix(end) for name in names for end in (".jpg", ".png")]
    return next((place for place in places if place != path and place.is_file()), None)


# SUN RGB-D: <frame>/depth/<name>.png, <frame>/image/<name>.jpg, <frame>/intrinsics.txt; Matlab's pixel
# centres begin at 1, so - 0.5


def _sun(path: Path) -> bool:
    known = (path.parent.parent / "intrinsics.txt").is_file() and (path.parent.parent / "image").is_dir()
    return known and len(list(islice(path.parent.glob("*.png"), 2))) == 1


def _sun_picture(file: DepthFile) -> Path | None:
    return next(iter(sorted((file.folder / "image").glob("*.jpg"))), None)


def _sun_intrinsics(file: DepthFile) -> Intrinsics:
    path = file.folder / "intrinsics.txt"
    matrix = _numbers(path, _text(path), 9).reshape(3, 3)
    return Intrinsics(matrix[0, 0], matrix[1, 1], matrix[0, 2] - 0.5, matrix[1, 2] - 0.5)


# Redwood: depth/00000.png, or depth/0000001-000000000000.png of its scans of objects


def _redwood(path: Path) -> bool:
    folder = path.parent.parent
    pictures = any((folder / name).is_dir() for name in ("rgb", "color", "image"))
    return pictures and not (folder / "intrinsic").is_dir() and not (folder / "pose").is_dir()


def _redwood_picture(file: DepthFile) -> Path | None:
    stem = Path(file.path).stem
    places = [
        file.folder / name / f"{stem}{end}" for name in ("rgb", "color", "image") for end in (".jpg", ".png")
    ]
    return next((place for place in places if place.is_file()), None)


def _fixed(intrinsics: Intrinsics, file: DepthFile) -> Intrinsics:
    return intrinsics


LAYOUTS = (
    Layout(
        "SYNTHIA-SEQS", re.compile(r"(?:^|/)Depth/Stereo_(?:Left|Right)/Omni_[FBLR]/(?P<n>\d{6})\.png$"), 3,
        decoding.centimetres, _synthia_picture, _synthia_intrinsics, _synthia_pose, False, OUTDOORS,
    ),
    Layout(
        "SYNTHIA-RAND-CITYSCAPES", re.compile(r"(?:^|/)Depth/(?P<n>\d{7})\.png$"), 1,
        decoding.centimetres, _rand_picture, partial(_fixed, SYNTHIA_INTRINSICS), _no_pose, False, OUTDOORS,
    ),
    Layout(
        "SYNTHIA-SF", re.compile(r"(?:^|/)SEQ[^/]*/Depth(?:Left|Right)/(?P<n>\d+)\.png$"), 1,
        decoding.packed_rgb, _sf_picture,
        partial(_fixed, Intrinsics(847.630211643, 847.630211643, 960.0, 540.0, (1920, 1080))),
        _no_pose, False, OUTDOORS,
    ),
    Layout(
        "Virtual KITTI 2", re.compile(r"(?:^|/)frames/depth/Camera_\d/depth_(?P<n>\d{5})\.png$"), 3,
        decoding.centimetres_grey, _vkitti_picture, _vkitti_intrinsics, _vkitti_pose, True, OUTDOORS,
    ),
    Layout(
        "TartanAir", re.compile(r"(?:^|/)depth_(left|right)/(?P<n>\d+)_\1_depth\.npy$"), 1,
        decoding.array, _tartanair_picture,
        partial(_fixed, Intrinsics(320.0, 320.0, 320.0, 240.0, (640, 480))),
        _tartanair_pose, True, OUTDOORS,
    ),
    Layout(
        "Replica", re.compile(r"(?:^|/)results/depth(?P<n>\d+)\.png$"), 1,
        decoding.replica, _replica_picture,
        partial(_fixed, Intrinsics(600.0, 600.0, 600.0, 340.0, (1200, 680))),
        _replica_pose,
    ),
    Layout(
        "TartanAir v2",
        re.compile(r"(?:^|/)depth_([lr]cam_(?:front|back|left|right|top|bottom))/(?P<n>\d+)_\1_depth\.png$"),
        1, decoding.float_bits, _tartanair_picture,
        partial(_fixed, Intrinsics(320.0, 320.0, 320.0, 320.0, (640, 640))),
        _tartanair_pose, True, OUTDOORS,
    ),
    Layout(
        "TUM RGB-D", re.compile(r"(?:^|/)depth/(?P<n>\d+(?:\.\d+)?)\.png$"), 1,
        decoding.tum, _tum_picture, _tum_intrinsics, _tum_pose, told=_tum,
    ),
    Layout(
        "7-Scenes", re.compile(r"(?:^|/)frame-(?P<n>\d{6})\.depth(?:\.proj)?\.png$"), 0,
        decoding.millimetres, _seven_picture,
        partial(_fixed, Intrinsics(585.0, 585.0, 320.0, 240.0, (640, 480))), _seven_pose, False, told=_seven,
    ),
    Layout(
        "NYUv2", re.compile(r"(?:^|/)(?:sync_depth_|nyu2_test/)(?P<n>\d+)(?:_depth)?\.png$"), 0,
        decoding.millimetres, _nyu_picture,
        partial(_fixed, Intrinsics(518.857901, 519.469611, 325.082449, 253.236166, (640, 480))),
        _no_pose, False,
    ),
    Layout(
        "SUN RGB-D", re.compile(r"(?:^|/)depth(?:_bfx)?/(?P<n>[^/]+)\.png$"), 1,
        decoding.sun, _sun_picture, _sun_intrinsics, _no_pose, False, told=_sun,
    ),
    Layout(
        "Redwood", re.compile(r"(?:^|/)depth/(?P<n>\d{5,})(?:-\d+)?\.png$"), 1,
        decoding.millimetres, _redwood_picture,
        partial(_fixed, Intrinsics(525.0, 525.0, 320.0, 240.0, (640, 480))), _no_pose, False, told=_redwood,
    ),
    Layout(
        "ScanNet", re.compile(r"(?:^|/)depth/(?P<n>\d+)\.png$"), 1,
        decoding.millimetres, _scannet_picture, _scannet_intrinsics, _scannet_pose, told=_scannet,
    ),
)  # fmt: skip
