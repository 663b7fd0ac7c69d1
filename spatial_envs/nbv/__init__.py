"""Next-best-view: where to take the next picture."""

from spatial_envs.nbv.env import (
    NBVDiscreteEnv,
    NBVDiscreteVectorEnv,
    NBVEnv,
    NBVVectorEnv,
)

__all__ = [
    "NBVDiscreteEnv",
    "NBVDiscreteVectorEnv",
    "NBVEnv",
    "NBVVectorEnv",
]
