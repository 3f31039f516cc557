from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from pleinair import images, png, tiff
from pleinair.metadata import EXIF_HEADER, Notes, kept_exif, kept_xmp, orientation_of_tiff, srgb

from .broken import IPTC, NOTES, XMP, camera_exif, saved
from .conftest import picture

HOLDERS = ["JPEG", "PNG", "WEBP", "AVIF", "TIFF", "HEIF"]
PHOTO = images.Picture(picture(24, 40), exif=kept_exif(camera_exif(6)), notes=NOTES)


def camera_of(exif: bytes | None) -> tuple[object, ...]:
    found = Image.Exif()
    found.load(exif or b"")
    inner, place = found.get_ifd(0x8769), found.get_ifd(0x8825)
    return found.get(0x010F), inner.get(0x829A), inner.get(0x927C), place.get(1), place.get(2)


def test_all_of_the_exif_block_stays_but_the_orientation():
    before = camera_exif(6)
    after = images.read(saved(Image.new("RGB", (40, 24)), "JPEG", exif=before)).exif
    assert len(after) == len(before)
    differing = [at for at, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]
    assert len(differing) == 1
    assert (before[differing[0]], after[differing[0]]) == (6, 1)


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_maker_note_that_points_into_the_block_still_does(order):
    entries = [(0x010F, 2, 4, b"Cam\0"), (0x0112, 3, 1, struct.pack(order + "HH", 8, 0))]
    block = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(order + "IH", 8, 2)
    block += b"".join(struct.pack(order + "HHI", *e[:3]) + e[3] for e in entries) + bytes(4)
    found = kept_exif(EXIF_HEADER + block + b"the maker's bytes")
    assert found.endswith(b"the maker's bytes")
    assert len(found) == len(block) + 6 + 17
    exif = Image.Exif()
    exif.load(found)
    assert dict(exif) == {0x010F: "Cam", 0x0112: 1}


def test_the_thumbnail_of_the_photo_is_gone():
    before = camera_exif(1, thumbnail=True)
    assert b"\xff\xd8" in before
    after = kept_exif(before)
    assert b"\xff\xd8" not in after
    assert camera_of(after) == camera_of(before)
    exif = Image.Exif()
    exif.load(after)
    assert not exif.get_ifd(1)


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b"nonsense",
        b"II*\0",
        b"II*\0\xff\xff\xff\xff" + bytes(9),
        b"MM\0*\0\0\0\x08\xff\xff" + bytes(8),
    ],
)
def test_a_broken_block_is_left_out(block):
    assert kept_exif(EXIF_HEADER + block) is None
    data = saved(Image.new("RGB", (4, 4)), "PNG", exif=EXIF_HEADER + block)
    assert images.read(data).exif is None


def test_directories_that_point_at_themselves_end():
    loop = b"II*\0\x08\0\0\0" + struct.pack("<H", 1) + struct.pack("<HHII", 34665, 4, 1, 8)
    assert tiff.read(io.BytesIO(loop + struct.pack("<I", 8))) == {}
    assert kept_exif(EXIF_HEADER + loop + struct.pack("<I", 8)) is not None


@pytest.mark.parametrize("kind", HOLDERS)
def test_what_the_photo_said_the_painting_says(kind):
    found = images.read(images.encode(PHOTO, kind))
    assert camera_of(found.exif) == camera_of(PHOTO.exif)
    assert b"Poppies" in found.notes.xmp
    if kind in ("JPEG", "PNG", "TIFF"):
        assert found.notes.iptc == IPTC
        assert found.notes.dpi == pytest.approx((300, 300), abs=0.01)
    if kind in ("JPEG", "PNG"):
        assert found.notes.comment == b"a comment"
    if kind == "PNG":
        assert ("Title", "Coquelicots é") in found.notes.texts


@pytest.mark.parametrize("through", HOLDERS)
@pytest.mark.parametrize("kind", HOLDERS)
def test_metadata_travels_from_format_to_format(through, kind):
    found = images.read(images.encode(images.read(images.encode(PHOTO, through)), kind))
    assert found.size == PHOTO.size
    assert camera_of(found.exif) == camera_of(PHOTO.exif)
    assert b"Poppies" in found.notes.xmp


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_strip_leaves_nothing_but_colour(kind):
    photo = images.Picture(
        PHOTO.pixels, None, PHOTO.exif, PHOTO.notes, images.Source(kind, profile=True)
    )
    data = images.encode(photo, kind, strip=True)
    for said in (b"Camera", b"MAKER", b"Poppies", b"a comment", b"Coquelicots"):
        assert said not in data
    found = images.read(data)
    assert (found.exif, found.notes) == (None, Notes())
    assert found.source.profile


