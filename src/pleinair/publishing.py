"""A painter for others to fetch: its file, a card and a sheet of pictures, in a place of theirs.

The place is a folder for any web server, with a registry.toml that `pleinair painters add` reads,
or a repository of the Hugging Face Hub. Card: https://huggingface.co/docs/hub/model-cards.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from pleinair import (
    converting,
    files,
    hub,
    huggingface,
    images,
    nameplate,
    places,
    registry,
    trials,
)
from pleinair.errors import PainterError, UsageError
from pleinair.painter import Painter
from pleinair.registry import Entry
from pleinair.settings import HUB

_REGISTRY = "registry.toml"


@dataclass(frozen=True)
class Publication:
    """What is to be published of a painter."""

    name: str
    painter: bytes  # its .onnx file
    sheet: bytes  # a JPEG: photos beside their paintings
    title: str
    about: str
    licence: str

    @property
    def sha256(self) -> str:
        """Of its .onnx file."""
        return hashlib.sha256(self.painter).hexdigest()


def prepare(
    name_or_file: str, name: str = "", photos: Sequence[Path] = (), **about: str
) -> Publication:
    """All that is published of a painter, which is written nowhere yet.

    name: by default its own. photos: for the sheet; without any, a drawn landscape. about: title,
    about and licence, in place of what its card says. Raises PainterError, MissingExtraError,
    ImageError; UsageError where no licence is known: nobody may use what has none. What the card
    says loses the folders of this computer.
    """
    path = hub.find(name_or_file)
    name = _name_of(name or path.stem.partition(".")[0])
    data = converting.painter_bytes(path)
    card = nameplate.part(nameplate.metadata(data), "card")
    card = {key: _without_folders(value) for key, value in card.items()}
    card |= {key: text for key, text in about.items() if text}
    title, said, licence = nameplate.words(card, name)
    if not licence:
        raise UsageError(
            f"{name_or_file} does not say under which licence it is; add one, as --licence CC0-1.0."
        )
    data = nameplate.with_metadata(data, "card", json.dumps(card))
    painter = Painter.opened(data, str(path))
    return Publication(name, data, _sheet(painter, photos), title, said, licence)


def _name_of(name: str) -> str:
    if not registry.may_name(name):
        raise PainterError(
            f"{name[:80]!r} is no name for a painter; give one of letters, digits, _ and - with "
            "--name."
        )
    if name.lower() in hub.names():
        raise PainterError(f"{name} is the name of a painter that ships; give another with --name.")
    return name


def _sheet(painter: Painter, photos: Sequence[Path]) -> bytes:
    side = HUB.sheet_side
    shown = [images.on_white(images.read(photo)) for photo in photos]
    rows = [
        [images.resize_to_height(pixels, side) for pixels in (photo, painter.paint(photo))]
        for photo in shown or [trials.landscape(side)]
    ]
    return images.encode(images.Picture(images.sheet(rows, side)), "JPEG")


def for_hub(made: Publication, repository: str) -> dict[str, bytes]:
    """The files of a repository by name."""
    picture = "![Photographs and their paintings](sheet.jpg)"
    command = f"pleinair paint photo.jpg --painter hf://{repository}"
    text = f"{_front(made.licence)}\n{_card(made, picture, ('pleinair[hub]', command))}"
    return {
        f"{made.name}.onnx": made.painter,
        "sheet.jpg": made.sheet,
        "README.md": text.encode(),
    }


def for_folder(made: Publication, folder: Path) -> dict[str, bytes]:
    """The files to write into a folder by name; its registry keeps what other painters it has."""
    there = folder / _REGISTRY
    entries = registry.load_beside(there) if there.is_file() else {}
    entries = {name: _relative(entry) for name, entry in entries.items()}
    entries[made.name] = Entry(
        made.name,
        f"{made.name}.onnx",
        made.sha256,
        len(made.painter),
        made.title,
        made.about,
        made.licence,
    )
    picture = f"![Photographs and their paintings]({made.name}.jpg)"
    add = f"pleinair painters add {made.name} https://YOUR.ADDRESS/{_REGISTRY}"
    paint = f"pleinair paint photo.jpg --painter {made.name}"
    return {
        f"{made.name}.onnx": made.painter,
        f"{made.name}.jpg": made.sheet,
        f"{made.name}.md": _card(made, picture, ("pleinair", f"{add}\n{paint}")).encode(),
        _REGISTRY: registry.as_toml(entries).encode(),
    }


def to_folder(contents: Mapping[str, bytes], folder: Path, force: bool) -> list[Path]:
    """Write the files of `for_folder`, the registry last. Raises OutputError where some are there
    already and not `force`; the registry is renewed in any case.
    """
    targets = [folder / name for name in contents]
    for target in targets:
        files.check_free(target, force or target.name == _REGISTRY)
    places.make(folder, "choose another folder")
    for target, data in zip(targets, contents.values(), strict=True):
        with files.writing(target, "choose another folder"):
            files.write_bytes(target, data)
    return targets


def to_hub(contents: Mapping[str, bytes], repository: str, force: bool, private: bool) -> str:
    """Upload the files of `for_hub`; the address of the commit. Raises PainterError."""
    return huggingface.upload(repository, contents, force, private)


def repository_of(place: str) -> str | None:
    """The repository that hf://owner/name means; None of a folder. Raises UsageError."""
    if not place.startswith("hf://"):
        if "://" in place:
            raise UsageError(f"{place} cannot be published to; give hf://owner/name or a folder.")
        if place.endswith(".onnx") or Path(place).is_file():
            raise UsageError(f"{place} is named as a file; give a folder, or hf://owner/name.")
        return None
    address = huggingface.address(place)
    if address.revision or address.file:
        raise UsageError(f"{place} says more than a repository; give hf://owner/name.")
    return address.repository


