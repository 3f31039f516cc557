"""TensorFlow's tensor bundles without TensorFlow: `NAME.index` and `NAME.data-00000-of-00001`.

The index is a sorted string table of messages; tensors lie one behind another in the data files.
Messages: tensor_bundle.proto and tensor_shape.proto, types: types.proto, all in
https://github.com/tensorflow/tensorflow/tree/master/tensorflow/core; what lies where:
tensorflow/core/util/tensor_bundle/tensor_bundle.h there.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from pleinair import protobuf
from pleinair.checksums import masked_crc32c
from pleinair.errors import PainterError
from pleinair.foreign import table
from pleinair.foreign.parts import quoted

_STRING = 7
_BFLOAT16 = 14
_NUMBERS: dict[int, np.dtype[Any]] = {
    1: np.dtype("<f4"),
    2: np.dtype("<f8"),
    3: np.dtype("<i4"),
    4: np.dtype("u1"),
    5: np.dtype("<i2"),
    6: np.dtype("i1"),
    9: np.dtype("<i8"),
    10: np.dtype("?"),
    _BFLOAT16: np.dtype("<u2"),  # the upper half of a float32
    17: np.dtype("<u2"),
    19: np.dtype("<f2"),
    22: np.dtype("<u4"),
    23: np.dtype("<u8"),
}
_MAX_INDEX = 2**28  # bytes
_MAX_DIMENSIONS = 16


class Entry(NamedTuple):
    """What the index says of a tensor. checksum: masked CRC32C of its bytes."""

    kind: int  # of types.proto
    shape: tuple[int, ...]
    shard: int
    offset: int  # bytes
    size: int  # bytes
    checksum: int
    whole: bool  # not cut into slices


@final
class Bundle:
    """All tensors of a bundle by key; each is read, and its checksum verified, when asked for.

    prefix: the path without `.index`. Raises PainterError for a damaged or missing index,
    MissingExtraError.
    """

    def __init__(self, prefix: Path) -> None:
        self._prefix = prefix
        index = prefix.with_name(prefix.name + ".index")
        try:
            if index.stat().st_size > _MAX_INDEX:
                raise PainterError(
                    f"{index} has more than {_MAX_INDEX:,} bytes, far more than an index of "
                    "tensors; get a whole copy."
                )
            found = table.entries(index.read_bytes())
            self._shards = _shards(memoryview(found.pop(b"", b"")))
            self.entries = {key.decode(): _entry(memoryview(value)) for key, value in found.items()}
        except OSError as error:
            raise PainterError(f"{index} cannot be read ({error.strerror or error}).") from error
        except (ValueError, IndexError) as error:
            raise PainterError(
                f"{index} is damaged or cut short ({error}); get a whole copy."
            ) from error

    def read(self, key: str) -> NDArray[np.generic]:
        """A tensor of numbers, bit for bit; bfloat16 as float32. Raises PainterError."""
        entry = self._entry(key)
        kind = _NUMBERS.get(entry.kind)
        if kind is None:
            raise PainterError(
                f"{self._prefix}: {quoted(key)} is of TensorFlow's type {entry.kind}, which "
                "no weights are of; give a checkpoint of a painter."
            )
        if math.prod(entry.shape) * kind.itemsize != entry.size:
            raise self._damaged(key, f"{entry.size:,} bytes do not make {list(entry.shape)}")
        data = self._bytes(key, entry)
        if masked_crc32c(data) != entry.checksum:
            raise self._damaged(key, "it does not match its checksum")
        try:
            array: NDArray[np.generic] = np.frombuffer(data, kind).reshape(entry.shape)
        except (ValueError, OverflowError) as error:  # no number at all, and sides without end
            raise self._damaged(key, f"no array is {list(entry.shape)}") from error
        if entry.kind == _BFLOAT16:
            return (array.astype(np.uint32) << 16).view(np.float32)
        return array

    def text(self, key: str) -> bytes:
        """A single string: its length, a checksum of that, and its bytes. Raises PainterError."""
        entry = self._entry(key)
        if entry.kind != _STRING or entry.shape != ():
            raise PainterError(
                f"{self._prefix}: {quoted(key)} is no string; give a whole checkpoint."
            )
        data = self._bytes(key, entry)
        try:
            length, at = protobuf.varint(memoryview(data), 0)
        except (ValueError, IndexError) as error:
            raise self._damaged(key, str(error)) from error
        mark, text = data[at : at + 4], data[at + 4 :]
        if len(text) != length:
            raise self._damaged(key, f"{len(text):,} bytes found, {length:,} announced")
        # Checksums are of the length as a number of fixed size, not as it is stored.
        number = length.to_bytes(4 if length < 2**32 else 8, "little")
        if (
            masked_crc32c(number) != int.from_bytes(mark, "little")
            or masked_crc32c(number, mark, text) != entry.checksum
        ):
            raise self._damaged(key, "it does not match its checksum")
        return text

    def _entry(self, key: str) -> Entry:
        entry = self.entries.get(key)
        if entry is None:
            raise PainterError(
                f"{self._prefix} holds no tensor {quoted(key)}; give a checkpoint that "
                "TensorFlow 2 wrote, all of its files."
            )
        if not entry.whole:
            raise PainterError(
                f"{self._prefix}: {quoted(key)} is cut into slices, as only servers of parameters "
                "do; save it from a single process."
            )
        return entry

    def _bytes(self, key: str, entry: Entry) -> bytes:
        shard = self._prefix.with_name(
            f"{self._prefix.name}.data-{entry.shard:05d}-of-{self._shards:05d}"
        )
        try:
            with shard.open("rb") as file:
                size = file.seek(0, 2)
                if entry.offset + entry.size > size:
                    raise PainterError(
                        f"{shard} is cut short: {size:,} bytes found, {quoted(key)} ends at "
                        f"{entry.offset + entry.size:,}; get a whole copy."
                    )
                file.seek(entry.offset)
                return file.read(entry.size)
        except OSError as error:
            raise PainterError(
                f"{shard} cannot be read ({error.strerror or error}); a checkpoint is its "
                ".index and all its .data files together."
            ) from error

    def _damaged(self, key: str, what: str) -> PainterError:
        return PainterError(f"{self._prefix}: {quoted(key)} is damaged ({what}); get a whole copy.")


def _shards(header: memoryview) -> int:
    """How many data files there are, by the message BundleHeaderProto."""
    found = protobuf.numbers(header)
    if found.get(2, 0) != 0:
        raise ValueError("it was written on a big-endian machine")
    shards = found.get(1, 0)
    if not 0 < shards < 100_000:
        raise ValueError(f"{shards} data files")
    return shards


def _entry(message: memoryview) -> Entry:
    """The message BundleEntryProto."""
    found = protobuf.numbers(message)
    shape: list[int] = []
    for description in protobuf.messages(message, 2):
        shape = [protobuf.numbers(side).get(1, 0) for side in protobuf.messages(description, 2)]
    if len(shape) > _MAX_DIMENSIONS:
        raise ValueError(f"a tensor of {len(shape)} dimensions")
    return Entry(
        kind=found.get(1, 0),
        shape=tuple(shape),
        shard=found.get(3, 0),
        offset=found.get(4, 0),
        size=found.get(5, 0),
        checksum=found.get(6, 0),
        whole=not any(True for _ in protobuf.messages(message, 7)),
    )
