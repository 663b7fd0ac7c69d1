"""agent.yaml, what an exported agent says of itself, checked word by word before anything is made of it.

Format 1; every key is there:

format              1
package             version of spatial_envs that wrote it
algorithm           of ``agents.runs.ALGORITHMS``
env, env_kwargs     id and settings of the environment, without those of ``LEFT_OUT``
backbone            the resolved name, "none" without features
observation_space   of each key, as the environment gives it: see ``plain``
action_space        the same
policy              of ``POLICIES``
features_extractor  of ``EXTRACTORS``, or null: the policy's own
policy_kwargs       of ``KEYWORDS``; what the policy is made with
exploration_rate    of dqn and ranking, else null: the share of random actions where it draws its actions
normalisation       null: nothing that is trained here normalises observations
training            scenes (a name), settings (which of them), seed, steps (of this agent), timesteps and
                    num_envs (of its run), hyperparameters, warm_start
validation          figure, score, low, high: the line of evaluations.csv that chose it; or null
"""

from __future__ import annotations

import reprlib
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from sb3_contrib.crossq.policies import CrossQPolicy
from stable_baselines3.common.policies import BasePolicy

from agents import policies
from agents.families import family, known_ids
from agents.foresight.guessing import GuessingPolicy
from agents.foresight.policy import TrackFeatures
from agents.hyperparameters import checked
from agents.navigation.policy import NavigationFeatures
from agents.nbv.candidates import CandidateDQNPolicy, CandidateScores, GlimpseDQNPolicy
from agents.nbv.differentiable import PosePolicy, ResearchPlanPolicy
from agents.nbv.policy import ViewFeatures
from agents.nbv.scoring import ScoringPolicy
from agents.nbv.voxel_policy import VoxelPolicy
from agents.runs import ALGORITHMS, LEFT_OUT
from agents.scene_fit.policy import SlotFeatures
from agents.scene_fit.proposals import ProposingPolicy
from spatial_envs.backbones.checkpoint import WIDTHS
from spatial_envs.foundation import yaml_files
from spatial_envs.foundation.arguments import check_choice, check_range

FORMAT = 1
DESCRIPTION, WEIGHTS, CARD = "agent.yaml", "policy.safetensors", "README.md"

_ACTOR_CRITIC = (
    ScoringPolicy, VoxelPolicy, policies.ActorCriticPolicy, policies.WalkingPolicy, policies.FittingPolicy
)  # fmt: skip
_Q_VALUES = (CandidateDQNPolicy, GlimpseDQNPolicy)
_OURS: dict[str, tuple[type[BasePolicy], ...]] = {
    "ppo": _ACTOR_CRITIC,
    "a2c": _ACTOR_CRITIC,
    "recurrent_ppo": (policies.RecurrentPolicy, policies.WalkingRecurrentPolicy),
    "maskable_ppo": (),
    "dqn": _Q_VALUES,
    "ranking": _Q_VALUES,
    "sac": (policies.SACPolicy, policies.WalkingSACPolicy, policies.FittingSACPolicy),
    "td3": (policies.TD3Policy,),
    "tqc": (policies.TQCPolicy,),
    "crossq": (CrossQPolicy,),
    "differentiable": (PosePolicy, ResearchPlanPolicy),
    "expert_iteration": (ProposingPolicy,),
    "group": (GuessingPolicy,),
}
SHIPPED = ("MultiInputPolicy", "MultiInputLstmPolicy")  # Stable-Baselines3's, for observations of many keys
POLICIES: dict[str, dict[str, type[BasePolicy]]] = {  # by algorithm and name
    algorithm: {each.__name__: each for each in ours}
    | {name: each for name, each in ALGORITHMS[algorithm].policy_aliases.items() if name in SHIPPED}
    for algorithm, ours in _OURS.items()
}
EXTRACTORS = {
    each.__name__: each
    for each in (ViewFeatures, NavigationFeatures, SlotFeatures, TrackFeatures, CandidateScores)
}

