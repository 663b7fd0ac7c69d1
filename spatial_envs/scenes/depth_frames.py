"""Sets of depth frames, which ``scenes=`` names for prototype fitting: read when they are asked for."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from spatial_envs.foundation.arguments import absolute, check_range, checked_image_size, floats
from spatial_envs.foundation.errors import SceneError
from spatial_envs.geometry.camera import turn_about_y, unproject
from spatial_envs.geometry.ground import fit_ground, ground_pixels
from spatial_envs.geometry.view import View
from spatial_envs.procedural.groups import group
from spatial_envs.rendering.builtin import BuiltinRenderer
from spatial_envs.rendering.depth_shading import UPRIGHT, shaded
from spatial_envs.rendering.sensor_noise import noisy_depth
from spatial_envs.scenes import depth_decoding as decoding
from spatial_envs.scenes.depth_forms import READERS
from spatial_envs.scenes.depth_layouts import find
from spatial_envs.scenes.depth_layouts.layout import DepthFile, Layout
from spatial_envs.scenes.formats.beside import pointer_at
from spatial_envs.scenes.sets import (
    PROCEDURAL,
    SPLITS,
    FileFrame,
    SceneSet,
    existing,
    files_below,
    scene_set,
    warn_left_out,
)

logger = logging.getLogger(__name__)

SUFFIXES = tuple(READERS)
MOST_OBJECTS = 12
TILT, UNKNOWN_TILT = 25.0, 60.0  # degrees from where up is known to be, and from upwards in the picture
IN_PICTURE = (0.0, -1.0, 0.0)  # upwards in the picture, camera frame


@dataclass(frozen=True, eq=False)
class SceneTruth:
    """What a procedural scene is made of; the objects are those of the picture's segments 1 to K.

    categories       (K,) words
    object_to_world  (K, 4, 4) float64: a turn about Y times the object's size, and a shift; in its own frame
                     an object stands on y = 0, centred in x and z, its back towards -Z; metres
    surface          (1000 K, 3) float32, metres, world frame: uniform over all outer surfaces, seen or not
    ids              (1000 K,) int32: whose surface, from 1
    depth            (H, W) float32, metres: without the sensor's noise
    """

    categories: tuple[str, ...]
    object_to_world: np.ndarray
    surface: np.ndarray
    ids: np.ndarray
    depth: np.ndarray


@dataclass(frozen=True, eq=False)
class DepthFrame:
    """A depth picture and what of it has to be explained.

    view      depth (H, W), rgb (a shading where there is none), intrinsics, pose; segment where it is known
    name      in its set
    target    (H, W) bool: measured, and not ground
    ground    (4,) float64, world frame: unit normal n, towards the camera, and d, metres, with n . p + d = 0;
              None where there is no plane that things stand on
    sequence  what it belongs to, and ``number`` which it is of that; procedural frames are each alone
    posed     False where the source has no pose: then the camera looks along -Z, over the origin of a ground
              at y = 0 where one was found, else from the origin itself, level
    truth     of procedural scenes, else None
    """

    view: View
    name: str
    target: np.ndarray
    ground: np.ndarray | None
    sequence: str
    number: int
    posed: bool
    truth: SceneTruth | None = None

    @cached_property
    def points(self) -> np.ndarray:
        """(N, 3) float32, metres, world frame: what the target's pixels measured, row by row."""
        view = self.view
        return unproject(view.depth, view.intrinsics, view.cam_to_world)[self.target]

    @property
    def point_ids(self) -> np.ndarray | None:
        """(N,) int32: the object of each of ``points``; None where that is not known."""
        return None if self.view.segment is None else self.view.segment[self.target]


class _Options(NamedTuple):
    """What holds for every frame of a set."""

    image_size: tuple[int, int]
    max_depth: float | None
    intrinsics: np.ndarray | None  # of the file's own size
    num_objects: tuple[int, int]
    noise: float
    camera_turn: float  # radians
    depth_scale: float | None
    invalid: float | None

    def decoded(self, path: Path, layout: Layout | None = None) -> np.ndarray:
        """(H, W), metres, as the caller says that a file is coded, else as its layout has it."""
        try:
            if layout is None or self.depth_scale is not None or self.invalid is not None:
                return decoding.lone(path, self.depth_scale, self.invalid, self.max_depth)
            return layout.decode(path)
        except SceneError:
            if (pointer := pointer_at(path)) is not None:
                raise SceneError(f"{path}: {pointer}") from None
            raise


