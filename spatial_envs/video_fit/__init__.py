"""Video fitting: how a few deformable shapes, each on a way of its own, explain a depth video."""

from spatial_envs.video_fit.env import (
    VideoFitEnv,
    VideoFitVectorEnv,
)

__all__ = [
    "VideoFitEnv",
    "VideoFitVectorEnv",
]
