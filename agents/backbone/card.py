"""The figures of the compact backbone's model card: ``python -m agents.backbone.card [--scenes folder]``.

Sets of 1, 2 and 4 views from next-best-view's cameras, with those of four kinds of input that the backbone
takes; every figure beside that of a trivial predictor:

    point error   mean distance of predicted from true points over the pixels that were hit (and, with noise,
                  measured), in the first view's frame, share of the diameter. Trivial: the measured depth and
                  poses, unprojected; without depth the plane at depth |camera centre| + c, the c of least
                  error
    abs-rel       mean |z - z*| / z*. Trivial: as above
    pose          mean angle (degrees) and shift (share of the camera's distance) of the views but the first.
                  Trivial: the measured poses; without poses the first view's
    calibration   mean over ten bins by expected error of |expected - actual error of the bin|, as a share
                  of the mean error. Trivial: the mean error everywhere

A second table has posed images before other backgrounds than black.

Without poses or depth the images have no scale: each set is aligned by the one that makes the depths' medians
equal, the trivial one likewise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from agents.backbone.backgrounds import KINDS as BACKGROUNDS
from agents.backbone.backgrounds import Backdrops
from agents.backbone.data import NOISY, Noise, given, random_camera
from agents.flags import UserPath, parse_flags
from spatial_envs.backbones.compact import Compact
from spatial_envs.backbones.networks import NetworkBackbone
from spatial_envs.foundation.threads import set_threads
from spatial_envs.geometry.camera import inverse_pose, pinhole, turn_about_y, unproject
from spatial_envs.geometry.view import View
from spatial_envs.rendering.builtin import BuiltinRenderer
from spatial_envs.scenes.objects import ObjectSet, open_objects

KINDS = {  # inputs beside the images, and noise
    "rgb": ((), Noise()),
    "rgb, intrinsics, pose": (("intrinsics", "pose"), Noise()),
    "all": (("intrinsics", "depth", "pose"), Noise()),
    "all, noisy": (("intrinsics", "depth", "pose"), NOISY),
}
COUNTS = (1, 2, 4)


@dataclass(frozen=True)
class Flags:
    """What the command line says."""

    scenes: str = "procedural"
    """"procedural" or a path."""
    split: str = "test"
    """Its split."""
    sets: int = 128
    """Sets of views for each row, each of an object of its own as long as there are any."""
    first: int = 0
    """Which object is the first: those that decided anything do not judge."""
    weights: UserPath | None = None
    """By default those that ship."""
    seed: int = 0
    """Of cameras and noise."""


def card(flags: Flags) -> str:
    """Markdown: one row for each kind of input and number of views, ours / trivial; then one for each kind of
    background."""
    backbone, objects = Compact(flags.weights), open_objects(flags.scenes, flags.split)
    return "\n\n".join(
        [
            points(backbone, objects, flags.sets, flags.seed, first=flags.first),
            before_backgrounds(backbone, objects, flags.sets, flags.seed, flags.first),
        ]
    )


def points(
    backbone: NetworkBackbone,
    objects: ObjectSet,
    number: int,
    seed: int = 0,
    image_size: int = 112,
    first: int = 0,
) -> str:
    """The table of so many sets of views of the objects from the ``first`` on."""
    lines = [
        f"{_said(objects, first, number)}; ours / trivial",
        "",
        "| inputs | views | point error, % of diameter | abs-rel, % | pose, degrees | pose, % of distance "
        "| calibration |",
        "|---|---|---|---|---|---|---|",
    ]
    shot = {count: _sets(objects, first, number, count, seed, image_size) for count in COUNTS}
    offsets = {count: best_offset(sets) for count, sets in shot.items()}
    for kind, (inputs, _) in KINDS.items():
        if not set(backbone.needs) <= set(inputs):
            continue
        for count, sets in shot.items():
            rng = np.random.default_rng(seed)
            rows = [
                judge(backbone, kind, truth, offsets[count], rng)
                for truth in tqdm(sets, f"{kind}, {count}", leave=False)
            ]
            lines.append(f"| {kind} | {count} | {_summary(rows)} |")
    return "\n".join(lines)


def before_backgrounds(
    backbone: NetworkBackbone, objects: ObjectSet, number: int, seed: int = 0, first: int = 0
) -> str:
    """The table of abs-rel, %, of posed images of the objects before every kind of background."""
    shot = {count: _sets(objects, first, number, count, seed, 112) for count in COUNTS}
    offsets = {count: best_offset(sets) for count, sets in shot.items()}
    lines = [
        f"{_said(objects, first, number)}; abs-rel, %, of posed images, ours / trivial",
        "",
        "| background | " + " | ".join(f"{count} view{'s' * (count > 1)}" for count in COUNTS) + " |",
        "|---" * (1 + len(COUNTS)) + "|",
    ]
    for kind in BACKGROUNDS:
        cells = []
        for count, sets in shot.items():
            rng = np.random.default_rng(seed)
            backdrops = Backdrops(rng)
            rows = [
                judge(backbone, "rgb, intrinsics, pose", backdrops.put(truth, kind), offsets[count], rng)
                for truth in tqdm(sets, f"{kind}, {count}", leave=False)
            ]
            cells.append(_cell(rows, "relative", 100, 2))
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _sets(objects: ObjectSet, first: int, number: int, count: int, seed: int, image_size: int) -> list[View]:
    rng = np.random.default_rng(seed)
    return [shoot(objects, first + k, count, rng, image_size) for k in range(number)]


def _said(objects: ObjectSet, first: int, number: int) -> str:
    return f"{number} sets of {objects.label}" + (f", from object {first} on" if first else "")


def best_offset(sets: list[View]) -> float:
    """Metres: the median over all pixels that were hit of depth less the camera's distance from the
    centre."""
    return float(np.median(np.concatenate([_beyond_centre(v)[v.depth > 0] for v in sets])))


def _beyond_centre(views: View) -> np.ndarray:
    return views.depth - np.linalg.norm(views.cam_to_world[:, :3, 3], axis=1)[:, None, None]


def shoot(
    objects: ObjectSet, index: int, count: int, rng: np.random.Generator, image_size: int = 112
) -> View:
    """``count`` views of the object from cameras drawn from the region, in the gravity frame."""
    mesh = objects.load(index % len(objects))
    poses = [random_camera(rng) for _ in range(count)]
    size = (image_size, image_size)
    views = BuiltinRenderer().render(mesh, np.stack(poses), pinhole(50, size), size)
    x, _, z = views.cam_to_world[0, :3, 3]
    return views.moved(turn_about_y(-np.arctan2(x, z)))


def judge(
    backbone: NetworkBackbone, kind: str, truth: View, offset: float, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Return, for one set of views, the errors of the pixels and of the poses, ours and the trivial
    predictor's, whose depth is the camera's distance and ``offset``, metres."""
    inputs, noise = KINDS[kind]
    count = len(truth.depth)
    every, none = np.ones(count, np.bool_), np.zeros(count, np.bool_)
    has = {name: every if name in inputs else none for name in ("intrinsics", "depth", "pose")}
    sample = given(truth, np.zeros(0), has["intrinsics"], has["depth"], has["pose"], noise, rng)
    measured = sample.measured
    encoding = backbone.encode(
        measured[None], every[None], given={name: flag[None] for name, flag in has.items()}
    )
    hit = (truth.depth > 0) & ((measured.depth > 0) | ("depth" not in inputs))
    distance = np.linalg.norm(truth.cam_to_world[:, :3, 3], axis=1)
    true_points = _unprojected(truth.depth, truth)
    assert encoding.cam_to_world is not None
    points, poses = encoding.points[0].cpu().numpy(), encoding.cam_to_world[0].cpu().numpy()
    depth = _axis_depth(points, poses)
    first = truth.cam_to_world[0]
    trivial_poses = (
        measured.cam_to_world if "pose" in inputs else np.broadcast_to(first, truth.cam_to_world.shape)
    )
    if "depth" in inputs:
        trivial_depth = measured.depth
    else:
        trivial_depth = np.broadcast_to((distance + offset)[:, None, None], truth.depth.shape).astype(
            np.float32
        )
        if not inputs:
            trivial_depth = np.full_like(truth.depth, distance.mean())
    if not inputs:  # one scale for each set
        factor = float(np.median(truth.depth[hit]) / np.median(depth[hit]))
        poses = poses.copy()
        poses[:, :3, 3] = first[:3, 3] + factor * (poses[:, :3, 3] - first[:3, 3])
        points, depth = first[:3, 3] + factor * (points - first[:3, 3]), factor * depth
        trivial_depth = trivial_depth * np.median(truth.depth[hit]) / np.median(trivial_depth[hit])
    moved = View(truth.rgb, trivial_depth, truth.intrinsics, np.ascontiguousarray(trivial_poses))
    trivial_points = _unprojected(trivial_depth, moved)
    relative = np.abs(depth - truth.depth)[hit] / truth.depth[hit]
    expected = (1 / encoding.confidence[0].cpu().numpy())[hit]
    return {
        "points": np.linalg.norm(points - true_points, axis=-1)[hit],
        "points trivial": np.linalg.norm(trivial_points - true_points, axis=-1)[hit],
        "relative": relative,
        "relative trivial": np.abs(trivial_depth - truth.depth)[hit] / truth.depth[hit],
        "expected": expected,
        "turn": _angles(poses, truth.cam_to_world), "turn trivial": _angles(trivial_poses,
        truth.cam_to_world), "shift": _shifts(poses, truth.cam_to_world) / distance[1:],
        "shift trivial": _shifts(trivial_poses, truth.cam_to_world) / distance[1:],
    }  # fmt: skip


