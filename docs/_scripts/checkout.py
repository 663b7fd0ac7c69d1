"""What lies elsewhere in the checkout and becomes a page: results/, cards, CHANGELOG.md, CONTRIBUTING.md."""

from __future__ import annotations

import posixpath
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
INTERVAL = re.compile(r"(\[[-+\d.%]+), ([-+\d.%]+\])")  # stays in one line of a table's cell


@cache
def elsewhere() -> dict[str, str]:
    """Files of the checkout that become pages: their paths there, and in the site."""
    found = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
    for path in sorted((ROOT / "results").rglob("*.*")):
        found[path.relative_to(ROOT).as_posix()] = path.relative_to(ROOT).as_posix()
    found["results/README.md"] = "results/index.md"
    found["spatial_envs/backbones/compact.md"] = "models/compact.md"
    found["spatial_envs/prototypes/encoder.md"] = "models/encoder.md"
    for path in sorted((ROOT / "pretrained").glob("*/README.md")):
        found[f"pretrained/{path.parent.name}/README.md"] = f"models/{path.parent.name}.md"
    return found


def moved(text: str, source: str, page: str) -> str:
    """Markdown from the file ``source`` with its links as they have to be in a page of the site. A link to a
    file of the checkout that is not in the site, such as one of code, becomes its text."""
    places, here = elsewhere(), posixpath.dirname(page)

    def link(found: re.Match[str]) -> str:
        mark, text, target, anchor = found.groups()
        if re.match(r"[a-z]+:", target) or not target:
            return found[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        place = places.get(path)
        if place is None and path.startswith("docs/"):
            place = path.removeprefix("docs/")
        if place is None:
            return text if (ROOT / path).exists() else found[0]
        return f"{mark}[{text}]({posixpath.relpath(place, here or '.')}{anchor or ''})"

    text = re.sub(r"^\|.*", lambda row: INTERVAL.sub("\\1,\N{NO-BREAK SPACE}\\2", row[0]), text, flags=re.M)
    return re.sub(r"(!?)\[([^\]]*)\]\(([^)#\s]*)(#[^)\s]*)?\)", link, text)
