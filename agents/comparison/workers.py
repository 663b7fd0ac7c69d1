"""The rows of a table, played by several processes: the same figures as by one.

A row is played whole, in the order of its episodes, by one process: what a policy carries from one episode to
the next, a generator say, is then what it was. Each process makes the environments and policies for itself,
of what the command line said, and has scenes of its own in memory.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, wait
from pathlib import Path
from typing import Any

import loky

from agents.comparison.scores import Kept, Rows, Scores, joined, kept_path
from agents.families import Family
from agents.progress import console, phase
from spatial_envs.foundation.processes import serve

Made = Callable[[], tuple[Family, Rows]]  # the rows, made anew


def play_apart(
    kind: Family, rows: Rows, make: Made, workers: int, episodes: int, kept: str | None = None
) -> dict[str, Scores]:
    """``scores.play`` by so many processes. ``make`` is pickled for them and gives what ``kind`` and ``rows``
    are here. An error in a row is raised with the row's name, and ends the processes, as Ctrl-C does."""
    shown = [*kind.episodes(next(iter(rows.values()))[0][0], episodes)]
    units = [(name, seed) for name, each in rows.items() for seed in range(len(each))]
    with (
        tempfile.TemporaryDirectory() as folder,
        phase(f"table, {workers} workers", len(units) * len(shown), "episodes") as bar,
    ):
        done = Path(folder, "done")  # a byte for each episode
        done.touch()
        executor = loky.ProcessPoolExecutor(
            min(workers, len(units)), initializer=_begin, initargs=(os.getpid(), make, str(done))
        )
        try:
            futures = {unit: executor.submit(_played, *unit, shown, kept_path(kept, *unit)) for unit in units}
            waiting = set(futures.values())
            while waiting:
                _, waiting = wait(waiting, 0.2, FIRST_EXCEPTION)
                bar.reach(done.stat().st_size)
                for (name, _), future in futures.items():
                    if future.done() and (error := future.exception()) is not None:
                        kind_of = ValueError if isinstance(error, ValueError) else RuntimeError
                        raise kind_of(f"{name}: {error}") from error
        finally:
            executor.shutdown(kill_workers=True)
    found = {unit: future.result() for unit, future in futures.items()}
    return {name: joined([found[name, seed] for seed in range(len(each))]) for name, each in rows.items()}


# ---- in a worker

_ROWS: dict[str, Any] = {}


def _begin(parent: int, make: Made, done: str) -> None:
    serve(parent)
    console.quiet = True  # the parent has said it all
    _ROWS["make"], _ROWS["done"] = make, done


def _played(name: str, seed: int, shown: list[int], path: Path | None) -> list[dict[str, Any]]:
    if "rows" not in _ROWS:  # not where it begins: an error there has no way back
        _ROWS["kind"], _ROWS["rows"] = _ROWS["make"]()
    env, policy = _ROWS["rows"][name][seed]
    those = Kept(path)
    with open(_ROWS["done"], "ab", buffering=0) as done:
        for k in shown:
            if k not in those.rows:
                those.add(k, _ROWS["kind"].score(env, policy, k))
            done.write(b".")
    return [those.rows[k] for k in shown]
