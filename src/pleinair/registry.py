"""Lists of painters that can be fetched, as TOML: the one that ships, the user's own, others'.

    [painters.style_vangogh]
    url = "http://efrosgans.eecs.berkeley.edu/cyclegan/pretrained_models/style_vangogh.pth"
    sha256 = "..."     # of the file; where nobody knows it, it is left out
    size = 45500000    # bytes; may be left out
    title = "..."      # these, and licence, origin, about, may be left out
    network = "..."    # which one of several in the file; may be left out

What others write is bounded and checked here: names become names of files, words are shown.
"""

from __future__ import annotations

import json
import re
import urllib.parse
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pleinair import files, parsing
from pleinair.errors import PainterError
from pleinair.settings import HUB

# Relative addresses of a registry in a folder are read as if they were here: none leads out of it.
BESIDE = "http://pleinair.invalid/"
_SHIPPED = Path(__file__).parent / "painters" / "registry.toml"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
# Windows opens a device by each of these names, whatever their type.
_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])", re.IGNORECASE)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_HUB_URL = re.compile(r"hf://[^/@\s]+/[^/@\s]+(@[^/\s]+)?(/\S+)?")


@dataclass(frozen=True)
class Entry:
    """A painter that can be had.

    url: http, https or hf; empty where its file is kept in the user's own folder already, with the
    SHA-256 of what it was made of. sha256: of the file at url, None where nobody has told it.
    """

    name: str
    url: str
    sha256: str | None = None
    size: int | None = None  # bytes of the file
    title: str = ""
    about: str = ""
    licence: str = ""
    origin: str = ""
    network: str = ""  # of several in the file


def may_name(name: str) -> bool:
    """Whether a painter may have this name."""
    return bool(_NAME.fullmatch(name)) and not _DEVICES.fullmatch(name)


def check_name(name: str) -> str:
    """A name as it is, if it may be a painter's. Raises PainterError."""
    if not may_name(name):
        raise PainterError(
            f"{name[:80]!r} is no name for a painter; use up to 64 letters, digits, _ and -."
        )
    return name


def check_sha256(text: str) -> str:
    """64 hexadecimal digits in lower case. Raises PainterError."""
    if not _SHA256.fullmatch(text.lower()):
        raise PainterError(f"SHA-256 {text[:80]!r} found; give 64 hexadecimal digits.")
    return text.lower()


def check_url(url: str, base: str = "") -> str:
    """An address that can be fetched, seen from the registry at `base`. Raises PainterError."""
    if _HUB_URL.fullmatch(url):
        return url
    try:
        whole = urllib.parse.urljoin(base, url)
        parts = urllib.parse.urlsplit(whole)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # a port or an IPv6 address that is none
        good = False
    if not good or parts.username or not whole.isprintable() or " " in whole:
        raise PainterError(
            f"{url[:200]!r} is no address of a painter; give https://..., http://... or "
            "hf://owner/name."
        )
    return whole


@lru_cache(maxsize=1)
def shipped() -> Mapping[str, Entry]:
    """The registry in the package: painters that others have published."""
    return MappingProxyType(parse(_SHIPPED.read_bytes(), str(_SHIPPED)))


def load(path: Path) -> dict[str, Entry]:
    """A registry file of the user's, in which files may have been given; none: empty."""
    return parse(_bytes_of(path), str(path), own=True) if path.exists() else {}


def load_beside(path: Path) -> dict[str, Entry]:
    """A registry file for others, whose relative addresses mean files beside it; see `beside`."""
    return parse(_bytes_of(path), str(path), base=BESIDE)


def beside(entry: Entry) -> str:
    """The path of an entry's file from the folder of its registry; empty where it is elsewhere."""
    if not entry.url.startswith(BESIDE):
        return ""
    return urllib.parse.unquote(entry.url.removeprefix(BESIDE))


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise PainterError(f"{path} cannot be read ({error.strerror or error}).") from error


def parse(data: bytes, source: str, base: str = "", own: bool = False) -> dict[str, Entry]:
    """The entries of a registry. source: what to call it; base: its address, for relative ones.

    Raises PainterError: nothing of a registry that is wrong somewhere is taken.
    """
    try:
        if len(data) > HUB.registry_bytes:
            raise ValueError(f"it has {len(data):,} bytes")
        # Of the user's own the last painter may have been removed.
        painters = parsing.toml_of(data).get("painters", {} if own else None)
        if not isinstance(painters, dict) or not all(
            isinstance(v, dict) for v in painters.values()
        ):
            raise ValueError("it has no tables [painters.NAME]")
    except ValueError as error:
        reason = " ".join(str(error).split())[:120]
        raise PainterError(
            f"{source} is no registry of painters ({reason}); give a TOML file of tables "
            "[painters.NAME]."
        ) from error
    try:
        return {name: _entry(name, given, base, own) for name, given in painters.items()}
    except PainterError as error:
        raise PainterError(f"{source}: {error}") from error


def _entry(name: str, given: Mapping[str, Any], base: str, own: bool) -> Entry:
    check_name(name)
    words = {key: given.get(key, "") for key in Entry.__dataclass_fields__}
    size, sha256 = given.get("size"), given.get("sha256")
    bad = [key for key in words if key not in ("size", "name") and not isinstance(words[key], str)]
    if bad or type(size) not in (int, type(None)) or (size is not None and size <= 0):
        raise PainterError(f"{name} has a {(bad or ['size'])[0]} that is none; mend the registry.")
    url = words["url"] if own and words["url"] == "" else check_url(words["url"], base)
    if base.startswith("https:") and url.startswith("http:") and not sha256:
        raise PainterError(f"{name} leads from https to {url} without a sha256; not taken.")
    return Entry(
        name,
        url,
        check_sha256(sha256) if sha256 else None,
        size,
        **{key: plain(words[key]) for key in ("title", "about", "licence", "origin", "network")},
    )


def save(entries: Mapping[str, Entry], path: Path) -> None:
    """Write a registry in one step. Raises OSError."""
    files.write_bytes(path, as_toml(entries).encode())


def as_toml(entries: Mapping[str, Entry]) -> str:
    """The text of a registry."""
    parts = ["# Painters of pleinair; `pleinair painters add` reads and writes this."]
    for name, entry in sorted(entries.items()):
        lines = [
            f"{key} = {json.dumps(value, ensure_ascii=False)}"
            for key, value in asdict(entry).items()
            if key != "name" and (value or key == "url")
        ]
        parts.append("\n".join([f"[painters.{name}]", *lines]))
    return "\n\n".join(parts) + "\n"


def plain(text: str) -> str:
    """Words of others on one line, without what a terminal would obey, and bounded."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[: HUB.words]
