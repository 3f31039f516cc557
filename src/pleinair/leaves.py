"""Pictures made of discs over discs, for trials that need something like a photo and have none.

The "dead leaves" model: discs whose radii follow an inverse cube hide one another, which gives
edges, flat places and detail of every size in about the proportions of photographs. Lee, Mumford
and Huang 2001, "Occlusion models for natural images", https://doi.org/10.1023/A:1011109015675.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_DISCS = 600  # after which few places are bare
_SMALLEST, _LARGEST = 4.0, 64.0  # pixels of radius
_TINT, _GRAIN = 0.2, 0.03  # deviations of a disc's colour from grey, and of noise over it all


def picture(seed: int, height: int, width: int) -> NDArray[np.float32]:
    """The same float32 (1, 3, height, width) in [-1, 1] for the same seed."""
    random = np.random.default_rng(seed)
    pixels = np.zeros((height, width, 3))
    low = (_SMALLEST / _LARGEST) ** 2
    for _ in range(_DISCS):
        radius = _SMALLEST / np.sqrt(random.uniform(low, 1.0))
        row, column = random.uniform(0, height), random.uniform(0, width)
        colour = random.uniform(-1, 1) + random.normal(0, _TINT, 3)
        top, left = max(0, int(row - radius)), max(0, int(column - radius))
        box = pixels[top : int(row + radius) + 1, left : int(column + radius) + 1]
        rows, columns = np.ogrid[: box.shape[0], : box.shape[1]]
        box[(rows + top - row) ** 2 + (columns + left - column) ** 2 < radius**2] = colour
    pixels += random.normal(0, _GRAIN, pixels.shape)
    return np.ascontiguousarray(np.clip(pixels, -1, 1).transpose(2, 0, 1)[None], np.float32)


def pictures(seeds: range, height: int, width: int) -> list[NDArray[np.float32]]:
    """One for each seed."""
    return [picture(seed, height, width) for seed in seeds]
