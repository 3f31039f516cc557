"""Where the numbers of an ONNX file lie, so that some can be replaced without the onnx package.

An ONNX file is the protobuf message ModelProto of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
Its graph is field 7, a graph's initializers field 5, an initializer's name field 8 and its bytes
field 9; replacing bytes by as many others leaves every length in the file true.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from pleinair.errors import PainterError
from pleinair.protobuf import fields

_GRAPH, _INITIALIZER, _NAME, _RAW_DATA = 7, 5, 8, 9


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
