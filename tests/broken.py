"""Picture files of every kind, and what bad disks and bad people make of them."""

from __future__ import annotations

import io
import struct
import zlib
from functools import lru_cache
from typing import Any

import numpy as np
from fuzz import mending, promise
from PIL import Image

from pleinair import images, png, writing
from pleinair.metadata import Notes, kept_exif

from .conftest import picture


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def camera_exif(orientation: int = 1, thumbnail: bool = False) -> bytes:
    """An EXIF block with a camera, a place, a maker note, and perhaps a thumbnail."""
    exif = Image.Exif()
    exif[0x010F] = "Camera"
    exif[0x0112] = orientation
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 51.0, 30.5)})
    exif.get_ifd(0x8769).update({0x829A: 1 / 30, 0x927C: b"MAKER NOTE " * 9})
    block = bytearray(exif.tobytes())
    if not thumbnail:
        return bytes(block)
    jpeg = saved(Image.new("RGB", (16, 12), "red"), "JPEG")
    order = "<" if block[6:8] == b"II" else ">"
    start = len(block) - 6
    first = struct.unpack_from(order + "I", block, 10)[0]
    count = struct.unpack_from(order + "H", block, 6 + first)[0]
    struct.pack_into(order + "I", block, 6 + first + 2 + 12 * count, start)
    entries = [(0x0201, 4, 1, start + 30), (0x0202, 4, 1, len(jpeg))]
    listed = b"".join(struct.pack(order + "HHII", *entry) for entry in entries)
    return bytes(block) + struct.pack(order + "H", 2) + listed + bytes(4) + jpeg


XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a tiff:Orientation="1" dc:title="Poppies"/></x:xmpmeta>'
)
IPTC = b"\x1c\x02\x69\x00\x07Poppies\x1c\x02\x50\x00\x05Monet"
NOTES = Notes(XMP, IPTC, (300.0, 300.0), b"a comment", (("Title", "Coquelicots é"),))


@lru_cache(maxsize=1)
def seeds() -> dict[str, bytes]:
    """Good files, small ones, of every kind that is read."""
    pixels = picture(40, 56)
    image = Image.fromarray(pixels)
    alpha = np.tile(np.linspace(0, 255, 56).round().astype(np.uint8), (40, 1))
    clear = images.Picture(pixels, alpha, kept_exif(camera_exif()), NOTES)
    deep = images.Picture(
        images.sixteen_bits(pixels), images.sixteen_bits(alpha), clear.exif, NOTES
    )
    frames = [Image.fromarray(np.dstack([np.roll(pixels, n * 5, 1), alpha])) for n in range(4)]
    film: dict[str, Any] = {
        "save_all": True,
        "append_images": frames[1:],
        "duration": 40,
        "loop": 0,
    }
    big = saved(image, "TIFF", big_tiff=True)
    files = {
        "jpeg": saved(
            image, "JPEG", exif=camera_exif(6, True), xmp=XMP, comment=b"c", dpi=(72, 72)
        ),
        "jpeg-written": writing.encode(clear, "JPEG"),
        "jpeg-progressive": saved(image, "JPEG", progressive=True, subsampling=0),
        "jpeg-grey": saved(image.convert("L"), "JPEG"),
        "jpeg-cmyk": saved(image.convert("CMYK"), "JPEG"),
        "png": writing.encode(clear, "PNG"),
        "png-palette": saved(image.quantize(32), "PNG", transparency=3),
        "png-one-bit": saved(image.convert("1"), "PNG"),
        "png-deep": writing.encode(deep, "PNG"),
        "png-film": saved(frames[0], "PNG", **film),
        "webp": writing.encode(clear, "WEBP"),
        "webp-lossless": saved(image, "WEBP", lossless=True),
        "webp-film": saved(frames[0], "WEBP", **film),
        "avif": writing.encode(clear, "AVIF"),
        "avif-film": saved(frames[0].convert("RGB"), "AVIF", **(film | {"speed": 10})),
        "tiff": writing.encode(clear, "TIFF"),
        "tiff-big": big,
        "tiff-jpeg": saved(image, "TIFF", compression="jpeg"),
        "tiff-palette": saved(image.quantize(32), "TIFF", compression="tiff_lzw"),
        "tiff-fax": saved(image.convert("1"), "TIFF", compression="group4"),
        "tiff-deep": writing.encode(deep, "TIFF"),
        "tiff-grey": saved(Image.fromarray(images.sixteen_bits(alpha)), "TIFF"),
        "heif": writing.encode(clear, "HEIF"),
        "bmp": saved(image, "BMP"),
        "gif": writing.encode(clear, "GIF"),
        "gif-film": saved(frames[0], "GIF", **film),
        "ppm": saved(image, "PPM"),
    }
    return files


