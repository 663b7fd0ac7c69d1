"""Does the gradient say where to look? ``python -m agents.studies.gradient``.

In random states of next-best-view, with the action drawn at random, the gradient of the loss that the
differentiable training follows (the image is rendered at the pose and then held fixed) is compared with the
finite-difference gradient of the loss that it means: of the picture rendered anew from the moved camera. A
gradient that says nothing has a mean cosine of 0, and agrees in half of the signs. The control compares it
with finite differences of its own loss, the image held fixed: there it must agree. With PyTorch3D, the
gradient that the rendered view is part of is compared, too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from tqdm import tqdm

from agents.flags import UserPath, parse_flags
from agents.nbv.pose_gradient import LOSSES, chamfer_loss, finite_difference, poses_of, reconstruct
from agents.statistics import interval
from spatial_envs.foundation.threads import set_threads
from spatial_envs.nbv import NBVEnv


@dataclass(frozen=True)
class Flags:
    """What the command line says."""

    states: int = 200
    """How many, each on its own object while there are enough."""
    backbone: str = "compact"
    """Through which the gradient goes: "compact" or "mapanything"."""
    renderer: str = "builtin"
    """With "pytorch3d" also the gradient through the rendered view."""
    scenes: str = "procedural"
    """As for the environment."""
    image_size: int | None = None
    """Pixels; by default the backbone's."""
    weight: float = 1.0
    """How many times the distances from the reconstructed points count, as in the training."""
    step: float = 0.04
    """Of the finite differences, in units of the action: 7 degrees sideways, 4 % of the shell's width."""
    seed: int = 0
    """Of states and actions."""
    cache_dir: UserPath | None = None
    """A folder that keeps the reference surfaces."""
    out: UserPath | None = None
    """A file for the table, markdown."""


def study(flags: Flags) -> str:
    """Markdown: a row for each loss and control."""
    env = NBVEnv(
        backbone=flags.backbone, renderer=flags.renderer, scenes=flags.scenes, image_size=flags.image_size,
        views=5, cache_dir=flags.cache_dir, observations=["poses"],
    )  # fmt: skip
    task = env.task
    rng = np.random.default_rng(flags.seed)
    env.action_space.seed(flags.seed)
    ways = {"cut off": True} | ({"included": False} if flags.renderer == "pytorch3d" else {})
    found: dict[str, list[np.ndarray]] = {name: [] for name in (*ways, "image held", "rendered anew")}
    for state in tqdm(range(flags.states)):
        env.reset(seed=flags.seed + state, options={"object": state % len(task.objects)})
        for _ in range(rng.integers(3)):
            env.step(env.action_space.sample())
        episode = task.episode(0)
        action = rng.uniform(-0.6, 0.6, 3)
        with torch.no_grad():
            pose = poses_of(task, [episode], torch.as_tensor(action)[None]).numpy().astype(np.float32)
        image = task.renderer.render(episode.mesh, pose, task.intrinsics, task.image_size)[0]
        for name, detach in ways.items():
            free = torch.as_tensor(action).requires_grad_()
            (points,) = reconstruct(
                task, [episode], poses_of(task, [episode], free[None]), [image] if detach else None, detach
            )
            gradients = []
            for kind in LOSSES:
                loss = chamfer_loss(points, episode.reference.points, kind, flags.weight)
                gradients.append(torch.autograd.grad(loss, free, retain_graph=True)[0].numpy())
            found[name].append(np.array(gradients))
        for name, held in (("rendered anew", None), ("image held", image)):
            step = flags.step if held is None else 1e-3
            found[name].append(finite_difference(task, episode, action, step, held, LOSSES, flags.weight))
    arrays = {name: np.array(values) for name, values in found.items()}  # (S, losses, 3)
    lines = [
        f"{flags.states} states of {task.objects.label}, backbone {flags.backbone}, {task.image_size[0]} px, "
        f"weight {flags.weight:g}, gradients in the action (east, north, radius), 95 % bootstrap intervals "
        "over states; signs: % of components that agree, 50 is chance; norm: median and 99th percentile",
        "",
        "| loss | the new view | against | cosine | cosine, direction alone | signs | signs, direction alone "
        "| norm |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for k, kind in enumerate(LOSSES):
        pairs = [("cut off", "image held"), *((way, "rendered anew") for way in ways)]
        for way, against in pairs:
            a, b = arrays[way][:, k], arrays[against][:, k]
            cells = [_cosine(a, b), _cosine(a[:, :2], b[:, :2]), _signs(a, b), _signs(a[:, :2], b[:, :2])]
            middle, most = np.percentile(np.linalg.norm(a, axis=1), [50, 99])
            columns = " | ".join(_interval(cell) for cell in cells)
            lines.append(f"| {kind} | {way} | {against} | {columns} | {middle:.3g}, {most:.3g} |")
    text = "\n".join(lines)
    if flags.out is not None:
        flags.out.write_text(text + "\n", encoding="utf-8")
    return text


def _cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return (a * b).sum(axis=1) / np.maximum(lengths, 1e-12)


def _signs(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return 100 * (np.sign(a) == np.sign(b)).mean(axis=1)


def _interval(values: np.ndarray) -> str:
    return "{:.2f} [{:.2f}, {:.2f}]".format(*interval(values[None], np.arange(len(values))))


if __name__ == "__main__":
    set_threads()
    print(study(parse_flags(Flags, __doc__, "python -m agents.studies.gradient")))
