"""How long a training still takes: its steps, with the updates between them, and its evaluations apart."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

SHARE = 0.5  # of the steps so far that the pace is that of: the first ones build scenes


class Pace:
    """Seconds to go of a training from the step ``done`` to ``total``, which is evaluated at the multiples of
    ``every`` and at the end."""

    def __init__(
        self, done: int, total: int, every: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.total, self.every, self.clock = total, every, clock
        self.judging = 0.0  # seconds that the latest evaluation took
        self.apart = 0.0  # and all of them
        self.marks = [(done, clock())]

    def mark(self, steps: int) -> None:
        """A rollout and all that was learned from it are over: so many steps were made in all."""
        if steps > self.marks[-1][0]:
            self.marks.append((steps, self.clock() - self.apart))

    def judged(self, seconds: float) -> None:
        """An evaluation took so long."""
        self.judging = seconds
        self.apart += seconds

    def left(self, steps: int) -> float | None:
        """Seconds to go at this step; None before the first."""
        now = (steps, self.clock() - self.apart)
        last = self.marks[-1] if len(self.marks) > 1 else now
        half = self.marks[0][0] + (1 - SHARE) * (last[0] - self.marks[0][0])
        first = [mark for mark in self.marks if mark[0] <= half][-1]
        if last[0] <= first[0]:
            return None
        pace = (last[1] - first[1]) / (last[0] - first[0])
        since = 0.0 if last is now else now[1] - last[1]  # in the rollout that goes on, and its updates
        steps_left = max(pace * (self.total - last[0]) - since, 0.0)
        return steps_left + self.judging * (math.ceil(self.total / self.every) - steps // self.every)
