"""Names and types of hyperparameters, and of a warm start's, checked before anything is built."""

from __future__ import annotations

import inspect
import math
import re
import reprlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from spatial_envs.foundation.arguments import check_range, similar

OURS = {"n_timesteps": int, "n_envs": int, "env_kwargs": dict}  # beside the algorithm's own
NOISE = {"noise_type": str, "noise_std": float}  # of those that take an action_noise
SAID_ELSEWHERE = (  # arguments that the run sets, or that text cannot say
    "env", "seed", "device", "tensorboard_log", "action_noise", "replay_buffer_class", "rollout_buffer_class",
    "_init_setup_model",
)  # fmt: skip
LEAST = {  # where it isn't 1 for integers, 0 for other numbers
    "learning_starts": 0, "verbose": 0, "top_quantiles_to_drop_per_net": 0, "target_entropy": -math.inf,
    "gradient_steps": -1, "sde_sample_freq": -1,
}  # fmt: skip
MOST = {  # where it isn't inf
    "gamma": 1, "gae_lambda": 1, "tau": 1, "exploration_fraction": 1, "exploration_initial_eps": 1,
    "exploration_final_eps": 1, "n_timesteps": 2**32 - 1, "n_envs": 4096,
}  # fmt: skip
NUMBER = r"(\d+\.?\d*|\.\d+)(e[+-]?\d+)?"
SCHEDULE = rf"lin_{NUMBER}"  # as in rl-baselines3-zoo, "lin_0.001" falls linearly to 0
WORDS = {  # that may stand in a number's place
    "ent_coef": (rf"auto(_{NUMBER})?", "auto, or auto_ and a number"), "target_entropy": ("auto", "auto"),
}  # fmt: skip


def valid(algorithm: type[BaseAlgorithm]) -> dict[str, Any]:
    """By name the type hint of each hyperparameter that a configuration may give."""
    hints = get_type_hints(algorithm.__init__, localns={"VecEnv": VecEnv})
    names = inspect.signature(algorithm).parameters
    noise = NOISE if "action_noise" in names else {}
    return {name: hints[name] for name in names if name not in SAID_ELSEWHERE} | noise | OURS


def checked(algorithm: type[BaseAlgorithm], given: dict[str, Any], where: str) -> dict[str, Any]:
    """The hyperparameters as the algorithm takes them: whole numbers such as 1e5 as integers where it wants
    those. ValueError, which begins with ``where``, for what is unknown, of another type or out of range."""
    known = valid(algorithm)
    found = {}
    for name, value in given.items():
        if name not in known:
            hint = similar(name, tuple(known))
            raise ValueError(f"{where}: unknown key {name!r}{hint}; valid are {', '.join(sorted(known))}")
        found[name] = _checked(where, name, value, known[name])
    policy = found.get("policy", ".")
    if "." not in policy and policy not in algorithm.policy_aliases:
        expected = ", ".join([*algorithm.policy_aliases, "or the path of a class"])
        raise ValueError(f"{where}: policy: got {policy!r}; expected {expected}")
    return found


def check_numbers(
    where: str, given: dict[Any, Any], published: dict[str, Any], real: Sequence[str] = ()
) -> None:
    """ValueError, which begins with ``where``, for a number that is not like the published one of its name:
    an integer like an integer, but for those named in ``real``, from 1 like one above 1, else from 0; and for
    one that is missing, or of which none is published."""
    for key, value in published.items():
        got, whole = given.get(key), isinstance(value, int) and key not in real
        number = isinstance(got, int if whole else (int, float)) and not isinstance(got, bool)
        if not number or not (1 if whole and value > 1 else 0) <= got < math.inf:  # type: ignore[operator]
            kind = "an integer" if whole else "a number"
            raise ValueError(f"{where}{key}: got {reprlib.repr(got)}; expected {kind} such as {value}")
    if unknown := [key for key in given if key not in published]:
        raise ValueError(f"{where}unknown key {unknown[0]!r}; valid are {', '.join(published)}")


def _checked(where: str, name: str, value: Any, hint: Any) -> Any:
    parts = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    kinds = tuple(get_origin(part) or part for part in parts)
    kinds = tuple(str if kind is type else kind for kind in kinds)  # a policy, by its name
    if isinstance(value, float) and value.is_integer() and float not in kinds:
        value = int(value)
    if isinstance(value, str):
        pattern = SCHEDULE if Callable in kinds else WORDS.get(name, (".+",))[0]
        legal = (str in kinds or Callable in kinds) and bool(re.fullmatch(pattern, value))
    elif isinstance(value, list):  # train_freq
        legal = tuple in kinds and [type(part) for part in value] == [int, str]
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        legal = math.isfinite(value) and (float in kinds or (int in kinds and isinstance(value, int)))
    else:
        legal = type(value) in kinds
    if not legal:
        words: dict[Any, str] = {
            int: "an integer", float: "a number", bool: "True or False", dict: "a mapping", NoneType: "null",
            str: WORDS.get(name, ("", "a word"))[1], Callable: "lin_ and a number", tuple: "[1, episode]",
        }  # fmt: skip
        expected = " or ".join(dict.fromkeys(words[kind] for kind in kinds if kind in words))
        raise ValueError(f"{where}: {name}: got {reprlib.repr(value)}; expected {expected}")
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        kind = float if float in kinds else int
        least, most = LEAST.get(name, int(kind is int)), MOST.get(name, math.inf)
        check_range(f"{where}: {name}", value, least, most, kind)
    return tuple(value) if isinstance(value, list) else value


@dataclass(frozen=True)
class Lessons:
    """How a warm start goes.

    expert         one of the family's
    steps          environment steps of the rounds together
    rounds, epochs rounds, and how often each round learns all that is recorded
    batch_size, learning_rate  of Adam
    value_steps    further steps, by the policy alone, for its value head
    """

    expert: str
    steps: int = 100_000
    rounds: int = 8
    epochs: int = 2
    batch_size: int = 256
    learning_rate: float = 0.0005
    value_steps: int = 8192

    def __post_init__(self) -> None:
        for field in fields(self)[1:]:
            value = getattr(self, field.name)
            whole = field.name != "learning_rate"
            number = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
            if not number or not 0 < value < math.inf:
                kind, got = "an integer from 1" if whole else "a number above 0", reprlib.repr(value)
                raise ValueError(f"warm_start: {field.name}: got {got}; expected {kind}")

    @property
    def all_steps(self) -> int:
        """Environment steps, those for the value head included."""
        return self.steps + self.value_steps


def lessons(settings: Any) -> Lessons:
    """Return the lessons of a run's ``warm_start``, which may also hold the hyperparameters that go with it.
    ValueError for what is none."""
    if not isinstance(settings, dict) or "expert" not in settings:
        raise ValueError(f"warm_start: got {reprlib.repr(settings)}; expected a mapping with an expert")
    given = {key: value for key, value in settings.items() if key != "hyperparameters"}
    valid = [field.name for field in fields(Lessons)]
    for key in given:
        if key not in valid:
            raise ValueError(f"warm: unknown setting {key!r}; valid are {', '.join(valid[1:])}")
    return Lessons(**given)
