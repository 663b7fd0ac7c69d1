"""The second pass of the built-in renderer: depth and object of the pixels that were hit, and their colour.

Perspective-correct barycentrics follow from the ray through the pixel, b_i ~ d . (v_j x v_k), which needs
nothing stored and holds for clipped triangles as well.
"""

from __future__ import annotations

import math

import numpy as np

from spatial_envs.foundation.compilation import njit
from spatial_envs.rendering.renderer import SUN_DIRECTION, light


@njit(error_model="numpy")
def measure(inverse_depth, face_ids, face_segments, depth, segment):
    """Fill ``depth`` and ``segment`` where a face was hit."""
    for row in range(np.uint64(0), np.uint64(face_ids.shape[0])):
        for column in range(np.uint64(0), np.uint64(face_ids.shape[1])):
            face = face_ids[row, column]
            if face >= 0:
                depth[row, column] = 1.0 / inverse_depth[row, column]
                segment[row, column] = face_segments[face]


@njit(error_model="numpy")
def shade(
    inverse_depth, face_ids, vertices, faces, corner_normals, colors,
    uv, face_texture, texel_density, levels, texels, rotation, centre, intrinsics, lit, rgb,
):  # fmt: skip
    """Fill ``rgb`` where a face was hit."""
    height, width = face_ids.shape
    r00, r01, r02 = rotation[0, 0], rotation[0, 1], rotation[0, 2]
    r10, r11, r12 = rotation[1, 0], rotation[1, 1], rotation[1, 2]
    r20, r21, r22 = rotation[2, 0], rotation[2, 1], rotation[2, 2]
    fx, fy, cx, cy = intrinsics[0], intrinsics[1], intrinsics[2], intrinsics[3]
    corner, cross = np.empty((3, 3)), np.empty((3, 3))
    known = -1
    for row in range(np.uint64(0), np.uint64(height)):
        y = (row + 0.5 - cy) / fy
        for column in range(np.uint64(0), np.uint64(width)):
            face = face_ids[row, column]
            if face < 0:
                continue
            if face != known:  # neighbours mostly show the same one
                known = face
                i, j, k = faces[face, 0], faces[face, 1], faces[face, 2]
                for axis in range(3):
                    corner[0, axis] = vertices[i, axis] - centre[axis]
                    corner[1, axis] = vertices[j, axis] - centre[axis]
                    corner[2, axis] = vertices[k, axis] - centre[axis]
                _cross(corner[1], corner[2], cross[0])
                _cross(corner[2], corner[0], cross[1])
                _cross(corner[0], corner[1], cross[2])
                texture = face_texture[face]
            z = 1.0 / inverse_depth[row, column]
            x = (column + 0.5 - cx) / fx
            dx, dy, dz = r00 * x + r10 * y + r20, r01 * x + r11 * y + r21, r02 * x + r12 * y + r22
            a, b, c = _barycentric(
                dx * cross[0, 0] + dy * cross[0, 1] + dz * cross[0, 2],
                dx * cross[1, 0] + dy * cross[1, 1] + dz * cross[1, 2],
                dx * cross[2, 0] + dy * cross[2, 1] + dz * cross[2, 2],
            )
            red = a * colors[i, 0] + b * colors[j, 0] + c * colors[k, 0]
            green = a * colors[i, 1] + b * colors[j, 1] + c * colors[k, 1]
            blue = a * colors[i, 2] + b * colors[j, 2] + c * colors[k, 2]
            if lit or texture >= 0:
                n = corner_normals[face]
                nx = a * n[0, 0] + b * n[1, 0] + c * n[2, 0]
                ny = a * n[0, 1] + b * n[1, 1] + c * n[2, 1]
                nz = a * n[0, 2] + b * n[1, 2] + c * n[2, 2]
                facing = nx * dx + ny * dy + nz * dz
                squared = max(nx * nx + ny * ny + nz * nz, 1e-12)
            if texture >= 0:
                u = a * uv[i, 0] + b * uv[j, 0] + c * uv[k, 0]
                v = a * uv[i, 1] + b * uv[j, 1] + c * uv[k, 1]
                slant = abs(facing) / math.sqrt(squared * (1.0 + x * x + y * y))
                footprint = (texel_density[face] * z) ** 2 / (fx * fx * max(slant, 0.05))
                tr, tg, tb = _texture(u, v, footprint, levels, texture, texels)
                red, green, blue = red * tr, green * tg, blue * tb
            if lit:
                scale = (-1.0 if facing > 0.0 else 1.0) / math.sqrt(squared)
                nx, ny, nz = nx * scale, ny * scale, nz * scale
                lambert = nx * SUN_DIRECTION[0] + ny * SUN_DIRECTION[1] + nz * SUN_DIRECTION[2]
                brightness = light(ny, max(lambert, 0.0))
                red, green, blue = red * brightness, green * brightness, blue * brightness
            rgb[row, column, 0] = int(min(red + 0.5, 255.0))
            rgb[row, column, 1] = int(min(green + 0.5, 255.0))
            rgb[row, column, 2] = int(min(blue + 0.5, 255.0))


