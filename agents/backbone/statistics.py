"""Measure what standardises a backbone's features: ``python -m agents.backbone.statistics compact``.

Episodes of random views of the train split, and for the frame "agent" greedy walks through its apartments;
one entry for each frame and pooling, written beside the backbone.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import torch

import spatial_envs.backbones
from spatial_envs.backbones.backbone import Backbone
from spatial_envs.core.features import pool
from spatial_envs.foundation.threads import set_threads
from spatial_envs.navigation import PointNavEnv
from spatial_envs.nbv import NBVEnv

POOLINGS = ("mean", "grid", "none")


def measure(backbone: str, objects: int = 64, episodes: int = 256) -> dict:
    """{frame: {pooling: {"mean": [D], "std": [D]}}} over all views of the episodes."""
    entry: dict = {}
    with tempfile.TemporaryDirectory() as references:
        for frame in ("gravity", "first_view", "world"):
            env = NBVEnv(
                backbone=backbone, frame=frame, pooling="none", num_objects=objects,
                observations=["poses"], cache_dir=references,
            )  # fmt: skip
            entry[frame] = _statistics(_played(env, episodes), env.task.image_size, env.task.backbone)
    walks = PointNavEnv(backbone=backbone, pooling="none", num_buildings=16, observations=["gps"])
    entry["agent"] = _statistics(
        _walked(walks, max(1, episodes // 5)), walks.task.image_size, walks.task.backbone
    )
    return entry


def _statistics(
    tokens: np.ndarray, image_size: tuple[int, int], backbone: Backbone | None
) -> dict[str, dict[str, list[float]]]:
    """Of tokens (rows, P, D), by pooling."""
    assert backbone is not None
    patches = (image_size[0] // backbone.patch, image_size[1] // backbone.patch)
    entry = {}
    for pooling in POOLINGS:
        pooled = pool(torch.from_numpy(tokens)[None], pooling, patches)
        features = pooled.flatten(0, -2).numpy().astype(np.float64)
        entry[pooling] = {
            "mean": [float(f"{x:.6g}") for x in features.mean(axis=0)],
            "std": [float(f"{x:.6g}") for x in np.maximum(features.std(axis=0), 1e-4)],
        }
    return entry


def _walked(env: PointNavEnv, episodes: int) -> np.ndarray:
    """(rows, P, D): the tokens of every fifth window of greedy walks."""
    rows = []
    for seed in range(episodes):
        env.reset(seed=seed, options={"building": seed % len(env.task.buildings)})
        over = False
        while not over:
            _, _, terminated, truncated, info = env.step(env.next_action())
            over = terminated or truncated
            features = env.task.episode(0).features
            assert features is not None
            if info["steps"] % 5 == 0:
                rows.append(features)
    return np.concatenate(rows)


def _played(env: NBVEnv, episodes: int) -> np.ndarray:
    """(rows, P, D): the tokens of all views of the episodes."""
    env.action_space.seed(0)
    rows = []
    for seed in range(episodes):
        env.reset(seed=seed)
        over = False
        while not over:
            over = env.step(env.action_space.sample())[2]
            features = env.task.episode(0).features
            assert features is not None
            assert env.task.backbone is not None
            if over or not env.task.backbone.independent:  # else the last ones are all there were
                rows.append(features)
    return np.concatenate(rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("backbone", choices=("unproject", "compact"), help="whose features")
    parser.add_argument("--episodes", type=int, default=256, help="of views; a fifth as many walks")
    flags = parser.parse_args()
    name = flags.backbone
    set_threads()
    path = Path(spatial_envs.backbones.__file__).with_name(f"{name}.json")
    path.write_text(json.dumps(measure(name, episodes=flags.episodes), indent=1) + "\n", encoding="utf-8")
    print(f"wrote {path}")
