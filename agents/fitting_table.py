"""All fitters on the same test scenes, in one table: ``python -m agents.fitting_table --cache
runs/fitting_table``.

The kinds of rows and figures are those of ``agents.fitting_baselines`` and ``spatial_envs.fitting_scores``.
Every figure of every scene is kept in the cache as it is found, so several processes may fill one table and a
killed one goes on; a cache belongs to one state of the code.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from tqdm import tqdm

from agents import fitting_baselines as baselines
from agents.fitting_agents import player
from spatial_envs.depth_scenes import open_depth
from spatial_envs.fitting_scores import Fit, Scores, score, score_fit
from spatial_envs.fitting_target import Target, make_target
from spatial_envs.prototypes.encoder import SHIPPED, SlotEncoder, encoded
from spatial_envs.prototypes.refine import refined

Fitter = Callable[[Target, int, int], Fit]  # of a target, the number of slots, and a seed
TRACKS = {"clean": 0.0, "noisy": 1.0}  # noise of the sensor
RESAMPLES = 2000
COLUMNS = {  # name in the scores: title, factor
    "score": ("score, %", 100), "one_directional": ("one-directional, cm", 100),
    "occlusion_aware": ("occlusion-aware, cm", 100), "full": ("full, %", 100), "fsv": ("FSV, %", 100),
    "ari": ("ARI, %", 100), "reverse": ("reverse, cm", 100), "depth_agreement": ("depth agreement, %", 100),
}  # fmt: skip


@dataclass(frozen=True)
class Flags:
    """What the command line says."""

    cache: Path
    """A folder that keeps the figures."""
    rows: tuple[str, ...] = ()
    """Which; by default all."""
    counts: tuple[int, ...] = (3, 6, 12)
    """Numbers of objects; there are as many slots."""
    tracks: tuple[str, ...] = ("clean", "noisy")
    """clean, noisy (a Kinect's noise)."""
    scenes: int = 100
    """Of each."""
    split: str = "test"
    """Of procedural scenes."""
    encoder: Path = SHIPPED
    """Weights of the encoder."""
    runs: tuple[Path, ...] = ()
    """Folders of agents.fitting_agents; each becomes a row."""
    show: bool = False
    """Only print what the cache holds."""


def fitters(flags: Flags) -> dict[str, Fitter]:
    """All rows by name, from the simplest on; the cheats last."""

    def encoder(steps: int) -> Fitter:
        kept: list[SlotEncoder] = []

        def fit(target: Target, slots: int, seed: int) -> Fit:
            if not kept:
                kept.append(SlotEncoder.load(flags.encoder))
            given = encoded(kept[0], [target], slots)[0]
            given = refined(kept[0].bank, target, given, steps) if steps else given
            bank = kept[0].bank
            with torch.no_grad():
                return Fit(bank(given).numpy(), bank.topology, (bank.presence(given) > 0.5).numpy())

        return fit

    return {
        "random spheres": baselines.random_spheres,
        "k-means spheres": baselines.kmeans_spheres,
        "k-means ellipsoids": baselines.kmeans_ellipsoids,
        "k-means superquadrics": baselines.kmeans_superquadrics,
        "oracle masks superquadrics": baselines.oracle,
        "pieces superquadrics": baselines.pieces_superquadrics,
        "hill-climb": baselines.hill_climb,
        "hill-climb, free space": lambda target, slots, seed: baselines.hill_climb(target, slots, seed, True),
        "encoder": encoder(0),
        "encoder, refined": encoder(60),
        "cheat: shell": baselines.shell,
        "cheat: crumpled": baselines.crumpled,
    }


REFERENCES = ("random spheres", "oracle masks superquadrics")


def fill(flags: Flags, rows: tuple[str, ...]) -> None:
    """Let the cache have every figure that it lacks."""
    flags.cache.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    offered = fitters(flags)
    for track in flags.tracks:
        for count in flags.counts:
            frames = open_depth("procedural", flags.split, num_objects=count, noise=TRACKS[track])
            players = {
                folder.name: player(
                    folder, split=flags.split, noise=TRACKS[track], num_objects=count, slots=count
                )
                for folder in flags.runs
            }
            for index in tqdm(range(flags.scenes), f"{track}, {count} objects"):
                target = None
                for row in rows:
                    if index in cached(flags, track, count, row):
                        continue
                    target = target or make_target(frames.load(index))
                    fit = players[row](index) if row in players else offered[row](target, count, index)
                    figures = score_fit(target, fit)
                    line = json.dumps({"scene": index, "objects": target.num_objects, **figures})
                    with path_of(flags, track, count, row).open("a") as file:  # whole lines, one write each
                        file.write(line + "\n")


def path_of(flags: Flags, track: str, count: int, row: str) -> Path:
    """Where the figures of a row are kept."""
    name = "".join(letter if letter.isalnum() else "_" for letter in row)
    return flags.cache / f"{flags.split}-{track}-{count:02}-{name}.jsonl"


def cached(flags: Flags, track: str, count: int, row: str) -> dict[int, Scores]:
    """Figures by scene, as far as they are there."""
    path = path_of(flags, track, count, row)
    if not path.is_file():
        return {}
    found = [json.loads(line) for line in path.read_text().splitlines()]
    return {each["scene"]: each for each in found}


def table(flags: Flags, rows: tuple[str, ...], track: str, count: int) -> str:
    """Markdown: means over the scenes that all rows and references have; of the score a 95 % interval by
    bootstrap over scenes."""
    kept = {row: cached(flags, track, count, row) for row in dict.fromkeys((*rows, *REFERENCES))}
    kept = {row: scores for row, scores in kept.items() if scores}
    scenes = sorted(set.intersection(*(set(scores) for scores in kept.values()))) if kept else []
    scenes = [scene for scene in scenes if scene < flags.scenes]
    title = f"{count} objects, {track}: {len(scenes)} scenes of procedural/{flags.split}"
    if not scenes or not set(REFERENCES) <= set(kept):
        return f"{title}: no figures yet"
    lines = [title, "", "| fit | " + " | ".join(text for text, _ in COLUMNS.values()) + " |"]
    lines.append("|---" * (len(COLUMNS) + 1) + "|")
    rng = np.random.default_rng(0)
    resampled = rng.integers(len(scenes), size=(RESAMPLES, len(scenes)))
    for row in (row for row in rows if row in kept):
        values: dict[str, list[float]] = {name: [] for name in COLUMNS}
        for scene in scenes:
            figures = kept[row][scene]
            d_random, d_oracle = (kept[name][scene]["occlusion_aware"] for name in REFERENCES)
            figures["score"] = score(figures, d_random, d_oracle, int(figures["objects"]))
            for name in COLUMNS:
                values[name].append(figures[name])
        means = [f"{factor * np.mean(values[name]):.1f}" for name, (_, factor) in COLUMNS.items()]
        low, high = np.percentile(np.array(values["score"])[resampled].mean(axis=1), [2.5, 97.5])
        means[0] += f" ({100 * low:.1f} to {100 * high:.1f})"
        lines.append(f"| {row} | " + " | ".join(means) + " |")
    return "\n".join(lines)


def main(flags: Flags) -> str:
    """Fill the cache and return the tables."""
    runs = tuple(folder.name for folder in flags.runs)
    offered = (*fitters(flags), *runs)
    for name in flags.rows:
        if name not in offered:
            raise ValueError(f"rows: got {name!r}; expected some of {', '.join(offered)}")
    for name in flags.tracks:
        if name not in TRACKS:
            raise ValueError(f"tracks: got {name!r}; expected some of {', '.join(TRACKS)}")
    rows = (*(flags.rows or fitters(flags)), *runs)
    if not flags.show:
        fill(flags, tuple(dict.fromkeys((*REFERENCES, *rows))))
    return "\n\n".join(table(flags, rows, track, count) for track in flags.tracks for count in flags.counts)


if __name__ == "__main__":
    print(main(tyro.cli(Flags)))
