"""How fast is it here: ``python -m spatial_envs.benchmark [--mesh file] [--building file] [--seconds 3]``.

One process. Milliseconds are medians; steps per second are totals as a user gets them, resets included
unless the row says otherwise.
Where embreex is installed, Embree's rays and scipy's k-d trees do a step's work beside ours. Where PyTorch3D
is installed, the research plan's own stack (its renderer, its Chamfer distance) runs beside ours on the same
object and views; where habitat-sim is installed, it walks beside ours through the same .glb.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.utils.performance import benchmark_step
from gymnasium.vector import AutoresetMode

import spatial_envs
from spatial_envs.backbones import mapanything
from spatial_envs.backbones.checkpoint import V1, is_here
from spatial_envs.foundation.threads import set_threads
from spatial_envs.geometry.building import STRUCTURE, Building
from spatial_envs.geometry.camera import measured_points, unproject
from spatial_envs.geometry.voxels import camera_rays
from spatial_envs.navigation import PointNavEnv
from spatial_envs.nbv import NBVEnv
from spatial_envs.procedural.apartments.assembly import apartment
from spatial_envs.rendering import make_renderer
from spatial_envs.scene_fit import SceneFitEnv
from spatial_envs.scenes.building_files import read_building, up_axis
from spatial_envs.simulators import make_simulator
from spatial_envs.simulators.simulator import FORWARD, LEFT, RIGHT
from spatial_envs.simulators.stage import write_glb

gym.register_envs(spatial_envs)

WARM_OBJECTS = 16
APARTMENT = 25  # the seed of a procedural one, 54,068 triangles


def milliseconds(call: Callable[[int], object], seconds: float) -> float:
    """The median duration of ``call(k)``, k = 0, 1, ..., after one call to warm up."""
    call(0)
    durations: list[float] = []
    while sum(durations) < seconds or len(durations) < 3:
        begin = time.perf_counter()
        call(len(durations))
        durations.append(time.perf_counter() - begin)
    return 1000 * float(np.median(durations))


def measure(scenes: str, seconds: float) -> list[tuple[str, float, str]]:
    """(what, figure, unit) for one set of objects, the first 16 of it, all built beforehand."""
    probe = NBVEnv(scenes=scenes, backbone="unproject")
    count = min(WARM_OBJECTS, len(probe.task.objects))
    env = NBVEnv(scenes=scenes, backbone="unproject", num_objects=count)
    begin = time.perf_counter()
    for index in range(count):
        env.reset(seed=0, options={"object": index})
    build = (time.perf_counter() - begin) / count
    task, poses = env.task, env.task.region.fibonacci_poses(64)
    episodes = []
    for index in range(count):
        env.reset(options={"object": index})
        episodes.append(task.episode(0))

    def render(k: int):
        return task.renderer.render(episodes[k % count].mesh, poses[k % 64], task.intrinsics, task.image_size)

    def encode(k: int):
        return task.features.encode([[views[k % 64]]], [episodes[k % count].frame_to_world], [None])

    views = [render(k) for k in range(64)]
    clouds = [unproject(v.depth, v.intrinsics, v.cam_to_world)[v.depth > 0] for v in views]
    rows = [
        ("triangles, mean", float(np.mean([len(e.mesh.faces) for e in episodes])), ""),
        ("new object: mesh, reference, threshold", 1000 * build, "ms"),
        ("render a view", milliseconds(render, seconds), "ms"),
        ("encode a view", milliseconds(encode, seconds), "ms"),
        (
            "Chamfer of a view's points",
            milliseconds(lambda k: _grow(episodes[k % count], clouds[k % 64]), seconds),
            "ms",
        ),
        ("reset, object known", milliseconds(lambda k: env.reset(), seconds), "ms"),
    ]
    stepping, steps = 0.0, 0
    while stepping < seconds:
        env.reset()
        begin, over = time.perf_counter(), False
        while not over:
            over = env.step(env.action_space.sample())[2]
            steps += 1
        stepping += time.perf_counter() - begin
    rows.append(("steps within episodes", steps / stepping, "per s"))
    rows.append(
        ("steps, resets included", benchmark_step(env, target_duration=int(max(seconds, 1)), seed=0), "per s")
    )
    rows.append(("steps, 8 at once (make_vec)", _vector_rate(scenes, count, seconds), "per s"))
    if importlib.util.find_spec("stable_baselines3"):
        rows.append(("training, Stable-Baselines3 PPO with its own CNN", _training_rate(env), "steps per s"))
    return rows


def backbones(scenes: str, seconds: float) -> list[str]:
    """Markdown, a row for each backbone that is here: the milliseconds of a step to n views, the new view
    alone looked at and all of them; what the weights take, and what is kept of a view; steps per second."""
    head = ["backbone, px", *(f"{n} views, ms: cached / not" for n in range(1, 6))]
    head += ["weights, MB", "kept per view, MB", "steps per s, resets included"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    here = ["unproject", "compact"]
    if mapanything.is_installed() and is_here(V1):
        here.append("mapanything")
    return lines + [_backbone(name, scenes, seconds) for name in here]


def _backbone(name: str, scenes: str, seconds: float) -> str:
    env = NBVEnv(scenes=scenes, backbone=name, num_objects=1)
    env.reset(seed=0)
    task, episode = env.task, env.task.episode(0)
    poses = task.region.fibonacci_poses(5)
    views = [task.renderer.render(episode.mesh, pose, task.intrinsics, task.image_size) for pose in poses]

    def step(seen: list, known: list | None):
        return task.features.encode([seen], [episode.frame_to_world], [known])

    cells: list[str] = []
    kept: list = []
    for count in range(1, 6):
        alone = views[count - 1 : count] if task.backbone is not None and task.backbone.independent else None
        new, known = alone or views[:count], kept or None
        cached = milliseconds(lambda k, new=new, known=known: step(new, known), seconds / 3)  # type: ignore[misc]
        whole = milliseconds(lambda k, seen=views[:count]: step(seen, None), seconds / 3)  # type: ignore[misc]
        kept = (step(new, known).per_view or [[]])[0]
        cells.append(f"{cached:.1f} / {whole:.1f}")
    net = getattr(task.backbone, "net", None) or getattr(task.backbone, "model", None)
    weights = 0 if net is None else sum(p.numel() * p.element_size() for p in net.parameters()) / 1e6
    size = sum(_bytes(view) for view in kept) / max(len(kept), 1) / 1e6
    rate = benchmark_step(env, target_duration=int(max(seconds, 1)), seed=0)
    cells += [f"{weights:.1f}", f"{size:.2f}", f"{rate:.0f}"]
    return f"| {name}, {task.image_size[0]} | " + " | ".join(cells) + " |"


def _bytes(kept) -> int:
    """Count the bytes of the tensors in what a backbone keeps of a view."""
    if isinstance(kept, torch.Tensor):
        return kept.numel() * kept.element_size()
    return sum(
        _bytes(part)
        for part in (kept if isinstance(kept, tuple) else vars(kept).values())
        if part is not None
    )


def _grow(episode, points: np.ndarray) -> dict[str, float]:
    cloud = episode.reference.empty_cloud()
    cloud.add(points)
    return cloud.metrics()


def _vector_rate(scenes: str, count: int, seconds: float) -> float:
    mode = AutoresetMode.SAME_STEP  # every step of every row is one of an episode
    envs = gym.make_vec(
        "NBV-MapAnything-v0", 8, autoreset_mode=mode, backbone="unproject", scenes=scenes, num_objects=count
    )
    for index in range(count):
        envs.reset(seed=0, options={"object": index})
    envs.action_space.seed(0)
    envs.reset(seed=0)
    begin, steps = time.perf_counter(), 0
    while time.perf_counter() - begin < seconds:
        envs.step(envs.action_space.sample())
        steps += envs.num_envs
    return steps / (time.perf_counter() - begin)


def _training_rate(env: NBVEnv) -> float:
    from stable_baselines3 import PPO

    model = PPO("MultiInputPolicy", env, n_steps=128, batch_size=64, device="cpu", seed=0)
    model.learn(128)
    begin = time.perf_counter()
    model.learn(512)
    return 512 / (time.perf_counter() - begin)


def against_pytorch3d(scenes: str, seconds: float) -> list[tuple[str, float, str]]:
    """A view and its Chamfer distance by PyTorch3D, and by us, one after the other on the same object."""
    from pytorch3d.loss import chamfer_distance

    env = NBVEnv(scenes=scenes, backbone="unproject", num_objects=1)
    env.reset(seed=0)
    task, episode = env.task, env.task.episode(0)
    poses = task.region.fibonacci_poses(64)
    theirs = make_renderer("pytorch3d", "cpu")
    reference = torch.as_tensor(episode.reference.points)[None]

    def step(renderer, k: int):
        view = renderer.render(episode.mesh, poses[k % 64], task.intrinsics, task.image_size)
        return unproject(view.depth, view.intrinsics, view.cam_to_world)[view.depth > 0]

    plan = milliseconds(
        lambda k: chamfer_distance(torch.as_tensor(step(theirs, k))[None], reference), seconds
    )
    ours = milliseconds(lambda k: _grow(episode, step(task.renderer, k)), seconds)
    return [
        ("render + Chamfer, PyTorch3D", plan, "ms"),
        ("render + Chamfer, built-in", ours, "ms"),
        ("ratio", plan / ours, "times"),
    ]


def against_embree(scenes: str, seconds: float) -> list[tuple[str, float, str]]:
    """A step's render and Chamfer, a view grown by a second one: rays by Embree and scipy's k-d trees, and by
    us, one after the other on the same object and poses. Embree gives depth alone, and we colours as well."""
    from embreex.mesh_construction import TriangleMesh
    from embreex.rtcore_scene import EmbreeScene
    from scipy.spatial import cKDTree

    env = NBVEnv(scenes=scenes, backbone="unproject", num_objects=1)
    env.reset(seed=0)
    task, episode = env.task, env.task.episode(0)
    poses = task.region.fibonacci_poses(64)
    scene, dense = EmbreeScene(), cKDTree(episode.reference.dense.points)
    TriangleMesh(scene, episode.mesh.vertices[episode.mesh.faces])
    first = _seen(task, episode, poses[0])
    kept = cKDTree(first).query(episode.reference.points)[0]

    def theirs(k: int) -> float:
        origin, rays = camera_rays(task.intrinsics, poses[k % 64], task.image_size)
        rays = rays.astype(np.float32)
        origins = np.tile(origin.astype(np.float32), (len(rays), 1))
        depth = scene.run(origins, rays, query="DISTANCE")
        hit = depth < 1e6
        points = origins[hit] + depth[hit, None] * rays[hit]
        missing = np.minimum(cKDTree(points).query(episode.reference.points)[0], kept)
        return dense.query(points)[0].mean() + missing.mean()

    begun = episode.reference.empty_cloud()
    begun.add(first)

    def ours(k: int) -> dict[str, float]:
        cloud = begun.copy()
        cloud.add(_seen(task, episode, poses[k % 64]))
        return cloud.metrics()

    plan, own = milliseconds(theirs, seconds), milliseconds(ours, seconds)
    return [
        ("render + Chamfer, Embree and scipy", plan, "ms"),
        ("render + Chamfer, built-in", own, "ms"),
        ("ratio", plan / own, "times"),
    ]


def _seen(task, episode, pose: np.ndarray) -> np.ndarray:
    view = task.renderer.render(episode.mesh, pose, task.intrinsics, task.image_size)
    return measured_points(view.depth, view.intrinsics, view.cam_to_world)


def navigation(seconds: float, path: str | None = None) -> list[tuple[str, float, str]]:
    """Steps per second of one core's time, of random walks with RGB-D after each step: our own simulator and,
    where habitat-sim is installed, both in turn in the same .glb. Two buildings: small, the file at ``path``
    or else a procedural apartment without its furniture, and large, the apartment."""
    large = apartment(APARTMENT)
    kept = [number for number, o in large.objects.items() if o.category in STRUCTURE]
    walls = np.isin(large.mesh.face_segments, kept)
    textures = large.mesh.face_texture
    bare = replace(
        large.mesh,
        faces=large.mesh.faces[walls],
        face_texture=None if textures is None else textures[walls],
        segment=large.mesh.face_segments[walls],
    )
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        with tempfile.TemporaryDirectory() as folder:
            files = {
                "small": Path(path) if path else Path(folder, "bare.glb"),
                "large": Path(folder, "all.glb"),
            }
            write_glb(large, files["large"])
            if not path:
                write_glb(replace(large, mesh=bare), files["small"])
            rows = []
            for size, file in files.items():
                building = replace(read_building(file, up_axis(file)), objects={})  # no semantic camera
                rows += _walks(size, building, seconds)
            rows += _walked_environment(files["large"], seconds)
    finally:
        os.sched_setaffinity(0, cores)
    return rows


def _walks(size: str, building: Building, seconds: float) -> list[tuple[str, float, str]]:
    """The rows of one building."""
    names = ["builtin"] + ["habitat"] * (importlib.util.find_spec("habitat_sim") is not None)
    walkers = {name: make_simulator(name, building) for name in names}
    taken, steps = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0)
    rng = np.random.default_rng(0)
    for block in range(1_000_000):
        actions = rng.choice([FORWARD, LEFT, RIGHT], 50, p=[0.6, 0.2, 0.2])
        for name, walker in walkers.items():
            walker.reset(walker.sample(np.random.default_rng(block)), 0.0)
            begin = time.process_time()  # whatever else the core is busy with
            for action in actions.tolist():
                walker.step(action)
                walker.view()
            if block:  # the first warms up
                taken[name] += time.process_time() - begin
                steps[name] += len(actions)
        if min(taken.values()) >= seconds:
            break
    rates = {name: steps[name] / taken[name] for name in names}
    triangles = f"{size} building, {len(building.mesh.faces):,} triangles"
    rows = [(f"{triangles}: {name}", rate, "steps per s") for name, rate in rates.items()]
    if "habitat" in rates:
        rows.append((f"{triangles}: ratio", rates["builtin"] / rates["habitat"], "times"))
    return rows


def _walked_environment(file: Path, seconds: float) -> list[tuple[str, float, str]]:
    """Steps per second of one core's time within episodes of PointNav, 128 px, without and with the map."""
    rows = []
    without: dict[str, Any] = {"reconstruction": "none", "weights": {"chamfer": 0.0}}
    for name, arguments in (("RGB-D alone", without), ("with the map and its Chamfer", {})):
        env = PointNavEnv(scenes=str(file), image_size=128, backbone=None, max_steps=10**6, **arguments)
        env.reset(seed=0)
        rng = np.random.default_rng(0)
        actions = rng.choice([FORWARD, LEFT, RIGHT], 2000, p=[0.6, 0.2, 0.2])
        for action in actions[:20].tolist():  # compiles
            env.step(action)
        begin, count = time.process_time(), 0
        while time.process_time() - begin < seconds:
            env.step(actions[count % len(actions)])
            count += 1
        rows.append((f"PointNav, {name}", count / (time.process_time() - begin), "steps per s"))
    return rows


