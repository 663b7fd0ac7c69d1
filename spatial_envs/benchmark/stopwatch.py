"""Where the processor's time goes: thin timers round a few named functions."""

from __future__ import annotations

import functools
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple
from unittest.mock import patch


class Part(NamedTuple):
    """What is timed under a name: a function of a class or module.

    closed  what is timed inside of it counts as it, unless that is closed too
    """

    name: str
    owner: Any
    function: str
    closed: bool = False


class Stopwatch:
    """Seconds of the processor by part, each second under the innermost part alone; a thread has its own."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.calls = 0
        self._local = threading.local()
        self._lock = threading.Lock()

    def timed(self, name: str, call: Callable, closed: bool = False) -> Callable:
        """The function, its time taken."""

        @functools.wraps(call)
        def timed(*arguments, **keywords):
            open_parts: list[list] = self._local.__dict__.setdefault("open", [])  # [seconds inside, closed]
            if open_parts and open_parts[-1][1] and not closed:
                return call(*arguments, **keywords)
            own = [0.0, closed]
            open_parts.append(own)
            begin = time.thread_time()
            try:
                return call(*arguments, **keywords)
            finally:
                spent = time.thread_time() - begin
                open_parts.pop()
                if open_parts:
                    open_parts[-1][0] += spent
                with self._lock:
                    self.seconds[name] += spent - own[0]
                    self.calls += 1

        return timed

    @contextmanager
    def running(self, parts: Sequence[Part]) -> Iterator[Stopwatch]:
        """Time these parts until the block is over."""
        with ExitStack() as stack:
            for part in parts:
                call = getattr(part.owner, part.function)
                stack.enter_context(
                    patch.object(part.owner, part.function, self.timed(part.name, call, part.closed))
                )
            yield self

    @property
    def overhead(self) -> float:
        """Seconds that the timers themselves have taken, by what one takes round an empty function."""
        count, other = 20_000, Stopwatch()
        empty = other.timed("nothing", lambda: None)
        begin = time.thread_time()
        for _ in range(count):
            empty()
        return self.calls * (time.thread_time() - begin) / count
