"""The curve of a training as text: what a terminal shows while the agent learns, and a log at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich.text import Text

HEIGHT, WIDTH = 9, 48  # letters
INKS = ("yellow", "magenta", "green", "blue")  # of levels


def chart(
    rows: Sequence[Mapping[str, Any]], column: str, levels: Mapping[str, float], label: str, last: int
) -> Text:
    """A column of evaluations.csv, whose lines are given, up to the step ``last`` of the training: the
    agent's points, a bar for each one's interval (columns low and high), and a line for each of the
    baselines: those of the lines, and ``levels``."""
    agent = [row for row in rows if row["policy"] == "agent"]
    levels = {**{row["policy"]: float(row[column]) for row in rows if row not in agent}, **levels}
    points = [tuple(float(row[key]) for key in (column, "low", "high")) for row in agent]
    values = [value for value in (*np.ravel(points), *levels.values()) if np.isfinite(value)]
    if not values:
        return Text(f"{label}: nothing was measured yet", "dim")
    least, most = min(values), max(values)
    room = max(most - least, 1e-3) / (HEIGHT - 1)

    def line(value: float) -> int:
        return round((most - value) / room)

    letters = np.full((HEIGHT, WIDTH), " ")
    inks = np.full((HEIGHT, WIDTH), "", dtype=object)
    names = [""] * HEIGHT
    for ink, (name, level) in zip(INKS * len(levels), levels.items(), strict=False):
        if np.isfinite(level):
            letters[line(level)], inks[line(level)] = "╌", ink
            names[line(level)] += ("" if not names[line(level)] else ", ") + f"{name} {level:+.3f}"
    for row, (score, low, high) in zip(agent, points, strict=True):
        place = round((WIDTH - 1) * min(int(row["timesteps"]) / max(last, 1), 1))
        for end, value in ((low, "│"), (high, "│")):
            if np.isfinite(end) and np.isfinite(score):
                between = slice(min(line(score), line(end)), max(line(score), line(end)) + 1)
                letters[between, place], inks[between, place] = value, "cyan"
        if np.isfinite(score):
            letters[line(score), place], inks[line(score), place] = "●", "bold cyan"
    drawn = Text(" ".join(label.split()) + "\n", "bold")
    for k in range(HEIGHT):
        value = most - k * room
        drawn.append(f"{value:+7.3f} ┤" if k % 2 == 0 else "        │", "dim")
        for letter, ink in zip(letters[k], inks[k], strict=True):
            drawn.append(str(letter), ink)
        drawn.append(f" {names[k]}\n", "dim")
    drawn.append("        0" + f"{last:,} steps".rjust(WIDTH), "dim")
    return drawn
