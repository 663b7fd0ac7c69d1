"""MapAnything's construction in small, for CPUs: trained here on procedural objects and rooms.

After Keetha et al. 2025, "MapAnything: Universal Feed-Forward Metric 3D Reconstruction": a patch encoder that
sees one view at a time (image, and rays and depth where they are given), then attention that alternates
within and across the views, with a learned scale token and an embedding that marks the reference view (the
first), then heads for the factors: scale, rays, depth, pose; and mask and confidence. Where a pose or a
depth is given, its head predicts a correction of it.

Lengths inside the network are in units of the set's own scale: the mean measured depth, or else the root
mean square distance of the given cameras from the frame's origin, or else 1 m.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import nn

from spatial_envs.backbones.backbone import INPUTS, Encoding, Undecoded
from spatial_envs.backbones.networks import (
    as_tensor,
    checked_batch,
    checked_inputs,
    measured_statistics,
    split_known,
)
from spatial_envs.foundation.arguments import check_range, resolve_device, user_path
from spatial_envs.geometry.view import View

PATCH = 14
RAW = 31  # numbers that describe a patch's geometry to the fusion, see ``_geometry``
SKIP = 32  # channels at half resolution that go round the transformer to the pixels


@dataclass(frozen=True)
class Sizes:
    """What the weights are for; stored beside them."""

    width: int = 192
    heads: int = 4
    encoder_layers: int = 3
    fusion_layers: int = 4


@dataclass(frozen=True, eq=False)
class Seen:
    """What the patch encoder makes of M views, each without knowing of the others.

    tokens (M, P, D); skip (M, 32, H/2, W/2), which the decoder adds; smooth (M, H, W): log of the measured
    depth's mean over 5 x 5 pixels; patches (M, P, 5): mean measured position in the camera's axes, metres,
    its share of the patch's pixels, and 1 where depth was given
    """

    tokens: torch.Tensor
    skip: torch.Tensor
    smooth: torch.Tensor
    patches: torch.Tensor

    def __getitem__(self, index) -> Seen:
        return Seen(*(getattr(self, field.name)[index] for field in fields(self)))


@dataclass(frozen=True, eq=False)
class Inputs:
    """Torch twin of a View with axes (B, N): rgb (B, N, 3, H, W) in [0, 1], depth (B, N, H, W), intrinsics
    (B, N, 3, 3), cam_to_world (B, N, 4, 4), and for each view whether it is there and what of it is given:
    view_mask, has_intrinsics, has_depth, has_pose, each (B, N) bool. What is not given is not read."""

    rgb: torch.Tensor
    depth: torch.Tensor
    intrinsics: torch.Tensor
    cam_to_world: torch.Tensor
    view_mask: torch.Tensor
    has_intrinsics: torch.Tensor
    has_depth: torch.Tensor
    has_pose: torch.Tensor


def as_inputs(
    views: View, view_mask: np.ndarray, flags: Mapping[str, np.ndarray], like: torch.Tensor
) -> Inputs:
    """Torch twin of views (B, N), on the device and of the type of ``like``; flags as ``checked_batch``'s."""
    arrays = (views.rgb, views.depth, views.intrinsics, views.cam_to_world)
    rgb, depth, intrinsics, pose = (as_tensor(array, like.device).to(like.dtype) for array in arrays)
    there, *has = (as_tensor(m, like.device) for m in (view_mask, *(flags[name] for name in INPUTS)))
    return Inputs(rgb.permute(0, 1, 4, 2, 3) / 255, depth, intrinsics, pose, there, *has)


