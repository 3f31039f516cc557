"""HDF5 files as Keras writes them, read without libhdf5, which hostile files hang and crash.

Keras has the library write its oldest format, of which this is all that is used: groups with symbol
tables, arrays in one piece, attributes that are texts. Numbers of sections below are of
https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html (HDF5 File Format
Specification 3.0). Whatever else the format can do is refused: links to other places and files,
arrays stored elsewhere, in pieces or compressed. Nothing is read that does not lie in the file.
"""

from __future__ import annotations

import math
import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from pleinair.errors import PainterError
from pleinair.foreign.parts import Variable, quoted

SIGNATURE = b"\x89HDF\r\n\x1a\n"

_MAX_STEPS = 2**20  # entries and messages of a whole file, each of which is looked at
_MAX_TEXT = 2**26  # bytes of all its texts
_MAX_READ = 2**28  # bytes of all that describes its numbers, each time that they are looked at
_MAX_SIDES = 8
_NOWHERE = 2**64 - 1
_SPACE, _LINKS, _TYPE, _EXTERNAL, _LINK, _LAYOUT = 0x01, 0x02, 0x03, 0x07, 0x06, 0x08
_FILTERS, _ATTRIBUTE, _CONTINUED, _TABLE, _ATTRIBUTES = 0x0B, 0x0C, 0x10, 0x11, 0x15
_REFUSED = {
    _LINKS: "links of the newer kind, which may leave the file",
    _LINK: "a link of the newer kind, which may leave the file",
    _EXTERNAL: "numbers in another file",
    _FILTERS: "compressed numbers",
    _ATTRIBUTES: "attributes of the newer kind",
}
_NUMBER, _FLOAT, _TEXT, _OPAQUE, _VARIABLE = 0, 1, 3, 5, 9  # classes of section IV.A.2.d
_BRAIN = "bfloat16"  # the upper half of a float32, which Keras writes as two opaque bytes
# By bytes, bits of the exponent and of the mantissa.
_FLOATS = {(2, 5, 10): "<f2", (4, 8, 23): "<f4", (8, 11, 52): "<f8", (2, 8, 7): _BRAIN}


class _Type(NamedTuple):
    kind: int
    size: int  # bytes
    numbers: str  # numpy's name, or `bfloat16`; empty: no numbers


@final
class Group:
    """A group of a file that is open. Its members raise PainterError."""

    def __init__(self, file: _File, address: int, path: str) -> None:
        self._file = file
        self._path = path
        with file.sentence():
            self._messages = file.messages(address, path)
            self._entries = file.entries(self._messages)

    def names(self) -> list[str]:
        """Names of what is in it."""
        return list(self._entries)

    def group(self, name: str) -> Group:
        """The group of this name in it."""
        with self._file.sentence():
            if name not in self._entries:
                raise ValueError(f"{quoted(name)} is missing")
        return Group(self._file, self._entries[name], f"{self._path}/{name}")

    def groups(self) -> dict[str, Group]:
        """All groups in it; one that lies there by several names, by the first of them."""
        first = {address: name for name, address in reversed(self._entries.items())}
        found = {n: self.group(n) for n, address in self._entries.items() if first[address] == n}
        return {name: one for name, one in found.items() if _TABLE in one._messages}

    def variable(self, path: str, name: str) -> Variable:
        """The array at a path in it, by another name; to be read while the file is open."""
        array = self
        for step in path.split("/"):
            array = array.group(step) if step else array
        with self._file.sentence():
            return self._file.variable(array._messages, name, array._path)

    def text(self, name: str) -> str | None:
        """An attribute that is one text; None where there is none of that name."""
        found = self._attributes.get(name)
        return found[0] if found else None

    def texts(self, name: str) -> list[str] | None:
        """An attribute of several; large ones are kept in pieces, `name0`, `name1` ..."""
        attributes = self._attributes
        if name in attributes or f"{name}0" not in attributes:
            return attributes.get(name)
        pieces: list[str] = []
        for number in range(len(attributes)):
            pieces += attributes.get(f"{name}{number}", [])
        return pieces

    @cached_property
    def _attributes(self) -> dict[str, list[str]]:
        with self._file.sentence():
            found = (self._file.attribute(one) for one in self._messages.get(_ATTRIBUTE, []))
            return dict(one for one in found if one is not None)


@contextmanager
def opened(source: Path | bytes, name: str) -> Iterator[Group]:
    """The root of a file, or of its bytes. name: for sentences. Raises PainterError."""
    if isinstance(source, bytes):
        yield _File(source, name).root()
        return
    try:
        with source.open("rb") as raw:
            data = mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise PainterError(f"{name} cannot be read ({error}).") from error
    with data:
        yield _File(data, name).root()


