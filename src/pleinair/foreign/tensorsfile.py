"""safetensors: ours, which say what they are, and state dicts of the published generators.

A length of 8 bytes, a header of JSON of that length, then tensors.
https://huggingface.co/docs/safetensors
"""

from __future__ import annotations

from pathlib import Path

from pleinair import weights
from pleinair.config import FeatureSpec, PatchSpec
from pleinair.errors import MissingExtraError, PainterError
from pleinair.foreign import Found
from pleinair.foreign.published import Tensors, generators
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
    metadata, tensors = _opened(path)
    if "spec" in metadata:
        ours = weights.load(path)
        if isinstance(ours.spec, PatchSpec | FeatureSpec):
            raise PainterError(f"{path} holds a discriminator; give a file of a painter.")
        return [Found("", "painting", ours)]
    return [
        Found(
            one.name, way(one.name, path), Weights(one.spec, one.arrays, {"format": "safetensors"})
        )
        for one in generators(tensors, str(path))
    ]


def _opened(path: Path) -> tuple[dict[str, str], Tensors]:
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError as error:
        raise MissingExtraError(
            "reading .safetensors needs pip install 'pleinair[import]'."
        ) from error
    try:
        with safe_open(path, framework="numpy") as file:
            names = file.keys()
            found = {name: file.get_tensor(name) for name in names}
            return file.metadata() or {}, {n: a for n, a in found.items() if a.dtype.kind == "f"}
    except (OSError, SafetensorError, TypeError, ValueError, AttributeError) as error:
        first = (str(error).splitlines() or [""])[0][:120]
        raise PainterError(f"{path} cannot be read as safetensors ({first}).") from error
