"""Painters that were fetched: verified, converted once, kept where they are found again.

    PLEINAIR_CACHE/painters/1-0123456789abcdef.../style_vangogh.onnx   what paints
    PLEINAIR_CACHE/painters/1-0123456789abcdef.../kept.json            what it was made of
    PLEINAIR_CACHE/painters/fetching-.../                           a download, to go on with
    PLEINAIR_DATA/painters/locks/....json                           the SHA-256 that an address had

A file whose hash nobody has told is trusted at first use: the hash that it had is kept in a lock,
and another one is refused from then on. Locks outlive the cache. Files of other programs are read
as data, never run.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import re
import shutil
import tempfile
import urllib.parse
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath

from pleinair import converting, download, files, huggingface, parsing, places, registry
from pleinair.download import Progress, silent
from pleinair.errors import DataError, MissingExtraError, PainterError, PleinairError
from pleinair.registry import Entry
from pleinair.settings import HUB

Told = Callable[[str], None]

_PARTS = (".part", ".incomplete")  # of downloads to go on with: ours, and those of the Hub
_RENEWED = "if that is right, add it or its registry again with --force"


@dataclass(frozen=True)
class Lock:
    """What an address gave the first time."""

    url: str
    sha256: str
    commit: str = ""  # of hf:// addresses, and the file there
    file: str = ""
    size: int | None = None  # bytes


def find(entry: Entry) -> Path | None:
    """The file of a painter that is here already. Nothing is asked, nothing is read whole."""
    lock = _lock_of(entry.url)
    sha256 = entry.sha256 or (lock.sha256 if lock else None)
    if sha256 is None:
        return None
    folder = _folder(sha256)
    path = folder / f"{entry.name}.onnx"
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        kept = parsing.json_of((folder / "kept.json").read_bytes())
        # A disk that was full, or lost power, may have cut it.
        if kept["bytes"][entry.name] == path.stat().st_size:
            return path
    return None


def fetch(entry: Entry, told: Told, progress: Progress = silent, renew: bool = False) -> Path:
    """The file of a painter, fetched where it is not here yet.

    told: hears what is fetched, how large and under which licence, before it is. renew: fetch it
    anew, and accept another hash than the one of the first time; an entry's own always holds.
    Raises PainterError, MissingExtraError; OutputError where it cannot be written.
    """
    found = None if renew else find(entry)
    if found is not None:
        return found
    if download.offline():
        raise PainterError(
            f"{_called(entry)} is not on this computer and PLEINAIR_OFFLINE is set; unset it, or "
            f"{_add_copy(entry)}."
        )
    room = places.make(places.cache() / "painters", places.CACHE_ADVICE)
    folder = _coming(entry)

    def waiting() -> None:
        told(f"another process is fetching {entry.name}; waiting for it")

    lock = room / f".{folder.name.removeprefix('fetching-')}.lock"
    with places.held(lock, places.CACHE_ADVICE, waiting):
        found = None if renew else find(entry)
        if found is not None:
            return found
        with files.writing(room, places.CACHE_ADVICE):
            return _fetched(entry, folder, told, progress, renew)


def forget(entry: Entry) -> bool:
    """Remove what is kept of an entry, and what its address gave; whether there was any.

    Raises OutputError.
    """
    lock = _lock_of(entry.url)
    sha256 = entry.sha256 or (lock.sha256 if lock else None)
    was_here = lock is not None or find(entry) is not None
    with files.writing(places.cache(), "remove it yourself"):
        if sha256:
            _drop(entry.name, sha256)
        _lock_path(entry.url).unlink(missing_ok=True)
        shutil.rmtree(_coming(entry), ignore_errors=True)
    return was_here


def _drop(name: str, sha256: str) -> None:
    """Remove a painter; and its folder, unless the same file has another name, too."""
    folder = _folder(sha256)
    (folder / f"{name}.onnx").unlink(missing_ok=True)
    if not list(folder.glob("*.onnx")):
        shutil.rmtree(folder, ignore_errors=True)


def locks() -> list[Lock]:
    """What all addresses gave so far."""
    folder = places.own() / "painters" / "locks"
    found = [_read_lock(path) for path in sorted(folder.glob("*.json"))]
    return [lock for lock in found if lock is not None]


def small_file(url: str, most: int) -> bytes:
    """The bytes of a file on the network, which are not kept. Raises PainterError, OutputError."""
    with tempfile.TemporaryDirectory(prefix="pleinair-") as folder:
        try:
            download.fetch(
                url,
                Path(folder) / "file",
                most=most,
                room=places.CACHE_ADVICE,
                unreached_tries=HUB.unreached_tries,
            )
        except DataError as error:
            raise PainterError(str(error)) from error
        return (Path(folder) / "file").read_bytes()


def locked(entry: Entry) -> str | None:
    """The SHA-256 that an entry's file has, or had the first time."""
    lock = _lock_of(entry.url)
    return entry.sha256 or (lock.sha256 if lock else None)


