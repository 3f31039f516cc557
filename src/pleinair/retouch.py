"""What is corrected of a teacher's painting before it is learned from."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

DARK = -0.2
"""A mean of a pixel's channels, in [-1, 1], below which it is a shadow: 0.4 of white."""

VIOLET = (0.65, 0.44, 1.0)
"""What reaches a shadow under a blue sky and a warm sun, relative to its blue."""


def fine_chroma(pictures: Tensor) -> Tensor:
    """How each pixel's chroma, its channels without their mean, differs from that in 9x9 pixels.

    NCHW in [-1, 1]; the result is of the same shape, in [-2, 2].
    """
    chroma = pictures - pictures.mean(dim=1, keepdim=True)
    return chroma - F.avg_pool2d(chroma, 9, stride=1, padding=4, count_include_pad=False)


def retouched(
    paintings: Tensor, flecks: float = 1.0, dusk: float = 0.0, light: float = 1.0
) -> Tensor:
    """Lighter paintings, with violet shadows and calmer flecks: NCHW in [-1, 1], as the result is.

    light: how far a channel is from white, as a part of the way from black, is raised to this
    power; 1 leaves it. dusk: blue that is added to black, in units of [-1, 1], with red and green
    as in `VIOLET`; less to what is lighter, by the power of 1.5, and nothing to what is above
    `DARK`; 0 leaves shadows. flecks: fine chroma is multiplied by it; 1 leaves it. In this order.
    """
    if light != 1.0:
        paintings = 1.0 - 2.0 * ((1.0 - paintings) / 2.0).clamp(0.0, 1.0) ** light
    if dusk > 0:
        level = paintings.mean(dim=1, keepdim=True)
        depth = ((DARK - level) / (DARK + 1.0)).clamp(0.0, 1.0) ** 1.5
        violet = paintings.new_tensor(VIOLET).reshape(1, 3, 1, 1)
        paintings = paintings + dusk * depth * violet
    if flecks != 1.0:
        paintings = paintings + (flecks - 1.0) * fine_chroma(paintings)
    return paintings.clamp(-1.0, 1.0)
