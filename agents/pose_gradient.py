"""The research plan's supervision: the gradient of a Chamfer loss through the backbone to the next pose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from scipy.spatial import cKDTree

from spatial_envs.actions import pose_from_action
from spatial_envs.arguments import check_choice
from spatial_envs.backbones import NetworkBackbone
from spatial_envs.camera import inverse_pose
from spatial_envs.nbv import NBV, Episode
from spatial_envs.view import View, stack_views

LOSSES = ("chamfer_sum", "chamfer_squared", "log")


def chamfer_loss(points: torch.Tensor, reference: np.ndarray, kind: str) -> torch.Tensor:
    """Scalar loss of points (N, 3) against the reference's (G, 3), metres, differentiable in the points.

    kind: "chamfer_sum", the sum of the two sums of squared distances to the nearest neighbour (m^2), which is
    the research plan's; "chamfer_squared", the sum of their means (m^2); "log", the logarithm of the sum of
    the two mean distances. Which neighbour is nearest is found without gradient, where it has none.
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
        return squared[0].sum() + squared[1].sum()
    if kind == "chamfer_squared":
        return squared[0].mean() + squared[1].mean()
    accuracy, completeness = (each.clamp_min(1e-12).sqrt().mean() for each in squared)
    return torch.log(accuracy + completeness)


def pose_of(task: NBV, episode: Episode, action: torch.Tensor) -> torch.Tensor:
    """(4, 4) cam_to_world, world frame: where an action (A,) takes the camera, by the environment's own map;
    differentiable."""
    anchor = torch.as_tensor(task.anchor_direction(episode), dtype=action.dtype)[None]
    frame = torch.as_tensor(episode.frame_to_world, dtype=action.dtype)[None]
    return pose_from_action(task.action, action[None], anchor, frame, task.region)[0][0]


def reconstruct(task: NBV, episode: Episode, pose: torch.Tensor, image: View | None = None) -> torch.Tensor:
    """Points (N, 3), world frame, of the episode's views and one from ``pose`` (4, 4) cam_to_world, which
    gradients reach.

    image: the picture (H, W) that the new view shows, whatever the pose; None: what is seen from the pose,
    rendered and cut off, so that gradients reach the pose through the backbone's geometry alone.
    """
    if image is None:
        there = pose.detach().numpy().astype(np.float32)
        image = task.renderer.render(episode.mesh, there[None], task.lens, task.image_size)[0]
    views = stack_views([*episode.views, image])
    to_frame = torch.as_tensor(inverse_pose(episode.frame_to_world), dtype=torch.float32)
    known = torch.as_tensor(np.stack([view.cam_to_world for view in episode.views]))
    poses = to_frame @ torch.cat([known, pose.float()[None]])
    batch = replace(views[None], cam_to_world=poses[None])  # type: ignore[arg-type]
    backbone: NetworkBackbone = task.backbone  # type: ignore[assignment]
    encoding = backbone.encode(batch, np.ones((1, len(poses)), np.bool_), grad=pose.requires_grad)
    points = encoding.points[0][encoding.mask[0]]
    frame = torch.as_tensor(episode.frame_to_world, dtype=torch.float32)
    return points @ frame[:3, :3].T + frame[:3, 3]


def finite_difference(
    task: NBV, episode: Episode, action: np.ndarray, step: float, image: View | None, kinds: Sequence[str]
) -> np.ndarray:
    """(kinds, A): central differences of the losses in the action (A,); of what is rendered anew, or with the
    image held."""
    out = np.empty((len(kinds), len(action)))
    for axis in range(len(action)):
        ends = []
        for side in (step, -step):
            moved = torch.as_tensor(action).clone()
            moved[axis] += side
            with torch.no_grad():
                points = reconstruct(task, episode, pose_of(task, episode, moved), image)
            ends.append([float(chamfer_loss(points, episode.reference.points, kind)) for kind in kinds])
        out[:, axis] = (np.array(ends[0]) - ends[1]) / (2 * step)
    return out
