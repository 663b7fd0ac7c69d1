"""One object for each family; also for one from elsewhere, which the two commands train and compare."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from agents.comparison.table import fitted
from agents.families import env_type, family
from agents.navigation.family import EXPLORATION, GOALS
from agents.nbv.family import NEXT_BEST_VIEW
from agents.scene_fit.family import FITTING
from agents.statistics import RESAMPLES, by_scene, interval

ROOT = Path(__file__).resolve().parents[2]
HOMING = "agents.examples.new_family:Homing-v0"


def run(script, *flags, cwd):
    command = [sys.executable, str(ROOT / script), *map(str, flags)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_id_has_its_family():
    assert family("NBV-MapAnything-v0") is family("NBV-MapAnything-Discrete-v0") is NEXT_BEST_VIEW
    assert family("spatial_envs:ObjectNav-Habitat-v0") is family("PointNav-Habitat-v0") is GOALS
    assert family("Explore-Habitat-v0") is EXPLORATION
    assert family("SceneFit-Prototype-v0") is FITTING
    assert env_type("spatial_envs:NBV-MapAnything-v0").__name__ == "NBVEnv"
    with pytest.raises(ValueError, match=r"env: got 'NBV-v0'.*; expected one of NBV-MapAnything-v0, "):
        family("NBV-v0")
    with pytest.raises(ImportError, match="env: got 'no_such:Env-v0'; there is no module no_such"):
        family("no_such:Env-v0")


def test_a_family_from_elsewhere_trains_and_is_compared(tmp_path):
    """The template: under 120 lines, and it learns."""
    assert len((ROOT / "agents/examples/new_family.py").read_text(encoding="utf-8").splitlines()) < 120
    few = ("--timesteps", 1024, "--eval-every", 512, "--validation-starts", 4, "--final-starts", 4)
    run("train_agent.py", "--env", HOMING, "--out", "run", *few, cwd=tmp_path)
    left = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"model.zip", "curves.png", "episode.mp4", "table.md", "evaluations.csv"} <= left
    rows = list(csv.DictReader((tmp_path / "run/evaluations.csv").open()))
    assert [row["policy"] for row in rows] == ["straight", *3 * ["agent"]]
    assert float(rows[-1]["gain"]) > float(rows[1]["gain"])
    printed = run("evaluate_agent.py", "--run", "run", "--episodes", 4, "--out", "out", cwd=tmp_path)
    assert max(map(len, printed.splitlines())) <= 80
    left = {path.name for path in (tmp_path / "out").iterdir()}
    films = {f"start_{k}.mp4" for k in range(3)}
    assert left == {"tables.md", "scores.csv", "curves.png", "report.html", *films}
    for row in ("straight", "ppo, untrained", "ppo"):
        assert f"| {row} |" in (tmp_path / "out/tables.md").read_text(encoding="utf-8")
    page = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    assert page.count("<video") == 3
    run("train_agent.py", "--resume", "run", "--timesteps", 1536, "--final-starts", 0, cwd=tmp_path)


def slow_interval(values, scenes, seed=0):
    """As the docstring says it."""
    generator = np.random.default_rng(seed)
    groups = [np.flatnonzero(scenes == index) for index in np.unique(scenes)]
    means = []
    for _ in range(RESAMPLES):
        resampled = values[generator.integers(len(values), size=len(values))].mean(axis=0)
        drawn = [groups[g] for g in generator.integers(len(groups), size=len(groups))]
        starts = [group[generator.integers(len(group), size=len(group))] for group in drawn]
        means.append(np.mean([resampled[start].mean() for start in starts]))
    return (by_scene(values, scenes), *np.percentile(means, [2.5, 97.5]))


@pytest.mark.parametrize(("seeds", "scenes"), [(1, range(9)), (3, [0, 0, 1, 4, 4, 4, 2]), (2, [0, 1] * 3)])
def test_the_bootstrap_is_the_slow_one(seeds, scenes):
    scenes = np.array(scenes)
    values = np.random.default_rng(7).normal(size=(seeds, len(scenes)))
    np.testing.assert_allclose(interval(values, scenes), slow_interval(values, scenes), atol=1e-12)


def test_tables_fit_a_terminal():
    lines = [
        "| policy | a long title | b | c |",
        "|---|---|---|---|",
        "| ppo, another object's features | 1.234 [1.200, 1.300] | 2 | |",
        "| oracle | 9.999 | 3 | +1.0 |",
    ]
    wide, narrow = (fitted(lines, width) for width in (80, 56))
    assert len(wide) == 5
    assert wide[0].split() == ["policy", "a", "long", "title", "b", "c"]
    assert all(len(line) <= 56 for line in narrow)
    assert sum("oracle" in line for line in narrow) == 2
    assert sum("ppo" in line for line in narrow) == 1  # which has nothing in the last column