def test_an_xmp_packet_becomes_true_of_a_painting():
    packet = (
        b'<r hdrgm:Version="1.0" tiff:Orientation="6" GCamera:MotionPhoto="1" dc:title="Poppies">'
        b"<tiff:Orientation>8</tiff:Orientation></r>"
    )
    assert kept_xmp(packet) == (
        b'<r tiff:Orientation="1" GCamera:MotionPhoto="0" dc:title="Poppies">'
        b"<tiff:Orientation>1</tiff:Orientation></r>"
    )


TURNED = XMP.replace(b'Orientation="1"', b'Orientation="6"')


def test_the_orientation_of_a_deep_tiff_may_stand_in_its_xmp():
    tags = {tiff.XMP: tiff.Tag(tiff.BYTE, TURNED)}
    assert orientation_of_tiff(tags) == 6
    assert orientation_of_tiff(tags | {tiff.ORIENTATION: tiff.Tag(tiff.SHORT, b"\3\0")}) == 3
    assert orientation_of_tiff({tiff.ORIENTATION: tiff.Tag(tiff.SHORT, b"\x63\0")}) == 1


@pytest.mark.parametrize(
    ("kind", "depth"),
    [(kind, images.eight_bits) for kind in ("PNG", "TIFF", "WEBP", "JPEG")]
    + [("PNG", images.sixteen_bits)],
)
def test_an_orientation_in_the_xmp_alone_is_applied_once(kind, depth):
    photo = images.Picture(depth(picture(24, 40)), notes=Notes(xmp=TURNED))
    found = images.read(images.encode(photo, kind))
    assert found.size == (24, 40)
    assert images.read(images.encode(found, kind)).size == (24, 40)


def test_what_a_jpeg_cannot_hold_is_left_out():
    long = kept_exif(camera_exif().replace(b"MAKER NOTE", b"MAKER NOTE"))
    tags = tiff.read(io.BytesIO(long[6:]))
    tags[tiff.EXIF].within[0x927C] = tiff.Tag(tiff.UNDEFINED, b"n" * 90_000)
    photo = images.Picture(
        PHOTO.pixels, None, EXIF_HEADER + tiff.block(tags), Notes(xmp=XMP + b" " * 70_000)
    )
    found = images.read(images.encode(photo, "JPEG"))
    assert camera_of(found.exif) == ("Camera", pytest.approx(1 / 30), None, "N", (48.0, 51.0, 30.5))
    assert found.notes.xmp is None
    assert images.read(images.encode(photo, "PNG")).exif == photo.exif


def test_iptc_is_found_where_each_format_keeps_it():
    resource = b"8BIM\x04\x04\0\0" + len(IPTC).to_bytes(4, "big") + IPTC + bytes(len(IPTC) % 2)
    segment = b"Photoshop 3.0\0" + b"8BIM\x04\x25\0\0\0\0\0\x02ab" + resource
    extra = b"\xff\xed" + (len(segment) + 2).to_bytes(2, "big") + segment
    assert images.read(saved(Image.new("RGB", (4, 4)), "JPEG", extra=extra)).notes.iptc == IPTC
    info = {33723: IPTC}
    assert images.read(saved(Image.new("RGB", (4, 4)), "TIFF", tiffinfo=info)).notes.iptc == IPTC


def test_the_profile_of_a_painting_is_srgb_and_always_the_same():
    assert srgb() == srgb()
    assert len(srgb()) < 1000
    name = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(srgb())))
    assert "sRGB" in name


@pytest.mark.parametrize("kind", HOLDERS)
def test_a_photo_with_a_profile_gives_a_painting_with_one(kind):
    data = saved(Image.fromarray(PHOTO.pixels), "PNG", icc_profile=srgb())
    for source in (data, saved(Image.fromarray(PHOTO.pixels), "PNG")):
        found = images.read(source)
        assert np.array_equal(found.pixels, PHOTO.pixels)
        again = images.read(images.encode(found, kind))
        assert again.source.profile == found.source.profile == (source is data)


@pytest.mark.parametrize("deep", [False, True])
def test_a_wide_profile_keeps_its_appearance(deep):
    # A profile whose tone curve is linear: half the light is 188 in sRGB.
    linear = bytearray(srgb())
    at = linear.index(b"para")
    assert struct.unpack_from(">H", linear, at + 8)[0] == 3
    struct.pack_into(">5i", linear, at + 12, 0x10000, 0x10000, 0, 0x10000, 0)
    half = np.full((8, 8, 3), 32_768 if deep else 128, np.uint16 if deep else np.uint8)
    plain = images.encode(images.Picture(half), "PNG")
    husk = saved(Image.new("L", (1, 1)), "PNG", icc_profile=bytes(linear))
    found = images.read(png.filled(husk, plain))
    assert found.source.profile
    assert found.pixels.dtype == half.dtype
    assert found.pixels[0, 0] == pytest.approx([188.0 * (257 if deep else 1)] * 3, rel=0.01)
