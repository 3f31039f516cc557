"""Directories of tags, as TIFF files and EXIF blocks have them: read, patched, written, appended.

The specification is TIFF 6.0; values that this room hands out are little-endian.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO

WIDTH, LENGTH, BITS, COMPRESSION = 256, 257, 258, 259
ORIENTATION, X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT = 274, 282, 283, 296
TILE_WIDTH, SAMPLE_FORMAT = 322, 339
XMP, IPTC, PROFILE = 700, 33723, 34675
EXIF, GPS = 34665, 34853
_INTEROPERABILITY = 40965
_WITHIN = {EXIF, GPS, _INTEROPERABILITY}
_THUMBNAIL, _THUMBNAIL_BYTES = 513, 514

BYTE, SHORT, LONG, RATIONAL, UNDEFINED = 1, 3, 4, 5, 7
# Of each type: bytes of a value, and of the words that byte order swaps.
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_SIZES |= {16: 8, 17: 8, 18: 8}
_WORDS = _SIZES | {RATIONAL: 4, 10: 4}
_LARGEST = 16 * 2**20  # bytes of a tag; maker notes and previews stay far below
_LARGEST_BLOCK = 64 * 2**20

# What tells how a file's own pixels are stored or shown, and nothing of the photo.
_LAYOUT = {
    *(254, 255, WIDTH, LENGTH, BITS, COMPRESSION, 262, 263, 264, 265, 266, 273, ORIENTATION, 277),
    *(278, 279, 280, 281, X_RESOLUTION, Y_RESOLUTION, 284, 288, 289, 290, 291, 292, 293),
    *(RESOLUTION_UNIT, 301, 317, 318, 319, 320, 321, TILE_WIDTH, 323, 324, 325, 330, 332, 334),
    *(336, 338, SAMPLE_FORMAT, 340, 341, 347, 512, 513, 514, 515, 517, 518, 519, 520, 521),
    *(529, 530, 531, 532, XMP, IPTC, 34377, PROFILE, EXIF, GPS),
}


@dataclass(frozen=True)
class Tag:
    """A value: its TIFF type, its bytes in little-endian order, or the directory it points to."""

    kind: int
    data: bytes
    within: dict[int, Tag] | None = None

    def numbers(self) -> tuple[int, ...]:
        """The value as whole numbers; empty where it is something else."""
        letter = {BYTE: "B", SHORT: "H", LONG: "I", 16: "Q"}.get(self.kind)
        if letter is None:
            return ()
        return struct.unpack(f"<{len(self.data) // _SIZES[self.kind]}{letter}", self.data)


Tags = dict[int, Tag]


def read(file: BinaryIO) -> Tags:
    """The tags of the first directory of a TIFF file, those of its EXIF and GPS within.

    Strip and tile offsets are left out. What lies outside of the file is dropped; a file that is
    not a TIFF has no tags.
    """
    reader = _Reader(file)
    return reader.directory(reader.first, reader.deepest) if reader.first else {}


class _Reader:
    deepest = 2

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.order = ""
        self.left = _LARGEST_BLOCK
        self.first = 0
        head = self._bytes(0, 16)
        self.order = {b"II": "<", b"MM": ">"}.get(head[:2], "")
        if not self.order or len(head) < 8:
            return
        self.big = self._number("H", head[2:4]) == 43
        if self.big and len(head) == 16:
            self.first = self._number("Q", head[8:16])
        elif self._number("H", head[2:4]) == 42:
            self.first = self._number("I", head[4:8])

    def _bytes(self, offset: int, count: int) -> bytes:
        if offset > 2**62:
            return b""
        self.file.seek(offset)
        return self.file.read(count)

    def _number(self, letter: str, data: bytes) -> int:
        return int(struct.unpack(self.order + letter, data)[0])

    def directory(self, offset: int, deeper: int) -> Tags:
        head, each, inline = (8, 20, 8) if self.big else (2, 12, 4)
        count = self._bytes(offset, head)
        if len(count) < head:
            return {}
        entries = min(self._number("Q" if self.big else "H", count), 65_535)
        raw = self._bytes(offset + head, entries * each)
        tags: Tags = {}
        followed: set[int] = set()
        for start in range(0, len(raw) - each + 1, each):
            entry = raw[start : start + each]
            number, kind = struct.unpack(self.order + "HH", entry[:4])
            if number in tags or number in followed:
                continue
            if number in _WITHIN:  # once: thousands of these would be thousands of thousands within
                followed.add(number)
            values = self._number("Q" if self.big else "I", entry[4:-inline])
            tag = self._tag(number, kind, values, entry[-inline:], deeper)
            if tag is not None:
                tags[number] = tag
        return tags

    def _tag(self, number: int, kind: int, count: int, value: bytes, deeper: int) -> Tag | None:
        size = _SIZES.get(kind, 0) * count
        if not 0 < size <= min(_LARGEST, self.left) or number in (273, 279, 324, 325):
            return None
        letter = "Q" if len(value) == 8 else "I"
        inline = size <= len(value)
        data = value[:size] if inline else self._bytes(self._number(letter, value), size)
        if len(data) < size:
            return None
        self.left -= size
        data = _swapped(data, kind) if self.order == ">" else data
        if number not in _WITHIN:
            return Tag(kind, data)
        places = Tag(LONG if kind == 13 else kind, data).numbers()
        within = self.directory(places[0], deeper - 1) if places and deeper else {}
        return Tag(LONG, b"\0" * 4, within) if within else None


def _swapped(data: bytes, kind: int) -> bytes:
    word = _WORDS[kind]
    if word == 1:
        return data
    swapped = bytearray(len(data))
    for place in range(word):
        swapped[place::word] = data[word - 1 - place :: word]
    return bytes(swapped)


def of_the_photo(tags: Tags) -> Tags:
    """The tags that an EXIF block would hold: without those about a file's own pixels."""
    kept = {number: tag for number, tag in tags.items() if number not in _LAYOUT}
    return kept | {number: tags[number] for number in (EXIF, GPS) if number in tags}


