"""What is shown while something takes its time: phases, how long they still take, and the curve as text."""

from __future__ import annotations

import io
import logging

import numpy as np
import pytest
from rich.console import Console

from agents import progress
from agents.chart import HEIGHT, chart
from agents.comparison.scores import Scores
from agents.comparison.table import table
from agents.nbv.family import NEXT_BEST_VIEW as KIND
from agents.progress import clock, compiling, phase, say, watch_compilation
from agents.training.pace import Pace


@pytest.fixture
def log(monkeypatch):
    """What a log would hold, where a line is due after every step."""
    written = io.StringIO()
    monkeypatch.setattr(progress, "_errors", Console(file=written, markup=False, highlight=False, width=80))
    monkeypatch.setattr(progress, "EVERY", 0.0)
    return lambda: written.getvalue().splitlines()


def test_a_log_has_a_line_for_each_phase_and_for_how_far_it_is(log):
    with phase("training", 10, "steps") as training:
        training.reach(5, "learning")
        with phase("validation", 2, brief=True) as inner:
            inner.advance()
        say("agent at step 5: 0.1")
        training.reach(10)
    assert log() == [
        "training ...",
        "training: 5 of 10 steps, 0:00, 0:00 to go, learning",
        "validation: 1 of 2, 0:00, 0:00 to go",
        "agent at step 5: 0.1",
        "training: 10 of 10 steps, 0:00, 0:00 to go, learning",
        "training: done, 10 of 10 steps, 0:00",
    ]


def test_a_phase_that_fails_is_not_done(log):
    with pytest.raises(ZeroDivisionError), phase("table", 3) as failing:
        failing.advance(1 / 0)
    assert not any("done" in line for line in log())
    with phase("after") as after:
        assert after.left() is None
    assert log()[-1].startswith("after: done")


def test_kernels_are_counted_and_named(log):
    kernels = logging.getLogger("spatial_envs.foundation.compilation")
    before = kernels.level, kernels.propagate, [*kernels.handlers]
    try:
        watch_compilation()
        with compiling():
            kernels.info("compiling kernels, once: later processes find them compiled")
            kernels.debug("compiling %s", "shade")
            kernels.debug("compiling %s", "_search")
        with compiling():
            pass
        with phase("scenes", 4, "scenes") as scenes:
            kernels.debug("compiling %s", "_scan")
            assert scenes.done == 0
    finally:
        level, kernels.propagate, kernels.handlers = before
        kernels.setLevel(level)  # an assignment would leave what the logger remembers of the level before
    said = log()
    assert "compiling: 2 kernels, 0:00, compiling _search" in said
    assert "compiling: done, 2 kernels, 0:00, later processes find them" in said
    assert "compiling: done, 0:00, all were there already" in said
    assert any(line.endswith("compiling _scan") for line in said)


def test_a_terminal_shows_bars_and_what_is_below_them(monkeypatch):
    screen = io.StringIO()
    terminal = Console(file=screen, force_terminal=True, width=80, markup=False)
    monkeypatch.setattr(progress, "console", terminal)
    with phase("training", 10, "steps") as training:
        training.below = lambda: "the curve"
        training.reach(4)
        say("not for a terminal")
    shown = screen.getvalue()
    assert "training" in shown
    assert "4 of 10 steps" in shown
    assert "the curve" in shown
    assert "not for a terminal" not in shown


def test_clock():
    assert [clock(s) for s in (0, 59.6, 61, 3600, 5025)] == ["0:00", "1:00", "1:01", "1:00:00", "1:23:45"]


def trained(first: float, last: float, updates: float, judging: float):
    """(share done, seconds to go as told, as it was) of a training whose steps take ``first`` to ``last``
    seconds, ``updates`` after each 512 and ``judging`` after each 2,048."""
    now = [100.0]
    pace = Pace(0, 6144, 2048, lambda: now[0])
    told = []
    for step in range(8, 6145, 8):
        now[0] += 8 * (first + (last - first) * step / 6144)
        told.append((step / 6144, pace.left(step), now[0]))
        if step % 2048 == 0:
            now[0] += judging
            pace.judged(judging)
        if step % 512 == 0:
            now[0] += updates
            pace.mark(step)
    return [(share, left, now[0] - at) for share, left, at in told]


@pytest.mark.parametrize(
    "kind", [(0.05, 0.05, 3, 15), (0.1, 0.04, 6, 10), (0.02, 0.02, 8, 2)], ids=["even", "faster", "updates"]
)
def test_the_time_to_go_is_right_within_half_from_a_tenth_on(kind):
    checked = [(told, was) for share, told, was in trained(*kind) if 0.1 <= share <= 0.9]
    ratios = [told / was for told, was in checked]
    assert min(ratios) > 1 / 1.5
    assert max(ratios) < 1.5


def test_the_time_to_go_of_a_run_that_goes_on():
    now = [0.0]
    pace = Pace(4096, 6144, 2048, lambda: now[0])
    assert pace.left(4096) is None, "nothing was done yet"
    now[0] = 10
    assert pace.left(4096 + 512) == pytest.approx(30)


# ---- the curve


def row(policy, timesteps, score, half=0.05):
    return {
        "policy": policy, "timesteps": timesteps, "over_farthest": score,
        "low": score - half, "high": score + half,
    }  # fmt: skip


def test_the_chart_has_points_intervals_and_levels():
    rows = [row("random", 0, -0.2), row("agent", 0, -0.1), row("agent", 512, 0.1), row("agent", 1024, 0.15)]
    lines = chart(rows, "over_farthest", {"farthest": 0.0}, "gain over farthest", 1024).plain.splitlines()
    assert lines[0] == "gain over farthest"
    assert len(lines) == HEIGHT + 2
    assert max(map(len, lines)) <= 80
    points = [(line.index("●"), k) for k, line in enumerate(lines) if "●" in line]
    assert [k for _, k in sorted(points)] == sorted((k for _, k in points), reverse=True), "it rises"
    assert len(points) == 3
    assert any("farthest +0.000" in line and "╌" in line for line in lines)
    assert any("random -0.200" in line for line in lines)
    assert sum("│" in line[10:] for line in lines) >= 3
    assert lines[-1].endswith("1,024 steps")


def test_a_chart_of_nothing_and_of_nan_is_no_error():
    assert "nothing was measured" in chart([], "over_farthest", {}, "gain", 10).plain
    rows = [row("agent", 0, float("nan")), row("agent", 8, 0.1)]
    assert chart(rows, "over_farthest", {}, "gain", 8).plain.count("●") == 1


# ---- the table


def test_baselines_that_are_one_policy_have_one_row():
    def scores(gain, seed=0):
        drawn = gain + np.random.default_rng(seed).normal(size=(1, 4, 3))
        return Scores({"gains": drawn, "coverage": np.ones((1, 4, 3))}, np.arange(4))

    results = {
        "random": scores(1.0, 1), "farthest": scores(2.0), "zero-action": scores(2.0),
        "agent": scores(2.0), "agent, untrained": scores(2.0),
    }  # fmt: skip
    rows = [line.split(" | ")[0].strip("| ") for line in table(KIND, results).splitlines()[2:]]
    assert rows == ["random", "farthest, zero-action", "agent", "agent, untrained"]
    assert "gain minus farthest" in table(KIND, results).splitlines()[0]
