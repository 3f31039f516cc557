"""Pictures in and out: the only room that knows PIL, EXIF, ICC, alpha, bit depth and 127.5.

Inside pleinair a picture is float32 NCHW, RGB in sRGB, in [-1, 1]; outside it is uint8 HWC.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from pleinair import files
from pleinair.config import PAINT
from pleinair.errors import ImageError, OutputError

Pixels = NDArray[np.uint8]  # HWC, RGB, 0 to 255
Batch = NDArray[np.float32]  # NCHW, RGB, [-1, 1]

_FORMATS = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jfif": "JPEG",
    ".png": "PNG",
    ".webp": "WEBP",
    ".bmp": "BMP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}
_WITH_ALPHA = {"PNG", "WEBP", "TIFF"}
_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
_ORIENTATION = 0x0112


@dataclass(frozen=True)
class Picture:
    """Upright RGB pixels in sRGB, with what has to travel beside them.

    pixels: uint8 (H, W, 3). alpha: uint8 (H, W), or None where everything is opaque. exif: the
    photo's EXIF block with its orientation reset, or None.
    """

    pixels: Pixels
    alpha: NDArray[np.uint8] | None = None
    exif: bytes | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.pixels.shape[1], self.pixels.shape[0]


# --- reading --------------------------------------------------------------------------------


def read(source: Path | bytes) -> Picture:
    """Read a picture file, or the bytes of one, of any kind that Pillow opens.

    The first frame of an animation is taken; orientation is applied; an ICC profile is converted
    to sRGB. Raises ImageError for what is not a whole picture of a sensible size.
    """
    name = _name(source)
    with _told(name):
        if isinstance(source, Path) and source.is_dir():
            raise ImageError(f"{name} is a folder; name the photos in it, as in {name}/*.jpg.")
        with _opened(source) as image:
            _check_size(image, name)
            image.load()
            return from_pil(image)


def read_small(source: Path | bytes, shortest: int, name: str = "") -> Pixels:
    """Read a picture for training: RGB pixels whose shorter side is at most about `shortest`.

    `name` stands for bytes in what is said of them. Raises ImageError as `read` does. Transparent
    parts are laid on white.
    """
    name = _name(source, name)
    with _told(name), _opened(source) as image:
        _check_size(image, name)
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
    name = _name(source, name)
    with _told(name), _opened(source) as image:
        _check_size(image, name)


def from_pil(image: Image.Image) -> Picture:
    """A PIL image of any mode as a Picture: upright, sRGB, alpha apart. Raises ImageError."""
    _check_size(image, "picture")
    with _told("picture"):
        image.load()  # one that was opened lazily may turn out to be cut short
    icc = image.info.get("icc_profile")
    image = ImageOps.exif_transpose(image)
    exif = _upright_exif(image)
    alpha = None
    if image.has_transparency_data:
        image = image.convert("RGBA" if image.mode not in ("RGBA", "LA") else image.mode)
        alpha = np.asarray(image.getchannel("A"))
        alpha = None if bool((alpha == 255).all()) else alpha
        image = image.convert("RGB" if image.mode == "RGBA" else "L")
    if image.mode.startswith("I") or image.mode == "F":
        image = _eight_bit(image)
    image = _to_srgb(image, icc)
    return Picture(np.asarray(image.convert("RGB")), alpha, exif)


def from_array(pixels: NDArray[Any]) -> Picture:
    """An array as a Picture. Raises ImageError unless it is uint8, HWC of 1, 3 or 4 or HW."""
    if pixels.dtype != np.uint8:
        raise ImageError(
            f"array of {pixels.dtype} found; give uint8 from 0 to 255, height x width x 3."
        )
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[:, :, None], 3, axis=2)
    if pixels.ndim != 3 or pixels.shape[2] not in (3, 4) or 0 in pixels.shape:
        raise ImageError(f"array of shape {pixels.shape} found; give height x width x 3.")
    alpha = pixels[:, :, 3] if pixels.shape[2] == 4 else None
    return Picture(np.ascontiguousarray(pixels[:, :, :3]), alpha)


def _name(source: Path | bytes, name: str = "") -> str:
    return name or ("picture" if isinstance(source, bytes) else str(source))


def _opened(source: Path | bytes) -> Image.Image:
    with warnings.catch_warnings():
        # Sizes are checked by us; metadata that Pillow grumbles about does not stop a painting.
        warnings.simplefilter("ignore")
        return Image.open(io.BytesIO(source) if isinstance(source, bytes) else source)


@contextlib.contextmanager
def _told(name: str) -> Any:
    """Turn whatever Pillow raises on a bad file into one sentence."""
    try:
        yield
    except ImageError:
        raise
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
            "TIFF, BMP, GIF or AVIF file."
        ) from error
    except (OSError, SyntaxError, ValueError, TypeError, EOFError, IndexError, KeyError) as error:
        raise ImageError(f"{name} is damaged or cut short ({error}); get a whole copy.") from error
    except MemoryError as error:
        raise ImageError(f"{name} does not fit into memory; make it smaller first.") from error


def _check_size(image: Image.Image, name: str) -> None:
    width, height = image.size
    if width < 1 or height < 1:
        raise ImageError(f"{name} has no pixels ({width}x{height}).")
    if width * height > PAINT.max_pixels:
        raise ImageError(
            f"{name} claims {width}x{height} pixels, more than {PAINT.max_pixels:,}; "
            "make it smaller first."
        )


def _upright_exif(image: Image.Image) -> bytes | None:
    try:
        exif = image.getexif()
        if not exif:
            return None
        exif.pop(_ORIENTATION, None)
        return exif.tobytes() or None
    except Exception:  # a broken EXIF block is no reason not to paint
        return None


def _eight_bit(image: Image.Image) -> Image.Image:
    # Pillow clips these modes at 255 on conversion; 16-bit files fill 0 to 65535.
    values = np.asarray(image).astype(np.float64)
    full = 65535.0 if values.max(initial=0.0) > 255.0 else 255.0
    return Image.fromarray((values / full * 255.0).round().clip(0, 255).astype(np.uint8))


def _to_srgb(image: Image.Image, icc: bytes | None) -> Image.Image:
    if not icc or image.mode not in ("RGB", "L", "CMYK"):
        return image
    try:
        converted = ImageCms.applyTransform(image, _transform(icc, image.mode))
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image  # a profile that does not fit its pixels is ignored, as viewers do
    return converted if converted is not None else image


@lru_cache(maxsize=16)
def _transform(icc: bytes, mode: str) -> ImageCms.ImageCmsTransform:
    # A folder's photos share a profile, and building this takes longer than decoding a small one.
    profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    return ImageCms.buildTransform(profile, _SRGB, mode, "RGB")


# --- writing --------------------------------------------------------------------------------


def check_output(path: Path) -> None:
    """Raise OutputError where a picture cannot be written under this name."""
    if path.suffix.lower() not in _FORMATS:
        raise OutputError(
            f"{path}: unknown picture type {path.suffix!r}; use .jpg, .png, .webp, .tif or .bmp."
        )
    try:
        is_folder = path.is_dir()
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written ({error.strerror}); choose another place with -o."
        ) from error
    if is_folder:
        raise OutputError(f"{path} is a folder; name a file in it.")


def write(picture: Picture, path: Path, quality: int = PAINT.jpeg_quality) -> None:
    """Write to a temporary file beside `path`, then rename it: half a picture is never seen.

    Alpha is kept where the format has it, laid on white elsewhere. Raises OutputError.
    """
    check_output(path)
    kind = _FORMATS[path.suffix.lower()]
    data = encode(picture, kind, quality)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_bytes(path, data)
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written ({error.strerror or error}); choose another place with -o."
        ) from error


def encode(picture: Picture, kind: str, quality: int = PAINT.jpeg_quality) -> bytes:
    """The bytes of a picture as a file of Pillow's format `kind`. Raises OutputError."""
    image = to_pil(picture) if kind in _WITH_ALPHA else Image.fromarray(on_white(picture))
    options: dict[str, Any] = {"exif": picture.exif} if picture.exif and kind != "BMP" else {}
    if kind in ("JPEG", "WEBP"):
        options["quality"] = quality
    buffer = io.BytesIO()
    try:
        image.save(buffer, kind, **options)
    except (OSError, ValueError) as error:
        size = f"{picture.size[0]}x{picture.size[1]}"
        raise OutputError(f"{size} pixels do not fit into a {kind} file ({error}).") from error
    return buffer.getvalue()


