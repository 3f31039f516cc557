"""Painters by name: those that ship, those that the user added, and those that can be fetched."""

from __future__ import annotations

import contextlib
import difflib
import logging
import urllib.parse
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Literal

from pleinair import files, huggingface, identify, places, registry, stock
from pleinair.download import Progress, silent
from pleinair.errors import OutputError, PainterError
from pleinair.registry import Entry
from pleinair.settings import HUB, PAINT, WEIGHT_SUFFIXES
from pleinair.stock import Told

Removed = Literal["entry", "file", "nothing"]

_SHIPPED = Path(__file__).parent / "painters"
_log = logging.getLogger(__name__)


def names() -> list[str]:
    """Names of the painters that ship: the default one first, then by name."""
    found = [path.stem for path in _SHIPPED.glob("*.onnx")]
    return sorted(found, key=lambda name: (name != PAINT.painter, name))


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
        return here(entry) or _fetched(entry, told, progress)
    if text.startswith(("http://", "https://")):
        raise PainterError(
            f"{text} is an address; give it a name with `pleinair painters add NAME {text}`."
        )
    path = Path(name_or_path)
    if text and path.is_dir():
        inside = held(path)
        if inside is not None:
            return inside
        raise PainterError(f"{path} {identify.described(path)}")
    index = Path(f"{path}.index")
    if text and not path.exists() and index.is_file():
        return index  # a checkpoint goes by what the names of its files begin with
    is_path = len(path.parts) > 1 or path.suffix in (".onnx", *WEIGHT_SUFFIXES)
    if is_path and not path.exists():
        raise PainterError(f"painter {path} does not exist; check the path.")
    if not path.is_file():
        raise unknown(text)
    return path


def unknown(name: str) -> PainterError:
    """What to say where a name is no painter's."""
    known = names()
    with contextlib.suppress(PainterError):  # of a damaged registry other commands tell
        known += entries()
    near = difflib.get_close_matches(name.lower(), known, 1)
    use = f"did you mean {near[0]}? Else use" if near else f"use {', '.join(names())},"
    return PainterError(
        f"painter {name[:200]!r} is unknown; {use} another of `pleinair painters list`, or the "
        "path of an .onnx file."
    )


def check_named(wanted: Iterable[str]) -> None:
    """Raise PainterError for the first that is neither a painter's name nor its hf:// address."""
    for name in wanted:
        if not knows(name):
            raise unknown(name)
        if name.startswith("hf://"):
            entry_of(name)


def is_run(name_or_path: str | Path) -> bool:
    """Whether this is a folder in which a training run left checkpoints, and no painter's name."""
    place = Path(name_or_path, "checkpoints")
    return not knows(str(name_or_path)) and any(True for _ in place.glob("*.pt"))


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

    told: hears, too, that it is here. renew: fetch it anew all the same, if it has an address; see
    `stock.fetch`. Raises PainterError.
    """
    check_named([name])
    if name in names():
        told(f"{name} is here already: it ships with pleinair")
        return _SHIPPED / f"{name}.onnx"
    entry = entry_of(name)
    found = here(entry)
    if found is None or (renew and entry.url):
        return _fetched(entry, told, progress, renew)
    told(f"{name} is here already" + ("" if entry.url else ": it was made of a file of yours"))
    return found


def _fetched(entry: Entry, told: Told, progress: Progress, renew: bool = False) -> Path:
    if not entry.url:
        raise PainterError(
            f"{entry.name} was made of a file of yours, and {_given(entry.name)} is gone; add it "
            "again with --force."
        )
    return stock.fetch(entry, told, progress, renew)


def here(entry: Entry) -> Path | None:
    """The file of an entry that is on this computer already."""
    if entry.url:
        return stock.find(entry)
    path = _given(entry.name)
    return path if path.is_file() else None


# --- what the user adds -----------------------------------------------------------------------


def name_of(source: str) -> str:
    """What a painter from an address or a file is called where nobody says: `water` of
    `https://x.org/water.onnx`. Raises PainterError where that is no name.
    """
    if source.startswith("hf://"):
        return entry_of(source).name
    path = urllib.parse.urlsplit(source).path if "://" in source else files.absolute(Path(source))
    return registry.check_name(PurePosixPath(Path(path).as_posix()).name.partition(".")[0])


def add(name: str, source: str, about: Entry | None = None, force: bool = False) -> Entry:
    """Give a painter a name: of an address, of which nothing is fetched yet, or of a file.

    A file is read once and a painter made of it is kept, so that it may be moved; of its path only
    the last part is told on. about: what to know of it; its words, and its sha256 for an address.
    A published painter's name may be taken; `remove` gives it back. Raises PainterError for bad
    names, addresses and files; OutputError where the user has that name already and not `force`.
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
    _check_free(entry, own_entries(), force)
    found = files.sha256_of(path) if path.is_file() else None
    if entry.sha256 not in (None, found):
        raise PainterError(f"{path} has the SHA-256 {found}, not {entry.sha256}; not added.")
    origin = entry.origin or registry.plain(Path(files.absolute(path)).name)
    entry = replace(entry, sha256=found, origin=origin)
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


