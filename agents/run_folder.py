"""A run's folder: what is kept there, written so that a kill at any moment loses nothing, and read again."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import reprlib
import shutil
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.vec_env import VecNormalize

from agents.exported import ExportedAgent, as_run, is_exported
from agents.families import env_type, family
from agents.hyperparameters import MOST, checked, lessons
from agents.navigation import planners
from agents.progress import console
from agents.runs import ALGORITHMS, command_line
from agents.scene_fit.baselines import Encoded
from agents.signatures import check_name, check_own, sign_file, sign_name
from spatial_envs.core.task import check_arguments
from spatial_envs.foundation import yaml_files
from spatial_envs.foundation.arguments import check_choice, check_device, check_range
from spatial_envs.foundation.files import replacing

LEARNED = ("model.zip", "state.pt")  # the last that was learned, by an agent and by an encoder
TEXTS = ("env", "scenes", "device", "resolved_backbone")  # of config.yaml
LARGEST = 2**32 - 1  # a seed's
COUNTS = {  # of config.yaml, and their least and largest values
    "seed": (0, LARGEST), "timesteps": (1, MOST["n_timesteps"]), "num_envs": (1, MOST["n_envs"]),
    "eval_every": (1, LARGEST), "validation_starts": (1, LARGEST), "final_starts": (0, LARGEST),
}  # fmt: skip
PLAYED = ("algo", "env", "scenes", "resolved_backbone", "env_kwargs", "hyperparameters")  # what playing needs
RESUMED = (*PLAYED, *COUNTS, "device", "track")  # and what an agent's training does
OF_AGENTS = ("timesteps", "num_envs", "eval_every", "validation_starts", "device", "track")


# ---- writing


def write_config(folder: Path, run: dict[str, Any]) -> None:
    """What ``read_config`` reads."""
    sign_name(folder, "policy", policy_of(run))
    if is_elsewhere(run):
        sign_name(folder, "env", run["env"])
    with replacing(folder / "config.yaml") as path:
        path.write_text(yaml_files.text(run), encoding="utf-8")


def save(model: BaseAlgorithm, folder: Path) -> None:
    """The model as it is now, its normalisation and its replay buffer, to go on from."""
    normalisation = model.get_vec_normalize_env()
    assert normalisation is not None
    parts: dict[str, Callable[[Path], None]] = {"model.zip": model.save}
    parts["vecnormalize.pkl"] = lambda path: normalisation.save(str(path))
    if isinstance(model, OffPolicyAlgorithm):
        parts["replay_buffer.pkl"] = model.save_replay_buffer
    for name, write in parts.items():
        keep(folder, name, write)


def keep(folder: Path, name: str, write: Callable[[Path], None]) -> None:
    """Write a file of the folder's, whole and signed."""
    with replacing(folder / name) as path:
        write(path)
        sign_file(folder, name, path)


def holds_a_run(folder: Path) -> bool:
    """Whether something was learned there."""
    return any((folder / name).exists() for name in LEARNED)


@contextmanager
def begun(folder: Path) -> Iterator[None]:
    """Make the folder; where the block ends with an error before anything was learned, it and all that was
    put into it are gone again."""
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    before = {*folder.iterdir()}
    try:
        yield
    except BaseException:
        if not holds_a_run(folder):
            for place in {*folder.iterdir()} - before:
                shutil.rmtree(place) if place.is_dir() else place.unlink()
            with suppress(OSError):  # where somebody else has put something there meanwhile
                for place in made:
                    place.rmdir()
        raise


def check_out(path: Path, file: bool = False) -> None:
    """ValueError where there can be no such folder, or file, to write to."""
    place = Path(os.path.abspath(path))
    if os.path.isdir(place) if file else os.path.isfile(place):
        kind = ("a folder", "a file") if file else ("a file", "a folder")
        raise ValueError(f"out: got {path}, which is {kind[0]}; expected {kind[1]}")
    while not os.path.lexists(place):
        place = place.parent
    above = place.parent if os.path.isfile(place) and file else place
    if not (os.path.isdir(above) and os.access(above, os.W_OK)):
        raise ValueError(f"out: got {path}; expected a place that can be written to, unlike {above}")


# ---- its configuration


