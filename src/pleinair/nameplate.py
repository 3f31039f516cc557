"""What an ONNX file says of itself, read and written without the onnx package.

Of ModelProto (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto) the graph is field
7 and what it says are fields 14, pairs of a key (1) and a value (2).
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

from pleinair import parsing
from pleinair.errors import PainterError
from pleinair.protobuf import field_of, fields, messages, numbers, shape

_GRAPH, _METADATA, _KEY, _VALUE = 7, 14, 1, 2
_NODE, _INITIALIZER, _DIMS, _DATA_TYPE, _NAME = 1, 5, 1, 2, 8
_WEIGHTS = (1, 2, 3, 10, 11, 16)  # of TensorProto.DataType: floats of all widths, bytes
_SCALES = (b"_scale", b"_zero_point")  # of weights of 8 bits, beside them


class Words(NamedTuple):
    """What people are told of a painter."""

    title: str
    about: str
    licence: str


def words(card: dict[str, Any], name: str) -> Words:
    """What people are told of a painter, by its card or by the name of its file."""
    learned = str(card.get("data") or "")
    spoken = name.replace("_", " ").replace("-", " ").capitalize()
    return Words(
        str(card.get("title") or spoken),
        str(card.get("about") or (f"Learned from {learned}." if learned else "")),
        str(card.get("licence") or ""),
    )


def is_model(data: bytes) -> bool:
    """Whether bytes are a whole ONNX model with a graph, as far as its outer fields tell."""
    view = memoryview(data)
    try:
        graphs = [place for number, *place in fields(view, 0, len(view)) if number == _GRAPH]
        return any(number == _NODE for place in graphs for number, _, _ in fields(view, *place))
    except (ValueError, IndexError):
        return False


def read(path: Path) -> dict[str, str]:
    """`metadata` of a file; empty of one that cannot be read or is no model."""
    try:
        return metadata(path.read_bytes())
    except (OSError, PainterError):
        return {}


def part(told: dict[str, str], key: str) -> dict[str, Any]:
    """The `spec` or the `card` in what a model says of itself; empty where it says none."""
    try:
        return parsing.object_of(told.get(key, "{}"))
    except ValueError:
        return {}


def metadata(data: bytes) -> dict[str, str]:
    """What a model says of itself. Raises PainterError where the bytes are no model."""
    view = memoryview(data)
    try:
        places = [place for number, *place in fields(view, 0, len(view)) if number == _METADATA]
        pairs = [_pair(view, *place) for place in places]
    except (ValueError, IndexError) as error:
        raise _damaged(error) from error
    return {_text(key): _text(value) for key, value in pairs}


def with_metadata(data: bytes, key: str, value: str) -> bytes:
    """The bytes of a model that says this of itself. Raises PainterError where they are none."""
    view, kept, at = memoryview(data), bytearray(), 0
    try:
        for number, start, end in fields(view, 0, len(view)):
            # What lies between two fields with a length are numbers, and this one's head.
            if number != _METADATA or _pair(view, start, end)[0] != key.encode():
                kept += view[at:end]
            at = end
    except (ValueError, IndexError) as error:
        raise _damaged(error) from error
    pair = field_of(_KEY, key.encode()) + field_of(_VALUE, value.encode())
    return bytes(kept) + bytes(view[at:]) + field_of(_METADATA, pair)


def parameters(data: bytes) -> int:
    """How many numbers a model's weights have. Raises PainterError where the bytes are no model.

    In files of ours, which have a `spec`, weights have dots in their names and helpers have none.
    """
    view, total = memoryview(data), 0
    ours = "spec" in metadata(data)
    try:
        for number, start, end in fields(view, 0, len(view)):
            if number == _GRAPH:
                for inner, first, last in fields(view, start, end):
                    total += _weights_of(view, first, last, ours) if inner == _INITIALIZER else 0
    except (ValueError, IndexError) as error:
        raise _damaged(error) from error
    return total


def _weights_of(view: memoryview, start: int, end: int, ours: bool) -> int:
    sides = shape(view, start, end, _DIMS)
    name = b"".join(messages(view[start:end], _NAME))
    kind = numbers(view[start:end]).get(_DATA_TYPE, 0)
    named = b"." in name and not name.endswith(_SCALES) if ours else name != b"given_statistics"
    is_weight = sides and kind in _WEIGHTS and named
    return math.prod(sides) if is_weight else 0


def _pair(view: memoryview, start: int, end: int) -> tuple[bytes, bytes]:
    parts = {number: bytes(view[first:last]) for number, first, last in fields(view, start, end)}
    return parts.get(_KEY, b""), parts.get(_VALUE, b"")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _damaged(error: Exception) -> PainterError:
    return PainterError(f"the painter's file is cut short or damaged ({error}); get a whole copy.")
