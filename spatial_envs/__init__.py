"""Reinforcement learning for spatial intelligence: Gymnasium environments that look, move and explain.

Importing this package registers the environment ids and loads neither torch nor a GPU:

    import gymnasium as gym
    import spatial_envs

    env = gym.make("NBV-MapAnything-v0")
"""

from __future__ import annotations

import importlib
from types import ModuleType

import gymnasium as gym

__version__ = "0.1.0"
_PUBLIC = ("chamfer", "foresight", "navigation", "nbv", "scene_fit", "video_fit")  # modules

# id -> class of the single environment; the batched one has "Vector" in its name
_ENVIRONMENTS = {
    "NBV-MapAnything-v0": "spatial_envs.nbv:NBV{}Env",
    "NBV-MapAnything-Discrete-v0": "spatial_envs.nbv:NBVDiscrete{}Env",
    "PointNav-Habitat-v0": "spatial_envs.navigation:PointNav{}Env",
    "ImageNav-Habitat-v0": "spatial_envs.navigation:ImageNav{}Env",
    "ObjectNav-Habitat-v0": "spatial_envs.navigation:ObjectNav{}Env",
    "Explore-Habitat-v0": "spatial_envs.navigation:Explore{}Env",
    "SceneFit-Prototype-v0": "spatial_envs.scene_fit:SceneFit{}Env",
    "VideoFit-Prototype-v0": "spatial_envs.video_fit:VideoFit{}Env",
    "Foresight-Prototype-v0": "spatial_envs.foresight:Foresight{}Env",
}

for _id, _entry_point in _ENVIRONMENTS.items():
    if _id not in gym.registry:
        gym.register(
            id=_id,
            entry_point=_entry_point.format(""),
            vector_entry_point=_entry_point.format("Vector"),
            disable_env_checker=False,
        )


def __getattr__(name: str) -> ModuleType:
    """A public module, imported when it is first asked for: ``help(spatial_envs.nbv.NBVEnv)``."""
    if name in _PUBLIC:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return ["__version__", *_PUBLIC]
