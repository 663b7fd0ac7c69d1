"""How long a row stays in a scene, and which comes next.

To build a scene costs more than an episode in it. So a row stays in the scene that it drew until it has made
``scene_steps`` steps there, over as many episodes as that takes, as habitat-lab's ``max_scene_repeat_steps``
has it. The next one is drawn when this one was, so that it can be built meanwhile (``core/prefetch.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

import numpy as np

from spatial_envs.core.task import check_state
from spatial_envs.foundation.arguments import check_range

T = TypeVar("T")


@dataclass(frozen=True)
class Stay:
    """A row's stay in a scene.

    scene  its index; None where reset's options named it: then the next reset without them draws
    steps  made there in the episodes before this one
    next   the index of the scene that comes after it; None where none was drawn yet
    """

    scene: int | None = None
    steps: int = 0
    next: int | None = None


class Staying(Protocol):
    """An episode that knows in which stay it is, and how many steps it has made."""

    @property
    def stay(self) -> Stay: ...

    @property
    def steps(self) -> int: ...


class Scenes(Protocol):
    """A set of scenes: ``scenes.sets.SceneSet``."""

    def __len__(self) -> int: ...

    def draw(
        self, rng: np.random.Generator, build: Callable[[int], T], known: Sequence[int] = ()
    ) -> tuple[int, T]: ...


class Stays:
    """The stays of a task's rows in the scenes of a set, ``least`` steps each or more."""

    def __init__(self, scenes: Scenes, least: int) -> None:
        self.scenes, self.least = scenes, least

    def enter(
        self,
        last: Staying | None,
        generator: np.random.Generator,
        build: Callable[[int], T],
        named: int | None = None,
    ) -> tuple[int, T, Stay]:
        """The scene of a row's next episode: its index, ``build`` of it, and the stay.

        last   the row's episode before; None where there is none, or its generator is newly seeded
        named  the scene that reset's options ask for, or None
        What is drawn is drawn as in ``SceneSet.draw``. SceneError and ValueError as there.
        """
        before = Stay() if last is None else last.stay
        if named is not None:
            return named, build(named), Stay(next=before.next)
        known = [] if before.next is None else [before.next]
        if last is not None and before.scene is not None and before.steps + last.steps < self.least:
            known.insert(0, before.scene)
            before = replace(before, steps=before.steps + last.steps)
        else:
            before = Stay()
        index, built = self.scenes.draw(generator, build, known)
        return index, built, before if index == before.scene else Stay(index)

    def ahead(self, stay: Stay, generator: np.random.Generator) -> Stay:
        """The stay with the scene that comes after it. It is drawn once, after all else that an episode
        draws: what a seed gives does not depend on it."""
        if stay.scene is None or stay.next is not None:
            return stay
        return replace(stay, next=int(generator.integers(len(self.scenes))))

    def state(self, stay: Stay) -> dict[str, Any]:
        """The stay for ``get_state``."""
        return {"scene": stay.scene, "steps": stay.steps, "next": stay.next}

    def checked(self, state: Any) -> Stay:
        """The stay of such a state. ValueError for what is none."""
        name = "state['task']['stay']"
        check_state(name, state, {"scene", "steps", "next"})
        check_range(f"{name}['steps']", state["steps"], 0, np.inf, int)
        for key in ("scene", "next"):
            if state[key] is not None:
                check_range(f"{name}[{key!r}]", state[key], 0, len(self.scenes) - 1, int)
        return Stay(**state)
