"""From flags to a run folder: Stable-Baselines3 on our batched environments."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

from agents.comparison.compare import final_tables
from agents.comparison.report import BOUNDS
from agents.comparison.table import show
from agents.curves import plot_curves
from agents.families import Family, family
from agents.films import EPISODES, film
from agents.hyperparameters import lessons
from agents.progress import console, phase
from agents.run_folder import (
    begun,
    best,
    evaluations,
    holds_a_run,
    load,
    on_devices_here,
    resumed,
    save,
    write_config,
)  # fmt: skip
from agents.runs import single_env, training_envs, untrained
from agents.scene_fit.encoder import train_encoder
from agents.training.config import Flags, _open_run, _wandb
from agents.training.validation import Interrupted, Keeper, answering
from agents.training.warm_start import WarmStart
from spatial_envs.foundation.threads import set_threads


def train(flags: Flags) -> Path:
    """Train to the end, or to Ctrl-C or SIGTERM, and return the run folder. A start that fails, or is ended
    before anything was learned, leaves no folder behind."""
    with answering(signal.default_int_handler):
        folder, run = _open_run(flags)
        set_threads(flags.threads, large=run["resolved_backbone"] == "mapanything")
        if run["algo"] == "encoder":
            return _train_encoder(folder, run, fresh=flags.resume is None)
        return _train_agent(folder, run, fresh=flags.resume is None, trust=flags.trust)


def _train_agent(folder: Path, run: dict[str, Any], fresh: bool, trust: bool) -> Path:
    kind, here = family(run["env"]), on_devices_here(run)
    logs = None if run["track"] == "none" else str(folder)
    with phase("setting up"):
        envs = training_envs(here)
        model = untrained(here, envs, logs) if fresh else resumed(here, envs, folder, logs, trust)
        if fresh and "start_from" in run:
            _begin_with(model, Path(run["start_from"]), trust)
    warm = lessons(run["warm_start"]) if run.get("warm_start") and fresh else None
    left = run["timesteps"] - model.num_timesteps
    if warm is not None and left <= warm.all_steps:
        raise ValueError(
            f"timesteps: got {run['timesteps']}; expected more than the warm start's {warm.all_steps}"
        )
    if left <= 0:
        raise ValueError(f"timesteps: got {run['timesteps']}; the run has {model.num_timesteps} already")
    validation = single_env(here, split="validation", **kind.some)
    keeper = Keeper(kind, validation, folder, run["eval_every"], run["validation_starts"], run["timesteps"])
    with begun(folder) if fresh else nullcontext():
        write_config(folder, run)
        console.print(
            f"{run['algo']} on {run['env']}, scenes {run['scenes']}, backbone {run['resolved_backbone']}: "
            f"{left:,} steps into {folder}"
        )
        if run["track"] == "wandb":
            _wandb().init(
                project="spatial_envs",
                id=folder.name,
                resume="allow",
                config=run,
                dir=folder,
                sync_tensorboard=True,
            )
        if warm is not None:
            assert isinstance(model, OnPolicyAlgorithm)
            WarmStart(model, warm, kind, run["seed"]).run(folder)
            save(model, folder)
            left -= model.num_timesteps
        begins = fresh and warm is None
        with answering(keeper.interrupt):
            with keeper.shown, suppress(Interrupted):  # between two steps of the optimiser
                keeper.prepare(model)
                model.learn(left, keeper, tb_log_name="log", reset_num_timesteps=begins)
            save(model, folder)
    more = f"go on with: python train_agent.py --resume {folder}"
    compared = f"its table: python evaluate_agent.py --run {folder}"
    if keeper.interrupted:
        over = model.num_timesteps >= run["timesteps"]
        console.print(f"interrupted and saved; {compared if over else more}")
        return folder
    try:
        _show(folder, here, model)
    except KeyboardInterrupt:
        console.print(f"interrupted; the run is trained and saved; {compared}")
    return folder


def _begin_with(model: BaseAlgorithm, folder: Path, trust: bool) -> None:
    """Let the policy have the weights of the run's. ValueError where they do not fit."""
    _, other = load(folder, "start_from", trust)
    begin = getattr(
        model.policy, "begin_with", lambda policy: model.policy.load_state_dict(policy.state_dict())
    )
    try:
        begin(other.policy)
    except (AttributeError, RuntimeError) as error:
        fault = " ".join(str(error).split())[:300]
        raise ValueError(
            f"start_from: got {folder}; expected a policy like this one, with the same observations: {fault}"
        ) from error


