"""Plans of tiles: which parts of a picture to paint, and what to look at while painting each.

A network whose norms have fixed statistics is local: a pixel depends on pixels within its
receptive field only. So a tile that is painted with that much of the picture around it, its halo,
comes out as the same part of the whole picture does, to float rounding. Tiles begin at multiples
of the network's stride, since a network that halves pictures treats odd and even places
differently. Pure: numbers in, numbers out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from pleinair.config import AnySpec, LightSpec, PainterSpec, ResNetSpec, UNetSpec, size_multiple

_MOST = 256  # rows or columns of tiles that a plan may have


@dataclass(frozen=True)
class Box:
    """A rectangle of pixels: rows top to bottom, columns left to right, ends excluded."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def height(self) -> int:
        """Rows; none where the ends have crossed."""
        return max(0, self.bottom - self.top)

    @property
    def width(self) -> int:
        """Columns; none where the ends have crossed."""
        return max(0, self.right - self.left)

    @property
    def area(self) -> int:
        """Pixels."""
        return self.height * self.width

    @property
    def slices(self) -> tuple[slice, slice]:
        """To index an array of (H, W, ...) with."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def within(self, other: Box) -> Box:
        """The same rectangle, counted from the corner of another."""
        return Box(
            self.top - other.top,
            self.left - other.left,
            self.bottom - other.top,
            self.right - other.left,
        )


@dataclass(frozen=True)
class Tile:
    """What to paint (`out`), and what to show the network for it (`seen`, `out` and its halo)."""

    out: Box
    seen: Box


def halo(spec: PainterSpec) -> int:
    """Pixels around a tile that reach into what becomes of it; a multiple of the stride.

    Followed from an output pixel back through the layers, as in Araujo et al. 2019,
    https://distill.pub/2019/computing-receptive-fields/.
    """
    stride = size_multiple(spec)
    low, high = 0, stride - 1  # the output pixels of one stride
    for kind, kernel in reversed(_layers(spec)):
        match kind:
            case "conv":
                low, high = low - kernel // 2, high + kernel // 2
            case "down":  # stride 2, padded by (kernel - 1) // 2
                low = 2 * low - (kernel - 1) // 2
                high = 2 * high - (kernel - 1) // 2 + kernel - 1
            case "double":  # bilinear: the two pixels around (p + 1/2) / 2 - 1/2
                low, high = (low - 1) // 2, (high + 1) // 2
            case "transposed":  # stride 2, padded by 1: pixel i covers 2i - 1 to 2i + kernel - 2
                low, high = (low + 3 - kernel) // 2, (high + 1) // 2
            case _:
                raise AssertionError(kind)
    around = max(-low, high - (stride - 1))
    return math.ceil(around / stride) * stride


def _layers(spec: PainterSpec) -> list[tuple[str, int]]:
    """The layers of a generator that look around, from the photo on: kind and kernel size."""
    match spec:
        case LightSpec():
            # Unshuffling is a layer of stride 2 that looks at its own four pixels.
            down = [("down", 2), ("conv", 3), ("down", 2), ("conv", 3)]
            up = [("double", 2), ("conv", 3), ("conv", 3), ("double", 2), ("conv", 3), ("conv", 3)]
            last = [("conv", 7)] if spec.low_pass else []
            return down + [("conv", 3)] * (2 * spec.blocks) + up + last
        case ResNetSpec():
            halving = [("conv", 3), ("down", 3)] if spec.blur_down else [("down", 3)]
            doubling = [("transposed", 4), ("conv", 3)] if spec.blur_up else [("transposed", 3)]
            trunk = [("conv", 3)] * (2 * spec.blocks)
            return [("conv", 7), *2 * halving, *trunk, *2 * doubling, ("conv", 7)]
        case UNetSpec():
            return [("down", 4)] * spec.depth + [("transposed", 4)] * spec.depth
        case AnySpec():
            raise TypeError("of a network of unknown layers there are no tiles.")


def plan(height: int, width: int, around: int, stride: int, most: int) -> list[Tile]:
    """Tiles that cover height x width pixels, each seeing at most `most` pixels where that can be.

    height, width and around (the halo) are multiples of stride. Of the grids that keep to `most`
    the one that looks at the fewest pixels in all is taken; where none does, the one of the
    smallest tiles. Row by row.
    """
    # About as many as the pixels ask for, and some to spare for what halos add.
    enough = 4 * math.ceil(height * width / max(1, most - 4 * around * around)) + 8
    if most <= 4 * around * around:
        enough = _MOST
    by_rows = [_cuts(height, count, around, stride) for count in _counts(height, stride, enough)]
    by_columns = [_cuts(width, count, around, stride) for count in _counts(width, stride, enough)]
    largest = np.outer([_longest(c) for c in by_rows], [_longest(c) for c in by_columns])
    looked = np.outer([_sum(c) for c in by_rows], [_sum(c) for c in by_columns])
    fits = largest <= most
    cost = np.where(fits, looked, looked.max() + 1) if fits.any() else largest
    row, column = np.unravel_index(int(cost.argmin()), cost.shape)
    return [
        Tile(_box(y, x), _box(far_y, far_x))
        for y, far_y in by_rows[row]
        for x, far_x in by_columns[column]
    ]


def _box(rows: range, columns: range) -> Box:
    return Box(rows.start, columns.start, rows.stop, columns.stop)


_Cuts = list[tuple[range, range]]  # what to paint and what to see, along one side


def _counts(length: int, stride: int, enough: int) -> range:
    return range(1, min(_MOST, enough, length // stride) + 1)


def _cuts(length: int, count: int, around: int, stride: int) -> _Cuts:
    edges = [n * (length // stride) // count * stride for n in range(count + 1)]
    whole = range(length)
    far = max(len(whole[max(0, start - around) : end + around]) for start, end in pairwise(edges))
    # All see as much: batches of one size use working memory over and over.
    return [
        (range(start, end), whole[first : first + far])
        for start, end in pairwise(edges)
        for first in [max(0, min(start - around, length - far))]
    ]


def _longest(cuts: _Cuts) -> int:
    return max(len(far) for _, far in cuts)


def _sum(cuts: _Cuts) -> int:
    return sum(len(far) for _, far in cuts)


def samples(height: int, width: int, most: int, side: int, stride: int) -> list[list[Box]]:
    """Squares of `side` pixels in rows and columns all over a picture, `most` pixels together.

    They begin at multiples of the stride, spread evenly from edge to edge. Where the picture is
    lower or narrower than a square, so are they.
    """
    tall, wide = min(side, height), min(side, width)
    count = most / (tall * wide)
    rows = int(math.sqrt(count * height / width * wide / tall))
    rows = max(1, min(rows, height // tall, int(count)))
    columns = min(width // wide, max(1, int(count / rows)))
    return [
        [Box(top, left, top + tall, left + wide) for left in _spread(width, wide, columns, stride)]
        for top in _spread(height, tall, rows, stride)
    ]


def _spread(length: int, side: int, count: int, stride: int) -> list[int]:
    free = (length - side) // stride
    if count == 1:
        return [free // 2 * stride]
    return [n * free // (count - 1) * stride for n in range(count)]
