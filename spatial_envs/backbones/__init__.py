"""Backbones: from several Views to features and a reconstruction.

A backbone is any object with the members of ``Backbone``. Poses go in, and points come out, in whatever
world frame the caller chose for the Views' ``cam_to_world``.

    "auto"        the best that this machine has; today that is "unproject"
    "unproject"   no network: the measured depth, unprojected, and geometric statistics per patch
    None          no features; the reconstruction is the measured depth
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch

from spatial_envs.view import View

logger = logging.getLogger(__name__)


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
    """

    tokens: torch.Tensor
    points: torch.Tensor
    confidence: torch.Tensor
    mask: torch.Tensor
    ray_directions: torch.Tensor | None = None
    depth_along_ray: torch.Tensor | None = None
    cam_to_world: torch.Tensor | None = None
    scale: torch.Tensor | None = None


@runtime_checkable
class Backbone(Protocol):
    """What a backbone must offer; an object of your own needs no registration.

    name         as printed in tables
    dim          D, known without weights
    patch        side of a patch, pixels: images must be multiples of it
    independent  True: a view's tokens and points do not depend on the other views, so that callers may
                 encode each view once; False: all views of a set are encoded again with every new one
    """

    name: str
    dim: int
    patch: int
    independent: bool

    def encode(self, views: View, view_mask: np.ndarray) -> Encoding:
        """Encode B sets of N views (View with axes (B, N)); view_mask (B, N) bool is False for padding."""
        ...

    def statistics(self, frame: str, pooling: str) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation (D,) of the features in that frame, "gravity", "first_view" or
        "world", with that pooling, "mean" or "none", for standardising."""
        ...


def make_backbone(
    backbone: str | Backbone | None, backbone_kwargs: dict[str, Any] | None = None, device: str = "auto"
) -> Backbone | None:
    """A backbone by name, or the object itself. ValueError for an unknown name."""
    if not isinstance(backbone_kwargs or {}, dict):
        raise ValueError(f"backbone_kwargs: got {backbone_kwargs!r}; expected a dict of arguments")
    kwargs = dict(backbone_kwargs or {})
    if backbone is None:
        return None
    if backbone == "auto":
        logger.info("backbone='auto' is 'unproject' here")
        backbone = "unproject"
    if backbone == "unproject":
        from spatial_envs.backbones.unproject import Unproject

        if kwargs:
            raise ValueError(f"backbone_kwargs: got {sorted(kwargs)}; 'unproject' takes none")
        return Unproject()
    if not isinstance(backbone, str) and isinstance(backbone, Backbone):
        return backbone
    raise ValueError(
        f"backbone: got {backbone!r}; expected 'auto', 'unproject', None, or an object with the members of "
        "spatial_envs.backbones.Backbone"
    )