@final
class _File:
    """The bytes of a file, and what lies where.

    What raises, raises ValueError, IndexError or struct.error.
    """

    def __init__(self, data: mmap.mmap | bytes, name: str) -> None:
        self._data = data
        self._name = name
        self._steps = 0
        self._text = 0  # bytes
        self._read = 0  # bytes
        self._heaps: dict[int, dict[int, tuple[int, int]]] = {}

    @contextmanager
    def sentence(self) -> Iterator[None]:
        """Turns what is wrong into the sentence for it."""
        try:
            yield
        except (ValueError, IndexError, OverflowError, struct.error, RecursionError) as error:
            raise PainterError(
                f"{self._name} is damaged, or not as Keras writes it ({error}); get a whole copy, "
                "or save it again with Keras."
            ) from error

    def root(self) -> Group:
        """Section II.A, superblocks of versions 0 and 1."""
        with self.sentence():
            head = self._piece(0, 24)
            version, offsets, lengths = head[8], head[13], head[14]
            if not head.startswith(SIGNATURE) or version > 1 or (offsets, lengths) != (8, 8):
                raise ValueError("it has the newer format")
            start = 24 if version == 0 else 28
            base, _, end, _, _, root = struct.unpack("<6Q", self._piece(start, 48))
            if base != 0 or end > len(self._data):
                raise ValueError(f"cut short: {len(self._data):,} bytes of {end:,}")
        return Group(self, root, "")

    def messages(self, address: int, path: str) -> dict[int, list[bytes]]:
        """All messages of an object by their type; section IV.A.1.a, headers of version 1."""
        version, count, _, size = struct.unpack("<BxHII", self._piece(address, 12))
        if version != 1:
            raise ValueError(f"{quoted(path)} has the newer format")
        found: dict[int, list[bytes]] = {}
        blocks = [(address + 16, size)]
        for at, length in blocks:
            end = at + length
            while at + 8 <= end and count > 0:
                self._step()
                count -= 1
                kind, size, flags = struct.unpack("<HHB", self._piece(at, 5))
                body = self._piece(at + 8, size)
                at += 8 + size
                if kind == _CONTINUED:
                    blocks.append(struct.unpack("<QQ", body[:16]))
                elif kind in _REFUSED or (flags & 2 and kind in (_SPACE, _TYPE, _ATTRIBUTE)):
                    what = _REFUSED.get(kind, "a description that lies elsewhere")
                    raise ValueError(f"{quoted(path)} has {what}")
                else:
                    found.setdefault(kind, []).append(body)
        return found

    def entries(self, messages: dict[int, list[bytes]]) -> dict[str, int]:
        """Names in a group, and addresses of their objects; section III.D for names."""
        if _TABLE not in messages:
            return {}
        tree, heap = struct.unpack("<QQ", messages[_TABLE][0][:16])
        magic, size, _, start = struct.unpack("<4s4xQQQ", self._piece(heap, 32))
        if magic != b"HEAP":
            raise ValueError("a group has no names")
        names = self._piece(start, size)
        found = {}
        for offset, address, kind in self._symbols(tree, None):
            end = names.find(b"\0", offset)
            if offset >= len(names) or end < 0:
                raise ValueError("a name lies outside of its heap")
            self._text += end - offset  # names may overlap, so that few bytes can be many
            if self._text > _MAX_TEXT:
                raise ValueError(f"more than {_MAX_TEXT:,} bytes of names")
            name = names[offset:end].decode()
            if kind == 2 or address == _NOWHERE:
                raise ValueError(f"{quoted(name)} is a link to another place")
            found[name] = address
        return found

    def _symbols(self, address: int, above: int | None) -> Iterator[tuple[int, int, int]]:
        """Offset of the name, address and kind of each; sections III.A.1 and III.C."""
        magic, kind, level, count = struct.unpack("<4sBBH", self._piece(address, 8))
        if magic != b"TREE" or kind != 0 or (above is not None and level != above - 1):
            raise ValueError("a group has no tree of names")
        children = struct.unpack(f"<{2 * count}Q", self._piece(address + 24 + 8, 16 * count))[::2]
        for child in children:
            self._step()
            if level > 0:
                yield from self._symbols(child, level)
                continue
            magic, count = struct.unpack("<4s2xH", self._piece(child, 8))
            if magic != b"SNOD":
                raise ValueError("a group has no table of names")
            for number in range(count):
                self._step()
                yield struct.unpack("<QQI", self._piece(child + 8 + 40 * number, 20))

    def variable(self, messages: dict[int, list[bytes]], name: str, path: str) -> Variable:
        """An array; sections IV.A.2.b, d and i, layouts of version 3."""
        try:
            space, kind, layout = (messages[one][0] for one in (_SPACE, _TYPE, _LAYOUT))
        except KeyError as error:
            raise ValueError(f"{quoted(path)} is no array") from error
        shape, form = _shape(space), _type(kind)
        if not form.numbers:
            raise ValueError(f"{quoted(path)} holds no numbers")
        if layout[0] != 3 or layout[1] not in (0, 1):
            raise ValueError(f"the numbers of {quoted(path)} lie in pieces or elsewhere")
        if layout[1] == 1:
            start, size = struct.unpack("<QQ", layout[2:18])
            if start == _NOWHERE and size:
                raise ValueError(f"the numbers of {quoted(path)} were never written")
            data = None
        else:
            (size,) = struct.unpack("<H", layout[2:4])
            start, data = 0, layout[4 : 4 + size]
        wanted = math.prod(shape) * form.size
        if wanted != size:
            raise ValueError(f"{quoted(path)} announces {wanted:,} bytes and has {size:,}")

        def read() -> NDArray[np.generic]:
            with self.sentence():
                return _numbers(self._bytes(start, size) if data is None else data, form, shape)

        return Variable(name, shape, read)

    def attribute(self, body: bytes) -> tuple[str, list[str]] | None:
        """Name and texts of an attribute, section IV.A.2.m; None where it holds something else."""
        version, _, *sizes = struct.unpack("<BBHHH", body[:8])
        if version not in (1, 2, 3):
            raise ValueError("an attribute has the newer format")
        at, parts = 9 if version == 3 else 8, []
        for size in sizes:
            parts.append(body[at : at + size])
            at += -(-size // 8) * 8 if version == 1 else size
        name = parts[0].split(b"\0")[0].decode()
        form, count, data = _type(parts[1]), math.prod(_shape(parts[2])), body[at:]
        if count == 0:
            return name, []
        if form.kind not in (_TEXT, _VARIABLE):
            return None
        if form.size < 1 or count * form.size > len(data):
            raise ValueError(f"attribute {quoted(name)} is cut short")
        pieces = [data[form.size * i : form.size * (i + 1)] for i in range(count)]
        if form.kind == _VARIABLE:
            pieces = [self._heap_text(piece) for piece in pieces]
        return name, [piece.split(b"\0")[0].decode() for piece in pieces]

    def _heap_text(self, place: bytes) -> bytes:
        """A text of any length; section III.E. Many may be the same one."""
        length, address, number = struct.unpack("<IQI", place[:16])
        if length == 0:
            return b""
        if address not in self._heaps:
            self._heaps[address] = self._heap(address)
        start, size = self._heaps[address].get(number, (0, 0))
        self._text += length
        if length > size or self._text > _MAX_TEXT:
            raise ValueError(f"a text of {length:,} bytes has {size:,}")
        return self._piece(start, length)

    def _heap(self, address: int) -> dict[int, tuple[int, int]]:
        magic, size = struct.unpack("<4s4xQ", self._piece(address, 16))
        if magic != b"GCOL":
            raise ValueError("texts are missing")
        found: dict[int, tuple[int, int]] = {}
        at, end = address + 16, min(address + size, len(self._data))
        while at + 16 <= end:
            self._step()
            number, length = struct.unpack("<H6xQ", self._piece(at, 16))
            if number == 0:  # what is free
                break
            found[number] = (at + 16, length)
            at += 16 + -(-length // 8) * 8
        return found

    def _piece(self, at: int, size: int) -> bytes:
        """Bytes that describe something. Descriptions may overlap, so that few can be many."""
        self._read += size
        if self._read > _MAX_READ:
            raise ValueError(f"more than {_MAX_READ:,} bytes of descriptions")
        return self._bytes(at, size)

    def _bytes(self, at: int, size: int) -> bytes:
        if at + size > len(self._data):
            raise ValueError(f"cut short at byte {at:,}")
        return self._data[at : at + size]

    def _step(self) -> None:
        self._steps += 1
        if self._steps > _MAX_STEPS:
            raise ValueError(f"more than {_MAX_STEPS:,} entries, as in circles")


def _shape(space: bytes) -> tuple[int, ...]:
    """Section IV.A.2.b, dataspaces of versions 1 and 2."""
    version, sides = space[0], space[1]
    if version not in (1, 2) or sides > _MAX_SIDES:
        raise ValueError(f"an array of {sides} dimensions")
    if version == 2 and space[3] == 2:  # no element at all
        return (0,)
    return struct.unpack_from(f"<{sides}Q", space, 8 if version == 1 else 4)


def _type(described: bytes) -> _Type:
    """Section IV.A.2.d: what elements of an array or attribute are."""
    first, bits, size = struct.unpack_from("<BB2xI", described)
    kind, numbers = first & 15, ""
    if kind == _NUMBER and size in (1, 2, 4, 8) and not bits & 1:
        numbers = f"<{'i' if bits & 8 else 'u'}{size}"
    elif kind == _FLOAT and not bits & 0x41:
        _, exponent, _, mantissa = struct.unpack_from("<4x4B", described, 8)
        numbers = _FLOATS.get((size, exponent, mantissa), "")
    elif kind == _OPAQUE and size == 2:
        numbers = _BRAIN
    elif kind == _VARIABLE and bits & 15 != 1:
        kind = -1  # a sequence, no text
    return _Type(kind, size, numbers)


def _numbers(data: bytes, form: _Type, shape: tuple[int, ...]) -> NDArray[Any]:
    if form.numbers == _BRAIN:
        halves = np.frombuffer(data, "<u2").astype(np.uint32) << 16
        return halves.view(np.float32).reshape(shape)
    return np.frombuffer(data, form.numbers).reshape(shape)
