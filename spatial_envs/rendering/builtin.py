"""The built-in renderer: a z-buffer rasteriser for CPUs, compiled by numba.

Two passes per view. The first fills, triangle by triangle, a buffer of 1/z and of face indices; the second
runs once over the pixels that were hit and shades them. Arithmetic is float64 without fast-math, so one
scene gives the same bits everywhere. Perspective-correct barycentrics follow from the ray through the
pixel, b_i ~ d . (v_j x v_k), which needs nothing stored and holds for clipped triangles as well.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from spatial_envs.mesh import Mesh
from spatial_envs.rendering import AMBIENT, SKY, SUN, SUN_DIRECTION
from spatial_envs.view import View

NEAR = 0.01  # metres; what is closer to the camera's plane is cut off
REACH = 1e-9  # pixels by which triangles overlap


class BuiltinRenderer:
    """RGB, depth and object ids on a CPU; see ``spatial_envs.rendering.Renderer``.

    lit: shade by the sun and sky of ``spatial_envs.rendering``; False shows the colours as they are, for
         buildings whose light is in their colours already (scans, procedural apartments).
    """

    name = "builtin"

    def __init__(self, lit: bool = True):
        self.lit = lit

    def render(
        self, mesh: Mesh, cam_to_world: np.ndarray, intrinsics: np.ndarray, image_size: tuple[int, int]
    ) -> View:
        """Render ``mesh`` from every pose; shapes and units as in ``Renderer.render``."""
        cam_to_world = np.asarray(cam_to_world, np.float64)
        lead = cam_to_world.shape[:-2]
        poses = cam_to_world.reshape(-1, 4, 4)
        rgb = np.zeros((len(poses), *image_size, 3), np.uint8)
        depth = np.zeros((len(poses), *image_size), np.float32)
        segment = np.zeros((len(poses), *image_size), np.int32)
        for row, pose in enumerate(poses):
            inverse_depth, face_ids = rasterise(mesh, pose, intrinsics, image_size)
            _shade(
                inverse_depth, face_ids, mesh.vertices, mesh.faces, mesh.corner_normals, mesh.colors,
                *mesh.texture_lookup, mesh.face_segments, *_camera(pose, intrinsics), self.lit,
                rgb[row], depth[row], segment[row],
            )  # fmt: skip
        intrinsics = np.broadcast_to(np.asarray(intrinsics, np.float32), (*lead, 3, 3))
        return View(
            rgb.reshape(*lead, *image_size, 3), depth.reshape(*lead, *image_size),
            intrinsics, cam_to_world.astype(np.float32), segment.reshape(*lead, *image_size),
        )  # fmt: skip


def rasterise(
    mesh: Mesh, cam_to_world: np.ndarray, intrinsics: np.ndarray, image_size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """The nearest face at every pixel centre: 1/z (H, W) float64, per metre, 0 where nothing was hit, and
    face index (H, W) int32, -1 where nothing was hit. ``cam_to_world`` (4, 4), ``intrinsics`` (3, 3)."""
    inverse_depth = np.zeros(image_size, np.float64)
    face_ids = np.full(image_size, -1, np.int32)
    _fill(mesh.vertices, mesh.faces, *_camera(cam_to_world, intrinsics), inverse_depth, face_ids)
    return inverse_depth, face_ids


def _camera(cam_to_world: np.ndarray, intrinsics: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rotation world to camera (3, 3), camera centre (3,) and (fx, fy, cx, cy), float64."""
    pose = np.asarray(cam_to_world, np.float64)
    k = np.asarray(intrinsics, np.float64)
    lens = np.array([k[0, 0], k[1, 1], k[0, 2], k[1, 2]])
    return np.ascontiguousarray(pose[:3, :3].T), np.ascontiguousarray(pose[:3, 3]), lens


@numba.njit(cache=True, nogil=True)
def _fill(vertices, faces, rotation, centre, lens, inverse_depth, face_ids):
    count = vertices.shape[0]
    camera = np.empty((count, 3))
    screen = np.empty((count, 3))  # x, y in pixels, 1/z
    for v in range(count):
        dx = vertices[v, 0] - centre[0]
        dy = vertices[v, 1] - centre[1]
        dz = vertices[v, 2] - centre[2]
        for axis in range(3):
            camera[v, axis] = rotation[axis, 0] * dx + rotation[axis, 1] * dy + rotation[axis, 2] * dz
        if camera[v, 2] >= NEAR:
            _project(camera[v], lens, screen[v])
    polygon = np.empty((4, 3))
    corners = np.empty((4, 3))
    for face in range(faces.shape[0]):
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        in_front = (camera[a, 2] >= NEAR) + (camera[b, 2] >= NEAR) + (camera[c, 2] >= NEAR)
        if in_front == 3:
            _triangle(
                screen[a, 0], screen[a, 1], screen[a, 2], screen[b, 0], screen[b, 1], screen[b, 2],
                screen[c, 0], screen[c, 1], screen[c, 2], face, inverse_depth, face_ids,
            )  # fmt: skip
        elif in_front > 0:
            sides = _clip_near(camera[a], camera[b], camera[c], polygon)
            for k in range(sides):
                _project(polygon[k], lens, corners[k])
            for k in range(2, sides):
                p, q, r = corners[0], corners[k - 1], corners[k]
                _triangle(p[0], p[1], p[2], q[0], q[1], q[2], r[0], r[1], r[2], face, inverse_depth, face_ids)


