"""The arguments of scene fitting's environments, with their defaults and checks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spatial_envs.core.settings import (
    SCENES,
    Settings,
    anything,
    number,
    one_of,
    one_of_or_callable,
    or_none,
    setting,
    whole,
)
from spatial_envs.scene_fit.episode import Figures

REWARDS = ("full", "chamfer", "surface")  # potentials among the figures of a ``SlotState``


@dataclass(frozen=True, kw_only=True, eq=False)
class SceneFitSettings(Settings):
    """The arguments of ``SceneFitEnv``."""

    scenes: str = setting(
        "procedural", SCENES, "of a data set of depth, see ``spatial_envs.scenes.depth_frames.open_depth``"
    )
    num_objects: int | Sequence[int] = setting(
        (1, 6), anything("n, (least, most)"), "of procedural scenes, 1 to 12"
    )
    noise: float = setting(0.0, number(0, 1), "of procedural scenes' sensor, 1 = a Kinect's")
    num_frames: int | None = setting(None, anything("None, n"), "only the first so many of the split")
    held_out: float = setting(
        0.0, number(0.0, 0.9), "share of the target's pixels that is kept from the agent, for scores"
    )
    intrinsics: Any = setting(None, anything("None, (fx, fy, cx, cy), (3, 3)"), "of files, see there")
    depth_scale: float | None = setting(None, or_none(number(1, 1e6)), "of files, see there")
    invalid: float | None = setting(None, or_none(number(-1e12, 1e12)), "of files, see there")
    max_depth: float | None = setting(None, or_none(number(0.1, 1e6, "m")), "of files, see there")
    image_size: int | tuple[int, int] = setting((72, 96), anything("n, (H, W)"), "pixels, at least 16")
    slots: int = setting(6, whole(1, 64), "K")
    steps: int | None = setting(
        None, or_none(whole(1, 100_000)), 'None: 10 for each slot, or 20 with action="all"'
    )
    start: str = setting("kmeans", one_of("kmeans", "random", "encoder"), "see Starting State")
    action: str = setting("slot", one_of("slot", "all"), "see Action Space")
    turn: str = setting("round_robin", one_of("round_robin", "agent"), "see Action Space")
    points: int = setting(512, whole(16, 100_000), "of the target's, that figures and rewards look at")
    prototypes: str | Path | None = setting(
        None,
        anything("None, a path"),
        "weights of an encoder and its bank, of ``agents.scene_fit.encoder``; None: those that ship",
    )
    reward: str | Callable[[Figures, Figures], float] = setting(
        "full", one_of_or_callable(REWARDS, "a callable"), "see Rewards"
    )
    scene_steps: int = setting(60, whole(0), "steps that a row makes at a frame before it draws the next")
    cache_size: int = setting(512, whole(1), "frames kept in memory, about 0.5 MB each")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.reward == "surface" and self.scenes != "procedural":
            known = "only procedural scenes have a known surface"
            got = f"got 'surface' for scenes={str(self.scenes)!r}"
            raise ValueError(f"reward: {got}; {known}: expected 'full'")
        if self.turn == "agent" and self.action == "all":
            raise ValueError("turn: got 'agent' with action='all'; expected action='slot'")
