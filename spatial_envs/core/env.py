"""A task as a Gymnasium environment: one episode at a time."""

from __future__ import annotations

import copy
import reprlib
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium.error import ResetNeeded

from spatial_envs.core.settings import Documented
from spatial_envs.core.task import RENDER_METADATA, check_arguments, check_state
from spatial_envs.core.window import _Window
from spatial_envs.foundation.arguments import check_flag
from spatial_envs.foundation.threads import small_work


def _checked_options(options: Any) -> dict[str, Any]:
    if options is not None and not isinstance(options, dict):
        raise ValueError(f"options: got {reprlib.repr(options)}; expected a dict or None")
    return dict(options or {})


def _action_array(name: str, action: Any) -> np.ndarray:
    try:
        return np.asarray(action)
    except ValueError:
        raise ValueError(f"{name}: got {reprlib.repr(action)}; expected one array of numbers") from None


class TaskEnv(Documented, gym.Env):
    """A single environment: row 0 of its task."""

    metadata: ClassVar[dict[str, Any]] = RENDER_METADATA  # type: ignore[misc]

    def __init__(self, render_mode: str | None = None, **arguments: Any) -> None:
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(f"render_mode: got {render_mode!r}; expected None, 'rgb_array' or 'human'")
        check_arguments(self.task_type, arguments)
        self.render_mode = render_mode
        self.task = self.task_type(self.task_type.settings_type(**arguments))
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
            self.task.reset([0], [self.np_random], options, [seed is not None])
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
