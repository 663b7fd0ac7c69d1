"""The research plan's supervision: the gradient of a Chamfer loss through the backbone to the next pose."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from scipy.spatial import cKDTree

from spatial_envs.backbones.networks import NetworkBackbone
from spatial_envs.core.features import batched
from spatial_envs.foundation.arguments import check_choice
from spatial_envs.geometry.view import View
from spatial_envs.nbv.actions import pose_from_action
from spatial_envs.nbv.episode import Episode
from spatial_envs.nbv.task import NBV
from spatial_envs.reconstruction.chamfer import Metrics

LOSSES = ("chamfer_sum", "chamfer_squared", "log")


def chamfer_loss(points: torch.Tensor, reference: np.ndarray, kind: str, weight: float = 1.0) -> torch.Tensor:
    """Scalar loss of points (N, 3) against the reference's (G, 3), metres, differentiable in the points.

    kind: "chamfer_sum", the sum of the two sums of squared distances to the nearest neighbour (m^2), which is
    the research plan's; "chamfer_squared", the sum of their means (m^2); "log", the logarithm of the sum of
    the two mean distances. Which neighbour is nearest is found without gradient, where it has none.
    weight: how many times the distances from the points count.
    """
    check_choice("kind", kind, LOSSES)
    if not len(points):
        raise ValueError("points: got none; expected at least one")
    here = points.detach().cpu().numpy()
    to_reference, to_points = cKDTree(reference).query(here)[1], cKDTree(here).query(reference)[1]
    target = torch.as_tensor(reference, dtype=points.dtype, device=points.device)
    squared = (
        ((points - target[to_reference]) ** 2).sum(dim=1),
        ((target - points[to_points]) ** 2).sum(dim=1),
    )
    if kind == "chamfer_sum":
        return weight * squared[0].sum() + squared[1].sum()
    if kind == "chamfer_squared":
        return weight * squared[0].mean() + squared[1].mean()
    accuracy, completeness = (each.clamp_min(1e-12).sqrt().mean() for each in squared)
    return torch.log(weight * accuracy + completeness)


def episode_loss(metrics: Metrics, kind: str) -> float:
    """The loss of an episode's figures, whose points are thinned to one per voxel."""
    return math.log(metrics["chamfer"]) if kind == "log" else metrics[kind]


def poses_of(task: NBV, episodes: Sequence[Episode], actions: torch.Tensor) -> torch.Tensor:
    """(B, 4, 4) cam_to_world, world frame: where actions (B, A) take the cameras, by the environment's own
    map; differentiable."""
    anchors, frames = (
        torch.as_tensor(np.stack(arrays), dtype=actions.dtype)
        for arrays in (
            [task.anchor_direction(episode) for episode in episodes],
            [episode.frame_to_world for episode in episodes],
        )
    )
    return pose_from_action(task.action, actions, anchors, frames, task.region)[0]


def reconstruct(
    task: NBV,
    episodes: Sequence[Episode],
    poses: torch.Tensor,
    images: Sequence[View] | None = None,
    detach: bool = True,
) -> list[torch.Tensor]:
    """Points (N, 3), world frame, of each episode's views and one from its pose of ``poses`` (B, 4, 4)
    cam_to_world, which gradients reach. One backbone call for all.

    images: the pictures (H, W) that the new views show, whatever the poses; None: what is seen from there.
    detach: whether what is seen is cut off, so that gradients reach the poses through the backbone's geometry
    alone; False needs a renderer with ``render_differentiable``, and images do not count.
    """
    if not detach:
        images = [episode.views[-1] for episode in episodes]  # to be replaced
    elif images is None:
        there = poses.detach().cpu().numpy().astype(np.float32)
        images = [
            task.renderer.render(episode.mesh, pose[None], task.intrinsics, task.image_size)[0]
            for episode, pose in zip(episodes, there, strict=True)
        ]
    sets = [[*episode.views, image] for episode, image in zip(episodes, images, strict=True)]
    batch, view_mask, known = batched(sets, [episode.per_view for episode in episodes])
    views: Any = batch
    new = torch.arange(view_mask.shape[1]) == torch.tensor([len(e.views) for e in episodes])[:, None]

    def placed(known: np.ndarray, values: torch.Tensor) -> torch.Tensor:
        """What is known (B, longest, ...), the new views' values (B, ...) in their places."""
        shape = (*new.shape, *[1] * (values.ndim - 1))
        return torch.where(
            new.reshape(shape).to(values.device), values[:, None], torch.as_tensor(known).to(values)
        )

    frames = torch.as_tensor(np.stack([episode.frame_to_world for episode in episodes]))
    moved = torch.linalg.inv(frames).float()[:, None] @ placed(views.cam_to_world, poses.float())
    views = replace(views, cam_to_world=moved)
    if not detach:
        render = task.renderer.render_differentiable  # type: ignore[attr-defined]
        seen = [
            render(e.mesh, pose, task.intrinsics, task.image_size)
            for e, pose in zip(episodes, poses, strict=True)
        ]
        rgb, depth = (torch.stack(values) for values in zip(*seen, strict=True))
        views = replace(views, rgb=placed(views.rgb, 255 * rgb), depth=placed(views.depth, depth))
    backbone: NetworkBackbone = task.backbone  # type: ignore[assignment]
    encoding = backbone.encode(views, view_mask, known, grad=poses.requires_grad)
    clouds = []
    for row, frame in enumerate(frames.float().to(encoding.points.device)):
        points = encoding.points[row][encoding.mask[row]]
        clouds.append(points @ frame[:3, :3].T + frame[:3, 3])
    return clouds


def finite_difference(
    task: NBV,
    episode: Episode,
    action: np.ndarray,
    step: float,
    image: View | None,
    kinds: Sequence[str],
    weight: float = 1.0,
) -> np.ndarray:
    """(kinds, A): central differences of the losses in the action (A,); of what is rendered anew, or with the
    image held."""
    moves = step * np.concatenate([np.eye(len(action)), -np.eye(len(action))])
    episodes = [episode] * len(moves)
    with torch.no_grad():
        poses = poses_of(task, episodes, torch.as_tensor(action + moves))
        clouds = reconstruct(task, episodes, poses, None if image is None else [image] * len(moves))
    reference = episode.reference.points
    losses = [[float(chamfer_loss(points, reference, kind, weight)) for points in clouds] for kind in kinds]
    ahead, behind = np.split(np.array(losses), 2, axis=1)
    return (ahead - behind) / (2 * step)
