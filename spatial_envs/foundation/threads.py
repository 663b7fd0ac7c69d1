"""How many threads there are: torch's and BLAS's, which commands set for their process and environments for a
step, and those in which an environment's rows run side by side.

Both start as many threads as there are cores, and those that are done spin until the last one is. On small
work that gains little (eight rows with ``compact`` on two free cores: 1.5 times faster with two threads; all
else measured gains less), and beside other busy processes it costs a multiple, since the last one may be
waiting for a core. So small work gets one thread. Large kernels (MapAnything on a CPU) keep all: beside one
busy process on two cores they measured 1.1 times slower with two threads than with one, beside two 1.4 times
faster. Our numba kernels run on the thread that calls them and without the GIL, so rows that mostly call such
kernels gain from a thread for each core (``side_by_side``).
"""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, TypeVar

import loky
import torch
from threadpoolctl import threadpool_limits

VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
Method = TypeVar("Method", bound=Callable)
T = TypeVar("T")


def set_threads(threads: int | None = None, large: bool = False) -> int:
    """Set how many threads torch and BLAS use in this process and its workers; return torch's number.

    ``threads`` decides; where it is None, the user's own ``VARIABLES`` do; where none is set, it is 1, but
    ``large`` work keeps what torch and BLAS chose. ValueError for less than 1.
    """
    if threads is not None and threads < 1:
        raise ValueError(f"threads: got {threads}; expected at least 1, or none")
    if threads is None and (large or _chosen()):
        return torch.get_num_threads()
    count = threads or 1
    os.environ.update(dict.fromkeys(VARIABLES, str(count)))  # read by processes that are started from here
    torch.set_num_threads(count)
    threadpool_limits(count, user_api="blas")
    return count


def small_work(method: Method) -> Method:
    """Let a method of an environment run torch's kernels on the calling thread alone.

    The process gets its number of threads back when the method returns or raises. Nothing is changed where
    the user chose a number by one of ``VARIABLES``, or where the environment's backbone is not ``light``.
    """

    @functools.wraps(method)
    def limited(self, *args, **kwargs):
        before = torch.get_num_threads()
        backbone = self.task.backbone
        if before == 1 or _chosen() or not (backbone is None or getattr(backbone, "light", False)):
            return method(self, *args, **kwargs)
        torch.set_num_threads(1)
        try:
            return method(self, *args, **kwargs)
        finally:
            torch.set_num_threads(before)

    return limited  # type: ignore[return-value]


@functools.cache
def cores() -> int:
    """How many cores this process may use: by its affinity, and by its container's share of them."""
    return loky.cpu_count()


def side_by_side(work: Callable[..., T], *rows: Iterable[Any], threads: int | None = None) -> list[T]:
    """``[work(*row) for row in zip(*rows)]`` in so many threads, the calling one among them; None: as many as
    there are cores. The rows must share nothing that one of them changes. Where some raise, the first one's
    error is raised, once none is at work any more.
    """
    each = list(zip(*rows, strict=True))
    count = 1 if len(each) < 2 else min(threads or cores(), len(each))
    if count < 2:
        return [work(*row) for row in each]
    results: list[Any] = [None] * len(each)
    errors: dict[int, BaseException] = {}
    left = itertools.count()

    def run() -> None:
        while (k := next(left)) < len(each) and not errors:
            try:
                results[k] = work(*each[k])
            except BaseException as error:
                errors[k] = error

    others = [_pool().submit(run) for _ in range(count - 1)]
    run()
    wait([other for other in others if not other.cancel()])  # what has not begun has nothing left to do
    if errors:
        raise errors[min(errors)]
    return results


@functools.cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max(cores() - 1, 1), "rows")


if hasattr(os, "register_at_fork"):  # a child has none of its parent's threads
    os.register_at_fork(after_in_child=_pool.cache_clear)


def _chosen() -> bool:
    return any(os.environ.get(name) for name in VARIABLES)