def read_config(
    folder: Path, flag: str, needed: Sequence[str] = PLAYED, trust: bool = False
) -> dict[str, Any]:
    """What config.yaml holds: the keys that are needed are there, and whatever is there is checked.
    FileNotFoundError or ValueError, which begin with the flag; without ``trust`` also for an environment from
    elsewhere, whose module is imported, in what is not one's own (``agents.signatures``)."""
    path = folder / "config.yaml"
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{flag}: got {folder}; expected a run folder with a config.yaml")
    run = yaml_files.read(path, flag)
    if not trust and isinstance(run, dict) and is_elsewhere(run):
        check_name(flag, folder, "env", run["env"])
    try:
        if not isinstance(run, dict):
            raise ValueError(f"got {type(run).__name__}; expected a mapping")
        needed = [key for key in needed if run.get("algo") != "encoder" or key not in OF_AGENTS]
        for key in needed:
            if key not in run:
                raise ValueError(f"lacks {key}; expected all of {', '.join(needed)}")
        check_config(run)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{flag}: {path}: {error}") from error
    return run


def check_config(run: dict[str, Any]) -> None:
    """ValueError or TypeError for what cannot be of a run's configuration, as far as it says; hyperparameters
    become what the algorithm takes."""
    check_choice("algo", run["algo"], (*ALGORITHMS, "encoder"))
    for key in TEXTS:
        if key in run and not isinstance(run[key], str):
            raise ValueError(f"{key}: got {run[key]!r}; expected text")
    for key, (least, most) in COUNTS.items():
        if key in run:
            check_range(key, run[key], least, most, int)
    for key in ("env_kwargs", "hyperparameters"):
        if not isinstance(run[key], dict):
            raise ValueError(f"{key}: got {run[key]!r}; expected a mapping")
    if "warm_start" in run:
        known = [*family(run["env"]).experts]
        if (expert := lessons(run["warm_start"]).expert) not in known:
            raise ValueError(
                f"warm_start: got {reprlib.repr(expert)}; expected one of {', '.join(known) or 'none'}"
            )
    for each in (run, run["env_kwargs"]):
        if each.get("device") is not None:
            check_device(each["device"])
    check_arguments(env_type(run["env"]).task_type, run["env_kwargs"])
    if run["algo"] != "encoder":
        algorithm = ALGORITHMS[run["algo"]]
        run["hyperparameters"] = checked(algorithm, run["hyperparameters"], "hyperparameters")


def is_elsewhere(run: dict[str, Any]) -> bool:
    """Whether the run's environment is module:id, and the module is imported to find it."""
    return isinstance(run.get("env"), str) and ":" in run["env"]


def policy_of(run: dict[str, Any]) -> str:
    """The name, or path, of a run's policy."""
    return str(run.get("hyperparameters", {}).get("policy", "MultiInputPolicy"))


def on_devices_here(run: dict[str, Any]) -> dict[str, Any]:
    """The run, with "auto" in place of a GPU that is not here, which is said."""
    away = {str(each["device"]) for each in (run, run["env_kwargs"]) if is_away(each.get("device"))}
    if not away:
        return run
    console.print(f"device: made on {' and '.join(sorted(away))}, which is not here; played on what is here")
    here = {**run, "env_kwargs": dict(run["env_kwargs"])}
    for each in (here, here["env_kwargs"]):
        if is_away(each.get("device")):
            each["device"] = "auto"
    return here


def is_away(device: Any) -> bool:
    """Whether it is a GPU that torch does not see."""
    if device in (None, "auto"):
        return False
    wanted = torch.device(device)
    return wanted.type == "cuda" and (wanted.index or 0) >= torch.cuda.device_count()


# ---- its evaluations, and the model that they choose


def evaluations(folder: Path) -> list[dict[str, str]]:
    """The lines of evaluations.csv by column, without those that are not whole."""
    try:
        text = (folder / "evaluations.csv").read_text(encoding="utf-8", errors="replace")
        rows = list(csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1].replace("\0", ""))))
    except (FileNotFoundError, csv.Error):
        return []
    return [row for row in rows if _is_whole(row)]


def _is_whole(row: dict[Any, Any]) -> bool:
    try:
        int(row["timesteps"])
        for key, value in row.items():
            _ = str(value) if key in ("policy", "backbone") else float(value)
    except (KeyError, TypeError, ValueError):  # what is missing is None, what is too much a list
        return False
    return row.get("policy") is not None and row.get("backbone") is not None


def write_evaluations(folder: Path, rows: list[dict[str, Any]]) -> None:
    """All lines, in place of those that are there; the last has the columns of all."""
    with replacing(folder / "evaluations.csv") as path, path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[-1], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def best(folder: Path, column: str) -> tuple[Path, dict[str, str] | None]:
    """The model that a run is known by, and its line of evaluations.csv: of those that are kept the one with
    the highest ``column`` on the validation split, of equal ones the latest, which has learned most; NaN is
    no score. The last model, model.zip, and None where none was evaluated."""
    last = folder / "model.zip"
    kept = {int(path.stem): path for path in folder.glob("checkpoints/*.zip") if path.stem.isdecimal()}
    kept.setdefault(steps_learned(last), last)
    rows = [row for row in evaluations(folder) if row["policy"] == "agent" and int(row["timesteps"]) in kept]
    rows = [row for row in rows if not math.isnan(float(row.get(column, "nan")))]
    if not rows:
        return last, None
    row = max(rows, key=lambda row: (float(row[column]), int(row["timesteps"])))
    return kept[int(row["timesteps"])], row


