"""Film an episode of each environment for its page: python docs/_scripts/films.py [id ...]

Writes docs/films/<id>.webp. Who plays: a shipped agent where there is one, else the baseline named below.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from agents.exported import load_agent  # noqa: E402
from agents.families import family  # noqa: E402
from agents.scene_fit.teacher import Refinement  # noqa: E402

FOLDER = ROOT / "docs" / "films"
MOST = 36  # pictures of a film
WIDTH = 560  # pixels
QUALITY = 45  # of WebP, 0 to 100

UNSEEN: dict[str, Any] = {"split": "test", "render_mode": "rgb_array"}
PLAYED: dict[str, tuple[str, dict[str, Any], int]] = {  # player, arguments, episode, milliseconds a picture
    "NBV-MapAnything-v0": ("pretrained/nbv-2", {}, 4, 1200),
    "NBV-MapAnything-Discrete-v0": ("pretrained/nbv-discrete-0", {}, 7, 1200),
    "PointNav-Habitat-v0": ("nearest-frontier", {"num_buildings": 4, "backbone": None}, 1, 120),
    "ImageNav-Habitat-v0": ("greedy", {"num_buildings": 4, "backbone": None}, 2, 120),
    "ObjectNav-Habitat-v0": ("nearest-frontier", {"num_buildings": 4, "backbone": None}, 3, 120),
    "Explore-Habitat-v0": ("frontier", {"num_buildings": 4, "backbone": None, "max_steps": 200}, 0, 120),
    "SceneFit-Prototype-v0": ("refinement", {"backbone": None, "start": "encoder", "num_objects": 6}, 2, 120),
}  # fmt: skip


def pictures(env_id: str) -> Iterator[np.ndarray]:
    """The pictures (H, W, 3) uint8 of the episode that the table above names."""
    player, arguments, episode, _ = PLAYED[env_id]
    kind = family(env_id)
    agent = load_agent(ROOT / player) if player.startswith("pretrained/") else None
    env = gym.make(env_id, **UNSEEN, **{**(agent.env_kwargs if agent else {}), **arguments})
    policy = agent or (Refinement(env) if player == "refinement" else kind.policies(env, [player])[player])
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
    each = PLAYED[env_id][3]
    times = [each] * (len(small) - 1) + [2500]  # the end is seen longer
    small[0].save(path, save_all=True, append_images=small[1:], duration=times, loop=0, quality=QUALITY)
    return path


if __name__ == "__main__":
    for name in sys.argv[1:] or PLAYED:
        written = film(name)
        print(f"{written.relative_to(ROOT)}: {written.stat().st_size / 1000:.0f} kB")
