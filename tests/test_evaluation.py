from __future__ import annotations

import io
import json
import shutil
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter
from rich.console import Console

from pleinair import cli, evaluation, hub, images, metrics
from pleinair.cli import tables
from pleinair.errors import DataError, PainterError, UsageError
from pleinair.gallery import Gallery, Squares
from pleinair.settings import EVALUATE

from .conftest import picture

SIDE = EVALUATE.side


@dataclass
class Palette:
    """An eye for tests: sees the means of 4x4 patches, and counts how often it was asked."""

    label: str = "Palette"
    sha256: str = "0" * 64
    side: int = 8
    resize: str = "means of patches"
    asked: int = 0

    def look(self, pictures):
        self.asked += len(pictures)
        small = [
            np.asarray(Image.fromarray(p).resize((4, 4), Image.Resampling.BOX)) for p in pictures
        ]
        seen = np.stack(small).astype(np.float32) / 255
        maps = np.moveaxis(seen, -1, 1)
        return seen.reshape(len(pictures), -1), dict.fromkeys((4, 8, 16, 32), maps)


def square(pixels):
    return images.centre_square(pixels, SIDE)


def shelf(path: Path, count: int, seed: int, tint=(0, 0, 0), size=(300, 280)) -> Path:
    path.mkdir(parents=True)
    for number in range(count):
        pixels = picture(*size, seed=100 * seed + number).astype(int) + np.array(tint)
        image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
        image.save(path / f"{number:03}.png")
    return path


@pytest.fixture(scope="module")
def shelves(tmp_path_factory):
    place = tmp_path_factory.mktemp("shelves")
    photos = shelf(place / "photos", 12, 1)
    paintings = shelf(place / "paintings", 20, 2, tint=(60, 20, -40))
    near = place / "near"
    near.mkdir()
    for file in photos.iterdir():
        pixels = np.asarray(Image.open(file)).astype(int) + np.array((60, 20, -40))
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(near / file.name)
    return photos, paintings, near


def room(tmp_path, eye=None, notes=None):
    said = (notes if notes is not None else []).append
    return Gallery([eye or Palette()], tmp_path / "seen", lambda *_: None, said)


def test_results_nearer_to_the_paintings_score_better_than_the_photos(shelves, tmp_path):
    photos, paintings, near = shelves
    found = evaluation.evaluate([str(near)], photos, paintings, room(tmp_path))
    originals, halves, _strangers, results = found.rows
    assert results.scores["Palette"].kid < originals.scores["Palette"].kid
    assert results.scores["Palette"].frechet < originals.scores["Palette"].frechet
    assert abs(halves.scores["Palette"].kid) < originals.scores["Palette"].kid
    low, high = originals.scores["Palette"].kid_interval
    assert low <= originals.scores["Palette"].kid <= high
    assert results.content["luma_correlation"].value > 0.9
    assert results.looks["colours"].value < originals.looks["colours"].value
    assert results.nearest[0].distance <= results.nearest[-1].distance
    assert (found.photos, found.paintings, results.pictures) == (12, 20, 12)
    assert "trust KID" in found.warnings()[0]
    assert json.loads(json.dumps(found.as_dict()))["rows"][-1]["name"] == str(near)


def test_features_that_are_no_numbers_are_one_sentence():
    rows = np.random.default_rng(0).normal(size=(40, 16)).astype(np.float32)
    broken = rows.copy()
    broken[3, 5] = np.nan
    for pair in ((broken, rows), (rows, broken)):
        with pytest.raises(DataError, match="no numbers"):
            evaluation.score(*pair)


def test_names_and_order_change_no_score(shelves, tmp_path):
    photos, paintings, _ = shelves
    renamed = tmp_path / "renamed"
    renamed.mkdir()
    files = sorted(photos.iterdir())
    for number, file in zip(np.random.default_rng(0).permutation(len(files)), files, strict=True):
        shutil.copy(file, renamed / f"{number}.png")
    eye = Palette()
    first = evaluation.evaluate([], photos, paintings, room(tmp_path, eye))
    asked = eye.asked
    again = evaluation.evaluate([], renamed, paintings, room(tmp_path, eye))
    assert eye.asked == asked  # known by what they are, not by what they are called
    assert again.rows[0].scores == first.rows[0].scores
    assert again.rows[0].looks == first.rows[0].looks
    alone = evaluation.evaluate([], renamed, paintings, room(tmp_path / "anew"))
    assert alone.rows[0].scores == first.rows[0].scores


def test_threads_change_no_score(shelves, tmp_path):
    photos, paintings, near = shelves
    one, many = (
        Gallery([Palette()], None, lambda *_: None, lambda _: None, workers) for workers in (1, 3)
    )
    assert evaluation.evaluate([str(near)], photos, paintings, one) == evaluation.evaluate(
        [str(near)], photos, paintings, many
    )


