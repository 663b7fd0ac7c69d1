"""One task, two Gymnasium faces: a single environment and a batched one over the same code.

A family's task (``NBV`` and its siblings) keeps any number of *rows*, each an episode of its own, and
advances many of them in one call, so that a backbone sees them as one batch. ``TaskEnv`` is the row 0 of a
task; ``TaskVectorEnv`` is N rows with Gymnasium's autoreset modes.
"""

from __future__ import annotations

import copy
import inspect
import reprlib
from collections.abc import Sequence
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import gymnasium as gym
import numpy as np
from gymnasium.error import DependencyNotInstalled, ResetNeeded
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from spatial_envs.arguments import check_choice, check_flag, similar
from spatial_envs.backbones import Backbone
from spatial_envs.threads import small_work

Observation = dict[str, np.ndarray]
E = TypeVar("E")


class Task(Protocol):
    """What a family implements; ``rows`` are indices of episodes, B of them in one call."""

    observation_space: gym.spaces.Dict
    action_space: gym.Space
    backbone: Backbone | None

    def reset(
        self, rows: Sequence[int], generators: Sequence[np.random.Generator], options: dict[str, Any]
    ) -> None:
        """Begin a new episode in each row. Bad options: ValueError, and nothing changes."""
        ...

    def step(self, rows: Sequence[int], actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rewards (B,) float64, terminated and truncated (B,) bool. Bad actions: ValueError, and nothing
        changes."""
        ...

    def observe(self, row: int) -> Observation:
        """The row's observation, arrays of its own."""
        ...

    def info(self, row: int) -> dict[str, Any]:
        """The row's info; the same keys at every step."""
        ...

    def render(self, row: int) -> np.ndarray:
        """A picture (H, W, 3) uint8."""
        ...


class Rows(Generic[E]):
    """Where a task keeps its episodes, by row."""

    rows: list[E | None]

    def episode(self, row: int) -> E:
        """The row's episode; ResetNeeded where there is none yet."""
        episode = self.rows[row]
        if episode is None:
            raise ResetNeeded("no episode has begun; call reset() first")
        return episode


RENDER_METADATA: dict[str, Any] = {"render_modes": ["human", "rgb_array"], "render_fps": 2}


def check_arguments(task_type: type, arguments: dict[str, Any]) -> None:
    """TypeError that names an argument the task does not know, and lists those that it does."""
    valid = [name for name in inspect.signature(task_type).parameters if name != "num_rows"]
    for name in arguments:
        if name not in valid:
            hint = similar(name, valid)
            raise TypeError(f"unexpected argument {name!r}{hint}; valid are {', '.join(sorted(valid))}")


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
    available: dict[str, gym.spaces.Space], observations: Sequence[str] | None, default: Sequence[str]
) -> gym.spaces.Dict:
    """The observation space of the keys ``observations``, or of ``default`` for None, in the order in which
    they are available. ValueError for other keys, or none."""
    if observations is not None and (isinstance(observations, str) or not np.iterable(observations)):
        raise ValueError(f"observations: got {observations!r}; expected a list of keys")
    wanted = list(default if observations is None else observations)
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


def _checked_options(options: Any) -> dict[str, Any]:
    if options is not None and not isinstance(options, dict):
        raise ValueError(f"options: got {reprlib.repr(options)}; expected a dict or None")
    return dict(options or {})


def _action_array(name: str, action: Any) -> np.ndarray:
    try:
        return np.asarray(action)
    except ValueError:
        raise ValueError(f"{name}: got {reprlib.repr(action)}; expected one array of numbers") from None


