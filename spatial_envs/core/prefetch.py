"""The scenes that come next are built in a second process while the agent plays in those that are there.

There is one such process for all environments of this one. It starts when the first scene is asked for,
stands back behind others (``NICE``), and ends when it has had nothing to do for ``IDLE`` seconds or this
process ends. What it makes is what the same call would have made here; where it cannot help, scenes are built
when they are needed. Processes that multiprocessing or loky started, as of vector environments, have none.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import threading
import time
import warnings
import weakref
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

import loky

from spatial_envs.foundation.errors import SceneError
from spatial_envs.foundation.processes import serve
from spatial_envs.foundation.threads import VARIABLES, cores

logger = logging.getLogger(__name__)
T = TypeVar("T")
IDLE = 300.0  # seconds
NICE = 5  # on a busy machine more would mean to wait for it
Made = tuple[bytes, list[tuple[str, type[Warning]]]]  # a scene, pickled, and the warnings on the way


class Ahead(Generic[T]):
    """What a task's rows need next, by index: asked for early, taken when it is needed."""

    def __init__(self, wanted: bool) -> None:
        self.wanted = wanted
        self._of_row: dict[int, int] = {}
        self._asked: dict[int, _Request] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {"wanted": self.wanted, "_of_row": {}, "_asked": {}}

    def want(self, row: int, index: int | None, build: Callable[[], T] | None) -> None:
        """Let the second process call ``build`` for the scene of this index; with None for either the row
        wants nothing. What no row wants any more is given up."""
        self._of_row.pop(row, None)
        if self.wanted and index is not None and build is not None:
            self._of_row[row] = index
            if index not in self._asked and (request := _ask(build)) is not None:
                self._asked[index] = request
        for other in [*self._asked]:
            if other not in self._of_row.values():
                self._asked.pop(other).give_up()

    def take(self, index: int, build: Callable[[], T]) -> T:
        """The scene of this index: the second process' where it has begun it, else built here."""
        request = self._asked.pop(index, None)
        made = None if request is None else request.result()
        if made is None:
            return build()
        pickled, warned = made
        for text, category in warned:
            warnings.warn(text, category, stacklevel=2)
        return pickle.loads(pickled)


class _Request:
    """A call for the second process, which is handed over when that has nothing else to do."""

    def __init__(self, call: bytes) -> None:
        self.call, self.pid = call, os.getpid()
        self.given_up = False
        self.future: Future[Made | None] | None = None

    def give_up(self) -> None:
        """What has not begun is not to begin."""
        if self.pid == os.getpid():
            with _WORKER.lock:
                self.given_up = True

    def result(self) -> Made | None:
        """What was made; None where it has not begun, or nothing came of it."""
        if self.pid != os.getpid():  # after a fork
            return None
        self.give_up()
        try:
            return None if self.future is None else self.future.result()
        except Exception:  # of which the worker has told
            return None


class _Worker:
    """The second process, and what waits for it."""

    def __init__(self) -> None:
        self.lock = threading.RLock()  # a future that is done already calls back at once
        self.waiting: deque[weakref.ref[_Request]] = deque()
        self.executor: loky.ProcessPoolExecutor | None = None
        self.busy = self.is_off = False
        self.pid = os.getpid()  # a process that is forked has no part in it
        self.last = -IDLE  # when it was last heard of, seconds

    def hand_over(self) -> None:
        """Give the process what has waited longest. One that is new first loads what it needs; until then
        nothing has begun."""
        with self.lock:
            try:
                while self.waiting and not self.busy and not self.is_off:
                    request = self.waiting[0]()
                    if request is None or request.given_up:
                        self.waiting.popleft()
                        continue
                    self.busy = True
                    if time.monotonic() - self.last > IDLE / 2:
                        self._submit(_load, request.call).add_done_callback(self.hear)
                        return
                    self.waiting.popleft()
                    request.future = self._submit(_build, request.call)
                    request.future.add_done_callback(self.hear)
            except Exception as error:  # no process can be started, or it has died while nothing was asked
                self.switch_off(error)

    def _submit(self, function: Callable, call: bytes) -> Future:
        if self.executor is not None:
            return self.executor.submit(function, call)
        self.executor = loky.ProcessPoolExecutor(
            1, timeout=IDLE, initializer=serve, initargs=(os.getpid(), NICE),
            env=dict.fromkeys(VARIABLES, "1"),
        )  # fmt: skip
        future = self.executor.submit(function, call)
        # the last to register is called first, and what loky has just registered waits for all that has begun
        threading._register_atexit(self._end)  # type: ignore[attr-defined]
        return future

    def hear(self, future: Future) -> None:
        """It is done with something."""
        error = future.exception()
        with self.lock:
            self.busy, self.last = False, time.monotonic()
            if error is not None:
                self.switch_off(error)
        self.hand_over()

    def switch_off(self, error: BaseException | None = None) -> None:
        """Build nothing ahead any more."""
        with self.lock:
            if error is not None and not self.is_off:
                said = " ".join(f"{type(error).__name__}: {error}".split())
                logger.warning("scenes are not built ahead any more, but when they are needed: %s", said)
            self.is_off = True
            self.waiting.clear()

    def _end(self) -> None:
        """Do not wait for what nobody needs any more."""
        self.switch_off()
        assert self.executor is not None
        self.executor.shutdown(wait=False, kill_workers=True)


_WORKER = _Worker()


def _ask(build: Callable[[], Any]) -> _Request | None:
    """A request for what ``build`` makes; None where there is no second process, or it cannot go there."""
    child = multiprocessing.parent_process() is not None or _WORKER.pid != os.getpid()
    if child or _WORKER.is_off or cores() < 2:
        return None
    try:
        request = _Request(pickle.dumps(build))
    except Exception:  # pickle raises a dozen kinds
        return None
    with _WORKER.lock:
        _WORKER.waiting.append(weakref.ref(request))
    _WORKER.hand_over()
    return request


# ---- in the second process


def _load(call: bytes) -> None:
    """Import what the call is made of."""
    pickle.loads(call)


def _build(call: bytes) -> Made | None:
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            made = pickle.dumps(pickle.loads(call)(), pickle.HIGHEST_PROTOCOL)
        except SceneError:  # of a broken file, which is said where it is needed
            return None
    ours = [each for each in warned if issubclass(each.category, UserWarning)]
    return made, [(str(each.message), each.category) for each in ours]
