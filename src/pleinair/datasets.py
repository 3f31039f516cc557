"""Training sets by name or address: downloaded, verified, unpacked in safety."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import tempfile
import urllib.parse
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from pleinair import archives, files, parsing, sources
from pleinair.download import Progress, fetch, silent
from pleinair.errors import DataError, OutputError, UsageError

STAGES = ("downloading", "unpacking")  # of what `progress` hears

_MARK = ".pleinair-data.json"


@dataclass(frozen=True)
class Dataset:
    """A training set on the network."""

    name: str
    url: str  # of a zip file
    sha256: str | None = None  # of the zip file
    size: int | None = None  # bytes of it
    terms: str = ""
    photos: str | None = None  # folders inside
    paintings: str | None = None
    needs_kaggle: bool = False  # a token of the user's
    help: str = ""  # what to do where the server refuses


_AUTHORS = "http://efrosgans.eecs.berkeley.edu/cyclegan/datasets"
_PAINTERS = (
    # Sizes and checksums as TensorFlow Datasets publishes them for the same archives.
    ("monet", 305_231_073, "88f91b00fc228f97c9411fbf1880ec1d119c98f1722e4cfcfaa2fb35fac05b04"),
    ("vangogh", 306_590_349, "362c3473e70be0944bda08d49d660eafdc2854df55d697835b8186d1d79caaff"),
    ("cezanne", 279_885_071, "3a6c10ca21f9485862f1cbd707744b9dc258954a04631271d23a3605eeb63cff"),
    ("ukiyoe", 292_946_532, "02a2a2fb5ecf425ca1bf86aca7304377da64a2a1d3b86df54eb65e4068bf3b08"),
)
_KAGGLE = "https://www.kaggle.com/competitions/gan-getting-started"

DATASETS: dict[str, Dataset] = {
    f"{painter}2photo": Dataset(
        name=f"{painter}2photo",
        url=f"{_AUTHORS}/{painter}2photo.zip",
        sha256=sha256,
        size=size,
        terms="paintings from WikiArt, photos from Flickr, each under the terms of its own",
        photos="trainB",
        paintings="trainA",
    )
    for painter, size, sha256 in _PAINTERS
} | {
    "kaggle": Dataset(
        name="kaggle",
        url="https://www.kaggle.com/api/v1/competitions/data/download-all/gan-getting-started",
        terms=f"{_KAGGLE}/rules",
        photos="photo_jpg",
        paintings="monet_jpg",
        needs_kaggle=True,
        help=f"check your token, and accept the rules at {_KAGGLE}/rules",
    ),
}


@dataclass(frozen=True)
class Got:
    """A training set on disk."""

    folder: Path
    photos: Path | None  # where the set is known
    paintings: Path | None
    sha256: str  # of the archive
    verified: bool  # against a checksum that was known before


def dataset(name_or_url: str, sha256: str | None = None) -> Dataset:
    """The named set, or one for the address of a zip. Raises UsageError for neither."""
    known = DATASETS.get(name_or_url)
    if known is None:
        try:
            parts = urllib.parse.urlsplit(name_or_url)
            is_address = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:  # a port or an IPv6 address that is none
            is_address = False
        if not is_address or parts.username:
            raise UsageError(
                f"data set {name_or_url!r} is unknown; use {', '.join(DATASETS)} or the "
                "https:// address of a zip file."
            )
        stem = PurePosixPath(urllib.parse.unquote(parts.path)).name
        stem = re.sub(r"[^\w.-]", "_", stem.removesuffix(".zip")).lstrip(".")
        known = Dataset(stem or "pictures", name_or_url)
    if sha256 is not None:
        if not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
            raise UsageError(f"--sha256 {sha256} found; give 64 hexadecimal digits.")
        known = replace(known, sha256=sha256.lower(), size=None)  # theirs to know
    return known


def get(wanted: Dataset, folder: Path, force: bool = False, progress: Progress = silent) -> Got:
    """Download a set and unpack it into `folder`. An archive beside it, folder.zip, is used.

    A download that broke off goes on. `force` replaces a folder that this function made, no
    other. Raises DataError where the server, the archive or its checksum is wrong, OutputError
    where the disk is full or the folder is in the way, UsageError without a token for Kaggle.
    """
    if folder.exists() or folder.is_symlink():
        if not force:
            raise OutputError(f"{folder} exists; name another folder, or replace it with --force.")
        if not (folder / _MARK).is_file():
            raise OutputError(f"{folder} was not made by this command; name another folder.")
    headers = kaggle_headers() if wanted.needs_kaggle else {}
    archive = folder.with_name(f"{folder.name}.zip")
    was_there = archive.is_file()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        if not was_there:
            fetch(wanted.url, archive, wanted.size, headers, progress, wanted.help)
        found = files.sha256_of(archive)
        if wanted.sha256 is not None and found != wanted.sha256:
            if not was_there:
                archive.unlink()
            raise DataError(
                f"{archive if was_there else wanted.url} has the SHA-256 {found}, not "
                f"{wanted.sha256}; try again, or accept it with --sha256 {found}."
            )
        try:
            _unpack(wanted, archive, folder, found, progress)
        except DataError:
            if not was_there:  # or the next try would take it for whole
                archive.unlink()
            raise
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be written ({error.strerror or error}); choose another place."
        ) from error
    if not was_there:
        archive.unlink(missing_ok=True)
    photos, paintings = (
        folder / part if part is not None and (folder / part).is_dir() else None
        for part in (wanted.photos, wanted.paintings)
    )
    return Got(folder, photos, paintings, found, wanted.sha256 is not None)


def kaggle_headers(
    environment: dict[str, str] | None = None, home: Path | None = None
) -> dict[str, str]:
    """What says to Kaggle who asks. Raises UsageError where there is no token."""
    known = dict(os.environ) if environment is None else environment
    user, key = known.get("KAGGLE_USERNAME"), known.get("KAGGLE_KEY")
    if not (user and key):
        folder = Path(known["KAGGLE_CONFIG_DIR"]) if "KAGGLE_CONFIG_DIR" in known else None
        path = (folder or (home or Path.home()) / ".kaggle") / "kaggle.json"
        try:
            token = parsing.json_of(path.read_bytes())
            user, key = str(token["username"]), str(token["key"])
        except FileNotFoundError:
            raise UsageError(
                f"Kaggle wants a token of yours: make one at https://www.kaggle.com/settings "
                f"(Create New Token), put it at {path} and try again."
            ) from None
        except (OSError, ValueError, KeyError, TypeError):
            # Without the cause: its words could hold the key.
            raise UsageError(
                f"{path} holds no Kaggle token; make one at https://www.kaggle.com/settings."
            ) from None
    pair = base64.b64encode(f"{user}:{key}".encode()).decode()
    return {"Authorization": f"Basic {pair}"}


def _unpack(wanted: Dataset, archive: Path, folder: Path, sha256: str, progress: Progress) -> None:
    # Into a folder of another name, then renamed: half a training set is never taken for a whole.
    with tempfile.TemporaryDirectory(
        prefix=f".{folder.name[:40]}.", suffix=".part", dir=folder.parent
    ) as temporary:
        inside = Path(temporary) / "unpacked"
        archives.unpack(archive, inside, lambda done, all_: progress("unpacking", done, all_))
        entries = [entry for entry in inside.iterdir() if entry.name != "__MACOSX"]
        if len(entries) == 1 and entries[0].is_dir():
            inside = entries[0]  # zips mostly hold one folder of their own name
        mark = {"name": wanted.name, "url": wanted.url, "sha256": sha256, "terms": wanted.terms}
        (inside / _MARK).write_text(json.dumps(mark, indent=2) + "\n", encoding="utf-8")
        before = Path(temporary) / "before"
        if folder.exists():
            folder.rename(before)
        try:
            inside.rename(folder)
        except OSError:
            if before.exists():
                before.rename(folder)
            raise


def picture_folders(folder: Path) -> list[Path]:
    """Folders below that directly hold pictures, for a set whose parts are not known."""
    with contextlib.suppress(DataError):
        names = sources.open_source(folder).names
        return sorted({(folder / name).parent for name in names})
    return []
