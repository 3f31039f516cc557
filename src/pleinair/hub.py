"""Painters by name: those that ship, those that the user added, and those that can be fetched."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from pleinair import files, huggingface, places, registry, stock
from pleinair.download import Progress, silent
from pleinair.errors import OutputError, PainterError
from pleinair.registry import Entry
from pleinair.settings import HUB
from pleinair.stock import Told

_SHIPPED = Path(__file__).parent / "painters"
_log = logging.getLogger(__name__)


def names() -> list[str]:
    """Names of the painters that ship."""
    return sorted(path.stem for path in _SHIPPED.glob("*.onnx"))


def at_hand() -> dict[str, Path]:
    """Painters that paint now, by name: those that ship, and what was added or fetched."""
    found = {}
    try:
        known = entries()
    except PainterError as error:  # a server goes on with what ships
        _log.warning("passed by: %s", error)
        known = {}
    for name, entry in known.items():
        path = here(entry)
        if path is not None:
            found[name] = path
    return found | {name: _SHIPPED / f"{name}.onnx" for name in names()}


def entries() -> dict[str, Entry]:
    """What else can be named: published painters, and the user's own in place of one of those.

    Raises PainterError where the user's registry is damaged.
    """
    return {**registry.shipped(), **own_entries()}


def by_address() -> list[Entry]:
    """What was fetched by an hf:// address that has no name of its own."""
    named = {entry.url for entry in entries().values()}
    urls = [lock.url for lock in stock.locks() if lock.url.startswith("hf://")]
    return [entry_of(url) for url in urls if url not in named]


def own_entries() -> dict[str, Entry]:
    """What the user added. Raises PainterError."""
    return registry.load(_registry())


def knows(name: str) -> bool:
    """Whether this is a painter's name, or its address, rather than a file's."""
    if name.startswith("hf://") or name in names():
        return True
    # A damaged registry is no reason not to paint with a file.
    return registry.may_name(name) and name in entries()


def missing(name: str) -> Entry | None:
    """What would have to be fetched before this painter can paint; None: nothing."""
    if name in names() or not knows(name):
        return None
    entry = entry_of(name)
    return None if here(entry) is not None else entry


def entry_of(name: str) -> Entry:
    """The entry of a name or of an hf:// address. Raises PainterError."""
    if not name.startswith("hf://"):
        return entries()[name]
    address = huggingface.address(name)
    stem = Path(address.file).stem if address.file else address.repository.partition("/")[2]
    plain = "".join(c if c.isascii() and c.isalnum() else "-" for c in stem).strip("-")[:60]
    return Entry(registry.check_name(plain or "painter"), name, origin=name)


def find(name_or_path: str | Path, told: Told = _log.info, progress: Progress = silent) -> Path:
    """The file of a painter, which is fetched where it is known and not here yet.

    told: hears what is fetched. Raises PainterError where there is none, MissingExtraError,
    OutputError where it cannot be kept.
    """
    text = str(name_or_path)
    if text in names():
        return _SHIPPED / f"{text}.onnx"
    if knows(text):
        entry = entry_of(text)
        return here(entry) or stock.fetch(entry, told, progress)
    if text.startswith(("http://", "https://")):
        raise PainterError(
            f"{text} is an address; give it a name with `pleinair painters add NAME {text}`."
        )
    path = Path(name_or_path)
    if text and path.is_dir():
        inside = held(path)
        if inside is not None:
            return inside
        raise PainterError(
            f"{path} is a folder; export a run with `pleinair export {path} painter.onnx` first."
        )
    index = Path(f"{path}.index")
    if text and not path.exists() and index.is_file():
        return index  # a checkpoint goes by what the names of its files begin with
    if path.suffix == ".onnx" and not path.exists():
        raise PainterError(f"painter {path} does not exist; check the path.")
    if not path.is_file():
        raise PainterError(
            f"painter {text!r} is unknown; use {', '.join(names())}, another of `pleinair "
            "painters list`, or the path of an .onnx file."
        )
    return path


def held(folder: Path) -> Path | None:
    """What paints in a folder: a run's painter, or the folder itself, of TensorFlow's kinds."""
    run = folder / "painter.safetensors"
    if run.is_file():
        return run
    signs = ("saved_model.pb", "checkpoint", "*.index")
    return folder if any(True for sign in signs for _ in folder.glob(sign)) else None


def fetch(
    name: str, told: Told = _log.info, progress: Progress = silent, renew: bool = False
) -> Path:
    """The file of a painter that is known by name or address, fetched if it is not here.

    renew: fetch it anew all the same; see `stock.fetch`. Raises PainterError.
    """
    if name in names() or not knows(name):
        raise PainterError(f"{name[:80]!r} is nothing to fetch; see `pleinair painters list`.")
    entry = entry_of(name)
    if not entry.url:
        raise PainterError(f"{name} was made of a file of yours; there is nothing to fetch.")
    return stock.fetch(entry, told, progress, renew)


