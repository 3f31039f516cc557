from __future__ import annotations

import io
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from pleinair import images, png, reading, tiff
from pleinair.errors import ImageError, OutputError
from pleinair.metadata import kept_exif, srgb
from pleinair.settings import PICTURE_SUFFIXES

from .broken import NOTES, camera_exif, saved
from .conftest import picture

DEEP = images.sixteen_bits(picture(30, 44)) ^ np.uint16(0b1011_0101)
ALPHA = np.tile(np.linspace(0, 65_535, 44).round().astype(np.uint16), (30, 1))


# --- 16 bits a channel ----------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [None, ALPHA], ids=["opaque", "alpha"])
@pytest.mark.parametrize(
    ("kind", "compression", "tiled"),
    [("PNG", "", False)]
    + [("TIFF", c, t) for c in ("raw", "tiff_lzw", "packbits", "other") for t in (False, True)],
)
def test_sixteen_bits_in_and_out(kind, compression, tiled, alpha):
    source = images.Source(kind, compression=compression, tiled=tiled)
    found = images.read(images.encode(images.Picture(DEEP, alpha, source=source), kind))
    assert np.array_equal(found.pixels, DEEP)
    assert found.alpha is None if alpha is None else np.array_equal(found.alpha, alpha)
    if kind == "TIFF":
        kept = "tiff_adobe_deflate" if compression == "other" else compression
        assert (found.source.compression, found.source.tiled) == (kept, tiled)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_grey_of_sixteen_bits_keeps_its_levels(kind, tmp_path):
    levels = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)  # a dark one: 4,096 of 65,536
    path = tmp_path / f"dark.{kind.lower()}"
    path.write_bytes(saved(Image.fromarray(levels), kind))
    for source in (path, path.read_bytes()):
        found = images.read(source)
        assert found.pixels.dtype == np.uint16
        assert np.array_equal(found.pixels, np.repeat(levels[:, :, None], 3, axis=2))


@pytest.mark.parametrize("big", [False, True])
def test_a_deep_tiff_that_pillow_does_not_know_keeps_what_it_says(big):
    vips = pytest.importorskip("pyvips")
    two = np.ascontiguousarray(np.dstack([DEEP[:, :, 0], ALPHA]))
    image = vips.Image.new_from_memory(two.data, 44, 30, 2, "ushort").copy(interpretation="grey16")
    options = {"xres": 300 / 25.4, "yres": 300 / 25.4, "resunit": "cm", "bigtiff": big}
    found = images.read(image.tiffsave_buffer(compression="lzw", **options))
    assert np.array_equal(found.pixels[:, :, 1], DEEP[:, :, 0])
    assert np.array_equal(found.alpha, ALPHA)
    assert found.notes.dpi == pytest.approx((300, 300), rel=1e-3)
    assert found.source.compression == "tiff_lzw"


@pytest.mark.parametrize("name", ["a[page=3].png", "ü b.tif"])
def test_deep_pictures_may_have_odd_names(name, tmp_path):
    images.write(images.Picture(DEEP), tmp_path / name)
    assert np.array_equal(images.read(tmp_path / name).pixels, DEEP)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_deep_pictures_are_turned_like_others(kind, orientation):
    small = images.encode(images.Picture(picture(24, 40), None, None), kind)
    exif = Image.Exif()
    exif[0x0112] = orientation
    plain = saved(Image.open(io.BytesIO(small)), kind, exif=exif)
    deep = images.encode(images.Picture(images.sixteen_bits(picture(24, 40))), kind)
    if kind == "TIFF":
        turned = tiff.appended(deep, {274: tiff.Tag(tiff.SHORT, bytes([orientation, 0]))})
    else:
        turned = png.filled(saved(Image.new("L", (1, 1)), kind, exif=exif), deep)
    assert np.array_equal(
        images.read(turned).pixels, images.sixteen_bits(images.read(plain).pixels)
    )


def test_deep_pictures_are_rounded_for_other_formats(tmp_path):
    for suffix in (".webp", ".jpg", ".bmp", ".avif", ".gif", ".heic"):
        images.write(images.Picture(DEEP, ALPHA), tmp_path / f"a{suffix}")
        assert images.read(tmp_path / f"a{suffix}").pixels.dtype == np.uint8
    exact = images.Picture(DEEP, source=images.Source("WEBP", lossless=True))
    assert np.array_equal(images.read(images.encode(exact, "WEBP")).pixels, images.eight_bits(DEEP))


def test_training_reads_deep_pictures_in_eight_bits():
    data = images.encode(images.Picture(DEEP), "PNG")
    small = images.read_small(data, 100)
    assert small.dtype == np.uint8
    assert abs(small.astype(int) - images.eight_bits(DEEP)).max() <= 1


