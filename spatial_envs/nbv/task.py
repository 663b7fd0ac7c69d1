"""Next-best-view: where to put the camera next. ``NBVEnv`` is the page that users read.

In the order in which data runs: action -> pose (actions.py) -> View (renderer) -> encoding
(backbone) -> cloud -> Chamfer -> reward (``NBV.step``), and the observation of it all (``NBV.observe``).
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium import spaces

from spatial_envs.core.features import Features
from spatial_envs.core.prefetch import Ahead
from spatial_envs.core.stays import Stays
from spatial_envs.core.task import Observation, Rows, check_state, checked_actions, chosen_space, padded
from spatial_envs.foundation.arguments import (
    check_choice,
    check_range,
    checked_poses,
    floats,
)
from spatial_envs.foundation.caches import Recent, folder_of
from spatial_envs.geometry.camera import (
    Region,
    inverse_pose,
    measured_points,
    pinhole,
    transform_points,
    turn_about_y,
)
from spatial_envs.geometry.mesh import Mesh
from spatial_envs.geometry.view import View, stack_views
from spatial_envs.geometry.voxels import GLIMPSES
from spatial_envs.nbv.actions import (
    ACTION_DIMS,
    PENALISED,
    action_from_pose,
    anchor_direction,
    pose_from_action,
)
from spatial_envs.nbv.candidates import CANDIDATES, GLIMPSE, Candidates, azimuth
from spatial_envs.nbv.episode import Episode, Foreseen
from spatial_envs.nbv.occupancy import VOXELS, occupancy
from spatial_envs.nbv.picture import draw_next_best_view
from spatial_envs.nbv.reference import build_reference
from spatial_envs.nbv.settings import NBVDiscreteSettings, NBVSettings
from spatial_envs.nbv.starts import checked_views, initial_poses
from spatial_envs.reconstruction.chamfer import Metrics, gain
from spatial_envs.reconstruction.reference import Reference
from spatial_envs.rendering import make_renderer
from spatial_envs.rendering.builtin import BuiltinRenderer
from spatial_envs.scenes.objects import open_objects

ON_REQUEST = ("glimpses", "points", "points_mask", "voxels", "gains")  # observed only where asked for
OF_CANDIDATES = ("candidates", *ON_REQUEST)  # and of continuous actions, what could be looked at
STATE = ("poses", "view_mask", "anchor", "remaining")
PRESETS = {
    "state": ("features", *STATE), "image": ("rgb",), "points": ("points", "points_mask", *STATE),
}  # fmt: skip
POINTS = 2048  # of the reconstruction, that are observed
POINTS_PER_VIEW = 2000  # of a network's points, by a fixed stride
SUCCESS_SHARE = 0.95  # of the attainable coverage


class NBV(Rows[Episode]):
    """The task behind ``NBVEnv`` (arguments are documented there), for any number of rows."""

    settings_type: ClassVar[type[NBVSettings]] = NBVSettings

    def __init__(self, settings: NBVSettings, num_rows: int = 1) -> None:
        self.settings = settings
        self.features = Features(settings, settings.frame)
        self.reconstruction = self.features.reconstruction(settings.reconstruction)
        self.image_size = self.features.image_size(settings.image_size)
        self.objects = open_objects(settings.scenes, split=settings.split, up=settings.up)
        if settings.num_objects is not None:
            check_range("num_objects", settings.num_objects, 1, len(self.objects), int)
            self.objects = self.objects.first(settings.num_objects)
        self.renderer = make_renderer(settings.renderer, settings.device)
        self.views, self.initial_views = settings.views, settings.initial_views
        self.fov, self.action, self.audit = settings.fov, settings.action, settings.audit
        self.stops = settings.view_cost is not None
        self.intrinsics = pinhole(self.fov, self.image_size)
        self.region = Region(settings.radius)
        radius = self.region.middle if settings.candidate_radius is None else float(settings.candidate_radius)
        self.candidates = Candidates(self.region, radius, settings.frame)
        self.cache = Recent[int, tuple[Mesh, Reference]](settings.cache_size)
        self.stays = Stays(self.objects, settings.scene_steps)
        self.ahead = Ahead[tuple[Mesh, Reference]](settings.prefetch)
        self.rows = [None] * num_rows

        all_spaces = self._observation_spaces()
        self.observable = tuple(all_spaces)
        left_out = ON_REQUEST if self.action == "candidates" else OF_CANDIDATES
        default = [key for key in all_spaces if key not in left_out]
        presets = {**PRESETS, "all": [key for key in all_spaces if key != "gains"]}  # which are the answer
        if self.action == "candidates":
            presets["state"] = (*PRESETS["state"], "candidates")
        self.observation_space = chosen_space(all_spaces, settings.observations, default, presets)
        self.colored = self.backbone is not None or "rgb" in self.observation_space.spaces
        self.action_space: spaces.Space
        if self.action == "candidates":
            self.action_space = spaces.Discrete(CANDIDATES + self.stops)
        else:
            self.action_space = spaces.Box(-1.0, 1.0, (ACTION_DIMS[self.action] + self.stops,), np.float32)

    def _observation_spaces(self) -> dict[str, spaces.Space]:
        (height, width), outer = self.image_size, self.region.radius[1]
        glimpse = (CANDIDATES, len(GLIMPSES), GLIMPSE, GLIMPSE)
        reach = outer + self.region.radius[1] if self.settings.frame == "first_view" else outer
        bound = np.tile(np.array([reach] * 3 + [1] * 6, np.float32), (self.views, 1))
        available: dict[str, spaces.Space] = {
            "poses": spaces.Box(-bound, bound, dtype=np.float32),
            "view_mask": spaces.MultiBinary(self.views),
            "anchor": spaces.Box(-1.0, 1.0, (3,), np.float32),
            "remaining": spaces.Box(0.0, 1.0, (1,), np.float32),
            "rgb": spaces.Box(0, 255, (height, width, 3), np.uint8),
            "depth": spaces.Box(0.0, outer + 0.5, (height, width, 1), np.float32),
            "candidates": spaces.Box(-1.0, 1.0, (CANDIDATES, 4), np.float32),
            "glimpses": spaces.Box(0, 255, glimpse, np.uint8),
            "points": spaces.Box(-reach, reach, (POINTS, 3), np.float32),
            "points_mask": spaces.MultiBinary(POINTS),
            "voxels": spaces.Box(0, 255, (1, *[VOXELS] * 3), np.uint8),
            "gains": spaces.Box(-np.inf, np.inf, (CANDIDATES,), np.float32),
        }
        if self.backbone is not None:
            available["features"] = self.features.box(self.image_size, self.views)
        return available

    # ---- the two calls that advance rows

    def reset(
        self,
        rows: Sequence[int],
        generators: Sequence[np.random.Generator],
        options: dict[str, Any],
        seeded: Sequence[bool],
    ) -> None:
        """See ``Task.reset``; options: "object", a name or an index, and "views", (n, 4, 4)."""
        for key in options:
            check_choice("options", key, ("object", "views"))
        index = None if options.get("object") is None else self.objects.index(options["object"])
        start, count, given = self.settings.start, self.initial_views, options.get("views")
        given = None if given is None else checked_views(given, count, self.region)
        begun: list[Episode] = []
        initial: list[np.ndarray] = []
        for row, generator, anew in zip(rows, generators, seeded, strict=True):
            last = None if anew else self.rows[row]
            drawn, built, stay = self.stays.enter(last, generator, self._build, index)
            poses = initial_poses(generator, self.region, start, count) if given is None else given
            initial.append(poses)
            begun.append(self._episode(drawn, built, poses[0]))
            begun[-1].stay = self.stays.ahead(stay, generator)
        self._take(begun, np.stack(initial))
        for row, episode, anew in zip(rows, begun, seeded, strict=True):
            episode.first = episode.metrics
            self.rows[row] = episode
            self._look_ahead(row, None if anew else episode.stay.next)

    def step(self, rows: Sequence[int], actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """See ``Task.step``; actions (B, A) in [-1, 1], clipped, or (B,) indices of candidates."""
        episodes = [self.episode(row) for row in rows]
        checked = checked_actions(self.action_space, actions)
        rewards, terminated = np.zeros(len(episodes)), self._stopping(checked)
        for k in np.flatnonzero(terminated):
            episodes[k].gain, episodes[k].invalid = 0.0, False
        going_on = np.flatnonzero(~terminated)
        if len(going_on):
            looking = [episodes[k] for k in going_on]
            rewards[going_on], terminated[going_on] = self._looked(looking, checked[going_on])
        return rewards, terminated, np.zeros_like(terminated)

    def _looked(self, episodes: Sequence[Episode], actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Let each episode take the view that its action means: rewards (B,) and which are over (B,)."""
        before = [episode.metrics for episode in episodes]
        poses, valid = self._poses(episodes, actions)
        usual = [self._usual_gain(episode) for episode in episodes]
        self._take(episodes, poses[:, None])
        rewards, over = np.zeros(len(episodes)), np.zeros(len(episodes), np.bool_)
        stop_at, cost = self.settings.stop_at, self.settings.view_cost or 0.0
        for k, episode in enumerate(episodes):
            episode.gain = gain(self.settings.reward, before[k], episode.metrics, episode.first)
            episode.invalid = not valid[k]
            rewards[k] = episode.gain - usual[k] - self.settings.invalid_penalty * episode.invalid - cost
            enough = stop_at is not None and episode.metrics["coverage"] >= stop_at
            over[k] = enough or len(episode.views) >= self.views
        return rewards, over

    def _usual_gain(self, episode: Episode) -> float:
        """What ``reward_baseline`` takes off the episode's next reward."""
        if self.settings.reward_baseline is None:
            return 0.0
        if self.action == "candidates":
            anchor = episode.frame_to_world[:3, :3] @ self.anchor_direction(episode)
            action = np.array([self._nearest_candidate(episode, anchor)])
        else:
            action = np.zeros((1, ACTION_DIMS[self.action]))
        return self.gains(episode, self._poses([episode], action)[0])[0]

    def _stopping(self, actions: np.ndarray) -> np.ndarray:
        """(B,) bool: which actions stop instead of looking."""
        if not self.stops:
            return np.zeros(len(actions), np.bool_)
        return actions == CANDIDATES if self.action == "candidates" else actions[:, -1] > 0

    # ---- action -> pose -> View -> encoding -> cloud

    def _poses(self, episodes: Sequence[Episode], actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Camera poses (B, 4, 4) float32 and whether the actions meant valid ones (B,)."""
        if self.action == "candidates":
            chosen = list(zip(episodes, actions, strict=True))
            taken = np.stack([self.candidate_poses(episode)[k] for episode, k in chosen])
            return taken, np.array([self.action_mask(episode)[k] for episode, k in chosen])
        poses, inside = pose_from_action(
            self.action,
            torch.as_tensor(actions[:, : ACTION_DIMS[self.action]], dtype=torch.float64),
            torch.as_tensor(np.stack([self.anchor_direction(episode) for episode in episodes])),
            torch.as_tensor(np.stack([episode.frame_to_world for episode in episodes])),
            self.region,
        )
        valid = inside.numpy() if self.action in PENALISED else np.ones(len(episodes), np.bool_)
        return poses.numpy().astype(np.float32), valid

    def _take(self, episodes: Sequence[Episode], poses: np.ndarray, observed: bool = True) -> None:
        """Let each episode take n more views: poses (B, n, 4, 4). One backbone call for all."""
        self._absorb(episodes, self._rendered([episode.mesh for episode in episodes], poses), observed)

    def _rendered(self, meshes: Sequence[Mesh], poses: np.ndarray) -> list[View]:
        """What each object looks like from its poses (B, ..., 4, 4)."""

        def render(mesh: Mesh, pose: np.ndarray) -> View:
            view = self.renderer.render(mesh, pose, self.intrinsics, self.image_size)
            return view.painted() if self.colored else view

        if isinstance(self.renderer, BuiltinRenderer):
            return self.side_by_side(render, meshes, poses)
        return [render(mesh, pose) for mesh, pose in zip(meshes, poses, strict=True)]

    def _absorb(self, episodes: Sequence[Episode], new: Sequence[View], observed: bool = True) -> None:
        """Let each episode take in its views (n, ...), n the same for all: features, cloud, figures. One that
        nobody observes has no features where its figures do without them."""
        seen = [[*episode.views, *_unstack(views)] for episode, views in zip(episodes, new, strict=True)]
        made: list[list[tuple[np.ndarray, np.ndarray]]] = [[] for _ in episodes]  # points and which there are
        features: list[np.ndarray | None] = [None] * len(episodes)
        once = self.backbone is None or self.backbone.independent
        if self.backbone is not None and (observed or self.reconstruction == "backbone"):
            # what does not depend on the other views is encoded once, and its points stay where they are
            sets = [_unstack(views) for views in new] if once else seen
            counts, frames = [len(views) for views in sets], [episode.frame_to_world for episode in episodes]
            kept = [None if once else episode.per_view for episode in episodes]
            encoding = self.features.encode(sets, frames, kept)
            for k, rows in enumerate(self.features.pooled(encoding, counts, self.image_size)):
                old = episodes[k].features if once else None
                features[k] = rows if old is None else np.concatenate([old, rows])
                if encoding.per_view is not None:
                    episodes[k].per_view = encoding.per_view[k][: counts[k]]
            if self.reconstruction == "backbone":
                points, mask = encoding.points.float().cpu().numpy(), encoding.mask.cpu().numpy()
                made = [list(zip(points[k, :n], mask[k, :n], strict=True)) for k, n in enumerate(counts)]
        self.side_by_side(self._grow, episodes, new, made)
        for k, episode in enumerate(episodes):
            episode.views, episode.features = seen[k], features[k]

    def _grow(self, episode: Episode, new: View, made: list[tuple[np.ndarray, np.ndarray]]) -> None:
        """Let the clouds grow by the new views (n, ...), and by what the backbone made of each of its: points
        (H, W, 3) in the frame, and which of them there are (H, W)."""
        measured = [episode.cloud] if self.reconstruction == "depth" else []
        for cloud in measured if episode.twin is None else [*measured, episode.twin]:
            for view in _unstack(new):
                cloud.add(measured_points(view.depth, view.intrinsics, view.cam_to_world))
        if self.reconstruction == "backbone":
            independent = self.backbone is not None and self.backbone.independent
            if not independent:
                episode.cloud = episode.reference.empty_cloud()
            for points, mask in made:
                points = points[mask]
                if not independent:
                    points = points[:: math.ceil(max(len(points), 1) / POINTS_PER_VIEW)]
                episode.cloud.add(transform_points(episode.frame_to_world, points))
        episode.metrics = episode.cloud.metrics()

    # ---- what the agent is told

    def observe(self, row: int) -> Observation:
        """See ``Task.observe``; the keys are documented in ``NBVEnv``."""
        episode = self.episode(row)
        latest, count = episode.views[-1], len(episode.views)
        made: dict[str, Callable[[], np.ndarray]] = {
            "features": lambda: padded(self.features.standard(episode.features), self.views),
            "poses": lambda: padded(self._pose_rows(episode), self.views),
            "view_mask": lambda: (np.arange(self.views) < count).astype(np.int8),
            "anchor": lambda: self.anchor_direction(episode).astype(np.float32).clip(-1, 1),
            "remaining": lambda: np.array([(self.views - count) / self.views], np.float32),
            "rgb": lambda: latest.rgb.copy(),
            "depth": lambda: latest.depth[..., None].copy(),
            "candidates": lambda: self.candidates.rows(episode),
            "glimpses": lambda: self.candidates.glimpses(episode),
            "points": lambda: padded(self._points(episode), POINTS),
            "points_mask": lambda: (np.arange(POINTS) < len(episode.cloud.points)).astype(np.int8),
            "voxels": lambda: occupancy(episode)[None],
            "gains": lambda: self._candidate_gains(row),
        }
        return {key: made[key]() for key in self.observation_space.spaces}

    def observe_all(self, rows: Sequence[int]) -> list[Observation]:
        """See ``Task.observe_all``."""
        return self.side_by_side(self.observe, rows)

    def _points(self, episode: Episode) -> np.ndarray:
        """(n, 3), n <= POINTS: the reconstruction in the frame, metres, thinned by a fixed stride."""
        points = episode.cloud.points
        if len(points) > POINTS:
            points = points[np.linspace(0, len(points) - 1, POINTS).astype(int)]
        bound = self.observation_space["points"].high[: len(points)]  # type: ignore[attr-defined]
        return transform_points(inverse_pose(episode.frame_to_world), points).clip(-bound, bound)

    def _candidate_gains(self, row: int) -> np.ndarray:
        episode = self.episode(row)
        if len(episode.views) >= self.views:  # nothing is left to decide
            return np.zeros(CANDIDATES, np.float32)
        return self.evaluate(row, self.candidate_poses(episode)).astype(np.float32)

    def _pose_rows(self, episode: Episode) -> np.ndarray:
        """(n, 9): position, camera X and camera Y axis in the frame."""
        poses = np.stack([view.cam_to_world for view in episode.views])
        poses = inverse_pose(episode.frame_to_world) @ poses
        rows = np.concatenate([poses[:, :3, 3], poses[:, :3, 0], poses[:, :3, 1]], axis=1)
        space = self.observation_space["poses"]
        return rows.clip(space.low[: len(rows)], space.high[: len(rows)])  # type: ignore[attr-defined]

    def info(self, row: int) -> dict[str, Any]:
        """See ``Task.info``; the keys are documented in ``NBVEnv``."""
        episode = self.episode(row)
        centres = np.array([view.cam_to_world[:3, 3] for view in episode.views], np.float64)
        info: dict[str, Any] = {
            **episode.metrics,
            "gain": episode.gain,
            "views": len(episode.views),
            "path_length": float(np.linalg.norm(np.diff(centres, axis=0), axis=1).sum()),
            "invalid": episode.invalid,
            "is_success": episode.metrics["coverage"] >= SUCCESS_SHARE * episode.reference.attainable,
            "object": self.objects.names[episode.index],
            "backbone": self.backbone_name,
        }
        if episode.twin is not None:
            info |= {f"unproject_{name}": value for name, value in episode.twin.metrics().items()}
        if self.action == "candidates":
            info["action_mask"] = self.allowed(episode).astype(np.int8)
        return info

    # ---- where a zero action goes, and which candidates are left

    def anchor_direction(self, episode: Episode) -> np.ndarray:
        """(3,) float64: the unit direction, in the frame's axes, that a zero action means."""
        if episode.anchor is None or episode.anchor[0] != len(episode.views):
            rotation = episode.frame_to_world[:3, :3]
            found = anchor_direction(self.settings.anchor, episode.directions(), rotation, self.region)
            episode.anchor = len(episode.views), found
        return episode.anchor[1].copy()

    def candidate_poses(self, episode: Episode) -> np.ndarray:
        """(64, 4, 4) float32 cam_to_world of the candidates, world frame."""
        return self.candidates.poses(episode)

    def action_mask(self, episode: Episode) -> np.ndarray:
        """(64,) bool: the candidates farther than 5 degrees from every view taken."""
        return self.candidates.left(episode)

    def _nearest_candidate(self, episode: Episode, direction: np.ndarray) -> np.int64:
        """The candidate left that is nearest to a direction (3,), world frame, of any length."""
        near = self.candidate_poses(episode)[:, :3, 3] @ direction
        return np.int64(np.argmax(np.where(self.action_mask(episode), near, -np.inf)))

    def allowed(self, episode: Episode) -> np.ndarray:
        """(64,) bool, or with a stop (65,): the discrete actions that are not penalised."""
        return np.append(self.action_mask(episode), np.full(int(self.stops), True))

    # ---- beginnings

    def _episode(self, index: int, built: tuple[Mesh, Reference], first_pose: np.ndarray) -> Episode:
        mesh, reference = built
        frame_to_world = np.eye(4)
        if self.settings.frame == "gravity":
            frame_to_world = turn_about_y(azimuth(first_pose))
        elif self.settings.frame == "first_view":
            frame_to_world = first_pose.astype(np.float64)
        cloud = reference.empty_cloud()
        twin = reference.empty_cloud() if self.audit else None
        begun = Episode(index, mesh, reference, frame_to_world, [], cloud, cloud.metrics(), cloud.metrics())
        return replace(begun, twin=twin, initial=self.initial_views)

    def _build(self, index: int) -> tuple[Mesh, Reference]:
        """The object and its reference, from the cache where they are there."""
        build = self._recipe(index, partial(self.objects.load, index))
        return self.cache.get(index, partial(self.ahead.take, index, build))

    def _look_ahead(self, row: int, index: int | None) -> None:
        """Let the object that the row needs next be built meanwhile."""
        if index is None or index in self.cache:
            self.ahead.want(row, None, None)
        else:
            self.ahead.want(row, index, self._recipe(index, partial(self.objects.only(index).load, 0)))

    def _recipe(self, index: int, load: Callable[[], Mesh]) -> Callable[[], tuple[Mesh, Reference]]:
        settings = self.settings
        sight = self.region, self.fov, self.image_size, settings.reference, folder_of(settings.cache_dir)
        return partial(_object_and_reference, load, settings.placement, index, sight)

    def floor(self, index: int) -> float:
        """The Chamfer distance, metres, that perfect points of an object of the set score."""
        mesh, reference = self._build(index)
        return reference.floor(mesh)

    # ---- for those who look ahead, look around, or go back

    def render(self, row: int) -> np.ndarray:
        """See ``Task.render``."""
        episode = self.episode(row)
        return draw_next_best_view(
            self.renderer,
            episode.mesh,
            episode.views,
            episode.cloud,
            self.backbone_name if self.reconstruction == "backbone" else "the measured depth",
        )

    def render_view(self, row: int, cam_to_world: np.ndarray) -> View:
        """The row's object from any poses (..., 4, 4)."""
        poses = checked_poses(cam_to_world)
        return self.renderer.render(self.episode(row).mesh, poses, self.intrinsics, self.image_size)

    def evaluate(self, row: int, cam_to_world: np.ndarray) -> np.ndarray:
        """(K,) float64: the gain that each pose (K, 4, 4) would bring; NaN outside the region."""
        poses = floats("cam_to_world", cam_to_world, "(K, 4, 4)").astype(np.float32)
        if poses.ndim != 3 or poses.shape[1:] != (4, 4):
            raise ValueError(f"cam_to_world: got shape {poses.shape}; expected (K, 4, 4)")
        return self.gains(self.episode(row), poses)

    def gains(self, episode: Episode, poses: np.ndarray) -> np.ndarray:
        """(K,) float64: what each pose (K, 4, 4) would add to the episode; NaN outside the region."""
        gains = np.full(len(poses), np.nan)
        inside = np.flatnonzero(self.region.contains(poses[:, :3, 3].astype(np.float64)))
        for k, after in zip(inside, self._foreseen(episode, poses[inside]), strict=True):
            gains[k] = gain(self.settings.reward, episode.metrics, after, episode.first)
        return gains

    def _foreseen(self, episode: Episode, poses: np.ndarray) -> list[Metrics]:
        """The episode's figures as they would be after a view from each of the poses (K, 4, 4). Where its
        points are those of the measured depth, that is all it takes: no colours, no features."""
        measured = self.reconstruction == "depth" or getattr(self.backbone, "measured", False)
        if not measured:
            chunks = np.array_split(poses, max(1, math.ceil(len(poses) / 32)))
            return [twin.metrics for chunk in chunks for twin in self.extended(episode, chunk)]
        if episode.foreseen is None or not np.array_equal(episode.foreseen.poses, poses):
            episode.foreseen = Foreseen(poses.copy(), self._clouds(episode, poses))
        points, squared = zip(*episode.foreseen.clouds, strict=True) if len(poses) else ((), ())
        return self.side_by_side(episode.cloud.foreseen, points, squared)

    def _clouds(self, episode: Episode, poses: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """What depth measures from each of the poses (K, 4, 4): points (M, 3) in the world frame, and NaN
        (M,) for what is not yet known of them."""
        renderer, poses = self.renderer, poses.astype(np.float32)

        def look(pose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            depth = renderer.render(episode.mesh, pose, self.intrinsics, self.image_size).depth
            if self.reconstruction == "depth":
                points = measured_points(depth, self.intrinsics, pose)
            else:  # by way of the frame, as the backbone's
                in_frame = (inverse_pose(episode.frame_to_world) @ pose).astype(np.float32)
                points = measured_points(depth, self.intrinsics, in_frame)
                points = transform_points(episode.frame_to_world, points)
            return points, np.full(len(points), np.nan)

        if isinstance(renderer, BuiltinRenderer):
            return self.side_by_side(look, poses)
        return [look(pose) for pose in poses]

    def extended(self, episode: Episode, poses: np.ndarray) -> list[Episode]:
        """The episode as it would be after a view from each of the poses (K, 4, 4), without features."""
        twins = [replace(episode, cloud=episode.cloud.copy(), twin=None) for _ in poses]
        if twins:
            self._take(twins, poses[:, None], observed=False)
        return twins

    def poses_from_actions(self, row: int, actions: np.ndarray) -> np.ndarray:
        """(K, 4, 4) float32: where each action (K, ...) would take the row's camera; a component that stops
        is not read. ValueError for a candidate that is a stop."""
        checked = checked_actions(self.action_space, np.asarray(actions))
        if self.action == "candidates" and self._stopping(checked).any():
            raise ValueError(f"actions: got {CANDIDATES}, which stops; expected 0 to {CANDIDATES - 1}")
        return self._poses([self.episode(row)] * len(checked), checked)[0]

    def action_from_pose(self, row: int, cam_to_world: np.ndarray) -> np.ndarray | np.integer:
        """The action that takes the row's camera to this pose (4, 4), or as near as actions reach."""
        pose = floats("cam_to_world", cam_to_world, "a finite (4, 4)")
        if pose.shape != (4, 4) or not np.isfinite(pose).all():
            raise ValueError(f"cam_to_world: got {pose.shape} {pose.tolist()}; expected a finite (4, 4)")
        episode = self.episode(row)
        if self.action == "candidates":
            return self._nearest_candidate(episode, pose[:3, 3])
        anchor = self.anchor_direction(episode)
        action = action_from_pose(self.action, pose, anchor, episode.frame_to_world, self.region)
        return np.append(action, np.full(int(self.stops), -1, np.float32))

    def get_state(self, row: int) -> dict[str, Any]:
        """What the row's episode follows from; its views, and what the last step said."""
        episode = self.episode(row)
        return {
            "object": self.objects.names[episode.index], "views": stack_views(episode.views),
            "gain": episode.gain, "invalid": episode.invalid, "stay": self.stays.state(episode.stay),
        }  # fmt: skip

    def set_state(self, row: int, state: dict[str, Any]) -> None:
        """Begin the row's episode again from its views. ValueError for what is no state of such a task."""
        check_state("state['task']", state, {"object", "views", "gain", "invalid", "stay"})
        index, views = self.objects.index(state["object"]), state["views"]
        shape = views.depth.shape if isinstance(views, View) else reprlib.repr(views)
        least, most, size = self.initial_views, self.views, self.image_size
        if not isinstance(shape, tuple) or shape[1:] != size or not least <= shape[0] <= most:
            raise ValueError(
                f"state['task']['views']: got {shape}; expected a View of {least} to {most} images of {size}"
            )
        stay = self.stays.checked(state["stay"])
        episode = self._episode(index, self._build(index), views.cam_to_world[0])
        episode.stay = stay
        self._absorb([episode], [views[: self.initial_views]])
        episode.first = episode.metrics
        for k in range(self.initial_views, len(views.depth)):
            self._absorb([episode], [views[k : k + 1]])
        episode.gain, episode.invalid = state["gain"], state["invalid"]
        self.rows[row] = episode


class NBVDiscrete(NBV):
    """The task behind ``NBVDiscreteEnv``: over candidates."""

    settings_type = NBVDiscreteSettings


def _object_and_reference(
    load: Callable[[], Mesh], placement: float, index: int, sight: tuple
) -> tuple[Mesh, Reference]:
    """An object of the index and what is to be seen of it by ``build_reference``'s other arguments."""
    mesh = _displaced(load(), placement, index)
    return mesh, build_reference(mesh, *sight)


def _displaced(mesh: Mesh, distance: float, index: int) -> Mesh:
    """The object, of radius 0.5 m, smaller by ``distance`` and put that far off the centre, in a direction
    drawn from its index."""
    if not distance:
        return mesh
    aside = np.random.default_rng(index).normal(size=3)
    scale, aside = 1 - distance / 0.5, distance * aside / np.linalg.norm(aside)
    return replace(mesh, vertices=(scale * mesh.vertices + aside).astype(np.float32))


def _unstack(views: View) -> list[View]:
    return [views[k] for k in range(len(views.depth))]
