"""Write a list of navigation's episodes in the form of habitat-lab's datasets, for ``episodes=``.

python -m scenes.episodes --env PointNav-Habitat-v0 --split test --count 100 --out pointnav_test.json.gz
python -m scenes.episodes --env ObjectNav-Habitat-v0 --scenes my_buildings --count 50 --out mine.json.gz

Episode k is in building k modulo their number, by the seed 7,000,000 + k: those that tables play.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from typing import Any

import gymnasium as gym

import spatial_envs
from spatial_envs.foundation.errors import SceneError
from spatial_envs.navigation.episode_files import Listed, write_episodes

FIRST_SEED = 7_000_000

gym.register_envs(spatial_envs)


def episodes(env_id: str, count: int, **arguments: Any) -> tuple[str, list[Listed]]:
    """The kind of goal and ``count`` episodes of an environment with these arguments; a building that cannot
    be played in has none, with a warning."""
    arguments |= {"backbone": None, "reconstruction": "none", "weights": {"chamfer": 0.0}, "image_size": 16}
    env: Any = gym.make(env_id, **arguments).unwrapped
    listed = []
    for number in range(count):
        building = number % len(env.task.buildings)
        try:
            env.reset(seed=FIRST_SEED + number, options={"building": building})
        except SceneError as error:
            warnings.warn(f"no episode {number}: {error}", stacklevel=2)
            continue
        mission = env.task.episode(0).mission
        listed.append(
            Listed(
                str(number), env.task.buildings.names[building], mission.start.position, mission.start.yaw,
                mission.goal, mission.goal_yaw, mission.category,
            )
        )  # fmt: skip
    return env.task.goal_kind, listed


def main(arguments: list[str] | None = None) -> None:
    """Write the file, and say what is in it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--env", default="PointNav-Habitat-v0", help="PointNav, ImageNav, ObjectNav, Explore")
    parser.add_argument("--scenes", default="procedural", help="a file, a folder, a scene-set YAML")
    parser.add_argument("--split", default="test")
    parser.add_argument("--count", type=int, default=100, help="episodes")
    parser.add_argument("--out", type=Path, required=True, help="a file .json or .json.gz")
    options = parser.parse_args(arguments)
    if "".join(options.out.suffixes[-2:]) not in (".json.gz",) and options.out.suffix != ".json":
        parser.error(f"--out: got {options.out}; expected a file .json or .json.gz")
    if options.count < 1:
        parser.error(f"--count: got {options.count}; expected at least 1")
    kind, listed = episodes(options.env, options.count, scenes=options.scenes, split=options.split)
    write_episodes(options.out, kind, listed)
    print(f"{len(listed)} episodes in {len({each.scene for each in listed})} buildings: {options.out}")


if __name__ == "__main__":
    main()
