"""HDF5 files that strangers made: groups, arrays and attributes of this one file, and no more.

https://docs.hdfgroup.org/hdf5/develop/_f_m_t3.html is the format. A file may point to others (external
links, external and virtual storage), to itself in circles, and may announce arrays and attributes
of any size in a few bytes; none of that is in what Keras writes, and all of it is refused before
anything is read.
"""

from __future__ import annotations

import io
import math
import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from pleinair.errors import MissingExtraError, PainterError
from pleinair.foreign.parts import Variable

SIGNATURE = b"\x89HDF\r\n\x1a\n"

_BROKEN = (OSError, RuntimeError, ValueError, TypeError, KeyError, OverflowError, MemoryError)
_GREAT = 2**20  # bytes: more than any array or attribute that is refused for its size has reason to
_MAX_TEXT = 2**26  # bytes of an attribute
_MAX_ENTRIES = 20_000  # of groups and arrays
_HEAP = b"GCOL\x01\0\0\0"  # what texts of any length are kept in begins so; its size follows


@final
class Group:
    """A group of a file that is open. Its members raise PainterError."""

    def __init__(self, file: _File, handle: Any) -> None:
        self._file = file
        self._handle = handle

    def names(self) -> list[str]:
        """Names of what is in it."""
        with self._file.read():
            return self._file.counted(list(self._handle))

    def group(self, name: str) -> Group:
        """A group in it, by name or path."""
        with self._file.read():
            found = self._child(name)
            if not isinstance(found, self._file.h5py.Group):
                raise ValueError(f"{name} is no group")
            return Group(self._file, found)

    def groups(self) -> dict[str, Group]:
        """All groups in it."""
        with self._file.read():
            found = {name: self._child(name) for name in self.names()}
            return {
                name: Group(self._file, one)
                for name, one in found.items()
                if isinstance(one, self._file.h5py.Group)
            }

    def variable(self, path: str, name: str) -> Variable:
        """An array in it, its numbers yet unread while the file stays open."""
        with self._file.read():
            found = self._child(path)
            if not isinstance(found, self._file.h5py.Dataset):
                raise ValueError(f"{path} is no array")
            self._file.check(found, path)
            # As Keras keeps bfloat16, which numpy has not: the upper half of a float32.
            half = found.dtype.kind == "V" and found.dtype.itemsize == 2
            shape = tuple(int(side) for side in found.shape)

        def read() -> NDArray[np.generic]:
            with self._file.read():
                array = np.asarray(found[()])
                if half:
                    return (array.view("<u2").astype(np.uint32) << 16).view(np.float32)
                return array

        return Variable(name, shape, read)

    def text(self, name: str) -> str | None:
        """An attribute that is one text; None where there is none of that name."""
        found = self._attribute(name)
        return found[0] if found else None

    def texts(self, name: str) -> list[str] | None:
        """An attribute of several; in pieces `name0`, `name1` ... where it was too large for one."""
        found = self._attribute(name)
        if found is not None:
            return found
        pieces: list[str] = []
        for number in range(_MAX_ENTRIES):
            piece = self._attribute(f"{name}{number}")
            if piece is None:
                break
            pieces += piece
        return pieces or None

    def _attribute(self, name: str) -> list[str] | None:
        with self._file.read():
            if name not in self._handle.attrs:
                return None
            self._file.check_attribute(self._handle, name)
            values = np.ravel(np.asarray(self._handle.attrs[name]))
            return [
                value.decode() if isinstance(value, bytes) else str(value)
                for value in values.tolist()
            ]

    def _child(self, path: str) -> Any:
        """What lies at a path, every step of it in this file."""
        h5py, found = self._file.h5py, self._handle
        for step in path.split("/"):
            link = found.get(step, getlink=True) if step not in ("", ".", "..") else None
            if not isinstance(link, h5py.HardLink):
                raise ValueError(f"{path} is missing or lies outside of the file")
            found = found[step]
        return found


