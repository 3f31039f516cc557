"""From a photo's pixels to a painting's: layers from broad to fine, each painted tile by tile.

Nothing here depends on how many tiles there are: a picture's statistics are measured once a layer,
on the whole of it or on a mosaic of parts from all over it, and every tile is painted with them.
So the same photo gives the same painting on a machine with much memory and on one with little.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from pleinair import pictures, quilt, resampling, tiling
from pleinair.config import (
    AnySpec,
    PainterSpec,
    UNetSpec,
    edge_margin,
    least_side,
    paints_in_layers,
    size_multiple,
    working_bytes_per_pixel,
)
from pleinair.errors import UsageError
from pleinair.grounds import Frame, Ground, Levels
from pleinair.quilt import Patch
from pleinair.runtime import Engine, Measuring, Statistics
from pleinair.settings import LOOK, PAINT, Look
from pleinair.tiling import Box, Tile

Measure = Callable[[], Statistics]

Adjust = Callable[[int, Measure], Statistics]
"""Number of a layer, and what measures its statistics, to those to paint it with."""

Told = Callable[[float], None]
"""Part of a painting that is done, in [0, 1]."""

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601


def layer_sizes(height: int, width: int, spec: PainterSpec, look: Look) -> list[tuple[int, int]]:
    """Height and width of each layer, the last being the photo's own.

    The first has about PAINT.first_layer pixels along its longer side, over `look.brush`: so its
    strokes take the same part of every picture. Each further one is about twice as large.
    """
    longest = max(height, width)
    ratio = longest * look.brush / PAINT.first_layer
    count = look.layers
    if count is None:
        in_layers = paints_in_layers(spec) or look.brush != 1.0
        count = 1 + max(0, round(math.log2(ratio))) if in_layers else 1
    count = min(count, PAINT.max_layers)
    step = 2.0 if look.layers is not None else ratio ** (1 / max(1, count - 1))
    shrunk = [step**n for n in reversed(range(count))]
    return [(max(1, round(height / s)), max(1, round(width / s))) for s in shrunk]


def pixels_at_once(spec: PainterSpec, free: int) -> int:
    """About how many pixels this network paints in so many bytes."""
    return max(free, PAINT.least_tile_bytes) // working_bytes_per_pixel(spec)


def patch_of(spec: PainterSpec, height: int, width: int, most: int) -> Patch | None:
    """What to show a network of a photo that it cannot be shown at once, where it takes no
    statistics, with which tiles would have the same tint.

    most: pixels that can be painted at once. None: all of it.
    """
    if isinstance(spec, AnySpec) and spec.height and spec.width:
        inside = height <= spec.height and width <= spec.width
        return None if inside else Patch(spec.height, spec.width, 4)
    stride, least = size_multiple(spec), least_side(spec)
    tall, wide = (max(least, -(-side // stride) * stride) for side in (height, width))
    if tall * wide <= most or max(tall, wide) == least:
        return None
    side = max(least, math.isqrt(most) // stride * stride)
    return Patch(min(side, tall), min(side, wide), 4)


@dataclass
class Brushwork:
    """What paints pixels: an engine, what is known of its network, and how much memory there is.

    memory: bytes that the whole process may take.
    """

    engine: Engine
    spec: PainterSpec
    memory: int
    tiles: int = field(default=0, init=False)  # that the last painting took, for the curious

    def paint(
        self,
        photo: Levels,
        look: Look = LOOK,
        adjust: Adjust | None = None,
        told: Told | None = None,
    ) -> Levels:
        """A painting of the size and depth of `photo`."""
        sizes = layer_sizes(photo.shape[0], photo.shape[1], self.spec, look)
        views = [photo]
        for size in reversed(sizes[:-1]):
            views.insert(0, resampling.resized(views[0], *size))
        work = sum(h * w for h, w in sizes)
        done, self.tiles = 0, 0
        below: Levels | None = None
        for number, view in enumerate(views):

            def tell(part: float, start: int = done, size: int = view.size // 3) -> None:
                if told:
                    told((start + part * size) / work)

            ground = Ground(view, below, views[max(0, number - 1)])
            held = sum(array.nbytes for array in views)
            held += 0 if below is None else below.nbytes
            painted = self._layer(ground, held, len(views), _numbered(adjust, number), tell)
            if below is not None:
                _keep_colours(painted, below)
            below = painted
            done += view.size // 3
        assert below is not None  # noqa: S101 -- there is one layer at least
        _finish(below, photo, look)
        return below

    def _layer(
        self,
        ground: Ground,
        held: int,
        layers: int,
        adjust: Callable[[Measure], Statistics] | None,
        told: Told,
    ) -> Levels:
        """Paint a ground, whole or in tiles."""
        height, width = ground.size
        stride = size_multiple(self.spec)
        if isinstance(self.spec, UNetSpec) and max(height, width) > stride:
            return self._quilt(ground, held, stride, adjust, told)
        margin = edge_margin(self.spec, max(height, width), layers)
        tall, wide = (
            max(least_side(self.spec), -(-(side + 2 * margin) // stride) * stride)
            for side in (height, width)
        )
        # A file's weights are there several times: as bytes, in either mode, and packed.
        busy = held + ground.photo.nbytes + PAINT.base_bytes
        busy += PAINT.weights_copies * getattr(self.engine, "weight_bytes", 0)
        most = pixels_at_once(self.spec, self.memory - busy)
        if not isinstance(self.engine, Measuring):
            patch = patch_of(self.spec, height, width, most)
            if patch is not None:
                return self._patched(ground, held, patch, told)
        if isinstance(self.spec, AnySpec):
            tall, wide = self.spec.height or tall, self.spec.width or wide
        frame = Frame(ground, margin, tall, wide)
        painted = _room(ground, self.memory - held)
        engine = self._for_layer(frame, stride, most, adjust)
        whole = Box(0, 0, tall, wide)
        tiles = [Tile(whole, whole)]
        if whole.area > most and isinstance(self.engine, Measuring):  # else it is one patch
            tiles = tiling.plan(tall, wide, tiling.halo(self.spec), stride, most)
        for number, tile in enumerate(tiles):
            inner = frame.inner(tile.out)  # without the margin that was added around
            if inner.area > 0:
                self._tile(engine, frame, tile, inner, painted)
            told((number + 1) / len(tiles))
        self.tiles += len(tiles)
        self._rest(tiles[0].seen.area)
        return painted

    def _quilt(
        self,
        ground: Ground,
        held: int,
        side: int,
        adjust: Callable[[Measure], Statistics] | None,
        told: Told,
    ) -> Levels:
        """Paint a ground in the squares that a U-Net has learned from, blended: see `quilt`."""
        patch = quilt.square(side)
        frame = quilt.framed(ground, patch)
        painted = _room(ground, self.memory - held)
        engine: Engine = self.engine
        if isinstance(engine, Measuring):
            measuring = engine

            def measure() -> Statistics:
                return quilt.statistics(measuring, ground, side, self.spec)

            engine = engine.fixed(adjust(measure) if adjust else measure())
        self.tiles += quilt.paint(engine, frame, patch, painted, told)
        return painted

    def _patched(self, ground: Ground, held: int, patch: Patch, told: Told) -> Levels:
        """Paint a ground in blended patches, where the network takes no statistics.

        They cannot be given, so that each patch has a tint of its own. Broad colours are
        those of the whole ground, painted as small as a patch.
        """
        painted = _room(ground, self.memory - held)
        self.tiles += quilt.paint(self.engine, quilt.framed(ground, patch), patch, painted, told)
        shown = ground.photo if ground.below is None else ground.below
        scale = min(patch.tall / shown.shape[0], patch.wide / shown.shape[1], 1.0)
        tall, wide = (max(1, int(n * scale)) for n in shown.shape[:2])
        small = resampling.resized(shown, tall, wide)
        tone = self._layer(Ground(small, None, small), held, 1, None, lambda _: None)
        _keep_colours(painted, tone, min(patch.tall, patch.wide) // 8, 1.0)
        return painted

    @staticmethod
    def _tile(engine: Engine, frame: Frame, tile: Tile, inner: Box, painted: Levels) -> None:
        """Paint what is `inner` of a tile. A method, so that nothing of it is kept afterwards."""
        y, x = inner.within(tile.seen).slices
        # A copy: what an engine returns is its own.
        values = pictures.planes_of(engine(frame.batch(tile.seen))[0][:, y, x])
        pictures.store(values, painted[frame.unframed(inner).slices])

    def _for_layer(
        self,
        frame: Frame,
        stride: int,
        most: int,
        adjust: Callable[[Measure], Statistics] | None,
    ) -> Engine:
        """The engine, with statistics of its own where the frame is not painted in one go."""
        budget = PAINT.measured_bytes // working_bytes_per_pixel(self.spec)
        budget = max(budget, min(PAINT.least_measured, most))
        area = frame.tall * frame.wide
        if not isinstance(self.engine, Measuring) or not (adjust or area > min(most, budget)):
            return self.engine
        measuring = self.engine

        def measure() -> Statistics:
            whole = area <= budget
            some = min(PAINT.sampled_pixels, budget)
            sample = frame.whole() if whole else frame.sample(some, stride)
            found = measuring.measure(sample)
            self._rest(sample.shape[2] * sample.shape[3])
            return quilt.asleep(found, self.spec)

        return measuring.fixed(adjust(measure) if adjust else measure())

    def _rest(self, pixels: int) -> None:
        # The next batches are of another size; what small ones leave is not worth the while.
        if isinstance(self.engine, Measuring) and pixels > PAINT.large_batch:
            self.engine.rest(least_side(self.spec))


def _numbered(adjust: Adjust | None, number: int) -> Callable[[Measure], Statistics] | None:
    return None if adjust is None else lambda measure: adjust(number, measure)


def _room(ground: Ground, memory: int) -> Levels:
    """An array for a painting; one that would take half of what is left lies on the disk."""
    shape, kind = ground.photo.shape, ground.photo.dtype
    if ground.photo.nbytes <= memory // 2:
        return np.empty(shape, kind)
    return np.memmap(tempfile.TemporaryFile(), kind, "w+", shape=shape)


def _keep_colours(
    painted: Levels, below: Levels, broad: int = PAINT.broad, part: float = PAINT.layer_colour
) -> None:
    """Take broad colours back toward the layer below, in place, by this part of the way.

    Each pass moves colours toward the palette; over several, light and dark would meet. broad:
    pixels below which colour is no broad colour.
    """
    height, width = painted.shape[:2]
    small = (
        max(1, min(height // broad, below.shape[0] // 2)),
        max(1, min(width // broad, below.shape[1] // 2)),
    )
    drift = pictures.planes(resampling.resized(below, *small))
    drift -= pictures.planes(resampling.resized(painted, *small))
    drift *= np.float32(part)
    for box in _bands(height, width):
        values = pictures.planes(painted[box.slices])
        values += resampling.enlarged(
            drift, Box(0, 0, *small), small, box, (height, width), smooth=True
        )
        pictures.store(values, painted[box.slices])


def _finish(painted: Levels, photo: Levels, look: Look) -> None:
    """Strength and colours, in place."""
    if look.strength == 1.0 and look.colors == "painter":
        return
    for box in _bands(*painted.shape[:2]):
        before = pictures.planes(photo[box.slices])
        change = pictures.planes(painted[box.slices]) - before
        if look.colors == "photo":
            # The same change of red, green and blue leaves the differences between them alone.
            change = np.broadcast_to(np.tensordot(_LUMA, change, 1), change.shape)
        pictures.store(before + np.float32(look.strength) * change, painted[box.slices])


def _bands(height: int, width: int) -> list[Box]:
    rows = max(1, PAINT.band_pixels // width)
    return [Box(at, 0, min(height, at + rows), width) for at in range(0, height, rows)]


def drift(a: Statistics, b: Statistics) -> float:
    """How far statistics lie apart: the larger of means, in deviations, and of deviations."""
    deviation = np.sqrt(np.maximum(a[1], 1e-5))
    means = np.abs(b[0] - a[0]) / deviation
    spread = np.abs(np.sqrt(np.maximum(b[1], 1e-5)) / deviation - 1.0)
    return float(max(np.percentile(means, 95), np.percentile(spread, 95)))


def kept_statistics() -> Adjust:
    """For pictures that follow each other: a layer's statistics stay while they hardly change."""
    kept: dict[int, Statistics] = {}

    def adjust(layer: int, measure: Measure) -> Statistics:
        before, found = kept.get(layer), measure()
        if before is not None and drift(before, found) < PAINT.kept_drift:
            return before
        kept[layer] = found
        return found

    return adjust


def check_look(look: Look) -> None:
    """Raise UsageError where a setting is out of its range."""
    for name, value, low, high in (
        ("brush", look.brush, PAINT.least_brush, PAINT.most_brush),
        ("strength", look.strength, 0.0, PAINT.most_strength),
        ("layers", look.layers, 1, PAINT.max_layers),
    ):
        kinds = (int,) if name == "layers" else (int, float)
        if value is None:
            continue
        if not isinstance(value, kinds) or not low <= value <= high:
            whole = "whole number" if name == "layers" else "number"
            raise UsageError(f"{name} {value} found; give a {whole} from {low:g} to {high:g}.")
    if look.colors not in ("painter", "photo"):
        raise UsageError(f"colors {look.colors!r} found; give painter or photo.")
