"""Sets of five views of procedural objects and of rooms, rendered once and kept on the disk.

Training draws from them by the hundred thousand; rendering anew what a network sees for 20 ms would take
longer than its training. Chunks are made by as many processes as there are cores, each from its own seed, and
a library that was cut short is gone on with.
"""

from __future__ import annotations

import json
import math
import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from agents.backbone.data import (
    MAX_VIEWS,
    object_poses,
    prefix_gains,
    room,
    room_poses,
)
from agents.nbv.surface_gains import SurfaceGains
from spatial_envs.foundation.threads import set_threads
from spatial_envs.geometry.camera import pinhole, turn_about_y
from spatial_envs.geometry.view import View
from spatial_envs.nbv.task import CANDIDATES
from spatial_envs.rendering.builtin import BuiltinRenderer
from spatial_envs.scenes.objects import open_objects

CHUNK = 16  # objects, at most, that are made together, and furnish the rooms among them
DEPTH_STEPS = 65535  # of the 16 bits that keep a set's depth


@dataclass(frozen=True)
class Plan:
    """What a library holds: it is written beside it, and one of another plan is refused.

    objects    of the train split, from its first on
    sets       of each object
    rooms      for each chunk of 16 objects, or of all, where there are fewer
    """

    seed: int
    objects: int
    sets: int
    rooms: int
    image_size: int

    @property
    def chunk(self) -> int:
        """Objects of a chunk."""
        return min(CHUNK, self.objects)

    @property
    def per_chunk(self) -> int:
        """Sets of a chunk."""
        return self.chunk * self.sets + self.rooms

    @property
    def chunks(self) -> int:
        """How many there are, the last one whole."""
        return math.ceil(self.objects / self.chunk)


class Library:
    """An open library: ``len`` sets of 5 views; ``views(k)`` in the gravity frame of the first (of a room:
    upright about what they look at), and ``gains(k, n)`` (64,) after the first n, NaN for a room."""

    def __init__(self, folder: Path, plan: Plan, mode: str = "r") -> None:
        count, size = plan.chunks * plan.per_chunk, plan.image_size
        shapes: dict[str, tuple[tuple[int, ...], str]] = {
            "rgb": ((MAX_VIEWS, size, size, 3), "u1"),
            "depth": ((MAX_VIEWS, size, size), "u2"),
            "far": ((), "f4"),
            "intrinsics": ((3, 3), "f4"),
            "poses": ((MAX_VIEWS, 4, 4), "f4"),
            "gains": ((MAX_VIEWS, CANDIDATES), "f4"),
        }
        self.arrays = {
            name: np.lib.format.open_memmap(folder / f"{name}.npy", mode, dtype, (count, *shape))
            if mode == "w+"
            else np.load(folder / f"{name}.npy", mmap_mode=mode)  # type: ignore[arg-type]
            for name, (shape, dtype) in shapes.items()
        }

    def __len__(self) -> int:
        return len(self.arrays["far"])

    def views(self, index: int) -> View:
        """The set's five views."""
        get = self.arrays
        depth = get["depth"][index] * np.float32(get["far"][index] / DEPTH_STEPS)
        intrinsics = np.repeat(get["intrinsics"][index][None], MAX_VIEWS, axis=0)
        return View(np.array(get["rgb"][index]), depth, intrinsics, np.array(get["poses"][index]))

    def gains(self, index: int, count: int) -> np.ndarray:
        """(64,) float32: log gain of each candidate view after the first ``count``."""
        return np.array(self.arrays["gains"][index, count - 1])

    def write(self, index: int, views: View, gains: np.ndarray) -> None:
        """Keep a set."""
        far = float(views.depth.max())
        row = {
            "rgb": views.rgb,
            "depth": np.rint(views.depth * (DEPTH_STEPS / max(far, 1e-6))),
            "far": far,
            "intrinsics": views.intrinsics[0],
            "poses": views.cam_to_world,
            "gains": gains,
        }
        for name, value in row.items():
            self.arrays[name][index] = value


def open_library(folder: Path, plan: Plan, processes: int) -> Library:
    """The library in the folder; what is missing of it is rendered. ValueError for one of another plan."""
    folder.mkdir(parents=True, exist_ok=True)
    card, done = folder / "plan.json", folder / "done.txt"
    if card.is_file():
        kept = json.loads(card.read_text(encoding="utf-8"))
        if kept != vars(plan):
            raise ValueError(
                f"library: {folder} holds one of {kept}; expected {vars(plan)}, or another folder"
            )
    else:
        Library(folder, plan, "w+")
        card.write_text(json.dumps(vars(plan)), encoding="utf-8")
    finished = {int(line) for line in done.read_text(encoding="utf-8").split()} if done.is_file() else set()
    missing = [(folder, plan, k) for k in range(plan.chunks) if k not in finished]
    if missing:
        with _workers(min(processes, len(missing))) as rendered, done.open("a", encoding="utf-8") as file:
            for k in tqdm(rendered(_chunk, missing), "rendering", len(missing)):
                file.write(f"{k}\n")
                file.flush()
    return Library(folder, plan)


@contextmanager
def _workers(processes: int) -> Iterator[Callable]:
    """A ``map`` over so many processes, this one alone where one will do."""
    if processes == 1:
        yield map
        return
    with multiprocessing.get_context("spawn").Pool(processes, set_threads, (1,)) as pool:
        yield pool.imap_unordered


def _chunk(task: tuple[Path, Plan, int]) -> int:
    """Render one chunk into its place; its number."""
    folder, plan, number = task
    library = Library(folder, plan, "r+")
    rng = np.random.default_rng([plan.seed, number])
    for row, (views, gains) in enumerate(_sets(plan, number, rng)):
        library.write(number * plan.per_chunk + row, views, gains)
    return number


def _sets(plan: Plan, number: int, rng: np.random.Generator) -> Iterator[tuple[View, np.ndarray]]:
    objects, renderer = open_objects("procedural", "train"), BuiltinRenderer()
    size = (plan.image_size, plan.image_size)
    meshes = []
    for k in range(number * plan.chunk, (number + 1) * plan.chunk):
        thing = SurfaceGains(objects.load(k % len(objects)), rng)
        meshes.append(thing.mesh)
        for _ in range(plan.sets):
            poses, fov = object_poses(rng, MAX_VIEWS)
            intrinsics = pinhole(fov, size)
            views = renderer.render(thing.mesh, poses, intrinsics, size)
            azimuth = math.atan2(poses[0, 0, 3], poses[0, 2, 3])
            yield views.moved(turn_about_y(-azimuth)), prefix_gains(thing, poses, fov, azimuth)
    for _ in range(plan.rooms):
        chosen = rng.choice(plan.chunk, min(int(rng.integers(2, 8)), plan.chunk), replace=False)
        mesh, extent = room(rng, [meshes[k] for k in chosen])
        poses, fov, target = room_poses(rng, MAX_VIEWS, extent)
        views = renderer.render(mesh, poses, pinhole(fov, size), size)
        about = np.eye(4)
        about[:3, 3] = -target
        yield views.moved(about), np.full((MAX_VIEWS, CANDIDATES), np.nan, np.float32)