def test_pyvips_is_loaded_for_deep_pictures_alone(tmp_path):
    Image.fromarray(picture(8, 8)).save(tmp_path / "a.tif")
    code = (
        "import sys; from pathlib import Path; from pleinair import images;"
        f"place = Path({str(tmp_path)!r});"
        "images.write(images.read(place / 'a.tif'), place / 'b.tif');"
        "assert not {'pyvips', 'pillow_heif', 'scipy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# --- kinds of pixels ------------------------------------------------------------------------


def test_cmyk_comes_back_as_rgb():
    grey = Image.fromarray(picture(20, 30)).convert("CMYK")
    found = images.read(saved(grey, "TIFF", compression="tiff_lzw"))
    assert found.pixels.shape == (20, 30, 3)
    assert images.read(images.encode(found, "TIFF")).source.compression == "tiff_lzw"


def test_grey_comes_back_as_rgb():
    data = saved(Image.fromarray(picture(20, 30)).convert("L"), "JPEG", quality=40)
    found = images.read(data)
    assert len(found.source.tables) == 1
    made = Image.open(io.BytesIO(images.encode(found, "JPEG")))
    assert made.mode == "RGB"
    assert made.quantization[0] == Image.open(io.BytesIO(data)).quantization[0]


def test_a_lying_profile_of_a_deep_picture_is_ignored():
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    plain = images.encode(images.Picture(DEEP), "TIFF")
    data = tiff.appended(plain, {tiff.PROFILE: tiff.Tag(tiff.UNDEFINED, lab)})
    assert np.array_equal(images.read(data).pixels, DEEP)


# --- encoded as the photo was ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("subsampling", "progressive", "quality"), [(0, True, 97), (1, False, 35), (2, True, 80)]
)
def test_a_jpeg_is_encoded_as_its_photo_was(subsampling, progressive, quality):
    image = Image.fromarray(picture(64, 80))
    options = {"quality": quality, "subsampling": subsampling, "progressive": progressive}
    photo = saved(image, "JPEG", **options)
    made = images.encode(images.read(photo), "JPEG")
    before, after = Image.open(io.BytesIO(photo)), Image.open(io.BytesIO(made))
    assert after.quantization == before.quantization
    assert after.layer == before.layer
    assert bool(after.info.get("progressive")) == progressive
    told = Image.open(io.BytesIO(images.encode(images.read(photo), "JPEG", quality=60)))
    assert (
        told.quantization == Image.open(io.BytesIO(saved(image, "JPEG", quality=60))).quantization
    )


def test_jpeg_tables_stay_with_jpegs():
    photo = images.read(saved(Image.fromarray(picture(64, 80)), "PNG"))
    made = Image.open(io.BytesIO(images.encode(photo, "JPEG")))
    asked = Image.open(io.BytesIO(images.encode(photo, "JPEG", quality=92)))
    assert made.quantization == asked.quantization


@pytest.mark.parametrize("lossless", [True, False])
@pytest.mark.parametrize("exif", [b"", camera_exif()], ids=["plain", "extended"])
def test_a_webp_stays_lossless_or_not(lossless, exif):
    image = Image.fromarray(np.dstack([picture(30, 30), images.eight_bits(ALPHA[:, :30])]))
    photo = images.read(saved(image, "WEBP", lossless=lossless, exact=True, exif=exif))
    assert photo.source.lossless == lossless
    found = images.read(images.encode(photo, "WEBP"))
    assert found.source.lossless == lossless
    assert np.array_equal(found.pixels, photo.pixels) == lossless


def test_a_jpeg_with_pictures_behind_it_is_a_jpeg():
    image = Image.fromarray(picture(40, 40))
    data = saved(image, "MPO", save_all=True, append_images=[image])
    found = images.read_any(data)
    assert isinstance(found, images.Picture)
    assert (found.source.kind, images.suffix_for(found), images.format_of(data)) == (
        "JPEG",
        ".jpg",
        "JPEG",
    )


SUFFIXES = {"JPEG": ".jpg", "MPO": ".jpg", "PNG": ".png", "WEBP": ".webp", "AVIF": ".avif"}
SUFFIXES |= {
    "TIFF": ".tif",
    "HEIF": ".heic",
    "BMP": ".bmp",
    "GIF": ".gif",
    "PPM": ".jpg",
    "": ".jpg",
}


