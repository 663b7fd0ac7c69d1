"""Curves and films of a run."""

from __future__ import annotations

from pathlib import Path

import imageio.v2 as imageio
import matplotlib

from agents import fitting_evaluation
from agents.evaluation import FIRST_SEED, choose
from agents.fitting_baselines import Encoded
from agents.navigation_evaluation import walk
from spatial_envs.prototypes.encoder import encoded

FPS, HOLD = 10, 9  # of a film: frames per second, frames that each view is held

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402 (the backend has to be chosen first)


def plot_curves(
    rows: list[dict[str, str]], path: Path, column: str, label: str, levels: dict[str, float]
) -> None:
    """Draw a column of evaluations.csv, whose lines are given, over the agent's training, with its 95 %
    interval (columns low and high), and a line for each baseline there and for ``levels``."""
    agent = [row for row in rows if row["policy"] == "agent"]
    steps = [int(row["timesteps"]) for row in agent]
    score, low, high = ([float(row[key]) for row in agent] for key in (column, "low", "high"))
    figure, axes = pyplot.subplots(figsize=(7, 4.2), constrained_layout=True)
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
    pyplot.close(figure)


def film(env, policy, path: Path, episodes: int = 3) -> None:
    """Film a few episodes (env in "rgb_array" mode), each view held for a while."""
    with imageio.get_writer(path, fps=FPS, macro_block_size=16) as writer:
        for episode in range(episodes):
            observation, _ = env.reset(seed=FIRST_SEED + episode)
            over, memory = False, None
            while True:
                picture = env.render()
                for _ in range(2 * HOLD if over else HOLD):
                    writer.append_data(picture)  # type: ignore[attr-defined]
                if over:
                    break
                action, memory = choose(policy, env, observation, memory)
                observation, _, terminated, truncated, _ = env.step(action)
                over = terminated or truncated


def fitting_film(env, policy, folder: Path, episodes: int = 3) -> None:
    """Film a few scenes being fitted (env in "rgb_array" mode), a frame a step, into episode.mp4; of an
    encoder, which fits in one go, what it makes of one scene, as fit.png."""
    if isinstance(policy, Encoded):
        target = env.task.load(0)[1]
        slots = encoded(policy.model, [target], env.task.slots)[0].double().numpy()
        env.reset(options={"frame": 0, "slots": slots})
        imageio.imwrite(folder / "fit.png", env.render())
        return
    with imageio.get_writer(folder / "episode.mp4", fps=FPS, macro_block_size=2) as writer:
        for episode in fitting_evaluation.usable(env, episodes):
            for _ in fitting_evaluation.episode(env, policy, episode):
                picture = env.render()
                writer.append_data(picture)  # type: ignore[attr-defined]
            for _ in range(2 * HOLD):
                writer.append_data(picture)  # type: ignore[attr-defined]


def walk_through(env, policy, folder: Path, episodes: int = 3) -> None:
    """Film a few episodes of navigation (env in "rgb_array" mode), a frame a step, into episode.mp4; the end
    of the first one is trajectory.png."""
    with imageio.get_writer(folder / "episode.mp4", fps=FPS, macro_block_size=2) as writer:
        for episode in range(episodes):
            for _ in walk(env, policy, episode):
                picture = env.render()
                writer.append_data(picture)  # type: ignore[attr-defined]
            if episode == 0:
                imageio.imwrite(folder / "trajectory.png", picture)
            for _ in range(2 * HOLD):
                writer.append_data(picture)  # type: ignore[attr-defined]