# --- the card ---------------------------------------------------------------------------------


def _relative(entry: Entry) -> Entry:
    return replace(entry, url=entry.url.removeprefix(registry.BESIDE))


def _without_folders(value: Any) -> Any:
    """What a card says, without where things lay on the computer that said so."""
    if not isinstance(value, str):
        return value
    path = next((one for one in (PurePosixPath(value), PureWindowsPath(value)) if one.root), None)
    return value if path is None else path.name


def _front(licence: str) -> str:
    """The card's head in YAML, in which every JSON string is a string."""
    known = licence.lower()
    lines = [f"license: {known}"]
    if known not in HUB.licences:
        lines = ["license: other", f"license_name: {json.dumps(licence)}"]
    tags = ", ".join(("pleinair", "cyclegan", "image-to-image", "style-transfer", "onnx"))
    lines += ["library_name: pleinair", "pipeline_tag: image-to-image", f"tags: [{tags}]"]
    return "\n".join(["---", *lines, "---"])


def _card(made: Publication, picture: str, use: tuple[str, str]) -> str:
    told = nameplate.metadata(made.painter)
    card, spec = nameplate.part(told, "card"), nameplate.part(told, "spec")
    rows = {
        "network": _spoken(spec) or "exported by another program",
        "parameters": f"{nameplate.parameters(made.painter):,}",
        "learned from": card.get("data"),
        "made of": card.get("url") or card.get("origin"),
        "licence": made.licence,
        "pixels": told.get("pixels"),
        "SHA-256": f"`{made.sha256}`",
    }
    table = [f"| {key} | {_cell(str(value))} |" for key, value in rows.items() if value]
    parts = [
        f"# {_cell(made.title)}",
        _cell(made.about),
        picture,
        f"```sh\npip install '{use[0]}'\n{use[1]}\n```",
        "\n".join(["| | |", "|---|---|", *table]),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _spoken(spec: Mapping[str, Any]) -> str:
    rest = ", ".join(f"{key} {value}" for key, value in spec.items() if key != "kind")
    return f"{spec['kind']} ({rest})" if spec.get("kind") else ""


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "/").split())
