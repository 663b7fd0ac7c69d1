"""``njit``, which compiles every kernel here: kept on disk where that can be, never fatal where it cannot.

numba's own ``cache=True`` raises where neither the package's folder nor the user's can be written (an
install by the administrator and a read-only home, as in containers and on clusters), where the disk is
full, and where a file of its cache is damaged or somebody else's. The kernel can be compiled all the same,
so each is a warning here. A folder of our choice, set before numba reads NUMBA_CACHE_DIR, would mend the
first of them alone.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

import numba
from numba.core.caching import FunctionCache

from spatial_envs.foundation.caches import warn_once

logger = logging.getLogger(__name__)
INSTEAD = (
    "kernels are compiled anew in each process, for about a minute; "
    "set NUMBA_CACHE_DIR to a folder that can be written"
)


def njit(function: Callable | None = None, *, cache: bool = True, **options: Any) -> Any:
    """``numba.njit`` without the GIL, for a function; with options alone, the decorator that has them."""
    if function is None:
        return functools.partial(njit, cache=cache, **options)
    compiled = numba.njit(nogil=True, **options)(function)
    if cache:
        try:
            compiled._cache = OptionalCache(function)  # where cache=True has numba's own
        except RuntimeError as error:  # no folder can be written
            warn_once("numba's cache", error, INSTEAD)
    return compiled


@functools.cache
def _say_once() -> None:
    """Say what takes so long, at the first kernel of the process that is in no cache."""
    logger.info("compiling kernels, once: later processes find them compiled")


class OptionalCache(FunctionCache):
    """numba's cache of one kernel, in which nothing is found and nothing is kept where its files fail."""

    def load_overload(self, sig, target_context):
        """The compiled kernel for a signature, or None: then it is compiled next."""
        try:
            found = super().load_overload(sig, target_context)
            if found is None:
                _say_once()
                logger.debug("compiling %s", self._py_func.__name__)
            return found
        except Exception as error:  # pickle and LLVM raise a dozen kinds, by what is damaged
            warn_once("a file of numba's cache", f"{self.cache_path}: {error!r}", "such files are made again")
        try:
            self.flush()  # or what is damaged would stay
        except OSError as error:
            self._warn(error)

    def save_overload(self, sig, data):
        """Keep a compiled kernel."""
        try:
            super().save_overload(sig, data)
        except Exception as error:  # it reads first
            self._warn(error)

    def _warn(self, error: Exception) -> None:
        warn_once("numba's cache", f"{self.cache_path}: {error!r}", INSTEAD)
