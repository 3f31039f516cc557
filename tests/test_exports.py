from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pleinair import exports, foreign, images, leaves, weights
from pleinair.cli import app
from pleinair.config import RECIPES
from pleinair.engines import network_of
from pleinair.errors import (
    CheckpointError,
    ExportError,
    OutputError,
    PainterError,
    UsageError,
)
from pleinair.exports import graph, halves
from pleinair.exports.wish import Wish
from pleinair.painter import Painter
from pleinair.recipes import spec_from_dict, spec_to_dict

from .conftest import REPOSITORY
from .painters import SPECS, painted, painter_of, says_what_it_is

h5py = pytest.importorskip("h5py")


@pytest.fixture(scope="module", params=["light", "resnet", "unet"])
def source(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("source") / f"{request.param}.safetensors"
    weights.save(painter_of(SPECS[request.param]), path)
    return path


@pytest.fixture(scope="module")
def unet(tmp_path_factory):
    path = tmp_path_factory.mktemp("unet") / "unet.safetensors"
    weights.save(painter_of(SPECS["unet"]), path)
    return path


# --- sources and kinds ------------------------------------------------------------------------


def test_a_painter_by_name_by_run_and_by_file(tmp_path):
    shipped = exports.read("monet")
    assert shipped.spec == RECIPES["swift"].generator
    run = tmp_path / "run"
    run.mkdir()
    with pytest.raises(CheckpointError, match="holds no painter yet"):
        exports.read(run)
    weights.save(shipped, run / "painter.safetensors")
    assert exports.read(run).card == shipped.card
    with pytest.raises(PainterError, match="does not exist"):
        exports.read(tmp_path / "nothing.safetensors")


def test_weights_of_other_programs_go_on_to_others(tmp_path):
    painter = painter_of(SPECS["resnet"])
    published = {name: torch.from_numpy(array) for name, array in painter.arrays.items()}
    torch.save(published, tmp_path / "latest_net_G.pth")
    exports.export(tmp_path / "latest_net_G.pth", tmp_path / "a.onnx", precision="float16")
    assert Painter.load(tmp_path / "a.onnx").spec == SPECS["resnet"]


def test_an_unknown_kind_is_answered_with_those_that_are_known(tmp_path):
    with pytest.raises(OutputError, match=r"\.onnx \(ONNX\).*\.weights\.h5.*\.pt2.*\.tflite"):
        exports.export("monet", tmp_path / "monet.bin")
    assert exports.kind_of(Path("a.weights.h5")).words == "Keras 3 weights"
    assert exports.kind_of(Path("A.H5")).words == "Keras 2 weights"


@pytest.mark.parametrize(
    ("target", "wish", "words"),
    [
        ("a.pt2", {"precision": "int8"}, "for .onnx files"),
        ("a.onnx", {"precision": "int4"}, "float32, float16 or int8"),
        ("a.onnx", {"calibrate": Path()}, "for --precision int8 alone"),
        ("a.onnx", {"size": (256, 256)}, "photos of any size"),
        ("a.mlpackage", {"size": (255, 256)}, "255x256 pixels .* light takes multiples of 4"),
        ("a.mlpackage", {"size": (0, 4)}, "multiples of 4"),
        ("a.h5", {}, "this painter is light; export .onnx"),
    ],
)
def test_wishes_that_mean_nothing(target, wish, words, tmp_path):
    with pytest.raises(UsageError, match=words):
        exports.export("monet", tmp_path / target, **wish)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten_in_silence(tmp_path):
    for name in ("a.onnx", "b.mlpackage"):
        target = tmp_path / name
        target.write_bytes(b"mine") if name == "a.onnx" else target.mkdir()
        with pytest.raises(OutputError, match="--force"):
            exports.export("monet", target)


def test_a_discriminator_is_no_painter(tmp_path):
    from pleinair.config import PatchSpec

    spec = PatchSpec(channels=4, layers=1)
    weights.save(painter_of(spec), tmp_path / "a.safetensors")
    with pytest.raises(PainterError, match="holds a discriminator"):
        exports.export(tmp_path / "a.safetensors", tmp_path / "a.onnx")


def test_weights_of_another_network_than_their_spec(tmp_path):
    painter = painter_of(SPECS["unet"])
    painter.arrays.pop("down.1.norm.bias")
    weights.save(painter, tmp_path / "a.safetensors")
    for name in ("b.onnx", "b.pt2", "b.h5", "b.safetensors"):
        with pytest.raises((CheckpointError, PainterError), match=r"not fit|missing"):
            exports.export(tmp_path / "a.safetensors", tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


def test_the_command(tmp_path, capsys):
    target = tmp_path / "new" / "monet.onnx"
    words = ["export", "monet", str(target), "--precision", "float16", "--licence", "CC0-1.0"]
    assert app(words, result_action="return_value", exit_on_error=False) == 0
    out, err = capsys.readouterr()
    assert out == f"{target}\n"
    assert "float16 and float32 differ by at most 0." in err
    assert Painter.load(target).card["licence"] == "CC0-1.0"
    assert Painter.load(target).words("monet")[0] == "Monet"  # by its name
    assert target.stat().st_size < 0.52 * exports.hub.find("monet").stat().st_size
    words[2] = str(tmp_path / "named.onnx")
    words += ["--title", "Monet, light", "--about", "For phones."]
    assert app(words, result_action="return_value", exit_on_error=False) == 0
    assert Painter.load(Path(words[2])).words("named")[:2] == ("Monet, light", "For phones.")
    with pytest.raises(UsageError, match="512 or as 640x480"):
        app(["export", "monet", "a.tflite", "--size", "big"], exit_on_error=False)


# --- ONNX -------------------------------------------------------------------------------------


def test_half_the_bytes_and_the_same_painting(source, tmp_path):
    whole, half = tmp_path / "whole.onnx", tmp_path / "half.onnx"
    assert "ONNX and PyTorch differ by at most" in exports.export(source, whole)
    words = exports.export(source, half, precision="float16")
    assert "float16 and float32 differ by at most" in words
    first, second = Painter.load(whole), Painter.load(half)
    assert second.card["precision"] == "float16"
    assert first.digest != second.digest
    photo = leaves.picture(50, 256, 512)
    expected = first.engine(photo)
    statistics = second.engine.measure(photo)
    assert statistics.dtype == np.float32
    for engine in (second.engine, second.engine.fixed(statistics)):
        assert 0 < np.abs(engine(photo) - expected).mean() < 0.5 / 127.5


def test_half_precision_is_made_whole_again(tmp_path):
    source = tmp_path / "a.safetensors"
    weights.save(painter_of(SPECS["light"]), source)
    exports.export(source, tmp_path / "half.onnx", precision="float16")
    exports.export(tmp_path / "half.onnx", tmp_path / "again.safetensors")
    before, after = weights.load(source), weights.load(tmp_path / "again.safetensors")
    assert "precision" not in after.card
    for name, array in before.arrays.items():
        assert after.arrays[name].dtype == np.float32
        np.testing.assert_allclose(after.arrays[name], array, rtol=1e-3, atol=1e-6)


def test_weights_beyond_half_precision_are_not_written(tmp_path):
    painter = painter_of(SPECS["light"])
    painter.arrays["half_in.weight"][0, 0, 0, 0] = 1e6
    weights.save(painter, tmp_path / "a.safetensors")
    with pytest.raises(ExportError, match="use --precision float32"):
        exports.export(tmp_path / "a.safetensors", tmp_path / "a.onnx", precision="float16")
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


def test_eight_bits_paint_what_the_shipped_painter_paints(tmp_path, capfd):
    target = tmp_path / "int8.onnx"
    words = exports.export("monet", target, precision="int8")
    assert "of 255 levels on average" in words
    assert capfd.readouterr().out == ""  # which is for data
    assert target.stat().st_size < 0.45 * exports.hub.find("monet").stat().st_size
    ours, shipped = Painter.load(target), Painter.load("monet")
    photo = images.to_batch(images.read_square(REPOSITORY / "samples/castle.jpg", 256))
    for engine in (ours.engine, ours.engine.fixed(ours.engine.measure(photo))):
        difference = (engine(photo) - shipped.engine(photo)) * 127.5
        assert 10 * np.log10(255**2 / np.mean(difference**2)) > 40
    with pytest.raises(PainterError, match="weights of 8 bits"):
        exports.export(target, tmp_path / "again.onnx")


def test_eight_bits_are_fitted_to_photos(tmp_path):
    words = exports.export(
        "monet", tmp_path / "a.onnx", precision="int8", calibrate=REPOSITORY / "samples"
    )
    assert "of 2 pictures" in words  # those of five that it was not fitted to
    one = tmp_path / "one"
    one.mkdir()
    images.write(images.read(REPOSITORY / "samples/castle.jpg"), one / "a.jpg")
    with pytest.raises(UsageError, match="two or more"):
        exports.export("monet", tmp_path / "b.onnx", precision="int8", calibrate=one)


def test_a_painter_that_eight_bits_damage_is_not_written(tmp_path):
    painter = painter_of(SPECS["resnet"])
    for name, array in painter.arrays.items():  # a channel of a block speaks for all
        if ".conv_block.1.weight" in name:
            array[0] *= 1e4
            array[:, 0] *= 1e4
    weights.save(painter, tmp_path / "a.safetensors")
    with pytest.raises(ExportError, match=r"dB on the worst of 4 pictures.*--precision float16"):
        exports.export(tmp_path / "a.safetensors", tmp_path / "a.onnx", precision="int8")
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


def test_eight_bits_need_residual_blocks(unet, tmp_path):
    with pytest.raises(UsageError, match="unet has none; use --precision float16"):
        exports.export(unet, tmp_path / "a.onnx", precision="int8")


def test_a_file_that_disagrees_leaves_what_was_there(tmp_path, monkeypatch):
    target = tmp_path / "a.onnx"
    target.write_bytes(b"before")
    monkeypatch.setattr(graph, "_differences", lambda *_: iter([np.full((1, 3, 4, 4), np.nan)]))
    with pytest.raises(ExportError, match="differ by at most nan of 255 levels"):
        exports.export("monet", target, precision="float16", force=True)
    assert target.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [target]


def test_only_kernels_are_halved():
    from pleinair import graphs

    model = halves.halved(graphs.model(SPECS["light"], painter_of(SPECS["light"]).arrays))
    onnx = pytest.importorskip("onnx")
    onnx.checker.check_model(model, full_check=True)
    kinds = {t.name: t.data_type for t in model.graph.initializer}
    assert kinds["blocks.0.first.weight"] == onnx.TensorProto.FLOAT16
    assert kinds["blocks.0.norm.weight"] == kinds["half_in.bias"] == onnx.TensorProto.FLOAT
    assert kinds["given_statistics"] == onnx.TensorProto.FLOAT


# --- our own ----------------------------------------------------------------------------------


def test_our_own_weights(source, tmp_path):
    target = tmp_path / "a.safetensors"
    assert "bit for bit" in exports.export(source, target, about={"licence": "CC0-1.0"})
    before, after = weights.load(source), weights.load(target)
    assert after.spec == before.spec
    assert after.card["licence"] == "CC0-1.0"
    assert after.arrays.keys() == before.arrays.keys()
    assert all(np.array_equal(after.arrays[k], before.arrays[k]) for k in before.arrays)


# --- Keras ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def keras(tmp_path_factory):
    os.environ.setdefault("KERAS_BACKEND", "torch")
    os.environ.setdefault("KERAS_HOME", str(tmp_path_factory.mktemp("keras")))
    keras = pytest.importorskip("keras")
    if keras.backend.backend() != "torch":
        pytest.skip("Keras was imported with another back end")
    return keras


def tutorial(keras, channels, norm=None):
    """The tutorial's generator from its public description."""
    layers = keras.layers
    norm = norm or (lambda: layers.GroupNormalization(groups=-1))

    def downsample(filters, normed):
        block = keras.Sequential()
        block.add(layers.Conv2D(filters, 4, strides=2, padding="same", use_bias=False))
        if normed:
            block.add(norm())
        block.add(layers.LeakyReLU(negative_slope=0.3))
        return block

    def upsample(filters, dropout):
        block = keras.Sequential()
        block.add(layers.Conv2DTranspose(filters, 4, strides=2, padding="same", use_bias=False))
        block.add(norm())
        if dropout:
            block.add(layers.Dropout(0.5))
        block.add(layers.ReLU())
        return block

    widths = [channels * factor for factor in (1, 2, 4, 8, 8, 8, 8, 8)]
    inputs = x = layers.Input(shape=[256, 256, 3])
    skips = []
    for level, filters in enumerate(widths):
        x = downsample(filters, level > 0)(x)
        skips.append(x)
    for level, (filters, skip) in enumerate(zip(widths[-2::-1], skips[-2::-1], strict=True)):
        x = layers.Concatenate()([upsample(filters, level < 3)(x), skip])
    last = layers.Conv2DTranspose(3, 4, strides=2, padding="same", activation="tanh")
    return keras.Model(inputs=inputs, outputs=last(x))


def own_norm(keras):
    class InstanceNormalization(keras.layers.GroupNormalization):
        def __init__(self, **more):
            super().__init__(groups=-1, **more)

    return InstanceNormalization


@pytest.mark.parametrize("suffix", [".weights.h5", ".h5"])
@pytest.mark.parametrize("own", [False, True])
def test_the_notebook_loads_and_paints_what_was_trained_here(suffix, own, keras, unet, tmp_path):
    target = tmp_path / f"monet{suffix}"
    assert exports.export(unet, target) == "45 arrays read back from the file, bit for bit."
    model = tutorial(keras, SPECS["unet"].channels, own_norm(keras) if own else None)
    model.load_weights(target)
    photo = leaves.picture(9, 256, 256)
    found = model(torch.from_numpy(photo.transpose(0, 2, 3, 1).copy()), training=False)
    found = found.detach().numpy().transpose(0, 3, 1, 2)
    expected = painted(network_of(weights.load(unet)), photo)
    assert np.ptp(expected) > 0.5
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("suffix", [".weights.h5", ".h5"])
def test_keras_weights_say_what_they_are(suffix, unet, tmp_path):
    target = tmp_path / f"monet{suffix}"
    exports.export(unet, target)
    with h5py.File(target) as file:
        says_what_it_is(dict(file.attrs), unet, "float32 NHWC, RGB in sRGB, [-1, 1]")
    size = sum(array.nbytes for array in weights.load(unet).arrays.values())
    assert target.stat().st_size < size + 150_000  # a second name is no second copy


@pytest.mark.parametrize("suffix", [".weights.h5", ".h5"])
def test_what_was_written_for_keras_is_read_again(suffix, unet, tmp_path):
    exports.export(unet, tmp_path / f"monet{suffix}")
    found, before = foreign.read(tmp_path / f"monet{suffix}").weights, weights.load(unet)
    assert found.spec == before.spec
    assert found.arrays.keys() == before.arrays.keys()
    assert all(np.array_equal(found.arrays[k], before.arrays[k]) for k in before.arrays)


def test_other_networks_are_no_tutorial(tmp_path):
    for name, words in (("resnet", "resnet"), ("pix2pix", "a U-Net of pix2pix's order")):
        path = tmp_path / f"{name}.safetensors"
        weights.save(painter_of(SPECS[name]), path)
        with pytest.raises(UsageError, match=f"this painter is {words}"):
            exports.export(path, tmp_path / "a.weights.h5")
    steep = tmp_path / "steep.safetensors"
    weights.save(painter_of(replace(SPECS["unet"], slope=0.2)), steep)
    with pytest.raises(UsageError, match=r"a slope of 0\.3 .* this painter 0\.2"):
        exports.export(steep, tmp_path / "a.weights.h5")


# --- made pictures ----------------------------------------------------------------------------


def test_leaves_are_the_same_for_everybody_and_cover_the_range():
    first = leaves.picture(4, 96, 64)
    assert first.shape == (1, 3, 96, 64)
    assert first.dtype == np.float32
    assert np.array_equal(first, leaves.picture(4, 96, 64))
    assert not np.array_equal(first, leaves.picture(5, 96, 64))
    assert first.min() == -1
    assert first.max() == 1


def test_a_wish_knows_its_size():
    assert Wish().size == (512, 512)
    assert spec_from_dict(spec_to_dict(SPECS["blurred"])) == SPECS["blurred"]


def test_one_painter_is_one_file_however_often_it_is_written(tmp_path):
    """safetensors has its words in a new order each time."""
    painter = painter_of(SPECS["light"])
    files = set()
    for number in range(8):
        path = tmp_path / f"{number}.safetensors"
        weights.save(painter, path)
        files.add(path.read_bytes())
        assert weights.load(path).card == painter.card
    assert len(files) == 1
