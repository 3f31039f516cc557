"""PNG files as chunks: what they say apart from their pixels, and frames of animations (APNG).

The specification is W3C's Portable Network Graphics, third edition.
"""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_OF_PIXELS = {b"PLTE", b"tRNS", b"bKGD", b"hIST", b"sBIT", b"acTL", b"fcTL", b"fdAT"}
_MOST_BESIDE = 64 * 2**20  # bytes of chunks that are no pixels


def husk(file: BinaryIO) -> bytes:
    """A PNG with all that this one says beside its pixels, and a single grey one."""
    file.seek(8)
    parts, left, filled = [SIGNATURE], _MOST_BESIDE, False
    while len(head := file.read(8)) == 8 and left > 0:
        size, kind = int.from_bytes(head[:4], "big"), head[4:]
        if kind == b"IHDR":
            file.seek(size + 4, os.SEEK_CUR)
            parts.append(chunk(kind, struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)))
        elif kind == b"IDAT" or kind in _OF_PIXELS or size > left:
            file.seek(size + 4, os.SEEK_CUR)
            if kind == b"IDAT" and not filled:
                parts.append(chunk(kind, zlib.compress(b"\0\0")))
                filled = True
        else:
            left -= size + 12
            parts.append(head + file.read(size + 4))
    return b"".join(parts)


def filled(husk: bytes, png: bytes) -> bytes:
    """The chunks of one PNG around the pixels of another."""
    pixels = [raw for kind, raw in chunks(png) if kind == b"IDAT"]
    header = next(raw for kind, raw in chunks(png) if kind == b"IHDR")
    parts = [SIGNATURE]
    for kind, raw in chunks(husk):
        if kind == b"IDAT":
            parts += pixels
            pixels = []
        else:
            parts.append(header if kind == b"IHDR" else raw)
    return b"".join(parts)


def chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The chunks of a whole PNG: kind, and all of its bytes."""
    at = 8
    while at < len(png):
        size = int.from_bytes(png[at : at + 4], "big") + 12
        yield png[at + 4 : at + 8], png[at : at + size]
        at += size


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG, with its length and its checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


# --- animations -----------------------------------------------------------------------------


class Encoder:
    """An animated PNG, frame by frame: RGBA without loss, times exact.

    file: to be written, seekable. husk: a PNG that says what the animation is to say. loop: how
    often it plays, 0: for ever.
    """

    def __init__(self, file: BinaryIO, size: tuple[int, int], loop: int, husk: bytes) -> None:
        self.file, self.loop = file, loop
        self.frames = self.parts = 0
        self.last: NDArray[np.uint8] | None = None
        file.write(SIGNATURE + chunk(b"IHDR", struct.pack(">IIBBBBB", *size, 8, 6, 0, 0, 0)))
        self.counted_at = file.tell()
        file.write(self._count())
        for kind, raw in chunks(husk):
            if kind not in (b"IHDR", b"IDAT", b"IEND"):
                file.write(raw)

    def _count(self) -> bytes:
        return chunk(b"acTL", struct.pack(">II", self.frames, self.loop))

    def add(self, rgba: NDArray[np.uint8], duration: float) -> None:
        """One more frame: (H, W, 4), shown for so many milliseconds."""
        top, left, bottom, right = _changed(self.last, rgba)
        pixels = np.ascontiguousarray(rgba[top:bottom, left:right])
        place = (right - left, bottom - top, left, top)
        delay = _delay(duration)
        # Each replaces its own box wholly, and stays.
        control = struct.pack(">IIIIIHHBB", self._next(), *place, *delay, 0, 0)
        self.file.write(chunk(b"fcTL", control))
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        for kind, raw in chunks(buffer.getvalue()):
            if kind == b"IDAT" and self.frames == 0:
                self.file.write(raw)
            elif kind == b"IDAT":
                self.file.write(chunk(b"fdAT", struct.pack(">I", self._next()) + raw[8:-4]))
        self.last = rgba
        self.frames += 1

    def _next(self) -> int:
        self.parts += 1
        return self.parts - 1

    def close(self) -> None:
        """Write the end, and how many frames there are."""
        self.file.write(chunk(b"IEND", b""))
        self.file.seek(self.counted_at)
        self.file.write(self._count())


def _changed(last: NDArray[Any] | None, now: NDArray[Any]) -> tuple[int, int, int, int]:
    if last is None:
        return 0, 0, now.shape[0], now.shape[1]
    return box_of((last != now).any(axis=2))


def box_of(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Top, left, bottom and right of what is true in (H, W); a single pixel where nothing is."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return 0, 0, 1, 1
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


def _delay(milliseconds: float) -> tuple[int, int]:
    from fractions import Fraction  # most runs write no animation

    seconds = Fraction(min(max(milliseconds, 0.0), 65_535_000.0)) / 1000
    for denominator in (65_535, 1_000, 100, 10):
        near = seconds.limit_denominator(denominator)
        if near.numerator <= 65_535:
            return near.numerator, near.denominator
    return min(round(seconds), 65_535), 1
