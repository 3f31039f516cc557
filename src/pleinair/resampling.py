"""Parts of resized pictures, each as it is in the whole: for what must not hold a picture twice."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pleinair.pictures import Planes, planes, store
from pleinair.tiling import Box

REACH = 4  # source pixels around a part that Lanczos of 3 lobes looks at, and one to be sure


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


def resized(pixels: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """uint8 or uint16 (H, W, 3) of another size, antialiased, some rows at a time; Lanczos."""
    tall, wide = pixels.shape[0] / height, pixels.shape[1]
    result = np.empty((height, width, 3), pixels.dtype)
    around = math.ceil(3 * max(1.0, tall)) + 1
    rows = max(1, int(2**22 / max(wide * tall, width)))  # of the result, at a time
    for at in range(0, height, rows):
        to = min(height, at + rows)
        first = max(0, math.floor(at * tall) - around)
        last = min(pixels.shape[0], math.ceil(to * tall) + around)
        box = (0.0, at * tall - first, float(wide), to * tall - first)
        part = np.ascontiguousarray(pixels[first:last])
        if pixels.dtype == np.uint8:
            result[at:to] = _resized(part, (width, to - at), box)
        else:
            small = [_resized(plane, (width, to - at), box) for plane in planes(part)]
            store(np.stack(small), result[at:to])
    return result


def _resized(
    part: NDArray[Any], size: tuple[int, int], box: tuple[float, float, float, float]
) -> NDArray[Any]:
    return np.asarray(Image.fromarray(part).resize(size, Image.Resampling.LANCZOS, box))