def format_of(data: bytes) -> str:
    """Pillow's name of the format to answer these bytes in: their own, or PNG."""
    with _told("picture"), _opened(data) as image:
        kind = image.format or ""
        return kind if kind in _FORMATS.values() else "PNG"


def can_write(path: Path) -> bool:
    """Whether the name is that of a picture type that can be written."""
    return path.suffix.lower() in _FORMATS


def kind_for(path: Path) -> str:
    """Pillow's name of the format that a file of this name holds. Raises OutputError."""
    check_output(path)
    return _FORMATS[path.suffix.lower()]


def suffix_of(data: bytes) -> str:
    """The suffix of the bytes of a picture where it can be written, else .jpg."""
    with _told("picture"), _opened(data) as image:
        kind = image.format
    return next((suffix for suffix, name in _FORMATS.items() if name == kind), ".jpg")


def is_pil(photo: object) -> TypeGuard[Image.Image]:
    """Whether this is a PIL image."""
    return isinstance(photo, Image.Image)


def to_array(picture: Picture) -> Pixels:
    """uint8 (H, W, 3), or (H, W, 4) where the picture has alpha."""
    if picture.alpha is None:
        return picture.pixels
    return np.dstack([picture.pixels, picture.alpha])


def to_pil(picture: Picture) -> Image.Image:
    """An RGB image, or RGBA where the picture has alpha."""
    image = Image.fromarray(to_array(picture))
    if picture.exif:
        image.info["exif"] = picture.exif
    return image