class Compact:
    """See ``spatial_envs.backbones.backbone.Backbone``. Weights are read at the first ``encode``.

    weights    a safetensors file that ``agents.backbone.training`` wrote; None for those that ship
    inputs     which of "intrinsics", "depth", "pose" the network is given besides the images
    max_error  the mask leaves out pixels whose depth the network expects to be off by more than this share
    """

    name = "compact"
    patch = PATCH
    independent = False
    light = True

    def __init__(
        self,
        weights: str | Path | None = None,
        inputs: Sequence[str] = INPUTS,
        max_error: float = 0.05,
        device: str = "auto",
    ) -> None:
        path = _shipped("compact.safetensors") if weights is None else user_path("weights", weights)
        if not path.is_file():
            raise FileNotFoundError(f"weights: there is no file {weights}; None takes those that ship")
        if not max_error > 0:
            raise ValueError(f"max_error: got {max_error}; expected a share above 0")
        self.weights = path
        self.inputs, self.max_error, self.device_name = checked_inputs(inputs), max_error, device
        try:
            with safe_open(self.weights, "pt") as file:
                metadata = file.metadata() or {}
            self.sizes = Sizes(**{field.name: int(metadata[field.name]) for field in fields(Sizes)})
        except (KeyError, SafetensorError, ValueError) as error:
            raise ValueError(f"{self.weights}: not the weights of a compact backbone: {error}") from error
        self.dim = self.sizes.width
        self._net: CompactNet | None = None

    def statistics(self, frame: str, pooling: str) -> tuple[np.ndarray, np.ndarray]:
        """Measured on the train split; ``python -m agents.backbone.statistics`` makes them."""
        return measured_statistics("compact", frame, pooling)

    @property
    def net(self) -> CompactNet:
        """The network, on its device, read when first asked for."""
        if self._net is None:
            net = CompactNet(self.sizes)
            try:
                net.load_state_dict({name: value.float() for name, value in load_file(self.weights).items()})
            except RuntimeError as error:
                raise ValueError(f"{self.weights}: not the weights of its own sizes: {error}") from error
            self.use(net)
        assert self._net is not None
        return self._net

    def use(self, net: CompactNet) -> None:
        """Take this network instead of the file's."""
        self._net = net.to(resolve_device(self.device_name)).eval().requires_grad_(False)

    def encode(
        self,
        views: View,
        view_mask: np.ndarray,
        known: Sequence[Sequence[Any]] | None = None,
        given: Mapping[str, np.ndarray] | None = None,
        grad: bool = False,
    ) -> Encoding:
        """Encode B sets of N views; H and W multiples of 14. See ``NetworkBackbone``."""
        flags = checked_batch(views, view_mask, PATCH, self.inputs, given)
        net = self.net
        with torch.set_grad_enabled(grad):
            batch = as_inputs(views, view_mask, flags, net.scale_token)
            seen, per_view = self._see(net, batch, view_mask, known)
            tokens, scale_token, unit = net.fuse(batch, seen)

        def placed(value: torch.Tensor) -> torch.Tensor:
            if bool(batch.view_mask.all()):
                return value.unflatten(0, view_mask.shape)
            full = value.new_zeros(*view_mask.shape, *value.shape[1:])
            full[batch.view_mask] = value
            return full

        def decode() -> dict[str, torch.Tensor]:
            with torch.set_grad_enabled(grad):
                pose, intrinsics, scale = net.poses_and_intrinsics(batch, tokens, scale_token, unit)
                depth, hit, error = net.decode(batch, seen, tokens, scale)
                rays = pixel_rays(intrinsics, views.image_size)
                length = rays.norm(dim=-1)
                rows = {
                    "points": points_at(rays, depth, pose), "confidence": torch.exp(-error),
                    "mask": (hit > 0) & (error < math.log(self.max_error)), "cam_to_world": pose,
                    "ray_directions": rays / length[..., None], "depth_along_ray": depth * length,
                }  # fmt: skip
                return {"scale": scale, **{name: placed(value) for name, value in rows.items()}}

        with torch.set_grad_enabled(grad):
            return Undecoded(placed(tokens), decode, per_view)

    @staticmethod
    def _see(
        net: CompactNet, batch: Inputs, view_mask: np.ndarray, known: Sequence[Sequence[Any]] | None
    ) -> tuple[Seen, list[list[Any]]]:
        """Encode all the views that are there (M,); the second result has what is kept of each, [B][N]."""
        per_view, new = split_known(view_mask, known)
        places = list(zip(*np.nonzero(view_mask), strict=True))
        if new:
            flat = torch.tensor([b * view_mask.shape[1] + n for b, n in new], device=batch.depth.device)
            made = net.see(batch, flat)
            for k, (b, n) in enumerate(new):
                per_view[b][n] = made[k : k + 1]
            if len(new) == len(places):
                return made, per_view
        parts = [per_view[b][n] for b, n in places]
        return Seen(*(torch.cat([getattr(part, f.name) for part in parts]) for f in fields(Seen))), per_view


def _shipped(name: str) -> Path:
    return Path(str(resources.files("spatial_envs.backbones").joinpath(name)))


