"""Backbones: from several Views to features and a reconstruction.

A backbone is any object with the members of ``Backbone``. Poses go in, and points come out, in whatever
world frame the caller chose for the Views' ``cam_to_world``.

    "compact"      MapAnything's construction in small, trained here; its weights come with the package
    "mapanything"  the real model, where its package and its weights are
    "unproject"    no network: the measured depth, unprojected, and geometric statistics per patch
    "auto"         "mapanything" where package, weights and a GPU are all there, else "compact"
    None           no features; the reconstruction is the measured depth
"""

from __future__ import annotations

import inspect
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch

from spatial_envs.view import View

logger = logging.getLogger(__name__)

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
    per_view         [B][N]: what of each view does not depend on the others, to be handed back with it; None
                     where the backbone keeps nothing
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
    """

    name: str
    dim: int
    patch: int
    independent: bool

    def encode(
        self, views: View, view_mask: np.ndarray, known: Sequence[Sequence[Any]] | None = None
    ) -> Encoding:
        """Encode B sets of N views (View with axes (B, N)); view_mask (B, N) bool is False for padding, which
        comes last. known: [B][N], what an earlier ``Encoding.per_view`` held for the same view, None for a
        new one; only a backbone that fills ``per_view`` is given it."""
        ...

    def statistics(self, frame: str, pooling: str) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation (D,) of the features in that frame: "gravity", "first_view", "world",
        or for navigation "agent"; with that pooling, "mean" or "none". For standardising."""
        ...


def make_backbone(
    backbone: str | Backbone | None, backbone_kwargs: dict[str, Any] | None = None, device: str = "auto"
) -> Backbone | None:
    """A backbone by name, or the object itself; no weights are read and no GPU is touched.

    ValueError for an unknown name or argument and for a file that is not what it should be, ImportError where
    a package is absent, FileNotFoundError where a checkpoint is.
    """
    if not isinstance(backbone_kwargs or {}, dict):
        raise ValueError(f"backbone_kwargs: got {backbone_kwargs!r}; expected a dict of arguments")
    kwargs = dict(backbone_kwargs or {})
    if backbone is None:
        return None
    if backbone == "auto":
        backbone = _best(kwargs)
    if not isinstance(backbone, str) and isinstance(backbone, Backbone):
        return backbone
    made: type
    if backbone == "unproject":
        from spatial_envs.backbones.unproject import Unproject as made
    elif backbone == "compact":
        from spatial_envs.backbones.compact import Compact as made
    elif backbone == "mapanything":
        from spatial_envs.backbones.mapanything import MapAnythingBackbone as made
    else:
        raise ValueError(
            f"backbone: got {backbone!r}; expected 'auto', 'compact', 'mapanything', 'unproject', None, or "
            "an object with the members of spatial_envs.backbones.Backbone"
        )
    parameters = inspect.signature(made).parameters
    valid = [name for name in parameters if name != "device"]
    for key in kwargs:
        if key not in valid:
            raise ValueError(
                f"backbone_kwargs: got {key!r}; {backbone!r} takes {', '.join(valid) if valid else 'none'}"
            )
    return made(**kwargs, device=device) if "device" in parameters else made(**kwargs)


def _best(kwargs: dict[str, Any]) -> str:
    """What "auto" means here, said in one log line; found out by files and NVML alone."""
    from spatial_envs.backbones import mapanything
    from spatial_envs.backbones.checkpoint import PAGE, V1, is_here

    checkpoint = str(kwargs.get("checkpoint", V1))
    if not mapanything.is_installed():
        logger.info("backbone='auto' is 'compact' here: there is no package mapanything")
    elif not is_here(checkpoint):
        logger.warning(
            "backbone='auto' is 'compact' here: mapanything is installed, but not the weights of %s; %s",
            checkpoint, PAGE,
        )  # fmt: skip
    elif torch.cuda.device_count() == 0:
        logger.info("backbone='auto' is 'compact' here: MapAnything wants a GPU")
    else:
        logger.info("backbone='auto' is 'mapanything' here, with %s", checkpoint)
        return "mapanything"
    kwargs.pop("checkpoint", None)  # was meant for MapAnything
    return "compact"


