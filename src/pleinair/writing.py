"""Pictures to files: the format asked for, encoded as the photo was, with all that it said."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pleinair import files, kinds, metadata, reading, tiff
from pleinair.errors import OutputError
from pleinair.pictures import Picture, in_eight_bits, on_white, to_array
from pleinair.settings import PAINT

FORMATS = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jfif": "JPEG",
    ".png": "PNG",
    ".apng": "PNG",
    ".webp": "WEBP",
    ".avif": "AVIF",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".heic": "HEIF",
    ".heif": "HEIF",
    ".hif": "HEIF",
    ".bmp": "BMP",
    ".gif": "GIF",
}
_WITH_ALPHA = {"PNG", "WEBP", "AVIF", "TIFF", "HEIF"}
# Pillow's words for the compressions that a painting keeps, and libvips'; else it is deflate.
_COMPRESSIONS = {"raw": "none", "tiff_lzw": "lzw", "packbits": "packbits"}
_DEFLATE = "tiff_adobe_deflate"


def check_output(path: Path) -> None:
    """Raise OutputError where a picture cannot be written under this name."""
    kind = FORMATS.get(path.suffix.lower())
    if kind is None:
        raise OutputError(
            f"{path}: unknown picture type {path.suffix!r}; use .jpg, .png, .webp, .avif, .tif, "
            ".heic, .bmp or .gif."
        )
    if kind == "HEIF" and not _has_heif():
        raise OutputError(f"{path} needs HEIC; run pip install 'pleinair[heif]' first.")
    try:
        is_folder = path.is_dir()
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written ({error.strerror}); choose another place with -o."
        ) from error
    if is_folder:
        raise OutputError(f"{path} is a folder; name a file in it.")


def can_write(path: Path) -> bool:
    """Whether the name is that of a picture type that can be written."""
    kind = FORMATS.get(path.suffix.lower())
    return kind is not None and (kind != "HEIF" or _has_heif())


def suffix_for(source: Picture | str) -> str:
    """The suffix of a painting's file by default: that of the photo where it can be written.

    source: a Picture that was read, or Pillow's name of a format. Else ".jpg".
    """
    kind = reading.own_kind(source if isinstance(source, str) else source.source.kind)
    if kind == "HEIF" and not _has_heif():
        return ".jpg"
    return next((suffix for suffix, name in FORMATS.items() if name == kind), ".jpg")


def suffix_of(data: bytes) -> str:
    """The suffix of the bytes of a picture where it can be written, else ".jpg"."""
    with reading.told("picture"), reading.opened_file(data) as file:
        return suffix_for(reading.opened_image(file).format or "")


def kind_for(path: Path) -> str:
    """Pillow's name of the format that a file of this name holds. Raises OutputError."""
    check_output(path)
    return FORMATS[path.suffix.lower()]


def format_of(data: bytes) -> str:
    """Pillow's name of the format to answer these bytes in: their own, or PNG."""
    with reading.told("picture"), reading.opened_file(data) as file:
        kind = reading.own_kind(reading.opened_image(file).format)
        return kind if kind in FORMATS.values() else "PNG"


def _has_heif() -> bool:
    import importlib.util

    return importlib.util.find_spec("pillow_heif") is not None


def write(picture: Picture, path: Path, quality: int | None = None, strip: bool = False) -> None:
    """Write to a temporary file beside `path`, then rename it: half a picture is never seen.

    quality and strip: as for `encode`. Raises OutputError.
    """
    check_output(path)
    put(encode(picture, FORMATS[path.suffix.lower()], quality, strip), path)


def put(data: bytes, path: Path) -> None:
    """Put a file's bytes in its place in one step. Raises OutputError."""
    with files.writing(path, "choose another place with -o"):
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_bytes(path, data)


def encode(picture: Picture, kind: str, quality: int | None = None, strip: bool = False) -> bytes:
    """The bytes of a picture as a file of Pillow's format `kind`. Raises OutputError.

    quality: 1 to 100, for JPEG, WebP, AVIF and HEIC; by default that of the photo, if it was of
    the same format and this can be known. strip: leave out all metadata but the colour profile.
    Alpha is kept where the format has it, laid on white elsewhere; 16 bits a channel are kept in
    PNG and TIFF, rounded to 8 elsewhere.
    """
    try:
        with reading.quiet():
            return _encoded(picture, kind, quality, strip)
    except ImportError as error:
        raise OutputError("HEIC cannot be written; run pip install 'pleinair[heif]'.") from error
    except Exception as error:  # writers have no common root of what they raise
        reason = " ".join(str(error).split())[:120]
        size = f"{picture.size[0]}x{picture.size[1]}"
        raise OutputError(f"{size} pixels do not fit into a {kind} file ({reason}).") from error


def _encoded(picture: Picture, kind: str, quality: int | None, strip: bool) -> bytes:
    exif, notes = (None, metadata.Notes()) if strip else (picture.exif, picture.notes)
    profile = metadata.srgb() if picture.source.profile else None
    if kind == "TIFF":
        pixels = _tiff_pixels(picture)
        tags = metadata.tiff_tags(exif, notes, profile)
        return tiff.appended(pixels, tags) if tags else pixels
    options = metadata.options(kind, exif, notes, profile)
    if kind == "PNG" and picture.deep:
        from pleinair import deep, png

        husk = saved(Image.new("L", (1, 1)), kind, options)
        return png.filled(husk, deep.png(to_array(picture)))
    picture = in_eight_bits(picture)
    if kind == "GIF":
        from pleinair import gif

        return gif.still(picture.pixels, picture.alpha, notes.comment)
    kinds.ready(kind)
    pixels_shown = to_array(picture) if kind in _WITH_ALPHA else on_white(picture)
    return saved(
        Image.fromarray(pixels_shown), kind, options | lossy_options(picture, kind, quality)
    )


def saved(image: Image.Image, kind: str, options: dict[str, Any]) -> bytes:
    """A file as Pillow writes it."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def lossy_options(picture: Picture, kind: str, quality: int | None) -> dict[str, Any]:
    """What Pillow's writer takes to encode as the photo was, or at this quality."""
    source = picture.source if picture.source.kind == kind else replace(picture.source, kind="")
    match kind:
        case "JPEG" if source.kind and source.tables and quality is None:
            tables = [list(table) for table in source.tables]
            alike = {"qtables": tables, "progressive": source.progressive}
            return alike | ({"subsampling": source.sampling} if source.sampling >= 0 else {})
        case "JPEG":
            return {"quality": quality or PAINT.jpeg_quality}
        case "WEBP" if source.kind and source.lossless and quality is None:
            return {"lossless": True, "exact": True}
        case "WEBP":
            return {"quality": quality or PAINT.jpeg_quality}
        case "AVIF" | "HEIF":
            return {"quality": quality or PAINT.avif_quality}
    return {}


def _tiff_pixels(picture: Picture) -> bytes:
    pixels: NDArray[Any] = to_array(picture)
    source = picture.source
    kept = source.compression if source.compression in _COMPRESSIONS else _DEFLATE
    if picture.deep or source.tiled:
        from pleinair import deep

        return deep.tiff_file(pixels, _COMPRESSIONS.get(kept, "deflate"), source.tiled)
    kinds.ready("TIFF")
    options: dict[str, Any] = {"compression": kept}
    if kept in (_DEFLATE, "tiff_lzw"):
        options["tiffinfo"] = {317: 2}  # differences of neighbours, which are smaller
    return saved(Image.fromarray(np.ascontiguousarray(pixels)), "TIFF", options)
