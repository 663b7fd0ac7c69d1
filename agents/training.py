"""From flags to a run folder: Stable-Baselines3 on our batched environments."""

from __future__ import annotations

import csv
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import gymnasium as gym
import numpy as np
import torch
import yaml
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from rich.console import Console
from rich.markdown import Markdown
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback, ProgressBarCallback
from stable_baselines3.common.vec_env import VecMonitor, VecNormalize

import spatial_envs
from agents.attention import ViewFeatures
from agents.baselines import BASELINES, Farthest, FarthestInner, Oracle, Random, Zero
from agents.evaluation import FORMULAS, ForeignFeatures, evaluate, interval, table
from agents.pictures import film, plot_curves
from agents.sb3_vec_env import SB3VecEnv
from spatial_envs.task import TaskEnv, check_arguments

gym.register_envs(spatial_envs)

ALGORITHMS: dict[str, type[BaseAlgorithm]] = {"ppo": PPO, "sac": SAC}
BUFFER_LIMIT = 4 * 2**30  # bytes
VALIDATION_STARTS = 32
EVALUATION_COLUMNS = ["policy", "timesteps", "gain", "low", "high", "coverage", "chamfer"]
CONFIGS = Path(__file__).resolve().parents[1] / "configs"
console = Console()


@dataclass(frozen=True)
class Flags:
    """What the command line says."""

    algo: Literal["ppo", "sac"] = "ppo"
    """Which algorithm of Stable-Baselines3."""
    env: str = "NBV-MapAnything-v0"
    """Environment id."""
    scenes: str = "procedural"
    """"procedural", a mesh file, a folder of meshes, or a scene-set YAML."""
    timesteps: int | None = None
    """Environment steps in all; by default what the config says."""
    num_envs: int | None = None
    """Episodes played at once; by default what the config says."""
    seed: int = 0
    """Of the policy, the environments and the exploration."""
    backbone: str = "auto"
    """"auto", "unproject", or "none" for no features."""
    device: str = "auto"
    """Torch device of the policy and the backbone."""
    config: Path | None = None
    """YAML of hyperparameters keyed by environment id; by default configs/<algo>.yml."""
    set: tuple[str, ...] = ()
    """Any other argument of the environment, as name=value."""
    out: Path | None = None
    """The run folder; by default runs/<env>-<algo>-seed<seed>."""
    resume: Path | None = None
    """A run folder to go on with; all other flags but --timesteps are then read from it."""
    eval_every: int = 5000
    """Environment steps between evaluations on the validation split; the run is saved at each."""
    final_starts: int = 24
    """Starts of the final table on the test split; 0 leaves it out."""


