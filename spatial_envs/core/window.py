"""The window of render_mode="human"."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.error import DependencyNotInstalled


class _Window:
    """A window for ``render_mode="human"``."""

    def __init__(self) -> None:
        try:
            import pygame
        except ImportError as error:
            raise DependencyNotInstalled('render_mode="human" needs pygame: pip install pygame') from error
        pygame.display.init()  # and no audio
        self._pygame, self._clock = pygame, pygame.time.Clock()
        self._screen: Any = None

    def show(self, picture: np.ndarray, fps: int) -> None:
        if self._screen is None:
            self._screen = self._pygame.display.set_mode(picture.shape[1::-1])
            self._pygame.display.set_caption("spatial_envs")
        surface = self._pygame.surfarray.make_surface(picture.swapaxes(0, 1))
        self._screen.blit(surface, (0, 0))
        self._pygame.event.pump()
        self._pygame.display.flip()
        self._clock.tick(fps)

    def close(self) -> None:
        self._pygame.display.quit()