KEYWORDS = (  # of policies
    "net_arch", "features_extractor_kwargs", "share_features_extractor", "log_std_init", "ortho_init",
    "clip_mean", "n_critics", "n_quantiles", "lstm_hidden_size", "n_lstm_layers", "shared_lstm",
    "enable_critic_lstm", "unit", "attention", "batch_norm", "batch_norm_momentum", "batch_norm_eps",
    "renorm_warmup_steps", "pretrained",
)  # fmt: skip
MOST_BYTES = 2**20
NO_NAME = "/\\:\0~"  # letters that make a path of a name
OF_FILES = ("up", "intrinsics")  # how files of scenes are read
SETTINGS = ("up", "num_objects", "num_buildings", "num_frames", "intrinsics", "max_depth")  # which scenes

_Kinds = tuple[type, ...]
FIELDS: dict[str, _Kinds] = {
    "format": (int,), "package": (str,), "algorithm": (str,), "env": (str,), "env_kwargs": (dict,),
    "backbone": (str,), "observation_space": (dict,), "action_space": (dict,), "policy": (str,),
    "features_extractor": (str, type(None)), "policy_kwargs": (dict,),
    "exploration_rate": (int, float, type(None)), "normalisation": (type(None), dict), "training": (dict,),
    "validation": (dict, type(None)),
}  # fmt: skip
TRAINING: dict[str, _Kinds] = {
    "scenes": (str,), "settings": (dict,), "seed": (int,), "steps": (int,), "timesteps": (int,),
    "num_envs": (int,), "hyperparameters": (dict,), "warm_start": (dict, type(None)),
}  # fmt: skip
VALIDATION: dict[str, _Kinds] = {
    "figure": (str,), "score": (int, float), "low": (int, float), "high": (int, float)
}  # fmt: skip


def left_out(env_id: str) -> tuple[str, ...]:
    """Settings of an environment that are no part of an exported agent's: of the computer, of the evaluation,
    and which scenes were trained on."""
    return (*LEFT_OUT, *OF_FILES, *family(env_id).few)


def plain(space: gym.Space) -> dict[str, Any]:
    """A space in words and numbers; ValueError for a kind that none of ours is."""
    if isinstance(space, spaces.Dict):
        return {key: plain(each) for key, each in space.spaces.items()}
    if isinstance(space, spaces.Discrete):
        return {"type": "discrete", "n": int(space.n), "start": int(space.start)}
    if isinstance(space, spaces.Box):
        low, high = (_bound(each) for each in (space.low, space.high))
        return {"type": "box", "shape": [*space.shape], "dtype": str(space.dtype), "low": low, "high": high}
    if isinstance(space, (spaces.MultiBinary, spaces.MultiDiscrete)):
        return {"type": type(space).__name__, "shape": [*space.shape], "text": str(space)}
    raise ValueError(f"got the space {space}; expected boxes and discrete ones")


def _bound(values: np.ndarray) -> Any:
    """Without the leading axes along which it is the same."""
    if (values == values.flat[0]).all():
        return values.flat[0].item()
    return _bound(values[0]) if values.ndim > 1 and (values == values[0]).all() else values.tolist()


def read_description(path: Path) -> dict[str, Any]:
    """What the file says, all of it checked but for what the environment and the network have to say.
    ValueError, which names the file."""
    if (size := path.stat().st_size) > MOST_BYTES:
        raise ValueError(f"{path}: got {size:,} bytes; expected at most {MOST_BYTES:,}")
    said = yaml_files.read(path)
    try:
        if isinstance(said, dict) and said.get("format") != FORMAT:
            raise ValueError(
                f"format: got {said.get('format')!r}; expected {FORMAT}, which this version reads"
            )
        _check_keys("", said, FIELDS)
        _check_keys("training: ", said["training"], TRAINING)
        check_choice("algorithm", said["algorithm"], tuple(POLICIES))
        check_choice("policy", said["policy"], tuple(POLICIES[said["algorithm"]]))
        if said["features_extractor"] is not None:
            check_choice("features_extractor", said["features_extractor"], tuple(EXTRACTORS))
        check_choice("env", said["env"], tuple(known_ids()))  # before anything could be imported for it
        _check_env_kwargs(said)
        for key in said["policy_kwargs"]:
            check_choice("policy_kwargs", key, KEYWORDS)
        if said["normalisation"] is not None:
            raise ValueError(f"normalisation: got {reprlib.repr(said['normalisation'])}; expected null")
        explores = said["algorithm"] in ("dqn", "ranking")
        if (said["exploration_rate"] is not None) != explores:
            raise ValueError(f"exploration_rate: got {said['exploration_rate']!r} for {said['algorithm']}")
        if explores:
            check_range("exploration_rate", said["exploration_rate"], 0, 1)
        _check_training(said["training"], said["algorithm"])
        if said["validation"] is not None:
            _check_keys("validation: ", said["validation"], VALIDATION)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error
    return said


