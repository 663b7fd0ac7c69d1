"""Backbones: from several Views to features and a reconstruction.

A backbone is any object with the members of ``Backbone``. Poses go in, and points come out, in whatever
world frame the caller chose for the Views' ``cam_to_world``.

    "compact"      small: compares posed images along rays; trained here, its weights come with the package
    "mapanything"  the real model, where its package and its weights are
    "unproject"    no network: the measured depth, unprojected, and geometric statistics per patch
    "auto"         "mapanything" where package, weights and a GPU are all there, else "compact"
    None           no features; the reconstruction is the measured depth
"""

from __future__ import annotations

import inspect
import logging
from typing import Any

import torch

from spatial_envs.backbones.backbone import Backbone, Encoding
from spatial_envs.geometry.view import View as View

__all__ = ["Backbone", "Encoding", "make_backbone"]

logger = logging.getLogger(__name__)


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
            "an object with the members of spatial_envs.backbones.backbone.Backbone"
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
