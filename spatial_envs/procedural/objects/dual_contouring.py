"""The compiled half of solids: signed distances of primitives, and the surface of what they add up to.

A primitive is a row of 22 numbers: kind, cut, part, blend, rounding, reach, centre (3), axes (9), size (4).
All compiled functions are here together, as numba's cache does not see changes in other files.
"""

from __future__ import annotations

import numpy as np

from spatial_envs.foundation.compilation import njit

PRISM, CONE, LIMB, ARC, ELLIPSOID = range(5)


@njit
def _distance(row, x, y, z):
    """Signed distance of a point from one primitive (Quilez, Distance functions)."""
    x, y, z = x - row[6], y - row[7], z - row[8]
    x, y, z = (
        row[9] * x + row[10] * y + row[11] * z,
        row[12] * x + row[13] * y + row[14] * z,
        row[15] * x + row[16] * y + row[17] * z,
    )
    kind, s0, s1, s2, s3 = int(row[0]), row[18], row[19], row[20], row[21]
    if kind == ELLIPSOID:  # an estimate, exact near the surface
        k0 = np.sqrt((x / s0) ** 2 + (y / s1) ** 2 + (z / s2) ** 2)
        k1 = np.sqrt((x / s0**2) ** 2 + (y / s1**2) ** 2 + (z / s2**2) ** 2)
        return k0 * (k0 - 1) / k1 if k1 > 1e-9 else -min(s0, s1, s2)
    if kind == ARC:
        x = abs(x)
        k = x * s0 + y * s1 if s1 * x > s0 * y else np.sqrt(x * x + y * y)
        return np.sqrt(max(x * x + y * y + z * z + s2 * s2 - 2 * s2 * k, 0.0)) - s3
    if kind == LIMB:
        slope = (s0 - s1) / (2 * s2)
        rise = np.sqrt(1 - slope * slope)
        q, y = np.sqrt(x * x + z * z), y + s2
        k = y * rise - q * slope
        if k < 0:
            return np.sqrt(q * q + y * y) - s0
        if k > rise * 2 * s2:
            return np.sqrt(q * q + (y - 2 * s2) ** 2) - s1
        return q * rise + y * slope - s0
    if kind == CONE:
        return _trapezoid(np.sqrt(x * x + z * z), y, s0, s1, s2) - row[4]
    flat, side = _trapezoid(abs(x), y, s0, s1, s2), abs(z) - s3
    return min(max(flat, side), 0.0) + np.sqrt(max(flat, 0.0) ** 2 + max(side, 0.0) ** 2) - row[4]


@njit
def _trapezoid(x, y, low, high, half):
    """Signed distance in the plane, x >= 0, from a trapezoid: |x| <= low at y = -half, <= high at +half."""
    cap_x, cap_y = x - min(x, low if y < 0 else high), abs(y) - half
    edge_x, edge_y = high - low, 2 * half
    t = ((high - x) * edge_x + (half - y) * edge_y) / (edge_x**2 + edge_y**2)
    t = min(max(t, 0.0), 1.0)
    side_x, side_y = x - high + edge_x * t, y - half + edge_y * t
    away = np.sqrt(min(cap_x**2 + cap_y**2, side_x**2 + side_y**2))
    return -away if side_x < 0 and cap_y < 0 else away


@njit
def _joined(f, d, row):
    """What is there (f) united with, or cut by, a primitive (d); with blend the joint is smooth."""
    blend = row[3]
    if row[1] > 0:
        near = max(blend - abs(f + d), 0.0) / blend if blend > 0 else 0.0
        return max(f, -d) + near * near * blend / 4
    near = max(blend - abs(f - d), 0.0) / blend if blend > 0 else 0.0
    return min(f, d) - near * near * blend / 4


