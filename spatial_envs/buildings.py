"""Buildings: a mesh with named objects, procedural or from files, and the sets that ``scenes=`` names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from spatial_envs.mesh import Mesh

STRUCTURE = ("wall", "floor", "ceiling", "door", "window")  # categories of the building itself


@dataclass(frozen=True, eq=False)
class SceneObject:
    """An object of a building; ``low`` and ``high`` (3,) float64 bound it, metres, Y up."""

    name: str
    category: str
    low: np.ndarray
    high: np.ndarray

    @property
    def centre(self) -> np.ndarray:
        """(3,) float64, the middle of its box."""
        return (self.low + self.high) / 2


@dataclass(frozen=True, eq=False)
class Room:
    """A room of a procedural building; ``low`` and ``high`` (3,) float64 bound its inside."""

    name: str
    category: str
    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True, eq=False)
class Building:
    """A building to walk in.

    mesh          metres, Y up; ``mesh.segment`` is the object id of every face, from 1
    objects       by id; empty where nothing says what the faces are
    rooms         of procedural buildings, else empty
    no_semantics  why there are no objects
    """

    name: str
    mesh: Mesh
    objects: Mapping[int, SceneObject] = field(default_factory=dict)
    rooms: tuple[Room, ...] = ()
    no_semantics: str = ""
