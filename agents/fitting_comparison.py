"""Several runs, one's own agent and the fitters on the same depth maps, in tables."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.markdown import Markdown
from tqdm import tqdm

from agents.evaluation import UNTRAINED
from agents.fitting_baselines import FITTERS
from agents.fitting_evaluation import FORMULAS, Kept, Scores, figures, joined, page
from agents.runs import adapted, command_line, console, parse_settings, single_env, untrained

COUNTS = (3, 6, 12)  # objects, and slots, of the tables
TRACKS = {"clean": 0.0, "noisy": 1.0}  # noise of the sensor, 1 = a Kinect's
HELD_OUT = 0.1  # of the pixels of files, which have no other truth
KNOWING = ("oracle",)  # fitters that have to know the truth
AGAINST = ("kmeans-superquadrics", "pieces-superquadrics")


def compare_fits(
    runs: Sequence[tuple[dict[str, Any], Any]],
    folders: Sequence[Path],
    env_id: str,
    agent: type | None,
    baselines: Sequence[str] | None,
    scenes: str | None,
    split: str,
    settings: tuple[str, ...],
    episodes: int,
    out: Path | None,
) -> dict[str, dict[str, Scores]]:
    """Fit, print the tables, and return the scores by table and row; the arguments are those of
    ``comparison.Flags``. Procedural scenes have a table for each number of objects, with as many slots, and
    for each track, unless the settings say which. ``out`` keeps every figure, and what is there is not made
    again: it belongs to one state of the code and of the runs."""
    for own, _ in runs:
        if own["env"] != env_id:
            raise ValueError(f"run: got one in {own['env']} for {env_id}; expected runs in one environment")
    given = parse_settings("set", settings)
    names = [*FITTERS] if baselines is None or tuple(baselines) == ("all",) else [*baselines]
    for name in names:
        if name not in FITTERS:
            raise ValueError(f"baselines: got {name!r}; expected some of {', '.join(FITTERS)}, or all")
    common = {"scenes": scenes or (runs[0][0]["scenes"] if runs else "procedural"), "split": split, **given}
    titles = _titles([own for own, _ in runs], folders)
    folder = out if out is not None and out.suffix != ".md" else None
    results, pages = {}, []
    with tempfile.TemporaryDirectory() as nowhere:
        for title, changes in _tables(common).items():
            plain = single_env({"env": env_id, "env_kwargs": {}}, **{**common, **changes, "backbone": None})
            rows: dict[str, list[tuple[Any, Any]]] = {name: [(plain, FITTERS[name])] for name in names}
            for name, (own, model) in zip(titles, runs, strict=True):
                if own["algo"] == "encoder":
                    for row, fitter in ((name, model), (f"{name}, refined", model.then_refined())):
                        rows.setdefault(row, []).append((plain, fitter))
                    continue
                home = single_env(own, **{**common, **changes, "num_frames": None})
                first = untrained(own, adapted(home))
                for row, policy in ((name + UNTRAINED, first), (name, _at_home(model, home))):
                    rows.setdefault(row, []).append((home, policy))
            if agent is not None:
                home = single_env({"env": env_id, "env_kwargs": {}}, **{**common, **changes})
                rows[agent.__name__] = [(home, agent(home))]
            if plain.task.load(0)[1].num_objects is None:
                rows = {name: each for name, each in rows.items() if name not in KNOWING}
            found = _play(rows, title, min(episodes, len(plain.task.frames)), folder or Path(nowhere))
            results[title] = found
            pages.append(f"### {title}\n\n{page(plain, found, [name for name in AGAINST if name in rows])}")
    text = "\n".join([*pages, FORMULAS])
    console.print(Markdown(text))
    if out is not None:
        path = out if folder is None else folder / "tables.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"`{command_line()}`\n\n{text}\n")
    return results


def _tables(common: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """By title the arguments in which tables differ."""
    if common["scenes"] != "procedural":
        unlike = {"held_out": common.get("held_out", HELD_OUT), "noise": 0.0, "reward": "full"}
        return {Path(common["scenes"]).name: unlike}
    counts = [common["num_objects"]] if "num_objects" in common else [*COUNTS]
    wanted = [common["noise"]] if "noise" in common else TRACKS.values()
    named = {noise: track for track, noise in TRACKS.items()}
    tables = {}
    for noise in wanted:
        track = named.get(noise, f"noise {noise}")
        for count in counts:
            most = count if isinstance(count, int) else max(count)
            slots = common.get("slots", most)
            tables[f"{count} objects, {track}"] = {"num_objects": count, "noise": noise, "slots": slots}
    return tables


def _at_home(model, env):
    """A policy of slots that take turns serves any number of them: here as many as there are."""
    model.policy.observation_space = model.observation_space = env.observation_space
    return model


def _play(rows, title: str, scenes: int, folder: Path) -> dict[str, Scores]:
    """Scores by row. All explain a scene before the next, so that its references are made once."""
    kept = {
        name: [Kept(folder / f"{_plain(title)}-{_plain(name)}-{seed}.jsonl") for seed in range(len(each))]
        for name, each in rows.items()
    }
    for scene in tqdm(range(scenes), desc=title, leave=False):
        for name, each in rows.items():
            for (env, policy), found in zip(each, kept[name], strict=True):
                if scene not in found.rows:
                    found.add(scene, figures(env, policy, scene))
    return {
        name: joined([[found.rows[scene] for scene in range(scenes)] for found in each])
        for name, each in kept.items()
    }


def _plain(text: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in text)


def _titles(runs: Sequence[dict[str, Any]], folders: Sequence[Path]) -> list[str]:
    """A row for each run: runs that differ in their seed alone share one; where the algorithm does not tell
    runs apart, the folder's name does."""
    alike = ("algo", "hyperparameters", "timesteps", "num_envs", "env_kwargs", "warm_start")

    def what(run: dict[str, Any]) -> list[Any]:
        return [run.get(key) for key in alike]

    called = []
    for run, folder in zip(runs, folders, strict=True):
        own = [what(other) for other in runs if other["algo"] == run["algo"]]
        name = run["algo"] + ("" if "warm_start" not in run else f" after {run['warm_start']['expert']}")
        same = all(other == own[0] for other in own)
        called.append(name if same else folder.resolve().name)
    return [f"{name}, trained here" if name in FITTERS else name for name in called]