@numba.njit(cache=True, nogil=True, inline="always")
def _project(point, lens, out):
    out[2] = 1.0 / point[2]
    out[0] = lens[0] * point[0] * out[2] + lens[2]
    out[1] = lens[1] * point[1] * out[2] + lens[3]


@numba.njit(cache=True, nogil=True)
def _clip_near(a, b, c, polygon):
    """Sutherland-Hodgman against z = NEAR; returns the number of corners, 3 or 4."""
    sides = 0
    triangle = (a, b, c)
    for k in range(3):
        here, there = triangle[k], triangle[(k + 1) % 3]
        if here[2] >= NEAR:
            polygon[sides] = here
            sides += 1
        if (here[2] >= NEAR) != (there[2] >= NEAR):
            t = (NEAR - here[2]) / (there[2] - here[2])
            polygon[sides] = here + t * (there - here)
            polygon[sides, 2] = NEAR
            sides += 1
    return sides


@numba.njit(cache=True, nogil=True, inline="always")
def _edge(xa, ya, xb, yb):
    """Coefficients of the edge function (b - a) x (p - a) = A x + B y + C, computed from the lower corner
    first, so that two triangles which share an edge get exactly opposite values and leave no crack."""
    if xa < xb or (xa == xb and ya < yb):
        return ya - yb, xb - xa, xa * yb - xb * ya
    return -(yb - ya), -(xa - xb), -(xb * ya - xa * yb)


@numba.njit(cache=True, nogil=True)
def _triangle(px, py, pw, qx, qy, qw, rx, ry, rw, face, inverse_depth, face_ids):
    """Fill in one triangle; corners in pixels, with 1/z as w."""
    height, width = inverse_depth.shape
    left = max(np.ceil(min(px, qx, rx) - 0.5), 0.0)
    right = min(np.floor(max(px, qx, rx) - 0.5), width - 1.0)
    if not left <= right:
        return
    top = max(np.ceil(min(py, qy, ry) - 0.5), 0.0)
    bottom = min(np.floor(max(py, qy, ry) - 0.5), height - 1.0)
    if not top <= bottom:
        return
    area = (qx - px) * (ry - py) - (qy - py) * (rx - px)
    if area == 0.0:
        return
    if area < 0.0:
        qx, qy, qw, rx, ry, rw = rx, ry, rw, qx, qy, qw
        area = -area
    a0, b0, c0 = _edge(qx, qy, rx, ry)
    a1, b1, c1 = _edge(rx, ry, px, py)
    a2, b2, c2 = _edge(px, py, qx, qy)
    # 1/z is linear on the screen
    ax = (a0 * pw + a1 * qw + a2 * rw) / area
    bx = (b0 * pw + b1 * qw + b2 * rw) / area
    cx = (c0 * pw + c1 * qw + c2 * rw) / area
    # a pixel centre on a corner may lie outside of every triangle round it by rounding: let all reach further
    c0 += REACH * (abs(a0) + abs(b0))
    c1 += REACH * (abs(a1) + abs(b1))
    c2 += REACH * (abs(a2) + abs(b2))
    nearest, farthest = max(pw, qw, rw), min(pw, qw, rw)  # a sliver's coefficients are mostly rounding
    for row in range(int(top), int(bottom) + 1):
        y = row + 0.5
        e0, e1, e2 = b0 * y + c0, b1 * y + c1, b2 * y + c2
        first, last = left, right
        if right - left > 8.0:  # a wide row: solve for the span, one pixel generous, then test exactly
            first, last = _span(a0, e0, first, last)
            first, last = _span(a1, e1, first, last)
            first, last = _span(a2, e2, first, last)
            if first > last:  # possibly by more than an integer can say
                continue
        for column in range(int(first), int(last) + 1):
            x = column + 0.5
            if a0 * x + e0 >= 0.0 and a1 * x + e1 >= 0.0 and a2 * x + e2 >= 0.0:
                value = min(max(ax * x + (bx * y + cx), farthest), nearest)
                if value > inverse_depth[row, column]:
                    inverse_depth[row, column] = value
                    face_ids[row, column] = face


@numba.njit(cache=True, nogil=True, inline="always")
def _span(a, e, first, last):
    """Narrow the columns [first, last] to where a x + e >= 0, less than two pixels generous. (np.floor stays
    a float; numba's math.floor is an integer, which the far crossing of a level edge would overflow.)"""
    if a > 0.0:
        first = max(first, np.floor(-e / a - 1.5))
    elif a < 0.0:
        last = min(last, np.ceil(-e / a + 0.5))
    elif e < 0.0:
        last = first - 1.0
    return first, last


