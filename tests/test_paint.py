"""`pleinair paint` for folders, streams and machines."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pleinair import easel
from pleinair.cli.looks import size_of
from pleinair.config import LightSpec
from pleinair.errors import UsageError
from pleinair.painter import Painter
from pleinair.settings import Look, PaintOptions

from .conftest import picture
from .test_cli import in_terminal, look, one_line, run
from .test_images import saved
from .test_runtime import foreign

COMMAND = [sys.executable, "-m", "pleinair", "paint"]


@pytest.fixture
def photos(tmp_path) -> Path:
    root = tmp_path / "in"
    (root / "sub").mkdir(parents=True)
    for number, name in enumerate(["a.jpg", "b.png", "sub/a.jpg"]):
        Image.fromarray(picture(24, 32, number)).save(root / name)
    return root


def printed(capsys) -> list[str]:
    return capsys.readouterr().out.splitlines()


# --- folders ----------------------------------------------------------------------------------


def test_a_folder_is_painted_beside_itself_and_once(photos, tmp_path, capsys):
    assert run("paint", photos) == 0
    out = tmp_path / "in.monet"
    said = capsys.readouterr()
    assert said.out.splitlines() == [str(out / name) for name in ("a.jpg", "b.png", "sub/a.jpg")]
    assert said.err == ""
    assert look(out / "b.png").format == "PNG"
    assert run("paint", photos) == 0
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "3 of 3 photos are painted already.\n")


def test_a_bad_file_in_a_folder(photos, tmp_path, capsys):
    (photos / "bad.jpg").write_text("text")
    assert run("paint", photos, "-o", tmp_path / "out") == 1
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 3
    first, last = said.err.splitlines()
    assert "bad.jpg is not a picture" in first
    assert last == "pleinair: 1 of 4 photos were not painted."


def test_a_folder_is_not_painted_into_a_file(photos, tmp_path, capsys):
    assert run("paint", photos, "-o", tmp_path / "out.jpg") == 1
    assert "names one file; name a folder" in one_line(capsys)
    assert run("paint", photos, "-o", photos) == 1
    assert "the photos themselves" in one_line(capsys)


def test_a_sheet_of_a_folder_shows_what_was_painted_before_too(photos, tmp_path, capsys):
    out = tmp_path / "out"
    assert run("paint", photos, "-o", out) == 0
    assert run("paint", photos, "-o", out, "--sheet") == 0
    assert printed(capsys)[-1] == str(out / "sheet.jpg")
    assert look(out / "sheet.jpg").height > 3 * 500
    (photos / "sheet.jpg").write_bytes((photos / "a.jpg").read_bytes())
    (out / "sheet.jpg").unlink()
    assert run("paint", photos, "-o", out, "--sheet") == 1
    assert "leave out --sheet" in capsys.readouterr().err


def test_a_terminal_shows_a_bar_for_a_folder(photos, tmp_path):
    code, seen = in_terminal("paint", photos, tmp_path=tmp_path)
    assert code == 0, seen
    assert "3 of 3" in seen
    assert len((tmp_path / "stdout").read_text().splitlines()) == 3


@pytest.mark.skipif(sys.platform != "linux", reason="names are text elsewhere")
def test_names_that_are_no_text(photos, tmp_path):
    name = os.fsdecode(b"\xff.jpg")
    (photos / "a.jpg").rename(photos / name)
    for words in ((photos, "-o", tmp_path / "out"), (photos / name,)):
        done = piped(*words)
        assert (done.returncode, done.stderr) == (0, b""), words
        assert b"\xff" in done.stdout
    done = piped(photos, "-o", tmp_path / "out", "--json")
    assert len(done.stdout.splitlines()) == 4
    assert b"3 of 3" in done.stderr


# --- for machines -----------------------------------------------------------------------------


def test_lines_of_json(photos, tmp_path, capsys):
    (photos / "bad.jpg").write_text("text")
    assert run("paint", photos, "--json") == 1
    *records, last = map(json.loads, printed(capsys))
    out = tmp_path / "in.monet"
    assert [record["photo"] for record in records] == [
        str(photos / name) for name in ("a.jpg", "b.png", "bad.jpg", "sub/a.jpg")
    ]
    first, bad = records[0], records[2]
    assert first["seconds"] > 0
    assert first | {"seconds": 0} == {
        "photo": str(photos / "a.jpg"),
        "painting": str(out / "a.jpg"),
        "status": "painted",
        "error": None,
        "width": 32,
        "height": 24,
        "seconds": 0,
        "layers": 1,
        "note": None,
    }
    assert (bad["status"], bad["painting"], bad["width"]) == ("failed", None, None)
    assert "is not a picture" in bad["error"]
    counts = {"painted": 3, "skipped": 0, "failed": 1}
    assert last["summary"] | counts == last["summary"]
    assert run("paint", photos, "--json") == 1
    *records, last = map(json.loads, printed(capsys))
    assert records[0]["status"] == "skipped"
    assert last["summary"] | {"painted": 0, "skipped": 3, "failed": 1} == last["summary"]


def test_a_file_alone_has_no_summary(photos, capsys):
    assert run("paint", photos / "b.png", "--json") == 0
    (line,) = map(json.loads, printed(capsys))
    assert line["painting"] == str(photos / "b.monet.png")
    assert run("paint", photos / "b.png", "--json") == 1
    (line,) = map(json.loads, printed(capsys))
    assert (line["status"], line["painting"]) == ("failed", None)


# --- streams ----------------------------------------------------------------------------------


def piped(*arguments: object, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*COMMAND, *map(str, arguments)], input=data, capture_output=True, check=False
    )


def test_from_a_stream_to_a_stream():
    done = piped("-", "-o", "-", data=saved(Image.fromarray(picture(24, 32)), "PNG"))
    assert (done.returncode, done.stderr) == (0, b"")
    image = Image.open(io.BytesIO(done.stdout))
    assert (image.format, image.size) == ("PNG", (32, 24))


def test_the_type_of_a_stream(photos, tmp_path):
    done = piped(photos / "b.png", "-o", "-", "--format", "jpg")
    assert Image.open(io.BytesIO(done.stdout)).format == "JPEG"
    done = piped(photos / "b.png", "-o", "-")
    assert Image.open(io.BytesIO(done.stdout)).format == "PNG"
    done = piped("-", data=saved(Image.fromarray(picture(24, 32)), "PPM"))
    assert Image.open(io.BytesIO(done.stdout)).format == "JPEG"
    data = saved(Image.fromarray(picture(24, 32)), "WEBP")
    done = piped("-", "-o", f"{tmp_path}/new/", data=data)
    assert done.stdout.decode().strip() == str(tmp_path / "new" / "photo.monet.webp")
    assert look(tmp_path / "new" / "photo.monet.webp").format == "WEBP"


def test_streams_that_hold_nothing():
    for data, sentence in ((b"", "standard input is empty"), (b"text", "is not a picture")):
        done = piped("-", data=data)
        assert (done.returncode, done.stdout) == (1, b"")
        assert sentence in done.stderr.decode()
        assert done.stderr.startswith(b"pleinair: ")
        assert done.stderr.count(b"\n") == 1


def test_a_terminal_gets_no_painting(photos, monkeypatch, capsys):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert run("paint", photos / "a.jpg", "-o", "-") == 1
    assert "not for a terminal" in one_line(capsys)


# --- options ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--brush", "0"], "--brush 0 found; give a number from 0.25 to 8"),
        (["--brush", "nan"], "--brush nan found"),
        (["--strength", "1.6"], "--strength 1.6 found; give a number from 0 to 1.5"),
        (["--colors", "degas"], "--colors degas found; give painter or photo"),
        (["--memory", "lots"], "--memory lots found; give a size of 512M or more"),
        (["--memory", "3M"], "--memory 3M found"),
        (["--quality", "0"], "--quality 0 found; give a number from 1 to 100"),
        (["--jobs", "0"], "--jobs 0 found"),
        (["--format", "gyf"], "--format gyf found; give jpg, png"),
        (["--device", "tpu"], "use auto or what"),
        (["--layers", "abc"], 'unable to convert "abc" into int'),
        (["--nope"], "--nope is no option"),
        (["-o", "--forc"], "--forc is no option"),
        (["--watch"], "waits for photos in folders"),
        (["-o", "-", "--json"], "leave out --sheet, --json"),
        (["-o", "-", "--sheet"], "leave out --sheet, --json"),
        (["-o", "x.png", "--format", "jpg"], "--format jpg and -o x.png"),
        (["--kaggle", "x.zip", "--quality", "3"], "leave out"),
    ],
)
def test_bad_options_are_answered_in_one_sentence(photos, arguments, sentence, capsys):
    assert run("paint", photos / "a.jpg", *arguments) == 1
    assert sentence in one_line(capsys)
    assert sorted(path.name for path in photos.iterdir()) == ["a.jpg", "b.png", "sub"]


def test_sizes_of_memory():
    for text, size in (
        ("800M", 800 * 2**20),
        ("1.5G", 3 * 2**29),
        ("2g", 2**31),
        ("2GiB", 2**31),
        ("512 MB", 2**29),
        ("1000000000", 1_000_000_000),
        ("655360K", 655_360 * 2**10),
    ):
        assert size_of(text) == size
    for text in ("", "G", "100M", "-1G", "1.2.3G", "1e9", "9999999999T"):
        with pytest.raises(UsageError):
            size_of(text)


def test_options_reach_the_painter(photos, tmp_path, monkeypatch):
    seen = []

    def load(name, threads, options, shares, ahead):
        seen.append((name, options, shares))
        return Painter(lambda batch: batch, LightSpec())

    def paint(painter, image, wanted, told):
        seen.append(wanted)
        return image

    monkeypatch.setattr(easel, "load", load)
    monkeypatch.setattr(easel, "paint", paint)
    look_words = ("--layers", 2, "--brush", 0.5, "--strength", 1.2, "--colors", "photo")
    work = ("--memory", "1G", "--device", "cpu", "--jobs", 3, "--quality", 50, "--strip-metadata")
    arguments = (*look_words, *work, "--format", "webp", "--out", tmp_path / "out")
    assert run("paint", photos, *arguments) == 0
    options = PaintOptions(".webp", 50, True, False, 2**30, "cpu")
    assert seen[0] == ("monet", options, 3)
    assert seen[1:] == [Look(2, 0.5, 1.2, "photo")] * 3
    assert {path.suffix for path in (tmp_path / "out").rglob("*.*p*") if path.is_file()} == {
        ".webp",
        ".jsonl",
    }


def test_colors_by_the_painters_name(photos):
    assert run("paint", photos / "a.jpg", "--colors", "monet") == 0


def test_metadata_is_left_out_when_asked(tmp_path):
    exif = Image.Exif()
    exif[0x010F] = "Camera"
    Image.fromarray(picture(24, 32)).save(tmp_path / "a.jpg", exif=exif)
    assert run("paint", tmp_path / "a.jpg", "-o", tmp_path / "kept.jpg") == 0
    assert run("paint", tmp_path / "a.jpg", "-o", tmp_path / "no.jpg", "--strip-metadata") == 0
    assert look(tmp_path / "kept.jpg").getexif()[0x010F] == "Camera"
    assert not look(tmp_path / "no.jpg").getexif()
    assert run("paint", tmp_path / "a.jpg", "-o", tmp_path / "bad.jpg", "--quality", 5) == 0
    assert (tmp_path / "bad.jpg").stat().st_size < (tmp_path / "no.jpg").stat().st_size


# --- interrupted, and waiting -----------------------------------------------------------------


def begun(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Where the tests themselves run in the background, Ctrl-C is deaf in what they begin.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def wait_for(true: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C is another thing there")
def test_ctrl_c_ends_soon_and_the_next_run_goes_on(tmp_path):
    photos = tmp_path / "in"
    photos.mkdir()
    Image.fromarray(picture(24, 32)).save(photos / "0.jpg")
    Image.fromarray(picture(2600, 3400)).save(photos / "1.jpg")  # seconds of painting
    process = begun(photos)
    assert process.stdout.readline().strip() == str(tmp_path / "in.monet" / "0.jpg")
    process.send_signal(signal.SIGINT)
    start = time.monotonic()
    _, err = process.communicate(timeout=30)
    assert time.monotonic() - start < 3
    assert process.returncode == 130
    assert err.splitlines()[-1] == "pleinair: interrupted."
    assert "Traceback" not in err
    names = sorted(path.name for path in (tmp_path / "in.monet").iterdir())
    assert names == [".pleinair.jsonl", "0.jpg"]


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C is another thing there")
def test_what_arrives_is_painted_until_ctrl_c(photos, tmp_path):
    out = tmp_path / "out"
    process = begun(photos, "-o", out, "--watch", "--json")
    wait_for(lambda: (out / "sub" / "a.jpg").exists())
    data = saved(Image.fromarray(picture(24, 32, 5)), "JPEG")
    with (photos / "new.jpg").open("wb") as file:  # comes slowly
        for start in range(0, len(data), len(data) // 4):
            file.write(data[start : start + len(data) // 4])
            file.flush()
            time.sleep(0.3)
    (photos / ".hidden.jpg").write_bytes(data)
    (photos / "~new.jpg").write_bytes(data)
    (photos / "deep").mkdir()
    (photos / "deep" / "b.jpg").write_bytes(data)
    wait_for(lambda: (out / "new.jpg").exists() and (out / "deep" / "b.jpg").exists())
    process.send_signal(signal.SIGINT)
    said, err = process.communicate(timeout=30)
    assert (process.returncode, err.splitlines()[0][:9]) == (0, "watching ")
    *records, summary = map(json.loads, said.splitlines())
    assert {record["status"] for record in records} == {"painted"}
    assert len(records) == 5
    assert summary["summary"]["painted"] == 5
    assert np.asarray(look(out / "new.jpg")).shape == (24, 32, 3)
    assert not (out / "~new.jpg").exists()


def test_files_of_others_paint_with_a_word_on_their_limits(tmp_path, capsys):
    painter = foreign(tmp_path / "other.onnx", [1, 3, 32, 32])
    photos = [tmp_path / f"{name}.png" for name in "ab"]
    for photo in photos:
        Image.fromarray(picture(48, 64)).save(photo)
    assert run("paint", *photos, "--painter", painter) == 0
    captured = capsys.readouterr()
    assert captured.err.count("takes 32x32 pixels; a photo of 64x48 is painted in such parts") == 2
    assert captured.out.split() == [str(tmp_path / f"{name}.other.png") for name in "ab"]
    assert look(tmp_path / "a.other.png").size == (64, 48)
    assert run("paint", *photos, "--painter", painter, "--json", "--force") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert all("painted in such parts" in line["note"] for line in lines)


def test_a_photo_that_takes_more_memory_than_was_given_is_named(tmp_path, capsys):
    photo = tmp_path / "large.png"
    Image.new("RGB", (12_000, 8_000)).save(photo)
    assert run("paint", photo, "--memory", "600M") == 1
    assert "M to decode, more than" in one_line(capsys)
    assert [path.name for path in tmp_path.iterdir()] == ["large.png"]


def test_names_that_begin_with_a_hyphen(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(picture(24, 32)).save("-dash.jpg")
    assert run("paint", "./-dash.jpg", "-o", "a.jpg") == 0
    assert run("paint", "-o", "b.jpg", "--", "-dash.jpg") == 0
    assert look(tmp_path / "b.jpg").size == (32, 24)


def test_an_empty_name_is_not_this_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(picture(24, 32)).save("a.jpg")
    assert run("paint", "") == 1
    assert "an empty name found" in one_line(capsys)


def test_pages_that_are_not_painted_are_counted(tmp_path, capsys):
    page = Image.fromarray(picture(24, 32))
    page.save(tmp_path / "a.tif", save_all=True, append_images=[page, page])
    assert run("paint", tmp_path / "a.tif") == 0
    assert "of 3 pages the first was painted" in capsys.readouterr().err


def test_frames_do_not_fit_into_a_jpeg(tmp_path, capsys):
    frames = [Image.fromarray(picture(24, 32, seed)) for seed in range(2)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert run("paint", tmp_path / "a.gif", "-o", tmp_path / "a.jpg") == 1
    assert "a.jpg holds one picture, not 2 frames" in one_line(capsys)


def test_a_full_standard_output_is_one_sentence(photos):
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        done = subprocess.run(
            [sys.executable, "-m", "pleinair", "paint", photos / "a.jpg", "-o", "-"],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.startswith(b"pleinair: standard output cannot be written")
    assert done.stderr.count(b"\n") == 1


def test_folders_of_paintings_are_no_photos(photos, tmp_path, capsys):
    assert run("paint", photos) == 0
    assert run("paint", photos, tmp_path / "in.monet") == 0
    assert "in.monet is a painting already" in capsys.readouterr().err
    assert not (tmp_path / "in.monet.monet").exists()
