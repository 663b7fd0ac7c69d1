"""A comparison as a folder: tables, every score, pictures, and one page that opens without a network."""

from __future__ import annotations

import base64
import csv
import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import markdown
import numpy as np

from agents.comparison.scores import Rows, Scores, plain
from agents.curves import pyplot
from agents.families import Family
from agents.films import film_abreast
from agents.play import FOREIGN, UNTRAINED
from agents.statistics import interval

FILMS, ABREAST = 3, 4  # how many films there are at most, of how many policies side by side
BOUNDS = ("oracle",)  # filmed first beside the agents, and then what all are compared with
FEW = 6  # policies, whose intervals a picture of curves can hold
PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 1250px; margin: auto; padding: 2em }}
h1 {{ font-weight: 600 }} h2 {{ margin-top: 2em; font-weight: 600 }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; display: block; overflow-x: auto }}
th {{ text-align: left; vertical-align: bottom; border-bottom: 2px solid #222 }}
td {{ border-bottom: 1px solid #ddd; white-space: nowrap }} th, td {{ padding: .35em 1.1em .35em 0 }}
code {{ font-size: 13px; background: #f4f4f4; padding: .1em .3em }}
img, video {{ max-width: 100%; display: block; margin: 1em 0 }}
</style>
<h1>{title}</h1>
{tables}
{curves}
<h2>The same episodes, side by side</h2>
{films}
</html>
"""


@dataclass(frozen=True, eq=False)
class Shown:
    """One table of a comparison: what was played, and the page of it."""

    title: str
    env: Any
    rows: Rows
    results: dict[str, Scores]
    text: str


def report(kind: Family, folder: Path, text: str, shown: Sequence[Shown]) -> None:
    """Write tables.md, scores.csv, a picture and a few films of each table, and report.html, which has all
    but the scores in itself."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tables.md").write_text(text, encoding="utf-8")
    write_scores(kind, shown, folder / "scores.csv")
    pictures, films = [], []
    for each in shown:
        title = each.title
        begins = f"{plain(title)}_" if title else ""
        picture = folder / f"{begins}curves.png"
        draw(kind, each, picture)
        pictures.append(f'<img alt="{html.escape(title)}" src="data:image/png;base64,{_base64(picture)}">')
        policies = filmed(kind, each.rows)
        for episode in kind.episodes(each.env, max(FILMS // len(shown), 1)):
            path = folder / f"{begins}start_{episode}.mp4"
            film_abreast(kind, policies, episode, path)
            if path.exists():
                said = html.escape(f"{title} start {episode}: {', '.join(policies)}".strip())
                films.append(
                    f'<video controls autoplay loop muted playsinline title="{said}" '
                    f'src="data:video/mp4;base64,{_base64(path)}"></video>'
                )
    page = PAGE.format(
        title=html.escape(f"{kind.label_of(shown[0].env)}, {kind.details(shown[0].env.unwrapped.task)}"),
        tables=markdown.markdown(text, extensions=["tables"]),
        curves="\n".join(pictures),
        films="\n".join(films),
    )
    (folder / "report.html").write_text(page, encoding="utf-8")


def filmed(kind: Family, rows: Rows) -> dict[str, tuple[Any, Any]]:
    """The environments and policies of the rows that are filmed: agents first, then what bounds them."""
    agents = [row for row in rows if row not in kind.baselines and not row.endswith((UNTRAINED, FOREIGN))]
    others = [row for row in (*BOUNDS, *reversed(kind.against), *kind.baselines) if row in rows]
    pictured = [row for row in dict.fromkeys([*agents, *others]) if kind.is_filmed(rows[row][0][1])]
    return {row: rows[row][0] for row in pictured[:ABREAST]}


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def write_scores(kind: Family, shown: Sequence[Shown], path: Path) -> None:
    """A line for each policy, seed and episode, of curves for each of their steps."""
    first = next(iter(shown[0].results.values())).figures
    steps = max(values.shape[2] if values.ndim == 3 else 0 for values in first.values())
    step = ["step"] if steps else []
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["table", "policy", "seed", "episode", "scene", *step, *first])
        for each in shown:
            scenes, begins = kind.scene_set(each.env), kind.first_step(each.env.unwrapped.task)
            for name, scores in each.results.items():
                for seed, k, n in np.ndindex(scores.seeds, len(scores.scenes), steps or 1):
                    found = (scores.figures[key][seed, k] for key in first)
                    cells = [f"{value[n] if np.ndim(value) else value:.6g}" for value in found]
                    index = int(scores.scenes[k])
                    scene = index if scenes is None else scenes.names[index]
                    at = [n + begins] if steps else []
                    writer.writerow([each.title, name, seed, k, scene, *at, *cells])


def draw(kind: Family, shown: Shown, path: Path) -> None:
    """A picture of a table, the best policy first: the means of the drawn curves after each step, baselines
    thin and agents thick, with 95 % intervals of the agents, or of all where those are few; or, where the
    family has no curves, the headline of each with its interval."""
    results = {row: each for row, each in shown.results.items() if not row.endswith((UNTRAINED, FOREIGN))}
    any_scores = next(iter(results.values()))
    headline = next(key for key in kind.headline if key in any_scores.figures)
    results = dict(sorted(results.items(), key=lambda item: -item[1].mean(headline)))
    curves = [key for key, column in kind.columns.items() if column.drawn and key in any_scores.figures]
    count = max(len(curves), 1)
    height = 4.6 if curves else 1 + 0.3 * len(results)
    figure, (columns,) = pyplot().subplots(
        1, count, figsize=(6 * count, height), squeeze=False, layout="constrained"
    )
    colours = pyplot().get_cmap("tab10" if len(results) <= 10 else "tab20").colors
    if not curves:
        values = [interval(each.at_end(headline), each.scenes) for each in results.values()]
        for k, (mean, low, high) in enumerate(values):
            columns[0].plot([low, high], [-k, -k], color=colours[k % len(colours)], linewidth=2.6)
            columns[0].plot(mean, -k, "o", color=colours[k % len(colours)])
        columns[0].set_yticks(range(0, -len(results), -1), list(results))
        columns[0].set_xlabel(f"{kind.columns[headline].title} {shown.title}".strip())
        columns[0].margins(y=0.3 / len(results))
    for axes, curve in zip(columns, curves, strict=False):
        for k, (name, scores) in enumerate(results.items()):
            points = scores.figures[curve]
            steps = np.arange(points.shape[-1]) + kind.first_step(shown.env.unwrapped.task)
            bands = np.array([interval(points[..., n], scores.scenes) for n in range(len(steps))])
            colour, thin = colours[k % len(colours)], name in kind.baselines
            if len(results) <= FEW or not thin:
                axes.fill_between(steps, *bands[:, 1:].T, color=colour, alpha=0.1, linewidth=0)
            style: dict[str, Any] = {"linestyle": "--", "linewidth": 1.2} if thin else {"linewidth": 2.6}
            axes.plot(steps, bands[:, 0], color=colour, label=name, marker="o", markersize=3.5, **style)
        axes.set_xlabel("step")
        axes.set_ylabel(kind.columns[curve].title)
        axes.set_xticks(steps)
    for axes in columns:
        axes.spines[["top", "right"]].set_visible(False)
    if curves:
        handles, labels = columns[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside right center", frameon=False)
    figure.savefig(path, dpi=150)
    pyplot().close(figure)
