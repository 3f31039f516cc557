"""Parts of resized pictures, each as it is in the whole: for what must not hold a picture twice.

Planes are float32 (3, H, W) in levels of 0 to 255, whatever the depth of the pixels: what the
rooms that mix layers compute with.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pleinair.tiling import Box

Planes = NDArray[np.float32]
"""float32 (3, H, W), levels of 0 to 255."""

REACH = 4  # source pixels around a part that Lanczos of 3 lobes looks at, and one to be sure


def planes(pixels: NDArray[Any]) -> Planes:
    """uint8 or uint16 (H, W, 3) to float32 planes of 0 to 255."""
    values: Planes = pixels.transpose(2, 0, 1).astype(np.float32, order="C")
    if pixels.dtype == np.uint16:
        values /= 257.0
    return values


def store(values: Planes, target: NDArray[Any]) -> None:
    """Round planes of 0 to 255 into uint8 or uint16 (H, W, 3), clamped. `values` is used up."""
    if target.dtype == np.uint16:
        values *= 257.0
    values += 0.5
    np.clip(values, 0.0, 65535.5 if target.dtype == np.uint16 else 255.5, out=values)
    # Truncation after adding a half is rounding, three times as fast as rounding itself.
    target[...] = values.astype(target.dtype).transpose(1, 2, 0)


def enlarged(
    source: Planes,
    held: Box,
    size: tuple[int, int],
    box: Box,
    whole: tuple[int, int],
    *,
    smooth: bool = False,
) -> Planes:
    """The part `box` of a picture resized from `size` to `whole`, (height, width) both.

    source: the part `held` of the picture, which reaches REACH pixels beyond what becomes of it,
    or to the picture's edges. Lanczos, or bicubic where nothing may ring. Right for scales of 1
    and more.
    """
    tall, wide = size[0] / whole[0], size[1] / whole[1]
    within = (
        box.left * wide - held.left,
        box.top * tall - held.top,
        box.right * wide - held.left,
        box.bottom * tall - held.top,
    )
    method = Image.Resampling.BICUBIC if smooth else Image.Resampling.LANCZOS
    result = np.empty((source.shape[0], box.height, box.width), np.float32)
    for plane, target in zip(source, result, strict=True):
        image = Image.fromarray(np.ascontiguousarray(plane))
        target[...] = np.asarray(image.resize((box.width, box.height), method, within))
    return result


def reduced(pixels: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """uint8 or uint16 (H, W, 3) made smaller, antialiased, some rows at a time; Lanczos."""
    tall = pixels.shape[0] / height
    result = np.empty((height, width, 3), pixels.dtype)
    around = math.ceil(3 * tall) + 1
    rows = max(1, int(2**22 / max(1, pixels.shape[1] * tall)))  # of the result, at a time
    for at in range(0, height, rows):
        to = min(height, at + rows)
        first = max(0, math.floor(at * tall) - around)
        last = min(pixels.shape[0], math.ceil(to * tall) + around)
        box = (0.0, at * tall - first, float(pixels.shape[1]), to * tall - first)
        part = pixels[first:last]
        if pixels.dtype == np.uint8:
            image = Image.fromarray(np.ascontiguousarray(part))
            result[at:to] = np.asarray(
                image.resize((width, to - at), Image.Resampling.LANCZOS, box)
            )
            continue
        small = np.stack(
            [
                np.asarray(
                    Image.fromarray(plane).resize((width, to - at), Image.Resampling.LANCZOS, box)
                )
                for plane in planes(part)
            ]
        )
        store(small, result[at:to])
    return result


def resized(pixels: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """uint8 or uint16 (H, W, 3) resized whole, up or down; Lanczos."""
    result = np.empty((height, width, 3), pixels.dtype)
    size = pixels.shape[0], pixels.shape[1]
    whole = Box(0, 0, height, width)
    store(enlarged(planes(pixels), Box(0, 0, *size), size, whole, (height, width)), result)
    return result