def _show(folder: Path, run: dict[str, Any], model: BaseAlgorithm) -> None:
    """Curves, films and the table of the best model."""
    kind = family(run["env"])
    plot_curves(evaluations(folder), folder / "curves.png", kind.curve, kind.label, kind.levels)
    path, row = best(folder, kind.curve)
    said = f"The agent of the last step, {model.num_timesteps:,}; no evaluation has a score"
    if row is not None:
        model.set_parameters(str(path), device=model.device)
        said = (
            f"The agent of step {int(row['timesteps']):,} of {model.num_timesteps:,}, the best on the "
            f"validation split ({kind.curve} {float(row[kind.curve]):.3f})"
        )
    console.print(said)
    env = single_env(run, split="validation", render_mode="rgb_array", **kind.some)
    filmed = {f"{run['algo']}, trained": (env, model)}
    beside = best_baseline(kind, evaluations(folder))
    if beside is not None and kind.is_filmed(policy := kind.baselines[beside](env)):
        filmed[f"{beside}, the best baseline"] = (env, policy)
    _film(kind, filmed, folder)
    if run["final_starts"]:
        text = f"{said}.\n\n{final_tables(run, model, folder)}{_further(kind, run, folder)}"
        (folder / "table.md").write_text(text, encoding="utf-8")
        show(text)
    console.print(f"all of it is in {folder}")


def _film(kind: Family, policies: dict[str, tuple[Any, Any]], folder: Path, episodes: int = EPISODES) -> None:
    with phase("film", episodes, "episodes") as bar:
        film(kind, policies, folder / "episode.mp4", bar.advance, episodes)


def best_baseline(kind: Family, rows: Sequence[Mapping[str, str]]) -> str | None:
    """The baseline with the most of what the curve shows: of the lines of evaluations.csv and the levels."""
    scores = {row["policy"]: float(row[kind.curve]) for row in rows} | kind.levels
    scores = {name: score for name, score in scores.items() if name in kind.baselines}
    return max(scores, key=lambda name: scores[name], default=None)


def _further(kind: Family, run: dict[str, Any], folder: Path) -> str:
    """How to have the table with what bounds all policies, where that is left out as it takes long."""
    bounds = [name for name in BOUNDS if name in kind.baselines]
    if kind.final is None or {*bounds} <= {*kind.final}:
        return ""
    flags = f"--run {folder} --episodes {run['final_starts']} --baselines {' '.join([*kind.final, *bounds])}"
    return f"\nWith {', '.join(bounds)}, which takes longer:\n\n    python evaluate_agent.py {flags}\n"


def _train_encoder(folder: Path, run: dict[str, Any], fresh: bool) -> Path:
    with begun(folder) if fresh else nullcontext():
        write_config(folder, run)
        minutes = run["hyperparameters"]["minutes"]
        console.print(f"encoder on {run['env']}: {minutes} minutes of one core into {folder}")
        try:
            fitter, kind = train_encoder(folder, run), family(run["env"])
        except KeyboardInterrupt:
            if not holds_a_run(folder):
                raise
            more = f"python train_agent.py --resume {folder}"
            console.print(f"interrupted; go on from the last checkpoint with: {more}")
            return folder
    if run["final_starts"]:
        text = final_tables(run, fitter, folder)
        (folder / "table.md").write_text(text, encoding="utf-8")
        show(text)
    shown = {"split": "validation", "prototypes": str(fitter.weights), **kind.some}
    _film(kind, {"the encoder's fit": (single_env(run, render_mode="rgb_array", **shown), fitter)}, folder, 1)
    console.print(f"all of it is in {folder}")
    return folder
