"""The built-in simulator: a kinematic agent on exact polygons, and the project's own renderer for its camera.

It does what habitat-sim does on its navigation mesh, with these differences, each towards what is true:
- The floor is at its own height; habitat's mesh lies up to a cell (0.2 m) above it, 0.1 m with its defaults.
- Walls are kept at exactly ``agent_radius``; habitat's cells round to 0.09-0.18 m.
- Without sliding, an agent that touches a wall can walk along it or away from it; habitat's mostly sticks.
- Shortest ways are shortest; habitat's search may take the wrong side of an obstacle.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import numpy as np

from spatial_envs.geometry.mesh import Mesh
from spatial_envs.geometry.view import View
from spatial_envs.rendering import make_renderer
from spatial_envs.rendering.renderer import Renderer
from spatial_envs.simulators.agent import SHORTFALL, Agent, checked_angles, horizontal_intrinsics
from spatial_envs.simulators.navigable import NavigableSpace
from spatial_envs.simulators.simulator import FORWARD, LEFT, RIGHT, STOP, AgentState

# what the greedy follower weighs against progress, in steps, as habitat-sim's does
TURN_COST, COLLISION_COST, WALL_COST = 0.0125, 0.25, 0.05
WALL = 0.2  # metres from the border of the free space that count as near


class BuiltinSimulator(Agent):
    """An agent in ``mesh``; the members of `spatial_envs.simulators.simulator.Simulator`, and ``space``.

    mesh           metres, Y up; its face_segments are what the camera's segment image shows
    agent_height, agent_radius  metres
    camera_height  metres above the floor
    hfov           degrees, the horizontal field of view; pixels are square
    image_size     pixels, an integer or (H, W)
    forward_step   metres; turn_step, tilt_step: degrees. The camera tilts by 90 degrees at most.
    sliding        whether a blocked step goes on along the wall
    renderer       a name or an object of `spatial_envs.rendering`
    space          the navigable space where it is known already: agent_height, agent_radius and agent_climb
                   are its own
    agent_climb    metres, the highest step that it takes
    solid          what it walks on and into, where that is more than what it sees, as glass is; None: mesh
    floors         heights, metres, of the floors that a building names; () where it names none
    Raises ValueError for a mesh without a floor, or an argument out of range.
    """

    name = "builtin"

    def __init__(
        self,
        mesh: Mesh,
        agent_height: float = 1.5,
        agent_radius: float = 0.1,
        camera_height: float = 1.5,
        hfov: float = 90.0,
        image_size: int | tuple[int, int] = 128,
        forward_step: float = 0.25,
        turn_step: float = 10.0,
        tilt_step: float = 30.0,
        sliding: bool = True,
        renderer: str | Renderer = "builtin",
        space: NavigableSpace | None = None,
        agent_climb: float = 0.2,
        solid: Mesh | None = None,
        floors: Sequence[float] = (),
    ):
        super().__init__(camera_height, hfov, image_size, forward_step, turn_step, tilt_step, sliding)
        self.mesh = mesh
        self.renderer = make_renderer(renderer)
        if space is None:
            walked = mesh if solid is None else solid
            space = NavigableSpace(walked, agent_height, agent_radius, agent_climb, floors)
        self.space = space
        self.islands = self.space.islands
        self.snap, self.island, self.sample = self.space.snap, self.space.island, self.space.sample
        self.distance, self.path = self.space.distance, self.space.path
        self.floor_map = self.space.floor_map
        self.reset(self.sample(np.random.default_rng(0)), 0.0)

    def varied(self, mesh: Mesh, camera_height: float, hfov: float) -> BuiltinSimulator:
        """The same agent and space, with the mesh in other colours and another camera (metres, degrees)."""
        other = copy.copy(self)
        other.mesh, other.camera_height = mesh, camera_height
        other.intrinsics = horizontal_intrinsics(hfov, self.image_size)
        return other

    def reset(self, position: np.ndarray, yaw: float, pitch: float = 0.0) -> AgentState:
        """Put the agent at ``position`` (3,), snapped by at most 0.02 m in plan, or ValueError."""
        yaw, pitch = checked_angles(yaw, pitch)
        self._place = self.space.locate(position, name="position")
        self.state = AgentState(self.space.point(self._place), yaw, pitch)
        return self.state

    def _walk(self, length: float, yaw: float) -> AgentState:
        now = self.state
        self._place, collided = self._walked(self._place, now.yaw, length)
        self.state = AgentState(self.space.point(self._place), yaw, now.pitch, collided)
        return self.state

    def _walked(self, place, yaw: float, length: float):
        """The place after a walk, and whether it fell short."""
        _, x, z = place
        end = self.space.walk(place, x - length * math.sin(yaw), z - length * math.cos(yaw), self.sliding)
        moved = (end[1] - x) ** 2 + (end[2] - z) ** 2
        return end, moved < length * length * (1 - SHORTFALL)

    def render_view(self, cam_to_world: np.ndarray) -> View:
        """What the agent's intrinsics would see from poses (..., 4, 4)."""
        return self.renderer.render(self.mesh, cam_to_world, self.intrinsics, self.image_size)

    def next_action(self, goal: np.ndarray, radius: float) -> int:
        """The next action of a greedy follower, by habitat-sim's rule: of "turn left or right n times, then
        forward", the first action of what gains most. Progress along the shortest way counts in steps; a turn
        costs 0.0125, a collision 0.25, an end within 0.2 m of the free space's border 0.05. STOP within
        ``radius`` of the goal, and where nothing gets closer."""
        here = float(self.distance(self.state.position, goal))
        if here < radius or not math.isfinite(here):
            return STOP
        best, action = -math.inf, STOP
        for turns in range(math.ceil(math.pi / self.turn_step - 1e-9)):
            if best > 0.99:
                break
            for first, side in ((LEFT, 1.0), (RIGHT, -1.0)) if turns else ((FORWARD, 0.0),):
                yaw = self.state.yaw + side * turns * self.turn_step
                end, collided = self._walked(self._place, yaw, self.forward_step)
                cost = TURN_COST * turns + COLLISION_COST * collided
                moved = math.hypot(end[1] - self._place[1], end[2] - self._place[2])
                if moved / self.forward_step - cost <= best:
                    continue  # nothing gains more than it moves
                cost += WALL_COST * (self.space.clearance(end) < WALL)
                gain = (here - self.space.distance_from(end, goal)) / self.forward_step
                if gain > 1e-3 and gain - cost > best:
                    best, action = gain - cost, first
        return action
