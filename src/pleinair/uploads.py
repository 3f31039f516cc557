"""The body of a request as a photo and words about it: in memory, bounded, received in time."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from pleinair import refusals
from pleinair.refusals import RefusedError
from pleinair.settings import PICTURE_SUFFIXES, ServeSettings

FORM = "multipart/form-data"
RAW = "application/octet-stream"
_TOLD = (  # by the parser of forms
    "part_begin",
    "part_data",
    "part_end",
    "header_begin",
    "header_field",
    "header_value",
    "header_end",
    "headers_finished",
    "end",
)
_FORBIDDEN = re.compile(r'[<>:"|?*]')  # by one file system or another


@dataclass
class Upload:
    """A photo's file, its name, and fields beside it."""

    content: bytes = b""
    name: str = ""
    fields: dict[str, str] = field(default_factory=dict)


def check_head(kind: str, length: str | None, limits: ServeSettings) -> None:
    """What can be refused before a body is read. Raises RefusedError.

    kind: of the content, length: its number of bytes, as the headers say them.
    """
    name = parse_options_header(kind)[0].decode("latin-1")
    if not (name in (FORM, RAW) or re.fullmatch(r"image/[\w.+-]+", name)):
        found = f"Content-Type {name[:80]!r} found" if name else "no Content-Type found"
        raise refusals.no_picture(f"{found}; send image/*, {RAW} or {FORM}.")
    if length is not None and length.isascii() and length.isdigit():
        frame = limits.frame_bytes if name == FORM else 0
        if int(length[:20]) > limits.bytes + frame:
            raise refusals.too_many_bytes(limits.bytes)


async def received(
    kind: str, body: AsyncIterator[bytes], limits: ServeSettings, grow: Callable[[int], None]
) -> Upload:
    """Take a body. grow: hears of bytes that are about to be kept, and may refuse them.

    Nothing more is read once it is too much. Raises RefusedError.
    """
    name, options = parse_options_header(kind)
    if name.decode("latin-1") != FORM:
        chunks = _Chunks(limits.bytes, grow)
        async with aclosing(_generator(body)) as parts:
            async for part in parts:
                chunks.add(part)
        return _whole(Upload(chunks.joined()))
    if not options.get(b"boundary"):
        raise _malformed("it names no boundary")
    form = _Form(limits, grow)
    try:
        parser = MultipartParser(options[b"boundary"], form.callbacks())
        total = 0
        async with aclosing(_generator(body)) as parts:
            async for part in parts:
                total += len(part)
                if total > limits.bytes + limits.frame_bytes:
                    raise refusals.too_many_bytes(limits.bytes)
                parser.write(part)
        parser.finalize()
    except FormParserError as error:
        raise _malformed(" ".join(str(error).split())[:120]) from error
    if not form.ended:
        raise _malformed("it is cut short")
    return _whole(form.upload())


async def _generator(body: AsyncIterator[bytes]) -> Any:
    async for part in body:
        yield part


def _whole(upload: Upload) -> Upload:
    if not upload.content:
        raise refusals.no_picture("the photo is empty; send a picture's file.")
    return upload


def _malformed(reason: str) -> RefusedError:
    return RefusedError(
        400, f"the body is no well-formed {FORM} ({reason}); send it again.", "form"
    )


class _Chunks:
    def __init__(self, most: int, grow: Callable[[int], None]) -> None:
        self._most, self._grow = most, grow
        self._parts: list[bytes] = []
        self.size = 0

    def add(self, part: bytes) -> None:
        self.size += len(part)
        if self.size > self._most:
            raise refusals.too_many_bytes(self._most)
        self._grow(len(part))
        self._parts.append(part)

    def joined(self) -> bytes:
        whole = b"".join(self._parts)
        self._parts.clear()
        return whole


class _Form:
    """What a parser of forms tells, part by part."""

    def __init__(self, limits: ServeSettings, grow: Callable[[int], None]) -> None:
        self._limits, self._grow = limits, grow
        self._photo: _Chunks | None = None
        self._file_name = ""
        self._fields: dict[str, str] = {}
        self._header, self._value = b"", b""
        self._disposition = b""
        self._field = ""  # whose part is at hand; the photo's is ""
        self._words = b""
        self.ended = False

    def callbacks(self) -> Any:
        return {f"on_{name}": getattr(self, name) for name in _TOLD}

    def upload(self) -> Upload:
        if self._photo is None:
            raise RefusedError(422, "the form has no file named photo; send one.", "empty")
        return Upload(self._photo.joined(), self._file_name, self._fields)

    def part_begin(self) -> None:
        self._disposition = self._words = b""

    def header_begin(self) -> None:
        self._header = self._value = b""

    def header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value

    def headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition.decode("latin-1"))
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if not name:
            raise _malformed("a part has no name")
        if name == "photo":
            if self._photo is not None:
                raise RefusedError(422, "two photos found; send one at a time.", "settings")
            self._photo = _Chunks(self._limits.bytes, self._grow)
            given = options.get(b"filename", b"").decode("utf-8", "replace")
            # Browsers write quotation marks and ends of lines in a name like this.
            self._file_name = re.sub("%(22|0D|0A)", lambda m: chr(int(m[1], 16)), given)
            self._field = ""
            return
        if b"filename" in options:
            raise RefusedError(
                422, f"no file named photo but {name[:80]!r} found; name it photo.", "settings"
            )
        if name in self._fields:
            raise RefusedError(422, f"two fields named {name[:80]!r} found; send one.", "settings")
        self._field = name
        self._fields[name] = ""

    def part_data(self, data: bytes, start: int, end: int) -> None:
        if not self._field:
            assert self._photo is not None  # noqa: S101 -- its headers came before
            self._photo.add(data[start:end])
            return
        self._words += data[start:end]
        if len(self._words) > self._limits.field_bytes:
            most = f"{self._limits.field_bytes:,} bytes"
            raise RefusedError(422, f"{self._field[:80]!r} has more than {most}.", "settings")

    def part_end(self) -> None:
        if self._field:
            self._fields[self._field] = self._words.decode("utf-8", "replace")

    def end(self) -> None:
        self.ended = True


def clean_name(name: str, most: int) -> str:
    """A file's name without folders, control characters and what disks refuse; or `photo`.

    most: characters that are kept, those of the type among them.
    """
    name = unicodedata.normalize("NFC", re.split(r"[/\\]", name)[-1])
    name = "".join(c for c in name if unicodedata.category(c)[0] != "C")
    name = _FORBIDDEN.sub("_", name)
    stem, dot, suffix = name.rpartition(".")
    if not dot or f".{suffix.lower()}" not in PICTURE_SUFFIXES:
        stem, suffix = name, ""
    stem = stem[: max(1, most - len(suffix) - 1)].strip(" .") or "photo"
    return f"{stem}.{suffix}" if suffix else stem