class TaskEnv(gym.Env):
    """A single environment: row 0 of its task."""

    metadata: ClassVar[dict[str, Any]] = RENDER_METADATA  # type: ignore[misc]
    task_type: ClassVar[type]

    def __init__(self, render_mode: str | None = None, **arguments: Any) -> None:
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(f"render_mode: got {render_mode!r}; expected None, 'rgb_array' or 'human'")
        check_arguments(self.task_type, arguments)
        self.render_mode = render_mode
        self.task = self.task_type(num_rows=1, **arguments)
        self.observation_space = self.task.observation_space
        self.action_space = self.task.action_space
        self._begun = self._over = False
        self._window: _Window | None = None

    @small_work
    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        """Begin an episode; the family's docstring lists the options."""
        options = _checked_options(options)
        before = copy.deepcopy(self._np_random), self._np_random_seed
        super().reset(seed=seed)
        try:
            self.task.reset([0], [self.np_random], options)
        except ValueError:
            self._np_random, self._np_random_seed = before
            raise
        self._begun, self._over = True, False
        self._show()
        return self.task.observe(0), self.task.info(0)

    @small_work
    def step(self, action):
        """Advance by one action. ResetNeeded before the first reset and after the end of an episode."""
        if not self._begun or self._over:
            raise ResetNeeded("step: the episode has not begun or is over; call reset() first")
        rewards, terminated, truncated = self.task.step([0], _action_array("action", action)[None])
        self._over = bool(terminated[0] or truncated[0])
        self._show()
        ended = bool(terminated[0]), bool(truncated[0])
        return self.task.observe(0), float(rewards[0]), *ended, self.task.info(0)

    def render(self):
        """A picture (H, W, 3) uint8 in "rgb_array" mode; in "human" mode the window is already up to date."""
        if self.render_mode == "rgb_array":
            return self.task.render(0)
        return None

    def close(self) -> None:
        """Close the window, if there is one. May be called twice."""
        if self._window is not None:
            self._window.close()
            self._window = None

    def get_state(self) -> dict[str, Any]:
        """All of the episode, picklable, the generator included."""
        return {
            "task": self.task.get_state(0), "over": self._over,
            "generator": self.np_random.bit_generator.state,
        }  # fmt: skip

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from a state that ``get_state`` gave, in this or in an equal environment. Anything else:
        ValueError, and nothing changes."""
        check_state("state", state, {"task", "over", "generator"})
        try:
            np.random.PCG64(0).state = state["generator"]
        except (KeyError, TypeError, ValueError):
            got = reprlib.repr(state["generator"])
            raise ValueError(f"state['generator']: got {got}; expected the state of a PCG64") from None
        check_flag("state['over']", state["over"])
        self.task.set_state(0, state["task"])
        self.np_random.bit_generator.state = state["generator"]
        self._begun, self._over = True, state["over"]

    def _show(self) -> None:
        if self.render_mode == "human":
            self._window = self._window or _Window()
            self._window.show(self.task.render(0), self.metadata["render_fps"])


class TaskVectorEnv(gym.vector.VectorEnv):
    """N rows of one task; each equals a single environment with the same seed."""

    task_type: ClassVar[type]

    def __init__(
        self,
        num_envs: int = 1,
        max_episode_steps: int | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        **arguments: Any,
    ) -> None:
        if not _is_count(num_envs):
            raise ValueError(f"num_envs: got {num_envs!r}; expected an integer of at least 1")
        if max_episode_steps is not None and not _is_count(max_episode_steps):
            got = repr(max_episode_steps)
            raise ValueError(f"max_episode_steps: got {got}; expected None or an integer from 1")
        modes = [mode.value for mode in AutoresetMode]
        if autoreset_mode not in (*AutoresetMode, *modes):
            raise ValueError(f"autoreset_mode: got {autoreset_mode!r}; expected one of {modes}")
        if render_mode not in (None, "rgb_array"):
            raise ValueError(f"render_mode: got {render_mode!r}; expected None or 'rgb_array' for many")
        check_arguments(self.task_type, arguments)
        self.num_envs = num_envs
        self.render_mode = render_mode
        self.max_episode_steps = max_episode_steps
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.metadata = {**RENDER_METADATA, **type(self).metadata, "autoreset_mode": self.autoreset_mode}
        self.task = self.task_type(num_rows=num_envs, **arguments)
        self.single_observation_space = self.task.observation_space
        self.single_action_space = self.task.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._generators: list[np.random.Generator | None] = [None] * num_envs
        self._elapsed = np.zeros(num_envs, np.int64)
        self._over = np.ones(num_envs, np.bool_)  # rows that must be reset before they can step
        self._begun = False

    @small_work
    def reset(self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None):
        """Begin an episode in every row, or in those of ``options["reset_mask"]`` (N,) bool.

        An integer seed s gives row i the seed s + i; without one each row's own generator continues.
        """
        options = _checked_options(options)
        rows = self._masked_rows(options.pop("reset_mask", None))
        if seed is None:
            seeds: list[int | None] = [None] * self.num_envs
        elif isinstance(seed, (int, np.integer)):
            seeds = [int(seed) + row for row in range(self.num_envs)]
        else:
            seeds = list(seed) if isinstance(seed, (list, tuple, np.ndarray)) else []
            if len(seeds) != self.num_envs:
                got = reprlib.repr(seed)
                raise ValueError(f"seed: got {got}; expected None, one integer or {self.num_envs} of them")
        generators = copy.deepcopy(self._generators)
        for row in rows:
            if seeds[row] is not None or generators[row] is None:
                generators[row], _ = seeding.np_random(seeds[row])
        self._reset_rows(rows, options, generators)
        self._generators = generators
        self._begun = True
        infos: dict[str, Any] = {}
        for row in rows:
            infos = self._add_info(infos, self.task.info(row), row)
        return self._observe(), infos

    @small_work
    def step(self, actions):
        """Advance every row by one action: actions (N, ...)."""
        actions = _action_array("actions", actions)
        if not self._begun:
            raise ResetNeeded("step: no episode has begun; call reset() first")
        if actions.shape[:1] != (self.num_envs,):
            raise ValueError(f"actions: got shape {actions.shape}; expected ({self.num_envs}, ...)")
        if self.autoreset_mode == AutoresetMode.DISABLED and self._over.any():
            raise ResetNeeded(f"step: the episodes of rows {np.flatnonzero(self._over).tolist()} are over")
        fresh = np.flatnonzero(self._over)  # NEXT_STEP: these spend the step on their reset
        rows = np.flatnonzero(~self._over)
        rewards = np.zeros(self.num_envs)
        terminated = np.zeros(self.num_envs, np.bool_)
        truncated = np.zeros(self.num_envs, np.bool_)
        if len(rows):
            rewards[rows], terminated[rows], truncated[rows] = self.task.step(rows, actions[rows])
        self._elapsed[rows] += 1
        if self.max_episode_steps is not None:
            truncated[rows] |= self._elapsed[rows] >= self.max_episode_steps
        self._reset_rows(fresh, {}, self._generators)
        self._over = terminated | truncated
        finals: dict[int, dict[str, Any]] = {}
        if self.autoreset_mode == AutoresetMode.SAME_STEP and self._over.any():
            ended = np.flatnonzero(self._over)
            for row in ended.tolist():
                finals[row] = {"final_obs": self.task.observe(row), "final_info": self.task.info(row)}
            self._reset_rows(ended, {}, self._generators)
        infos: dict[str, Any] = {}
        for row in range(self.num_envs):  # row by row, as gymnasium's own loop
            if row in finals:
                infos = self._add_info(infos, finals[row], row)
            infos = self._add_info(infos, self.task.info(row), row)
        return self._observe(), rewards, terminated, truncated, infos

    def render(self):
        """N pictures (H, W, 3) uint8 in "rgb_array" mode."""
        if self.render_mode == "rgb_array":
            return tuple(self.task.render(row) for row in range(self.num_envs))
        return None

    def _masked_rows(self, mask) -> np.ndarray:
        if mask is None:
            return np.arange(self.num_envs)
        mask = np.asarray(mask)
        if mask.shape != (self.num_envs,) or mask.dtype != np.bool_ or not mask.any():
            raise ValueError(
                f"options['reset_mask']: got {mask!r}; expected ({self.num_envs},) bool, at least one True"
            )
        if not self._begun and not mask.all():
            raise ValueError("options['reset_mask']: the first reset must be of all rows")
        return np.flatnonzero(mask)

    def _reset_rows(self, rows: np.ndarray, options: dict[str, Any], generators: list) -> None:
        if len(rows):
            self.task.reset(rows, [generators[row] for row in rows], options)
            self._elapsed[rows] = 0
            self._over[rows] = False

    def _observe(self) -> Observation:
        each = [self.task.observe(row) for row in range(self.num_envs)]
        return {key: np.stack([observation[key] for observation in each]) for key in each[0]}


def _is_count(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and bool(value >= 1)


class _Window:
    """A window for ``render_mode="human"``."""

    def __init__(self) -> None:
        try:
            import pygame
        except ImportError as error:
            raise DependencyNotInstalled(
                'render_mode="human" needs pygame: pip install "spatial-envs[viz]"'
            ) from error
        pygame.display.init()  # and no audio
        self._pygame, self._clock = pygame, pygame.time.Clock()
        self._screen: Any = None

    def show(self, picture: np.ndarray, fps: int) -> None:
        if self._screen is None:
            self._screen = self._pygame.display.set_mode(picture.shape[1::-1])
            self._pygame.display.set_caption("spatial_envs")
        surface = self._pygame.surfarray.make_surface(picture.swapaxes(0, 1))
        self._screen.blit(surface, (0, 0))
        self._pygame.event.pump()
        self._pygame.display.flip()
        self._clock.tick(fps)

    def close(self) -> None:
        self._pygame.display.quit()
