"""Caches: what was used last, in memory; and on disk, where a fault is one warning, never an end."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Generic, TypeVar

import platformdirs

from spatial_envs.foundation.files import UNFINISHED, replacing

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
logger = logging.getLogger(__name__)
_WARNED: set[str] = set()
VARIABLE = "SPATIAL_ENVS_CACHE"  # of the environment: another folder for what is kept
LIMIT = 2 * 10**9  # bytes in that folder
EVERY = 16  # files that are kept until a process looks how full it is
HOUR = 3600.0  # seconds: an unfinished file that old is nobody's
_kept = 0


def warn_once(cache: str, error: object, instead: str) -> None:
    """Log that a cache cannot be used and what is done instead, once in a process for each cache."""
    if cache not in _WARNED:
        _WARNED.add(cache)
        logger.warning("%s cannot be used: %s; %s", cache, error, instead)


def user_cache() -> Path | None:
    """The folder for what is costly to build, where nobody names another: ``VARIABLE``, or the system's for
    caches. None where there is none."""
    folder = os.path.expanduser(
        os.environ.get(VARIABLE) or platformdirs.user_cache_dir("spatial_envs", False)
    )
    return Path(folder) if os.path.isabs(folder) else None


def folder_of(cache_dir: Path | str | None) -> Path | None:
    """The folder that the argument ``cache_dir`` means, if any: for "auto" that of ``user_cache``."""
    return user_cache() if isinstance(cache_dir, str) else cache_dir


def use(path: Path) -> None:
    """Note that a file was used: what was not for the longest time goes first."""
    with contextlib.suppress(OSError):
        os.utime(path)


def keep(path: Path, write: Callable[[Path], None]) -> None:
    """Let a file be written, whole or not at all; where that cannot be, one warning for its folder says so.
    The folder ``user_cache`` stays below ``LIMIT``."""
    global _kept
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as unfinished:
            write(unfinished)
    except OSError as error:
        warn_once(f"cache_dir {path.parent}", error, "what is built is kept in memory alone")
        return
    if path.parent == user_cache():
        if _kept % EVERY == 0:
            make_room(path.parent, path.name.partition("-")[0], LIMIT)
        _kept += 1


def make_room(folder: Path, kind: str, limit: int) -> None:
    """Remove files of a folder, "<kind>-..." alone, until they hold nine tenths of ``limit``, where they hold
    more: those first that were not used for the longest time. Other processes may do so meanwhile."""
    found = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith((f"{kind}-", UNFINISHED)):
                    with contextlib.suppress(OSError):
                        about = entry.stat()
                        found.append((about.st_mtime, about.st_size, entry.path, entry.name))
    except OSError:
        return
    left, now = sum(size for _, size, _, _ in found), time.time()
    goes_on = left > limit
    for used, size, path, name in sorted(found):
        unfinished = name.startswith(UNFINISHED)
        if now - used > HOUR if unfinished else goes_on and left > 0.9 * limit:
            with contextlib.suppress(OSError):
                os.unlink(path)
                left -= size


class Recent(Generic[K, V]):
    """At most ``size`` values by key: those that were used last."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._values: OrderedDict[K, V] = OrderedDict()

    def __contains__(self, key: K) -> bool:
        return key in self._values

    def get(self, key: K, make: Callable[[], V]) -> V:
        """The value of this key, made where it is not there."""
        if key not in self._values:
            self._values[key] = make()
            if len(self._values) > self.size:
                self._values.popitem(last=False)
        self._values.move_to_end(key)
        return self._values[key]
