"""GIF files, frame by frame: a palette each, and what stands still is not drawn again."""

from __future__ import annotations

import io
import struct
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pleinair.png import box_of

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]
_COLOURS = 255  # one more is for what is transparent
_SAMPLE = 16_384  # pixels that a palette is chosen from
_KEEP, _CLEAR = 1, 2  # what becomes of a frame when the next one comes
_VISIBLE_FROM = 128  # alpha; a GIF knows nothing in between


class Encoder:
    """An animated GIF, frame by frame.

    loop: how often it plays, 0: for ever. Times are whole hundredths of a second; what rounding
    takes from one frame the next ones get.
    """

    def __init__(
        self, file: BinaryIO, size: tuple[int, int], loop: int, comment: bytes | None
    ) -> None:
        if max(size) > 65_535:
            raise ValueError("its sides have up to 65,535 pixels")
        self.file = file
        self.waiting: tuple[Pixels, Mask, int] | None = None
        self.shown = np.zeros((size[1], size[0], 3), np.uint8)
        self.visible = np.zeros((size[1], size[0]), bool)
        self.passed = 0.0
        file.write(b"GIF89a" + struct.pack("<HHBBB", *size, 0x70, 0, 0))
        if loop != 1:
            # The number is of repetitions after the first time; 0 is for ever.
            repeats = min(max(loop - 1, 0), 65_535)
            file.write(b"\x21\xff\x0bNETSCAPE2.0\x03\x01" + struct.pack("<H", repeats) + b"\0")
        if comment:
            parts = [comment[at : at + 255] for at in range(0, len(comment), 255)]
            file.write(b"\x21\xfe" + b"".join(bytes([len(p)]) + p for p in parts) + b"\0")

    def add(self, pixels: Pixels, alpha: NDArray[np.uint8] | None, duration: float) -> None:
        """One more frame: (H, W, 3), alpha (H, W) or None, shown for so many milliseconds."""
        visible = np.ones(pixels.shape[:2], bool) if alpha is None else alpha >= _VISIBLE_FROM
        self._flush(visible)
        before, self.passed = self.passed, self.passed + max(duration, 0.0)
        self.waiting = pixels, visible, round(self.passed / 10) - round(before / 10)

    def _flush(self, next_visible: Mask | None) -> None:
        """Write the frame that waits to know whether the next one uncovers something."""
        from PIL.GifImagePlugin import getdata  # most runs write no GIF

        if self.waiting is None:
            return
        pixels, visible, hundredths = self.waiting
        uncovers = next_visible is not None and bool((visible & ~next_visible).any())
        differs = ~self.visible | (self.shown != pixels).any(axis=2)
        drawn = visible & differs
        box = (0, 0, *visible.shape) if uncovers else box_of(drawn)
        part = slice(box[0], box[2]), slice(box[1], box[3])
        image, clear = _palette_image(pixels[part], drawn[part])
        blocks = getdata(
            image,
            (box[1], box[0]),
            include_color_table=True,
            transparency=clear,
            duration=min(hundredths, 65_535) * 10,
            disposal=_CLEAR if uncovers else _KEEP,
            interlace=0,
        )
        self.file.write(b"".join(blocks))
        self.shown = pixels
        self.visible = np.zeros_like(visible) if uncovers else visible

    def close(self) -> None:
        """Write the last frame and the end."""
        self._flush(None)
        self.file.write(b";")


def still(pixels: Pixels, alpha: NDArray[np.uint8] | None, comment: bytes | None) -> bytes:
    """A GIF of one picture, its colours dithered where there are too many."""
    buffer = io.BytesIO()
    if alpha is None:
        seen = Image.fromarray(pixels)
        if seen.getcolors(_COLOURS) is None:
            pixels = np.asarray(_dithered(seen).convert("RGB"))
    encoder = Encoder(buffer, (pixels.shape[1], pixels.shape[0]), 1, comment)
    encoder.add(pixels, alpha, 0)
    encoder.close()
    return buffer.getvalue()


def _dithered(image: Image.Image) -> Image.Image:
    palette = _palette_of(np.asarray(image).reshape(-1, 3))
    return image.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)


def _palette_of(values: Pixels) -> Image.Image:
    # Of a sample: the best 255 colours of every pixel take a hundred times as long.
    sample = values[:: -(-len(values) // _SAMPLE)]
    row = Image.fromarray(np.ascontiguousarray(sample)[None])
    return row.quantize(_COLOURS, kmeans=1, dither=Image.Dither.NONE)


def _palette_image(pixels: Pixels, drawn: Mask) -> tuple[Image.Image, int]:
    """A palette image of the pixels that are drawn, and the number that stands for the others."""
    values = pixels[drawn]
    indices, colours = _quantised(values) if len(values) else (np.zeros(0, np.uint8), values)
    clear = len(colours)
    whole: Pixels = np.full(drawn.shape, clear, np.uint8)
    whole[drawn] = indices
    image = Image.fromarray(whole).convert("P")
    image.putpalette(colours.tobytes() + bytes(3 * (256 - clear)))
    image.info.clear()
    return image, clear


def _quantised(values: Pixels) -> tuple[NDArray[Any], Pixels]:
    """Colours (N, 3) as numbers (N,) of up to 255 colours (K, 3); exact where there are so few."""
    row = Image.fromarray(np.ascontiguousarray(values)[None])
    if row.getcolors(_COLOURS) is not None:
        packed = values.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
        found, indices = np.unique(packed, return_inverse=True)
        colours = np.stack([found >> 16, found >> 8 & 255, found & 255], axis=1).astype(np.uint8)
        return indices.astype(np.uint8), colours
    # No dither: grains would crawl from frame to frame.
    made = row.quantize(palette=_palette_of(values), dither=Image.Dither.NONE)
    palette = np.array(made.getpalette("RGB"), np.uint8).reshape(-1, 3)[:_COLOURS]
    return np.asarray(made)[0], palette
