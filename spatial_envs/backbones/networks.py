"""What backbones that are networks share: checked inputs, batches, tensors."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any, Protocol

import numpy as np
import torch

from spatial_envs.backbones.backbone import INPUTS, Backbone, Encoding
from spatial_envs.geometry.view import View

# ---- what the networks share


class NetworkBackbone(Backbone, Protocol):
    """What "compact" and "mapanything" offer beyond ``Backbone``.

    net    the network, on its device, loaded when first asked for
    needs  which of "intrinsics", "depth", "pose" every view must come with
    given  of ``encode``: (B, N) bool for "intrinsics", "depth", "pose": which views come with them; else the
           constructor's
    grad   of ``encode``: whether gradients reach the views' ``cam_to_world``, which may then be a tensor
    """

    needs: tuple[str, ...]

    @property
    def net(self) -> torch.nn.Module:
        """The network; it is loaded when it is first asked for."""
        ...

    def encode(
        self,
        views: View,
        view_mask: np.ndarray,
        known: Sequence[Sequence[Any]] | None = None,
        given: Mapping[str, np.ndarray] | None = None,
        grad: bool = False,
    ) -> Encoding:
        """Return the encoding of the views, as ``Backbone.encode`` promises."""
        ...


def checked_inputs(inputs: Sequence[str]) -> tuple[str, ...]:
    """The inputs of a network, in the order of INPUTS; ValueError for what is none, or depth without a
    intrinsics."""
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
