"""The Chamfer distance of two clouds, under its short public name; see ``reconstruction.chamfer``."""

from spatial_envs.reconstruction.chamfer import Metrics, chamfer

__all__ = ["Metrics", "chamfer"]
