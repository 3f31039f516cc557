"""Exports that need PyTorch or a converter."""

from __future__ import annotations

import importlib.util
import re
import zipfile

import numpy as np
import pytest
import torch

from pleinair import exports, files, leaves, weights
from pleinair.engines import network_of
from pleinair.errors import MissingExtraError
from pleinair.exports import fixed
from pleinair.painter import Painter

from .conftest import REPOSITORY
from .painters import SPECS, painted, painter_of, says_what_it_is

# --- PyTorch ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["light", "unet", "blurred"])
def test_a_program_runs_without_our_code(name, tmp_path):
    source, target = tmp_path / "painter.safetensors", tmp_path / "painter.pt2"
    weights.save(painter_of(SPECS[name]), source)
    assert "ExportedProgram and PyTorch differ by at most" in exports.export(source, target)
    told = dict.fromkeys(("spec", "card", "pixels"), "")
    program = torch.export.load(target, extra_files=told).module()
    says_what_it_is(told, source, "float32 NCHW, RGB in sRGB, [-1, 1]")
    network = network_of(weights.load(source))
    for height, width in ((256, 256), (512, 256), (256, 768)):
        photo = leaves.picture(1, height, width)
        np.testing.assert_allclose(painted(program, photo), painted(network, photo), atol=1e-4)
    with zipfile.ZipFile(target) as archive:
        held = b"".join(archive.read(name) for name in archive.namelist())
    for trace in (b'File "', str(REPOSITORY).encode(), b".py"):
        assert trace not in held


def test_the_python_of_the_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("monet.onnx", "monet.pt2"):
        exports.export("monet", tmp_path / name)
    page = (REPOSITORY / "docs" / "export.md").read_text(encoding="utf-8")
    known: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(compile(block, "export.md", "exec"), known)
    assert known["painting"].shape == (1, 3, 256, 320)
    assert Painter.load("small.onnx").card["precision"] == "float16"


# --- phones -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(SPECS))
def test_layers_that_converters_know_compute_the_same(name):
    painter = painter_of(SPECS[name])
    photo = leaves.picture(2, 256, 256)
    expected = painted(network_of(painter), photo)
    last = fixed.ChannelsLast(fixed.plainly(network_of(painter))).eval()
    found = painted(last, np.ascontiguousarray(photo.transpose(0, 2, 3, 1)))
    np.testing.assert_allclose(found.transpose(0, 3, 1, 2), expected, atol=1e-4)
    levels = painted(fixed.Levels(network_of(painter)), photo)
    np.testing.assert_allclose(levels, (np.clip(expected, -1, 1) + 1) * 127.5, atol=1e-2)


@pytest.mark.skipif(not importlib.util.find_spec("coremltools"), reason="coremltools is missing")
@pytest.mark.parametrize("name", ["light", "resnet", "unet"])
def test_core_ml_takes_images_and_says_what_it_is(name, tmp_path):
    import coremltools

    source, target = tmp_path / "a.safetensors", tmp_path / "a.mlpackage"
    weights.save(painter_of(SPECS[name]), source)
    words = exports.export(source, target, size=(512, 256))
    assert "Core ML" in words
    model = coremltools.models.MLModel(str(target), skip_model_load=True)
    says_what_it_is(model.user_defined_metadata, source, "an RGB image in sRGB, 8 bits a channel")
    (taken,), (given,) = model.get_spec().description.input, model.get_spec().description.output
    assert (taken.name, given.name) == ("photo", "painting")
    assert (taken.type.imageType.width, taken.type.imageType.height) == (512, 256)
    assert given.type.imageType.colorSpace == taken.type.imageType.colorSpace
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mlpackage", "a.safetensors"]


@pytest.mark.skipif(not importlib.util.find_spec("litert_torch"), reason="litert-torch is missing")
@pytest.mark.parametrize("name", ["light", "resnet", "unet"])
def test_litert_paints_with_channels_last(name, tmp_path):
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.interpreter import Interpreter

    source, target = tmp_path / "a.safetensors", tmp_path / "a.tflite"
    weights.save(painter_of(SPECS[name]), source)
    assert "LiteRT and PyTorch differ by at most" in exports.export(source, target, size=(512, 256))
    model = schema.ModelT.InitFromPackedBuf(target.read_bytes())
    told = {
        m.name.decode(): bytes(model.buffers[m.buffer].data).decode()
        for m in model.metadata
        if m.name.decode() in ("spec", "card", "pixels")
    }
    says_what_it_is(told, source, "float32 NHWC, RGB in sRGB, [-1, 1]")
    interpreter = Interpreter(model_path=str(target))
    interpreter.allocate_tensors()
    assert interpreter.get_input_details()[0]["shape"].tolist() == [1, 256, 512, 3]


@pytest.mark.skipif(bool(importlib.util.find_spec("litert_torch")), reason="it is installed")
def test_a_missing_converter_is_named(tmp_path):
    with pytest.raises(MissingExtraError, match=r"LiteRT needs .*'pleinair\[litert\]'"):
        exports.export("monet", tmp_path / "a.tflite")
    assert list(tmp_path.iterdir()) == []


# --- folders in the place of folders ----------------------------------------------------------


def test_a_folder_takes_the_place_of_another_in_one_step(tmp_path):
    target = tmp_path / "a.mlpackage"
    for text in ("first", "second"):
        with files.placing(target) as place:
            place.mkdir()
            (place / "in it").write_text(text)
    assert (target / "in it").read_text() == "second"
    with pytest.raises(RuntimeError), files.placing(target) as place:
        place.mkdir()
        raise RuntimeError
    assert (target / "in it").read_text() == "second"
    assert list(tmp_path.iterdir()) == [target]