def fitting(seconds: float) -> list[tuple[str, float, str]]:
    """Steps per second of one core's time of random actions, resets on frames at hand included, K = 6,
    72 x 96 pixels, without a backbone."""
    rows = []
    told = ["slots", "residuals", "turn", "remaining"]
    for name, observations in (("slots and residuals", told), ("and pictures of target and fit", None)):
        env = SceneFitEnv(num_objects=6, num_frames=8, backbone=None, observations=observations)
        env.action_space.seed(0)
        for frame in range(8):
            env.reset(seed=0, options={"frame": frame})
        env.step(env.action_space.sample())  # compiles
        begin, count = time.process_time(), 0
        while time.process_time() - begin < seconds:
            if env.step(env.action_space.sample())[2]:
                env.reset()
            count += 1
        rows.append((f"SceneFit, {name}", count / (time.process_time() - begin), "steps per s"))
    return rows


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mesh", help="a mesh file for the first table; by default one procedural object")
    parser.add_argument("--building", help="a building's file for the small one of the last table")
    parser.add_argument("--seconds", type=float, default=3.0, help="spent on each figure (default 3)")
    parser.add_argument("--threads", type=int, help="of torch and BLAS; by default 1, or OMP_NUM_THREADS")
    options = parser.parse_args()
    threads = set_threads(options.threads)
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    print(
        f"{_processor()}, {os.cpu_count()} cores, {threads} threads of torch, {gpu}, "
        f"Python {platform.python_version()}, torch {torch.__version__}"
    )
    tables = {"procedural": measure("procedural", options.seconds)}
    if options.mesh:
        tables = {options.mesh: measure(options.mesh, options.seconds), **tables}
    if importlib.util.find_spec("pytorch3d"):
        tables["against the research plan's stack"] = against_pytorch3d(
            options.mesh or "procedural", options.seconds
        )
    else:
        print("PyTorch3D is not installed: no comparison with the research plan's own stack")
    if importlib.util.find_spec("embreex"):
        tables["against Embree and scipy"] = against_embree(options.mesh or "procedural", options.seconds)
    for title, rows in tables.items():
        print(f"\n{title}, 112 x 112, backbone unproject\n| what | figure | |\n|---|---|---|")
        for what, figure, unit in rows:
            print(
                f"| {what} | {figure:,.2f} | {unit} |"
                if figure < 100
                else f"| {what} | {figure:,.0f} | {unit} |"
            )
    print("\nbackbones, one object")
    print("\n".join(backbones(options.mesh or "procedural", options.seconds)))
    if importlib.util.find_spec("habitat_sim") is None:
        print("\nhabitat-sim is not installed: our own simulator alone")
    print("\nnavigation, step and RGB-D, 128 x 128, one core\n| what | figure | |\n|---|---|---|")
    for what, figure, unit in navigation(options.seconds, options.building):
        print(f"| {what} | {figure:,.1f} | {unit} |")
    print("\nprototype fitting, 6 slots, 72 x 96, one core\n| what | figure | |\n|---|---|---|")
    for what, figure, unit in fitting(options.seconds):
        print(f"| {what} | {figure:,.0f} | {unit} |")


if __name__ == "__main__":
    main()
