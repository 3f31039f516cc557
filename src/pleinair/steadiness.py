"""Paintings of neighbouring frames that agree: pure, and causal, so that a film may be endless.

Three things flicker. Sensor noise and the flutter of exposure change every stroke a little, so
what stands still is averaged over time before it is painted, and after it as well; statistics of
instance norms move the colours of the whole picture, so they are averaged too. What moves is
taken as it comes: each square of a few pixels is compared with what was averaged so far, in units
of the picture's own noise. A cut begins anew.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pleinair.brushwork import drift
from pleinair.settings import VIDEO

Pixels = NDArray[np.uint8] | NDArray[np.uint16]  # HWC, RGB
Floats = NDArray[np.float32]


class Steadiness:
    """What frames and paintings so far have in common.

    smoothing: seconds of the averages, 0 for none. For each frame `calm` it, paint what comes
    back with `adjust`, and `settle` the painting.
    """

    def __init__(self, smoothing: float = VIDEO.smoothing) -> None:
        self.smoothing = smoothing
        self._calmed: Floats | None = None  # average of the frames, levels of 0 to 255
        self._shown: Pixels | None = None  # what was painted last
        self._settled: Floats | None = None  # average of the paintings
        self._motion: Floats | None = None  # of squares, in [0, 1]
        self._thumbnail: Floats | None = None
        self._share = 1.0  # of a new frame in an average of what stands still
        self._averages: dict[int, Floats] = {}
        self._held: dict[int, Floats] = {}
        self._measured: dict[int, float] = {}  # when, by the clock
        self._clock = 0.0  # seconds

    def calm(self, pixels: Pixels, seconds: float) -> Pixels:
        """The frame with what stands still averaged; the same array again if nothing changed.

        pixels: uint8 or uint16 (H, W, 3). seconds: since the frame before.
        """
        if self.smoothing <= 0:
            return pixels
        frame = _levels(pixels)
        thumbnail = _blocks(_gray(frame), VIDEO.thumbnail)
        if self._calmed is None or self._calmed.shape != frame.shape or self._is_cut(thumbnail):
            self._begin()
        self._thumbnail = thumbnail
        self._share = self._part(seconds)
        self._clock += max(seconds, 0.0)
        before = self._calmed
        if before is None:
            self._calmed, self._shown = frame, pixels
            return pixels
        self._motion = _motion(frame, before)
        new = _spread(_blend(self._motion, self._share), frame.shape)
        self._calmed = before + new * (frame - before)
        self._shown = self._with_dead_band(self._calmed, pixels.dtype)
        return self._shown

    def adjust(self, layer: int, measure: Callable[[], Floats]) -> Floats:
        """Statistics to paint a layer with: their average, the same array while it stays put.

        measure: gives means and variances of all instance norms on this frame, float32 (2, C). It
        takes as long as painting does, so it is called a few times a second only.
        """
        if self.smoothing <= 0:
            return measure()
        average = self._averages.get(layer)
        since = self._clock - self._measured.get(layer, 0.0)
        if average is not None and since < VIDEO.measure_every:
            return self._held[layer]
        self._measured[layer] = self._clock
        statistics = measure()
        if average is None or average.shape != statistics.shape or _leaps(average, statistics):
            self._averages[layer] = self._held[layer] = statistics.copy()
            return self._held[layer]
        average = (average + self._part(since) * (statistics - average)).astype(np.float32)
        self._averages[layer] = average
        if drift(self._held[layer], average) > VIDEO.drift:
            self._held[layer] = average
        return self._held[layer]

    def _part(self, seconds: float) -> float:
        """Of what is new in an average, after so long."""
        return 1.0 - math.exp(-max(seconds, 1e-6) / self.smoothing)

    def settle(self, painting: Pixels) -> Pixels:
        """The painting, averaged with those before where the frame stands still."""
        if self.smoothing <= 0:
            return painting
        painted = _levels(painting)
        if self._settled is None or self._motion is None:
            self._settled = painted
            return painting
        # Strokes around what moves change with it.
        moving = self._motion
        for _ in range(VIDEO.reach):
            moving = _widened(moving)
        new = _spread(_blend(moving, self._share), painted.shape)
        self._settled = self._settled + new * (painted - self._settled)
        return _quantised(self._settled, painting.dtype)

    def state(self) -> dict[str, NDArray[Any]]:
        """Everything that the next frame depends on, to give to `restored`."""
        found: dict[str, NDArray[Any] | None] = {
            "calmed": self._calmed,
            "shown": self._shown,
            "settled": self._settled,
            "thumbnail": self._thumbnail,
        }
        kept = {name: values for name, values in found.items() if values is not None}
        for layer, average in self._averages.items():
            kept[f"average-{layer}"] = average
            kept[f"held-{layer}"] = self._held[layer]
            kept[f"measured-{layer}"] = np.array(self._measured[layer])
        if kept:
            kept["clock"] = np.array(self._clock)
        return kept

    @classmethod
    def restored(cls, smoothing: float, state: dict[str, NDArray[Any]]) -> Steadiness:
        """As it was when `state` was taken."""
        made = cls(smoothing)
        made._calmed, made._shown = state.get("calmed"), state.get("shown")
        made._settled, made._thumbnail = state.get("settled"), state.get("thumbnail")
        made._clock = float(state.get("clock", 0.0))
        for name, values in state.items():
            kind, _, layer = name.partition("-")
            if kind == "average":
                made._averages[int(layer)] = values
            if kind == "held":
                made._held[int(layer)] = values
            if kind == "measured":
                made._measured[int(layer)] = float(values)
        return made

    def _begin(self) -> None:
        self._calmed = self._shown = self._settled = self._motion = None
        self._averages, self._held, self._measured = {}, {}, {}

    def _is_cut(self, thumbnail: Floats) -> bool:
        """Whether another scene begins: much has changed, and not just the light of it."""
        before = self._thumbnail
        if before is None or before.shape != thumbnail.shape:
            return True
        if float(np.abs(thumbnail - before).mean()) < VIDEO.cut_levels:
            return False
        a, b = thumbnail - thumbnail.mean(), before - before.mean()
        size = math.sqrt(float((a * a).sum()) * float((b * b).sum()))
        return size < 1e-6 or float((a * b).sum()) / size < VIDEO.cut_likeness

    def _with_dead_band(self, calmed: Floats, kind: np.dtype[Any]) -> Pixels:
        """Levels that leave a pixel as it was painted last while it has hardly changed."""
        fresh = _quantised(calmed, kind)
        shown = self._shown
        if shown is None or shown.dtype != kind:
            return fresh
        stays = np.abs(calmed - _levels(shown)) < VIDEO.dead_band
        kept: Pixels = np.where(stays, shown, fresh)
        return shown if np.array_equal(kept, shown) else kept


def _motion(frame: Floats, before: Floats) -> Floats:
    """How far each square of a frame moves, in [0, 1], against an average of those before."""
    a, b = (_blocks(_gray(values), VIDEO.block) for values in (frame, before))
    lit = b > 16.0
    light = float(np.median(a[lit] / b[lit])) if lit.any() else 1.0
    flutter = _ramp(abs(light - 1.0), *VIDEO.flutter)
    difference = _gray(np.abs(frame - np.float32(light) * before))
    usual = float(np.median(difference)) * 1.25  # of noise: median to deviation, about
    least, most = VIDEO.noise
    noise = min(max(_grain(frame), min(usual, VIDEO.still_noise), least), most)
    squares = _blocks(difference, VIDEO.block)
    low, high = VIDEO.moves[0] * noise + 0.5, VIDEO.moves[1] * noise + 2.0
    moving = _widened(np.clip((squares - low) / (high - low), 0.0, 1.0))
    return np.maximum(moving, np.float32(flutter))


def _grain(frame: Floats) -> float:
    """Deviation of a frame's noise, in levels, after Immerkaer 1996: where it is smoothest."""
    green = frame[:, :, 1]
    if min(green.shape) < 3:
        return 0.0
    rows = green[:-2] - 2.0 * green[1:-1] + green[2:]
    second = np.abs(rows[:, :-2] - 2.0 * rows[:, 1:-1] + rows[:, 2:])
    smooth = float(np.percentile(_blocks(second, 16), 30))
    return math.sqrt(math.pi / 2.0) / 6.0 * smooth


