"""A measured depth's noise, averaged over what lies on the same surface."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from spatial_envs.foundation.compilation import njit

ALIKE = 0.04  # log of depth: what differs by less from a pixel, lies on the same surface
REACH = 2  # pixels to each side


def smoothed(values: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
    """(M, H, W): means of the values (M, H, W) that are there (M, H, W) bool, over those of 5 x 5 pixels that
    differ by less than 0.04 from the pixel's own; where it has none, over all of them, and 0 where none is
    there. On a CPU, in float32 and where no gradient is asked for, by the kernel."""
    if values.device.type != "cpu" or values.dtype != torch.float32 or values.requires_grad:
        return smoothed_by_torch(values, there)
    out = np.empty(values.shape, np.float32)
    _smoothed(values.contiguous().numpy(), there.contiguous().numpy(), out)
    return torch.from_numpy(out)


@njit(error_model="numpy")
def _smoothed(values, there, out):
    views, height, width = values.shape
    for m in range(views):
        for row in range(height):
            for column in range(width):
                own, has = values[m, row, column], there[m, row, column]
                total, count = np.float32(0.0), 0
                for r in range(max(row - REACH, 0), min(row + REACH + 1, height)):
                    for c in range(max(column - REACH, 0), min(column + REACH + 1, width)):
                        value = values[m, r, c]
                        if there[m, r, c] and (not has or abs(value - own) < np.float32(ALIKE)):
                            total += value
                            count += 1
                out[m, row, column] = total / max(count, 1)


def smoothed_by_torch(values: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
    """The kernel's twin, on any device, in any floating type, with gradients."""
    flat = F.unfold(
        torch.stack([values * there, there.to(values.dtype)], dim=1), 2 * REACH + 1, padding=REACH
    )
    near, count = flat.unflatten(1, (2, -1)).unbind(1)
    own, has = values.flatten(1)[:, None], there.flatten(1)[:, None]
    like = count * (((near - own).abs() < ALIKE) | ~has)
    mean = (near * like).sum(dim=1) / like.sum(dim=1).clamp_min(1)
    return mean.unflatten(1, values.shape[1:])
