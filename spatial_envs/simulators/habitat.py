"""The real habitat-sim behind the same interface: its navigation mesh, its motion, its camera.

https://github.com/facebookresearch/habitat-sim (Savva et al. 2019, "Habitat: a platform for embodied AI
research"); tested with 0.3.4, built without Bullet. What differs from the built-in simulator is
habitat's own:
- Its navigation mesh lies up to a cell (0.2 m) above the floor, 0.1 m as a rule. Points here are on the floor
  itself, the highest surface that can be stood on below the mesh, and the camera is above that.
- Its cells keep walls at 0.09 to 0.18 m instead of exactly ``agent_radius``.
- It counts heights in cells of 0.2 m, so that it walks over a coffee table, 0.39 m high.
- Without sliding, an agent at a wall mostly sticks to it.
- Its path search may go round the wrong side of an obstacle: distances up to a few metres too long. They
  count the way up stairs; the built-in ones are measured in plan.
- Of a building that it loads from its own file, habitat shows triangles from their front only.
- There is no light but that in the colours (see `spatial_envs.simulators.stage`).
"""

from __future__ import annotations

import contextlib
import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from spatial_envs.foundation.arguments import check_range, floats
from spatial_envs.foundation.errors import MeshError
from spatial_envs.geometry.building import Building
from spatial_envs.geometry.view import View
from spatial_envs.simulators.agent import SHORTFALL, Agent, checked_angles
from spatial_envs.simulators.floors import FIELD_CELL, WALKABLE, cast_columns
from spatial_envs.simulators.habitat_process import check_file, close, here, open_stage, share_context
from spatial_envs.simulators.levels import FOOTING, NAMED
from spatial_envs.simulators.navigable import SNAP, UPRIGHT
from spatial_envs.simulators.simulator import FORWARD, LEFT, RIGHT, STOP, AgentState
from spatial_envs.simulators.stage import is_read_directly, write_stage

BELOW, ABOVE = 0.35, 0.15  # where the floor is, seen from the navigation mesh, metres
NEAR = 0.01  # metres: what is closer to the camera is cut away
UP_AXIS = np.array([0.0, 1.0, 0.0])
OPENCV_TO_GL = np.diag([1.0, -1.0, -1.0])


