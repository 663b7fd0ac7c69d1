"""The largest body that has room in a building: what to say where the one that was asked for has none."""

from __future__ import annotations

from collections.abc import Sequence

import shapely

from spatial_envs.geometry.mesh import Mesh
from spatial_envs.simulators.floors import MIN_AREA, find_floors
from spatial_envs.simulators.overlay import overlay, polygons_of

HEIGHTS = (1.5, 1.2, 0.9, 0.7, 0.5, 0.3)  # metres, of the bodies that are tried, the tallest first
RADII = (0.4, 0.3, 0.25, 0.2, 0.18, 0.15, 0.1, 0.05)  # metres, the widest first
THIN = 0.01  # metres: the radius of a body that has room wherever one has


def body_that_fits(
    mesh: Mesh, height: float, radius: float, climb: float, floors: Sequence[float] = ()
) -> tuple[float, float, float] | None:
    """Height and radius, metres, of the largest body, no larger than the one given, that has MIN_AREA square
    metres in one piece to walk on, and how many it has. None where no body has.

    The tallest comes first, and of these the widest. climb, floors: as for ``find_floors``.
    """
    for tall in (height, *(tall for tall in HEIGHTS if 2 * climb <= tall < height)):
        spaces = [
            shapely.MultiPolygon(floor.polygons) for floor in find_floors(mesh, tall, THIN, climb, floors)
        ]
        for wide in (radius, *(wide for wide in RADII if wide < radius)):
            pieces = [overlay(shapely.buffer, space, distance=THIN - wide) for space in spaces]
            area = max((part.area for piece in pieces for part in polygons_of(piece)), default=0.0)
            if area >= MIN_AREA:
                return tall, wide, area
    return None
