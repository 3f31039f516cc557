"""Pictures wherever people keep them: folders, zip files, TFRecord, parquet, manifests.

The kind is recognised by contents. A place inside a zip file is written as if the zip were a
folder: archive.zip/monet_jpg.
"""

from __future__ import annotations

import csv
import hashlib
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Protocol, final

from pleinair import archives, parquet, parsing, tfrecord
from pleinair.errors import DataError
from pleinair.settings import DATA, MANIFEST_SUFFIXES, PICTURE_SUFFIXES

_TRAINED_ON = frozenset(["", "train", "training"])
_HELD_OUT = frozenset(["val", "valid", "validation", "dev", "test", "testing"])
_COLUMNS = ("path", "file_name")


class Source(Protocol):
    """Encoded pictures under stable names. Threads may share one.

    place: for people. names: relative to the place, each once, sorted by their parts. held: the
    names that the source itself holds out of training, None where it says nothing of it. files:
    whether `read` gives paths, so that a look at a header costs little.
    """

    @property
    def place(self) -> Path: ...
    @property
    def names(self) -> list[str]: ...
    @property
    def held(self) -> frozenset[str] | None: ...
    @property
    def files(self) -> bool: ...

    def read(self, index: int) -> bytes | Path:
        """A picture file: its bytes or its path. Raises ImageError."""


def open_source(place: Path) -> Source:
    """The pictures of a place, whatever its kind.

    Raises DataError where there is no picture, or more than one set of them to choose from;
    MissingExtraError where the kind needs an extra.
    """
    try:
        if place.is_dir():
            return _open_folder(place)
        archive = next((p for p in (place, *place.parents) if p.is_file()), None)
        if archive is None:
            raise DataError(
                f"{place} is not a folder; name a folder of pictures, a zip file, TFRecord or "
                "parquet shards, or a manifest."
            )
        with archive.open("rb") as file:
            head = file.read(12)
    except OSError as error:
        raise DataError(
            f"{place} cannot be read ({error.strerror or error}); check its permissions."
        ) from error
    if archive != place or head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        if not archives.is_zip(archive) and not head.startswith(b"PK"):
            raise DataError(f"{archive} is not a folder nor a zip file, so {place} is not in it.")
        inside = place.relative_to(archive).as_posix()
        return _open_zip(place, archive, "" if inside == "." else inside)
    if parquet.looks_like_parquet(head):
        return parquet.ParquetPictures(place, [(place.name, place)])
    if place.suffix.lower() in MANIFEST_SUFFIXES:
        return Manifest(place)
    if tfrecord.is_shard_name(place.name) or tfrecord.looks_like_shard(head):
        return tfrecord.ShardPictures(place, [_shard(place.name, place)])
    raise DataError(
        f"{place} is a file of no kind that holds a set of pictures; name a folder, a zip file, "
        "TFRecord or parquet shards, or a manifest (.csv, .tsv, .jsonl)."
    )


def split(source: Source, count: int) -> tuple[Source, Source | None]:
    """(Training pictures, held-out pictures): the source's own split, or `count` by hash of name.

    The choice depends on names alone, not on their order, and moves little when pictures come or
    go. None where nothing is held out. Raises DataError where nothing is left to train on.
    """
    if source.held is not None:
        chosen = source.held
    else:
        hashed = sorted(source.names, key=lambda name: hashlib.sha256(name.encode()).digest())
        chosen = frozenset(hashed[:count])
    if not chosen:
        return source, None
    trained = [i for i, name in enumerate(source.names) if name not in chosen]
    held = [i for i, name in enumerate(source.names) if name in chosen]
    if not trained:
        raise DataError(
            f"{source.place} has {len(source.names)} pictures and holds all of them out; "
            "leave some to train on."
        )
    return Part(source, trained), Part(source, held)


@final
class Part:
    """Some pictures of a source; says nothing of a split any more."""

    held = None

    def __init__(self, source: Source, indices: Sequence[int]) -> None:
        self.place, self.files = source.place, source.files
        self.names = [source.names[index] for index in indices]
        self._source, self._indices = source, indices

    def read(self, index: int) -> bytes | Path:
        return self._source.read(self._indices[index])


