"""A building: its mesh, and what its faces are."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from spatial_envs.geometry.mesh import Mesh

STRUCTURE = ("wall", "floor", "ceiling", "door", "window")  # categories of the building itself

UNSEEN = "unseen"  # how the categories of what was completed end


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


class Frame(NamedTuple):
    """How a building lies in its file: the up axis, "y" or "z"; the metres in its unit; what says so, in
    words; and whether that is a guess against the usual, Y up and metres."""

    up: str = "y"
    scale: float = 1.0
    reason: str = ""
    guessed: bool = False


UPRIGHT = Frame()


@dataclass(frozen=True, eq=False)
class Building:
    """A building to walk in.

    mesh          metres, Y up; ``mesh.segment`` is the object id of every face, from 1; 0 = not known
    objects       by id; empty where nothing says what the faces are
    rooms         of procedural buildings, else empty
    no_semantics  why there are no objects
    lit           whether its colours are albedo, to be shaded; False where light is in them, as in scans
    glass         faces of the same vertices that are seen through and stand in the way, or None; ``mesh``
                  is without them
    floors        heights of its floors, metres, where something names them; () where nothing does
    path, frame   the file that it was read from, kept absolute, and how it lies in that; "" for one without
    """

    name: str
    mesh: Mesh
    objects: Mapping[int, SceneObject] = field(default_factory=dict)
    rooms: tuple[Room, ...] = ()
    no_semantics: str = ""
    lit: bool = False
    glass: Mesh | None = None
    path: str = ""
    frame: Frame = UPRIGHT
    floors: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.path:  # habitat-sim reads it again, later and from another folder
            object.__setattr__(self, "path", os.path.abspath(self.path))

    @cached_property
    def solid(self) -> Mesh:
        """All that stands in the way: ``mesh`` and ``glass``."""
        if self.glass is None:
            return self.mesh
        both = (self.mesh, self.glass)
        texture = None
        if self.mesh.face_texture is not None:
            texture = np.concatenate([part.face_texture for part in both])
        return replace(
            self.mesh,
            faces=np.concatenate([part.faces for part in both]),
            face_texture=texture,
            segment=np.concatenate([part.face_segments for part in both]),
        )

    @property
    def categories(self) -> tuple[str, ...]:
        """Categories of its objects, sorted, without those of STRUCTURE."""
        seen = {o.category for number, o in self.objects.items() if number not in self.unseen}
        return tuple(sorted(seen - set(STRUCTURE)))

    @property
    def unseen(self) -> tuple[int, ...]:
        """Ids of what no camera saw and someone completed, as "floor_unseen" of a scan: it is walked on and
        bumped into, and to see it earns nothing."""
        return tuple(number for number, o in self.objects.items() if o.category.endswith(UNSEEN))

    def of_category(self, category: str) -> tuple[int, ...]:
        """Ids of the objects of a category; ValueError where there are none, which says why."""
        found = tuple(number for number, o in self.objects.items() if o.category == category)
        if found:
            return found
        if not self.objects:
            raise ValueError(
                f"category: got {category!r}, but {self.name} has no semantics: {self.no_semantics}"
            )
        has = ", ".join(self.categories) or "none"
        raise ValueError(f"category: got {category!r}, not in {self.name}; its categories: {has}")


def cut_away(building: Building, floor: float = 0.0) -> Mesh:
    """The mesh to be seen from above: without ceilings and what hangs from them, above a floor at this y.

    Ceilings are told by their category, or else by facing down 1.8 m or more above the floor.
    """
    mesh = building.mesh
    high = mesh.vertices[mesh.faces][..., 1].mean(axis=1) > floor + 1.8
    hanging = [
        number
        for number, o in building.objects.items()
        if o.category == "ceiling" or (o.low[1] > floor + 1.8 and o.category not in STRUCTURE)
    ]
    keep = ~((high & (mesh.face_normals[:, 1] < -0.5)) | np.isin(mesh.face_segments, hanging))
    return mesh.only(keep)


def boxes(mesh: Mesh, named: Mapping[int, tuple[str, str]]) -> dict[int, SceneObject]:
    """Objects by id with the boxes of their faces; named: (name, category) by id. Ids without a face are
    left out."""
    segments = mesh.face_segments
    order = np.argsort(segments, kind="stable")
    numbers, starts = np.unique(segments[order], return_index=True)
    objects = {}
    for number, faces in zip(numbers.tolist(), np.split(order, starts[1:]), strict=True):
        if number in named:
            corners = mesh.vertices[mesh.faces[faces]].reshape(-1, 3).astype(np.float64)
            objects[number] = SceneObject(*named[number], corners.min(axis=0), corners.max(axis=0))
    return objects
