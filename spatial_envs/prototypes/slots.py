"""K slots on one target and what they cost, kept up to date slot by slot: only what changed is computed
again."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from spatial_envs.geometry.mesh import Mesh
from spatial_envs.geometry.rotations import turn_matrix, wrapped
from spatial_envs.prototypes.bank import POSE, PrototypeBank
from spatial_envs.prototypes.distance import nearest
from spatial_envs.prototypes.scores import Fit, ray_lengths, seen_figures, vertex_areas, violations
from spatial_envs.prototypes.sphere import Sphere
from spatial_envs.prototypes.target import Target
from spatial_envs.rendering.builtin import rasterise_once
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

    def vertices(self, slot: np.ndarray) -> np.ndarray:
        """(V, 3) float32, metres, of one slot (7 + P + 1,)."""
        blended = (self.weights(slot)[:, None] * self.shapes).sum(axis=0).reshape(-1, 3)
        turn = slot[0] * turn_matrix(slot[4:7])
        return (
            blended[:, :1] * turn[:, 0]
            + blended[:, 1:2] * turn[:, 1]
            + blended[:, 2:] * turn[:, 2]
            + slot[1:4]
        ).astype(np.float32)

    def vertex_colors(self, slot: np.ndarray) -> np.ndarray:
        """(V, 3) float32 in [0, 1] of one slot."""
        return (self.weights(slot)[:, None] * self.colors).sum(axis=0).reshape(-1, 3)


class SlotState:
    """Slots (K, 7 + P + 1) on a target, and their residuals over up to ``most_points`` of its points; with
    ``truth`` over up to as many of the true surface too."""

    def __init__(
        self, target: Target, shapes: Shapes, slots: np.ndarray, most_points: int, truth: bool = False
    ) -> None:
        self.target, self.shapes = target, shapes
        count = len(target.points)
        chosen = np.linspace(0, count - 1, min(count, most_points)).astype(int)
        self.points, self.pixels = target.points[chosen], target.pixels[chosen]
        self.measured = target.depth.ravel()[self.pixels].astype(np.float64)
        self.rays = ray_lengths(target)[chosen]
        slots = bounded(slots, target.unit)
        k, n, v = len(slots), len(self.points), len(shapes.topology.vertices)
        size = target.depth.shape
        self.slots = np.zeros_like(slots)
        self.vertices = np.zeros((k, v, 3), np.float32)
        self.present = np.zeros(k, np.bool_)
        self.squared = np.full((k, n), np.inf, np.float32)
        self.faces, self.bary = np.zeros((k, n), np.int32), np.zeros((k, n, 3), np.float32)
        self.inverse_depth = np.zeros((k, *size))
        self.face_ids = np.full((k, *size), -1, np.int32)
        self.areas, self.violating = np.zeros(k), np.zeros(k)
        self.tree: cKDTree | None = None
        if truth:
            assert target.surface is not None
            surface = target.surface
            spread = np.linspace(0, len(surface) - 1, min(len(surface), TRUE_POINTS * most_points))
            self.tree = cKDTree(surface[spread.astype(int)])
            self.surface = surface[spread[::TRUE_POINTS].astype(int)]
            self.from_truth, self.to_truth = np.full((k, len(self.surface)), np.inf), np.zeros(k)
        for index, slot in enumerate(slots):
            self.put(index, slot)

    def put(self, index: int, slot: np.ndarray) -> None:
        """Let slot ``index`` be as given, and only it be computed again."""
        self.slots[index] = slot
        self.vertices[index] = vertices = self.shapes.vertices(slot)
        self.present[index] = self.shapes.presence(slot) > 0.5
        if not self.present[index]:
            self.squared[index], self.inverse_depth[index], self.face_ids[index] = np.inf, 0, -1
            self.areas[index] = self.violating[index] = 0
            if self.tree is not None:
                self.from_truth[index], self.to_truth[index] = np.inf, 0
            return
        topology = self.shapes.topology
        squared, faces, bary = nearest(self.points, vertices[None], topology)
        self.squared[index], self.faces[index], self.bary[index] = squared[0], faces[0], bary[0]
        size = (self.target.depth.shape[0], self.target.depth.shape[1])
        self.inverse_depth[index], self.face_ids[index] = rasterise_once(
            vertices, topology.faces, self.target.cam_to_frame, self.target.intrinsics, size
        )
        areas = vertex_areas(vertices[None], topology)[0]
        self.areas[index] = areas.sum()
        self.violating[index] = (areas * violations(self.target, vertices[None])[0]).sum()
        if self.tree is not None:
            self.from_truth[index] = nearest(self.surface, vertices[None], topology)[0][0]
            self.to_truth[index] = (areas * self.tree.query(vertices)[0]).sum()

    def figures(self) -> dict[str, float]:
        """Over the points kept: one_directional and occlusion_aware (m), fsv, depth_agreement, slots (see
        ``fitting_scores``), and the potentials ``full``, ``chamfer`` and, with truth, ``surface`` (see
        ``SceneFitEnv``)."""
        unit = self.target.unit
        if not self.present.any():
            distance = np.full(len(self.points), unit)
        else:
            distance = np.sqrt(self.squared.min(axis=0).astype(np.float64))
        slots, area = int(self.present.sum()), self.areas.sum()
        figures = seen_figures(
            distance, self.front(), self.measured, self.rays, self.violating.sum(), area, slots
        )
        known = {}
        if self.tree is not None:
            missed = np.sqrt(self.from_truth.min(axis=0)).mean() if slots else unit
            strayed = self.to_truth.sum() / max(area, 1e-12) if slots else unit
            known["surface"] = -(float(missed + strayed) / unit + PARSIMONY * slots)
        cost = figures["occlusion_aware"] / unit + FREE_SPACE * figures["fsv"] + PARSIMONY * slots
        return {**figures, "full": -cost, "chamfer": -figures["one_directional"] / unit, **known}

    def front(self) -> np.ndarray:
        """(n,) metres: depth of the nearest fitted surface on each point's ray, inf where there is none."""
        inverse = self.inverse_depth.reshape(len(self.slots), -1)[:, self.pixels].max(axis=0)
        with np.errstate(divide="ignore"):
            return 1 / inverse

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
        unit, rows = self.target.unit, np.zeros((len(self.slots), RESIDUALS))
        owner = self.squared.argmin(axis=0)
        faces = self.shapes.topology.faces
        inverse = self.inverse_depth.reshape(len(self.slots), -1)[:, self.pixels]
        for k in np.flatnonzero(self.present):
            own = owner == k
            hides = np.maximum(self.measured - 1 / np.maximum(inverse[k], 1e-9), 0) * (inverse[k] > 0)
            rows[k, 20:] = self.violating[k] / max(self.areas[k], 1e-12), hides.mean() / unit
            if not own.any():
                continue
            points = self.points[own].astype(np.float64)
            corners = self.vertices[k][faces[self.faces[k, own]]]
            way = (points - (self.bary[k, own][..., None] * corners).sum(axis=1)) / unit
            away = (points - self.slots[k, 1:4]) / unit
            x, y, z = (away - away.mean(axis=0)).T
            together = np.array([(y * z).mean(), (x * z).mean(), (x * y).mean()])
            axes = turn_matrix(self.slots[k, 4:7])
            rows[k, 0] = own.mean()
            rows[k, 1] = np.sqrt(self.squared[k, own]).mean() / unit
            rows[k, 2:5], rows[k, 5:8], rows[k, 8:11] = way.mean(axis=0), away.mean(axis=0), away.std(axis=0)
            rows[k, 11:14] = np.sign(together) * np.sqrt(np.abs(together))
            rows[k, 14:17] = np.cross(away, way).mean(axis=0)
            rows[k, 17:20] = (np.sign(away @ axes) * (way @ axes)).mean(axis=0)
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
