"""A sweep of planes: what the other views of a set say of points at hypothesised depths along a view's rays.

After Collins 1996, "A space-sweep approach to true multi-image matching". Of every hypothesis, over the other
views in whose image the point falls:

    0    their share of all other views
    1-2  the mean and the least share of surface where it falls: what a silhouette, or a measured depth behind
         the point, carves away is no surface (mean 1/2 and least 1 where no view sees the point)
    3-4  the mean and the least difference of colour, over the three channels (0.3 where no view sees it)

all of them fading to zeros along a ray whose own pixel surely shows no surface. One kernel for CPUs, without
gradients, and its twin in torch, with them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from spatial_envs.foundation.compilation import njit

STATISTICS = 5
SURE = 0.02  # share of surface below which a ray is not asked for; from twice as much on all counts
NEAR = 0.05  # depth in the other camera, share of the hypothesis, below which the point is not in its image
CARVED = 0.04  # of a measured depth: what lies so much before it is free space for certain
UNSEEN_DIFFERENCE = 0.3


@dataclass(frozen=True, eq=False)
class Swept:
    """What is swept, of the M views of all sets, each set's one after another.

    maps (M, h, w, 4): red, green, blue and share of surface, in [0, 1]; own (M, P, 4): the same at the rays
    depth (M, H, W): measured, metres, 0 for none; rays (M, P, 3), third coordinate 1; pose (M, 4, 4)
    lens (M, 4): fx, fy, cx, cy, in pixels of the maps; hypotheses (M, D): depths, metres
    first, count (M,): where the set of each view begins, and how many views it has
    """

    maps: torch.Tensor
    own: torch.Tensor
    depth: torch.Tensor
    rays: torch.Tensor
    pose: torch.Tensor
    lens: torch.Tensor
    hypotheses: torch.Tensor
    first: torch.Tensor
    count: torch.Tensor


def sweep(swept: Swept) -> torch.Tensor:
    """(M, P, 5, D): the statistics above. On a CPU, in float32 and where no gradient is asked for, by the
    kernel."""
    arguments = [getattr(swept, name) for name in Swept.__dataclass_fields__]
    plain = all(a.device.type == "cpu" and a.dtype in (torch.float32, torch.int64) for a in arguments)
    if not plain or (torch.is_grad_enabled() and swept.pose.requires_grad):
        return sweep_by_torch(swept)
    arrays = [a.detach().contiguous().numpy() for a in arguments]
    out = np.zeros((*swept.own.shape[:2], STATISTICS, swept.hypotheses.shape[1]), np.float32)
    _sweep(*arrays, swept.depth.flatten(1).any(dim=1).numpy(), out)
    return torch.from_numpy(out)


@njit(error_model="numpy", fastmath=True)
def _sweep(maps, own, depth, rays, pose, lens, hypotheses, first, count, measured, out):
    views, points = own.shape[:2]
    planes = hypotheses.shape[1]
    zero, one, half = np.float32(0.0), np.float32(1.0), np.float32(0.5)  # literals would be of 64 bits
    height, width = np.float32(maps.shape[1]), np.float32(maps.shape[2])
    last_row, last_column = maps.shape[1] - 2, maps.shape[2] - 2
    stretch_v, stretch_u = np.float32(depth.shape[1]) / height, np.float32(depth.shape[2]) / width
    inside = np.empty(planes, np.float32)
    ray = np.empty(3, np.float32)
    for m in range(views):
        others = np.float32(count[m] - 1)
        for p in range(points):
            if others == zero or own[m, p, 3] <= np.float32(SURE):
                continue
            fade = min(own[m, p, 3] / np.float32(SURE) - one, one)
            red, green, blue = own[m, p, 0], own[m, p, 1], own[m, p, 2]
            share, surface, least, apart, nearest = out[m, p]
            for k in range(planes):
                inside[k] = zero
                least[k] = one
                nearest[k] = np.float32(9.0)
            for axis in range(3):
                ray[axis] = (
                    pose[m, axis, 0] * rays[m, p, 0]
                    + pose[m, axis, 1] * rays[m, p, 1]
                    + pose[m, axis, 2] * rays[m, p, 2]
                )
            for o in range(first[m], first[m] + count[m]):
                if o == m:
                    continue
                x0 = y0 = z0 = x1 = y1 = z1 = zero
                for axis in range(3):
                    shift = pose[m, axis, 3] - pose[o, axis, 3]
                    x0 += pose[o, axis, 0] * shift
                    y0 += pose[o, axis, 1] * shift
                    z0 += pose[o, axis, 2] * shift
                    x1 += pose[o, axis, 0] * ray[axis]
                    y1 += pose[o, axis, 1] * ray[axis]
                    z1 += pose[o, axis, 2] * ray[axis]
                fx, fy, cx, cy = lens[o]
                image, carves = maps[o], measured[o]
                for k in range(planes):
                    t = hypotheses[m, k]
                    z = z0 + t * z1
                    if z < np.float32(NEAR) * t:
                        continue
                    inverse = one / z
                    u = fx * (x0 + t * x1) * inverse + cx
                    v = fy * (y0 + t * y1) * inverse + cy
                    if not (u >= zero and v >= zero and u < width and v < height):
                        continue
                    left, top = max(u - half, zero), max(v - half, zero)
                    c, r = min(int(left), last_column), min(int(top), last_row)
                    a, b = min(left - np.float32(c), one), min(top - np.float32(r), one)
                    w00, w01 = (one - b) * (one - a), (one - b) * a
                    w10, w11 = b * (one - a), b * a
                    p00, p01, p10, p11 = image[r, c], image[r, c + 1], image[r + 1, c], image[r + 1, c + 1]
                    s = w00 * p00[3] + w01 * p01[3] + w10 * p10[3] + w11 * p11[3]
                    d = (
                        abs(w00 * p00[0] + w01 * p01[0] + w10 * p10[0] + w11 * p11[0] - red)
                        + abs(w00 * p00[1] + w01 * p01[1] + w10 * p10[1] + w11 * p11[1] - green)
                        + abs(w00 * p00[2] + w01 * p01[2] + w10 * p10[2] + w11 * p11[2] - blue)
                    ) * np.float32(1 / 3)
                    if carves:
                        behind = depth[o, int(v * stretch_v), int(u * stretch_u)]
                        if behind > zero and z < behind:
                            s *= max(one - (behind - z) / (np.float32(CARVED) * behind), zero)
                    inside[k] += one
                    surface[k] += s
                    least[k] = min(least[k], s)
                    apart[k] += d
                    nearest[k] = min(nearest[k], d)
            for k in range(planes):
                share[k] = fade * inside[k] / others
                least[k] *= fade
                if inside[k] == zero:
                    surface[k] = fade * half
                    apart[k] = fade * np.float32(UNSEEN_DIFFERENCE)
                    nearest[k] = apart[k]
                else:
                    surface[k] *= fade / inside[k]
                    apart[k] *= fade / inside[k]
                    nearest[k] *= fade


def sweep_by_torch(swept: Swept) -> torch.Tensor:
    """The kernel's twin, on any device, in any floating type, with gradients."""
    maps, own, pose = swept.maps, swept.own, swept.pose
    views = len(maps)
    height, width = maps.shape[1:3]
    size = torch.tensor([width, height], device=maps.device, dtype=maps.dtype)
    stretch = torch.tensor(swept.depth.shape[:0:-1], device=maps.device, dtype=maps.dtype) / size
    local = swept.rays[:, :, None] * swept.hypotheses[:, None, :, None]  # (M, P, D, 3)
    world = torch.einsum("mij,mpdj->mpdi", pose[:, :3, :3], local) + pose[:, None, None, :3, 3]
    shape = world.shape[:3]
    inside, surface, apart = (world.new_zeros(shape) for _ in range(3))
    least, nearest = world.new_ones(shape), world.new_full(shape, 9.0)
    place = torch.arange(views, device=maps.device)
    for step in range(1, int(swept.count.max())):
        o = swept.first + (place - swept.first + step) % swept.count
        x, y, z = torch.einsum(
            "mji,mpdj->mpdi", pose[o, :3, :3], world - pose[o][:, None, None, :3, 3]
        ).unbind(-1)
        there = (z >= NEAR * swept.hypotheses[:, None]) & (step < swept.count)[:, None, None]
        safe = torch.where(there, z, torch.ones_like(z))
        lens = swept.lens[o][:, :, None, None]
        uv = torch.stack([lens[:, 0] * x / safe + lens[:, 2], lens[:, 1] * y / safe + lens[:, 3]], dim=-1)
        there = there & (uv >= 0).all(-1) & (uv < size).all(-1)
        grid = torch.where(there[..., None], uv / size * 2 - 1, torch.zeros_like(uv))
        shown = F.grid_sample(
            maps[o].permute(0, 3, 1, 2), grid, "bilinear", "border", align_corners=False
        ).permute(0, 2, 3, 1)
        cell = (torch.where(there[..., None], uv, torch.zeros_like(uv)) * stretch).long()
        behind = swept.depth[o[:, None, None], cell[..., 1], cell[..., 0]]
        before = (behind > 0) & (z < behind)
        kept = (1 - (behind - z) / (CARVED * behind.clamp_min(1e-6))).clamp_min(0)
        s = shown[..., 3] * torch.where(before, kept, torch.ones_like(kept))
        d = (shown[..., :3] - own[:, :, None, :3]).abs().mean(dim=-1)
        inside = inside + there
        surface = surface + s * there
        apart = apart + d * there
        least = torch.where(there, torch.minimum(least, s), least)
        nearest = torch.where(there, torch.minimum(nearest, d), nearest)
    seen = inside > 0
    total = inside.clamp_min(1)
    unseen = torch.full_like(apart, UNSEEN_DIFFERENCE)
    rows = [
        inside / (swept.count[:, None, None] - 1).clamp_min(1),
        torch.where(seen, surface / total, torch.full_like(surface, 0.5)),
        least,
        torch.where(seen, apart / total, unseen),
        torch.where(seen, nearest, unseen),
    ]
    fade = (own[..., 3] / SURE - 1).clamp(0, 1) * (swept.count > 1)[:, None]
    return torch.stack(rows, dim=2) * fade[:, :, None, None]


def log_hypotheses(low: float, high: float, count: int) -> np.ndarray:
    """(D,) float32: logarithms of ``count`` shares of a depth, evenly from ``low`` to ``high``."""
    return np.linspace(math.log(low), math.log(high), count).astype(np.float32)
