"""What was painted into a folder before, so that a second run does only what is left.

`.pleinair.jsonl` holds a line for each painting. A line is on the disk before the painting that
it names takes its place, and says by size and time which file that will be: after a kill at any
moment a painting is either not there or known as ours.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from pleinair import files, parsing
from pleinair.errors import OutputError

try:
    import fcntl
except ImportError:  # no such locks on Windows; there two runs into one folder are not noticed
    fcntl = None  # type: ignore[assignment]

Mark = tuple[int, int]  # size in bytes and mtime in nanoseconds: one state of a file


@dataclass(frozen=True)
class Entry:
    """One painting: what it was made of and how, and the file that was written.

    photo: path relative to the ledger's folder. settings: digest of painter, look and options.
    painting: path relative to the ledger's folder.
    """

    photo: str
    size: int
    mtime_ns: int
    settings: str
    painting: str
    painting_size: int
    painting_mtime_ns: int

    @property
    def photo_mark(self) -> Mark:
        """The photo as it was."""
        return self.size, self.mtime_ns

    @property
    def painting_mark(self) -> Mark:
        """The painting as it was written."""
        return self.painting_size, self.painting_mtime_ns


_TYPES = {field.name: {"str": str, "int": int}[str(field.type)] for field in fields(Entry)}


class Ledger:
    """The ledger of a folder of paintings, held by one process at a time."""

    def __init__(self, out: Path, name: str) -> None:
        """Open or begin it. Raises OutputError where another run has it, or it cannot be kept."""
        self.out = out
        self.path = out / name
        self._inside = os.path.join(files.absolute(out), "")  # noqa: PTH118  (ends in a slash)
        self._entries: dict[str, list[Entry]] = {}
        self._lines = 0
        try:
            out.mkdir(parents=True, exist_ok=True)
            self._file = self._open()
            self._read()
        except OSError as error:
            raise OutputError(
                f"{self.path} cannot be kept ({error.strerror or error}); choose another place "
                "with -o."
            ) from error

    def find(self, target: Path) -> list[Entry]:
        """What is known of a painting, the last line last."""
        return self._entries.get(self.name(target), [])

    def name(self, path: Path) -> str:
        """A path as lines have it: relative to the folder, with slashes."""
        full = files.absolute(path)
        if full.startswith(self._inside):
            return full.removeprefix(self._inside).replace(os.sep, "/")
        with contextlib.suppress(ValueError):  # another drive: no way leads there
            full = os.path.relpath(full, self._inside)
        return Path(full).as_posix()

    def add(self, entries: Iterable[Entry]) -> None:
        """Lines that are on the disk when this returns. Raises OSError."""
        entries = list(entries)
        text = "".join(_line(entry) for entry in entries)
        # Surrogates stand for names that are no UTF-8.
        self._file.write(text.encode("utf-8", "surrogateescape"))
        self._file.flush()
        os.fsync(self._file.fileno())
        self._lines += len(entries)
        for entry in entries:
            self._entries.setdefault(entry.painting, []).append(entry)

    def keep(self, entry: Entry) -> None:
        """Forget older lines of this painting at the next `close`."""
        self._entries[entry.painting] = [entry]

    def close(self) -> None:
        """Rewrite it without lines that say nothing any more, and let go of it."""
        try:
            kept = [entry for entries in self._entries.values() for entry in entries]
            with contextlib.suppress(OSError):  # the longer file says the same
                if not kept:
                    self.path.unlink()
                    self.out.rmdir()
                elif len(kept) < self._lines:
                    text = "".join(map(_line, kept))
                    files.write_bytes(self.path, text.encode("utf-8", "surrogateescape"))
        finally:
            self._file.close()

    def _open(self) -> Any:
        while True:
            file = self.path.open("a+b")
            if fcntl is None:
                return file
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                file.close()
                raise OutputError(
                    f"{self.out} is being painted into by another run; wait until it has ended."
                ) from error
            except OSError:  # a file system without locks
                return file
            # The run before us may have put a shorter file in place of the one we opened.
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file.fileno()), self.path.stat()):
                    return file
            file.close()

    def _read(self) -> None:
        self._file.seek(0)
        data: bytes = self._file.read()
        for line in data.splitlines():
            self._lines += 1
            entry = _entry(line)
            if entry is not None:
                self._entries.setdefault(entry.painting, []).append(entry)
        if data and not data.endswith(b"\n"):  # a kill cut the last line short
            self._file.write(b"\n")


def mark_of(path: Path) -> Mark | None:
    """A file's state, None where none can be seen."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns


def _line(entry: Entry) -> str:
    return json.dumps(asdict(entry), ensure_ascii=False) + "\n"


def _entry(line: bytes) -> Entry | None:
    try:
        found = parsing.object_of(line.decode("utf-8", "surrogateescape"))
        values: dict[str, Any] = {name: found.get(name) for name in _TYPES}
        if any(type(values[name]) is not kind for name, kind in _TYPES.items()):
            return None
        # Half of a pair that JSON can spell and no file can hold.
        json.dumps(values, ensure_ascii=False).encode("utf-8", "surrogateescape")
    except ValueError:
        return None
    return Entry(**values)