def _unprojected(depth: np.ndarray, views: View) -> np.ndarray:
    frames = zip(depth, views.intrinsics, views.cam_to_world, strict=True)
    return np.stack([unproject(np.ascontiguousarray(d, np.float32), k, pose) for d, k, pose in frames])


def _axis_depth(points: np.ndarray, poses: np.ndarray) -> np.ndarray:
    """(n, H, W): depth along the optical axis of points (n, H, W, 3) in cameras (n, 4, 4)."""
    inverse = inverse_pose(poses)
    return np.einsum("nj,nhwj->nhw", inverse[:, 2, :3], points) + inverse[:, 2, 3][:, None, None]


def _angles(poses: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(n - 1,) degrees between rotations, the first view left out."""
    trace = np.einsum("nij,nij->n", poses[1:, :3, :3].astype(np.float64), truth[1:, :3, :3])
    return np.degrees(np.arccos(np.clip((trace - 1) / 2, -1, 1)))


def _shifts(poses: np.ndarray, truth: np.ndarray) -> np.ndarray:
    return np.linalg.norm(poses[1:, :3, 3] - truth[1:, :3, 3], axis=1)


def _summary(rows: list[dict[str, np.ndarray]]) -> str:
    """The cells of a row: means over sets, so that a large object counts no more than a small one."""
    expected = np.concatenate([row["expected"] for row in rows])
    actual = np.concatenate([row["relative"] for row in rows])
    bins = np.array_split(np.argsort(expected), 10)
    off = np.mean([abs(expected[b].mean() - actual[b].mean()) for b in bins]) / actual.mean()
    off_trivial = np.mean([abs(actual.mean() - actual[b].mean()) for b in bins]) / actual.mean()
    columns = [("points", 100, 2), ("relative", 100, 2), ("turn", 1, 2), ("shift", 100, 2)]
    cells = [_cell(rows, *column) for column in columns]
    return " | ".join([*cells, f"{off:.2f} / {off_trivial:.2f}"])


def _cell(rows: list[dict[str, np.ndarray]], name: str, factor: float, digits: int) -> str:
    both = [
        [factor * float(row[key].mean()) for row in rows if row[key].size]
        for key in (name, f"{name} trivial")
    ]
    return " / ".join(f"{np.mean(values):.{digits}f}" for values in both) if both[0] else ""


if __name__ == "__main__":
    set_threads()
    print(card(parse_flags(Flags, __doc__, "python -m agents.backbone.card")))
