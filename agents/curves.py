"""Curves of a training."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def pyplot() -> Any:
    """matplotlib's, without a display; imported when something is drawn, as that takes a second."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def plot_curves(
    rows: list[dict[str, str]], path: Path, column: str, label: str, levels: dict[str, float]
) -> None:
    """Draw a column of evaluations.csv, whose lines are given, over the agent's training, with its 95 %
    interval (columns low and high), and a line for each baseline there and for ``levels``."""
    agent = [row for row in rows if row["policy"] == "agent"]
    steps = [int(row["timesteps"]) for row in agent]
    score, low, high = ([float(row[key]) for row in agent] for key in (column, "low", "high"))
    figure, axes = pyplot().subplots(figsize=(7, 4.2), constrained_layout=True)
    axes.fill_between(steps, low, high, color="tab:blue", alpha=0.18, linewidth=0)
    axes.plot(steps, score, color="tab:blue", linewidth=2, marker="o", markersize=3)
    levels = levels | {row["policy"]: float(row[column]) for row in rows if row not in agent}
    for level in levels.values():
        axes.axhline(level, color="0.55", linewidth=1.2, linestyle="--", zorder=0)
    for name, level, colour in [
        ("agent", score[-1], "tab:blue"),
        *((n, v, "0.4") for n, v in levels.items()),
    ]:
        place = (steps[-1], level)
        axes.annotate(name, place, (8, 0), textcoords="offset points", color=colour, va="center")
    axes.set_xlabel("environment steps")
    axes.set_ylabel(label)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.02)
    figure.savefig(path, dpi=160)
    pyplot().close(figure)
