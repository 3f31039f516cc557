from __future__ import annotations

import copy
import gc
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pleinair import data, domains
from pleinair.errors import DataError, ImageError
from pleinair.prefetch import Prefetched
from pleinair.settings import DATA

from .conftest import picture, tiny

RECIPE = replace(tiny("paper"), resize_min=32, resize_max=40)


def pictures(path, notes=None, cache=2**20):
    return data.Pictures(
        path, RECIPE.resize_max, cache, (notes if notes is not None else []).append
    )


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    """Five pictures and a broken one, for tests that hypothesis repeats."""
    path = tmp_path_factory.mktemp("shelf")
    for index in range(5):
        Image.fromarray(picture(40, 48, seed=index)).save(path / f"{index}.png")
    (path / "half.png").write_bytes((path / "0.png").read_bytes()[:900])
    return path


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


def test_several_of_each_are_those_of_a_larger_batch(folder):
    path, large = folder("a", 7), replace(RECIPE, batch=3, discriminator_batch=3)
    each = data.Stream(pictures(path), RECIPE, (0, 0), each=3)
    assert np.array_equal(
        each.next_batch(), data.Stream(pictures(path), large, (0, 0)).next_batch()
    )


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


# --- batches made ready ------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 12),
    st.integers(1, 5),
    st.integers(1, 3),
    st.integers(1, 3),
    st.booleans(),
)
def test_batches_made_ready_are_those_of_the_plain_stream(shelf, taken, ahead, threads, per, keep):
    # For any place to stop at: the state says what was handed out, not what was made ready.
    recipe = replace(RECIPE, discriminator_batch=per)
    cache = 2**20 if keep else 0
    plain = data.Stream(pictures(shelf, cache=cache), recipe, (3, 0))
    straight = [plain.next_batch() for _ in range(taken + 9)]
    stream = data.Stream(pictures(shelf, cache=cache), recipe, (3, 0))
    with Prefetched(stream, ahead, threads) as first:
        for batch in straight[:taken]:
            assert np.array_equal(first.next_batch(), batch)
        state = copy.deepcopy(first.state())
    assert same_state(first.state(), state)
    with Prefetched(data.Stream(pictures(shelf), recipe, (99, 0)), ahead, threads) as second:
        second.next_batch()
        second.restore(state)
        for batch in straight[taken:]:
            assert np.array_equal(second.next_batch(), batch)
        assert same_state(second.state(), plain.state())
    # A closed one goes on too.
    assert np.array_equal(first.next_batch(), straight[taken])
    first.close()


def same_state(one, two):
    return all(one[key] == two[key] for key in ("random", "order", "names"))


def test_a_bad_picture_is_told_of_in_the_thread_that_takes_batches(folder):
    path = folder("a", 3)
    (path / "half.png").write_bytes((path / "000.png").read_bytes()[:300])
    told = []

    def warn(text):
        told.append((threading.current_thread(), text))

    made = data.Pictures(path, RECIPE.resize_max, 0, warn)
    with Prefetched(data.Stream(made, RECIPE, (0, 0)), ahead=2) as stream:
        for _ in range(8):
            stream.next_batch()
    assert [thread for thread, _ in told] == [threading.main_thread()]
    assert "half.png" in told[0][1]


