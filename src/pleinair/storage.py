"""Files in folders and in object stores: list, read, put in one step; the only room with fsspec.

A place is an absolute path, or an address as s3://bucket/folder. A mark is the state of a file,
as a listing tells it: its size, and its time of change or the store's tag of its content.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from pleinair import files, images, tree
from pleinair.download import offline
from pleinair.errors import ImageError, MissingExtraError, OutputError, UsageError
from pleinair.settings import FOLDERS, PICTURE_SUFFIXES, SCALE

# By scheme: the module that fsspec needs, how to get it, and how it is to behave.
_SCHEMES: dict[str, tuple[str, str, dict[str, Any]]] = {
    # The library above tries again by itself: two that do would take minutes to give up.
    "s3": ("s3fs", "'pleinair[scale]'", {"config_kwargs": {"retries": {"max_attempts": 1}}}),
    "gs": ("gcsfs", "gcsfs", {}),
}
# As of s3:/bucket/folder, which would be a folder of this machine.
_ONE_SLASH = re.compile(rf"({'|'.join(_SCHEMES)}|file):/(?!/)", re.IGNORECASE)
_TAGS = ("ETag", "etag", "generation", "mtime", "LastModified", "created")
_FINAL = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)


class Seen(NamedTuple):
    """A file in a listing."""

    size: int
    mark: str


class Store(Protocol):
    """Where files lie. Whatever fails raises OSError, whose text says why."""

    def walk(self, top: str, troubles: list[str]) -> Iterator[tuple[str, dict[str, Seen]]]:
        """(Folder, its pictures by name, sorted), depth first, as `tree.walk` passes them.

        troubles: gets a sentence for each folder that cannot be read.
        """

    def listing(self, folder: str) -> dict[str, Seen]:
        """Files of a folder by name; none where there is no such folder."""

    def below(self, folder: str) -> list[str]:
        """Places of all files under a folder, at any depth."""

    def mark(self, place: str) -> str | None:
        """A file's state, None where there is none."""

    def read(self, place: str) -> bytes:
        """All of a file."""

    def photo(self, place: str) -> Path | bytes:
        """A photo to read: its bytes, or where a large one lies. Raises ImageError."""

    def put(self, things: Sequence[tuple[str, bytes]]) -> list[str | OSError]:
        """Put contents at their places, each in one step; their marks, or what went wrong."""

    def remove(self, places: Sequence[str]) -> None:
        """Remove files; what is gone already is well."""


def place_of(text: str) -> str:
    """A folder or an address as it is kept and told: absolute, without a slash at its end.

    Raises UsageError for an address of a kind that is not known.
    """
    if _ONE_SLASH.match(text):
        raise UsageError(
            f"{text} has one slash; an address has two, as s3://bucket/folder, or file:///folder."
        )
    scheme, found, rest = text.partition("://")
    scheme = scheme.lower()
    if found and scheme == "file" and not rest.startswith("/"):
        raise UsageError(
            f"{text} names a machine; give a folder of this one, as /folder or file:///folder."
        )
    if not found or scheme == "file":
        return Path(files.absolute(Path(rest if found else text))).as_posix()
    if scheme not in _SCHEMES:
        raise UsageError(f"{text} found; give a folder, or an address of s3:// or gs://.")
    if not rest.strip("/"):
        raise UsageError(f"{text} names no bucket; give one, as {scheme}://bucket/folder.")
    return f"{scheme}://{rest.strip('/')}"


def is_address(text: str) -> bool:
    """Whether a word is an address, and no path."""
    return "://" in text


def real(place: str) -> str:
    """A place under the one name that it has however links lead to it."""
    return place if is_address(place) else os.path.realpath(place)


def store_of(place: str) -> Store:
    """Where a place is. Raises MissingExtraError."""
    scheme, found, _ = place.partition("://")
    return remote(scheme) if found else Local()


