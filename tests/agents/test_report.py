"""Comparisons on the command line, and the report that they leave."""

import csv
import re
from html.parser import HTMLParser

import imageio.v2 as imageio
import numpy as np
import pytest

from agents.comparison.compare import Flags, compare
from agents.training import train as training

QUICK = ("num_objects=2", "image_size=56", "views=4")


class Page(HTMLParser):
    """What the page holds and what it asks for."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.sources = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.sources += [value for name, value in attributes if name in ("src", "href")]


def test_a_report_holds_tables_curves_and_films_and_needs_no_network(tmp_path):
    settings = (*QUICK, "backbone=null")
    names = ("random", "farthest", "oracle")
    flags = Flags(baselines=names, episodes=3, budgets=(3,), set=settings, out=tmp_path / "report")
    (results,) = compare(flags).values()
    assert {path.name for path in (tmp_path / "report").iterdir()} == {
        "tables.md", "scores.csv", "curves.png", "report.html", *(f"start_{k}.mp4" for k in range(3)),
    }  # fmt: skip
    page = Page((tmp_path / "report/report.html").read_text(encoding="utf-8"))
    assert [page.tags.count(tag) for tag in ("table", "img", "video")] == [2, 1, 3]
    assert all(source.startswith("data:") for source in page.sources)
    text = (tmp_path / "report/tables.md").read_text(encoding="utf-8")
    assert "stopped at 3:" in text
    assert len(re.findall(r"^\| oracle \|.* 1\.00 \[1\.00, 1\.00\]", text, re.M)) == 2
    with (tmp_path / "report/scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * 3 * 4  # policies, starts, views
    last = [float(row["gains"]) for row in rows if row["policy"] == "oracle" and row["step"] == "4"]
    np.testing.assert_allclose(last, results["oracle"].at_end("gains")[0], rtol=1e-5)
    film = imageio.mimread(tmp_path / "report/start_0.mp4", memtest=False)
    assert film[0].shape[1] > 600
    assert np.abs(film[0].astype(int) - film[-1]).max() > 50


def test_runs_of_different_kinds_play_the_same_starts(tmp_path):
    """One on the discrete id with other features, one on the continuous one, in an environment of 3 views."""
    common = {"eval_every": 64, "validation_starts": 2, "final_starts": 0, "timesteps": 32}
    config = tmp_path / "dqn.yml"
    config.write_text(
        "NBV-MapAnything-Discrete-v0: {n_envs: 4, learning_starts: 16, batch_size: 16, "
        "policy: agents.nbv.candidates.CandidateDQNPolicy}"
    )
    dqn = training.Flags(
        algo="dqn", env="NBV-MapAnything-Discrete-v0", backbone="unproject", set=QUICK, config=config,
        out=tmp_path / "dqn", **common,
    )  # fmt: skip
    ppo = tmp_path / "ppo.yml"
    ppo.write_text("NBV-MapAnything-v0: {n_envs: 4, n_steps: 8, batch_size: 16}")
    for flags in (
        dqn,
        training.Flags(backbone="none", set=QUICK, config=ppo, out=tmp_path / "ppo", **common),
    ):
        training.train(flags)
    runs = (tmp_path / "ppo", tmp_path / "dqn")
    out = tmp_path / "table.md"
    (results,) = compare(
        Flags(run=runs, baselines=("farthest",), set=("views=3", "num_objects=2"), episodes=2, out=out)
    ).values()
    ppo, dqn = "ppo without features", "dqn with unproject features"
    assert set(results) == {
        "farthest", ppo, ppo + ", untrained", dqn, dqn + ", untrained", dqn + ", another object's features",
    }  # fmt: skip
    assert f"| {dqn} |" in out.read_text(encoding="utf-8")
    for scores in results.values():
        assert scores.figures["gains"].shape == (1, 2, 3)
        assert np.isfinite(scores.figures["gains"]).all()
    with pytest.raises(ValueError, match="trained for 4 views"):
        compare(Flags(run=runs, set=("views=5", "num_objects=2"), episodes=1))
    with pytest.raises(ValueError, match=r"budgets: got \[4\]; expected some of 2 to 3"):
        compare(Flags(run=runs, budgets=(4,), episodes=1))
