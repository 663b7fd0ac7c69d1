"""What a training is made of: flags, configuration files, checks before anything is built."""

from __future__ import annotations

import importlib
import inspect
import os
import reprlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from gymnasium import spaces

from agents.families import env_type, family, known_ids, short_id
from agents.flags import UserPath
from agents.hyperparameters import checked, lessons
from agents.run_folder import COUNTS, RESUMED, check_out, holds_a_run, is_away, read_config  # fmt: skip
from agents.runs import ALGORITHMS, CONTINUOUS, DISCRETE, observed, parse_settings, policy_type
from agents.scene_fit.encoder import check_hyperparameters
from spatial_envs.core.env import TaskEnv
from spatial_envs.core.task import check_arguments
from spatial_envs.foundation import yaml_files
from spatial_envs.foundation.arguments import check_range
from spatial_envs.scenes.sets import WORDS

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


@dataclass(frozen=True)
class Flags:
    """What the command line says."""

    algo: Literal[
        "ppo", "a2c", "recurrent_ppo", "maskable_ppo", "dqn", "ranking", "sac", "td3", "tqc", "crossq",
        "differentiable", "expert_iteration", "group", "encoder",
    ] = "ppo"  # fmt: skip
    """One of Stable-Baselines3's or sb3-contrib's; "ranking" is supervised by counterfactual gains,
    "differentiable" by the gradient of a Chamfer loss through the backbone, of prototype fitting "encoder" by
    the losses of a fit and "expert_iteration" by what the steps that a search tries gain, of foresight
    "group" by how the answers to one question compare."""
    env: str = "NBV-MapAnything-v0"
    """Environment id; module:id for one that your own module registers (agents/examples/new_family.py)."""
    scenes: str = "procedural"
    """"procedural" (of next-best-view also "procedural-scans"), a file (mesh, building, depth map), a folder
    of them, or a scene-set YAML."""
    timesteps: int | None = None
    """Environment steps in all; by default what the config says."""
    num_envs: int | None = None
    """Episodes played at once; by default what the config says."""
    seed: int = 0
    """Of the policy, the environments and the exploration."""
    backbone: str = "auto"
    """"auto", "compact", "mapanything", "unproject", or "none" for no features."""
    device: str = "auto"
    """Torch device of the policy and the backbone."""
    threads: int | None = None
    """Threads of torch and BLAS; by default 1, or what OMP_NUM_THREADS says, and all for MapAnything."""
    config: UserPath | None = None
    """YAML of hyperparameters keyed by environment id; by default configs/<algo>.yml."""
    set: tuple[str, ...] = ()
    """Any other argument of the environment, as name=value."""
    hyper: tuple[str, ...] = ()
    """Hyperparameters other than the config's, as name=value."""
    warm_start: str | None = None
    """With ppo or a2c: first clone an expert, by configs/warm_start.yml. For navigation greedy, which follows
    the shortest way on the true map to the goal, or frontier, nearest-frontier, free-space (PointNav) or
    unknown-area (the others), which know what the agent has seen; for fitting least-squares or refinement
    (agents/scene_fit/teacher.py)."""
    warm: tuple[str, ...] = ()
    """Settings of the warm start other than that file's, as name=value."""
    start_from: UserPath | None = None
    """A run, or what agents.export made of one, whose weights the policy begins with: the whole policy of the
    same class, or for a policy that scores directions (ppo, a2c) the scores of ranking."""
    track: Literal["tensorboard", "wandb", "none"] = "tensorboard"
    """Where the training's figures go besides evaluations.csv."""
    out: UserPath | None = None
    """The run folder; by default runs/<env>-<algo>-seed<seed>."""
    resume: UserPath | None = None
    """A run folder to go on with; all other flags but --timesteps are then read from it."""
    trust: bool = False
    """With --resume and --start-from: read a run that no training of yours on this computer wrote, too. Its
    model, normalisation and replay buffer are pickles, and to read them runs whatever code their author put
    in."""
    eval_every: int | None = None
    """Environment steps between evaluations on the validation split; the run is saved at each. By default
    2,048, for navigation 50,000, for fitting 20,000."""
    validation_starts: int | None = None
    """Starts of each evaluation; by default 32."""
    final_starts: int | None = None
    """Starts of the final table on the test split; 0 leaves it out. By default 24, for navigation 100, for
    fitting 32."""


