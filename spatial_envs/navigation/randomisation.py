"""Domain randomisation for navigation: what differs between a simulator and a robot, drawn per episode.

Everything follows from the episode's seed, a non-negative integer, and the number of the step, so that an
episode can be played again.
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

import numpy as np

from spatial_envs.foundation.arguments import check_flag, check_range
from spatial_envs.geometry.mesh import Mesh
from spatial_envs.geometry.view import View
from spatial_envs.rendering.sensor_noise import noisy_depth

_TINTS, _LIGHT, _CAMERA, _DEPTH, _WALK, _VEER = range(6)  # what random numbers are for

SATURATION, DARKEST, BRIGHTEST = 0.35, 0.6, 1.25  # of tints: at most, and factors
BRIGHTNESS, CONTRAST, WHITE_BALANCE = 0.3, 0.25, 0.15  # of light: 1 +- at most

# LoCoBot under its ILQR controller: means and standard deviations of the errors of a motion, metres and
# radians, from PyRobot (Murali et al., PyRobot: An Open-source Robotics Framework for Research and
# Benchmarking, arXiv:1906.08236), as habitat-sim has them; there the second figures are taken for variances.
FORWARD_TOO_FAR, FORWARD_VEERS = (0.014, 0.006), (0.008, 0.004)
TURN_ADVANCES, TURN_TOO_FAR = (0.003, 0.002), (0.023, 0.012)
WHOLE_FORWARD, WHOLE_TURN = 0.25, math.radians(10)  # a shorter motion errs by its share


class Drawn(NamedTuple):
    """What an episode keeps. camera_height: metres and hfov: degrees, to be added to the agent's own;
    brightness, contrast: factors; white_balance: factors of red, green and blue."""

    camera_height: float = 0.0
    hfov: float = 0.0
    brightness: float = 1.0
    contrast: float = 1.0
    white_balance: tuple[float, float, float] = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Randomisation:
    """What is randomised, and how much; as it stands, nothing.

    textures         every object (or, where none are known, every texture) in another tint: its hue, and
                     0.6 to 1.25 times as bright
    light            the picture's brightness (+- 30 %), contrast (+- 25 %), white balance (+- 15 %)
    camera_height    +- metres, at most 0.5
    hfov             +- degrees, at most 30
    depth_noise      0 to 1: of a Kinect's, see `sensor_noise.noisy_depth`
    actuation_noise  0 to 1: of a LoCoBot's, see ``noisy_walk``
    """

    textures: bool = False
    light: bool = False
    camera_height: float = 0.0
    hfov: float = 0.0
    depth_noise: float = 0.0
    actuation_noise: float = 0.0

    def __post_init__(self) -> None:
        check_flag("randomise['textures']", self.textures)
        check_flag("randomise['light']", self.light)
        check_range("randomise['camera_height']", self.camera_height, 0.0, 0.5)
        check_range("randomise['hfov']", self.hfov, 0.0, 30.0)
        check_range("randomise['depth_noise']", self.depth_noise, 0.0, 1.0)
        check_range("randomise['actuation_noise']", self.actuation_noise, 0.0, 1.0)

    @property
    def varies_the_camera(self) -> bool:
        """Whether episodes need a mesh or a camera of their own."""
        return bool(self.textures or self.camera_height or self.hfov)

    def draw(self, seed: int) -> Drawn:
        """What the episode of this seed keeps."""
        height, intrinsics = np.random.default_rng([seed, 0, _CAMERA]).uniform(-1, 1, 2)
        drawn = Drawn(float(self.camera_height * height), float(self.hfov * intrinsics))
        if not self.light:
            return drawn
        u = np.random.default_rng([seed, 0, _LIGHT]).uniform(-1, 1, 5)
        red, green, blue = (float(c) for c in 1 + WHITE_BALANCE * u[2:])
        return drawn._replace(
            brightness=float(1 + BRIGHTNESS * u[0]),
            contrast=float(1 + CONTRAST * u[1]),
            white_balance=(red, green, blue),
        )

    def tinted(self, mesh: Mesh, seed: int) -> Mesh:
        """The mesh in the colours of the episode; it shares its geometry. Where a vertex belongs to faces of
        several objects, the last of them decides."""
        if not self.textures:
            return mesh
        keys = mesh.face_segments
        if mesh.face_texture is not None and (keys == keys[0]).all():
            keys = mesh.face_texture
        objects, number = np.unique(keys, return_inverse=True)
        rng = np.random.default_rng([seed, 0, _TINTS])
        hue, saturation, value = rng.uniform([0, 0, DARKEST], [1, SATURATION, BRIGHTEST], (len(objects), 3)).T
        tints = np.array([colorsys.hsv_to_rgb(h, s, 1.0) for h, s in zip(hue, saturation, strict=True)])
        tints *= (value / tints.mean(axis=1))[:, None]  # a strong tint is no darker
        of_vertex = np.zeros(len(mesh.vertices), np.int64)
        of_vertex[mesh.faces] = number.reshape(-1, 1)
        return mesh.recoloured(np.minimum(mesh.colors * tints[of_vertex] + 0.5, 255).astype(np.uint8))

    def noisy_view(self, view: View, seed: int, step: int) -> View:
        """The view (...) as the episode's camera takes it at this step: in its light, with depth noise."""
        if not (self.light or self.depth_noise):
            return view
        rgb, depth = view.rgb, view.depth
        if self.light:
            drawn = self.draw(seed)
            level = (np.arange(256)[:, None] / 255 - 0.5) * drawn.contrast + 0.5
            level = level * drawn.brightness * np.array(drawn.white_balance)
            table = (np.clip(level, 0, 1) * 255 + 0.5).astype(np.uint8)  # (256, 3)
            rgb = np.stack([table[:, channel][rgb[..., channel]] for channel in range(3)], axis=-1)
        if self.depth_noise:
            rng = np.random.default_rng([seed, step, _DEPTH])
            depth = noisy_depth(depth, view.intrinsics, self.depth_noise, rng)
        return replace(view, rgb=rgb, depth=depth)

    def noisy_walk(self, forward: float, turn: float, seed: int, step: int) -> tuple[float, float]:
        """What a LoCoBot does when told to walk ``forward`` metres and turn by ``turn`` radians.

        A walk goes 14 +- 6 mm too far and turns the robot by 8 +- 4 mrad to the side that it veers to in this
        episode; a turn goes 23 +- 12 mrad too far and moves it 3 +- 2 mm ahead; both by their share where
        less than 0.25 m or 10 degrees was asked for, and never more than three standard deviations. Its drift
        to the side, 9 mm a walk, is left out: an agent walks straight ahead.
        """
        if not self.actuation_noise:
            return forward, turn
        n = np.clip(np.random.default_rng([seed, step, _WALK]).standard_normal(4), -3, 3)
        side = 1.0 if np.random.default_rng([seed, 0, _VEER]).random() < 0.5 else -1.0
        means, deviations = np.array([FORWARD_TOO_FAR, FORWARD_VEERS, TURN_ADVANCES, TURN_TOO_FAR]).T
        too_far, veer, ahead, too_much = self.actuation_noise * (means + deviations * n)
        walked = math.copysign(min(abs(forward) / WHOLE_FORWARD, 1.0), forward)
        turned = math.copysign(min(abs(turn) / WHOLE_TURN, 1.0), turn)
        return (
            float(forward + too_far * walked + ahead * abs(turned)),
            float(turn + side * veer * abs(walked) + too_much * turned),
        )


def as_randomisation(randomise: Mapping[str, Any] | None) -> Randomisation:
    """The argument ``randomise=`` of an environment: None, or a mapping with the fields of Randomisation.
    ValueError for anything else, an unknown key or a bad value."""
    if randomise is None:
        return Randomisation()
    if not isinstance(randomise, Mapping):
        raise ValueError(
            f"randomise: got {randomise!r}; expected None or a mapping such as {{'light': True}}"
        )
    valid = [field.name for field in fields(Randomisation)]
    for key in randomise:
        if key not in valid:
            raise ValueError(f"randomise: got the key {key!r}; expected one of {', '.join(map(repr, valid))}")
    return Randomisation(**randomise)
