from __future__ import annotations

import io
import os
import stat

import numpy as np
import pytest
from PIL import Image, ImageCms

from pleinair import images
from pleinair.errors import ImageError, OutputError

from .conftest import picture


def saved(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def test_batches_and_pixels_are_inverse():
    pixels = np.arange(256, dtype=np.uint8).reshape(8, 32)
    pixels = np.dstack([pixels, pixels.T.reshape(8, 32), pixels[::-1]])
    batch = images.to_batch(pixels)
    assert batch.dtype == np.float32
    assert batch.shape == (1, 3, 8, 32)
    assert (batch.min(), batch.max()) == (-1.0, 1.0)
    assert np.array_equal(images.from_batch(batch)[0], pixels)


def test_values_beyond_the_range_are_clamped():
    out = images.from_batch(np.array([-9.0, 0.0, 9.0], np.float32).reshape(1, 3, 1, 1))
    assert out.ravel().tolist() == [0, 128, 255]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_and_forgotten(orientation):
    pixels = picture(24, 40)
    image = Image.fromarray(pixels)
    undo = {1: [], 2: [0], 3: [3], 4: [1], 5: [5], 6: [2], 7: [6], 8: [4]}[orientation]
    for method in undo:
        image = image.transpose(Image.Transpose(method))
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "Camera"
    found = images.read(saved(image, "PNG", exif=exif))
    assert np.array_equal(found.pixels, pixels)
    again = Image.Exif()
    again.load(found.exif)
    assert again.get(0x0112, 1) == 1
    assert again[0x010F] == "Camera"


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16"])
def test_every_mode_becomes_rgb(mode):
    gray = np.tile(np.linspace(0, 255, 64).round().astype(np.uint8), (48, 1))
    if mode == "I;16":
        image = Image.fromarray(gray.astype(np.uint16) * 257)
    elif mode == "P":
        image = Image.fromarray(gray).convert("RGB").quantize(64, dither=Image.Dither.NONE)
    else:
        image = Image.fromarray(gray).convert("RGB").convert(mode)
    found = images.from_pil(image)
    assert found.pixels.shape == (48, 64, 3)
    assert found.pixels.dtype == np.uint8
    if mode != "1":
        assert abs(found.pixels[:, :, 1].astype(int) - gray).max() <= 8


def test_palette_with_transparency_keeps_its_alpha():
    image = Image.new("P", (8, 4), 1)
    image.putpalette([0, 0, 0, 200, 100, 50])
    image.paste(0, (0, 0, 4, 4))
    found = images.read(saved(image, "PNG", transparency=0))
    assert found.alpha[:, :4].max() == 0
    assert found.alpha[:, 4:].min() == 255
    assert found.pixels[0, 7].tolist() == [200, 100, 50]


def test_an_opaque_alpha_channel_is_no_alpha():
    assert images.from_pil(Image.new("RGBA", (4, 4), (1, 2, 3, 255))).alpha is None


def test_a_profile_is_converted_to_srgb():
    # Swapped primaries stand for any other profile: the same numbers are other colours.
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    data = saved(Image.new("RGB", (4, 4), (200, 30, 30)), "PNG", icc_profile=srgb.tobytes())
    assert abs(images.read(data).pixels[0, 0].astype(int) - [200, 30, 30]).max() <= 1
    # One that does not fit its pixels is ignored, as viewers do.
    data = saved(Image.new("RGB", (4, 4), (200, 30, 30)), "PNG", icc_profile=lab.tobytes())
    assert images.read(data).pixels[0, 0].tolist() == [200, 30, 30]
    data = saved(Image.new("RGB", (4, 4), (9, 8, 7)), "PNG", icc_profile=b"nonsense")
    assert images.read(data).pixels[0, 0].tolist() == [9, 8, 7]


def test_an_animation_gives_its_first_frame():
    frames = [Image.new("RGB", (6, 6), colour) for colour in ("red", "blue")]
    data = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert images.read(data).pixels[0, 0].tolist() == [255, 0, 0]


JPEG = saved(Image.fromarray(picture(200, 300)), "JPEG")


@pytest.mark.parametrize(
    "data",
    [b"", b"this is a text", JPEG[:20], JPEG[: len(JPEG) // 2], b"\x89PNG\r\n\x1a\n" + b"\0" * 50],
    ids=["empty", "text", "header", "half", "broken png"],
)
def test_a_bad_file_is_answered_in_one_sentence(data, tmp_path):
    file = tmp_path / "photo.jpg"
    file.write_bytes(data)
    for source in (data, file):
        with pytest.raises(ImageError) as caught:
            images.read(source)
        assert "\n" not in str(caught.value)


def bomb(width: int, height: int) -> bytes:
    head = saved(Image.new("L", (1, 1)), "BMP")
    size = width.to_bytes(4, "little") + height.to_bytes(4, "little")
    return head[:18] + size + head[26:]


@pytest.mark.parametrize("side", [14_000, 30_000])
def test_a_header_of_many_pixels_is_refused_before_they_are_read(side):
    with pytest.raises(ImageError, match="pixels"):
        images.read(bomb(side, side + 500))


def test_a_folder_and_a_missing_file_are_named(tmp_path):
    with pytest.raises(ImageError, match="is a folder"):
        images.read(tmp_path)
    with pytest.raises(ImageError, match="does not exist"):
        images.read(tmp_path / "no.jpg")


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".bmp"])
def test_what_is_written_reads_back(tmp_path, suffix):
    alpha = np.full((20, 30), 255, np.uint8)
    alpha[:10] = 0
    original = images.Picture(picture(20, 30), alpha)
    path = tmp_path / f"a b ü{suffix}"
    images.write(original, path)
    found = images.read(path)
    assert found.size == original.size
    if suffix in (".png", ".webp", ".tif"):
        assert np.array_equal(found.alpha, alpha)
    else:
        assert found.alpha is None
        assert found.pixels[:8].min() > 240  # laid on white
    if suffix == ".png":
        assert np.array_equal(found.pixels, original.pixels)


def test_writing_leaves_nothing_but_the_file(tmp_path):
    path = tmp_path / "new" / "a.png"
    images.write(images.Picture(picture(8, 8)), path)
    assert [p.name for p in path.parent.iterdir()] == ["a.png"]
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask


def test_a_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(b"old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="No space left"):
        images.write(images.Picture(picture(8, 8)), path)
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_an_unknown_type_and_a_size_beyond_the_format_are_refused(tmp_path):
    with pytest.raises(OutputError, match="unknown picture type"):
        images.write(images.Picture(picture(8, 8)), tmp_path / "a.xyz")
    with pytest.raises(OutputError, match="do not fit"):
        images.write(images.Picture(picture(1, 70_000)), tmp_path / "a.jpg")


def test_a_jpeg_is_decoded_small_for_training(tmp_path):
    path = tmp_path / "big.jpg"
    Image.fromarray(picture(900, 1200)).save(path)
    assert images.read_small(path, 100).shape == (100, 133, 3)
    assert images.read_small(path, 2000).shape == (900, 1200, 3)


def test_a_sheet_holds_every_picture():
    page = images.sheet([[picture(40, 60)] * 2, [picture(40, 20)]], height=20, gap=4)
    assert page.shape == (4 + 2 * 24, 4 + 2 * 34, 3)
    assert (page[:4] == 255).all()


@pytest.mark.parametrize("shape", [(4, 4, 2), (4, 4, 5), (4,), (0, 4, 3), (2, 4, 4, 3)])
def test_arrays_of_other_shapes_are_refused(shape):
    with pytest.raises(ImageError, match="array of shape"):
        images.from_array(np.zeros(shape, np.uint8))


def test_arrays_of_other_types_are_refused():
    with pytest.raises(ImageError, match="float64"):
        images.from_array(np.zeros((4, 4, 3)))


def test_floats_are_of_zero_to_one(tmp_path):
    ramp = np.tile(np.linspace(0, 1, 64, dtype=np.float32), (48, 1))
    Image.fromarray(ramp).save(tmp_path / "a.tif")
    found = images.read(tmp_path / "a.tif").pixels
    assert np.abs(found[:, :, 0] - ramp * 255).max() <= 0.51
    Image.fromarray((ramp * 10**6).astype(np.int32)).save(tmp_path / "b.tif")
    with pytest.raises(ImageError, match=r"values up to 1e\+06"):
        images.read(tmp_path / "b.tif")
