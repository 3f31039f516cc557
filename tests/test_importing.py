from __future__ import annotations

import hashlib
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import save_file
from torch import nn

from pleinair import cli, files, foreign, hub, onnxfile, ranges, weights
from pleinair.config import AnySpec, ResNetSpec
from pleinair.errors import ExportError, OutputError, PainterError
from pleinair.importing import import_painter, name_of
from pleinair.networks import build
from pleinair.painter import Painter
from pleinair.ranges import Contract
from pleinair.settings import IMPORT
from pleinair.shelf import Shelf
from pleinair.weights import Weights

from .conftest import REPOSITORY, picture
from .reference import ResnetGenerator, painted, randomised

# --- somebody's graphs ------------------------------------------------------------------------

LOW_HIGH = ranges.RANGES


def curved(values: str, x: str = "x", y: str = "y") -> list:
    """Nodes of a painter in a range: more contrast, with soft ends, as a tanh gives it."""
    low, high = LOW_HIGH[values]
    middle, half = (low + high) / 2, (high - low) / 2
    constants = {"shift": -middle, "gain": 1.2 / half, "half": half, "middle": middle}
    nodes = [
        helper.make_node(
            "Constant", [], [name], value=numpy_helper.from_array(np.array(value, np.float32))
        )
        for name, value in constants.items()
    ]
    return [
        *nodes,
        helper.make_node("Add", [x, "shift"], ["centred"]),
        helper.make_node("Mul", ["centred", "gain"], ["steeper"]),
        helper.make_node("Tanh", ["steeper"], ["soft"]),
        helper.make_node("Mul", ["soft", "half"], ["wide"]),
        helper.make_node("Add", ["wide", "middle"], [y]),
    ]


def written(path, nodes, shape, given=None, kind=TensorProto.FLOAT, opset=18, inputs=("x",)):
    ends = [helper.make_tensor_value_info(n, kind, shape) for n in inputs]
    out = helper.make_tensor_value_info("y", kind, given or shape)
    graph = helper.make_graph(nodes, "main", ends, [out])
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=min(10, 3 + opset // 2)
    )
    onnx.save(model, path)
    return path


def expected(photo: np.ndarray) -> np.ndarray:
    """What `curved` makes of pixels, whatever the range."""
    return np.tanh(1.2 * (photo.astype(float) / 127.5 - 1)) * 127.5 + 127.5