def add_registry(
    place: str, name: str | None = None, force: bool = False, told: Told = _log.info
) -> list[Entry]:
    """Take the painters of a registry, at an address or in a file, into the user's own.

    It is read once: what it says later changes nothing here. name: of the one to take; where the
    registry holds just one, that is called so. Without a name all are taken that can be, but none
    in place of a published painter unless `force`, and `told` hears what is left out and why.
    Raises PainterError, OutputError; also where nothing can be taken.
    """
    if "://" in place:
        data = stock.small_file(registry.check_url(place), HUB.registry_bytes)
        found = registry.parse(data, place, base=place)
    else:
        found = registry.load_beside(Path(place))
    if name is not None:
        return [_add_of_registry(place, _chosen(place, found, name), force)]
    mine, added, left = own_entries(), {}, []
    for entry in found.values():
        try:
            if entry.name in registry.shipped() and entry.name not in mine and not force:
                raise OutputError(f"{entry.name} is the name of a published painter; name it.")
            _check_free(entry, mine, force)
            if registry.beside(entry):
                _add_of_registry(place, entry, force)
            added[entry.name] = entry
        except (PainterError, OutputError) as error:
            left.append(str(error).partition(";")[0].removesuffix("."))
    if not added:
        why = "; ".join(left) or "it is empty"
        raise OutputError(f"nothing of {place} was added: {why}.")
    _add_all({key: one for key, one in added.items() if not registry.beside(one)}, force)
    if left:
        told(f"left out: {'; '.join(left)}")
    return list(added.values())


def _chosen(place: str, found: dict[str, Entry], name: str) -> Entry:
    if name in found:
        return found[name]
    if len(found) == 1:
        return replace(*found.values(), name=registry.check_name(name))
    known = ", ".join(sorted(found)[:12]) or "nothing"
    raise PainterError(f"{place} has no painter {name[:80]!r}; it has {known}.")


def _add_of_registry(place: str, entry: Entry, force: bool) -> Entry:
    """Add one painter of a registry, whose file may lie beside it."""
    file = registry.beside(entry)
    if file:
        source = str(Path(place).parent / file)
        return add(entry.name, source, replace(entry, url="", size=None), force)
    _add_all({entry.name: entry}, force)
    return entry


def _add_all(wanted: dict[str, Entry], force: bool) -> None:
    path = _registry()
    places.make(path.parent, places.OWN_ADVICE)
    with places.held(path.with_suffix(".lock"), places.OWN_ADVICE):
        mine = own_entries()
        for entry in wanted.values():
            _check_free(entry, mine, force)
        for name, entry in wanted.items():
            if name in mine and mine[name].url and mine[name] != entry:
                stock.forget(mine[name])
            elif name in mine and entry.url:
                _given(name).unlink(missing_ok=True)
        with files.writing(path, places.OWN_ADVICE):
            registry.save(mine | wanted, path)


def _check_free(entry: Entry, mine: dict[str, Entry], force: bool) -> None:
    """Whether an entry may have its name. Raises PainterError, OutputError."""
    name = entry.name
    # File systems of Windows and macOS take capitals for the same.
    if name.lower() in names():
        raise PainterError(f"{name} ships with pleinair; give yours another name.")
    own = next((one for one in mine if one.lower() == name.lower()), None)
    if own is not None and mine[own] != entry and not (force and own == name):
        raise OutputError(
            f"the name {own} is taken; remove it with `pleinair painters remove {own}`, "
            "choose another, or add --force."
        )
    same = next((one for one in registry.shipped() if one.lower() == name.lower()), name)
    if same != name:
        raise OutputError(f"the name {same} is taken; choose another than {name}.")


def remove(name: str) -> Removed:
    """Forget what the user added under a name, and what was fetched; what there was of it.

    Of a published painter only what was fetched goes. Raises PainterError for others.
    """
    check_named([name])
    if name in names():
        raise PainterError(f"{name} ships with pleinair and stays; nothing was removed.")
    if name.startswith("hf://"):
        return "file" if stock.forget(entry_of(name)) else "nothing"
    path = _registry()
    places.make(path.parent, places.OWN_ADVICE)
    with places.held(path.with_suffix(".lock"), places.OWN_ADVICE):
        left = own_entries()
        entry = left.pop(name, None)
        if entry is not None:
            with files.writing(path, places.OWN_ADVICE):
                registry.save(left, path)
                _given(name).unlink(missing_ok=True)
        known = entry or registry.shipped()[name]
        gone = stock.forget(known) if known.url else False
    return "entry" if entry is not None else "file" if gone else "nothing"


def _registry() -> Path:
    return places.own() / "painters" / "painters.toml"


def _given(name: str) -> Path:
    """Where the painter lies that was made of a file of the user's."""
    return places.own() / "painters" / f"{name}.onnx"