@njit
def fill(field, origin, cell, rows):
    """The distances of all rows into a grid of ones; each row only where it can matter."""
    for r in range(rows.shape[0]):
        row = rows[r]
        margin = row[3] + 2 * cell
        first, last = np.zeros(3, np.int64), np.zeros(3, np.int64)
        for k in range(3):  # half extent of the primitive along world axis k, from its own box
            if row[0] == PRISM or row[0] == CONE:
                wide = max(row[18], row[19])
                deep = row[21] if row[0] == PRISM else wide
                half = abs(row[9 + k]) * wide + abs(row[12 + k]) * row[20] + abs(row[15 + k]) * deep + row[4]
                low, high = row[6 + k] - half, row[6 + k] + half
            elif row[0] == LIMB:
                start, end = row[6 + k] - row[12 + k] * row[20], row[6 + k] + row[12 + k] * row[20]
                low, high = min(start - row[18], end - row[19]), max(start + row[18], end + row[19])
            else:
                low, high = row[6 + k] - row[5], row[6 + k] + row[5]
            first[k] = max(0, int(np.ceil((low - margin - origin[k]) / cell)))
            last[k] = min(field.shape[k], int(np.floor((high + margin - origin[k]) / cell)) + 1)
        for i in range(first[0], last[0]):
            for j in range(first[1], last[1]):
                for k in range(first[2], last[2]):
                    x, y, z = origin[0] + i * cell, origin[1] + j * cell, origin[2] + k * cell
                    field[i, j, k] = _joined(field[i, j, k], _distance(row, x, y, z), row)


@njit
def _choose(rows, x, y, z, near, reach, chosen):
    """Which rows can matter within ``reach`` of a point, for ``_evaluate`` there; how many."""
    count = 0
    for r in range(rows.shape[0]):
        beyond = rows[r, 5] + rows[r, 3] + near + reach
        if (x - rows[r, 6]) ** 2 + (y - rows[r, 7]) ** 2 + (z - rows[r, 8]) ** 2 <= beyond * beyond:
            chosen[count] = r
            count += 1
    return count


@njit
def _evaluate(rows, chosen, x, y, z, near):
    """Distance at one point near the surface, and the part that made it so; by the ``chosen`` rows."""
    f, part = 1.0, 0
    for r in chosen:
        row = rows[r]
        beyond = row[5] + row[3] + near
        if (x - row[6]) ** 2 + (y - row[7]) ** 2 + (z - row[8]) ** 2 > beyond * beyond:
            continue
        d = _distance(row, x, y, z)
        if (row[1] > 0 and -d > f) or (row[1] == 0 and d < f):
            part = int(row[2])
        f = _joined(f, d, row)
    return f, part


@njit
def crossings(field):
    """How many grid edges the surface crosses, which is how many quads it will have."""
    count = 0
    nx, ny, nz = field.shape
    for i in range(nx - 1):
        for j in range(ny - 1):
            for k in range(nz - 1):
                inside = field[i, j, k] < 0
                count += inside != (field[i + 1, j, k] < 0)
                count += inside != (field[i, j + 1, k] < 0)
                count += inside != (field[i, j, k + 1] < 0)
    return count


@njit
def unpinch(field):
    """Fill grid points until no cell face is a chequerboard and no cell touches itself only across its
    diagonal: with one vertex per cell the surface is then a manifold. Points are only ever filled: it ends.
    Corner c of a cell is at (c & 1, c >> 1 & 1, c >> 2)."""
    nx, ny, nz = field.shape
    corner = np.zeros(8, np.bool_)
    changed = True
    while changed:
        changed = False
        for i in range(nx - 1):
            for j in range(ny - 1):
                for k in range(nz - 1):
                    count = 0
                    for c in range(8):
                        corner[c] = field[i + (c & 1), j + (c >> 1 & 1), k + (c >> 2)] < 0
                        count += corner[c]
                    fill = -1
                    for one, two in ((1, 2), (2, 4), (1, 4)):  # the faces at corner 0, and their opposites
                        for base in (0, 7 - one - two):
                            a, b, c, d = base, base + one, base + one + two, base + two
                            if corner[a] == corner[c] and corner[b] == corner[d] and corner[a] != corner[b]:
                                fill = b if corner[a] else a
                    for c in range(4):
                        if corner[c] == corner[7 - c] and count == (2 if corner[c] else 6):
                            fill = c ^ 1 if corner[c] else c
                    if fill >= 0:
                        field[i + (fill & 1), j + (fill >> 1 & 1), k + (fill >> 2)] = -1e-3
                        changed = True


