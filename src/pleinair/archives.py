"""Zip archives, trusted with nothing: every member is checked before one is read or unpacked."""

from __future__ import annotations

import re
import stat
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO

from pleinair.errors import DataError, ImageError, OutputError
from pleinair.settings import DATA

try:
    from lzma import LZMAError
except ImportError:  # a Python without it says so when such a member is read
    LZMAError = RuntimeError  # type: ignore[misc,assignment]

_CHUNK = 2**20

# What zipfile raises while a member is read: a damaged stream, or one that it cannot unpack.
BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    LZMAError,
    OSError,
    EOFError,
    ValueError,
    NotImplementedError,
    RuntimeError,
)


def is_zip(path: Path) -> bool:
    """Whether a file ends as a zip file does, a broken one included."""
    try:
        return zipfile.is_zipfile(path)
    except zipfile.BadZipFile:  # one of several disks, in its own words
        return True


def open_zip(path: Path) -> zipfile.ZipFile:
    """Open an archive and check the names of all members. Raises DataError."""
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise DataError(
            f"{path} is damaged or cut short ({error}); get a whole copy of the archive."
        ) from error
    try:
        for info in archive.infolist():
            check_member(info, path)
    except DataError:
        archive.close()
        raise
    return archive


def check_member(info: zipfile.ZipInfo, path: Path) -> None:
    """Raise DataError for a member that leaves its folder or is locked."""
    parts = re.split(r"[/\\]", info.orig_filename)
    if (
        ".." in parts
        or parts[0] == ""
        or re.match(r"[A-Za-z]:", info.orig_filename)
        or "\0" in info.orig_filename
    ):
        raise DataError(
            f"{path} holds a member named {info.orig_filename!r}, which would leave its folder; "
            "get the archive from a source that you trust."
        )
    if info.flag_bits & 0x1:
        raise DataError(
            f"{path} is locked with a password; unpack it yourself and name the folder."
        )


def read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> bytes:
    """The bytes of one member, its CRC-32 checked. Raises ImageError, `name` in its sentence.

    Several threads may read from one archive.
    """
    if info.file_size > DATA.max_picture_bytes:
        raise ImageError(
            f"{name} claims to unpack to {info.file_size:,} bytes, more than "
            f"{DATA.max_picture_bytes:,}; take it out of the archive."
        )
    try:
        # zipfile never returns more than file_size, whatever the compressed stream holds.
        return archive.read(info)
    except BROKEN as error:
        raise ImageError(f"{name} is damaged or cut short ({error}); get a whole copy.") from error


def unpack(
    path: Path, folder: Path, progress: Callable[[int, int], None] = lambda _done, _all: None
) -> None:
    """Unpack a whole archive into a new folder. Raises DataError, or OutputError on a full disk.

    Refused before a byte is written: names that leave the folder, links and devices, names that
    come twice (in any case, since disks may not tell cases apart), locked members, and more bytes
    or files than `settings.DATA` allows. `progress` hears of bytes written and of all.
    """
    with open_zip(path) as archive:
        infos = archive.infolist()
        total = _check_all(infos, path)
        done = 0
        try:
            folder.mkdir(parents=True)
            for info in infos:
                target = folder.joinpath(*_parts(info))
                if info.is_dir():
                    target.mkdir(parents=True, exist_ok=True)
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(info) as source, target.open("xb") as out:
                    done = _copy(source, out, done, total, progress)
        except (FileExistsError, NotADirectoryError) as error:
            raise DataError(
                f"{path} holds two members of the name {error.filename}; get another copy."
            ) from error
        except OSError as error:
            raise OutputError(
                f"{folder} cannot be written ({error.strerror or error}); choose another place."
            ) from error
        except BROKEN as error:
            raise DataError(
                f"{path} is damaged or cut short ({error}); get a whole copy of the archive."
            ) from error


def _parts(info: zipfile.ZipInfo) -> list[str]:
    return [part for part in re.split(r"[/\\]", info.filename) if part not in ("", ".")]


def _check_all(infos: list[zipfile.ZipInfo], path: Path) -> int:
    total, names = sum(info.file_size for info in infos), set[str]()
    if total > DATA.max_unpacked_bytes or len(infos) > DATA.max_unpacked_files:
        raise DataError(
            f"{path} claims to unpack to {total:,} bytes in {len(infos):,} files, more than "
            f"{DATA.max_unpacked_bytes:,} in {DATA.max_unpacked_files:,}; unpack it yourself."
        )
    for info in infos:
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise DataError(
                f"{path} holds a link or device named {info.filename!r}; "
                "get the archive from a source that you trust."
            )
        name = "/".join(_parts(info)).casefold()
        if not info.is_dir() and (name in names or not name):
            raise DataError(
                f"{path} holds two members of the name {info.filename!r}; get another copy."
            )
        if not info.is_dir():
            names.add(name)
    return total


def _copy(
    source: IO[bytes], out: IO[bytes], done: int, total: int, progress: Callable[[int, int], None]
) -> int:
    while chunk := source.read(_CHUNK):
        out.write(chunk)
        done += len(chunk)
        progress(done, total)
    return done
