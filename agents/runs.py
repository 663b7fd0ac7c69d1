"""What a run is made of: environments, model, and the folder that keeps them."""

from __future__ import annotations

import pydoc
import reprlib
import shlex
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from sb3_contrib import TQC, CrossQ, MaskablePPO, RecurrentPPO
from stable_baselines3 import A2C, DQN, PPO, SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.noise import NormalActionNoise, OrnsteinUhlenbeckActionNoise
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.preprocessing import is_image_space
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecMonitor, VecNormalize, VecTransposeImage

from agents.families import env_type, family, short_id
from agents.foresight.group import GroupRelative
from agents.nbv.differentiable import Differentiable
from agents.nbv.ranking import Ranking
from agents.play import UNTRAINED
from agents.policies import by_dimension
from agents.progress import console
from agents.sb3.by_step import NormalizeByStep
from agents.sb3.replay import HeldReplayBuffer, JoinedReplayBuffer
from agents.sb3.vec_env import SB3VecEnv
from agents.scene_fit.expert_iteration import ExpertIteration
from spatial_envs.foundation import yaml_files
from spatial_envs.foundation.arguments import check_choice, legible
from spatial_envs.scenes.sets import WORDS

ALGORITHMS: dict[str, type[BaseAlgorithm]] = {
    "ppo": PPO, "a2c": A2C, "recurrent_ppo": RecurrentPPO, "maskable_ppo": MaskablePPO, "dqn": DQN,
    "ranking": Ranking, "sac": SAC, "td3": TD3, "tqc": TQC, "crossq": CrossQ,
    "differentiable": Differentiable, "expert_iteration": ExpertIteration, "group": GroupRelative,
}  # fmt: skip
DISCRETE, CONTINUOUS = (
    ("maskable_ppo", "dqn", "ranking"),
    ("sac", "td3", "tqc", "crossq", "expert_iteration", "group"),
)  # the others take both
NOISES = {"normal": NormalActionNoise, "ornstein-uhlenbeck": OrnsteinUhlenbeckActionNoise}
SCHEDULED = ("learning_rate", "clip_range", "clip_range_vf")
# arguments of environments: of the computer or the evaluation; which a row need not say; and those that are
# said elsewhere, or that make no difference to a run
LEFT_OUT = ("scenes", "split", "device", "cache_size", "cache_dir", "prefetch", "threads")
NOWHERE = (*LEFT_OUT, "up")
UNTOLD = (*NOWHERE, "num_objects", "num_buildings", "num_frames", "backbone", "observations")
BUFFER_LIMIT = 4 * 2**30  # bytes


def parse_settings(flag: str, settings: tuple[str, ...]) -> dict[str, Any]:
    """``("views=2", "start=fixed")`` as a dict; values are read as YAML. The flag is what errors name."""
    parsed = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or not name:
            raise ValueError(f"{flag}: got {setting!r}; expected name=value")
        if name in parsed:
            raise ValueError(f"{flag}: got {name} twice; expected it once")
        parsed[name] = yaml_files.parse(value, f"{flag}: {name}")
    return parsed


def single_env(run: dict[str, Any], render_mode: str | None = None, **changes: Any):
    """The run's environment, one episode at a time, with some arguments changed."""
    return env_type(run["env"])(render_mode=render_mode, **{**run["env_kwargs"], **changes})


def training_envs(run: dict[str, Any]) -> VecNormalize:
    """The run's environments, batched, monitored, with normalised rewards."""
    env_kwargs = dict(run["env_kwargs"])
    keys = env_kwargs.get("observations")
    if not isinstance(keys, (list, tuple)):
        raise ValueError(f"observations: got {reprlib.repr(keys)}; expected a list of keys")
    env_kwargs["observations"] = [*keys, *getattr(ALGORITHMS[run["algo"]], "TEACHER", ())]
    envs = gym.make_vec(run["env"], run["num_envs"], autoreset_mode=AutoresetMode.SAME_STEP, **env_kwargs)
    adapted = SB3VecEnv(envs)
    adapted.seed(run["seed"])
    gamma = run["hyperparameters"].get("gamma", 0.99)
    monitored: VecEnv = VecMonitor(adapted)
    assert isinstance(adapted.observation_space, spaces.Dict)
    if any(is_image_space(space) for space in adapted.observation_space.spaces.values()):
        # channels first in what VecNormalize hands to the replay
        monitored = VecTransposeImage(monitored)
    by_step = gamma == 0 and not issubclass(ALGORITHMS[run["algo"]], OffPolicyAlgorithm)
    kind = NormalizeByStep if by_step else VecNormalize
    return kind(monitored, norm_obs=False, norm_reward=True, gamma=gamma)


