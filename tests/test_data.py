from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from pleinair import data
from pleinair.errors import DataError

from .conftest import picture, tiny

RECIPE = replace(tiny("paper"), resize_min=32, resize_max=40)


def pictures(path, notes=None, cache=2**20):
    return data.Pictures(
        path, RECIPE.resize_max, cache, (notes if notes is not None else []).append
    )


def test_each_picture_comes_once_before_any_comes_again(folder):
    stream = data.Stream(pictures(folder("a", 7)), RECIPE, (0, 0))
    drawn = []
    original = stream.pictures.get
    stream.pictures.get = lambda index: (drawn.append(index), original(index))[1]
    for _ in range(21):
        stream.next_batch()
    assert [sorted(drawn[k : k + 7]) for k in (0, 7, 14)] == [list(range(7))] * 3
    assert drawn[:7] != drawn[7:14]


def test_unequal_domains_are_both_used_in_full(folder):
    few = data.Stream(pictures(folder("few", 2)), RECIPE, (0, 0))
    many = data.Stream(pictures(folder("many", 9)), RECIPE, (0, 1))
    for _ in range(9):
        few.next_batch()
        many.next_batch()
    assert len(many.order) == 0
    assert len(many.pictures._cache) == 9


def test_a_batch_keeps_the_pixel_contract(folder):
    recipe = replace(RECIPE, discriminator_batch=3)
    batch = data.Stream(pictures(folder("a", 2)), recipe, (0, 0)).next_batch()
    assert batch.shape == (3, 3, 32, 32)
    assert batch.dtype == np.float32
    assert -1 <= batch.min() < batch.max() <= 1


def test_crops_are_drawn_afresh(folder):
    stream = data.Stream(pictures(folder("a", 1, (60, 90))), RECIPE, (0, 0))
    batches = Counter(stream.next_batch().tobytes() for _ in range(20))
    assert len(batches) > 15


def test_without_flip_no_crop_is_mirrored(tmp_path):
    pixels = np.zeros((32, 32, 3), np.uint8)
    pixels[:, 16:] = 255
    Image.fromarray(pixels).save(tmp_path / "half.png")
    for flip, expected in ((False, {-1.0}), (True, {-1.0, 1.0})):
        recipe = replace(RECIPE, resize_max=32, flip=flip)
        stream = data.Stream(pictures(tmp_path), recipe, (0, 0))
        assert {float(stream.next_batch()[0, 0, 0, 0]) for _ in range(30)} == expected


def test_a_stream_goes_on_exactly_where_it_was(folder):
    path = folder("a", 5)
    one = data.Stream(pictures(path), RECIPE, (3, 0))
    for _ in range(3):
        one.next_batch()
    two = data.Stream(pictures(path), RECIPE, (99, 0))
    two.restore(one.state())
    for _ in range(8):
        assert np.array_equal(one.next_batch(), two.next_batch())


def test_a_stream_refuses_other_pictures(folder):
    path = folder("a", 3)
    state = data.Stream(pictures(path), RECIPE, (0, 0)).state()
    (path / "001.png").unlink()
    with pytest.raises(DataError, match="other pictures"):
        data.Stream(pictures(path), RECIPE, (0, 0)).restore(state)


def test_sizes_modes_and_folders_may_be_mixed(tmp_path):
    (tmp_path / "deep").mkdir()
    Image.fromarray(picture(300, 40)).convert("L").save(tmp_path / "gray.jpg")
    Image.fromarray(picture(33, 500)).convert("RGBA").save(tmp_path / "deep" / "wide.png")
    Image.fromarray(picture(8, 8)).convert("CMYK").save(tmp_path / "small.tif")
    (tmp_path / "notes.txt").write_text("not a picture")
    (tmp_path / ".hidden.png").write_text("not seen")
    stream = data.Stream(pictures(tmp_path), RECIPE, (0, 0))
    assert len(stream.pictures) == 3
    for _ in range(6):
        assert stream.next_batch().shape == (1, 3, 32, 32)


def test_a_bad_file_is_named_and_never_drawn(folder):
    path = folder("a", 2)
    (path / "broken.jpg").write_text("no picture")
    whole = (path / "000.png").read_bytes()
    (path / "half.png").write_bytes(whole[: len(whole) // 2])
    notes = []
    stream = data.Stream(pictures(path, notes), RECIPE, (0, 0))
    for _ in range(12):
        stream.next_batch()
    assert len(notes) == 2
    assert sorted(name for name in ("broken.jpg", "half.png") if name in "".join(notes)) == [
        "broken.jpg",
        "half.png",
    ]


def test_folders_without_pictures_are_errors(tmp_path):
    with pytest.raises(DataError, match="holds no picture"):
        pictures(tmp_path)
    with pytest.raises(DataError, match="is not a folder"):
        pictures(tmp_path / "none")
    (tmp_path / "a.jpg").write_text("no picture")
    with pytest.raises(DataError, match="no file in"):
        pictures(tmp_path)


def test_memory_stays_within_the_budget(folder):
    path = folder("a", 6, (32, 32))
    limited = pictures(path, cache=2 * 32 * 32 * 3 + 10)
    for index in range(6):
        assert limited.get(index) is not None
    assert len(limited._cache) == 2
