"""The report of a capture: every gate with its picture, in one file that needs no other."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from pathlib import Path

from scenes.capture.stages import Result

STYLE = (
    "body{font-family:sans-serif;max-width:60em;margin:2em auto}table{border-collapse:collapse;width:100%}"
    "td,th{border-bottom:1px solid #ddd;padding:.4em;text-align:left;vertical-align:top}"
    ".no{color:#b00020;font-weight:bold}.ok{color:#1b6e2c}img{max-width:100%;margin:.5em 0}"
)
KINDS = {".png": "png", ".jpg": "jpeg"}


def write_report(path: Path, results: Sequence[Result], verdict: str) -> None:
    """Write the gates of all stages that were run; verdict: one sentence, above them."""
    parts = [
        f"<!doctype html><meta charset='utf-8'><title>Capture</title><style>{STYLE}</style>",
        f"<h1>{html.escape(path.parent.name)}</h1><p><b>{html.escape(verdict)}</b></p>",
    ]
    for result in results:
        parts.append(f"<h2>{html.escape(result.folder.name)}</h2><p>{result.seconds:.1f} s</p><table>")
        parts.append("<tr><th>gate<th>got<th>wanted<th></tr>")
        for gate in result.gates:
            mark = "<span class=ok>passed</span>" if gate.passed else "<span class=no>not passed</span>"
            advice = "" if gate.passed else f"<br>{html.escape(gate.advice)}"
            cells = "<td>".join(html.escape(text) for text in (gate.name, gate.got, gate.wanted))
            parts.append(f"<tr><td>{cells}<td>{mark}{advice}</tr>")
        parts.append("</table>")
        for name in dict.fromkeys(gate.picture for gate in result.gates if gate.picture):
            picture = result.folder / name
            if picture.is_file() and picture.suffix in KINDS:
                data = base64.b64encode(picture.read_bytes()).decode()
                parts.append(
                    f"<img alt='{html.escape(name)}' src='data:image/{KINDS[picture.suffix]};base64,{data}'>"
                )
    path.write_text("\n".join(parts), encoding="utf-8")