def test_a_scene_is_kept_by_a_copy_and_lost_by_another_photo(shelves, tmp_path):
    photos, paintings, _ = shelves
    found = evaluation.evaluate([str(photos)], photos, paintings, room(tmp_path))
    *_, strangers, copies = found.rows
    assert copies.content["scene_distance"].value == pytest.approx(0, abs=1e-9)
    assert copies.content["perceptual_change"].value == pytest.approx(0, abs=1e-9)
    assert strangers.content["scene_distance"].value > 0.001
    assert copies.content["median_change"].value == 0


def test_results_repeated_from_the_training_set_are_named(shelves, tmp_path):
    photos, paintings, _ = shelves
    results = tmp_path / "results"
    shutil.copytree(photos, results)
    shutil.copy(paintings / "007.png", results / "003.png")
    learned = shelf(tmp_path / "learned", 9, 8)
    found = evaluation.evaluate([str(results)], photos, paintings, room(tmp_path))
    assert (found.rows[-1].nearest[0].picture, found.rows[-1].nearest[0].painting) == (
        "003.png",
        "007.png",
    )
    assert found.rows[-1].nearest[0].distance == pytest.approx(0, abs=1e-9)
    other = evaluation.evaluate([str(results)], photos, paintings, room(tmp_path), learned)
    assert other.rows[-1].nearest[0].distance > 0
    assert (
        other.rows[-1].scores["Palette"].memorisation
        != found.rows[-1].scores["Palette"].memorisation
    )


def test_a_set_is_no_distance_from_itself():
    rows = np.random.default_rng(0).normal(size=(40, 16)).astype(np.float32)
    found = evaluation.score(rows, rows)
    assert found.frechet == pytest.approx(0.0, abs=1e-6)
    assert found.memorisation == pytest.approx(0.0, abs=1e-6)
    # Unbiased, so a little below 0: a picture meets itself across the sets only.
    assert -0.5 < found.kid <= 0


def test_what_was_seen_is_kept_and_seen_again_when_pictures_change(shelves, tmp_path):
    photos, _, _ = shelves
    copy = shelf(tmp_path / "copy", 9, 5)
    eye = Palette()
    first = room(tmp_path, eye).pictures(Squares(copy))
    assert eye.asked == 9
    again = room(tmp_path, eye).pictures(Squares(copy))
    assert eye.asked == 9
    assert np.array_equal(first.features["Palette"], again.features["Palette"])
    Image.open(copy / "000.png").rotate(90).save(copy / "000.png")
    room(tmp_path, eye).pictures(Squares(copy))
    assert eye.asked == 18
    other = Palette(sha256="1" * 64)
    room(tmp_path, other).pictures(Squares(copy))
    assert other.asked == 9
    assert photos.is_dir()


@pytest.mark.parametrize("part", ["rows", "signs"])
@pytest.mark.parametrize("damage", ["cut", "empty", "nan", "short"])
def test_a_damaged_cache_is_made_again(shelves, tmp_path, damage, part):
    photos, _, _ = shelves
    whole = room(tmp_path).pictures(Squares(photos))
    kept = {file: set(np.load(file).files) for file in (tmp_path / "seen").iterdir()}
    (file,) = [file for file, names in kept.items() if ("features" in names) == (part == "rows")]
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:200])
    elif damage == "empty":
        file.write_bytes(b"")
    else:
        with np.load(file) as kept:
            arrays = dict(kept)
        name = "features" if part == "rows" else "coherence"
        if damage == "nan":
            arrays[name][0] = np.nan
        else:
            arrays[name] = arrays[name][1:]
        np.savez(file, **arrays)
    notes: list[str] = []
    eye = Palette()
    again = room(tmp_path, eye, notes).pictures(Squares(photos))
    assert eye.asked == (12 if part == "rows" else 0)
    assert "damaged" in notes[0]
    assert np.array_equal(whole.appearance["coherence"], again.appearance["coherence"])
    assert np.array_equal(whole.features["Palette"], again.features["Palette"])


def test_two_may_share_a_cache(shelves, tmp_path):
    photos, _, _ = shelves
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: room(tmp_path).pictures(Squares(photos)), range(8)))
    assert all(np.array_equal(found[0].features["Palette"], f.features["Palette"]) for f in found)
    assert len(list((tmp_path / "seen").iterdir())) == 2


def test_a_kill_while_keeping_leaves_nothing_half(shelves, tmp_path, monkeypatch):
    photos, _, _ = shelves

    def killed(*_):
        raise SystemExit(137)

    with monkeypatch.context() as patch:
        patch.setattr("pleinair.files.os.replace", killed)
        with pytest.raises(SystemExit):
            room(tmp_path).pictures(Squares(photos))
    assert list((tmp_path / "seen").glob("[!.]*")) == []
    eye = Palette()
    room(tmp_path, eye).pictures(Squares(photos))
    assert eye.asked == 12


