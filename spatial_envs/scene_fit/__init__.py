"""Scene fitting: how a few deformable shapes explain a depth map."""

from spatial_envs.scene_fit.env import (
    SceneFitEnv,
    SceneFitVectorEnv,
)

__all__ = [
    "SceneFitEnv",
    "SceneFitVectorEnv",
]