@njit
def dual_contour(field, origin, cell, rows):
    """Vertices (V, 3), faces (F, 3) and the part of every vertex (V,): dual contouring (Ju, Losasso, Schaefer
    and Warren 2002); a cell's vertex lies where the tangent planes of its crossings meet, or near."""
    nx, ny, nz = field.shape
    index = np.full((nx, ny, nz), -1, np.int32)
    total = crossings(field)
    sums = np.zeros((2 * total + 8, 13))  # normal normal^T (6), normal (normal . point) (3), point (3), count
    cells = np.zeros((2 * total + 8, 3), np.int32)
    quads = np.zeros((total, 4), np.int32)
    found, quad = 0, 0
    normal, point, place, step = np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3, np.int64)
    chosen = np.empty(len(rows), np.int64)
    for i in range(1, nx - 1):
        for j in range(1, ny - 1):
            for k in range(1, nz - 1):
                count = -1
                for axis in range(3):
                    step[0], step[1], step[2] = int(axis == 0), int(axis == 1), int(axis == 2)
                    here, there = field[i, j, k], field[i + step[0], j + step[1], k + step[2]]
                    if (here < 0) == (there < 0):
                        continue
                    if count < 0:  # all edges that start here, and what _gradient looks at round them
                        x, y, z = origin[0] + i * cell, origin[1] + j * cell, origin[2] + k * cell
                        count = _choose(rows, x, y, z, 3 * cell, 1.2 * cell, chosen)
                    t = _root(rows, chosen[:count], origin, cell, (i, j, k), step, here < 0)
                    point[0], point[1], point[2] = i + t * step[0], j + t * step[1], k + t * step[2]
                    _gradient(rows, chosen[:count], origin, cell, point, normal)
                    along = normal[0] * point[0] + normal[1] * point[1] + normal[2] * point[2]
                    b, c = (axis + 1) % 3, (axis + 2) % 3
                    for turn in range(4):  # the four cells round the edge, anticlockwise seen from +axis
                        back_b, back_c = int(turn in (0, 3)), int(turn in (0, 1))
                        at_x = i - back_b * (b == 0) - back_c * (c == 0)
                        at_y = j - back_b * (b == 1) - back_c * (c == 1)
                        at_z = k - back_b * (b == 2) - back_c * (c == 2)
                        v = index[at_x, at_y, at_z]
                        if v < 0:
                            v = index[at_x, at_y, at_z] = found
                            cells[v, 0], cells[v, 1], cells[v, 2] = at_x, at_y, at_z
                            found += 1
                        quads[quad, turn if here < 0 else 3 - turn] = v
                        s = sums[v]
                        s[0] += normal[0] * normal[0]
                        s[1] += normal[0] * normal[1]
                        s[2] += normal[0] * normal[2]
                        s[3] += normal[1] * normal[1]
                        s[4] += normal[1] * normal[2]
                        s[5] += normal[2] * normal[2]
                        for each in range(3):
                            s[6 + each] += normal[each] * along
                            s[9 + each] += point[each]
                        s[12] += 1
                    quad += 1
    vertices, parts = np.zeros((found, 3)), np.zeros(found, np.int32)
    for v in range(found):
        _meeting_point(sums[v], place)
        x, y, z = (
            origin[0] + (cells[v, 0] + 0.5) * cell,
            origin[1] + (cells[v, 1] + 0.5) * cell,
            origin[2] + (cells[v, 2] + 0.5) * cell,
        )
        count = _choose(rows, x, y, z, 3 * cell, 1.2 * cell, chosen)  # all of the vertex's cell
        for trial in range(2):
            for axis in range(3):  # a little away from the next cell, so that no triangle vanishes
                place[axis] = min(max(place[axis], cells[v, axis] + 0.03), cells[v, axis] + 0.97)
                vertices[v, axis] = origin[axis] + cell * place[axis]
            x, y, z = vertices[v, 0], vertices[v, 1], vertices[v, 2]
            f, parts[v] = _evaluate(rows, chosen[:count], x, y, z, 3 * cell)
            if trial == 1 or abs(f) < 0.01 * cell:
                break
            _gradient(
                rows, chosen[:count], origin, cell, place, normal
            )  # planes overshoot where an edge is round: step back
            for axis in range(3):
                place[axis] -= normal[axis] * (f / cell)
    faces = np.zeros((2 * quad, 3), np.int32)
    for q in range(quad):
        a, b, c, d = quads[q, 0], quads[q, 1], quads[q, 2], quads[q, 3]
        short = _squared(vertices, a, c) <= _squared(vertices, b, d)
        faces[2 * q, 0], faces[2 * q, 1], faces[2 * q, 2] = a, b, c if short else d
        faces[2 * q + 1, 0], faces[2 * q + 1, 1], faces[2 * q + 1, 2] = a if short else b, c, d
    return vertices, faces, parts


