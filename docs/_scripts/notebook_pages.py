"""The notebooks, executed, as pages: Markdown, and their pictures."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbconvert import MarkdownExporter

INLINE = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}  # CI says Agg, which shows nothing


def notebooks(folder: Path) -> dict[str, str | bytes]:
    """The pages of all notebooks of a folder and the pictures in them, by their paths in the site. A cell
    that fails is an error, and so ends the build."""
    found: dict[str, str | bytes] = {}
    for path in sorted(folder.glob("*.ipynb")):
        text, pictures = _executed(path, path.stat().st_mtime_ns)
        found[f"notebooks/{path.stem}.md"] = text
        found |= {f"notebooks/{name}": content for name, content in pictures.items()}
    return found


@cache  # mkdocs serve builds again whenever any page changes
def _executed(path: Path, changed: int) -> tuple[str, dict[str, bytes]]:
    notebook = nbformat.read(path, as_version=4)
    where = {"metadata": {"path": str(path.parent)}}
    NotebookClient(notebook, kernel_name="python3", resources=where).execute(env={**os.environ, **INLINE})
    named = {"output_files_dir": f"{path.stem}_pictures"}
    text, made = MarkdownExporter().from_notebook_node(notebook, resources=named)
    return text, made["outputs"]
