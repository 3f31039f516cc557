"""A file's content takes the place of what was there in one step, or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

from pleinair.errors import OutputError

_PART = re.compile(r"\..*\.[0-9a-f]{8}\.part", re.DOTALL)


def check_free(path: Path, force: bool) -> None:
    """Raise OutputError where writing a file would lose one, or meet a folder."""
    try:
        is_folder, exists = path.is_dir(), path.exists()
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written ({error.strerror}); choose another place."
        ) from error
    if is_folder:
        raise OutputError(f"{path} is a folder; name a file in it.")
    if exists and not force:
        raise OutputError(f"{path} exists; remove it or add --force (in Python, force=True).")


def absolute(path: Path) -> str:
    """A path from the root, with links as they are named and without `..`."""
    return os.path.abspath(path)  # noqa: PTH100  (resolve() would follow links)


@contextlib.contextmanager
def writing(path: Path | str, advice: str) -> Iterator[None]:
    """Turn what a disk refuses into one sentence: OutputError with what to do about it."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written ({error.strerror or error}); {advice}."
        ) from error


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file, or of a folder's names and those of its files. OSError."""
    if path.is_dir():
        inside = sorted(one for one in path.rglob("*") if one.is_file())
        lines = [f"{sha256_of(one)}  {one.relative_to(path).as_posix()}\n" for one in inside]
        return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_bytes(path: Path, data: bytes) -> None:
    """Replace a file's content in one step. Raises OSError."""
    with replacing(path) as file:
        file.write(data)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write that takes the place of `path` when all went well: sync, then rename.

    Raises OSError; whatever goes wrong, what was there before is whole.
    """
    part, file = _begun(path)
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
        _sync_folder(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise


@contextlib.contextmanager
def placing(path: Path) -> Iterator[Path]:
    """A path beside `path`, of its name, at which to write a file or a folder that takes its place.

    For what other libraries write: a rename when all went well, nothing otherwise. Raises OSError.
    """
    with tempfile.TemporaryDirectory(prefix=".", suffix=".part", dir=path.parent) as hidden:
        place = Path(hidden, path.name)
        yield place
        found = [place, *place.rglob("*")] if place.is_dir() else [place]
        for error in sync_all(found):
            if error is not None:
                raise error
        if path.is_dir():  # a folder is no place for a rename until it is empty
            os.replace(path, Path(hidden, "before"))
        os.replace(place, path)
    _sync_folder(path.parent)


def _begun(path: Path) -> tuple[Path, BinaryIO]:
    """A hidden file beside `path`, its name and it opened, with the rights that the mask leaves."""
    part = path.with_name(f".{path.name[:40]}.{secrets.token_hex(4)}.part")
    # mkstemp would make it private, and the mask cannot be read without changing it for a moment.
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    return part, os.fdopen(handle, "wb")


def write_part(path: Path, data: bytes) -> Path:
    """Content that is to become `path`, in a hidden file beside it: its path. Raises OSError.

    Neither on the disk yet (`sync_all`), nor in its place (a rename); `sweep_parts` finds what a
    killed process left.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part, file = _begun(path)
    try:
        with file:
            file.write(data)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return part


def sweep_parts(folders: Iterable[Path]) -> None:
    """Remove what `write_part` left in folders that no other process writes to."""
    for folder in folders:
        with contextlib.suppress(OSError):
            for entry in os.scandir(folder):
                if _PART.fullmatch(entry.name):
                    os.unlink(entry.path)


def sync_all(paths: Sequence[Path]) -> list[OSError | None]:
    """Contents of files, and lists of files of folders, on the disk; what went wrong with each."""
    if len(paths) == 1:
        return [_sync(paths[0])]
    # Side by side they share the file system's journal: ten times as fast on ext4.
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(_sync, paths))


def _sync(path: Path) -> OSError | None:
    if path.is_dir():
        _sync_folder(path)
        return None
    try:
        descriptor = os.open(path, os.O_RDWR)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        return error
    return None


def _sync_folder(folder: Path) -> None:
    # A rename is on the disk once its folder is; where folders cannot be opened, it is anyway.
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