@pytest.mark.parametrize("values", LOW_HIGH)
@pytest.mark.parametrize(
    "shape",
    [[1, 3, "h", "w"], ["batch", "h", "w", 3], [1, 3, 32, 48], ["n", 40, 24, 3], [None] * 4],
    ids=["free", "channels last", "fixed", "fixed, channels last", "nothing said"],
)
def test_any_network_paints_and_is_imported(tmp_path, values, shape):
    path = written(tmp_path / "style.onnx", curved(values), shape)
    photo = picture(40, 24) if 40 in shape else picture(32, 48)
    painter = Painter.load(path)
    assert painter.engine.contract == Contract(values, values)
    assert painter.engine.layout == ("NHWC" if shape[-1] == 3 else "NCHW")
    assert np.abs(painter.paint(photo) - expected(photo)).max() <= 1.01
    done = import_painter(path, tmp_path / "out.onnx", licence="CC0-1.0")
    assert done.contract == Contract(values, values)
    ours = Painter.load(tmp_path / "out.onnx")
    assert ours.engine.contract == Contract()
    assert ours.card["licence"] == "CC0-1.0"
    assert ours.card["origin"] == "style.onnx"
    assert ours.card["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert isinstance(ours.spec, AnySpec)
    assert np.abs(ours.paint(photo).astype(int) - painter.paint(photo)).max() <= 1
    model = onnx.load(tmp_path / "out.onnx")
    assert ([e.name for e in model.graph.input], [e.name for e in model.graph.output]) == (
        ["photo"],
        ["painting"],
    )


@pytest.mark.parametrize("kind", [TensorProto.FLOAT16, TensorProto.UINT8], ids=["float16", "uint8"])
def test_other_kinds_of_numbers(tmp_path, kind):
    nodes = curved("0..255")
    if kind == TensorProto.UINT8:
        nodes = [
            helper.make_node("Cast", ["x"], ["given"], to=TensorProto.FLOAT),
            *curved("0..255", "given", "out"),
            helper.make_node("Cast", ["out"], ["y"], to=TensorProto.UINT8),
        ]
    else:
        for node in nodes:
            for attribute in node.attribute:
                array = numpy_helper.to_array(attribute.t).astype(np.float16)
                attribute.t.CopyFrom(numpy_helper.from_array(array))
    path = written(tmp_path / "a.onnx", nodes, [1, 3, "h", "w"], kind=kind)
    photo = picture(30, 40)
    import_painter(path, tmp_path / "b.onnx")
    for one in (path, tmp_path / "b.onnx"):
        assert np.abs(Painter.load(one).paint(photo) - expected(photo)).max() <= 2


def test_values_can_be_told(tmp_path):
    path = written(tmp_path / "a.onnx", curved("0..1"), [1, 3, "h", "w"])
    told = Painter.load(path, values="0..255")
    assert told.engine.contract == Contract("0..255", "0..255")
    done = import_painter(path, tmp_path / "b.onnx", values="-1..1")
    assert done.contract == Contract("-1..1", "-1..1")
    with pytest.raises(PainterError, match="says itself which values"):
        Painter.load("monet", values="0..1")


def test_names_of_ours_in_somebodys_graph_are_no_trouble(tmp_path):
    nodes = curved("0..1")
    names = {"x": "photo", "centred": "painting", "y": "photo_out"}
    for node in nodes:
        for ends in (node.input, node.output):
            ends[:] = [names.get(name, name) for name in ends]
    ends = [
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 3, "h", "w"])]
        for n in ("photo", "photo_out")
    ]
    model = helper.make_model(
        helper.make_graph(nodes, "main", *ends),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=10,
    )
    onnx.save(model, tmp_path / "a.onnx")
    import_painter(tmp_path / "a.onnx", tmp_path / "b.onnx")
    photo = picture(30, 40)
    assert np.abs(Painter.load(tmp_path / "b.onnx").paint(photo) - expected(photo)).max() <= 1.01


# --- pytorch/examples, fast_neural_style ------------------------------------------------------


