"""TensorFlow's bundles as tests write them: every checksum true, whatever the rest says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pleinair.checksums import masked_crc32c
from tests.test_sources import field, varint


def block(content: bytes, kind: int = 0, checksum: int | None = None) -> bytes:
    end = bytes([kind])
    checksum = masked_crc32c(content + end) if checksum is None else checksum
    return content + end + checksum.to_bytes(4, "little")


def entry(shared: int, key: bytes, value: bytes) -> bytes:
    return varint(shared) + varint(len(key)) + varint(len(value)) + key + value


PLACES = (0).to_bytes(4, "little") + (1).to_bytes(4, "little")
MAGIC = bytes.fromhex("57fb808b247547db")


def a_table(content: bytes, kind: int = 0) -> bytes:
    """A file with a block of entries, every checksum true."""
    first = block(content + PLACES, kind)
    handle = varint(0) + varint(len(first) - 5)
    second = block(entry(0, b"z", handle) + PLACES)
    footer = varint(len(first) + len(second)) + varint(len(PLACES))
    footer += varint(len(first)) + varint(len(second) - 5)
    return first + second + block(PLACES) + footer.ljust(40, b"\0") + MAGIC


def a_bundle(tmp_path: Path, header: bytes, entries: dict[bytes, bytes], data: bytes = b"") -> Path:
    content = entry(0, b"", header)
    for key in sorted(entries):
        content += entry(0, key, entries[key])
    (tmp_path / "x.index").write_bytes(a_table(content))
    (tmp_path / "x.data-00000-of-00001").write_bytes(data)
    return tmp_path / "x"


def numbers(**fields: Any) -> bytes:
    """A message of numbers by field: n1=..., and messages: m2=..."""
    found = b""
    for name, value in fields.items():
        number = int(name[1:])
        found += field(number, value) if name[0] == "m" else varint(number << 3) + varint(value)
    return found


def checksum_field(data: bytes) -> bytes:
    return bytes([6 << 3 | 5]) + masked_crc32c(data).to_bytes(4, "little")


HEADER = numbers(n1=1)


def a_graph(tmp_path: Path, graph: bytes) -> Path:
    """A checkpoint of nothing but an object graph, its checksums true."""
    length = varint(len(graph))
    number = len(graph).to_bytes(4, "little")
    mark = masked_crc32c(number).to_bytes(4, "little")
    data = length + mark + graph
    message = numbers(n1=7, n5=len(data)) + checksum_field(number + mark + graph)
    return a_bundle(tmp_path, HEADER, {b"_CHECKPOINTABLE_OBJECT_GRAPH": message}, data)


def child(number: int, name: bytes) -> bytes:
    return field(1, numbers(n1=number) + field(2, name))
