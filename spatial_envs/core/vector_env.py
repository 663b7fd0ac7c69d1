"""A task as a batched Gymnasium vector environment."""

from __future__ import annotations

import copy
import reprlib
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from spatial_envs.core.env import _action_array, _checked_options
from spatial_envs.core.settings import Documented
from spatial_envs.core.task import RENDER_METADATA, Observation, check_arguments
from spatial_envs.foundation.threads import small_work


class TaskVectorEnv(Documented, gym.vector.VectorEnv):
    """N rows of one task; each equals a single environment with the same seed."""

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
        self.task = self.task_type(self.task_type.settings_type(**arguments), num_envs)
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
        self._reset_rows(rows, options, generators, [seeds[row] is not None for row in rows])
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
        self._continue_rows(fresh)
        self._over = terminated | truncated
        finals: dict[int, dict[str, Any]] = {}
        if self.autoreset_mode == AutoresetMode.SAME_STEP and self._over.any():
            ended = np.flatnonzero(self._over)
            for row, last in zip(ended.tolist(), self.task.observe_all(ended), strict=True):
                finals[row] = {"final_obs": last, "final_info": self.task.info(row)}
            self._continue_rows(ended)
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

    def _reset_rows(self, rows: np.ndarray, options: dict, generators: list, seeded: list[bool]) -> None:
        self.task.reset(rows, [generators[row] for row in rows], options, seeded)
        self._elapsed[rows] = 0
        self._over[rows] = False

    def _continue_rows(self, rows: np.ndarray) -> None:
        if len(rows):
            self._reset_rows(rows, {}, self._generators, [False] * len(rows))

    def _observe(self) -> Observation:
        each = self.task.observe_all(range(self.num_envs))
        return {key: np.stack([observation[key] for observation in each]) for key in each[0]}


def _is_count(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and bool(value >= 1)
