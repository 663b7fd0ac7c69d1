"""A trained agent as files that hold no code: agent.yaml and policy.safetensors, read by ``load_agent``.

``python -m agents.export RUN OUT`` writes them. Nothing in them is run, imported or looked up by a path: the
policy's and its features extractor's names are keys of the tables in ``agents.agent_yaml``, the environment's
settings reach no file and no network, and its spaces are not read but compared with what the environment has.
Before any memory is taken the network is made without storage (torch's meta device), and its tensors' names,
shapes and types are compared with the header of policy.safetensors.
"""

from __future__ import annotations

import copy
import reprlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from safetensors import SafetensorError, safe_open
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.preprocessing import is_image_space, is_image_space_channels_first
from stable_baselines3.common.vec_env import VecTransposeImage

from agents.agent_yaml import DESCRIPTION, EXTRACTORS, POLICIES, SHIPPED, WEIGHTS, plain, read_description
from agents.policies import by_dimension
from agents.progress import console
from agents.runs import single_env
from spatial_envs.foundation.arguments import check_device, resolve_device

COUNTS = ("num_layers", "n_lstm_layers", "n_critics")  # of policy_kwargs: a tensor for each, at least
MOST_TENSORS = 4096
DTYPES = {  # as safetensors calls them
    torch.float32: "F32", torch.float64: "F64", torch.float16: "F16", torch.bfloat16: "BF16",
    torch.int64: "I64", torch.int32: "I32", torch.uint8: "U8", torch.bool: "BOOL",
}  # fmt: skip


