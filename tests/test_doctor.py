from __future__ import annotations

import io
import json
import zipfile
from functools import lru_cache

import numpy as np
import pytest
import torch
from PIL import Image

from pleinair import (
    catalogue,
    cli,
    doctor,
    exports,
    graphs,
    hub,
    identify,
    importing,
    metrics,
    nameplate,
    trials,
)
from pleinair.config import AnySpec, ResNetSpec
from pleinair.errors import PainterError
from pleinair.networks import build
from pleinair.painter import Painter
from pleinair.weights import Weights, save


def painter(engine, spec=None) -> Painter:
    """A painter without a file around a function of arrays."""
    return Painter(lambda batch: np.asarray(engine(batch), np.float32), spec or ResNetSpec())


def muted(batch):
    """What a healthy painter does, about: warmer and with less contrast."""
    return np.clip(batch * 0.7 + np.array([0.15, 0.05, -0.1])[:, None, None], -1, 1)


def blurred(batch):
    return (batch + np.roll(batch, 1, 2) + np.roll(batch, 1, 3)) / 3


def shuffled(batch):
    """The checkerboard of a transposed convolution: one pixel in four is brighter."""
    made = muted(batch)
    made[:, :, ::2, ::2] += 0.12
    return np.clip(made, -1, 1)


def sized(batch):
    """A tint that comes with the size, as of a U-Net whose innermost norm wakes up."""
    return (
        muted(batch) + (0.4 if batch.shape[-1] > 256 else 0.0) * np.array([1, 0, -1])[:, None, None]
    )


def framed(batch):
    made = muted(batch)
    for edge in (np.s_[:, :, :8], np.s_[:, :, -8:], np.s_[..., :8], np.s_[..., -8:]):
        made[edge] -= 0.3
    return np.clip(made, -1, 1)


def dropped():
    random = np.random.default_rng(0)
    return lambda batch: np.clip(muted(batch) + random.normal(0, 0.1, batch.shape), -1, 1)


def stretched(batch):
    """As an instance norm does: what little there is becomes much."""
    flat = batch - batch.mean(axis=(2, 3), keepdims=True)
    return np.tanh(flat / (flat.std(axis=(2, 3), keepdims=True) + 0.02))


FAULTS = {
    "nothing": (muted, None, ""),
    "inversion": (lambda x: -muted(x), "warning", "they are exchanged"),
    "copying": (lambda x: x, "warning", "the photo is copied"),
    "nearly copying": (lambda x: x * 0.98, "warning", "copied"),
    "lattice": (shuffled, "warning", "a checkerboard"),
    "dead": (lambda x: np.zeros_like(x) + 0.3, "warning", "one flat colour"),
    "values": (lambda x: x * np.nan, "warning", "no numbers"),
    "range": (lambda x: (muted(x) + 1) * 127.5, "warning", "0 to 255|of -1 to 1"),
    "range half": (lambda x: (muted(x / 0.7) + 1) / 2, "warning", "the dark half is missing"),
    "range open": (lambda x: muted(x) * 2.2, "warning", "are beyond, and are cut off"),
    "same": (
        lambda x: np.zeros_like(x) + np.sin(np.arange(x.shape[-1]) / 9),
        "warning",
        "every photo gets about the same",
    ),
    "colours": (lambda x: muted(x)[:, ::-1], "warning", "red is as the photo's blue"),
    "colours lost": (
        lambda x: muted(x).mean(axis=1, keepdims=True).repeat(3, 1),
        "note",
        "one tint, or grey",
    ),
    "repeat": (dropped(), "warning", "differ by at most"),
    "size": (sized, "warning", "large photos get another tint"),
    "frame": (framed, "note", "darker than its middle"),
    "grain": (stretched, "note", "clear skies get blotches"),
    "shift": (
        lambda x: np.roll(muted(x), 9, axis=3),
        "note",
        "9 pixels from its place",
    ),
}


