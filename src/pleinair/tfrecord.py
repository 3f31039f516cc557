"""TFRecord shards of tf.train.Example without TensorFlow: framing, checksums, one feature.

A record is its length (uint64), the length's masked CRC32C, the data, the data's masked CRC32C,
all little-endian (https://www.tensorflow.org/tutorials/load_data/tfrecord). Data is the protobuf
message Example of tensorflow/core/example/example.proto.
"""

from __future__ import annotations

import re
import shutil
import struct
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, NamedTuple, final

from pleinair import protobuf
from pleinair.checksums import masked_crc32c
from pleinair.errors import DataError, ImageError
from pleinair.settings import DATA

FEATURES = ("image", "image_raw", "image/encoded")

_NAME = re.compile(r"\.tfrec(ord)?s?(-\d+-of-\d+)?$", re.IGNORECASE)
_HEAD = struct.Struct("<QI")
_TAIL = struct.Struct("<I")


class Record(NamedTuple):
    """Where the data of a record lies in its shard."""

    offset: int  # bytes
    length: int  # bytes


def is_shard_name(name: str) -> bool:
    """Whether a file's name is that of a shard, as x.tfrec or x.tfrecord-00000-of-00005."""
    return _NAME.search(name) is not None


def looks_like_shard(head: bytes) -> bool:
    """Whether the first 12 bytes of a file are a length and its checksum."""
    if len(head) < _HEAD.size:
        return False
    return masked_crc32c(head[:8]) == int.from_bytes(head[8 : _HEAD.size], "little")


@final
class Shard(NamedTuple):
    """A shard: what opens it, where it begins in what is opened, and its size in bytes."""

    name: str
    opened: Callable[[], AbstractContextManager[IO[bytes]]]
    start: int
    size: int


@final
class Spool:
    """Streams copied one after another into a temporary file that has no name."""

    def __init__(self) -> None:
        self.size = 0
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 -- lives as long as this object
        self._lock = threading.Lock()
        weakref.finalize(self, self._file.close)

    def append(self, stream: IO[bytes]) -> None:
        """Copy a stream to the end."""
        shutil.copyfileobj(stream, self._file, 2**20)
        self.size = self._file.tell()

    @contextmanager
    def opened(self) -> Iterator[IO[bytes]]:
        """The file, for one thread at a time."""
        with self._lock:
            yield self._file


@final
class ShardPictures:
    """Records of one or more shards, named shard/number; offsets are kept, pictures are not.

    Raises DataError for a shard that is cut short or whose lengths fail their checksums.
    """

    files = False
    held = None

    def __init__(self, place: Path, shards: list[Shard]) -> None:
        self.place = place
        self.names: list[str] = []
        self._records: list[tuple[Shard, Record]] = []
        for shard in shards:
            name = str(place) if shard.name == place.name else f"{place}/{shard.name}"
            with shard.opened() as file:
                records = index(file, shard.start, shard.size, name)
            self._records += [(shard, record) for record in records]
            self.names += [f"{shard.name}/{number:07d}" for number in range(len(records))]
        if not self.names:
            raise DataError(f"{place} holds no record; give shards with pictures in them.")

    def read(self, index: int) -> bytes:
        """The encoded picture of one record, its checksum verified. Raises ImageError."""
        shard, record = self._records[index]
        with shard.opened() as file:
            return read(file, record, f"{self.place}: {self.names[index]}")


# --- framing --------------------------------------------------------------------------------


def index(shard: IO[bytes], start: int, size: int, name: str) -> list[Record]:
    """Offsets of all records; reads 12 bytes of each and checks those. Raises DataError."""
    records: list[Record] = []
    position = 0
    while position < size:
        shard.seek(start + position)
        head = shard.read(_HEAD.size)
        if len(head) < _HEAD.size:
            raise _cut_short(name, position)
        length, checksum = _HEAD.unpack(head)
        if masked_crc32c(head[:8]) != checksum:
            if position == 0 and head[:2] == b"\x1f\x8b":
                raise DataError(f"{name} is compressed as a whole; unpack it with gunzip first.")
            raise DataError(
                f"{name} is damaged at byte {position:,}: the length of record {len(records)} "
                "does not match its checksum; get a whole copy."
            )
        if length > DATA.max_picture_bytes:
            raise DataError(
                f"{name} has a record of {length:,} bytes at byte {position:,}, more than "
                f"{DATA.max_picture_bytes:,}; store pictures one a record."
            )
        offset = position + _HEAD.size
        position = offset + length + _TAIL.size
        if position > size:
            raise _cut_short(name, offset)
        records.append(Record(start + offset, length))
    return records


def read(shard: IO[bytes], record: Record, name: str) -> bytes:
    """The encoded picture of one record, its checksum verified. Raises ImageError."""
    shard.seek(record.offset)
    data = shard.read(record.length)
    tail = shard.read(_TAIL.size)
    if len(data) < record.length or len(tail) < _TAIL.size:
        raise ImageError(f"{name} is cut short; get a whole copy of the shard.")
    if masked_crc32c(data) != _TAIL.unpack(tail)[0]:
        raise ImageError(f"{name} does not match its checksum; get a whole copy of the shard.")
    return image_of(data, name)


def image_of(example: bytes, name: str) -> bytes:
    """The bytes of the feature of FEATURES that a tf.train.Example has. Raises ImageError."""
    found: dict[str, bytes | None] = {}
    try:
        for features in protobuf.messages(memoryview(example), 1):
            for entry in protobuf.messages(features, 1):
                key = b"".join(bytes(part) for part in protobuf.messages(entry, 1)).decode()
                values = [
                    bytes(value)
                    for feature in protobuf.messages(entry, 2)
                    for kind in protobuf.messages(feature, 1)
                    for value in protobuf.messages(kind, 1)
                ]
                found[key] = values[0] if values else None
    except (ValueError, IndexError) as error:
        raise ImageError(
            f"{name} is no tf.train.Example ({error}); write one picture a record."
        ) from error
    for feature in FEATURES:
        data = found.get(feature)
        if data is not None:
            return data
    raise ImageError(
        f"{name} has the features {', '.join(sorted(found)) or 'none'}; "
        f"one of {', '.join(FEATURES)} must hold an encoded picture."
    )


def _cut_short(name: str, position: int) -> DataError:
    return DataError(f"{name} is cut short at byte {position:,}; get a whole copy.")
