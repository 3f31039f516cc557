"""Pictures as arrays: depth, alpha, size, 127.5; nothing of files.

Inside pleinair a picture is float32 NCHW, RGB in sRGB, in [-1, 1]; outside it is uint8 or uint16
HWC.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pleinair.errors import ImageError
from pleinair.metadata import Notes, srgb

Pixels = NDArray[np.uint8]  # HWC, RGB, 0 to 255
Deep = NDArray[np.uint16]  # HWC, RGB, 0 to 65,535
Batch = NDArray[np.float32]  # NCHW, RGB, [-1, 1]

Planes = NDArray[np.float32]
"""float32 (3, H, W), levels of 0 to 255."""


@dataclass(frozen=True)
class Source:
    """How the file of a photo was encoded, so that its painting can be encoded alike.

    kind: Pillow's name of the format, "" where there was no file. profile: whether it had an ICC
    profile. tables, sampling, progressive: a JPEG's quantisation tables, its chroma subsampling
    (0: 4:4:4, 1: 4:2:2, 2: 4:2:0, -1: another) and order. lossless: of a WebP. compression, tiled,
    pages: of a TIFF, of which the first page is read.
    """

    kind: str = ""
    profile: bool = False
    tables: tuple[tuple[int, ...], ...] = ()
    sampling: int = -1
    progressive: bool = False
    lossless: bool = False
    compression: str = ""
    tiled: bool = False
    pages: int = 1


@dataclass(frozen=True)
class Picture:
    """Upright RGB pixels in sRGB, with what has to travel beside them.

    pixels: uint8 or uint16 (H, W, 3). alpha: of the same type (H, W), or None where everything is
    opaque. exif: the photo's EXIF block with its orientation reset, or None. notes: its other
    metadata. source: how its file was encoded.
    """

    pixels: NDArray[Any]
    alpha: NDArray[Any] | None = None
    exif: bytes | None = None
    notes: Notes = field(default_factory=Notes)
    source: Source = field(default_factory=Source)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.pixels.shape[1], self.pixels.shape[0]

    @property
    def deep(self) -> bool:
        """Whether pixels have 16 bits a channel."""
        return bool(self.pixels.dtype == np.uint16)


# --- kinds of arrays ------------------------------------------------------------------------


def from_array(pixels: NDArray[Any]) -> Picture:
    """An array as a Picture. Raises ImageError unless it is uint8 or 16, HWC of 1, 3, 4 or HW."""
    if pixels.dtype not in (np.uint8, np.uint16):
        raise ImageError(
            f"array of {pixels.dtype} found; give uint8 from 0 to 255 or uint16 from 0 to 65535, "
            "height x width x 3."
        )
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[:, :, None], 3, axis=2)
    if pixels.ndim != 3 or pixels.shape[2] not in (3, 4) or 0 in pixels.shape:
        raise ImageError(f"array of shape {pixels.shape} found; give height x width x 3.")
    alpha = pixels[:, :, 3] if pixels.shape[2] == 4 else None
    return Picture(np.ascontiguousarray(pixels[:, :, :3]), alpha)


def to_array(picture: Picture) -> NDArray[Any]:
    """uint8 or uint16 (H, W, 3), or (H, W, 4) where the picture has alpha."""
    if picture.alpha is None:
        return picture.pixels
    return np.dstack([picture.pixels, picture.alpha])


def is_pil(photo: object) -> TypeGuard[Image.Image]:
    """Whether this is a PIL image."""
    return isinstance(photo, Image.Image)


def to_pil(picture: Picture) -> Image.Image:
    """An RGB image of 8 bits, or RGBA where the picture has alpha."""
    image = Image.fromarray(to_array(in_eight_bits(picture)))
    if picture.exif:
        image.info["exif"] = picture.exif
    if picture.source.profile:
        image.info["icc_profile"] = srgb()
    return image


def eight_bits(values: NDArray[Any]) -> Pixels:
    """uint8 or uint16 of any shape to uint8, rounded."""
    if values.dtype == np.uint8:
        return values
    rounded: Pixels = ((values.astype(np.uint32) * 255 + 32_767) // 65_535).astype(np.uint8)
    return rounded


def sixteen_bits(values: NDArray[Any]) -> Deep:
    """uint8 or uint16 of any shape to uint16: 255 becomes 65,535."""
    if values.dtype == np.uint16:
        return values
    return values.astype(np.uint16) * np.uint16(257)


def in_eight_bits(picture: Picture) -> Picture:
    """The picture with 8 bits a channel, rounded."""
    if not picture.deep:
        return picture
    alpha = None if picture.alpha is None else eight_bits(picture.alpha)
    return replace(picture, pixels=eight_bits(picture.pixels), alpha=alpha)


# --- alpha ----------------------------------------------------------------------------------


def on_white(picture: Picture) -> NDArray[Any]:
    """The pixels as seen on a white page: uint8 or uint16 (H, W, 3)."""
    pixels = picture.pixels
    if picture.alpha is None:
        return pixels
    full = np.float32(65_535 if picture.deep else 255)
    cover = picture.alpha[:, :, None].astype(np.float32) / full
    laid: NDArray[Any] = pixels * cover + full * (1 - cover)
    return laid.round().clip(0, full).astype(pixels.dtype)


def for_painting(picture: Picture) -> NDArray[Any]:
    """The pixels with those that are wholly transparent filled in from the opaque ones around.

    What stands there is black or rubbish as a rule, and a painter would smear it into the edges.
    uint8 or uint16 (H, W, 3), as the picture's; white where nothing at all is opaque.
    """
    pixels: NDArray[Any] = picture.pixels
    if picture.alpha is None:
        return pixels
    hidden = picture.alpha == 0
    if not hidden.any():
        return pixels
    full = 65_535 if picture.deep else 255
    if hidden.all():
        return np.full_like(pixels, full)
    # Halves of halves until all is known (push); then each fills the one twice its size (pull).
    levels = [_first_half(pixels, picture.alpha, full)]
    while not levels[-1][1].all():
        levels.append(_half(*levels[-1]))
    colours = levels[-1][0]
    for finer, cover in reversed(levels[:-1]):
        around = np.dstack([_enlarged(colours, n, finer.shape) for n in range(3)])
        colours = np.where(cover[:, :, None] > 0, finer, around)
    filled = pixels.copy()
    for n in range(3):  # one by one, since these are large
        around = _enlarged(colours, n, pixels.shape)[hidden]
        filled[hidden, n] = np.clip(around.round(), 0, full).astype(pixels.dtype)
    return filled


def _first_half(
    pixels: NDArray[Any], alpha: NDArray[Any], full: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    strips = []
    for top in range(0, pixels.shape[0], 512):  # as floats, the whole picture takes a lot of room
        rows = slice(top, top + 512)
        cover = alpha[rows].astype(np.float32) / np.float32(full)
        strips.append(_half(pixels[rows].astype(np.float32), cover))
    colours, covers = zip(*strips, strict=True)
    return np.concatenate(colours), np.concatenate(covers)


def _half(
    colours: NDArray[np.float32], cover: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean colours of squares of 2 pixels, each as opaque as it counts; how opaque the squares are.

    colours: (H, W, 3); cover: (H, W) in [0, 1].
    """
    height, width = cover.shape
    odd = ((0, height % 2), (0, width % 2))
    weight = np.pad(cover, odd)
    sums = np.pad(colours * cover[:, :, None], (*odd, (0, 0)))
    weight = weight[::2] + weight[1::2]
    weight = weight[:, ::2] + weight[:, 1::2]
    sums = sums[::2] + sums[1::2]
    sums = sums[:, ::2] + sums[:, 1::2]
    return sums / np.maximum(weight, 1e-9)[:, :, None], np.minimum(weight, 1)


