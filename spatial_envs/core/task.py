"""One task, two Gymnasium faces: a single environment and a batched one over the same code.

A family's task (``NBV`` and its siblings) keeps any number of *rows*, each an episode of its own, and
advances many of them in one call, so that a backbone sees them as one batch. ``TaskEnv`` is the row 0 of a
task; ``TaskVectorEnv`` is N rows with Gymnasium's autoreset modes.
"""

from __future__ import annotations

import reprlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import gymnasium as gym
import numpy as np
from gymnasium.error import ResetNeeded

from spatial_envs.backbones.backbone import Backbone
from spatial_envs.core.features import Features
from spatial_envs.core.settings import Settings
from spatial_envs.foundation.arguments import check_choice
from spatial_envs.foundation.threads import side_by_side

Observation = dict[str, np.ndarray]
E = TypeVar("E")
T = TypeVar("T")


class Task(Protocol):
    """What a family implements; ``rows`` are indices of episodes, B of them in one call. It is made of its
    settings and the number of its rows."""

    settings_type: ClassVar[type[Settings]]
    observation_space: gym.spaces.Dict
    action_space: gym.Space
    features: Features

    def reset(
        self,
        rows: Sequence[int],
        generators: Sequence[np.random.Generator],
        options: dict[str, Any],
        seeded: Sequence[bool],
    ) -> None:
        """Begin a new episode in each row. Where its generator is newly ``seeded``, that and the options
        alone say which. Bad options: ValueError, and nothing changes."""
        ...

    def step(self, rows: Sequence[int], actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rewards (B,) float64, terminated and truncated (B,) bool. Bad actions: ValueError, and nothing
        changes."""
        ...

    def observe(self, row: int) -> Observation:
        """The row's observation, arrays of its own."""
        ...

    def observe_all(self, rows: Sequence[int]) -> list[Observation]:
        """The observations of these rows."""
        ...

    def info(self, row: int) -> dict[str, Any]:
        """The row's info; the same keys at every step."""
        ...

    def render(self, row: int) -> np.ndarray:
        """A picture (H, W, 3) uint8."""
        ...


class Rows(ABC, Generic[E]):
    """Where a task keeps its episodes, by row, and its backbone."""

    rows: list[E | None]
    features: Features

    @property
    def backbone(self) -> Backbone | None:
        """What makes the features, if there are any."""
        return self.features.backbone

    @property
    def backbone_name(self) -> str:
        """The backbone's name, as tables print it; "none" without one."""
        return self.features.name

    def episode(self, row: int) -> E:
        """The row's episode; ResetNeeded where there is none yet."""
        episode = self.rows[row]
        if episode is None:
            raise ResetNeeded("no episode has begun; call reset() first")
        return episode

    @abstractmethod
    def observe(self, row: int) -> Observation:
        """See ``Task.observe``."""

    def observe_all(self, rows: Sequence[int]) -> list[Observation]:
        """See ``Task.observe_all``; a family whose observations take their time makes them side by side."""
        return [self.observe(row) for row in rows]

    def side_by_side(self, work: Callable[..., T], *rows: Iterable[Any]) -> list[T]:
        """``[work(*row) for row in zip(*rows)]`` in the threads of the settings."""
        return side_by_side(work, *rows, threads=self.features.threads)


RENDER_METADATA: dict[str, Any] = {"render_modes": ["human", "rgb_array"], "render_fps": 2}


def check_arguments(task_type: Any, arguments: dict[str, Any]) -> None:
    """TypeError that names an argument the task does not know, and lists those that it does."""
    task_type.settings_type.check_names(arguments)


def checked_actions(space: gym.Space, actions: np.ndarray) -> np.ndarray:
    """Actions (B, ...) of a Discrete space, or of a Box from -1 to 1 and clipped to it, float64. ValueError
    for what the space cannot hold."""
    if isinstance(space, gym.spaces.Discrete):
        if actions.ndim != 1 or not np.issubdtype(actions.dtype, np.integer):
            got = f"{actions.dtype} of shape {actions.shape[1:]}"
            raise ValueError(f"action: got {got}; expected an integer")
        if not ((actions >= 0) & (actions < space.n)).all():
            raise ValueError(f"action: got {actions.tolist()}; expected 0 to {space.n - 1}")
        return actions
    real = np.issubdtype(actions.dtype, np.floating) or np.issubdtype(actions.dtype, np.integer)
    if actions.shape[1:] != space.shape or not real:
        got = f"{actions.dtype} of shape {actions.shape[1:]}"
        raise ValueError(f"action: got {got}; expected floats of shape {space.shape}")
    if not np.isfinite(actions).all():
        raise ValueError(f"action: got {actions.tolist()}; expected finite numbers in [-1, 1]")
    return np.clip(actions.astype(np.float64), -1, 1)


def chosen_space(
    available: dict[str, gym.spaces.Space],
    observations: Sequence[str] | str | None,
    default: Sequence[str],
    presets: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> gym.spaces.Dict:
    """The observation space of the keys ``observations``, in the order in which they are available: a list of
    them, the name of one of ``presets``, of whose keys those that are available are meant, or None for
    ``default``. ValueError for other keys and names, or none."""
    if isinstance(observations, str) and observations in presets:
        wanted = [key for key in presets[observations] if key in available]
    elif observations is None:
        wanted = list(default)
    elif isinstance(observations, str) or not np.iterable(observations):
        words = f"one of {', '.join(map(repr, presets))}, or " if presets else ""
        keys = ", ".join(available)
        raise ValueError(f"observations: got {observations!r}; expected {words}a list of keys among {keys}")
    else:
        wanted = list(observations)
    for key in wanted:
        check_choice("observations", key, tuple(available))
    if not wanted:
        raise ValueError(f"observations: got none; expected some of {', '.join(available)}")
    return gym.spaces.Dict({key: space for key, space in available.items() if key in wanted})


def padded(rows: np.ndarray, length: int) -> np.ndarray:
    """(length, ...) float32: rows (n, ...), n <= length, and zeros after them."""
    out = np.zeros((length, *rows.shape[1:]), np.float32)
    out[: len(rows)] = rows
    return out


def check_state(name: str, state: Any, keys: set[str]) -> None:
    """ValueError for a state that ``get_state`` cannot have given."""
    got = sorted(map(str, state)) if isinstance(state, dict) else reprlib.repr(state)
    if not isinstance(state, dict) or set(state) != keys:
        raise ValueError(f"{name}: got {got}; expected what get_state() gave, a dict of {sorted(keys)}")
