"""The sweep of planes and the smoothing of depth: kernels against their twins, and against what they mean."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from test_mapanything import made_views

from spatial_envs.backbones.compact import pixel_rays
from spatial_envs.backbones.smoothing import smoothed, smoothed_by_torch
from spatial_envs.backbones.sweep import Swept, log_hypotheses, sweep, sweep_by_torch

SIZE, CELLS, PLANES = 56, 16, 9


def made(counts: tuple[int, ...] = (3, 1, 2), with_depth: tuple[bool, ...] = (False,) * 6) -> Swept:
    """Sets of so many views of one object, what they show as maps at full resolution."""
    views = made_views(1, sum(counts), SIZE)[0]
    hit = (views.depth > 0).astype(np.float32)
    maps = torch.from_numpy(np.concatenate([views.rgb / np.float32(255), hit[..., None]], axis=-1))
    share = maps.new_tensor([[CELLS / SIZE], [CELLS / SIZE], [1.0]])
    intrinsics = torch.from_numpy(views.intrinsics)
    rays = pixel_rays(intrinsics * share, (CELLS, CELLS)).flatten(1, 2)
    own = torch.nn.functional.interpolate(maps.permute(0, 3, 1, 2), (CELLS, CELLS), mode="bilinear")
    depth = torch.from_numpy(views.depth * np.array(with_depth)[:, None, None].astype(np.float32))
    lens = torch.stack(
        [intrinsics[:, 0, 0], intrinsics[:, 1, 1], intrinsics[:, 0, 2], intrinsics[:, 1, 2]], dim=1
    )
    hypotheses = (
        torch.from_numpy(1.6 * np.exp(log_hypotheses(0.6, 1.5, PLANES))).float().expand(len(maps), -1)
    )
    first = np.repeat(np.cumsum([0, *counts[:-1]]), counts)
    return Swept(
        maps, own.flatten(2).transpose(1, 2).contiguous(), depth, rays, torch.from_numpy(views.cam_to_world),
        lens, hypotheses, torch.from_numpy(first), torch.from_numpy(np.repeat(counts, counts)),
    )  # fmt: skip


@pytest.mark.parametrize("with_depth", [(False,) * 6, (True,) * 6, (True, False, True, True, False, True)])
def test_the_kernel_is_its_twin(with_depth):
    swept = made(with_depth=with_depth)
    got, expected = sweep(swept), sweep_by_torch(swept)
    assert got.shape == (6, CELLS * CELLS, 5, PLANES)
    assert (got - expected).abs().mean() < 1e-5
    assert ((got - expected).abs() > 1e-3).float().mean() < 1e-3  # a pixel's border may fall to either side
    assert not got[3].any()  # a view alone has nothing to be compared with
    assert (got.amax(dim=(0, 1, 3)) > 0.2).all()


def test_a_ray_that_shows_nothing_fades_out():
    swept = made()
    for share, factor in ((0.0, 0.0), (0.02, 0.0), (0.03, 0.5), (0.04, 1.0)):
        own = swept.own.clone()
        own[..., 3] = share
        full = own.clone()
        full[..., 3] = 1.0
        got = sweep(dataclasses.replace(swept, own=own))
        whole = sweep(dataclasses.replace(swept, own=full))
        torch.testing.assert_close(got, factor * whole, rtol=1e-4, atol=1e-5)


def hypothesised(swept: Swept, view: int) -> np.ndarray:
    """(P, D, 3): the points in the world."""
    local = swept.rays[view, :, None] * swept.hypotheses[view, None, :, None]
    pose = swept.pose[view]
    return (local @ pose[:3, :3].T + pose[:3, 3]).numpy()


def test_silhouettes_carve():
    """By a slow and obvious way: a point is in the hull where the pixel of every view that it falls on shows
    a surface."""
    swept = made((4,), (False,) * 4)
    got = sweep(swept)[0].numpy()
    points = hypothesised(swept, 0)
    inside, outside = [], []
    for p, d in np.ndindex(points.shape[:2]):
        if swept.own[0, p, 3] < 0.99:
            continue
        shows = []
        for other in range(1, 4):
            world_to_cam = np.linalg.inv(swept.pose[other].numpy().astype(np.float64))
            x, y, z = world_to_cam[:3, :3] @ points[p, d] + world_to_cam[:3, 3]
            fx, fy, cx, cy = swept.lens[other].numpy()
            column, row = int(fx * x / z + cx), int(fy * y / z + cy)
            if not (0 < row < SIZE - 1 and 0 < column < SIZE - 1):
                shows.append(np.nan)
                continue
            near = swept.maps[other, row - 1 : row + 2, column - 1 : column + 2, 3]
            shows.append(
                float(near.min()) if near.min() == near.max() else np.nan
            )  # on an edge it is between
        if not np.isnan(shows).any():
            (inside if min(shows) == 1 else outside).append(got[p, 2, d])
            assert got[p, 1, d] == pytest.approx(np.mean(shows), abs=1e-5)
    assert len(inside) > 20
    assert len(outside) > 20
    np.testing.assert_allclose(inside, 1, atol=1e-5)
    np.testing.assert_allclose(outside, 0, atol=1e-5)


def test_measured_depth_carves_what_lies_before_it():
    """Along a ray of one view, another's measured depth leaves free space before the surface."""
    swept = made((2,), (False, True))
    got = sweep(swept)[0].numpy()
    bare = sweep(dataclasses.replace(swept, depth=torch.zeros_like(swept.depth)))[0].numpy()
    points = hypothesised(swept, 0)
    world_to_cam = np.linalg.inv(swept.pose[1].numpy().astype(np.float64))
    local = points @ world_to_cam[:3, :3].T + world_to_cam[:3, 3]
    fx, fy, cx, cy = swept.lens[1].numpy()
    column, row = (
        (f * local[..., k] / local[..., 2] + c).astype(int) for f, c, k in ((fx, cx, 0), (fy, cy, 1))
    )
    there = (row >= 0) & (row < SIZE) & (column >= 0) & (column < SIZE)
    behind = np.where(there, swept.depth[1].numpy()[row.clip(0, SIZE - 1), column.clip(0, SIZE - 1)], 0)
    asked = (swept.own[0, :, 3].numpy() > 0.99)[:, None] & (behind > 0)
    before, after = asked & (local[..., 2] < 0.95 * behind), asked & (local[..., 2] > behind)
    assert before.sum() > 20
    assert after.sum() > 20
    assert (got[:, 2][before] == 0).all()
    np.testing.assert_array_equal(got[:, 2][after], bare[:, 2][after])


