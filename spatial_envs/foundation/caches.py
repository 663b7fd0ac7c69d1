"""What caches on disk share: a fault of theirs is one warning, never an end."""

from __future__ import annotations

import logging

logger = logging.getLogger(__name__)
_WARNED: set[str] = set()


def warn_once(cache: str, error: object, instead: str) -> None:
    """Log that a cache cannot be used and what is done instead, once in a process for each cache."""
    if cache not in _WARNED:
        _WARNED.add(cache)
        logger.warning("%s cannot be used: %s; %s", cache, error, instead)
