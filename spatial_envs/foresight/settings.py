"""The arguments of foresight's environments, with their defaults and checks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spatial_envs.core.settings import (
    FLAG,
    SCENES,
    Check,
    Settings,
    anything,
    number,
    one_of,
    one_of_or_callable,
    setting,
    whole,
)

THOUGHTS = ("draft", "simulate")
REWARDS = ("soft", "right", "all")  # credits of a guess, see ``spatial_envs.foresight.credit``
Credit = Callable[[np.ndarray, np.ndarray], float]


def _span(low: float, high: float, unit: str = "") -> Check:
    """(least, most) within a range, or one number for both."""

    def keep(name: str, value: Any) -> tuple[float, float]:
        pair = value if isinstance(value, (tuple, list, np.ndarray)) else (value, value)
        plain = all(isinstance(each, (int, float, np.number)) and not isinstance(each, bool) for each in pair)
        if len(pair) != 2 or not plain or not low <= pair[0] <= pair[1] <= high:
            raise ValueError(f"{name}: got {value!r}; expected (least, most) within {low:g} to {high:g}")
        return float(pair[0]), float(pair[1])

    return Check(f"(least, most), {low:g} to {high:g}{unit and ' ' + unit}", keep)


def _no_backbone(name: str, value: Any) -> None:
    if value not in (None, "auto"):
        raise ValueError(f"{name}: got {value!r}; expected None: tracks are no images")


@dataclass(frozen=True, kw_only=True, eq=False)
class ForesightSettings(Settings):
    """The arguments of ``ForesightEnv``.

    Procedural scenes are those of ``spatial_envs.procedural.moving_bodies``, in closed form: bodies that fly,
    bounce, slide, roll and spin, and do not meet. Scenes in which things collide and tumble are not made
    here; a simulator's are read from files.
    """

    scenes: str = setting("procedural", SCENES, "of recordings, see ``spatial_envs.scenes.recordings``")
    num_objects: int | Sequence[int] = setting(
        (1, 6), anything("n, (least, most)"), "of procedural scenes, 1 to 12"
    )
    backbone: None = setting(None, Check("None", _no_backbone), "there are no images")
    slots: int = setting(6, whole(1, 64), "K, at least as many as a scene has things")
    rotations: bool = setting(True, FLAG, "whether they are shown, guessed and judged, or centres alone")
    frames: int = setting(10, whole(2, 64), "T")
    duration: float = setting(1.0, number(0.1, 60, "s"), "from the first frame to the last")
    ahead: tuple[float, float] = setting(
        (0.1, 2.0), _span(0.01, 60, "s"), "from the frames to the asked time, as far as a recording goes"
    )
    backwards: float = setting(0.25, number(0, 1), "probability that the past is asked about")
    noise: float = setting(0.02, number(0, 1, "m"), "standard deviation of shown centres, each axis")
    turn_noise: float = setting(3.0, number(0, 180, "degrees"), "of shown rotations, about each axis")
    missing: float = setting(0.0, number(0, 1), "probability that a thing is missing in a frame")
    rate: tuple[float, float] = setting(
        (1.0, 1.0), _span(0.1, 10), "shown seconds for a true one, drawn for each question"
    )
    reverse: float = setting(0.0, number(0, 1), "probability that the film runs backwards")
    guesses: int = setting(6, whole(1, 6), "k")
    steps: int = setting(16, whole(1, 1000), "thoughts and guesses together")
    think: str = setting(
        "draft", one_of(*THOUGHTS), "what a thought does: it moves the draft, or simulates, see Action Space"
    )
    think_cost: float = setting(0.005, number(0, 1), "of each step after the first")
    scene_steps: int = setting(200, whole(0), "steps of a row at a recording before the next is drawn")
    cache_size: int = setting(512, whole(1), "recordings kept in memory, about 0.1 MB each")
    reward: str | Credit = setting("soft", one_of_or_callable(REWARDS, "a callable"), "see Rewards")
