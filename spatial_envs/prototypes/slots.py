"""K slots on one target and what they cost, kept up to date slot by slot: only what changed is computed
again."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from spatial_envs.foundation.compilation import njit
from spatial_envs.geometry.mesh import Mesh
from spatial_envs.geometry.rotations import turn_matrix, wrapped
from spatial_envs.prototypes.bank import POSE, PrototypeBank
from spatial_envs.prototypes.distance import nearest
from spatial_envs.prototypes.residuals import Residuals
from spatial_envs.prototypes.scores import Fit
from spatial_envs.prototypes.sphere import Sphere
from spatial_envs.prototypes.target import Target
from spatial_envs.rendering.renderer import SUN_DIRECTION, light

# what a step of size 1 changes, and how far it can take a slot: lengths in the target's unit
STEPS = np.array([0.5, 0.5, 0.5, 0.5, 1.0, 0.5, 0.5])  # log scale; x, y, z; yaw, pitch, roll, radians
LOGIT_STEP = 4.0
SCALES = (0.02, 4.0)
REACH = 8.0
MOST_LOGIT = 10.0
SMALLEST_STEP = 0.01
TRUE_POINTS = 4  # times as many points of the true surface are there to be near to as are looked at
RESIDUALS = 22  # numbers in a row of ``residual_rows``
FREE_SPACE, PARSIMONY = 0.5, 0.01  # what all of the surface in free space, and a slot, cost in units


@dataclass(frozen=True, eq=False)
class Shapes:
    """A bank as plain arrays: what ``PrototypeBank`` computes, without torch.

    shapes    (P, V * 3) float32, sphere radii
    colors    (P, V * 3) float32 in [0, 1]
    topology  of the surfaces
    """

    shapes: np.ndarray
    colors: np.ndarray
    topology: Sphere

    @classmethod
    def of(cls, bank: PrototypeBank) -> Shapes:
        """Make the shapes of a trained bank."""
        shapes, colors = (each.detach().flatten(1).numpy().copy() for each in (bank.shapes(), bank.colors()))
        return cls(shapes, colors, bank.topology)

    def weights(self, slot: np.ndarray) -> np.ndarray:
        """(P,): the softmax of the slot's logits (but the last)."""
        return _softmax(slot[POSE:-1]).astype(np.float32)

    def presence(self, slot: np.ndarray) -> float:
        """See ``PrototypeBank.presence``."""
        return 1 - float(_softmax(slot[POSE:])[-1])

    def present(self, slots: np.ndarray) -> np.ndarray:
        """(...,) bool: which of slots (..., 7 + P + 1) are more likely there than not."""
        flat = slots.reshape(-1, slots.shape[-1])
        return np.array([self.presence(slot) > 0.5 for slot in flat]).reshape(slots.shape[:-1])

    def vertices(self, slot: np.ndarray) -> np.ndarray:
        """(V, 3) float32, metres, of one slot (7 + P + 1,)."""
        vertices = np.empty((len(self.topology.vertices), 3), np.float32)
        self.place(slot, vertices)
        return vertices

    def place(self, slot: np.ndarray, vertices: np.ndarray) -> None:
        """Fill in the vertices (V, 3) of one slot."""
        turn = slot[0] * turn_matrix(slot[4:POSE])
        _place(self.weights(slot), self.shapes, turn, slot[1:4], vertices)

    def vertex_colors(self, slot: np.ndarray) -> np.ndarray:
        """(V, 3) float32 in [0, 1] of one slot."""
        return (self.weights(slot)[:, None] * self.colors).sum(axis=0).reshape(-1, 3)