class _Seed(NamedTuple):
    seed: int
    unseen: bool
    name: str
    options: _Options

    @property
    def sequence(self) -> str:
        return self.name

    def load(self) -> DepthFrame:
        options = self.options
        made = group(self.seed, options.num_objects, options.image_size, self.unseen)
        pose = made.cam_to_world
        if options.camera_turn:
            turn, middle = turn_about_y(options.camera_turn), made.surface.mean(axis=0)
            turn[:3, 3] = middle - turn[:3, :3] @ middle
            pose = turn @ pose
        clean = BuiltinRenderer().render(made.mesh, pose, made.intrinsics, options.image_size)
        if options.max_depth is not None:
            clean.depth[clean.depth > options.max_depth] = 0
        noise_rng = np.random.default_rng([self.seed, 1])
        depth = noisy_depth(clean.depth, made.intrinsics, options.noise, noise_rng)
        hit = depth > 0
        assert clean.segment is not None
        segment = np.where(hit, clean.segment, 0).astype(np.int32)
        rgb = np.where(hit[..., None], clean.rgb, 0).astype(np.uint8)
        truth = SceneTruth(
            tuple(thing.category for thing in made.things),
            np.stack([thing.to_world for thing in made.things]),
            made.surface,
            made.ids,
            clean.depth,
        )
        return depth_frame(depth, rgb, made.intrinsics, pose, True, self.name, self.name, 0, segment, truth)


class _Recorded(NamedTuple):
    """A file of a data set."""

    file: DepthFile
    name: str
    options: _Options

    @property
    def path(self) -> str:
        return self.file.path

    @property
    def sequence(self) -> str:
        return self.file.sequence

    def load(self) -> DepthFrame:
        file, options = self.file, self.options
        layout = file.layout
        depth = options.decoded(Path(file.path), layout)
        if options.intrinsics is None:
            intrinsics = layout.intrinsics(file).matrix(depth.shape[1], depth.shape[0])
        else:
            intrinsics = _of_size(options.intrinsics, depth.shape, file.path)
        farthest = layout.farthest if options.max_depth is None else options.max_depth
        depth, fitted = _sampled(depth, intrinsics, farthest, options.image_size)
        path, rgb = layout.picture(file), None
        if path is not None:
            rgb = resized(_picture(path), intrinsics, options.image_size)[0]
        pose = layout.pose(file)
        return depth_frame(depth, rgb, fitted, pose, layout.up_known, self.name, file.sequence, file.number)


class _Loose(NamedTuple):
    """A depth file of no known data set, whose intrinsics the caller knows."""

    path: str
    name: str
    options: _Options

    @property
    def sequence(self) -> str:
        return self.name

    def load(self) -> DepthFrame:
        options = self.options
        depth = options.decoded(Path(self.path))
        assert options.intrinsics is not None
        intrinsics = _of_size(options.intrinsics, depth.shape, self.path)
        depth, intrinsics = _sampled(depth, intrinsics, options.max_depth, options.image_size)
        return depth_frame(depth, None, intrinsics, None, False, self.name, self.name, 0)


