"""The wire format of protobuf, as far as reading known messages takes it.

https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterator

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def fields(data: memoryview, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Number, start and end of each length-delimited field of the message that lies there.

    Raises ValueError or IndexError where it is none.
    """
    for number, kind, first, last in _fields(data, start, end):
        if kind == _BYTES:
            yield number, first, last


def numbers(data: memoryview, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Number and value of each varint field of the message that lies there, unsigned."""
    for number, kind, first, _ in _fields(data, start, end):
        if kind == _VARINT:
            yield number, _varint(data, first)[0]


def packed(data: memoryview, start: int, end: int) -> Iterator[int]:
    """The varints that lie there side by side, as repeated numbers may."""
    at = start
    while at < end:
        value, at = _varint(data, at)
        yield value


def field_of(number: int, content: bytes) -> bytes:
    """A length-delimited field as it is written."""
    head = bytearray()
    for value in (number << 3 | _BYTES, len(content)):
        while value > 0x7F:
            head.append(value & 0x7F | 0x80)
            value >>= 7
        head.append(value)
    return bytes(head) + content


def _fields(data: memoryview, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    at = start
    while at < end:
        key, at = _varint(data, at)
        kind, first = key & 7, at
        if kind == _BYTES:
            length, first = _varint(data, at)
            at = first + length
        elif kind == _VARINT:
            _, at = _varint(data, at)
        elif kind in (_FIXED64, _FIXED32):
            at += 8 if kind == _FIXED64 else 4
        else:
            raise ValueError(f"wire type {kind}")
        if at > end:
            raise ValueError("a field longer than its message")
        yield key >> 3, kind, first, at


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ValueError("a number of more than 10 bytes")
