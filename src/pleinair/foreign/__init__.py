"""Networks that other programs trained, read without those programs: what is in a file, exactly.

A reader says whether a file or folder is of its kind by looking at it, not at its name, and then
finds every generator in it. What a network is follows from its weights' shapes and order.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from pleinair import identify, weights
from pleinair.errors import PainterError
from pleinair.weights import Weights

Way = Literal["painting", "photo", "unknown"]


@dataclass(frozen=True)
class Found:
    """One generator of a file.

    name: what the file calls it, as `monet_generator` or `netG_A`; empty where it has no name.
    way: what it makes, by that name or by the file's: a painting of a photo, or the other way.
    weights: its spec, its arrays by the parameter names of `networks.build(spec)`, and a card that
    says what it was read from.
    """

    name: str
    way: Way
    weights: Weights


class Reader(Protocol):
    """One kind of file. head: its first bytes; empty for a folder."""

    def knows(self, path: Path, head: bytes) -> bool:
        """Whether this is of its kind."""

    def read(self, path: Path) -> list[Found]:
        """All generators in it. Raises PainterError, MissingExtraError."""


def readers() -> list[Reader]:
    """Every kind that can be read, the surest signs first."""
    from pleinair.foreign import keras, tensorflow, tensorsfile, torchfile

    # The length that safetensors begin with can look like the beginning of a pickle.
    return [keras, tensorflow, tensorsfile, torchfile]


def reader_of(path: Path) -> Reader | None:
    """What reads this file or folder; None where it is of no kind that is known."""
    try:
        # A checkpoint goes by what the names of its files begin with, which is no file.
        head = _head(path) if path.is_file() else b""
    except OSError as error:
        raise PainterError(f"{path} cannot be read ({error.strerror or error}).") from error
    return next((reader for reader in readers() if reader.knows(path, head)), None)


def networks(path: Path) -> list[Found]:
    """All generators in a file or folder. Raises PainterError, MissingExtraError."""
    reader = reader_of(path)
    if reader is not None:
        return reader.read(path)
    if not path.exists():
        raise PainterError(f"{path} does not exist; give a file or folder of weights.")
    raise PainterError(f"{path} {identify.described(path)}")


def read(path: Path, name: str | None = None) -> Found:
    """The generator of this name, or the one that makes paintings.

    Raises PainterError where there is none, or several between which nothing decides.
    """
    found = networks(path)
    names = ", ".join(one.name for one in found)
    if name is not None:
        found = [one for one in found if one.name == name]
        if not found:
            raise PainterError(f"{path} holds no network {name!r}; it holds {names}.")
    elif len(found) > 1:
        found = [one for one in found if one.way == "painting"] or found
    if len(found) != 1:
        raise PainterError(f"{path} holds {names or 'no generator'}; name one with --network.")
    return found[0]


def weights_of(path: Path) -> Weights:
    """Weights of any file or folder that holds a painter, also of an .onnx file of ours.

    Raises PainterError, MissingExtraError.
    """
    return weights.load(path) if path.suffix == ".onnx" else read(path).weights


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(512)
