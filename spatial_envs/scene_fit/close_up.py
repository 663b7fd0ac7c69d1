"""The depth map and the fit round one slot, as a small picture: the shape of what is left to explain."""

from __future__ import annotations

import numpy as np

from spatial_envs.geometry.camera import inverse_pose
from spatial_envs.prototypes.slots import REACH, SlotState

SIDE, CHANNELS, PLACE = 24, 6, 6  # cells a side, and numbers of each result
MARGIN, LEAST = 1.25, 4.0  # of what is shown about its half width; the least half width, pixels


def close_up(state: SlotState, index: int) -> np.ndarray:
    """A square of the picture round slot ``index`` and the points nearest to it, resampled to (6, 24, 24)
    float32 in [-1, 1]; depths are less that of the slot's centre, in the target's unit.

    0 the measured depth, 1 whether there is one, 2 the slot's own depth, 3 whether it covers the cell, 4 the
    depth of the whole fit less the measured one where both are, 5 the share of the cell's points that are
    nearest to this slot."""
    target, size = state.target, state.target.depth.shape
    middle, half = _square(state, index)
    steps = half * (2 * (np.arange(SIDE) + 0.5) / SIDE - 1)
    at = [np.floor(centre + steps).astype(np.int64) for centre in middle]
    inside = np.logical_and.outer(*((a >= 0) & (a < n) for a, n in zip(at, size, strict=True)))
    rows, columns = np.ix_(*(a.clip(0, n - 1) for a, n in zip(at, size, strict=True)))
    measured = inside * target.depth[rows, columns]
    all_inverse = inside * state.inverse_depth[:, rows, columns]
    seen = measured > 0
    own, own_there = _depth(all_inverse[index])
    front, there = _depth(all_inverse.max(axis=0))
    depth, unit = _centre(state, index)[2], target.unit
    edges = [centre + half * np.linspace(-1, 1, SIDE + 1) for centre in middle]
    pixel_row, pixel_column = (each + 0.5 for each in np.divmod(state.pixels, size[1]))
    nearest, points = (
        np.histogram2d(pixel_row[which], pixel_column[which], edges)[0]
        for which in (_own(state, index), slice(None))
    )
    channels = [
        seen * (measured - depth) / unit, seen, own_there * (own - depth) / unit, own_there,
        (seen & there) * (front - measured) / unit, nearest / np.maximum(points, 1),
    ]  # fmt: skip
    return np.stack(channels).clip(-1, 1).astype(np.float32)


def place(state: SlotState, index: int) -> np.ndarray:
    """Where the square of ``close_up`` is, (6,) float32 in [-8, 8], lengths in the target's unit: how far
    right and down of the slot's centre its middle is, and half its width, at the depth of the centre; that
    depth; cosine and sine of the camera's pitch."""
    target = state.target
    (row, column), half = _square(state, index)
    x, y, depth = _centre(state, index)
    (fx, _, cx), (_, fy, cy), _ = target.intrinsics
    lengths = [(column - cx) / fx * depth - x, (row - cy) / fy * depth - y, half / fx * depth, depth]
    turn = target.cam_to_frame[:3, :3]
    return (
        np.array([*np.divide(lengths, target.unit), -turn[1, 1], turn[1, 2]])
        .clip(-REACH, REACH)
        .astype(np.float32)
    )


def _square(state: SlotState, index: int) -> tuple[np.ndarray, float]:
    """Row and column of its middle, and half its width, pixels."""
    size = state.target.depth.shape
    pixels = [*np.divmod(state.pixels[_own(state, index)], size[1])], np.nonzero(state.inverse_depth[index])
    shown = np.concatenate(pixels, axis=1)
    if not shown.shape[1]:
        shown = np.array([[0, size[0] - 1], [0, size[1] - 1]])
    low, high = shown.min(axis=1), shown.max(axis=1) + 1
    return (low + high) / 2, max(MARGIN * float((high - low).max()) / 2, LEAST)


def _own(state: SlotState, index: int) -> np.ndarray:
    """(N,) bool: which of the points are nearest to the slot."""
    return state.present[index] & (state.squared.argmin(axis=0) == index)


def _centre(state: SlotState, index: int) -> np.ndarray:
    """The slot's centre in the camera's axes, metres (3,)."""
    return (inverse_pose(state.target.cam_to_frame) @ [*state.slots[index, 1:4], 1.0])[:3]


def _depth(inverse: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Metres of 1/z, 0 where that is 0, and where it is not."""
    there = inverse > 0
    return np.divide(1.0, inverse, out=np.zeros_like(inverse), where=there), there
