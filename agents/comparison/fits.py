"""Several runs, one's own agent and the fitters on the same depth maps, in tables."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.markdown import Markdown
from tqdm import tqdm

from agents.play import UNTRAINED
from agents.run_folder import heading
from agents.runs import adapted, console, names, parse_settings, single_env, untrained
from agents.scene_fit.baselines import FITTERS
from agents.scene_fit.evaluation import (
    AGAINST,
    FORMULAS,
    KNOWING,
    Kept,
    Scores,
    figures,
    joined,
    page,
    usable,
)
from spatial_envs.foundation import yaml_files
from spatial_envs.foundation.arguments import check_range
from spatial_envs.foundation.files import replacing
from spatial_envs.scenes.depth_frames import checked_count

COUNTS = (3, 6, 12)  # objects, and slots, of the tables
TRACKS = {"clean": 0.0, "noisy": 1.0}  # noise of the sensor, 1 = a Kinect's
HELD_OUT = 0.1  # of the pixels of files, which have no other truth
DATA = ("intrinsics", "max_depth", "image_size")  # arguments that say what the depth maps are
Rows = dict[str, list[tuple[Any, Any]]]  # of each row the environment and the policy or fitter of each seed


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
    again: it belongs to one state of the code."""
    check_range("episodes", episodes, 1, 1_000_000, int)
    first = runs[0][0]["env_kwargs"] if runs else {}
    common = {key: first[key] for key in DATA if key in first}
    common |= {"scenes": scenes or first.get("scenes", "procedural"), "split": split}
    common |= parse_settings("set", settings)
    fitters = [*FITTERS] if baselines is None or tuple(baselines) == ("all",) else [*baselines]
    for name in fitters:
        if name not in FITTERS:
            raise ValueError(f"baselines: got {name!r}; expected some of {', '.join(FITTERS)}, or all")
    called = names([own for own, _ in runs], folders)
    titles = [f"{name}, trained here" if name in FITTERS else name for name in called]
    folder = out if out is not None and out.suffix != ".md" else None
    if folder is not None:
        _open(folder, common, titles, folders)
    results, pages = {}, []
    with tempfile.TemporaryDirectory() as nowhere:
        for title, changes in _tables(common).items():
            here = {**common, **changes}
            plain = single_env({"env": env_id, "env_kwargs": {}}, **{**here, "backbone": None})
            shown = usable(plain, episodes)
            rows: Rows = {name: [(plain, FITTERS[name])] for name in fitters}
            if plain.task.load(shown[0])[1].num_objects is None:
                rows = {name: each for name, each in rows.items() if name not in KNOWING}
            for name, (own, model) in zip(titles, runs, strict=True):
                for row, each in _of_run(own, model, plain, here).items():
                    rows.setdefault(name + row, []).append(each)
            if agent is not None:
                home = single_env({"env": env_id, "env_kwargs": {}}, **here)
                rows[agent.__name__] = [(home, agent(home))]
            if not rows:
                raise ValueError(f"baselines: got {fitters}, which have to know the truth; expected others")
            results[title] = found = _play(rows, title, shown, folder or Path(nowhere))
            seen_by = [*titles] if plain.task.frames.leaky or split == "train" else []
            against = [name for name in AGAINST if name in rows]
            pages.append(f"### {title}\n\n{page(plain, found, against, list(dict.fromkeys(seen_by)))}")
    text = "\n".join([*pages, FORMULAS])
    console.print(Markdown(text))
    if out is not None:
        path = out if folder is None else folder / "tables.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{heading(folders, runs)}{text}\n", encoding="utf-8")
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
            slots = common.get("slots", checked_count(count)[1])
            tables[f"{count} objects, {track}"] = {"num_objects": count, "noise": noise, "slots": slots}
    return tables


def _of_run(own: dict[str, Any], model, plain, here: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """By what is added to the run's name: environments and policies. A policy of slots that take turns serves
    any number of them."""
    if own["algo"] == "encoder":
        return {"": (plain, model), ", refined": (plain, model.then_refined())}
    home = single_env(own, **{**here, "num_frames": None})
    trained = model.observation_space.spaces["slots"].shape[0]
    if home.task.slots != trained and "turn" not in home.observation_space.spaces:
        raise ValueError(
            f"slots: got {home.task.slots} for a run with {trained} that do not take turns; expected --set "
            f"slots={trained} and as many objects"
        )
    first = untrained(own, adapted(home))
    model.policy.observation_space = model.observation_space = home.observation_space
    return {UNTRAINED: (home, first), "": (home, model)}


def _open(folder: Path, common: dict[str, Any], titles: Sequence[str], folders: Sequence[Path]) -> None:
    """Begin a folder of figures, or see that it belongs to the same comparison; ValueError where not."""
    tables = ("num_objects", "noise")  # which are in the figures' names
    played = {key: value for key, value in common.items() if key not in tables}
    runs: dict[str, list[str]] = {}
    for title, each in zip(titles, folders, strict=True):
        runs.setdefault(title, []).append(str(each.resolve()))
    path = folder / "settings.yaml"
    kept = yaml_files.read(path, "out") if path.is_file() else {"played": played, "runs": {}}
    if (
        not isinstance(kept, dict)
        or not {"played", "runs"} <= kept.keys()
        or not isinstance(kept["runs"], dict)
    ):
        raise ValueError(f"out: {path}: expected what a comparison wrote; choose another folder")
    both = {title for title in runs if title in kept["runs"]}
    if kept["played"] != played or any(kept["runs"][title] != runs[title] for title in both):
        raise ValueError(f"out: {folder} holds another comparison ({path.name} there); choose another folder")
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(path) as unfinished:
        whole = {"played": played, "runs": kept["runs"] | runs}
        unfinished.write_text(yaml_files.text(whole), encoding="utf-8")


def _play(rows: Rows, title: str, scenes: Sequence[int], folder: Path) -> dict[str, Scores]:
    """Scores by row; all explain a scene before the next."""
    kept = {
        name: [Kept(folder / f"{_plain(title)}-{_plain(name)}-{seed}.jsonl") for seed in range(len(each))]
        for name, each in rows.items()
    }
    for scene in tqdm(scenes, desc=title, leave=False):
        for name, each in rows.items():
            for (env, policy), found in zip(each, kept[name], strict=True):
                if scene not in found.rows:
                    found.add(scene, figures(env, policy, scene))
    return {
        name: joined([[found.rows[scene] for scene in scenes] for found in each])
        for name, each in kept.items()
    }


def _plain(text: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in text)
