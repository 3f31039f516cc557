"""What kind of picture a file is, by its first bytes, and having Pillow know that kind."""

from __future__ import annotations

import contextlib
import importlib
from functools import lru_cache

from pleinair.png import SIGNATURE

_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1"}
_PLUGINS = {"WEBP": "WebPImagePlugin", "AVIF": "AvifImagePlugin", "TIFF": "TiffImagePlugin"}


def kind_of(head: bytes) -> str:
    """Pillow's name of the format whose files begin with these 64 bytes, or ""."""
    for start, kind in (
        (b"\xff\xd8\xff", "JPEG"),
        (SIGNATURE, "PNG"),
        (b"GIF8", "GIF"),
        (b"BM", "BMP"),
        (b"II*\0", "TIFF"),
        (b"MM\0*", "TIFF"),
        (b"II+\0", "TIFF"),
        (b"MM\0+", "TIFF"),
    ):
        if head.startswith(start):
            return kind
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:8] == b"ftyp":
        size = int.from_bytes(head[:4], "big")
        brands = {head[at : at + 4] for at in range(8, min(size, len(head)), 4)}
        return "AVIF" if brands & {b"avif", b"avis"} else "HEIF" if brands & _HEIF_BRANDS else ""
    return "PPM" if head[:1] == b"P" and head[1:2] in b"123456" else ""


def ready(kind: str) -> None:
    """Have Pillow know this format. Raises ModuleNotFoundError where HEIC is not installed."""
    if kind in _PLUGINS:  # left to itself, Pillow would import its plugins for fifty formats
        importlib.import_module(f"PIL.{_PLUGINS[kind]}")
        if kind == "TIFF":
            _hush_libtiff()
    elif kind == "HEIF":
        importlib.import_module("pillow_heif").register_heif_opener(thumbnails=False)


@lru_cache(maxsize=1)
def _hush_libtiff() -> None:
    # Pillow raises what libtiff cannot decode, but lets it print that on stderr as well.
    with contextlib.suppress(Exception):
        import ctypes

        ctypes.CDLL(str(importlib.import_module("PIL._imaging").__file__)).TIFFSetErrorHandler(None)
