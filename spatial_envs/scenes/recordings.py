"""Recordings of moving things, which ``scenes=`` names: procedural ones, or files of a simulator's.

A file is an .npz of S scenes with K bodies, one tick every 10 ms, in a world with Z up and the ground at 0:

| array | shape | meaning |
|---|---|---|
| position_mm | (S, N, K, 3) int16 | centres, millimetres |
| quaternion | (S, N, K, 4) int16 | rotations body to world, w x y z, times 32767 |
| kind | (S, K) int | 0 sphere, 1 box, 2 cylinder, 3 capsule, 4 ellipsoid |
| size | (S, K, 3) | metres, see ``geometry.bodies.half_extents`` |
| window_start, times | (S,), (S, T) | optional: seconds of the start of the second that is shown, and the stamps in it |
| observed | (S, T, K, 3) | with those: the centres that are shown, metres, noise included |
"""  # noqa: E501

from __future__ import annotations

import logging
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np

from spatial_envs.foundation.errors import SceneError
from spatial_envs.geometry.bodies import KINDS, half_extents
from spatial_envs.procedural.moving_bodies import TICK, MovingBodies, moving_bodies
from spatial_envs.scenes.sets import PROCEDURAL, SceneSet, existing

logger = logging.getLogger(__name__)
REQUIRED = ("position_mm", "quaternion", "kind", "size")
LEAST_GAP = 0.02  # seconds between two frames
WINDOW = ("window_start", "times", "observed")
_HALF = np.sqrt(0.5)
_Z_TO_Y = np.array([-_HALF, 0.0, 0.0, _HALF])  # quaternion x y z w of the turn that takes Z up to Y up


class Window(NamedTuple):
    """What a file says is shown: its start, seconds; stamps (T,) from there on, seconds, increasing; and the
    centres (T, K, 3), metres."""

    start: float
    stamps: np.ndarray
    observed: np.ndarray