def _wandb():
    try:
        return importlib.import_module("wandb")
    except ImportError:
        raise ImportError(
            "track: wandb is not installed; pip install wandb, or --track tensorboard"
        ) from None


# ---- the run's configuration


def _open_run(flags: Flags) -> tuple[Path, dict[str, Any]]:
    """The run folder and its resolved configuration, read from it or made of the flags."""
    for name, (least, most) in COUNTS.items():
        if getattr(flags, name) is not None:
            check_range(name, getattr(flags, name), least, most, int)
    if flags.resume is not None:
        folder, run = flags.resume, read_config(flags.resume, "resume", RESUMED, flags.trust)
        if flags.timesteps is not None:
            if run["algo"] == "encoder":
                raise ValueError("timesteps: an encoder's training is measured in minutes; expected none")
            run["timesteps"] = flags.timesteps
        if run["algo"] == "encoder":
            check_hyperparameters(run["hyperparameters"], _entry(CONFIGS / "encoder.yml", run["env"]))
    else:
        folder = flags.out or Path("runs") / f"{short_id(flags.env)}-{flags.algo}-seed{flags.seed}"
        check_out(folder)
        if holds_a_run(folder):
            raise ValueError(f"out: {folder} already holds a run; choose another, or use --resume {folder}")
        run = resolve(flags)
    return folder, run


def resolve(flags: Flags) -> dict[str, Any]:
    """The flags, the hyperparameters and the environment's arguments, checked: what config.yaml holds."""
    if flags.algo == "encoder":
        return _resolve_encoder(flags)
    backbone = None if flags.backbone in ("none", "None") else flags.backbone
    settings = parse_settings("set", flags.set)
    env_kwargs: dict[str, Any] = {"scenes": flags.scenes, "backbone": backbone, "device": flags.device}
    env_kwargs |= settings
    env = _checked_env(flags, env_kwargs)
    for device in (flags.device, env_kwargs["device"]):
        if is_away(device):
            raise ValueError(f"device: got {device!r}, which torch does not see; expected 'auto' or 'cpu'")
    try:
        hyperparameters = _hyperparameters(flags)
    except (ValueError, FileNotFoundError):
        _check_actions(flags, env)  # which says more, where the algorithm could not act there at all
        raise
    if "env_kwargs" in hyperparameters:
        env_kwargs |= hyperparameters.pop("env_kwargs") | settings
        env = _checked_env(flags, env_kwargs)
    _check_actions(flags, env)
    check = getattr(policy_type(hyperparameters.get("policy", "MultiInputPolicy")), "check_task", None)
    if check is not None:
        check(env.task)
    passes = inspect.signature(getattr(env.task.backbone, "encode", lambda: None)).parameters
    pathwise = flags.algo == "differentiable" and hyperparameters.get("estimator") != "score"
    if pathwise and "grad" not in passes:
        raise ValueError(
            f"backbone: got {flags.backbone}; differentiable needs one that passes gradients on, compact or "
            "mapanything"
        )
    kind = family(flags.env)
    final_starts = kind.final_starts if flags.final_starts is None else flags.final_starts
    for split in ("validation", "test") if final_starts else ("validation",):
        kind.open_scenes(env_kwargs, split)  # not only after training
    env_kwargs["backbone"] = None if env.task.backbone is None else env.task.backbone_name
    if flags.track == "wandb":
        _wandb()  # not only after the environments are made
    if isinstance(env_kwargs.get("observations"), str):  # the name of a preset
        env_kwargs["observations"] = [*env.task.observation_space.spaces]
    if env_kwargs.get("observations") is None:
        env_kwargs["observations"] = observed(flags.env, hyperparameters, env.task.observable)
    warm_start = _warm_start(flags, env)
    known = parse_settings("hyper", flags.hyper)
    hyperparameters |= {k: v for k, v in warm_start.pop("hyperparameters", {}).items() if k not in known}
    timesteps = hyperparameters.pop("n_timesteps", 50_000)
    num_envs = hyperparameters.pop("n_envs", 8)
    return {
        "algo": flags.algo, "env": flags.env, "scenes": env_kwargs["scenes"], "seed": flags.seed,
        "timesteps": timesteps if flags.timesteps is None else flags.timesteps,
        "num_envs": num_envs if flags.num_envs is None else flags.num_envs,
        "device": flags.device, "track": flags.track,
        "eval_every": kind.eval_every if flags.eval_every is None else flags.eval_every,
        "validation_starts": (
            kind.validation_starts if flags.validation_starts is None else flags.validation_starts
        ),
        "final_starts": final_starts,
        "resolved_backbone": env.task.backbone_name,
        "env_kwargs": env_kwargs, "hyperparameters": hyperparameters,
        **({"warm_start": warm_start} if warm_start else {}),
        **({"start_from": str(flags.start_from)} if flags.start_from else {}),
    }  # fmt: skip