@pytest.mark.parametrize(("kind", "suffix"), SUFFIXES.items())
def test_a_painting_has_the_type_of_its_photo(kind, suffix):
    assert images.suffix_for(kind) == suffix
    assert images.suffix_for(images.Picture(picture(2, 2), source=images.Source(kind))) == suffix
    assert suffix in PICTURE_SUFFIXES


def test_heic_without_its_extra_is_told(tmp_path, monkeypatch):
    data = images.encode(images.Picture(picture(20, 20)), "HEIF")
    assert images.read(data).size == (20, 20)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ImageError, match=r"pip install 'pleinair\[heif\]'"):
        images.read(data)
    with pytest.raises(OutputError, match=r"pip install 'pleinair\[heif\]'"):
        images.write(images.Picture(picture(20, 20)), tmp_path / "a.heic")
    with pytest.raises(OutputError, match=r"pip install 'pleinair\[heif\]'"):
        images.encode(images.Picture(picture(20, 20)), "HEIF")
    assert images.suffix_for("HEIF") == ".jpg"


def test_files_of_other_kinds_are_not_tried():
    page = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"
    with pytest.raises(ImageError, match="not a picture that can be read"):
        images.read(page)


def test_warnings_are_as_they_were_after_many_threads():
    import warnings
    from concurrent.futures import ThreadPoolExecutor

    before = list(warnings.filters)
    data = saved(Image.fromarray(picture(60, 60)), "JPEG")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(images.read, [data] * 60))
    assert list(warnings.filters) == before
    assert reading.quiet().inside == 0


# --- nothing is lost ------------------------------------------------------------------------

LOSSLESS = ["PNG", "TIFF", "WEBP"]


@st.composite
def photos(draw: st.DrawFn) -> images.Picture:
    kind = draw(st.sampled_from([*LOSSLESS, "JPEG", "AVIF", "BMP", "GIF"]))
    height, width = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    deep = draw(st.booleans()) and kind in ("PNG", "TIFF")
    random = np.random.default_rng(draw(st.integers(0, 9)))
    dtype = np.uint16 if deep else np.uint8
    pixels = random.integers(0, np.iinfo(dtype).max, (height, width, 3), dtype, endpoint=True)
    alpha = None
    if draw(st.booleans()) and kind not in ("JPEG", "BMP", "GIF"):
        alpha = random.integers(0, np.iinfo(dtype).max, (height, width), dtype)
    exif = None
    if draw(st.booleans()) and kind not in ("BMP", "GIF"):
        exif = kept_exif(camera_exif(draw(st.integers(1, 8)), draw(st.booleans())))
    notes = NOTES if draw(st.booleans()) and kind not in ("BMP", "GIF") else images.Notes()
    source = images.Source(
        kind,
        profile=draw(st.booleans()),
        lossless=True,
        compression=draw(st.sampled_from(["raw", "tiff_lzw", "packbits", "tiff_adobe_deflate"])),
        tiled=draw(st.booleans()),
    )
    return images.Picture(pixels, alpha, exif, notes, source)


@settings(max_examples=120, deadline=None)
@given(photos())
def test_reading_painting_and_writing_loses_nothing(photo):
    first = images.read(images.encode(photo, photo.source.kind))
    painting = images.finished(first, images.for_painting(first))
    again = images.read(images.encode(painting, first.source.kind))
    for one in (first, again):
        assert one.size == photo.size
        assert one.pixels.dtype == photo.pixels.dtype
        assert one.source.profile == (
            photo.source.profile and photo.source.kind not in ("BMP", "GIF")
        )
        if photo.source.kind in LOSSLESS:
            assert np.array_equal(one.pixels, photo.pixels)
            assert (one.alpha is None) == (photo.alpha is None)
            assert photo.alpha is None or np.array_equal(one.alpha, photo.alpha)
    assert again.exif == first.exif
    assert again.notes == replace(first.notes)
    assert (first.exif is None) == (photo.exif is None)
    assert again.source == first.source


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"]),
    st.integers(1, 8),
    st.booleans(),
    st.tuples(st.integers(1, 30), st.integers(1, 30)),
)
def test_every_mode_and_orientation_keeps_its_size(mode, orientation, profile, size):
    image = Image.fromarray(picture(*size)).convert("RGB").convert(mode)
    kind = "TIFF" if mode == "CMYK" else "PNG"
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "Camera"
    options = {"icc_profile": srgb()} if profile and mode.startswith("RGB") else {}
    found = images.read(saved(image, kind, exif=exif, **options))
    assert found.size == (size if orientation >= 5 else size[::-1])
    again = images.read(images.encode(found, kind))
    assert np.array_equal(again.pixels, found.pixels)
    assert (again.exif, again.notes) == (found.exif, found.notes)
    assert b"Camera" in again.exif
