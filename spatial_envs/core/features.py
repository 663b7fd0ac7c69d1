"""The features of an episode's views: a backbone, called once for all rows, and what observations show of it.

Sets of views -> encoding (``Features.encode``) -> pooled tokens (``Features.pooled``) -> standardised rows of
an observation (``Features.standard``).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from gymnasium import spaces

from spatial_envs.backbones import make_backbone
from spatial_envs.backbones.backbone import Encoding
from spatial_envs.core.settings import Settings
from spatial_envs.foundation.arguments import check_choice, checked_image_size
from spatial_envs.geometry.camera import inverse_pose
from spatial_envs.geometry.view import View, stack_views

LIMIT = 10.0  # standardised features are clipped to +- this
GRID = 4  # of a side, into which pooling "grid" divides an image


class Features:
    """A backbone as a task uses it: the one of its settings, or none, then there are no features.

    threads  of the settings: in which rows run side by side
    frame  of the views' poses; the backbone knows mean and standard deviation of its features in it
    """

    def __init__(self, settings: Settings, frame: str) -> None:
        self.backbone = make_backbone(settings.backbone, settings.backbone_kwargs, settings.device)
        self.threads = settings.threads
        if self.backbone is not settings.backbone and hasattr(self.backbone, "threads"):
            self.backbone.threads = settings.threads  # type: ignore[union-attr]
        self.name = "none" if self.backbone is None else self.backbone.name
        self.pooling, self.frame = settings.pooling, frame

    def image_size(self, wanted: Any) -> tuple[int, int]:
        """(H, W): the size wanted, or for None the backbone's own. ValueError for one that it cannot see."""
        if wanted is None:
            wanted = getattr(self.backbone, "image_size", 112)
        return checked_image_size(wanted, 1 if self.backbone is None else self.backbone.patch)

    def reconstruction(self, wanted: str | None, *others: str) -> str:
        """Whose points the reconstruction is made of: "backbone", "depth" or one of the family's ``others``;
        for None the backbone's, where there is one."""
        if wanted is None:
            return "depth" if self.backbone is None else "backbone"
        check_choice("reconstruction", wanted, ("backbone", "depth", *others))
        if wanted == "backbone" and self.backbone is None:
            expected = " or ".join(map(repr, ("depth", *others)))
            raise ValueError(f"reconstruction: got 'backbone' with backbone=None; expected {expected}")
        return wanted

    def box(self, image_size: tuple[int, int], *window: int) -> spaces.Box:
        """The observation "features" of images (H, W): one view's, or with a leading axis for a window."""
        assert self.backbone is not None
        rows, columns = self._patches(image_size)
        if self.pooling == "grid":
            rows, columns = grid_of(rows, columns)
        token = (self.backbone.dim,) if self.pooling == "mean" else (rows * columns, self.backbone.dim)
        return spaces.Box(-LIMIT, LIMIT, (*window, *token), np.float32)

    def _patches(self, image_size: tuple[int, int]) -> tuple[int, int]:
        assert self.backbone is not None
        return image_size[0] // self.backbone.patch, image_size[1] // self.backbone.patch

    def encode(
        self,
        sets: Sequence[Sequence[View]],
        frames: Sequence[np.ndarray],
        kept: Sequence[Sequence[Any] | None],
    ) -> Encoding:
        """One backbone call for B sets of views, each in its frame (4, 4), frame to world; kept: [B][n], what
        the backbone kept of the first n views of each set, see ``Encoding.per_view``."""
        assert self.backbone is not None
        views, view_mask, known = batched(sets, kept)
        views = views.moved(np.stack([inverse_pose(frame) for frame in frames])[:, None])
        if any(each is not None for row in known for each in row):
            return self.backbone.encode(views, view_mask, known)
        return self.backbone.encode(views, view_mask)

    def pooled(
        self, encoding: Encoding, counts: Sequence[int], image_size: tuple[int, int]
    ) -> list[np.ndarray]:
        """For each set the tokens of its first n views, float32: (n, D), with pooling "grid" (n, P', D),
        without pooling (n, P, D); image_size of the views."""
        tokens = pool(encoding.tokens, self.pooling, self._patches(image_size))
        return [tokens[row, :count].float().cpu().numpy() for row, count in enumerate(counts)]

    @cached_property
    def statistics(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation (D,) of the features."""
        assert self.backbone is not None
        return self.backbone.statistics(self.frame, self.pooling)

    def standard(self, pooled: np.ndarray | None) -> np.ndarray:
        """(..., D) float32: pooled tokens as observations show them."""
        assert pooled is not None
        mean, deviation = self.statistics
        return np.clip((pooled - mean) / deviation, -LIMIT, LIMIT).astype(np.float32)


def pool(tokens: torch.Tensor, pooling: str, patches: tuple[int, int]) -> torch.Tensor:
    """Tokens (B, N, P, D) of so many rows and columns of patches: "mean" over them (B, N, D), over the cells
    of a "grid" of at most 4 x 4 (B, N, P', D), or "none"."""
    if pooling == "mean":
        return tokens.mean(dim=2)
    if pooling == "none":
        return tokens
    maps = tokens.flatten(0, 1).transpose(1, 2).unflatten(2, patches)
    cells = F.adaptive_avg_pool2d(maps, grid_of(*patches))
    return cells.flatten(2).transpose(1, 2).unflatten(0, tokens.shape[:2])


def grid_of(rows: int, columns: int) -> tuple[int, int]:
    """Rows and columns of the cells into which pooling "grid" gathers so many patches."""
    return min(rows, GRID), min(columns, GRID)


def batched(
    sets: Sequence[Sequence[View]], kept: Sequence[Sequence[Any] | None]
) -> tuple[View, np.ndarray, list[list[Any]]]:
    """Sets of views as one batch (B, N), each padded with its last view to the longest; which of them are no
    padding, (B, N) bool; and [B][N] what a backbone kept of each, None for the others."""
    longest = max(len(views) for views in sets)
    batch = stack_views([stack_views([*views, *[views[-1]] * (longest - len(views))]) for views in sets])
    view_mask = np.array([[k < len(views) for k in range(longest)] for views in sets])
    return batch, view_mask, [[*(row or []), *[None] * longest][:longest] for row in kept]
