"""The backbone without a network: measured depth becomes points, and each patch its geometric statistics.

A token of a 14 x 14 patch, each entry a mean over all pixels of the patch, 0 where nothing was hit
(so that the mean over patches is the same statistic of the whole image):

     0      hit share
     1-3    position                       4-9    its second moments xx yy zz xy yz zx
    10-12   normal, towards the camera    13-18   its second moments
    19-21   colour, 0 to 1                22-24   its squares
    25-27   viewing direction             28      cosine between normal and viewing direction
    29      depth, metres                 30      its square
    31      share of pixels on a depth edge or silhouette

Positions, normals and directions are in the frame of the views' poses; metres.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from spatial_envs.backbones.backbone import Encoding
from spatial_envs.backbones.networks import check_patches, measured_statistics
from spatial_envs.foundation.compilation import njit
from spatial_envs.foundation.threads import side_by_side
from spatial_envs.geometry.camera import unproject
from spatial_envs.geometry.view import View

DIM, PATCH = 32, 14
EDGE = 0.05  # metres between neighbouring pixels that count as a depth edge


class Unproject:
    """See ``spatial_envs.backbones.backbone.Backbone``.

    threads  in which views are looked at side by side; None: as many as there are cores
    """

    threads: int | None = 1
    name = "unproject"
    dim = DIM
    patch = PATCH
    independent = True
    light = True
    measured = True

    def encode(self, views: View, view_mask: np.ndarray, known: Any = None) -> Encoding:
        """Encode views (B, N); H and W multiples of 14."""
        sets, count = view_mask.shape
        height, width = views.image_size
        check_patches(views, PATCH)
        patches = (height // PATCH) * (width // PATCH)
        tokens = np.zeros((sets, count, patches, DIM), np.float32)
        points = np.zeros((sets, count, height, width, 3), np.float32)

        def encode(row: int, column: int) -> None:
            view = views[row, column]
            points[row, column] = unproject(view.depth, view.intrinsics, view.cam_to_world)
            _describe(points[row, column], view.rgb, view.depth, view.cam_to_world, tokens[row, column])

        side_by_side(encode, *np.nonzero(view_mask), threads=self.threads)
        mask = (views.depth > 0) & view_mask[..., None, None]
        return Encoding(
            torch.from_numpy(tokens), torch.from_numpy(points),
            torch.from_numpy(mask.astype(np.float32)), torch.from_numpy(mask),
        )  # fmt: skip

    def statistics(self, frame: str, pooling: str) -> tuple[np.ndarray, np.ndarray]:
        """Measured on the train split; ``python -m agents.backbone.statistics`` makes them."""
        return measured_statistics("unproject", frame, pooling)


@njit
def _describe(points, rgb, depth, cam_to_world, tokens):
    height, width = depth.shape
    columns = width // PATCH
    share = np.float32(1.0 / (PATCH * PATCH))
    normal = np.zeros(3, np.float32)
    ray = np.zeros(3, np.float32)
    for row in range(height):
        for column in range(width):
            z = depth[row, column]
            if z <= 0.0:
                continue
            token = tokens[(row // PATCH) * columns + column // PATCH]
            length = np.float32(0.0)
            for axis in range(3):
                ray[axis] = points[row, column, axis] - cam_to_world[axis, 3]
                length += ray[axis] * ray[axis]
            ray /= np.sqrt(length)
            edge, cosine = _normal(points, depth, row, column, ray, normal)
            token[0] += share
            for axis in range(3):
                after = (axis + 1) % 3
                p, n = points[row, column, axis], normal[axis]
                c = np.float32(rgb[row, column, axis]) / np.float32(255.0)
                token[1 + axis] += share * p
                token[4 + axis] += share * p * p
                token[7 + axis] += share * p * points[row, column, after]
                token[10 + axis] += share * n
                token[13 + axis] += share * n * n
                token[16 + axis] += share * n * normal[after]
                token[19 + axis] += share * c
                token[22 + axis] += share * c * c
                token[25 + axis] += share * ray[axis]
            token[28] += share * cosine
            token[29] += share * z
            token[30] += share * z * z
            if edge:
                token[31] += share


@njit(inline="always")
def _normal(points, depth, row, column, ray, normal):
    """Surface normal from the neighbouring points, towards the camera; whether the pixel lies on an edge;
    and minus the cosine between normal and ray. Without usable neighbours the normal faces the camera."""
    height, width = depth.shape
    z = depth[row, column]
    edge = False
    sides = np.zeros((2, 3), np.float32)
    for along in range(2):
        for step in (-1, 1):
            r = row + (step if along == 0 else 0)
            c = column + (step if along == 1 else 0)
            if r < 0 or c < 0 or r >= height or c >= width:
                continue
            if depth[r, c] <= 0.0 or abs(depth[r, c] - z) > EDGE:
                edge = True
                continue
            for axis in range(3):
                sides[along, axis] += step * (points[r, c, axis] - points[row, column, axis])
    length = np.float32(0.0)
    cosine = np.float32(0.0)
    for axis in range(3):
        b, c = (axis + 1) % 3, (axis + 2) % 3
        normal[axis] = sides[0, b] * sides[1, c] - sides[0, c] * sides[1, b]
        length += normal[axis] * normal[axis]
        cosine -= normal[axis] * ray[axis]
    if length < 1e-20:
        for axis in range(3):
            normal[axis] = -ray[axis]
        return edge, np.float32(1.0)
    scale = np.float32(1.0) / np.sqrt(length)
    if cosine < 0.0:
        scale = -scale
    for axis in range(3):
        normal[axis] *= scale
    return edge, cosine * scale
