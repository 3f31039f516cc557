"""safetensors: ours, which say what they are, and state dicts of the published generators."""

from __future__ import annotations

from pathlib import Path

from pleinair import weights
from pleinair.config import FeatureSpec, PatchSpec
from pleinair.errors import PainterError
from pleinair.foreign import Found
from pleinair.foreign.published import generators
from pleinair.foreign.ways import way
from pleinair.settings import IMPORT
from pleinair.weights import Weights


def knows(path: Path, head: bytes) -> bool:
    """Whether it is such a file, also one that lies about its header."""
    return head[8:9] == b"{" and (path.suffix == ".safetensors" or head[4:8] == bytes(4))


def read(path: Path) -> list[Found]:
    """Its generators. Raises PainterError, MissingExtraError."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
    room = path.stat().st_size - 8
    if length > min(room, IMPORT.header_bytes):
        raise PainterError(
            f"{path} says that its header has {length} bytes, where at most "
            f"{min(room, IMPORT.header_bytes)} can be; it is cut short or hostile."
        )
    metadata, arrays = weights.tensors(path)
    if "spec" in metadata:
        ours = weights.of_ours(path, metadata, arrays)
        if isinstance(ours.spec, PatchSpec | FeatureSpec):
            raise PainterError(f"{path} holds a discriminator; give a file of a painter.")
        return [Found("", "painting", ours)]
    floats = {name: array for name, array in arrays.items() if array.dtype.kind == "f"}
    return [
        Found(
            one.name, way(one.name, path), Weights(one.spec, one.arrays, {"format": "safetensors"})
        )
        for one in generators(floats, str(path))
    ]
