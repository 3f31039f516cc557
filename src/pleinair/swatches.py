"""Pure: numbers of networks as pictures. Maps in colour, differences, judgements over a picture."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from pleinair.images import Pixels

Map = NDArray[np.float32]
"""(height, width), or (channels, height, width) where several are meant."""

# Colours at equal steps: of none to much, and of below to above the middle.
_RISING = ((22, 21, 40), (92, 46, 88), (190, 84, 62), (236, 170, 92), (253, 244, 220))
_SIGNED = ((24, 74, 128), (112, 164, 205), (240, 236, 228), (224, 140, 84), (150, 52, 20))


def rising(values: Map) -> Pixels:
    """Values of [0, 1], any shape, in colours from dark to light: uint8 (..., 3)."""
    return _coloured(values, _RISING)


def signed(values: Map) -> Pixels:
    """Values of [-1, 1], any shape, from blue over none to orange: uint8 (..., 3)."""
    return _coloured((values + 1.0) / 2.0, _SIGNED)


def _coloured(values: Map, colours: tuple[tuple[int, int, int], ...]) -> Pixels:
    steps = np.linspace(0.0, 1.0, len(colours))
    channels = [np.interp(values, steps, [one[i] for one in colours]) for i in range(3)]
    return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)


def stretched(maps: Map) -> Pixels:
    """(C, H, W) to uint8 (C, H, W, 3), each over its own range.

    Maps without values below 0 rise from dark to light; in others 0 is the middle of two colours.
    """
    flat = np.abs(maps).reshape(len(maps), -1)
    most = np.maximum(np.quantile(flat, 0.995, axis=1), 1e-12)[:, None, None]
    scaled = np.asarray(maps / most, np.float32)
    return rising(scaled) if maps.min() >= 0 else signed(scaled)


def sprite(maps: Map, side: int, columns: int) -> Pixels:
    """Maps of a layer side by side in one picture, each within `side` x `side`, in rows.

    Larger ones are shrunk by means over squares; small ones are enlarged to 32 by repetition.
    """
    pictures = stretched(_fitted(maps, side))
    rows = math.ceil(len(pictures) / columns)
    height, width = pictures.shape[1:3]
    page = np.zeros((rows * height, columns * width, 3), np.uint8)
    for number, one in enumerate(pictures):
        top, left = (number // columns) * height, (number % columns) * width
        page[top : top + height, left : left + width] = one
    return page


def _fitted(maps: Map, side: int) -> Map:
    longest = max(maps.shape[1:])
    if longest > side:
        step = math.ceil(longest / side)
        height, width = (length // step * step for length in maps.shape[1:])
        parts = maps[:, :height, :width].reshape(len(maps), height // step, step, -1, step)
        return np.asarray(parts.mean(axis=(2, 4)), np.float32)
    times = max(1, 32 // longest)
    return maps.repeat(times, axis=1).repeat(times, axis=2)


def blurred(picture: NDArray[np.float32], radius: int) -> NDArray[np.float32]:
    """(H, W, C), each value the mean of two box blurs of 2 `radius` + 1 pixels, edges repeated."""
    out = picture.astype(np.float64)
    for _ in range(2):
        for axis in (0, 1):
            wide = [(0, 0)] * 3
            wide[axis] = (radius + 1, radius)
            total = np.pad(out, wide, mode="edge").cumsum(axis=axis)
            length = out.shape[axis]
            later = np.take(total, range(2 * radius + 1, 2 * radius + 1 + length), axis)
            out = (later - np.take(total, range(length), axis)) / (2 * radius + 1)
    return out.astype(np.float32)


def parted(
    change: NDArray[np.float32], radius: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A change (H, W, 3) in two: of colours, which is wide, and of strokes, which is fine."""
    wide = blurred(change, radius)
    return wide, change - wide


def on_grey(change: NDArray[np.float32], gain: float = 1.0) -> Pixels:
    """A change (H, W, 3) in levels of 255 as a picture in which grey is no change."""
    levels: Pixels = np.clip(np.rint(127.5 + gain * change), 0, 255).astype(np.uint8)
    return levels


def judged(picture: Pixels, belief: Map) -> Pixels:
    """A discriminator's map of [-1, 1] in colour over a picture's greys, uint8 (H, W, 3)."""
    height, width = picture.shape[:2]
    rows = np.arange(height) * belief.shape[0] // height
    columns = np.arange(width) * belief.shape[1] // width
    colours = signed(np.clip(belief, -1, 1))[rows][:, columns].astype(np.float64)
    grey = picture.astype(np.float64).mean(axis=2, keepdims=True)
    mixed: Pixels = np.clip(np.rint(0.72 * colours + 0.36 * (grey - 40)), 0, 255).astype(np.uint8)
    return mixed
