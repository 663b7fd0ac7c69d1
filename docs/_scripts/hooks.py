"""MkDocs hook: the pages that are made at each build and lie nowhere in docs/.

Environments from their docstrings (environment_pages.py), notebooks executed (notebook_pages.py), and what
lies elsewhere in the checkout (checkout.py).
"""

from __future__ import annotations

import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

sys.path.insert(0, str(Path(__file__).parent))

from checkout import ROOT, elsewhere, moved
from environment_pages import pages
from notebook_pages import notebooks


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the made pages."""
    for source, place in elsewhere().items():
        path = ROOT / source
        if path.suffix != ".md":
            files.append(File.generated(config, place, abs_src_path=str(path)))
            continue
        text = moved(path.read_text(encoding="utf-8"), source, place)
        if not text.startswith("# "):  # some tables begin with their command
            text = f"# {path.stem.replace('_', ' ')}\n\n{text}"
        files.append(File.generated(config, place, content=text))
    for place, content in {**pages(), **notebooks(ROOT / "docs" / "notebooks")}.items():
        files.append(File.generated(config, place, content=content))
    return files