@final
class _File:
    """What all groups of a file share: limits, and the sentence for what is broken."""

    def __init__(self, h5py: Any, data: mmap.mmap | bytes, name: str) -> None:
        self.h5py = h5py
        self._name = name
        self._data = data
        self._announced = 0  # bytes of arrays
        self._entries = 0
        self._longest: int | None = None

    @contextmanager
    def read(self) -> Iterator[None]:
        """Turns whatever the library raises into the sentence for a broken file."""
        try:
            yield
        except _BROKEN as error:
            what = str(error).split("\n", 1)[0][:200]
            raise PainterError(
                f"{self._name} is damaged or is not of Keras ({what}); get a whole copy."
            ) from error

    def counted(self, names: list[str]) -> list[str]:
        """The same names. Raises ValueError where a file has no end of them."""
        self._entries += len(names) + 1
        if self._entries > _MAX_ENTRIES:
            raise ValueError(f"more than {_MAX_ENTRIES:,} entries")
        return names

    def check(self, array: Any, path: str) -> None:
        """Raise ValueError for an array that lies elsewhere or is larger than the file."""
        if array.external or array.is_virtual:
            raise ValueError(f"the numbers of {path} lie in another file")
        numbers = array.dtype.kind in "fiu" or (array.dtype.kind == "V" and not array.dtype.names)
        if array.shape is None or not numbers or array.dtype.itemsize > 8:
            raise ValueError(f"{path} holds no numbers")
        size = math.prod(array.shape) * array.dtype.itemsize
        self._announced += size
        # Compression gains little on weights; what gains much is made to.
        if self._announced > 4 * len(self._data) + _GREAT:
            raise ValueError(
                f"{path} announces {size:,} bytes in a file of {len(self._data):,}"
            )

    def check_attribute(self, handle: Any, name: str) -> None:
        """Raise ValueError for an attribute that is no text or would unpack to very much."""
        attribute = self.h5py.h5a.open(handle.id, name.encode())
        count = math.prod(attribute.shape)
        kind = attribute.get_type()
        if count == 0:
            return
        if not isinstance(kind, self.h5py.h5t.TypeStringID):
            raise ValueError(f"attribute {name} is no text")
        # Every one of many texts of variable length may point to the same long one.
        longest = self._longest_text() if kind.is_variable_str() else kind.get_size()
        if count * longest > _MAX_TEXT:
            raise ValueError(f"attribute {name} announces {count * longest:,} bytes")

    def _longest_text(self) -> int:
        """A bound of the texts of variable length: the size of the largest heap of them."""
        if self._longest is None:
            at, self._longest = self._data.find(_HEAP), 0
            while at >= 0:
                size = int.from_bytes(self._data[at + 8 : at + 16], "little")
                self._longest = max(self._longest, min(size, len(self._data)))
                at = self._data.find(_HEAP, at + 1)
        return self._longest


@contextmanager
def opened(source: Path | bytes, name: str) -> Iterator[Group]:
    """The root of a file, or of its bytes. name: for sentences.

    Raises PainterError, MissingExtraError.
    """
    try:
        import h5py
    except ImportError as error:
        raise MissingExtraError(
            "reading Keras files needs pip install 'pleinair[import]'."
        ) from error
    if isinstance(source, bytes):
        with _open(h5py, io.BytesIO(source), name) as handle:
            yield Group(_File(h5py, source, name), handle)
        return
    try:
        with source.open("rb") as raw:
            data = mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise PainterError(f"{name} cannot be read ({error}).") from error
    with data, _open(h5py, source, name) as handle:
        yield Group(_File(h5py, data, name), handle)


def _open(h5py: Any, source: Any, name: str) -> Any:
    try:
        return h5py.File(source, "r")
    except _BROKEN as error:
        raise PainterError(
            f"{name} is damaged or cut short, or no HDF5 file ({error}); get a whole copy."
        ) from error
