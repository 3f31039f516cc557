"""Checksums and lengths of changed files made right, so that what is behind them is looked at."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib

from pleinair import archives, png, protobuf
from pleinair.checksums import masked_crc32c
from pleinair.png import SIGNATURE

_MAGIC = bytes.fromhex("57fb808b247547db")  # of a table of tensors


def tfrecord(data: bytes) -> bytes:
    """A shard whose records end where it ends, each with its checksums."""
    parts, at = [], 0
    while at + 16 <= len(data):
        length = min(int.from_bytes(data[at : at + 8], "little"), len(data) - at - 16)
        head = struct.pack("<Q", length)
        record = data[at + 12 : at + 12 + length]
        parts += [head, _crc(head), record, _crc(record)]
        at += 16 + length
    return b"".join(parts)


def _crc(data: bytes) -> bytes:
    return masked_crc32c(data).to_bytes(4, "little")


def table(data: bytes) -> bytes:
    """A table of tensors whose blocks have their checksums, as far as its index leads to them."""
    if len(data) < 48:
        return data
    found = bytearray(data[:-8] + _MAGIC)
    view = memoryview(bytes(found))
    try:
        start, at = protobuf.varint(view[-48:], 0)
        size, at = protobuf.varint(view[-48:], at)
        _sum_block(found, start, size)
        start, at = protobuf.varint(view[-48:], at)
        size, _ = protobuf.varint(view[-48:], at)
        # Behind the entries are places, each of four bytes, and how many they are.
        places = int.from_bytes(view[start + size - 4 : start + size], "little")
        at, end = start, min(start + size - 4 * (places + 1), len(view))
        while at < end:
            _, at = protobuf.varint(view, at)
            key, at = protobuf.varint(view, at)
            length, at = protobuf.varint(view, at)
            first, inner = protobuf.varint(view, at + key)
            many, _ = protobuf.varint(view, inner)
            _sum_block(found, first, many)
            at += key + length
    except (ValueError, IndexError):
        pass  # as far as it goes
    else:
        _sum_block(found, start, size)
    return bytes(found)


def _sum_block(found: bytearray, start: int, size: int) -> None:
    end = start + size
    if end + 5 <= len(found) - 48:
        found[end + 1 : end + 5] = _crc(bytes(found[start : end + 1]))


def png_chunks(data: bytes) -> bytes:
    """A PNG whose chunks have their checksums; other files as they are."""
    if not data.startswith(SIGNATURE):
        return data
    parts, at = [data[:8]], 8
    while at + 12 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if at + 12 + size > len(data):
            break
        parts.append(png.chunk(data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += 12 + size
    return b"".join([*parts, data[at:]])


def safetensors(data: bytes) -> bytes:
    """A file whose first number is the length of the JSON behind it."""
    end = data.rfind(b"}", 8) + 1
    while data[end : end + 1] == b" ":  # up to a multiple of eight
        end += 1
    return struct.pack("<Q", end - 8) + data[8:] if end else data


def members(data: bytes) -> bytes:
    """A zip file whose stored members have their CRC-32, where its directory leads to them."""
    found = bytearray(data)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
    except (*archives.BROKEN, struct.error, OverflowError):
        return data
    at = 0
    for info in infos:
        at = found.find(b"PK\1\2", at)
        head = found[info.header_offset : info.header_offset + 30]
        if at < 0 or len(head) < 30:
            break
        names = sum(struct.unpack("<HH", head[26:]))
        start = info.header_offset + 30 + names
        if info.compress_type == zipfile.ZIP_STORED:
            crc = zlib.crc32(found[start : start + info.file_size]).to_bytes(4, "little")
            found[info.header_offset + 14 : info.header_offset + 18] = crc
            found[at + 16 : at + 20] = crc
        at += 46
    return bytes(found)
