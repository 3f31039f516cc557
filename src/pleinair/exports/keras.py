"""Weights of the tutorial's U-Net as Keras reads them: `model.load_weights(file)` in its notebook.

`.weights.h5` is the file of Keras 3: arrays lie under paths made of each layer's class and of how
many of that class the model has before it, https://keras.io/api/models/model_saving_apis/. `.h5`
is that of Keras 2, which Keras 3 reads too: a list of layers, each with a list of its weights in
order. The model is the tutorial's: a functional one of Sequential blocks, the skips joined by
Concatenate. Written with h5py, without Keras.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from pleinair import graphs
from pleinair.config import UNetSpec
from pleinair.errors import ExportError, UsageError
from pleinair.exports.wish import Wish
from pleinair.recipes import spec_name
from pleinair.settings import PIXEL_CONTRACT_LAST
from pleinair.weights import Weights

_Array = NDArray[np.float32]
_TUTORIAL = UNetSpec()


class _Layer(NamedTuple):
    """A layer with its arrays as Keras has them, and its block: None for one of the model's own."""

    block: int | None
    kind: str  # its class in snake case
    parts: dict[str, _Array]  # by Keras' names, in Keras' order


def write(painter: Weights, place: Path, wish: Wish) -> str:  # noqa: ARG001
    """Write a weights file and read it back.

    Raises UsageError for another network than the tutorial's, PainterError, ExportError.
    """
    _check(painter)
    layers = list(_layers(painter))
    save = _save_new if place.name.endswith(".weights.h5") else _save_old
    with h5py.File(place, "w") as file:
        paths = save(file, layers)
        for key, text in painter.described(PIXEL_CONTRACT_LAST).items():
            file.attrs[key] = text
    arrays = [array for layer in layers for array in layer.parts.values()]
    with h5py.File(place, "r") as file:
        for path, array in zip(paths, arrays, strict=True):
            if not np.array_equal(file[path][()], array):
                raise ExportError(f"{path} reads back other than it was; nothing was kept.")
    return f"{len(arrays)} arrays read back from the file, bit for bit."


def _check(painter: Weights) -> None:
    spec = painter.spec
    if not isinstance(spec, UNetSpec) or spec.order != "lab":
        what = "a U-Net of pix2pix's order" if isinstance(spec, UNetSpec) else spec_name(spec)
        raise UsageError(
            f"Keras weights are for the tutorial's U-Net, and this painter is {what}; export "
            ".onnx, or train the recipe lab."
        )
    if (spec.slope, spec.norm_epsilon) != (_TUTORIAL.slope, _TUTORIAL.norm_epsilon):
        raise UsageError(
            f"the tutorial's U-Net has a slope of {_TUTORIAL.slope} and an epsilon of "
            f"{_TUTORIAL.norm_epsilon}, which weights do not tell, and this painter "
            f"{spec.slope} and {spec.norm_epsilon}; export .onnx."
        )
    graphs.plain(spec, painter.arrays)  # or these are not the weights of this network


def _layers(painter: Weights) -> Iterator[_Layer]:
    """All layers that hold weights, in the order in which the notebook's model has them."""
    spec, arrays = painter.spec, painter.arrays
    assert isinstance(spec, UNetSpec)  # noqa: S101  checked above
    block = 0
    for way, kind, count in (
        ("down", "conv2d", spec.depth),
        ("up", "conv2d_transpose", spec.depth - 1),
    ):
        for level in range(count):
            name = f"{way}.{level}"
            yield _Layer(block, kind, {"kernel": _kernel(arrays[f"{name}.conv.weight"])})
            if f"{name}.norm.weight" in arrays:
                scale, bias = arrays[f"{name}.norm.weight"], arrays[f"{name}.norm.bias"]
                yield _Layer(block, "group_normalization", {"gamma": scale, "beta": bias})
            block += 1
    last = {"kernel": _kernel(arrays["last.weight"]), "bias": arrays["last.bias"]}
    yield _Layer(None, "conv2d_transpose", last)


def _kernel(weight: _Array) -> _Array:
    """OIHW or, transposed, IOHW to Keras' HWIO and HWOI."""
    return np.ascontiguousarray(weight.transpose(2, 3, 1, 0))


def _save_new(file: Any, layers: list[_Layer]) -> list[str]:
    """Keras 3: the paths of all arrays, in their order."""
    paths = []
    for layer in layers:
        folder = "" if layer.block is None else f"{_numbered('sequential', layer.block)}/layers/"
        place = f"layers/{folder}{layer.kind}/vars"
        for number, array in enumerate(layer.parts.values()):
            paths.append(f"{place}/{number}")
            file[paths[-1]] = array
        if layer.kind == "group_normalization":
            # The same arrays again, by link, for a notebook with a class of its own for it.
            file[f"layers/{folder}instance_normalization"] = file[f"layers/{folder}{layer.kind}"]
    return paths


def _save_old(file: Any, layers: list[_Layer]) -> list[str]:
    """Keras 2: the paths of all arrays, in their order."""
    counts: dict[str, int] = {}
    held: dict[str, list[str]] = {}
    paths = []
    for layer in layers:
        name = _numbered(layer.kind, counts.setdefault(layer.kind, 0))
        counts[layer.kind] += 1
        group = name if layer.block is None else _numbered("sequential", layer.block)
        for part, array in layer.parts.items():
            weight = f"{name}/{part}:0"
            held.setdefault(group, []).append(weight)
            paths.append(f"{group}/{weight}")
            file[paths[-1]] = array
    file.attrs["layer_names"] = [name.encode() for name in held]
    file.attrs["backend"] = b"tensorflow"  # else Keras 1 would be thought of, which turned kernels
    file.attrs["keras_version"] = b"2.15.0"
    for group, names in held.items():
        file[group].attrs["weight_names"] = [name.encode() for name in names]
    return paths


def _numbered(name: str, number: int) -> str:
    return f"{name}_{number}" if number else name
