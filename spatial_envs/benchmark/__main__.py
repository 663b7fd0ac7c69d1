"""How fast is it here: ``python -m spatial_envs.benchmark [--mesh file] [--building file] [--seconds 3]``.

One process. Milliseconds are medians; steps per second are totals as a user gets them, resets included
unless the row says otherwise.
Where embreex is installed, Embree's rays and scipy's k-d trees do a step's work beside ours. Where PyTorch3D
is installed, the research plan's own stack (its renderer, its Chamfer distance) runs beside ours on the same
object and views; where habitat-sim is installed, it walks beside ours through the same .glb.
``--profile`` prints instead where a training step of each family goes, ``--rasterisers plot.png`` our
rasteriser beside others over triangles and pixels.
"""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path

import gymnasium as gym

import spatial_envs
from spatial_envs.benchmark.fitting import fitting
from spatial_envs.benchmark.objects import against_embree, against_pytorch3d, backbones, measure
from spatial_envs.benchmark.rasterisers import plot, rasterisers, table_of
from spatial_envs.benchmark.timing import machine, table
from spatial_envs.benchmark.training import training
from spatial_envs.benchmark.walking import navigation
from spatial_envs.foundation.threads import set_threads

gym.register_envs(spatial_envs)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mesh", help="a mesh file for the first table; by default one procedural object")
    parser.add_argument("--building", help="a building's file for the small one of the last table")
    parser.add_argument("--seconds", type=float, default=3.0, help="spent on each figure (default 3)")
    parser.add_argument("--threads", type=int, help="of torch and BLAS; by default 1, or OMP_NUM_THREADS")
    parser.add_argument(
        "--profile", action="store_true", help="where a training step goes, --seconds for each family"
    )
    parser.add_argument(
        "--rasterisers",
        type=Path,
        metavar="PNG",
        help="our rasteriser beside Embree and habitat-sim, plotted",
    )
    options = parser.parse_args()
    print(machine(set_threads(options.threads)))
    if options.profile:
        if importlib.util.find_spec("stable_baselines3") is None:
            parser.error("--profile: Stable-Baselines3 is not installed; pip install stable-baselines3")
        print(f"\na PPO training step, 8 rows, part by part\n{training(options.seconds)}")
    elif options.rasterisers:
        for package in ("embreex", "habitat_sim"):
            if importlib.util.find_spec(package) is None:
                print(f"{package} is not installed: no comparison with it")
        if importlib.util.find_spec("matplotlib") is None:
            parser.error("--rasterisers: matplotlib is not installed; pip install matplotlib")
        timings = rasterisers(options.seconds)
        plot(timings, options.rasterisers)
        print(f"\ndepth and face of a view, 60 degrees\n{table_of(timings)}\nplotted: {options.rasterisers}")
    else:
        _tables(options)


def _tables(options: argparse.Namespace) -> None:
    seconds = options.seconds
    for scenes in ([options.mesh] if options.mesh else []) + ["procedural"]:
        print(table(f"{scenes}, 112 x 112, backbone unproject", measure(scenes, seconds)))
    if importlib.util.find_spec("pytorch3d"):
        rows = against_pytorch3d(options.mesh or "procedural", seconds)
        print(table("against the research plan's stack, 112 x 112, backbone unproject", rows))
    else:
        print("\nPyTorch3D is not installed: no comparison with the research plan's own stack")
    if importlib.util.find_spec("embreex"):
        rows = against_embree(options.mesh or "procedural", seconds)
        print(table("against Embree and scipy, 112 x 112", rows))
    print("\nbackbones, one object\n" + "\n".join(backbones(options.mesh or "procedural", seconds)))
    if importlib.util.find_spec("habitat_sim") is None:
        print("\nhabitat-sim is not installed: our own simulator alone")
    walks = navigation(seconds, options.building)
    print(table("navigation, step and RGB-D, 128 x 128, one core", walks))
    print(table("prototype fitting, 6 slots, 72 x 96, one core", fitting(seconds)))


if __name__ == "__main__":
    main()