def _enlarged(
    colours: NDArray[np.float32], channel: int, shape: tuple[int, ...]
) -> NDArray[np.float32]:
    # Of squares of 2 pixels; what reaches over an odd side is cut off.
    box = (0.0, 0.0, shape[1] / 2, shape[0] / 2)
    layer = Image.fromarray(np.ascontiguousarray(colours[:, :, channel]))
    return np.asarray(layer.resize((shape[1], shape[0]), Image.Resampling.BILINEAR, box=box))


def finished(picture: Picture, painted: NDArray[Any]) -> Picture:
    """A picture with painted pixels where it is not wholly transparent; all else as it was.

    painted: uint8 or uint16 (H, W, 3) of the picture's size; it becomes as deep as the picture.
    """
    if painted.shape != picture.pixels.shape:
        raise ValueError(f"{painted.shape} painted for a picture of {picture.pixels.shape}.")
    painted = sixteen_bits(painted) if picture.deep else eight_bits(painted)
    if picture.alpha is not None:
        painted = np.where(picture.alpha[:, :, None] > 0, painted, picture.pixels)
    return replace(picture, pixels=painted)


# --- arrays ---------------------------------------------------------------------------------


def to_batch(pixels: NDArray[Any]) -> Batch:
    """uint8 of 0 to 255 or uint16 of 0 to 65,535, HWC or NHWC, to float32 NCHW in [-1, 1]."""
    batch = pixels[None] if pixels.ndim == 3 else pixels
    values: Batch = batch.transpose(0, 3, 1, 2).astype(np.float32)
    values /= 32_767.5 if pixels.dtype == np.uint16 else 127.5
    values -= 1.0
    return np.ascontiguousarray(values)


