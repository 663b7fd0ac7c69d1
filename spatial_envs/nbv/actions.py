"""From actions to camera poses about an object, and back."""

from __future__ import annotations

import math

import numpy as np
import torch

from spatial_envs.geometry.camera import Region, facing_origin, fibonacci_directions, inverse_pose, look_at

LOOK_AT_LIMIT = 20.0  # degrees, of the look-at offsets of action="pose"
ANCHORS = 256  # Fibonacci directions among which the farthest is sought
ACTION_DIMS = {"shell": 3, "sphere": 2, "pose": 5, "position": 3}
PENALISED = ("position", "pose")  # the others cannot mean a place outside, up to the caps at the poles


def pose_from_action(
    kind: str, action: torch.Tensor, anchor: torch.Tensor, frame_to_world: torch.Tensor, region: Region
) -> tuple[torch.Tensor, torch.Tensor]:
    """The one map from actions to camera poses; differentiable.

    kind: "shell", "sphere", "pose" or "position"; action (B, A) in [-1, 1]; anchor (B, 3), unit, in the
    frame's axes; frame_to_world (B, 4, 4), metres. Returns cam_to_world (B, 4, 4), in the region, and
    inside (B,) bool: whether the pose lay there before it was projected to the nearest one that does.
    """
    rotation = frame_to_world[:, :3, :3]
    anchor_world = (rotation @ anchor.unsqueeze(-1)).squeeze(-1)
    if kind == "position":
        homogeneous = torch.cat([action * region.radius[1], torch.ones_like(action[:, :1])], dim=1)
        position = (frame_to_world @ homogeneous.unsqueeze(-1)).squeeze(-1)[:, :3]
    else:
        east, north = tangents(anchor)
        a, b = action[:, :1], action[:, 1:2]
        length = (a * a + b * b).clamp_min(1e-24).sqrt()
        s = torch.maximum(a.abs(), b.abs())
        # sin(pi s) / length, put so that a zero action has a gradient in every direction
        share = torch.where(length < 1e-11, torch.ones_like(s), s / length)
        aside = math.pi * torch.sinc(s) * share * (a * east + b * north)
        heading = torch.cos(math.pi * s) * anchor + aside
        half = (region.radius[1] - region.radius[0]) / 2
        radius = region.middle + (0 * a if kind == "sphere" else half * action[:, 2:3])
        position = (rotation @ (radius * heading).unsqueeze(-1)).squeeze(-1)
    projected, inside = project(position, anchor_world, region)
    pose = look_at(projected)
    if kind == "pose":
        pose = pose @ _turned(math.radians(LOOK_AT_LIMIT) * action[:, 3:5])
    return pose, inside


def action_from_pose(
    kind: str, pose: np.ndarray, anchor: np.ndarray, frame_to_world: np.ndarray, region: Region
) -> np.ndarray:
    """(A,) float32 in [-1, 1]: the action that takes the camera to the pose (4, 4) cam_to_world, or as near
    as actions reach; the inverse of ``pose_from_action``, whose arguments these are, of a single row."""
    centre = pose[:3, 3]
    radius = np.linalg.norm(centre)
    if kind == "position":
        action = (inverse_pose(frame_to_world) @ [*centre, 1])[:3] / region.radius[1]
        return action.clip(-1, 1).astype(np.float32)
    east, north = (t[0].numpy() for t in tangents(torch.as_tensor(anchor)[None]))
    heading = centre / radius @ frame_to_world[:3, :3] if radius > 1e-9 else anchor
    aside = np.array([heading @ east, heading @ north])
    angle = math.atan2(np.linalg.norm(aside), heading @ anchor)
    aside = aside / np.abs(aside).max() if np.abs(aside).max() > 1e-9 else np.array([1.0, 0.0])
    half = (region.radius[1] - region.radius[0]) / 2
    action = [*(angle / math.pi * aside), (radius - region.middle) / max(half, 1e-9)]
    if kind == "pose":
        x, y, z = facing_origin(centre)[:3, :3].T @ pose[:3, 2]
        action.extend(np.degrees([math.atan2(x, z), -math.asin(np.clip(y, -1, 1))]) / LOOK_AT_LIMIT)
    return np.clip(action[: ACTION_DIMS[kind]], -1, 1).astype(np.float32)