UNUSED = (  # flags that mean nothing to the encoder's training
    "timesteps", "num_envs", "warm_start", "warm", "start_from", "eval_every", "validation_starts"
)  # fmt: skip


def _resolve_encoder(flags: Flags) -> dict[str, Any]:
    """The configuration of an encoder, which learns from scenes on disk: the environment shows its fits."""
    kind = family(flags.env)
    if "encoder" not in kind.algorithms:
        having = [env_id for env_id in known_ids() if "encoder" in family(env_id).algorithms]
        raise ValueError(f"algo: got encoder for {flags.env}; expected --env {' or '.join(having)}")
    for name in UNUSED:
        if getattr(flags, name) not in (None, ()):
            raise ValueError(f"{name}: means nothing to the encoder, whose training has --hyper minutes=...")
    published = _entry(CONFIGS / "encoder.yml", flags.env)
    hyperparameters = dict(published)
    made = flags.scenes == "procedural"
    file = flags.config or (None if made else CONFIGS / "encoder_from_depth.yml")
    own = {} if file is None else _entry(file, flags.env)
    for key, value in (own | parse_settings("hyper", flags.hyper)).items():
        if key not in published:
            raise ValueError(f"hyper: unknown key {key!r}; valid are {', '.join(sorted(published))}")
        whole = isinstance(published[key], dict) and isinstance(value, dict)
        hyperparameters[key] = published[key] | value if whole else value
    check_hyperparameters(hyperparameters, published)
    if not made and hyperparameters["teacher"] == "truth":
        raise ValueError(
            f"teacher: got 'truth' for scenes={flags.scenes!r}, of which nobody knows it; expected 'depth'"
        )
    env_kwargs = {**({"num_objects": 6} if made else {}), "slots": 6, **parse_settings("set", flags.set)}
    env_kwargs |= {"scenes": flags.scenes, "backbone": None}
    _checked_env(flags, dict(env_kwargs))
    return {
        "algo": "encoder", "env": flags.env, "scenes": flags.scenes, "seed": flags.seed,
        "final_starts": kind.final_starts if flags.final_starts is None else flags.final_starts,
        "resolved_backbone": "none", "env_kwargs": env_kwargs, "hyperparameters": hyperparameters,
    }  # fmt: skip


