"""Parsers of pictures: whole files of every kind, tags, chunks, and what is said beside pixels."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image
from tests import broken

from fuzz import mending
from fuzz.promise import Target
from pleinair import images, metadata, png, reading, tiff, writing
from pleinair.errors import ImageError, OutputError

LARGE = 10_000_000  # numbers of a picture; a larger one is not encoded again
_NUMBERS = (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", bytes(4), b"\x01\0\0\0", b"\x69\x87\x04\0")


def picture(data: bytes) -> str:
    """What becomes of a file: picture, large picture or frames. Raises ImageError."""
    found = images.read_any(data)
    if not isinstance(found, images.Picture):
        for shown, duration in found.frames:
            assert shown.size == found.size
            assert duration >= 0
        return "frames"
    assert found.pixels.dtype in (np.uint8, np.uint16)
    assert found.pixels.shape[2] == 3
    if found.pixels.size > LARGE:
        return "large picture"
    try:
        again = images.read(writing.encode(found, found.source.kind or "PNG"))
    except OutputError:
        return "picture"
    assert again.size == found.size
    return "picture"


def _kind(prefix: str) -> Target:
    """All good files of a kind."""
    return Target(
        picture,
        lambda: [data for name, data in broken.seeds().items() if name.startswith(prefix)],
        mending.png_chunks,
        refuses=(ImageError,),
        examples=0,  # tests/test_fuzz_images.py has them
    )


def _as_pillow(data: bytes) -> None:
    """Pixels of what Pillow's own converter can show are Pillow's, where nothing turns them."""
    try:
        with reading.quiet(), Image.open(io.BytesIO(data), formats=["PPM", "BMP"]) as image:
            image.load()
            wanted = np.asarray(image.convert("RGB")) if image.mode in ("RGB", "L", "1") else None
    except Exception:
        wanted = None
    found = images.read(data)
    if wanted is not None and found.alpha is None:
        np.testing.assert_array_equal(found.pixels, wanted)


def _tags_of(data: bytes) -> None:
    tags = tiff.read(io.BytesIO(data))
    kept = tiff.of_the_photo(tags)
    if kept:
        again = tiff.read(io.BytesIO(tiff.block(kept)))
        assert tiff.block(again) == tiff.block(kept)
    for tag in tags.values():
        tag.numbers()
    metadata.notes_of_tiff(tags)
    assert 1 <= metadata.orientation_of_tiff(tags) <= 8
    for forget in (False, True):
        upright = tiff.upright(data, forget)
        assert upright is None or len(upright) <= len(data)
    metadata.kept_exif(data)
    metadata.tiff_tags(metadata.EXIF_HEADER + data, metadata.Notes(), None)


def _tags() -> list[bytes]:
    return [
        broken.camera_exif(6, True).removeprefix(metadata.EXIF_HEADER),
        broken.seeds()["tiff-big"][:400],
        broken.seeds()["tiff-deep"],
    ]


def _chunks(data: bytes) -> None:
    husk = png.husk(io.BytesIO(data))
    assert len(husk) <= len(data) + 100
    png.filled(husk, broken.seeds()["png"])
    reading.is_lossless_webp(io.BytesIO(data))


def _words(data: bytes) -> None:
    packet = metadata.kept_xmp(data)
    assert len(packet) <= len(data) + 8
    metadata.orientation_of_tiff({tiff.XMP: tiff.Tag(tiff.BYTE, data)})
    metadata._without_resource(data)


TARGETS = {kind: _kind(kind) for kind in ("avif", "bmp", "gif", "heif", "jpeg", "png", "webp")} | {
    "tiff": _kind("tiff"),
    "plain-pixels": Target(
        _as_pillow,
        lambda: [broken.seeds()[name] for name in ("bmp", "ppm")] + [b"P5 2 1 255\n\0\1"],
        refuses=(ImageError,),
        longest=2**14,
    ),
    "tags": Target(_tags_of, _tags, words=_NUMBERS),
    "chunks": Target(
        _chunks,
        lambda: [broken.seeds()[name] for name in ("png-deep", "webp", "webp-film")],
        mending.png_chunks,
    ),
    "xmp": Target(
        _words,
        lambda: [broken.XMP, broken.IPTC, b'<a tiff:Orientation = "6" hdrgm:Version="1"/>'],
        words=(b" hdrgm:a='", b' hdrgm:a="', b"tiff:Orientation=", b" " * 300, b"9" * 300),
    ),
}
