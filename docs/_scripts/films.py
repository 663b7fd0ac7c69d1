"""Film an episode of each environment for its page: python docs/_scripts/films.py [id ...]

Writes docs/films/<id>.webp, of scenes that nobody trained on.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from agents.exported import load_agent  # noqa: E402
from agents.families import family  # noqa: E402
from agents.scene_fit.teacher import Refinement  # noqa: E402
from agents.video_fit.search import BlindSearch  # noqa: E402

FOLDER = ROOT / "docs" / "films"
MOST = 36  # pictures of a film
WIDTH = 560  # pixels
QUALITY = 45  # of WebP, 0 to 100

UNSEEN: dict[str, Any] = {"split": "test", "render_mode": "rgb_array"}
WALKING: dict[str, Any] = {"num_buildings": 4, "backbone": None}


class Film(NamedTuple):
    """Who plays, in words; a folder of pretrained/, a baseline or "refinement"; which episode with which
    arguments; and how long a picture is shown, milliseconds."""

    caption: str
    player: str
    episode: int
    arguments: dict[str, Any]
    shown: int = 120


FILMS = {
    "NBV-MapAnything-v0": Film("The shipped agent nbv-2", "pretrained/nbv-2", 4, {}, 1200),
    "NBV-MapAnything-Discrete-v0": Film(
        "The shipped agent nbv-discrete-0", "pretrained/nbv-discrete-0", 7, {}, 1200
    ),
    "PointNav-Habitat-v0": Film(
        "The baseline nearest-frontier, which knows what an agent knows", "nearest-frontier", 1, WALKING
    ),
    "ImageNav-Habitat-v0": Film("The baseline greedy, which knows the building", "greedy", 2, WALKING),
    "ObjectNav-Habitat-v0": Film(
        "The baseline nearest-frontier, which knows what an agent knows", "nearest-frontier", 3, WALKING
    ),
    "Explore-Habitat-v0": Film(
        "The baseline frontier, for 200 steps", "frontier", 0, {**WALKING, "max_steps": 200}
    ),
    "SceneFit-Prototype-v0": Film(
        "The teacher refinement, from the encoder's start",
        "refinement",
        2,
        {"backbone": None, "start": "encoder", "num_objects": 6},
    ),
    "VideoFit-Prototype-v0": Film(
        "Blind search in the environment's moves, from the encoder's start",
        "search",
        2,
        {"backbone": None, "start": "encoder", "num_objects": 6},
    ),
    "Foresight-Prototype-v0": Film("The baseline analytic-fan", "analytic-fan", 0, {}, 1200),
}


def pictures(env_id: str) -> Iterator[np.ndarray]:
    """The pictures (H, W, 3) uint8 of the episode that ``FILMS`` names."""
    _, player, episode, arguments, _ = FILMS[env_id]
    kind = family(env_id)
    agent = load_agent(ROOT / player) if player.startswith("pretrained/") else None
    env = gym.make(env_id, **UNSEEN, **{**(agent.env_kwargs if agent else {}), **arguments})
    playing = {"refinement": Refinement, "search": BlindSearch}
    policy = agent or (playing[player](env) if player in playing else kind.policies(env, [player])[player])
    return kind.reel(env, policy, episode)


def film(env_id: str) -> Path:
    """Write the film and return its path."""
    frames = [*pictures(env_id)]
    chosen = np.unique(np.linspace(0, len(frames) - 1, MOST).round().astype(int))
    small = []
    for number in chosen:
        picture = Image.fromarray(frames[number])
        width = min(WIDTH, picture.width)
        height = round(picture.height * width / picture.width)
        small.append(picture.resize((width, height), Image.Resampling.LANCZOS))
    path = FOLDER / f"{env_id}.webp"
    path.parent.mkdir(exist_ok=True)
    times = [FILMS[env_id].shown] * (len(small) - 1) + [2500]  # the end is seen longer
    small[0].save(path, save_all=True, append_images=small[1:], duration=times, loop=0, quality=QUALITY)
    return path


if __name__ == "__main__":
    for name in sys.argv[1:] or FILMS:
        written = film(name)
        print(f"{written.relative_to(ROOT)}: {written.stat().st_size / 1000:.0f} kB")
