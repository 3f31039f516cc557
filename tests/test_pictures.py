from __future__ import annotations

import numpy as np
import pytest

from pleinair import images, pictures
from pleinair.errors import ImageError

from .conftest import picture


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_batches_of_either_depth_come_back(dtype):
    full = np.iinfo(dtype).max
    levels = np.linspace(0, full, 8 * 32).round().astype(dtype).reshape(8, 32)
    pixels = np.dstack([levels, levels.T.reshape(8, 32), levels[::-1]])
    batch = images.to_batch(pixels)
    assert (batch.min(), batch.max()) == (-1.0, 1.0)
    by_planes = pictures.planes_to_batch(pictures.planes(pixels))
    np.testing.assert_allclose(by_planes, batch, atol=1e-6)
    back = np.zeros_like(pixels)
    pictures.store(pictures.planes_of(batch[0]), back)
    assert np.array_equal(back, pixels)
    beyond = np.repeat(np.array([-9.0, 9.0], np.float32).reshape(1, 2, 1), 3, axis=0)
    back = np.ones((2, 1, 3), dtype)
    pictures.store(pictures.planes_of(beyond), back)
    assert back[:, 0].tolist() == [[0] * 3, [full] * 3]
    if dtype == np.uint8:
        assert np.array_equal(images.from_batch(batch)[0], pixels)
        assert images.from_batch(beyond[None]).ravel().tolist() == [0] * 3 + [full] * 3


def test_depths_are_rounded_not_cut():
    every = np.arange(65_536, dtype=np.uint16)
    assert np.array_equal(images.eight_bits(every), (every / 257).round().astype(np.uint8))
    assert np.array_equal(
        images.eight_bits(images.sixteen_bits(np.arange(256, dtype=np.uint8))), range(256)
    )


def test_deep_arrays_are_taken_and_given():
    deep = images.sixteen_bits(picture(8, 9))
    alpha = np.full((8, 9), 65_535, np.uint16)
    found = images.from_array(np.dstack([deep, alpha]))
    assert found.deep
    assert images.to_array(found).dtype == np.uint16
    assert images.on_white(found).dtype == np.uint16
    assert np.array_equal(images.on_white(found), deep)
    assert np.array_equal(np.asarray(images.to_pil(found))[:, :, :3], picture(8, 9))
    with pytest.raises(ImageError, match="uint16"):
        images.from_array(np.zeros((4, 4, 3), np.int32))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("size", [(1, 1), (7, 5), (64, 64), (33, 130), (600, 40)])
def test_what_is_transparent_is_filled_with_what_is_near(dtype, size):
    full = np.iinfo(dtype).max
    pixels = np.zeros((*size, 3), dtype)
    alpha = np.zeros(size, dtype)
    left = max(1, size[1] // 4)
    pixels[:, :left], alpha[:, :left] = [full, full // 2, 0], full
    if size[1] > 4:
        pixels[:, -1], alpha[:, -1] = [0, 0, full], full
    filled = images.for_painting(images.Picture(pixels, alpha))
    assert filled.dtype == dtype
    assert np.array_equal(filled[alpha > 0], pixels[alpha > 0])
    assert abs(filled[:, :left].astype(int) - pixels[:, :left]).max() == 0
    if size[1] > 8:  # beside either edge, that edge's colour
        assert filled[:, left, 0].min() > 0.7 * full
        assert filled[:, -2, 2].min() > 0.5 * full


def test_faint_pixels_count_for_little():
    pixels = np.zeros((9, 9, 3), np.uint8)
    alpha = np.zeros((9, 9), np.uint8)
    pixels[4, 3], alpha[4, 3] = 255, 1  # as good as nothing, of any colour
    pixels[4, 5], alpha[4, 5] = [0, 200, 0], 255
    filled = images.for_painting(images.Picture(pixels, alpha))
    assert filled[0, 0].tolist() == pytest.approx([0, 200, 0], abs=3)


def test_a_wholly_transparent_picture_is_a_white_page():
    found = images.for_painting(images.Picture(picture(5, 6), np.zeros((5, 6), np.uint8)))
    assert (found == 255).all()


def test_an_opaque_picture_is_not_copied():
    photo = images.Picture(picture(5, 6))
    assert images.for_painting(photo) is photo.pixels


@pytest.mark.parametrize("depth", [images.eight_bits, images.sixteen_bits])
@pytest.mark.parametrize("painted_depth", [images.eight_bits, images.sixteen_bits])
def test_a_painting_covers_only_what_is_seen(depth, painted_depth):
    alpha = np.tile(np.array([0, 1, 255], np.uint8), (4, 2))
    notes = images.Notes(comment=b"kept")
    photo = images.Picture(depth(picture(4, 6)), depth(alpha), b"exif", notes)
    painting = images.finished(photo, painted_depth(picture(4, 6, seed=7)))
    assert painting.pixels.dtype == photo.pixels.dtype
    assert painting.alpha is photo.alpha
    assert (painting.exif, painting.notes, painting.source) == (b"exif", notes, photo.source)
    seen = alpha > 0
    assert np.array_equal(painting.pixels[seen], depth(picture(4, 6, seed=7))[seen])
    assert np.array_equal(painting.pixels[~seen], photo.pixels[~seen])
    with pytest.raises(ValueError, match="painted for"):
        images.finished(photo, picture(4, 5))