# ---- what the networks share


class NetworkBackbone(Backbone, Protocol):
    """What "compact" and "mapanything" offer beyond ``Backbone``.

    net    the network, on its device, loaded when first asked for
    given  of ``encode``: (B, N) bool for "intrinsics", "depth", "pose": which views come with them; else the
           constructor's
    grad   of ``encode``: whether gradients reach the views' ``cam_to_world``, which may then be a tensor
    """

    @property
    def net(self) -> torch.nn.Module:
        """See the class."""
        ...

    def encode(
        self,
        views: View,
        view_mask: np.ndarray,
        known: Sequence[Sequence[Any]] | None = None,
        given: Mapping[str, np.ndarray] | None = None,
        grad: bool = False,
    ) -> Encoding:
        """See the class."""
        ...


def checked_inputs(inputs: Sequence[str]) -> tuple[str, ...]:
    """The inputs of a network, in the order of INPUTS; ValueError for what is none, or depth without a
    lens."""
    if isinstance(inputs, str) or not set(inputs) <= set(INPUTS):
        raise ValueError(f"inputs: got {inputs!r}; expected some of {list(INPUTS)}")
    if "depth" in inputs and "intrinsics" not in inputs:
        raise ValueError(f"inputs: got {list(inputs)}; depth needs intrinsics beside it")
    return tuple(name for name in INPUTS if name in inputs)


def checked_batch(
    views: View,
    view_mask: np.ndarray,
    patch: int,
    inputs: Sequence[str],
    given: Mapping[str, np.ndarray] | None,
) -> dict[str, np.ndarray]:
    """Which views (B, N) come with which inputs, by name; ValueError for what a network cannot take."""
    check_patches(views, patch)
    if not view_mask[:, 0].all() or (np.diff(view_mask.astype(np.int8), axis=1) > 0).any():
        raise ValueError("view_mask: got padding before a view; expected it after at least one")
    flags = {name: view_mask & (name in inputs) for name in INPUTS}
    for name, mask in (given or {}).items():
        if name not in INPUTS or np.shape(mask) != view_mask.shape:
            raise ValueError(
                f"given: got {name!r} of shape {np.shape(mask)}; expected some of {list(INPUTS)}, "
                f"each {view_mask.shape}"
            )
        flags[name] = view_mask & np.asarray(mask, np.bool_)
    if (flags["depth"] & ~flags["intrinsics"]).any():
        raise ValueError("given: got depth for a view without intrinsics; expected both")
    if (flags["pose"].any(axis=1) & ~flags["pose"][:, 0]).any():
        raise ValueError("given: got poses without the first view's; expected that too")
    return flags


def check_patches(views: View, patch: int) -> None:
    """ValueError for images that are no whole number of patches."""
    height, width = views.image_size
    if height % patch or width % patch:
        raise ValueError(f"views: got images of {height} x {width} pixels; expected multiples of {patch}")


def split_known(
    view_mask: np.ndarray, known: Sequence[Sequence[Any]] | None
) -> tuple[list[list[Any]], list[tuple[int, int]]]:
    """A ``per_view`` to fill, with what is known of the views (B, N), and where (b, n) views are new."""
    per_view = [list(row) for row in known] if known else [[None] * view_mask.shape[1] for _ in view_mask]
    return per_view, [(b, n) for b, n in zip(*np.nonzero(view_mask), strict=True) if per_view[b][n] is None]


def as_tensor(values: np.ndarray | torch.Tensor, device: torch.device) -> torch.Tensor:
    """On the device; a tensor keeps its graph, and an array that may not be written to is copied."""
    if isinstance(values, np.ndarray) and not values.flags.writeable:
        values = values.copy()
    return torch.as_tensor(values).to(device)


def measured_statistics(name: str, frame: str, pooling: str) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (D,) float32 from <name>.json beside this file."""
    text = resources.files("spatial_envs.backbones").joinpath(f"{name}.json").read_text(encoding="utf-8")
    entry = json.loads(text)[frame][pooling]
    return np.array(entry["mean"], np.float32), np.array(entry["std"], np.float32)
