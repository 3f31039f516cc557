"""Where the numbers of an ONNX file lie, and what it must not hold, without the onnx package.

An ONNX file is the protobuf message ModelProto of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
Its graph is field 7, a graph's initializers field 5, an initializer's name field 8 and its bytes
field 9; replacing bytes by as many others leaves every length in the file true.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from pleinair.errors import PainterError
from pleinair.protobuf import fields, shape
from pleinair.settings import IMPORT

_GRAPH, _INITIALIZER, _NAME, _RAW_DATA = 7, 5, 8, 9
_DIMS, _EXTERNAL = 1, 13
# What lies in a message of a kind, by number, and of which kind that is.
_INSIDE = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}


def check(data: bytes, name: str) -> None:
    """Raise PainterError for what is no model, or one that asks for other files or for much memory.

    A tensor may lie in another file, of any path on this machine: one that says so is refused.
    """
    view = memoryview(data)
    try:
        _check(view, 0, len(view), "model", name, 0)
    except (ValueError, IndexError) as error:
        raise PainterError(f"{name} is not a painter that can be loaded ({error}).") from error


def _check(data: memoryview, start: int, end: int, kind: str, name: str, depth: int) -> None:
    if depth > IMPORT.graph_depth * len(_INSIDE):
        raise ValueError("graphs in each other without end")
    if kind == "tensor":
        _check_tensor(data, start, end, name)
    for number, first, last in fields(data, start, end):
        if number in _INSIDE[kind]:
            _check(data, first, last, _INSIDE[kind][number], name, depth + 1)


def _check_tensor(data: memoryview, start: int, end: int, name: str) -> None:
    for number, _, _ in fields(data, start, end):
        if number == _EXTERNAL:
            raise PainterError(
                f"{name} keeps weights in another file, which is not opened; give a file that "
                "holds all of them (onnx.save without external data)."
            )
    size = math.prod(shape(data, start, end, _DIMS))
    if size > IMPORT.most_weights:
        raise PainterError(
            f"{name} has an array of {size:,} numbers, where painters have at most "
            f"{IMPORT.most_weights:,}; give another file."
        )


def with_initializers(data: bytes, values: Mapping[str, NDArray[np.generic]]) -> bytes:
    """The bytes of a model with some of its initializers replaced by arrays of their size.

    Raises PainterError where there is none of that name and size, or the bytes are no model.
    """
    places = _places(data)
    changed = bytearray(data)
    for name, array in values.items():
        start, end = places.get(name, (0, 0))
        if end - start != array.nbytes:
            raise PainterError(
                f"initializer {name!r} of {end - start} bytes found, {array.nbytes} expected; "
                "give a file that `pleinair export` wrote."
            )
        changed[start:end] = array.tobytes()
    return bytes(changed)


def silenced(data: bytes, name: str) -> bytes | None:
    """The bytes of a model in which an initializer is 0; None where its bytes are not there.

    Raises PainterError where the bytes are no model.
    """
    start, end = _places(data).get(name, (0, 0))
    return data[:start] + bytes(end - start) + data[end:] if end > start else None


def _places(data: bytes) -> dict[str, tuple[int, int]]:
    """Start and end of the bytes of each initializer by name."""
    view, places = memoryview(data), {}
    try:
        for field, start, end in fields(view, 0, len(view)):
            if field != _GRAPH:
                continue
            for inner, first, last in fields(view, start, end):
                if inner != _INITIALIZER:
                    continue
                parts = {number: (at, to) for number, at, to in fields(view, first, last)}
                if _NAME in parts and _RAW_DATA in parts:
                    at, to = parts[_NAME]
                    places[data[at:to].decode("utf-8", "replace")] = parts[_RAW_DATA]
    except (ValueError, IndexError) as error:
        raise PainterError(
            f"the painter's file is cut short or damaged ({error}); get a whole copy."
        ) from error
    return places
