"""Where a training step goes: PPO of Stable-Baselines3 on eight rows of each family, part by part.

The policy is Stable-Baselines3's own for dictionaries; widths, batches and epochs are those that the families
are trained with, and one thread. Scenes are at hand; what a new one takes is a row of its own.
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode

from spatial_envs.backbones.compact import Compact, CompactNet
from spatial_envs.benchmark.stopwatch import Part, Stopwatch
from spatial_envs.core.features import Features
from spatial_envs.core.vector_env import TaskVectorEnv
from spatial_envs.foundation.caches import Recent
from spatial_envs.navigation.occupancy import OccupancyMap
from spatial_envs.navigation.task import Navigation
from spatial_envs.prototypes.slots import SlotState
from spatial_envs.reconstruction.chamfer import Cloud
from spatial_envs.rendering.builtin import BuiltinRenderer

ROWS = 8
VIEWS = ("features", "poses", "view_mask", "anchor", "remaining")
WALK = ("map", "pointgoal", "gps", "compass", "remaining")
SLOTS = ("slots", "residuals", "turn", "remaining")


class Family(NamedTuple):
    """What is trained, as ``train_agent.py`` does it by default.

    scene  the option of ``reset`` that names a scene; scenes: how many are walked through
    learner  of PPO; steps: of a row between two updates
    """

    env_id: str
    arguments: dict[str, Any]
    scene: str
    scenes: int
    steps: int
    learner: dict[str, Any]


_VIEWING = {"batch_size": 128, "n_epochs": 6, "policy_kwargs": {"net_arch": [128, 128]}}
_WALKING = {"batch_size": 256, "n_epochs": 4, "policy_kwargs": {"net_arch": [128, 128]}}
_FITTING = {"batch_size": 480, "n_epochs": 10, "policy_kwargs": {"net_arch": [256, 256]}}
_BLIND = {"reconstruction": "none", "weights": {"chamfer": 0.0}}
_ENCODED = {"backbone": None, "num_objects": 6, "slots": 6, "start": "encoder", "num_frames": 8}


def _viewing(backbone: str) -> Family:
    arguments = {"backbone": backbone, "num_objects": 4, "observations": VIEWS}
    return Family("NBV-MapAnything-v0", arguments, "object", 4, 64, _VIEWING)


def _walking(**arguments) -> Family:
    known = {"backbone": None, "num_buildings": 2, "observations": WALK}
    return Family("PointNav-Habitat-v0", {**known, **arguments}, "building", 2, 128, _WALKING)


FAMILIES = {
    "NBV, unproject": _viewing("unproject"),
    "NBV, compact": _viewing("compact"),
    "PointNav": _walking(),
    "PointNav, no map in the reward": _walking(**_BLIND),
    "SceneFit from the encoder": Family(
        "SceneFit-Prototype-v0", {**_ENCODED, "observations": SLOTS}, "frame", 8, 60, _FITTING
    ),
}
SCENES = Part("resets: new scenes", Recent, "get", closed=True)


def _parts(task_type: type, backbone: Any) -> list[Part]:
    """What is timed, in the order of the table."""
    from stable_baselines3 import PPO
    from stable_baselines3.common.policies import ActorCriticPolicy

    network = [] if backbone is None else [Part("backbone", type(backbone), "encode")]
    if isinstance(backbone, Compact):
        network.append(Part("backbone", CompactNet, "decode"))
    return [
        Part("walk", Navigation, "_walk"),
        Part("render", BuiltinRenderer, "render"),
        *network,
        Part("encode, without the backbone", Features, "encode"),
        Part("encode, without the backbone", Features, "pooled"),
        Part("Chamfer", Cloud, "add"),
        Part("Chamfer", Cloud, "metrics"),
        Part("map of the floor", OccupancyMap, "add"),
        Part("put a slot", SlotState, "put"),
        Part("score the slots", SlotState, "figures"),
        Part("observe", task_type, "observe"),
        Part("environment, the rest", TaskVectorEnv, "step"),
        Part("resets, but for new scenes", task_type, "reset", closed=True),
        SCENES,
        Part("policy, forward", ActorCriticPolicy, "forward"),
        Part("policy, forward", ActorCriticPolicy, "predict_values"),
        Part("learner", PPO, "train", closed=True),
        Part("Stable-Baselines3, the rest", PPO, "learn"),
    ]


UNTIMED, ALL, TIMERS, WAITING, NEW = (
    "threads without a timer",
    "processor, in all",
    "of it the timers",
    "waiting: wall clock less processor",
    "for each new scene, ms",
)


def training(seconds: float) -> str:
    """Markdown: milliseconds of the processor for a step of a row, and their share, by part and family."""
    columns = {name: _profiled(family, seconds) for name, family in FAMILIES.items()}
    order = [part.name for part in _parts(object, object())] + [UNTIMED]
    lines = ["| ms for a step of a row | " + " | ".join(columns) + " |", "|" + "---|" * (len(columns) + 1)]
    for name in dict.fromkeys(order):
        cells = [
            f"{column[name]:.2f}, {100 * column[name] / column[ALL]:.0f} %" if name in column else ""
            for column in columns.values()
        ]
        if any(cells):
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
    for name in (ALL, TIMERS, WAITING, NEW):
        lines.append(
            f"| {name} | " + " | ".join(f"{column[name]:,.2f}" for column in columns.values()) + " |"
        )
    return "\n".join(lines)


def _profiled(family: Family, seconds: float) -> dict[str, float]:
    """Milliseconds for a step of a row, by part."""
    from stable_baselines3 import PPO

    arguments = {**family.arguments, "threads": 1}  # what runs in others has no timer
    envs: Any = gym.make_vec(family.env_id, ROWS, autoreset_mode=AutoresetMode.SAME_STEP, **arguments)
    task = envs.unwrapped.task
    envs.reset(seed=0, options={family.scene: 0})  # compiles
    first, watch = Stopwatch(), Stopwatch()
    with first.running([SCENES]):
        for scene in range(1, family.scenes):
            envs.reset(options={family.scene: scene})
    model = PPO(
        "MultiInputPolicy", _as_vec_env(envs), n_steps=family.steps, device="cpu", seed=0, **family.learner
    )
    model.learn(1)  # one update: whatever is compiled or read once
    with watch.running(_parts(type(task), task.backbone)):
        wall, processor, steps = time.perf_counter(), time.process_time(), 0
        while time.perf_counter() - wall < seconds:
            model.learn(1)
            steps += family.steps * ROWS
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
    spent = {**watch.seconds, UNTIMED: processor - sum(watch.seconds.values())}
    spent = {name: value for name, value in spent.items() if value > 0.002 * processor}
    spent |= {ALL: processor, TIMERS: watch.overhead, WAITING: wall - processor}
    scene_time = first.seconds[SCENES.name] / (family.scenes - 1)
    return {**{name: 1000 * value / steps for name, value in spent.items()}, NEW: 1000 * scene_time}


def _as_vec_env(envs: gym.vector.VectorEnv):
    """The rows as Stable-Baselines3's VecEnv, as far as PPO asks for it."""
    from stable_baselines3.common.vec_env import VecEnv

    class Rows(VecEnv):
        def reset(self):
            return envs.reset()[0]

        def step_async(self, actions: np.ndarray) -> None:
            self.actions = actions

        def step_wait(self):
            observations, rewards, terminated, truncated, infos = envs.step(self.actions)
            told: list[dict[str, Any]] = [{} for _ in range(ROWS)]
            for row in np.flatnonzero(terminated | truncated):
                told[row]["terminal_observation"] = infos["final_obs"][row]
                told[row]["TimeLimit.truncated"] = bool(truncated[row] and not terminated[row])
            return observations, rewards.astype(np.float32), terminated | truncated, told

        def close(self) -> None:
            envs.close()

        def get_attr(self, attr_name: str, indices=None):
            return [getattr(envs, attr_name)] * ROWS

        def set_attr(self, attr_name: str, value: Any, indices=None) -> None:
            setattr(envs, attr_name, value)

        def env_method(self, method_name: str, *arguments, indices=None, **keywords):
            return getattr(envs, method_name)(*arguments, **keywords)

        def env_is_wrapped(self, wrapper_class, indices=None):
            return [False] * ROWS

    return Rows(ROWS, envs.single_observation_space, envs.single_action_space)
