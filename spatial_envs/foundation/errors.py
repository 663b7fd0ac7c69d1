"""The errors that scenes raise."""

from __future__ import annotations


class SceneError(ValueError):
    """A scene that cannot be used; the message names the file and the fault."""


class MeshError(SceneError):
    """A mesh that cannot be used; the message names the file and the fault."""
