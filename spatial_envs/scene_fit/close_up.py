"""The depth map and the fit round one slot, as a small picture: the shape of what is left to explain."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from spatial_envs.geometry.camera import inverse_pose
from spatial_envs.prototypes.slots import REACH, SlotState

SIDE, CHANNELS, PLACE = 24, 6, 6  # cells a side, and numbers of each result
MARGIN, LEAST = 1.25, 4.0  # of what is shown about its half width; the least half width, pixels


class CloseUp:
    """A square of the picture round slot ``index`` and the points nearest to it, of a state as it stands."""

    def __init__(self, state: SlotState, index: int) -> None:
        self.state, self.index = state, index

    def picture(self) -> np.ndarray:
        """The square resampled to (6, 24, 24) float32 in [-1, 1]; depths are less that of the slot's centre,
        in the target's unit.

        0 the measured depth, 1 whether there is one, 2 the slot's own depth, 3 whether it covers the cell, 4
        the depth of the whole fit less the measured one where both are, 5 the share of the cell's points that
        are nearest to this slot."""
        state, target, size = self.state, self.state.target, self.state.target.depth.shape
        middle, half = self._square
        steps = half * (2 * (np.arange(SIDE) + 0.5) / SIDE - 1)
        at = [np.floor(centre + steps).astype(np.int64) for centre in middle]
        inside = np.logical_and.outer(*((a >= 0) & (a < n) for a, n in zip(at, size, strict=True)))
        rows, columns = np.ix_(*(a.clip(0, n - 1) for a, n in zip(at, size, strict=True)))
        measured = inside * target.depth[rows, columns]
        all_inverse = inside * state.inverse_depth[:, rows, columns]
        seen = measured > 0
        own, own_there = _depth(all_inverse[self.index])
        front, there = _depth(all_inverse.max(axis=0))
        depth, unit = self._centre[2], target.unit
        edges = [centre + half * np.linspace(-1, 1, SIDE + 1) for centre in middle]
        pixel_row, pixel_column = (each + 0.5 for each in np.divmod(state.pixels, size[1]))
        nearest, points = (
            np.histogram2d(pixel_row[which], pixel_column[which], edges)[0]
            for which in (self._own, slice(None))
        )
        channels = [
            seen * (measured - depth) / unit, seen, own_there * (own - depth) / unit, own_there,
            (seen & there) * (front - measured) / unit, nearest / np.maximum(points, 1),
        ]  # fmt: skip
        return np.stack(channels).clip(-1, 1).astype(np.float32)

    def place(self) -> np.ndarray:
        """Where the square is, (6,) float32 in [-8, 8], lengths in the target's unit: how far right and down
        of the slot's centre its middle is, and half its width, at the depth of the centre; that depth; cosine
        and sine of the camera's pitch."""
        target = self.state.target
        (row, column), half = self._square
        x, y, depth = self._centre
        (fx, _, cx), (_, fy, cy), _ = target.intrinsics
        lengths = [(column - cx) / fx * depth - x, (row - cy) / fy * depth - y, half / fx * depth, depth]
        turn = target.cam_to_frame[:3, :3]
        place = np.array([*np.divide(lengths, target.unit), -turn[1, 1], turn[1, 2]])
        return place.clip(-REACH, REACH).astype(np.float32)

    @cached_property
    def _square(self) -> tuple[np.ndarray, float]:
        """Row and column of its middle, and half its width, pixels."""
        state, size = self.state, self.state.target.depth.shape
        pixels = [*np.divmod(state.pixels[self._own], size[1])], np.nonzero(state.inverse_depth[self.index])
        shown = np.concatenate(pixels, axis=1)
        if not shown.shape[1]:
            shown = np.array([[0, size[0] - 1], [0, size[1] - 1]])
        low, high = shown.min(axis=1), shown.max(axis=1) + 1
        return (low + high) / 2, max(MARGIN * float((high - low).max()) / 2, LEAST)

    @cached_property
    def _own(self) -> np.ndarray:
        """(N,) bool: which of the points are nearest to the slot."""
        return self.state.present[self.index] & (self.state.squared.argmin(axis=0) == self.index)

    @cached_property
    def _centre(self) -> np.ndarray:
        """The slot's centre in the camera's axes, metres (3,)."""
        slot = self.state.slots[self.index]
        return (inverse_pose(self.state.target.cam_to_frame) @ [*slot[1:4], 1.0])[:3]


def _depth(inverse: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Metres of 1/z, 0 where that is 0, and where it is not."""
    there = inverse > 0
    return np.divide(1.0, inverse, out=np.zeros_like(inverse), where=there), there