def tangents(anchor: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """East and north (B, 3) at unit directions (B, 3), the pole being +Y; at the poles east is +X."""
    x, z = anchor[:, :1], anchor[:, 2:]
    across = (x * x + z * z).clamp_min(1e-24).sqrt()
    pole = across < 1e-6
    safe = torch.where(pole, torch.ones_like(across), across)
    east = torch.cat([torch.where(pole, safe, z / safe), 0 * x, torch.where(pole, 0 * x, -x / safe)], dim=1)
    return east, torch.cross(anchor, east, dim=1)


def _turned(angles: torch.Tensor) -> torch.Tensor:
    """(B, 4, 4): yaw about the camera's Y, then pitch about its X; angles (B, 2), radians."""
    (cy, cp), (sy, sp) = torch.cos(angles).unbind(1), torch.sin(angles).unbind(1)
    zero, one = torch.zeros_like(cy), torch.ones_like(cy)
    rows = [
        cy, sy * sp, sy * cp, zero,
        zero, cp, -sp, zero,
        -sy, cy * sp, cy * cp, zero,
        zero, zero, zero, one,
    ]  # fmt: skip
    return torch.stack(rows, dim=1).reshape(-1, 4, 4)


def project(
    position: torch.Tensor, fallback: torch.Tensor, region: Region
) -> tuple[torch.Tensor, torch.Tensor]:
    """The nearest point of the region (B, 3) and whether the position (B, 3) was in it (B,). Where that is
    ambiguous, at the origin and on the vertical through it, the unit vectors ``fallback`` (B, 3) decide."""
    inside = torch.from_numpy(region.contains(position.detach().cpu().double().numpy()))
    centre = position.norm(dim=1, keepdim=True) < 1e-6
    position = torch.where(centre, 1e-3 * fallback, position)
    horizontal = position * position.new_tensor([1.0, 0.0, 1.0])
    sideways = fallback * fallback.new_tensor([1.0, 0.0, 1.0]) + fallback.new_tensor([0.0, 0.0, 1e-9])
    on_axis = horizontal.norm(dim=1, keepdim=True) < 1e-9
    horizontal = torch.where(on_axis, 1e-9 * sideways / sideways.norm(dim=1, keepdim=True), horizontal)
    across = horizontal.norm(dim=1, keepdim=True)
    elevation = torch.atan2(position[:, 1:2], across)
    limit = math.radians(region.max_elevation)
    clamped = elevation.clamp(-limit, limit)
    along = (across**2 + position[:, 1:2] ** 2).sqrt() * torch.cos(elevation - clamped)
    radius = along.clamp(*region.radius)
    up = position.new_tensor([0.0, 1.0, 0.0])
    return radius * (torch.cos(clamped) * horizontal / across + torch.sin(clamped) * up), inside


def farthest_direction(taken: np.ndarray, rotation: np.ndarray, region: Region) -> np.ndarray:
    """(3,): of 256 Fibonacci directions, those within the region, the one whose smallest angle to the
    directions ``taken`` (n, 3) is largest; ties within 1 degree go to the lowest index. All are in the
    frame's axes; ``rotation`` (3, 3) takes them to the world."""
    candidates = fibonacci_directions(ANCHORS)
    candidates = candidates[region.contains(region.middle * candidates @ rotation.T)]
    angles = np.degrees(np.arccos(np.clip((candidates @ taken.T).max(axis=1), -1, 1)))
    return candidates[np.argmax(angles >= angles.max() - 1)]


def anchor_direction(kind: str, taken: np.ndarray, rotation: np.ndarray, region: Region) -> np.ndarray:
    """(3,) float64: the unit direction, in the frame's axes, that a zero action means.

    kind: "farthest", "antipode", "origin" or "first_view"; taken (n, 3) and rotation (3, 3) as in
    ``farthest_direction``.
    """
    if kind == "first_view":
        return taken[0]
    if kind == "origin":
        chosen = np.array([0.0, 0.0, 1.0])
    else:
        mean = taken.mean(axis=0)
        if kind == "antipode" and np.linalg.norm(mean) >= 0.2:
            chosen = -mean / np.linalg.norm(mean)
        else:
            return farthest_direction(taken, rotation, region)
    world = torch.as_tensor(region.middle * rotation @ chosen)[None]
    projected = project(world, world / region.middle, region)[0][0].numpy()
    return projected / np.linalg.norm(projected) @ rotation
