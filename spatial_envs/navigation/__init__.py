"""Navigation: how to walk through buildings."""

from spatial_envs.navigation.env import (
    ExploreEnv,
    ExploreVectorEnv,
    ImageNavEnv,
    ImageNavVectorEnv,
    ObjectNavEnv,
    ObjectNavVectorEnv,
    PointNavEnv,
    PointNavVectorEnv,
)

__all__ = [
    "ExploreEnv",
    "ExploreVectorEnv",
    "ImageNavEnv",
    "ImageNavVectorEnv",
    "ObjectNavEnv",
    "ObjectNavVectorEnv",
    "PointNavEnv",
    "PointNavVectorEnv",
]