def mutated(number: int) -> tuple[str, bytes]:
    """The name and the bytes of a bad file; the same for the same number."""
    random = np.random.default_rng(number)
    names = sorted(seeds())
    name = names[number % len(names)]
    data = promise.mutated(seeds()[name], random)
    return name, mending.png_chunks(data) if random.random() < 0.6 else data


@lru_cache(maxsize=1)
def bombs() -> dict[str, bytes]:
    """Small files that claim or unpack to a lot."""
    good = seeds()
    zeros = zlib.compress(bytes(200_000_000), 9)
    parts = list(png.chunks(good["png"]))

    def with_chunk(kind: bytes, data: bytes) -> bytes:
        kept = [raw for name, raw in parts if name not in (b"iCCP", kind)]
        return png.SIGNATURE + kept[0] + png.chunk(kind, data) + b"".join(kept[1:])

    def sized(width: int, height: int, depth: int) -> bytes:
        head = struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0)
        rest = [raw for name, raw in parts if name != b"IHDR"]
        return png.SIGNATURE + png.chunk(b"IHDR", head) + b"".join(rest)

    lines = good["gif-film"]
    strips = [
        (256, 4, 1, 60_000),
        (257, 4, 1, 3_000),
        (258, 3, 1, 8),
        (259, 3, 1, 1),
        (262, 3, 1, 1),
    ]
    strips += [(273, 4, 0x3FFFFFFF, 8), (277, 3, 1, 1), (278, 4, 1, 1), (279, 4, 0x3FFFFFFF, 8)]
    head = b"II*\0\x08\0\0\0" + struct.pack("<H", len(strips))
    tiff = head + b"".join(struct.pack("<HHII", *entry) for entry in strips)
    webp = bytearray(good["webp"])
    webp[24:30] = b"\xff\xff\x0a\xff\xff\x0a"  # the canvas of VP8X
    avif = good["avif"]
    ispe = avif.index(b"ispe") + 8
    heif = good["heif"]
    lying = heif.index(b"ispe") + 8
    return {
        "png iCCP": with_chunk(b"iCCP", b"name\0\0" + zeros),
        "png zTXt": with_chunk(b"zTXt", b"Comment\0\0" + zeros),
        "png iTXt": with_chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zeros),
        "png canvas": sized(14_000, 14_000, 8),
        "png larger canvas": sized(2**30, 2**30, 8),
        "png deep canvas": sized(14_000, 14_000, 16),
        "png deep, larger canvas": sized(60_000, 60_000, 16),
        "png deep iCCP": _deep_with(b"iCCP", b"name\0\0" + zeros),
        "png deep zTXt": _deep_with(b"zTXt", b"Comment\0\0" + zeros),
        "gif canvas": lines[:6] + b"\xff\xff\xff\xff" + lines[10:],
        "gif frame": lines[:6] + b"\x00\x30\x00\x30" + lines[10:],
        "tiff strips": tiff + bytes(4),
        "tiff loop": tiff[:8]
        + struct.pack("<H", 1)
        + struct.pack("<HHII", 34665, 4, 1, 8)
        + b"\x08\0\0\0",
        "tiff next": tiff + b"\x08\0\0\0",
        "webp canvas": bytes(webp),
        "avif canvas": avif[:ispe] + struct.pack(">II", 14_000, 14_000) + avif[ispe + 8 :],
        "avif larger canvas": avif[:ispe] + struct.pack(">II", 2**31, 2**31) + avif[ispe + 8 :],
        "heif canvas": heif[:lying] + struct.pack(">II", 2**30, 2**30) + heif[lying + 8 :],
    }


def _deep_with(kind: bytes, data: bytes) -> bytes:
    parts = [raw for name, raw in png.chunks(seeds()["png-deep"]) if name != kind]
    return png.SIGNATURE + parts[0] + png.chunk(kind, data) + b"".join(parts[1:])
