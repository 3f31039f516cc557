from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch

from pleinair import exports, weights
from pleinair.config import RECIPES, LightSpec, ResNetSpec
from pleinair.engines import network_of
from pleinair.errors import CheckpointError, ExportError, PainterError
from pleinair.exports import graph
from pleinair.exports.wish import Wish
from pleinair.networks import build
from pleinair.painter import Painter
from pleinair.recipes import spec_from_dict

from .conftest import REPOSITORY, tiny
from .painters import painter_of


@pytest.fixture(scope="module", params=sorted(RECIPES))
def exported(request, tmp_path_factory):
    known = painter_of(tiny(request.param).generator)
    path = tmp_path_factory.mktemp("onnx") / "painter.onnx"
    graph.write(replace(known, card={"steps": 7, "licence": "CC0-1.0"}), path, Wish())
    return known, path


def test_onnx_paints_what_pytorch_paints_at_every_size(exported):
    known, path = exported
    assert graph.difference_to_pytorch(known, path.read_bytes()) <= 1e-4
    network = network_of(known)
    painter = Painter.load(path)
    random = np.random.default_rng(1)
    for height, width in ((32, 32), (32, 96), (160, 64), (256, 224)):
        photo = random.uniform(-1, 1, (1, 3, height, width)).astype(np.float32)
        with torch.inference_mode():
            expected = network(torch.from_numpy(photo)).numpy()
        np.testing.assert_allclose(painter.engine(photo), expected, atol=1e-4)


def test_the_file_says_what_it_is(exported):
    onnx = pytest.importorskip("onnx")
    known, path = exported
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert spec_from_dict(json.loads(metadata["spec"])) == known.spec
    assert json.loads(metadata["card"]) == {"steps": 7, "licence": "CC0-1.0"}
    assert metadata["pixels"] == "float32 NCHW, RGB in sRGB, [-1, 1]"
    shape = model.graph.input[0].type.tensor_type.shape.dim
    assert model.graph.input[0].name == "photo"
    assert model.graph.output[0].name == "painting"
    assert [d.dim_value for d in shape[:2]] == [1, 3]
    assert all(d.dim_param for d in shape[2:])


def test_the_file_says_nothing_of_the_machine_that_wrote_it(exported):
    data = exported[1].read_bytes()
    for trace in (b'File "', b"stack_trace", str(REPOSITORY).encode(), b".py"):
        assert trace not in data


def test_a_graph_that_disagrees_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(graph, "difference_to_pytorch", lambda *_: 0.5)
    known = painter_of(tiny("light").generator)
    with pytest.raises(ExportError, match=r"differ by 0\.5"):
        graph.write(known, tmp_path / "a.onnx", Wish())
    assert list(tmp_path.iterdir()) == []


def test_weights_know_what_they_are(tmp_path):
    spec = tiny("light").generator
    arrays = {k: v.numpy() for k, v in build(spec).state_dict().items()}
    weights.save(weights.Weights(spec, arrays, {"steps": 3}), tmp_path / "a.safetensors")
    found = weights.load(tmp_path / "a.safetensors")
    assert (found.spec, found.card) == (spec, {"steps": 3})
    assert all(np.array_equal(found.arrays[k], arrays[k]) for k in arrays)


def test_damaged_weights_are_answered_in_one_sentence(tmp_path):
    file = tmp_path / "a.safetensors"
    for data in (b"", b"nonsense", (2**31).to_bytes(8, "little") + b"{"):
        file.write_bytes(data)
        with pytest.raises(PainterError, match="cannot be read as safetensors"):
            weights.load(file)
    from safetensors.numpy import save

    file.write_bytes(save({"w": np.zeros(1, np.float32)}))
    with pytest.raises(PainterError, match="does not say which network"):
        weights.load(file)


def test_weights_that_do_not_fit_their_spec(tmp_path):
    file = tmp_path / "a.safetensors"
    arrays = {"w": np.zeros(1, np.float32)}
    weights.save(weights.Weights(tiny("light").generator, arrays, {}), file)
    with pytest.raises(CheckpointError, match="does not fit"):
        network_of(weights.load(file))
    with pytest.raises(PainterError, match=r"weight half_in\.weight of .* is missing"):
        exports.export(file, tmp_path / "a.onnx")
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("spec", [LightSpec(), ResNetSpec(blocks=1)])
def test_networks_of_full_width_are_exported(spec, tmp_path):
    # Wide layers take ways of their own while they train, which a graph must not hold.
    known, target = painter_of(spec, spread=0.02), tmp_path / "wide.onnx"
    graph.write(known, target, Wish())
    kinds = {node.op_type for node in onnx.load(target).graph.node}
    assert "Conv" in kinds
    assert not kinds & {"MatMul", "BatchNormalization"}
