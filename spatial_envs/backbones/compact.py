"""A small multi-view network for CPUs: it compares images at hypothesised depths, and attends across views.

In the manner of SimpleRecon (Sayed et al. 2022, "SimpleRecon: 3D Reconstruction Without 3D Convolutions")
and of MapAnything (Keetha et al. 2025, "MapAnything: Universal Feed-Forward Metric 3D Reconstruction"), step
by step:

    align    poses, where measured depths contradict them (``alignment``)
    see      each view alone (image, rays, and depth where it is given): features of patches and of pixels,
             and what share of each pixel shows a surface
    look     each view among the others: a sweep of 48 planes along its rays (``sweep``), by convolutions; a
             first depth, four by four to a patch
    fuse     tokens, one for each patch: features of both kinds and positions in the set's frame, by attention
             within and across the views
    decode   depth, surface and error of every pixel, from all of these; only points need it

Poses are needed: there is nothing here that would find them. Lengths inside the network are in units of the
set's own scale: the mean measured depth, or else the root mean square distance of the cameras from what they
look at.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import nn

from spatial_envs.backbones.alignment import aligned
from spatial_envs.backbones.backbone import INPUTS, Encoding, Undecoded
from spatial_envs.backbones.networks import (
    as_tensor,
    checked_batch,
    checked_inputs,
    measured_statistics,
    split_known,
)
from spatial_envs.backbones.smoothing import smoothed
from spatial_envs.backbones.sweep import STATISTICS, Swept, log_hypotheses, sweep
from spatial_envs.foundation.arguments import check_range, resolve_device, user_path
from spatial_envs.foundation.threads import side_by_side
from spatial_envs.geometry.view import View

EDITION = "2"
PATCH = 14
HALF = PATCH // 2  # pixels of a patch's side at half resolution
CELLS = 4  # of a patch's side, where planes are swept
RAW = 31  # numbers that describe a patch's geometry to the fusion, see ``_geometry``
SKIP, FINE, COARSE = 24, 48, 64  # channels at a half, a 3.5th, a 7th of the resolution
DECODED, LAST = 64, 16  # channels of the decoder at a 3.5th and at a half
PLANES = 48
SETS = 2  # in one batch on a CPU: what is left over is for other threads
NOISE = 0.003  # of a measured depth, relative, that is neither much nor little
OFFSETS = log_hypotheses(0.57, 1.5, PLANES)  # logarithms of the planes' depths, as shares of a view's middle

Decode = Callable[[], dict[str, torch.Tensor]]


@dataclass(frozen=True)
class Sizes:
    """What the weights are for; stored beside them."""

    width: int = 128
    heads: int = 2
    encoder_layers: int = 2
    fusion_layers: int = 3


@dataclass(frozen=True, eq=False)
class Seen:
    """What the network makes of M views, each without knowing of the others.

    tokens (M, P, D)
    skip (M, 24, H/2, W/2): features of pixels
    cells (M, 26, h, w): the same, log of the measured depth over its mean, and where it was, at the cells,
        which are the planes' pixels, four by four to a patch
    maps (M, H/2, W/2, 4): red, green, blue and share of surface, in [0, 1]
    surface (M, H/2, W/2): the share's logits, by the image alone
    smooth (M, H, W): log of the measured depth's mean over like neighbours; noise (M,): how far the measured
        one is from it, on the average
    patches (M, P, 5): mean measured position in the camera's axes, metres, its share of the patch's pixels,
        and 1 where depth was given
    """

    tokens: torch.Tensor
    skip: torch.Tensor
    cells: torch.Tensor
    maps: torch.Tensor
    surface: torch.Tensor
    smooth: torch.Tensor
    noise: torch.Tensor
    patches: torch.Tensor

    def __getitem__(self, index) -> Seen:
        return Seen(*(getattr(self, field.name)[index] for field in fields(self)))


@dataclass(frozen=True, eq=False)
class Looked:
    """What it makes of M views among the others of their sets.

    planes (M, h * w, 240): the sweep; fine (M, 48, h, w), coarse (M, 64, h/2, w/2): features
    first (M, 49, h, w): logits of the planes and of a surface
    depth, surface (M, h, w): what they say: log of the depth over the view's middle, measured where it was,
        and logits
    unit (B,), middle (M,): the set's unit and the views' middles, metres
    """

    planes: torch.Tensor
    fine: torch.Tensor
    coarse: torch.Tensor
    first: torch.Tensor
    depth: torch.Tensor
    surface: torch.Tensor
    unit: torch.Tensor
    middle: torch.Tensor


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
    inputs     which of "intrinsics", "depth", "pose" the network is given besides the images; it needs the
               intrinsics and the poses
    max_error  the mask leaves out pixels whose depth the network expects to be off by more than this share
    threads    in which sets are encoded side by side, where torch has one of its own; None: one for each core
    """

    threads: int | None = 1
    name = "compact"
    patch = PATCH
    independent = False
    light = True
    needs: tuple[str, ...] = ("intrinsics", "pose")

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
        if not set(self.needs) <= set(self.inputs):
            raise ValueError(
                f"inputs: got {list(inputs)}; compact needs {' and '.join(map(repr, self.needs))} among "
                "them: it does not find poses or lenses from images"
            )
        try:
            with safe_open(self.weights, "pt") as file:
                metadata = file.metadata() or {}
            self.sizes = Sizes(**{field.name: int(metadata[field.name]) for field in fields(Sizes)})
        except (KeyError, SafetensorError, ValueError) as error:
            raise ValueError(f"{self.weights}: not the weights of a compact backbone: {error}") from error
        edition = metadata.get("edition", "1")
        if edition != EDITION:
            raise ValueError(
                f"{self.weights}: got the weights of edition {edition} of the compact backbone; expected "
                f"edition {EDITION}, which compares images at hypothesised depths: train anew by "
                "agents.backbone.training"
            )
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
        nn.Module.to(net, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._net = net.to(resolve_device(self.device_name)).eval().requires_grad_(False)

    def encode(
        self,
        views: View,
        view_mask: np.ndarray,
        known: Sequence[Sequence[Any]] | None = None,
        given: Mapping[str, np.ndarray] | None = None,
        grad: bool = False,
    ) -> Encoding:
        """Encode B sets of N views; H and W multiples of 14. See ``NetworkBackbone``. Poses that measured
        depths contradict are corrected first, unless they are a tensor: then points move with them."""
        flags = checked_batch(views, view_mask, PATCH, self.inputs, given)
        for name in self.needs:
            if (view_mask & ~flags[name]).any():
                raise ValueError(f"given: got views without {name}; compact needs it of every view")
        net = self.net
        if grad or net.reference.device.type != "cpu" or len(view_mask) <= SETS:
            return Undecoded(*self._encode(net, views, view_mask, flags, known, grad))

        def encode(part: slice) -> tuple[torch.Tensor, Decode, list[list[Any]]]:
            own = {name: flag[part] for name, flag in flags.items()}
            return self._encode(net, views[part], view_mask[part], own, known and known[part])

        parts = [slice(first, first + SETS) for first in range(0, len(view_mask), SETS)]
        threads = self.threads if torch.get_num_threads() == 1 else 1
        tokens, decoders, per_view = zip(*side_by_side(encode, parts, threads=threads), strict=True)

        def decode() -> dict[str, torch.Tensor]:
            each = side_by_side(lambda made: made(), decoders, threads=threads)
            return {name: torch.cat([one[name] for one in each]) for name in each[0]}

        return Undecoded(torch.cat(tokens), decode, [kept for part in per_view for kept in part])

    def _encode(
        self,
        net: CompactNet,
        views: View,
        view_mask: np.ndarray,
        flags: Mapping[str, np.ndarray],
        known: Sequence[Sequence[Any]] | None,
        grad: bool = False,
    ) -> tuple[torch.Tensor, Decode, list[list[Any]]]:
        """What makes an ``Undecoded`` of sets in one batch."""
        with torch.set_grad_enabled(grad):
            batch = as_inputs(views, view_mask, flags, net.reference)
            seen, per_view = self._see(net, batch, view_mask, known)
            if isinstance(views.cam_to_world, np.ndarray):
                batch = with_aligned_poses(batch, seen.smooth)
            looked = net.look(batch, seen)
            tokens = net.fuse(batch, seen, looked)

        def placed(value: torch.Tensor) -> torch.Tensor:
            if bool(batch.view_mask.all()):
                return value.unflatten(0, view_mask.shape)
            full = value.new_zeros(*view_mask.shape, *value.shape[1:])
            full[batch.view_mask] = value
            return full

        def decode() -> dict[str, torch.Tensor]:
            with torch.set_grad_enabled(grad):
                depth, hit, error = net.decode(batch, seen, looked, tokens)
                pose = batch.cam_to_world[batch.view_mask]
                rays = pixel_rays(batch.intrinsics[batch.view_mask], views.image_size)
                length = rays.norm(dim=-1)
                rows = {
                    "points": points_at(rays, depth, pose), "confidence": torch.exp(-error),
                    "mask": (hit > 0) & (error < math.log(self.max_error)), "cam_to_world": pose,
                    "ray_directions": rays / length[..., None], "depth_along_ray": depth * length,
                }  # fmt: skip
                return {"scale": looked.unit, **{name: placed(value) for name, value in rows.items()}}

        with torch.set_grad_enabled(grad):
            return placed(tokens), decode, per_view

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

    offsets: torch.Tensor
    weights: torch.Tensor

    def __init__(self, sizes: Sizes = Sizes()) -> None:
        super().__init__()
        self.sizes = sizes
        width = sizes.width
        for field in fields(Sizes):
            check_range(field.name, getattr(sizes, field.name), 1, 1024, int)
        if width % sizes.heads:
            raise ValueError(f"heads: got {sizes.heads}; expected a divisor of the width, {width}")
        self.register_buffer("offsets", torch.from_numpy(OFFSETS), persistent=False)
        self.register_buffer("weights", torch.tensor([1.0, 1.0, 1.0, 5.0, 5.0]), persistent=False)
        # see
        self.stem = nn.Sequential(
            nn.Conv2d(11, SKIP, 4, 2, 1), nn.GELU(), nn.Conv2d(SKIP, SKIP, 3, 1, 1), nn.GELU()
        )
        self.patches = nn.Conv2d(SKIP, width, HALF, HALF)
        self.encoder = nn.ModuleList(Block(width, sizes.heads) for _ in range(sizes.encoder_layers))
        self.encoder_norm = nn.LayerNorm(width)
        self.to_half = nn.Linear(width, LAST * HALF**2)
        self.surface = nn.Sequential(
            nn.Conv2d(SKIP + LAST, LAST, 3, 1, 1), nn.GELU(), nn.Conv2d(LAST, 1, 3, 1, 1)
        )
        # look
        self.from_planes = nn.Linear(STATISTICS * PLANES, FINE)
        self.from_cells = nn.Conv2d(SKIP + 2, FINE, 1)
        self.mix = nn.Conv2d(FINE, FINE, 3, 1, 1)
        self.down = nn.Conv2d(FINE, COARSE, 2, 2)
        self.around = nn.Conv2d(COARSE, COARSE, 3, 1, 1)
        self.first_fine = nn.Conv2d(FINE, PLANES + 1, 1)
        self.first_coarse = nn.Conv2d(COARSE, PLANES + 1, 1)
        # fuse
        self.from_coarse = nn.Conv2d(COARSE, width, CELLS // 2, CELLS // 2)
        self.from_depth = nn.Conv2d(2, width, CELLS, CELLS)
        self.geometry = nn.Sequential(nn.Linear(RAW, width), nn.GELU(), nn.Linear(width, width))
        self.reference = nn.Parameter(0.02 * torch.randn(2, width))
        self.fusion = nn.ModuleList(Block(width, sizes.heads) for _ in range(sizes.fusion_layers))
        self.norm = nn.LayerNorm(width)
        # decode
        self.to_coarse = nn.Linear(width, COARSE * (CELLS // 2) ** 2)
        self.coarse = nn.Sequential(Residual(COARSE), Residual(COARSE))
        self.again_from_planes = nn.Linear(STATISTICS * PLANES, DECODED)
        self.again_from_fine = nn.Conv2d(FINE, DECODED, 1)
        self.to_fine = nn.Conv2d(COARSE, DECODED * 4, 1)
        self.fine = nn.Sequential(Residual(DECODED), Residual(DECODED), Residual(DECODED))
        self.second = nn.Conv2d(DECODED, PLANES + 1 + LAST, 1)
        self.trust = nn.Parameter(torch.tensor([2.0, 0.0]))
        self.from_skip = nn.Conv2d(SKIP, LAST, 1)
        self.last = nn.Sequential(
            nn.GELU(),
            nn.Conv2d(LAST, LAST, 3, 1, 1),
            nn.GELU(),
            nn.Conv2d(LAST, 20, 3, 1, 1),
            nn.PixelShuffle(2),
        )

    # ---- one view at a time

    def see(self, given: Inputs, index: torch.Tensor) -> Seen:
        """Encode the views at ``index`` (M,), flat over (B, N)."""
        rgb = given.rgb.flatten(0, 1)[index]
        depth = given.depth.flatten(0, 1)[index]
        has_depth = given.has_depth.flatten()[index]
        height, width = depth.shape[-2:]
        rays = pixel_rays(given.intrinsics.flatten(0, 1)[index], (height, width))
        hit = (depth > 0) & has_depth[:, None, None]
        metres = torch.where(hit, depth, torch.zeros_like(depth))
        mean = mean_depth(metres)[:, None, None]
        relative = torch.where(hit, torch.log(metres.clamp_min(1e-6) / mean), torch.zeros_like(depth))
        smooth = smoothed(relative, hit) if bool(has_depth.any()) else relative
        rough = torch.where(hit, relative - smooth, torch.zeros_like(depth)).clamp(-0.1, 0.1)
        noise = rough.abs().sum(dim=(1, 2)) / hit.sum(dim=(1, 2)).clamp_min(1)
        channels = [
            2 * rgb - 1, rgb.amax(dim=1, keepdim=True) == 0, rays[..., 0][:, None], rays[..., 1][:, None],
            4 * relative[:, None], 30 * rough[:, None], hit[:, None], smooth[:, None],
            has_depth[:, None, None, None].expand(-1, 1, height, width),
        ]  # fmt: skip
        stacked = torch.cat([channel.to(rgb.dtype) for channel in channels], dim=1)
        skip = self.stem(stacked.contiguous(memory_format=torch.channels_last))
        grid = self.patches(skip)
        tokens = grid.flatten(2).transpose(1, 2)
        tokens = tokens + positions(grid.shape[-2:], tokens.shape[-1], tokens)
        for block in self.encoder:
            tokens = block(tokens)
        tokens = self.encoder_norm(tokens)
        by_patch = unpatched(self.to_half(tokens), (grid.shape[-2], grid.shape[-1]), HALF)
        surface = self.surface(torch.cat([skip, by_patch], dim=1)).float()[:, 0]
        # what other views will ask this one for
        small = F.avg_pool2d(torch.cat([rgb, hit[:, None].to(rgb.dtype)], dim=1), 2)
        share = torch.where(has_depth[:, None, None], small[:, 3], torch.sigmoid(surface).to(rgb.dtype))
        maps = torch.cat([small[:, :3], share[:, None]], dim=1).permute(0, 2, 3, 1).contiguous()
        cells = (grid.shape[-2] * CELLS, grid.shape[-1] * CELLS)
        measured = torch.stack([smooth * hit, hit.to(smooth.dtype)], dim=1)
        at_cells = [resized(skip, cells), resized(measured.to(rgb.dtype), cells)]
        # positions of what was measured, by patch: in the camera's axes
        placed = torch.cat([rays * metres[..., None], hit[..., None]], dim=-1).permute(0, 3, 1, 2)
        pooled = F.avg_pool2d(placed.to(rgb.dtype), PATCH).flatten(2).transpose(1, 2)
        part = pooled[..., 3:].clamp_min(1e-6)
        flag = has_depth[:, None, None].expand(*pooled.shape[:2], 1).to(pooled.dtype)
        patches = torch.cat([pooled[..., :3] / part, pooled[..., 3:], flag], dim=-1)
        return Seen(
            tokens,
            skip,
            torch.cat([cell.to(rgb.dtype) for cell in at_cells], dim=1),
            maps.detach(),
            surface,
            smooth + mean.log(),
            noise,
            patches,
        )

    # ---- one view among the others

    def look(self, given: Inputs, seen: Seen) -> Looked:
        """Compare the M views that are there, each with the others of its set, along its rays."""
        unit, middle = scales(given)
        height, width = seen.cells.shape[-2:]
        with torch.autocast(seen.tokens.device.type, enabled=False):
            planes = sweep(self._swept(given, seen, middle)).mul_(self.weights[:, None]).flatten(2)
        fine = self.from_planes(planes).transpose(1, 2).unflatten(2, (height, width))
        fine = F.gelu(fine + pointwise(self.from_cells, seen.cells))
        fine = F.gelu(self.mix(fine)) + fine
        coarse = F.gelu(self.down(fine))
        coarse = F.gelu(self.around(coarse)) + coarse
        first = resized(pointwise(self.first_coarse, coarse), (height, width))
        first = pointwise(self.first_fine, fine) + first
        depth, surface = self._expected(first)
        measured, share = seen.cells[:, SKIP:].float().unbind(1)
        depth = torch.where(share > 0.5, measured / share.clamp_min(0.5), depth)
        return Looked(planes, fine, coarse, first, depth, surface, unit, middle)

    def _swept(self, given: Inputs, seen: Seen, middle: torch.Tensor) -> Swept:
        mask = given.view_mask
        cells = (seen.cells.shape[-2], seen.cells.shape[-1])
        intrinsics = given.intrinsics[mask]
        per_cell = intrinsics.new_tensor([[CELLS / PATCH], [CELLS / PATCH], [1.0]])
        rays = pixel_rays(intrinsics * per_cell, cells).flatten(1, 2)
        own = resized(seen.maps.permute(0, 3, 1, 2), cells).flatten(2).transpose(1, 2)
        depth = torch.where(given.has_depth[..., None, None], given.depth, torch.zeros_like(given.depth))[
            mask
        ]
        lens = torch.stack(
            [intrinsics[:, 0, 0], intrinsics[:, 1, 1], intrinsics[:, 0, 2], intrinsics[:, 1, 2]], 1
        )
        count = mask.sum(dim=1)
        first = count.cumsum(0) - count
        return Swept(
            seen.maps.to(rays.dtype), own.to(rays.dtype), depth, rays, given.cam_to_world[mask], lens / 2,
            middle[:, None] * self.offsets.to(middle.dtype).exp(), by_view(first, mask), by_view(count, mask),
        )  # fmt: skip

    def _expected(self, logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Log of the depth over the middle, and logits of a surface, (M, h, w) each, of (M, 49, h, w)."""
        share = logits[:, :PLANES].float().softmax(dim=1).to(self.offsets.dtype)
        return torch.einsum("mdhw,d->mhw", share, self.offsets), logits[:, PLANES].float()

    # ---- all views of a set

    def fuse(self, given: Inputs, seen: Seen, looked: Looked) -> torch.Tensor:
        """Tokens (M, P, D) of the M views that are there."""
        mask = given.view_mask
        first = torch.stack([4 * looked.depth, looked.surface.sigmoid()], dim=1)
        tokens = self.from_coarse(looked.coarse) + self.from_depth(first.to(looked.coarse.dtype))
        tokens = seen.tokens + tokens.flatten(2).transpose(1, 2) + self.reference[later(mask).long()][:, None]
        with torch.autocast(tokens.device.type, enabled=False):  # positions need more than 8 bits
            described = self._geometry(given, seen, looked)
        tokens = tokens + self.geometry(described)
        sets, count, patches = *mask.shape, tokens.shape[1]
        keys = None
        if not bool(mask.all()):
            keys = mask[:, :, None].expand(-1, -1, patches).flatten(1)[:, None, None]
        for k, block in enumerate(self.fusion):
            if k % 2:
                tokens = block(tokens)
                continue
            full = tokens.new_zeros(sets, count, patches, tokens.shape[-1])
            full[mask] = tokens
            tokens = block(full.flatten(1, 2), keys).unflatten(1, (count, patches))[mask]
        return self.norm(tokens)

    def _geometry(self, given: Inputs, seen: Seen, looked: Looked) -> torch.Tensor:
        """(M, P, 31): what is known of every patch in the set's frame, lengths in the set's unit. Where
        nothing was measured, its place is that of the first depth."""
        mask, size = given.view_mask, given.depth.shape[-2:]
        lengths = by_view(looked.unit, mask)
        pose = given.cam_to_world[mask]
        grid = (size[0] // PATCH, size[1] // PATCH)
        patch = given.intrinsics.new_tensor([[PATCH], [PATCH], [1.0]])
        rays = F.normalize(pixel_rays(given.intrinsics[mask] / patch, grid).flatten(1, 2), dim=-1)
        rotation, origin = pose[:, :3, :3], pose[:, None, :3, 3] / lengths[:, None, None]
        direction = rays @ rotation.transpose(1, 2)
        origin = origin.expand_as(direction)
        guess = self._first_places(given, looked)
        measured = seen.patches[..., 3:4].float() > 0
        local = torch.where(measured, seen.patches[..., :3].float(), guess[..., :3]) / lengths[:, None, None]
        share = torch.where(seen.patches[..., 4:5] > 0, seen.patches[..., 3:4].float(), guess[..., 3:])
        place = (local @ rotation.transpose(1, 2) + origin) * (share > 0.02)
        ones = torch.ones_like(share)
        distance = (pose[:, :3, 3].norm(dim=1) / lengths).clamp_min(0.1)
        described = [
            direction, torch.linalg.cross(origin, direction), origin, place,
            rotation.flatten(1)[:, None].expand(-1, rays.shape[1], -1), local * share, share,
            seen.patches[..., 4:5].float(), torch.log(lengths)[:, None, None] * ones,
            distance.log()[:, None, None] * ones,
            torch.linalg.vector_norm(local, dim=-1, keepdim=True) * share,
            (looked.middle / lengths).log()[:, None, None] * ones, place.norm(dim=-1, keepdim=True),
        ]  # fmt: skip
        return torch.cat(described, dim=-1)

    def _first_places(self, given: Inputs, looked: Looked) -> torch.Tensor:
        """(M, P, 4): mean place of the first depth by patch, in the camera's axes, metres, and its share."""
        mask = given.view_mask
        cells = (looked.depth.shape[-2], looked.depth.shape[-1])
        per_cell = given.intrinsics.new_tensor([[CELLS / PATCH], [CELLS / PATCH], [1.0]])
        rays = pixel_rays(given.intrinsics[mask] * per_cell, cells)
        metres = looked.depth.exp() * looked.middle[:, None, None]
        weight = looked.surface.sigmoid()[..., None]
        placed = torch.cat([rays * (metres[..., None] * weight), weight], dim=-1).permute(0, 3, 1, 2)
        pooled = F.avg_pool2d(placed, CELLS).flatten(2).transpose(1, 2)
        return torch.cat([pooled[..., :3] / pooled[..., 3:].clamp_min(1e-6), pooled[..., 3:]], dim=-1)

    # ---- pixels

    def decode(
        self, given: Inputs, seen: Seen, looked: Looked, tokens: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Depth along the axis (M, H, W), metres; logits of there being a surface (M, H, W); log of the
        expected relative error of the depth (M, H, W)."""
        mask = given.view_mask
        height, width = given.depth.shape[-2:]
        grid = (height // PATCH, width // PATCH)
        coarse = self.coarse(looked.coarse + unpatched(self.to_coarse(tokens), grid, CELLS // 2))
        again = self.again_from_planes(looked.planes).transpose(1, 2).unflatten(2, looked.fine.shape[2:])
        again = again + pointwise(self.again_from_fine, looked.fine)
        again = F.gelu(again + F.pixel_shuffle(pointwise(self.to_fine, coarse), 2))
        fine = self.fine(again)
        second = pointwise(self.second, fine)
        planes, surface = self._expected(looked.first + second[:, : PLANES + 1])
        half = resized(second[:, PLANES + 1 :], (height // 2, width // 2))
        half = half + pointwise(self.from_skip, seen.skip)
        change, share, hit, error, finer = self.last(half).float().unbind(1)
        both = resized(torch.stack([planes, surface], dim=1), (height, width))
        guess = looked.middle.log()[:, None, None] + (both[:, 0] + finer).clamp(-4, 4)
        measured = torch.where(
            given.has_depth[mask][:, None, None], given.depth[mask], torch.zeros_like(change)
        )
        there = measured > 0
        logs = torch.where(there, measured.clamp_min(1e-6).log(), torch.zeros_like(measured))
        noisy = (seen.noise.clamp_min(1e-4) / NOISE).log()[:, None, None]
        share = torch.sigmoid(share + self.trust[0] * noisy + self.trust[1])
        kept = logs + share * (seen.smooth - logs) + (0.03 * change).clamp(-0.5, 0.5)
        depth = torch.where(there, kept, guess).exp()
        return depth, hit + both[:, 1], (error - 3).clamp(-8, 2)


class Residual(nn.Module):
    """A 3 x 3 convolution beside its input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.around = nn.Conv2d(channels, channels, 3, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x (M, C, h, w)."""
        return x + F.gelu(self.around(x))


class Block(nn.Module):
    """A pre-norm transformer layer."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

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


def with_aligned_poses(given: Inputs, smooth: torch.Tensor) -> Inputs:
    """The inputs, with poses that agree with the measured depths; smooth (M, H, W) as of ``Seen``."""
    mask = given.view_mask
    count = (mask & given.has_depth).sum(dim=1)
    if not bool((count > 1).any()):
        return given
    hit = (given.depth[mask] > 0) & given.has_depth[mask][:, None, None]
    near = F.avg_pool2d(hit.float()[:, None], 5, 1, 2)[:, 0] > 0.6  # holes are closed, borders stay
    metres = torch.where(hit | near, smooth.exp(), torch.zeros_like(smooth))
    views = mask.sum(dim=1)
    sets = (by_view(views.cumsum(0) - views, mask), by_view(views, mask))
    arrays = (metres, given.intrinsics[mask], given.cam_to_world[mask], *sets)
    poses = given.cam_to_world.clone()
    poses[mask] = torch.from_numpy(aligned(*(array.cpu().numpy() for array in arrays))).to(poses)
    return replace(given, cam_to_world=poses)


def pointwise(layer: nn.Conv2d, maps: torch.Tensor) -> torch.Tensor:
    """A 1 x 1 convolution of maps (M, C, h, w) as a product of matrices: torch's own copies them first, where
    it has one thread."""
    product = F.linear(maps.permute(0, 2, 3, 1), layer.weight.flatten(1), layer.bias)
    return product.permute(0, 3, 1, 2)


def resized(maps: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """(M, C, *size): the maps (M, C, H, W), between their pixels linearly."""
    return F.interpolate(maps, size, mode="bilinear", align_corners=False)


def unpatched(tokens: torch.Tensor, grid: tuple[int, int], side: int) -> torch.Tensor:
    """(M, C, H, W): of tokens (M, P, C * side * side) each a square of ``side`` pixels."""
    maps = tokens.transpose(1, 2).unflatten(2, (int(grid[0]), int(grid[1])))
    return F.pixel_shuffle(maps, side)


def mean_depth(depth: torch.Tensor) -> torch.Tensor:
    """(M,): mean of the positive entries of (M, H, W); 1 where there are none."""
    total, count = depth.sum(dim=(1, 2)), (depth > 0).sum(dim=(1, 2))
    return torch.where(count > 0, total / count.clamp_min(1), torch.ones_like(total))


def scales(given: Inputs) -> tuple[torch.Tensor, torch.Tensor]:
    """The unit of each set (B,), the length that is 1 inside the network, and the middle of each view that is
    there (M,), the depth about which its planes lie, metres."""
    mask = given.view_mask
    with_depth = mask & given.has_depth
    depth = torch.where(with_depth[..., None, None], given.depth, torch.zeros_like(given.depth))
    hits = (depth > 0).flatten(1).sum(dim=1)
    measured = depth.flatten(1).sum(dim=1) / hits.clamp_min(1)
    centre, axis = given.cam_to_world[..., :3, 3], given.cam_to_world[..., :3, 2]
    away = focus(centre, axis, mask)[:, None] - centre
    squared = (away**2).sum(dim=-1) * mask
    distance = (squared.sum(dim=1) / mask.sum(dim=1)).clamp_min(1e-12).sqrt()
    apart = distance > 1e-2
    unit = torch.where(hits > 0, measured, torch.where(apart, distance, torch.ones_like(distance))).detach()
    ahead = (away * axis).sum(dim=-1)
    ahead = torch.where(apart[:, None], torch.maximum(ahead, 0.3 * unit[:, None]), unit[:, None])[mask]
    own = depth[mask]
    return unit, torch.where((own > 0).flatten(1).any(dim=1), mean_depth(own), ahead)


def focus(centre: torch.Tensor, axis: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """(B, 3): the point nearest to the optical axes, of centres and directions (B, N, 3), of the views that
    are there, mask (B, N); where they leave it open, the one nearest to the frame's origin."""
    eye = torch.eye(3, device=axis.device, dtype=axis.dtype)
    across = (eye - axis[..., :, None] * axis[..., None, :]) * mask[..., None, None]
    total = across.sum(dim=1) + 1e-3 * eye
    return torch.linalg.solve(total, torch.einsum("bnij,bnj->bi", across, centre))


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
