"""Is this MapAnything healthy? ``python -m spatial_envs.tools.check_mapanything --checkpoint <folder or hub
name>``.

What an owner of the weights runs once: shapes, that cached and batched encodings equal plain ones, the point
error on made views, milliseconds per step, memory. Exits with 1 where something is not as it should be.
``python -m agents.backbone.table`` goes on from there, in the checkout.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Iterator

import numpy as np
import torch

from spatial_envs.backbones.backbone import Encoding
from spatial_envs.backbones.checkpoint import V1
from spatial_envs.backbones.mapanything import MapAnythingBackbone
from spatial_envs.backbones.networks import NetworkBackbone
from spatial_envs.geometry.camera import facing_origin, fibonacci_directions, pinhole, unproject
from spatial_envs.geometry.view import View
from spatial_envs.rendering.builtin import BuiltinRenderer
from spatial_envs.scenes.objects import open_objects

HEALTHY = 0.05  # of the diameter; rays, depth and poses are given, so that this is generous


def check(backbone: NetworkBackbone, image_size: int, count: int) -> Iterator[tuple[str, bool]]:
    """The findings one after another, as a line and whether it is as it should be."""
    parameters = sum(p.numel() for p in backbone.net.parameters()) / 1e6
    where = _device(backbone)
    tolerance = 1e-3 if where.type == "cpu" else 5e-2  # float32 and bfloat16
    yield f"{parameters:.1f} M parameters, width {backbone.dim}, on {where}, {image_size} px", True
    views = _made_views(image_size, count)
    whole, times = _encoded(backbone, views)
    patches = (image_size // backbone.patch) ** 2
    shape = tuple(whole.tokens.shape)
    yield _found("tokens", f"{shape}", shape == (1, count, patches, backbone.dim))
    yield _found("points are finite", "", bool(whole.points.isfinite().all()))
    cached, cached_times = _encoded(backbone, views, cached=True)
    apart = _apart(cached, whole)
    yield _found("cached = uncached", f"{apart:.1e} apart, at most {tolerance:.0e}", apart <= tolerance)
    both = View(
        *(np.concatenate([x, x]) for x in (views.rgb, views.depth, views.intrinsics, views.cam_to_world))
    )
    apart = _apart(backbone.encode(both, np.ones((2, count), np.bool_)), whole)
    yield _found("batched = single", f"{apart:.1e} apart, at most {tolerance:.0e}", apart <= tolerance)
    hit = views.depth[0] > 0
    true = np.stack(
        [unproject(views.depth[0, k], views.intrinsics[0, k], views.cam_to_world[0, k]) for k in range(count)]
    )
    error = float(np.linalg.norm(whole.points[0].cpu().numpy() - true, axis=-1)[hit].mean())
    found = f"{100 * error:.2f} % of the diameter, healthy under {100 * HEALTHY:.0f} %"
    yield _found("point error", found, error < HEALTHY)
    steps = ", ".join(f"{a:.0f} / {b:.0f}" for a, b in zip(cached_times, times, strict=True))
    yield f"ms per step to 1, 2, ... views, cached / not: {steps}", True
    if where.type == "cuda":
        yield f"peak memory: {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB", True


def _made_views(size: int, count: int) -> View:
    """(1, count) of an object of the validation split."""
    mesh = open_objects("procedural", "validation").load(0)
    poses = facing_origin(1.6 * fibonacci_directions(count, 60))
    views = BuiltinRenderer().render(mesh, poses, pinhole(50, (size, size)), (size, size))
    return views[None]


def _encoded(backbone: NetworkBackbone, views: View, cached: bool = False) -> tuple[Encoding, list[float]]:
    """Return the encoding of all the views, and the milliseconds (median of 3 on a GPU) that the step to each
    number of views took."""
    known: list = []
    times = []
    repeats = 1 if _device(backbone).type == "cpu" else 3
    for count in range(1, views.depth.shape[1] + 1):
        taken = []
        for _ in range(repeats):
            start = time.perf_counter()
            before = [[*known, None]] if cached else None
            encoding = backbone.encode(views[:, :count], np.ones((1, count), np.bool_), before)
            encoding.points.sum().item()  # waits for the GPU
            taken.append(1000 * (time.perf_counter() - start))
        times.append(statistics.median(taken))
        assert encoding.per_view is not None
        known = encoding.per_view[0]
    return encoding, times


def _apart(one: Encoding, other: Encoding) -> float:
    """The largest difference of tokens and points, in units of the largest value."""
    pairs = [(one.tokens[:1], other.tokens), (one.points[:1], other.points)]
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in pairs)


def _device(backbone: NetworkBackbone) -> torch.device:
    return next(backbone.net.parameters()).device


def _found(what: str, found: str, good: bool) -> tuple[str, bool]:
    return f"{'ok' if good else 'BAD'}: {what}{': ' if found else ''}{found}", good


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkpoint", default=V1, help="a local folder or a name on the Hugging Face hub")
    parser.add_argument("--image-size", type=int, default=518, help="pixels, a multiple of 14")
    parser.add_argument("--views", type=int, default=5, help="how many views at most")
    parser.add_argument("--device", default="auto", help="torch device")
    arguments = parser.parse_args()
    healthy = True
    try:
        made = MapAnythingBackbone(arguments.checkpoint, device=arguments.device)
        for line, good in check(made, arguments.image_size, arguments.views):
            print(line, flush=True)
            healthy &= good
    except (ImportError, FileNotFoundError, ValueError) as error:
        sys.exit(f"spatial_envs.tools.check_mapanything: {error}")
    sys.exit(0 if healthy else 1)
