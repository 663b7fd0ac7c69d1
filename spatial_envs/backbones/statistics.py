"""Measure what standardises a backbone's features: ``python -m spatial_envs.backbones.statistics``.

Episodes of random views of the train split; one entry for each frame and pooling, written beside this file.
"""

from __future__ import annotations

import itertools
import json
import tempfile
from pathlib import Path

import numpy as np

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
            features = _played(env, episodes)
            entry.setdefault(frame, {})[pooling] = {
                "mean": [float(f"{x:.6g}") for x in features.mean(axis=0)],
                "std": [float(f"{x:.6g}") for x in np.maximum(features.std(axis=0), 1e-4)],
            }
    return entry


def _played(env: NBVEnv, episodes: int) -> np.ndarray:
    """(rows, D) float64: the features of all views of the episodes."""
    env.action_space.seed(0)
    rows = []
    for seed in range(episodes):
        env.reset(seed=seed)
        while not env.step(env.action_space.sample())[2]:
            pass
        features = env.task.episode(0).features
        assert features is not None
        rows.append(features.reshape(-1, features.shape[-1]))
    return np.concatenate(rows).astype(np.float64)


if __name__ == "__main__":
    path = Path(__file__).with_name("unproject.json")
    path.write_text(json.dumps(measure("unproject"), indent=1) + "\n")
    print(f"wrote {path}")