def size_of(entry: Entry) -> int | None:
    """Bytes of the file that would be fetched, as it was told, or was the last time."""
    lock = _lock_of(entry.url)
    return entry.size or (lock.size if lock else None)


def converted(path: Path, entry: Entry) -> bytes:
    """The bytes of an .onnx painter of a file that pleinair can read, of whatever kind.

    Raises PainterError, MissingExtraError.
    """
    found = converting.read(path, entry.network or None)
    if isinstance(found, bytes):
        return found
    about = {key: getattr(entry, key) for key in ("title", "about", "licence", "origin", "url")}
    return converting.written(found, {key: text for key, text in about.items() if text})


# --- fetching ---------------------------------------------------------------------------------


def _fetched(entry: Entry, folder: Path, told: Told, progress: Progress, renew: bool) -> Path:
    lock = None if renew else _lock_of(entry.url)
    if renew:
        shutil.rmtree(folder, ignore_errors=True)
    remote = None
    if entry.url.startswith("hf://"):
        wanted = huggingface.address(entry.url)
        remote = huggingface.resolve(wanted, lock.commit if lock else None)
        entry = replace(entry, size=remote.size, licence=entry.licence or remote.licence)
        _check_size(entry)
    name = PurePosixPath(remote.file if remote else urllib.parse.urlsplit(entry.url).path).name
    _check_extras(name)
    told(_announced(entry))
    source = _downloaded(entry, remote, folder, name, progress)
    sha256 = files.sha256_of(source)
    expected = entry.sha256 or (lock and lock.sha256) or (remote and remote.sha256)
    if expected and sha256 != expected:
        shutil.rmtree(folder, ignore_errors=True)
        raise PainterError(_another_hash(entry, sha256, expected))
    try:
        painter = converted(source, entry)
    except PainterError as error:
        shutil.rmtree(folder, ignore_errors=True)  # or the next try would take it for good
        # The file is gone; what people know is where it came from.
        raise PainterError(str(error).replace(str(source), entry.url)) from error
    if lock is not None:
        return _put(entry, sha256, painter, folder)
    before = _lock_of(entry.url)
    where = (remote.commit, remote.file) if remote else ("", "")
    new = Lock(entry.url, sha256, *where, source.stat().st_size)
    if before is None:  # before the painter can be found: nobody would come back for it
        _keep(new)
        place = _put(entry, sha256, painter, folder)
    else:  # the old one is found until the new one is there: the disk may be full
        place = _put(entry, sha256, painter, folder)
        _keep(new)
        if before.sha256 != sha256:
            _drop(entry.name, before.sha256)
    told(_remembered(entry, sha256, bool(expected), before))
    return place


def _downloaded(
    entry: Entry,
    remote: huggingface.Remote | None,
    folder: Path,
    name: str,
    progress: Progress,
) -> Path:
    places.make(folder, places.CACHE_ADVICE)
    # Its name may say which way a network goes, so that it is kept as far as a disk allows.
    target = folder / (re.sub(r"[^\w.-]", "_", name).lstrip(".")[-100:] or "painter")
    try:
        if remote is not None:
            return huggingface.download(remote, folder, progress)
        if not target.is_file():  # whole, but an extra was missing to read it
            download.fetch(
                entry.url,
                target,
                entry.size,
                progress=progress,
                most=HUB.bytes,
                room=places.CACHE_ADVICE,
                instead=_add_copy(entry),
                unreached_tries=HUB.unreached_tries,
            )
    except PleinairError as error:
        if not any(one.stat().st_size for one in folder.rglob("*") if one.suffix in _PARTS):
            shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, download.OtherFileError):
            raise PainterError(f"{str(error).removesuffix('.')}; {_RENEWED}.") from error
        if isinstance(error, DataError):
            raise PainterError(str(error)) from error
        raise
    return target


