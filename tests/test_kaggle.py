from __future__ import annotations

import io
import sys
import zipfile
from dataclasses import replace

import pytest
from PIL import Image

from pleinair import cli, kaggle, settings
from pleinair.errors import DataError, OutputError

from .conftest import picture


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """The competition's limits, a thousand times smaller."""
    monkeypatch.setattr(kaggle, "KAGGLE", replace(settings.KAGGLE, fewest=7, most=10))


def photos(path, count, size=(256, 256)):
    path.mkdir(parents=True)
    for number in range(count):
        Image.fromarray(picture(*size, seed=number)).save(path / f"{number:03}.jpg")
    return path


def submit(place, target, **more):
    told, notes = [], []
    count = kaggle.submit(place, target, "monet", lambda *n: told.append(n), notes.append, **more)
    return count, told, notes


def test_a_submission_is_as_the_competition_wants_it(tmp_path):
    place = photos(tmp_path / "photo_jpg", 8)
    count, told, notes = submit(place, tmp_path / "images.zip")
    assert (count, told[-1], notes) == (8, (8, 8), [])
    with zipfile.ZipFile(tmp_path / "images.zip") as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [f"{number:03}.jpg" for number in range(8)]
        for name in archive.namelist():
            image = Image.open(io.BytesIO(archive.read(name)))
            assert (image.format, image.size, image.mode) == ("JPEG", (256, 256), "RGB")


def test_photos_of_other_sizes_and_kinds_are_squares_all_the_same(tmp_path):
    place = photos(tmp_path / "some", 8, (300, 400))
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for file in place.iterdir():
            archive.write(file, f"photo_jpg/{file.name}")
    assert submit(tmp_path / "photos.zip", tmp_path / "images.zip")[0] == 8


@pytest.mark.parametrize("count", [6, 11])
def test_too_few_or_too_many(tmp_path, count):
    place = photos(tmp_path / "some", count, (64, 64))
    with pytest.raises(DataError, match=rf"{count} photos found in .*takes 7 to 10"):
        submit(place, tmp_path / "images.zip")
    assert not (tmp_path / "images.zip").exists()


def test_a_damaged_photo_is_left_out_unless_there_are_too_few_then(tmp_path):
    place = photos(tmp_path / "some", 8, (64, 64))
    (place / "002.jpg").write_bytes((place / "002.jpg").read_bytes()[:200])
    count, _, notes = submit(place, tmp_path / "images.zip")
    assert count == 7
    assert "002.jpg" in notes[0]
    before = (tmp_path / "images.zip").read_bytes()
    (place / "003.jpg").write_bytes(b"")
    with pytest.raises(DataError, match="6 photos can be painted"):
        submit(place, tmp_path / "images.zip", force=True)
    assert (tmp_path / "images.zip").read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"some", "images.zip"}


def test_two_photos_of_one_name(tmp_path):
    place = photos(tmp_path / "some" / "a", 7, (64, 64))
    (tmp_path / "some" / "b").mkdir()
    (tmp_path / "some" / "b" / "000.jpg").write_bytes((place / "000.jpg").read_bytes())
    with pytest.raises(DataError, match="one name"):
        submit(tmp_path / "some", tmp_path / "images.zip")


def test_nothing_is_overwritten(tmp_path):
    place = photos(tmp_path / "some", 7, (64, 64))
    (tmp_path / "images.zip").write_bytes(b"mine")
    with pytest.raises(OutputError, match="exists"):
        submit(place, tmp_path / "images.zip")
    with pytest.raises(OutputError, match=r"images\.zip"):
        submit(place, tmp_path / "images.tar")
    assert submit(place, tmp_path / "images.zip", force=True)[0] == 7


def test_the_command(tmp_path, monkeypatch, capsys):
    place = photos(tmp_path / "some", 7, (64, 64))
    target = tmp_path / "out" / "images.zip"

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["pleinair", "paint", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code, *capsys.readouterr()

    code, out, err = run(place, "--kaggle", target)
    assert (code, out) == (0, f"{target}\n")
    assert "7 paintings of 256x256" in err
    assert zipfile.is_zipfile(target)
    for more in (["--sheet"], ["-o", "x.jpg"], [place]):
        code, _, err = run(place, *more, "--kaggle", tmp_path / "other.zip")
        assert code != 0
        assert "--kaggle" in err
        assert "Traceback" not in err
