"""Measure the statistics that standardise a backbone's features: ``python -m spatial_envs.backbones.statistics``.

Episodes of random views of the train split; one entry for each frame and pooling, written beside this file.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from spatial_envs.nbv import NBVEnv


def measure(backbone: str, objects: int = 64, episodes: int = 256) -> dict:
    """{frame: {pooling: {"mean": [D], "std": [D]}}} over all views of the episodes."""
    entry: dict = {}
    for frame in ("gravity", "first_view", "world"):
        entry[frame] = {}
        for pooling in ("mean", "none"):
            env = NBVEnv(backbone=backbone, frame=frame, pooling=pooling, num_objects=objects, observations=["poses"])
            env.action_space.seed(0)
            rows = []
            for episode in range(episodes):
                env.reset(seed=episode)
                while not env.step(env.action_space.sample())[2]:
                    pass
                rows.append(env.task.episode(0).features.reshape(-1, env.task.backbone.dim))
            features = np.concatenate(rows).astype(np.float64)
            std = np.maximum(features.std(axis=0), 1e-4)
            entry[frame][pooling] = {
                "mean": [float(f"{x:.6g}") for x in features.mean(axis=0)],
                "std": [float(f"{x:.6g}") for x in std],
            }
    return entry


if __name__ == "__main__":
    path = Path(__file__).with_name("unproject.json")
    path.write_text(json.dumps(measure("unproject"), indent=1) + "\n")
    print(f"wrote {path}")