def block(tags: Tags) -> bytes:
    """Tags as a TIFF structure of its own, such as an EXIF block holds."""
    return b"II*\0\x08\0\0\0" + _directory(tags, {}, 8)


def _directory(tags: Tags, raw: dict[int, bytes], start: int) -> bytes:
    """A directory to stand at `start`, its values behind it; `raw`: entries taken as they are."""
    entries = dict(raw)
    place = start + 2 + 12 * len(raw.keys() | tags.keys()) + 4
    behind = b""
    for number, tag in sorted(tags.items()):
        data = tag.data
        at = place + len(behind)
        if tag.within is not None:
            behind += _directory(tag.within, {}, at)
            data = struct.pack("<I", at)
        elif len(data) > 4:
            behind += data + b"\0" * (len(data) % 2)
            data = struct.pack("<I", at)
        count = 1 if tag.within is not None else len(tag.data) // _SIZES[tag.kind]
        entries[number] = struct.pack("<HHI", number, tag.kind, count) + data.ljust(4, b"\0")
    listed = b"".join(entries[number] for number in sorted(entries))
    return struct.pack("<H", len(entries)) + listed + b"\0" * 4 + behind


def appended(data: bytes, tags: Tags) -> bytes:
    """A little-endian TIFF file with more tags in its first directory; pixels stay where they are.

    A tag that the file has already is replaced.
    """
    first = int(struct.unpack_from("<I", data, 4)[0])
    count = int(struct.unpack_from("<H", data, first)[0])
    starts = range(first + 2, first + 2 + 12 * count, 12)
    raw = {struct.unpack_from("<H", data, at)[0]: data[at : at + 12] for at in starts}
    padding = b"\0" * (len(data) % 2)
    start = len(data) + len(padding)
    kept = {number: entry for number, entry in raw.items() if number not in tags}
    head = data[:4] + struct.pack("<I", start)
    return b"".join([head, data[8:], padding, _directory(tags, kept, start)])


def upright(exif: bytes, forget: bool = False) -> bytes | None:
    """An EXIF block (without its "Exif" header) of upright pixels and of no thumbnail.

    Everything else keeps its bytes and its place, since maker notes point at places. The
    orientation becomes 1, or with `forget` its entry is taken out. None for what is no block.
    """
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None or len(exif) < 14:
        return None
    data = bytearray(exif)
    first = int(struct.unpack_from(order + "I", data, 4)[0])
    if first + 2 > len(data):
        return None
    count = int(struct.unpack_from(order + "H", data, first)[0])
    end = first + 2 + 12 * count
    if end > len(data):
        return None
    for at in range(first + 2, end, 12):
        if struct.unpack_from(order + "H", data, at)[0] != ORIENTATION:
            continue
        if forget:
            data[at : end + 4] = data[at + 12 : end + 4] + bytes(12)
            struct.pack_into(order + "H", data, first, count - 1)
            end -= 12
        else:
            struct.pack_into(order + "HHIHH", data, at, ORIENTATION, SHORT, 1, 1, 0)
        break
    if end + 4 <= len(data):
        _without_thumbnail(data, order, end)
    return bytes(data)


def _without_thumbnail(data: bytearray, order: str, link: int) -> None:
    # The thumbnail shows the photo as it was; its bytes go too, or it would still be found.
    second = int(struct.unpack_from(order + "I", data, link)[0])
    struct.pack_into(order + "I", data, link, 0)
    if not link < second <= len(data) - 2:
        return
    count = int(struct.unpack_from(order + "H", data, second)[0])
    found = {}
    for at in range(second + 2, min(second + 2 + 12 * count, len(data) - 11), 12):
        number, _, _, value = struct.unpack_from(order + "HHII", data, at)
        found[number] = value
    start, size = found.get(_THUMBNAIL, 0), found.get(_THUMBNAIL_BYTES, 0)
    if start <= link or start + size > len(data) or data[start : start + 2] != b"\xff\xd8":
        return
    data[start : start + size] = bytes(size)
    if start + size >= len(data) - 1:
        del data[start:]
