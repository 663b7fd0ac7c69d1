"""What a row of next-best-view remembers of its episode."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spatial_envs.core.stays import Stay
from spatial_envs.geometry.mesh import Mesh
from spatial_envs.geometry.view import View
from spatial_envs.geometry.voxels import VoxelGrid
from spatial_envs.reconstruction.chamfer import Cloud, Metrics
from spatial_envs.reconstruction.reference import Reference


@dataclass(eq=False)
class Foreseen:
    """What some poses (K, 4, 4) would measure, kept between the states of an episode that ask for it.

    clouds  [K]: points (M, 3) float32, world frame, and their squared distances (M,) float64 to the surface
            as ``Cloud.foreseen`` has filled them in
    """

    poses: np.ndarray
    clouds: list[tuple[np.ndarray, np.ndarray]]


@dataclass(eq=False)
class Episode:
    """One row: an object, the views of it so far, and what was made of them."""

    index: int  # of the object in its set
    mesh: Mesh
    reference: Reference
    frame_to_world: np.ndarray  # (4, 4) float64
    views: list[View]
    cloud: Cloud
    metrics: Metrics  # the figures now
    first: Metrics  # and those of the initial views
    initial: int = 1  # how many views it began with
    stay: Stay = field(default_factory=Stay)  # in the object
    features: np.ndarray | None = None  # (n, ...) float32, pooled, not yet standardised
    per_view: list[Any] | None = None  # (n) what the backbone keeps of each view
    grid: VoxelGrid | None = None  # what the views told about space, for glimpses
    voxels: VoxelGrid | None = None  # and in the frame's axes, for the observation of that name
    twin: Cloud | None = None  # with audit=True: the measured depth of the same views, unprojected
    anchor: tuple[int, np.ndarray] | None = None  # of so many views, where a zero action goes
    foreseen: Foreseen | None = None  # of the poses last asked for
    gain: float = 0.0  # of the last step
    invalid: bool = False

    @property
    def steps(self) -> int:
        """How many views were chosen."""
        return len(self.views) - self.initial

    def directions(self) -> np.ndarray:
        """(n, 3) float64: unit vectors from the object to the cameras, in the frame's axes."""
        centres = np.array([view.cam_to_world[:3, 3] for view in self.views], np.float64)
        return centres / np.linalg.norm(centres, axis=1, keepdims=True) @ self.frame_to_world[:3, :3]
