"""Pages that need nothing but a browser: HTML from `templates/`, with the pictures inside."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import jinja2

from pleinair import files, images
from pleinair.errors import UsageError
from pleinair.images import Pixels
from pleinair.settings import EVALUATE

_TEMPLATES = Path(__file__).with_name("templates")


def page(name: str, **values: Any) -> str:
    """The template of this name with these values, which are text unless marked as safe."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name).render(**values)


def check(path: Path, force: bool) -> None:
    """Raise UsageError, OutputError where a page cannot go: before an hour of painting for it."""
    if path.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"{path} is to be a page; name a file that ends in .html.")
    files.check_free(path, force)


def write(text: str, path: Path) -> None:
    """Write a page in one step. Raises OutputError."""
    with files.writing(path, "choose another place"):
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_bytes(path, text.encode())


def uri(pixels: Pixels, quality: int = EVALUATE.page_quality) -> str:
    """A picture, uint8 (H, W, 3), as an address that holds all of it, as WebP."""
    data = images.encode(images.Picture(pixels), "WEBP", quality)
    return "data:image/webp;base64," + base64.b64encode(data).decode()