class ExportedAgent:
    """What was trained, with Stable-Baselines3's ``predict``.

    env_id, env_kwargs  ``gym.make(env_id, **env_kwargs)`` is the environment that it acts in
    description         all that agent.yaml says
    """

    def __init__(self, description: dict[str, Any], policy: BasePolicy) -> None:
        self.description, self.policy = description, policy
        self.algorithm: str = description["algorithm"]
        self.env_id: str = description["env"]
        self.env_kwargs: dict[str, Any] = copy.deepcopy(description["env_kwargs"])
        self.backbone: str = description["backbone"]
        self.num_timesteps: int = description["training"]["steps"]
        self.observation_space, self.action_space = policy.observation_space, policy.action_space

    @property
    def device(self) -> torch.device:
        """Where the policy is."""
        return self.policy.device

    def predict(
        self,
        observation: np.ndarray | dict[str, np.ndarray],
        state: tuple[np.ndarray, ...] | None = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
        action_masks: np.ndarray | None = None,
    ) -> tuple[np.ndarray, tuple[np.ndarray, ...] | None]:
        """Actions for an observation, or a batch of them, and the memory to give back with the next one;
        ``action_masks`` are maskable_ppo's alone."""
        rate = self.description["exploration_rate"]
        if rate is not None and not deterministic and np.random.rand() < rate:  # noqa: NPY002, as DQN does
            if not self.policy.is_vectorized_observation(observation):
                return np.array(self.action_space.sample()), state
            count = len(next(iter(observation.values())) if isinstance(observation, dict) else observation)
            return np.array([self.action_space.sample() for _ in range(count)]), state
        if self.algorithm == "maskable_ppo":
            return self.policy.predict(
                observation, state, episode_start, deterministic, action_masks=action_masks
            )  # type: ignore[call-arg]
        return self.policy.predict(observation, state, episode_start, deterministic)

    def untrained(self, envs) -> ExportedAgent:
        """The agent as it was before training, for the spaces of ``envs``."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.description["training"]["seed"])
            policy = _network(self.description, _shown(envs.observation_space), envs.action_space)
        return ExportedAgent(self.description, policy.to(self.device))


def load_agent(path: str | Path, device: str = "auto") -> ExportedAgent:
    """The agent in a folder that ``python -m agents.export`` wrote. ValueError, which names the file, what
    was got and what was expected, for anything else; ImportError where the agent's backbone, renderer or
    simulator is not installed."""
    folder = Path(path).expanduser()
    check_device(device)
    if not is_exported(folder):
        raise FileNotFoundError(f"{folder}: holds no {DESCRIPTION}; expected what agents.export made")
    description = read_description(folder / DESCRIPTION)
    with _opened(folder / WEIGHTS) as file:
        observation_space, action_space = _spaces(folder / DESCRIPTION, description)
        _check_sizes(folder / DESCRIPTION, description["policy_kwargs"], len(file.keys()))
        names = _checked_names(folder, file, description, observation_space, action_space)
        with torch.random.fork_rng(devices=[]):
            policy = _network(description, observation_space, action_space)
        tensors = {name: file.get_tensor(name) for name in {*names.values()}}
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise ValueError(f"{folder / WEIGHTS}: {name}: got NaN or infinity; expected finite weights")
    policy.load_state_dict({name: tensors[kept] for name, kept in names.items()})
    policy.set_training_mode(False)
    return ExportedAgent(description, policy.to(resolve_device(device)))


def is_exported(folder: Path) -> bool:
    """Whether it is meant to be what ``agents.export`` made."""
    return (folder / DESCRIPTION).is_file()


def as_run(folder: Path, flag: str) -> tuple[dict[str, Any], ExportedAgent]:
    """What ``agents.run_folder.load`` gives of a run, for playing."""
    try:
        agent = load_agent(folder)
    except ValueError as error:
        raise ValueError(f"{flag}: {error}") from error
    said, training = agent.description, agent.description["training"]
    own = {"scenes": training["scenes"], "device": "auto"}
    policy = POLICIES[said["algorithm"]][said["policy"]]
    path = said["policy"] if said["policy"] in SHIPPED else f"{policy.__module__}.{policy.__name__}"
    run = {
        "algo": said["algorithm"], "env": said["env"], "scenes": training["scenes"], "device": "auto",
        "seed": training["seed"], "timesteps": training["timesteps"], "num_envs": training["num_envs"],
        "resolved_backbone": said["backbone"],
        "env_kwargs": {**agent.env_kwargs, **training["settings"], **own},
        "hyperparameters": {"policy": path, **training["hyperparameters"]},
        "warm_start": training["warm_start"],
        "untrained": agent.untrained,
    }  # fmt: skip
    if said["validation"] is not None:
        score = f", {said['validation']['figure']} {said['validation']['score']:.3f} on the validation split"
        console.print(f"{folder}: the agent of step {agent.num_timesteps:,}{score}")
    return run, agent


# ---- spaces and the network


def _spaces(path: Path, said: dict[str, Any]) -> tuple[spaces.Dict, gym.Space]:
    """Those of the environment, as a policy has them, compared with what the file says."""
    try:
        env = single_env({"env": said["env"], "env_kwargs": said["env_kwargs"]})
    except ImportError:  # it says how to install what is missing
        raise
    except Exception as error:
        raise ValueError(f"{path}: env_kwargs: {type(error).__name__}: {error}") from error
    if env.task.backbone_name != said["backbone"]:
        got = f"got {said['backbone']!r}"
        raise ValueError(f"{path}: backbone: {got}; expected {env.task.backbone_name!r}, as env_kwargs say")
    for key, space in (("observation_space", env.observation_space), ("action_space", env.action_space)):
        got, expected = said[key], plain(space)
        for name in dict.fromkeys([*expected, *got]):
            if got.get(name) != expected.get(name):
                one, other = (reprlib.repr(each.get(name)) for each in (got, expected))
                raise ValueError(
                    f"{path}: {key}: {reprlib.repr(name)}: got {one}; expected {other}, as {said['env']} has"
                )
    return _shown(env.observation_space), env.action_space


def _shown(space: gym.Space) -> spaces.Dict:
    """Return the space as policies are shown it: with the channels of images first, as in training."""
    assert isinstance(space, spaces.Dict)
    found = dict(space.spaces)
    for key, each in space.spaces.items():
        if isinstance(each, spaces.Box) and is_image_space(each) and not is_image_space_channels_first(each):
            found[key] = VecTransposeImage.transpose_space(each, key)
    return spaces.Dict(found)


def _check_sizes(path: Path, keywords: dict[str, Any], tensors: int) -> None:
    """ValueError where there are more layers than tensors: to make them takes time, if no memory."""
    parts = (keywords, keywords.get("features_extractor_kwargs"), keywords.get("attention"))
    counts = [(key, part[key]) for part in parts if isinstance(part, dict) for key in COUNTS if key in part]
    widths = keywords.get("net_arch")
    for each in widths.values() if isinstance(widths, dict) else [widths]:
        counts += [("net_arch", len(each))] if isinstance(each, list) else []
    for key, count in counts:
        if not isinstance(count, int) or count > tensors:
            raise ValueError(
                f"{path}: policy_kwargs: {key}: got {reprlib.repr(count)} layers; expected at most "
                f"{tensors}, as many as {WEIGHTS} has tensors"
            )


def _network(
    said: dict[str, Any], observation_space: spaces.Dict, action_space: gym.Space, stored: bool = True
) -> BasePolicy:
    """The policy, with weights as before training; without ``stored``, with none at all."""
    kind = POLICIES[said["algorithm"]][said["policy"]]
    device = torch.device("cpu" if stored else "meta")
    if not stored:  # its parts are moved to where it is, which a policy without parameters takes for the CPU
        kind = type(kind.__name__, (kind,), {"device": property(lambda self: device)})
    keywords = copy.deepcopy(said["policy_kwargs"])
    if said["features_extractor"] is not None:
        keywords["features_extractor_class"] = EXTRACTORS[said["features_extractor"]]
    make: Callable[..., BasePolicy] = kind
    with device:
        if "log_std_init" in keywords:
            keywords["log_std_init"] = by_dimension(keywords["log_std_init"], action_space)
        return make(observation_space, action_space, lambda _: 0.0, **keywords)


def distinct(policy: BasePolicy) -> dict[str, str]:
    """Return for each name in the policy's state the first name of the same tensor; shared parts have
    several."""
    state, first = policy.state_dict(keep_vars=True), dict[int, str]()
    for name, tensor in state.items():
        first.setdefault(id(tensor), name)
    return {name: first[id(tensor)] for name, tensor in state.items()}


# ---- policy.safetensors


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The file, whose header is whole; ValueError, with its name, for anything else."""
    try:
        file = safe_open(path, "pt")
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{path}: got no safetensors file ({error}); expected one") from error
    with file as opened:
        if (count := len(opened.keys())) > MOST_TENSORS:
            raise ValueError(f"{path}: got {count:,} tensors; expected at most {MOST_TENSORS:,}")
        yield opened


