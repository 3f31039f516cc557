"""Our own weights file, from which every other kind can be made again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import safetensors.numpy  # noqa: F401  (that it is there is known before anything is written)

from pleinair import graphs, weights
from pleinair.errors import ExportError
from pleinair.exports.wish import Wish
from pleinair.weights import Weights


def write(painter: Weights, place: Path, wish: Wish) -> str:  # noqa: ARG001
    """Write a .safetensors file and read it back. Raises PainterError, ExportError."""
    graphs.plain(painter.spec, painter.arrays)  # or these are not the weights of this network
    weights.save(painter, place)
    found = weights.load(place)
    same = all(np.array_equal(found.arrays[key], array) for key, array in painter.arrays.items())
    if replace(found, arrays={}) != replace(painter, arrays={}) or not same:
        raise ExportError("what was written differs from the painter; nothing was kept.")
    return f"{len(found.arrays)} arrays read back from the file, bit for bit."
