"""What policies score on the same episodes, and how they are played."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from agents.families import Family
from agents.progress import phase
from agents.statistics import by_scene

Rows = dict[str, list[tuple[Any, Any]]]  # of each row the environment and the policy of each seed


@dataclass(frozen=True)
class Scores:
    """What a policy scored, a row for each seed that it was trained with.

    figures  by name, (seeds, episodes), or curves (seeds, episodes, steps)
    scenes   (episodes,) indices of the scenes
    starts   (episodes, ...): what the episodes begin with, where the family says it
    """

    figures: dict[str, np.ndarray]
    scenes: np.ndarray
    starts: np.ndarray | None = None

    def at_end(self, name: str) -> np.ndarray:
        """(seeds, episodes): a figure, the last of a curve."""
        values = self.figures[name]
        return values[..., -1] if values.ndim == 3 else values

    def mean(self, name: str) -> float:
        """The mean over scenes of their means."""
        return by_scene(self.at_end(name), self.scenes)

    @property
    def seeds(self) -> int:
        """How many trainings the scores are of."""
        return len(next(iter(self.figures.values())))


def joined(seeds: Sequence[Sequence[dict[str, Any]]]) -> Scores:
    """The scores of each seed's episodes, as ``Family.score`` gives them."""
    columns = {key: np.array([[row[key] for row in each] for each in seeds]) for key in seeds[0][0]}
    scenes = columns.pop("scene")[0].astype(np.int64)
    starts = columns.pop("start")[0] if "start" in columns else None
    return Scores(columns, scenes, starts)


def play(
    kind: Family, rows: Rows, episodes: int, kept: str | None = None, progress: str | None = "table"
) -> dict[str, Scores]:
    """Scores by row. All play an episode before the next begins, so that an environment has its scene at
    hand. With ``kept``, the beginning of files' names, what is in those files is not played again.
    progress: what the phase is called that shows how far it is; one of a single policy is brief."""

    shown = kind.episodes(next(iter(rows.values()))[0][0], episodes)
    found = {
        name: [Kept(kept_path(kept, name, seed)) for seed in range(len(each))] for name, each in rows.items()
    }
    units = len(shown) * sum(map(len, rows.values()))
    with phase(progress or "", units, "episodes", brief=len(rows) == 1) if progress else nullcontext() as bar:
        for k in shown:
            for name, each in rows.items():
                for (env, policy), those in zip(each, found[name], strict=True):
                    if k not in those.rows:
                        those.add(k, kind.score(env, policy, k))
                    if bar is not None:
                        bar.advance(detail=name if len(rows) > 1 else None)
    return {name: joined([[those.rows[k] for k in shown] for those in each]) for name, each in found.items()}


def evaluate(kind: Family, env, policy, episodes: int, progress: str | None = None) -> Scores:
    """What one policy scores in one environment; ``progress`` as for ``play``."""
    return play(kind, {"policy": [(env, policy)]}, episodes, progress=progress)["policy"]


def kept_path(kept: str | None, name: str, seed: int) -> Path | None:
    """The file of a row's seed; None where nothing is kept."""
    return None if kept is None else Path(f"{kept}{plain(name)}-{seed}.jsonl")


def plain(text: str) -> str:
    """A row's name as a part of a file's."""
    return "".join(letter if letter.isalnum() else "_" for letter in text)


class Kept:
    """Scores by episode; with a path also in that file, a line for each, written as they are found: a
    comparison that was killed goes on."""

    def __init__(self, path: Path | None) -> None:
        self.path, self.rows = path, {}
        if path is None:
            return
        text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
        whole = text[: text.rfind("\n") + 1]
        if whole != text:  # a kill cut the last line short
            path.write_text(whole, encoding="utf-8")
        for number, line in enumerate(whole.split("\n")[:-1], 1):
            try:
                row = json.loads(line)
            except (RecursionError, ValueError):
                row = None
            good = isinstance(row, dict) and all(map(_is_numeric, row.values()))
            if not good or type(row.get("episode")) is not int or type(row.get("scene")) is not int:
                got = reprlib.repr(line)
                raise ValueError(f"out: {path}: line {number}: got {got}; expected scores of an episode")
            self.rows[row.pop("episode")] = row
        shapes = {
            frozenset((key, np.shape(value)) for key, value in row.items()) for row in self.rows.values()
        }
        if len(shapes) > 1:
            raise ValueError(f"out: {path}: expected the same scores of every episode")

    def add(self, episode: int, row: dict[str, Any]) -> None:
        self.rows[episode] = row
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"episode": episode, **row}) + "\n")


def _is_numeric(value: Any) -> bool:
    try:
        return np.asarray(value).dtype.kind in "fi"
    except ValueError:  # lists of different lengths
        return False