def _check_keys(where: str, given: Any, expected: dict[str, _Kinds]) -> None:
    if not isinstance(given, dict):
        raise ValueError(f"{where}got {reprlib.repr(given)}; expected a mapping of {', '.join(expected)}")
    for key in given:
        if key not in expected:
            raise ValueError(f"{where}unknown key {reprlib.repr(key)}; valid are {', '.join(expected)}")
    for key, kinds in expected.items():
        if key not in given:
            raise ValueError(f"{where}lacks {key}; expected all of {', '.join(expected)}")
        if not isinstance(given[key], kinds) or (isinstance(given[key], bool) and bool not in kinds):
            wanted = " or ".join("null" if kind is type(None) else kind.__name__ for kind in kinds)
            raise ValueError(f"{where}{key}: got {reprlib.repr(given[key])}; expected {wanted}")


def _check_env_kwargs(said: dict[str, Any]) -> None:
    """ValueError for settings that an exported agent cannot have, as they reach for files or the network."""
    given = said["env_kwargs"]
    for key in given:
        if key in left_out(said["env"]):
            raise ValueError(f"env_kwargs: {key}: is no part of an exported agent; expected none")
    if given.get("prototypes") is not None:
        got = reprlib.repr(given["prototypes"])
        raise ValueError(f"env_kwargs: prototypes: got {got}; expected null, those that ship")
    check_backbone_kwargs(given.get("backbone_kwargs"))
    if (given.get("backbone") or "none") != said["backbone"]:
        raise ValueError(f"backbone: got {said['backbone']!r}, and {given.get('backbone')!r} in env_kwargs")


def check_backbone_kwargs(given: Any) -> None:
    """ValueError where they name weights other than published ones."""
    if given is None:
        return
    if not isinstance(given, dict):
        raise ValueError(f"env_kwargs: backbone_kwargs: got {reprlib.repr(given)}; expected a mapping")
    for key, value in given.items():
        if key == "checkpoint":
            check_choice("env_kwargs: backbone_kwargs: checkpoint", value, tuple(WIDTHS))
        elif isinstance(value, str) or key == "weights":
            got = f"{key}: {reprlib.repr(value)}"
            raise ValueError(f"env_kwargs: backbone_kwargs: got {got}; expected no files of one's own")


def _check_training(given: dict[str, Any], algorithm: str) -> None:
    """ValueError for what cannot be of a training; hyperparameters become what the algorithm takes."""
    if {*given["scenes"]} & {*NO_NAME} or given["scenes"] in ("", ".", ".."):
        raise ValueError(f"training: scenes: got {reprlib.repr(given['scenes'])}; expected a name, no path")
    for key in given["settings"]:
        check_choice("training: settings", key, SETTINGS)
    check_range("training: seed", given["seed"], 0, 2**32 - 1, int)
    for key in ("steps", "timesteps", "num_envs"):
        check_range(f"training: {key}", given[key], 0, 2**63 - 1, int)
    hyperparameters = given["hyperparameters"]
    if "policy" in hyperparameters:
        raise ValueError("training: hyperparameters: got policy; expected it under policy, by its name")
    given["hyperparameters"] = checked(ALGORITHMS[algorithm], hyperparameters, "training: hyperparameters")
    if given["warm_start"] is not None and not isinstance(given["warm_start"].get("expert"), str):
        raise ValueError("training: warm_start: lacks expert; expected its name")