class SlotState(Residuals):
    """Slots (K, 7 + P + 1) on a target, and the residuals of their surfaces over up to ``most_points`` of its
    points; with ``truth`` over up to as many of the true surface too."""

    def __init__(
        self, target: Target, shapes: Shapes, slots: np.ndarray, most_points: int, truth: bool = False
    ) -> None:
        count = len(target.points)
        chosen = np.linspace(0, count - 1, min(count, most_points)).astype(int)
        super().__init__(target, shapes.topology, len(slots), chosen)
        self.shapes = shapes
        self.slots = np.zeros((len(slots), slots.shape[1]))
        self.tree: cKDTree | None = None
        if truth:
            assert target.surface is not None
            surface = target.surface
            spread = np.linspace(0, len(surface) - 1, min(len(surface), TRUE_POINTS * most_points))
            self.tree = cKDTree(surface[spread.astype(int)])
            self.surface = surface[spread[::TRUE_POINTS].astype(int)]
            self.from_truth = np.full((len(slots), len(self.surface)), np.inf)
            self.to_truth = np.zeros(len(slots))
        for index, slot in enumerate(bounded(slots, target.unit)):
            self.put(index, slot)

    def put(self, index: int, slot: np.ndarray) -> None:
        """Let slot ``index`` be as given, and only it be computed again."""
        self.slots[index] = slot
        self.shapes.place(slot, self.vertices[index])
        if self.shapes.presence(slot) <= 0.5:
            self.remove(index)
            if self.tree is not None:
                self.from_truth[index], self.to_truth[index] = np.inf, 0
            return
        self.measure(index)
        if self.tree is not None:
            vertices = self.vertices[index]
            self.from_truth[index] = nearest(self.surface, vertices[None], self.topology)[0][0]
            self.to_truth[index] = (self.patches[index] * self.tree.query(vertices)[0]).sum()

    def figures(self) -> dict[str, float]:
        """Over the points kept: one_directional and occlusion_aware (m), fsv, depth_agreement, slots (see
        ``scores``), and the potentials ``full``, ``chamfer`` and, with truth, ``surface`` (see
        ``SceneFitEnv``)."""
        unit, figures = self.target.unit, self.seen()
        slots, known = int(figures["slots"]), {}
        if self.tree is not None:
            missed = np.sqrt(self.from_truth.min(axis=0)).mean() if slots else unit
            strayed = self.to_truth.sum() / max(self.areas.sum(), 1e-12) if slots else unit
            known["surface"] = -(float(missed + strayed) / unit + PARSIMONY * slots)
        cost = figures["occlusion_aware"] / unit + FREE_SPACE * figures["fsv"] + PARSIMONY * slots
        return {**figures, "full": -cost, "chamfer": -figures["one_directional"] / unit, **known}

    def fit(self) -> Fit:
        """The slots' surfaces, to be scored."""
        return Fit(self.vertices.copy(), self.shapes.topology, self.present.copy())

    # ---- what an agent is shown

    def slot_rows(self) -> np.ndarray:
        """(K, 7 + P + 1) float32: log scale and position in units, angles, logits over 10."""
        rows = self.slots.copy()
        rows[:, 0] = np.log(rows[:, 0] / self.target.unit)
        rows[:, 1:4] /= self.target.unit
        rows[:, POSE:] /= MOST_LOGIT
        return rows.astype(np.float32)

    def residual_rows(self) -> np.ndarray:
        """(K, 22) float32 in [-8, 8], lengths in units. Of the points that are nearest to the slot: 0 the
        share, 1 the mean distance, 2:5 the mean way w from the surface to the point, 5:8 the mean from the
        slot's centre r, 8:11 its standard deviation, 11:14 the signed roots of the covariances of its y and
        z, x and z, x and y, 14:17 the mean of r x w, by which the slot would turn, 17:20 the mean of sign(r)
        w along the slot's own axes, by which it would stretch. Of the slot: 20 the share of its area in free
        space, 21 how far it lies in front of points on average."""
        axes = np.stack([turn_matrix(slot[4:POSE]) for slot in self.slots])
        rows = np.zeros((len(self.slots), RESIDUALS))
        _residual_rows(
            self.points, self.pixels, self.measured, self.squared, self.faces, self.bary, self._inverse(),
            self.vertices, self.topology.faces, self.slots, axes, self.present, self.areas, self.violating,
            self.target.unit, rows,
        )  # fmt: skip
        return rows.clip(-REACH, REACH).astype(np.float32)

    def rendered(self) -> tuple[np.ndarray, np.ndarray]:
        """Depth (H, W) float32 of the fit, metres, 0 where there is none, and slot (H, W), -1 where none."""
        nearest_slot = self.inverse_depth.argmax(axis=0)
        inverse = np.take_along_axis(self.inverse_depth, nearest_slot[None], axis=0)[0]
        hit = inverse > 0
        depth = np.divide(1.0, inverse, out=np.zeros_like(inverse), where=hit)
        return depth.astype(np.float32), np.where(hit, nearest_slot, -1)

    def picture(self, colors: np.ndarray | None = None) -> np.ndarray:
        """(H, W, 3) uint8 of the fit, shaded, in the prototypes' colours or one of ``colors`` (K, 3) in [0,
        1] for each slot; black where there is none."""
        _, slot = self.rendered()
        out = np.zeros((*slot.shape, 3))
        faces = self.shapes.topology.faces
        centre = self.target.cam_to_frame[:3, 3]
        for k in np.unique(slot[slot >= 0]):
            where = slot == k
            face = self.face_ids[k][where]
            a, b, c = (self.vertices[k][faces[face, corner]].astype(np.float64) for corner in range(3))
            normal = np.cross(b - a, c - a)
            normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
            away = ((a - centre) * normal).sum(axis=1) > 0
            normal[away] *= -1
            brightness = light(normal[:, 1], np.maximum(normal @ SUN_DIRECTION, 0))
            if colors is None:
                corners = self.shapes.vertex_colors(self.slots[k])[faces[face]]
                albedo = (corners[:, 0] + corners[:, 1] + corners[:, 2]) / 3
            else:
                albedo = colors[k]
            out[where] = albedo * brightness[:, None]
        return (255 * out.clip(0, 1)).astype(np.uint8)

    def world_mesh(self) -> Mesh:
        """What is present as one mesh in the world's frame; segment k + 1 is slot k."""
        topology = self.shapes.topology
        place = self.target.frame_to_world
        shown = np.flatnonzero(self.present)
        count = len(topology.vertices)
        vertices = self.vertices[shown].reshape(-1, 3) @ place[:3, :3].T + place[:3, 3]
        colors = [self.shapes.vertex_colors(self.slots[k]) for k in shown]
        return Mesh(
            vertices.astype(np.float32),
            np.concatenate(
                [topology.faces + k * count for k in range(len(shown))] or [np.zeros((0, 3))]
            ).astype(np.int32),
            (255 * np.concatenate(colors or [np.zeros((0, 3))])).astype(np.uint8),
            segment=np.repeat(shown + 1, len(topology.faces)).astype(np.int32),
        )


