"""Picture files to Pictures, with Pillow, and with `deep` what has 16 bits a channel."""

from __future__ import annotations

import contextlib
import io
import stat
import threading
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from pleinair import kinds, metadata, tiff
from pleinair.errors import ImageError
from pleinair.pictures import (
    Picture,
    Pixels,
    Source,
    centre_square,
    on_white,
    resize_shorter,
)
from pleinair.png import SIGNATURE
from pleinair.settings import PAINT

# Pillow's names of those of a TIFF that a painting keeps.
_COMPRESSIONS = {1: "raw", 5: "tiff_lzw", 8: "tiff_adobe_deflate", 32_773: "packbits"}


# --- reading --------------------------------------------------------------------------------


def read(source: Path | bytes, name: str = "") -> Picture:
    """Read a picture file, or the bytes of one: JPEG, PNG, WebP, AVIF, TIFF, HEIC, BMP, GIF, PPM.

    The first frame of an animation is taken; orientation is applied; an ICC profile is converted
    to sRGB; a PNG or TIFF of 16 bits a channel gives uint16. Raises ImageError for what is not a
    whole picture of a sensible size. `name` stands for bytes in what is said of them.
    """
    name = name_of(source, name)
    with told(name), opened_file(source) as file:
        if _is_deep(file):
            return _read_deep(source, file, name)
        image = opened_image(file)
        check_size(image, name)
        image.load()
        picture = from_pil(image)
        if image.format == "TIFF":
            picture = replace(picture, exif=metadata.exif_of_tiff(file))
            kept = replace(
                picture.source, tiled=_is_tiled(file), pages=getattr(image, "n_frames", 1)
            )
            picture = replace(picture, source=kept)
        if image.format == "WEBP":
            picture = replace(
                picture, source=replace(picture.source, lossless=is_lossless_webp(file))
            )
        return picture


def read_small(source: Path | bytes, shortest: int, name: str = "") -> Pixels:
    """Read a picture for training: RGB pixels whose shorter side is at most about `shortest`.

    `name` stands for bytes in what is said of them. Raises ImageError as `read` does. Transparent
    parts are laid on white.
    """
    name = name_of(source, name)
    with told(name), opened_file(source) as file:
        image = opened_image(file)
        check_size(image, name)
        # A JPEG decodes at an eighth of its size for an eighth of the time.
        image.draft("RGB", (shortest, shortest))
        image.load()
        picture = from_pil(image)
    pixels = on_white(picture)
    height, width = pixels.shape[:2]
    return resize_shorter(pixels, shortest) if min(height, width) > shortest else pixels


def read_square(source: Path | bytes, side: int, name: str = "") -> Pixels:
    """The middle of a picture file as scores see it: (side, side, 3). As `read_small` otherwise."""
    return centre_square(read_small(source, side, name), side)


def probe(source: Path | bytes, name: str = "") -> None:
    """Read a picture's header only. Raises ImageError where it is not that of a picture."""
    name = name_of(source, name)
    with told(name), opened_file(source) as file:
        check_size(opened_image(file), name)


class Header(NamedTuple):
    """What a picture's header says of it."""

    width: int
    height: int
    decoding: int  # about how many bytes of memory reading it takes


def header(source: Path | bytes, name: str = "") -> Header:
    """What a picture's header says; the rest is not read. Raises ImageError."""
    name = name_of(source, name)
    with told(name), opened_file(source) as file:
        deep = _is_deep(file)
        image = opened_image(file)
        check_size(image, name)
        # Pillow decodes to 4 bytes a pixel, of which we keep 3; libvips to 8, of which we keep 6.
        return Header(*image.size, image.width * image.height * (14 if deep else 7))


def from_pil(image: Image.Image) -> Picture:
    """A PIL image of any mode as a Picture of 8 bits: upright, sRGB, alpha apart. ImageError."""
    check_size(image, "picture")
    with told("picture"):
        image.load()  # one that was opened lazily may turn out to be cut short
        return from_loaded(image)


def from_loaded(image: Image.Image) -> Picture:
    """As `from_pil`, of an image that is loaded; raises whatever Pillow does."""
    icc = image.info.get("icc_profile") or None
    exif, notes, source = metadata.exif_of(image), metadata.notes_of(image), _source(image)
    if metadata.orientation_of(image) != 1:
        from PIL import ImageOps  # many photos are upright

        image = ImageOps.exif_transpose(image)
    alpha = None
    if image.has_transparency_data:
        image = image.convert("RGBA" if image.mode not in ("RGBA", "LA") else image.mode)
        alpha = np.asarray(image.getchannel("A"))
        alpha = None if bool((alpha == 255).all()) else alpha
        image = image.convert("RGB" if image.mode == "RGBA" else "L")
    # Each step that has nothing to do would copy the picture.
    if image.mode.startswith("I") or image.mode == "F":
        image = _eight_bit(image)
    image = metadata.to_srgb(image, icc)
    image = image if image.mode == "RGB" else image.convert("RGB")
    return Picture(_pixels(image), alpha, exif, notes, source)


