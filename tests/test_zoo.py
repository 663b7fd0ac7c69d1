"""rl-baselines3-zoo trains from our configurations."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rl_zoo3", reason="needs rl-baselines3-zoo: pip install spatial-envs[zoo]")

ROOT = Path(__file__).resolve().parents[1]
LATE = ("learning_starts:32", "buffer_size:500", "gradient_steps:1")


@pytest.mark.parametrize(
    ("algo", "env_id", "hyperparameters"),
    [
        ("ppo", "NBV-MapAnything-v0", ()),
        ("sac", "NBV-MapAnything-v0", LATE),
        ("dqn", "NBV-MapAnything-Discrete-v0", LATE),
    ],
)
def test_the_zoo_trains(algo, env_id, hyperparameters, tmp_path):
    shown = {"ppo": ("anchor", "candidates", "glimpses"), "sac": ("anchor",), "dqn": ("candidates",)}[algo]
    keys = [*("features", "poses", "view_mask", "remaining"), *shown]
    done = subprocess.run(
        [
            sys.executable, "-m", "rl_zoo3.train", "--algo", algo, "--env", env_id,
            "--conf-file", ROOT / "configs" / f"{algo}.yml", "--gym-packages", "spatial_envs", "-n", "200",
            "-f", tmp_path, "--eval-freq", "-1", "--env-kwargs", "backbone:'unproject'", "num_objects:1",
            "views:3", "image_size:56", f"observations:{keys}",
            "--hyperparams", "n_envs:2", "normalize:dict(norm_obs=False)", *hyperparameters,
        ],
        cwd=tmp_path, env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / algo / f"{env_id}_1" / f"{env_id}.zip").is_file()
    assert (tmp_path / algo / f"{env_id}_1" / env_id / "vecnormalize.pkl").is_file()
