"""What every backbone promises."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch

from spatial_envs.geometry.view import View

INPUTS = ("intrinsics", "depth", "pose")  # what a network may be given besides the images


@dataclass(frozen=True, eq=False)
class Encoding:
    """What a backbone makes of B sets of N views; torch tensors, points and poses in the Views' world frame.

    tokens           (B, N, P, D) float32: the last multi-view layer, one per patch
    points           (B, N, H, W, 3) float32, metres
    confidence       (B, N, H, W) float32
    mask             (B, N, H, W) bool: where there is a point that the backbone is confident of
    and what the model factored, where it does:
    ray_directions   (B, N, H, W, 3); depth_along_ray (B, N, H, W), metres
    cam_to_world     (B, N, 4, 4), predicted; scale (B,)
    per_view         ``[B][N]``: what of each view does not depend on the others, to be handed back with it;
                     None where the backbone keeps nothing
    """

    tokens: torch.Tensor
    points: torch.Tensor
    confidence: torch.Tensor
    mask: torch.Tensor
    ray_directions: torch.Tensor | None = None
    depth_along_ray: torch.Tensor | None = None
    cam_to_world: torch.Tensor | None = None
    scale: torch.Tensor | None = None
    per_view: list[list[Any]] | None = None


class Undecoded(Encoding):
    """An encoding of which only tokens and per_view are there; the rest is made when it is first read.

    decode  returns it: by name, all that ``Encoding`` has besides
    """

    def __init__(
        self,
        tokens: torch.Tensor,
        decode: Callable[[], dict[str, Any]],
        per_view: list[list[Any]] | None = None,
    ) -> None:
        self.__dict__.update(tokens=tokens, per_view=per_view, decode=decode)

    @cached_property
    def decoded(self) -> dict[str, Any]:
        """What ``decode`` returned."""
        return self.__dict__.pop("decode")()

    points = property(lambda self: self.decoded["points"])
    confidence = property(lambda self: self.decoded["confidence"])
    mask = property(lambda self: self.decoded["mask"])
    ray_directions = property(lambda self: self.decoded.get("ray_directions"))
    depth_along_ray = property(lambda self: self.decoded.get("depth_along_ray"))
    cam_to_world = property(lambda self: self.decoded.get("cam_to_world"))
    scale = property(lambda self: self.decoded.get("scale"))


@runtime_checkable
class Backbone(Protocol):
    """What a backbone must offer; an object of your own needs no registration.

    name         as printed in tables
    dim          D, known without weights
    patch        side of a patch, pixels: images must be multiples of it
    independent  True: a view's tokens and points do not depend on the other views, so that callers may
                 encode each view once; False: all views of a set are encoded again with every new one
    and, if it has them,
    image_size   the image side that it was made for, pixels; otherwise 112
    light        True: one thread of a CPU serves it best, and environments keep torch to it; otherwise False
    measured     True: its points are those of the measured depth, which whoever wants no more may take
    """

    name: str
    dim: int
    patch: int
    independent: bool

    def encode(
        self, views: View, view_mask: np.ndarray, known: Sequence[Sequence[Any]] | None = None
    ) -> Encoding:
        """Encode B sets of N views (View with axes (B, N)); view_mask (B, N) bool is False for padding, which
        comes last. known: ``[B][N]``, what an earlier ``Encoding.per_view`` held for the same view, None for
        a new one; only a backbone that fills ``per_view`` is given it."""
        ...

    def statistics(self, frame: str, pooling: str) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation (D,) of the features in that frame: "gravity", "first_view", "world",
        or for navigation "agent"; with that pooling, "mean", "grid" or "none". For standardising."""
        ...
