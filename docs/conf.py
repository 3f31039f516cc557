"""How Sphinx makes the site of the project's Markdown files. `make docs` calls it.

The folder of sources is the repository's root, so that a link or picture is found from where it
is written, here as on a host of code, and cards and CONTRIBUTING are pages without a copy of them.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.highlighting import lexer_classes
from sphinx.util import logging

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "src"))

import pleinair  # noqa: E402 -- found by the line above

project = "pleinair"
author = "The pleinair authors"
version = release = pleinair.__version__
extensions = ["myst_parser"]

PAGES = ("docs", "notebooks", "samples", "src")
include_patterns = ["*.md", *(f"{folder}/**.md" for folder in PAGES)]
# Sphinx walks through all that is not named here, as through .venv and people's own runs.
exclude_patterns = [
    ".*",
    *(one.name for one in ROOT.iterdir() if one.is_dir() and one.name not in PAGES),
    "src/pleinair/page",
]
root_doc = "docs/index"
nitpicky = True

myst_heading_anchors = 4
suppress_warnings = ["myst.header"]  # a card's or a generated page's levels are its own affair

html_theme = "furo"
html_title = "pleinair"
html_static_path: list[str] = []
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
PAPER = {"color-brand-primary": "#2f5d8a", "color-brand-content": "#2f5d8a"}
NIGHT = {"color-brand-primary": "#9cc4e8", "color-brand-content": "#9cc4e8"}
html_theme_options = {"light_css_variables": PAPER, "dark_css_variables": NIGHT}

logger = logging.getLogger(__name__)


def contents() -> str:
    """Where pages stand beside all others, from navigation.toml, as Sphinx takes it."""
    chapters = tomllib.loads((ROOT / "docs" / "navigation.toml").read_text(encoding="utf-8"))
    parts = []
    for chapter in chapters["chapter"]:
        pages = [page for page in chapter["pages"] if "*" not in page or any(matching(page))]
        lines = "\n".join(re.sub(r"^(.*<)?", r"\1/", page) for page in pages)
        options = f":hidden:\n:glob:\n:caption: {chapter['title']}"
        if pages:
            parts.append(f"\n```{{toctree}}\n{options}\n\n{lines}\n```\n")
    return "".join(parts)


def matching(page: str) -> Iterator[Path]:
    """The files that a name with * stands for."""
    return ROOT.glob(f"{page}.md")


def add_contents(_app: Sphinx, name: str, source: list[str]) -> None:
    """Pages stay plain Markdown: what only Sphinx understands is added while it reads."""
    if name == root_doc:
        source[0] += contents()


LOADS = re.compile(
    r"<(?:img|script|iframe|source|video|audio|embed|input)\b[^>]*?\bsrc(?:set)?="
    r"[\"']?((?:https?:)?//[^\"'\s>]+)"
    r"|<link\b(?![^>]*\brel=[\"']?(?:canonical|license|author))[^>]*?\bhref="
    r"[\"']?((?:https?:)?//[^\"'\s>]+)"
    r"|(?:@import\s+|\burl\()[\"']?((?:https?:)?//[^\"'\s)]+)",
    re.IGNORECASE,
)


def loaded(text: str) -> list[str]:
    """Addresses on other hosts that a page or a style sheet loads; links to them do not count."""
    return [next(filter(None, found)) for found in LOADS.findall(text)]


def finish(app: Sphinx, error: Exception | None) -> None:
    """Put a door at the root, and warn, which ends a strict build, of what other hosts send."""
    if error is not None or app.builder.name != "html":
        return
    out = Path(app.outdir)
    target = f"{root_doc}.html"
    (out / "index.html").write_text(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{project}</title>'
        f'<meta http-equiv="refresh" content="0; url={target}">'
        f'<p>The documentation of {project} begins on <a href="{target}">its first page</a>.</p>\n',
        encoding="utf-8",
    )
    for page in sorted([*out.rglob("*.html"), *out.rglob("*.css")]):
        for address in loaded(page.read_text(encoding="utf-8")):
            logger.warning("%s loads %s from another host", page.relative_to(out), address)


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    lexer_classes["csv"] = lexer_classes["none"]  # Pygments knows none
    app.connect("source-read", add_contents)
    app.connect("build-finished", finish)