def _put(entry: Entry, sha256: str, painter: bytes, coming: Path) -> Path:
    """A painter in its place in the cache, its download gone; what says so is written last."""
    folder = places.make(_folder(sha256), places.CACHE_ADVICE)
    path, note = folder / f"{entry.name}.onnx", folder / "kept.json"
    sizes: dict[str, int] = {}
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        sizes = dict(parsing.json_of(note.read_bytes())["bytes"])
    sizes[entry.name] = len(painter)
    with files.writing(path, places.CACHE_ADVICE):
        files.write_bytes(path, painter)
        shutil.rmtree(coming, ignore_errors=True)
        kept = {"url": entry.url, "sha256": sha256, "bytes": sizes}
        files.write_bytes(note, json.dumps(kept, indent=1).encode())
    return path


def _check_size(entry: Entry) -> None:
    if entry.size is not None and entry.size > HUB.bytes:
        raise PainterError(
            f"{entry.url} has {entry.size:,} bytes, more than {HUB.bytes:,}; no painter has that."
        )


def _check_extras(name: str) -> None:
    """Before a file is fetched that could not be read: MissingExtraError."""
    suffix = Path(name).suffix.lower()
    extras, packages = {
        **dict.fromkeys((".h5", ".keras"), ("import", ("onnx",))),
        **dict.fromkeys((".pth", ".pt", ".ckpt"), ("import,train", ("onnx", "torch"))),
        ".safetensors": ("import", ("onnx", "safetensors")),
    }.get(suffix, ("", ()))
    if any(importlib.util.find_spec(one) is None for one in packages):
        raise MissingExtraError(f"reading {name} needs pip install 'pleinair[{extras}]'.")


def _called(entry: Entry) -> str:
    """What the user calls it: an address that has no name goes by itself."""
    return entry.url if entry.origin == entry.url else entry.name


def _add_copy(entry: Entry) -> str:
    """What to do where a painter cannot be fetched."""
    published = registry.shipped().get(entry.name) == entry
    force = "" if published or entry.origin == entry.url else " --force"
    return f"add a copy that you have: `pleinair painters add {entry.name} FILE{force}`"


def _announced(entry: Entry) -> str:
    before = size_of(entry)
    size = f"{before / 1e6:,.1f} MB" if before else "size not known"
    if before and not entry.size:
        size += " before"
    licence = entry.licence or "not stated"
    return f"fetching {entry.name} from {entry.url} ({size}; licence: {licence})"


def _remembered(entry: Entry, sha256: str, known: bool, before: Lock | None) -> str:
    if known:
        return f"SHA-256 {sha256}, as it was told"
    unsafe = entry.url.startswith("http:")
    was = f", {before.sha256} before" if before and before.sha256 != sha256 else ""
    return (
        f"SHA-256 {sha256}{was}: nobody has told it before"
        + (", and plain http vouches for nothing" if unsafe else "")
        + "; from now on another one is refused"
    )


def _another_hash(entry: Entry, found: str, expected: str) -> str:
    if entry.sha256:
        advice = (
            f"it is another file than the one that was meant, so that it was not kept; {_RENEWED}"
        )
    else:
        advice = f"if that is right, `pleinair painters fetch {_called(entry)} --renew` accepts it"
    return f"{entry.url} has the SHA-256 {found} now, not {expected}; {advice}."


# --- places -----------------------------------------------------------------------------------


def _folder(sha256: str) -> Path:
    return places.cache() / "painters" / f"{HUB.cache_format}-{sha256[:32]}"


def _coming(entry: Entry) -> Path:
    """Where a download lies until it is whole."""
    key = hashlib.sha256(entry.url.encode()).hexdigest()[:16]
    return places.cache() / "painters" / f"fetching-{key}"


def _lock_path(url: str) -> Path:
    # One file each, so that processes need not wait for each other to change them.
    name = hashlib.sha256(url.encode()).hexdigest()[:32]
    return places.own() / "painters" / "locks" / f"{name}.json"


def _lock_of(url: str) -> Lock | None:
    lock = _read_lock(_lock_path(url))
    return lock if lock is not None and lock.url == url else None


def _read_lock(path: Path) -> Lock | None:
    with contextlib.suppress(OSError, ValueError, TypeError):
        lock = Lock(**parsing.json_of(path.read_bytes()))
        if re.fullmatch("[0-9a-f]{64}", lock.sha256):
            return lock
    return None


def _keep(lock: Lock) -> None:
    path = _lock_path(lock.url)
    places.make(path.parent, places.OWN_ADVICE)
    with files.writing(path, places.OWN_ADVICE):
        files.write_bytes(path, json.dumps(asdict(lock), indent=1).encode())