def test_the_true_depth_has_the_least_difference_of_colour():
    """At the depth that the renderer says, colours agree better than at any hypothesis far from it."""
    swept = made((4,), (False,) * 4)
    views = made_views(1, 4, SIZE)[0]
    rows = np.linspace(0, SIZE - 1, 15).astype(int)
    true = torch.from_numpy(views.depth[:, rows[:, None], rows]).flatten(1)
    per_ray = []
    for factor in (0.7, 1.0, 1.3):
        at = dataclasses.replace(
            swept,
            own=swept.maps[:, rows[:, None], rows].flatten(1, 2),
            rays=pixel_rays(torch.from_numpy(views.intrinsics), (SIZE, SIZE))[:, rows[:, None], rows].flatten(
                1, 2
            ),
        )
        costs = [
            sweep(dataclasses.replace(at, hypotheses=(factor * true[:, p, None]).contiguous()))[:, p, 4, 0]
            for p in range(true.shape[1])
        ]
        hit = (true > 0) & (at.own[..., 3] == 1)
        per_ray.append(float(torch.stack(costs, dim=1)[hit].mean()))
    assert per_ray[1] < 0.6 * min(per_ray[0], per_ray[2])


def test_gradients_reach_the_poses():
    swept = made((3,), (False,) * 3)
    double = Swept(*(t.double() if t.is_floating_point() else t for t in vars(swept).values()))
    pose = double.pose.clone().requires_grad_()
    weights = torch.rand(3, CELLS * CELLS, 5, PLANES, generator=torch.Generator().manual_seed(0)).double()

    def total(pose: torch.Tensor) -> torch.Tensor:
        return (sweep(dataclasses.replace(double, pose=pose)) * weights).sum()

    (gradient,) = torch.autograd.grad(total(pose), pose)
    step = torch.zeros_like(pose)
    step[1, 0, 3] = 1e-6
    with torch.no_grad():
        slope = (total(pose + step) - total(pose - step)) / 2e-6
    assert gradient[1, 0, 3] == pytest.approx(float(slope), rel=0.02)


def test_smoothing_stays_on_a_surface():
    rng = np.random.default_rng(0)
    values = torch.from_numpy(rng.normal(0, 0.01, (2, 21, 23)).astype(np.float32))
    values[:, :, 12:] += 0.3  # another surface
    there = torch.from_numpy(rng.random((2, 21, 23)) < 0.9)
    got = smoothed(values, there)
    torch.testing.assert_close(got, smoothed_by_torch(values, there), rtol=0, atol=1e-6)
    left = values[0, 8:13, 9:12][there[0, 8:13, 9:12]]  # of the pixel (10, 11), up to the edge
    if there[0, 10, 11]:
        near = left[(left - values[0, 10, 11]).abs() < 0.04]
        assert got[0, 10, 11] == pytest.approx(float(near.mean()), abs=1e-6)
    assert got[..., 12:][there[..., 12:]].mean() == pytest.approx(0.3, abs=0.005)
    assert got[there].sub(torch.where(values > 0.15, 0.3, 0.0)[there]).std() < 0.004
    assert smoothed(values, torch.zeros_like(there)).abs().max() == 0