@njit(error_model="numpy")
def _cross(p, q, out):
    out[0] = p[1] * q[2] - p[2] * q[1]
    out[1] = p[2] * q[0] - p[0] * q[2]
    out[2] = p[0] * q[1] - p[1] * q[0]


@njit(error_model="numpy")
def _barycentric(a, b, c):
    """The three, scaled to a sum of one, within the triangle."""
    total = a + b + c
    if total == 0.0:
        return 1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0
    scale = 1.0 / total
    a, b, c = a * scale, b * scale, c * scale
    if a < 0.0 or b < 0.0 or c < 0.0:
        a, b, c = max(a, 0.0), max(b, 0.0), max(c, 0.0)
        scale = 1.0 / (a + b + c)
        a, b, c = a * scale, b * scale, c * scale
    return a, b, c


@njit(error_model="numpy")
def _texture(u, v, footprint, levels, texture, texels):
    """The texture's colour, 0 to 1: bilinear, in the mip level nearest to the pixel's footprint, which
    is in texels, squared."""
    level = 0
    while footprint > 1.414**2 and level + 1 < levels.shape[1] and levels[texture, level + 1, 1] > 0:
        footprint *= 0.25
        level += 1
    offset, height, width = levels[texture, level, 0], levels[texture, level, 1], levels[texture, level, 2]
    x = (u - np.floor(u)) * width - 0.5
    y = (1.0 - (v - np.floor(v))) * height - 0.5
    column, row = np.floor(x), np.floor(y)
    right, below = x - column, y - row
    x0, y0 = int(column), int(row)  # from -1 on, which is the last
    x1 = x0 + 1 if x0 + 1 < width else 0
    y1 = y0 + 1 if y0 + 1 < height else 0
    x0 = x0 if x0 >= 0 else width - 1
    y0 = y0 if y0 >= 0 else height - 1
    a, b = np.uint64(offset + y0 * width + x0), np.uint64(offset + y0 * width + x1)
    c, d = np.uint64(offset + y1 * width + x0), np.uint64(offset + y1 * width + x1)
    # weights of the four texels
    wa, wb = (1.0 - right) * (1.0 - below) / 255.0, right * (1.0 - below) / 255.0
    wc, wd = (1.0 - right) * below / 255.0, right * below / 255.0
    return (
        wa * texels[a, 0] + wb * texels[b, 0] + wc * texels[c, 0] + wd * texels[d, 0],
        wa * texels[a, 1] + wb * texels[b, 1] + wc * texels[c, 1] + wd * texels[d, 1],
        wa * texels[a, 2] + wb * texels[b, 2] + wc * texels[c, 2] + wd * texels[d, 2],
    )
