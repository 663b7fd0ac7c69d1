"""The built-in renderer: a z-buffer rasteriser for CPUs, compiled by numba.

Two passes per view. The first, here, fills a buffer of 1/z and of face indices; the second, in ``shading``,
runs once over the pixels that were hit. Arithmetic is float64 without fast-math, so one scene gives the same
bits everywhere.

The mesh is drawn in blocks of neighbouring faces (``Mesh.blocks``), from near to far. A block is left out
where its box lies outside of the pyramid of view, or where every pixel that the box may cover shows something
nearer already: in a building most of what lies ahead is behind a wall. At equal depth the face with the lower
index wins, so that the order of drawing changes nothing.

Compiled functions take arrays by the block, not by the triangle: numba counts references at every call.
"""

from __future__ import annotations

import numpy as np

from spatial_envs.foundation.arguments import check_flag
from spatial_envs.foundation.compilation import njit
from spatial_envs.geometry.mesh import Mesh
from spatial_envs.geometry.view import View
from spatial_envs.rendering.shading import measure, shade

NEAR = 0.01  # metres; what is closer to the camera's plane is cut off
REACH = 1e-9  # pixels by which triangles overlap


class BuiltinRenderer:
    """RGB, depth and object ids on a CPU; see ``spatial_envs.rendering.renderer.Renderer``.

    lit: shade by sun and sky; otherwise the colours are the albedo's, for scans with light in the texture.
    """

    name = "builtin"

    def __init__(self, lit: bool = True):
        self.lit = check_flag("lit", lit)

    def render(
        self, mesh: Mesh, cam_to_world: np.ndarray, intrinsics: np.ndarray, image_size: tuple[int, int]
    ) -> View:
        """Render ``mesh`` from every pose; shapes and units as in ``Renderer.render``."""
        cam_to_world = np.asarray(cam_to_world, np.float64)
        lead = cam_to_world.shape[:-2]
        poses = cam_to_world.reshape(-1, 4, 4)
        drawn = [rasterise(mesh, pose, intrinsics, image_size) for pose in poses]
        cameras = [_camera(pose, intrinsics) for pose in poses]  # by now, whatever becomes of these arrays
        depth = np.zeros((len(poses), *image_size), np.float32)
        segment = np.zeros((len(poses), *image_size), np.int32)
        for row, (inverse_depth, face_ids) in enumerate(drawn):
            measure(inverse_depth, face_ids, mesh.face_segments, depth[row], segment[row])

        def paint() -> np.ndarray:
            rgb = np.zeros((len(poses), *image_size, 3), np.uint8)
            for row, (found, camera) in enumerate(zip(drawn, cameras, strict=True)):
                shade(
                    *found, mesh.vertices, mesh.faces, mesh.corner_normals, mesh.colors,
                    *mesh.texture_lookup, *camera, self.lit, rgb[row],
                )  # fmt: skip
            return rgb.reshape(*lead, *image_size, 3)

        return View.painted_later(
            paint,
            depth=depth.reshape(*lead, *image_size),
            intrinsics=np.broadcast_to(np.asarray(intrinsics, np.float32), (*lead, 3, 3)),
            cam_to_world=cam_to_world.astype(np.float32),
            segment=segment.reshape(*lead, *image_size),
        )