def test_a_cache_that_cannot_be_written_does_not_stop_anything(shelves, tmp_path):
    photos, _, _ = shelves
    (tmp_path / "seen").write_text("a file in the way")
    notes: list[str] = []
    found = room(tmp_path, None, notes).pictures(Squares(photos))
    assert len(found.names) == 12
    assert any("keeps nothing" in note for note in notes)


def test_unreadable_pictures_are_left_out_and_told(tmp_path):
    place = shelf(tmp_path / "some", 9, 3)
    (place / "004.png").write_bytes((place / "004.png").read_bytes()[:300])
    for again in (False, True):
        notes: list[str] = []
        found = room(tmp_path, None, notes).pictures(Squares(place))
        assert len(found.names) == 8
        assert "004.png" not in found.names
        assert "1 unreadable" in notes[-1]
        assert again or "004.png" in notes[0]


@pytest.mark.parametrize("count", [0, 1, 7])
def test_too_few_pictures_are_one_sentence(shelves, tmp_path, count):
    _, paintings, _ = shelves
    place = shelf(tmp_path / "few", count, 4)
    with pytest.raises(DataError, match=r"too few|no pictures?"):
        evaluation.evaluate([], place, paintings, room(tmp_path))


def test_a_painter_is_scored_and_named_once(shelves, tmp_path):
    photos, paintings, _ = shelves
    eye = Palette()
    found = evaluation.evaluate(["monet"], photos, paintings, room(tmp_path, eye))
    row = found.rows[-1]
    assert row.pictures == 12
    assert set(row.content) == {
        "luma_correlation",
        "median_change",
        "lattice_2",
        "lattice_4",
        "weave",
        "scene_distance",
        "perceptual_change",
    }
    asked = eye.asked
    again = evaluation.evaluate(["monet"], photos, paintings, room(tmp_path, eye))
    assert eye.asked == asked
    assert again == found
    with pytest.raises(UsageError, match="named twice"):
        evaluation.evaluate(["monet", "monet"], photos, paintings, room(tmp_path))
    eye = Palette(sha256="1" * 64)
    with pytest.raises(PainterError):
        evaluation.evaluate(["monet", "nobody"], photos, paintings, room(tmp_path, eye))
    assert eye.asked == 0  # told before anything is looked at


def test_a_run_is_its_painter_and_not_its_sample_sheets(shelves, tmp_path):
    photos, paintings, _ = shelves
    run = shelf(tmp_path / "RUN", 9, 6)
    (run / "history.jsonl").write_text("")
    with pytest.raises(UsageError, match=r"not finished; `pleinair export .*RUN painter\.onnx`"):
        evaluation.evaluate([str(run)], photos, paintings, room(tmp_path))
    shutil.copy(hub.find("monet"), run / "painter.onnx")
    found = evaluation.evaluate([str(run)], photos, paintings, room(tmp_path))
    named = evaluation.evaluate(["monet"], photos, paintings, room(tmp_path))
    assert found.rows[-1].scores == named.rows[-1].scores


def test_a_folder_does_not_hide_the_painter_of_its_name(shelves, tmp_path, monkeypatch):
    photos, paintings, near = shelves
    shutil.copytree(near, tmp_path / "monet")
    monkeypatch.chdir(tmp_path)
    found = evaluation.evaluate(["monet", "./monet"], photos, paintings, room(tmp_path))
    assert found.rows[-2].scores != found.rows[-1].scores
    assert found.show.entries[0].painter is not None
    assert found.show.entries[1].painter is None


def test_results_in_a_folder_of_a_zip(shelves, tmp_path):
    photos, paintings, near = shelves
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for part, place in (("near", near), ("other", photos)):
            for file in place.iterdir():
                archive.write(file, f"{part}/{file.name}")
    place = str(tmp_path / "all.zip" / "near")
    found = evaluation.evaluate([place, str(near)], photos, paintings, room(tmp_path))
    assert found.rows[-2].scores == found.rows[-1].scores
    assert found.rows[-2].content == found.rows[-1].content


def test_squares_are_the_middle_of_any_shape():
    wide = np.zeros((100, 300, 3), np.uint8)
    wide[:, 100:200] = 200
    found = square(wide)
    assert found.shape == (SIDE, SIDE, 3)
    assert found[:, 8:-8].min() == 200
    small = square(picture(40, 64))
    assert small.shape == (SIDE, SIDE, 3)
    exact = picture(SIDE, SIDE)
    assert np.array_equal(square(exact), exact)