def moved(slot: np.ndarray, action: np.ndarray, unit: float) -> np.ndarray:
    """The slot (7 + P + 1,) after a step; action (1 + 7 + P + 1,) in [-1, 1]: the step's size, 0.01 for -1 to
    1 for 1 by equal factors; then the changes of log scale, position, angles and logits as shares of STEPS
    and LOGIT_STEP times that size. The result is within bounds."""
    size = SMALLEST_STEP ** ((1 - action[0]) / 2)
    change = size * action[1:]
    out = slot.copy()
    out[0] *= math.exp(STEPS[0] * change[0])
    out[1:4] += STEPS[1:4] * change[1:4] * unit
    out[4:POSE] += STEPS[4:] * change[4:POSE]
    out[POSE:] += LOGIT_STEP * change[POSE:]
    return bounded(out, unit)


def action_to(slot: np.ndarray, wanted: np.ndarray, unit: float, size: float | None = None) -> np.ndarray:
    """The action (1 + 7 + P + 1,) whose step takes the slot to the wanted one, or as far in each number as a
    step of that size reaches; by default the least size that gets there, at most 1: the inverse of
    `moved`."""
    change = np.empty(len(slot))
    change[0] = math.log(max(wanted[0], 1e-9) / slot[0]) / STEPS[0]
    change[1:4] = (wanted[1:4] - slot[1:4]) / (STEPS[1:4] * unit)
    change[4:POSE] = wrapped(wanted[4:POSE] - slot[4:POSE]) / STEPS[4:]
    change[POSE:] = (wanted[POSE:] - slot[POSE:]) / LOGIT_STEP
    if size is None:
        size = float(np.clip(np.abs(change).max(), SMALLEST_STEP, 1))
    return np.concatenate([[1 - 2 * math.log(size) / math.log(SMALLEST_STEP)], (change / size).clip(-1, 1)])