def steps_learned(path: Path) -> int:
    """How many steps a saved model has learned from; -1 where that cannot be read."""
    try:
        with zipfile.ZipFile(path) as file:
            return int(json.loads(file.read("data"))["num_timesteps"])
    except (OSError, KeyError, TypeError, ValueError, zipfile.BadZipFile):
        return -1


def load(folder: Path, flag: str = "run", trust: bool = False) -> tuple[dict[str, Any], Any]:
    """A run's configuration and its best model, for playing; of an encoder's the fitter that it is; of what
    ``agents.export`` made the exported agent; of a planner's folder the planner. FileNotFoundError or
    ValueError, which begin with the flag, for what is no whole run, or without ``trust`` not one's own
    (``agents.signatures``)."""
    if is_exported(folder):
        return as_run(folder, flag)
    if planners.is_planner(folder):
        return planners.as_run(folder)
    run = on_devices_here(read_config(folder, flag, trust=trust))
    if run["algo"] == "encoder":
        fitter = Encoded(folder / "encoder.safetensors")
        with _named(flag, fitter.weights, "an encoder"):
            _ = fitter.model
        return run, fitter
    path, row = best(folder, column := family(run["env"]).curve)
    model = load_model(run, path, flag, trust)
    if row is not None:
        score = f"{column} {float(row[column]):.3f}"
        console.print(f"{folder}: the agent of step {model.num_timesteps:,}, {score} on the validation split")
    return run, model


def load_model(
    run: dict[str, Any], path: Path, flag: str, trust: bool = False, **keywords: Any
) -> BaseAlgorithm:
    """The algorithm's model in a file of the run's, one's own or trusted."""
    if not path.is_file():
        raise FileNotFoundError(
            f"{flag}: {path.parent} holds no {path.name}; it was ended before its first evaluation"
        )
    if not trust:
        folder = path.parent.parent if path.parent.name == "checkpoints" else path.parent
        check_own(flag, folder, [path], policy_of(run))
    with _named(flag, path, f"a model of {run['algo']}"):
        return ALGORITHMS[run["algo"]].load(path, device=run.get("device", "auto"), **keywords)


def heading(folders: Sequence[Path], runs: Sequence[tuple[dict[str, Any], Any]]) -> str:
    """What the reader of tables has to know: what was typed, and which of each run's models played."""
    steps = [
        f"- {folder}: the agent of step {model.num_timesteps:,}\n"
        for folder, (_, model) in zip(folders, runs, strict=True)
        if isinstance(model, (BaseAlgorithm, ExportedAgent))
    ]
    return f"`{command_line()}`\n\n{''.join(steps)}\n"


@contextmanager
def _named(flag: str, path: Path, what: str) -> Iterator[None]:
    """Whatever goes wrong with reading a file that is not what it should be, as a ValueError that says so."""
    try:
        yield
    except Exception as error:
        fault = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise ValueError(f"{flag}: got {path}; expected {what} that a run saved ({fault})") from error


def resumed(
    run: dict[str, Any], envs: VecNormalize, folder: Path, tensorboard_log: str | None, trust: bool = False
) -> BaseAlgorithm:
    """The last model, its normalisation and its replay buffer, one's own or trusted, ready to go on."""
    pickles = [folder / name for name in ("model.zip", "vecnormalize.pkl", "replay_buffer.pkl")]
    if not trust:
        check_own("resume", folder, [path for path in pickles if path.is_file()], policy_of(run))
    with _named("resume", folder / "vecnormalize.pkl", "a normalisation"):
        envs = VecNormalize.load(str(folder / "vecnormalize.pkl"), envs.venv)
    model = load_model(run, folder / "model.zip", "resume", True, env=envs, tensorboard_log=tensorboard_log)
    if isinstance(model, OffPolicyAlgorithm):
        with _named("resume", folder / "replay_buffer.pkl", "a replay buffer"):
            model.load_replay_buffer(folder / "replay_buffer.pkl")
    model.set_random_seed(
        (run["seed"] + model.num_timesteps) % (LARGEST + 1)
    )  # not the same starts and noise again
    return model
