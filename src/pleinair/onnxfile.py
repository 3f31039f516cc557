"""Where the numbers of an ONNX file lie, so that some can be replaced without the onnx package.

An ONNX file is the protobuf message ModelProto of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
Its graph is field 7, a graph's initializers field 5, an initializer's name field 8 and its bytes
field 9; replacing bytes by as many others leaves every length in the file true. What the file says
of itself is in fields 14, pairs of a key (1) and a value (2).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from pleinair.errors import PainterError
from pleinair.protobuf import entries, field_of, fields

_GRAPH, _INITIALIZER, _NAME, _RAW_DATA = 7, 5, 8, 9
_NODE, _DIMS, _DATA_TYPE, _METADATA, _KEY, _VALUE = 1, 1, 2, 14, 1, 2
_NUMBERS = (1, 2, 3, 10, 11, 16)  # of TensorProto.DataType: floats of all widths, bytes


def is_model(data: bytes) -> bool:
    """Whether bytes are a whole ONNX model with a graph, as far as its outer fields tell."""
    view = memoryview(data)
    try:
        for field, start, end in fields(view, 0, len(view)):
            if field == _GRAPH:
                return any(number == _NODE for number, _, _ in fields(view, start, end))
    except (ValueError, IndexError):
        return False
    return False


def metadata(data: bytes) -> dict[str, str]:
    """What a model says of itself. Raises PainterError where the bytes are no model."""
    view, found = memoryview(data), {}
    try:
        for field, start, end in fields(view, 0, len(view)):
            if field == _METADATA:
                parts = {number: data[at:to] for number, at, to in fields(view, start, end)}
                key, value = (parts.get(part, b"") for part in (_KEY, _VALUE))
                found[key.decode("utf-8", "replace")] = value.decode("utf-8", "replace")
    except (ValueError, IndexError) as error:
        raise _damaged(error) from error
    return found


def with_metadata(data: bytes, key: str, value: str) -> bytes:
    """The bytes of a model that says this of itself. Raises PainterError where they are none."""
    view, kept, at = memoryview(data), bytearray(), 0
    try:
        for field, _, start, end in entries(view, 0, len(view)):
            parts = dict[int, bytes]()
            if field == _METADATA:
                parts = {number: bytes(data[a:b]) for number, a, b in fields(view, start, end)}
            if parts.get(_KEY) != key.encode():
                kept += view[at:end]
            at = end
    except (ValueError, IndexError) as error:
        raise _damaged(error) from error
    pair = field_of(_KEY, key.encode()) + field_of(_VALUE, value.encode())
    return bytes(kept) + field_of(_METADATA, pair)


def parameters(data: bytes) -> int:
    """How many numbers a model's weights have. Raises PainterError where the bytes are no model."""
    view, total = memoryview(data), 0
    try:
        for field, start, end in fields(view, 0, len(view)):
            if field != _GRAPH:
                continue
            for inner, first, last in fields(view, start, end):
                if inner == _INITIALIZER:
                    total += _numbers_of(view, first, last)
    except (ValueError, IndexError) as error:
        raise _damaged(error) from error
    return total


def _numbers_of(view: memoryview, first: int, last: int) -> int:
    count, rank, kind, name = 1, 0, 0, b""
    for number, value, at, to in entries(view, first, last):
        if number == _DIMS and value is not None:
            count, rank = count * value, rank + 1
        elif number == _DATA_TYPE and value is not None:
            kind = value
        elif number == _NAME:
            name = bytes(view[at:to])
    is_ours = name == b"given_statistics"  # which are no weights
    return count if rank and kind in _NUMBERS and not is_ours else 0


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
        raise _damaged(error) from error
    return places


def _damaged(error: Exception) -> PainterError:
    return PainterError(f"the painter's file is cut short or damaged ({error}); get a whole copy.")