# --- folders --------------------------------------------------------------------------------


@final
class Folder:
    """Picture files under a folder, however deep; hidden ones are left out."""

    files = True
    held = None

    def __init__(self, place: Path, names: list[str]) -> None:
        self.place, self.names = place, names

    def read(self, index: int) -> Path:
        return self.place / self.names[index]


def _open_folder(place: Path) -> Source:
    names = sorted(
        (path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file()),
        key=_parts,
    )
    pictures = [name for name in names if _is_picture(name)]
    if pictures:
        return Folder(place, pictures)
    seen = [name for name in names if not _is_hidden(name)]
    if shards := [name for name in seen if tfrecord.is_shard_name(name)]:
        return tfrecord.ShardPictures(place, [_shard(name, place / name) for name in shards])
    if shards := [name for name in seen if name.lower().endswith(".parquet")]:
        return parquet.ParquetPictures(place, [(name, place / name) for name in shards])
    for name in seen:
        if archives.is_zip(place / name):
            raise DataError(f"{place} holds no picture but an archive; name {place / name}.")
    raise DataError(f"{place} holds no picture; put JPEG, PNG or WebP files there.")


def _shard(name: str, path: Path) -> tfrecord.Shard:
    return tfrecord.Shard(name, lambda: path.open("rb"), 0, path.stat().st_size)


# --- zip files ------------------------------------------------------------------------------


@final
class Zip:
    """Pictures of a zip file, or of a folder in it, read in place."""

    files = False
    held = None

    def __init__(self, place: Path, archive: zipfile.ZipFile, members: dict[str, str]) -> None:
        self.place, self.names = place, list(members)
        self._archive, self._members = archive, members

    def read(self, index: int) -> bytes:
        name = self.names[index]
        info = self._archive.getinfo(self._members[name])
        return archives.read_member(self._archive, info, f"{self.place}/{name}")


def _open_zip(place: Path, path: Path, inside: str) -> Source:
    archive = archives.open_zip(path)
    prefix = f"{inside}/" if inside else ""
    members = {
        info.filename.removeprefix(prefix): info.filename
        for info in archive.infolist()
        if info.filename.startswith(prefix) and not info.is_dir()
    }
    if inside in archive.namelist():  # one shard, named itself
        members = {place.name: inside}
    members = {name: members[name] for name in sorted(members, key=_parts)}
    pictures = {name: full for name, full in members.items() if _is_picture(name)}
    shards = {
        name: full
        for name, full in members.items()
        if tfrecord.is_shard_name(name) and not _is_hidden(name)
    }
    try:
        if not inside:
            _check_one_folder(path, [*pictures, *shards])
        if pictures:
            return Zip(place, archive, pictures)
        if shards:
            return tfrecord.ShardPictures(place, _spooled(path, archive, shards))
        found = sorted({str(PurePosixPath(name).parent) for name in archive.namelist()} - {"."})
        there = f"it holds {_listed(found)}" if found and not inside else "name what has some"
        raise DataError(f"{place} holds no picture nor TFRecord shard; {there}.")
    except BaseException:
        archive.close()
        raise


def _spooled(path: Path, archive: zipfile.ZipFile, shards: dict[str, str]) -> list[tfrecord.Shard]:
    # A compressed stream has no random access, and inflating it anew for every record would
    # cost half a shard each time: they are unpacked once, into a file without a name.
    infos = {name: archive.getinfo(full) for name, full in shards.items()}
    total = sum(info.file_size for info in infos.values())
    if total > DATA.max_unpacked_bytes:
        raise DataError(
            f"{path} claims to unpack to {total:,} bytes, more than {DATA.max_unpacked_bytes:,}; "
            "unpack it yourself."
        )
    spool, made = tfrecord.Spool(), []
    for name, info in infos.items():
        start = spool.size
        try:
            with archive.open(info) as member:
                spool.append(member)
        except archives.BROKEN as error:
            raise DataError(
                f"{path}/{info.filename} is damaged or cut short ({error}); get a whole copy."
            ) from error
        made.append(tfrecord.Shard(name, spool.opened, start, spool.size - start))
    archive.close()
    return made


