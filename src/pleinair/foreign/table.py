"""Sorted string tables, as LevelDB and TensorFlow write them: keys in order, each with a value.

https://github.com/google/leveldb/blob/main/doc/table_format.md: blocks of entries, an index block
of where they lie, and a footer of where the index lies. Behind each block are a byte of how it is
compressed and its masked CRC32C. A key is kept as what differs from the one before.
"""

from __future__ import annotations

from collections.abc import Iterator

from pleinair.checksums import masked_crc32c
from pleinair.protobuf import varint

_MAGIC = (0xDB4775248B80FB57).to_bytes(8, "little")
_FOOTER, _TRAILER, _WORD = 48, 5, 4  # bytes
_SNAPPY = 1
# Keys share what they begin with, so that a small file could unpack to very much.
_MAX_KEYS = 2**26  # bytes of all keys together


def is_table(tail: bytes) -> bool:
    """Whether a file that ends so is one."""
    return tail.endswith(_MAGIC)


def entries(data: bytes) -> dict[bytes, bytes]:
    """All keys and their values, every block's checksum verified.

    Raises ValueError saying what is wrong, IndexError where a number is cut short, and
    MissingExtraError.
    """
    view = memoryview(data)
    if len(view) < _FOOTER or not is_table(data[-len(_MAGIC) :]):
        raise ValueError("it does not end as a table of tensors does")
    footer = view[-_FOOTER : -len(_MAGIC)]
    start, size, at = _handle(footer, 0)
    for _ in _block(view, start, size):  # a second index, in which nothing is kept
        raise ValueError("it has more than a table of tensors has")
    start, size, at = _handle(footer, at)
    if any(footer[at:]):
        raise ValueError("its last bytes are not as they were written")
    found: dict[bytes, bytes] = {}
    last, total = b"", 0
    for _, handle in _block(view, start, size):
        start, size, _ = _handle(memoryview(handle), 0)
        for key, value in _block(view, start, size):
            total += len(key)
            if (found and key <= last) or total > _MAX_KEYS:
                raise ValueError("its keys are out of order")
            found[key] = value
            last = key
    return found


def _handle(data: memoryview, at: int) -> tuple[int, int, int]:
    """Where a block lies, its size, and where the handle ends."""
    start, at = varint(data, at)
    size, at = varint(data, at)
    return start, size, at


def _block(data: memoryview, start: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a block."""
    end = start + size
    if end + _TRAILER > len(data):
        raise ValueError("a block reaches beyond its end")
    block, kind = data[start:end], data[end]
    checksum = int.from_bytes(data[end + 1 : end + _TRAILER], "little")
    if masked_crc32c(bytes(data[start : end + 1])) != checksum:
        raise ValueError("a block does not match its checksum")
    if kind != 0:
        raise ValueError(
            f"its blocks are compressed ({'Snappy' if kind == _SNAPPY else f'kind {kind}'}), "
            "which TensorFlow does not do"
        )
    if size < _WORD:
        raise ValueError("a block is too short")
    # Places where whole keys stand, for searching; behind them their number.
    places = int.from_bytes(block[-_WORD:], "little")
    at, end, key = 0, size - _WORD * (places + 1), b""
    if end < 0:
        raise ValueError("a block is too short")
    while at < end:
        shared, at = varint(block, at)
        rest, at = varint(block, at)
        length, at = varint(block, at)
        if shared > len(key) or at + rest + length > end:
            raise ValueError("an entry reaches beyond its block")
        key = key[:shared] + bytes(block[at : at + rest])
        yield key, bytes(block[at + rest : at + rest + length])
        at += rest + length
