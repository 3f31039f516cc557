"""Whatever a painter lies in, as the bytes of its ONNX file, in memory.

Weights of other programs are read and written into a graph; an ONNX file is what it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pleinair import identify, nameplate
from pleinair.errors import MissingExtraError, PainterError

if TYPE_CHECKING:
    from pleinair.foreign import Found


def painter_bytes(path: Path, network: str | None = None) -> bytes:
    """The bytes of an .onnx file for this file or folder.

    network: which of several in a file. Raises PainterError, MissingExtraError.
    """
    if path.suffix == ".onnx" and path.is_file():
        try:
            with path.open("rb") as file:
                head = file.read(9)
                # A model's version, the first field that exporters write; but one in 32 safetensors
                # begins with the same byte, of the length of its header.
                if head[:1] == b"\x08" and head[8:] != b"{":
                    return _checked(path, head + file.read(), network)
        except OSError as error:
            raise PainterError(f"{path} cannot be read ({error.strerror or error}).") from error
    return _converted(path, network, _mark(path))


def read(path: Path, network: str | None = None) -> bytes | Found:
    """An ONNX file as it is, or the generator of a file or folder of another kind.

    Raises PainterError, MissingExtraError.
    """
    # Here, since painters that are ONNX files already have no need of what reads others.
    from pleinair import foreign

    if path.is_file() and foreign.reader_of(path) is None:
        return _checked(path, path.read_bytes(), network)
    return foreign.read(path, network)


def written(found: Found, about: Mapping[str, Any]) -> bytes:
    """A painter's .onnx file of what was read. about: what else its card says, or says instead.

    The card of other programs' weights says, too, which way they go and what the file calls them.
    Raises PainterError, MissingExtraError.
    """
    # Behind reading, so that a bad file is called bad before anything has to be installed for it.
    try:
        from pleinair import graphs
    except MissingExtraError as error:
        raise MissingExtraError(
            "weights are made an ONNX file first, which needs pip install 'pleinair[import]'."
        ) from error
    card = {**found.weights.card, **about}
    if "format" in card:
        card |= {"way": found.way, **({"network": found.name} if found.name else {})}
    return graphs.painter(replace(found.weights, card=card))


@lru_cache(maxsize=1)  # painters side by side share it, and keep it anyway
def _converted(path: Path, network: str | None, _mark: tuple[int, int]) -> bytes:
    found = read(path, network)
    return found if isinstance(found, bytes) else written(found, {})


def _checked(path: Path, data: bytes, network: str | None) -> bytes:
    """What was read, if it is an ONNX file."""
    if not nameplate.is_model(data):
        raise PainterError(f"{path} {identify.of_bytes(data, path.name)}")
    if network is not None:
        raise PainterError(f"{path} holds one network, without a name; leave --network out.")
    return data


def _mark(path: Path) -> tuple[int, int]:
    """What changes when a file or what is in a folder does."""
    inside = [path] if path.is_file() else sorted(path.rglob("*"))
    states = [one.stat() for one in inside]
    return sum(one.st_size for one in states), max((one.st_mtime_ns for one in states), default=0)
