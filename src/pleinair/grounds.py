"""What a layer is painted on: a photo over the layer below, and the frame that is put around it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pleinair import pictures, resampling, tiling
from pleinair.pictures import Batch, Planes
from pleinair.settings import PAINT
from pleinair.tiling import Box

Levels = NDArray[Any]
"""uint8 or uint16 (H, W, 3)."""


@dataclass(frozen=True)
class Ground:
    """What a layer is painted on: the photo, over the layer below where there is one.

    photo: at this layer's size. below: the painting of the layer below; before: the photo at that
    layer's size.
    """

    photo: Levels
    below: Levels | None
    before: Levels

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.photo.shape[0], self.photo.shape[1]

    def part(self, box: Box) -> Planes:
        """A part of it: the layer below, enlarged, with some of the detail that it lacks."""
        here = pictures.planes(self.photo[box.slices])
        if self.below is None:
            return here
        # below + detail * (photo - before), with one enlargement in place of two.
        tall, wide = (b / s for b, s in zip(self.below.shape, self.size, strict=False))
        top = max(0, math.floor(box.top * tall) - resampling.REACH)
        left = max(0, math.floor(box.left * wide) - resampling.REACH)
        part = Box(
            top,
            left,
            min(self.below.shape[0], math.ceil(box.bottom * tall) + resampling.REACH),
            min(self.below.shape[1], math.ceil(box.right * wide) + resampling.REACH),
        )
        rest = pictures.planes(self.below[part.slices])
        rest -= np.float32(PAINT.layer_detail) * pictures.planes(self.before[part.slices])
        here *= np.float32(PAINT.layer_detail)
        here += resampling.enlarged(rest, part, self.below.shape[:2], box, self.size)
        return np.clip(here, 0.0, 255.0, out=here)


@dataclass(frozen=True)
class Frame:
    """A ground with reflected pixels around it: `margin` above and left, the rest below and right.

    tall, wide: its size, multiples of the network's stride. Boxes here count from its corner.
    """

    ground: Ground
    margin: int
    tall: int
    wide: int

    def batch(self, box: Box) -> Batch:
        """A part as a network takes it: float32 (1, 3, H, W) in [-1, 1]."""
        height, width = self.ground.size
        rows = _reflected(np.arange(box.top, box.bottom) - self.margin, height)
        columns = _reflected(np.arange(box.left, box.right) - self.margin, width)
        needed = Box(
            int(rows.min()), int(columns.min()), int(rows.max()) + 1, int(columns.max()) + 1
        )
        part = pictures.planes_to_batch(self.ground.part(needed))
        inner = self.inner(box)
        if self.unframed(inner) != needed:  # a picture that is smaller than what it reflects
            return np.ascontiguousarray(part[:, :, rows - needed.top][..., columns - needed.left])
        y, x = inner.within(box).slices
        batch: Batch = np.empty((1, 3, box.height, box.width), np.float32)
        batch[:, :, y, x] = part
        outside = np.r_[: y.start, y.stop : box.height]
        batch[:, :, outside, x] = part[:, :, rows[outside] - needed.top]
        outside = np.r_[: x.start, x.stop : box.width]
        batch[..., outside] = batch[..., columns[outside] - needed.left + x.start]
        return batch

    def whole(self) -> Batch:
        """All of it."""
        return self.batch(Box(0, 0, self.tall, self.wide))

    def sample(self, most: int, stride: int) -> Batch:
        """As many pixels as `most` from all over it, in squares side by side."""
        rows = tiling.samples(self.tall, self.wide, most, PAINT.sample_side, stride)
        return np.concatenate(
            [np.concatenate([self.batch(box) for box in row], axis=3) for row in rows], axis=2
        )

    def inner(self, box: Box) -> Box:
        """The part of a box that is not margin."""
        height, width = self.ground.size
        return Box(
            max(box.top, self.margin),
            max(box.left, self.margin),
            min(box.bottom, self.margin + height),
            min(box.right, self.margin + width),
        )

    def unframed(self, box: Box) -> Box:
        """A box counted from the ground's corner."""
        return box.within(Box(self.margin, self.margin, 0, 0))


def _reflected(places: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """Places beyond a side's ends, reflected at its first and last pixel as often as it takes."""
    period = max(1, 2 * length - 2)
    folded = np.abs(places) % period
    return np.minimum(folded, period - folded) if length > 1 else np.zeros_like(places)
