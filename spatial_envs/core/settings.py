"""The arguments of a family's environments: one frozen dataclass, in which each says what it may be.

    class NBVSettings(Settings):
        views: int = setting(5, whole(2, 100), "the budget in all")

What follows from it: ``gym.make``'s arguments and their checks, the error that lists them, the signature that
``help()`` and editors show, and the table of arguments in the environment's docstring.
"""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, NamedTuple

from spatial_envs.backbones.backbone import Backbone
from spatial_envs.foundation.arguments import (
    check_choice,
    check_device,
    check_flag,
    check_range,
    checked_folder,
    similar,
)


class Check(NamedTuple):
    """What an argument may be: in words, and a function of its name and value that returns the value to keep
    or raises a ValueError."""

    words: str
    keep: Callable[[str, Any], Any]


def setting(default: Any, check: Check, meaning: str = "") -> Any:
    """A field of ``Settings``."""
    return field(default=default, metadata={"check": check, "meaning": meaning})


def anything(words: str) -> Check:
    """A value that is checked elsewhere: by the part that takes it, or together with others."""
    return Check(words, lambda _, value: value)


def one_of(*valid: str) -> Check:
    """One of these words."""

    def keep(name: str, value: Any) -> str:
        check_choice(name, value, valid)
        return value

    return Check(", ".join(f'"{word}"' for word in valid), keep)


def number(low: float, high: float, unit: str = "") -> Check:
    """A number from ``low`` to ``high``."""

    def keep(name: str, value: Any) -> float:
        check_range(name, value, low, high)
        return value

    return Check(f"{low:g} to {high:g}{unit and ' ' + unit}", keep)


def whole(low: int, high: float = math.inf) -> Check:
    """An integer from ``low`` to ``high``."""

    def keep(name: str, value: Any) -> int:
        check_range(name, value, low, high, int)
        return int(value)

    return Check(f"an integer from {low}" + (f" to {high:,}" if high < math.inf else ""), keep)


def or_none(check: Check) -> Check:
    """None, or what the check wants."""
    return Check(
        f"None, {check.words}", lambda name, value: None if value is None else check.keep(name, value)
    )


def one_of_or_callable(valid: Sequence[str], words: str) -> Check:
    """One of these words, or a function, which ``words`` describes."""
    named = one_of(*valid)
    return Check(
        f"{named.words}, {words}",
        lambda name, value: value if callable(value) else named.keep(name, value),
    )


def _path(name: str, value: Any) -> Any:
    if not isinstance(value, (str, os.PathLike)):
        raise ValueError(f"{name}: got {value!r}; expected 'procedural' or a path")
    return value


def _device(name: str, value: Any) -> Any:
    check_device(value)
    return value


SCENES = Check('"procedural", a path', _path)
RECONSTRUCTION = "the backbone's points, or the measured depth, unprojected; None: the backbone's, if any"
PREFETCH = "whether a second process builds the next scene meanwhile, where there is a second core"
FLAG = Check("True, False", check_flag)
FOLDER = Check('"auto", None, a folder', checked_folder)


@dataclass(frozen=True, kw_only=True, eq=False)
class Settings:
    """The arguments that all families share. ValueError for a value that an argument cannot have."""

    scenes: str = setting("procedural", SCENES)
    split: str = setting("train", anything('"train", "validation", "test", "test_category"'))
    backbone: str | Backbone | None = setting(
        "auto",
        anything('"auto", "compact", "mapanything", "unproject", None, an object'),
        "what makes the features, see ``spatial_envs.backbones``",
    )
    backbone_kwargs: dict[str, Any] | None = setting(None, anything("None, a dict"), "its arguments")
    pooling: str = setting(
        "mean",
        one_of("mean", "grid", "none"),
        "of features over the patches of a view, all or by the cells of 4 x 4",
    )
    observations: Sequence[str] | str | None = setting(
        None, anything("keys or a preset, see above"), "None: all but those on request"
    )
    image_size: int | tuple[int, int] | None = setting(
        None, anything("None, n, (H, W)"), "pixels, at least 16; None: 112, and 518 for MapAnything"
    )
    device: str = setting("auto", Check('"auto", "cpu", "cuda", "cuda:1"', _device), "of the backbone")
    scene_steps: int = setting(0, whole(0), "a row stays in a scene for so many steps at least")
    prefetch: bool = setting(True, FLAG, PREFETCH)
    cache_size: int = setting(128, whole(1), "how many scenes are kept in memory")
    threads: int | None = setting(
        None, or_none(whole(1)), "in which rows run side by side; None: as many as there are cores"
    )

    def __post_init__(self) -> None:
        for each in fields(self):
            kept = each.metadata["check"].keep(each.name, getattr(self, each.name))
            object.__setattr__(self, each.name, kept)

    @classmethod
    def check_names(cls, arguments: dict[str, Any]) -> None:
        """TypeError that names an argument that is none of these, and lists those that are."""
        valid = [each.name for each in fields(cls)]
        for name in arguments:
            if name not in valid:
                hint = similar(name, valid)
                raise TypeError(f"unexpected argument {name!r}{hint}; valid are {', '.join(sorted(valid))}")

    @classmethod
    def table(cls) -> str:
        """The arguments in Markdown: name, values, default, meaning."""
        lines = ["| argument | values | default | meaning |", "|---|---|---|---|"]
        for each in fields(cls):
            default = f'"{each.default}"' if isinstance(each.default, str) else repr(each.default)
            words, meaning = each.metadata["check"].words, each.metadata["meaning"]
            lines.append(f"| {each.name} | {words} | {default} | {meaning} |")
        return "\n".join(lines)


class Documented:
    """An environment whose class says which arguments its task takes: by its signature and, where its
    docstring has ``{arguments}``, in a table there."""

    task_type: ClassVar[Any]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not hasattr(cls, "task_type"):
            return
        settings = cls.task_type.settings_type
        parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]
        own = [each for each in parameters if each.kind is not inspect.Parameter.VAR_KEYWORD]
        if len(own) < len(parameters):  # whatever else there is goes to the task
            own += inspect.signature(settings).parameters.values()
        cls.__signature__ = inspect.Signature(own)  # type: ignore[attr-defined]
        if cls.__doc__ and "{arguments}" in cls.__doc__:
            cls.__doc__ = inspect.cleandoc(cls.__doc__).replace("{arguments}", settings.table())
