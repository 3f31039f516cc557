"""Pages that need nothing but a browser: HTML from `templates/`, with the pictures inside."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import jinja2

from pleinair import images
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


def uri(pixels: Pixels, quality: int = EVALUATE.page_quality) -> str:
    """A picture, uint8 (H, W, 3), as an address that holds all of it, as WebP."""
    data = images.encode(images.Picture(pixels), "WEBP", quality)
    return "data:image/webp;base64," + base64.b64encode(data).decode()
