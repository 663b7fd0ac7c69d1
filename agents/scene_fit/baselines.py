"""What fits a depth map in one go: each fitter is a function of a target, the number of slots and a seed.

random-spheres         spheres at random points of the target's bounding box, radius 0.1 to 0.5 m
kmeans-spheres         k-means of the points; a sphere at each mean, of their root mean square distance
kmeans-ellipsoids      k-means; the principal axes of each cluster, as an ellipsoid of its extent
kmeans-superquadrics   k-means; superquadrics by least squares. The one to beat
pieces-superquadrics   the same on what hangs together in the depth map: where the encoder's queries start
oracle                 the same on ground-truth masks
hill-climb             random changes of spheres, kept where they lower the mean distance
hill-climb-free-space  the same with free space in the loss
encoder                the shipped encoder, which has learned from other scenes
encoder-refined        the same, then 60 steps of Adam on the depth map (``prototypes.refine``)
encoder-searched       the encoder's slots, then blind search in the environment's own moves (``search``)
encoder-searched-near  the same, where it costs to leave the encoder's slots
encoder-climbed        a few steps of Adam, then steps of one slot kept where they gain (``search.climb``)
cheat-shell            one surface wrapped on the depth map, which costs a one-directional loss nothing
cheat-crumpled         every vertex anywhere, so that some surface is near everything
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch

from agents.scene_fit.search import CHANGES, TRIES, blind_search, climb, full, near
from agents.shell import wrapped
from spatial_envs.prototypes.bank import PrototypeBank
from spatial_envs.prototypes.encoder import SHIPPED, SlotEncoder, encoded
from spatial_envs.prototypes.kmeans import clusters
from spatial_envs.prototypes.pieces import pieces
from spatial_envs.prototypes.refine import refined
from spatial_envs.prototypes.residuals import violations
from spatial_envs.prototypes.scores import Fit
from spatial_envs.prototypes.slots import Shapes, SlotState, bounded
from spatial_envs.prototypes.sphere import sphere
from spatial_envs.prototypes.superquadric import ellipsoid, fit_superquadric, superquadric_surface
from spatial_envs.prototypes.target import Target

RADII = (0.1, 0.5)  # metres, of random spheres
EVALUATIONS = 2000  # of a hill-climb
CLIMBED_POINTS = 400  # of the target's, that a hill-climb looks at
SHELL_SUBDIVISIONS = 6
REFINEMENT = 60  # steps of Adam
SEARCHED_POINTS = 512  # of the target's, that a search looks at, as an episode does

FIRST_STEPS = 20  # of Adam, before a climb
CLIMBED_WEIGHTS = (1.0, 0.5)  # of ``near``, for climbs

Fitter = Callable[[Target, int, int], Fit]
# of a bank, a target, slots (K, 7 + P + 1) and a seed
Improvement = Callable[[PrototypeBank, Target, torch.Tensor, int], torch.Tensor]


def random_spheres(target: Target, slots: int, seed: int = 0) -> Fit:
    """Place spheres at random points of the target's bounding box."""
    rng = np.random.default_rng([seed, 1])
    low, high = target.points.min(axis=0), target.points.max(axis=0)
    return _spheres(rng.uniform(low, high, (slots, 3)), rng.uniform(*RADII, slots))


def _spheres(centres: np.ndarray, radii: np.ndarray) -> Fit:
    ball = sphere()
    vertices = ball.vertices * radii[:, None, None] + centres[:, None]
    return Fit(vertices.astype(np.float32), ball, np.ones(len(centres), np.bool_))


def kmeans_spheres(target: Target, slots: int, seed: int = 0) -> Fit:
    """Fit a sphere to each cluster of k-means, of its root mean square distance."""
    groups = _groups(target.points, clusters(target.points, slots, seed))
    centres = np.array([points.mean(axis=0) for points in groups])
    spread = [
        np.sqrt(((points - centre) ** 2).sum(1).mean())
        for points, centre in zip(groups, centres, strict=True)
    ]
    return _spheres(centres, np.maximum(spread, 0.01))


