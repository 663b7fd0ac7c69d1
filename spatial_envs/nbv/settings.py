"""The arguments of next-best-view's environments, with their defaults and checks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
from spatial_envs.foundation.arguments import check_choice, check_range, floats
from spatial_envs.nbv.actions import ACTION_DIMS
from spatial_envs.nbv.candidates import CANDIDATES
from spatial_envs.reconstruction.chamfer import POTENTIALS, Reward
from spatial_envs.rendering.renderer import Renderer


def _radius(name: str, value: Any) -> tuple[float, float]:
    expected = "(inner, outer), metres, 0.5 < inner <= outer"
    bounds = floats(name, value, expected)
    if bounds.shape != (2,) or not 0.5 < bounds[0] <= bounds[1] < math.inf:
        raise ValueError(f"{name}: got {value!r}; expected {expected}")
    return float(bounds[0]), float(bounds[1])


def _start(name: str, value: Any) -> str | float:
    if value is None:
        raise ValueError(f"{name}: got None; expected 'random', 'fixed' or degrees from 0 to 180")
    if isinstance(value, str):
        check_choice(name, value, ("random", "fixed"))
    else:
        check_range(name, value, 0, 180)
    return value


@dataclass(frozen=True, kw_only=True, eq=False)
class NBVSettings(Settings):
    """The arguments of ``NBVEnv``."""

    scenes: str = setting(
        "procedural", SCENES, 'of a mesh file, a folder, a scene-set YAML; or "procedural-scans"'
    )
    up: str = setting("auto", anything('"auto", "y", "z"'), "the up axis of mesh files")
    num_objects: int | None = setting(None, anything("None, n"), "only the first so many of the split")
    placement: float = setting(0.0, number(0, 0.4, "m"), "objects are that smaller and as far off the centre")
    views: int = setting(5, whole(2, 100), "the budget in all; at most 64 with candidates")
    initial_views: int = setting(1, anything("an integer from 1 to views - 1"), "those given at the start")
    radius: tuple[float, float] = setting((1.2, 2.0), Check("(inner, outer)", _radius), "metres, above 0.5")
    fov: float = setting(50.0, number(10, 120), "degrees, across the shorter side")
    start: str | float = setting("random", Check('"random", "fixed", 0 to 180', _start), "see Starting State")
    frame: str = setting("gravity", one_of("gravity", "first_view", "world"), "see Observation Space")
    anchor: str = setting(
        "farthest",
        one_of("farthest", "antipode", "origin", "first_view"),
        "what a zero action means, see Action Space",
    )
    action: str = setting("shell", one_of(*ACTION_DIMS, "candidates"), "see Action Space")
    candidate_radius: float | None = setting(
        None, anything("None, a number"), "of candidates, metres, within ``radius``; None: the middle"
    )
    reward: Reward = setting("log", one_of_or_callable(tuple(POTENTIALS), "a callable"), "see Rewards")
    reward_baseline: str | None = setting(
        None, or_none(one_of("anchor")), "what is taken off each reward, see Rewards"
    )
    invalid_penalty: float = setting(0.05, number(0, 1e6), "see Rewards")
    view_cost: float | None = setting(
        None, or_none(number(0, 100)), "off each reward; not None: there is a stop, see Action Space"
    )
    stop_at: float | None = setting(None, or_none(number(0, 1)), "the coverage that ends an episode")
    reference: str = setting("visible", one_of("visible", "surface"), "what 256 cameras see, or all")
    reconstruction: str | None = setting(None, anything('None, "backbone", "depth"'), RECONSTRUCTION)
    renderer: str | Renderer = setting("builtin", anything('"builtin", "pytorch3d", an object'))
    audit: bool = setting(False, FLAG, "the measured depth's figures in info, too")
    scene_steps: int = setting(32, whole(0), "views that a row chooses of an object before it draws the next")
    cache_size: int = setting(128, whole(1), "objects kept in memory, about 5 MB each")
    cache_dir: Path | str | None = setting(
        "auto", FOLDER, "that keeps references on disk; see ``docs/conventions.md``"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.action == "candidates":
            check_range("views", self.views, 2, CANDIDATES, int)
        check_range("initial_views", self.initial_views, 1, self.views - 1, int)
        if self.candidate_radius is not None:
            check_range("candidate_radius", self.candidate_radius, *self.radius)


@dataclass(frozen=True, kw_only=True, eq=False)
class NBVDiscreteSettings(NBVSettings):
    """The arguments of ``NBVDiscreteEnv``."""

    action: str = setting("candidates", one_of("candidates"))
