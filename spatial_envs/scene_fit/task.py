"""Prototype scene fitting: explain one depth map with K shapes. ``SceneFitEnv`` is the page that users read.

In the order in which data runs: frame -> target (prototypes/target.py) -> slots and their residuals
(prototypes/slots.py, residuals.py) -> figures -> reward (``SceneFit._turn``), and the observation of it all
(``SceneFit.observe``).
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
from gymnasium import spaces

from spatial_envs.core.features import Features
from spatial_envs.core.prefetch import Ahead
from spatial_envs.core.stays import Stays
from spatial_envs.core.task import Observation, check_state, chosen_space
from spatial_envs.foundation.arguments import (
    check_choice,
    check_range,
    checked_image_size,
    checked_poses,
    floats,
    user_path,
)
from spatial_envs.foundation.caches import Recent
from spatial_envs.geometry.camera import pinhole
from spatial_envs.geometry.view import View
from spatial_envs.prototypes.bank import POSE
from spatial_envs.prototypes.encoder import SHIPPED, bank_sizes, encoded
from spatial_envs.prototypes.fitting import Fitting
from spatial_envs.prototypes.kmeans import ball_slots
from spatial_envs.prototypes.slots import REACH, RESIDUALS, SCALES, SlotState, moved
from spatial_envs.prototypes.target import Target, make_target
from spatial_envs.rendering import make_renderer
from spatial_envs.scene_fit.close_up import CHANNELS, PLACE, SIDE, CloseUp
from spatial_envs.scene_fit.episode import Episode
from spatial_envs.scene_fit.picture import draw_fit
from spatial_envs.scene_fit.settings import REWARDS, SceneFitSettings
from spatial_envs.scenes.depth_frames import DepthFrame, open_depth, resized

FARTHEST = 1000.0  # metres, of observed depth
PRESETS = {
    "state": ("slots", "residuals", "turn", "remaining", "features"), "image": ("rgb", "fit_rgb", "turn"),
}  # fmt: skip
SUCCESS_DISTANCE, SUCCESS_FSV = 0.03, 0.1  # metres, share
RENDER_SIZE, RENDER_FOV = (240, 320), 50.0  # of render_view


class SceneFit(Fitting[Episode]):
    """The task behind ``SceneFitEnv`` (arguments are documented there), for any number of rows."""

    settings_type: ClassVar[type[SceneFitSettings]] = SceneFitSettings

    def __init__(self, settings: SceneFitSettings, num_rows: int = 1) -> None:
        self.settings = settings
        self.image_size = checked_image_size(settings.image_size, 1)
        self.frames = open_depth(
            settings.scenes, settings.split, num_objects=settings.num_objects, noise=settings.noise,
            image_size=self.image_size, max_depth=settings.max_depth, intrinsics=settings.intrinsics,
            depth_scale=settings.depth_scale, invalid=settings.invalid,
        )  # fmt: skip
        if settings.num_frames is not None:
            check_range("num_frames", settings.num_frames, 1, len(self.frames), int)
            self.frames = self.frames.first(settings.num_frames)
        prototypes = settings.prototypes
        self.weights = SHIPPED if prototypes is None else user_path("prototypes", prototypes)
        self.slot_size = POSE + bank_sizes(self.weights).prototypes + 1
        self.features = Features(settings, "first_view")
        self.slots, self.action, self.turn = settings.slots, settings.action, settings.turn
        self.steps = settings.steps or (10 * self.slots if self.action == "slot" else 20)
        self.cache = Recent[int, tuple[DepthFrame, Target]](settings.cache_size)
        self.guesses = Recent[int, np.ndarray](settings.cache_size)
        self.stays = Stays(self.frames, settings.scene_steps)
        self.ahead = Ahead[tuple[DepthFrame, Target]](settings.prefetch)
        self.rows = [None] * num_rows

        width = 1 + self.slot_size
        size = width + (self.turn == "agent") if self.action == "slot" else self.slots * width
        self.action_space: spaces.Space = spaces.Box(-1.0, 1.0, (size,), np.float32)
        all_spaces = self._observation_spaces()
        self.observable = tuple(all_spaces)
        presets = {**PRESETS, "all": tuple(all_spaces)}
        self.observation_space = chosen_space(all_spaces, settings.observations, list(all_spaces), presets)

    def _observation_spaces(self) -> dict[str, spaces.Space]:
        height, width = self.image_size
        low = np.full((self.slots, self.slot_size), -1.0, np.float32)
        low[:, 0], low[:, 1:4], low[:, 4:POSE] = math.log(SCALES[0]) - 1e-3, -REACH, -math.pi - 1e-3
        high = -low
        available: dict[str, spaces.Space] = {
            "slots": spaces.Box(low, high, dtype=np.float32),
            "residuals": spaces.Box(-REACH, REACH, (self.slots, RESIDUALS), np.float32),
            "remaining": spaces.Box(0.0, 1.0, (1,), np.float32),
            "rgb": spaces.Box(0, 255, (height, width, 3), np.uint8),
            "depth": spaces.Box(0.0, FARTHEST, (height, width, 1), np.float32),
            "fit_rgb": spaces.Box(0, 255, (height, width, 3), np.uint8),
            "fit_depth": spaces.Box(0.0, FARTHEST, (height, width, 1), np.float32),
        }
        if self.action == "slot" and self.turn == "round_robin":
            available["turn"] = spaces.MultiBinary(self.slots)
            available["close_up"] = spaces.Box(-1.0, 1.0, (CHANNELS, SIDE, SIDE), np.float32)
            available["close_up_place"] = spaces.Box(-REACH, REACH, (PLACE,), np.float32)
        if self.backbone is not None:
            available["features"] = self.features.box(self._feature_size(self.backbone))
        return available

    # ---- the two calls that advance rows

    def reset(
        self,
        rows: Sequence[int],
        generators: Sequence[np.random.Generator],
        options: dict[str, Any],
        seeded: Sequence[bool],
    ) -> None:
        """See ``Task.reset``; options: "frame", a name or an index, and "slots", (K, 7 + P + 1)."""
        for key in options:
            check_choice("options", key, ("frame", "slots"))
        index = None if options.get("frame") is None else self.frames.index(options["frame"])
        given = None if options.get("slots") is None else self._checked_slots(options["slots"])
        begun = []
        for row, generator, anew in zip(rows, generators, seeded, strict=True):
            last = None if anew else self.rows[row]
            drawn, (frame, target), stay = self.stays.enter(last, generator, self.load, index)
            seed = int(generator.integers(1 << 31))
            slots = self._start(drawn, target, seed) if given is None else given
            begun.append(self._episode(drawn, frame, target, slots))
            begun[-1].stay = self.stays.ahead(stay, generator)
        for row, episode, anew in zip(rows, begun, seeded, strict=True):
            self.rows[row] = episode
            self._look_ahead(row, None if anew else episode.stay.next)

    def _turn(self, episode: Episode, action: np.ndarray) -> float:
        """Let an episode's slots change by an action; what that gains."""
        state, before = episode.state, episode.figures
        for index, change in self._changes(episode, action):
            state.put(index, moved(state.slots[index], change, state.target.unit))
        episode.figures = state.figures()
        episode.steps += 1
        episode.gain = self._gain(before, episode.figures)
        return episode.gain

    def _changes(self, episode: Episode, action: np.ndarray) -> list[tuple[int, np.ndarray]]:
        """Which slots change, and each one's action (1 + 7 + P + 1,)."""
        if self.action == "all":
            return list(enumerate(action.reshape(self.slots, -1)))
        if self.turn == "agent":
            index = min(int((action[-1] + 1) / 2 * self.slots), self.slots - 1)
            return [(index, action[:-1])]
        return [(episode.steps % self.slots, action)]

    # ---- what the agent is told

    def observe(self, row: int) -> Observation:
        """See ``Task.observe``; the keys are documented in ``SceneFitEnv``."""
        episode = self.episode(row)
        state, view = episode.state, episode.frame.view
        near = CloseUp(state, episode.steps % self.slots)
        made: dict[str, Callable[[], np.ndarray]] = {
            "slots": state.slot_rows,
            "residuals": state.residual_rows,
            "turn": lambda: (np.arange(self.slots) == episode.steps % self.slots).astype(np.int8),
            "close_up": near.picture,
            "close_up_place": near.place,
            "remaining": lambda: np.array([1 - episode.steps / self.steps], np.float32),
            "rgb": lambda: view.rgb.copy(),
            "depth": lambda: view.depth[..., None].clip(0, FARTHEST),
            "fit_rgb": state.picture,
            "fit_depth": lambda: state.rendered()[0][..., None].clip(0, FARTHEST),
            "features": lambda: self._features(episode).copy(),
        }
        return {key: made[key]() for key in self.observation_space.spaces}

    def _features(self, episode: Episode) -> np.ndarray:
        if episode.features is None:
            assert self.backbone is not None
            view = episode.frame.view
            size = self._feature_size(self.backbone)
            depth, intrinsics = resized(view.depth, view.intrinsics, size)
            rgb, _ = resized(view.rgb, view.intrinsics, size)
            own = np.eye(4, dtype=np.float32)  # the frame is the camera's
            seen = View(rgb, depth, intrinsics.astype(np.float32), own)
            encoding = self.features.encode([[seen]], [own], [None])
            episode.features = self.features.standard(self.features.pooled(encoding, [1], size)[0][0])
        return episode.features

    def info(self, row: int) -> dict[str, Any]:
        """See ``Task.info``; the keys are documented in ``SceneFitEnv``."""
        episode = self.episode(row)
        figures = {name: value for name, value in episode.figures.items() if name not in REWARDS}
        success = figures["one_directional"] <= SUCCESS_DISTANCE and figures["fsv"] <= SUCCESS_FSV
        return {
            **figures,
            "chamfer": figures["one_directional"],
            "gain": episode.gain,
            "steps": episode.steps,
            "is_success": bool(success),
            "object": self.frames.names[episode.index],
            "backbone": self.backbone_name,
        }

    # ---- beginnings

    def _episode(self, index: int, frame: DepthFrame, target: Target, slots: np.ndarray) -> Episode:
        truth = self.settings.reward == "surface"
        state = SlotState(target, self.model[1], slots, self.settings.points, truth)
        return Episode(index, frame, state, state.figures())

    def load(self, index: int) -> tuple[DepthFrame, Target]:
        """The frame and its target, from the cache where they are there."""
        read = partial(_frame_and_target, partial(self.frames.load, index), self.settings.held_out)
        return self.cache.get(index, partial(self.ahead.take, index, read))

    def _look_ahead(self, row: int, index: int | None) -> None:
        """Let the frame that the row needs next be read meanwhile."""
        if index is None or index in self.cache:
            self.ahead.want(row, None, None)
        else:
            load = partial(self.frames.only(index).load, 0)
            self.ahead.want(row, index, partial(_frame_and_target, load, self.settings.held_out))

    def _start(self, index: int, target: Target, seed: int) -> np.ndarray:
        """(K, 7 + P + 1) float64: where an episode begins."""
        if self.settings.start == "encoder":  # which says the same of a frame each time
            return self.guesses.get(
                index, lambda: encoded(self.model[0], [target], self.slots)[0].double().numpy()
            )
        if self.settings.start == "kmeans":
            prototypes = self.slot_size - POSE - 1
            return ball_slots(target.points, self.slots, prototypes, target.unit, seed)
        rng = np.random.default_rng(seed)
        slots = np.zeros((self.slots, self.slot_size))
        slots[:, -1] = -3.0  # there is something
        low, high = target.points.min(axis=0), target.points.max(axis=0)
        slots[:, 0] = rng.uniform(0.2, 0.6, self.slots) * target.unit
        slots[:, 1:4] = rng.uniform(low, high, (self.slots, 3))
        slots[:, 4] = rng.uniform(-math.pi, math.pi, self.slots)
        slots[:, POSE:-1] = rng.normal(size=(self.slots, self.slot_size - POSE - 1))
        return slots

    # ---- for those who look around, or go back

    def render(self, row: int) -> np.ndarray:
        """See ``Task.render``."""
        episode = self.episode(row)
        return draw_fit(episode.frame.view, episode.state, episode.figures, episode.steps)

    def render_view(self, row: int, cam_to_world: np.ndarray) -> View:
        """The row's fit from any poses (..., 4, 4) in the world's frame, 240 x 320 pixels, 50 degrees."""
        poses = checked_poses(cam_to_world)
        mesh = self.episode(row).state.world_mesh()
        return make_renderer("builtin").render(mesh, poses, pinhole(RENDER_FOV, RENDER_SIZE), RENDER_SIZE)

    def get_state(self, row: int) -> dict[str, Any]:
        """What the row's episode follows from, and what the last step said."""
        episode = self.episode(row)
        return {
            "frame": self.frames.names[episode.index], "slots": episode.state.slots.copy(),
            "steps": episode.steps, "gain": episode.gain, "stay": self.stays.state(episode.stay),
        }  # fmt: skip

    def set_state(self, row: int, state: dict[str, Any]) -> None:
        """Go on from such a state. ValueError for what is no state of such a task."""
        check_state("state['task']", state, {"frame", "slots", "steps", "gain", "stay"})
        index = self.frames.index(state["frame"])
        slots = self._checked_slots(state["slots"], "state['task']['slots']")
        stay = self.stays.checked(state["stay"])
        frame, target = self.load(index)
        episode = self._episode(index, frame, target, slots)
        for k, slot in enumerate(slots):  # just as they were, though they may be at a bound
            episode.state.put(k, slot)
        episode.figures = episode.state.figures()
        episode.steps, episode.gain, episode.stay = state["steps"], state["gain"], stay
        self.rows[row] = episode

    # ---- what comes from outside

    def _checked_slots(self, slots: Any, name: str = "options['slots']") -> np.ndarray:
        expected = f"finite ({self.slots}, {self.slot_size}) with positive scales"
        rows = floats(name, slots, expected)
        if rows.shape != (self.slots, self.slot_size) or not np.isfinite(rows).all() or rows[:, 0].min() <= 0:
            raise ValueError(f"{name}: got {rows.shape} {reprlib.repr(rows.tolist())}; expected {expected}")
        return rows


def _frame_and_target(load: Callable[[], DepthFrame], held_out: float) -> tuple[DepthFrame, Target]:
    """A frame without its truth, and the target made of it."""
    frame = load()
    return replace(frame, truth=None), make_target(frame, held_out)