@njit
def _squared(points, a, b):
    """The squared distance of two of the points."""
    x, y, z = points[a, 0] - points[b, 0], points[a, 1] - points[b, 1], points[a, 2] - points[b, 2]
    return x**2 + y**2 + z**2


@njit
def _root(rows, chosen, origin, cell, start, step, inside):
    """Where on a grid edge the surface is, in [0, 1]: halved, as near thin walls the field is not linear."""
    low, high, at_low, at_high = 0.0, 1.0, -1.0 if inside else 1.0, 1.0 if inside else -1.0
    for _ in range(3):
        t = (low + high) / 2
        x = origin[0] + cell * (start[0] + t * step[0])
        y = origin[1] + cell * (start[1] + t * step[1])
        z = origin[2] + cell * (start[2] + t * step[2])
        f, _ = _evaluate(rows, chosen, x, y, z, 3 * cell)
        if (f < 0) == inside:
            low, at_low = t, f / cell
        else:
            high, at_high = t, f / cell
    return low + (high - low) * min(max(at_low / (at_low - at_high), 0.0), 1.0)


@njit
def _gradient(rows, chosen, origin, cell, point, out):
    """The surface's unit normal at a point in cells, from four samples at the corners of a tetrahedron."""
    out[0] = out[1] = out[2] = 0.0
    reach = 0.05
    for c in range(4):
        dx, dy, dz = 1 - 2 * (c & 1), 1 - 2 * (c >> 1), (1 - 2 * (c & 1)) * (1 - 2 * (c >> 1))
        x, y, z = point[0] + reach * dx, point[1] + reach * dy, point[2] + reach * dz
        x, y, z = origin[0] + cell * x, origin[1] + cell * y, origin[2] + cell * z
        f, _ = _evaluate(rows, chosen, x, y, z, 3 * cell)
        out[0] += f * dx
        out[1] += f * dy
        out[2] += f * dz
    length = np.sqrt(out[0] ** 2 + out[1] ** 2 + out[2] ** 2)
    for axis in range(3):
        out[axis] /= max(length, 1e-12)


@njit
def _meeting_point(s, out):
    """Least squares of the distances from the tangent planes, drawn a little to the mean of the crossings."""
    pull = 0.05 * s[12]
    m0, m1, m2 = s[9] / s[12], s[10] / s[12], s[11] / s[12]
    a, b, c, d, e, f = s[0] + pull, s[1], s[2], s[3] + pull, s[4], s[5] + pull
    r0, r1, r2 = s[6] + pull * m0, s[7] + pull * m1, s[8] + pull * m2
    c0, c1, c2 = d * f - e * e, c * e - b * f, b * e - c * d
    inverse = 1 / (a * c0 + b * c1 + c * c2)
    out[0] = (c0 * r0 + c1 * r1 + c2 * r2) * inverse
    out[1] = (c1 * r0 + (a * f - c * c) * r1 + (b * c - a * e) * r2) * inverse
    out[2] = (c2 * r0 + (b * c - a * e) * r1 + (a * d - b * b) * r2) * inverse
