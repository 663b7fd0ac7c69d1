"""Caches: what was used last, in memory; and on disk, where a fault is one warning, never an end."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
logger = logging.getLogger(__name__)
_WARNED: set[str] = set()


def warn_once(cache: str, error: object, instead: str) -> None:
    """Log that a cache cannot be used and what is done instead, once in a process for each cache."""
    if cache not in _WARNED:
        _WARNED.add(cache)
        logger.warning("%s cannot be used: %s; %s", cache, error, instead)


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