class Padded(nn.Sequential):
    """Reflection and a convolution; doubled before where asked for."""

    def __init__(self, inputs, outputs, kernel, stride=1, double=False):
        layers = [nn.Upsample(scale_factor=2, mode="nearest")] if double else []
        pad = nn.ReflectionPad2d(kernel // 2)
        super().__init__(*layers, pad, nn.Conv2d(inputs, outputs, kernel, stride))


class Residual(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv1, self.conv2 = Padded(width, width, 3), Padded(width, width, 3)
        self.in1, self.in2 = (nn.InstanceNorm2d(width, affine=True) for _ in "12")

    def forward(self, x):
        return x + self.in2(self.conv2(torch.relu(self.in1(self.conv1(x)))))


def fast_neural_style(width=4) -> nn.Module:
    """Johnson et al. 2016 with instance norms, as the examples have it, narrow."""

    def normed(*args, **options):
        layer = Padded(*args, **options)
        return [layer, nn.InstanceNorm2d(args[1], affine=True), nn.ReLU()]

    return nn.Sequential(
        *normed(3, width, 9),
        *normed(width, 2 * width, 3, 2),
        *normed(2 * width, 4 * width, 3, 2),
        *(Residual(4 * width) for _ in range(2)),
        *normed(4 * width, 2 * width, 3, double=True),
        *normed(2 * width, width, 3, double=True),
        Padded(width, 3, 9),
    )


@pytest.fixture(scope="module")
def mosaic(tmp_path_factory):
    """One that has learned, for a moment, to give back what it is shown, in 0 to 255, unclipped."""
    torch.manual_seed(0)
    network = fast_neural_style(8)
    optimiser = torch.optim.Adam(network.parameters(), 0.02)
    for _ in range(60):
        batch = torch.from_numpy((ranges.trial(64, 64) + 1) * 127.5)
        batch = batch.roll(tuple(torch.randint(64, (2,)).tolist()), (2, 3))
        loss = (network(batch) / 255 - batch / 255).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    path = tmp_path_factory.mktemp("mosaic") / "mosaic.onnx"
    free = {2: "height", 3: "width"}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (torch.zeros(1, 3, 64, 64),),
            path,
            input_names=["input1"],
            output_names=["output1"],
            dynamic_axes={"input1": free, "output1": free},
            dynamo=False,  # as such files were written for years; and ten times as fast
        )
    return path, network


def test_fast_neural_style_is_known_by_its_values(mosaic, tmp_path):
    path, network = mosaic
    painter = Painter.load(path)
    assert painter.engine.contract == Contract("0..255", "0..255")
    photo = picture(256, 256)
    with torch.no_grad():
        batch = torch.from_numpy(photo.astype(np.float32).transpose(2, 0, 1)[None])
        given = network(batch)[0].permute(1, 2, 0).numpy()
    assert np.abs(painter.paint(photo) - np.clip(given, 0, 255)).max() <= 1
    done = import_painter(path, tmp_path / "b.onnx")
    assert "takes values of 0..255" in "".join(done.lines())
    ours = Painter.load(tmp_path / "b.onnx")
    assert np.abs(ours.paint(photo).astype(int) - painter.paint(photo)).max() <= 1
    assert ours.paint(picture(70, 300)).shape == (70, 300, 3)


# --- ranges -----------------------------------------------------------------------------------


@pytest.mark.parametrize("values", LOW_HIGH)
def test_a_range_goes_there_and_back(values):
    batch = np.linspace(-1, 1, 12, dtype=np.float32).reshape(1, 3, 2, 2)
    there = ranges.to(batch, values)
    assert (there.min(), there.max()) == LOW_HIGH[values]
    np.testing.assert_allclose(ranges.back(there, values), batch, atol=1e-6)
    assert ranges.back(there * 3, values).max() == 1


def test_unequal_ranges_are_found_where_they_do_better():
    found = ranges.detected(lambda batch: batch / 127.5 - 1, 64, 64)
    assert found == Contract("0..255", "-1..1")
    # What takes all ranges alike is believed to give the one that it takes.
    assert ranges.detected(lambda b: (b - b.mean()) / b.std() * 60 + 128, 64, 64) == Contract(
        "0..255", "0..255"
    )
    # Hardly more than a copy of its photo, so that it is most like one in any range; limits tell.
    for low, high in ((-1, 1), (0, 1), (0, 255)):
        values = f"{low}..{high}"
        middle, deep = (low + high) / 2, (high - low) / 8
        found = ranges.detected(
            lambda b, m=middle, d=deep, lo=low, hi=high: np.clip(
                b + d * np.sin(9 * (b - m)), lo, hi
            ),
            64,
            64,
        )
        assert found == Contract(values, values)
    assert ranges.detected(lambda b: np.tanh((b - b.mean()) / b.std()), 64, 64) == Contract()
    with pytest.raises(PainterError, match="gives no numbers"):
        ranges.detected(lambda batch: batch * np.nan, 64, 64)


# --- refused ----------------------------------------------------------------------------------


def external(model: onnx.ModelProto, where: str) -> onnx.TensorProto:
    """A tensor of a model that is said to lie in /etc/passwd."""
    tensor = numpy_helper.from_array(np.ones(4, np.float32), "shift")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../../../../../etc/passwd"
    inner = helper.make_graph(
        [helper.make_node("Constant", [], ["c"], value=tensor)],
        "inner",
        [],
        [helper.make_tensor_value_info("c", TensorProto.FLOAT, None)],
    )
    match where:
        case "initializer":
            model.graph.initializer.append(tensor)
        case "constant":
            model.graph.node.append(helper.make_node("Constant", [], ["c"], value=tensor))
        case "branch":
            model.graph.node.append(
                helper.make_node("If", ["x"], ["c"], then_branch=inner, else_branch=inner)
            )
        case "function":
            model.functions.append(
                helper.make_function(
                    "own", "f", [], ["c"], list(inner.node), [helper.make_opsetid("", 18)]
                )
            )
        case "sparse":
            model.graph.sparse_initializer.add().values.CopyFrom(tensor)
    return tensor


@pytest.mark.parametrize("where", ["initializer", "constant", "branch", "function", "sparse"])
def test_weights_in_other_files_are_refused(tmp_path, where):
    path = written(tmp_path / "a.onnx", curved("0..1"), [1, 3, "h", "w"])
    model = onnx.load(path)
    external(model, where)
    path.write_bytes(model.SerializeToString())
    for call in (Painter.load, lambda p: import_painter(p, tmp_path / "b.onnx")):
        with pytest.raises(PainterError, match="keeps weights in another file"):
            call(path)
    assert not (tmp_path / "b.onnx").exists()


def test_huge_arrays_are_refused(tmp_path):
    path = written(tmp_path / "a.onnx", curved("0..1"), [1, 3, "h", "w"])
    model = onnx.load(path)
    tensor = TensorProto(name="shift", data_type=TensorProto.FLOAT, dims=[2**20, 2**20])
    model.graph.initializer.append(tensor)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(PainterError, match="has an array of 1,099,511,627,776 numbers"):
        Painter.load(path)


def message(field: int, inner: bytes) -> bytes:
    """A length-delimited field of protobuf; shorter than 128 bytes."""
    return bytes([field << 3 | 2, len(inner)]) + inner


@pytest.mark.parametrize(
    "sides", [b"\x08\x80\x80\x80\x80\x04", message(1, b"\x80\x80\x80\x80\x04")]
)
def test_sides_are_read_one_by_one_and_side_by_side(sides):
    with pytest.raises(PainterError, match="an array of 1,073,741,824 numbers"):
        onnxfile.check(b"\x08\x08" + message(7, message(5, sides)), "a file")


def test_graphs_in_each_other_without_end_are_refused():
    data = b""
    for _ in range(12):  # a graph in an attribute of a node of a graph, and so on
        data = message(1, message(5, message(6, data)))
    onnxfile.check(b"\x08\x08" + message(7, data), "a file")
    deep = b""
    for _ in range(200):
        for field in (6, 5, 1):
            length = len(deep)
            size = bytes([length & 127 | 128, length >> 7 & 127 | 128, length >> 14])
            deep = bytes([field << 3 | 2]) + size + deep
    size = len(deep)
    whole = bytes([58, size & 127 | 128, size >> 7 & 127 | 128, size >> 14]) + deep
    with pytest.raises(PainterError, match="without end"):
        onnxfile.check(whole, "a file")


def test_every_painter_of_ours_passes_the_check():
    onnxfile.check(hub.find("monet").read_bytes(), "monet")


@pytest.mark.parametrize(
    ("nodes", "options", "message"),
    [
        (curved("0..1"), {"shape": [1, 1, 32, 32]}, "takes an array of shape 1 x 1 x 32 x 32"),
        (curved("0..1"), {"shape": [1, 3, 32, "w"]}, "takes one side of any length only"),
        (curved("0..1"), {"shape": [1, 3, "h", "w"], "inputs": ("x", "z")}, "has 2 inputs"),
        (
            curved("0..1"),
            {"shape": [1, 3, 8, 8], "kind": TensorProto.INT64},
            "cannot be loaded|can be loaded|of int64",
        ),
        (
            [helper.make_node("Concat", ["x", "x"], ["y"], axis=2)],
            {"shape": [1, 3, 8, 8], "given": [1, 3, 16, 8]},
            "makes an array of shape 1 x 3 x 16 x 8",
        ),
    ],
    ids=["gray", "one side", "two inputs", "whole numbers", "larger"],
)
def test_what_takes_no_pictures_is_refused(tmp_path, nodes, options, message):
    path = written(tmp_path / "a.onnx", nodes, **options)
    for call in (Painter.load, lambda p: import_painter(p, tmp_path / "b.onnx")):
        with pytest.raises(PainterError, match=message) as caught:
            call(path)
        assert "\n" not in str(caught.value)


# --- the command ------------------------------------------------------------------------------


@pytest.fixture
def weights_file(tmp_path):
    network = randomised(ResnetGenerator())
    torch.save(network.state_dict(), tmp_path / "style_monet.pth")
    return tmp_path / "style_monet.pth", network


def test_a_file_becomes_a_painter_with_its_card(weights_file, tmp_path):
    path, network = weights_file
    done = import_painter(path, tmp_path / "monet.onnx", licence="BSD-2-Clause")
    assert (done.kind, done.way, done.spec) == ("PyTorch", "painting", ResNetSpec(4, 2))
    assert done.parameters == sum(p.numel() for p in network.parameters())
    assert done.difference is not None
    assert done.difference < 1e-4
    painter = Painter.load(tmp_path / "monet.onnx")
    card = painter.card
    assert card.pop("imported")
    assert card == {
        "format": "PyTorch",
        "origin": "style_monet.pth",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "licence": "BSD-2-Clause",
        "way": "painting",
    }
    photo = np.random.default_rng(1).uniform(-1, 1, (1, 3, 64, 64)).astype(np.float32)
    np.testing.assert_allclose(painter.engine(photo), painted(network, photo), atol=1e-4)
    assert np.array_equal(painter.paint(picture(30, 40)), Painter.load(path).paint(picture(30, 40)))


def test_nothing_is_overwritten(weights_file, tmp_path):
    path, _ = weights_file
    target = tmp_path / "monet.onnx"
    target.write_bytes(b"precious")
    with pytest.raises(OutputError, match="exists"):
        import_painter(path, target)
    assert target.read_bytes() == b"precious"
    import_painter(path, target, force=True)
    with pytest.raises(OutputError, match=r"must end in \.onnx"):
        import_painter(path, tmp_path / "monet.pth2")
    with pytest.raises(OutputError, match="the file to import itself"):
        import_painter(target, target, force=True)
    with pytest.raises(PainterError, match="a painter of ours already"):
        import_painter(target, tmp_path / "b.onnx")
    with pytest.raises(PainterError, match="holds one network, without a name"):
        import_painter(target, tmp_path / "b.onnx", network="G")
    with pytest.raises(PainterError, match="only of those --values"):
        import_painter(path, tmp_path / "b.onnx", values="0..1")


def test_a_graph_that_paints_otherwise_is_not_written(weights_file, tmp_path, monkeypatch):
    path, _ = weights_file
    monkeypatch.setattr("pleinair.importing.IMPORT", foreign_limits(tolerance=0.0))
    with pytest.raises(ExportError, match="ONNX and PyTorch differ"):
        import_painter(path, tmp_path / "b.onnx")
    assert not (tmp_path / "b.onnx").exists()


def foreign_limits(**changes):
    return replace(IMPORT, **changes)


def test_the_command_says_what_it_found(weights_file, tmp_path, monkeypatch, capsys):
    path, _ = weights_file
    monkeypatch.chdir(tmp_path)
    assert cli.app(["import", str(path)], result_action="return_value") == 0
    said = capsys.readouterr()
    assert said.out == "style_monet.onnx\n"
    assert "PyTorch: resnet of 2 blocks and 4 channels, " in said.err
    assert "photo to painting" in said.err
    assert (tmp_path / "style_monet.onnx").is_file()


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("monet.weights.h5", "monet"),
        ("a/latest_net_G.pth", "latest_net_G"),
        ("a/saved", "saved"),
        ("a.b/", "a"),
    ],
)
def test_a_painter_is_named_after_its_file(source, name):
    assert name_of(Path(source)) == name


