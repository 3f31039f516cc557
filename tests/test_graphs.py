from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import onnx
import pytest
import torch

from pleinair import graphs, hub, weights
from pleinair.config import RECIPES, LightSpec, ResNetSpec, UNetSpec, size_multiple
from pleinair.errors import PainterError
from pleinair.networks import build
from pleinair.painter import Painter
from pleinair.runtime import Measuring
from pleinair.weights import Weights

SPECS = [
    LightSpec(channels=8, half_channels=4, detail_channels=4, blocks=2),
    LightSpec(channels=8, half_channels=4, detail_channels=4, blocks=1, keeps="half"),
    LightSpec(channels=8, half_channels=4, detail_channels=4, blocks=1, keeps="colours"),
    LightSpec(channels=8, half_channels=4, detail_channels=4, blocks=1, doubling="shuffle"),
    LightSpec(channels=8, half_channels=4, detail_channels=4, blocks=1, low_pass=True),
    UNetSpec(channels=4, depth=5),
    UNetSpec(channels=4, depth=5, order="pix2pix", slope=0.2, norm_epsilon=1e-5),
    ResNetSpec(channels=4, blocks=2),
    ResNetSpec(channels=4, blocks=1, affine=True, blur_down=True),
    ResNetSpec(channels=4, blocks=1, blur_up=True),
    ResNetSpec(channels=4, blocks=6, blur_down=True, blur_up=True),
]


def random_weights(spec) -> tuple[torch.nn.Module, Weights]:
    torch.manual_seed(4)
    network = build(spec).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, 0.0, 0.2)
    arrays = {name: value.numpy() for name, value in network.state_dict().items()}
    return network, Weights(spec, arrays, {"steps": 7})


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_a_graph_paints_what_its_network_paints(spec, tmp_path):
    network, known = random_weights(spec)
    path = tmp_path / "painter.onnx"
    path.write_bytes(graphs.painter(known))
    onnx.checker.check_model(str(path), full_check=True)
    painter = Painter.load(path)
    assert (painter.spec, painter.card) == (spec, {"steps": 7})
    assert isinstance(painter.engine, Measuring)
    stride = size_multiple(spec)
    for height, width in ((2 * stride, 4 * stride), (96, 32)):
        photo = np.random.default_rng(1).uniform(-1, 1, (1, 3, height, width)).astype(np.float32)
        with torch.inference_mode():
            expected = network(torch.from_numpy(photo)).numpy()
        assert np.ptp(expected) > 0.05
        fixed = painter.engine.fixed(painter.engine.measure(photo))
        for engine in (painter.engine, fixed):
            np.testing.assert_allclose(engine(photo), expected, atol=1e-4)


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_every_recipe_has_a_graph_of_its_size(name):
    spec = RECIPES[name].generator
    arrays = {k: v.numpy() for k, v in build(spec).state_dict().items()}
    model = graphs.model(spec, arrays)
    held = {entry.name: entry for entry in model.graph.initializer if "." in entry.name}
    assert set(held) == set(arrays)
    assert all(tuple(held[k].dims) == arrays[k].shape for k in arrays)


def test_weights_come_back_from_their_file(tmp_path):
    _, known = random_weights(SPECS[-1])
    path = tmp_path / "painter.onnx"
    path.write_bytes(graphs.painter(known))
    found = weights.load(path)
    assert (found.spec, found.card) == (known.spec, known.card)
    assert set(found.arrays) == set(known.arrays)
    assert all(np.array_equal(found.arrays[k], known.arrays[k]) for k in known.arrays)


def test_the_shipped_painter_is_what_its_weights_say():
    shipped = weights.load(hub.find("monet"))
    written = onnx.load_from_string(graphs.painter(shipped))
    assert json.loads(written.metadata_props[1].value) == shipped.card
    assert {e.name: e.raw_data for e in written.graph.initializer if "." in e.name} == {
        name: array.tobytes() for name, array in shipped.arrays.items()
    }


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_weights_of_another_network_are_refused(spec):
    _, known = random_weights(spec)
    name = next(iter(known.arrays))
    for arrays, words in (
        ({k: v for k, v in known.arrays.items() if k != name}, f"{name} .* is missing"),
        ({**known.arrays, name: known.arrays[name][:1]}, f"{name} has the shape"),
        ({**known.arrays, name: known.arrays[name][0]}, f"{name} has the shape"),
        ({**known.arrays, "model.99.weight": known.arrays[name]}, r"left over.*model\.99"),
    ):
        with pytest.raises(PainterError, match=words):
            graphs.painter(Weights(spec, arrays, {}))


def test_a_discriminator_has_no_graph():
    with pytest.raises(PainterError, match="discriminator"):
        graphs.model(RECIPES["paper"].discriminator, {})


def test_writing_a_painter_needs_no_torch():
    code = (
        "import sys; from pleinair import graphs, weights, hub;"
        "graphs.painter(weights.load(hub.find('monet')));"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
