"""Libraries of photos: storage, manifest, survey, crew and Ray."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import fsspec
import psutil
import pyarrow.parquet
import pytest
from PIL import Image

from pleinair import crew, easel, files, manifest, scale, storage, survey, tree
from pleinair.campaign import Campaign
from pleinair.crew import Commission, Hand, Outcome, Wish
from pleinair.errors import ImageError, OutputError, UsageError
from pleinair.folders import paint_many
from pleinair.settings import LOOK, PAINT, PAINT_OPTIONS, SCALE, Look, PaintOptions

from .conftest import picture
from .test_cli import one_line, run

pytestmark = pytest.mark.xdist_group("scale")  # Ray takes all cores; the server is one

NAMES = ["a.jpg", "b.png", "c.ppm", "sub/a.jpg", "sub/deep/d é#%.webp"]


@pytest.fixture
def photos(tmp_path) -> Path:
    root = tmp_path / "in"
    for number, name in enumerate(NAMES):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(24, 32, number)).save(root / name)
    return root


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of an S3 server of this machine."""
    moto = pytest.importorskip("moto.server", reason="moto is not installed")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    listening = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    listening.start()
    host, port = listening.get_host_and_port()
    yield f"http://{host}:{port}"
    listening.stop()


@pytest.fixture
def s3(server, monkeypatch) -> Iterator[fsspec.AbstractFileSystem]:
    """Its files; the bucket `library` is there and empty."""
    for name, value in {
        "AWS_ENDPOINT_URL": server,
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    storage.remote.cache_clear()
    opened = fsspec.filesystem("s3", use_listings_cache=False, skip_instance_cache=True)
    opened.mkdir("library")
    yield opened
    opened.rm("library", recursive=True)
    storage.remote.cache_clear()


def painted(
    photos: object, out: object, look: Look = LOOK, options: PaintOptions = PAINT_OPTIONS
) -> list[Outcome]:
    """All of a library by one hand, without Ray."""
    places = [str(place) for place in (photos if isinstance(photos, list) else [photos])]
    campaign = Campaign("monet", places, str(out), look, options, None)
    with campaign.alone():
        outcomes = list(campaign.begin())
        if campaign.wishes:
            hand = Hand(campaign.commission(options))
            for share in campaign.shares(1):
                outcomes += hand.paint(*wishes_of(share))
        campaign.finish()
    return outcomes


def wishes_of(share) -> tuple[int, list[Wish]]:
    rows = share.to_pylist()
    return rows[0]["share"], [Wish(**{k: row[k] for k in row if k != "share"}) for row in rows]


def statuses(outcomes: list[Outcome]) -> dict[str, int]:
    return dict(Counter(outcome.status for outcome in outcomes))


def contents(folder: Path) -> dict[str, bytes]:
    """What can be seen in a folder: nothing whose name begins with a dot."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }


def rows(out: Path) -> dict[str, dict]:
    table = pyarrow.parquet.read_table(out / tree.RECORDS / "manifest.parquet")
    return {row["output"]: row for row in table.to_pylist()}


@pytest.fixture
def expected(photos, tmp_path) -> dict[str, bytes]:
    """What the folder command makes of the photos."""
    list(paint_many("monet", [photos], tmp_path / "expected"))
    return contents(tmp_path / "expected")


# --- what is painted --------------------------------------------------------------------------


def test_names_and_bytes_are_those_of_the_folder_command(photos, expected, tmp_path):
    outcomes = painted(photos, tmp_path / "out")
    assert statuses(outcomes) == {"painted": 5}
    assert contents(tmp_path / "out") == expected
    assert {(o.width, o.height, o.layers) for o in outcomes} == {(32, 24, 1)}
    assert [Path(o.painting).relative_to(tmp_path / "out").as_posix() for o in outcomes] == [
        *("a.jpg", "b.png", "c.jpg", "sub/a.jpg", "sub/deep/d é#%.webp")
    ]


def test_from_a_bucket_into_a_bucket(photos, expected, s3, tmp_path):
    s3.put(f"{photos}/", "library/photos/", recursive=True)
    outcomes = painted("s3://library/photos/", "s3://library/out")
    assert statuses(outcomes) == {"painted": 5}
    assert {outcome.painting for outcome in outcomes} == {
        f"s3://library/out/{name}" for name in expected
    }
    s3.get("library/out/", f"{tmp_path}/out/", recursive=True)
    assert contents(tmp_path / "out") == expected
    assert rows(tmp_path / "out").keys() == expected.keys()
    assert statuses(painted("s3://library/photos", "s3://library/out")) == {"skipped": 5}
    assert not s3.find("library/out/.pleinair/parts")


def test_options_are_those_of_the_folder_command(photos, tmp_path):
    look, options = Look(layers=2, strength=0.5), PaintOptions(suffix=".webp", quality=40)
    list(paint_many("monet", [photos], tmp_path / "expected", look=look, options=options))
    painted(photos, tmp_path / "out", look, options)
    assert contents(tmp_path / "out") == contents(tmp_path / "expected")


def test_several_folders_go_into_folders_of_their_names(photos, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    Image.fromarray(picture(24, 32, 9)).save(other / "a.jpg")
    list(paint_many("monet", [photos, other], tmp_path / "expected"))
    painted([photos, other, f"file://{other}"], tmp_path / "out")
    assert contents(tmp_path / "out") == contents(tmp_path / "expected")
    (tmp_path / "else" / "in").mkdir(parents=True)
    with pytest.raises(UsageError, match="two folders of one name"):
        painted([photos, tmp_path / "else" / "in"], tmp_path / "out")


@pytest.mark.parametrize("remote", [False, True])
def test_paintings_are_no_photos(photos, tmp_path, s3, remote):
    painted(photos, photos / "paintings")  # inside of what is painted
    (photos / "a.monet.jpg").write_bytes((photos / "a.jpg").read_bytes())
    (photos / ".hidden").mkdir()
    (photos / ".hidden" / "a.jpg").write_bytes((photos / "a.jpg").read_bytes())
    place = str(photos)
    if remote:
        s3.put(f"{photos}/", "library/photos/", recursive=True)
        place = "s3://library/photos"
    found = survey.look_through([place], str(tmp_path / "out"), "monet", None, [])
    assert [one.photo.removeprefix(f"{place}/") for one in found] == NAMES
    assert {done.status for done in paint_many("monet", [photos], tmp_path / "folders")} == {
        "painted"
    }
    assert len(contents(tmp_path / "folders")) == 5  # the folder command passes them by, too


def test_the_manifest_tells_of_each(photos, tmp_path):
    (photos / "bad.jpg").write_text("text")
    before = manifest.now()
    outcomes = painted(photos, tmp_path / "out")
    assert statuses(outcomes) == {"painted": 5, "failed": 1}
    known = rows(tmp_path / "out")
    (failed,) = [outcome for outcome in outcomes if outcome.status == "failed"]
    assert failed.error.startswith(f"{photos}/bad.jpg is not a picture")
    bad = known.pop("bad.jpg")
    assert (bad["error"], bad["sha256"], bad["output_mark"]) == (failed.error, None, None)
    assert list(known) == sorted(known)
    for name, row in known.items():
        assert row["sha256"] == files.sha256_of(tmp_path / "out" / name)
        assert before < row["finished"] < manifest.now()
        assert row["seconds"] > 0
        assert (row["error"], row["attempts"]) == (None, 1)
        assert row["settings"] == easel.settings("monet", LOOK, PAINT_OPTIONS)
    assert known["c.jpg"]["input"] == f"{photos}/c.ppm"


# --- a second run -----------------------------------------------------------------------------


def test_a_second_run_does_what_is_missing_changed_or_failed(photos, tmp_path):
    out = tmp_path / "out"
    (photos / "bad.jpg").write_text("text")
    painted(photos, out)
    Image.fromarray(picture(24, 32, 9)).save(photos / "b.png")
    (out / "c.jpg").unlink()
    Image.fromarray(picture(24, 32, 8)).save(photos / "bad.jpg")
    again = painted(photos, out)
    assert statuses(again) == {"skipped": 3, "painted": 3}
    assert {Path(o.photo).name for o in again if o.status == "painted"} == {
        *("b.png", "c.ppm", "bad.jpg")
    }
    assert statuses(painted(photos, out)) == {"skipped": 6}
    assert statuses(painted(photos, out, Look(layers=2))) == {"painted": 6}
    assert len(rows(out)) == 6


def test_what_somebody_else_made_or_changed_is_kept(photos, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.jpg").write_bytes(b"precious")
    first = painted(photos, out)
    assert [o.error for o in first if o.error] == ["a.jpg exists; remove it or add --force."]
    (out / "b.png").write_bytes(b"retouched")
    again = painted(photos, out)
    assert "b.png was changed since it was painted" in " ".join(o.error or "" for o in again)
    assert (out / "a.jpg").read_bytes() == b"precious"
    assert (out / "b.png").read_bytes() == b"retouched"
    forced = painted(photos, out, options=PaintOptions(force=True))
    assert statuses(forced) == {"skipped": 3, "painted": 2}
    assert statuses(painted(photos, out)) == {"skipped": 5}


def test_a_photo_that_went_bad_leaves_its_painting_known(photos, tmp_path):
    out = tmp_path / "out"
    painted(photos, out)
    before, good = (out / "a.jpg").read_bytes(), (photos / "a.jpg").read_bytes()
    (photos / "a.jpg").write_text("text")
    assert statuses(painted(photos, out)) == {"skipped": 4, "failed": 1}
    assert (out / "a.jpg").read_bytes() == before
    (photos / "a.jpg").write_bytes(good)
    assert statuses(painted(photos, out)) == {"skipped": 4, "painted": 1}


def test_photos_themselves_are_never_painted_over(photos, tmp_path):
    before = contents(photos)
    forced = PaintOptions(force=True)
    (tmp_path / "link").symlink_to(photos)
    beside = tmp_path / "beside"
    beside.mkdir()
    for places, out in (
        (photos, photos),
        (photos, tmp_path / "link"),
        ([photos / "sub", beside], photos),  # paintings of photos/sub would go into photos/sub
    ):
        with pytest.raises(UsageError, match="holds the photos themselves"):
            painted(places, out, options=forced)
    assert contents(photos) == before


@pytest.mark.skipif(sys.platform != "linux", reason="names are text there")
def test_a_name_that_is_no_text_is_told_and_the_others_are_painted(photos, tmp_path):
    name = b"caf\xe9.jpg"
    Path(os.fsdecode(os.fsencode(photos) + b"/" + name)).write_bytes(
        (photos / "a.jpg").read_bytes()
    )
    outcomes = painted(photos, tmp_path / "out")
    assert statuses(outcomes) == {"painted": 5, "failed": 1}
    assert "its name is no UTF-8; rename it." in outcomes[0].error


def test_clocks_of_workers_decide_nothing(photos, tmp_path, monkeypatch):
    out = tmp_path / "out"
    early = manifest.now()
    monkeypatch.setattr(crew, "now", lambda: early.replace(year=early.year + 1))
    painted(photos, out)
    monkeypatch.setattr(crew, "now", lambda: early)  # another machine paints the next time
    Image.fromarray(picture(24, 32, 9)).save(photos / "a.jpg")
    assert statuses(painted(photos, out)) == {"skipped": 4, "painted": 1}
    assert statuses(painted(photos, out)) == {"skipped": 5}


def test_a_put_whose_answer_is_lost_is_known_to_the_next_run(photos, tmp_path, monkeypatch):
    out = tmp_path / "out"
    put = storage.Local.put

    def deaf(self, things):
        found = put(self, things)
        lost = [place.endswith(("a.jpg", "b.png")) for place, _ in things]
        return [
            OSError("no answer") if gone else one for gone, one in zip(lost, found, strict=True)
        ]

    monkeypatch.setattr(storage.Local, "put", deaf)
    first = painted(photos, out)
    assert statuses(first) == {"painted": 2, "failed": 3}
    monkeypatch.undo()
    (out / "b.png").unlink()  # of this one not only the answer was lost
    assert statuses(painted(photos, out)) == {"skipped": 4, "painted": 1}
    assert all(row["error"] is None for row in rows(out).values())


def test_a_put_that_fails_is_in_the_manifest(photos, tmp_path, monkeypatch):
    put = storage.Local.put

    def full(self, things):
        return [
            OSError("no room") if place.endswith("b.png") else put(self, [(place, data)])[0]
            for place, data in things
        ]

    monkeypatch.setattr(storage.Local, "put", full)
    painted(photos, tmp_path / "out")
    assert "cannot be written (no room)" in rows(tmp_path / "out")["b.png"]["error"]
    monkeypatch.undo()
    assert statuses(painted(photos, tmp_path / "out")) == {"skipped": 4, "painted": 1}


def test_a_file_that_goes_while_a_folder_is_listed_hides_no_other(tmp_path, monkeypatch):
    (tmp_path / "a.jpg").write_bytes(b"1")
    (tmp_path / "b.jpg").write_bytes(b"1")
    seen = storage._seen
    gone = iter([FileNotFoundError("gone")])

    def first_is_gone(stat):
        if error := next(gone, None):
            raise error
        return seen(stat)

    monkeypatch.setattr(storage, "_seen", first_is_gone)
    assert len(storage.Local().listing(str(tmp_path))) == 1


def test_a_name_that_another_photo_takes_over(photos, tmp_path):
    out = tmp_path / "out"
    painted(photos, out)
    Image.fromarray(picture(24, 32, 7)).save(photos / "c.jpg")  # c.ppm becomes c.ppm.jpg
    assert statuses(painted(photos, out)) == {"skipped": 4, "painted": 2}
    other = tmp_path / "other"
    other.mkdir()
    Image.fromarray(picture(24, 32, 9)).save(other / "a.jpg")
    (outcome,) = painted(other, out)
    assert "was painted from another photo" in outcome.error


def test_two_runs_into_one_folder_are_refused(photos, tmp_path):
    campaign = Campaign("monet", [str(photos)], str(tmp_path / "out"), LOOK, PAINT_OPTIONS, None)
    with campaign.alone(), pytest.raises(OutputError, match="being painted into by another run"):
        painted(photos, tmp_path / "out")


def test_a_manifest_that_is_none_is_told(photos, tmp_path):
    (tmp_path / "out" / tree.RECORDS).mkdir(parents=True)
    place = tmp_path / "out" / tree.RECORDS / "manifest.parquet"
    place.write_bytes(b"text")
    with pytest.raises(OutputError, match="is no whole manifest of ours"):
        painted(photos, tmp_path / "out")
    pyarrow.parquet.write_table(pyarrow.table({"a": [1]}), place)
    with pytest.raises(OutputError, match="is no whole manifest of ours"):
        painted(photos, tmp_path / "out")


# --- workers that die -------------------------------------------------------------------------


def dying(commission: Commission, share: int, wishes: list[Wish], when: str) -> None:
    """A worker that is killed at a certain moment, in a process of its own."""
    put, fetch = storage.Local.put, easel.fetch

    def stop() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def putting(self, things):
        ours = any(tree.RECORDS not in place for place, _ in things)
        if ours and when == "before it puts":
            stop()
        results = put(self, things)
        if ours and when == "after it put":
            stop()
        return results

    def fetching(source, asked, name):
        if when == "at a photo" and name.endswith("b.png"):
            stop()
        return fetch(source, asked, name)

    storage.Local.put, easel.fetch = putting, fetching
    crew.SCALE = replace(SCALE, careful_after=0)
    Hand(commission).paint(share, wishes)


def killed(commission: Commission, share: int, wishes: list[Wish], when: str) -> None:
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=dying, args=(commission, share, wishes, when))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    process.close()


def begun(photos: Path, out: Path) -> tuple[Campaign, Commission, int, list[Wish]]:
    """A campaign, and its first share: a.jpg and b.png."""
    campaign = Campaign("monet", [str(photos)], str(out), LOOK, PAINT_OPTIONS, None)
    list(campaign.begin())
    return campaign, campaign.commission(PAINT_OPTIONS), *wishes_of(campaign.shares(1)[0])


@pytest.mark.parametrize("when", ["before it puts", "after it put"])
def test_a_dead_workers_share_is_taken_up(photos, tmp_path, when):
    out = tmp_path / "out"
    campaign, commission, share, wishes = begun(photos, out)
    killed(commission, share, wishes, when)
    states = {name: (out / name).stat().st_mtime_ns for name in contents(out)}
    assert bool(states) == (when == "after it put")
    outcomes = Hand(commission).paint(share, wishes)
    assert statuses(outcomes) == {"painted": 2}
    assert all((out / name).stat().st_mtime_ns == state for name, state in states.items())
    campaign.finish()
    assert {n: row["attempts"] for n, row in rows(out).items()} == {
        name: 1 if name in states else 2 for name in ("a.jpg", "b.png")
    }
    assert statuses(painted(photos, out)) == {"skipped": 2, "painted": 3}


@pytest.mark.parametrize("when", ["before it puts", "after it put"])
def test_a_second_run_after_a_kill_of_all(photos, expected, tmp_path, when):
    out = tmp_path / "out"
    killed(*begun(photos, out)[1:], when)
    states = {name: (out / name).stat().st_mtime_ns for name in contents(out)}
    assert bool(states) == (when == "after it put")
    (out / ".a.jpg.0123abcd.part").write_bytes(b"half")
    again = painted(photos, out)
    assert Counter(o.status for o in again) == Counter(painted=5 - len(states), skipped=len(states))
    assert all((out / name).stat().st_mtime_ns == state for name, state in states.items())
    assert contents(out) == expected
    assert not list(out.rglob("*.part"))
    assert not list((out / tree.RECORDS / "parts").rglob("*.parquet"))
    assert rows(out).keys() == expected.keys()


def test_a_photo_that_kills_its_worker_is_passed_over(photos, tmp_path, monkeypatch):
    campaign, commission, share, wishes = begun(photos, tmp_path / "out")
    for _ in range(SCALE.deaths):
        killed(commission, share, wishes, "at a photo")
    monkeypatch.setattr(crew, "SCALE", replace(SCALE, careful_after=0))
    good, bad = Hand(commission).paint(share, wishes)
    assert (good.status, bad.status) == ("painted", "failed")
    assert f"{photos}/b.png has killed its worker 2 times" in bad.error
    campaign.finish()
    assert rows(tmp_path / "out")["b.png"]["error"] == bad.error


def test_a_painting_that_somebody_puts_meanwhile_is_kept(photos, tmp_path):
    _, commission, share, wishes = begun(photos, tmp_path / "out")
    (tmp_path / "out" / "a.jpg").write_bytes(b"precious")
    outcomes = Hand(commission).paint(share, wishes)
    assert [outcome.status for outcome in outcomes] == ["failed", "painted"]
    assert "was made by somebody else meanwhile" in outcomes[0].error
    assert (tmp_path / "out" / "a.jpg").read_bytes() == b"precious"


def test_the_very_painting_that_another_worker_puts_meanwhile_is_ours(photos, tmp_path):
    campaign, commission, share, wishes = begun(photos, tmp_path / "out")
    list(paint_many("monet", [photos], tmp_path / "expected"))
    (tmp_path / "out" / "a.jpg").write_bytes((tmp_path / "expected" / "a.jpg").read_bytes())
    outcomes = Hand(commission).paint(share, wishes)
    assert statuses(outcomes) == {"painted": 2}
    campaign.finish()
    assert statuses(painted(photos, tmp_path / "out")) == {"skipped": 2, "painted": 3}


def test_one_photo_ends_no_library(photos, tmp_path, monkeypatch):
    paint = easel.paint

    fails = iter([RuntimeError("a kernel failed\nat line 7")])

    def failing(*words):
        if error := next(fails, None):
            raise error
        return paint(*words)

    monkeypatch.setattr(easel, "paint", failing)
    outcomes = painted(photos, tmp_path / "out")
    assert statuses(outcomes) == {"failed": 1, "painted": 4}
    assert f"{photos}/a.jpg cannot be painted (a kernel failed); try" in outcomes[0].error


def test_a_photo_that_goes_meanwhile_is_told(photos, s3):
    s3.put(f"{photos}/", "library/photos/", recursive=True)
    _, commission, share, wishes = begun("s3://library/photos", "s3://library/out")
    s3.rm_file("library/photos/a.jpg")
    outcomes = Hand(commission).paint(share, wishes)
    assert "s3://library/photos/a.jpg is gone" in outcomes[0].error
    assert outcomes[1].status == "painted"


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_told(photos, tmp_path):
    _, commission, share, wishes = begun(photos, tmp_path / "out")
    (tmp_path / "out").chmod(0o555)
    outcomes = Hand(commission).paint(share, wishes)
    (tmp_path / "out").chmod(0o755)
    assert all("cannot be written (Permission denied)" in outcome.error for outcome in outcomes)


def test_a_disk_that_is_full_is_told_of_each(photos, tmp_path, monkeypatch):
    _, commission, share, wishes = begun(photos, tmp_path / "out")
    write = files.write_part

    def full(path, data):
        if path.name == "a.jpg":
            raise OSError(28, "No space left on device")
        return write(path, data)

    monkeypatch.setattr(files, "write_part", full)
    outcomes = Hand(commission).paint(share, wishes)
    assert "a.jpg cannot be written (No space left on device)" in outcomes[0].error
    assert outcomes[1].status == "painted"


# --- storage ----------------------------------------------------------------------------------


def test_a_request_that_fails_is_tried_again(s3, monkeypatch):
    monkeypatch.setattr(storage, "SCALE", replace(SCALE, first_wait=0.0))
    store = storage.store_of("s3://library")
    asked = []

    def failing(times):
        def answer(place):
            asked.append(place)
            if len(asked) <= times:
                raise ConnectionResetError("reset by peer")
            return b"content"

        return answer

    monkeypatch.setattr(store._files, "cat_file", failing(SCALE.tries - 1))
    assert store.read("s3://library/a") == b"content"
    assert len(asked) == SCALE.tries
    asked.clear()
    monkeypatch.setattr(store._files, "cat_file", failing(SCALE.tries))
    with pytest.raises(ImageError, match=r"s3://library/a cannot be read \(reset by peer\)"):
        store.photo("s3://library/a")


def test_marks_of_a_listing_are_those_of_a_put(s3, tmp_path):
    for out in ("s3://library/x", f"{tmp_path}/x"):
        store = storage.store_of(out)
        (mark,) = store.put([(f"{out}/a b#%é.jpg", b"content")])
        assert store.listing(out) == {"a b#%é.jpg": storage.Seen(7, mark)}
        assert store.mark(f"{out}/a b#%é.jpg") == mark
        assert store.below(out) == [f"{out}/a b#%é.jpg"]
        store.remove([f"{out}/a b#%é.jpg", f"{out}/never there"])
        assert store.mark(f"{out}/a b#%é.jpg") is None
        assert store.listing(out) == {}


# --- what is said -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["s3://a/b", "-o", "out"], "s3://a/b is an address; add --cluster"),
        (["in", "-o", "s3://a/b"], "s3://a/b is an address; add --cluster"),
        (["in", "--cluster"], "--cluster paints into a place of its own; name it with -o"),
        (["in", "-o", "out", "--cluster", "--watch"], "leave out --sheet, --watch, --kaggle, -"),
        (["-", "-o", "out", "--cluster"], "leave out --sheet, --watch, --kaggle, -"),
        (["ftp://a/b", "-o", "out", "--cluster"], "give a folder, or an address of s3:// or gs://"),
        (["s3://", "-o", "out", "--cluster"], "s3:// names no bucket"),
        (["s3:/a/b", "-o", "out", "--cluster"], "an address has two, as s3://bucket/folder"),
        (["in", "-o", "GS:/a/b", "--cluster"], "GS:/a/b has one slash; an address has two"),
        (["file:/a/b", "-o", "out", "--cluster"], "has one slash; an address has two"),
        (["file://localhost/in", "-o", "out", "--cluster"], "names a machine; give a folder of"),
        (["in", "-o", "file://localhost/out", "--cluster"], "names a machine; give a folder of"),
        (["in", "-o", "in", "--cluster"], "in holds the photos themselves"),
        (["none", "-o", "out", "--cluster"], "none cannot be read (it is no folder)"),
        (["in/a.jpg", "-o", "out", "--cluster"], "a.jpg cannot be read (it is no folder)"),
        (["empty", "-o", "out", "--cluster"], "no picture to paint is in"),
    ],
)
def test_what_cannot_be_meant_is_told(words, said, photos, tmp_path, monkeypatch, capfd):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert run("paint", *words) == 1
    assert said in one_line(capfd)
    assert sorted(tmp_path.rglob("*")) == before  # nothing is made before there is what to paint


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("s3://nowhere/photos", "cannot be read (The specified bucket does not exist)"),
        ("s3://library/none", "cannot be read (it is not there)"),
        ("s3://library/a.jpg", "cannot be read (it is no folder)"),
    ],
)
def test_an_address_without_photos_is_told(place, said, s3, tmp_path, capfd):
    s3.pipe_file("library/a.jpg", b"text")
    assert run("paint", place, "-o", tmp_path / "out", "--cluster") == 1
    assert f"{place} {said}" in one_line(capfd)


def test_a_bucket_that_is_not_there_is_told(photos, s3, capfd, monkeypatch):
    monkeypatch.setattr(scale, "_joined", None)  # before Ray is begun
    assert run("paint", photos, "-o", "s3://nowhere/out", "--cluster") == 1
    assert "s3://nowhere/out/.pleinair/" in (said := one_line(capfd))
    assert "cannot be reached (The specified bucket does not exist)" in said


def test_addresses_are_known_by_any_case_of_their_kind(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert storage.place_of("S3://Bucket/Folder/") == "s3://Bucket/Folder"
    assert storage.place_of(f"File://{tmp_path}/a b/") == f"{tmp_path}/a b"
    assert storage.place_of("s3:a") == f"{tmp_path}/s3:a"  # a name as any other


@pytest.mark.parametrize("place", ["photos", "paintings"])
def test_missing_credentials_are_told(place, photos, s3, monkeypatch, tmp_path, capfd):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    storage.remote.cache_clear()
    if place == "photos":
        assert run("paint", "s3://library/photos", "-o", tmp_path / "out", "--cluster") == 1
        assert "cannot be read (Unable to locate credentials)" in one_line(capfd)
    else:
        assert run("paint", photos, "-o", "s3://library/out", "--cluster") == 1
        said = "(Unable to locate credentials); see that the bucket and credentials are there"
        assert said in one_line(capfd)


def test_a_server_that_is_not_there_is_told(s3, monkeypatch, tmp_path, capfd):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(storage, "SCALE", replace(SCALE, tries=1))
    storage.remote.cache_clear()
    assert run("paint", "s3://library/photos", "-o", tmp_path / "out", "--cluster") == 1
    assert "Could not connect to the endpoint URL" in one_line(capfd)


def test_offline_no_bucket_is_asked(s3, monkeypatch, tmp_path, capfd):
    monkeypatch.setenv("PLEINAIR_OFFLINE", "1")
    storage.remote.cache_clear()
    assert run("paint", "s3://library/photos", "-o", tmp_path / "out", "--cluster") == 1
    assert "PLEINAIR_OFFLINE is set, so that no s3:// is asked; unset it." in one_line(capfd)


def test_ray_is_not_begun_without_a_token(photos, monkeypatch, tmp_path, capfd):
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(is_initialized=lambda: False))
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert run("paint", photos, "-o", tmp_path / "out", "--cluster") == 1
    assert "ray was imported before it could be guarded by a token" in one_line(capfd)


def test_a_cluster_that_is_not_there_is_told_at_once(photos, monkeypatch, tmp_path, capfd):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    monkeypatch.setattr(scale, "_ray", lambda: SimpleNamespace(is_initialized=lambda: False))
    assert run("paint", photos, "-o", tmp_path / "out", "--cluster") == 1
    assert "nobody answers at 127.0.0.1:9 (Connection refused)" in one_line(capfd)


@pytest.mark.parametrize("address", ["auto", "ray://head:10001", "head", "head:port"])
def test_addresses_that_are_rays_own_are_left_to_it(address):
    scale._check_answers(address)


@pytest.mark.parametrize(
    ("asked", "free", "room", "workers", "each"),
    [
        (None, 32, 8, 8, 1400),  # MiB: never more than a painter asks for alone
        (None, 4, 8, 4, 640),
        (2, 32, 8, 3, 554),
        (6, 32, 2, 2, 2944),
        (None, 0.1, 4, 1, 512),
    ],
)
def test_workers_share_the_memory_that_there_is(asked, free, room, workers, each, monkeypatch):
    monkeypatch.setattr(scale.memory, "free", lambda: int(free * 2**30))
    options = replace(PAINT_OPTIONS, memory=asked and asked * 2**30)
    count, dealt = scale._dealt(options, room, local=True)
    assert (count, dealt.memory // 2**20) == (workers, each)
    there = scale._dealt(options, room, local=False)
    assert there == (room, replace(options, memory=options.memory or PAINT.memory))


@pytest.mark.parametrize("missing", ["ray", "pyarrow.parquet", "s3fs"])
def test_what_is_not_installed_is_told(missing, monkeypatch, tmp_path, capfd):
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.setitem(sys.modules, "ray.data", None)
    if missing != "ray":
        monkeypatch.setattr(scale, "_ray", lambda: None)
    storage.remote.cache_clear()
    assert run("paint", "s3://library/photos", "-o", tmp_path / "out", "--cluster") == 1
    assert "pip install 'pleinair[scale]'" in one_line(capfd)


# --- with Ray ---------------------------------------------------------------------------------


def command(*words: object) -> subprocess.Popen[str]:
    line = [sys.executable, "-m", "pleinair", "paint", *map(str, words), "--cluster", "--jobs", "2"]
    return subprocess.Popen(
        line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def first_line(process: subprocess.Popen[str]) -> str:
    """What it says when somebody has painted something."""
    line = process.stdout.readline()
    assert line, process.stderr.read()
    return line


def workers(parent: int) -> list[psutil.Process]:
    found = psutil.Process(parent).children(recursive=True)
    return [process for process in found if "MapWorker" in " ".join(process.cmdline())]


@pytest.fixture
def sixty(tmp_path) -> Path:
    root = tmp_path / "in"
    for number in range(60):
        place = root / f"{number % 3}" / f"{number:02}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(48, 64, number)).save(place)
    return root


def test_a_bucket_is_painted_though_a_worker_is_killed(sixty, s3, tmp_path):
    list(paint_many("monet", [sixty], tmp_path / "expected"))
    (sixty / "bad.jpg").write_text("text")
    s3.put(f"{sixty}/", "library/photos/", recursive=True)
    with command("s3://library/photos", "-o", "s3://library/out", "--json") as process:
        lines = [json.loads(first_line(process))]  # somebody has painted something
        worker = workers(process.pid)[0]
        known = worker.environ()
        worker.kill()
        lines += [json.loads(line) for line in process.stdout]  # `communicate` would lose some
        said = process.stderr.read()
    assert process.returncode == 1, said
    assert known["RAY_AUTH_MODE"] == "token"
    assert len(known["RAY_AUTH_TOKEN"]) == 64
    assert known["RAY_USAGE_STATS_ENABLED"] == "0"
    summary = lines.pop()["summary"]
    assert [summary[name] for name in ("painted", "skipped", "failed")] == [60, 0, 1]
    assert len({line["photo"] for line in lines}) == 61
    first, last = said.splitlines()  # and nothing of Ray's
    assert first.startswith("pleinair: s3://library/photos/bad.jpg is not a picture")
    assert last == "pleinair: 1 of 61 photos were not painted."
    s3.get("library/out/", f"{tmp_path}/out/", recursive=True)
    assert contents(tmp_path / "out") == contents(tmp_path / "expected")
    known = rows(tmp_path / "out")
    assert known.keys() == contents(tmp_path / "out").keys() | {"bad.jpg"}
    assert not list(Path("/tmp").glob(f"pleinair-ray-{process.pid}-*"))


def test_a_driver_that_is_killed_loses_nothing(sixty, tmp_path):
    out = tmp_path / "out"
    with command(sixty, "-o", out) as process:
        first_line(process)
        process.kill()
        process.communicate()
    before = {name: (out / name).stat().st_mtime_ns for name in contents(out)}
    assert before
    with command(sixty, "-o", out) as process:
        printed, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    list(paint_many("monet", [sixty], tmp_path / "expected"))
    assert contents(out) == contents(tmp_path / "expected")
    assert all((out / name).stat().st_mtime_ns == state for name, state in before.items())
    assert rows(out).keys() == contents(out).keys()
    assert len(printed.splitlines()) <= 60 - len(before)


@pytest.mark.skipif(sys.platform == "win32", reason="processes are known by other names there")
def test_where_ray_itself_dies_a_sentence_says_so_and_the_next_run_goes_on(sixty, tmp_path):
    out = tmp_path / "out"
    with command(sixty, "-o", out) as process:
        first_line(process)
        children = psutil.Process(process.pid).children()
        (raylet,) = [one for one in children if one.name() == "raylet"]
        raylet.kill()
        _, said = process.communicate(timeout=120)
    assert process.returncode == 1
    assert said.count("\n") == 1
    assert said.startswith("pleinair: ended from outside, as by Ray")
    with command(sixty, "-o", out) as process:
        process.communicate(timeout=300)
    assert process.returncode == 0
    assert len(contents(out)) == 60
