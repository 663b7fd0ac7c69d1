"""Foresight: from a few frames of moving things, where they will be, or were, at another time."""

from spatial_envs.foresight.env import ForesightEnv, ForesightVectorEnv

__all__ = ["ForesightEnv", "ForesightVectorEnv"]
