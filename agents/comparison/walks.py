"""Several runs, one's own agent and the baselines on the same walks, in one table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.markdown import Markdown

from agents.films import walk_through
from agents.navigation.baselines import NAVIGATION_BASELINES, navigation_baselines
from agents.navigation.evaluation import Scores, page, play, write_scores
from agents.play import UNTRAINED
from agents.run_folder import heading
from agents.runs import adapted, console, names, parse_settings, single_env, untrained


def compare_walks(
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
) -> dict[str, Scores]:
    """Walk, print the table, and return the scores by policy; the arguments are those of
    ``comparison.Flags``. Each run walks in its own environment; the baselines in the first run's."""
    for own, _ in runs:
        if own["env"] != env_id:
            raise ValueError(f"run: got one in {own['env']} for {env_id}; expected runs in one environment")
    changes: dict[str, Any] = {"split": split, "num_buildings": None}
    if scenes is not None:
        changes["scenes"] = scenes
    changes |= parse_settings("set", settings)
    plain = {} if agent is not None else {"backbone": None}
    first = runs[0][0] if runs else {"env": env_id, "env_kwargs": plain}
    env = single_env(first, **changes) if agent is not None else _lean(first, changes)

    rows: dict[str, list[tuple[Any, Any]]] = {}
    offered = navigation_baselines(env)
    for name in offered if baselines is None or tuple(baselines) == ("all",) else baselines:
        if name not in NAVIGATION_BASELINES:
            known = ", ".join(NAVIGATION_BASELINES)
            raise ValueError(f"baselines: got {name!r}; expected some of {known}, or all")
        if name in offered:
            rows[name] = [(env, offered[name])]
    for name, (own, model) in zip(names([own for own, _ in runs], folders), runs, strict=True):
        home = single_env(own, **changes)
        rows.setdefault(name + UNTRAINED, []).append((home, untrained(own, adapted(home))))
        rows.setdefault(name, []).append((home, model))
    if agent is not None:
        rows[agent.__name__] = [(env, agent(env))]
    results = play(rows, episodes)

    against = [name for name in ("random", "greedy", "frontier") if name in rows]
    taught = [name for name in rows if name not in NAVIGATION_BASELINES and not name.endswith(UNTRAINED)]
    leaky = env.task.buildings.leaky or split == "train"
    text = page(env, results, against, taught if leaky else [])
    console.print(Markdown(text))
    if out is not None:
        _report(out, heading(folders, runs) + text, results, rows, env)
    return results


def _lean(run: dict[str, Any], changes: dict[str, Any]):
    """The run's environment without observations that cost time, for policies that look for themselves."""
    return single_env(run, **{**changes, "observations": ["gps"]})


def _report(out: Path, text: str, results, rows, env) -> None:
    """The tables into a file .md; or a folder with them, every score, and of each policy but the untrained
    ones a film and the picture of a trajectory."""
    if out.suffix == ".md":
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8")
        return
    out.mkdir(parents=True, exist_ok=True)
    (out / "tables.md").write_text(text, encoding="utf-8")
    write_scores(results, env.task.buildings.names, out / "scores.csv")
    for name, each in rows.items():
        if not name.endswith(UNTRAINED):
            home, policy = each[0]
            home.render_mode = "rgb_array"
            folder = out / name.replace(", ", "-").replace(" ", "-")
            folder.mkdir(exist_ok=True)
            walk_through(home, policy, folder, episodes=1)
