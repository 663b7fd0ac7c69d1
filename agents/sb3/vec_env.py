"""Our batched environments as Stable-Baselines3's VecEnv."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.vec_env import VecEnv


class SB3VecEnv(VecEnv):
    """A Gymnasium vector environment in SAME_STEP autoreset mode, spoken to as a VecEnv.

    At the end of an episode the row's info is that of the ended episode, with ``terminal_observation`` and
    ``TimeLimit.truncated``, and the observation is the next episode's first.
    """

    def __init__(self, envs: gym.vector.VectorEnv) -> None:
        mode = envs.metadata.get("autoreset_mode")
        if mode != AutoresetMode.SAME_STEP:
            raise ValueError(f"envs: got autoreset_mode {mode}; expected AutoresetMode.SAME_STEP")
        self.envs = envs
        self.render_mode = envs.render_mode
        super().__init__(envs.num_envs, envs.single_observation_space, envs.single_action_space)

    def reset(self):
        """Observations of N new episodes; seeds given by ``seed`` are used once."""
        seeds = None if all(seed is None for seed in self._seeds) else self._seeds
        observations, infos = self.envs.reset(seed=seeds)  # type: ignore[arg-type]
        self.reset_infos = [_row(infos, row) for row in range(self.num_envs)]
        self._reset_seeds()
        self._reset_options()
        return observations

    def step_async(self, actions: np.ndarray) -> None:
        """Keep the actions (N, ...) for ``step_wait``."""
        self._actions = actions

    def step_wait(self):
        """Observations, rewards (N,) float32, dones (N,) bool, N infos."""
        observations, rewards, terminated, truncated, infos = self.envs.step(self._actions)
        dones = terminated | truncated
        rows = []
        for row in range(self.num_envs):
            if dones[row]:
                info = _row(infos["final_info"], row)
                info["terminal_observation"] = infos["final_obs"][row]
                info["TimeLimit.truncated"] = bool(truncated[row] and not terminated[row])
            else:
                info = _row(infos, row)
            rows.append(info)
        return observations, rewards.astype(np.float32), dones, rows

    def close(self) -> None:
        """Close the environments."""
        self.envs.close()

    def get_images(self) -> Sequence[np.ndarray | None]:
        """A picture of each row."""
        pictures = self.envs.render()
        return [None] * self.num_envs if pictures is None else list(pictures)  # type: ignore[arg-type]

    def get_attr(self, attr_name: str, indices=None) -> list[Any]:
        """The batched environment's attribute, once for each row asked for."""
        return [getattr(self.envs, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices=None) -> None:
        """Set the batched environment's attribute; it is one for all rows."""
        setattr(self.envs, attr_name, value)

    def env_method(self, method_name: str, *method_args, indices=None, **method_kwargs) -> list[Any]:
        """Call a method of the batched environment that answers row by row (``action_masks``)."""
        answers = getattr(self.envs, method_name)(*method_args, **method_kwargs)
        return [answers[row] for row in self._get_indices(indices)]

    def env_is_wrapped(self, wrapper_class, indices=None) -> list[bool]:
        """Rows are not wrapped one by one."""
        return [False for _ in self._get_indices(indices)]


def _row(infos: dict[str, Any], row: int) -> dict[str, Any]:
    """One row of Gymnasium's batched infos, without the masks and what the row does not have."""
    return {
        key: value[row]
        for key, value in infos.items()
        if not key.startswith("_") and key not in ("final_obs", "final_info") and infos[f"_{key}"][row]
    }
