"""Measure what standardises a backbone's features: ``python -m agents.backbone.statistics compact``.

Episodes of random views of the train split, and for the frame "agent" greedy walks through its apartments;
one entry for each frame and pooling, written beside this file.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
from pathlib import Path

import numpy as np

from spatial_envs.foundation.threads import set_threads
from spatial_envs.navigation import PointNavEnv
from spatial_envs.nbv import NBVEnv


def measure(backbone: str, objects: int = 64, episodes: int = 256) -> dict:
    """{frame: {pooling: {"mean": [D], "std": [D]}}} over all views of the episodes."""
    entry: dict = {}
    with tempfile.TemporaryDirectory() as references:
        for frame, pooling in itertools.product(("gravity", "first_view", "world"), ("mean", "none")):
            env = NBVEnv(
                backbone=backbone, frame=frame, pooling=pooling, num_objects=objects,
                observations=["poses"], cache_dir=references,
            )  # fmt: skip
            entry.setdefault(frame, {})[pooling] = _statistics(_played(env, episodes))
    entry["agent"] = {pooling: _statistics(_walked(backbone, pooling)) for pooling in ("mean", "none")}
    return entry


def _statistics(features: np.ndarray) -> dict[str, list[float]]:
    return {
        "mean": [float(f"{x:.6g}") for x in features.mean(axis=0)],
        "std": [float(f"{x:.6g}") for x in np.maximum(features.std(axis=0), 1e-4)],
    }


def _walked(backbone: str, pooling: str, buildings: int = 16, episodes: int = 48) -> np.ndarray:
    """(rows, D) float64: the features of every fifth window of greedy walks."""
    env = PointNavEnv(
        backbone=backbone, pooling=pooling, num_buildings=buildings, observations=["gps"],
    )  # fmt: skip
    rows = []
    for seed in range(episodes):
        env.reset(seed=seed, options={"building": seed % buildings})
        over = False
        while not over:
            _, _, terminated, truncated, info = env.step(env.next_action())
            over = terminated or truncated
            features = env.task.episode(0).features
            assert features is not None
            if info["steps"] % 5 == 0:
                rows.append(features.reshape(-1, features.shape[-1]))
    return np.concatenate(rows).astype(np.float64)


def _played(env: NBVEnv, episodes: int) -> np.ndarray:
    """(rows, D) float64: the features of all views of the episodes."""
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
                rows.append(features.reshape(-1, features.shape[-1]))
    return np.concatenate(rows).astype(np.float64)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("backbone", choices=("unproject", "compact"), help="whose features")
    name = parser.parse_args().backbone
    set_threads()
    path = Path(__file__).with_name(f"{name}.json")
    path.write_text(json.dumps(measure(name), indent=1) + "\n", encoding="utf-8")
    print(f"wrote {path}")
