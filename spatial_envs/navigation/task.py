"""Navigation: walk through a building to a goal, or to see all of it. ``PointNavEnv`` is the users' page.

In the order in which data runs: action -> walk (simulator) -> View -> the map and the backbone
(``Navigation._look``) -> reward (``Navigation.step``), and the observation of it all
(``Navigation.observe``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
from gymnasium import spaces

from spatial_envs.core.features import Features
from spatial_envs.core.stays import Stays
from spatial_envs.core.task import Observation, Rows, check_state, checked_actions, chosen_space
from spatial_envs.foundation.arguments import check_choice, check_flag, check_range, checked_poses
from spatial_envs.foundation.caches import folder_of
from spatial_envs.geometry.camera import measured_points, transform_points
from spatial_envs.geometry.view import View
from spatial_envs.navigation.episode import Episode, agent_frame, checked_trajectory, in_plan
from spatial_envs.navigation.episode_files import EpisodeFile, Listed
from spatial_envs.navigation.goals import (
    Mission,
    NoEpisode,
    certain_mission,
    checked_mission,
    draw_mission,
    first_mission,
)
from spatial_envs.navigation.occupancy import OccupancyMap
from spatial_envs.navigation.picture import draw_navigation, footprint
from spatial_envs.navigation.places import Place, Places
from spatial_envs.navigation.randomisation import as_randomisation
from spatial_envs.navigation.sensors import Sensors
from spatial_envs.navigation.settings import (
    STILL,
    STRAIGHT_ON,
    ExploreSettings,
    ImageNavSettings,
    NavigationSettings,
    ObjectNavSettings,
)
from spatial_envs.reconstruction.chamfer import Metrics, gain
from spatial_envs.rendering import make_renderer
from spatial_envs.scenes.buildings import open_buildings
from spatial_envs.simulators import check_simulator
from spatial_envs.simulators.simulator import FORWARD, LEFT, RIGHT, STOP, AgentState

ENOUGH = 0.9  # of what can be seen: Explore's success
VELOCITIES = {STOP: (-1, 0), FORWARD: (1, 0), LEFT: (-1, 1), RIGHT: (-1, -1)}
BODY = (  # what a simulator is told of the agent
    "agent_height", "agent_radius", "agent_climb", "camera_height", "hfov", "forward_step", "turn_step",
    "sliding", "renderer",
)  # fmt: skip
PRESETS = {
    "state": ("pointgoal", "objectgoal", "gps", "compass", "odometry", "remaining", "features", "view_mask"),
    "image": ("rgb", "imagegoal", "pointgoal", "objectgoal"),
}
ON_REQUEST = ("semantic", "map", "wide_map")  # only where asked for; ObjectNav has semantic by default


class Navigation(Rows[Episode]):
    """The task behind the four ids (arguments are documented in ``PointNavEnv``), for any number of rows."""

    settings_type: ClassVar[type[NavigationSettings]] = NavigationSettings
    goal_kind: ClassVar[str]  # "point", "image", "object" or "none"
    actions: ClassVar[int] = 4

    def __init__(self, settings: NavigationSettings, num_rows: int = 1) -> None:
        self.settings = settings
        self.weights = settings.all_weights()
        self.randomisation = as_randomisation(settings.randomise)
        self.features = Features(settings, "agent")
        self.reconstruction = self.features.reconstruction(settings.reconstruction, "none")
        if self.reconstruction == "none" and self.weights["chamfer"]:
            raise ValueError(
                "reconstruction: got 'none', but the reward counts the map's Chamfer gain; expected "
                "weights={'chamfer': 0} with it"
            )
        self.image_size = self.features.image_size(settings.image_size)
        self.buildings = open_buildings(settings.scenes, settings.split, settings.up, settings.scale)
        self.episodes = self._listed_episodes()
        if settings.num_buildings is not None:
            self.buildings = self.buildings.first(int(settings.num_buildings))
        self.agent_height, self.agent_radius = settings.agent_height, settings.agent_radius
        self.forward_step, self.turn_step = settings.forward_step, settings.turn_step
        self.max_steps, self.success_distance = settings.max_steps, settings.success_distance
        self.max_depth, self.window, self.action = settings.max_depth, settings.window, settings.action
        self.categories = tuple(settings.categories)
        self.sensors = Sensors(settings, self.goal_kind, self.image_size, self.features)
        self.semantic_ids = self.sensors.semantic_ids
        self.places = self._places()
        self.stays = Stays(self.buildings, settings.scene_steps)
        self.rows = [None] * num_rows
        # whether views may be rendered side by side: our own simulator's and renderer's may
        self.reentrant = settings.simulator == "builtin" and settings.renderer == "builtin"
        if len(self.buildings) == 1 and settings.scenes != "procedural":
            self.places.check(0)  # of more than one, the unusable are passed over

        all_spaces = self.sensors.available()
        self.observable = tuple(all_spaces)
        own = ("semantic",) if self.goal_kind == "object" else ()
        default = [key for key in all_spaces if key not in ON_REQUEST or key in own]
        presets = {**PRESETS, "all": tuple(all_spaces)}
        self.observation_space = chosen_space(all_spaces, settings.observations, default, presets)
        self.encodes = self.backbone is not None and (
            "features" in self.observation_space.spaces or self.reconstruction == "backbone"
        )
        self.action_space: spaces.Space = (
            spaces.Discrete(self.actions)
            if self.action == "discrete"
            else spaces.Box(-1.0, 1.0, (2,), np.float32)
        )

    def _listed_episodes(self) -> EpisodeFile | None:
        """Those of ``episodes=``; the buildings without any are left out."""
        if self.settings.episodes is None:
            return None
        names = self.buildings.names
        files = {
            name: str(getattr(source, "path", name))
            for name, source in zip(names, self.buildings.sources, strict=True)
        }
        opened = EpisodeFile(self.settings.episodes, self.goal_kind, files)
        self.buildings = self.buildings.chosen([k for k, name in enumerate(names) if name in opened.scenes])
        return opened

    def _places(self) -> Places:
        """The buildings as they are walked in; nothing is read or rendered yet."""
        settings = self.settings
        check_simulator(settings.simulator)
        make_renderer(settings.renderer)
        if settings.simulator == "habitat" and self.randomisation.varies_the_camera:
            raise ValueError("randomise: textures, camera_height and hfov need simulator='builtin'")
        body = {name: getattr(settings, name) for name in BODY}
        looks_up = self.action == "discrete" and self.actions > 4
        tilts = (0.0, math.radians(30), -math.radians(30)) if looks_up else (0.0,)
        return Places(
            self.buildings, settings.simulator, {**body, "image_size": self.image_size},
            categories=self.categories if self.goal_kind == "object" else None,
            tilts=None if self.reconstruction == "none" else tilts,
            size=settings.cache_size, cache_dir=folder_of(settings.cache_dir), prefetch=settings.prefetch,
        )  # fmt: skip

    # ---- the two calls that advance rows

    def reset(
        self,
        rows: Sequence[int],
        generators: Sequence[np.random.Generator],
        options: dict[str, Any],
        seeded: Sequence[bool],
    ) -> None:
        """See ``Task.reset``; options: "building", "start", "yaw", "goal", "goal_yaw", "category", or of a
        file's episodes "building" and "episode"."""
        for key in options:
            check_choice("options", key, self._options())
        given = {key: value for key, value in options.items() if value is not None}
        index = self.buildings.index(given["building"]) if "building" in given else None
        listed = None
        if self.episodes is not None and "episode" in given:
            inside = None if index is None else self.buildings.names[index]
            name, listed = self.episodes.named(given["episode"], inside)
            index = self.buildings.index(name)
        begun = []
        for row, generator, anew in zip(rows, generators, seeded, strict=True):
            last = None if anew else self.rows[row]
            if self.episodes is not None or not given:
                set_out = partial(self._set_out, generator, listed=listed)
                drawn, (place, mission), stay = self.stays.enter(last, generator, set_out, index)
            else:
                drawn, place, stay = self.stays.enter(last, generator, self.places.place, index)
                mission = draw_mission(place, generator, self.goal_kind, self.categories, given)
            begun.append(self._episode(drawn, place, mission))
            begun[-1].stay = self.stays.ahead(stay, generator)
        self._look(begun)
        for row, episode, anew in zip(rows, begun, seeded, strict=True):
            episode.first = episode.metrics
            self.rows[row] = episode
            self.places.look_ahead(row, None if anew else episode.stay.next)

    def _options(self) -> tuple[str, ...]:
        """What reset's options may name."""
        if self.episodes is not None:
            return ("building", "episode")
        goal = {"point": ("goal",), "image": ("goal", "goal_yaw"), "object": ("category",), "none": ()}
        return ("building", "start", "yaw", *goal[self.goal_kind])

    def step(self, rows: Sequence[int], actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """See ``Task.step``; actions (B,) integers, or (B, 2) velocities in [-1, 1], clipped."""
        episodes = [self.episode(row) for row in rows]
        checked = checked_actions(self.action_space, actions)
        before = [(episode.distance, episode.metrics) for episode in episodes]
        for episode, action in zip(episodes, checked, strict=True):
            self._walk(episode, action)
        self._look([episode for episode in episodes if not episode.stopped])
        rewards = np.zeros(len(episodes))
        for k, episode in enumerate(episodes):
            distance, metrics = before[k]
            episode.gain = self._gain(metrics, episode)
            parts = {
                "chamfer": episode.gain,
                "geodesic": distance - episode.distance,
                "success": float(self._success(episode)),
                "slack": -1.0,
                "collision": -float(episode.state.collided),
            }
            rewards[k] = sum(weight * parts[name] for name, weight in self.weights.items())
        stopped = np.array([episode.stopped for episode in episodes])
        late = np.array([episode.steps >= self.max_steps for episode in episodes])
        return rewards, stopped, late & ~stopped

    def _walk(self, episode: Episode, action: Any) -> None:
        """Let the agent carry out an action; what it sees then is not yet known."""
        simulator, before = episode.simulator, episode.state
        if simulator.state is not before:  # rows in one building share its simulator
            simulator.reset(before.position, before.yaw, before.pitch)
        if self.action == "velocity":
            forward = (float(action[0]) + 1) / 2 * self.forward_step
            turn = math.radians(float(action[1]) * self.turn_step)
            episode.stopped = forward < STILL and abs(turn) < math.radians(STRAIGHT_ON)
        else:
            forward = self.forward_step * (action == FORWARD)
            turn = math.radians(self.turn_step) * (int(action == LEFT) - int(action == RIGHT))
            episode.stopped = bool(action == STOP)
        if self.randomisation.actuation_noise and (forward or turn) and not episode.stopped:
            simulator.move(*self.randomisation.noisy_walk(forward, turn, episode.mission.seed, episode.steps))
        elif self.action == "velocity" and not episode.stopped:
            simulator.move(forward, turn)
        else:
            simulator.step(STOP if episode.stopped else int(action))
        state = simulator.state
        if not forward and state.collided:  # what slips while it turns has not walked into anything
            state = replace(state, collided=False)
        episode.trajectory.append(state)
        episode.collisions += state.collided
        if moved := in_plan(before, state):
            episode.path_length += moved
            if episode.goal is not None:
                episode.distance = float(simulator.distance(state.position, episode.goal))

    def _gain(self, before: Metrics, episode: Episode) -> float:
        """Return the map's gain by the measure of ``reward``; 0 where there is no map."""
        after = episode.metrics
        if not after or after is before:
            return 0.0
        return gain(self.settings.reward, before, after, episode.first)

    def _success(self, episode: Episode) -> bool:
        return episode.stopped and episode.goal is not None and episode.distance < self.success_distance

    # ---- View -> map, features

    def _look(self, episodes: Sequence[Episode]) -> None:
        """Let each episode take in what its camera sees now. One backbone call for all."""
        if self.reentrant:
            self.side_by_side(self._see, episodes)
        else:
            for episode in episodes:
                self._see(episode)
        if self.encodes:
            self._encode(episodes)
        if self.reconstruction == "depth":
            self.side_by_side(self._map_depth, episodes)

    def _see(self, episode: Episode) -> None:
        """Let an episode's camera look, and its plan take that in."""
        view = self._view(episode)
        if self.encodes or "rgb" in self.observation_space.spaces:
            view.painted()  # here, where rows are side by side
        episode.views = [view, *episode.views[: self.window - 1]]
        episode.per_view = [None, *episode.per_view[: self.window - 1]]
        if episode.occupancy is not None:
            sought = self.semantic_ids.get(episode.category)
            target = None if sought is None else self.sensors.semantic(episode) == sought
            episode.occupancy.add(view, episode.state, target)

    def _view(self, episode: Episode) -> View:
        """What the agent's camera sees; what is farther than its depth reaches has none."""
        view = episode.simulator.render_view(episode.simulator.camera_pose(episode.state))
        view = self.randomisation.noisy_view(view, episode.mission.seed, episode.steps)
        if view.depth.max() > self.max_depth:
            view.depth[view.depth > self.max_depth] = 0.0
        return view

    def _encode(self, episodes: Sequence[Episode]) -> None:
        """Features of each window, in the agent's frame: Y up, the agent at the origin, looking along -Z."""
        if not episodes:
            return
        frames = [agent_frame(episode.state) for episode in episodes]
        windows = [episode.views for episode in episodes]
        encoding = self.features.encode(windows, frames, [episode.per_view for episode in episodes])
        pooled = self.features.pooled(encoding, [len(views) for views in windows], self.image_size)
        for k, episode in enumerate(episodes):
            episode.features = pooled[k]
            if encoding.per_view is not None:
                episode.per_view = encoding.per_view[k][: len(windows[k])]
        if self.reconstruction == "backbone":
            points, mask = encoding.points[:, 0].float().cpu().numpy(), encoding.mask[:, 0].cpu().numpy()
            self.side_by_side(self._map, episodes, frames, points, mask)

    def _map(self, episode: Episode, frame: np.ndarray, points: np.ndarray, mask: np.ndarray) -> None:
        """Let the map grow by points (H, W, 3) in a frame (4, 4), where there are any, (H, W) bool."""
        self._grow(episode, transform_points(frame, points[mask]))

    def _map_depth(self, episode: Episode) -> None:
        view = episode.views[0]
        self._grow(episode, measured_points(view.depth, view.intrinsics, view.cam_to_world))

    def _grow(self, episode: Episode, points: np.ndarray) -> None:
        assert episode.cloud is not None
        episode.cloud.add(points)
        episode.metrics = episode.cloud.metrics()

    # ---- what the agent is told

    def observe(self, row: int) -> Observation:
        """See ``Task.observe``; the keys are documented in ``PointNavEnv``."""
        return self.sensors.observe(self.episode(row), tuple(self.observation_space.spaces))

    def info(self, row: int) -> dict[str, Any]:
        """See ``Task.info``; the keys are documented in ``PointNavEnv``."""
        episode = self.episode(row)
        state = episode.state
        info: dict[str, Any] = {"position": state.position.copy(), "yaw": float(state.yaw)}
        if episode.goal is not None:
            success = self._success(episode)
            info |= {
                "success": success,
                "spl": success * episode.efficiency,
                "soft_spl": episode.progress * episode.efficiency,
                "distance_to_goal": episode.distance,
            }
        if self.reconstruction != "none":
            info |= {"coverage": episode.metrics["coverage"], "chamfer": episode.metrics["chamfer"]}
            info["gain"] = episode.gain
        return {
            **info,
            "path_length": episode.path_length,
            "collisions": episode.collisions,
            "collided": bool(state.collided),
            "steps": episode.steps,
            "snapped": episode.mission.snapped,
            **({} if self.episodes is None else {"episode_id": episode.mission.name}),
            "is_success": info.get("success", info.get("coverage", 0.0) >= ENOUGH),
            "building": self.buildings.names[episode.index],
            "backbone": self.backbone_name,
        }

    # ---- beginnings

    def _set_out(
        self, generator: np.random.Generator, index: int, listed: Listed | None = None
    ) -> tuple[Place, Mission]:
        """A place and a mission in it. SceneError where there is none; then nothing is drawn."""
        place, before = self.places.place(index), generator.bit_generator.state
        try:
            if self.episodes is None:
                return place, certain_mission(place, generator, self.goal_kind, self.categories)
            some = [listed] if listed else self.episodes.drawn(self.buildings.names[index], generator)
            return place, first_mission(place, generator, self.categories, some)
        except NoEpisode:
            generator.bit_generator.state = before
            raise

    def _episode(self, index: int, place: Place, mission: Mission) -> Episode:
        """An episode that stands at its start and has seen nothing yet."""
        occupancy = None
        if {"map", "wide_map"} & self.observation_space.spaces.keys():
            low, high = place.bounds
            occupancy = OccupancyMap(low, high, self.agent_height, self.agent_radius)
        simulator = self.places.varied(place, self.randomisation, mission.seed)
        cloud = None if place.reference is None else place.reference.empty_cloud()
        episode = Episode(
            index, place, simulator, mission, [mission.start], mission.shortest, cloud, occupancy
        )
        if episode.cloud is not None:
            episode.metrics = episode.first = episode.cloud.metrics()
        if self.goal_kind == "image":
            assert mission.goal is not None
            view = simulator.render_view(simulator.camera_pose(AgentState(mission.goal, mission.goal_yaw)))
            episode.picture = self.randomisation.noisy_view(view, mission.seed, 0).rgb
        return episode

    # ---- for those who look around, follow, or go back

    def next_action(self, row: int) -> Any:
        """What a greedy follower of the shortest way does next, an action of this space. It stops where that
        is a success."""
        return self.as_action(self.follow(row))

    def follow(self, row: int) -> int:
        """The same as STOP, FORWARD, LEFT or RIGHT."""
        episode = self.episode(row)
        if episode.goal is None:
            raise ValueError("next_action: Explore has no goal to follow a way to")
        simulator, state = episode.simulator, episode.state
        if simulator.state is not state:
            simulator.reset(state.position, state.yaw, state.pitch)
        return simulator.next_action(episode.goal, self.success_distance)

    def as_action(self, chosen: int) -> Any:
        """The action of this space that means STOP, FORWARD, LEFT or RIGHT."""
        if self.action == "discrete":
            return np.int64(chosen)
        return np.array(VELOCITIES[chosen], np.float32)

    def render_view(self, row: int, cam_to_world: np.ndarray) -> View:
        """The row's building from any poses (..., 4, 4), through the agent's intrinsics."""
        poses = checked_poses(cam_to_world)
        return self.episode(row).simulator.render_view(poses)

    def render(self, row: int) -> np.ndarray:
        """See ``Task.render``."""
        episode = self.episode(row)
        place, height = episode.place, float(episode.state.position[1])
        footprints, way, sought = [], None, None
        title = {"none": "explore", "point": "to the point", "image": "to where the picture was taken"}.get(
            self.goal_kind, f"find a {episode.category.replace('_', ' ')}"
        )
        if self.goal_kind == "object":
            numbers = place.building.of_category(episode.category)
            footprints = [footprint(place.building, number) for number in numbers]
            sought = self.sensors.semantic(episode) == self.semantic_ids[episode.category]
        if episode.goal is not None:
            way = episode.simulator.path(episode.start.position, episode.goal)
        return draw_navigation(
            place.plan(height), episode.views[0], episode.trajectory, self.info(row), title=title,
            seen=None if episode.cloud is None else place.seen(episode.cloud, height), goal=episode.goal,
            footprints=footprints, way=way, goal_image=episode.picture, sought=sought,
            over=episode.stopped or episode.steps >= self.max_steps,
        )  # fmt: skip

    def get_state(self, row: int) -> dict[str, Any]:
        """What the row's episode follows from; views are rendered again."""
        episode = self.episode(row)
        return {
            "building": self.buildings.names[episode.index],
            "goal": None if episode.goal is None else episode.goal.copy(),
            "goal_yaw": episode.mission.goal_yaw, "category": episode.category, "seed": episode.mission.seed,
            "shortest": episode.mission.shortest, "snapped": episode.mission.snapped,
            "episode_id": episode.mission.name, "gain": episode.gain, "stopped": episode.stopped,
            "stay": self.stays.state(episode.stay),
            "trajectory": [(s.position, s.yaw, s.pitch, s.collided) for s in episode.trajectory],
        }  # fmt: skip

    def set_state(self, row: int, state: dict[str, Any]) -> None:
        """Walk the row's episode again. ValueError for what is no state of such a task."""
        keys = {"building", "goal", "goal_yaw", "category", "seed", "shortest", "snapped", "gain", "stopped"}
        check_state("state['task']", state, keys | {"trajectory", "stay", "episode_id"})
        index = self.buildings.index(state["building"])
        stay = self.stays.checked(state["stay"])
        stopped = check_flag("state['task']['stopped']", state["stopped"])
        check_range("state['task']['gain']", state["gain"], -1e9, 1e9)
        place = self.places.place(index)
        walked = checked_trajectory(state["trajectory"], place.simulator, 1 + stopped)
        mission = checked_mission(place, self.goal_kind, self.categories, walked[0], state)
        episode = self._episode(index, place, mission)
        self._look([episode])
        episode.first = episode.metrics
        for there in walked[1 : len(walked) - stopped]:
            episode.path_length += in_plan(episode.state, there)
            episode.collisions += there.collided
            episode.trajectory.append(there)
            self._look([episode])
        if stopped:
            episode.trajectory.append(walked[-1])
        if mission.goal is not None:
            episode.distance = float(place.simulator.distance(episode.state.position, mission.goal))
        episode.gain, episode.stopped, episode.stay = state["gain"], stopped, stay
        self.rows[row] = episode


class PointNav(Navigation):
    """To a point, given in the agent's frame."""

    goal_kind = "point"


class ImageNav(Navigation):
    """To where a picture was taken."""

    settings_type = ImageNavSettings
    goal_kind = "image"


class ObjectNav(Navigation):
    """To an object of a class."""

    settings_type = ObjectNavSettings
    goal_kind = "object"
    actions = 6  # looking up and down


class Explore(Navigation):
    """To see all there is."""

    settings_type = ExploreSettings
    goal_kind = "none"