@lru_cache
def remote(scheme: str) -> Remote:
    """The one door of this process to stores of a kind. Raises MissingExtraError, UsageError."""
    if offline():
        raise UsageError(f"PLEINAIR_OFFLINE is set, so that no {scheme}:// is asked; unset it.")
    return Remote(scheme)


class Local:
    """Folders of this machine, or of a file system that all machines see."""

    def walk(self, top: str, troubles: list[str]) -> Iterator[tuple[str, dict[str, Seen]]]:
        if not Path(top).is_dir():
            raise NotADirectoryError("it is no folder")
        unread: dict[Path, str] = {}
        for here, names in tree.walk(Path(top), unread):
            found = {}
            for name in names:
                try:
                    found[name] = _seen((here / name).stat())
                except FileNotFoundError:  # removed a moment ago
                    continue
            yield here.as_posix(), found
        troubles += unread.values()

    def listing(self, folder: str) -> dict[str, Seen]:
        found = {}
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    with contextlib.suppress(FileNotFoundError):  # removed a moment ago
                        if entry.is_file():
                            found[entry.name] = _seen(entry.stat())
        except FileNotFoundError:
            return {}
        return found

    def below(self, folder: str) -> list[str]:
        return [path.as_posix() for path in Path(folder).rglob("*") if path.is_file()]

    def mark(self, place: str) -> str | None:
        try:
            return _seen(Path(place).stat()).mark
        except FileNotFoundError:
            return None

    def read(self, place: str) -> bytes:
        return Path(place).read_bytes()

    def photo(self, place: str) -> Path | bytes:
        content = images.content(Path(place), FOLDERS.small_bytes)
        return Path(place) if content is None else content

    def put(self, things: Sequence[tuple[str, bytes]]) -> list[str | OSError]:
        parts: list[Path | OSError] = [_part(Path(place), data) for place, data in things]
        written = [part for part in parts if isinstance(part, Path)]
        unsure = dict(zip(written, files.sync_all(written), strict=True))
        results = [
            part if isinstance(part, OSError) else _placed(part, Path(place), unsure[part])
            for part, (place, _) in zip(parts, things, strict=True)
        ]
        files.sync_all(list({Path(place).parent for place, _ in things}))
        return results

    def remove(self, places: Sequence[str]) -> None:
        for place in places:
            Path(place).unlink(missing_ok=True)
        for folder in sorted({Path(place).parent for place in places}, reverse=True):
            for empty in (folder, folder.parent):
                if empty.is_dir() and not any(empty.iterdir()):
                    empty.rmdir()


