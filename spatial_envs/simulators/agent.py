"""What the simulators share: the agent's measures, what its actions mean, and where its camera is."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import numpy as np

from spatial_envs.foundation.arguments import check_flag, check_range, checked_image_size, floats
from spatial_envs.geometry import rotations
from spatial_envs.geometry.view import View
from spatial_envs.simulators.simulator import DOWN, FORWARD, LEFT, RIGHT, STOP, UP, AgentState

SHORTFALL = 1.6e-4  # of the squared length: habitat's 1e-5 square metres at 0.25 m, for any length


class Agent(ABC):
    """A body with a camera; how it walks and what it sees is the simulator's.

    camera_height  metres above the floor
    hfov           degrees, the horizontal field of view; pixels are square
    image_size     pixels, an integer or (H, W)
    forward_step   metres; turn_step, tilt_step: degrees. The camera tilts by 90 degrees at most.
    sliding        whether a blocked step goes on along the wall
    Raises ValueError for an argument out of range.
    """

    state: AgentState

    def __init__(
        self,
        camera_height: float,
        hfov: float,
        image_size: int | tuple[int, int],
        forward_step: float,
        turn_step: float,
        tilt_step: float,
        sliding: bool,
    ):
        check_body(camera_height, hfov, forward_step, turn_step, tilt_step, sliding)
        self.camera_height = camera_height
        self.forward_step = forward_step
        self.turn_step, self.tilt_step = math.radians(turn_step), math.radians(tilt_step)
        self.sliding = sliding
        self.image_size = checked_image_size(image_size, 1)
        self.intrinsics = horizontal_intrinsics(hfov, self.image_size)

    @abstractmethod
    def _walk(self, length: float, yaw: float) -> AgentState:
        """Walk ``length`` metres along the present heading, then look along ``yaw``."""

    @abstractmethod
    def render_view(self, cam_to_world: np.ndarray) -> View:
        """What the agent's intrinsics would see from poses (..., 4, 4)."""

    def step(self, action: int) -> AgentState:
        """Carry out STOP (nothing), FORWARD, LEFT, RIGHT, UP or DOWN."""
        now = self.state
        if action == FORWARD:
            return self._walk(self.forward_step, now.yaw)
        yaw, pitch = now.yaw, now.pitch
        if action == LEFT:
            yaw = wrapped(yaw + self.turn_step)
        elif action == RIGHT:
            yaw = wrapped(yaw - self.turn_step)
        elif action == UP:
            pitch = min(pitch + self.tilt_step, math.pi / 2)
        elif action == DOWN:
            pitch = max(pitch - self.tilt_step, -math.pi / 2)
        elif action != STOP:
            raise ValueError(f"action: got {action!r}; expected an integer from 0 to 5")
        self.state = AgentState(now.position, yaw, pitch)
        return self.state

    def move(self, forward: float, turn: float) -> AgentState:
        """Walk ``forward`` metres along the present heading, then turn left by ``turn`` radians."""
        return self._walk(float(forward), wrapped(self.state.yaw + float(turn)))

    def camera_pose(self, state: AgentState) -> np.ndarray:
        """(4, 4) float64 cam_to_world, OpenCV axes."""
        sin, cos = math.sin(state.yaw), math.cos(state.yaw)
        up, level = math.sin(state.pitch), math.cos(state.pitch)
        x, y, z = state.position
        return np.array(
            [
                [cos, -sin * up, -sin * level, x],
                [0.0, -level, up, y + self.camera_height],
                [-sin, -cos * up, -cos * level, z],
                [0.0, 0.0, 0.0, 1.0],
            ]
        )

    def view(self) -> View:
        """What the agent's camera sees."""
        return self.render_view(self.camera_pose(self.state))


def checked_angles(yaw: float, pitch: float) -> tuple[float, float]:
    """Finite radians, the yaw in [-pi, pi), or ValueError."""
    angles = floats("yaw", [yaw, pitch], "radians")
    if not np.isfinite(angles).all():
        raise ValueError(f"yaw: got {yaw!r} and pitch {pitch!r}; expected finite radians")
    return wrapped(angles[0]), float(angles[1])


def horizontal_intrinsics(hfov: float, image_size: tuple[int, int]) -> np.ndarray:
    """(3, 3) float32, pixels: square pixels, ``hfov`` degrees across the width."""
    height, width = image_size
    focal = width / (2 * math.tan(math.radians(hfov) / 2))
    return np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]], np.float32)


def wrapped(angle: float) -> float:
    """The angle in [-pi, pi), radians; one that is there is kept to the bit."""
    return float(angle if -math.pi <= angle < math.pi else rotations.wrapped(angle))


def check_body(
    camera_height: float, hfov: float, forward_step: float, turn_step: float, tilt_step: float, sliding: bool
) -> None:
    """ValueError for an argument of `Agent` out of range."""
    check_range("camera_height", camera_height, 0.0, 10.0)
    check_range("hfov", hfov, 1.0, 179.0)
    check_range("forward_step", forward_step, 0.001, 10.0)
    check_range("turn_step", turn_step, 0.01, 180.0)
    check_range("tilt_step", tilt_step, 0.01, 90.0)
    check_flag("sliding", sliding)
