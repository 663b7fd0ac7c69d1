"""The arguments of navigation's environments, with their defaults and checks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from spatial_envs.core.settings import (
    FLAG,
    FOLDER,
    RECONSTRUCTION,
    SCENES,
    Check,
    Settings,
    anything,
    number,
    one_of,
    one_of_or_callable,
    or_none,
    setting,
    whole,
)
from spatial_envs.foundation.arguments import check_choice, check_range, user_path
from spatial_envs.navigation.randomisation import as_randomisation
from spatial_envs.reconstruction.chamfer import POTENTIALS, Reward
from spatial_envs.rendering.renderer import Renderer
from spatial_envs.simulators.simulator import Simulator

SOUGHT = ("chair", "bed", "plant", "toilet", "tv_monitor", "sofa")  # what ObjectNav asks for, as habitat's
STILL, STRAIGHT_ON = 0.025, 1.0  # metres and degrees: a velocity below both is a stop (habitat-lab)


def _names(name: str, value: Any) -> tuple[str, ...]:
    words = not isinstance(value, str) and np.iterable(value)
    if not words or not len(value) or not all(isinstance(each, str) and each for each in value):
        raise ValueError(f"{name}: got {value!r}; expected a list of names, at least one")
    return tuple(value)


@dataclass(frozen=True, kw_only=True, eq=False)
class NavigationSettings(Settings):
    """The arguments of ``PointNavEnv``."""

    default_weights: ClassVar[Mapping[str, float]] = MappingProxyType(
        {"chamfer": 0.1, "geodesic": 1.0, "success": 2.5, "slack": 0.01, "collision": 0.02}
    )

    scenes: str = setting("procedural", SCENES, "of a mesh file, a folder of buildings, a scene-set YAML")
    split: str = setting("train", anything('"train", "validation", "test"'))
    up: str = setting("auto", anything('"auto", "y", "z"'), "the up axis of files")
    scale: float | str = setting("auto", anything('"auto", a number'), "the metres in the unit of files")
    num_buildings: int | None = setting(None, or_none(whole(1)), "at most so many, the first of the split")
    episodes: Path | str | None = setting(
        None,
        or_none(Check("a file", user_path)),
        "of habitat-lab's episodes (.json, .json.gz), which are played in place of drawn ones",
    )
    simulator: str | Callable[..., Simulator] = setting(
        "builtin", anything('"builtin", "habitat", a callable'), "a callable makes one of a ``Building``"
    )
    renderer: str | Renderer = setting(
        "builtin", anything('"builtin", "pytorch3d", an object'), "of the built-in simulator"
    )
    agent_height: float = setting(1.5, number(0.05, 10, "m"))
    agent_radius: float = setting(0.1, number(0.01, 2, "m"))
    agent_climb: float = setting(0.2, number(0, 5, "m"), "the highest step taken; half its height at most")
    camera_height: float = setting(1.5, number(0, 10, "m"), "above the floor")
    hfov: float = setting(90.0, number(1, 179), "degrees, the horizontal field of view")
    max_depth: float = setting(10.0, number(0.1, 1000, "m"), "what is farther has no depth")
    forward_step: float = setting(0.25, number(0.001, 10, "m"))
    turn_step: float = setting(10.0, number(0.01, 180), "degrees; ObjectNav 30")
    sliding: bool = setting(True, FLAG, "whether a blocked step goes on along the wall")
    action: str = setting("discrete", one_of("discrete", "velocity"), "see Action Space")
    max_steps: int = setting(500, whole(1, 1_000_000), "ImageNav 1000")
    success_distance: float = setting(0.2, number(0, 100, "m"), "ObjectNav 0.1")
    categories: Sequence[str] = setting(SOUGHT, Check("names", _names), "what ObjectNav may seek")
    window: int = setting(4, whole(1, 64), "views that features are made of")
    reward: Reward = setting("log", one_of_or_callable(tuple(POTENTIALS), "a callable"), "see Rewards")
    weights: Mapping[str, float] | None = setting(None, anything("None, a mapping"), "see Rewards")
    randomise: Mapping[str, Any] | None = setting(
        None,
        anything("None, a mapping"),
        "what differs from episode to episode, as between a simulator and a robot: textures, light, "
        "camera_height, hfov, depth_noise, actuation_noise, see ``randomisation.Randomisation``",
    )
    reconstruction: str | None = setting(None, anything('None, "backbone", "depth", "none"'), RECONSTRUCTION)
    scene_steps: int = setting(1000, whole(0), "steps that a row makes in one before it draws the next")
    cache_size: int = setting(64, whole(1), "buildings kept in memory, about 30 MB each")
    cache_dir: Path | str | None = setting(
        "auto", FOLDER, "that keeps what can be seen of buildings on disk; see ``docs/conventions.md``"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.all_weights()
        as_randomisation(self.randomise)
        if self.action == "velocity" and (self.forward_step < STILL or self.turn_step < STRAIGHT_ON):
            raise ValueError(
                f"action: got 'velocity' with forward_step={self.forward_step} and turn_step="
                f"{self.turn_step}, whose motions would be stops; expected at least {STILL} m and "
                f"{STRAIGHT_ON:g} degree"
            )

    def all_weights(self) -> dict[str, float]:
        """The weights of all parts of the reward, the defaults where none are given."""
        weights, default = self.weights, self.default_weights
        if weights is not None and not isinstance(weights, Mapping):
            raise ValueError(f"weights: got {weights!r}; expected a mapping of {', '.join(default)}")
        for key, value in (weights or {}).items():
            check_choice("weights", key, tuple(default))
            check_range(f"weights[{key!r}]", value, 0, 1e6)
        return {**default, **(weights or {})}


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageNavSettings(NavigationSettings):
    """The arguments of ``ImageNavEnv``."""

    max_steps: int = setting(1000, whole(1, 1_000_000))


@dataclass(frozen=True, kw_only=True, eq=False)
class ObjectNavSettings(NavigationSettings):
    """The arguments of ``ObjectNavEnv``."""

    turn_step: float = setting(30.0, number(0.01, 180), "degrees")
    success_distance: float = setting(0.1, number(0, 100, "m"))


@dataclass(frozen=True, kw_only=True, eq=False)
class ExploreSettings(NavigationSettings):
    """The arguments of ``ExploreEnv``."""

    default_weights = MappingProxyType({"chamfer": 1.0, "slack": 0.0, "collision": 0.0})
