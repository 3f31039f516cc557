"""What pictures look like, as statistics of sets: palette and the directions of strokes.

Pure: arrays in, arrays and floats out. A set is the mean of its pictures' histograms, so that every
picture counts the same, whatever its size.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pleinair.images import Pixels
from pleinair.metrics import luma

Histograms = NDArray[np.floating[Any]]  # (N, ...) of N pictures

COLOUR_BINS = 64
_LAB_LOW = np.array([0.0, -128.0, -128.0])
_LAB_HIGH = np.array([100.0, 128.0, 128.0])
DIRECTION_BINS = 36  # of 5 degrees
_CELL = 8  # pixels: about the width of a stroke in a picture of 256
# Levels of 255 per pixel: below it a cell is flat and has no direction, only rounding.
_FLAT = 2.0

# IEC 61966-2-1: linear sRGB to CIE XYZ, divided by the white point D65.
_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
) / np.array([[0.95047], [1.0], [1.08883]])


def lab(pixels: Pixels) -> NDArray[np.float64]:
    """Colours (..., 3) of sRGB, 0 to 255, to CIE 1976 L*a*b* under D65: L* of 0 to 100."""
    encoded = pixels.astype(np.float64) / 255.0
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    ratio = linear @ _XYZ.T
    f = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def colours(pixels: Pixels) -> NDArray[np.float32]:
    """(H, W, 3) to shares of L*, a* and b* in COLOUR_BINS each: (3, COLOUR_BINS)."""
    values = lab(pixels[::2, ::2]).reshape(-1, 3)  # a quarter of the pixels tells as much
    places = (values - _LAB_LOW) / (_LAB_HIGH - _LAB_LOW) * COLOUR_BINS
    bins = np.clip(places.astype(np.int64), 0, COLOUR_BINS - 1)
    counted = [np.bincount(bins[:, axis], minlength=COLOUR_BINS) for axis in range(3)]
    return (np.stack(counted) / len(values)).astype(np.float32)


def colour_distance(a: Histograms, b: Histograms) -> float:
    """How far apart the palettes of two sets are, as a colour difference (Delta E, CIE 1976).

    a: (m, 3, COLOUR_BINS), b: (n, 3, COLOUR_BINS). The length of the vector of Wasserstein
    distances along L*, a* and b*: a set whose every colour is moved by a vector is as far as that
    vector is long. About 2 is the least that an eye notices.
    """
    apart = np.abs(np.cumsum(a.mean(axis=0) - b.mean(axis=0), axis=-1)).sum(axis=-1)
    return float(np.linalg.norm(apart * (_LAB_HIGH - _LAB_LOW) / COLOUR_BINS))


def strokes(pixels: Pixels) -> tuple[NDArray[np.float32], float]:
    """Directions of what is drawn in cells of 8 pixels, and how plain they are.

    (H, W, 3) to shares of DIRECTION_BINS from 0 (horizontal) counter-clockwise to 180 degrees, each
    cell weighing as much as it is coherent, and the mean coherence in [0, 1] of cells that are not
    flat: 1 where all runs one way, 0 where nothing does. From the structure tensor's eigenvalues:
    Bigun and Granlund 1987. A picture without either is all zeros.
    """
    gray = luma(pixels)
    down, across = np.gradient(gray, axis=0), np.gradient(gray, axis=1)
    xx, yy, xy = _cells(across * across), _cells(down * down), _cells(across * down)
    energy = xx + yy
    strength = np.hypot(xx - yy, 2 * xy)
    drawn = energy > _FLAT**2
    if not drawn.any():
        return np.zeros(DIRECTION_BINS, np.float32), 0.0
    coherence = strength[drawn] / energy[drawn]
    # The tensor points across a stroke; rows count downwards, angles upwards.
    angle = np.degrees(0.5 * np.arctan2(-2 * xy[drawn], (xx - yy)[drawn])) + 90.0
    bins = np.round(angle / 180.0 * DIRECTION_BINS).astype(np.int64) % DIRECTION_BINS
    shares = np.bincount(bins, weights=coherence, minlength=DIRECTION_BINS)
    total = shares.sum()
    return (shares / total if total else shares).astype(np.float32), float(coherence.mean())


def direction_distance(a: Histograms, b: Histograms) -> float:
    """Degrees by which strokes of one set would have to turn to run like the other's, on average.

    a: (m, DIRECTION_BINS), b: (n, DIRECTION_BINS). The Wasserstein distance on a circle of 180
    degrees: Rabin, Delon and Gousseau 2011, https://arxiv.org/abs/0906.5499. 0 where
    a set has none.
    """
    shares = [x.mean(axis=0) for x in (a, b)]
    if any(share.sum() == 0 for share in shares):
        return 0.0
    ahead = np.cumsum(shares[0] / shares[0].sum() - shares[1] / shares[1].sum())
    return float(np.abs(ahead - np.median(ahead)).sum() * 180.0 / DIRECTION_BINS)


def _cells(values: NDArray[np.float64]) -> NDArray[np.float64]:
    height, width = (length // _CELL * _CELL for length in values.shape)
    whole = values[:height, :width].reshape(height // _CELL, _CELL, width // _CELL, _CELL)
    means: NDArray[np.float64] = whole.mean(axis=(1, 3))
    return means
