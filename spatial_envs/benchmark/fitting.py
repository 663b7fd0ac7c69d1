"""Prototype scene fitting: random steps."""

from __future__ import annotations

import time

from spatial_envs.benchmark.timing import Rows
from spatial_envs.scene_fit import SceneFitEnv


def fitting(seconds: float) -> Rows:
    """Steps per second of one core's time of random actions, resets on frames at hand included, K = 6,
    72 x 96 pixels, without a backbone."""
    rows = []
    told = ["slots", "residuals", "turn", "remaining"]
    for name, observations in (("slots and residuals", told), ("and pictures of target and fit", None)):
        env = SceneFitEnv(num_objects=6, num_frames=8, backbone=None, observations=observations)
        env.action_space.seed(0)
        for frame in range(8):
            env.reset(seed=0, options={"frame": frame})
        env.step(env.action_space.sample())  # compiles
        begin, count = time.process_time(), 0
        while time.process_time() - begin < seconds:
            if env.step(env.action_space.sample())[2]:
                env.reset()
            count += 1
        rows.append((f"SceneFit, {name}", count / (time.process_time() - begin), "steps per s"))
    return rows