def _checked_names(
    folder: Path, file: Any, said: dict[str, Any], observation_space: spaces.Dict, action_space: gym.Space
) -> dict[str, str]:
    """``distinct`` of the policy, whose tensors are those that the header of the file tells of."""
    try:
        policy = _network(said, observation_space, action_space, stored=False)
    except Exception as error:
        kwargs = reprlib.repr(said["policy_kwargs"])
        fault = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise ValueError(
            f"{folder / DESCRIPTION}: policy_kwargs: got {kwargs}, of which no {said['policy']} can be "
            f"made with {said['features_extractor'] or 'its own features'}: {fault}"
        ) from error
    names, state, found = distinct(policy), policy.state_dict(), {*file.keys()}
    where = folder / WEIGHTS
    for name in dict.fromkeys(names.values()):
        if name not in found:
            raise ValueError(
                f"{where}: lacks {name}; expected the {len({*names.values()})} of {said['policy']}"
            )
        tensor, kept = state[name], file.get_slice(name)
        got, expected = (kept.get_dtype(), [*kept.get_shape()]), (DTYPES[tensor.dtype], [*tensor.shape])
        if got != expected:
            raise ValueError(
                f"{where}: {name}: got {got[0]} of shape {got[1]}; expected {expected[0]} of shape "
                f"{expected[1]}, as {DESCRIPTION} says"
            )
    for name in sorted(found - {*names.values()}):
        raise ValueError(f"{where}: got {reprlib.repr(name)}; expected no tensor that {said['policy']} lacks")
    return names
