"""What the flags of several scripts have in common."""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, TypeVar

import tyro
from tyro.constructors import PrimitiveConstructorSpec

from spatial_envs.foundation.arguments import user_path

UserPath = Annotated[  # --out=~/runs, which shells leave as it is
    Path,
    PrimitiveConstructorSpec(
        nargs=1,
        metavar="PATH",
        instance_from_str=lambda given: user_path("path", given[0]),
        is_instance=lambda value: isinstance(value, Path),
        str_from_instance=lambda path: [str(path)],
    ),
]

T = TypeVar("T")


def parse_flags(
    flags: type[T], description: str | None, prog: str | None = None, more: Callable[[], str] | None = None
) -> T:
    """The flags that the command line gives; a dataclass whose fields have docstrings. ``more``, called only
    where help is asked for, ends the description."""
    text = description or ""
    if not {"-h", "--help"}.isdisjoint(sys.argv):
        text += f"\n{more()}" if more else ""
        _unbroken(flags)
    return tyro.cli(flags, prog=prog, description=text)


def _unbroken(flags: type) -> None:
    """Give tyro each field's docstring as one paragraph: by itself it breaks lines where the source does."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(flags))).body
    for field, text in pairwise(definition.body):  # type: ignore[attr-defined]
        if not (isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr)):
            continue
        if isinstance(field.target, ast.Name) and isinstance(text.value, ast.Constant):
            known = flags.__dataclass_fields__[field.target.id]  # type: ignore[attr-defined]
            paragraph = " ".join(str(text.value.value).split())
            known.metadata = MappingProxyType({**known.metadata, "help": paragraph})
