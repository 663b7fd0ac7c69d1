"""The study of fixed and random first photos: every variant is a command that train_agent.py takes."""

import shlex

import numpy as np
import pytest
import trimesh
import tyro

from agents.studies import open_problem
from agents.studies.open_problem import VARIANTS, Flags, arguments, command
from agents.training import train as training
from agents.training.config import resolve


def test_a_damaged_log_is_named(tmp_path):
    path = tmp_path / "progress.csv"
    path.write_text("train/loss,train/gradient_norm\n1,0.5\n2,\n3\n")
    np.testing.assert_array_equal(open_problem.gradient_norms(path), [0.5, np.nan, np.nan])
    path.write_text("train/loss,train/gradient_norm\n1,0.5\n2,0.x\n")
    with pytest.raises(ValueError, match=r"progress\.csv: expected numbers as train/gradient_norm: .*0\.x"):
        open_problem.gradient_norms(path)


def test_variants_run_once_and_make_a_table_and_a_figure(tmp_path, capsys, monkeypatch):
    trimesh.creation.box([1, 0.6, 0.8]).export(tmp_path / "box.obj")
    flags = Flags(
        variants=("plan, fixed start", "plan, random start"), seeds=1, scenes=str(tmp_path / "box.obj"),
        timesteps=80, every=40, starts=2, image_size=28, out=tmp_path / "runs",
    )  # fmt: skip
    monkeypatch.setattr(open_problem, "CONSTANTS", 4)
    monkeypatch.setattr("agents.nbv.heuristics.REACHABLE", 16)
    for variant in VARIANTS:
        if "pytorch3d" not in VARIANTS[variant]:
            assert resolve(arguments(flags, variant))["env_kwargs"]["views"] == 2
        words = shlex.split(command(flags, variant))[2:]
        assert tyro.cli(training.Flags, args=words) == arguments(flags, variant)
    open_problem.main(flags)
    with np.load(tmp_path / "runs/plan_random_start-0/scores.npz") as scores:
        np.testing.assert_array_equal(scores["curve"][:, 0], [0, 40, 80])
        assert len(scores["after"]) == 2
    lines = (tmp_path / "runs/table.md").read_text().splitlines()
    assert [line.split(" | ")[0] for line in lines[2:4]] == ["| plan, fixed start", "| plan, random start"]
    assert (tmp_path / "runs/open_problem.png").stat().st_size > 10_000
    capsys.readouterr()
    open_problem.main(flags)  # all of it is there
    assert "plan" not in capsys.readouterr().out