class Remote:
    """Object stores, as fsspec reaches them: a put is seen whole, or not at all."""

    def __init__(self, scheme: str) -> None:
        module, package, options = _SCHEMES[scheme]
        try:
            import fsspec

            importlib.import_module(module)
        except ImportError as error:
            raise MissingExtraError(
                f"{scheme}:// needs {error.name}; run pip install {package} first."
            ) from error
        # Its memory of listings would not hear of what other processes write.
        self._files = fsspec.filesystem(
            scheme, use_listings_cache=False, skip_instance_cache=True, **options
        )
        self._pool = ThreadPoolExecutor(SCALE.requests)

    def walk(
        self,
        top: str,
        troubles: list[str],  # noqa: ARG002  (a store tells of none: it fails as a whole)
    ) -> Iterator[tuple[str, dict[str, Seen]]]:
        pending = [top]
        while pending:
            here = pending.pop()
            found, below = self._listed(here)
            if here != top and (tree.LEDGER in found or tree.RECORDS in below):
                continue
            names = [name for name in sorted(found) if _is_picture(name)]
            if names:
                yield here, {name: found[name] for name in names}
            inner = [name for name in below if not name.startswith(".")]
            pending += [f"{here}/{name}" for name in sorted(inner, reverse=True)]

    def listing(self, folder: str) -> dict[str, Seen]:
        try:
            return self._listed(folder)[0]
        except FileNotFoundError:
            return {}

    def below(self, folder: str) -> list[str]:
        scheme = folder.partition("://")[0]
        return [f"{scheme}://{name}" for name in self._ask(self._files.find, folder)]

    def mark(self, place: str) -> str | None:
        try:
            return _told(self._ask(self._files.info, place)).mark
        except FileNotFoundError:
            return None

    def read(self, place: str) -> bytes:
        return bytes(self._ask(self._files.cat_file, place))

    def photo(self, place: str) -> Path | bytes:
        try:
            return self.read(place)
        except FileNotFoundError as error:
            raise ImageError(f"{place} is gone; it was there when photos were listed.") from error
        except OSError as error:
            raise ImageError(f"{place} cannot be read ({why(error)}); try again.") from error

    def put(self, things: Sequence[tuple[str, bytes]]) -> list[str | OSError]:
        return list(self._pool.map(self._put_one, things))

    def remove(self, places: Sequence[str]) -> None:
        list(self._pool.map(self._remove_one, places))

    def _put_one(self, thing: tuple[str, bytes]) -> str | OSError:
        place, data = thing
        try:
            self._ask(self._files.pipe_file, place, data)
            return _told(self._ask(self._files.info, place)).mark
        except OSError as error:
            return error

    def _remove_one(self, place: str) -> None:
        try:
            self._ask(self._files.rm_file, place)
        except FileNotFoundError:
            return

    def _listed(self, folder: str) -> tuple[dict[str, Seen], list[str]]:
        found, below = {}, []
        for entry in self._ask(self._files.ls, folder, detail=True):
            whole = entry["name"].rstrip("/")
            name = whole.rpartition("/")[2]
            if entry["type"] == "file" and folder.endswith(f"://{whole}"):
                if entry["name"].endswith("/"):
                    continue  # what some programs put for an empty folder
                raise NotADirectoryError("it is no folder")
            if entry["type"] == "directory":
                below.append(name)
            else:
                found[name] = _told(entry)
        return found, below

    def _ask(self, call: Callable[..., Any], *words: Any, **more: Any) -> Any:
        """Ask the store, and again after a while where that may help. Raises OSError."""
        wait = SCALE.first_wait
        for left in reversed(range(SCALE.tries)):
            try:
                return call(*words, **more)
            except _FINAL:
                raise
            except Exception as error:  # each store has errors of its own
                if not left or "credentials" in str(error):
                    raise OSError(why(error)) from error
            time.sleep(wait)
            wait *= 2
        raise AssertionError


@contextlib.contextmanager
def reaching(place: str) -> Iterator[None]:
    """Turn what is in the way of reading where paintings go into one sentence: OutputError."""
    try:
        yield
    except OSError as error:
        needed = "the bucket and credentials are there" if is_address(place) else "you may read it"
        raise OutputError(
            f"{place} cannot be reached ({why(error)}); see that {needed}, or choose another "
            "place with -o."
        ) from error


def why(error: Exception) -> str:
    """What a file system or a store says of a failure, in one line."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    if isinstance(error, FileNotFoundError) and " " not in text:
        text = "it is not there"  # where only its name is told
    return " ".join(text.split()).rstrip(".")


def _is_picture(name: str) -> bool:
    return not name.startswith(".") and Path(name).suffix.lower() in PICTURE_SUFFIXES


def _seen(stat: os.stat_result) -> Seen:
    return Seen(stat.st_size, f"{stat.st_size}-{stat.st_mtime_ns}")


def _told(entry: dict[str, Any]) -> Seen:
    tag = next((entry[name] for name in _TAGS if entry.get(name) is not None), "")
    return Seen(int(entry["size"]), f"{entry['size']}-{tag}")


def _part(place: Path, data: bytes) -> Path | OSError:
    try:
        return files.write_part(place, data)
    except OSError as error:
        return error


def _placed(part: Path, place: Path, unsure: OSError | None) -> str | OSError:
    try:
        if unsure is not None:
            raise unsure
        mark = _seen(part.stat()).mark
        os.replace(part, place)
    except OSError as error:
        part.unlink(missing_ok=True)
        return error
    return mark
