"""Somebody's ONNX graph between nodes that take and give what painters do. Needs onnx.

Before it pixels go from [-1, 1] and NCHW to what the network takes, behind it they come back, and
what lies beyond is cut off. The graph itself stays as it is.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from pleinair.errors import MissingExtraError, PainterError
from pleinair.ranges import RANGES, Values
from pleinair.settings import PIXEL_CONTRACT
from pleinair.strangers import Stranger

try:
    from google.protobuf.message import DecodeError
    from onnx import ModelProto, NodeProto, TensorProto, checker, helper, numpy_helper
except ImportError as _error:
    raise MissingExtraError("writing .onnx needs pip install 'pleinair[import]'.") from _error

_PHOTO, _PAINTING = "photo", "painting"
_KINDS = {
    "float": TensorProto.FLOAT,
    "float16": TensorProto.FLOAT16,
    "double": TensorProto.DOUBLE,
    "uint8": TensorProto.UINT8,
}
_LEAST_OPSET = 11  # from which Clip takes its limits as inputs


def adapted(data: bytes, stranger: Stranger, card: dict[str, Any], name: str) -> bytes:
    """The bytes of a painter's file around the network in `data`: `photo` in, `painting` out.

    Both are float32 (1, 3, H, W) in [-1, 1]. Metadata: `card` and `pixels`, no `spec`. name: the
    file's, for messages. Raises PainterError.
    """
    try:
        model = ModelProto.FromString(data)
        graph = model.graph
        weights = {entry.name for entry in graph.initializer}
        inner = next(entry.name for entry in graph.input if entry.name not in weights)
        outer = graph.output[0].name
        opset = max(entry.version for entry in model.opset_import if not entry.domain)
    except (DecodeError, StopIteration, IndexError, ValueError) as error:
        raise PainterError(f"{name} has no picture in or out; give another file.") from error
    if opset < _LEAST_OPSET:
        raise PainterError(
            f"{name} is of operator set {opset}, {_LEAST_OPSET} or newer expected; it paints as it "
            "is, or convert it with onnx.version_converter."
        )
    if {_PHOTO, _PAINTING} & {inner, outer, *_values(graph)}:
        _rename(graph)
        inner, outer = f"own.{inner}", f"own.{outer}"
    before = _before(stranger, inner)
    after = _after(stranger, outer)
    nodes = [*before, *graph.node, *after]
    del graph.node[:]
    graph.node.extend(nodes)
    sides = [1, 3, stranger.spec.height or "height", stranger.spec.width or "width"]
    kept = [entry for entry in graph.input if entry.name in weights]
    for ends, entries in (
        (graph.input, [helper.make_tensor_value_info(_PHOTO, TensorProto.FLOAT, sides), *kept]),
        (graph.output, [helper.make_tensor_value_info(_PAINTING, TensorProto.FLOAT, sides)]),
    ):
        del ends[:]
        ends.extend(entries)
    del graph.value_info[:]  # of sizes that may no longer hold
    del model.metadata_props[:]
    helper.set_model_props(model, {"card": json.dumps(card), "pixels": PIXEL_CONTRACT})
    try:
        checker.check_model(model)
    except checker.ValidationError as error:
        first = (str(error).splitlines() or [""])[0][:120]
        raise PainterError(f"{name} is no sound ONNX graph ({first}); export it anew.") from error
    written: bytes = model.SerializeToString()
    return written


def _before(stranger: Stranger, inner: str) -> list[NodeProto]:
    steps = _Steps("before", _PHOTO)
    low, high = RANGES[stranger.contract.takes]
    if stranger.contract.takes != "-1..1":
        steps.then("Mul", (high - low) / 2)
        steps.then("Add", (high - low) / 2 + low)
    if stranger.kind == "uint8":
        steps.then("Round")
        steps.then("Clip", 0.0, 255.0)
    if stranger.kind != "float":
        steps.then("Cast", to=_KINDS[stranger.kind])
    if stranger.layout == "NHWC":
        steps.then("Transpose", perm=[0, 2, 3, 1])
    return steps.ended(inner)


def _after(stranger: Stranger, outer: str) -> list[NodeProto]:
    steps = _Steps("after", outer)
    if stranger.layout == "NHWC":
        steps.then("Transpose", perm=[0, 3, 1, 2])
    steps.then("Cast", to=TensorProto.FLOAT)
    gives: Values = stranger.contract.gives
    low, high = RANGES[gives]
    if gives != "-1..1":
        steps.then("Mul", 2 / (high - low))
        steps.then("Add", -1 - 2 * low / (high - low))
    steps.then("Clip", -1.0, 1.0)
    return steps.ended(_PAINTING)


class _Steps:
    """Nodes one behind the other, their constants beside them."""

    def __init__(self, name: str, first: str) -> None:
        self._name, self._last = name, first
        self._nodes: list[NodeProto] = []

    def then(self, kind: str, *numbers: float, **attributes: Any) -> None:
        """One more node, of these further inputs."""
        inputs = [self._last]
        for number in numbers:
            inputs.append(self._fresh())
            value = numpy_helper.from_array(np.array(number, np.float32))
            self._nodes.append(helper.make_node("Constant", [], [inputs[-1]], value=value))
        self._last = self._fresh()
        self._nodes.append(helper.make_node(kind, inputs, [self._last], **attributes))

    def ended(self, name: str) -> list[NodeProto]:
        """All of them, the last one's output under this name."""
        return [*self._nodes, helper.make_node("Identity", [self._last], [name])]

    def _fresh(self) -> str:
        return f"pleinair.{self._name}.{len(self._nodes)}"


def _values(graph: Any) -> set[str]:
    """Names of all values of a graph."""
    named = {entry.name for entry in (*graph.input, *graph.output, *graph.initializer)}
    return named.union(*(set(node.input) | set(node.output) for node in graph.node))


def _rename(graph: Any) -> None:
    """Free the names `photo` and `painting`: a prefix for every value, in graphs within too."""
    for entry in (*graph.input, *graph.output, *graph.initializer, *graph.value_info):
        entry.name = f"own.{entry.name}"
    for entry in graph.sparse_initializer:
        entry.values.name = f"own.{entry.values.name}"
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [f"own.{name}" if name else "" for name in names]
        for attribute in node.attribute:
            for inside in (attribute.g, *attribute.graphs):
                _rename(inside)
