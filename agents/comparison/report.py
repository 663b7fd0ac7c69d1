"""A comparison as a folder: tables, every score, curves, and one page that opens without a network."""

from __future__ import annotations

import base64
import csv
import html
from pathlib import Path
from typing import Any

import imageio.v2 as imageio
import markdown
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from agents.curves import pyplot
from agents.nbv.baselines import BASELINES
from agents.nbv.evaluation import CURVES, Scores, begin
from agents.play import FOREIGN, UNTRAINED, choose
from agents.statistics import by_object, interval
from spatial_envs.nbv import NBVEnv

FILMS, ABREAST = 3, 4  # how many starts are filmed, of how many policies side by side
WIDTH, HOLD, FPS = 420, 8, 8  # of a film: pixels a policy, frames that a view is held, frames a second
BOUNDS = ("oracle", "farthest-inner", "farthest", "random")  # filmed first beside the agents
FEW = 6  # policies, whose intervals a picture can hold
LABELS = {"gains": "log-Chamfer gain", "coverage": "coverage"}
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
<h2>View by view</h2>
<img alt="Gain and coverage over the views, by policy" src="data:image/png;base64,{curves}">
<h2>The same starts, side by side</h2>
{films}
</html>
"""


def report(
    folder: Path, tables: str, env: NBVEnv, rows: dict[str, list[Any]], results: dict[str, Scores]
) -> None:
    """Write tables.md, scores.csv, curves.png and report.html; the page has all but the scores in itself."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tables.md").write_text(tables, encoding="utf-8")
    write_scores(env, results, folder / "scores.csv")
    plot_by_view(results, env.task.initial_views, folder / "curves.png")
    agents = [name for name in rows if name not in BASELINES and not name.endswith((UNTRAINED, FOREIGN))]
    others = [name for name in (*BOUNDS, *BASELINES) if name in rows]
    shown = list(dict.fromkeys([*agents, *others]))[:ABREAST]
    films = []
    for start in range(min(FILMS, len(next(iter(results.values())).objects))):
        film = folder / f"start_{start}.mp4"
        film_abreast(env, {name: rows[name][0] for name in shown}, start, film)
        title = html.escape(f"Start {start}: {', '.join(shown)}")
        films.append(
            f'<video controls autoplay loop muted playsinline title="{title}" '
            f'src="data:video/mp4;base64,{_base64(film)}"></video>'
        )
    page = PAGE.format(
        title=html.escape(f"{env.task.objects.label}, {env.task.views} views"),
        tables=markdown.markdown(tables, extensions=["tables"]),
        curves=_base64(folder / "curves.png"),
        films="\n".join(films),
    )
    (folder / "report.html").write_text(page, encoding="utf-8")


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def write_scores(env: NBVEnv, results: dict[str, Scores], path: Path) -> None:
    """A line for each policy, seed, start and view."""
    initial = env.task.initial_views
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["policy", "seed", "start", "object", "view", *CURVES])
        for name, scores in results.items():
            for seed, start, view in np.ndindex(scores.gains.shape):
                figures = [f"{getattr(scores, curve)[seed, start, view]:.6g}" for curve in CURVES]
                shown = env.task.objects.names[scores.objects[start]]
                writer.writerow([name, seed, start, shown, view + initial, *figures])


def plot_by_view(results: dict[str, Scores], initial: int, path: Path) -> None:
    """The mean gain and coverage after each view, the best first; baselines thin, agents thick, with 95 %
    intervals of the agents, or of all where those are few."""
    kept = {name: scores for name, scores in results.items() if not name.endswith((UNTRAINED, FOREIGN))}
    kept = dict(sorted(kept.items(), key=lambda item: -by_object(item[1].gain, item[1].objects)))
    few = len(kept) <= FEW
    figure, columns = pyplot.subplots(1, 2, figsize=(12, 4.6), constrained_layout=True)
    colours = pyplot.get_cmap("tab10" if len(kept) <= 10 else "tab20").colors  # type: ignore[attr-defined]
    for axes, curve in zip(columns, LABELS, strict=True):
        for k, (name, scores) in enumerate(kept.items()):
            values = getattr(scores, curve)
            views = np.arange(values.shape[-1]) + initial
            means = [by_object(values[..., n], scores.objects) for n in range(len(views))]
            colour, thin = colours[k % len(colours)], name in BASELINES
            if few or not thin:
                bands = np.array([interval(values[..., n], scores.objects)[1:] for n in range(len(views))])
                axes.fill_between(views, *bands.T, color=colour, alpha=0.1, linewidth=0)
            style: dict[str, Any] = {"linestyle": "--", "linewidth": 1.2} if thin else {"linewidth": 2.6}
            axes.plot(views, means, color=colour, label=name, marker="o", markersize=3.5, **style)
        axes.set_xlabel("views taken")
        axes.set_ylabel(LABELS[curve])
        axes.set_xticks(views)
        axes.spines[["top", "right"]].set_visible(False)
    handles, labels = columns[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def film_abreast(env: NBVEnv, policies: dict[str, Any], start: int, path: Path) -> None:
    """The same start played by each policy, side by side, each view held for a while."""
    reels = [_reel(env, policy, start, name) for name, policy in policies.items()]
    longest = max(len(reel) for reel in reels)
    reels = [reel + reel[-1:] * (longest - len(reel)) for reel in reels]
    with imageio.get_writer(path, fps=FPS, macro_block_size=16) as writer:
        for n in range(longest):
            for _ in range(HOLD if n + 1 < longest else 2 * HOLD):
                writer.append_data(np.hstack([reel[n] for reel in reels]))  # type: ignore[attr-defined]


def _reel(env: NBVEnv, policy, start: int, name: str) -> list[np.ndarray]:
    """A picture (H, WIDTH, 3) after each view, with the policy's name above."""
    observation, _ = begin(env, start)
    frames, over, memory = [_titled(env.task.render(0), name)], False, None
    while not over:
        action, memory = choose(policy, env, observation, memory)
        observation, _, terminated, truncated, _ = env.step(action)
        frames.append(_titled(env.task.render(0), name))
        over = terminated or truncated
    return frames


def _titled(picture: np.ndarray, name: str) -> np.ndarray:
    height = round(picture.shape[0] * WIDTH / picture.shape[1])
    canvas = Image.new("RGB", (WIDTH, (height + 47) // 16 * 16), "white")
    canvas.paste(Image.fromarray(picture).resize((WIDTH, height), Image.Resampling.LANCZOS), (0, 32))
    ImageDraw.Draw(canvas).text((12, 7), name, "black", ImageFont.load_default(17))
    return np.asarray(canvas)