def _of_size(intrinsics: np.ndarray, shape: tuple[int, ...], path: str) -> np.ndarray:
    """The caller's intrinsics, or SceneError where they are of no picture (H, W) of this ``shape``: those of
    a larger or smaller one have its middle elsewhere."""
    height, width = shape
    fx, fy, cx, cy = (intrinsics[k] for k in ((0, 0), (1, 1), (0, 2), (1, 2)))
    across, down = 2 * cx / width, 2 * cy / height
    resized_both = abs(across - down) < 0.08 and abs(across - 1) > 0.1
    views = [2 * np.degrees(np.arctan(size / 2 / f)) for size, f in ((width, fx), (height, fy))]
    if resized_both or not all(0.4 < share < 1.6 for share in (across, down)):
        raise SceneError(
            f"{path}: intrinsics: the middle ({cx:g}, {cy:g}) is that of a picture of about {2 * cx:.0f} x "
            f"{2 * cy:.0f} pixels, got a depth map of {width} x {height}; expected the depth map's own "
            f"(scaled by its width, {fx / across:g} {fy / across:g} {cx / across:g} {cy / across:g})"
        )
    if not all(5 < view < 160 for view in views):
        raise SceneError(
            f"{path}: intrinsics: got a field of view of {views[0]:.3g} x {views[1]:.3g} degrees for {width} "
            f"x {height} pixels; expected fx and fy in pixels, not millimetres or shares of the width"
        )
    return intrinsics


