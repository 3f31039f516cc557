"""Our weights file: safetensors whose metadata says what the weights are.

`spec` is the network's spec, `card` the painter's card, both JSON. Loading needs a path only.
"""

from __future__ import annotations

import datetime
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pleinair import files, identify, nameplate, onnxfile, parsing
from pleinair.config import Spec
from pleinair.errors import MissingExtraError, PainterError, RecipeError
from pleinair.recipes import spec_from_text, spec_to_dict
from pleinair.settings import PIXEL_CONTRACT

Arrays = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Weights:
    """A network's spec, its arrays by parameter name, and its card."""

    spec: Spec
    arrays: Arrays
    card: dict[str, Any]

    def carded(self, **about: str) -> Weights:
        """The same, exported today; about: what else its card is to say, as licence="CC0-1.0"."""
        today = datetime.datetime.now(datetime.UTC).date().isoformat()
        given = {key: value for key, value in about.items() if value}
        return replace(self, card={**self.card, "exported": today, **given})

    def described(self, pixels: str = PIXEL_CONTRACT) -> dict[str, str]:
        """What every kind of file says of its painter, in whatever place it has for words.

        pixels: what goes in and comes out, as PIXEL_CONTRACT says it.
        """
        spec = json.dumps(spec_to_dict(self.spec))
        return {"spec": spec, "card": json.dumps(self.card), "pixels": pixels}


def save(weights: Weights, path: Path) -> None:
    """Write in one step. Raises OSError."""
    from safetensors.numpy import save as to_bytes

    arrays = {name: np.ascontiguousarray(array) for name, array in weights.arrays.items()}
    files.write_bytes(path, _in_order(to_bytes(arrays, metadata=weights.described())))


def _in_order(data: bytes) -> bytes:
    """A .safetensors file with its words in order; the library has a new one each time, and the
    same painter would not be the same file.
    """
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # tensors begin at a multiple of 8
    return len(text).to_bytes(8, "little") + text + data[8 + length :]


def load(path: Path) -> Weights:
    """Read a weights file, or an .onnx painter that pleinair exported.

    Raises PainterError for anything that is not a whole one.
    """
    return _load_onnx(path) if path.suffix == ".onnx" else of_ours(path, *tensors(path))


def _load_onnx(path: Path) -> Weights:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PainterError(f"{path} cannot be read ({error.strerror or error}).") from error
    if not nameplate.is_model(data):
        raise PainterError(f"{path} {identify.described(path)}")
    onnxfile.check(data, str(path))  # onnx opens other files that a tensor names
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError as error:
        raise MissingExtraError("reading .onnx needs pip install 'pleinair[import]'.") from error
    try:
        model = onnx.load_model_from_string(data)
    except (DecodeError, ValueError) as error:
        raise PainterError(f"{path} {identify.described(path)}") from error
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    # An exported graph keeps the names of weights; its own constants have others.
    arrays = {
        tensor.name: np.array(onnx.numpy_helper.to_array(tensor), np.float32)
        for tensor in model.graph.initializer
        if "." in tensor.name
    }
    found = of_ours(path, metadata, arrays)
    precision = found.card.pop("precision", "float32")  # of the file; these are float32
    if precision == "int8":
        raise PainterError(
            f"{path} holds weights of 8 bits, from which nothing else can be made; give the "
            "painter that it was exported from."
        )
    return found


def tensors(path: Path) -> tuple[dict[str, str], dict[str, NDArray[Any]]]:
    """What a .safetensors file says, and its arrays by name, whoever wrote it.

    A length of 8 bytes, a header of JSON of that length, then tensors:
    https://huggingface.co/docs/safetensors. Raises PainterError, MissingExtraError.
    """
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError as error:
        raise MissingExtraError(
            "reading .safetensors needs pip install 'pleinair[import]'."
        ) from error
    try:
        with safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return file.metadata() or {}, arrays
    # Types that NumPy does not know, as bfloat16, are no SafetensorError.
    except (OSError, SafetensorError, TypeError, ValueError, AttributeError) as error:
        first = (str(error).splitlines() or [""])[0][:120]
        raise PainterError(f"{path} cannot be read as safetensors ({first}).") from error


def of_ours(path: Path, metadata: dict[str, str], arrays: Arrays) -> Weights:
    """Weights by what a file of ours says. Raises PainterError for a file of others."""
    try:
        spec = spec_from_text(metadata["spec"])
        card = parsing.object_of(metadata["card"])
    except (KeyError, ValueError, RecipeError) as error:
        raise PainterError(
            f"{path} does not say which network it holds; give a file that pleinair wrote."
        ) from error
    return Weights(spec, arrays, card)