def from_batch(values: NDArray[np.floating[Any]]) -> Pixels:
    """Float NCHW in [-1, 1] to uint8 NHWC; rounds, and clamps what lies outside."""
    scaled = np.clip((values + 1.0) * 127.5, 0.0, 255.0)
    return np.ascontiguousarray(scaled.round().astype(np.uint8).transpose(0, 2, 3, 1))


def planes(pixels: NDArray[Any]) -> Planes:
    """uint8 or uint16 (H, W, 3) to float32 planes of 0 to 255."""
    values: Planes = pixels.transpose(2, 0, 1).astype(np.float32, order="C")
    if pixels.dtype == np.uint16:
        values /= 257.0
    return values


def store(values: Planes, target: NDArray[Any]) -> None:
    """Round planes into uint8 or uint16 (H, W, 3), clamped. `values` is used up."""
    if target.dtype == np.uint16:
        values *= 257.0
    values += 0.5
    np.clip(values, 0.0, 65535.5 if target.dtype == np.uint16 else 255.5, out=values)
    # Truncation after adding a half is rounding, three times as fast as rounding itself; and one
    # plane after the other takes half the time of all three turned over at once.
    for channel, plane in enumerate(values):
        target[..., channel] = plane


def planes_to_batch(values: Planes) -> Batch:
    """Planes to what networks take, float32 (1, 3, H, W) in [-1, 1]. `values` is used up."""
    values /= np.float32(127.5)
    values -= np.float32(1.0)
    return values[None]


def planes_of(values: NDArray[np.float32]) -> Planes:
    """Float (3, H, W) in [-1, 1], one picture of a batch, to planes; a copy, not clamped."""
    found: Planes = values * np.float32(127.5)
    found += np.float32(127.5)
    return found


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


def captioned(pixels: Pixels, words: str, height: int = 20) -> Pixels:
    """A picture with words above it, on a white strip so many pixels high."""
    strip = Image.new("RGB", (pixels.shape[1], height), "white")
    ImageDraw.Draw(strip).text((2, 4), words, fill="black")
    return np.concatenate([np.asarray(strip), pixels])


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