def rasterise(
    mesh: Mesh, cam_to_world: np.ndarray, intrinsics: np.ndarray, image_size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """The nearest face at every pixel centre: 1/z (H, W) float64, per metre, 0 where nothing was hit, and
    face index (H, W) int32, -1 where nothing was hit. ``cam_to_world`` (4, 4), ``intrinsics`` (3, 3)."""
    inverse_depth, face_ids = np.zeros(image_size, np.float64), np.full(image_size, -1, np.int32)
    _fill(*mesh.blocks, *_camera(cam_to_world, intrinsics), inverse_depth, face_ids)
    return inverse_depth, face_ids


def rasterise_where(
    mesh: Mesh, cam_to_world: np.ndarray, intrinsics: np.ndarray, wanted: np.ndarray
) -> np.ndarray:
    """1/z (H, W) float64 as by ``rasterise`` at the ``wanted`` pixels (H, W) bool; inf at the others, which
    hides all that shows nowhere else."""
    inverse_depth = np.where(wanted, 0.0, np.inf)
    face_ids = np.full(wanted.shape, -1, np.int32)
    rotation, centre, intrinsics = _camera(cam_to_world, intrinsics)
    _fill(*mesh.blocks, rotation, centre, intrinsics, inverse_depth, face_ids)
    return inverse_depth


def rasterise_once(
    vertices: np.ndarray, faces: np.ndarray, cam_to_world: np.ndarray, intrinsics: np.ndarray,
    image_size: tuple[int, int],
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Rasterise, as ``rasterise`` does, a surface of vertices (V, 3), metres, and faces (F, 3) that is drawn
    from one pose only: blocks would take longer to make than they save."""
    inverse_depth, face_ids = np.empty(image_size, np.float64), np.empty(image_size, np.int32)
    rasterise_into(inverse_depth, face_ids, vertices, faces, cam_to_world, intrinsics)
    return inverse_depth, face_ids


def rasterise_into(
    inverse_depth: np.ndarray, face_ids: np.ndarray, vertices: np.ndarray, faces: np.ndarray,
    cam_to_world: np.ndarray, intrinsics: np.ndarray,
) -> None:  # fmt: skip
    """``rasterise_once`` into arrays (H, W) that are there, over whatever is in them."""
    vertices, faces = np.ascontiguousarray(vertices, np.float32), np.ascontiguousarray(faces, np.int32)
    _fill_once(vertices, faces, *_camera(cam_to_world, intrinsics), inverse_depth, face_ids)


def _camera(cam_to_world: np.ndarray, intrinsics: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rotation world to camera (3, 3), camera centre (3,) and (fx, fy, cx, cy), float64."""
    pose = np.asarray(cam_to_world, np.float64)
    k = np.asarray(intrinsics, np.float64)
    intrinsics = np.array([k[0, 0], k[1, 1], k[0, 2], k[1, 2]])
    return np.ascontiguousarray(pose[:3, :3].T), np.ascontiguousarray(pose[:3, 3]), intrinsics


@njit(error_model="numpy")
def _fill(
    vertices, faces, face_numbers, vertex_starts, face_starts, middles, halves,
    rotation, centre, intrinsics, inverse_depth, face_ids,
):  # fmt: skip
    """Draw the faces of all blocks that may show."""
    blocks, nearest = _in_view(middles, halves, rotation, centre, intrinsics, inverse_depth.shape)
    most_vertices, most_faces = 0, 0
    for b in range(len(middles)):
        most_vertices = max(most_vertices, vertex_starts[b + 1] - vertex_starts[b])
        most_faces = max(most_faces, face_starts[b + 1] - face_starts[b])
    camera = np.empty((most_vertices, 3))
    screen = np.empty((most_vertices, 3))  # x, y in pixels, 1/z
    triangles = np.empty((2 * most_faces, 3, 3))
    numbers = np.empty(2 * most_faces, np.int32)
    _sort(nearest, blocks)
    for k in range(len(blocks)):
        b, z = blocks[k], nearest[k]
        if z > NEAR and _hidden(middles[b], halves[b], z, rotation, centre, intrinsics, inverse_depth):
            continue
        first, last = face_starts[b], face_starts[b + 1]
        least = _to_screen(
            vertices[vertex_starts[b] : vertex_starts[b + 1]], rotation, centre, intrinsics, camera, screen
        )
        count = _triangles(
            faces[first:last], camera, screen, least, intrinsics, inverse_depth, triangles, numbers
        )
        _draw(triangles[:count], numbers, face_numbers[first:last], inverse_depth, face_ids)


@njit(error_model="numpy")
def _fill_once(vertices, faces, rotation, centre, intrinsics, inverse_depth, face_ids):
    """Draw all of the faces on an empty picture."""
    inverse_depth[:] = 0.0
    face_ids[:] = -1
    camera, screen = np.empty((len(vertices), 3)), np.empty((len(vertices), 3))
    triangles = np.empty((2 * len(faces), 3, 3))
    numbers = np.empty(2 * len(faces), np.int32)
    least = _to_screen(vertices, rotation, centre, intrinsics, camera, screen)
    count = _triangles(faces, camera, screen, least, intrinsics, inverse_depth, triangles, numbers)
    _draw(triangles[:count], numbers, np.arange(len(faces)).astype(np.int32), inverse_depth, face_ids)


@njit(error_model="numpy")
def _in_view(middles, halves, rotation, centre, intrinsics, image_size):
    """The blocks whose boxes reach into the pyramid of view, and the least depth of each."""
    planes = np.empty((5, 3))  # world axes, through the camera's centre, inwards
    for axis in range(3):
        x, y, z = intrinsics[0] * rotation[0, axis], intrinsics[1] * rotation[1, axis], rotation[2, axis]
        planes[0, axis] = z
        planes[1, axis], planes[2, axis] = x + intrinsics[2] * z, (image_size[1] - intrinsics[2]) * z - x
        planes[3, axis], planes[4, axis] = y + intrinsics[3] * z, (image_size[0] - intrinsics[3]) * z - y
    blocks = np.empty(len(middles), np.int64)
    nearest = np.empty(len(middles))
    count = 0
    for block in range(len(middles)):
        dx = middles[block, 0] - centre[0]
        dy = middles[block, 1] - centre[1]
        dz = middles[block, 2] - centre[2]
        inside = True
        for k in range(5):
            x, y, z = planes[k, 0], planes[k, 1], planes[k, 2]
            middle = x * dx + y * dy + z * dz
            half = abs(x) * halves[block, 0] + abs(y) * halves[block, 1] + abs(z) * halves[block, 2]
            if k == 0:
                nearest[count] = middle - half
            if middle + half < 0.0:
                inside = False
                break
        if inside:
            blocks[count] = block
            count += 1
    return blocks[:count], nearest[:count]


@njit(error_model="numpy")
def _sort(keys, values):
    """Put both in the order of the keys, ascending (Shell 1959): numba takes seconds to compile its own."""
    gap = 1
    while gap < len(keys) // 3:
        gap = 3 * gap + 1
    while gap > 0:
        for k in range(gap, len(keys)):
            key, value = keys[k], values[k]
            place = k
            while place >= gap and keys[place - gap] > key:
                keys[place], values[place] = keys[place - gap], values[place - gap]
                place -= gap
            keys[place], values[place] = key, value
        gap //= 3


@njit(error_model="numpy")
def _hidden(middle, half, depth, rotation, centre, intrinsics, inverse_depth):
    """Whether every pixel that a box in front may cover shows something nearer than ``depth`` already."""
    height, width = inverse_depth.shape
    left, right, top, bottom = np.inf, -np.inf, np.inf, -np.inf
    for corner in range(8):
        dx = middle[0] - centre[0] + (half[0] if corner & 1 else -half[0])
        dy = middle[1] - centre[1] + (half[1] if corner & 2 else -half[1])
        dz = middle[2] - centre[2] + (half[2] if corner & 4 else -half[2])
        w = 1.0 / (rotation[2, 0] * dx + rotation[2, 1] * dy + rotation[2, 2] * dz)
        x = (
            intrinsics[0] * (rotation[0, 0] * dx + rotation[0, 1] * dy + rotation[0, 2] * dz) * w
            + intrinsics[2]
        )
        y = (
            intrinsics[1] * (rotation[1, 0] * dx + rotation[1, 1] * dy + rotation[1, 2] * dz) * w
            + intrinsics[3]
        )
        left, right = min(left, x), max(right, x)
        top, bottom = min(top, y), max(bottom, y)
    # the pixels whose centres lie within: the box is wider than its faces by far more than these are rounded
    left, right = _between(left, right, width)
    top, bottom = _between(top, bottom, height)
    return not (left <= right and top <= bottom) or not _reaches(
        1.0 / depth, left, right, top, bottom, inverse_depth
    )


@njit(error_model="numpy")
def _reaches(nearest, left, right, top, bottom, inverse_depth):
    """Whether what is at most ``nearest``, 1/z, can show at any pixel of these columns and rows."""
    for row in range(np.uint64(top), np.uint64(bottom + 1.0)):
        for column in range(np.uint64(left), np.uint64(right + 1.0)):
            if inverse_depth[row, column] <= nearest:
                return True
    return False


@njit(error_model="numpy")
def _to_screen(vertices, rotation, centre, intrinsics, camera, screen):
    """Vertices to camera axes, and to pixels with 1/z; what lies behind gets numbers that nothing reads.
    Returns the least depth."""
    least = np.inf
    for v in range(len(vertices)):
        dx = vertices[v, 0] - centre[0]
        dy = vertices[v, 1] - centre[1]
        dz = vertices[v, 2] - centre[2]
        for axis in range(3):
            camera[v, axis] = rotation[axis, 0] * dx + rotation[axis, 1] * dy + rotation[axis, 2] * dz
        least = min(least, camera[v, 2])
        _project(camera, v, intrinsics, screen)
    return least


@njit(error_model="numpy")
def _project(camera, v, intrinsics, screen):
    x, y, w = camera[v, 0], camera[v, 1], 1.0 / camera[v, 2]
    screen[v, 0] = intrinsics[0] * x * w + intrinsics[2]
    screen[v, 1] = intrinsics[1] * y * w + intrinsics[3]
    screen[v, 2] = w


@njit(error_model="numpy")
def _triangles(faces, camera, screen, least, intrinsics, inverse_depth, triangles, numbers):
    """What of the faces lies in front and may show: the corners (T, 3, 3) as in ``screen``, and the number of
    the face in the block. ``least``: the least depth of a corner. Returns how many there are."""
    height, width = inverse_depth.shape
    polygon = np.empty((4, 3))
    count = 0
    for face in range(len(faces)):
        # unsigned, as numba would look for indices from the end otherwise
        a, b, c = np.uint64(faces[face, 0]), np.uint64(faces[face, 1]), np.uint64(faces[face, 2])
        in_front = 3
        if least < NEAR:
            in_front = (camera[a, 2] >= NEAR) + (camera[b, 2] >= NEAR) + (camera[c, 2] >= NEAR)
        if in_front == 3:
            left, right = _covered(screen[a, 0], screen[b, 0], screen[c, 0], width)
            if not left <= right:
                continue
            top, bottom = _covered(screen[a, 1], screen[b, 1], screen[c, 1], height)
            if not top <= bottom:
                continue
            nearest = max(screen[a, 2], screen[b, 2], screen[c, 2])
            if _reaches(nearest, left, right, top, bottom, inverse_depth):
                for axis in range(3):
                    triangles[count, 0, axis] = screen[a, axis]
                    triangles[count, 1, axis] = screen[b, axis]
                    triangles[count, 2, axis] = screen[c, axis]
                numbers[count] = face
                count += 1
        elif in_front > 0:
            sides = _clip_near(camera, (a, b, c), polygon)
            for k in range(sides):
                _project(polygon, k, intrinsics, polygon)
            for k in range(2, sides):
                for axis in range(3):
                    triangles[count, 0, axis] = polygon[0, axis]
                    triangles[count, 1, axis] = polygon[k - 1, axis]
                    triangles[count, 2, axis] = polygon[k, axis]
                numbers[count] = face
                count += 1
    return count


@njit(error_model="numpy")
def _clip_near(camera, corners, polygon):
    """Sutherland-Hodgman against z = NEAR; returns the number of corners, 3 or 4."""
    sides = 0
    for k in range(3):
        here, there = corners[k], corners[(k + 1) % 3]
        z, beyond = camera[here, 2], camera[there, 2]
        if z >= NEAR:
            for axis in range(3):
                polygon[sides, axis] = camera[here, axis]
            sides += 1
        if (z >= NEAR) != (beyond >= NEAR):
            t = (NEAR - z) / (beyond - z)
            for axis in range(2):
                polygon[sides, axis] = camera[here, axis] + t * (camera[there, axis] - camera[here, axis])
            polygon[sides, 2] = NEAR
            sides += 1
    return sides


@njit(error_model="numpy")
def _covered(p, q, r, pixels):
    """The first and last pixel, of so many, whose centre lies between the corners of a triangle."""
    return _between(min(p, q, r), max(p, q, r), pixels)


@njit(error_model="numpy")
def _between(low, high, pixels):
    """The first and last pixel, of so many, whose centre lies from ``low`` to ``high``."""
    return max(np.ceil(low - 0.5), 0.0), min(np.floor(high - 0.5), pixels - 1.0)


@njit(error_model="numpy")
def _draw(triangles, numbers, face_numbers, inverse_depth, face_ids):
    """Fill in triangles (T, 3, 3): corners in pixels, each with 1/z."""
    height, width = inverse_depth.shape
    for t in range(len(triangles)):
        px, py, pw = triangles[t, 0, 0], triangles[t, 0, 1], triangles[t, 0, 2]
        qx, qy, qw = triangles[t, 1, 0], triangles[t, 1, 1], triangles[t, 1, 2]
        rx, ry, rw = triangles[t, 2, 0], triangles[t, 2, 1], triangles[t, 2, 2]
        face = face_numbers[numbers[t]]
        left, right = _covered(px, qx, rx, width)
        top, bottom = _covered(py, qy, ry, height)
        area = (qx - px) * (ry - py) - (qy - py) * (rx - px)
        if not (left <= right and top <= bottom and area != 0.0):
            continue
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
        # a pixel centre on a corner may lie outside of every triangle round it by rounding: let all reach on
        c0 += REACH * (abs(a0) + abs(b0))
        c1 += REACH * (abs(a1) + abs(b1))
        c2 += REACH * (abs(a2) + abs(b2))
        nearest, farthest = max(pw, qw, rw), min(pw, qw, rw)  # a sliver's coefficients are mostly rounding
        i0, i1, i2 = -1.0 / a0, -1.0 / a1, -1.0 / a2
        # unsigned, as numba would look for indices from the end otherwise, and the columns without a branch:
        # so they are compiled to vector instructions
        for row in range(np.uint64(top), np.uint64(bottom + 1.0)):
            y = row + 0.5
            e0, e1, e2 = b0 * y + c0, b1 * y + c1, b2 * y + c2
            first, last = left, right
            if right - left > 8.0:  # a wide row: solve for the span, one pixel generous, then test exactly
                first, last = _span(a0, i0, e0, first, last)
                first, last = _span(a1, i1, e1, first, last)
                first, last = _span(a2, i2, e2, first, last)
                if first > last:  # possibly by more than an integer can say
                    continue
            offset = bx * y + cx
            for column in range(np.uint64(first), np.uint64(last + 1.0)):
                x = column + 0.5
                value = min(max(ax * x + offset, farthest), nearest)
                found = inverse_depth[row, column]
                inside = (a0 * x + e0 >= 0.0) & (a1 * x + e1 >= 0.0) & (a2 * x + e2 >= 0.0)
                drawn = inside & ((value > found) | ((value == found) & (face < face_ids[row, column])))
                inverse_depth[row, column] = value if drawn else found
                face_ids[row, column] = face if drawn else face_ids[row, column]


@njit(error_model="numpy")
def _edge(xa, ya, xb, yb):
    """Coefficients of the edge function (b - a) x (p - a) = A x + B y + C, computed from the lower corner
    first, so that two triangles which share an edge get exactly opposite values and leave no crack."""
    if xa < xb or (xa == xb and ya < yb):
        return ya - yb, xb - xa, xa * yb - xb * ya
    return -(yb - ya), -(xa - xb), -(xb * ya - xa * yb)


@njit(error_model="numpy")
def _span(a, inverse, e, first, last):
    """Narrow the columns [first, last] to where a x + e >= 0, ``inverse`` being -1 / a, less than two pixels
    generous. (np.floor stays a float; numba's math.floor is an integer, which the far crossing of a level
    edge would overflow.)"""
    if a > 0.0:
        first = max(first, np.floor(e * inverse - 1.5))
    elif a < 0.0:
        last = min(last, np.ceil(e * inverse + 0.5))
    elif e < 0.0:
        last = first - 1.0
    return first, last