def untrained(run: dict[str, Any], envs, tensorboard_log: str | None = None) -> BaseAlgorithm:
    """The run's model as it was before training."""
    if "untrained" in run:  # of an exported agent, which names no class that could be imported
        return run["untrained"](envs)
    hyperparameters = dict(run["hyperparameters"])
    policy = policy_type(hyperparameters.pop("policy", "MultiInputPolicy"))
    policy_kwargs = dict(hyperparameters.pop("policy_kwargs", None) or {})
    if not hasattr(policy, "KEYS"):  # ours bring their own
        policy_kwargs["features_extractor_class"] = family(run["env"]).extractor
    if noise := hyperparameters.pop("noise_type", None):
        check_choice("noise_type", noise, tuple(NOISES))
        each = np.ones(envs.action_space.shape)
        std = hyperparameters.pop("noise_std", 0.1)
        hyperparameters["action_noise"] = NOISES[noise](0 * each, std * each)
    for name in SCHEDULED:
        if str(value := hyperparameters.get(name, "")).startswith("lin_"):
            hyperparameters[name] = falling(name, value)
    if issubclass(ALGORITHMS[run["algo"]], OffPolicyAlgorithm):
        hyperparameters["buffer_size"] = _buffer_size(hyperparameters.get("buffer_size", 1_000_000), envs)
        joined = run["algo"] == "crossq"
        hyperparameters["replay_buffer_class"] = JoinedReplayBuffer if joined else HeldReplayBuffer
    try:
        if "log_std_init" in policy_kwargs:
            policy_kwargs["log_std_init"] = by_dimension(policy_kwargs["log_std_init"], envs.action_space)
        return ALGORITHMS[run["algo"]](
            policy, envs, policy_kwargs=policy_kwargs, seed=run["seed"], device=run["device"],
            tensorboard_log=tensorboard_log, **hyperparameters,
        )  # fmt: skip
    except Exception as error:  # of the library's many ways to say so
        fault = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise ValueError(f"hyper: {run['algo']} cannot be made of these hyperparameters: {fault}") from error


def before_training(run: dict[str, Any], env) -> BaseAlgorithm:
    """The run's untrained model, to play in one environment: too few rows for its batches, which are no
    matter here."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "You have specified a mini-batch size", UserWarning)
        return untrained(run, adapted(env))


def own_rows(
    own: dict[str, Any], model, env, played: dict[str, Any], changes: dict[str, Any]
) -> dict[str, tuple[Any, Any]]:
    """The run in its own environment before and after training. ValueError for one of another environment."""
    if short_id(own["env"]) != short_id(played["env"]):
        raise ValueError(
            f"run: got one in {own['env']} for {played['env']}; expected runs in one environment"
        )
    home = single_env(own, **changes)
    return {UNTRAINED: (home, before_training(own, home)), "": (home, model)}


def names(runs: Sequence[dict[str, Any]], folders: Sequence[Path]) -> list[str]:
    """A row of a table for each run: its algorithm and what else tells it from the others but for its seed;
    the folder's name, or path, where that is not in what a row can say."""
    called = []
    for run in runs:
        alike = [other for other in runs if other["algo"] == run["algo"]]
        name, backbone = run["algo"], run["resolved_backbone"]
        if len({other["resolved_backbone"] for other in runs}) > 1:  # whatever their algorithms are
            name += " without features" if backbone == "none" else f" with {backbone} features"
        if len({other.get("env") for other in alike}) > 1:
            name += f" in {run['env']}"
        if len({place(other) for other in alike}) > 1:
            name += f" trained on {Path(run['scenes']).name}"
        if len({_expert(other) for other in alike}) > 1:
            name += f", {_expert(run)}"
        for key in sorted({key for other in alike for key in other["env_kwargs"]} - {*UNTOLD}):
            own = run["env_kwargs"].get(key)
            if own is not None and any(other["env_kwargs"].get(key) != own for other in alike):
                name += f", {key}={own}"
        called.append(name)
    own_names = [folder.resolve().name for folder in folders]
    for name in set(called):
        group = [k for k, other in enumerate(called) if other == name]
        if any(_learned(runs[k]) != _learned(runs[group[0]]) for k in group):
            for k in group:
                called[k] = own_names[k] if own_names.count(own_names[k]) == 1 else str(folders[k])
    return called


