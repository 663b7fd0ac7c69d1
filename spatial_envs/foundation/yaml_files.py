"""YAML as its version 1.2 reads it, in every file and flag: ``1e-4`` is a number, ``on`` and ``no`` are text.

What comes out is what JSON has too: mappings, lists, text, numbers, True, False and None. A date is text.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import MarkedYAMLError

MOST = 1_000_000  # values in a file, those behind an alias counted again: aliases of aliases grow without end
LARGEST = 2**63  # integers, as numpy and torch hold them


class _Plain(SafeConstructor):
    """Without dates, and "=" is text."""


for _tag in ("timestamp", "value"):
    _Plain.add_constructor(f"tag:yaml.org,2002:{_tag}", SafeConstructor.construct_yaml_str)


def parse(text: str | bytes, where: str) -> Any:
    """What the text says; ValueError that begins with ``where`` for what is not plain YAML."""
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = _Plain
    try:
        content = yaml.load(text)
    except Exception as error:  # of the library's own errors, and of what it does not foresee, all alike
        raise ValueError(f"{where}: not plain YAML: {_fault(error)}") from error
    left, count = [content], 0
    while left:
        value, count = left.pop(), count + 1
        if count > MOST:
            raise ValueError(f"{where}: not plain YAML: more than {MOST:,} values")
        if isinstance(value, int) and not -LARGEST <= value < LARGEST:
            raise ValueError(f"{where}: not plain YAML: an integer of more than 64 bits")
        if isinstance(value, dict):
            left += [*value, *value.values()]
        elif isinstance(value, list):
            left += value
        elif not isinstance(value, (str, int, float, type(None))):
            raise ValueError(f"{where}: not plain YAML: got a {type(value).__name__}")
    return content


def read(path: Path, flag: str = "") -> Any:
    """What the file says; FileNotFoundError, or ValueError for what is not plain YAML, that begins with the
    flag and the path."""
    where = f"{flag}: {path}" if flag else str(path)
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{where}: there is no such file")
    return parse(path.read_bytes(), where)


def text(content: Any) -> str:
    """YAML that ``parse`` reads as the same content; mappings keep their order."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.width = MOST  # a key that is broken into lines could not be read again
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    stream = io.StringIO()
    yaml.dump(content, stream)
    return stream.getvalue()


def _fault(error: Exception) -> str:
    """In one line."""
    if isinstance(error, MarkedYAMLError) and error.problem and error.problem_mark:
        mark = error.problem_mark
        return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
    return " ".join(str(error).split()) or type(error).__name__
