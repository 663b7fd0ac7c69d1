"""Regions of the plan, united, cut and grown, whatever their outlines are like."""

from __future__ import annotations

from collections.abc import Callable

import shapely

SNAPPED = 1e-7  # metres: far above rounding, far below all that matters


def overlay(operation: Callable[..., shapely.Geometry], *operands, **options) -> shapely.Geometry:
    """The polygons that an operation of shapely makes of its operands, geometries or sequences of them; valid
    ones.

    GEOS works in floating point. Where many edges nearly meet, as in scans and on noisy slopes, what it makes
    (of mitred buffers above all) may cross itself by the last bits, and the next operation on that raises
    GEOSException. So a result is repaired before anything is made of it, and an operation that fails all the
    same is done again with the operands' corners on a grid of SNAPPED, where nothing nearly meets.
    """
    try:
        result = operation(*operands, **options)
    except shapely.errors.GEOSException:
        snapped = [shapely.set_precision(shapely.make_valid(operand), SNAPPED) for operand in operands]
        result = operation(*snapped, **options)
    if not result.is_valid:
        result = shapely.make_valid(result)
    if result.geom_type == "GeometryCollection":  # has lines, where regions only touch
        result = shapely.MultiPolygon(polygons_of(result))
    return result


def polygons_of(region: shapely.Geometry) -> list[shapely.Polygon]:
    """The polygons that a region consists of."""
    parts = shapely.get_parts(shapely.get_parts(region))  # what is repaired may be a collection of several
    return [part for part in parts if part.geom_type == "Polygon"]


def united(regions) -> shapely.Geometry:
    """What is in any of a sequence of regions."""
    return overlay(shapely.union_all, regions)


def grown(region: shapely.Geometry, reach: float) -> shapely.Geometry:
    """The region and what is within ``reach`` metres of it, or, where that is negative, the region without
    what is so near to its border. Corners stay corners."""
    return overlay(shapely.buffer, region, distance=reach, join_style="mitre")


def without_cracks(region: shapely.Geometry, reach: float) -> shapely.Geometry:
    """The region with its cracks up to twice ``reach`` metres wide closed."""
    return grown(grown(region, reach), -reach)