@numba.njit(cache=True, nogil=True)
def _shade(
    inverse_depth, face_ids, vertices, faces, corner_normals, colors,
    uv, face_texture, texel_density, levels, texels, face_segments,
    rotation, centre, lens, lit, rgb, depth, segment,
):  # fmt: skip
    height, width = face_ids.shape
    corner = np.empty((3, 3))
    weight = np.empty(3)
    normal = np.empty(3)
    ray = np.empty(3)
    albedo = np.empty(3)
    for row in range(height):
        for column in range(width):
            face = face_ids[row, column]
            if face < 0:
                continue
            z = 1.0 / inverse_depth[row, column]
            depth[row, column] = z
            segment[row, column] = face_segments[face]
            x = (column + 0.5 - lens[2]) / lens[0]
            y = (row + 0.5 - lens[3]) / lens[1]
            for axis in range(3):
                ray[axis] = rotation[0, axis] * x + rotation[1, axis] * y + rotation[2, axis]
                for k in range(3):
                    corner[k, axis] = vertices[faces[face, k], axis] - centre[axis]
            _barycentric(ray, corner, weight)
            facing = 0.0
            length = 0.0
            for axis in range(3):
                normal[axis] = (
                    weight[0] * corner_normals[face, 0, axis]
                    + weight[1] * corner_normals[face, 1, axis]
                    + weight[2] * corner_normals[face, 2, axis]
                )
                albedo[axis] = (
                    weight[0] * colors[faces[face, 0], axis]
                    + weight[1] * colors[faces[face, 1], axis]
                    + weight[2] * colors[faces[face, 2], axis]
                )
                facing += normal[axis] * ray[axis]
                length += normal[axis] * normal[axis]
            scale = 1.0 / math.sqrt(max(length, 1e-12))
            if facing > 0.0:
                scale = -scale
            texture = face_texture[face]
            if texture >= 0:
                u = v = 0.0
                for k in range(3):
                    u += weight[k] * uv[faces[face, k], 0]
                    v += weight[k] * uv[faces[face, k], 1]
                slant = abs(facing * scale) / math.sqrt(1.0 + x * x + y * y)
                footprint = texel_density[face] * z / (lens[0] * math.sqrt(max(slant, 0.05)))
                _texture(u, v, footprint, levels[texture], texels, albedo)
            lambert = 0.0
            for axis in range(3):
                lambert += normal[axis] * scale * SUN_DIRECTION[axis]
            light = 1.0
            if lit:
                light = AMBIENT + SKY * 0.5 * (1.0 + normal[1] * scale) + SUN * max(lambert, 0.0)
            for axis in range(3):
                rgb[row, column, axis] = int(min(light * albedo[axis] + 0.5, 255.0))


@numba.njit(cache=True, nogil=True, inline="always")
def _barycentric(ray, corner, weight):
    total = 0.0
    for k in range(3):
        p, q = corner[(k + 1) % 3], corner[(k + 2) % 3]
        weight[k] = (
            ray[0] * (p[1] * q[2] - p[2] * q[1])
            + ray[1] * (p[2] * q[0] - p[0] * q[2])
            + ray[2] * (p[0] * q[1] - p[1] * q[0])
        )
        total += weight[k]
    if total == 0.0:
        weight[:] = 1.0 / 3.0
        return
    clipped = 0.0
    for k in range(3):
        weight[k] = min(max(weight[k] / total, 0.0), 1.0)
        clipped += weight[k]
    for k in range(3):
        weight[k] /= clipped


@numba.njit(cache=True, nogil=True, inline="always")
def _texture(u, v, footprint, levels, texels, albedo):
    """Multiply ``albedo`` by the texture: bilinear, in the mip level nearest to the pixel's footprint."""
    level = 0
    while footprint > 1.414 and level + 1 < levels.shape[0] and levels[level + 1, 1] > 0:
        footprint *= 0.5
        level += 1
    offset, height, width = levels[level, 0], levels[level, 1], levels[level, 2]
    x = (u - math.floor(u)) * width - 0.5
    y = (1.0 - (v - math.floor(v))) * height - 0.5
    column, row = math.floor(x), math.floor(y)
    fx, fy = x - column, y - row
    left, right = int(column) % width, int(column + 1) % width
    above, below = (int(row) % height) * width, (int(row + 1) % height) * width
    for axis in range(3):
        upper = (1.0 - fx) * texels[offset + above + left, axis] + fx * texels[offset + above + right, axis]
        lower = (1.0 - fx) * texels[offset + below + left, axis] + fx * texels[offset + below + right, axis]
        albedo[axis] *= ((1.0 - fy) * upper + fy * lower) / 255.0