def _groups(points: np.ndarray, labels: np.ndarray) -> list[np.ndarray]:
    return [points[labels == label] for label in np.unique(labels)]


def kmeans_ellipsoids(target: Target, slots: int, seed: int = 0) -> Fit:
    """Fit an ellipsoid to the principal axes and extent of each cluster of k-means."""
    groups = _groups(target.points, clusters(target.points, slots, seed))
    return superquadrics(np.array([ellipsoid(points, tilted=True) for points in groups]))


def kmeans_superquadrics(target: Target, slots: int, seed: int = 0) -> Fit:
    """Fit a superquadric to each cluster of k-means by least squares."""
    groups = _groups(target.points, clusters(target.points, slots, seed))
    return superquadrics(np.array([fit_superquadric(points) for points in groups]))


def pieces_superquadrics(target: Target, slots: int, seed: int = 0) -> Fit:
    """Fit superquadrics by least squares to what hangs together in the depth map."""
    groups = _groups(target.points, pieces(target, slots))
    return superquadrics(np.array([fit_superquadric(points) for points in groups]))


def oracle(target: Target, slots: int = 0, seed: int = 0) -> Fit:
    """Fit superquadrics to the ground-truth masks; it knows the number of objects."""
    assert target.objects is not None
    known = target.objects > 0
    groups = _groups(target.points[known], target.objects[known])
    return superquadrics(np.array([fit_superquadric(points) for points in groups]))


def superquadrics(parameters: np.ndarray) -> Fit:
    """The fit of superquadrics with parameters (K, 11)."""
    ball = sphere()
    vertices = np.stack([superquadric_surface(each, ball) for each in parameters])
    return Fit(vertices, ball, np.ones(len(vertices), np.bool_))


def hill_climb(target: Target, slots: int, seed: int = 0, free_space: bool = False) -> Fit:
    """Random local changes of one sphere at a time from random spheres, kept where they lower the mean
    distance of the points; with ``free_space`` that plus the mean depth by which surfaces violate it."""
    rng = np.random.default_rng([seed, 2])
    start = random_spheres(target, slots, seed)
    centres = start.vertices.mean(axis=1).astype(np.float64)
    radii = np.linalg.norm(start.vertices[:, 0] - centres, axis=1)
    points = target.points[np.linspace(0, len(target.points) - 1, CLIMBED_POINTS).astype(int)]
    ball = sphere(2)
    distances = np.array(
        [np.abs(np.linalg.norm(points - c, axis=1) - r) for c, r in zip(centres, radii, strict=True)]
    )

    def penalty(centre: np.ndarray, radius: float) -> float:
        if not free_space:
            return 0.0
        surface = (ball.vertices * radius + centre)[None].astype(np.float32)
        return target.unit * float(violations(target, surface).mean()) / slots

    penalties = np.array([penalty(c, r) for c, r in zip(centres, radii, strict=True)])
    value = distances.min(axis=0).mean() + penalties.sum()
    for _ in range(EVALUATIONS):
        k = int(rng.integers(slots))
        size = 10 ** rng.uniform(-2, 0)
        centre = centres[k] + size * rng.normal(size=3) * target.unit / 2
        radius = float(np.clip(radii[k] * np.exp(size * rng.normal()), 0.02, target.unit))
        changed = distances.copy()
        changed[k] = np.abs(np.linalg.norm(points - centre, axis=1) - radius)
        cost = penalty(centre, radius)
        new = changed.min(axis=0).mean() + penalties.sum() - penalties[k] + cost
        if new < value:
            centres[k], radii[k], penalties[k], distances, value = centre, radius, cost, changed, new
    return _spheres(centres, radii)


def shell(target: Target, slots: int, seed: int = 0) -> Fit:
    """The cheat that reaches zero, with one slot. The others are there, but small and far away."""
    ball = sphere(SHELL_SUBDIVISIONS)
    centre = target.cam_to_frame[:3, 3]
    far = centre + 50 * target.unit * (centre / np.linalg.norm(centre))
    others = np.broadcast_to(far + 1e-3 * ball.vertices, (slots - 1, *ball.vertices.shape))
    vertices = np.concatenate([wrapped(target, ball)[None], others]).astype(np.float32)
    return Fit(vertices, ball, np.ones(slots, np.bool_))