@pytest.mark.parametrize("worsen", ["blur", "noise", "jpeg", "colour", "lattice"])
def test_damage_of_growing_strength_moves_scores_the_right_way(tmp_path, worsen):
    engines = pytest.importorskip("pleinair.engines", reason="torch is not installed")
    torch = pytest.importorskip("torch", reason="torch is not installed")
    eye = engines.backbone("lite0", torch.device("cpu"))
    random = np.random.default_rng(0)
    base = [square(picture(280, 280, seed=n)) for n in range(28)]
    reference, shown = eye.features(base[:14]), base[14:]
    kernel, frechet = [], []
    for strength in (0, 1, 2, 3):
        rows = eye.features([damaged(p, worsen, strength, random) for p in shown])
        kernel.append(metrics.kernel_distance(rows, reference))
        frechet.append(metrics.frechet_distance(rows, reference))
    assert kernel == sorted(kernel)
    assert frechet == sorted(frechet)


def damaged(pixels, kind, strength, random):
    image = Image.fromarray(pixels)
    if strength == 0:
        return pixels
    if kind == "blur":
        return np.asarray(image.filter(ImageFilter.GaussianBlur(1.5 * strength)))
    if kind == "jpeg":
        import io

        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=(30, 10, 3)[strength - 1])
        return np.asarray(Image.open(buffer))
    values = pixels.astype(float)
    if kind == "noise":
        values = values + random.normal(0, 12 * strength, values.shape)
    elif kind == "colour":
        values = values + np.array((25.0, 0.0, -25.0)) * strength
    else:
        values[::4, ::4] += 20 * strength
    return values.clip(0, 255).astype(np.uint8)


def test_batches_and_threads_do_not_change_features():
    engines = pytest.importorskip("pleinair.engines", reason="torch is not installed")
    torch = pytest.importorskip("torch", reason="torch is not installed")
    eye = engines.backbone("lite0", torch.device("cpu"))
    pictures = [picture(300, 260, seed=n) for n in range(4)]
    together = eye.features(pictures)
    alone = np.concatenate([eye.features([one]) for one in pictures])
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        single = eye.features(pictures)
    finally:
        torch.set_num_threads(before)
    assert together.shape == (4, 1280)
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(together, single, rtol=1e-4, atol=1e-5)


def test_other_weights_are_refused(monkeypatch, tmp_path):
    engines = pytest.importorskip("pleinair.engines", reason="torch is not installed")
    import torch

    from pleinair.networks import features

    other = tmp_path / "other.pth"
    other.write_bytes(features.weights_file(features.VARIANTS["lite0"]).read_bytes() + b" ")
    monkeypatch.setattr(engines, "weights_file", lambda _: other)
    with pytest.raises(DataError, match=r"install version 0\.1\.0"):
        engines.backbone("lite0", torch.device("cpu"))


def test_the_command_prints_a_table_and_json(shelves, tmp_path, monkeypatch, capsys):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    photos, paintings, near = shelves
    words = ["evaluate", str(near), "--photos", str(photos), "--paintings", str(paintings)]
    words += ["--cache", str(tmp_path / "seen"), "--device", "cpu"]
    assert run(monkeypatch, *words) == 0
    # Whatever comes next in this process computes as it would have without.
    assert torch.get_num_threads() == 2
    torch.set_num_threads(threads)
    out, err = capsys.readouterr()
    assert "KID-Lite0" in out
    assert "KID-Lite2" in out
    assert "photos themselves" in out
    assert "12 photos, 20 paintings" in err
    assert "57934424" in err
    assert "trust KID" in err
    assert run(monkeypatch, *words, "--json") == 0
    out, _ = capsys.readouterr()
    found = json.loads(out)
    assert found["eyes"]["Lite2"]["side"] == 260
    assert found["rows"][-1]["scores"]["Lite0"]["kid"] < 1
    assert run(monkeypatch, "evaluate", "--photos", str(tmp_path), "--paintings", "x") == 1
    out, err = capsys.readouterr()
    assert err.startswith("pleinair: ")
    assert "Traceback" not in err


def printed(width, value=("0.646", "(0.626 to 0.668)")):
    """Lines of a table of two rows and six such columns, on a terminal of this width."""
    names = ["monet", "runs/a-rather-long-name-of-a-run/painter.onnx"]
    columns = [tables.Column(f"a measure {n}", [value, value]) for n in range(6)]
    console = Console(width=width, file=io.StringIO())
    for table in tables.tables("Figures", names, columns, width):
        console.print(table)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("width", [60, 80, 100, 120, 240])
def test_no_interval_of_a_table_is_broken_and_no_name_cut(width):
    lines = printed(width)
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    assert text.count("(0.626 to 0.668)") == text.count("0.646") == 12
    assert "\u2026" not in text
    names = "".join(line[2:].split("  ")[0].strip() for line in lines)
    assert "runs/a-rather-long-name-of-a-run/painter.onnx" in names.replace(" ", "")
    one_line = "0.646 (0.626 to 0.668)" in text
    assert one_line == (width == 240)


def run(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["pleinair", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code
