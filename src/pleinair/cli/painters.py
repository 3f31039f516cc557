"""`pleinair painters`."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from pleinair.cli.fetching import watched
from pleinair.cli.terminal import give, say
from pleinair.errors import PainterError, UsageError
from pleinair.registry import plain

if TYPE_CHECKING:
    from pleinair.catalogue import Known, Listed
    from pleinair.registry import Entry

painters = App(
    name="painters",
    help="List, add, fetch and publish painters.",
    help_format="plaintext",
    help_formatter="default",
)

_NOT_STATED = "not stated"
_Json = Annotated[bool, Parameter(name="--json", negative=())]
_Flag = Annotated[bool, Parameter(negative=())]


@painters.command(name="list")
def list_(*, as_json: _Json = False) -> int:
    """Say which painters have a name: shipped, added, fetched, and those that can be fetched.

    Parameters
    ----------
    as_json
        Print everything as JSON.
    """
    from pleinair import catalogue

    found = catalogue.listed()
    if as_json:
        give(json.dumps([_plain(one) for one in found], indent=2))
        return 0
    rows = [("NAME", "TITLE", "LICENCE", "SIZE", "WHERE")]
    rows += [
        (one.name, one.title, one.licence or _NOT_STATED, _size(one), one.where) for one in found
    ]
    widths = [min(40, max(len(row[column]) for row in rows)) for column in range(5)]
    for row in rows:
        cells = [_cut(text, width).ljust(width) for text, width in zip(row, widths, strict=True)]
        cells[3] = cells[3].strip().rjust(widths[3])
        give("  ".join(cells).rstrip())
    return 0


@painters.command
def info(painter: Annotated[str, Parameter(name="PAINTER")], /, *, as_json: _Json = False) -> int:
    """Say all that is known of a painter, without fetching it.

    Parameters
    ----------
    painter
        Name of a painter, a file, or hf://owner/name.
    as_json
        Print everything as JSON.
    """
    from pleinair import catalogue

    known = catalogue.known(painter)
    if as_json:
        give(json.dumps(_plain(known), indent=2))
    else:
        for key, value in _facts(known):
            give(f"{key + ':':15}{value}")
    return 0


@painters.command
def add(
    name: Annotated[str, Parameter(name="NAME")],
    source: Annotated[str | None, Parameter(name="SOURCE")] = None,
    /,
    *,
    sha256: str | None = None,
    title: str = "",
    licence: str = "",
    network: str = "",
    force: _Flag = False,
) -> int:
    """Give a painter a name. An address is fetched when the painter is first used.

    Parameters
    ----------
    name
        How to call it. SOURCE alone is called by its file's name; of a registry alone all is added.
    source
        https://..., hf://owner/name, a file, or the address or file of a registry .toml that has
        it; the painter of a registry with just one may have any name.
    sha256
        What its file must have; else what the first download has is kept and must stay so.
    title
        What people are told it is.
    licence
        Its licence.
    network
        Which one of several networks in the file.
    force
        Replace what has this name.
    """
    from pleinair import hub
    from pleinair.registry import Entry, check_sha256

    place = name if source is None else source
    if place.endswith(".toml"):
        added = hub.add_registry(place, None if source is None else name, force, say)
        for entry in added:
            give(entry.name)
            _tell_place(entry)
        later = "; each is fetched when it is first used" if "://" in place else ""
        say(f"{len(added)} added{later}.")
        return 0
    if source is None:
        name, source = _name_of(place), place
    known = check_sha256(sha256) if sha256 else None
    entry = Entry(
        name,
        "",
        known,
        title=plain(title),
        licence=plain(licence),
        network=plain(network),
    )
    entry = hub.add(name, source, entry, force)
    give(entry.name)
    _tell_place(entry)
    if entry.url and entry.sha256 is None:
        say(
            "No SHA-256 is known for it: what the first download has is kept, and another one is "
            "refused from then on."
        )
    return 0


def _name_of(place: str) -> str:
    from pleinair import hub

    if "://" not in place and not Path(place).exists():
        raise UsageError(f"{place} has no source; give an address, hf://owner/name or a file.")
    try:
        return hub.name_of(place)
    except PainterError as error:
        raise UsageError(
            f"{place} gives no name to call it by; use `pleinair painters add NAME {place}`."
        ) from error


def _tell_place(entry: Entry) -> None:
    from pleinair import registry

    if entry.name in registry.shipped():
        say(
            f"{entry.name} is yours now, in place of the published one; `pleinair painters remove "
            f"{entry.name}` gives that back."
        )


@painters.command
def fetch(
    names: Annotated[list[str], Parameter(name="PAINTER", negative=())],
    /,
    *,
    renew: _Flag = False,
) -> int:
    """Fetch painters now, to have them without a network.

    Parameters
    ----------
    names
        Names of painters, or hf://owner/name.
    renew
        Fetch anew, and accept another file than the first time, unless its SHA-256 was told.
    """
    from pleinair import hub

    hub.check_named(names)
    for name in names:
        give(watched(lambda told, bar, name=name: hub.fetch(name, told, bar, renew)))  # type: ignore[misc]
    return 0


@painters.command
def remove(
    names: Annotated[list[str], Parameter(name="PAINTER", negative=())],
    /,
) -> int:
    """Forget painters that were added, and what was fetched of any. Your own files stay.

    Parameters
    ----------
    names
        Names of painters, or hf://owner/name.
    """
    from pleinair import hub, registry

    hub.check_named(names)
    for name in names:
        gone = hub.remove(name)
        if gone == "entry":
            back = "; the published one has its name again" if name in registry.shipped() else ""
            say(f"{name} is forgotten{back}.")
        elif gone == "file":
            say(f"what was fetched of {name} is removed.")
        else:
            say(f"nothing of {name} was here.")
    return 0


@painters.command
def publish(
    painter: Annotated[str, Parameter(name="PAINTER")],
    place: Annotated[str, Parameter(name="PLACE")],
    /,
    *,
    name: str = "",
    licence: str = "",
    title: str = "",
    about: str = "",
    photos: Annotated[tuple[Path, ...], Parameter(negative=())] = (),
    private: _Flag = False,
    dry_run: _Flag = False,
    force: _Flag = False,
) -> int:
    """Publish a painter with a card and a sheet: at the Hugging Face Hub, or as a static folder.

    Parameters
    ----------
    painter
        Name of a painter, or a file of any kind that paints.
    place
        hf://owner/name, or a folder for a web server, with a registry.toml.
    name
        How it is to be called. Default: as its file.
    licence
        Its licence, where its card does not say it, as CC0-1.0.
    title
        What people are told it is.
    about
        A sentence about it.
    photos
        A photo for the sheet; may be given again. Default: a drawn landscape.
    private
        Make a repository that only you see.
    dry_run
        Say what would be published, and stop.
    force
        Replace files that are there.
    """
    from pleinair import publishing
    from pleinair.cli.fetching import at_hand

    repository = publishing.repository_of(place)
    at_hand(painter)
    words = {"licence": licence, "title": title, "about": about}
    made = publishing.prepare(painter, name, photos, **words)
    folder = Path(place)
    if repository is not None:
        contents = publishing.for_hub(made, repository)
    else:
        contents = publishing.for_folder(made, folder)
    for file, data in contents.items():
        say(f"{file}  {len(data):,} bytes")
    if dry_run:
        give(contents["README.md" if repository else f"{made.name}.md"].decode().rstrip("\n"))
        say("Nothing was published: --dry-run.")
        return 0
    if repository is not None:
        give(publishing.to_hub(contents, repository, force, private))
    else:
        for path in publishing.to_folder(contents, folder, force):
            give(path)
    return 0


def _plain(what: Listed | Known) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(what), default=str))
    return found


def _facts(known: Known) -> list[tuple[str, str]]:
    one, spec = known.listed, known.spec
    network = ", ".join(f"{key} {value}" for key, value in spec.items())
    made_from = "a file whose SHA-256 nobody has told" if one.url else ""
    if one.sha256:  # of what it was fetched or converted from
        told = f"a file with the SHA-256 {one.sha256}"
        made_from = told if one.sha256 != known.painter_sha256 else ""
    facts = [
        ("name", one.name),
        ("title", one.title),
        ("about", one.about),
        ("licence", one.licence or _NOT_STATED),
        ("where", f"{one.where}, {one.path}" if one.path else one.where),
        ("address", one.url),
        ("origin", one.origin),
        ("size", _size(one) or "not known"),
        ("network", network),
        ("parameters", f"{known.parameters:,}" if known.parameters is not None else ""),
        ("pixels", known.pixels),
        ("SHA-256", known.painter_sha256 or ""),
        ("made from", made_from),
    ]
    if known.card:
        facts += _recorded(known.card)
    return [(key, value) for key, value in facts if value]


def _recorded(card: dict[str, Any]) -> list[tuple[str, str]]:
    """What the card says of how a painter came to be."""
    from pleinair.foreign.ways import WORDS

    said = {key: plain(str(value)) for key, value in card.items() if value}
    source = [said.get("origin", ""), said.get("format", "")]
    if "network" in said:
        source.append(f"network {said['network']}")
    imported = "imported" in said
    return [
        ("imported from", ", ".join(filter(None, source)) if imported else ""),
        ("format", "" if imported else said.get("format", "")),
        ("its SHA-256", said.get("sha256", "") if imported else ""),
        ("imported on", said.get("imported", "")),
        ("way", WORDS.get(said.get("way"), "")),  # type: ignore[call-overload]
        ("values", said.get("values", "")),
        ("learned from", said.get("data", _NOT_STATED)),
        ("exported", said.get("exported", "")),
    ]


def _size(one: Listed) -> str:
    return f"{one.size / 1e6:,.1f} MB" if one.size else ""


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"
