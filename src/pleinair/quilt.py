"""Photos larger than what a network paints at once, in overlapping squares, blended.

A U-Net of n halvings learns from squares of 2**n pixels, at which its innermost map is a single
pixel. Of that the lab's instance norm leaves its bias, whatever the photo: the innermost layers
never learn, and at twice the size they would wake up with values that they never had. So larger
photos are painted in squares of just that size, in which every map has the size and the edges that
it had in training. Neighbours overlap by half and are blended with weights that add up to one, and
all are painted with the same statistics, so that they have the same tint. These squares depend on
the photo's size alone, never on memory.

Networks that take no statistics, as files of other people, are shown such squares, too, where they
take one size only or a photo is beyond the memory.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pleinair import pictures, resampling
from pleinair.config import PainterSpec, UNetSpec
from pleinair.grounds import Frame, Ground, Levels
from pleinair.runtime import Engine, Measuring, Statistics
from pleinair.settings import PAINT
from pleinair.tiling import Box

_ASLEEP = 1e30  # a variance that leaves nothing of a value, and fits float32


class Patch(NamedTuple):
    """What a network is shown at a time: pixels, and the part of its sides that neighbours share.

    shared: one in so many; a half blends away all that edges bring, a quarter costs half as much.
    """

    tall: int
    wide: int
    shared: int = 2

    def places(self, frame: Frame) -> tuple[list[int], list[int]]:
        """Tops and lefts of all that cover a frame, which `framed` has made for it."""
        return (
            _places(frame.tall, self.tall, self.shared),
            _places(frame.wide, self.wide, self.shared),
        )


def square(side: int) -> Patch:
    """What a U-Net has learned from, overlapping by half."""
    return Patch(side, side)


def framed(ground: Ground, patch: Patch, margin: int = PAINT.quilt_margin) -> Frame:
    """A ground with reflected edges around it, which patches at their steps cover.

    The network pads with zeros, which shows as a line along its edges: these come to lie outside.
    """
    margin = min(margin, min(patch.tall, patch.wide) // patch.shared)
    tall, wide = (
        _covered(n + 2 * margin, side, patch.shared)
        for n, side in zip(ground.size, (patch.tall, patch.wide), strict=True)
    )
    return Frame(ground, margin, tall, wide)


def paint(
    engine: Engine,
    frame: Frame,
    patch: Patch,
    painted: Levels,
    told: Callable[[float], None] | None = None,
) -> int:
    """Paint a frame's ground into `painted`, uint8 or uint16 (H, W, 3); how many patches it took.

    told: hears the part that is done. A row of patches is in memory at a time.
    """
    tall, wide, shared = patch
    over = tall // shared
    tops, lefts = patch.places(frame)
    below = np.zeros((3, over, frame.wide), np.float32)  # of the row above, what both share
    for number, top in enumerate(tops):
        row = np.zeros((3, tall, frame.wide), np.float32)
        for place, left in enumerate(lefts):
            seen = Box(top, left, top + tall, left + wide)
            row[:, :, left : left + wide] += engine(frame.batch(seen))[0] * _weights(
                left, lefts, wide, shared
            )
            if told:
                told((number * len(lefts) + place + 1) / (len(tops) * len(lefts)))
        row *= _weights(top, tops, tall, shared)[:, None]
        row[:, :over] += below
        below = row[:, tall - over :].copy()
        done = Box(top, 0, top + (tall if top == tops[-1] else tall - over), frame.wide)
        inner = frame.inner(done)  # without the margin that was added around
        if inner.area > 0:
            y, x = inner.within(done).slices
            pictures.store(pictures.planes_of(row[:, y, x]), painted[frame.unframed(inner).slices])
    return len(tops) * len(lefts)


def statistics(engine: Measuring, ground: Ground, side: int, spec: PainterSpec) -> Statistics:
    """Those of a whole photo, to paint all its squares with; the innermost norm is asleep.

    Half of them are of the photo squeezed to one square, as the lab sees it, so that colours come
    out as there; half of all squares of the photo, or of a copy of it whose longer side is two of
    them, so that no channel's variance comes from the handful of pixels that deep maps have.
    """
    # Over a layer below, a small copy of that is what a small copy of both would be.
    shown = ground.photo if ground.below is None else ground.below
    scale = min(1.0, 2 * side / max(shown.shape[:2]))
    tall, wide = (max(1, round(n * scale)) for n in shown.shape[:2])
    small = shown if scale == 1.0 else resampling.resized(shown, tall, wide)
    views = (resampling.resized(shown, side, side), small)
    patch = square(side)
    frames = [framed(Ground(view, None, view), patch, margin=0) for view in views]
    found = [
        np.stack(
            [
                engine.measure(frame.batch(Box(top, left, top + side, left + side)))
                for top, left in itertools.product(*patch.places(frame))
            ]
        )
        for frame in frames
    ]
    together = _pooled(np.stack([_pooled(some) for some in found]))
    return asleep(together.astype(np.float32), spec)


def _pooled(found: NDArray[Any]) -> NDArray[Any]:
    """(N, 2, C) of N pictures of one size to (2, C) of all their pixels together."""
    means, variances = found[:, 0], found[:, 1]
    return np.stack([means.mean(0), variances.mean(0) + means.var(0)])


def asleep(found: Statistics, spec: PainterSpec) -> Statistics:
    """The same with the lab's innermost norm given a variance that leaves its bias alone.

    Otherwise, of one pixel, its mean is that pixel and any other would be far from it.
    """
    if not isinstance(spec, UNetSpec) or spec.order != "lab":
        return found
    widths = [spec.channels * min(2**level, 8) for level in range(spec.depth)]
    first = sum(widths[1:-1])  # the outermost has no norm
    changed = found.copy()
    changed[1, first : first + widths[-1]] = _ASLEEP
    return changed


def _covered(length: int, side: int, shared: int) -> int:
    """The least length from `length` on that patches at their steps cover without a rest."""
    step = side - side // shared
    return side + max(0, math.ceil((length - side) / step)) * step


def _places(length: int, side: int, shared: int) -> list[int]:
    """Where patches begin along one side."""
    return list(range(0, length - side + 1, side - side // shared))


def _weights(place: int, places: list[int], side: int, shared: int) -> NDArray[np.float32]:
    """A patch's weights along one side: a sine squared where a neighbour is, one elsewhere."""
    over = side // shared
    ramp = np.sin(np.pi / 2 * (np.arange(over) + 0.5) / over) ** 2
    weights = np.ones(side, np.float32)
    if place != places[0]:
        weights[:over] = ramp
    if place != places[-1]:
        weights[side - over :] = ramp[::-1]
    return weights