def _checked_env(flags: Flags, env_kwargs: dict[str, Any]) -> TaskEnv:
    """The environment for training; fills in how many scenes it has."""
    if "split" in env_kwargs:
        raise ValueError("set: got split; training is on train, evaluation on validation and test")
    task_type = env_type(flags.env).task_type
    if env_kwargs["scenes"] in WORDS:
        env_kwargs |= {key: n for key, n in family(flags.env).few.items() if key not in env_kwargs}
    check_arguments(task_type, env_kwargs)
    return env_type(flags.env)(**env_kwargs)


def _check_actions(flags: Flags, env: TaskEnv) -> None:
    """ValueError where the algorithm cannot act in the environment."""
    discrete = isinstance(env.action_space, spaces.Discrete)
    wrong = CONTINUOUS if discrete else DISCRETE
    if flags.algo in wrong:
        raise ValueError(
            f"algo: got {flags.algo} for {flags.env}, whose actions are "
            f"{'discrete' if discrete else 'continuous'}; expected one of "
            f"{', '.join(name for name in ALGORITHMS if name not in wrong)}"
        )


def _warm_start(flags: Flags, env: TaskEnv) -> dict[str, Any]:
    """The settings of the warm start, and the ``hyperparameters`` that go with it; empty without one."""
    if flags.warm_start is None:
        if flags.warm:
            raise ValueError(f"warm: got {list(flags.warm)} without a warm start; expected --warm-start too")
        return {}
    kind = family(flags.env)
    experts = {name: made for name, made in kind.experts.items() if name not in kind.senseless(env)}
    if flags.warm_start not in experts:
        known = f"one of {', '.join(experts)}" if experts else "none there"
        raise ValueError(f"warm_start: got {flags.warm_start} for {flags.env}; expected {known}")
    if flags.algo not in ("ppo", "a2c"):
        raise ValueError(
            f"warm_start: got {flags.warm_start} with {flags.algo}; expected ppo or a2c, which have an actor "
            "and a critic without a memory"
        )
    experts[flags.warm_start](env)  # raises where it cannot act there
    own = parse_settings("warm", flags.warm)
    if "expert" in own:
        raise ValueError(f"warm: got an expert; expected --warm-start to name it, {flags.warm_start} there")
    settings = {"expert": flags.warm_start, **_entry(CONFIGS / "warm_start.yml", short_id(flags.env)), **own}
    lessons(settings)  # raises for what is wrong in it
    given = settings.pop("hyperparameters", {})
    if not isinstance(given, dict):
        raise ValueError(f"warm: hyperparameters: got {reprlib.repr(given)}; expected a mapping")
    if flags.algo != "a2c":  # they are PPO's
        settings["hyperparameters"] = checked(ALGORITHMS[flags.algo], given, "warm: hyperparameters")
    return settings


def _entry(path: Path, env_id: str) -> dict[str, Any]:
    """What a YAML file has for an environment."""
    if not os.path.isfile(path):
        raise FileNotFoundError(f"config: there is no file {path}")
    entries = yaml_files.read(path, "config")
    if not isinstance(entries, dict) or env_id not in entries:
        found = ", ".join(map(str, entries)) if isinstance(entries, dict) else type(entries).__name__
        raise ValueError(f"config: {path} has no entry for {env_id}; it has {' '.join(found.split())}")
    if not isinstance(entries[env_id], dict):
        got = reprlib.repr(entries[env_id])
        raise ValueError(f"config: {path}: {env_id}: got {got}; expected a mapping")
    return dict(entries[env_id])


def _hyperparameters(flags: Flags) -> dict[str, Any]:
    path, algorithm = flags.config or CONFIGS / f"{flags.algo}.yml", ALGORITHMS[flags.algo]
    own = parse_settings("hyper", flags.hyper)
    published = family(flags.env).hyperparameters.get(flags.algo) if flags.config is None else None
    where = f"config: {path}" if published is None else f"hyperparameters of {flags.env}'s family"
    entry = _entry(path, short_id(flags.env)) if published is None else published
    return checked(algorithm, dict(entry), where) | checked(algorithm, own, "hyper")
