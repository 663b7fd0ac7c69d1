"""Films and pictures of trained agents."""

from __future__ import annotations

from pathlib import Path

import imageio.v2 as imageio

from agents.navigation.evaluation import walk
from agents.play import FIRST_SEED, choose
from agents.scene_fit import evaluation as fitting_evaluation
from agents.scene_fit.baselines import Encoded
from spatial_envs.prototypes.encoder import encoded

FPS, HOLD = 10, 9  # of a film: frames per second, frames that each view is held


def film(env, policy, path: Path, episodes: int = 3) -> None:
    """Film a few episodes (env in "rgb_array" mode), each view held for a while."""
    with imageio.get_writer(path, fps=FPS, macro_block_size=16) as writer:
        for episode in range(episodes):
            observation, _ = env.reset(seed=FIRST_SEED + episode)
            over, memory = False, None
            while True:
                picture = env.render()
                for _ in range(2 * HOLD if over else HOLD):
                    writer.append_data(picture)  # type: ignore[attr-defined]
                if over:
                    break
                action, memory = choose(policy, env, observation, memory)
                observation, _, terminated, truncated, _ = env.step(action)
                over = terminated or truncated


def fitting_film(env, policy, folder: Path, episodes: int = 3) -> None:
    """Film a few scenes being fitted (env in "rgb_array" mode), a frame a step, into episode.mp4; of an
    encoder, which fits in one go, what it makes of one scene, as fit.png."""
    if isinstance(policy, Encoded):
        target = env.task.load(0)[1]
        slots = encoded(policy.model, [target], env.task.slots)[0].double().numpy()
        env.reset(options={"frame": 0, "slots": slots})
        imageio.imwrite(folder / "fit.png", env.render())
        return
    with imageio.get_writer(folder / "episode.mp4", fps=FPS, macro_block_size=2) as writer:
        for episode in fitting_evaluation.usable(env, episodes):
            for _ in fitting_evaluation.episode(env, policy, episode):
                picture = env.render()
                writer.append_data(picture)  # type: ignore[attr-defined]
            for _ in range(2 * HOLD):
                writer.append_data(picture)  # type: ignore[attr-defined]


def walk_through(env, policy, folder: Path, episodes: int = 3) -> None:
    """Film a few episodes of navigation (env in "rgb_array" mode), a frame a step, into episode.mp4; the end
    of the first one is trajectory.png."""
    with imageio.get_writer(folder / "episode.mp4", fps=FPS, macro_block_size=2) as writer:
        for episode in range(episodes):
            for _ in walk(env, policy, episode):
                picture = env.render()
                writer.append_data(picture)  # type: ignore[attr-defined]
            if episode == 0:
                imageio.imwrite(folder / "trajectory.png", picture)
            for _ in range(2 * HOLD):
                writer.append_data(picture)  # type: ignore[attr-defined]
