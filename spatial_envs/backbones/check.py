"""Is this MapAnything healthy? ``python -m spatial_envs.backbones.check --checkpoint <folder or hub name>``.

What an owner of the weights runs once: shapes, that cached and batched encodings equal plain ones, the point
error on made views, milliseconds per step, memory. Exits with 1 where something is not as it should be.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time

import numpy as np
import torch

from spatial_envs.backbones import Encoding
from spatial_envs.backbones.mapanything import V1, MapAnythingBackbone
from spatial_envs.camera import facing_origin, fibonacci_directions, intrinsics, unproject
from spatial_envs.objects import open_objects
from spatial_envs.rendering.builtin import BuiltinRenderer
from spatial_envs.view import View

HEALTHY = 0.05  # of the diameter; rays, depth and poses are given, so that this is generous


def check(checkpoint: str, image_size: int, count: int, device: str) -> bool:
    """Print the findings; True where all are as they should be."""
    backbone = MapAnythingBackbone(checkpoint, device=device)
    model, where = backbone.model, backbone.device
    tolerance = 1e-3 if where.type == "cpu" else 5e-2  # float32 and bfloat16
    parameters = sum(p.numel() for p in model.parameters()) / 1e6
    print(f"{checkpoint}: {parameters:.0f} M parameters, width {backbone.dim}, on {where}, {image_size} px")
    views = _made_views(image_size, count)
    whole, times = _encoded(backbone, views)
    patches = (image_size // backbone.patch) ** 2
    good = [
        _say(
            "tokens", f"{tuple(whole.tokens.shape)}", whole.tokens.shape == (1, count, patches, backbone.dim)
        ),
        _say("points are finite", "", bool(whole.points.isfinite().all())),
    ]
    cached, cached_times = _encoded(backbone, views, cached=True)
    apart = _apart(cached, whole)
    good.append(_say("cached = uncached", f"{apart:.1e} apart, at most {tolerance:.0e}", apart <= tolerance))
    both = View(
        *(np.concatenate([x, x]) for x in (views.rgb, views.depth, views.intrinsics, views.cam_to_world))
    )
    apart = _apart(backbone.encode(both, np.ones((2, count), np.bool_)), whole)
    good.append(_say("batched = single", f"{apart:.1e} apart, at most {tolerance:.0e}", apart <= tolerance))
    hit = views.depth[0] > 0
    true = np.stack(
        [unproject(views.depth[0, k], views.intrinsics[0, k], views.cam_to_world[0, k]) for k in range(count)]
    )
    error = np.linalg.norm(whole.points[0].cpu().numpy() - true, axis=-1)[hit].mean()
    good.append(
        _say(
            "point error",
            f"{100 * error:.2f} % of the diameter, healthy under {100 * HEALTHY:.0f} %",
            error < HEALTHY,
        )
    )
    print("ms per step, cached / not:")
    for k in range(count):
        print(f"  {k + 1} views: {cached_times[k]:.0f} / {times[k]:.0f}")
    if where.type == "cuda":
        print(f"peak memory: {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB")
    return all(good)


def _made_views(size: int, count: int) -> View:
    """(1, count) of an object of the validation split."""
    mesh = open_objects("procedural", "validation").load(0)
    poses = facing_origin(1.6 * fibonacci_directions(count, 60))
    views = BuiltinRenderer().render(mesh, poses, intrinsics(50, (size, size)), (size, size))
    return views[None]


def _encoded(
    backbone: MapAnythingBackbone, views: View, cached: bool = False
) -> tuple[Encoding, list[float]]:
    """Of all the views, and the milliseconds (median of 3 on a GPU) that the step to each number of views
    took."""
    known: list = []
    times = []
    repeats = 1 if backbone.device.type == "cpu" else 3
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


def _say(what: str, found: str, good: bool) -> bool:
    print(f"{'ok  ' if good else 'BAD '} {what}{': ' if found else ''}{found}")
    return good


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkpoint", default=V1, help="a local folder or a name on the Hugging Face hub")
    parser.add_argument("--image-size", type=int, default=518, help="pixels, a multiple of 14")
    parser.add_argument("--views", type=int, default=5, help="how many views at most")
    parser.add_argument("--device", default="auto", help="torch device")
    arguments = parser.parse_args()
    sys.exit(0 if check(arguments.checkpoint, arguments.image_size, arguments.views, arguments.device) else 1)
