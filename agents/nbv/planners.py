"""Bounds: policies that look at the true surface, one view ahead, several, or all of them."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array, hstack, identity
from scipy.spatial import cKDTree

from agents.nbv.heuristics import Baseline
from spatial_envs.geometry.camera import unproject
from spatial_envs.nbv.episode import Episode
from spatial_envs.reconstruction.chamfer import COVERAGE_SHARE

REFINEMENTS = ((24, 0.06), (24, 0.02))  # rounds of local search: how many tries, how far in action units
POINTS = 1000  # of the reference, that a set cover counts
SECONDS = 30.0  # that the integer program may take


class Oracle(Baseline):
    """Greedy: the best true gain among 256 poses that the action space reaches, refined by local search."""

    def act(self):
        """Return the action of the rule that the class's docstring describes."""
        poses = self.reachable()
        if self.env.task.action == "candidates":
            return self.env.action_from_pose(poses[np.nanargmax(self.env.evaluate(poses))])
        best, gain = self._best(np.stack([self.env.action_from_pose(pose) for pose in poses]))
        for count, spread in REFINEMENTS:
            tries = best + spread * self.generator.normal(size=(count, len(best)))
            near, near_gain = self._best(np.clip(tries, -1, 1).astype(np.float32))
            if near_gain > gain:
                best, gain = near, near_gain
        return best

    def _best(self, actions: np.ndarray) -> tuple[np.ndarray, float]:
        gains = self.env.evaluate(self.env.poses_from_actions(actions))
        return actions[np.nanargmax(gains)], float(np.nanmax(gains))


class Plan(Baseline):
    """A policy that plans the whole episode at its beginning, over ``candidates``, and then acts it out."""

    def __init__(self, env, seed: int = 0) -> None:
        super().__init__(env, seed)
        self._planned: list[np.ndarray] = []

    def act(self):
        """Return the action of the rule that the class's docstring describes."""
        episode = self.env.task.episode(0)
        if len(episode.views) == self.env.task.initial_views:
            self._planned = self.plan(episode, self.env.task.views - len(episode.views))
        return self.env.action_from_pose(self._planned.pop(0))

    @abstractmethod
    def plan(self, episode: Episode, count: int) -> list[np.ndarray]:
        """The next ``count`` poses (4, 4)."""


@dataclass(frozen=True)
class _Partial:
    """A beginning of a plan: the episode as it would be, the gain so far, the candidates taken."""

    episode: Episode
    gain: float
    taken: tuple[int, ...]


class Beam(Plan):
    """Beam search by true gains: of all the ways to add a view to the ``WIDTH`` best beginnings, the best are
    kept. Width 1 would be the greedy oracle."""

    WIDTH = 6

    def plan(self, episode: Episode, count: int) -> list[np.ndarray]:
        """Return the next ``count`` poses (4, 4), planned in the copy of the episode that is given."""
        task, poses = self.env.task, self.reachable()
        beam = [_Partial(episode, 0.0, ())]
        for _ in range(count):
            longer: dict[frozenset[int], _Partial] = {}
            for partial in beam:
                gains = task.gains(partial.episode, poses)
                for k in np.argsort(gains)[::-1][: self.WIDTH]:
                    if k in partial.taken:
                        continue
                    taken = (*partial.taken, int(k))
                    found = _Partial(partial.episode, partial.gain + gains[k], taken)
                    longer.setdefault(frozenset(taken), found)
            best = sorted(longer.values(), key=lambda found: -found.gain)[: self.WIDTH]
            beam = [replace(b, episode=task.extended(b.episode, poses[[b.taken[-1]]])[0]) for b in best]
        return [poses[k] for k in beam[0].taken]


class SetCover(Plan):
    """The set of ``directions`` that together see most of the reference within the coverage distance: an
    exact maximum cover of 1,000 points by integer programming, taken in the order of what they add."""

    def plan(self, episode: Episode, count: int) -> list[np.ndarray]:
        """Return the next ``count`` poses (4, 4), planned in the copy of the episode that is given."""
        poses, points = self.directions(), episode.reference.points
        points = points[self.generator.choice(len(points), min(POINTS, len(points)), replace=False)]
        limit = COVERAGE_SHARE * episode.reference.diameter
        seen = np.zeros(len(points), np.bool_)
        for view in episode.views:
            seen |= _near(view, points, limit)
        points = points[~seen]
        views = self.env.render_view(poses)
        sees = np.array([_near(views[k], points, limit) for k in range(len(poses))])  # (K, G)
        chosen = maximum_cover(sees, count)
        order: list[int] = []
        left = np.ones(len(points), np.bool_)
        while len(order) < count:
            best = max((k for k in chosen if k not in order), key=lambda k: (sees[k] & left).sum())
            order.append(best)
            left &= ~sees[best]
        return [poses[k] for k in order]


def _near(view, points: np.ndarray, limit: float) -> np.ndarray:
    """(G,) bool: which points (G, 3) the view's measured points come near."""
    measured = unproject(view.depth, view.intrinsics, view.cam_to_world)[view.depth > 0]
    if not len(measured):
        return np.zeros(len(points), np.bool_)
    return cKDTree(measured).query(points, distance_upper_bound=limit)[0] <= limit


def maximum_cover(sees: np.ndarray, count: int) -> list[int]:
    """The ``count`` rows of sees (K, G) bool that together are True in most columns; exact, or, with a
    warning, the best that was found within ``SECONDS``."""
    rows, columns = sees.shape
    # maximise the sum of y subject to y_g <= sum of the x_k that see g, and count of the x
    covers = hstack([coo_array(-sees.T.astype(float)), identity(columns)])
    exactly = np.concatenate([np.ones(rows), np.zeros(columns)])[None]
    solved = milp(
        np.concatenate([np.zeros(rows), -np.ones(columns)]),
        integrality=np.concatenate([np.ones(rows), np.zeros(columns)]),
        bounds=Bounds(0, 1),
        constraints=[LinearConstraint(covers.tocsr(), -np.inf, 0), LinearConstraint(exactly, count, count)],
        options={"time_limit": SECONDS},
    )
    if solved.x is None:
        raise RuntimeError(f"the integer program of a set cover found nothing: {solved.message}")
    if solved.status != 0:
        warnings.warn(f"a set cover may not be the largest: {solved.message}", stacklevel=2)
    return [int(k) for k in np.flatnonzero(solved.x[:rows] > 0.5)]
