from __future__ import annotations

import doctest
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pleinair import easel, folders, tree
from pleinair.config import LightSpec
from pleinair.errors import OutputError, PainterError
from pleinair.folders import Studio, paint_many
from pleinair.painter import Painter
from pleinair.settings import FOLDERS, Look, PaintOptions
from pleinair.tree import LEDGER, Job

from .conftest import picture


def copyist() -> Painter:
    return Painter(lambda batch: batch, LightSpec())


@pytest.fixture
def photos(tmp_path) -> Path:
    root = tmp_path / "in"
    (root / "sub").mkdir(parents=True)
    for number, name in enumerate(["a.jpg", "b.png", "sub/a.jpg", "sub/c.webp", "z.ppm"]):
        Image.fromarray(picture(24, 32, number)).save(root / name)
    return root


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def statuses(*arguments, **settings) -> list[str]:
    return [done.status for done in paint_many(*arguments, **settings)]


def states(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file() and path.name != LEDGER
    }


def test_a_folder_is_painted_in_order_and_only_once(photos, tmp_path):
    out = tmp_path / "out"
    done = list(paint_many(copyist(), [photos], out))
    assert [d.painting.relative_to(out).as_posix() for d in done] == [
        "a.jpg",
        "b.png",
        "z.jpg",
        "sub/a.jpg",
        "sub/c.webp",
    ]
    assert {d.status for d in done} == {"painted"}
    assert {(d.width, d.height, d.layers) for d in done} == {(32, 24, 1)}
    # Milliseconds: on a quick machine so small a picture may take none.
    assert all(d.seconds >= 0 for d in done)
    assert any(d.seconds > 0 for d in done)
    assert np.array_equal(pixels(out / "b.png"), pixels(photos / "b.png"))
    before = states(out)
    assert statuses(copyist(), [photos], out) == ["skipped"] * 5
    assert states(out) == before


@pytest.mark.parametrize("jobs", [None, 1, 3])
def test_the_order_is_that_of_the_photos_however_many_at_once(photos, tmp_path, jobs):
    def slow(batch):
        time.sleep(0.03 * float(np.random.default_rng().random()))
        return batch

    (photos / "bad.jpg").write_text("text")
    done = list(paint_many(Painter(slow, LightSpec()), [photos], tmp_path / "out", jobs=jobs))
    assert [d.photo.relative_to(photos).as_posix() for d in done] == [
        *("a.jpg", "b.png", "bad.jpg", "z.ppm", "sub/a.jpg", "sub/c.webp")
    ]
    (failed,) = [d for d in done if d.status == "failed"]
    assert "bad.jpg is not a picture" in failed.error


def test_what_changed_is_painted_again(photos, tmp_path):
    out = tmp_path / "out"
    statuses(copyist(), [photos], out)
    Image.fromarray(picture(24, 32, 9)).save(photos / "b.png")
    (out / "z.jpg").unlink()
    assert statuses(copyist(), [photos], out) == [
        *("skipped", "painted", "painted", "skipped", "skipped")
    ]
    assert statuses(copyist(), [photos], out, look=Look(layers=2)) == ["painted"] * 5
    assert statuses(copyist(), [photos], out, look=Look(layers=2)) == ["skipped"] * 5
    options = PaintOptions(quality=50)
    assert statuses(copyist(), [photos], out, look=Look(layers=2), options=options) == [
        *["painted"] * 5
    ]


