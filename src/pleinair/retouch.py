"""What is corrected of a teacher's painting before it is learned from."""

from __future__ import annotations

import math
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

DARK = -0.2
"""A mean of a pixel's channels, in [-1, 1], below which it is a shadow: 0.4 of white."""

VIOLET = (0.65, 0.44, 1.0)
"""What reaches a shadow under a blue sky and a warm sun, relative to its blue."""

DAB = 3.0
"""Pixels: the deviation of the bell that a dab is cut from."""

_SECTORS = 8
_SHARPNESS = 8  # the power by which a sector that is even counts more than one that is not


def fine_chroma(pictures: Tensor) -> Tensor:
    """How each pixel's chroma, its channels without their mean, differs from that in 9x9 pixels.

    NCHW in [-1, 1]; the result is of the same shape, in [-2, 2].
    """
    chroma = pictures - pictures.mean(dim=1, keepdim=True)
    return chroma - F.avg_pool2d(chroma, 9, stride=1, padding=4, count_include_pad=False)


def dabs(pictures: Tensor) -> Tensor:
    """Pictures in dabs of a brush: even inside, with edges where the picture has some.

    NCHW, sides of 2 pixels or more; the result is of the same shape. Each pixel becomes a mean of
    the means of eight sectors around it, weighted by how even each is: Papari et al. 2007,
    "Artistic Edge and Corner Enhancing Smoothing", https://doi.org/10.1109/TIP.2007.903912,
    with deviations of levels in [0, 255] and a power of 8.
    """
    channels, radius = pictures.shape[1], 2 * round(DAB)
    sectors = _sectors().to(pictures)
    # One pixel of 255 levels is 2 / 255 here; an even sector is as even as a level can tell.
    least = (2.0 / 255.0) ** 2
    side = min(radius, *(length - 1 for length in pictures.shape[2:]))
    padded = F.pad(pictures, (side,) * 4, mode="reflect")
    padded = F.pad(padded, (radius - side,) * 4, mode="replicate")
    both = torch.cat([padded, padded.square()], dim=1).flatten(0, 1)[:, None]
    found = F.conv2d(both, sectors)
    found = found.reshape(-1, 2, channels, *found.shape[1:])
    means, squares = found[:, 0], found[:, 1]  # (N, C, sectors, H, W)
    variance = (squares - means.square()).sum(dim=1, keepdim=True).clamp(min=least)
    weights = (variance / least) ** (-_SHARPNESS / 2)
    painted: Tensor = (weights * means).sum(dim=2) / weights.sum(dim=2)
    return painted


@cache
def _sectors() -> Tensor:
    """(8, 1, side, side): a bell, cut into soft sectors that add up to it, each scaled to 1."""
    radius = 2 * round(DAB)
    row = torch.arange(-radius, radius + 1, dtype=torch.float64)
    y, x = torch.meshgrid(row, row, indexing="ij")
    bell = torch.exp(-(x.square() + y.square()) / (2.0 * DAB**2))
    parts = []
    for number in range(_SECTORS):
        apart = torch.atan2(y, x) - 2.0 * math.pi * number / _SECTORS
        apart = torch.remainder(apart + math.pi, 2.0 * math.pi) - math.pi
        near = (apart.abs() < 2.0 * math.pi / _SECTORS).double()
        part = bell * (torch.cos(apart * _SECTORS / 4.0) * near).square()
        part[radius, radius] = 2.0 * bell[radius, radius] / _SECTORS
        parts.append(part / part.sum())
    return torch.stack(parts)[:, None]


def retouched(
    paintings: Tensor,
    flecks: float = 1.0,
    dusk: float = 0.0,
    light: float = 1.0,
    dabbed: float = 0.0,
) -> Tensor:
    """Lighter paintings in dabs, with violet shadows and calmer flecks: NCHW in [-1, 1], both.

    light: how far a channel is from white, as a part of the way from black, is raised to this
    power; 1 leaves it. dusk: blue that is added to black, in units of [-1, 1], with red and green
    as in `VIOLET`; less to what is lighter, by the power of 1.5, and nothing to what is above
    `DARK`; 0 leaves shadows. flecks: fine chroma is multiplied by it; 1 leaves it. dabbed: how much
    of a painting is in `dabs`; 0 leaves its strokes. In this order.
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
    if dabbed > 0:
        paintings = torch.lerp(paintings, dabs(paintings), dabbed)
    return paintings.clamp(-1.0, 1.0)
