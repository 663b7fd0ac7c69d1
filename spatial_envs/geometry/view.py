"""What a camera saw: the one type that renderers, simulators, sensors and backbones exchange."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True, eq=False)
class View:
    """One image, or a batch of them with any leading axes ``...``.

    rgb           (..., H, W, 3) uint8
    depth         (..., H, W) float32, metres along the optical axis; 0 where nothing was hit
    intrinsics    (..., 3, 3) float32, pixels; pixel (row i, column j) has its centre at (j + 0.5, i + 0.5)
    cam_to_world  (..., 4, 4) float32, metres; OpenCV camera axes: +X right, +Y down, +Z forward
    segment       (..., H, W) int32 or None: object id, 0 = background
    """

    rgb: np.ndarray
    depth: np.ndarray
    intrinsics: np.ndarray
    cam_to_world: np.ndarray
    segment: np.ndarray | None = None

    def __getitem__(self, index) -> View:
        """The same index into the leading axes of every field."""
        segment = None if self.segment is None else self.segment[index]
        return View(
            self.rgb[index], self.depth[index], self.intrinsics[index], self.cam_to_world[index], segment
        )

    @property
    def image_size(self) -> tuple[int, int]:
        """(H, W)."""
        return self.depth.shape[-2], self.depth.shape[-1]

    def moved(self, transform: np.ndarray) -> View:
        """The same view with its poses in another frame: ``transform`` (..., 4, 4) is applied on the left."""
        return replace(self, cam_to_world=(transform @ self.cam_to_world).astype(np.float32))


def stack_views(views: Sequence[View]) -> View:
    """Views of one shape as one View with a new first axis."""
    segments = [view.segment for view in views]
    return View(
        np.stack([view.rgb for view in views]),
        np.stack([view.depth for view in views]),
        np.stack([view.intrinsics for view in views]),
        np.stack([view.cam_to_world for view in views]),
        None if any(s is None for s in segments) else np.stack(segments),  # type: ignore[arg-type]
    )
