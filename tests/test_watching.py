from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pleinair import tree, watching
from pleinair.config import LightSpec
from pleinair.folders import Studio
from pleinair.ledger import mark_of
from pleinair.painter import Painter
from pleinair.settings import FOLDERS
from pleinair.watching import Arrivals, is_temporary, paint_arrivals

from .conftest import picture
from .test_images import saved


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_photo_is_ripe_when_it_has_been_left_alone(tmp_path):
    clock, photo = Clock(), tmp_path / "a.jpg"
    arrivals = Arrivals(clock)
    arrivals.note(photo)
    assert arrivals.ripe() == {}
    photo.write_bytes(b"ha")
    arrivals.note(photo)
    clock.now += FOLDERS.settle_seconds * 0.9
    assert arrivals.ripe() == {}
    photo.write_bytes(b"half")
    clock.now += FOLDERS.settle_seconds * 0.9
    assert arrivals.ripe() == {}
    clock.now += FOLDERS.settle_seconds * 1.1
    assert [Path(name).name for name in arrivals.ripe()] == ["a.jpg"]
    arrivals.settle(photo, mark_of(photo))
    arrivals.note(photo)
    clock.now += 100
    assert arrivals.ripe() == {}
    photo.write_bytes(b"whole again")
    arrivals.note(photo)
    clock.now += 100
    assert len(arrivals.ripe()) == 1
    photo.unlink()
    assert arrivals.ripe() == {}


def test_one_that_cannot_be_read_is_tried_again_each_time_later(tmp_path):
    clock, photo = Clock(), tmp_path / "a.jpg"
    arrivals = Arrivals(clock)
    photo.write_bytes(b"half")
    arrivals.note(photo)
    wait = FOLDERS.settle_seconds
    for _ in range(FOLDERS.watch_tries - 1):
        clock.now += wait
        assert len(arrivals.ripe()) == 1
        assert arrivals.again(photo)
        wait *= 2
        clock.now += wait * 0.9
        assert arrivals.ripe() == {}
        clock.now -= wait * 0.9
    clock.now += wait
    assert len(arrivals.ripe()) == 1
    assert not arrivals.again(photo)


@pytest.mark.parametrize("name", [".a.jpg", "~a.jpg", "~$a.jpg", "#a.jpg", "a.tmp.jpg", "a~.jpg"])
def test_names_of_what_is_not_finished(name):
    assert is_temporary(name)
    assert not is_temporary("a.jpg")


def test_arrivals_are_painted_and_names_follow(tmp_path, monkeypatch):
    """Changes come as the list says; each is a moment at which everything has settled."""
    root, out = tmp_path / "in", tmp_path / "out"
    root.mkdir()
    Image.fromarray(picture(24, 32)).save(root / "old.jpg")

    def arrive():
        (root / "a.ppm").write_bytes(saved(Image.fromarray(picture(24, 32)), "PPM"))
        yield {root / "a.ppm"}
        (root / "a.jpg").write_bytes(saved(Image.fromarray(picture(24, 32)), "JPEG"))
        yield {root / "a.jpg"}  # takes the name that the painting of a.ppm has
        (root / "bad.jpg").write_bytes(b"text")
        (root / "notes.txt").write_bytes(b"text")
        (tmp_path / "moved").mkdir()
        (tmp_path / "moved" / "b.png").write_bytes(saved(Image.fromarray(picture(24, 32)), "PNG"))
        (tmp_path / "moved").rename(root / "moved")
        yield {root / "bad.jpg", root / "notes.txt", root / "moved"}
        yield from [set()] * FOLDERS.watch_tries
        yield {root / "bad.jpg", root / "old.jpg"}

    monkeypatch.setattr(watching, "_changes", lambda folders: arrive())
    monkeypatch.setattr(watching, "FOLDERS", type(FOLDERS)(settle_seconds=0.0))

    def planned() -> tree.Plan:
        return tree.plan([root], out, "monet")

    with Studio(Painter(lambda batch: batch, LightSpec())) as studio:
        marks = {job.photo: mark_of(job.photo) for job in planned().jobs}
        assert [d.status for d in studio.paint(planned().jobs)] == ["painted"]
        done = list(paint_arrivals(studio, [root], planned, marks))
    assert [(d.photo.name, d.painting.name, d.status) for d in done] == [
        ("a.ppm", "a.jpg", "painted"),
        ("a.jpg", "a.jpg", "painted"),
        ("a.ppm", "a.ppm.jpg", "painted"),
        ("b.png", "b.png", "painted"),
        ("bad.jpg", "bad.jpg", "failed"),
    ]
    with Image.open(out / "moved" / "b.png") as image:
        assert np.array_equal(np.asarray(image), picture(24, 32))


def test_where_the_system_does_not_tell_one_looks(tmp_path, monkeypatch):
    asked = []

    def told(folders, polling):
        asked.append(polling)
        if polling is None:
            raise OSError(28, "OS file watch limit reached")
        yield {tmp_path}

    monkeypatch.setattr(watching, "_told_by_system", told)
    assert list(watching._changes([tmp_path])) == [{tmp_path}]
    assert asked == [None, True]
