"""A task and its family in one file, to begin one of your own with:

    python train_agent.py --env agents.examples.new_family:Homing-v0 --timesteps 2000 --out runs/homing
    python evaluate_agent.py --run runs/homing --out report

A point in the plane is to be moved to another. ``module:id`` is how the commands, and ``gym.make``, learn of
an environment that they do not know: the module is imported, and registers its id and its family.
"""

from __future__ import annotations

from dataclasses import dataclass

import gymnasium as gym
import numpy as np
import torch
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor

from agents.families import Column, Family, register
from spatial_envs.core.env import TaskEnv
from spatial_envs.core.features import Features
from spatial_envs.core.settings import Settings, anything, setting
from spatial_envs.core.task import Rows, checked_actions, chosen_space
from spatial_envs.core.vector_env import TaskVectorEnv

STEPS, REACH = 10, 0.4  # of an episode; how far a step goes


@dataclass(frozen=True, kw_only=True, eq=False)
class HomingSettings(Settings):
    backbone: None = setting(None, anything("None"), "there is nothing to see")


class Homing(Rows[dict]):
    """A step's reward is how much nearer it comes."""

    settings_type = HomingSettings

    def __init__(self, settings: HomingSettings, num_rows: int = 1) -> None:
        self.rows: list[dict | None] = [None] * num_rows
        self.features = Features(settings, frame="world")
        self.observable = Ways.KEYS
        known: dict[str, gym.Space] = dict.fromkeys(Ways.KEYS, gym.spaces.Box(-9, 9, (2,), np.float32))
        self.observation_space = chosen_space(known, settings.observations, self.observable)
        self.action_space = gym.spaces.Box(-1, 1, (2,), np.float32)

    def reset(self, rows, generators, options, seeded) -> None:
        for row, generator in zip(rows, generators, strict=True):
            place, goal = generator.uniform(-2, 2, (2, 2))
            far = float(np.linalg.norm(goal - place))
            self.rows[row] = {"place": place, "goal": goal, "far": far, "steps": 0}

    def step(self, rows, actions):
        moves = REACH * checked_actions(self.action_space, actions)
        before = [self.distance(row) for row in rows]
        for row, move in zip(rows, moves, strict=True):
            episode = self.episode(row)
            self.rows[row] = {**episode, "place": episode["place"] + move, "steps": episode["steps"] + 1}
        rewards = np.array(before) - [self.distance(row) for row in rows]
        over = np.array([self.episode(row)["steps"] >= STEPS for row in rows])
        return rewards, over, np.zeros(len(over), np.bool_)

    def distance(self, row: int) -> float:
        return float(np.linalg.norm(self.episode(row)["goal"] - self.episode(row)["place"]))

    def observe(self, row: int) -> dict[str, np.ndarray]:
        return {key: self.episode(row)[key].astype(np.float32) for key in self.observation_space}

    def info(self, row: int) -> dict:
        return {"gain": self.episode(row)["far"] - self.distance(row), "distance": self.distance(row)}

    def render(self, row: int) -> np.ndarray:
        picture = np.full((128, 128, 3), 255, np.uint8)
        for key, colour in (("goal", (60, 160, 60)), ("place", (40, 80, 200))):
            x, y = (64 + 12 * self.episode(row)[key]).astype(int).clip(4, 123)
            picture[y - 4 : y + 4, x - 4 : x + 4] = colour
        return picture


class HomingEnv(TaskEnv):
    task_type = Homing


class HomingVectorEnv(TaskVectorEnv):
    task_type = Homing


class Ways(BaseFeaturesExtractor):
    """What a policy's network is given: the way to the goal."""

    KEYS = ("place", "goal")

    def __init__(self, observation_space: gym.spaces.Dict) -> None:
        super().__init__(observation_space, 2)

    def forward(self, observations: dict[str, torch.Tensor]) -> torch.Tensor:
        return observations["goal"] - observations["place"]


class Straight:
    """A baseline: a policy with ``predict``, made of the environment."""

    def predict(self, observation, **_):
        return np.clip((observation["goal"] - observation["place"]) / REACH, -1, 1), None


gym.register("Homing-v0", HomingEnv, vector_entry_point=HomingVectorEnv)
register(
    "Homing-v0",
    Family(
        extractor=Ways,
        hyperparameters={"ppo": {"n_envs": 8, "n_steps": 64, "batch_size": 64, "n_timesteps": 2000}},
        columns={"gain": Column("gain", interval=True), "distance": Column("distance left")},
        headline=("gain",),
        baselines={"straight": lambda env: Straight()},
        against=("straight",), rival="straight", noted=("straight",),
    ),
)  # fmt: skip
