"""The built-in rasteriser beside a ray tracer, Embree (embreex), and where it is installed habitat-sim: depth
and face, or a whole view, of spheres and of an apartment in 1e3 to 1e6 triangles and 56 to 512 pixels.

Milliseconds of the processor for a view, medians; the contenders take turns, view by view. What is made once
of a mesh (our blocks, Embree's tree) is timed apart. Embree casts a ray through every pixel, which are turned
into the world anew for each view.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import trimesh

from spatial_envs.benchmark.walking import APARTMENT
from spatial_envs.geometry.building import Building
from spatial_envs.geometry.camera import Region, slope
from spatial_envs.geometry.mesh import Mesh
from spatial_envs.geometry.view import View
from spatial_envs.procedural.apartments.assembly import apartment
from spatial_envs.rendering.builtin import BuiltinRenderer, rasterise
from spatial_envs.simulators import make_simulator
from spatial_envs.simulators.agent import horizontal_intrinsics

SIZES = (56, 112, 224, 512)  # pixels, of square pictures
SPHERES, APARTMENTS = 6, 3  # how many, each of four times as many triangles as the last
POSES, FOV = 8, 60.0
Draw = Callable[[np.ndarray, np.ndarray, tuple[int, int]], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Timing:
    """Milliseconds for a view by contender, and for what is made once of the mesh; ``alike``: the share of
    pixels in which both have the same face, or a depth within a millimetre."""

    scene: str
    triangles: int
    pixels: int
    views: dict[str, float]
    made: dict[str, float]
    alike: float


def rasterisers(seconds: float) -> list[Timing]:
    """Every scene at every size, ``seconds`` of the processor for each."""
    timings = []
    building = apartment(APARTMENT)
    eyes = _eyes(building)
    for scene, mesh, poses in [*_spheres(), *_apartments(building, eyes)]:
        contenders, made = _prepared(mesh)
        for pixels in SIZES:
            timings.append(_timed(scene, mesh, poses, pixels, contenders, made, seconds))
    if importlib.util.find_spec("habitat_sim"):
        timings += [_beside_habitat(building, eyes, pixels, seconds) for pixels in SIZES]
    return timings


def table_of(timings: list[Timing]) -> str:
    """Markdown."""
    names = list(dict.fromkeys(name for timing in timings for name in timing.views))
    head = ["scene", "triangles", "px", *(f"{name}, ms" for name in names), "ratio", "alike", "made once, ms"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for t in timings:
        ours, *others = t.views.values()
        cells = [t.scene, f"{t.triangles:,}", str(t.pixels)]
        cells += [f"{t.views[name]:.2f}" if name in t.views else "" for name in names]
        cells += [f"{others[0] / ours:.2f}" if others else "", f"{100 * t.alike:.2f} %" if others else ""]
        cells.append(", ".join(f"{name} {value:,.0f}" for name, value in t.made.items()))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def plot(timings: list[Timing], path: Path) -> None:
    """Milliseconds over triangles, a panel for each kind of scene, a colour for each size, as PNG."""
    from matplotlib import pyplot as plt

    kinds = list(dict.fromkeys(timing.scene for timing in timings))
    across = 2 + 4.5 * len(kinds)
    figure, panels = plt.subplots(
        1, len(kinds), figsize=(across, 4.5), squeeze=False, sharex=True, sharey=True
    )
    for panel, kind in zip(panels[0], kinds, strict=True):
        for number, pixels in enumerate(SIZES):
            own = [t for t in timings if (t.scene, t.pixels) == (kind, pixels)]
            for name, style in zip(own[0].views, ("o-", "s--", "^:"), strict=False):
                label = f"{name}, {pixels} px"
                milliseconds = [t.views[name] for t in own]
                panel.loglog([t.triangles for t in own], milliseconds, style, color=f"C{number}", label=label)
        panel.set(title=kind, xlabel="triangles")
        panel.grid(True, which="major", alpha=0.3)
    panels[0, 0].set_ylabel("ms of one core for a view")
    panels[0, -1].legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)


# ---- scenes


def _spheres():
    poses = Region((2.0, 2.0)).fibonacci_poses(POSES)
    ball = trimesh.creation.icosphere(3)
    vertices, faces = ball.vertices, ball.faces
    for times in range(SPHERES):
        if times:
            vertices, faces = trimesh.remesh.subdivide(vertices, faces)
            vertices /= np.linalg.norm(vertices, axis=1, keepdims=True)
        yield "sphere", _bare(vertices, faces), poses


def _apartments(building: Building, eyes: np.ndarray):
    vertices, faces = building.mesh.vertices, building.mesh.faces
    for times in range(APARTMENTS):
        if times:
            vertices, faces = trimesh.remesh.subdivide(vertices, faces)
        yield "apartment", _bare(vertices, faces), eyes


def _bare(vertices: np.ndarray, faces: np.ndarray) -> Mesh:
    colors = np.full((len(vertices), 3), 200, np.uint8)
    return Mesh(np.ascontiguousarray(vertices, np.float32), np.ascontiguousarray(faces, np.int32), colors)


def _eyes(building: Building) -> np.ndarray:
    """(POSES, 4, 4): of an agent that stands somewhere and looks anywhere."""
    walker, rng = make_simulator("builtin", building), np.random.default_rng(0)
    states = [walker.reset(walker.sample(rng), rng.uniform(-np.pi, np.pi)) for _ in range(POSES)]
    return np.stack([walker.camera_pose(state) for state in states])


# ---- contenders


def _prepared(mesh: Mesh) -> tuple[dict[str, Draw], dict[str, float]]:
    """By contender: pose, intrinsics and size to 1/z and face; and the milliseconds of what is made once."""
    begin = time.process_time()
    blocks = mesh.blocks
    made = {"ours": 1000 * (time.process_time() - begin)}
    assert len(blocks.faces) == len(mesh.faces)
    contenders: dict[str, Draw] = {
        "ours": lambda pose, intrinsics, size: rasterise(mesh, pose, intrinsics, size)
    }
    if importlib.util.find_spec("embreex"):
        begin = time.process_time()
        contenders["Embree"] = _embree(mesh)
        made["Embree"] = 1000 * (time.process_time() - begin)
    return contenders, made


def _embree(mesh: Mesh) -> Draw:
    from embreex.mesh_construction import TriangleMesh
    from embreex.rtcore_scene import EmbreeScene

    scene = EmbreeScene()
    TriangleMesh(scene, mesh.vertices, mesh.faces)
    one = np.array([[0.0, 0.0, 9.0]], np.float32)
    scene.run(one, one)  # makes the tree
    kept: dict[tuple[int, int], np.ndarray] = {}

    def draw(pose: np.ndarray, intrinsics: np.ndarray, size: tuple[int, int]):
        if size not in kept:
            x, y = slope(np.arange(size[1]), intrinsics, 0), slope(np.arange(size[0]), intrinsics, 1)
            rays = np.stack([*np.broadcast_arrays(x[None], y[:, None], np.ones(size))], axis=-1)
            kept[size] = rays.reshape(-1, 3)
        ahead = (kept[size] @ pose[:3, :3].T).astype(np.float32)
        origins = np.broadcast_to(pose[:3, 3].astype(np.float32), ahead.shape).copy()  # it reads all of it
        hit = scene.run(origins, ahead, query="INTERSECT", output=True)
        faces, depth = hit["primID"].reshape(size), hit["tfar"].reshape(size)
        return np.where(faces >= 0, 1 / depth, 0.0), faces

    return draw


def _timed(
    scene: str, mesh: Mesh, poses: np.ndarray, pixels: int, contenders: dict[str, Draw],
    made: dict[str, float], seconds: float,
) -> Timing:  # fmt: skip
    size = (pixels, pixels)
    intrinsics = horizontal_intrinsics(FOV, size)
    drawn = [draw(poses[0], intrinsics, size) for draw in contenders.values()]  # warms up
    views = _turns(
        {name: lambda k, d=draw: d(poses[k % POSES], intrinsics, size) for name, draw in contenders.items()},  # type: ignore[misc]
        seconds,
    )
    (inverse, face), (other_inverse, other_face) = drawn[0], drawn[-1]
    both = (face >= 0) & (other_face >= 0)
    alike = face == other_face
    alike[both] |= np.abs(1 / inverse[both] - 1 / other_inverse[both]) < 1e-3
    return Timing(scene, len(mesh.faces), pixels, views, made, float(alike.mean()))


def _beside_habitat(building: Building, eyes: np.ndarray, pixels: int, seconds: float) -> Timing:
    """Whole views, RGB and depth."""
    habitat = make_simulator("habitat", building, image_size=pixels, hfov=FOV)
    size, renderer = (pixels, pixels), BuiltinRenderer()
    intrinsics = horizontal_intrinsics(FOV, size)
    both: dict[str, Callable[[int], View]] = {
        "ours": lambda k: renderer.render(building.mesh, eyes[k % POSES], intrinsics, size).painted(),
        "habitat-sim": lambda k: habitat.render_view(eyes[k % POSES]),
    }
    depths = [call(0).depth for call in both.values()]
    alike = np.abs(depths[0] - depths[1]) < 1e-2
    return Timing(
        "apartment, RGB", len(building.mesh.faces), pixels, _turns(both, seconds), {}, float(alike.mean())
    )


def _turns(contenders: Mapping[str, Callable[[int], object]], seconds: float) -> dict[str, float]:
    """The median milliseconds of each, one call of each in turn, until so many seconds are spent."""
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    turn = 0
    while turn < 3 or sum(map(sum, taken.values())) < seconds:
        for name, call in contenders.items():
            begin = time.process_time()
            call(turn)
            taken[name].append(time.process_time() - begin)
        turn += 1
    return {name: 1000 * float(np.median(durations)) for name, durations in taken.items()}