def _sampled(
    depth: np.ndarray, intrinsics: np.ndarray, farthest: float | None, image_size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """The depth and the intrinsics at the size asked for; 0 beyond ``farthest``."""
    small, fitted = resized(depth, intrinsics, image_size)
    if farthest is not None:
        small[small > farthest] = 0
    return small, fitted


def resized(
    image: np.ndarray, intrinsics: np.ndarray, image_size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """The image (H, W, ...) at ``image_size``, each pixel the one of the image that its centre falls into, as
    a mean of depths would lie on no surface; and the intrinsics (3, 3) to match, float64, pixels."""
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(int)
        for new, old in zip(image_size, image.shape[:2], strict=True)
    )
    scale = np.array([image_size[1] / image.shape[1], image_size[0] / image.shape[0], 1.0])
    return np.ascontiguousarray(image[rows[:, None], columns]), scale[:, None] * intrinsics


def _picture(path: Path) -> np.ndarray:
    """(H, W, 3) uint8."""
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except Exception as error:  # Pillow raises a dozen kinds, by what is damaged
        raise SceneError(f"{path}: no picture that can be read: {pointer_at(path) or error}") from None


def depth_frame(
    depth: np.ndarray,
    rgb: np.ndarray | None,
    intrinsics: np.ndarray,
    pose: np.ndarray | None,
    up_known: bool,
    name: str,
    sequence: str,
    number: int,
    segment: np.ndarray | None = None,
    truth: SceneTruth | None = None,
    plane: np.ndarray | None = None,
) -> DepthFrame:
    """The frame, its ground found and taken out of the target; ``up_known``: the pose says where up is;
    ``plane`` (4,), camera frame: the ground, where that is known. SceneError where nothing is left to fit."""
    up = IN_PICTURE if pose is None or not up_known else tuple(pose[1, :3])
    unknown = up is IN_PICTURE
    if plane is None:
        found = fit_ground(depth, intrinsics, up, UNKNOWN_TILT if unknown else TILT, steep=unknown)
    else:
        found = plane, ground_pixels(depth, intrinsics, plane)
    placed = pose
    if placed is None:
        placed = UPRIGHT if found is None else _standing(found[0])
    target, ground = depth > 0, None
    if found is not None:
        plane, mask = found
        normal = placed[:3, :3] @ plane[:3]
        ground = np.append(normal, plane[3] - normal @ placed[:3, 3])
        target &= ~mask
    if not target.any():
        but = "nothing is measured but the ground" if depth.any() else "nothing is measured: all of it is 0"
        raise SceneError(f"{name}: {but}, so there is nothing to fit")
    if rgb is None:
        rgb = shaded(depth, intrinsics, placed)
    view = View(rgb, depth, intrinsics.astype(np.float32), placed.astype(np.float32), segment)
    return DepthFrame(view, name, target, ground, sequence, number, pose is not None, truth)


def _standing(plane: np.ndarray) -> np.ndarray:
    """(4, 4) cam_to_world in which the plane (4,), camera frame, is y = 0, with the camera above the origin
    and looking towards -Z."""
    up = plane[:3]
    ahead = np.array([0.0, 0.0, 1.0]) - up[2] * up
    ahead /= np.linalg.norm(ahead)
    pose = np.eye(4)
    pose[:3, :3] = np.cross(ahead, up), up, -ahead
    pose[1, 3] = plane[3]
    return pose


class DepthSet(SceneSet[DepthFrame]):
    """Depth frames of one split: ``load`` reads or makes one."""

    word = "frame"

    @cached_property
    def sequences(self) -> dict[str, tuple[int, ...]]:
        """The indices of each sequence's frames, in the order of time."""
        found: dict[str, list[int]] = {}
        for index, source in enumerate(self.sources):
            found.setdefault(source.sequence, []).append(index)  # type: ignore[attr-defined]
        return {name: tuple(indices) for name, indices in found.items()}


def open_depth(
    scenes: str | Path = "procedural",
    split: str = "train",
    *,
    num_objects: int | Sequence[int] = (1, 6),
    noise: float = 0.0,
    camera_turn: float = 0.0,
    image_size: int | Sequence[int] = (72, 96),
    max_depth: float | None = None,
    intrinsics: Any = None,
    depth_scale: float | None = None,
    invalid: float | None = None,
) -> DepthSet:
    """The depth frames of a split.

    scenes:       "procedural"; a folder in one of the layouts of ``depth_layouts`` (its root, or any
                  folder above or below that); a folder or file of depth in no layout (.png, .tiff, .pgm,
                  .npy, .npz, .exr), with ``intrinsics``; or a YAML file of ``splits`` as for ``open_objects``
    split:        "train", "validation", "test", and for "procedural" also "test_category" (every second
                  object is of categories never trained on). A folder has no splits: each split is all of
                  it, and the set is ``leaky``.
    num_objects:  procedural: how many objects, 1 to 12, or the least and the most of them
    noise:        procedural: of the sensor, 0 = none, 1 = a Kinect's (``noisy_depth``)
    camera_turn:  procedural: degrees that the camera has gone round the objects, about +Y; the neighbouring
                  frame of the same scene
    image_size:   pixels, an integer or (H, W), at least 16: files are sampled at this size
    max_depth:    metres: what is farther counts as not measured; None: 80 m outdoors, any depth indoors
    intrinsics:   (fx, fy, cx, cy) or (3, 3), pixels of the files' own size; in place of the data set's
    depth_scale:  how many of a file's units are a metre, as 1000 for millimetres, in place of the data
                  set's; None: see ``depth_decoding.lone``
    invalid:      a file's value for no measurement, beside 0, 65535 and what is not finite
    Raises ValueError that names the argument, or the file and key, what was got and what was expected.
    """
    if split not in SPLITS:
        raise ValueError(f"split: got {split!r}, expected one of {', '.join(SPLITS)}")
    check_range("noise", noise, 0.0, 1.0)
    check_range("camera_turn", camera_turn, -180.0, 180.0)
    if max_depth is not None:
        check_range("max_depth", max_depth, 0.1, 1e6)
    if depth_scale is not None:
        check_range("depth_scale", depth_scale, 1.0, 1e6)  # below 1 are metres in a unit: the inverse
    if invalid is not None:
        check_range("invalid", invalid, -1e12, 1e12)
    intrinsics = None if intrinsics is None else _checked_intrinsics(intrinsics)
    size = checked_image_size(image_size if isinstance(image_size, int) else tuple(image_size), 1)
    options = _Options(
        size, max_depth, intrinsics, checked_count(num_objects), float(noise), float(np.radians(camera_turn)),
        depth_scale, invalid,
    )  # fmt: skip
    if str(scenes) == "procedural":
        for name, given in (("intrinsics", intrinsics), ("depth_scale", depth_scale), ("invalid", invalid)):
            if given is not None:
                raise ValueError(f"{name}: expected None for scenes='procedural', which have their own")
        first, count = PROCEDURAL[split]
        names = tuple(f"procedural-{seed:07d}" for seed in range(first, first + count))
        unseen = split == "test_category"
        made = tuple(_Seed(first + k, unseen, name, options) for k, name in enumerate(names))
        return DepthSet(names, f"procedural/{split}", False, made)
    for name, value in (("noise", noise), ("camera_turn", camera_turn), ("split", split)):
        if value == "test_category" or (name != "split" and value):
            raise ValueError(f"{name}: {value!r} is for scenes='procedural' only; got scenes={str(scenes)!r}")
    path = existing(scenes, "a folder, a depth file or a scene-set YAML")

    def listed(place: Path, frame: FileFrame, where: str) -> dict[str, _Recorded | _Loose]:
        return _listed(place, where, options)

    has_splits = path.is_file() and path.suffix.lower() in (".yaml", ".yml")
    label = f"{path.name}/{split}" if has_splits else path.name
    unknown = FileFrame()
    named = scene_set(path, split, unknown, listed) if has_splits else listed(path, unknown, "scenes")
    titles = {s.file.layout.title if isinstance(s, _Recorded) else "plain files" for s in named.values()}
    logger.info("%s: %d depth frames, %s", label, len(named), " and ".join(sorted(titles)))
    return DepthSet(tuple(named), label, not has_splits, tuple(named.values()))


def is_depth(scenes: str | Path) -> bool:
    """Whether there is a depth file, or a folder in one of the layouts."""
    path = absolute("scenes", scenes)
    if path.is_file():
        return path.suffix.lower() in SUFFIXES
    return path.is_dir() and bool(find(path, _files(path)[0]))


def _files(path: Path) -> tuple[list[Path], dict[str, list[Path]]]:
    """The files of a folder and below that may be depth, or the file itself; and what was left out, by the
    reason."""
    if path.is_file():
        return [path], {}
    return files_below(path, lambda name, _: name.lower().endswith(SUFFIXES))


def _listed(path: Path, where: str, options: _Options) -> dict[str, _Recorded | _Loose]:
    """Depth files by name: the file itself, or what is in the folder. ``where`` begins the errors."""
    files, left = _files(path)
    if not files or (path.is_file() and path.suffix.lower() not in SUFFIXES):
        raise ValueError(f"{where}: no depth in {path}; endings looked for: {' '.join(SUFFIXES)}")
    known = find(path, files)
    if known:
        of_known = {file.path for file in known.values()}
        if other := [file for file in files if _called_depth(file) and str(file) not in of_known]:
            left["called depth, in no layout"] = other
    warn_left_out(path, left)
    if known:
        return {name: _Recorded(file, name, options) for name, file in known.items()}
    if options.intrinsics is None:
        raise ValueError(
            f"{where}: {path} is in no known layout (depth_layouts lists them); "
            "for plain depth files intrinsics=(fx, fy, cx, cy) is needed"
        )
    names = [file.name if path.is_file() else file.relative_to(path).as_posix() for file in files]
    return {name: _Loose(str(file), name, options) for name, file in zip(names, files, strict=True)}


def _called_depth(file: Path) -> bool:
    return any("depth" in name.lower() for name in (file.parent.name, file.name))


def checked_count(value: int | Sequence[int]) -> tuple[int, int]:
    """(least, most)."""
    pair = tuple(value) if isinstance(value, (tuple, list, np.ndarray)) else (value, value)
    whole = all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) for n in pair)
    if len(pair) != 2 or not whole or not 1 <= pair[0] <= pair[1] <= MOST_OBJECTS:
        raise ValueError(
            f"num_objects: got {value!r}; expected an integer or (least, most), 1 to {MOST_OBJECTS}"
        )
    return int(pair[0]), int(pair[1])


def _checked_intrinsics(value: Any) -> np.ndarray:
    """(3, 3) float64."""
    expected = "(fx, fy, cx, cy) or a matrix (3, 3), pixels"
    given = floats("intrinsics", value, expected)
    if given.shape == (4,):
        given = np.array([[given[0], 0, given[2]], [0, given[1], given[3]], [0, 0, 1]])
    if given.shape != (3, 3) or not np.isfinite(given).all() or given[0, 0] <= 0 or given[1, 1] <= 0:
        raise ValueError(f"intrinsics: got {value!r}; expected {expected}, focal lengths above 0")
    if given[0, 1] or np.any(given[1:, 0]) or given[2, 1] or given[2, 2] != 1:
        raise ValueError(f"intrinsics: got {value!r}; expected {expected}, without skew")
    return given