def _pixels(image: Image.Image) -> Pixels:
    """An RGB image as an array, copied some rows at a time: at once it would take two copies."""
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    rows = max(1, 2**22 // image.width)
    for top in range(0, image.height, rows):
        bottom = min(image.height, top + rows)
        pixels[top:bottom] = np.asarray(image.crop((0, top, image.width, bottom)))
    return pixels


def _is_deep(file: BinaryIO) -> bool:
    """Whether a file's header is that of a PNG or TIFF of 16-bit whole numbers."""
    file.seek(0)
    head = file.read(26)
    if head.startswith(SIGNATURE):
        return len(head) == 26 and head[24] == 16
    if head[:2] not in (b"II", b"MM"):
        return False
    tags = tiff.read(file)
    bits = tags[tiff.BITS].numbers() if tiff.BITS in tags else ()
    kinds = tags[tiff.SAMPLE_FORMAT].numbers() if tiff.SAMPLE_FORMAT in tags else (1,)
    return bool(bits) and set(bits) == {16} and set(kinds) == {1}


def _read_deep(source: Path | bytes, file: BinaryIO, name: str) -> Picture:
    from pleinair import deep, png  # most photos have 8 bits

    pixels, alpha, icc = deep.read(source, name)
    file.seek(0)
    if file.read(1) == SIGNATURE[:1]:
        # Pillow reads what the file says, around a single pixel.
        image = opened_image(io.BytesIO(png.husk(file)))
        image.load()
        exif, notes = metadata.exif_of(image), metadata.notes_of(image)
        held, made = metadata.orientation_of(image), _source(image)
    else:
        # Of TIFF, Pillow does not know all kinds of pixels that libvips knows.
        tags = tiff.read(file)
        exif, notes = metadata.exif_of_tiff(file), metadata.notes_of_tiff(tags)
        held = metadata.orientation_of_tiff(tags)
        coded = sum(tags[tiff.COMPRESSION].numbers()) if tiff.COMPRESSION in tags else 1
        made = Source("TIFF", compression=_COMPRESSIONS.get(coded, ""), tiled=_is_tiled(file))
    pixels = _upright(pixels, held)
    alpha = None if alpha is None else _upright(alpha, held)
    return Picture(pixels, alpha, exif, notes, replace(made, profile=icc is not None))


def _upright(values: NDArray[Any], orientation: int) -> NDArray[Any]:
    if orientation >= 5:
        values = values.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        values = values[:, ::-1]
    if orientation in (3, 4, 7, 8):
        values = values[::-1]
    return np.ascontiguousarray(values)


def name_of(source: Path | bytes, name: str = "") -> str:
    """What a source is called in messages."""
    return name or ("what was given" if isinstance(source, bytes) else str(source))


def content(source: Path | bytes, most: int) -> bytes | None:
    """All that a file holds, up to so many bytes; None where it is more. Raises ImageError."""
    if isinstance(source, bytes):
        return source
    with told(name_of(source)), opened_file(source) as file:
        found = file.read(most + 1)
    return found if len(found) <= most else None


def opened_file(source: Path | bytes) -> BinaryIO:
    """A file to read. Raises ImageError for a folder."""
    if isinstance(source, bytes):
        return io.BytesIO(source)
    if source.is_dir():
        raise ImageError(f"{source} is a folder; name the photos in it, as in {source}/*.jpg.")
    with contextlib.suppress(OSError):  # opening it says what is wrong
        if not stat.S_ISREG(source.stat().st_mode):
            # Opening a pipe waits until somebody writes to it, perhaps for ever.
            raise ImageError(
                f"{source} is not a file but a pipe or a device; pipe it in and name it -."
            )
    return source.open("rb")


def opened_image(file: BinaryIO) -> Image.Image:
    """A PIL image of the kind that a file's first bytes are of; nothing else is tried."""
    file.seek(0)
    kind = kinds.kind_of(file.read(64))
    if not kind:
        raise UnidentifiedImageError
    kinds.ready(kind)
    file.seek(0)
    return Image.open(file, formats=[kind])


class _Quiet:
    """No warnings while Pillow works: sizes are checked by us, odd metadata stops no painting.

    Several threads share it, since the filters of warnings are those of the whole process.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.inside = 0

    def __enter__(self) -> None:
        with self.lock:
            self.inside += 1
            if self.inside == 1:
                self.caught = warnings.catch_warnings()
                self.caught.__enter__()
                warnings.simplefilter("ignore")

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.inside -= 1
            if self.inside == 0:
                self.caught.__exit__(None, None, None)


_QUIET = _Quiet()


def quiet() -> _Quiet:
    """A context in which Pillow warns of nothing, in whatever thread."""
    return _QUIET


@contextlib.contextmanager
def told(name: str) -> Iterator[None]:
    """Turn whatever a reader raises on a bad file into one sentence, and keep it quiet."""
    try:
        with _QUIET:
            yield
    except ImageError:
        raise
    except ModuleNotFoundError as error:
        raise ImageError(
            f"{name} is a HEIC file; run pip install 'pleinair[heif]' to have those read."
        ) from error
    except FileNotFoundError as error:
        raise ImageError(f"{name} does not exist; check the path.") from error
    except PermissionError as error:
        raise ImageError(f"{name} may not be read; check its permissions.") from error
    except Image.DecompressionBombError as error:
        raise ImageError(
            f"{name} claims more than {PAINT.max_pixels:,} pixels; make it smaller first."
        ) from error
    except UnidentifiedImageError as error:
        raise ImageError(
            f"{name} is not a picture that can be read; give a JPEG, PNG, WebP, "
            "AVIF, TIFF, HEIC, BMP or GIF file."
        ) from error
    except MemoryError as error:
        raise ImageError(f"{name} does not fit into memory; make it smaller first.") from error
    except Exception as error:  # readers raise whatever a bad file makes them stumble over
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise ImageError(f"{name} is damaged or cut short ({reason}); get a whole copy.") from error


def check_size(image: Image.Image, name: str) -> None:
    """Raise ImageError for a picture of no pixels, or of too many."""
    width, height = image.size
    if width < 1 or height < 1:
        raise ImageError(f"{name} has no pixels ({width}x{height}).")
    if width * height > PAINT.max_pixels:
        raise ImageError(
            f"{name} claims {width}x{height} pixels, more than {PAINT.max_pixels:,}; "
            "make it smaller first."
        )


def _eight_bit(image: Image.Image) -> Image.Image:
    # Pillow clips these modes at 255 on conversion; 16-bit files fill 0 to 65535, floats 0 to 1.
    # Some rows at a time: numbers of 64 bits of a whole large picture would take gigabytes.
    values = np.asarray(image)
    rows = max(1, 2**20 // image.width)
    parts = [slice(top, top + rows) for top in range(0, image.height, rows)]
    most = max(np.nan_to_num(values[part].astype(np.float64)).max(initial=0.0) for part in parts)
    if most > 65_535:
        raise ImageError(f"a picture with values up to {most:g}; give 8 or 16 bits a channel.")
    full = 65_535.0 if image.mode.startswith("I;16") or most > 255.0 else 255.0
    full = 1.0 if image.mode == "F" and most <= 1.0 else full
    eight = np.empty(values.shape, np.uint8)
    for part in parts:
        scaled = np.nan_to_num(values[part].astype(np.float64)) / full * 255.0
        eight[part] = np.nan_to_num(scaled).round().clip(0, 255)
    return Image.fromarray(eight)


# --- how a file was encoded -----------------------------------------------------------------


def own_kind(kind: str | None) -> str:
    """Pillow's name of a format, a JPEG's for one with more pictures behind it."""
    return "JPEG" if kind == "MPO" else kind or ""


def _source(image: Image.Image) -> Source:
    kind = own_kind(image.format)
    source = Source(kind, profile=bool(image.info.get("icc_profile")))
    if kind == "JPEG":
        with contextlib.suppress(Exception):
            return replace(source, **_jpeg_source(image))
    if kind == "TIFF":
        return replace(source, compression=str(image.info.get("compression", "")))
    return source


def _jpeg_source(image: Any) -> dict[str, Any]:
    from PIL.JpegImagePlugin import get_sampling

    of_components = [layer[3] for layer in image.layer][:2]
    tables = tuple(tuple(int(n) for n in image.quantization[key]) for key in of_components)
    if any(len(table) != 64 or not all(1 <= n <= 255 for n in table) for table in tables):
        tables = ()
    sampling = get_sampling(image) if image.layers == 3 else -1
    progressive = bool(image.info.get("progressive"))
    return {"tables": tables, "sampling": sampling, "progressive": progressive}


def _is_tiled(file: BinaryIO) -> bool:
    return tiff.TILE_WIDTH in tiff.read(file)


def is_lossless_webp(file: BinaryIO) -> bool:
    """Whether the first picture of a WebP file is coded without loss."""
    at, end = 12, file.seek(0, io.SEEK_END)
    while at + 8 <= end:
        file.seek(at)
        head = file.read(8)
        if head[:4] in (b"VP8 ", b"VP8L"):
            return head[:4] == b"VP8L"
        size = int.from_bytes(head[4:], "little")
        at += 24 if head[:4] == b"ANMF" else 8 + size + size % 2
    return False