@dataclass(frozen=True, eq=False)
class Recording:
    """One scene, and what a predictor is to be shown of it, where its file says so."""

    name: str
    bodies: MovingBodies
    window: Window | None = None

    @property
    def duration(self) -> float:
        """Seconds from the first tick to the last."""
        return TICK * (len(self.bodies.centres) - 1)

    def poses(self, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Centres (T, K, 3), metres, and rotations (T, K, 4), unit quaternions x y z w, at times (T,) within
        the recording, between ticks by linear interpolation."""
        place = np.clip(np.asarray(times) / TICK, 0, len(self.bodies.centres) - 1)
        low = np.minimum(place.astype(int), len(self.bodies.centres) - 2)
        part = (place - low)[:, None, None]
        centres, rotations = self.bodies.centres, self.bodies.rotations
        after = rotations[low + 1]
        after = np.where((rotations[low] * after).sum(axis=-1, keepdims=True) < 0, -after, after)
        turned = (1 - part) * rotations[low] + part * after
        turned /= np.linalg.norm(turned, axis=-1, keepdims=True)
        return (1 - part) * centres[low] + part * centres[low + 1], turned

    def path(self, start: float, end: float) -> np.ndarray:
        """(K,) metres: how far each thing goes between two times, along its way."""
        first, last = sorted((start, end))
        ticks = TICK * np.arange(np.ceil(first / TICK + 1e-6), np.floor(last / TICK - 1e-6) + 1)
        centres, _ = self.poses(np.array([first, *ticks, last]))
        return np.linalg.norm(np.diff(centres, axis=0), axis=-1).sum(axis=0)


class RecordingSet(SceneSet[Recording]):
    """Recordings of one split."""

    word: ClassVar[str] = "scene"


class _Seed(NamedTuple):
    seed: int
    num_objects: tuple[int, int]
    unseen: bool
    name: str

    def load(self) -> Recording:
        return Recording(self.name, moving_bodies(self.seed, self.num_objects, self.unseen))


class _Recorded(NamedTuple):
    """A scene of a file."""

    path: str
    number: int
    name: str

    def load(self) -> Recording:
        arrays = _read(self.path)
        return _recording(f"{self.path}, scene {self.number}", self.name, {
            key: values[self.number] for key, values in arrays.items()
        })  # fmt: skip


def irregular_stamps(rng: np.random.Generator, count: int, duration: float) -> np.ndarray:
    """(count,) seconds from 0 to the duration, in between drawn, at least ``LEAST_GAP`` apart where they
    fit."""
    gap = min(LEAST_GAP, duration / (2 * count))
    free = duration - (count - 1) * gap
    return np.array([0.0, *(np.sort(rng.random(count - 2)) * free), free]) + gap * np.arange(count)


def open_recordings(scenes: str | Path, split: str, num_objects: tuple[int, int] = (1, 6)) -> RecordingSet:
    """The recordings of a split: ``"procedural"`` ones with a number of bodies from the least to the most, or
    those of an .npz file or a folder of them, which have no splits. ValueError where there are none."""
    if split not in PROCEDURAL:
        raise ValueError(f"split: got {split!r}, expected one of {', '.join(PROCEDURAL)}")
    if str(scenes) == "procedural":
        first, count = PROCEDURAL[split]
        seeds = range(first, first + count)
        names = tuple(f"procedural-{seed:07d}" for seed in seeds)
        unseen = split == "test_category"
        made = [_Seed(seed, num_objects, unseen, name) for seed, name in zip(seeds, names, strict=True)]
        return RecordingSet(names, f"procedural/{split}", False, tuple(made))
    if split == "test_category":
        got = f"got scenes={str(scenes)!r}"
        raise ValueError(f"split: 'test_category' exists for scenes='procedural' only; {got}")
    path = existing(scenes, "an .npz file of recordings or a folder of them")
    files = sorted(path.glob("*.npz")) if path.is_dir() else [path]
    if not files or any(file.suffix.lower() != ".npz" for file in files):
        raise ValueError(f"scenes: got {str(scenes)!r} without .npz files; expected recordings")
    listed: list[_Recorded] = []
    for file in files:
        for number in range(len(_read(str(file))["kind"])):
            listed.append(_Recorded(str(file), number, f"{file.stem}-{number:04d}"))
    logger.info("%s: %d recordings", path.name, len(listed))
    return RecordingSet(tuple(each.name for each in listed), path.name, True, tuple(listed))


@lru_cache(maxsize=8)
def _read(path: str) -> dict[str, np.ndarray]:
    """The arrays of a file, of as many scenes each. ValueError for a file that is none."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in (*REQUIRED, *WINDOW) if key in file}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"scenes: {path} cannot be read as .npz: {error}") from None
    if missing := [key for key in REQUIRED if key not in arrays]:
        raise ValueError(f"scenes: {path}: {', '.join(missing)} missing; expected {', '.join(REQUIRED)}")
    some = [key for key in WINDOW if key in arrays]
    if some and len(some) < len(WINDOW):
        raise ValueError(f"scenes: {path}: got {', '.join(some)} alone; expected all of {', '.join(WINDOW)}")
    counts = {key: values.shape[:1] for key, values in arrays.items()}
    if len(set(counts.values())) != 1 or counts["kind"] in ((), (0,)):
        raise ValueError(f"scenes: {path}: got {counts} scenes; expected as many in every array, from 1 on")
    return arrays


def _recording(where: str, name: str, arrays: dict[str, np.ndarray]) -> Recording:
    """The scene of a file's arrays, with Y up. SceneError, which begins with ``where``, for what is none."""
    position, quaternion, kind, size = (arrays[key] for key in REQUIRED)
    ticks, count = position.shape[:2] if position.ndim == 3 else (0, 0)
    expected = [(ticks, count, 3), (ticks, count, 4), (count,), (count, 3)]
    got = {key: arrays[key].shape for key in REQUIRED}
    if [*got.values()] != expected or ticks < 2 or count < 1:
        raise SceneError(f"{where}: got shapes {got}; expected (N, K, 3), (N, K, 4), (K,) and (K, 3), N > 1")
    if not all(np.isfinite(arrays[key]).all() for key in REQUIRED):
        raise SceneError(f"{where}: got values that are not finite; expected finite ones")
    if not np.isin(kind, np.arange(len(KINDS))).all():
        raise SceneError(f"{where}: kind: got {kind.tolist()}; expected 0 to {len(KINDS) - 1}")
    extents = half_extents(kind, size.astype(np.float64))
    if (extents <= 0).any():
        raise SceneError(f"{where}: size: got {size.tolist()}; expected lengths above 0")
    turned = quaternion.astype(np.float64)
    length = np.linalg.norm(turned, axis=-1, keepdims=True)
    if (length == 0).any():
        raise SceneError(f"{where}: quaternion: got 0 0 0 0; expected rotations")
    bodies = MovingBodies(
        kind.astype(int), extents, y_up(position / 1000.0), _y_up_rotations(turned / length)
    )
    return Recording(name, bodies, _window(where, arrays, ticks, count))


def y_up(points: np.ndarray) -> np.ndarray:
    """Points (..., 3) of a world with Z up in one with Y up: x, z, -y."""
    return np.stack([points[..., 0], points[..., 2], -points[..., 1]], axis=-1).astype(np.float64)


def _y_up_rotations(wxyz: np.ndarray) -> np.ndarray:
    """Unit quaternions x y z w (..., 4), body to a world with Y up, from w x y z to one with Z up."""
    w, x, y, z = np.moveaxis(wxyz, -1, 0)
    a, d = _Z_TO_Y[0], _Z_TO_Y[3]  # the product with (a, 0, 0, d)
    return np.stack([d * x + a * w, d * y - a * z, d * z + a * y, d * w - a * x], axis=-1)


def _window(where: str, arrays: dict[str, np.ndarray], ticks: int, count: int) -> Window | None:
    if WINDOW[0] not in arrays:
        return None
    start, stamps, observed = (np.asarray(arrays[key], np.float64) for key in WINDOW)
    if start.shape != () or stamps.ndim != 1 or observed.shape != (len(stamps), count, 3):
        got = {key: arrays[key].shape for key in WINDOW}
        raise SceneError(f"{where}: got shapes {got}; expected (), (T,) and (T, K, 3)")
    if not all(np.isfinite(each).all() for each in (start, stamps, observed)):
        raise SceneError(f"{where}: a window with values that are not finite; expected finite ones")
    order = np.argsort(stamps)
    stamps = stamps[order]
    if len(stamps) < 2 or (np.diff(stamps) <= 0).any():
        raise SceneError(f"{where}: times: got {stamps.tolist()}; expected two different stamps or more")
    if start + stamps[0] < 0 or start + stamps[-1] > TICK * (ticks - 1) + 1e-6:
        end = TICK * (ticks - 1)
        raise SceneError(f"{where}: times: got a window beyond the recording; expected it in 0 to {end:g} s")
    return Window(float(start), stamps, y_up(observed[order]))
