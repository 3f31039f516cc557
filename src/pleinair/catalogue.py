"""All painters that have a name, and all that is known of one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pleinair import converting, files, hub, nameplate, stock
from pleinair.errors import PainterError
from pleinair.registry import Entry, plain

Where = Literal["shipped", "added", "fetched", "to fetch", "file"]


@dataclass(frozen=True)
class Listed:
    """A painter as a list shows it. size: bytes, of its file here, or of what would be fetched."""

    name: str
    title: str
    licence: str
    size: int | None
    where: Where
    about: str
    origin: str  # where it is from, in words
    url: str
    sha256: str | None  # of the file at url, or of that which was added, if it is known
    path: Path | None  # where it lies here


@dataclass(frozen=True)
class Known:
    """What a painter's file says and is; only what is listed where it is not here."""

    listed: Listed
    card: dict[str, Any]
    spec: dict[str, Any]
    parameters: int | None
    pixels: str  # its contract, in words
    painter_sha256: str | None  # of what paints


def listed() -> list[Listed]:
    """Every painter that has a name or was fetched: those at hand first. Raises PainterError."""
    here = hub.at_hand()
    shipped = [_shipped(name, here[name]) for name in hub.names()]
    others = [_of(entry) for entry in hub.entries().values()]
    others += [replace(_of(entry), name=entry.url) for entry in hub.by_address()]
    order = ("added", "fetched", "to fetch")
    return shipped + sorted(others, key=lambda one: (order.index(one.where), one.name))


def known(name_or_file: str) -> Known:
    """All of a painter, which is not fetched for that. Raises PainterError, MissingExtraError."""
    if hub.missing(name_or_file) is not None:
        return Known(_of(hub.entry_of(name_or_file)), {}, {}, None, "", None)
    path = hub.find(name_or_file)
    data = converting.painter_bytes(path)
    told = nameplate.metadata(data)
    card = nameplate.part(told, "card")
    if name_or_file in hub.names():
        one = _shipped(name_or_file, path)
    elif hub.knows(name_or_file):
        one = _of(hub.entry_of(name_or_file))
    else:
        size = path.stat().st_size if path.is_file() else None
        sha256 = files.sha256_of(path) if path.is_file() else None
        words = nameplate.words(card, path.stem)
        one = Listed(
            name_or_file,
            words.title,
            words.licence,
            size,
            "file",
            words.about,
            "",
            "",
            sha256,
            path,
        )
    if path.is_file() and not nameplate.is_model(data):
        raise PainterError(f"{path} is not a painter; `pleinair doctor {path}` says what it is.")
    made_of = files.sha256_of(path) if path.is_file() and path.suffix == ".onnx" else None
    return Known(
        one,
        card,
        nameplate.part(told, "spec"),
        nameplate.parameters(data),
        told.get("pixels", ""),
        made_of,
    )


def _shipped(name: str, path: Path) -> Listed:
    words = nameplate.words(nameplate.part(nameplate.read(path), "card"), name)
    return Listed(
        name,
        words.title,
        words.licence,
        path.stat().st_size,
        "shipped",
        words.about,
        "ships with pleinair",
        "",
        files.sha256_of(path),
        path,
    )


def _of(entry: Entry) -> Listed:
    path = hub.here(entry)
    card = nameplate.part(nameplate.read(path), "card") if path else {}
    words = nameplate.words(card, entry.name)
    where: Where = "to fetch" if path is None else "fetched" if entry.url else "added"
    return Listed(
        entry.name,
        entry.title or plain(words.title),
        entry.licence or plain(words.licence),
        path.stat().st_size if path else stock.size_of(entry),
        where,
        entry.about or plain(words.about),
        entry.origin,
        entry.url,
        stock.locked(entry),
        path,
    )