def test_a_folder_of_a_run_is_its_painter(tmp_path):
    spec = ResNetSpec(channels=4, blocks=1)
    arrays = {k: v.numpy() for k, v in build(spec).state_dict().items()}
    weights.save(Weights(spec, arrays, {"recipe": {}}), tmp_path / "painter.safetensors")
    photo = picture(20, 30)
    painter = Painter.load(tmp_path)
    assert painter.spec == spec
    assert np.array_equal(
        painter.paint(photo), Painter.load(tmp_path / "painter.safetensors").paint(photo)
    )
    served = Shelf(tmp_path).find(None)
    assert served.path == tmp_path / "painter.safetensors"
    done = import_painter(tmp_path, tmp_path / "a.onnx")
    assert done.kind == "weights of ours"
    assert Shelf(tmp_path).find(None).path == tmp_path / "a.onnx"  # now a folder to serve from


def test_importing_takes_no_torch():
    code = (
        "import sys, pleinair.importing, pleinair.cli.importing; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_readers_know_their_kinds_by_content(tmp_path):
    (tmp_path / "a.pth").write_bytes(b"hello, you")
    assert foreign.reader_of(tmp_path / "a.pth") is None
    with pytest.raises(PainterError, match="is a text file"):
        foreign.networks(tmp_path / "a.pth")


def test_safetensors_that_begin_as_onnx_files_do_are_none(tmp_path):
    state = {k: v.contiguous() for k, v in ResnetGenerator().state_dict().items()}
    path = tmp_path / "a.safetensors"
    for length in range(256):  # of a comment, until the header's length begins with that byte
        save_file(state, path, {"about": "." * length})
        if path.read_bytes()[0] == 8:
            break
    assert path.read_bytes()[0] == 8
    assert Painter.load(path).spec == ResNetSpec(4, 2)


def test_safetensors_that_begin_as_pickles_do_are_none(tmp_path):
    state = {k: v.contiguous() for k, v in ResnetGenerator().state_dict().items()}
    path = tmp_path / "a.safetensors"
    for length in range(0, 1 << 16, 8):
        save_file(state, path, {"about": "." * length})
        head = path.read_bytes()[:2]
        if head[0] == 0x80 and 2 <= head[1] <= 5:
            break
    assert head[0] == 0x80
    assert Painter.load(path).spec == ResNetSpec(4, 2)


def test_a_file_that_changes_is_read_anew(tmp_path):
    path = tmp_path / "a.pth"
    for blocks in (1, 2):
        torch.save(ResnetGenerator(blocks=blocks).state_dict(), path)
        assert Painter.load(path).spec == ResNetSpec(4, blocks)


def test_a_folder_is_known_by_what_is_in_it(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(PainterError, match="is a folder without a painter"):
        hub.find(tmp_path / "a")
    (tmp_path / "a" / "saved_model.pb").write_bytes(b"")
    assert hub.find(tmp_path / "a") == tmp_path / "a"
    before = files.sha256_of(tmp_path / "a")
    (tmp_path / "a" / "more").write_bytes(b"1")
    assert files.sha256_of(tmp_path / "a") != before


KEPT = REPOSITORY / "tests" / "data" / "keras"


@pytest.mark.parametrize(
    "source",
    [
        "keras2/weights.h5",
        "keras2/generator.keras",
        "keras2/cyclegan.h5",
        "keras2/savedmodel",
        "keras2/savedmodel/saved_model.pb",
        "keras2/savedmodel/variables",
        "keras3/checkpoint",
        "keras3/checkpoint/ckpt-1",
        "keras3/checkpoint/ckpt-1.index",
    ],
)
def test_what_tensorflow_and_keras_wrote_paints_and_is_imported(source, tmp_path):
    found = foreign.networks(KEPT / source)
    network = None if len(found) == 1 else found[0].name
    done = import_painter(KEPT / source, tmp_path / "a.onnx", network=network)
    assert done.spec.order == "lab"
    assert done.difference is not None
    photo = picture(70, 90)
    one = Painter.load(KEPT / source, network=network, threads=1)
    other = Painter.load(tmp_path / "a.onnx", threads=1)
    assert np.array_equal(one.paint(photo), other.paint(photo))
    assert other.card["origin"]
    assert len(other.card["sha256"]) == 64
