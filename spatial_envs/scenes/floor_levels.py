"""Where a building's floors are, by a file beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from spatial_envs.foundation.errors import MeshError
from spatial_envs.geometry.building import Frame
from spatial_envs.scenes.building_frame import read_json, stem


def named_floors(path: Path, frame: Frame) -> tuple[float, ...]:
    """The heights, metres, of a building's floors as ``<name>.floors.json`` beside it has them,
    {"floors": [0.0, 2.7]} in the file's own unit along its up axis; () where there is no such file.
    Raises MeshError where it cannot be read."""
    file = path.parent / f"{stem(path)}.floors.json"
    if not file.is_file():
        return ()
    try:
        content = read_json(file)
    except ValueError as error:
        raise MeshError(str(error)) from None
    heights = content.get("floors") if isinstance(content, dict) else None
    numbers = isinstance(heights, list) and all(type(height) in (int, float) for height in heights)
    if not heights or not numbers or not np.isfinite(heights).all():
        raise MeshError(f'{file}: expected {{"floors": [height, ...]}}, finite numbers, at least one')
    return tuple(float(height) * frame.scale for height in heights)