def _check_one_folder(path: Path, names: list[str]) -> None:
    parents = {PurePosixPath(name).parent for name in names}
    if len(parents) < 2:
        return
    # What lies beside each other one folder below what all share: photos here, paintings there.
    shared = PurePosixPath(*_shared([parent.parts for parent in parents]))
    if shared in parents:
        return
    depth = len(shared.parts) + 1
    folders = sorted({str(PurePosixPath(*parent.parts[:depth])) for parent in parents})
    raise DataError(
        f"{path} holds the folders {_listed(folders)}; name one of them, as in {path / folders[0]}."
    )


def _shared(lists: list[tuple[str, ...]]) -> list[str]:
    shared = []
    for level in zip(*lists, strict=False):
        if len(set(level)) > 1:
            break
        shared.append(level[0])
    return shared


# --- manifests ------------------------------------------------------------------------------


@final
class Manifest:
    """Pictures that a .csv, .tsv or .jsonl file lists, by a column `path` or `file_name`.

    Paths are relative to the manifest. A column `split` says which are held out: val, validation
    and test are, train and nothing are not. Raises DataError for what does not fit.
    """

    files = True

    def __init__(self, place: Path) -> None:
        self.place = place
        named: dict[str, bool] = {}
        has_split = False
        for number, row in _rows(place):
            column = next((c for c in _COLUMNS if c in row), None)
            if column is None:
                raise DataError(
                    f"{place}, row {number}, has the columns {_listed(list(row))}; one must be "
                    "named path or file_name."
                )
            name = PurePosixPath(row[column].strip()).as_posix()
            if name == "." or name.startswith("/") or ".." in PurePosixPath(name).parts:
                raise DataError(
                    f"{place}, row {number}, names {row[column]!r}; give a path below the "
                    "manifest's own folder."
                )
            if name in named:
                raise DataError(f"{place}, row {number}, lists {name} again; list it once.")
            word = row.get("split", "").strip().lower()
            if word not in _TRAINED_ON | _HELD_OUT:
                raise DataError(
                    f"{place}, row {number}, has the split {word!r}; use train, val or test."
                )
            has_split = has_split or "split" in row
            named[name] = word in _HELD_OUT
        if not named:
            raise DataError(f"{place} lists no picture; give each a row.")
        self.names = sorted(named, key=_parts)
        held = frozenset(name for name in named if named[name])
        self.held = held if has_split else None

    def read(self, index: int) -> Path:
        return self.place.parent / self.names[index]


def _rows(place: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """(Row number from 1, its columns as text). Raises DataError."""
    try:
        # Spreadsheets put a byte order mark before UTF-8.
        with place.open(encoding="utf-8-sig", newline="") as file:
            if place.suffix.lower() == ".jsonl":
                for number, line in enumerate(file, 1):
                    if line.strip():
                        row = parsing.json_of(line)
                        if not isinstance(row, dict):
                            raise DataError(f"{place}, row {number}, is no JSON object.")
                        yield number, {k: "" if v is None else str(v) for k, v in row.items()}
                return
            delimiter = "\t" if place.suffix.lower() == ".tsv" else ","
            for number, row in enumerate(csv.DictReader(file, delimiter=delimiter), 2):
                yield number, {k: v or "" for k, v in row.items() if k is not None}
    except (UnicodeDecodeError, csv.Error, ValueError) as error:
        raise DataError(
            f"{place} cannot be read as a manifest ({error}); give UTF-8 text, comma-separated "
            "(.csv), tab-separated (.tsv) or one JSON object a line (.jsonl)."
        ) from error


# --- names ----------------------------------------------------------------------------------


def _parts(name: str) -> list[str]:
    # As paths sort: a folder's files stay together.
    return name.split("/")


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/")) or name.startswith("__MACOSX/")


def _is_picture(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in PICTURE_SUFFIXES and not _is_hidden(name)


def _listed(names: list[str], most: int = 8) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
