"""Buildings as walks need them: with a simulator, what can be seen of them, and plans for pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spatial_envs.core.prefetch import Ahead
from spatial_envs.foundation.caches import Recent
from spatial_envs.foundation.errors import MeshError
from spatial_envs.geometry.building import Building
from spatial_envs.navigation.picture import Plan, Seen, draw_plan
from spatial_envs.navigation.randomisation import Randomisation
from spatial_envs.navigation.reference import building_reference
from spatial_envs.reconstruction.chamfer import Cloud
from spatial_envs.reconstruction.reference import Reference
from spatial_envs.rendering.builtin import BuiltinRenderer
from spatial_envs.scenes.buildings import BuildingSet
from spatial_envs.simulators import make_simulator
from spatial_envs.simulators.agent import horizontal_intrinsics
from spatial_envs.simulators.builtin import BuiltinSimulator
from spatial_envs.simulators.simulator import Simulator

if TYPE_CHECKING:
    from spatial_envs.navigation.goals import Mission

PLAN_CELL = 0.25  # metres, of what a picture shows as seen
REFERENCE_WIDTH = 128  # pixels of the pictures that say what can be seen


@dataclass(frozen=True, eq=False)
class Place:
    """A building as it is kept between episodes."""

    building: Building
    simulator: Simulator
    reference: Reference | None
    bounds: tuple[np.ndarray, np.ndarray]  # (2,) each, lowest and highest (x, z)
    sought: dict[str, np.ndarray] = field(default_factory=dict)  # view points (G, 3) by category
    plans: dict[float, Plan] = field(default_factory=dict)  # pictures from above by the floor's height
    proven: list[Mission] = field(default_factory=list)  # one that was drawn, where that was asked for

    def plan(self, height: float) -> Plan:
        """The floor nearest to this height, metres, from above."""
        y = round(2 * height) / 2
        if y not in self.plans:
            renderer = getattr(self.simulator, "renderer", None) or BuiltinRenderer(self.building.lit)
            self.plans[y] = draw_plan(renderer, self.building, y)
        return self.plans[y]

    def seen(self, cloud: Cloud, height: float) -> Seen:
        """Which parts of the floor at this height, metres, a map covers."""
        tracker, (low, high) = cloud.tracker, self.bounds
        covered = tracker.reference[tracker.squared_to_cloud <= tracker.coverage_distance**2]
        level = np.abs(covered[:, 1] - height - 1) < 1.2
        columns, rows = (int(n) for n in np.ceil((high - low) / PLAN_CELL) + 1)
        known = np.zeros((rows, columns), np.bool_)
        column, row = ((covered[level][:, [0, 2]] - low) // PLAN_CELL).astype(int).T
        known[row, column] = True
        return Seen(known, low, PLAN_CELL)


class Places:
    """The places of a set of buildings; those used last are kept.

    simulator    as for ``make_simulator``; body: its arguments
    categories   of which ObjectNav needs a building to have one; None: none is needed
    tilts        the camera's, radians, for what can be seen of a building; None: that is not asked
    size         how many are kept
    cache_dir    a folder that keeps what can be seen, or None
    prefetch     whether those that rows need next are made meanwhile; only with the built-in simulator and
                 renderer, of which there may be a second
    """

    def __init__(
        self,
        buildings: BuildingSet,
        simulator: str | Callable[..., Simulator],
        body: Mapping[str, Any],
        *,
        categories: Sequence[str] | None,
        tilts: Sequence[float] | None,
        size: int,
        cache_dir: Path | None,
        prefetch: bool,
    ) -> None:
        self.buildings, self.simulator, self.body = buildings, simulator, body
        self.categories, self.tilts, self.cache_dir = categories, tilts, cache_dir
        self.kept = Recent[int, Place](size)
        self.ahead = Ahead[Place](prefetch and (simulator, body["renderer"]) == ("builtin", "builtin"))
        self.checked: dict[int, tuple[Building, Simulator]] = {}

    def check(self, index: int) -> None:
        """Raise what ``place`` does for a building that cannot be walked in; nothing is rendered, and
        habitat-sim, which must not start before a process forks, is not asked."""
        if self.simulator != "habitat":
            self.checked[index] = self._open(index)

    def _open(self, index: int) -> tuple[Building, Simulator]:
        building = self.buildings.load(index)
        if self.categories is not None and not set(self.categories) & set(building.categories):
            has = f"its categories: {', '.join(building.categories) or 'none'}"
            raise MeshError(
                f"scenes: ObjectNav cannot run in {building.name}: {building.no_semantics or has}; expected "
                f"some of {', '.join(self.categories)}"
            )
        try:
            return building, make_simulator(self.simulator, building, **self.body)
        except MeshError as error:  # a set passes over such a building
            raise MeshError(f"{building.path or building.name}: {error}") from None

    def place(self, index: int) -> Place:
        """The building and what is known of it; MeshError where the task cannot run in it."""
        return self.kept.get(index, partial(self.ahead.take, index, partial(self._made, index)))

    def look_ahead(self, row: int, index: int | None) -> None:
        """Let the place that a row needs next be made meanwhile."""
        if index is None or index in self.kept:
            self.ahead.want(row, None, None)
            return
        alone = Places(
            self.buildings.only(index), self.simulator, self.body, categories=self.categories,
            tilts=self.tilts, size=1, cache_dir=self.cache_dir, prefetch=False,
        )  # fmt: skip
        self.ahead.want(row, index, partial(alone._made, 0))

    def _made(self, index: int) -> Place:
        opened = self.checked.pop(index, None)
        building, simulator = opened or self._open(index)
        reference = None
        if self.tilts is not None:
            rows, columns = self.body["image_size"]
            size = max(round(REFERENCE_WIDTH * rows / columns), 16), REFERENCE_WIDTH
            intrinsics = horizontal_intrinsics(self.body["hfov"], size)
            reference = building_reference(building, simulator, intrinsics, size, self.tilts, self.cache_dir)
        corners = building.mesh.vertices[:, [0, 2]].astype(np.float64)
        return Place(building, simulator, reference, (corners.min(axis=0), corners.max(axis=0)))

    def varied(self, place: Place, randomisation: Randomisation, seed: int) -> Simulator:
        """The building's simulator, or one in the colours of the episode of this seed and with its camera."""
        if not randomisation.varies_the_camera:
            return place.simulator
        if not isinstance(place.simulator, BuiltinSimulator):
            raise ValueError(
                "randomise: textures, camera_height and hfov need simulator='builtin', got "
                f"{place.simulator.name!r}"
            )
        drawn = randomisation.draw(seed)
        return place.simulator.varied(
            randomisation.tinted(place.building.mesh, seed),
            max(self.body["camera_height"] + drawn.camera_height, 0.0),
            min(max(self.body["hfov"] + drawn.hfov, 1.0), 179.0),
        )
