"""Next-best-view: its parts, its steps, its backbones, and the research plan's own stack beside it."""

from __future__ import annotations

import importlib.util
import time

import gymnasium as gym
import numpy as np
import torch
from gymnasium.utils.performance import benchmark_step
from gymnasium.vector import AutoresetMode

from spatial_envs.backbones import mapanything
from spatial_envs.backbones.checkpoint import V1, is_here
from spatial_envs.benchmark.timing import Rows, milliseconds
from spatial_envs.geometry.camera import measured_points, unproject
from spatial_envs.geometry.voxels import camera_rays
from spatial_envs.nbv import NBVEnv
from spatial_envs.rendering import make_renderer

WARM_OBJECTS = 16


def measure(scenes: str, seconds: float) -> Rows:
    """(what, figure, unit) for one set of objects, the first 16 of it, all built beforehand."""
    probe = NBVEnv(scenes=scenes, backbone="unproject")
    count = min(WARM_OBJECTS, len(probe.task.objects))
    env = NBVEnv(scenes=scenes, backbone="unproject", num_objects=count, cache_dir=None)
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
        mesh = episodes[k % count].mesh
        return task.renderer.render(mesh, poses[k % 64], task.intrinsics, task.image_size).painted()

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
    views = [
        task.renderer.render(episode.mesh, pose, task.intrinsics, task.image_size).painted() for pose in poses
    ]

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


def against_pytorch3d(scenes: str, seconds: float) -> Rows:
    """A view and its Chamfer distance by PyTorch3D, and by us, one after the other on the same object."""
    from pytorch3d.loss import chamfer_distance

    env = NBVEnv(scenes=scenes, backbone="unproject", num_objects=1)
    env.reset(seed=0)
    task, episode = env.task, env.task.episode(0)
    poses = task.region.fibonacci_poses(64)
    theirs = make_renderer("pytorch3d", "cpu")
    reference = torch.as_tensor(episode.reference.points)[None]

    def step(renderer, k: int):
        view = renderer.render(episode.mesh, poses[k % 64], task.intrinsics, task.image_size).painted()
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


def against_embree(scenes: str, seconds: float) -> Rows:
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
    view = task.renderer.render(episode.mesh, pose, task.intrinsics, task.image_size).painted()
    return measured_points(view.depth, view.intrinsics, view.cam_to_world)
