"""Parsers of what painters come in: TensorFlow, Keras, PyTorch, safetensors, ONNX, and ours."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from tests import bundles
from tests.test_sources import field

from fuzz import mending
from fuzz.promise import Target, scratch, told, written
from pleinair import anatomy, config, foreign, identify, nameplate, onnxfile, recipes, weights
from pleinair.foreign import keras_config, objects, tensorflow
from pleinair.foreign.bundle import Bundle

KERAS = Path(__file__).parents[1] / "tests" / "data" / "keras"
_NUMBERS = (
    *(b"\xff" * 8, b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f", b"\x80" * 9 + b"\x01"),
    *(bytes(8), b"\x01" + bytes(7)),
)
_JSON = (
    *(b"[" * 3000, b'{"a":' * 1500, b"9" * 5000, b"NaN", b"1e999", b"null", b"true", b"-1"),
    *(b'{"class_name": "__tuple__"}', b"[]", b"{}", b'""', b"0", b"1e300"),
)


def _networks_in(name: str) -> Callable[[bytes], None]:
    """A reader that is given bytes as a file of this name, and then reads what it found."""

    def take(data: bytes) -> None:
        path = written(data, name)
        try:
            foreign.networks(path)
        finally:
            identify.described(path)  # never raises
            identify.of_bytes(data, name)

    return take


# --- TensorFlow -------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _bundles() -> list[bytes]:
    """An index each; the numbers are those of `_bundle`."""
    folder = scratch()
    value = np.arange(6, dtype=np.float32).tobytes()
    sides = field(2, bundles.numbers(n1=2)) + field(2, bundles.numbers(n1=3))
    whole = bundles.numbers(n1=1, m2=sides, n5=24) + bundles.checksum_field(value)
    none = bundles.numbers(n1=3, m2=field(2, b"") + field(2, b"")) + bundles.checksum_field(b"")
    made = bundles.a_bundle(
        folder, bundles.HEADER, {b"a/kernel": whole, b"a/other": whole, b"b": none}, value
    )
    index = made.with_name("x.index").read_bytes()
    return [index, (KERAS / "keras2" / "checkpoint" / "ckpt-1.index").read_bytes()]


def _bundle(data: bytes) -> None:
    (scratch() / "x.data-00000-of-00001").write_bytes(np.arange(6, dtype=np.float32).tobytes())
    written(data, "x.index")
    bundle = Bundle(scratch() / "x")
    for key, entry in bundle.entries.items():
        with told():
            if entry.kind == 7:
                bundle.text(key)
            else:
                assert bundle.read(key).shape == entry.shape


def _graphs() -> list[bytes]:
    named = field(2, field(1, b"VARIABLE_VALUE") + field(2, b"conv/kernel") + field(3, b"v"))
    whole = Bundle(KERAS / "keras2" / "checkpoint" / "ckpt-1")
    return [
        field(1, bundles.child(1, b"layer_with_weights-0") + bundles.child(0, b"self"))
        + field(1, bundles.child(2, b"kernel"))
        + field(1, named),
        whole.text("_CHECKPOINTABLE_OBJECT_GRAPH"),
    ]


def _graph(data: bytes) -> None:
    bundle = Bundle(bundles.a_graph(scratch(), data))
    whole = Bundle(KERAS / "keras2" / "checkpoint" / "ckpt-1")
    a_variable = next(one for one in whole.entries.values() if one.kind == 1)
    bundle.entries = {**whole.entries, "v": a_variable, **bundle.entries}
    objects.tree(bundle, "x")


@lru_cache(maxsize=1)
def _keras_json() -> str:
    metadata = memoryview((KERAS / "keras2" / "savedmodel" / "keras_metadata.pb").read_bytes())
    return next(text for text in tensorflow._nodes(metadata) if "Conv2DTranspose" in text)


def _configurations() -> list[bytes]:
    small = {
        "class_name": "Functional",
        "config": {
            "layers": [
                {"class_name": "InputLayer", "name": "i", "config": {}, "inbound_nodes": []},
                {
                    "class_name": "Conv2DTranspose",
                    "name": "c",
                    "config": {"activation": "tanh"},
                    "inbound_nodes": [[["i", 0, 0, {}]]],
                },
            ],
            "output_layers": [["c", 0, 0]],
        },
    }
    return [json.dumps(small).encode(), _keras_json().encode()]


def _configuration(data: bytes) -> None:
    found = keras_config.parse(data)
    keras_config.name(found)
    keras_config.facts(found)
    keras_config.facts([found])


# --- Keras, PyTorch, safetensors ----------------------------------------------------------------


@lru_cache(maxsize=1)
def _hdf5() -> list[bytes]:
    import h5py

    def made(fill: Callable[[Any], None]) -> bytes:
        buffer = io.BytesIO()
        with h5py.File(buffer, "w") as file:
            fill(file)
        return buffer.getvalue()

    def older(file: Any) -> None:
        file.attrs["layer_names"] = [b"conv"]
        group = file.create_group("conv")
        group.attrs["weight_names"] = [b"conv/kernel:0"]
        group["conv/kernel:0"] = np.zeros((4, 4, 3, 2), np.float32)

    def newer(file: Any) -> None:
        layer = file.create_group("layers/conv2d/vars")
        layer["0"] = np.zeros((4, 4, 3, 2), np.float32)
        layer.attrs["name"] = "conv"

    return [made(older), made(newer), (KERAS / "keras2" / "weights.h5").read_bytes()]


def _keras() -> list[bytes]:
    return [(KERAS / "keras2" / "generator.keras").read_bytes()]


@lru_cache(maxsize=1)
def _torch() -> list[bytes]:
    """Whole files of torch.save."""
    import torch

    made = []
    for value in (
        {"model.1.weight": torch.zeros(2, 3, 7, 7), "epoch": 3},
        {"state_dict": {"netG_A.model.0.weight": torch.zeros(2, 3, 4, 4).half()}},
    ):
        buffer = io.BytesIO()
        torch.save(value, buffer)
        made.append(buffer.getvalue())
    return made


def _pickles() -> list[bytes]:
    """The instructions in them, which tell what tensors there are."""
    return [_member(data, "data.pkl") for data in _torch()] + [
        pickle.dumps({"format": 1, "recipe": {}, "networks": {}}, 2),
        pickle.dumps({"format": 1, "recipe": recipes.recipe_to_dict(config.RECIPES["light"])}, 2),
    ]


def _member(data: bytes, name: str) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return archive.read(next(one for one in archive.namelist() if one.endswith(name)))


def _around(instructions: bytes) -> bytes:
    """A file of torch.save with other instructions."""
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(_torch()[0])) as whole,
        zipfile.ZipFile(buffer, "w") as archive,
    ):
        for name in whole.namelist():
            pickled = name.endswith("data.pkl")
            archive.writestr(name, instructions if pickled else whole.read(name))
    return buffer.getvalue()


def _instructions(data: bytes) -> None:
    _networks_in("x.pth")(_around(data))


def _checkpoint(data: bytes) -> None:
    from pleinair import checkpoint  # torch

    checkpoint.load(written(_around(data), "x.pt"))


@lru_cache(maxsize=1)
def _safetensors() -> list[bytes]:
    from safetensors.numpy import save

    light = config.LightSpec(8, 4, 4, 1)
    ours = weights.Weights(light, {"x": np.zeros((2, 3), np.float32)}, {"title": "x"})
    return [
        save(ours.arrays, metadata=ours.described()),
        save({"model.1.weight": np.zeros((2, 3, 7, 7), np.float16)}),
        save({"0.weight": np.zeros((2, 3, 4, 4)), "1.model.1.weight": np.zeros((2, 2, 4, 4))}),
    ]


# --- ONNX, and what ours says of itself -----------------------------------------------------------


@lru_cache(maxsize=1)
def _onnx() -> list[bytes]:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    kernel = numpy_helper.from_array(np.zeros((3, 3, 1, 1), np.float32), "a.weight")
    nodes = [
        helper.make_node("Conv", ["x", "a.weight"], ["y"], strides=[1, 1]),
        helper.make_node("Relu", ["y"], ["z"]),
        helper.make_node("Add", ["z", "x"], ["w"]),
    ]
    sides = [1, 3, None, None]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, sides) for n in ("x", "w")]
    model = helper.make_model(helper.make_graph(nodes, "g", ends[:1], ends[1:], [kernel]))
    onnx.helper.set_model_props(model, {"card": "{}", "spec": '{"kind": "light"}'})
    return [model.SerializeToString()]


def _model(data: bytes) -> None:
    nameplate.is_model(data)
    words = nameplate.read(written(data, "x.onnx"))
    for key in ("spec", "card"):
        nameplate.words(nameplate.part(words, key), "x")
    with told():
        nameplate.parameters(data)
        nameplate.with_metadata(data, "card", "{}")
        onnxfile.silenced(data, "a.weight")
        onnxfile.with_initializers(data, {"a.weight": np.ones((3, 3, 1, 1), np.float32)})
    onnxfile.check(data, "x.onnx")
    anatomy.read(data)


def _cards() -> list[bytes]:
    kinds: list[config.Spec] = [
        config.LightSpec(8, 4, 4, 1),
        config.ResNetSpec(),
        config.UNetSpec(),
    ]
    pairs = [(recipes.spec_to_dict(spec), {"title": "x"}) for spec in kinds]
    return [b"\0".join(json.dumps(one).encode() for one in pair) for pair in pairs]


def _card(data: bytes) -> None:
    spec, _, card = data.decode("utf-8", "replace").partition("\0")
    found = weights.of_ours(Path("x.safetensors"), {"spec": spec, "card": card}, {})
    assert recipes.spec_from_dict(recipes.spec_to_dict(found.spec)) == found.spec
    nameplate.words(found.card, "x")


def _described(data: bytes) -> None:
    for suffix in (".pth", ".onnx", ".txt"):
        said = identify.of_bytes(data, "x" + suffix)
        assert said == identify.described(written(data, "described" + suffix))
        assert said.endswith(".")
        assert "\n" not in said


TARGETS = {
    "bundle": Target(_bundle, _bundles, mending.table, _NUMBERS, examples=150),
    "object-graph": Target(_graph, _graphs, words=_NUMBERS),
    "keras-config": Target(
        _configuration, _configurations, words=_JSON, refuses=(ValueError,), longest=2**15
    ),
    "hdf5": Target(_networks_in("x.h5"), _hdf5, words=_NUMBERS, longest=2**14),
    "keras": Target(_networks_in("x.keras"), _keras, mending.members, longest=2**17, examples=60),
    "torch-file": Target(_networks_in("y.pth"), _torch, mending.members, examples=100),
    "torch-pickle": Target(_instructions, _pickles, words=_NUMBERS, examples=100),
    "checkpoint": Target(_checkpoint, _pickles, words=_NUMBERS, examples=100),
    "safetensors": Target(
        _networks_in("x.safetensors"), _safetensors, mending.safetensors, words=_JSON
    ),
    "onnx": Target(_model, _onnx, words=_NUMBERS, longest=2**15),
    "card": Target(_card, _cards, words=_JSON),
    "identify": Target(_described, lambda: [*_torch()[:1], *_onnx(), b"PK\3\4", b"{}", b"<html>"]),
}