def train(flags: Flags) -> Path:
    """Train to the end, or to Ctrl-C, and return the run folder."""
    folder, run = _open_run(flags)
    envs = _training_envs(run)
    model = _resumed(run, envs, folder) if flags.resume else untrained(run, envs, str(folder))
    left = run["timesteps"] - model.num_timesteps
    if left <= 0:
        raise ValueError(f"timesteps: got {run['timesteps']}; the run has {model.num_timesteps} already")
    console.print(
        f"{run['algo']} on {run['env']}, scenes {run['scenes']}, backbone {run['resolved_backbone']}: "
        f"{left:,} steps into {folder}"
    )
    validation = single_env(run, split="validation", num_objects=None)
    keeper = Keeper(validation, folder, max(run["eval_every"] // run["num_envs"], 1))
    try:
        model.learn(
            left, [ProgressBarCallback(), keeper], tb_log_name="log", reset_num_timesteps=not flags.resume
        )
    except KeyboardInterrupt:
        save(model, folder)
        console.print(f"interrupted and saved; go on with: python train_agent.py --resume {folder}")
        return folder
    save(model, folder)
    plot_curves(folder / "evaluations.csv", folder / "curves.png")
    film(
        single_env(run, split="validation", render_mode="rgb_array", num_objects=None),
        model,
        folder / "episode.mp4",
    )
    if run["final_starts"]:
        text = final_tables(run, model)
        (folder / "table.md").write_text(text)
        console.print(Markdown(text))
    console.print(f"all of it is in {folder}")
    return folder


class Keeper(BaseCallback):
    """Every so many calls: evaluate on the validation split, add a line to evaluations.csv, save the run."""

    def __init__(self, env, folder: Path, every: int) -> None:
        super().__init__()
        self.env, self.folder, self.every = env, folder, every

    def _on_training_start(self) -> None:
        path = self.folder / "evaluations.csv"
        kept = []
        if path.is_file():  # a resumed run: what came after its checkpoint is played again
            with path.open() as file:
                kept = [row for row in csv.reader(file) if row[1].isdigit()]
            kept = [row for row in kept if int(row[1]) <= self.num_timesteps]
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([EVALUATION_COLUMNS, *kept])
        if not kept:
            for name in ("random", "farthest"):
                self._note(name, BASELINES[name](self.env))
            self._note("agent", self.model)

    def _on_step(self) -> bool:
        if self.n_calls % self.every == 0:
            self._note("agent", self.model)
            save(self.model, self.folder)
        return True

    def _note(self, name: str, policy) -> None:
        scores = evaluate(self.env, policy, VALIDATION_STARTS, progress=False)
        mean, low, high = interval(scores.gain, scores.objects)
        row = [name, self.num_timesteps, mean, low, high, scores.coverage.mean(), scores.chamfer.mean()]
        with (self.folder / "evaluations.csv").open("a", newline="") as file:
            csv.writer(file).writerow(row)
        if name == "agent":
            self.logger.record("validation/log_chamfer_gain", mean)
            self.logger.record("validation/coverage", scores.coverage.mean())


def final_tables(run: dict[str, Any], model: BaseAlgorithm) -> str:
    """Markdown: every policy on the same unseen starts; where the scenes have no splits, on those and on the
    procedural test split."""
    env = single_env(run, split="test", num_objects=None)
    if not env.task.objects.leaky:
        return _final_table(run, model, env)
    unseen = single_env(run, scenes="procedural", split="test", num_objects=None)
    return _final_table(run, model, env) + "\n" + _final_table(run, model, unseen)


def _final_table(run: dict[str, Any], model: BaseAlgorithm, env) -> str:
    starts = run["final_starts"]
    fresh = untrained(run, model.get_env())
    policies: dict[str, Any] = {
        "random": Random(env), "zero-action": Zero(env), "untrained": fresh, "farthest": Farthest(env),
        "farthest-inner": FarthestInner(env), "agent": model, "oracle": Oracle(env),
    }  # fmt: skip
    results = {name: evaluate(env, policy, starts, name) for name, policy in policies.items()}
    foreign = "agent, another object's features"
    if "features" in env.observation_space.spaces and len(env.task.objects) > 1:
        policy = ForeignFeatures(model, results["agent"])
        results = {**results, foreign: evaluate(env, policy, starts, foreign)}
    objects = env.task.objects
    seen = "the training objects: these scenes have no splits" if objects.leaky else "unseen objects"
    return (
        f"**{run['algo']}, {objects.label}, {seen}**, {starts} paired starts, budget {env.task.views}, backbone "
        f"{run['resolved_backbone']}\n\n{table(results, ['zero-action', 'untrained', 'farthest', 'agent'])}\n\n"
        f"{FORMULAS}\n"
    )


# ---- the run


def _open_run(flags: Flags) -> tuple[Path, dict[str, Any]]:
    """The run folder and its resolved configuration, read from it or written into it."""
    if flags.resume is not None:
        path = flags.resume / "config.yaml"
        if not path.is_file():
            raise FileNotFoundError(f"resume: got {flags.resume}; expected a run folder with a config.yaml")
        run = yaml.safe_load(path.read_text())
        if flags.timesteps is not None:
            run["timesteps"] = flags.timesteps
        folder = flags.resume
    else:
        folder = flags.out or Path("runs") / f"{flags.env}-{flags.algo}-seed{flags.seed}"
        if (folder / "config.yaml").exists():
            raise ValueError(f"out: {folder} already holds a run; choose another, or use --resume {folder}")
        run = resolve(flags)
        folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(run, sort_keys=False))
    return folder, run


def resolve(flags: Flags) -> dict[str, Any]:
    """The flags, the YAML's hyperparameters and the environment's arguments, checked: what config.yaml holds."""
    hyperparameters = _hyperparameters(flags)
    env_kwargs = parse_settings(flags.set)
    env_kwargs["scenes"] = flags.scenes
    env_kwargs["backbone"] = None if flags.backbone in ("none", "None") else flags.backbone
    env_kwargs["device"] = flags.device
    if flags.scenes == "procedural":
        env_kwargs.setdefault("num_objects", 128)  # each is built once, in about half a second
    check_arguments(_env_type(flags.env).task_type, env_kwargs)
    env = _env_type(flags.env)(**env_kwargs)
    if flags.algo == "sac" and isinstance(env.action_space, spaces.Discrete):
        raise ValueError(f"algo: got sac for {flags.env}, whose actions are discrete; expected ppo")
    keys = [key for key in ViewFeatures.KEYS if key in env.observation_space.spaces]
    env_kwargs.setdefault("observations", keys)
    timesteps = hyperparameters.pop("n_timesteps", 50_000)
    num_envs = hyperparameters.pop("n_envs", 8)
    return {
        "algo": flags.algo, "env": flags.env, "scenes": flags.scenes, "seed": flags.seed,
        "timesteps": timesteps if flags.timesteps is None else flags.timesteps,
        "num_envs": num_envs if flags.num_envs is None else flags.num_envs,
        "device": flags.device, "eval_every": flags.eval_every, "final_starts": flags.final_starts,
        "resolved_backbone": "none" if env.task.backbone is None else env.task.backbone.name,
        "env_kwargs": env_kwargs, "hyperparameters": hyperparameters,
    }  # fmt: skip


def parse_settings(settings: tuple[str, ...]) -> dict[str, Any]:
    """``("views=2", "start=fixed")`` as a dict; values are read as YAML."""
    parsed = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or not name:
            raise ValueError(f"set: got {setting!r}; expected name=value")
        parsed[name] = yaml.safe_load(value)
    return parsed


def _hyperparameters(flags: Flags) -> dict[str, Any]:
    path = flags.config or CONFIGS / f"{flags.algo}.yml"
    if not path.is_file():
        raise FileNotFoundError(f"config: there is no file {path}")
    try:
        entries = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise ValueError(f"config: {path} is not YAML: {error}") from error
    if not isinstance(entries, dict) or not isinstance(entries.get(flags.env), dict):
        known = ", ".join(entries) if isinstance(entries, dict) else type(entries).__name__
        raise ValueError(f"config: {path} has no entry for {flags.env}; it has {known}")
    hyperparameters = dict(entries[flags.env])
    known = {"n_timesteps", "n_envs", *inspect.signature(ALGORITHMS[flags.algo]).parameters} - {"env"}
    for key in hyperparameters:
        if key not in known:
            raise ValueError(f"config: {path}: unknown key {key!r}; valid are {', '.join(sorted(known))}")
    return hyperparameters


# ---- environments and model


def _env_type(env_id: str) -> type[TaskEnv]:
    if env_id not in gym.registry:
        ours = [
            known for known in gym.registry if str(gym.spec(known).entry_point).startswith("spatial_envs.")
        ]
        raise ValueError(f"env: got {env_id!r}; expected one of {', '.join(ours)}")
    return gym.envs.registration.load_env_creator(gym.spec(env_id).entry_point)  # type: ignore[return-value]


def single_env(run: dict[str, Any], render_mode: str | None = None, **changes: Any):
    """The run's environment, one episode at a time, with some arguments changed."""
    return _env_type(run["env"])(render_mode=render_mode, **{**run["env_kwargs"], **changes})


def _training_envs(run: dict[str, Any]) -> VecNormalize:
    envs = gym.make_vec(
        run["env"], run["num_envs"], autoreset_mode=AutoresetMode.SAME_STEP, **run["env_kwargs"]
    )
    adapted = SB3VecEnv(envs)
    adapted.seed(run["seed"])
    gamma = run["hyperparameters"].get("gamma", 0.99)
    return VecNormalize(VecMonitor(adapted), norm_obs=False, norm_reward=True, gamma=gamma)


def save(model: BaseAlgorithm, folder: Path) -> None:
    """Model, normalisation and replay buffer into the run folder; a kill meanwhile leaves the old ones."""
    parts: dict[str, Callable[[Path], None]] = {"model.zip": model.save}
    normalisation = model.get_vec_normalize_env()
    assert normalisation is not None
    parts["vecnormalize.pkl"] = lambda path: normalisation.save(str(path))
    if isinstance(model, SAC):
        parts["replay_buffer.pkl"] = model.save_replay_buffer
    for name, write in parts.items():
        unfinished = folder / f"unfinished_{name}"
        write(unfinished)
        unfinished.replace(folder / name)


def load(folder: Path) -> tuple[dict[str, Any], BaseAlgorithm]:
    """A run's configuration and its model, for playing."""
    run = yaml.safe_load((folder / "config.yaml").read_text())
    return run, ALGORITHMS[run["algo"]].load(folder / "model.zip", device=run["device"])


def _resumed(run: dict[str, Any], envs: VecNormalize, folder: Path) -> BaseAlgorithm:
    if not (folder / "model.zip").is_file():
        raise FileNotFoundError(
            f"resume: {folder} holds no model.zip; it was ended before its first checkpoint"
        )
    envs = VecNormalize.load(str(folder / "vecnormalize.pkl"), envs.venv)
    model = ALGORITHMS[run["algo"]].load(
        folder / "model.zip", envs, device=run["device"], tensorboard_log=str(folder)
    )
    if isinstance(model, SAC):
        model.load_replay_buffer(folder / "replay_buffer.pkl")
    return model


def untrained(run: dict[str, Any], envs, tensorboard_log: str | None = None) -> BaseAlgorithm:
    """The run's model as it was before training."""
    hyperparameters = dict(run["hyperparameters"])
    policy = hyperparameters.pop("policy", "MultiInputPolicy")
    policy_kwargs = {**hyperparameters.pop("policy_kwargs", {}), "features_extractor_class": ViewFeatures}
    if isinstance(policy_kwargs.get("log_std_init"), list):  # one for each dimension of the action
        policy_kwargs["log_std_init"] = torch.tensor(policy_kwargs["log_std_init"])
    if run["algo"] == "sac":
        hyperparameters["buffer_size"] = _buffer_size(hyperparameters.get("buffer_size", 1_000_000), envs)
    return ALGORITHMS[run["algo"]](
        policy, envs, policy_kwargs=policy_kwargs, seed=run["seed"], device=run["device"],
        tensorboard_log=tensorboard_log, **hyperparameters,
    )  # fmt: skip


def _buffer_size(wanted: int, envs) -> int:
    """How many transitions the replay buffer may hold; says how many bytes, capped at 4 GiB."""
    observation = sum(
        int(np.prod(space.shape)) * space.dtype.itemsize for space in envs.observation_space.spaces.values()
    )
    each = 2 * observation + 4 * int(np.prod(envs.action_space.shape)) + 12
    allowed = min(wanted, BUFFER_LIMIT // each)
    capped = f", capped from {wanted:,}" if allowed < wanted else ""
    console.print(f"replay buffer: {allowed:,} x {each:,} bytes = {allowed * each / 2**20:.0f} MiB{capped}")
    return allowed
