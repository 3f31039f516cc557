"""JSON, TOML and arrays from anywhere as plain values: whatever is wrong is one ValueError.

The libraries' own readers raise much else: RecursionError for brackets within brackets, and for
arrays whatever a damaged zip file makes Python's zlib, bz2, lzma or zipfile stumble over.
"""

from __future__ import annotations

import io
import json
import tomllib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MOST_DOTS = 100
_NESTED = "it is nested too deeply"


def json_of(text: str | bytes, made: Callable[[dict[str, Any]], Any] | None = None) -> Any:
    """What JSON says. made: what becomes of an object with names. Raises ValueError."""
    try:
        return json.loads(text, object_hook=made)
    except RecursionError as error:
        raise ValueError(_NESTED) from error


def object_of(text: str | bytes) -> dict[str, Any]:
    """The same of an object with names. Raises ValueError."""
    found = json_of(text)
    if not isinstance(found, dict):
        raise ValueError("it is no JSON object")
    return found


def toml_of(data: bytes) -> dict[str, Any]:
    """What TOML says. Raises ValueError."""
    text = data.decode("utf-8")
    # A key of n parts takes Python n * n steps, and a key stands in one line.
    if any(line.count(".") > _MOST_DOTS for line in text.splitlines()):
        raise ValueError(f"a line of more than {_MOST_DOTS} dots")
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError(_NESTED) from error


def arrays_of(data: bytes) -> dict[str, NDArray[Any]]:
    """All arrays of an .npz file that was written without compression. Raises ValueError."""
    import numpy as np  # most runs of the command line do without

    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            # Pages of zeros pack to a thousandth; what we write is not packed.
            if sum(info.file_size for info in file.zip.infolist()) > len(data):
                raise ValueError("it would unpack to more than it has")
            return {name: file[name] for name in file.files}
    except Exception as error:  # whatever a damaged file makes a parser do
        raise ValueError(" ".join(str(error).split())[:120] or type(error).__name__) from error