class CompactNet(nn.Module):
    """The network; ``Compact`` is the backbone round it."""

    def __init__(self, sizes: Sizes = Sizes()) -> None:
        super().__init__()
        self.sizes = sizes
        width = sizes.width
        for field in fields(Sizes):
            check_range(field.name, getattr(sizes, field.name), 1, 1024, int)
        if width % sizes.heads:
            raise ValueError(f"heads: got {sizes.heads}; expected a divisor of the width, {width}")
        self.stem = nn.Sequential(
            nn.Conv2d(10, SKIP, 4, 2, 1), nn.GELU(), nn.Conv2d(SKIP, SKIP, 3, 1, 1), nn.GELU()
        )
        self.patches = nn.Conv2d(SKIP, width, PATCH // 2, PATCH // 2)
        self.encoder = nn.ModuleList(Block(width, sizes.heads) for _ in range(sizes.encoder_layers))
        self.encoder_norm = nn.LayerNorm(width)
        self.geometry = nn.Sequential(nn.Linear(RAW, width), nn.GELU(), nn.Linear(width, width))
        self.reference = nn.Parameter(0.02 * torch.randn(2, width))
        self.scale_token = nn.Parameter(0.02 * torch.randn(width))
        self.fusion = nn.ModuleList(Block(width, sizes.heads) for _ in range(sizes.fusion_layers))
        self.norm = nn.LayerNorm(width)
        self.pixels = nn.Linear(width, SKIP * (PATCH // 2) ** 2)
        self.from_pixels = nn.Conv2d(SKIP, SKIP, 3, 1, 1, bias=False)
        self.from_tokens = nn.Conv2d(SKIP, SKIP, 3, 1, 1)
        self.decoder = nn.Sequential(
            nn.GELU(),
            nn.Conv2d(SKIP, SKIP, 3, 1, 1),
            nn.GELU(),
            nn.Conv2d(SKIP, 20, 3, 1, 1),
            nn.PixelShuffle(2),
        )
        self.direct = nn.Linear(width, PATCH**2)
        self.pose_head = nn.Sequential(nn.Linear(width + 6, width), nn.GELU(), nn.Linear(width, 9))
        self.lens_head = nn.Linear(width, 2)
        self.scale_head = nn.Linear(width, 1)
        for last in (self.pose_head[-1], self.lens_head, self.scale_head, self.direct):
            for parameter in last.parameters():
                nn.init.zeros_(parameter)

    # ---- one view at a time

    def see(self, given: Inputs, index: torch.Tensor) -> Seen:
        """Encode the views at ``index`` (M,), flat over (B, N)."""
        rgb = given.rgb.flatten(0, 1)[index]
        depth = given.depth.flatten(0, 1)[index]
        has_intrinsics = given.has_intrinsics.flatten()[index]
        has_depth = given.has_depth.flatten()[index]
        height, width = depth.shape[-2:]
        rays = pixel_rays(given.intrinsics.flatten(0, 1)[index], (height, width))
        rays = torch.where(has_intrinsics[:, None, None, None], rays, torch.zeros_like(rays))
        hit = (depth > 0) & has_depth[:, None, None]
        metres = torch.where(hit, depth, torch.zeros_like(depth))
        mean = mean_depth(metres)[:, None, None]
        relative = torch.where(hit, torch.log(metres.clamp_min(1e-6) / mean), torch.zeros_like(depth))
        smooth = smoothed(relative, hit)
        rough = torch.where(hit, relative - smooth, torch.zeros_like(depth)).clamp(-0.1, 0.1)
        channels = [
            2 * rgb - 1, rays[..., 0][:, None], rays[..., 1][:, None],
            4 * relative[:, None], 30 * rough[:, None], hit[:, None],
            has_intrinsics[:, None, None, None].expand(-1, 1, height, width),
            has_depth[:, None, None, None].expand(-1, 1, height, width),
        ]  # fmt: skip
        skip = self.stem(torch.cat([channel.to(rgb.dtype) for channel in channels], dim=1))
        grid = self.patches(skip)
        tokens = grid.flatten(2).transpose(1, 2)
        tokens = tokens + positions(grid.shape[-2:], tokens.shape[-1], tokens)
        for block in self.encoder:
            tokens = block(tokens)
        # positions of what was measured, by patch: in the camera's axes
        measured = torch.cat([rays * metres[..., None], hit[..., None]], dim=-1).permute(0, 3, 1, 2)
        pooled = F.avg_pool2d(measured.to(rgb.dtype), PATCH).flatten(2).transpose(1, 2)
        share = pooled[..., 3:].clamp_min(1e-6)
        flag = has_depth[:, None, None].expand(*pooled.shape[:2], 1).to(pooled.dtype)
        patches = torch.cat([pooled[..., :3] / share, pooled[..., 3:], flag], dim=-1)
        return Seen(self.encoder_norm(tokens), self.from_pixels(skip), smooth + mean.log(), patches)

    # ---- all views of a set

    def fuse(self, given: Inputs, seen: Seen) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Tokens (M, P, D) of the M views that are there, those of the scale (B, D), and the unit (B,)."""
        mask = given.view_mask
        unit = set_unit(given)
        tokens = seen.tokens + self.reference[later(mask).long()][:, None]
        with torch.autocast(tokens.device.type, enabled=False):  # positions need more than 8 bits
            described = self._geometry(given, seen, unit)
        tokens = tokens + self.geometry(described)
        sets, count, patches = *mask.shape, tokens.shape[1]
        scale = self.scale_token.expand(sets, 1, -1)
        everywhere = bool(mask.all())
        keys = None
        if not everywhere:
            there = mask[:, :, None].expand(-1, -1, patches).flatten(1)
            keys = F.pad(there, (1, 0), value=True)[:, None, None]
        for k, block in enumerate(self.fusion):
            if k % 2 == 0:
                tokens = block(tokens)
                continue
            full = tokens.new_zeros(sets, count, patches, tokens.shape[-1])
            full[mask] = tokens
            joined = block(torch.cat([scale.to(tokens.dtype), full.flatten(1, 2)], dim=1), keys)
            scale, tokens = joined[:, :1], joined[:, 1:].unflatten(1, (count, patches))[mask]
        return self.norm(tokens), self.norm(scale[:, 0]), unit

    def _geometry(self, given: Inputs, seen: Seen, unit: torch.Tensor) -> torch.Tensor:
        """(M, P, 31): what is known of every patch in the set's frame, lengths in the set's unit."""
        mask, size = given.view_mask, given.depth.shape[-2:]
        lengths = by_view(unit, mask)
        pose = given.cam_to_world[mask]
        posed = given.has_pose[mask]
        grid = (size[0] // PATCH, size[1] // PATCH)
        intrinsics = given.intrinsics[mask] / torch.tensor([[PATCH], [PATCH], [1.0]], device=pose.device)
        rays = F.normalize(pixel_rays(intrinsics, grid).flatten(1, 2), dim=-1)
        known = given.has_intrinsics[mask].to(rays.dtype)[:, None, None]
        rotation, origin = pose[:, :3, :3], pose[:, None, :3, 3] / lengths[:, None, None]
        direction = rays @ rotation.transpose(1, 2) * known
        origin = origin.expand_as(direction)
        local = seen.patches[..., :3].float() / lengths[:, None, None]
        place = (local @ rotation.transpose(1, 2) + origin) * (seen.patches[..., 3:4] > 0)
        placed = [
            direction, torch.linalg.cross(origin, direction), origin, place,
            rotation.flatten(1)[:, None].expand(-1, rays.shape[1], -1),
        ]  # fmt: skip
        in_frame = torch.cat(placed, dim=-1)
        in_frame = torch.where(posed[:, None, None], in_frame, torch.zeros_like(in_frame))
        ones = torch.ones_like(seen.patches[..., :1])
        distance = (pose[:, :3, 3].norm(dim=1) / lengths).clamp_min(0.1) * posed + (~posed)
        alone = [
            local, seen.patches[..., 3:5], known * ones, posed.to(ones.dtype)[:, None, None] * ones,
            torch.log(lengths)[:, None, None] * ones, distance.log()[:, None, None] * ones,
            torch.linalg.vector_norm(local, dim=-1, keepdim=True),
        ]  # fmt: skip
        return torch.cat([in_frame, *alone], dim=-1)

    # ---- the factors

    def poses_and_intrinsics(
        self, given: Inputs, tokens: torch.Tensor, scale: torch.Tensor, unit: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Predicted cam_to_world (M, 4, 4), intrinsics (M, 3, 3), and scale (B,), metres per unit."""
        mask = given.view_mask
        pooled = tokens.mean(dim=1)
        aim = aims(given.cam_to_world)[mask]
        posed = given.has_pose[mask][:, None]
        raw = self.pose_head(torch.cat([pooled, torch.where(posed, aim, torch.zeros_like(aim))], dim=1))
        raw = raw * torch.where(posed, 0.05, 1.0)  # a correction, or a pose
        raw = torch.where(later(mask)[:, None], raw, torch.zeros_like(raw))
        measured = (given.has_depth | given.has_pose).any(dim=1)
        predicted = self.scale_head(scale)[:, 0].clamp(-4, 4).exp()
        metres = unit * torch.where(measured, torch.ones_like(unit), predicted)
        first = given.cam_to_world[:, :1]
        base = torch.where(
            given.has_pose[..., None, None], given.cam_to_world, first.expand_as(given.cam_to_world)
        )
        shift = raw[:, 6:] * by_view(metres, mask)[:, None]
        pose = base[mask] @ rigid(raw[:, :6], shift)
        height, width = given.depth.shape[-2:]
        focal = 1.1 * self.lens_head(pooled).clamp(-3, 3).exp() * min(height, width)
        zero, one = torch.zeros_like(focal[:, 0]), torch.ones_like(focal[:, 0])
        rows = [focal[:, 0], zero, one * width / 2, zero, focal[:, 1], one * height / 2, zero, zero, one]
        guess = torch.stack(rows, dim=1).reshape(-1, 3, 3)
        intrinsics = torch.where(given.has_intrinsics[mask][:, None, None], given.intrinsics[mask], guess)
        return pose, intrinsics, metres

    def decode(
        self, given: Inputs, seen: Seen, tokens: torch.Tensor, metres: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Depth along the axis (M, H, W), metres; logits of there being a surface (M, H, W); log of the
        expected relative error of the depth (M, H, W)."""
        mask = given.view_mask
        height, width = given.depth.shape[-2:]
        grid = self.pixels(tokens).transpose(1, 2)
        fine = F.pixel_shuffle(grid.unflatten(2, (height // PATCH, width // PATCH)), PATCH // 2)
        out = self.decoder(self.from_tokens(fine) + seen.skip).float()
        predicted, change, share, hit, error = out.unbind(1)
        direct = self.direct(tokens).float().transpose(1, 2)
        direct = F.pixel_shuffle(direct.unflatten(2, (height // PATCH, width // PATCH)), PATCH)[:, 0]
        measured = torch.where(
            given.has_depth[mask][:, None, None], given.depth[mask], torch.zeros_like(change)
        )
        there = measured > 0
        logs = torch.where(there, measured.clamp_min(1e-6).log(), torch.zeros_like(measured))
        kept = logs + torch.sigmoid(share) * (seen.smooth - logs) + (0.03 * change).clamp(-0.5, 0.5)
        units = by_view(metres, mask)
        away = torch.where(given.has_pose[mask], given.cam_to_world[mask][:, :3, 3].norm(dim=1), units)
        base = torch.where(
            given.has_depth[mask], mean_depth(measured), torch.maximum(away, 0.3 * units)
        ).log()
        guess = base[:, None, None] + (predicted + direct).clamp(-4, 4)
        depth = torch.where(there, kept, guess).exp()
        return depth, hit, (error - 3).clamp(-8, 2)


class Block(nn.Module):
    """A pre-norm transformer layer."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: torch.Tensor, keys: torch.Tensor | None = None) -> torch.Tensor:
        """x (B, T, D); keys (B, 1, 1, T) bool or None: which tokens may be attended to."""
        q, k, v = self.qkv(self.norm_1(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=keys)
        x = x + self.out(attended.transpose(1, 2).flatten(2))
        return x + self.mlp(self.norm_2(x))


# ---- geometry


def pixel_rays(intrinsics: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """(..., H, W, 3): rays through the pixel centres, third coordinate 1; intrinsics (..., 3, 3)."""
    height, width = size
    v = torch.arange(height, device=intrinsics.device, dtype=intrinsics.dtype) + 0.5
    u = torch.arange(width, device=intrinsics.device, dtype=intrinsics.dtype) + 0.5
    x = (u - intrinsics[..., 0, 2, None]) / intrinsics[..., 0, 0, None]
    y = (v - intrinsics[..., 1, 2, None]) / intrinsics[..., 1, 1, None]
    lead = intrinsics.shape[:-2]
    x = x[..., None, :].expand(*lead, height, width)
    y = y[..., :, None].expand(*lead, height, width)
    return torch.stack([x, y, torch.ones_like(x)], dim=-1)


def points_at(rays: torch.Tensor, depth: torch.Tensor, cam_to_world: torch.Tensor) -> torch.Tensor:
    """(M, H, W, 3): at these depths (M, H, W) on the ``pixel_rays`` (M, H, W, 3) of cameras (M, 4, 4)."""
    local = (rays * depth[..., None]).flatten(1, 2)
    points = local @ cam_to_world[:, :3, :3].transpose(1, 2) + cam_to_world[:, None, :3, 3]
    return points.unflatten(1, depth.shape[1:])


def by_view(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """(M,): the set's value (B,) for each of its views that are there, mask (B, N)."""
    return values[:, None].expand_as(mask)[mask]


def later(mask: torch.Tensor) -> torch.Tensor:
    """(M,) bool: which of the views that are there, mask (B, N), are not their set's first."""
    return (torch.arange(mask.shape[1], device=mask.device) > 0).expand_as(mask)[mask]


def smoothed(values: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
    """(M, H, W): means over 5 x 5 pixels of the values (M, H, W) that are there (M, H, W) bool."""
    both = torch.stack([values * there, there.to(values.dtype)], dim=1)
    total, count = F.avg_pool2d(both, 5, 1, 2, count_include_pad=True).unbind(1)
    return total / count.clamp_min(1e-3)


def aims(cam_to_world: torch.Tensor) -> torch.Tensor:
    """(..., 6): in the axes of each camera (..., 4, 4), how far the direction to the frame's origin is from
    straight ahead, and the frame's up; both are as good as the same for all cameras that look at a thing
    there."""
    rotation, centre = cam_to_world[..., :3, :3], cam_to_world[..., :3, 3]
    inward = F.normalize(-centre, dim=-1)
    ahead = (inward[..., None, :] @ rotation)[..., 0, :] - centre.new_tensor([0.0, 0.0, 1.0])
    return torch.cat([10 * ahead, 10 * rotation[..., 1, :]], dim=-1)


def mean_depth(depth: torch.Tensor) -> torch.Tensor:
    """(M,): mean of the positive entries of (M, H, W); 1 where there are none."""
    total, count = depth.sum(dim=(1, 2)), (depth > 0).sum(dim=(1, 2))
    return torch.where(count > 0, total / count.clamp_min(1), torch.ones_like(total))


def set_unit(given: Inputs) -> torch.Tensor:
    """(B,) metres: the length that is 1 inside the network."""
    mask = given.view_mask & given.has_depth
    depth = torch.where(mask[..., None, None], given.depth, torch.zeros_like(given.depth))
    count = (depth > 0).flatten(1).sum(dim=1)
    mean = depth.flatten(1).sum(dim=1) / count.clamp_min(1)
    posed = given.view_mask & given.has_pose
    squared = (given.cam_to_world[..., :3, 3] ** 2).sum(dim=-1) * posed
    distance = (squared.sum(dim=1) / posed.sum(dim=1).clamp_min(1)).clamp_min(1e-12).sqrt()
    fallback = torch.where(distance > 1e-2, distance, torch.ones_like(distance))
    return torch.where(count > 0, mean, fallback).detach()


def rigid(six: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    """(M, 4, 4): rotation by two axes (M, 6) that are added to the identity's and made orthonormal (Zhou et
    al. 2019), and translation (M, 3)."""
    x = six[:, :3] + six.new_tensor([1.0, 0.0, 0.0])
    y = six[:, 3:] + six.new_tensor([0.0, 1.0, 0.0])
    x = F.normalize(x, dim=1)
    y = F.normalize(y - (x * y).sum(dim=1, keepdim=True) * x, dim=1)
    top = torch.cat([torch.stack([x, y, torch.linalg.cross(x, y)], dim=2), shift[..., None]], dim=2)
    bottom = six.new_tensor([0.0, 0.0, 0.0, 1.0]).expand(len(six), 1, 4)
    return torch.cat([top, bottom], dim=1)


def positions(grid: tuple[int, int], width: int, like: torch.Tensor) -> torch.Tensor:
    """(P, D): sines and cosines of the patches' centres, both axes in [-1, 1]."""
    rows, columns = (
        torch.linspace(-1 + 1 / n, 1 - 1 / n, n, device=like.device) for n in (int(grid[0]), int(grid[1]))
    )
    frequencies = torch.pi / 2 * 16 ** torch.linspace(0, 1, width // 4, device=like.device)
    waves = [
        torch.cat([(x[:, None] * frequencies).sin(), (x[:, None] * frequencies).cos()], 1)
        for x in (rows, columns)
    ]
    grid_rows = waves[0][:, None].expand(-1, len(columns), -1)
    grid_columns = waves[1][None].expand(len(rows), -1, -1)
    return torch.cat([grid_rows, grid_columns], dim=-1).flatten(0, 1).to(like.dtype)
