"""The wire format of protobuf, as far as reading a few known messages takes it.

https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

_MOST_SIDES = 64
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def fields(data: memoryview, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Number, start and end of each length-delimited field of the message that lies there.

    Raises ValueError or IndexError where it is none.
    """
    for number, kind, first, last in _parts(data, start, end):
        if kind == _BYTES:
            yield number, first, last


def messages(data: memoryview, number: int) -> Iterator[memoryview]:
    """The length-delimited fields of this number of a message. Raises ValueError or IndexError."""
    for found, start, end in fields(data, 0, len(data)):
        if found == number:
            yield data[start:end]


def text(data: memoryview, number: int) -> str:
    """The last string of this number, or an empty one. Raises ValueError or IndexError."""
    found = b""
    for value in messages(data, number):
        found = bytes(value)
    return found.decode()


def numbers(data: memoryview) -> dict[int, int]:
    """The last number of each field of a message that holds numbers, unsigned.

    Raises ValueError or IndexError.
    """
    found = {}
    for number, kind, first, last in _parts(data, 0, len(data)):
        if kind == _VARINT:
            found[number], _ = varint(data, first)
        elif kind != _BYTES:
            found[number] = int.from_bytes(data[first:last], "little")
    return found


def repeated(data: memoryview, start: int, end: int, number: int) -> Iterator[int]:
    """All numbers of this field, whether they lie there one by one or side by side.

    Raises ValueError or IndexError.
    """
    for found, kind, first, last in _parts(data, start, end):
        if found != number:
            continue
        if kind == _VARINT:
            yield varint(data, first)[0]
        elif kind == _BYTES:
            while first < last:
                value, first = varint(data, first)
                yield value


def shape(data: memoryview, start: int, end: int, number: int) -> list[int]:
    """The same as the sides of an array. Raises ValueError, also for more than any array has."""
    found = list(itertools.islice(repeated(data, start, end, number), _MOST_SIDES + 1))
    if len(found) > _MOST_SIDES:  # whose product alone would take hours
        raise ValueError(f"an array of more than {_MOST_SIDES} dimensions")
    return found


def field_of(number: int, content: bytes) -> bytes:
    """A length-delimited field as it is written."""
    head = bytearray()
    for value in (number << 3 | _BYTES, len(content)):
        while value > 0x7F:
            head.append(value & 0x7F | 0x80)
            value >>= 7
        head.append(value)
    return bytes(head) + content


def varint(data: memoryview, position: int) -> tuple[int, int]:
    """A number of seven bits a byte, and where it ends. Raises ValueError or IndexError."""
    value = 0
    for shift in range(0, 70, 7):
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ValueError("a number of more than 10 bytes")


def _parts(data: memoryview, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Number, wire type, start and end of the value of each field."""
    at = start
    while at < end:
        key, first = varint(data, at)
        kind = key & 7
        if kind == _BYTES:
            length, first = varint(data, first)
            at = first + length
        elif kind == _VARINT:
            _, at = varint(data, first)
        elif kind in (_FIXED64, _FIXED32):
            at = first + (8 if kind == _FIXED64 else 4)
        else:
            raise ValueError(f"wire type {kind}")
        if at > end:
            raise ValueError("a field longer than its message")
        yield key >> 3, kind, first, at