def crumpled(target: Target, slots: int, seed: int = 0) -> Fit:
    """The cheat that is everywhere: vertices drawn from the box round camera and target."""
    ball = sphere()
    rng = np.random.default_rng([seed, 3])
    centre = target.cam_to_frame[:3, 3]
    low = np.minimum(target.points.min(axis=0), centre)
    high = np.maximum(target.points.max(axis=0), centre)
    vertices = rng.uniform(low, high, (slots, *ball.vertices.shape)).astype(np.float32)
    return Fit(vertices, ball, np.ones(slots, np.bool_))


def by_gradient(bank: PrototypeBank, target: Target, slots: torch.Tensor, seed: int) -> torch.Tensor:
    """Slots (K, 7 + P + 1) made better by 60 steps of Adam."""
    return refined(bank, target, slots, REFINEMENT)


def by_search(
    bank: PrototypeBank, target: Target, slots: torch.Tensor, seed: int, stays_near: bool = False,
    tries: int = TRIES,
) -> torch.Tensor:  # fmt: skip
    """The same by blind search, as long as an episode lasts."""
    state = _state(bank, target, slots)
    blind_search(state, seed, near(state) if stays_near else full, tries)
    return torch.as_tensor(state.slots).float()


def by_climb(
    bank: PrototypeBank, target: Target, slots: torch.Tensor, seed: int, changes: int = CHANGES
) -> torch.Tensor:
    """The same by a few steps of Adam and then a climb, near where both began."""
    state = _state(bank, target, slots)
    value = near(state, *CLIMBED_WEIGHTS)
    begun = refined(bank, target, slots, FIRST_STEPS).double().numpy()
    for k, slot in enumerate(bounded(begun, target.unit)):
        state.put(k, slot)
    climb(state, seed, value, changes)
    return torch.as_tensor(state.slots).float()


def _state(bank: PrototypeBank, target: Target, slots: torch.Tensor) -> SlotState:
    return SlotState(target, Shapes.of(bank), slots.double().numpy(), SEARCHED_POINTS)


class Encoded:
    """The fitter that an encoder's weights are, its slots made better by ``improve`` where that is given."""

    def __init__(self, weights: Path = SHIPPED, improve: Improvement | None = None) -> None:
        self.weights, self.improve = Path(weights), improve

    def then(self, improve: Improvement) -> Encoded:
        """The same weights, with that."""
        return Encoded(self.weights, improve)

    @cached_property
    def model(self) -> SlotEncoder:
        """Read when it is first needed."""
        return SlotEncoder.load(self.weights)

    def __call__(self, target: Target, slots: int, seed: int = 0) -> Fit:
        """Fit the target."""
        bank = self.model.bank
        given = encoded(self.model, [target], slots)[0]
        if self.improve is not None:
            given = self.improve(bank, target, given, seed)
        with torch.no_grad():
            return Fit(bank(given).numpy(), bank.topology, (bank.presence(given) > 0.5).numpy())


ENCODER = Encoded()
FITTERS: dict[str, Fitter] = {
    "random-spheres": random_spheres,
    "kmeans-spheres": kmeans_spheres,
    "kmeans-ellipsoids": kmeans_ellipsoids,
    "kmeans-superquadrics": kmeans_superquadrics,
    "pieces-superquadrics": pieces_superquadrics,
    "oracle": oracle,
    "hill-climb": hill_climb,
    "hill-climb-free-space": partial(hill_climb, free_space=True),
    "encoder": ENCODER,
    "encoder-refined": ENCODER.then(by_gradient),
    "encoder-searched": ENCODER.then(by_search),
    "encoder-searched-near": ENCODER.then(partial(by_search, stays_near=True)),
    "encoder-climbed": ENCODER.then(by_climb),
    "cheat-shell": shell,
    "cheat-crumpled": crumpled,
}