def _leaps(average: Floats, statistics: Floats) -> bool:
    return drift(average, statistics) > VIDEO.jump


# --- squares and levels ---------------------------------------------------------------------


def _gray(values: Floats) -> Floats:
    # Three sums are ten times as fast as a mean over the last axis.
    gray: Floats = (values[:, :, 0] + values[:, :, 1] + values[:, :, 2]) * np.float32(1 / 3)
    return gray


def _levels(pixels: Pixels) -> Floats:
    values: Floats = pixels.astype(np.float32)
    return values / np.float32(257.0) if pixels.dtype == np.uint16 else values


def _quantised(levels: Floats, kind: np.dtype[Any]) -> Pixels:
    scale, most = (257.0, 65535) if kind == np.uint16 else (1.0, 255)
    pixels: Pixels = np.clip(np.rint(levels * np.float32(scale)), 0, most).astype(kind)
    return pixels


def _blocks(values: Floats, side: int) -> Floats:
    """Means of squares: float32 (H, W) to (ceil(H / side), ceil(W / side))."""
    height, width = values.shape
    around = ((0, -height % side), (0, -width % side))
    if around != ((0, 0), (0, 0)):
        values = np.pad(values, around, mode="edge")
    rows, columns = values.shape[0] // side, values.shape[1] // side
    means: Floats = values.reshape(rows, side, columns, side).mean(axis=(1, 3), dtype=np.float32)
    return means


def _widened(squares: Floats) -> Floats:
    """Each square as its strongest neighbour."""
    padded = np.pad(squares, 1, mode="edge")
    rows = np.maximum(np.maximum(padded[:-2], padded[1:-1]), padded[2:])
    return np.maximum(np.maximum(rows[:, :-2], rows[:, 1:-1]), rows[:, 2:])


def _blend(moving: Floats, share: float) -> Floats:
    """The share of what is new: `share` where nothing moves, all where everything does."""
    return np.float32(share) + np.float32(1.0 - share) * moving


def _spread(squares: Floats, shape: tuple[int, ...]) -> Floats:
    """Squares to pixels, bilinearly: float32 (h, w) to (H, W, 1)."""
    rows = _between(np.arange(shape[0]), squares.shape[0])
    columns = _between(np.arange(shape[1]), squares.shape[1])
    high, low, part = rows
    tall = squares[high] + part[:, None] * (squares[low] - squares[high])
    high, low, part = columns
    wide: Floats = tall[:, high] + part * (tall[:, low] - tall[:, high])
    return wide[:, :, None]


def _between(
    places: NDArray[np.int_], count: int
) -> tuple[NDArray[np.int_], NDArray[np.int_], Floats]:
    """For each pixel the squares before and after it, and how far it is between their middles."""
    at = np.clip((places + 0.5) / VIDEO.block - 0.5, 0, count - 1)
    first = at.astype(int)
    return first, np.minimum(first + 1, count - 1), (at - first).astype(np.float32)


def _ramp(value: float, low: float, high: float) -> float:
    return min(max((value - low) / (high - low), 0.0), 1.0)
