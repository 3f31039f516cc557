"""Between which numbers a network takes and gives pixels, found by trying it. Pure.

Three habits cover nearly all: -1..1 (GANs, ours), 0..1, and 0..255 (pytorch/examples'
fast_neural_style). A painting resembles its photo more than anything else, so the ranges are those
with which the result is most like the trial picture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pleinair.errors import PainterError
from pleinair.settings import IMPORT

Values = Literal["-1..1", "0..1", "0..255"]
RANGES: dict[Values, tuple[float, float]] = {
    "-1..1": (-1.0, 1.0),
    "0..1": (0.0, 1.0),
    "0..255": (0.0, 255.0),
}

Array = NDArray[Any]
_STRONG = np.float32(1000.0)  # times the values of -1..1: far beyond any range


@dataclass(frozen=True)
class Contract:
    """The values that a network takes and gives."""

    takes: Values = "-1..1"
    gives: Values = "-1..1"


def to(batch: Array, values: Values) -> Array:
    """From [-1, 1] to a range."""
    low, high = RANGES[values]
    return batch if values == "-1..1" else (batch + 1.0) * ((high - low) / 2.0) + low


def back(batch: Array, values: Values) -> Array:
    """From a range to [-1, 1]; what lies beyond is cut off."""
    low, high = RANGES[values]
    return np.clip((batch - low) * (2.0 / (high - low)) - 1.0, -1.0, 1.0)


def trial(height: int, width: int) -> NDArray[np.float32]:
    """A picture to try networks on, (1, 3, height, width) in [-1, 1].

    Broad colours from dark to light, edges, and a texture: what any painting keeps of a photo.
    """
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    y, x = y / max(1, height - 1), x / max(1, width - 1)
    bands = [x, y, 0.5 * (1.0 - x) + 0.5 * y]
    picture = np.stack([2.0 * band - 1.0 for band in bands])
    disc = (x - 0.3) ** 2 + (y - 0.35) ** 2 < 0.04
    picture[:, disc] = np.array([[0.9], [0.8], [0.2]])
    picture[:, (y > 0.7) & (x > 0.55)] = np.array([[-0.9], [-0.7], [-0.8]])
    grain = np.random.default_rng(0).normal(0.0, 0.08, picture.shape)
    return np.clip(picture + grain, -1.0, 1.0)[None].astype(np.float32)


def detected(run: Callable[[Array], Array], height: int, width: int) -> Contract:
    """The ranges of a network, from what it makes of the trial picture in each.

    run: float32 (1, 3, height, width) to the same shape, in the network's own numbers. Where equal
    ranges do about as well as unequal ones they are taken: by far most networks have them, and one
    that begins with an instance norm takes pictures of any range alike. Where values far beyond any
    range are held within one, as by tanh, that is what it gives. Raises PainterError where no range
    gives numbers.
    """
    picture = trial(height, width)
    bound = _bound(run(_STRONG * picture))
    tried = []
    for takes in RANGES:
        given = run(to(picture, takes).astype(np.float32))
        if not np.isfinite(given).all():
            continue
        gives = bound or _range_of(given)
        tried.append((float(np.abs(back(given, gives) - picture).mean()), Contract(takes, gives)))
    if not tried:
        raise PainterError(
            "this network gives no numbers (NaN or infinite) for a picture in any range; its "
            "weights are damaged, get a whole copy."
        )
    best = min(tried, key=lambda one: one[0])
    equal = [one for one in tried if one[1].takes == one[1].gives]
    plain = min(equal, key=lambda one: one[0], default=best)
    return best[1] if best[0] < IMPORT.plain * plain[0] else plain[1]


def _bound(given: Array) -> Values | None:
    """The range that a network holds even values far beyond any in; None: none that shows."""
    if not np.isfinite(given).all():
        return None
    low, high = float(given.min()), float(given.max())
    if low < -1.001 or high > 1.001:
        return "0..255" if low > -0.3 and 230.0 < high < 255.3 else None
    if low < -0.25:
        return "-1..1"
    return "0..1" if low > -0.001 and high > 0.75 else None


def _range_of(given: Array) -> Values:
    """The range that numbers look like; a few beyond it, as of networks that do not clip, pass."""
    low, high = np.percentile(given, [1, 99])
    if high > 3.0 or high - low > 4.0:
        return "0..255"
    return "-1..1" if low < -0.25 else "0..1"