@pytest.mark.skipif(sys.platform != "linux", reason="threads have no priorities of their own")
def test_decoders_give_way_to_the_step(shelf):
    here = os.getpriority(os.PRIO_PROCESS, 0)
    found = set()

    class Watched(data.Pictures):
        def get(self, index):
            thread = threading.current_thread()
            if thread is not threading.main_thread():
                found.add(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
            return super().get(index)

    made = Watched(shelf, RECIPE.resize_max, 0, print)
    with Prefetched(data.Stream(made, RECIPE, (0, 0)), ahead=2) as stream:
        stream.next_batch()
    assert found == {max(here, DATA.decoder_niceness)}
    assert os.getpriority(os.PRIO_PROCESS, 0) == here


def test_pictures_deleted_during_training_are_skipped_until_none_is_left(folder):
    path = folder("a", 6)
    notes = []
    with Prefetched(data.Stream(pictures(path, notes, cache=0), RECIPE, (0, 0)), 1) as stream:
        stream.next_batch()
        (path / "002.png").unlink()
        for _ in range(14):
            stream.next_batch()
        assert len(notes) == 1
        assert "002.png does not exist" in notes[0]
        for file in path.iterdir():
            file.unlink()
        for _ in range(2):  # the second call must not wait for ever
            with pytest.raises(DataError, match="no file in"):
                for _ in range(40):
                    stream.next_batch()


def test_no_thread_is_left_behind(folder):
    before = set(threading.enumerate())
    path = folder("a", 3)
    closed = Prefetched(data.Stream(pictures(path), RECIPE, (0, 0)))
    assert set(threading.enumerate()) == before  # they begin with the first batch
    closed.next_batch()
    assert set(threading.enumerate()) > before
    closed.close()
    closed.close()
    dropped = Prefetched(data.Stream(pictures(path), RECIPE, (0, 0)))
    dropped.next_batch()
    del dropped
    gc.collect()
    assert set(threading.enumerate()) == before


@pytest.mark.parametrize("end", ["", "raise SystemExit(0)", "raise KeyboardInterrupt"])
def test_the_interpreter_ends_with_batches_in_the_making(folder, end):
    code = (
        "import sys; from pathlib import Path; from pleinair import config, data, prefetch\n"
        "made = data.Pictures(Path(sys.argv[1]), 300, 0, print)\n"
        "stream = prefetch.Prefetched(data.Stream(made, config.RECIPES['light'], (0, 0)))\n"
        f"stream.next_batch()\n{end}\n"
    )
    command = [sys.executable, "-W", "error", "-c", code, str(folder("a", 5, (600, 800)))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout == ""
    assert done.stderr.replace("KeyboardInterrupt", "").count("Error") == 0
    assert bool(done.stderr) == ("Keyboard" in end)


def test_ctrl_c_while_waiting_for_a_batch(folder, monkeypatch):
    made = pictures(folder("a", 3))
    hold = threading.Event()
    before = made.get

    def slow(index):
        hold.wait(10)
        return before(index)

    monkeypatch.setattr(made, "get", slow)
    stream = Prefetched(data.Stream(made, RECIPE, (0, 0)))
    # A shell that runs the tests in the background has interrupts ignored.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    main = threading.main_thread().ident
    timer = threading.Timer(0.2, lambda: signal.pthread_kill(main, signal.SIGINT))
    release = threading.Timer(0.6, hold.set)
    timer.start()
    release.start()
    try:
        with pytest.raises(KeyboardInterrupt), stream:
            stream.next_batch()
    finally:
        signal.signal(signal.SIGINT, handler)
    release.join()
    assert [t for t in threading.enumerate() if t.name.startswith(("batches", "decode"))] == []


# --- pictures that come and go ----------------------------------------------------------------


def drawn_names(stream, count):
    names, original = [], stream.pictures.get
    stream.decode = lambda index: (names.append(stream.pictures.names[index]), original(index))[1]
    for _ in range(count):
        stream.next_batch()
    return names


def test_a_moved_folder_goes_on_exactly(folder):
    path = folder("a", 5)
    one = data.Stream(pictures(path), RECIPE, (3, 0))
    one.next_batch()
    moved, notes = Path(shutil.copytree(path, path.with_name("moved"))), []
    two = data.Stream(pictures(moved, notes), RECIPE, (9, 0))
    two.restore(one.state())
    for _ in range(12):
        assert np.array_equal(one.next_batch(), two.next_batch())
    assert notes == []


def test_a_stream_goes_on_without_pictures_that_are_gone_and_with_new_ones(folder):
    path = folder("a", 6)
    one = data.Stream(pictures(path), RECIPE, (3, 0))
    seen = drawn_names(one, 2)
    state = one.state()
    gone = next(name for name in one.pictures.names if name not in seen)
    (path / gone).rename(path / "0000.png")  # sorts first: every number moves
    notes = []
    two = data.Stream(pictures(path, notes), RECIPE, (99, 0))
    two.restore(state)
    rest, after = drawn_names(two, 3), drawn_names(two, 6)
    expected = [state["names"][index] for index in reversed(state["order"])]
    assert rest == [name for name in expected if name != gone]
    assert sorted(after) == sorted(two.pictures.names)
    assert len(notes) == 1
    assert "lacks 1 of the pictures" in notes[0]
    assert "has 1 new ones" in notes[0]
    assert "no longer as an exact continuation" in notes[0]


def test_a_stream_refuses_a_folder_of_quite_other_pictures(folder):
    path = folder("a", 2)
    state = data.Stream(pictures(path), RECIPE, (0, 0)).state()
    for file in path.iterdir():
        file.rename(file.with_stem(f"b{file.stem}"))
    with pytest.raises(DataError, match="none of the 2 pictures"):
        data.Stream(pictures(path), RECIPE, (0, 0)).restore(state)


# --- teams and what is held out ---------------------------------------------------------------


@pytest.mark.parametrize("size", [2, 3])
def test_a_team_draws_together_what_one_process_draws(folder, size):
    recipe = replace(tiny("paper"), batch=2, discriminator_batch=3)
    place = folder("photos", 7)
    whole = replace(recipe, batch=2 * size, discriminator_batch=3 * size)

    def stream(of, share=(0, 1)):
        return data.Stream(data.Pictures(place, 36, 10**9, print), of, (0, 1), share)

    alone = stream(whole)
    team = [stream(recipe, (rank, size)) for rank in range(size)]
    for _ in range(4):
        batch = alone.next_batch()
        parts = [member.next_batch() for member in team]
        generators = np.concatenate([part[:2] for part in parts])
        others = np.concatenate([part[2:] for part in parts])
        np.testing.assert_array_equal(batch, np.concatenate([generators, others]))


@pytest.mark.parametrize("recipe_of", [(2, 3, 2), (1, 2, 4), (4, 6, 1)])
@pytest.mark.parametrize("size", [1, 2])
def test_what_a_step_learns_from_is_the_same_however_it_is_dealt(folder, size, recipe_of):
    # Also past a file that looks like a picture until it is decoded.
    place = folder("photos", 7)
    (place / "003.png").write_bytes((place / "003.png").read_bytes()[:300])
    batch, both, accumulate = recipe_of
    total, whole = size * batch * accumulate, size * both * accumulate
    recipe = replace(tiny("paper"), batch=batch, discriminator_batch=both, accumulate=accumulate)
    one = replace(tiny("paper"), batch=total, discriminator_batch=whole)

    def stream(of, share=(0, 1)):
        return data.Stream(data.Pictures(place, 36, 10**9, lambda _: None), of, (0, 1), share)

    alone, team = stream(one), [stream(recipe, (rank, size)) for rank in range(size)]
    for step in range(5):
        batch = alone.next_batch()
        parts = [member.next_batch() for member in team]
        few = total // size
        dealt = [part[:few] for part in parts] + [part[few:] for part in parts]
        np.testing.assert_array_equal(batch, np.concatenate(dealt), err_msg=str(step))
    assert all(same_state(member.state(), alone.state()) for member in team)


def test_pictures_are_held_out_where_there_are_many(folder, tmp_path):
    place = folder("photos", 60)
    train, held = data.set_apart(place, None, 3)
    assert held is not None
    assert (len(train.names), len(held.names)) == (57, 3)
    assert not set(train.names) & set(held.names)
    assert data.set_apart(place, None, 4)[1] is None
    train, held = data.set_apart(place, folder("val", 2), 3)
    assert held is not None
    assert (len(train.names), len(held.names)) == (60, 2)


def test_too_little_memory_leaves_no_picture_out_of_a_run(folder, monkeypatch):
    pictures = data.Pictures(folder("a", 3), 32, 0, print)

    def full(*_):
        try:
            raise MemoryError
        except MemoryError as error:
            raise ImageError("a.png does not fit into memory.") from error

    monkeypatch.setattr("pleinair.images.read_small", full)
    with pytest.raises(ImageError, match="memory"):
        pictures.get(0)
    assert not pictures.bad


def test_photos_alone_are_shown_larger():
    recipe = replace(tiny("light"), photo_zoom=2.0)
    softened = domains.zoomed(recipe)
    assert (softened.resize_min, softened.resize_max) == (recipe.resize_min, 2 * recipe.resize_max)