def here(entry: Entry) -> Path | None:
    """The file of an entry that is on this computer already."""
    if entry.url:
        return stock.find(entry)
    path = _given(entry.name)
    return path if path.is_file() else None


# --- what the user adds -----------------------------------------------------------------------


def add(name: str, source: str, about: Entry | None = None, force: bool = False) -> Entry:
    """Give a painter a name: of an address, of which nothing is fetched yet, or of a file.

    A file is read once and a painter made of it is kept, so that it may be moved. about: what to
    know of it; its words, and its sha256 for an address. Raises PainterError for bad names,
    addresses and files; OutputError where the name is taken and not `force`.
    """
    entry = replace(about or Entry(name, ""), name=registry.check_name(name))
    if "://" in source:
        entry = replace(entry, url=registry.check_url(source))
        if entry.url.startswith("hf://"):
            huggingface.address(entry.url)
        _add_all({name: entry}, force)
        return entry
    path = Path(source)
    if not path.exists():
        raise PainterError(
            f"{source} is neither a file nor an address; give one that is there, or https://..."
        )
    _check_taken([name], force)
    found = files.sha256_of(path) if path.is_file() else None
    if entry.sha256 not in (None, found):
        raise PainterError(f"{path} has the SHA-256 {found}, not {entry.sha256}; not added.")
    entry = replace(
        entry, sha256=found, origin=entry.origin or registry.plain(files.absolute(path))
    )
    try:
        painter = stock.converted(path, entry)
    except OSError as error:
        raise PainterError(f"{path} cannot be read ({error.strerror or error}).") from error
    entry = replace(entry, size=len(painter))
    places.make(_given(name).parent, places.OWN_ADVICE)
    with files.writing(_given(name), places.OWN_ADVICE):
        files.write_bytes(_given(name), painter)
    _add_all({name: entry}, force)
    return entry


def add_registry(url: str, only: str | None = None, force: bool = False) -> list[Entry]:
    """Take the entries of a registry at an address, or `only` one of them, into the user's own.

    It is read once: what it says later changes nothing here. Raises PainterError, OutputError.
    """
    data = stock.small_file(registry.check_url(url), HUB.registry_bytes)
    found = registry.parse(data, url, base=url)
    if only is not None:
        if only not in found:
            known = ", ".join(sorted(found)[:12]) or "nothing"
            raise PainterError(f"{url} has no painter {only[:80]!r}; it has {known}.")
        found = {only: found[only]}
    _add_all(found, force)
    return list(found.values())


def _add_all(wanted: dict[str, Entry], force: bool) -> None:
    path = _registry()
    places.make(path.parent, places.OWN_ADVICE)
    with places.held(path.with_suffix(".lock"), places.OWN_ADVICE):
        mine = own_entries()
        _check_taken([name for name, entry in wanted.items() if mine.get(name) != entry], force)
        for name, entry in wanted.items():
            if name in mine and mine[name].url and mine[name] != entry:
                stock.forget(mine[name])
            elif name in mine and entry.url:
                _given(name).unlink(missing_ok=True)
        with files.writing(path, places.OWN_ADVICE):
            registry.save(mine | wanted, path)


def _check_taken(wanted: list[str], force: bool) -> None:
    for name in wanted:
        # File systems of Windows and macOS take capitals for the same.
        if name.lower() in names():
            raise PainterError(f"{name} ships with pleinair; give yours another name.")
        same = next((one for one in entries() if one.lower() == name.lower()), None)
        if same is not None and not (force and same == name):
            raise OutputError(
                f"the name {same} is taken; remove it with `pleinair painters remove {same}`, "
                "choose another, or add --force."
            )


def remove(name: str) -> bool:
    """Forget what the user added under a name, and what was fetched; whether an entry was there.

    Of a published painter only what was fetched goes. Raises PainterError for others.
    """
    if name in names():
        raise PainterError(f"{name} ships with pleinair and stays; nothing was removed.")
    known = entries()
    if name.startswith("hf://"):
        stock.forget(entry_of(name))
        return False
    if name not in known:
        mine = ", ".join(sorted(own_entries())) or "none"
        raise PainterError(f"painter {name[:80]!r} is unknown; added are: {mine}.")
    path = _registry()
    places.make(path.parent, places.OWN_ADVICE)
    with places.held(path.with_suffix(".lock"), places.OWN_ADVICE):
        left = own_entries()
        entry = left.pop(name, None)
        if entry is not None:
            with files.writing(path, places.OWN_ADVICE):
                registry.save(left, path)
                _given(name).unlink(missing_ok=True)
        if known[name].url:
            stock.forget(known[name])
    return entry is not None


def _registry() -> Path:
    return places.own() / "painters" / "painters.toml"


def _given(name: str) -> Path:
    """Where the painter lies that was made of a file of the user's."""
    return places.own() / "painters" / f"{name}.onnx"
