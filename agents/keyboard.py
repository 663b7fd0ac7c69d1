"""Play an environment by hand, in a window.

    python -m agents.play --env ObjectNav-Habitat-v0

A hand (``Walker``, ``Looker``, ``Setter``) says which action the keys mean; ``play`` has the window.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import gymnasium as gym
import numpy as np
from gymnasium.error import DependencyNotInstalled

import spatial_envs
from agents.families import env_type
from agents.flags import parse_flags
from agents.runs import parse_settings
from spatial_envs.geometry.camera import direction, facing_origin
from spatial_envs.navigation.task import Navigation
from spatial_envs.nbv.task import NBV
from spatial_envs.simulators.simulator import DOWN, FORWARD, LEFT, RIGHT, STOP, UP

FPS = 30
TURN, STEP, TUNE = math.radians(10), 0.1, 0.1  # of a camera round an object, metres nearer, of a component


class Hand(Protocol):
    """What the keys do in one family. keys: a line that tells them; ``said`` what they have set so far."""

    keys: str

    def press(self, key: str) -> Any:
        """The action that a key, by its name, completes; None where it completes none."""
        ...

    def said(self) -> str:
        """What is set and not yet done."""
        ...


WALK = {"up": FORWARD, "left": LEFT, "right": RIGHT, "page up": UP, "page down": DOWN, "return": STOP}


class Walker:
    """Every key is an action."""

    keys = "up: forward, left and right: turn, page up and down: tilt, return: stop"

    def __init__(self, env) -> None:
        self.task = env.task

    def press(self, key: str) -> Any:
        """See ``Hand``."""
        chosen = WALK.get(key)
        tilts = isinstance(self.task.action_space, gym.spaces.Discrete) and self.task.actions > DOWN
        return None if chosen is None or (chosen >= UP and not tilts) else self.task.as_action(chosen)

    def said(self) -> str:
        """See ``Hand``."""
        return ""


class Looker:
    """Keys move a camera round the object; return takes the picture, or the nearest that actions reach."""

    keys = "arrows: round the object, w and s: nearer and farther, return: take the picture"

    def __init__(self, env) -> None:
        self.env, self.region = env, env.task.region
        self.azimuth, self.elevation, self.radius = 0.0, 0.3, self.region.middle

    def press(self, key: str) -> Any:
        """See ``Hand``."""
        self.azimuth += TURN * ((key == "right") - (key == "left"))
        steepest = math.radians(self.region.max_elevation) - 1e-3
        self.elevation = float(
            np.clip(self.elevation + TURN * ((key == "up") - (key == "down")), -steepest, steepest)
        )
        self.radius = float(np.clip(self.radius + STEP * ((key == "s") - (key == "w")), *self.region.radius))
        if key != "return":
            return None
        pose = facing_origin(self.radius * direction(self.azimuth, self.elevation))
        return self.env.action_from_pose(pose)

    def said(self) -> str:
        """See ``Hand``."""
        angles = f"azimuth {math.degrees(self.azimuth):.0f}, elevation {math.degrees(self.elevation):.0f}"
        return f"{angles} degrees, {self.radius:.1f} m"


class Setter:
    """Keys choose a component of an action and set it; return carries the action out."""

    keys = "up and down: which component, left and right: less and more of it, return: do it"

    def __init__(self, env) -> None:
        self.action, self.chosen = np.zeros(env.action_space.shape, np.float32), 0

    def press(self, key: str) -> Any:
        """See ``Hand``."""
        self.chosen = (self.chosen + (key == "down") - (key == "up")) % self.action.size
        more = TUNE * ((key == "right") - (key == "left"))
        self.action.flat[self.chosen] = np.clip(self.action.flat[self.chosen] + more, -1, 1)
        if key != "return":
            return None
        done, self.action = self.action, np.zeros_like(self.action)
        return done

    def said(self) -> str:
        """See ``Hand``."""
        return f"component {self.chosen} of {self.action.size}: {self.action.flat[self.chosen]:+.1f}"


def hand(env) -> Hand:
    """The hand for an environment. ValueError where there is none for its actions."""
    if isinstance(env.task, Navigation):
        return Walker(env)
    if isinstance(env.task, NBV):
        return Looker(env)
    if isinstance(env.action_space, gym.spaces.Box):
        return Setter(env)
    raise ValueError(
        f"env: got one with actions {env.action_space}; expected navigation, next-best-view or Box"
    )


def play(env, seed: int | None = None) -> list[float]:
    """Let somebody play until the window is closed; the rewards of all steps. env: in "rgb_array" mode.
    DependencyNotInstalled without pygame, RuntimeError without a display."""
    try:
        import pygame
    except ImportError as error:
        raise DependencyNotInstalled("a window needs pygame: pip install pygame") from error
    rewards: list[float] = []
    played, over = hand(env), False
    env.reset(seed=seed)
    try:
        pygame.display.init()
    except pygame.error as error:
        raise RuntimeError(f"no window can be opened here: {error}; expected a display") from None
    pygame.font.init()
    try:
        font, clock, screen, picture = pygame.font.Font(None, 22), pygame.time.Clock(), None, env.render()
        while True:
            for event in pygame.event.get():
                name = pygame.key.name(event.key) if event.type == pygame.KEYDOWN else ""
                if event.type == pygame.QUIT or name in ("escape", "q"):
                    return rewards
                if name == "r":
                    env.reset()
                    over = False
                elif name and not over and (action := played.press(name)) is not None:
                    _, reward, terminated, truncated, _ = env.step(action)
                    rewards.append(float(reward))
                    over = terminated or truncated
                if name:
                    picture = env.render()
            last = f"reward {rewards[-1]:+.3f}" if rewards else ""
            lines = [played.keys, "  ".join(["r: again, q: end", played.said(), last, "over" * over])]
            size = (picture.shape[1], picture.shape[0] + 24 * len(lines))
            if screen is None or screen.get_size() != size:
                screen = pygame.display.set_mode(size)
            screen.fill((20, 20, 20))
            screen.blit(pygame.surfarray.make_surface(picture.swapaxes(0, 1)), (0, 0))
            for k, line in enumerate(lines):
                screen.blit(font.render(line, True, (230, 230, 230)), (8, picture.shape[0] + 24 * k + 4))
            pygame.display.flip()
            clock.tick(FPS)
    finally:
        pygame.quit()


@dataclass(frozen=True)
class Flags:
    """Play an environment by hand."""

    env: str = "NBV-MapAnything-v0"
    """Environment id, or module:id."""
    split: str = "test"
    """train, validation, test or test_category."""
    seed: int | None = None
    """Of the first episode; another each time by default."""
    set: tuple[str, ...] = ()
    """Any argument of the environment, as name=value."""


def main() -> None:
    """The command ``python -m agents.play``."""
    flags = parse_flags(Flags, __doc__, "python -m agents.play")
    gym.register_envs(spatial_envs)
    env_type(flags.env)  # a mistyped id is named with those that are close
    settings = {"backbone": None, "split": flags.split, **parse_settings("set", flags.set)}
    env = gym.make(flags.env, render_mode="rgb_array", disable_env_checker=True, **settings)
    rewards = play(env.unwrapped, flags.seed)
    print(f"{len(rewards)} steps, reward {sum(rewards):+.3f} in all")