def test_what_somebody_else_made_or_changed_is_kept(photos, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.jpg").write_bytes(b"precious")
    statuses(copyist(), [photos], out)
    assert (out / "a.jpg").read_bytes() == b"precious"
    (out / "b.png").write_bytes(b"retouched")
    first, second, *others = list(paint_many(copyist(), [photos], out))
    assert "a.jpg exists; remove it or add --force" in first.error
    assert "b.png was changed since it was painted" in second.error
    assert {d.status for d in others} == {"skipped"}
    force = PaintOptions(force=True)
    assert statuses(copyist(), [photos], out, options=force) == ["painted"] * 2 + ["skipped"] * 3
    assert pixels(out / "a.jpg").shape == (24, 32, 3)


def test_another_folder_does_not_paint_over_the_first(photos, tmp_path):
    out, other = tmp_path / "out", tmp_path / "other"
    statuses(copyist(), [photos], out)
    other.mkdir()
    Image.fromarray(picture(24, 32, 7)).save(other / "a.jpg")
    (done,) = paint_many(copyist(), [other], out)
    assert "was painted from another photo, ../in/a.jpg" in done.error
    # The same photos in another place are the same photos.
    moved = photos.rename(tmp_path / "moved")
    assert statuses(copyist(), [moved], out) == ["skipped"] * 5


def test_a_photo_that_comes_beside_another_of_its_stem(photos, tmp_path):
    out = tmp_path / "out"
    statuses(copyist(), [photos], out)
    Image.fromarray(picture(24, 32, 7)).save(photos / "z.jpg")
    done = {d.photo.name: d for d in paint_many(copyist(), [photos], out) if d.status == "painted"}
    assert {name: d.painting.name for name, d in done.items()} == {
        "z.ppm": "z.ppm.jpg",
        "z.jpg": "z.jpg",
    }
    assert statuses(copyist(), [photos], out) == ["skipped"] * 6


def test_a_painting_that_somebody_makes_meanwhile_is_kept(photos, tmp_path):
    out = tmp_path / "out"

    def meddling(batch):
        out.mkdir(exist_ok=True)
        (out / "a.jpg").write_bytes(b"precious")
        return batch

    (done,) = paint_many(Painter(meddling, LightSpec()), [photos / "a.jpg"], out)
    assert "made by somebody else meanwhile" in done.error
    assert (out / "a.jpg").read_bytes() == b"precious"
    assert states(out).keys() == {"a.jpg"}


def test_progress_is_told_up_to_the_end(photos, tmp_path):
    told = []
    statuses(copyist(), [photos], tmp_path / "out", told=lambda *what: told.append(what))
    assert told[-1][:2] == (5, 5)
    assert all(0 <= done <= total == 5 for done, total, _ in told)


def test_leaving_early_leaves_nothing_half_done(photos, tmp_path):
    out = tmp_path / "out"
    made = paint_many(copyist(), [photos], out)
    assert next(made).status == "painted"
    begun = time.monotonic()
    made.close()
    assert time.monotonic() - begun < 2
    assert not [name for name in states(out) if name.endswith(".part")]
    for name in states(out):
        pixels(out / name)
    again = statuses(copyist(), [photos], out)
    assert len(again) == 5
    assert again[0] == "skipped"


def test_a_painter_that_breaks_is_not_hidden(photos, tmp_path):
    def broken(batch):
        raise ZeroDivisionError("a bug")

    with pytest.raises(ZeroDivisionError):
        statuses(Painter(broken, LightSpec()), [photos], tmp_path / "out")
    text = tmp_path / "text.onnx"
    text.write_text("not a graph")
    with pytest.raises(PainterError, match="is a text file"):
        statuses(text, [photos], tmp_path / "out")
    with pytest.raises(PainterError, match="unknown"):
        statuses("degas", [photos], tmp_path / "out")


def test_no_memory_for_one_photo_is_told_and_the_rest_goes_on(photos, tmp_path):
    calls = []

    def hungry(batch):
        calls.append(1)
        if len(calls) == 2:
            raise MemoryError
        return batch

    done = list(paint_many(Painter(hungry, LightSpec()), [photos], tmp_path / "out"))
    assert [d.status for d in done].count("failed") == 1
    assert "does not fit into memory" in next(d.error for d in done if d.error)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_photo_that_is_cut_short_is_told_by_its_name(photos, tmp_path, jobs):
    whole = (photos / "a.jpg").read_bytes()
    (photos / "a.jpg").write_bytes(whole[: len(whole) // 2])  # its header is right
    first, *rest = paint_many(copyist(), [photos], tmp_path / "out", jobs=jobs)
    assert first.status == "failed"
    assert str(photos / "a.jpg") in str(first.error)
    assert {done.status for done in rest} == {"painted"}


def test_a_large_painting_that_cannot_be_written_as_asked_does_not_stop_others(photos, tmp_path):
    Image.fromarray(picture(10, 70_000)).save(photos / "long.png")
    done = list(
        paint_many(
            copyist(),
            [photos],
            tmp_path / "out",
            look=Look(layers=1),
            options=PaintOptions(suffix=".jpg"),  # which holds 65,500 pixels a side
            jobs=1,
        )
    )
    failed = [one for one in done if one.status == "failed"]
    assert [one.photo.name for one in failed] == ["long.png"]
    assert "70000x10 pixels do not fit" in str(failed[0].error)
    assert len(done) == 6
    assert all(one.seconds > 0 for one in done if one.status == "painted")


def test_small_photos_side_by_side_and_large_ones_alone(photos, tmp_path, monkeypatch):
    loaded, at_once, most = [], [0], [0]
    lock = threading.Lock()

    def engine(batch):
        with lock:
            at_once[0] += 1
            most[0] = max(most[0], at_once[0])
        time.sleep(0.05)
        with lock:
            at_once[0] -= 1
        return batch

    def load(name, threads, options, shares, ahead):
        loaded.append((threads, shares))
        return Painter(engine, LightSpec())

    monkeypatch.setattr(easel, "load", load)
    monkeypatch.setattr(easel, "cores", lambda: 4)
    statuses("monet", [photos], tmp_path / "small")
    assert loaded == [(1, 4)]
    assert 2 <= most[0] <= 4
    monkeypatch.setattr(easel, "FOLDERS", type(FOLDERS)(small_pixels=10))
    loaded.clear()
    most[0] = 0
    statuses("monet", [photos], tmp_path / "large")
    assert (loaded, most[0]) == ([(0, 1)], 1)
    loaded.clear()
    statuses("monet", [photos], tmp_path / "two", jobs=2)
    assert loaded == [(2, 2)]
    assert most[0] <= 2


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_a_pipe_or_a_device_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    (done,) = paint_many(copyist(), [tmp_path / "pipe.jpg"], tmp_path / "out")
    assert "is not a file but a pipe or a device" in done.error


def test_two_photos_for_one_painting(photos, tmp_path):
    jobs = [Job(photos / "a.jpg", tmp_path / "x.jpg"), Job(photos / "b.png", tmp_path / "x.jpg")]
    with Studio(copyist(), options=PaintOptions(force=True)) as studio:
        first, second = studio.paint(jobs)
    assert first.status == "painted"
    assert "another photo of that name" in second.error


def test_what_a_disk_does_not_take_is_told(photos, tmp_path, monkeypatch):
    def full(path, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pleinair.files.write_part", full)
    done = list(paint_many(copyist(), [photos], tmp_path / "out"))
    assert {d.status for d in done} == {"failed"}
    assert "No space left on device" in done[0].error


def test_a_ledger_that_cannot_grow_names_no_painting(photos, tmp_path, monkeypatch):
    def full(self, entries):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pleinair.ledger.Ledger.add", full)
    done = list(paint_many(copyist(), [photos], tmp_path / "out"))
    assert {d.status for d in done} == {"failed"}
    assert not (tmp_path / "out").exists() or states(tmp_path / "out") == {}


def test_only_one_run_paints_into_a_folder(photos, tmp_path):
    made = paint_many(copyist(), [photos], tmp_path / "out")
    next(made)
    with pytest.raises(OutputError, match="another run"):
        statuses(copyist(), [photos], tmp_path / "out")
    made.close()


SLOW = """
import sys, time
from pleinair.config import LightSpec
from pleinair.folders import paint_many
from pleinair.painter import Painter

def slow(batch):
    time.sleep(0.02)
    return batch

for done in paint_many(Painter(slow, LightSpec()), [sys.argv[1]], sys.argv[2], jobs=2):
    print(done.status, flush=True)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="nothing kills so hard here")
def test_killed_at_any_moment_it_goes_on(tmp_path):
    photos, out = tmp_path / "in", tmp_path / "out"
    photos.mkdir()
    for number in range(30):
        Image.fromarray(picture(24, 32, number)).save(photos / f"{number:02}.jpg")
    random = np.random.default_rng(0)
    for _ in range(5):
        command = [sys.executable, "-c", SLOW, photos, out]
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        process.stdout.readline()  # it is at work now, wherever that is
        time.sleep(random.uniform(0, 0.25))
        process.kill()
        process.communicate()
        for path in out.rglob("*.jpg"):
            pixels(path)  # none is half there
    before = states(out)
    done = list(paint_many(Painter(lambda b: b, LightSpec()), [photos], out))
    assert len(done) == 30
    assert {d.status for d in done} <= {"painted", "skipped"}  # none was taken for another's
    kept = [d.painting.name for d in done if d.status == "skipped"]
    assert len(kept) == len([name for name in before if not name.startswith(".")])
    after = states(out)
    assert all(after[name] == before[name] for name in kept)
    assert len(after) == 30
    assert statuses(copyist(), [photos], out) == ["skipped"] * 30


@pytest.mark.parametrize("moment", ["ledger", "replace"])
def test_killed_around_the_ledger_no_painting_is_taken_for_anothers(
    photos, tmp_path, monkeypatch, moment
):
    """A kill after the line and before the painting, or after both and before anything else."""
    out = tmp_path / "out"
    statuses(copyist(), [photos], out)
    Image.fromarray(picture(24, 32, 9)).save(photos / "a.jpg")

    class Killed(BaseException):
        pass

    real = os.replace

    def replaced(source, target):
        if moment == "replace":
            real(source, target)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("pleinair.folders.os.replace", replaced)
        patch.setattr("pleinair.ledger.Ledger.close", lambda self: self._file.close())
        with pytest.raises(Killed):
            statuses(copyist(), [photos], out)
    expected = "skipped" if moment == "replace" else "painted"
    assert statuses(copyist(), [photos], out) == [expected] + ["skipped"] * 4
    assert len(states(out)) == 5  # what the kill left behind is swept up


def test_the_example_of_the_docstring(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "holiday" / "beach").mkdir(parents=True)
    Image.fromarray(picture(24, 32)).save("holiday/beach/one.jpg")
    Image.fromarray(picture(24, 32)).save("holiday/two.png")
    tests = doctest.DocTestFinder().find(paint_many, "paint_many", module=folders)
    runner = doctest.DocTestRunner(verbose=False)
    assert [runner.run(test).failed for test in tests] == [0]
    shutil.rmtree("paintings")


def test_a_plan_of_nothing(tmp_path):
    assert statuses(copyist(), [tmp_path], tmp_path / "out") == []
    assert not (tmp_path / "out").exists()
    assert tree.plan([], None, "monet").jobs == []
