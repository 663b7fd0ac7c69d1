"""What a camera saw: the one type that renderers, simulators, sensors and backbones exchange."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

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

    @classmethod
    def painted_later(cls, paint: Callable[[], np.ndarray], **others: Any) -> View:
        """A view whose ``rgb`` is what ``paint()`` returns, called when it is first read: whoever looks at
        depth alone need not wait for colours. others: the other fields."""
        view = object.__new__(cls)
        view.__dict__.update(others, _paint=paint)
        return view

    if not TYPE_CHECKING:

        def __getattr__(self, name):
            """``rgb`` that has not been read yet."""
            paint = self.__dict__.get("_paint")
            if name != "rgb" or (paint is None and name not in self.__dict__):
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            if paint is not None:  # else another thread has just painted it
                self.__dict__["rgb"] = paint()
                self.__dict__.pop("_paint", None)
            return self.__dict__["rgb"]

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def __getitem__(self, index) -> View:
        """The same index into the leading axes of every field."""
        others = {
            "depth": self.depth[index],
            "intrinsics": self.intrinsics[index],
            "cam_to_world": self.cam_to_world[index],
            "segment": None if self.segment is None else self.segment[index],
        }
        if "rgb" in self.__dict__:
            return View(self.rgb[index], **others)
        return View.painted_later(lambda: self.rgb[index], **others)

    def painted(self) -> View:
        """The same, with its colours worked out by now."""
        _ = self.rgb
        return self

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