@pytest.fixture(scope="module", autouse=True)
def hurry():
    """The landscape is drawn once for all tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trials, "landscape", lru_cache(trials.landscape))
        yield


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_is_found(fault, monkeypatch):
    monkeypatch.setattr(doctor, "_speed", lambda *_: {})
    engine, level, words = FAULTS[fault]
    report = doctor.look(painter(engine))
    name = fault.split()[-1 if fault == "nearly copying" else 0]
    found = {one.name: one for one in report.findings}
    bad = {one.name: one.level for one in report.findings if one.level != "ok"}
    if level is None:
        assert bad == {}
        return
    assert bad.get(name) == level, bad
    assert any(word in found[name].found for word in words.split("|")), found[name].found
    assert found[name].why
    assert found[name].advice.endswith(".")
    assert found[name].found.endswith(".")


def test_a_negative_has_no_colours_exchanged(monkeypatch):
    monkeypatch.setattr(doctor, "_speed", lambda *_: {})
    # As a trained one is, whose hues are not turned as far as its light.
    made = doctor.look(painter(lambda x: -muted(_paler(x, 0.4))))
    found = {one.name: one for one in made.findings}
    assert found["inversion"].level == "warning"
    assert found["colours"].level == "note"
    assert "hues are turned round" in found["colours"].found


def _paler(batch, hues):
    gray = batch.mean(axis=1, keepdims=True)
    return gray + hues * (batch - gray)


def test_what_shows_must_be_mended_first_is_told_alone():
    report = doctor.look(painter(lambda x: x * np.nan))
    assert [one.name for one in report.findings] == ["values"]
    with pytest.raises(PainterError, match="no pictures"):
        report.sheet()
    report = doctor.look(painter(lambda x: np.zeros_like(x)))
    assert [one.name for one in report.findings] == ["values", "range", "dead", "repeat"]
    assert report.sheet().ndim == 3


def test_a_lattice_has_levels_only_where_it_is():
    smooth = trials.gradient(256)
    assert metrics.lattice_levels(smooth) < 0.1
    assert metrics.lattice_levels(trials.flat(256)) == 0
    for period in (2, 4):
        wavy = smooth.astype(np.int16)
        wavy[::period, ::period] += 8
        assert metrics.lattice_levels(np.clip(wavy, 0, 255).astype(np.uint8)) > 1
    noisy = smooth + np.random.default_rng(0).normal(0, 4, smooth.shape)
    assert metrics.lattice_levels(np.clip(noisy, 0, 255).astype(np.uint8)) < 0.5


def test_test_pictures_are_the_same_every_time():
    for draw in (trials.landscape, trials.chart, trials.noise):
        assert np.array_equal(draw(64), draw(64))
        assert draw(64).shape == (64, 64, 3)
    small = trials.landscape(64).mean(axis=(0, 1))
    assert np.abs(small - trials.landscape(128).mean(axis=(0, 1))).max() < 8  # the same scene


# --- files ------------------------------------------------------------------------------------


def run(*words: str) -> int:
    code = cli.app([*map(str, words)], result_action="return_value", exit_on_error=False)
    return int(code)


@pytest.fixture(scope="module")
def weights() -> Weights:
    torch.manual_seed(0)
    spec = ResNetSpec(channels=4, blocks=1)
    arrays = {name: value.numpy() for name, value in build(spec).state_dict().items()}
    return Weights(spec, arrays, {"title": "Small", "licence": "CC0-1.0"})


def test_the_painter_that_ships_is_healthy(capsys, tmp_path):
    sheet = tmp_path / "sheet.png"
    assert run("doctor", "monet", "--sheet", sheet) == 0
    said = capsys.readouterr().out
    assert "Nothing is wrong." in said
    assert "CC0-1.0" in said
    assert "WARNING" not in said
    assert "  note " not in said
    with Image.open(sheet) as shown:
        assert shown.size[0] > 512
    with pytest.raises(Exception, match="exists"):
        run("doctor", "monet", "--sheet", sheet)


def test_json_has_facts_and_findings(capsys, tmp_path, weights):
    (tmp_path / "small.onnx").write_bytes(graphs.painter(weights))
    assert run("doctor", tmp_path / "small.onnx", "--json") == 1  # not trained
    told = json.loads(capsys.readouterr().out)
    assert told["facts"]["title"] == "Small"
    assert told["facts"]["file"] == str(tmp_path / "small.onnx")
    assert told["facts"]["bytes"] == (tmp_path / "small.onnx").stat().st_size
    assert told["facts"]["parameters"] == sum(array.size for array in weights.arrays.values())
    assert told["facts"]["network"].startswith("kind resnet")
    assert told["facts"]["modes"].startswith("two")
    assert told["warnings"] == sum(one["level"] == "warning" for one in told["findings"])
    assert {one["name"] for one in told["findings"]} >= {"values", "range", "dead"}
    assert {one["level"] for one in told["findings"]} <= {"ok", "note", "warning"}
    assert all(set(one) == {"name", "level", "found", "why", "advice"} for one in told["findings"])


def test_json_also_tells_what_is_no_painter(capsys, tmp_path):
    (tmp_path / "page.pth").write_bytes(b"<html>")
    with pytest.raises(PainterError) as caught:
        run("doctor", tmp_path / "page.pth", "--json")
    assert json.loads(capsys.readouterr().out) == {"error": str(caught.value)}


def test_speed_is_that_of_painting_by_turns_and_none_of_monet_to_itself(monkeypatch):
    scene, clock = trials.flat(512), iter(range(1000))
    seen = []

    def timed(one, photo):
        seen.append((one.digest, photo.shape))
        # Every painting of monet takes 2 seconds; the other 4, then 3, then 1.
        other = sum(digest != monet.digest for digest, _ in seen)
        return 2.0 if one.digest == monet.digest else (4.0, 3.0, 1.0)[other - 1], photo

    monet = Painter.load("monet")
    monkeypatch.setattr(doctor, "_timed", timed)
    monkeypatch.setattr(doctor.time, "perf_counter", lambda: next(clock) * 0.1)
    told = doctor._speed(painter(muted), scene, 0.5)
    assert told == {"ms a megapixel": round(1e9 / 1024**2), "times monet": 0.5}
    assert {shape for _, shape in seen} == {(1024, 1024, 3)}
    assert doctor._speed(monet, scene, 0.5) == {"ms a megapixel": round(2e9 / 1024**2)}
    seen.clear()  # a slow one was painted with often enough
    assert doctor._speed(painter(muted), scene, 8.0) == {
        "ms a megapixel": round(8e9 / 512**2),
        "times monet": 4.0,
    }
    assert {digest for digest, _ in seen} == {monet.digest}


def test_a_file_of_others_that_is_dead_has_its_values_named(capsys, tmp_path):
    def stranger(batch):  # of 0 to 255, as it is where it was imported as one of 0 to 1
        return np.clip((batch + 1) * 127.5, -1, 1) * 0 + 1

    report = doctor.look(painter(stranger, AnySpec()))
    found = {one.name: one for one in report.findings}
    assert found["range"].level == "note"
    assert "--values 0..255" in found["dead"].advice
    known = doctor.look(painter(stranger)).findings
    assert "--values" not in next(one.advice for one in known if one.name == "dead")


def test_no_more_is_said_of_a_network_than_is_known(monkeypatch):
    monkeypatch.setattr(doctor, "_speed", lambda *_: {})
    for spec, words in (
        (ResNetSpec(), "transposed convolutions overlap unevenly,"),
        (ResNetSpec(blur_up=True), "though they do not overlap"),
        (AnySpec(), "as transposed convolutions often do"),
    ):
        findings = doctor.look(painter(shuffled, spec)).findings
        assert words in next(one.why for one in findings if one.name == "lattice")
    turned = doctor.look(painter(lambda x: 1e-3 * x[:, [1, 2, 0]] + muted(x).mean(1))).findings
    assert "-0%" not in next(one.found for one in turned if one.name == "colours")


def test_runs_weights_and_others_files(capsys, tmp_path, weights, monkeypatch):
    monkeypatch.setattr(doctor, "_speed", lambda *_: {})
    (tmp_path / "run").mkdir()
    save(weights, tmp_path / "run" / "painter.safetensors")
    torch.save(build(weights.spec).state_dict(), tmp_path / "latest_net_G.pth")
    for place, kind in (("run", "weights"), ("latest_net_G.pth", "PyTorch")):
        run("doctor", tmp_path / place, "--json")
        facts = json.loads(capsys.readouterr().out)["facts"]
        assert kind in facts["kind"]
        assert facts["network"].startswith("kind resnet")


def zipped(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, b"x" * 100)
    return file.getvalue()


WRONG = {
    "empty.pth": (b"", "is empty"),
    "zeros.pth": (b"\0" * 600, "begins with zeros"),
    "page.pth": (b"\n<!DOCTYPE html><html>404", "is a web page"),
    "bom.h5": (b"\xef\xbb\xbf<html>login", "is a web page"),
    "pointer.onnx": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0",
        "Git LFS pointer",
    ),
    "lite.tflite": (b"\x1c\0\0\0TFL3" + b"\0" * 100, "TensorFlow Lite"),
    "cut.onnx": (hub.find("monet").read_bytes()[:50_000], "cut short"),
    "photo.onnx": (b"\xff\xd8\xff\xe0" + b"\0" * 50, "is a picture"),
    "model.gz": (b"\x1f\x8b\x08" + b"\0" * 50, "packed by gzip"),
    "model.zip": (
        zipped("model/saved_model.pb", "model/variables/v.index"),
        "zip file around model/",
    ),
    "other.zip": (zipped("a.txt"), "none is a painter"),
    "half.zip": (zipped("a.onnx")[:60], "cut short"),
    "style.t7": (b"\x04\0\0\0\x01\0\0\0\x03\xff", "Torch 7"),
    "config.json": (b'{"class_name": "Functional"}', "JSON"),
    "notes.txt": (b"hello", "text file"),
    "words.gguf": (b"GGUF" + b"\x03" * 20, "language model"),
    "noise.bin": (bytes(range(129, 256)), "no kind that is known"),
    "noise.pth": (bytes(range(200, 256)), "damaged"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_painter_is_told_apart_in_one_sentence(name, tmp_path):
    data, words = WRONG[name]
    path = tmp_path / name
    path.write_bytes(data)
    assert words in identify.described(path)
    with pytest.raises(PainterError) as caught:
        doctor.examine(str(path))
    said = str(caught.value)
    assert str(path) in said
    assert "\n" not in said
    assert said.endswith(".")
    if not name.startswith(("half", "cut")):  # whose own readers may say it
        assert words in said


@pytest.mark.parametrize("name", [name for name in WRONG if not name.startswith("half")])
def test_painting_importing_and_exporting_say_what_the_doctor_says(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(WRONG[name][0])
    for door in (
        Painter.load,
        lambda one: importing.import_painter(one, tmp_path / "new.onnx"),
        lambda one: exports.export(one, tmp_path / "new.safetensors"),
        lambda one: catalogue.known(str(one)),
    ):
        with pytest.raises(PainterError) as caught:
            door(path)
        assert str(caught.value) == f"{path} {identify.described(path)}"
        assert not list(tmp_path.glob("new*"))


def test_what_was_exported_for_other_programs_is_told(tmp_path, weights):
    exports.export(hub.find("monet"), tmp_path / "m.pt2")
    with pytest.raises(PainterError, match="is PyTorch's ExportedProgram, made for other"):
        Painter.load(tmp_path / "m.pt2")
    (tmp_path / "m.mlpackage" / "Data").mkdir(parents=True)
    (tmp_path / "m.mlpackage" / "Manifest.json").write_text("{}")
    with pytest.raises(PainterError, match=r"is a Core ML package, .* give the \.onnx"):
        doctor.examine(str(tmp_path / "m.mlpackage"))
    other = tmp_path / "monet.pth"
    other.write_bytes(hub.find("monet").read_bytes())
    with pytest.raises(PainterError, match="is an ONNX file by another name"):
        exports.export(other, tmp_path / "new.safetensors")


def test_parameters_are_those_of_the_network(weights):
    expected = sum(array.size for array in weights.arrays.values())
    assert nameplate.parameters(graphs.painter(weights)) == expected


def test_folders_and_discriminators(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "history.jsonl").write_text("")
    with pytest.raises(PainterError, match="without a painter yet"):
        doctor.examine(str(tmp_path / "run"))
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "a.onnx").write_bytes(b"")
    with pytest.raises(PainterError, match=r"holds a\.onnx"):
        doctor.examine(str(tmp_path / "more"))
    with pytest.raises(PainterError, match="cannot be read"):
        raise PainterError(f"x {identify.described(tmp_path / 'none')}")
    with pytest.raises(PainterError, match="is unknown"):
        doctor.examine("degas")
    path = tmp_path / "judge.onnx"
    spec = json.dumps({"kind": "patch", "channels": 4})
    path.write_bytes(nameplate.with_metadata(hub.find("monet").read_bytes(), "spec", spec))
    with pytest.raises(PainterError, match="discriminator"):
        doctor.examine(str(path))