def place(run: dict[str, Any]) -> str:
    """A run's scenes as comparable, however their path was written."""
    scenes = run["env_kwargs"].get("scenes", "procedural")
    return scenes if scenes in WORDS else str(Path(scenes).expanduser().resolve())


def _learned(run: dict[str, Any]) -> Any:
    """All that may tell a run from another of its row but for the seed."""
    kwargs = {key: value for key, value in run["env_kwargs"].items() if key not in NOWHERE}
    return kwargs, [run.get(key) for key in ("hyperparameters", "timesteps", "num_envs")]


def _expert(run: dict[str, Any]) -> str:
    lessons, start = run.get("warm_start"), run.get("start_from")
    if start is not None:
        return f"started from {Path(start).name}"
    return f"warm-started by {lessons['expert']}" if lessons else "from scratch"


def adapted(env: gym.Env) -> VecEnv:
    """A single environment as Stable-Baselines3 wants it, for constructing a model."""
    return DummyVecEnv([lambda: env])


def command_line() -> str:
    """What was typed, for the reader of a table."""
    return shlex.join(["python", Path(sys.argv[0]).name, *map(legible, sys.argv[1:])])


def falling(name: str, value: str) -> Callable[[float], float]:
    """The schedule ``lin_<start>``: from the start to 0 over the training."""
    try:
        start = float(value.removeprefix("lin_"))
    except ValueError:
        raise ValueError(f"{name}: got {value!r}; expected a number, or lin_ and a number") from None
    return lambda left: left * start


def observed(env_id: str, hyperparameters: dict[str, Any], observable: Sequence[str]) -> list[str]:
    """The keys that a policy of these hyperparameters is shown, of those that the environment has."""
    policy = policy_type(hyperparameters.get("policy", "MultiInputPolicy"))
    needed = getattr(policy, "KEYS", None) or family(env_id).extractor.KEYS  # type: ignore[attr-defined]
    keys = [key for key in needed if key in observable]
    return [*keys, "rgb"] if "imagegoal" in keys else keys  # two pictures to compare


def policy_type(name: str) -> str | type[BasePolicy]:
    """Stable-Baselines3's name of a policy, or the class that a dotted path names."""
    if "." not in name:
        return name
    found = pydoc.locate(name)
    if not (isinstance(found, type) and issubclass(found, BasePolicy)):
        raise ValueError(f"policy: got {name}; expected a policy of Stable-Baselines3's, or the path of one")
    return found


def _buffer_size(wanted: int, envs) -> int:
    """How many transitions the replay buffer may hold; says how many bytes, capped at 4 GiB."""
    assert isinstance(envs.observation_space, spaces.Dict)
    observation = sum(space.sample().nbytes for space in envs.observation_space.spaces.values())
    each = 2 * observation + 4 * int(np.prod(envs.action_space.shape)) + 12
    allowed = min(wanted, BUFFER_LIMIT // each)
    capped = f", capped from {wanted:,}" if allowed < wanted else ""
    console.print(f"replay buffer: {allowed:,} x {each:,} bytes = {allowed * each / 2**20:.0f} MiB{capped}")
    return allowed
