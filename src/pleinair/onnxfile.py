"""Where the numbers of an ONNX file lie, so that some can be replaced without the onnx package.

An ONNX file is the protobuf message ModelProto of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
Its graph is field 7, a graph's initializers field 5, an initializer's name field 8 and its bytes
field 9; replacing bytes by as many others leaves every length in the file true.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from pleinair.errors import PainterError

_GRAPH, _INITIALIZER, _NAME, _RAW_DATA = 7, 5, 8, 9
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


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
    places = {}
    for field, start, end in _fields(data, 0, len(data)):
        if field != _GRAPH:
            continue
        for inner, first, last in _fields(data, start, end):
            if inner != _INITIALIZER:
                continue
            parts = {number: (at, to) for number, at, to in _fields(data, first, last)}
            if _NAME in parts and _RAW_DATA in parts:
                at, to = parts[_NAME]
                places[data[at:to].decode("utf-8", "replace")] = parts[_RAW_DATA]
    return places


def _fields(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Number, start and end of the length-delimited fields of one message."""
    while at < end:
        key, at = _varint(data, at, end)
        kind = key & 7
        if kind == _VARINT:
            _, at = _varint(data, at, end)
        elif kind == _BYTES:
            length, at = _varint(data, at, end)
            if at + length > end:
                break
            yield key >> 3, at, at + length
            at += length
        elif kind in (_FIXED64, _FIXED32):
            at += 8 if kind == _FIXED64 else 4
        else:
            break
    if at != end:
        raise PainterError("the painter's file is cut short or damaged; get a whole copy.")


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end and shift < 64:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise PainterError("the painter's file is cut short or damaged; get a whole copy.")