class HabitatSimulator(Agent):
    """An agent in ``building``; the members of `spatial_envs.simulators.simulator.Simulator`.

    building       one that was read from a .glb or .gltf is loaded from its file where all of that has a
                   material, any other is handed over as a temporary one. Segments are shown where it has
                   objects; otherwise a view has none.
    agent_height, agent_radius, agent_climb  metres; the last is the highest step that it takes
    camera_height, hfov, image_size, forward_step, turn_step, tilt_step, sliding  see `Agent`
    gpu            the number of the GPU to render on, -1 for none; None finds out, once in each process
    Raises ImportError where habitat_sim is absent, RuntimeError where it cannot render, MeshError for a
    building without a floor or a file that habitat-sim cannot show, ValueError for an argument out of range;
    and RuntimeError in another thread or a forked process, where habitat-sim would abort or hang.
    """

    name = "habitat"

    def __init__(
        self,
        building: Building,
        agent_height: float = 1.5,
        agent_radius: float = 0.1,
        camera_height: float = 1.5,
        hfov: float = 90.0,
        image_size: int | tuple[int, int] = 128,
        forward_step: float = 0.25,
        turn_step: float = 10.0,
        tilt_step: float = 30.0,
        sliding: bool = True,
        gpu: int | None = None,
        agent_climb: float = 0.2,
    ):
        super().__init__(camera_height, hfov, image_size, forward_step, turn_step, tilt_step, sliding)
        check_range("agent_height", agent_height, 0.05, 10.0)
        check_range("agent_radius", agent_radius, 0.01, 2.0)
        check_range("agent_climb", agent_climb, 0.0, agent_height / 2)
        share_context(gpu)
        self._shows_segments = bool(building.objects)
        self._one_sided = is_read_directly(building)
        if self._one_sided:
            check_file(building.path, building.frame.up)
        self._columns = cast_columns(building.solid)
        with tempfile.TemporaryDirectory() as folder:
            stage = write_stage(building, Path(folder))
            agent = self._agent_configuration(hfov)
            self._habitat = open_stage(stage, agent, sliding, agent_height, agent_radius, agent_climb)
        self._lift = 0.1
        self._find_islands(building, agent_height, agent_radius)
        self._maps: dict[float, tuple[np.ndarray, ...]] = {}
        self._followers: dict[float, Any] = {}
        self._followed: bytes = b""
        self.reset(self.sample(np.random.default_rng(0)), 0.0)

    def _agent_configuration(self, hfov: float):
        import habitat_sim
        from habitat_sim.agent import ActionSpec, ActuationSpec, AgentConfiguration

        kinds = [("rgb", habitat_sim.SensorType.COLOR), ("depth", habitat_sim.SensorType.DEPTH)]
        kinds += [("segment", habitat_sim.SensorType.SEMANTIC)] * self._shows_segments
        sensors = []
        for name, kind in kinds:
            sensor = habitat_sim.CameraSensorSpec()
            sensor.uuid, sensor.sensor_type = name, kind
            sensor.resolution, sensor.hfov, sensor.near = list(self.image_size), hfov, NEAR
            sensor.position = sensor.position * 0.0  # the agent's node is the camera here
            sensors.append(sensor)
        turn = ActuationSpec(math.degrees(self.turn_step))
        actions = {
            FORWARD: ActionSpec("move_forward", ActuationSpec(self.forward_step)),
            LEFT: ActionSpec("turn_left", turn),
            RIGHT: ActionSpec("turn_right", turn),
        }  # what the follower tries out
        return AgentConfiguration(sensor_specifications=sensors, action_space=actions)

    @property
    def _native(self):
        """habitat-sim's simulator; RuntimeError where to call it would end the process."""
        if self._habitat is None:
            raise RuntimeError("HabitatSimulator: it is closed")
        process, thread = here()
        if self._habitat.made_in[0] != process:
            raise RuntimeError(
                "HabitatSimulator: it was made before this process was forked off, and habitat-sim does not "
                "survive a fork: make simulators in the worker itself, or start workers with 'spawn'"
            )
        if self._habitat.made_in[1] != thread:
            raise RuntimeError(
                "HabitatSimulator: it was made in another thread, and habitat-sim works in that one only"
            )
        return self._habitat

    def close(self) -> None:
        """Give back what habitat-sim holds; afterwards nothing else can be called."""
        habitat, self._habitat = getattr(self, "_habitat", None), None
        if habitat is not None:
            close(habitat)

    def __del__(self) -> None:
        self.close()

    # ---- places: (3,) float32 on the navigation mesh; points: (3,) float64 on the floor

    def _find_islands(self, building: Building, agent_height: float, agent_radius: float) -> None:
        """islands (I,), the largest first, without roofs and what is on no floor that the building names;
        ``_island_numbers`` are habitat's own."""
        finder = self._native.pathfinder
        found = []
        if finder.is_loaded:
            for number in range(finder.num_islands):
                corners = np.array([list(corner) for corner in finder.build_navmesh_vertices(number)])
                found.append((finder.island_area(number), number, corners.reshape(-1, 3, 3)))
        gaps = [y - self._floor(x, y, z, math.nan) for _, _, t in found for x, y, z in t.mean(axis=1)]
        if np.isfinite(gaps).any():
            self._lift = float(np.nanmedian(gaps))
        kept = [island for island in found if not self._is_roof(*island[1:], agent_height)]
        if building.floors:
            kept = [island for island in kept if self._is_named(island[2], building.floors)]
        kept.sort(key=lambda island: -island[0])
        if not kept:
            raise MeshError(
                f"mesh: no floor for an agent {agent_height} m high and {2 * agent_radius} m wide in "
                f"{building.name}; expected upward-facing triangles (counter-clockwise from above, Y up, "
                "metres) with free space above"
            )
        self.islands = np.array([area for area, _, _ in kept])
        self._island_numbers = [number for _, number, _ in kept]
        self._triangles = [triangles for _, _, triangles in kept]

    def _is_named(self, triangles: np.ndarray, floors: Sequence[float]) -> bool:
        """Whether an island has a footing at one of these heights, metres."""
        heights = triangles.mean(axis=1)[:, 1] - self._lift
        near = np.abs(heights[:, None] - np.asarray(floors)).min(axis=1) <= NAMED
        areas = _areas(triangles)
        return bool(areas[near].sum() >= min(FOOTING, areas.sum()))

    def _is_roof(self, number: int, triangles: np.ndarray, agent_height: float) -> bool:
        """Whether an island lies under the open sky, above another one."""
        finder, open_above, over_others = self._native.pathfinder, 0.0, 0.0
        areas = _areas(triangles)
        for area, (x, y, z) in zip(areas, triangles.mean(axis=1), strict=True):
            heights, facing = self._column(x, z)
            floor = self._floor(x, y, z)
            open_above += area * (not len(heights) or heights[-1] <= floor + BELOW)
            for lower in heights[(facing == WALKABLE) & (heights <= floor - agent_height)]:
                place = np.array([x, lower + self._lift, z], np.float32)
                near = np.asarray(finder.snap_point(place))
                if np.linalg.norm(near - place) < UPRIGHT and finder.get_island(place) != number:
                    over_others += area
                    break
        return open_above > 0.5 * areas.sum() and over_others > 0.25 * areas.sum()

    def _column(self, x: float, z: float) -> tuple[np.ndarray, np.ndarray]:
        """What the vertical line through (x, z) meets: heights, ascending, and which way they face."""
        low, (rows, columns), first, y, facing = self._columns
        row, column = math.floor((z - low[1]) / FIELD_CELL), math.floor((x - low[0]) / FIELD_CELL)
        if not (0 <= row < rows and 0 <= column < columns):
            return y[:0], facing[:0]
        hits = slice(first[row * columns + column], first[row * columns + column + 1])
        return y[hits], facing[hits]

    def _floor(self, x: float, y: float, z: float, otherwise: float | None = None) -> float:
        """The height of the floor below or about a place; over a crack, what it mostly is."""
        heights, facing = self._column(x, z)
        for height, side in zip(heights[::-1], facing[::-1], strict=True):
            if side == WALKABLE and y - BELOW <= height <= y + ABOVE:
                return float(height)
        return y - self._lift if otherwise is None else otherwise

    def _point(self, place: np.ndarray) -> np.ndarray:
        x, y, z = (float(c) for c in place)
        return np.array([x, self._floor(x, y, z), z])

    def _locate(self, point: np.ndarray, reach: float = SNAP, name: str = "point") -> np.ndarray:
        """The place of a point, or ValueError where there is none within reach."""
        position = floats(name, point, "(x, y, z), metres")
        if position.shape != (3,) or not np.isfinite(position).all():
            raise ValueError(f"{name}: got {point!r}; expected (x, y, z), finite, metres")
        finder = self._native.pathfinder
        place = np.asarray(finder.snap_point((position + self._lift * UP_AXIS).astype(np.float32)))
        if np.isnan(place).any():  # beyond 2 m in plan or 4 m in height it finds nothing
            where = "there is none within 2 m"
        else:
            away = float(np.hypot(*(place - position)[[0, 2]]))
            rise = self._floor(*place.tolist()) - float(position[1])
            if away <= reach + 1e-6 and abs(rise) <= UPRIGHT:
                if finder.get_island(place) in self._island_numbers:
                    return place
                where = "this is a roof"
            else:
                side = "above" if rise > 0 else "below"
                where = f"the nearest is {away:.3f} m away and {abs(rise):.3f} m {side}"
        told = ", ".join(f"{c:.3f}" for c in position)
        raise ValueError(f"{name}: got ({told}); expected a point on habitat's navigation mesh: {where}")

    def snap(self, point: np.ndarray, reach: float = SNAP, name: str = "point") -> np.ndarray:
        """(3,): the point of the navigation mesh nearest to ``point`` (3,), on the floor.

        Raises ValueError, naming the argument ``name``, where none lies within ``reach`` metres in plan and
        0.25 m in height.
        """
        return self._point(self._locate(point, reach, name))

    def island(self, point: np.ndarray) -> int:
        """The index into ``islands`` of a navigable point (3,). Raises ValueError where it is not one."""
        return self._island_numbers.index(self._native.pathfinder.get_island(self._locate(point)))

    def sample(self, rng: np.random.Generator, island: int = 0) -> np.ndarray:
        """(3,) float64: a point drawn evenly from the island of this index, the largest by default."""
        check_range("island", island, 0, len(self.islands) - 1, int)
        finder, triangles = self._native.pathfinder, self._triangles[island]
        areas = _areas(triangles)
        while True:
            a, b, c = triangles[rng.choice(len(triangles), p=areas / areas.sum())]
            u, v = rng.uniform(size=2)
            if u + v > 1:
                u, v = 1 - u, 1 - v
            place = np.asarray(finder.snap_point((a + u * (b - a) + v * (c - a)).astype(np.float32)))
            if finder.get_island(place) == self._island_numbers[island]:
                return self._point(place)

    def distance(self, points: np.ndarray, goal: np.ndarray) -> np.ndarray:
        """(...,) float64, metres: habitat's ways from ``points`` (..., 3) to ``goal``, (3,) or, for the
        nearest of several, (G, 3); inf where there is none. Points must be navigable, or ValueError."""
        points = floats("points", points, "(..., 3) metres")
        goals = self._goals(goal)
        out = np.empty(points.shape[:-1])
        for index in np.ndindex(out.shape):
            out[index] = self._way(self._locate(points[index], name="points"), goals).geodesic_distance
        return out

    def path(self, start: np.ndarray, goal: np.ndarray) -> np.ndarray:
        """(K, 3) float64: the corners of habitat's way from ``start`` (3,) to ``goal``, as in `distance`,
        both ends included; (0, 3) where there is none."""
        way = self._way(self._locate(start, name="start"), self._goals(goal))
        return np.array([self._point(corner) for corner in way.points]).reshape(-1, 3)

    def _goals(self, goal: np.ndarray) -> np.ndarray:
        """The places (G, 3) of a goal."""
        goals = floats("goal", goal, "(3,) or (G, 3), metres")
        if goals.ndim not in (1, 2) or goals.shape[-1] != 3 or goals.size == 0:
            raise ValueError(f"goal: got shape {goals.shape}; expected (3,) or (G, 3)")
        return np.array([self._locate(g, name="goal") for g in goals.reshape(-1, 3)])

    def _way(self, start: np.ndarray, goals: np.ndarray):
        from habitat_sim.nav import MultiGoalShortestPath

        way = MultiGoalShortestPath()
        way.requested_start, way.requested_ends = start, list(goals)
        self._native.pathfinder.find_path(way)
        return way

    def floor_map(self, y: float, cell: float = 0.05) -> tuple[np.ndarray, np.ndarray]:
        """Where the floors are free whose height is ``y``, to 0.25 m: the map's corner (x, z), metres, and
        (rows, columns) bool, whether the agent can stand at the centre of each cell of this width; rows
        along z."""
        if cell not in self._maps:
            self._maps[cell] = self._map(cell)
        corner, shape, cells, heights = self._maps[cell]
        free = np.zeros(shape, bool)
        free[tuple(cells[np.abs(heights - y) <= UPRIGHT].T)] = True
        return corner, free

    def _map(self, cell: float) -> tuple[np.ndarray, ...]:
        """The corner, the shape, navigable cells (n, 2) and the heights of their floors (n,)."""
        finder = self._native.pathfinder
        low, high = (np.asarray(bound, np.float64) for bound in finder.get_bounds())
        corner, cells, heights = low[[0, 2]] - cell / 2, [], []
        shape = (0, 0)
        for level in np.arange(low[1], high[1] + UPRIGHT, 2 * UPRIGHT):
            free = finder.get_topdown_view(cell, float(level), UPRIGHT)
            shape = free.shape
            for row, column in np.argwhere(free):
                x, z = corner + (np.array([column, row]) + 0.5) * cell
                place = np.asarray(finder.snap_point(np.array([x, level, z], np.float32)))
                point = self._point(place)
                with contextlib.suppress(ValueError):  # a roof
                    self._locate(np.array([x, point[1], z]))
                    cells.append((row, column))
                    heights.append(point[1])
        return corner, np.array(shape), np.array(cells, int).reshape(-1, 2), np.array(heights)

    # ---- the agent

    def reset(self, position: np.ndarray, yaw: float, pitch: float = 0.0) -> AgentState:
        """Put the agent at ``position`` (3,), snapped by at most 0.02 m in plan, or ValueError."""
        yaw, pitch = checked_angles(yaw, pitch)
        self._place = self._locate(position, name="position")
        self._followed = b""
        self.state = AgentState(self._point(self._place), yaw, pitch)
        return self.state

    def _walk(self, length: float, yaw: float) -> AgentState:
        now, finder = self.state, self._native.pathfinder
        ahead = np.array([-math.sin(now.yaw), 0.0, -math.cos(now.yaw)])
        asked = (self._place + length * ahead).astype(np.float32)
        step = finder.try_step if self.sliding else finder.try_step_no_sliding
        end = np.asarray(step(self._place, asked))
        moved = float(((end - self._place)[[0, 2]].astype(np.float64) ** 2).sum())
        self._place = end
        collided = moved < length * length * (1 - SHORTFALL)
        self.state = AgentState(self._point(end), yaw, now.pitch, collided)
        return self.state

    def next_action(self, goal: np.ndarray, radius: float) -> int:
        """What habitat's greedy geodesic follower does next; STOP within ``radius`` of the nearest goal, and
        where it knows no way."""
        goals = self._goals(goal)
        way = self._way(self._place, goals)
        if way.geodesic_distance < radius or not math.isfinite(way.geodesic_distance):
            return STOP
        nearest = goals[way.closest_end_point_index]
        if radius not in self._followers:
            self._followers[radius] = self._native.make_greedy_follower(goal_radius=radius, stop_key=STOP)
        follower = self._followers[radius]
        if self._followed != nearest.tobytes():  # it remembers what it did, against turning to and fro
            follower.reset()
            self._followed = nearest.tobytes()
        code = follower.impl.next_action_along(_quaternion(self.state.yaw), self._place, nearest)
        return int(follower.action_mapping.get(code, STOP))

    def render_view(self, cam_to_world: np.ndarray) -> View:
        """What the agent's intrinsics would see from rigid poses (..., 4, 4)."""
        import magnum
        from magnum import gl

        habitat, poses = self._native, np.asarray(cam_to_world, np.float64)
        leading, size = poses.shape[:-2], self.image_size
        flat = poses.reshape(-1, 4, 4)
        rgb = np.empty((len(flat), *size, 3), np.uint8)
        depth, segment = np.empty((len(flat), *size), np.float32), np.empty((len(flat), *size), np.int32)
        node = habitat.get_agent(0).scene_node
        gl.Renderer.set_feature(gl.Renderer.Feature.FACE_CULLING, self._one_sided)
        for k, quaternion in enumerate(Rotation.from_matrix(flat[:, :3, :3] @ OPENCV_TO_GL).as_quat()):
            node.rotation = magnum.Quaternion(magnum.Vector3(*quaternion[:3]), quaternion[3])
            node.translation = magnum.Vector3(*flat[k, :3, 3])
            seen = habitat.get_sensor_observations()
            rgb[k], depth[k] = seen["rgb"][..., :3], seen["depth"]
            if self._shows_segments:
                segment[k] = seen["segment"]
        return View(
            rgb.reshape(*leading, *size, 3),
            depth.reshape(*leading, *size),
            np.broadcast_to(self.intrinsics, (*leading, 3, 3)).copy(),
            poses.astype(np.float32),
            segment.reshape(*leading, *size) if self._shows_segments else None,
        )


def _areas(triangles: np.ndarray) -> np.ndarray:
    """(T,) in plan, of triangles (T, 3, 3)."""
    a, b, c = triangles[:, :, [0, 2]].transpose(1, 0, 2)
    return 0.5 * np.abs((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0])


def _quaternion(yaw: float):
    import magnum

    return magnum.Quaternion(magnum.Vector3(0.0, math.sin(yaw / 2), 0.0), math.cos(yaw / 2))
