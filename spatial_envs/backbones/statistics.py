"""Measure what standardises a backbone's features: ``python -m spatial_envs.backbones.statistics compact``.

Episodes of random views of the train split; one entry for each frame and pooling, written beside this file.
"""

from __future__ import annotations

import argparse
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
    path = Path(__file__).with_name(f"{name}.json")
    path.write_text(json.dumps(measure(name), indent=1) + "\n")
    print(f"wrote {path}")
