"""What walks are scored by.

An episode begins in a building with a seed. A learned policy acts by drawing from its distribution, as in
its training and in habitat-lab's evaluation, each episode with its own seed: the most likely action alone can
turn left and right for ever.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from agents.families import Column
from agents.play import FIRST_SEED, begin_in
from agents.play import walk as play

EARLY = 200  # steps after which Explore's coverage is compared
COLUMNS = {  # of info at the end of an episode
    "success": Column("success", "{:.1%}", interval=True, spread=True),
    "spl": Column("SPL", interval=True, spread=True),
    "soft_spl": Column("SoftSPL"),
    "distance_to_goal": Column("distance to goal (m)", "{:.2f}"),
    "coverage_200": Column(f"coverage after {EARLY} steps", "{:.1%}", interval=True, spread=True),
    "coverage": Column("coverage", "{:.1%}", interval=True, spread=True),
    "chamfer": Column("Chamfer (cm)", "{:.1f}", 100),
    "path_length": Column("path (m)", "{:.1f}"),
    "collisions": Column("collisions", "{:.1f}"),
    "steps": Column("steps", "{:.0f}"),
}
FORMULAS = (
    "Success: a stop nearer to the goal than the success distance, along the shortest way. SPL: success l "
    "/ max(l, p), SoftSPL: max(0, 1 - d / l) l / max(l, p), with l the shortest way from the start, p the "
    "path walked, d the distance left. Coverage: share of what can be seen of the building that is within "
    "5 cm of the map; Chamfer: accuracy + completeness of the map, sum of mean distances. Means are over "
    "buildings of their episodes' means; intervals are 95 % bootstrap intervals over seeds, buildings, "
    "then episodes (of a row with one seed they do not hold the chance of a training), and differences are "
    "paired. Learned policies act by drawing from their distributions. greedy follows the shortest way on "
    "the true map, and new-points looks at the true building to choose a frontier; all else knows only what "
    "it saw. ObjectNav's category is marked in the maps, the agents' and the planners', by the building's "
    "true labels."
)


def begin(env, start: int):
    """Reset to a start, in building start mod n; of a file's episodes to that building's next."""
    task = env.unwrapped.task
    if task.episodes is None:
        return begin_in("building", "buildings")(env, start)
    building, turn = start % len(task.buildings), start // len(task.buildings)
    number = turn % len(task.episodes.of(task.buildings.names[building]))
    return env.reset(seed=FIRST_SEED + start, options={"building": building, "episode": number})


walk = partial(play, begin=begin, deterministic=False)


def score(env, policy, episode: int) -> dict[str, Any]:
    """The figures of an episode."""
    path = list(walk(env, policy, episode))
    end = {key: float(path[-1][key]) for key in COLUMNS if key in path[-1]}
    if "coverage" in end:
        end["coverage_200"] = float(path[min(EARLY, len(path) - 1)]["coverage"])
    building = env.unwrapped.task.buildings.index(path[0]["building"])
    return {**end, "scene": building, "start": [*map(float, path[0]["position"]), float(path[0]["yaw"])]}
