"""Griffe extension: aligned columns of a docstring, a name and what it is, as a list.

    tokens   (B, N, P, D) float32
    points   (B, N, H, W, 3) float32, metres

reads well in an editor and is one paragraph to Markdown.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

ROW = re.compile(r"(?P<name>[a-z_]\w*(, \w+)*) {2,}(?P<what>\S.*)")


def listed(text: str) -> str:
    """The docstring with its aligned columns as Markdown lists."""
    return "\n\n".join(map(_paragraph, text.split("\n\n")))


def _paragraph(text: str) -> str:
    lines = text.splitlines()
    if sum(bool(ROW.fullmatch(line)) for line in lines) < 2:
        return text
    out: list[str] = []
    for line in lines:
        row = ROW.fullmatch(line)
        if row:
            out.append(f"- `{row['name']}`: {row['what']}")
        elif line.startswith("    "):
            out.append(f"  {line.strip()}")
        else:  # prose between rows
            out += ["", line, ""]
    return "\n".join(out)


class Columns(griffe.Extension):
    """Applies it to every docstring that is loaded."""

    def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Called by griffe for each module, class, function and attribute."""
        if obj.docstring is not None:
            obj.docstring.value = listed(obj.docstring.value)
