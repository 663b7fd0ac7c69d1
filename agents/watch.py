"""Watch policies play the same episodes side by side: in a window, or in a film where there is no display."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from agents.families import Family
from agents.films import EPISODES, FPS, LAST, abreast, film
from agents.progress import console, phase

NOWHERE = ("dummy", "offscreen")  # SDL's drivers that show nothing


def watch(
    kind: Family, policies: Mapping[str, tuple[Any, Any]], path: Path, episodes: int = EPISODES
) -> None:
    """Show the first episodes, each policy by its name with its environment; ``path``: of the film, which is
    written where no window can be opened. ValueError where none of the policies has pictures."""
    filmed = {name: each for name, each in policies.items() if kind.is_filmed(each[1])}
    if not filmed:
        raise ValueError(f"watch: got {', '.join(policies)}, which have no pictures; expected an agent")
    screen = _display()
    if screen is None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with phase("film", episodes, "episodes") as bar:
            film(kind, filmed, path, bar.advance, episodes)
        console.print(f"no display: the film is in {path}")
        return
    try:
        first, _ = next(iter(filmed.values()))
        for episode in kind.episodes(first, episodes):
            with phase(f"episode {episode}", brief=True):
                pictures = abreast(kind, filmed, episode)
            shown = [each for each in pictures for _ in range(kind.hold)] + [pictures[-1]] * LAST
            if not all(_seen(screen, picture) for picture in shown):
                return  # somebody closed the window
    finally:
        screen.quit()


def _display() -> Any:
    """pygame with a display, or None."""
    try:
        import pygame
    except ImportError:
        return None
    try:
        pygame.display.init()
    except pygame.error:
        return None
    if pygame.display.get_driver() in NOWHERE:
        pygame.display.quit()
        return None
    pygame.display.set_caption("spatial_envs")
    return pygame


def _seen(pygame: Any, picture: np.ndarray) -> bool:
    """Show a picture for as long as a frame lasts; False where the window was closed."""
    window = pygame.display.get_surface()
    size = picture.shape[1::-1]
    if window is None or window.get_size() != size:
        window = pygame.display.set_mode(size)
    window.blit(pygame.surfarray.make_surface(picture.swapaxes(0, 1)), (0, 0))
    pygame.display.flip()
    pygame.time.wait(round(1000 / FPS))
    keys = [event for event in pygame.event.get() if event.type in (pygame.QUIT, pygame.KEYDOWN)]
    return not any(event.type == pygame.QUIT or event.key in (pygame.K_ESCAPE, pygame.K_q) for event in keys)