def bounded(slots: np.ndarray, unit: float) -> np.ndarray:
    """Slots (..., 7 + P + 1) float64 within what observations can hold; logits of mean 0."""
    out = np.array(slots, np.float64)
    out[..., 0] = out[..., 0].clip(SCALES[0] * unit, SCALES[1] * unit)
    out[..., 1:4] = out[..., 1:4].clip(-REACH * unit, REACH * unit)
    out[..., 4:POSE] = wrapped(out[..., 4:POSE])
    out[..., POSE:] -= out[..., POSE:].mean(axis=-1, keepdims=True)
    out[..., POSE:] = out[..., POSE:].clip(-MOST_LOGIT, MOST_LOGIT)
    return out


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


@njit
def _place(weights, shapes, turn, position, vertices):
    """The blend of shapes (P, V * 3), turned by (3, 3) and moved."""
    for v in range(vertices.shape[0]):
        x, y, z = np.float32(0.0), np.float32(0.0), np.float32(0.0)
        for p in range(weights.shape[0]):
            x += weights[p] * shapes[p, 3 * v]
            y += weights[p] * shapes[p, 3 * v + 1]
            z += weights[p] * shapes[p, 3 * v + 2]
        for axis in range(3):
            vertices[v, axis] = x * turn[axis, 0] + y * turn[axis, 1] + z * turn[axis, 2] + position[axis]


@njit
def _residual_rows(
    points, pixels, measured, squared, faces, bary, inverse, vertices, corners, slots, axes, present, areas,
    violating, unit, rows,
):  # fmt: skip
    """The numbers of ``SlotState.residual_rows``: sums over a slot's points first, of r, w and what they make
    together; then, with the mean of r, its second moments."""
    slot_count, point_count = squared.shape
    owner = np.empty(point_count, np.int64)
    counts = np.zeros(slot_count)
    away, way = np.empty((point_count, 3)), np.empty((point_count, 3))
    for i in range(point_count):
        k = 0
        for other in range(1, slot_count):
            if squared[other, i] < squared[k, i]:
                k = other
        owner[i] = k
        counts[k] += 1.0
        if not present[k]:
            continue
        row, face = rows[k], faces[k, i]
        for axis in range(3):
            surface = (
                bary[k, i, 0] * vertices[k, corners[face, 0], axis]
                + bary[k, i, 1] * vertices[k, corners[face, 1], axis]
                + bary[k, i, 2] * vertices[k, corners[face, 2], axis]
            )
            way[i, axis] = (points[i, axis] - np.float64(surface)) / unit
            away[i, axis] = (points[i, axis] - slots[k, 1 + axis]) / unit
            row[2 + axis] += way[i, axis]
            row[5 + axis] += away[i, axis]
        row[1] += np.sqrt(np.float64(squared[k, i]))
        for axis in range(3):
            after, last = (axis + 1) % 3, (axis + 2) % 3
            row[14 + axis] += away[i, after] * way[i, last] - away[i, last] * way[i, after]
            own_away = own_way = 0.0
            for j in range(3):
                own_away += away[i, j] * axes[k, j, axis]
                own_way += way[i, j] * axes[k, j, axis]
            row[17 + axis] += np.sign(own_away) * own_way
    for k in range(slot_count):
        row = rows[k]
        if not present[k]:
            continue
        for i in range(point_count):
            there = inverse[k, pixels[i]]
            if there > 0.0:
                row[21] += max(measured[i] - 1.0 / max(there, 1e-9), 0.0)
        row[20], row[21] = violating[k] / max(areas[k], 1e-12), row[21] / point_count / unit
        if counts[k] > 0.0:
            row[0], row[1] = counts[k] / point_count, row[1] / counts[k] / unit
            row[2:8] /= counts[k]
            row[14:20] /= counts[k]
    for i in range(point_count):
        row = rows[owner[i]]
        if not present[owner[i]]:
            continue
        x, y, z = away[i, 0] - row[5], away[i, 1] - row[6], away[i, 2] - row[7]
        row[8] += x * x
        row[9] += y * y
        row[10] += z * z
        row[11] += y * z
        row[12] += x * z
        row[13] += x * y
    for k in range(slot_count):
        if counts[k] > 0.0:
            for j in range(8, 14):
                mean = rows[k, j] / counts[k]
                rows[k, j] = np.sign(mean) * np.sqrt(abs(mean))