def on_white(picture: Picture) -> Pixels:
    """The pixels as seen on a white page: uint8 (H, W, 3)."""
    if picture.alpha is None:
        return picture.pixels
    cover = picture.alpha[:, :, None].astype(np.float32) / 255.0
    laid: Pixels = (picture.pixels * cover + 255.0 * (1.0 - cover)).round().astype(np.uint8)
    return laid


# --- arrays ---------------------------------------------------------------------------------


def to_batch(pixels: Pixels) -> Batch:
    """uint8 HWC, or NHWC, of 0 to 255 to float32 NCHW in [-1, 1]."""
    batch = pixels[None] if pixels.ndim == 3 else pixels
    values: Batch = batch.transpose(0, 3, 1, 2).astype(np.float32)
    values /= 127.5
    values -= 1.0
    return np.ascontiguousarray(values)


def from_batch(values: NDArray[np.floating[Any]]) -> Pixels:
    """Float NCHW in [-1, 1] to uint8 NHWC; rounds, and clamps what lies outside."""
    scaled = np.clip((values + 1.0) * 127.5, 0.0, 255.0)
    return np.ascontiguousarray(scaled.round().astype(np.uint8).transpose(0, 2, 3, 1))


def resize(pixels: Pixels, width: int, height: int, *, bicubic: bool = False) -> Pixels:
    """Lanczos or bicubic, antialiased: uint8 (H, W, 3) to (height, width, 3)."""
    method = Image.Resampling.BICUBIC if bicubic else Image.Resampling.LANCZOS
    return np.asarray(Image.fromarray(pixels).resize((width, height), method))


def resize_shorter(pixels: Pixels, shortest: int) -> Pixels:
    """Resize so that the shorter side has `shortest` pixels, the aspect ratio kept."""
    height, width = pixels.shape[:2]
    scale = shortest / min(height, width)
    return resize(pixels, max(shortest, round(width * scale)), max(shortest, round(height * scale)))


def centre_square(pixels: Pixels, side: int) -> Pixels:
    """The middle of a picture, (side, side, 3), its shorter side resized to that."""
    if min(pixels.shape[:2]) != side:
        pixels = resize_shorter(pixels, side)
    top, left = ((length - side) // 2 for length in pixels.shape[:2])
    return pixels[top : top + side, left : left + side]


def resize_to_height(pixels: Pixels, height: int) -> Pixels:
    """Resize to `height` pixels, the aspect ratio kept."""
    return resize(pixels, max(1, round(pixels.shape[1] * height / pixels.shape[0])), height)


def row_height(rows: int, wanted: int) -> int:
    """Pixels of each row, at most `wanted`, so that a sheet fits into a JPEG's 65,500."""
    return min(wanted, 65_000 // rows - 8)


def sheet(rows: Sequence[Sequence[Pixels]], height: int, gap: int = 8) -> Pixels:
    """Pictures on a white page, a row each, all `height` pixels high: uint8 (H, W, 3)."""
    lines = []
    for row in rows:
        scaled = [resize_to_height(p, height) for p in row]
        padded = [np.pad(p, ((0, gap), (0, gap), (0, 0)), constant_values=255) for p in scaled]
        lines.append(np.concatenate(padded, axis=1))
    width = max(line.shape[1] for line in lines)
    filled = [
        np.pad(line, ((0, 0), (0, width - line.shape[1]), (0, 0)), constant_values=255)
        for line in lines
    ]
    page = np.concatenate(filled, axis=0)
    return np.pad(page, ((gap, 0), (gap, 0), (0, 0)), constant_values=255)
