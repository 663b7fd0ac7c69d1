"""What is installed here, what it is used for, and what to do where something is missing.

python -m spatial_envs.doctor            # and ten seconds of self-test
python -m spatial_envs.doctor --no-test
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import logging
import os
import platform
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym
import torch

import spatial_envs
from spatial_envs.backbones import make_backbone
from spatial_envs.backbones.checkpoint import PAGE, V1, is_here
from spatial_envs.foundation.caches import LIMIT, VARIABLE, user_cache
from spatial_envs.foundation.threads import VARIABLES, cores

SECONDS = 3.0  # of steps in each environment of the self-test, beside what its first reset takes
TESTED: dict[str, dict[str, Any]] = {
    "NBV-MapAnything-v0": {"num_objects": 1},
    "PointNav-Habitat-v0": {"num_buildings": 1, "backbone": None},
    "SceneFit-Prototype-v0": {"num_frames": 1, "backbone": None},
    "VideoFit-Prototype-v0": {"num_videos": 1, "backbone": None},
    "Foresight-Prototype-v0": {"num_objects": 1},
}
PYTORCH3D = "pip install easypytorch3d (of third parties), or https://github.com/facebookresearch/pytorch3d"
PACKAGES = {  # what is not needed, by the name that is imported: what for, and how to get it
    "stable_baselines3": ("train_agent.py", 'pip install -e ".[train]" in a checkout'),
    "mapanything": ("backbone='mapanything'", PAGE),
    "pytorch3d": ("renderer='pytorch3d' and gradients through rendered views", PYTORCH3D),
    "habitat_sim": ("simulator='habitat'", "conda install habitat-sim -c conda-forge -c aihabitat"),
    "ray": ("RLlib", 'pip install "ray[rllib]"'),
    "pygame": ("render_mode='human' and playing by hand", "pip install pygame"),
    "moviepy": ("gymnasium's RecordVideo", "pip install moviepy"),
}


class Found(NamedTuple):
    """A line of the report. good: None for what is neither good nor bad."""

    good: bool | None
    what: str
    said: str


def system() -> Iterator[Found]:
    """Python, torch, device, threads, display, caches."""
    yield Found(None, "spatial_envs", f"{spatial_envs.__version__}, {Path(spatial_envs.__file__).parent}")
    yield Found(None, "Python", f"{platform.python_version()}, {sys.executable}")
    yield Found(None, "torch", f"{torch.__version__}, Gymnasium {gym.__version__}")
    gpus = [torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count())]
    yield Found(None, "device", ", ".join(gpus) or "the CPU: torch sees no GPU")
    chosen = ", ".join(f"{name}={os.environ[name]}" for name in VARIABLES if name in os.environ)
    yield Found(None, "threads", f"{cores()} cores; {chosen or 'small environments use one of torch each'}")
    named = [f"{name}={os.environ[name]}" for name in ("DISPLAY", "WAYLAND_DISPLAY") if name in os.environ]
    if sys.platform in ("win32", "darwin"):
        named = ["the system's"]
    yield Found(None, "display", ", ".join(named) or "none: render_mode='rgb_array' and films do without")
    folder = user_cache()
    if folder is None:
        yield Found(False, "cache", f"no folder for it; set {VARIABLE} to an absolute path")
        return
    files = [path for path in folder.rglob("*") if path.is_file()] if folder.is_dir() else []
    size = sum(path.stat().st_size for path in files) / 1e6
    yield Found(None, "cache", f"{folder}: {len(files)} files, {size:.0f} MB of at most {LIMIT / 1e6:,.0f}")


def packages() -> Iterator[Found]:
    """Which of what is optional is installed."""
    for name, (use, remedy) in PACKAGES.items():
        if importlib.util.find_spec(name) is None:
            yield Found(None, name, f"absent; needed for {use}: {remedy}")
            continue
        try:
            version = importlib.metadata.version(name.replace("_", "-"))
        except importlib.metadata.PackageNotFoundError:
            version = "installed"
        yield Found(True, name, f"{version}, for {use}")
    if importlib.util.find_spec("mapanything") is not None:
        here = is_here(V1)
        yield Found(here, "weights", f"{V1}: {'here' if here else f'not here; {PAGE}'}")


def chosen_backbone() -> Found:
    """What ``backbone="auto"`` is here, and why."""
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("spatial_envs.backbones")
    level, propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        make_backbone("auto")
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate
    return Found(True, "backbone", " ".join(said))


def tried(env_id: str, seconds: float = SECONDS) -> Found:
    """Some steps in an environment, and how fast they were; or why they failed."""
    start = time.perf_counter()
    try:
        env = gym.make(env_id, **TESTED[env_id])
        env.action_space.seed(0)
        env.reset(seed=0)
        first, start, steps = time.perf_counter() - start, time.perf_counter(), 0
        while time.perf_counter() - start < seconds or not steps:
            _, _, terminated, truncated, _ = env.step(env.action_space.sample())
            steps += 1
            if terminated or truncated:
                env.reset()
        env.close()
    except Exception as error:  # whatever it is, it is what is asked for
        return Found(False, env_id, f"{type(error).__name__}: {error}")
    rate = steps / (time.perf_counter() - start)
    return Found(True, env_id, f"first reset after {first:.1f} s, then {rate:,.0f} steps per second")


def main(arguments: list[str] | None = None) -> int:
    """Print the report; 1 where something that should work does not."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--no-test", action="store_true", help="look only")
    options = parser.parse_args(arguments)
    gym.register_envs(spatial_envs)
    failed = False

    def lines() -> Iterator[Found]:
        yield from system()
        yield from packages()
        yield chosen_backbone()
        if not options.no_test:
            print("  (the first time, compiling takes half a minute)", flush=True)
            yield from map(tried, TESTED)

    for found in lines():
        mark = {True: "+", False: "!", None: " "}[found.good]
        failed |= found.good is False
        print(f"{mark} {found.what:22} {found.said}", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
